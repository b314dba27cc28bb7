/* Blocks, executed headers, receipts: forms and digests.
 *
 * Proposal (what consensus orders), RLP: [ header, [tx, …] ] where each tx is a byte string of its wire form
 * and header = [ version=1, chain_id, epoch, height, parent_hash, time_ms, proposer, tx_count, tx_root,
 * gas_limit ] block hash = SM3(tag HEADER ‖ rlp(header)). tx_root = SM3(tag TX_ROOT ‖ Merkle root over the ids ‖
 * SM3(tag SIGNATURES ‖ signatures)), or zero without transactions: ids and signatures are all of the wire forms,
 * and the ids alone can be proved to who holds the header (a snapshot's replay guard).
 *
 * Executed header (what a checkpoint certificate signs), RLP:
 *   [ version=2, chain_id, height, block_hash, state_root, receipts_root, gas_used, epoch_digest ]
 * epoch_digest = SM3(tag EPOCH ‖ rlp(epoch)) of the latest epoch that this block or one before it has decided
 * (governance.h): who trusts one validator set learns the next from the checkpoint certificates of the old one.
 * executed digest = SM3(tag EXECUTED ‖ rlp(executed header)); receipts_root = Merkle root over encoded
 * receipts.
 *
 * Receipt, RLP: [ status, gas_used, cumulative_gas, contract_address(20 or empty), output, [log, …] ]
 *   log = [ address, [topic, …], data ]; status 1 success, 0 failure; output is revert data of a failed
 *   transaction (at most RDG_RECEIPT_OUTPUT_MAX bytes of it), empty on success.
 *
 * Every decoder takes exactly one encoding of a value and refuses everything else as MALFORMED; what is over
 * a limit is TOO_LARGE. Objects are immutable and may be read by many threads. */
#ifndef RIDGE_LEDGER_BLOCK_H
#define RIDGE_LEDGER_BLOCK_H
#include "ridge/base/arena.h"
#include "ridge/ledger/tx.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_BLOCK_BYTES_MAX (4u << 20) /* of a proposal */
#define RDG_BLOCK_TXS_MAX 4096
#define RDG_RECEIPT_OUTPUT_MAX 1024
#define RDG_RECEIPT_BYTES_MAX (8u << 20) /* a transaction's gas pays for less */
#define RDG_BLOCK_CLOCK_SKEW_MS 10000    /* a header may be that far ahead of a validator's clock */

typedef struct rdg_header {
    uint64_t chain_id, epoch, height, time_ms;
    rdg_hash_t parent;
    uint32_t proposer; /* index in the validator set */
    uint32_t tx_count;
    rdg_hash_t tx_root;
    uint64_t gas_limit;
} rdg_header_t;

rdg_err_t rdg_header_encode(const rdg_header_t *h, rdg_buf_t *out);
rdg_err_t rdg_header_decode(rdg_bytes_t encoded, rdg_header_t *out);
rdg_err_t rdg_header_hash(const rdg_header_t *h, rdg_hash_t *out);
rdg_err_t rdg_block_tx_root(rdg_tx_t *const *txs, size_t count, rdg_hash_t *out);
/* The same from what proves the ids of a block: ids is destroyed. */
void rdg_block_root_of_ids(rdg_hash_t *ids, size_t count, const rdg_hash_t *signatures, rdg_hash_t *out);
rdg_err_t rdg_block_signatures_digest(rdg_tx_t *const *txs, size_t count, rdg_hash_t *out);
/* h->tx_count of them; h->tx_root is taken as it stands. Appends to out. */
rdg_err_t rdg_proposal_encode(const rdg_header_t *h, rdg_tx_t *const *txs, rdg_buf_t *out);
/* Header only (cheap, for digest checks). */
rdg_err_t rdg_proposal_header(rdg_bytes_t proposal, rdg_header_t *out);

typedef struct rdg_block {
    rdg_ref_t ref;
    rdg_header_t header;
    rdg_hash_t hash;
    rdg_bytes_t proposal; /* owned copy */
    rdg_tx_t **txs;       /* header.tx_count of them, referenced */
} rdg_block_t;
/* Decodes whole, recomputes tx_root and count; signatures of transactions are not verified here. */
rdg_err_t rdg_block_decode(rdg_bytes_t proposal, rdg_block_t **out);
rdg_block_t *rdg_block_ref(rdg_block_t *b);
void rdg_block_unref(rdg_block_t *b); /* NULL is fine */

typedef struct rdg_executed {
    uint64_t chain_id, height, gas_used;
    rdg_hash_t block_hash, state_root, receipts_root, epoch_digest;
} rdg_executed_t;
rdg_err_t rdg_executed_encode(const rdg_executed_t *e, rdg_buf_t *out);
rdg_err_t rdg_executed_decode(rdg_bytes_t encoded, rdg_executed_t *out);
rdg_err_t rdg_executed_hash(const rdg_executed_t *e, rdg_hash_t *out);

typedef struct rdg_log_entry {
    rdg_address_t address;
    uint32_t topic_count; /* 0..4 */
    rdg_word_t topics[4];
    rdg_bytes_t data;
} rdg_log_entry_t;

typedef struct rdg_receipt {
    bool success;
    uint64_t gas_used, cumulative_gas;
    bool has_contract;
    rdg_address_t contract;
    rdg_bytes_t output;
    size_t log_count;
    rdg_log_entry_t *logs; /* in the arena given to decode, or the executor's */
} rdg_receipt_t;
rdg_err_t rdg_receipt_encode(const rdg_receipt_t *r, rdg_buf_t *out);
/* Byte views point into encoded; logs are borrowed from the arena. */
rdg_err_t rdg_receipt_decode(rdg_bytes_t encoded, rdg_arena_t *arena, rdg_receipt_t *out);

/* Ethereum's 2,048-bit log bloom (yellow paper 4.3.1) of addresses and topics. */
typedef struct rdg_bloom {
    uint8_t b[256];
} rdg_bloom_t;
void rdg_bloom_add(rdg_bloom_t *bloom, rdg_bytes_t item);
void rdg_bloom_add_receipt(rdg_bloom_t *bloom, const rdg_receipt_t *r);
bool rdg_bloom_may_hold(const rdg_bloom_t *bloom, rdg_bytes_t item);

#ifdef __cplusplus
}
#endif
#endif
