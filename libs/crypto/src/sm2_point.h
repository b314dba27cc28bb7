/* Points of the SM2 curve y^2 = x^3 - 3x + b (GB/T 32918.5), for public data only.
 *
 * The curve has prime order, so every point but infinity has order n and none has order 2. Jacobian
 * coordinates: x = X/Z^2, y = Y/Z^3, Z = 0 is infinity. Outputs may be the same objects as inputs. All
 * sums are complete: equal, opposite and infinite operands give what the group says. */
#ifndef RIDGE_CRYPTO_SM2_POINT_H
#define RIDGE_CRYPTO_SM2_POINT_H
#include "sm2_field.h"

typedef struct rdg_sm2_affine { /* never infinity */
    rdg_sm2_fe_t x, y;
} rdg_sm2_affine_t;

typedef struct rdg_sm2_point {
    rdg_sm2_fe_t x, y, z;
} rdg_sm2_point_t;

bool rdg_sm2_affine_decode(const uint8_t xy[64], rdg_sm2_affine_t *out); /* false: not on the curve */
void rdg_sm2_affine_negate(rdg_sm2_affine_t *a);

void rdg_sm2_point_set_infinity(rdg_sm2_point_t *p);
bool rdg_sm2_point_is_infinity(const rdg_sm2_point_t *p);
void rdg_sm2_point_from_affine(rdg_sm2_point_t *out, const rdg_sm2_affine_t *a);
void rdg_sm2_point_double(rdg_sm2_point_t *out, const rdg_sm2_point_t *a);
void rdg_sm2_point_add(rdg_sm2_point_t *out, const rdg_sm2_point_t *a, const rdg_sm2_point_t *b);
void rdg_sm2_point_add_affine(rdg_sm2_point_t *out, const rdg_sm2_point_t *a, const rdg_sm2_affine_t *b);
/* Many at once, with one inversion; none may be infinity. scratch holds count elements. */
void rdg_sm2_points_to_affine(rdg_sm2_affine_t *out, const rdg_sm2_point_t *in, rdg_sm2_fe_t *scratch,
                              int count);

#endif
