#include "sm2_comb.h"

#include <pthread.h>
#include <string.h>
#include "ridge/base/assert.h"
#include "sm2_affine.h"
#include "sm2_digest.h"

#define TEETH 16
#define SPACING 16
#define HALVES RDG_SM2_COMB_HALVES
#define HALF (TEETH / HALVES)
#define FIRST_LEVELS 4 /* the 2^4 sums that are not worth an inversion a level */

typedef struct bases {
    rdg_sm2_affine_t once[TEETH], twice[TEETH]; /* B_i and 2 B_i */
} bases_t;

static void make_bases(bases_t *out, const rdg_sm2_affine_t *point) {
    rdg_sm2_point_t jac[2 * TEETH];
    rdg_sm2_fe_t scratch[2 * TEETH];
    rdg_sm2_point_from_affine(&jac[0], point);
    for (int i = 0; i < TEETH; i++) {
        rdg_sm2_point_double(&jac[TEETH + i], &jac[i]);
        if (i + 1 == TEETH) break;
        jac[i + 1] = jac[TEETH + i];
        for (int k = 1; k < SPACING; k++) rdg_sm2_point_double(&jac[i + 1], &jac[i + 1]);
    }
    rdg_sm2_points_to_affine(out->once, jac, scratch, TEETH);
    rdg_sm2_points_to_affine(out->twice, jac + TEETH, scratch, TEETH);
}

/* The sums of each half in which only the digits 0 to FIRST_LEVELS - 1 and the last are positive. */
static void make_first(rdg_sm2_comb_t *comb, const bases_t *b) {
    enum { COUNT = 1 << FIRST_LEVELS };
    rdg_sm2_point_t jac[HALVES * COUNT];
    rdg_sm2_affine_t affine[HALVES * COUNT];
    rdg_sm2_fe_t scratch[HALVES * COUNT];
    for (unsigned h = 0; h < HALVES; h++) {
        const rdg_sm2_affine_t *once = b->once + h * HALF, *twice = b->twice + h * HALF;
        rdg_sm2_point_t *sums = jac + h * COUNT;
        rdg_sm2_point_from_affine(&sums[0], &once[HALF - 1]);
        for (unsigned i = 0; i + 1 < HALF; i++) {
            rdg_sm2_affine_t minus = once[i];
            rdg_sm2_affine_negate(&minus);
            rdg_sm2_point_add_affine(&sums[0], &sums[0], &minus);
        }
        for (unsigned m = 1; m < COUNT; m++)
            rdg_sm2_point_add_affine(&sums[m], &sums[m & (m - 1)], &twice[__builtin_ctz(m)]);
    }
    rdg_sm2_points_to_affine(affine, jac, scratch, HALVES * COUNT);
    for (unsigned h = 0; h < HALVES; h++) memcpy(comb->sum[h], affine + h * COUNT, COUNT * sizeof *affine);
}

/* Makes the 2^level sums of each half in which digit `level` is positive too. None of these additions meets
 * equal or opposite points: the sums are odd multiples of B_0, the bases even ones, both far below n. */
static void add_level(rdg_sm2_comb_t *comb, const bases_t *b, unsigned level) {
    rdg_sm2_affine_t terms[HALVES * 128];
    rdg_sm2_fe_t scratch[HALVES * 64];
    uint64_t special = 0;
    unsigned have = 1u << level;
    for (unsigned i = 0; i < HALVES * have; i++) {
        unsigned h = i >> level;
        terms[2 * i] = comb->sum[h][i & (have - 1)];
        terms[2 * i + 1] = b->twice[h * HALF + level];
    }
    rdg_sm2_affine_add_neighbours(terms, HALVES * have, HALVES * have, scratch, &special);
    RDG_ASSERT(!special);
    for (unsigned h = 0; h < HALVES; h++) memcpy(comb->sum[h] + have, terms + h * have, have * sizeof *terms);
}

void rdg_sm2_comb_build(rdg_sm2_comb_t *comb, const rdg_sm2_affine_t *point) {
    bases_t bases;
    make_bases(&bases, point);
    make_first(comb, &bases);
    for (unsigned level = FIRST_LEVELS; level + 1 < HALF; level++) add_level(comb, &bases, level);
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

void rdg_sm2_comb_columns(rdg_sm2_columns_t *out, const rdg_sm2_scalar_t *scalar) {
    rdg_sm2_scalar_t u;
    rdg_sm2_scalar_signed_bits(&u, scalar);
    for (unsigned j = 0; j < RDG_SM2_COMB_COLUMNS; j++) {
        unsigned bits = 0;
        for (unsigned i = 0; i < 4; i++) {
            /* The product brings bits 0, 16, 32 and 48 together at 48. */
            uint64_t four = (u.l[i] >> j & 0x0001000100010001u) * 0x0001000200040008u;
            bits |= (unsigned)(four >> 48 & 15) << 4 * i;
        }
        out->column[j] = (uint16_t)bits;
    }
}

void rdg_sm2_comb_term(rdg_sm2_affine_t *out, const rdg_sm2_comb_t *comb, const rdg_sm2_columns_t *columns,
                       unsigned column, unsigned half) {
    unsigned index = columns->column[column] >> (HALF * half) & 255;
    if (index & 128) {
        *out = comb->sum[half][index & 127];
    } else {
        *out = comb->sum[half][~index & 127];
        rdg_sm2_affine_negate(out);
    }
}
