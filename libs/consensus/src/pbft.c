#include "pbft.h"
#include "output.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <string.h>

rdg_err_t pbft_want(pbft_t *p, rdg_consensus_output_t *out) {
    uint64_t height = p->committed + 1;
    if (!pbft_may_vote(p) || pbft_leader(p, p->view) != p->config.self || p->wanted >= height) return RDG_OK;
    if (pbft_slot(p, height)->state != SLOT_EMPTY) return RDG_OK;
    RDG_TRY(output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_WANT_PROPOSAL,
                                                      .height = height,
                                                      .view = p->view,
                                                      .digest = p->committed_digest}));
    p->wanted = height;
    return RDG_OK;
}

rdg_err_t pbft_accept_proposal(slot_t *s, const message_t *m, rdg_bytes_t bytes) {
    uint8_t *copy = rdg_memdup(bytes.data, bytes.len);
    if (!copy) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a proposal of %zu bytes", bytes.len);
    rdg_free(s->proposal);
    s->proposal = copy, s->proposal_len = bytes.len;
    s->state = SLOT_PROPOSED;
    s->view = m->statement.view;
    s->digest = m->statement.digest;
    s->proposed = (vote_t){.present = true, .view = s->view, .digest = s->digest, .signature = m->signature};
    return RDG_OK;
}

static rdg_err_t proposal_of(const slot_t *s, rdg_bytes_t *out) {
    message_t m;
    RDG_TRY(message_decode(rdg_bytes(s->proposal, s->proposal_len), &m));
    *out = m.proposal;
    return RDG_OK;
}

/* --- deciding
 * ----------------------------------------------------------------------------------------------------- */

static rdg_err_t keep_seal(pbft_t *p, rdg_bytes_t seal) {
    uint8_t *copy = rdg_memdup(seal.data, seal.len);
    if (!copy) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a seal");
    rdg_free(p->seal);
    p->seal = copy, p->seal_len = seal.len;
    return RDG_OK;
}

static rdg_err_t decide(pbft_t *p, slot_t *s, rdg_consensus_output_t *out) {
    rdg_statement_t statement = {RDG_PHASE_COMMIT, p->config.validators.epoch, s->view, s->height, s->digest};
    rdg_bytes_t proposal;
    rdg_buf_t seal;
    RDG_TRY(proposal_of(s, &proposal));
    rdg_buf_init(&seal, 16384);
    rdg_err_t err = pbft_certificate(p, s->commits, &statement, &seal);
    if (err == RDG_OK) err = keep_seal(p, rdg_buf_view(&seal));
    if (err == RDG_OK)
        err = output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_COMMIT,
                                                        .height = s->height,
                                                        .view = s->view,
                                                        .digest = s->digest,
                                                        .bytes = proposal,
                                                        .certificate = rdg_buf_view(&seal)});
    rdg_buf_fini(&seal);
    if (err != RDG_OK) return err;
    p->committed = s->height;
    p->committed_digest = s->digest;
    if (!p->voting && p->committed >= p->amnesia_until) p->voting = true;
    pbft_slot_clear(s);
    return RDG_OK;
}

static rdg_err_t ask_validation(slot_t *s, rdg_consensus_output_t *out) {
    rdg_bytes_t proposal;
    if (s->asked) return RDG_OK;
    RDG_TRY(proposal_of(s, &proposal));
    RDG_TRY(output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_VALIDATE,
                                                      .height = s->height,
                                                      .view = s->view,
                                                      .digest = s->digest,
                                                      .bytes = proposal}));
    s->asked = true;
    return RDG_OK;
}

/* Moves the current slot as far as what is known allows; true when its height was decided. */
static rdg_err_t advance_slot(pbft_t *p, slot_t *s, bool *decided, rdg_consensus_output_t *out) {
    *decided = false;
    if (s->state == SLOT_EMPTY) return RDG_OK;
    if (pbft_count(p, s->commits, s->view, &s->digest) >= p->quorum) {
        *decided = true;
        return decide(p, s, out);
    }
    if (s->state == SLOT_PROPOSED && pbft_may_vote(p)) return ask_validation(s, out);
    if (s->state == SLOT_PREPARING && pbft_may_vote(p) &&
        pbft_count(p, s->prepares, s->view, &s->digest) >= p->quorum) {
        RDG_TRY(pbft_vote(p, s, RDG_PHASE_COMMIT, out));
        s->state = SLOT_COMMITTING;
        return advance_slot(p, s, decided,
                            out); /* at most once more: with one validator the own vote decides */
    }
    return RDG_OK;
}

rdg_err_t pbft_advance(pbft_t *p, rdg_consensus_output_t *out) {
    bool decided = true;
    while (decided) RDG_TRY(advance_slot(p, pbft_slot(p, p->committed + 1), &decided, out));
    return pbft_want(p, out);
}

/* The proposal is valid: promise it. The proposal itself is recorded before the promise, so that a prepared
 * block can be had from any replica that prepared it. */
static rdg_err_t prepare(pbft_t *p, slot_t *s, rdg_consensus_output_t *out) {
    RDG_TRY(pbft_record(s->height, RDG_PHASE_PRE_PREPARE, rdg_bytes(s->proposal, s->proposal_len), out));
    RDG_TRY(pbft_vote(p, s, RDG_PHASE_PREPARE, out));
    s->state = SLOT_PREPARING;
    return pbft_advance(p, out);
}

/* --- events
 * ---------------------------------------------------------------------------------------------------------
 */

static rdg_err_t behind(pbft_t *p, uint32_t peer, uint64_t height, rdg_consensus_output_t *out) {
    if (height <= p->committed || height <= p->behind_told) return RDG_OK;
    p->behind_told = height;
    return output_add(out,
                      &(rdg_consensus_action_t){.kind = RDG_ACTION_BEHIND, .to = peer, .height = height});
}

static rdg_err_t on_propose(pbft_t *p, const message_t *m, rdg_bytes_t bytes, rdg_consensus_output_t *out) {
    if (m->index != pbft_leader(p, m->statement.view))
        return rdg_fail(RDG_E_PROTOCOL, "validator %u proposes in view %llu, whose leader is %u", m->index,
                        (unsigned long long)m->statement.view, pbft_leader(p, m->statement.view));
    if (m->statement.view != p->view) return RDG_OK;
    slot_t *s = pbft_slot(p, m->statement.height);
    if (!s) return RDG_OK;
    if (s->state != SLOT_EMPTY && s->view == m->statement.view) {
        if (!rdg_hash_equal(&s->digest, &m->statement.digest)) {
            message_t small = *m;
            small.proposal = rdg_bytes(NULL, 0);
            return pbft_accuse(&s->proposed, &small, out);
        }
        /* Sent again: a refusal may have been one of timing (clock, a parent not yet executed). */
        if (s->refused) s->refused = s->asked = false;
        return pbft_advance(p, out);
    }
    RDG_TRY(pbft_accept_proposal(s, m, bytes));
    return pbft_advance(p, out);
}

static rdg_err_t on_vote(pbft_t *p, const message_t *m, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, m->statement.height);
    if (!s || m->statement.view < p->view) return RDG_OK;
    bool is_prepare = m->kind == RDG_PHASE_PREPARE;
    RDG_TRY(pbft_take_vote(is_prepare ? s->prepares : s->commits, m, out));
    RDG_TRY(pbft_advance(p, out));
    /* A quorum decided on a proposal that never came here: only a peer that has the block can help. */
    if (!is_prepare && s->height == m->statement.height && s->state == SLOT_EMPTY &&
        pbft_count(p, s->commits, m->statement.view, &m->statement.digest) >= p->quorum)
        return behind(p, m->index, m->statement.height, out);
    return RDG_OK;
}

/* f+1 validators beyond the window cannot all lie. */
static rdg_err_t check_window(pbft_t *p, uint32_t peer, rdg_consensus_output_t *out) {
    uint32_t ahead = 0;
    uint64_t target = UINT64_MAX;
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        if (p->seen[i] <= p->committed + RDG_CONSENSUS_WINDOW) continue;
        ++ahead;
        if (p->seen[i] - 1 < target) target = p->seen[i] - 1;
    }
    if (ahead <= rdg_validators_faults(p->config.validators.count)) return RDG_OK;
    return behind(p, peer, target, out);
}

static rdg_err_t on_message(pbft_t *p, uint64_t now_ms, const rdg_consensus_event_t *e,
                            rdg_consensus_output_t *out) {
    message_t m;
    RDG_TRY(message_decode(e->bytes, &m));
    if (m.statement.epoch != p->config.validators.epoch) return RDG_OK;
    if (m.kind == MESSAGE_STATUS) {
        if (e->from < p->config.validators.count && p->seen[e->from] < m.statement.height)
            p->seen[e->from] = m.statement.height;
        return behind(p, e->from, m.statement.height, out);
    }
    if (m.index >= p->config.validators.count || m.index == p->config.self)
        return rdg_fail(RDG_E_PROTOCOL, "a message in the name of validator %u", m.index);
    if (p->seen[m.index] < m.statement.height) p->seen[m.index] = m.statement.height;
    if (m.kind == RDG_PHASE_CHECKPOINT) return pbft_checkpoint_vote(p, &m, out);
    if (m.statement.height <= p->committed) return pbft_answer_laggard(p, m.index, now_ms, out);
    if (m.statement.height - p->committed > RDG_CONSENSUS_WINDOW) return check_window(p, m.index, out);
    if (m.kind == RDG_PHASE_PRE_PREPARE) return on_propose(p, &m, e->bytes, out);
    return on_vote(p, &m, out);
}

static rdg_err_t on_payload(pbft_t *p, uint64_t now_ms, const rdg_consensus_event_t *e,
                            rdg_consensus_output_t *out) {
    rdg_hash_t digest;
    message_t m;
    if (e->view != p->view || e->height != p->committed + 1 || pbft_leader(p, p->view) != p->config.self ||
        !pbft_may_vote(p))
        return rdg_fail(RDG_E_STALE, "a proposal for height %llu, view %llu is not wanted any more",
                        (unsigned long long)e->height, (unsigned long long)e->view);
    slot_t *s = pbft_slot(p, e->height);
    if (s->state != SLOT_EMPTY)
        return rdg_fail(RDG_E_STALE, "height %llu has its proposal", (unsigned long long)e->height);
    RDG_TRY(p->config.host.digest(p->config.host.ctx, e->bytes, &digest));
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, RDG_CONSENSUS_MESSAGE_MAX);
    rdg_err_t err = pbft_sign(p, RDG_PHASE_PRE_PREPARE, p->view, e->height, &digest, e->bytes, &m, &bytes);
    if (err == RDG_OK) err = pbft_accept_proposal(s, &m, rdg_buf_view(&bytes));
    /* The record stands before the message; prepare() would write it again, so the vote is made here. */
    if (err == RDG_OK) err = pbft_record(e->height, RDG_PHASE_PRE_PREPARE, rdg_buf_view(&bytes), out);
    if (err == RDG_OK)
        err = output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_SEND,
                                                        .to = RDG_CONSENSUS_ALL,
                                                        .height = e->height,
                                                        .bytes = rdg_buf_view(&bytes)});
    rdg_buf_fini(&bytes);
    if (err == RDG_OK) err = pbft_vote(p, s, RDG_PHASE_PREPARE, out);
    if (err != RDG_OK) return err;
    s->state = SLOT_PREPARING;
    s->sent_ms = now_ms;
    return pbft_advance(p, out);
}

static rdg_err_t on_validated(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, e->height);
    bool current = s && e->height == p->committed + 1 && s->state == SLOT_PROPOSED && s->view == e->view &&
                   rdg_hash_equal(&s->digest, &e->digest);
    if (!current || !pbft_may_vote(p)) return RDG_OK;
    s->refused = !e->ok;
    return e->ok ? prepare(p, s, out) : RDG_OK;
}

static rdg_err_t on_synced(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    if (e->height <= p->committed) return RDG_OK;
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i) {
        slot_t *s = &p->slots[i];
        if (s->height == 0 || s->height > e->height) continue;
        RDG_TRY(pbft_forget(s->height, out));
        pbft_slot_clear(s);
    }
    p->committed = e->height;
    p->committed_digest = e->digest;
    /* The seal of that block is with the host; laggards behind us are served by it until the next decision.
     */
    rdg_free(p->seal);
    p->seal = NULL, p->seal_len = 0;
    if (p->checkpoint + 1 < e->height) p->checkpoint = e->height - 1;
    if (!p->voting && p->committed >= p->amnesia_until) p->voting = true;
    return pbft_advance(p, out);
}

static rdg_err_t on_tick(pbft_t *p, uint64_t now_ms, rdg_consensus_output_t *out) {
    RDG_TRY(pbft_resend(p, now_ms, out));
    RDG_TRY(pbft_resend_checkpoints(p, out));
    p->behind_told = p->committed; /* a fetch that failed may be asked for again */
    return output_add(
        out, &(rdg_consensus_action_t){.kind = RDG_ACTION_TIMER, .at_ms = now_ms + p->config.retransmit_ms});
}

static rdg_err_t dispatch(pbft_t *p, uint64_t now_ms, const rdg_consensus_event_t *e,
                          rdg_consensus_output_t *out) {
    switch (e->kind) {
    case RDG_EVENT_START: return pbft_start(p, now_ms, e, out);
    case RDG_EVENT_MESSAGE: return on_message(p, now_ms, e, out);
    case RDG_EVENT_PAYLOAD: return on_payload(p, now_ms, e, out);
    case RDG_EVENT_WORK: return pbft_want(p, out);
    case RDG_EVENT_VALIDATED: return on_validated(p, e, out);
    case RDG_EVENT_EXECUTED: return pbft_executed(p, e->height, &e->digest, out);
    case RDG_EVENT_SYNCED: return on_synced(p, e, out);
    case RDG_EVENT_TICK: return on_tick(p, now_ms, out);
    }
    return rdg_fail(RDG_E_INVALID, "unknown event %d", e->kind);
}

static void check_invariants(const pbft_t *p) {
    RDG_ASSERT(p->executed <= p->committed);
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i) {
        const slot_t *s = &p->slots[i];
        if (s->height <= p->committed) continue;
        RDG_ASSERT(s->state <= SLOT_PROPOSED || s->height == p->committed + 1);
        RDG_ASSERT((s->state == SLOT_EMPTY) == (s->proposal == NULL));
        RDG_ASSERT(s->state < SLOT_PREPARING || s->prepares[p->config.self].present);
        RDG_ASSERT(s->state < SLOT_COMMITTING || s->commits[p->config.self].present);
    }
}

static rdg_err_t step(rdg_consensus_t *c, uint64_t now_ms, const rdg_consensus_event_t *e,
                      rdg_consensus_output_t *out) {
    pbft_t *p = (pbft_t *)c;
    if (!p->started && e->kind != RDG_EVENT_START) return rdg_fail(RDG_E_INVALID, "consensus is not started");
    rdg_err_t err = dispatch(p, now_ms, e, out);
    check_invariants(p);
    return err;
}

static rdg_err_t check(const rdg_consensus_t *c, rdg_bytes_t bytes) {
    const pbft_t *p = (const pbft_t *)c;
    message_t m;
    RDG_TRY(message_decode(bytes, &m));
    return message_verify(&m, &p->config);
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
        .leader = pbft_leader(p, p->view),
        .self = p->config.self,
        .count = p->config.validators.count,
        .quorum = p->quorum,
        .voting = pbft_may_vote(p),
        .diverged = p->diverged,
    };
    memcpy(out->seen_height, p->seen, sizeof out->seen_height);
}

static void pbft_free(rdg_consensus_t *c) {
    pbft_t *p = (pbft_t *)c;
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i) pbft_slot_clear(&p->slots[i]);
    rdg_free(p->seal);
    rdg_free(p);
}

rdg_err_t rdg_pbft_new(const rdg_consensus_config_t *config, rdg_consensus_t **out) {
    static const core_vtable_t vtable = {pbft_free, check, step, status};
    RDG_TRY(rdg_validators_check(&config->validators));
    if (config->self > config->validators.count)
        return rdg_fail(RDG_E_INVALID, "own index %u is out of range", config->self);
    if (config->checkpoint_interval == 0 || config->retransmit_ms == 0)
        return rdg_fail(RDG_E_INVALID, "checkpoint_interval and retransmit_ms must not be 0");
    pbft_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for consensus");
    p->core.vtable = &vtable;
    p->config = *config;
    p->quorum = rdg_validators_quorum(config->validators.count);
    *out = &p->core;
    return RDG_OK;
}
