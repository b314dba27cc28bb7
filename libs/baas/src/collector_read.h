/* Blocks, transactions and receipts that no node has any more, from the archives of the chain (collector_read.c). */
#ifndef RIDGE_BAAS_SRC_COLLECTOR_READ_H
#define RIDGE_BAAS_SRC_COLLECTOR_READ_H
#include "collector.h"

typedef struct archive_reader archive_reader_t;
rdg_err_t archive_reader_new(rdg_baas_t *b, archive_reader_t **out);
void archive_reader_free(archive_reader_t *r); /* NULL is fine */

typedef struct archived_want {
    const uint8_t *tx; /* 32 bytes: this transaction of the block, as {"tx", "receipt"}; NULL: the block */
    bool full;         /* of a block: its transactions whole */
    bool receipts;     /* in place of a block the list of its receipts */
} archived_want_t;
/* As a node would answer; *source says of which archive, and may be NULL. Both are owned. Any thread; may wait for the
 * platform. ARCHIVED: in no archive here. CORRUPT, BAD_SIGNATURE and the like: the stored file is not what it was. */
rdg_err_t archived_read(rdg_baas_t *b, const chain_t *c, uint64_t height, const archived_want_t *want,
                        json_t **out, json_t **source);
/* Whether a node's JSON-RPC error says ARCHIVED, and of which block. */
bool archived_height(const json_t *node_error, uint64_t *height);

#endif
