/* Governance as readers see it, and the history of validator sets. */
#include <inttypes.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "succession.h"

enum { EPOCH_BYTES_MAX = 16 << 10 };

rdg_err_t rules_load(rdg_ledger_t *l, state_t *s, uint64_t height, rules_t **out) {
    rules_t *r = rdg_alloc(sizeof *r);
    *out = NULL;
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain's governance");
    rdg_ref_init(&r->ref);
    rdg_err_t err = governance_load(s, l->genesis.validators.chain_id, &r->g, NULL);
    if (err != RDG_OK) {
        rdg_free(r);
        return err;
    }
    err = rdg_epoch_digest(&r->g.latest, &r->epoch_digest);
    if (err != RDG_OK) {
        rdg_free(r);
        return err;
    }
    succession_overlay(&l->genesis, height, &r->g);
    *out = r;
    return RDG_OK;
}

void rules_put(rules_t *r) {
    if (r && rdg_ref_put(&r->ref)) rdg_free(r);
}

rdg_err_t rdg_epoch_digest(const rdg_epoch_t *e, rdg_hash_t *out) {
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, EPOCH_BYTES_MAX);
    rdg_err_t err = rdg_epoch_encode(e, &bytes);
    rdg_bytes_t view = rdg_buf_view(&bytes);
    if (err == RDG_OK) rdg_sm3_tagged(RDG_DOMAIN_EPOCH, &view, 1, out);
    rdg_buf_fini(&bytes);
    return err;
}

rdg_err_t put_epoch(rdg_kv_batch_t *batch, const rdg_epoch_t *e) {
    rdg_buf_t bytes;
    ledger_key_t key = key_of_height(KEY_EPOCH, e->validators.epoch);
    rdg_buf_init(&bytes, EPOCH_BYTES_MAX);
    rdg_err_t err = rdg_epoch_encode(e, &bytes);
    if (err == RDG_OK) rdg_kv_batch_put(batch, key_view(&key), rdg_buf_view(&bytes));
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t load_epoch(rdg_ledger_t *l, uint64_t number, rdg_epoch_t *out) {
    rdg_buf_t bytes;
    ledger_key_t key = key_of_height(KEY_EPOCH, number);
    rdg_buf_init(&bytes, EPOCH_BYTES_MAX);
    rdg_err_t err = rdg_kv_get(l->kv, NULL, key_view(&key), &bytes);
    if (err == RDG_OK) err = rdg_epoch_decode(rdg_buf_view(&bytes), l->genesis.validators.chain_id, out);
    rdg_buf_fini(&bytes);
    if (err == RDG_E_NO_MEMORY || err == RDG_E_IO) return err;
    if (err != RDG_OK || out->validators.epoch != number)
        return rdg_fail(RDG_E_CORRUPT, "epoch %" PRIu64 " cannot be read: restore this node from its peers",
                        number);
    return RDG_OK;
}

/* Epochs are numbered without a gap, by ascending first height. */
static rdg_err_t search_epoch(rdg_ledger_t *l, uint64_t newest, uint64_t height, rdg_epoch_t *out) {
    uint64_t low = 0, high = newest;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        RDG_TRY(load_epoch(l, middle, out));
        if (out->first_height <= height)
            low = middle;
        else
            high = middle - 1;
    }
    RDG_TRY(load_epoch(l, low + 1, out));
    uint64_t last = out->first_height - 1;
    RDG_TRY(load_epoch(l, low, out));
    out->last_height = last;
    return RDG_OK;
}

rdg_err_t epoch_numbered(rdg_ledger_t *l, uint64_t number, rdg_epoch_t *out) {
    view_t *v = view_get(l);
    uint64_t latest = v->rules->g.latest.validators.epoch;
    if (number == latest) *out = v->rules->g.latest; /* by an act it may be in no block yet */
    view_put(v);
    if (number == latest) return RDG_OK;
    if (number > latest)
        return rdg_fail(RDG_E_NOT_FOUND, "there is no epoch %" PRIu64 ": the latest is %" PRIu64, number,
                        latest);
    return load_epoch(l, number, out);
}

rdg_err_t epoch_at(rdg_ledger_t *l, const rules_t *rules, uint64_t height, rdg_epoch_t *out) {
    const governance_t *g = &rules->g;
    if (height == 0) height = 1; /* genesis is nobody's block; its set is the first */
    const rdg_epoch_t *e = governance_epoch(g, height);
    if (height >= e->first_height) {
        *out = *e;
        return RDG_OK;
    }
    return search_epoch(l, g->previous.validators.epoch, height, out);
}

rdg_err_t rdg_ledger_epoch(rdg_ledger_t *l, uint64_t height, rdg_epoch_t *out) {
    view_t *v = view_get(l);
    rdg_err_t err = epoch_at(l, v->rules, height, out);
    view_put(v);
    return err;
}

void rdg_ledger_params(rdg_ledger_t *l, rdg_chain_params_t *out) {
    view_t *v = view_get(l);
    *out = v->rules->g.params;
    view_put(v);
}
