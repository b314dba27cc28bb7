/* Which code computes the sums of a batch. The first that this CPU has and that passes its self-test is chosen at
 * first use; tests force each in turn. */
#ifndef RIDGE_CRYPTO_SM2_PATH_H
#define RIDGE_CRYPTO_SM2_PATH_H
#include "sm2_sum.h"

typedef struct rdg_sm2_path {
    const char *name;
    rdg_sm2_sum_many_t *sum; /* NULL: one by one */
    size_t least;            /* lanes below which one by one is as fast */
} rdg_sm2_path_t;

extern const rdg_sm2_path_t rdg_sm2_paths[]; /* the best first, up to one without a name */

/* NULL if the path can be used here, else why not. The self-test: the example of GB/T 32918.2 and 47 sums that
 * must be those of rdg_sm2_sum_known, special cases among them. */
const char *rdg_sm2_path_refusal(const rdg_sm2_path_t *path);
const char *rdg_sm2_path_self_test(const rdg_sm2_path_t *path);
const rdg_sm2_path_t *rdg_sm2_path_chosen(void);
void rdg_sm2_path_force(const rdg_sm2_path_t *path); /* NULL: the chosen one again. Not while batches run. */

#endif
