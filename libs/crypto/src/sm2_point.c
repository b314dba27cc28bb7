#include "sm2_point.h"

#include <string.h>

typedef rdg_sm2_fe_t fe_t;
#define mul rdg_sm2_fe_mul
#define sqr rdg_sm2_fe_sqr
#define add rdg_sm2_fe_add
#define sub rdg_sm2_fe_sub
#define twice rdg_sm2_fe_double

static const uint8_t curve_b[32] = {0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e,
                                    0x4b, 0xcf, 0x65, 0x09, 0xa7, 0xf3, 0x97, 0x89, 0xf5, 0x15, 0xab,
                                    0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94, 0x0e, 0x93};

bool rdg_sm2_affine_decode(const uint8_t xy[64], rdg_sm2_affine_t *out) {
    if (!rdg_sm2_fe_from_bytes(&out->x, xy) || !rdg_sm2_fe_from_bytes(&out->y, xy + 32)) return false;
    fe_t left, right, three_x, b;
    sqr(&left, &out->y);
    sqr(&right, &out->x);
    mul(&right, &right, &out->x);
    twice(&three_x, &out->x);
    add(&three_x, &three_x, &out->x);
    sub(&right, &right, &three_x);
    rdg_sm2_fe_from_bytes(&b, curve_b);
    add(&right, &right, &b);
    return rdg_sm2_fe_equal(&left, &right);
}

void rdg_sm2_affine_negate(rdg_sm2_affine_t *a) {
    static const fe_t zero;
    sub(&a->y, &zero, &a->y);
}

void rdg_sm2_point_set_infinity(rdg_sm2_point_t *p) {
    p->x = p->y = rdg_sm2_fe_one;
    memset(&p->z, 0, sizeof p->z);
}

bool rdg_sm2_point_is_infinity(const rdg_sm2_point_t *p) {
    return rdg_sm2_fe_is_zero(&p->z);
}

void rdg_sm2_point_from_affine(rdg_sm2_point_t *out, const rdg_sm2_affine_t *a) {
    out->x = a->x, out->y = a->y, out->z = rdg_sm2_fe_one;
}

/* 4M + 4S with few sums: with m = 3 (X - Z^2) (X + Z^2) and t = 4 X Y^2, X3 = m^2 - 2t, Y3 = m (t - X3) - 8 Y^4,
 * Z3 = 2 Y Z. Infinity stays infinity. */
void rdg_sm2_point_double(rdg_sm2_point_t *out, const rdg_sm2_point_t *a) {
    fe_t m, t, y2, u;
    sqr(&t, &a->z);
    sub(&m, &a->x, &t);
    add(&t, &a->x, &t);
    mul(&m, &m, &t);
    twice(&t, &m);
    add(&m, &m, &t);
    twice(&y2, &a->y);
    mul(&out->z, &y2, &a->z);
    sqr(&y2, &y2);
    mul(&t, &a->x, &y2);
    sqr(&u, &m);
    sub(&u, &u, &t);
    sub(&out->x, &u, &t);
    sub(&t, &t, &out->x);
    mul(&t, &t, &m);
    sqr(&y2, &y2);
    rdg_sm2_fe_halve(&y2, &y2);
    sub(&out->y, &t, &y2);
}

/* The common end of both sums: (x1, y1) is the first operand over the common denominator, h and r are the
 * differences of the x and the y, z what h is multiplied with to give the new Z. */
static void finish_add(rdg_sm2_point_t *out, const fe_t *x1, const fe_t *y1, const fe_t *h, const fe_t *r,
                       const fe_t *z) {
    fe_t h2, h3, v, t;
    sqr(&h2, h);
    mul(&h3, h, &h2);
    mul(&v, x1, &h2);
    mul(&t, y1, &h3);
    mul(&out->z, z, h);
    sqr(&out->x, r);
    sub(&out->x, &out->x, &h3);
    sub(&out->x, &out->x, &v);
    sub(&out->x, &out->x, &v);
    sub(&v, &v, &out->x);
    mul(&v, &v, r);
    sub(&out->y, &v, &t);
}

void rdg_sm2_point_add_affine(rdg_sm2_point_t *out, const rdg_sm2_point_t *a, const rdg_sm2_affine_t *b) {
    if (rdg_sm2_point_is_infinity(a)) {
        rdg_sm2_point_from_affine(out, b);
        return;
    }
    fe_t z2, h, r;
    sqr(&z2, &a->z);
    mul(&h, &b->x, &z2);
    sub(&h, &h, &a->x);
    mul(&z2, &z2, &a->z);
    mul(&r, &b->y, &z2);
    sub(&r, &r, &a->y);
    if (rdg_sm2_fe_is_zero(&h)) {
        if (rdg_sm2_fe_is_zero(&r))
            rdg_sm2_point_double(out, a);
        else
            rdg_sm2_point_set_infinity(out);
        return;
    }
    fe_t x1 = a->x, y1 = a->y, z1 = a->z;
    finish_add(out, &x1, &y1, &h, &r, &z1);
}

void rdg_sm2_point_add(rdg_sm2_point_t *out, const rdg_sm2_point_t *a, const rdg_sm2_point_t *b) {
    if (rdg_sm2_point_is_infinity(a) || rdg_sm2_point_is_infinity(b)) {
        *out = rdg_sm2_point_is_infinity(a) ? *b : *a;
        return;
    }
    fe_t za2, zb2, u1, s1, h, r, z;
    sqr(&za2, &a->z);
    sqr(&zb2, &b->z);
    mul(&u1, &a->x, &zb2);
    mul(&h, &b->x, &za2);
    sub(&h, &h, &u1);
    mul(&zb2, &zb2, &b->z);
    mul(&s1, &a->y, &zb2);
    mul(&za2, &za2, &a->z);
    mul(&r, &b->y, &za2);
    sub(&r, &r, &s1);
    if (rdg_sm2_fe_is_zero(&h)) {
        if (rdg_sm2_fe_is_zero(&r))
            rdg_sm2_point_double(out, a);
        else
            rdg_sm2_point_set_infinity(out);
        return;
    }
    mul(&z, &a->z, &b->z);
    finish_add(out, &u1, &s1, &h, &r, &z);
}

void rdg_sm2_points_to_affine(rdg_sm2_affine_t *out, const rdg_sm2_point_t *in, fe_t *scratch, int count) {
    /* scratch[i] = product of all z before i; then one inverse is unrolled from the end. */
    fe_t acc = rdg_sm2_fe_one, z_inv, z_inv2;
    for (int i = 0; i < count; i++) {
        scratch[i] = acc;
        mul(&acc, &acc, &in[i].z);
    }
    rdg_sm2_fe_inv(&acc, &acc);
    for (int i = count - 1; i >= 0; i--) {
        mul(&z_inv, &acc, &scratch[i]);
        mul(&acc, &acc, &in[i].z);
        sqr(&z_inv2, &z_inv);
        mul(&out[i].x, &in[i].x, &z_inv2);
        mul(&z_inv2, &z_inv2, &z_inv);
        mul(&out[i].y, &in[i].y, &z_inv2);
    }
}
