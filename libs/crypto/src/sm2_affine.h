/* Sums of points that stay affine: a sum costs an inversion, which many sums share (Montgomery), so that one
 * comes to 5 products and a square where Jacobian coordinates take 8 and 3. Public data only.
 *
 * Equal and opposite points have no such sum. Where they meet, the bit of their group is set in *special: what
 * is stored for that group means nothing any more, and the caller computes it by complete formulas. */
#ifndef RIDGE_CRYPTO_SM2_AFFINE_H
#define RIDGE_CRYPTO_SM2_AFFINE_H
#include "sm2_point.h"

#define RDG_SM2_GROUPS_MAX 64 /* bits of *special */

/* points[i] = points[2 i] + points[2 i + 1] for i < count; sum i is of group i / group_size. scratch holds
 * count elements. */
void rdg_sm2_affine_add_neighbours(rdg_sm2_affine_t *points, unsigned count, unsigned group_size,
                                   rdg_sm2_fe_t *scratch, uint64_t *special);

/* out[i] = sum of 2^j times the j-th of its `columns` points, which stand one after the other; i is its group,
 * below count <= RDG_SM2_GROUPS_MAX. */
void rdg_sm2_affine_horner(rdg_sm2_affine_t *out, const rdg_sm2_affine_t *points, unsigned columns,
                           unsigned count, uint64_t *special);

#endif
