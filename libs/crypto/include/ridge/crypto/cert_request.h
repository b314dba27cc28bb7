/* Certificate requests (PKCS#10, RFC 2986) of SM2 keys, signed by SM2 with SM3.
 *
 * What it does: it makes a request for a key and a name, and reads one that others made. What it does not: a
 * request's attributes and extensions are never looked at; usage, names and life are the CA's to decide.
 *
 * Invariants
 * 1. A request that was parsed is proof that its maker holds the private key: the signature has been
 *    verified, over the bytes as they arrived.
 * 2. Its key is an SM2 key on the curve; RSA, P-256 and other digests are UNSUPPORTED.
 * 3. Its subject is one common name of printable ASCII. A name longer than 64 bytes stands in it cut to 64
 *    (rdg_cert_request_is_for knows).
 *
 * Limits: RDG_CERT_REQUEST_MAX bytes of DER or PEM. Thread-safe. */
#ifndef RIDGE_CRYPTO_CERT_REQUEST_H
#define RIDGE_CRYPTO_CERT_REQUEST_H
#include "ridge/crypto/cert.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_CERT_REQUEST_MAX 4096

typedef struct rdg_cert_request {
    rdg_sm2_public_t public_key;
    char common_name[RDG_CERT_NAME_MAX];
} rdg_cert_request_t;

/* Appends PEM ("CERTIFICATE REQUEST"). INVALID: the name is empty. CRYPTO, NO_MEMORY. */
rdg_err_t rdg_cert_request_make(const rdg_sm2_key_t *key, const char *name, rdg_buf_t *pem);
/* TOO_LARGE, MALFORMED, UNSUPPORTED (not SM2 with SM3), BAD_SIGNATURE (the maker does not hold the key). */
rdg_err_t rdg_cert_request_parse(rdg_bytes_t der, rdg_cert_request_t *out);
rdg_err_t rdg_cert_request_parse_pem(rdg_bytes_t pem, rdg_cert_request_t *out); /* exactly one block */
bool rdg_cert_request_is_for(const rdg_cert_request_t *request, const char *name);

#ifdef __cplusplus
}
#endif
#endif
