/* A broker in the test's directory and clients that note what happens to them. */
#ifndef MQTT_TEST_H
#define MQTT_TEST_H
#include <pthread.h>
#include "ridge/net/broker.h"
#include "ridge/net/mqtt.h"
#include "ridge/test.h"

typedef struct peer {
    rdg_mqtt_t *mqtt;
    bool by_socket; /* as devices come, behind the gateway */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int ups, downs, published; /* published: without the probes */
    int probe, probed;         /* the probe's message id; how many have been acknowledged */
    char why[256];
    int messages, refusals; /* refusals: how many deliveries are still to be answered false */
    char last[256], topics[4096];
} peer_t;

rdg_broker_t *broker_open(int anonymous); /* skips the test when there is no mosquitto */
void peer_open(peer_t *p, const rdg_broker_t *b, const char *id, const char *user, const char *password,
               const char *topic);
void peer_close(peer_t *p);
void peer_send(peer_t *p, const char *topic, const char *text);
/* Waits until *counter (guarded by the peer's mutex) reaches want; fails after 15 s. */
#define peer_await(p, counter, want) peer_await_at(p, &(p)->counter, want, #counter, __FILE__, __LINE__)
void peer_await_at(peer_t *p, const int *counter, int want, const char *what, const char *file, int line);

/* Waits until the client is up for the want-th time and the broker holds its subscription: it takes a
 * connection's packets in order, so a probe that it acknowledges came behind the subscription. Whoever sends
 * to the client from another connection waits for this first. */
void peer_await_subscribed(peer_t *p, int want_ups);

#endif
