/* Between the parts of an archive segment: frames, the index, ciphers. Layout: docs/archive-format.md. */
#ifndef RIDGE_LEDGER_ARCHIVE_INTERNAL_H
#define RIDGE_LEDGER_ARCHIVE_INTERNAL_H
#include "ridge/base/assert.h"
#include "ridge/codec/rlp.h"
#include "ridge/ledger/archive.h"
#include "snapshot_internal.h"
#include "workers.h"

enum {
    ARCHIVE_HEAD_BYTES = 16,
    ARCHIVE_TRAILER_BYTES = 40,
    ARCHIVE_TX_ENTRY_BYTES = 12, /* first 8 bytes of an id, number of the block from 0 */
    ARCHIVE_SIGNATURE_MAX = 160,
    ARCHIVE_SEAL_OVERHEAD = RDG_SM4_NONCE_BYTES + RDG_SM4_TAG_BYTES,
    ARCHIVE_CERTIFICATE_MAX = 64 << 10
};
#define ARCHIVE_INDEX_MAX (9u << 20)
#define ARCHIVE_TX_FRAME_ENTRIES 16384u

typedef enum frame_kind {
    FRAME_LINEAGE = 1,
    FRAME_BODIES = 2,
    FRAME_PROOFS = 3,
    FRAME_TXS = 4,
    FRAME_STATE = 5
} frame_kind_t;

typedef struct frame {
    frame_kind_t kind;
    uint64_t
        first; /* epoch, height, the first entry's place in the index of transactions, or number of a part of
                       the state: 0 its manifest, then the chunks */
    uint32_t count; /* of items */
    uint32_t raw_len, stored_len;
    rdg_hash_t digest; /* SM3 of what is stored */
    uint64_t offset;   /* follows from the frames before it */
} frame_t;

typedef struct frame_list {
    frame_t *frames;
    uint32_t count, size;
} frame_list_t;

/* archive_format.c */
rdg_err_t frames_add(frame_list_t *l, const frame_t *f); /* FULL */
void frames_free(frame_list_t *l);
rdg_err_t frames_encode(const frame_list_t *l, rdg_buf_t *out);
/* Sets the offsets; *end is where the frames end. */
rdg_err_t frames_decode(rdg_bytes_t encoded, uint32_t count, frame_list_t *out, uint64_t *end);
uint8_t archive_version(const rdg_archive_manifest_t *m);
void archive_head(uint8_t version, uint8_t out[ARCHIVE_HEAD_BYTES]);
typedef struct archive_trailer {
    uint64_t file_bytes;
    uint32_t index_bytes, manifest_bytes, signature_bytes;
    uint8_t version;
} archive_trailer_t;
void archive_trailer_encode(const archive_trailer_t *t, uint8_t out[ARCHIVE_TRAILER_BYTES]);
rdg_err_t archive_trailer_decode(const uint8_t in[ARCHIVE_TRAILER_BYTES], uint64_t file_bytes,
                                 archive_trailer_t *out);
/* [key, signature] of the manifest's digest. */
rdg_err_t archive_signature_encode(const rdg_sm2_key_t *key, const rdg_hash_t *digest, rdg_buf_t *out);
rdg_err_t archive_signature_verify(rdg_bytes_t encoded, const rdg_hash_t *digest, rdg_sm2_public_t *key);

/* archive_frame.c */
typedef struct frame_cipher {
    rdg_sm4_t *sm4; /* NULL: frames are in the clear */
    uint8_t nonce_key[32];
    rdg_hash_t genesis;
} frame_cipher_t;
/* key NULL: in the clear. */
rdg_err_t frame_cipher_init(frame_cipher_t *c, const rdg_archive_key_t *key, const rdg_archive_manifest_t *m);
void frame_cipher_fini(frame_cipher_t *c);
typedef struct frame_packer {
    void *zstd; /* ZSTD_CCtx */
    frame_cipher_t cipher;
    rdg_buf_t stored; /* of the last frame */
} frame_packer_t;
rdg_err_t frame_packer_init(frame_packer_t *p, int level, const rdg_archive_key_t *key,
                            const rdg_archive_manifest_t *m);
void frame_packer_fini(frame_packer_t *p); /* also of one that is all zero */
void frame_stored_init(rdg_buf_t *b);      /* for what a frame becomes */
/* Sets lengths and digest of f; what is to be stored is in p->stored. */
rdg_err_t frame_pack(frame_packer_t *p, rdg_bytes_t raw, frame_t *f);
typedef struct frame_unpacker {
    void *zstd; /* ZSTD_DCtx */
    frame_cipher_t cipher;
} frame_unpacker_t;
rdg_err_t frame_unpacker_init(frame_unpacker_t *u, const rdg_archive_key_t *key,
                              const rdg_archive_manifest_t *m);
void frame_unpacker_fini(frame_unpacker_t *u);
/* stored is changed; raw is cleared and filled. */
rdg_err_t frame_unpack(frame_unpacker_t *u, const frame_t *f, uint8_t *stored, rdg_buf_t *raw);

/* archive_crew.c: threads that work on several pairs of frames at once; they start when there are two */
enum { CREW_MAX = 8, PAIRS_MAX = 2 * CREW_MAX };
#define PAIRS_BYTES (4u << 20) /* raw, of all that are in work; a larger one is in work alone */
typedef struct archive_crew {
    unsigned threads; /* 1 to CREW_MAX */
    workers_t *workers;
    workers_job_t job; /* between crew_begin and crew_end; else NULL */
    void *ctx;
    uint32_t numbers;
} archive_crew_t;
void crew_init(archive_crew_t *c, unsigned wanted); /* 0: as many as there are cores, at most 4 */
void crew_fini(archive_crew_t *c);
/* job(ctx, worker, number) for each number; on the caller's thread, which is worker 0, where there is one thread. */
void crew_run(archive_crew_t *c, workers_job_t job, void *ctx, uint32_t numbers);
/* The same in two steps, between which the caller does something else while the others work. One job at a time. */
void crew_begin(archive_crew_t *c, workers_job_t job, void *ctx, uint32_t numbers);
void crew_end(archive_crew_t *c); /* nothing if none was begun */
/* One thread has no use for more than one pair. */
static inline uint32_t crew_pairs(const archive_crew_t *c) {
    return c->threads == 1 ? 1 : 2 * c->threads;
}

/* archive_export_pairs.c: frames of bodies and proofs. What is in work at once is made in any order and by any thread,
 * planned and written in the chain's. */
typedef struct export_pair {
    uint64_t first, tx_first; /* height; the first transaction's place in the segment */
    uint32_t count, txs;
    size_t raw_len; /* planned */
    frame_t frames[2];
    rdg_buf_t stored[2];
    rdg_buf_t raw, proofs;
    rdg_err_t err;
} export_pair_t;
typedef struct export_hand { /* of one thread */
    frame_packer_t packer;
    rdg_buf_t record, seal, checkpoint; /* of one block */
} export_hand_t;
typedef struct export_pairs {
    rdg_ledger_t *l;
    rdg_archive_manifest_t *m; /* filled as blocks are planned */
    uint8_t *txs;              /* entries of the index */
    uint64_t txs_size;
    rdg_hash_t *leaves; /* one of each block */
    archive_crew_t crew;
    export_hand_t hands[CREW_MAX];
    export_pair_t pairs[PAIRS_MAX];
    uint32_t count; /* in work */
    rdg_buf_t scratch;
} export_pairs_t;
rdg_err_t export_pairs_init(export_pairs_t *x, rdg_ledger_t *l, const rdg_archive_export_options_t *o,
                            rdg_archive_manifest_t *m);
void export_pairs_fini(export_pairs_t *x);
/* Makes the pairs from *next on, as many as may be in work at once, and moves *next behind them. */
rdg_err_t export_pairs_make(export_pairs_t *x, uint64_t *next);
/* Whether that one was made; an error is that of the caller's thread. */
rdg_err_t export_pair_settle(export_pairs_t *x, uint32_t number);

/* archive_blocks.c: items of frames */
typedef struct body_item {
    rdg_bytes_t proposal, executed, receipts;
} body_item_t;
rdg_err_t body_item_next(rdg_rlp_t *c, body_item_t *out);
typedef struct proof_item {
    rdg_bytes_t seal, checkpoint;
} proof_item_t;
rdg_err_t proof_item_next(rdg_rlp_t *c, proof_item_t *out);
rdg_err_t receipts_root(rdg_bytes_t receipts, uint32_t count, rdg_hash_t *out);
void blocks_leaf(const rdg_hash_t *block, const rdg_hash_t *executed, rdg_hash_t *out);
int tx_entry_compare(const void *a, const void *b);
void tx_entry_put(uint8_t out[ARCHIVE_TX_ENTRY_BYTES], const rdg_hash_t *id, uint32_t block);

/* archive_read.c */
struct signature_batch;
struct rdg_archive {
    rdg_archive_source_t source;
    int fd; /* of source, when it is ours; else -1 */
    size_t frame_bytes_max;
    rdg_archive_manifest_t manifest;
    rdg_hash_t digest;
    rdg_sm2_public_t signer;
    frame_list_t frames;
    uint32_t first_bodies, first_txs, first_state; /* in frames; bodies and proofs alternate between */
    const rdg_archive_key_t *key; /* borrowed; NULL: it is in the clear, or its key is not there */
    unsigned threads;
    frame_unpacker_t unpacker;
    rdg_buf_t stored, bodies, proofs; /* the last frames that were read */
    uint32_t bodies_at;               /* frame in bodies and proofs; UINT32_MAX: none */
    bool has_key, trusted, raft;
    rdg_epoch_t *epochs; /* by number from 0, after trust */
    rdg_hash_t *epoch_digests;
    uint32_t epoch_count;
    struct signature_batch *batch; /* after trust */
};
rdg_err_t archive_load_frame(rdg_archive_t *a, uint32_t index, rdg_buf_t *raw);
/* The same in two steps: reading, by the one thread that the archive belongs to; then the rest, each with an unpacker of
 * its own. */
rdg_err_t archive_fetch_frame(const rdg_archive_t *a, uint32_t index, rdg_buf_t *stored);
rdg_err_t archive_unpack_frame(const rdg_archive_t *a, uint32_t index, frame_unpacker_t *u, rdg_buf_t *stored,
                               rdg_buf_t *raw);
/* Bodies frame i and the proofs that follow it, into a->bodies and a->proofs. */
rdg_err_t archive_load_pair(rdg_archive_t *a, uint32_t i);

/* archive_lineage.c */
rdg_err_t lineage_write(rdg_ledger_t *l, uint64_t to,
                        rdg_err_t (*item)(void *ctx, uint64_t epoch, rdg_bytes_t bytes), void *ctx);
/* Who decides height, and whose digest an executed header of that height must name: the place of the epoch. */
uint32_t archive_epoch_at(const rdg_archive_t *a, uint64_t height);

/* archive_signatures.c. Errors of a flush name the block. Validator sets live as long as the batch. */
typedef struct signature_batch signature_batch_t;
signature_batch_t *signature_batch_new(void); /* NULL: no memory */
void signature_batch_free(signature_batch_t *b);
/* Everything of a certificate but its signatures; those are added. At most one seal and one checkpoint a block, before
 * signature_batch_block. */
rdg_err_t signature_batch_certificate(signature_batch_t *b, const rdg_certificate_t *c,
                                      const rdg_validator_set_t *set, bool raft, rdg_phase_t phase,
                                      uint64_t height, const rdg_hash_t *digest);
/* The transactions' signatures; flushes when there are enough. */
rdg_err_t signature_batch_block(signature_batch_t *b, rdg_block_t *block);
rdg_err_t signature_batch_flush(signature_batch_t *b);
/* The two steps of a flush: the work, on any thread; then what came of it, on the one that is to have the error. */
void signature_batch_verify(signature_batch_t *b);
rdg_err_t signature_batch_settle(signature_batch_t *b);
void signature_batch_clear(signature_batch_t *b);

/* archive_state_read.c: chunks of the state, read in order, then unpacked and proven several at once. The next ones are in
 * work while the caller deals with those before. */
enum { STATE_GROUP_MAX = 16 };
#define STATE_GROUP_BYTES (512u << 10) /* raw; and a chunk more */
typedef struct state_group {
    uint32_t first, count; /* numbers of chunks */
    rdg_buf_t stored[STATE_GROUP_MAX], raw[STATE_GROUP_MAX];
    proven_chunk_t proven[STATE_GROUP_MAX];
    rdg_err_t err[STATE_GROUP_MAX]; /* of unpacking or proving */
} state_group_t;
typedef struct state_reader {
    rdg_archive_t *a;
    const manifest_t *m; /* borrowed */
    uint32_t next, end;  /* chunks that are still to be read */
    archive_crew_t crew;
    frame_unpacker_t unpackers[CREW_MAX];
    state_group_t groups[2];
    state_group_t *in_work;
} state_reader_t;
/* The chunks of kind CHUNK_STATE from `first` on. */
rdg_err_t state_reader_init(state_reader_t *r, rdg_archive_t *a, const manifest_t *m, uint32_t first);
void state_reader_fini(state_reader_t *r); /* also of one that is all zero */
/* The next ones, valid until the next call; count 0: there are none. An error is that the first cannot be read. */
rdg_err_t state_reader_next(state_reader_t *r, state_group_t **out);
/* Why chunk `index` of the group is wrong, as an error of the caller's thread. OK: it is not, or not any more. */
rdg_err_t state_reader_settle(state_reader_t *r, state_group_t *g, uint32_t index);

/* archive_state.c */
typedef rdg_err_t (*archive_put_fn)(void *ctx, uint64_t number, rdg_buf_t *raw);
/* The parts of a pinned state, one after the other; raw is cleared behind each. */
rdg_err_t state_write(rdg_ledger_t *l, rdg_snapshot_pin_t *pin, archive_put_fn put, void *ctx);
/* After the blocks have been verified: state and code of the height `to`. go_on: NULL, or false to stop. */
rdg_err_t state_verify(rdg_archive_t *a, const rdg_hash_t *root, bool (*go_on)(void *ctx, uint64_t bytes),
                       void *ctx);

/* archive_verify.c: one block against what is known */
typedef struct block_check {
    rdg_block_t *block; /* owned */
    rdg_executed_t executed;
    rdg_hash_t executed_digest;
    uint64_t signatures;
} block_check_t;
/* Adds the certificates' signatures to the batch if the archive is trusted; NULL is fine else. */
rdg_err_t archive_check_block(const rdg_archive_t *a, signature_batch_t *batch, uint64_t height,
                              const body_item_t *body, const proof_item_t *proof, block_check_t *out);

/* archive_pairs.c: pairs of frames that are read in order, then unpacked and worked on several at once. */
typedef struct read_pair {
    uint32_t frame; /* of bodies; the proofs follow it */
    rdg_buf_t stored[2], raw[2];
    rdg_err_t err; /* of unpacking or of the work */
} read_pair_t;
typedef rdg_err_t (*pair_job_t)(void *ctx, uint32_t number);
typedef struct pair_reader {
    rdg_archive_t *a;
    archive_crew_t crew;
    frame_unpacker_t unpackers[CREW_MAX];
    read_pair_t pairs[PAIRS_MAX];
    uint32_t count; /* in work */
    pair_job_t job; /* on any thread, once pairs[number].raw is there */
    void *ctx;
} pair_reader_t;
rdg_err_t pair_reader_init(pair_reader_t *r, rdg_archive_t *a, pair_job_t job, void *ctx);
void pair_reader_fini(pair_reader_t *r);
/* The pairs from frame *next on, as many as may be in work at once; moves *next behind them. What was wrong with one, its err
 * says; an error here is that the first cannot be read. */
rdg_err_t pair_reader_next(pair_reader_t *r, uint32_t *next);
/* Why that one is wrong, as an error of the caller's thread. OK: it is not, or not any more. */
rdg_err_t pair_reader_settle(pair_reader_t *r, uint32_t number);

/* archive_verify_pairs.c: what can be checked of a pair without the blocks before it. Signatures are verified last: links,
 * which the caller checks in between, are refused first. */
typedef struct checked_block {
    rdg_header_t header;
    rdg_hash_t hash;
    rdg_executed_t executed;
    rdg_hash_t executed_digest;
    uint64_t signatures;
} checked_block_t;
typedef struct verify_pair {
    checked_block_t *blocks;
    uint32_t room, done; /* of blocks; how many are good */
    rdg_buf_t ids;       /* entries of the index of transactions, of the good blocks */
    signature_batch_t *batch;
} verify_pair_t;
typedef struct verify_pairs {
    pair_reader_t reader;
    verify_pair_t pairs[PAIRS_MAX];
} verify_pairs_t;
rdg_err_t verify_pairs_init(verify_pairs_t *x, rdg_archive_t *a);
void verify_pairs_fini(verify_pairs_t *x);
rdg_err_t verify_pairs_signatures(verify_pairs_t *x);

#endif
