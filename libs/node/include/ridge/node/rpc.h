/* JSON-RPC 2.0 of a node: Ethereum's read methods as stock tools ask them, and Ridge's own.
 *
 * It needs the ledger, the pool and two functions of the node; it knows nothing of threads or sockets.
 * handle() may be called from several threads at once. Batches of at most RDG_RPC_CALLS_MAX; answers carry
 * error.data.code, the name of the rdg_err_t. Limits of eth_getLogs: 10,000 blocks, 10,000 logs, 8 MiB
 * of log data. An answer (of a batch: all of them) that passes the limit of its buffer becomes the error TOO_LARGE. */
#ifndef RIDGE_NODE_RPC_H
#define RIDGE_NODE_RPC_H
#include "ridge/codec/json.h"
#include "ridge/ledger/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_RPC_CALLS_MAX 100

typedef struct rdg_node_rpc rdg_node_rpc_t;

typedef struct rdg_node_rpc_options {
    rdg_ledger_t *ledger; /* borrowed, as the pool */
    rdg_pool_t *pool;
    /* Takes a transaction's wire form into the pool, or says why not. Any thread. */
    rdg_err_t (*submit)(void *ctx, rdg_bytes_t wire, rdg_hash_t *id);
    /* These are about to be submitted one by one, by a batch: their signatures may be verified together. Borrowed for
     * the call. Any thread. NULL: each is verified by itself. */
    void (*expect)(void *ctx, const rdg_bytes_t *wires, size_t count);
    /* The answer of ridge_status; returned owned. Any thread. */
    rdg_err_t (*status)(void *ctx, json_t **out);
    /* Of ridge_consensus; the same. */
    rdg_err_t (*consensus)(void *ctx, json_t **out);
    /* The answer of ridge_readIndex; may wait some seconds. Any thread. NULL: not supported. */
    rdg_err_t (*read_index)(void *ctx, uint64_t *height);
    /* Of ridge_transferLeader: takes a signed order (ledger/order.h), waits until another leads, and says who; returned
     * owned. Any thread. NULL: not supported. */
    rdg_err_t (*transfer)(void *ctx, rdg_bytes_t wire, json_t **out);
    void *ctx;
} rdg_node_rpc_options_t;

rdg_err_t rdg_node_rpc_new(const rdg_node_rpc_options_t *options, rdg_node_rpc_t **out);
void rdg_node_rpc_free(rdg_node_rpc_t *rpc); /* NULL is fine */
/* One request or a batch; the answer (never empty unless all were notifications) is appended. Fails only for
 * want of memory. */
rdg_err_t rdg_node_rpc_handle(rdg_node_rpc_t *rpc, rdg_bytes_t body, rdg_buf_t *answer);

#ifdef __cplusplus
}
#endif
#endif
