/* Accounts and storage during execution: what the store holds under what transactions changed.
 *
 * One state serves one block, or one read-only call. Entries are loaded once and changed in place; a journal
 * holds the old values of the running transaction, so that a frame, or the transaction, can be undone.
 * Whatever is per transaction (warmth, original values, created and destroyed accounts, transient storage)
 * carries the number of the transaction it belongs to, so that a new one starts by counting up.
 *
 * A state can stand on another one, which is read before the store and must not change meanwhile: a
 * transaction is then executed apart, and state_still_holds and state_adopt make it part of the lower state
 * if nothing that it read has changed since.
 *
 * Views of code and log data live until state_fini, respectively the next state_begin_tx. Not thread-safe;
 * any number of states may read one store at once. */
#ifndef RIDGE_LEDGER_STATE_H
#define RIDGE_LEDGER_STATE_H
#include "ridge/base/arena.h"
#include "ridge/kv/kv.h"
#include "ridge/ledger/block.h"
#include "ridge/ledger/genesis.h"
#include "table.h"
#include "tree.h"

/* What the registry of contracts did to an account (registry.h). It lies in the account because whoever calls a contract
 * loads that. */
typedef enum life {
    LIFE_FROZEN_BY_OWNER = 1,
    LIFE_FROZEN_BY_ADMINS = 2,
    LIFE_SUPERSEDED = 4,
    LIFE_REVOKED = 8,
    LIFE_ALL = 15
} life_t;

/* What the journal restores as a whole. */
typedef struct account_values {
    uint64_t nonce;
    rdg_word_t balance, code_hash; /* code_hash: zero when there is no code */
    rdg_bytes_t code;              /* valid when code_loaded or code_hash is zero */
    bool code_loaded;
    bool code_new; /* set in this block: must be stored */
    uint64_t created_tx, destroyed_tx;
    uint8_t life; /* life_t, several at once; 0: as any account */
} account_values_t;

typedef struct account {
    rdg_address_t address;
    account_values_t now;
    bool existed;
    uint64_t base_nonce;
    rdg_word_t base_balance, base_code_hash; /* in the store, or in the state under this one */
    uint8_t base_life;
    uint64_t warm_tx, touched_tx;
    struct slot *touched; /* slots looked at in transaction touched_tx */
} account_t;

typedef struct slot {
    account_t *account;
    rdg_word_t key, base, original, value; /* in the store; at the transaction's start; now */
    uint64_t tx, warm_tx;
    struct slot *next_touched;
} slot_t;

typedef struct transient {
    rdg_address_t address;
    rdg_word_t key, value;
} transient_t;

typedef struct undo undo_t;

typedef struct state {
    rdg_kv_t *kv;
    const rdg_kv_snapshot_t *snap; /* NULL: latest */
    unsigned bank;                 /* keys.h */
    const struct state *under;     /* NULL: the store alone */
    rdg_arena_t block_arena, tx_arena;
    table_t accounts, slots, transients;
    account_t **account_list;
    slot_t **slot_list;
    size_t account_count, account_room, slot_count, slot_room;
    uint64_t tx; /* number of the running transaction, from 1 */
    undo_t *journal;
    size_t journal_count, journal_room;
    rdg_log_entry_t *logs;
    size_t log_count, log_room;
    account_t **destroyed; /* in the running transaction; may hold accounts whose destruction was undone */
    size_t destroyed_count, destroyed_room;
    rdg_buf_t raw;
} state_t;

void state_init(state_t *s, rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, unsigned bank);
void state_fini(state_t *s);
/* Forgets everything, to stand on `under`. */
void state_restart(state_t *s, const state_t *under);
void state_begin_tx(state_t *s);
/* Removes the accounts that the transaction created and destroyed (EIP-6780). */
void state_end_tx(state_t *s);

rdg_err_t state_account(state_t *s, const rdg_address_t *a, account_t **out);
rdg_err_t state_code(state_t *s, account_t *a, rdg_bytes_t *out);
rdg_err_t state_slot(state_t *s, const rdg_address_t *a, const rdg_word_t *key, slot_t **out);
bool account_is_empty(const account_t *a); /* EIP-161 */
/* What has been loaded already, or NULL. */
account_t *state_find_account(const state_t *s, const rdg_address_t *a);
slot_t *state_find_slot(const state_t *s, const rdg_address_t *a, const rdg_word_t *key);
/* Loaded or not, by the caller's word on what the store holds. Returns OK or NO_MEMORY. */
rdg_err_t state_insert_account(state_t *s, const rdg_address_t *a, account_t **out);
rdg_err_t state_insert_slot(state_t *s, account_t *account, const rdg_word_t *key, slot_t **out);

/* Changes, each journaled. */
rdg_err_t state_touch_account(state_t *s, account_t *a); /* before changing a->now */
rdg_err_t state_set_slot(state_t *s, slot_t *slot, const rdg_word_t *value);
rdg_err_t state_transient(state_t *s, const rdg_address_t *a, const rdg_word_t *key, rdg_word_t *out);
rdg_err_t state_set_transient(state_t *s, const rdg_address_t *a, const rdg_word_t *key,
                              const rdg_word_t *value);
rdg_err_t state_warm_account(state_t *s, account_t *a);
rdg_err_t state_warm_slot(state_t *s, slot_t *slot);
rdg_err_t state_log(state_t *s, const rdg_evm_log_t *log);
rdg_err_t state_mark_destroyed(state_t *s, account_t *a);
rdg_err_t state_transfer(state_t *s, const rdg_address_t *from, const rdg_address_t *to,
                         const rdg_word_t *value, bool *enough);
size_t state_snapshot(const state_t *s);
void state_revert(state_t *s, size_t snapshot);

/* state_merge.c: upper stands on s and has executed one transaction.
 * Would that transaction read the same on s as s is now? Every value that it read is compared. */
bool state_still_holds(const state_t *s, const state_t *upper);
/* Takes over what it changed, as one transaction of s, and keeps what it loaded. */
rdg_err_t state_adopt(state_t *s, const state_t *upper);

/* Writes what differs from the store, flat and as updates of the tree, into batch. */
rdg_err_t state_commit(state_t *s, tree_t *tree, rdg_kv_batch_t *batch);

/* The account's form in the store and in the tree. */
rdg_err_t account_encode(const account_values_t *v, rdg_buf_t *out);
rdg_err_t account_decode(rdg_bytes_t encoded, account_values_t *out); /* CORRUPT */

extern const rdg_evm_host_t RDG_STATE_HOST; /* ctx: a state_host_t */
typedef struct state_host {
    state_t *state;
    /* Hash of a block among the last 256 before the running one. */
    rdg_err_t (*block_hash)(void *ctx, uint64_t height, rdg_word_t *out);
    void *ctx;
    /* For governance: the running block and transaction; whether a call may have changed it. */
    const rdg_evm_context_t *context;
    const rdg_genesis_t *genesis;
    bool governance_changed;
    bool audit;               /* a read-only call that revoked contracts answer too */
    const account_t *entered; /* whose code was asked for last */
} state_host_t;

#endif
