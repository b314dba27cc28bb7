#include "signatures.h"
#include "ridge/base/assert.h"

void signatures_init(signatures_t *g, const rdg_consensus_host_t *host) {
    g->host = host;
    g->count = 0;
}

rdg_err_t signatures_add(signatures_t *g, const rdg_validator_set_t *set, uint32_t signer,
                         const rdg_hash_t *hash, const rdg_sm2_signature_t *sig) {
    RDG_ASSERT(signer < set->count);
    if (g->count == RDG_CONSENSUS_CHECKS) RDG_TRY(signatures_done(g));
    size_t i = g->count++;
    g->of[i].hash = *hash;
    g->of[i].signature = *sig;
    g->of[i].signer = signer;
    g->checks[i] = (rdg_sm2_check_t){&set->keys[signer], rdg_bytes(g->of[i].hash.b, RDG_HASH_BYTES),
                                     &g->of[i].signature, .any_s = true};
    return RDG_OK;
}

rdg_err_t signatures_done(signatures_t *g) {
    rdg_err_t results[RDG_CONSENSUS_CHECKS];
    size_t count = g->count;
    g->count = 0;
    if (count == 0) return RDG_OK;
    /* A host that leaves a result unwritten has not verified. */
    for (size_t i = 0; i < count; ++i) results[i] = RDG_E_BAD_SIGNATURE;
    g->host->verify(g->host->ctx, g->checks, count, results);
    for (size_t i = 0; i < count; ++i)
        if (results[i] != RDG_OK)
            return rdg_fail(RDG_E_BAD_SIGNATURE, "the signature of validator %u does not verify",
                            g->of[i].signer);
    return RDG_OK;
}
