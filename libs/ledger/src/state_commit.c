/* What a block changed, flat and in the tree, as one batch. */
#include <string.h>
#include "keys.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "state.h"
#include "word.h"

static bool account_changed(const account_t *a) {
    return a->now.nonce != a->base_nonce ||
           memcmp(&a->now.balance, &a->base_balance, sizeof a->base_balance) != 0 ||
           memcmp(&a->now.code_hash, &a->base_code_hash, sizeof a->base_code_hash) != 0;
}

static rdg_err_t commit_account(state_t *s, const account_t *a, rdg_kv_batch_t *batch,
                                tree_update_t *update) {
    ledger_key_t key = key_of(KEY_ACCOUNT, a->address.b, sizeof a->address.b);
    rdg_state_account_path(&a->address, &update->path);
    update->value = rdg_bytes(NULL, 0);
    if (account_is_empty(a)) {
        rdg_kv_batch_delete(batch, key_view(&key));
        return RDG_OK;
    }
    rdg_buf_clear(&s->raw);
    RDG_TRY(account_encode(&a->now, &s->raw));
    RDG_ASSERT(s->raw.len <= RDG_PROOF_VALUE_MAX);
    void *copy = rdg_arena_copy(&s->block_arena, s->raw.data, s->raw.len);
    if (!copy) return RDG_E_NO_MEMORY;
    update->value = rdg_bytes(copy, s->raw.len);
    rdg_kv_batch_put(batch, key_view(&key), update->value);
    if (a->now.code_new) {
        key = key_of(KEY_CODE, a->now.code_hash.b, sizeof a->now.code_hash.b);
        rdg_kv_batch_put(batch, key_view(&key), a->now.code);
    }
    return RDG_OK;
}

static void commit_slot(const slot_t *slot, rdg_kv_batch_t *batch, tree_update_t *update) {
    ledger_key_t key = key_of_slot(&slot->account->address, &slot->key);
    rdg_state_slot_path(&slot->account->address, &slot->key, &update->path);
    update->value = word_trimmed(&slot->value);
    if (update->value.len == 0)
        rdg_kv_batch_delete(batch, key_view(&key));
    else
        rdg_kv_batch_put(batch, key_view(&key), update->value);
}

rdg_err_t state_commit(state_t *s, tree_t *tree, rdg_kv_batch_t *batch) {
    tree_update_t *updates = rdg_calloc(s->account_count + s->slot_count + 1, sizeof *updates);
    if (!updates) return RDG_E_NO_MEMORY;
    size_t count = 0;
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; err == RDG_OK && i < s->account_count; ++i)
        if (account_changed(s->account_list[i]))
            err = commit_account(s, s->account_list[i], batch, &updates[count++]);
    for (size_t i = 0; i < s->slot_count; ++i) {
        const slot_t *slot = s->slot_list[i];
        if (memcmp(&slot->value, &slot->base, sizeof slot->base) != 0)
            commit_slot(slot, batch, &updates[count++]);
    }
    if (err == RDG_OK) err = tree_apply(tree, updates, count, batch);
    rdg_free(updates);
    return err;
}
