#include "kit.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"

static size_t keys_left(const kit_t *k) {
    uint64_t bytes = 0;
    char path[512];
    (void)k;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "keys/chain-1.pem"));
    if (!rdg_file_exists(path)) return 0;
    CHECK_OK(rdg_tree_size(path, &bytes));
    return 1;
}

static void check_once(kit_t *k, const char *type, size_t devices) {
    CHECK_EQ(kit_commands(k, type), devices);
}

TEST(chain_is_created_on_four_devices_and_destroyed_by_its_name) {
    kit_t k;
    json_t *c, *a;
    kit_open(&k);
    kit_create(&k, 4);
    c = kit_wait_chain(&k, "c", "running");
    CHECK(json_integer_value(json_object_get(c, "running_ms")) > 0);
    CHECK_EQ(json_array_size(json_object_get(c, "devices")), 4);
    CHECK_EQ(json_integer_value(json_object_get(json_array_get(json_object_get(c, "devices"), 1), "height")),
             4);
    json_decref(c);
    check_once(&k, "chain.prepare", 4);
    check_once(&k, "chain.start", 4);
    /* Every node was given the same genesis, with all validators, and all peers. */
    const json_t *params = k.p.commands[7].params, *genesis = json_object_get(params, "genesis");
    CHECK(json_equal(genesis, json_object_get(k.p.commands[4].params, "genesis")));
    CHECK_EQ(json_array_size(json_object_get(genesis, "validators")), 4);
    CHECK_EQ(json_array_size(json_object_get(genesis, "admins")), 1);
    CHECK_EQ(json_array_size(json_object_get(params, "peers")), 4);
    /* And the certificates for its own requests. */
    CHECK_STR(kit_text(json_object_get(params, "certificates"), "enc"), k.p.commands[7].device);
    CHECK_EQ(k.p.certified[3], 1);
    CHECK_EQ(keys_left(&k), 1);

    static const char *const wrong[] = {"/chains/c", "/chains/c?discard=", "/chains/c?discard=C",
                                        "/chains/c?discard=yes"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
        CHECK_EQ(kit_call(&k, "DELETE", wrong[i], NULL, &a), 409);
        CHECK(strstr(kit_error(a, "message"), "in a verified archive"));
        CHECK(strstr(kit_error(a, "message"), "--discard c"));
        json_decref(a);
    }
    check_once(&k, "chain.remove", 0);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c?discard=c", NULL, NULL), 202);
    c = kit_wait_chain(&k, "c", "destroyed");
    CHECK_EQ(json_integer_value(json_object_get(c, "freed_bytes")), 4000);
    json_decref(c);
    check_once(&k, "chain.remove", 4);
    CHECK_EQ(keys_left(&k), 0);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c?discard=c", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "GET", "/chains", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "chains")), 0);
    json_decref(a);
    /* Its name is free again, and the new chain's commands are others. */
    kit_create(&k, 4);
    json_decref(kit_wait_chain(&k, "c", "running"));
    check_once(&k, "chain.prepare", 8);
    kit_close(&k);
}

TEST(chain_creation_names_the_device_that_fails_and_goes_on_after_a_retry) {
    kit_t k;
    json_t *c, *a;
    kit_open(&k);
    k.p.on_prepare[2] = OUTCOME_FAIL;
    kit_create(&k, 4);
    c = kit_wait_chain(&k, "c", "failed");
    CHECK(strstr(kit_text(c, "error"), "device 'dev-3' could not prepare: the disk is gone"));
    json_decref(c);
    check_once(&k, "chain.start", 0);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/retry", "{\"device\":\"dev-1\"}", &a), 409);
    CHECK(strstr(kit_error(a, "message"), "dev-1"));
    json_decref(a);
    k.p.on_prepare[2] = OUTCOME_DONE;
    k.p.on_start[0] = OUTCOME_FAIL;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/retry", "{\"device\":\"dev-3\"}", NULL), 202);
    c = kit_wait_chain(&k, "c", "failed");
    CHECK(strstr(kit_text(c, "error"), "device 'dev-1' could not start"));
    json_decref(c);
    k.p.on_start[0] = OUTCOME_DONE;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/retry", NULL, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "running"));
    check_once(&k, "chain.prepare", 5); /* four, and one again */
    check_once(&k, "chain.start", 5);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/retry", NULL, NULL), 409);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/cancel", NULL, NULL), 409);
    kit_close(&k);
}

TEST(chain_creation_that_is_cancelled_is_removed_everywhere) {
    kit_t k;
    kit_open(&k);
    for (int i = 0; i < 4; ++i) k.p.on_start[i] = OUTCOME_HOLD;
    kit_create(&k, 4);
    kit_wait_commands(&k, "chain.start", 4);
    k.p.on_remove[1] = OUTCOME_FAIL;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/cancel", NULL, NULL), 202);
    kit_wait_commands(&k, "chain.remove", 4);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c?discard=c", NULL, NULL), 202); /* it is on its way already */
    k.p.on_remove[1] = OUTCOME_DONE;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/retry", NULL, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "cancelled"));
    check_once(&k, "chain.remove", 5);
    CHECK_EQ(keys_left(&k), 0);
    for (size_t i = 0; i < k.p.count; ++i) /* none of them may start after the removal */
        if (strcmp(k.p.commands[i].type, "chain.start") == 0) CHECK_STR(k.p.commands[i].state, "cancelled");
    kit_close(&k);
}

/* The cloud is restarted while every device holds its prepare, then its start, then its remove: nothing is
 * done twice. */
TEST(chain_workflow_goes_on_after_a_restart_of_the_cloud_at_each_step) {
    kit_t k;
    kit_open(&k);
    for (int i = 0; i < 4; ++i) k.p.on_prepare[i] = k.p.on_start[i] = k.p.on_remove[i] = OUTCOME_HOLD;
    kit_create(&k, 4);
    kit_wait_commands(&k, "chain.prepare", 4);
    kit_stop_baas(&k);
    kit_release(&k, "chain.prepare", 0, OUTCOME_DONE); /* while the cloud is away */
    kit_start_baas(&k);
    kit_release(&k, "chain.prepare", FAKE_DEVICES, OUTCOME_DONE);
    kit_wait_commands(&k, "chain.start", 4);
    kit_stop_baas(&k);
    kit_release(&k, "chain.start", FAKE_DEVICES, OUTCOME_DONE);
    k.p.height = 0;
    kit_start_baas(&k);
    json_decref(kit_wait_chain(&k, "c", "creating"));
    kit_stop_baas(&k);
    k.p.height = 1;
    kit_start_baas(&k);
    json_decref(kit_wait_chain(&k, "c", "running"));
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c?discard=c", NULL, NULL), 202);
    kit_wait_commands(&k, "chain.remove", 4);
    kit_stop_baas(&k);
    kit_release(&k, "chain.remove", FAKE_DEVICES, OUTCOME_DONE);
    kit_start_baas(&k);
    json_decref(kit_wait_chain(&k, "c", "destroyed"));
    check_once(&k, "chain.prepare", 4);
    check_once(&k, "chain.start", 4);
    check_once(&k, "chain.remove", 4);
    kit_close(&k);
}

/* The platform has the command; who ordered it does not know. */
static void lose_an_answer(rdg_err_t how) {
    kit_t k;
    kit_open(&k);
    for (size_t i = 0; i < 4; ++i) k.p.on_prepare[i] = OUTCOME_HOLD;
    k.p.on_order = how;
    kit_create(&k, 4);
    kit_wait_commands(&k, "chain.prepare", 4);
    kit_release(&k, "chain.prepare", FAKE_DEVICES, OUTCOME_DONE);
    json_decref(kit_wait_chain(&k, "c", "running"));
    CHECK_EQ(kit_commands(&k, "chain.prepare"), 4);
    kit_close(&k);
}

TEST(chain_step_whose_answer_was_cut_off_is_asked_for_again) {
    lose_an_answer(RDG_E_CLOSED);
}

TEST(chain_step_that_a_stranger_answered_is_asked_for_again) {
    lose_an_answer(RDG_E_PROTOCOL);
}

TEST(chain_step_that_found_the_clouds_disk_full_is_asked_for_again) {
    lose_an_answer(RDG_E_DISK_FULL);
}

TEST(chain_refuses_devices_that_gave_one_key) {
    kit_t k;
    json_t *c;
    kit_open(&k);
    rdg_sm2_key_free(k.p.keys[3]);
    k.p.keys[3] = NULL;
    char path[512];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "copied.pem"));
    CHECK_OK(rdg_sm2_key_save(k.p.keys[0], path));
    CHECK_OK(rdg_sm2_key_load(path, &k.p.keys[3]));
    kit_create(&k, 4);
    c = kit_wait_chain(&k, "c", "failed");
    CHECK(strstr(kit_text(c, "error"), "'dev-1' and 'dev-4' gave the same node key"));
    json_decref(c);
    check_once(&k, "chain.start", 0);
    kit_close(&k);
}

TEST(chain_creation_is_refused_when_it_cannot_succeed) {
    static const struct {
        const char *body, *says;
        unsigned status;
    } cases[] = {
        {"{}", "name", 400},
        {"{\"name\":\"C!\",\"devices\":[\"dev-1\"]}", "cannot be a chain's name", 400},
        {"{\"name\":\"c\",\"devices\":[]}", "1 to 64", 400},
        {"{\"name\":\"c\",\"devices\":\"dev-1\"}", "devices", 400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-1\",\"dev-3\"]}", "'dev-1' is given twice",
         400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-3\"]}",
         "3 devices tolerate 0 faults under PBFT (4 tolerate 1, 1 to 3 tolerate 0): add devices or pass "
         "--allow-no-fault-tolerance",
         400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\"]}", "1 device tolerates 0", 400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-3\",\"nobody\"]}", "'nobody' does not exist",
         404},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-3\",\"dev-5\"]}", "'dev-5' is offline", 503},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\"],\"consensus\":\"raft\"}",
         "2 devices tolerate 0 faults under Raft (3 tolerate 1, 5 tolerate 2): add devices or pass "
         "--allow-no-fault-tolerance",
         400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\"],\"consensus\":\"luck\"}", "pbft or raft", 400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\"],\"driver\":\"vm\"}", "driver", 400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\"],\"driver\":\"process\",\"image\":\"x\"}", "image", 400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\"],\"memory_bytes\":1}", "64 MiB", 400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\"],\"params\":[]}", "params", 400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\"],\"params\":{\"snapshot_gap\":0}}", "snapshot_gap", 400},
        {"{\"name\":\"c\",\"devices\":[\"dev-1\"],\"params\":{\"snapshot_gap\":\"x\"}}", "snapshot_gap",
         400}};
    kit_t k;
    json_t *a;
    kit_open(&k);
    k.p.offline[4] = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        unsigned status = kit_call(&k, "POST", "/chains", cases[i].body, &a);
        CHECK_EQ(status, cases[i].status);
        if (!strstr(kit_error(a, "message"), cases[i].says))
            CHECK_STR(kit_error(a, "message"), cases[i].says);
        json_decref(a);
    }
    CHECK_EQ(k.p.count, 0);
    CHECK_EQ(
        kit_call(
            &k, "POST", "/chains",
            "{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-3\"],\"allow_no_fault_tolerance\":true}",
            NULL),
        202);
    json_decref(kit_wait_chain(&k, "c", "running"));
    CHECK_EQ(kit_call(&k, "POST", "/chains",
                      "{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-3\",\"dev-4\"]}", &a),
             409);
    CHECK_STR(kit_error(a, "code"), "EXISTS");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/chains/nothing", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "GET", "/chains/nothing/events", NULL, NULL), 404);
    kit_close(&k);
}

/* It is not the genesis's: each node's start carries it. */
TEST(chain_tells_its_nodes_from_when_on_they_take_a_snapshot) {
    kit_t k;
    size_t starts = 0;
    kit_open(&k);
    CHECK_EQ(kit_call(&k, "POST", "/chains",
                      "{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-3\",\"dev-4\"],"
                      "\"params\":{\"block_interval_ms\":70,\"snapshot_gap\":5000}}",
                      NULL),
             202);
    json_decref(kit_wait_chain(&k, "c", "running"));
    for (size_t i = 0; i < k.p.count; ++i) {
        const json_t *params = k.p.commands[i].params, *genesis = json_object_get(params, "genesis");
        if (strcmp(k.p.commands[i].type, "chain.start") != 0) continue;
        ++starts;
        CHECK_EQ(json_integer_value(json_object_get(params, "snapshot_gap")), 5000);
        const json_t *of_genesis = json_object_get(genesis, "params");
        CHECK_EQ(json_integer_value(json_object_get(of_genesis, "block_interval_ms")), 70);
        CHECK(!json_object_get(of_genesis, "snapshot_gap"));
    }
    CHECK_EQ(starts, 4);
    kit_close(&k);
}

TEST(chain_with_nonsense_in_its_parameters_fails_and_says_so) {
    kit_t k;
    json_t *c;
    kit_open(&k);
    CHECK_EQ(kit_call(&k, "POST", "/chains",
                      "{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-3\",\"dev-4\"],"
                      "\"params\":{\"block_interval_ms\":\"often\"}}",
                      NULL),
             202);
    c = kit_wait_chain(&k, "c", "failed");
    CHECK(strstr(kit_text(c, "error"), "block_interval_ms"));
    json_decref(c);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/cancel", NULL, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "cancelled"));
    kit_close(&k);
}

typedef struct watcher {
    pthread_t thread;
    uint16_t port;
    unsigned status;
} watcher_t;

static void *watch(void *arg) {
    watcher_t *w = arg;
    char url[128];
    rdg_http_client_t *http;
    rdg_http_answer_t got;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v1/chains/c/events?after=1000000", w->port);
    const char *headers[] = {"Authorization: Bearer secret"};
    rdg_http_call_t call = {.method = "GET", .url = url, .headers = headers, .header_count = 1};
    if (rdg_http_client_new(&http) != RDG_OK) return NULL;
    if (rdg_http_call(http, &call, &got) == RDG_OK) {
        w->status = got.status;
        rdg_http_answer_fini(&got);
    }
    rdg_http_client_free(http);
    return NULL;
}

TEST(many_who_wait_for_events_leave_room_for_others) {
    enum { WATCHERS = 40 };
    kit_t k;
    static watcher_t watchers[WATCHERS];
    kit_open(&k);
    kit_create(&k, 4);
    json_decref(kit_wait_chain(&k, "c", "running"));
    for (int i = 0; i < WATCHERS; ++i) {
        watchers[i].port = rdg_service_port(k.service);
        CHECK_EQ(pthread_create(&watchers[i].thread, NULL, watch, &watchers[i]), 0);
    }
    uint64_t start = baas_mono();
    for (int i = 0; i < 20; ++i) CHECK_EQ(kit_call(&k, "GET", "/chains", NULL, NULL), 200);
    CHECK(baas_mono() - start < 20000);
    rdg_baas_stop(k.baas); /* and a stop wakes them all */
    for (int i = 0; i < WATCHERS; ++i) {
        pthread_join(watchers[i].thread, NULL);
        CHECK_EQ(watchers[i].status, 200);
    }
    CHECK(baas_mono() - start < 24000);
    kit_close(&k);
}

TEST(chain_of_a_device_that_gets_no_certificates_fails_with_its_name_and_the_reason) {
    kit_t k;
    json_t *c;
    kit_open(&k);
    k.p.on_certify[2] = RDG_E_FORBIDDEN;
    kit_create(&k, 4);
    c = kit_wait_chain(&k, "c", "failed");
    CHECK(strstr(kit_text(c, "error"), "dev-3"));
    CHECK(strstr(kit_text(c, "error"), "the CA says no"));
    json_decref(c);
    k.p.on_certify[2] = RDG_OK;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/retry", NULL, NULL), 202);
    c = kit_wait_chain(&k, "c", "running");
    json_decref(c);
    kit_close(&k);
}
