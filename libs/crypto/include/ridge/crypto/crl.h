/* Revocation lists (X.509 CRL version 2, RFC 5280) signed by SM2 with SM3.
 *
 * Invariants
 * 1. A rdg_crl_t has a number, a next update, and no critical extension (of the list or an entry) that we do
 *    not read: delta, indirect and partial lists are UNSUPPORTED, so that absence from a list means absence.
 * 2. Parsing proves nothing about who made it: rdg_crl_verify does, over the bytes as they arrived.
 * 3. A list speaks of its issuer's certificates only (by name): others are never contained.
 * 4. A list past its next update still speaks for what it holds; whoever has none newer goes on with it
 *    (rdg_crl_check_time tells).
 *
 * Limits: RDG_CRL_DER_MAX bytes, RDG_CRL_ENTRIES_MAX entries, numbers below 2^63.
 * Lists are immutable, reference-counted and may be shared by threads. */
#ifndef RIDGE_CRYPTO_CRL_H
#define RIDGE_CRYPTO_CRL_H
#include "ridge/crypto/cert.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_CRL_DER_MAX (512u << 10)
#define RDG_CRL_PEM_MAX (768u << 10)
#define RDG_CRL_ENTRIES_MAX 8192
#define RDG_CRL_SKEW_S 300 /* a list made by a clock that is ahead of ours by less is not from the future */

typedef enum rdg_crl_reason { /* numbers of RFC 5280, section 5.3.1 */
                              RDG_CRL_UNSPECIFIED = 0,
                              RDG_CRL_KEY_COMPROMISE = 1,
                              RDG_CRL_CA_COMPROMISE = 2,
                              RDG_CRL_AFFILIATION_CHANGED = 3,
                              RDG_CRL_SUPERSEDED = 4,
                              RDG_CRL_CESSATION = 5,
                              RDG_CRL_PRIVILEGE_WITHDRAWN = 9
} rdg_crl_reason_t;
/* "key-compromise" and the like; INVALID lists them all. */
rdg_err_t rdg_crl_reason_parse(const char *name, rdg_crl_reason_t *out);
const char *rdg_crl_reason_name(rdg_crl_reason_t reason);

typedef struct rdg_crl rdg_crl_t;

typedef struct rdg_crl_entry {
    char serial[RDG_CERT_SERIAL_MAX]; /* as rdg_cert_serial gives it */
    int64_t revoked_s;
    rdg_crl_reason_t reason;
} rdg_crl_entry_t;

typedef struct rdg_crl_order {
    const rdg_cert_t *issuer; /* a CA that may sign lists */
    const rdg_sm2_key_t *issuer_key;
    uint64_t number; /* grows with every list of this issuer */
    int64_t this_update_s, next_update_s;
    const rdg_crl_entry_t *entries;
    size_t entry_count;
} rdg_crl_order_t;

/* INVALID when the order contradicts itself, FULL past RDG_CRL_ENTRIES_MAX. Returns owned. */
rdg_err_t rdg_crl_issue(const rdg_crl_order_t *order, rdg_crl_t **out);
/* TOO_LARGE, MALFORMED, UNSUPPORTED. Returns owned. */
rdg_err_t rdg_crl_parse(rdg_bytes_t der, rdg_crl_t **out);
rdg_err_t rdg_crl_parse_pem(rdg_bytes_t pem, rdg_crl_t **out); /* exactly one block */
rdg_err_t rdg_crl_to_pem(const rdg_crl_t *crl, rdg_buf_t *out);
rdg_crl_t *rdg_crl_ref(rdg_crl_t *crl);
void rdg_crl_free(rdg_crl_t *crl); /* drops one reference; NULL is fine */

/* Whether issuer, which may sign lists, made it. FORBIDDEN: another's name, or no CA. BAD_SIGNATURE. */
rdg_err_t rdg_crl_verify(const rdg_crl_t *crl, const rdg_cert_t *issuer);
/* EXPIRED: made after now_s, or its next update was due before. */
rdg_err_t rdg_crl_check_time(const rdg_crl_t *crl, int64_t now_s);
bool rdg_crl_contains(const rdg_crl_t *crl, const rdg_cert_t *cert);
rdg_bytes_t rdg_crl_der(const rdg_crl_t *crl); /* borrowed */
uint64_t rdg_crl_number(const rdg_crl_t *crl);
int64_t rdg_crl_this_update_s(const rdg_crl_t *crl);
int64_t rdg_crl_next_update_s(const rdg_crl_t *crl);
size_t rdg_crl_count(const rdg_crl_t *crl);

#ifdef __cplusplus
}
#endif
#endif
