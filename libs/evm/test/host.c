#include "host.h"
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/crypto/hash.h"
#include "u256.h"

rdg_address_t address_of(uint64_t n) {
    rdg_address_t a = {{0}};
    rdg_store_be64(a.b + 12, n);
    return a;
}

rdg_word_t word_of(uint64_t n) {
    rdg_word_t w = {{0}};
    rdg_store_be64(w.b + 24, n);
    return w;
}

uint64_t word_u64(const rdg_word_t *w) {
    return rdg_load_be64(w->b + 24);
}

static bool zero(const void *p, size_t len) {
    const uint8_t *b = p;
    for (size_t i = 0; i < len; ++i)
        if (b[i]) return false;
    return true;
}

/* Room for one more item in an array. */
static void *grown(void *items, size_t count, size_t *room, size_t item_size) {
    if (count < *room) return items;
    *room = *room ? 2 * *room : 64;
    items = rdg_realloc_array(items, *room, item_size);
    RDG_ASSERT(items);
    return items;
}

host_account_t *host_account(host_t *h, const rdg_address_t *a) {
    host_account_t *account = rdg_map_get(h->accounts, rdg_bytes(a->b, sizeof a->b));
    if (account) return account;
    account = rdg_arena_calloc(&h->arena, 1, sizeof *account);
    RDG_ASSERT(account);
    account->address = *a;
    rdg_keccak256("", 0, account->code_hash.b);
    RDG_ASSERT(rdg_map_put(h->accounts, rdg_bytes(a->b, sizeof a->b), account, NULL) == RDG_OK);
    h->account_list = grown(h->account_list, h->account_count, &h->account_size, sizeof(host_account_t *));
    h->account_list[h->account_count++] = account;
    return account;
}

host_slot_t *host_slot(host_t *h, const rdg_address_t *a, const rdg_word_t *key) {
    uint8_t id[52];
    memcpy(id, a->b, 20);
    memcpy(id + 20, key->b, 32);
    host_slot_t *slot = rdg_map_get(h->slots, rdg_bytes(id, sizeof id));
    if (slot) return slot;
    slot = rdg_arena_calloc(&h->arena, 1, sizeof *slot);
    RDG_ASSERT(slot);
    slot->address = *a;
    slot->key = *key;
    RDG_ASSERT(rdg_map_put(h->slots, rdg_bytes(id, sizeof id), slot, NULL) == RDG_OK);
    h->slot_list = grown(h->slot_list, h->slot_count, &h->slot_size, sizeof(host_slot_t *));
    h->slot_list[h->slot_count++] = slot;
    return slot;
}

static host_undo_t *journal_add(host_t *h) {
    h->journal = grown(h->journal, h->journal_len, &h->journal_size, sizeof *h->journal);
    host_undo_t *u = &h->journal[h->journal_len++];
    memset(u, 0, sizeof *u);
    return u;
}

static host_account_t *changing_account(host_t *h, const rdg_address_t *a) {
    host_account_t *account = host_account(h, a);
    host_undo_t *u = journal_add(h);
    u->account = account;
    u->old_account = *account;
    return account;
}

static host_slot_t *changing_slot(host_t *h, const rdg_address_t *a, const rdg_word_t *key) {
    host_slot_t *slot = host_slot(h, a, key);
    host_undo_t *u = journal_add(h);
    u->slot = slot;
    u->old_slot = *slot;
    return slot;
}

static size_t snapshot(void *ctx) {
    return ((host_t *)ctx)->journal_len;
}

static void revert_to(void *ctx, size_t mark) {
    host_t *h = ctx;
    RDG_ASSERT(mark <= h->journal_len);
    while (h->journal_len > mark) {
        host_undo_t *u = &h->journal[--h->journal_len];
        if (u->account)
            *u->account = u->old_account;
        else if (u->slot)
            *u->slot = u->old_slot;
        else
            --h->log_count;
    }
}

static rdg_err_t exists(void *ctx, const rdg_address_t *a, bool *out) {
    host_account_t *account = host_account(ctx, a);
    *out = account->nonce || account->code.len || !zero(account->balance.b, 32);
    return RDG_OK;
}

static rdg_err_t balance(void *ctx, const rdg_address_t *a, rdg_word_t *out) {
    *out = host_account(ctx, a)->balance;
    return RDG_OK;
}

static rdg_err_t transfer(void *ctx, const rdg_address_t *from, const rdg_address_t *to,
                          const rdg_word_t *value) {
    host_account_t *account = changing_account(ctx, from);
    u256_t amount = u256_load(value->b), have = u256_load(account->balance.b);
    RDG_ASSERT(!u256_less(&have, &amount));
    have = u256_sub(&have, &amount);
    u256_store(account->balance.b, &have);
    account = changing_account(ctx, to);
    have = u256_load(account->balance.b);
    have = u256_add(&have, &amount);
    u256_store(account->balance.b, &have);
    return RDG_OK;
}

static rdg_err_t nonce(void *ctx, const rdg_address_t *a, uint64_t *out) {
    *out = host_account(ctx, a)->nonce;
    return RDG_OK;
}

static rdg_err_t set_nonce(void *ctx, const rdg_address_t *a, uint64_t n) {
    changing_account(ctx, a)->nonce = n;
    return RDG_OK;
}

static rdg_err_t get_code(void *ctx, const rdg_address_t *a, rdg_bytes_t *code, rdg_word_t *hash) {
    host_account_t *account = host_account(ctx, a);
    *code = account->code;
    *hash = account->code_hash;
    return RDG_OK;
}

static rdg_err_t set_code(void *ctx, const rdg_address_t *a, rdg_bytes_t code) {
    changing_account(ctx, a);
    host_set_code(ctx, a, code.data, code.len);
    return RDG_OK;
}

static rdg_err_t can_create(void *ctx, const rdg_address_t *a, bool *out) {
    host_t *h = ctx;
    host_account_t *account = host_account(h, a);
    *out = account->nonce == 0 && account->code.len == 0;
    for (size_t i = 0; i < h->slot_count && *out; ++i)
        *out = !rdg_address_equal(&h->slot_list[i]->address, a) || zero(h->slot_list[i]->value.b, 32);
    return RDG_OK;
}

static rdg_err_t create(void *ctx, const rdg_address_t *a) {
    host_account_t *account = changing_account(ctx, a);
    account->nonce = 1;
    account->created = true;
    return RDG_OK;
}

static rdg_err_t storage(void *ctx, const rdg_address_t *a, const rdg_word_t *key, rdg_word_t *value) {
    host_t *h = ctx;
    if (h->fail_with != RDG_OK) return rdg_fail(h->fail_with, "planted");
    *value = host_slot(h, a, key)->value;
    return RDG_OK;
}

static rdg_err_t storage_original(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                                  rdg_word_t *value) {
    *value = host_slot(ctx, a, key)->original;
    return RDG_OK;
}

static rdg_err_t set_storage(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                             const rdg_word_t *value) {
    changing_slot(ctx, a, key)->value = *value;
    return RDG_OK;
}

static rdg_err_t transient(void *ctx, const rdg_address_t *a, const rdg_word_t *key, rdg_word_t *value) {
    *value = host_slot(ctx, a, key)->transient;
    return RDG_OK;
}

static rdg_err_t set_transient(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                               const rdg_word_t *value) {
    changing_slot(ctx, a, key)->transient = *value;
    return RDG_OK;
}

static rdg_err_t access_account(void *ctx, const rdg_address_t *a, rdg_evm_access_t *was) {
    host_account_t *account = host_account(ctx, a);
    *was = account->warm ? RDG_EVM_WARM : RDG_EVM_COLD;
    if (!account->warm) changing_account(ctx, a)->warm = true;
    return RDG_OK;
}

static rdg_err_t access_storage(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                                rdg_evm_access_t *was) {
    host_slot_t *slot = host_slot(ctx, a, key);
    *was = slot->warm ? RDG_EVM_WARM : RDG_EVM_COLD;
    if (!slot->warm) changing_slot(ctx, a, key)->warm = true;
    return RDG_OK;
}

static rdg_err_t selfdestruct(void *ctx, const rdg_address_t *a, const rdg_address_t *beneficiary) {
    host_account_t *account = changing_account(ctx, a);
    rdg_word_t value = account->balance;
    bool removed = account->created || ((host_t *)ctx)->destroys_always;
    if (removed) account->destroyed = true;
    if (!rdg_address_equal(a, beneficiary)) return transfer(ctx, a, beneficiary, &value);
    if (removed) account->balance = (rdg_word_t){{0}};
    return RDG_OK;
}

static rdg_err_t add_log(void *ctx, const rdg_evm_log_t *log) {
    host_t *h = ctx;
    h->logs = grown(h->logs, h->log_count, &h->log_size, sizeof *h->logs);
    journal_add(h);
    h->logs[h->log_count] = *log;
    h->logs[h->log_count].data.data = rdg_arena_copy(&h->arena, log->data.data, log->data.len);
    ++h->log_count;
    return RDG_OK;
}

static rdg_err_t block_hash(void *ctx, uint64_t number, rdg_word_t *out) {
    (void)ctx;
    *out = word_of(number + 1000);
    return RDG_OK;
}

static rdg_err_t may_call(void *ctx, const rdg_address_t *a, rdg_evm_kind_t kind, bool is_static,
                          rdg_buf_t *refusal, bool *out) {
    (void)kind, (void)is_static;
    host_t *h = ctx;
    *out = zero(h->refused.b, 20) || !rdg_address_equal(a, &h->refused);
    return *out ? RDG_OK : rdg_buf_append(refusal, h->refusal.data, h->refusal.len);
}

void host_init(host_t *h) {
    memset(h, 0, sizeof *h);
    h->vtable = (rdg_evm_host_t){.exists = exists,
                                 .balance = balance,
                                 .transfer = transfer,
                                 .nonce = nonce,
                                 .set_nonce = set_nonce,
                                 .code = get_code,
                                 .set_code = set_code,
                                 .can_create = can_create,
                                 .create = create,
                                 .storage = storage,
                                 .storage_original = storage_original,
                                 .set_storage = set_storage,
                                 .transient = transient,
                                 .set_transient = set_transient,
                                 .access_account = access_account,
                                 .access_storage = access_storage,
                                 .selfdestruct = selfdestruct,
                                 .log = add_log,
                                 .block_hash = block_hash,
                                 .snapshot = snapshot,
                                 .revert_to = revert_to,
                                 .may_call = may_call};
    rdg_arena_init(&h->arena, 256u << 20);
    h->accounts = rdg_map_new(1u << 16);
    h->slots = rdg_map_new(1u << 20);
    RDG_ASSERT(h->accounts && h->slots);
}

void host_fini(host_t *h) {
    rdg_map_free(h->accounts);
    rdg_map_free(h->slots);
    rdg_free(h->account_list);
    rdg_free(h->slot_list);
    rdg_free(h->logs);
    rdg_free(h->journal);
    rdg_arena_fini(&h->arena);
}

void host_begin_tx(host_t *h) {
    h->journal_len = 0;
    h->log_count = 0;
    for (size_t i = 0; i < h->account_count; ++i)
        h->account_list[i]->warm = h->account_list[i]->created = false;
    for (size_t i = 0; i < h->slot_count; ++i) {
        host_slot_t *s = h->slot_list[i];
        s->warm = false;
        s->original = s->value;
        memset(s->transient.b, 0, sizeof s->transient.b);
    }
}

void host_set_code(host_t *h, const rdg_address_t *a, const void *code, size_t len) {
    host_account_t *account = host_account(h, a);
    account->code = rdg_bytes(len ? rdg_arena_copy(&h->arena, code, len) : NULL, len);
    rdg_keccak256(code, len, account->code_hash.b);
}

void host_set_balance(host_t *h, const rdg_address_t *a, uint64_t amount) {
    host_account(h, a)->balance = word_of(amount);
}
