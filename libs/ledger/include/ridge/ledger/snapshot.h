/* Snapshots of the state, exported while the ledger works and verified as they are imported.
 *
 * A snapshot is of one height. It has a manifest and numbered chunks of at most RDG_SNAPSHOT_CHUNK_MAX bytes:
 *   state   accounts and storage slots, ascending by their path in the state tree (docs/ledger.md)
 *   code    contract code, ascending by Keccak-256
 *   guard   ids of the transactions of the blocks from which one could still be replayed (RDG_TX_VALID_MAX heights)
 * Two ledgers that agree make the same chunks of one height, byte for byte, so that a reader may take them from many.
 *
 * Every chunk is verified by itself, against what a checkpoint certificate has signed:
 * 1. The manifest divides the tree into parts and names the digest of each; together they come to the state root of
 *    the executed header at its height, which rdg_headers_import has verified. A state chunk is a run of whole parts.
 * 2. A code is what its hash says, and an account of the state must have it; at the end none is missing.
 * 3. The ids of a block come to the tx_root of its verified header.
 * 4. At the end the root of the tree that was built is computed once more, and the governance in it must be that of the
 *    epoch in the executed header.
 * The imported state is beside the present one until rdg_snapshot_import_finish makes it the head's, in one write.
 * Blocks below have headers and seals then, but no bodies (UNAVAILABLE); indexes of transactions reach back as far as
 * the guard.
 *
 * A crash at any moment leaves either ledger whole: chunks are stored with their number in one write, and
 * rdg_snapshot_import_open goes on where the last one was. An import that is given up costs disk until the next one, or
 * rdg_snapshot_sweep.
 *
 * Stream: frames, each a u32 length and that many bytes: header segments (headers.h) if asked for, the manifest, the
 * chunks in order. Nothing here knows of files or networks.
 *
 * Memory: an export holds options.memory_bytes (16 MiB by default) and the manifest; an import one chunk, what the tree
 * needs for it, and the manifest: together below 32 MiB. Limits: RDG_SNAPSHOT_MANIFEST_MAX.
 * Errors: MALFORMED, TOO_LARGE, WRONG_CHAIN, CONFLICT (another snapshot, a chunk out of order), INVALID (its content is
 * not what was certified), each with manifest or chunk number; UNAVAILABLE: headers up to there are not known yet;
 * STALE: the ledger is at that height or above; CORRUPT, IO, DISK_FULL: this node's own trouble.
 * Threads: an export runs beside everything; an import belongs to one thread at a time, and nothing is applied between
 * its finish and itself (the caller's lane). */
#ifndef RIDGE_LEDGER_SNAPSHOT_H
#define RIDGE_LEDGER_SNAPSHOT_H
#include "ridge/ledger/headers.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_SNAPSHOT_CHUNK_MAX (1u << 20)    /* they are cut at about a quarter of it */
#define RDG_SNAPSHOT_MANIFEST_MAX (4u << 20) /* bytes */
#define RDG_SNAPSHOT_MEMORY_DEFAULT (16u << 20)

/* --- the bytes ----------------------------------------------------------------------------------- */
typedef struct rdg_snapshot_writer {
    rdg_err_t (*write)(void *ctx, rdg_bytes_t bytes);
    void *ctx;
} rdg_snapshot_writer_t;

typedef struct rdg_snapshot_reader {
    /* Up to len bytes; *got 0 only at the end. */
    rdg_err_t (*read)(void *ctx, void *dst, size_t len, size_t *got);
    void *ctx;
} rdg_snapshot_reader_t;

/* --- export -------------------------------------------------------------------------------------- */
/* A height of the ledger that is kept readable although blocks follow. It costs disk: what later blocks replace. */
typedef struct rdg_snapshot_pin rdg_snapshot_pin_t;
rdg_err_t rdg_snapshot_pin(rdg_ledger_t *l, rdg_snapshot_pin_t **out); /* the head */
/* A height whose state is still there (ledger.h, RDG_LEDGER_STATES_KEPT); UNSUPPORTED names them. */
rdg_err_t rdg_snapshot_pin_at(rdg_ledger_t *l, uint64_t height, rdg_snapshot_pin_t **out);
uint64_t rdg_snapshot_pin_height(const rdg_snapshot_pin_t *pin);
rdg_snapshot_pin_t *rdg_snapshot_pin_ref(rdg_snapshot_pin_t *pin);
void rdg_snapshot_unpin(rdg_snapshot_pin_t *pin); /* NULL is fine; before the ledger is closed */

typedef struct rdg_snapshot_options {
    size_t memory_bytes;   /* 0: the default */
    uint64_t headers_from; /* header segments from this height on come first; 0: none */
} rdg_snapshot_options_t;

typedef struct rdg_snapshot_export rdg_snapshot_export_t;
/* UNAVAILABLE: the height has no checkpoint certificate (yet), or ids of blocks that are needed are not there. */
rdg_err_t rdg_snapshot_export_new(rdg_ledger_t *l, rdg_snapshot_pin_t *pin,
                                  const rdg_snapshot_options_t *options, rdg_snapshot_export_t **out);
/* One pass of work, at most a few hundred milliseconds for each 10 MB of state; frames go to the writer. */
rdg_err_t rdg_snapshot_export_step(rdg_snapshot_export_t *e, const rdg_snapshot_writer_t *writer, bool *done);
void rdg_snapshot_export_free(rdg_snapshot_export_t *e);

/* --- import -------------------------------------------------------------------------------------- */
typedef struct rdg_snapshot_info {
    uint64_t chain_id, height;
    rdg_hash_t block_hash, state_root;
    uint64_t bytes;        /* of all chunks */
    uint32_t chunks, next; /* next: the chunk that is wanted */
} rdg_snapshot_info_t;

/* Structure only, for whoever chooses among several; next is 0. */
rdg_err_t rdg_snapshot_manifest_info(rdg_bytes_t manifest, rdg_snapshot_info_t *out);

typedef struct rdg_snapshot_import rdg_snapshot_import_t;
/* Verifies the manifest against the known headers. Goes on with this import if it is the one that was under way, else
 * forgets that one. */
rdg_err_t rdg_snapshot_import_open(rdg_ledger_t *l, rdg_bytes_t manifest, rdg_snapshot_import_t **out);
/* The one that was under way. NOT_FOUND: none. */
rdg_err_t rdg_snapshot_import_resume(rdg_ledger_t *l, rdg_snapshot_import_t **out);
void rdg_snapshot_import_info(const rdg_snapshot_import_t *i, rdg_snapshot_info_t *out);
/* The chunk that is wanted. A refused one changes nothing. */
rdg_err_t rdg_snapshot_import_chunk(rdg_snapshot_import_t *i, rdg_bytes_t chunk);
/* After the last chunk: verifies the whole and makes it the ledger's head. */
rdg_err_t rdg_snapshot_import_finish(rdg_snapshot_import_t *i);
void rdg_snapshot_import_close(rdg_snapshot_import_t *i); /* NULL is fine; the import stays where it is */
/* Forgets an import and removes up to max_keys entries of the bank that is not in use; *done when it is empty. */
rdg_err_t rdg_snapshot_sweep(rdg_ledger_t *l, size_t max_keys, bool *done);

/* A whole stream, from its first frame to the end: headers, manifest, chunks, finish. */
rdg_err_t rdg_snapshot_read(rdg_ledger_t *l, const rdg_snapshot_reader_t *reader);

#ifdef __cplusplus
}
#endif
#endif
