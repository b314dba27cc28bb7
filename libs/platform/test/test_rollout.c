#include "kit.h"
#include "groups.h"
#include <stdio.h>
#include <string.h>

#define DEVICES 12

typedef struct fleet {
    kit_t k;
    fake_t f[DEVICES];
} fleet_t;

/* Enrolled, and none of them connected. */
static void fleet_open(fleet_t *x, int count) {
    memset(x, 0, sizeof *x);
    kit_open(&x->k);
    for (int i = 0; i < count; ++i) {
        char token[128], name[16];
        snprintf(name, sizeof name, "dev-%02d", i + 1);
        fake_init(&x->f[i], name);
        kit_token(&x->k, token);
        CHECK_EQ(fake_enrol(&x->k, &x->f[i], token, NULL), 201);
    }
}

static void fleet_close(fleet_t *x) {
    for (int i = 0; i < DEVICES; ++i)
        if (x->f[i].key) fake_fini(&x->f[i]);
    kit_close(&x->k);
}

static int64_t count(const json_t *rollout, const char *what) {
    return json_integer_value(json_object_get(json_object_get(rollout, "counts"), what));
}

/* Waits until the rollout has this state and `what` of its devices are `n`. */
static void wait_for(kit_t *k, const char *id, const char *state, const char *what, int64_t n) {
    char path[96];
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + 60000;
    snprintf(path, sizeof path, "/rollouts/%s", id);
    for (;;) {
        json_t *a;
        CHECK_EQ(kit_call(k, "GET", path, NULL, &a), 200);
        bool there = strcmp(kit_text(a, "state"), state) == 0 && count(a, what) == n;
        if (!there && rdg_mono_ms(rdg_clock_system()) > end)
            rdg_test_fail(__FILE__, __LINE__, "rollout %s is %s with %lld %s, want %s with %lld", id,
                          kit_text(a, "state"), (long long)count(a, what), what, state, (long long)n);
        json_decref(a);
        if (there) return;
        kit_pause();
    }
}

static void post(kit_t *k, const char *path, const char *body, unsigned status) {
    json_t *a = NULL;
    unsigned got = kit_call(k, "POST", path, body, &a);
    if (got != status)
        rdg_test_fail(__FILE__, __LINE__, "%s %s: %u %s", path, body ? body : "", got,
                      kit_error(a, "message"));
    json_decref(a);
}

TEST(rollout_goes_batch_by_batch_to_the_devices_that_were_selected) {
    fleet_t x;
    json_t *a;
    fleet_open(&x, 6);
    for (int i = 0; i < 6; ++i) {
        char path[64];
        snprintf(path, sizeof path, "/devices/%s", x.f[i].name);
        CHECK_EQ(
            kit_call(&x.k, "PATCH", path,
                     i < 4 ? "{\"group\":\"north\",\"labels\":{\"model\":\"a1\"}}" : "{\"group\":\"south\"}",
                     NULL),
            200);
        x.f[i].finish = i != 0; /* the first keeps the first batch open */
        fake_connect(&x.k, &x.f[i]);
    }
    post(&x.k, "/rollouts",
         "{\"id\":\"r1\",\"type\":\"chain.stop\",\"selector\":{\"group\":\"north\",\"labels\":{\"model\":"
         "\"a1\"}},"
         "\"batch_size\":2}",
         202);
    wait_for(&x.k, "r1", "running", "done", 1);
    fake_wait_taken(&x.f[0], "r1.1.0");
    CHECK_EQ(kit_call(&x.k, "GET", "/rollouts/r1", NULL, &a), 200);
    CHECK_EQ(count(a, "waiting"), 2);
    CHECK_EQ(json_integer_value(json_object_get(a, "batches")), 1);
    CHECK_STR(kit_text(a, "ordered_by"), "admin");
    json_decref(a);
    CHECK_EQ(x.f[2].commands + x.f[3].commands, 0);
    fake_publish(&x.f[0], "result", "{\"id\":\"r1.1.0\",\"state\":\"done\"}");
    wait_for(&x.k, "r1", "done", "done", 4);
    CHECK_EQ(x.f[4].commands + x.f[5].commands, 0);
    CHECK_EQ(kit_call(&x.k, "GET", "/commands?rollout=r1", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "commands")), 4);
    json_decref(a);
    fleet_close(&x);
}

TEST(rollout_stops_at_its_share_of_errors_and_goes_on_when_told) {
    fleet_t x;
    json_t *a;
    fleet_open(&x, 4);
    for (int i = 0; i < 4; ++i) {
        x.f[i].finish = i > 1;
        fake_connect(&x.k, &x.f[i]);
    }
    post(&x.k, "/rollouts",
         "{\"id\":\"r1\",\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"batch_size\":2,\"stop_"
         "percent\":40}",
         202);
    fake_wait_taken(&x.f[0], "r1.1.0");
    fake_publish(
        &x.f[0], "result",
        "{\"id\":\"r1.1.0\",\"state\":\"failed\",\"error\":{\"code\":\"IO\",\"message\":\"no disk\"}}");
    wait_for(&x.k, "r1", "stopped", "failed", 1);
    CHECK_EQ(kit_call(&x.k, "GET", "/rollouts/r1", NULL, &a), 200);
    CHECK(strstr(kit_text(a, "reason"), "1 of 2"));
    json_decref(a);
    CHECK_EQ(kit_call(&x.k, "GET", "/rollouts/r1/devices?state=failed", NULL, &a), 200);
    CHECK_STR(kit_text(json_array_get(json_object_get(a, "devices"), 0), "message"), "no disk");
    json_decref(a);
    fake_publish(&x.f[1], "result", "{\"id\":\"r1.2.0\",\"state\":\"done\"}");
    wait_for(&x.k, "r1", "stopped", "done", 1); /* what was on its way still counts */
    CHECK_EQ(x.f[2].commands, 0);
    post(&x.k, "/rollouts/r1/resume", "{\"stop_percent\":10}", 200);
    wait_for(&x.k, "r1", "done", "done", 3);
    fleet_close(&x);
}

TEST(rollout_is_not_held_up_by_devices_that_are_away_and_they_get_theirs_later) {
    fleet_t x;
    fleet_open(&x, 4);
    for (int i = 2; i < 4; ++i) {
        x.f[i].finish = true;
        fake_connect(&x.k, &x.f[i]);
    }
    post(&x.k, "/rollouts",
         "{\"id\":\"r1\",\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"batch_size\":1}", 202);
    wait_for(&x.k, "r1", "running", "done", 2);
    x.f[0].finish = true;
    fake_connect(&x.k, &x.f[0]);
    wait_for(&x.k, "r1", "running", "done", 3);
    post(&x.k, "/rollouts/r1/cancel", NULL, 200);
    wait_for(&x.k, "r1", "cancelled", "cancelled", 1);
    x.f[1].finish = true;
    fake_connect(&x.k, &x.f[1]);
    post(&x.k, "/devices/dev-02/commands", "{\"id\":\"after\",\"type\":\"chain.stop\"}", 202);
    kit_wait_state(&x.k, "after", "done");
    CHECK_STR(x.f[1].taken, "after ");
    fleet_close(&x);
}

TEST(rollout_that_is_paused_takes_back_what_nobody_has_and_lives_through_a_restart) {
    fleet_t x;
    fleet_open(&x, 3);
    post(&x.k, "/rollouts",
         "{\"id\":\"r1\",\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"batch_size\":3}", 202);
    wait_for(&x.k, "r1", "running", "ordered", 3);
    post(&x.k, "/rollouts/r1/pause", NULL, 200);
    wait_for(&x.k, "r1", "paused", "waiting", 3);
    x.f[0].finish = x.f[1].finish = x.f[2].finish = true;
    fake_connect(&x.k, &x.f[0]);
    kit_wait_state(&x.k, "r1.1.0", "cancelled");
    fake_disconnect(&x.f[0]);
    kit_close(&x.k);
    kit_open(&x.k);
    wait_for(&x.k, "r1", "paused", "waiting", 3);
    for (int i = 0; i < 3; ++i) fake_connect(&x.k, &x.f[i]);
    CHECK_EQ(x.f[0].commands + x.f[1].commands, 0);
    post(&x.k, "/rollouts/r1/resume", NULL, 200);
    wait_for(&x.k, "r1", "done", "done", 3);
    for (int i = 0; i < 3; ++i) CHECK_EQ(x.f[i].commands, 1);
    post(&x.k, "/rollouts/r1/pause", NULL, 409);
    post(&x.k, "/rollouts/r1/resume", NULL, 409);
    fleet_close(&x);
}

TEST(rollout_refuses_what_is_none) {
    static const char *const bad[] = {
        "{}",
        "{\"type\":\"chain.stop\"}",
        "{\"type\":\"x\",\"selector\":{\"all\":true}}",
        "{\"type\":\"chain.stop\",\"selector\":{}}",
        "{\"type\":\"chain.stop\",\"selector\":{\"labels\":{}}}",
        "{\"type\":\"chain.stop\",\"selector\":{\"labels\":{\"a\":7}}}",
        "{\"type\":\"chain.stop\",\"selector\":{\"devices\":7}}",
        "{\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"batch_size\":0}",
        "{\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"batch_percent\":101}",
        "{\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"stop_percent\":101}",
        "{\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"valid_ms\":1}",
        "{\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"priority\":\"soon\"}",
        "{\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"params\":[]}",
        "{\"type\":\"chain.stop\",\"selector\":{\"all\":true},\"id\":\"A B\"}"};
    fleet_t x;
    fleet_open(&x, 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) post(&x.k, "/rollouts", bad[i], 400);
    post(&x.k, "/rollouts", "{\"type\":\"chain.stop\",\"selector\":{\"devices\":[\"nobody\"]}}", 404);
    post(&x.k, "/rollouts", "{\"type\":\"chain.stop\",\"selector\":{\"group\":\"nobody\"}}", 404);
    post(&x.k, "/rollouts/none/pause", NULL, 404);
    CHECK_EQ(kit_call(&x.k, "GET", "/rollouts/none", NULL, NULL), 404);
    post(&x.k, "/rollouts", "{\"id\":\"one\",\"type\":\"chain.stop\",\"selector\":{\"all\":true}}", 202);
    post(&x.k, "/rollouts", "{\"id\":\"one\",\"type\":\"chain.stop\",\"selector\":{\"all\":true}}", 200);
    post(&x.k, "/rollouts", "{\"id\":\"one\",\"type\":\"chain.start\",\"selector\":{\"all\":true}}", 409);
    fleet_close(&x);
}

TEST(devices_are_listed_by_group_site_label_and_page_by_page) {
    fleet_t x;
    json_t *a;
    char path[128] = "/devices?limit=2";
    fleet_open(&x, 5);
    CHECK_EQ(
        kit_call(
            &x.k, "PATCH", "/devices/dev-02",
            "{\"site\":\"s1\",\"location\":\"row 7, 东\",\"labels\":{\"model\":\"a1\",\"ring\":\"early\"}}",
            &a),
        200);
    CHECK_STR(kit_text(a, "location"), "row 7, 东");
    json_decref(a);
    CHECK_EQ(
        kit_call(&x.k, "PATCH", "/devices/dev-03", "{\"site\":\"s1\",\"labels\":{\"model\":\"a1\"}}", NULL),
        200);
    CHECK_EQ(kit_call(&x.k, "PATCH", "/devices/dev-03", "{\"labels\":{\"A\":\"x\"}}", NULL), 400);
    CHECK_EQ(kit_call(&x.k, "PATCH", "/devices/dev-03", "{\"labels\":{\"a\":\"x y\"}}", NULL), 400);
    CHECK_EQ(kit_call(&x.k, "PATCH", "/devices/dev-03", "{\"group\":7}", NULL), 400);
    CHECK_EQ(kit_call(&x.k, "PATCH", "/devices/nobody", "{\"group\":\"g\"}", NULL), 404);
    kit_close(&x.k);
    kit_open(&x.k); /* it is on disk */
    static const struct {
        const char *query;
        size_t count;
    } cases[] = {{"site=s1", 2},
                 {"label=model=a1", 2},
                 {"label=model=a1,ring=early", 1},
                 {"label=model=b2", 0},
                 {"site=s1&state=online", 0},
                 {"after=dev-03", 2},
                 {"site=s1&after=dev-02", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        char query[96];
        snprintf(query, sizeof query, "/devices?%s", cases[i].query);
        CHECK_EQ(kit_call(&x.k, "GET", query, NULL, &a), 200);
        CHECK_EQ(json_array_size(json_object_get(a, "devices")), cases[i].count);
        json_decref(a);
    }
    CHECK_EQ(kit_call(&x.k, "GET", "/devices?label=model", NULL, NULL), 400);
    size_t seen = 0;
    for (int page = 0; page < 3; ++page) {
        CHECK_EQ(kit_call(&x.k, "GET", path, NULL, &a), 200);
        seen += json_array_size(json_object_get(a, "devices"));
        snprintf(path, sizeof path, "/devices?limit=2&after=%s", kit_text(a, "more_after"));
        json_decref(a);
    }
    CHECK_EQ(seen, 5);
    CHECK_EQ(kit_call(&x.k, "PATCH", "/devices/dev-02", "{\"site\":null,\"labels\":{\"ring\":null}}", &a),
             200);
    CHECK(json_is_null(json_object_get(a, "site")));
    CHECK_EQ(json_object_size(json_object_get(a, "labels")), 1);
    json_decref(a);
    fleet_close(&x);
}
