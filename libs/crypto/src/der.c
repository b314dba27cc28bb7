#include "der.h"

#include <string.h>
#include "sm2_der.h"

bool rdg_der_content(rdg_reader_t *r, uint8_t tag, rdg_bytes_t *out) {
    return rdg_sm2_der_content(r, tag, out);
}

bool rdg_der_enter(rdg_reader_t *r, uint8_t tag, rdg_reader_t *inner) {
    rdg_bytes_t content;
    if (!rdg_der_content(r, tag, &content)) return false;
    rdg_reader_init(inner, content);
    return true;
}

bool rdg_der_u32(rdg_reader_t *r, uint32_t *out) {
    rdg_bytes_t v;
    if (!rdg_der_content(r, RDG_DER_INTEGER, &v) || v.len == 0 || v.data[0] >> 7) return false;
    if (v.len > 1 && v.data[0] == 0 && v.data[1] >> 7 == 0) return false;
    if (v.data[0] == 0) v.data++, v.len--;
    if (v.len > sizeof *out) return false;
    *out = 0;
    for (size_t i = 0; i < v.len; i++) *out = *out << 8 | v.data[i];
    return true;
}

bool rdg_der_bits(rdg_reader_t *r, rdg_bytes_t *out) {
    if (!rdg_der_content(r, RDG_DER_BITS, out) || out->len == 0 || out->data[0] != 0) return false;
    out->data++, out->len--;
    return true;
}

uint8_t rdg_der_peek(const rdg_reader_t *r) {
    return rdg_reader_ok(r) && rdg_reader_left(r) > 0 ? *r->pos : 0;
}

static size_t header(uint8_t out[4], uint8_t tag, size_t len) {
    out[0] = tag;
    if (len < 0x80) return out[1] = (uint8_t)len, 2;
    if (len < 0x100) return out[1] = 0x81, out[2] = (uint8_t)len, 3;
    return out[1] = 0x82, out[2] = (uint8_t)(len >> 8), out[3] = (uint8_t)len, 4;
}

void rdg_der_put(rdg_writer_t *w, uint8_t tag, rdg_bytes_t content) {
    uint8_t head[4];
    if (content.len > UINT16_MAX) {
        w->failed = true;
        return;
    }
    rdg_write_bytes(w, head, header(head, tag, content.len));
    rdg_write_bytes(w, content.data, content.len);
}

void rdg_der_put_u32(rdg_writer_t *w, uint32_t v) {
    uint8_t bytes[5] = {0, (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    size_t from = 0;
    while (from < 4 && bytes[from] == 0 && bytes[from + 1] >> 7 == 0) from++;
    rdg_der_put(w, RDG_DER_INTEGER, rdg_bytes(bytes + from, sizeof bytes - from));
}

void rdg_der_put_u256(rdg_writer_t *w, const uint8_t v[32]) {
    uint8_t bytes[33] = {0};
    size_t from = 0;
    memcpy(bytes + 1, v, 32);
    while (from < 32 && bytes[from] == 0 && bytes[from + 1] >> 7 == 0) from++;
    rdg_der_put(w, RDG_DER_INTEGER, rdg_bytes(bytes + from, sizeof bytes - from));
}

void rdg_der_put_bits(rdg_writer_t *w, rdg_bytes_t bits) {
    size_t start = rdg_der_open(w);
    rdg_write_u8(w, 0);
    rdg_write_bytes(w, bits.data, bits.len);
    rdg_der_close(w, start, RDG_DER_BITS);
}

size_t rdg_der_open(const rdg_writer_t *w) {
    return rdg_writer_len(w);
}

void rdg_der_close(rdg_writer_t *w, size_t start, uint8_t tag) {
    uint8_t head[4], *content = w->start + start;
    size_t len = rdg_writer_len(w) - start, head_len = header(head, tag, len);
    if (len > UINT16_MAX) w->failed = true;
    rdg_write_bytes(w, head, head_len); /* claims the room, or fails */
    if (!rdg_writer_ok(w)) return;
    memmove(content + head_len, content, len);
    memcpy(content, head, head_len);
}
