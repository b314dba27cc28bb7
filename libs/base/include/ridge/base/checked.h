/* Arithmetic on sizes that come from outside: false means overflow, and *out is then unspecified. */
#ifndef RIDGE_BASE_CHECKED_H
#define RIDGE_BASE_CHECKED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline bool rdg_add_size(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
static inline bool rdg_sub_size(size_t a, size_t b, size_t *out) {
    return !__builtin_sub_overflow(a, b, out);
}
static inline bool rdg_mul_size(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool rdg_add_u64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
static inline bool rdg_mul_u64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

#ifdef __cplusplus
}
#endif
#endif
