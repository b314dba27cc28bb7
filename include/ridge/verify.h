/* Proofs: a receipt, or values of a contract's storage, believed without believing the node that gives them.
 *
 * A trust begins with the chain's genesis file, which is to come from somewhere you trust, and knows the validators
 * from it. Changes of the validators are learnt in order, each from evidence that the validators before it signed:
 * ridge_trust_update fetches them from any node. Evidence is bytes; it can be kept and verified years later, offline.
 * What it proves and its form: docs/ledger.md. A trust is as fresh as the last change that it learnt.
 *
 * Errors of verification: MALFORMED, TOO_LARGE, WRONG_CHAIN, BAD_SIGNATURE, INVALID (it proves nothing), STALE (update
 * the trust first). Nothing of a proof that fails is given out. */
#ifndef RIDGE_VERIFY_H
#define RIDGE_VERIFY_H
#include <ridge/node.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ridge_trust ridge_trust_t;
/* genesis: the text of genesis.json, with the acts of succession beside it that you accept (docs/recovery.md). Returns
 * owned. */
RIDGE_API ridge_status_t ridge_trust_new(const char *genesis, ridge_trust_t **out);
RIDGE_API void ridge_trust_free(ridge_trust_t *trust); /* NULL is fine */
/* The number of the newest set of validators that it knows; 0 is the genesis's. */
RIDGE_API uint64_t ridge_trust_epoch(const ridge_trust_t *trust);
/* Learns one change from epoch evidence, the next that it does not know. DUPLICATE: known already. */
RIDGE_API ridge_status_t ridge_trust_learn(ridge_trust_t *trust, const uint8_t *evidence, size_t len);
/* Evidence of the change that made set `epoch` (from 1 on), to be kept beside that of receipts. Waits up to timeout_ms until
 * it is signed. NOT_FOUND: the node knows of no such change. evidence->data: ridge_free. */
RIDGE_API ridge_status_t ridge_prove_epoch(ridge_node_t *node, uint64_t epoch, uint64_t timeout_ms,
                                           ridge_bytes_t *evidence);
/* Fetches and learns every change that the node knows. What was learnt before a failure stays. UNAVAILABLE: the newest
 * change is not signed yet. */
RIDGE_API ridge_status_t ridge_trust_update(ridge_trust_t *trust, ridge_node_t *node);

/* Evidence of a transaction's receipt. Waits up to timeout_ms until validators have signed its block. NOT_FOUND: no
 * such transaction is in a block. evidence->data: ridge_free. */
RIDGE_API ridge_status_t ridge_prove_receipt(ridge_node_t *node, const char *id, uint64_t timeout_ms,
                                             ridge_bytes_t *evidence);
/* *time_ms: the block's time; may be NULL. */
RIDGE_API ridge_status_t ridge_verify_receipt(const ridge_trust_t *trust, const uint8_t *evidence, size_t len,
                                              ridge_receipt_t *out, uint64_t *time_ms);

#define RIDGE_SLOTS_MAX 128
/* Evidence of an account and of up to RIDGE_SLOTS_MAX of its storage slots, in the newest state. slots: slot_count times
 * 32 bytes, big-endian. evidence->data: ridge_free. */
RIDGE_API ridge_status_t ridge_prove_state(ridge_node_t *node, const char *address, const uint8_t *slots,
                                           size_t slot_count, uint64_t timeout_ms, ridge_bytes_t *evidence);
typedef struct ridge_state {
    uint64_t height; /* the block after which this held */
    char address[RIDGE_ADDRESS_TEXT];
    bool exists; /* the account; if not, what follows is zero */
    uint64_t nonce;
    uint8_t balance[32], code_hash[32]; /* code_hash: Keccak-256; zero where there is no code */
    size_t slot_count;
    struct {
        uint8_t slot[32], value[32]; /* an absent value is zero, as contracts see it */
    } slots[RIDGE_SLOTS_MAX];
} ridge_state_t;
RIDGE_API ridge_status_t ridge_verify_state(const ridge_trust_t *trust, const uint8_t *evidence, size_t len,
                                            ridge_state_t *out);

#ifdef __cplusplus
}
#endif
#endif
