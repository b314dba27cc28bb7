#include "kit.h"
#include "ridge/codec/base64.h"
#include <stdio.h>

#define NOTHING rdg_bytes(NULL, 0)

/* alice may do everything below alice/ and pull below public/; "secret" is also a bearer token of hers. */
static rdg_err_t login(void *ctx, const char *user, const char *password, rdg_registry_caller_t *out) {
    (void)ctx;
    if (strcmp(password, "secret") != 0 || (user && strcmp(user, "alice") != 0))
        return rdg_fail(RDG_E_UNAUTHENTICATED, "wrong name or password");
    snprintf(out->name, sizeof out->name, "alice");
    return RDG_OK;
}

static unsigned rights(void *ctx, const rdg_registry_caller_t *caller, const char *repo) {
    (void)ctx;
    if (strcmp(caller->name, "alice") != 0) return 0;
    if (strncmp(repo, "alice/", 6) == 0) return RDG_REGISTRY_PULL | RDG_REGISTRY_PUSH | RDG_REGISTRY_DELETE;
    return strncmp(repo, "public/", 7) == 0 ? RDG_REGISTRY_PULL : 0;
}

static const rdg_registry_guard_t guard = {login, NULL, rights, NULL, NULL};

static void start_guarded(kit_t *k) {
    kit_init(k);
    kit_start(k);
    push_image(k, "public/base", "1", 1, NULL, NULL);
    push_image(k, "bob/own", "1", 2, NULL, NULL);
    kit_stop(k);
    k->options.guard = &guard;
    k->options.clock = &k->clock.clock;
    kit_start(k);
}

static const char *basic(const char *user_and_password) {
    static char line[300];
    rdg_buf_t text;
    rdg_buf_init(&text, 256);
    CHECK_OK(rdg_base64_append(&text, user_and_password, strlen(user_and_password)));
    snprintf(line, sizeof line, "Authorization: Basic %s\r\n", rdg_buf_cstr(&text));
    rdg_buf_fini(&text);
    return line;
}

static const char *bearer_for(kit_t *k, const char *query) {
    static char line[4096];
    char path[600];
    json_t *v = NULL;
    uint64_t seconds = 0;
    const char *token = NULL, *same = NULL;
    snprintf(path, sizeof path, "/v2/token?service=ridge%s", query);
    CHECK_EQ(ask(k, "GET", path, basic("alice:secret"), NOTHING), 200);
    CHECK_OK(rdg_json_parse(rdg_buf_view(&k->got.body), &v));
    CHECK_OK(rdg_json_get_str(v, "token", &token));
    CHECK_OK(rdg_json_get_str(v, "access_token", &same));
    CHECK_OK(rdg_json_get_u64(v, "expires_in", &seconds));
    CHECK_STR(token, same);
    CHECK(seconds >= 60);
    snprintf(line, sizeof line, "Authorization: Bearer %s\r\n", token);
    json_decref(v);
    return line;
}

static unsigned as(kit_t *k, const char *header_line, const char *method, const char *path) {
    return ask(k, method, path, header_line, NOTHING);
}

TEST(who_is_not_known_is_asked_for_a_token_of_the_right_scope) {
    kit_t k;
    start_guarded(&k);
    static const struct {
        const char *method, *path, *scope;
    } asks[] = {{"GET", "/v2/public/base/manifests/1", "repository:public/base:pull\""},
                {"POST", "/v2/alice/x/blobs/uploads/", "repository:alice/x:pull,push\""},
                {"PUT", "/v2/alice/x/manifests/1", "repository:alice/x:pull,push\""},
                {"GET", "/v2/alice/x/blobs/uploads/00000000000000000000000000000000",
                 "repository:alice/x:pull,push\""},
                {"DELETE", "/v2/alice/x/manifests/1", "repository:alice/x:pull,push,delete\""},
                {"GET", "/v2/alice/x/tags/list", "repository:alice/x:pull\""}};
    CHECK_EQ(get(&k, "/v2/"), 401);
    CHECK_STR(header(&k, "WWW-Authenticate"),
              "Bearer realm=\"http://registry.test/v2/token\",service=\"ridge\"");
    check_code(&k, "UNAUTHORIZED");
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; ++i) {
        CHECK_EQ(ask(&k, asks[i].method, asks[i].path, NULL, NOTHING), 401);
        CHECK(strstr(header(&k, "WWW-Authenticate"), asks[i].scope) != NULL);
    }
    /* A large body of somebody unknown is not kept. */
    uint8_t *b = noise(3000000, 1);
    CHECK_EQ(ask(&k, "POST",
                 "/v2/alice/x/blobs/uploads/?digest=sha256:"
                 "0000000000000000000000000000000000000000000000000000000000000000",
                 NULL, rdg_bytes(b, 3000000)),
             401);
    rdg_free(b);
    rdg_registry_usage_t u;
    CHECK_OK(rdg_registry_usage(k.registry, &u));
    CHECK_EQ(u.uploads + u.upload_bytes, 0);
    kit_fini(&k);
}

TEST(a_token_lets_its_bearer_do_what_it_was_made_for_and_no_more) {
    kit_t k;
    char line[4096];
    start_guarded(&k);
    CHECK_EQ(as(&k, bearer_for(&k, ""), "GET", "/v2/"), 200);
    snprintf(line, sizeof line, "%s", bearer_for(&k, "&scope=repository:public/base:pull"));
    CHECK_EQ(as(&k, line, "GET", "/v2/public/base/manifests/1"), 200);
    CHECK_EQ(as(&k, line, "GET", "/v2/bob/own/manifests/1"), 403);
    check_code(&k, "DENIED");
    CHECK_EQ(as(&k, line, "POST", "/v2/alice/x/blobs/uploads/"), 401);
    CHECK(strstr(header(&k, "WWW-Authenticate"), "insufficient_scope") != NULL);
    /* More is not granted than the guard gives. */
    snprintf(line, sizeof line, "%s", bearer_for(&k, "&scope=repository:public/base:pull,push,delete,*"));
    CHECK_EQ(as(&k, line, "GET", "/v2/public/base/manifests/1"), 200);
    CHECK_EQ(as(&k, line, "DELETE", "/v2/public/base/manifests/1"), 403);
    CHECK_EQ(as(&k, line, "POST", "/v2/public/base/blobs/uploads/"), 403);
    /* Two scopes, as a mount needs them: as two parameters and with a space. */
    char layer[DIGEST_TEXT], path[300];
    uint8_t *b = noise(300, 1);
    digest_text(rdg_bytes(b, 300), layer);
    rdg_free(b);
    snprintf(path, sizeof path, "/v2/alice/x/blobs/uploads/?mount=%s&from=public/base", layer);
    CHECK_EQ(as(&k, bearer_for(&k, "&scope=repository:alice/x:pull,push"), "POST", path), 202);
    CHECK_EQ(as(&k, bearer_for(&k, "&scope=repository:alice/x:pull,push&scope=repository:public/base:pull"),
                "POST", path),
             201);
    CHECK_EQ(
        as(&k, bearer_for(&k, "&scope=repository:alice/y:push%20repository:public/base:pull"), "POST", path),
        401);
    /* What may not be read can not be mounted either. */
    b = noise(300, 2);
    digest_text(rdg_bytes(b, 300), layer);
    rdg_free(b);
    snprintf(path, sizeof path, "/v2/alice/x/blobs/uploads/?mount=%s&from=bob/own", layer);
    CHECK_EQ(as(&k, basic("alice:secret"), "POST", path), 202);
    snprintf(path, sizeof path, "/v2/alice/x/blobs/uploads/?mount=%s", layer);
    CHECK_EQ(as(&k, basic("alice:secret"), "POST", path), 202);
    kit_fini(&k);
}

TEST(tokens_expire_and_can_not_be_made_up) {
    kit_t k;
    char line[4096];
    start_guarded(&k);
    snprintf(line, sizeof line, "%s", bearer_for(&k, "&scope=repository:public/base:pull"));
    kit_stop(&k);
    kit_start(&k); /* a restart ends no token */
    CHECK_EQ(as(&k, line, "GET", "/v2/public/base/manifests/1"), 200);
    char *digit = line + 60;
    *digit = *digit == '2' ? '3' : '2';
    CHECK_EQ(as(&k, line, "GET", "/v2/public/base/manifests/1"), 401);
    snprintf(line, sizeof line, "%s", bearer_for(&k, "&scope=repository:public/base:pull"));
    rdg_clock_manual_advance(&k.clock, (RDG_REGISTRY_TOKEN_S + 2) * 1000);
    CHECK_EQ(as(&k, line, "GET", "/v2/public/base/manifests/1"), 401);
    static const char *const bad[] = {"Authorization: Bearer x.y\r\n", "Authorization: Bearer .\r\n",
                                      "Authorization: Bearer \r\n",    "Authorization: Bearer wrong\r\n",
                                      "Authorization: Digest x\r\n",   "Authorization: Basic !!!\r\n",
                                      "Authorization: Basic AAAA\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) CHECK_EQ(as(&k, bad[i], "GET", "/v2/"), 401);
    kit_fini(&k);
}

TEST(basic_and_plain_bearer_tokens_work_and_wrong_ones_do_not) {
    kit_t k;
    start_guarded(&k);
    CHECK_EQ(as(&k, basic("alice:secret"), "GET", "/v2/public/base/manifests/1"), 200);
    CHECK_EQ(as(&k, "Authorization: Bearer secret\r\n", "GET", "/v2/public/base/manifests/1"), 200);
    CHECK_EQ(as(&k, basic("alice:wrong"), "GET", "/v2/public/base/manifests/1"), 401);
    CHECK_EQ(as(&k, basic("bob:secret"), "GET", "/v2/"), 401);
    CHECK_EQ(as(&k, basic("alice"), "GET", "/v2/"), 401);
    CHECK_EQ(as(&k, basic("alice:wrong"), "GET", "/v2/token"), 401);
    CHECK_EQ(get(&k, "/v2/token"), 401);
    CHECK_STR(header(&k, "WWW-Authenticate"), "Basic realm=\"ridge\"");
    kit_fini(&k);
}
