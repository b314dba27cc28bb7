/* Verification by libcrypto, the reference that Ridge's own is compared with. */
#ifndef RIDGE_CRYPTO_TEST_SM2_REFERENCE_H
#define RIDGE_CRYPTO_TEST_SM2_REFERENCE_H
#include "ridge/crypto/sm2.h"

bool reference_verify(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                      const rdg_sm2_signature_t *sig);
bool reference_on_curve(const rdg_sm2_public_t *pub);

#endif
