/* The connection to the cloud: enrolment, then MQTT; and the outbox from which final results go.
 *
 * Invariants
 * 1. A command's delivery is acknowledged only after executor_deliver has returned RDG_OK.
 * 2. A final result leaves the outbox only when the broker has acknowledged it; after a reconnect all others
 * are sent again. At most LINK_IN_FLIGHT are on the way at a time. */
#ifndef RIDGE_AGENT_LINK_H
#define RIDGE_AGENT_LINK_H
#include "executor.h"
#include "identity.h"
#include "uplink.h"

#define LINK_IN_FLIGHT 32

typedef struct link link_t;

typedef struct link_options {
    const char *dir, *cloud_url, *token, *name; /* token NULL: enrolled before */
    const char *group;                          /* that this device was prepared for; NULL: any */
    const char *const *drivers;
    identity_t *identity; /* borrowed; enrolment fills it before `up` is first called */
    uplink_t *uplink;     /* borrowed; carries enrolment and MQTT */
    journal_t *journal;
    void (*request)(void *ctx, rdg_bytes_t text);
    void (*certificates)(void *ctx, rdg_bytes_t text); /* devices/<id>/certificates */
    void (*list)(void *ctx, rdg_bytes_t text);         /* cloud/crl, retained */
    void (*telemetry)(void *ctx, rdg_bytes_t bytes);   /* devices/<id>/telemetry-ack */
    void (*trust)(void *ctx, rdg_bytes_t text);        /* cloud/image-trust, retained */
    void (*up)(void *ctx);                             /* connected */
    void (*refused)(void *ctx, rdg_err_t why); /* enrolment is refused for good; the thread's text says why */
    void *ctx;
} link_options_t;

rdg_err_t link_start(const link_options_t *options, link_t **out); /* does not wait for the cloud */
void link_set_executor(link_t *l, executor_t *x);                  /* before link_go */
rdg_err_t link_go(link_t *l);
void link_stop(link_t *l);
/* devices/<id>/<leaf>; dropped (UNAVAILABLE) when not connected. */
rdg_err_t link_publish(link_t *l, const char *leaf, rdg_bytes_t payload);
void link_flush(link_t *l); /* a final result is in the journal */
bool link_connected(link_t *l);
/* Whether an operator has to approve this device first; then the fingerprint of its key, as the operator sees it. */
bool link_waits(link_t *l, char key[65]);

#endif
