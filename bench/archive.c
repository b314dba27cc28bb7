/* Archive segments of readings in the metering contract: export, verify, restore, and a single read, beside `zstd -3` and cp
 * of the same bytes in the same run (in memory, without disk, all of them: read once, written once). Then what a ledger
 * keeps on disk before and after it is pruned and its store compacted, and how long a lost ledger takes to come back by executing the segment and
 * by the state at its end. One JSON object; MB are raw bytes of blocks and receipts, a second is one of processor time; of
 * recoveries it is one of the wall clock.
 * Usage: bench_archive [blocks] [path of Metering.json] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <zstd.h>

#include "metering_call.h"
#include "one_validator.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/ledger/archive.h"

#define BLOCK_TXS 500
#define CHAIN_ID 7
#define READINGS 4
#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

typedef struct run {
    rdg_sm2_key_t *key;
    rdg_genesis_t genesis;
    rdg_ledger_t *ledger;
    rdg_address_t contract;
    uint64_t nonce, time;
    rdg_buf_t proposal, certificate;
} run_t;

/* Of processor time, all threads: others work on the machines that we measure on. */
static double now_s(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static void certify(run_t *r, rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest) {
    rdg_hash_t statement;
    rdg_certificate_t c = {.statement = {.phase = phase, .height = height, .digest = *digest}, .count = 1};
    rdg_statement_hash(CHAIN_ID, &c.statement, &statement);
    MUST(rdg_sm2_sign(r->key, statement.b, sizeof statement.b, &c.votes[0].signature));
    rdg_buf_clear(&r->certificate);
    MUST(rdg_certificate_encode(&c, &r->certificate));
}

static void block(run_t *r, rdg_tx_t **txs, uint32_t count) {
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_hash_t digest;
    rdg_ledger_head(r->ledger, &head);
    rdg_header_t h = {.chain_id = CHAIN_ID,
                      .height = head.height + 1,
                      .time_ms = head.time_ms + 100,
                      .parent = head.hash,
                      .tx_count = count,
                      .gas_limit = r->genesis.params.block_gas_limit};
    MUST(rdg_block_tx_root(txs, count, &h.tx_root));
    rdg_buf_clear(&r->proposal);
    MUST(rdg_proposal_encode(&h, txs, &r->proposal));
    MUST(rdg_header_hash(&h, &digest));
    certify(r, RDG_PHASE_COMMIT, h.height, &digest);
    MUST(rdg_ledger_apply(r->ledger, rdg_buf_view(&r->proposal), rdg_buf_view(&r->certificate), true,
                          &executed));
    MUST(rdg_executed_hash(&executed, &digest));
    certify(r, RDG_PHASE_CHECKPOINT, h.height, &digest);
    MUST(rdg_ledger_checkpoint(r->ledger, h.height, rdg_buf_view(&r->certificate)));
    for (uint32_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
}

static rdg_tx_t *make_tx(run_t *r, bool create, rdg_bytes_t data) {
    rdg_tx_t *tx = NULL;
    rdg_tx_fields_t f = {.chain_id = CHAIN_ID,
                         .nonce = ++r->nonce,
                         .valid_until = 10000,
                         .gas_limit = create ? 10000000 : 1000000,
                         .to = create ? NULL : &r->contract,
                         .data = data};
    MUST(rdg_tx_sign(&f, r->key, &tx));
    return tx;
}

static void one(run_t *r, bool create, rdg_bytes_t data) {
    rdg_tx_t *tx = make_tx(r, create, data);
    block(r, &tx, 1);
}

static void deploy(run_t *r, const char *artefact) {
    rdg_buf_t text, code, call;
    json_t *root = NULL;
    const char *hex = NULL;
    rdg_address_t from;
    rdg_buf_init(&text, 4u << 20), rdg_buf_init(&code, RDG_EVM_INITCODE_MAX), rdg_buf_init(&call, 4096);
    MUST(rdg_file_read(artefact, &text));
    MUST(rdg_json_parse(rdg_buf_view(&text), &root));
    MUST(rdg_json_get_str(root, "bytecode", &hex));
    MUST(rdg_hex_decode_buf(hex, strlen(hex), &code));
    rdg_sm2_address(&r->genesis.validators.keys[0], &from);
    rdg_evm_create_address(&from, r->nonce + 1, &r->contract);
    one(r, true, rdg_buf_view(&code));
    start_call(&call, "registerMeter(bytes32,int64,int64)", 0);
    put_word(&call, 0);
    put_word(&call, 1000000);
    one(r, false, rdg_buf_view(&call));
    json_decref(root);
    rdg_buf_fini(&text), rdg_buf_fini(&code), rdg_buf_fini(&call);
}

static void fill(run_t *r, size_t blocks) {
    static rdg_tx_t *txs[BLOCK_TXS];
    rdg_buf_t call;
    rdg_buf_init(&call, 65536);
    for (size_t b = 0; b < blocks; ++b) {
        for (size_t i = 0; i < BLOCK_TXS; ++i) {
            start_call(&call, "submit(bytes32,uint64[],int64[])", 0);
            put_word(&call, 96);
            put_word(&call, 96 + 32 * (READINGS + 1));
            put_word(&call, READINGS);
            for (int n = 0; n < READINGS; ++n) put_word(&call, ++r->time);
            put_word(&call, READINGS);
            for (int n = 0; n < READINGS; ++n) put_word(&call, 7919 * r->time % 1000);
            txs[i] = make_tx(r, false, rdg_buf_view(&call));
        }
        block(r, txs, BLOCK_TXS);
    }
    rdg_buf_fini(&call);
}

/* --- measuring ----------------------------------------------------------------------------------- */

static rdg_err_t write_memory(void *ctx, rdg_bytes_t bytes) {
    return rdg_buf_append(ctx, bytes.data, bytes.len);
}

static rdg_err_t read_memory(void *ctx, uint64_t offset, void *dst, size_t len) {
    const rdg_buf_t *b = ctx;
    memcpy(dst, b->data + offset, len);
    return RDG_OK;
}

static double export_s(run_t *r, uint64_t to, rdg_buf_t *out, rdg_archive_manifest_t *m) {
    rdg_archive_export_options_t o = {.from = 1, .to = to, .signer = r->key};
    rdg_archive_sink_t sink = {write_memory, out};
    double start = now_s();
    MUST(rdg_archive_export(r->ledger, &o, &sink, m));
    return now_s() - start;
}

/* What the segment holds, unpacked: proposals and receipts of all blocks. */
static void raw_bytes(run_t *r, uint64_t to, rdg_buf_t *out) {
    for (uint64_t h = 1; h <= to; ++h) {
        rdg_block_t *b = NULL;
        MUST(rdg_ledger_block(r->ledger, h, &b));
        MUST(rdg_buf_append(out, b->proposal.data, b->proposal.len));
        MUST(rdg_ledger_receipts(r->ledger, h, out));
        rdg_block_unref(b);
    }
}

static double zstd_s(rdg_bytes_t raw, uint8_t *dst, size_t size, size_t *packed) {
    double start = now_s();
    *packed = ZSTD_compress(dst, size, raw.data, raw.len, 3);
    RDG_ASSERT(!ZSTD_isError(*packed));
    return now_s() - start;
}

static double copy_s(rdg_bytes_t raw, uint8_t *dst) {
    double start = now_s();
    memcpy(dst, raw.data, raw.len);
    return now_s() - start;
}

static double verify_s(run_t *r, rdg_archive_t *a, rdg_archive_report_t *report) {
    double start = now_s();
    MUST(rdg_archive_trust(a, &r->genesis));
    MUST(rdg_archive_verify(a, NULL, NULL, report));
    return now_s() - start;
}

static double read_us(rdg_archive_t *a, uint64_t to) {
    enum { READS = 50 };
    double start = now_s();
    for (uint64_t i = 0; i < READS; ++i) {
        rdg_archive_block_t b;
        MUST(rdg_archive_read(a, 1 + i * 7919 % to, &b));
        rdg_archive_block_fini(&b);
    }
    return (now_s() - start) * 1e6 / READS;
}

static double restore_s(run_t *r, rdg_archive_t *a, const char *dir) {
    rdg_ledger_t *l = NULL;
    char path[256];
    snprintf(path, sizeof path, "%s/restored", dir);
    double start = now_s();
    MUST(rdg_ledger_open(path, &r->genesis, NULL, &l));
    MUST(rdg_archive_import(a, l, NULL, NULL));
    rdg_ledger_close(l);
    return now_s() - start;
}

static double wall_s(void) {
    return (double)rdg_mono_us(rdg_clock_system()) / 1e6;
}

/* Of an empty ledger, until it stands at the segment's end; on this disk. */
static double recover_s(run_t *r, const rdg_buf_t *file, const char *dir, const char *name, bool state) {
    rdg_ledger_t *l = NULL;
    rdg_archive_t *a = NULL;
    rdg_ledger_head_t head;
    char path[256];
    rdg_archive_source_t source = {read_memory, file->len, (void *)(uintptr_t)file};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    double start = wall_s();
    MUST(rdg_ledger_open(path, &r->genesis, NULL, &l));
    MUST(rdg_archive_open(&source, NULL, &a));
    MUST((state ? rdg_archive_import_state : rdg_archive_import)(a, l, NULL, NULL));
    rdg_ledger_head(l, &head);
    RDG_ASSERT(head.height == rdg_archive_manifest(a)->to);
    rdg_archive_close(a);
    rdg_ledger_close(l);
    double took = wall_s() - start;
    MUST(rdg_tree_remove(path, NULL));
    return took;
}

static double export_with_state_s(run_t *r, uint64_t to, rdg_buf_t *out, rdg_archive_manifest_t *m) {
    rdg_archive_export_options_t o = {.from = 1, .to = to, .signer = r->key};
    rdg_archive_sink_t sink = {write_memory, out};
    rdg_buf_clear(out);
    MUST(rdg_snapshot_pin_at(r->ledger, to, &o.state));
    double start = now_s();
    MUST(rdg_archive_export(r->ledger, &o, &sink, m));
    double took = now_s() - start;
    rdg_snapshot_unpin(o.state);
    return took;
}

static double prune_s(run_t *r, uint64_t to, rdg_prune_result_t *out) {
    rdg_archive_receipt_t receipt = {.chain_id = CHAIN_ID,
                                     .genesis = r->genesis.hash,
                                     .from = 1,
                                     .to = to,
                                     .anchor_height = 1,
                                     .anchor_tx = {{1}}};
    rdg_header_t last;
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 1024);
    double start = now_s();
    MUST(rdg_ledger_header(r->ledger, to, &last, NULL, NULL));
    receipt.mark_ms = last.time_ms;
    MUST(rdg_archive_content_of(r->ledger, 1, to, &receipt.content));
    MUST(rdg_archive_receipt_sign(&receipt, r->key, &bytes));
    MUST(rdg_ledger_prune(r->ledger, to, rdg_buf_view(&bytes), &r->genesis.validators.keys[0], 1, out));
    rdg_buf_fini(&bytes);
    return now_s() - start;
}

static void measure(run_t *r, const char *dir, uint64_t to) {
    rdg_buf_t file, raw;
    rdg_archive_manifest_t m;
    rdg_archive_t *a = NULL;
    rdg_archive_report_t report;
    rdg_prune_result_t pruned;
    uint64_t before = 0, after = 0, compacted = 0;
    char path[256];
    snprintf(path, sizeof path, "%s/ledger", dir);
    rdg_buf_init(&file, 4ull << 30), rdg_buf_init(&raw, 4ull << 30);
    raw_bytes(r, to, &raw);
    size_t size = ZSTD_compressBound(raw.len), packed;
    uint8_t *dst = rdg_alloc(size);
    RDG_ASSERT(dst);
    memset(dst, 1, size);
    double copied = copy_s(rdg_buf_view(&raw), dst), zstd = zstd_s(rdg_buf_view(&raw), dst, size, &packed);
    double exported = export_s(r, to, &file, &m);
    rdg_archive_source_t source = {read_memory, file.len, &file};
    MUST(rdg_archive_open(&source, NULL, &a));
    double verified = verify_s(r, a, &report), single = read_us(a, to), restored = restore_s(r, a, dir);
    rdg_archive_close(a);
    rdg_archive_manifest_t with;
    double stated = export_with_state_s(r, to, &file, &with),
           replay = recover_s(r, &file, dir, "replay", false),
           state = recover_s(r, &file, dir, "state", true);
    MUST(rdg_tree_size(path, &before));
    double pruning = prune_s(r, to, &pruned);
    MUST(rdg_tree_size(path, &after));
    MUST(rdg_kv_compact(rdg_ledger_kv(r->ledger)));
    MUST(rdg_tree_size(path, &compacted));
    double mb = (double)raw.len / 1e6, txs = (double)m.tx_count;
    printf(
        "{\"state_mb\":%.1f,\"export_with_state_s\":%.2f,\"recover_replay_s\":%.2f,\"recover_state_s\":%.2f,",
        (double)with.state_bytes / 1e6, stated, replay, state);
    printf("\"raw_mb\":%.1f,\"txs\":%.0f,\"cp_mb_s\":%.0f,\"zstd3_mb_s\":%.0f,\"export_mb_s\":%.0f,"
           "\"verify_mb_s\":%.1f,\"verify_signatures_s\":%.0f,\"restore_mb_s\":%.1f,\"ratio\":%.2f,\"zstd3_"
           "ratio\":%.2f,"
           "\"block_read_us\":%.0f,\"prune_ms\":%.0f,\"freed_bytes\":%llu,\"disk_bytes_tx\":%.0f,"
           "\"disk_bytes_tx_pruned\":%.0f,\"disk_bytes_tx_compacted\":%.0f}\n",
           mb, txs, mb / copied, mb / zstd, mb / exported, mb / verified,
           (double)report.signatures / verified, mb / restored, (double)raw.len / (double)m.stored_bytes,
           (double)raw.len / (double)packed, single, pruning * 1e3, (unsigned long long)pruned.bytes_freed,
           (double)before / txs, (double)after / txs, (double)compacted / txs);
    rdg_free(dst);
    rdg_buf_fini(&file), rdg_buf_fini(&raw);
}

int main(int argc, char **argv) {
    static run_t r;
    char dir[] = "/tmp/ridge-bench-archive-XXXXXX", path[256];
    size_t blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 60;
    RDG_ASSERT(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/ledger", dir);
    rdg_buf_init(&r.proposal, RDG_BLOCK_BYTES_MAX), rdg_buf_init(&r.certificate, 65536);
    one_validator(CHAIN_ID, &r.key, &r.genesis);
    MUST(rdg_ledger_open(path, &r.genesis, NULL, &r.ledger));
    deploy(&r, argc > 2 ? argv[2] : "contracts/artifacts/Metering.json");
    fill(&r, blocks);
    measure(&r, dir, blocks + 2);
    rdg_ledger_close(r.ledger);
    rdg_sm2_key_free(r.key);
    rdg_buf_fini(&r.proposal), rdg_buf_fini(&r.certificate);
    MUST(rdg_tree_remove(dir, NULL));
    return 0;
}
