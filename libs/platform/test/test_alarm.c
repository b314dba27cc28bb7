#include "kit.h"
#include "alarm.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"

#define START 1700000000000ull

/* Alarms by themselves: records are handed in, and the test turns the clock. */
typedef struct bench {
    rdg_sql_t *db;
    alarms_t *a;
    rdg_clock_manual_t clock;
    rdg_telemetry_t *t;
} bench_t;

static void reopen(bench_t *b) {
    char url[4200];
    snprintf(url, sizeof url, "sqlite:%s/alarms.db", rdg_test_dir());
    CHECK_OK(rdg_sql_open(url, &b->db));
    CHECK_OK(alarms_open(b->db, &b->clock.clock, NULL, &b->a));
}

static void open_bench(bench_t *b) {
    memset(b, 0, sizeof *b);
    rdg_clock_manual_init(&b->clock, START);
    b->t = rdg_calloc(1, sizeof *b->t);
    rdg_telemetry_init(b->t);
    reopen(b);
}

static void shut(bench_t *b) {
    alarms_close(b->a);
    rdg_sql_close(b->db);
}

static void close_bench(bench_t *b) {
    shut(b);
    rdg_free(b->t);
}

static void tell(bench_t *b, uint64_t after_ms, bool live) {
    rdg_clock_manual_advance(&b->clock, after_ms);
    uint64_t now = rdg_wall_ms(&b->clock.clock);
    const monitor_arrival_t r = {
        .device = "dev-1", .telemetry = b->t, .live = live, .number = 1, .received_ms = now, .sent_ms = now};
    alarms_take(b->a, &r);
}

static void disk(bench_t *b, uint64_t percent) {
    b->t->host[RDG_HOST_DISK_TOTAL_KIB] = 1000;
    b->t->host[RDG_HOST_DISK_USED_KIB] = percent * 10;
}

/* How many alarms there are in a state; the last one's field. */
static size_t listed(bench_t *b, bool all, const char *field, char out[64]) {
    json_t *list = NULL;
    CHECK_OK(alarm_store_list(b->db, &(alarm_filter_t){.all = all}, 0, 100, &list));
    size_t n = json_array_size(list);
    if (field) snprintf(out, 64, "%s", n ? kit_text(json_array_get(list, n - 1), field) : "");
    json_decref(list);
    return n;
}

static size_t open_count(bench_t *b) {
    return listed(b, false, NULL, NULL);
}

TEST(alarm_is_raised_after_its_time_and_cleared_below_its_lower_limit) {
    bench_t b;
    char text[64];
    open_bench(&b);
    disk(&b, 95);
    tell(&b, 0, true);
    tell(&b, 59000, true);
    CHECK_EQ(open_count(&b), 0); /* not for a minute yet */
    disk(&b, 80);
    tell(&b, 500, true); /* and it begins anew after a moment below */
    disk(&b, 95);
    tell(&b, 1000, true);
    tell(&b, 59999, true);
    CHECK_EQ(open_count(&b), 0);
    tell(&b, 1, true);
    CHECK_EQ(listed(&b, false, "kind", text), 1);
    CHECK_STR(text, "disk");
    tell(&b, 600000, true);
    CHECK_EQ(open_count(&b), 1); /* one, however long */
    disk(&b, 87);
    tell(&b, 600000, true);
    CHECK_EQ(open_count(&b), 1); /* between the limits nothing changes */
    disk(&b, 84);
    tell(&b, 1000, true);
    CHECK_EQ(open_count(&b), 1);
    tell(&b, 60000, true);
    CHECK_EQ(open_count(&b), 0);
    CHECK_EQ(listed(&b, true, "state", text), 1);
    CHECK_STR(text, "cleared");
    close_bench(&b);
}

TEST(alarm_outlives_a_restart_and_a_backlog_raises_none) {
    bench_t b;
    open_bench(&b);
    disk(&b, 99);
    for (int i = 0; i < 10; ++i) tell(&b, 60000, false);
    CHECK_EQ(open_count(&b), 0);
    tell(&b, 0, true);
    tell(&b, 60000, true);
    CHECK_EQ(open_count(&b), 1);
    shut(&b);
    reopen(&b);
    tell(&b, 60000, true);
    tell(&b, 60000, true);
    CHECK_EQ(listed(&b, true, NULL, NULL), 1); /* the same one, not another */
    disk(&b, 10);
    tell(&b, 0, true);
    tell(&b, 60000, true);
    CHECK_EQ(open_count(&b), 0);
    close_bench(&b);
}

TEST(alarm_of_a_chain_that_stands_still_and_of_one_that_is_damaged) {
    bench_t b;
    char text[64];
    open_bench(&b);
    rdg_telemetry_chain_t *c = &b.t->chains[0];
    b.t->chain_count = 1;
    snprintf(c->name, sizeof c->name, "c1");
    c->state = RDG_CHAIN_RUNNING;
    c->numbers[RDG_CHAIN_HEIGHT] = 7;
    c->numbers[RDG_CHAIN_POOL] = 0;
    tell(&b, 0, true);
    tell(&b, 600000, true);
    CHECK_EQ(open_count(&b), 0); /* nothing to do is no trouble */
    c->numbers[RDG_CHAIN_POOL] = 5;
    tell(&b, 1000, true);
    tell(&b, 118000, true);
    CHECK_EQ(open_count(&b), 0);
    tell(&b, 1000, true);
    CHECK_EQ(listed(&b, false, "kind", text), 1);
    CHECK_STR(text, "chain-stalled");
    c->numbers[RDG_CHAIN_HEIGHT] = 8;
    tell(&b, 1000, true);
    CHECK_EQ(open_count(&b), 0);
    snprintf(c->damaged, sizeof c->damaged, "block 3");
    tell(&b, 1000, true);
    CHECK_EQ(listed(&b, false, "kind", text), 1);
    CHECK_STR(text, "node-damaged");
    b.t->chain_count = 0; /* the chain was destroyed */
    tell(&b, 1000, true);
    CHECK_EQ(open_count(&b), 0);
    CHECK_EQ(listed(&b, true, "cleared_why", text), 2);
    CHECK_STR(text, "what it was of is gone");
    close_bench(&b);
}

TEST(alarm_of_certificate_temperature_queue_clock_and_silence) {
    bench_t b;
    open_bench(&b);
    b.t->certificate_count = 1;
    b.t->certificates[0].alarm = true;
    b.t->host[RDG_HOST_TEMPERATURE_DK] = RDG_TELEMETRY_ZERO_C_DK + 900;
    b.t->queue_count = 1;
    snprintf(b.t->queues[0].name, sizeof b.t->queues[0].name, "intake");
    b.t->queues[0].numbers[RDG_QUEUE_BYTES] = 81;
    b.t->queues[0].numbers[RDG_QUEUE_BUDGET_BYTES] = 100;
    for (int i = 0; i < 2; ++i) {
        uint64_t now = rdg_wall_ms(&b.clock.clock);
        const monitor_arrival_t r = {
            .device = "dev-1", .telemetry = b.t, .live = true, .received_ms = now, .sent_ms = now - 31000};
        alarms_take(b.a, &r);
        CHECK_EQ(open_count(&b), i ? 4 : 1); /* a certificate at once, the others after a minute */
        rdg_clock_manual_advance(&b.clock, 60000);
    }
    alarms_silence(b.a, "dev-2", 59000, true);
    CHECK_EQ(open_count(&b), 4);
    alarms_silence(b.a, "dev-2", 60000, true);
    CHECK_EQ(open_count(&b), 5);
    alarms_silence(b.a, "dev-2", 0, false); /* the cloud was restarted, and knows nothing of it yet */
    CHECK_EQ(open_count(&b), 5);
    alarms_silence(b.a, "dev-2", 0, true);
    CHECK_EQ(open_count(&b), 4);
    alarms_forget(b.a, "dev-1");
    CHECK_EQ(open_count(&b), 0);
    close_bench(&b);
}

TEST(alarm_rules_are_kept_checked_and_obeyed) {
    bench_t b;
    alarm_rule_t r = {50, 60, 0, true, false};
    open_bench(&b);
    CHECK_EQ(alarms_set_rule(b.a, ALARM_DISK, &r), RDG_E_INVALID);
    r.clear = 40;
    CHECK_OK(alarms_set_rule(b.a, ALARM_DISK, &r));
    disk(&b, 51);
    tell(&b, 0, true);
    CHECK_EQ(open_count(&b), 1);
    r.enabled = false;
    CHECK_OK(alarms_set_rule(b.a, ALARM_DISK, &r));
    tell(&b, 0, true);
    CHECK_EQ(open_count(&b), 0);
    shut(&b);
    reopen(&b);
    alarms_rule(b.a, ALARM_DISK, &r);
    CHECK(r.raise == 50 && r.clear == 40 && !r.enabled);
    close_bench(&b);
}

TEST(alarm_history_is_bounded_and_open_ones_stay) {
    bench_t b;
    open_bench(&b);
    disk(&b, 99);
    tell(&b, 0, true);
    tell(&b, 60000, true);
    alarms_silence(b.a, "dev-2", 60000, true);
    alarms_silence(b.a, "dev-2", 0, true);
    CHECK_EQ(listed(&b, true, NULL, NULL), 2);
    rdg_clock_manual_advance(&b.clock, ALARM_KEEP_MS + 1000);
    alarms_prune(b.a);
    CHECK_EQ(listed(&b, true, NULL, NULL), 1);
    CHECK_EQ(open_count(&b), 1);
    close_bench(&b);
}

TEST(alarm_is_listed_acknowledged_and_ruled_over_rest) {
    kit_t k;
    json_t *a = NULL;
    kit_open(&k);
    alarms_silence(k.platform->alarms, "dev-1", 61000, true);
    CHECK_EQ(kit_call(&k, "GET", "/alarms", NULL, &a), 200);
    const json_t *one = json_array_get(json_object_get(a, "alarms"), 0);
    CHECK_STR(kit_text(one, "kind"), "device-offline");
    CHECK_STR(kit_text(one, "state"), "raised");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/alarms/1/ack", "{\"note\":\"on my way\"}", &a), 200);
    CHECK_STR(kit_text(a, "state"), "acknowledged");
    CHECK_STR(kit_text(a, "acked_by"), "admin");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/alarms/1/ack", "{\"note\":\"another\"}", &a), 200);
    CHECK_STR(kit_text(a, "note"), "on my way"); /* the first word stands */
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/alarms/99/ack", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "POST", "/alarms/x/ack", NULL, NULL), 400);
    CHECK_EQ(kit_call(&k, "GET", "/alarms?state=some", NULL, NULL), 400);
    CHECK_EQ(kit_call(&k, "PUT", "/alarm-rules/disk", "{\"raise\":70,\"clear\":60,\"for_ms\":0}", &a), 200);
    CHECK_EQ(json_integer_value(json_object_get(a, "raise")), 70);
    json_decref(a);
    static const char *const bad[] = {"{\"raise\":10,\"clear\":11}", "{\"severity\":\"some\"}",
                                      "{\"for_ms\":90000000}", "{\"raise\":-1}", "{\"enabled\":1}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_EQ(kit_call(&k, "PUT", "/alarm-rules/disk", bad[i], NULL), 400);
    CHECK_EQ(kit_call(&k, "PUT", "/alarm-rules/nothing", "{}", NULL), 404);
    static const char *const paths[][2] = {
        {"GET", "/alarms"}, {"POST", "/alarms/1/ack"}, {"GET", "/alarm-rules"}, {"PUT", "/alarm-rules/disk"}};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; ++i)
        CHECK_EQ(kit_call_public(&k, paths[i][0], paths[i][1], NULL, NULL), 401);
    kit_close(&k);
}
