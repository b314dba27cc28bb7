/* The outbox through restarts and crashes, and the uploader against a gateway that says all it may say. */
#include "uploader.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static outbox_t *open_box(uint64_t max) {
    char dir[PATH_MAX];
    outbox_t *o = NULL;
    rdg_log_set_level(RDG_LOG_ERROR);
    CHECK_OK(rdg_path_join(dir, sizeof dir, rdg_test_dir(), "outbox"));
    CHECK_OK(outbox_open(dir, max, &o));
    return o;
}

static const char *make_file(const char *name, size_t len, char fill) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", rdg_test_dir(), name);
    char *bytes = rdg_alloc(len + 1);
    memset(bytes, fill, len);
    CHECK_OK(rdg_file_replace(path, rdg_bytes(bytes, len), 0600));
    rdg_free(bytes);
    return path;
}

static outbox_stats_t stats_of(outbox_t *o) {
    outbox_stats_t s;
    outbox_stats(o, &s);
    return s;
}

static unsigned files_in_box(void) {
    char command[PATH_MAX + 32], text[16] = "";
    snprintf(command, sizeof command, "ls %s/outbox | wc -l", rdg_test_dir());
    FILE *f = popen(command, "r");
    CHECK(f && fgets(text, sizeof text, f));
    pclose(f);
    return (unsigned)atoi(text);
}

TEST(outbox_keeps_what_it_took_through_restarts_until_it_is_done) {
    outbox_item_t i;
    outbox_t *o = open_box(1 << 20);
    json_t *meta = json_pack("{s:s}", "chain", "c1");
    CHECK_OK(outbox_add(o, make_file("a", 1000, 'a'), "log", "a", meta));
    CHECK_OK(outbox_add(o, make_file("b", 2000, 'b'), "log", "b", NULL));
    CHECK_OK(outbox_add(o, make_file("a", 1000, 'a'), "log", "a", NULL)); /* the same: one item */
    CHECK_ERR(outbox_add(o, make_file("a", 1000, 'x'), "log", "a", NULL), RDG_E_CONFLICT);
    CHECK_ERR(outbox_add(o, make_file("e", 0, 'x'), "log", "e", NULL), RDG_E_INVALID);
    CHECK_ERR(outbox_add(o, make_file("f", 1, 'x'), "log", "../f", NULL), RDG_E_INVALID);
    json_decref(meta);
    outbox_close(o);
    o = open_box(1 << 20);
    CHECK_EQ(stats_of(o).queued, 2);
    CHECK_EQ(stats_of(o).bytes, 3000);
    CHECK(outbox_next(o, 0, &i));
    CHECK_STR(i.name, "a");
    CHECK_STR(json_string_value(json_object_get(i.meta, "chain")), "c1");
    CHECK_OK(outbox_done(o, i.seq));
    outbox_item_fini(&i);
    CHECK(outbox_next(o, 0, &i));
    CHECK_STR(i.name, "b");
    CHECK_ERR(outbox_fail(o, i.seq, rdg_fail(RDG_E_FORBIDDEN, "never")), RDG_OK);
    outbox_item_fini(&i);
    outbox_close(o);
    o = open_box(1 << 20);
    CHECK(!outbox_next(o, 0, &i));
    CHECK_EQ(stats_of(o).failed, 1);
    json_t *all = outbox_json(o);
    const json_t *failed = json_object_get(json_array_get(json_object_get(all, "failed"), 0), "failed");
    CHECK_STR(json_string_value(json_object_get(failed, "message")), "never");
    json_decref(all);
    CHECK_EQ(files_in_box(), 1);
    outbox_close(o);
}

TEST(outbox_has_a_budget_and_takes_files_in_pieces) {
    uint64_t have;
    outbox_t *o = open_box(5000);
    char bytes[3000];
    memset(bytes, 'p', sizeof bytes);
    CHECK_OK(outbox_piece(o, "log", "p", 0, rdg_bytes(bytes, 1000), false, &have));
    CHECK_ERR(outbox_piece(o, "log", "p", 500, rdg_bytes(bytes, 10), false, &have), RDG_E_CONFLICT);
    CHECK_EQ(have, 1000);
    CHECK_ERR(outbox_piece(o, "log", "p", UINT64_MAX, rdg_bytes(bytes, 10), false, &have), RDG_E_CONFLICT);
    CHECK_ERR(outbox_piece(o, "log", "q", 10, rdg_bytes(bytes, 10), false, &have), RDG_E_CONFLICT);
    outbox_close(o);
    o = open_box(5000); /* what has been handed over stays */
    CHECK_OK(outbox_piece(o, "log", "p", 1000, rdg_bytes(bytes, 2000), true, &have));
    CHECK_EQ(stats_of(o).bytes, 3000);
    CHECK_ERR(outbox_add(o, make_file("big", 3000, 'x'), "log", "big", NULL), RDG_E_FULL);
    CHECK_ERR(outbox_piece(o, "log", "big", 0, rdg_bytes(bytes, 3000), true, &have), RDG_E_FULL);
    CHECK_OK(outbox_add(o, make_file("small", 2000, 'x'), "log", "small", NULL));
    outbox_close(o);
}

/* The piece that a program left, so many seconds ago by the file's time. */
static void left_piece(outbox_t *o, const char *name, size_t len, int64_t ago_s) {
    char path[PATH_MAX], bytes[3000] = "";
    uint64_t have;
    struct timespec then[2] = {{.tv_sec = time(NULL) - ago_s}, {.tv_sec = time(NULL) - ago_s}};
    CHECK_OK(outbox_piece(o, "log", name, 0, rdg_bytes(bytes, len), false, &have));
    snprintf(path, sizeof path, "%s/outbox/in.log,%s", rdg_test_dir(), name);
    CHECK_EQ(utimensat(AT_FDCWD, path, then, 0), 0);
}

/* Programs die in the middle of handing a file over, and come back with another name. */
TEST(outbox_is_not_filled_for_ever_by_what_programs_began_and_left) {
    uint64_t have;
    char name[8];
    outbox_t *o = open_box(5000);
    for (unsigned i = 0; i < OUTBOX_INCOMING_MAX; ++i) {
        snprintf(name, sizeof name, "p%u", i);
        left_piece(o, name, 10,
                   i < 2 ? (i ? -2 : 2) * OUTBOX_IDLE_S : 60); /* one by a clock that was ahead */
    }
    CHECK_OK(outbox_piece(o, "log", "new", 0, rdg_bytes("x", 1), false, &have));
    CHECK_EQ(files_in_box(), OUTBOX_INCOMING_MAX - 1);
    CHECK_OK(outbox_piece(o, "log", "newer", 0, rdg_bytes("x", 1), false, &have));
    CHECK_ERR(outbox_piece(o, "log", "newest", 0, rdg_bytes("x", 1), false, &have), RDG_E_FULL);
    CHECK_OK(outbox_piece(o, "log", "p2", 10, rdg_bytes("y", 1), true, &have)); /* whoever goes on may */
    left_piece(o, "huge", 3000, 2 * OUTBOX_IDLE_S);
    CHECK_OK(outbox_piece(o, "log", "huge", 3000, rdg_bytes("z", 1), false,
                          &have)); /* its own is not in its way */
    left_piece(o, "huge", 3000, 2 * OUTBOX_IDLE_S);
    CHECK_OK(outbox_piece(o, "log", "p3", 10, rdg_bytes(name, 0), false, &have));
    char bytes[2500] = "";
    CHECK_OK(outbox_piece(o, "log", "p3", 10, rdg_bytes(bytes, sizeof bytes), true,
                          &have)); /* bytes make room too */
    outbox_close(o);
}

TEST(outbox_removes_what_a_crash_left_and_survives_damage) {
    char path[PATH_MAX];
    outbox_t *o = open_box(1 << 20);
    CHECK_OK(outbox_add(o, make_file("a", 10, 'a'), "log", "a", NULL));
    CHECK_OK(outbox_add(o, make_file("b", 10, 'b'), "log", "b", NULL));
    CHECK_OK(outbox_add(o, make_file("c", 10, 'c'), "log", "c", NULL));
    outbox_close(o);
    snprintf(path, sizeof path, "%s/outbox/0000000000000000.json", rdg_test_dir()); /* before the record */
    CHECK_EQ(unlink(path), 0);
    snprintf(path, sizeof path, "%s/outbox/0000000000000001.data", rdg_test_dir()); /* lost bytes */
    CHECK_EQ(unlink(path), 0);
    snprintf(path, sizeof path, "%s/outbox/0000000000000002.json", rdg_test_dir()); /* a torn record */
    CHECK_EQ(truncate(path, 20), 0);
    o = open_box(1 << 20);
    CHECK_EQ(stats_of(o).queued, 0);
    CHECK_EQ(files_in_box(), 0);
    CHECK_OK(outbox_add(o, make_file("d", 10, 'd'), "log", "d", NULL));
    outbox_item_t i;
    CHECK(outbox_next(o, 0, &i));
    CHECK_EQ(i.seq, 3); /* numbers are not used twice */
    outbox_item_fini(&i);
    outbox_close(o);
}

/* A record that cannot be read at this start may be read at the next. */
TEST(outbox_deletes_nothing_that_it_only_cannot_read) {
    char record[PATH_MAX], away[PATH_MAX];
    outbox_item_t i;
    outbox_t *o = open_box(1 << 20);
    CHECK_OK(outbox_add(o, make_file("a", 10, 'a'), "log", "a", NULL));
    outbox_close(o);
    snprintf(record, sizeof record, "%s/outbox/0000000000000000.json", rdg_test_dir());
    snprintf(away, sizeof away, "%s/away", rdg_test_dir());
    CHECK_EQ(rename(record, away), 0);
    CHECK_EQ(mkdir(record, 0700), 0); /* reading it fails, as with a bad block */
    o = open_box(1 << 20);
    CHECK_EQ(stats_of(o).queued, 0);
    CHECK_OK(outbox_add(o, make_file("b", 10, 'b'), "log", "b", NULL));
    outbox_close(o);
    CHECK_EQ(rmdir(record), 0);
    CHECK_EQ(rename(away, record), 0);
    o = open_box(1 << 20);
    CHECK_EQ(stats_of(o).queued, 2);
    CHECK(outbox_next(o, 0, &i));
    CHECK_STR(i.name, "a");
    outbox_item_fini(&i);
    outbox_close(o);
}

/* A node in a container writes where its archives are taken from; the agent is root. */
TEST(outbox_follows_no_link_that_a_node_has_put_there) {
    char dir[PATH_MAX], host[PATH_MAX], link[PATH_MAX];
    outbox_t *o = open_box(1 << 20);
    snprintf(dir, sizeof dir, "%s/archive", rdg_test_dir());
    snprintf(host, sizeof host, "%s/etc", rdg_test_dir());
    CHECK_OK(rdg_dir_make(host, 0700));
    CHECK(make_file("etc/shadow", 100, 's'));
    CHECK_EQ(symlink(host, dir), 0);
    CHECK(outbox_add_from(o, dir, "shadow", "archive", "c1", NULL) != RDG_OK);
    CHECK_EQ(unlink(dir), 0);
    CHECK_OK(rdg_dir_make(dir, 0700));
    snprintf(link, sizeof link, "%s/archive/1-2.archive", rdg_test_dir());
    CHECK_EQ(symlink("../etc/shadow", link), 0);
    CHECK_ERR(outbox_add_from(o, dir, "1-2.archive", "archive", "c1", NULL), RDG_E_INVALID);
    CHECK_EQ(unlink(link), 0);
    CHECK_EQ(mkfifo(link, 0600), 0);
    CHECK_ERR(outbox_add_from(o, dir, "1-2.archive", "archive", "c1", NULL), RDG_E_INVALID);
    CHECK_EQ(unlink(link), 0);
    CHECK_ERR(outbox_add_from(o, dir, "../etc/shadow", "archive", "c1", NULL), RDG_E_INVALID);
    snprintf(link, sizeof link, "%s/etc/shadow", rdg_test_dir());
    CHECK(rdg_file_exists(link));
    CHECK_EQ(stats_of(o).queued, 0);
    CHECK(make_file("archive/1-2.archive", 100, 'a'));
    CHECK_OK(outbox_add_from(o, dir, "1-2.archive", "archive", "c1", NULL));
    CHECK_EQ(stats_of(o).queued, 1);
    CHECK(make_file("archive/1-2.archive", 100, 'b'));
    CHECK_ERR(outbox_add_from(o, dir, "1-2.archive", "archive", "c1", NULL), RDG_E_CONFLICT);
    snprintf(link, sizeof link, "%s/archive/1-2.archive", rdg_test_dir());
    CHECK(rdg_file_exists(link)); /* it stays where it is */
    CHECK_EQ(files_in_box(), 2);
    outbox_close(o);
}

/* --- the uploader -------------------------------------------------------------------------------------------- */

/* A gateway for one file; each request may meet the next word of a script in place of the truth. */
typedef struct gateway {
    rdg_http_server_t *http;
    pthread_mutex_t lock;
    const char *script; /* one letter a request: '.' the truth; see answer_scripted */
    uint8_t got[100000];
    size_t len;
    uint64_t size;
    bool stored;
    unsigned requests;
    uint64_t refused_ms, next_ms; /* when 507 was answered, and when the next request came */
    char socket[PATH_MAX];
} gateway_t;

static void say(rdg_http_response_t *res, unsigned status, json_t *o) {
    char *text = rdg_json_text(o);
    rdg_http_status(res, status);
    (void)rdg_http_write(res, "application/json", rdg_bytes_str(text));
    rdg_free(text);
    json_decref(o);
}

static json_t *state(const gateway_t *g) {
    if (g->stored) return json_pack("{s:s, s:i}", "state", "stored", "file", 1);
    return json_pack("{s:s, s:s, s:I, s:I}", "state", "open", "upload", "00112233445566778899aabbccddeeff",
                     "offset", (json_int_t)g->len, "size", (json_int_t)g->size);
}

static json_t *error(const char *code) {
    return json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", "said by the gateway");
}

static bool answer_scripted(gateway_t *g, char what, rdg_http_response_t *res) {
    json_t *o;
    switch (what) {
    case 'f': /* full */
        CHECK_OK(rdg_http_set_header(res, "Retry-After", "1"));
        say(res, 507, error("DISK_FULL"));
        g->refused_ms = rdg_mono_ms(rdg_clock_system());
        return true;
    case 'n': say(res, 404, error("NOT_FOUND")); return true;
    case 'x': say(res, 403, error("FORBIDDEN")); return true;
    case 'c': /* corrupt: begin anew */
        g->len = 0;
        say(res, 422, error("CORRUPT"));
        return true;
    case 'o': /* it has less than the device thinks */
        g->len = 0;
        o = state(g);
        json_object_set_new(o, "error", json_pack("{s:s}", "code", "CONFLICT"));
        say(res, 409, o);
        return true;
    case 'j': /* nonsense */
        (void)rdg_http_write(res, "text/plain", rdg_bytes_str("\x01 no JSON"));
        return true;
    case 'l': /* an offset beyond the file */
        say(res, 200,
            json_pack("{s:s, s:s, s:I}", "state", "open", "upload", "00", "offset", (json_int_t)1 << 40));
        return true;
    default: return false;
    }
}

static void handle(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    gateway_t *g = ctx;
    const char *method = rdg_http_method(req), *path = rdg_http_path(req);
    pthread_mutex_lock(&g->lock);
    ++g->requests;
    if (g->refused_ms && !g->next_ms) g->next_ms = rdg_mono_ms(rdg_clock_system());
    char what = *g->script ? *g->script++ : '.';
    if (answer_scripted(g, what, res)) {
    } else if (strcmp(path, "/v1/uploads") == 0) {
        json_t *o = NULL;
        CHECK_OK(rdg_json_parse(rdg_http_body(req), &o));
        CHECK_OK(rdg_json_get_u64(o, "size", &g->size));
        json_decref(o);
        say(res, 201, state(g));
    } else if (strcmp(method, "PUT") == 0) {
        rdg_bytes_t body = rdg_http_body(req);
        CHECK_EQ(strtoull(rdg_http_query(req, "offset"), NULL, 10), g->len);
        CHECK(body.len <= UPLOAD_PIECE_MAX && g->len + body.len <= sizeof g->got);
        memcpy(g->got + g->len, body.data, body.len);
        g->len += body.len;
        say(res, 200, state(g));
    } else {
        CHECK_EQ(g->len, g->size);
        g->stored = true;
        say(res, 200, state(g));
    }
    pthread_mutex_unlock(&g->lock);
}

static void run_script(gateway_t *g, outbox_t *o, const char *script) {
    memset(g, 0, sizeof *g);
    pthread_mutex_init(&g->lock, NULL);
    g->script = script;
    snprintf(g->socket, sizeof g->socket, "%s/s", rdg_test_dir());
    rdg_http_server_options_t h = {.host = g->socket, .max_body = 1 << 20};
    CHECK_OK(rdg_http_server_start(&h, handle, g, &g->http));
    char path[PATH_MAX];
    journal_t *journal = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "commands.log"));
    CHECK_OK(journal_open(path, rdg_clock_system(), &journal));
    uploader_options_t u = {.outbox = o, .journal = journal, .socket = g->socket};
    uploader_t *uploader = NULL;
    CHECK_OK(uploader_start(&u, &uploader));
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + 60000;
    while (stats_of(o).queued > 0) {
        CHECK(rdg_mono_ms(rdg_clock_system()) < end);
        uploader_kick(uploader, true);
        usleep(5000);
    }
    uploader_halt(uploader);
    uploader_free(uploader);
    journal_close(journal);
    rdg_http_server_stop(g->http);
}

#define FILE_BYTES 90000

static gateway_t *upload_with(const char *script, outbox_stats_t *stats) {
    static gateway_t g;
    outbox_t *o = open_box(1 << 20);
    CHECK_OK(outbox_add(o, make_file("f", FILE_BYTES, 'u'), "log", "f", NULL));
    run_script(&g, o, script);
    *stats = stats_of(o);
    outbox_close(o);
    return &g;
}

static void check_whole(const gateway_t *g) {
    CHECK(g->stored);
    CHECK_EQ(g->len, FILE_BYTES);
    for (size_t i = 0; i < FILE_BYTES; ++i) CHECK_EQ(g->got[i], 'u');
}

TEST(uploader_goes_on_where_the_gateway_says) {
    outbox_stats_t s;
    check_whole(upload_with("..o..n.", &s));
    CHECK_EQ(s.sent, 1);
    CHECK_EQ(s.failed, 0);
}

TEST(uploader_honours_retry_after) {
    outbox_stats_t s;
    gateway_t *g = upload_with(".f", &s);
    check_whole(g);
    CHECK(g->next_ms - g->refused_ms >= 1000);
}

TEST(uploader_sends_again_what_arrived_damaged_but_not_for_ever) {
    outbox_stats_t s;
    check_whole(upload_with("...c", &s));
    CHECK_EQ(s.sent, 1);
    gateway_t *g = upload_with("...c..c..c", &s);
    CHECK(!g->stored);
    CHECK_EQ(s.failed, 1);
}

TEST(uploader_gives_up_what_is_refused_for_good) {
    outbox_stats_t s;
    gateway_t *g = upload_with(".x", &s);
    CHECK(!g->stored);
    CHECK_EQ(s.failed, 1);
    CHECK_EQ(g->requests, 2);
}

TEST(uploader_takes_no_nonsense_for_an_answer) {
    outbox_stats_t s;
    check_whole(upload_with("jl", &s));
    CHECK_EQ(s.sent, 1);
}

/* --- many files ---------------------------------------------------------------------------------------------- */

enum { MANY = 24, REFUSALS = 2 };

typedef struct busy_gateway {
    pthread_mutex_t lock;
    unsigned offers[MANY];
    uint64_t refused_ms[MANY];
    bool too_early;
} busy_gateway_t;

static void handle_many(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    busy_gateway_t *g = ctx;
    json_t *o = NULL;
    const char *name;
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    CHECK_OK(rdg_json_parse(rdg_http_body(req), &o));
    CHECK_OK(rdg_json_get_str(o, "name", &name));
    size_t i = (size_t)atoi(name + 1);
    CHECK(i < MANY);
    pthread_mutex_lock(&g->lock);
    g->too_early |= g->refused_ms[i] && now - g->refused_ms[i] < 1000;
    bool refuse = g->offers[i]++ < REFUSALS;
    if (refuse) {
        CHECK_OK(rdg_http_set_header(res, "Retry-After", "1"));
        say(res, 507, error("DISK_FULL"));
        g->refused_ms[i] = rdg_mono_ms(rdg_clock_system());
    } else {
        say(res, 200, json_pack("{s:s, s:i}", "state", "stored", "file", 1));
    }
    pthread_mutex_unlock(&g->lock);
    json_decref(o);
}

TEST(uploader_honours_retry_after_for_each_of_many_files) {
    static busy_gateway_t g;
    char path[PATH_MAX], name[16];
    rdg_http_server_t *http = NULL;
    journal_t *journal = NULL;
    uploader_t *uploader = NULL;
    outbox_t *o = open_box(1 << 20);
    pthread_mutex_init(&g.lock, NULL);
    for (int i = 0; i < MANY; ++i) {
        snprintf(name, sizeof name, "f%d", i);
        CHECK_OK(outbox_add(o, make_file(name, 10, (char)('a' + i)), "log", name, NULL));
    }
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "commands.log"));
    CHECK_OK(journal_open(path, rdg_clock_system(), &journal));
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "s"));
    const rdg_http_server_options_t h = {.host = path, .max_body = 1 << 20};
    CHECK_OK(rdg_http_server_start(&h, handle_many, &g, &http));
    CHECK_OK(
        uploader_start(&(uploader_options_t){.outbox = o, .journal = journal, .socket = path}, &uploader));
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + 60000;
    while (stats_of(o).queued > 0) {
        CHECK(rdg_mono_ms(rdg_clock_system()) < end);
        usleep(5000);
    }
    uploader_halt(uploader);
    uploader_free(uploader);
    journal_close(journal);
    rdg_http_server_stop(http);
    CHECK(!g.too_early);
    for (int i = 0; i < MANY; ++i) CHECK_EQ(g.offers[i], REFUSALS + 1);
    outbox_close(o);
}
