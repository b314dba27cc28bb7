/* The ledger of a replica in short: blocks, what is executed, and the consensus records, as they come back from the
 * disk. The executor is a running hash: state(h) = SM3(state(h-1), block hash).
 *
 * A block is [height, parent, time, proposer, nonce, count, root] of BLOCK_HEAD bytes and its transactions of TX_BYTES;
 * root is SM3 of these. As in the node, the digest covers the header alone. */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H
#include "blob.h"
#include "ridge/consensus/consensus.h"

#define SIM_HEIGHTS 1024
#define BLOCK_HEAD 104
#define TX_BYTES 8
#define CLOCK_SKEW_MS 10000 /* RDG_BLOCK_CLOCK_SKEW_MS */

typedef struct block {
    uint64_t height, time_ms, nonce;
    uint32_t proposer, count;
    rdg_hash_t parent, root;
} block_t;

typedef struct stored_block {
    blob_t *proposal, *seal;
    rdg_hash_t digest, state;
    uint64_t time_ms;
} stored_block_t;

#define RECORDS_MAX 1024
typedef struct record {
    blob_t *key, *value;
} record_t;

/* Transactions from TX_CHANGE on change the validators: TX_CHANGE + v removes validator v, TX_CHANGE + 32 + v adds it.
 * Executed in block h, it ends the epoch at h + RDG_CONSENSUS_WINDOW; while one waits, others do nothing. */
#define TX_CHANGE 3900

typedef struct ledger {
    uint64_t height;
    uint64_t epoch, first_height, last_height; /* of the block after `height`; last_height 0: none is known */
    uint32_t members, next_members;            /* masks of validators */
    stored_block_t blocks[SIM_HEIGHTS];        /* [1..height] */
    uint16_t tx_height[4096];                  /* where a transaction is, or 0 */
    record_t records[RECORDS_MAX];
    size_t record_count;
} ledger_t;

void ledger_clear(ledger_t *l, uint32_t members);
/* Of a set given as a mask: how many; the index of a validator, or the count; the validator at an index. */
uint32_t set_count(uint32_t members);
uint32_t set_index(uint32_t members, uint32_t validator);
uint32_t set_member(uint32_t members, uint32_t index);
bool block_read(rdg_bytes_t proposal, block_t *out); /* false: no block */
/* The body is the one that the header names. */
bool block_is_whole(const block_t *b, rdg_bytes_t proposal);
uint16_t block_tx(rdg_bytes_t proposal, uint32_t i); /* UINT16_MAX: no transaction of ours */
void block_make(const block_t *head, const uint16_t *txs, rdg_buf_t *out); /* count and root are set here */
void tx_write(uint16_t tx, uint8_t out[TX_BYTES]);
uint16_t tx_read(const uint8_t in[TX_BYTES]);
rdg_err_t block_digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out); /* as the core's host wants it */
/* Whether the bytes are the next block, by the ledger's rules; time is judged only if now_ms is not 0. */
rdg_err_t ledger_judge(const ledger_t *l, rdg_bytes_t proposal, uint64_t now_ms);
/* The block is the next one, and stable. */
void ledger_append(ledger_t *l, blob_t *proposal, blob_t *seal);
void ledger_put_record(ledger_t *l, rdg_bytes_t key, rdg_bytes_t value);
void ledger_delete_record(ledger_t *l, rdg_bytes_t key);
bool ledger_has_record(const ledger_t *l, rdg_bytes_t value);
/* What a checkpoint signs: state and height. */
void ledger_executed_digest(const ledger_t *l, uint64_t height, rdg_hash_t *out);
const rdg_hash_t *ledger_hash(const ledger_t *l); /* of the last block */

#endif
