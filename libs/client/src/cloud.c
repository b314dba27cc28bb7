#include "ridge/client/cloud.h"
#include "ridge/base/alloc.h"
#include "ridge/base/random.h"
#include "ridge/base/trace.h"
#include "ridge/net/http_client.h"
#include <stdio.h>
#include <string.h>

#define CLOUD_BODY_MAX (32u << 20)
#define CLOUD_URL_MAX 2048

struct rdg_cloud_client {
    rdg_http_client_t *http;
    char *url, *authorization;
    char trace[64];
};

rdg_err_t rdg_cloud_client_new(const char *url, const char *token, rdg_cloud_client_t **out) {
    rdg_cloud_client_t *c = rdg_calloc(1, sizeof *c);
    rdg_err_t err = RDG_E_NO_MEMORY;
    bool local = url[0] == '/';
    /* The name is for the Host header alone: the socket leads to the service. */
    if (!c || !(c->url = rdg_strdup(local ? "http://cloud.ridge" : url))) goto fail;
    size_t len = strlen(c->url);
    if (len > 0 && c->url[len - 1] == '/') c->url[len - 1] = '\0';
    if (token) {
        size_t size = strlen(token) + sizeof "Authorization: Bearer ";
        if (!(c->authorization = rdg_alloc(size))) goto fail;
        snprintf(c->authorization, size, "Authorization: Bearer %s", token);
    }
    if ((err = rdg_http_client_new(&c->http)) != RDG_OK) goto fail;
    if (local && (err = rdg_http_client_via(c->http, url)) != RDG_OK) goto fail;
    *out = c;
    return RDG_OK;
fail:
    rdg_cloud_client_free(c);
    return rdg_fail_in(err, "cannot make a client of %s", url);
}

void rdg_cloud_client_free(rdg_cloud_client_t *c) {
    if (!c) return;
    rdg_http_client_free(c->http);
    if (c->authorization) rdg_secure_zero(c->authorization, strlen(c->authorization));
    rdg_free(c->authorization);
    rdg_free(c->url);
    rdg_free(c);
}

const char *rdg_cloud_trace(const rdg_cloud_client_t *c) {
    return c->trace;
}

static rdg_err_t answer_error(rdg_cloud_client_t *c, const json_t *answer, unsigned status,
                              const char *path) {
    const json_t *error = json_object_get(answer, "error");
    const char *name = NULL, *message = NULL, *trace = "";
    if (json_is_object(error)) {
        (void)rdg_json_opt_str(error, "code", &name);
        (void)rdg_json_opt_str(error, "message", &message);
        (void)rdg_json_opt_str(error, "trace", &trace);
    }
    snprintf(c->trace, sizeof c->trace, "%s", trace);
    if (!name || !message)
        return rdg_fail(RDG_E_PROTOCOL, "%s%s answered HTTP status %u", c->url, path, status);
    rdg_err_t code = rdg_err_from_name(name);
    return rdg_fail(code == RDG_OK ? RDG_E_INTERNAL : code, "%s", message);
}

typedef struct sink {
    rdg_err_t (*fn)(void *ctx, rdg_bytes_t bytes);
    void *ctx;
} sink_t;

/* sink: where the bytes of a good answer go; fn NULL: into the answer. */
static rdg_err_t exchange(rdg_cloud_client_t *c, const char *method, const char *path, rdg_bytes_t body,
                          uint64_t timeout_ms, const sink_t *sink, rdg_http_answer_t *got) {
    char url[CLOUD_URL_MAX], traceparent[sizeof "traceparent: " + RDG_TRACEPARENT_LEN],
        parent[RDG_TRACEPARENT_LEN + 1];
    if (snprintf(url, sizeof url, "%s/api/v1%s", c->url, path) >= (int)sizeof url)
        return rdg_fail(RDG_E_TOO_LARGE, "the path %.64s… is longer than %d bytes", path, CLOUD_URL_MAX);
    rdg_trace_t trace;
    if (rdg_trace_current())
        rdg_trace_child(rdg_trace_current(), &trace, rdg_random_system());
    else
        rdg_trace_new(&trace, rdg_random_system());
    rdg_trace_format(&trace, parent);
    snprintf(traceparent, sizeof traceparent, "traceparent: %s", parent);
    const char *headers[] = {traceparent, "Content-Type: application/json", c->authorization};
    rdg_http_call_t call = {.method = method,
                            .url = url,
                            .headers = headers,
                            .header_count = c->authorization ? 3 : 2,
                            .body = body,
                            .timeout_ms = timeout_ms ? timeout_ms : 30000,
                            .max_body = sink->fn ? 0 : CLOUD_BODY_MAX,
                            .sink = sink->fn,
                            .sink_ctx = sink->ctx};
    return rdg_http_call(c->http, &call, got);
}

rdg_err_t rdg_cloud_call(rdg_cloud_client_t *c, const char *method, const char *path, json_t *body,
                         uint64_t timeout_ms, json_t **answer) {
    rdg_buf_t request;
    rdg_http_answer_t got;
    json_t *value = NULL;
    c->trace[0] = '\0';
    rdg_buf_init(&request, CLOUD_BODY_MAX);
    rdg_err_t err = body ? rdg_json_dump(body, &request) : RDG_OK;
    json_decref(body);
    if (err == RDG_OK)
        err = exchange(c, method, path, rdg_buf_view(&request), timeout_ms, &(sink_t){NULL, NULL}, &got);
    rdg_buf_fini(&request);
    if (err != RDG_OK) return err;
    if (got.body.len == 0)
        value = json_null();
    else if (rdg_json_parse(rdg_buf_view(&got.body), &value) != RDG_OK)
        value = NULL;
    if (got.status < 200 || got.status > 299)
        err = answer_error(c, value, got.status, path);
    else if (!value)
        err = rdg_fail(RDG_E_PROTOCOL, "%s%s answered something that is no JSON", c->url, path);
    rdg_http_answer_fini(&got);
    if (err == RDG_OK && answer) *answer = json_incref(value);
    json_decref(value);
    return err;
}

rdg_err_t rdg_cloud_fetch(rdg_cloud_client_t *c, const char *path, uint64_t timeout_ms,
                          rdg_err_t (*sink)(void *ctx, rdg_bytes_t bytes), void *ctx) {
    rdg_http_answer_t got;
    json_t *value = NULL;
    c->trace[0] = '\0';
    RDG_TRY(exchange(c, "GET", path, rdg_bytes(NULL, 0), timeout_ms, &(sink_t){sink, ctx}, &got));
    rdg_err_t err = RDG_OK;
    if (got.status < 200 || got.status > 299) {
        (void)rdg_json_parse(rdg_buf_view(&got.body), &value);
        err = answer_error(c, value, got.status, path);
    }
    json_decref(value);
    rdg_http_answer_fini(&got);
    return err;
}
