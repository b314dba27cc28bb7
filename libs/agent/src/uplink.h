/* The device's one connection to the cloud: TLCP, dialled out, with a tunnel in it (ridge/net/tunnel.h). The services
 * of the cloud appear as local sockets of this user; whoever connects to one is joined to a stream of the tunnel.
 *
 * Invariants
 * 1. Nothing leaves the device for the cloud but inside TLCP to a server whose certificate leads to the pinned root
 *    and has the name "cloud". Before enrolment the root is the one whose fingerprint the token carries, and the
 *    device shows no certificate; afterwards both ends show theirs.
 * 2. A connection to a local socket that comes while the link is down waits, unread, up to UPLINK_WAIT_MS for it; so
 *    a client's own back-off adds nothing to the link's.
 * 3. What was handed to a stream and not acknowledged by the service's own protocol (MQTT's PUBACK, an HTTP answer)
 *    is lost with the link: the queues of the agent repeat it.
 * Dialling backs off from 0.1 s to 5 s with jitter, and starts over after a link that lasted 5 s. At most
 * UPLINK_WAITING_MAX connections wait. */
#ifndef RIDGE_AGENT_UPLINK_H
#define RIDGE_AGENT_UPLINK_H
#include <stdbool.h>
#include <stdint.h>
#include "ridge/base/error.h"

#define UPLINK_WAIT_MS 30000
#define UPLINK_WAITING_MAX 32

typedef enum uplink_service {
    UPLINK_ENROL,
    UPLINK_MQTT,
    UPLINK_IMAGES,
    UPLINK_COLLECT,
    UPLINK_SERVICES
} uplink_service_t;

typedef struct uplink uplink_t;

/* Makes the sockets: nothing answers at them before uplink_start. dir is borrowed for life. */
rdg_err_t uplink_new(const char *dir, uplink_t **out);
/* Dials as soon as there are credentials in dir (credentials.h) or a token. url: "tlcp://host:port" (port 7781).
 * token: NULL once enrolled. INVALID: the URL, a token without fingerprint. */
rdg_err_t uplink_start(uplink_t *u, const char *url, const char *token);
const char *uplink_socket(const uplink_t *u, uplink_service_t service); /* borrowed */
/* Thread-safe: the credentials in dir have changed; the link is made anew with them. */
void uplink_reload(uplink_t *u);
/* Thread-safe: leaves the cloud alone for ms, then dials again. */
void uplink_rest(uplink_t *u, uint64_t ms);
bool uplink_connected(const uplink_t *u);
/* Why the last attempt failed, with its text; RDG_OK: it did not. Thread-safe. */
rdg_err_t uplink_failure(uplink_t *u);
void uplink_stop(uplink_t *u); /* NULL is fine */

#endif
