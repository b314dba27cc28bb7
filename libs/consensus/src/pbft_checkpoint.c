#include "output.h"
#include "pbft.h"
#include <string.h>

/* A checkpoint vote is not on record: its digest is read from the durable, executed block again, so that a
 * restarted replica can only repeat it. */

#define CHECKPOINT_RESENDS (2 * CHECKPOINT_SLOTS) /* an answer goes to one of a validator's votes at a time */

static checkpoint_slot_t *slot_of(pbft_t *p, uint64_t height) {
    uint64_t end = p->committed + RDG_CONSENSUS_WINDOW;
    checkpoint_slot_t *c = &p->checkpoints[height % CHECKPOINT_SLOTS];
    if (height <= p->checkpoint_base || height > end || c->height > height) return NULL;
    if (c->height != height && end - height >= CHECKPOINT_SLOTS)
        return NULL; /* a later height may need the place */
    if (c->height != height) {
        memset(c, 0, sizeof *c);
        c->height = height;
    }
    return c;
}

static rdg_err_t diverge(pbft_t *p, uint64_t height, const rdg_hash_t *quorum, rdg_consensus_output_t *out) {
    if (p->diverged) return RDG_OK;
    p->diverged = true;
    return output_add(
        out, &(rdg_consensus_action_t){.kind = RDG_ACTION_DIVERGED, .height = height, .digest = *quorum});
}

static const rdg_hash_t *quorum_digest(const pbft_t *p, const checkpoint_slot_t *c) {
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (c->votes[i].present && pbft_count(p, c->votes, 0, &c->votes[i].digest) >= p->quorum)
            return &c->votes[i].digest;
    return NULL;
}

/* A checkpoint is reported only for what this replica executed itself, so that the host can store it beside
 * the block. */
static rdg_err_t settle(pbft_t *p, checkpoint_slot_t *c, rdg_consensus_output_t *out) {
    const rdg_hash_t *digest = c->own && !c->settled ? quorum_digest(p, c) : NULL;
    if (!digest) return RDG_OK;
    if (!rdg_hash_equal(digest, &c->own_digest)) return diverge(p, c->height, digest, out);
    rdg_statement_t s = {RDG_PHASE_CHECKPOINT, p->config.validators.epoch, 0, c->height, *digest};
    rdg_buf_t certificate;
    rdg_buf_init(&certificate, 16384);
    rdg_err_t err = pbft_certificate(p, c->votes, &s, &certificate);
    if (err == RDG_OK)
        err = output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_CHECKPOINT,
                                                        .height = c->height,
                                                        .digest = *digest,
                                                        .certificate = rdg_buf_view(&certificate)});
    if (err == RDG_OK && c->height > p->checkpoint)
        err = pbft_keep_proof(&p->checkpoint_proof, rdg_buf_view(&certificate));
    rdg_buf_fini(&certificate);
    if (err == RDG_OK) c->settled = true;
    if (err == RDG_OK && c->height > p->checkpoint) p->checkpoint = c->height;
    return err;
}

static rdg_err_t send_checkpoint(pbft_t *p, uint64_t height, const rdg_hash_t *digest, message_t *m,
                                 rdg_consensus_output_t *out) {
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 4096);
    rdg_err_t err = pbft_sign(p, RDG_PHASE_CHECKPOINT, 0, height, digest, rdg_bytes(NULL, 0), m, &bytes);
    if (err == RDG_OK)
        err = output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_SEND,
                                                        .to = RDG_CONSENSUS_ALL,
                                                        .height = height,
                                                        .bytes = rdg_buf_view(&bytes)});
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t take_result(pbft_t *p, uint64_t height, const rdg_hash_t *digest,
                             rdg_consensus_output_t *out) {
    checkpoint_slot_t *c = height % p->config.checkpoint_interval == 0 ? slot_of(p, height) : NULL;
    if (!c || c->own) return RDG_OK;
    c->own = true;
    c->own_digest = *digest;
    if (pbft_may_vote(p)) {
        message_t m;
        RDG_TRY(send_checkpoint(p, height, digest, &m, out));
        RDG_TRY(pbft_take_vote(c->votes, &m, out));
    }
    return settle(p, c, out);
}

rdg_err_t pbft_executed(pbft_t *p, uint64_t height, const rdg_hash_t *digest, rdg_consensus_output_t *out) {
    if (height > p->committed)
        return rdg_fail(RDG_E_INVALID, "height %llu is executed, only %llu is decided",
                        (unsigned long long)height, (unsigned long long)p->committed);
    if (height < p->executed) return RDG_OK;
    RDG_TRY(pbft_forget(p->executed + 1, height, out));
    p->executed = height;
    RDG_TRY(take_result(p, height, digest, out));
    return pbft_advance(p, out); /* there may be room again */
}

static rdg_err_t send_settled(pbft_t *p, uint32_t to, const checkpoint_slot_t *c,
                              rdg_consensus_output_t *out) {
    rdg_statement_t s = {RDG_PHASE_CHECKPOINT, p->config.validators.epoch, 0, c->height, c->own_digest};
    proof_t proof = {NULL, 0};
    rdg_buf_t certificate;
    rdg_buf_init(&certificate, 16384);
    rdg_err_t err = pbft_certificate(p, c->votes, &s, &certificate);
    if (err == RDG_OK) err = pbft_keep_proof(&proof, rdg_buf_view(&certificate));
    rdg_buf_fini(&certificate);
    if (err == RDG_OK) err = pbft_send_proof(p, to, &proof, out);
    pbft_proof_clear(&proof);
    return err;
}

/* A vote that comes twice for a settled height is asked again by somebody who lacks the others' votes. */
static rdg_err_t answer_late_vote(pbft_t *p, const message_t *m, rdg_consensus_output_t *out) {
    checkpoint_slot_t *c = &p->checkpoints[m->statement.height % CHECKPOINT_SLOTS];
    if (c->height != m->statement.height || !c->settled) {
        bool can = p->checkpoint_proof.len > 0 && pbft_may_answer(p, m->index);
        return can ? pbft_send_proof(p, m->index, &p->checkpoint_proof, out) : RDG_OK;
    }
    if (!c->votes[m->index].present) return pbft_take_vote(c->votes, m, out);
    return pbft_may_answer(p, m->index) ? send_settled(p, m->index, c, out) : RDG_OK;
}

rdg_err_t pbft_checkpoint_vote(pbft_t *p, const message_t *m, rdg_consensus_output_t *out) {
    checkpoint_slot_t *c = slot_of(p, m->statement.height);
    if (!c && m->statement.height > p->committed) return RDG_OK;
    if (!c || c->settled) return answer_late_vote(p, m, out);
    RDG_TRY(pbft_take_vote(c->votes, m, out));
    return settle(p, c, out);
}

rdg_err_t pbft_checkpoint_proof(pbft_t *p, const rdg_certificate_t *cert, rdg_consensus_output_t *out) {
    checkpoint_slot_t *c = slot_of(p, cert->statement.height);
    if (!c || c->settled) return RDG_OK;
    for (uint32_t i = 0; i < cert->count; ++i) {
        message_t m = {.kind = RDG_PHASE_CHECKPOINT,
                       .statement = cert->statement,
                       .index = cert->votes[i].index,
                       .signature = cert->votes[i].signature};
        if (m.index != p->config.self) RDG_TRY(pbft_take_vote(c->votes, &m, out));
    }
    return settle(p, c, out);
}

rdg_err_t pbft_resend_checkpoints(pbft_t *p, rdg_consensus_output_t *out) {
    if (!pbft_may_vote(p)) return RDG_OK;
    for (size_t i = 0; i < CHECKPOINT_SLOTS; ++i) {
        checkpoint_slot_t *c = &p->checkpoints[i];
        message_t m;
        /* One below the last that settled may have lost its votes for ever: those who restarted repeat none. */
        bool hopeless = c->height < p->checkpoint && c->resent >= CHECKPOINT_RESENDS;
        if (c->height == 0 || !c->own || c->settled || hopeless || c->height > p->executed) continue;
        ++c->resent;
        RDG_TRY(send_checkpoint(p, c->height, &c->own_digest, &m, out));
    }
    return RDG_OK;
}
