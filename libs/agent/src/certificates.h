/* The certificates of this device and of its nodes: installed, kept fresh, and the revocation list that all of
 * them go by.
 *
 * Renewal: at two thirds of a life, and up to a twelfth later so that devices do not come all at once, a new
 * encryption key is made and both certificates are asked for over MQTT, signed by the device's present key. The
 * old set stays in use until the new one is installed, whatever comes in between; what fails is tried again
 * with a back-off from a minute to an hour (shorter for short lives). With less than a tenth of a life left
 * telemetry carries an alarm.
 *
 * The list: a newer one, signed by the CA of our certificates under our root, replaces <dir>/ca.crl and the copy
 * in each node's directory; an older one is refused. One of another issuing CA under our root means that the
 * cloud has changed its CA: everything is renewed then.
 *
 * The list of whose images may run here (image_trust.h) comes the same way, and is kept beside.
 *
 * One thread does all of it; the callbacks only leave what came. */
#ifndef RIDGE_AGENT_CERTIFICATES_H
#define RIDGE_AGENT_CERTIFICATES_H
#include "credentials.h"
#include "ridge/base/clock.h"
#include "ridge/crypto/cert_issue.h"
#include "workloads.h"

typedef struct certificates certificates_t;

typedef struct certificates_options {
    const char *dir, *device;
    const rdg_clock_t *clock; /* borrowed */
    workloads_t *workloads;   /* borrowed; its chains are looked after */
    /* Hands a request to the cloud; an error: not connected. Any time. */
    rdg_err_t (*send)(void *ctx, rdg_bytes_t request);
    /* New credentials of the device (chain ""), of a node, or a new list (chain NULL) are on disk. */
    void (*changed)(void *ctx, const char *chain);
    void *ctx;
} certificates_options_t;

rdg_err_t certificates_start(const certificates_options_t *options, certificates_t **out);
void certificates_stop(certificates_t *c); /* joins; NULL is fine */
void certificates_free(certificates_t *c);

/* "<device>" or "<device>.<chain>" */
void certificates_name(const char *device, const char *chain, char out[RDG_CERT_DNS_MAX]);
/* What chain.start carries: {"sign","enc","chain"} for the keys of the node, under the device's roots. */
rdg_err_t certificates_install_node(certificates_t *c, const char *chain, const json_t *certificates);
/* From the MQTT client's thread. Both copy, and drop what is too large. */
void certificates_answer(certificates_t *c, rdg_bytes_t text); /* devices/<id>/certificates */
void certificates_list(certificates_t *c, rdg_bytes_t text);   /* cloud/crl */
void certificates_trust(certificates_t *c, rdg_bytes_t text);  /* cloud/image-trust */
void certificates_kick(certificates_t *c);                     /* connected: look now */
/* [{"chain","not_after_ms","alarm"}] for telemetry; owned, NULL without memory. */
json_t *certificates_status(certificates_t *c);

#endif
