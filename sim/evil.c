#include "world.h"
#include "evil.h"
#include "ridge/base/assert.h"
#include "ridge/codec/rlp.h"
#include "wire.h"
#include <string.h>

/* What evil replicas do to PBFT. Each runs the true core, so that it is believed; what leaves it passes through here,
 * and here it adds words of its own. It signs with its own key only. Evil replicas share what they hear. */

static bool lies_by(const world_t *w, uint32_t lie) {
    return w->plan.lies & lie;
}

void evil_emit(world_t *w, replica_t *r, uint32_t to, const wire_t *m) {
    rdg_buf_t b;
    rdg_buf_init(&b, RDG_CONSENSUS_MESSAGE_MAX);
    wire_write(m, &b);
    if (rdg_buf_err(&b) == RDG_OK) {
        blob_t *blob = blob_new(rdg_buf_view(&b));
        if (m->kind == (uint32_t)RDG_PHASE_COMMIT && m->index == r->validator)
            check_voted(w, &m->statement, r->validator);
        for (uint32_t i = 0; i < w->count; ++i)
            if (i != r->id && (to == UINT32_MAX || to == i)) net_send(w, r, i, PACKET_CONSENSUS, blob);
        blob_unref(blob);
    }
    rdg_buf_fini(&b);
}

void evil_sign_and_emit(world_t *w, replica_t *r, uint32_t to, wire_t *m) {
    m->index = r->validator;
    m->statement.phase = (rdg_phase_t)m->kind;
    keys_sign(w, r->validator, &m->statement, &m->signature);
    evil_emit(w, r, to, m);
}

/* --- another block for some ------------------------------------------------------------------------------- */

void evil_other_block(rdg_bytes_t proposal, uint64_t turn, rdg_buf_t *out, rdg_hash_t *digest) {
    rdg_buf_append(out, proposal.data, proposal.len);
    for (size_t i = 0; i < 8; ++i) out->data[48 + i] ^= (uint8_t)(turn >> (8 * i)) | 1; /* the nonce */
    RDG_ASSERT(block_digest(NULL, rdg_buf_view(out), digest) == RDG_OK);
}

static face_t *face_of(world_t *w, const rdg_statement_t *s) {
    for (size_t i = 0; i < FACES_MAX && i < w->face_count; ++i) {
        face_t *f = &w->faces[i];
        if (f->height == s->height && f->view == s->view && rdg_hash_equal(&f->digest, &s->digest)) return f;
    }
    return NULL;
}

static bool sees_the_other(const world_t *w, uint64_t height, uint64_t view, uint32_t to) {
    return dice_mix(w->plan.seed ^ dice_mix(height ^ dice_mix(view ^ dice_mix(to)))) % 2;
}

/* A block that is signed and named rightly and is none: nobody honest may agree to it. */
static bool forge_header(world_t *w, replica_t *r, uint32_t to, wire_t *m) {
    static const size_t fields[] = {7, 8, 40, 44, 72}; /* height, parent, time, root */
    rdg_buf_t block;
    if (m->kind != RDG_PHASE_PRE_PREPARE || m->index != r->validator || m->proposal.len < BLOCK_HEAD)
        return false;
    uint64_t which = dice_mix(w->plan.seed ^ m->statement.height) % 6;
    if (which >= sizeof fields / sizeof fields[0]) return false;
    rdg_buf_init(&block, RDG_CONSENSUS_PROPOSAL_MAX);
    rdg_buf_append(&block, m->proposal.data, m->proposal.len);
    block.data[fields[which]] ^= 0x10;
    m->proposal = rdg_buf_view(&block);
    RDG_ASSERT(block_digest(NULL, m->proposal, &m->statement.digest) == RDG_OK);
    evil_sign_and_emit(w, r, to, m);
    rdg_buf_fini(&block);
    return true;
}

/* True if the message was replaced. */
static bool equivocate(world_t *w, replica_t *r, uint32_t to, wire_t *m) {
    if (m->index != r->validator || m->kind > RDG_PHASE_COMMIT) return false;
    if (!sees_the_other(w, m->statement.height, m->statement.view, to)) return false;
    face_t *f = face_of(w, &m->statement);
    if (m->kind == RDG_PHASE_PRE_PREPARE && m->proposal.len >= BLOCK_HEAD) {
        rdg_buf_t other;
        rdg_hash_t digest;
        rdg_buf_init(&other, RDG_CONSENSUS_PROPOSAL_MAX);
        evil_other_block(m->proposal, m->statement.height * 131 + m->statement.view, &other, &digest);
        if (!f) {
            f = &w->faces[w->face_count++ % FACES_MAX];
            *f = (face_t){m->statement.height, m->statement.view, m->statement.digest, digest};
        }
        m->proposal = rdg_buf_view(&other);
        m->statement.digest = digest;
        evil_sign_and_emit(w, r, to, m);
        rdg_buf_fini(&other);
        return true;
    }
    if (!f) return false;
    m->statement.digest = f->other;
    evil_sign_and_emit(w, r, to, m);
    return true;
}

/* --- small lies about a message -------------------------------------------------------------------------- */

/* Other bytes under the digest of the header. */
static bool other_bytes(world_t *w, replica_t *r, uint32_t to, const wire_t *m) {
    rdg_buf_t bytes;
    wire_t other = *m;
    if (m->kind != RDG_PHASE_PRE_PREPARE || m->proposal.len <= BLOCK_HEAD) return false;
    rdg_buf_init(&bytes, RDG_CONSENSUS_PROPOSAL_MAX);
    rdg_buf_append(&bytes, m->proposal.data, m->proposal.len);
    bytes.data[BLOCK_HEAD + dice_below(&w->dice, m->proposal.len - BLOCK_HEAD)] ^= 1;
    other.proposal = rdg_buf_view(&bytes);
    evil_emit(w, r, to, &other);
    rdg_buf_fini(&bytes);
    return true;
}

static bool mutate(world_t *w, replica_t *r, uint32_t to, wire_t *m) {
    rdg_statement_t *s = &m->statement;
    if (dice_percent(&w->dice, 10) && other_bytes(w, r, to, m)) return true;
    if (m->kind == WIRE_STATUS || m->index != r->validator || !dice_percent(&w->dice, 20)) return false;
    switch (dice_below(&w->dice, 8)) {
    case 0: ++s->view; break;
    case 1: s->view -= s->view > 0; break;
    case 2: ++s->height; break;
    case 3: s->height -= s->height > 1; break;
    case 4: s->digest.b[dice_below(&w->dice, 32)] ^= 1; break;
    case 5:
        if (m->kind == RDG_PHASE_PREPARE || m->kind == RDG_PHASE_COMMIT)
            m->kind = (uint32_t)(2 + dice_below(&w->dice, 3));
        break;
    case 6: s->view = dice_below(&w->dice, s->view + 1); break;
    default: s->height = 1 + dice_below(&w->dice, s->height + 2); break;
    }
    evil_sign_and_emit(w, r, to, m);
    return true;
}

static bool other_epoch(world_t *w, replica_t *r, uint32_t to, wire_t *m) {
    if (m->kind == WIRE_STATUS || m->index != r->validator || !dice_percent(&w->dice, 15)) return false;
    uint64_t chain = w->config.validators.chain_id;
    if (dice_percent(&w->dice, 50))
        ++m->statement.epoch;
    else
        w->config.validators.chain_id = chain + 1; /* signed for another chain */
    if (dice_percent(&w->dice, 50)) m->statement.digest.b[0] ^= 1;
    evil_sign_and_emit(w, r, to, m);
    w->config.validators.chain_id = chain;
    return true;
}

static bool garble(world_t *w, replica_t *r, uint32_t to, rdg_bytes_t bytes) {
    if (bytes.len < 2 || !dice_percent(&w->dice, 15)) return false;
    blob_t *b = blob_new(bytes);
    if (dice_percent(&w->dice, 50))
        b->len = 1 + dice_below(&w->dice, b->len - 1);
    else
        b->data[dice_below(&w->dice, b->len)] ^= (uint8_t)(1u << dice_below(&w->dice, 8));
    net_send(w, r, to, PACKET_CONSENSUS, b);
    blob_unref(b);
    return true;
}

static bool is_silent(world_t *w, const replica_t *r, uint32_t to, const wire_t *m) {
    uint64_t habit = dice_mix(w->plan.seed ^ (uint64_t)r->id << 20 ^ (uint64_t)to << 10 ^ m->kind ^
                              (m->statement.height / 6) << 32);
    return habit % 3 == 0 || dice_percent(&w->dice, 10);
}

void evil_send(world_t *w, replica_t *r, uint32_t to, blob_t *bytes) {
    wire_t m;
    if (wire_read(blob_view(bytes), &m)) {
        if (m.kind == (uint32_t)RDG_PHASE_COMMIT && m.index == r->validator)
            check_voted(w, &m.statement, r->validator);
        if (lies_by(w, LIE_SILENT) && is_silent(w, r, to, &m)) return;
        if (lies_by(w, LIE_HEADER) && forge_header(w, r, to, &m)) return;
        if (lies_by(w, LIE_EQUIVOCATE) && equivocate(w, r, to, &m)) return;
        if (lies_by(w, LIE_MUTATE) && mutate(w, r, to, &m)) return;
        if (lies_by(w, LIE_EPOCH) && other_epoch(w, r, to, &m)) return;
        if (m.kind == RDG_PHASE_VIEW_CHANGE && evil_change(w, r, to, &m)) return;
    }
    if (lies_by(w, LIE_GARBLE) && garble(w, r, to, blob_view(bytes))) return;
    net_send(w, r, to, PACKET_CONSENSUS, bytes);
}

/* --- hearing ---------------------------------------------------------------------------------------------- */

static size_t class_of(const wire_t *m) {
    if (m->kind == RDG_PHASE_PRE_PREPARE) return 1;
    if (m->kind == RDG_PHASE_VIEW_CHANGE) return 2;
    return m->kind == RDG_PHASE_PREPARE || m->kind == RDG_PHASE_COMMIT ? 0 : 3;
}

/* Each digest once, or liars would never stop answering one another. */
static bool is_new(world_t *w, const replica_t *r, const wire_t *m) {
    uint64_t key = dice_mix(rdg_load_be64(m->statement.digest.b) ^
                            dice_mix(m->statement.view ^ (uint64_t)m->kind << 56) ^ (uint64_t)r->id << 40) %
                   (8 * sizeof w->yes);
    bool seen = w->yes[key / 8] >> (key % 8) & 1;
    w->yes[key / 8] |= (uint8_t)(1u << (key % 8));
    return !seen;
}

static void say_yes(world_t *w, replica_t *r, const wire_t *heard) {
    wire_t m = {.kind = RDG_PHASE_PREPARE, .statement = heard->statement};
    if (heard->kind > RDG_PHASE_PREPARE || !is_new(w, r, heard)) return;
    if (dice_percent(&w->dice, heard->kind == RDG_PHASE_PRE_PREPARE ? 90 : 30))
        evil_sign_and_emit(w, r, UINT32_MAX, &m);
    m.kind = RDG_PHASE_COMMIT;
    if (dice_percent(&w->dice, heard->kind == RDG_PHASE_PRE_PREPARE ? 60 : 30))
        evil_sign_and_emit(w, r, UINT32_MAX, &m);
}

void evil_hears(world_t *w, replica_t *r, blob_t *bytes) {
    wire_t m;
    if (w->plan.lies == 0 || !wire_read(blob_view(bytes), &m)) return;
    size_t class = class_of(&m), at = w->heard_count[class]++ % HEARD_EACH;
    blob_unref(w->heard[class][at]);
    w->heard[class][at] = blob_ref(bytes);
    if (lies_by(w, LIE_YES) && m.index != r->validator) say_yes(w, r, &m);
}

blob_t *evil_recall(world_t *w, size_t class) {
    size_t count = w->heard_count[class] < HEARD_EACH ? w->heard_count[class] : HEARD_EACH;
    return count > 0 ? w->heard[class][dice_below(&w->dice, count)] : NULL;
}

static void replay(world_t *w, replica_t *r) {
    blob_t *b = evil_recall(w, dice_below(&w->dice, HEARD_CLASSES));
    if (b) net_send(w, r, (uint32_t)dice_below(&w->dice, w->count), PACKET_CONSENSUS, b);
}

static void vote_for_the_future(world_t *w, replica_t *r) {
    blob_t *b = evil_recall(w, 0);
    wire_t m;
    if (!b || !wire_read(blob_view(b), &m)) return;
    m.statement.height += 1 + dice_below(&w->dice, dice_percent(&w->dice, 70) ? 20 : 100000);
    m.statement.digest.b[1] ^= 1;
    evil_sign_and_emit(w, r, UINT32_MAX, &m);
}

void evil_tick(world_t *w, replica_t *r) {
    if (!r->up) return; /* a start begins anew */
    (void)world_add(w, ITEM_EVIL_TICK, r->id, 20 + dice_below(&w->dice, 400));
    if (lies_by(w, LIE_REPLAY)) replay(w, r);
    if (lies_by(w, LIE_FUTURE) && dice_percent(&w->dice, 30)) vote_for_the_future(w, r);
    if (lies_by(w, LIE_VIEWS)) evil_views(w, r);
    if (lies_by(w, LIE_NEW_VIEW)) evil_new_view(w, r);
    if (lies_by(w, LIE_SEALS)) evil_seals(w, r);
}
