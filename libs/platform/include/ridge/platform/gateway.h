/* Where devices come in: a listener that speaks TLCP, and in each connection a tunnel (ridge/net/tunnel.h) to
 * services of the cloud that are reached nowhere else.
 *
 *   enrol    anybody: enrolment alone
 *   mqtt     devices: the broker, which stays on loopback
 *   images   devices: the registry
 *   collect  devices: what they upload, each connection known as that device's
 *
 * 1. A device is whoever shows a certificate of this cloud's CA that is a device's, valid and not revoked
 *    (ridge/platform/identity.h). Somebody without a certificate may enrol and nothing else; one with a bad
 *    certificate gets an alert.
 * 2. A device whose certificate is revoked loses its connection at once. A device that connects again replaces its
 *    old connection, which may be dead without either end knowing.
 * 3. Not authenticated yet: RDG_GATEWAY_STRANGERS_MAX handshakes at a time (then the oldest goes), and as many
 *    enrolments (then who comes is refused, but for one that has taken 15 s already), each RDG_GATEWAY_STRANGER_MS long.
 * A thread of its own; handshakes on the loop's workers. */
#ifndef RIDGE_PLATFORM_GATEWAY_H
#define RIDGE_PLATFORM_GATEWAY_H
#include "ridge/platform/platform.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_GATEWAY_STRANGERS_MAX 256
#define RDG_GATEWAY_STRANGER_MS 60000
#define RDG_GATEWAY_PORT 7781

typedef struct rdg_gateway rdg_gateway_t;

typedef struct rdg_gateway_options {
    rdg_platform_t *platform;   /* borrowed; its on_revoked is taken */
    const char *host;           /* NULL: 0.0.0.0 */
    uint16_t port;              /* 0: the system chooses */
    unsigned strangers;         /* 0: RDG_GATEWAY_STRANGERS_MAX */
    const char *enrol, *images; /* local sockets of HTTP services; NULL: not served */
    rdg_metrics_t *metrics;     /* may be NULL */
} rdg_gateway_options_t;

/* PORT_IN_USE, INVALID, NO_MEMORY. */
rdg_err_t rdg_gateway_start(const rdg_gateway_options_t *options, rdg_gateway_t **out);
uint16_t rdg_gateway_port(const rdg_gateway_t *g);
void rdg_gateway_stop(rdg_gateway_t *g); /* before rdg_platform_close; NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
