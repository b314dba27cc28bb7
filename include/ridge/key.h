/* Keys: SM2 (GB/T 32918), as accounts sign with.
 *
 * A key file is Ridge's sealed one (a passphrase, or a systemd credential that the file names), or PKCS#8 in PEM as
 * OpenSSL writes it, plain or under a passphrase. Files that group or others can use are refused (FORBIDDEN, with the
 * chmod to type). The private number stays in the library and is never given out, but into a file.
 * The address is the last 20 bytes of SM3 over X‖Y. */
#ifndef RIDGE_KEY_H
#define RIDGE_KEY_H
#include <ridge/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ridge_key ridge_key_t;

/* A new random key. Returns owned. */
RIDGE_API ridge_status_t ridge_key_new(ridge_key_t **out);
/* passphrase: NULL if none is needed. NOT_FOUND, FORBIDDEN, UNAUTHENTICATED (a wrong passphrase, or a damaged file),
 * UNSUPPORTED, MALFORMED. Returns owned. */
RIDGE_API ridge_status_t ridge_key_load(const char *path, const char *passphrase, ridge_key_t **out);
/* Seals the key under a passphrase of at least 8 bytes, mode 0600; replaces what was there atomically. */
RIDGE_API ridge_status_t ridge_key_save(const ridge_key_t *key, const char *path, const char *passphrase);
RIDGE_API void ridge_key_free(ridge_key_t *key); /* NULL is fine */

RIDGE_API ridge_status_t ridge_key_address(const ridge_key_t *key, char out[RIDGE_ADDRESS_TEXT]);
/* X‖Y. */
RIDGE_API ridge_status_t ridge_key_public(const ridge_key_t *key, uint8_t out[64]);

#ifdef __cplusplus
}
#endif
#endif
