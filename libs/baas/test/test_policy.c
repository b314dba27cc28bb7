/* When archives are ordered by themselves: what is said again, and clocks that
 * are put back. (That they are ordered, and what stays on devices, is tested on
 * a whole system: suite pruning.) */
#include "collector_prune.h"
#include "kit.h"
#include <time.h>

#define HOUR_MS 3600000

static void start(kit_t *k) {
    kit_open(k);
    kit_create(k, 4);
    json_decref(kit_wait_chain(k, "c", "running"));
}

/* When the next archive is due by time. */
static uint64_t put(kit_t *k, const char *body) {
    json_t *answer;
    CHECK_EQ(kit_call(k, body ? "PUT" : "GET", "/chains/c/archive-policy", body, &answer), 200);
    uint64_t next = (uint64_t)json_integer_value(json_object_get(answer, "next_ms"));
    json_decref(answer);
    return next;
}

static void let_the_clock_move(void) {
    for (uint64_t now = baas_now(); baas_now() == now;) nanosleep(&(struct timespec){0, 1000000}, NULL);
}

TEST(policy_that_is_said_again_puts_no_archive_off) {
    kit_t k;
    start(&k);
    uint64_t before = baas_now(), next = put(&k, "{\"every_ms\":3600000}");
    CHECK(next >= before + HOUR_MS && next <= baas_now() + HOUR_MS);
    let_the_clock_move();
    CHECK_EQ(put(&k, "{\"every_ms\":3600000}"), next);
    CHECK_EQ(put(&k, "{\"keep_blocks\":5,\"cron\":\"\"}"), next);
    before = baas_now();
    next = put(&k, "{\"every_ms\":7200000}");
    CHECK(next >= before + 2 * HOUR_MS);
    kit_close(&k);
}

TEST(policy_goes_on_when_the_clock_is_put_back) {
    kit_t k;
    start(&k);
    put(&k, "{\"every_ms\":3600000}");
    uint64_t ahead = baas_now() + 30ull * 24 * HOUR_MS, end = baas_mono() + 60000, next;
    CHECK_OK(rdg_sql_exec(k.baas->db, "UPDATE archive_policies SET updated_ms = ?, ordered_ms = ?",
                          RDG_SQL_PARAMS(rdg_sql_int((int64_t)ahead), rdg_sql_int((int64_t)ahead)), NULL));
    put(&k, "{\"keep_blocks\":5}"); /* and it is looked at */
    while ((next = put(&k, NULL)) >= ahead) {
        CHECK(baas_mono() < end);
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    CHECK(next <= baas_now() + HOUR_MS);
    kit_close(&k);
}
