/* MQTT client (libmosquitto, MQTT 3.1.1/5, own thread), QoS 1, persistent session.
 *
 * Reconnects by itself with jittered back-off (0.1 s to 10 s). Subscriptions are renewed after each connect.
 * The message callback runs on the client's thread; the broker's message is acknowledged when it returns true;
 * returning false leaves it unacknowledged (the broker delivers again after the next connect).
 * Published messages wait in memory, at most max_queued; beyond it publish answers FULL: what must not be lost is in
 * the caller's durable queue until `published` reports it as taken by the broker. */
#ifndef RIDGE_NET_MQTT_H
#define RIDGE_NET_MQTT_H
#include <stdbool.h>
#include "ridge/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_MQTT_PAYLOAD_MAX (1u << 20)

typedef struct rdg_mqtt rdg_mqtt_t;

typedef struct rdg_mqtt_options {
    const char *url;       /* mqtt://host:port or mqtt+unix:///path */
    const char *client_id, *username, *password;
    const char *will_topic, *will_payload; /* may be NULL; retained */
    unsigned keepalive_s;  /* 0: 30 */
    size_t max_queued;     /* 0: 1,000 */
    const char *const *subscriptions;
    size_t subscription_count;
    bool (*message)(void *ctx, const char *topic, rdg_bytes_t payload);
    void (*connection)(void *ctx, bool up, const char *why); /* may be NULL */
    void (*published)(void *ctx, int message_id);            /* may be NULL */
    void *ctx;
} rdg_mqtt_options_t;

/* Does not wait for the connection. Copies the strings. */
rdg_err_t rdg_mqtt_start(const rdg_mqtt_options_t *options, rdg_mqtt_t **out);
void rdg_mqtt_stop(rdg_mqtt_t *m); /* disconnects, joins the thread, frees */
/* Thread-safe. UNAVAILABLE when not connected, FULL, TOO_LARGE. *message_id may be NULL. */
rdg_err_t rdg_mqtt_publish(rdg_mqtt_t *m, const char *topic, rdg_bytes_t payload, bool retain, int *message_id);
bool rdg_mqtt_connected(const rdg_mqtt_t *m);

#ifdef __cplusplus
}
#endif
#endif
