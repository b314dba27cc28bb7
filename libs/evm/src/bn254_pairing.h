/* Groups and pairing of alt_bn128. G1: y^2 = x^3 + 3 over Fp, prime order. G2: the subgroup of the same order
 * on y^2 = x^3 + 3/xi over Fp2. The optimal ate pairing. */
#ifndef RIDGE_EVM_BN254_PAIRING_H
#define RIDGE_EVM_BN254_PAIRING_H
#include <stddef.h>
#include "bn254_field.h"

/* Affine; infinity instead of coordinates. */
typedef struct g1 {
    fp_t x, y;
    bool infinity;
} g1_t;
typedef struct g2 {
    fp2_t x, y;
    bool infinity;
} g2_t;

bool g1_on_curve(const g1_t *a);
void g1_add(g1_t *r, const g1_t *a, const g1_t *b);
void g1_mul(g1_t *r, const g1_t *a, const uint8_t scalar[32]); /* big-endian, any value */

bool g2_on_curve(const g2_t *a);
bool g2_in_group(const g2_t *a); /* a is on the curve */

/* Pairs whose lines are computed together, sharing the squarings. */
#define PAIRING_BATCH 8
/* *f *= the Miller loop's value for count <= PAIRING_BATCH pairs of points, none of them at infinity. */
void pairing_miller(fp12_t *f, const g1_t *p, const g2_t *q, size_t count);
void pairing_final(fp12_t *f); /* the final exponentiation */

#endif
