#include "certificate.h"
#include "planted.h"
#include "ridge/codec/rlp.h"
#include <string.h>

rdg_err_t rdg_certificate_encode(const rdg_certificate_t *c, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, (uint64_t)c->statement.phase);
    rdg_rlp_put_u64(out, c->statement.epoch);
    rdg_rlp_put_u64(out, c->statement.view);
    rdg_rlp_put_u64(out, c->statement.height);
    rdg_rlp_put_bytes(out, rdg_bytes(c->statement.digest.b, RDG_HASH_BYTES));
    size_t votes = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < c->count; ++i) {
        size_t vote = rdg_rlp_list_begin(out);
        rdg_rlp_put_u64(out, c->votes[i].index);
        rdg_rlp_put_bytes(out, rdg_bytes(c->votes[i].signature.b, sizeof c->votes[i].signature.b));
        rdg_rlp_list_end(out, vote);
    }
    rdg_rlp_list_end(out, votes);
    rdg_rlp_list_end(out, list);
    return rdg_buf_err(out);
}

static rdg_err_t decode_votes(rdg_rlp_t *votes, rdg_certificate_t *out) {
    while (rdg_rlp_more(votes)) {
        rdg_rlp_t vote;
        if (out->count == RDG_VALIDATORS_MAX)
            return rdg_fail(RDG_E_MALFORMED, "a certificate with more than %d signatures",
                            RDG_VALIDATORS_MAX);
        RDG_TRY(rdg_rlp_list(votes, &vote));
        uint64_t index = rdg_rlp_u64(&vote);
        rdg_rlp_fixed(&vote, out->votes[out->count].signature.b, sizeof out->votes[0].signature.b);
        RDG_TRY(rdg_rlp_done(&vote));
        if (index >= RDG_VALIDATORS_MAX)
            return rdg_fail(RDG_E_MALFORMED, "a certificate's signer is out of range");
        out->votes[out->count++].index = (uint32_t)index;
    }
    return rdg_rlp_done(votes);
}

rdg_err_t rdg_certificate_decode(rdg_bytes_t encoded, rdg_certificate_t *out) {
    rdg_rlp_t outer, list, votes;
    memset(out, 0, sizeof *out);
    rdg_rlp_init(&outer, encoded);
    RDG_TRY(rdg_fail_in(rdg_rlp_list(&outer, &list), "certificate"));
    uint64_t phase = rdg_rlp_u64(&list);
    out->statement.epoch = rdg_rlp_u64(&list);
    out->statement.view = rdg_rlp_u64(&list);
    out->statement.height = rdg_rlp_u64(&list);
    rdg_rlp_fixed(&list, out->statement.digest.b, RDG_HASH_BYTES);
    RDG_TRY(rdg_fail_in(rdg_rlp_list(&list, &votes), "certificate"));
    RDG_TRY(rdg_fail_in(decode_votes(&votes, out), "certificate"));
    RDG_TRY(rdg_fail_in(rdg_rlp_done(&list), "certificate"));
    RDG_TRY(rdg_fail_in(rdg_rlp_done(&outer), "certificate"));
    if (phase < RDG_PHASE_PRE_PREPARE || phase > RDG_PHASE_RAFT_LEADER)
        return rdg_fail(RDG_E_MALFORMED, "a certificate of unknown phase %llu", (unsigned long long)phase);
    out->statement.phase = (rdg_phase_t)phase;
    return RDG_OK;
}

/* Ascending, so that nobody's weight is added twice. */
static rdg_err_t check_signers(const rdg_certificate_t *c, const rdg_validator_set_t *set, uint32_t *weight) {
    for (uint32_t i = 0; i < c->count; ++i) {
        uint32_t index = c->votes[i].index;
        if (index >= set->count || (i > 0 && index <= c->votes[i - 1].index && !PLANTED("signer-twice")))
            return rdg_fail(RDG_E_BAD_SIGNATURE,
                            "a certificate's signers are not distinct members in ascending order");
        *weight += rdg_validators_weight(set, index);
    }
    return RDG_OK;
}

static rdg_err_t gather_by(const rdg_certificate_t *c, const rdg_validator_set_t *set, rdg_phase_t phase,
                           uint32_t quorum, signatures_t *g) {
    const rdg_statement_t *s = &c->statement;
    if (PLANTED("certificate-unverified")) return RDG_OK;
    if (s->phase != phase)
        return rdg_fail(RDG_E_BAD_SIGNATURE, "a certificate of phase %d where one of phase %d is wanted",
                        s->phase, phase);
    if (s->epoch != set->epoch)
        return rdg_fail(RDG_E_BAD_SIGNATURE,
                        "a certificate of epoch %llu, the validator set is of epoch %llu",
                        (unsigned long long)s->epoch, (unsigned long long)set->epoch);
    uint32_t weight = 0;
    RDG_TRY(check_signers(c, set, &weight));
    if (weight < quorum)
        return rdg_fail(RDG_E_BAD_SIGNATURE, "a certificate of weight %u, a quorum is %u", weight, quorum);
    rdg_hash_t hash;
    rdg_statement_hash(set->chain_id, s, &hash);
    for (uint32_t i = 0; i < c->count; ++i)
        RDG_TRY(signatures_add(g, set, c->votes[i].index, &hash, &c->votes[i].signature));
    return RDG_OK;
}

rdg_err_t certificate_gather(const rdg_certificate_t *c, const rdg_validator_set_t *set, rdg_phase_t phase,
                             signatures_t *g) {
    return gather_by(c, set, phase, rdg_validators_quorum(rdg_validators_total(set)), g);
}

rdg_err_t certificate_gather_raft(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                  rdg_phase_t phase, signatures_t *g) {
    if (phase != RDG_PHASE_RAFT_LEADER)
        return gather_by(c, set, phase, rdg_validators_majority(rdg_validators_total(set)), g);
    if (c->count != 1)
        return rdg_fail(RDG_E_BAD_SIGNATURE,
                        "a seal of Raft with %u signatures: its leader's alone is wanted", c->count);
    return gather_by(c, set, phase, 1, g);
}

rdg_err_t certificate_verify_with(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                  rdg_phase_t phase, const rdg_consensus_host_t *host) {
    signatures_t g;
    signatures_init(&g, host);
    RDG_TRY(certificate_gather(c, set, phase, &g));
    return rdg_fail_in(signatures_done(&g), "certificate");
}

rdg_err_t certificate_verify_raft_with(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                       rdg_phase_t phase, const rdg_consensus_host_t *host) {
    signatures_t g;
    signatures_init(&g, host);
    RDG_TRY(certificate_gather_raft(c, set, phase, &g));
    return rdg_fail_in(signatures_done(&g), "certificate");
}

static void verify_sm2(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx;
    rdg_sm2_verify_batch(checks, count, results);
}

static rdg_err_t is_about(const rdg_certificate_t *c, uint64_t height, const rdg_hash_t *digest) {
    if (c->statement.height != height)
        return rdg_fail(RDG_E_BAD_SIGNATURE, "a certificate of height %llu where one of %llu is wanted",
                        (unsigned long long)c->statement.height, (unsigned long long)height);
    if (!rdg_hash_equal(&c->statement.digest, digest))
        return rdg_fail(RDG_E_BAD_SIGNATURE, "a certificate of another digest at height %llu",
                        (unsigned long long)height);
    return RDG_OK;
}

static const rdg_consensus_host_t sm2_host = {.verify = verify_sm2};

rdg_err_t rdg_certificate_verify(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                 rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest) {
    RDG_TRY(is_about(c, height, digest));
    return certificate_verify_with(c, set, phase, &sm2_host);
}

rdg_err_t rdg_certificate_verify_raft(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                      rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest) {
    RDG_TRY(is_about(c, height, digest));
    return certificate_verify_raft_with(c, set, phase, &sm2_host);
}

rdg_err_t rdg_certificate_verify_each(const rdg_certificate_t *c, const rdg_validator_set_t *set, bool raft,
                                      rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest,
                                      rdg_certificate_check_t check, void *ctx) {
    const rdg_consensus_host_t host = {.verify = check, .ctx = ctx};
    RDG_TRY(is_about(c, height, digest));
    return (raft ? certificate_verify_raft_with : certificate_verify_with)(c, set, phase, &host);
}
