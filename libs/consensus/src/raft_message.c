#include "raft_message.h"
#include "certificate.h"
#include "ridge/codec/rlp.h"
#include <string.h>

/* The optional fields; each kind's are in `allowed`. */
enum {
    HAS_SEQ = 1,
    HAS_HEIGHT = 2,
    HAS_ENTRY_TERM = 4,
    HAS_LEADING = 8, /* start, first, seals, entries */
    HAS_COMMIT = 16,
    HAS_DIGEST = 32,
    HAS_TO = 64,
    HAS_TERM = 128,
    HAS_SIGNATURE = 256,
    POSITION = HAS_HEIGHT | HAS_ENTRY_TERM,
    ADDRESSED = HAS_TO | HAS_TERM
};

static const struct {
    uint16_t fields, flags;
} allowed[] = {
    [RAFT_PRE_VOTE] = {ADDRESSED | POSITION, 0},
    [RAFT_PRE_VOTE_REPLY] = {ADDRESSED | HAS_ENTRY_TERM, RAFT_FLAG_OK},
    [RAFT_VOTE] = {ADDRESSED | POSITION, RAFT_FLAG_TRANSFER},
    [RAFT_VOTE_REPLY] = {ADDRESSED, RAFT_FLAG_OK},
    [RAFT_APPEND] = {ADDRESSED | HAS_SEQ | POSITION | HAS_LEADING | HAS_COMMIT, 0},
    [RAFT_APPEND_REPLY] = {ADDRESSED | HAS_SEQ | HAS_HEIGHT | HAS_COMMIT, RAFT_FLAG_OK | RAFT_FLAG_FULL},
    [RAFT_TAKE_OVER] = {ADDRESSED, 0},
    [RAFT_READ] = {ADDRESSED | HAS_SEQ, 0},
    [RAFT_READ_REPLY] = {ADDRESSED | HAS_SEQ | HAS_HEIGHT, RAFT_FLAG_OK},
    [RAFT_RECOVER] = {ADDRESSED | HAS_SEQ, 0},
    [RAFT_RECOVER_REPLY] = {ADDRESSED | HAS_SEQ | POSITION, 0},
    [RAFT_CHECKPOINT] = {HAS_HEIGHT | HAS_DIGEST | HAS_SIGNATURE, 0},
};

/* --- encoding --------------------------------------------------------------------------------------------
 */

static void put_entries(const raft_message_t *m, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < m->entry_count; ++i) {
        const raft_message_entry_t *e = &m->entries[i];
        size_t entry = rdg_rlp_list_begin(out);
        rdg_rlp_put_u64(out, e->term);
        rdg_rlp_put_bytes(out, rdg_bytes(e->digest.b, RDG_HASH_BYTES));
        rdg_rlp_put_bytes(out, e->proposal);
        rdg_rlp_list_end(out, entry);
    }
    rdg_rlp_list_end(out, list);
}

rdg_statement_t raft_message_statement(const raft_message_t *m) {
    return (rdg_statement_t){RDG_PHASE_CHECKPOINT, m->epoch, 0, m->height, m->digest};
}

rdg_err_t raft_message_encode(const raft_message_t *m, rdg_buf_t *out) {
    const uint64_t numbers[] = {m->kind,   m->epoch,      m->term,  m->from,  m->to,     m->seq,
                                m->height, m->entry_term, m->start, m->first, m->commit, m->flags};
    uint16_t fields = allowed[m->kind].fields;
    size_t list = rdg_rlp_list_begin(out);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) rdg_rlp_put_u64(out, numbers[i]);
    rdg_rlp_put_bytes(out, rdg_bytes(m->digest.b, fields & HAS_DIGEST ? RDG_HASH_BYTES : 0));
    size_t seals = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < m->seal_count; ++i) rdg_rlp_put_raw(out, m->seals[i]);
    rdg_rlp_list_end(out, seals);
    put_entries(m, out);
    rdg_rlp_put_bytes(out, rdg_bytes(m->signature.b, fields & HAS_SIGNATURE ? sizeof m->signature.b : 0));
    return rdg_rlp_list_end(out, list);
}

/* --- decoding --------------------------------------------------------------------------------------------
 */

static rdg_err_t decode_numbers(rdg_rlp_t *list, raft_message_t *out) {
    uint64_t kind = rdg_rlp_u64(list);
    if (kind < RAFT_PRE_VOTE || kind > RAFT_CHECKPOINT)
        return rdg_fail(RDG_E_MALFORMED, "a message of Raft of unknown kind %llu", (unsigned long long)kind);
    out->kind = (raft_kind_t)kind;
    out->epoch = rdg_rlp_u64(list);
    out->term = rdg_rlp_u64(list);
    uint64_t from = rdg_rlp_u64(list), to = rdg_rlp_u64(list);
    if (from >= RDG_VALIDATORS_MAX || to >= RDG_VALIDATORS_MAX)
        return rdg_fail(RDG_E_MALFORMED, "a message's sender or receiver is out of range");
    out->from = (uint32_t)from, out->to = (uint32_t)to;
    uint64_t *const numbers[] = {&out->seq,   &out->height, &out->entry_term,
                                 &out->start, &out->first,  &out->commit};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) *numbers[i] = rdg_rlp_u64(list);
    uint64_t flags = rdg_rlp_u64(list);
    if (flags & ~(uint64_t)allowed[kind].flags)
        return rdg_fail(RDG_E_MALFORMED, "a message with unknown flags");
    out->flags = (uint32_t)flags;
    if (allowed[kind].fields & HAS_DIGEST)
        rdg_rlp_fixed(list, out->digest.b, RDG_HASH_BYTES);
    else if (rdg_rlp_bytes(list).len > 0)
        return rdg_fail(RDG_E_MALFORMED, "a message with a digest that its kind does not have");
    return RDG_OK;
}

static rdg_err_t check_fields(const raft_message_t *m) {
    uint16_t fields = allowed[m->kind].fields;
    bool is_excess = (m->seq && !(fields & HAS_SEQ)) || (m->height && !(fields & HAS_HEIGHT)) ||
                     (m->entry_term && !(fields & HAS_ENTRY_TERM)) || (m->commit && !(fields & HAS_COMMIT)) ||
                     (m->to && !(fields & HAS_TO)) || (m->term && !(fields & HAS_TERM)) ||
                     (!(fields & HAS_LEADING) && (m->start || m->first || m->seal_count || m->entry_count));
    if (is_excess) return rdg_fail(RDG_E_MALFORMED, "a message with a field that its kind does not have");
    if (m->term > RAFT_NUMBER_MAX || m->height > RAFT_NUMBER_MAX || m->commit > RAFT_NUMBER_MAX ||
        m->entry_term > RAFT_NUMBER_MAX || m->start > RAFT_NUMBER_MAX || m->first > RAFT_NUMBER_MAX)
        return rdg_fail(RDG_E_MALFORMED, "a term or height that no chain reaches");
    return RDG_OK;
}

static rdg_err_t decode_lists(rdg_rlp_t *list, raft_message_t *out) {
    rdg_rlp_t seals, entries, entry;
    RDG_TRY(rdg_rlp_list(list, &seals));
    while (rdg_rlp_more(&seals)) {
        if (out->seal_count == RDG_CONSENSUS_WINDOW || !rdg_rlp_is_list(&seals))
            return rdg_fail(RDG_E_MALFORMED, "a message with a seal too many, or that is none");
        out->seals[out->seal_count++] = rdg_rlp_raw(&seals);
    }
    RDG_TRY(rdg_rlp_done(&seals));
    RDG_TRY(rdg_rlp_list(list, &entries));
    while (rdg_rlp_more(&entries)) {
        if (out->entry_count == RDG_CONSENSUS_WINDOW)
            return rdg_fail(RDG_E_MALFORMED, "a message with more than %d entries", RDG_CONSENSUS_WINDOW);
        raft_message_entry_t *e = &out->entries[out->entry_count++];
        RDG_TRY(rdg_rlp_list(&entries, &entry));
        e->term = rdg_rlp_u64(&entry);
        rdg_rlp_fixed(&entry, e->digest.b, RDG_HASH_BYTES);
        e->proposal = rdg_rlp_bytes_max(&entry, RDG_CONSENSUS_PROPOSAL_MAX);
        RDG_TRY(rdg_rlp_done(&entry));
    }
    return rdg_rlp_done(&entries);
}

rdg_err_t raft_message_decode(rdg_bytes_t bytes, raft_message_t *out) {
    rdg_rlp_t outer, list;
    memset(out, 0, sizeof *out);
    if (bytes.len > RDG_CONSENSUS_MESSAGE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a message of Raft of %zu bytes", bytes.len);
    rdg_rlp_init(&outer, bytes);
    RDG_TRY(rdg_fail_in(rdg_rlp_list(&outer, &list), "message of Raft"));
    RDG_TRY(decode_numbers(&list, out));
    RDG_TRY(rdg_fail_in(decode_lists(&list, out), "message of Raft"));
    if (allowed[out->kind].fields & HAS_SIGNATURE)
        rdg_rlp_fixed(&list, out->signature.b, sizeof out->signature.b);
    else if (rdg_rlp_bytes(&list).len > 0)
        return rdg_fail(RDG_E_MALFORMED, "a message with a signature that its kind does not have");
    RDG_TRY(rdg_fail_in(rdg_rlp_done(&list), "message of Raft"));
    RDG_TRY(rdg_fail_in(rdg_rlp_done(&outer), "message of Raft"));
    return check_fields(out);
}

/* --- checking --------------------------------------------------------------------------------------------
 */

static rdg_err_t verify_signature(const raft_message_t *m, const rdg_consensus_config_t *config) {
    const rdg_validator_set_t *set = &config->validators;
    rdg_statement_t statement = raft_message_statement(m);
    rdg_hash_t hash;
    rdg_statement_hash(set->chain_id, &statement, &hash);
    signatures_t g;
    signatures_init(&g, &config->host);
    RDG_TRY(signatures_add(&g, set, m->from, &hash, &m->signature));
    return signatures_done(&g);
}

static rdg_err_t verify_entries(const raft_message_t *m, const rdg_consensus_config_t *config) {
    uint64_t before = m->entry_term;
    for (uint32_t i = 0; i < m->entry_count; ++i) {
        const raft_message_entry_t *e = &m->entries[i];
        rdg_hash_t digest;
        if (e->term < before || e->term == 0 || e->term > m->term)
            return rdg_fail(RDG_E_PROTOCOL,
                            "entries of validator %u whose terms fall, or are not reached yet", m->from);
        if (e->proposal.len == 0)
            return rdg_fail(RDG_E_PROTOCOL, "an entry without bytes, from validator %u", m->from);
        before = e->term;
        RDG_TRY(config->host.digest(config->host.ctx, e->proposal, &digest));
        if (!rdg_hash_equal(&digest, &e->digest))
            return rdg_fail(RDG_E_PROTOCOL,
                            "an entry whose digest is not that of its bytes, from validator %u", m->from);
    }
    return RDG_OK;
}

static rdg_err_t verify_seals(const raft_message_t *m, const rdg_consensus_config_t *config) {
    signatures_t g;
    signatures_init(&g, &config->host);
    for (uint32_t i = 0; i < m->seal_count; ++i) {
        rdg_certificate_t c;
        RDG_TRY(rdg_certificate_decode(m->seals[i], &c));
        RDG_TRY(certificate_gather_raft(&c, &config->validators, RDG_PHASE_RAFT_LEADER, &g));
        if (c.statement.view > m->term || c.statement.height > m->commit)
            return rdg_fail(RDG_E_PROTOCOL,
                            "a seal of a later term or height than its message, from validator %u", m->from);
    }
    return rdg_fail_in(signatures_done(&g), "seals");
}

rdg_err_t raft_message_verify(const raft_message_t *m, const rdg_consensus_config_t *config) {
    const rdg_validator_set_t *set = &config->validators;
    if (m->epoch != set->epoch)
        return rdg_fail(RDG_E_STALE, "a message of epoch %llu, this node is in epoch %llu",
                        (unsigned long long)m->epoch, (unsigned long long)set->epoch);
    if (m->from >= set->count)
        return rdg_fail(RDG_E_PROTOCOL, "validator %u is not a member: the set has %u", m->from, set->count);
    if (m->from == config->self || (m->kind != RAFT_CHECKPOINT && m->to != config->self))
        return rdg_fail(RDG_E_PROTOCOL, "a message of validator %u to %u, this node is %u", m->from, m->to,
                        config->self);
    if (allowed[m->kind].fields & HAS_SIGNATURE) RDG_TRY(verify_signature(m, config));
    RDG_TRY(verify_entries(m, config));
    return verify_seals(m, config);
}
