/* 256-bit words of the machine: four 64-bit limbs, the lowest first. All arithmetic is modulo 2^256; division
 * by zero gives zero, as the EVM wants. */
#ifndef RIDGE_EVM_U256_H
#define RIDGE_EVM_U256_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "ridge/base/bytes.h"

typedef struct u256 {
    uint64_t w[4];
} u256_t;

typedef unsigned __int128 u128_t;

static inline u256_t u256_from_u64(uint64_t v) {
    return (u256_t){{v, 0, 0, 0}};
}

static inline bool u256_is_zero(const u256_t *a) {
    return (a->w[0] | a->w[1] | a->w[2] | a->w[3]) == 0;
}

static inline bool u256_fits_u64(const u256_t *a) {
    return (a->w[1] | a->w[2] | a->w[3]) == 0;
}

/* The value, or 2^64-1 if it is larger: for offsets and sizes, which are refused long before that. */
static inline uint64_t u256_clamp_u64(const u256_t *a) {
    return u256_fits_u64(a) ? a->w[0] : UINT64_MAX;
}

static inline bool u256_equal(const u256_t *a, const u256_t *b) {
    return ((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->w[2] ^ b->w[2]) | (a->w[3] ^ b->w[3])) == 0;
}

static inline uint64_t u256_addc(uint64_t a, uint64_t b, uint64_t *carry) {
    u128_t s = (u128_t)a + b + *carry;
    *carry = (uint64_t)(s >> 64);
    return (uint64_t)s;
}

static inline uint64_t u256_subb(uint64_t a, uint64_t b, uint64_t *borrow) {
    u128_t d = (u128_t)a - b - *borrow;
    *borrow = (uint64_t)(d >> 64) & 1;
    return (uint64_t)d;
}

static inline u256_t u256_add_carry(const u256_t *a, const u256_t *b, uint64_t *carry) {
    u256_t r;
    *carry = 0;
    r.w[0] = u256_addc(a->w[0], b->w[0], carry);
    r.w[1] = u256_addc(a->w[1], b->w[1], carry);
    r.w[2] = u256_addc(a->w[2], b->w[2], carry);
    r.w[3] = u256_addc(a->w[3], b->w[3], carry);
    return r;
}

static inline u256_t u256_sub_borrow(const u256_t *a, const u256_t *b, uint64_t *borrow) {
    u256_t r;
    *borrow = 0;
    r.w[0] = u256_subb(a->w[0], b->w[0], borrow);
    r.w[1] = u256_subb(a->w[1], b->w[1], borrow);
    r.w[2] = u256_subb(a->w[2], b->w[2], borrow);
    r.w[3] = u256_subb(a->w[3], b->w[3], borrow);
    return r;
}

static inline u256_t u256_add(const u256_t *a, const u256_t *b) {
    uint64_t carry;
    return u256_add_carry(a, b, &carry);
}

static inline u256_t u256_sub(const u256_t *a, const u256_t *b) {
    uint64_t borrow;
    return u256_sub_borrow(a, b, &borrow);
}

static inline bool u256_less(const u256_t *a, const u256_t *b) {
    uint64_t borrow;
    (void)u256_sub_borrow(a, b, &borrow);
    return borrow != 0;
}

static inline bool u256_negative(const u256_t *a) {
    return (a->w[3] >> 63) != 0;
}

static inline bool u256_signed_less(const u256_t *a, const u256_t *b) {
    bool na = u256_negative(a), nb = u256_negative(b);
    return na != nb ? na : u256_less(a, b);
}

static inline u256_t u256_negate(const u256_t *a) {
    const u256_t zero = {{0}};
    return u256_sub(&zero, a);
}

static inline u256_t u256_load(const uint8_t b[32]) {
    return (u256_t){{rdg_load_be64(b + 24), rdg_load_be64(b + 16), rdg_load_be64(b + 8), rdg_load_be64(b)}};
}

static inline void u256_store(uint8_t b[32], const u256_t *a) {
    rdg_store_be64(b, a->w[3]), rdg_store_be64(b + 8, a->w[2]);
    rdg_store_be64(b + 16, a->w[1]), rdg_store_be64(b + 24, a->w[0]);
}

/* From len <= 32 big-endian bytes. */
static inline u256_t u256_load_short(const uint8_t *b, size_t len) {
    uint8_t word[32] = {0};
    memcpy(word + 32 - len, b, len);
    return u256_load(word);
}

u256_t u256_mul(const u256_t *a, const u256_t *b);
u256_t u256_div(const u256_t *a, const u256_t *b);
u256_t u256_mod(const u256_t *a, const u256_t *b);
u256_t u256_sdiv(const u256_t *a, const u256_t *b);
u256_t u256_smod(const u256_t *a, const u256_t *b);
u256_t u256_addmod(const u256_t *a, const u256_t *b, const u256_t *m);
u256_t u256_mulmod(const u256_t *a, const u256_t *b, const u256_t *m);
u256_t u256_exp(const u256_t *base, const u256_t *exponent);
unsigned u256_byte_length(const u256_t *a); /* 0 for zero */
u256_t u256_shl(const u256_t *a, const u256_t *shift);
u256_t u256_shr(const u256_t *a, const u256_t *shift);
u256_t u256_sar(const u256_t *a, const u256_t *shift);
u256_t u256_byte(const u256_t *a, const u256_t *index);            /* index 0 is the most significant */
u256_t u256_sign_extend(const u256_t *a, const u256_t *byte_size); /* from byte_size + 1 bytes */

#endif
