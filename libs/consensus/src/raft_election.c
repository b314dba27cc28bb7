#include "output.h"
#include "planted.h"
#include "raft.h"
#include <string.h>

/* A little apart, so that seldom two stand at once; further apart when they did. */
void raft_set_election(raft_t *p) {
    uint64_t base = p->config.view_timeout_ms, spread = p->attempts > 1 ? base : base / 2;
    p->election_ms = p->now_ms + base + rdg_random_below(&p->random.random, spread + 1);
}

rdg_err_t raft_follow(raft_t *p, uint64_t term, uint32_t leader, rdg_consensus_output_t *out) {
    bool led = p->role == RAFT_LEADER;
    if (term > p->term) {
        p->term = term;
        p->voted = RAFT_NOBODY;
        p->heard_seq = 0;
        p->unsaved = true;
    }
    if (PLANTED("raft-vote-cleared")) p->voted = RAFT_NOBODY, p->unsaved = true;
    if (p->role != RAFT_FOLLOWER) raft_set_election(p);
    p->role = RAFT_FOLLOWER;
    p->leader = leader;
    p->transfer_to = RAFT_NOBODY;
    p->transferred = false;
    p->wanted = 0;
    return led ? raft_expire_reads(p, true, out) : RDG_OK;
}

/* A leader that a majority hears from is not to be disturbed by those who do not. */
static bool has_leader(const raft_t *p) {
    return p->role == RAFT_LEADER ||
           (p->leader != RAFT_NOBODY && p->now_ms - p->heard_ms < p->config.view_timeout_ms);
}

/* The candidate has all that may be committed, as far as this replica can tell. */
static bool is_up_to_date(const raft_t *p, const raft_message_t *m) {
    raft_position_t end = {m->entry_term, m->height};
    if (PLANTED("raft-stale-elected")) return true;
    return raft_reaches(end, raft_end(p)) && raft_reaches(end, p->floor) && m->height >= p->committed;
}

/* --- standing --------------------------------------------------------------------------------------------
 */

static uint32_t granted_weight(const raft_t *p) {
    uint32_t weight = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (p->granted[i]) weight += raft_weight(p, i);
    return weight;
}

static raft_message_t candidacy(const raft_t *p) {
    bool is_pre = p->role == RAFT_PRE_CANDIDATE;
    return (raft_message_t){.kind = is_pre ? RAFT_PRE_VOTE : RAFT_VOTE,
                            .term = p->term,
                            .height = p->last,
                            .entry_term = p->log_term,
                            .flags = !is_pre && p->transferred ? RAFT_FLAG_TRANSFER : 0};
}

rdg_err_t raft_resend_candidacy(raft_t *p, uint32_t to, rdg_consensus_output_t *out) {
    if (p->role != RAFT_PRE_CANDIDATE && p->role != RAFT_CANDIDATE) return RDG_OK;
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        raft_message_t m = candidacy(p);
        if (i != p->config.self && !p->granted[i] && (to == RDG_CONSENSUS_ALL || to == i))
            RDG_TRY(raft_send(p, &m, i, out));
    }
    return RDG_OK;
}

static void stand(raft_t *p, raft_role_t role) {
    p->role = role;
    p->leader = RAFT_NOBODY;
    memset(p->granted, 0, sizeof p->granted);
    p->granted[p->config.self] = true;
    raft_set_election(p);
}

rdg_err_t raft_campaign(raft_t *p, bool transferred, rdg_consensus_output_t *out) {
    ++p->term;
    p->voted = p->config.self;
    p->heard_seq = 0;
    p->unsaved = true;
    p->transferred = transferred;
    stand(p, RAFT_CANDIDATE);
    if (granted_weight(p) >= p->majority) return raft_lead(p, out);
    return raft_resend_candidacy(p, RDG_CONSENSUS_ALL, out);
}

rdg_err_t raft_check_election(raft_t *p, rdg_consensus_output_t *out) {
    if (p->role == RAFT_LEADER || !raft_may_vote(p)) return RDG_OK;
    if (p->now_ms < p->election_ms) return raft_resend_candidacy(p, RDG_CONSENSUS_ALL, out);
    ++p->attempts;
    if (!raft_reaches(raft_end(p), p->floor) || p->term >= RAFT_NUMBER_MAX) {
        raft_set_election(p);
        return RDG_OK;
    }
    if (raft_weight(p, p->config.self) >= p->majority) return raft_campaign(p, false, out);
    stand(p, RAFT_PRE_CANDIDATE);
    return raft_resend_candidacy(p, RDG_CONSENSUS_ALL, out);
}

rdg_err_t raft_on_take_over(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    bool may = raft_may_vote(p) && p->role == RAFT_FOLLOWER && m->term == p->term && p->leader == m->from &&
               raft_reaches(raft_end(p), p->floor) && p->term < RAFT_NUMBER_MAX;
    return may ? raft_campaign(p, true, out) : RDG_OK;
}

/* --- voting ----------------------------------------------------------------------------------------------
 */

/* Of two that stand at once the one with more in its log goes on, or the lower index: else they would share the
 * votes. */
static bool is_before(const raft_t *p, const raft_message_t *m) {
    raft_position_t end = {m->entry_term, m->height};
    return !raft_reaches(raft_end(p), end) || m->from < p->config.self;
}

rdg_err_t raft_on_pre_vote(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    if (!raft_may_vote(p)) return RDG_OK;
    bool would = m->term >= p->term && !has_leader(p) && is_up_to_date(p, m);
    if (would && p->role == RAFT_PRE_CANDIDATE) would = is_before(p, m);
    if (would && p->role == RAFT_PRE_CANDIDATE) RDG_TRY(raft_follow(p, p->term, RAFT_NOBODY, out));
    raft_message_t reply = {.kind = RAFT_PRE_VOTE_REPLY,
                            .term = p->term,
                            .entry_term = m->term + 1,
                            .flags = would ? RAFT_FLAG_OK : 0};
    return raft_send(p, &reply, m->from, out);
}

rdg_err_t raft_on_vote(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    if (!raft_may_vote(p)) return RDG_OK;
    if (has_leader(p) && !(m->flags & RAFT_FLAG_TRANSFER) && m->term > p->term) return RDG_OK;
    if (m->term > p->term) RDG_TRY(raft_follow(p, m->term, RAFT_NOBODY, out));
    bool grants =
        m->term == p->term && (p->voted == RAFT_NOBODY || p->voted == m->from) && is_up_to_date(p, m);
    if (grants && p->voted == RAFT_NOBODY) {
        p->voted = m->from;
        p->unsaved = !PLANTED("raft-vote-unrecorded");
        raft_set_election(p);
    }
    raft_message_t reply = {.kind = RAFT_VOTE_REPLY, .term = p->term, .flags = grants ? RAFT_FLAG_OK : 0};
    return raft_send(p, &reply, m->from, out);
}

rdg_err_t raft_on_vote_reply(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    bool is_pre = m->kind == RAFT_PRE_VOTE_REPLY, ok = m->flags & RAFT_FLAG_OK;
    if (!ok && m->term > p->term) return raft_follow(p, m->term, RAFT_NOBODY, out);
    bool is_asked = is_pre ? p->role == RAFT_PRE_CANDIDATE && m->entry_term == p->term + 1
                           : p->role == RAFT_CANDIDATE && m->term == p->term;
    if (!ok || !is_asked || !raft_may_vote(p)) return RDG_OK;
    p->granted[m->from] = true;
    if (granted_weight(p) < p->majority) return RDG_OK;
    return is_pre ? raft_campaign(p, false, out) : raft_lead(p, out);
}
