#include "output.h"
#include "pbft.h"

/* A record is the replica's own promise: it is trusted as the disk is (checksummed by the store), but read as
 * strictly as a message. Records of decided heights are dropped. */
static rdg_err_t restore(pbft_t *p, const rdg_consensus_record_t *r, rdg_consensus_output_t *out) {
    message_t m;
    if (r->key.len != 10 || r->key.data[0] != 'v')
        return rdg_fail(RDG_E_CORRUPT, "a consensus record with an unknown key");
    if (rdg_load_be64(r->key.data + 1) <= p->committed)
        return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_DELETE, .key = r->key});
    rdg_err_t err = message_decode(r->value, &m);
    if (err != RDG_OK) return rdg_fail(RDG_E_CORRUPT, "a consensus record cannot be read: recover this node");
    slot_t *s = pbft_slot(p, m.statement.height);
    if (!s)
        return rdg_fail(RDG_E_CORRUPT, "a consensus record is far ahead of the ledger: recover this node");
    vote_t own = {
        .present = true, .view = m.statement.view, .digest = m.statement.digest, .signature = m.signature};
    if (m.kind == RDG_PHASE_PRE_PREPARE) return pbft_accept_proposal(s, &m, r->value);
    if (m.kind == RDG_PHASE_PREPARE) return s->prepares[p->config.self] = own, RDG_OK;
    if (m.kind == RDG_PHASE_COMMIT) return s->commits[p->config.self] = own, RDG_OK;
    return rdg_fail(RDG_E_CORRUPT, "a consensus record of unknown kind");
}

/* Votes on record put the slot where it was (invariant 3 of pbft.h holds in both directions). */
static void resume(pbft_t *p) {
    slot_t *s = pbft_slot(p, p->committed + 1);
    if (!pbft_is_member(p) || s->state != SLOT_PROPOSED) return;
    if (s->prepares[p->config.self].present) s->state = SLOT_PREPARING;
    if (s->commits[p->config.self].present) s->state = SLOT_COMMITTING;
}

rdg_err_t pbft_start(pbft_t *p, uint64_t now_ms, const rdg_consensus_event_t *e,
                     rdg_consensus_output_t *out) {
    if (p->started) return rdg_fail(RDG_E_INVALID, "consensus is started already");
    p->committed = p->executed = e->height;
    p->committed_digest = e->digest;
    p->checkpoint = e->height > 0 ? e->height - 1 : 0;
    p->voting = !e->amnesia;
    p->amnesia_until = e->amnesia ? UINT64_MAX : 0;
    for (size_t i = 0; i < e->record_count; ++i) RDG_TRY(restore(p, &e->records[i], out));
    resume(p);
    p->started = true;
    RDG_TRY(pbft_resend(p, now_ms, out));
    RDG_TRY(pbft_advance(p, out));
    RDG_TRY(pbft_want(p, out));
    return output_add(
        out, &(rdg_consensus_action_t){.kind = RDG_ACTION_TIMER, .at_ms = now_ms + p->config.retransmit_ms});
}
