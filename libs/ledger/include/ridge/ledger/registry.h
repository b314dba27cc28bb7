/* The registry of contracts: names with versions, and what may be called.
 *
 * It is a contract that every node has built in, at RDG_REGISTRY_ADDRESS; its interface for tools is contracts/Registry.sol
 * (contracts/artifacts/Registry.json), its rules are told there. Names and roles lie in the storage of that address
 * (docs/ledger.md has the slots). What was done to a contract lies in the contract's own account, as bits: so it is under
 * the state root, is proven with the account, is undone with a transaction that fails, and is at hand wherever the
 * contract is called.
 *
 * Invariants
 * 1. No code of a revoked contract runs, whoever calls it and by whatever operation.
 * 2. Storage and code of a frozen, superseded or revoked contract do not change. (Its balance may grow as in Ethereum,
 *    by SELFDESTRUCT, which no code can refuse.)
 * 3. An address has at most one name and version. A revocation is for good.
 * 4. A name's versions count from 1 without a gap; at most one of them is active. */
#ifndef RIDGE_LEDGER_REGISTRY_H
#define RIDGE_LEDGER_REGISTRY_H
#include "ridge/evm/evm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_REGISTRY_VERSIONS_MAX 256 /* of a name */
#define RDG_REGISTRY_PAGE_MAX 100     /* items of a list in one answer */
#define RDG_REGISTRY_DEPLOYERS_MAX 1024

/* 0x0000000000000000000000000000000000001002 */
extern const rdg_address_t RDG_REGISTRY_ADDRESS;

typedef enum rdg_contract_status {
    RDG_CONTRACT_ACTIVE,
    RDG_CONTRACT_FROZEN,
    RDG_CONTRACT_SUPERSEDED,
    RDG_CONTRACT_REVOKED
} rdg_contract_status_t;

/* Bits of an account's status: 1 frozen by the owner, 2 frozen by the administrators, 4 superseded, 8 revoked. The
 * strongest counts. */
rdg_contract_status_t rdg_contract_status(uint8_t life);
const char *rdg_contract_status_name(rdg_contract_status_t s); /* "active", … */

#ifdef __cplusplus
}
#endif
#endif
