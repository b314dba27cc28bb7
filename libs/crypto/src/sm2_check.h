/* The steps of a verification, for the single one, the batch and the tests. */
#ifndef RIDGE_CRYPTO_SM2_CHECK_H
#define RIDGE_CRYPTO_SM2_CHECK_H
#include "ridge/crypto/sm2.h"
#include "sm2_sum.h"

typedef struct rdg_sm2_decoded {
    rdg_sm2_scalar_t r, s, t; /* t = r + s mod n; none is 0 */
} rdg_sm2_decoded_t;

bool rdg_sm2_signature_decode(const rdg_sm2_signature_t *sig, rdg_sm2_decoded_t *out);
/* Is e + x = r mod n for the point's x? False for infinity. */
bool rdg_sm2_x_matches(const rdg_sm2_point_t *point, const rdg_sm2_scalar_t *r, const rdg_hash_t *e);
/* The whole of it for a key that the cache does not hold; offers it when admit says so. */
rdg_err_t rdg_sm2_verify_unknown(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                                 const rdg_sm2_decoded_t *sig, bool admit);

#endif
