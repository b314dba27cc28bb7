/* Pruning. In this order, so that no moment of a power cut loses what is not safe:
 *   1. the receipt is verified, and its content compared with this ledger's own headers;
 *   2. ids of the blocks from which a transaction could be replayed are stored, as a snapshot needs them;
 *   3. mark and receipt become durable in one synced write: from here on readers answer ARCHIVED;
 *   4. files below the mark are removed, the one that it lies in is punched. Open repeats this step.
 * The first two, which read every block that goes, leave the ledger's writers alone. */
#include <inttypes.h>
#include <string.h>
#include "archive_internal.h"
#include "ledger_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"

enum { RECEIPT_MAX = 512, IDS_BATCH_BYTES = 4 << 20 };

const char META_PRUNED[] = "pruned", META_FREED[] = "pruned-bytes";

/* --- the content of a range ---------------------------------------------------------------------- */

static rdg_err_t add_leaf(rdg_archive_manifest_t *m, const block_entry_t *e, rdg_hash_t *leaves) {
    uint64_t height = e->header.height;
    if (e->executed.height != height)
        return rdg_fail(RDG_E_UNAVAILABLE, "block %" PRIu64 " has no executed header on this node", height);
    if (height == m->from) {
        m->parent = e->header.parent;
        m->first_time_ms = e->header.time_ms;
    }
    m->last_time_ms = e->header.time_ms;
    m->last_block = e->hash;
    m->tx_count += e->header.tx_count;
    RDG_TRY(rdg_executed_hash(&e->executed, &m->last_executed));
    blocks_leaf(&m->last_block, &m->last_executed, &leaves[height - m->from]);
    return RDG_OK;
}

static rdg_err_t describe(rdg_ledger_t *l, rdg_archive_manifest_t *m) {
    uint64_t count = m->to - m->from + 1;
    block_entry_t e;
    rdg_hash_t *leaves = rdg_calloc(count, sizeof *leaves);
    rdg_err_t err = leaves ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the content of a range");
    for (uint64_t h = m->from; err == RDG_OK && h <= m->to; ++h) {
        err = entry_load(l->kv, NULL, h, &e);
        if (err == RDG_OK) err = add_leaf(m, &e, leaves);
    }
    if (err == RDG_OK) rdg_merkle_root(leaves, (size_t)count, &m->blocks_root);
    rdg_free(leaves);
    return err;
}

static rdg_err_t content_of(rdg_ledger_t *l, uint64_t from, uint64_t to, rdg_hash_t *out, uint64_t *mark_ms) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    rdg_archive_manifest_t m = {.chain_id = l->genesis.validators.chain_id,
                                .genesis = l->genesis.hash,
                                .raft = rdg_genesis_is_raft(&l->genesis),
                                .from = from,
                                .to = to};
    if (from == 0 || to < from || to - from >= RDG_ARCHIVE_BLOCKS_MAX)
        return rdg_fail(RDG_E_INVALID, "blocks %" PRIu64 " to %" PRIu64 " are no range of a ledger", from,
                        to);
    if (to > head.height)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "blocks %" PRIu64 " to %" PRIu64 " are not all here yet: this ledger ends at %" PRIu64
                        ", ask again when it has caught up",
                        from, to, head.height);
    RDG_TRY(describe(l, &m));
    *mark_ms = m.last_time_ms;
    return rdg_archive_content_digest(&m, out);
}

rdg_err_t rdg_archive_content_of(rdg_ledger_t *l, uint64_t from, uint64_t to, rdg_hash_t *out) {
    uint64_t mark_ms;
    return content_of(l, from, to, out, &mark_ms);
}

/* --- the mark ------------------------------------------------------------------------------------ */

static rdg_err_t forbidden(const char *why) {
    return rdg_fail(RDG_E_FORBIDDEN, "nothing is pruned: the archive receipt %s", why);
}

/* What has no body here (below a snapshot) needs no receipt. */
static rdg_err_t check_gap(rdg_ledger_t *l, uint64_t below, uint64_t from) {
    block_entry_t e;
    for (uint64_t h = rdg_ledger_pruned(l) + 1; h < from && h < below; ++h) {
        RDG_TRY(entry_load(l->kv, NULL, h, &e));
        if (e.place.file != 0) return forbidden("starts above blocks that no receipt covers yet");
    }
    return RDG_OK;
}

static rdg_err_t check_receipt(rdg_ledger_t *l, uint64_t below, const rdg_archive_receipt_t *r) {
    rdg_hash_t content;
    uint64_t mark_ms;
    if (r->chain_id != l->genesis.validators.chain_id || !rdg_hash_equal(&r->genesis, &l->genesis.hash))
        return forbidden("is of another chain");
    if (r->anchor_height == 0 || rdg_hash_is_zero(&r->anchor_tx))
        return forbidden("names no transaction of the main chain that anchors it");
    if (below > r->to + 1)
        return rdg_fail(RDG_E_INVALID,
                        "blocks below %" PRIu64 " are not all in the archive, which ends at %" PRIu64, below,
                        r->to);
    RDG_TRY(check_gap(l, below, r->from));
    RDG_TRY(content_of(l, r->from, r->to, &content, &mark_ms));
    if (!rdg_hash_equal(&content, &r->content)) return forbidden("names other blocks than this ledger's");
    return r->mark_ms == mark_ms ? RDG_OK : forbidden("names another time than that of its last block");
}

/* The last body is what the files' end is found by. With the write lock. */
static uint64_t newest_body(const rdg_ledger_t *l) {
    uint64_t head = l->view->head.height;
    return l->base > 0 && head == l->base ? l->last : head;
}

static rdg_err_t check_newest(const rdg_ledger_t *l, uint64_t below) {
    uint64_t newest = newest_body(l);
    if (below <= newest) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "a ledger keeps its newest body, which is that of block %" PRIu64, newest);
}

static rdg_err_t put_ids(rdg_kv_batch_t *batch, const rdg_block_t *b) {
    rdg_buf_t ids;
    rdg_hash_t signatures;
    ledger_key_t key = key_of_height(KEY_IDS, b->header.height);
    rdg_buf_init(&ids, RDG_HASH_BYTES * (RDG_BLOCK_TXS_MAX + 1));
    rdg_err_t err = rdg_block_signatures_digest(b->txs, b->header.tx_count, &signatures);
    rdg_buf_append(&ids, signatures.b, sizeof signatures.b);
    for (uint32_t i = 0; i < b->header.tx_count; ++i) rdg_buf_append(&ids, b->txs[i]->id.b, RDG_HASH_BYTES);
    if (err == RDG_OK) err = rdg_buf_err(&ids);
    if (err == RDG_OK) rdg_kv_batch_put(batch, key_view(&key), rdg_buf_view(&ids));
    rdg_buf_fini(&ids);
    return err == RDG_OK ? rdg_kv_batch_err(batch) : err;
}

static rdg_err_t write_ids(rdg_ledger_t *l, rdg_kv_batch_t *batch) {
    if (rdg_kv_batch_bytes(batch) == 0) return RDG_OK;
    rdg_err_t err = rdg_kv_write(l->kv, batch, false); /* the mark's write syncs what was before it */
    rdg_kv_batch_clear(batch);
    return err;
}

/* Before the mark, in batches; written twice they are the same. */
static rdg_err_t keep_ids(rdg_ledger_t *l, uint64_t below) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    uint64_t h = rdg_ledger_pruned(l) + 1;
    if (head.height > RDG_TX_VALID_MAX && h < head.height - RDG_TX_VALID_MAX)
        h = head.height - RDG_TX_VALID_MAX;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    rdg_err_t err = batch ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory to prune");
    for (; err == RDG_OK && h < below; ++h) {
        rdg_block_t *b = NULL;
        err = rdg_ledger_block(l, h, &b);
        if (err == RDG_E_UNAVAILABLE ||
            err == RDG_E_ARCHIVED) { /* of a snapshot, or pruned: its ids are there */
            err = RDG_OK;
            continue;
        }
        if (err == RDG_OK && b->header.tx_count > 0) err = put_ids(batch, b);
        rdg_block_unref(b);
        if (err == RDG_OK && rdg_kv_batch_bytes(batch) > IDS_BATCH_BYTES) err = write_ids(l, batch);
    }
    if (err == RDG_OK) err = write_ids(l, batch);
    if (batch) rdg_kv_batch_free(batch);
    return err;
}

static rdg_err_t move_mark(rdg_ledger_t *l, uint64_t below, const rdg_archive_receipt_t *r,
                           rdg_bytes_t receipt) {
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return rdg_fail(RDG_E_NO_MEMORY, "no memory to prune");
    ledger_key_t key = key_of_height(KEY_ARCHIVE, r->to);
    rdg_kv_batch_put(batch, key_view(&key), receipt);
    put_u64(batch, META_PRUNED, below - 1);
    rdg_err_t err = rdg_kv_write(l->kv, batch, true);
    rdg_kv_batch_free(batch);
    if (err == RDG_OK) atomic_store(&l->pruned, below - 1);
    return err;
}

/* --- the files ----------------------------------------------------------------------------------- */

/* The sum of all that was ever measured. A crash between the files and this line loses its share of the sum. */
static rdg_err_t add_freed(rdg_ledger_t *l, uint64_t freed) {
    uint64_t sum = rdg_ledger_freed(l) + freed;
    if (freed == 0) return RDG_OK;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return rdg_fail(RDG_E_NO_MEMORY, "no memory to prune");
    put_u64(batch, META_FREED, sum);
    rdg_err_t err = rdg_kv_write(l->kv, batch, false);
    rdg_kv_batch_free(batch);
    return err;
}

rdg_err_t prune_sweep(rdg_ledger_t *l, uint64_t head, uint64_t *freed, uint64_t *files) {
    block_entry_t e;
    uint64_t before = *freed;
    for (uint64_t h = atomic_load(&l->pruned) + 1; h <= head; ++h) {
        RDG_TRY(entry_load(l->kv, NULL, h, &e));
        if (e.place.file == 0) continue;
        RDG_TRY(blockfile_release(l->files, &e.place, freed, files));
        return add_freed(l, *freed - before);
    }
    return RDG_OK;
}

static rdg_err_t stale(uint64_t mark) {
    return rdg_fail(RDG_E_STALE, "blocks up to %" PRIu64 " are pruned already: the mark does not move back",
                    mark);
}

/* With the write lock: another may have moved the mark meanwhile. */
static rdg_err_t move_and_sweep(rdg_ledger_t *l, uint64_t below, const rdg_archive_receipt_t *r,
                                rdg_bytes_t receipt, rdg_prune_result_t *out) {
    rdg_err_t err = RDG_OK;
    if (l->failed != RDG_OK)
        return rdg_fail(l->failed, "the ledger prunes nothing since it failed: remove the cause and restart");
    if (below > rdg_ledger_pruned(l) + 1) {
        RDG_TRY(check_newest(l, below));
        RDG_TRY(move_mark(l, below, r, receipt));
    } else {
        err = stale(rdg_ledger_pruned(l));
    }
    out->pruned_height = rdg_ledger_pruned(l);
    RDG_TRY(prune_sweep(l, l->view->head.height, &out->bytes_freed, &out->files_removed));
    return err;
}

rdg_err_t rdg_ledger_prune(rdg_ledger_t *l, uint64_t below, rdg_bytes_t receipt,
                           const rdg_sm2_public_t *collectors, size_t collector_count,
                           rdg_prune_result_t *out) {
    rdg_archive_receipt_t r;
    memset(out, 0, sizeof *out);
    out->pruned_height = rdg_ledger_pruned(l);
    if (receipt.len > RECEIPT_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "archive receipt: of %zu bytes", receipt.len);
    rdg_err_t err = rdg_archive_receipt_verify(receipt, collectors, collector_count, &r);
    if (err != RDG_OK) return rdg_fail_in(err, "nothing is pruned");
    if (below <= 1) return rdg_fail(RDG_E_INVALID, "no block is below %" PRIu64, below);
    if (below > rdg_ledger_pruned(l) + 1) {
        RDG_TRY(check_receipt(l, below, &r));
        RDG_TRY(keep_ids(l, below));
    }
    pthread_mutex_lock(&l->write_lock);
    err = move_and_sweep(l, below, &r, receipt, out);
    pthread_mutex_unlock(&l->write_lock);
    return err;
}

/* Times of blocks only grow. */
static rdg_err_t first_younger(rdg_ledger_t *l, uint64_t low, uint64_t high, uint64_t time_ms,
                               uint64_t *out) {
    rdg_header_t h;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        RDG_TRY(rdg_ledger_header(l, middle, &h, NULL, NULL));
        if (h.time_ms > time_ms)
            high = middle;
        else
            low = middle + 1;
    }
    *out = low;
    return RDG_OK;
}

rdg_err_t rdg_ledger_retained(rdg_ledger_t *l, const rdg_retention_t *keep, uint64_t end, uint64_t now_ms,
                              uint64_t *first) {
    rdg_ledger_head_t head;
    pthread_mutex_lock(&l->write_lock);
    uint64_t high = newest_body(l), low = rdg_ledger_pruned(l) + 1;
    pthread_mutex_unlock(&l->write_lock);
    rdg_ledger_head(l, &head);
    uint64_t by_count = keep->blocks < head.height ? head.height - keep->blocks + 1 : 1;
    if (by_count < high) high = by_count;
    if (end < high) high = end + 1;
    if (high <= low || keep->age_ms == 0) {
        *first = high > 0 ? high : 1;
        return RDG_OK;
    }
    return first_younger(l, low, high, keep->age_ms < now_ms ? now_ms - keep->age_ms : 0, first);
}

uint64_t rdg_ledger_freed(rdg_ledger_t *l) {
    uint64_t sum = 0;
    return load_u64(l->kv, META_FREED, &sum) == RDG_OK ? sum : 0;
}

uint64_t rdg_ledger_pruned(rdg_ledger_t *l) {
    return atomic_load(&l->pruned);
}

rdg_err_t rdg_ledger_archive_of(rdg_ledger_t *l, uint64_t height, rdg_archive_receipt_t *out) {
    const uint8_t prefix = KEY_ARCHIVE;
    ledger_key_t from = key_of_height(KEY_ARCHIVE, height);
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    RDG_TRY(rdg_kv_iter_open(l->kv, NULL, rdg_bytes(&prefix, 1), key_view(&from), &it));
    bool found = rdg_kv_iter_next(it, &key, &value);
    rdg_err_t err = rdg_kv_iter_err(it);
    if (err == RDG_OK && found) err = rdg_archive_receipt_decode(value, out);
    rdg_kv_iter_close(it);
    if (err == RDG_E_MALFORMED) return rdg_fail(RDG_E_CORRUPT, "a stored archive receipt cannot be read");
    if (err == RDG_OK && found && out->from <= height) return RDG_OK;
    return err != RDG_OK ? err
                         : rdg_fail(RDG_E_NOT_FOUND, "no archive receipt covers block %" PRIu64, height);
}

static _Thread_local uint64_t last_archived;

uint64_t rdg_ledger_archived_height(void) {
    return last_archived;
}

rdg_err_t archived_error(rdg_ledger_t *l, uint64_t height) {
    rdg_archive_receipt_t r;
    last_archived = height;
    char digest[2 * RDG_HASH_BYTES + 1] = "";
    rdg_err_t err = rdg_ledger_archive_of(l, height, &r);
    if (err != RDG_OK)
        return rdg_fail(RDG_E_ARCHIVED, "block %" PRIu64 " is in an archive, not on this node any more",
                        height);
    rdg_hex_encode(r.manifest.b, sizeof r.manifest.b, digest);
    return rdg_fail(RDG_E_ARCHIVED,
                    "block %" PRIu64 " is not on this node any more: it is in the archive of blocks %" PRIu64
                    " to %" PRIu64 " with the manifest 0x%s",
                    height, r.from, r.to, digest);
}
