/* How long a ledger takes to come to the height of another one: by executing every block, and by a snapshot with the
 * headers before it. Readings into the metering contract, in blocks of BLOCK_TXS; each way in a process of its own, whose
 * peak of resident memory is told. Baseline of the run: copying the giver's directory. Prints one JSON object.
 * Usage: bench_sync [path of Metering.json] [blocks] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metering_call.h"
#include "one_validator.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/ledger/snapshot.h"

#define BLOCK_TXS 50
#define READINGS 4
#define METERS 16
#define CHAIN_ID 7
#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

typedef struct world {
    char dir[64];
    rdg_sm2_key_t *key;
    rdg_genesis_t genesis;
    rdg_ledger_t *l;
    rdg_address_t contract;
    uint64_t nonce, time;
} world_t;

static double seconds(void) {
    return (double)rdg_mono_us(rdg_clock_system()) / 1e6;
}

static void path_of(const world_t *w, const char *name, char out[128]) {
    snprintf(out, 128, "%s/%s", w->dir, name);
}

static void certify(world_t *w, rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest,
                    rdg_buf_t *out) {
    rdg_hash_t statement;
    rdg_certificate_t c = {.statement = {.phase = phase, .height = height, .digest = *digest}, .count = 1};
    rdg_statement_hash(CHAIN_ID, &c.statement, &statement);
    MUST(rdg_sm2_sign(w->key, statement.b, sizeof statement.b, &c.votes[0].signature));
    rdg_buf_clear(out);
    MUST(rdg_certificate_encode(&c, out));
}

static void apply(world_t *w, rdg_tx_t **txs, uint32_t count) {
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_hash_t hash;
    rdg_buf_t proposal, certificate;
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&certificate, 65536);
    rdg_ledger_head(w->l, &head);
    rdg_header_t h = {.chain_id = CHAIN_ID,
                      .height = head.height + 1,
                      .time_ms = head.time_ms + 1,
                      .parent = head.hash,
                      .tx_count = count,
                      .gas_limit = w->genesis.params.block_gas_limit};
    MUST(rdg_block_tx_root(txs, count, &h.tx_root));
    MUST(rdg_proposal_encode(&h, txs, &proposal));
    MUST(rdg_header_hash(&h, &hash));
    certify(w, RDG_PHASE_COMMIT, h.height, &hash, &certificate);
    MUST(rdg_ledger_apply(w->l, rdg_buf_view(&proposal), rdg_buf_view(&certificate), true, &executed));
    MUST(rdg_executed_hash(&executed, &hash));
    certify(w, RDG_PHASE_CHECKPOINT, h.height, &hash, &certificate);
    MUST(rdg_ledger_checkpoint(w->l, h.height, rdg_buf_view(&certificate)));
    for (uint32_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
    rdg_buf_fini(&proposal);
    rdg_buf_fini(&certificate);
}

static rdg_tx_t *make_tx(world_t *w, bool create, rdg_bytes_t data) {
    rdg_tx_t *tx = NULL;
    rdg_tx_fields_t f = {.chain_id = CHAIN_ID,
                         .nonce = ++w->nonce,
                         .valid_until = 90000,
                         .gas_limit = create ? 10000000 : 600000,
                         .to = create ? NULL : &w->contract,
                         .data = data};
    MUST(rdg_tx_sign(&f, w->key, &tx));
    return tx;
}

static void submit_call(world_t *w, rdg_buf_t *b, uint64_t meter) {
    start_call(b, "submit(bytes32,uint64[],int64[])", meter);
    put_word(b, 96);
    put_word(b, 96 + 32 * (READINGS + 1));
    put_word(b, READINGS);
    for (uint64_t i = 0; i < READINGS; ++i) put_word(b, ++w->time);
    put_word(b, READINGS);
    for (uint64_t i = 0; i < READINGS; ++i) put_word(b, 7919 * w->time % 1000);
}

static void deploy(world_t *w, const char *artefact) {
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
    rdg_sm2_address(&w->genesis.validators.keys[0], &from);
    rdg_evm_create_address(&from, w->nonce + 1, &w->contract);
    rdg_tx_t *tx = make_tx(w, true, rdg_buf_view(&code));
    apply(w, &tx, 1);
    for (uint64_t meter = 0; meter < METERS; ++meter) {
        start_call(&call, "registerMeter(bytes32,int64,int64)", meter);
        put_word(&call, 0);
        put_word(&call, 1000000);
        tx = make_tx(w, false, rdg_buf_view(&call));
        apply(w, &tx, 1);
    }
    json_decref(root);
    rdg_buf_fini(&text);
    rdg_buf_fini(&code);
    rdg_buf_fini(&call);
}

static void build(world_t *w, const char *artefact, uint64_t blocks) {
    rdg_buf_t text;
    char path[128];
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    one_validator(CHAIN_ID, &w->key, &w->genesis);
    path_of(w, "giver", path);
    MUST(rdg_ledger_open(path, &w->genesis, NULL, &w->l));
    deploy(w, artefact);
    for (uint64_t b = 0; b < blocks; ++b) {
        rdg_tx_t *txs[BLOCK_TXS];
        for (uint64_t i = 0; i < BLOCK_TXS; ++i) {
            submit_call(w, &text, (b + i) % METERS);
            txs[i] = make_tx(w, false, rdg_buf_view(&text));
        }
        apply(w, txs, BLOCK_TXS);
    }
    rdg_buf_fini(&text);
}

static rdg_err_t write_file(void *ctx, rdg_bytes_t bytes) {
    return fwrite(bytes.data, 1, bytes.len, ctx) == bytes.len ? RDG_OK : RDG_E_IO;
}

static rdg_err_t read_file(void *ctx, void *dst, size_t len, size_t *got) {
    *got = fread(dst, 1, len, ctx);
    return RDG_OK;
}

static void export_snapshot(const world_t *w) {
    char path[128];
    bool done = false;
    rdg_snapshot_pin_t *pin = NULL;
    rdg_snapshot_export_t *e = NULL;
    path_of(w, "snapshot", path);
    FILE *f = fopen(path, "we");
    RDG_ASSERT(f);
    rdg_snapshot_writer_t writer = {write_file, f};
    MUST(rdg_snapshot_pin(w->l, &pin));
    MUST(rdg_snapshot_export_new(w->l, pin, &(rdg_snapshot_options_t){.headers_from = 1}, &e));
    while (!done) MUST(rdg_snapshot_export_step(e, &writer, &done));
    rdg_snapshot_export_free(e);
    rdg_snapshot_unpin(pin);
    fclose(f);
}

static void import_snapshot(const world_t *w) {
    char path[128];
    rdg_ledger_t *l = NULL;
    path_of(w, "snapshot", path);
    FILE *f = fopen(path, "re");
    RDG_ASSERT(f);
    rdg_snapshot_reader_t reader = {read_file, f};
    path_of(w, "by-snapshot", path);
    MUST(rdg_ledger_open(path, &w->genesis, NULL, &l));
    MUST(rdg_snapshot_read(l, &reader));
    rdg_ledger_close(l);
    fclose(f);
}

static void replay(const world_t *w) {
    char path[128];
    rdg_ledger_t *l = NULL;
    rdg_ledger_head_t head;
    rdg_buf_t seal;
    rdg_buf_init(&seal, 65536);
    path_of(w, "by-replay", path);
    rdg_ledger_head(w->l, &head);
    MUST(rdg_ledger_open(path, &w->genesis, NULL, &l));
    for (uint64_t h = 1; h <= head.height; ++h) {
        rdg_block_t *b = NULL;
        rdg_executed_t executed;
        MUST(rdg_ledger_block(w->l, h, &b));
        MUST(rdg_ledger_seal(w->l, h, &seal, NULL));
        MUST(rdg_ledger_apply(l, b->proposal, rdg_buf_view(&seal), false, &executed));
        rdg_block_unref(b);
    }
    rdg_buf_fini(&seal);
    rdg_ledger_close(l);
}

static void copy(const world_t *w) {
    char command[300];
    snprintf(command, sizeof command, "cp -a %s/giver %s/copy && sync -f %s", w->dir, w->dir, w->dir);
    RDG_ASSERT(system(command) == 0);
}

typedef struct cost {
    double seconds;
    long peak_kib;
} cost_t;

/* In a process of its own, from its start to its end. */
static cost_t measure(const world_t *w, const char *way) {
    struct rusage usage;
    int status = 0;
    double start = seconds();
    pid_t child = fork();
    RDG_ASSERT(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "bench_sync", "--way", way, w->dir, (char *)NULL);
        _exit(1);
    }
    RDG_ASSERT(wait4(child, &status, 0, &usage) == child && status == 0);
    return (cost_t){seconds() - start, usage.ru_maxrss};
}

static int run_way(const char *way, const char *dir) {
    static world_t w;
    char path[128];
    snprintf(w.dir, sizeof w.dir, "%s", dir);
    path_of(&w, "giver/genesis.json", path);
    MUST(rdg_genesis_load(path, &w.genesis));
    if (strcmp(way, "snapshot") == 0) {
        import_snapshot(&w);
    } else {
        path_of(&w, "giver", path);
        MUST(rdg_ledger_open(path, &w.genesis, NULL, &w.l));
        if (strcmp(way, "export") == 0)
            export_snapshot(&w);
        else
            replay(&w);
        rdg_ledger_close(w.l);
    }
    return 0;
}

static uint64_t size_of(const world_t *w, const char *name) {
    char path[128];
    uint64_t bytes = 0;
    path_of(w, name, path);
    MUST(rdg_tree_size(path, &bytes));
    return bytes;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "--way") == 0) return run_way(argv[2], argv[3]);
    const char *artefact = argc > 1 ? argv[1] : "contracts/artifacts/Metering.json";
    uint64_t blocks = argc > 2 ? strtoull(argv[2], NULL, 10) : 400;
    static world_t w;
    snprintf(w.dir, sizeof w.dir, "/tmp/ridge-bench-sync-XXXXXX");
    RDG_ASSERT(mkdtemp(w.dir));
    build(&w, artefact, blocks);
    rdg_ledger_close(w.l);
    cost_t exported = measure(&w, "export"), imported = measure(&w, "snapshot"),
           replayed = measure(&w, "replay");
    double start = seconds();
    copy(&w);
    double copied = seconds() - start;
    printf("{\"blocks\": %llu, \"transactions\": %llu, \"export_s\": %.3f, \"export_peak_kib\": %ld, "
           "\"snapshot_bytes\": %llu, "
           "\"import_s\": %.3f, \"import_peak_kib\": %ld, \"replay_s\": %.3f, \"replay_peak_kib\": %ld, "
           "\"giver_bytes\": %llu, \"copy_baseline_s\": %.3f}\n",
           (unsigned long long)blocks, (unsigned long long)(blocks * BLOCK_TXS), exported.seconds,
           exported.peak_kib, (unsigned long long)size_of(&w, "snapshot"), imported.seconds,
           imported.peak_kib, replayed.seconds, replayed.peak_kib, (unsigned long long)size_of(&w, "giver"),
           copied);
    rdg_sm2_key_free(w.key);
    MUST(rdg_tree_remove(w.dir, NULL));
    return 0;
}
