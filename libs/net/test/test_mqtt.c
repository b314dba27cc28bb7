#include "mqtt_test.h"
#include "mqtt_url.h"
#include "socket.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* Who sends to a/# reaches in. */
static void open_pair(peer_t *in, peer_t *out, const rdg_broker_t *b) {
    peer_open(in, b, "in", NULL, NULL, "a/#");
    peer_await_subscribed(in, 1);
    peer_open(out, b, "out", NULL, NULL, NULL);
    peer_await(out, ups, 1);
}

TEST(mqtt_message_travels_and_is_reported_as_published) {
    rdg_broker_t *b = broker_open(1);
    peer_t in = {0}, out = {0};
    open_pair(&in, &out, b);
    CHECK(rdg_mqtt_connected(out.mqtt));
    peer_send(&out, "a/b", "hello");
    peer_await(&out, published, 1);
    peer_await(&in, messages, 1);
    CHECK_STR(in.last, "hello");
    peer_close(&in);
    peer_close(&out);
    rdg_broker_stop(b);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(mqtt_refused_message_comes_again_until_it_is_taken) {
    rdg_broker_t *b = broker_open(1);
    peer_t in = {.refusals = 2}, out = {0};
    open_pair(&in, &out, b);
    peer_send(&out, "a/b", "again");
    peer_await(&in, messages, 3);
    peer_await_subscribed(&in, 3);
    CHECK(in.downs == 2);
    /* Taken now: a new connection brings the next message only. */
    peer_close(&in);
    peer_open(&in, b, "in", NULL, NULL, "a/#");
    peer_await_subscribed(&in, 4);
    peer_send(&out, "a/b", "next");
    peer_await(&in, messages, 4);
    CHECK_STR(in.last, "next");
    peer_close(&in);
    peer_close(&out);
    rdg_broker_stop(b);
}

TEST(mqtt_session_keeps_messages_for_a_client_that_is_away) {
    rdg_broker_t *b = broker_open(1);
    peer_t in = {0}, out = {0};
    open_pair(&in, &out, b);
    peer_send(&out, "a/b", "first");
    peer_await(&in, messages, 1);
    peer_close(&in);
    for (int i = 0; i < 20; ++i) peer_send(&out, "a/b", "meanwhile");
    peer_await(&out, published, 21);
    peer_open(&in, b, "in", NULL, NULL, "a/#");
    peer_await(&in, messages, 21);
    peer_close(&in);
    peer_close(&out);
    rdg_broker_stop(b);
}

TEST(mqtt_messages_and_sessions_survive_a_killed_broker) {
    rdg_broker_t *b = broker_open(1);
    peer_t in = {0}, out = {0};
    open_pair(&in, &out, b);
    peer_send(&out, "a/b", "first");
    peer_await(&in, messages, 1);
    peer_close(&in);
    for (int i = 0; i < 5; ++i) peer_send(&out, "a/b", "meanwhile");
    peer_await(&out, published, 6);
    /* The broker acknowledges and then saves: an answer to something later shows that it has. */
    peer_send(&out, "z", "later");
    peer_await(&out, published, 7);
    pid_t old = rdg_broker_pid(b);
    CHECK(old > 0);
    CHECK_EQ(kill(old, SIGKILL), 0);
    peer_await(&out, ups, 2);
    CHECK(rdg_broker_pid(b) != old);
    peer_open(&in, b, "in", NULL, NULL, "a/#");
    peer_await(&in, messages, 6);
    CHECK_STR(in.last, "meanwhile");
    peer_close(&in);
    peer_close(&out);
    rdg_broker_stop(b);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(mqtt_publish_while_down_is_unavailable_and_names_the_broker) {
    rdg_broker_t *b = broker_open(1);
    char url[64];
    peer_t out = {0};
    snprintf(url, sizeof url, "%s", rdg_broker_url(b));
    peer_open(&out, b, "out", NULL, NULL, NULL);
    peer_await(&out, ups, 1);
    rdg_broker_stop(b);
    peer_await(&out, downs, 1);
    rdg_err_t err = rdg_mqtt_publish(out.mqtt, "a", rdg_bytes_str("x"), false, NULL);
    CHECK_ERR(err, RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(err), url) != NULL);
    peer_close(&out);
}

/* A broker that never answers: whatever is published stays outstanding. */
TEST(mqtt_outstanding_messages_are_bounded) {
    rdg_broker_t *b = broker_open(1);
    peer_t out = {0};
    rdg_mqtt_options_t o = {.url = rdg_broker_url(b), .client_id = "out", .max_queued = 5};
    CHECK_OK(rdg_mqtt_start(&o, &out.mqtt));
    while (!rdg_mqtt_connected(out.mqtt)) usleep(1000);
    CHECK_EQ(kill(rdg_broker_pid(b), SIGSTOP), 0);
    for (int i = 0; i < 5; ++i) peer_send(&out, "a", "x");
    CHECK_ERR(rdg_mqtt_publish(out.mqtt, "a", rdg_bytes_str("x"), false, NULL), RDG_E_FULL);
    CHECK_EQ(kill(rdg_broker_pid(b), SIGCONT), 0);
    rdg_err_t err;
    while ((err = rdg_mqtt_publish(out.mqtt, "a", rdg_bytes_str("x"), false, NULL)) == RDG_E_FULL)
        usleep(1000);
    CHECK_OK(err);
    peer_close(&out);
    rdg_broker_stop(b);
}

TEST(mqtt_payload_limit_and_bad_topics) {
    rdg_broker_t *b = broker_open(1);
    peer_t out = {0}, in = {0};
    open_pair(&in, &out, b);
    uint8_t *big = rdg_calloc(1, RDG_MQTT_PAYLOAD_MAX + 1);
    CHECK_ERR(rdg_mqtt_publish(out.mqtt, "a/b", rdg_bytes(big, RDG_MQTT_PAYLOAD_MAX + 1), false, NULL),
              RDG_E_TOO_LARGE);
    CHECK_OK(rdg_mqtt_publish(out.mqtt, "a/b", rdg_bytes(big, RDG_MQTT_PAYLOAD_MAX), false, NULL));
    peer_await(&in, messages, 1);
    CHECK_ERR(rdg_mqtt_publish(out.mqtt, "a/#", rdg_bytes_str("x"), false, NULL), RDG_E_INVALID);
    CHECK_ERR(rdg_mqtt_publish(out.mqtt, "", rdg_bytes_str("x"), false, NULL), RDG_E_INVALID);
    rdg_free(big);
    peer_close(&in);
    peer_close(&out);
    rdg_broker_stop(b);
}

TEST(mqtt_will_is_left_by_a_lost_client_and_not_by_one_that_stops) {
    rdg_broker_t *b = broker_open(0);
    peer_t cloud = {0}, dev = {0};
    CHECK_OK(rdg_broker_set_user(b, "cloud", "secret-c"));
    CHECK_OK(rdg_broker_set_user(b, "dev1", "secret-1"));
    peer_open(&cloud, b, "cloud", "cloud", "secret-c", "devices/+/status");
    peer_await_subscribed(&cloud, 1);
    peer_open(&dev, b, "dev1", "dev1", "secret-1", NULL);
    peer_await(&dev, ups, 1);
    CHECK_OK(rdg_mqtt_publish(dev.mqtt, "devices/dev1/status", rdg_bytes_str("online"), true, NULL));
    peer_await(&cloud, messages, 1);
    CHECK_OK(rdg_mqtt_publish(dev.mqtt, "devices/dev1/status", rdg_bytes_str("bye"), true, NULL));
    peer_close(&dev);
    peer_await(&cloud, messages, 2);
    CHECK_STR(cloud.last, "bye");
    dev.refusals = 1; /* a refused message cuts the connection */
    peer_open(&dev, b, "dev1", "dev1", "secret-1", "devices/dev1/command");
    peer_await_subscribed(&dev, 2);
    peer_send(&cloud, "devices/dev1/command", "x");
    peer_await(&cloud, messages, 3);
    CHECK_STR(cloud.last, "gone");
    peer_await(&dev, messages, 2);
    peer_close(&cloud);
    peer_close(&dev);
    rdg_broker_stop(b);
}

TEST(mqtt_connects_when_the_broker_appears_later) {
    uint16_t port = rdg_test_port();
    char url[64], dir[256];
    peer_t p = {0};
    snprintf(url, sizeof url, "mqtt://127.0.0.1:%u", port);
    rdg_mqtt_options_t o = {.url = url, .client_id = "early"};
    CHECK_OK(rdg_mqtt_start(&o, &p.mqtt));
    snprintf(dir, sizeof dir, "%s/b", rdg_test_dir());
    rdg_broker_t *b;
    rdg_err_t err = rdg_broker_start(&(rdg_broker_options_t){.dir = dir, .anonymous = 1, .port = port}, &b);
    if (err == RDG_E_NOT_FOUND) rdg_test_skip("mosquitto is not installed");
    CHECK_OK(err);
    while (!rdg_mqtt_connected(p.mqtt)) usleep(1000);
    peer_close(&p);
    rdg_broker_stop(b);
}

TEST(mqtt_speaks_over_a_unix_socket) {
    rdg_broker_t *b = broker_open(1);
    char url[300];
    peer_t p = {0};
    snprintf(url, sizeof url, "mqtt+unix://%s/broker/mqtt.sock", rdg_test_dir());
    rdg_mqtt_options_t o = {.url = url, .client_id = "local"};
    CHECK_OK(rdg_mqtt_start(&o, &p.mqtt));
    while (!rdg_mqtt_connected(p.mqtt)) usleep(1000);
    peer_close(&p);
    rdg_broker_stop(b);
}

TEST(mqtt_stop_of_a_client_that_never_connected_is_quick) {
    rdg_mqtt_t *m;
    rdg_mqtt_options_t o = {.url = "mqtt://127.0.0.1:1", .client_id = "x"};
    CHECK_OK(rdg_mqtt_start(&o, &m));
    rdg_mqtt_stop(m);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(mqtt_bad_options_are_refused) {
    static const char *const urls[] = {
        "", "http://x", "mqtt://", "mqtt://u:p@x", "mqtt://x/path", "mqtt+unix://x", "mqtt://x:0"};
    rdg_mqtt_t *m;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; ++i)
        CHECK_ERR(rdg_mqtt_start(&(rdg_mqtt_options_t){.url = urls[i], .client_id = "x"}, &m), RDG_E_INVALID);
    CHECK_ERR(rdg_mqtt_start(&(rdg_mqtt_options_t){.url = "mqtt://x", .client_id = ""}, &m), RDG_E_INVALID);
    const char *bad = "a/#/b";
    CHECK_ERR(rdg_mqtt_start(
                  &(rdg_mqtt_options_t){
                      .url = "mqtt://x", .client_id = "x", .subscriptions = &bad, .subscription_count = 1},
                  &m),
              RDG_E_INVALID);
    char host[64];
    int port;
    CHECK_OK(mqtt_url_parse("mqtt://[::1]:99", host, sizeof host, &port));
    CHECK_STR(host, "::1");
    CHECK_EQ(port, 99);
    CHECK_OK(mqtt_url_parse("mqtt://host", host, sizeof host, &port));
    CHECK_EQ(port, 1883);
}
