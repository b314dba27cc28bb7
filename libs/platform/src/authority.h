/* The keys and certificates of the CA that issues here: our own, made at the first start, or one that stands
 * under an external root.
 *
 * Our own lies in <data>/ca (mode 0700): root.key, root.crt (10 years), issuing.key, issuing.crt (5 years).
 * Each file is made when it and those it depends on are due, so a start that was cut short goes on where it
 * was. The root's key is used for the issuing certificate only: it may be taken away, and has to be back when
 * that certificate is to be renewed. */
#ifndef RIDGE_PLATFORM_AUTHORITY_H
#define RIDGE_PLATFORM_AUTHORITY_H
#include "ridge/crypto/cert_issue.h"

typedef struct authority {
    rdg_sm2_key_t *key; /* of the issuing CA */
    rdg_cert_t *issuing, *root;
    rdg_cert_t *chain[RDG_CERT_CHAIN_MAX]; /* issuing first, without the root; empty: the root issues */
    size_t chain_count;
} authority_t;

/* An issuing certificate that does not outlast a leaf of life_s is renewed while the root's key is there, and
 * told in the log while it is not. CORRUPT, CONFLICT, EXPIRED: with what to restore. */
rdg_err_t authority_own(const char *dir, int64_t now_s, int64_t life_s, authority_t *out);
/* chain_file: PEM, the issuing CA first, the root last. INVALID, FORBIDDEN, EXPIRED, NOT_FOUND, …: why it
 * cannot issue here, and what to do. */
rdg_err_t authority_external(const char *chain_file, const char *key_file, int64_t now_s, authority_t *out);
void authority_fini(authority_t *a);

#endif
