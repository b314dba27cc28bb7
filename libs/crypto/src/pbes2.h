/* PBES2 of RFC 8018: its parameters as DER, with bounds, and the work, by libcrypto. */
#ifndef RIDGE_CRYPTO_SRC_PBES2_H
#define RIDGE_CRYPTO_SRC_PBES2_H
#include "ridge/crypto/pkcs8.h"

typedef struct rdg_pbes2 {
    const char *cipher; /* libcrypto's name */
    size_t key_len, iv_len;
    const char *digest; /* of PBKDF2, or NULL: scrypt */
    uint32_t iterations, n, r, p;
    rdg_bytes_t salt, iv; /* borrowed from what was read */
} rdg_pbes2_t;

/* Reads an AlgorithmIdentifier. MALFORMED, UNSUPPORTED, TOO_LARGE. */
rdg_err_t rdg_pbes2_read(rdg_reader_t *r, rdg_pbes2_t *out);
void rdg_pbes2_write(rdg_writer_t *w, const rdg_pbes2_t *p);
/* Into out[], which has room for in.len, or for one block more when it encrypts. */
rdg_err_t rdg_pbes2_run(const rdg_pbes2_t *p, bool encrypt, rdg_bytes_t passphrase, uint8_t *out,
                        size_t *out_len, rdg_bytes_t in);
/* scrypt of RFC 7914; the caller has bounded its cost. */
rdg_err_t rdg_scrypt(uint8_t *out, size_t out_len, rdg_bytes_t passphrase, rdg_bytes_t salt, uint64_t n,
                     uint32_t r, uint32_t p);

#endif
