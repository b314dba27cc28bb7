/* The EVM's view of the state. */
#include <string.h>
#include "registry.h"
#include "ridge/crypto/hash.h"
#include "state.h"
#include "word.h"

static state_t *state_of(void *ctx) {
    return ((state_host_t *)ctx)->state;
}

static rdg_err_t host_exists(void *ctx, const rdg_address_t *a, bool *out) {
    account_t *account;
    RDG_TRY(state_account(state_of(ctx), a, &account));
    *out = !account_is_empty(account);
    return RDG_OK;
}

static rdg_err_t host_balance(void *ctx, const rdg_address_t *a, rdg_word_t *out) {
    account_t *account;
    RDG_TRY(state_account(state_of(ctx), a, &account));
    *out = account->now.balance;
    return RDG_OK;
}

/* The machine asks for the balance before it transfers: too little here is a fault of ours. */
static rdg_err_t host_transfer(void *ctx, const rdg_address_t *from, const rdg_address_t *to,
                               const rdg_word_t *value) {
    bool enough = false;
    RDG_TRY(state_transfer(state_of(ctx), from, to, value, &enough));
    return enough ? RDG_OK : rdg_fail(RDG_E_INTERNAL, "a transfer of more than the payer has");
}

static rdg_err_t host_nonce(void *ctx, const rdg_address_t *a, uint64_t *out) {
    account_t *account;
    RDG_TRY(state_account(state_of(ctx), a, &account));
    *out = account->now.nonce;
    return RDG_OK;
}

static rdg_err_t host_set_nonce(void *ctx, const rdg_address_t *a, uint64_t nonce) {
    account_t *account;
    RDG_TRY(state_account(state_of(ctx), a, &account));
    RDG_TRY(state_touch_account(state_of(ctx), account));
    account->now.nonce = nonce;
    return RDG_OK;
}

static rdg_err_t host_code(void *ctx, const rdg_address_t *a, rdg_bytes_t *code, rdg_word_t *code_hash) {
    account_t *account;
    RDG_TRY(state_account(state_of(ctx), a, &account));
    RDG_TRY(state_code(state_of(ctx), account, code));
    ((state_host_t *)ctx)->entered = account;
    *code_hash = account->now.code_hash;
    if (word_is_zero(code_hash) && !account_is_empty(account)) rdg_keccak256(NULL, 0, code_hash->b);
    return RDG_OK;
}

static rdg_err_t host_set_code(void *ctx, const rdg_address_t *a, rdg_bytes_t code) {
    state_t *s = state_of(ctx);
    account_t *account;
    RDG_TRY(state_account(s, a, &account));
    RDG_TRY(state_touch_account(s, account));
    void *copy = code.len ? rdg_arena_copy(&s->block_arena, code.data, code.len) : NULL;
    if (code.len && !copy) return RDG_E_NO_MEMORY;
    account->now.code = rdg_bytes(copy, code.len);
    account->now.code_loaded = account->now.code_new = true;
    memset(&account->now.code_hash, 0, sizeof account->now.code_hash);
    if (code.len) rdg_keccak256(code.data, code.len, account->now.code_hash.b);
    return RDG_OK;
}

/* Storage without code or nonce cannot be: only accounts of the running transaction are ever removed. */
static rdg_err_t host_can_create(void *ctx, const rdg_address_t *a, bool *out) {
    account_t *account;
    RDG_TRY(state_account(state_of(ctx), a, &account));
    *out = account->now.nonce == 0 && word_is_zero(&account->now.code_hash);
    return RDG_OK;
}

static rdg_err_t host_create(void *ctx, const rdg_address_t *a) {
    account_t *account;
    RDG_TRY(state_account(state_of(ctx), a, &account));
    RDG_TRY(state_touch_account(state_of(ctx), account));
    account->now.nonce = 1;
    account->now.created_tx = state_of(ctx)->tx;
    return RDG_OK;
}

static rdg_err_t host_storage(void *ctx, const rdg_address_t *a, const rdg_word_t *key, rdg_word_t *value) {
    slot_t *slot;
    RDG_TRY(state_slot(state_of(ctx), a, key, &slot));
    *value = slot->value;
    return RDG_OK;
}

static rdg_err_t host_storage_original(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                                       rdg_word_t *value) {
    slot_t *slot;
    RDG_TRY(state_slot(state_of(ctx), a, key, &slot));
    *value = slot->original;
    return RDG_OK;
}

static rdg_err_t host_set_storage(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                                  const rdg_word_t *value) {
    slot_t *slot;
    RDG_TRY(state_slot(state_of(ctx), a, key, &slot));
    return state_set_slot(state_of(ctx), slot, value);
}

static rdg_err_t host_transient(void *ctx, const rdg_address_t *a, const rdg_word_t *key, rdg_word_t *value) {
    return state_transient(state_of(ctx), a, key, value);
}

static rdg_err_t host_set_transient(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                                    const rdg_word_t *value) {
    return state_set_transient(state_of(ctx), a, key, value);
}

/* EIP-2929: the precompiles (1 to 10) are always warm. */
static bool is_precompile(const rdg_address_t *a) {
    uint8_t any = 0;
    for (size_t i = 0; i + 1 < sizeof a->b; ++i) any |= a->b[i];
    return any == 0 && a->b[sizeof a->b - 1] >= 1 && a->b[sizeof a->b - 1] <= 10;
}

static rdg_err_t host_access_account(void *ctx, const rdg_address_t *a, rdg_evm_access_t *was) {
    state_t *s = state_of(ctx);
    account_t *account;
    *was = RDG_EVM_WARM;
    if (is_precompile(a)) return RDG_OK;
    RDG_TRY(state_account(s, a, &account));
    *was = account->warm_tx == s->tx ? RDG_EVM_WARM : RDG_EVM_COLD;
    return state_warm_account(s, account);
}

static rdg_err_t host_access_storage(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                                     rdg_evm_access_t *was) {
    state_t *s = state_of(ctx);
    slot_t *slot;
    RDG_TRY(state_slot(s, a, key, &slot));
    *was = slot->warm_tx == s->tx ? RDG_EVM_WARM : RDG_EVM_COLD;
    return state_warm_slot(s, slot);
}

static rdg_err_t host_selfdestruct(void *ctx, const rdg_address_t *a, const rdg_address_t *beneficiary) {
    state_t *s = state_of(ctx);
    account_t *account;
    bool enough = false;
    RDG_TRY(state_account(s, a, &account));
    rdg_word_t all = account->now.balance;
    RDG_TRY(state_transfer(s, a, beneficiary, &all, &enough));
    if (account->now.created_tx != s->tx) return RDG_OK;
    RDG_TRY(state_mark_destroyed(s, account));
    memset(&account->now.balance, 0, sizeof account->now.balance);
    return RDG_OK;
}

static rdg_err_t host_log(void *ctx, const rdg_evm_log_t *log) {
    return state_log(state_of(ctx), log);
}

static rdg_err_t host_block_hash(void *ctx, uint64_t number, rdg_word_t *out) {
    state_host_t *h = ctx;
    return h->block_hash(h->ctx, number, out);
}

static size_t host_snapshot(void *ctx) {
    return state_snapshot(state_of(ctx));
}

static void host_revert(void *ctx, size_t snapshot) {
    state_revert(state_of(ctx), snapshot);
}

static rdg_err_t system_contract(void *ctx, const rdg_evm_message_t *msg, uint64_t *gas, rdg_buf_t *output,
                                 bool *found, bool *ok) {
    RDG_TRY(governance_call(ctx, msg, gas, output, found, ok));
    return *found ? RDG_OK : registry_call(ctx, msg, gas, output, found, ok);
}

const rdg_evm_host_t RDG_STATE_HOST = {.exists = host_exists,
                                       .balance = host_balance,
                                       .transfer = host_transfer,
                                       .nonce = host_nonce,
                                       .set_nonce = host_set_nonce,
                                       .code = host_code,
                                       .set_code = host_set_code,
                                       .can_create = host_can_create,
                                       .create = host_create,
                                       .storage = host_storage,
                                       .storage_original = host_storage_original,
                                       .set_storage = host_set_storage,
                                       .transient = host_transient,
                                       .set_transient = host_set_transient,
                                       .access_account = host_access_account,
                                       .access_storage = host_access_storage,
                                       .selfdestruct = host_selfdestruct,
                                       .log = host_log,
                                       .block_hash = host_block_hash,
                                       .snapshot = host_snapshot,
                                       .revert_to = host_revert,
                                       .may_call = registry_may_call,
                                       .precompile = system_contract};
