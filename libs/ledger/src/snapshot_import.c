/* Building a state out of chunks, in the bank that is not in use.
 *   J m: the manifest      J p: number of the chunk that is wanted      J w hash: a code that an account has and that is
 *   not here yet
 * Each chunk is one synced write together with J p. J m is written when the bank is empty, and goes first when an import
 * is forgotten, so what lies in the bank is always of the manifest that is there, or to be swept away.
 * Proven chunks of an archive are gathered, and become sorted tables of the store many at a time: the rows of the flat state,
 * in the order of their keys, and pages of the tree, which come in the order of theirs already. J p is written when both are
 * on disk. What is there beyond J p after a cut is what the same chunks will put there again. */
#include <inttypes.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/codec/hex.h"
#include "snapshot_internal.h"
#include "word.h"

enum { SWEEP_KEYS = 4096 };
/* What is gathered: larger runs of the flat state overlap with fewer others, which compaction has to merge. */
enum { ROWS_BYTES = 16 << 20, PAGES_BYTES = 8 << 20 };

static const uint8_t MANIFEST_KEY[] = {KEY_IMPORT, 'm'}, PROGRESS_KEY[] = {KEY_IMPORT, 'p'},
                     WANTED_PREFIX[] = {KEY_IMPORT, 'w'};

struct rdg_snapshot_import {
    rdg_ledger_t *l;
    unsigned bank;
    manifest_t m;
    uint32_t next, stored; /* stored: J p; chunks between are gathered */
    tree_t *tree;
    rdg_kv_batch_t *rows, *pages; /* gathered; the tree in memory has them */
    rdg_hash_t last;              /* path in the last gathered page */
    rdg_err_t failed;             /* of a write: the tree in memory is ahead */
};

static rdg_bytes_t manifest_key(void) {
    return rdg_bytes(MANIFEST_KEY, sizeof MANIFEST_KEY);
}

static ledger_key_t wanted_key(const uint8_t hash[RDG_HASH_BYTES]) {
    uint8_t b[1 + RDG_HASH_BYTES] = {'w'};
    memcpy(b + 1, hash, RDG_HASH_BYTES);
    return key_of(KEY_IMPORT, b, sizeof b);
}

static void put_progress(rdg_kv_batch_t *batch, uint32_t next) {
    uint8_t be[4];
    rdg_store_be32(be, next);
    rdg_kv_batch_put(batch, rdg_bytes(PROGRESS_KEY, sizeof PROGRESS_KEY), rdg_bytes(be, sizeof be));
}

/* --- sweeping ------------------------------------------------------------------------------------ */

static rdg_err_t gather(rdg_kv_t *kv, rdg_bytes_t prefix, rdg_kv_batch_t *batch, size_t *left) {
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    RDG_TRY(rdg_kv_iter_open(kv, NULL, prefix, rdg_bytes(NULL, 0), &it));
    while (*left > 0 && rdg_kv_iter_next(it, &key, &value)) {
        rdg_kv_batch_delete(batch, key);
        --*left;
    }
    rdg_err_t err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}

rdg_err_t rdg_snapshot_sweep(rdg_ledger_t *l, size_t max_keys, bool *done) {
    const unsigned bank = !l->bank;
    const uint8_t prefixes[] = {KEY_IMPORT, (uint8_t)bank_letter(KEY_ACCOUNT, bank),
                                (uint8_t)bank_letter(KEY_STORAGE, bank),
                                (uint8_t)bank_letter(KEY_TREE, bank)};
    size_t left = max_keys;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    *done = false;
    if (!batch) return RDG_E_NO_MEMORY;
    rdg_kv_batch_delete(batch, manifest_key());
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; err == RDG_OK && i < sizeof prefixes; ++i)
        err = gather(l->kv, rdg_bytes(&prefixes[i], 1), batch, &left);
    if (err == RDG_OK) err = rdg_kv_write(l->kv, batch, true);
    rdg_kv_batch_free(batch);
    *done = err == RDG_OK && left > 0;
    return err;
}

/* --- opening ------------------------------------------------------------------------------------- */

/* The manifest's height is a known header with a certified state root, which is the manifest's. */
static rdg_err_t check_anchor(rdg_ledger_t *l, const manifest_t *m) {
    rdg_ledger_head_t head;
    block_entry_t e;
    uint64_t chain = l->genesis.validators.chain_id;
    rdg_ledger_head(l, &head);
    if (m->chain_id != chain)
        return rdg_fail(RDG_E_WRONG_CHAIN, "it is of chain %" PRIu64 ", this is chain %" PRIu64, m->chain_id,
                        chain);
    if (m->height <= head.height)
        return rdg_fail(RDG_E_STALE, "the ledger is at %" PRIu64 " already", head.height);
    if (m->height > rdg_headers_known(l))
        return rdg_fail(RDG_E_UNAVAILABLE, "headers are known up to %" PRIu64 " only", rdg_headers_known(l));
    RDG_TRY(entry_load(l->kv, NULL, m->height, &e));
    if (!executed_is_known(&e))
        return rdg_fail(RDG_E_UNAVAILABLE, "no checkpoint certificate of block %" PRIu64 " is known",
                        m->height);
    if (!rdg_hash_equal(&m->block_hash, &e.hash) || !rdg_hash_equal(&m->state_root, &e.executed.state_root))
        return rdg_fail(RDG_E_INVALID, "block hash or state root are not those of the sealed header");
    return RDG_OK;
}

static rdg_err_t load_progress(rdg_ledger_t *l, uint32_t *next) {
    rdg_buf_t raw;
    rdg_buf_init(&raw, 4);
    rdg_err_t err = rdg_kv_get(l->kv, NULL, rdg_bytes(PROGRESS_KEY, sizeof PROGRESS_KEY), &raw);
    if (err == RDG_OK && raw.len == 4) *next = rdg_load_be32(raw.data);
    if (err == RDG_E_NOT_FOUND || (err == RDG_OK && raw.len != 4))
        err = rdg_fail(RDG_E_CORRUPT, "the import of a snapshot cannot be gone on with");
    rdg_buf_fini(&raw);
    return err;
}

static rdg_err_t load_manifest(rdg_ledger_t *l, rdg_buf_t *out) {
    return rdg_kv_get(l->kv, NULL, manifest_key(), out);
}

static rdg_err_t begin(rdg_ledger_t *l, rdg_bytes_t manifest) {
    bool done = false;
    while (!done) RDG_TRY(rdg_snapshot_sweep(l, SWEEP_KEYS, &done));
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    rdg_kv_batch_put(batch, manifest_key(), manifest);
    put_progress(batch, 0);
    rdg_err_t err = rdg_kv_write(l->kv, batch, true);
    rdg_kv_batch_free(batch);
    return err;
}

static rdg_err_t open_import(rdg_ledger_t *l, rdg_bytes_t manifest, bool resume, rdg_snapshot_import_t *i) {
    i->l = l;
    i->bank = !l->bank;
    RDG_TRY(snap_manifest_decode(manifest, &i->m));
    RDG_TRY(check_anchor(l, &i->m));
    if (resume)
        RDG_TRY(load_progress(l, &i->next));
    else
        RDG_TRY(begin(l, manifest));
    if (i->next > i->m.chunk_count)
        return rdg_fail(RDG_E_CORRUPT, "the import has more chunks than its manifest");
    i->stored = i->next;
    i->rows = rdg_kv_batch_new();
    i->pages = rdg_kv_batch_new();
    if (!i->rows || !i->pages) return RDG_E_NO_MEMORY;
    return tree_open(l->kv, i->bank, &i->tree);
}

rdg_err_t rdg_snapshot_import_open(rdg_ledger_t *l, rdg_bytes_t manifest, rdg_snapshot_import_t **out) {
    rdg_buf_t former;
    *out = NULL;
    rdg_buf_init(&former, RDG_SNAPSHOT_MANIFEST_MAX);
    rdg_err_t err = load_manifest(l, &former);
    bool resume = err == RDG_OK && rdg_bytes_equal(rdg_buf_view(&former), manifest);
    rdg_buf_fini(&former);
    if (err != RDG_OK && err != RDG_E_NOT_FOUND) return err;
    rdg_snapshot_import_t *i = rdg_calloc(1, sizeof *i);
    if (!i) return rdg_fail(RDG_E_NO_MEMORY, "no memory to import a snapshot");
    err = open_import(l, manifest, resume, i);
    if (err != RDG_OK) {
        rdg_snapshot_import_close(i);
        return rdg_fail_in(err, "manifest");
    }
    *out = i;
    return RDG_OK;
}

rdg_err_t rdg_snapshot_import_resume(rdg_ledger_t *l, rdg_snapshot_import_t **out) {
    rdg_buf_t manifest;
    *out = NULL;
    rdg_buf_init(&manifest, RDG_SNAPSHOT_MANIFEST_MAX);
    rdg_err_t err = load_manifest(l, &manifest);
    if (err == RDG_E_NOT_FOUND) rdg_fail(err, "no import of a snapshot is under way");
    if (err == RDG_OK) err = rdg_snapshot_import_open(l, rdg_buf_view(&manifest), out);
    rdg_buf_fini(&manifest);
    return err;
}

void rdg_snapshot_import_close(rdg_snapshot_import_t *i) {
    if (!i) return;
    snap_manifest_fini(&i->m);
    tree_close(i->tree);
    rdg_kv_batch_free(i->rows);
    rdg_kv_batch_free(i->pages);
    rdg_free(i);
}

void rdg_snapshot_import_info(const rdg_snapshot_import_t *i, rdg_snapshot_info_t *out) {
    *out = (rdg_snapshot_info_t){.chain_id = i->m.chain_id,
                                 .height = i->m.height,
                                 .block_hash = i->m.block_hash,
                                 .state_root = i->m.state_root,
                                 .chunks = i->m.chunk_count,
                                 .next = i->next};
    for (uint32_t k = 0; k < i->m.chunk_count; ++k) out->bytes += i->m.chunks[k].bytes;
}

/* --- chunks -------------------------------------------------------------------------------------- */

static rdg_err_t has(rdg_kv_t *kv, rdg_bytes_t key, bool *found) {
    rdg_buf_t raw;
    rdg_buf_init(&raw, RDG_EVM_CODE_MAX);
    rdg_err_t err = rdg_kv_get(kv, NULL, key, &raw);
    rdg_buf_fini(&raw);
    *found = err == RDG_OK;
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

static rdg_err_t put_account(rdg_snapshot_import_t *i, const state_item_t *item, rdg_kv_batch_t *batch) {
    account_values_t account;
    bool found = true;
    if (account_decode(item->value, &account) != RDG_OK)
        return rdg_fail(RDG_E_INVALID, "an account in it cannot be read");
    ledger_key_t key = key_of_account(i->bank, &item->address);
    rdg_kv_batch_put(batch, key_view(&key), item->value);
    if (word_is_zero(&account.code_hash)) return RDG_OK;
    key = key_of(KEY_CODE, account.code_hash.b, sizeof account.code_hash.b);
    RDG_TRY(has(i->l->kv, key_view(&key), &found));
    if (found) return RDG_OK;
    key = wanted_key(account.code_hash.b);
    rdg_kv_batch_put(batch, key_view(&key), rdg_bytes(NULL, 0));
    return RDG_OK;
}

static rdg_err_t put_items(rdg_snapshot_import_t *i, const state_items_t *s, tree_update_t *updates,
                           rdg_kv_batch_t *batch) {
    for (size_t k = 0; k < s->count; ++k) {
        const state_item_t *item = &s->items[k];
        updates[k] = (tree_update_t){item->path, item->value, &s->leaves[k]};
        if (!item->is_slot) {
            RDG_TRY(put_account(i, item, batch));
            continue;
        }
        ledger_key_t key = key_of_slot(i->bank, &item->address, &item->slot);
        rdg_kv_batch_put(batch, key_view(&key), item->value);
    }
    return RDG_OK;
}

/* One update of the tree for all of them: neighbours may share a page. */
static rdg_err_t put_chunks(rdg_snapshot_import_t *i, const proven_chunk_t *chunks, uint32_t count,
                            rdg_kv_batch_t *rows, rdg_kv_batch_t *pages) {
    size_t total = 0, at = 0;
    for (uint32_t k = 0; k < count; ++k) total += chunks[k].state.count;
    tree_update_t *updates = rdg_calloc(total + 1, sizeof *updates);
    rdg_err_t err = updates ? RDG_OK : RDG_E_NO_MEMORY;
    for (uint32_t k = 0; err == RDG_OK && k < count; at += chunks[k++].state.count)
        err = put_items(i, &chunks[k].state, updates + at, rows);
    if (err == RDG_OK) err = tree_apply(i->tree, updates, total, pages);
    rdg_free(updates);
    return err == RDG_OK ? rdg_kv_batch_err(rows) : err;
}

static rdg_err_t take_state(rdg_snapshot_import_t *i, rdg_bytes_t chunk, rdg_kv_batch_t *batch) {
    proven_chunk_t proven;
    proven_chunk_init(&proven);
    rdg_err_t err = snapshot_prove(&i->m, i->next, chunk, &proven);
    if (err == RDG_OK) err = put_chunks(i, &proven, 1, batch, batch);
    proven_chunk_fini(&proven);
    return err;
}

/* A code that no account has is refused: anything could be put there to fill the disk. */
static rdg_err_t take_code(rdg_snapshot_import_t *i, rdg_reader_t *payload, rdg_kv_batch_t *batch) {
    for (uint32_t k = 0; k < i->m.chunks[i->next].count; ++k) {
        uint8_t hash[RDG_HASH_BYTES];
        bool wanted;
        rdg_bytes_t code = rdg_read_bytes(payload, rdg_read_u32(payload));
        if (!rdg_reader_ok(payload) || code.len == 0 || code.len > RDG_EVM_CODE_MAX)
            return rdg_fail(RDG_E_MALFORMED, "a code in it cannot be read");
        rdg_keccak256(code.data, code.len, hash);
        ledger_key_t want = wanted_key(hash), key = key_of(KEY_CODE, hash, sizeof hash);
        RDG_TRY(has(i->l->kv, key_view(&want), &wanted));
        if (!wanted) {
            RDG_TRY(has(i->l->kv, key_view(&key), &wanted));
            if (!wanted) return rdg_fail(RDG_E_INVALID, "a code in it is none that an account has");
            continue;
        }
        rdg_kv_batch_put(batch, key_view(&key), code);
        rdg_kv_batch_delete(batch, key_view(&want));
    }
    return rdg_reader_done(payload) ? RDG_OK : rdg_fail(RDG_E_MALFORMED, "it has bytes behind its last code");
}

static rdg_err_t take_chunk(rdg_snapshot_import_t *i, rdg_bytes_t chunk, rdg_kv_batch_t *batch) {
    rdg_reader_t payload;
    RDG_TRY(chunk_open(chunk, &i->m, i->next, &payload));
    switch (i->m.chunks[i->next].kind) {
    case CHUNK_STATE: return take_state(i, chunk, batch);
    case CHUNK_CODE: return take_code(i, &payload, batch);
    case CHUNK_GUARD: return guard_take(i->l, &i->m.chunks[i->next], &payload, batch);
    }
    return RDG_E_INTERNAL;
}

/* `taken`: what has come of taking `count` chunks into the batch. */
static rdg_err_t store(rdg_snapshot_import_t *i, rdg_kv_batch_t *batch, uint32_t count, rdg_err_t taken) {
    put_progress(batch, i->next + count);
    rdg_err_t err = taken;
    if (err == RDG_OK) err = rdg_kv_write(i->l->kv, batch, true);
    if (err == RDG_OK)
        i->stored = i->next += count;
    else if (tree_reload(i->tree) != RDG_OK)
        i->failed = err;
    return err;
}

static rdg_err_t store_chunk(rdg_snapshot_import_t *i, rdg_bytes_t chunk) {
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    rdg_err_t err = store(i, batch, 1, take_chunk(i, chunk, batch));
    rdg_kv_batch_free(batch);
    return err;
}

static rdg_err_t write_progress(rdg_snapshot_import_t *i) {
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    put_progress(batch, i->next);
    rdg_err_t err = rdg_kv_write(i->l->kv, batch, true);
    rdg_kv_batch_free(batch);
    if (err == RDG_OK) i->stored = i->next;
    return err;
}

/* --- many at a time ------------------------------------------------------------------------------- */

/* A table for each depth of the tree, behind those of the chunks before. The deepest get there first, so that no page ever
 * names one that is not there: what a cut leaves of them nobody names, and the same chunks write it again. */
static rdg_err_t store_pages(rdg_snapshot_import_t *i) {
    rdg_err_t err = rdg_kv_write_tables(i->l->kv, i->pages, 2);
    rdg_kv_batch_clear(i->pages);
    if (err != RDG_OK) i->failed = err;
    return err;
}

rdg_err_t snapshot_import_settle(rdg_snapshot_import_t *i) {
    if (i->failed != RDG_OK || i->stored == i->next) return i->failed;
    RDG_TRY(store_pages(i));
    rdg_err_t err = rdg_kv_write_tables(i->l->kv, i->rows, 1);
    rdg_kv_batch_clear(i->rows);
    if (err == RDG_OK) err = write_progress(i);
    return i->failed = err;
}

static rdg_err_t check_more(rdg_snapshot_import_t *i) {
    if (i->failed != RDG_OK)
        return rdg_fail(i->failed, "the import stands still since a write failed: open it again");
    if (i->next == i->m.chunk_count) return rdg_fail(RDG_E_CONFLICT, "the snapshot has no further chunk");
    return RDG_OK;
}

rdg_err_t rdg_snapshot_import_chunk(rdg_snapshot_import_t *i, rdg_bytes_t chunk) {
    RDG_TRY(check_more(i));
    rdg_err_t err = snapshot_import_settle(i);
    if (err == RDG_OK) err = store_chunk(i, chunk);
    return rdg_fail_in(err, "chunk %" PRIu32, i->next);
}

/* The tree reads from the store what it changes again: pages of the bucket in which the chunks before have ended. */
static rdg_err_t part_from_gathered(rdg_snapshot_import_t *i, const proven_chunk_t *chunks, uint32_t count) {
    uint32_t k = 0;
    while (k < count && chunks[k].state.count == 0) ++k;
    if (k == count || rdg_kv_batch_bytes(i->pages) == 0) return RDG_OK;
    const rdg_hash_t *first = &chunks[k].state.items[0].path;
    return memcmp(first->b, i->last.b, BUCKET_DEPTH / 2) == 0 ? store_pages(i) : RDG_OK;
}

static rdg_err_t gather_chunks(rdg_snapshot_import_t *i, const proven_chunk_t *chunks, uint32_t count) {
    RDG_TRY(part_from_gathered(i, chunks, count));
    RDG_TRY(put_chunks(i, chunks, count, i->rows, i->pages));
    for (uint32_t k = 0; k < count; ++k)
        if (chunks[k].state.count > 0) i->last = chunks[k].state.items[chunks[k].state.count - 1].path;
    i->next += count;
    return RDG_OK;
}

rdg_err_t snapshot_import_proven(rdg_snapshot_import_t *i, const proven_chunk_t *chunks, uint32_t count) {
    RDG_TRY(check_more(i));
    RDG_ASSERT(count <= i->m.chunk_count - i->next);
    rdg_err_t err = gather_chunks(i, chunks, count);
    if (err != RDG_OK) { /* as if nothing had been gathered */
        rdg_kv_batch_clear(i->rows), rdg_kv_batch_clear(i->pages);
        i->next = i->stored;
        if (tree_reload(i->tree) != RDG_OK) i->failed = err;
    } else if (rdg_kv_batch_bytes(i->rows) >= ROWS_BYTES) {
        err = snapshot_import_settle(i);
    } else if (rdg_kv_batch_bytes(i->pages) >= PAGES_BYTES) {
        err = store_pages(i);
    }
    return rdg_fail_in(err, "chunk %" PRIu32, i->next);
}

rdg_err_t snapshot_import_own_guard(rdg_snapshot_import_t *i) {
    RDG_TRY(check_more(i));
    RDG_ASSERT(i->m.chunks[i->next].kind == CHUNK_GUARD);
    rdg_err_t err = guard_is_here(i->l, &i->m.chunks[i->next]);
    if (err == RDG_OK) {
        ++i->next;
        err = snapshot_import_settle(i);
    }
    return rdg_fail_in(err, "chunk %" PRIu32, i->next);
}

/* --- the end ------------------------------------------------------------------------------------- */

static rdg_err_t check_codes(rdg_ledger_t *l) {
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    RDG_TRY(rdg_kv_iter_open(l->kv, NULL, rdg_bytes(WANTED_PREFIX, sizeof WANTED_PREFIX), rdg_bytes(NULL, 0),
                             &it));
    rdg_err_t err = RDG_OK;
    if (rdg_kv_iter_next(it, &key, &value) && key.len == 2 + RDG_HASH_BYTES) {
        char hash[2 * RDG_HASH_BYTES + 1];
        rdg_hex_encode(key.data + 2, RDG_HASH_BYTES, hash);
        err = rdg_fail(RDG_E_INVALID, "the code 0x%s of an account is not in it", hash);
    }
    if (err == RDG_OK) err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}

/* Out of the store, not out of what the import believes. */
static rdg_err_t check_state(rdg_snapshot_import_t *i, const block_entry_t *e, rules_t **rules) {
    rdg_hash_t root;
    state_t state;
    RDG_TRY(tree_reload(i->tree));
    tree_root(i->tree, &root);
    if (!rdg_hash_equal(&root, &e->executed.state_root))
        return rdg_fail(RDG_E_INVALID, "its state does not have the root of block %" PRIu64, i->m.height);
    state_init(&state, i->l->kv, NULL, i->bank);
    state_begin_tx(&state);
    rdg_err_t err = rules_load(i->l, &state, i->m.height, rules);
    state_fini(&state);
    if (err == RDG_OK && !rdg_hash_equal(&(*rules)->epoch_digest, &e->executed.epoch_digest))
        err = rdg_fail(RDG_E_INVALID, "its governance is not of the epoch that block %" PRIu64 " names",
                       i->m.height);
    return err;
}

typedef struct marks {
    uint64_t tail, last;
} marks_t;

/* Up to where all bodies are here, and the last one that is. */
static marks_t marks_of(const rdg_ledger_t *l) {
    uint64_t head = l->view->head.height;
    return (marks_t){l->base == 0 ? head : l->tail, l->base > 0 && head == l->base ? l->last : head};
}

static rdg_err_t write_switch(rdg_snapshot_import_t *i, const marks_t *marks) {
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    put_u64(batch, META_HEAD, i->m.height);
    put_u64(batch, META_BANK, i->bank);
    put_u64(batch, META_BASE, i->m.height);
    put_u64(batch, META_TAIL, marks->tail);
    put_u64(batch, META_LAST, marks->last);
    put_u64(batch, META_CHECKPOINT, i->m.height);
    rdg_kv_batch_delete(batch, manifest_key());
    rdg_kv_batch_delete(batch, rdg_bytes(PROGRESS_KEY, sizeof PROGRESS_KEY));
    rdg_err_t err = rdg_kv_write(i->l->kv, batch, true);
    rdg_kv_batch_free(batch);
    return err;
}

/* With write_lock held. */
static rdg_err_t adopt(rdg_snapshot_import_t *i, const block_entry_t *e, rules_t *rules) {
    rdg_ledger_t *l = i->l;
    if (l->failed != RDG_OK)
        return rdg_fail(l->failed, "the ledger stands still since it failed: restart this node");
    if (i->m.height <= l->view->head.height)
        return rdg_fail(RDG_E_STALE, "the ledger is at %" PRIu64 " already", l->view->head.height);
    marks_t marks = marks_of(l);
    rdg_err_t err = write_switch(i, &marks);
    if (err != RDG_OK) return l->failed = err;
    tree_t *old = l->tree;
    l->tree = i->tree;
    i->tree = old;
    l->bank = i->bank;
    l->base = i->m.height;
    l->tail = marks.tail;
    l->last = marks.last;
    err = view_replace(l, e, i->m.height, rules);
    if (err != RDG_OK) l->failed = err;
    return err;
}

static rdg_err_t finish(rdg_snapshot_import_t *i) {
    block_entry_t e;
    rules_t *rules = NULL;
    if (i->failed != RDG_OK) return rdg_fail(i->failed, "a write of the import failed: open it again");
    RDG_TRY(snapshot_import_settle(i));
    if (i->next < i->m.chunk_count)
        return rdg_fail(RDG_E_CONFLICT, "%" PRIu32 " of %" PRIu32 " chunks are here", i->next,
                        i->m.chunk_count);
    RDG_TRY(check_anchor(i->l, &i->m));
    RDG_TRY(check_codes(i->l));
    RDG_TRY(entry_load(i->l->kv, NULL, i->m.height, &e));
    rdg_err_t err = check_state(i, &e, &rules);
    pthread_mutex_lock(&i->l->write_lock);
    if (err == RDG_OK) err = adopt(i, &e, rules);
    pthread_mutex_unlock(&i->l->write_lock);
    rules_put(rules);
    return err;
}

rdg_err_t rdg_snapshot_import_finish(rdg_snapshot_import_t *i) {
    return rdg_fail_in(finish(i), "snapshot at %" PRIu64, i->m.height);
}
