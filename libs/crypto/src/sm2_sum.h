/* The sum s·G + t·P that a verification needs, by several ways that give the same point (up to the choice of
 * its projective coordinates). Public data only. */
#ifndef RIDGE_CRYPTO_SM2_SUM_H
#define RIDGE_CRYPTO_SM2_SUM_H
#include <stddef.h>
#include "sm2_comb.h"

#define RDG_SM2_SUM_LANES 64

/* For one key with a table: 15 doublings, 64 additions. */
void rdg_sm2_sum_known(rdg_sm2_point_t *out, const rdg_sm2_scalar_t *s, const rdg_sm2_scalar_t *t,
                       const rdg_sm2_comb_t *key);
/* For a key seen for the first time: wNAF of t over 256 doublings. */
void rdg_sm2_sum_unknown(rdg_sm2_point_t *out, const rdg_sm2_scalar_t *s, const rdg_sm2_scalar_t *t,
                         const rdg_sm2_affine_t *key);

typedef struct rdg_sm2_sum_job {
    const rdg_sm2_comb_t *key; /* borrows */
    rdg_sm2_scalar_t s, t;
} rdg_sm2_sum_job_t;

/* Up to RDG_SM2_SUM_LANES at once. Where a lane meets a case that its formulas leave out, infinity is stored:
 * so infinity says no more than to ask rdg_sm2_sum_known. */
typedef void rdg_sm2_sum_many_t(rdg_sm2_point_t *out, const rdg_sm2_sum_job_t *jobs, size_t count);
rdg_sm2_sum_many_t rdg_sm2_sum_affine; /* affine with shared inversions; needs some 100 KiB of stack */

#endif
