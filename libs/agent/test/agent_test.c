/* The agent as a whole: a fake cloud (HTTP enrolment, a real mosquitto, an MQTT client) and nodes that are
 * this very test program in the part of fake_node.c. */
#include "fake_node.h"
#include "ridge/agent/agent.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/client/cloud.h"
#include "ridge/codec/json.h"
#include "ridge/net/broker.h"
#include "ridge/net/http_client.h"
#include "ridge/net/http_server.h"
#include "ridge/net/mqtt.h"
#include "ridge/test.h"
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RESULTS_MAX 256

typedef struct cloud {
    rdg_http_server_t *http;
    rdg_broker_t *broker;
    rdg_mqtt_t *mqtt;
    char url[64];
    const char *refuse; /* code with which enrolment is refused */
    unsigned enrolments;
    pthread_mutex_t lock;
    pthread_cond_t news;
    json_t *results[RESULTS_MAX];
    size_t result_count;
    json_t *response, *telemetry;
    bool online, offline_seen;
} cloud_t;

static void enrol(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    cloud_t *c = ctx;
    char text[1024];
    json_t *o = NULL;
    const char *name = "?";
    ++c->enrolments;
    CHECK_STR(rdg_http_path(req), "/api/v1/enrol");
    CHECK_OK(rdg_json_parse(rdg_http_body(req), &o));
    if (c->refuse) {
        rdg_http_status(res, 401);
        snprintf(text, sizeof text, "{\"error\":{\"code\":\"%s\",\"message\":\"the token is unknown\"}}",
                 c->refuse);
    } else {
        CHECK_OK(rdg_json_get_str(o, "name", &name));
        rdg_http_status(res, 201);
        snprintf(
            text, sizeof text,
            "{\"device_id\":\"%s\",\"mqtt\":{\"url\":\"%s\",\"username\":\"%s\",\"password\":\"secret\"}}",
            name, rdg_broker_url(c->broker), name);
    }
    (void)rdg_http_write(res, "application/json", rdg_bytes_str(text));
    json_decref(o);
}

static bool heard(void *ctx, const char *topic, rdg_bytes_t payload) {
    cloud_t *c = ctx;
    json_t *o = NULL;
    if (rdg_json_parse(payload, &o) != RDG_OK) return true;
    pthread_mutex_lock(&c->lock);
    if (strstr(topic, "/result") && c->result_count < RESULTS_MAX) {
        c->results[c->result_count++] = json_incref(o);
    } else if (strstr(topic, "/response")) {
        json_decref(c->response);
        c->response = json_incref(o);
    } else if (strstr(topic, "/telemetry")) {
        json_decref(c->telemetry);
        c->telemetry = json_incref(o);
    } else if (strstr(topic, "/status")) {
        c->online = json_is_true(json_object_get(o, "online"));
        c->offline_seen |= !c->online;
    }
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    json_decref(o);
    return true;
}

static void cloud_start(cloud_t *c) {
    static const char *const topics[] = {"devices/+/result", "devices/+/response", "devices/+/telemetry",
                                         "devices/+/status"};
    char dir[PATH_MAX];
    memset(c, 0, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->news, NULL);
    snprintf(dir, sizeof dir, "%s/cloud", rdg_test_dir());
    rdg_broker_options_t b = {.dir = dir};
    rdg_http_server_options_t h = {0};
    CHECK_OK(rdg_broker_start(&b, &c->broker));
    CHECK_OK(rdg_broker_set_user(c->broker, "cloud", "cloud-secret"));
    CHECK_OK(rdg_broker_set_user(c->broker, "d1", "secret"));
    CHECK_OK(rdg_http_server_start(&h, enrol, c, &c->http));
    snprintf(c->url, sizeof c->url, "http://127.0.0.1:%u", (unsigned)rdg_http_server_port(c->http));
    rdg_mqtt_options_t m = {.url = rdg_broker_url(c->broker),
                            .client_id = "cloud",
                            .username = "cloud",
                            .password = "cloud-secret",
                            .subscriptions = topics,
                            .subscription_count = 4,
                            .message = heard,
                            .ctx = c};
    CHECK_OK(rdg_mqtt_start(&m, &c->mqtt));
}

static void cloud_stop(cloud_t *c) {
    rdg_mqtt_stop(c->mqtt);
    rdg_http_server_stop(c->http);
    rdg_broker_stop(c->broker);
    for (size_t i = 0; i < c->result_count; ++i) json_decref(c->results[i]);
    json_decref(c->response);
    json_decref(c->telemetry);
}

/* Waits for cond under the lock, at most 20 s. */
#define AWAIT(c, cond)                                                                                       \
    do {                                                                                                     \
        uint64_t end_ = rdg_mono_ms(rdg_clock_system()) + 20000;                                             \
        pthread_mutex_lock(&(c)->lock);                                                                      \
        while (!(cond)) {                                                                                    \
            struct timespec t_;                                                                              \
            clock_gettime(CLOCK_REALTIME, &t_);                                                              \
            t_.tv_nsec += 50000000;                                                                          \
            if (t_.tv_nsec >= 1000000000) t_.tv_nsec -= 1000000000, ++t_.tv_sec;                             \
            (void)pthread_cond_timedwait(&(c)->news, &(c)->lock, &t_);                                       \
            if (rdg_mono_ms(rdg_clock_system()) > end_)                                                      \
                rdg_test_fail(__FILE__, __LINE__, "still not: %s", #cond);                                   \
        }                                                                                                    \
        pthread_mutex_unlock(&(c)->lock);                                                                    \
    } while (0)

static json_t *final_of(cloud_t *c, const char *id) {
    for (size_t i = 0; i < c->result_count; ++i) {
        const char *state = json_string_value(json_object_get(c->results[i], "state"));
        const char *rid = json_string_value(json_object_get(c->results[i], "id"));
        if (rid && state && strcmp(rid, id) == 0 && strcmp(state, "running") != 0) return c->results[i];
    }
    return NULL;
}

static void send_to(cloud_t *c, const char *leaf, const char *text) {
    char topic[64];
    snprintf(topic, sizeof topic, "devices/d1/%s", leaf);
    CHECK_OK(rdg_mqtt_publish(c->mqtt, topic, rdg_bytes_str(text), false, NULL));
}

/* Sends a command and returns its final result (borrowed). */
static json_t *command(cloud_t *c, const char *id, const char *type, const char *params) {
    char text[4096];
    snprintf(text, sizeof text, "{\"id\":\"%s\",\"type\":\"%s\",\"deadline_ms\":%llu,\"params\":%s}", id,
             type, (unsigned long long)rdg_wall_ms(rdg_clock_system()) + 60000, params);
    send_to(c, "command", text);
    AWAIT(c, final_of(c, id) != NULL);
    return final_of(c, id);
}

static const char *state_of(const json_t *result) {
    return json_string_value(json_object_get(result, "state"));
}

static const char *const genesis = "{\"chain\":\"c1\",\"genesis\":{\"chain_id\":7},\"peers\":[]}";

static rdg_agent_t *agent_start(cloud_t *c, const char *token) {
    static char dir[PATH_MAX], program[PATH_MAX];
    rdg_agent_t *a = NULL;
    setenv("FAKE_NODE", "1", 0);
    snprintf(dir, sizeof dir, "%s/agent", rdg_test_dir());
    CHECK(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    rdg_agent_options_t o = {.dir = dir,
                             .cloud_url = c->url,
                             .name = "d1",
                             .token = token,
                             .driver = "process",
                             .node_program = program,
                             .telemetry_interval_ms = 200};
    CHECK_OK(rdg_agent_start(&o, &a));
    return a;
}

static pid_t node_pid(void) {
    char path[PATH_MAX];
    long pid = 0;
    snprintf(path, sizeof path, "%s/agent/chains/c1/container/run", rdg_test_dir());
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "running %ld", &pid) != 1) pid = 0;
    if (f) fclose(f);
    return (pid_t)pid;
}

static json_t *telemetry_chain(cloud_t *c) {
    return json_array_get(json_object_get(c->telemetry, "chains"), 0);
}

TEST(a_device_enrols_once_and_runs_a_chain_from_prepare_to_remove) {
    cloud_t c;
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, "t-1");
    AWAIT(&c, c.online);
    json_t *r = command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\",\"driver\":\"auto\"}");
    CHECK_STR(state_of(r), "done");
    const json_t *keys = json_object_get(r, "result");
    CHECK_EQ(strlen(json_string_value(json_object_get(keys, "public_key"))), 128);
    CHECK_STR(json_string_value(json_object_get(keys, "driver")), "process");
    CHECK(json_integer_value(json_object_get(keys, "p2p_port")) > 0);

    r = command(&c, "s1", "chain.start", genesis);
    CHECK_STR(state_of(r), "done");
    CHECK(json_string_value(json_object_get(json_object_get(r, "result"), "rpc_url")));
    AWAIT(&c, json_object_get(telemetry_chain(&c), "height") != NULL);

    send_to(&c, "request",
            "{\"id\":\"r1\",\"method\":\"node.rpc\",\"params\":{\"chain\":\"c1\",\"method\":"
            "\"ridge_status\",\"params\":[]}}");
    AWAIT(&c, json_object_get(json_object_get(c.response, "result"), "height") != NULL);
    send_to(&c, "request",
            "{\"id\":\"r2\",\"method\":\"node.rpc\",\"params\":{\"chain\":\"c1\",\"method\":"
            "\"admin_stop\",\"params\":[]}}");
    AWAIT(&c, json_object_get(c.response, "error") != NULL);
    CHECK_STR(json_string_value(json_object_get(json_object_get(c.response, "error"), "code")), "FORBIDDEN");

    r = command(&c, "x0", "chain.remove", "{\"chain\":\"c1\"}");
    CHECK_STR(state_of(r), "failed");
    pid_t pid = node_pid();
    CHECK(pid > 0 && kill(pid, 0) == 0);
    r = command(&c, "x1", "chain.remove", "{\"chain\":\"c1\",\"discard\":true}");
    CHECK_STR(state_of(r), "done");
    CHECK(json_integer_value(json_object_get(json_object_get(r, "result"), "freed_bytes")) > 0);
    CHECK(kill(pid, 0) != 0);
    r = command(&c, "x2", "chain.remove", "{\"chain\":\"c1\",\"discard\":true}");
    CHECK_STR(state_of(r), "done");
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(r, "result"), "freed_bytes")), 0);
    char chains[PATH_MAX];
    snprintf(chains, sizeof chains, "%s/agent/chains/c1", rdg_test_dir());
    CHECK(!rdg_file_exists(chains));
    rdg_agent_stop(a);
    AWAIT(&c, c.offline_seen);
    a = agent_start(&c, NULL);
    AWAIT(&c, c.online);
    CHECK_EQ(c.enrolments, 1);
    rdg_agent_stop(a);
    cloud_stop(&c);
}

TEST(a_node_survives_its_agent_and_a_killed_one_comes_back_without_the_cloud) {
    cloud_t c;
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, "t-1");
    AWAIT(&c, c.online);
    CHECK_STR(state_of(command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\"}")), "done");
    CHECK_STR(state_of(command(&c, "s1", "chain.start", genesis)), "done");
    pid_t first = node_pid();
    rdg_agent_stop(a);
    CHECK(first > 0 && kill(first, 0) == 0);
    rdg_mqtt_stop(c.mqtt);
    rdg_broker_stop(c.broker);
    c.mqtt = NULL;

    a = agent_start(&c, NULL);
    CHECK_EQ(node_pid(), first);
    CHECK_EQ(kill(first, SIGKILL), 0);
    uint64_t before = rdg_mono_ms(rdg_clock_system());
    while (node_pid() == first || node_pid() == 0) {
        usleep(5000);
        CHECK(rdg_mono_ms(rdg_clock_system()) - before < 2000);
    }
    /* While the agent is away the node dies: it runs again within two seconds of the agent's start. */
    rdg_agent_stop(a);
    pid_t second = node_pid();
    CHECK_EQ(kill(second, SIGKILL), 0);
    before = rdg_mono_ms(rdg_clock_system());
    a = agent_start(&c, NULL);
    while (node_pid() == second || node_pid() == 0) {
        usleep(5000);
        CHECK(rdg_mono_ms(rdg_clock_system()) - before < 2000);
    }
    pid_t third = node_pid();
    rdg_agent_stop(a);
    kill(third, SIGTERM);
    rdg_http_server_stop(c.http);
    for (size_t i = 0; i < c.result_count; ++i) json_decref(c.results[i]);
    json_decref(c.telemetry);
}

TEST(a_command_delivered_three_times_has_one_effect_and_one_answer_each) {
    cloud_t c;
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, "t-1");
    AWAIT(&c, c.online);
    json_t *first = command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\"}");
    char *key = json_dumps(json_object_get(first, "result"), JSON_SORT_KEYS);
    size_t had = c.result_count;
    static const char text[] = "{\"id\":\"p1\",\"type\":\"chain.prepare\",\"params\":{\"chain\":\"c1\"}}";
    send_to(&c, "command", text);
    send_to(&c, "command", text);
    AWAIT(&c, c.result_count >= had + 2);
    for (size_t i = had; i < had + 2; ++i) {
        char *again = json_dumps(json_object_get(c.results[i], "result"), JSON_SORT_KEYS);
        CHECK_STR(again, key);
        free(again);
    }
    free(key);
    rdg_agent_stop(a);
    cloud_stop(&c);
}

TEST(an_enrolment_that_is_refused_ends_the_agent_with_the_reason) {
    cloud_t c;
    cloud_start(&c);
    c.refuse = "UNAUTHENTICATED";
    rdg_agent_t *a = agent_start(&c, "used-token");
    struct pollfd p = {.fd = rdg_agent_failed_fd(a), .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 10000), 1);
    CHECK_ERR(rdg_agent_failure(a), RDG_E_UNAUTHENTICATED);
    CHECK(strstr(rdg_err_message(RDG_E_UNAUTHENTICATED), "the token is unknown"));
    rdg_agent_stop(a);
    cloud_stop(&c);
}

TEST(a_second_agent_on_a_directory_is_refused) {
    cloud_t c;
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, "t-1"), *second = NULL;
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/agent", rdg_test_dir());
    rdg_agent_options_t o = {.dir = dir, .name = "d1", .driver = "process"};
    CHECK_ERR(rdg_agent_start(&o, &second), RDG_E_BUSY);
    rdg_agent_stop(a);
    cloud_stop(&c);
}

TEST(a_node_that_cannot_start_fails_the_command_with_its_last_words) {
    cloud_t c;
    setenv("FAKE_NODE", "broken", 1);
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, "t-1");
    AWAIT(&c, c.online);
    CHECK_STR(state_of(command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\"}")), "done");
    json_t *r = command(&c, "s1", "chain.start", genesis);
    CHECK_STR(state_of(r), "failed");
    const json_t *e = json_object_get(r, "error");
    CHECK_STR(json_string_value(json_object_get(e, "code")), "INVALID");
    CHECK(strstr(json_string_value(json_object_get(e, "message")), "no validators"));
    CHECK_STR(state_of(command(&c, "x1", "chain.remove", "{\"chain\":\"c1\",\"discard\":true}")), "done");
    rdg_agent_stop(a);
    cloud_stop(&c);
}
