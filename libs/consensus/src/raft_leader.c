#include "output.h"
#include "planted.h"
#include "raft.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <string.h>

#define BATCH_BYTES (1u << 20) /* of entries in one append, or a single larger one */

/* --- proposing -------------------------------------------------------------------------------------------
 */

static bool may_propose(raft_t *p) {
    bool leads = p->role == RAFT_LEADER && raft_may_vote(p) && p->transfer_to == RAFT_NOBODY;
    if (p->epoch_end != 0 && p->last >= p->epoch_end) return false;
    return leads && p->last - p->committed < RAFT_PIPELINE && p->last - p->executed < RDG_CONSENSUS_WINDOW &&
           raft_unexecuted_bytes(p) < RAFT_LOG_BYTES;
}

rdg_err_t raft_want(raft_t *p, rdg_consensus_output_t *out) {
    if (!may_propose(p) || p->wanted > p->last) return RDG_OK;
    p->wanted = p->last + 1;
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_WANT_PROPOSAL,
                                                     .height = p->wanted,
                                                     .view = p->term,
                                                     .digest = *raft_last_digest(p)});
}

rdg_err_t raft_payload(raft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    rdg_hash_t digest;
    if (e->view != p->term || e->height != p->last + 1 || !may_propose(p))
        return rdg_fail(RDG_E_STALE, "a proposal for height %llu, term %llu is not wanted any more",
                        (unsigned long long)e->height, (unsigned long long)e->view);
    if (e->bytes.len > RDG_CONSENSUS_PROPOSAL_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a proposal of %zu bytes, at most %u", e->bytes.len,
                        RDG_CONSENSUS_PROPOSAL_MAX);
    if (e->bytes.len == 0 || p->config.host.digest(p->config.host.ctx, e->bytes, &digest) != RDG_OK)
        return rdg_fail(RDG_E_MALFORMED, "the proposal of this node for height %llu is no block",
                        (unsigned long long)e->height);
    RDG_TRY(raft_log_append(p, p->term, &digest, e->bytes, out));
    RDG_TRY(raft_replicate(p, false, out));
    RDG_TRY(raft_advance(p, out));
    return raft_want(p, out);
}

/* --- replicating -----------------------------------------------------------------------------------------
 */

static void add_entries(raft_t *p, raft_message_t *m) {
    size_t bytes = 0;
    for (uint64_t h = m->height + 1; h <= p->last && m->entry_count < RDG_CONSENSUS_WINDOW; ++h) {
        raft_entry_t *e = raft_entry(p, h);
        bytes += e->len;
        if (m->entry_count > 0 && bytes > BATCH_BYTES) return;
        m->entries[m->entry_count++] = (raft_message_entry_t){
            .term = e->term, .digest = e->digest, .proposal = rdg_bytes(e->data, e->len)};
    }
}

/* Those that it lacks of the heights that it has, or gets with this message. */
static void add_seals(raft_t *p, const raft_peer_t *peer, raft_message_t *m) {
    uint64_t from = peer->sealed > peer->committed ? peer->sealed : peer->committed;
    for (uint64_t h = from + 1; h <= p->committed && h <= m->height + m->entry_count; ++h) {
        rdg_bytes_t seal = raft_seal_at(p, h);
        if (seal.len == 0 || m->seal_count == RDG_CONSENSUS_WINDOW) return;
        m->seals[m->seal_count++] = seal;
    }
}

rdg_err_t raft_send_append(raft_t *p, uint32_t to, rdg_consensus_output_t *out) {
    raft_peer_t *peer = &p->peers[to];
    uint64_t before = peer->next - 1;
    if (before + 1 < p->first) before = p->first - 1;
    raft_message_t m = {.kind = RAFT_APPEND,
                        .term = p->term,
                        .seq = ++p->seq,
                        .height = before,
                        .entry_term = raft_term_at(p, before),
                        .start = p->start,
                        .first = p->first,
                        .commit = p->committed};
    bool can_follow = !peer->probing && peer->next >= p->first;
    if (can_follow && !peer->full) add_entries(p, &m);
    if (can_follow) add_seals(p, peer, &m);
    if (can_follow) peer->next += m.entry_count;
    if (peer->sealed < peer->committed) peer->sealed = peer->committed;
    peer->sealed += m.seal_count;
    return raft_send(p, &m, to, out);
}

static bool has_news(raft_t *p, const raft_peer_t *peer) {
    uint64_t sealed = peer->sealed > peer->committed ? peer->sealed : peer->committed;
    if (peer->probing || peer->next < p->first) return false;
    if (peer->next <= p->last && !peer->full) return true;
    return sealed < p->committed && sealed + 1 < peer->next && raft_seal_at(p, sealed + 1).len > 0;
}

rdg_err_t raft_replicate(raft_t *p, bool beat, rdg_consensus_output_t *out) {
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        if (i == p->config.self) continue;
        if (beat) RDG_TRY(raft_send_append(p, i, out));
        for (int batch = 0; batch < RAFT_PIPELINE && has_news(p, &p->peers[i]); ++batch)
            RDG_TRY(raft_send_append(p, i, out));
    }
    return RDG_OK;
}

/* --- committing ------------------------------------------------------------------------------------------
 */

/* The highest height that a majority has. */
static uint64_t majority_height(const raft_t *p) {
    uint64_t best = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        uint64_t at = i == p->config.self ? p->last : p->peers[i].match;
        uint32_t have = 0; /* weight */
        for (uint32_t k = 0; k < p->config.validators.count; ++k)
            if ((k == p->config.self ? p->last : p->peers[k].match) >= at) have += raft_weight(p, k);
        if (have >= p->majority && at > best) best = at;
    }
    return best;
}

static rdg_err_t commit_next(raft_t *p, rdg_consensus_output_t *out) {
    uint64_t height = p->committed + 1;
    rdg_certificate_t c = {.statement = {.phase = RDG_PHASE_RAFT_LEADER,
                                         .epoch = p->config.validators.epoch,
                                         .view = p->term,
                                         .height = height,
                                         .digest = raft_entry(p, height)->digest},
                           .count = 1};
    c.votes[0].index = p->config.self;
    RDG_TRY(raft_sign(p, &c.statement, &c.votes[0].signature));
    rdg_buf_t seal;
    rdg_buf_init(&seal, 1024);
    rdg_err_t err = rdg_certificate_encode(&c, &seal);
    if (err == RDG_OK) err = raft_commit(p, rdg_buf_view(&seal), out);
    rdg_buf_fini(&seal);
    return err;
}

rdg_err_t raft_advance(raft_t *p, rdg_consensus_output_t *out) {
    if (p->role != RAFT_LEADER) return RDG_OK;
    uint64_t height = majority_height(p), before = p->committed;
    if (height < p->start)
        return RDG_OK; /* nothing of this term is on a majority's disks, the opening included */
    while (p->committed < height) RDG_TRY(commit_next(p, out));
    if (p->committed > before) RDG_TRY(raft_replicate(p, false, out));
    RDG_TRY(raft_serve_reads(p, out));
    return raft_want(p, out);
}

rdg_err_t raft_tell_leader(raft_t *p, rdg_consensus_output_t *out) {
    if (p->told_term == p->term) return RDG_OK;
    p->told_term = p->term;
    return output_add(
        out, &(rdg_consensus_action_t){.kind = RDG_ACTION_VIEW,
                                       .to = p->leader,
                                       .view = p->term,
                                       .height = p->committed + 1,
                                       .bytes = rdg_bytes_str(p->transferred ? "transfer" : "election")});
}

/* --- leading ---------------------------------------------------------------------------------------------
 */

rdg_err_t raft_lead(raft_t *p, rdg_consensus_output_t *out) {
    RDG_ASSERT(p->voted == p->config.self);
    p->role = RAFT_LEADER;
    p->leader = p->config.self;
    p->attempts = 0;
    p->wanted = 0;
    p->transfer_to = RAFT_NOBODY;
    p->start = PLANTED("raft-old-term") ? 0 : p->last;
    p->log_term = p->term;
    p->unsaved = true;
    p->seq = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        p->peers[i] = (raft_peer_t){.next = p->last + 1, .heard_ms = p->now_ms, .probing = true};
    RDG_TRY(raft_save(p, out));
    RDG_TRY(raft_tell_leader(p, out));
    RDG_TRY(raft_replicate(p, true, out));
    return raft_advance(p, out);
}

static rdg_err_t offer_lead(raft_t *p, rdg_consensus_output_t *out) {
    if (p->transfer_to == RAFT_NOBODY || p->peers[p->transfer_to].match < p->last) return RDG_OK;
    raft_message_t m = {.kind = RAFT_TAKE_OVER, .term = p->term};
    return raft_send(p, &m, p->transfer_to, out);
}

rdg_err_t raft_heartbeat(raft_t *p, rdg_consensus_output_t *out) {
    uint32_t heard = raft_weight(p, p->config.self);
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (i != p->config.self && p->now_ms - p->peers[i].heard_ms < p->config.view_timeout_ms)
            heard += raft_weight(p, i);
    if (heard < p->majority || p->diverged) return raft_follow(p, p->term, RAFT_NOBODY, out);
    if (p->transfer_to != RAFT_NOBODY && p->now_ms >= p->transfer_ms) p->transfer_to = RAFT_NOBODY;
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        p->peers[i].full = false;
        p->peers[i].sealed = p->peers[i].committed; /* what it does not say to have, it gets again */
    }
    RDG_TRY(raft_replicate(p, true, out));
    RDG_TRY(offer_lead(p, out));
    return raft_want(p, out);
}

static rdg_err_t on_refusal(raft_t *p, raft_peer_t *peer, const raft_message_t *m,
                            rdg_consensus_output_t *out) {
    if (m->seq < peer->reset_seq) return RDG_OK;
    uint64_t next = (m->height > peer->match ? m->height : peer->match) + 1, before = peer->next;
    if (next > p->last + 1) next = p->last + 1;
    bool is_lower = !peer->probing || next < before;
    peer->next = next;
    peer->probing = true;
    peer->sealed = peer->committed;
    peer->reset_seq = p->seq + 1;
    return is_lower && next >= p->first ? raft_send_append(p, m->from, out) : RDG_OK;
}

rdg_err_t raft_on_append_reply(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    if (m->term > p->term) return raft_follow(p, m->term, RAFT_NOBODY, out);
    if (m->term < p->term || p->role != RAFT_LEADER) return RDG_OK;
    if (m->seq > p->seq || m->seq == 0 || m->height > p->last)
        return rdg_fail(RDG_E_PROTOCOL, "validator %u answers what was not sent", m->from);
    raft_peer_t *peer = &p->peers[m->from];
    if (m->seq >= peer->acked) {
        peer->acked = m->seq;
        peer->heard_ms = p->now_ms;
        peer->committed = m->commit < p->committed ? m->commit : p->committed; /* less after its restart */
    }
    if (!(m->flags & RAFT_FLAG_OK)) {
        RDG_TRY(on_refusal(p, peer, m, out));
        return raft_serve_reads(p, out);
    }
    if (m->height > peer->match) peer->match = m->height;
    peer->full = m->flags & RAFT_FLAG_FULL;
    if (peer->probing || peer->full || peer->next <= peer->match) peer->next = peer->match + 1;
    peer->probing = false;
    RDG_TRY(raft_advance(p, out));
    if (m->from == p->transfer_to) RDG_TRY(offer_lead(p, out));
    return raft_replicate(p, false, out);
}

static uint32_t furthest(const raft_t *p) {
    uint32_t best = RAFT_NOBODY;
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        const raft_peer_t *peer = &p->peers[i];
        bool is_there = i != p->config.self && peer->acked > 0 && !peer->probing &&
                        p->now_ms - peer->heard_ms < p->config.view_timeout_ms;
        if (is_there && (best == RAFT_NOBODY || peer->match > p->peers[best].match)) best = i;
    }
    return best;
}

rdg_err_t raft_transfer(raft_t *p, uint32_t to, rdg_consensus_output_t *out) {
    if (p->role != RAFT_LEADER)
        return rdg_fail(RDG_E_INVALID, "this node does not lead, so it cannot hand it over");
    if (to == RDG_CONSENSUS_ALL) to = furthest(p);
    if (to >= p->config.validators.count || to == p->config.self)
        return rdg_fail(RDG_E_INVALID, "there is no other validator to hand the lead to");
    p->transfer_to = to;
    p->transfer_ms = p->now_ms + p->config.view_timeout_ms;
    p->wanted = 0;
    return offer_lead(p, out);
}
