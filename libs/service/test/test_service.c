#include "kit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ridge/base/trace.h"

static const rdg_service_options_t plain = {0};

TEST(service_routes_by_method_and_pattern) {
    kit_t k;
    json_t *a;
    kit_open(&k, &plain);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x%20y/of/z", "secret", NULL, &a), 201);
    CHECK_STR(json_string_value(json_object_get(a, "a")), "x y");
    CHECK_STR(json_string_value(json_object_get(a, "b")), "z");
    CHECK_STR(json_string_value(json_object_get(a, "caller")), "alice");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "PUT", "/api/v1/things/x", "secret", NULL, &a), 405);
    CHECK_STR(kit_error(a, "code"), "UNSUPPORTED");
    json_decref(a);
    static const char *const absent[] = {
        "/api/v1/things",         "/api/v1/things/",         "/api/v1/things/a/of", "/",
        "/api/v1/things/a/of/b/", "/api/v1/things/a/of/b/c", "/api/v1/thingsx/a"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; ++i) {
        CHECK_EQ(kit_call(&k, "GET", absent[i], "secret", NULL, &a), 404);
        CHECK_STR(kit_error(a, "code"), "NOT_FOUND");
        json_decref(a);
    }
    CHECK_EQ(kit_call(&k, "DELETE", "/api/v1/things/a", "secret", NULL, NULL), 204);
    kit_close(&k);
}

TEST(service_wants_a_known_bearer_token) {
    static const char *const wrong[] = {NULL, "", "secre", "secrets", "SECRET", "x secret"};
    kit_t k;
    json_t *a;
    kit_open(&k, &plain);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
        CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", wrong[i], NULL, &a), 401);
        CHECK_STR(kit_error(a, "code"), "UNAUTHENTICATED");
        CHECK(strstr(kit_error(a, "message"), "admin.token"));
        json_decref(a);
    }
    char longest[600];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", longest, NULL, NULL), 401);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/open", NULL, NULL, NULL), 204);
    kit_close(&k);
}

TEST(service_maps_errors_to_status_and_body) {
    static const struct {
        const char *code;
        unsigned status;
    } cases[] = {{"INVALID", 400}, {"MALFORMED", 400},   {"UNAUTHENTICATED", 401}, {"FORBIDDEN", 403},
                 {"EXISTS", 409},  {"CONFLICT", 409},    {"TOO_LARGE", 413},       {"REVERTED", 422},
                 {"BUSY", 429},    {"UNAVAILABLE", 503}, {"TIMEOUT", 504},         {"INTERNAL", 500},
                 {"FULL", 503},    {"DISK_FULL", 507},   {"NOT_FOUND", 404},       {"UNSUPPORTED", 501}};
    kit_t k;
    json_t *a;
    kit_open(&k, &plain);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        char path[64];
        snprintf(path, sizeof path, "/api/v1/errors/%s", cases[i].code);
        CHECK_EQ(kit_call(&k, "GET", path, "secret", NULL, &a), cases[i].status);
        CHECK_STR(kit_error(a, "code"), cases[i].code);
        CHECK_STR(kit_error(a, "message"), "thing, reason, remedy");
        CHECK_EQ(strlen(kit_error(a, "trace")), 32);
        json_decref(a);
    }
    kit_close(&k);
}

TEST(service_continues_the_callers_trace) {
    kit_t k;
    json_t *a;
    kit_open(&k, &plain);
    snprintf(k.traceparent, sizeof k.traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/trace", NULL, NULL, &a), 200);
    const char *seen = json_string_value(json_object_get(a, "traceparent"));
    CHECK(strncmp(seen, k.traceparent, 36) == 0);
    CHECK(strncmp(seen + 36, k.traceparent + 36, 16) != 0);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/errors/BUSY", "secret", NULL, &a), 429);
    CHECK_STR(kit_error(a, "trace"), "0af7651916cd43dd8448eb211c80319c");
    json_decref(a);
    snprintf(k.traceparent, sizeof k.traceparent, "00-zz-nonsense");
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/trace", NULL, NULL, &a), 200);
    CHECK_EQ(strlen(json_string_value(json_object_get(a, "traceparent"))), RDG_TRACEPARENT_LEN);
    json_decref(a);
    kit_close(&k);
}

TEST(service_refuses_hostile_bodies) {
    static const char *const bad[] = {"{",           "[]",
                                      "17",          "\"x\"",
                                      "{\"a\":1}{",  "{\"a\":1,\"a\":2}",
                                      "{\"a\":nul}", "\xff\xfe",
                                      "null",        "{\"a\":\"\xc3\x28\"}"};
    kit_t k;
    json_t *a;
    kit_open(&k, &plain);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        CHECK_EQ(kit_call(&k, "POST", "/api/v1/body", "secret", bad[i], &a), 400);
        CHECK(kit_error(a, "message")[0] != '\0');
        json_decref(a);
    }
    static char deep[20000];
    memset(deep, '[', sizeof deep);
    k.body_len = sizeof deep;
    CHECK_EQ(kit_call(&k, "POST", "/api/v1/body", "secret", deep, NULL), 400);
    k.body_len = 0;
    CHECK_EQ(kit_call(&k, "POST", "/api/v1/body", "secret", NULL, NULL), 400);
    CHECK_EQ(kit_call(&k, "POST", "/api/v1/body", "secret", "{\"a\":1}", NULL), 200);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/%ff%fe", "secret", NULL, &a), 404);
    CHECK_STR(kit_error(a, "code"), "NOT_FOUND");
    json_decref(a);
    kit_close(&k);
}

TEST(service_limits_the_size_of_a_body) {
    rdg_service_options_t o = {.max_body = 1000};
    kit_t k;
    json_t *a;
    char body[3000];
    kit_open(&k, &o);
    memset(body, ' ', sizeof body);
    body[0] = '{', body[2998] = '}', body[2999] = '\0';
    CHECK_EQ(kit_call(&k, "POST", "/api/v1/body", "secret", body, &a), 413);
    CHECK_STR(kit_error(a, "code"), "TOO_LARGE");
    json_decref(a);
    kit_close(&k);
}

TEST(service_names_the_bounds_of_a_query_number) {
    static const char *const bad[] = {"0", "11", "-1", "x", "1e1", "99999999999999999999"};
    kit_t k;
    json_t *a;
    kit_open(&k, &plain);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        char path[80];
        snprintf(path, sizeof path, "/api/v1/things/x?n=%s", bad[i]);
        CHECK_EQ(kit_call(&k, "GET", path, "secret", NULL, &a), 400);
        CHECK(strstr(kit_error(a, "message"), "1 to 10"));
        json_decref(a);
    }
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x?n=10", "secret", NULL, &a), 201);
    CHECK_EQ(json_integer_value(json_object_get(a, "n")), 10);
    json_decref(a);
    kit_close(&k);
}

TEST(service_refuses_a_caller_over_its_rate) {
    rdg_clock_manual_t clock;
    rdg_clock_manual_init(&clock, 1000000);
    rdg_service_options_t o = {.rate_per_s = 2, .rate_burst = 3, .clock = &clock.clock};
    kit_t k;
    kit_open(&k, &o);
    for (int i = 0; i < 3; ++i) CHECK_EQ(kit_call(&k, "GET", "/api/v1/open", NULL, NULL, NULL), 204);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/open", NULL, NULL, NULL), 429);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", "secret", NULL, NULL), 201); /* another caller */
    rdg_clock_manual_advance(&clock, 1000);
    for (int i = 0; i < 2; ++i) CHECK_EQ(kit_call(&k, "GET", "/api/v1/open", NULL, NULL, NULL), 204);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/open", NULL, NULL, NULL), 429);
    kit_close(&k);
}

TEST(service_leaves_mounts_alone_and_serves_health_and_metrics) {
    rdg_metrics_t *m = rdg_metrics_new();
    rdg_service_options_t o = {.metrics = m};
    kit_t k;
    json_t *a;
    kit_open(&k, &o);
    CHECK_EQ(kit_call(&k, "GET", "/v2", NULL, NULL, NULL), 418);
    CHECK_EQ(kit_call(&k, "PATCH", "/v2/a/blobs/uploads/1", "secret", "no json", NULL), 418);
    CHECK_EQ(kit_call(&k, "GET", "/v2x", "secret", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/health", NULL, NULL, &a), 200);
    CHECK_STR(json_string_value(json_object_get(a, "status")), "ok");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/metrics", NULL, NULL, NULL), 200);
    rdg_buf_t text;
    rdg_buf_init(&text, 1 << 20);
    CHECK_OK(rdg_metrics_expose(m, &text));
    CHECK(strstr(rdg_buf_cstr(&text), "ridge_http_requests_total{class=\"4xx\"} 1"));
    rdg_buf_fini(&text);
    kit_close(&k);
    rdg_metrics_free(m);
}
