/* Segments in memory; and forging. */
#include "archive_forge.h"
#include "ridge/test.h"

void memory_init(memory_file_t *f) {
    rdg_buf_init(&f->bytes, 64u << 20);
}

void memory_fini(memory_file_t *f) {
    rdg_buf_fini(&f->bytes);
}

static rdg_err_t write_memory(void *ctx, rdg_bytes_t bytes) {
    memory_file_t *f = ctx;
    return rdg_buf_append(&f->bytes, bytes.data, bytes.len);
}

rdg_archive_sink_t memory_sink(memory_file_t *f) {
    return (rdg_archive_sink_t){write_memory, f};
}

static rdg_err_t read_memory(void *ctx, uint64_t offset, void *dst, size_t len) {
    const memory_file_t *f = ctx;
    CHECK(offset <= f->bytes.len && len <= f->bytes.len - offset);
    if (len) memcpy(dst, f->bytes.data + offset, len);
    return RDG_OK;
}

rdg_err_t memory_open(const memory_file_t *f, const rdg_archive_options_t *o, rdg_archive_t **out) {
    rdg_archive_source_t source = {read_memory, f->bytes.len, (void *)(uintptr_t)f};
    return rdg_archive_open(&source, o, out);
}

static void forge_frame(rdg_archive_t *a, uint32_t i, const lie_t *lie, frame_packer_t *packer,
                        frame_list_t *frames, memory_file_t *out) {
    frame_t f = a->frames.frames[i];
    rdg_buf_t raw;
    rdg_buf_init(&raw, 256u << 20);
    CHECK_OK(archive_load_frame(a, i, &raw));
    if (lie->frame) lie->frame(lie->ctx, i, &f, &raw);
    CHECK_OK(frame_pack(packer, rdg_buf_view(&raw), &f));
    if (lie->packed) lie->packed(lie->ctx, i, &f);
    CHECK_OK(frames_add(frames, &f));
    CHECK_OK(rdg_buf_append(&out->bytes, packer->stored.data, packer->stored.len));
    rdg_buf_fini(&raw);
}

static void forge_end(rdg_archive_manifest_t *m, const frame_list_t *frames, const rdg_sm2_key_t *signer,
                      memory_file_t *out) {
    archive_trailer_t t = {.version = archive_version(m)};
    uint8_t trailer[ARCHIVE_TRAILER_BYTES];
    rdg_hash_t digest;
    size_t at = out->bytes.len;
    CHECK_OK(frames_encode(frames, &out->bytes));
    m->index_bytes = t.index_bytes = (uint32_t)(out->bytes.len - at);
    rdg_sm3(out->bytes.data + at, t.index_bytes, &m->index_digest);
    at = out->bytes.len;
    CHECK_OK(rdg_archive_manifest_digest(m, &digest));
    CHECK_OK(rdg_archive_manifest_encode(m, &out->bytes));
    t.manifest_bytes = (uint32_t)(out->bytes.len - at);
    at = out->bytes.len;
    CHECK_OK(archive_signature_encode(signer, &digest, &out->bytes));
    t.signature_bytes = (uint32_t)(out->bytes.len - at);
    t.file_bytes = out->bytes.len + sizeof trailer;
    archive_trailer_encode(&t, trailer);
    CHECK_OK(rdg_buf_append(&out->bytes, trailer, sizeof trailer));
}

void archive_forge_by(const memory_file_t *truth, const lie_t *lie, const rdg_sm2_key_t *signer,
                      memory_file_t *out) {
    rdg_archive_t *a = NULL;
    frame_packer_t packer;
    frame_list_t frames = {0};
    uint8_t head[ARCHIVE_HEAD_BYTES];
    CHECK_OK(memory_open(truth, NULL, &a));
    rdg_archive_manifest_t m = a->manifest;
    CHECK_OK(frame_packer_init(&packer, 0, NULL, &m));
    rdg_buf_clear(&out->bytes);
    archive_head(archive_version(&m), head);
    CHECK_OK(rdg_buf_append(&out->bytes, head, sizeof head));
    for (uint32_t i = 0; i < a->frames.count; ++i) forge_frame(a, i, lie, &packer, &frames, out);
    m.raw_bytes = m.stored_bytes = 0;
    for (uint32_t i = 0; i < frames.count; ++i)
        m.raw_bytes += frames.frames[i].raw_len, m.stored_bytes += frames.frames[i].stored_len;
    m.frame_count = frames.count;
    if (lie->manifest) lie->manifest(lie->ctx, &m);
    forge_end(&m, &frames, signer, out);
    frames_free(&frames);
    frame_packer_fini(&packer);
    rdg_archive_close(a);
}
