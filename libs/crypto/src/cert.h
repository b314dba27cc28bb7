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

/* How a certificate leads to a root: itself first, the root last, and when all of them are valid. */
typedef struct rdg_cert_way {
    const rdg_cert_t *cert[RDG_CERT_CHAIN_MAX]; /* borrowed from the arguments */
    size_t count;
    int64_t from_s, until_s;
} rdg_cert_way_t;

/* The part of rdg_cert_verify that does not depend on the use, and the part that does. */
rdg_err_t rdg_cert_find_way(const rdg_cert_t *leaf, const rdg_cert_t *const *others, size_t other_count,
                            const rdg_cert_t *const *roots, size_t root_count, int64_t now_s,
                            rdg_cert_way_t *way);
rdg_err_t rdg_cert_check_use(const rdg_cert_t *leaf, rdg_cert_use_t use);

#endif
