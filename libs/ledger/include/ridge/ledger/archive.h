/* Archive segments: a run of blocks as one file that proves itself to who has the genesis, years later and without a node.
 *
 * A segment holds the blocks [from, to] of a chain: proposals, executed headers, receipts, seals, checkpoint certificates;
 * the changes of the validators since the genesis, each certified by the validators before it (the lineage); an index of
 * transactions; a manifest that an SM2 key has signed. docs/archive-format.md describes every byte.
 *
 * Invariants
 * 1. Content and evidence are apart. What the chain determines (blocks, receipts, index) is the same on every node, and the
 *    manifest's content digest names it: one archive a chain and range, however many nodes offer one. Which quorum signed
 *    differs between nodes, and so do the manifest digest, which names one file's bytes, and the signature beside it.
 * 2. One node exports one range to the same bytes each time, all but the signature at the end, which SM2 makes with a
 *    number of its own each time: an export that was interrupted is made again and what is there already is compared, not
 *    written. (zstd of another version may pack differently: the content digest stays.)
 * 3. Nothing is taken from a file before it has been hashed against the manifest, and sizes are checked before memory is
 *    taken. A frame is decompressed into the size that the index states, which is at most frame_bytes_max.
 * 4. rdg_archive_verify recomputes every transaction id and signature, transaction root, header hash, parent link, receipt
 *    root, quorum seal and checkpoint certificate, against the validators that the lineage proves from the genesis on.
 * 5. A ledger prunes only what a signed receipt of a collector covers, and only if the content digest in it is the one that
 *    the ledger computes from its own headers. The mark of what is pruned never moves back.
 *
 * A quorum of validators who left long ago could make a false lineage for who has the genesis only: compare the manifest
 * digest with one that is anchored, or the block hash with a known one, where that matters.
 *
 * Encryption is per frame, SM4-GCM. Nonces are synthetic: the first 12 bytes of HMAC-SM3, with a key of its own, over the
 * associated data and the plaintext; both keys are derived from the caller's and the segment's chain and range. So equal
 * frames give equal bytes, and a nonce repeats only with its plaintext. The manifest is in the clear.
 *
 * A segment may end with the state behind its last block (snapshot.h): then a ledger can be built from there on, without
 * executing what was before. State and code are verified with the segment, against the state root in the certified
 * executed header of its last block. Which transactions are not to be taken again is learnt from the blocks.
 *
 * Memory: for each thread two pairs of frames, raw and packed (256 KiB each and a block more), some 4 MiB in all or one
 * pair that is larger; with one thread one pair. 12 bytes for a transaction and 32 for a block of the segment while it is
 * exported or verified; with the state two groups of its chunks (512 KiB each and a chunk more) with some three
 * times their bytes, what the tree needs for one of them, and 32 for a code: together below 32 MiB. An import without
 * execution gathers what it stores as well: up to 8 MiB of ids, then up to 24 MiB of state, half as much again to sort it.
 * Errors: MALFORMED, TOO_LARGE, UNSUPPORTED (a newer version), CORRUPT (a digest does not match; names frame and offset),
 * BAD_SIGNATURE, WRONG_CHAIN, INVALID (names the height), UNAUTHENTICATED (the key is missing or not the one), UNAVAILABLE
 * (a block that cannot be archived yet, or whose body is not here), NOT_FOUND, CONFLICT, CANCELLED, IO, NO_MEMORY.
 * Threads: an archive belongs to one thread at a time; export runs beside everything that a ledger does. Export,
 * verification and import of a state work on several frames at once, with threads of their own that inherit the caller's priority; sink,
 * source and progress are called by the caller's thread only, in order. */
#ifndef RIDGE_LEDGER_ARCHIVE_H
#define RIDGE_LEDGER_ARCHIVE_H
#include "ridge/crypto/sm4.h"
#include "ridge/ledger/ledger.h"
#include "ridge/ledger/snapshot.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_ARCHIVE_VERSION 2 /* of those with a state; without one they are of version 1 */
#define RDG_ARCHIVE_BLOCKS_MAX (1u << 18)
#define RDG_ARCHIVE_TXS_MAX (1u << 20)
#define RDG_ARCHIVE_FRAMES_MAX (1u << 17)
#define RDG_ARCHIVE_RAW_BYTES_MAX (8ull << 30) /* of blocks and receipts */
#define RDG_ARCHIVE_FRAME_RAW_MAX (RDG_RECEIPTS_BYTES_MAX + 2 * RDG_BLOCK_BYTES_MAX)
#define RDG_ARCHIVE_FRAME_BYTES (256u << 10) /* a frame of bodies ends with the block that reaches it, */
#define RDG_ARCHIVE_FRAME_BLOCKS 512u        /* or with as many */
#define RDG_ARCHIVE_READ_FRAME_MAX                                                                           \
    (160u << 20) /* what a reader takes by default: default gas limits pay for less */
#define RDG_ARCHIVE_MANIFEST_MAX 4096u
#define RDG_ARCHIVE_KEY_ID_MAX 64

/* --- bytes --------------------------------------------------------------------------------------- */
typedef struct rdg_archive_sink {
    rdg_err_t (*write)(void *ctx, rdg_bytes_t bytes);
    void *ctx;
} rdg_archive_sink_t;

typedef struct rdg_archive_source {
    rdg_err_t (*read_at)(void *ctx, uint64_t offset, void *dst, size_t len); /* all of len, or an error */
    uint64_t size;
    void *ctx;
} rdg_archive_source_t;

typedef struct rdg_archive_key {
    char id[RDG_ARCHIVE_KEY_ID_MAX + 1]; /* 1 to 64 printable characters; stands in the manifest */
    uint8_t key[RDG_SM4_KEY_BYTES];
} rdg_archive_key_t;

/* --- manifest ------------------------------------------------------------------------------------ */
typedef struct rdg_archive_manifest {
    uint64_t chain_id;
    rdg_hash_t genesis;
    bool raft;
    uint64_t from, to, first_time_ms, last_time_ms; /* last_time_ms: the archive mark */
    uint64_t tx_count;
    rdg_hash_t parent, last_block, last_executed; /* hash before from; of to; executed digest of to */
    rdg_hash_t blocks_root;           /* Merkle root over block hash ‖ executed digest of each */
    uint64_t first_epoch, last_epoch; /* that decide from and to */
    rdg_hash_t first_epoch_digest, last_epoch_digest;
    /* of the file */
    uint64_t raw_bytes, stored_bytes; /* of all frames */
    uint32_t frame_count, index_bytes;
    rdg_hash_t index_digest;
    char key_id[RDG_ARCHIVE_KEY_ID_MAX + 1]; /* empty: not encrypted */
    uint32_t state_frames;                   /* 0: without the state behind block to */
    uint64_t state_bytes;                    /* raw */
} rdg_archive_manifest_t;

rdg_err_t rdg_archive_manifest_encode(const rdg_archive_manifest_t *m, rdg_buf_t *out);
rdg_err_t rdg_archive_manifest_decode(rdg_bytes_t encoded, rdg_archive_manifest_t *out);
/* SM3 (tag ARCHIVE_MANIFEST) of the encoding: names a file's bytes; what is signed. */
rdg_err_t rdg_archive_manifest_digest(const rdg_archive_manifest_t *m, rdg_hash_t *out);
/* SM3 (tag ARCHIVE_CONTENT) of what the chain determines: the same for every honest archive of the range. */
rdg_err_t rdg_archive_content_digest(const rdg_archive_manifest_t *m, rdg_hash_t *out);

typedef struct rdg_archive_progress {
    uint64_t height, blocks, blocks_total, txs, signatures, bytes;
} rdg_archive_progress_t;
/* Returns false to stop: CANCELLED. */
typedef bool (*rdg_archive_progress_fn)(void *ctx, const rdg_archive_progress_t *p);

/* --- export -------------------------------------------------------------------------------------- */
typedef struct rdg_archive_export_options {
    uint64_t from, to;
    const rdg_sm2_key_t *signer;  /* of this node */
    const rdg_archive_key_t *key; /* NULL: not encrypted */
    int level;                    /* of zstd, 1 to 19; 0: 3 */
    unsigned threads;          /* at most 8; 0: as many as there are cores, at most 4. The file is the same */
    rdg_snapshot_pin_t *state; /* borrowed; of height to, else INVALID. NULL: the segment has no state */
    rdg_archive_progress_fn progress;
    void *progress_ctx;
} rdg_archive_export_options_t;

/* The largest to for a segment from there, within the limits above and below the newest checkpoint. UNAVAILABLE: none. */
rdg_err_t rdg_archive_plan(rdg_ledger_t *l, uint64_t from, uint64_t to_wanted, uint64_t *to);
/* UNAVAILABLE names the block that has no checkpoint certificate or no body here. */
rdg_err_t rdg_archive_export(rdg_ledger_t *l, const rdg_archive_export_options_t *o,
                             const rdg_archive_sink_t *sink, rdg_archive_manifest_t *out);
/* Into path.part, which becomes path when it is whole and synced. What path.part has already is compared and kept. An
 * existing path is refused (EXISTS). */
rdg_err_t rdg_archive_export_file(rdg_ledger_t *l, const rdg_archive_export_options_t *o, const char *path,
                                  rdg_archive_manifest_t *out);

/* --- reading ------------------------------------------------------------------------------------- */
typedef struct rdg_archive_options {
    const rdg_archive_key_t *keys; /* borrowed for as long as the archive is open */
    size_t key_count;
    size_t frame_bytes_max; /* 0: RDG_ARCHIVE_READ_FRAME_MAX */
    unsigned threads;       /* of a verification; as those of an export */
} rdg_archive_options_t;

typedef struct rdg_archive rdg_archive_t;
/* Reads trailer, manifest and index; verifies the index and the signature of the manifest by the key beside it, whoever's
 * that is. source is copied. */
rdg_err_t rdg_archive_open(const rdg_archive_source_t *source, const rdg_archive_options_t *o,
                           rdg_archive_t **out);
rdg_err_t rdg_archive_open_file(const char *path, const rdg_archive_options_t *o, rdg_archive_t **out);
void rdg_archive_close(rdg_archive_t *a); /* NULL is fine */
const rdg_archive_manifest_t *rdg_archive_manifest(const rdg_archive_t *a);
void rdg_archive_digest(const rdg_archive_t *a, rdg_hash_t *manifest_digest);
const rdg_sm2_public_t *rdg_archive_signer(const rdg_archive_t *a);

/* Learns the chain's validators from the lineage. From then on what is read is verified. WRONG_CHAIN, BAD_SIGNATURE. */
rdg_err_t rdg_archive_trust(rdg_archive_t *a, const rdg_genesis_t *genesis);
/* The validators of a height of the segment; after trust. Borrowed. */
const rdg_epoch_t *rdg_archive_epoch(const rdg_archive_t *a, uint64_t height);

typedef struct rdg_archive_block {
    rdg_block_t *block; /* owned: rdg_archive_block_fini */
    rdg_executed_t executed;
    rdg_bytes_t executed_bytes, receipts, seal, checkpoint; /* encoded; views, valid until the next read */
    bool proven;                                            /* by seal and certificate, after trust */
} rdg_archive_block_t;
/* One block by height, unpacking its frames only. Roots and links within the block are recomputed always; transactions'
 * signatures, seal and certificate after trust. */
rdg_err_t rdg_archive_read(rdg_archive_t *a, uint64_t height, rdg_archive_block_t *out);
void rdg_archive_block_fini(rdg_archive_block_t *b);
/* NOT_FOUND. */
rdg_err_t rdg_archive_find_tx(rdg_archive_t *a, const rdg_hash_t *id, rdg_tx_location_t *out);

typedef struct rdg_archive_report {
    uint64_t blocks, txs, signatures, epochs, bytes;
} rdg_archive_report_t;
/* All of it, after trust (INVALID before). out may be NULL. */
rdg_err_t rdg_archive_verify(rdg_archive_t *a, rdg_archive_progress_fn progress, void *ctx,
                             rdg_archive_report_t *out);

/* --- back into a ledger -------------------------------------------------------------------------- */
/* Applies the blocks above the ledger's head, each verified and executed (ledger.h, apply) and its result compared with the
 * certificate; blocks that are there must be the same. What is durable stays: call it again after an interruption.
 * UNAVAILABLE: the segment starts above the head. */
rdg_err_t rdg_archive_import(rdg_archive_t *a, rdg_ledger_t *l, rdg_archive_progress_fn progress, void *ctx);
/* What a ledger keeps of blocks that it has no bodies of: headers with seals and certificates (headers.h), each verified,
 * and ids of transactions. Nothing is executed, the head stays. Again after an interruption. UNAVAILABLE: the segment
 * starts above what is known. */
rdg_err_t rdg_archive_import_headers(rdg_archive_t *a, rdg_ledger_t *l, rdg_archive_progress_fn progress,
                                     void *ctx);
/* The same, then the state at the end becomes the ledger's (snapshot.h): its head is block to. Chunks of the state are stored
 * together by some 16 MiB, then the number of the next in one synced write: after a crash that is where it goes on, after an
 * error or CANCELLED with the chunk that was next. NOT_FOUND: the segment has no state; UNAVAILABLE: headers or ids of the
 * blocks before are missing: their archives come first. A ledger that is there already is left as it is. */
rdg_err_t rdg_archive_import_state(rdg_archive_t *a, rdg_ledger_t *l, rdg_archive_progress_fn progress,
                                   void *ctx);

/* --- receipts and pruning ------------------------------------------------------------------------ */
/* What a collector says of an archive that it has verified, stored, read back and anchored. RLP:
 *   [ [1, chain_id, genesis, from, to, mark_ms, manifest, content, anchor_height, anchor_tx], key(64), signature(64) ]
 * The signature is over SM3 (tag ARCHIVE_RECEIPT) of the first item. */
typedef struct rdg_archive_receipt {
    uint64_t chain_id;
    rdg_hash_t genesis;
    uint64_t from, to, mark_ms; /* mark_ms: time of block to */
    rdg_hash_t manifest, content;
    uint64_t anchor_height; /* on the main chain */
    rdg_hash_t anchor_tx;
    rdg_sm2_public_t collector;
} rdg_archive_receipt_t;
/* Appends. collector of r is taken from key. */
rdg_err_t rdg_archive_receipt_sign(const rdg_archive_receipt_t *r, const rdg_sm2_key_t *key, rdg_buf_t *out);
/* Structure only. */
rdg_err_t rdg_archive_receipt_decode(rdg_bytes_t encoded, rdg_archive_receipt_t *out);
/* FORBIDDEN: signed by a key that is none of these. */
rdg_err_t rdg_archive_receipt_verify(rdg_bytes_t encoded, const rdg_sm2_public_t *collectors, size_t count,
                                     rdg_archive_receipt_t *out);

typedef struct rdg_prune_result {
    uint64_t pruned_height; /* the mark: bodies and receipts up to here are not on this node */
    uint64_t bytes_freed;   /* of allocated disk blocks, measured before and after */
    uint64_t files_removed;
} rdg_prune_result_t;
/* Deletes bodies and receipts of the heights below `below`, which receipt must cover from the mark on: FORBIDDEN, without
 * effect, unless it verifies by one of the collectors' keys, is of this chain, names this ledger's own content of its range,
 * and is anchored. INVALID: below is above receipt.to + 1, or would take the newest body, which a ledger keeps. STALE: the
 * mark is there already; what a crash has left is deleted all the same. The mark and the receipt are durable before the
 * first byte goes; open() ends what a crash has interrupted. Headers, seals, certificates and the indexes stay. */
rdg_err_t rdg_ledger_prune(rdg_ledger_t *l, uint64_t below, rdg_bytes_t receipt,
                           const rdg_sm2_public_t *collectors, size_t collector_count,
                           rdg_prune_result_t *out);
/* The mark; 0: nothing is pruned. */
uint64_t rdg_ledger_pruned(rdg_ledger_t *l);
/* All that prunings of this ledger have freed of its files, in bytes. */
uint64_t rdg_ledger_freed(rdg_ledger_t *l);
/* What a node keeps although it is archived: as many of its newest blocks, and all that are younger. */
typedef struct rdg_retention {
    uint64_t blocks, age_ms;
} rdg_retention_t;
/* The first height up to `end` + 1 that stays, at now_ms (Unix time): what may be pruned lies below. At least 1; never above
 * the newest body. */
rdg_err_t rdg_ledger_retained(rdg_ledger_t *l, const rdg_retention_t *keep, uint64_t end, uint64_t now_ms,
                              uint64_t *first);
/* The stored receipt under which a pruned height was deleted. NOT_FOUND. */
rdg_err_t rdg_ledger_archive_of(rdg_ledger_t *l, uint64_t height, rdg_archive_receipt_t *out);
/* Which height the last ARCHIVED error of this thread was about. */
uint64_t rdg_ledger_archived_height(void);
/* The content of a range as this ledger's headers have it: what a receipt must name. */
rdg_err_t rdg_archive_content_of(rdg_ledger_t *l, uint64_t from, uint64_t to, rdg_hash_t *out);

#ifdef __cplusplus
}
#endif
#endif
