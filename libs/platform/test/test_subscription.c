/* Subscriptions: what subscribers get that are there, away, slow, broken or not allowed. */
#include <stdio.h>
#include <string.h>
#include "alarm.h"
#include "collect.h"
#include "kit.h"
#include "monitor.h"
#include "subscription.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hmac.h"

#define SECRET "a-secret-of-some-length"

typedef struct hook {
    rdg_http_server_t *http;
    pthread_mutex_t lock;
    pthread_cond_t news;
    unsigned asked, fail; /* the first `fail` are answered with 500 */
    bool slow, released;
    char got[8192]; /* ids of events that were taken, each with a space behind it */
    bool bad_signature;
} hook_t;

static bool signed_well(const rdg_http_request_t *req) {
    uint8_t mac[RDG_HMAC_SM3_BYTES];
    char want[80] = "hmac-sm3=";
    const char *timestamp = rdg_http_header(req, "Ridge-Timestamp"),
               *got = rdg_http_header(req, "Ridge-Signature");
    if (!timestamp || !got) return false;
    const rdg_bytes_t parts[] = {rdg_bytes_str(timestamp), rdg_bytes_str("."), rdg_http_body(req)};
    rdg_hmac_sm3(mac, rdg_bytes_str(SECRET), parts, 3);
    rdg_hex_encode(mac, sizeof mac, want + strlen(want));
    return strcmp(want, got) == 0;
}

static unsigned take(hook_t *h, const json_t *body) {
    const json_t *event;
    size_t i;
    char *text = rdg_json_text(body);
    bool poison = strstr(text, "poison") != NULL;
    rdg_free(text);
    if (poison) return 422;
    if (h->asked <= h->fail) return 500;
    json_array_foreach(json_object_get(body, "events"), i, event) {
        size_t used = strlen(h->got);
        snprintf(h->got + used, sizeof h->got - used, "%s ", kit_text(event, "id"));
    }
    return 204;
}

static void handle(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    hook_t *h = ctx;
    json_t *body = NULL;
    CHECK_OK(rdg_json_parse(rdg_http_body(req), &body));
    pthread_mutex_lock(&h->lock);
    ++h->asked;
    h->bad_signature = h->bad_signature || !signed_well(req);
    pthread_cond_broadcast(&h->news);
    while (h->slow && !h->released) pthread_cond_wait(&h->news, &h->lock);
    rdg_http_status(res, take(h, body));
    pthread_cond_broadcast(&h->news);
    pthread_mutex_unlock(&h->lock);
    json_decref(body);
}

static uint16_t hook_start(hook_t *h, uint16_t port) {
    const rdg_http_server_options_t o = {.port = port};
    CHECK_OK(rdg_http_server_start(&o, handle, h, &h->http));
    return rdg_http_server_port(h->http);
}

static uint16_t hook_open(hook_t *h) {
    memset(h, 0, sizeof *h);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->news, NULL);
    return hook_start(h, rdg_test_port());
}

static void hook_wait(hook_t *h, const char *ids) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    pthread_mutex_lock(&h->lock);
    while (strcmp(h->got, ids) != 0 && pthread_cond_timedwait(&h->news, &h->lock, &end) == 0) {
    }
    CHECK_STR(h->got, ids);
    CHECK(!h->bad_signature);
    pthread_mutex_unlock(&h->lock);
}

static void hook_wait_asked(hook_t *h, unsigned count) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    pthread_mutex_lock(&h->lock);
    while (h->asked < count && pthread_cond_timedwait(&h->news, &h->lock, &end) == 0) {
    }
    CHECK(h->asked >= count);
    pthread_mutex_unlock(&h->lock);
}

static void record_at(kit_t *k, const char *device, const char *kind, const char *data, uint64_t at_ms) {
    static unsigned next;
    char id[32];
    snprintf(id, sizeof id, "r%u", next++);
    CHECK_OK(rdg_sql_exec(k->platform->collect->records,
                          "INSERT INTO records (device, id, kind, time_ms, received_ms, bytes, data)"
                          " VALUES (?, ?, ?, 1, ?, 1, ?)",
                          RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(id), rdg_sql_text(kind),
                                         rdg_sql_int((int64_t)at_ms), rdg_sql_text(data)),
                          NULL));
    subscriptions_kick(k->platform->subscriptions);
}

static void record(kit_t *k, const char *device, const char *kind, const char *data) {
    record_at(k, device, kind, data, platform_now());
}

static void subscribe(kit_t *k, const char *name, uint16_t port, const char *more) {
    char body[600];
    json_t *answer;
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"webhook\":\"http://127.0.0.1:%u/hook\",\"secret\":\"" SECRET "\"%s%s}", name,
             port, more[0] ? "," : "", more);
    CHECK_EQ(kit_call(k, "POST", "/subscriptions", body, &answer), 201);
    CHECK_STR(kit_text(answer, "secret"), SECRET);
    json_decref(answer);
}

/* Waits until a field of a subscription, as text of a number or a string, is so. */
static void wait_field(kit_t *k, const char *name, const char *field, const char *want) {
    char path[100];
    for (unsigned i = 0; i < 3000; ++i, kit_pause()) {
        json_t *o;
        snprintf(path, sizeof path, "/subscriptions/%s", name);
        CHECK_EQ(kit_call(k, "GET", path, NULL, &o), 200);
        char number[24];
        const json_t *v = json_object_get(o, field);
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        bool so = strcmp(json_is_string(v) ? json_string_value(v) : number, want) == 0;
        CHECK(strstr(path, SECRET) == NULL && json_object_get(o, "secret") == NULL);
        json_decref(o);
        if (so) return;
    }
    rdg_test_fail(__FILE__, __LINE__, "%s of subscription %s has not become %s", field, name, want);
}

TEST(subscription_delivers_each_in_order_through_errors_and_a_restart) {
    kit_t k;
    hook_t h;
    kit_open(&k);
    uint16_t port = hook_open(&h);
    h.fail = 1;
    record(&k, "dev-1", "trip", "1"); /* before there was a subscription: not meant */
    subscribe(&k, "ops", port, "");
    for (int i = 0; i < 3; ++i) record(&k, i == 1 ? "dev-2" : "dev-1", "trip", "{\"a\":[]}");
    hook_wait(&h, "record-2 record-3 record-4 ");
    wait_field(&k, "ops", "delivered", "3");
    wait_field(&k, "ops", "state", "active");
    kit_close(&k);
    kit_open(&k);
    record(&k, "dev-1", "trip", "5");
    hook_wait(&h, "record-2 record-3 record-4 record-5 "); /* nothing again, nothing left out */
    wait_field(&k, "ops", "delivered", "4");
    CHECK_EQ(kit_call(&k, "POST", "/subscriptions/ops/resume", "{\"records_after\":3}", NULL), 200);
    hook_wait(&h, "record-2 record-3 record-4 record-5 record-4 record-5 "); /* asked for again */
    CHECK_EQ(kit_call(&k, "DELETE", "/subscriptions/ops", NULL, NULL), 204);
    CHECK_EQ(kit_call(&k, "GET", "/subscriptions/ops", NULL, NULL), 404);
    kit_close(&k);
    rdg_http_server_stop(h.http);
}

TEST(subscription_waits_for_a_subscriber_that_is_away_and_keeps_what_it_waits_for) {
    kit_t k;
    hook_t h;
    kit_open(&k);
    uint16_t port = hook_open(&h);
    rdg_http_server_stop(h.http);
    subscribe(&k, "ops", port, "");
    record(&k, "dev-1", "trip", "1");
    wait_field(&k, "ops", "state", "failing");
    CHECK_EQ(__atomic_load_n(&k.platform->collect->records_needed, __ATOMIC_ACQUIRE), 1);
    hook_start(&h, port);
    record(&k, "dev-1", "trip", "2");
    CHECK_EQ(kit_call(&k, "POST", "/subscriptions/ops/resume", "{}", NULL),
             200); /* now, not at the end of its back-off */
    hook_wait(&h, "record-1 record-2 ");
    wait_field(&k, "ops", "delivered", "2");
    CHECK_EQ(kit_call(&k, "POST", "/subscriptions/ops/pause", NULL, NULL), 200);
    CHECK_EQ(__atomic_load_n(&k.platform->collect->records_needed, __ATOMIC_ACQUIRE), INT64_MAX);
    kit_close(&k);
    rdg_http_server_stop(h.http);
}

TEST(subscription_that_is_slow_holds_up_nobody) {
    kit_t k;
    hook_t slow, quick;
    kit_open(&k);
    uint16_t slow_port = hook_open(&slow), quick_port = hook_open(&quick);
    slow.slow = true;
    subscribe(&k, "slow", slow_port, "");
    subscribe(&k, "quick", quick_port, "");
    record(&k, "dev-1", "trip", "1");
    hook_wait_asked(&slow, 1);
    record(&k, "dev-1", "trip", "2");
    hook_wait(&quick, "record-1 record-2 ");
    pthread_mutex_lock(&slow.lock);
    slow.released = true;
    pthread_cond_broadcast(&slow.news);
    pthread_mutex_unlock(&slow.lock);
    hook_wait(&slow, "record-1 record-2 ");
    kit_close(&k);
    rdg_http_server_stop(slow.http);
    rdg_http_server_stop(quick.http);
}

TEST(subscription_gives_up_what_is_refused_or_too_old_and_says_so) {
    kit_t k;
    hook_t h;
    json_t *o;
    kit_open(&k);
    uint16_t port = hook_open(&h);
    subscribe(&k, "ops", port, "");
    CHECK_EQ(kit_call(&k, "POST", "/subscriptions/ops/pause", NULL, NULL), 200);
    record(&k, "dev-1", "trip", "1");
    record(&k, "dev-1", "trip", "\"poison\"");
    record(&k, "dev-1", "trip", "3");
    CHECK_EQ(kit_call(&k, "POST", "/subscriptions/ops/resume", NULL, NULL), 200);
    hook_wait(&h, "record-1 record-3 "); /* the one in between is taken out, the others come */
    wait_field(&k, "ops", "dead", "1");
    CHECK_EQ(kit_call(&k, "GET", "/subscriptions/ops", NULL, &o), 200);
    const json_t *dead = json_array_get(json_object_get(o, "dead_letters"), 0);
    CHECK_EQ(json_integer_value(json_object_get(dead, "first")), 2);
    CHECK_EQ(json_integer_value(json_object_get(dead, "tries")), SUBSCRIPTION_REFUSED_TRIES);
    CHECK_STR(kit_text(dead, "error"), "HTTP 422");
    json_decref(o);
    rdg_http_server_stop(h.http);
    subscribe(&k, "old", port, "\"give_up_ms\":1000");
    record_at(&k, "dev-1", "trip", "4", platform_now() - 60000);
    wait_field(&k, "old", "dead", "1");
    kit_close(&k);
}

TEST(subscription_sends_what_its_filter_names_and_nothing_else) {
    kit_t k;
    hook_t h;
    fake_t f;
    int64_t number;
    kit_open(&k);
    fake_init(&f, "dev-g");
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "PATCH", "/devices/dev-g", "{\"group\":\"north\"}", NULL), 200);
    uint16_t port = hook_open(&h);
    subscribe(&k, "group", port, "\"filter\":{\"types\":[\"record\"],\"group\":\"north\"}");
    record(&k, "dev-1", "trip", "1");
    record(&k, "dev-g", "trip", "2");
    hook_wait(&h, "record-2 ");
    CHECK_EQ(kit_call(&k, "DELETE", "/subscriptions/group", NULL, NULL), 204);
    subscribe(&k, "alarms", port,
              "\"filter\":{\"types\":[\"alarm\"],\"device\":\"dev-1\",\"kind\":\"disk\"}");
    for (int i = 0; i < 2; ++i) {
        const alarm_row_t row = {i ? "dev-1" : "dev-g", "", ALARM_DISK, true, 95, 90, platform_now()};
        CHECK_OK(alarm_store_raise(monitor_db(k.platform->monitor), &row, RDG_TENANT_DEFAULT, &number));
    }
    record(&k, "dev-1", "disk", "3");
    CHECK_OK(alarm_store_clear(monitor_db(k.platform->monitor), number, platform_now(), "why"));
    hook_wait(&h, "record-2 alarm-2 alarm-3 ");
    fake_fini(&f);
    kit_close(&k);
    rdg_http_server_stop(h.http);
}

#define CA_WITH_A_KEY "{\"name\":\"x\",\"webhook\":\"https://a/\",\"ca\":\"-----BEGIN PRIVATE KEY-----\"}"

TEST(subscription_is_refused_where_it_would_do_harm) {
    static const char *const bad[] = {"{}",
                                      "{\"name\":\"x\"}",
                                      "{\"name\":\"X y\",\"mqtt\":true}",
                                      "{\"name\":\"x\",\"webhook\":\"ftp://a/\"}",
                                      "{\"name\":\"x\",\"webhook\":\"http://a/\\r\\nX: y\"}",
                                      "{\"name\":\"x\",\"webhook\":\"http://a/\",\"mqtt\":true}",
                                      "{\"name\":\"x\",\"mqtt\":true,\"secret\":\"short\"}",
                                      "{\"name\":\"x\",\"mqtt\":true,\"ca\":\"\"}",
                                      "{\"name\":\"x\",\"webhook\":\"http://a/\",\"ca\":\"\"}",
                                      "{\"name\":\"x\",\"webhook\":\"https://a/\",\"ca\":\"\"}",
                                      CA_WITH_A_KEY,
                                      "{\"name\":\"x\",\"mqtt\":true,\"filter\":{\"grupe\":\"a\"}}",
                                      "{\"name\":\"x\",\"mqtt\":true,\"filter\":{\"types\":[]}}",
                                      "{\"name\":\"x\",\"mqtt\":true,\"filter\":{\"types\":[\"command\"]}}",
                                      "{\"name\":\"x\",\"mqtt\":true,\"give_up_ms\":1}",
                                      "{\"name\":\"x\",\"mqtt\":true,\"from\":\"yesterday\"}"};
    static const char *const guarded[] = {"http://169.254.169.254", "https://169.254.169.254",
                                          "http://[fe80::1]",       "http://[::ffff:169.254.1.1]",
                                          "http://0.0.0.0",         "http://224.0.0.1",
                                          "http://[fd00:ec2::254]", "http://100.100.100.200"};
    static const char *const paths[][2] = {
        {"GET", "/subscriptions"},          {"POST", "/subscriptions"},
        {"GET", "/subscriptions/x"},        {"DELETE", "/subscriptions/x"},
        {"POST", "/subscriptions/x/test"},  {"POST", "/subscriptions/x/pause"},
        {"POST", "/subscriptions/x/resume"}};
    kit_t k;
    json_t *o;
    char body[200];
    kit_open(&k);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_EQ(kit_call(&k, "POST", "/subscriptions", bad[i], NULL), 400);
    for (size_t i = 0; i < sizeof guarded / sizeof guarded[0]; ++i) {
        snprintf(body, sizeof body, "{\"name\":\"g\",\"webhook\":\"%s:1/\"}", guarded[i]);
        CHECK_EQ(kit_call(&k, "POST", "/subscriptions", body, NULL), 201);
        CHECK_EQ(kit_call(&k, "POST", "/subscriptions", body, NULL), 409);
        CHECK_EQ(kit_call(&k, "POST", "/subscriptions/g/test", NULL, &o), 503);
        CHECK(strstr(kit_error(o, "message"), "link-local") != NULL);
        json_decref(o);
        CHECK_EQ(kit_call(&k, "DELETE", "/subscriptions/g", NULL, NULL), 204);
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; ++i)
        CHECK_EQ(kit_call_public(&k, paths[i][0], paths[i][1], NULL, NULL), 401);
    kit_close(&k);
}

/* --- by MQTT ------------------------------------------------------------------------------------------------------ */

typedef struct listener {
    rdg_mqtt_t *mqtt;
    pthread_mutex_t lock;
    pthread_cond_t news;
    char topic[120], got[1024], delivery[128];
    unsigned count;
    bool answers; /* what it gets is taken at once */
} listener_t;

static void say_taken(listener_t *l, const char *delivery) {
    char ack[160], answer[160];
    snprintf(ack, sizeof ack, "%s/ack", l->topic);
    snprintf(answer, sizeof answer, "{\"delivery\":\"%s\"}", delivery);
    CHECK_OK(rdg_mqtt_publish(l->mqtt, ack, rdg_bytes_str(answer), false, NULL));
}

static bool on_delivery(void *ctx, const char *topic, rdg_bytes_t payload) {
    listener_t *l = ctx;
    json_t *o = NULL, *event;
    size_t i;
    (void)topic;
    CHECK_OK(rdg_json_parse(payload, &o));
    pthread_mutex_lock(&l->lock);
    ++l->count;
    snprintf(l->delivery, sizeof l->delivery, "%s", kit_text(o, "delivery"));
    json_array_foreach(json_object_get(o, "events"), i, event) {
        size_t used = strlen(l->got);
        snprintf(l->got + used, sizeof l->got - used, "%s ", kit_text(event, "id"));
    }
    pthread_cond_broadcast(&l->news);
    pthread_mutex_unlock(&l->lock);
    if (l->answers) say_taken(l, kit_text(o, "delivery"));
    json_decref(o);
    return true;
}

/* Connects, also once more: the broker knows it by its user. */
static void come(listener_t *l, const kit_t *k, const char *user, const char *password) {
    const char *topics[] = {l->topic};
    char client[96];
    snprintf(client, sizeof client, "listener-%s", user);
    const rdg_mqtt_options_t o = {.url = rdg_platform_broker_url(k->platform),
                                  .client_id = client,
                                  .username = user,
                                  .password = password,
                                  .subscriptions = topics,
                                  .subscription_count = 1,
                                  .message = on_delivery,
                                  .ctx = l};
    /* Its thread may call before rdg_mqtt_start has returned. */
    pthread_mutex_lock(&l->lock);
    CHECK_OK(rdg_mqtt_start(&o, &l->mqtt));
    pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < 3000 && !rdg_mqtt_connected(l->mqtt); ++i) kit_pause();
    CHECK(rdg_mqtt_connected(l->mqtt));
}

static void listen_as(listener_t *l, kit_t *k, const char *user, const char *password, const char *topic) {
    memset(l, 0, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->news, NULL);
    snprintf(l->topic, sizeof l->topic, "%s", topic);
    come(l, k, user, password);
}

TEST(subscription_by_mqtt_is_taken_when_its_subscriber_says_so) {
    kit_t k;
    listener_t l, spy;
    fake_t f;
    json_t *o;
    char answer[160];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "POST", "/subscriptions", "{\"name\":\"dash\",\"mqtt\":true}", &o), 201);
    CHECK_STR(kit_text(o, "user"), "_sub.dash");
    listen_as(&l, &k, kit_text(o, "user"), kit_text(o, "password"), kit_text(o, "topic"));
    listen_as(&spy, &k, "dev-1", f.password, kit_text(o, "topic"));
    json_decref(o);
    record(&k, "dev-1", "trip", "1");
    for (unsigned i = 0; i < 3000; ++i, kit_pause()) {
        pthread_mutex_lock(&l.lock);
        bool there = l.count > 0;
        pthread_mutex_unlock(&l.lock);
        if (there) break;
    }
    snprintf(answer, sizeof answer, "{\"delivery\":\"%s\"}", l.delivery);
    /* Not by another: the broker does not let it through. */
    CHECK_OK(rdg_mqtt_publish(spy.mqtt, "subscriptions/_sub.dash/ack", rdg_bytes_str(answer), false, NULL));
    for (unsigned i = 0; i < 10; ++i) kit_pause();
    wait_field(&k, "dash", "delivered", "0");
    CHECK_OK(rdg_mqtt_publish(l.mqtt, "subscriptions/_sub.dash/ack", rdg_bytes_str(answer), false, NULL));
    wait_field(&k, "dash", "delivered", "1");
    CHECK_STR(l.got, "record-1 ");
    CHECK_EQ(spy.count, 0); /* nor does another read it */
    rdg_mqtt_stop(spy.mqtt);
    rdg_mqtt_stop(l.mqtt);
    fake_fini(&f);
    CHECK_EQ(kit_call(&k, "DELETE", "/subscriptions/dash", NULL, NULL), 204);
    kit_close(&k);
}

static void subscribe_by_mqtt(kit_t *k, const char *name, char password[80]) {
    char body[100];
    json_t *o;
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"mqtt\":true}", name);
    CHECK_EQ(kit_call(k, "POST", "/subscriptions", body, &o), 201);
    snprintf(password, 80, "%s", kit_text(o, "password"));
    json_decref(o);
}

/* Each of the records 1 to 3 came, the first time in this order. */
static void check_came(listener_t *l) {
    pthread_mutex_lock(&l->lock);
    const char *first = strstr(l->got, "record-1 "), *second = strstr(l->got, "record-2 "),
               *third = strstr(l->got, "record-3 ");
    CHECK(first && second && third && first < second && second < third);
    pthread_mutex_unlock(&l->lock);
}

/* After the first failure the next try is minutes away: what comes sooner comes because the subscriber is back. */
TEST(subscription_by_mqtt_gets_what_it_missed_when_it_returns) {
    kit_t k;
    listener_t kept, clean;
    char password[80], other[80];
    kit_open(&k);
    subscriptions_pace(k.platform->subscriptions, 300, 300000);
    subscribe_by_mqtt(&k, "kept", password);
    subscribe_by_mqtt(&k, "clean", other);
    listen_as(&kept, &k, "_sub.kept", password, "subscriptions/_sub.kept");
    rdg_mqtt_stop(kept.mqtt);
    for (int i = 0; i < 3; ++i) record(&k, "dev-1", "trip", "1");
    wait_field(&k, "kept", "state", "failing");
    wait_field(&k, "clean", "state", "failing");
    subscriptions_pace(k.platform->subscriptions, 10000, 300000);
    kept.answers = true;
    come(&kept, &k, "_sub.kept",
         password); /* its session has what was published; the answer is late, and counts */
    wait_field(&k, "kept", "delivered", "3");
    check_came(&kept);
    listen_as(&clean, &k, "_sub.clean", other, "subscriptions/_sub.clean");
    clean.answers = true;
    wait_field(&k, "clean", "delivered", "0");
    CHECK_OK(rdg_mqtt_publish(clean.mqtt, "subscriptions/_sub.clean/ack", rdg_bytes_str("{}"), false, NULL));
    wait_field(&k, "clean", "delivered", "3");
    check_came(&clean);
    rdg_mqtt_stop(clean.mqtt);
    rdg_mqtt_stop(kept.mqtt);
    kit_close(&k);
}

static void make_boss(kit_t *k, const char *tenant, const char *device, char token[100]) {
    char body[120];
    json_t *a;
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", tenant);
    CHECK_EQ(kit_call(k, "POST", "/tenants", body, NULL), 201);
    snprintf(body, sizeof body, "{\"name\":\"boss\",\"role\":\"admin\",\"tenant\":\"%s\"}", tenant);
    CHECK_EQ(kit_call(k, "POST", "/tokens", body, &a), 201);
    snprintf(token, 100, "%s", kit_text(a, "token"));
    json_decref(a);
    CHECK_OK(rdg_sql_exec(k->platform->db, "INSERT INTO device_tenants (device, tenant) VALUES (?, ?)",
                          RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(tenant)), NULL));
}

static void record_of(kit_t *k, const char *tenant, const char *device, const char *id) {
    CHECK_OK(rdg_sql_exec(k->platform->collect->records,
                          "INSERT INTO records (device, id, kind, time_ms, received_ms, bytes, data, tenant)"
                          " VALUES (?, ?, 'trip', 1, ?, 1, '1', ?)",
                          RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(id),
                                         rdg_sql_int((int64_t)platform_now()), rdg_sql_text(tenant)),
                          NULL));
    subscriptions_kick(k->platform->subscriptions);
}

static void alarm_of(kit_t *k, const char *tenant, const char *device) {
    const alarm_row_t row = {device, "", ALARM_DISK, true, 95, 90, platform_now()};
    int64_t number;
    CHECK_OK(alarm_store_raise(monitor_db(k->platform->monitor), &row, tenant, &number));
    subscriptions_kick(k->platform->subscriptions);
}

static unsigned subscribe_as(kit_t *k, const char *token, const char *name, const char *where) {
    char body[300];
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"secret\":\"" SECRET "\",%s}", name, where);
    return kit_call_as(k, token, "POST", "/subscriptions", body, NULL);
}

TEST(subscription_of_a_tenant_gets_what_is_of_its_devices_alone) {
    kit_t k;
    hook_t h, all;
    char acme[100], other[100], where[100];
    json_t *a;
    const rdg_platform_options_t o = {.data_dir = rdg_test_dir(),
                                      .webhook_allow = "10.20.0.0/16,127.0.0.1/32"};
    kit_open_with(&k, &o);
    make_boss(&k, "acme", "a-1", acme);
    make_boss(&k, "other", "o-1", other);
    snprintf(where, sizeof where, "\"webhook\":\"http://127.0.0.1:%u/hook\"", hook_open(&h));
    CHECK_EQ(subscribe_as(&k, acme, "acme-ops", where), 201);
    subscribe(&k, "all", hook_open(&all), "");
    record_of(&k, "other", "o-1", "r-1");
    record_of(&k, "acme", "a-1", "r-2");
    record_of(&k, "default", "d-1", "r-3");
    hook_wait(&h, "record-2 ");
    hook_wait(&all, "record-1 record-2 record-3 ");
    alarm_of(&k, "other", "o-1");
    alarm_of(&k, "acme", "a-1");
    hook_wait(&all, "record-1 record-2 record-3 alarm-1 alarm-2 ");
    record_of(&k, "other", "o-1", "r-4");
    hook_wait(&h, "record-2 alarm-2 ");
    /* Its own alone: what is another's is not there, and the cloud's own is no tenant's. */
    CHECK_EQ(kit_call_as(&k, acme, "GET", "/subscriptions", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "subscriptions")), 1);
    CHECK_STR(kit_text(json_array_get(json_object_get(a, "subscriptions"), 0), "tenant"), "acme");
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, acme, "GET", "/subscriptions/all", NULL, NULL), 404);
    CHECK_EQ(kit_call_as(&k, other, "DELETE", "/subscriptions/acme-ops", NULL, NULL), 404);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/subscriptions",
                         "{\"name\":\"x\",\"mqtt\":true,\"tenant\":\"other\"}", NULL),
             403);
    kit_close(&k); /* and whose it is outlives the process */
    kit_open_with(&k, &o);
    record_of(&k, "other", "o-1", "r-5");
    record_of(&k, "acme", "a-1", "r-6");
    hook_wait(&h, "record-2 alarm-2 record-6 ");
    CHECK_EQ(kit_call(&k, "DELETE", "/tenants/acme", NULL, &a), 409);
    CHECK(strstr(kit_error(a, "message"), "has 1 subscriptions"));
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, acme, "DELETE", "/subscriptions/acme-ops", NULL, NULL), 204);
    CHECK_EQ(kit_call(&k, "DELETE", "/tenants/acme", NULL, NULL), 204);
    kit_close(&k);
    rdg_http_server_stop(h.http);
    rdg_http_server_stop(all.http);
}

TEST(subscription_of_a_tenant_has_its_share_and_reaches_nothing_on_the_clouds_machine) {
    static const char *const ours[] = {"http://127.0.0.1:1/",          "http://[::1]:1/",
                                       "http://[::ffff:127.0.0.1]:1/", "http://localhost:1/",
                                       "https://10.20.0.1:1/",         "http://192.168.1.1:1/"};
    /* What the cloud's own may name is nothing of a tenant's; and a range opens itself alone. */
    const rdg_platform_options_t o = {
        .data_dir = rdg_test_dir(), .webhook_link_local = true, .webhook_allow = "10.21.0.0/16"};
    kit_t k;
    char acme[100], other[100], name[40], where[100];
    json_t *a;
    kit_open_with(&k, &o);
    make_boss(&k, "acme", "a-1", acme);
    make_boss(&k, "other", "o-1", other);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; ++i) {
        snprintf(name, sizeof name, "acme-%zu", i);
        snprintf(where, sizeof where, "\"webhook\":\"%s\"", ours[i]);
        CHECK_EQ(subscribe_as(&k, acme, name, where), 201);
        snprintf(where, sizeof where, "/subscriptions/%s/test", name);
        CHECK_EQ(kit_call_as(&k, acme, "POST", where, NULL, &a), 503);
        CHECK(strstr(kit_error(a, "message"), "loopback, private"));
        CHECK(strstr(kit_error(a, "message"), "--webhook-allow"));
        json_decref(a);
    }
    /* A dead subscriber of a tenant's keeps no records that others need the room of. */
    record_of(&k, "acme", "a-1", "r-1");
    CHECK_EQ(__atomic_load_n(&k.platform->collect->records_needed, __ATOMIC_ACQUIRE), INT64_MAX);
    for (size_t i = sizeof ours / sizeof ours[0]; i < SUBSCRIPTIONS_TENANT_MAX; ++i) {
        snprintf(name, sizeof name, "acme-%zu", i);
        CHECK_EQ(subscribe_as(&k, acme, name, "\"mqtt\":true"), 201);
    }
    CHECK_EQ(subscribe_as(&k, acme, "acme-more", "\"mqtt\":true"), 503);
    CHECK_EQ(subscribe_as(&k, other, "other-1", "\"mqtt\":true"), 201);
    kit_close(&k);
}

TEST(subscription_ranges_that_are_none_keep_the_platform_from_starting) {
    rdg_platform_t *p;
    const rdg_platform_options_t o = {.data_dir = rdg_test_dir(),
                                      .webhook_allow = "10.20.0.0/16,10.21.0.1/16"};
    CHECK_ERR(rdg_platform_open(&o, &p), RDG_E_INVALID);
    CHECK(strstr(rdg_err_message(RDG_E_INVALID), "--webhook-allow: '10.21.0.1/16'"));
}
