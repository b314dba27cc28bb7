/* G1, in Jacobian coordinates. */
#include "bn254_pairing.h"

typedef struct point {
    fp_t x, y, z; /* x/z^2, y/z^3; infinity: z = 0 */
} point_t;

static void twice(fp_t *r, const fp_t *a) {
    fp_add(r, a, a);
}

static void point_double(point_t *t) {
    fp_t yy, yyyy, s, m, u;
    fp_mul(&yy, &t->y, &t->y);
    fp_mul(&yyyy, &yy, &yy);
    fp_mul(&u, &t->x, &t->x);
    twice(&m, &u);
    fp_add(&m, &m, &u); /* 3x^2 */
    fp_mul(&s, &t->x, &yy);
    twice(&s, &s);
    twice(&s, &s); /* 4xy^2 */
    fp_mul(&t->z, &t->y, &t->z);
    twice(&t->z, &t->z);
    fp_mul(&t->x, &m, &m);
    twice(&u, &s);
    fp_sub(&t->x, &t->x, &u);
    fp_sub(&u, &s, &t->x);
    fp_mul(&u, &u, &m);
    for (int i = 0; i < 3; ++i) twice(&yyyy, &yyyy);
    fp_sub(&t->y, &u, &yyyy);
}

static void point_add(point_t *t, const g1_t *q) {
    fp_t zz, h, r, hh, hhh, v, u;
    if (q->infinity) return;
    if (fp_is_zero(&t->z)) {
        *t = (point_t){q->x, q->y, FP_ONE};
        return;
    }
    fp_mul(&zz, &t->z, &t->z);
    fp_mul(&h, &q->x, &zz);
    fp_sub(&h, &h, &t->x);
    fp_mul(&r, &zz, &t->z);
    fp_mul(&r, &r, &q->y);
    fp_sub(&r, &r, &t->y);
    if (fp_is_zero(&h) && fp_is_zero(&r)) {
        point_double(t);
        return;
    }
    fp_mul(&t->z, &t->z, &h); /* 0 for T = -Q, which is right */
    fp_mul(&hh, &h, &h);
    fp_mul(&hhh, &hh, &h);
    fp_mul(&v, &t->x, &hh);
    fp_mul(&t->x, &r, &r);
    fp_sub(&t->x, &t->x, &hhh);
    twice(&u, &v);
    fp_sub(&t->x, &t->x, &u);
    fp_sub(&u, &v, &t->x);
    fp_mul(&u, &u, &r);
    fp_mul(&hhh, &hhh, &t->y);
    fp_sub(&t->y, &u, &hhh);
}

static void to_affine(g1_t *r, const point_t *t) {
    *r = (g1_t){.infinity = fp_is_zero(&t->z)};
    if (r->infinity) return;
    fp_t inverse, square;
    fp_inv(&inverse, &t->z);
    fp_mul(&square, &inverse, &inverse);
    fp_mul(&r->x, &t->x, &square);
    fp_mul(&square, &square, &inverse);
    fp_mul(&r->y, &t->y, &square);
}

bool g1_on_curve(const g1_t *a) {
    fp_t left, right;
    if (a->infinity) return true;
    fp_mul(&left, &a->y, &a->y);
    fp_mul(&right, &a->x, &a->x);
    fp_mul(&right, &right, &a->x);
    for (int i = 0; i < 3; ++i) fp_add(&right, &right, &FP_ONE);
    return fp_equal(&left, &right);
}

static point_t of_affine(const g1_t *a) {
    return a->infinity ? (point_t){.x = FP_ONE, .y = FP_ONE} : (point_t){a->x, a->y, FP_ONE};
}

void g1_add(g1_t *r, const g1_t *a, const g1_t *b) {
    point_t t = of_affine(a);
    point_add(&t, b);
    to_affine(r, &t);
}

void g1_mul(g1_t *r, const g1_t *a, const uint8_t scalar[32]) {
    point_t t = {.x = FP_ONE, .y = FP_ONE};
    const g1_t base = *a;
    for (int bit = 0; bit < 256; ++bit) {
        point_double(&t);
        if ((scalar[bit / 8] >> (7 - bit % 8)) & 1) point_add(&t, &base);
    }
    to_affine(r, &t);
}
