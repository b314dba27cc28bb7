/* What TLCP and certificates need of SM2 beside r‖s signatures: public key encryption (GB/T 32918.4, by
 * libcrypto) and the DER forms of GB/T 35276.
 *
 * Invariants
 * 1. A ciphertext is DER SEQUENCE { INTEGER x, INTEGER y, OCTET STRING C3 (32 bytes), OCTET STRING C2 },
 *    in its one canonical form, C1 = (x, y) on the curve; anything else is MALFORMED.
 * 2. Of a wrong C3 nothing is written to out[]; the error is BAD_SIGNATURE. A protocol in which a peer
 *    may try again must not let it tell the two apart (TLCP goes on with a random pre-master secret).
 * 3. A plaintext has 1 to RDG_SM2_PLAINTEXT_MAX bytes: keys and secrets, not documents.
 *
 * All functions are thread-safe. */
#ifndef RIDGE_CRYPTO_SM2_CIPHER_H
#define RIDGE_CRYPTO_SM2_CIPHER_H
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_SM2_PLAINTEXT_MAX 255
#define RDG_SM2_CIPHERTEXT_MAX (RDG_SM2_PLAINTEXT_MAX + 113)
#define RDG_SM2_DER_MAX 72

/* Needs RDG_SM2_CIPHERTEXT_MAX bytes at out. TOO_LARGE, INVALID (key not on the curve, empty), CRYPTO. */
rdg_err_t rdg_sm2_encrypt(const rdg_sm2_public_t *pub, uint8_t out[RDG_SM2_CIPHERTEXT_MAX], size_t *out_len,
                          const void *msg, size_t len);
/* To the key of a certificate, which libcrypto has checked and prepared when the certificate was read. */
struct rdg_cert;
rdg_err_t rdg_cert_encrypt(const struct rdg_cert *cert, uint8_t out[RDG_SM2_CIPHERTEXT_MAX], size_t *out_len,
                           const void *msg, size_t len);
rdg_err_t rdg_sm2_decrypt(const rdg_sm2_key_t *key, uint8_t out[RDG_SM2_PLAINTEXT_MAX], size_t *out_len,
                          rdg_bytes_t ciphertext);

/* Between r‖s and the DER of SEQUENCE { INTEGER r, INTEGER s }, strictly: one DER per signature. From DER
 * gives MALFORMED for anything but the one canonical form with 0 <= r, s < 2^256. */
size_t rdg_sm2_signature_to_der(const rdg_sm2_signature_t *sig, uint8_t out[RDG_SM2_DER_MAX]);
rdg_err_t rdg_sm2_signature_from_der(rdg_bytes_t der, rdg_sm2_signature_t *out);

#ifdef __cplusplus
}
#endif
#endif
