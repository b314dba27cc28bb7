/* SM2 private keys as other tools keep them: PKCS#8 (RFC 5958) with an ECPrivateKey (RFC 5915) inside, in
 * PEM or DER, plain or under a passphrase by PBES2 (RFC 8018). OpenSSL, GmSSL and Tongsuo read what is
 * written here. Ridge's own key files are in keyfile.h.
 *
 * Read under a passphrase: PBKDF2 with HMAC of SHA-1, SHA-224, SHA-256, SHA-384, SHA-512 or SM3, or scrypt;
 * AES-128, AES-192, AES-256, SM4 or triple DES in CBC. Not read (UNSUPPORTED, with the openssl command that
 * converts): PBES1 and PKCS#12's own schemes, PEM with "Proc-Type", other ciphers.
 *
 * Invariants
 * 1. A key comes out only if its number is in [1, n-2] and any public key stated with it belongs to it.
 * 2. The cost of opening is known from the file and bounded before any of it is spent: RDG_PKCS8_… below.
 *    Beyond them: TOO_LARGE.
 * 3. A wrong passphrase and damage under it are one error, UNAUTHENTICATED. */
#ifndef RIDGE_CRYPTO_PKCS8_H
#define RIDGE_CRYPTO_PKCS8_H
#include "ridge/base/buf.h"
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_PKCS8_ITERATIONS_MAX 2000000        /* PBKDF2 */
#define RDG_PKCS8_SCRYPT_BYTES_MAX (128u << 20) /* 128 · N · r */
#define RDG_PKCS8_SCRYPT_P_MAX 4
#define RDG_PKCS8_DER_MAX 1024
#define RDG_PKCS8_PEM_MAX 2048

typedef enum rdg_pkcs8_cipher {
    RDG_PKCS8_AES, /* AES-256-CBC, PBKDF2 with HMAC-SHA-256: what OpenSSL writes */
    RDG_PKCS8_SM4, /* SM4-CBC, PBKDF2 with HMAC-SM3: what GmSSL writes; OpenSSL 3.0 does not know this PRF */
} rdg_pkcs8_cipher_t;

/* PEM or DER, plain, under a passphrase, or a bare ECPrivateKey ("EC PRIVATE KEY"). passphrase is looked at
 * only where it is due; if it is due and empty: UNAUTHENTICATED. MALFORMED, UNSUPPORTED, TOO_LARGE, INVALID
 * (invariant 1). Returns owned. */
rdg_err_t rdg_pkcs8_import(rdg_bytes_t data, rdg_bytes_t passphrase, rdg_sm2_key_t **out);
/* Whether the text or DER asks for a passphrase; false too for what is no key. */
bool rdg_pkcs8_is_encrypted(rdg_bytes_t data);

/* PEM into pem[], which holds the key in the clear: clear it. */
rdg_err_t rdg_pkcs8_export(const rdg_sm2_key_t *key, char pem[RDG_PKCS8_PEM_MAX], size_t *len);
rdg_err_t rdg_pkcs8_export_encrypted(const rdg_sm2_key_t *key, rdg_bytes_t passphrase,
                                     rdg_pkcs8_cipher_t cipher, char pem[RDG_PKCS8_PEM_MAX], size_t *len);
/* "PUBLIC KEY" (SubjectPublicKeyInfo, RFC 5480), for people and other tools. */
rdg_err_t rdg_pkcs8_export_public(const rdg_sm2_public_t *pub, char pem[RDG_PKCS8_PEM_MAX], size_t *len);
rdg_err_t rdg_pkcs8_import_public(rdg_bytes_t pem, rdg_sm2_public_t *out);

#ifdef __cplusplus
}
#endif
#endif
