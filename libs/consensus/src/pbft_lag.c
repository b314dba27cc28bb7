#include "output.h"
#include "pbft.h"
#include "planted.h"
#include <string.h>

#define IDLE_TICKS 8

static const uint8_t amnesia_key[] = {'a'};

bool pbft_is_amnesia_key(rdg_bytes_t key) {
    return rdg_bytes_equal(key, rdg_bytes(amnesia_key, sizeof amnesia_key));
}

rdg_err_t pbft_behind(pbft_t *p, uint32_t peer, uint64_t height, rdg_consensus_output_t *out) {
    if (height <= p->committed || height <= p->behind_told) return RDG_OK;
    p->behind_told = height;
    return output_add(out,
                      &(rdg_consensus_action_t){.kind = RDG_ACTION_BEHIND, .to = peer, .height = height});
}

/* The highest height that at least one honest validator has committed: whoever votes on h has committed h-1,
 * and f+1 validators cannot all lie. `seen` of itself is never set, so it does not count. */
static uint64_t proven_height(const pbft_t *p) {
    uint32_t count = p->config.validators.count, faults = rdg_validators_faults(pbft_total(p));
    uint64_t best = 0;
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t as_far = 0;
        for (uint32_t k = 0; k < count; ++k) as_far += p->seen[k] >= p->seen[i] ? pbft_weight(p, k) : 0;
        if (as_far > faults && p->seen[i] > best) best = p->seen[i];
    }
    return best > 0 ? best - 1 : 0;
}

rdg_err_t pbft_check_window(pbft_t *p, uint32_t peer, rdg_consensus_output_t *out) {
    return pbft_has_room(p) ? pbft_behind(p, peer, proven_height(p), out) : RDG_OK;
}

static uint32_t peer_at(const pbft_t *p, uint64_t height) {
    uint32_t best = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        if (p->seen[i] > height) return i;
        if (p->seen[i] > p->seen[best]) best = i;
    }
    return best;
}

/* A quorum of commits for a height that cannot be decided here, because its proposal never came, was refused,
 * or a height before it is missing. */
static uint64_t sealed_height(pbft_t *p) {
    for (uint64_t h = p->committed + RDG_CONSENSUS_WINDOW; h > p->committed; --h) {
        const slot_t *s = &p->slots[h % RDG_CONSENSUS_WINDOW];
        if (s->height != h) continue;
        for (uint32_t i = 0; i < p->config.validators.count; ++i)
            if (s->commits[i].present &&
                pbft_count(p, s->commits, s->commits[i].view, &s->commits[i].digest) >= p->quorum)
                return h;
    }
    return 0;
}

/* Being a message or two late is normal; standing still for a whole tick while others go on is not. */
rdg_err_t pbft_check_progress(pbft_t *p, rdg_consensus_output_t *out) {
    bool stands = p->ticked_at == p->committed;
    p->ticked_at = p->committed;
    p->behind_told = p->committed; /* a fetch that failed may be asked for again */
    p->idle_ticks = stands ? p->idle_ticks + 1 : 0;
    /* On a chain without work no vote would ever show a healed replica that it lags, or that the view is another. */
    if (p->idle_ticks % IDLE_TICKS == IDLE_TICKS - 1 && p->seal.len > 0 && pbft_is_member(p))
        RDG_TRY(pbft_send_proof(p, RDG_CONSENSUS_ALL, &p->seal, out));
    if (p->idle_ticks % IDLE_TICKS == IDLE_TICKS - 1 && p->new_view.len > 0 && pbft_is_member(p))
        RDG_TRY(
            pbft_send(RDG_CONSENSUS_ALL, rdg_bytes(p->new_view.data, p->new_view.len), p->committed, out));
    if (!stands || !pbft_has_room(p)) return RDG_OK;
    uint64_t proven = proven_height(p), sealed = sealed_height(p), target = proven > sealed ? proven : sealed;
    return pbft_behind(p, peer_at(p, target), target, out);
}

bool pbft_may_answer(pbft_t *p, uint32_t to) {
    if (to >= p->config.validators.count || to == p->config.self) return false;
    if (p->answered_ms[to] != 0 && p->now_ms - p->answered_ms[to] < p->config.retransmit_ms) return false;
    p->answered_ms[to] = p->now_ms ? p->now_ms : 1;
    return true;
}

/* Whoever still votes on a decided height gets the seal of the last one. The votes that come after a quorum's
 * are no sign of that: the last height is given some time. */
rdg_err_t pbft_answer_laggard(pbft_t *p, uint32_t to, uint64_t height, rdg_consensus_output_t *out) {
    if (p->seal.len == 0) return RDG_OK;
    if (height == p->committed && p->now_ms - p->decided_ms < p->config.retransmit_ms / 2) return RDG_OK;
    return pbft_may_answer(p, to) ? pbft_send_proof(p, to, &p->seal, out) : RDG_OK;
}

/* --- amnesia ---------------------------------------------------------------------------------------------
 */

rdg_err_t pbft_amnesia_begin(pbft_t *p, rdg_consensus_output_t *out) {
    p->amnesia = !PLANTED("amnesia-votes");
    p->amnesia_until = UINT64_MAX;
    /* On record, so that a second restart does not take the few records since for the whole. */
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_WRITE,
                                                     .key = rdg_bytes(amnesia_key, sizeof amnesia_key),
                                                     .bytes = rdg_bytes(amnesia_key, sizeof amnesia_key)});
}

/* What it may have signed before is at most one above what the others vote on now: it voted on h only after a
 * quorum had committed votes for h-1, and any quorum's worth of others holds an honest one of those. */
void pbft_amnesia_hear(pbft_t *p, uint32_t validator) {
    uint32_t count = p->config.validators.count, heard = 0;
    uint32_t others = pbft_total(p) - pbft_weight(p, p->config.self);
    uint64_t highest = 0;
    p->heard[validator] = true;
    if (p->amnesia_until != UINT64_MAX) return;
    for (uint32_t i = 0; i < count; ++i) {
        heard += p->heard[i] ? pbft_weight(p, i) : 0;
        if (p->heard[i] && p->seen[i] > highest) highest = p->seen[i];
    }
    uint32_t needed = p->quorum < others ? p->quorum : others;
    if (heard >= needed) p->amnesia_until = highest + 1;
}

rdg_err_t pbft_amnesia_end(pbft_t *p, rdg_consensus_output_t *out) {
    bool alone = p->config.validators.count == 1; /* nobody else could know */
    if (!p->amnesia || (p->committed < p->amnesia_until && !alone)) return RDG_OK;
    p->amnesia = false;
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_DELETE,
                                                     .key = rdg_bytes(amnesia_key, sizeof amnesia_key)});
}
