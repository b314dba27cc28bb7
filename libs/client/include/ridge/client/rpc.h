/* JSON-RPC 2.0 towards a Ridge node, over any transport.
 *
 * A transport carries one method call and brings back its result. Two exist: HTTP to a node (rdg_rpc_http_*),
 * and the cloud's relay through the device (implemented by whoever has it). What every user of a node needs
 * stands on top: send a transaction, find its receipt, read the head.
 *
 * Errors: a node's JSON-RPC error becomes the rdg_err_t named in error.data.code (else INTERNAL) with the
 * node's message; UNAVAILABLE and TIMEOUT come from the transport. A transport belongs to one thread. */
#ifndef RIDGE_CLIENT_RPC_H
#define RIDGE_CLIENT_RPC_H
#include "ridge/codec/json.h"
#include "ridge/ledger/tx.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_rpc {
    /* params: borrowed JSON array. *result: returned owned; JSON null is a result. REVERTED: *result is the
     * revert data (a hexadecimal string) if there was any, owned as well. Any other failure leaves it
     * untouched. */
    rdg_err_t (*call)(void *ctx, const char *method, const json_t *params, json_t **result);
    /* Many calls in one exchange, or NULL: then they are made one by one. results[i] is owned, or NULL with
     * errs[i] set. */
    rdg_err_t (*batch)(void *ctx, const char *method, json_t *const *params, size_t count, json_t **results,
                       rdg_err_t *errs);
    void *ctx;
} rdg_rpc_t;

#define RDG_RPC_BATCH_MAX 100

/* HTTP transport: url of a node, "http://127.0.0.1:8545". Returns owned; rdg_rpc_http_free takes. */
rdg_err_t rdg_rpc_http_new(const char *url, uint64_t timeout_ms, rdg_rpc_t **out);
void rdg_rpc_http_free(rdg_rpc_t *rpc);

/* The request and answer forms by themselves, for other transports. decode: takes nothing, *result as in
 * call. */
rdg_err_t rdg_rpc_encode(uint64_t id, const char *method, const json_t *params, rdg_buf_t *out);
rdg_err_t rdg_rpc_decode(const json_t *answer, json_t **result);

/* params is taken (also on failure). */
rdg_err_t rdg_rpc_call(const rdg_rpc_t *rpc, const char *method, json_t *params, json_t **result);

typedef struct rdg_rpc_head {
    uint64_t height, chain_id;
    rdg_hash_t hash;
} rdg_rpc_head_t;
rdg_err_t rdg_rpc_head(const rdg_rpc_t *rpc, rdg_rpc_head_t *out);
/* The node accepted it into its pool; it is durable when its receipt exists. */
rdg_err_t rdg_rpc_send(const rdg_rpc_t *rpc, const rdg_tx_t *tx);
/* The receipt object, or NOT_FOUND while there is none. Returns owned. */
rdg_err_t rdg_rpc_receipt(const rdg_rpc_t *rpc, const rdg_hash_t *id, json_t **out);
/* Receipts of many: out[i] owned, or NULL while there is none. count <= RDG_RPC_BATCH_MAX. */
rdg_err_t rdg_rpc_receipts(const rdg_rpc_t *rpc, const rdg_hash_t *ids, size_t count, json_t **out);
/* Asks until there is a receipt. TIMEOUT names the id; the transaction may still be included later. EXPIRED:
 * the chain has passed valid_until without it, it never will be. Asks every `interval_ms`. */
rdg_err_t rdg_rpc_wait(const rdg_rpc_t *rpc, const rdg_tx_t *tx, uint64_t timeout_ms, uint64_t interval_ms,
                       json_t **receipt);
/* eth_call at the head; return data is appended to output. REVERTED: output holds the revert data. */
rdg_err_t rdg_rpc_eth_call(const rdg_rpc_t *rpc, const rdg_address_t *from, const rdg_address_t *to,
                           rdg_bytes_t data, rdg_buf_t *output);

#ifdef __cplusplus
}
#endif
#endif
