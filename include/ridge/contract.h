/* Contracts by their ABI: deploy, send, call, events, each in one step.
 *
 * REVERTED: ridge_error says the contract's reason, its custom error by name, or what its panic code means. */
#ifndef RIDGE_CONTRACT_H
#define RIDGE_CONTRACT_H
#include <ridge/abi.h>
#include <ridge/node.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Deploys abi's bytecode and waits. args: of the constructor, as ridge_abi_encode_call takes them. out may be NULL;
 * out->contract is the address. */
RIDGE_API ridge_status_t ridge_contract_deploy(ridge_node_t *node, const ridge_key_t *key,
                                               const ridge_abi_t *abi, const char *args, uint64_t timeout_ms,
                                               ridge_receipt_t *out);
/* A method in a transaction; waits. out may be NULL. If it reverts in its block, out is filled all the same. */
RIDGE_API ridge_status_t ridge_contract_send(ridge_node_t *node, const ridge_key_t *key,
                                             const ridge_abi_t *abi, const char *address, const char *method,
                                             const char *args, uint64_t timeout_ms, ridge_receipt_t *out);
/* A method without a transaction, on the newest state, as `from` (NULL: nobody). Returns owned JSON. */
RIDGE_API ridge_status_t ridge_contract_call(ridge_node_t *node, const ridge_abi_t *abi, const char *address,
                                             const char *from, const char *method, const char *args,
                                             char **json);
/* Events of blocks from to to (UINT64_MAX: the newest). event: a name, or NULL for all of the ABI. *json: array of
 * {"event", "args", "blockNumber", "transactionHash", "logIndex"} in their order. TOO_LARGE: ask for fewer blocks.
 * Returns owned. */
RIDGE_API ridge_status_t ridge_contract_events(ridge_node_t *node, const ridge_abi_t *abi,
                                               const char *address, const char *event, uint64_t from,
                                               uint64_t to, char **json);
/* The events in a receipt's logs that are of this ABI: array of {"event", "args", "address"}. Returns owned. */
RIDGE_API ridge_status_t ridge_receipt_events(const ridge_receipt_t *receipt, const ridge_abi_t *abi,
                                              char **json);

#ifdef __cplusplus
}
#endif
#endif
