/* Block bodies: append-only files of checksummed records, `NNNNNN.blk`, each file up to BLOCKFILE_ROLL bytes.
 *
 * Record: magic (4 bytes), height (8), lengths of proposal, seal, receipts (4 each), CRC-32C of these 24
 * bytes, then the three parts and the CRC-32C of the parts.
 *
 * The files do not say where they end: the store does, by the place of the last block. What stands behind
 * that is the tail of a crash and is cut off at open. A file that is shorter, or whose last record does not
 * verify, is CORRUPT. After a failed append nothing is appended until reopened. One writer; reads from any
 * thread. */
#ifndef RIDGE_LEDGER_BLOCKFILE_H
#define RIDGE_LEDGER_BLOCKFILE_H
#include "ridge/base/buf.h"

#define BLOCKFILE_ROLL (64u << 20)

typedef struct block_place {
    uint32_t file; /* from 1; 0: no body (genesis) */
    uint64_t offset;
    uint32_t proposal_len, seal_len, receipts_len;
} block_place_t;

typedef struct block_parts {
    rdg_bytes_t proposal, seal, receipts; /* views into the buffer given to read */
} block_parts_t;

typedef struct blockfile blockfile_t;

/* last: place of the block `height`; file 0 when there is none yet. */
rdg_err_t blockfile_open(const char *dir, const block_place_t *last, uint64_t height, blockfile_t **out);
void blockfile_close(blockfile_t *b);
/* Where the next record will stand; starts a new file when the last one is full. Changes nothing else. */
rdg_err_t blockfile_plan(blockfile_t *b, rdg_bytes_t proposal, rdg_bytes_t seal, rdg_bytes_t receipts,
                         block_place_t *place);
/* At the planned place; on stable storage when it returns RDG_OK. */
rdg_err_t blockfile_append(blockfile_t *b, const block_place_t *place, uint64_t height, rdg_bytes_t proposal,
                           rdg_bytes_t seal, rdg_bytes_t receipts);
/* CORRUPT names the file and the offset. */
rdg_err_t blockfile_read(const blockfile_t *b, const block_place_t *place, uint64_t height, rdg_buf_t *buf,
                         block_parts_t *out);
/* Gives back what lies before keep: whole files, and the first part of keep's own, as far as the file system can. Adds
 * the bytes of allocated blocks that this frees. What is gone already costs nothing, so it may be repeated. */
rdg_err_t blockfile_release(const blockfile_t *b, const block_place_t *keep, uint64_t *freed,
                            uint64_t *files);
size_t block_record_size(const block_place_t *place);

#endif
