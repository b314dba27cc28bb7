#include "kit.h"
#include "ridge/base/file.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOTHING rdg_bytes(NULL, 0)

static void collect(kit_t *k, rdg_registry_collected_t *out) {
    CHECK_OK(rdg_registry_collect(k->registry, out));
}

static bool file_there(const kit_t *k, const char *digest) {
    char path[STORE_PATH_MAX];
    store_blob_path(&k->registry->store, digest, path);
    return rdg_file_exists(path);
}

TEST(what_nothing_names_is_collected_after_its_grace_and_no_sooner) {
    kit_t k;
    char layer[DIGEST_TEXT], digest[DIGEST_TEXT], other[DIGEST_TEXT], alone[DIGEST_TEXT];
    rdg_registry_collected_t c;
    rdg_registry_usage_t u;
    kit_init(&k);
    k.options.clock = &k.clock.clock;
    k.options.grace_ms = 10000;
    kit_start(&k);
    push_image(&k, "a", "1", 1, layer, digest);
    push_image(&k, "b", "1", 2, other, NULL);
    push_blob(&k, "a", rdg_bytes_str("alone"), alone);
    rdg_clock_manual_advance(&k.clock, 9000);
    collect(&k, &c);
    CHECK_EQ(c.blobs + c.links + c.files, 0);
    /* Somebody who may push has asked: the grace begins anew. */
    CHECK_EQ(askf(&k, "HEAD", NOTHING, "/v2/a/blobs/%s", alone), 200);
    rdg_clock_manual_advance(&k.clock, 9000);
    collect(&k, &c);
    CHECK_EQ(c.links, 0);
    rdg_clock_manual_advance(&k.clock, 2000);
    collect(&k, &c);
    CHECK_EQ(c.links, 1);
    CHECK_EQ(c.blobs, 1);
    CHECK_EQ(c.bytes, 5);
    CHECK(!file_there(&k, alone));
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", alone), 404);
    /* A manifest holds its blobs; without it they go, unless another repository has them. */
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/b/blobs/uploads/?mount=%s&from=a", layer), 201);
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/a/manifests/%s", digest), 202);
    collect(&k, &c);
    CHECK_EQ(c.links, 2);
    CHECK_EQ(c.blobs, 1); /* the manifest */
    CHECK(file_there(&k, layer) && file_there(&k, other) && !file_there(&k, digest));
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/b/manifests/1"), 200);
    rdg_clock_manual_advance(&k.clock, 11000);
    collect(&k, &c);
    CHECK(!file_there(&k, layer) && file_there(&k, other));
    CHECK_OK(rdg_registry_usage(k.registry, &u));
    CHECK_EQ(u.blobs, 3);
    CHECK_EQ(get(&k, "/v2/a/tags/list"), 404);
    kit_fini(&k);
}

TEST(untagged_manifests_go_when_the_operator_says_so) {
    kit_t k;
    char old[DIGEST_TEXT], config[DIGEST_TEXT], more[400], text[2048], referrer[DIGEST_TEXT],
        tagged[DIGEST_TEXT];
    rdg_registry_collected_t c;
    kit_init(&k);
    k.options.clock = &k.clock.clock;
    k.options.grace_ms = 10;
    k.options.untagged_ms = 1000;
    kit_start(&k);
    push_image(&k, "a", "1", 1, NULL, old);
    push_image(&k, "a", "1", 2, NULL, tagged);
    push_blob(&k, "a", rdg_bytes_str("{}"), config);
    snprintf(more, sizeof more, "\"subject\":{\"mediaType\":\"x\",\"digest\":\"%s\",\"size\":1},", tagged);
    manifest_text(config, 2, config, 2, more, text, sizeof text);
    digest_text(rdg_bytes_str(text), referrer);
    CHECK_EQ(askf(&k, "PUT", rdg_bytes_str(text), "/v2/a/manifests/%s", referrer), 201);
    collect(&k, &c);
    CHECK_EQ(c.manifests, 0);
    rdg_clock_manual_advance(&k.clock, 2000);
    collect(&k, &c);
    CHECK_EQ(c.manifests, 1);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/manifests/%s", old), 404);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/manifests/%s", referrer), 200);
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/a/manifests/%s", tagged), 202);
    collect(&k, &c);
    CHECK_EQ(c.manifests, 1);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/manifests/%s", referrer), 404);
    kit_fini(&k);
}

/* --- collecting against pushing ------------------------------------------------------------------------------ */

typedef struct race {
    kit_t *k;
    const char *at;
    pthread_t pusher;
    char digest[DIGEST_TEXT];
    unsigned status;
    bool started;
} race_t;

static void *push_again(void *arg) {
    race_t *r = arg;
    reply_t got;
    char path[400];
    snprintf(path, sizeof path, "/v2/a/blobs/uploads/?digest=%s", r->digest);
    http_ask(r->k->port, "POST", path, NULL, rdg_bytes_str("twice"), &got);
    r->status = got.status;
    http_done(&got);
    return NULL;
}

/* In the collector, once, at the named step: the same blob is pushed, as far as it gets. Where the digest's lock is
 * held the push must wait, so it is not waited for here. */
static void at_gap(void *ctx, const char *where) {
    race_t *r = ctx;
    if (r->started || strcmp(where, r->at) != 0) return;
    r->started = true;
    CHECK_EQ(pthread_create(&r->pusher, NULL, push_again, r), 0);
    if (strcmp(where, "collect.decided") == 0)
        pthread_join(r->pusher, NULL);
    else
        usleep(100000); /* long enough for a push that would not wait to do its harm */
}

static void race_at(const char *where) {
    kit_t k;
    race_t r = {.k = &k, .at = where};
    kit_init(&k);
    k.options.clock = &k.clock.clock;
    k.options.grace_ms = 10;
    kit_start(&k);
    push_blob(&k, "a", rdg_bytes_str("twice"), r.digest);
    rdg_clock_manual_advance(&k.clock, 1000);
    k.registry->store.gap = at_gap;
    k.registry->store.gap_ctx = &r;
    collect(&k, NULL);
    k.registry->store.gap = NULL;
    CHECK(r.started);
    if (strcmp(where, "collect.decided") != 0) pthread_join(r.pusher, NULL);
    CHECK_EQ(r.status, 201);
    /* It was acknowledged: it is there. */
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", r.digest), 200);
    check_body(&k, rdg_bytes_str("twice"));
    collect(&k, NULL);
    CHECK(file_there(&k, r.digest));
    kit_fini(&k);
}

TEST(a_push_between_the_collectors_question_and_its_lock_is_kept) {
    race_at("collect.decided");
}
TEST(a_push_while_the_collector_has_the_lock_is_kept) {
    race_at("collect.locked");
}
TEST(a_push_between_row_and_file_is_kept) {
    race_at("collect.row_gone");
}

typedef struct storm {
    kit_t *k;
    atomic_bool stop;
    atomic_uint pushed, missing;
} storm_t;

/* Pushes and deletes the same few images over and over; what a 201 says is checked at once. */
static void *push_and_delete(void *arg) {
    storm_t *s = arg;
    static atomic_uint number;
    unsigned id = number++;
    char config[DIGEST_TEXT], layer[DIGEST_TEXT], digest[DIGEST_TEXT], text[2048], path[500], body[32];
    reply_t got;
    for (unsigned round = 0; !s->stop; ++round) {
        snprintf(body, sizeof body, "layer %u", round % 3);
        digest_text(rdg_bytes_str("{}"), config);
        digest_text(rdg_bytes_str(body), layer);
        for (int i = 0; i < 2; ++i) {
            snprintf(path, sizeof path, "/v2/r%u/blobs/uploads/?digest=%s", id % 2, i ? layer : config);
            http_ask(s->k->port, "POST", path, NULL, rdg_bytes_str(i ? body : "{}"), &got);
            CHECK_EQ(got.status, 201);
            http_done(&got);
        }
        manifest_text(config, 2, layer, strlen(body), "", text, sizeof text);
        digest_text(rdg_bytes_str(text), digest);
        snprintf(path, sizeof path, "/v2/r%u/manifests/%s", id % 2, digest);
        http_ask(s->k->port, "PUT", path, NULL, rdg_bytes_str(text), &got);
        unsigned status = got.status;
        http_done(&got);
        /* Another thread deletes the same image, and the collector's grace is none: then a part may be gone, and the
         * push says so. */
        CHECK(status == 201 || status == 404);
        s->missing += status == 404;
        s->pushed += status == 201;
        http_ask(s->k->port, "DELETE", path, NULL, NOTHING, &got);
        http_done(&got);
    }
    return NULL;
}

TEST(pushes_deletes_and_collections_at_once_leave_no_image_without_its_parts) {
    kit_t k;
    storm_t s = {.k = &k};
    pthread_t threads[4];
    bool found;
    kit_init(&k);
    k.options.grace_ms = 1;
    kit_start(&k);
    for (int i = 0; i < 4; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, push_and_delete, &s), 0);
    for (int i = 0; i < 200 || (s.pushed < 50 && i < 20000); ++i) collect(&k, NULL);
    s.stop = true;
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    CHECK(s.pushed > 0);
    /* Every row of a blob has its file, every manifest all its parts. */
    CHECK_OK(store_ask(&k.registry->store,
                       "SELECT 1 FROM part p WHERE NOT EXISTS "
                       "(SELECT 1 FROM link l WHERE l.repo = p.repo AND l.digest = p.digest)",
                       NULL, 0, &found, NULL, NULL));
    CHECK(!found);
    for (int i = 0; i < 3; ++i) {
        char body[32], digest[DIGEST_TEXT];
        bool row;
        snprintf(body, sizeof body, "layer %d", i);
        digest_text(rdg_bytes_str(body), digest);
        CHECK_OK(store_ask(&k.registry->store, "SELECT 1 FROM blob WHERE digest = ?",
                           RDG_SQL_PARAMS(rdg_sql_text(digest)), &row, NULL, NULL));
        CHECK_EQ(row, file_there(&k, digest));
    }
    kit_fini(&k);
}

/* --- a server that is killed ----------------------------------------------------------------------------------- */

static void die_at(void *ctx, const char *where) {
    if (strcmp(where, ctx) == 0) kill(getpid(), SIGKILL);
}

/* A server in a process of its own that dies at the named step; its port comes by a pipe. */
static pid_t serve_until(const char *dir, const char *step, uint16_t *port) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        rdg_registry_t *r;
        rdg_http_server_t *server;
        const rdg_registry_options_t o = {.dir = dir, .collect_ms = UINT64_MAX, .grace_ms = 1};
        const rdg_http_server_options_t h = {.threads = 4, .intake = &rdg_registry_intake};
        if (rdg_registry_open(&o, &r) != RDG_OK) _exit(1);
        r->store.gap = die_at;
        r->store.gap_ctx = (void *)(uintptr_t)step;
        if (rdg_http_server_start(&h, rdg_registry_handle, r, &server) != RDG_OK) _exit(1);
        uint16_t bound = rdg_http_server_port(server);
        if (write(ends[1], &bound, sizeof bound) != sizeof bound) _exit(1);
        if (strncmp(step, "collect", 7) != 0) pause();
        (void)rdg_registry_collect(r, NULL);
        _exit(0);
    }
    close(ends[1]);
    CHECK_EQ(read(ends[0], port, sizeof *port), (long long)sizeof *port);
    close(ends[0]);
    return child;
}

static void wait_killed(pid_t child) {
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Starts a request and waits for the server's death instead of an answer. */
static void send_until_death(uint16_t port, pid_t child, const char *method, const char *path,
                             rdg_bytes_t body) {
    http_break_off(port, method, path, body.len, body);
    wait_killed(child);
}

TEST(an_upload_goes_on_after_the_server_was_killed_at_any_of_its_steps) {
    static const char *const steps[] = {"upload.written", "placed"};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; ++i) {
        kit_t k;
        char path[512], put[800], digest[DIGEST_TEXT];
        uint8_t *b = noise(800000, 4);
        uint16_t port;
        rdg_registry_collected_t c;
        kit_init(&k);
        kit_start(&k);
        digest_text(rdg_bytes(b, 800000), digest);
        snprintf(path, sizeof path, "%s", begin_upload(&k, "a"));
        CHECK_EQ(askf(&k, "PATCH", rdg_bytes(b, 500000), "%s", path), 202);
        kit_stop(&k);
        pid_t child = serve_until(k.dir, steps[i], &port);
        snprintf(put, sizeof put, "%s?digest=%s", path, digest);
        send_until_death(port, child, "PUT", put, rdg_bytes(b + 500000, 300000));
        kit_start(&k);
        CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", digest), 404);
        CHECK_EQ(askf(&k, "GET", NOTHING, "%s", path), 204);
        unsigned long long have = strtoull(header(&k, "Range") + 2, NULL, 10) + 1;
        CHECK(have >= 500000 && have <= 800000);
        /* A collection in between takes nothing that the upload needs. */
        CHECK_OK(rdg_registry_collect(k.registry, &c));
        CHECK_EQ(askf(&k, "PUT", rdg_bytes(b + have, 800000 - have), "%s", put), 201);
        CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", digest), 200);
        check_body(&k, rdg_bytes(b, 800000));
        collect(&k, &c);
        CHECK_EQ(c.files, 0);
        rdg_free(b);
        kit_stop(&k);
        http_done(&k.got);
        CHECK_OK(rdg_tree_remove(k.dir, NULL));
    }
}

TEST(a_manifest_is_there_or_not_after_the_server_was_killed_while_it_came) {
    kit_t k;
    char config[DIGEST_TEXT], layer[DIGEST_TEXT], digest[DIGEST_TEXT], text[2048];
    rdg_registry_collected_t c;
    uint16_t port;
    kit_init(&k);
    kit_start(&k);
    push_blob(&k, "a", rdg_bytes_str("{}"), config);
    push_blob(&k, "a", rdg_bytes_str("layer"), layer);
    manifest_text(config, 2, layer, 5, "", text, sizeof text);
    digest_text(rdg_bytes_str(text), digest);
    kit_stop(&k);
    pid_t child = serve_until(k.dir, "placed", &port);
    send_until_death(port, child, "PUT", "/v2/a/manifests/1", rdg_bytes_str(text));
    kit_start(&k);
    CHECK_EQ(get(&k, "/v2/a/manifests/1"), 404);
    CHECK(file_there(&k, digest)); /* without a row */
    collect(&k, &c);
    CHECK_EQ(c.files, 1);
    CHECK(!file_there(&k, digest));
    CHECK_EQ(askf(&k, "PUT", rdg_bytes_str(text), "/v2/a/manifests/1"), 201);
    CHECK_EQ(get(&k, "/v2/a/manifests/1"), 200);
    check_body(&k, rdg_bytes_str(text));
    kit_fini(&k);
}

TEST(a_collection_goes_on_after_the_server_was_killed_at_any_of_its_steps) {
    static const char *const steps[] = {"collect.decided", "collect.locked", "collect.row_gone"};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; ++i) {
        kit_t k;
        char kept[DIGEST_TEXT], gone[DIGEST_TEXT];
        uint16_t port;
        rdg_registry_collected_t c;
        rdg_registry_usage_t u;
        kit_init(&k);
        k.options.grace_ms = 1;
        kit_start(&k);
        push_image(&k, "a", "1", 1, kept, NULL);
        push_blob(&k, "a", rdg_bytes_str("alone"), gone);
        usleep(5000);
        kit_stop(&k);
        wait_killed(serve_until(k.dir, steps[i], &port));
        kit_start(&k);
        CHECK_EQ(get(&k, "/v2/a/manifests/1"), 200);
        CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", kept), 200);
        collect(&k, &c);
        CHECK(!file_there(&k, gone) && file_there(&k, kept));
        CHECK_OK(rdg_registry_usage(k.registry, &u));
        CHECK_EQ(u.blobs, 3);
        kit_stop(&k);
        http_done(&k.got);
        CHECK_OK(rdg_tree_remove(k.dir, NULL));
    }
}
