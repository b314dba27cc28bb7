/* Files from devices: resumed, stored once, through a crash at each step, and what hostile devices get. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "collect.h"
#include "kit.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/base/log.h"

typedef struct bench {
    rdg_sql_t *db;
    rdg_platform_t store; /* lends its tables */
    collect_t *collect;
} bench_t;

static void open_bench(bench_t *b, uint64_t max_bytes, uint64_t device_bytes) {
    memset(b, 0, sizeof *b);
    rdg_log_set_level(RDG_LOG_ERROR);
    CHECK_OK(platform_store_open(&b->store, rdg_test_dir()));
    b->db = b->store.db;
    collect_options_t o = {
        .db = b->db, .data_dir = rdg_test_dir(), .max_bytes = max_bytes, .device_bytes = device_bytes};
    CHECK_OK(collect_open(&o, &b->collect));
}

static void close_bench(bench_t *b) {
    collect_close(b->collect);
    rdg_sql_close(b->db);
}

static void fill(uint8_t *out, size_t len, unsigned seed) {
    for (size_t i = 0; i < len; ++i) out[i] = (uint8_t)((i * 31 + (i >> 8) * 7 + seed) & 0xff);
}

/* What device offers; its meta is freed by the create that takes it through `offer_to`. */
static rdg_err_t offer_to(bench_t *b, const char *device, const char *name, const uint8_t *bytes, size_t len,
                          collect_state_t *out, unsigned *retry) {
    collect_offer_t o = {
        .device = device, .kind = "log", .name = name, .size = len, .meta = rdg_strdup("{}")};
    unsigned none = 0;
    rdg_sm3(bytes, len, &o.digest);
    rdg_err_t err = collect_create(b->collect, &o, out, retry ? retry : &none);
    rdg_free(o.meta);
    return err;
}

/* As a device does it: asks, goes on from there, finishes. */
static void upload(bench_t *b, const char *device, const char *name, const uint8_t *bytes, size_t len,
                   size_t piece) {
    collect_state_t s;
    CHECK_OK(offer_to(b, device, name, bytes, len, &s, NULL));
    while (!s.file && s.offset < len) {
        size_t n = len - s.offset < piece ? len - s.offset : piece;
        CHECK_OK(collect_append(b->collect, device, s.upload, s.offset, rdg_bytes(bytes + s.offset, n), &s));
    }
    if (!s.file) CHECK_OK(collect_finish(b->collect, device, s.upload, &s));
    CHECK(s.file > 0);
}

static int64_t count(bench_t *b, const char *sql) {
    int64_t n = -1;
    CHECK_OK(rdg_sql_query(b->db, sql, NULL, 0, collect_int_row, &n));
    return n;
}

static void check_stored(bench_t *b, const uint8_t *bytes, size_t len) {
    rdg_hash_t digest;
    collect_piece_t piece;
    uint8_t *got = rdg_alloc(len);
    rdg_sm3(bytes, len, &digest);
    CHECK_OK(b->collect->store->open(b->collect->store->ctx, &digest, 0, UINT64_MAX, &piece));
    CHECK_EQ(piece.size, len);
    CHECK_EQ(piece.len, len);
    CHECK_EQ(read(piece.fd, got, len), len);
    CHECK_MEM(got, bytes, len);
    close(piece.fd);
    rdg_free(got);
}

static unsigned objects_on_disk(bench_t *b);
static rdg_err_t count_object(void *arg, const rdg_hash_t *digest) {
    (void)digest;
    ++*(unsigned *)arg;
    return RDG_OK;
}
static unsigned objects_on_disk(bench_t *b) {
    unsigned n = 0;
    CHECK_OK(b->collect->store->each(b->collect->store->ctx, count_object, &n));
    return n;
}

static unsigned parts_on_disk(void) {
    char command[300], text[16] = "";
    snprintf(command, sizeof command, "ls %s/collect/parts | wc -l", rdg_test_dir());
    FILE *f = popen(command, "r");
    CHECK(f && fgets(text, sizeof text, f));
    pclose(f);
    return (unsigned)atoi(text);
}

#define SIZE 70000
static uint8_t data[SIZE];

TEST(collect_stores_a_file_once_however_often_it_is_offered) {
    bench_t b;
    collect_state_t first, again;
    open_bench(&b, 0, 0);
    fill(data, SIZE, 1);
    upload(&b, "dev-1", "a", data, SIZE, 30000);
    check_stored(&b, data, SIZE);
    CHECK_OK(offer_to(&b, "dev-1", "a", data, SIZE, &first, NULL));
    CHECK_OK(offer_to(&b, "dev-1", "other-name", data, SIZE, &again, NULL));
    CHECK(first.file && again.file && first.file != again.file);
    /* Who only knows the digest does not get the file for it. */
    CHECK_OK(offer_to(&b, "dev-2", "a", data, SIZE, &again, NULL));
    CHECK_EQ(again.file, 0);
    CHECK_EQ(again.offset, 0);
    CHECK_ERR(collect_finish(b.collect, "dev-2", again.upload, &again), RDG_E_CONFLICT);
    upload(&b, "dev-2", "a", data, SIZE, SIZE);
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM files"), 3);
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM objects"), 1);
    CHECK_EQ(objects_on_disk(&b), 1);
    CHECK_EQ(parts_on_disk(), 0);
    data[5] ^= 1;
    CHECK_ERR(offer_to(&b, "dev-1", "a", data, SIZE, &again, NULL), RDG_E_CONFLICT);
    CHECK(strstr(rdg_err_message(RDG_E_CONFLICT), "other content") != NULL);
    close_bench(&b);
}

TEST(collect_takes_bytes_only_where_the_upload_goes_on) {
    static const uint64_t wrong[] = {1,         999, 1001, SIZE, SIZE + 1ull, UINT64_MAX, UINT64_MAX - 10,
                                     1ull << 63};
    bench_t b;
    collect_state_t s, at;
    open_bench(&b, 0, 0);
    fill(data, SIZE, 2);
    CHECK_OK(offer_to(&b, "dev-1", "a", data, SIZE, &s, NULL));
    CHECK_OK(collect_append(b.collect, "dev-1", s.upload, 0, rdg_bytes(data, 1000), &at));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
        rdg_err_t err = collect_append(b.collect, "dev-1", s.upload, wrong[i], rdg_bytes(data, 100), &at);
        CHECK(err == RDG_E_CONFLICT || err == RDG_E_INVALID);
        CHECK_EQ(at.offset, 1000);
    }
    CHECK_ERR(collect_append(b.collect, "dev-1", s.upload, 1000, rdg_bytes(data, SIZE - 999), &at),
              RDG_E_INVALID);
    CHECK_ERR(collect_append(b.collect, "dev-1", s.upload, 1000, rdg_bytes(data, 0), &at), RDG_E_INVALID);
    CHECK_ERR(collect_append(b.collect, "dev-1", s.upload, 1000, rdg_bytes(data, COLLECT_CHUNK_MAX + 1), &at),
              RDG_E_INVALID);
    CHECK_ERR(collect_finish(b.collect, "dev-1", s.upload, &at), RDG_E_CONFLICT);
    CHECK_EQ(at.offset, 1000);
    CHECK_ERR(collect_append(b.collect, "dev-2", s.upload, 1000, rdg_bytes(data, 10), &at), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "another device's") != NULL);
    CHECK_ERR(collect_finish(b.collect, "dev-2", s.upload, &at), RDG_E_FORBIDDEN);
    CHECK_ERR(collect_drop(b.collect, "dev-2", s.upload), RDG_E_FORBIDDEN);
    CHECK_ERR(collect_status(b.collect, "dev-2", s.upload, &at), RDG_E_FORBIDDEN);
    CHECK_EQ(at.upload[0], 0); /* nothing of it is told */
    upload(&b, "dev-1", "a", data, SIZE, 20000);
    check_stored(&b, data, SIZE);
    CHECK_ERR(collect_append(b.collect, "dev-1", s.upload, SIZE, rdg_bytes(data, 1), &at), RDG_E_NOT_FOUND);
    close_bench(&b);
}

TEST(collect_refuses_content_that_is_not_what_was_offered) {
    bench_t b;
    collect_state_t s;
    open_bench(&b, 0, 0);
    fill(data, SIZE, 3);
    CHECK_OK(offer_to(&b, "dev-1", "a", data, SIZE, &s, NULL));
    char id[COLLECT_ID_MAX + 1];
    memcpy(id, s.upload, sizeof id);
    data[SIZE - 1] ^= 0x80;
    for (int i = 0; i < COLLECT_CORRUPT_MAX; ++i) {
        CHECK_OK(collect_append(b.collect, "dev-1", id, 0, rdg_bytes(data, SIZE), &s));
        CHECK_ERR(collect_finish(b.collect, "dev-1", id, &s), RDG_E_CORRUPT);
        CHECK(strstr(rdg_err_message(RDG_E_CORRUPT), "device 'dev-1'") != NULL);
        CHECK_EQ(s.offset, 0);
    }
    CHECK_ERR(collect_status(b.collect, "dev-1", id, &s), RDG_E_NOT_FOUND);
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM files") + count(&b, "SELECT COUNT(*) FROM uploads"), 0);
    CHECK_EQ(objects_on_disk(&b) + parts_on_disk(), 0);
    close_bench(&b);
}

/* A name costs the cloud a row, also of the smallest file, and of one that is here already. */
TEST(collect_keeps_so_many_names_of_a_device_and_no_more) {
    bench_t b;
    collect_state_t s;
    unsigned retry = 0;
    open_bench(&b, 0, 0);
    fill(data, SIZE, 30);
    upload(&b, "dev-1", "a", data, SIZE, SIZE);
    CHECK_OK(rdg_sql_exec(b.db,
                          "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                          " INSERT INTO files (device, kind, name, size, digest, meta, stored_ms, tenant)"
                          " SELECT 'dev-1', 'log', 'n' || i, 1, x'00', '{}', 1, 'default' FROM n",
                          RDG_SQL_PARAMS(rdg_sql_int(COLLECT_FILES_DEVICE)), NULL));
    CHECK_ERR(offer_to(&b, "dev-1", "again", data, SIZE, &s, &retry), RDG_E_DISK_FULL);
    CHECK(retry > 0);
    retry = 0;
    CHECK_ERR(offer_to(&b, "dev-1", "small", data, 1, &s, &retry), RDG_E_DISK_FULL);
    CHECK(retry > 0);
    CHECK_OK(
        offer_to(&b, "dev-1", "a", data, SIZE, &s, &retry)); /* what it has given is known all the same */
    CHECK(s.file > 0);
    CHECK_OK(offer_to(&b, "dev-2", "small", data, 1, &s, &retry));
    close_bench(&b);
}

TEST(collect_keeps_within_its_budgets_and_says_when_to_come_back) {
    bench_t b;
    collect_state_t s;
    unsigned retry = 0;
    char name[16];
    open_bench(&b, 3 * SIZE, 2 * SIZE);
    for (unsigned i = 0; i < 2; ++i) {
        fill(data, SIZE, 10 + i);
        snprintf(name, sizeof name, "f%u", i);
        upload(&b, "dev-1", name, data, SIZE, SIZE);
    }
    fill(data, SIZE, 20);
    CHECK_ERR(offer_to(&b, "dev-1", "more", data, SIZE, &s, &retry), RDG_E_DISK_FULL);
    CHECK(retry > 0);
    CHECK_OK(offer_to(&b, "dev-2", "more", data, SIZE, &s, &retry)); /* reserved at its full size */
    retry = 0;
    CHECK_ERR(offer_to(&b, "dev-3", "x", data, 1, &s, &retry), RDG_E_DISK_FULL);
    CHECK(retry > 0);
    CHECK_OK(offer_to(&b, "dev-2", "more", data, SIZE, &s, &retry));
    CHECK_OK(collect_drop(b.collect, "dev-2", s.upload));
    for (unsigned i = 0; i < COLLECT_UPLOADS_DEVICE; ++i) {
        snprintf(name, sizeof name, "u%u", i);
        CHECK_OK(offer_to(&b, "dev-3", name, data, 1 + i, &s, &retry));
    }
    retry = 0;
    CHECK_ERR(offer_to(&b, "dev-3", "u9", data, 100, &s, &retry), RDG_E_BUSY);
    CHECK(retry > 0);
    b.collect->expiry_ms = 0;
    usleep(2000);
    collect_tick(b.collect);
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM uploads"), 0);
    close_bench(&b);
}

/* --- a crash at each step ------------------------------------------------------------------------------------ */

static int crash_at, steps_seen;
static void crash(const char *step) {
    (void)step;
    if (++steps_seen == crash_at) (void)raise(SIGKILL);
}

/* Uploads in a process of its own that is killed at step n; false: it came to the end before. */
static bool killed_at(int n) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        bench_t b;
        crash_at = n;
        collect_step = crash;
        open_bench(&b, 0, 0);
        upload(&b, "dev-1", "a", data, SIZE, 25000);
        collect_step = NULL;
        close_bench(&b);
        _exit(0);
    }
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

static void start_over(void) {
    char path[300];
    snprintf(path, sizeof path, "%s/collect", rdg_test_dir());
    CHECK_OK(rdg_tree_remove(path, NULL));
    static const char *const files[] = {"platform.db", "platform.db-wal", "platform.db-shm"};
    for (size_t i = 0; i < 3; ++i) {
        snprintf(path, sizeof path, "%s/%s", rdg_test_dir(), files[i]);
        (void)unlink(path);
    }
}

TEST(collect_goes_on_after_a_kill_at_each_step) {
    int n = 1;
    fill(data, SIZE, 30);
    for (; killed_at(n); ++n) {
        bench_t b;
        open_bench(&b, 0, 0);
        upload(&b, "dev-1", "a", data, SIZE, 25000);
        check_stored(&b, data, SIZE);
        CHECK_EQ(count(&b, "SELECT COUNT(*) FROM files"), 1);
        CHECK_EQ(count(&b, "SELECT COUNT(*) FROM uploads"), 0);
        CHECK_EQ(objects_on_disk(&b), 1);
        CHECK_EQ(parts_on_disk(), 0);
        close_bench(&b);
        start_over();
    }
    CHECK(n > 12); /* created, three pieces of three steps, hashed, put, stored */
}

TEST(collect_is_killed_again_and_again_and_loses_no_acknowledged_byte) {
    int kills = 0;
    fill(data, SIZE, 31);
    /* Each life comes to the end of one piece, or of the whole, and no further. */
    while (killed_at(4)) CHECK(++kills < 40);
    bench_t b;
    open_bench(&b, 0, 0);
    check_stored(&b, data, SIZE);
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM files"), 1);
    close_bench(&b);
    CHECK(kills >= 4);
}

TEST(collect_cuts_off_what_a_crash_has_left_and_begins_anew_what_is_lost) {
    bench_t b;
    collect_state_t s;
    char path[400];
    open_bench(&b, 0, 0);
    fill(data, SIZE, 32);
    CHECK_OK(offer_to(&b, "dev-1", "a", data, SIZE, &s, NULL));
    CHECK_OK(collect_append(b.collect, "dev-1", s.upload, 0, rdg_bytes(data, 5000), &s));
    snprintf(path, sizeof path, "%s/%s", b.collect->parts_dir, s.upload);
    FILE *f = fopen(path, "ae");
    CHECK(f && fputs("torn bytes that nobody acknowledged", f) >= 0 && fclose(f) == 0);
    CHECK_OK(collect_append(b.collect, "dev-1", s.upload, 5000, rdg_bytes(data + 5000, 5000), &s));
    CHECK_EQ(truncate(path, 100), 0);
    CHECK_ERR(collect_append(b.collect, "dev-1", s.upload, 10000, rdg_bytes(data, 10), &s), RDG_E_CONFLICT);
    CHECK_EQ(s.offset, 0);
    upload(&b, "dev-1", "a", data, SIZE, 25000);
    check_stored(&b, data, SIZE);
    close_bench(&b);
}

/* --- over HTTP, as one device --------------------------------------------------------------------------------- */

/* One request on a connection of that device; the status. */
static unsigned ask(bench_t *b, const char *device, const char *request, size_t len, char *answer,
                    size_t size) {
    int pair[2];
    size_t got = 0;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_EQ(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_OK(collect_adopt(b->collect, pair[0], device));
    struct timeval patience = {10, 0};
    CHECK_EQ(setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    CHECK_EQ(send(pair[1], request, len, MSG_NOSIGNAL), len);
    for (ssize_t n; got + 1 < size && (n = recv(pair[1], answer + got, size - 1 - got, 0)) > 0;)
        got += (size_t)n;
    answer[got] = '\0';
    close(pair[1]);
    CHECK(strncmp(answer, "HTTP/1.1 ", 9) == 0);
    return (unsigned)atoi(answer + 9);
}

static unsigned ask_json(bench_t *b, const char *device, const char *line, const char *body,
                         char answer[4096]) {
    char request[9000];
    int n = snprintf(request, sizeof request,
                     "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", line,
                     strlen(body), body);
    CHECK(n > 0 && n < (int)sizeof request);
    return ask(b, device, request, (size_t)n, answer, 4096);
}

#define DIGEST "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0" /* of "abc" */

TEST(collect_speaks_http_with_a_device_and_names_what_it_refuses) {
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "\"x\"",
        "{\"kind\":1}",
        "{\"kind\":\"log\",\"name\":\"../x\",\"size\":3,\"sm3\":\"" DIGEST "\"}",
        "{\"kind\":\"log\",\"name\":\"\",\"size\":3,\"sm3\":\"" DIGEST "\"}",
        "{\"kind\":\"a/b\",\"name\":\"x\",\"size\":3,\"sm3\":\"" DIGEST "\"}",
        "{\"kind\":\"log\",\"name\":\"x\",\"size\":0,\"sm3\":\"" DIGEST "\"}",
        "{\"kind\":\"log\",\"name\":\"x\",\"size\":-1,\"sm3\":\"" DIGEST "\"}",
        "{\"kind\":\"log\",\"name\":\"x\",\"size\":9223372036854775807,\"sm3\":\"" DIGEST "\"}",
        "{\"kind\":\"log\",\"name\":\"x\",\"size\":3,\"sm3\":\"66\"}",
        "{\"kind\":\"log\",\"name\":\"x\",\"size\":3,\"sm3\":\"" DIGEST "\",\"meta\":[]}",
    };
    bench_t b;
    char answer[4096], line[200], *at;
    open_bench(&b, 0, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        unsigned status = ask_json(&b, "dev-1", "POST /v1/uploads", bad[i], answer);
        CHECK(status == 400 || status == 413);
        CHECK(strstr(answer, "\"error\":{\"code\":") != NULL);
    }
    const char *good = "{\"kind\":\"log\",\"name\":\"x\",\"size\":3,\"sm3\":\"" DIGEST "\"}";
    CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/uploads", good, answer), 201);
    CHECK((at = strstr(answer, "\"upload\":\"")) != NULL);
    char id[33];
    snprintf(id, sizeof id, "%s", at + strlen("\"upload\":\""));
    static const char *const offsets[] = {"", "?offset=", "?offset=-1", "?offset=1e3",
                                          "?offset=99999999999999999999999"};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; ++i) {
        snprintf(line, sizeof line, "PUT /v1/uploads/%s%s", id, offsets[i]);
        CHECK_EQ(ask_json(&b, "dev-1", line, "abc", answer), 400);
    }
    snprintf(line, sizeof line, "PUT /v1/uploads/%s?offset=0", id);
    CHECK_EQ(ask_json(&b, "dev-2", line, "abc", answer), 403);
    snprintf(line, sizeof line, "GET /v1/uploads/%s", id);
    CHECK_EQ(ask_json(&b, "dev-2", line, "", answer), 403);
    CHECK_EQ(ask_json(&b, "dev-1", line, "", answer), 200);
    snprintf(line, sizeof line, "DELETE /v1/uploads/%s", id);
    CHECK_EQ(ask_json(&b, "dev-2", line, "", answer), 403);
    snprintf(line, sizeof line, "PUT /v1/uploads/%s?offset=0", id);
    CHECK_EQ(ask_json(&b, "dev-1", line, "abcd", answer), 400);
    CHECK_EQ(ask_json(&b, "dev-1", line, "ab", answer), 200);
    CHECK_EQ(ask_json(&b, "dev-1", line, "ab", answer), 409);
    CHECK(strstr(answer, "\"offset\":2") != NULL);
    snprintf(line, sizeof line, "PUT /v1/uploads/%s?offset=2", id);
    CHECK_EQ(ask_json(&b, "dev-1", line, "c", answer), 200);
    snprintf(line, sizeof line, "POST /v1/uploads/%s/finish", id);
    CHECK_EQ(ask_json(&b, "dev-2", line, "", answer), 403);
    CHECK_EQ(ask_json(&b, "dev-1", line, "", answer), 200);
    CHECK(strstr(answer, "\"state\":\"stored\"") != NULL);
    CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/uploads", good, answer), 200);
    CHECK_EQ(ask_json(&b, "dev-1", "GET /v1/uploads/../files", "", answer), 404);
    CHECK_EQ(ask_json(&b, "dev-1", "PATCH /v1/uploads", "", answer), 404);
    CHECK_EQ(ask_json(&b, "dev-1", "GET /api/v1/files", "", answer), 404);
    static const char huge[] =
        "PUT /v1/uploads/00000000000000000000000000000000?offset=0 HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: 999999999\r\nConnection: close\r\n\r\n";
    CHECK_EQ(ask(&b, "dev-1", huge, sizeof huge - 1, answer, sizeof answer), 413);
    close_bench(&b);
}

TEST(collect_tells_a_device_with_retry_after_to_come_back) {
    bench_t b;
    char answer[4096];
    open_bench(&b, 4, 4);
    CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/uploads",
                      "{\"kind\":\"log\",\"name\":\"x\",\"size\":3,\"sm3\":\"" DIGEST "\"}", answer),
             201);
    CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/uploads",
                      "{\"kind\":\"log\",\"name\":\"y\",\"size\":2,\"sm3\":\"" DIGEST "\"}", answer),
             507);
    CHECK(strstr(answer, "Retry-After: 60") != NULL);
    CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/uploads",
                      "{\"kind\":\"log\",\"name\":\"z\",\"size\":5,\"sm3\":\"" DIGEST "\"}", answer),
             413);
    close_bench(&b);
}

static int64_t records(bench_t *b) {
    int64_t n = -1;
    CHECK_OK(
        rdg_sql_query(b->collect->records, "SELECT COUNT(*) FROM records", NULL, 0, collect_int_row, &n));
    return n;
}

TEST(collect_gives_up_old_records_for_new_ones_but_none_that_somebody_waits_for) {
    bench_t b;
    char text[300], answer[4096], filler[101];
    memset(filler, 'y', 100);
    filler[100] = '\0';
    memset(&b, 0, sizeof b);
    CHECK_OK(platform_store_open(&b.store, rdg_test_dir()));
    b.db = b.store.db;
    collect_options_t o = {
        .db = b.db, .data_dir = rdg_test_dir(), .records_bytes = 8 * 102 * 10}; /* 10 a device */
    CHECK_OK(collect_open(&o, &b.collect));
    b.collect->records_needed = 8;
    unsigned status = 200, n = 0;
    for (; status == 200 && n < 100; ++n) {
        snprintf(text, sizeof text,
                 "{\"records\":[{\"id\":\"r%u\",\"kind\":\"k\",\"time_ms\":1,\"data\":\"%s\"}]}", n, filler);
        status = ask_json(&b, "dev-1", "POST /v1/records", text, answer);
    }
    CHECK_EQ(status, 507);
    CHECK_EQ(n, 18); /* eleven found room, the first seven went for seven others, one too many */
    CHECK_EQ(ask_json(&b, "dev-2", "POST /v1/records", text, answer), 200); /* others are not held back */
    b.collect->records_needed = INT64_MAX;
    CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/records", text, answer), 200);
    close_bench(&b);
}

TEST(collect_keeps_each_urgent_record_once_and_refuses_what_is_none) {
    static const char three[] =
        "{\"records\":[{\"id\":\"r1\",\"kind\":\"alarm\",\"time_ms\":5,\"data\":{\"t\":91}},"
        "{\"id\":\"../x\",\"kind\":\"alarm\",\"time_ms\":5,\"data\":1},"
        "{\"id\":\"r2\",\"kind\":\"alarm\",\"time_ms\":6,\"data\":null}]}";
    static const char *const bad[] = {"", "[]", "{}", "{\"records\":{}}", "{\"records\":"};
    bench_t b;
    char answer[4096];
    open_bench(&b, 0, 0);
    CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/records", three, answer), 200);
    CHECK(strstr(answer, "\"accepted\":2,\"known\":0,\"refused\":[{\"index\":1,") != NULL);
    CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/records", three, answer), 200);
    CHECK(strstr(answer, "\"accepted\":0,\"known\":2,") != NULL);
    CHECK_EQ(ask_json(&b, "dev-2", "POST /v1/records", three, answer), 200); /* ids are a device's own */
    CHECK_EQ(records(&b), 4);
    /* Another record under an id that was used is not swallowed: the device is told. */
    CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/records",
                      "{\"records\":[{\"id\":\"r1\",\"kind\":\"alarm\",\"time_ms\":5,\"data\":{\"t\":92}}]}",
                      answer),
             200);
    CHECK(strstr(answer, "\"accepted\":0,\"known\":0,\"refused\":[{\"index\":0,\"code\":\"CONFLICT\"") !=
          NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/records", bad[i], answer), 400);
    CHECK_EQ(records(&b), 4);
    close_bench(&b);
}

#define TWO                                                                                                  \
    "{\"records\":[{\"id\":\"a\",\"kind\":\"k\",\"time_ms\":1,\"data\":1},"                                  \
    "{\"id\":\"b\",\"kind\":\"k\",\"time_ms\":1,\"data\":22}]}"

/* The cloud is killed at this step of taking two records. */
static void kill_while_taking(int step) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        bench_t b;
        char answer[4096];
        open_bench(&b, 0, 0);
        crash_at = step;
        steps_seen = 0;
        collect_step = crash;
        (void)ask_json(&b, "dev-1", "POST /v1/records", TWO, answer);
        _exit(0);
    }
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(collect_is_killed_while_it_takes_records_and_has_each_of_them_once) {
    static const int64_t kept[] = {0, 2}; /* written, and not committed; committed, and not answered */
    for (int step = 1; step <= 2; ++step) {
        bench_t b;
        char answer[4096], path[300];
        int64_t counted = -1;
        kill_while_taking(step);
        open_bench(&b, 0, 0);
        CHECK_EQ(records(&b), kept[step - 1]);
        CHECK_EQ(ask_json(&b, "dev-1", "POST /v1/records", TWO, answer), 200); /* as the device does */
        CHECK(strstr(answer, step == 1 ? "\"accepted\":2,\"known\":0" : "\"accepted\":0,\"known\":2") !=
              NULL);
        CHECK_EQ(records(&b), 2);
        CHECK_OK(rdg_sql_query(b.collect->records,
                               "SELECT count * 1000 + bytes FROM record_totals WHERE device = ''", NULL, 0,
                               collect_int_row, &counted));
        CHECK_EQ(counted, 2003); /* budgets count what is there */
        close_bench(&b);
        for (int i = 0; i < 3; ++i) {
            static const char *const ends[] = {"", "-wal", "-shm"};
            snprintf(path, sizeof path, "%s/records.db%s", rdg_test_dir(), ends[i]);
            (void)unlink(path);
        }
    }
}
