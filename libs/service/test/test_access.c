/* Tokens that expire, roles, tenants, and the one place where they are enforced. */
#include "kit.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/service/access.h"

/* Two things: "mine" of tenant acme, "theirs" of tenant other. */
static rdg_err_t own_thing(void *ctx, const char *tenant, const char *id) {
    (void)ctx;
    if (strcmp(id, strcmp(tenant, "acme") == 0 ? "mine" : "theirs") == 0) return RDG_OK;
    return rdg_fail(RDG_E_NOT_FOUND, "thing '%s' does not exist", id);
}

static rdg_err_t done(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    char tenant[RDG_TENANT_MAX + 1];
    (void)ctx;
    RDG_TRY(rdg_service_new_tenant(call, tenant));
    return rdg_service_reply(
        answer, 200,
        json_pack("{s:s, s:s?, s:s}", "caller", call->caller, "tenant", call->tenant, "of", tenant));
}

static const rdg_service_route_t routes[] = {
    {"GET", "/api/v1/things", RDG_ROUTE_TENANT, done},
    {"POST", "/api/v1/things", RDG_ROUTE_TENANT, done},
    {"GET", "/api/v1/things/{id}", RDG_ROUTE_OWNED, done},
    {"DELETE", "/api/v1/things/{id}", RDG_ROUTE_OWNED, done},
    {"POST", "/api/v1/things/{id}/ask", RDG_ROUTE_OWNED | RDG_ROUTE_READ, done},
    {"POST", "/api/v1/things/{id}/give", RDG_ROUTE_OWNED | RDG_ROUTE_ADMIN, done},
    {"GET", "/api/v1/orphans/{id}", RDG_ROUTE_OWNED, done}, /* nobody tells whose */
    {"GET", "/api/v1/house", RDG_ROUTE_CLOUD, done},
    {"PUT", "/api/v1/house", RDG_ROUTE_CLOUD, done},
    {"GET", "/api/v1/forgotten", 0, done}, /* declares nothing */
};

typedef struct desk {
    kit_t k;
    rdg_access_t *access;
    rdg_clock_manual_t clock;
    unsigned rate; /* a second, and at once; 0: any */
} desk_t;

static void desk_start(desk_t *d) {
    const unsigned rate = d->rate ? d->rate : 100000;
    const rdg_service_options_t o = {.rate_per_s = rate, .rate_burst = rate, .clock = &d->clock.clock};
    memset(&d->k, 0, sizeof d->k);
    CHECK_OK(rdg_access_open(rdg_test_dir(), &d->clock.clock, &d->access));
    CHECK_OK(rdg_service_new(&o, &d->k.service));
    CHECK_OK(rdg_access_routes(d->access, d->k.service));
    CHECK_OK(rdg_service_owner(d->k.service, "things", own_thing, NULL));
    CHECK_OK(rdg_service_add(d->k.service, routes, sizeof routes / sizeof routes[0], NULL));
    CHECK_OK(rdg_service_allow(d->k.service, "admin", "secret"));
    CHECK_OK(rdg_service_start(d->k.service));
    CHECK_OK(rdg_http_client_new(&d->k.http));
}

static void desk_stop(desk_t *d) {
    kit_close(&d->k);
    rdg_access_close(d->access);
}

static void desk_open(desk_t *d) {
    rdg_log_set_level(RDG_LOG_ERROR);
    d->rate = 0;
    rdg_clock_manual_init(&d->clock, 1000000000);
    desk_start(d);
}

static unsigned ask(desk_t *d, const char *token, const char *method, const char *path, const char *body,
                    char message[400]) {
    json_t *a = NULL;
    unsigned status = kit_call(&d->k, method, path, token, body, &a);
    if (message) snprintf(message, 400, "%s", kit_error(a, "message"));
    json_decref(a);
    return status;
}

/* Makes one as the holder of `as`; its secret, and its id if wanted. */
static void make(desk_t *d, const char *as, const char *body, char token[80], char id[20]) {
    json_t *a = NULL;
    CHECK_EQ(kit_call(&d->k, "POST", "/api/v1/tokens", as, body, &a), 201);
    snprintf(token, 80, "%s", json_string_value(json_object_get(a, "token")));
    if (id) snprintf(id, 20, "%s", json_string_value(json_object_get(a, "id")));
    json_decref(a);
}

static void make_tenants(desk_t *d) {
    CHECK_EQ(ask(d, "secret", "POST", "/api/v1/tenants", "{\"name\":\"acme\"}", NULL), 201);
    CHECK_EQ(ask(d, "secret", "POST", "/api/v1/tenants", "{\"name\":\"other\"}", NULL), 201);
}

TEST(access_missing_unknown_expired_and_revoked_tokens_are_told_apart) {
    desk_t d;
    char good[80], late[80], gone[80], id[20], path[80], text[400];
    desk_open(&d);
    make(&d, "secret", "{\"name\":\"good\",\"role\":\"reader\"}", good, NULL);
    make(&d, "secret", "{\"name\":\"late\",\"expires_s\":60}", late, NULL);
    make(&d, "secret", "{\"name\":\"gone\",\"role\":\"admin\"}", gone, id);
    CHECK_EQ(ask(&d, late, "GET", "/api/v1/things", NULL, NULL), 200);
    CHECK_EQ(ask(&d, gone, "GET", "/api/v1/things", NULL, NULL), 200);
    snprintf(path, sizeof path, "/api/v1/tokens/%s/revoke", id);
    CHECK_EQ(ask(&d, "secret", "POST", path, NULL, NULL), 200);
    rdg_clock_manual_advance(&d.clock, 60000);
    for (int again = 0; again < 2; ++again) {
        CHECK_EQ(ask(&d, good, "GET", "/api/v1/things", NULL, NULL), 200);
        CHECK_EQ(ask(&d, NULL, "GET", "/api/v1/things", NULL, text), 401);
        CHECK(strstr(text, "no access token"));
        CHECK_EQ(ask(&d, "rat_000000", "GET", "/api/v1/things", NULL, text), 401);
        CHECK(strstr(text, "not known here"));
        CHECK_EQ(ask(&d, late, "GET", "/api/v1/things", NULL, text), 401);
        CHECK(strstr(text, "'late'") && strstr(text, "has expired 1970"));
        CHECK_EQ(ask(&d, gone, "GET", "/api/v1/things", NULL, text), 401);
        CHECK(strstr(text, "'gone'") && strstr(text, "was revoked 1970"));
        desk_stop(&d); /* what is said outlives the process */
        desk_start(&d);
    }
    rdg_clock_manual_advance(&d.clock, 31ull * 86400000);
    CHECK_EQ(ask(&d, good, "GET", "/api/v1/things", NULL, text), 401);
    CHECK(strstr(text, "'good'") && strstr(text, "has expired"));
    make(&d, "secret", "{\"name\":\"next\"}", good, NULL); /* forgets what ended a month ago */
    CHECK_EQ(ask(&d, late, "GET", "/api/v1/things", NULL, text), 401);
    CHECK(strstr(text, "not known here"));
    desk_stop(&d);
}

TEST(access_a_role_may_what_it_may_and_a_refusal_names_the_one_that_may) {
    static const struct {
        const char *method, *path;
        unsigned reader, operator, admin;
    } cases[] = {
        {"GET", "/api/v1/things", 200, 200, 200},         {"POST", "/api/v1/things", 403, 200, 200},
        {"DELETE", "/api/v1/things/x", 403, 200, 200},    {"POST", "/api/v1/things/x/ask", 200, 200, 200},
        {"POST", "/api/v1/things/x/give", 403, 403, 200}, {"GET", "/api/v1/house", 200, 200, 200},
        {"PUT", "/api/v1/house", 403, 200, 200},          {"GET", "/api/v1/forgotten", 403, 403, 200},
        {"GET", "/api/v1/tokens", 403, 403, 200},         {"GET", "/api/v1/tenants", 200, 200, 200}};
    desk_t d;
    char reader[80], operator[80], admin[80], text[400];
    desk_open(&d);
    make(&d, "secret", "{\"name\":\"r\",\"role\":\"reader\"}", reader, NULL);
    make(&d, "secret", "{\"name\":\"o\"}", operator, NULL);
    make(&d, "secret", "{\"name\":\"a\",\"role\":\"admin\"}", admin, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        CHECK_EQ(ask(&d, reader, cases[i].method, cases[i].path, NULL, text), cases[i].reader);
        if (cases[i].reader == 403)
            CHECK(strstr(text, cases[i].operator== 200 ? "role operator or admin, and 'r' is a reader's"
                                                       : "role admin, and 'r' is a reader's"));
        CHECK_EQ(ask(&d, operator, cases[i].method, cases[i].path, NULL, text), cases[i].operator);
        if (cases[i].operator== 403) CHECK(strstr(text, "role admin, and 'o' is an operator's"));
        CHECK_EQ(ask(&d, admin, cases[i].method, cases[i].path, NULL, NULL), cases[i].admin);
    }
    desk_stop(&d);
}

TEST(access_of_another_tenants_things_nothing_is_told) {
    static const char *const closed[] = {"/api/v1/house", "/api/v1/forgotten", "/api/v1/tenants",
                                         "/api/v1/orphans/mine"};
    desk_t d;
    char acme[80], absent[400], foreign[400];
    json_t *a = NULL;
    desk_open(&d);
    make_tenants(&d);
    make(&d, "secret", "{\"name\":\"a\",\"tenant\":\"acme\",\"role\":\"admin\"}", acme, NULL);
    CHECK_EQ(ask(&d, acme, "GET", "/api/v1/things/mine", NULL, NULL), 200);
    CHECK_EQ(ask(&d, "secret", "GET", "/api/v1/things/theirs", NULL, NULL), 200);
    CHECK_EQ(ask(&d, acme, "GET", "/api/v1/things/theirs", NULL, foreign), 404);
    CHECK_EQ(ask(&d, acme, "GET", "/api/v1/things/nosuch", NULL, absent), 404);
    CHECK_STR(absent, "thing 'nosuch' does not exist");
    CHECK_STR(foreign, "thing 'theirs' does not exist");
    CHECK_EQ(ask(&d, acme, "DELETE", "/api/v1/things/theirs", NULL, NULL), 404);
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; ++i)
        CHECK_EQ(ask(&d, acme, "GET", closed[i], NULL, NULL), 403);
    /* Whose new things are. */
    CHECK_EQ(kit_call(&d.k, "POST", "/api/v1/things", acme, "{}", &a), 200);
    CHECK_STR(json_string_value(json_object_get(a, "of")), "acme");
    CHECK_STR(json_string_value(json_object_get(a, "caller")), "acme/a");
    json_decref(a);
    CHECK_EQ(ask(&d, acme, "POST", "/api/v1/things", "{\"tenant\":\"other\"}", NULL), 403);
    CHECK_EQ(ask(&d, acme, "POST", "/api/v1/things", "{\"tenant\":\"nosuch\"}", NULL), 403);
    CHECK_EQ(ask(&d, "secret", "POST", "/api/v1/things", "{\"tenant\":\"nosuch\"}", NULL), 404);
    CHECK_EQ(kit_call(&d.k, "POST", "/api/v1/things", "secret", "{\"tenant\":\"other\"}", &a), 200);
    CHECK_STR(json_string_value(json_object_get(a, "of")), "other");
    json_decref(a);
    desk_stop(&d);
}

TEST(access_a_tenants_administrator_has_its_own_tokens_only) {
    desk_t d;
    char acme[80], other[80], id[20], mine[20], path[80], text[400];
    json_t *a = NULL;
    desk_open(&d);
    make_tenants(&d);
    make(&d, "secret", "{\"name\":\"a\",\"tenant\":\"acme\",\"role\":\"admin\"}", acme, NULL);
    make(&d, "secret", "{\"name\":\"a\",\"tenant\":\"other\"}", other, id);
    make(&d, acme, "{\"name\":\"b\",\"role\":\"reader\"}", other, mine);
    CHECK_EQ(kit_call(&d.k, "GET", "/api/v1/tokens", acme, NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "tokens")), 2);
    json_decref(a);
    CHECK_EQ(kit_call(&d.k, "GET", "/api/v1/tokens", "secret", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "tokens")), 3);
    json_decref(a);
    snprintf(path, sizeof path, "/api/v1/tokens/%s/revoke", id);
    CHECK_EQ(ask(&d, acme, "POST", path, NULL, text), 404);
    snprintf(path, sizeof path, "access token '%s' does not exist", id);
    CHECK(strstr(text, path));
    CHECK_EQ(ask(&d, acme, "POST", "/api/v1/tokens", "{\"name\":\"c\",\"tenant\":\"other\"}", NULL), 403);
    snprintf(path, sizeof path, "/api/v1/tokens/%s/revoke", mine);
    CHECK_EQ(ask(&d, acme, "POST", path, NULL, NULL), 200);
    CHECK_EQ(ask(&d, other, "GET", "/api/v1/things", NULL, NULL), 401);
    desk_stop(&d);
}

TEST(access_refuses_bad_orders_and_more_than_it_holds) {
    static const struct {
        const char *body;
        unsigned status;
    } cases[] = {{"{}", 400},
                 {"{\"name\":\"\"}", 400},
                 {"{\"name\":\"A b\"}", 400},
                 {"{\"name\":\"acme/x\"}", 400},
                 {"{\"name\":\"a234567890123456789012345678901\"}", 400},
                 {"{\"name\":\"admin\"}", 409},
                 {"{\"name\":\"metrics\"}", 409},
                 {"{\"name\":\"baas\"}", 409},
                 {"{\"name\":\"x\",\"role\":\"metrics\"}", 400},
                 {"{\"name\":\"x\",\"role\":\"\"}", 400},
                 {"{\"name\":\"x\",\"expires_s\":0}", 400},
                 {"{\"name\":\"x\",\"expires_s\":31622401}", 400},
                 {"{\"name\":\"x\",\"tenant\":\"nosuch\"}", 404},
                 {"{\"name\":\"x\",\"tenant\":7}", 400}};
    static const char *const names[] = {"",    "-a",  "a-",  "A",
                                        "a/b", "a.b", "a_b", "a2345678901234567890123456789012x"};
    desk_t d;
    char token[80], id[20], body[120], text[400];
    desk_open(&d);
    make_tenants(&d);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i)
        CHECK_EQ(ask(&d, "secret", "POST", "/api/v1/tokens", cases[i].body, NULL), cases[i].status);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        snprintf(body, sizeof body, "{\"name\":\"%s\"}", names[i]);
        CHECK_EQ(ask(&d, "secret", "POST", "/api/v1/tenants", body, NULL), 400);
    }
    for (int i = 0; i < RDG_ACCESS_TENANT_TOKENS_MAX; ++i) {
        snprintf(body, sizeof body, "{\"name\":\"n%d\",\"tenant\":\"acme\"}", i);
        make(&d, "secret", body, token, id);
    }
    CHECK_EQ(ask(&d, "secret", "POST", "/api/v1/tokens", "{\"name\":\"x\",\"tenant\":\"acme\"}", text), 503);
    CHECK(strstr(text, "acme has 100"));
    make(&d, "secret", "{\"name\":\"x\",\"tenant\":\"other\"}", token, id);
    CHECK_EQ(ask(&d, "secret", "POST", "/api/v1/tokens", "{\"name\":\"x\",\"tenant\":\"other\"}", NULL), 409);
    snprintf(body, sizeof body, "/api/v1/tokens/%s/revoke", id);
    CHECK_EQ(ask(&d, "secret", "POST", body, NULL, NULL), 200);
    make(&d, "secret", "{\"name\":\"x\",\"tenant\":\"other\"}", token, NULL); /* the name is free again */
    desk_stop(&d);
}

static rdg_err_t in_use(void *ctx, const char *tenant) {
    return *(const bool *)ctx ? rdg_fail(RDG_E_CONFLICT, "tenant %s has a thing", tenant) : RDG_OK;
}

TEST(access_a_removed_tenant_takes_its_tokens_and_its_name_along) {
    desk_t d;
    char token[80], text[400];
    bool has = true;
    desk_open(&d);
    CHECK_OK(rdg_access_in_use(d.access, in_use, &has));
    make_tenants(&d);
    make(&d, "secret", "{\"name\":\"a\",\"tenant\":\"acme\",\"role\":\"admin\"}", token, NULL);
    CHECK_EQ(ask(&d, token, "DELETE", "/api/v1/tenants/acme", NULL, NULL), 403);
    CHECK_EQ(ask(&d, "secret", "DELETE", "/api/v1/tenants/acme", NULL, text), 409);
    CHECK_STR(text, "tenant acme has a thing");
    CHECK_EQ(ask(&d, token, "GET", "/api/v1/things", NULL, NULL), 200);
    has = false;
    CHECK_EQ(ask(&d, "secret", "DELETE", "/api/v1/tenants/acme", NULL, NULL), 204);
    CHECK_EQ(ask(&d, token, "GET", "/api/v1/things", NULL, text), 401);
    CHECK(strstr(text, "was revoked"));
    CHECK_EQ(ask(&d, "secret", "DELETE", "/api/v1/tenants/acme", NULL, NULL), 404);
    CHECK_EQ(ask(&d, "secret", "POST", "/api/v1/tenants", "{\"name\":\"acme\"}", text), 409);
    CHECK(strstr(text, "was removed"));
    CHECK_EQ(ask(&d, "secret", "POST", "/api/v1/tokens", "{\"name\":\"b\",\"tenant\":\"acme\"}", NULL), 404);
    CHECK_EQ(ask(&d, "secret", "DELETE", "/api/v1/tenants/default", NULL, NULL), 409);
    desk_stop(&d);
}

TEST(access_tells_when_a_token_was_last_used_and_keeps_no_secret) {
    desk_t d;
    char token[80], path[600];
    json_t *a = NULL;
    rdg_buf_t file;
    desk_open(&d);
    make(&d, "secret", "{\"name\":\"a\"}", token, NULL);
    CHECK_EQ(ask(&d, token, "GET", "/api/v1/things", NULL, NULL), 200);
    desk_stop(&d);
    desk_start(&d);
    CHECK_EQ(kit_call(&d.k, "GET", "/api/v1/tokens", "secret", NULL, &a), 200);
    const json_t *t = json_array_get(json_object_get(a, "tokens"), 0);
    CHECK_EQ(json_integer_value(json_object_get(t, "used_ms")), 1000000000);
    CHECK(json_object_get(t, "token") == NULL);
    json_decref(a);
    desk_stop(&d);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "access.db"));
    rdg_buf_init(&file, 4 << 20);
    CHECK_OK(rdg_file_read(path, &file));
    CHECK(memmem(file.data, file.len, token + 4, strlen(token) - 4) == NULL);
    rdg_buf_fini(&file);
}

TEST(access_a_tenant_has_its_share_of_requests_however_many_tokens_it_has) {
    desk_t d;
    char a[80], b[80], c[80], o[80], text[400];
    desk_open(&d);
    make_tenants(&d);
    make(&d, "secret", "{\"name\":\"a\",\"tenant\":\"acme\"}", a, NULL);
    make(&d, "secret", "{\"name\":\"b\",\"tenant\":\"acme\"}", b, NULL);
    make(&d, "secret", "{\"name\":\"c\",\"tenant\":\"acme\"}", c, NULL);
    make(&d, "secret", "{\"name\":\"o\",\"tenant\":\"other\"}", o, NULL);
    desk_stop(&d);
    d.rate = 5;
    desk_start(&d);
    for (int i = 0; i < 5; ++i) {
        CHECK_EQ(ask(&d, a, "GET", "/api/v1/things", NULL, NULL), 200);
        CHECK_EQ(ask(&d, b, "GET", "/api/v1/things", NULL, NULL), 200);
    }
    CHECK_EQ(ask(&d, a, "GET", "/api/v1/things", NULL, text), 429);
    CHECK(strstr(text, "than one caller may send"));
    CHECK_EQ(ask(&d, c, "GET", "/api/v1/things", NULL, text), 429);
    CHECK(strstr(text, "than one tenant may send"));
    CHECK_EQ(ask(&d, o, "GET", "/api/v1/things", NULL, NULL), 200);
    CHECK_EQ(ask(&d, "secret", "GET", "/api/v1/things", NULL, NULL), 200);
    rdg_clock_manual_advance(&d.clock, 1000);
    CHECK_EQ(ask(&d, c, "GET", "/api/v1/things", NULL, NULL), 200);
    desk_stop(&d);
}

/* --- how much a tenant may have ---------------------------------------------------------------------------------- */

static rdg_err_t count_things(void *ctx, rdg_share_t share, const char *tenant, uint64_t *used) {
    const uint64_t *devices = ctx;
    *used = share == RDG_SHARE_DEVICES && strcmp(tenant, "acme") == 0 ? *devices : 0;
    return RDG_OK;
}

static json_int_t number_of(desk_t *d, const char *what, const char *share) {
    json_t *a = NULL;
    CHECK_EQ(kit_call(&d->k, "GET", "/api/v1/tenants/acme", "secret", NULL, &a), 200);
    const json_t *v = json_object_get(json_object_get(a, what), share);
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : json_is_null(v) ? -1 : -2;
    json_decref(a);
    return n;
}

static unsigned limit(desk_t *d, const char *body) {
    return ask(d, "secret", "PATCH", "/api/v1/tenants/acme", body, NULL);
}

TEST(access_a_tenant_sees_its_own_limits_and_use_and_no_others) {
    desk_t d;
    uint64_t devices = 2;
    char acme[80], text[400];
    json_t *a = NULL;
    desk_open(&d);
    make_tenants(&d);
    rdg_access_count(d.access, RDG_SHARE_DEVICES, count_things, &devices);
    CHECK_EQ(limit(&d, "{\"limits\":{\"devices\":3}}"), 200);
    make(&d, "secret", "{\"name\":\"looks\",\"tenant\":\"acme\",\"role\":\"reader\"}", acme, NULL);
    CHECK_EQ(kit_call(&d.k, "GET", "/api/v1/tenants/acme", acme, NULL, &a), 200);
    CHECK_STR(json_string_value(json_object_get(a, "name")), "acme");
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(a, "limits"), "devices")), 3);
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(a, "used"), "devices")), 2);
    CHECK(json_is_null(json_object_get(a, "by")));
    json_decref(a);
    static const char *const foreign[] = {"other", "default", "nosuch"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; ++i) {
        char path[64], absent[64];
        snprintf(path, sizeof path, "/api/v1/tenants/%s", foreign[i]);
        snprintf(absent, sizeof absent, "tenant '%s' does not exist", foreign[i]);
        CHECK_EQ(ask(&d, acme, "GET", path, NULL, text), 404);
        CHECK_STR(text, absent);
        CHECK_EQ(ask(&d, acme, "PATCH", path, "{\"limits\":{\"devices\":9}}", NULL), 403);
    }
    CHECK_EQ(ask(&d, acme, "GET", "/api/v1/tenants", NULL, NULL), 403);
    desk_stop(&d);
}

TEST(access_a_tenants_limit_holds_for_what_is_new_and_stays_over_a_restart) {
    desk_t d;
    uint64_t devices = 2;
    desk_open(&d);
    make_tenants(&d);
    CHECK_OK(rdg_access_room(d.access, RDG_SHARE_DEVICES, "acme"));
    CHECK_EQ(limit(&d, "{\"limits\":{\"devices\":3}}"), 400); /* nobody counts them here */
    rdg_access_count(d.access, RDG_SHARE_DEVICES, count_things, &devices);
    rdg_access_count(d.access, RDG_SHARE_ROLLOUTS, count_things, &devices);
    CHECK_EQ(limit(&d, "{\"limits\":{\"devices\":3}}"), 200);
    CHECK_EQ(number_of(&d, "limits", "devices"), 3);
    CHECK_EQ(number_of(&d, "limits", "rollouts"), -1);
    CHECK_EQ(number_of(&d, "used", "devices"), 2);
    CHECK_EQ(number_of(&d, "used", "chains"), -2);
    CHECK_OK(rdg_access_room(d.access, RDG_SHARE_DEVICES, "acme"));
    devices = 3;
    CHECK_ERR(rdg_access_room(d.access, RDG_SHARE_DEVICES, "acme"), RDG_E_FULL);
    CHECK_STR(rdg_err_message(RDG_E_FULL),
              "tenant acme has 3 devices, and its limit is 3: an administrator of the "
              "cloud raises it with 'ridge tenant limit acme --devices NUMBER'");
    CHECK_OK(rdg_access_room(d.access, RDG_SHARE_DEVICES, "other"));
    CHECK_OK(rdg_access_room(d.access, RDG_SHARE_ROLLOUTS, "acme"));
    desk_stop(&d);
    desk_start(&d);
    rdg_access_count(d.access, RDG_SHARE_DEVICES, count_things, &devices);
    CHECK_ERR(rdg_access_room(d.access, RDG_SHARE_DEVICES, "acme"), RDG_E_FULL);
    CHECK_EQ(limit(&d, "{\"limits\":{\"chains\":null}}"), 200); /* the others stay */
    CHECK_EQ(number_of(&d, "limits", "devices"), 3);
    CHECK_EQ(limit(&d, "{\"limits\":{\"devices\":1}}"), 200);
    CHECK_ERR(rdg_access_room(d.access, RDG_SHARE_DEVICES, "acme"), RDG_E_FULL);
    CHECK_EQ(limit(&d, "{\"limits\":{\"devices\":null}}"), 200);
    CHECK_OK(rdg_access_room(d.access, RDG_SHARE_DEVICES, "acme"));
    CHECK_EQ(limit(&d, "{\"limits\":{\"devices\":0}}"), 200);
    devices = 0;
    CHECK_ERR(rdg_access_room(d.access, RDG_SHARE_DEVICES, "acme"), RDG_E_FULL);
    CHECK_OK(rdg_access_room(NULL, RDG_SHARE_DEVICES, "acme"));
    desk_stop(&d);
}

TEST(access_limits_are_the_clouds_administrators_and_bad_ones_change_nothing) {
    static const char *const bad[] = {"{}",
                                      "{\"limits\":7}",
                                      "{\"limits\":{}}",
                                      "{\"limits\":{\"devices\":-1}}",
                                      "{\"limits\":{\"devices\":\"3\"}}",
                                      "{\"limits\":{\"devices\":1.5}}",
                                      "{\"limits\":{\"devices\":1000001}}",
                                      "{\"limits\":{\"devices\":9223372036854775807}}",
                                      "{\"limits\":{\"devices\":2,\"tokens\":1}}"};
    desk_t d;
    uint64_t devices = 0;
    char boss[80], reader[80];
    desk_open(&d);
    make_tenants(&d);
    rdg_access_count(d.access, RDG_SHARE_DEVICES, count_things, &devices);
    CHECK_EQ(limit(&d, "{\"limits\":{\"devices\":3}}"), 200);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) CHECK_EQ(limit(&d, bad[i]), 400);
    CHECK_EQ(number_of(&d, "limits", "devices"), 3);
    make(&d, "secret", "{\"name\":\"boss\",\"tenant\":\"acme\",\"role\":\"admin\"}", boss, NULL);
    make(&d, "secret", "{\"name\":\"looks\",\"role\":\"reader\"}", reader, NULL);
    CHECK_EQ(ask(&d, boss, "PATCH", "/api/v1/tenants/acme", "{\"limits\":{\"devices\":9}}", NULL), 403);
    CHECK_EQ(ask(&d, reader, "PATCH", "/api/v1/tenants/acme", "{\"limits\":{\"devices\":9}}", NULL), 403);
    CHECK_EQ(ask(&d, reader, "GET", "/api/v1/tenants/acme", NULL, NULL), 200);
    CHECK_EQ(ask(&d, "secret", "PATCH", "/api/v1/tenants/nosuch", "{\"limits\":{\"devices\":9}}", NULL), 404);
    CHECK_EQ(ask(&d, "secret", "GET", "/api/v1/tenants/nosuch", NULL, NULL), 404);
    CHECK_EQ(number_of(&d, "limits", "devices"), 3);
    desk_stop(&d);
}
