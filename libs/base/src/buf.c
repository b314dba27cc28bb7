#include "ridge/base/buf.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/checked.h"

enum { SMALLEST = 64 };

void rdg_buf_init(rdg_buf_t *b, size_t max_bytes) {
    *b = (rdg_buf_t){.max = max_bytes < PTRDIFF_MAX - 1 ? max_bytes : PTRDIFF_MAX - 1};
}

void rdg_buf_fini(rdg_buf_t *b) {
    rdg_free(b->data);
    *b = (rdg_buf_t){.max = b->max};
}

void rdg_buf_clear(rdg_buf_t *b) {
    b->len = 0, b->err = RDG_OK;
}
rdg_err_t rdg_buf_err(const rdg_buf_t *b) {
    return b->err;
}

/* One byte more than `size` is always allocated: rdg_buf_cstr and rdg_buf_take put a NUL there. */
static rdg_err_t grow(rdg_buf_t *b, size_t size) {
    uint8_t *data = rdg_realloc(b->data, size + 1);
    if (!data) return b->err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a buffer of %zu bytes", size);
    b->data = data, b->size = size;
    return RDG_OK;
}

rdg_err_t rdg_buf_reserve(rdg_buf_t *b, size_t extra) {
    if (b->err) return b->err;
    if (extra <= b->size - b->len && b->data) return RDG_OK;
    size_t need;
    if (!rdg_add_size(b->len, extra, &need) || need > b->max)
        return b->err =
                   rdg_fail(RDG_E_TOO_LARGE, "more than the %zu bytes that this buffer may hold", b->max);
    size_t size = b->size <= b->max / 2 ? b->size * 2 : b->max;
    if (size < need) size = need;
    if (size < SMALLEST) size = SMALLEST;
    return grow(b, size < b->max ? size : b->max);
}

rdg_err_t rdg_buf_append(rdg_buf_t *b, const void *data, size_t len) {
    RDG_TRY(rdg_buf_reserve(b, len));
    if (len) memcpy(b->data + b->len, data, len);
    b->len += len;
    return RDG_OK;
}

static rdg_err_t append_be(rdg_buf_t *b, uint64_t v, size_t len) {
    uint8_t raw[8];
    for (size_t i = 0; i < len; ++i) raw[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
    return rdg_buf_append(b, raw, len);
}

rdg_err_t rdg_buf_u8(rdg_buf_t *b, uint8_t v) {
    return append_be(b, v, 1);
}
rdg_err_t rdg_buf_u16(rdg_buf_t *b, uint16_t v) {
    return append_be(b, v, 2);
}
rdg_err_t rdg_buf_u32(rdg_buf_t *b, uint32_t v) {
    return append_be(b, v, 4);
}
rdg_err_t rdg_buf_u64(rdg_buf_t *b, uint64_t v) {
    return append_be(b, v, 8);
}
rdg_err_t rdg_buf_str(rdg_buf_t *b, const char *s) {
    return rdg_buf_append(b, s, strlen(s));
}

rdg_err_t rdg_buf_vprintf(rdg_buf_t *b, const char *fmt, va_list args) {
    if (b->err) return b->err;
    va_list again;
    va_copy(again, args);
    size_t room = b->data ? b->size - b->len + 1 : 0;
    int n = vsnprintf(room ? (char *)b->data + b->len : NULL, room, fmt, args);
    rdg_err_t err = RDG_OK;
    if (n < 0) {
        err = b->err = rdg_fail(RDG_E_INVALID, "format \"%s\" cannot be printed", fmt);
    } else if ((size_t)n >= room) {
        err = rdg_buf_reserve(b, (size_t)n);
        if (!err) vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (!err) b->len += (size_t)n;
    return err;
}

rdg_err_t rdg_buf_printf(rdg_buf_t *b, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    rdg_err_t err = rdg_buf_vprintf(b, fmt, args);
    va_end(args);
    return err;
}

void rdg_buf_consume(rdg_buf_t *b, size_t len) {
    RDG_ASSERT(len <= b->len);
    if (len == 0) return;
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
}

const char *rdg_buf_cstr(rdg_buf_t *b) {
    if (!b->data && rdg_buf_reserve(b, 0)) return NULL;
    b->data[b->len] = 0;
    return (const char *)b->data;
}

uint8_t *rdg_buf_take(rdg_buf_t *b, size_t *len) {
    *len = 0;
    if (b->err || !rdg_buf_cstr(b)) return NULL;
    uint8_t *data = b->data;
    *len = b->len;
    *b = (rdg_buf_t){.max = b->max};
    return data;
}
