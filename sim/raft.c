#include "world.h"
#include "ridge/base/assert.h"
#include "ridge/codec/rlp.h"
#include <string.h>

/* What an honest replica of Raft may send, read from its messages as libs/consensus/src/raft_message.h describes them:
 *   [kind, epoch, term, from, to, seq, height, entry_term, start, first, commit, flags, digest, [seal, …],
 *    [[term, digest, proposal], …], signature of a checkpoint vote]
 * Laws: once (one vote a term, one result a height), leader (one a term), log (one block for a height and term), promise
 * (terms never fall), durable (term, vote, opening and entries are on record before they are spoken of). */
enum { VOTE = 35, VOTE_REPLY = 36, APPEND = 37, APPEND_REPLY = 38, RECOVER = 42, CHECKPOINT = 44 };
#define FLAG_OK 1
#define VOTED ((rdg_phase_t)100) /* of what was said: no statement, since votes are not signed */

typedef struct raft_wire {
    uint64_t kind, epoch, term, from, to, seq, height, entry_term, start, first, commit, flags;
    rdg_bytes_t digest;
    rdg_rlp_t entries;
} raft_wire_t;

static bool read_message(rdg_bytes_t bytes, raft_wire_t *m) {
    rdg_rlp_t outer, list;
    rdg_rlp_init(&outer, bytes);
    if (rdg_rlp_list(&outer, &list) != RDG_OK) return false;
    uint64_t *const numbers[] = {&m->kind,   &m->epoch,      &m->term,  &m->from,  &m->to,     &m->seq,
                                 &m->height, &m->entry_term, &m->start, &m->first, &m->commit, &m->flags};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) *numbers[i] = rdg_rlp_u64(&list);
    m->digest = rdg_rlp_bytes(&list);
    (void)rdg_rlp_raw(&list);
    size_t signature = m->kind == CHECKPOINT ? 64 : 0;
    return rdg_rlp_list(&list, &m->entries) == RDG_OK && rdg_rlp_bytes(&list).len == signature &&
           rdg_rlp_done(&list) == RDG_OK;
}

/* --- the records ------------------------------------------------------------------------------------------ */

static const record_t *find(const replica_t *r, char kind, uint64_t height) {
    for (size_t i = 0; i < r->ledger.record_count; ++i) {
        rdg_bytes_t key = blob_view(r->ledger.records[i].key);
        if (key.len < 9 || rdg_load_be64(key.data) != r->epoch || key.data[8] != (uint8_t)kind) continue;
        if (kind == 'm' || (key.len == 17 && rdg_load_be64(key.data + 9) == height))
            return &r->ledger.records[i];
    }
    return NULL;
}

typedef struct stable {
    uint64_t term, voted, log_term; /* voted: index + 1 */
} stable_t;

static stable_t stable_state(const replica_t *r) {
    const record_t *record = find(r, 'm', 0);
    stable_t s = {0};
    rdg_rlp_t outer, list;
    if (!record) return s;
    rdg_rlp_init(&outer, blob_view(record->value));
    if (rdg_rlp_list(&outer, &list) != RDG_OK) return s;
    (void)rdg_rlp_u64(&list);
    s.term = rdg_rlp_u64(&list), s.voted = rdg_rlp_u64(&list), s.log_term = rdg_rlp_u64(&list);
    return s;
}

static bool has_entries(const replica_t *r, uint64_t from, uint64_t to) {
    for (uint64_t h = from; h <= to; ++h)
        if (h > r->ledger.height && !find(r, 'e', h)) return false;
    return true;
}

/* --- the laws --------------------------------------------------------------------------------------------- */

static rdg_hash_t digest_of(uint64_t number) {
    rdg_hash_t d = {{0}};
    rdg_store_be64(d.b, number + 1);
    return d;
}

static void check_vote(world_t *w, replica_t *r, uint64_t term, uint64_t candidate) {
    rdg_statement_t s = {.phase = VOTED, .epoch = r->epoch, .view = term, .digest = digest_of(candidate)};
    stable_t stable = stable_state(r);
    if (stable.term != term || stable.voted != candidate + 1)
        world_violate(w, "durable", "replica %u votes in term %llu without a record", r->id,
                      (unsigned long long)term);
    if (!check_said(r->said, &r->said_count, &s))
        world_violate(w, "once", "replica %u votes twice in term %llu", r->id, (unsigned long long)term);
}

static void check_append(world_t *w, replica_t *r, raft_wire_t *m) {
    rdg_statement_t s = {.phase = RDG_PHASE_RAFT_LEADER,
                         .epoch = r->epoch,
                         .view = m->term,
                         .digest = digest_of(r->validator)};
    if (!check_said(w->said, &w->said_count, &s))
        world_violate(w, "leader", "replica %u leads term %llu, as another did", r->id,
                      (unsigned long long)m->term);
    if (stable_state(r).log_term != m->term)
        world_violate(w, "durable", "replica %u leads term %llu without its opening on record", r->id,
                      (unsigned long long)m->term);
    for (uint64_t h = m->height + 1; rdg_rlp_more(&m->entries); ++h) {
        rdg_rlp_t entry;
        if (rdg_rlp_list(&m->entries, &entry) != RDG_OK) break;
        rdg_statement_t e = {
            .phase = RDG_PHASE_RAFT_LEADER, .epoch = r->epoch, .view = rdg_rlp_u64(&entry), .height = h};
        rdg_rlp_fixed(&entry, e.digest.b, RDG_HASH_BYTES);
        if (!check_said(w->said, &w->said_count, &e))
            world_violate(w, "log", "replica %u has another block for height %llu of term %llu", r->id,
                          (unsigned long long)h, (unsigned long long)e.view);
        if (h > r->ledger.height && !find(r, 'e', h))
            world_violate(w, "durable", "replica %u sends the entry of %llu without a record", r->id,
                          (unsigned long long)h);
    }
}

void raft_check_send(world_t *w, replica_t *r, rdg_bytes_t bytes) {
    raft_wire_t m;
    if (!read_message(bytes, &m)) {
        world_violate(w, "validity", "replica %u sends what cannot be read", r->id);
        return;
    }
    if (m.from != set_index(r->members, r->validator))
        world_violate(w, "once", "replica %u speaks in the name of %llu", r->id, (unsigned long long)m.from);
    bool has_term = m.kind != CHECKPOINT && m.kind != RECOVER;
    if (has_term && m.term < r->promised)
        world_violate(w, "promise", "replica %u speaks in term %llu after %llu", r->id,
                      (unsigned long long)m.term, (unsigned long long)r->promised);
    if (has_term) r->promised = m.term;
    if (has_term && stable_state(r).term < m.term)
        world_violate(w, "durable", "replica %u speaks in term %llu, which is not on record", r->id,
                      (unsigned long long)m.term);
    if (m.kind == CHECKPOINT) check_result_durable(w, r, m.height);
    if (m.kind == VOTE) check_vote(w, r, m.term, m.from);
    if (m.kind == VOTE_REPLY && m.flags & FLAG_OK) check_vote(w, r, m.term, m.to);
    if (m.kind == APPEND) check_append(w, r, &m);
    if (m.kind == APPEND_REPLY && m.flags & FLAG_OK && !has_entries(r, r->ledger.height + 1, m.height))
        world_violate(w, "durable", "replica %u acknowledges entries up to %llu without records", r->id,
                      (unsigned long long)m.height);
}
