/* Verification of a digest, past Z and the cache: for tests, which choose e and which of the two ways the sum
 * of points is computed. */
#ifndef RIDGE_CRYPTO_SM2_VERIFY_E_H
#define RIDGE_CRYPTO_SM2_VERIFY_E_H
#include "ridge/crypto/sm2.h"

bool rdg_sm2_verify_e(const rdg_sm2_public_t *pub, const rdg_hash_t *e, const rdg_sm2_signature_t *sig,
                      bool with_table);

#endif
