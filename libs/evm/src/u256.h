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

/* By limbs, for the reason that CMakeLists.txt gives; an assignment would be vector moves. */
static inline void u256_copy(u256_t *to, const u256_t *from) {
    uint64_t a = from->w[0], b = from->w[1], c = from->w[2], d = from->w[3];
    to->w[0] = a, to->w[1] = b, to->w[2] = c, to->w[3] = d;
}

static inline void u256_swap(u256_t *x, u256_t *y) {
    uint64_t a = x->w[0], b = x->w[1], c = x->w[2], d = x->w[3];
    u256_copy(x, y);
    y->w[0] = a, y->w[1] = b, y->w[2] = c, y->w[3] = d;
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

/* Carry chains. Compilers keep a 128-bit sum's halves in memory here and take three times the time, so that
 * the processor's own chain is written out where it is known. */
#if defined(__x86_64__)
#define U256_CHAIN(first, next, r, b)                                                                        \
    __asm__(first " %[b0], %[r0]\n\t" next " %[b1], %[r1]\n\t" next " %[b2], %[r2]\n\t" next " %[b3], %[r3]" \
            : [r0] "+&r"((r).w[0]), [r1] "+&r"((r).w[1]), [r2] "+&r"((r).w[2]), [r3] "+&r"((r).w[3])         \
            : [b0] "rm"((b)->w[0]), [b1] "rm"((b)->w[1]), [b2] "rm"((b)->w[2]), [b3] "rm"((b)->w[3])         \
            : "cc")
/* The flags of a - b. */
#define U256_COMPARE(a, b, flag, result)                                                                     \
    do {                                                                                                     \
        uint64_t t_;                                                                                         \
        __asm__("movq %[a0], %[t]\n\tcmpq %[b0], %[t]\n\t"                                                   \
                "movq %[a1], %[t]\n\tsbbq %[b1], %[t]\n\t"                                                   \
                "movq %[a2], %[t]\n\tsbbq %[b2], %[t]\n\t"                                                   \
                "movq %[a3], %[t]\n\tsbbq %[b3], %[t]"                                                       \
                : [t] "=&r"(t_), flag(result)                                                                \
                : [a0] "rm"((a)->w[0]), [a1] "rm"((a)->w[1]), [a2] "rm"((a)->w[2]), [a3] "rm"((a)->w[3]),    \
                  [b0] "rm"((b)->w[0]), [b1] "rm"((b)->w[1]), [b2] "rm"((b)->w[2]), [b3] "rm"((b)->w[3]));   \
    } while (0)

static inline u256_t u256_add(const u256_t *a, const u256_t *b) {
    u256_t r = *a;
    U256_CHAIN("addq", "adcq", r, b);
    return r;
}

static inline u256_t u256_sub(const u256_t *a, const u256_t *b) {
    u256_t r = *a;
    U256_CHAIN("subq", "sbbq", r, b);
    return r;
}

static inline bool u256_less(const u256_t *a, const u256_t *b) {
    bool less;
    U256_COMPARE(a, b, "=@ccc", less);
    return less;
}

static inline bool u256_signed_less(const u256_t *a, const u256_t *b) {
    bool less;
    U256_COMPARE(a, b, "=@ccl", less);
    return less;
}
#else
static inline u256_t u256_add(const u256_t *a, const u256_t *b) {
    u256_t r;
    uint64_t carry = 0;
    for (int i = 0; i < 4; ++i) r.w[i] = u256_addc(a->w[i], b->w[i], &carry);
    return r;
}

static inline u256_t u256_sub(const u256_t *a, const u256_t *b) {
    u256_t r;
    uint64_t borrow = 0;
    for (int i = 0; i < 4; ++i) r.w[i] = u256_subb(a->w[i], b->w[i], &borrow);
    return r;
}

static inline bool u256_less(const u256_t *a, const u256_t *b) {
    uint64_t borrow = 0;
    for (int i = 0; i < 4; ++i) (void)u256_subb(a->w[i], b->w[i], &borrow);
    return borrow != 0;
}

static inline bool u256_signed_less(const u256_t *a, const u256_t *b) {
    bool na = a->w[3] >> 63, nb = b->w[3] >> 63;
    return na != nb ? na : u256_less(a, b);
}
#endif

static inline u256_t u256_add_carry(const u256_t *a, const u256_t *b, uint64_t *carry) {
    u256_t r = u256_add(a, b);
    *carry = u256_less(&r, a);
    return r;
}

static inline bool u256_negative(const u256_t *a) {
    return (a->w[3] >> 63) != 0;
}

static inline u256_t u256_negate(const u256_t *a) {
    const u256_t zero = {{0}};
    return u256_sub(&zero, a);
}

static inline __attribute__((always_inline)) u256_t u256_load(const uint8_t b[32]) {
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

/* (c2, c1, c0) += a b */
static inline void u256_mul_add(uint64_t a, uint64_t b, uint64_t *c0, uint64_t *c1, uint64_t *c2) {
    u128_t p = (u128_t)a * b;
#if defined(__x86_64__)
    __asm__("addq %[low], %[c0]\n\tadcq %[high], %[c1]\n\tadcq $0, %[c2]"
            : [c0] "+&r"(*c0), [c1] "+&r"(*c1), [c2] "+r"(*c2)
            : [low] "r"((uint64_t)p), [high] "r"((uint64_t)(p >> 64))
            : "cc");
#else
    uint64_t carry = 0;
    *c0 = u256_addc(*c0, (uint64_t)p, &carry);
    *c1 = u256_addc(*c1, (uint64_t)(p >> 64), &carry);
    *c2 += carry;
#endif
}

/* Column by column. */
static inline u256_t u256_mul(const u256_t *a, const u256_t *b) {
    const uint64_t *x = a->w, *y = b->w;
    u128_t p = (u128_t)x[0] * y[0];
    uint64_t c0 = (uint64_t)(p >> 64), c1 = 0, c2 = 0, c3 = 0;
    u256_t r;
    r.w[0] = (uint64_t)p;
    u256_mul_add(x[0], y[1], &c0, &c1, &c2);
    u256_mul_add(x[1], y[0], &c0, &c1, &c2);
    r.w[1] = c0;
    u256_mul_add(x[0], y[2], &c1, &c2, &c3);
    u256_mul_add(x[1], y[1], &c1, &c2, &c3);
    u256_mul_add(x[2], y[0], &c1, &c2, &c3);
    r.w[2] = c1;
    r.w[3] = c2 + x[0] * y[3] + x[1] * y[2] + x[2] * y[1] + x[3] * y[0];
    return r;
}

u256_t u256_div_large(const u256_t *a, const u256_t *b);
u256_t u256_mod_large(const u256_t *a, const u256_t *b);

static inline bool u256_both_fit_u64(const u256_t *a, const u256_t *b) {
    return (a->w[1] | a->w[2] | a->w[3] | b->w[1] | b->w[2] | b->w[3]) == 0;
}

/* Small numbers are divided where they are: a call returns its word through memory, which costs more than that. */
static inline u256_t u256_div(const u256_t *a, const u256_t *b) {
    if (u256_both_fit_u64(a, b)) return u256_from_u64(b->w[0] ? a->w[0] / b->w[0] : 0);
    return u256_div_large(a, b);
}

static inline u256_t u256_mod(const u256_t *a, const u256_t *b) {
    if (u256_both_fit_u64(a, b)) return u256_from_u64(b->w[0] ? a->w[0] % b->w[0] : 0);
    return u256_mod_large(a, b);
}

u256_t u256_sdiv(const u256_t *a, const u256_t *b);
u256_t u256_smod(const u256_t *a, const u256_t *b);
u256_t u256_addmod(const u256_t *a, const u256_t *b, const u256_t *m);
u256_t u256_mulmod(const u256_t *a, const u256_t *b, const u256_t *m);
u256_t u256_exp(const u256_t *base, const u256_t *exponent);
unsigned u256_byte_length(const u256_t *a); /* 0 for zero */

/* Without branches: a shift by any number of limbs is a read at another place. */
static inline u256_t u256_shr_fill(const u256_t *a, unsigned shift, uint64_t fill) {
    const uint64_t t[8] = {a->w[0], a->w[1], a->w[2], a->w[3], fill, fill, fill, fill};
    const uint64_t *p = t + shift / 64;
    unsigned bits = shift % 64, rest = 63 - bits;
    return (u256_t){{p[0] >> bits | p[1] << 1 << rest, p[1] >> bits | p[2] << 1 << rest,
                     p[2] >> bits | p[3] << 1 << rest, p[3] >> bits | p[4] << 1 << rest}};
}

static inline u256_t u256_shl(const u256_t *a, const u256_t *shift) {
    if (!u256_fits_u64(shift) || shift->w[0] > 255) return (u256_t){{0}};
    const uint64_t t[8] = {0, 0, 0, 0, a->w[0], a->w[1], a->w[2], a->w[3]};
    const uint64_t *p = t + 4 - shift->w[0] / 64;
    unsigned bits = (unsigned)shift->w[0] % 64, rest = 63 - bits;
    return (u256_t){{p[0] << bits | p[-1] >> 1 >> rest, p[1] << bits | p[0] >> 1 >> rest,
                     p[2] << bits | p[1] >> 1 >> rest, p[3] << bits | p[2] >> 1 >> rest}};
}

static inline u256_t u256_shr(const u256_t *a, const u256_t *shift) {
    if (!u256_fits_u64(shift) || shift->w[0] > 255) return (u256_t){{0}};
    return u256_shr_fill(a, (unsigned)shift->w[0], 0);
}

static inline u256_t u256_sar(const u256_t *a, const u256_t *shift) {
    uint64_t fill = u256_negative(a) ? UINT64_MAX : 0;
    if (!u256_fits_u64(shift) || shift->w[0] > 255) return (u256_t){{fill, fill, fill, fill}};
    return u256_shr_fill(a, (unsigned)shift->w[0], fill);
}

/* index 0 is the most significant */
static inline u256_t u256_byte(const u256_t *a, const u256_t *index) {
    if (!u256_fits_u64(index) || index->w[0] > 31) return (u256_t){{0}};
    unsigned at = 31 - (unsigned)index->w[0];
    return u256_from_u64((a->w[at / 8] >> (8 * (at % 8))) & 0xff);
}

/* from byte_size + 1 bytes */
static inline u256_t u256_sign_extend(const u256_t *a, const u256_t *byte_size) {
    if (!u256_fits_u64(byte_size) || byte_size->w[0] > 30) return *a;
    unsigned limb = (unsigned)byte_size->w[0] / 8, unused = 56 - 8 * ((unsigned)byte_size->w[0] % 8);
    /* An arithmetic shift of a negative number is defined by gcc and clang. */
    uint64_t low = (uint64_t)((int64_t)(a->w[limb] << unused) >> unused), sign = 0 - (low >> 63);
    return (u256_t){{limb == 0 ? low : a->w[0],
                     limb == 1  ? low
                     : limb < 1 ? sign
                                : a->w[1],
                     limb == 2  ? low
                     : limb < 2 ? sign
                                : a->w[2],
                     limb == 3 ? low : sign}};
}

#endif
