/* The sums of sm2_sum.h eight at a time. The including file defines SUM_LANES, the function's name, and is
 * compiled for the processor it is meant for. */
#include "sm2_lanes.h"
#include "sm2_lanes_field.h"

typedef struct point8 {
    fe8_t x, y, z;
} point8_t;

typedef struct affine8 { /* below 16p */
    fe8_t x, y;
} affine8_t;

/* The formulas of sm2_point.c. */
static inline void point8_double(point8_t *p) {
    fe8_t m, t, y2, u;
    fe8_sqr(&t, &p->z);
    fe8_sub(&m, &p->x, &t);
    fe8_add(&t, &p->x, &t);
    fe8_mul(&m, &m, &t);
    fe8_triple(&m, &m);
    fe8_add(&y2, &p->y, &p->y);
    fe8_mul(&p->z, &y2, &p->z);
    fe8_sqr(&y2, &y2);
    fe8_mul(&t, &p->x, &y2);
    fe8_sqr(&u, &m);
    fe8_sub(&u, &u, &t);
    fe8_sub(&p->x, &u, &t);
    fe8_sub(&t, &t, &p->x);
    fe8_mul(&t, &t, &m);
    fe8_sqr(&y2, &y2);
    fe8_halve(&y2, &y2);
    fe8_sub(&p->y, &t, &y2);
}

/* Leaves out nothing but equal, opposite and infinite operands: those give z = 0, which stays so to the end. */
static inline void point8_add(point8_t *p, const affine8_t *q) {
    fe8_t z2, h, r, h2, h3, v, t;
    fe8_sqr(&z2, &p->z);
    fe8_mul(&h, &q->x, &z2);
    fe8_sub(&h, &h, &p->x);
    fe8_mul(&z2, &z2, &p->z);
    fe8_mul(&r, &q->y, &z2);
    fe8_sub(&r, &r, &p->y);
    fe8_sqr(&h2, &h);
    fe8_mul(&h3, &h, &h2);
    fe8_mul(&v, &p->x, &h2);
    fe8_mul(&t, &p->y, &h3);
    fe8_mul(&p->z, &p->z, &h);
    fe8_sqr(&h2, &r);
    fe8_sub_twice(&p->x, &h2, &h3, &v);
    fe8_sub(&v, &v, &p->x);
    fe8_mul(&v, &v, &r);
    fe8_sub(&p->y, &v, &t);
}

typedef struct lane_jobs {
    const rdg_sm2_comb_t *comb[2][LANES]; /* of G, of the key */
    rdg_sm2_columns_t columns[2][LANES];
} lane_jobs_t;

static void load_terms(affine8_t *out, const lane_jobs_t *jobs, unsigned which, unsigned column,
                       unsigned half) {
    vec_t x[4], y[4];
    for (unsigned i = 0; i < LANES; i++) {
        rdg_sm2_affine_t term;
        rdg_sm2_comb_term(&term, jobs->comb[which][i], &jobs->columns[which][i], column, half);
        for (unsigned k = 0; k < 4; k++) x[k][i] = term.x.l[k], y[k][i] = term.y.l[k];
    }
    fe8_from_words(&out->x, x);
    fe8_from_words(&out->y, y);
}

static void sum_eight(point8_t *acc, const lane_jobs_t *jobs) {
    affine8_t term;
    fe8_t one;
    fe8_set(&one, r_52);
    for (unsigned column = RDG_SM2_COMB_COLUMNS; column-- > 0;) {
        if (column + 1 < RDG_SM2_COMB_COLUMNS) point8_double(acc);
        for (unsigned i = 0; i < 2 * RDG_SM2_COMB_HALVES; i++) {
            load_terms(&term, jobs, i / RDG_SM2_COMB_HALVES, column, i % RDG_SM2_COMB_HALVES);
            if (column + 1 == RDG_SM2_COMB_COLUMNS && i == 0) {
                fe8_mul(&acc->x, &term.x, &one); /* below 2p */
                fe8_mul(&acc->y, &term.y, &one);
                acc->z = one;
            } else {
                point8_add(acc, &term);
            }
        }
    }
}

void SUM_LANES(rdg_sm2_point_t *out, const rdg_sm2_sum_job_t *jobs, size_t count) {
    for (size_t from = 0; from < count; from += LANES) {
        lane_jobs_t eight;
        point8_t acc;
        rdg_sm2_fe_t x[LANES], y[LANES], z[LANES];
        for (size_t i = 0; i < LANES; i++) { /* the last lanes may repeat the last job */
            const rdg_sm2_sum_job_t *job = &jobs[from + i < count ? from + i : count - 1];
            eight.comb[0][i] = rdg_sm2_comb_base(), eight.comb[1][i] = job->key;
            rdg_sm2_comb_columns(&eight.columns[0][i], &job->s);
            rdg_sm2_comb_columns(&eight.columns[1][i], &job->t);
        }
        sum_eight(&acc, &eight);
        fe8_to_fields(x, &acc.x);
        fe8_to_fields(y, &acc.y);
        fe8_to_fields(z, &acc.z);
        for (size_t i = 0; i < LANES && from + i < count; i++)
            out[from + i] = (rdg_sm2_point_t){x[i], y[i], z[i]};
    }
}
