/* The agent as a whole: a fake cloud (HTTP enrolment, a real mosquitto, an MQTT client) and nodes that are
 * this very test program in the part of fake_node.c. */
#include "fake_gateway.h"
#include "fake_node.h"
#include "ridge/agent/agent.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/client/cloud.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/codec/telemetry.h"
#include "ridge/net/broker.h"
#include "ridge/net/http_client.h"
#include "ridge/net/http_server.h"
#include "ridge/net/mqtt.h"
#include "ridge/crypto/cert_request.h"
#include "ridge/test.h"
#include "ridge/test_ca.h"
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESULTS_MAX 256

typedef struct cloud {
    rdg_http_server_t *http;
    fake_gateway_t *gateway;
    rdg_broker_t *broker;
    rdg_mqtt_t *mqtt;
    rdg_test_ca_t ca;
    rdg_test_ca_t
        *answers; /* whose certificates and root the answers carry; &ca unless a test says otherwise */
    char url[64], token[128];
    const char *refuse; /* code with which enrolment is refused */
    unsigned enrolments;
    pthread_mutex_t lock;
    pthread_cond_t news;
    json_t *results[RESULTS_MAX];
    size_t result_count;
    json_t *response, *telemetry;
    bool silent;            /* telemetry gets no answer */
    uint64_t live, backlog; /* records */
    bool online, offline_seen;
} cloud_t;

/* A certificate for a request, as PEM. */
static json_t *certify(const rdg_test_ca_t *ca, rdg_cert_kind_t use, const char *request) {
    rdg_cert_request_t r;
    rdg_buf_t pem;
    CHECK_OK(rdg_cert_request_parse_pem(rdg_bytes_str(request), &r));
    rdg_cert_t *cert = rdg_test_ca_issue(ca, use, r.common_name, &r.public_key);
    rdg_buf_init(&pem, 65536);
    CHECK_OK(rdg_cert_to_pem(cert, &pem));
    json_t *text = json_string(rdg_buf_cstr(&pem));
    rdg_buf_fini(&pem);
    rdg_cert_free(cert);
    return text;
}

static json_t *pem_of(const rdg_cert_t *cert) {
    rdg_buf_t pem;
    rdg_buf_init(&pem, 65536);
    CHECK_OK(rdg_cert_to_pem(cert, &pem));
    json_t *text = json_string(rdg_buf_cstr(&pem));
    rdg_buf_fini(&pem);
    return text;
}

static json_t *certificates_for(const rdg_test_ca_t *ca, const char *sign, const char *enc) {
    return json_pack("{s:o, s:o, s:o, s:o}", "sign", certify(ca, RDG_CERT_KIND_SIGN, sign), "enc",
                     certify(ca, RDG_CERT_KIND_ENCRYPT, enc), "chain", pem_of(ca->issuing), "root",
                     pem_of(ca->root));
}

static const char *text_of(const json_t *o, const char *field) {
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "";
}

static void enrol(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    cloud_t *c = ctx;
    json_t *o = NULL, *a;
    ++c->enrolments;
    CHECK_STR(rdg_http_path(req), "/api/v1/enrol");
    CHECK_OK(rdg_json_parse(rdg_http_body(req), &o));
    CHECK_STR(text_of(o, "token"), "t-1"); /* the fingerprint stays on the device */
    rdg_http_status(res, c->refuse ? 401 : 201);
    if (c->refuse)
        a = json_pack("{s:{s:s, s:s}}", "error", "code", c->refuse, "message", "the token is unknown");
    else
        a = json_pack("{s:s, s:{s:s, s:s}, s:o}", "device_id", text_of(o, "name"), "mqtt", "username",
                      text_of(o, "name"), "password", "secret", "certificates",
                      certificates_for(c->answers, text_of(o, "sign_request"), text_of(o, "enc_request")));
    char *text = rdg_json_text(a);
    (void)rdg_http_write(res, "application/json", rdg_bytes_str(text));
    rdg_free(text);
    json_decref(a);
    json_decref(o);
}

/* What a record says, and an answer that names all of them. */
static json_t *take_telemetry(cloud_t *c, const char *topic, rdg_bytes_t payload) {
    static rdg_telemetry_t t;
    rdg_telemetry_message_t m;
    rdg_telemetry_ack_t ack = {0};
    bool silent = false;
    char answer_topic[160];
    rdg_buf_t bytes;
    CHECK_OK(rdg_telemetry_message_decode(payload, &m));
    rdg_buf_init(&bytes, RDG_TELEMETRY_MESSAGE_MAX);
    for (; ack.count < m.count; ++ack.count) {
        CHECK_OK(rdg_telemetry_decode(m.records[ack.count], &t));
        ack.names[ack.count] = (rdg_telemetry_name_t){t.seq, t.time_ms};
        pthread_mutex_lock(&c->lock);
        ++*(m.live ? &c->live : &c->backlog);
        silent = c->silent;
        pthread_mutex_unlock(&c->lock);
    }
    CHECK_OK(rdg_telemetry_ack_encode(&ack, &bytes));
    snprintf(answer_topic, sizeof answer_topic, "%s-ack", topic);
    if (!silent) (void)rdg_mqtt_publish(c->mqtt, answer_topic, rdg_buf_view(&bytes), false, NULL);
    rdg_buf_fini(&bytes);
    return rdg_telemetry_json(&t);
}

static bool heard(void *ctx, const char *topic, rdg_bytes_t payload) {
    cloud_t *c = ctx;
    json_t *o = NULL;
    if (strstr(topic, "/telemetry") && rdg_telemetry_is_message(payload))
        o = take_telemetry(c, topic, payload);
    else if (rdg_json_parse(payload, &o) != RDG_OK)
        return true;
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
    rdg_test_ca_init(&c->ca, (int64_t)(rdg_wall_ms(rdg_clock_system()) / 1000));
    c->answers = &c->ca;
    rdg_hash_t digest;
    rdg_cert_fingerprint(c->ca.root, &digest);
    snprintf(c->token, sizeof c->token, "t-1.");
    rdg_hex_encode(digest.b, sizeof digest.b, c->token + strlen(c->token));
    rdg_broker_options_t b = {.dir = dir};
    rdg_http_server_options_t h = {0};
    CHECK_OK(rdg_broker_start(&b, &c->broker));
    CHECK_OK(rdg_broker_set_user(c->broker, "cloud", "cloud-secret"));
    CHECK_OK(rdg_broker_set_user(c->broker, "d1", "secret"));
    CHECK_OK(rdg_http_server_start(&h, enrol, c, &c->http));
    uint64_t broker_port;
    CHECK_OK(rdg_parse_u64(strrchr(rdg_broker_url(c->broker), ':') + 1, &broker_port));
    c->gateway = fake_gateway_start(&c->ca, rdg_http_server_port(c->http), (uint16_t)broker_port);
    snprintf(c->url, sizeof c->url, "tlcp://127.0.0.1:%u", (unsigned)fake_gateway_port(c->gateway));
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
    fake_gateway_stop(c->gateway);
    rdg_http_server_stop(c->http);
    rdg_broker_stop(c->broker);
    rdg_test_ca_fini(&c->ca);
    for (size_t i = 0; i < c->result_count; ++i) json_decref(c->results[i]);
    json_decref(c->response);
    json_decref(c->telemetry);
}

/* Waits for cond under the lock, at most 60 s. */
#define AWAIT(c, cond)                                                                                       \
    do {                                                                                                     \
        uint64_t end_ = rdg_mono_ms(rdg_clock_system()) + 60000;                                             \
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

static void send_command(cloud_t *c, const char *id, const char *type, const char *params) {
    static char text[20000];
    snprintf(text, sizeof text, "{\"id\":\"%s\",\"type\":\"%s\",\"deadline_ms\":%llu,\"params\":%s}", id,
             type, (unsigned long long)rdg_wall_ms(rdg_clock_system()) + 60000, params);
    send_to(c, "command", text);
}

/* Sends a command and returns its final result (borrowed). */
static json_t *command(cloud_t *c, const char *id, const char *type, const char *params) {
    send_command(c, id, type, params);
    AWAIT(c, final_of(c, id) != NULL);
    return final_of(c, id);
}

static const char *state_of(const json_t *result) {
    return json_string_value(json_object_get(result, "state"));
}

/* What chain.start carries after this chain.prepare; in a static buffer. */
static const char *start_params(cloud_t *c, const json_t *prepared) {
    static char text[16384];
    const json_t *requests = json_object_get(json_object_get(prepared, "result"), "certificate_requests");
    json_t *o = json_pack("{s:s, s:{s:i}, s:[], s:i, s:o}", "chain", "c1", "genesis", "chain_id", 7, "peers",
                          "snapshot_gap", 321, "certificates",
                          certificates_for(c->answers, text_of(requests, "sign"), text_of(requests, "enc")));
    char *made = rdg_json_text(o);
    CHECK((size_t)snprintf(text, sizeof text, "%s", made) < sizeof text);
    rdg_free(made);
    json_decref(o);
    return text;
}

static rdg_err_t agent_try(cloud_t *c, const char *token, rdg_agent_t **out) {
    static char dir[PATH_MAX], program[PATH_MAX];
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
    return rdg_agent_start(&o, out);
}

static rdg_agent_t *agent_start(cloud_t *c, const char *token) {
    rdg_agent_t *a = NULL;
    CHECK_OK(agent_try(c, token, &a));
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

static pid_t next_node(pid_t before) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + 60000;
    for (;;) {
        pid_t now = node_pid();
        if (now != before && now != 0) return now;
        CHECK(rdg_mono_ms(rdg_clock_system()) < end);
        (void)poll(NULL, 0, 5);
    }
}

static json_t *telemetry_chain(cloud_t *c) {
    return json_array_get(json_object_get(c->telemetry, "chains"), 0);
}

static void conf_path(char path[PATH_MAX]) {
    snprintf(path, PATH_MAX, "%s/agent/chains/c1/node/node.conf", rdg_test_dir());
}

/* What the chain's parameters say of its nodes is in the file that they are started with. */
static void check_node_conf(void) {
    char path[PATH_MAX];
    rdg_buf_t text;
    conf_path(path);
    rdg_buf_init(&text, 65536);
    CHECK_OK(rdg_file_read(path, &text));
    CHECK(strstr(rdg_buf_cstr(&text), "\nsnapshot-gap = 321\n"));
    rdg_buf_fini(&text);
}

/* The node's files fit together, its sign key is its validator key, and it trusts what its device trusts. */
static void check_node_credentials(const json_t *prepared) {
    char dir[PATH_MAX], key[129];
    rdg_credentials_t *node = NULL, *device = NULL;
    snprintf(dir, sizeof dir, "%s/agent/chains/c1/node", rdg_test_dir());
    CHECK_OK(rdg_credentials_load(dir, "node", &node));
    snprintf(dir, sizeof dir, "%s/agent", rdg_test_dir());
    CHECK_OK(rdg_credentials_load(dir, "identity", &device));
    rdg_hex_encode(rdg_cert_public(node->sign_cert)->b, 64, key);
    CHECK_STR(key, text_of(prepared, "public_key"));
    CHECK(rdg_cert_has_name(node->sign_cert, "d1.c1") && rdg_cert_has_name(device->sign_cert, "d1"));
    CHECK(rdg_bytes_equal(rdg_cert_der(node->roots[0]), rdg_cert_der(device->roots[0])));
    rdg_credentials_free(node);
    rdg_credentials_free(device);
}

TEST(a_device_enrols_once_and_runs_a_chain_from_prepare_to_remove) {
    cloud_t c;
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, c.token);
    AWAIT(&c, c.online);
    json_t *r = command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\",\"driver\":\"auto\"}");
    CHECK_STR(state_of(r), "done");
    const json_t *keys = json_object_get(r, "result");
    CHECK_EQ(strlen(json_string_value(json_object_get(keys, "public_key"))), 128);
    CHECK_STR(json_string_value(json_object_get(keys, "driver")), "process");
    CHECK(json_integer_value(json_object_get(keys, "p2p_port")) > 0);

    CHECK_STR(state_of(command(&c, "s0", "chain.start",
                               "{\"chain\":\"c1\",\"genesis\":{\"chain_id\":7},\"peers\":[]}")),
              "failed"); /* without certificates */
    r = command(&c, "s1", "chain.start", start_params(&c, r));
    CHECK_STR(state_of(r), "done");
    check_node_credentials(keys);
    check_node_conf();
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
    rdg_agent_t *a = agent_start(&c, c.token);
    AWAIT(&c, c.online);
    json_t *r = command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\"}");
    CHECK_STR(state_of(command(&c, "s1", "chain.start", start_params(&c, r))), "done");
    pid_t first = node_pid();
    rdg_agent_stop(a);
    CHECK(first > 0 && kill(first, 0) == 0);
    rdg_mqtt_stop(c.mqtt);
    rdg_broker_stop(c.broker);
    c.mqtt = NULL;

    a = agent_start(&c, NULL);
    CHECK_EQ(node_pid(), first);
    CHECK_EQ(kill(first, SIGKILL), 0);
    pid_t second = next_node(first);
    /* While the agent is away the node dies, and its configuration is damaged: it runs again, with what it had. */
    rdg_agent_stop(a);
    char conf[PATH_MAX];
    conf_path(conf);
    CHECK_OK(rdg_file_replace(conf, rdg_bytes_str("rpc-port = 1\n"), 0644));
    CHECK_EQ(kill(second, SIGKILL), 0);
    a = agent_start(&c, NULL);
    pid_t third = next_node(second);
    check_node_conf();
    rdg_agent_stop(a);
    kill(third, SIGTERM);
    fake_gateway_stop(c.gateway);
    rdg_http_server_stop(c.http);
    rdg_test_ca_fini(&c.ca);
    for (size_t i = 0; i < c.result_count; ++i) json_decref(c.results[i]);
    json_decref(c.telemetry);
}

TEST(a_link_that_is_cut_comes_back_and_loses_no_command) {
    cloud_t c;
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, c.token);
    AWAIT(&c, c.online);
    CHECK_EQ(fake_gateway_strangers(c.gateway), 1); /* to enrol */
    CHECK_EQ(fake_gateway_devices(c.gateway), 1);
    for (unsigned i = 0; i < 5; ++i) {
        char id[16];
        snprintf(id, sizeof id, "p%u", i);
        unsigned before = fake_gateway_devices(c.gateway);
        fake_gateway_cut(c.gateway);
        CHECK_STR(state_of(command(&c, id, "chain.prepare", "{\"chain\":\"c1\"}")), "done");
        /* It may have been done before the gateway came to cut. */
        AWAIT(&c, fake_gateway_devices(c.gateway) > before);
    }
    CHECK(fake_gateway_devices(c.gateway) >= 6);
    CHECK_EQ(fake_gateway_strangers(c.gateway), 1);
    AWAIT(&c, fake_gateway_resumed(c.gateway) == fake_gateway_devices(c.gateway) - 1);
    rdg_agent_stop(a);
    cloud_stop(&c);
}

/* Without an answer nothing is given up: what was told goes to disk and comes again, also from another process. */
TEST(telemetry_that_was_not_answered_comes_again_after_a_restart) {
    cloud_t c;
    cloud_start(&c);
    c.silent = true;
    rdg_agent_t *a = agent_start(&c, c.token);
    AWAIT(&c, c.live >= 3);
    rdg_agent_stop(a);
    CHECK_EQ(c.backlog, 0);
    uint64_t told = c.live;
    pthread_mutex_lock(&c.lock);
    c.silent = false;
    pthread_mutex_unlock(&c.lock);
    a = agent_start(&c, NULL);
    AWAIT(&c, c.backlog >= told);
    rdg_agent_stop(a);
    cloud_stop(&c);
}

TEST(a_command_delivered_three_times_has_one_effect_and_one_answer_each) {
    cloud_t c;
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, c.token);
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
    rdg_agent_t *a = agent_start(&c, c.token);
    struct pollfd p = {.fd = rdg_agent_failed_fd(a), .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 60000), 1);
    CHECK_ERR(rdg_agent_failure(a), RDG_E_UNAUTHENTICATED);
    CHECK(strstr(rdg_err_message(RDG_E_UNAUTHENTICATED), "the token is unknown"));
    rdg_agent_stop(a);
    cloud_stop(&c);
}

static rdg_err_t failure_of(cloud_t *c, const char *token) {
    rdg_agent_t *a = agent_start(c, token);
    struct pollfd p = {.fd = rdg_agent_failed_fd(a), .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 60000), 1);
    rdg_err_t err = rdg_agent_failure(a);
    static char text[RDG_ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", rdg_err_message(err));
    rdg_agent_stop(a);
    return rdg_fail(err, "%s", text);
}

TEST(an_answer_with_another_root_than_the_tokens_is_refused_and_leaves_nothing) {
    cloud_t c;
    rdg_test_ca_t other;
    char path[PATH_MAX];
    cloud_start(&c);
    rdg_test_ca_init(&other, c.ca.now_s);
    c.answers = &other;
    CHECK_ERR(failure_of(&c, c.token), RDG_E_UNAUTHENTICATED);
    CHECK(strstr(rdg_err_message(RDG_E_UNAUTHENTICATED), "ridge ca show"));
    static const char *const files[] = {"enrolment.json", "roots.crt", "identity-sign.crt"};
    for (size_t i = 0; i < 3; ++i) {
        snprintf(path, sizeof path, "%s/agent/%s", rdg_test_dir(), files[i]);
        CHECK(!rdg_file_exists(path));
    }
    /* The right cloud, the same token: enrolled. */
    c.answers = &c.ca;
    rdg_agent_t *a = agent_start(&c, c.token);
    AWAIT(&c, c.online);
    rdg_agent_stop(a);
    CHECK(rdg_file_exists(path));
    rdg_test_ca_fini(&other);
    cloud_stop(&c);
}

TEST(a_token_without_the_roots_fingerprint_is_refused_before_it_is_sent) {
    cloud_t c;
    cloud_start(&c);
    rdg_agent_t *a = NULL;
    CHECK_ERR(agent_try(&c, "t-1", &a), RDG_E_INVALID);
    CHECK(strstr(rdg_err_message(RDG_E_INVALID), "ridge device token"));
    CHECK_EQ(c.enrolments, 0);
    cloud_stop(&c);
}

TEST(a_second_agent_on_a_directory_is_refused) {
    cloud_t c;
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, c.token), *second = NULL;
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/agent", rdg_test_dir());
    rdg_agent_options_t o = {.dir = dir, .name = "d1", .driver = "process"};
    CHECK_ERR(rdg_agent_start(&o, &second), RDG_E_BUSY);
    rdg_agent_stop(a);
    cloud_stop(&c);
}

static bool is_at(cloud_t *c, const char *id, const char *step) {
    for (size_t i = 0; i < c->result_count; ++i)
        if (strcmp(text_of(c->results[i], "id"), id) == 0 &&
            strcmp(text_of(c->results[i], "step"), step) == 0)
            return true;
    return false;
}

/* After a power cut the order can be there before the node is: what it has must not go unasked. */
TEST(an_archived_ledger_goes_only_when_its_node_has_said_how_far_it_is) {
    cloud_t c;
    char ledger[PATH_MAX];
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, c.token);
    AWAIT(&c, c.online);
    json_t *r = command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\"}");
    CHECK_STR(state_of(command(&c, "s1", "chain.start", start_params(&c, r))), "done");
    snprintf(ledger, sizeof ledger, "%s/agent/chains/c1/node/data", rdg_test_dir());
    CHECK_OK(rdg_dir_make(ledger, 0700));
    AWAIT(&c, json_integer_value(json_object_get(telemetry_chain(&c), "height")) > 1);
    r = command(&c, "x1", "chain.remove", "{\"chain\":\"c1\",\"archived\":1}");
    CHECK_STR(state_of(r), "failed");
    CHECK_STR(text_of(json_object_get(r, "error"), "code"), "CONFLICT");
    CHECK(strstr(text_of(json_object_get(r, "error"), "message"), "archive the rest first"));
    pid_t pid = node_pid();
    CHECK(pid > 0 && kill(pid, SIGSTOP) == 0);
    send_command(&c, "x2", "chain.remove", "{\"chain\":\"c1\",\"archived\":1000000}");
    AWAIT(&c, is_at(&c, "x2", "compare"));
    CHECK(poll(NULL, 0, 200) == 0 && rdg_file_exists(ledger)); /* long enough to delete it unasked */
    CHECK_EQ(kill(pid, SIGCONT), 0);
    AWAIT(&c, final_of(&c, "x2") != NULL);
    CHECK_STR(state_of(final_of(&c, "x2")), "done");
    CHECK(!rdg_file_exists(ledger));
    rdg_agent_stop(a);
    cloud_stop(&c);
}

static json_t *prune(cloud_t *c, const char *id) {
    return command(c, id, "chain.prune", "{\"chain\":\"c1\",\"receipts\":[],\"certificate\":\"\"}");
}

/* After a power cut, orders are here before the node is. */
TEST(work_of_a_node_waits_until_it_runs_and_goes_on_when_it_ended) {
    cloud_t c;
    char path[PATH_MAX];
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, c.token);
    AWAIT(&c, c.online);
    json_t *r = command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\"}");
    CHECK_STR(state_of(command(&c, "s1", "chain.start", start_params(&c, r))), "done");
    CHECK_STR(state_of(prune(&c, "w1")), "done");
    pid_t pid = node_pid();
    snprintf(path, sizeof path, "%s/agent/chains/c1/node/end-once", rdg_test_dir());
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("1"), 0600));
    CHECK_STR(state_of(prune(&c, "w2")), "done");
    CHECK(!rdg_file_exists(path));
    pid = next_node(pid);
    CHECK_EQ(kill(pid, SIGKILL), 0); /* it has ended for the second time: it is away for a second */
    CHECK_STR(state_of(prune(&c, "w3")), "done");
    CHECK(node_pid() != pid);
    /* Nobody waits for one that has found itself damaged and cannot start. */
    snprintf(path, sizeof path, "%s/agent/chains/c1/node/damaged", rdg_test_dir());
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("{}"), 0600));
    setenv("FAKE_NODE", "broken", 1);
    CHECK_EQ(kill(node_pid(), SIGKILL), 0);
    r = prune(&c, "w4");
    CHECK_STR(state_of(r), "failed");
    CHECK_STR(text_of(json_object_get(r, "error"), "code"), "CONFLICT");
    CHECK(strstr(text_of(json_object_get(r, "error"), "message"), "recover it first"));
    CHECK_STR(state_of(command(&c, "s2", "chain.stop", "{\"chain\":\"c1\"}")), "done");
    r = prune(&c, "w5");
    CHECK(strstr(text_of(json_object_get(r, "error"), "message"), "start the chain first"));
    rdg_agent_stop(a);
    cloud_stop(&c);
}

/* A container may write where its node's files lie: a link there would have another chain's token sent to it, and a pipe
 * would hold up the agent for ever. */
TEST(a_nodes_token_and_configuration_are_read_through_no_link_and_wait_for_no_pipe) {
    cloud_t c;
    char token[PATH_MAX], moved[PATH_MAX], conf[PATH_MAX];
    struct stat st;
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, c.token);
    AWAIT(&c, c.online);
    json_t *r = command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\"}");
    CHECK_STR(state_of(command(&c, "s1", "chain.start", start_params(&c, r))), "done");
    snprintf(token, sizeof token, "%s/agent/chains/c1/node/agent.token", rdg_test_dir());
    snprintf(conf, sizeof conf, "%s/agent/chains/c1/node/node.conf", rdg_test_dir());
    snprintf(moved, sizeof moved, "%s/another", rdg_test_dir());
    CHECK_EQ(rename(token, moved), 0);
    CHECK_EQ(symlink(moved, token), 0);
    r = prune(&c, "w1");
    CHECK_STR(state_of(r), "failed");
    CHECK(strstr(text_of(json_object_get(r, "error"), "message"), "is a link"));
    CHECK_EQ(unlink(token), 0);
    CHECK_EQ(mkfifo(token, 0600), 0);
    r = prune(&c, "w2");
    CHECK_STR(state_of(r), "failed");
    CHECK(strstr(text_of(json_object_get(r, "error"), "message"), "no plain file"));
    CHECK_EQ(unlink(token), 0);
    snprintf(token, sizeof token, "%s/agent/chains/c1/node/damaged", rdg_test_dir());
    CHECK_EQ(mkfifo(token, 0600), 0);
    AWAIT(&c, json_object_get(telemetry_chain(&c), "damaged") != NULL); /* and telemetry goes on */
    CHECK_EQ(unlink(token), 0);
    CHECK_EQ(unlink(conf), 0);
    CHECK_EQ(mkfifo(conf, 0600), 0);
    pid_t pid = node_pid();
    CHECK_EQ(kill(pid, SIGKILL), 0);
    next_node(pid); /* with a configuration that is a file again */
    CHECK(lstat(conf, &st) == 0 && S_ISREG(st.st_mode));
    CHECK_STR(state_of(command(&c, "s2", "chain.stop", "{\"chain\":\"c1\"}")), "done");
    rdg_agent_stop(a);
    cloud_stop(&c);
}

TEST(a_node_that_cannot_start_fails_the_command_with_its_last_words) {
    cloud_t c;
    setenv("FAKE_NODE", "broken", 1);
    cloud_start(&c);
    rdg_agent_t *a = agent_start(&c, c.token);
    AWAIT(&c, c.online);
    json_t *r = command(&c, "p1", "chain.prepare", "{\"chain\":\"c1\"}");
    CHECK_STR(state_of(r), "done");
    r = command(&c, "s1", "chain.start", start_params(&c, r));
    CHECK_STR(state_of(r), "failed");
    const json_t *e = json_object_get(r, "error");
    CHECK_STR(json_string_value(json_object_get(e, "code")), "INVALID");
    CHECK(strstr(json_string_value(json_object_get(e, "message")), "no validators"));
    CHECK_STR(state_of(command(&c, "x1", "chain.remove", "{\"chain\":\"c1\",\"discard\":true}")), "done");
    rdg_agent_stop(a);
    cloud_stop(&c);
}
