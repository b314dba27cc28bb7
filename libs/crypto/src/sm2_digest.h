/* Z and e of GB/T 32918.2 sections 5.5 and 6.1, with the default user id. */
#ifndef RIDGE_CRYPTO_SM2_DIGEST_H
#define RIDGE_CRYPTO_SM2_DIGEST_H
#include "ridge/crypto/sm2.h"

/* Curve constants, big-endian (GB/T 32918.5). */
extern const uint8_t rdg_sm2_n[32], rdg_sm2_half_n[32] /* (n-1)/2 */, rdg_sm2_gx[32], rdg_sm2_gy[32];

/* a, b, G: what Z holds between the user id and the public key. */
extern const rdg_bytes_t rdg_sm2_curve;

void rdg_sm2_z(const rdg_sm2_public_t *pub, rdg_hash_t *z);
void rdg_sm2_e(const rdg_hash_t *z, const void *msg, size_t len, rdg_hash_t *e);
bool rdg_sm2_low_s(const rdg_sm2_signature_t *sig);

#endif
