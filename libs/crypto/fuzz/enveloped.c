/* Envelopes for the sign key of GB/T 32918.5's example: what opens is the key of the public key that was asked
 * for. */
#include <stdlib.h>
#include <string.h>

#include "ridge/crypto/enveloped.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t scalar[32] = {0x39, 0x45, 0x20, 0x8f, 0x7b, 0x21, 0x44, 0xb1, 0x3f, 0x36, 0xe3,
                                   0x8a, 0xc6, 0xd3, 0x9f, 0x95, 0x88, 0x93, 0x93, 0x69, 0x28, 0x60,
                                   0xb5, 0x1a, 0x42, 0xfb, 0x81, 0xef, 0x4d, 0xf7, 0xc5, 0xb8};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rdg_sm2_key_t *sign_key;
    static rdg_sm2_public_t expected;
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_public_t real;
    if (!sign_key) {
        if (rdg_sm2_key_from_scalar(scalar, &sign_key) != RDG_OK) abort();
        rdg_sm2_key_public(sign_key, &expected);
    }
    rdg_err_t err = rdg_enveloped_open(sign_key, NULL, rdg_bytes(data, size), &key);
    if ((err == RDG_OK) != (key != NULL)) abort();
    rdg_sm2_key_free(key);
    key = NULL;
    /* The corpus wraps the sign key itself. */
    err = rdg_enveloped_open(sign_key, &expected, rdg_bytes(data, size), &key);
    if ((err == RDG_OK) != (key != NULL)) abort();
    if (!key) return 0;
    rdg_sm2_key_public(key, &real);
    if (memcmp(real.b, expected.b, sizeof real.b) != 0) abort();
    rdg_sm2_key_free(key);
    return 0;
}
