#include "ridge/crypto/sm2_cipher.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>
#include "cert.h"
#include "ridge/base/alloc.h"
#include "sm2_der.h"
#include "sm2_key.h"

#define C3_BYTES 32

static rdg_err_t encrypt(EVP_PKEY *pkey, uint8_t out[RDG_SM2_CIPHERTEXT_MAX], size_t *out_len,
                         const void *msg, size_t len) {
    *out_len = 0;
    if (!pkey) return rdg_fail(RDG_E_INVALID, "SM2 encryption: the public key is not on the curve");
    if (len == 0) return rdg_fail(RDG_E_INVALID, "SM2 encryption: nothing to encrypt");
    if (len > RDG_SM2_PLAINTEXT_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "SM2 encryption: %zu bytes, at most %d", len, RDG_SM2_PLAINTEXT_MAX);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    size_t size = RDG_SM2_CIPHERTEXT_MAX;
    bool ok = ctx && EVP_PKEY_encrypt_init(ctx) == 1 &&
              EVP_PKEY_encrypt(ctx, out, &size, (const uint8_t *)msg, len) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!ok) return rdg_crypto_fail("SM2 encryption");
    *out_len = size;
    return RDG_OK;
}

rdg_err_t rdg_sm2_encrypt(const rdg_sm2_public_t *pub, uint8_t out[RDG_SM2_CIPHERTEXT_MAX], size_t *out_len,
                          const void *msg, size_t len) {
    EVP_PKEY *pkey = rdg_sm2_public_pkey(pub);
    rdg_err_t err = encrypt(pkey, out, out_len, msg, len);
    EVP_PKEY_free(pkey);
    return err;
}

rdg_err_t rdg_cert_encrypt(const rdg_cert_t *cert, uint8_t out[RDG_SM2_CIPHERTEXT_MAX], size_t *out_len,
                           const void *msg, size_t len) {
    return encrypt(X509_get0_pubkey(cert->x509), out, out_len, msg, len);
}

/* libcrypto reads BER and tells of errors in many ways; one form is let through to it. */
static bool well_formed(rdg_bytes_t ciphertext, size_t *plain_len) {
    rdg_reader_t outer, r;
    rdg_bytes_t body, c3, c2;
    rdg_sm2_public_t c1;
    rdg_reader_init(&outer, ciphertext);
    if (!rdg_sm2_der_content(&outer, 0x30, &body) || !rdg_reader_done(&outer)) return false;
    rdg_reader_init(&r, body);
    if (!rdg_sm2_der_integer(&r, c1.b) || !rdg_sm2_der_integer(&r, c1.b + 32) ||
        !rdg_sm2_der_content(&r, 0x04, &c3) || !rdg_sm2_der_content(&r, 0x04, &c2) || !rdg_reader_done(&r))
        return false;
    *plain_len = c2.len;
    return c3.len == C3_BYTES && c2.len > 0 && c2.len <= RDG_SM2_PLAINTEXT_MAX &&
           rdg_sm2_public_decode(rdg_bytes(c1.b, sizeof c1.b), &c1) == RDG_OK;
}

rdg_err_t rdg_sm2_decrypt(const rdg_sm2_key_t *key, uint8_t out[RDG_SM2_PLAINTEXT_MAX], size_t *out_len,
                          rdg_bytes_t ciphertext) {
    *out_len = 0;
    size_t plain_len = 0;
    if (!well_formed(ciphertext, &plain_len))
        return rdg_fail(RDG_E_MALFORMED,
                        "SM2 ciphertext: not the DER of x, y, C3, C2 with (x, y) on the curve");
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    uint8_t plain[RDG_SM2_CIPHERTEXT_MAX]; /* libcrypto's own guess of the size is generous */
    size_t size = sizeof plain;
    if (!ctx || EVP_PKEY_decrypt_init(ctx) != 1) {
        EVP_PKEY_CTX_free(ctx);
        return rdg_crypto_fail("SM2 decryption");
    }
    bool ok = EVP_PKEY_decrypt(ctx, plain, &size, ciphertext.data, ciphertext.len) == 1 && size == plain_len;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    if (ok) {
        memcpy(out, plain, size);
        *out_len = size;
    }
    rdg_secure_zero(plain, sizeof plain);
    return ok ? RDG_OK : rdg_fail(RDG_E_BAD_SIGNATURE, "SM2 ciphertext: C3 does not match");
}
