/* Proofs that an account or a storage slot has, or has not, a value under a state root.
 *
 * RLP: [ [sibling, …], leaf ]   siblings from the root down, 32 bytes or empty for an empty subtree;
 *   leaf = [path, value] that ends the way, or [] where the way ends in an empty subtree.
 * Present: the leaf's path is the one asked for. Absent: the way ends empty, or in another leaf that shares
 * the way so far. The tree itself is described in docs/ledger.md. Pure functions: no node is needed to
 * verify. */
#ifndef RIDGE_LEDGER_PROOF_H
#define RIDGE_LEDGER_PROOF_H
#include "ridge/base/buf.h"
#include "ridge/evm/evm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_PROOF_VALUE_MAX 96u
#define RDG_PROOF_BYTES_MAX 16384u

void rdg_state_account_path(const rdg_address_t *a, rdg_hash_t *path);
void rdg_state_slot_path(const rdg_address_t *a, const rdg_word_t *slot, rdg_hash_t *path);
void rdg_state_leaf(const rdg_hash_t *path, rdg_bytes_t value, rdg_hash_t *out);
void rdg_state_inner(const rdg_hash_t *left, const rdg_hash_t *right, rdg_hash_t *out);

/* RDG_OK: *present tells; *value (a view into proof) is set when present: a slot's 32-byte number without
 * leading zeros, or an account as RLP [nonce, balance, code_hash or empty], followed by
 * its status when it is not 0 (registry.h). MALFORMED, or INVALID when it
 * proves nothing under that root. */
rdg_err_t rdg_proof_verify(rdg_bytes_t proof, const rdg_hash_t *state_root, const rdg_hash_t *path,
                           bool *present, rdg_bytes_t *value);

#ifdef __cplusplus
}
#endif
#endif
