/* A segment into a ledger without executing it: headers, ids, and the state at its end. */
#include <inttypes.h>
#include <string.h>
#include "archive_internal.h"
#include "snapshot_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"

enum { SEGMENT_CUT = 512 << 10, EPOCH_BYTES_MAX = 16 << 10, INDEX_BYTES = 8 << 20 };

typedef struct restore_pair {
    block_ids_t *blocks; /* of a pair of frames */
    uint32_t room, count;
} restore_pair_t;

typedef struct restore {
    rdg_archive_t *a;
    rdg_ledger_t *l;
    rdg_archive_progress_fn fn;
    void *fn_ctx;
    rdg_archive_progress_t progress;
    rdg_buf_t segment, header, epoch, ids;
    rdg_kv_batch_t *index; /* ids that are not in the store yet */
    uint32_t in_segment;   /* headers */
    size_t count_at;       /* where the segment tells how many */
    pair_reader_t reader;
    restore_pair_t pairs[PAIRS_MAX];
} restore_t;

static rdg_err_t report(restore_t *r) {
    if (!r->fn || r->fn(r->fn_ctx, &r->progress)) return RDG_OK;
    return rdg_fail(RDG_E_CANCELLED, "the import was stopped: what is imported stays");
}

/* --- headers ------------------------------------------------------------------------------------- */

/* From the block on whose executed header first names it up to its first height, the epoch's record stands beside. */
static rdg_err_t epoch_beside(restore_t *r, const rdg_executed_t *x, rdg_bytes_t *out) {
    const rdg_archive_t *a = r->a;
    uint32_t next = archive_epoch_at(a, x->height) + 1;
    *out = rdg_bytes(NULL, 0);
    if (next >= a->epoch_count || !rdg_hash_equal(&x->epoch_digest, &a->epoch_digests[next])) return RDG_OK;
    rdg_buf_clear(&r->epoch);
    RDG_TRY(rdg_epoch_encode(&a->epochs[next], &r->epoch));
    *out = rdg_buf_view(&r->epoch);
    return RDG_OK;
}

static rdg_err_t add_header(restore_t *r, const body_item_t *body, const proof_item_t *proof) {
    rdg_header_t header;
    rdg_executed_t executed;
    header_item_t item = {.seal = proof->seal, .executed = body->executed, .checkpoint = proof->checkpoint};
    RDG_TRY(rdg_proposal_header(body->proposal, &header));
    RDG_TRY(rdg_executed_decode(body->executed, &executed));
    rdg_buf_clear(&r->header);
    RDG_TRY(rdg_header_encode(&header, &r->header));
    item.header = rdg_buf_view(&r->header);
    RDG_TRY(epoch_beside(r, &executed, &item.epoch));
    return segment_put(&r->segment, &item);
}

static rdg_err_t take_segment(restore_t *r) {
    uint64_t known;
    uint32_t count = r->in_segment;
    r->in_segment = 0;
    if (count == 0) return RDG_OK;
    segment_end(&r->segment, r->count_at, count);
    RDG_TRY(rdg_buf_err(&r->segment));
    rdg_err_t err = rdg_headers_import(r->l, rdg_buf_view(&r->segment), &known);
    return err == RDG_E_STALE ? RDG_OK : err;
}

/* What is behind the items of a frame is what verification asks for. */
static rdg_err_t import_pair_headers(restore_t *r, const read_pair_t *p) {
    const frame_t *f = &r->a->frames.frames[p->frame];
    rdg_rlp_t bodies, proofs;
    rdg_rlp_init(&bodies, rdg_buf_view(&p->raw[0]));
    rdg_rlp_init(&proofs, rdg_buf_view(&p->raw[1]));
    for (uint32_t i = 0; i < f->count; ++i) {
        body_item_t body;
        proof_item_t proof;
        if (r->in_segment == 0) {
            rdg_buf_clear(&r->segment);
            segment_begin(&r->segment, r->a->manifest.chain_id, f->first + i, &r->count_at);
        }
        RDG_TRY(body_item_next(&bodies, &body));
        RDG_TRY(proof_item_next(&proofs, &proof));
        RDG_TRY(add_header(r, &body, &proof));
        ++r->in_segment;
        if (r->segment.len >= SEGMENT_CUT) RDG_TRY(take_segment(r));
    }
    return RDG_OK;
}

/* --- ids of transactions -------------------------------------------------------------------------- */

static void forget_ids(restore_pair_t *p) {
    for (uint32_t i = 0; i < p->count; ++i) rdg_free(p->blocks[i].ids);
    p->count = 0;
}

/* On any thread. Roots of transactions are part of the block's hash, which block_ids recomputes. */
static rdg_err_t read_ids(void *ctx, uint32_t number) {
    restore_t *r = ctx;
    const read_pair_t *read = &r->reader.pairs[number];
    const frame_t *f = &r->a->frames.frames[read->frame];
    restore_pair_t *p = &r->pairs[number];
    rdg_rlp_t bodies;
    forget_ids(p);
    if (f->count > p->room) {
        rdg_free(p->blocks);
        p->blocks = rdg_calloc(f->count, sizeof *p->blocks);
        p->room = p->blocks ? f->count : 0;
        if (!p->blocks) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the ids of transactions");
    }
    rdg_rlp_init(&bodies, rdg_buf_view(&read->raw[0]));
    for (; p->count < f->count; ++p->count) {
        body_item_t body;
        rdg_err_t err = body_item_next(&bodies, &body);
        if (err == RDG_OK) err = block_ids(body.proposal, &p->blocks[p->count]);
        if (err != RDG_OK) return rdg_fail_in(err, "block %" PRIu64, f->first + p->count);
    }
    return RDG_OK;
}

/* As the guard of a snapshot has them. The block is the one of the header that has just been verified. */
static rdg_err_t put_ids(restore_t *r, uint64_t height, const block_ids_t *b) {
    block_entry_t e;
    ledger_key_t key = key_of_height(KEY_IDS, height);
    RDG_TRY(entry_load(r->l->kv, NULL, height, &e));
    if (!rdg_hash_equal(&b->hash, &e.hash))
        return rdg_fail(RDG_E_CONFLICT, "the ledger knows another block of that height");
    if (e.place.file || e.header.tx_count == 0) return RDG_OK; /* its body is here, and so is its index */
    rdg_buf_clear(&r->ids);
    rdg_buf_append(&r->ids, b->signatures.b, sizeof b->signatures.b);
    rdg_buf_append(&r->ids, b->ids, b->header.tx_count * sizeof *b->ids);
    RDG_TRY(rdg_buf_err(&r->ids));
    for (uint32_t i = 0; i < b->header.tx_count; ++i) put_tx_index(r->index, &b->ids[i], height, i);
    rdg_kv_batch_put(r->index, key_view(&key), rdg_buf_view(&r->ids));
    r->progress.txs += b->header.tx_count;
    return RDG_OK;
}

/* An import that is begun again reads the ids of all its blocks again, so nothing says how far they are stored. */
static rdg_err_t store_ids(restore_t *r) {
    if (rdg_kv_batch_bytes(r->index) == 0) return RDG_OK;
    rdg_err_t err = rdg_kv_write_tables(r->l->kv, r->index, 1);
    rdg_kv_batch_clear(r->index);
    return err;
}

static rdg_err_t import_ids(restore_t *r, uint32_t pairs) {
    for (uint32_t i = 0; i < pairs; ++i) {
        const frame_t *f = &r->a->frames.frames[r->reader.pairs[i].frame];
        for (uint32_t k = 0; k < f->count; ++k) {
            rdg_err_t err = put_ids(r, f->first + k, &r->pairs[i].blocks[k]);
            if (err != RDG_OK) return rdg_fail_in(err, "block %" PRIu64, f->first + k);
        }
    }
    return rdg_kv_batch_bytes(r->index) >= INDEX_BYTES ? store_ids(r) : RDG_OK;
}

/* --- both ----------------------------------------------------------------------------------------- */

static rdg_err_t import_pairs(restore_t *r, uint32_t pairs) {
    r->in_segment = 0;
    for (uint32_t i = 0; i < pairs; ++i) RDG_TRY(import_pair_headers(r, &r->reader.pairs[i]));
    RDG_TRY(take_segment(r));
    RDG_TRY(import_ids(r, pairs));
    for (uint32_t i = 0; i < pairs; ++i) {
        const frame_t *f = &r->a->frames.frames[r->reader.pairs[i].frame];
        r->progress.height = f->first + f->count - 1;
        r->progress.blocks += f->count;
        r->progress.bytes += (uint64_t)f[0].stored_len + f[1].stored_len;
    }
    return pairs ? report(r) : RDG_OK;
}

static rdg_err_t import_headers(restore_t *r) {
    rdg_archive_t *a = r->a;
    uint64_t known = rdg_headers_known(r->l);
    if (a->manifest.from > known + 1)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "the archive starts at block %" PRIu64 ", headers are known up to %" PRIu64
                        ": import the archives between first",
                        a->manifest.from, known);
    for (uint32_t next = a->first_bodies; next < a->first_txs;) {
        uint32_t good = 0;
        RDG_TRY(pair_reader_next(&r->reader, &next));
        while (good < r->reader.count && r->reader.pairs[good].err == RDG_OK) ++good;
        RDG_TRY(import_pairs(r, good));
        if (good == r->reader.count) continue;
        RDG_TRY(pair_reader_settle(&r->reader, good));
        next = r->reader.pairs[good].frame;
    }
    return store_ids(r);
}

/* --- state ---------------------------------------------------------------------------------------- */

static rdg_err_t import_group(restore_t *r, state_reader_t *reader, state_group_t *g,
                              rdg_snapshot_import_t *import) {
    for (uint32_t from = 0, to; from < g->count; from = to) {
        for (to = from; to < g->count && g->err[to] == RDG_OK; ++to) r->progress.bytes += g->raw[to].len;
        if (to > from) RDG_TRY(snapshot_import_proven(import, g->proven + from, to - from));
        RDG_TRY(report(r));
        if (to < g->count)
            RDG_TRY(rdg_fail_in(state_reader_settle(reader, g, to), "chunk %" PRIu32, g->first + to));
    }
    return RDG_OK;
}

static rdg_err_t import_groups(restore_t *r, const manifest_t *m, rdg_snapshot_import_t *import) {
    rdg_snapshot_info_t at;
    rdg_snapshot_import_info(import, &at);
    state_reader_t *reader = rdg_calloc(1, sizeof *reader);
    if (!reader) return rdg_fail(RDG_E_NO_MEMORY, "no memory to import a state");
    state_group_t *g = NULL;
    rdg_err_t err = state_reader_init(reader, r->a, m, at.next);
    do {
        if (err == RDG_OK) err = state_reader_next(reader, &g);
        if (err == RDG_OK && g->count > 0) err = import_group(r, reader, g, import);
    } while (err == RDG_OK && g->count > 0);
    state_reader_fini(reader);
    rdg_free(reader);
    rdg_err_t stored = snapshot_import_settle(import); /* what came before an error stays */
    return err == RDG_OK ? stored : err;
}

/* Codes; and of the guard, what the import of the ids has stored. */
static rdg_err_t import_chunk(restore_t *r, rdg_snapshot_import_t *import, uint32_t frame, bool guard,
                              rdg_buf_t *raw) {
    rdg_buf_clear(raw);
    if (guard) return snapshot_import_own_guard(import);
    if (frame >= r->a->frames.count)
        return rdg_fail(RDG_E_MALFORMED, "the archive has fewer parts of the state than its manifest");
    RDG_TRY(archive_load_frame(r->a, frame, raw));
    return rdg_snapshot_import_chunk(import, rdg_buf_view(raw));
}

static rdg_err_t import_chunks(restore_t *r, const manifest_t *m, rdg_snapshot_import_t *import,
                               rdg_buf_t *raw) {
    rdg_snapshot_info_t at;
    RDG_TRY(import_groups(r, m, import));
    for (rdg_snapshot_import_info(import, &at); at.next < at.chunks; rdg_snapshot_import_info(import, &at)) {
        bool guard = m->chunks[at.next].kind == CHUNK_GUARD;
        RDG_TRY(import_chunk(r, import, r->a->first_state + 1 + at.next, guard, raw));
        r->progress.bytes += raw->len;
        RDG_TRY(report(r));
    }
    return rdg_snapshot_import_finish(import);
}

static rdg_err_t import_state(restore_t *r) {
    rdg_archive_t *a = r->a;
    rdg_snapshot_import_t *import = NULL;
    manifest_t m = {0};
    rdg_buf_t raw;
    rdg_buf_init(&raw, RDG_SNAPSHOT_MANIFEST_MAX);
    rdg_err_t err = archive_load_frame(a, a->first_state, &raw);
    if (err == RDG_OK) err = snap_manifest_decode(rdg_buf_view(&raw), &m);
    if (err == RDG_OK) err = rdg_snapshot_import_open(r->l, rdg_buf_view(&raw), &import);
    if (err == RDG_OK) err = import_chunks(r, &m, import, &raw);
    rdg_snapshot_import_close(import);
    snap_manifest_fini(&m);
    rdg_buf_fini(&raw);
    return err;
}

/* ------------------------------------------------------------------------------------------------- */

static rdg_err_t restore(rdg_archive_t *a, rdg_ledger_t *l, bool state, rdg_archive_progress_fn fn,
                         void *ctx) {
    restore_t *r = rdg_calloc(1, sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory to import an archive");
    r->a = a, r->l = l, r->fn = fn, r->fn_ctx = ctx;
    r->progress.blocks_total = a->manifest.to - a->manifest.from + 1;
    rdg_buf_init(&r->segment, 2 * RDG_HEADERS_SEGMENT_MAX), rdg_buf_init(&r->header, 1024);
    rdg_buf_init(&r->epoch, EPOCH_BYTES_MAX);
    rdg_buf_init(&r->ids, RDG_HASH_BYTES * (1 + RDG_BLOCK_TXS_MAX));
    rdg_err_t err = rdg_archive_trust(a, rdg_ledger_genesis(l));
    if (err == RDG_OK && !(r->index = rdg_kv_batch_new())) err = RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = pair_reader_init(&r->reader, a, read_ids, r);
    if (err == RDG_OK) err = import_headers(r);
    if (err == RDG_OK && state) err = import_state(r);
    pair_reader_fini(&r->reader);
    for (uint32_t i = 0; i < PAIRS_MAX; ++i) {
        forget_ids(&r->pairs[i]);
        rdg_free(r->pairs[i].blocks);
    }
    rdg_kv_batch_free(r->index);
    rdg_buf_fini(&r->segment), rdg_buf_fini(&r->header), rdg_buf_fini(&r->epoch), rdg_buf_fini(&r->ids);
    rdg_free(r);
    return err;
}

rdg_err_t rdg_archive_import_headers(rdg_archive_t *a, rdg_ledger_t *l, rdg_archive_progress_fn progress,
                                     void *ctx) {
    return restore(a, l, false, progress, ctx);
}

rdg_err_t rdg_archive_import_state(rdg_archive_t *a, rdg_ledger_t *l, rdg_archive_progress_fn progress,
                                   void *ctx) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    if (!a->manifest.state_frames)
        return rdg_fail(RDG_E_NOT_FOUND, "the archive of blocks %" PRIu64 " to %" PRIu64 " holds no state",
                        a->manifest.from, a->manifest.to);
    return head.height >= a->manifest.to ? RDG_OK : restore(a, l, true, progress, ctx);
}
