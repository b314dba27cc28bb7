/* A private key as the other files of this library see it. */
#ifndef RIDGE_CRYPTO_SM2_KEY_H
#define RIDGE_CRYPTO_SM2_KEY_H
#include <openssl/types.h>
#include "ridge/crypto/sm2.h"

struct rdg_sm2_key {
    EVP_PKEY *pkey; /* owned; of type SM2 */
    rdg_sm2_public_t public_key;
    rdg_hash_t z;
};

/* rdg_fail(CRYPTO) with libcrypto's reason behind what; empties libcrypto's queue of this thread. */
rdg_err_t rdg_crypto_fail(const char *what);
/* Takes pkey in every case. CRYPTO if it is no SM2 key or has no public half. */
rdg_err_t rdg_sm2_key_wrap(EVP_PKEY *pkey, rdg_sm2_key_t **out);
/* The private number, big-endian; the caller clears it. CRYPTO. */
rdg_err_t rdg_sm2_key_scalar(const rdg_sm2_key_t *key, uint8_t out[32]);
/* For libcrypto's use; NULL if it is not on the curve. Returns owned. */
EVP_PKEY *rdg_sm2_public_pkey(const rdg_sm2_public_t *pub);

#endif
