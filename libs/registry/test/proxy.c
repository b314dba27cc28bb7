/* Copies of another registry: a Ridge registry as the other one, and one of a few lines with moods. */
#include "kit.h"
#include "proxy.h"
#include "ridge/base/file.h"
#include "ridge/codec/base64.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the other registry ------------------------------------------------------------------------------------------ */

#define BLOB_BYTES 300000

typedef struct other {
    rdg_http_server_t *server;
    char url[64], manifest[2048], manifest_digest[DIGEST_TEXT], digest[DIGEST_TEXT];
    uint8_t *blob;
    bool lies, lies_of_manifests, no_ranges, wants_token;
    unsigned status; /* of every answer; 0: as it should be */
    size_t cut_at;   /* answers end here; 0: they do not */
    atomic_uint gets, ranges, heads, tokens;
    pthread_mutex_t lock; /* of what follows */
    size_t there;
    struct piece *pieces;
} other_t;

typedef struct piece {
    other_t *other;
    size_t from;
    rdg_http_waiter_t *waiter;
    struct piece *next;
} piece_t;

static ptrdiff_t read_piece(void *ctx, uint64_t at, uint8_t *out, size_t size, rdg_http_waiter_t *waiter) {
    piece_t *p = ctx;
    other_t *o = p->other;
    at += p->from;
    if (o->cut_at > 0 && at >= p->from + o->cut_at) return -1;
    pthread_mutex_lock(&o->lock);
    size_t there = o->there;
    if (at >= there) {
        p->waiter = waiter;
        rdg_http_rest(waiter);
    }
    pthread_mutex_unlock(&o->lock);
    if (at >= there) return 0;
    if (size > there - at) size = (size_t)(there - at);
    if (o->cut_at > 0 && at + size > p->from + o->cut_at) size = (size_t)(p->from + o->cut_at - at);
    memcpy(out, o->blob + at, size);
    if (o->lies && at + size == BLOB_BYTES) out[size - 1] ^= 1;
    return (ptrdiff_t)size;
}

static void free_piece(void *ctx) {
    piece_t *p = ctx;
    pthread_mutex_lock(&p->other->lock);
    for (piece_t **at = &p->other->pieces; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    pthread_mutex_unlock(&p->other->lock);
    rdg_free(p);
}

static void let_flow(other_t *o, size_t to) {
    pthread_mutex_lock(&o->lock);
    o->there = to;
    for (piece_t *p = o->pieces; p; p = p->next)
        if (p->waiter) rdg_http_wake(p->waiter);
    pthread_mutex_unlock(&o->lock);
}

static void give_blob(other_t *o, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const char *range = rdg_http_header(req, "Range");
    uint64_t first = 0, length = BLOB_BYTES;
    char text[80];
    if (strcmp(rdg_http_method(req), "HEAD") == 0)
        ++o->heads;
    else
        ++o->gets;
    if (range && !o->no_ranges && target_range(range, BLOB_BYTES, &first, &length) == RANGE_PART) {
        ++o->ranges;
        rdg_http_status(res, 206);
        snprintf(text, sizeof text, "bytes %llu-%d/%d", (unsigned long long)first, BLOB_BYTES - 1,
                 BLOB_BYTES);
        (void)rdg_http_set_header(res, "Content-Range", text);
    }
    piece_t *p = rdg_calloc(1, sizeof *p);
    pthread_mutex_lock(&o->lock);
    *p = (piece_t){.other = o, .from = (size_t)first, .next = o->pieces};
    o->pieces = p;
    pthread_mutex_unlock(&o->lock);
    const rdg_http_source_t source = {read_piece, free_piece, p};
    (void)rdg_http_send_source(res, "application/octet-stream", &source, length);
}

static bool admitted(other_t *o, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const char *auth = rdg_http_header(req, "Authorization");
    char text[300];
    if (!o->wants_token || (auth && strcmp(auth, "Bearer secret.of.app") == 0)) return true;
    rdg_http_status(res, 401);
    snprintf(text, sizeof text,
             "Bearer realm=\"%s/token\",service=\"the \\\"other\\\" one\",scope=\"repository:app:pull\"",
             o->url);
    (void)rdg_http_set_header(res, "WWW-Authenticate", text);
    return false;
}

static void give_token(other_t *o, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const char *auth = rdg_http_header(req, "Authorization"), *scope = rdg_http_query(req, "scope");
    ++o->tokens;
    CHECK_STR(rdg_http_query(req, "service"), "the \"other\" one");
    CHECK_STR(scope, "repository:app:pull");
    if (auth && strcmp(auth, "Basic bWU6cGFzcw==") == 0) /* me:pass */
        (void)rdg_http_write(res, "application/json",
                             rdg_bytes_str("{\"token\":\"secret.of.app\",\"expires_in\":300}"));
    else
        rdg_http_status(res, 401);
}

static void serve(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    other_t *o = ctx;
    const char *path = rdg_http_path(req);
    if (strcmp(path, "/token") == 0) {
        give_token(o, req, res);
    } else if (o->status) {
        rdg_http_status(res, o->status);
        (void)rdg_http_set_header(res, "Retry-After", "7");
    } else if (!admitted(o, req, res)) {
        return;
    } else if (strncmp(path, "/v2/app/manifests/", 18) == 0 &&
               (strcmp(path + 18, "1") == 0 || strcmp(path + 18, o->manifest_digest) == 0)) {
        if (!o->lies_of_manifests)
            (void)rdg_http_set_header(res, "Docker-Content-Digest", o->manifest_digest);
        (void)rdg_http_write(res, MANIFEST_OCI, rdg_bytes_str(o->manifest));
        if (o->lies_of_manifests) (void)rdg_http_write(res, NULL, rdg_bytes_str(" "));
    } else if (strncmp(path, "/v2/app/blobs/", 14) == 0 && strcmp(path + 14, o->digest) == 0) {
        give_blob(o, req, res);
    } else {
        rdg_http_status(res, 404);
    }
}

static void other_start(other_t *o) {
    const rdg_http_server_options_t options = {.threads = 8};
    memset(o, 0, sizeof *o);
    pthread_mutex_init(&o->lock, NULL);
    o->there = BLOB_BYTES;
    o->blob = noise(BLOB_BYTES, 7);
    digest_text(rdg_bytes(o->blob, BLOB_BYTES), o->digest);
    manifest_text(o->digest, BLOB_BYTES, o->digest, BLOB_BYTES, "", o->manifest, sizeof o->manifest);
    digest_text(rdg_bytes_str(o->manifest), o->manifest_digest);
    CHECK_OK(rdg_http_server_start(&options, serve, o, &o->server));
    snprintf(o->url, sizeof o->url, "http://127.0.0.1:%u", (unsigned)rdg_http_server_port(o->server));
}

static void other_stop(other_t *o) {
    rdg_http_server_stop(o->server);
    rdg_free(o->blob);
    pthread_mutex_destroy(&o->lock);
}

/* --- the copy ------------------------------------------------------------------------------------------------------ */

static rdg_registry_proxy_t copy_of;

static void begin_at(kit_t *k, const char *url) {
    kit_init(k);
    copy_of = (rdg_registry_proxy_t){"up", url};
    k->options.clock = &k->clock.clock;
    k->options.proxies = &copy_of;
    k->options.proxy_count = 1;
}

static void begin(kit_t *k, other_t *o) {
    other_start(o);
    begin_at(k, o->url);
    kit_start(k);
}

static void end(kit_t *k, other_t *o) {
    kit_stop(k);
    other_stop(o);
    kit_fini(k);
}

static unsigned get_blob(kit_t *k, const char *digest) {
    return askf(k, "GET", rdg_bytes(NULL, 0), "/v2/up/app/blobs/%s", digest);
}

static void check_whole(kit_t *k, const other_t *o) {
    CHECK_EQ(get_blob(k, o->digest), 200);
    CHECK_STR(header(k, "Docker-Content-Digest"), o->digest);
    check_body(k, rdg_bytes(o->blob, BLOB_BYTES));
}

static bool stored(kit_t *k, const char *digest) {
    uint64_t size;
    return store_find(&k->registry->store, "up/app", digest, &size) == RDG_OK;
}

/* A fetch that failed after its answer began ends by itself. */
static void await_idle(kit_t *k) {
    proxy_t *p = k->registry->proxy;
    for (int i = 0; i < 60000; ++i) {
        pthread_mutex_lock(&p->lock);
        bool idle = p->running == 0;
        pthread_mutex_unlock(&p->lock);
        if (idle) return;
        usleep(1000);
    }
    rdg_test_fail(__FILE__, __LINE__, "a fetch never ended");
}

TEST(a_copy_is_fetched_once_and_served_while_its_registry_is_away) {
    kit_t k, there;
    char url[64], layer[DIGEST_TEXT], digest[DIGEST_TEXT];
    kit_init(&there);
    snprintf(there.dir, sizeof there.dir, "%s/there", rdg_test_dir());
    kit_start(&there);
    push_image(&there, "team/app", "1", 1, layer, digest);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)there.port);
    begin_at(&k, url);
    kit_start(&k);
    CHECK_EQ(get(&k, "/v2/up/team/app/manifests/1"), 200);
    CHECK_STR(header(&k, "Docker-Content-Digest"), digest);
    CHECK_EQ(askf(&k, "HEAD", rdg_bytes(NULL, 0), "/v2/up/team/app/blobs/%s", layer), 200);
    CHECK_EQ(askf(&k, "GET", rdg_bytes(NULL, 0), "/v2/up/team/app/blobs/%s", layer), 200);
    CHECK_EQ(get(&k, "/v2/up/team/app/tags/list"), 200);
    CHECK(strstr(rdg_buf_cstr(&k.got.body), "\"1\""));
    CHECK_EQ(get(&k, "/v2/up/team/app/manifests/2"), 404);
    CHECK_EQ(get(&k, "/v2/up/nothing/manifests/1"), 404);
    kit_stop(&there);
    CHECK_EQ(get(&k, "/v2/up/team/app/manifests/1"), 200);
    k.clock.wall_ms += 2 * RDG_REGISTRY_PROXY_TTL_MS;
    CHECK_EQ(get(&k, "/v2/up/team/app/manifests/1"), 200); /* nobody knows better */
    CHECK_EQ(askf(&k, "GET", rdg_bytes(NULL, 0), "/v2/up/team/app/manifests/%s", digest), 200);
    CHECK_EQ(askf(&k, "GET", rdg_bytes(NULL, 0), "/v2/up/team/app/blobs/%s", layer), 200);
    CHECK_EQ(get(&k, "/v2/up/team/app/tags/list"), 200);
    CHECK_EQ(get(&k, "/v2/up/team/app/manifests/3"), 503);
    CHECK_STR(header(&k, "Retry-After"), "5");
    kit_stop(&k);
    kit_start(&k); /* and after a restart */
    CHECK_EQ(get(&k, "/v2/up/team/app/manifests/1"), 200);
    kit_stop(&k);
    http_done(&k.got);
    kit_fini(&there);
}

TEST(a_tag_that_moved_or_went_is_noticed_when_its_time_is_over) {
    kit_t k, there;
    char url[64], first[DIGEST_TEXT], second[DIGEST_TEXT];
    kit_init(&there);
    snprintf(there.dir, sizeof there.dir, "%s/there", rdg_test_dir());
    kit_start(&there);
    push_image(&there, "app", "1", 1, NULL, first);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)there.port);
    begin_at(&k, url);
    kit_start(&k);
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200);
    push_image(&there, "app", "1", 2, NULL, second);
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200);
    CHECK_STR(header(&k, "Docker-Content-Digest"), first);
    k.clock.wall_ms += RDG_REGISTRY_PROXY_TTL_MS;
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200);
    CHECK_STR(header(&k, "Docker-Content-Digest"), second);
    CHECK_EQ(askf(&there, "DELETE", rdg_bytes(NULL, 0), "/v2/app/manifests/1"), 202);
    k.clock.wall_ms += RDG_REGISTRY_PROXY_TTL_MS;
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 404);
    push_image(&there, "app", "1", 2, NULL, second);
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 404); /* believed for a moment */
    k.clock.wall_ms += PROXY_ABSENT_MS;
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200);
    kit_stop(&k);
    http_done(&k.got);
    kit_stop(&there);
    kit_fini(&there);
}

typedef struct client {
    uint16_t port;
    char path[DIGEST_TEXT + 40];
    const char *headers;
    reply_t got;
} client_t;

static void *pull(void *arg) {
    client_t *c = arg;
    http_ask(c->port, "GET", c->path, c->headers, rdg_bytes(NULL, 0), &c->got);
    return NULL;
}

static uint64_t bytes_there(kit_t *k) {
    proxy_t *p = k->registry->proxy;
    uint64_t n = 0;
    pthread_mutex_lock(&p->lock);
    RDG_LIST_EACH(it, &p->fetches) n = RDG_LIST_ENTRY(it, fetch_t, node)->there;
    pthread_mutex_unlock(&p->lock);
    return n;
}

/* Its answer has begun: whatever happens now, its status stands. */
static void await_beginning(const client_t *c) {
    for (int i = 0; i < 60000 && __atomic_load_n(&c->got.heard, __ATOMIC_RELAXED) == 0; ++i) usleep(1000);
}

TEST(a_registry_that_lies_fills_no_copy) {
    kit_t k;
    other_t o;
    client_t c = {0};
    pthread_t thread;
    begin(&k, &o);
    o.lies = true;
    let_flow(&o, 200000);
    c.port = k.port;
    snprintf(c.path, sizeof c.path, "/v2/up/app/blobs/%s", o.digest);
    CHECK_EQ(pthread_create(&thread, NULL, pull, &c), 0);
    await_beginning(&c);
    let_flow(&o, BLOB_BYTES);
    pthread_join(thread, NULL);
    CHECK_EQ(c.got.status, 200);
    CHECK(c.got.body.len < BLOB_BYTES); /* cut before its end: nobody takes it for whole */
    http_done(&c.got);
    await_idle(&k);
    CHECK(!stored(&k, o.digest));
    o.lies_of_manifests = true;
    CHECK_EQ(askf(&k, "GET", rdg_bytes(NULL, 0), "/v2/up/app/manifests/%s", o.manifest_digest), 502);
    CHECK(strstr(rdg_buf_cstr(&k.got.body), "announced as"));
    o.lies = o.lies_of_manifests = false;
    check_whole(&k, &o);
    CHECK_EQ(askf(&k, "GET", rdg_bytes(NULL, 0), "/v2/up/app/manifests/%s", o.manifest_digest), 200);
    rdg_registry_usage_t u;
    CHECK_OK(rdg_registry_usage(k.registry, &u));
    CHECK_EQ(u.upload_bytes, 0);
    end(&k, &o);
}

TEST(a_blob_that_breaks_off_again_and_again_comes_whole) {
    kit_t k;
    other_t o;
    begin(&k, &o);
    o.cut_at = 130000;
    check_whole(&k, &o);
    CHECK_EQ(o.gets, 3);
    CHECK_EQ(o.ranges, 2);
    CHECK(stored(&k, o.digest));
    check_whole(&k, &o); /* from here */
    CHECK_EQ(o.gets, 3);
    end(&k, &o);
}

TEST(a_blob_comes_whole_from_a_registry_without_ranges) {
    kit_t k;
    other_t o;
    begin(&k, &o);
    o.no_ranges = true;
    o.cut_at = BLOB_BYTES - 10;
    /* It never gets further, and is given up: before the answer begins or in its middle. */
    CHECK(get_blob(&k, o.digest) != 200 || k.got.body.len < BLOB_BYTES);
    await_idle(&k);
    CHECK(!stored(&k, o.digest));
    o.cut_at = 0;
    check_whole(&k, &o);
    end(&k, &o);
}

TEST(many_who_ask_at_once_share_one_fetch_from_a_slow_registry) {
    enum { CLIENTS = 12 };
    kit_t k;
    other_t o;
    client_t c[CLIENTS];
    pthread_t threads[CLIENTS];
    begin(&k, &o);
    let_flow(&o, 100000);
    for (int i = 0; i < CLIENTS; ++i) {
        c[i] = (client_t){.port = k.port, .headers = i == 0 ? "Range: bytes=50000-\r\n" : NULL};
        snprintf(c[i].path, sizeof c[i].path, "/v2/up/app/blobs/%s", o.digest);
        CHECK_EQ(pthread_create(&threads[i], NULL, pull, &c[i]), 0);
    }
    for (int i = 0; i < 60000 && bytes_there(&k) < 100000; ++i) usleep(1000);
    CHECK_EQ(bytes_there(&k), 100000);
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200); /* others are not held up */
    let_flow(&o, 200000);
    let_flow(&o, BLOB_BYTES);
    for (int i = 0; i < CLIENTS; ++i) {
        size_t from = i == 0 ? 50000 : 0;
        pthread_join(threads[i], NULL);
        CHECK_EQ(c[i].got.status, i == 0 ? 206 : 200);
        CHECK_EQ(c[i].got.body.len, BLOB_BYTES - from);
        CHECK_MEM(c[i].got.body.data, o.blob + from, BLOB_BYTES - from);
        http_done(&c[i].got);
    }
    CHECK_EQ(o.gets, 1);
    end(&k, &o);
}

TEST(a_copy_stops_in_the_middle_of_a_fetch) {
    kit_t k;
    other_t o;
    client_t c = {0};
    pthread_t thread;
    begin(&k, &o);
    let_flow(&o, 1000);
    c.port = k.port;
    snprintf(c.path, sizeof c.path, "/v2/up/app/blobs/%s", o.digest);
    CHECK_EQ(pthread_create(&thread, NULL, pull, &c), 0);
    await_beginning(&c);
    rdg_http_server_stop(k.server);
    k.server = NULL;
    pthread_join(thread, NULL);
    CHECK(c.got.body.len < BLOB_BYTES);
    http_done(&c.got);
    let_flow(&o, BLOB_BYTES); /* or else the time-out of one attempt passes */
    kit_stop(&k);
    kit_start(&k);
    check_whole(&k, &o);
    end(&k, &o);
}

static void write_credentials(const other_t *o, const char *password, mode_t mode) {
    static char path[300];
    rdg_buf_t text, auth;
    char both[80];
    snprintf(path, sizeof path, "%s/auth.json", rdg_test_dir());
    rdg_buf_init(&text, 4096);
    rdg_buf_init(&auth, 200);
    snprintf(both, sizeof both, "me:%s", password);
    CHECK_OK(rdg_base64_append(&auth, both, strlen(both)));
    rdg_buf_printf(&text, "{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}", o->url + strlen("http://"),
                   rdg_buf_cstr(&auth));
    CHECK_OK(rdg_file_replace(path, rdg_buf_view(&text), mode));
    rdg_buf_fini(&text);
    rdg_buf_fini(&auth);
}

TEST(a_registry_that_wants_tokens_gets_credentials_from_a_file) {
    kit_t k;
    other_t o;
    char path[300];
    other_start(&o);
    o.wants_token = true;
    begin_at(&k, o.url);
    snprintf(path, sizeof path, "%s/auth.json", rdg_test_dir());
    k.options.proxy_credentials = path;
    kit_start(&k);
    write_credentials(&o, "wrong", 0600);
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 502);
    write_credentials(&o, "pass", 0644);
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 502);
    CHECK(strstr(rdg_buf_cstr(&k.got.body), "chmod 600"));
    write_credentials(&o, "pass", 0600); /* noticed without a restart */
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200);
    unsigned tokens = o.tokens;
    check_whole(&k, &o);
    CHECK_EQ(o.tokens, tokens); /* one is good for all of a repository */
    k.clock.wall_ms += 600000;
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200);
    CHECK_EQ(o.tokens, tokens + 1);
    end(&k, &o);
}

TEST(a_registry_that_limits_us_is_left_alone_for_as_long_as_it_says) {
    kit_t k;
    other_t o;
    begin(&k, &o);
    o.status = 429;
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 429);
    o.status = 0;
    k.clock.wall_ms += 6000;
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 429);
    CHECK_EQ(get_blob(&k, o.digest), 429);
    CHECK_EQ(o.gets, 0);
    k.clock.wall_ms += 2000;
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200);
    static const unsigned moods[] = {429, 500, 401};
    for (size_t i = 0; i < 3; ++i) { /* what is here is served whatever it says, but for 404 */
        k.clock.wall_ms += RDG_REGISTRY_PROXY_TTL_MS;
        o.status = moods[i];
        CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200);
    }
    end(&k, &o);
}

TEST(copies_give_way_to_what_is_used_and_signatures_stay) {
    kit_t k, there;
    char url[64], layers[3][DIGEST_TEXT], path[200];
    kit_init(&there);
    snprintf(there.dir, sizeof there.dir, "%s/there", rdg_test_dir());
    kit_start(&there);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)there.port);
    for (unsigned i = 0; i < 3; ++i) {
        uint8_t *bytes = noise(100000, i + 50);
        push_blob(&there, "app", rdg_bytes(bytes, 100000), layers[i]);
        rdg_free(bytes);
    }
    begin_at(&k, url);
    k.options.proxy_max = 250000;
    k.options.grace_ms = 4; /* every use is recorded */
    kit_start(&k);
    for (unsigned i = 0; i < 2; ++i) {
        k.clock.wall_ms += 1000;
        CHECK_EQ(get_blob(&k, layers[i]), 200);
        await_idle(&k);
    }
    k.clock.wall_ms += 1000;
    CHECK_EQ(get_blob(&k, layers[0]), 200); /* used again: the other one is the oldest now */
    k.clock.wall_ms += 1000;
    CHECK_EQ(get_blob(&k, layers[2]), 200);
    CHECK_EQ(k.got.body.len, 100000);
    await_idle(&k);
    CHECK(stored(&k, layers[0]) && !stored(&k, layers[1]) && stored(&k, layers[2]));
    snprintf(path, sizeof path, "/v2/up/app/blobs/%s", layers[1]);
    CHECK_EQ(get(&k, path), 200); /* and comes again */
    kit_stop(&k);
    k.options.proxy_max = 50000;
    kit_start(&k);
    CHECK_EQ(askf(&k, "GET", rdg_bytes(NULL, 0), "/v2/up/other/blobs/%s", layers[0]), 404);
    k.clock.wall_ms += PROXY_ABSENT_MS;
    CHECK_EQ(askf(&k, "DELETE", rdg_bytes(NULL, 0), "/v2/up/app/blobs/%s", layers[1]), 202);
    CHECK_EQ(get_blob(&k, layers[1]), 403); /* larger than all copies may be */
    check_code(&k, "DENIED");
    kit_stop(&k);
    http_done(&k.got);
    kit_stop(&there);
    kit_fini(&there);
}

TEST(nothing_is_pushed_to_a_copy_but_what_refers_to_its_images) {
    kit_t k;
    other_t o;
    char config[DIGEST_TEXT], text[2048], more[400], digest[DIGEST_TEXT];
    begin(&k, &o);
    CHECK_EQ(get(&k, "/v2/up/app/manifests/1"), 200);
    push_blob(&k, "up/app", rdg_bytes_str("{}"), config);
    manifest_text(config, 2, config, 2, "", text, sizeof text);
    CHECK_EQ(
        ask(&k, "PUT", "/v2/up/app/manifests/2", "Content-Type: " MANIFEST_OCI "\r\n", rdg_bytes_str(text)),
        405);
    check_code(&k, "UNSUPPORTED");
    CHECK(strstr(rdg_buf_cstr(&k.got.body), o.url));
    snprintf(more, sizeof more,
             "\"artifactType\":\"text/signature\",\"subject\":{\"mediaType\":\"" MANIFEST_OCI
             "\",\"digest\":\"%s\",\"size\":%zu},",
             o.manifest_digest, strlen(o.manifest));
    manifest_text(config, 2, config, 2, more, text, sizeof text);
    digest_text(rdg_bytes_str(text), digest);
    snprintf(more, sizeof more, "/v2/up/app/manifests/%s", digest);
    CHECK_EQ(ask(&k, "PUT", more, "Content-Type: " MANIFEST_OCI "\r\n", rdg_bytes_str(text)), 201);
    CHECK_EQ(askf(&k, "GET", rdg_bytes(NULL, 0), "/v2/up/app/referrers/%s", o.manifest_digest), 200);
    CHECK(strstr(rdg_buf_cstr(&k.got.body), digest));
    o.status = 500; /* also while it is away: who pushes is told to upload what is not here */
    CHECK_EQ(askf(&k, "HEAD", rdg_bytes(NULL, 0), "/v2/up/app/blobs/%s", o.digest), 404);
    CHECK_EQ(askf(&k, "HEAD", rdg_bytes(NULL, 0), "/v2/up/app/blobs/%s", config), 200);
    CHECK_EQ(askf(&k, "GET", rdg_bytes(NULL, 0), "/v2/up/app/referrers/%s", o.manifest_digest), 200);
    CHECK(strstr(rdg_buf_cstr(&k.got.body), digest));
    end(&k, &o);
}

/* A registry that pages in its own way, or not at all, loses none of its tags here. */
TEST(lists_of_other_registries_are_read_to_their_end) {
    static const char *const same[] = {"</v2/a/b/tags/list?last=c>; rel=\"next\"",
                                       "<https://r/v2/a/b/tags/list?last=c>; rel=next",
                                       "<x>; rel=\"prev\", </v2/a/b/tags/list?last=c>; rel=\"next\""};
    static const char *const elsewhere[] = {"<https://other/v2/a/b/x>; rel=\"next\"",
                                            "<list?n=2>; rel=\"next\"", "</v2/a/bc/x>; rel=\"next\"",
                                            "</v2/a/b/x y>; rel=\"next\""};
    static const char *const none[] = {"", "<", "</v2/a/b/x>", "</v2/a/b/x>; rel=\"prev\"", "rel=\"next\""};
    char out[UPSTREAM_ADDRESS_MAX];
    json_t *tags;
    for (size_t i = 0; i < 3; ++i) {
        CHECK(upstream_next("https://r", "a/b", same[i], out));
        CHECK_STR(out, "tags/list?last=c");
    }
    for (size_t i = 0; i < 4; ++i) CHECK(upstream_next("https://r", "a/b", elsewhere[i], out) && !out[0]);
    for (size_t i = 0; i < 5; ++i) CHECK(!upstream_next("https://r", "a/b", none[i], out));
    CHECK_OK(
        upstream_tags(rdg_bytes_str("{\"tags\":[\"a\",\"b\",\"..\",7,\"c\",\"a\",\"d\"]}"), "a", 2, &tags));
    CHECK_EQ(json_array_size(tags), 2); /* those of the first pages, which it sends again, count not */
    CHECK_STR(json_string_value(json_array_get(tags, 1)), "c");
    json_decref(tags);
    CHECK_OK(upstream_tags(rdg_bytes_str("{\"tags\":[\"z\",\"b\",\"z\",\"c\"]}"), NULL, 9, &tags));
    CHECK_EQ(json_array_size(tags), 3);
    json_decref(tags);
}

TEST(tokens_and_addresses_of_other_registries_are_plain_text) {
    rdg_buf_t header;
    uint64_t life_s;
    char out[UPSTREAM_ADDRESS_MAX];
    static const char *const bad[] = {
        "{}", "{\"token\":\"\"}", "{\"token\":\"a\\r\\nX: y\"}", "{\"token\":\"a b\"}", "[]", "\"x\""};
    rdg_buf_init(&header, UPSTREAM_TOKEN_MAX + 64);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_ERR(upstream_token(rdg_bytes_str(bad[i]), &header, &life_s), RDG_E_PROTOCOL);
    CHECK_OK(upstream_token(rdg_bytes_str("{\"access_token\":\"a.b\",\"expires_in\":99999999}"), &header,
                            &life_s));
    CHECK_STR(rdg_buf_cstr(&header), "Authorization: Bearer a.b");
    CHECK_EQ(life_s, 60);
    rdg_buf_fini(&header);
    CHECK_ERR(upstream_token_address("https://r", "Bearer realm=\"http://r/t\"", "s", out), RDG_E_PROTOCOL);
    CHECK_ERR(upstream_token_address("http://r", "Bearer realm=\"http://r/ t\"", "s", out), RDG_E_PROTOCOL);
    CHECK_OK(upstream_token_address("http://r", "Bearer realm=\"http://r/t\",service=\"a b\"", "s:t", out));
    CHECK_STR(out, "http://r/t?service=a%20b&scope=s%3At");
    CHECK_ERR(upstream_location("https://r", "http://r/x", out), RDG_E_PROTOCOL);
    CHECK_ERR(upstream_location("https://r", "//elsewhere/x", out), RDG_E_PROTOCOL);
    CHECK_ERR(upstream_location("https://r", "", out), RDG_E_PROTOCOL);
    CHECK_OK(upstream_location("https://r", "/x", out));
    CHECK_STR(out, "https://r/x");
}

TEST(addresses_of_other_registries_and_their_challenges_are_read) {
    upstream_t u;
    char value[20];
    static const char *const bad[] = {"",         "registry",     "ftp://a",       "http://",
                                      "https://", "https://a/v2", "https://u:p@a", "https:///"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_ERR(upstream_init(&u, "hub", bad[i], NULL, rdg_clock_system()), RDG_E_INVALID);
    CHECK_ERR(upstream_init(&u, "Hub", "https://a", NULL, rdg_clock_system()), RDG_E_INVALID);
    CHECK_OK(upstream_init(&u, "hub", "https://a.b:5000/", NULL, rdg_clock_system()));
    CHECK_STR(u.url, "https://a.b:5000");
    upstream_fini(&u);
    CHECK(upstream_parameter("Bearer realm=\"x\",service=\"y z\"", "service", value, sizeof value));
    CHECK_STR(value, "y z");
    CHECK(upstream_parameter("Bearer xrealm=\"1\", realm=\"a\\\"b\"", "realm", value, sizeof value));
    CHECK_STR(value, "a\"b");
    CHECK(!upstream_parameter("Bearer realm=\"never ends", "realm", value, sizeof value));
    CHECK(!upstream_parameter("Bearer realm=\"longer than what is there for it\"", "realm", value,
                              sizeof value));
    CHECK(!upstream_parameter("Bearer realm=plain", "realm", value, sizeof value));
    CHECK(!upstream_parameter("", "realm", value, sizeof value));
}
