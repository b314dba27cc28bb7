/* eth_getLogs over many events: blocks of 1,000 events, each with three topics (its kind, its number modulo 1,000, its
 * number), then single calls of JSON-RPC, without a network. Milliseconds, the best of some; the baseline of the same run
 * reads the receipts of every block in the range. Prints one JSON object.
 * Usage: ridge-log-search BLOCKS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "one_validator.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"
#include "ridge/node/rpc.h"

#define EVENTS 1000
#define CHAIN_ID 7
#define ANSWER_MAX (64u << 20)
#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

/* for (i = word 0, end = i + word 1; i < end; ++i) log3(data i, topics 1, i % 1000, i) */
static const char emitter[] = "6023600a5f3960235ff3"
                              "5f3560203581015b815f52816103e88106600160205fa3906001019080821060075700";

typedef struct run {
    rdg_sm2_key_t *key;
    rdg_genesis_t genesis;
    rdg_ledger_t *ledger;
    rdg_pool_t *pool;
    rdg_node_rpc_t *rpc;
    rdg_address_t contract;
    uint64_t nonce, height;
    double apply_ms;
} run_t;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + (double)t.tv_nsec / 1e6;
}

static void start(run_t *r, const char *dir) {
    one_validator(CHAIN_ID, &r->key, &r->genesis);
    MUST(rdg_ledger_open(dir, &r->genesis, NULL, &r->ledger));
    MUST(rdg_pool_new(&(rdg_pool_limits_t){10, 1u << 20, 10}, CHAIN_ID, r->genesis.params.tx_gas_limit,
                      &r->pool));
    MUST(rdg_node_rpc_new(&(rdg_node_rpc_options_t){.ledger = r->ledger, .pool = r->pool}, &r->rpc));
}

static void seal(const run_t *r, rdg_bytes_t proposal, rdg_buf_t *out) {
    rdg_header_t h;
    rdg_hash_t statement;
    rdg_certificate_t c = {.statement = {.phase = RDG_PHASE_COMMIT}, .count = 1};
    MUST(rdg_proposal_header(proposal, &h));
    MUST(rdg_header_hash(&h, &c.statement.digest));
    c.statement.height = h.height;
    rdg_statement_hash(CHAIN_ID, &c.statement, &statement);
    MUST(rdg_sm2_sign(r->key, statement.b, sizeof statement.b, &c.votes[0].signature));
    MUST(rdg_certificate_encode(&c, out));
}

static void block(run_t *r, bool create, rdg_bytes_t data) {
    rdg_tx_t *tx = NULL;
    rdg_buf_t proposal, certificate;
    rdg_executed_t executed;
    rdg_tx_fields_t f = {.chain_id = CHAIN_ID,
                         .nonce = ++r->nonce,
                         .valid_until = r->height + 100,
                         .gas_limit = 5000000,
                         .to = create ? NULL : &r->contract,
                         .data = data};
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&certificate, 65536);
    MUST(rdg_tx_sign(&f, r->key, &tx));
    MUST(rdg_ledger_admit(r->ledger, r->pool, tx));
    MUST(rdg_ledger_propose(r->ledger, r->pool, 0, 1, false, &proposal));
    seal(r, rdg_buf_view(&proposal), &certificate);
    double begin = now_ms();
    MUST(rdg_ledger_apply(r->ledger, rdg_buf_view(&proposal), rdg_buf_view(&certificate), true, &executed));
    r->apply_ms = now_ms() - begin;
    rdg_pool_committed(r->pool, &tx->id, 1, ++r->height);
    rdg_tx_unref(tx);
    rdg_buf_fini(&proposal);
    rdg_buf_fini(&certificate);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fill(run_t *r, size_t blocks) {
    uint8_t code[64], data[64] = {0};
    rdg_address_t from;
    size_t len = (sizeof emitter - 1) / 2;
    double *took = rdg_calloc(blocks, sizeof *took);
    RDG_ASSERT(took);
    MUST(rdg_hex_decode(emitter, sizeof emitter - 1, code, len));
    rdg_sm2_address(&r->genesis.validators.keys[0], &from);
    rdg_evm_create_address(&from, r->nonce + 1, &r->contract);
    block(r, true, rdg_bytes(code, len));
    rdg_store_be64(data + 56, EVENTS);
    for (size_t b = 0; b < blocks; ++b) {
        rdg_store_be64(data + 24, b * EVENTS);
        block(r, false, rdg_bytes(data, sizeof data));
        took[b] = r->apply_ms;
    }
    qsort(took, blocks, sizeof *took, by_value);
    printf("\"block_median_ms\":%.2f,\"block_worst_ms\":%.2f", took[blocks / 2], took[blocks - 1]);
    rdg_free(took);
}

/* --- searches ------------------------------------------------------------------------------------- */

/* Takes *ms from the request to its whole answer; to read that is the caller's affair. */
static size_t call(run_t *r, const char *body, double *ms) {
    rdg_buf_t answer;
    json_t *root = NULL;
    rdg_buf_init(&answer, ANSWER_MAX);
    double begin = now_ms();
    MUST(rdg_node_rpc_handle(r->rpc, NULL, rdg_bytes(body, strlen(body)), &answer, NULL));
    *ms = now_ms() - begin;
    root = json_loadb((const char *)answer.data, answer.len, 0, NULL);
    const json_t *logs = json_object_get(root, "result");
    if (!logs) fprintf(stderr, "%s: %.200s\n", body, (const char *)answer.data);
    RDG_ASSERT(json_is_array(logs));
    size_t found = json_array_size(logs);
    json_decref(root);
    rdg_buf_fini(&answer);
    return found;
}

static void search(run_t *r, const char *name, const char *filter, size_t want, int times) {
    char body[1024];
    double best = 1e9;
    snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_getLogs\",\"params\":[{%s}]}",
             filter);
    for (int i = 0; i < times; ++i) {
        double took;
        RDG_ASSERT(call(r, body, &took) == want);
        best = took < best ? took : best;
    }
    printf(",\"%s_ms\":%.2f", name, best);
}

static size_t scan_block(run_t *r, uint64_t height, const rdg_log_filter_t *f, rdg_arena_t *arena,
                         rdg_buf_t *raw) {
    rdg_rlp_t outer, list;
    size_t found = 0;
    rdg_buf_clear(raw);
    MUST(rdg_ledger_receipts(r->ledger, height, raw));
    rdg_rlp_init(&outer, rdg_buf_view(raw));
    MUST(rdg_rlp_list(&outer, &list));
    while (rdg_rlp_more(&list)) {
        rdg_receipt_t receipt;
        rdg_arena_reset(arena);
        MUST(rdg_receipt_decode(rdg_rlp_raw(&list), arena, &receipt));
        for (size_t i = 0; i < receipt.log_count; ++i) found += rdg_log_matches(f, &receipt.logs[i]);
    }
    return found;
}

static void scan(run_t *r, rdg_word_t topic, size_t want, int times) {
    rdg_log_filter_t f = {.topics = {{0}, {0}, {&topic, 1}}};
    rdg_arena_t arena;
    rdg_buf_t raw;
    double best = 1e9;
    rdg_arena_init(&arena, 64u << 20);
    rdg_buf_init(&raw, RDG_RECEIPTS_BYTES_MAX);
    for (int i = 0; i < times; ++i) {
        size_t found = 0;
        double begin = now_ms();
        for (uint64_t h = 1; h <= r->height; ++h) found += scan_block(r, h, &f, &arena, &raw);
        double took = now_ms() - begin;
        RDG_ASSERT(found == want);
        best = took < best ? took : best;
    }
    rdg_arena_fini(&arena);
    rdg_buf_fini(&raw);
    printf(",\"linear_scan_ms\":%.2f", best);
}

static void searches(run_t *r, size_t blocks) {
    char filter[512], address[41];
    rdg_hex_encode(r->contract.b, sizeof r->contract.b, address);
    snprintf(filter, sizeof filter, "\"fromBlock\":\"0x0\",\"topics\":[null,null,\"0x%zx\"]",
             blocks * EVENTS / 2);
    search(r, "one_event", filter, 1, 20);
    search(r, "no_event", "\"fromBlock\":\"0x0\",\"topics\":[\"0xffffffffffff\"]", 0, 20);
    size_t len = (size_t)snprintf(filter, sizeof filter, "\"fromBlock\":\"0x0\",\"topics\":[null,null,[");
    for (size_t i = 0; i < 10; ++i)
        len += (size_t)snprintf(filter + len, sizeof filter - len, "%s\"0x%zx\"", i ? "," : "",
                                i * (blocks / 10) * EVENTS + i);
    snprintf(filter + len, sizeof filter - len, "]]");
    search(r, "ten_events", filter, 10, 10);
    snprintf(filter, sizeof filter,
             "\"fromBlock\":\"0x2\",\"toBlock\":\"0x33\",\"address\":\"0x%s\",\"topics\":[\"0x1\",\"0x11\"]",
             address);
    search(r, "one_in_each_of_fifty_blocks", filter, 50, 5);
    snprintf(filter, sizeof filter, "\"fromBlock\":\"0x2\",\"toBlock\":\"0x6\",\"address\":\"0x%s\"",
             address);
    search(r, "five_blocks", filter, 5 * EVENTS, 5);
    rdg_word_t topic = {{0}};
    rdg_store_be64(topic.b + 24, blocks * EVENTS / 2);
    scan(r, topic, 1, 3);
}

int main(int argc, char **argv) {
    static run_t r;
    char dir[] = "/tmp/ridge-bench-logs-XXXXXX";
    size_t blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    uint64_t disk = 0;
    RDG_ASSERT(mkdtemp(dir) && blocks >= 51);
    printf("{\"events\":%zu,", blocks * EVENTS);
    start(&r, dir);
    fill(&r, blocks);
    MUST(rdg_tree_size(dir, &disk));
    printf(",\"disk_bytes_an_event\":%.0f", (double)disk / (double)(blocks * EVENTS));
    searches(&r, blocks);
    printf("}\n");
    rdg_node_rpc_free(r.rpc);
    rdg_ledger_close(r.ledger);
    rdg_pool_free(r.pool);
    rdg_sm2_key_free(r.key);
    MUST(rdg_tree_remove(dir, NULL));
    return 0;
}
