#include "fake_node.h"
#include "intake.h"
#include "intake_queue.h"
#include "metering.h"
#include "reading.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/codec/abi.h"
#include "ridge/crypto/hash.h"
#include "ridge/test.h"
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- reading values -------------------------------------------------------------------------------- */

static int64_t value_of(const char *text) {
    int64_t v = 0;
    CHECK_OK(reading_value_parse(text, &v));
    return v;
}

TEST(a_decimal_becomes_micro_units_exactly) {
    CHECK_EQ(value_of("30.531"), 30531000);
    CHECK_EQ(value_of("-0.000001"), -1);
    CHECK_EQ(value_of("0"), 0);
    CHECK_EQ(value_of("-0.0"), 0);
    CHECK_EQ(value_of("100"), 100000000);
    CHECK_EQ(value_of("1.50000000000"), 1500000);
    CHECK_EQ(value_of("1e3"), 1000000000);
    CHECK_EQ(value_of("12.5E-1"), 1250000);
    CHECK_EQ(value_of("9223372036854.775807"), INT64_MAX);
    CHECK_EQ(value_of("100.05"), 100050000);
}

TEST(what_is_no_decimal_of_six_places_is_refused) {
    static const char *const bad[] = {
        "",    "-",   ".",  "1.2.3", "0.0000001", "9223372036854.775808", "1e400", "1e",
        "0x1", "NaN", "1 ", " 1",    "1e-7",      "99999999999999999999", "+-1",   "1,5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        int64_t v;
        CHECK_ERR(reading_value_parse(bad[i], &v), RDG_E_INVALID);
    }
}

typedef struct parsed {
    reading_t readings[READINGS_MAX];
    size_t index_of[READINGS_MAX], count, fault_count;
    reading_fault_t faults[READINGS_MAX];
} parsed_t;

static rdg_err_t parse(const char *text, parsed_t *p) {
    return readings_parse(rdg_bytes_str(text), "d1", p->readings, p->index_of, &p->count, p->faults,
                          &p->fault_count);
}

TEST(good_readings_are_taken_and_bad_ones_named_by_their_place) {
    parsed_t *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    CHECK_OK(
        parse("[{\"meter\":\"oil\",\"time\":1,\"value\":\"0.1\"},{\"meter\":\"oil\",\"time\":0,\"value\":1},"
              "{\"meter\":\"x/oil\",\"time\":2,\"value\":30.531},{\"meter\":\"\",\"time\":1,\"value\":1},7,"
              "{\"meter\":\"a-name-that-is-much-too-long-for-it\",\"time\":1,\"value\":1},"
              "{\"meter\":\"oil\",\"time\":1,\"value\":0.12345678}]",
              p));
    CHECK_EQ(p->count, 2);
    CHECK_STR((const char *)p->readings[0].meter, "d1/oil");
    CHECK_STR((const char *)p->readings[1].meter, "x/oil");
    CHECK_EQ(p->readings[1].value, 30531000);
    CHECK_EQ(p->index_of[1], 2);
    CHECK_EQ(p->fault_count, 5);
    CHECK_EQ(p->faults[0].index, 1);
    CHECK_EQ(p->faults[4].index, 6);
    CHECK_ERR(parse("[{]", p), RDG_E_MALFORMED);
    CHECK_ERR(parse("", p), RDG_E_MALFORMED);
    free(p);
}

TEST(more_than_a_thousand_readings_are_refused_whole) {
    parsed_t *p = calloc(1, sizeof *p);
    rdg_buf_t b;
    rdg_buf_init(&b, 1u << 20);
    rdg_buf_str(&b, "[1");
    for (int i = 0; i < READINGS_MAX; ++i) rdg_buf_str(&b, ",1");
    rdg_buf_str(&b, "]");
    CHECK_ERR(parse(rdg_buf_cstr(&b), p), RDG_E_TOO_LARGE);
    rdg_buf_fini(&b);
    free(p);
}

/* --- calls ------------------------------------------------------------------------------------------ */

TEST(calls_are_encoded_as_the_abi_says) {
    static const char abi_text[] =
        "[{\"type\":\"function\",\"name\":\"submit\",\"inputs\":[{\"name\":\"meter\",\"type\":\"bytes32\"},"
        "{\"name\":\"times\",\"type\":\"uint64[]\"},{\"name\":\"values\",\"type\":\"int64[]\"}],\"outputs\":["
        "]},"
        "{\"type\":\"function\",\"name\":\"registerMeter\",\"inputs\":[{\"name\":\"m\",\"type\":\"bytes32\"},"
        "{\"name\":\"l\",\"type\":\"int64\"},{\"name\":\"h\",\"type\":\"int64\"}],\"outputs\":[]}]";
    uint8_t meter[METER_BYTES] = "d1/oil";
    uint64_t times[] = {5, 1467331200};
    int64_t values[] = {-7, 30531000};
    json_t *abi = NULL, *args;
    const json_t *entry;
    rdg_buf_t ours, theirs;
    rdg_buf_init(&ours, METERING_CALL_MAX);
    rdg_buf_init(&theirs, METERING_CALL_MAX);
    CHECK_OK(rdg_json_parse(rdg_bytes_str(abi_text), &abi));
    CHECK_OK(rdg_abi_find(abi, "function", "submit", 3, &entry));
    args = json_pack("[o, [i, i], [i, i]]", rdg_json_hex(meter, 32), 5, 1467331200, -7, 30531000);
    CHECK_OK(rdg_abi_encode_call(entry, args, rdg_keccak256, &theirs));
    CHECK_OK(metering_submit(meter, times, values, 2, &ours));
    CHECK(rdg_bytes_equal(rdg_buf_view(&ours), rdg_buf_view(&theirs)));
    json_decref(args);
    rdg_buf_clear(&ours);
    rdg_buf_clear(&theirs);
    CHECK_OK(rdg_abi_find(abi, "function", "registerMeter", 3, &entry));
    args = json_pack("[o, s, s]", rdg_json_hex(meter, 32), "-9223372036854775808", "9223372036854775807");
    CHECK_OK(rdg_abi_encode_call(entry, args, rdg_keccak256, &theirs));
    CHECK_OK(metering_register(meter, &ours));
    CHECK(rdg_bytes_equal(rdg_buf_view(&ours), rdg_buf_view(&theirs)));
    json_decref(args);
    json_decref(abi);
    rdg_buf_fini(&ours);
    rdg_buf_fini(&theirs);
}

/* --- the queue -------------------------------------------------------------------------------------- */

static void make(reading_t *r, const char *meter, uint64_t time, int64_t value) {
    memset(r, 0, sizeof *r);
    snprintf((char *)r->meter, METER_BYTES, "%s", meter);
    r->time = time;
    r->value = value;
}

static void put(intake_queue_t *q, uint64_t from, size_t count) {
    reading_t r[READINGS_MAX];
    uint64_t end = 0;
    for (size_t i = 0; i < count; ++i) make(&r[i], "d1/a", from + i, (int64_t)(from + i));
    CHECK_OK(queue_write(q, r, count, &end));
    CHECK_OK(queue_commit(q, end));
}

static uint64_t drain(intake_queue_t *q) {
    static reading_t r[READINGS_MAX];
    size_t count;
    uint64_t first, sum = 0;
    do {
        CHECK_OK(queue_next(q, r, READINGS_MAX, &count, &first));
        for (size_t i = 0; i < count; ++i) {
            CHECK_EQ(r[i].time, (uint64_t)r[i].value);
            sum += r[i].time;
        }
    } while (count > 0);
    return sum;
}

TEST(the_queue_gives_back_in_order_what_it_took_also_after_a_restart) {
    char dir[PATH_MAX];
    intake_queue_t *q;
    snprintf(dir, sizeof dir, "%s/q", rdg_test_dir());
    CHECK_OK(queue_open(dir, 8u << 20, NULL, NULL, &q));
    put(q, 1, 100);
    put(q, 101, 50);
    CHECK_EQ(drain(q), 150 * 151 / 2);
    queue_close(q);
    CHECK_OK(queue_open(dir, 8u << 20, NULL, NULL, &q));
    CHECK_EQ(queue_end(q), 151);
    CHECK_EQ(drain(q), 150 * 151 / 2);
    put(q, 151, 1);
    CHECK_EQ(drain(q), 151);
    queue_close(q);
}

TEST(the_queue_keeps_its_byte_budget_and_has_room_again_after_release) {
    char dir[PATH_MAX];
    intake_queue_t *q;
    reading_t r[READINGS_MAX];
    uint64_t end = 0, taken = 0;
    rdg_err_t err = RDG_OK;
    snprintf(dir, sizeof dir, "%s/q", rdg_test_dir());
    CHECK_OK(queue_open(dir, 200000, NULL, NULL, &q));
    while (err == RDG_OK) {
        for (size_t i = 0; i < READINGS_MAX; ++i)
            make(&r[i], "d1/a", taken + i + 1, (int64_t)(taken + i + 1));
        err = queue_write(q, r, READINGS_MAX, &end);
        taken += err == RDG_OK ? READINGS_MAX : 0;
    }
    CHECK_ERR(err, RDG_E_FULL);
    CHECK(queue_bytes(q) <= 200000);
    CHECK(taken > 3000);
    CHECK_EQ(queue_end(q), taken + 1);
    CHECK_OK(queue_commit(q, end));
    CHECK_EQ(drain(q), taken * (taken + 1) / 2);
    CHECK_OK(queue_release(q, taken + 1));
    CHECK_EQ(queue_bytes(q), 0);
    put(q, taken + 1, 10);
    queue_close(q);
    CHECK_OK(queue_open(dir, 200000, NULL, NULL, &q));
    CHECK_EQ(queue_first(q), taken + 1);
    CHECK_EQ(queue_end(q), taken + 11);
    queue_close(q);
}

TEST(the_smallest_queue_has_room_again_whenever_it_is_drained) {
    char dir[PATH_MAX];
    intake_queue_t *q;
    reading_t r[100];
    uint64_t end = 0;
    snprintf(dir, sizeof dir, "%s/q", rdg_test_dir());
    CHECK_OK(queue_open(dir, 65536, NULL, NULL, &q));
    for (unsigned round = 0; round < 5; ++round) {
        rdg_err_t err = RDG_OK;
        uint64_t before = queue_end(q);
        while (err == RDG_OK) {
            for (size_t i = 0; i < 100; ++i)
                make(&r[i], "d1/a", queue_end(q) + i, (int64_t)(queue_end(q) + i));
            err = queue_write(q, r, 100, &end);
        }
        CHECK_ERR(err, RDG_E_FULL);
        CHECK(queue_end(q) - before >= 1000);
        CHECK_OK(queue_commit(q, end));
        (void)drain(q);
        CHECK_OK(queue_release(q, queue_end(q)));
    }
    queue_close(q);
}

/* A power cut at any byte of the last write loses that write and nothing before it. */
TEST(a_torn_write_of_the_queue_costs_only_itself) {
    char dir[PATH_MAX], path[PATH_MAX + 64];
    intake_queue_t *q;
    snprintf(dir, sizeof dir, "%s/q", rdg_test_dir());
    CHECK_OK(queue_open(dir, 8u << 20, NULL, NULL, &q));
    put(q, 1, 5);
    uint64_t before = queue_bytes(q);
    put(q, 6, 3);
    uint64_t after = queue_bytes(q);
    queue_close(q);
    snprintf(path, sizeof path, "%s/seg-%016x.log", dir, 1);
    for (uint64_t at = after - 1; at >= before; --at) {
        CHECK_EQ(truncate(path, (off_t)at), 0);
        CHECK_OK(queue_open(dir, 8u << 20, NULL, NULL, &q));
        CHECK_EQ(queue_end(q), 6);
        CHECK_EQ(drain(q), 15);
        queue_close(q);
        struct stat st;
        CHECK_EQ(stat(path, &st), 0);
        CHECK_EQ(st.st_size, before);
    }
}

/* --- the whole ------------------------------------------------------------------------------------- */

static fake_node_t *node;
static bool node_away;

static rdg_err_t node_url(void *ctx, const char *chain, char out[64]) {
    (void)ctx;
    CHECK_STR(chain, "c1");
    if (node_away) return rdg_fail(RDG_E_NOT_FOUND, "chain c1 is not on this device");
    snprintf(out, 64, "%s", fake_node_url(node));
    return RDG_OK;
}

static intake_t *begin(uint64_t queue_bytes_max) {
    static const rdg_address_t contract = {{1, 2, 3}};
    intake_t *i = NULL;
    intake_options_t o = {.dir = rdg_test_dir(), .queue_bytes = queue_bytes_max, .node_url = node_url};
    if (!node) node = fake_node_start(0);
    CHECK(node != NULL);
    CHECK_OK(intake_start(&o, &i));
    CHECK_OK(intake_bind(i, "c1", &contract));
    return i;
}

static void take(intake_t *i, const char *meter, uint64_t from, size_t count) {
    static reading_t r[READINGS_MAX];
    static rdg_err_t refused[READINGS_MAX];
    for (size_t k = 0; k < count; ++k) make(&r[k], meter, from + k, (int64_t)(from + k));
    CHECK_OK(intake_take(i, r, count, refused));
    for (size_t k = 0; k < count; ++k) CHECK_EQ(refused[k], RDG_OK);
}

#define AWAIT(cond)                                                                                          \
    for (uint64_t end_ = rdg_mono_ms(rdg_clock_system()) + 60000; !(cond); usleep(2000))                     \
        if (rdg_mono_ms(rdg_clock_system()) > end_) rdg_test_fail(__FILE__, __LINE__, "still not: %s", #cond)

static intake_stats_t stats(intake_t *i) {
    intake_stats_t s;
    intake_stats(i, &s);
    return s;
}

TEST(readings_reach_the_contract_once_each) {
    intake_t *i = begin(8u << 20);
    for (uint64_t k = 0; k < 5; ++k) {
        take(i, "d1/a", 1 + 100 * k, 100);
        take(i, "d1/b", 1 + 100 * k, 100);
    }
    AWAIT(stats(i).confirmed == 1000);
    AWAIT(stats(i).queued == 0);
    CHECK_EQ(fake_node_count(node), 1000);
    CHECK_EQ(fake_node_sum(node), 2 * 500 * 501 / 2);
    CHECK_EQ(fake_node_reverts(node), 0);
    CHECK(stats(i).p50_ms > 0);
    intake_stop(i);
    fake_node_stop(node);
}

TEST(a_reading_that_is_not_newer_is_refused_at_once) {
    intake_t *i = begin(8u << 20);
    reading_t r[3];
    rdg_err_t refused[3];
    make(&r[0], "d1/a", 10, 1);
    make(&r[1], "d1/a", 10, 1);
    make(&r[2], "d1/a", 11, 1);
    CHECK_OK(intake_take(i, r, 3, refused));
    CHECK_EQ(refused[0], RDG_OK);
    CHECK_EQ(refused[1], RDG_E_STALE);
    CHECK_EQ(refused[2], RDG_OK);
    AWAIT(stats(i).confirmed == 2);
    intake_stop(i);
    fake_node_stop(node);
}

TEST(a_stored_transaction_is_sent_again_after_a_restart_and_counts_once) {
    intake_t *i = begin(8u << 20);
    take(i, "d1/a", 1, 1);
    AWAIT(stats(i).confirmed == 1);
    fake_node_hold(node, true);
    take(i, "d1/a", 2, 30);
    uint64_t sends = fake_node_sends(node);
    AWAIT(fake_node_sends(node) > sends);
    intake_stop(i);
    fake_node_forget(node);
    i = begin(8u << 20);
    fake_node_hold(node, false);
    AWAIT(stats(i).confirmed == 31);
    CHECK_EQ(fake_node_count(node), 31);
    CHECK_EQ(fake_node_distinct(node), 3);
    intake_stop(i);
    i = begin(8u << 20);
    CHECK_EQ(stats(i).confirmed, 31);
    AWAIT(stats(i).queued == 0);
    CHECK_EQ(fake_node_count(node), 31);
    CHECK_EQ(fake_node_reverts(node), 0);
    intake_stop(i);
    fake_node_stop(node);
}

static void cut_the_queue(void) {
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/intake/queue/seg-%016x.log", rdg_test_dir(), 1);
    CHECK_EQ(truncate(path, 0), 0);
}

/* The contract has them; a bad block of the disk, or somebody's hand, has taken them from the queue. */
TEST(readings_that_the_queue_has_lost_take_no_new_ones_with_them) {
    intake_t *i = begin(8u << 20);
    take(i, "d1/a", 1, 50);
    AWAIT(stats(i).confirmed == 50);
    AWAIT(stats(i).queued == 0);
    intake_stop(i);
    cut_the_queue();
    i = begin(8u << 20);
    take(i, "d1/a", 51, 20);
    AWAIT(stats(i).confirmed == 70);
    intake_stop(i);
    i = begin(8u << 20); /* nor after another start */
    take(i, "d1/a", 71, 20);
    AWAIT(stats(i).confirmed == 90);
    AWAIT(stats(i).queued == 0);
    CHECK_EQ(fake_node_count(node), 90);
    CHECK_EQ(fake_node_sum(node), 90 * 91 / 2);
    intake_stop(i);
    fake_node_stop(node);
}

TEST(a_transaction_past_its_last_height_is_signed_anew) {
    intake_t *i = begin(8u << 20);
    take(i, "d1/a", 1, 1);
    AWAIT(stats(i).confirmed == 1);
    fake_node_hold(node, true);
    take(i, "d1/a", 2, 1);
    uint64_t sends = fake_node_sends(node);
    AWAIT(fake_node_sends(node) > sends);
    fake_node_forget(node);
    fake_node_jump(node, 5000);
    fake_node_hold(node, false);
    AWAIT(stats(i).confirmed == 2);
    CHECK_EQ(fake_node_count(node), 2);
    intake_stop(i);
    fake_node_stop(node);
}

/* The contract refuses whole batches: one bad reading among many must not take the others with it. */
TEST(the_one_reading_that_the_contract_refuses_is_found_and_put_aside) {
    intake_t *i = begin(8u << 20);
    take(i, "d1/a", 100, 1);
    AWAIT(stats(i).confirmed == 1);
    intake_stop(i);
    /* Another queue, as after a replaced disk: the device no longer knows what it has sent. */
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/intake", rdg_test_dir());
    CHECK_OK(rdg_tree_remove(path, NULL));
    i = begin(8u << 20);
    take(i, "d1/a", 98, 30);
    AWAIT(stats(i).queued == 0);
    CHECK_EQ(stats(i).confirmed, 27);
    CHECK_EQ(stats(i).refused, 3);
    CHECK_EQ(fake_node_count(node), 28);
    snprintf(path, sizeof path, "%s/intake/refused.log", rdg_test_dir());
    rdg_buf_t log;
    rdg_buf_init(&log, 1u << 16);
    CHECK_OK(rdg_file_read(path, &log));
    CHECK(strstr(rdg_buf_cstr(&log), "NotNewer") && strstr(rdg_buf_cstr(&log), "d1/a"));
    rdg_buf_fini(&log);
    intake_stop(i);
    fake_node_stop(node);
}

TEST(readings_wait_while_the_node_is_away_or_its_pool_is_full) {
    node_away = true;
    intake_t *i = begin(8u << 20);
    take(i, "d1/a", 1, 500);
    CHECK_EQ(stats(i).confirmed, 0);
    fake_node_full(node, true);
    node_away = false;
    uint64_t sends = fake_node_sends(node);
    AWAIT(fake_node_sends(node) > sends);
    CHECK_EQ(stats(i).confirmed, 0);
    fake_node_full(node, false);
    AWAIT(stats(i).confirmed == 500);
    CHECK_EQ(fake_node_reverts(node), 0);
    intake_stop(i);
    fake_node_stop(node);
}

TEST(a_full_queue_takes_nothing_of_a_call_and_recovers) {
    node_away = true;
    intake_t *i = begin(100000);
    reading_t r[READINGS_MAX];
    rdg_err_t refused[READINGS_MAX], err = RDG_OK;
    uint64_t taken = 0;
    while (err == RDG_OK) {
        for (size_t k = 0; k < READINGS_MAX; ++k) make(&r[k], "d1/a", taken + k + 1, 1);
        err = intake_take(i, r, READINGS_MAX, refused);
        taken += err == RDG_OK ? READINGS_MAX : 0;
    }
    CHECK_ERR(err, RDG_E_FULL);
    CHECK_EQ(stats(i).queued, taken);
    node_away = false;
    AWAIT(stats(i).queued == 0);
    CHECK_EQ(fake_node_count(node), taken);
    /* The refused call left no trace: its first reading is still news. */
    take(i, "d1/a", taken + 1, 1);
    AWAIT(stats(i).confirmed == taken + 1);
    intake_stop(i);
    fake_node_stop(node);
}

TEST(more_readings_than_the_window_holds_all_arrive) {
    intake_t *i = begin(32u << 20);
    char meter[32];
    for (uint64_t k = 0; k < 20; ++k)
        for (uint64_t m = 0; m < 40; ++m) {
            snprintf(meter, sizeof meter, "d1/m%llu", (unsigned long long)m);
            take(i, meter, 1 + k * 25, 25);
        }
    AWAIT(stats(i).confirmed == 20000);
    CHECK_EQ(fake_node_count(node), 20000);
    CHECK_EQ(fake_node_reverts(node), 0);
    intake_stop(i);
    fake_node_stop(node);
}
