#include "output.h"
#include "pbft.h"
#include "planted.h"
#include "ridge/base/alloc.h"
#include <string.h>

#define KEY_BYTES 10 /* 'v', height, phase; the view is in the value: a later one supersedes */
#define RESEND_AFTER_MS 100
#define RESEND_BACKOFF_MAX 4

static rdg_bytes_t record_key(uint8_t key[KEY_BYTES], uint64_t height, rdg_phase_t phase) {
    key[0] = 'v';
    rdg_store_be64(key + 1, height);
    key[9] = (uint8_t)phase;
    return rdg_bytes(key, KEY_BYTES);
}

static rdg_err_t record(uint64_t height, rdg_phase_t phase, rdg_bytes_t message,
                        rdg_consensus_output_t *out) {
    uint8_t key[KEY_BYTES];
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_WRITE,
                                                     .height = height,
                                                     .key = record_key(key, height, phase),
                                                     .bytes = message});
}

rdg_err_t pbft_forget(uint64_t from, uint64_t to, rdg_consensus_output_t *out) {
    static const rdg_phase_t phases[] = {RDG_PHASE_PRE_PREPARE, RDG_PHASE_PREPARE, RDG_PHASE_COMMIT,
                                         (rdg_phase_t)RECORD_PREPARED};
    uint8_t key[KEY_BYTES];
    for (uint64_t h = from; h <= to; ++h)
        for (size_t i = 0; i < sizeof phases / sizeof phases[0]; ++i)
            RDG_TRY(output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_DELETE,
                                                              .height = h,
                                                              .key = record_key(key, h, phases[i])}));
    return RDG_OK;
}

rdg_err_t pbft_sign(pbft_t *p, rdg_phase_t phase, uint64_t view, uint64_t height, const rdg_hash_t *digest,
                    rdg_bytes_t proposal, message_t *m, rdg_buf_t *encoded) {
    *m = (message_t){.proposal = proposal};
    m->statement = (rdg_statement_t){.phase = phase, .view = view, .height = height, .digest = *digest};
    return pbft_sign_message(p, m, encoded);
}

rdg_err_t pbft_sign_message(pbft_t *p, message_t *m, rdg_buf_t *encoded) {
    rdg_hash_t hash;
    m->kind = (uint32_t)m->statement.phase;
    m->index = p->config.self;
    m->statement.epoch = p->config.validators.epoch;
    rdg_statement_hash(p->config.validators.chain_id, &m->statement, &hash);
    if (p->config.host.sign(p->config.host.ctx, &hash, &m->signature) != RDG_OK)
        return rdg_fail_in(RDG_E_CRYPTO, "this node's key cannot sign");
    return message_encode(m, encoded);
}

rdg_err_t pbft_send(uint32_t to, rdg_bytes_t bytes, uint64_t height, rdg_consensus_output_t *out) {
    return output_add(
        out, &(rdg_consensus_action_t){.kind = RDG_ACTION_SEND, .to = to, .height = height, .bytes = bytes});
}

/* The encoded vote `own` of this replica; the buffer is the caller's. */
static rdg_err_t encode_own(const pbft_t *p, const slot_t *s, rdg_phase_t phase, const vote_t *own,
                            rdg_buf_t *out) {
    message_t m = {.kind = (uint32_t)phase, .index = p->config.self, .signature = own->signature};
    m.statement = (rdg_statement_t){.phase = phase,
                                    .epoch = p->config.validators.epoch,
                                    .view = own->view,
                                    .height = s->height,
                                    .digest = own->digest};
    return message_encode(&m, out);
}

static rdg_err_t resend_vote(pbft_t *p, const slot_t *s, rdg_phase_t phase, const vote_t *own, uint32_t to,
                             rdg_consensus_output_t *out) {
    rdg_buf_t bytes;
    if (!own->present) return RDG_OK;
    rdg_buf_init(&bytes, 4096);
    rdg_err_t err = encode_own(p, s, phase, own, &bytes);
    if (err == RDG_OK) err = pbft_send(to, rdg_buf_view(&bytes), s->height, out);
    rdg_buf_fini(&bytes);
    return err;
}

rdg_err_t pbft_vote(pbft_t *p, slot_t *s, rdg_phase_t phase, rdg_consensus_output_t *out) {
    vote_t *own = &(phase == RDG_PHASE_PREPARE ? s->prepares : s->commits)[p->config.self];
    uint8_t key[KEY_BYTES];
    message_t m;
    rdg_buf_t bytes;
    s->sent_ms = p->now_ms;
    if (own->present && own->view >= s->view) {
        if (own->view != s->view || !rdg_hash_equal(&own->digest, &s->digest))
            return rdg_fail(RDG_E_CONFLICT, "height %llu has another vote of this node on record",
                            (unsigned long long)s->height);
        return resend_vote(p, s, phase, own, RDG_CONSENSUS_ALL, out);
    }
    rdg_buf_init(&bytes, 4096);
    rdg_err_t err = pbft_sign(p, phase, s->view, s->height, &s->digest, rdg_bytes(NULL, 0), &m, &bytes);
    if (err == RDG_OK && PLANTED("vote-unrecorded"))
        err = pbft_send(RDG_CONSENSUS_ALL, rdg_buf_view(&bytes), s->height, out);
    else if (err == RDG_OK)
        err = record(s->height, phase, rdg_buf_view(&bytes), out);
    if (err == RDG_OK && !PLANTED("vote-unrecorded"))
        err = output_send_recorded(out, record_key(key, s->height, phase), rdg_buf_view(&bytes), s->height);
    rdg_buf_fini(&bytes);
    if (err == RDG_OK)
        *own = (vote_t){.present = true, .view = s->view, .digest = s->digest, .signature = m.signature};
    return err;
}

rdg_err_t pbft_record_prepared(pbft_t *p, slot_t *s, rdg_consensus_output_t *out) {
    rdg_statement_t statement = {RDG_PHASE_PREPARE, p->config.validators.epoch, s->view, s->height,
                                 s->digest};
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 16384);
    rdg_err_t err = pbft_certificate(p, s->prepares, &statement, &bytes);
    if (err == RDG_OK) err = record(s->height, (rdg_phase_t)RECORD_PREPARED, rdg_buf_view(&bytes), out);
    if (err == RDG_OK) err = pbft_keep_proof(&s->prepared, rdg_buf_view(&bytes));
    rdg_buf_fini(&bytes);
    if (err == RDG_OK) s->prepared_digest = s->digest;
    return err;
}

rdg_err_t pbft_drop_prepared(slot_t *s, rdg_consensus_output_t *out) {
    uint8_t key[KEY_BYTES];
    pbft_proof_clear(&s->prepared);
    pbft_proof_clear(&s->kept);
    return output_add(
        out, &(rdg_consensus_action_t){.kind = RDG_ACTION_DELETE,
                                       .height = s->height,
                                       .key = record_key(key, s->height, (rdg_phase_t)RECORD_PREPARED)});
}

rdg_err_t pbft_record_proposal(pbft_t *p, slot_t *s, bool is_leader, rdg_consensus_output_t *out) {
    rdg_bytes_t message = rdg_bytes(s->proposal, s->proposal_len);
    uint8_t key[KEY_BYTES];
    RDG_TRY(record(s->height, RDG_PHASE_PRE_PREPARE, message, out));
    if (!is_leader) return RDG_OK;
    s->proposal_sent_ms = p->now_ms;
    return output_send_recorded(out, record_key(key, s->height, RDG_PHASE_PRE_PREPARE), message, s->height);
}

/* A proposal is large: it goes again only to those whose prepare is missing, less and less often. */
static rdg_err_t resend_proposal(pbft_t *p, slot_t *s, rdg_consensus_output_t *out) {
    uint32_t backoff = s->resent < RESEND_BACKOFF_MAX ? s->resent : RESEND_BACKOFF_MAX;
    if (pbft_leader(p, s->view) != p->config.self || s->state < SLOT_PREPARING) return RDG_OK;
    if (s->proposal_sent_ms != 0 &&
        p->now_ms - s->proposal_sent_ms < (p->config.retransmit_ms << backoff) / 2)
        return RDG_OK;
    s->proposal_sent_ms = p->now_ms;
    ++s->resent;
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        const vote_t *v = &s->prepares[i];
        if (i == p->config.self || (v->present && v->view == s->view)) continue;
        if (p->new_view.len > 0)
            RDG_TRY(pbft_send(i, rdg_bytes(p->new_view.data, p->new_view.len), s->height, out));
        RDG_TRY(pbft_send(i, rdg_bytes(s->proposal, s->proposal_len), s->height, out));
    }
    return RDG_OK;
}

rdg_err_t pbft_resend(pbft_t *p, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, p->committed + 1);
    if (!pbft_may_vote(p)) return RDG_OK;
    if (p->changing) return pbft_resend_change(p, RDG_CONSENSUS_ALL, out);
    if (s->state == SLOT_EMPTY) return RDG_OK;
    RDG_TRY(resend_proposal(p, s, out));
    if (p->now_ms - s->sent_ms < RESEND_AFTER_MS) return RDG_OK;
    s->sent_ms = p->now_ms;
    RDG_TRY(resend_vote(p, s, RDG_PHASE_PREPARE, &s->prepares[p->config.self], RDG_CONSENSUS_ALL, out));
    return resend_vote(p, s, RDG_PHASE_COMMIT, &s->commits[p->config.self], RDG_CONSENSUS_ALL, out);
}

rdg_err_t pbft_resend_to(pbft_t *p, uint32_t to, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, p->committed + 1);
    if (!pbft_may_vote(p) || to >= p->config.validators.count || to == p->config.self) return RDG_OK;
    RDG_TRY(pbft_resend_change(p, to, out));
    if (s->state == SLOT_EMPTY) return RDG_OK;
    if (pbft_leader(p, s->view) == p->config.self && s->state >= SLOT_PREPARING)
        RDG_TRY(pbft_send(to, rdg_bytes(s->proposal, s->proposal_len), s->height, out));
    RDG_TRY(resend_vote(p, s, RDG_PHASE_PREPARE, &s->prepares[p->config.self], to, out));
    return resend_vote(p, s, RDG_PHASE_COMMIT, &s->commits[p->config.self], to, out);
}

rdg_err_t pbft_keep_proof(proof_t *proof, rdg_bytes_t certificate) {
    uint8_t *copy = rdg_memdup(certificate.data, certificate.len);
    if (!copy) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a certificate");
    rdg_free(proof->data);
    *proof = (proof_t){copy, certificate.len};
    return RDG_OK;
}

rdg_err_t pbft_send_proof(pbft_t *p, uint32_t to, const proof_t *proof, rdg_consensus_output_t *out) {
    message_t m = {.kind = MESSAGE_STATUS, .certificate = rdg_bytes(proof->data, proof->len)};
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 16384);
    rdg_err_t err = message_encode(&m, &bytes);
    if (err == RDG_OK) err = pbft_send(to, rdg_buf_view(&bytes), p->committed, out);
    rdg_buf_fini(&bytes);
    return err;
}
