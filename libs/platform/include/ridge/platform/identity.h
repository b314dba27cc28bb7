/* The cloud's end of its links with devices: who it is, and which devices it lets in.
 *
 * Its certificates are of its own CA, in <data>/link (ridge/crypto/credentials.h, prefix "cloud"), for the name
 * "cloud" and the DNS names of the options; made at the first start, renewed at two thirds of their life, also
 * while it runs: ask for the identity again with each connection, or once in a while.
 * The root is sent along, for devices that know no more than its fingerprint (rdg_tlcp_identity_pinned).
 * A device is let in with a sign certificate that this CA has issued to it and not revoked. Certificates of
 * nodes, and the cloud's, are refused: they are for other links. Thread-safe. */
#ifndef RIDGE_PLATFORM_IDENTITY_H
#define RIDGE_PLATFORM_IDENTITY_H
#include "ridge/net/tlcp_identity.h"
#include "ridge/platform/platform.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_PLATFORM_LINK_NAME "cloud" /* the name that a device asks the cloud's certificate for */

/* With the rule of rdg_platform_accept_peer. A reference (rdg_tlcp_identity_unref); all must be gone before
 * rdg_platform_close. */
rdg_err_t rdg_platform_tlcp_identity(rdg_platform_t *p, rdg_tlcp_identity_t **out);
/* The device of a pair of certificates that verified; enc_cert may be NULL, where none was shown. FORBIDDEN: one
 * of them is revoked. UNAUTHENTICATED: not a device's, not of this cloud, not of one device, or the device was
 * removed. device may be NULL. */
rdg_err_t rdg_platform_accept_peer(rdg_platform_t *p, const rdg_cert_t *sign_cert, const rdg_cert_t *enc_cert,
                                   char device[65]);
/* Called when a device's certificates are revoked, or the device is removed: its connections are to be cut. On
 * any thread; once, before the service starts. */
void rdg_platform_on_revoked(rdg_platform_t *p, void (*fn)(void *ctx, const char *device), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
