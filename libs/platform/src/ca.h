/* The certificate authority of the platform: who holds which certificate, until when, and what is revoked.
 *
 * Subjects are devices (chain "", name <device>) and the nodes on them (name <device>.<chain>: as names of either may have
 * dots, two could be alike; the second is refused); each holds a pair: a sign certificate whose key never changes, an encryption certificate whose key is new with each
 * renewal. `cloud` is the cloud's own name.
 *
 * Invariants
 * 1. A certificate leaves this file only after its row is committed.
 * 2. Issuing is idempotent for (device, chain, use, key): while the certificate is in the first half of its
 *    life it is answered again. So a request that is repeated, replayed or cut short makes nothing new.
 * 3. A request has to prove its key, to be for the subject's name, and its sign key to be the one that the
 *    subject is known by.
 * 4. Every revocation is in the database and in the next list when ca_revoke returns; numbers of lists only
 *    grow.
 * 5. No two subjects hold valid certificates of one name at the same time.
 * 6. The root that devices have pinned does not change under them: another CA is refused at the start.
 *
 * Limits: CA_HELD_MAX valid certificates a subject, RDG_CRL_ENTRIES_MAX entries in a list (the newest).
 * Thread-safe. */
#ifndef RIDGE_PLATFORM_CA_H
#define RIDGE_PLATFORM_CA_H
#include "authority.h"
#include "ridge/base/clock.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/crl.h"
#include "ridge/sql/sql.h"

#define CA_CLOUD "cloud"
#define CA_HELD_MAX 64
#define CA_LIFE_S (365ll * 86400)
#define CA_CRL_LIFE_S (7ll * 86400)
#define CA_CRL_EVERY_S 86400ll

typedef struct ca ca_t;

typedef struct ca_options {
    rdg_sql_t *db; /* borrowed; migrated */
    const char *data_dir;
    const rdg_clock_t *clock;          /* borrowed */
    uint64_t life_ms;                  /* of leaves; 0: a year */
    const char *chain_file, *key_file; /* an external CA; NULL: our own */
} ca_options_t;

rdg_err_t ca_open(const ca_options_t *options, ca_t **out);
void ca_close(ca_t *ca); /* NULL is fine */

int64_t ca_now_s(const ca_t *ca);
int64_t ca_life_s(const ca_t *ca); /* of what it issues */
const authority_t *ca_authority(const ca_t *ca);
const char *ca_fingerprint(const ca_t *ca); /* SM3 of the root, 64 hex digits */
const char *ca_root_pem(const ca_t *ca);
const char *ca_chain_pem(const ca_t *ca); /* issuing first, without the root */

typedef struct ca_subject {
    const char *device, *chain;       /* chain "": the device itself */
    const rdg_sm2_public_t *sign_key; /* what its sign request must be of; NULL: any */
} ca_subject_t;
/* {"sign","enc","chain","root"}, PEM each. INVALID, MALFORMED, UNSUPPORTED, BAD_SIGNATURE: the request.
 * FORBIDDEN: another key, or one that was revoked as compromised. CONFLICT: ca_name_check. FULL. */
rdg_err_t ca_issue_pair(ca_t *ca, const ca_subject_t *subject, const char *sign_request,
                        const char *enc_request, json_t **out);
/* As the former, for a node whose requests are those that it began with: should it have renewed its encryption key since,
 * the certificate is of the newer one. */
rdg_err_t ca_issue_node(ca_t *ca, const ca_subject_t *subject, const char *sign_request,
                        const char *enc_request, json_t **out);
/* CONFLICT: another subject holds certificates of the name that this one's would have. */
rdg_err_t ca_name_check(ca_t *ca, const char *device, const char *chain);
/* The part of ca_issue_pair that needs nothing but the requests. */
rdg_err_t ca_check_pair(const ca_subject_t *subject, const char *sign_request, const char *enc_request);
/* A new pair for keys of our own, with further DNS names. */
rdg_err_t ca_issue_cloud(ca_t *ca, const rdg_sm2_public_t *sign, const rdg_sm2_public_t *enc,
                         const char *const *dns_names, size_t dns_count, rdg_cert_t **sign_cert,
                         rdg_cert_t **enc_cert);

/* For the collector of archives, whose receipts nodes delete by: {"certificate"}, PEM, its own first and then those towards
 * the root, which is not among them. The request proves the key, and is for RDG_CREDENTIALS_COLLECTOR. FORBIDDEN: the key
 * was revoked as compromised. */
rdg_err_t ca_issue_collector(ca_t *ca, const char *request, json_t **out);

typedef struct ca_revoked {
    char device[65], chain[65];
    bool current; /* it was the one in use: its pair is revoked with it */
} ca_revoked_t;
/* NOT_FOUND, CONFLICT (is revoked already). */
rdg_err_t ca_revoke(ca_t *ca, const char *serial, rdg_crl_reason_t reason, ca_revoked_t *out);
rdg_err_t ca_revoke_device(ca_t *ca, const char *device, rdg_crl_reason_t reason); /* its nodes' too */
/* The node is gone and its keys with it: its certificates count no more, and need no entry in a list. */
rdg_err_t ca_end_node(ca_t *ca, const char *device, const char *chain);
/* NULL: all. use: "sign" or "encrypt". */
typedef struct ca_filter {
    const char *device, *chain, *use, *state, *tenant;
} ca_filter_t;
/* Objects without PEM, newest first. */
rdg_err_t ca_list(ca_t *ca, const ca_filter_t *filter, uint64_t limit, json_t **out);
/* RDG_OK: the certificate is of this tenant's device, or a node of it. Else NOT_FOUND, as of one that is not there. */
rdg_err_t ca_own(ca_t *ca, const char *tenant, const char *serial);
/* Whether certificates that verified are valid ones of one device (not of a node); its name. enc may be NULL. */
rdg_err_t ca_accept_device(ca_t *ca, const rdg_cert_t *sign, const rdg_cert_t *enc, char device[65]);

/* The key of the newest sign certificate of a holder; NOT_FOUND: it has none that is valid. */
rdg_err_t ca_key_of(ca_t *ca, const char *device, const char *chain, rdg_sm2_public_t *out);

/* ca_crl.c */
rdg_crl_t *ca_crl(ca_t *ca); /* the newest list; a reference */
/* Makes a list when there is none, or the last is a day old. */
rdg_err_t ca_crl_refresh(ca_t *ca);

#endif
