/* Who decides, by which parameters: the chain's governance as it stands in its state.
 *
 * It is a contract that every node has built in, at RDG_GOVERNANCE_ADDRESS; its interface for tools is
 * contracts/Governance.sol (contracts/artifacts/Governance.json), its rules are told there. Its state lies in the
 * storage of that address, so it is under the state root, is undone with a transaction that fails, and follows from
 * genesis and blocks alone.
 *
 * Epochs. A validator set rules from a first height to the one before the next epoch's first. A change that is
 * executed in block h starts an epoch at h + RDG_CONSENSUS_WINDOW + 1 (consensus.h, invariant 7); one at a time is
 * scheduled. An act of the administrators may start one behind the last block of validators who are all lost
 * (succession.h). A ledger keeps every epoch, so that the seal of any block can be verified against the set of its height.
 *
 * Invariants of every set: 1 to RDG_VALIDATORS_MAX validators, keys that are points of the curve, no key and no name
 * twice among validators and observers, weights of 1 to RDG_VALIDATOR_WEIGHT_MAX. */
#ifndef RIDGE_LEDGER_GOVERNANCE_H
#define RIDGE_LEDGER_GOVERNANCE_H
#include "ridge/consensus/validators.h"
#include "ridge/ledger/genesis.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0x0000000000000000000000000000000000001001 */
extern const rdg_address_t RDG_GOVERNANCE_ADDRESS;

/* RLP [epoch, first_height, view_timeout_ms, rotate_every, [[key, name, weight], …]]; last_height and chain id are
 * not part of it. Decoding is strict: MALFORMED for everything that the invariants forbid but the curve. */
rdg_err_t rdg_epoch_encode(const rdg_epoch_t *e, rdg_buf_t *out);
rdg_err_t rdg_epoch_decode(rdg_bytes_t encoded, uint64_t chain_id, rdg_epoch_t *out);
/* SM3 (tag EPOCH) of the encoding: what executed headers name (block.h). */
rdg_err_t rdg_epoch_digest(const rdg_epoch_t *e, rdg_hash_t *out);

#ifdef __cplusplus
}
#endif
#endif
