/* The cloud-edge platform: enrolment of devices, their registry, commands and requests, and the CA that
 * certifies devices, nodes and the cloud itself (docs/device-protocol.md).
 *
 * It owns `<data_dir>/platform.db` and, unless a broker's URL is given, a mosquitto under
 * `<data_dir>/broker`. Everything is reached over REST: rdg_platform_routes are the paths of docs/rest-api.md
 * under /devices, /device-tokens, /enrol, /commands, /files, /telemetry, /ca and /certificates.
 *
 * Invariants
 * 1. A command is on disk before it is published, and is published until the broker has taken it: also after
 * a restart of the cloud or the loss of the broker. Devices make one effect of many deliveries.
 * 2. A command goes to the broker only while its device is online. One that was never handed over (`queued`)
 * can therefore be cancelled for certain; any other cannot (CONFLICT). Of one device's commands urgent ones go
 * before normal ones before bulk ones, and those of one priority in the order in which they were created.
 * 3. done, failed, expired and cancelled are final: no later result changes them.
 * 4. A device speaks for itself only: results and responses count when they come on that device's own topic.
 * 5. Of an enrolment token only its SM3 is stored; a token enrols one device, and tells it which root to
 * trust.
 * 6. A device whose certificate is revoked, or that is removed, has no access to the broker any more, and the
 * next revocation list is published at once (retained, topic cloud/crl), a fresh one every day.
 *
 * 7. A file that a device was told is stored is stored, and a piece of one that it was told is taken is on disk,
 * through any crash.
 * 8. So is a telemetry record that a device was told is stored, in `<data_dir>/monitor.db`.
 *
 * 9. An urgent record that a device was told is stored is stored, in `<data_dir>/records.db`, and is delivered to each
 * subscription that wants it, or is a dead letter of it (src/subscription.h).
 *
 * Limits: 100,000 devices; 1,000 unfinished commands a device; 512 KiB of parameters and of a result; 1,024
 * requests waiting; finished commands are kept for 30 days, at most 100,000 of them, unless the options say otherwise.
 * Threads: all functions from one thread; routes run on the service's threads. */
#ifndef RIDGE_PLATFORM_PLATFORM_H
#define RIDGE_PLATFORM_PLATFORM_H
#include "ridge/service/access.h"

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
    const char *ca_chain,
        *ca_key;            /* PEM files of an external CA to issue under; NULL: our own in <data>/ca */
    const char *link_names; /* DNS names of the cloud's certificate beside "cloud", comma between; NULL */
    uint64_t certificate_life_ms; /* of devices' and nodes' certificates; 0: a year */
    uint64_t collect_bytes,
        collect_device_bytes; /* of files from devices, and of one; 0: 256 GiB, the same */
    /* "s3+https://host/bucket/prefix", where files from devices are kept, a file of AWS's form with its credentials
     * (NULL: the systemd credential "object-store"), and a PEM file, read once, of the CAs by which it is believed (NULL:
     * the system's); NULL: files in data_dir. */
    const char *collect_store, *collect_store_credentials, *collect_store_ca;
    uint64_t command_keep_ms,
        command_keep;        /* age and number of ended commands that are kept; 0: 30 days, 100,000 */
    bool webhook_link_local; /* the cloud's own subscriptions may name link-local and metadata addresses */
    /* Ranges of loopback and private addresses ("10.20.0.0/16,…") to which tenants' webhooks may lead; NULL: none. */
    const char *webhook_allow;
    const rdg_clock_t *clock; /* of certificates and revocation lists; NULL: the system's */
} rdg_platform_options_t;

/* Opens the store, starts the broker, and connects; a foreign broker may be away: commands then wait. */
rdg_err_t rdg_platform_open(const rdg_platform_options_t *options, rdg_platform_t **out);
/* POST /enrol alone: for the gateway's service, which anybody reaches. */
rdg_err_t rdg_platform_enrol_routes(rdg_platform_t *p, rdg_service_t *service);
rdg_err_t rdg_platform_routes(rdg_platform_t *p, rdg_service_t *service);
/* CONFLICT names what a tenant still has; platform: an rdg_platform_t *, as rdg_access_in_use wants it. */
rdg_err_t rdg_platform_in_use(void *platform, const char *tenant);
/* Of RDG_SHARE_DEVICES and RDG_SHARE_ROLLOUTS; platform: as rdg_share_count_t wants it. */
rdg_err_t rdg_platform_count(void *platform, rdg_share_t share, const char *tenant, uint64_t *used);
/* Wakes every handler that waits; requests are refused (UNAVAILABLE) from now on. Call before the service
 * stops. */
void rdg_platform_stop(rdg_platform_t *p);
void rdg_platform_close(rdg_platform_t *p); /* after the service has stopped; stops the broker; frees */
const char *rdg_platform_broker_url(const rdg_platform_t *p);

#ifdef __cplusplus
}
#endif
#endif
