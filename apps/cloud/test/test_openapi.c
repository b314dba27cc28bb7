/* Every route stands in docs/openapi.yaml, and everything there is a route. The file is read line by line: a
 * path is a key at indentation 2 below `paths:`, a method one at 4. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cloud.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/client/cloud.h"
#include "ridge/net/http_client.h"
#include "ridge/test.h"

#define ENTRIES_MAX 400

typedef struct entry {
    char method[8], path[128];
    bool is_public, seen;
} entry_t;

static entry_t entries[ENTRIES_MAX];
static size_t entry_count;

static bool is_method(const char *word) {
    static const char *const methods[] = {"get", "post", "put", "delete", "patch", "head"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; ++i)
        if (strcmp(word, methods[i]) == 0) return true;
    return false;
}

static void read_line(const char *line, bool *in_paths, char path[128]) {
    char word[128];
    size_t indent = strspn(line, " ");
    size_t len = strcspn(line + indent, ":");
    if (len == 0 || len >= sizeof word || line[indent + len] == 0) return;
    snprintf(word, sizeof word, "%.*s", (int)len, line + indent);
    if (indent == 0) *in_paths = strcmp(word, "paths") == 0;
    if (!*in_paths) return;
    if (indent == 2) snprintf(path, 128, "%s", word);
    if (indent == 4 && is_method(word)) {
        CHECK(entry_count < ENTRIES_MAX);
        entry_t *e = &entries[entry_count++];
        for (size_t i = 0; i <= strlen(word); ++i)
            e->method[i] = (char)(word[i] >= 'a' && word[i] <= 'z' ? word[i] - 32 : word[i]);
        snprintf(e->path, sizeof e->path, "%s", path);
    }
    if (indent == 6 && strncmp(line + 6, "security: []", 12) == 0) entries[entry_count - 1].is_public = true;
}

static void read_openapi(void) {
    rdg_buf_t text;
    bool in_paths = false;
    char path[128] = "";
    entry_count = 0;
    memset(entries, 0, sizeof entries);
    rdg_buf_init(&text, 1 << 20);
    CHECK_OK(rdg_file_read(RIDGE_SOURCE_DIR "/docs/openapi.yaml", &text));
    char *rest = rdg_strdup(rdg_buf_cstr(&text)), *all = rest;
    for (char *line; (line = strsep(&rest, "\n"));) read_line(line, &in_paths, path);
    rdg_free(all);
    rdg_buf_fini(&text);
}

static entry_t *find(const char *method, const char *path) {
    for (size_t i = 0; i < entry_count; ++i)
        if (strcmp(entries[i].method, method) == 0 && strcmp(entries[i].path, path) == 0) return &entries[i];
    return NULL;
}

TEST(every_route_stands_in_the_openapi_file_and_the_other_way_round) {
    cloud_options_t o = {.data_dir = rdg_test_dir(), .platform = true, .baas = true};
    cloud_t *c;
    const rdg_service_route_t *r;
    rdg_log_set_level(RDG_LOG_ERROR);
    read_openapi();
    CHECK(entry_count > 20);
    CHECK_OK(cloud_start(&o, &c));
    for (size_t i = 0; (r = rdg_service_route(cloud_service(c), i)); ++i) {
        entry_t *e = find(r->method, r->pattern);
        if (!e) rdg_test_fail(__FILE__, __LINE__, "%s %s is not in docs/openapi.yaml", r->method, r->pattern);
        if (e->is_public != ((r->flags & RDG_ROUTE_PUBLIC) != 0))
            rdg_test_fail(__FILE__, __LINE__, "%s %s: docs/openapi.yaml errs about its token", r->method,
                          r->pattern);
        e->seen = true;
    }
    for (size_t i = 0; i < entry_count; ++i) {
        bool mounted = strcmp(entries[i].path, "/metrics") == 0;
        if (!entries[i].seen && !mounted)
            rdg_test_fail(__FILE__, __LINE__, "docs/openapi.yaml has %s %s, which is no route",
                          entries[i].method, entries[i].path);
    }
    cloud_stop(c);
}

/* --- who is refused ---------------------------------------------------------------------------------------- */

/* Whoever adds a route for everybody says so here, too. */
static const char *const open_to_all[] = {"/api/v1/health", "/metrics", "/api/v1/ca", "/api/v1/ca/crl"};

static bool is_open(const char *path) {
    for (size_t i = 0; i < sizeof open_to_all / sizeof open_to_all[0]; ++i)
        if (strcmp(path, open_to_all[i]) == 0) return true;
    return false;
}

/* "/a/{b}/c" with something in place of each parameter. */
static void fill_in(const char *pattern, char *out, size_t size) {
    size_t n = 0;
    for (const char *p = pattern; *p && n + 2 < size; ++p) {
        if (*p != '{') {
            out[n++] = *p;
            continue;
        }
        out[n++] = '1';
        p = strchr(p, '}');
    }
    out[n] = '\0';
}

static unsigned knock(rdg_http_client_t *http, const cloud_t *c, const entry_t *e, const char *authorization,
                      bool *agreed_form) {
    char path[160], url[320];
    const char *headers[] = {"Content-Type: application/json", authorization};
    rdg_http_answer_t got;
    json_t *answer = NULL;
    fill_in(e->path, path, sizeof path);
    snprintf(url, sizeof url, "%s%s", cloud_url(c), path);
    bool body =
        strcmp(e->method, "POST") == 0 || strcmp(e->method, "PUT") == 0 || strcmp(e->method, "PATCH") == 0;
    rdg_http_call_t call = {.method = e->method,
                            .url = url,
                            .headers = headers,
                            .header_count = authorization ? 2 : 1,
                            .body = rdg_bytes_str(body ? "{\"name\":\"x\",\"count\":1}" : "")};
    CHECK_OK(rdg_http_call(http, &call, &got));
    unsigned status = got.status;
    (void)rdg_json_parse(rdg_buf_view(&got.body), &answer);
    const char *code = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
    *agreed_form = code && strcmp(code, "UNAUTHENTICATED") == 0;
    json_decref(answer);
    rdg_http_answer_fini(&got);
    return status;
}

/* guess: a token that nobody has; after some of them the address is told nothing but to go slowly. */
static void refuse_everywhere(const cloud_t *c, const char *authorization, bool guess) {
    rdg_http_client_t *http;
    bool agreed_form;
    size_t slowed = 0;
    CHECK_OK(rdg_http_client_new(&http));
    for (size_t i = 0; i < entry_count; ++i) {
        const entry_t *e = &entries[i];
        if (e->is_public != is_open(e->path))
            rdg_test_fail(__FILE__, __LINE__, "%s %s: who may call it is not agreed on", e->method, e->path);
        if (e->is_public) continue;
        unsigned status = knock(http, c, e, authorization, &agreed_form);
        bool slow = guess && status == 429;
        slowed += slow;
        if (!slow && (status != 401 || !agreed_form))
            rdg_test_fail(__FILE__, __LINE__, "%s %s with '%.40s': HTTP %u", e->method, e->path,
                          authorization ? authorization : "no token", status);
    }
    CHECK_EQ(guess, slowed > 0);
    rdg_http_client_free(http);
}

static void read_token(char out[128]) {
    rdg_buf_t text;
    rdg_buf_init(&text, 256);
    char path[512];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "admin.token"));
    CHECK_OK(rdg_file_read(path, &text));
    snprintf(out, 128, "%.*s", (int)strcspn(rdg_buf_cstr(&text), "\n"), rdg_buf_cstr(&text));
    rdg_buf_fini(&text);
}

/* What there is, as the holder of the token sees it. */
static size_t count_of(const cloud_t *c, const char *token, const char *path, const char *field) {
    rdg_cloud_client_t *client;
    json_t *answer = NULL;
    CHECK_OK(rdg_cloud_client_new(cloud_url(c), token, &client));
    CHECK_OK(rdg_cloud_call(client, "GET", path, NULL, 0, &answer));
    rdg_cloud_client_free(client);
    size_t n = json_array_size(json_object_get(answer, field));
    json_decref(answer);
    return n;
}

static void make_device_token(const cloud_t *c, const char *token, char out[160]) {
    rdg_cloud_client_t *client;
    json_t *answer = NULL;
    CHECK_OK(rdg_cloud_client_new(cloud_url(c), token, &client));
    CHECK_OK(rdg_cloud_call(client, "POST", "/device-tokens", NULL, 0, &answer));
    rdg_cloud_client_free(client);
    snprintf(
        out, 160, "Bearer %s",
        json_string_value(json_object_get(json_array_get(json_object_get(answer, "tokens"), 0), "token")));
    json_decref(answer);
}

/* --- access tokens, by role ---------------------------------------------------------------------------------- */

static json_t *post(const cloud_t *c, const char *token, const char *path, json_t *body) {
    rdg_cloud_client_t *client;
    json_t *answer = NULL;
    CHECK_OK(rdg_cloud_client_new(cloud_url(c), token, &client));
    CHECK_OK(rdg_cloud_call(client, "POST", path, body, 0, &answer));
    rdg_cloud_client_free(client);
    return answer;
}

static void make_access(const cloud_t *c, const char *token, const char *name, const char *role,
                        const char *tenant, uint64_t expires_s, char header[120], char id[20]) {
    json_t *answer = post(c, token, "/tokens",
                          json_pack("{s:s, s:s, s:s?, s:I}", "name", name, "role", role, "tenant", tenant,
                                    "expires_s", (json_int_t)expires_s));
    snprintf(header, 120, "Authorization: Bearer %s", json_string_value(json_object_get(answer, "token")));
    if (id) snprintf(id, 20, "%s", json_string_value(json_object_get(answer, "id")));
    json_decref(answer);
}

/* Until its second is over: the cloud itself says so. */
static void await_expired(const cloud_t *c, const char *token, const char *id) {
    rdg_cloud_client_t *client;
    bool expired = false;
    CHECK_OK(rdg_cloud_client_new(cloud_url(c), token, &client));
    while (!expired) {
        json_t *answer = NULL, *t;
        size_t i;
        CHECK_OK(rdg_cloud_call(client, "GET", "/tokens", NULL, 0, &answer));
        json_array_foreach(json_object_get(answer, "tokens"), i, t) expired =
            expired || (strcmp(json_string_value(json_object_get(t, "id")), id) == 0 &&
                        strcmp(json_string_value(json_object_get(t, "state")), "expired") == 0);
        json_decref(answer);
        if (!expired) nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    rdg_cloud_client_free(client);
}

static void refuse_ended_tokens(const cloud_t *c, const char *token) {
    char late[120], gone[120], id[20], path[60];
    make_access(c, token, "gone", "admin", NULL, 3600, gone, id);
    snprintf(path, sizeof path, "/tokens/%s/revoke", id);
    json_decref(post(c, token, path, NULL));
    make_access(c, token, "late", "admin", NULL, 1, late, id);
    await_expired(c, token, id);
    refuse_everywhere(c, late, false);
    refuse_everywhere(c, gone, false);
}

static const unsigned declarations =
    RDG_ROUTE_PUBLIC | RDG_ROUTE_METRICS | RDG_ROUTE_CLOUD | RDG_ROUTE_TENANT | RDG_ROUTE_OWNED;

static bool declared(const rdg_service_route_t *r) {
    return (r->flags & declarations) != 0;
}

static const entry_t *entry_of(const rdg_service_route_t *r) {
    const entry_t *e = find(r->method, r->pattern);
    CHECK(e != NULL);
    return e;
}

/* Each route whose like `refused` names, with this token: 403, and nothing else for a good reason. */
static size_t forbid(const cloud_t *c, const char *header, bool (*refused)(const rdg_service_route_t *r)) {
    rdg_http_client_t *http;
    const rdg_service_route_t *r;
    bool form;
    size_t n = 0;
    CHECK_OK(rdg_http_client_new(&http));
    for (size_t i = 0; (r = rdg_service_route(cloud_service(c), i)); ++i) {
        if ((r->flags & RDG_ROUTE_PUBLIC) || !refused(r)) continue;
        unsigned status = knock(http, c, entry_of(r), header, &form);
        if (status != 403) rdg_test_fail(__FILE__, __LINE__, "%s %s: HTTP %u", r->method, r->pattern, status);
        ++n;
    }
    rdg_http_client_free(http);
    return n;
}

static bool changes(const rdg_service_route_t *r) {
    return strcmp(r->method, "GET") != 0 && !(r->flags & RDG_ROUTE_READ);
}

static bool for_administrators(const rdg_service_route_t *r) {
    return (r->flags & RDG_ROUTE_ADMIN) != 0;
}

/* Of a tenant that has nothing: who tells the owners of a kind of thing is there for each. */
static void find_nothing(const cloud_t *c, const char *header) {
    rdg_http_client_t *http;
    const rdg_service_route_t *r;
    bool form;
    CHECK_OK(rdg_http_client_new(&http));
    for (size_t i = 0; (r = rdg_service_route(cloud_service(c), i)); ++i) {
        if (!(r->flags & RDG_ROUTE_OWNED)) continue;
        unsigned status = knock(http, c, entry_of(r), header, &form);
        if (status != 404) rdg_test_fail(__FILE__, __LINE__, "%s %s: HTTP %u", r->method, r->pattern, status);
    }
    rdg_http_client_free(http);
}

static bool not_for_tenants(const rdg_service_route_t *r) {
    return !(r->flags & (RDG_ROUTE_TENANT | RDG_ROUTE_OWNED));
}

TEST(every_route_declares_what_it_belongs_to_and_keeps_to_roles) {
    static const rdg_service_route_t planted = {"GET", "/api/v1/planted", 0, NULL};
    cloud_options_t o = {.data_dir = rdg_test_dir(), .platform = true, .baas = true};
    cloud_t *c;
    char token[128], reader[120], operator[120], tenant[120];
    const rdg_service_route_t *r;
    rdg_log_set_level(RDG_LOG_ERROR);
    read_openapi();
    CHECK_OK(cloud_start(&o, &c));
    read_token(token);
    CHECK(!declared(&planted));
    for (size_t i = 0; (r = rdg_service_route(cloud_service(c), i)); ++i)
        if (!declared(r)) rdg_test_fail(__FILE__, __LINE__, "%s %s declares nothing", r->method, r->pattern);
    json_decref(post(c, token, "/tenants", json_pack("{s:s}", "name", "acme")));
    make_access(c, token, "r", "reader", NULL, 3600, reader, NULL);
    make_access(c, token, "o", "operator", NULL, 3600, operator, NULL);
    make_access(c, token, "t", "admin", "acme", 3600, tenant, NULL);
    CHECK(forbid(c, reader, changes) > 20);
    CHECK(forbid(c, operator, for_administrators) > 3);
    CHECK(forbid(c, tenant, not_for_tenants) > 3);
    find_nothing(c, tenant);
    CHECK_EQ(count_of(c, token, "/device-tokens", "tokens"), 0);
    cloud_stop(c);
}

static void remove_token_files(void) {
    static const char *const names[] = {"admin.token", "admin.token.sm3"};
    char path[512];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), names[i]));
        (void)remove(path);
    }
}

TEST(every_route_refuses_who_has_no_good_token_and_does_nothing_then) {
    cloud_options_t o = {.data_dir = rdg_test_dir(), .platform = true, .baas = true};
    cloud_t *c;
    char token[128], header[200], other[160], now[128];
    rdg_log_set_level(RDG_LOG_ERROR);
    read_openapi();
    CHECK_OK(cloud_start(&o, &c));
    read_token(token);
    make_device_token(c, token, other);
    refuse_everywhere(c, NULL, false);
    refuse_everywhere(c, "Authorization: Bearer ", false);
    refuse_everywhere(c, "Authorization: Bearer 00000000000000000000000000000000", true);
    snprintf(header, sizeof header, "Authorization: Basic %s", token);
    refuse_everywhere(c, header, false);
    snprintf(header, sizeof header, "Authorization: Bearer %.*s", (int)strlen(token) - 1, token);
    refuse_everywhere(c, header, true);
    snprintf(header, sizeof header, "Authorization: %s", other); /* a device's */
    refuse_everywhere(c, header, true);
    refuse_ended_tokens(c, token);
    CHECK_EQ(count_of(c, token, "/devices", "devices"), 0);
    CHECK_EQ(count_of(c, token, "/device-tokens", "tokens"), 1);
    CHECK_EQ(count_of(c, token, "/chains", "chains"), 0);
    CHECK_EQ(count_of(c, token, "/commands", "commands"), 0);
    CHECK_EQ(count_of(c, token, "/rollouts", "rollouts"), 0);
    cloud_stop(c);
    /* One that was good, and whose place another has taken. */
    remove_token_files();
    CHECK_OK(cloud_start(&o, &c));
    read_token(now);
    CHECK(strcmp(now, token) != 0);
    CHECK_EQ(count_of(c, now, "/devices", "devices"), 0); /* let in before others guess from here */
    snprintf(header, sizeof header, "Authorization: Bearer %s", token);
    refuse_everywhere(c, header, true);
    CHECK_EQ(count_of(c, now, "/device-tokens", "tokens"), 1);
    cloud_stop(c);
}
