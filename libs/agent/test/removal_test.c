/* Power cuts while a chain is removed from a device, and while its ledger is set aside to be recovered. */
#include "set_aside.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define CHAIN "c1"
#define COMMAND "recover-1"
#define GONE_MS 60000
#define SAMPLE 6 /* of each fault; RIDGE_FAULTS=all for every write */

/* --- a chain, and a driver that runs nothing ------------------------------------------------------------ */

static rdg_err_t start_nothing(void *ctx, const rdg_container_spec_t *spec) {
    (void)ctx, (void)spec;
    return RDG_OK;
}

static rdg_err_t stop_nothing(void *ctx, const rdg_container_spec_t *spec, uint64_t grace_ms) {
    (void)ctx, (void)spec, (void)grace_ms;
    return RDG_OK;
}

static rdg_err_t remove_state(void *ctx, const rdg_container_spec_t *spec, uint64_t *freed) {
    (void)ctx;
    return rdg_tree_remove(spec->state_dir, freed);
}

/* So that the supervisor leaves it alone. */
static rdg_err_t all_runs(void *ctx, const rdg_container_spec_t *spec, rdg_container_status_t *out) {
    (void)ctx, (void)spec;
    *out = (rdg_container_status_t){.state = RDG_CONTAINER_RUNNING, .exit_status = -1};
    return RDG_OK;
}

static rdg_err_t nothing_to_watch(void *ctx, const rdg_container_spec_t *spec, int *fd) {
    (void)ctx;
    *fd = -1;
    return rdg_fail(RDG_E_NOT_FOUND, "%s does not run", spec->name);
}

static void changed(void *ctx) {
    (void)ctx;
}

static rdg_container_driver_t driver = {.name = "process",
                                        .start = start_nothing,
                                        .stop = stop_nothing,
                                        .remove = remove_state,
                                        .status = all_runs,
                                        .watch = nothing_to_watch};
static rdg_container_driver_t *const drivers[] = {&driver};

static rdg_err_t open_workloads(const char *dir, workloads_t **out) {
    return workloads_start(&(workloads_options_t){dir, drivers, 1, changed, NULL, NULL}, out);
}

/* Of the chain's directory; leaf NULL: itself. */
static const char *in(const char *dir, const char *leaf) {
    static char path[CHAIN_PATH_MAX];
    CHECK_OK(chain_path(dir, CHAIN, leaf, path));
    return path;
}

static void put(const char *dir, const char *leaf, const char *content) {
    char parent[CHAIN_PATH_MAX];
    snprintf(parent, sizeof parent, "%s", in(dir, leaf));
    *strrchr(parent, '/') = '\0';
    CHECK_OK(rdg_dir_make(parent, 0700));
    CHECK_OK(rdg_file_replace(in(dir, leaf), rdg_bytes_str(content), 0600));
}

static bool holds(const char *dir, const char *leaf, const char *content) {
    rdg_buf_t b;
    rdg_buf_init(&b, 4096);
    bool same = rdg_file_read(in(dir, leaf), &b) == RDG_OK && strcmp(rdg_buf_cstr(&b), content) == 0;
    rdg_buf_fini(&b);
    return same;
}

static bool there(const char *dir, const char *leaf) {
    return rdg_file_exists(in(dir, leaf));
}

static void make_chain(const char *dir, unsigned char *ack) {
    chain_t c = {.name = CHAIN, .driver = "process", .desired = CHAIN_RUNNING};
    (void)ack;
    CHECK_OK(chain_save(dir, &c));
    put(dir, "node/node.key", "key");
    put(dir, "node/genesis.json", "genesis");
    put(dir, "node/data/blocks/000001.blk", "blocks");
    put(dir, "node/data/db/CURRENT", "current");
    put(dir, "container/run", "state");
    put(dir, "peers.json", "peers");
}

static bool ledger_in(const char *dir, const char *data) {
    char blocks[128], current[128];
    snprintf(blocks, sizeof blocks, "node/%s/blocks/000001.blk", data);
    snprintf(current, sizeof current, "node/%s/db/CURRENT", data);
    return holds(dir, blocks, "blocks") && holds(dir, current, "current");
}

/* --- removing --------------------------------------------------------------------------------------------- */

static void remove_chain(const char *dir, unsigned char *ack) {
    workloads_t *w = NULL;
    uint64_t freed = 0;
    if (open_workloads(dir, &w) != RDG_OK) return;
    if (workloads_remove(w, CHAIN, &freed) == RDG_OK) ack[0] = 1;
    workloads_stop(w);
}

static void await_gone(const char *dir, const char *leaf) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + GONE_MS;
    while (there(dir, leaf) && rdg_mono_ms(rdg_clock_system()) < end) (void)poll(NULL, 0, 1);
    CHECK(!there(dir, leaf));
}

static void check_removed(const char *dir, unsigned char *ack) {
    workloads_t *w = NULL;
    chain_t c;
    uint64_t freed = 0;
    if (ack[0]) CHECK(!there(dir, NULL));
    bool known = chain_load(dir, CHAIN, &c) == RDG_OK;
    /* Nothing goes before it is known, durably, that all of it is to go. */
    if (known && c.desired == CHAIN_RUNNING)
        CHECK(ledger_in(dir, "data") && holds(dir, "node/node.key", "key"));
    else if (!known)
        CHECK(!there(dir, "node") && !there(dir, "container"));
    CHECK_OK(open_workloads(dir, &w));
    /* Without being told again. */
    if (known && c.desired == CHAIN_REMOVED) await_gone(dir, NULL);
    /* The command is in the agent's journal, so it is carried out again. */
    CHECK_OK(workloads_remove(w, CHAIN, &freed));
    workloads_stop(w);
    CHECK(!there(dir, NULL));
}

TEST(a_removal_that_is_cut_anywhere_ends_with_nothing_of_the_chain) {
    rdg_test_faults_walk(&(rdg_test_faults_plan_t){.first = RDG_FAULT_FAIL,
                                                   .last = RDG_FAULT_CUT_LOST,
                                                   .prepare = make_chain,
                                                   .act = remove_chain,
                                                   .check = check_removed,
                                                   .sample = SAMPLE});
}

/* --- setting aside ------------------------------------------------------------------------------------------- */

static void make_damaged(const char *dir, unsigned char *ack) {
    make_chain(dir, ack);
    put(dir, "node/damaged", "{}");
    put(dir, "node/restore/done", "1");
    put(dir, "node/data.damaged/blocks/000001.blk", "of an earlier recovery");
}

/* ack: 0: set aside; 1: a new ledger was there then; 2: ended. */
static void recover(const char *dir, unsigned char *ack) {
    workloads_t *w = NULL;
    chain_t c;
    uint64_t freed = 0;
    if (open_workloads(dir, &w) != RDG_OK) return;
    set_aside_t s = {dir, w, COMMAND, &c, false};
    if (workloads_get(w, CHAIN, &c) == RDG_OK && set_aside(&s) == RDG_OK) {
        ack[0] = 1;
        if (rdg_dir_make(in(dir, "node/data"), 0700) == RDG_OK &&
            rdg_file_replace(in(dir, "node/data/new"), rdg_bytes_str("new"), 0600) == RDG_OK)
            ack[1] = 1;
        if (ack[1] && set_aside_end(&s, &freed) == RDG_OK) ack[2] = 1;
    }
    workloads_stop(w);
}

static void check_set_aside(const char *dir, const unsigned char *ack) {
    bool in_place = ledger_in(dir, "data"), aside = ledger_in(dir, "data.damaged");
    if (!ack[1]) CHECK(in_place != aside);
    if (!in_place) CHECK(there(dir, "node/voted"));
    if (ack[0]) CHECK(!in_place && !there(dir, "node/damaged") && !there(dir, "node/restore"));
    if (ack[1]) CHECK(holds(dir, "node/data/new", "new"));
}

static void go_on(const char *dir, unsigned char *ack) {
    workloads_t *w = NULL;
    chain_t c;
    uint64_t freed = 0;
    check_set_aside(dir, ack);
    CHECK_OK(open_workloads(dir, &w));
    set_aside_t s = {dir, w, COMMAND, &c, false};
    CHECK_OK(workloads_get(w, CHAIN, &c));
    CHECK_OK(set_aside(&s));
    CHECK(set_aside_stage(&s) >= SET_ASIDE_DONE);
    if (!ack[1]) CHECK(ledger_in(dir, "data.damaged") && !ledger_in(dir, "data"));
    if (!there(dir, "node/data/new")) put(dir, "node/data/new", "new");
    CHECK_OK(set_aside_end(&s, &freed));
    CHECK(!there(dir, "node/data.damaged") && !there(dir, "node/recovering"));
    CHECK_OK(set_aside(&s)); /* its result was lost, and it runs again */
    CHECK_EQ(set_aside_stage(&s), SET_ASIDE_ENDED);
    CHECK(holds(dir, "node/data/new", "new"));
    s.command = "recover-2";
    CHECK_EQ(set_aside_stage(&s), 0);
    workloads_stop(w);
}

TEST(a_ledger_that_is_set_aside_is_whole_in_one_place_whatever_is_cut) {
    rdg_test_faults_walk(&(rdg_test_faults_plan_t){.first = RDG_FAULT_FAIL,
                                                   .last = RDG_FAULT_CUT_LOST,
                                                   .prepare = make_damaged,
                                                   .act = recover,
                                                   .check = go_on,
                                                   .sample = SAMPLE});
}
