/* What a block changed, flat and in the tree, as one batch. */
#include <string.h>
#include "keys.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "state.h"
#include "word.h"

static bool account_changed(const account_t *a) {
    return a->now.nonce != a->base_nonce || a->now.life != a->base_life ||
           memcmp(&a->now.balance, &a->base_balance, sizeof a->base_balance) != 0 ||
           memcmp(&a->now.code_hash, &a->base_code_hash, sizeof a->base_code_hash) != 0;
}

static rdg_err_t commit_account(state_t *s, const account_t *a, rdg_kv_batch_t *batch,
                                tree_update_t *update) {
    ledger_key_t key = key_of_account(s->bank, &a->address);
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

static void commit_slot(unsigned bank, const slot_t *slot, rdg_kv_batch_t *batch, tree_update_t *update) {
    ledger_key_t key = key_of_slot(bank, &slot->account->address, &slot->key);
    update->value = word_trimmed(&slot->value);
    if (update->value.len == 0)
        rdg_kv_batch_delete(batch, key_view(&key));
    else
        rdg_kv_batch_put(batch, key_view(&key), update->value);
}

/* What the paths are digests of, in the order of the updates (proof.h). */
static void hash_paths(const rdg_sm3_input_t *keys, rdg_hash_t *digests, tree_update_t *updates,
                       size_t count) {
    rdg_sm3_tagged_many(RDG_DOMAIN_STATE_KEY, keys, count, digests);
    for (size_t i = 0; i < count; ++i) updates[i].path = digests[i];
}

rdg_err_t state_commit(state_t *s, tree_t *tree, rdg_kv_batch_t *batch) {
    size_t most = s->account_count + s->slot_count + 1, count = 0;
    tree_update_t *updates = rdg_calloc(most, sizeof *updates);
    rdg_sm3_input_t *keys = rdg_calloc(most, sizeof *keys);
    rdg_hash_t *digests = rdg_calloc(most, sizeof *digests);
    rdg_err_t err = updates && keys && digests ? RDG_OK : RDG_E_NO_MEMORY;
    for (size_t i = 0; err == RDG_OK && i < s->account_count; ++i) {
        const account_t *a = s->account_list[i];
        if (!account_changed(a)) continue;
        keys[count].head = rdg_bytes(a->address.b, sizeof a->address.b);
        err = commit_account(s, a, batch, &updates[count++]);
    }
    for (size_t i = 0; err == RDG_OK && i < s->slot_count; ++i) {
        const slot_t *slot = s->slot_list[i];
        if (memcmp(&slot->value, &slot->base, sizeof slot->base) == 0) continue;
        keys[count].head = rdg_bytes(slot->account->address.b, sizeof slot->account->address.b);
        keys[count].body = rdg_bytes(slot->key.b, sizeof slot->key.b);
        commit_slot(s->bank, slot, batch, &updates[count++]);
    }
    if (err == RDG_OK) {
        hash_paths(keys, digests, updates, count);
        err = tree_apply(tree, updates, count, batch);
    }
    rdg_free(updates);
    rdg_free(keys);
    rdg_free(digests);
    return err;
}
