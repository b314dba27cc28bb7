#include "ridge/base/buf.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <stdio.h>
#include <string.h>

#define FIRST_SIZE 64

void rdg_buf_init(rdg_buf_t *b, size_t max_bytes) {
    *b = (rdg_buf_t){.max = max_bytes};
}

void rdg_buf_fini(rdg_buf_t *b) {
    rdg_free(b->data);
    rdg_buf_init(b, b->max);
}

void rdg_buf_clear(rdg_buf_t *b) {
    b->len = 0;
    b->err = RDG_OK;
}

rdg_err_t rdg_buf_err(const rdg_buf_t *b) {
    return b->err;
}

static rdg_err_t resize(rdg_buf_t *b, size_t size) {
    uint8_t *data = rdg_realloc(b->data, size);
    if (!data) return b->err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a buffer of %zu bytes", size);
    b->data = data;
    b->size = size;
    return RDG_OK;
}

rdg_err_t rdg_buf_reserve(rdg_buf_t *b, size_t extra) {
    if (b->err != RDG_OK) return b->err;
    if (extra > b->max - b->len)
        return b->err = rdg_fail(RDG_E_TOO_LARGE, "a buffer would grow past its limit of %zu bytes", b->max);
    if (b->len + extra <= b->size) return RDG_OK;
    size_t size = b->size ? b->size : FIRST_SIZE;
    while (size < b->len + extra) size = size > b->max / 2 ? b->max : size * 2;
    return resize(b, size);
}

rdg_err_t rdg_buf_append(rdg_buf_t *b, const void *data, size_t len) {
    RDG_TRY(rdg_buf_reserve(b, len));
    if (len > 0) memcpy(b->data + b->len, data, len);
    b->len += len;
    return RDG_OK;
}

rdg_err_t rdg_buf_u8(rdg_buf_t *b, uint8_t v) {
    return rdg_buf_append(b, &v, 1);
}

rdg_err_t rdg_buf_u16(rdg_buf_t *b, uint16_t v) {
    const uint8_t bytes[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    return rdg_buf_append(b, bytes, sizeof bytes);
}

rdg_err_t rdg_buf_u32(rdg_buf_t *b, uint32_t v) {
    uint8_t bytes[4];
    rdg_store_be32(bytes, v);
    return rdg_buf_append(b, bytes, sizeof bytes);
}

rdg_err_t rdg_buf_u64(rdg_buf_t *b, uint64_t v) {
    uint8_t bytes[8];
    rdg_store_be64(bytes, v);
    return rdg_buf_append(b, bytes, sizeof bytes);
}

rdg_err_t rdg_buf_str(rdg_buf_t *b, const char *s) {
    return rdg_buf_append(b, s, strlen(s));
}

rdg_err_t rdg_buf_vprintf(rdg_buf_t *b, const char *fmt, va_list args) {
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    RDG_ASSERT(len >= 0);
    RDG_TRY(rdg_buf_reserve(b, (size_t)len));
    if (b->len + (size_t)len + 1 > b->size) RDG_TRY(resize(b, b->len + (size_t)len + 1));
    vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, args);
    b->len += (size_t)len;
    return RDG_OK;
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
    if (b->len == b->size && resize(b, b->size + FIRST_SIZE) != RDG_OK) return NULL;
    b->data[b->len] = '\0';
    return (const char *)b->data;
}

uint8_t *rdg_buf_take(rdg_buf_t *b, size_t *len) {
    if (b->err != RDG_OK || !rdg_buf_cstr(b)) return NULL;
    uint8_t *data = b->data;
    *len = b->len;
    rdg_buf_init(b, b->max);
    return data;
}
