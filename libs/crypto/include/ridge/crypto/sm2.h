/* SM2 signatures (GB/T 32918.2-2016) on the curve of GB/T 32918.5, with SM3 and the default user id
 * "1234567812345678": e = SM3(Z ‖ M).
 *
 * Keys and signing are libcrypto's (EVP); verification, which touches public data only, is Ridge's own
 * (docs/crypto.md) and is checked against libcrypto in every test run.
 *
 * Invariants
 * 1. A public key is X‖Y, 64 bytes; decoding also accepts 0x04‖X‖Y. A key that is not on the curve, or is
 *    the point at infinity, is refused wherever it enters.
 * 2. A signature is r‖s, 64 bytes, 1 <= r,s <= n-1 and r+s != 0 mod n. Signing returns canonical ones
 *    only (s <= (n-1)/2: it signs again until so); rdg_sm2_verify refuses others with BAD_SIGNATURE.
 *    DER appears nowhere but in certificates and TLCP.
 * 3. Private keys live in libcrypto's memory only, are never logged, and reach disk only through
 *    rdg_sm2_key_save, keyfile.h and pkcs8.h (mode 0600). */
#ifndef RIDGE_CRYPTO_SM2_H
#define RIDGE_CRYPTO_SM2_H
#include "ridge/crypto/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_sm2_public {
    uint8_t b[64];
} rdg_sm2_public_t;

typedef struct rdg_sm2_signature {
    uint8_t b[64];
} rdg_sm2_signature_t;

typedef struct rdg_sm2_key rdg_sm2_key_t; /* a private key with its public half; immutable, thread-safe */

rdg_err_t rdg_sm2_key_generate(rdg_sm2_key_t **out); /* returns owned */
/* PKCS#8 PEM that OpenSSL reads. Save replaces atomically with mode 0600. Load refuses a file that group
 * or others can use (FORBIDDEN, with the chmod to type), and reads also a file that a systemd credential
 * seals (keyfile.h); UNAUTHENTICATED if it is under a passphrase or the credential is not there;
 * UNSUPPORTED for keys of other kinds; CORRUPT for what is no key. */
rdg_err_t rdg_sm2_key_save(const rdg_sm2_key_t *key, const char *path);
rdg_err_t rdg_sm2_key_load(const char *path, rdg_sm2_key_t **out);
/* Loads, or generates and saves when the file is absent. */
rdg_err_t rdg_sm2_key_load_or_generate(const char *path, rdg_sm2_key_t **out);
/* For tests with fixed vectors and for importers: a big-endian scalar in [1, n-2]. */
rdg_err_t rdg_sm2_key_from_scalar(const uint8_t scalar[32], rdg_sm2_key_t **out);
void rdg_sm2_key_free(rdg_sm2_key_t *key);
void rdg_sm2_key_public(const rdg_sm2_key_t *key, rdg_sm2_public_t *out);

rdg_err_t rdg_sm2_public_decode(rdg_bytes_t encoded,
                                rdg_sm2_public_t *out); /* 64 or 65 bytes, on the curve */

rdg_err_t rdg_sm2_sign(const rdg_sm2_key_t *key, const void *msg, size_t len, rdg_sm2_signature_t *out);
/* RDG_OK or BAD_SIGNATURE, nothing else. Thread-safe. */
rdg_err_t rdg_sm2_verify(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                         const rdg_sm2_signature_t *sig);

/* The same with any s the standard allows, low or high, and signed in half the time: for TLCP, certificates, the
 * SM2 precompile, votes. Never for transactions. */
rdg_err_t rdg_sm2_sign_standard(const rdg_sm2_key_t *key, const void *msg, size_t len,
                                rdg_sm2_signature_t *out);
rdg_err_t rdg_sm2_verify_standard(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                                  const rdg_sm2_signature_t *sig);

/* Many at once: results[i] is what rdg_sm2_verify says of checks[i]. From some ten signatures of known keys on
 * cheaper than one by one (docs/crypto.md); 64 together are as good as more. Needs 150 KiB of stack, no heap. */
typedef struct rdg_sm2_check {
    const rdg_sm2_public_t *pub;
    rdg_bytes_t msg;
    const rdg_sm2_signature_t *sig;
    bool any_s; /* results[i] is what rdg_sm2_verify_standard says */
} rdg_sm2_check_t;
void rdg_sm2_verify_batch(const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results);

/* Which code verifies batches on this machine, as a name for logs; *refused is why a faster one is not used, NULL
 * when there is none. */
const char *rdg_sm2_batch_path(const char **refused);

/* Verification keeps Z and a table of 16 KiB for keys that it sees again (docs/crypto.md), which makes it
 * some three times as fast. limit sets the budget in bytes for the whole process and forgets all keys: 0
 * turns it off, 8 MiB unless called; BUSY while verifications run. Memory is touched as keys come. */
typedef struct rdg_sm2_cache_stats {
    uint64_t hits, misses, evicted, keys, bytes;
} rdg_sm2_cache_stats_t;
rdg_err_t rdg_sm2_cache_limit(size_t bytes);
void rdg_sm2_cache_stats(rdg_sm2_cache_stats_t *out);

/* An account's or validator's address: the last 20 bytes of SM3(X‖Y). */
typedef struct rdg_address {
    uint8_t b[20];
} rdg_address_t;
void rdg_sm2_address(const rdg_sm2_public_t *pub, rdg_address_t *out);
void rdg_sm2_address_many(const rdg_sm2_public_t *const *pubs, size_t count,
                          rdg_address_t *out); /* the same of many at once */
bool rdg_address_equal(const rdg_address_t *a, const rdg_address_t *b);

#ifdef __cplusplus
}
#endif
#endif
