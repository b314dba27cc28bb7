/* SM2 key exchange (GB/T 32918.3-2016, section 6) on the curve of GB/T 32918.5, with the default user id on
 * both sides. Points and numbers modulo n are libcrypto's; what is computed from the shared point is SM3.
 *
 * Each side has a static key, whose public half the other knows and trusts, and an ephemeral one that serves
 * this exchange alone. Both sides get the same bytes, if and only if they mean the same four public keys
 * and the same roles; nobody else gets them while one of the static and one of the ephemeral keys is secret.
 *
 * Invariants
 * 1. A peer's public key that is not on the curve is refused, and so is a shared point at infinity, which
 *    only a peer that chooses its ephemeral key for it can bring about.
 * 2. Who the peer is, is proven by a protocol's own last message (as TLCP's Finished) or by comparing the
 *    two confirmations: an exchange that nobody confirms succeeds with any peer.
 *
 * Thread-safe. */
#ifndef RIDGE_CRYPTO_SM2_EXCHANGE_H
#define RIDGE_CRYPTO_SM2_EXCHANGE_H
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_SM2_EXCHANGE_MAX 1024

typedef struct rdg_sm2_exchange {
    bool initiator; /* the side that the standard calls A */
    const rdg_sm2_key_t *own_static, *own_ephemeral;
    const rdg_sm2_public_t *peer_static, *peer_ephemeral;
} rdg_sm2_exchange_t;

/* What B sends to A (S_B, which A compares) and A to B (S_A). */
typedef struct rdg_sm2_confirmation {
    rdg_hash_t of_responder, of_initiator;
} rdg_sm2_confirmation_t;

/* len bytes, at most RDG_SM2_EXCHANGE_MAX (asserted), to out; confirmation may be NULL. INVALID: invariant 1.
 * CRYPTO, NO_MEMORY. On failure out is wiped. */
rdg_err_t rdg_sm2_exchange(const rdg_sm2_exchange_t *x, uint8_t *out, size_t len,
                           rdg_sm2_confirmation_t *confirmation);

#ifdef __cplusplus
}
#endif
#endif
