#include "command.h"
#include "kit.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void post(kit_t *k, const char *device, const char *body, char id[80]) {
    char path[128];
    json_t *a;
    snprintf(path, sizeof path, "/devices/%s/commands", device);
    CHECK_EQ(kit_call(k, "POST", path, body, &a), 202);
    snprintf(id, 80, "%s", kit_text(a, "id"));
    json_decref(a);
}

static void enrol(kit_t *k, fake_t *f, const char *name) {
    char token[128];
    fake_init(f, name);
    kit_token(k, token);
    CHECK_EQ(fake_enrol(k, f, token, NULL), 201);
}

TEST(command_reaches_its_device_and_its_result_comes_back) {
    kit_t k;
    fake_t f;
    json_t *a;
    char id[80], path[160];
    kit_open(&k);
    fake_init(&f, "dev-1");
    f.finish = true;
    fake_connect(&k, &f);
    post(&k, "dev-1", "{\"type\":\"chain.prepare\",\"params\":{\"chain\":\"c\"}}", id);
    snprintf(path, sizeof path, "/commands/%s?wait_ms=10000", id);
    CHECK_EQ(kit_call(&k, "GET", path, NULL, &a), 200);
    CHECK_STR(kit_text(a, "state"), "done");
    CHECK_STR(kit_text(a, "step"), "keys");
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(a, "result"), "answer")), 42);
    CHECK_EQ(json_integer_value(json_object_get(a, "progress")), 100);
    json_decref(a);
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_result_delivered_three_times_counts_once) {
    kit_t k;
    fake_t f;
    json_t *a;
    char id[80], path[128], text[256];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    post(&k, "dev-1", "{\"type\":\"chain.stop\",\"params\":{}}", id);
    fake_wait_commands(&f, 1);
    snprintf(text, sizeof text, "{\"id\":\"%s\",\"state\":\"done\",\"result\":{\"n\":1}}", id);
    for (int i = 0; i < 3; ++i) fake_publish(&f, "result", text);
    kit_wait_state(&k, id, "done");
    snprintf(path, sizeof path, "/commands/%s", id);
    CHECK_EQ(kit_call(&k, "GET", path, NULL, &a), 200);
    json_int_t change = json_integer_value(json_object_get(a, "change"));
    json_decref(a);
    snprintf(text, sizeof text,
             "{\"id\":\"%s\",\"state\":\"failed\",\"error\":{\"code\":\"IO\",\"message\":\"x\"}}", id);
    fake_publish(&f, "result", text);
    fake_publish(&f, "telemetry", "{\"time_ms\":1,\"agent\":{\"rss_kib\":77}}");
    do { /* what came before the telemetry has been handled when it shows */
        CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, &a), 200);
        json_int_t rss = json_integer_value(json_object_get(a, "agent_rss_kib"));
        json_decref(a);
        if (rss == 77) break;
        kit_pause();
    } while (true);
    CHECK_EQ(kit_call(&k, "GET", path, NULL, &a), 200);
    CHECK_STR(kit_text(a, "state"), "done");
    CHECK_EQ(json_integer_value(json_object_get(a, "change")), change);
    json_decref(a);
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_with_the_same_id_is_the_same_command) {
    kit_t k;
    fake_t f;
    char id[80];
    json_t *a;
    kit_open(&k);
    enrol(&k, &f, "dev-1");
    post(&k, "dev-1", "{\"id\":\"one\",\"type\":\"chain.stop\"}", id);
    CHECK_STR(id, "one");
    CHECK_EQ(
        kit_call(&k, "POST", "/devices/dev-1/commands", "{\"id\":\"one\",\"type\":\"chain.stop\"}", NULL),
        200);
    CHECK_EQ(
        kit_call(&k, "POST", "/devices/dev-1/commands", "{\"id\":\"one\",\"type\":\"chain.start\"}", NULL),
        409);
    CHECK_EQ(kit_call(&k, "GET", "/commands?device=dev-1", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "commands")), 1);
    json_decref(a);
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_waits_on_disk_for_its_device_over_a_restart_of_the_cloud) {
    kit_t k;
    fake_t f;
    char id[80];
    kit_open(&k);
    enrol(&k, &f, "dev-1");
    post(&k, "dev-1", "{\"type\":\"chain.stop\"}", id);
    kit_close(&k);
    kit_open(&k);
    kit_wait_state(&k, id, "queued");
    f.finish = true;
    fake_connect(&k, &f);
    kit_wait_state(&k, id, "done");
    CHECK_STR(f.last_command, id);
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_handed_over_and_unanswered_is_repeated_after_a_restart) {
    kit_t k;
    fake_t f;
    char id[80];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    post(&k, "dev-1", "{\"type\":\"chain.stop\"}", id);
    fake_wait_commands(&f, 1);
    kit_wait_state(&k, id, "sent");
    fake_disconnect(&f);
    kit_close(&k);
    kit_open(&k);
    f.finish = true;
    fake_connect(&k, &f);
    kit_wait_state(&k, id, "done");
    CHECK(f.commands >= 2);
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_whose_result_was_lost_is_repeated_when_its_device_connects) {
    kit_t k;
    fake_t f;
    char id[80], running[160];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    post(&k, "dev-1", "{\"type\":\"chain.stop\"}", id);
    fake_wait_commands(&f, 1);
    kit_wait_state(&k, id, "sent"); /* what the broker has not acknowledged is not sent again */
    snprintf(running, sizeof running, "{\"id\":\"%s\",\"state\":\"running\",\"step\":\"stop\"}", id);
    fake_publish(&f, "result", running);
    kit_wait_state(&k, id, "running");
    f.finish = true;
    fake_publish(&f, "status", "{\"online\":true}");
    kit_wait_state(&k, id, "done");
    fake_fini(&f);
    kit_close(&k);
}

/* A publication of it that the broker has not acknowledged yet; the device has said that it is at it. */
static int on_its_way(kit_t *k, fake_t *f, const char *id) {
    const int message_id = 1 << 30, last = PLATFORM_IN_FLIGHT - 1;
    char running[160];
    kit_wait_state(k, id, "sent");
    pthread_mutex_lock(&k->platform->lock);
    k->platform->in_flight[last].message_id = message_id;
    snprintf(k->platform->in_flight[last].command, sizeof k->platform->in_flight[last].command, "%s", id);
    snprintf(k->platform->in_flight[last].device, sizeof k->platform->in_flight[last].device, "%s", f->name);
    pthread_mutex_unlock(&k->platform->lock);
    snprintf(running, sizeof running, "{\"id\":\"%s\",\"state\":\"running\",\"step\":\"stop\"}", id);
    fake_publish(f, "result", running);
    kit_wait_state(k, id, "running");
    pthread_mutex_lock(&f->lock);
    f->finish = true; /* when it comes again */
    pthread_mutex_unlock(&f->lock);
    return message_id;
}

TEST(command_requeued_before_its_publication_is_acknowledged_goes_again) {
    kit_t k;
    fake_t f;
    char id[80];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    post(&k, "dev-1", "{\"type\":\"chain.stop\"}", id);
    fake_wait_commands(&f, 1);
    int message_id = on_its_way(&k, &f, id);
    fake_publish(&f, "status", "{\"online\":true}");
    kit_wait_state(&k, id, "queued");
    dispatch_published(k.platform, message_id);
    kit_wait_state(&k, id, "done");
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_requeued_before_its_acknowledgement_is_stored_goes_again) {
    kit_t k;
    fake_t f;
    char id[80];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    post(&k, "dev-1", "{\"type\":\"chain.stop\"}", id);
    fake_wait_commands(&f, 1);
    int message_id = on_its_way(&k, &f, id);
    CHECK_OK(rdg_sql_begin(k.platform->db)); /* the dispatcher has to wait with what it would store */
    dispatch_published(k.platform, message_id);
    CHECK_OK(command_requeue(k.platform, "dev-1"));
    CHECK_OK(rdg_sql_commit(k.platform->db));
    kit_wait_state(&k, id, "done");
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_survives_the_loss_of_the_broker) {
    kit_t k;
    fake_t f;
    char id[80];
    kit_open(&k);
    fake_init(&f, "dev-1");
    f.finish = true;
    fake_connect(&k, &f);
    kill(rdg_broker_pid(k.platform->broker), SIGKILL);
    post(&k, "dev-1", "{\"type\":\"chain.stop\"}", id);
    kit_wait_state(&k, id, "done");
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_can_be_cancelled_until_it_is_handed_over) {
    kit_t k;
    fake_t f;
    json_t *a;
    char first[80], second[80], path[128];
    kit_open(&k);
    enrol(&k, &f, "dev-1");
    post(&k, "dev-1", "{\"type\":\"chain.stop\"}", first);
    snprintf(path, sizeof path, "/commands/%s/cancel", first);
    CHECK_EQ(kit_call(&k, "POST", path, NULL, NULL), 200);
    CHECK_EQ(kit_call(&k, "POST", path, NULL, NULL), 200);
    post(&k, "dev-1", "{\"type\":\"chain.start\"}", second);
    fake_connect(&k, &f);
    fake_wait_commands(&f, 1);
    CHECK_STR(f.last_command, second);
    snprintf(path, sizeof path, "/commands/%s/cancel", second);
    CHECK_EQ(kit_call(&k, "POST", path, NULL, &a), 409);
    CHECK_STR(kit_error(a, "code"), "CONFLICT");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/commands/nothing/cancel", NULL, NULL), 404);
    kit_wait_state(&k, first, "cancelled");
    CHECK_EQ(f.commands, 1);
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_past_its_deadline_expires_unsent) {
    kit_t k;
    fake_t f;
    char id[80];
    kit_open(&k);
    enrol(&k, &f, "dev-1");
    post(&k, "dev-1", "{\"type\":\"chain.stop\"}", id);
    kit_wait_state(&k, id, "queued");
    /* One that is over when the order is given would be refused. */
    CHECK_OK(rdg_sql_exec(k.platform->db, "UPDATE commands SET deadline_ms = ?",
                          RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now())), NULL));
    kit_wait_state(&k, id, "expired");
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_changes_can_be_followed_in_order) {
    kit_t k;
    fake_t f;
    json_t *a;
    char id[80], path[128];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "GET", "/commands/events", NULL, &a), 200);
    json_int_t next = json_integer_value(json_object_get(a, "next"));
    json_decref(a);
    f.finish = true;
    post(&k, "dev-1", "{\"type\":\"chain.stop\"}", id);
    bool done = false;
    while (!done) {
        snprintf(path, sizeof path, "/commands/events?after=%lld&wait_ms=10000", (long long)next);
        CHECK_EQ(kit_call(&k, "GET", path, NULL, &a), 200);
        const json_t *list = json_object_get(a, "commands");
        CHECK(json_array_size(list) > 0);
        CHECK_STR(kit_text(json_array_get(list, 0), "id"), id);
        done = strcmp(kit_text(json_array_get(list, json_array_size(list) - 1), "state"), "done") == 0;
        CHECK(json_integer_value(json_object_get(a, "next")) > next);
        next = json_integer_value(json_object_get(a, "next"));
        json_decref(a);
    }
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_refuses_what_is_none) {
    static const char *const bad[] = {"{}",
                                      "{\"type\":\"\"}",
                                      "{\"type\":\"x\"}",
                                      "{\"type\":\"Chain.Stop\"}",
                                      "{\"type\":\"chain.stop\",\"params\":[]}",
                                      "{\"type\":\"chain.stop\",\"id\":\"A B\"}",
                                      "{\"type\":\"chain.stop\",\"deadline_ms\":1}",
                                      "{\"type\":\"chain.stop\",\"deadline_ms\":99999999999999}",
                                      "{\"type\":\"chain.stop\",\"deadline_ms\":-5}"};
    kit_t k;
    fake_t f;
    kit_open(&k);
    enrol(&k, &f, "dev-1");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/commands", bad[i], NULL), 400);
    CHECK_EQ(kit_call(&k, "POST", "/devices/nobody/commands", "{\"type\":\"chain.stop\"}", NULL), 404);
    CHECK_EQ(kit_call(&k, "GET", "/commands/nobody", NULL, NULL), 404);
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_urgent_goes_first_and_each_priority_in_order) {
    kit_t k;
    fake_t f;
    char id[80];
    kit_open(&k);
    enrol(&k, &f, "dev-1");
    post(&k, "dev-1", "{\"id\":\"b1\",\"type\":\"chain.stop\",\"priority\":\"bulk\"}", id);
    post(&k, "dev-1", "{\"id\":\"n1\",\"type\":\"chain.stop\"}", id);
    post(&k, "dev-1", "{\"id\":\"b2\",\"type\":\"chain.stop\",\"priority\":\"bulk\"}", id);
    post(&k, "dev-1", "{\"id\":\"u1\",\"type\":\"chain.stop\",\"priority\":\"urgent\"}", id);
    post(&k, "dev-1", "{\"id\":\"n2\",\"type\":\"chain.stop\",\"priority\":\"normal\"}", id);
    post(&k, "dev-1", "{\"id\":\"u2\",\"type\":\"chain.stop\",\"priority\":\"urgent\"}", id);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/commands",
                      "{\"type\":\"chain.stop\",\"priority\":\"soon\"}", NULL),
             400);
    f.finish = true;
    fake_connect(&k, &f);
    kit_wait_state(&k, "b2", "done");
    CHECK_STR(f.taken, "u1 u2 n1 n2 b1 b2 ");
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_urgent_overtakes_what_a_silent_device_has_not_been_given) {
    kit_t k;
    fake_t f;
    char id[80], body[128];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    for (int i = 0; i < 12; ++i) {
        snprintf(body, sizeof body, "{\"id\":\"n%02d\",\"type\":\"chain.stop\"}", i);
        post(&k, "dev-1", body, id);
    }
    post(&k, "dev-1", "{\"id\":\"bulk\",\"type\":\"chain.stop\",\"priority\":\"bulk\"}", id);
    fake_wait_taken(&f, "n07");
    kit_wait_state(&k, "n07", "sent");
    kit_wait_state(&k, "n08", "queued");
    post(&k, "dev-1", "{\"id\":\"now\",\"type\":\"chain.stop\",\"priority\":\"urgent\"}", id);
    fake_wait_taken(&f, "now");
    fake_publish(&f, "result", "{\"id\":\"n00\",\"state\":\"done\"}");
    fake_publish(&f, "result", "{\"id\":\"n01\",\"state\":\"done\"}");
    fake_wait_taken(&f, "n08"); /* the window has room again */
    CHECK(strstr(f.taken, "n07 now n08 "));
    kit_wait_state(&k, "bulk", "queued");
    fake_fini(&f);
    kit_close(&k);
}

/* A window is of the last half minute: made older here, so that nobody has to wait for it. */
TEST(command_that_is_stuck_leaves_the_window) {
    kit_t k;
    fake_t f;
    char id[80], body[128];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    for (int i = 0; i < 9; ++i) {
        snprintf(body, sizeof body, "{\"id\":\"n%02d\",\"type\":\"chain.stop\"}", i);
        post(&k, "dev-1", body, id);
    }
    fake_wait_taken(&f, "n07");
    kit_wait_state(&k, "n07", "sent");
    kit_wait_state(&k, "n08", "queued");
    CHECK_OK(rdg_sql_exec(k.platform->db, "UPDATE commands SET handed = handed - 60000 WHERE handed > 0",
                          NULL, 0, NULL));
    turns_all_ready(k.platform);
    platform_kick(k.platform);
    fake_wait_taken(&f, "n08");
    fake_fini(&f);
    kit_close(&k);
}

TEST(command_batch_is_stored_as_one_and_says_what_it_refused) {
    kit_t k;
    fake_t f, g;
    json_t *a, *list;
    kit_open(&k);
    enrol(&k, &f, "dev-1");
    enrol(&k, &g, "dev-2");
    CHECK_EQ(
        kit_call(&k, "POST", "/commands",
                 "{\"commands\":[{\"device\":\"dev-1\",\"id\":\"one\",\"type\":\"chain.stop\"},"
                 "{\"device\":\"nobody\",\"type\":\"chain.stop\"},{\"device\":\"dev-2\",\"type\":\"x\"},7,"
                 "{\"device\":\"dev-2\",\"id\":\"two\",\"type\":\"chain.stop\",\"priority\":\"bulk\"}]}",
                 &a),
        202);
    list = json_object_get(a, "commands");
    CHECK_EQ(json_array_size(list), 5);
    CHECK_STR(kit_text(json_array_get(list, 0), "state"), "queued");
    CHECK_STR(kit_error(json_array_get(list, 1), "code"), "NOT_FOUND");
    CHECK_STR(kit_error(json_array_get(list, 2), "code"), "INVALID");
    CHECK_STR(kit_error(json_array_get(list, 3), "code"), "INVALID");
    CHECK_STR(kit_text(json_array_get(list, 4), "priority"), "bulk");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/commands", "{\"commands\":[]}", NULL), 400);
    CHECK_EQ(kit_call(&k, "POST", "/commands", "{\"commands\":7}", NULL), 400);
    f.finish = g.finish = true;
    fake_connect(&k, &f);
    fake_connect(&k, &g);
    kit_wait_state(&k, "one", "done");
    kit_wait_state(&k, "two", "done");
    fake_fini(&f);
    fake_fini(&g);
    kit_close(&k);
}

TEST(command_history_says_who_when_and_what_became_of_it) {
    kit_t k;
    fake_t f;
    json_t *a;
    char id[80];
    kit_open(&k);
    enrol(&k, &f, "dev-1");
    post(&k, "dev-1", "{\"id\":\"one\",\"type\":\"chain.stop\"}", id);
    CHECK_EQ(kit_call(&k, "POST", "/commands/one/cancel", NULL, NULL), 200);
    f.finish = true;
    fake_connect(&k, &f);
    for (int i = 2; i < 5; ++i) {
        char body[64];
        snprintf(body, sizeof body, "{\"id\":\"c%d\",\"type\":\"chain.start\"}", i);
        post(&k, "dev-1", body, id);
        kit_wait_state(&k, id, "done");
    }
    CHECK_EQ(kit_call(&k, "GET", "/commands/c2", NULL, &a), 200);
    CHECK_STR(kit_text(a, "ordered_by"), "admin");
    json_int_t last = 0;
    static const char *const order[] = {"created_ms", "handed_ms", "started_ms", "ended_ms"};
    for (size_t i = 0; i < 4; ++i) {
        json_int_t at = json_integer_value(json_object_get(a, order[i]));
        CHECK(at >= last && at > 1000);
        last = at;
    }
    CHECK_EQ(json_integer_value(json_object_get(a, "deliveries")), 1);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/commands?by=admin&type=chain.stop", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "commands")), 1);
    CHECK_STR(kit_text(json_array_get(json_object_get(a, "commands"), 0), "cancelled_by"), "admin");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/commands?by=somebody", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "commands")), 0);
    json_decref(a);
    char path[96] = "/commands?limit=3";
    size_t seen = 0;
    for (int page = 0; page < 2; ++page) {
        CHECK_EQ(kit_call(&k, "GET", path, NULL, &a), 200);
        seen += json_array_size(json_object_get(a, "commands"));
        snprintf(path, sizeof path, "/commands?limit=3&before=%lld",
                 (long long)json_integer_value(json_object_get(a, "more_before")));
        CHECK_EQ(json_is_null(json_object_get(a, "more_before")), page == 1);
        json_decref(a);
    }
    CHECK_EQ(seen, 4);
    fake_fini(&f);
    kit_close(&k);
}

static rdg_err_t plan_row(void *ctx, const rdg_sql_row_t *r) {
    char *out = ctx;
    size_t len = strlen(out);
    snprintf(out + len, 512 - len, "%s;", rdg_sql_row_text(r, 3));
    return RDG_OK;
}

/* What the dispatcher asks again and again must not read what waits for other devices. */
TEST(command_queue_of_a_device_is_found_by_its_index) {
    kit_t k;
    char plan[512] = "";
    kit_open(&k);
    CHECK_OK(rdg_sql_query(
        k.platform->db,
        "EXPLAIN QUERY PLAN SELECT id FROM commands WHERE device = 'x' AND state IN ('queued', 'sent', "
        "'running') AND state = 'queued' ORDER BY priority, number LIMIT 8",
        NULL, 0, plan_row, plan));
    CHECK(strstr(plan, "commands_open") && !strstr(plan, "TEMP B-TREE"));
    plan[0] = '\0';
    CHECK_OK(
        rdg_sql_query(k.platform->db,
                      "EXPLAIN QUERY PLAN SELECT id FROM commands WHERE state = 'queued' AND handed = 0 AND "
                      "deadline_ms < 5",
                      NULL, 0, plan_row, plan));
    CHECK(strstr(plan, "commands_due"));
    kit_close(&k);
}

/* The broker acknowledges results, and drops what waits for us beyond its bounds: nobody repeats those by himself. */
TEST(command_of_which_the_answer_was_lost_is_handed_over_again) {
    kit_t k;
    fake_t f;
    json_t *a;
    size_t count;
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/commands", "{\"id\":\"c1\",\"type\":\"chain.stop\"}", NULL),
             202);
    fake_wait_commands(&f, 1);
    kit_wait_state(&k, "c1", "sent");
    CHECK_OK(command_ask_again(k.platform, &count));
    CHECK_EQ(count, 0); /* not yet */
    pthread_mutex_lock(&f.lock);
    f.finish = true;
    pthread_mutex_unlock(&f.lock);
    CHECK_OK(rdg_sql_exec(k.platform->db, "UPDATE commands SET handed = 1, updated_ms = 1", NULL, 0, NULL));
    CHECK_OK(command_ask_again(k.platform, &count));
    CHECK_EQ(count, 1);
    turns_all_ready(k.platform);
    platform_kick(k.platform);
    kit_wait_state(&k, "c1", "done");
    CHECK_EQ(kit_call(&k, "GET", "/commands/c1", NULL, &a), 200);
    CHECK(json_integer_value(json_object_get(a, "deliveries")) >= 2);
    json_decref(a);
    CHECK_OK(rdg_sql_exec(k.platform->db, "UPDATE commands SET handed = 1, updated_ms = 1", NULL, 0, NULL));
    CHECK_OK(command_ask_again(k.platform, &count));
    CHECK_EQ(count, 0); /* it has ended */
    fake_fini(&f);
    kit_close(&k);
}
