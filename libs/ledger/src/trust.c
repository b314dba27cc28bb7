#include "trust.h"
#include <inttypes.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "succession.h"

struct rdg_trust {
    bool is_raft;
    uint32_t count, act_count;
    rdg_succession_t *acts; /* beside the genesis that it was made of */
    rdg_epoch_t *epochs;    /* by ascending number, from 0 */
};

static rdg_err_t copy_acts(rdg_trust_t *t, const rdg_genesis_t *genesis) {
    if (genesis->succession_count == 0) return RDG_OK;
    t->acts = rdg_calloc(genesis->succession_count, sizeof *t->acts);
    if (!t->acts) return rdg_fail(RDG_E_NO_MEMORY, "no memory for what is known of the chain's validators");
    t->act_count = genesis->succession_count;
    memcpy(t->acts, genesis->successions, t->act_count * sizeof *t->acts);
    return RDG_OK;
}

rdg_err_t rdg_trust_new(const rdg_genesis_t *genesis, rdg_trust_t **out) {
    *out = NULL;
    RDG_TRY(rdg_validators_check(&genesis->validators));
    rdg_trust_t *t = rdg_calloc(1, sizeof *t);
    if (t) t->epochs = rdg_calloc(1, sizeof *t->epochs);
    if (!t || !t->epochs) {
        rdg_trust_free(t);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for what is known of the chain's validators");
    }
    rdg_epoch_t *e = &t->epochs[t->count++];
    e->first_height = 1;
    e->validators = genesis->validators;
    memcpy(e->names, genesis->validator_names, sizeof e->names);
    t->is_raft = rdg_genesis_is_raft(genesis);
    rdg_err_t err = copy_acts(t, genesis);
    if (err != RDG_OK) {
        rdg_trust_free(t);
        return err;
    }
    *out = t;
    return RDG_OK;
}

void rdg_trust_free(rdg_trust_t *t) {
    if (!t) return;
    rdg_free(t->epochs);
    rdg_free(t->acts);
    rdg_free(t);
}

const rdg_epoch_t *rdg_trust_latest(const rdg_trust_t *t) {
    return &t->epochs[t->count - 1];
}

uint64_t rdg_trust_chain_id(const rdg_trust_t *t) {
    return t->epochs[0].validators.chain_id;
}

static const rdg_epoch_t *epoch_of(const rdg_trust_t *t, uint64_t height) {
    uint32_t i = t->count - 1;
    while (i > 0 && t->epochs[i].first_height > height) --i;
    return &t->epochs[i];
}

/* The last block of an epoch may be certified by the next one's validators (docs/ledger.md). */
static const rdg_epoch_t *signers_of(const rdg_trust_t *t, uint64_t height, uint64_t epoch) {
    const rdg_epoch_t *e = epoch_of(t, height);
    bool is_last = e != rdg_trust_latest(t) && e[1].first_height == height + 1;
    return is_last && e[1].validators.epoch == epoch ? e + 1 : e;
}

static const rdg_succession_t *act_of(const rdg_trust_t *t, uint64_t epoch) {
    for (uint32_t i = 0; i < t->act_count; ++i)
        if (t->acts[i].epoch.validators.epoch == epoch) return &t->acts[i];
    return NULL;
}

/* Above the block that an act names, those before it have nothing to say any more, whoever holds their keys. */
static rdg_err_t check_not_replaced(const rdg_trust_t *t, uint64_t height) {
    uint64_t known = rdg_trust_latest(t)->validators.epoch;
    for (uint32_t i = 0; i < t->act_count; ++i)
        if (height > t->acts[i].height && t->acts[i].epoch.validators.epoch > known)
            return rdg_fail(RDG_E_STALE,
                            "the administrators have replaced the validators behind block %" PRIu64
                            "; known are those up to epoch %" PRIu64 ": learn the changes between first",
                            t->acts[i].height, known);
    return RDG_OK;
}

rdg_err_t trust_check(const rdg_trust_t *t, rdg_bytes_t executed, rdg_bytes_t checkpoint,
                      rdg_executed_t *out) {
    rdg_certificate_t c;
    rdg_hash_t digest;
    RDG_TRY(rdg_executed_decode(executed, out));
    if (out->chain_id != rdg_trust_chain_id(t))
        return rdg_fail(RDG_E_WRONG_CHAIN, "evidence is of chain %" PRIu64 ", wanted is chain %" PRIu64,
                        out->chain_id, rdg_trust_chain_id(t));
    RDG_TRY(rdg_certificate_decode(checkpoint, &c));
    uint64_t newest = rdg_trust_latest(t)->validators.epoch;
    if (c.statement.epoch > newest)
        return rdg_fail(RDG_E_STALE,
                        "evidence is signed by the validators of epoch %" PRIu64
                        "; known are those up to %" PRIu64 ": learn the changes between first",
                        c.statement.epoch, newest);
    RDG_TRY(check_not_replaced(t, out->height));
    RDG_TRY(rdg_executed_hash(out, &digest));
    const rdg_epoch_t *e = signers_of(t, out->height, c.statement.epoch);
    return (t->is_raft ? rdg_certificate_verify_raft : rdg_certificate_verify)(
        &c, &e->validators, RDG_PHASE_CHECKPOINT, out->height, &digest);
}

/* --- the next epoch ------------------------------------------------------------------------------------------- */

/* A header that the validators before have signed names the epoch; or an act does, which names the header. */
static rdg_err_t check_reason(const rdg_trust_t *t, uint64_t number, rdg_bytes_t epoch,
                              const rdg_executed_t *x) {
    rdg_hash_t digest, header;
    const rdg_succession_t *act = act_of(t, number);
    rdg_sm3_tagged(RDG_DOMAIN_EPOCH, &epoch, 1, &digest);
    RDG_TRY(rdg_executed_hash(x, &header));
    if (act && !(rdg_hash_equal(&digest, &act->epoch_digest) && rdg_hash_equal(&header, &act->executed)))
        return rdg_fail(RDG_E_INVALID,
                        "evidence: epoch %" PRIu64 " is another than that of the administrators' act",
                        number);
    if (act || rdg_hash_equal(&digest, &x->epoch_digest)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "evidence: block %" PRIu64 " does not name that epoch; %s", x->height,
                    SUCCESSION_HINT);
}

/* Named by a header that the latest validators signed, and the one that follows them. */
static rdg_err_t next_epoch(const rdg_trust_t *t, rdg_bytes_t evidence, rdg_epoch_t *next) {
    rdg_epoch_parts_t p;
    rdg_executed_t executed;
    const rdg_epoch_t *latest = rdg_trust_latest(t);
    RDG_TRY(rdg_evidence_decode_epoch(evidence, &p));
    RDG_TRY(trust_check(t, p.executed, p.checkpoint, &executed));
    RDG_TRY(rdg_epoch_decode(p.epoch, rdg_trust_chain_id(t), next));
    uint64_t number = next->validators.epoch, known = latest->validators.epoch;
    RDG_TRY(check_reason(t, number, p.epoch, &executed));
    if (number <= known) return rdg_fail(RDG_E_DUPLICATE, "epoch %" PRIu64 " is known already", number);
    if (number != known + 1 || next->first_height <= executed.height ||
        executed.height < latest->first_height)
        return rdg_fail(RDG_E_INVALID, "evidence is of epoch %" PRIu64 "; the next to learn is %" PRIu64,
                        number, known + 1);
    return RDG_OK;
}

static rdg_err_t append(rdg_trust_t *t, const rdg_epoch_t *next) {
    if (t->count == RDG_TRUST_EPOCHS_MAX)
        return rdg_fail(RDG_E_FULL, "%u epochs are known, which is the limit", t->count);
    rdg_epoch_t *bigger = rdg_realloc(t->epochs, (t->count + 1) * sizeof *bigger);
    if (!bigger) return rdg_fail(RDG_E_NO_MEMORY, "no memory for another epoch");
    t->epochs = bigger;
    t->epochs[t->count - 1].last_height = next->first_height - 1;
    t->epochs[t->count++] = *next;
    return RDG_OK;
}

rdg_err_t rdg_trust_advance(rdg_trust_t *t, rdg_bytes_t epoch_evidence) {
    rdg_epoch_t next;
    RDG_TRY(next_epoch(t, epoch_evidence, &next));
    return append(t, &next);
}
