/* Batches: signatures of known keys are gathered and their sums computed together; those of other keys are
 * checked one by one as they come, so that a key that comes often in one batch becomes known in it. */
#include "sm2_cache.h"
#include "sm2_check.h"
#include "sm2_digest.h"
#include "sm2_path.h"

typedef struct gathered {
    size_t count;
    rdg_sm2_sum_job_t jobs[RDG_SM2_SUM_LANES];
    struct {
        const rdg_sm2_known_t *known;
        size_t index;
        rdg_sm2_scalar_t r;
    } of[RDG_SM2_SUM_LANES];
} gathered_t;

static void compute_sums(const gathered_t *g, rdg_sm2_point_t *sums) {
    const rdg_sm2_path_t *path = rdg_sm2_path_chosen();
    bool together = path->sum && g->count >= path->least;
    if (together) path->sum(sums, g->jobs, g->count);
    for (size_t i = 0; i < g->count; i++)
        if (!together || rdg_sm2_point_is_infinity(&sums[i]))
            rdg_sm2_sum_known(&sums[i], &g->jobs[i].s, &g->jobs[i].t, g->jobs[i].key);
}

static void finish(gathered_t *g, const rdg_sm2_check_t *checks, rdg_err_t *results) {
    rdg_sm2_point_t sums[RDG_SM2_SUM_LANES];
    rdg_sm3_input_t inputs[RDG_SM2_SUM_LANES];
    rdg_hash_t e[RDG_SM2_SUM_LANES];
    for (size_t i = 0; i < g->count; i++) {
        const rdg_hash_t *z = &g->of[i].known->z;
        inputs[i] = (rdg_sm3_input_t){rdg_bytes(z->b, sizeof z->b), checks[g->of[i].index].msg};
    }
    rdg_sm3_many(inputs, g->count, e);
    compute_sums(g, sums);
    for (size_t i = 0; i < g->count; i++) {
        bool good = rdg_sm2_x_matches(&sums[i], &g->of[i].r, &e[i]);
        results[g->of[i].index] = good ? RDG_OK : RDG_E_BAD_SIGNATURE;
        rdg_sm2_cache_put(g->of[i].known);
    }
    g->count = 0;
}

static rdg_err_t gather(gathered_t *g, const rdg_sm2_check_t *c, size_t index) {
    rdg_sm2_decoded_t sig;
    bool admit;
    if (!(c->any_s || rdg_sm2_low_s(c->sig)) || !rdg_sm2_signature_decode(c->sig, &sig))
        return RDG_E_BAD_SIGNATURE;
    const rdg_sm2_known_t *known = rdg_sm2_cache_get(c->pub, &admit);
    if (!known) return rdg_sm2_verify_unknown(c->pub, c->msg.data, c->msg.len, &sig, admit);
    g->jobs[g->count] = (rdg_sm2_sum_job_t){&known->comb, sig.s, sig.t};
    g->of[g->count].known = known, g->of[g->count].index = index, g->of[g->count].r = sig.r;
    g->count++;
    return RDG_OK;
}

void rdg_sm2_verify_batch(const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    /* Evenly, so that no few are left over at the end. */
    size_t groups = (count + RDG_SM2_SUM_LANES - 1) / RDG_SM2_SUM_LANES;
    size_t size = groups ? (count + groups - 1) / groups : 0;
    gathered_t g;
    g.count = 0;
    for (size_t i = 0; i < count; i++) {
        results[i] = gather(&g, &checks[i], i);
        if (g.count == size) finish(&g, checks, results);
    }
    finish(&g, checks, results);
}
