/* What readers ask, each answered from one view. */
#include <string.h>
#include "ledger_internal.h"
#include "ridge/base/alloc.h"

static rdg_err_t entry_of(rdg_ledger_t *l, uint64_t height, block_entry_t *out) {
    view_t *v = view_get(l);
    rdg_err_t err = height > v->head.height ? rdg_fail(RDG_E_NOT_FOUND, "block %llu is not in the ledger",
                                                       (unsigned long long)height)
                                            : entry_load(l->kv, v->snap, height, out);
    view_put(v);
    return err;
}

rdg_err_t rdg_ledger_header(rdg_ledger_t *l, uint64_t height, rdg_header_t *header, rdg_hash_t *hash,
                            rdg_executed_t *executed) {
    block_entry_t e;
    RDG_TRY(entry_of(l, height, &e));
    if (header) *header = e.header;
    if (hash) *hash = e.hash;
    if (executed) *executed = e.executed;
    return RDG_OK;
}

rdg_err_t rdg_ledger_height_of(rdg_ledger_t *l, const rdg_hash_t *block_hash, uint64_t *height) {
    rdg_buf_t raw;
    ledger_key_t key = key_of(KEY_HASH, block_hash->b, sizeof block_hash->b);
    view_t *v = view_get(l);
    rdg_buf_init(&raw, 8);
    rdg_err_t err = rdg_kv_get(l->kv, v->snap, key_view(&key), &raw);
    if (err == RDG_E_NOT_FOUND) rdg_fail(err, "no block of this ledger has that hash");
    if (err == RDG_OK && raw.len != 8)
        err = rdg_fail(RDG_E_CORRUPT, "the index entry of a block cannot be read");
    if (err == RDG_OK) *height = rdg_load_be64(raw.data);
    if (err == RDG_OK && *height > v->head.height)
        err = rdg_fail(RDG_E_NOT_FOUND, "no block of this ledger has that hash");
    rdg_buf_fini(&raw);
    view_put(v);
    return err;
}

static rdg_err_t read_parts(rdg_ledger_t *l, const block_entry_t *e, rdg_buf_t *buf, block_parts_t *parts) {
    uint64_t height = e->header.height;
    if (height == 0) return rdg_fail(RDG_E_NOT_FOUND, "genesis has no block body");
    if (height <= atomic_load(&l->pruned)) return archived_error(l, height);
    if (e->place.file == 0)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "the body of block %llu is not on this node, whose ledger was built on a snapshot at "
                        "block %llu: ask another node of the chain",
                        (unsigned long long)height, (unsigned long long)l->base);
    rdg_err_t err = blockfile_read(l->files, &e->place, height, buf, parts);
    /* pruned while it was read */
    return err == RDG_E_CORRUPT && height <= atomic_load(&l->pruned) ? archived_error(l, height) : err;
}

rdg_err_t ledger_parts(rdg_ledger_t *l, uint64_t height, block_entry_t *e, rdg_buf_t *buf,
                       block_parts_t *parts) {
    RDG_TRY(entry_of(l, height, e));
    return read_parts(l, e, buf, parts);
}

rdg_err_t rdg_ledger_block(rdg_ledger_t *l, uint64_t height, rdg_block_t **out) {
    block_entry_t e;
    rdg_buf_t buf;
    block_parts_t parts;
    *out = NULL;
    RDG_TRY(entry_of(l, height, &e));
    /* Some are in memory still; their receipts are not. */
    if (height > 0 && height <= atomic_load(&l->pruned)) return archived_error(l, height);
    *out = recent_find(l, &e.hash, rdg_bytes(NULL, 0));
    if (*out) return RDG_OK;
    rdg_buf_init(&buf, block_record_size(&e.place));
    rdg_err_t err = read_parts(l, &e, &buf, &parts);
    if (err == RDG_OK) err = rdg_block_decode(parts.proposal, out);
    rdg_buf_fini(&buf);
    return err;
}

rdg_err_t rdg_ledger_receipts(rdg_ledger_t *l, uint64_t height, rdg_buf_t *out) {
    block_entry_t e;
    rdg_buf_t buf;
    block_parts_t parts;
    RDG_TRY(entry_of(l, height, &e));
    rdg_buf_init(&buf, block_record_size(&e.place));
    rdg_err_t err = read_parts(l, &e, &buf, &parts);
    if (err == RDG_OK) err = rdg_buf_append(out, parts.receipts.data, parts.receipts.len);
    rdg_buf_fini(&buf);
    return err;
}

/* Seals and checkpoints do not change once written, so the latest content serves. */
rdg_err_t rdg_ledger_seal(rdg_ledger_t *l, uint64_t height, rdg_buf_t *seal, rdg_buf_t *checkpoint) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    if (height > head.height)
        return rdg_fail(RDG_E_NOT_FOUND, "block %llu is not in the ledger", (unsigned long long)height);
    if (seal) {
        ledger_key_t key = key_of_height(KEY_SEAL, height);
        rdg_err_t err = rdg_kv_get(l->kv, NULL, key_view(&key), seal);
        if (err == RDG_E_NOT_FOUND)
            return rdg_fail(err, "block %llu is not in the ledger, or is genesis",
                            (unsigned long long)height);
        RDG_TRY(err);
    }
    if (checkpoint) {
        ledger_key_t key = key_of_height(KEY_CHECKPOINT, height);
        rdg_err_t err = rdg_kv_get(l->kv, NULL, key_view(&key), checkpoint);
        if (err != RDG_OK && err != RDG_E_NOT_FOUND) return err;
    }
    return RDG_OK;
}

rdg_err_t rdg_ledger_find_tx(rdg_ledger_t *l, const rdg_hash_t *id, rdg_tx_location_t *out) {
    view_t *v = view_get(l);
    rdg_err_t err = find_tx(l->kv, v->snap, v->head.height, id, out);
    view_put(v);
    return err == RDG_E_NOT_FOUND ? rdg_fail(err, "the transaction is not in the ledger") : err;
}

static rdg_err_t load_bloom(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, uint64_t height, rdg_bloom_t *out) {
    rdg_buf_t raw;
    ledger_key_t key = key_of_height(KEY_BLOOM, height);
    memset(out, 0, sizeof *out);
    rdg_buf_init(&raw, sizeof out->b);
    rdg_err_t err = rdg_kv_get(kv, snap, key_view(&key), &raw);
    if (err == RDG_OK && raw.len != sizeof out->b)
        err = rdg_fail(RDG_E_CORRUPT, "the bloom of block %llu cannot be read", (unsigned long long)height);
    if (err == RDG_OK) memcpy(out->b, raw.data, sizeof out->b);
    rdg_buf_fini(&raw);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

rdg_err_t rdg_ledger_bloom(rdg_ledger_t *l, uint64_t height, rdg_bloom_t *out) {
    view_t *v = view_get(l);
    rdg_err_t err = load_bloom(l->kv, v->snap, height, out);
    view_put(v);
    return err;
}

static rdg_err_t read_account(state_t *s, const rdg_address_t *a, uint64_t *nonce, rdg_word_t *balance,
                              rdg_buf_t *code) {
    account_t *account;
    rdg_bytes_t bytes = rdg_bytes(NULL, 0);
    RDG_TRY(state_account(s, a, &account));
    if (nonce) *nonce = account->now.nonce;
    if (balance) *balance = account->now.balance;
    if (!code) return RDG_OK;
    RDG_TRY(state_code(s, account, &bytes));
    return rdg_buf_append(code, bytes.data, bytes.len);
}

/* Takes the view. */
static rdg_err_t account_of(view_t *v, const rdg_address_t *a, uint64_t *nonce, rdg_word_t *balance,
                            rdg_buf_t *code) {
    state_t state;
    state_init(&state, v->kv, v->snap, v->bank);
    rdg_err_t err = read_account(&state, a, nonce, balance, code);
    state_fini(&state);
    view_put(v);
    return err;
}

rdg_err_t rdg_ledger_account(rdg_ledger_t *l, const rdg_address_t *a, uint64_t *nonce, rdg_word_t *balance,
                             rdg_buf_t *code) {
    return account_of(view_get(l), a, nonce, balance, code);
}

rdg_err_t rdg_ledger_account_at(rdg_ledger_t *l, uint64_t height, const rdg_address_t *a, uint64_t *nonce,
                                rdg_word_t *balance, rdg_buf_t *code) {
    view_t *v;
    RDG_TRY(view_at(l, height, &v));
    return account_of(v, a, nonce, balance, code);
}

/* Takes the view. */
static rdg_err_t storage_of(view_t *v, const rdg_address_t *a, const rdg_word_t *key, rdg_word_t *value) {
    state_t state;
    slot_t *slot;
    state_init(&state, v->kv, v->snap, v->bank);
    state_begin_tx(&state);
    rdg_err_t err = state_slot(&state, a, key, &slot);
    if (err == RDG_OK) *value = slot->value;
    state_fini(&state);
    view_put(v);
    return err;
}

rdg_err_t rdg_ledger_storage(rdg_ledger_t *l, const rdg_address_t *a, const rdg_word_t *key,
                             rdg_word_t *value) {
    return storage_of(view_get(l), a, key, value);
}

rdg_err_t rdg_ledger_storage_at(rdg_ledger_t *l, uint64_t height, const rdg_address_t *a,
                                const rdg_word_t *key, rdg_word_t *value) {
    view_t *v;
    RDG_TRY(view_at(l, height, &v));
    return storage_of(v, a, key, value);
}

rdg_err_t rdg_ledger_prove(rdg_ledger_t *l, const rdg_address_t *a, const rdg_word_t *slot, rdg_buf_t *proof,
                           uint64_t *height) {
    rdg_hash_t path;
    if (slot)
        rdg_state_slot_path(a, slot, &path);
    else
        rdg_state_account_path(a, &path);
    pthread_mutex_lock(&l->write_lock);
    *height = l->view->head.height;
    rdg_err_t err = l->failed;
    if (err == RDG_OK) err = tree_prove(l->tree, &path, proof);
    pthread_mutex_unlock(&l->write_lock);
    return err;
}
