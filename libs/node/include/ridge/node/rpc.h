/* JSON-RPC 2.0 of a node: Ethereum's methods as stock tools ask them, and Ridge's own (docs/developer.md).
 *
 * It needs the ledger, the pool and some functions of the node; it knows nothing of sockets. handle() may be
 * called from several threads at once. Answers carry error.data.code, the name of the rdg_err_t, and where it is FULL
 * of a transaction error.data.retry_after_ms.
 *
 * 1. A subscription belongs to a session (one connection); its messages are sent in the order of the blocks,
 *    by a thread that starts with the first subscription. The session's send must not wait. None is sent before
 *    rdg_node_rpc_session_answered, none after rdg_node_rpc_session_free has returned. newHeads begins with the
 *    head as it is, and the newest one is told again after 300 ms without another: an idle chain makes no block, and who waits for one that came a moment ago would wait for ever.
 * 2. A polled filter belongs to whoever knows its id, a random number of 128 bits, and is forgotten
 *    RDG_RPC_FILTER_SECONDS after it was asked for the last time.
 * Limits (errors name them and how to ask otherwise): batches of RDG_RPC_CALLS_MAX; 16 subscriptions a session
 * and 256 in all; 256 polled filters; of pending transactions the last 4,096 are kept for who reads slowly;
 * eth_getLogs: log_blocks blocks, 10,000 logs, 8 MiB of log data, call_ms, where ridge_getLogs ends a page; calls
 * call_ms and an estimate with all its runs the same; traces twice that and 4 MiB. An answer (of a batch: all of them) that passes the limit
 * of its buffer becomes the error TOO_LARGE. */
#ifndef RIDGE_NODE_RPC_H
#define RIDGE_NODE_RPC_H
#include "ridge/codec/json.h"
#include "ridge/ledger/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_RPC_CALLS_MAX 100
#define RDG_RPC_KEYS_MAX 16
#define RDG_RPC_FILTER_SECONDS 300
#define RDG_RPC_CALL_MS 5000
#define RDG_RPC_LOG_BLOCKS 1000000

typedef struct rdg_node_rpc rdg_node_rpc_t;
typedef struct rdg_node_rpc_session rdg_node_rpc_session_t;
typedef struct rdg_node_rpc_expected rdg_node_rpc_expected_t; /* the embedder's */

typedef struct rdg_node_rpc_options {
    rdg_ledger_t *ledger; /* borrowed, as the pool */
    rdg_pool_t *pool;
    /* Takes a transaction's wire form into the pool, or says why not. Any thread. */
    rdg_err_t (*submit)(void *ctx, rdg_bytes_t wire, rdg_hash_t *id);
    /* These are about to be submitted one by one, by a batch: they may be decoded and verified together. The wires are
     * borrowed until expect_end. Any thread. NULL, also returned: each is submitted by itself. */
    rdg_node_rpc_expected_t *(*expect)(void *ctx, const rdg_bytes_t *wires, size_t count);
    /* As submit, of the at-th of them, once; and their end. */
    rdg_err_t (*submit_expected)(void *ctx, rdg_node_rpc_expected_t *e, size_t at, rdg_bytes_t wire,
                                 rdg_hash_t *id);
    void (*expect_end)(rdg_node_rpc_expected_t *e);
    /* There was no room for a transaction (FULL): when it is worth to send it again. Any thread. NULL: not said. */
    uint64_t (*retry_ms)(void *ctx);
    /* There is no room for any: a request over HTTP that holds nothing else is refused unread, with one error for all of
     * it and no id. Any thread, cheap. NULL: never. */
    bool (*full)(void *ctx);
    /* The answer of ridge_status; returned owned. Any thread. */
    rdg_err_t (*status)(void *ctx, json_t **out);
    /* Of ridge_consensus; the same. */
    rdg_err_t (*consensus)(void *ctx, json_t **out);
    /* The answer of ridge_readIndex; may wait some seconds. Any thread. NULL: not supported. */
    rdg_err_t (*read_index)(void *ctx, uint64_t *height);
    /* Of ridge_transferLeader: takes a signed order (ledger/order.h), waits until another leads, and says who; returned
     * owned. Any thread. NULL: not supported. */
    rdg_err_t (*transfer)(void *ctx, rdg_bytes_t wire, json_t **out);
    /* What the agent of this device shows to call node_ methods; they are refused to all others. Borrowed; NULL: to all. */
    const char *agent_token;
    /* Of node_exportArchive: begins to write a segment of the ledger to a file, or tells how it goes; returned owned.
     * from, to 0: the first that is there, as many as a segment holds. state_from: one that ends there or above ends with
     * the state, if it is still there; 0: none does. key: wrapped for this node (ledger/archive_key.h); NULL: it is not
     * encrypted. Any thread. NULL: not supported. */
    rdg_err_t (*archive)(void *ctx, uint64_t from, uint64_t to, uint64_t state_from, const json_t *key,
                         json_t **out);
    /* Of node_importArchive: begins to import a file of the directory `restore` (docs/recovery.md), or tells how it goes;
     * returned owned. key: as above, of an encrypted one. Any thread. NULL: not supported. */
    rdg_err_t (*restore)(void *ctx, const char *file, const rdg_hash_t *manifest, const char *kind,
                         const json_t *key, json_t **out);
    /* Of node_prune: begins to delete what receipts of archives cover, or tells how it goes; returned owned. Any thread.
     * NULL: not supported. */
    rdg_err_t (*prune)(void *ctx, const json_t *order, json_t **out);
    /* Is the node catching up, and to which height? Any thread. NULL: never. */
    bool (*syncing)(void *ctx, uint64_t *highest);
    /* A call met what can not be read as it was written. Any thread. NULL: nobody wants to know. */
    void (*damaged)(void *ctx, rdg_err_t err, const char *why);
    void *ctx;
    /* Accounts that eth_sendTransaction signs for; borrowed. Whoever can reach the RPC can spend with them. */
    rdg_sm2_key_t *const *keys;
    size_t key_count;    /* at most RDG_RPC_KEYS_MAX */
    unsigned call_ms;    /* see Limits; 0: RDG_RPC_CALL_MS */
    uint64_t log_blocks; /* the same; 0: RDG_RPC_LOG_BLOCKS */
} rdg_node_rpc_options_t;

rdg_err_t rdg_node_rpc_new(const rdg_node_rpc_options_t *options, rdg_node_rpc_t **out);
void rdg_node_rpc_free(rdg_node_rpc_t *rpc); /* sessions are freed before; NULL is fine */
/* One request or a batch; the answer (never empty unless all were notifications) is appended. session may be
 * NULL: then nothing can be subscribed to. *retry_ms (or NULL): 0, or when to try again if there was no room for any of
 * its transactions and it held nothing else. Fails only for want of memory. */
rdg_err_t rdg_node_rpc_handle(rdg_node_rpc_t *rpc, rdg_node_rpc_session_t *session, rdg_bytes_t body,
                              rdg_buf_t *answer, uint64_t *retry_ms);
/* Is it worth to answer this request after the next block only? So it is when it asks for the receipt of a transaction that
 * waits in the pool: Ethereum's tools ask once, and then when they see the number of blocks grow, which an idle chain's may
 * not do again. Cheap for all others. */
bool rdg_node_rpc_waits(rdg_node_rpc_t *rpc, rdg_bytes_t body);
/* The ledger has a new head. Any thread; cheap. */
void rdg_node_rpc_wake(rdg_node_rpc_t *rpc);
/* A verified transaction came into the pool, from whomever. Any thread; cheap. */
void rdg_node_rpc_pending(rdg_node_rpc_t *rpc, const rdg_hash_t *id);

typedef rdg_err_t (*rdg_node_rpc_send_t)(void *to, rdg_bytes_t message);
rdg_err_t rdg_node_rpc_session_new(rdg_node_rpc_t *rpc, rdg_node_rpc_send_t send, void *to,
                                   rdg_node_rpc_session_t **out);
/* An answer has been sent: the subscriptions that it told of begin to speak. */
void rdg_node_rpc_session_answered(rdg_node_rpc_session_t *session);
void rdg_node_rpc_session_free(rdg_node_rpc_session_t *session); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
