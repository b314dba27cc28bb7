#include "ridge/ledger/eth_json.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/arena.h"
#include "ridge/codec/rlp.h"

json_t *rdg_eth_hash_json(const rdg_hash_t *h) {
    return rdg_json_hex(h->b, sizeof h->b);
}
json_t *rdg_eth_address_json(const rdg_address_t *a) {
    return rdg_json_hex(a->b, sizeof a->b);
}

json_t *rdg_eth_quantity_json(const rdg_word_t *word) {
    char text[67] = "0x0";
    size_t i = 0, at = 2;
    while (i < 32 && word->b[i] == 0) ++i;
    for (bool first = true; i < 32; ++i, first = false)
        at += (size_t)snprintf(text + at, sizeof text - at, first ? "%x" : "%02x", word->b[i]);
    return json_string(text);
}

json_t *rdg_eth_tx_json(const rdg_tx_t *tx, const rdg_hash_t *block_hash, uint64_t height, uint32_t index) {
    json_t *o = json_object();
    json_object_set_new(o, "hash", rdg_eth_hash_json(&tx->id));
    json_object_set_new(o, "type", json_string("0x0"));
    json_object_set_new(o, "chainId", rdg_json_quantity(tx->chain_id));
    json_object_set_new(o, "nonce", rdg_json_quantity(tx->nonce));
    json_object_set_new(o, "from", rdg_eth_address_json(&tx->from));
    json_object_set_new(o, "to", tx->is_create ? json_null() : rdg_eth_address_json(&tx->to));
    json_object_set_new(o, "value", rdg_eth_quantity_json(&tx->value));
    json_object_set_new(o, "gas", rdg_json_quantity(tx->gas_limit));
    json_object_set_new(o, "gasPrice", json_string("0x0"));
    json_object_set_new(o, "input", rdg_json_hex(tx->data.data, tx->data.len));
    rdg_word_t half;
    memcpy(half.b, tx->signature.b, sizeof half.b);
    json_object_set_new(o, "r", rdg_eth_quantity_json(&half));
    memcpy(half.b, tx->signature.b + sizeof half.b, sizeof half.b);
    json_object_set_new(o, "s", rdg_eth_quantity_json(&half));
    json_object_set_new(o, "v", json_string("0x1b"));
    json_object_set_new(o, "publicKey", rdg_json_hex(tx->key.b, sizeof tx->key.b));
    json_object_set_new(o, "validUntil", rdg_json_quantity(tx->valid_until));
    json_object_set_new(o, "blockHash", block_hash ? rdg_eth_hash_json(block_hash) : json_null());
    json_object_set_new(o, "blockNumber", block_hash ? rdg_json_quantity(height) : json_null());
    json_object_set_new(o, "transactionIndex", block_hash ? rdg_json_quantity(index) : json_null());
    return o;
}

static json_t *txs_json(const rdg_block_t *block, const rdg_hash_t *hash, bool full) {
    json_t *list = json_array();
    for (uint32_t i = 0; block && i < block->header.tx_count; ++i)
        json_array_append_new(list, full ? rdg_eth_tx_json(block->txs[i], hash, block->header.height, i)
                                         : rdg_eth_hash_json(&block->txs[i]->id));
    return list;
}

json_t *rdg_eth_block_json(const rdg_block_t *block, const rdg_header_t *header, const rdg_hash_t *hash,
                           const rdg_executed_t *executed, const rdg_bloom_t *bloom, bool full) {
    static const char zero20[] = "0x0000000000000000000000000000000000000000";
    static const rdg_hash_t no_uncles = {{0x1d, 0xcc, 0x4d, 0xe8, 0xde, 0xc7, 0x5d, 0x7a, 0xab, 0x85, 0xb5,
                                          0x67, 0xb6, 0xcc, 0xd4, 0x1a, 0xd3, 0x12, 0x45, 0x1b, 0x94, 0x8a,
                                          0x74, 0x13, 0xf0, 0xa1, 0x42, 0xfd, 0x40, 0xd4, 0x93, 0x47}};
    rdg_hash_t executed_digest = {{0}};
    json_t *o = json_object();
    (void)rdg_executed_hash(executed, &executed_digest);
    json_object_set_new(o, "number", rdg_json_quantity(header->height));
    json_object_set_new(o, "hash", rdg_eth_hash_json(hash));
    json_object_set_new(o, "parentHash", rdg_eth_hash_json(&header->parent));
    json_object_set_new(o, "timestamp", rdg_json_quantity(header->time_ms / 1000));
    json_object_set_new(o, "timestampMs", rdg_json_quantity(header->time_ms));
    json_object_set_new(o, "stateRoot", rdg_eth_hash_json(&executed->state_root));
    json_object_set_new(o, "receiptsRoot", rdg_eth_hash_json(&executed->receipts_root));
    json_object_set_new(o, "transactionsRoot", rdg_eth_hash_json(&header->tx_root));
    json_object_set_new(o, "executedHash", rdg_eth_hash_json(&executed_digest));
    json_object_set_new(o, "proposer", rdg_json_quantity(header->proposer));
    json_object_set_new(o, "epoch", rdg_json_quantity(header->epoch));
    json_object_set_new(o, "miner", json_string(zero20));
    json_object_set_new(o, "nonce", json_string("0x0000000000000000"));
    json_object_set_new(o, "difficulty", json_string("0x0"));
    json_object_set_new(o, "mixHash", rdg_eth_hash_json(&header->parent)); /* as PREVRANDAO gives it */
    json_object_set_new(o, "sha3Uncles", rdg_eth_hash_json(&no_uncles));
    json_object_set_new(o, "logsBloom", rdg_json_hex(bloom->b, sizeof bloom->b));
    json_object_set_new(o, "gasLimit", rdg_json_quantity(header->gas_limit));
    json_object_set_new(o, "gasUsed", rdg_json_quantity(executed->gas_used));
    json_object_set_new(o, "baseFeePerGas", json_string("0x0"));
    json_object_set_new(o, "extraData", json_string("0x"));
    json_object_set_new(o, "size", rdg_json_quantity(block ? block->proposal.len : 0));
    json_object_set_new(o, "uncles", json_array());
    json_object_set_new(o, "transactions", txs_json(block, hash, full));
    return o;
}

json_t *rdg_eth_log_json(const rdg_log_entry_t *log, const rdg_hash_t *block_hash, const rdg_hash_t *tx,
                         uint64_t height, uint32_t tx_index, uint32_t log_index) {
    json_t *o = json_object(), *topics = json_array();
    for (uint32_t i = 0; i < log->topic_count; ++i)
        json_array_append_new(topics, rdg_json_hex(log->topics[i].b, sizeof log->topics[i].b));
    json_object_set_new(o, "address", rdg_eth_address_json(&log->address));
    json_object_set_new(o, "topics", topics);
    json_object_set_new(o, "data", rdg_json_hex(log->data.data, log->data.len));
    json_object_set_new(o, "blockHash", rdg_eth_hash_json(block_hash));
    json_object_set_new(o, "blockNumber", rdg_json_quantity(height));
    json_object_set_new(o, "transactionHash", rdg_eth_hash_json(tx));
    json_object_set_new(o, "transactionIndex", rdg_json_quantity(tx_index));
    json_object_set_new(o, "logIndex", rdg_json_quantity(log_index));
    json_object_set_new(o, "removed", json_false());
    return o;
}

static json_t *receipt_json(const rdg_receipt_t *r, const rdg_tx_t *tx, const rdg_bloom_t *bloom,
                            const rdg_hash_t *block_hash, const rdg_tx_location_t *where,
                            uint32_t first_log) {
    json_t *o = json_object(), *logs = json_array();
    for (size_t i = 0; i < r->log_count; ++i)
        json_array_append_new(logs, rdg_eth_log_json(&r->logs[i], block_hash, &tx->id, where->height,
                                                     where->index, first_log + (uint32_t)i));
    json_object_set_new(o, "transactionHash", rdg_eth_hash_json(&tx->id));
    json_object_set_new(o, "transactionIndex", rdg_json_quantity(where->index));
    json_object_set_new(o, "blockHash", rdg_eth_hash_json(block_hash));
    json_object_set_new(o, "blockNumber", rdg_json_quantity(where->height));
    json_object_set_new(o, "from", rdg_eth_address_json(&tx->from));
    json_object_set_new(o, "to", tx->is_create ? json_null() : rdg_eth_address_json(&tx->to));
    json_object_set_new(o, "contractAddress",
                        r->has_contract ? rdg_eth_address_json(&r->contract) : json_null());
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

rdg_err_t rdg_eth_receipts_json(const rdg_block_t *block, rdg_bytes_t encoded, uint32_t first, uint32_t count,
                                json_t *list, rdg_bloom_t *bloom) {
    rdg_rlp_t outer, receipts;
    rdg_arena_t arena;
    uint32_t logs = 0;
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &receipts);
    rdg_arena_init(&arena, RDG_RECEIPTS_BYTES_MAX);
    rdg_err_t err = RDG_OK;
    for (uint32_t i = 0; err == RDG_OK && i < first + count; ++i) {
        rdg_receipt_t r;
        rdg_bloom_t own = {{0}};
        const rdg_tx_location_t at = {block->header.height, i};
        rdg_arena_reset(&arena);
        if (!rdg_rlp_more(&receipts) || i >= block->header.tx_count)
            err = rdg_fail(RDG_E_CORRUPT, "a block holds other numbers of receipts and transactions");
        if (err == RDG_OK) err = rdg_receipt_decode(rdg_rlp_raw(&receipts), &arena, &r);
        if (err != RDG_OK) break;
        rdg_bloom_add_receipt(&own, &r);
        if (bloom) rdg_bloom_add_receipt(bloom, &r);
        if (i >= first)
            json_array_append_new(list, receipt_json(&r, block->txs[i], &own, &block->hash, &at, logs));
        logs += (uint32_t)r.log_count;
    }
    rdg_arena_fini(&arena);
    return err;
}
