#include "output.h"
#include "pbft.h"
#include "planted.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <string.h>

static void enter(slot_t *s, slot_state_t next) {
    static const uint8_t successors[] = {
        [SLOT_EMPTY] = 1 << SLOT_PROPOSED,
        [SLOT_PROPOSED] = 1 << SLOT_PROPOSED | 1 << SLOT_PREPARING,
        [SLOT_PREPARING] = 1 << SLOT_COMMITTING,
        [SLOT_COMMITTING] = 0,
    };
    RDG_ASSERT(successors[s->state] >> next & 1);
    s->state = next;
}

static rdg_err_t want(pbft_t *p, rdg_consensus_output_t *out) {
    uint64_t height = p->committed + 1;
    if (!pbft_may_vote(p) || !pbft_is_leading(p) || height < p->choice.first) return RDG_OK;
    if (!pbft_has_room(p) || pbft_slot(p, height)->state != SLOT_EMPTY) return RDG_OK;
    if (choice_at(&p->choice, height)) return pbft_repropose(p, out);
    if (p->wanted >= height) return RDG_OK;
    p->wanted = height;
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_WANT_PROPOSAL,
                                                     .height = height,
                                                     .view = p->view,
                                                     .digest = p->committed_digest});
}

rdg_err_t pbft_accept_proposal(slot_t *s, const message_t *m, rdg_bytes_t bytes) {
    uint8_t *copy = rdg_memdup(bytes.data, bytes.len);
    if (!copy) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a proposal of %zu bytes", bytes.len);
    rdg_free(s->proposal);
    s->proposal = copy, s->proposal_len = bytes.len;
    enter(s, SLOT_PROPOSED);
    s->asked = s->refused = false;
    s->valid = PLANTED("bytes-unjudged");
    s->view = m->statement.view;
    s->digest = m->statement.digest;
    s->proposed = (vote_t){.present = true, .view = s->view, .digest = s->digest, .signature = m->signature};
    return RDG_OK;
}

static rdg_err_t proposal_of(const slot_t *s, rdg_bytes_t *out) {
    message_t m;
    RDG_TRY(message_decode(rdg_bytes(s->proposal, s->proposal_len), &m));
    *out = m.proposal;
    return RDG_OK;
}

bool pbft_is_own(const pbft_t *p, const slot_t *s, const vote_t *votes) {
    const vote_t *own = &votes[p->config.self];
    return own->present && own->view == s->view && rdg_hash_equal(&own->digest, &s->digest);
}

void pbft_resume(pbft_t *p, slot_t *s) {
    if (!pbft_is_member(p) || s->state != SLOT_PROPOSED || !pbft_is_own(p, s, s->prepares)) return;
    s->valid = true; /* it was, before the vote on record */
    enter(s, SLOT_PREPARING);
    if (pbft_is_own(p, s, s->commits)) enter(s, SLOT_COMMITTING);
}

/* The last block of an epoch ends every turn by itself. */
static bool ends_turn(const pbft_t *p) {
    return p->config.rotate_every > 0 && p->committed % p->config.rotate_every == 0 &&
           p->config.validators.count > 1 && p->committed != p->last;
}

static rdg_err_t decide(pbft_t *p, slot_t *s, rdg_consensus_output_t *out) {
    rdg_statement_t statement = {RDG_PHASE_COMMIT, p->config.validators.epoch, s->view, s->height, s->digest};
    rdg_bytes_t proposal;
    rdg_buf_t seal;
    RDG_TRY(proposal_of(s, &proposal));
    rdg_buf_init(&seal, 16384);
    rdg_err_t err = pbft_certificate(p, s->commits, &statement, &seal);
    if (err == RDG_OK) err = pbft_keep_proof(&p->seal, rdg_buf_view(&seal));
    if (err == RDG_OK)
        err = output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_COMMIT,
                                                        .height = s->height,
                                                        .view = s->view,
                                                        .digest = s->digest,
                                                        .bytes = proposal,
                                                        .certificate = rdg_buf_view(&seal)});
    rdg_buf_fini(&seal);
    if (err != RDG_OK) return err;
    p->committed = s->height;
    p->committed_digest = s->digest;
    p->decided_ms = p->now_ms;
    pbft_progress(p);
    p->rotating = ends_turn(p);
    pbft_slot_clear(s);
    return pbft_amnesia_end(p, out);
}

/* Also replicas that do not vote ask: what they commit must be the block, too. */
static rdg_err_t ask_validation(pbft_t *p, slot_t *s, rdg_consensus_output_t *out) {
    rdg_bytes_t proposal;
    if (s->asked) return RDG_OK;
    RDG_TRY(proposal_of(s, &proposal));
    s->asked = true;
    s->asked_ms = p->now_ms;
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_VALIDATE,
                                                     .height = s->height,
                                                     .view = s->view,
                                                     .digest = s->digest,
                                                     .bytes = proposal});
}

/* The proposal itself is recorded before it is promised, so that a prepared block can be had from any replica
 * that prepared it. A vote on record for another digest binds: then this replica only watches. */
static rdg_err_t prepare(pbft_t *p, slot_t *s, rdg_consensus_output_t *out) {
    const vote_t *own = &s->prepares[p->config.self];
    bool is_leader = pbft_leader(p, s->view) == p->config.self;
    if (own->present && own->view >= s->view && !pbft_is_own(p, s, s->prepares)) return RDG_OK;
    if (s->prepared.len > 0 && !rdg_hash_equal(&s->prepared_digest, &s->digest))
        RDG_TRY(pbft_drop_prepared(s, out));
    RDG_TRY(pbft_record_proposal(p, s, is_leader, out));
    RDG_TRY(pbft_vote(p, s, RDG_PHASE_PREPARE, out));
    enter(s, SLOT_PREPARING);
    return RDG_OK;
}

/* Moves the current slot as far as what is known allows. */
static rdg_err_t advance_slot(pbft_t *p, slot_t *s, rdg_consensus_output_t *out) {
    if (s->state == SLOT_EMPTY) return RDG_OK;
    pbft_resume(p, s);
    if (!s->valid) return ask_validation(p, s, out);
    if (s->state == SLOT_PROPOSED && pbft_may_vote(p)) RDG_TRY(prepare(p, s, out));
    bool hasty = PLANTED("commit-unprepared");
    if (s->state == SLOT_PREPARING && pbft_may_vote(p) &&
        (hasty || pbft_count(p, s->prepares, s->view, &s->digest) >= p->quorum)) {
        if (!hasty) RDG_TRY(pbft_record_prepared(p, s, out));
        RDG_TRY(pbft_vote(p, s, RDG_PHASE_COMMIT, out));
        enter(s, SLOT_COMMITTING);
    }
    return RDG_OK;
}

rdg_err_t pbft_advance(pbft_t *p, rdg_consensus_output_t *out) {
    while (pbft_has_room(p)) {
        slot_t *s = pbft_slot(p, p->committed + 1);
        RDG_TRY(advance_slot(p, s, out));
        if (!s->valid || pbft_count(p, s->commits, s->view, &s->digest) < p->quorum) break;
        RDG_TRY(decide(p, s, out));
        if (p->rotating) return pbft_rotate(p, out);
    }
    return want(p, out);
}

/* Its view is left, but its bytes are kept: it needs no vote any more. */
static rdg_err_t decide_kept(pbft_t *p, slot_t *s, const rdg_statement_t *sealed,
                             rdg_consensus_output_t *out) {
    message_t m;
    bool can = s->height == p->committed + 1 && s->state == SLOT_EMPTY && pbft_has_room(p) &&
               pbft_is_kept(s, &sealed->digest) &&
               pbft_count(p, s->commits, sealed->view, &sealed->digest) >= p->quorum;
    if (!can) return RDG_OK;
    RDG_TRY(message_decode(rdg_bytes(s->kept.data, s->kept.len), &m));
    RDG_TRY(pbft_accept_proposal(s, &m, rdg_bytes(s->kept.data, s->kept.len)));
    s->view = sealed->view;
    return decide(p, s, out);
}

rdg_err_t pbft_take_seal(pbft_t *p, const rdg_certificate_t *c, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, c->statement.height);
    if (!s) return RDG_OK;
    for (uint32_t i = 0; i < c->count; ++i) {
        message_t m = {.kind = RDG_PHASE_COMMIT,
                       .statement = c->statement,
                       .index = c->votes[i].index,
                       .signature = c->votes[i].signature};
        if (m.index != p->config.self) RDG_TRY(pbft_take_vote(s->commits, &m, out));
    }
    RDG_TRY(decide_kept(p, s, &c->statement, out));
    return pbft_advance(p, out);
}

rdg_err_t pbft_payload(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    rdg_hash_t digest;
    message_t m;
    if (e->view != p->view || e->height != p->committed + 1 || !pbft_is_leading(p) || !pbft_may_vote(p) ||
        !pbft_has_room(p) || e->height < p->choice.first || choice_at(&p->choice, e->height))
        return rdg_fail(RDG_E_STALE, "a proposal for height %llu, view %llu is not wanted any more",
                        (unsigned long long)e->height, (unsigned long long)e->view);
    slot_t *s = pbft_slot(p, e->height);
    if (s->state != SLOT_EMPTY)
        return rdg_fail(RDG_E_STALE, "height %llu has its proposal", (unsigned long long)e->height);
    if (e->bytes.len > RDG_CONSENSUS_PROPOSAL_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a proposal of %zu bytes, at most %u", e->bytes.len,
                        RDG_CONSENSUS_PROPOSAL_MAX);
    if (p->config.host.digest(p->config.host.ctx, e->bytes, &digest) != RDG_OK)
        return rdg_fail_in(RDG_E_MALFORMED, "the proposal of this node for height %llu",
                           (unsigned long long)e->height);
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, RDG_CONSENSUS_MESSAGE_MAX);
    rdg_err_t err = pbft_sign(p, RDG_PHASE_PRE_PREPARE, p->view, e->height, &digest, e->bytes, &m, &bytes);
    if (err == RDG_OK) err = pbft_accept_proposal(s, &m, rdg_buf_view(&bytes));
    rdg_buf_fini(&bytes);
    if (err != RDG_OK) return err;
    s->asked = s->valid = true; /* the host built it */
    RDG_TRY(prepare(p, s, out));
    return pbft_advance(p, out);
}

rdg_err_t pbft_repropose(pbft_t *p, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, p->committed + 1);
    const rdg_hash_t *digest = choice_at(&p->choice, s->height);
    bool own = pbft_is_kept(s, digest);
    const proof_t *source = own ? &s->kept : &s->offered;
    message_t old, m;
    rdg_buf_t bytes;
    if (!own && (s->offered.len == 0 || !rdg_hash_equal(&s->offered_digest, digest))) return RDG_OK;
    RDG_TRY(message_decode(rdg_bytes(source->data, source->len), &old));
    rdg_buf_init(&bytes, RDG_CONSENSUS_MESSAGE_MAX);
    rdg_err_t err = pbft_sign(p, RDG_PHASE_PRE_PREPARE, p->view, s->height, digest, old.proposal, &m, &bytes);
    if (err == RDG_OK) err = pbft_accept_proposal(s, &m, rdg_buf_view(&bytes));
    rdg_buf_fini(&bytes);
    if (err != RDG_OK) return err;
    s->asked = s->valid = own; /* what it voted for itself, its host has judged */
    return pbft_advance(p, out);
}

rdg_err_t pbft_validated(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, e->height);
    bool current = s && e->height == p->committed + 1 && s->state == SLOT_PROPOSED && s->asked && !s->valid &&
                   s->view == e->view && rdg_hash_equal(&s->digest, &e->digest);
    if (!current) return RDG_OK;
    s->refused = !e->ok;
    s->valid = e->ok;
    if (e->ok) return pbft_advance(p, out);
    pbft_proof_clear(&s->offered); /* other bytes under this digest may come */
    /* Others decided it: either these are not the block's bytes, or this replica could not judge. A peer has
     * the sealed block. */
    if (pbft_count(p, s->commits, s->view, &s->digest) < p->quorum) return RDG_OK;
    return pbft_behind(p, pbft_leader(p, s->view), s->height, out);
}
