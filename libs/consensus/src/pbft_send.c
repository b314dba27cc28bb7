#include "output.h"
#include "pbft.h"
#include "ridge/base/assert.h"
#include <string.h>

#define KEY_BYTES 10 /* 'v', height, phase */
#define RESEND_AFTER_MS 100

static void record_key(uint8_t key[KEY_BYTES], uint64_t height, rdg_phase_t phase) {
    key[0] = 'v';
    rdg_store_be64(key + 1, height);
    key[9] = (uint8_t)phase;
}

rdg_err_t pbft_record(uint64_t height, rdg_phase_t phase, rdg_bytes_t message, rdg_consensus_output_t *out) {
    uint8_t key[KEY_BYTES];
    record_key(key, height, phase);
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_WRITE,
                                                     .height = height,
                                                     .key = rdg_bytes(key, KEY_BYTES),
                                                     .bytes = message});
}

rdg_err_t pbft_forget(uint64_t height, rdg_consensus_output_t *out) {
    static const rdg_phase_t phases[] = {RDG_PHASE_PRE_PREPARE, RDG_PHASE_PREPARE, RDG_PHASE_COMMIT};
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; ++i) {
        uint8_t key[KEY_BYTES];
        record_key(key, height, phases[i]);
        RDG_TRY(output_add(
            out, &(rdg_consensus_action_t){.kind = RDG_ACTION_DELETE, .key = rdg_bytes(key, KEY_BYTES)}));
    }
    return RDG_OK;
}

rdg_err_t pbft_sign(pbft_t *p, rdg_phase_t phase, uint64_t view, uint64_t height, const rdg_hash_t *digest,
                    rdg_bytes_t proposal, message_t *m, rdg_buf_t *encoded) {
    rdg_hash_t hash;
    *m = (message_t){.kind = (uint32_t)phase, .index = p->config.self, .proposal = proposal};
    m->statement = (rdg_statement_t){.phase = phase,
                                     .epoch = p->config.validators.epoch,
                                     .view = view,
                                     .height = height,
                                     .digest = *digest};
    rdg_statement_hash(p->config.validators.chain_id, &m->statement, &hash);
    RDG_TRY(p->config.host.sign(p->config.host.ctx, &hash, &m->signature));
    return message_encode(m, encoded);
}

static rdg_err_t send_all(rdg_bytes_t bytes, uint64_t height, rdg_consensus_output_t *out) {
    return output_add(
        out, &(rdg_consensus_action_t){
                 .kind = RDG_ACTION_SEND, .to = RDG_CONSENSUS_ALL, .height = height, .bytes = bytes});
}

rdg_err_t pbft_vote(pbft_t *p, slot_t *s, rdg_phase_t phase, rdg_consensus_output_t *out) {
    vote_t *own = &(phase == RDG_PHASE_PREPARE ? s->prepares : s->commits)[p->config.self];
    /* Invariant 4: a vote on record from before a restart binds. */
    if (own->present && own->view == s->view) return RDG_OK;
    message_t m;
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 4096);
    rdg_err_t err = pbft_sign(p, phase, s->view, s->height, &s->digest, rdg_bytes(NULL, 0), &m, &bytes);
    if (err == RDG_OK) err = pbft_record(s->height, phase, rdg_buf_view(&bytes), out);
    if (err == RDG_OK) err = send_all(rdg_buf_view(&bytes), s->height, out);
    rdg_buf_fini(&bytes);
    if (err == RDG_OK)
        *own = (vote_t){.present = true, .view = s->view, .digest = s->digest, .signature = m.signature};
    return err;
}

static rdg_err_t resend_vote(pbft_t *p, const slot_t *s, rdg_phase_t phase, const vote_t *own,
                             rdg_consensus_output_t *out) {
    message_t m = {.kind = (uint32_t)phase, .index = p->config.self, .signature = own->signature};
    rdg_buf_t bytes;
    if (!own->present) return RDG_OK;
    m.statement = (rdg_statement_t){.phase = phase,
                                    .epoch = p->config.validators.epoch,
                                    .view = own->view,
                                    .height = s->height,
                                    .digest = own->digest};
    rdg_buf_init(&bytes, 4096);
    rdg_err_t err = message_encode(&m, &bytes);
    if (err == RDG_OK) err = send_all(rdg_buf_view(&bytes), s->height, out);
    rdg_buf_fini(&bytes);
    return err;
}

rdg_err_t pbft_resend(pbft_t *p, uint64_t now_ms, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, p->committed + 1);
    if (!pbft_may_vote(p) || s->state == SLOT_EMPTY || now_ms - s->sent_ms < RESEND_AFTER_MS) return RDG_OK;
    s->sent_ms = now_ms;
    if (pbft_leader(p, s->view) == p->config.self)
        RDG_TRY(send_all(rdg_bytes(s->proposal, s->proposal_len), s->height, out));
    RDG_TRY(resend_vote(p, s, RDG_PHASE_PREPARE, &s->prepares[p->config.self], out));
    return resend_vote(p, s, RDG_PHASE_COMMIT, &s->commits[p->config.self], out);
}

/* Whoever still votes on a height that is decided gets the seal of the last one, at most once per
 * retransmit_ms. */
rdg_err_t pbft_answer_laggard(pbft_t *p, uint32_t to, uint64_t now_ms, rdg_consensus_output_t *out) {
    if (p->seal_len == 0 || to >= p->config.validators.count || to == p->config.self) return RDG_OK;
    if (p->answered_ms[to] != 0 && now_ms - p->answered_ms[to] < p->config.retransmit_ms) return RDG_OK;
    p->answered_ms[to] = now_ms ? now_ms : 1;
    message_t m = {.kind = MESSAGE_STATUS, .certificate = rdg_bytes(p->seal, p->seal_len)};
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 16384);
    rdg_err_t err = message_encode(&m, &bytes);
    if (err == RDG_OK)
        err = output_add(
            out, &(rdg_consensus_action_t){.kind = RDG_ACTION_SEND, .to = to, .bytes = rdg_buf_view(&bytes)});
    rdg_buf_fini(&bytes);
    return err;
}
