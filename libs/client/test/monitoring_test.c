/* What the wrappers of telemetry, alarms, records, files and subscriptions ask for, and what they make of the answers. */
#include <stdio.h>
#include <string.h>
#include "ridge/client/monitoring.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"

typedef struct cloud {
    rdg_http_server_t *http;
    rdg_cloud_client_t *client;
    char asked[400]; /* method, path and the query's fields in this order */
    const char *answer;
} cloud_t;

static void handle(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    static const char *const names[] = {"state",   "metric", "device", "kind", "after", "limit",
                                        "wait_ms", "from",   "to",     "step", "offset"};
    cloud_t *c = ctx;
    int n = snprintf(c->asked, sizeof c->asked, "%s %s", rdg_http_method(req),
                     rdg_http_path(req) + strlen("/api/v1"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        const char *v = rdg_http_query(req, names[i]);
        if (v) n += snprintf(c->asked + n, sizeof c->asked - (size_t)n, " %s=%s", names[i], v);
    }
    (void)rdg_http_write(res, "application/json", rdg_bytes_str(c->answer));
}

static void open_cloud(cloud_t *c) {
    char url[64];
    const rdg_http_server_options_t o = {.threads = 1};
    memset(c, 0, sizeof *c);
    c->answer = "{}";
    CHECK_OK(rdg_http_server_start(&o, handle, c, &c->http));
    snprintf(url, sizeof url, "http://127.0.0.1:%u", rdg_http_server_port(c->http));
    CHECK_OK(rdg_cloud_client_new(url, "t", &c->client));
}

static rdg_err_t count(void *ctx, rdg_bytes_t bytes) {
    *(size_t *)ctx += bytes.len;
    return RDG_OK;
}

TEST(monitoring_wrappers_ask_for_what_the_documentation_names) {
    cloud_t c;
    json_t *got = NULL;
    uint64_t next = 0;
    size_t bytes = 0;
    open_cloud(&c);
    const rdg_platform_page_t page = {"dev-1", "trip", 7, 5, 100};
    CHECK_OK(rdg_platform_telemetry(c.client, "dev-1", &got));
    json_decref(got);
    CHECK_STR(c.asked, "GET /devices/dev-1/telemetry");
    const rdg_telemetry_range_t range = {"cpu_permille,chain_height", 1, 2, 3};
    CHECK_OK(rdg_platform_telemetry_range(c.client, "dev-1", &range, &got));
    json_decref(got);
    CHECK_STR(c.asked,
              "GET /devices/dev-1/telemetry/range metric=cpu_permille,chain_height from=1 to=2 step=3");
    c.answer = "{\"alarms\":[1]}";
    CHECK_OK(rdg_platform_alarms(c.client, &page, true, &got));
    CHECK_EQ(json_array_size(got), 1);
    json_decref(got);
    CHECK_STR(c.asked, "GET /alarms state=all device=dev-1 kind=trip after=7 limit=5");
    CHECK_OK(rdg_platform_alarm_ack(c.client, 9, "seen"));
    CHECK_STR(c.asked, "POST /alarms/9/ack");
    c.answer = "{\"records\":[1,2],\"next\":9}";
    CHECK_OK(rdg_platform_records(c.client, &page, &got, &next));
    CHECK_EQ(json_array_size(got) + next, 11);
    json_decref(got);
    CHECK_STR(c.asked, "GET /records device=dev-1 kind=trip after=7 limit=5 wait_ms=100");
    CHECK_ERR(rdg_platform_files(c.client, NULL, &got, &next), RDG_E_INVALID); /* an answer without files */
    CHECK_STR(c.asked, "GET /files");
    CHECK_OK(rdg_platform_file(c.client, 3, 5, count, &bytes));
    CHECK_EQ(bytes, strlen(c.answer));
    CHECK_STR(c.asked, "GET /files/3/content offset=5");
    CHECK_OK(rdg_platform_file_remove(c.client, 3));
    CHECK_STR(c.asked, "DELETE /files/3");
    CHECK_OK(rdg_platform_subscribe(c.client, json_pack("{s:s}", "name", "x"), NULL));
    CHECK_STR(c.asked, "POST /subscriptions");
    CHECK_OK(rdg_platform_subscription_turn(c.client, "ops", "resume", NULL, NULL));
    CHECK_STR(c.asked, "POST /subscriptions/ops/resume");
    CHECK_OK(rdg_platform_unsubscribe(c.client, "ops"));
    CHECK_STR(c.asked, "DELETE /subscriptions/ops");
    c.answer = "{\"subscriptions\":[]}";
    CHECK_OK(rdg_platform_subscriptions(c.client, &got));
    json_decref(got);
    CHECK_OK(rdg_platform_subscription(c.client, "ops", NULL));
    c.asked[0] = '\0';
    CHECK_ERR(rdg_platform_subscription(c.client, "../devices", &got), RDG_E_INVALID);
    CHECK_ERR(rdg_platform_subscription_turn(c.client, "ops", "burn", json_object(), NULL), RDG_E_INVALID);
    CHECK_ERR(rdg_platform_telemetry(c.client, "a/b", &got), RDG_E_INVALID);
    const rdg_platform_page_t bad = {.device = "a&b=c"};
    CHECK_ERR(rdg_platform_records(c.client, &bad, &got, &next), RDG_E_INVALID);
    CHECK_STR(c.asked, ""); /* none of these was sent */
    rdg_cloud_client_free(c.client);
    rdg_http_server_stop(c.http);
}
