/* Segments in memory, and files that lie: frames changed and everything behind them made to agree. */
#ifndef RIDGE_LEDGER_TEST_ARCHIVE_FORGE_H
#define RIDGE_LEDGER_TEST_ARCHIVE_FORGE_H
#include "archive_internal.h"

typedef struct memory_file {
    rdg_buf_t bytes;
} memory_file_t;
void memory_init(memory_file_t *f);
void memory_fini(memory_file_t *f);
rdg_archive_sink_t memory_sink(memory_file_t *f);
rdg_err_t memory_open(const memory_file_t *f, const rdg_archive_options_t *o, rdg_archive_t **out);

typedef struct lie {
    void (*frame)(void *ctx, uint32_t index, frame_t *f, rdg_buf_t *raw); /* before it is packed */
    void (*packed)(void *ctx, uint32_t index, frame_t *f);                /* the entry of the index */
    void (*manifest)(void *ctx, rdg_archive_manifest_t *m);
    void *ctx;
} lie_t;
/* A file whose digests, sizes and signature, by signer, are right, with what lie has changed. */
void archive_forge_by(const memory_file_t *truth, const lie_t *lie, const rdg_sm2_key_t *signer,
                      memory_file_t *out);

#endif
