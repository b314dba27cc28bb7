#include "kit.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "ridge/base/log.h"

#define PATIENCE_S 60

void kit_start_baas(kit_t *k) {
    rdg_service_options_t o = {0};
    char url[64];
    CHECK_OK(rdg_baas_open(rdg_test_dir(), &k->baas));
    if (k->before_start) k->before_start(k->baas);
    CHECK_OK(rdg_access_open(rdg_test_dir(), NULL, &k->access));
    CHECK_OK(rdg_service_new(&o, &k->service));
    CHECK_OK(rdg_access_routes(k->access, k->service));
    rdg_access_count(k->access, RDG_SHARE_CHAINS, rdg_baas_count, k->baas);
    CHECK_OK(rdg_baas_routes(k->baas, k->service));
    CHECK_OK(rdg_service_allow(k->service, "admin", "secret"));
    CHECK_OK(rdg_service_start(k->service));
    CHECK_OK(rdg_http_client_new(&k->http));
    snprintf(url, sizeof url, "http://127.0.0.1:%u", rdg_service_port(k->p.service));
    CHECK_OK(rdg_baas_start(k->baas, url, "inner"));
}

void kit_stop_baas(kit_t *k) {
    rdg_http_client_free(k->http);
    rdg_baas_stop(k->baas);
    rdg_service_free(k->service);
    /* A restart of the whole cloud ends the follower's long poll; here the platform stays, so it is woken. */
    pthread_mutex_lock(&k->p.lock);
    k->p.stopping = true;
    pthread_cond_broadcast(&k->p.changed);
    pthread_mutex_unlock(&k->p.lock);
    rdg_baas_close(k->baas);
    rdg_access_close(k->access);
    k->p.stopping = false;
}

void kit_open(kit_t *k) {
    kit_open_with(k, NULL);
}

void kit_open_with(kit_t *k, void (*before_start)(rdg_baas_t *b)) {
    memset(k, 0, sizeof *k);
    k->before_start = before_start;
    rdg_log_set_level(RDG_LOG_ERROR);
    fake_open(&k->p);
    kit_start_baas(k);
}

void kit_close(kit_t *k) {
    kit_stop_baas(k);
    fake_close(&k->p);
}

unsigned kit_call(kit_t *k, const char *method, const char *path, const char *body, json_t **answer) {
    return kit_call_as(k, "secret", method, path, body, answer);
}

unsigned kit_call_as(kit_t *k, const char *token, const char *method, const char *path, const char *body,
                     json_t **answer) {
    char url[512], authorization[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v1%s", rdg_service_port(k->service), path);
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
    const char *headers[] = {authorization};
    rdg_http_call_t call = {.method = method, .url = url, .headers = headers, .header_count = 1};
    if (body) call.body = rdg_bytes_str(body);
    rdg_http_answer_t got;
    CHECK_OK(rdg_http_call(k->http, &call, &got));
    if (answer && rdg_json_parse(rdg_buf_view(&got.body), answer) != RDG_OK) *answer = NULL;
    unsigned status = got.status;
    rdg_http_answer_fini(&got);
    return status;
}

const char *kit_text(const json_t *o, const char *field) {
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "";
}

const char *kit_error(const json_t *answer, const char *field) {
    return kit_text(json_object_get(answer, "error"), field);
}

void kit_create(kit_t *k, size_t n) {
    char body[256] = "{\"name\":\"c\",\"devices\":[";
    for (size_t i = 0; i < n; ++i)
        snprintf(body + strlen(body), sizeof body - strlen(body), "%s\"dev-%zu\"", i ? "," : "", i + 1);
    snprintf(body + strlen(body), sizeof body - strlen(body), "],\"driver\":\"process\"}");
    CHECK_EQ(kit_call(k, "POST", "/chains", body, NULL), 202);
}

json_t *kit_wait_chain(kit_t *k, const char *name, const char *state) {
    char path[128];
    json_int_t after = 0;
    time_t end = time(NULL) + PATIENCE_S;
    for (;;) {
        json_t *chain, *answer;
        snprintf(path, sizeof path, "/chains/%s", name);
        CHECK_EQ(kit_call(k, "GET", path, NULL, &chain), 200);
        if (strcmp(kit_text(chain, "state"), state) == 0) return chain;
        if (time(NULL) > end) CHECK_STR(kit_text(chain, "state"), state);
        json_decref(chain);
        snprintf(path, sizeof path, "/chains/%s/events?after=%lld&wait_ms=1000", name, (long long)after);
        CHECK_EQ(kit_call(k, "GET", path, NULL, &answer), 200);
        const json_t *list = json_object_get(answer, "events");
        size_t n = json_array_size(list);
        if (n > 0) after = json_integer_value(json_object_get(json_array_get(list, n - 1), "seq"));
        json_decref(answer);
    }
}

size_t kit_commands(kit_t *k, const char *type) {
    size_t n = 0;
    pthread_mutex_lock(&k->p.lock);
    for (size_t i = 0; i < k->p.count; ++i) n += strcmp(k->p.commands[i].type, type) == 0;
    pthread_mutex_unlock(&k->p.lock);
    return n;
}

void kit_wait_commands(kit_t *k, const char *type, size_t count) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&k->p.lock);
    for (;;) {
        size_t n = 0;
        for (size_t i = 0; i < k->p.count; ++i) n += strcmp(k->p.commands[i].type, type) == 0;
        if (n >= count) break;
        CHECK(pthread_cond_timedwait(&k->p.changed, &k->p.lock, &end) == 0);
    }
    pthread_mutex_unlock(&k->p.lock);
}
