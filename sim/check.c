#include "world.h"
#include "ridge/base/assert.h"
#include "wire.h"
#include <string.h>

/* The laws. Each has a name, which a violation begins with:
 *   agreement   one block at a height, over all correct replicas and all that they ever committed or imported
 *   certified   no two digests of one height have a quorum of commit votes, whoever cast and holds them
 *   validity    what is committed is a block on top of the one before it, by the ledger's rules
 *   seal        each commit and checkpoint carries a certificate of a quorum of distinct validators
 *   order       committed heights follow one another
 *   durable     what a message promises is on the disk before the message leaves
 *   once        no key of a correct replica signs two statements for one phase, epoch, view and height, in all its life
 *   promise     nothing is signed in a view before that of an own view change
 *   result      equal state at equal height
 *   lost        an acknowledged transaction is in every ledger, at its height
 *   progress    after healing, everybody converges within the bound
 *   stall       in the storms that promise it: while transactions wait, a height is decided within the bound
 *   dragged     nobody correct changes to a view that nobody correct wished for
 *   leader, log one leader of a term, one block for a height of a term (raft.c)
 *   evidence    nobody honest is accused; of view changes, nobody who still has its records
 *   halt        no correct replica stops by itself
 *   bounds      queues and runs stay within their limits */

static void check_digest_at(world_t *w, const replica_t *r, uint64_t height, const rdg_hash_t *digest) {
    RDG_ASSERT(height < SIM_HEIGHTS);
    if (w->has_agreed[height] && !rdg_hash_equal(&w->agreed[height], digest))
        world_violate(w, "agreement", "replica %u has another block at height %llu", r->id,
                      (unsigned long long)height);
    w->has_agreed[height] = true;
    w->agreed[height] = *digest;
}

/* --- what is decided -------------------------------------------------------------------------------------- */

void check_commit(world_t *w, replica_t *r, const rdg_consensus_action_t *a) {
    rdg_hash_t digest;
    block_t b;
    unsigned long long height = a->height;
    if (a->height >= SIM_HEIGHTS - 1) {
        world_violate(w, "bounds", "replica %u commits height %llu", r->id, height);
        return;
    }
    if (a->height != r->committed + 1)
        world_violate(w, "order", "replica %u commits %llu after %llu", r->id, height,
                      (unsigned long long)r->committed);
    if (!keys_certificate_holds(w, a->certificate, w->plan.protocol->seal, a->height, &a->digest))
        world_violate(w, "seal", "replica %u commits %llu with a seal that does not hold", r->id, height);
    if (block_digest(NULL, a->bytes, &digest) != RDG_OK || !rdg_hash_equal(&digest, &a->digest) ||
        !block_read(a->bytes, &b) || b.height != a->height || !block_is_whole(&b, a->bytes))
        world_violate(w, "validity", "replica %u commits %llu with bytes of another block", r->id, height);
    else if (a->height > 1 && w->has_agreed[a->height - 1] &&
             !rdg_hash_equal(&b.parent, &w->agreed[a->height - 1]))
        world_violate(w, "validity", "replica %u commits %llu on another parent", r->id, height);
    check_digest_at(w, r, a->height, &a->digest);
}

static void check_result(world_t *w, const replica_t *r, uint64_t height, const rdg_hash_t *result) {
    if (w->has_result[height] && !rdg_hash_equal(&w->result[height], result))
        world_violate(w, "result", "replica %u has another state at height %llu", r->id,
                      (unsigned long long)height);
    w->has_result[height] = true;
    w->result[height] = *result;
}

void check_checkpoint(world_t *w, replica_t *r, const rdg_consensus_action_t *a) {
    if (!keys_certificate_holds(w, a->certificate, RDG_PHASE_CHECKPOINT, a->height, &a->digest))
        world_violate(w, "seal", "replica %u has a checkpoint of %llu that does not hold", r->id,
                      (unsigned long long)a->height);
    check_result(w, r, a->height, &a->digest);
}

void check_applied(world_t *w, replica_t *r, uint64_t height) {
    rdg_hash_t result;
    if (r->evil) return;
    if (r->ledger.epoch == w->epoch_count && w->epoch_count < SIM_EPOCHS_MAX) {
        w->epochs[w->epoch_count].members = r->ledger.members;
        w->epochs[w->epoch_count++].first_height = r->ledger.first_height;
    }
    check_digest_at(w, r, height, &r->ledger.blocks[height].digest);
    ledger_executed_digest(&r->ledger, height, &result);
    check_result(w, r, height, &result);
}

/* --- what is signed --------------------------------------------------------------------------------------- */

static uint64_t hash_of(const rdg_statement_t *s, uint64_t height) {
    return dice_mix(s->view ^ dice_mix(height ^ dice_mix((uint64_t)s->phase ^ s->epoch << 8)));
}

/* A view change and a new view are one of a kind for their view, whatever height they name. */
static uint64_t height_of(const rdg_statement_t *s) {
    return s->phase == RDG_PHASE_VIEW_CHANGE || s->phase == RDG_PHASE_NEW_VIEW ? 0 : s->height;
}

/* The first statement of its phase, epoch, view and height stays in the table; false if s contradicts it. */
bool check_said(signed_statement_t *table, size_t *count, const rdg_statement_t *s) {
    uint64_t height = height_of(s), i = hash_of(s, height);
    for (;; ++i) {
        signed_statement_t *e = &table[i % SIGNED_MAX];
        if (!e->used) {
            RDG_ASSERT(*count < SIGNED_MAX - 1);
            *e = (signed_statement_t){true, *s};
            ++*count;
            return true;
        }
        if (e->statement.phase == s->phase && e->statement.epoch == s->epoch &&
            e->statement.view == s->view && height_of(&e->statement) == height)
            return rdg_hash_equal(&e->statement.digest, &s->digest);
    }
}

static void check_once(world_t *w, replica_t *r, const wire_t *m) {
    const rdg_statement_t *s = &m->statement;
    bool is_view = m->kind == RDG_PHASE_VIEW_CHANGE || m->kind == RDG_PHASE_NEW_VIEW;
    if (r->wiped && is_view) return; /* docs/consensus.md: these it forgets, and counts as faulty then */
    size_t before = r->said_count;
    if (!check_said(r->said, &r->said_count, s))
        world_violate(w, "once", "replica %u signed two statements of phase %d, view %llu, height %llu",
                      r->id, s->phase, (unsigned long long)s->view, (unsigned long long)s->height);
    if (r->said_count == before) return; /* said again */
    if (m->kind <= RDG_PHASE_COMMIT && s->view < r->promised && !r->wiped)
        world_violate(w, "promise", "replica %u signs in view %llu after its change to %llu", r->id,
                      (unsigned long long)s->view, (unsigned long long)r->promised);
    if (m->kind == RDG_PHASE_VIEW_CHANGE && s->view > r->promised) r->promised = s->view;
    if (m->kind == RDG_PHASE_COMMIT) check_voted(w, s, r->validator);
}

void check_voted(world_t *w, const rdg_statement_t *s, uint32_t validator) {
    uint64_t i = dice_mix(s->view ^ dice_mix(s->height)) ^ rdg_load_be64(s->digest.b);
    if (s->phase != w->plan.protocol->seal || s->height >= SIM_HEIGHTS || s->epoch >= w->epoch_count) return;
    for (;; ++i) {
        sealing_t *e = &w->sealings[i % SEALINGS_MAX];
        bool is_new = e->signers == 0;
        if (is_new && w->sealing_count > SEALINGS_MAX / 2) return;
        if (is_new)
            *e = (sealing_t){.height = s->height, .view = s->view, .epoch = s->epoch, .digest = s->digest},
            ++w->sealing_count;
        if (e->height != s->height || e->view != s->view || e->epoch != s->epoch ||
            !rdg_hash_equal(&e->digest, &s->digest))
            continue;
        e->signers |= 1u << validator;
        if ((uint32_t)__builtin_popcount(e->signers) <
            w->plan.protocol->quorum(set_count(w->epochs[s->epoch].members)))
            return;
        break;
    }
    if (w->certified[s->height] && !rdg_hash_equal(&w->certified_digest[s->height], &s->digest))
        world_violate(w, "certified", "two blocks of height %llu have a quorum of votes",
                      (unsigned long long)s->height);
    w->certified[s->height] = true;
    w->certified_digest[s->height] = s->digest;
}

/* Evidence is two messages of one kind. */
static bool accusable(const world_t *w, uint32_t validator, rdg_bytes_t evidence) {
    uint32_t kind = wire_kind(evidence);
    bool of_views = kind == RDG_PHASE_VIEW_CHANGE || kind == RDG_PHASE_NEW_VIEW;
    if (w->plan.evil >> validator & 1) return true;
    for (uint32_t i = 0; i < w->count; ++i)
        if (w->replicas[i].validator == validator && w->replicas[i].wiped && of_views)
            return true; /* as in check_once */
    return false;
}

void check_evidence(world_t *w, const replica_t *r, const rdg_consensus_action_t *a) {
    if (a->to < set_count(r->members) && !accusable(w, set_member(r->members, a->to), a->bytes))
        world_violate(w, "evidence", "replica %u accuses %u, which is honest", r->id, a->to);
}

/* Before a PBFT message of a correct replica leaves. */
void check_send(world_t *w, replica_t *r, rdg_bytes_t bytes) {
    wire_t m;
    if (!wire_read(bytes, &m)) {
        world_violate(w, "validity", "replica %u sends what cannot be read", r->id);
        return;
    }
    if (m.kind == WIRE_STATUS) {
        if (!keys_certificate_holds(w, m.certificate, m.statement.phase, m.statement.height,
                                    &m.statement.digest))
            world_violate(w, "seal", "replica %u sends a certificate that does not hold", r->id);
        return;
    }
    uint64_t *wished = &w->epochs[r->epoch].wished;
    if (m.index != set_index(r->members, r->validator)) {
        bool hands_on = m.kind == RDG_PHASE_NEW_VIEW || m.kind == RDG_PHASE_PRE_PREPARE;
        if (!hands_on) world_violate(w, "once", "replica %u speaks in the name of %u", r->id, m.index);
        return;
    }
    if (m.kind == RDG_PHASE_SUSPECT && m.statement.view > *wished) *wished = m.statement.view;
    /* With rotation nobody need wish for the next view. */
    if (m.kind == RDG_PHASE_VIEW_CHANGE && m.statement.view == *wished + 1 && w->plan.rotate_every > 0)
        ++*wished;
    if (m.kind == RDG_PHASE_VIEW_CHANGE && m.statement.view > *wished)
        world_violate(w, "dragged",
                      "replica %u changes to view %llu, correct replicas wished for %llu at most", r->id,
                      (unsigned long long)m.statement.view, (unsigned long long)*wished);
    bool handed_over = m.kind == RDG_PHASE_PRE_PREPARE && m.statement.view < r->promised;
    bool binds = m.kind != RDG_PHASE_CHECKPOINT && m.kind != RDG_PHASE_SUSPECT && !handed_over;
    if (binds && m.statement.height > r->ledger.height && !ledger_has_record(&r->ledger, bytes))
        world_violate(w, "durable",
                      "replica %u sends a message of phase %u, height %llu that is not on its disk", r->id,
                      m.kind, (unsigned long long)m.statement.height);
    if (m.kind == RDG_PHASE_CHECKPOINT) check_result_durable(w, r, m.statement.height);
    if (m.kind != RDG_PHASE_SUSPECT) check_once(w, r, &m);
}

void check_result_durable(world_t *w, const replica_t *r, uint64_t height) {
    if (height == r->ledger.height && r->disk.synced < r->block_end)
        world_violate(w, "durable",
                      "replica %u signs the result of height %llu, whose block is not on its disk", r->id,
                      (unsigned long long)height);
}

/* --- after each step, and at the end ---------------------------------------------------------------------- */

void check_step(world_t *w, replica_t *r) {
    rdg_consensus_status_t s;
    if (r->evil || !r->up) return;
    rdg_consensus_status(r->core, &s);
    if (s.voting) r->lost = false;
    bool waits = w->acked_count < w->tx_count;
    if (!waits) w->decided_ms = w->now_ms;
    if (w->plan.stall_ms > 0 && !w->healed && w->now_ms - w->decided_ms > w->plan.stall_ms)
        world_violate(w, "stall", "nothing was decided for %llu ms", (unsigned long long)w->plan.stall_ms);
    if (s.executed_height > s.committed_height ||
        s.committed_height - s.executed_height > RDG_CONSENSUS_WINDOW)
        world_violate(w, "bounds", "replica %u has decided %llu and executed %llu", r->id,
                      (unsigned long long)s.committed_height, (unsigned long long)s.executed_height);
    if (s.epoch == r->ledger.epoch && r->ledger.height > s.committed_height + 64)
        world_violate(w, "order", "the core of replica %u does not know of height %llu", r->id,
                      (unsigned long long)r->ledger.height);
}

void check_end(world_t *w) {
    for (uint32_t i = 0; i < w->count; ++i) {
        const replica_t *r = &w->replicas[i];
        if (!is_needed(w, r)) continue;
        for (uint32_t t = 0; t < w->tx_count; ++t)
            if (w->txs[t].acked && r->ledger.tx_height[t] != w->txs[t].acked_height)
                world_violate(w, "lost",
                              "transaction %u was acknowledged in block %llu; replica %u has it in %u", t,
                              (unsigned long long)w->txs[t].acked_height, r->id, r->ledger.tx_height[t]);
        for (uint64_t h = 1; h <= r->ledger.height; ++h)
            if (!rdg_hash_equal(&r->ledger.blocks[h].digest, &w->agreed[h]))
                world_violate(w, "agreement", "replica %u ends with another block at height %llu", r->id,
                              (unsigned long long)h);
    }
}
