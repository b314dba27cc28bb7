/* DER pieces that signatures and ciphertexts share. */
#ifndef RIDGE_CRYPTO_SM2_DER_H
#define RIDGE_CRYPTO_SM2_DER_H
#include "ridge/crypto/sm2_cipher.h"

/* Reads a canonical INTEGER in [0, 2^256); false otherwise. */
bool rdg_sm2_der_integer(rdg_reader_t *r, uint8_t out[32]);
/* Reads tag and canonical definite length up to 65535; the content's view. False otherwise. */
bool rdg_sm2_der_content(rdg_reader_t *r, uint8_t tag, rdg_bytes_t *out);

#endif
