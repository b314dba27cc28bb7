#include "ridge/base/bytes.h"
#include <string.h>

rdg_bytes_t rdg_bytes_str(const char *s) {
    return rdg_bytes(s, s ? strlen(s) : 0);
}

bool rdg_bytes_equal(rdg_bytes_t a, rdg_bytes_t b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int rdg_bytes_compare(rdg_bytes_t a, rdg_bytes_t b) {
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* --- reader ------------------------------------------------------------------------------------ */

void rdg_reader_init(rdg_reader_t *r, rdg_bytes_t src) {
    static const uint8_t nothing = 0;
    r->pos = src.data ? src.data : &nothing;
    r->end = r->pos + src.len;
    r->failed = false;
}

size_t rdg_reader_left(const rdg_reader_t *r) {
    return r->failed ? 0 : (size_t)(r->end - r->pos);
}
bool rdg_reader_ok(const rdg_reader_t *r) {
    return !r->failed;
}
bool rdg_reader_done(const rdg_reader_t *r) {
    return !r->failed && r->pos == r->end;
}

static const uint8_t *take(rdg_reader_t *r, size_t len) {
    if (r->failed || (size_t)(r->end - r->pos) < len) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->pos;
    r->pos += len;
    return p;
}

static uint64_t take_be(rdg_reader_t *r, size_t len) {
    const uint8_t *p = take(r, len);
    uint64_t v = 0;
    for (size_t i = 0; p && i < len; ++i) v = (v << 8) | p[i];
    return v;
}

uint8_t rdg_read_u8(rdg_reader_t *r) {
    return (uint8_t)take_be(r, 1);
}
uint16_t rdg_read_u16(rdg_reader_t *r) {
    return (uint16_t)take_be(r, 2);
}
uint32_t rdg_read_u24(rdg_reader_t *r) {
    return (uint32_t)take_be(r, 3);
}
uint32_t rdg_read_u32(rdg_reader_t *r) {
    return (uint32_t)take_be(r, 4);
}
uint64_t rdg_read_u64(rdg_reader_t *r) {
    return take_be(r, 8);
}
uint32_t rdg_read_u32le(rdg_reader_t *r) {
    return __builtin_bswap32(rdg_read_u32(r));
}
uint64_t rdg_read_u64le(rdg_reader_t *r) {
    return __builtin_bswap64(rdg_read_u64(r));
}

rdg_bytes_t rdg_read_bytes(rdg_reader_t *r, size_t len) {
    const uint8_t *p = take(r, len);
    return p ? rdg_bytes(p, len) : rdg_bytes(NULL, 0);
}

void rdg_read_copy(rdg_reader_t *r, void *dst, size_t len) {
    const uint8_t *p = take(r, len);
    if (len == 0) return;
    if (p)
        memcpy(dst, p, len);
    else
        memset(dst, 0, len);
}

rdg_bytes_t rdg_read_rest(rdg_reader_t *r) {
    return rdg_read_bytes(r, rdg_reader_left(r));
}

/* --- writer ------------------------------------------------------------------------------------ */

void rdg_writer_init(rdg_writer_t *w, void *dst, size_t size) {
    w->start = w->pos = dst;
    w->end = w->start + size;
    w->failed = false;
}

bool rdg_writer_ok(const rdg_writer_t *w) {
    return !w->failed;
}
size_t rdg_writer_len(const rdg_writer_t *w) {
    return (size_t)(w->pos - w->start);
}

void rdg_write_bytes(rdg_writer_t *w, const void *data, size_t len) {
    if (w->failed || (size_t)(w->end - w->pos) < len) {
        w->failed = true;
        return;
    }
    if (len > 0) memcpy(w->pos, data, len);
    w->pos += len;
}

static void put_be(rdg_writer_t *w, uint64_t v, size_t len) {
    uint8_t bytes[8];
    rdg_store_be64(bytes, v);
    rdg_write_bytes(w, bytes + 8 - len, len);
}

void rdg_write_u8(rdg_writer_t *w, uint8_t v) {
    put_be(w, v, 1);
}
void rdg_write_u16(rdg_writer_t *w, uint16_t v) {
    put_be(w, v, 2);
}
void rdg_write_u24(rdg_writer_t *w, uint32_t v) {
    put_be(w, v, 3);
}
void rdg_write_u32(rdg_writer_t *w, uint32_t v) {
    put_be(w, v, 4);
}
void rdg_write_u64(rdg_writer_t *w, uint64_t v) {
    put_be(w, v, 8);
}
