/* Private keys at rest: Ridge's own sealed key file, and what may be done with files that hold keys.
 *
 * A sealed key file is text:
 *
 *   -----BEGIN RIDGE SEALED SM2 KEY-----
 *   Version: 1
 *   Public: X‖Y, 128 hexadecimal digits
 *   Lock: scrypt 15 SALT            or            Lock: credential NAME SALT
 *   (empty line)
 *   64 characters of base64: the private number (32 bytes) in SM4-GCM, and the tag (16 bytes)
 *   -----END RIDGE SEALED SM2 KEY-----
 *
 * SALT is 16 random bytes in hexadecimal, fresh for each file. 28 bytes are derived from secret and salt,
 * SM4's key and GCM's nonce: by scrypt (RFC 7914; N = 2 to the stated power, r = 8, p = 1) from a
 * passphrase, by HMAC-SM3 from a systemd credential. Everything before the base64 is authenticated with it.
 *
 * Invariants
 * 1. One text for each content: any other spacing, case or line ending is MALFORMED.
 * 2. The cost is known before it is paid: N is 2^14 to 2^17, so 16 to 128 MiB and below a second on a PC;
 *    beyond that TOO_LARGE. Files longer than RDG_KEYFILE_MAX are not read.
 * 3. A wrong secret and a damaged file are one error, UNAUTHENTICATED. A key comes out only if the public
 *    key in the header is its own.
 * 4. A key file that group or others can use in any way is refused (FORBIDDEN, with the chmod to type);
 *    one that is written has mode 0600 from its first byte and replaces the old one atomically.
 * 5. Nothing here reads a secret from a command line or the environment; $CREDENTIALS_DIRECTORY only says
 *    where systemd put the files.
 *
 * Secrets are passed in memory of the caller, who clears it (rdg_secure_zero). */
#ifndef RIDGE_CRYPTO_KEYFILE_H
#define RIDGE_CRYPTO_KEYFILE_H
#include "ridge/base/bytes.h"
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_KEYFILE_MAX 16384
#define RDG_KEYFILE_SEALED_MAX 512  /* of what is written */
#define RDG_KEYFILE_SECRET_MAX 1024 /* passphrase or credential */
#define RDG_KEYFILE_PASSPHRASE_MIN 8
#define RDG_KEYFILE_CREDENTIAL_MIN 32 /* bytes: as `openssl rand -hex 32` writes, or 32 random ones */
#define RDG_KEYFILE_CREDENTIAL_NAME_MAX 64
#define RDG_KEYFILE_SCRYPT_LOG2_MIN 14
#define RDG_KEYFILE_SCRYPT_LOG2_MAX 17
#define RDG_KEYFILE_SCRYPT_LOG2 15 /* what is written: 32 MiB and some 0.1 s */

typedef enum rdg_keyfile_kind {
    RDG_KEYFILE_PLAIN,      /* PKCS#8 or ECPrivateKey in the clear */
    RDG_KEYFILE_PKCS8,      /* PKCS#8 under a passphrase */
    RDG_KEYFILE_PASSPHRASE, /* sealed, by scrypt */
    RDG_KEYFILE_CREDENTIAL, /* sealed, by a systemd credential */
} rdg_keyfile_kind_t;

typedef struct rdg_keyfile_info {
    rdg_keyfile_kind_t kind;
    rdg_sm2_public_t public_key; /* of sealed files: as the header states, not yet authenticated */
    char credential[RDG_KEYFILE_CREDENTIAL_NAME_MAX + 1];
    unsigned scrypt_log2; /* 0 unless by scrypt */
} rdg_keyfile_info_t;

/* What a text is, without a secret. MALFORMED, UNSUPPORTED (a later version), TOO_LARGE. */
rdg_err_t rdg_keyfile_inspect(rdg_bytes_t text, rdg_keyfile_info_t *out);
/* Any of the kinds; secret is empty for a plain key. UNAUTHENTICATED, and inspect's. Returns owned. */
rdg_err_t rdg_keyfile_open(rdg_bytes_t text, rdg_bytes_t secret, rdg_sm2_key_t **out);

/* INVALID: passphrase or credential shorter than its minimum, a name that is none. */
rdg_err_t rdg_keyfile_seal_passphrase(const rdg_sm2_key_t *key, rdg_bytes_t passphrase, unsigned scrypt_log2,
                                      char out[RDG_KEYFILE_SEALED_MAX], size_t *len);
rdg_err_t rdg_keyfile_seal_credential(const rdg_sm2_key_t *key, const char *name, rdg_bytes_t credential,
                                      char out[RDG_KEYFILE_SEALED_MAX], size_t *len);

/* Invariant 4. read: NOT_FOUND, FORBIDDEN, TOO_LARGE, IO; on an error out[] is cleared. */
rdg_err_t rdg_keyfile_read(const char *path, uint8_t out[RDG_KEYFILE_MAX], size_t *len);
rdg_err_t rdg_keyfile_write(const char *path, rdg_bytes_t text);
/* The first line of a file that only its owner can use. */
rdg_err_t rdg_keyfile_read_passphrase(const char *path, uint8_t out[RDG_KEYFILE_SECRET_MAX], size_t *len);
/* The same from a descriptor, whoever may use it; it stays open. */
rdg_err_t rdg_keyfile_read_passphrase_fd(int fd, uint8_t out[RDG_KEYFILE_SECRET_MAX], size_t *len);
/* Everything in $CREDENTIALS_DIRECTORY/NAME; systemd sees to who may read it. NOT_FOUND, INVALID. */
rdg_err_t rdg_keyfile_read_credential(const char *name, uint8_t out[RDG_KEYFILE_SECRET_MAX], size_t *len);

#ifdef __cplusplus
}
#endif
#endif
