/* SM4 (GB/T 32907-2016) in CTR, CBC and GCM, by libgcrypt, which has it without cache-timing tables on
 * the processors that matter (GFNI, AES-NI, ARMv8 CE). Padding, nonces and keys are the caller's business.
 *
 * Invariants
 * 1. A cipher works in the mode it was made for; another mode's function asserts.
 * 2. out may be the same memory as in, or apart from it; it may not overlap in any other way.
 * 3. rdg_sm4_gcm_open gives BAD_SIGNATURE and wipes out[] unless the tag is right; its comparison takes
 *    constant time. A nonce must never be used twice with one key: the caller sees to it.
 * 4. Nothing but rdg_sm4_new allocates. Freeing wipes the key.
 *
 * A cipher belongs to one thread at a time. */
#ifndef RIDGE_CRYPTO_SM4_H
#define RIDGE_CRYPTO_SM4_H
#include "ridge/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_SM4_KEY_BYTES 16
#define RDG_SM4_BLOCK_BYTES 16
#define RDG_SM4_TAG_BYTES 16
#define RDG_SM4_NONCE_BYTES 12

typedef enum rdg_sm4_mode { RDG_SM4_CTR, RDG_SM4_CBC, RDG_SM4_GCM } rdg_sm4_mode_t;
typedef struct rdg_sm4 rdg_sm4_t;

rdg_err_t rdg_sm4_new(rdg_sm4_mode_t mode, const uint8_t key[RDG_SM4_KEY_BYTES], rdg_sm4_t **out);
void rdg_sm4_free(rdg_sm4_t *s); /* NULL is fine */

/* Encrypts or decrypts; counter is the first block's, big-endian. */
void rdg_sm4_ctr(rdg_sm4_t *s, uint8_t *out, const uint8_t counter[16], const uint8_t *in, size_t len);
/* len is a multiple of 16 (asserted). */
void rdg_sm4_cbc_encrypt(rdg_sm4_t *s, uint8_t *out, const uint8_t iv[16], const uint8_t *in, size_t len);
void rdg_sm4_cbc_decrypt(rdg_sm4_t *s, uint8_t *out, const uint8_t iv[16], const uint8_t *in, size_t len);
void rdg_sm4_gcm_seal(rdg_sm4_t *s, uint8_t *out, uint8_t tag[RDG_SM4_TAG_BYTES],
                      const uint8_t nonce[RDG_SM4_NONCE_BYTES], rdg_bytes_t aad, const uint8_t *in,
                      size_t len);
rdg_err_t rdg_sm4_gcm_open(rdg_sm4_t *s, uint8_t *out, const uint8_t nonce[RDG_SM4_NONCE_BYTES],
                           rdg_bytes_t aad, const uint8_t *in, size_t len,
                           const uint8_t tag[RDG_SM4_TAG_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
