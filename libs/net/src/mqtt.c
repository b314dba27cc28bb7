#include "ridge/net/mqtt.h"
#include "mqtt_url.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 100u
#define BACKOFF_MAX_MS 10000u
#define STABLE_MS 5000u /* a connection that lasted so long starts the back-off anew */
#define CONNECT_TIMEOUT_MS 10000u
#define STOP_TIMEOUT_MS 2000u
#define TURN_MS 1000 /* how often keep-alive is looked at */
#define IN_FLIGHT_MAX 64u

struct rdg_mqtt {
    rdg_mqtt_options_t options; /* strings owned by the arrays and pointers below */
    char host[256], *subscriptions[RDG_MQTT_SUBSCRIPTIONS_MAX];
    int port;
    struct mosquitto *mosq;
    int wake_fd;
    pthread_t thread;
    atomic_bool stopping, connected;
    atomic_size_t outstanding; /* published and not acknowledged */
    /* The rest belongs to the thread. */
    bool started, refused, answered;
    uint64_t since_ms; /* of the connection or the attempt */
    unsigned failures; /* in a row */
    char why[160], reported[160];
};

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static void wake(const rdg_mqtt_t *m) {
    uint64_t one = 1;
    (void)!write(m->wake_fd, &one, sizeof one);
}

static void set_why(rdg_mqtt_t *m, const char *why) {
    snprintf(m->why, sizeof m->why, "%s", why);
}

static void on_connect(struct mosquitto *mosq, void *ctx, int code) {
    rdg_mqtt_t *m = ctx;
    m->answered = true;
    if (code != 0) {
        set_why(m, mosquitto_connack_string(code));
        return;
    }
    for (size_t i = 0; i < m->options.subscription_count; ++i) {
        int rc = mosquitto_subscribe(mosq, NULL, m->subscriptions[i], 1);
        if (rc != MOSQ_ERR_SUCCESS)
            rdg_log(RDG_LOG_ERROR, "mqtt.subscribe_failed", RDG_STR("topic", m->subscriptions[i]),
                    RDG_STR("why", mosquitto_strerror(rc)));
    }
    m->since_ms = now_ms();
    m->reported[0] = '\0';
    atomic_store(&m->connected, true);
    if (m->options.connection) m->options.connection(m->options.ctx, true, "");
}

static void on_subscribe(struct mosquitto *mosq, void *ctx, int id, int count, const int *granted) {
    (void)mosq, (void)ctx;
    for (int i = 0; i < count; ++i)
        if (granted[i] > 2) rdg_log(RDG_LOG_ERROR, "mqtt.subscription_refused", RDG_I64("message_id", id));
}

static void on_message(struct mosquitto *mosq, void *ctx, const struct mosquitto_message *message) {
    rdg_mqtt_t *m = ctx;
    (void)mosq;
    /* The rest of what one read brought is not acknowledged either. */
    if (m->refused || !m->options.message) return;
    if (message->payloadlen < 0 || (size_t)message->payloadlen > RDG_MQTT_PAYLOAD_MAX) {
        rdg_log(RDG_LOG_WARN, "mqtt.message_too_large", RDG_STR("topic", message->topic),
                RDG_I64("bytes", message->payloadlen));
        return;
    }
    rdg_bytes_t payload = rdg_bytes(message->payload, (size_t)message->payloadlen);
    if (!m->options.message(m->options.ctx, message->topic, payload)) m->refused = true;
}

static void on_publish(struct mosquitto *mosq, void *ctx, int id) {
    rdg_mqtt_t *m = ctx;
    (void)mosq;
    atomic_fetch_sub(&m->outstanding, 1);
    if (m->options.published) m->options.published(m->options.ctx, id);
}

/* Nothing that waits to be written leaves: the broker sees a lost connection. */
static void cut(rdg_mqtt_t *m) {
    int fd = mosquitto_socket(m->mosq);
    if (fd < 0) return;
    (void)shutdown(fd, SHUT_RDWR);
    (void)mosquitto_loop_read(m->mosq, 1);
    if (mosquitto_socket(m->mosq) >= 0) (void)mosquitto_disconnect(m->mosq);
}

/* One turn of the connection; false when it is over, with the reason in why. */
static bool turn(rdg_mqtt_t *m) {
    struct pollfd fds[2] = {{mosquitto_socket(m->mosq), POLLIN, 0}, {m->wake_fd, POLLIN, 0}};
    uint64_t count;
    if (mosquitto_want_write(m->mosq)) fds[0].events |= POLLOUT;
    if (poll(fds, 2, TURN_MS) < 0 && errno != EINTR) return false;
    if (fds[1].revents) (void)!read(m->wake_fd, &count, sizeof count);
    int rc = MOSQ_ERR_SUCCESS;
    if (fds[0].revents & (POLLIN | POLLERR | POLLHUP)) rc = mosquitto_loop_read(m->mosq, 1);
    if (m->refused) {
        set_why(m, "a message was refused, to be delivered again");
        cut(m);
        return false;
    }
    if (rc == MOSQ_ERR_SUCCESS && mosquitto_want_write(m->mosq)) rc = mosquitto_loop_write(m->mosq, 1);
    if (rc == MOSQ_ERR_SUCCESS) rc = mosquitto_loop_misc(m->mosq);
    if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(m->mosq) < 0) {
        if (!m->why[0]) set_why(m, rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
        return false;
    }
    if (!m->answered && now_ms() - m->since_ms > CONNECT_TIMEOUT_MS) {
        set_why(m, "the broker does not answer");
        cut(m);
        return false;
    }
    return true;
}

static bool connect_once(rdg_mqtt_t *m) {
    m->answered = m->refused = false;
    m->why[0] = '\0';
    m->since_ms = now_ms();
    int rc = m->started ? mosquitto_reconnect_async(m->mosq)
                        : mosquitto_connect_async(m->mosq, m->host, m->port, (int)m->options.keepalive_s);
    m->started = true;
    if (rc == MOSQ_ERR_SUCCESS) return true;
    set_why(m, rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
    return false;
}

static void report_lost(rdg_mqtt_t *m) {
    bool was_up = atomic_exchange(&m->connected, false);
    if (was_up && now_ms() - m->since_ms >= STABLE_MS) m->failures = 0;
    ++m->failures;
    char text[sizeof m->reported];
    snprintf(text, sizeof text, "%.100s: %.50s", m->options.url, m->why[0] ? m->why : "connection lost");
    if (!was_up && strcmp(text, m->reported) == 0) return;
    memcpy(m->reported, text, sizeof text);
    if (m->options.connection) m->options.connection(m->options.ctx, false, text);
}

static void back_off(rdg_mqtt_t *m) {
    unsigned doublings = m->failures > 8 ? 8 : m->failures - 1;
    uint64_t most = BACKOFF_MIN_MS << doublings, count;
    if (most > BACKOFF_MAX_MS) most = BACKOFF_MAX_MS;
    uint64_t end = now_ms() + most / 2 + rdg_random_below(rdg_random_system(), most / 2 + 1);
    while (!atomic_load(&m->stopping)) {
        uint64_t now = now_ms();
        if (now >= end) return;
        struct pollfd f = {m->wake_fd, POLLIN, 0};
        if (poll(&f, 1, (int)(end - now)) > 0) (void)!read(m->wake_fd, &count, sizeof count);
    }
}

static void say_goodbye(rdg_mqtt_t *m) {
    uint64_t end = now_ms() + STOP_TIMEOUT_MS;
    while (atomic_load(&m->connected) && atomic_load(&m->outstanding) > 0 && now_ms() < end)
        if (!turn(m)) return;
    (void)mosquitto_disconnect(m->mosq);
    while (mosquitto_socket(m->mosq) >= 0 && mosquitto_want_write(m->mosq) && now_ms() < end) {
        struct pollfd f = {mosquitto_socket(m->mosq), POLLOUT, 0};
        (void)poll(&f, 1, 100);
        if (mosquitto_loop_write(m->mosq, 1) != MOSQ_ERR_SUCCESS) return;
    }
}

static void *run(void *arg) {
    rdg_mqtt_t *m = arg;
    while (!atomic_load(&m->stopping)) {
        bool up = connect_once(m);
        while (up && !atomic_load(&m->stopping)) up = turn(m);
        if (up) break;
        report_lost(m);
        back_off(m);
    }
    say_goodbye(m);
    atomic_store(&m->connected, false);
    return NULL;
}

static void mqtt_free(rdg_mqtt_t *m) {
    if (m->mosq) mosquitto_destroy(m->mosq);
    if (m->wake_fd >= 0) close(m->wake_fd);
    for (size_t i = 0; i < RDG_MQTT_SUBSCRIPTIONS_MAX; ++i) rdg_free(m->subscriptions[i]);
    rdg_free((void *)(uintptr_t)m->options.url);
    rdg_free(m);
}

static rdg_err_t check_options(const rdg_mqtt_options_t *o) {
    if (!o->client_id || !*o->client_id) return rdg_fail(RDG_E_INVALID, "an MQTT client needs an id");
    if (o->subscription_count > RDG_MQTT_SUBSCRIPTIONS_MAX)
        return rdg_fail(RDG_E_FULL, "an MQTT client has at most %d subscriptions",
                        RDG_MQTT_SUBSCRIPTIONS_MAX);
    for (size_t i = 0; i < o->subscription_count; ++i)
        if (mosquitto_sub_topic_check(o->subscriptions[i]) != MOSQ_ERR_SUCCESS)
            return rdg_fail(RDG_E_INVALID, "no valid MQTT subscription: \"%.200s\"", o->subscriptions[i]);
    return RDG_OK;
}

static rdg_err_t copy_options(rdg_mqtt_t *m, const rdg_mqtt_options_t *o) {
    m->options = *o;
    m->options.url = rdg_strdup(o->url);
    m->options.client_id = m->options.username = m->options.password = NULL;
    m->options.will_topic = m->options.will_payload = NULL;
    m->options.subscriptions = NULL;
    if (!m->options.keepalive_s) m->options.keepalive_s = 30;
    if (!m->options.max_queued) m->options.max_queued = 1000;
    bool ok = m->options.url != NULL;
    for (size_t i = 0; ok && i < o->subscription_count; ++i)
        ok = (m->subscriptions[i] = rdg_strdup(o->subscriptions[i])) != NULL;
    return ok ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for an MQTT client");
}

static void init_library(void) {
    mosquitto_lib_init();
}

static rdg_err_t make_client(rdg_mqtt_t *m, const rdg_mqtt_options_t *o) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_library);
    m->mosq = mosquitto_new(o->client_id, false, m);
    if (!m->mosq) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an MQTT client");
    int rc = mosquitto_int_option(m->mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V311);
    /* Threaded: whatever libmosquitto wants to send is queued until loop_write, which invariant 1 rests on.
     */
    if (rc == 0) rc = mosquitto_threaded_set(m->mosq, true);
    if (rc == 0) rc = mosquitto_int_option(m->mosq, MOSQ_OPT_TCP_NODELAY, 1);
    if (rc == 0) rc = mosquitto_max_inflight_messages_set(m->mosq, IN_FLIGHT_MAX);
    if (rc == 0 && o->username) rc = mosquitto_username_pw_set(m->mosq, o->username, o->password);
    if (rc == 0 && o->will_topic)
        rc = mosquitto_will_set(m->mosq, o->will_topic, o->will_payload ? (int)strlen(o->will_payload) : 0,
                                o->will_payload, 1, true);
    if (rc != 0)
        return rdg_fail(rc == MOSQ_ERR_NOMEM ? RDG_E_NO_MEMORY : RDG_E_INVALID, "MQTT client %s: %s",
                        o->client_id, mosquitto_strerror(rc));
    mosquitto_connect_callback_set(m->mosq, on_connect);
    mosquitto_subscribe_callback_set(m->mosq, on_subscribe);
    mosquitto_message_callback_set(m->mosq, on_message);
    mosquitto_publish_callback_set(m->mosq, on_publish);
    return RDG_OK;
}

rdg_err_t rdg_mqtt_start(const rdg_mqtt_options_t *options, rdg_mqtt_t **out) {
    RDG_TRY(check_options(options));
    rdg_mqtt_t *m = rdg_calloc(1, sizeof *m);
    if (!m) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an MQTT client");
    m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rdg_err_t err = m->wake_fd >= 0 ? RDG_OK : rdg_fail_errno(errno, "an MQTT client");
    if (err == RDG_OK) err = mqtt_url_parse(options->url, m->host, sizeof m->host, &m->port);
    if (err == RDG_OK) err = copy_options(m, options);
    if (err == RDG_OK) err = make_client(m, options);
    if (err == RDG_OK) {
        int why = pthread_create(&m->thread, NULL, run, m);
        if (why != 0) err = rdg_fail_errno(why, "an MQTT client's thread");
    }
    if (err == RDG_OK)
        *out = m;
    else
        mqtt_free(m);
    return err;
}

void rdg_mqtt_stop(rdg_mqtt_t *m) {
    if (!m) return;
    atomic_store(&m->stopping, true);
    wake(m);
    pthread_join(m->thread, NULL);
    mqtt_free(m);
}

rdg_err_t rdg_mqtt_publish(rdg_mqtt_t *m, const char *topic, rdg_bytes_t payload, bool retain,
                           int *message_id) {
    if (payload.len > RDG_MQTT_PAYLOAD_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a message to %.100s has %zu bytes, at most %u are allowed", topic,
                        payload.len, RDG_MQTT_PAYLOAD_MAX);
    if (!atomic_load(&m->connected))
        return rdg_fail(RDG_E_UNAVAILABLE, "not connected to the broker at %s", m->options.url);
    if (atomic_fetch_add(&m->outstanding, 1) >= m->options.max_queued) {
        atomic_fetch_sub(&m->outstanding, 1);
        return rdg_fail(RDG_E_FULL, "%zu messages wait for the broker already", m->options.max_queued);
    }
    int rc = mosquitto_publish(m->mosq, message_id, topic, (int)payload.len, payload.data, 1, retain);
    /* Without a connection it is kept all the same and goes out after the next one. */
    if (rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_NO_CONN) {
        wake(m);
        return RDG_OK;
    }
    atomic_fetch_sub(&m->outstanding, 1);
    return rdg_fail(rc == MOSQ_ERR_NOMEM ? RDG_E_NO_MEMORY : RDG_E_INVALID,
                    "cannot publish to \"%.100s\": %s", topic, mosquitto_strerror(rc));
}

bool rdg_mqtt_connected(const rdg_mqtt_t *m) {
    return atomic_load(&((rdg_mqtt_t *)(uintptr_t)m)->connected);
}
