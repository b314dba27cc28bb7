#include "archive_keys.h"
#include "archive_states.h"
#include "mainchain.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/log.h"

/* A device that is away for long still removes the chain when it returns. */
#define REMOVE_DEADLINE_MS (29ull * 86400000)

/* A device that was deleted meanwhile took its part of the chain with it: nobody will answer for it. */
static bool settled(const step_t *s) {
    return step_done(s) || strcmp(s->state, "cancelled") == 0;
}

/* What has failed is tried again. */
static rdg_err_t add_remove_step(rdg_baas_t *b, const chain_t *c, const steps_t *steps, const step_t *s) {
    const step_t *former = steps_find(steps, s->device, STEP_REMOVE);
    if (!former) return step_insert(b, c, s->device, s->position, STEP_REMOVE);
    return step_failed(former) && !settled(former) ? step_again(b, c, former) : RDG_OK;
}

/* Every device of the chain: one that was sent nothing answers "0 bytes". A row is written before its command
 * is sent, so `pending` does not prove that the device has seen nothing. The caller has a transaction open.
 */
static rdg_err_t add_remove_steps(rdg_baas_t *b, const chain_t *c, const steps_t *steps) {
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind == STEP_PREPARE) RDG_TRY(add_remove_step(b, c, steps, s));
    }
    return RDG_OK;
}

rdg_err_t flow_begin_remove(rdg_baas_t *b, chain_t *c, const char *state) {
    steps_t steps;
    RDG_TRY(steps_load(b, c, &steps));
    rdg_err_t err = rdg_sql_begin(b->db);
    if (err == RDG_OK) {
        err = add_remove_steps(b, c, &steps);
        if (err == RDG_OK) err = chain_set_state(b, c, state, NULL);
        if (err == RDG_OK) err = rdg_sql_commit(b->db);
        if (err != RDG_OK) rdg_sql_rollback(b->db);
    }
    steps_fini(&steps);
    event_wake(b);
    return err;
}

/* Commands that no device has seen are withdrawn; it does not matter if one is not, the removal comes after
 * it. */
static void withdraw(rdg_baas_t *b, const steps_t *steps) {
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind == STEP_REMOVE || s->rank != RANK_QUEUED) continue;
        (void)remote_cancel(b, s->command);
    }
}

static rdg_err_t forget(rdg_baas_t *b, chain_t *c) {
    bool archived;
    uint64_t height;
    RDG_TRY(closing_archived(b, c, &archived, &height));
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = contract_forget(b, c);
    if (err == RDG_OK && chain_is(c, "destroying")) err = mainchain_note_destroyed(b, c, !archived);
    if (err == RDG_OK)
        err = chain_set_state(b, c, chain_is(c, "cancelling") ? "cancelled" : "destroyed", NULL);
    if (err == RDG_OK) err = baas_store_prune(b);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    event_wake(b);
    mainchain_kick(b);
    return err;
}

rdg_err_t flow_remove(rdg_baas_t *b, chain_t *c, const steps_t *steps) {
    size_t open = 0, pending = 0;
    c->freed_bytes = 0;
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        uint64_t freed = 0;
        if (s->kind != STEP_REMOVE) continue;
        open += !settled(s);
        pending += s->rank == RANK_PENDING;
        if (s->result) (void)rdg_json_opt_u64(s->result, "freed_bytes", &freed);
        c->freed_bytes += freed;
    }
    bool archived;
    uint64_t height;
    RDG_TRY(closing_archived(b, c, &archived, &height));
    if (pending > 0) withdraw(b, steps);
    for (size_t i = 0; i < steps->count && pending > 0; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind != STEP_REMOVE || s->rank != RANK_PENDING) continue;
        json_t *params = json_pack("{s:s, s:b}", "chain", c->name, "discard", (int)!archived);
        if (params && archived) json_object_set_new(params, "archived", json_integer((json_int_t)height));
        RDG_TRY(flow_send(b, c, s, "chain.remove", params, REMOVE_DEADLINE_MS));
    }
    if (open > 0) return RDG_OK;
    chain_key_remove(b, c);
    archive_keys_forget(b, c); /* those of its archives stay */
    rdg_log(RDG_LOG_INFO, "chain.removed", RDG_STR("chain", c->name), RDG_U64("freed_bytes", c->freed_bytes));
    return forget(b, c);
}
