/* The live stream: what is seen, what comes after a break, and what becomes of who does not read. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "alarm.h"
#include "collect.h"
#include "event.h"
#include "kit.h"
#include "ridge/base/alloc.h"

/* A client of its own thread: reads until it has seen a text, then breaks off. */
typedef struct ear {
    kit_t *k;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    char query[200];
    const char *until, *token; /* token NULL: the administrator's */
    rdg_buf_t got;
    bool over;
} ear_t;

static rdg_err_t hear(void *ctx, rdg_bytes_t bytes) {
    ear_t *e = ctx;
    pthread_mutex_lock(&e->lock);
    CHECK_OK(rdg_buf_append(&e->got, bytes.data, bytes.len));
    bool enough = strstr(rdg_buf_cstr(&e->got), e->until) != NULL;
    pthread_cond_broadcast(&e->news);
    pthread_mutex_unlock(&e->lock);
    return enough ? RDG_E_CANCELLED : RDG_OK;
}

static void *listen_on(void *arg) {
    ear_t *e = arg;
    char url[400];
    rdg_http_client_t *http;
    rdg_http_answer_t answer;
    char authorization[120];
    const char *const headers[] = {authorization};
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", e->token ? e->token : "secret");
    CHECK_OK(rdg_http_client_new(&http));
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v1/events%s", rdg_service_port(e->k->service),
             e->query);
    const rdg_http_call_t call = {.method = "GET",
                                  .url = url,
                                  .headers = headers,
                                  .header_count = 1,
                                  .timeout_ms = 60000,
                                  .sink = hear,
                                  .sink_ctx = e};
    if (rdg_http_call(http, &call, &answer) == RDG_OK) rdg_http_answer_fini(&answer);
    rdg_http_client_free(http);
    pthread_mutex_lock(&e->lock);
    e->over = true;
    pthread_cond_broadcast(&e->news);
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

static void ear_wait(ear_t *e, const char *text) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    pthread_mutex_lock(&e->lock);
    while (!strstr(rdg_buf_cstr(&e->got), text) && !e->over &&
           pthread_cond_timedwait(&e->news, &e->lock, &end) == 0) {
    }
    const char *all = rdg_buf_cstr(&e->got);
    if (!strstr(all, text))
        rdg_test_fail(__FILE__, __LINE__, "%s has not come%s; the last of %zu bytes: %s", text,
                      e->over ? " and the stream is over" : "", e->got.len,
                      all + (e->got.len > 200 ? e->got.len - 200 : 0));
    pthread_mutex_unlock(&e->lock);
}

static void ear_open_as(ear_t *e, kit_t *k, const char *token, const char *query, const char *until) {
    memset(e, 0, sizeof *e);
    e->k = k;
    e->token = token;
    e->until = until;
    snprintf(e->query, sizeof e->query, "%s", query);
    rdg_buf_init(&e->got, 16u << 20);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->news, NULL);
    CHECK_EQ(pthread_create(&e->thread, NULL, listen_on, e), 0);
}

static void ear_open(ear_t *e, kit_t *k, const char *query, const char *until) {
    ear_open_as(e, k, NULL, query, until);
}

static void ear_close(ear_t *e) {
    pthread_join(e->thread, NULL);
    rdg_buf_fini(&e->got);
}

static void record(kit_t *k, const char *device, const char *id, const char *data) {
    CHECK_OK(rdg_sql_exec(k->platform->collect->records,
                          "INSERT INTO records (device, id, kind, time_ms, received_ms, bytes, data)"
                          " VALUES (?, ?, 'trip', 1, ?, 1, ?)",
                          RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(id),
                                         rdg_sql_int((int64_t)platform_now()), rdg_sql_text(data)),
                          NULL));
    events_kick(k->platform->events);
}

static void last_id(ear_t *e, char out[40]) {
    const char *at = NULL;
    pthread_mutex_lock(&e->lock);
    for (const char *p = rdg_buf_cstr(&e->got); (p = strstr(p, "id: ")); ++p) at = p;
    CHECK(at && sscanf(at, "id: %39[^\n]", out) == 1);
    pthread_mutex_unlock(&e->lock);
}

TEST(event_stream_tells_what_happens_and_goes_on_after_a_break) {
    kit_t k;
    ear_t e, again;
    fake_t f;
    int64_t number;
    char id[40], query[100];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    ear_open(&e, &k, "", "\"r-2\"");
    ear_wait(&e, "event: hello");
    record(&k, "dev-1", "r-1", "{\"a\":1}");
    ear_wait(&e, "\"r-1\"");
    const alarm_row_t row = {"dev-1", "", ALARM_DISK, true, 95, 90, platform_now()};
    CHECK_OK(alarm_store_raise(monitor_db(k.platform->monitor), &row, RDG_TENANT_DEFAULT, &number));
    ear_wait(&e, "event: alarm");
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/commands", "{\"type\":\"agent.none\"}", NULL), 202);
    ear_wait(&e, "event: command");
    last_id(&e, id);
    record(&k, "dev-1", "r-2", "2");
    ear_wait(&e, "\"r-2\"");
    ear_close(&e);
    record(&k, "dev-2", "r-3", "3"); /* while nobody listens */
    record(&k, "dev-1", "r-4", "4");
    snprintf(query, sizeof query, "?type=record&device=dev-1&last_event_id=%s", id);
    ear_open(&again, &k, query, "\"r-4\"");
    ear_wait(&again, "\"r-4\"");
    ear_close(&again);
    ear_open(&again, &k, query, "\"r-4\"");
    ear_wait(&again, "\"r-4\"");
    CHECK(strstr(rdg_buf_cstr(&again.got), "\"r-2\"") != NULL); /* what had come after that id */
    CHECK(!strstr(rdg_buf_cstr(&again.got), "\"r-1\"") && !strstr(rdg_buf_cstr(&again.got), "\"r-3\""));
    CHECK(!strstr(rdg_buf_cstr(&again.got), "event: reset") &&
          !strstr(rdg_buf_cstr(&again.got), "event: command"));
    ear_close(&again);
    ear_open(&again, &k, "?last_event_id=0123456789abcdef-7", "event: reset");
    ear_wait(&again, "event: reset");
    ear_close(&again);
    fake_fini(&f);
    kit_close(&k);
}

/* A client that asks and does not read: a small window, so that little is on its way to it. */
static int connect_deaf(kit_t *k) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(rdg_service_port(k->service))};
    static const char request[] =
        "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n";
    int small = 4096, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    CHECK_EQ(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
    CHECK_EQ(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    return fd;
}

TEST(event_stream_drops_who_does_not_read_and_says_so) {
    kit_t k;
    ear_t e;
    char id[32], *large = rdg_calloc(1, 30003), tail[4096] = "";
    rdg_metrics_t *m = rdg_metrics_new();
    const rdg_platform_options_t o = {.data_dir = rdg_test_dir(), .metrics = m};
    kit_open_with(&k, &o);
    memset(large, 'x', 30002);
    large[0] = large[30001] = '"';
    int fd = connect_deaf(&k);
    ear_open(&e, &k, "", "\"last\"");
    ear_wait(&e, "event: hello");
    rdg_metric_t *clients =
        rdg_metrics_gauge(m, "ridge_events_clients", "clients that listen to events", NULL);
    for (unsigned i = 0; i < 3000 && rdg_metric_value(clients) < 2; ++i) kit_pause();
    CHECK_EQ(rdg_metric_value(clients), 2);
    unsigned n = 0;
    for (; n < 1000 && rdg_metric_value(clients) == 2; ++n) {
        snprintf(id, sizeof id, "r-%u", n);
        record(&k, "dev-1", id, large);
        snprintf(id, sizeof id, "\"r-%u\"", n);
        ear_wait(&e, id); /* who reads is not held up */
    }
    CHECK_EQ(rdg_metric_value(clients), 1);
    for (ssize_t got; (got = recv(fd, tail + 2048, 2048, 0)) > 0;) {
        memmove(tail, tail + got, 2048); /* the last 2048 bytes */
        if (memmem(tail, 2048, "event: dropped", 14)) break;
    }
    CHECK(memmem(tail, 2048, "event: dropped", 14) != NULL);
    close(fd);
    record(&k, "dev-1", "last", "1");
    ear_close(&e);
    kit_close(&k);
    rdg_metrics_free(m);
    rdg_free(large);
}

TEST(event_stream_is_for_who_may_and_asks_well) {
    kit_t k;
    static const char *const bad[] = {"/events?type=tea", "/events?device=../x", "/events?last_event_id=5",
                                      "/events?last_event_id=a-b"};
    kit_open(&k);
    CHECK_EQ(kit_call_public(&k, "GET", "/events", NULL, NULL), 401);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_EQ(kit_call(&k, "GET", bad[i], NULL, NULL), 400);
    kit_close(&k);
}

static void make_tenant(kit_t *k, const char *name, char access[100], char enrolment[128]) {
    char body[100];
    json_t *a;
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    CHECK_EQ(kit_call(k, "POST", "/tenants", body, NULL), 201);
    snprintf(body, sizeof body, "{\"name\":\"t\",\"tenant\":\"%s\"}", name);
    CHECK_EQ(kit_call(k, "POST", "/tokens", body, &a), 201);
    snprintf(access, 100, "%s", kit_text(a, "token"));
    json_decref(a);
    CHECK_EQ(kit_call_as(k, access, "POST", "/device-tokens", NULL, &a), 201);
    snprintf(enrolment, 128, "%s", kit_text(json_array_get(json_object_get(a, "tokens"), 0), "token"));
    json_decref(a);
}

TEST(event_stream_of_a_tenant_tells_of_its_devices_alone) {
    kit_t k;
    ear_t own, all;
    fake_t a, o;
    char acme[100], other[100], with[128];
    kit_open(&k);
    make_tenant(&k, "acme", acme, with);
    fake_init(&a, "a-1");
    CHECK_EQ(fake_enrol(&k, &a, with, NULL), 201);
    make_tenant(&k, "other", other, with);
    fake_init(&o, "o-1");
    CHECK_EQ(fake_enrol(&k, &o, with, NULL), 201);
    ear_open_as(&own, &k, acme, "", "\"r-3\"");
    ear_open(&all, &k, "", "\"r-3\"");
    ear_wait(&own, "event: hello");
    ear_wait(&all, "event: hello");
    record(&k, "o-1", "r-1", "1");
    CHECK_EQ(kit_call(&k, "POST", "/devices/o-1/commands", "{\"type\":\"agent.none\"}", NULL), 202);
    record(&k, "a-1", "r-2", "2");
    record(&k, "a-1", "r-3", "3");
    ear_wait(&own, "\"r-3\"");
    ear_wait(&all, "\"r-3\"");
    CHECK(strstr(rdg_buf_cstr(&all.got), "\"r-1\"") != NULL);
    ear_close(&all);
    CHECK(strstr(rdg_buf_cstr(&own.got), "\"r-2\"") && !strstr(rdg_buf_cstr(&own.got), "o-1"));
    ear_close(&own);
    fake_fini(&a);
    fake_fini(&o);
    kit_close(&k);
}

/* The token's holder is heard no more, and told why. */
TEST(event_stream_ends_with_its_token) {
    kit_t k;
    ear_t revoked, expiring, other;
    char gone[100], late[100], id[40], path[80];
    json_t *a;
    kit_open(&k);
    CHECK_EQ(kit_call(&k, "POST", "/tokens", "{\"name\":\"gone\",\"role\":\"reader\"}", &a), 201);
    snprintf(gone, sizeof gone, "%s", kit_text(a, "token"));
    snprintf(id, sizeof id, "%s", kit_text(a, "id"));
    json_decref(a);
    ear_open(&other, &k, "", "\"r-1\"");
    ear_open_as(&revoked, &k, gone, "", "event: dropped");
    ear_wait(&other, "event: hello");
    ear_wait(&revoked, "event: hello");
    snprintf(path, sizeof path, "/tokens/%s/revoke", id);
    CHECK_EQ(kit_call(&k, "POST", path, NULL, NULL), 200);
    ear_wait(&revoked, "has expired or was revoked");
    /* Long enough that it hears something first, however slow the machine is. */
    CHECK_EQ(kit_call(&k, "POST", "/tokens", "{\"name\":\"late\",\"expires_s\":5}", &a), 201);
    snprintf(late, sizeof late, "%s", kit_text(a, "token"));
    json_decref(a);
    ear_open_as(&expiring, &k, late, "", "event: dropped");
    ear_wait(&expiring, "event: hello");
    ear_wait(&expiring, "has expired or was revoked");
    record(&k, "dev-1", "r-1", "1");
    ear_wait(&other, "\"r-1\""); /* nobody else's has ended */
    CHECK(!strstr(rdg_buf_cstr(&other.got), "event: dropped"));
    ear_close(&other);
    ear_close(&revoked);
    ear_close(&expiring);
    kit_close(&k);
}
