#include "sm2_affine.h"

typedef rdg_sm2_fe_t fe_t;
typedef rdg_sm2_affine_t affine_t;
#define mul rdg_sm2_fe_mul
#define sqr rdg_sm2_fe_sqr
#define add rdg_sm2_fe_add
#define sub rdg_sm2_fe_sub

/* An element that is to be inverted; 0 has no inverse and would spoil those of all others. */
static inline void guard(fe_t *d, unsigned group, uint64_t *special) {
    if (!rdg_sm2_fe_is_zero(d)) return;
    *special |= (uint64_t)1 << group;
    *d = rdg_sm2_fe_one;
}

void rdg_sm2_affine_add_neighbours(affine_t *points, unsigned count, unsigned group_size, fe_t *scratch,
                                   uint64_t *special) {
    /* scratch[i] = product of the differences after i; so the second pass ascends and may store in place. */
    fe_t acc = rdg_sm2_fe_one, d;
    for (unsigned i = count; i-- > 0;) {
        scratch[i] = acc;
        sub(&d, &points[2 * i + 1].x, &points[2 * i].x);
        guard(&d, i / group_size, special);
        mul(&acc, &acc, &d);
    }
    rdg_sm2_fe_inv(&acc, &acc);
    uint64_t ignored = 0;
    for (unsigned i = 0; i < count; i++) {
        const affine_t a = points[2 * i], *b = &points[2 * i + 1];
        fe_t slope, dy;
        sub(&d, &b->x, &a.x);
        guard(&d, 0, &ignored);
        mul(&slope, &acc, &scratch[i]);
        mul(&acc, &acc, &d);
        sub(&dy, &b->y, &a.y);
        mul(&slope, &slope, &dy);
        sqr(&d, &slope);
        sub(&d, &d, &a.x);
        sub(&points[i].x, &d, &b->x);
        sub(&d, &a.x, &points[i].x);
        mul(&d, &d, &slope);
        sub(&points[i].y, &d, &a.y);
    }
}

/* 2A + B as (A + B) + A: the first sum needs no y (Eisenträger, Lauter, Montgomery 2003). */
typedef struct lane {
    affine_t a;
    fe_t d, before; /* what is inverted, and the product of those of the lanes before (or after) */
    fe_t slope, x;  /* of A + B */
} lane_t;

static void begin(lane_t *lane, const affine_t *b, fe_t *acc, unsigned group, uint64_t *special) {
    sub(&lane->d, &b->x, &lane->a.x);
    guard(&lane->d, group, special);
    lane->before = *acc;
    mul(acc, acc, &lane->d);
}

/* With the inverse of d comes A + B; then d is what the next sum needs inverted. */
static void middle(lane_t *lane, const affine_t *b, fe_t *inverse, fe_t *acc, unsigned group,
                   uint64_t *special) {
    fe_t t;
    mul(&lane->slope, inverse, &lane->before);
    mul(inverse, inverse, &lane->d);
    sub(&t, &b->y, &lane->a.y);
    mul(&lane->slope, &lane->slope, &t);
    sqr(&t, &lane->slope);
    sub(&t, &t, &lane->a.x);
    sub(&lane->x, &t, &b->x);
    sub(&lane->d, &lane->x, &lane->a.x);
    guard(&lane->d, group, special);
    lane->before = *acc;
    mul(acc, acc, &lane->d);
}

static void end(lane_t *lane, fe_t *inverse) {
    fe_t slope, t, x;
    mul(&slope, inverse, &lane->before);
    mul(inverse, inverse, &lane->d);
    rdg_sm2_fe_double(&t, &lane->a.y);
    mul(&slope, &slope, &t);
    add(&slope, &slope, &lane->slope); /* the negative of the slope */
    sqr(&t, &slope);
    sub(&t, &t, &lane->a.x);
    sub(&x, &t, &lane->x);
    sub(&t, &x, &lane->a.x);
    mul(&t, &t, &slope);
    sub(&lane->a.y, &t, &lane->a.y);
    lane->a.x = x;
}

void rdg_sm2_affine_horner(affine_t *out, const affine_t *points, unsigned columns, unsigned count,
                           uint64_t *special) {
    lane_t lanes[RDG_SM2_GROUPS_MAX];
    fe_t first = rdg_sm2_fe_one, second;
    for (unsigned i = 0; i < count; i++) {
        lanes[i].a = points[i * columns + columns - 1];
        begin(&lanes[i], &points[i * columns + columns - 2], &first, i, special);
    }
    for (unsigned j = columns - 1; j-- > 0;) {
        rdg_sm2_fe_inv(&first, &first);
        second = rdg_sm2_fe_one;
        for (unsigned i = count; i-- > 0;)
            middle(&lanes[i], &points[i * columns + j], &first, &second, i, special);
        rdg_sm2_fe_inv(&second, &second);
        first = rdg_sm2_fe_one;
        for (unsigned i = 0; i < count; i++) {
            end(&lanes[i], &second);
            if (j > 0) begin(&lanes[i], &points[i * columns + j - 1], &first, i, special);
        }
    }
    for (unsigned i = 0; i < count; i++) out[i] = lanes[i].a;
}
