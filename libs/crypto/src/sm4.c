#include "ridge/crypto/sm4.h"

#include <gcrypt.h>
#include "gcrypt_init.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/secret.h"

struct rdg_sm4 {
    gcry_cipher_hd_t handle;
    rdg_sm4_mode_t mode;
};

rdg_err_t rdg_sm4_new(rdg_sm4_mode_t mode, const uint8_t key[RDG_SM4_KEY_BYTES], rdg_sm4_t **out) {
    static const int modes[] = {[RDG_SM4_CTR] = GCRY_CIPHER_MODE_CTR,
                                [RDG_SM4_CBC] = GCRY_CIPHER_MODE_CBC,
                                [RDG_SM4_GCM] = GCRY_CIPHER_MODE_GCM};
    *out = NULL;
    rdg_gcrypt_init();
    rdg_sm4_t *s = rdg_alloc(sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "SM4: out of memory");
    s->mode = mode;
    gcry_error_t failed = gcry_cipher_open(&s->handle, GCRY_CIPHER_SM4, modes[mode], 0);
    if (failed) {
        rdg_free(s);
        return rdg_fail(RDG_E_CRYPTO, "SM4: libgcrypt: %s", gcry_strerror(failed));
    }
    failed = gcry_cipher_setkey(s->handle, key, RDG_SM4_KEY_BYTES);
    if (failed) {
        rdg_sm4_free(s);
        return rdg_fail(RDG_E_CRYPTO, "SM4: libgcrypt: %s", gcry_strerror(failed));
    }
    *out = s;
    return RDG_OK;
}

void rdg_sm4_free(rdg_sm4_t *s) {
    if (!s) return;
    gcry_cipher_close(s->handle);
    rdg_free(s);
}

/* What can fail from here on is an argument's size, and sizes are ours. */
static void must(gcry_error_t failed) {
    RDG_ASSERT(!failed);
}

void rdg_sm4_ctr(rdg_sm4_t *s, uint8_t *out, const uint8_t counter[16], const uint8_t *in, size_t len) {
    RDG_ASSERT(s->mode == RDG_SM4_CTR);
    must(gcry_cipher_setctr(s->handle, counter, RDG_SM4_BLOCK_BYTES));
    if (len) must(gcry_cipher_encrypt(s->handle, out, len, in, len));
}

void rdg_sm4_cbc_encrypt(rdg_sm4_t *s, uint8_t *out, const uint8_t iv[16], const uint8_t *in, size_t len) {
    RDG_ASSERT(s->mode == RDG_SM4_CBC && len % RDG_SM4_BLOCK_BYTES == 0);
    must(gcry_cipher_setiv(s->handle, iv, RDG_SM4_BLOCK_BYTES));
    if (len) must(gcry_cipher_encrypt(s->handle, out, len, in, len));
}

void rdg_sm4_cbc_decrypt(rdg_sm4_t *s, uint8_t *out, const uint8_t iv[16], const uint8_t *in, size_t len) {
    RDG_ASSERT(s->mode == RDG_SM4_CBC && len % RDG_SM4_BLOCK_BYTES == 0);
    must(gcry_cipher_setiv(s->handle, iv, RDG_SM4_BLOCK_BYTES));
    if (len) must(gcry_cipher_decrypt(s->handle, out, len, in, len));
}

static void gcm_start(rdg_sm4_t *s, const uint8_t nonce[RDG_SM4_NONCE_BYTES], rdg_bytes_t aad) {
    RDG_ASSERT(s->mode == RDG_SM4_GCM);
    must(gcry_cipher_setiv(s->handle, nonce, RDG_SM4_NONCE_BYTES));
    if (aad.len) must(gcry_cipher_authenticate(s->handle, aad.data, aad.len));
}

void rdg_sm4_gcm_seal(rdg_sm4_t *s, uint8_t *out, uint8_t tag[RDG_SM4_TAG_BYTES],
                      const uint8_t nonce[RDG_SM4_NONCE_BYTES], rdg_bytes_t aad, const uint8_t *in,
                      size_t len) {
    gcm_start(s, nonce, aad);
    if (len) must(gcry_cipher_encrypt(s->handle, out, len, in, len));
    must(gcry_cipher_gettag(s->handle, tag, RDG_SM4_TAG_BYTES));
}

rdg_err_t rdg_sm4_gcm_open(rdg_sm4_t *s, uint8_t *out, const uint8_t nonce[RDG_SM4_NONCE_BYTES],
                           rdg_bytes_t aad, const uint8_t *in, size_t len,
                           const uint8_t tag[RDG_SM4_TAG_BYTES]) {
    gcm_start(s, nonce, aad);
    if (len) must(gcry_cipher_decrypt(s->handle, out, len, in, len));
    uint8_t want[RDG_SM4_TAG_BYTES];
    must(gcry_cipher_gettag(s->handle, want, sizeof want));
    int right = rdg_ct_equal(want, tag, sizeof want);
    RDG_PUBLIC(&right, sizeof right);
    if (right) return RDG_OK;
    if (len) rdg_secure_zero(out, len);
    return rdg_fail(RDG_E_BAD_SIGNATURE, "SM4-GCM: the tag does not match");
}
