#include "kit.h"
#include <stdio.h>
#include "ridge/base/log.h"
#include "ridge/base/trace.h"

static rdg_err_t echo(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    (void)ctx;
    uint64_t n = 7;
    RDG_TRY(rdg_service_query_u64(call, "n", 1, 10, &n));
    return rdg_service_reply(answer, 201,
                             json_pack("{s:s, s:s, s:s?, s:I, s:O?}", "a", rdg_service_arg(call, "a"), "b",
                                       rdg_service_arg(call, "b"), "caller", call->caller, "n", (json_int_t)n,
                                       "body", call->body));
}

static rdg_err_t fail(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    (void)ctx;
    answer->body = json_string("dropped");
    answer->status = 202;
    return rdg_fail(rdg_err_from_name(rdg_service_arg(call, "code")), "thing, reason, remedy");
}

static rdg_err_t nothing(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    (void)ctx, (void)call, (void)answer;
    return RDG_OK;
}

static rdg_err_t trace(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    char text[RDG_TRACEPARENT_LEN + 1];
    (void)ctx, (void)call;
    rdg_trace_format(rdg_trace_current(), text);
    return rdg_service_reply(answer, 200, json_pack("{s:s}", "traceparent", text));
}

static rdg_err_t need_body(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const json_t *body;
    (void)ctx;
    RDG_TRY(rdg_service_body(call, &body));
    return rdg_service_reply(answer, 200, json_deep_copy(body));
}

static const rdg_service_route_t routes[] = {
    {"GET", "/api/v1/things/{a}", 0, echo},        {"POST", "/api/v1/things/{a}", 0, echo},
    {"GET", "/api/v1/things/{a}/of/{b}", 0, echo}, {"GET", "/api/v1/errors/{code}", 0, fail},
    {"DELETE", "/api/v1/things/{a}", 0, nothing},  {"GET", "/api/v1/trace", RDG_ROUTE_PUBLIC, trace},
    {"POST", "/api/v1/body", 0, need_body},        {"GET", "/api/v1/open", RDG_ROUTE_PUBLIC, nothing},
};

static void raw(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    (void)ctx, (void)req;
    rdg_http_status(res, 418);
    (void)rdg_http_write(res, "text/plain", rdg_bytes_str("short and stout"));
}

void kit_open(kit_t *k, const rdg_service_options_t *options) {
    memset(k, 0, sizeof *k);
    rdg_log_set_level(RDG_LOG_ERROR);
    CHECK_OK(rdg_service_new(options, &k->service));
    CHECK_OK(rdg_service_add(k->service, routes, sizeof routes / sizeof routes[0], NULL));
    CHECK_OK(rdg_service_mount(k->service, "/v2", raw, k->service));
    CHECK_OK(rdg_service_allow(k->service, "alice", "secret"));
    CHECK_OK(rdg_service_start(k->service));
    CHECK_OK(rdg_http_client_new(&k->http));
}

void kit_close(kit_t *k) {
    rdg_http_client_free(k->http);
    rdg_service_free(k->service);
}

unsigned kit_call(kit_t *k, const char *method, const char *path, const char *token, const char *body,
                  json_t **answer) {
    char url[512], authorization[700], parent[96];
    const char *headers[2];
    size_t count = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", rdg_service_port(k->service), path);
    if (token) {
        snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
        headers[count++] = authorization;
    }
    if (k->traceparent[0]) {
        snprintf(parent, sizeof parent, "traceparent: %s", k->traceparent);
        headers[count++] = parent;
    }
    rdg_http_call_t call = {.method = method, .url = url, .headers = headers, .header_count = count};
    if (body) call.body = rdg_bytes(body, k->body_len ? k->body_len : strlen(body));
    rdg_http_answer_t got;
    CHECK_OK(rdg_http_call(k->http, &call, &got));
    if (answer && rdg_json_parse(rdg_buf_view(&got.body), answer) != RDG_OK) *answer = NULL;
    unsigned status = got.status;
    rdg_http_answer_fini(&got);
    return status;
}

const char *kit_error(const json_t *answer, const char *field) {
    const char *text = json_string_value(json_object_get(json_object_get(answer, "error"), field));
    return text ? text : "";
}
