/* The field of the SM2 curve for eight elements at once, one to a 64-bit lane: five limbs of 52 bits,
 * Montgomery form with R = 2^260. Public data only. Included by sm2_lanes_body.h alone.
 *
 * Everything but two operations is the compilers' generic vector arithmetic. The two are AVX-512 IFMA's
 * multiplications of 52-bit numbers; where the compiler does not target them they are computed lane by lane,
 * so the same source runs, slowly, on any machine and gives the same bits.
 *
 * Invariants: limbs are in [0, 2^52) and values below 4p, where not stated otherwise. mul gives values below
 * 2p for factors below 4p, and below 3p when one is below 2p and the other below 16p. add and sub give values
 * below p + 2^230. */
#ifndef RIDGE_CRYPTO_SM2_LANES_FIELD_H
#define RIDGE_CRYPTO_SM2_LANES_FIELD_H
#include <stdint.h>
#include "sm2_field.h"
#if defined(__AVX512IFMA__)
#include <immintrin.h>
#endif

#define LANES 8
#define LIMBS 5
#define LIMB_BITS 52
#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)

typedef uint64_t vec_t __attribute__((vector_size(8 * LANES)));
typedef int64_t signed_vec_t __attribute__((vector_size(8 * LANES)));

typedef struct fe8 {
    vec_t l[LIMBS];
} fe8_t;

/* acc + the low, the high 52 bits of the product of the low 52 bits of a and b. */
#if defined(__AVX512IFMA__)
#define ADD_LOW(acc, a, b) ((vec_t)_mm512_madd52lo_epu64((__m512i)(acc), (__m512i)(a), (__m512i)(b)))
#define ADD_HIGH(acc, a, b) ((vec_t)_mm512_madd52hi_epu64((__m512i)(acc), (__m512i)(a), (__m512i)(b)))
#else
static inline vec_t multiply_lanes(vec_t acc, vec_t a, vec_t b, int shift) {
    for (int i = 0; i < LANES; i++) {
        rdg_u128_t product = (rdg_u128_t)(a[i] & LIMB_MASK) * (b[i] & LIMB_MASK);
        acc[i] += (uint64_t)(product >> shift) & LIMB_MASK;
    }
    return acc;
}
#define ADD_LOW(acc, a, b) multiply_lanes(acc, a, b, 0)
#define ADD_HIGH(acc, a, b) multiply_lanes(acc, a, b, LIMB_BITS)
#endif

#define SHIFT_SIGNED(x, n) ((vec_t)((signed_vec_t)(x) >> (n)))
#define ALL(x) ((vec_t){0} + (x))

/* p is 2^52 - 1, P1, 2^52 - 1, 2^52 - 1, P4. */
#define P1 UINT64_C(0xff00000000fff)
#define P4 UINT64_C(0xfffffffeffff)

static inline void carry(vec_t t[LIMBS]) {
    for (int i = 0; i + 1 < LIMBS; i++) {
        t[i + 1] += SHIFT_SIGNED(t[i], LIMB_BITS);
        t[i] &= LIMB_MASK;
    }
}

/* From limbs of any sign whose value is in [0, 16p): 2^256 = 2^224 + 2^96 - 2^64 + 1 (mod p) folds the top. */
static inline void fold(fe8_t *out, vec_t t[LIMBS]) {
    vec_t top = SHIFT_SIGNED(t[4], 48);
    t[4] = (t[4] & ((UINT64_C(1) << 48) - 1)) + (top << 16);
    t[1] += (top << 44) - (top << 12);
    t[0] += top;
    carry(t);
    for (int i = 0; i < LIMBS; i++) out->l[i] = t[i];
}

static inline void fe8_add(fe8_t *out, const fe8_t *a, const fe8_t *b) {
    vec_t t[LIMBS];
    for (int i = 0; i < LIMBS; i++) t[i] = a->l[i] + b->l[i];
    fold(out, t);
}

static inline void fe8_triple(fe8_t *out, const fe8_t *a) {
    vec_t t[LIMBS];
    for (int i = 0; i < LIMBS; i++) t[i] = a->l[i] + a->l[i] + a->l[i];
    fold(out, t);
}

static const uint64_t four_p[LIMBS] = {UINT64_C(0xffffffffffffc), UINT64_C(0xfc00000003fff),
                                       UINT64_C(0xfffffffffffff), UINT64_C(0xfffffffffffff),
                                       UINT64_C(0x3fffffffbffff)};
static const uint64_t eight_p[LIMBS] = {UINT64_C(0xffffffffffff8), UINT64_C(0xf800000007fff),
                                        UINT64_C(0xfffffffffffff), UINT64_C(0xfffffffffffff),
                                        UINT64_C(0x7fffffff7ffff)};

static inline void fe8_sub(fe8_t *out, const fe8_t *a, const fe8_t *b) {
    vec_t t[LIMBS];
    for (int i = 0; i < LIMBS; i++) t[i] = a->l[i] + four_p[i] - b->l[i];
    fold(out, t);
}

/* a - b - 2c, for b and c below 8p together with twice c. */
static inline void fe8_sub_twice(fe8_t *out, const fe8_t *a, const fe8_t *b, const fe8_t *c) {
    vec_t t[LIMBS];
    for (int i = 0; i < LIMBS; i++) t[i] = a->l[i] + eight_p[i] - b->l[i] - c->l[i] - c->l[i];
    fold(out, t);
}

static inline void fe8_halve(fe8_t *out, const fe8_t *a) {
    vec_t odd = -(a->l[0] & 1), t[LIMBS + 1];
    t[0] = a->l[0] + (odd & LIMB_MASK);
    t[1] = a->l[1] + (odd & P1);
    t[2] = a->l[2] + (odd & LIMB_MASK);
    t[3] = a->l[3] + (odd & LIMB_MASK);
    t[4] = a->l[4] + (odd & P4);
    carry(t);
    t[5] = ALL(0);
    for (int i = 0; i < LIMBS; i++) out->l[i] = t[i] >> 1 | (t[i + 1] & 1) << (LIMB_BITS - 1);
}

/* The Montgomery reduction of ten limbs of less than 2^60. As p = -1 mod 2^52, the factor of each step is the
 * lowest limb m; limbs of all ones turn products into sums: m p = m (P4 2^208 + 2^208 - 2^104 + P1 2^52 + 2^52
 * - 1). Intermediate limbs may be negative. */
static inline void reduce(fe8_t *out, vec_t t[2 * LIMBS]) {
    const vec_t p1 = ALL(P1), p4 = ALL(P4);
    for (int i = 0; i < LIMBS; i++) {
        vec_t m = t[i] & LIMB_MASK;
        t[i + 1] = ADD_LOW(t[i + 1] + SHIFT_SIGNED(t[i], LIMB_BITS) + m, m, p1);
        t[i + 2] = ADD_HIGH(t[i + 2] - m, m, p1);
        t[i + 4] = ADD_LOW(t[i + 4] + m, m, p4);
        t[i + 5] = ADD_HIGH(t[i + 5], m, p4);
    }
    carry(t + LIMBS);
    for (int i = 0; i < LIMBS; i++) out->l[i] = t[LIMBS + i];
}

static inline void fe8_mul(fe8_t *out, const fe8_t *a, const fe8_t *b) {
    vec_t t[2 * LIMBS];
    for (int i = 0; i < 2 * LIMBS; i++) t[i] = ALL(0);
    for (int i = 0; i < LIMBS; i++) {
        for (int j = 0; j < LIMBS; j++) {
            t[i + j] = ADD_LOW(t[i + j], a->l[i], b->l[j]);
            t[i + j + 1] = ADD_HIGH(t[i + j + 1], a->l[i], b->l[j]);
        }
    }
    reduce(out, t);
}

static inline void fe8_sqr(fe8_t *out, const fe8_t *a) {
    vec_t t[2 * LIMBS];
    for (int i = 0; i < 2 * LIMBS; i++) t[i] = ALL(0);
    for (int i = 0; i < LIMBS; i++) {
        for (int j = i + 1; j < LIMBS; j++) {
            t[i + j] = ADD_LOW(t[i + j], a->l[i], a->l[j]);
            t[i + j + 1] = ADD_HIGH(t[i + j + 1], a->l[i], a->l[j]);
        }
    }
    for (int i = 0; i < 2 * LIMBS; i++) t[i] += t[i];
    for (int i = 0; i < LIMBS; i++) {
        t[2 * i] = ADD_LOW(t[2 * i], a->l[i], a->l[i]);
        t[2 * i + 1] = ADD_HIGH(t[2 * i + 1], a->l[i], a->l[i]);
    }
    reduce(out, t);
}

/* From the Montgomery form with R = 2^256, words[k] being limb k of all lanes: times 16, which is a shift. The
 * value is below 16p. */
static inline void fe8_from_words(fe8_t *out, const vec_t words[4]) {
    out->l[0] = (words[0] << 4) & LIMB_MASK;
    out->l[1] = (words[0] >> 48 | words[1] << 16) & LIMB_MASK;
    out->l[2] = (words[1] >> 36 | words[2] << 28) & LIMB_MASK;
    out->l[3] = (words[2] >> 24 | words[3] << 40) & LIMB_MASK;
    out->l[4] = words[3] >> 12;
}

static inline void fe8_set(fe8_t *out, const uint64_t limbs[LIMBS]) {
    for (int i = 0; i < LIMBS; i++) out->l[i] = ALL(limbs[i]);
}

static const uint64_t r_52[LIMBS] = {UINT64_C(0x10), UINT64_C(0xffffffff0000), UINT64_C(0x0), UINT64_C(0x0),
                                     UINT64_C(0x100000)}; /* 2^260 mod p: one */
static const uint64_t r_64[LIMBS] = {UINT64_C(0x1), UINT64_C(0xffffffff000), UINT64_C(0x0), UINT64_C(0x0),
                                     UINT64_C(0x10000)}; /* 2^256 mod p */

/* Back to R = 2^256, lane by lane. */
static inline void fe8_to_fields(rdg_sm2_fe_t out[LANES], const fe8_t *a) {
    fe8_t to_64, v;
    fe8_set(&to_64, r_64);
    fe8_mul(&v, a, &to_64); /* below 2p */
    for (int i = 0; i < LANES; i++) {
        const uint64_t l[LIMBS] = {v.l[0][i], v.l[1][i], v.l[2][i], v.l[3][i], v.l[4][i]};
        const uint64_t words[4] = {l[0] | l[1] << 52, l[1] >> 12 | l[2] << 40, l[2] >> 24 | l[3] << 28,
                                   l[3] >> 36 | l[4] << 16};
        rdg_sm2_fe_reduce_once(&out[i], words, l[4] >> 48);
    }
}

#endif
