/* Vercauteren, Optimal pairings, for the parameter X below; Jacobian coordinates on the twist. */
#include "bn254_pairing.h"

#define X UINT64_C(0x44e992b44a6909f1)
/* 6X+2, without its highest bit 2^64. */
#define LOOP UINT64_C(0x9d797039be763ba8)
/* 6X^2, 128 bits: p modulo the order of the groups. */
static const uint64_t SIX_X_SQUARED[2] = {0xf83e9682e87cfd46, 0x6f4d8248eeb859fb};

typedef struct point {
    fp2_t x, y, z; /* x/z^2, y/z^3; infinity: z = 0 */
} point_t;

/* The line's value at P is x yP + y xP w + z w^3; y is stored without xP, x without yP. */
typedef struct line {
    fp2_t x, y, z;
} line_t;

static void twice(fp2_t *r, const fp2_t *a) {
    fp2_add(r, a, a);
}

/* T = 2T; the tangent at T as a line, if asked for. */
static void point_double(point_t *t, line_t *l) {
    fp2_t xx, yy, yyyy, zz, s, m, z, u;
    fp2_sqr(&xx, &t->x);
    fp2_sqr(&yy, &t->y);
    fp2_sqr(&yyyy, &yy);
    fp2_sqr(&zz, &t->z);
    twice(&m, &xx);
    fp2_add(&m, &m, &xx); /* 3x^2 */
    fp2_mul(&z, &t->y, &t->z);
    twice(&z, &z); /* 2yz */
    if (l) {
        fp2_mul(&l->x, &z, &zz);
        fp2_mul(&l->y, &m, &zz);
        fp2_neg(&l->y, &l->y);
        fp2_mul(&l->z, &m, &t->x);
        twice(&u, &yy);
        fp2_sub(&l->z, &l->z, &u);
    }
    fp2_mul(&s, &t->x, &yy);
    twice(&s, &s);
    twice(&s, &s); /* 4xy^2 */
    fp2_sqr(&t->x, &m);
    twice(&u, &s);
    fp2_sub(&t->x, &t->x, &u);
    fp2_sub(&u, &s, &t->x);
    fp2_mul(&u, &u, &m);
    for (int i = 0; i < 3; ++i) twice(&yyyy, &yyyy);
    fp2_sub(&t->y, &u, &yyyy);
    t->z = z;
}

/* T = T + Q, Q affine; the line through both, if asked for: then T and Q differ, and neither is infinite. */
static void point_add(point_t *t, const g2_t *q, line_t *l) {
    fp2_t zz, h, r, hh, hhh, v, u;
    if (fp2_is_zero(&t->z)) {
        t->x = q->x;
        t->y = q->y;
        t->z = (fp2_t){.a = FP_ONE};
        return;
    }
    fp2_sqr(&zz, &t->z);
    fp2_mul(&h, &q->x, &zz);
    fp2_sub(&h, &h, &t->x);
    fp2_mul(&r, &zz, &t->z);
    fp2_mul(&r, &r, &q->y);
    fp2_sub(&r, &r, &t->y);
    if (fp2_is_zero(&h) && fp2_is_zero(&r)) {
        point_double(t, l);
        return;
    }
    fp2_mul(&t->z, &t->z, &h); /* 0 for T = -Q, which is right */
    if (l) {
        l->x = t->z;
        fp2_neg(&l->y, &r);
        fp2_mul(&l->z, &r, &q->x);
        fp2_mul(&u, &q->y, &t->z);
        fp2_sub(&l->z, &l->z, &u);
    }
    fp2_sqr(&hh, &h);
    fp2_mul(&hhh, &hh, &h);
    fp2_mul(&v, &t->x, &hh);
    fp2_sqr(&t->x, &r);
    fp2_sub(&t->x, &t->x, &hhh);
    twice(&u, &v);
    fp2_sub(&t->x, &t->x, &u);
    fp2_sub(&u, &v, &t->x);
    fp2_mul(&u, &u, &r);
    fp2_mul(&hhh, &hhh, &t->y);
    fp2_sub(&t->y, &u, &hhh);
}

/* The Frobenius map of the curve, on the twist. */
static void frobenius(g2_t *r, const g2_t *q) {
    fp2_conj(&r->x, &q->x);
    fp2_mul(&r->x, &r->x, &FP2_FROBENIUS[1]);
    fp2_conj(&r->y, &q->y);
    fp2_mul(&r->y, &r->y, &FP2_FROBENIUS[2]);
    r->infinity = false;
}

/* Minus its square: xi^((p^2-1)/2) = -1 takes the sign from y. */
static void frobenius_2_negated(g2_t *r, const g2_t *q) {
    fp2_mul_fp(&r->x, &q->x, &FP_FROBENIUS_2[1]);
    r->y = q->y;
    r->infinity = false;
}

bool g2_on_curve(const g2_t *q) {
    /* y^2 xi = x^3 xi + 3 */
    fp2_t left, right;
    if (q->infinity) return true;
    fp2_sqr(&left, &q->y);
    fp2_sqr(&right, &q->x);
    fp2_mul(&right, &right, &q->x);
    fp2_sub(&left, &left, &right);
    fp2_mul_xi(&left, &left);
    fp_t three = FP_ONE;
    fp_add(&three, &three, &FP_ONE);
    fp_add(&three, &three, &FP_ONE);
    return fp_equal(&left.a, &three) && fp_is_zero(&left.b);
}

/* The map F satisfies F^2 - tF + p = 0 on the whole twist, with trace t = 6X^2+1. If F(Q) = [t-1]Q, then
 * 0 = [(t-1)^2 - t(t-1) + p]Q = [p+1-t]Q, and p+1-t is the group's order, which divides the order of the
 * twist once; on the group F is the multiplication by p, which is t-1 modulo the order. */
bool g2_in_group(const g2_t *q) {
    if (q->infinity) return true;
    point_t t = {.x = q->x, .y = q->y, .z = {.a = FP_ONE}};
    for (int bit = 125; bit >= 0; --bit) {
        point_double(&t, NULL);
        if ((SIX_X_SQUARED[bit / 64] >> (bit % 64)) & 1) point_add(&t, q, NULL);
    }
    if (fp2_is_zero(&t.z)) return false;
    g2_t f;
    fp2_t zz, u;
    frobenius(&f, q);
    fp2_sqr(&zz, &t.z);
    fp2_mul(&u, &f.x, &zz);
    if (!fp2_equal(&u, &t.x)) return false;
    fp2_mul(&u, &f.y, &zz);
    fp2_mul(&u, &u, &t.z);
    return fp2_equal(&u, &t.y);
}

static void multiply_line(fp12_t *f, const line_t *l, const g1_t *p) {
    fp2_t x, y;
    fp2_mul_fp(&x, &l->x, &p->y);
    fp2_mul_fp(&y, &l->y, &p->x);
    fp12_mul_line(f, f, &x, &y, &l->z);
}

void pairing_miller(fp12_t *f, const g1_t *p, const g2_t *q, size_t count) {
    point_t t[PAIRING_BATCH];
    line_t l;
    fp12_t m = FP12_ONE;
    for (size_t i = 0; i < count; ++i) t[i] = (point_t){.x = q[i].x, .y = q[i].y, .z = {.a = FP_ONE}};
    for (int bit = 63; bit >= 0; --bit) {
        fp12_sqr(&m, &m);
        for (size_t i = 0; i < count; ++i) {
            point_double(&t[i], &l);
            multiply_line(&m, &l, &p[i]);
            if (!((LOOP >> bit) & 1)) continue;
            point_add(&t[i], &q[i], &l);
            multiply_line(&m, &l, &p[i]);
        }
    }
    for (size_t i = 0; i < count; ++i) {
        g2_t image;
        frobenius(&image, &q[i]);
        point_add(&t[i], &image, &l);
        multiply_line(&m, &l, &p[i]);
        frobenius_2_negated(&image, &q[i]);
        point_add(&t[i], &image, &l);
        multiply_line(&m, &l, &p[i]);
    }
    fp12_mul(f, f, &m);
}

static void power_x(fp12_t *r, const fp12_t *a) {
    fp12_t power = *a, base = *a;
    for (int bit = 61; bit >= 0; --bit) {
        fp12_sqr(&power, &power);
        if ((X >> bit) & 1) fp12_mul(&power, &power, &base);
    }
    *r = power;
}

/* Scott et al., On the final exponentiation for calculating pairings on ordinary elliptic curves, section 5:
 * the hard part by an addition chain over these seven values. */
static void hard_part(fp12_t *r, const fp12_t *f) {
    fp12_t fx, fx2, fx3, y0, y1, y2, y3, y4, y5, y6, t0, t1;
    power_x(&fx, f);
    power_x(&fx2, &fx);
    power_x(&fx3, &fx2);
    fp12_frobenius(&y0, f);
    fp12_frobenius_2(&t0, f);
    fp12_frobenius(&t1, &t0);
    fp12_mul(&y0, &y0, &t0);
    fp12_mul(&y0, &y0, &t1);
    fp12_conj(&y1, f);
    fp12_frobenius_2(&y2, &fx2);
    fp12_frobenius(&y3, &fx);
    fp12_conj(&y3, &y3);
    fp12_frobenius(&y4, &fx2);
    fp12_mul(&y4, &y4, &fx);
    fp12_conj(&y4, &y4);
    fp12_conj(&y5, &fx2);
    fp12_frobenius(&y6, &fx3);
    fp12_mul(&y6, &y6, &fx3);
    fp12_conj(&y6, &y6);
    fp12_sqr(&t0, &y6);
    fp12_mul(&t0, &t0, &y4);
    fp12_mul(&t0, &t0, &y5);
    fp12_mul(&t1, &y3, &y5);
    fp12_mul(&t1, &t1, &t0);
    fp12_mul(&t0, &t0, &y2);
    fp12_sqr(&t1, &t1);
    fp12_mul(&t1, &t1, &t0);
    fp12_sqr(&t1, &t1);
    fp12_mul(&t0, &t1, &y1);
    fp12_mul(&t1, &t1, &y0);
    fp12_sqr(&t0, &t0);
    fp12_mul(r, &t0, &t1);
}

void pairing_final(fp12_t *f) {
    fp12_t t;
    fp12_inv(&t, f);
    fp12_conj(f, f);
    fp12_mul(f, f, &t); /* to the power p^6 - 1 */
    fp12_frobenius_2(&t, f);
    fp12_mul(f, f, &t); /* p^2 + 1 */
    hard_part(f, f);
}
