#include "rpc_internal.h"
#include <string.h>

static rdg_err_t chain_id(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)params;
    *result = rdg_json_quantity(rdg_ledger_genesis(rpc->options.ledger)->validators.chain_id);
    return RDG_OK;
}

static rdg_err_t net_version(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)params;
    *result = json_sprintf("%llu",
                           (unsigned long long)rdg_ledger_genesis(rpc->options.ledger)->validators.chain_id);
    return RDG_OK;
}

static rdg_err_t client_version(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)rpc, (void)params;
    *result = json_string("ridge-node/" RIDGE_VERSION);
    return RDG_OK;
}

static rdg_err_t block_number(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_ledger_head_t head;
    (void)params;
    rdg_ledger_head(rpc->options.ledger, &head);
    *result = rdg_json_quantity(head.height);
    return RDG_OK;
}

static rdg_err_t zero(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)rpc, (void)params;
    *result = json_string("0x0");
    return RDG_OK;
}

static rdg_err_t none(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)rpc, (void)params;
    *result = json_array();
    return RDG_OK;
}

static rdg_err_t block_at(rdg_node_rpc_t *rpc, uint64_t height, bool full, json_t **result) {
    rdg_ledger_t *l = rpc->options.ledger;
    rdg_header_t header;
    rdg_hash_t hash;
    rdg_executed_t executed;
    rdg_block_t *block = NULL;
    rdg_err_t err = rdg_ledger_header(l, height, &header, &hash, &executed);
    if (err == RDG_OK && height > 0) err = rdg_ledger_block(l, height, &block);
    if (err == RDG_E_NOT_FOUND) return *result = json_null(), RDG_OK;
    if (err == RDG_OK) *result = format_block(block, &header, &hash, &executed, full);
    rdg_block_unref(block);
    return err;
}

static rdg_err_t get_block_by_number(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    uint64_t height;
    RDG_TRY(param_height(rpc, json_array_get(params, 0), "block number", &height));
    return block_at(rpc, height, json_is_true(json_array_get(params, 1)), result);
}

static rdg_err_t get_block_by_hash(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_hash_t hash;
    uint64_t height;
    RDG_TRY(param_hash(params, 0, "block hash", &hash));
    rdg_err_t err = rdg_ledger_height_of(rpc->options.ledger, &hash, &height);
    if (err == RDG_E_NOT_FOUND) return *result = json_null(), RDG_OK;
    return err != RDG_OK ? err : block_at(rpc, height, json_is_true(json_array_get(params, 1)), result);
}

static rdg_err_t get_tx(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_hash_t id;
    rdg_tx_location_t where;
    rdg_block_t *block = NULL;
    RDG_TRY(param_hash(params, 0, "transaction hash", &id));
    /* The pool first: a transaction leaves it only when it is in the ledger. */
    rdg_tx_t *pending = rdg_pool_find(rpc->options.pool, &id);
    rdg_err_t err = rdg_ledger_find_tx(rpc->options.ledger, &id, &where);
    if (err == RDG_E_NOT_FOUND) *result = pending ? format_tx(pending, NULL, 0, 0) : json_null();
    rdg_tx_unref(pending);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    if (err == RDG_OK) err = rdg_ledger_block(rpc->options.ledger, where.height, &block);
    if (err == RDG_OK) *result = format_tx(block->txs[where.index], &block->hash, where.height, where.index);
    rdg_block_unref(block);
    return err;
}

static rdg_err_t get_receipt(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_hash_t id;
    RDG_TRY(param_hash(params, 0, "transaction hash", &id));
    rdg_err_t err = rpc_receipt(rpc, &id, result);
    if (err == RDG_E_NOT_FOUND) return *result = json_null(), RDG_OK;
    return err;
}

static rdg_err_t get_code(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_address_t address;
    rdg_buf_t code;
    RDG_TRY(param_address(json_array_get(params, 0), "address", &address));
    RDG_TRY(param_head(rpc, json_array_get(params, 1)));
    rdg_buf_init(&code, RDG_EVM_CODE_MAX);
    rdg_err_t err = rdg_ledger_account(rpc->options.ledger, &address, NULL, NULL, &code);
    if (err == RDG_OK) *result = rdg_json_hex(code.data, code.len);
    rdg_buf_fini(&code);
    return err;
}

static rdg_err_t get_balance(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_address_t address;
    rdg_word_t balance;
    RDG_TRY(param_address(json_array_get(params, 0), "address", &address));
    RDG_TRY(param_head(rpc, json_array_get(params, 1)));
    RDG_TRY(rdg_ledger_account(rpc->options.ledger, &address, NULL, &balance, NULL));
    *result = format_quantity(&balance);
    return RDG_OK;
}

static rdg_err_t get_count(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_address_t address;
    uint64_t nonce;
    RDG_TRY(param_address(json_array_get(params, 0), "address", &address));
    RDG_TRY(rdg_ledger_account(rpc->options.ledger, &address, &nonce, NULL, NULL));
    *result = rdg_json_quantity(nonce);
    return RDG_OK;
}

static rdg_err_t get_storage(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_address_t address;
    rdg_word_t key, value;
    RDG_TRY(param_address(json_array_get(params, 0), "address", &address));
    RDG_TRY(param_word(json_array_get(params, 1), "position", &key));
    RDG_TRY(param_head(rpc, json_array_get(params, 2)));
    RDG_TRY(rdg_ledger_storage(rpc->options.ledger, &address, &key, &value));
    *result = rdg_json_hex(value.b, sizeof value.b);
    return RDG_OK;
}

const rpc_method_t rpc_eth_methods[] = {
    {"eth_chainId", chain_id},
    {"net_version", net_version},
    {"web3_clientVersion", client_version},
    {"eth_blockNumber", block_number},
    {"eth_gasPrice", zero},
    {"eth_maxPriorityFeePerGas", zero},
    {"eth_accounts", none},
    {"eth_getBlockByNumber", get_block_by_number},
    {"eth_getBlockByHash", get_block_by_hash},
    {"eth_getTransactionByHash", get_tx},
    {"eth_getTransactionReceipt", get_receipt},
    {"eth_getCode", get_code},
    {"eth_getBalance", get_balance},
    {"eth_getTransactionCount", get_count},
    {"eth_getStorageAt", get_storage},
    {NULL, NULL},
};
