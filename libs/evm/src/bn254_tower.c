/* Fp6 and Fp12. */
#include <string.h>
#include "bn254_field.h"

#define FP_ONE_LIMBS                                                                                         \
    {                                                                                                        \
        { 0xd35d438dc58f0d9d, 0x0a78eb28f5c70b3d, 0x666ea36f7879462c, 0x0e0a77c19a07df2f }                   \
    }
const fp12_t FP12_ONE = {.a = {.a = {.a = FP_ONE_LIMBS}}};

const fp2_t FP2_FROBENIUS[5] = {
    {{{0xaf9ba69633144907, 0xca6b1d7387afb78a, 0x11bded5ef08a2087, 0x02f34d751a1f3a7c}},
     {{0xa222ae234c492d72, 0xd00f02a4565de15b, 0xdc2ff3a253dfc926, 0x10a75716b3899551}}},
    {{{0xb5773b104563ab30, 0x347f91c8a9aa6454, 0x7a007127242e0991, 0x1956bcd8118214ec}},
     {{0x6e849f1ea0aa4757, 0xaa1c7b6d89f89141, 0xb6e713cdfae0ca3a, 0x26694fbb4e82ebc3}}},
    {{{0xe4bbdd0c2936b629, 0xbb30f162e133bacb, 0x31a9d1b6f9645366, 0x253570bea500f8dd}},
     {{0xa1d77ce45ffe77c7, 0x07affd117826d1db, 0x6d16bd27bb7edc6b, 0x2c87200285defecc}}},
    {{{0x7361d77f843abe92, 0xa5bb2bd3273411fb, 0x9c941f314b3e2399, 0x15df9cddbb9fd3ec}},
     {{0x5dddfd154bd8c949, 0x62cb29a5a4445b60, 0x37bc870a0c7dd2b9, 0x24830a9d3171f0fd}}},
    {{{0xc970692f41690fe7, 0xe240342127694b0b, 0x32bee66b83c459e8, 0x12aabced0ab08841}},
     {{0x0d485d2340aebfa9, 0x05193418ab2fcc57, 0xd3b0a40b8a4910f5, 0x2f21ebb535d2925a}}},
};
const fp_t FP_FROBENIUS_2[5] = {
    {{0xca8d800500fa1bf2, 0xf0c5d61468b39769, 0x0e201271ad0d4418, 0x04290f65bad856e6}},
    {{0x3350c88e13e80b9c, 0x7dce557cdb5e56b9, 0x6001b4b8b615564a, 0x2682e617020217e0}},
    {{0x68c3488912edefaa, 0x8d087f6872aabf4f, 0x51e1a24709081231, 0x2259d6b14729c0fa}},
    {{0x71930c11d782e155, 0xa6bb947cffbe3323, 0xaa303344d4741444, 0x2c3b3f0d26594943}},
    {{0x08cfc388c494f1ab, 0x19b315148d1373d4, 0x584e90fdcb6c0213, 0x09e1685bdf2f8849}},
};

static void fp6_add(fp6_t *r, const fp6_t *a, const fp6_t *b) {
    fp2_add(&r->a, &a->a, &b->a);
    fp2_add(&r->b, &a->b, &b->b);
    fp2_add(&r->c, &a->c, &b->c);
}

static void fp6_sub(fp6_t *r, const fp6_t *a, const fp6_t *b) {
    fp2_sub(&r->a, &a->a, &b->a);
    fp2_sub(&r->b, &a->b, &b->b);
    fp2_sub(&r->c, &a->c, &b->c);
}

static void fp6_neg(fp6_t *r, const fp6_t *a) {
    fp2_neg(&r->a, &a->a);
    fp2_neg(&r->b, &a->b);
    fp2_neg(&r->c, &a->c);
}

static void fp6_mul_v(fp6_t *r, const fp6_t *a) {
    fp2_t c = a->c;
    r->c = a->b;
    r->b = a->a;
    fp2_mul_xi(&r->a, &c);
}

/* (x + y)(s + t) - xs - yt, the middle term of Karatsuba's product. */
static void cross(fp2_t *r, const fp2_t *x, const fp2_t *y, const fp2_t *s, const fp2_t *t, const fp2_t *xs,
                  const fp2_t *yt) {
    fp2_t left, right;
    fp2_add(&left, x, y);
    fp2_add(&right, s, t);
    fp2_mul(&left, &left, &right);
    fp2_sub(&left, &left, xs);
    fp2_sub(r, &left, yt);
}

static void fp6_mul(fp6_t *r, const fp6_t *x, const fp6_t *y) {
    fp2_t aa, bb, cc, ab, ac, bc;
    fp2_mul(&aa, &x->a, &y->a);
    fp2_mul(&bb, &x->b, &y->b);
    fp2_mul(&cc, &x->c, &y->c);
    cross(&bc, &x->b, &x->c, &y->b, &y->c, &bb, &cc);
    cross(&ab, &x->a, &x->b, &y->a, &y->b, &aa, &bb);
    cross(&ac, &x->a, &x->c, &y->a, &y->c, &aa, &cc);
    fp2_mul_xi(&bc, &bc);
    fp2_add(&r->a, &aa, &bc);
    fp2_mul_xi(&cc, &cc);
    fp2_add(&r->b, &ab, &cc);
    fp2_add(&r->c, &ac, &bb);
}

/* By y + z v. */
static void fp6_mul_pair(fp6_t *r, const fp6_t *x, const fp2_t *y, const fp2_t *z) {
    fp2_t aa, bb, ab, cy, cz;
    fp2_mul(&aa, &x->a, y);
    fp2_mul(&bb, &x->b, z);
    cross(&ab, &x->a, &x->b, y, z, &aa, &bb);
    fp2_mul(&cy, &x->c, y);
    fp2_mul(&cz, &x->c, z);
    fp2_mul_xi(&cz, &cz);
    fp2_add(&r->a, &aa, &cz);
    r->b = ab;
    fp2_add(&r->c, &cy, &bb);
}

static void fp6_mul_fp2(fp6_t *r, const fp6_t *a, const fp2_t *b) {
    fp2_mul(&r->a, &a->a, b);
    fp2_mul(&r->b, &a->b, b);
    fp2_mul(&r->c, &a->c, b);
}

static void fp6_inv(fp6_t *r, const fp6_t *x) {
    fp2_t a, b, c, t, norm;
    fp2_sqr(&a, &x->a); /* a^2 - xi b c */
    fp2_mul(&t, &x->b, &x->c);
    fp2_mul_xi(&t, &t);
    fp2_sub(&a, &a, &t);
    fp2_sqr(&b, &x->c); /* xi c^2 - a b */
    fp2_mul_xi(&b, &b);
    fp2_mul(&t, &x->a, &x->b);
    fp2_sub(&b, &b, &t);
    fp2_sqr(&c, &x->b); /* b^2 - a c */
    fp2_mul(&t, &x->a, &x->c);
    fp2_sub(&c, &c, &t);
    fp2_mul(&norm, &x->c, &b);
    fp2_mul(&t, &x->b, &c);
    fp2_add(&norm, &norm, &t);
    fp2_mul_xi(&norm, &norm);
    fp2_mul(&t, &x->a, &a);
    fp2_add(&norm, &norm, &t);
    fp2_inv(&norm, &norm);
    fp2_mul(&r->a, &a, &norm);
    fp2_mul(&r->b, &b, &norm);
    fp2_mul(&r->c, &c, &norm);
}

bool fp12_is_one(const fp12_t *a) {
    return memcmp(a, &FP12_ONE, sizeof *a) == 0;
}

void fp12_mul(fp12_t *r, const fp12_t *x, const fp12_t *y) {
    fp6_t aa, bb, left, right;
    fp6_mul(&aa, &x->a, &y->a);
    fp6_mul(&bb, &x->b, &y->b);
    fp6_add(&left, &x->a, &x->b);
    fp6_add(&right, &y->a, &y->b);
    fp6_mul(&left, &left, &right);
    fp6_sub(&left, &left, &aa);
    fp6_sub(&r->b, &left, &bb);
    fp6_mul_v(&bb, &bb);
    fp6_add(&r->a, &aa, &bb);
}

void fp12_mul_line(fp12_t *r, const fp12_t *f, const fp2_t *x, const fp2_t *y, const fp2_t *z) {
    fp6_t ax, bx, ayz, byz;
    fp6_mul_fp2(&ax, &f->a, x);
    fp6_mul_fp2(&bx, &f->b, x);
    fp6_mul_pair(&ayz, &f->a, y, z);
    fp6_mul_pair(&byz, &f->b, y, z);
    fp6_mul_v(&byz, &byz);
    fp6_add(&r->a, &ax, &byz);
    fp6_add(&r->b, &bx, &ayz);
}

/* (a + bw)^2 = (a + b)(a + vb) - ab - vab + 2ab w */
void fp12_sqr(fp12_t *r, const fp12_t *x) {
    fp6_t ab, sum, other;
    fp6_mul(&ab, &x->a, &x->b);
    fp6_add(&sum, &x->a, &x->b);
    fp6_mul_v(&other, &x->b);
    fp6_add(&other, &other, &x->a);
    fp6_mul(&sum, &sum, &other);
    fp6_sub(&sum, &sum, &ab);
    fp6_add(&r->b, &ab, &ab);
    fp6_mul_v(&ab, &ab);
    fp6_sub(&r->a, &sum, &ab);
}

void fp12_conj(fp12_t *r, const fp12_t *x) {
    r->a = x->a;
    fp6_neg(&r->b, &x->b);
}

void fp12_inv(fp12_t *r, const fp12_t *x) {
    fp6_t norm, t;
    fp6_mul(&norm, &x->a, &x->a);
    fp6_mul(&t, &x->b, &x->b);
    fp6_mul_v(&t, &t);
    fp6_sub(&norm, &norm, &t);
    fp6_inv(&norm, &norm);
    fp6_mul(&r->a, &x->a, &norm);
    fp6_mul(&t, &x->b, &norm);
    fp6_neg(&r->b, &t);
}

static void twisted(fp2_t *r, const fp2_t *a, unsigned power) {
    fp2_conj(r, a);
    fp2_mul(r, r, &FP2_FROBENIUS[power - 1]);
}

void fp12_frobenius(fp12_t *r, const fp12_t *x) {
    fp2_conj(&r->a.a, &x->a.a);
    twisted(&r->b.a, &x->b.a, 1);
    twisted(&r->a.b, &x->a.b, 2);
    twisted(&r->b.b, &x->b.b, 3);
    twisted(&r->a.c, &x->a.c, 4);
    twisted(&r->b.c, &x->b.c, 5);
}

void fp12_frobenius_2(fp12_t *r, const fp12_t *x) {
    r->a.a = x->a.a;
    fp2_mul_fp(&r->b.a, &x->b.a, &FP_FROBENIUS_2[0]);
    fp2_mul_fp(&r->a.b, &x->a.b, &FP_FROBENIUS_2[1]);
    fp2_mul_fp(&r->b.b, &x->b.b, &FP_FROBENIUS_2[2]);
    fp2_mul_fp(&r->a.c, &x->a.c, &FP_FROBENIUS_2[3]);
    fp2_mul_fp(&r->b.c, &x->b.c, &FP_FROBENIUS_2[4]);
}
