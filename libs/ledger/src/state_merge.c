/* A transaction that was executed apart becomes part of the state under it. */
#include <string.h>
#include "state.h"
#include "word.h"

static bool same_word(const rdg_word_t *a, const rdg_word_t *b) {
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

/* What s has not loaded is as the store has it, as it was for upper. */
bool state_still_holds(const state_t *s, const state_t *upper) {
    for (size_t i = 0; i < upper->account_count; ++i) {
        const account_t *read = upper->account_list[i], *now = state_find_account(s, &read->address);
        if (now && (now->now.nonce != read->base_nonce || now->now.life != read->base_life ||
                    !same_word(&now->now.balance, &read->base_balance) ||
                    !same_word(&now->now.code_hash, &read->base_code_hash)))
            return false;
    }
    for (size_t i = 0; i < upper->slot_count; ++i) {
        const slot_t *read = upper->slot_list[i];
        const slot_t *now = state_find_slot(s, &read->account->address, &read->key);
        if (now && !same_word(&now->value, &read->base)) return false;
    }
    return true;
}

/* The upper state's memory does not outlive it. */
static rdg_err_t take_code(state_t *s, account_t *mine, const account_t *theirs) {
    rdg_bytes_t code = theirs->now.code;
    bool same = same_word(&mine->now.code_hash, &theirs->now.code_hash);
    if (!theirs->now.code_loaded || (same && mine->now.code_loaded)) return RDG_OK;
    void *copy = code.len ? rdg_arena_copy(&s->block_arena, code.data, code.len) : NULL;
    if (code.len && !copy) return RDG_E_NO_MEMORY;
    mine->now.code = rdg_bytes(copy, code.len);
    mine->now.code_hash = theirs->now.code_hash;
    mine->now.code_loaded = true;
    mine->now.code_new = theirs->now.code_new;
    return RDG_OK;
}

static rdg_err_t adopt_account(state_t *s, const state_t *upper, const account_t *theirs) {
    account_t *mine = state_find_account(s, &theirs->address);
    if (!mine) { /* then upper has it from the store */
        RDG_TRY(state_insert_account(s, &theirs->address, &mine));
        mine->existed = theirs->existed;
        mine->now.nonce = mine->base_nonce = theirs->base_nonce;
        mine->now.balance = mine->base_balance = theirs->base_balance;
        mine->now.code_hash = mine->base_code_hash = theirs->base_code_hash;
        mine->now.life = mine->base_life = theirs->base_life;
    }
    RDG_TRY(take_code(s, mine, theirs));
    mine->now.nonce = theirs->now.nonce;
    mine->now.balance = theirs->now.balance;
    mine->now.life = theirs->now.life;
    if (theirs->now.created_tx == upper->tx) mine->now.created_tx = s->tx;
    return RDG_OK;
}

static rdg_err_t adopt_slot(state_t *s, const slot_t *theirs) {
    slot_t *mine = state_find_slot(s, &theirs->account->address, &theirs->key);
    if (!mine) {
        account_t *account;
        RDG_TRY(state_account(s, &theirs->account->address, &account));
        RDG_TRY(state_insert_slot(s, account, &theirs->key, &mine));
        mine->base = theirs->base;
    }
    mine->value = theirs->value;
    return RDG_OK;
}

rdg_err_t state_adopt(state_t *s, const state_t *upper) {
    state_begin_tx(s);
    for (size_t i = 0; i < upper->account_count; ++i)
        RDG_TRY(adopt_account(s, upper, upper->account_list[i]));
    for (size_t i = 0; i < upper->slot_count; ++i) RDG_TRY(adopt_slot(s, upper->slot_list[i]));
    state_end_tx(s);
    return RDG_OK;
}
