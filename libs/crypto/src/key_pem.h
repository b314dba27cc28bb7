/* PEM (RFC 7468) by libcrypto, for texts of keys: what is read and written is cleared. */
#ifndef RIDGE_CRYPTO_SRC_KEY_PEM_H
#define RIDGE_CRYPTO_SRC_KEY_PEM_H
#include "ridge/base/bytes.h"

#define RDG_KEY_PEM_TEXT_MAX 16384

typedef struct rdg_pem {
    uint8_t *der; /* libcrypto's */
    size_t len;
    char label[32];
} rdg_key_pem_t;

/* The first block whose label is one of the list, which ends with NULL; blocks of other names are passed
 * over. MALFORMED, UNSUPPORTED (a block encrypted by PEM's own headers), TOO_LARGE, NOT_FOUND. */
rdg_err_t rdg_key_pem_find(rdg_bytes_t text, const char *const *labels, rdg_key_pem_t *out);
void rdg_key_pem_clear(rdg_key_pem_t *pem);
/* TOO_LARGE if it does not fit. */
rdg_err_t rdg_key_pem_write(const char *label, rdg_bytes_t der, char *out, size_t size, size_t *len);

#endif
