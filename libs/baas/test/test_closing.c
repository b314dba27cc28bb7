/* The end of a chain whose node that answered was not the furthest. That everything is archived first, and goes on after kills,
 * is tested on a whole system (suite destroying). */
#include "lost_chain.h"
#include <stdio.h>
#include <time.h>

enum { PATIENCE_MS = 60000 };

/* The last command of a type: its parameter, 0 if it has none. */
static json_int_t last_param(kit_t *k, const char *type, const char *name) {
    json_int_t value = -1;
    pthread_mutex_lock(&k->p.lock);
    for (size_t i = 0; i < k->p.count; ++i)
        if (strcmp(k->p.commands[i].type, type) == 0) {
            const json_t *v = json_object_get(k->p.commands[i].params, name);
            value = json_is_true(v) ? 1 : json_integer_value(v);
        }
    pthread_mutex_unlock(&k->p.lock);
    return value;
}

/* Until the device has said that it could not remove it; the chain's state is `destroying`. */
static void await_refusal(kit_t *k) {
    uint64_t end = baas_mono() + PATIENCE_MS;
    json_int_t after = 0;
    for (bool refused = false; !refused;) {
        char path[128];
        json_t *answer, *event;
        size_t i;
        CHECK(baas_mono() < end);
        snprintf(path, sizeof path, "/chains/c/events?after=%lld&wait_ms=1000", (long long)after);
        CHECK_EQ(kit_call(k, "GET", path, NULL, &answer), 200);
        json_array_foreach(json_object_get(answer, "events"), i, event) {
            after = json_integer_value(json_object_get(event, "seq"));
            refused |= strcmp(kit_text(event, "step"), "remove") == 0 &&
                       strcmp(kit_text(event, "state"), "failed") == 0;
        }
        json_decref(answer);
    }
    json_decref(kit_wait_chain(k, "c", "destroying"));
}

/* Archived up to LOST_LAST, as a node said that was behind; the device then finds that its ledger has more. */
static void be_refused(kit_t *k) {
    lost_open(k);
    k->p.height = LOST_LAST;
    k->p.on_remove[0] = OUTCOME_FAIL;
    k->p.on_archive[0] = OUTCOME_HOLD;
    CHECK_EQ(kit_call(k, "DELETE", "/chains/c", NULL, NULL), 202);
    await_refusal(k);
    CHECK_EQ(last_param(k, "chain.remove", "archived"), LOST_LAST);
    CHECK_EQ(last_param(k, "chain.remove", "discard"), 0);
    CHECK_EQ(kit_commands(k, "chain.archive"), 0);
}

TEST(closing_what_a_device_came_back_with_is_archived_when_the_order_is_given_again) {
    kit_t k;
    be_refused(&k);
    k.p.height = LOST_LAST + 2;
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c", NULL, NULL), 202);
    kit_wait_commands(&k, "chain.archive", 1); /* of the device that could not remove it */
    json_decref(kit_wait_chain(&k, "c", "closing"));
    CHECK_EQ(kit_commands(&k, "chain.remove"), 1);
    k.p.on_remove[0] = OUTCOME_DONE;
    lost_sql(
        &k,
        "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state, command,"
        " wanted_from, wanted_to, first, last, mark_ms, manifest, content, file, created_ms, updated_ms)"
        " SELECT chain, name, chain_id, genesis, device, given, attempt, 'archived', 'y', 0, 0, 4, 5, 2000,"
        " manifest, content, 6, 1, 1 FROM archives WHERE first = 1");
    json_decref(kit_wait_chain(&k, "c", "destroyed"));
    CHECK_EQ(last_param(&k, "chain.remove", "archived"), LOST_LAST + 2);
    kit_close(&k);
}

/* A node that was just made anew, while all that have the chain's blocks are away. */
TEST(closing_by_what_an_empty_node_says_deletes_nothing) {
    kit_t k;
    bool told = false;
    uint64_t end = baas_mono() + PATIENCE_MS;
    lost_open(&k);
    k.p.height = 0;
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c", NULL, NULL), 202);
    while (!told) {
        json_t *c;
        CHECK(baas_mono() < end);
        CHECK_EQ(kit_call(&k, "GET", "/chains/c", NULL, &c), 200);
        const char *why = json_string_value(json_object_get(c, "error"));
        CHECK_STR(kit_text(c, "state"), "closing");
        told = why && strstr(why, "no node that answers has a block");
        json_decref(c);
    }
    CHECK_EQ(kit_commands(&k, "chain.remove"), 0);
    k.p.height = LOST_LAST;
    json_decref(kit_wait_chain(&k, "c", "destroyed"));
    CHECK_EQ(last_param(&k, "chain.remove", "discard"), 0);
    CHECK_EQ(last_param(&k, "chain.remove", "archived"), LOST_LAST);
    kit_close(&k);
}

/* Going back to the last archived block is not for ledgers that are only slow to tell how far they are. */
TEST(rebuild_is_refused_while_nobody_knows_what_a_node_holds) {
    kit_t k;
    json_t *a;
    lost_open(&k);
    k.p.on_request = RDG_E_TIMEOUT;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/rebuild", "{}", &a), 503);
    CHECK(strstr(kit_error(a, "message"), "dev-1") && strstr(kit_error(a, "message"), "--discard c"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/rebuild", "{\"discard\":\"other\"}", NULL), 400);
    CHECK_EQ(kit_commands(&k, "chain.recover"), 0);
    k.p.on_request = RDG_E_UNAVAILABLE;
    k.p.damaged = "block 1 is not what it was";
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/rebuild", "{}", NULL), 202);
    kit_close(&k);
}

TEST(rebuild_gives_up_what_nobody_tells_of_by_the_chains_name) {
    kit_t k;
    lost_open(&k);
    k.p.on_request = RDG_E_UNAVAILABLE;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/rebuild", "{\"discard\":\"c\"}", NULL), 202);
    kit_close(&k);
}

TEST(closing_what_a_device_could_not_remove_is_tried_again_by_the_same_order) {
    kit_t k;
    be_refused(&k);
    k.p.on_remove[0] = OUTCOME_DONE;
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c", NULL, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "destroyed"));
    CHECK_EQ(kit_commands(&k, "chain.remove"), 2);
    CHECK_EQ(kit_commands(&k, "chain.archive"), 0);
    kit_close(&k);
}

TEST(closing_what_a_device_has_refused_to_remove_goes_by_the_chains_name) {
    kit_t k;
    be_refused(&k);
    k.p.height = LOST_LAST + 2;
    k.p.on_remove[0] = OUTCOME_DONE;
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c?discard=other", NULL, NULL), 409);
    CHECK_EQ(kit_commands(&k, "chain.remove"), 1);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c?discard=c", NULL, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "destroyed"));
    CHECK_EQ(last_param(&k, "chain.remove", "discard"), 1);
    kit_close(&k);
}

TEST(closing_that_comes_to_nothing_asks_ever_less_often) {
    kit_t k;
    uint64_t end = baas_mono() + PATIENCE_MS, after = 0;
    lost_open(&k);
    k.p.height = LOST_LAST + 2;
    k.p.on_archive[0] = OUTCOME_FAIL;
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c", NULL, NULL), 202);
    kit_wait_commands(&k, "chain.archive", 1);
    work_enter(k.baas, "c");
    lost_sql(&k, "UPDATE chain_closings SET since_ms = since_ms - 3600000");
    while (after <= 10000) {
        CHECK(baas_mono() < end);
        after = 0;
        CHECK_OK(flow_advance(k.baas, "c", &after));
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    CHECK_EQ(after, 300000);
    work_leave(k.baas, "c");
    k.p.on_archive[0] = OUTCOME_HOLD;
    kit_close(&k);
}

static int64_t count_of(kit_t *k, const char *query) {
    int64_t n = 0;
    CHECK_OK(rdg_sql_query(k->baas->db, query, NULL, 0, baas_int_row, &n));
    return n;
}

TEST(closing_for_days_leaves_no_endless_list_of_orders_that_failed) {
    kit_t k;
    lost_open(&k);
    k.p.height = LOST_LAST + 2;
    k.p.on_archive[0] = OUTCOME_HOLD;
    lost_sql(&k, "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state, "
                 "command, wanted_from,"
                 " wanted_to, file, created_ms, updated_ms) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL "
                 "SELECT i + 1 FROM n"
                 " WHERE i < 150) SELECT chain, name, chain_id, genesis, device, 0, 1, 'failed', 'x', 0, 0, "
                 "i = 1, 1, 1"
                 " FROM n, (SELECT * FROM archives WHERE first = 1)");
    int64_t proven = count_of(&k, "SELECT COUNT(*) FROM archives WHERE state = 'archived'");
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/archives", "{}", NULL), 202);
    CHECK_EQ(count_of(&k, "SELECT COUNT(*) FROM archives WHERE state = 'failed' AND file = 0"), 100);
    CHECK_EQ(count_of(&k, "SELECT COUNT(*) FROM archives WHERE state = 'failed' AND file = 1"),
             1); /* its file goes first */
    CHECK_EQ(count_of(&k, "SELECT COUNT(*) FROM archives WHERE state = 'archived'"), proven);
    kit_close(&k);
}
