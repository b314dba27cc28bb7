/* libcrypto's SM2 verification, the reference that Ridge's own is compared with in tests, under the fuzzer
 * and in benchmarks. Nothing else calls it. Same arguments as in sm2.h, any s that the standard allows. */
#ifndef RIDGE_CRYPTO_REFERENCE_H
#define RIDGE_CRYPTO_REFERENCE_H
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

bool rdg_reference_sm2_verify(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                              const rdg_sm2_signature_t *sig);
bool rdg_reference_sm2_on_curve(const rdg_sm2_public_t *pub);

#ifdef __cplusplus
}
#endif
#endif
