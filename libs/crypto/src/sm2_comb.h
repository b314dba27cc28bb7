/* Tables of 16 KiB that multiply one known point by any scalar in 32 additions and 15 doublings.
 *
 * Signed comb: a scalar is written with digits +1 and -1 only (sm2_scalar.h). Column j takes the sixteen
 * digits at j, j + 16, …, j + 240; with B_i = 2^(16 i) P it stands for the sum of ±B_i, times 2^j. Half h
 * holds the 128 sums of ±B_(8h) … ±B_(8h+7) in which the last one is positive; the others are their
 * negatives. No sum is infinity, because |±1 ± 2^16 … ± 2^112| is neither 0 nor as large as n.
 * An entry is one cache line. */
#ifndef RIDGE_CRYPTO_SM2_COMB_H
#define RIDGE_CRYPTO_SM2_COMB_H
#include "sm2_point.h"
#include "sm2_scalar.h"

#define RDG_SM2_COMB_COLUMNS 16
#define RDG_SM2_COMB_HALVES 2

typedef struct rdg_sm2_comb {
    _Alignas(64) rdg_sm2_affine_t sum[RDG_SM2_COMB_HALVES][128];
} rdg_sm2_comb_t;

/* Bit i of column[j] is the digit at j + 16 i: 1 for +1, 0 for -1. */
typedef struct rdg_sm2_columns {
    uint16_t column[RDG_SM2_COMB_COLUMNS];
} rdg_sm2_columns_t;

void rdg_sm2_comb_build(rdg_sm2_comb_t *comb, const rdg_sm2_affine_t *point);
const rdg_sm2_comb_t *rdg_sm2_comb_base(void); /* that of G; built once, thread-safe */
void rdg_sm2_comb_columns(rdg_sm2_columns_t *out, const rdg_sm2_scalar_t *scalar);
/* out = the sum that half `half` of a column's digits stands for. */
void rdg_sm2_comb_term(rdg_sm2_affine_t *out, const rdg_sm2_comb_t *comb, const rdg_sm2_columns_t *columns,
                       unsigned column, unsigned half);

#endif
