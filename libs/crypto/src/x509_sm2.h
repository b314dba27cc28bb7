/* What certificates, requests and revocation lists have in common: SM2 keys, SM2-with-SM3 signatures, PEM. */
#ifndef RIDGE_CRYPTO_X509_SM2_H
#define RIDGE_CRYPTO_X509_SM2_H
#include <openssl/x509.h>
#include "ridge/base/buf.h"
#include "ridge/crypto/sm2.h"

/* The key, when it is 04, X, Y on SM2's curve and the object's signature algorithm is SM2 with SM3.
 * UNSUPPORTED (other algorithms), MALFORMED. */
rdg_err_t rdg_x509_public(X509_PUBKEY *key, int signature_nid, rdg_sm2_public_t *out);
/* Verifies SEQUENCE { tbs, algorithm, BIT STRING } over the bytes of tbs as they arrived: nothing is encoded
 * anew, so that what is verified is what was sent. MALFORMED, BAD_SIGNATURE. */
rdg_err_t rdg_x509_verify(rdg_bytes_t der, const rdg_sm2_public_t *key);
/* For X509_sign_ctx and its like; returns owned, NULL on failure. */
EVP_MD_CTX *rdg_x509_signer(const rdg_sm2_key_t *key);
bool rdg_x509_put_common_name(X509_NAME *name, const char *text); /* cut to 64 bytes */

/* The next block, which must have one of the labels (the second may be NULL). *der: OPENSSL_free. NOT_FOUND:
 * no further block. MALFORMED. */
rdg_err_t rdg_pem_next(BIO *bio, const char *label, const char *label2, uint8_t **der, size_t *len);
rdg_err_t rdg_pem_write(const char *label, rdg_bytes_t der, rdg_buf_t *out);
/* Calls parse with the DER of the only block of the text. */
rdg_err_t rdg_pem_only(rdg_bytes_t pem, size_t pem_max, const char *label, const char *label2,
                       rdg_err_t (*parse)(void *ctx, rdg_bytes_t der), void *ctx);

#endif
