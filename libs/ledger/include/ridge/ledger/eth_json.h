/* Blocks, transactions, receipts and logs as the objects of Ethereum's JSON-RPC, which nodes answer with, and whoever reads
 * the same from an archive. An SM2 signature stands in Ethereum's fields, which its tools require: r, s, and v as the parity
 * that recovery needs there (always 0 here; SM2 keys are carried, not recovered).
 *
 * Returned objects are owned; NULL, or one that lacks a field: no memory. Arguments are borrowed. Thread-safe. */
#ifndef RIDGE_LEDGER_ETH_JSON_H
#define RIDGE_LEDGER_ETH_JSON_H
#include "ridge/codec/json.h"
#include "ridge/ledger/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

json_t *rdg_eth_hash_json(const rdg_hash_t *h);
json_t *rdg_eth_address_json(const rdg_address_t *a);
json_t *rdg_eth_quantity_json(const rdg_word_t *word);
/* block: NULL for genesis, or where only the header is wanted. full: transactions whole, not their ids. */
json_t *rdg_eth_block_json(const rdg_block_t *block, const rdg_header_t *header, const rdg_hash_t *hash,
                           const rdg_executed_t *executed, const rdg_bloom_t *bloom, bool full);
/* block_hash NULL: it is in no block. */
json_t *rdg_eth_tx_json(const rdg_tx_t *tx, const rdg_hash_t *block_hash, uint64_t height, uint32_t index);
json_t *rdg_eth_log_json(const rdg_log_entry_t *log, const rdg_hash_t *block_hash, const rdg_hash_t *tx,
                         uint64_t height, uint32_t tx_index, uint32_t log_index);
/* Receipts of a block, as rdg_ledger_receipts gives them, from `first` on: `count` of them are appended to list; bloom gets
 * all that are read, and may be NULL. CORRUPT: they are not those of the block's transactions. */
rdg_err_t rdg_eth_receipts_json(const rdg_block_t *block, rdg_bytes_t receipts, uint32_t first,
                                uint32_t count, json_t *list, rdg_bloom_t *bloom);

#ifdef __cplusplus
}
#endif
#endif
