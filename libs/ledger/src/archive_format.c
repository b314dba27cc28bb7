/* The parts of a segment that are not frames: head, index, manifest, signature, trailer. */
#include <inttypes.h>
#include <string.h>
#include "archive_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/checked.h"
#include "ridge/codec/rlp.h"

static const uint8_t head_magic[8] = "RDGARCHV", trailer_magic[8] = "RDGARCHE";

static void put_hash(rdg_buf_t *out, const rdg_hash_t *h) {
    rdg_rlp_put_bytes(out, rdg_bytes(h->b, sizeof h->b));
}

/* --- index of frames ----------------------------------------------------------------------------- */

rdg_err_t frames_add(frame_list_t *l, const frame_t *f) {
    if (l->count == RDG_ARCHIVE_FRAMES_MAX)
        return rdg_fail(RDG_E_FULL, "a segment of more than %u frames: archive fewer blocks at a time",
                        RDG_ARCHIVE_FRAMES_MAX);
    if (l->count == l->size) {
        uint32_t size = l->size ? 2 * l->size : 64;
        frame_t *bigger = rdg_realloc_array(l->frames, size, sizeof *bigger);
        if (!bigger) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the index of a segment");
        l->frames = bigger;
        l->size = size;
    }
    l->frames[l->count++] = *f;
    return RDG_OK;
}

void frames_free(frame_list_t *l) {
    rdg_free(l->frames);
    *l = (frame_list_t){0};
}

rdg_err_t frames_encode(const frame_list_t *l, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < l->count; ++i) {
        const frame_t *f = &l->frames[i];
        size_t item = rdg_rlp_list_begin(out);
        rdg_rlp_put_u64(out, (uint64_t)f->kind);
        rdg_rlp_put_u64(out, f->first);
        rdg_rlp_put_u64(out, f->count);
        rdg_rlp_put_u64(out, f->raw_len);
        rdg_rlp_put_u64(out, f->stored_len);
        put_hash(out, &f->digest);
        rdg_rlp_list_end(out, item);
    }
    return rdg_rlp_list_end(out, list);
}

static rdg_err_t read_frame(rdg_rlp_t *list, uint32_t number, frame_t *out) {
    rdg_rlp_t c;
    rdg_rlp_list(list, &c);
    uint64_t kind = rdg_rlp_u64(&c);
    out->first = rdg_rlp_u64(&c);
    uint64_t count = rdg_rlp_u64(&c), raw = rdg_rlp_u64(&c), stored = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->digest.b, sizeof out->digest.b);
    if (list->err != RDG_OK || rdg_rlp_done(&c) != RDG_OK || kind < FRAME_LINEAGE || kind > FRAME_STATE ||
        count == 0 || count > UINT32_MAX)
        return rdg_fail(RDG_E_MALFORMED, "index: entry of frame %" PRIu32 " is no frame of this format",
                        number);
    if (raw == 0 || raw > RDG_ARCHIVE_FRAME_RAW_MAX || stored == 0 || stored > UINT32_MAX)
        return rdg_fail(RDG_E_TOO_LARGE,
                        "index: frame %" PRIu32 " claims %" PRIu64 " bytes of %" PRIu64
                        " stored ones; the limit is %u",
                        number, raw, stored, RDG_ARCHIVE_FRAME_RAW_MAX);
    out->kind = (frame_kind_t)kind;
    out->count = (uint32_t)count;
    out->raw_len = (uint32_t)raw;
    out->stored_len = (uint32_t)stored;
    return RDG_OK;
}

rdg_err_t frames_decode(rdg_bytes_t encoded, uint32_t count, frame_list_t *out, uint64_t *end) {
    rdg_rlp_t outer, list;
    rdg_err_t err = RDG_OK;
    uint64_t offset = ARCHIVE_HEAD_BYTES;
    *out = (frame_list_t){0};
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &list);
    for (uint32_t i = 0; err == RDG_OK && rdg_rlp_more(&list); ++i) {
        frame_t f = {.offset = offset};
        err = read_frame(&list, i, &f);
        if (err == RDG_OK) err = frames_add(out, &f);
        offset += f.stored_len; /* below 2^17 * 2^32 */
    }
    if (err == RDG_OK &&
        (rdg_rlp_done(&list) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK || out->count != count))
        err = rdg_fail(RDG_E_MALFORMED, "index: not the RLP list of the %" PRIu32 " frames of its manifest",
                       count);
    if (err != RDG_OK) frames_free(out);
    *end = offset;
    return err;
}

/* --- manifest ------------------------------------------------------------------------------------ */

enum { VERSION_PLAIN = 1, VERSION_STATE = 2 };

uint8_t archive_version(const rdg_archive_manifest_t *m) {
    return m->state_frames ? VERSION_STATE : VERSION_PLAIN;
}

/* version: that of the content is always the plain one, because what a file has beside it does not change it. */
static void put_content(uint8_t version, const rdg_archive_manifest_t *m, rdg_buf_t *out) {
    rdg_rlp_put_u64(out, version);
    rdg_rlp_put_u64(out, m->chain_id);
    put_hash(out, &m->genesis);
    rdg_rlp_put_u64(out, m->raft);
    rdg_rlp_put_u64(out, m->from);
    rdg_rlp_put_u64(out, m->to);
    rdg_rlp_put_u64(out, m->first_time_ms);
    rdg_rlp_put_u64(out, m->last_time_ms);
    rdg_rlp_put_u64(out, m->tx_count);
    put_hash(out, &m->parent);
    put_hash(out, &m->last_block);
    put_hash(out, &m->last_executed);
    put_hash(out, &m->blocks_root);
}

static void read_content(rdg_rlp_t *c, rdg_archive_manifest_t *m) {
    m->chain_id = rdg_rlp_u64(c);
    rdg_rlp_fixed(c, m->genesis.b, sizeof m->genesis.b);
    uint64_t raft = rdg_rlp_u64(c);
    if (raft > 1) c->err = RDG_E_MALFORMED;
    m->raft = raft == 1;
    m->from = rdg_rlp_u64(c);
    m->to = rdg_rlp_u64(c);
    m->first_time_ms = rdg_rlp_u64(c);
    m->last_time_ms = rdg_rlp_u64(c);
    m->tx_count = rdg_rlp_u64(c);
    rdg_rlp_fixed(c, m->parent.b, sizeof m->parent.b);
    rdg_rlp_fixed(c, m->last_block.b, sizeof m->last_block.b);
    rdg_rlp_fixed(c, m->last_executed.b, sizeof m->last_executed.b);
    rdg_rlp_fixed(c, m->blocks_root.b, sizeof m->blocks_root.b);
}

static bool key_id_valid(const char *id) {
    for (; *id; ++id)
        if (*id < 0x21 || *id > 0x7e) return false;
    return true;
}

rdg_err_t rdg_archive_manifest_encode(const rdg_archive_manifest_t *m, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    put_content(archive_version(m), m, out);
    rdg_rlp_put_u64(out, m->first_epoch);
    rdg_rlp_put_u64(out, m->last_epoch);
    put_hash(out, &m->first_epoch_digest);
    put_hash(out, &m->last_epoch_digest);
    rdg_rlp_put_u64(out, m->raw_bytes);
    rdg_rlp_put_u64(out, m->stored_bytes);
    rdg_rlp_put_u64(out, m->frame_count);
    rdg_rlp_put_u64(out, m->index_bytes);
    put_hash(out, &m->index_digest);
    rdg_rlp_put_str(out, m->key_id);
    if (m->state_frames) {
        rdg_rlp_put_u64(out, m->state_frames);
        rdg_rlp_put_u64(out, m->state_bytes);
    }
    return rdg_rlp_list_end(out, list);
}

/* What no segment of this format can have. */
static rdg_err_t check_limits(const rdg_archive_manifest_t *m) {
    if (m->from == 0 || m->to < m->from)
        return rdg_fail(RDG_E_MALFORMED, "manifest: no range of blocks is %" PRIu64 " to %" PRIu64, m->from,
                        m->to);
    if (m->to - m->from >= RDG_ARCHIVE_BLOCKS_MAX || m->tx_count > RDG_ARCHIVE_TXS_MAX ||
        m->frame_count > RDG_ARCHIVE_FRAMES_MAX || m->index_bytes > ARCHIVE_INDEX_MAX)
        return rdg_fail(RDG_E_TOO_LARGE,
                        "manifest: %" PRIu64 " blocks and %" PRIu64 " transactions in %" PRIu32
                        " frames are more than a segment holds",
                        m->to - m->from + 1, m->tx_count, m->frame_count);
    if (m->last_epoch < m->first_epoch || m->last_time_ms < m->first_time_ms || !key_id_valid(m->key_id))
        return rdg_fail(RDG_E_MALFORMED,
                        "manifest: epochs or times run backwards, or the key's id is no name");
    return RDG_OK;
}

rdg_err_t rdg_archive_manifest_decode(rdg_bytes_t encoded, rdg_archive_manifest_t *out) {
    rdg_rlp_t outer, c;
    memset(out, 0, sizeof *out);
    if (encoded.len > RDG_ARCHIVE_MANIFEST_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a manifest of %zu bytes: the limit is %u", encoded.len,
                        RDG_ARCHIVE_MANIFEST_MAX);
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &c);
    uint64_t version = rdg_rlp_u64(&c);
    if (c.err == RDG_OK && version > RDG_ARCHIVE_VERSION)
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "the archive has version %" PRIu64 ", this program knows %d: use a newer one",
                        version, RDG_ARCHIVE_VERSION);
    read_content(&c, out);
    out->first_epoch = rdg_rlp_u64(&c);
    out->last_epoch = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->first_epoch_digest.b, sizeof out->first_epoch_digest.b);
    rdg_rlp_fixed(&c, out->last_epoch_digest.b, sizeof out->last_epoch_digest.b);
    out->raw_bytes = rdg_rlp_u64(&c);
    out->stored_bytes = rdg_rlp_u64(&c);
    uint64_t frames = rdg_rlp_u64(&c), index = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->index_digest.b, sizeof out->index_digest.b);
    rdg_bytes_t id = rdg_rlp_bytes_max(&c, RDG_ARCHIVE_KEY_ID_MAX);
    uint64_t state = version == VERSION_STATE ? rdg_rlp_u64(&c) : 0;
    if (version == VERSION_STATE) out->state_bytes = rdg_rlp_u64(&c);
    if (rdg_rlp_done(&c) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK || version == 0 || frames > UINT32_MAX ||
        index > UINT32_MAX || state > frames || (state > 0) != (version == VERSION_STATE) ||
        memchr(id.data ? id.data : (const uint8_t *)"", 0, id.len))
        return rdg_fail(RDG_E_MALFORMED, "manifest: not the RLP list of a version %" PRIu64 " manifest",
                        version);
    out->state_frames = (uint32_t)state;
    if (id.len) memcpy(out->key_id, id.data, id.len);
    out->frame_count = (uint32_t)frames;
    out->index_bytes = (uint32_t)index;
    return check_limits(out);
}

static rdg_err_t digest_of(rdg_domain_t tag, const rdg_archive_manifest_t *m,
                           rdg_err_t (*encode)(const rdg_archive_manifest_t *m, rdg_buf_t *out),
                           rdg_hash_t *out) {
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, RDG_ARCHIVE_MANIFEST_MAX);
    rdg_err_t err = encode(m, &bytes);
    rdg_bytes_t view = rdg_buf_view(&bytes);
    if (err == RDG_OK) rdg_sm3_tagged(tag, &view, 1, out);
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t encode_content(const rdg_archive_manifest_t *m, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    put_content(VERSION_PLAIN, m, out);
    return rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_archive_manifest_digest(const rdg_archive_manifest_t *m, rdg_hash_t *out) {
    return digest_of(RDG_DOMAIN_ARCHIVE_MANIFEST, m, rdg_archive_manifest_encode, out);
}

rdg_err_t rdg_archive_content_digest(const rdg_archive_manifest_t *m, rdg_hash_t *out) {
    return digest_of(RDG_DOMAIN_ARCHIVE_CONTENT, m, encode_content, out);
}

/* --- signature ----------------------------------------------------------------------------------- */

rdg_err_t archive_signature_encode(const rdg_sm2_key_t *key, const rdg_hash_t *digest, rdg_buf_t *out) {
    rdg_sm2_public_t public;
    rdg_sm2_signature_t signature;
    rdg_sm2_key_public(key, &public);
    RDG_TRY(rdg_sm2_sign(key, digest->b, sizeof digest->b, &signature));
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_bytes(out, rdg_bytes(public.b, sizeof public.b));
    rdg_rlp_put_bytes(out, rdg_bytes(signature.b, sizeof signature.b));
    return rdg_rlp_list_end(out, list);
}

rdg_err_t archive_signature_verify(rdg_bytes_t encoded, const rdg_hash_t *digest, rdg_sm2_public_t *key) {
    rdg_rlp_t outer, c;
    rdg_sm2_signature_t signature;
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &c);
    rdg_rlp_fixed(&c, key->b, sizeof key->b);
    rdg_rlp_fixed(&c, signature.b, sizeof signature.b);
    if (rdg_rlp_done(&c) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK)
        return rdg_fail(RDG_E_MALFORMED, "signature of the manifest: not the RLP list [key, signature]");
    if (rdg_sm2_verify(key, digest->b, sizeof digest->b, &signature) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_BAD_SIGNATURE,
                    "the signature of the manifest does not verify: manifest, key or signature "
                    "were changed");
}

/* --- head and trailer ---------------------------------------------------------------------------- */

void archive_head(uint8_t version, uint8_t out[ARCHIVE_HEAD_BYTES]) {
    memset(out, 0, ARCHIVE_HEAD_BYTES);
    memcpy(out, head_magic, sizeof head_magic);
    out[9] = version;
}

void archive_trailer_encode(const archive_trailer_t *t, uint8_t out[ARCHIVE_TRAILER_BYTES]) {
    memset(out, 0, ARCHIVE_TRAILER_BYTES);
    rdg_store_be64(out, t->file_bytes);
    rdg_store_be32(out + 8, t->index_bytes);
    rdg_store_be32(out + 12, t->manifest_bytes);
    rdg_store_be32(out + 16, t->signature_bytes);
    out[31] = t->version;
    memcpy(out + 32, trailer_magic, sizeof trailer_magic);
}

rdg_err_t archive_trailer_decode(const uint8_t in[ARCHIVE_TRAILER_BYTES], uint64_t file_bytes,
                                 archive_trailer_t *out) {
    uint8_t again[ARCHIVE_TRAILER_BYTES];
    *out = (archive_trailer_t){rdg_load_be64(in), rdg_load_be32(in + 8), rdg_load_be32(in + 12),
                               rdg_load_be32(in + 16), in[31]};
    if (memcmp(in + 32, trailer_magic, sizeof trailer_magic) != 0)
        return rdg_fail(RDG_E_MALFORMED,
                        "trailer: not the end of an archive segment: the file is cut off, or is none");
    if (in[31] > RDG_ARCHIVE_VERSION)
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "the archive has version %u, this program knows %d: use a newer one", in[31],
                        RDG_ARCHIVE_VERSION);
    archive_trailer_encode(out, again);
    if (memcmp(in, again, sizeof again) != 0)
        return rdg_fail(RDG_E_MALFORMED, "trailer: bytes that must be zero are not");
    if (out->file_bytes != file_bytes)
        return rdg_fail(RDG_E_MALFORMED, "trailer: the file had %" PRIu64 " bytes and has %" PRIu64,
                        out->file_bytes, file_bytes);
    if (out->index_bytes > ARCHIVE_INDEX_MAX || out->manifest_bytes > RDG_ARCHIVE_MANIFEST_MAX ||
        out->signature_bytes > ARCHIVE_SIGNATURE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "trailer: index, manifest or signature are above their limits");
    uint64_t parts = (uint64_t)ARCHIVE_HEAD_BYTES + out->index_bytes + out->manifest_bytes +
                     out->signature_bytes + ARCHIVE_TRAILER_BYTES;
    return file_bytes >= parts ? RDG_OK
                               : rdg_fail(RDG_E_MALFORMED, "trailer: its parts do not fit into the file");
}
