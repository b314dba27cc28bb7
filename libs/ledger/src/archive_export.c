/* A ledger's blocks into a segment. Frames: lineage, then bodies and their proofs by turns, then the transactions' index, then
 * the state if it is wanted. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "archive_internal.h"
#include "ledger_internal.h"
#include "ridge/base/alloc.h"

typedef struct export {
    rdg_ledger_t *l;
    const rdg_archive_export_options_t *o;
    const rdg_archive_sink_t *sink;
    rdg_archive_manifest_t m;
    export_pairs_t pairs;
    frame_list_t frames;
    uint64_t written;
    rdg_buf_t raw; /* of the frame under construction that is none of a pair */
    uint64_t lineage_first;
    uint32_t lineage_count;
    rdg_archive_progress_t progress;
}
export_t;

static rdg_err_t put(export_t *e, rdg_bytes_t bytes) {
    e->written += bytes.len;
    return e->sink->write(e->sink->ctx, bytes);
}

/* f but its offset, and its bytes. */
static rdg_err_t put_packed(export_t *e, const frame_t *packed, rdg_bytes_t stored) {
    frame_t f = *packed;
    f.offset = e->written;
    RDG_TRY(frames_add(&e->frames, &f));
    e->m.raw_bytes += f.raw_len;
    e->m.stored_bytes += f.stored_len;
    return put(e, stored);
}

static rdg_err_t put_frame(export_t *e, frame_kind_t kind, uint64_t first, uint32_t count, rdg_buf_t *raw) {
    frame_packer_t *packer = &e->pairs.hands[0].packer;
    frame_t f = {.kind = kind, .first = first, .count = count};
    RDG_TRY(rdg_buf_err(raw));
    RDG_TRY(frame_pack(packer, rdg_buf_view(raw), &f));
    rdg_buf_clear(raw);
    return put_packed(e, &f, rdg_buf_view(&packer->stored));
}

static rdg_err_t put_lineage_frame(export_t *e) {
    uint32_t count = e->lineage_count;
    e->lineage_count = 0;
    return count ? put_frame(e, FRAME_LINEAGE, e->lineage_first, count, &e->raw) : RDG_OK;
}

static rdg_err_t put_lineage_item(void *ctx, uint64_t epoch, rdg_bytes_t item) {
    export_t *e = ctx;
    if (e->lineage_count++ == 0) e->lineage_first = epoch;
    RDG_TRY(rdg_buf_append(&e->raw, item.data, item.len));
    return e->raw.len < RDG_ARCHIVE_FRAME_BYTES ? RDG_OK : put_lineage_frame(e);
}

static rdg_err_t put_lineage(export_t *e) {
    RDG_TRY(lineage_write(e->l, e->o->to, put_lineage_item, e));
    return put_lineage_frame(e);
}

static rdg_err_t report(export_t *e) {
    e->progress.bytes = e->written;
    if (!e->o->progress || e->o->progress(e->o->progress_ctx, &e->progress)) return RDG_OK;
    return rdg_fail(RDG_E_CANCELLED, "the export was stopped at block %" PRIu64, e->progress.height);
}

static rdg_err_t put_pair(export_t *e, uint32_t number) {
    const export_pair_t *p = &e->pairs.pairs[number];
    RDG_TRY(export_pair_settle(&e->pairs, number));
    for (unsigned i = 0; i < 2; ++i) RDG_TRY(put_packed(e, &p->frames[i], rdg_buf_view(&p->stored[i])));
    e->progress.height = p->first + p->count - 1;
    e->progress.blocks += p->count;
    e->progress.txs += p->txs;
    return report(e);
}

static rdg_err_t put_all_blocks(export_t *e) {
    for (uint64_t next = e->m.from; next <= e->m.to;) {
        RDG_TRY(export_pairs_make(&e->pairs, &next));
        for (uint32_t i = 0; i < e->pairs.count; ++i) RDG_TRY(put_pair(e, i));
    }
    rdg_merkle_root(e->pairs.leaves, (size_t)(e->m.to - e->m.from + 1), &e->m.blocks_root);
    return report(e);
}

static rdg_err_t put_txs(export_t *e) {
    uint64_t count = e->m.tx_count;
    qsort(e->pairs.txs, count, ARCHIVE_TX_ENTRY_BYTES, tx_entry_compare);
    for (uint64_t at = 0; at < count;) {
        uint64_t n = count - at < ARCHIVE_TX_FRAME_ENTRIES ? count - at : ARCHIVE_TX_FRAME_ENTRIES;
        rdg_buf_clear(&e->raw);
        RDG_TRY(
            rdg_buf_append(&e->raw, e->pairs.txs + ARCHIVE_TX_ENTRY_BYTES * at, ARCHIVE_TX_ENTRY_BYTES * n));
        RDG_TRY(put_frame(e, FRAME_TXS, at, (uint32_t)n, &e->raw));
        at += n;
    }
    return RDG_OK;
}

static rdg_err_t put_state_frame(void *ctx, uint64_t number, rdg_buf_t *raw) {
    export_t *e = ctx;
    e->m.state_bytes += raw->len;
    e->m.state_frames++;
    RDG_TRY(put_frame(e, FRAME_STATE, number, 1, raw));
    return report(e);
}

static rdg_err_t put_state(export_t *e) {
    return e->o->state ? state_write(e->l, e->o->state, put_state_frame, e) : RDG_OK;
}

/* Index, manifest, signature, trailer. */
static rdg_err_t put_end(export_t *e) {
    uint8_t trailer[ARCHIVE_TRAILER_BYTES];
    archive_trailer_t t = {.version = archive_version(&e->m)};
    rdg_hash_t digest;
    rdg_buf_clear(&e->raw);
    RDG_TRY(frames_encode(&e->frames, &e->raw));
    if (e->raw.len > ARCHIVE_INDEX_MAX) return rdg_fail(RDG_E_TOO_LARGE, "the index is above its limit");
    e->m.frame_count = e->frames.count;
    e->m.index_bytes = t.index_bytes = (uint32_t)e->raw.len;
    rdg_sm3(e->raw.data, e->raw.len, &e->m.index_digest);
    RDG_TRY(rdg_archive_manifest_digest(&e->m, &digest));
    RDG_TRY(rdg_archive_manifest_encode(&e->m, &e->raw));
    t.manifest_bytes = (uint32_t)e->raw.len - t.index_bytes;
    RDG_TRY(archive_signature_encode(e->o->signer, &digest, &e->raw));
    t.signature_bytes = (uint32_t)e->raw.len - t.index_bytes - t.manifest_bytes;
    t.file_bytes = e->written + e->raw.len + sizeof trailer;
    archive_trailer_encode(&t, trailer);
    RDG_TRY(rdg_buf_append(&e->raw, trailer, sizeof trailer));
    return put(e, rdg_buf_view(&e->raw));
}

static rdg_err_t describe(export_t *e) {
    const rdg_genesis_t *g = rdg_ledger_genesis(e->l);
    rdg_archive_manifest_t *m = &e->m;
    rdg_epoch_t first, last;
    m->chain_id = g->validators.chain_id;
    m->genesis = g->hash;
    m->raft = rdg_genesis_is_raft(g);
    m->from = e->o->from;
    m->to = e->o->to;
    if (e->o->key) memcpy(m->key_id, e->o->key->id, sizeof m->key_id);
    RDG_TRY(rdg_ledger_epoch(e->l, m->from, &first));
    RDG_TRY(rdg_ledger_epoch(e->l, m->to, &last));
    m->first_epoch = first.validators.epoch;
    m->last_epoch = last.validators.epoch;
    RDG_TRY(rdg_epoch_digest(&first, &m->first_epoch_digest));
    return rdg_epoch_digest(&last, &m->last_epoch_digest);
}

static rdg_err_t count_txs(export_t *e) {
    block_entry_t before, last;
    RDG_TRY(entry_load(e->l->kv, NULL, e->m.from - 1, &before));
    RDG_TRY(entry_load(e->l->kv, NULL, e->m.to, &last));
    e->pairs.txs_size = last.tx_total - before.tx_total;
    if (e->pairs.txs_size > RDG_ARCHIVE_TXS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%" PRIu64 " transactions: a segment holds %u", e->pairs.txs_size,
                        RDG_ARCHIVE_TXS_MAX);
    e->progress.blocks_total = e->m.to - e->m.from + 1;
    return RDG_OK;
}

static rdg_err_t check_range(rdg_ledger_t *l, const rdg_archive_export_options_t *o) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    if (o->from == 0 || o->to < o->from)
        return rdg_fail(RDG_E_INVALID, "no range of blocks is %" PRIu64 " to %" PRIu64, o->from, o->to);
    if (o->to > head.checkpoint_height)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "block %" PRIu64 " is not there with a checkpoint yet: the newest is %" PRIu64, o->to,
                        head.checkpoint_height);
    if (o->to - o->from >= RDG_ARCHIVE_BLOCKS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a segment holds %u blocks: archive fewer at a time",
                        RDG_ARCHIVE_BLOCKS_MAX);
    if (o->state && rdg_snapshot_pin_height(o->state) != o->to)
        return rdg_fail(RDG_E_INVALID, "a segment ends with the state of its last block, not of %" PRIu64,
                        rdg_snapshot_pin_height(o->state));
    if (o->key && (!o->key->id[0] || memchr(o->key->id, 0, sizeof o->key->id) == NULL))
        return rdg_fail(RDG_E_INVALID, "the key of an archive needs an id of 1 to %d characters",
                        RDG_ARCHIVE_KEY_ID_MAX);
    return RDG_OK;
}

static rdg_err_t run(export_t *e) {
    uint8_t head[ARCHIVE_HEAD_BYTES];
    rdg_archive_manifest_t kind = {.state_frames = e->o->state != NULL};
    RDG_TRY(check_range(e->l, e->o));
    RDG_TRY(describe(e));
    RDG_TRY(count_txs(e));
    RDG_TRY(export_pairs_init(&e->pairs, e->l, e->o, &e->m));
    archive_head(archive_version(&kind), head);
    RDG_TRY(put(e, rdg_bytes(head, sizeof head)));
    RDG_TRY(put_lineage(e));
    RDG_TRY(put_all_blocks(e));
    RDG_TRY(put_txs(e));
    RDG_TRY(put_state(e));
    return put_end(e);
}

rdg_err_t rdg_archive_export(rdg_ledger_t *l, const rdg_archive_export_options_t *o,
                             const rdg_archive_sink_t *sink, rdg_archive_manifest_t *out) {
    export_t *e = rdg_calloc(1, sizeof *e);
    if (!e) return rdg_fail(RDG_E_NO_MEMORY, "no memory to archive");
    e->l = l, e->o = o, e->sink = sink;
    rdg_buf_init(&e->raw, RDG_ARCHIVE_FRAME_RAW_MAX);
    rdg_err_t err = run(e);
    if (err == RDG_OK && out) *out = e->m;
    export_pairs_fini(&e->pairs);
    frames_free(&e->frames);
    rdg_buf_fini(&e->raw);
    rdg_free(e);
    return err == RDG_OK ? RDG_OK
                         : rdg_fail_in(err, "archive of blocks %" PRIu64 " to %" PRIu64, o->from, o->to);
}

/* Places say how large bodies are, so nothing but entries is read. */
rdg_err_t rdg_archive_plan(rdg_ledger_t *l, uint64_t from, uint64_t to_wanted, uint64_t *to) {
    rdg_ledger_head_t head;
    uint64_t bytes = 0, before;
    block_entry_t entry;
    rdg_ledger_head(l, &head);
    if (to_wanted > head.checkpoint_height) to_wanted = head.checkpoint_height;
    if (from == 0 || from > to_wanted)
        return rdg_fail(RDG_E_UNAVAILABLE, "no block from %" PRIu64 " on has a checkpoint certificate yet",
                        from);
    RDG_TRY(entry_load(l->kv, NULL, from - 1, &entry));
    before = entry.tx_total;
    for (*to = from - 1; *to < to_wanted; ++*to) {
        RDG_TRY(entry_load(l->kv, NULL, *to + 1, &entry));
        bytes += block_record_size(&entry.place);
        bool fits = *to + 1 - from < RDG_ARCHIVE_BLOCKS_MAX &&
                    entry.tx_total - before <= RDG_ARCHIVE_TXS_MAX && bytes <= RDG_ARCHIVE_RAW_BYTES_MAX;
        if (!fits) break;
    }
    if (*to >= from) return RDG_OK;
    return rdg_fail(RDG_E_TOO_LARGE, "block %" PRIu64 " alone is more than a segment holds", from);
}
