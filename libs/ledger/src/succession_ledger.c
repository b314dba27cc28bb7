/* Acts of succession inside a ledger: from the block behind the one that an act names, its validators decide.
 *
 * The state learns of it at the beginning of that block, so the executed header names the new epoch and the state root
 * covers it. Between the two blocks the rules in memory stand in for the state (the overlay). */
#include "headers.h"
#include <inttypes.h>
#include "succession.h"
#include "ridge/base/alloc.h"

rdg_err_t succession_matches(const rdg_succession_t *s, const block_entry_t *e) {
    rdg_hash_t digest;
    RDG_TRY(rdg_executed_hash(&e->executed, &digest));
    if (rdg_hash_equal(&s->block, &e->hash) && rdg_hash_equal(&s->executed, &digest)) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "block %" PRIu64 " is another than the one behind which the administrators have replaced "
                    "the validators",
                    s->height);
}

/* A ledger that had the block before it was told of the act: whoever takes headers behind it looks for the epoch. */
static rdg_err_t keep_epoch(rdg_ledger_t *l, const rdg_epoch_t *e) {
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    rdg_err_t err = put_epoch(batch, e);
    if (err == RDG_OK) err = rdg_kv_write(l->kv, batch, true);
    rdg_kv_batch_free(batch);
    return err;
}

static rdg_err_t check_one(rdg_ledger_t *l, const rdg_succession_t *s, uint64_t known) {
    block_entry_t e;
    if (s->height > known) return RDG_OK;
    RDG_TRY(entry_load(l->kv, NULL, s->height, &e));
    if (executed_is_known(&e)) RDG_TRY(succession_matches(s, &e));
    if (s->height == known) return keep_epoch(l, &s->epoch);
    RDG_TRY(entry_load(l->kv, NULL, s->height + 1, &e));
    if (e.header.epoch == s->epoch.validators.epoch) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "it goes on behind block %" PRIu64
                    " with validators whom the administrators have replaced: what it holds above is not "
                    "this chain's any more; remove the node from this device, or recover it",
                    s->height);
}

rdg_err_t succession_check_ledger(rdg_ledger_t *l, uint64_t head) {
    uint64_t known = 0;
    rdg_err_t err = l->genesis.succession_count > 0 ? load_u64(l->kv, META_HEADERS, &known) : RDG_OK;
    if (err != RDG_OK && err != RDG_E_NOT_FOUND) return err;
    if (known < head) known = head;
    for (uint32_t i = 0; i < l->genesis.succession_count; ++i)
        RDG_TRY(check_one(l, &l->genesis.successions[i], known));
    return RDG_OK;
}

void succession_overlay(const rdg_genesis_t *g, uint64_t height, governance_t *rules) {
    const rdg_succession_t *s = rdg_genesis_succession_at(g, height);
    if (!s || s->epoch.validators.epoch != rules->latest.validators.epoch + 1) return;
    rules->previous = rules->latest;
    rules->previous.last_height = s->height;
    rules->latest = s->epoch;
}

rdg_err_t succession_begin(const rdg_genesis_t *g, uint64_t height, executor_t *x) {
    uint64_t chain_id = g->validators.chain_id, gas;
    if (height == 0 || !rdg_genesis_succession_at(g, height - 1)) return RDG_OK;
    governance_t *rules = rdg_alloc(sizeof *rules);
    if (!rules) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain's governance");
    state_begin_tx(x->state);
    rdg_err_t err = governance_load(x->state, chain_id, rules, NULL);
    if (err == RDG_OK) {
        succession_overlay(g, height - 1, rules);
        err = governance_store(x->state, rules, &gas);
    }
    state_end_tx(x->state);
    x->host.governance_changed = true;
    rdg_free(rules);
    return err;
}
