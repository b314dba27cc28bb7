#include "output.h"
#include "pbft.h"
#include "planted.h"

static rdg_err_t corrupt(const char *why, uint64_t height) {
    return rdg_fail(RDG_E_CORRUPT, "the consensus record of height %llu %s: recover this node",
                    (unsigned long long)height, why);
}

static rdg_err_t restore_prepared(pbft_t *p, uint64_t height, rdg_bytes_t value) {
    rdg_certificate_t c;
    slot_t *s = pbft_slot(p, height);
    if (!s) return corrupt("is far ahead of the ledger", height);
    if (rdg_certificate_decode(value, &c) != RDG_OK || c.statement.height != height ||
        c.statement.epoch != p->config.validators.epoch)
        return corrupt("is no certificate of it", height);
    s->prepared_digest = c.statement.digest;
    return pbft_keep_proof(&s->prepared, value);
}

/* A record is the replica's own promise, or the proposal that it is about: the disk is trusted for it (the
 * store has checksums), but it is read as strictly as a message. Records of decided heights are dropped. */
static rdg_err_t restore(pbft_t *p, const rdg_consensus_record_t *r, rdg_consensus_output_t *out) {
    message_t m;
    if (pbft_is_amnesia_key(r->key) || PLANTED("vote-again")) return RDG_OK;
    if (pbft_is_view_key(r->key)) return pbft_restore_view(p, r);
    if (r->key.len != 10 || r->key.data[0] != 'v')
        return rdg_fail(RDG_E_CORRUPT, "a consensus record with an unknown key: recover this node");
    uint64_t height = rdg_load_be64(r->key.data + 1);
    if (height <= p->committed)
        return output_add(
            out, &(rdg_consensus_action_t){.kind = RDG_ACTION_DELETE, .height = height, .key = r->key});
    if (r->key.data[9] == RECORD_PREPARED) return restore_prepared(p, height, r->value);
    rdg_err_t err = message_decode(r->value, &m);
    if (err == RDG_E_NO_MEMORY) return err;
    if (err != RDG_OK || m.kind != r->key.data[9] || m.statement.height != height)
        return corrupt("cannot be read", height);
    if (m.statement.epoch != p->config.validators.epoch) return corrupt("is of another epoch", height);
    slot_t *s = pbft_slot(p, height);
    if (!s) return corrupt("is far ahead of the ledger", height);
    bool is_proposal = m.kind == RDG_PHASE_PRE_PREPARE;
    uint32_t author = is_proposal ? pbft_leader(p, m.statement.view) : p->config.self;
    if (m.index != author) return corrupt("has a wrong author", height);
    if (is_proposal) return pbft_accept_proposal(s, &m, r->value);
    if (m.kind != RDG_PHASE_PREPARE && m.kind != RDG_PHASE_COMMIT)
        return corrupt("is of unknown kind", height);
    (m.kind == RDG_PHASE_PREPARE ? s->prepares : s->commits)[author] = (vote_t){
        .present = true, .view = m.statement.view, .digest = m.statement.digest, .signature = m.signature};
    return RDG_OK;
}

static bool has_amnesia_record(const rdg_consensus_event_t *e) {
    for (size_t i = 0; i < e->record_count; ++i)
        if (pbft_is_amnesia_key(e->records[i].key)) return true;
    return false;
}

rdg_err_t pbft_start(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    if (p->started) return rdg_fail(RDG_E_INVALID, "consensus is started already");
    p->committed = p->executed = e->height;
    p->committed_digest = e->digest;
    p->checkpoint = p->checkpoint_base = e->height > 0 ? e->height - 1 : 0;
    p->decided_ms = p->now_ms;
    p->ticked_at = UINT64_MAX;
    if (e->amnesia || has_amnesia_record(e)) RDG_TRY(pbft_amnesia_begin(p, out));
    for (size_t i = 0; i < e->record_count; ++i) RDG_TRY(restore(p, &e->records[i], out));
    if (e->bytes.len > 0) RDG_TRY(pbft_keep_proof(&p->seal, e->bytes));
    p->started = true;
    pbft_resume_view(p);
    RDG_TRY(pbft_amnesia_end(p, out));
    pbft_resume(p, pbft_slot(p, p->committed + 1));
    RDG_TRY(pbft_resend(p, out));
    RDG_TRY(pbft_advance(p, out));
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_TIMER,
                                                     .at_ms = p->now_ms + p->config.retransmit_ms});
}
