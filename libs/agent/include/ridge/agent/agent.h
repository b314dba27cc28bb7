/* The agent of an edge device: enrolment, commands over MQTT, workloads, intake of readings, telemetry, and a
 * local HTTP interface. docs/device-protocol.md is the contract with the cloud and with local programs.
 *
 * Invariants
 * 1. Workloads do not depend on the agent: they go on when it stops, and are found again when it starts.
 * 2. Desired state is acted on without the cloud, and before anything else is looked at: a device whose
 * identity, queues or ports are in trouble still runs its workloads.
 * 3. A command has one effect however often it is delivered, through any crash.
 * 4. The only root that the device and its nodes trust is the one that its enrolment token named. Their
 * certificates are renewed at two thirds of their life; the newest revocation list reaches every node.
 * 5. A reading answered with 202 is durable, and leaves the queue only after its transaction's receipt.
 * 6. A file that was taken to be uploaded is kept until the cloud has it durably, or refuses it for good.
 *
 * Threads: one for the link, one for MQTT (two with a local broker), workload supervision and health, telemetry, intake,
 * two for requests, two for HTTP, one for certificates, one for uploads, and up to 16 for commands while there are any. Stacks are small; the budget
 * is 12 MiB. */
#ifndef RIDGE_AGENT_AGENT_H
#define RIDGE_AGENT_AGENT_H
#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include "ridge/base/clock.h"
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_agent rdg_agent_t;

typedef struct rdg_agent_options {
    const char *dir;
    const char *cloud_url, *name;
    const char *token;  /* "<secret>.<fingerprint of the cloud's root>"; NULL: enrolled before */
    const char *group;  /* that this device was prepared for: tokens of another are refused; NULL: any */
    const char *driver; /* "auto", "process", "oci", "docker": which may be used; NULL: auto */
    const char *docker_socket;      /* of the engine for driver docker; NULL: RDG_CONTAINER_DOCKER_SOCKET */
    const char *node_program;       /* of driver process */
    const char *unpacker;           /* as in container.h; NULL: layers are unpacked in this process */
    const char *advertise_host;     /* where other nodes reach this device; NULL: 127.0.0.1 */
    const char *http_host;          /* NULL: 127.0.0.1 */
    uint16_t http_port;             /* 0: the system chooses; <dir>/agent.json tells */
    const char *intake_broker;      /* "none", "spawn", or a URL; NULL: none */
    uint64_t telemetry_interval_ms; /* 0: 5 s */
    uint64_t health_interval_ms;    /* between two looks at each node; 0: 10 s */
    uint64_t image_bytes;           /* above it images that nothing needs go; 0: 4 GiB */
    uint64_t queue_bytes;           /* 0: 64 MiB */
    uint64_t telemetry_bytes;       /* of telemetry that waits on disk for the cloud; 0: 4 MiB */
    uint64_t records_bytes;         /* of urgent records that wait; 0: 16 MiB */
    uint64_t outbox_bytes;          /* of files that wait to be uploaded; 0: 2 GiB */
    uint64_t upload_bytes_per_s;    /* of files; 0: as fast as the link goes */
    const rdg_clock_t *clock;       /* by which certificates age; NULL: the system's */
} rdg_agent_options_t;

/* Returns when workloads are supervised and the local interface answers, without waiting for the cloud.
 * Copies. BUSY: another agent uses this directory. */
rdg_err_t rdg_agent_start(const rdg_agent_options_t *options, rdg_agent_t **out);
void rdg_agent_stop(rdg_agent_t *a); /* takes; NULL is fine */
uint16_t rdg_agent_http_port(const rdg_agent_t *a);
/* A descriptor that becomes readable when the agent cannot go on: enrolment refused for good. Borrowed. */
int rdg_agent_failed_fd(const rdg_agent_t *a);
rdg_err_t rdg_agent_failure(rdg_agent_t *a); /* with its text */
/* The descriptor was made readable because a new program waits to be launched (launch.h): stop, then relaunch. */
bool rdg_agent_update_waits(rdg_agent_t *a);

/* What is wrong with this device, in plain words, whether its agent runs or not: {"device", "state", "checks": [{"check",
 * "state": "ok"|"warning"|"failure", "message", "remedy"}]}; the state of all is the worst of theirs. Changes
 * nothing, but for a damaged copy of the enrolment that it writes anew from the other.
 * Only dir, driver, node_program, queue_bytes, outbox_bytes and clock of the options are looked at. */
typedef enum rdg_agent_verdict { RDG_AGENT_SOUND, RDG_AGENT_WARNED, RDG_AGENT_FAILED } rdg_agent_verdict_t;
rdg_err_t rdg_agent_doctor(const rdg_agent_options_t *options, json_t **report, rdg_agent_verdict_t *verdict);

#ifdef __cplusplus
}
#endif
#endif
