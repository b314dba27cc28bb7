/* Between r‖s and the DER of SEQUENCE { INTEGER r, INTEGER s }, strictly: one DER per signature. */
#ifndef RIDGE_CRYPTO_SM2_DER_H
#define RIDGE_CRYPTO_SM2_DER_H
#include "ridge/crypto/sm2.h"

#define RDG_SM2_DER_MAX 72

size_t rdg_sm2_signature_to_der(const rdg_sm2_signature_t *sig, uint8_t out[RDG_SM2_DER_MAX]);
/* MALFORMED for anything but the one canonical form with 0 <= r, s < 2^256. */
rdg_err_t rdg_sm2_signature_from_der(rdg_bytes_t der, rdg_sm2_signature_t *out);

#endif
