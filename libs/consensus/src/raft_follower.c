#include "certificate.h"
#include "output.h"
#include "planted.h"
#include "raft.h"
#include "ridge/base/assert.h"

#define LAG_TICKS 3

rdg_err_t raft_commit(raft_t *p, rdg_bytes_t seal, rdg_consensus_output_t *out) {
    uint64_t height = p->committed + 1;
    const raft_entry_t *e = raft_entry(p, height);
    RDG_ASSERT(e);
    RDG_TRY(output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_COMMIT,
                                                      .height = height,
                                                      .view = p->term,
                                                      .digest = e->digest,
                                                      .bytes = rdg_bytes(e->data, e->len),
                                                      .certificate = seal}));
    RDG_TRY(raft_seal_keep(p, height, seal));
    p->committed = height;
    return RDG_OK;
}

static rdg_err_t behind(raft_t *p, uint32_t peer, uint64_t height, rdg_consensus_output_t *out) {
    if (height <= p->committed || height <= p->behind_told) return RDG_OK;
    p->behind_told = height;
    return output_add(out,
                      &(rdg_consensus_action_t){.kind = RDG_ACTION_BEHIND, .to = peer, .height = height});
}

/* What the leader has committed comes again with a heartbeat; if not, it cannot send it any more. */
rdg_err_t raft_check_lag(raft_t *p, rdg_consensus_output_t *out) {
    bool is_busy = p->executed < p->committed;
    p->stood = p->stood_at == p->committed ? p->stood + 1 : 0;
    p->stood_at = p->committed;
    p->behind_told = 0; /* a fetch that failed may be asked for again */
    if (p->stood < LAG_TICKS || is_busy || p->role == RAFT_LEADER || p->leader == RAFT_NOBODY) return RDG_OK;
    return behind(p, p->leader, p->leader_commit, out);
}

static rdg_err_t reply(raft_t *p, const raft_message_t *m, uint32_t flags, uint64_t height,
                       rdg_consensus_output_t *out) {
    raft_message_t r = {.kind = RAFT_APPEND_REPLY,
                        .term = p->term,
                        .seq = m->seq,
                        .flags = flags,
                        .height = height,
                        .commit = p->committed};
    return raft_send(p, &r, m->from, out);
}

/* The logs may agree up to here: before the first entry of the term that is in conflict. */
static uint64_t hint(raft_t *p, uint64_t at) {
    if (at > p->last) return p->last;
    uint64_t term = raft_term_at(p, at);
    while (at > p->committed && raft_term_at(p, at) == term) --at;
    return at;
}

/* Two blocks for one term and height, or terms that fall, come from no honest leader. */
static rdg_err_t check_entries(raft_t *p, const raft_message_t *m) {
    uint64_t before = raft_term_at(p, m->height > p->committed ? m->height : p->committed);
    for (uint32_t i = 0; i < m->entry_count; ++i) {
        uint64_t height = m->height + 1 + i, term = m->entries[i].term;
        const raft_entry_t *e = raft_entry(p, height);
        bool is_committed = height <= p->committed;
        bool is_other =
            e && (e->term == term || is_committed) && !rdg_hash_equal(&e->digest, &m->entries[i].digest);
        if (is_other || (!is_committed && term < before))
            return rdg_fail(RDG_E_PROTOCOL, "validator %u sends another block for height %llu, term %llu",
                            m->from, (unsigned long long)height, (unsigned long long)term);
        if (p->epoch_end != 0 && height > p->epoch_end)
            return rdg_fail(RDG_E_PROTOCOL, "validator %u sends height %llu, the epoch ends at %llu", m->from,
                            (unsigned long long)height, (unsigned long long)p->epoch_end);
        if (!is_committed) before = term;
    }
    return RDG_OK;
}

static bool has_room(raft_t *p, size_t len) {
    if (p->last - p->executed >= RDG_CONSENSUS_WINDOW) return false;
    return p->last == p->executed || raft_unexecuted_bytes(p) + len <= 2 * (size_t)RAFT_LOG_BYTES;
}

/* The height up to which the log agrees with the leader's now. What is committed stands in every leader's log. */
static rdg_err_t take_entries(raft_t *p, const raft_message_t *m, uint64_t *agreed,
                              rdg_consensus_output_t *out) {
    *agreed = m->height > p->committed ? m->height : p->committed;
    for (uint32_t i = 0; i < m->entry_count; ++i) {
        const raft_message_entry_t *e = &m->entries[i];
        uint64_t height = m->height + 1 + i;
        const raft_entry_t *own = raft_entry(p, height);
        bool has = height <= p->committed || (own && own->term == e->term);
        if (!has && own) RDG_TRY(raft_log_truncate(p, height - 1, out));
        if (!has && !has_room(p, e->proposal.len)) return RDG_OK;
        if (!has) RDG_TRY(raft_log_append(p, e->term, &e->digest, e->proposal, out));
        if (*agreed < height) *agreed = height;
    }
    return RDG_OK;
}

/* The leader's opening: what stands behind it is not in the leader's log. */
static rdg_err_t take_opening(raft_t *p, const raft_message_t *m, uint64_t agreed,
                              rdg_consensus_output_t *out) {
    if (agreed < m->start || p->log_term == m->term) return RDG_OK;
    RDG_TRY(raft_log_truncate(p, agreed, out));
    p->log_term = m->term;
    p->unsaved = true;
    return RDG_OK;
}

static rdg_err_t take_seals(raft_t *p, const raft_message_t *m, uint64_t agreed,
                            rdg_consensus_output_t *out) {
    if (p->log_term == m->term) agreed = p->last;
    for (uint32_t i = 0; i < m->seal_count; ++i) {
        rdg_certificate_t c;
        const raft_entry_t *e = raft_entry(p, p->committed + 1);
        RDG_TRY(rdg_certificate_decode(m->seals[i], &c));
        if (c.statement.height <= p->committed) continue;
        if (!e || c.statement.height != p->committed + 1 || c.statement.height > agreed ||
            !rdg_hash_equal(&c.statement.digest, &e->digest))
            break;
        RDG_TRY(raft_commit(p, m->seals[i], out));
    }
    return RDG_OK;
}

static void hear(raft_t *p, const raft_message_t *m) {
    if (m->commit > p->leader_commit) p->leader_commit = m->commit;
    if (m->seq <= p->heard_seq) return; /* one that was played back keeps no dead leader alive */
    p->heard_seq = m->seq;
    p->heard_ms = p->now_ms;
    p->attempts = 0;
    raft_set_election(p);
}

rdg_err_t raft_on_append(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    uint64_t agreed;
    bool same_term = m->term == p->term;
    if (!raft_may_vote(p)) { /* it takes no part, but may fetch what the others have agreed on */
        p->leader = m->from;
        if (m->commit > p->leader_commit) p->leader_commit = m->commit;
        return RDG_OK;
    }
    if (m->term < p->term) return reply(p, m, 0, p->last, out);
    if (same_term && (p->role == RAFT_LEADER || (p->leader != RAFT_NOBODY && p->leader != m->from)))
        return rdg_fail(RDG_E_PROTOCOL, "validator %u leads term %llu, which has another leader", m->from,
                        (unsigned long long)m->term);
    RDG_TRY(check_entries(p, m));
    RDG_TRY(raft_follow(p, m->term, m->from, out));
    hear(p, m);
    RDG_TRY(raft_tell_leader(p, out));
    if (m->first > p->last + 1) RDG_TRY(behind(p, m->from, m->commit, out));
    bool agrees = m->height <= p->committed || (PLANTED("raft-unmatched") && m->height <= p->last) ||
                  (m->height <= p->last && m->entry_term != 0 && raft_term_at(p, m->height) == m->entry_term);
    if (!agrees) {
        RDG_TRY(take_seals(p, m, p->committed, out));
        return reply(p, m, 0, hint(p, m->height), out);
    }
    RDG_TRY(take_entries(p, m, &agreed, out));
    RDG_TRY(take_opening(p, m, agreed, out));
    RDG_TRY(take_seals(p, m, agreed, out));
    bool is_full = agreed < m->height + m->entry_count;
    return reply(p, m, RAFT_FLAG_OK | (is_full ? RAFT_FLAG_FULL : 0u), agreed, out);
}
