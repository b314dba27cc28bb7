/* Who waits for news is sent away when the token ends, and not told what comes then. */
#include <stdio.h>
#include <string.h>
#include "collect.h"
#include "kit.h"

#define WAITERS 5
#define PATIENCE_MS 20000 /* each of them waits for 25 s if nobody sends it away */

typedef struct waiter {
    kit_t *k;
    pthread_t thread;
    const char *token;
    char path[200];
    unsigned status;
} waiter_t;

static void *await(void *arg) {
    waiter_t *w = arg;
    char url[400], line[160];
    const char *headers[] = {line};
    rdg_http_client_t *http;
    rdg_http_answer_t got;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v1%s", rdg_service_port(w->k->service), w->path);
    snprintf(line, sizeof line, "Authorization: Bearer %s", w->token);
    const rdg_http_call_t call = {
        .method = "GET", .url = url, .headers = headers, .header_count = 1, .timeout_ms = 60000};
    CHECK_OK(rdg_http_client_new(&http));
    CHECK_OK(rdg_http_call(http, &call, &got));
    w->status = got.status;
    rdg_http_answer_fini(&got);
    rdg_http_client_free(http);
    return NULL;
}

static unsigned waiting(kit_t *k) {
    rdg_platform_t *p = k->platform;
    pthread_mutex_lock(&p->lock);
    unsigned n = p->patient;
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_lock(&p->collect->admission);
    n += p->collect->patient;
    pthread_mutex_unlock(&p->collect->admission);
    return n;
}

static void order(kit_t *k, waiter_t w[WAITERS]) {
    char token[128];
    fake_t f;
    json_t *a;
    kit_token(k, token);
    fake_init(&f, "dev-1");
    CHECK_EQ(fake_enrol(k, &f, token, NULL), 201);
    fake_fini(&f);
    CHECK_EQ(kit_call(k, "POST", "/devices/dev-1/commands", "{\"type\":\"agent.none\"}", &a), 202);
    snprintf(w[0].path, sizeof w[0].path, "/commands/%s?wait_ms=25000", kit_text(a, "id"));
    json_decref(a);
    CHECK_EQ(kit_call(k, "POST", "/rollouts", "{\"type\":\"agent.none\",\"selector\":{\"all\":true}}", &a),
             202);
    snprintf(w[1].path, sizeof w[1].path, "/rollouts/%s?wait_ms=25000", kit_text(a, "id"));
    json_decref(a);
    snprintf(w[2].path, sizeof w[2].path, "/commands/events?after=1000000&wait_ms=25000");
    snprintf(w[3].path, sizeof w[3].path, "/files?wait_ms=25000");
    snprintf(w[4].path, sizeof w[4].path, "/records?wait_ms=25000");
}

/* Until all of them wait, at some moment: each looks again now and then. */
static void wait_all(kit_t *k, waiter_t *w, size_t count, const char *token) {
    bool all = false;
    for (size_t i = 0; i < count; ++i) {
        w[i].k = k;
        w[i].token = token;
        CHECK_EQ(pthread_create(&w[i].thread, NULL, await, &w[i]), 0);
    }
    uint64_t start = rdg_mono_ms(rdg_clock_system());
    while (!all && rdg_mono_ms(rdg_clock_system()) - start < PATIENCE_MS) {
        all = waiting(k) == count;
        if (!all) kit_pause();
    }
    CHECK(all);
}

static void make_reader(kit_t *k, const char *tenant, char token[100], char revoke[100]) {
    char body[120];
    json_t *a;
    snprintf(body, sizeof body, "{\"name\":\"gone\",\"role\":\"reader\"%s%s%s}",
             tenant ? ",\"tenant\":\"" : "", tenant ? tenant : "", tenant ? "\"" : "");
    CHECK_EQ(kit_call(k, "POST", "/tokens", body, &a), 201);
    snprintf(token, 100, "%s", kit_text(a, "token"));
    snprintf(revoke, 100, "/tokens/%s/revoke", kit_text(a, "id"));
    json_decref(a);
}

TEST(waiting_ends_with_the_token_of_who_waits) {
    kit_t k;
    waiter_t w[WAITERS] = {{.k = NULL}};
    char token[100], path[100];
    kit_open(&k);
    order(&k, w);
    make_reader(&k, NULL, token, path);
    wait_all(&k, w, WAITERS, token);
    uint64_t start = rdg_mono_ms(rdg_clock_system());
    CHECK_EQ(kit_call(&k, "POST", path, NULL, NULL), 200);
    for (size_t i = 0; i < WAITERS; ++i) {
        pthread_join(w[i].thread, NULL);
        if (w[i].status != 401) rdg_test_fail(__FILE__, __LINE__, "%s: HTTP %u", w[i].path, w[i].status);
    }
    CHECK(rdg_mono_ms(rdg_clock_system()) - start < PATIENCE_MS);
    kit_close(&k);
}

TEST(waiting_of_one_tenant_takes_no_more_than_its_share) {
    kit_t k;
    waiter_t w[RDG_SERVICE_TENANT_WAITS] = {{.k = NULL}};
    char token[100], path[100];
    json_t *a;
    kit_open(&k);
    make_reader(&k, RDG_TENANT_DEFAULT, token, path);
    for (size_t i = 0; i < RDG_SERVICE_TENANT_WAITS; ++i)
        snprintf(w[i].path, sizeof w[i].path, "%s?after=1000000&wait_ms=25000",
                 i % 2 ? "/records" : "/files");
    wait_all(&k, w, RDG_SERVICE_TENANT_WAITS, token);
    /* One more is answered soon, with nothing. */
    uint64_t start = rdg_mono_ms(rdg_clock_system());
    CHECK_EQ(kit_call_as(&k, token, "GET", "/records?after=1000000&wait_ms=25000", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "records")), 0);
    json_decref(a);
    CHECK(rdg_mono_ms(rdg_clock_system()) - start < PATIENCE_MS);
    CHECK_EQ(kit_call(&k, "POST", path, NULL, NULL), 200);
    for (size_t i = 0; i < RDG_SERVICE_TENANT_WAITS; ++i) {
        pthread_join(w[i].thread, NULL);
        CHECK_EQ(w[i].status, 401);
    }
    kit_close(&k);
}
