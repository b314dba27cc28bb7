/* What a transaction costs one node, without network and consensus: readings into the metering contract, in blocks of
 * BLOCK_TXS. Prints one JSON object; microseconds of CPU of the whole process (RocksDB's threads included) a
 * transaction. The baseline of the run is the same with the state in memory.
 * Usage: bench_ledger [path of Metering.json] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "metering_call.h"
#include "one_validator.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/ledger/ledger.h"

#define BLOCKS 20
#define BLOCK_TXS 500
#define METERS 4
#define CHAIN_ID 7
#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

typedef struct run {
    rdg_sm2_key_t *key;
    rdg_genesis_t genesis;
    rdg_ledger_t *ledger;
    rdg_pool_t *pool;
    rdg_address_t contract;
    uint64_t nonce, time, height;
    rdg_buf_t proposal, seal;
    double admit_us, decode_us, validate_us, apply_us;
} run_t;

static double cpu_us(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return 1e6 * (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static void seal(run_t *r) {
    rdg_header_t h;
    rdg_hash_t statement;
    rdg_certificate_t c = {.statement = {.phase = RDG_PHASE_COMMIT}, .count = 1};
    MUST(rdg_proposal_header(rdg_buf_view(&r->proposal), &h));
    MUST(rdg_header_hash(&h, &c.statement.digest));
    c.statement.height = h.height;
    rdg_statement_hash(CHAIN_ID, &c.statement, &statement);
    MUST(rdg_sm2_sign(r->key, statement.b, sizeof statement.b, &c.votes[0].signature));
    rdg_buf_clear(&r->seal);
    MUST(rdg_certificate_encode(&c, &r->seal));
}

/* What a node does with count transactions: takes each from its wire form, proposes, validates, applies. */
static void block(run_t *r, rdg_tx_t **txs, size_t count) {
    rdg_executed_t executed;
    rdg_block_t *decoded = NULL;
    rdg_hash_t *ids = rdg_calloc(count, sizeof *ids);
    double start = cpu_us();
    for (size_t i = 0; i < count; ++i) {
        rdg_tx_t *tx = NULL;
        MUST(rdg_tx_decode(txs[i]->raw, &tx));
        MUST(rdg_ledger_admit(r->ledger, r->pool, tx));
        ids[i] = tx->id;
        rdg_tx_unref(tx);
    }
    r->admit_us += cpu_us() - start;
    rdg_buf_clear(&r->proposal);
    MUST(rdg_ledger_propose(r->ledger, r->pool, 0, 1, false, &r->proposal));
    start = cpu_us();
    MUST(rdg_block_decode(rdg_buf_view(&r->proposal), &decoded));
    r->decode_us += cpu_us() - start;
    RDG_ASSERT(decoded->header.tx_count == count);
    rdg_block_unref(decoded);
    start = cpu_us();
    MUST(rdg_ledger_validate(r->ledger, r->pool, rdg_buf_view(&r->proposal), 1));
    r->validate_us += cpu_us() - start;
    seal(r);
    start = cpu_us();
    MUST(rdg_ledger_apply(r->ledger, rdg_buf_view(&r->proposal), rdg_buf_view(&r->seal), true, &executed));
    r->apply_us += cpu_us() - start;
    rdg_pool_committed(r->pool, ids, count, ++r->height);
    rdg_free(ids);
}

static rdg_tx_t *make_tx(run_t *r, bool create, rdg_bytes_t data) {
    rdg_tx_t *tx = NULL;
    rdg_tx_fields_t f = {.chain_id = CHAIN_ID,
                         .nonce = ++r->nonce,
                         .valid_until = 1000,
                         .gas_limit = create ? 10000000 : 600000,
                         .to = create ? NULL : &r->contract,
                         .data = data};
    MUST(rdg_tx_sign(&f, r->key, &tx));
    return tx;
}

static void one(run_t *r, bool create, rdg_bytes_t data) {
    rdg_tx_t *tx = make_tx(r, create, data);
    block(r, &tx, 1);
    rdg_tx_unref(tx);
}

static void submit_call(run_t *r, rdg_buf_t *b, size_t meter, uint64_t readings) {
    start_call(b, "submit(bytes32,uint64[],int64[])", meter);
    put_word(b, 96);
    put_word(b, 96 + 32 * (readings + 1));
    put_word(b, readings);
    for (uint64_t i = 0; i < readings; ++i) put_word(b, ++r->time);
    put_word(b, readings);
    for (uint64_t i = 0; i < readings; ++i) put_word(b, 7919 * r->time % 1000);
}

static void deploy(run_t *r, const char *artefact) {
    rdg_buf_t text, code, call;
    json_t *root = NULL;
    const char *hex = NULL;
    rdg_address_t from;
    rdg_buf_init(&text, 4u << 20);
    rdg_buf_init(&code, RDG_EVM_INITCODE_MAX);
    rdg_buf_init(&call, 4096);
    MUST(rdg_file_read(artefact, &text));
    MUST(rdg_json_parse(rdg_buf_view(&text), &root));
    MUST(rdg_json_get_str(root, "bytecode", &hex));
    MUST(rdg_hex_decode_buf(hex, strlen(hex), &code));
    rdg_sm2_address(&r->genesis.validators.keys[0], &from);
    rdg_evm_create_address(&from, r->nonce + 1, &r->contract);
    one(r, true, rdg_buf_view(&code));
    for (size_t meter = 0; meter < METERS; ++meter) {
        start_call(&call, "registerMeter(bytes32,int64,int64)", meter);
        put_word(&call, 0);
        put_word(&call, 1000000);
        one(r, false, rdg_buf_view(&call));
    }
    json_decref(root);
    rdg_buf_fini(&text);
    rdg_buf_fini(&code);
    rdg_buf_fini(&call);
}

static void load(run_t *r, uint64_t readings) {
    rdg_buf_t call;
    static rdg_tx_t *txs[BLOCK_TXS];
    rdg_buf_init(&call, 65536);
    r->admit_us = r->decode_us = r->validate_us = r->apply_us = 0;
    for (size_t b = 0; b < BLOCKS; ++b) {
        for (size_t i = 0; i < BLOCK_TXS; ++i) {
            submit_call(r, &call, i % METERS, readings);
            txs[i] = make_tx(r, false, rdg_buf_view(&call));
        }
        block(r, txs, BLOCK_TXS);
        for (size_t i = 0; i < BLOCK_TXS; ++i) rdg_tx_unref(txs[i]);
    }
    rdg_buf_fini(&call);
}

static void measure(const char *artefact, uint64_t readings, bool memory_store) {
    static run_t r;
    char dir[] = "/tmp/ridge-bench-ledger-XXXXXX";
    const double n = BLOCKS * BLOCK_TXS;
    uint64_t disk = 0;
    RDG_ASSERT(mkdtemp(dir));
    memset(&r, 0, sizeof r);
    rdg_buf_init(&r.proposal, RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&r.seal, 65536);
    one_validator(CHAIN_ID, &r.key, &r.genesis);
    MUST(rdg_ledger_open(dir, &r.genesis, &(rdg_ledger_options_t){.memory_store = memory_store}, &r.ledger));
    MUST(rdg_pool_new(&(rdg_pool_limits_t){BLOCK_TXS, 64u << 20, BLOCK_TXS}, CHAIN_ID, 30000000, &r.pool));
    deploy(&r, artefact);
    load(&r, readings);
    MUST(rdg_tree_size(dir, &disk));
    printf("\"readings_%d%s\":{\"admit_us\":%.1f,\"decode_us\":%.1f,\"validate_us\":%.1f,\"apply_us\":%.1f,"
           "\"disk_bytes\":%.0f}",
           (int)readings, memory_store ? "_memory" : "", r.admit_us / n, r.decode_us / n, r.validate_us / n,
           r.apply_us / n, (double)disk / n);
    rdg_ledger_close(r.ledger);
    rdg_pool_free(r.pool);
    rdg_sm2_key_free(r.key);
    rdg_buf_fini(&r.proposal);
    rdg_buf_fini(&r.seal);
    MUST(rdg_tree_remove(dir, NULL));
}

int main(int argc, char **argv) {
    const char *artefact = argc > 1 ? argv[1] : "contracts/artifacts/Metering.json";
    printf("{");
    for (uint64_t readings = 1; readings <= 10; readings *= 10) {
        if (readings > 1) printf(",");
        measure(artefact, readings, false);
        printf(",");
        measure(artefact, readings, true);
    }
    printf("}\n");
    return 0;
}
