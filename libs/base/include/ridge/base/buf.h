/* A growing byte buffer with a stated maximum.
 *
 * Invariants: len <= size <= max; data is NULL until the first byte. Appending is sticky like the
 * writer's: after a failure (TOO_LARGE or NO_MEMORY) the buffer keeps what it had, ignores further
 * appends, and rdg_buf_err() tells the code, so a builder checks once at the end. */
#ifndef RIDGE_BASE_BUF_H
#define RIDGE_BASE_BUF_H
#include <stdarg.h>
#include "ridge/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_buf {
    uint8_t *data;
    size_t len, size, max;
    rdg_err_t err;
} rdg_buf_t;

void rdg_buf_init(rdg_buf_t *b, size_t max_bytes);
void rdg_buf_fini(rdg_buf_t *b);  /* frees; the buffer may be initialised again */
void rdg_buf_clear(rdg_buf_t *b); /* len 0 and error cleared, memory kept */
rdg_err_t rdg_buf_err(const rdg_buf_t *b);
rdg_err_t rdg_buf_reserve(rdg_buf_t *b, size_t extra);
rdg_err_t rdg_buf_append(rdg_buf_t *b, const void *data, size_t len);
rdg_err_t rdg_buf_u8(rdg_buf_t *b, uint8_t v);
rdg_err_t rdg_buf_u16(rdg_buf_t *b, uint16_t v);
rdg_err_t rdg_buf_u32(rdg_buf_t *b, uint32_t v);
rdg_err_t rdg_buf_u64(rdg_buf_t *b, uint64_t v);
rdg_err_t rdg_buf_str(rdg_buf_t *b, const char *s); /* no terminator */
__attribute__((format(printf, 2, 3))) rdg_err_t rdg_buf_printf(rdg_buf_t *b, const char *fmt, ...);
__attribute__((format(printf, 2, 0))) rdg_err_t rdg_buf_vprintf(rdg_buf_t *b, const char *fmt, va_list args);
void rdg_buf_consume(rdg_buf_t *b, size_t len); /* drops len bytes from the front */
static inline rdg_bytes_t rdg_buf_view(const rdg_buf_t *b) {
    return rdg_bytes(b->data, b->len);
}
/* The content as a NUL-terminated string, borrowed (the NUL is beyond len); NULL if it cannot grow. */
const char *rdg_buf_cstr(rdg_buf_t *b);
/* Gives the memory away, NUL-terminated beyond *len; the buffer is empty afterwards. Returns owned; NULL,
 * with *len 0 and the buffer as it was, after a failed append or without memory. */
uint8_t *rdg_buf_take(rdg_buf_t *b, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
