#include "ridge/consensus/validators.h"
#include "planted.h"
#include <string.h>

uint32_t rdg_validators_faults(uint32_t total) {
    return total > 0 ? (total - 1) / 3 : 0;
}
uint32_t rdg_validators_quorum(uint32_t total) {
    return total - rdg_validators_faults(total);
}
uint32_t rdg_validators_majority(uint32_t total) {
    return total / 2 + 1;
}

uint32_t rdg_validators_weight(const rdg_validator_set_t *set, uint32_t index) {
    if (index >= set->count) return 0;
    return set->weights[index] > 0 ? set->weights[index] : 1;
}

uint32_t rdg_validators_total(const rdg_validator_set_t *set) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < set->count; ++i) total += rdg_validators_weight(set, i);
    return total;
}
rdg_err_t rdg_validators_check(const rdg_validator_set_t *set) {
    if (set->count == 0) return rdg_fail(RDG_E_INVALID, "a chain needs at least one validator");
    if (set->count > RDG_VALIDATORS_MAX)
        return rdg_fail(RDG_E_INVALID, "%u validators, at most %d", set->count, RDG_VALIDATORS_MAX);
    for (uint32_t i = 0; i < set->count; ++i) {
        if (set->weights[i] > RDG_VALIDATOR_WEIGHT_MAX)
            return rdg_fail(RDG_E_INVALID, "validator %u has weight %u, at most %u", i, set->weights[i],
                            RDG_VALIDATOR_WEIGHT_MAX);
        for (uint32_t k = 0; k < i; ++k)
            if (memcmp(set->keys[i].b, set->keys[k].b, sizeof set->keys[i].b) == 0)
                return rdg_fail(RDG_E_INVALID, "validators %u and %u have the same key", k, i);
    }
    return RDG_OK;
}

void rdg_validators_hash(const rdg_validator_set_t *set, rdg_hash_t *out) {
    uint8_t head[20];
    rdg_store_be64(head, set->chain_id);
    rdg_store_be64(head + 8, set->epoch);
    rdg_store_be32(head + 16, set->count);
    uint8_t weights[4 * RDG_VALIDATORS_MAX];
    for (uint32_t i = 0; i < set->count; ++i)
        rdg_store_be32(weights + 4 * (size_t)i, rdg_validators_weight(set, i));
    const rdg_bytes_t parts[] = {rdg_bytes(head, sizeof head),
                                 rdg_bytes(set->keys, set->count * sizeof set->keys[0]),
                                 rdg_bytes(weights, 4 * (size_t)set->count)};
    rdg_sm3_tagged(RDG_DOMAIN_VALIDATORS, parts, 3, out);
}

uint32_t rdg_validators_find(const rdg_validator_set_t *set, const rdg_sm2_public_t *key) {
    uint32_t i = 0;
    while (i < set->count && memcmp(set->keys[i].b, key->b, sizeof key->b) != 0) ++i;
    return i;
}

void rdg_statement_hash(uint64_t chain_id, const rdg_statement_t *s, rdg_hash_t *out) {
    uint8_t head[8 + 8 + 1 + 8 + 8];
    rdg_writer_t w;
    rdg_writer_init(&w, head, sizeof head);
    rdg_write_u64(&w, chain_id);
    rdg_write_u64(&w, s->epoch);
    rdg_write_u8(&w, (uint8_t)s->phase);
    rdg_write_u64(&w, PLANTED("view-unsigned") ? 0 : s->view);
    rdg_write_u64(&w, s->height);
    const rdg_bytes_t parts[] = {rdg_bytes(head, sizeof head), rdg_bytes(s->digest.b, sizeof s->digest.b)};
    bool is_raft = s->phase == RDG_PHASE_RAFT_LEADER;
    rdg_sm3_tagged(is_raft ? RDG_DOMAIN_RAFT : RDG_DOMAIN_PBFT, parts, 2, out);
}
