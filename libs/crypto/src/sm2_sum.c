#include "sm2_sum.h"

#include "ridge/base/assert.h"
#include "sm2_affine.h"

static void add_column(rdg_sm2_point_t *acc, const rdg_sm2_comb_t *comb, const rdg_sm2_columns_t *columns,
                       unsigned column) {
    for (unsigned half = 0; half < RDG_SM2_COMB_HALVES; half++) {
        rdg_sm2_affine_t term;
        rdg_sm2_comb_term(&term, comb, columns, column, half);
        rdg_sm2_point_add_affine(acc, acc, &term);
    }
}

void rdg_sm2_sum_known(rdg_sm2_point_t *out, const rdg_sm2_scalar_t *s, const rdg_sm2_scalar_t *t,
                       const rdg_sm2_comb_t *key) {
    const rdg_sm2_comb_t *base = rdg_sm2_comb_base();
    rdg_sm2_columns_t s_columns, t_columns;
    rdg_sm2_comb_columns(&s_columns, s);
    rdg_sm2_comb_columns(&t_columns, t);
    rdg_sm2_point_set_infinity(out);
    for (unsigned column = RDG_SM2_COMB_COLUMNS; column-- > 0;) {
        rdg_sm2_point_double(out, out);
        add_column(out, base, &s_columns, column);
        add_column(out, key, &t_columns, column);
    }
}

static void add_digit(rdg_sm2_point_t *acc, const rdg_sm2_affine_t odd[8], int digit) {
    if (digit > 0) {
        rdg_sm2_point_add_affine(acc, acc, &odd[digit / 2]);
    } else if (digit < 0) {
        rdg_sm2_affine_t minus = odd[-digit / 2];
        rdg_sm2_affine_negate(&minus);
        rdg_sm2_point_add_affine(acc, acc, &minus);
    }
}

/* P, 3P, … 15P. */
static void odd_multiples(rdg_sm2_affine_t odd[8], const rdg_sm2_affine_t *key) {
    rdg_sm2_point_t jac[8], twice;
    rdg_sm2_fe_t scratch[8];
    rdg_sm2_point_from_affine(&jac[0], key);
    rdg_sm2_point_double(&twice, &jac[0]);
    for (int i = 1; i < 8; i++) rdg_sm2_point_add(&jac[i], &jac[i - 1], &twice);
    rdg_sm2_points_to_affine(odd, jac, scratch, 8);
}

void rdg_sm2_sum_unknown(rdg_sm2_point_t *out, const rdg_sm2_scalar_t *s, const rdg_sm2_scalar_t *t,
                         const rdg_sm2_affine_t *key) {
    const rdg_sm2_comb_t *base = rdg_sm2_comb_base();
    rdg_sm2_columns_t s_columns;
    int8_t naf[RDG_SM2_WNAF_DIGITS];
    rdg_sm2_affine_t odd[8];
    rdg_sm2_comb_columns(&s_columns, s);
    rdg_sm2_scalar_wnaf5(naf, t);
    odd_multiples(odd, key);

    int bit = RDG_SM2_WNAF_DIGITS - 1;
    while (bit >= RDG_SM2_COMB_COLUMNS && naf[bit] == 0) bit--;
    rdg_sm2_point_set_infinity(out);
    for (; bit >= 0; bit--) {
        rdg_sm2_point_double(out, out);
        add_digit(out, odd, naf[bit]);
        if (bit < RDG_SM2_COMB_COLUMNS) add_column(out, base, &s_columns, (unsigned)bit);
    }
}

/* --- many at once: the terms of each column are summed for CHUNK lanes together, then the columns of all lanes */

#define CHUNK 8
#define TERMS (2 * RDG_SM2_COMB_HALVES * RDG_SM2_COMB_COLUMNS)

static void fill_terms(rdg_sm2_affine_t terms[TERMS], const rdg_sm2_sum_job_t *job) {
    const rdg_sm2_comb_t *combs[2] = {rdg_sm2_comb_base(), job->key};
    rdg_sm2_columns_t columns[2];
    rdg_sm2_comb_columns(&columns[0], &job->s);
    rdg_sm2_comb_columns(&columns[1], &job->t);
    for (unsigned i = 0; i < TERMS; i++)
        rdg_sm2_comb_term(&terms[i], combs[i >> 1 & 1], &columns[i >> 1 & 1], i >> 2, i & 1);
}

void rdg_sm2_sum_affine(rdg_sm2_point_t *out, const rdg_sm2_sum_job_t *jobs, size_t count) {
    enum { COLUMNS = RDG_SM2_COMB_COLUMNS };
    rdg_sm2_affine_t columns[RDG_SM2_SUM_LANES * COLUMNS], sums[RDG_SM2_SUM_LANES], terms[CHUNK * TERMS];
    rdg_sm2_fe_t scratch[CHUNK * TERMS / 2];
    uint64_t special = 0;
    if (count == 0) return;
    RDG_ASSERT(count <= RDG_SM2_SUM_LANES);
    for (size_t from = 0; from < count; from += CHUNK) {
        unsigned lanes = count - from < CHUNK ? (unsigned)(count - from) : CHUNK;
        uint64_t met = 0;
        for (unsigned i = 0; i < lanes; i++) fill_terms(terms + i * TERMS, &jobs[from + i]);
        rdg_sm2_affine_add_neighbours(terms, lanes * TERMS / 2, TERMS / 2, scratch, &met);
        rdg_sm2_affine_add_neighbours(terms, lanes * COLUMNS, COLUMNS, scratch, &met);
        for (unsigned i = 0; i < lanes * COLUMNS; i++) columns[from * COLUMNS + i] = terms[i];
        special |= met << from;
    }
    rdg_sm2_affine_horner(sums, columns, COLUMNS, (unsigned)count, &special);
    for (size_t i = 0; i < count; i++) {
        if (special >> i & 1)
            rdg_sm2_point_set_infinity(&out[i]);
        else
            rdg_sm2_point_from_affine(&out[i], &sums[i]);
    }
}
