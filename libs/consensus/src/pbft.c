#include "pbft.h"
#include "output.h"
#include "planted.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <string.h>

static rdg_err_t on_synced(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    if (e->height <= p->committed) return RDG_OK;
    uint64_t last_record = p->committed + RDG_CONSENSUS_WINDOW;
    RDG_TRY(pbft_forget(p->executed + 1, e->height < last_record ? e->height : last_record, out));
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i)
        if (p->slots[i].height <= e->height) pbft_slot_clear(&p->slots[i]);
    p->committed = p->executed = e->height;
    p->committed_digest = e->digest;
    p->decided_ms = p->now_ms;
    pbft_progress(p);
    if (p->checkpoint + 1 < e->height) p->checkpoint = e->height - 1;
    if (p->checkpoint_base + 1 < e->height) p->checkpoint_base = e->height - 1;
    if (e->bytes.len > 0) RDG_TRY(pbft_keep_proof(&p->seal, e->bytes));
    RDG_TRY(pbft_amnesia_end(p, out));
    return pbft_advance(p, out);
}

static rdg_err_t on_tick(pbft_t *p, rdg_consensus_output_t *out) {
    RDG_TRY(pbft_check_watch(p, out)); /* first: what is sent again is of the view it leads to */
    RDG_TRY(pbft_resend(p, out));
    RDG_TRY(pbft_resend_checkpoints(p, out));
    RDG_TRY(pbft_check_progress(p, out));
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_TIMER,
                                                     .at_ms = p->now_ms + p->config.retransmit_ms});
}

/* The end of an epoch is told once and for good; it lies a window above what told of it, so that nothing was
 * promised beyond. */
static rdg_err_t take_last_height(pbft_t *p, const rdg_consensus_event_t *e) {
    bool tells = e->kind == RDG_EVENT_START || e->kind == RDG_EVENT_SYNCED || e->kind == RDG_EVENT_EXECUTED;
    if (!tells || e->last_height == 0 || e->last_height == p->last) return RDG_OK;
    if (p->last != 0 || p->committed > e->last_height || e->height > e->last_height)
        return rdg_fail(RDG_E_INVALID, "the epoch cannot end at height %llu: %llu is decided",
                        (unsigned long long)e->last_height, (unsigned long long)p->committed);
    p->last = e->last_height;
    return RDG_OK;
}

static rdg_err_t dispatch(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    RDG_TRY(take_last_height(p, e));
    switch (e->kind) {
    case RDG_EVENT_START: return pbft_start(p, e, out);
    case RDG_EVENT_MESSAGE: return pbft_message(p, e, out);
    case RDG_EVENT_PAYLOAD: return pbft_payload(p, e, out);
    case RDG_EVENT_WORK: p->work_ms = p->now_ms ? p->now_ms : 1; return pbft_advance(p, out);
    case RDG_EVENT_VALIDATED: return pbft_validated(p, e, out);
    case RDG_EVENT_EXECUTED: return pbft_executed(p, e->height, &e->digest, out);
    case RDG_EVENT_SYNCED: return on_synced(p, e, out);
    case RDG_EVENT_TICK: return on_tick(p, out);
    case RDG_EVENT_LINKED: return pbft_resend_to(p, e->from, out);
    case RDG_EVENT_READ:
    case RDG_EVENT_TRANSFER: return rdg_fail(RDG_E_INVALID, "reads and transfers of the lead belong to Raft");
    }
    return rdg_fail(RDG_E_INVALID, "unknown event %d", e->kind);
}

static void check_slot(const pbft_t *p, const slot_t *s) {
    const vote_t *prepare = &s->prepares[p->config.self], *commit = &s->commits[p->config.self];
    RDG_ASSERT(s->height > p->committed && s->height <= p->committed + RDG_CONSENSUS_WINDOW);
    RDG_ASSERT(s->state <= SLOT_PROPOSED || s->height == p->committed + 1);
    RDG_ASSERT((s->state == SLOT_EMPTY) == (s->proposal == NULL));
    if (s->state >= SLOT_PREPARING)
        RDG_ASSERT(s->valid && prepare->present && rdg_hash_equal(&prepare->digest, &s->digest));
    if (s->state >= SLOT_COMMITTING)
        RDG_ASSERT(commit->present && rdg_hash_equal(&commit->digest, &s->digest));
}

static void check_invariants(const pbft_t *p) {
    RDG_ASSERT(p->executed <= p->committed && p->committed - p->executed <= RDG_CONSENSUS_WINDOW);
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i)
        if (p->slots[i].height > 0) check_slot(p, &p->slots[i]);
}

/* These are found before anything has changed; any other error is trouble of this replica itself. */
static bool is_refusal(rdg_err_t err) {
    return err == RDG_E_STALE || err == RDG_E_PROTOCOL || err == RDG_E_INVALID || err == RDG_E_MALFORMED ||
           err == RDG_E_TOO_LARGE;
}

static rdg_err_t step(rdg_consensus_t *c, uint64_t now_ms, const rdg_consensus_event_t *e,
                      rdg_consensus_output_t *out) {
    pbft_t *p = (pbft_t *)c;
    size_t before = rdg_consensus_output_count(out);
    if (p->failed != RDG_OK)
        return rdg_fail(p->failed, "consensus has stopped after trouble of this node: restart it");
    if (!p->started && e->kind != RDG_EVENT_START) return rdg_fail(RDG_E_INVALID, "consensus is not started");
    p->now_ms = now_ms;
    rdg_err_t err = dispatch(p, e, out);
    if (err == RDG_OK) {
        pbft_watch(p);
        check_invariants(p);
        return RDG_OK;
    }
    output_truncate(out, before);
    if (!is_refusal(err) || !p->started) p->failed = err;
    return err;
}

static rdg_err_t check(const rdg_consensus_config_t *config, rdg_bytes_t bytes) {
    message_t m;
    RDG_TRY(message_decode(bytes, &m));
    return message_verify(&m, config);
}

static const rdg_consensus_config_t *config_of(const rdg_consensus_t *c) {
    return &((const pbft_t *)c)->config;
}

static bool is_light(rdg_bytes_t bytes) {
    message_t m;
    if (message_decode(bytes, &m) != RDG_OK) return true;
    return m.kind != MESSAGE_STATUS && m.kind != RDG_PHASE_VIEW_CHANGE && m.kind != RDG_PHASE_NEW_VIEW;
}

static void status(const rdg_consensus_t *c, rdg_consensus_status_t *out) {
    const pbft_t *p = (const pbft_t *)c;
    *out = (rdg_consensus_status_t){
        .protocol = "pbft",
        .view = p->view,
        .epoch = p->config.validators.epoch,
        .committed_height = p->committed,
        .executed_height = p->executed,
        .checkpoint_height = p->checkpoint,
        .last_height = p->last,
        .leader = pbft_leader(p, p->view),
        .self = p->config.self,
        .count = p->config.validators.count,
        .quorum = p->quorum,
        .voting = p->started && pbft_may_vote(p),
        .diverged = p->diverged,
        .changing = p->changing,
    };
    memcpy(out->seen_height, p->seen, sizeof out->seen_height);
}

static void pbft_free(rdg_consensus_t *c) {
    pbft_t *p = (pbft_t *)c;
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i) pbft_slot_clear(&p->slots[i]);
    for (size_t i = 0; i < RDG_VALIDATORS_MAX; ++i) pbft_proof_clear(&p->changes[i].message);
    rdg_free(p->new_view.data);
    rdg_free(p->seal.data);
    rdg_free(p->checkpoint_proof.data);
    rdg_free(p);
}

rdg_err_t rdg_pbft_new(const rdg_consensus_config_t *config, rdg_consensus_t **out) {
    static const core_vtable_t vtable = {pbft_free, check, config_of, is_light, step, status};
    RDG_TRY(rdg_validators_check(&config->validators));
    if (config->self > config->validators.count)
        return rdg_fail(RDG_E_INVALID, "own index %u is out of range", config->self);
    if (config->checkpoint_interval == 0 || config->retransmit_ms == 0)
        return rdg_fail(RDG_E_INVALID, "checkpoint_interval and retransmit_ms must not be 0");
    pbft_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for consensus");
    p->core.vtable = &vtable;
    p->config = *config;
    p->quorum = PLANTED("quorum-small") ? rdg_validators_faults(pbft_total(p)) + 1
                                        : rdg_validators_quorum(pbft_total(p));
    *out = &p->core;
    return RDG_OK;
}
