#include "kit.h"
#include "monitor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

#define HOUR 3600000ull
#define START 1700000000000ull /* not at the start of an hour */

/* The monitor by itself, with a clock that the test turns. */
typedef struct bench {
    monitor_t *m;
    rdg_clock_t clock;
    uint64_t now_ms;
    pthread_mutex_t lock;
    pthread_cond_t news;
    unsigned answers, named, arrived, lives, refused;
    uint64_t hold_ms, hold_max_ms, seq;
} bench_t;

static uint64_t turned(void *ctx) {
    return __atomic_load_n(&((bench_t *)ctx)->now_ms, __ATOMIC_SEQ_CST);
}

static void answered(void *ctx, const char *device, rdg_bytes_t bytes) {
    bench_t *b = ctx;
    rdg_telemetry_ack_t ack;
    (void)device;
    CHECK_OK(rdg_telemetry_ack_decode(bytes, &ack));
    pthread_mutex_lock(&b->lock);
    ++b->answers;
    b->named += (unsigned)ack.count;
    b->hold_ms = ack.hold_ms;
    if (ack.hold_ms > b->hold_max_ms) b->hold_max_ms = ack.hold_ms;
    pthread_cond_broadcast(&b->news);
    pthread_mutex_unlock(&b->lock);
}

static void arrived(void *ctx, const monitor_arrival_t *a) {
    bench_t *b = ctx;
    pthread_mutex_lock(&b->lock);
    ++b->arrived;
    b->lives += a->live;
    pthread_cond_broadcast(&b->news);
    pthread_mutex_unlock(&b->lock);
}

static void refused(void *ctx, const char *device, rdg_err_t why) {
    bench_t *b = ctx;
    (void)device;
    CHECK(why != RDG_OK);
    pthread_mutex_lock(&b->lock);
    ++b->refused;
    pthread_cond_broadcast(&b->news);
    pthread_mutex_unlock(&b->lock);
}

static void reopen(bench_t *b) {
    const monitor_options_t o = {.data_dir = rdg_test_dir(),
                                 .clock = &b->clock,
                                 .answer = answered,
                                 .arrived = arrived,
                                 .refused = refused,
                                 .ctx = b};
    CHECK_OK(monitor_open(&o, &b->m));
}

static void open_bench(bench_t *b) {
    memset(b, 0, sizeof *b);
    b->clock = (rdg_clock_t){turned, turned, turned, b};
    b->now_ms = START;
    b->seq = 1;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->news, NULL);
    reopen(b);
}

#define AWAIT(b, cond)                                                                                       \
    do {                                                                                                     \
        pthread_mutex_lock(&(b)->lock);                                                                      \
        struct timespec t_;                                                                                  \
        clock_gettime(CLOCK_REALTIME, &t_);                                                                  \
        t_.tv_sec += 60;                                                                                     \
        while (!(cond) && pthread_cond_timedwait(&(b)->news, &(b)->lock, &t_) == 0) {                        \
        }                                                                                                    \
        bool ok_ = (cond);                                                                                   \
        pthread_mutex_unlock(&(b)->lock);                                                                    \
        CHECK(ok_);                                                                                          \
    } while (0)

static void fill(rdg_telemetry_t *t, uint64_t seq, uint64_t time_ms) {
    rdg_telemetry_init(t);
    t->seq = seq;
    t->time_ms = time_ms;
    t->interval_ms = 5000;
    snprintf(t->agent_version, sizeof t->agent_version, "0.1.0");
    t->host[RDG_HOST_CPU_PERMILLE] = seq % 100;
    t->host[RDG_HOST_AGENT_RSS_KIB] = 8000;
    t->chain_count = 1;
    snprintf(t->chains[0].name, sizeof t->chains[0].name, "c1");
    t->chains[0].state = RDG_CHAIN_RUNNING;
    t->chains[0].numbers[RDG_CHAIN_HEIGHT] = seq;
}

/* A message of `count` records, `step` apart, the last of the moment `time_ms`. */
static void message(uint64_t seq, uint64_t time_ms, size_t count, uint64_t step, bool live, rdg_buf_t *out) {
    rdg_telemetry_t *t = rdg_calloc(1, sizeof *t);
    rdg_telemetry_message_t m = {.sent_ms = time_ms, .live = live, .count = count};
    rdg_buf_t records[RDG_TELEMETRY_RECORDS_MAX];
    for (size_t i = 0; i < count; ++i) {
        fill(t, seq + i, time_ms - (count - 1 - i) * step);
        rdg_buf_init(&records[i], RDG_TELEMETRY_RECORD_MAX);
        CHECK_OK(rdg_telemetry_encode(t, &records[i]));
        m.records[i] = rdg_buf_view(&records[i]);
    }
    rdg_buf_init(out, RDG_TELEMETRY_MESSAGE_MAX);
    CHECK_OK(rdg_telemetry_message_encode(&m, out));
    for (size_t i = 0; i < count; ++i) rdg_buf_fini(&records[i]);
    rdg_free(t);
}

static void send(bench_t *b, const char *device, uint64_t time_ms, size_t count, uint64_t step, bool live) {
    rdg_buf_t bytes;
    message(b->seq, time_ms, count, step, live, &bytes);
    b->seq += count;
    CHECK_OK(monitor_take(b->m, device, rdg_buf_view(&bytes)));
    rdg_buf_fini(&bytes);
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

static int64_t count(bench_t *b, const char *sql) {
    int64_t n = -1;
    CHECK_OK(rdg_sql_query(monitor_db(b->m), sql, NULL, 0, int_row, &n));
    return n;
}

static void close_bench(bench_t *b) {
    monitor_close(b->m);
    pthread_cond_destroy(&b->news);
    pthread_mutex_destroy(&b->lock);
}

TEST(monitor_stores_each_record_once_however_often_it_comes) {
    bench_t b;
    rdg_buf_t bytes;
    open_bench(&b);
    message(7, START, 5, 1000, false, &bytes);
    for (int i = 0; i < 3; ++i) CHECK_OK(monitor_take(b.m, "dev-1", rdg_buf_view(&bytes)));
    CHECK_OK(monitor_take(b.m, "dev-2", rdg_buf_view(&bytes))); /* another device's are others */
    AWAIT(&b, b.named == 20);                                   /* each time, all are answered */
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM telemetry"), 10);
    AWAIT(&b, b.arrived == 10);
    CHECK_EQ(b.lives, 0);
    CHECK_EQ(b.answers, 4);
    rdg_buf_fini(&bytes);
    close_bench(&b);
}

/* The process ends, as by kill -9, the moment a record is acknowledged: it is there afterwards. */
TEST(monitor_has_on_disk_what_it_has_acknowledged) {
    for (int round = 0; round < 3; ++round) {
        int pipes[2];
        CHECK(pipe(pipes) == 0);
        pid_t child = fork();
        if (child == 0) {
            bench_t b;
            open_bench(&b);
            b.seq = (uint64_t)round * 1000 + 1;
            send(&b, "dev-1", START + (uint64_t)round * 100, 3, 1, true);
            AWAIT(&b, b.named == 3);
            (void)!write(pipes[1], "x", 1);
            _exit(0);
        }
        char c;
        close(pipes[1]);
        CHECK_EQ(read(pipes[0], &c, 1), 1);
        close(pipes[0]);
        CHECK(waitpid(child, NULL, 0) == child);
        bench_t b;
        open_bench(&b);
        CHECK_EQ(count(&b, "SELECT COUNT(*) FROM telemetry"), (round + 1) * 3);
        close_bench(&b);
    }
}

TEST(monitor_refuses_what_is_no_telemetry_and_goes_on) {
    static const uint8_t junk[] = {0xc0}, newer[] = {0xc3, 0x09, 0x01, 0x01}, half[] = {0xf8, 0xff, 0x01},
                         empty_record[] = {0xc4, 0x01, 0x01, 0x01, 0xc0},
                         named[] = {0xc7, 0x01, 0x01, 0x01, 0xc3, 0x05, 0x06, 0xc0};
    bench_t b;
    open_bench(&b);
    CHECK_OK(monitor_take(b.m, "dev-1", rdg_bytes(junk, sizeof junk)));
    CHECK_OK(monitor_take(b.m, "dev-1", rdg_bytes(newer, sizeof newer)));
    CHECK_OK(monitor_take(b.m, "dev-1", rdg_bytes(half, sizeof half)));
    CHECK_OK(monitor_take(b.m, "dev-1", rdg_bytes(empty_record, sizeof empty_record)));
    CHECK_OK(monitor_take(b.m, "dev-1", rdg_bytes(named, sizeof named)));
    send(&b, "dev-1", START, 1, 0, true);
    AWAIT(&b, b.named >= 2);
    CHECK_EQ(b.refused, 5);
    CHECK_EQ(b.named, 2); /* the good one, and the bad one that has a name: it would come for ever */
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM telemetry"), 1);
    uint8_t *large = rdg_calloc(1, RDG_TELEMETRY_MESSAGE_MAX + 1);
    CHECK_EQ(monitor_take(b.m, "dev-1", rdg_bytes(large, RDG_TELEMETRY_MESSAGE_MAX + 1)), RDG_E_TOO_LARGE);
    rdg_free(large);
    close_bench(&b);
}

/* A thread that writes to the database holds the monitor's up, so its queue fills. */
TEST(monitor_under_pressure_asks_devices_to_hold_and_then_takes_nothing) {
    bench_t b;
    rdg_err_t err = RDG_OK;
    unsigned taken = 0;
    rdg_buf_t bytes;
    open_bench(&b);
    CHECK_OK(rdg_sql_begin(monitor_db(b.m)));
    message(1, START, 1, 0, true, &bytes);
    while (taken < 2 * MONITOR_QUEUE_MESSAGES && err == RDG_OK) {
        err = monitor_take(b.m, "dev-1", rdg_buf_view(&bytes));
        taken += err == RDG_OK;
    }
    CHECK_EQ(err, RDG_E_BUSY);
    CHECK(taken <= MONITOR_QUEUE_MESSAGES + MONITOR_BATCH);
    rdg_sql_rollback(monitor_db(b.m));
    AWAIT(&b, b.named == taken); /* what was taken is answered */
    CHECK_EQ(b.hold_max_ms, MONITOR_HOLD_MS);
    CHECK_EQ(b.hold_ms, 0);
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM telemetry"), 1);
    rdg_buf_fini(&bytes);
    close_bench(&b);
}

TEST(monitor_rolls_up_each_record_once_also_late_ones_and_prunes) {
    bench_t b;
    open_bench(&b);
    uint64_t hour = START / HOUR * HOUR;
    for (unsigned i = 0; i < 12; ++i)
        send(&b, "dev-1", hour + 299999, 60, 5000, false); /* 5 minutes, 12 times */
    AWAIT(&b, b.named == 720);
    CHECK_OK(monitor_upkeep(b.m));
    CHECK_OK(monitor_upkeep(b.m));
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM spans WHERE level = 0"), 1);
    send(&b, "dev-1", hour + 299999, 1, 0, false); /* late, after its span was made */
    send(&b, "dev-1", hour + 300000, 1, 0, false); /* the next span of the same hour */
    AWAIT(&b, b.named == 722);
    CHECK_OK(monitor_upkeep(b.m));
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM spans WHERE level = 0"), 2);
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM spans WHERE level = 1"), 1);
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM telemetry"), 722);
    /* Two days on the raw ones go; the sums stay for weeks, then years. */
    __atomic_store_n(&b.now_ms, START + MONITOR_RAW_MS + 1000, __ATOMIC_SEQ_CST);
    CHECK_OK(monitor_upkeep(b.m));
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM telemetry"), 0);
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM spans"), 3);
    __atomic_store_n(&b.now_ms, START + MONITOR_FINE_MS + HOUR, __ATOMIC_SEQ_CST);
    CHECK_OK(monitor_upkeep(b.m));
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM spans"), 1);
    __atomic_store_n(&b.now_ms, START + MONITOR_COARSE_MS + HOUR, __ATOMIC_SEQ_CST);
    CHECK_OK(monitor_upkeep(b.m));
    CHECK_EQ(count(&b, "SELECT COUNT(*) FROM spans"), 0);
    close_bench(&b);
}

TEST(monitor_series_sum_up_and_come_back_as_they_were) {
    static series_set_t set, again;
    rdg_telemetry_t *t = rdg_calloc(1, sizeof *t);
    rdg_buf_t bytes;
    set.count = 0;
    for (unsigned i = 1; i <= 10; ++i) {
        fill(t, i, START + i);
        series_add(&set, t);
    }
    uint16_t height, cpu;
    CHECK(series_metric_find("chain_height", 12, &height) && series_metric_find("cpu_permille", 12, &cpu));
    uint16_t none;
    CHECK(!series_metric_find("chain_heigh", 11, &none) && !series_metric_find("", 0, &none));
    rdg_buf_init(&bytes, 1u << 20);
    CHECK_OK(series_encode(&set, &bytes));
    CHECK_OK(series_decode(rdg_buf_view(&bytes), &again));
    CHECK_EQ(again.count, set.count);
    bool seen = false;
    for (size_t i = 0; i < again.count; ++i) {
        const series_point_t *p = &again.of[i].point;
        if (again.of[i].key.metric != height) continue;
        seen = true;
        CHECK_STR(again.of[i].key.subject, "c1");
        CHECK(p->count == 10 && p->min == 1 && p->max == 10 && p->sum == 55 && p->last == 10);
    }
    CHECK(seen);
    bytes.data[bytes.len - 1] ^= 0xff;
    (void)series_decode(rdg_buf_view(&bytes), &again); /* whatever it says, it stays within its bounds */
    rdg_buf_fini(&bytes);
    rdg_free(t);
}

/* --- with the platform around it -------------------------------------------------------------------------------- */

static uint64_t now_ms(void) {
    return rdg_wall_ms(rdg_clock_system());
}

/* The JSON of a GET, asked until it has what is wanted: telemetry goes through broker, queue and thread. */
static json_t *ask_until(kit_t *k, const char *path, const char *list, size_t want) {
    for (int i = 0; i < 6000; ++i) {
        json_t *a = NULL;
        if (kit_call(k, "GET", path, NULL, &a) == 200 &&
            (!list || json_array_size(json_object_get(a, list)) >= want))
            return a;
        json_decref(a);
        usleep(10000);
    }
    rdg_test_fail(__FILE__, __LINE__, "no such answer came from %s", path);
    return NULL;
}

TEST(monitor_shows_a_device_as_it_is_and_as_it_was) {
    kit_t k;
    fake_t f;
    rdg_buf_t bytes;
    json_t *a;
    char path[200];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1/telemetry", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-9/telemetry", NULL, NULL), 404);
    uint64_t now = now_ms();
    message(1, now - 1000, 10, 5000, false, &bytes);
    fake_publish_bytes(&f, "telemetry", rdg_buf_view(&bytes));
    rdg_buf_fini(&bytes);
    message(11, now, 1, 0, true, &bytes);
    fake_publish_bytes(&f, "telemetry", rdg_buf_view(&bytes));
    rdg_buf_fini(&bytes);
    a = ask_until(&k, "/devices/dev-1", "chains", 1);
    CHECK_EQ(json_integer_value(json_object_get(a, "agent_rss_kib")), 8000);
    CHECK_STR(kit_text(a, "agent_version"), "0.1.0");
    CHECK_EQ(json_integer_value(json_object_get(json_array_get(json_object_get(a, "chains"), 0), "height")),
             11);
    json_decref(a);
    a = ask_until(&k, "/devices/dev-1/telemetry", NULL, 0);
    CHECK_EQ(json_integer_value(json_object_get(a, "seq")), 11);
    json_decref(a);
    snprintf(path, sizeof path,
             "/devices/dev-1/telemetry/range?metric=chain_height,cpu_permille&from=%llu&to=%llu&step=1000",
             (unsigned long long)now - 60000, (unsigned long long)now + 1);
    a = ask_until(&k, path, "series", 2);
    CHECK_STR(kit_text(a, "source"), "raw");
    CHECK_EQ(json_array_size(json_object_get(json_array_get(json_object_get(a, "series"), 0), "points")), 11);
    json_decref(a);
    a = ask_until(&k, "/telemetry", "devices", 1);
    CHECK_STR(kit_text(json_array_get(json_object_get(a, "devices"), 0), "state"), "online");
    json_decref(a);
    fake_wait_acks(&f, 11);
    static const char *const bad[] = {"metric=nothing", "from=5&to=5", "step=1&from=1&to=100000",
                                      "from=x",         "step=0",      "metric=cpu_permille&to=0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        snprintf(path, sizeof path, "/devices/dev-1/telemetry/range?%s", bad[i]);
        CHECK_EQ(kit_call(&k, "GET", path, NULL, NULL), 400);
    }
    /* What was removed is forgotten, also when it comes back under the same name. */
    CHECK_EQ(kit_call(&k, "DELETE", "/devices/dev-1?force=1", NULL, NULL), 204);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1/telemetry", NULL, NULL), 404);
    fake_fini(&f);
    kit_close(&k);
}

TEST(monitor_answers_nobody_without_a_token) {
    static const char *const paths[] = {"/telemetry", "/devices/dev-1/telemetry",
                                        "/devices/dev-1/telemetry/range", "/records"};
    kit_t k;
    kit_open(&k);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; ++i)
        CHECK_EQ(kit_call_public(&k, "GET", paths[i], NULL, NULL), 401);
    kit_close(&k);
}
