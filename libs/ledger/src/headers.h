/* Headers that are known above the head. */
#ifndef RIDGE_LEDGER_HEADERS_INTERNAL_H
#define RIDGE_LEDGER_HEADERS_INTERNAL_H
#include "ledger_internal.h"
#include "ridge/ledger/headers.h"

extern const char META_HEADERS[]; /* highest known height */

/* One header of a segment, as it stands there. */
typedef struct header_item {
    rdg_bytes_t header, seal, executed, checkpoint, epoch;
} header_item_t;

/* headers_format.c */
typedef struct header_segment {
    uint64_t chain_id, first;
    uint32_t count;
    rdg_reader_t items;
} header_segment_t;
void segment_begin(rdg_buf_t *out, uint64_t chain_id, uint64_t first, size_t *count_at);
rdg_err_t segment_put(rdg_buf_t *out, const header_item_t *item);
void segment_end(rdg_buf_t *out, size_t count_at, uint32_t count);
rdg_err_t segment_open(rdg_bytes_t segment, header_segment_t *out);
rdg_err_t segment_next(header_segment_t *s, header_item_t *out); /* MALFORMED when it is cut */

#endif
