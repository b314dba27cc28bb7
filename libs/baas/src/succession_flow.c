/* The steps of a rebuild on other devices, one at a time. */
#include "succession.h"
#include "contract.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"

#define LOOK_MS 200
#define FIRST_BLOCK_MS 500
#define ASK_MS 2000
/* A device that was away for longer is told anew. */
#define REMOVE_DEADLINE_MS (29ull * 86400000)

static rdg_err_t in_transaction(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s,
                                rdg_err_t (*fn)(rdg_baas_t *, chain_t *, const steps_t *, succession_t *)) {
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = fn(b, c, steps, s);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    event_wake(b);
    return err;
}

static rdg_err_t fail(rdg_baas_t *b, const chain_t *c, succession_t *s, const char *why) {
    char text[RDG_ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", why);
    return succession_set(b, c, s, s->step, "failed", text);
}

/* What passes by itself is tried again by whoever called; the rest waits for the operator. */
static bool passes(rdg_err_t err) {
    return err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT || err == RDG_E_BUSY || err == RDG_E_NO_MEMORY ||
           err == RDG_E_CANCELLED || err == RDG_E_CLOSED;
}

/* --- the devices' parts --------------------------------------------------------------------------------------- */

typedef struct tally {
    size_t done, rows, pending;
    const step_t *failed;
} tally_t;

static tally_t count(const steps_t *steps, const succession_t *s, step_kind_t kind) {
    tally_t t = {0};
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *p = &steps->list[i];
        if (p->kind != kind || !succession_names(s, p->device)) continue;
        ++t.rows;
        t.done += step_done(p);
        t.pending += p->rank == RANK_PENDING;
        if (!t.failed && step_failed(p)) t.failed = p;
    }
    return t;
}

static rdg_err_t fail_step(rdg_baas_t *b, const chain_t *c, succession_t *s, const step_t *p) {
    char why[RDG_ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "device '%s' could not %s: %s", p->device, step_name(p->kind),
             p->error ? p->error : p->state);
    return fail(b, c, s, why);
}

static rdg_err_t add_prepares(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s) {
    return succession_add_prepare(b, c, steps, s);
}

/* A device that was prepared for an attempt before this one is cleared first; its rows go with that (member.c). */
static size_t count_clearing(const steps_t *steps, const succession_t *s, const step_t **failed) {
    size_t clearing = 0;
    for (size_t i = 0; i < json_array_size(s->devices); ++i) {
        const step_t *p = steps_find(steps, json_string_value(json_array_get(s->devices, i)), STEP_REMOVE);
        clearing += p != NULL;
        if (p && step_failed(p) && strcmp(p->state, "failed") == 0) *failed = p;
    }
    return clearing;
}

static rdg_err_t advance_prepare(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s,
                                 uint64_t *after_ms) {
    const step_t *stuck = NULL;
    size_t clearing = count_clearing(steps, s, &stuck);
    if (stuck) return fail_step(b, c, s, stuck);
    if (clearing > 0) return RDG_OK;
    tally_t t = count(steps, s, STEP_PREPARE);
    if (t.rows < json_array_size(s->devices)) {
        *after_ms = 1;
        return in_transaction(b, c, steps, s, add_prepares);
    }
    if (t.failed) return fail_step(b, c, s, t.failed);
    if (t.pending > 0) return flow_send_prepare(b, c, steps);
    if (t.done < json_array_size(s->devices)) return RDG_OK;
    *after_ms = 1;
    succession_clear(b, c); /* of an earlier rebuild */
    s->done = 0;
    return succession_set(b, c, s, "verify", "running", NULL);
}

/* --- the cloud's -------------------------------------------------------------------------------------------- */

static rdg_err_t advance_verify(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s,
                                uint64_t *after_ms) {
    (void)steps;
    *after_ms = 1;
    if (!succession_has_ledger(b, c)) s->done = 0;
    if (s->done >= s->archives) return succession_set(b, c, s, "act", "running", NULL);
    rdg_err_t err = succession_verify_next(b, c, s);
    if (err == RDG_OK) return succession_set(b, c, s, "verify", "running", NULL);
    return passes(err) ? err : fail(b, c, s, rdg_err_message(err));
}

static rdg_err_t advance_act(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s,
                             uint64_t *after_ms) {
    *after_ms = 1;
    if (!succession_has_ledger(b, c)) { /* what is signed stays, and must be what the next one says */
        s->done = 0;
        return succession_set(b, c, s, "verify", "running", NULL);
    }
    rdg_err_t err = succession_act(b, c, steps, s);
    if (err == RDG_OK || passes(err)) return err;
    char why[RDG_ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "%s", rdg_err_message(err));
    return succession_set(b, c, s, "act", "failed", why);
}

/* From here on the chain is the new devices': together with its genesis, so that no crash falls between. */
static rdg_err_t hand_over(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s) {
    const archive_span_t all = {.wanted = true, .to = s->height};
    int64_t attempt = succession_attempt(s);
    json_t *genesis = NULL;
    RDG_TRY(succession_genesis(c, s, &genesis));
    RDG_TRY(chain_set_genesis(b, c, genesis));
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *p = &steps->list[i];
        if (p->kind != STEP_PREPARE) continue;
        if (succession_names(s, p->device)) {
            RDG_TRY(recovery_wish_set(b, c, p->device, &all));
            RDG_TRY(step_insert_attempt(b, c, p->device, p->position, STEP_RECOVER, attempt));
        } else if (!steps_find(steps, p->device, STEP_REMOVE)) {
            RDG_TRY(step_insert_attempt(b, c, p->device, p->position, STEP_REMOVE, attempt));
        }
    }
    return succession_set(b, c, s, "restore", "running", NULL);
}

static rdg_err_t advance_anchor(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s,
                                uint64_t *after_ms) {
    char why[RDG_ERROR_TEXT_MAX];
    intent_t i;
    RDG_TRY(mainchain_find_epoch(b, c, s->epoch, &i));
    int state = i.number ? i.state : INTENT_REFUSED;
    snprintf(why, sizeof why,
             "the main chain refused it: %.300s; to have it told once more give the same order again, "
             "to give it up: ridge chain rebuild %s --cancel",
             i.error, c->name);
    intent_fini(&i);
    *after_ms = LOOK_MS;
    if (state == INTENT_PENDING) return RDG_OK;
    if (state == INTENT_REFUSED) return fail(b, c, s, why);
    *after_ms = 1;
    return in_transaction(b, c, steps, s, hand_over);
}

/* --- the new devices ------------------------------------------------------------------------------------------ */

static rdg_err_t add_starts(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s) {
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *p = &steps->list[i];
        if (p->kind == STEP_PREPARE && succession_names(s, p->device) &&
            !steps_find(steps, p->device, STEP_START))
            RDG_TRY(step_insert_attempt(b, c, p->device, p->position, STEP_START, succession_attempt(s)));
    }
    return succession_set(b, c, s, "start", "running", NULL);
}

/* The commands themselves are of recover.c, which runs behind this. */
static rdg_err_t advance_restore(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s,
                                 uint64_t *after_ms) {
    tally_t t = count(steps, s, STEP_RECOVER);
    if (t.failed) return fail_step(b, c, s, t.failed);
    if (t.done < json_array_size(s->devices)) return RDG_OK;
    *after_ms = 1;
    return in_transaction(b, c, steps, s, add_starts);
}

static rdg_err_t advance_start(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s,
                               uint64_t *after_ms) {
    tally_t t = count(steps, s, STEP_START);
    if (t.failed) return fail_step(b, c, s, t.failed);
    if (t.pending > 0) return flow_send_start(b, c, steps);
    if (t.done < json_array_size(s->devices)) return RDG_OK;
    *after_ms = 1;
    return succession_set(b, c, s, "first-block", "running", NULL);
}

/* The block behind H puts the new validators into the state; an idle chain is given a transaction that does nothing. */
static rdg_err_t advance_first_block(rdg_baas_t *b, chain_t *c, const steps_t *steps, succession_t *s,
                                     uint64_t *after_ms) {
    static const rdg_address_t nobody;
    relay_t r;
    rdg_rpc_head_t head = {0};
    rdg_tx_t *tx = NULL;
    (void)steps;
    *after_ms = FIRST_BLOCK_MS;
    RDG_TRY(relay_init(&r, b, c, ASK_MS));
    bool over = rdg_rpc_head(&r.rpc, &head) == RDG_OK && head.height > s->height;
    if (!over && contract_sign(&r, c, &nobody, rdg_bytes(NULL, 0), &tx) == RDG_OK)
        (void)rdg_rpc_send(&r.rpc, tx);
    rdg_tx_unref(tx);
    relay_fini(&r);
    if (!over) return RDG_OK;
    succession_clear(b, c);
    return succession_set(b, c, s, "done", "done", NULL);
}

/* --- the old ones --------------------------------------------------------------------------------------------- */

static rdg_err_t forget(rdg_baas_t *b, const chain_t *c, const step_t *s) {
    return rdg_sql_exec(b->db, "DELETE FROM chain_steps WHERE chain = ? AND device = ?",
                        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(s->device)), NULL);
}

/* Whenever it comes back: a command that has expired is given anew, a device that was deleted is not waited for. */
static rdg_err_t remove_one(rdg_baas_t *b, const chain_t *c, const step_t *s, uint64_t *after_ms) {
    json_t *device = NULL;
    if (s->rank == RANK_PENDING)
        return flow_send(b, c, s, "chain.remove", json_pack("{s:s, s:b}", "chain", c->name, "discard", 1),
                         REMOVE_DEADLINE_MS);
    if (!step_failed(s)) return RDG_OK;
    if (strcmp(s->state, "expired") == 0) {
        *after_ms = 1;
        return step_again(b, c, s);
    }
    rdg_err_t err = remote_device(b, s->device, &device);
    json_decref(device);
    return err == RDG_E_NOT_FOUND ? forget(b, c, s) : RDG_OK;
}

rdg_err_t flow_succession(rdg_baas_t *b, chain_t *c, const steps_t *steps, uint64_t *after_ms) {
    static const struct {
        const char *step;
        rdg_err_t (*advance)(rdg_baas_t *, chain_t *, const steps_t *, succession_t *, uint64_t *);
    } flow[] = {{"prepare", advance_prepare},        {"verify", advance_verify},   {"act", advance_act},
                {"anchor", advance_anchor},          {"restore", advance_restore}, {"start", advance_start},
                {"first-block", advance_first_block}};
    succession_t s;
    RDG_TRY(succession_load(b, c, &s));
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; err == RDG_OK && s.number != 0 && i < steps->count; ++i)
        if (steps->list[i].kind == STEP_REMOVE) err = remove_one(b, c, &steps->list[i], after_ms);
    for (size_t i = 0; err == RDG_OK && i < sizeof flow / sizeof flow[0]; ++i) {
        if (s.number == 0 || strcmp(s.state, "running") != 0 || strcmp(s.step, flow[i].step) != 0) continue;
        err = flow[i].advance(b, c, steps, &s, after_ms);
        break;
    }
    succession_fini(&s);
    return err;
}
