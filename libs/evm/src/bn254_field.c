#include "bn254_field.h"
#include <string.h>
#include "u256.h"

static const uint64_t P[4] = {0x3c208c16d87cfd47, 0x97816a916871ca8d, 0xb85045b68181585d, 0x30644e72e131a029};
#define P_INVERSE 0x87d20782e4866389 /* -1/p mod 2^64 */
const fp_t FP_ONE = {{0xd35d438dc58f0d9d, 0x0a78eb28f5c70b3d, 0x666ea36f7879462c, 0x0e0a77c19a07df2f}};
static const fp_t R_SQUARED = {
    {0xf32cfc5b538afa89, 0xb5e71911d44501fb, 0x47ab1eff0a417ff6, 0x06d89f71cab8351f}};

static uint64_t subtract_p(uint64_t out[4], const uint64_t in[4]) {
    uint64_t borrow = 0;
    for (int i = 0; i < 4; ++i) out[i] = u256_subb(in[i], P[i], &borrow);
    return borrow;
}

/* a < 2p */
static void reduce(fp_t *r, const uint64_t a[4]) {
    uint64_t less[4];
    uint64_t borrow = subtract_p(less, a);
    memcpy(r->w, borrow ? a : less, sizeof r->w);
}

void fp_add(fp_t *r, const fp_t *a, const fp_t *b) {
    uint64_t sum[4], carry = 0; /* 2p < 2^255: no carry leaves */
    for (int i = 0; i < 4; ++i) sum[i] = u256_addc(a->w[i], b->w[i], &carry);
    reduce(r, sum);
}

void fp_sub(fp_t *r, const fp_t *a, const fp_t *b) {
    uint64_t borrow = 0, carry = 0, mask;
    for (int i = 0; i < 4; ++i) r->w[i] = u256_subb(a->w[i], b->w[i], &borrow);
    mask = 0 - borrow;
    for (int i = 0; i < 4; ++i) r->w[i] = u256_addc(r->w[i], P[i] & mask, &carry);
}

void fp_neg(fp_t *r, const fp_t *a) {
    const fp_t zero = {{0}};
    fp_sub(r, &zero, a);
}

/* Montgomery's product a b / 2^256 mod p, limb by limb of a; p < 2^254, so a fifth limb suffices. */
void fp_mul(fp_t *r, const fp_t *a, const fp_t *b) {
    uint64_t t[5] = {0};
    for (int i = 0; i < 4; ++i) {
        u128_t x = (u128_t)a->w[i] * b->w[0] + t[0];
        uint64_t m = (uint64_t)x * P_INVERSE;
        u128_t y = (u128_t)m * P[0] + (uint64_t)x;
        for (int j = 1; j < 4; ++j) {
            x = (u128_t)a->w[i] * b->w[j] + t[j] + (uint64_t)(x >> 64);
            y = (u128_t)m * P[j] + (uint64_t)x + (uint64_t)(y >> 64);
            t[j - 1] = (uint64_t)y;
        }
        t[3] = (uint64_t)(x >> 64) + (uint64_t)(y >> 64);
    }
    reduce(r, t);
}

bool fp_load(fp_t *r, const uint8_t b[32]) {
    u256_t v = u256_load(b);
    uint64_t less[4];
    if (!subtract_p(less, v.w)) return false;
    memcpy(r->w, v.w, sizeof r->w);
    fp_mul(r, r, &R_SQUARED);
    return true;
}

void fp_store(uint8_t b[32], const fp_t *a) {
    const fp_t plain_one = {{1}};
    fp_t plain;
    fp_mul(&plain, a, &plain_one);
    u256_t v;
    memcpy(v.w, plain.w, sizeof v.w);
    u256_store(b, &v);
}

bool fp_is_zero(const fp_t *a) {
    return (a->w[0] | a->w[1] | a->w[2] | a->w[3]) == 0;
}

bool fp_equal(const fp_t *a, const fp_t *b) {
    return memcmp(a->w, b->w, sizeof a->w) == 0;
}

void fp_inv(fp_t *r, const fp_t *a) {
    fp_t power = FP_ONE, base = *a;
    for (int bit = 255; bit >= 0; --bit) { /* p - 2 differs from p in its lowest limb only */
        uint64_t limb = bit < 64 ? P[0] - 2 : P[bit / 64];
        fp_mul(&power, &power, &power);
        if ((limb >> (bit % 64)) & 1) fp_mul(&power, &power, &base);
    }
    *r = power;
}

bool fp2_is_zero(const fp2_t *a) {
    return fp_is_zero(&a->a) && fp_is_zero(&a->b);
}

bool fp2_equal(const fp2_t *a, const fp2_t *b) {
    return fp_equal(&a->a, &b->a) && fp_equal(&a->b, &b->b);
}

void fp2_add(fp2_t *r, const fp2_t *a, const fp2_t *b) {
    fp_add(&r->a, &a->a, &b->a);
    fp_add(&r->b, &a->b, &b->b);
}

void fp2_sub(fp2_t *r, const fp2_t *a, const fp2_t *b) {
    fp_sub(&r->a, &a->a, &b->a);
    fp_sub(&r->b, &a->b, &b->b);
}

void fp2_neg(fp2_t *r, const fp2_t *a) {
    fp_neg(&r->a, &a->a);
    fp_neg(&r->b, &a->b);
}

void fp2_conj(fp2_t *r, const fp2_t *a) {
    r->a = a->a;
    fp_neg(&r->b, &a->b);
}

void fp2_mul(fp2_t *r, const fp2_t *a, const fp2_t *b) {
    fp_t aa, bb, sum_a, sum_b;
    fp_add(&sum_a, &a->a, &a->b);
    fp_add(&sum_b, &b->a, &b->b);
    fp_mul(&aa, &a->a, &b->a);
    fp_mul(&bb, &a->b, &b->b);
    fp_mul(&sum_a, &sum_a, &sum_b);
    fp_sub(&r->a, &aa, &bb);
    fp_sub(&sum_a, &sum_a, &aa);
    fp_sub(&r->b, &sum_a, &bb);
}

void fp2_mul_fp(fp2_t *r, const fp2_t *a, const fp_t *b) {
    fp_t factor = *b;
    fp_mul(&r->a, &a->a, &factor);
    fp_mul(&r->b, &a->b, &factor);
}

/* (a + b i)(9 + i) = 9a - b + (9b + a) i */
void fp2_mul_xi(fp2_t *r, const fp2_t *a) {
    fp2_t nine = *a, one = *a;
    for (int i = 0; i < 3; ++i) fp2_add(&nine, &nine, &nine);
    fp2_add(&nine, &nine, &one);
    fp_sub(&r->a, &nine.a, &one.b);
    fp_add(&r->b, &nine.b, &one.a);
}

void fp2_sqr(fp2_t *r, const fp2_t *a) {
    fp_t sum, difference, product;
    fp_add(&sum, &a->a, &a->b);
    fp_sub(&difference, &a->a, &a->b);
    fp_mul(&product, &a->a, &a->b);
    fp_mul(&r->a, &sum, &difference);
    fp_add(&r->b, &product, &product);
}

void fp2_inv(fp2_t *r, const fp2_t *a) {
    fp_t norm, t;
    fp_mul(&norm, &a->a, &a->a);
    fp_mul(&t, &a->b, &a->b);
    fp_add(&norm, &norm, &t);
    fp_inv(&norm, &norm);
    fp_mul(&r->a, &a->a, &norm);
    fp_mul(&t, &a->b, &norm);
    fp_neg(&r->b, &t);
}
