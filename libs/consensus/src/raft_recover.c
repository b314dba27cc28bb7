/* Lost records. A replica that does not know its term, its votes and its log may have helped to elect a leader
 * and to commit entries. It is silent until this cannot hurt any more:
 *   1. It asks all for their terms until `needed` others have answered: of so much weight that every majority it was part
 *      of holds one of them.
 *   2. It raises its term far above theirs and asks again. Whoever answers is in the new term, so that no vote
 *      of this replica in an older one can elect anybody: a majority with it would need one of those who answered.
 *      (A vote that is still on its way in a term above the raise is out of reach: terms grow by one an election.)
 *   3. What it may have helped to commit is in the log of one of those who answered. Until its own log reaches
 *      the furthest of these it votes only for logs that do, and does not stand itself: `floor`.
 * A single validator goes on at once, since nobody else could know. */
#include "raft.h"
#include <string.h>

#define RAISE (1ull << 20)

static rdg_err_t ask(raft_t *p, rdg_consensus_output_t *out) {
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        raft_message_t m = {
            .kind = RAFT_RECOVER, .term = p->amnesia == RAFT_RAISING ? p->term : 0, .seq = p->nonce};
        if (i != p->config.self && !p->answers[i].present) RDG_TRY(raft_send(p, &m, i, out));
    }
    return RDG_OK;
}

static rdg_err_t begin(raft_t *p, raft_amnesia_t stage, rdg_consensus_output_t *out) {
    memset(p->answers, 0, sizeof p->answers);
    p->nonce = rdg_random_u64(&p->random.random) | 1;
    p->amnesia = stage;
    p->unsaved = true;
    return ask(p, out);
}

rdg_err_t raft_recover(raft_t *p, rdg_consensus_output_t *out) {
    if (p->amnesia == RAFT_SOUND || !raft_is_member(p)) return RDG_OK;
    if (p->config.validators.count == 1) {
        p->amnesia = RAFT_SOUND;
        p->unsaved = true;
        return RDG_OK;
    }
    return p->nonce == 0 ? begin(p, RAFT_ASKING, out) : ask(p, out);
}

rdg_err_t raft_on_recover(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    if (!raft_may_vote(p)) return RDG_OK;
    if (m->term > p->term) RDG_TRY(raft_follow(p, m->term, RAFT_NOBODY, out));
    raft_message_t reply = {.kind = RAFT_RECOVER_REPLY,
                            .term = p->term,
                            .seq = m->seq,
                            .height = p->last,
                            .entry_term = p->log_term};
    return raft_send(p, &reply, m->from, out);
}

static rdg_err_t finish(raft_t *p, rdg_consensus_output_t *out) {
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (p->answers[i].present && raft_reaches(p->answers[i].end, p->floor)) p->floor = p->answers[i].end;
    p->amnesia = RAFT_SOUND;
    p->leader = RAFT_NOBODY;
    p->unsaved = true;
    raft_set_election(p);
    return raft_save(p, out);
}

rdg_err_t raft_on_recover_reply(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    uint32_t count = p->config.validators.count, answered = 0; /* weight */
    uint32_t needed = rdg_validators_total(&p->config.validators) - p->majority + 1;
    uint64_t highest = p->term;
    if (p->amnesia == RAFT_SOUND || m->seq != p->nonce) return RDG_OK;
    if (p->amnesia == RAFT_RAISING && m->term < p->term) return RDG_OK;
    p->answers[m->from].present = true;
    p->answers[m->from].term = m->term;
    p->answers[m->from].end = (raft_position_t){m->entry_term, m->height};
    for (uint32_t i = 0; i < count; ++i) {
        if (!p->answers[i].present) continue;
        answered += raft_weight(p, i);
        if (p->answers[i].term > highest) highest = p->answers[i].term;
    }
    if (answered < needed) return RDG_OK;
    if (p->amnesia == RAFT_RAISING) return finish(p, out);
    if (highest > RAFT_NUMBER_MAX - RAISE) return RDG_OK;
    p->term = highest + RAISE;
    p->voted = RAFT_NOBODY;
    return begin(p, RAFT_RAISING, out);
}
