/* The replay guard of a snapshot: which transactions were in the blocks from which one could still be replayed. */
#include <inttypes.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "snapshot_internal.h"

enum { IDS_BYTES_MAX = RDG_HASH_BYTES * (1 + RDG_BLOCK_TXS_MAX), GUARD_HEIGHTS = 16384 };

static size_t ids_size(uint32_t tx_count) {
    return tx_count ? RDG_HASH_BYTES * (1 + (size_t)tx_count) : 0;
}

rdg_err_t guard_plan(rdg_ledger_t *l, const view_t *view, manifest_t *m) {
    uint64_t first = guard_first(m->height), at = first, bytes = 0;
    for (; at <= m->height; ++at) {
        block_entry_t e;
        RDG_TRY(entry_load(l->kv, view->snap, at, &e));
        size_t size = ids_size(e.header.tx_count);
        if (at > first && (bytes + size > CHUNK_CUT || at - first == GUARD_HEIGHTS)) {
            RDG_TRY(plan_add_chunk(m, CHUNK_GUARD, first, (uint32_t)(at - first), bytes));
            first = at, bytes = 0;
        }
        bytes += size;
    }
    return plan_add_chunk(m, CHUNK_GUARD, first, (uint32_t)(at - first), bytes);
}

static rdg_err_t ids_of_body(rdg_ledger_t *l, uint64_t height, rdg_buf_t *out) {
    rdg_block_t *b = NULL;
    rdg_hash_t signatures;
    RDG_TRY(rdg_ledger_block(l, height, &b));
    rdg_err_t err = rdg_block_signatures_digest(b->txs, b->header.tx_count, &signatures);
    rdg_buf_append(out, signatures.b, sizeof signatures.b);
    for (uint32_t i = 0; i < b->header.tx_count; ++i) rdg_buf_append(out, b->txs[i]->id.b, RDG_HASH_BYTES);
    rdg_block_unref(b);
    return err;
}

static rdg_err_t ids_of_record(rdg_ledger_t *l, uint64_t height, rdg_buf_t *out) {
    rdg_buf_t raw;
    ledger_key_t key = key_of_height(KEY_IDS, height);
    rdg_buf_init(&raw, IDS_BYTES_MAX);
    rdg_err_t err = rdg_kv_get(l->kv, NULL, key_view(&key), &raw);
    if (err == RDG_E_NOT_FOUND)
        rdg_fail(RDG_E_UNAVAILABLE, "the ids of block %" PRIu64 " are not on this node", height);
    if (err == RDG_OK) rdg_buf_append(out, raw.data, raw.len);
    rdg_buf_fini(&raw);
    return err == RDG_E_NOT_FOUND ? RDG_E_UNAVAILABLE : err;
}

rdg_err_t guard_write(rdg_ledger_t *l, const view_t *view, const chunk_entry_t *c, rdg_buf_t *out) {
    for (uint64_t height = c->first; height < c->first + c->count; ++height) {
        block_entry_t e;
        RDG_TRY(entry_load(l->kv, view->snap, height, &e));
        if (e.header.tx_count == 0) continue;
        bool has_body = e.place.file && height > atomic_load(&l->pruned);
        rdg_err_t err = has_body ? ids_of_body(l, height, out) : RDG_E_ARCHIVED;
        if (err == RDG_E_ARCHIVED) err = ids_of_record(l, height, out); /* pruned meanwhile, maybe */
        RDG_TRY(err);
    }
    return rdg_buf_err(out);
}

rdg_err_t guard_is_here(rdg_ledger_t *l, const chunk_entry_t *c) {
    uint64_t bytes = CHUNK_HEAD_BYTES;
    rdg_buf_t raw;
    rdg_err_t err = RDG_OK;
    rdg_buf_init(&raw, IDS_BYTES_MAX);
    for (uint64_t height = c->first; err == RDG_OK && height < c->first + c->count; ++height) {
        block_entry_t e;
        err = entry_load(l->kv, NULL, height, &e);
        if (err != RDG_OK) continue;
        size_t size = ids_size(e.header.tx_count);
        bytes += size;
        if (size == 0 || e.place.file) continue; /* the index came with its body */
        rdg_buf_clear(&raw);
        err = ids_of_record(l, height, &raw);
        if (err == RDG_OK && raw.len != size)
            err = rdg_fail(RDG_E_CORRUPT, "the ids of block %" PRIu64 " cannot be read", height);
    }
    rdg_buf_fini(&raw);
    if (err == RDG_OK && bytes != c->bytes)
        err = rdg_fail(RDG_E_INVALID, "its length is not what the manifest says");
    return err;
}

/* Blocks whose body is here have their index already. */
static rdg_err_t take_block(const block_entry_t *e, rdg_bytes_t encoded, rdg_hash_t *ids,
                            rdg_kv_batch_t *batch) {
    rdg_hash_t signatures, root;
    uint32_t count = e->header.tx_count;
    memcpy(signatures.b, encoded.data, sizeof signatures.b);
    memcpy(ids, encoded.data + sizeof signatures.b, count * sizeof *ids);
    rdg_block_root_of_ids(ids, count, &signatures, &root);
    if (!rdg_hash_equal(&root, &e->header.tx_root))
        return rdg_fail(RDG_E_INVALID, "its ids of block %" PRIu64 " are not those of the header's tx_root",
                        e->header.height);
    if (e->place.file) return RDG_OK;
    memcpy(ids, encoded.data + sizeof signatures.b, count * sizeof *ids);
    for (uint32_t i = 0; i < count; ++i) put_tx_index(batch, &ids[i], e->header.height, i);
    ledger_key_t key = key_of_height(KEY_IDS, e->header.height);
    rdg_kv_batch_put(batch, key_view(&key), encoded);
    return RDG_OK;
}

rdg_err_t guard_take(rdg_ledger_t *l, const chunk_entry_t *c, rdg_reader_t *payload, rdg_kv_batch_t *batch) {
    rdg_hash_t *ids = rdg_alloc(RDG_BLOCK_TXS_MAX * sizeof *ids);
    rdg_err_t err = ids ? RDG_OK : RDG_E_NO_MEMORY;
    for (uint64_t height = c->first; err == RDG_OK && height < c->first + c->count; ++height) {
        block_entry_t e;
        err = entry_load(l->kv, NULL, height, &e);
        if (err != RDG_OK || e.header.tx_count == 0) continue;
        rdg_bytes_t encoded = rdg_read_bytes(payload, ids_size(e.header.tx_count));
        err = rdg_reader_ok(payload)
                  ? take_block(&e, encoded, ids, batch)
                  : rdg_fail(RDG_E_MALFORMED, "it ends within the ids of block %" PRIu64, height);
    }
    rdg_free(ids);
    if (err == RDG_OK && !rdg_reader_done(payload))
        err = rdg_fail(RDG_E_MALFORMED, "it has bytes behind the ids of its last block");
    return err;
}
