#include <inttypes.h>
#include "headers.h"

#define SEGMENT_MAGIC 0x52484452u /* "RHDR" */
#define SEGMENT_READ_MAX (2 * RDG_HEADERS_SEGMENT_MAX)

void segment_begin(rdg_buf_t *out, uint64_t chain_id, uint64_t first, size_t *count_at) {
    rdg_buf_u32(out, SEGMENT_MAGIC);
    rdg_buf_u64(out, chain_id);
    rdg_buf_u64(out, first);
    *count_at = out->len;
    rdg_buf_u32(out, 0);
}

static void put_part(rdg_buf_t *out, rdg_bytes_t part) {
    rdg_buf_u16(out, (uint16_t)part.len);
    rdg_buf_append(out, part.data, part.len);
}

rdg_err_t segment_put(rdg_buf_t *out, const header_item_t *item) {
    const rdg_bytes_t parts[] = {item->header, item->seal, item->executed, item->checkpoint, item->epoch};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i)
        if (parts[i].len > UINT16_MAX) return rdg_fail(RDG_E_TOO_LARGE, "a part of a header is over 64 KiB");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) put_part(out, parts[i]);
    return rdg_buf_err(out);
}

void segment_end(rdg_buf_t *out, size_t count_at, uint32_t count) {
    if (rdg_buf_err(out) == RDG_OK) rdg_store_be32(out->data + count_at, count);
}

rdg_err_t segment_open(rdg_bytes_t segment, header_segment_t *out) {
    if (segment.len > SEGMENT_READ_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a header segment of %zu bytes: the limit is %u", segment.len,
                        SEGMENT_READ_MAX);
    rdg_reader_init(&out->items, segment);
    uint32_t magic = rdg_read_u32(&out->items);
    out->chain_id = rdg_read_u64(&out->items);
    out->first = rdg_read_u64(&out->items);
    out->count = rdg_read_u32(&out->items);
    if (!rdg_reader_ok(&out->items) || magic != SEGMENT_MAGIC)
        return rdg_fail(RDG_E_MALFORMED, "these bytes are not a header segment");
    return RDG_OK;
}

static rdg_bytes_t read_part(rdg_reader_t *r) {
    return rdg_read_bytes(r, rdg_read_u16(r));
}

rdg_err_t segment_next(header_segment_t *s, header_item_t *out) {
    out->header = read_part(&s->items);
    out->seal = read_part(&s->items);
    out->executed = read_part(&s->items);
    out->checkpoint = read_part(&s->items);
    out->epoch = read_part(&s->items);
    if (!rdg_reader_ok(&s->items)) return rdg_fail(RDG_E_MALFORMED, "the header segment is cut off");
    return RDG_OK;
}
