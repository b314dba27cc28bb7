/* Who may become a device, and how: tokens, requests that wait for an operator, devices that are replaced.
 *
 * A token is a secret for `uses` devices until it expires or is revoked. It may name a group (with site, location and
 * labels that its devices get), one device's name, and it may want every device approved by hand.
 *
 *   a request ──► done: the device exists                  a use is taken in the transaction that stores the device,
 *        └─► pending ──► granted ──► done                  or lets it wait; a refusal gives it back
 *               └─────► refused
 *
 * Invariants
 * 1. Of N + 1 devices that use a token of N uses at once exactly N are granted or wait.
 * 2. The same token with the same key and name is answered again, however often, also past its expiry: a device that
 *    lost the answer. It never takes a second use. A token that was revoked is answered to nobody, and none to a device
 *    that was revoked or removed since: it needs a new one.
 * 3. A request that waits holds no certificate and no access; nothing of it is believed but that it has its key.
 * 5. A device is of its token's tenant, and its name is that tenant's for ever: whoever comes with a token of another is
 *    refused, also when the device was removed.
 * 4. A retired key (its device was replaced) is refused for ever, under any name and token.
 * 6. Tokens that nobody has are tried slowly from one address, as access tokens are (rdg_service_judge); one that was there
 *    is no guess, whatever has become of it, and who comes with one that is in force is let in as before.
 *
 * Limits: ENROLMENT_TOKENS_MAX tokens, ENROLMENT_USES_MAX uses of one, ENROLMENT_PENDING_MAX requests that wait: then FULL,
 * after those that have not asked for ENROLMENT_SILENT_MS were dropped. */
#ifndef RIDGE_PLATFORM_ENROLMENT_H
#define RIDGE_PLATFORM_ENROLMENT_H
#include "internal.h"

#define ENROLMENT_TOKENS_MAX 100000
#define ENROLMENT_USES_MAX 100000
#define ENROLMENT_PENDING_MAX 1000
#define ENROLMENT_SILENT_MS 600000
#define ENROLMENT_TTL_MAX_S (365ull * 86400)
#define ENROLMENT_TOKEN_MAX 256 /* bytes of a token as it is shown */

typedef struct enrolment {
    /* What the device says; of the request's body. */
    const char *token, *name, *sign_request, *enc_request, *arch, *version, *group, *remote;
    rdg_access_t *access; /* knows how many devices a tenant may have; may be NULL */
    rdg_sm2_public_t key;
    rdg_sm2_signature_t signature;
    char public_key[129], fingerprint[17]; /* in hex; the first 16 digits of the key's SM3, for people */
    char *drivers;                         /* owned text */
    rdg_hash_t digest;
    /* What the store knows of the token … */
    bool found, revoked, approve, replaces;
    uint64_t expires_ms;
    int64_t uses, used;
    char bound[65], token_group[65], tenant[RDG_TENANT_MAX + 1];
    json_t *about; /* owned; NULL: nothing */
    /* … of what this key has asked with it … */
    char state[16], asked_name[65],
        reason[257]; /* "pending", "granted", "refused", "done", or "": nothing yet */
    int64_t decided_ms;
    /* … and of the name, and the key. */
    bool name_taken, name_same_key;
    int64_t device_revoked_ms;
    char name_tenant[RDG_TENANT_MAX + 1];   /* whose the name is, or was; "": nobody's yet */
    char device_group[65], retired_for[65]; /* the device that was replaced; "": the key is not retired */
} enrolment_t;

/* What a token is to be; NULL, 0, false: nothing said. */
typedef struct token_order {
    uint64_t expires_ms, uses;
    const json_t *about;             /* {"group", "site", "location", "labels"}: groups.h */
    const char *bound, *by, *tenant; /* tenant: whose devices will be */
    bool approve, replaces;
} token_order_t;

/* tokens.c. In a transaction of the caller. shown: "<secret>.<fingerprint of the root>". FULL. */
rdg_err_t token_make(rdg_platform_t *p, const token_order_t *order, char shown[ENROLMENT_TOKEN_MAX],
                     char id[17]);
void token_digest(const char *token, rdg_hash_t *out);
/* Tokens that replace this device are of no use any more. */
rdg_err_t token_end_replacements(rdg_platform_t *p, const char *device);
rdg_err_t token_check(void *platform, const char *tenant, const char *id); /* as devices_check */
extern const rdg_service_route_t token_routes[];
extern const size_t token_route_count;

/* admission.c: reads what the store knows, and judges. */
typedef enum admission_token {
    ADMISSION_UNKNOWN,
    ADMISSION_ENDED, /* expired, revoked, or used by as many as it is for */
    ADMISSION_IN_FORCE
} admission_token_t;
rdg_err_t admission_token(rdg_platform_t *p, const rdg_hash_t *digest, admission_token_t *out);
rdg_err_t admission_look(rdg_platform_t *p, enrolment_t *e);
rdg_err_t admission_judge(const enrolment_t *e);
/* In the transaction that looked and judged: notes the request as done, or as one that waits. */
rdg_err_t admission_note(rdg_platform_t *p, const enrolment_t *e, bool *waits);
void admission_fini(enrolment_t *e);
/* What people compare: the first 16 digits of the SM3 of a key, which is given in hex. */
void enrolment_fingerprint(const char *public_key, char out[17]);

/* pending.c: what an operator says about requests that wait */
int64_t pending_count(rdg_platform_t *p);
rdg_err_t pending_check(void *platform, const char *tenant, const char *number); /* as devices_check */
extern const rdg_service_route_t pending_routes[];
extern const size_t pending_route_count;

/* replace.c */
rdg_err_t replace_finish(rdg_platform_t *p); /* what a crash cut off; at the start */
/* The old hardware's key and certificates count no more. Before the new one's are stored; not in a transaction. */
rdg_err_t replace_retire(rdg_platform_t *p, const char *device);
extern const rdg_service_route_t replace_routes[];
extern const size_t replace_route_count;

#endif
