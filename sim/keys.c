#include "world.h"
#include "ridge/base/assert.h"
#include <string.h>

/* A fast signature is a tag that follows from the hash and a secret, and the secret from the public key by a rule
 * that only this file knows. evil.c signs through keys_sign, which asks whose key it is. */
#define SECRET_RULE 0x5eed0fa11ba5e5u

static rdg_sm2_key_t *real_keys[SIM_VALIDATORS_MAX];

static uint64_t load(const uint8_t *p) {
    return rdg_load_be64(p);
}

static void tag(const rdg_sm2_public_t *key, const rdg_hash_t *hash, uint8_t out[64]) {
    uint64_t secret = dice_mix(load(key->b) ^ SECRET_RULE);
    uint64_t t = secret;
    for (size_t i = 0; i < 4; ++i) t = dice_mix(t ^ load(hash->b + 8 * i));
    for (size_t i = 0; i < 8; ++i) rdg_store_be64(out + 8 * i, t + i);
}

typedef struct signer {
    const world_t *w;
    uint32_t validator;
} signer_t;

static signer_t signers[SIM_REPLICAS_MAX];

static rdg_err_t fast_sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out) {
    const signer_t *s = ctx;
    tag(&s->w->config.validators.keys[s->validator], hash, out->b);
    return RDG_OK;
}

static void fast_verify(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx;
    for (size_t i = 0; i < count; ++i) {
        rdg_hash_t hash;
        uint8_t want[64];
        memcpy(hash.b, checks[i].msg.data, sizeof hash.b);
        tag(checks[i].pub, &hash, want);
        results[i] = memcmp(want, checks[i].sig->b, sizeof want) == 0 ? RDG_OK : RDG_E_BAD_SIGNATURE;
    }
}

static rdg_err_t real_sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out) {
    const signer_t *s = ctx;
    return rdg_sm2_sign_standard(real_keys[s->validator], hash->b, sizeof hash->b, out);
}

static void real_verify(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx;
    rdg_sm2_verify_batch(checks, count, results);
}

void keys_make(world_t *w) {
    rdg_validator_set_t *set = &w->config.validators;
    set->chain_id = 7;
    set->count = w->validators;
    for (uint32_t i = 0; i < w->validators; ++i) {
        for (size_t k = 0; k < sizeof set->keys[i].b / 8; ++k)
            rdg_store_be64(set->keys[i].b + 8 * k, dice_mix(w->plan.seed * 64 + i + (k << 32)));
        if (!w->plan.sm2) continue;
        uint8_t scalar[32];
        for (size_t k = 0; k < 4; ++k) rdg_store_be64(scalar + 8 * k, dice_mix(i + (k << 8)) >> 8);
        RDG_ASSERT(rdg_sm2_key_from_scalar(scalar, &real_keys[i]) == RDG_OK);
        rdg_sm2_key_public(real_keys[i], &set->keys[i]);
    }
    for (uint32_t i = 0; i < SIM_REPLICAS_MAX; ++i) signers[i] = (signer_t){w, i};
    w->signer_bytes = sizeof signers[0];
    w->config.host = w->plan.sm2 ? (rdg_consensus_host_t){real_sign, real_verify, block_digest, signers}
                                 : (rdg_consensus_host_t){fast_sign, fast_verify, block_digest, signers};
}

void keys_free(world_t *w) {
    (void)w;
    for (uint32_t i = 0; i < SIM_VALIDATORS_MAX; ++i) {
        rdg_sm2_key_free(real_keys[i]);
        real_keys[i] = NULL;
    }
}

/* What is signed, by the contract (ridge/consensus/validators.h) and not by the core's own function: a core whose
 * signatures bind less is not judged by itself. */
static void hash_of(const world_t *w, const rdg_statement_t *s, rdg_hash_t *out) {
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 256);
    rdg_buf_u64(&bytes, w->config.validators.chain_id);
    rdg_buf_u64(&bytes, s->epoch);
    rdg_buf_u8(&bytes, (uint8_t)s->phase);
    rdg_buf_u64(&bytes, s->view);
    rdg_buf_u64(&bytes, s->height);
    rdg_buf_append(&bytes, s->digest.b, sizeof s->digest.b);
    rdg_bytes_t all = rdg_buf_view(&bytes);
    rdg_sm3_tagged(s->phase == RDG_PHASE_RAFT_LEADER ? RDG_DOMAIN_RAFT : RDG_DOMAIN_PBFT, &all, 1, out);
    rdg_buf_fini(&bytes);
}

void keys_sign(world_t *w, uint32_t validator, const rdg_statement_t *s, rdg_sm2_signature_t *out) {
    rdg_hash_t hash;
    RDG_ASSERT(w->plan.evil >> validator & 1);
    hash_of(w, s, &hash);
    RDG_ASSERT(w->config.host.sign(&signers[validator], &hash, out) == RDG_OK);
}

bool keys_certificate_holds(const world_t *w, rdg_bytes_t encoded, rdg_phase_t phase, uint64_t height,
                            const rdg_hash_t *digest) {
    rdg_certificate_t c;
    rdg_hash_t hash;
    uint64_t signed_by = 0, epoch = w->epoch_count - 1;
    uint32_t count = 0;
    while (epoch > 0 && w->epochs[epoch].first_height > height) --epoch;
    uint32_t members;
    if (rdg_certificate_decode(encoded, &c) != RDG_OK) return false;
    /* The last block of an epoch is the first that the next one's validators vote on. */
    bool is_last = epoch + 1 < w->epoch_count && w->epochs[epoch + 1].first_height == height + 1;
    if (phase == RDG_PHASE_CHECKPOINT && is_last && c.statement.epoch == epoch + 1) ++epoch;
    members = w->epochs[epoch].members;
    if (c.statement.phase != phase || c.statement.epoch != epoch || c.statement.height != height ||
        !rdg_hash_equal(&c.statement.digest, digest))
        return false;
    hash_of(w, &c.statement, &hash);
    for (uint32_t i = 0; i < c.count; ++i) {
        uint32_t index = c.votes[i].index;
        if (index >= set_count(members) || (signed_by >> index & 1)) return false;
        const rdg_sm2_public_t *key = &w->config.validators.keys[set_member(members, index)];
        const rdg_sm2_check_t check = {key, rdg_bytes(hash.b, sizeof hash.b), &c.votes[i].signature,
                                       .any_s = true};
        rdg_err_t result;
        w->config.host.verify(NULL, &check, 1, &result);
        if (result != RDG_OK) return false;
        signed_by |= (uint64_t)1 << index;
        ++count;
    }
    bool by_leader = phase == RDG_PHASE_RAFT_LEADER;
    return by_leader ? count == 1 : count >= w->plan.protocol->quorum(set_count(members));
}
