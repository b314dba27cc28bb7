/* Who this device is towards the cloud: its keys and certificates (credentials.h) and the access to the broker
 * that enrolment answered (<dir>/enrolment.json, mode 0600, replaced atomically, written last). */
#ifndef RIDGE_AGENT_IDENTITY_H
#define RIDGE_AGENT_IDENTITY_H
#include <stdbool.h>
#include <stdint.h>
#include "ridge/crypto/sm2.h"

typedef struct identity {
    rdg_sm2_key_t *key;
    bool enrolled;
    int64_t not_after_s; /* of the device's sign certificate, when enrolled */
    char device_id[65], cloud_url[300], mqtt_username[128], mqtt_password[256];
} identity_t;

/* Loads both, makes the key when there is none. */
rdg_err_t identity_load(const char *dir, identity_t *out);
void identity_fini(identity_t *i);
typedef struct identity_enrolment {
    const char *dir, *token, *name;
    const char *cloud_url;      /* kept with the answer: a restarted agent need not be told it again */
    const char *socket;         /* of the cloud's enrolment service (uplink.h) */
    const char *group;          /* that this device was prepared for; NULL: any */
    const char *const *drivers; /* names, NULL-terminated */
} identity_enrolment_t;

typedef struct identity_wait { /* an operator has to approve this device */
    uint64_t retry_ms;         /* 0: nobody has to */
    char key[65];              /* the fingerprint that the operator is shown */
} identity_wait_t;

/* One attempt. RDG_OK and i->enrolled still false: ask again in wait->retry_ms; the device holds nothing until then.
 * UNAVAILABLE and TIMEOUT are worth another attempt; UNAUTHENTICATED (also: another root than the token's), FORBIDDEN,
 * EXISTS, INVALID are final. */
rdg_err_t identity_enrol(identity_t *i, const identity_enrolment_t *how, identity_wait_t *wait);

#endif
