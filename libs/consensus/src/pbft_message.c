#include "output.h"
#include "pbft.h"
#include "planted.h"
#include <string.h>

/* The same proposal again. After a refusal it is judged anew: the refusal may have been one of timing, and
 * the bytes may differ under the same digest. */
static rdg_err_t propose_again(pbft_t *p, slot_t *s, const message_t *m, rdg_bytes_t bytes,
                               rdg_consensus_output_t *out) {
    if (!rdg_hash_equal(&s->digest, &m->statement.digest)) {
        message_t small = *m;
        small.proposal = rdg_bytes(NULL, 0);
        return pbft_accuse(&s->proposed, &small, out);
    }
    if (!s->refused || s->state != SLOT_PROPOSED || p->now_ms - s->asked_ms < p->config.retransmit_ms / 2)
        return RDG_OK;
    RDG_TRY(pbft_accept_proposal(s, m, bytes));
    return pbft_advance(p, out);
}

static rdg_err_t on_propose(pbft_t *p, const message_t *m, rdg_bytes_t bytes, rdg_consensus_output_t *out) {
    if (m->statement.view < p->view) return pbft_offer(p, m, bytes, out);
    slot_t *s = pbft_slot(p, m->statement.height);
    if (!s || m->statement.height - p->committed > 1 + PROPOSALS_AHEAD) return RDG_OK;
    if (m->statement.view != p->view || p->changing) return RDG_OK;
    const rdg_hash_t *chosen = choice_at(&p->choice, m->statement.height);
    if (m->statement.height < p->choice.first || (chosen && !rdg_hash_equal(chosen, &m->statement.digest)))
        return rdg_fail(RDG_E_PROTOCOL, "view %llu must propose another block at height %llu",
                        (unsigned long long)m->statement.view, (unsigned long long)m->statement.height);
    if (s->state != SLOT_EMPTY) return propose_again(p, s, m, bytes, out);
    RDG_TRY(pbft_accept_proposal(s, m, bytes));
    return pbft_advance(p, out);
}

static rdg_err_t on_vote(pbft_t *p, const message_t *m, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, m->statement.height);
    if (m->statement.view < p->view) return pbft_answer_view(p, m->index, m->statement.view, out);
    if (!s) return RDG_OK;
    RDG_TRY(pbft_take_vote(m->kind == RDG_PHASE_PREPARE ? s->prepares : s->commits, m, out));
    return pbft_advance(p, out);
}

/* A certificate's votes are votes: whoever has the proposal decides by them, anybody else fetches the block.
 */
static rdg_err_t on_seal(pbft_t *p, uint32_t from, const rdg_certificate_t *c, rdg_consensus_output_t *out) {
    const slot_t *s = pbft_slot(p, c->statement.height);
    RDG_TRY(pbft_take_seal(p, c, out));
    bool soon = s && s->height == p->committed + 1 && s->asked && !s->valid && !s->refused;
    return soon || !pbft_has_room(p) ? RDG_OK : pbft_behind(p, from, c->statement.height, out);
}

static rdg_err_t on_status(pbft_t *p, uint32_t from, const message_t *m, rdg_consensus_output_t *out) {
    rdg_certificate_t c;
    RDG_TRY(rdg_certificate_decode(m->certificate, &c));
    if (c.statement.phase == RDG_PHASE_CHECKPOINT) return pbft_checkpoint_proof(p, &c, out);
    if (from < p->config.validators.count && p->seen[from] < c.statement.height)
        p->seen[from] = c.statement.height;
    return c.statement.height > p->committed ? on_seal(p, from, &c, out) : RDG_OK;
}

rdg_err_t pbft_message(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    message_t m;
    RDG_TRY(message_decode(e->bytes, &m));
    if (m.statement.epoch != p->config.validators.epoch && !PLANTED("other-epoch"))
        return rdg_fail(RDG_E_STALE, "a message of epoch %llu", (unsigned long long)m.statement.epoch);
    if (m.kind == MESSAGE_STATUS) return on_status(p, e->from, &m, out);
    if (m.kind == RDG_PHASE_NEW_VIEW) return pbft_on_new_view(p, &m, e, out);
    bool is_own = m.index == p->config.self;
    if (is_own && m.kind == RDG_PHASE_PRE_PREPARE && m.statement.view < p->view)
        is_own = false; /* handed back for a later view to propose it again */
    if (m.index >= p->config.validators.count || is_own)
        return rdg_fail(RDG_E_PROTOCOL, "a message in the name of validator %u", m.index);
    if (m.kind == RDG_PHASE_PRE_PREPARE && m.index != pbft_leader(p, m.statement.view))
        return rdg_fail(RDG_E_PROTOCOL, "validator %u proposes in view %llu, whose leader is %u", m.index,
                        (unsigned long long)m.statement.view, pbft_leader(p, m.statement.view));
    if (m.kind == RDG_PHASE_CHECKPOINT &&
        (m.statement.view != 0 || m.statement.height % p->config.checkpoint_interval != 0))
        return rdg_fail(RDG_E_PROTOCOL, "a checkpoint vote for height %llu, view %llu",
                        (unsigned long long)m.statement.height, (unsigned long long)m.statement.view);
    if (m.index != p->config.self && p->seen[m.index] < m.statement.height)
        p->seen[m.index] = m.statement.height;
    if (m.kind == RDG_PHASE_CHECKPOINT) return pbft_checkpoint_vote(p, &m, out);
    if (m.kind == RDG_PHASE_VIEW_CHANGE) return pbft_on_change(p, &m, e, out);
    if (m.kind == RDG_PHASE_SUSPECT) return pbft_on_suspect(p, &m, out);
    if (p->amnesia && e->from == m.index) pbft_amnesia_hear(p, m.index);
    if (m.statement.height <= p->committed) return pbft_answer_laggard(p, m.index, m.statement.height, out);
    if (m.statement.height - p->committed > RDG_CONSENSUS_WINDOW) return pbft_check_window(p, m.index, out);
    if (m.kind == RDG_PHASE_PRE_PREPARE) return on_propose(p, &m, e->bytes, out);
    return on_vote(p, &m, out);
}
