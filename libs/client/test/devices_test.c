/* What the wrappers of enrolment, devices and images ask for, and what they make of the answers. */
#include <stdio.h>
#include <string.h>
#include "ridge/client/devices.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"

typedef struct cloud {
    rdg_http_server_t *http;
    rdg_cloud_client_t *client;
    char asked[400], body[400]; /* method, path and the query's fields in this order */
    const char *answer, *then;  /* then: of all but the first request; NULL: the same */
    unsigned requests;
} cloud_t;

static void handle(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    static const char *const names[] = {"name", "reference", "after", "limit", "force"};
    cloud_t *c = ctx;
    rdg_bytes_t body = rdg_http_body(req);
    int n = snprintf(c->asked, sizeof c->asked, "%s %s", rdg_http_method(req),
                     rdg_http_path(req) + strlen("/api/v1"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        const char *v = rdg_http_query(req, names[i]);
        if (v) n += snprintf(c->asked + n, sizeof c->asked - (size_t)n, " %s=%s", names[i], v);
    }
    snprintf(c->body, sizeof c->body, "%.*s", (int)body.len, body.data ? (const char *)body.data : "");
    const char *answer = c->requests++ && c->then ? c->then : c->answer;
    (void)rdg_http_write(res, "application/json", rdg_bytes_str(answer));
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

static void close_cloud(cloud_t *c) {
    rdg_cloud_client_free(c->client);
    rdg_http_server_stop(c->http);
}

static void asked(const cloud_t *c, const char *what, const char *body) {
    CHECK_STR(c->asked, what);
    CHECK_STR(c->body, body);
}

TEST(device_wrappers_ask_for_what_the_documentation_names) {
    cloud_t c;
    json_t *got = NULL;
    open_cloud(&c);
    CHECK_OK(rdg_platform_token_revoke(c.client, "0123abcd", NULL));
    asked(&c, "POST /device-tokens/0123abcd/revoke", "");
    CHECK_OK(rdg_platform_approve(c.client, 7, NULL));
    asked(&c, "POST /device-requests/7/approve", "");
    CHECK_OK(rdg_platform_refuse(c.client, 8, "not ours", NULL));
    asked(&c, "POST /device-requests/8/refuse", "{\"reason\":\"not ours\"}");
    CHECK_OK(rdg_platform_replace(c.client, "dev-1", json_pack("{s:b}", "at_once", 0), &got));
    json_decref(got);
    asked(&c, "POST /devices/dev-1/replace", "{\"at_once\":false}");
    CHECK_OK(rdg_platform_revoke(c.client, "dev-1", "superseded"));
    asked(&c, "POST /devices/dev-1/revoke", "{\"reason\":\"superseded\"}");
    CHECK_OK(rdg_platform_remove(c.client, "dev-1", true));
    asked(&c, "DELETE /devices/dev-1 force=1", "");
    CHECK_OK(rdg_platform_request(c.client, "dev-1", json_pack("{s:s}", "method", "agent.info"), 500, &got));
    json_decref(got);
    asked(&c, "POST /devices/dev-1/requests", "{\"method\":\"agent.info\",\"timeout_ms\":500}");
    CHECK_OK(rdg_platform_certify_node(c.client, "dev-1", json_pack("{s:s}", "chain", "c"), &got));
    json_decref(got);
    asked(&c, "POST /devices/dev-1/certificates", "{\"chain\":\"c\"}");
    CHECK_OK(rdg_platform_image(c.client, "a/b", "sha256:00", &got));
    json_decref(got);
    asked(&c, "GET /image name=a/b reference=sha256:00", "");
    CHECK_OK(rdg_platform_image_remove(c.client, "a/b", "v1"));
    asked(&c, "DELETE /image name=a/b reference=v1", "");
    CHECK_OK(rdg_platform_image_devices(c.client, "a/b", "*"));
    asked(&c, "PUT /image/devices", "{\"name\":\"a/b\",\"devices\":\"*\"}");
    close_cloud(&c);
}

TEST(device_wrappers_fetch_lists_to_their_end_and_no_further) {
    cloud_t c;
    json_t *got = NULL;
    open_cloud(&c);
    c.answer = "{\"tokens\":[{\"token\":\"t\"}]}";
    CHECK_OK(rdg_platform_tokens_make(c.client, json_pack("{s:i}", "count", 1), &got));
    CHECK_EQ(json_array_size(got), 1);
    json_decref(got);
    c.requests = 0;
    c.answer = "{\"requests\":[{\"number\":1},{\"number\":9}],\"more_after\":9}";
    c.then = "{\"requests\":[{\"number\":11}],\"more_after\":null}";
    CHECK_OK(rdg_platform_waiting(c.client, &got));
    CHECK_EQ(json_array_size(got), 3);
    CHECK_STR(c.asked, "GET /device-requests after=9 limit=1000");
    json_decref(got);
    c.requests = 0;
    c.answer = "{\"images\":[{\"name\":\"a/b\"}],\"more\":true}";
    c.then = "{\"images\":[],\"more\":false}";
    CHECK_OK(rdg_platform_images(c.client, &got));
    CHECK_EQ(json_array_size(got), 1);
    CHECK_STR(c.asked, "GET /images after=a/b limit=1000");
    json_decref(got);
    /* One that never ends, and one that leads elsewhere. */
    c.requests = 0;
    c.then = NULL;
    c.answer = "{\"tokens\":[{}],\"more_after\":\"aa\"}";
    CHECK_ERR(rdg_platform_tokens(c.client, &got), RDG_E_PROTOCOL);
    CHECK_EQ(c.requests, 2);
    c.answer = "{\"tokens\":[{}],\"more_after\":\"a&b=c\"}";
    CHECK_ERR(rdg_platform_tokens(c.client, &got), RDG_E_PROTOCOL);
    c.answer = "{}";
    CHECK_ERR(rdg_platform_tokens(c.client, &got), RDG_E_INVALID);
    close_cloud(&c);
}

TEST(device_wrappers_refuse_names_that_cannot_be_before_anything_is_sent) {
    cloud_t c;
    json_t *got = NULL;
    open_cloud(&c);
    CHECK_ERR(rdg_platform_replace(c.client, "../x", json_object(), &got), RDG_E_INVALID);
    CHECK_ERR(rdg_platform_request(c.client, "a b", json_object(), 5, &got), RDG_E_INVALID);
    CHECK_ERR(rdg_platform_token_revoke(c.client, "", NULL), RDG_E_INVALID);
    CHECK_ERR(rdg_platform_remove(c.client, "x?force=1", false), RDG_E_INVALID);
    CHECK_ERR(rdg_platform_image(c.client, "a&b", NULL, &got), RDG_E_INVALID);
    CHECK_ERR(rdg_platform_image(c.client, "a", "v1#", &got), RDG_E_INVALID);
    CHECK_EQ(c.requests, 0);
    close_cloud(&c);
}
