#include "evil.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include <string.h>

/* Lies about views: what was prepared is denied or relabelled, views are opened on sets that prove nothing. */

static const uint8_t empty_list[] = {0xc0};

static bool lies_by(const world_t *w, uint32_t lie) {
    return w->plan.lies & lie;
}

/* --- view changes ----------------------------------------------------------------------------------------- */

static void relabel(world_t *w, rdg_certificate_t *c, uint64_t view) {
    switch (dice_below(&w->dice, 5)) {
    case 0: c->statement.view = view - 1; break;
    case 1: ++c->statement.view; break;
    case 2: c->statement.digest.b[0] ^= 1; break;
    case 3:
        for (uint32_t i = 1; i < c->count; ++i) c->votes[i] = c->votes[0]; /* one signer, often */
        break;
    default: c->count -= c->count > 0; break;
    }
}

static void relabel_all(world_t *w, const wire_t *m, rdg_buf_t *out) {
    rdg_rlp_t outer, list;
    rdg_certificate_t *c = rdg_alloc(sizeof *c);
    rdg_rlp_init(&outer, m->proof);
    size_t begin = rdg_rlp_list_begin(out);
    if (c && rdg_rlp_list(&outer, &list) == RDG_OK) {
        while (rdg_rlp_more(&list)) {
            if (rdg_certificate_decode(rdg_rlp_raw(&list), c) != RDG_OK) break;
            relabel(w, c, m->statement.view);
            (void)rdg_certificate_encode(c, out);
        }
    }
    rdg_rlp_list_end(out, begin);
    rdg_free(c);
}

/* The last view before `view` that this replica led, if there is one. */
static bool own_view_before(const world_t *w, const replica_t *r, uint64_t view, uint64_t *out) {
    for (uint64_t back = 1; back <= w->validators && back <= view; ++back)
        if ((view - back) % w->validators == r->validator) return *out = view - back, true;
    return false;
}

/* Another block at that height, proposed by this replica in a view that it led; the next leader gets its bytes. */
static bool prepare_rival(world_t *w, replica_t *r, const wire_t *m, uint64_t view, rdg_hash_t *digest) {
    wire_t p;
    rdg_buf_t block;
    blob_t *b = NULL;
    for (int i = 0; i < 16; ++i) {
        b = evil_recall(w, 1);
        if (b && wire_read(blob_view(b), &p) && p.statement.height == m->statement.height) break;
        b = NULL;
    }
    if (!b || p.proposal.len < BLOCK_HEAD) return false;
    rdg_buf_init(&block, RDG_CONSENSUS_PROPOSAL_MAX);
    evil_other_block(p.proposal, w->plan.seed ^ view << 8 ^ m->statement.height, &block, digest);
    p.proposal = rdg_buf_view(&block);
    p.statement = (rdg_statement_t){.epoch = m->statement.epoch, .view = view, .height = m->statement.height};
    p.statement.digest = *digest;
    evil_sign_and_emit(w, r, UINT32_MAX, &p);
    rdg_buf_fini(&block);
    return true;
}

/* A prepared certificate for a block that nobody prepared: its own vote, as often as a quorum needs, under its own
 * index or under those of others. */
static void invent(world_t *w, replica_t *r, const wire_t *m, rdg_buf_t *out) {
    rdg_certificate_t *c = rdg_calloc(1, sizeof *c);
    size_t begin = rdg_rlp_list_begin(out);
    uint64_t view;
    if (c && own_view_before(w, r, m->statement.view, &view) &&
        prepare_rival(w, r, m, view, &c->statement.digest)) {
        c->statement.phase = RDG_PHASE_PREPARE;
        c->statement.epoch = m->statement.epoch;
        c->statement.view = view;
        c->statement.height = m->statement.height;
        c->count = w->plan.protocol->quorum(w->validators);
        bool ascending = dice_percent(&w->dice, 50);
        for (uint32_t i = 0; i < c->count; ++i) {
            keys_sign(w, r->validator, &c->statement, &c->votes[i].signature);
            c->votes[i].index = ascending ? i : r->validator;
        }
        (void)rdg_certificate_encode(c, out);
    }
    rdg_rlp_list_end(out, begin);
    rdg_free(c);
}

/* The certificate of an early view in the dress of a later one: all its signatures are true. */
static bool redate(world_t *w, const wire_t *m, rdg_buf_t *out) {
    rdg_certificate_t *c = rdg_alloc(sizeof *c);
    bool found = false;
    size_t begin = rdg_rlp_list_begin(out);
    for (size_t i = 0; c && i < HEARD_EACH && i < w->heard_count[2] && !found; ++i) {
        wire_t heard;
        rdg_rlp_t outer, list;
        if (!wire_read(blob_view(w->heard[2][i]), &heard) || heard.proof.len < 2) continue;
        rdg_rlp_init(&outer, heard.proof);
        if (rdg_rlp_list(&outer, &list) != RDG_OK || rdg_certificate_decode(rdg_rlp_raw(&list), c) != RDG_OK)
            continue;
        if (c->statement.height < m->statement.height || m->statement.view == 0) continue;
        c->statement.view = m->statement.view - 1;
        (void)rdg_certificate_encode(c, out);
        found = true;
    }
    rdg_rlp_list_end(out, begin);
    rdg_free(c);
    return found;
}

bool evil_change(world_t *w, replica_t *r, uint32_t to, wire_t *m) {
    rdg_buf_t list;
    if (m->index != r->validator || !lies_by(w, LIE_DENY | LIE_RELABEL) || dice_percent(&w->dice, 30))
        return false;
    rdg_buf_init(&list, 1u << 20);
    bool deny = lies_by(w, LIE_DENY) && (!lies_by(w, LIE_RELABEL) || dice_percent(&w->dice, 50));
    if (deny)
        rdg_buf_append(&list, empty_list, 1);
    else if (dice_percent(&w->dice, 30))
        relabel_all(w, m, &list);
    else if (dice_percent(&w->dice, 70) || !redate(w, m, &list))
        rdg_buf_clear(&list), invent(w, r, m, &list);
    m->proof = rdg_buf_view(&list);
    rdg_sm3(list.data, list.len, &m->statement.digest);
    evil_sign_and_emit(w, r, to, m);
    rdg_buf_fini(&list);
    return true;
}

static uint64_t some_view(world_t *w, const replica_t *r) {
    rdg_consensus_status_t s;
    rdg_consensus_status(r->core, &s);
    switch (dice_below(&w->dice, 5)) {
    case 0: return s.view + 2 + dice_below(&w->dice, 5);
    case 1: return (uint64_t)1 << (20 + dice_below(&w->dice, 28));
    case 2: return UINT64_MAX - dice_below(&w->dice, 3);
    default: return s.view + 1;
    }
}

static rdg_bytes_t own_seal(const replica_t *r) {
    uint64_t height = r->ledger.height;
    return height > 0 ? blob_view(r->ledger.blocks[height].seal) : rdg_bytes(NULL, 0);
}

static wire_t change_to(const replica_t *r, uint64_t view) {
    wire_t m = {.kind = RDG_PHASE_VIEW_CHANGE, .proof = rdg_bytes(empty_list, 1), .certificate = own_seal(r)};
    m.statement = (rdg_statement_t){.view = view, .height = r->ledger.height + 1};
    rdg_sm3(empty_list, 1, &m.statement.digest);
    return m;
}

void evil_views(world_t *w, replica_t *r) {
    wire_t wish = {.kind = RDG_PHASE_SUSPECT};
    wish.statement = (rdg_statement_t){.view = some_view(w, r), .height = r->ledger.height + 1};
    if (dice_percent(&w->dice, 60)) evil_sign_and_emit(w, r, UINT32_MAX, &wish);
    if (dice_percent(&w->dice, 70)) return;
    wire_t m = change_to(r, some_view(w, r));
    if (dice_percent(&w->dice, 20)) m.statement.height += 5; /* without the seal for that */
    evil_sign_and_emit(w, r, (uint32_t)dice_below(&w->dice, w->count), &m);
}

/* --- new views -------------------------------------------------------------------------------------------- */

/* The view of one heard change that this replica leads, or could pretend to lead. */
static bool view_to_open(world_t *w, const replica_t *r, wire_t *seen) {
    for (int i = 0; i < 8; ++i) {
        blob_t *b = evil_recall(w, 2);
        if (!b || !wire_read(blob_view(b), seen)) return false;
        if (seen->statement.view % w->validators == r->validator) return true;
    }
    return dice_percent(&w->dice, 10);
}

typedef struct chosen {
    const blob_t *change[SIM_VALIDATORS_MAX];
    uint64_t highest;
    rdg_bytes_t seal;
} chosen_t;

/* Of each validator one change, not always for that view; those that bring certificates rather not. */
static void choose(world_t *w, uint64_t view, bool strict, chosen_t *out) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < HEARD_EACH && i < w->heard_count[2]; ++i) {
        wire_t m;
        const blob_t *b = w->heard[2][i];
        if (!wire_read(blob_view(b), &m) || m.index >= w->validators) continue;
        if (m.statement.view != view && (strict || dice_percent(&w->dice, 80))) continue;
        if (out->change[m.index] && m.proof.len > 1) continue;
        out->change[m.index] = b;
    }
}

static uint32_t put_changes(world_t *w, replica_t *r, const wire_t *own, chosen_t *c, rdg_buf_t *list) {
    uint32_t count = 0, quorum = w->plan.protocol->quorum(w->validators);
    bool twice = dice_percent(&w->dice, 20), few = dice_percent(&w->dice, 20);
    size_t begin = rdg_rlp_list_begin(list);
    for (uint32_t i = 0; i < w->validators && count < quorum; ++i) {
        wire_t m;
        bool mine = i == r->validator;
        if (!mine && (!c->change[i] || !wire_read(blob_view(c->change[i]), &m))) continue;
        if (!mine && m.proof.len > 1 && dice_percent(&w->dice, 60))
            continue; /* leave out what was prepared */
        if (mine) m = *own;
        if (m.statement.height > c->highest) c->highest = m.statement.height, c->seal = m.certificate;
        m.certificate = rdg_bytes(NULL, 0);
        wire_write(&m, list);
        count += 1;
        while (mine && twice && count < quorum) {
            wire_write(&m, list);
            ++count;
        }
        if (few && count + 1 >= quorum) break;
    }
    rdg_rlp_list_end(list, begin);
    return count;
}

/* A fresh block in the view that it claims to have opened. */
static void propose_in(world_t *w, replica_t *r, uint64_t view, uint64_t height) {
    blob_t *b = evil_recall(w, 1);
    wire_t m;
    rdg_buf_t block;
    rdg_hash_t digest;
    for (int i = 0; b && i < 16 && (!wire_read(blob_view(b), &m) || m.statement.height != height); ++i)
        b = evil_recall(w, 1);
    if (!b || !wire_read(blob_view(b), &m) || m.statement.height != height || m.proposal.len < BLOCK_HEAD)
        return;
    rdg_buf_init(&block, RDG_CONSENSUS_PROPOSAL_MAX);
    evil_other_block(m.proposal, dice_next(&w->dice), &block, &digest);
    m.proposal = rdg_buf_view(&block);
    m.statement.view = view;
    m.statement.digest = digest;
    evil_sign_and_emit(w, r, UINT32_MAX, &m);
    rdg_buf_fini(&block);
}

void evil_new_view(world_t *w, replica_t *r) {
    wire_t seen, m = {.kind = RDG_PHASE_NEW_VIEW};
    chosen_t chosen;
    rdg_buf_t list;
    if (!dice_percent(&w->dice, 50) || !view_to_open(w, r, &seen)) return;
    uint64_t view = seen.statement.view;
    wire_t own = change_to(r, view);
    own.index = r->validator;
    own.statement.phase = RDG_PHASE_VIEW_CHANGE;
    keys_sign(w, r->validator, &own.statement, &own.signature);
    choose(w, view, dice_percent(&w->dice, 70), &chosen);
    rdg_buf_init(&list, 4u << 20);
    if (put_changes(w, r, &own, &chosen, &list) > 0 && chosen.highest > 0) {
        m.statement = (rdg_statement_t){.view = view, .height = chosen.highest};
        m.proof = rdg_buf_view(&list);
        m.certificate = chosen.seal;
        rdg_sm3(list.data, list.len, &m.statement.digest);
        evil_sign_and_emit(w, r, UINT32_MAX, &m);
        propose_in(w, r, view, chosen.highest);
    }
    rdg_buf_fini(&list);
}

/* --- seals ------------------------------------------------------------------------------------------------ */

/* A seal that no quorum signed: of the next height, of another digest, of the same signer often. */
void evil_seals(world_t *w, replica_t *r) {
    rdg_certificate_t *c = rdg_alloc(sizeof *c);
    rdg_bytes_t seal = own_seal(r);
    rdg_buf_t b;
    if (!c || seal.len == 0 || !dice_percent(&w->dice, 30) || rdg_certificate_decode(seal, c) != RDG_OK) {
        rdg_free(c);
        return;
    }
    rdg_buf_init(&b, 1u << 20);
    switch (dice_below(&w->dice, 4)) {
    case 0: c->statement.height += 1 + dice_below(&w->dice, 20); break;
    case 1: c->statement.digest.b[3] ^= 1; break;
    case 2: c->statement.phase = RDG_PHASE_CHECKPOINT, c->statement.view = 0; break;
    default:
        ++c->statement.height;
        memset(c->statement.digest.b, 0xdd, 32);
        c->count = w->plan.protocol->quorum(w->validators);
        bool ascending = dice_percent(&w->dice, 50);
        for (uint32_t i = 0; i < c->count; ++i) {
            keys_sign(w, r->validator, &c->statement, &c->votes[i].signature);
            c->votes[i].index = ascending ? i : r->validator;
        }
    }
    (void)rdg_certificate_encode(c, &b);
    wire_t m = {.kind = WIRE_STATUS, .certificate = rdg_buf_view(&b)};
    evil_emit(w, r, UINT32_MAX, &m);
    rdg_buf_fini(&b);
    rdg_free(c);
}
