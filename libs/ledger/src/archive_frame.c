/* Frames: zstd, then SM4-GCM if there is a key, then the digest. */
#include <inttypes.h>
#include <string.h>
#include <zstd.h>
#include "archive_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/crypto/hmac.h"

enum { LEVEL_DEFAULT = 3, LEVEL_MAX = 19, AAD_BYTES = 53 };

static void derive(const rdg_archive_key_t *key, const char *label, const rdg_archive_manifest_t *m,
                   uint8_t out[32]) {
    uint8_t range[24];
    rdg_store_be64(range, m->chain_id);
    rdg_store_be64(range + 8, m->from);
    rdg_store_be64(range + 16, m->to);
    const rdg_bytes_t parts[] = {rdg_bytes_str(label), rdg_bytes(m->genesis.b, sizeof m->genesis.b),
                                 rdg_bytes(range, sizeof range)};
    rdg_hmac_sm3(out, rdg_bytes(key->key, sizeof key->key), parts, 3);
}

rdg_err_t frame_cipher_init(frame_cipher_t *c, const rdg_archive_key_t *key,
                            const rdg_archive_manifest_t *m) {
    uint8_t sm4[32];
    *c = (frame_cipher_t){.genesis = m->genesis};
    if (!key) return RDG_OK;
    derive(key, "ridge archive 1 frame", m, sm4);
    derive(key, "ridge archive 1 nonce", m, c->nonce_key);
    rdg_err_t err = rdg_sm4_new(RDG_SM4_GCM, sm4, &c->sm4);
    rdg_secure_zero(sm4, sizeof sm4);
    return err;
}

void frame_cipher_fini(frame_cipher_t *c) {
    rdg_sm4_free(c->sm4);
    rdg_secure_zero(c, sizeof *c);
}

static rdg_bytes_t aad_of(const frame_cipher_t *c, const frame_t *f, uint8_t aad[AAD_BYTES]) {
    memcpy(aad, c->genesis.b, 32);
    aad[32] = (uint8_t)f->kind;
    rdg_store_be64(aad + 33, f->first);
    rdg_store_be32(aad + 41, f->count);
    rdg_store_be32(aad + 45, f->raw_len);
    rdg_store_be32(aad + 49, f->stored_len);
    return rdg_bytes(aad, AAD_BYTES);
}

/* --- packing ------------------------------------------------------------------------------------- */

void frame_stored_init(rdg_buf_t *b) {
    rdg_buf_init(b, ZSTD_compressBound(RDG_ARCHIVE_FRAME_RAW_MAX) + ARCHIVE_SEAL_OVERHEAD);
}

rdg_err_t frame_packer_init(frame_packer_t *p, int level, const rdg_archive_key_t *key,
                            const rdg_archive_manifest_t *m) {
    memset(p, 0, sizeof *p);
    frame_stored_init(&p->stored);
    if (level < 0 || level > LEVEL_MAX)
        return rdg_fail(RDG_E_INVALID, "compression level %d: 1 to %d are possible", level, LEVEL_MAX);
    ZSTD_CCtx *z = ZSTD_createCCtx();
    if (!z) return rdg_fail(RDG_E_NO_MEMORY, "no memory to compress");
    p->zstd = z;
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level ? level : LEVEL_DEFAULT);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 1);
    return frame_cipher_init(&p->cipher, key, m);
}

void frame_packer_fini(frame_packer_t *p) {
    ZSTD_freeCCtx(p->zstd);
    frame_cipher_fini(&p->cipher);
    rdg_buf_fini(&p->stored);
}

/* In place: nonce ‖ ciphertext ‖ tag. The plaintext stands behind the nonce's place. */
static void encrypt(frame_packer_t *p, const frame_t *f) {
    uint8_t aad[AAD_BYTES], mac[32];
    uint8_t *nonce = p->stored.data, *text = nonce + RDG_SM4_NONCE_BYTES;
    size_t len = f->stored_len - ARCHIVE_SEAL_OVERHEAD;
    const rdg_bytes_t parts[] = {aad_of(&p->cipher, f, aad), rdg_bytes(text, len)};
    rdg_hmac_sm3(mac, rdg_bytes(p->cipher.nonce_key, sizeof p->cipher.nonce_key), parts, 2);
    memcpy(nonce, mac, RDG_SM4_NONCE_BYTES);
    rdg_sm4_gcm_seal(p->cipher.sm4, text, text + len, nonce, parts[0], text, len);
}

rdg_err_t frame_pack(frame_packer_t *p, rdg_bytes_t raw, frame_t *f) {
    size_t ahead = p->cipher.sm4 ? RDG_SM4_NONCE_BYTES : 0,
           overhead = p->cipher.sm4 ? ARCHIVE_SEAL_OVERHEAD : 0;
    if (raw.len > RDG_ARCHIVE_FRAME_RAW_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a frame of %zu bytes: the limit is %u", raw.len,
                        RDG_ARCHIVE_FRAME_RAW_MAX);
    rdg_buf_clear(&p->stored);
    RDG_TRY(rdg_buf_reserve(&p->stored, ZSTD_compressBound(raw.len) + overhead));
    size_t n =
        ZSTD_compress2(p->zstd, p->stored.data + ahead, ZSTD_compressBound(raw.len), raw.data, raw.len);
    if (ZSTD_isError(n)) return rdg_fail(RDG_E_NO_MEMORY, "compress a frame: %s", ZSTD_getErrorName(n));
    f->raw_len = (uint32_t)raw.len;
    f->stored_len = (uint32_t)(n + overhead);
    p->stored.len = n + overhead;
    if (p->cipher.sm4) encrypt(p, f);
    rdg_sm3(p->stored.data, p->stored.len, &f->digest);
    return RDG_OK;
}

/* --- unpacking ----------------------------------------------------------------------------------- */

rdg_err_t frame_unpacker_init(frame_unpacker_t *u, const rdg_archive_key_t *key,
                              const rdg_archive_manifest_t *m) {
    memset(u, 0, sizeof *u);
    u->zstd = ZSTD_createDCtx();
    if (!u->zstd) return rdg_fail(RDG_E_NO_MEMORY, "no memory to decompress");
    return frame_cipher_init(&u->cipher, key, m);
}

void frame_unpacker_fini(frame_unpacker_t *u) {
    ZSTD_freeDCtx(u->zstd);
    frame_cipher_fini(&u->cipher);
}

static rdg_err_t decrypt(frame_unpacker_t *u, const frame_t *f, uint8_t *stored, rdg_bytes_t *text) {
    uint8_t aad[AAD_BYTES];
    if (!u->cipher.sm4) return RDG_OK;
    if (text->len < ARCHIVE_SEAL_OVERHEAD) return rdg_fail(RDG_E_MALFORMED, "too short to be encrypted");
    uint8_t *body = stored + RDG_SM4_NONCE_BYTES;
    size_t len = text->len - ARCHIVE_SEAL_OVERHEAD;
    if (rdg_sm4_gcm_open(u->cipher.sm4, body, stored, aad_of(&u->cipher, f, aad), body, len, body + len) !=
        RDG_OK)
        return rdg_fail(RDG_E_UNAUTHENTICATED,
                        "it does not open with this key: is it the one that the manifest names?");
    *text = rdg_bytes(body, len);
    return RDG_OK;
}

/* One frame of zstd, that states the size which the index states, and nothing behind it. */
static rdg_err_t decompress(frame_unpacker_t *u, const frame_t *f, rdg_bytes_t packed, rdg_buf_t *raw) {
    unsigned long long size = ZSTD_getFrameContentSize(packed.data, packed.len);
    if (size != f->raw_len)
        return rdg_fail(RDG_E_MALFORMED,
                        "it says that it unpacks to another size than the index states (%" PRIu32 ")",
                        f->raw_len);
    if (ZSTD_findFrameCompressedSize(packed.data, packed.len) != packed.len)
        return rdg_fail(RDG_E_MALFORMED, "it is not one frame of zstd");
    rdg_buf_clear(raw);
    RDG_TRY(rdg_buf_reserve(raw, f->raw_len));
    size_t n = ZSTD_decompressDCtx(u->zstd, raw->data, f->raw_len, packed.data, packed.len);
    if (ZSTD_isError(n)) return rdg_fail(RDG_E_MALFORMED, "zstd cannot unpack it: %s", ZSTD_getErrorName(n));
    if (n != f->raw_len)
        return rdg_fail(RDG_E_MALFORMED, "it unpacks to %zu bytes, not %" PRIu32, n, f->raw_len);
    raw->len = n;
    return RDG_OK;
}

rdg_err_t frame_unpack(frame_unpacker_t *u, const frame_t *f, uint8_t *stored, rdg_buf_t *raw) {
    rdg_hash_t digest;
    rdg_bytes_t text = rdg_bytes(stored, f->stored_len);
    rdg_sm3(text.data, text.len, &digest);
    if (!rdg_hash_equal(&digest, &f->digest))
        return rdg_fail(RDG_E_CORRUPT, "its bytes are not those of the index: fetch the file again");
    RDG_TRY(decrypt(u, f, stored, &text));
    return decompress(u, f, text, raw);
}
