#include "ridge/crypto/hash.h"
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

static rdg_err_t block_at(rdg_node_rpc_t *rpc, uint64_t height, bool full, json_t **result) {
    rdg_ledger_t *l = rpc->options.ledger;
    rdg_header_t header;
    rdg_hash_t hash;
    rdg_executed_t executed;
    rdg_bloom_t bloom;
    rdg_block_t *block = NULL;
    rdg_err_t err = rdg_ledger_header(l, height, &header, &hash, &executed);
    if (err == RDG_OK) err = rdg_ledger_bloom(l, height, &bloom);
    if (err == RDG_OK && height > 0) err = rdg_ledger_block(l, height, &block);
    if (err == RDG_E_NOT_FOUND) return *result = json_null(), RDG_OK;
    if (err == RDG_OK) *result = rdg_eth_block_json(block, &header, &hash, &executed, &bloom, full);
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
    if (err == RDG_E_NOT_FOUND) *result = pending ? rdg_eth_tx_json(pending, NULL, 0, 0) : json_null();
    rdg_tx_unref(pending);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    if (err == RDG_OK) err = rdg_ledger_block(rpc->options.ledger, where.height, &block);
    if (err == RDG_OK)
        *result = rdg_eth_tx_json(block->txs[where.index], &block->hash, where.height, where.index);
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

/* A block whose state is asked for; what lies above the head is the head. */
static rdg_err_t param_place(rdg_node_rpc_t *rpc, const json_t *v, uint64_t *height) {
    RDG_TRY(param_height(rpc, v, "block", height));
    uint64_t head = rpc_head(rpc);
    if (*height > head) *height = head;
    return RDG_OK;
}

static rdg_err_t get_code(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_address_t address;
    rdg_buf_t code;
    uint64_t height;
    RDG_TRY(param_address(json_array_get(params, 0), "address", &address));
    RDG_TRY(param_place(rpc, json_array_get(params, 1), &height));
    rdg_buf_init(&code, RDG_EVM_CODE_MAX);
    rdg_err_t err = rdg_ledger_account_at(rpc->options.ledger, height, &address, NULL, NULL, &code);
    if (err == RDG_OK) *result = rdg_json_hex(code.data, code.len);
    rdg_buf_fini(&code);
    return err;
}

static rdg_err_t get_balance(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_address_t address;
    rdg_word_t balance;
    uint64_t height;
    RDG_TRY(param_address(json_array_get(params, 0), "address", &address));
    RDG_TRY(param_place(rpc, json_array_get(params, 1), &height));
    RDG_TRY(rdg_ledger_account_at(rpc->options.ledger, height, &address, NULL, &balance, NULL));
    *result = rdg_eth_quantity_json(&balance);
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
    uint64_t height;
    RDG_TRY(param_address(json_array_get(params, 0), "address", &address));
    RDG_TRY(param_word(json_array_get(params, 1), "position", &key));
    RDG_TRY(param_place(rpc, json_array_get(params, 2), &height));
    RDG_TRY(rdg_ledger_storage_at(rpc->options.ledger, height, &address, &key, &value));
    *result = rdg_json_hex(value.b, sizeof value.b);
    return RDG_OK;
}

/* --- of blocks ------------------------------------------------------------------------------------------- */

/* *block NULL: there is none, or it is genesis, which has no transactions. */
static rdg_err_t find_block(rdg_node_rpc_t *rpc, const json_t *v, bool by_hash, rdg_block_t **block) {
    rdg_hash_t hash;
    uint64_t height;
    *block = NULL;
    rdg_err_t err;
    if (by_hash) {
        json_t *list = json_pack("[O?]", v);
        err = param_hash(list, 0, "block hash", &hash);
        json_decref(list);
        if (err == RDG_OK) err = rdg_ledger_height_of(rpc->options.ledger, &hash, &height);
    } else {
        err = param_height(rpc, v, "block number", &height);
    }
    if (err == RDG_OK) err = rdg_ledger_block(rpc->options.ledger, height, block);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

static rdg_err_t count_of(rdg_node_rpc_t *rpc, const json_t *params, bool by_hash, json_t **result) {
    rdg_block_t *block;
    RDG_TRY(find_block(rpc, json_array_get(params, 0), by_hash, &block));
    *result = block ? rdg_json_quantity(block->header.tx_count) : json_null();
    rdg_block_unref(block);
    return RDG_OK;
}
static rdg_err_t tx_count_by_number(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    return count_of(rpc, params, false, result);
}
static rdg_err_t tx_count_by_hash(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    return count_of(rpc, params, true, result);
}

static rdg_err_t tx_in(rdg_node_rpc_t *rpc, const json_t *params, bool by_hash, json_t **result) {
    rdg_block_t *block;
    uint64_t index;
    RDG_TRY(rdg_fail_in(rdg_json_quantity_parse(json_array_get(params, 1), &index), "index"));
    RDG_TRY(find_block(rpc, json_array_get(params, 0), by_hash, &block));
    *result = block && index < block->header.tx_count
                  ? rdg_eth_tx_json(block->txs[index], &block->hash, block->header.height, (uint32_t)index)
                  : json_null();
    rdg_block_unref(block);
    return RDG_OK;
}
static rdg_err_t tx_by_number(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    return tx_in(rpc, params, false, result);
}
static rdg_err_t tx_by_hash(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    return tx_in(rpc, params, true, result);
}

static rdg_err_t get_block_receipts(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    uint64_t height;
    const json_t *v = json_array_get(params, 0);
    json_t *object = json_string_length(v) == 66 ? json_pack("{s:O}", "blockHash", v) : NULL;
    rdg_err_t err = param_height(rpc, object ? object : v, "block", &height);
    json_decref(object);
    if (err == RDG_OK && height == 0) return *result = json_array(), RDG_OK;
    if (err == RDG_OK) err = rpc_block_receipts(rpc, height, result);
    if (err == RDG_E_NOT_FOUND) return *result = json_null(), RDG_OK;
    return err;
}

static rdg_err_t no_uncles(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)rpc, (void)params;
    *result = json_string("0x0");
    return RDG_OK;
}

static rdg_err_t sha3(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_buf_t data;
    rdg_hash_t hash;
    (void)rpc;
    rdg_buf_init(&data, 2u << 20);
    rdg_err_t err = param_bytes(json_array_get(params, 0), "data", &data);
    if (err == RDG_OK) {
        rdg_keccak256(data.data, data.len, hash.b);
        *result = rdg_eth_hash_json(&hash);
    }
    rdg_buf_fini(&data);
    return err;
}

const rpc_method_t rpc_eth_methods[] = {
    {"eth_chainId", chain_id, NULL},
    {"net_version", net_version, NULL},
    {"web3_clientVersion", client_version, NULL},
    {"web3_sha3", sha3, NULL},
    {"eth_blockNumber", block_number, NULL},
    {"eth_getBlockByNumber", get_block_by_number, NULL},
    {"eth_getBlockByHash", get_block_by_hash, NULL},
    {"eth_getBlockReceipts", get_block_receipts, NULL},
    {"eth_getBlockTransactionCountByNumber", tx_count_by_number, NULL},
    {"eth_getBlockTransactionCountByHash", tx_count_by_hash, NULL},
    {"eth_getUncleCountByBlockNumber", no_uncles, NULL},
    {"eth_getUncleCountByBlockHash", no_uncles, NULL},
    {"eth_getTransactionByHash", get_tx, NULL},
    {"eth_getTransactionByBlockNumberAndIndex", tx_by_number, NULL},
    {"eth_getTransactionByBlockHashAndIndex", tx_by_hash, NULL},
    {"eth_getTransactionReceipt", get_receipt, NULL},
    {"eth_getCode", get_code, NULL},
    {"eth_getBalance", get_balance, NULL},
    {"eth_getTransactionCount", get_count, NULL},
    {"eth_getStorageAt", get_storage, NULL},
    {NULL, NULL, NULL},
};
