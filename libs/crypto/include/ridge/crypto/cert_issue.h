/* A minimal certificate authority: it signs what it is told to, with the extensions that the kind needs.
 * Who may get which certificate, serial numbers that are remembered and revocation are its caller's.
 *
 * Every certificate has a random serial number of 16 bytes, subject key and authority key identifiers,
 * critical basic constraints and key usage. A signing or encryption certificate carries its name also as DNS
 * name, which is what counts (rdg_cert_has_name); as common name only its first 64 bytes. Thread-safe. */
#ifndef RIDGE_CRYPTO_CERT_ISSUE_H
#define RIDGE_CRYPTO_CERT_ISSUE_H
#include "ridge/crypto/cert.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_CERT_DNS_MAX 130 /* a DNS name with its NUL: room for <device>.<chain> */
#define RDG_CERT_DNS_COUNT 8

typedef enum rdg_cert_kind {
    RDG_CERT_KIND_ROOT,    /* self-signed: issuer is NULL, issuer_key its own */
    RDG_CERT_KIND_CA,      /* issues leaves only (path length 0) */
    RDG_CERT_KIND_SIGN,    /* digitalSignature, nonRepudiation */
    RDG_CERT_KIND_ENCRYPT, /* keyEncipherment, dataEncipherment, keyAgreement */
} rdg_cert_kind_t;

typedef struct rdg_cert_order {
    rdg_cert_kind_t kind;
    const char *common_name; /* 1 to RDG_CERT_DNS_MAX - 1 bytes of printable ASCII without comma */
    const rdg_sm2_public_t *subject_key;
    const rdg_cert_t *issuer;        /* NULL for a root */
    const rdg_sm2_key_t *issuer_key; /* must be the issuer's, for a root the subject's */
    int64_t not_before_s, not_after_s;
} rdg_cert_order_t;

/* INVALID when the order contradicts itself (the text says how), CRYPTO, NO_MEMORY. Returns owned. */
rdg_err_t rdg_cert_issue(const rdg_cert_order_t *order, rdg_cert_t **out);
/* For a leaf with further DNS names, at most RDG_CERT_DNS_COUNT. */
rdg_err_t rdg_cert_issue_named(const rdg_cert_order_t *order, const char *const *dns_names, size_t dns_count,
                               rdg_cert_t **out);

#ifdef __cplusplus
}
#endif
#endif
