#include "state.h"
#include <string.h>
#include "keys.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "state_journal.h"
#include "word.h"

enum { BLOCK_ARENA_MAX = 256 << 20, TX_ARENA_MAX = 128 << 20 };

void state_init(state_t *s, rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, unsigned bank) {
    *s = (state_t){.kv = kv, .snap = snap, .bank = bank};
    rdg_arena_init(&s->block_arena, BLOCK_ARENA_MAX);
    rdg_arena_init(&s->tx_arena, TX_ARENA_MAX);
    rdg_buf_init(&s->raw, RDG_EVM_CODE_MAX);
}

void state_fini(state_t *s) {
    table_fini(&s->accounts);
    table_fini(&s->slots);
    table_fini(&s->transients);
    rdg_free(s->account_list);
    rdg_free(s->slot_list);
    rdg_free(s->journal);
    rdg_free(s->logs);
    rdg_free(s->destroyed);
    rdg_arena_fini(&s->block_arena);
    rdg_arena_fini(&s->tx_arena);
    rdg_buf_fini(&s->raw);
}

void state_begin_tx(state_t *s) {
    s->tx++;
    s->journal_count = s->log_count = s->destroyed_count = 0;
    table_clear(&s->transients);
    rdg_arena_reset(&s->tx_arena);
}

void state_end_tx(state_t *s) {
    for (size_t i = 0; i < s->destroyed_count; ++i) {
        account_t *a = s->destroyed[i];
        if (a->now.destroyed_tx != s->tx) continue;
        a->now = (account_values_t){.code_loaded = true};
        for (slot_t *slot = a->touched_tx == s->tx ? a->touched : NULL; slot; slot = slot->next_touched)
            memset(&slot->value, 0, sizeof slot->value);
    }
}

/* Room for one more item in a list of pointers. */
static bool list_room(void *list_pointer, size_t count, size_t *room) {
    void **list;
    if (count < *room) return true;
    memcpy(&list, list_pointer, sizeof list);
    size_t grown_room = *room ? *room * 2 : 64;
    void *grown = rdg_realloc_array(list, grown_room, sizeof(void *));
    if (!grown) return false;
    memcpy(list_pointer, &grown, sizeof grown);
    *room = grown_room;
    return true;
}

rdg_err_t account_encode(const account_values_t *v, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, v->nonce);
    rdg_rlp_put_uint(out, rdg_bytes(v->balance.b, sizeof v->balance.b));
    rdg_rlp_put_bytes(out,
                      rdg_bytes(v->code_hash.b, word_is_zero(&v->code_hash) ? 0 : sizeof v->code_hash.b));
    if (v->life) rdg_rlp_put_u64(out, v->life);
    return rdg_rlp_list_end(out, list);
}

rdg_err_t account_decode(rdg_bytes_t encoded, account_values_t *out) {
    rdg_rlp_t outer, c;
    *out = (account_values_t){0};
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &c);
    out->nonce = rdg_rlp_u64(&c);
    rdg_rlp_uint256(&c, out->balance.b);
    rdg_bytes_t code_hash = rdg_rlp_bytes_max(&c, sizeof out->code_hash.b);
    bool has_life = rdg_rlp_more(&c);
    uint64_t life = has_life ? rdg_rlp_u64(&c) : 0;
    if (rdg_rlp_done(&c) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK ||
        (code_hash.len != 0 && code_hash.len != sizeof out->code_hash.b) || (has_life && life == 0) ||
        life > LIFE_ALL)
        return rdg_fail(RDG_E_CORRUPT, "a stored account cannot be read: restore this node from its peers");
    if (code_hash.len) memcpy(out->code_hash.b, code_hash.data, code_hash.len);
    out->life = (uint8_t)life;
    return RDG_OK;
}

void state_restart(state_t *s, const state_t *under) {
    s->under = under;
    table_clear(&s->accounts);
    table_clear(&s->slots);
    s->account_count = s->slot_count = 0;
    rdg_arena_reset(&s->block_arena);
    s->tx = under->tx; /* later than whatever happened there */
}

static account_t *find_account(const state_t *s, const rdg_address_t *a, uint64_t hash) {
    size_t pos = hash;
    for (account_t *it; (it = table_probe(&s->accounts, hash, &pos));)
        if (rdg_address_equal(&it->address, a)) return it;
    return NULL;
}

static void stand_on(account_t *a, const account_t *under) {
    a->now = under->now;
    a->existed = under->existed;
}

static rdg_err_t load_account(state_t *s, account_t *a, uint64_t hash) {
    const account_t *under = s->under ? find_account(s->under, &a->address, hash) : NULL;
    if (under) {
        stand_on(a, under);
    } else {
        ledger_key_t key = key_of_account(s->bank, &a->address);
        rdg_err_t err = rdg_kv_get(s->kv, s->snap, key_view(&key), &s->raw);
        if (err == RDG_E_NOT_FOUND) return RDG_OK;
        RDG_TRY(err);
        RDG_TRY(account_decode(rdg_buf_view(&s->raw), &a->now));
        a->existed = true;
    }
    a->base_nonce = a->now.nonce;
    a->base_balance = a->now.balance;
    a->base_code_hash = a->now.code_hash;
    a->base_life = a->now.life;
    return RDG_OK;
}

static account_t *new_account(state_t *s, const rdg_address_t *a) {
    account_t *fresh = rdg_arena_calloc(&s->block_arena, 1, sizeof *fresh);
    if (!fresh || !table_reserve(&s->accounts) ||
        !list_room(&s->account_list, s->account_count, &s->account_room))
        return NULL;
    fresh->address = *a;
    return fresh;
}

static void keep_account(state_t *s, account_t *a, uint64_t hash) {
    table_insert(&s->accounts, hash, a);
    s->account_list[s->account_count++] = a;
}

static uint64_t account_hash(const rdg_address_t *a) {
    return table_hash(a->b, sizeof a->b);
}

account_t *state_find_account(const state_t *s, const rdg_address_t *a) {
    return find_account(s, a, account_hash(a));
}

rdg_err_t state_insert_account(state_t *s, const rdg_address_t *a, account_t **out) {
    *out = new_account(s, a);
    if (!*out) return RDG_E_NO_MEMORY;
    keep_account(s, *out, account_hash(a));
    return RDG_OK;
}

rdg_err_t state_account(state_t *s, const rdg_address_t *a, account_t **out) {
    uint64_t hash = account_hash(a);
    *out = find_account(s, a, hash);
    if (*out) return RDG_OK;
    account_t *fresh = new_account(s, a);
    if (!fresh) return RDG_E_NO_MEMORY;
    RDG_TRY(load_account(s, fresh, hash));
    keep_account(s, fresh, hash);
    *out = fresh;
    return RDG_OK;
}

rdg_err_t state_code(state_t *s, account_t *a, rdg_bytes_t *out) {
    if (!a->now.code_loaded && !word_is_zero(&a->now.code_hash)) {
        ledger_key_t key = key_of(KEY_CODE, a->now.code_hash.b, sizeof a->now.code_hash.b);
        rdg_err_t err = rdg_kv_get(s->kv, s->snap, key_view(&key), &s->raw);
        if (err == RDG_E_NOT_FOUND)
            return rdg_fail(RDG_E_CORRUPT,
                            "the code of a contract is missing: restore this node from its peers");
        RDG_TRY(err);
        void *copy = rdg_arena_copy(&s->block_arena, s->raw.data, s->raw.len);
        if (!copy) return RDG_E_NO_MEMORY;
        a->now.code = rdg_bytes(copy, s->raw.len);
        a->now.code_loaded = true;
    }
    *out = a->now.code;
    return RDG_OK;
}

bool account_is_empty(const account_t *a) {
    return a->now.nonce == 0 && word_is_zero(&a->now.balance) && word_is_zero(&a->now.code_hash);
}

static uint64_t slot_hash(const rdg_address_t *a, const rdg_word_t *key) {
    uint8_t both[sizeof a->b + sizeof key->b];
    memcpy(both, a->b, sizeof a->b);
    memcpy(both + sizeof a->b, key->b, sizeof key->b);
    return table_hash(both, sizeof both);
}

static slot_t *find_slot(const state_t *s, const rdg_address_t *a, const rdg_word_t *key, uint64_t hash) {
    size_t pos = hash;
    for (slot_t *it; (it = table_probe(&s->slots, hash, &pos));)
        if (!memcmp(it->key.b, key->b, sizeof key->b) && rdg_address_equal(&it->account->address, a))
            return it;
    return NULL;
}

slot_t *state_find_slot(const state_t *s, const rdg_address_t *a, const rdg_word_t *key) {
    return find_slot(s, a, key, slot_hash(a, key));
}

static rdg_err_t load_slot(state_t *s, slot_t *slot, uint64_t hash) {
    const slot_t *under = s->under ? find_slot(s->under, &slot->account->address, &slot->key, hash) : NULL;
    if (under) {
        slot->value = slot->base = under->value;
        return RDG_OK;
    }
    if (!slot->account->existed || slot->account->now.created_tx) return RDG_OK;
    ledger_key_t key = key_of_slot(s->bank, &slot->account->address, &slot->key);
    rdg_err_t err = rdg_kv_get(s->kv, s->snap, key_view(&key), &s->raw);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    RDG_TRY(err);
    if (s->raw.len > sizeof slot->base.b)
        return rdg_fail(RDG_E_CORRUPT, "a stored slot has %zu bytes: restore this node from its peers",
                        s->raw.len);
    memcpy(slot->base.b + sizeof slot->base.b - s->raw.len, s->raw.data, s->raw.len);
    slot->value = slot->base;
    return RDG_OK;
}

static slot_t *new_slot(state_t *s, account_t *account, const rdg_word_t *key) {
    slot_t *fresh = rdg_arena_calloc(&s->block_arena, 1, sizeof *fresh);
    if (!fresh || !table_reserve(&s->slots) || !list_room(&s->slot_list, s->slot_count, &s->slot_room))
        return NULL;
    fresh->account = account;
    fresh->key = *key;
    return fresh;
}

static void keep_slot(state_t *s, slot_t *slot, uint64_t hash) {
    table_insert(&s->slots, hash, slot);
    s->slot_list[s->slot_count++] = slot;
}

rdg_err_t state_insert_slot(state_t *s, account_t *account, const rdg_word_t *key, slot_t **out) {
    *out = new_slot(s, account, key);
    if (!*out) return RDG_E_NO_MEMORY;
    keep_slot(s, *out, slot_hash(&account->address, key));
    return RDG_OK;
}

static rdg_err_t add_slot(state_t *s, account_t *account, const rdg_word_t *key, uint64_t hash,
                          slot_t **out) {
    slot_t *fresh = new_slot(s, account, key);
    if (!fresh) return RDG_E_NO_MEMORY;
    RDG_TRY(load_slot(s, fresh, hash));
    keep_slot(s, fresh, hash);
    *out = fresh;
    return RDG_OK;
}

rdg_err_t state_slot(state_t *s, const rdg_address_t *a, const rdg_word_t *key, slot_t **out) {
    uint64_t hash = slot_hash(a, key);
    slot_t *slot = find_slot(s, a, key, hash);
    if (!slot) {
        account_t *account;
        RDG_TRY(state_account(s, a, &account));
        RDG_TRY(add_slot(s, account, key, hash, &slot));
    }
    if (slot->tx != s->tx) {
        account_t *account = slot->account;
        slot->tx = s->tx;
        slot->original = slot->value;
        slot->next_touched = account->touched_tx == s->tx ? account->touched : NULL;
        account->touched = slot;
        account->touched_tx = s->tx;
    }
    *out = slot;
    return RDG_OK;
}
