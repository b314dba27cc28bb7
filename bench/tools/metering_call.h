/* Call data of the Metering contract, word by word. */
#ifndef RIDGE_BENCH_METERING_CALL_H
#define RIDGE_BENCH_METERING_CALL_H
#include <string.h>
#include "ridge/base/buf.h"
#include "ridge/crypto/hash.h"

static inline void put_word(rdg_buf_t *b, uint64_t v) {
    static const uint8_t zeros[24];
    rdg_buf_append(b, zeros, sizeof zeros);
    rdg_buf_u64(b, v);
}

/* Empties b; then the selector and the meter, the first parameter of every method. */
static inline void start_call(rdg_buf_t *b, const char *signature, uint64_t meter) {
    uint8_t h[32], name[32] = {'m', (uint8_t)meter};
    rdg_keccak256(signature, strlen(signature), h);
    rdg_buf_clear(b);
    rdg_buf_append(b, h, 4);
    rdg_buf_append(b, name, sizeof name);
}

#endif
