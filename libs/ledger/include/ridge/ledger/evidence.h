/* Evidence: a receipt, or values of the state, with all that proves them to someone who knows validators only.
 *
 * Receipt evidence, RLP:
 *   [ 1, header, executed, checkpoint, index, transaction, [sibling, …], signatures(32), receipt, [sibling, …] ]
 * State evidence, RLP:
 *   [ 2, executed, checkpoint, address, account_proof or empty, [ [slot(32), proof], … ] ]
 * Epoch evidence, RLP:
 *   [ 3, executed, checkpoint, epoch ]
 * where header, executed, receipt and checkpoint are as in block.h and validators.h, epoch as in governance.h,
 * transaction is a wire form (tx.h), signatures the digest of the block's signatures (block.h), proofs are as in
 * proof.h, and siblings are 32-byte digests from the leaf up.
 *
 * What verification establishes, and in this order: the checkpoint certificate is of the validators that the
 * trust has for that height; it signs the executed header; that names the block's hash and so the header; the
 * transaction's id and its receipt stand at one index of the block's two Merkle lists, whose length the header
 * states; the transaction's own signature. State: the account and each slot under the executed state root.
 * Epoch: the executed header, signed by the validators before, names its digest.
 *
 * A trust knows the validators from genesis on and learns later ones in order, each from epoch evidence that the set
 * before it signed. It is as fresh as the last change that it learnt. A quorum of validators who left long ago could
 * deceive a trust that never heard of their successors, so bring it up to date first.
 *
 * Limits: evidence of RDG_EVIDENCE_BYTES_MAX, RDG_EVIDENCE_SLOTS_MAX slots, RDG_TRUST_EPOCHS_MAX changes.
 * Errors: MALFORMED, TOO_LARGE, WRONG_CHAIN, BAD_SIGNATURE, INVALID (well-formed, and proves nothing), STALE (signed
 * in an epoch that the trust does not know yet), NO_MEMORY. A trust that refuses is as it was. Pure functions; a
 * trust may be read by many threads while none changes it. */
#ifndef RIDGE_LEDGER_EVIDENCE_H
#define RIDGE_LEDGER_EVIDENCE_H
#include "ridge/ledger/block.h"
#include "ridge/ledger/governance.h"
#include "ridge/ledger/proof.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_EVIDENCE_BYTES_MAX (9u << 20)
#define RDG_EVIDENCE_SLOTS_MAX 128
#define RDG_TRUST_EPOCHS_MAX 1024
#define RDG_LIST_PROOF_MAX 12 /* siblings: log2 of RDG_BLOCK_TXS_MAX */

/* --- a place in a Merkle list (crypto/hash.h) ---------------------------------------------------------------- */
typedef struct rdg_list_proof {
    uint32_t count; /* of siblings */
    rdg_hash_t siblings[RDG_LIST_PROOF_MAX];
} rdg_list_proof_t;
/* leaves: as for rdg_merkle_root, and destroyed as there. INVALID: index not below count; TOO_LARGE. */
rdg_err_t rdg_list_prove(rdg_hash_t *leaves, uint32_t count, uint32_t index, rdg_list_proof_t *out);
/* The root of the list of `count` whose index-th item this is. INVALID: no list of that length has such a way. */
rdg_err_t rdg_list_proof_root(const rdg_list_proof_t *p, uint32_t count, uint32_t index, rdg_bytes_t item,
                              rdg_hash_t *root);

/* --- trust ----------------------------------------------------------------------------------------------------- */
typedef struct rdg_trust rdg_trust_t;
/* Copies what it needs of genesis. Returns owned. */
rdg_err_t rdg_trust_new(const rdg_genesis_t *genesis, rdg_trust_t **out);
void rdg_trust_free(rdg_trust_t *t); /* NULL is fine */
/* The newest epoch that it knows. Borrowed until the next change. */
const rdg_epoch_t *rdg_trust_latest(const rdg_trust_t *t);
uint64_t rdg_trust_chain_id(const rdg_trust_t *t);
/* Learns the epoch after the latest from epoch evidence. DUPLICATE: one that it knows already. INVALID: not the next,
 * or not named by the header. FULL. */
rdg_err_t rdg_trust_advance(rdg_trust_t *t, rdg_bytes_t epoch_evidence);
typedef struct rdg_epoch_parts {
    rdg_bytes_t executed, checkpoint, epoch; /* encoded */
} rdg_epoch_parts_t;
rdg_err_t rdg_evidence_encode_epoch(const rdg_epoch_parts_t *parts, rdg_buf_t *out);
rdg_err_t rdg_evidence_decode_epoch(rdg_bytes_t evidence, rdg_epoch_parts_t *out);

/* --- receipts -------------------------------------------------------------------------------------------------- */
typedef struct rdg_receipt_evidence {
    rdg_header_t header;
    rdg_executed_t executed;
    rdg_hash_t block_hash;
    uint32_t index;
    rdg_tx_t *tx;          /* owned */
    rdg_receipt_t receipt; /* logs in the arena, views into the evidence given */
} rdg_receipt_evidence_t;
/* On success out->tx is a reference to give back; on failure it is NULL. */
rdg_err_t rdg_evidence_verify_receipt(const rdg_trust_t *t, rdg_bytes_t evidence, rdg_arena_t *arena,
                                      rdg_receipt_evidence_t *out);
/* From the parts that a node gives; appended. Nothing is verified. */
typedef struct rdg_receipt_parts {
    rdg_bytes_t header, executed, checkpoint, transaction, receipt; /* encoded */
    uint32_t index;
    rdg_hash_t signatures;
    rdg_list_proof_t in_ids, in_receipts;
} rdg_receipt_parts_t;
rdg_err_t rdg_evidence_encode_receipt(const rdg_receipt_parts_t *parts, rdg_buf_t *out);
/* The parts again, for who wants to show them; views into evidence. MALFORMED, TOO_LARGE. */
rdg_err_t rdg_evidence_decode_receipt(rdg_bytes_t evidence, rdg_receipt_parts_t *out);

/* --- state ----------------------------------------------------------------------------------------------------- */
typedef struct rdg_slot_proof {
    rdg_word_t slot;
    rdg_bytes_t proof;
} rdg_slot_proof_t;
typedef struct rdg_state_parts {
    rdg_bytes_t executed, checkpoint; /* encoded */
    rdg_address_t address;
    rdg_bytes_t account_proof; /* empty: not asked for */
    uint32_t slot_count;
    rdg_slot_proof_t slots[RDG_EVIDENCE_SLOTS_MAX];
} rdg_state_parts_t;
rdg_err_t rdg_evidence_encode_state(const rdg_state_parts_t *parts, rdg_buf_t *out);
rdg_err_t rdg_evidence_decode_state(rdg_bytes_t evidence, rdg_state_parts_t *out);

typedef struct rdg_state_evidence {
    rdg_executed_t executed;
    rdg_address_t address;
    bool has_account; /* evidence speaks of the account; then: */
    bool exists;
    uint64_t nonce;
    rdg_word_t balance, code_hash; /* code_hash zero: no code */
    uint8_t life;                  /* registry.h */
    uint32_t slot_count;
    struct {
        rdg_word_t slot, value; /* an absent value is zero, as contracts see it */
    } slots[RDG_EVIDENCE_SLOTS_MAX];
} rdg_state_evidence_t;
rdg_err_t rdg_evidence_verify_state(const rdg_trust_t *t, rdg_bytes_t evidence, rdg_state_evidence_t *out);

#ifdef __cplusplus
}
#endif
#endif
