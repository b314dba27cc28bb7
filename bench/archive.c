/* Archive segments of readings in the metering contract: export, verify, restore, and a single read, beside `zstd -3` and cp
 * of the same bytes in the same run (in memory, without disk, all of them: read once, written once). Then what a ledger
 * keeps on disk before and after it is pruned and its store compacted, and how long a lost ledger takes to come back by
 * executing the segment and by the state at its end. One JSON object; MB are raw bytes of blocks and receipts. `_mb_s` is by
 * the processor time of all threads, `_wall_mb_s` by the clock, with as many threads as there are cores; `serial_` with one.
 * Usage: bench_archive [blocks] [path of Metering.json] [readings a transaction] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <zstd.h>

#include "one_validator.h"
#include "readings.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/ledger/archive.h"

#define CHAIN_ID 7
#define READINGS 4
#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

typedef readings_t run_t;

/* Of processor time, all threads: others work on the machines that we measure on. */
static double cpu_s(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static double wall_s(void) {
    return (double)rdg_mono_us(rdg_clock_system()) / 1e6;
}

typedef struct took {
    double cpu, wall;
} took_t;

static took_t start_now(void) {
    return (took_t){cpu_s(), wall_s()};
}

static took_t since(took_t start) {
    return (took_t){cpu_s() - start.cpu, wall_s() - start.wall};
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

static took_t export_all(run_t *r, uint64_t to, unsigned threads, rdg_buf_t *out, rdg_archive_manifest_t *m) {
    rdg_archive_export_options_t o = {.from = 1, .to = to, .signer = r->key, .threads = threads};
    rdg_archive_sink_t sink = {write_memory, out};
    rdg_buf_clear(out);
    took_t start = start_now();
    MUST(rdg_archive_export(r->ledger, &o, &sink, m));
    return since(start);
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

static took_t zstd(rdg_bytes_t raw, uint8_t *dst, size_t size, size_t *packed) {
    took_t start = start_now();
    *packed = ZSTD_compress(dst, size, raw.data, raw.len, 3);
    RDG_ASSERT(!ZSTD_isError(*packed));
    return since(start);
}

static took_t copy(rdg_bytes_t raw, uint8_t *dst) {
    took_t start = start_now();
    memcpy(dst, raw.data, raw.len);
    return since(start);
}

static took_t verify(run_t *r, const rdg_buf_t *file, unsigned threads, rdg_archive_report_t *report) {
    rdg_archive_t *a = NULL;
    rdg_archive_options_t o = {.threads = threads};
    rdg_archive_source_t source = {read_memory, file->len, (void *)(uintptr_t)file};
    took_t start = start_now();
    MUST(rdg_archive_open(&source, &o, &a));
    MUST(rdg_archive_trust(a, &r->genesis));
    MUST(rdg_archive_verify(a, NULL, NULL, report));
    rdg_archive_close(a);
    return since(start);
}

static double read_us(run_t *r, const rdg_buf_t *file, uint64_t to) {
    enum { READS = 50 };
    rdg_archive_t *a = NULL;
    rdg_archive_source_t source = {read_memory, file->len, (void *)(uintptr_t)file};
    MUST(rdg_archive_open(&source, NULL, &a));
    MUST(rdg_archive_trust(a, &r->genesis));
    double start = cpu_s();
    for (uint64_t i = 0; i < READS; ++i) {
        rdg_archive_block_t b;
        MUST(rdg_archive_read(a, 1 + i * 7919 % to, &b));
        rdg_archive_block_fini(&b);
    }
    double took = (cpu_s() - start) * 1e6 / READS;
    rdg_archive_close(a);
    return took;
}

/* Of an empty ledger, until it stands at the segment's end; on this disk. */
static took_t recover(run_t *r, const rdg_buf_t *file, const char *dir, const char *name, bool state) {
    rdg_ledger_t *l = NULL;
    rdg_archive_t *a = NULL;
    rdg_ledger_head_t head;
    char path[256];
    rdg_archive_source_t source = {read_memory, file->len, (void *)(uintptr_t)file};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    took_t start = start_now();
    MUST(rdg_ledger_open(path, &r->genesis, NULL, &l));
    MUST(rdg_archive_open(&source, NULL, &a));
    MUST((state ? rdg_archive_import_state : rdg_archive_import)(a, l, NULL, NULL));
    rdg_ledger_head(l, &head);
    RDG_ASSERT(head.height == rdg_archive_manifest(a)->to);
    rdg_archive_close(a);
    rdg_ledger_close(l);
    took_t took = since(start);
    MUST(rdg_tree_remove(path, NULL));
    return took;
}

static took_t export_with_state(run_t *r, uint64_t to, rdg_buf_t *out, rdg_archive_manifest_t *m) {
    rdg_archive_export_options_t o = {.from = 1, .to = to, .signer = r->key};
    rdg_archive_sink_t sink = {write_memory, out};
    rdg_buf_clear(out);
    MUST(rdg_snapshot_pin_at(r->ledger, to, &o.state));
    took_t start = start_now();
    MUST(rdg_archive_export(r->ledger, &o, &sink, m));
    took_t took = since(start);
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
    double start = cpu_s();
    MUST(rdg_ledger_header(r->ledger, to, &last, NULL, NULL));
    receipt.mark_ms = last.time_ms;
    MUST(rdg_archive_content_of(r->ledger, 1, to, &receipt.content));
    MUST(rdg_archive_receipt_sign(&receipt, r->key, &bytes));
    MUST(rdg_ledger_prune(r->ledger, to, rdg_buf_view(&bytes), &r->genesis.validators.keys[0], 1, out));
    rdg_buf_fini(&bytes);
    return cpu_s() - start;
}

typedef struct figures {
    double raw_mb, txs;
    took_t copy, zstd, export, export_serial, verify, verify_serial, with_state, replay, state;
} figures_t;

static void rate(const figures_t *f, const char *name, took_t took) {
    printf("\"%s_mb_s\":%.1f,\"%s_wall_mb_s\":%.1f,", name, f->raw_mb / took.cpu, name,
           f->raw_mb / took.wall);
}

static void print_rates(const figures_t *f) {
    rate(f, "cp", f->copy);
    rate(f, "zstd3", f->zstd);
    rate(f, "export", f->export);
    rate(f, "serial_export", f->export_serial);
    rate(f, "verify", f->verify);
    rate(f, "serial_verify", f->verify_serial);
    rate(f, "restore", f->state);
    rate(f, "restore_replay", f->replay);
    printf("\"export_with_state_s\":%.2f,\"recover_replay_s\":%.2f,\"recover_state_s\":%.2f,",
           f->with_state.wall, f->replay.wall, f->state.wall);
}

static void measure_archive(run_t *r, const char *dir, uint64_t to) {
    rdg_buf_t file, raw;
    rdg_archive_manifest_t m, with;
    rdg_archive_report_t report;
    figures_t f;
    rdg_buf_init(&file, 4ull << 30), rdg_buf_init(&raw, 4ull << 30);
    raw_bytes(r, to, &raw);
    size_t size = ZSTD_compressBound(raw.len), packed;
    uint8_t *dst = rdg_alloc(size);
    RDG_ASSERT(dst);
    memset(dst, 1, size);
    f.raw_mb = (double)raw.len / 1e6;
    f.copy = copy(rdg_buf_view(&raw), dst);
    f.zstd = zstd(rdg_buf_view(&raw), dst, size, &packed);
    f.export_serial = export_all(r, to, 1, &file, &m);
    f.export = export_all(r, to, 0, &file, &m);
    f.verify_serial = verify(r, &file, 1, &report);
    f.verify = verify(r, &file, 0, &report);
    f.txs = (double)m.tx_count;
    double single = read_us(r, &file, to);
    f.with_state = export_with_state(r, to, &file, &with);
    f.replay = recover(r, &file, dir, "replay", false);
    f.state = recover(r, &file, dir, "state", true);
    printf("{\"raw_mb\":%.1f,\"state_mb\":%.1f,\"txs\":%.0f,", f.raw_mb, (double)with.state_bytes / 1e6,
           f.txs);
    print_rates(&f);
    printf("\"verify_signatures_s\":%.0f,\"ratio\":%.2f,\"zstd3_ratio\":%.2f,\"block_read_us\":%.0f,",
           (double)report.signatures / f.verify.cpu, (double)raw.len / (double)m.stored_bytes,
           (double)raw.len / (double)packed, single);
    rdg_free(dst);
    rdg_buf_fini(&file), rdg_buf_fini(&raw);
}

static void measure_disk(run_t *r, const char *path, uint64_t to) {
    rdg_ledger_head_t head;
    rdg_prune_result_t pruned;
    uint64_t before = 0, after = 0, compacted = 0;
    rdg_ledger_head(r->ledger, &head);
    double txs = (double)head.tx_total;
    MUST(rdg_tree_size(path, &before));
    double pruning = prune_s(r, to, &pruned);
    MUST(rdg_tree_size(path, &after));
    MUST(rdg_kv_compact(rdg_ledger_kv(r->ledger)));
    MUST(rdg_tree_size(path, &compacted));
    printf("\"prune_ms\":%.0f,\"freed_bytes\":%llu,\"disk_bytes_tx\":%.0f,"
           "\"disk_bytes_tx_pruned\":%.0f,\"disk_bytes_tx_compacted\":%.0f}\n",
           pruning * 1e3, (unsigned long long)pruned.bytes_freed, (double)before / txs, (double)after / txs,
           (double)compacted / txs);
}

int main(int argc, char **argv) {
    static run_t r;
    char dir[] = "/tmp/ridge-bench-archive-XXXXXX", path[256];
    size_t blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 60;
    RDG_ASSERT(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/ledger", dir);
    one_validator(CHAIN_ID, &r.key, &r.genesis);
    readings_open(&r, path);
    readings_deploy(&r, argc > 2 ? argv[2] : "contracts/artifacts/Metering.json", 1);
    readings_fill(&r, blocks, argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : READINGS, 0);
    measure_archive(&r, dir, blocks + 2);
    measure_disk(&r, path, blocks + 2);
    readings_close(&r);
    rdg_sm2_key_free(r.key);
    MUST(rdg_tree_remove(dir, NULL));
    return 0;
}
