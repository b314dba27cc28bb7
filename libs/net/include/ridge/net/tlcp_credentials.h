/* Credentials (ridge/crypto/credentials.h) as the identity of a link.
 *
 * The identity shows their certificates, trusts their roots and refuses (FORBIDDEN, so that the peer is told
 * certificate_revoked) whoever their revocation list holds. What else a link asks of its peer (the validator
 * set, an enrolled device) goes into a rule of the caller's, which asks rdg_credentials_accept first.
 * A new list or renewed certificates on disk are another identity: load again. */
#ifndef RIDGE_NET_TLCP_CREDENTIALS_H
#define RIDGE_NET_TLCP_CREDENTIALS_H
#include "ridge/crypto/credentials.h"
#include "ridge/net/tlcp_identity.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes c, of which nobody else may hold a reference, also on failure: its keys go over to the identity.
 * sessions_max as in rdg_tlcp_parts_t. */
rdg_err_t rdg_tlcp_identity_of(rdg_credentials_t *c, size_t sessions_max, rdg_tlcp_identity_t **out);
/* rdg_credentials_load and rdg_tlcp_identity_of with the usual number of sessions. */
rdg_err_t rdg_tlcp_identity_load(const char *dir, const char *prefix, rdg_tlcp_identity_t **out);

#ifdef __cplusplus
}
#endif
#endif
