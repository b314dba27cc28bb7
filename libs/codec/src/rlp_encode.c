#include "ridge/codec/rlp.h"

#include <string.h>
#include "ridge/base/assert.h"

#define RLP_STRING 0x80u
#define RLP_LIST 0xc0u
#define RLP_SHORT_MAX 55u
#define RLP_HEADER_MAX 9

static size_t put_header(uint8_t out[RLP_HEADER_MAX], uint8_t base, size_t len) {
    if (len <= RLP_SHORT_MAX) {
        out[0] = (uint8_t)(base + len);
        return 1;
    }
    uint8_t be[8];
    rdg_store_be64(be, len);
    size_t zeros = 0;
    while (be[zeros] == 0) zeros++;
    out[0] = (uint8_t)(base + RLP_SHORT_MAX + 8 - zeros);
    memcpy(out + 1, be + zeros, 8 - zeros);
    return 9 - zeros;
}

rdg_err_t rdg_rlp_put_bytes(rdg_buf_t *out, rdg_bytes_t v) {
    if (v.len == 1 && v.data[0] < RLP_STRING) return rdg_buf_u8(out, v.data[0]);
    uint8_t header[RLP_HEADER_MAX];
    RDG_TRY(rdg_buf_append(out, header, put_header(header, RLP_STRING, v.len)));
    return v.len ? rdg_buf_append(out, v.data, v.len) : RDG_OK;
}

rdg_err_t rdg_rlp_put_uint(rdg_buf_t *out, rdg_bytes_t big_endian) {
    while (big_endian.len && big_endian.data[0] == 0) big_endian.data++, big_endian.len--;
    return rdg_rlp_put_bytes(out, big_endian);
}

rdg_err_t rdg_rlp_put_u64(rdg_buf_t *out, uint64_t v) {
    uint8_t be[8];
    rdg_store_be64(be, v);
    return rdg_rlp_put_uint(out, rdg_bytes(be, sizeof be));
}

rdg_err_t rdg_rlp_put_str(rdg_buf_t *out, const char *s) {
    return rdg_rlp_put_bytes(out, rdg_bytes_str(s));
}

size_t rdg_rlp_list_begin(rdg_buf_t *out) {
    return out->len;
}

rdg_err_t rdg_rlp_list_end(rdg_buf_t *out, size_t begin) {
    RDG_TRY(rdg_buf_err(out));
    RDG_ASSERT(begin <= out->len);
    size_t len = out->len - begin;
    uint8_t header[RLP_HEADER_MAX];
    size_t header_len = put_header(header, RLP_LIST, len);
    RDG_TRY(rdg_buf_append(out, header, header_len));
    memmove(out->data + begin + header_len, out->data + begin, len);
    memcpy(out->data + begin, header, header_len);
    return RDG_OK;
}

rdg_err_t rdg_rlp_put_raw(rdg_buf_t *out, rdg_bytes_t encoded_items) {
    return rdg_buf_append(out, encoded_items.data, encoded_items.len);
}
