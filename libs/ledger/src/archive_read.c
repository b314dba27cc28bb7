/* Opening a segment and taking single things out of it. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "archive_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"

static const char *const kind_names[] = {"", "lineage", "bodies", "proofs", "transactions", "state"};

static rdg_err_t read_at(const rdg_archive_t *a, uint64_t offset, void *dst, size_t len) {
    if (len > a->source.size || offset > a->source.size - len)
        return rdg_fail(RDG_E_MALFORMED, "the archive ends before byte %" PRIu64, offset + len);
    return a->source.read_at(a->source.ctx, offset, dst, len);
}

static rdg_err_t in_frame(rdg_err_t err, const rdg_archive_t *a, uint32_t index) {
    const frame_t *f = &a->frames.frames[index];
    return rdg_fail_in(err, "frame %" PRIu32 " (%s from %" PRIu64 ", offset %" PRIu64 ")", index,
                       kind_names[f->kind], f->first, f->offset);
}

rdg_err_t archive_fetch_frame(const rdg_archive_t *a, uint32_t index, rdg_buf_t *stored) {
    const frame_t *f = &a->frames.frames[index];
    if (f->raw_len > a->frame_bytes_max || f->stored_len > a->frame_bytes_max)
        return in_frame(rdg_fail(RDG_E_TOO_LARGE,
                                 "it unpacks to %" PRIu32 " bytes, above this reader's limit of %zu",
                                 f->raw_len, a->frame_bytes_max),
                        a, index);
    if (!a->has_key)
        return rdg_fail(RDG_E_UNAUTHENTICATED,
                        "the archive is encrypted: give the key with the id '%s' of chain %" PRIu64,
                        a->manifest.key_id, a->manifest.chain_id);
    rdg_buf_clear(stored);
    rdg_err_t err = rdg_buf_reserve(stored, f->stored_len);
    if (err == RDG_OK) err = read_at(a, f->offset, stored->data, f->stored_len);
    return err == RDG_OK ? RDG_OK : in_frame(err, a, index);
}

rdg_err_t archive_unpack_frame(const rdg_archive_t *a, uint32_t index, frame_unpacker_t *u, rdg_buf_t *stored,
                               rdg_buf_t *raw) {
    rdg_err_t err = frame_unpack(u, &a->frames.frames[index], stored->data, raw);
    if (err == RDG_E_UNAUTHENTICATED)
        err = rdg_fail_in(err, "key '%s' of chain %" PRIu64, a->manifest.key_id, a->manifest.chain_id);
    return err == RDG_OK ? RDG_OK : in_frame(err, a, index);
}

rdg_err_t archive_load_frame(rdg_archive_t *a, uint32_t index, rdg_buf_t *raw) {
    RDG_TRY(archive_fetch_frame(a, index, &a->stored));
    return archive_unpack_frame(a, index, &a->unpacker, &a->stored, raw);
}

rdg_err_t archive_load_pair(rdg_archive_t *a, uint32_t i) {
    if (a->bodies_at == i) return RDG_OK;
    a->bodies_at = UINT32_MAX;
    RDG_TRY(archive_load_frame(a, i, &a->bodies));
    RDG_TRY(archive_load_frame(a, i + 1, &a->proofs));
    a->bodies_at = i;
    return RDG_OK;
}

/* --- opening ------------------------------------------------------------------------------------- */

static rdg_err_t bad_order(uint32_t index) {
    return rdg_fail(RDG_E_MALFORMED, "index: frame %" PRIu32 " is not what must stand there", index);
}

/* Lineage; bodies and proofs of the same blocks by turns, without a gap over the range; the index of transactions; the
 * state. */
static rdg_err_t check_order(rdg_archive_t *a) {
    const frame_list_t *l = &a->frames;
    const rdg_archive_manifest_t *m = &a->manifest;
    uint64_t raw = 0, stored = 0, next = 1, txs = 0, state = 0;
    uint32_t i = 0;
    for (; i < l->count; ++i) raw += l->frames[i].raw_len, stored += l->frames[i].stored_len;
    for (i = 0; i < l->count && l->frames[i].kind == FRAME_LINEAGE; next += l->frames[i++].count)
        if (l->frames[i].first != next || l->frames[i].count > RDG_TRUST_EPOCHS_MAX) return bad_order(i);
    a->first_bodies = i;
    for (next = m->from; i + 1 < l->count && l->frames[i].kind == FRAME_BODIES; i += 2) {
        const frame_t *b = &l->frames[i], *p = b + 1;
        if (b->first != next || p->kind != FRAME_PROOFS || p->first != next || p->count != b->count ||
            b->count > RDG_ARCHIVE_FRAME_BLOCKS || b->count > m->to - next + 1)
            return bad_order(i);
        next += b->count;
    }
    if (next != m->to + 1)
        return rdg_fail(RDG_E_MALFORMED, "index: its frames end before block %" PRIu64, m->to);
    a->first_txs = i;
    for (; i + m->state_frames < l->count; txs += l->frames[i++].count)
        if (l->frames[i].kind != FRAME_TXS || l->frames[i].first != txs ||
            l->frames[i].raw_len != (uint64_t)l->frames[i].count * ARCHIVE_TX_ENTRY_BYTES)
            return bad_order(i);
    a->first_state = i;
    for (next = 0; i < l->count; ++i, ++next) {
        if (l->frames[i].kind != FRAME_STATE || l->frames[i].first != next || l->frames[i].count != 1 ||
            l->frames[i].raw_len > RDG_SNAPSHOT_MANIFEST_MAX)
            return bad_order(i);
        state += l->frames[i].raw_len;
    }
    if (next != m->state_frames || state != m->state_bytes)
        return rdg_fail(RDG_E_MALFORMED, "index: the state has other frames than the manifest says");
    if (txs != m->tx_count || raw != m->raw_bytes || stored != m->stored_bytes)
        return rdg_fail(RDG_E_MALFORMED,
                        "index: transactions or sizes do not add up to those of the manifest");
    return RDG_OK;
}

static rdg_err_t read_index(rdg_archive_t *a, const archive_trailer_t *t, rdg_bytes_t index) {
    rdg_hash_t digest;
    uint64_t end;
    rdg_sm3(index.data, index.len, &digest);
    if (index.len != a->manifest.index_bytes || !rdg_hash_equal(&digest, &a->manifest.index_digest))
        return rdg_fail(RDG_E_CORRUPT,
                        "index: its bytes are not those of the manifest: fetch the file again");
    RDG_TRY(frames_decode(index, a->manifest.frame_count, &a->frames, &end));
    uint64_t index_at =
        t->file_bytes - ARCHIVE_TRAILER_BYTES - t->signature_bytes - t->manifest_bytes - t->index_bytes;
    if (end != index_at)
        return rdg_fail(RDG_E_MALFORMED, "index: its frames end at byte %" PRIu64 ", the file's at %" PRIu64,
                        end, index_at);
    return check_order(a);
}

static rdg_err_t read_end(rdg_archive_t *a, const archive_trailer_t *t, rdg_buf_t *end) {
    size_t len = (size_t)t->index_bytes + t->manifest_bytes + t->signature_bytes;
    RDG_TRY(rdg_buf_reserve(end, len ? len : 1));
    RDG_TRY(read_at(a, a->source.size - ARCHIVE_TRAILER_BYTES - len, end->data, len));
    rdg_bytes_t manifest = rdg_bytes(end->data + t->index_bytes, t->manifest_bytes);
    RDG_TRY(rdg_archive_manifest_decode(manifest, &a->manifest));
    RDG_TRY(rdg_archive_manifest_digest(&a->manifest, &a->digest));
    RDG_TRY(archive_signature_verify(rdg_bytes(manifest.data + manifest.len, t->signature_bytes), &a->digest,
                                     &a->signer));
    return read_index(a, t, rdg_bytes(end->data, t->index_bytes));
}

/* Without it the manifest can still be shown. */
static const rdg_archive_key_t *find_key(const rdg_archive_t *a, const rdg_archive_options_t *o) {
    const char *id = a->manifest.key_id;
    for (size_t i = 0; *id && o && i < o->key_count; ++i)
        if (strcmp(o->keys[i].id, id) == 0) return &o->keys[i];
    return NULL;
}

static rdg_err_t open_all(rdg_archive_t *a, const rdg_archive_options_t *o) {
    uint8_t head[ARCHIVE_HEAD_BYTES], wanted[ARCHIVE_HEAD_BYTES], trailer[ARCHIVE_TRAILER_BYTES];
    archive_trailer_t t;
    const rdg_archive_key_t *key;
    rdg_buf_t end;
    if (a->source.size < sizeof head + sizeof trailer)
        return rdg_fail(RDG_E_MALFORMED, "%" PRIu64 " bytes are no archive segment", a->source.size);
    RDG_TRY(read_at(a, 0, head, sizeof head));
    archive_head(head[9], wanted);
    if (memcmp(head, wanted, sizeof head) != 0)
        return rdg_fail(RDG_E_MALFORMED, "head: not the start of an archive segment");
    if (head[9] > RDG_ARCHIVE_VERSION)
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "the archive has version %u, this program knows %d: use a newer one", head[9],
                        RDG_ARCHIVE_VERSION);
    RDG_TRY(read_at(a, a->source.size - sizeof trailer, trailer, sizeof trailer));
    RDG_TRY(archive_trailer_decode(trailer, a->source.size, &t));
    rdg_buf_init(&end, ARCHIVE_INDEX_MAX + RDG_ARCHIVE_MANIFEST_MAX + ARCHIVE_SIGNATURE_MAX);
    rdg_err_t err = read_end(a, &t, &end);
    rdg_buf_fini(&end);
    RDG_TRY(err);
    if (t.version != archive_version(&a->manifest) || head[9] != t.version)
        return rdg_fail(RDG_E_MALFORMED, "head, manifest and trailer are not of one version");
    key = find_key(a, o);
    a->has_key = key || !*a->manifest.key_id;
    a->key = key;
    return frame_unpacker_init(&a->unpacker, key, &a->manifest);
}

rdg_err_t rdg_archive_open(const rdg_archive_source_t *source, const rdg_archive_options_t *o,
                           rdg_archive_t **out) {
    rdg_archive_t *a = *out = rdg_calloc(1, sizeof *a);
    if (!a) return rdg_fail(RDG_E_NO_MEMORY, "no memory to open an archive");
    a->source = *source;
    a->fd = -1;
    a->bodies_at = UINT32_MAX;
    a->threads = o ? o->threads : 0;
    a->frame_bytes_max = o && o->frame_bytes_max ? o->frame_bytes_max : RDG_ARCHIVE_READ_FRAME_MAX;
    rdg_buf_init(&a->stored, a->frame_bytes_max);
    rdg_buf_init(&a->bodies, a->frame_bytes_max);
    rdg_buf_init(&a->proofs, a->frame_bytes_max);
    rdg_err_t err = open_all(a, o);
    if (err == RDG_OK) return RDG_OK;
    rdg_archive_close(a);
    *out = NULL;
    return err;
}

void rdg_archive_close(rdg_archive_t *a) {
    if (!a) return;
    frame_unpacker_fini(&a->unpacker);
    frames_free(&a->frames);
    rdg_buf_fini(&a->stored), rdg_buf_fini(&a->bodies), rdg_buf_fini(&a->proofs);
    signature_batch_free(a->batch);
    rdg_free(a->epochs);
    rdg_free(a->epoch_digests);
    if (a->fd >= 0) close(a->fd);
    rdg_free(a);
}

const rdg_archive_manifest_t *rdg_archive_manifest(const rdg_archive_t *a) {
    return &a->manifest;
}

void rdg_archive_digest(const rdg_archive_t *a, rdg_hash_t *manifest_digest) {
    *manifest_digest = a->digest;
}

const rdg_sm2_public_t *rdg_archive_signer(const rdg_archive_t *a) {
    return &a->signer;
}

/* --- one block, one transaction ------------------------------------------------------------------ */

static uint32_t frame_of(const rdg_archive_t *a, uint64_t height) {
    const frame_t *bodies = a->frames.frames + a->first_bodies;
    uint32_t low = 0, high = (a->first_txs - a->first_bodies) / 2 - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (bodies[2 * middle].first <= height)
            low = middle;
        else
            high = middle - 1;
    }
    return a->first_bodies + 2 * low;
}

static rdg_err_t find_items(rdg_archive_t *a, uint64_t height, body_item_t *body, proof_item_t *proof) {
    rdg_rlp_t bodies, proofs;
    if (height < a->manifest.from || height > a->manifest.to)
        return rdg_fail(RDG_E_NOT_FOUND,
                        "block %" PRIu64 " is not in the archive, which has %" PRIu64 " to %" PRIu64, height,
                        a->manifest.from, a->manifest.to);
    uint32_t i = frame_of(a, height);
    RDG_TRY(archive_load_pair(a, i));
    rdg_rlp_init(&bodies, rdg_buf_view(&a->bodies));
    rdg_rlp_init(&proofs, rdg_buf_view(&a->proofs));
    for (uint64_t h = a->frames.frames[i].first; h <= height; ++h) {
        rdg_err_t err = body_item_next(&bodies, body);
        if (err == RDG_OK) err = proof_item_next(&proofs, proof);
        if (err != RDG_OK) return in_frame(err, a, i);
    }
    return RDG_OK;
}

rdg_err_t rdg_archive_read(rdg_archive_t *a, uint64_t height, rdg_archive_block_t *out) {
    body_item_t body;
    proof_item_t proof;
    block_check_t check = {0};
    memset(out, 0, sizeof *out);
    RDG_TRY(find_items(a, height, &body, &proof));
    if (a->trusted) signature_batch_clear(a->batch);
    rdg_err_t err = rdg_fail_in(archive_check_block(a, a->batch, height, &body, &proof, &check),
                                "block %" PRIu64, height);
    if (err == RDG_OK && a->trusted) err = signature_batch_block(a->batch, check.block);
    if (err == RDG_OK && a->trusted) err = signature_batch_flush(a->batch);
    if (err != RDG_OK) {
        rdg_block_unref(check.block);
        return err;
    }
    *out = (rdg_archive_block_t){check.block, check.executed,   body.executed, body.receipts,
                                 proof.seal,  proof.checkpoint, a->trusted};
    return RDG_OK;
}

void rdg_archive_block_fini(rdg_archive_block_t *b) {
    rdg_block_unref(b->block);
    memset(b, 0, sizeof *b);
}

static rdg_err_t find_in_block(rdg_archive_t *a, const rdg_hash_t *id, uint64_t height,
                               rdg_tx_location_t *out) {
    rdg_archive_block_t b;
    rdg_err_t err = rdg_archive_read(a, height, &b);
    if (err != RDG_OK) return err;
    err = RDG_E_NOT_FOUND;
    for (uint32_t i = 0; i < b.block->header.tx_count && err != RDG_OK; ++i) {
        if (!rdg_hash_equal(&b.block->txs[i]->id, id)) continue;
        *out = (rdg_tx_location_t){height, i};
        err = RDG_OK;
    }
    rdg_archive_block_fini(&b);
    return err;
}

/* Entries with the id's first half-half, which are very few, in one frame. */
static rdg_err_t find_in_frame(rdg_archive_t *a, const rdg_hash_t *id, rdg_bytes_t entries, bool *past,
                               rdg_tx_location_t *out) {
    size_t low = 0, count = entries.len / ARCHIVE_TX_ENTRY_BYTES, high = count;
    enum { ID_BYTES = ARCHIVE_TX_ENTRY_BYTES - 4 };
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(entries.data + middle * ARCHIVE_TX_ENTRY_BYTES, id->b, ID_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count; ++low) {
        const uint8_t *entry = entries.data + low * ARCHIVE_TX_ENTRY_BYTES;
        *past = memcmp(entry, id->b, ID_BYTES) != 0;
        if (*past) return RDG_E_NOT_FOUND;
        uint64_t block = rdg_load_be32(entry + ID_BYTES);
        rdg_err_t err = find_in_block(a, id, a->manifest.from + block, out);
        if (err != RDG_E_NOT_FOUND) return err;
    }
    return RDG_E_NOT_FOUND;
}

/* Frames of the index do not say where they begin, so this halves over them by reading. */
static rdg_err_t first_frame_for(rdg_archive_t *a, const rdg_hash_t *id, rdg_buf_t *raw, uint32_t *out) {
    uint32_t low = a->first_txs, high = a->first_state;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        RDG_TRY(archive_load_frame(a, middle, raw));
        if (memcmp(raw->data + raw->len - ARCHIVE_TX_ENTRY_BYTES, id->b, ARCHIVE_TX_ENTRY_BYTES - 4) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    return RDG_OK;
}

rdg_err_t rdg_archive_find_tx(rdg_archive_t *a, const rdg_hash_t *id, rdg_tx_location_t *out) {
    rdg_buf_t raw;
    uint32_t i = 0;
    bool past = false;
    rdg_buf_init(&raw, a->frame_bytes_max);
    rdg_err_t err = first_frame_for(a, id, &raw, &i), found = RDG_E_NOT_FOUND;
    for (; err == RDG_OK && found == RDG_E_NOT_FOUND && !past && i < a->first_state; ++i) {
        err = archive_load_frame(a, i, &raw);
        if (err == RDG_OK) found = find_in_frame(a, id, rdg_buf_view(&raw), &past, out);
    }
    rdg_buf_fini(&raw);
    if (err != RDG_OK) return err;
    return found == RDG_E_NOT_FOUND ? rdg_fail(found, "no transaction of the archive has that id") : found;
}
