/* The cloud-edge platform: enrolment of devices, their registry, commands and requests
 * (docs/device-protocol.md).
 *
 * It owns `<data_dir>/platform.db` and, unless a broker's URL is given, a mosquitto under
 * `<data_dir>/broker`. Everything is reached over REST: rdg_platform_routes are the paths of docs/rest-api.md
 * under /devices, /device-tokens, /enrol and /commands.
 *
 * Invariants
 * 1. A command is on disk before it is published, and is published until the broker has taken it: also after
 * a restart of the cloud or the loss of the broker. Devices make one effect of many deliveries.
 * 2. A command goes to the broker only while its device is online. One that was never handed over (`queued`)
 * can therefore be cancelled for certain; any other cannot (CONFLICT).
 * 3. done, failed, expired and cancelled are final: no later result changes them.
 * 4. A device speaks for itself only: results and responses count when they come on that device's own topic.
 * 5. Of an enrolment token only its SM3 is stored; a token enrols one device.
 *
 * Limits: 100,000 devices; 1,000 unfinished commands a device; 512 KiB of parameters and of a result; 1,024
 * requests waiting; finished commands are kept for 30 days, at most 100,000 of them.
 * Threads: all functions from one thread; routes run on the service's threads. */
#ifndef RIDGE_PLATFORM_PLATFORM_H
#define RIDGE_PLATFORM_PLATFORM_H
#include "ridge/service/service.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_platform rdg_platform_t;

typedef struct rdg_platform_options {
    const char *data_dir;
    const char *broker_url;      /* NULL: an own mosquitto on loopback */
    const char *broker_program;  /* NULL: mosquitto from PATH or /usr/sbin */
    uint16_t broker_port;        /* of the own one; 0: the system chooses */
    const char *broker_password; /* of user "cloud" at a foreign broker; NULL: none */
    rdg_metrics_t *metrics;      /* may be NULL */
} rdg_platform_options_t;

/* Opens the store, starts the broker, and connects; a foreign broker may be away: commands then wait. */
rdg_err_t rdg_platform_open(const rdg_platform_options_t *options, rdg_platform_t **out);
rdg_err_t rdg_platform_routes(rdg_platform_t *p, rdg_service_t *service);
/* Wakes every handler that waits; requests are refused (UNAVAILABLE) from now on. Call before the service
 * stops. */
void rdg_platform_stop(rdg_platform_t *p);
void rdg_platform_close(rdg_platform_t *p); /* after the service has stopped; stops the broker; frees */
const char *rdg_platform_broker_url(const rdg_platform_t *p);

#ifdef __cplusplus
}
#endif
#endif
