#include "sm2_path.h"

#include <stdatomic.h>

const rdg_sm2_path_t rdg_sm2_paths[] = {
    {"single", NULL, 0},
    {"affine", rdg_sm2_sum_affine, 8},
    {NULL, NULL, 0},
};

static _Atomic(const rdg_sm2_path_t *) forced;

const rdg_sm2_path_t *rdg_sm2_path_chosen(void) {
    const rdg_sm2_path_t *path = atomic_load(&forced);
    return path ? path : &rdg_sm2_paths[1];
}

void rdg_sm2_path_force(const rdg_sm2_path_t *path) {
    atomic_store(&forced, path);
}
