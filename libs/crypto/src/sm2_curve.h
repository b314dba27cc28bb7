/* libcrypto's curve and numbers, for the few computations with secrets that EVP does not offer. */
#ifndef RIDGE_CRYPTO_SM2_CURVE_H
#define RIDGE_CRYPTO_SM2_CURVE_H
#include <openssl/ec.h>
#include "ridge/crypto/sm2.h"

/* SM2's group, made once for the process; NULL without memory. Borrowed, immutable. */
const EC_GROUP *rdg_sm2_group(void);
/* Returns owned; NULL: not on the curve, or no memory. */
EC_POINT *rdg_sm2_curve_point(const rdg_sm2_public_t *pub, BN_CTX *ctx);
/* The coordinates; false at infinity. */
bool rdg_sm2_curve_store(const EC_POINT *point, uint8_t xy[64], BN_CTX *ctx);
/* The private number, in libcrypto's secure memory; BN_clear_free. NULL without memory. */
BIGNUM *rdg_sm2_key_number(const rdg_sm2_key_t *key);

#endif
