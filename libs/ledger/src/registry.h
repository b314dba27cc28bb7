/* The registry inside the ledger. Source of the rules: contracts/Registry.sol; ridge/ledger/registry.h has the
 * invariants. */
#ifndef RIDGE_LEDGER_REGISTRY_INTERNAL_H
#define RIDGE_LEDGER_REGISTRY_INTERNAL_H
#include "governance.h"
#include "ridge/ledger/registry.h"

/* The registry's account, in the genesis. */
rdg_err_t registry_create(state_t *s);

/* registry_life.c: host functions of the EVM. ctx: a state_host_t. */
rdg_err_t registry_may_call(void *ctx, const rdg_address_t *a, rdg_evm_kind_t kind, bool is_static,
                            rdg_buf_t *refusal, bool *out);
rdg_err_t registry_set_life(state_t *s, account_t *a, uint8_t life);
/* Error(string) of why nothing may change that account. */
rdg_err_t registry_refusal(const account_t *a, rdg_buf_t *out);

/* registry_call.c: the contract. Views, and changes other than deploy and upgrade. */
rdg_err_t registry_call(void *ctx, const rdg_evm_message_t *msg, uint64_t *gas, rdg_buf_t *output,
                        bool *found, bool *ok);

#define REGISTRY_TEXT_MAX 200 /* of a refusal */

/* A call that needed the administrators and has their approval; by: who sent or completed it. *why: NULL, or why it is
 * refused, perhaps in text. *gas: used; UINT64_MAX when gas_limit was too little, and then nothing else is said. */
typedef struct registry_order {
    state_host_t *host;
    rdg_address_t by;
    rdg_bytes_t data;
    uint64_t gas_limit;
} registry_order_t;
rdg_err_t registry_run_order(const registry_order_t *o, uint64_t *gas, char text[REGISTRY_TEXT_MAX],
                             const char **why);
/* Is it a method that the administrators may order, with arguments that can be read? */
bool registry_is_order(rdg_bytes_t data);

/* registry_deploy.c: deploy and upgrade, which run a create as the transaction's sender. */
bool registry_is_deployment(const rdg_evm_message_t *msg);
/* Runs it whole; gas as rdg_evm_execute. result->output lives as long as the running transaction. */
rdg_err_t registry_deploy(state_host_t *host, rdg_evm_t *evm, const rdg_evm_message_t *msg,
                          rdg_evm_result_t *result);
/* May an ordinary transaction of msg->sender create with that init code? If not, *result says why. */
rdg_err_t registry_may_create(state_host_t *host, const rdg_evm_message_t *msg, rdg_evm_result_t *result,
                              bool *may);

#endif
