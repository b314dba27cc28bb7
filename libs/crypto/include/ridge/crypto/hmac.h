/* HMAC (RFC 2104, GB/T 15852.2): with SHA-256, as foreign protocols want it, and with SM3, once as usual and once for TLCP's CBC records, where the length
 * of what is authenticated is a secret until the result has been compared. Both are thread-safe and use no
 * heap (that with SHA-256 neither). */
#ifndef RIDGE_CRYPTO_HMAC_H
#define RIDGE_CRYPTO_HMAC_H
#include "ridge/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_HMAC_SM3_BYTES 32
#define RDG_HMAC_SM3_PARTS_MAX 8
#define RDG_HMAC_SHA256_TEXT_MAX 960

/* Of the parts one after the other, at most RDG_HMAC_SM3_PARTS_MAX (asserted). The key has any length. */
void rdg_hmac_sm3(uint8_t out[RDG_HMAC_SM3_BYTES], rdg_bytes_t key, const rdg_bytes_t *parts,
                  size_t part_count);

/* Of head ‖ data[0, secret_len), with a key of 32 bytes; head below 64 bytes (asserted). Time and memory accesses depend on head.len and
 * data.len alone. secret_len is in [data.len - 256, data.len], and at least 0. */
void rdg_hmac_sm3_hidden(uint8_t out[RDG_HMAC_SM3_BYTES], const uint8_t key[32], rdg_bytes_t head,
                         rdg_bytes_t data, size_t secret_len);

/* text: at most RDG_HMAC_SHA256_TEXT_MAX bytes (asserted). out may be the key. */
void rdg_hmac_sha256(uint8_t out[32], rdg_bytes_t key, rdg_bytes_t text);

#ifdef __cplusplus
}
#endif
#endif
