#include "certificate.h"
#include "output.h"
#include "planted.h"
#include "raft.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/codec/rlp.h"
#include <string.h>

/* Records: 'm' [epoch, term, vote + 1, log_term, amnesia, floor's term, floor's height], and for each entry
 * that is not executed 'e' height (8): [epoch, term, digest before, digest, proposal]. The digest before tells
 * after a crash whether an entry stands on the block that the ledger has. */
#define ENTRY_KEY_BYTES 9
#define STATE_RECORD_MAX 128
#define ENTRY_RECORD_MAX (RDG_CONSENSUS_PROPOSAL_MAX + 256)

static const uint8_t state_key[] = {'m'};

static rdg_bytes_t entry_key(uint8_t key[ENTRY_KEY_BYTES], uint64_t height) {
    key[0] = 'e';
    rdg_store_be64(key + 1, height);
    return rdg_bytes(key, ENTRY_KEY_BYTES);
}

raft_entry_t *raft_entry(raft_t *p, uint64_t height) {
    return height >= p->first && height <= p->last ? &p->log[height % RAFT_SLOTS] : NULL;
}

uint64_t raft_term_at(raft_t *p, uint64_t height) {
    const raft_entry_t *e = raft_entry(p, height);
    return e ? e->term : height + 1 == p->first ? p->before_term : 0;
}

const rdg_hash_t *raft_last_digest(raft_t *p) {
    const raft_entry_t *e = raft_entry(p, p->last);
    return e ? &e->digest : &p->before_digest;
}

size_t raft_unexecuted_bytes(raft_t *p) {
    size_t bytes = 0;
    for (uint64_t h = p->executed + 1; h <= p->last; ++h) bytes += raft_entry(p, h)->len;
    return bytes;
}

static void entry_clear(raft_entry_t *e) {
    rdg_free(e->data);
    *e = (raft_entry_t){.data = NULL};
}

static void drop_first(raft_t *p) {
    raft_entry_t *e = &p->log[p->first % RAFT_SLOTS];
    p->before_term = e->term;
    p->before_digest = e->digest;
    entry_clear(e);
    ++p->first;
}

static rdg_err_t delete_entry(uint64_t height, rdg_consensus_output_t *out) {
    uint8_t key[ENTRY_KEY_BYTES];
    return output_add(out, &(rdg_consensus_action_t){
                               .kind = RDG_ACTION_DELETE, .height = height, .key = entry_key(key, height)});
}

/* --- writing ---------------------------------------------------------------------------------------------
 */

rdg_err_t raft_save(raft_t *p, rdg_consensus_output_t *out) {
    if (!p->unsaved) return RDG_OK;
    const uint64_t numbers[] = {p->config.validators.epoch,
                                p->term,
                                p->voted == RAFT_NOBODY ? 0 : p->voted + 1ull,
                                p->log_term,
                                p->amnesia != RAFT_SOUND,
                                p->floor.term,
                                p->floor.height};
    rdg_buf_t value;
    rdg_buf_init(&value, STATE_RECORD_MAX);
    size_t list = rdg_rlp_list_begin(&value);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) rdg_rlp_put_u64(&value, numbers[i]);
    rdg_err_t err = rdg_rlp_list_end(&value, list);
    if (err == RDG_OK)
        err = output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_WRITE,
                                                        .key = rdg_bytes(state_key, sizeof state_key),
                                                        .bytes = rdg_buf_view(&value)});
    rdg_buf_fini(&value);
    p->unsaved = err != RDG_OK;
    return err;
}

static rdg_err_t write_entry(raft_t *p, uint64_t height, uint64_t term, const rdg_hash_t *digest,
                             rdg_bytes_t proposal, rdg_consensus_output_t *out) {
    uint8_t key[ENTRY_KEY_BYTES];
    rdg_buf_t value;
    rdg_buf_init(&value, ENTRY_RECORD_MAX);
    size_t list = rdg_rlp_list_begin(&value);
    rdg_rlp_put_u64(&value, p->config.validators.epoch);
    rdg_rlp_put_u64(&value, term);
    rdg_rlp_put_bytes(&value, rdg_bytes(raft_last_digest(p)->b, RDG_HASH_BYTES));
    rdg_rlp_put_bytes(&value, rdg_bytes(digest->b, RDG_HASH_BYTES));
    rdg_rlp_put_bytes(&value, proposal);
    rdg_err_t err = rdg_rlp_list_end(&value, list);
    if (err == RDG_OK)
        err = output_add(out, &(rdg_consensus_action_t){.kind = RDG_ACTION_WRITE,
                                                        .height = height,
                                                        .key = entry_key(key, height),
                                                        .bytes = rdg_buf_view(&value)});
    rdg_buf_fini(&value);
    return err;
}

rdg_err_t raft_log_append(raft_t *p, uint64_t term, const rdg_hash_t *digest, rdg_bytes_t proposal,
                          rdg_consensus_output_t *out) {
    uint64_t height = p->last + 1;
    RDG_ASSERT(height - p->executed <= RDG_CONSENSUS_WINDOW && term <= p->term);
    if (!PLANTED("raft-entry-unrecorded")) RDG_TRY(write_entry(p, height, term, digest, proposal, out));
    uint8_t *data = rdg_memdup(proposal.data, proposal.len);
    if (!data) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a proposal of %zu bytes", proposal.len);
    while (height - p->first >= RAFT_SLOTS) drop_first(p);
    p->log[height % RAFT_SLOTS] =
        (raft_entry_t){.term = term, .digest = *digest, .data = data, .len = proposal.len};
    p->last = height;
    /* An opening behind the entries before it would be followed by one of its own term or a later one: if this
     * term is lower, that opening is not in the leader's log, and goes. */
    if (p->log_term != term) p->log_term = term, p->unsaved = true;
    return RDG_OK;
}

rdg_err_t raft_log_truncate(raft_t *p, uint64_t after, rdg_consensus_output_t *out) {
    RDG_ASSERT(after >= p->committed);
    for (; p->last > after; --p->last) {
        RDG_TRY(delete_entry(p->last, out));
        entry_clear(&p->log[p->last % RAFT_SLOTS]);
    }
    return RDG_OK;
}

/* --- what the ledger has ---------------------------------------------------------------------------------
 */

static void trim(raft_t *p) {
    size_t bytes = 0;
    uint64_t keep = p->executed + 1;
    while (keep > p->first && p->executed + 1 - keep < RAFT_RETAINED) {
        bytes += raft_entry(p, keep - 1)->len;
        if (bytes > RAFT_LOG_BYTES) break;
        --keep;
    }
    while (p->first < keep) drop_first(p);
}

rdg_err_t raft_log_executed(raft_t *p, uint64_t height, rdg_consensus_output_t *out) {
    for (uint64_t h = p->executed + 1; h <= height; ++h) RDG_TRY(delete_entry(h, out));
    p->executed = height;
    trim(p);
    return RDG_OK;
}

static uint64_t seal_term(const raft_t *p, rdg_bytes_t seal) {
    rdg_certificate_t c;
    bool is_seal = seal.len > 0 && rdg_certificate_decode(seal, &c) == RDG_OK &&
                   c.statement.phase == RDG_PHASE_RAFT_LEADER &&
                   c.statement.epoch == p->config.validators.epoch;
    return is_seal && c.statement.view < RAFT_NUMBER_MAX ? c.statement.view : 0;
}

/* The log ends with a block that a leader of term t has sealed. That leader's opening is on a majority's disks,
 * so that nobody who claims t here can win against an entry of t that it has not got. Who stood in an earlier term
 * stands no more: the votes that it was given do not count in t. */
static rdg_err_t take_seal_term(raft_t *p, rdg_bytes_t seal, rdg_consensus_output_t *out) {
    uint64_t term = seal_term(p, seal);
    if (term <= p->log_term) return RDG_OK;
    if (p->term < term) RDG_TRY(raft_follow(p, term, RAFT_NOBODY, out));
    p->log_term = term;
    p->unsaved = true;
    return RDG_OK;
}

rdg_err_t raft_log_adopt(raft_t *p, uint64_t height, const rdg_hash_t *digest, rdg_bytes_t seal,
                         rdg_consensus_output_t *out) {
    const raft_entry_t *e = raft_entry(p, height);
    if (e && rdg_hash_equal(&e->digest, digest)) {
        p->committed = height;
        RDG_TRY(raft_log_executed(p, height, out));
    } else {
        for (uint64_t h = p->executed + 1; h <= p->last; ++h) RDG_TRY(delete_entry(h, out));
        while (p->first <= p->last) drop_first(p);
        p->first = height + 1;
        p->last = p->committed = p->executed = height;
        p->before_term = 0;
        p->before_digest = *digest;
        RDG_TRY(take_seal_term(p, seal, out));
    }
    return seal.len > 0 ? raft_seal_keep(p, height, seal) : RDG_OK;
}

/* --- restart ---------------------------------------------------------------------------------------------
 */

static rdg_err_t corrupt(const char *what) {
    return rdg_fail(RDG_E_CORRUPT, "a consensus record %s: recover this node", what);
}

static rdg_err_t restore_state(raft_t *p, rdg_bytes_t value) {
    rdg_rlp_t outer, list;
    uint64_t numbers[7];
    rdg_rlp_init(&outer, value);
    if (rdg_rlp_list(&outer, &list) != RDG_OK) return corrupt("of the term cannot be read");
    for (size_t i = 0; i < 7; ++i) numbers[i] = rdg_rlp_u64(&list);
    if (rdg_rlp_done(&list) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK)
        return corrupt("of the term cannot be read");
    if (numbers[0] > p->config.validators.epoch) return corrupt("is of a later epoch");
    if (numbers[0] < p->config.validators.epoch) return RDG_OK; /* nothing of it binds in this one */
    if (numbers[1] > RAFT_NUMBER_MAX || numbers[2] > p->config.validators.count || numbers[3] > numbers[1])
        return corrupt("of the term contradicts itself");
    p->term = numbers[1];
    p->voted = numbers[2] == 0 ? RAFT_NOBODY : (uint32_t)numbers[2] - 1;
    p->log_term = numbers[3];
    p->amnesia = numbers[4] ? RAFT_ASKING : RAFT_SOUND;
    p->floor = (raft_position_t){numbers[5], numbers[6]};
    return RDG_OK;
}

static rdg_err_t restore_entry(raft_t *p, const rdg_consensus_record_t *r, rdg_consensus_output_t *out) {
    rdg_rlp_t outer, list;
    uint64_t height = rdg_load_be64(r->key.data + 1);
    raft_entry_t e = {.term = 0};
    rdg_rlp_init(&outer, r->value);
    if (rdg_rlp_list(&outer, &list) != RDG_OK) return corrupt("of an entry cannot be read");
    uint64_t epoch = rdg_rlp_u64(&list);
    e.term = rdg_rlp_u64(&list);
    rdg_rlp_fixed(&list, e.parent.b, RDG_HASH_BYTES);
    rdg_rlp_fixed(&list, e.digest.b, RDG_HASH_BYTES);
    rdg_bytes_t proposal = rdg_rlp_bytes_max(&list, RDG_CONSENSUS_PROPOSAL_MAX);
    if (rdg_rlp_done(&list) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK || proposal.len == 0)
        return corrupt("of an entry cannot be read");
    if (epoch > p->config.validators.epoch) return corrupt("is of a later epoch");
    if (epoch < p->config.validators.epoch || height <= p->executed) return delete_entry(height, out);
    if (height - p->executed > RDG_CONSENSUS_WINDOW) return corrupt("is far ahead of the ledger");
    if (!(e.data = rdg_memdup(proposal.data, proposal.len)))
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a proposal of %zu bytes", proposal.len);
    e.len = proposal.len;
    entry_clear(&p->log[height % RAFT_SLOTS]);
    p->log[height % RAFT_SLOTS] = e;
    return RDG_OK;
}

/* An import that was not followed by the core's DELETEs before a crash may have left entries that stand on
 * another block: they were never committed. */
static rdg_err_t link_log(raft_t *p, rdg_consensus_output_t *out) {
    bool broken = false, gap = false;
    for (uint64_t h = p->executed + 1; h <= p->executed + RDG_CONSENSUS_WINDOW; ++h) {
        raft_entry_t *e = &p->log[h % RAFT_SLOTS];
        gap = gap || !e->data;
        if (!e->data) continue;
        if (gap) return corrupt("of an entry is missing");
        if (h == p->executed + 1 && !rdg_hash_equal(&e->parent, &p->before_digest)) broken = true;
        if (broken || p->amnesia != RAFT_SOUND) {
            RDG_TRY(delete_entry(h, out));
            entry_clear(e);
            continue;
        }
        if (!rdg_hash_equal(&e->parent, raft_last_digest(p)) || e->term > p->log_term ||
            e->term < raft_term_at(p, p->last))
            return corrupt("of an entry does not follow the one before");
        p->last = h;
    }
    return RDG_OK;
}

rdg_err_t raft_log_restore(raft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out) {
    p->last = p->committed = p->executed = e->height;
    p->first = e->height + 1;
    p->before_digest = e->digest;
    for (size_t i = 0; i < e->record_count; ++i) {
        rdg_bytes_t key = e->records[i].key;
        if (rdg_bytes_equal(key, rdg_bytes(state_key, sizeof state_key)))
            RDG_TRY(restore_state(p, e->records[i].value));
        else if (key.len == ENTRY_KEY_BYTES && key.data[0] == 'e')
            RDG_TRY(restore_entry(p, &e->records[i], out));
        else
            return corrupt("has an unknown key");
    }
    RDG_TRY(link_log(p, out));
    if (p->last == p->executed) RDG_TRY(take_seal_term(p, e->bytes, out));
    return e->bytes.len > 0 ? raft_seal_keep(p, e->height, e->bytes) : RDG_OK;
}

/* --- seals -----------------------------------------------------------------------------------------------
 */

rdg_err_t raft_seal_keep(raft_t *p, uint64_t height, rdg_bytes_t seal) {
    raft_seal_t *s = &p->seals[height % RAFT_SLOTS];
    uint8_t *data = rdg_memdup(seal.data, seal.len);
    if (!data) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a seal of %zu bytes", seal.len);
    rdg_free(s->data);
    *s = (raft_seal_t){height, data, seal.len};
    return RDG_OK;
}

rdg_bytes_t raft_seal_at(const raft_t *p, uint64_t height) {
    const raft_seal_t *s = &p->seals[height % RAFT_SLOTS];
    return height > 0 && s->height == height ? rdg_bytes(s->data, s->len) : rdg_bytes(NULL, 0);
}

void raft_log_free(raft_t *p) {
    for (size_t i = 0; i < RAFT_SLOTS; ++i) {
        rdg_free(p->log[i].data);
        rdg_free(p->seals[i].data);
    }
}
