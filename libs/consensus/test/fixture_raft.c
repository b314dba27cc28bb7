/* What an honest replica of Raft may send. */
#include "fixture.h"
#include "ridge/codec/rlp.h"

#define VOTED ((rdg_phase_t)100) /* of what was sent: no statement, since votes are not signed */

typedef struct state {
    uint64_t term, voted, log_term; /* voted: index + 1 */
} state_t;

static const sim_record_t *find(const sim_node_t *n, char kind, uint64_t height) {
    for (size_t i = 0; i < n->record_count; ++i) {
        const sim_blob_t *key = &n->records[i].key;
        if (key->data[0] != (uint8_t)kind) continue;
        if (kind == 'm' || (key->len == 9 && rdg_load_be64(key->data + 1) == height)) return &n->records[i];
    }
    return NULL;
}

static state_t stable_state(const sim_node_t *n) {
    const sim_record_t *r = find(n, 'm', 0);
    state_t s = {0};
    rdg_rlp_t outer, list;
    if (!r) return s;
    rdg_rlp_init(&outer, rdg_bytes(r->value.data, r->value.len));
    CHECK_OK(rdg_rlp_list(&outer, &list));
    (void)rdg_rlp_u64(&list);
    s.term = rdg_rlp_u64(&list), s.voted = rdg_rlp_u64(&list), s.log_term = rdg_rlp_u64(&list);
    return s;
}

static bool has_entries(const sim_node_t *n, uint64_t from, uint64_t to) {
    for (uint64_t h = from; h <= to; ++h)
        if (h > n->executed && !find(n, 'e', h)) return false;
    return true;
}

static void once(sim_t *s, uint32_t i, rdg_phase_t phase, uint64_t view, uint64_t height,
                 const rdg_hash_t *digest) {
    sim_node_t *n = &s->nodes[i];
    for (size_t k = 0; k < n->sent_count; ++k) {
        const sim_signed_t *o = &n->sent[k];
        if (o->phase != phase || o->view != view || o->height != height) continue;
        if (!rdg_hash_equal(&o->digest, digest))
            sim_violate(s, i, "once: two votes in a term, or two results");
        return;
    }
    CHECK(n->sent_count < SIM_SIGNED_MAX);
    n->sent[n->sent_count++] = (sim_signed_t){phase, 0, view, height, *digest};
}

static void one_of(sim_t *s, uint32_t i, uint64_t term, uint64_t height, uint32_t leader,
                   const rdg_hash_t *digest) {
    for (size_t k = 0; k < s->term_count; ++k) {
        const sim_term_t *t = &s->terms[k];
        if (t->term != term || t->height != height) continue;
        if (height == 0 && t->leader != leader) sim_violate(s, i, "leader: two in one term");
        if (height > 0 && !rdg_hash_equal(&t->digest, digest))
            sim_violate(s, i, "log: two blocks of one height and term");
        return;
    }
    CHECK(s->term_count < SIM_TERMS_MAX);
    s->terms[s->term_count] = (sim_term_t){.term = term, .height = height, .leader = leader};
    if (digest) s->terms[s->term_count].digest = *digest;
    ++s->term_count;
}

static void check_vote(sim_t *s, uint32_t i, uint64_t term, uint32_t candidate) {
    const rdg_hash_t digest = {{(uint8_t)candidate}};
    state_t state = stable_state(&s->nodes[i]);
    if (state.term != term || state.voted != candidate + 1ull)
        sim_violate(s, i, "durable: voted without a record");
    once(s, i, VOTED, term, 0, &digest);
}

static void check_append(sim_t *s, uint32_t i, const raft_message_t *m) {
    const sim_node_t *n = &s->nodes[i];
    one_of(s, i, m->term, 0, i, NULL);
    if (stable_state(n).log_term != m->term)
        sim_violate(s, i, "durable: leads without its opening on record");
    if (m->entry_count > 0 && !has_entries(n, m->height + 1, m->height + m->entry_count))
        sim_violate(s, i, "durable: sent an entry that is not on record");
    for (uint32_t k = 0; k < m->entry_count; ++k)
        one_of(s, i, m->entries[k].term, m->height + 1 + k, i, &m->entries[k].digest);
}

void sim_check_raft_send(sim_t *s, uint32_t i, rdg_bytes_t bytes) {
    sim_node_t *n = &s->nodes[i];
    raft_message_t m;
    if (raft_message_decode(bytes, &m) != RDG_OK)
        return sim_violate(s, i, "sent a message that cannot be read");
    if (m.from != i) return sim_violate(s, i, "sent a message in another's name");
    bool ok = m.flags & RAFT_FLAG_OK, has_term = m.kind != RAFT_CHECKPOINT && m.kind != RAFT_RECOVER;
    if (has_term && m.term < n->promised) sim_violate(s, i, "promise: spoke in a term that it left");
    if (has_term && m.term > n->promised) n->promised = m.term;
    if (has_term && stable_state(n).term < m.term)
        sim_violate(s, i, "durable: spoke in a term not on record");
    if (m.kind == RAFT_VOTE) check_vote(s, i, m.term, i);
    if (m.kind == RAFT_VOTE_REPLY && ok) check_vote(s, i, m.term, m.to);
    if (m.kind == RAFT_APPEND) check_append(s, i, &m);
    if (m.kind == RAFT_APPEND_REPLY && ok && !has_entries(n, n->executed + 1, m.height))
        sim_violate(s, i, "durable: acknowledged an entry that is not on record");
    if (m.kind == RAFT_CHECKPOINT) once(s, i, RDG_PHASE_CHECKPOINT, 0, m.height, &m.digest);
}

void sim_forge_raft(sim_t *s, raft_message_t *m, rdg_buf_t *out) {
    rdg_statement_t statement = raft_message_statement(m);
    if (m->kind == RAFT_CHECKPOINT) sim_sign(s, m->from, &statement, &m->signature);
    CHECK_OK(raft_message_encode(m, out));
}
