/* What execution gave. Every replica signs the digest of its executed header; a majority's equal signatures are
 * the checkpoint. Whoever differs from a majority stops. Where no majority can come about any more (one of two
 * differs), whoever differs from the leader stops: one of them is wrong, and the leader's blocks go on. */
#include "output.h"
#include "raft.h"
#include <string.h>

#define CHECKPOINT_RESENDS (2 * RAFT_CHECKPOINTS) /* an answer goes to one of a validator's votes at a time */

static raft_checkpoint_t *slot_of(raft_t *p, uint64_t height) {
    uint64_t end = p->committed + RDG_CONSENSUS_WINDOW;
    raft_checkpoint_t *c = &p->checkpoints[height % RAFT_CHECKPOINTS];
    if (height <= p->checkpoint_base || height > end || c->height > height) return NULL;
    if (c->height != height && end - height >= RAFT_CHECKPOINTS)
        return NULL; /* a later height may need the place */
    if (c->height != height) {
        memset(c, 0, sizeof *c);
        c->height = height;
    }
    return c;
}

/* Of the votes for a digest, or with NULL of all. */
static uint32_t weight_of(const raft_t *p, const raft_checkpoint_t *c, const rdg_hash_t *digest) {
    uint32_t weight = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (c->votes[i].present && (!digest || rdg_hash_equal(&c->votes[i].digest, digest)))
            weight += raft_weight(p, i);
    return weight;
}

/* What this replica's result must equal: a majority's, or the leader's when there can be none; NULL: not known. */
static const rdg_hash_t *expected(const raft_t *p, const raft_checkpoint_t *c) {
    uint32_t count = p->config.validators.count, best = 0;
    uint32_t silent = rdg_validators_total(&p->config.validators) - weight_of(p, c, NULL);
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t same = c->votes[i].present ? weight_of(p, c, &c->votes[i].digest) : 0;
        if (same >= p->majority) return &c->votes[i].digest;
        if (same > best) best = same;
    }
    bool none_possible = best + silent < p->majority;
    bool leader_spoke = p->leader != RAFT_NOBODY && c->votes[p->leader].present;
    return none_possible && leader_spoke ? &c->votes[p->leader].digest : NULL;
}

static rdg_err_t certificate(const raft_t *p, const raft_checkpoint_t *c, rdg_buf_t *out) {
    rdg_certificate_t cert = {
        .statement = {RDG_PHASE_CHECKPOINT, p->config.validators.epoch, 0, c->height, c->own_digest}};
    uint32_t weight = 0;
    for (uint32_t i = 0; i < p->config.validators.count && weight < p->majority; ++i) {
        if (!c->votes[i].present || !rdg_hash_equal(&c->votes[i].digest, &c->own_digest)) continue;
        weight += raft_weight(p, i);
        cert.votes[cert.count].index = i;
        cert.votes[cert.count++].signature = c->votes[i].signature;
    }
    return rdg_certificate_encode(&cert, out);
}

static rdg_err_t diverge(raft_t *p, uint64_t height, const rdg_hash_t *digest, rdg_consensus_output_t *out) {
    if (p->diverged) return RDG_OK;
    p->diverged = true;
    return output_add(
        out, &(rdg_consensus_action_t){.kind = RDG_ACTION_DIVERGED, .height = height, .digest = *digest});
}

static rdg_err_t settle(raft_t *p, raft_checkpoint_t *c, rdg_consensus_output_t *out) {
    const rdg_hash_t *digest = c->own && !c->settled ? expected(p, c) : NULL;
    if (!digest) return RDG_OK;
    if (!rdg_hash_equal(digest, &c->own_digest)) return diverge(p, c->height, digest, out);
    if (weight_of(p, c, &c->own_digest) < p->majority) return RDG_OK;
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 16384);
    rdg_err_t err = certificate(p, c, &bytes);
    if (err == RDG_OK)
        err = output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_CHECKPOINT,
                                                        .height = c->height,
                                                        .digest = c->own_digest,
                                                        .certificate = rdg_buf_view(&bytes)});
    rdg_buf_fini(&bytes);
    if (err == RDG_OK) c->settled = true;
    if (err == RDG_OK && c->height > p->checkpoint) p->checkpoint = c->height;
    return err;
}

/* Signed once, however often it is sent. */
static rdg_err_t send_vote(raft_t *p, raft_checkpoint_t *c, uint32_t to, rdg_consensus_output_t *out) {
    rdg_statement_t s = {RDG_PHASE_CHECKPOINT, p->config.validators.epoch, 0, c->height, c->own_digest};
    if (!c->votes[p->config.self].present) RDG_TRY(raft_sign(p, &s, &c->votes[p->config.self].signature));
    c->votes[p->config.self].present = true;
    c->votes[p->config.self].digest = c->own_digest;
    raft_message_t m = {.kind = RAFT_CHECKPOINT,
                        .height = c->height,
                        .digest = c->own_digest,
                        .signature = c->votes[p->config.self].signature};
    return raft_send(p, &m, to, out);
}

static rdg_err_t take_result(raft_t *p, uint64_t height, const rdg_hash_t *digest,
                             rdg_consensus_output_t *out) {
    raft_checkpoint_t *c = height % p->config.checkpoint_interval == 0 ? slot_of(p, height) : NULL;
    if (!c || c->own) return RDG_OK;
    c->own = true;
    c->own_digest = *digest;
    if (raft_may_vote(p)) RDG_TRY(send_vote(p, c, RDG_CONSENSUS_ALL, out));
    return settle(p, c, out);
}

rdg_err_t raft_executed(raft_t *p, uint64_t height, const rdg_hash_t *digest, rdg_consensus_output_t *out) {
    if (height > p->committed)
        return rdg_fail(RDG_E_INVALID, "height %llu is executed, only %llu is decided",
                        (unsigned long long)height, (unsigned long long)p->committed);
    if (height < p->executed) return RDG_OK;
    RDG_TRY(raft_log_executed(p, height, out));
    RDG_TRY(take_result(p, height, digest, out));
    return raft_want(p, out); /* there may be room again */
}

static void take_vote(raft_checkpoint_t *c, const raft_message_t *m) {
    c->votes[m->from].present = true;
    c->votes[m->from].digest = m->digest;
    c->votes[m->from].signature = m->signature;
}

/* Who votes on a settled height again lacks votes. */
static rdg_err_t answer_late(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    raft_checkpoint_t *c = &p->checkpoints[m->height % RAFT_CHECKPOINTS];
    uint64_t *answered = &p->answered_ms[m->from];
    if (c->height != m->height || !c->own || !raft_may_vote(p)) return RDG_OK;
    if (!c->votes[m->from].present)
        return take_vote(c, m), RDG_OK; /* those after the majority's: no sign of it */
    if (*answered != 0 && p->now_ms - *answered < p->config.retransmit_ms / 2) return RDG_OK;
    *answered = p->now_ms ? p->now_ms : 1;
    return send_vote(p, c, m->from, out);
}

rdg_err_t raft_on_checkpoint(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    if (m->height == 0 || m->height % p->config.checkpoint_interval != 0)
        return rdg_fail(RDG_E_PROTOCOL, "a checkpoint vote for height %llu", (unsigned long long)m->height);
    raft_checkpoint_t *c = slot_of(p, m->height);
    if (!c || c->settled) return m->height <= p->committed ? answer_late(p, m, out) : RDG_OK;
    if (c->votes[m->from].present) return RDG_OK;
    take_vote(c, m);
    return settle(p, c, out);
}

rdg_err_t raft_resend_checkpoints(raft_t *p, rdg_consensus_output_t *out) {
    if (!raft_may_vote(p)) return RDG_OK;
    for (size_t i = 0; i < RAFT_CHECKPOINTS; ++i) {
        raft_checkpoint_t *c = &p->checkpoints[i];
        /* One below the last that settled may have lost its votes for ever: those who restarted repeat none. */
        bool hopeless = c->height < p->checkpoint && c->resent >= CHECKPOINT_RESENDS;
        if (c->height == 0 || !c->own || c->settled || hopeless || c->height > p->executed) continue;
        ++c->resent;
        RDG_TRY(send_vote(p, c, RDG_CONSENSUS_ALL, out));
    }
    return RDG_OK;
}
