#include <openssl/err.h>
#include <openssl/evp.h>

#include "ridge/base/secret.h"
#include "ridge/crypto/sm2_message.h"
#include "sm2_der.h"
#include "sm2_digest.h"
#include "sm2_key.h"

/* Half of all signatures have a low s; 128 misses in a row mean a broken random generator. */
#define SIGN_TRIES_MAX 128

static rdg_err_t sign(const rdg_sm2_key_t *key, const rdg_hash_t *e, bool low_s, rdg_sm2_signature_t *out) {
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    /* Signing a digest leaves Z to us: it is in e already, and the key keeps it. */
    if (!ctx || EVP_PKEY_sign_init(ctx) != 1) {
        EVP_PKEY_CTX_free(ctx);
        return rdg_crypto_fail("SM2 signing");
    }
    rdg_err_t err = RDG_E_CRYPTO;
    for (int tries = 0; tries < SIGN_TRIES_MAX; tries++) {
        uint8_t der[RDG_SM2_DER_MAX];
        size_t der_len = sizeof der;
        if (EVP_PKEY_sign(ctx, der, &der_len, e->b, sizeof e->b) != 1) {
            err = rdg_crypto_fail("SM2 signing");
            break;
        }
        RDG_PUBLIC(der, sizeof der);
        RDG_PUBLIC(&der_len, sizeof der_len);
        err = rdg_sm2_signature_from_der(rdg_bytes(der, der_len), out);
        if (err != RDG_OK || !low_s || rdg_sm2_low_s(out)) break;
        err = RDG_E_CRYPTO;
    }
    EVP_PKEY_CTX_free(ctx);
    return err;
}

rdg_err_t rdg_sm2_sign(const rdg_sm2_key_t *key, const void *msg, size_t len, rdg_sm2_signature_t *out) {
    rdg_hash_t e;
    rdg_sm2_e(&key->z, msg, len, &e);
    return sign(key, &e, true, out);
}

rdg_err_t rdg_sm2_sign_standard(const rdg_sm2_key_t *key, const void *msg, size_t len,
                                rdg_sm2_signature_t *out) {
    rdg_hash_t e;
    rdg_sm2_e(&key->z, msg, len, &e);
    return sign(key, &e, false, out);
}

rdg_err_t rdg_sm2_sign_e(const rdg_sm2_key_t *key, const rdg_hash_t *e, rdg_sm2_signature_t *out) {
    return sign(key, e, true, out);
}
