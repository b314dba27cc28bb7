/* A certificate as the other files of this library see it. */
#ifndef RIDGE_CRYPTO_SRC_CERT_H
#define RIDGE_CRYPTO_SRC_CERT_H
#include <openssl/types.h>
#include "ridge/base/ref.h"
#include "ridge/crypto/cert.h"

struct rdg_cert {
    rdg_ref_t ref;
    X509 *x509;   /* owned, with the default id set */
    uint8_t *der; /* owned */
    size_t der_len;
    rdg_sm2_public_t public_key;
};

void rdg_cert_common_name_of(const X509_NAME *name, char *out, size_t size);
/* The default user id as libcrypto wants it; returns owned, NULL without memory. */
ASN1_OCTET_STRING *rdg_cert_default_id(void);

#endif
