/* An ordered key-value store behind a vtable: RocksDB for real, memory for tests and the simulator.
 *
 * Durability: a batch is applied whole or not at all. rdg_kv_write with sync=true returns RDG_OK only when
 * the batch is on stable storage; with sync=false it survives a crash of the process but maybe not of the
 * machine. After any failed write the store refuses further writes with the same code until reopened
 * (a later one must not be acknowledged on top of a hole); reads go on.
 * Errors: CORRUPT (checksum, missing file: names it; a store that has lost its CURRENT is never begun anew), DISK_FULL
 * (also at opening, with less than 1 MiB free), IO, BUSY (opened by another process), NOT_FOUND (absent and create is
 * false).
 * Thread-safe; a batch or an iterator belongs to one thread at a time; a snapshot may be read by many. */
#ifndef RIDGE_KV_KV_H
#define RIDGE_KV_KV_H
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_KV_KEY_MAX 1024
#define RDG_KV_VALUE_MAX (64u << 20)

typedef struct rdg_kv rdg_kv_t;
typedef struct rdg_kv_batch rdg_kv_batch_t;
typedef struct rdg_kv_iter rdg_kv_iter_t;
typedef struct rdg_kv_snapshot rdg_kv_snapshot_t;

typedef struct rdg_kv_options {
    size_t memory_bytes; /* budget for write buffers and cache together; 0: 16 MiB; at least 2 MiB */
    bool create;         /* make the store if absent */
} rdg_kv_options_t;

rdg_err_t rdg_kv_open_rocksdb(const char *path, const rdg_kv_options_t *options, rdg_kv_t **out);
rdg_err_t rdg_kv_open_memory(rdg_kv_t **out);
void rdg_kv_close(rdg_kv_t *kv); /* NULL is fine; iterators and snapshots are closed before */

/* Clears out and fills it with the value; NOT_FOUND leaves it empty. snap may be NULL (latest). */
rdg_err_t rdg_kv_get(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t key, rdg_buf_t *out);

rdg_kv_batch_t *rdg_kv_batch_new(void); /* NULL: no memory */
void rdg_kv_batch_free(rdg_kv_batch_t *b);
void rdg_kv_batch_clear(rdg_kv_batch_t *b);
/* Sticky errors (TOO_LARGE, NO_MEMORY): reported by rdg_kv_batch_err and rdg_kv_write. Copy. Operations apply
 * in order. */
void rdg_kv_batch_put(rdg_kv_batch_t *b, rdg_bytes_t key, rdg_bytes_t value);
void rdg_kv_batch_delete(rdg_kv_batch_t *b, rdg_bytes_t key);
size_t rdg_kv_batch_bytes(const rdg_kv_batch_t *b);
rdg_err_t rdg_kv_batch_err(const rdg_kv_batch_t *b);
rdg_err_t rdg_kv_write(rdg_kv_t *kv, const rdg_kv_batch_t *b, bool sync);
/* For many rows at once (from some MiB on): they become sorted tables that the store takes in as they are, past its log and
 * its write buffers, which costs a fraction. Rows that differ in their first prefix_bytes get into tables of their own, so
 * that of each range one table comes, and what does not overlap with others is never written again.
 * Not whole or nothing: the rows of one prefix are, and those of a greater prefix get there before those of a smaller one.
 * After an error or a cut whoever calls it can do it again. With RDG_OK all rows are on stable storage. A failure counts as
 * that of a write. */
rdg_err_t rdg_kv_write_tables(rdg_kv_t *kv, const rdg_kv_batch_t *b, size_t prefix_bytes);

rdg_kv_snapshot_t *rdg_kv_snapshot(rdg_kv_t *kv); /* NULL: no memory */
void rdg_kv_snapshot_release(rdg_kv_t *kv, rdg_kv_snapshot_t *s);

/* Ascending over keys with the prefix, from `from` (>= prefix; empty: the first). Views are valid until
 * the next call. false at the end or on error (rdg_kv_iter_err). What is written after the iterator was
 * opened is not seen. */
rdg_err_t rdg_kv_iter_open(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t prefix, rdg_bytes_t from,
                           rdg_kv_iter_t **out);
bool rdg_kv_iter_next(rdg_kv_iter_t *it, rdg_bytes_t *key, rdg_bytes_t *value);
rdg_err_t rdg_kv_iter_err(const rdg_kv_iter_t *it);
void rdg_kv_iter_close(rdg_kv_iter_t *it);

/* Rewrites what deleted and overwritten keys still take, while reads and writes go on. May take long, and writes the
 * store about once: not for every day. */
rdg_err_t rdg_kv_compact(rdg_kv_t *kv);

/* Whether every file that the store is made of is there, as long as it was written. CORRUPT names one. */
rdg_err_t rdg_kv_check_files(rdg_kv_t *kv);

typedef struct rdg_kv_stats {
    uint64_t disk_bytes, memory_bytes, keys_estimate;
} rdg_kv_stats_t;
void rdg_kv_stats(rdg_kv_t *kv, rdg_kv_stats_t *out);

/* Trouble on demand, for tests of whoever stores: a store around `inner` (taken) whose n-th write from the
 * call of fail_at on (1 is the next) fails with `err` and stores nothing; 0 disarms. */
rdg_err_t rdg_kv_open_faulty(rdg_kv_t *inner, rdg_kv_t **out);
void rdg_kv_faulty_fail_at(rdg_kv_t *faulty, uint64_t n, rdg_err_t err);

#ifdef __cplusplus
}
#endif
#endif
