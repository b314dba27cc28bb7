#include "mqtt_test.h"
#include <stdio.h>
#include <time.h>

rdg_broker_t *broker_open(int anonymous) {
    char dir[256];
    rdg_broker_t *b;
    snprintf(dir, sizeof dir, "%s/broker", rdg_test_dir());
    rdg_err_t err = rdg_broker_start(&(rdg_broker_options_t){.dir = dir, .anonymous = anonymous}, &b);
    if (err == RDG_E_NOT_FOUND) rdg_test_skip("mosquitto is not installed");
    CHECK_OK(err);
    return b;
}

static bool on_message(void *ctx, const char *topic, rdg_bytes_t payload) {
    peer_t *p = ctx;
    pthread_mutex_lock(&p->mutex);
    snprintf(p->last, sizeof p->last, "%.*s", (int)payload.len, (const char *)payload.data);
    snprintf(p->topics + strlen(p->topics), sizeof p->topics - strlen(p->topics), "%s ", topic);
    ++p->messages;
    bool take = p->refusals == 0 || p->refusals-- == 0;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    return take;
}

static void on_connection(void *ctx, bool up, const char *why) {
    peer_t *p = ctx;
    pthread_mutex_lock(&p->mutex);
    ++*(up ? &p->ups : &p->downs);
    snprintf(p->why, sizeof p->why, "%s", why);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

static void on_published(void *ctx, int id) {
    peer_t *p = ctx;
    CHECK(id > 0);
    pthread_mutex_lock(&p->mutex);
    bool probe = id == p->probe;
    ++*(probe ? &p->probed : &p->published);
    if (probe) p->probe = 0; /* the next client counts its ids anew */
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

void peer_open(peer_t *p, const rdg_broker_t *b, const char *id, const char *user, const char *password,
               const char *topic) {
    if (!p->why[0]) {
        pthread_mutex_init(&p->mutex, NULL);
        pthread_cond_init(&p->changed, NULL);
    }
    char by_socket[160];
    snprintf(by_socket, sizeof by_socket, "mqtt+unix://%s", rdg_broker_socket(b) ? rdg_broker_socket(b) : "");
    rdg_mqtt_options_t o = {.url = p->by_socket ? by_socket : rdg_broker_url(b),
                            .client_id = id,
                            .username = user,
                            .password = password,
                            .will_topic = "devices/dev1/status",
                            .will_payload = "gone",
                            .subscriptions = &topic,
                            .subscription_count = topic ? 1 : 0,
                            .message = on_message,
                            .connection = on_connection,
                            .published = on_published,
                            .ctx = p};
    if (!user || strcmp(user, "dev1") != 0) o.will_topic = NULL;
    CHECK_OK(rdg_mqtt_start(&o, &p->mqtt));
}

void peer_close(peer_t *p) {
    rdg_mqtt_stop(p->mqtt);
    p->mqtt = NULL;
}

void peer_send(peer_t *p, const char *topic, const char *text) {
    CHECK_OK(rdg_mqtt_publish(p->mqtt, topic, rdg_bytes_str(text), false, NULL));
}

void peer_await_at(peer_t *p, const int *counter, int want, const char *what, const char *file, int line) {
    struct timespec end;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    pthread_mutex_lock(&p->mutex);
    while (*counter < want && rc == 0) rc = pthread_cond_timedwait(&p->changed, &p->mutex, &end);
    int got = *counter;
    pthread_mutex_unlock(&p->mutex);
    if (got < want) rdg_test_fail(file, line, "%s is %d after 60 s, want %d (%s)", what, got, want, p->why);
}

void peer_await_subscribed(peer_t *p, int want_ups) {
    peer_await(p, ups, want_ups);
    pthread_mutex_lock(&p->mutex);
    int want = p->probed + 1;
    /* Under the mutex: the acknowledgement may come before publish has returned the id. No "#" matches $. */
    CHECK_OK(rdg_mqtt_publish(p->mqtt, "$probe", rdg_bytes_str(""), false, &p->probe));
    pthread_mutex_unlock(&p->mutex);
    peer_await(p, probed, want);
}
