/* Signatures of validators that one message or certificate carries, gathered so that the host verifies many in one
 * call.
 *
 * Whoever gathers says OK only after signatures_done() did. When the gatherer is full it asks the host at once, so a
 * bad signature is found after at most RDG_CONSENSUS_CHECKS more of them; the first bad one is the one named. */
#ifndef RIDGE_CONSENSUS_SIGNATURES_H
#define RIDGE_CONSENSUS_SIGNATURES_H
#include "ridge/consensus/consensus.h"

typedef struct signatures {
    const rdg_consensus_host_t *host; /* borrowed */
    size_t count;
    rdg_sm2_check_t checks[RDG_CONSENSUS_CHECKS];
    struct {
        rdg_hash_t hash;
        rdg_sm2_signature_t signature;
        uint32_t signer;
    } of[RDG_CONSENSUS_CHECKS];
} signatures_t;

void signatures_init(signatures_t *g, const rdg_consensus_host_t *host);
/* Copies hash and sig, borrows the set until done. BAD_SIGNATURE, named: one of those gathered so far. */
rdg_err_t signatures_add(signatures_t *g, const rdg_validator_set_t *set, uint32_t signer,
                         const rdg_hash_t *hash, const rdg_sm2_signature_t *sig);
/* Verifies what is still gathered; the gatherer is empty afterwards. */
rdg_err_t signatures_done(signatures_t *g);

#endif
