/* Subscriptions: urgent records and alarms of devices, delivered to a webhook or by the cloud's broker.
 *
 * What is delivered is read from where it is kept (records.db, the changes of alarms), behind a mark for each subscription
 * that moves when the subscriber has taken it. So nothing is copied, and the queue is on disk and as bounded as what it
 * is read from.
 *
 *   waiting ──due──► sending ──2xx / ack──► mark moves ──► next
 *                       └─ else: back-off 1 s … 5 min, Retry-After ──► sending again
 *                             └─ three times, and refused for good alone or older than give_up_ms ──► dead letter ──► next
 *
 * Invariants
 * 1. At least once: the mark is moved after the subscriber's answer, synced. Each event has an id that stays the same
 *    (record-N, alarm-N), so that what comes again is known.
 * 2. Order: one delivery at a time a subscription, oldest first, alarms and records each in theirs; so that of a device is
 *    kept.
 * 3. Each subscription has a thread: one that is slow or dead holds up nobody else.
 * 4. Records that an active subscription of the cloud's own waits for are not given up for new ones (collect.h); for a
 *    tenant's this is not promised: its dead subscriber would take the room of all. What is given up is a row of
 *    dead_letters: its numbers, how often it was tried and why it failed; the events themselves stay readable.
 * 5. A webhook is asked for at no link-local, metadata or multicast address unless options allow it for the cloud's own,
 *    whatever its name resolves to; redirects are not followed; SUBSCRIPTION_TIMEOUT_MS and SUBSCRIPTION_ANSWER_MAX bound its
 *    answer. Nor, for a tenant, at a loopback or private one outside the ranges that options allow: what listens there trusts
 *    the cloud's own network.
 * 6. An https:// webhook is sent nothing before its certificate was verified: by the CA of the subscription alone, where it
 *    has one, else by the system's roots.
 * 7. By MQTT the broker keeps what is published for a subscriber that has been there and is away (its session). Its answer
 *    counts whenever it comes; and any answer shows that it is there, so what is due goes out at once. What is published
 *    again and again for somebody who is away is one event, so that little piles up at the broker.
 *
 * Deliveries are signed with HMAC-SM3 and not with a key of the cloud: each subscriber has a secret of its own, so a delivery
 * says to whom it was sent and cannot be passed on as one for another; nothing has to be fetched, trusted and renewed to
 * verify it; and no key that certificates or receipts depend on signs what somebody else has written. Who must prove a record
 * to a third party has the ledger for that.
 *
 * Bodies, headers and topics: docs/rest-api.md. Secrets are in records.db (mode 0600) and are shown once.
 * Limits: SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_TENANT_MAX of a tenant, SUBSCRIPTION_BATCH events and SUBSCRIPTION_BATCH_BYTES of data a delivery (one event at least),
 * SUBSCRIPTION_DEAD_MAX dead letters each, the oldest go. Thread-safe. */
#ifndef RIDGE_PLATFORM_SUBSCRIPTION_H
#define RIDGE_PLATFORM_SUBSCRIPTION_H
#include "internal.h"
#include "ridge/net/http_client.h"

#define SUBSCRIPTIONS_MAX 32
#define SUBSCRIPTIONS_TENANT_MAX 8
#define SUBSCRIPTION_BATCH 100
#define SUBSCRIPTION_BATCH_BYTES (256u << 10)
#define SUBSCRIPTION_BODY_MAX (1u << 20)
#define SUBSCRIPTION_TIMEOUT_MS 10000
#define SUBSCRIPTION_ANSWER_MAX (64u << 10)
#define SUBSCRIPTION_URL_MAX 1024
#define SUBSCRIPTION_SECRET_MAX 128
#define SUBSCRIPTION_CA_MAX 8192
#define SUBSCRIPTION_DEAD_MAX 1000
#define SUBSCRIPTION_GIVE_UP_MS (3ull * 86400000)
#define SUBSCRIPTION_REFUSED_TRIES 3 /* at least, before something is given up */
#define SUBSCRIPTION_USER                                                                                    \
    "_sub." /* in front of a subscription's name: its user at the broker; no device is called so */

typedef enum subscription_source {
    SUBSCRIPTION_ALARMS,
    SUBSCRIPTION_RECORDS,
    SUBSCRIPTION_SOURCES
} subscription_source_t;

/* What is meant by a subscription; "" means any. */
typedef struct subscription_spec {
    char name[65], url[SUBSCRIPTION_URL_MAX + 1]; /* url "": by MQTT */
    char secret[SUBSCRIPTION_SECRET_MAX + 1];
    char ca[SUBSCRIPTION_CA_MAX +
            1]; /* PEM: who may have certified an https:// webhook; "": the system's roots */
    bool wants[SUBSCRIPTION_SOURCES], paused;
    char kind[65], device[65], group[65], site[65];
    char tenant[RDG_TENANT_MAX + 1]; /* of whose devices alone; "": of all, the cloud's own */
    uint64_t give_up_ms;
    int64_t number; /* of its row */
    int64_t created_ms;
} subscription_spec_t;

typedef struct subscription_state {
    int64_t marks[SUBSCRIPTION_SOURCES]; /* number of the last that is done with */
    int64_t delivered, dead, last_ms;    /* events; when the last delivery was taken; 0: never */
    unsigned tries;                      /* of the delivery that is due; 0: it has not failed */
    char error[256];
} subscription_state_t;

typedef struct subscriptions subscriptions_t;

/* Where webhooks may lead. */
typedef struct subscription_reach {
    bool link_local;              /* the cloud's own: anywhere */
    rdg_address_ranges_t allowed; /* loopback and private ones to which tenants' may lead */
} subscription_reach_t;

/* reach: copied. */
rdg_err_t subscriptions_open(rdg_platform_t *p, const subscription_reach_t *reach, rdg_metrics_t *metrics,
                             subscriptions_t **out);
void subscriptions_stop(
    subscriptions_t *s); /* joins: a delivery that is on its way is waited for; NULL is fine */
void subscriptions_close(subscriptions_t *s);
void subscriptions_kick(subscriptions_t *s); /* something is new; NULL is fine */
/* A subscriber says by MQTT that it has taken a delivery, or, without one, that it is there. user: as in the topic. */
void subscriptions_acked(subscriptions_t *s, const char *user, rdg_bytes_t payload);
extern const rdg_service_route_t subscription_routes[]; /* the context is the subscriptions_t */
extern const size_t subscription_route_count;

/* For subscription_rest.c. spec->secret is used. EXISTS, FULL. */
rdg_err_t subscriptions_add(subscriptions_t *s, subscription_spec_t *spec, bool from_start);
rdg_err_t subscriptions_remove(subscriptions_t *s, const char *name);
/* marks: where to go on from; NULL or below 0: as it is. */
rdg_err_t subscriptions_pause(subscriptions_t *s, const char *name, bool pause, const int64_t *marks);
rdg_err_t subscriptions_get(subscriptions_t *s, const char *name, subscription_spec_t *spec,
                            subscription_state_t *state);
/* Of a tenant (NULL: all), sorted. */
size_t subscriptions_names(subscriptions_t *s, const char *tenant, char names[SUBSCRIPTIONS_MAX][65]);
/* As rdg_service_owner_t wants it. */
rdg_err_t subscriptions_own(void *subscriptions, const char *tenant, const char *name);
rdg_err_t subscriptions_in_use(subscriptions_t *s, const char *tenant); /* CONFLICT: it has some */
/* Sends one event of type test, now. *status: of the webhook; 0 by MQTT, where it is published and not waited for. */
rdg_err_t subscriptions_test(subscriptions_t *s, const char *name, unsigned *status);
/* The broker's user of a subscription by MQTT gets this password; false: a foreign broker, which knows its users. */
rdg_err_t subscriptions_user(subscriptions_t *s, const char *name, const char *password, bool *own);
rdg_sql_t *subscriptions_db(subscriptions_t *s);
/* Tests: how long an answer by MQTT is waited for, and the first pause after a delivery that failed. */
void subscriptions_pace(subscriptions_t *s, uint64_t answer_ms, uint64_t pause_ms);

/* --- subscription_store.c: tables of records.db ------------------------------------------------------------- */
rdg_err_t subscription_store_open(rdg_sql_t *db);
rdg_err_t subscription_store_add(rdg_sql_t *db, subscription_spec_t *spec,
                                 const subscription_state_t *state); /* EXISTS */
rdg_err_t subscription_store_remove(rdg_sql_t *db, int64_t number);
rdg_err_t subscription_store_pause(rdg_sql_t *db, int64_t number, bool paused);
rdg_err_t subscription_store_state(rdg_sql_t *db, int64_t number, const subscription_state_t *state);
rdg_err_t subscription_store_each(rdg_sql_t *db,
                                  rdg_err_t (*fn)(void *ctx, const subscription_spec_t *spec,
                                                  const subscription_state_t *state),
                                  void *ctx);
typedef struct subscription_dead {
    subscription_source_t source;
    int64_t first, last, at_ms;
    size_t count;
    unsigned tries;
    const char *error;
} subscription_dead_t;
/* The dead letter and the state behind it together. */
rdg_err_t subscription_store_bury(rdg_sql_t *db, int64_t number, const subscription_dead_t *dead,
                                  const subscription_state_t *state);
rdg_err_t subscription_store_dead(rdg_sql_t *db, int64_t number, uint64_t limit,
                                  json_t **out); /* newest first; owned */

/* --- subscription_batch.c: what is delivered next -------------------------------------------------------------- */
typedef struct subscription_batch {
    subscription_source_t source;
    json_t *events; /* array; owned */
    int64_t first, last;
    int64_t newest_ms; /* when the last of them arrived */
} subscription_batch_t;
/* Reads behind the marks and moves those over what is not wanted. No events: nothing to deliver.
 * start: the source that is looked at first; max: events. */
rdg_err_t subscription_batch_read(rdg_platform_t *p, const subscription_spec_t *spec,
                                  subscription_source_t start, int64_t marks[SUBSCRIPTION_SOURCES],
                                  size_t max, subscription_batch_t *out);
void subscription_batch_fini(subscription_batch_t *b);
/* Where a new subscription begins: behind all there is, or before. */
rdg_err_t subscription_batch_marks(rdg_platform_t *p, bool from_start, int64_t marks[SUBSCRIPTION_SOURCES]);

/* --- subscription_send.c --------------------------------------------------------------------------------------- */
typedef struct subscription_outcome {
    unsigned status, retry_after_s; /* status 0: no answer */
    bool taken, refused;            /* refused: the subscriber will never take this body */
    char error[256];
} subscription_outcome_t;
/* The body of a delivery; out is appended to. */
rdg_err_t subscription_body(const subscription_spec_t *spec, const char *delivery, const json_t *events,
                            rdg_buf_t *out);
/* A client for its webhook, which borrows spec->ca and reach. */
rdg_err_t subscription_http(const subscription_spec_t *spec, const subscription_reach_t *reach,
                            rdg_http_client_t **out);
void subscription_post(rdg_http_client_t *http, const subscription_spec_t *spec, const char *delivery,
                       rdg_bytes_t body, subscription_outcome_t *out);

#endif
