#include "output.h"
#include "pbft.h"
#include "planted.h"
#include "ridge/base/assert.h"
#include "ridge/codec/rlp.h"
#include <string.h>

#define LIST_MAX (4u << 20)

static const uint8_t change_key[] = {'w'}, new_view_key[] = {'n'};

bool pbft_is_view_key(rdg_bytes_t key) {
    return key.len == 1 && (key.data[0] == change_key[0] || key.data[0] == new_view_key[0]);
}

static rdg_bytes_t view_of(const proof_t *proof) {
    return rdg_bytes(proof->data, proof->len);
}

static rdg_err_t record(const uint8_t *key, rdg_bytes_t bytes, rdg_consensus_output_t *out) {
    return output_add(
        out, &(rdg_consensus_action_t){.kind = RDG_ACTION_WRITE, .key = rdg_bytes(key, 1), .bytes = bytes});
}

static void leave_view(pbft_t *p, uint64_t view) {
    p->view = view;
    p->suspecting = p->rotating = false;
    p->watch_ms = 0;
    p->wanted = 0;
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i) pbft_slot_leave_view(p, &p->slots[i]);
}

static rdg_err_t keep_change(pbft_t *p, const message_t *m, rdg_bytes_t bytes) {
    change_t *c = &p->changes[m->index];
    RDG_TRY(pbft_keep_proof(&c->message, bytes));
    c->vote = (vote_t){
        .present = true, .view = m->statement.view, .digest = m->statement.digest, .signature = m->signature};
    return RDG_OK;
}

/* --- opening a view ------------------------------------------------------------------------------------- */

static rdg_err_t enter_view(pbft_t *p, const message_t *m, rdg_bytes_t bytes, rdg_consensus_output_t *out) {
    choice_t choice;
    RDG_TRY(proof_choose(m, &choice));
    RDG_TRY(pbft_keep_proof(&p->new_view, bytes));
    RDG_TRY(record(new_view_key, bytes, out));
    const char *why = p->changing && p->view == m->statement.view ? p->why : "follow";
    leave_view(p, m->statement.view);
    p->changing = false;
    if (PLANTED("new-view-unbound")) memset(choice.heights, 0, sizeof choice.heights);
    p->choice = choice;
    return output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_VIEW,
                                                     .to = m->index,
                                                     .height = p->committed + 1,
                                                     .view = p->view,
                                                     .bytes = rdg_bytes_str(why ? why : "restart")});
}

/* The message of the change without its seal, as a new view carries it. */
static rdg_err_t put_change(const change_t *c, message_t *m, rdg_buf_t *list) {
    RDG_TRY(message_decode(view_of(&c->message), m));
    message_t bare = *m;
    bare.certificate = rdg_bytes(NULL, 0);
    return message_encode(&bare, list);
}

static bool has_value(pbft_t *p, uint64_t height, const rdg_hash_t *digest) {
    const slot_t *s = pbft_slot(p, height);
    if (height <= p->committed) return true;
    if (!s) return false;
    return pbft_is_kept(s, digest) || (s->offered.len > 0 && rdg_hash_equal(&s->offered_digest, digest));
}

/* Only what it can propose is worth opening the view for. */
static bool has_values(pbft_t *p, const choice_t *choice) {
    for (uint64_t h = choice->first; h < choice->first + RDG_CONSENSUS_WINDOW; ++h) {
        const rdg_hash_t *digest = choice_at(choice, h);
        if (digest && !has_value(p, h, digest)) return false;
    }
    return true;
}

/* Of this view, and with `in_hand` only if the blocks of all its certificates are there: a liar may show one and
 * withhold its block, and any quorum of view changes will do. What was decided is in each of them, with a correct
 * replica's certificate and its block. */
static bool takes_part(pbft_t *p, const change_t *c, bool in_hand) {
    rdg_certificate_t cert;
    message_t m;
    rdg_rlp_t list;
    if (!c->vote.present || c->vote.view != p->view) return false;
    if (!in_hand) return true;
    if (message_decode(view_of(&c->message), &m) != RDG_OK || proof_open(&m, &list) != RDG_OK) return false;
    while (proof_next_prepared(&list, &cert) == RDG_OK)
        if (!has_value(p, cert.statement.height, &cert.statement.digest)) return false;
    return true;
}

static uint32_t weight_of_changes(pbft_t *p, bool in_hand) {
    uint32_t weight = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (takes_part(p, &p->changes[i], in_hand)) weight += pbft_weight(p, i);
    return weight;
}

static rdg_err_t gather(pbft_t *p, bool in_hand, message_t *new_view, rdg_buf_t *list) {
    size_t begin = rdg_rlp_list_begin(list);
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        const change_t *c = &p->changes[i];
        message_t m;
        if (!takes_part(p, c, in_hand)) continue;
        RDG_TRY(put_change(c, &m, list));
        if (m.statement.height <= new_view->statement.height) continue;
        new_view->statement.height = m.statement.height;
        new_view->certificate = m.certificate;
    }
    RDG_TRY(rdg_rlp_list_end(list, begin));
    new_view->proof = rdg_buf_view(list);
    rdg_sm3(list->data, list->len, &new_view->statement.digest);
    return RDG_OK;
}

/* True in opened if it could be. */
static rdg_err_t open_with(pbft_t *p, bool in_hand, bool *opened, rdg_consensus_output_t *out) {
    message_t m = {.statement = {.phase = RDG_PHASE_NEW_VIEW, .view = p->view}};
    choice_t choice;
    rdg_buf_t list, bytes;
    rdg_buf_init(&list, LIST_MAX);
    rdg_buf_init(&bytes, LIST_MAX + 65536);
    rdg_err_t err = gather(p, in_hand, &m, &list);
    if (err == RDG_OK) err = proof_choose(&m, &choice);
    *opened = err == RDG_OK && has_values(p, &choice);
    if (*opened) err = pbft_sign_message(p, &m, &bytes);
    if (*opened && err == RDG_OK) err = enter_view(p, &m, rdg_buf_view(&bytes), out);
    if (*opened && err == RDG_OK)
        err = output_send_recorded(out, rdg_bytes(new_view_key, 1), rdg_buf_view(&bytes), m.statement.height);
    rdg_buf_fini(&list);
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t try_open(pbft_t *p, rdg_consensus_output_t *out) {
    bool opened = false;
    if (!p->changing || pbft_leader(p, p->view) != p->config.self || !pbft_may_vote(p)) return RDG_OK;
    if (weight_of_changes(p, false) < p->quorum) return RDG_OK;
    RDG_TRY(open_with(p, false, &opened, out));
    if (!opened && weight_of_changes(p, true) >= p->quorum) RDG_TRY(open_with(p, true, &opened, out));
    return opened ? pbft_advance(p, out) : RDG_OK;
}

/* --- leaving a view ------------------------------------------------------------------------------------- */

static rdg_err_t put_prepared(pbft_t *p, rdg_buf_t *list) {
    size_t begin = rdg_rlp_list_begin(list);
    for (uint64_t h = p->committed + 1; h <= p->committed + RDG_CONSENSUS_WINDOW; ++h) {
        const slot_t *s = pbft_slot(p, h);
        if (s->prepared.len > 0 && !PLANTED("prepared-withheld"))
            RDG_TRY(rdg_rlp_put_raw(list, view_of(&s->prepared)));
    }
    return rdg_rlp_list_end(list, begin);
}

/* The highest view, and one more, in which changes to this view say that it was prepared; 0: none does. */
static uint64_t shown_view(const pbft_t *p, uint64_t height, const rdg_hash_t *digest) {
    uint64_t best = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        const change_t *c = &p->changes[i];
        message_t m;
        if (!c->vote.present || c->vote.view != p->view || message_decode(view_of(&c->message), &m) != RDG_OK)
            continue;
        uint64_t view = proof_prepared_view(&m, height, digest);
        if (view > best) best = view;
    }
    return best;
}

/* The values go to the leader of the new view only, and never as part of the promise: they are large. */
static rdg_err_t hand_over(pbft_t *p, rdg_consensus_output_t *out) {
    uint32_t leader = pbft_leader(p, p->view);
    if (leader == p->config.self) return RDG_OK;
    for (uint64_t h = p->committed + 1; h <= p->committed + RDG_CONSENSUS_WINDOW; ++h) {
        const slot_t *s = pbft_slot(p, h);
        if (s->kept.len > 0 && shown_view(p, h, &s->kept_digest) > 0)
            RDG_TRY(pbft_send(leader, view_of(&s->kept), h, out));
    }
    return RDG_OK;
}

static rdg_err_t sign_change(pbft_t *p, rdg_buf_t *list, rdg_buf_t *bytes, rdg_consensus_output_t *out) {
    message_t m = {.statement = {.phase = RDG_PHASE_VIEW_CHANGE, .view = p->view}};
    RDG_TRY(put_prepared(p, list));
    m.statement.height = p->committed + 1;
    m.proof = rdg_buf_view(list);
    if (!pbft_at_first(p)) m.certificate = view_of(&p->seal);
    rdg_sm3(list->data, list->len, &m.statement.digest);
    RDG_TRY(pbft_sign_message(p, &m, bytes));
    RDG_TRY(record(change_key, rdg_buf_view(bytes), out));
    RDG_TRY(output_send_recorded(out, rdg_bytes(change_key, 1), rdg_buf_view(bytes), m.statement.height));
    return keep_change(p, &m, rdg_buf_view(bytes));
}

static rdg_err_t change_to(pbft_t *p, uint64_t view, const char *why, rdg_consensus_output_t *out) {
    rdg_buf_t list, bytes;
    RDG_ASSERT(view > p->view);
    p->why = why;
    leave_view(p, view);
    p->changing = true;
    p->changed_ms = p->now_ms;
    rdg_buf_init(&list, LIST_MAX);
    rdg_buf_init(&bytes, LIST_MAX + 65536);
    rdg_err_t err = sign_change(p, &list, &bytes, out);
    rdg_buf_fini(&list);
    rdg_buf_fini(&bytes);
    return err == RDG_OK ? hand_over(p, out) : err;
}

/* The highest view that more than f validators want at least: one of them is honest. Its own wish counts for
 * the next view. */
static uint64_t wanted_view(const pbft_t *p) {
    uint32_t count = p->config.validators.count, faults = rdg_validators_faults(pbft_total(p));
    uint64_t wants[RDG_VALIDATORS_MAX], best = 0;
    for (uint32_t i = 0; i < count; ++i) {
        const change_t *c = &p->changes[i];
        uint64_t changed = c->vote.present ? c->vote.view : 0;
        wants[i] = changed > c->suspected ? changed : c->suspected;
        if (i == p->config.self) wants[i] = p->suspecting ? p->view + 1 : 0;
    }
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t as_far = 0;
        for (uint32_t k = 0; k < count; ++k) as_far += wants[k] >= wants[i] ? pbft_weight(p, k) : 0;
        if ((as_far > faults || PLANTED("one-moves-all")) && wants[i] > best) best = wants[i];
    }
    return best;
}

rdg_err_t pbft_consider_view(pbft_t *p, rdg_consensus_output_t *out) {
    uint64_t wanted = wanted_view(p);
    bool provable = pbft_at_first(p) || p->seal.len > 0;
    if (wanted > p->view && pbft_may_vote(p) && provable) {
        ++p->attempts;
        RDG_TRY(change_to(p, wanted, p->suspecting ? "timeout" : "others", out));
    }
    return try_open(p, out);
}

rdg_err_t pbft_rotate(pbft_t *p, rdg_consensus_output_t *out) {
    bool due = p->rotating && !p->changing && pbft_may_vote(p) && p->view < VIEW_MAX;
    p->rotating = false;
    if (!due) return RDG_OK;
    /* At once to where the others want: one step records one view change, and sends only that. */
    uint64_t wanted = wanted_view(p);
    RDG_TRY(change_to(p, wanted > p->view ? wanted : p->view + 1, "rotation", out));
    return try_open(p, out);
}

/* --- what arrives --------------------------------------------------------------------------------------- */

rdg_err_t pbft_answer_view(pbft_t *p, uint32_t to, uint64_t view, rdg_consensus_output_t *out) {
    message_t m;
    if (p->new_view.len == 0 || !pbft_may_answer(p, to)) return RDG_OK;
    RDG_TRY(message_decode(view_of(&p->new_view), &m));
    return m.statement.view < view ? RDG_OK : pbft_send(to, view_of(&p->new_view), m.statement.height, out);
}

/* True if this validator has moved on from what m wants. */
static bool is_past(const pbft_t *p, const message_t *m) {
    return m->statement.view < p->view || (m->statement.view == p->view && !p->changing);
}

rdg_err_t pbft_on_suspect(pbft_t *p, const message_t *m, rdg_consensus_output_t *out) {
    if (m->statement.view > VIEW_MAX) return rdg_fail(RDG_E_PROTOCOL, "a view out of all bounds");
    if (m->statement.height <= p->committed)
        return pbft_answer_laggard(p, m->index, m->statement.height, out);
    if (is_past(p, m)) return pbft_answer_view(p, m->index, m->statement.view, out);
    p->changes[m->index].suspected = m->statement.view;
    return pbft_consider_view(p, out);
}

/* Before anybody follows into a later view: with its votes, what this replica has the bytes of is decided. */
static rdg_err_t take_seal_of(pbft_t *p, const message_t *m, rdg_consensus_output_t *out) {
    rdg_certificate_t c;
    if (m->certificate.len == 0 || m->statement.height <= p->committed + 1) return RDG_OK;
    RDG_TRY(rdg_certificate_decode(m->certificate, &c));
    return pbft_take_seal(p, &c, out);
}

rdg_err_t pbft_on_change(pbft_t *p, const message_t *m, const rdg_consensus_event_t *e,
                         rdg_consensus_output_t *out) {
    change_t *c = &p->changes[m->index];
    if (c->vote.present && c->vote.view == m->statement.view &&
        !rdg_hash_equal(&c->vote.digest, &m->statement.digest))
        RDG_TRY(pbft_accuse(&c->vote, m, out));
    if (!c->vote.present || c->vote.view < m->statement.view) RDG_TRY(keep_change(p, m, e->bytes));
    RDG_TRY(take_seal_of(p, m, out));
    RDG_TRY(pbft_behind(p, e->from, m->statement.height - 1, out));
    if (is_past(p, m)) return pbft_answer_view(p, m->index, m->statement.view, out);
    return pbft_consider_view(p, out);
}

rdg_err_t pbft_on_new_view(pbft_t *p, const message_t *m, const rdg_consensus_event_t *e,
                           rdg_consensus_output_t *out) {
    if (is_past(p, m)) return RDG_OK;
    RDG_TRY(take_seal_of(p, m, out));
    if (is_past(p, m)) return RDG_OK; /* that ended a turn */
    RDG_TRY(enter_view(p, m, e->bytes, out));
    RDG_TRY(pbft_behind(p, e->from, m->statement.height - 1, out));
    return pbft_advance(p, out);
}

rdg_err_t pbft_offer(pbft_t *p, const message_t *m, rdg_bytes_t bytes, rdg_consensus_output_t *out) {
    slot_t *s = pbft_slot(p, m->statement.height);
    if (!p->changing || pbft_leader(p, p->view) != p->config.self)
        return pbft_answer_view(p, m->index, m->statement.view, out);
    /* Of two values at one height that of the later view is the one to propose again. */
    uint64_t shown = s ? shown_view(p, s->height, &m->statement.digest) : 0;
    if (shown == 0 || (s->offered.len > 0 && shown_view(p, s->height, &s->offered_digest) >= shown))
        return RDG_OK;
    RDG_TRY(pbft_keep_proof(&s->offered, bytes));
    s->offered_digest = m->statement.digest;
    return try_open(p, out);
}

/* --- again, and after a restart ------------------------------------------------------------------------- */

rdg_err_t pbft_resend_change(pbft_t *p, uint32_t to, rdg_consensus_output_t *out) {
    const change_t *own = &p->changes[p->config.self];
    if (to != RDG_CONSENSUS_ALL && p->new_view.len > 0)
        RDG_TRY(pbft_send(to, view_of(&p->new_view), p->committed, out));
    if (!p->changing || !own->vote.present) return RDG_OK;
    if (to == RDG_CONSENSUS_ALL && p->changed_ms == p->now_ms) return RDG_OK;
    if (to == RDG_CONSENSUS_ALL) p->changed_ms = p->now_ms;
    RDG_TRY(pbft_send(to, view_of(&own->message), p->committed + 1, out));
    bool for_leader = to == RDG_CONSENSUS_ALL || to == pbft_leader(p, p->view);
    return for_leader ? hand_over(p, out) : RDG_OK;
}

rdg_err_t pbft_restore_view(pbft_t *p, const rdg_consensus_record_t *r) {
    message_t m;
    bool is_change = r->key.data[0] == change_key[0];
    rdg_err_t err = message_decode(r->value, &m);
    if (err == RDG_OK && m.kind == RDG_PHASE_VIEW_CHANGE && is_change && m.index == p->config.self)
        return keep_change(p, &m, r->value);
    if (err != RDG_OK || m.kind != RDG_PHASE_NEW_VIEW || is_change)
        return rdg_fail(RDG_E_CORRUPT, "the consensus record of the view cannot be read: recover this node");
    RDG_TRY(proof_choose(&m, &p->choice));
    p->view = m.statement.view;
    return pbft_keep_proof(&p->new_view, r->value);
}

void pbft_resume_view(pbft_t *p) {
    const change_t *own = &p->changes[pbft_is_member(p) ? p->config.self : 0];
    if (pbft_is_member(p) && own->vote.present && own->vote.view > p->view) {
        p->view = own->vote.view;
        p->changing = true;
    }
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i) {
        slot_t *s = &p->slots[i];
        if (s->state == SLOT_EMPTY) continue;
        s->valid = true; /* it was, before it went on record */
        if (p->changing || s->view != p->view) pbft_slot_leave_view(p, s);
    }
}
