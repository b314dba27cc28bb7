#include "raft.h"
#include "output.h"
#include "planted.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <string.h>

static rdg_err_t on_start(raft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    if (p->started) return rdg_fail(RDG_E_INVALID, "consensus is started already");
    if (e->amnesia) p->amnesia = RAFT_ASKING, p->unsaved = true;
    RDG_TRY(raft_log_restore(p, e, out));
    p->checkpoint = p->checkpoint_base = e->height > 0 ? e->height - 1 : 0;
    p->house_ms = p->now_ms + p->config.retransmit_ms;
    p->started = true;
    RDG_TRY(raft_recover(p, out));
    raft_set_election(p);
    if (raft_weight(p, p->config.self) >= p->majority && raft_may_vote(p))
        return raft_campaign(p, false, out);
    return RDG_OK;
}

static rdg_err_t on_synced(raft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    if (e->height <= p->committed) return RDG_OK;
    /* A leader has everything that is committed: whoever has more, or other, was elected later. */
    const raft_entry_t *own = raft_entry(p, e->height);
    if (p->role == RAFT_LEADER && (!own || !rdg_hash_equal(&own->digest, &e->digest)))
        RDG_TRY(raft_follow(p, p->term, RAFT_NOBODY, out));
    RDG_TRY(raft_log_adopt(p, e->height, &e->digest, e->bytes, out));
    if (p->checkpoint + 1 < e->height) p->checkpoint = e->height - 1;
    if (p->checkpoint_base + 1 < e->height) p->checkpoint_base = e->height - 1;
    return raft_advance(p, out);
}

static rdg_err_t on_linked(raft_t *p, uint32_t peer, rdg_consensus_output_t *out) {
    if (peer >= p->config.validators.count || peer == p->config.self) return RDG_OK;
    if (p->role != RAFT_LEADER) return raft_resend_candidacy(p, peer, out);
    return raft_send_append(p, peer, out);
}

static rdg_err_t on_tick(raft_t *p, rdg_consensus_output_t *out) {
    p->armed_ms = 0;
    if (!raft_is_member(p)) return RDG_OK;
    if (p->now_ms < p->house_ms) return p->now_ms < p->election_ms ? RDG_OK : raft_check_election(p, out);
    p->house_ms = p->now_ms + p->config.retransmit_ms;
    RDG_TRY(raft_recover(p, out));
    RDG_TRY(p->role == RAFT_LEADER ? raft_heartbeat(p, out) : raft_check_election(p, out));
    RDG_TRY(raft_ask_reads(p, out));
    RDG_TRY(raft_resend_checkpoints(p, out));
    return raft_check_lag(p, out);
}

static rdg_err_t on_message(raft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    raft_message_t m;
    RDG_TRY(raft_message_decode(e->bytes, &m));
    if (m.epoch != p->config.validators.epoch)
        return rdg_fail(RDG_E_STALE, "a message of epoch %llu", (unsigned long long)m.epoch);
    if (m.from >= p->config.validators.count || m.from == p->config.self || !raft_is_member(p) ||
        m.from != e->from)
        return rdg_fail(RDG_E_PROTOCOL, "a message in the name of validator %u, by the link of %u", m.from,
                        e->from);
    switch (m.kind) {
    case RAFT_PRE_VOTE: return raft_on_pre_vote(p, &m, out);
    case RAFT_VOTE: return raft_on_vote(p, &m, out);
    case RAFT_PRE_VOTE_REPLY:
    case RAFT_VOTE_REPLY: return raft_on_vote_reply(p, &m, out);
    case RAFT_APPEND: return raft_on_append(p, &m, out);
    case RAFT_APPEND_REPLY: return raft_on_append_reply(p, &m, out);
    case RAFT_TAKE_OVER: return raft_on_take_over(p, &m, out);
    case RAFT_READ: return raft_on_read(p, &m, out);
    case RAFT_READ_REPLY: return raft_on_read_reply(p, &m, out);
    case RAFT_RECOVER: return raft_on_recover(p, &m, out);
    case RAFT_RECOVER_REPLY: return raft_on_recover_reply(p, &m, out);
    case RAFT_CHECKPOINT: return raft_on_checkpoint(p, &m, out);
    }
    return RDG_E_INTERNAL;
}

/* The end of an epoch is told once and for good, a window before it comes: nothing was proposed beyond. */
static rdg_err_t take_epoch_end(raft_t *p, const rdg_consensus_event_t *e) {
    bool tells = e->kind == RDG_EVENT_START || e->kind == RDG_EVENT_SYNCED || e->kind == RDG_EVENT_EXECUTED;
    if (!tells || e->last_height == 0 || e->last_height == p->epoch_end) return RDG_OK;
    if (p->epoch_end != 0 || p->last > e->last_height || e->height > e->last_height)
        return rdg_fail(RDG_E_INVALID, "the epoch cannot end at height %llu: the log ends at %llu",
                        (unsigned long long)e->last_height, (unsigned long long)p->last);
    p->epoch_end = e->last_height;
    return RDG_OK;
}

static rdg_err_t dispatch(raft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    RDG_TRY(take_epoch_end(p, e));
    switch (e->kind) {
    case RDG_EVENT_START: return on_start(p, e, out);
    case RDG_EVENT_MESSAGE: return on_message(p, e, out);
    case RDG_EVENT_PAYLOAD: return raft_payload(p, e, out);
    case RDG_EVENT_WORK:
    case RDG_EVENT_VALIDATED: return RDG_OK;
    case RDG_EVENT_EXECUTED: return raft_executed(p, e->height, &e->digest, out);
    case RDG_EVENT_SYNCED: return on_synced(p, e, out);
    case RDG_EVENT_TICK: return on_tick(p, out);
    case RDG_EVENT_LINKED: return on_linked(p, e->from, out);
    case RDG_EVENT_READ: return raft_read(p, e->request, out);
    case RDG_EVENT_TRANSFER: return raft_transfer(p, e->from, out);
    }
    return rdg_fail(RDG_E_INVALID, "unknown event %d", e->kind);
}

/* The next TICK: housekeeping, or the election when it comes first. An earlier one that is armed will do. */
static rdg_err_t arm(raft_t *p, rdg_consensus_output_t *out) {
    uint64_t at = p->house_ms;
    if (p->role != RAFT_LEADER && raft_may_vote(p) && p->election_ms < at) at = p->election_ms;
    if (!raft_is_member(p) || (p->armed_ms != 0 && p->armed_ms <= at)) return RDG_OK;
    p->armed_ms = at;
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_TIMER, .at_ms = at});
}

static void check_invariants(raft_t *p) {
    RDG_ASSERT(p->executed <= p->committed && p->committed <= p->last);
    RDG_ASSERT(p->last - p->executed <= RDG_CONSENSUS_WINDOW && p->first <= p->executed + 1);
    RDG_ASSERT(p->log_term <= p->term && !p->unsaved);
    if (p->role == RAFT_LEADER)
        RDG_ASSERT(p->voted == p->config.self && p->log_term == p->term && p->start <= p->last);
    uint64_t before = p->log_term;
    for (uint64_t h = p->last; h >= p->first; --h) {
        const raft_entry_t *e = raft_entry(p, h);
        RDG_ASSERT(e->data && e->term > 0 && e->term <= before);
        before = e->term;
    }
}

/* After these the state is unchanged; any other error is trouble of this node. */
static bool is_refusal(rdg_err_t err) {
    return err == RDG_E_STALE || err == RDG_E_PROTOCOL || err == RDG_E_INVALID || err == RDG_E_MALFORMED ||
           err == RDG_E_TOO_LARGE;
}

static rdg_err_t step(rdg_consensus_t *c, uint64_t now_ms, const rdg_consensus_event_t *e,
                      rdg_consensus_output_t *out) {
    raft_t *p = (raft_t *)c;
    size_t before = rdg_consensus_output_count(out);
    if (p->failed != RDG_OK)
        return rdg_fail(p->failed, "consensus has stopped after trouble of this node: restart it");
    if (!p->started && e->kind != RDG_EVENT_START) return rdg_fail(RDG_E_INVALID, "consensus is not started");
    p->now_ms = now_ms;
    rdg_err_t err = dispatch(p, e, out);
    if (err == RDG_OK) err = raft_save(p, out);
    if (err == RDG_OK) err = arm(p, out);
    if (err == RDG_OK) {
        check_invariants(p);
        return RDG_OK;
    }
    output_truncate(out, before);
    if (!is_refusal(err) || !p->started) p->failed = err;
    return err;
}

static rdg_err_t check(const rdg_consensus_config_t *config, rdg_bytes_t bytes) {
    raft_message_t m;
    RDG_TRY(raft_message_decode(bytes, &m));
    return raft_message_verify(&m, config);
}

static const rdg_consensus_config_t *config_of(const rdg_consensus_t *c) {
    return &((const raft_t *)c)->config;
}

/* Of entries only the headers are hashed; the seals of an append have a signature each. */
static bool is_light(rdg_bytes_t bytes) {
    raft_message_t m;
    return raft_message_decode(bytes, &m) != RDG_OK || m.seal_count <= RAFT_LIGHT_SEALS;
}

static void status(const rdg_consensus_t *c, rdg_consensus_status_t *out) {
    const raft_t *p = (const raft_t *)c;
    *out = (rdg_consensus_status_t){
        .protocol = "raft",
        .view = p->term,
        .epoch = p->config.validators.epoch,
        .committed_height = p->committed,
        .executed_height = p->executed,
        .checkpoint_height = p->checkpoint,
        .last_height = p->epoch_end,
        .leader = p->leader == RAFT_NOBODY ? p->config.validators.count : p->leader,
        .self = p->config.self,
        .count = p->config.validators.count,
        .quorum = p->majority,
        .voting = p->started && raft_may_vote(p),
        .diverged = p->diverged,
        .changing = p->leader == RAFT_NOBODY,
    };
    for (uint32_t i = 0; i < p->config.validators.count && p->role == RAFT_LEADER; ++i)
        out->seen_height[i] = p->peers[i].match;
}

static void raft_free(rdg_consensus_t *c) {
    raft_t *p = (raft_t *)c;
    raft_log_free(p);
    rdg_free(p);
}

rdg_err_t rdg_raft_new(const rdg_consensus_config_t *config, rdg_consensus_t **out) {
    static const core_vtable_t vtable = {raft_free, check, config_of, is_light, step, status};
    RDG_TRY(rdg_validators_check(&config->validators));
    if (config->self > config->validators.count)
        return rdg_fail(RDG_E_INVALID, "own index %u is out of range", config->self);
    if (config->checkpoint_interval == 0 || config->retransmit_ms == 0 ||
        config->view_timeout_ms < 2 * config->retransmit_ms)
        return rdg_fail(RDG_E_INVALID,
                        "checkpoint_interval and retransmit_ms must not be 0, and view_timeout_ms "
                        "not below 2 retransmit_ms");
    raft_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for consensus");
    p->core.vtable = &vtable;
    p->config = *config;
    p->majority = rdg_validators_majority(rdg_validators_total(&config->validators)) -
                  (PLANTED("raft-minority") && config->validators.count > 1 ? 1 : 0);
    p->voted = p->leader = p->transfer_to = RAFT_NOBODY;
    p->first = 1;
    rdg_random_seeded_init(&p->random, config->seed);
    *out = &p->core;
    return RDG_OK;
}
