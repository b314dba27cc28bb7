/* The encryption key pair that a CA makes for a subject (CFCA and others keep a copy of it) comes back under
 * the subject's sign key. Two forms are read:
 *
 * - SM2EnvelopedKey of GB/T 35276-2017 (GM/T 0009), DER:
 *     SEQUENCE { symAlgID AlgorithmIdentifier, symEncryptedKey SM2Cipher,
 *                Sm2PublicKey BIT STRING (04 ‖ X ‖ Y), Sm2EncryptedPrivateKey BIT STRING (32 bytes) }
 *   where SM2Cipher holds an SM4 key and the private number is under SM4-ECB without padding, as
 *   implementations agree where the standard is silent. SM1 and SSF33, which exist in hardware only, are
 *   UNSUPPORTED.
 * - The bare SM2 ciphertext C1 ‖ C3 ‖ C2 of the private number, 128 bytes, or 129 with C1's 04 in front.
 *
 * Invariants
 * 1. A key comes out only if it belongs to the public key that the structure states and, where one is given,
 *    to the expected one: that of the certificate that came with it.
 * 2. What decrypting finds (C3, the length of the SM4 key, the private number out of range or another's) is
 *    one error, BAD_SIGNATURE, after the same work. What anybody can see without a key has errors of its own.
 */
#ifndef RIDGE_CRYPTO_ENVELOPED_H
#define RIDGE_CRYPTO_ENVELOPED_H
#include "ridge/base/bytes.h"
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_ENVELOPED_MAX 512

/* expected may be NULL for the DER form; the bare one needs it (INVALID). MALFORMED, UNSUPPORTED, INVALID (for
 * another public key than the expected one), BAD_SIGNATURE. Returns owned. */
rdg_err_t rdg_enveloped_open(const rdg_sm2_key_t *sign_key, const rdg_sm2_public_t *expected,
                             rdg_bytes_t data, rdg_sm2_key_t **out);
/* The CA's side: the DER form for the holder of `recipient`. INVALID if that is not on the curve. */
rdg_err_t rdg_enveloped_seal(const rdg_sm2_key_t *key, const rdg_sm2_public_t *recipient,
                             uint8_t out[RDG_ENVELOPED_MAX], size_t *len);

#ifdef __cplusplus
}
#endif
#endif
