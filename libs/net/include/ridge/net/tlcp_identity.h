/* Who this end of a TLCP link is, whom it trusts, and whom it lets in: what every link of a process shares.
 *
 * Immutable and reference-counted: a renewed certificate, a new revocation list or another set of peers is a
 * new identity; links that are open keep theirs until they close. May be shared by threads.
 *
 * The rule has the last word on a peer whose certificates verified, and again each time that a session with it is
 * resumed. It runs on the handshake's worker thread, or on the loop's when a client is about to resume, so its
 * context must be safe to read there and lives as long as the identity: free_ctx frees it.
 *
 * Links of one identity, and of those made from it by rdg_tlcp_identity_with_rule, resume each other's sessions
 * (ridge/tlcp/sessions.h), at most RDG_TLCP_IDENTITY_SESSION_S after the whole handshake. They all die with the
 * identity that they began under: renewed certificates, another root or a newer revocation list, which are another
 * identity, make every peer prove itself anew. A pinned identity keeps none. */
#ifndef RIDGE_NET_TLCP_IDENTITY_H
#define RIDGE_NET_TLCP_IDENTITY_H
#include "ridge/tlcp/tlcp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_TLCP_ROOTS_MAX 8
#define RDG_TLCP_IDENTITY_SESSIONS 256 /* that are kept, about 8 KiB each, unless the parts say otherwise */
#define RDG_TLCP_IDENTITY_SESSION_S 86400

typedef struct rdg_tlcp_identity rdg_tlcp_identity_t;

/* Keys and certificates are taken over, also on failure: the identity frees them. A client without
 * certificates (a device before its enrolment) leaves the first four NULL. */
typedef struct rdg_tlcp_parts {
    rdg_sm2_key_t *sign_key, *enc_key;
    rdg_cert_t *sign_cert, *enc_cert;
    rdg_cert_t *chain[RDG_TLCP_CERTS_MAX - 2]; /* from the leaves towards the root, without it */
    size_t chain_count;
    rdg_cert_t *roots[RDG_TLCP_ROOTS_MAX];
    size_t root_count;
    size_t sessions_max; /* 0: RDG_TLCP_IDENTITY_SESSIONS */
} rdg_tlcp_parts_t;

typedef struct rdg_tlcp_rule {
    /* NULL: whoever verifies is welcome. peer_enc is NULL where a client sent no encryption certificate. */
    rdg_err_t (*accept)(void *ctx, const rdg_cert_t *peer_sign, const rdg_cert_t *peer_enc);
    void *ctx;
    void (*free_ctx)(void *ctx); /* may be NULL */
} rdg_tlcp_rule_t;

/* INVALID: the parts contradict each other (a key that is not its certificate's, no root …). */
rdg_err_t rdg_tlcp_identity_new(const rdg_tlcp_parts_t *parts, rdg_tlcp_identity_t **out);
/* A client that is nobody yet and knows of its server no more than the SM3 fingerprint of the root. */
rdg_err_t rdg_tlcp_identity_pinned(const rdg_hash_t *root, rdg_tlcp_identity_t **out);
/* The same keys and certificates under a further rule: base's is asked first. Takes rule->ctx, also on failure. */
rdg_err_t rdg_tlcp_identity_with_rule(rdg_tlcp_identity_t *base, const rdg_tlcp_rule_t *rule,
                                      rdg_tlcp_identity_t **out);
/* Whether a peer that was let in before would be let in now, by another identity's rules. */
rdg_err_t rdg_tlcp_identity_accept(const rdg_tlcp_identity_t *identity, const rdg_cert_t *peer_sign,
                                   const rdg_cert_t *peer_enc);
rdg_tlcp_identity_t *rdg_tlcp_identity_ref(rdg_tlcp_identity_t *identity);
void rdg_tlcp_identity_unref(rdg_tlcp_identity_t *identity);            /* NULL is fine */
size_t rdg_tlcp_identity_sessions(const rdg_tlcp_identity_t *identity); /* how many are kept now */
/* Borrowed; what is not said here (name, client_auth) is the caller's to set on a copy. */
const rdg_tlcp_config_t *rdg_tlcp_identity_config(const rdg_tlcp_identity_t *identity);

#ifdef __cplusplus
}
#endif
#endif
