/* Which code computes the sums of a batch. The fastest that this CPU has is chosen at first use; tests force
 * each in turn. */
#ifndef RIDGE_CRYPTO_SM2_PATH_H
#define RIDGE_CRYPTO_SM2_PATH_H
#include "sm2_sum.h"

typedef struct rdg_sm2_path {
    const char *name;
    rdg_sm2_sum_many_t *sum; /* NULL: one by one */
    size_t least;            /* lanes below which one by one is as fast */
} rdg_sm2_path_t;

extern const rdg_sm2_path_t rdg_sm2_paths[]; /* up to one without a name */

const rdg_sm2_path_t *rdg_sm2_path_chosen(void);
void rdg_sm2_path_force(const rdg_sm2_path_t *path); /* NULL: choose again. Not while batches run. */

#endif
