/* An archive, and the result that announces it, with every write of the journal between them failed, torn, killed or cut in
 * turn: what the cloud gets is what it is told of. The cloud and the node are played; executor, journal, outbox and uploader
 * are the agent's. */
#include "executor.h"
#include "uploader.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"
#include "thread.h"
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define COMMAND "{\"id\":\"c1\",\"type\":\"chain.archive\",\"params\":{\"chain\":\"c\"}}"

/* What outlives the agent: in the memory that act and check share. */
typedef struct outside {
    unsigned exports; /* each with other bytes */
    bool conflict;    /* the cloud was offered another file under the same name */
    char stored[65];  /* SM3 of the archive that it took; "": none */
} outside_t;

typedef struct device {
    outside_t *outside;
    journal_t *journal;
    outbox_t *outbox;
    executor_t *executor;
    uploader_t *uploader;
    rdg_http_server_t *http;
    char box[PATH_MAX],
        socket[PATH_MAX]; /* beside the directory that meets faults, in which only the journal is */
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool other_stored, ended; /* the file behind the archive; the command */
} device_t;

static void tell(device_t *d, bool *what) {
    pthread_mutex_lock(&d->lock);
    *what = true;
    pthread_cond_broadcast(&d->news);
    pthread_mutex_unlock(&d->lock);
}

static void await(device_t *d, const bool *what) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + PATIENCE_MS;
    pthread_mutex_lock(&d->lock);
    while (!*what) {
        CHECK(rdg_mono_ms(rdg_clock_system()) < end);
        (void)thread_cond_wait_ms(&d->news, &d->lock, 1000);
    }
    pthread_mutex_unlock(&d->lock);
}

/* --- the cloud -------------------------------------------------------------------------------------------------- */

static bool take(device_t *d, const char *sm3) {
    outside_t *o = d->outside;
    if (o->stored[0] && strcmp(o->stored, sm3) != 0) return false;
    snprintf(o->stored, sizeof o->stored, "%s", sm3);
    return true;
}

/* A file of 4 KiB is there with its first offer. */
static void offered(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    device_t *d = ctx;
    json_t *o = NULL;
    const char *kind, *sm3;
    CHECK_OK(rdg_json_parse(rdg_http_body(req), &o));
    CHECK_OK(rdg_json_get_str(o, "kind", &kind));
    CHECK_OK(rdg_json_get_str(o, "sm3", &sm3));
    bool archive = strcmp(kind, OUTBOX_ARCHIVE) == 0, fine = !archive || take(d, sm3);
    d->outside->conflict |= !fine;
    rdg_http_status(res, fine ? 200 : 409);
    (void)rdg_http_write(
        res, "application/json",
        rdg_bytes_str(fine ? "{\"state\":\"stored\"}" : "{\"error\":{\"code\":\"CONFLICT\"}}"));
    json_decref(o);
    if (!archive) tell(d, &d->other_stored);
}

/* --- the command ------------------------------------------------------------------------------------------------ */

static void name_export(unsigned number, char text[32], char sm3[65]) {
    rdg_hash_t digest;
    int n = snprintf(text, 32, "export %u", number);
    rdg_sm3(text, (size_t)n, &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, sm3);
}

static void put(device_t *d, const char *kind, const char *name, const char *text, const json_t *about) {
    char path[PATH_MAX];
    CHECK_OK(rdg_path_join(path, sizeof path, d->box, "made"));
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(text), 0600));
    CHECK_OK(outbox_add(d->outbox, path, kind, name, about));
}

/* As chain.archive does it. It ends when the uploader has passed the archive's place and done what comes behind: an archive
 * that may go before its result is in the journal is then uploaded and forgotten. */
static rdg_err_t archive(void *ctx, const command_t *c, executor_run_t *at, json_t **result) {
    device_t *d = ctx;
    outbox_item_t waiting;
    char text[32], sm3[65];
    (void)at;
    if (outbox_find(d->outbox, OUTBOX_ARCHIVE, c->id, &waiting)) {
        *result = waiting.meta;
        return RDG_OK;
    }
    name_export(++d->outside->exports, text, sm3);
    *result = json_pack("{s:s}", "announced", sm3);
    put(d, OUTBOX_ARCHIVE, c->id, text, *result);
    put(d, "log", "behind", text, NULL);
    uploader_kick(d->uploader, false);
    await(d, &d->other_stored);
    return RDG_OK;
}

static void on_ended(void *ctx) {
    device_t *d = ctx;
    uploader_kick(d->uploader, false);
    tell(d, &d->ended);
}

/* --- the device ------------------------------------------------------------------------------------------------- */

static void serve(device_t *d, const char *dir, void *shared) {
    memset(d, 0, sizeof *d);
    rdg_log_set_level(RDG_LOG_ERROR);
    d->outside = shared;
    pthread_mutex_init(&d->lock, NULL);
    thread_cond_init(&d->news);
    snprintf(d->box, sizeof d->box, "%s.box", dir);
    snprintf(d->socket, sizeof d->socket, "%s.s", dir);
    (void)unlink(d->socket);
    const rdg_http_server_options_t h = {.host = d->socket, .max_body = 1 << 16};
    CHECK_OK(rdg_http_server_start(&h, offered, d, &d->http));
    CHECK_OK(outbox_open(d->box, 1 << 20, &d->outbox));
}

/* False: the journal's disk failed it. */
static bool start(device_t *d, const char *dir, void *shared) {
    char path[PATH_MAX];
    serve(d, dir, shared);
    CHECK_OK(rdg_path_join(path, sizeof path, dir, "commands.log"));
    if (journal_open(path, rdg_clock_system(), &d->journal) != RDG_OK) return false;
    const uploader_options_t u = {.outbox = d->outbox, .journal = d->journal, .socket = d->socket};
    const executor_options_t x = {
        .journal = d->journal, .clock = rdg_clock_system(), .run = archive, .ended = on_ended, .ctx = d};
    CHECK_OK(uploader_start(&u, &d->uploader));
    CHECK_OK(executor_start(&x, &d->executor));
    return true;
}

static void stop(device_t *d) {
    executor_free(d->executor);
    uploader_free(d->uploader);
    rdg_http_server_stop(d->http);
    journal_close(d->journal);
    outbox_close(d->outbox);
}

static void export_once(const char *dir, unsigned char *shared) {
    device_t d;
    rdg_buf_t answer;
    rdg_buf_init(&answer, 65536);
    if (start(&d, dir, shared) && executor_deliver(d.executor, rdg_bytes_str(COMMAND), &answer) == RDG_OK)
        await(&d, &d.ended);
    rdg_buf_fini(&answer);
    stop(&d);
}

static void fresh(const char *dir, unsigned char *shared) {
    char box[PATH_MAX];
    (void)shared;
    snprintf(box, sizeof box, "%s.box", dir);
    CHECK_OK(rdg_tree_remove(box, NULL));
}

static void await_uploads(device_t *d) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + PATIENCE_MS;
    outbox_stats_t s = {.queued = 1};
    while (s.queued > 0) {
        CHECK(rdg_mono_ms(rdg_clock_system()) < end);
        usleep(1000);
        outbox_stats(d->outbox, &s);
    }
    CHECK_EQ(s.failed, 0);
}

/* Delivered again, as a broker does; ended before or now, it has announced what the cloud has. */
static void compare(const char *dir, unsigned char *shared) {
    device_t d;
    rdg_buf_t answer;
    json_t *o = NULL, *result = NULL;
    const char *announced;
    rdg_buf_init(&answer, 65536);
    CHECK(start(&d, dir, shared));
    CHECK_OK(executor_deliver(d.executor, rdg_bytes_str(COMMAND), &answer));
    if (answer.len == 0) {
        await(&d, &d.ended);
        CHECK_OK(executor_deliver(d.executor, rdg_bytes_str(COMMAND), &answer));
    }
    await_uploads(&d);
    CHECK_OK(rdg_json_parse(rdg_buf_view(&answer), &o));
    CHECK_OK(rdg_json_get_object(o, "result", &result));
    CHECK_OK(rdg_json_get_str(result, "announced", &announced));
    CHECK_STR(d.outside->stored, announced);
    CHECK(!d.outside->conflict);
    json_decref(o);
    rdg_buf_fini(&answer);
    stop(&d);
}

TEST(an_archive_is_uploaded_as_it_was_announced_whatever_is_cut_between) {
    rdg_test_faults_walk(&(rdg_test_faults_plan_t){.first = RDG_FAULT_FAIL,
                                                   .last = RDG_FAULT_CUT_LOST,
                                                   .prepare = fresh,
                                                   .act = export_once,
                                                   .check = compare});
}
