#include "output.h"
#include "pbft.h"
#include <string.h>

/* A checkpoint vote is not on record: its digest is read from the durable, executed block again, so that a
 * restarted replica can only repeat it. */

static checkpoint_slot_t *slot_of(pbft_t *p, uint64_t height) {
    if (height <= p->checkpoint || height > p->committed + RDG_CONSENSUS_WINDOW) return NULL;
    checkpoint_slot_t *c = &p->checkpoints[height % CHECKPOINT_SLOTS];
    if (c->height > height) return NULL;
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
    const rdg_hash_t *digest = c->own ? quorum_digest(p, c) : NULL;
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
    if (err == RDG_OK) err = pbft_keep_proof(&p->checkpoint_proof, rdg_buf_view(&certificate));
    rdg_buf_fini(&certificate);
    if (err == RDG_OK) p->checkpoint = c->height;
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

/* A vote that comes twice for a settled height is asked again by somebody who lacks the others' votes. */
static rdg_err_t answer_late_vote(pbft_t *p, const message_t *m, rdg_consensus_output_t *out) {
    checkpoint_slot_t *c = &p->checkpoints[m->statement.height % CHECKPOINT_SLOTS];
    if (p->checkpoint_proof.len == 0) return RDG_OK;
    if (c->height == m->statement.height && !c->votes[m->index].present)
        return pbft_take_vote(c->votes, m, out);
    return pbft_may_answer(p, m->index) ? pbft_send_proof(p, m->index, &p->checkpoint_proof, out) : RDG_OK;
}

rdg_err_t pbft_checkpoint_vote(pbft_t *p, const message_t *m, rdg_consensus_output_t *out) {
    if (m->statement.height <= p->checkpoint) return answer_late_vote(p, m, out);
    checkpoint_slot_t *c = slot_of(p, m->statement.height);
    if (!c) return RDG_OK;
    RDG_TRY(pbft_take_vote(c->votes, m, out));
    return settle(p, c, out);
}

rdg_err_t pbft_checkpoint_proof(pbft_t *p, const rdg_certificate_t *cert, rdg_consensus_output_t *out) {
    checkpoint_slot_t *c = slot_of(p, cert->statement.height);
    if (!c) return RDG_OK;
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
    for (uint64_t h = p->checkpoint + 1; h <= p->executed && h <= p->checkpoint + CHECKPOINT_SLOTS; ++h) {
        const checkpoint_slot_t *c = &p->checkpoints[h % CHECKPOINT_SLOTS];
        message_t m;
        if (c->height == h && c->own) RDG_TRY(send_checkpoint(p, h, &c->own_digest, &m, out));
    }
    return RDG_OK;
}
