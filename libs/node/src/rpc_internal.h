/* What the files of JSON-RPC share: a method gets its parameters as a JSON array and gives back a JSON value.
 */
#ifndef RIDGE_NODE_RPC_INTERNAL_H
#define RIDGE_NODE_RPC_INTERNAL_H
#include "ridge/node/rpc.h"

#define LOG_BLOCKS_MAX 10000
#define LOGS_MAX 10000
#define LOG_BYTES_MAX (8u << 20)

struct rdg_node_rpc {
    rdg_node_rpc_options_t options;
};

typedef rdg_err_t (*rpc_method_fn)(rdg_node_rpc_t *rpc, const json_t *params, json_t **result);

typedef struct rpc_method {
    const char *name;
    rpc_method_fn run;
} rpc_method_t;

extern const rpc_method_t rpc_eth_methods[], rpc_call_methods[], rpc_log_methods[], rpc_ridge_methods[];

/* rpc_batch.c: before the first of a batch is answered. */
void rpc_expect(rdg_node_rpc_t *rpc, const json_t *batch);

/* rpc_params.c: each names the parameter it refuses. */
rdg_err_t param_hash(const json_t *params, size_t i, const char *what, rdg_hash_t *out);
rdg_err_t param_address(const json_t *v, const char *what, rdg_address_t *out);
rdg_err_t param_word(const json_t *v, const char *what, rdg_word_t *out);
/* Any length up to the buffer's maximum, appended. */
rdg_err_t param_bytes(const json_t *v, const char *what, rdg_buf_t *out);
/* A block number, or latest, pending, safe, finalized (all the head: blocks are final), earliest (0). Absent:
 * the head. */
rdg_err_t param_height(rdg_node_rpc_t *rpc, const json_t *v, const char *what, uint64_t *out);
/* State is kept for the head only: any other height is UNSUPPORTED. */
rdg_err_t param_head(rdg_node_rpc_t *rpc, const json_t *v);

/* rpc_format.c: the objects of Ethereum's JSON-RPC */
json_t *format_block(const rdg_block_t *block, const rdg_header_t *header, const rdg_hash_t *hash,
                     const rdg_executed_t *executed, bool full);
json_t *format_tx(const rdg_tx_t *tx, const rdg_hash_t *block_hash, uint64_t height, uint32_t index);
json_t *format_log(const rdg_log_entry_t *log, const rdg_hash_t *block_hash, const rdg_hash_t *tx,
                   uint64_t height, uint32_t tx_index, uint32_t log_index);
json_t *format_quantity(const rdg_word_t *word);
/* NOT_FOUND while the transaction is not in a block. */
rdg_err_t rpc_receipt(rdg_node_rpc_t *rpc, const rdg_hash_t *id, json_t **out);

#endif
