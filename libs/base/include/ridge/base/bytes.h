/* Byte views, and the bounds-checked reader through which all received data is read.
 *
 * A view borrows: it never owns what it points at. The reader is sticky: after the first read past the
 * end, every further read gives zero and rdg_reader_ok() is false, so a parser reads a whole structure
 * and checks once. Integers are big-endian unless the name says le. */
#ifndef RIDGE_BASE_BYTES_H
#define RIDGE_BASE_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_bytes {
    const uint8_t *data; /* may be NULL only when len is 0 */
    size_t len;
} rdg_bytes_t;

static inline rdg_bytes_t rdg_bytes(const void *data, size_t len) {
    rdg_bytes_t v = {(const uint8_t *)data, len};
    return v;
}
rdg_bytes_t rdg_bytes_str(const char *s); /* without the terminator; NULL gives an empty view */
bool rdg_bytes_equal(rdg_bytes_t a, rdg_bytes_t b);
int rdg_bytes_compare(rdg_bytes_t a, rdg_bytes_t b); /* lexicographic, as memcmp, shorter first */

typedef struct rdg_reader {
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
} rdg_reader_t;

void rdg_reader_init(rdg_reader_t *r, rdg_bytes_t src); /* borrows src */
size_t rdg_reader_left(const rdg_reader_t *r);
bool rdg_reader_ok(const rdg_reader_t *r);
bool rdg_reader_done(const rdg_reader_t *r); /* ok, and nothing left */
uint8_t rdg_read_u8(rdg_reader_t *r);
uint16_t rdg_read_u16(rdg_reader_t *r);
uint32_t rdg_read_u24(rdg_reader_t *r);
uint32_t rdg_read_u32(rdg_reader_t *r);
uint64_t rdg_read_u64(rdg_reader_t *r);
uint32_t rdg_read_u32le(rdg_reader_t *r);
uint64_t rdg_read_u64le(rdg_reader_t *r);
rdg_bytes_t rdg_read_bytes(rdg_reader_t *r, size_t len);    /* a view into the source */
void rdg_read_copy(rdg_reader_t *r, void *dst, size_t len); /* zeroes dst on failure */
rdg_bytes_t rdg_read_rest(rdg_reader_t *r);

/* Writer into memory of a fixed size; sticky in the same way. */
typedef struct rdg_writer {
    uint8_t *start, *pos, *end;
    bool failed;
} rdg_writer_t;

void rdg_writer_init(rdg_writer_t *w, void *dst, size_t size); /* borrows dst */
bool rdg_writer_ok(const rdg_writer_t *w);
size_t rdg_writer_len(const rdg_writer_t *w);
void rdg_write_u8(rdg_writer_t *w, uint8_t v);
void rdg_write_u16(rdg_writer_t *w, uint16_t v);
void rdg_write_u24(rdg_writer_t *w, uint32_t v);
void rdg_write_u32(rdg_writer_t *w, uint32_t v);
void rdg_write_u64(rdg_writer_t *w, uint64_t v);
void rdg_write_bytes(rdg_writer_t *w, const void *data, size_t len);

/* Unaligned big-endian access to memory that is known to be long enough. */
static inline uint32_t rdg_load_be32(const uint8_t *p) {
    return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}
static inline uint64_t rdg_load_be64(const uint8_t *p) {
    return ((uint64_t)rdg_load_be32(p) << 32) | rdg_load_be32(p + 4);
}
static inline void rdg_store_be32(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}
static inline void rdg_store_be64(uint8_t *p, uint64_t v) {
    rdg_store_be32(p, (uint32_t)(v >> 32)), rdg_store_be32(p + 4, (uint32_t)v);
}

#ifdef __cplusplus
}
#endif
#endif
