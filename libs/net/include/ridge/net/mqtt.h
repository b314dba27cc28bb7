/* MQTT 3.1.1 client (libmosquitto, a thread of its own), QoS 1, persistent session.
 *
 * Reconnects by itself with jittered back-off (0.1 s to 10 s, back to 0.1 s after a connection that lasted 5
 * s); a refused password is retried too, because the user may be made later. Subscriptions are renewed at
 * each connect.
 *
 * 1. The message callback runs on the client's thread, one message at a time. A message is acknowledged after
 * the callback has returned true: libmosquitto queues the acknowledgement before it calls, and nothing is
 * written to the connection until the callback has returned.
 * 2. MQTT has no negative acknowledgement. When the callback returns false, the connection is cut without
 * writing that acknowledgement, and the broker delivers again after the next connect, with back-off. What
 * that costs: messages accepted in the same read may come again too, and the broker publishes the will. So
 * false is for trouble of our own that will pass (a full disk), never for a message that is merely bad.
 * 3. Delivery is at least once: duplicates happen at every lost connection.
 * 4. Published messages wait in memory, at most max_queued, also across reconnects, until the broker has
 * acknowledged them (published is called) or the client is stopped. What must not be lost is in the caller's
 * durable queue until then. published may be called before rdg_mqtt_publish has returned.
 * 5. publish never waits for the client's thread, so it may be called under locks that the callbacks take.
 * Limits: RDG_MQTT_PAYLOAD_MAX both ways (a larger message is acknowledged, dropped and logged), max_queued,
 * RDG_MQTT_SUBSCRIPTIONS_MAX. The broker answers a publish that its ACL forbids as if it had been taken
 * (MQTT 3.1.1 has no other answer). Not done: QoS 2, TLS (a TLCP stream carries the connection), MQTT 5
 * properties. */
#ifndef RIDGE_NET_MQTT_H
#define RIDGE_NET_MQTT_H
#include <stdbool.h>
#include "ridge/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_MQTT_PAYLOAD_MAX (1u << 20)
#define RDG_MQTT_SUBSCRIPTIONS_MAX 16

typedef struct rdg_mqtt rdg_mqtt_t;

typedef struct rdg_mqtt_options {
    const char *url;                 /* mqtt://host:port (1883) or mqtt+unix:///path */
    const char *client_id;           /* names the session; two clients with one id push each other out */
    const char *username, *password; /* may be NULL */
    const char *will_topic, *will_payload; /* may be NULL; retained */
    unsigned keepalive_s;                  /* 0: 30 */
    size_t max_queued;                     /* 0: 1,000 */
    const char *const *subscriptions;
    size_t subscription_count;
    bool (*message)(void *ctx, const char *topic,
                    rdg_bytes_t payload); /* may be NULL without subscriptions */
    /* On the client's thread. up: connected, subscriptions are on their way ahead of whatever is published
     * now. Not up: lost, or an attempt failed for another reason than the last. May be NULL. */
    void (*connection)(void *ctx, bool up, const char *why);
    void (*published)(void *ctx, int message_id); /* on the client's thread; may be NULL */
    void *ctx;
} rdg_mqtt_options_t;

/* Does not wait for the connection. Copies the strings. INVALID: URL, client id, topics. */
rdg_err_t rdg_mqtt_start(const rdg_mqtt_options_t *options, rdg_mqtt_t **out);
/* Waits up to 2 s for what has been published, disconnects (no will), joins the thread, frees. Not from a
 * callback. NULL is fine. */
void rdg_mqtt_stop(rdg_mqtt_t *m);
/* Thread-safe. UNAVAILABLE when not connected, FULL, TOO_LARGE, INVALID (topic). *message_id may be NULL. */
rdg_err_t rdg_mqtt_publish(rdg_mqtt_t *m, const char *topic, rdg_bytes_t payload, bool retain,
                           int *message_id);
bool rdg_mqtt_connected(const rdg_mqtt_t *m);

#ifdef __cplusplus
}
#endif
#endif
