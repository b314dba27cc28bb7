/* PKCS#8 in DER, for the other files of this library. */
#ifndef RIDGE_CRYPTO_SRC_PKCS8_H
#define RIDGE_CRYPTO_SRC_PKCS8_H
#include "ridge/crypto/pkcs8.h"

/* PrivateKeyInfo or ECPrivateKey, plain. MALFORMED, UNSUPPORTED, INVALID. Returns owned. */
rdg_err_t rdg_pkcs8_read(rdg_bytes_t der, rdg_sm2_key_t **out);
/* PrivateKeyInfo: the caller clears it. */
rdg_err_t rdg_pkcs8_write(const rdg_sm2_key_t *key, uint8_t der[RDG_PKCS8_DER_MAX], size_t *len);

#endif
