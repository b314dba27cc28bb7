/* Governance inside the ledger: its state, its rules, its contract. Source of the rules: contracts/Governance.sol.
 *
 * The whole state is one value, encoded as RLP and cut into the storage slots 1, 2, … of its address; slot 0 holds the
 * length. Texts that a call is refused with are part of the protocol: they stand in receipts. */
#ifndef RIDGE_LEDGER_GOVERNANCE_INTERNAL_H
#define RIDGE_LEDGER_GOVERNANCE_INTERNAL_H
#include "native.h"
#include "ridge/ledger/governance.h"

#define GOVERNANCE_OBSERVERS_MAX 64
#define GOVERNANCE_PROPOSALS_MAX 16
#define GOVERNANCE_CALL_MAX 512             /* bytes of a call that waits for approval */
#define GOVERNANCE_PROPOSAL_HEIGHTS 100000u /* a proposal is void after that many blocks */
#define GOVERNANCE_BYTES_MAX (64u << 10)    /* encoded */
#define GOVERNANCE_GAS_SLOT 400u            /* a slot of it that a call reads */

typedef struct observer {
    rdg_sm2_public_t key;
    char name[RDG_NAME_MAX + 1];
} observer_t;

typedef struct proposal {
    uint64_t id, last_height;
    rdg_address_t proposer;
    uint32_t approval_count, call_len;
    rdg_address_t approvals[RDG_GENESIS_ADMINS_MAX];
    uint8_t call[GOVERNANCE_CALL_MAX];
} proposal_t;

typedef struct governance {
    rdg_epoch_t latest, previous; /* previous: all zero before there was a change */
    uint32_t observer_count, admin_count, threshold, proposal_count;
    observer_t observers[GOVERNANCE_OBSERVERS_MAX];
    rdg_address_t admins[RDG_GENESIS_ADMINS_MAX];
    rdg_chain_params_t params; /* from the next block on; those of consensus: of the latest epoch */
    uint64_t next_proposal;
    proposal_t proposals[GOVERNANCE_PROPOSALS_MAX];
} governance_t;

/* governance_codec.c */
void governance_from_genesis(const rdg_genesis_t *g, governance_t *out);
rdg_err_t governance_encode(const governance_t *g, rdg_buf_t *out);
rdg_err_t governance_decode(rdg_bytes_t encoded, uint64_t chain_id, governance_t *out); /* MALFORMED */
/* The epoch of a height; one that is scheduled, or the one that rules. */
const rdg_epoch_t *governance_epoch(const governance_t *g, uint64_t height);

/* governance_state.c */
rdg_err_t governance_create(state_t *s, const rdg_genesis_t *g);
rdg_err_t governance_load(state_t *s, uint64_t chain_id, governance_t *out, size_t *slots); /* CORRUPT */
/* *gas is what the slots that differ cost (as SSTORE), to be charged by the caller. */
rdg_err_t governance_store(state_t *s, const governance_t *g, uint64_t *gas);

/* governance_rules.c: each returns NULL, or why it is refused; then g is as it was. height: of the running block. */
typedef struct member {
    rdg_sm2_public_t key;
    const char *name;
    uint32_t weight;
} member_t;
const char *governance_add_validator(governance_t *g, uint64_t height, const member_t *m);
const char *governance_remove_validator(governance_t *g, uint64_t height, const rdg_sm2_public_t *key);
const char *governance_set_weight(governance_t *g, uint64_t height, const rdg_sm2_public_t *key,
                                  uint32_t weight);
const char *governance_add_observer(governance_t *g, const member_t *m);
const char *governance_remove_observer(governance_t *g, const rdg_sm2_public_t *key);
/* weight 0: the validator becomes an observer; else the observer a validator of that weight. */
const char *governance_demote(governance_t *g, uint64_t height, const rdg_sm2_public_t *key);
const char *governance_promote(governance_t *g, uint64_t height, const rdg_sm2_public_t *key,
                               uint32_t weight);
const char *governance_set_parameter(governance_t *g, uint64_t height, const char *name, uint64_t value);
const char *governance_add_admin(governance_t *g, const rdg_address_t *a);
const char *governance_remove_admin(governance_t *g, const rdg_address_t *a);
const char *governance_set_threshold(governance_t *g, uint32_t threshold);
bool governance_is_admin(const governance_t *g, const rdg_address_t *a);
/* Of those who are administrators still. */
uint32_t governance_approvals(const governance_t *g, const proposal_t *p);

/* governance_call.c: the precompile of rdg_evm_host_t at its address. ctx: a state_host_t. */
rdg_err_t governance_call(void *ctx, const rdg_evm_message_t *msg, uint64_t *gas, rdg_buf_t *output,
                          bool *found, bool *ok);

#endif
