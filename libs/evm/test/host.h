/* A small state in memory behind the machine's host interface, with a journal. For tests: it asserts instead
 * of failing, and frees nothing before host_fini. */
#ifndef RIDGE_EVM_TEST_HOST_H
#define RIDGE_EVM_TEST_HOST_H
#include "ridge/base/arena.h"
#include "ridge/base/map.h"
#include "ridge/evm/evm.h"

typedef struct host_account {
    rdg_address_t address;
    uint64_t nonce;
    rdg_word_t balance;
    rdg_bytes_t code;
    rdg_word_t code_hash;
    bool warm, created, destroyed;
} host_account_t;

typedef struct host_slot {
    rdg_address_t address;
    rdg_word_t key, value, original, transient;
    bool warm;
} host_slot_t;

typedef struct host_undo {
    host_account_t *account;
    host_slot_t *slot;
    host_account_t old_account;
    host_slot_t old_slot;
} host_undo_t;

typedef struct host {
    rdg_evm_host_t vtable; /* a test may replace a function */
    rdg_arena_t arena;
    rdg_map_t *accounts, *slots;
    host_account_t **account_list;
    size_t account_count, account_size;
    host_slot_t **slot_list;
    size_t slot_count, slot_size;
    host_undo_t *journal;
    size_t journal_len, journal_size;
    rdg_evm_log_t *logs;
    size_t log_count, log_size;
    bool destroys_always;  /* before EIP-6780: SELFDESTRUCT removes every account */
    rdg_err_t fail_with;   /* storage reads answer this error, if set */
    rdg_address_t refused; /* may_call answers false for this one, if not zero */
    rdg_bytes_t refusal;   /* with these words */
} host_t;

void host_init(host_t *h);
void host_fini(host_t *h);
void host_begin_tx(
    host_t *h); /* forgets warmth, transient storage, logs; original values are the present ones */
host_account_t *host_account(host_t *h, const rdg_address_t *a);
host_slot_t *host_slot(host_t *h, const rdg_address_t *a, const rdg_word_t *key);
void host_set_code(host_t *h, const rdg_address_t *a, const void *code, size_t len);
void host_set_balance(host_t *h, const rdg_address_t *a, uint64_t balance);

rdg_address_t address_of(uint64_t n);
rdg_word_t word_of(uint64_t n);
uint64_t word_u64(const rdg_word_t *w);

#endif
