/* Segments in memory, and files that lie: frames changed and everything behind them made to agree. */
#ifndef RIDGE_LEDGER_TEST_ARCHIVE_FILE_H
#define RIDGE_LEDGER_TEST_ARCHIVE_FILE_H
#include "archive_internal.h"
#include "chain.h"

typedef struct memory_file {
    rdg_buf_t bytes;
} memory_file_t;
void memory_init(memory_file_t *f);
void memory_fini(memory_file_t *f);
rdg_archive_sink_t memory_sink(memory_file_t *f);
rdg_err_t memory_open(const memory_file_t *f, const rdg_archive_options_t *o, rdg_archive_t **out);

void archive_of(const chain_t *c, uint64_t from, uint64_t to, const rdg_archive_key_t *key,
                memory_file_t *out);
/* open, trust, verify */
rdg_err_t archive_prove(const memory_file_t *f, const rdg_genesis_t *g, rdg_archive_report_t *report);

typedef struct lie {
    void (*frame)(void *ctx, uint32_t index, frame_t *f, rdg_buf_t *raw); /* before it is packed */
    void (*packed)(void *ctx, uint32_t index, frame_t *f);                /* the entry of the index */
    void (*manifest)(void *ctx, rdg_archive_manifest_t *m);
    void *ctx;
} lie_t;
/* A file whose digests, sizes and signature are right, with what lie has changed. */
void archive_forge(const memory_file_t *truth, const lie_t *lie, memory_file_t *out);

#endif
