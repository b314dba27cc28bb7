/* Every route of the whole cloud, as its table has them: nobody gets in who may not. What a tenant is told of another's
 * things: libs/platform/test/test_tenant.c, libs/baas/test/test_tenant.c; what a device is: test_collect.c there. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cloud.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/json.h"
#include "ridge/net/http_client.h"
#include "ridge/test.h"

typedef struct house {
    cloud_t *cloud;
    rdg_http_client_t *http;
    char admin[200], metrics[200], expired[100], revoked[100], reader[100], tenant[100];
} house_t;

static unsigned ask(const house_t *h, const char *token, const char *method, const char *path,
                    const char *body, json_t **answer) {
    char url[700], line[240];
    const char *headers[] = {line};
    rdg_http_answer_t got;
    snprintf(url, sizeof url, "%s%s", cloud_url(h->cloud), path);
    snprintf(line, sizeof line, "Authorization: Bearer %s", token ? token : "");
    rdg_http_call_t call = {.method = method,
                            .url = url,
                            .headers = headers,
                            .header_count = token != NULL,
                            .body = body ? rdg_bytes_str(body) : rdg_bytes(NULL, 0)};
    CHECK_OK(rdg_http_call(h->http, &call, &got));
    if (answer && rdg_json_parse(rdg_buf_view(&got.body), answer) != RDG_OK) *answer = NULL;
    unsigned status = got.status;
    rdg_http_answer_fini(&got);
    return status;
}

static void read_token(const char *name, char out[200]) {
    char path[600];
    rdg_buf_t text;
    rdg_buf_init(&text, 199);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    CHECK_OK(rdg_file_read(path, &text));
    snprintf(out, 200, "%.*s", (int)text.len, (const char *)text.data);
    out[strcspn(out, "\n")] = '\0';
    rdg_buf_fini(&text);
}

static void make(const house_t *h, const char *body, char out[100], char id[40]) {
    json_t *a = NULL;
    const char *token, *number;
    CHECK_EQ(ask(h, h->admin, "POST", "/api/v1/tokens", body, &a), 201);
    CHECK_OK(rdg_json_get_str(a, "token", &token));
    CHECK_OK(rdg_json_get_str(a, "id", &number));
    snprintf(out, 100, "%s", token);
    snprintf(id, 40, "%s", number);
    json_decref(a);
}

static void open_house(house_t *h) {
    const cloud_options_t o = {.data_dir = rdg_test_dir(), .platform = true, .baas = true};
    char id[40], path[100];
    rdg_log_set_level(RDG_LOG_ERROR);
    CHECK_OK(cloud_start(&o, &h->cloud));
    CHECK_OK(rdg_http_client_new(&h->http));
    read_token("admin.token", h->admin);
    read_token("metrics.token", h->metrics);
    make(h, "{\"name\":\"late\",\"role\":\"admin\",\"expires_s\":1}", h->expired, id);
    CHECK_EQ(ask(h, h->admin, "POST", "/api/v1/tenants", "{\"name\":\"acme\"}", NULL), 201);
    make(h, "{\"name\":\"boss\",\"role\":\"admin\",\"tenant\":\"acme\"}", h->tenant, id);
    make(h, "{\"name\":\"looks\",\"role\":\"reader\"}", h->reader, id);
    make(h, "{\"name\":\"gone\",\"role\":\"admin\"}", h->revoked, id);
    snprintf(path, sizeof path, "/api/v1/tokens/%s/revoke", id);
    CHECK_EQ(ask(h, h->admin, "POST", path, NULL, NULL), 200);
    for (unsigned i = 0; i < 600 && ask(h, h->expired, "GET", "/api/v1/devices", NULL, NULL) != 401; ++i)
        nanosleep(&(struct timespec){0, 50000000}, NULL);
}

static void close_house(house_t *h) {
    rdg_http_client_free(h->http);
    cloud_stop(h->cloud);
}

/* The pattern with something in place of its parameters. */
static void fill_in(const char *pattern, char *out, size_t size) {
    size_t n = 0;
    for (const char *p = pattern; *p; ++p) {
        if (*p == '{') p = strchr(p, '}');
        out[n++] = *p == '}' ? '1' : *p;
        CHECK(n + 1 < size);
    }
    out[n] = '\0';
}

static void expect(const house_t *h, const rdg_service_route_t *r, const char *token, unsigned status,
                   const char *words) {
    char path[300];
    json_t *a = NULL;
    bool body = strcmp(r->method, "GET") != 0 && strcmp(r->method, "DELETE") != 0;
    fill_in(r->pattern, path, sizeof path);
    unsigned got = ask(h, token, r->method, path, body ? "{}" : NULL, &a);
    const char *text = json_string_value(json_object_get(json_object_get(a, "error"), "message"));
    if (got != status || !text || !strstr(text, words))
        rdg_test_fail(__FILE__, __LINE__, "%s %s: HTTP %u, '%s'; want %u, '%s'", r->method, r->pattern, got,
                      text ? text : "", status, words);
    json_decref(a);
}

TEST(access_every_route_refuses_no_token_and_those_that_have_ended) {
    house_t h;
    const rdg_service_route_t *r;
    size_t count = 0, open = 0;
    open_house(&h);
    for (size_t i = 0; (r = rdg_service_route(cloud_service(h.cloud), i)); ++i) {
        if (r->flags & RDG_ROUTE_PUBLIC) {
            ++open;
            continue;
        }
        expect(&h, r, NULL, 401, "no access token");
        expect(&h, r, h.expired, 401, "'late'");
        expect(&h, r, h.revoked, 401, "was revoked");
        if (!(r->flags & RDG_ROUTE_METRICS)) expect(&h, r, h.metrics, 401, "metrics alone");
        ++count;
    }
    CHECK(count > 100);
    CHECK_EQ(open, 3); /* health, the CA and its list */
    /* One that nobody has, once: more would be guessing. */
    CHECK_EQ(ask(&h, "rat_0000", "GET", "/api/v1/devices", NULL, NULL), 401);
    const char *const registry[] = {"/v2/", "/v2/a/tags/list", "/v2/a/manifests/1", "/v2/a/blobs/uploads/x"};
    for (size_t i = 0; i < sizeof registry / sizeof registry[0]; ++i) {
        CHECK_EQ(ask(&h, NULL, "GET", registry[i], NULL, NULL), 401);
        CHECK_EQ(ask(&h, h.expired, "GET", registry[i], NULL, NULL), 401);
        CHECK_EQ(ask(&h, h.revoked, "GET", registry[i], NULL, NULL), 401);
        CHECK_EQ(ask(&h, h.metrics, "GET", registry[i], NULL, NULL), 401);
    }
    close_house(&h);
}

TEST(access_every_route_keeps_to_roles_and_what_is_the_clouds_from_tenants) {
    const unsigned theirs = RDG_ROUTE_TENANT | RDG_ROUTE_OWNED,
                   known = theirs | RDG_ROUTE_CLOUD | RDG_ROUTE_METRICS;
    house_t h;
    const rdg_service_route_t *r;
    size_t closed = 0, changing = 0;
    open_house(&h);
    for (size_t i = 0; (r = rdg_service_route(cloud_service(h.cloud), i)); ++i) {
        if (r->flags & RDG_ROUTE_PUBLIC) continue;
        bool admin = !(r->flags & known) || (r->flags & RDG_ROUTE_ADMIN),
             reads = strcmp(r->method, "GET") == 0 || (r->flags & RDG_ROUTE_READ);
        if (!(r->flags & theirs)) {
            expect(&h, r, h.tenant, 403, "is the cloud's");
            ++closed;
        } else if (r->flags & RDG_ROUTE_OWNED) {
            expect(&h, r, h.tenant, 404, "");
        }
        if (admin || !reads) {
            expect(&h, r, h.reader, 403, "is a reader's");
            ++changing;
        }
    }
    CHECK(closed > 10 && changing > 50);
    CHECK_EQ(ask(&h, h.tenant, "GET", "/v2/a/tags/list", NULL, NULL), 403);
    close_house(&h);
}
