#include "message.h"
#include "certificate.h"
#include "proof.h"
#include "planted.h"
#include "ridge/codec/rlp.h"
#include <string.h>

static bool has_proof(uint64_t kind) {
    return kind == RDG_PHASE_VIEW_CHANGE || kind == RDG_PHASE_NEW_VIEW;
}

rdg_err_t message_encode(const message_t *m, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, m->kind);
    if (m->kind == MESSAGE_STATUS) {
        rdg_rlp_put_raw(out, m->certificate);
    } else {
        rdg_rlp_put_u64(out, m->statement.epoch);
        rdg_rlp_put_u64(out, m->statement.view);
        rdg_rlp_put_u64(out, m->statement.height);
        rdg_rlp_put_bytes(out, rdg_bytes(m->statement.digest.b, RDG_HASH_BYTES));
        rdg_rlp_put_u64(out, m->index);
        rdg_rlp_put_bytes(out, rdg_bytes(m->signature.b, sizeof m->signature.b));
        if (m->kind == RDG_PHASE_PRE_PREPARE) rdg_rlp_put_bytes(out, m->proposal);
        if (has_proof(m->kind)) {
            rdg_rlp_put_raw(out, m->proof);
            rdg_rlp_put_bytes(out, m->certificate);
        }
    }
    return rdg_rlp_list_end(out, list);
}

static rdg_err_t decode_statement(rdg_rlp_t *list, message_t *out) {
    out->statement.phase = (rdg_phase_t)out->kind;
    out->statement.epoch = rdg_rlp_u64(list);
    out->statement.view = rdg_rlp_u64(list);
    out->statement.height = rdg_rlp_u64(list);
    rdg_rlp_fixed(list, out->statement.digest.b, RDG_HASH_BYTES);
    uint64_t index = rdg_rlp_u64(list);
    rdg_rlp_fixed(list, out->signature.b, sizeof out->signature.b);
    if (index >= RDG_VALIDATORS_MAX) return rdg_fail(RDG_E_MALFORMED, "a message's sender is out of range");
    out->index = (uint32_t)index;
    if (out->kind == RDG_PHASE_PRE_PREPARE)
        out->proposal = rdg_rlp_bytes_max(list, RDG_CONSENSUS_PROPOSAL_MAX);
    if (!has_proof(out->kind)) return RDG_OK;
    if (!rdg_rlp_is_list(list)) return rdg_fail(RDG_E_MALFORMED, "a view change without its list");
    out->proof = rdg_rlp_raw(list);
    out->certificate = rdg_rlp_bytes(list);
    return RDG_OK;
}

static rdg_err_t decode_status(rdg_rlp_t *list, message_t *out) {
    rdg_certificate_t c;
    out->certificate = rdg_rlp_raw(list);
    RDG_TRY(rdg_rlp_done(list));
    RDG_TRY(rdg_certificate_decode(out->certificate, &c));
    out->statement = c.statement;
    return RDG_OK;
}

rdg_err_t message_decode(rdg_bytes_t bytes, message_t *out) {
    rdg_rlp_t outer, list;
    memset(out, 0, sizeof *out);
    if (bytes.len > RDG_CONSENSUS_MESSAGE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a consensus message of %zu bytes", bytes.len);
    rdg_rlp_init(&outer, bytes);
    RDG_TRY(rdg_fail_in(rdg_rlp_list(&outer, &list), "consensus message"));
    uint64_t kind = rdg_rlp_u64(&list);
    bool is_vote = kind == RDG_PHASE_PRE_PREPARE || kind == RDG_PHASE_PREPARE || kind == RDG_PHASE_COMMIT ||
                   kind == RDG_PHASE_CHECKPOINT || kind == RDG_PHASE_SUSPECT || has_proof(kind);
    if (!is_vote && kind != MESSAGE_STATUS)
        return rdg_fail(RDG_E_MALFORMED, "a consensus message of unknown kind %llu",
                        (unsigned long long)kind);
    out->kind = (uint32_t)kind;
    RDG_TRY(is_vote ? decode_statement(&list, out) : decode_status(&list, out));
    RDG_TRY(rdg_fail_in(rdg_rlp_done(&list), "consensus message"));
    return rdg_fail_in(rdg_rlp_done(&outer), "consensus message");
}

rdg_err_t message_gather_vote(const message_t *m, const rdg_consensus_config_t *config, signatures_t *g) {
    const rdg_validator_set_t *set = &config->validators;
    rdg_hash_t hash;
    if (m->index >= set->count)
        return rdg_fail(RDG_E_BAD_SIGNATURE, "validator %u is not a member: the set has %u", m->index,
                        set->count);
    if (m->statement.epoch != set->epoch && !PLANTED("other-epoch"))
        return rdg_fail(RDG_E_STALE, "a message of epoch %llu, this node is in epoch %llu",
                        (unsigned long long)m->statement.epoch, (unsigned long long)set->epoch);
    rdg_statement_hash(set->chain_id, &m->statement, &hash);
    if (PLANTED("signature-unchecked")) return RDG_OK;
    return signatures_add(g, set, m->index, &hash, &m->signature);
}

/* The message's own signature first, and alone: only a member may make this node verify all that a proof carries. */
static rdg_err_t verify_vote(const message_t *m, const rdg_consensus_config_t *config) {
    signatures_t g;
    signatures_init(&g, &config->host);
    RDG_TRY(message_gather_vote(m, config, &g));
    return signatures_done(&g);
}

rdg_err_t message_verify(const message_t *m, const rdg_consensus_config_t *config) {
    if (m->kind == MESSAGE_STATUS) {
        rdg_certificate_t c;
        RDG_TRY(rdg_certificate_decode(m->certificate, &c));
        rdg_phase_t phase =
            c.statement.phase == RDG_PHASE_CHECKPOINT ? RDG_PHASE_CHECKPOINT : RDG_PHASE_COMMIT;
        return certificate_verify_with(&c, &config->validators, phase, &config->host);
    }
    RDG_TRY(verify_vote(m, config));
    if (m->kind == RDG_PHASE_VIEW_CHANGE) return proof_verify_change(m, config);
    if (m->kind == RDG_PHASE_NEW_VIEW) return proof_verify_new_view(m, config);
    if (m->kind != RDG_PHASE_PRE_PREPARE) return RDG_OK;
    rdg_hash_t digest;
    RDG_TRY(config->host.digest(config->host.ctx, m->proposal, &digest));
    if (!rdg_hash_equal(&digest, &m->statement.digest))
        return rdg_fail(RDG_E_PROTOCOL, "a proposal whose digest is not that of its bytes, from validator %u",
                        m->index);
    return RDG_OK;
}
