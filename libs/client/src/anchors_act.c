/* Which act counts says the main chain: there is one entry for each number of a validator set. */
#include <inttypes.h>
#include <string.h>
#include "ridge/client/anchors.h"

rdg_err_t rdg_anchor_check_act(const rdg_anchor_proof_t *p, const rdg_succession_report_t *act) {
    const rdg_succession_t *s = &act->succession;
    if (p->entry.chain != act->chain_id ||
        memcmp(p->chain.genesis, act->genesis.b, sizeof act->genesis.b) != 0)
        return rdg_fail(RDG_E_WRONG_CHAIN, "the act is of another chain than what the main chain has");
    if (p->chain.archived_to != s->height)
        return rdg_fail(RDG_E_CONFLICT,
                        "the act is for block %" PRIu64
                        ", and the main chain has archives up to block %" PRIu64 ": nothing is signed",
                        s->height, p->chain.archived_to);
    if (p->chain.epoch < s->epoch.validators.epoch) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "the act begins epoch %" PRIu64
                    ", and the main chain has one of that number: nothing is signed",
                    s->epoch.validators.epoch);
}

rdg_err_t rdg_anchor_check_extended(const rdg_anchor_proof_t *p, const rdg_genesis_t *extended) {
    json_t *values = NULL;
    uint64_t epoch = 0;
    rdg_hash_t digest;
    if (p->entry.kind != RDG_ANCHOR_VALIDATORS)
        return rdg_fail(RDG_E_CONFLICT, "the entry is no change of validators");
    if (extended->validators.chain_id != p->entry.chain ||
        memcmp(extended->hash.b, p->chain.genesis, sizeof extended->hash.b) != 0)
        return rdg_fail(RDG_E_WRONG_CHAIN, "it is of another chain than the entry");
    RDG_TRY(rdg_anchor_decode_data(p->entry.kind, p->entry.data, &values));
    rdg_err_t err = rdg_json_get_u64(values, "epoch", &epoch);
    if (err == RDG_OK) err = rdg_json_get_hex(values, "digest", digest.b, sizeof digest.b);
    json_decref(values);
    RDG_TRY(err);
    const rdg_succession_t *act = rdg_genesis_succession_of(extended, epoch);
    if (!act) return rdg_fail(RDG_E_CONFLICT, "it has no act by which epoch %" PRIu64 " began", epoch);
    if (rdg_hash_equal(&digest, &act->epoch_digest)) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "its act is not the one that the main chain has of epoch %" PRIu64
                    ": it was made for an older block or other validators; do not use this genesis",
                    epoch);
}
