#include "output.h"
#include "pbft.h"
#include "planted.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <string.h>

slot_t *pbft_slot(pbft_t *p, uint64_t height) {
    if (height <= p->committed || height - p->committed > RDG_CONSENSUS_WINDOW) return NULL;
    slot_t *s = &p->slots[height % RDG_CONSENSUS_WINDOW];
    if (s->height != height) {
        pbft_slot_clear(s);
        s->height = height;
    }
    return s;
}

void pbft_slot_clear(slot_t *s) {
    rdg_free(s->proposal);
    pbft_proof_clear(&s->prepared);
    pbft_proof_clear(&s->kept);
    pbft_proof_clear(&s->offered);
    memset(s, 0, sizeof *s);
}

void pbft_proof_clear(proof_t *proof) {
    rdg_free(proof->data);
    *proof = (proof_t){NULL, 0};
}

/* Only bytes that the host has judged: a leader may send others under a digest that is prepared already. */
static bool is_worth_keeping(const pbft_t *p, const slot_t *s) {
    bool prepared = s->prepared.len > 0 && rdg_hash_equal(&s->prepared_digest, &s->digest);
    if (prepared && PLANTED("kept-unjudged")) return true;
    return s->valid && pbft_is_member(p) && pbft_is_own(p, s, s->prepares);
}

void pbft_slot_leave_view(const pbft_t *p, slot_t *s) {
    if (s->state == SLOT_EMPTY) return;
    if (is_worth_keeping(p, s)) {
        pbft_proof_clear(&s->kept);
        s->kept = (proof_t){s->proposal, s->proposal_len};
        s->kept_digest = s->digest;
    } else {
        rdg_free(s->proposal);
    }
    s->proposal = NULL, s->proposal_len = 0;
    s->state = SLOT_EMPTY;
    s->asked = s->refused = s->valid = false;
    s->resent = 0;
    s->proposed = (vote_t){.present = false};
}

bool pbft_is_kept(const slot_t *s, const rdg_hash_t *digest) {
    return s->kept.len > 0 && rdg_hash_equal(&s->kept_digest, digest);
}

uint32_t pbft_count(const pbft_t *p, const vote_t *votes, uint64_t view, const rdg_hash_t *digest) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (votes[i].present && votes[i].view == view && rdg_hash_equal(&votes[i].digest, digest))
            n += pbft_weight(p, i);
    return n;
}

rdg_err_t pbft_accuse(vote_t *first, const message_t *m, rdg_consensus_output_t *out) {
    if (first->accused) return RDG_OK;
    message_t other = *m;
    rdg_buf_t bytes;
    other.statement.digest = first->digest;
    other.signature = first->signature;
    rdg_buf_init(&bytes, 4096);
    (void)message_encode(&other, &bytes);
    (void)message_encode(m, &bytes);
    rdg_err_t err = rdg_buf_err(&bytes);
    if (err == RDG_OK)
        err = output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_EVIDENCE,
                                                        .to = m->index,
                                                        .height = m->statement.height,
                                                        .view = m->statement.view,
                                                        .bytes = rdg_buf_view(&bytes)});
    rdg_buf_fini(&bytes);
    if (err == RDG_OK) first->accused = true;
    return err;
}

rdg_err_t pbft_take_vote(vote_t *votes, const message_t *m, rdg_consensus_output_t *out) {
    vote_t *v = &votes[m->index];
    if (v->present && v->view == m->statement.view) {
        if (rdg_hash_equal(&v->digest, &m->statement.digest)) return RDG_OK;
        return pbft_accuse(v, m, out);
    }
    if (v->present && v->view > m->statement.view) return RDG_OK;
    *v = (vote_t){
        .present = true, .view = m->statement.view, .digest = m->statement.digest, .signature = m->signature};
    return RDG_OK;
}

rdg_err_t pbft_certificate(const pbft_t *p, const vote_t *votes, const rdg_statement_t *s, rdg_buf_t *out) {
    rdg_certificate_t c = {.statement = *s};
    uint32_t weight = 0;
    for (uint32_t i = 0; i < p->config.validators.count && weight < p->quorum; ++i) {
        if (!votes[i].present || votes[i].view != s->view || !rdg_hash_equal(&votes[i].digest, &s->digest))
            continue;
        c.votes[c.count].index = i;
        c.votes[c.count++].signature = votes[i].signature;
        weight += pbft_weight(p, i);
    }
    RDG_ASSERT(weight >= p->quorum);
    return rdg_certificate_encode(&c, out);
}
