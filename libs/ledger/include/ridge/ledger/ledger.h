/* The ledger of one chain on one node: sealed blocks, state, indexes.
 *
 * On disk, under one directory: `genesis.json`; `blocks/NNNNNN.blk`, append-only records with length and
 * checksum holding proposal, seal and receipts; `db/`, RocksDB with the flat state, the state tree, indexes,
 * headers, seals, executed headers, checkpoint certificates and the consensus records.
 *
 * Invariants
 * 1. rdg_ledger_apply returns RDG_OK only when block, seal, receipts, state and indexes are on stable
 * storage: the body is appended and synced first, then one synced RocksDB batch makes it visible. A crash
 * between the two leaves a tail in the block file that open() cuts off.
 * 2. Height h+1 is applied on top of h only; the parent hash, the tx root and the seal are verified before
 * anything is executed, for every source (consensus, sync, import).
 * 3. State is a function of genesis and blocks. state_root after a block commits to every account and slot.
 * 4. After an IO, DISK_FULL or CORRUPT failure of apply nothing further is applied until the ledger is
 * reopened; reads go on. Any other failure of apply leaves the ledger as it was.
 * 5. Reads see one height: what apply has made durable, whole, never a part of a block. Nothing above the head is
 * ever shown, though a sync may have stored verified headers there (snapshot.h).
 * Threads: one writer at a time (validate, apply and checkpoint lock each other out); reads and proposals from any
 * thread, which never wait for a writer, but rdg_ledger_prove does.
 *
 * Execution has no fees: gas bounds work, balances move only by value. A transaction whose execution fails is
 * in the block with a failed receipt; one that breaks a rule (tx.h) makes the whole proposal invalid. The sum
 * of the gas limits of a block's transactions is at most the block's, so that a block's work is known before
 * it is executed. The nonce of a sending account is not counted (tx.h: nonces are random); contracts count
 * theirs as in Ethereum. */
#ifndef RIDGE_LEDGER_LEDGER_H
#define RIDGE_LEDGER_LEDGER_H
#include "ridge/consensus/validators.h"
#include "ridge/evm/watch.h"
#include "ridge/kv/kv.h"
#include "ridge/ledger/block.h"
#include "ridge/ledger/evidence.h"
#include "ridge/ledger/genesis.h"
#include "ridge/ledger/governance.h"
#include "ridge/ledger/pool.h"
#include "ridge/ledger/proof.h"

#ifdef __cplusplus
extern "C" {
#endif

/* States of blocks that stay readable, the head's included; since the ledger was opened: they are not on disk. */
#define RDG_LEDGER_STATES_KEPT 128
#define RDG_RECEIPTS_BYTES_MAX (512u << 20) /* of a block; the block's gas pays for less */

typedef struct rdg_ledger rdg_ledger_t;

typedef struct rdg_ledger_options {
    size_t memory_bytes; /* for the store; 0: default */
    /* Threads that execute a block's transactions, the caller's included: 1 is serial; 0: the cores, at most 4. The
     * result is the same. */
    unsigned execution_threads;
    bool memory_store;        /* tests: state in memory, block files still on disk */
    rdg_kv_t *store;          /* tests: use this store (taken, also on failure) */
    size_t log_section_items; /* tests: a section of the index of logs ends early; 0: default */
} rdg_ledger_options_t;

/* Creates the directory's content at first; later refuses a genesis with another hash (CONFLICT names both).
 * CORRUPT names file and offset, or what does not agree; UNSUPPORTED: written by a newer version. */
rdg_err_t rdg_ledger_open(const char *dir, const rdg_genesis_t *genesis, const rdg_ledger_options_t *options,
                          rdg_ledger_t **out);
void rdg_ledger_close(rdg_ledger_t *l); /* NULL is fine */
const rdg_genesis_t *rdg_ledger_genesis(const rdg_ledger_t *l);
rdg_kv_t *rdg_ledger_kv(rdg_ledger_t *l); /* borrowed; keys starting with 'C' belong to consensus records */

typedef struct rdg_ledger_head {
    uint64_t height, time_ms, tx_total;
    rdg_hash_t hash;     /* block hash */
    rdg_hash_t executed; /* executed digest */
    rdg_hash_t state_root;
    uint64_t checkpoint_height; /* highest height with a checkpoint certificate */
    /* Of the snapshot that this ledger was built on (snapshot.h), 0: none. Blocks above tail_height up to it have
     * headers and seals here, but neither body nor receipts. */
    uint64_t base_height, tail_height;
} rdg_ledger_head_t;
void rdg_ledger_head(rdg_ledger_t *l, rdg_ledger_head_t *out);

/* The validators that decide a height, of any epoch that was or is scheduled; above those, of the latest. */
rdg_err_t rdg_ledger_epoch(rdg_ledger_t *l, uint64_t height, rdg_epoch_t *out);
/* The chain's parameters as they are for the block after the head; those of consensus as of the latest epoch. */
void rdg_ledger_params(rdg_ledger_t *l, rdg_chain_params_t *out);

/* Builds the proposal for the height after head from pool; time is max(now, parent + 1). NOT_FOUND: nothing
 * to propose and allow_empty is false. Appends to out. */
rdg_err_t rdg_ledger_propose(rdg_ledger_t *l, rdg_pool_t *pool, uint32_t proposer, uint64_t now_ms,
                             bool allow_empty, rdg_buf_t *out);
/* The same behind `parent`: the head, or under Raft a block that this ledger proposed itself and has not executed yet,
 * at most RDG_CONSENSUS_WINDOW of which are kept. What is in the blocks between is not proposed again. It does not wait
 * for a writer. UNAVAILABLE: the parent is no such block, or the chain's parameters wait to be used: when what is
 * decided is executed, there is no doubt any more. */
rdg_err_t rdg_ledger_propose_after(rdg_ledger_t *l, rdg_pool_t *pool, const rdg_hash_t *parent,
                                   uint32_t proposer, uint64_t now_ms, bool allow_empty, rdg_buf_t *out);
/* Whether it could be proposed behind that block now; *waiting: transactions of the unexecuted ones, or NULL. */
bool rdg_ledger_may_follow(rdg_ledger_t *l, const rdg_hash_t *parent, size_t *waiting);
/* May this proposal follow the head? Parent, height, chain, epoch, time rules, limits, tx root, no duplicate
 * in the block or the ledger, expiry, and every signature (those found identical in pool are not verified
 * again; the rest in one batch). Under Raft, whose leader proposes before what it follows is executed, the block may
 * still have its parent's gas limit after a change, and its number of transactions is bound by RDG_BLOCK_TXS_MAX
 * alone. pool may be NULL. STALE: at or below the head; UNAVAILABLE: above the next
 * height. */
rdg_err_t rdg_ledger_validate(rdg_ledger_t *l, rdg_pool_t *pool, rdg_bytes_t proposal, uint64_t now_ms);
/* Executes and stores. seal: encoded COMMIT certificate, verified. verified=true: this node validated that
 * very proposal before; false: signatures are checked here (sync). */
rdg_err_t rdg_ledger_apply(rdg_ledger_t *l, rdg_bytes_t proposal, rdg_bytes_t seal, bool verified,
                           rdg_executed_t *out);
/* Verifies and stores a checkpoint certificate for an executed height; DIVERGED if its digest is not ours. */
rdg_err_t rdg_ledger_checkpoint(rdg_ledger_t *l, uint64_t height, rdg_bytes_t certificate);
/* Takes a transaction into the pool: precheck, not in the ledger (DUPLICATE), signature. Any thread. */
rdg_err_t rdg_ledger_admit(rdg_ledger_t *l, rdg_pool_t *pool, rdg_tx_t *tx);
/* The same for a transaction whose signature has been verified and that rdg_ledger_find_tx did not find after the head was at
 * `height`. If the head has moved since it is looked for again, after the pool has it: a block that took it meanwhile would
 * otherwise leave it in the pool until it expires. */
rdg_err_t rdg_ledger_admit_unseen(rdg_ledger_t *l, rdg_pool_t *pool, rdg_tx_t *tx, uint64_t height);

/* --- reads: NOT_FOUND, CORRUPT, IO ---------------------------------------------------------------- */
typedef struct rdg_tx_location {
    uint64_t height;
    uint32_t index;
} rdg_tx_location_t;

rdg_err_t rdg_ledger_header(rdg_ledger_t *l, uint64_t height, rdg_header_t *header, rdg_hash_t *hash,
                            rdg_executed_t *executed); /* any may be NULL; height 0 is genesis */
rdg_err_t rdg_ledger_height_of(rdg_ledger_t *l, const rdg_hash_t *block_hash, uint64_t *height);
/* Returns a reference. NOT_FOUND for genesis, which has no body; UNAVAILABLE: below the snapshot that this ledger
 * stands on. The same of receipts and logs. */
rdg_err_t rdg_ledger_block(rdg_ledger_t *l, uint64_t height, rdg_block_t **out);
/* Each is cleared and filled, and may be NULL; a checkpoint that is not there (yet) leaves its buffer empty.
 */
rdg_err_t rdg_ledger_seal(rdg_ledger_t *l, uint64_t height, rdg_buf_t *seal, rdg_buf_t *checkpoint);
rdg_err_t rdg_ledger_find_tx(rdg_ledger_t *l, const rdg_hash_t *id, rdg_tx_location_t *out);
/* Encoded receipts of a block, in order, appended as they are in one RLP list. */
rdg_err_t rdg_ledger_receipts(rdg_ledger_t *l, uint64_t height, rdg_buf_t *out);
/* The log bloom of a block; all zero when it has no log. */
rdg_err_t rdg_ledger_bloom(rdg_ledger_t *l, uint64_t height, rdg_bloom_t *out);

/* Any may be NULL; an absent account reads as zero. code is appended. */
rdg_err_t rdg_ledger_account(rdg_ledger_t *l, const rdg_address_t *a, uint64_t *nonce, rdg_word_t *balance,
                             rdg_buf_t *code);
rdg_err_t rdg_ledger_storage(rdg_ledger_t *l, const rdg_address_t *a, const rdg_word_t *key,
                             rdg_word_t *value);
/* The same as of a block: UNSUPPORTED names the blocks whose state is still there. */
rdg_err_t rdg_ledger_account_at(rdg_ledger_t *l, uint64_t height, const rdg_address_t *a, uint64_t *nonce,
                                rdg_word_t *balance, rdg_buf_t *code);
rdg_err_t rdg_ledger_storage_at(rdg_ledger_t *l, uint64_t height, const rdg_address_t *a,
                                const rdg_word_t *key, rdg_word_t *value);
/* Proof (proof.h) for an account, or for one of its slots, under the state root of *height. Appends. */
rdg_err_t rdg_ledger_prove(rdg_ledger_t *l, const rdg_address_t *a, const rdg_word_t *slot, rdg_buf_t *proof,
                           uint64_t *height);

/* Receipt evidence (evidence.h) of a transaction by its place. Appends. UNAVAILABLE: the block has no checkpoint
 * certificate yet. */
rdg_err_t rdg_ledger_prove_receipt(rdg_ledger_t *l, uint64_t height, uint32_t index, rdg_buf_t *out);
/* Epoch evidence of a set of validators, signed by the set before it. Appends. NOT_FOUND: no such epoch; INVALID: 0;
 * UNAVAILABLE: no block that names it is signed yet. */
rdg_err_t rdg_ledger_prove_epoch(rdg_ledger_t *l, uint64_t number, rdg_buf_t *out);

typedef struct rdg_log_filter {
    uint64_t from, to; /* heights, inclusive; what is above the head has no logs */
    const rdg_address_t *addresses;
    size_t address_count; /* 0: any */
    struct {
        const rdg_word_t *any; /* one of these */
        size_t count;          /* 0: any, also none */
    } topics[4];
    uint32_t from_index; /* logs of the block `from` with a lower index are left out */
    uint64_t time_ms;    /* TIMEOUT after a search of that long; 0: no limit */
    uint64_t *stood_at;  /* gets the height at which a search failed: all below it was told; may be NULL */
} rdg_log_filter_t;
typedef struct rdg_log_hit {
    uint64_t height;
    rdg_hash_t block_hash, tx_id;
    uint32_t tx_index, log_index; /* log_index counts within the block */
    const rdg_log_entry_t *log;   /* borrowed during the call */
} rdg_log_hit_t;
bool rdg_log_matches(const rdg_log_filter_t *filter, const rdg_log_entry_t *log); /* heights aside */
/* Calls hit for each log that matches, in order. TOO_LARGE when there are more than limit; an error of hit
 * ends the search and is returned. ARCHIVED: a block that may hold a match is below the mark of pruning (archive.h);
 * UNAVAILABLE: the range reaches into blocks below the snapshot that this ledger stands on, and says which. */
rdg_err_t rdg_ledger_logs(rdg_ledger_t *l, const rdg_log_filter_t *filter, size_t limit,
                          rdg_err_t (*hit)(void *ctx, const rdg_log_hit_t *found), void *ctx);

/* What a call finds in place of an account's state. */
typedef struct rdg_slot_override {
    rdg_word_t key, value;
} rdg_slot_override_t;
typedef struct rdg_account_override {
    rdg_address_t address;
    bool has_nonce, has_balance, has_code;
    bool only_slots; /* slots that are not listed are zero */
    uint64_t nonce;
    rdg_word_t balance;
    rdg_bytes_t code;
    const rdg_slot_override_t *slots;
    size_t slot_count;
} rdg_account_override_t;

typedef struct rdg_call {
    rdg_address_t from;
    const rdg_address_t *to; /* NULL: run data as init code */
    rdg_word_t value;
    uint64_t gas; /* intrinsic gas included; 0, or above the chain's limit of a transaction: that limit */
    rdg_bytes_t data;
    bool audit;     /* a static call that also revoked contracts answer */
    bool at_height; /* the state after `height`, among the newest RDG_LEDGER_STATES_KEPT; else the head's */
    uint64_t height;
    const rdg_account_override_t *overrides;
    size_t override_count;
    uint64_t time_ms;             /* TIMEOUT after that long; 0: no limit */
    const rdg_evm_watch_t *watch; /* its poll is not called; NULL: none */
} rdg_call_t;
typedef struct rdg_call_result {
    rdg_evm_status_t status;
    uint64_t gas_used;
} rdg_call_result_t;
/* Runs on the state after head without changing it; output (also of a revert) is appended. Any thread.
 * UNSUPPORTED names the blocks whose state is still there. */
rdg_err_t rdg_ledger_call(rdg_ledger_t *l, const rdg_call_t *call, rdg_buf_t *output,
                          rdg_call_result_t *result);
/* Executes a block's transactions again on the state before it, up to the one at index, which is watched (poll
 * is not called); TIMEOUT after time_ms. Output as of rdg_ledger_call. UNSUPPORTED as there; NOT_FOUND. */
rdg_err_t rdg_ledger_trace(rdg_ledger_t *l, uint64_t height, uint32_t index, const rdg_evm_watch_t *watch,
                           uint64_t time_ms, rdg_buf_t *output, rdg_call_result_t *result);

#ifdef __cplusplus
}
#endif
#endif
