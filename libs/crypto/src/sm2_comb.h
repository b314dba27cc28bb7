/* A table of 8 KiB that multiplies one known point by any scalar in 32 additions.
 *
 * Signed comb with 8 teeth: a scalar is written with digits +1 and -1 only (sm2_scalar.h). Column j takes
 * the digits at j, j + 32, …, j + 224; with B_i = 2^(32 i) P it stands for the sum of ±B_i, times 2^j. The
 * table holds the 128 sums in which B_7 is positive; the others are their negatives. No sum is infinity,
 * because |±1 ± 2^32 … ± 2^224| is neither 0 nor as large as n. */
#ifndef RIDGE_CRYPTO_SM2_COMB_H
#define RIDGE_CRYPTO_SM2_COMB_H
#include "sm2_point.h"
#include "sm2_scalar.h"

#define RDG_SM2_COMB_COLUMNS 32

typedef struct rdg_sm2_comb {
    rdg_sm2_affine_t sum[128];
} rdg_sm2_comb_t;

void rdg_sm2_comb_build(rdg_sm2_comb_t *comb, const rdg_sm2_affine_t *point);
const rdg_sm2_comb_t *rdg_sm2_comb_base(void); /* that of G; built once, thread-safe */
/* acc += the column's sum of u = signed bits of a scalar, without the factor 2^column. */
void rdg_sm2_comb_add(rdg_sm2_point_t *acc, const rdg_sm2_comb_t *comb, const rdg_sm2_scalar_t *u,
                      unsigned column);

#endif
