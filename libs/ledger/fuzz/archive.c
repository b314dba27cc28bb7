/* Parts of an archive segment from a stranger. A signature and digests stand before them in a file, so each part is fed by
 * itself; what decodes must encode to the same bytes. */
#include <stdlib.h>
#include <string.h>
#include "archive_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(rdg_bytes_t in, rdg_err_t err, rdg_buf_t *out) {
    if (err != RDG_OK || !rdg_bytes_equal(rdg_buf_view(out), in)) abort();
    rdg_buf_clear(out);
}

static void manifest_and_index(rdg_bytes_t in, rdg_buf_t *out) {
    rdg_archive_manifest_t m;
    rdg_archive_receipt_t r;
    frame_list_t frames;
    uint64_t end;
    if (rdg_archive_manifest_decode(in, &m) == RDG_OK) same(in, rdg_archive_manifest_encode(&m, out), out);
    for (uint32_t count = 0; count < 4; ++count) {
        if (frames_decode(in, count, &frames, &end) != RDG_OK) continue;
        same(in, frames_encode(&frames, out), out);
        frames_free(&frames);
    }
    if (rdg_archive_receipt_verify(in, NULL, 0, &r) == RDG_OK) abort();
}

static void items(rdg_bytes_t in) {
    rdg_rlp_t c;
    body_item_t body;
    proof_item_t proof;
    rdg_hash_t root;
    rdg_rlp_init(&c, in);
    while (rdg_rlp_more(&c) && body_item_next(&c, &body) == RDG_OK)
        (void)receipts_root(body.receipts, 2, &root);
    rdg_rlp_init(&c, in);
    while (rdg_rlp_more(&c) && proof_item_next(&c, &proof) == RDG_OK) continue;
}

/* The digest is right, as a liar's would be. */
static void frame_of(rdg_bytes_t in, const rdg_archive_key_t *key) {
    static const rdg_archive_manifest_t m;
    frame_unpacker_t u;
    rdg_buf_t stored, raw;
    frame_t f = {.kind = FRAME_BODIES, .count = 1};
    if (in.len < 4) return;
    f.raw_len = rdg_load_be32(in.data) % (1u << 20);
    f.stored_len = (uint32_t)(in.len - 4);
    rdg_sm3(in.data + 4, f.stored_len, &f.digest);
    rdg_buf_init(&stored, in.len), rdg_buf_init(&raw, 1 << 20);
    if (frame_unpacker_init(&u, key, &m) == RDG_OK &&
        rdg_buf_append(&stored, in.data + 4, f.stored_len) == RDG_OK && f.raw_len > 0 && f.stored_len > 0 &&
        frame_unpack(&u, &f, stored.data, &raw) == RDG_OK) {
        if (key || raw.len != f.raw_len) abort(); /* nobody has the key */
        items(rdg_buf_view(&raw));
    }
    frame_unpacker_fini(&u);
    rdg_buf_fini(&stored), rdg_buf_fini(&raw);
}

static rdg_err_t read_memory(void *ctx, uint64_t offset, void *dst, size_t len) {
    const rdg_bytes_t *in = ctx;
    if (len > in->len || offset > in->len - len) abort();
    if (len) memcpy(dst, in->data + offset, len);
    return RDG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const rdg_archive_key_t key = {"k", {1}};
    rdg_bytes_t in = rdg_bytes(data, size);
    rdg_archive_source_t source = {read_memory, size, &in};
    rdg_archive_t *a = NULL;
    rdg_buf_t out;
    rdg_buf_init(&out, 16u << 20);
    manifest_and_index(in, &out);
    items(in);
    frame_of(in, NULL);
    frame_of(in, &key);
    if (rdg_archive_open(&source, NULL, &a) == RDG_OK) rdg_archive_close(a);
    rdg_buf_fini(&out);
    return 0;
}
