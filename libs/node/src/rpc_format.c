#include "ridge/base/arena.h"
#include "ridge/codec/rlp.h"
#include "rpc_internal.h"
#include <stdio.h>
#include <string.h>

static json_t *hash_json(const rdg_hash_t *h) {
    return rdg_json_hex(h->b, sizeof h->b);
}
static json_t *address_json(const rdg_address_t *a) {
    return rdg_json_hex(a->b, sizeof a->b);
}

json_t *format_quantity(const rdg_word_t *word) {
    char text[67] = "0x0";
    size_t i = 0, at = 2;
    while (i < 32 && word->b[i] == 0) ++i;
    for (bool first = true; i < 32; ++i, first = false)
        at += (size_t)snprintf(text + at, sizeof text - at, first ? "%x" : "%02x", word->b[i]);
    return json_string(text);
}

/* An SM2 signature shown in Ethereum's fields, which its tools require: r, s, and v as the parity that
 * recovery needs there (always 0 here; SM2 keys are carried, not recovered). */
json_t *format_tx(const rdg_tx_t *tx, const rdg_hash_t *block_hash, uint64_t height, uint32_t index) {
    json_t *o = json_object();
    json_object_set_new(o, "hash", hash_json(&tx->id));
    json_object_set_new(o, "type", json_string("0x0"));
    json_object_set_new(o, "chainId", rdg_json_quantity(tx->chain_id));
    json_object_set_new(o, "nonce", rdg_json_quantity(tx->nonce));
    json_object_set_new(o, "from", address_json(&tx->from));
    json_object_set_new(o, "to", tx->is_create ? json_null() : address_json(&tx->to));
    json_object_set_new(o, "value", format_quantity(&tx->value));
    json_object_set_new(o, "gas", rdg_json_quantity(tx->gas_limit));
    json_object_set_new(o, "gasPrice", json_string("0x0"));
    json_object_set_new(o, "input", rdg_json_hex(tx->data.data, tx->data.len));
    rdg_word_t half;
    memcpy(half.b, tx->signature.b, sizeof half.b);
    json_object_set_new(o, "r", format_quantity(&half));
    memcpy(half.b, tx->signature.b + sizeof half.b, sizeof half.b);
    json_object_set_new(o, "s", format_quantity(&half));
    json_object_set_new(o, "v", json_string("0x1b"));
    json_object_set_new(o, "publicKey", rdg_json_hex(tx->key.b, sizeof tx->key.b));
    json_object_set_new(o, "validUntil", rdg_json_quantity(tx->valid_until));
    json_object_set_new(o, "blockHash", block_hash ? hash_json(block_hash) : json_null());
    json_object_set_new(o, "blockNumber", block_hash ? rdg_json_quantity(height) : json_null());
    json_object_set_new(o, "transactionIndex", block_hash ? rdg_json_quantity(index) : json_null());
    return o;
}

static json_t *txs_json(const rdg_block_t *block, const rdg_hash_t *hash, bool full) {
    json_t *list = json_array();
    for (uint32_t i = 0; block && i < block->header.tx_count; ++i)
        json_array_append_new(list, full ? format_tx(block->txs[i], hash, block->header.height, i)
                                         : hash_json(&block->txs[i]->id));
    return list;
}

json_t *format_block(const rdg_block_t *block, const rdg_header_t *header, const rdg_hash_t *hash,
                     const rdg_executed_t *executed, bool full) {
    static const char zero20[] = "0x0000000000000000000000000000000000000000";
    rdg_hash_t executed_digest = {{0}};
    json_t *o = json_object();
    (void)rdg_executed_hash(executed, &executed_digest);
    json_object_set_new(o, "number", rdg_json_quantity(header->height));
    json_object_set_new(o, "hash", hash_json(hash));
    json_object_set_new(o, "parentHash", hash_json(&header->parent));
    json_object_set_new(o, "timestamp", rdg_json_quantity(header->time_ms / 1000));
    json_object_set_new(o, "timestampMs", rdg_json_quantity(header->time_ms));
    json_object_set_new(o, "stateRoot", hash_json(&executed->state_root));
    json_object_set_new(o, "receiptsRoot", hash_json(&executed->receipts_root));
    json_object_set_new(o, "transactionsRoot", hash_json(&header->tx_root));
    json_object_set_new(o, "executedHash", hash_json(&executed_digest));
    json_object_set_new(o, "proposer", rdg_json_quantity(header->proposer));
    json_object_set_new(o, "epoch", rdg_json_quantity(header->epoch));
    json_object_set_new(o, "miner", json_string(zero20));
    json_object_set_new(o, "nonce", json_string("0x0000000000000000"));
    json_object_set_new(o, "difficulty", json_string("0x0"));
    json_object_set_new(o, "gasLimit", rdg_json_quantity(header->gas_limit));
    json_object_set_new(o, "gasUsed", rdg_json_quantity(executed->gas_used));
    json_object_set_new(o, "baseFeePerGas", json_string("0x0"));
    json_object_set_new(o, "extraData", json_string("0x"));
    json_object_set_new(o, "size", rdg_json_quantity(block ? block->proposal.len : 0));
    json_object_set_new(o, "uncles", json_array());
    json_object_set_new(o, "transactions", txs_json(block, hash, full));
    return o;
}

json_t *format_log(const rdg_log_entry_t *log, const rdg_hash_t *block_hash, const rdg_hash_t *tx,
                   uint64_t height, uint32_t tx_index, uint32_t log_index) {
    json_t *o = json_object(), *topics = json_array();
    for (uint32_t i = 0; i < log->topic_count; ++i)
        json_array_append_new(topics, rdg_json_hex(log->topics[i].b, sizeof log->topics[i].b));
    json_object_set_new(o, "address", address_json(&log->address));
    json_object_set_new(o, "topics", topics);
    json_object_set_new(o, "data", rdg_json_hex(log->data.data, log->data.len));
    json_object_set_new(o, "blockHash", hash_json(block_hash));
    json_object_set_new(o, "blockNumber", rdg_json_quantity(height));
    json_object_set_new(o, "transactionHash", hash_json(tx));
    json_object_set_new(o, "transactionIndex", rdg_json_quantity(tx_index));
    json_object_set_new(o, "logIndex", rdg_json_quantity(log_index));
    json_object_set_new(o, "removed", json_false());
    return o;
}

static json_t *format_receipt(const rdg_receipt_t *r, const rdg_tx_t *tx, const rdg_bloom_t *bloom,
                              const rdg_hash_t *block_hash, const rdg_tx_location_t *where,
                              uint32_t first_log) {
    json_t *o = json_object(), *logs = json_array();
    for (size_t i = 0; i < r->log_count; ++i)
        json_array_append_new(logs, format_log(&r->logs[i], block_hash, &tx->id, where->height, where->index,
                                               first_log + (uint32_t)i));
    json_object_set_new(o, "transactionHash", hash_json(&tx->id));
    json_object_set_new(o, "transactionIndex", rdg_json_quantity(where->index));
    json_object_set_new(o, "blockHash", hash_json(block_hash));
    json_object_set_new(o, "blockNumber", rdg_json_quantity(where->height));
    json_object_set_new(o, "from", address_json(&tx->from));
    json_object_set_new(o, "to", tx->is_create ? json_null() : address_json(&tx->to));
    json_object_set_new(o, "contractAddress", r->has_contract ? address_json(&r->contract) : json_null());
    json_object_set_new(o, "gasUsed", rdg_json_quantity(r->gas_used));
    json_object_set_new(o, "cumulativeGasUsed", rdg_json_quantity(r->cumulative_gas));
    json_object_set_new(o, "effectiveGasPrice", json_string("0x0"));
    json_object_set_new(o, "type", json_string("0x0"));
    json_object_set_new(o, "status", json_string(r->success ? "0x1" : "0x0"));
    json_object_set_new(o, "logs", logs);
    json_object_set_new(o, "logsBloom", rdg_json_hex(bloom->b, sizeof bloom->b));
    if (r->output.len > 0) json_object_set_new(o, "output", rdg_json_hex(r->output.data, r->output.len));
    return o;
}

/* Receipts of a block up to the wanted one: it, and how many logs stand before it. */
static rdg_err_t pick_receipt(rdg_bytes_t encoded, uint32_t index, rdg_arena_t *arena, rdg_receipt_t *out,
                              uint32_t *first_log) {
    rdg_rlp_t outer, list;
    rdg_rlp_init(&outer, encoded);
    RDG_TRY(rdg_rlp_list(&outer, &list));
    *first_log = 0;
    for (uint32_t i = 0; rdg_rlp_more(&list); ++i) {
        RDG_TRY(rdg_receipt_decode(rdg_rlp_raw(&list), arena, out));
        if (i == index) return RDG_OK;
        *first_log += (uint32_t)out->log_count;
    }
    return rdg_fail(RDG_E_CORRUPT, "a block holds fewer receipts than transactions");
}

rdg_err_t rpc_receipt(rdg_node_rpc_t *rpc, const rdg_hash_t *id, json_t **out) {
    rdg_ledger_t *l = rpc->options.ledger;
    rdg_tx_location_t where;
    rdg_block_t *block = NULL;
    rdg_receipt_t receipt;
    rdg_buf_t encoded;
    rdg_arena_t arena;
    uint32_t first_log = 0;
    RDG_TRY(rdg_ledger_find_tx(l, id, &where));
    RDG_TRY(rdg_ledger_block(l, where.height, &block));
    rdg_buf_init(&encoded, RDG_RECEIPTS_BYTES_MAX);
    rdg_arena_init(&arena, RDG_RECEIPTS_BYTES_MAX);
    rdg_err_t err = rdg_ledger_receipts(l, where.height, &encoded);
    if (err == RDG_OK) err = pick_receipt(rdg_buf_view(&encoded), where.index, &arena, &receipt, &first_log);
    if (err == RDG_OK) {
        rdg_bloom_t bloom = {{0}};
        rdg_bloom_add_receipt(&bloom, &receipt);
        *out = format_receipt(&receipt, block->txs[where.index], &bloom, &block->hash, &where, first_log);
    }
    rdg_arena_fini(&arena);
    rdg_buf_fini(&encoded);
    rdg_block_unref(block);
    return err;
}
