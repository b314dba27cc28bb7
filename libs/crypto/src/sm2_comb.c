#include "sm2_comb.h"

#include <pthread.h>
#include <string.h>
#include "ridge/base/assert.h"
#include "sm2_digest.h"

#define TEETH 8
#define SPACING 32

void rdg_sm2_comb_build(rdg_sm2_comb_t *comb, const rdg_sm2_affine_t *point) {
    /* B_0 … B_7 and then 2 B_0 … 2 B_6, made affine together. */
    rdg_sm2_point_t jac[128];
    rdg_sm2_affine_t base[2 * TEETH - 1];
    rdg_sm2_fe_t scratch[128];
    rdg_sm2_point_from_affine(&jac[0], point);
    for (int i = 0; i + 1 < TEETH; i++) {
        rdg_sm2_point_double(&jac[TEETH + i], &jac[i]);
        jac[i + 1] = jac[TEETH + i];
        for (int k = 1; k < SPACING; k++) rdg_sm2_point_double(&jac[i + 1], &jac[i + 1]);
    }
    rdg_sm2_points_to_affine(base, jac, scratch, 2 * TEETH - 1);

    rdg_sm2_point_from_affine(&jac[0], &base[TEETH - 1]);
    for (int i = 0; i + 1 < TEETH; i++) {
        rdg_sm2_affine_t minus = base[i];
        rdg_sm2_affine_negate(&minus);
        rdg_sm2_point_add_affine(&jac[0], &jac[0], &minus);
    }
    for (unsigned m = 1; m < 128; m++) {
        unsigned lowest = (unsigned)__builtin_ctz(m);
        rdg_sm2_point_add_affine(&jac[m], &jac[m & (m - 1)], &base[TEETH + lowest]);
    }
    rdg_sm2_points_to_affine(comb->sum, jac, scratch, 128);
}

static rdg_sm2_comb_t base_comb;

static void build_base(void) {
    uint8_t xy[64];
    rdg_sm2_affine_t g;
    memcpy(xy, rdg_sm2_gx, 32);
    memcpy(xy + 32, rdg_sm2_gy, 32);
    RDG_ASSERT(rdg_sm2_affine_decode(xy, &g));
    rdg_sm2_comb_build(&base_comb, &g);
}

const rdg_sm2_comb_t *rdg_sm2_comb_base(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, build_base);
    return &base_comb;
}

void rdg_sm2_comb_add(rdg_sm2_point_t *acc, const rdg_sm2_comb_t *comb, const rdg_sm2_scalar_t *u,
                      unsigned column) {
    unsigned index = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t limb = u->l[i] >> column;
        index |= (unsigned)(limb & 1) << 2 * i | (unsigned)(limb >> SPACING & 1) << (2 * i + 1);
    }
    rdg_sm2_affine_t term;
    if (index & 128) {
        term = comb->sum[index & 127];
    } else {
        term = comb->sum[~index & 127];
        rdg_sm2_affine_negate(&term);
    }
    rdg_sm2_point_add_affine(acc, acc, &term);
}
