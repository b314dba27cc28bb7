/* Power cut, or the disk failing, at any call of pruning, compacting and importing that changes files: those of the block
 * files and those that RocksDB makes, of all its threads. Never is a block gone that no receipt covers, never is the mark
 * ahead of its receipt, never is less there than was acknowledged; and what was begun is ended by who tries again.
 * A run of the tests tries a sample of the calls; RIDGE_FAULTS=all tries each. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "prune_support.h"
#include "ridge/base/file.h"
#include "ridge/test_faults.h"
#include "snapshot_support.h"

enum { HEAD = 12, SAMPLE = 6 };

static rdg_genesis_t genesis;
static rdg_ledger_head_t truth;
static memory_file_t segments[3];

static void path_in(const char *dir, const char *name, char out[600]) {
    CHECK_OK(rdg_path_join(out, 600, dir, name));
}

/* RocksDB's threads do not live on in a forked child: who has children that open stores opens none itself. */
static void apart(void (*act)(const char *dir), const char *dir) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        act(dir);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

/* NULL: not without an error, which a fault may have made. */
static rdg_ledger_t *open_in(const char *dir) {
    char path[600];
    rdg_ledger_t *l = NULL;
    path_in(dir, "l", path);
    return rdg_ledger_open(path, &genesis, NULL, &l) == RDG_OK ? l : NULL;
}

static rdg_ledger_t *must_open_in(const char *dir) {
    rdg_ledger_t *l = open_in(dir);
    CHECK(l);
    return l;
}

typedef rdg_err_t (*import_fn)(rdg_archive_t *a, rdg_ledger_t *l, rdg_archive_progress_fn progress,
                               void *ctx);

static rdg_err_t import(rdg_ledger_t *l, const memory_file_t *f, import_fn how) {
    rdg_archive_t *a = NULL;
    CHECK_OK(memory_open(f, NULL, &a));
    rdg_err_t err = how(a, l, NULL, NULL);
    rdg_archive_close(a);
    return err;
}

static void check_head(rdg_ledger_t *l) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    CHECK_EQ(head.height, truth.height);
    CHECK(rdg_hash_equal(&head.hash, &truth.hash));
    CHECK(rdg_hash_equal(&head.state_root, &truth.state_root));
}

/* --- pruning ------------------------------------------------------------------------------------------ */

static void make_source(const char *dir) {
    rdg_ledger_t *l = must_open_in(dir);
    CHECK_OK(import(l, &segments[0], rdg_archive_import));
    rdg_ledger_close(l);
}

static void copy_source(const char *dir, unsigned char *acknowledged) {
    char source[600];
    (void)acknowledged;
    path_in(rdg_test_dir(), "l", source);
    (void)execlp("cp", "cp", "-a", source, dir, NULL);
    rdg_test_fail(__FILE__, __LINE__, "cp cannot be run");
}

static void prune_and_compact(const char *dir, unsigned char *acknowledged) {
    rdg_prune_result_t out;
    rdg_ledger_t *l = open_in(dir);
    if (!l) return;
    for (uint64_t below = 4; below < HEAD; below += 4) {
        if (prune(l, 1, HEAD, below, &out) != RDG_OK) break;
        acknowledged[0] = (unsigned char)(below - 1);
    }
    (void)rdg_kv_compact(rdg_ledger_kv(l));
    rdg_ledger_close(l);
}

static void check_pruned(const char *dir, unsigned char *acknowledged) {
    rdg_prune_result_t out;
    rdg_ledger_t *l = must_open_in(dir);
    CHECK(prune_check_after_a_cut(l, HEAD) >= acknowledged[0]);
    check_head(l);
    CHECK_OK(rdg_kv_check_files(rdg_ledger_kv(l)));
    CHECK_OK(prune(l, 1, HEAD, HEAD, &out));
    CHECK_EQ(prune_check_after_a_cut(l, HEAD), HEAD - 1);
    rdg_ledger_close(l);
}

static void begin(chain_t *c) {
    chain_open(c, "c");
    genesis = c->genesis;
    for (size_t i = 0; i < 3; ++i) memory_init(&segments[i]);
}

static void end(chain_t *c) {
    for (size_t i = 0; i < 3; ++i) memory_fini(&segments[i]);
    chain_close(c);
}

TEST(prune_and_compact_cut_off_at_any_call_lose_nothing_that_is_not_safe) {
    chain_t c;
    begin(&c);
    chain_grow(&c, HEAD, 2);
    rdg_ledger_head(c.l, &truth);
    archive_of(&c, 1, HEAD, NULL, &segments[0]);
    apart(make_source, rdg_test_dir());
    rdg_test_faults_walk(&(rdg_test_faults_plan_t){.first = RDG_FAULT_FAIL,
                                                   .last = RDG_FAULT_CUT_LOST,
                                                   .prepare = copy_source,
                                                   .act = prune_and_compact,
                                                   .check = check_pruned,
                                                   .sample = SAMPLE,
                                                   .may_abort = true});
    end(&c);
}

/* --- recovery ------------------------------------------------------------------------------------------- */

static const import_fn ways[] = {rdg_archive_import_headers, rdg_archive_import_state, rdg_archive_import};

/* Headers, the state, the blocks behind it; each goes on where it was. Returns how many are in. */
static unsigned recover(rdg_ledger_t *l) {
    static const uint64_t ends[] = {4, 8, HEAD};
    for (unsigned i = 0; i < 3; ++i) {
        rdg_ledger_head_t head;
        rdg_ledger_head(l, &head);
        if (head.height >= ends[i]) continue;
        if (import(l, &segments[i], ways[i]) != RDG_OK) return i;
    }
    return 3;
}

static void recover_in(const char *dir, unsigned char *acknowledged) {
    rdg_ledger_t *l = open_in(dir);
    if (!l) return;
    acknowledged[0] = (unsigned char)recover(l);
    rdg_ledger_close(l);
}

static void check_recovered(const char *dir, unsigned char *acknowledged) {
    rdg_ledger_head_t head;
    rdg_ledger_t *l = must_open_in(dir);
    rdg_ledger_head(l, &head);
    CHECK(head.height == 0 || head.height >= 8); /* nothing between: the state is in whole or not at all */
    CHECK(acknowledged[0] < 2 || head.height >= 8);
    CHECK(acknowledged[0] < 3 || head.height == HEAD);
    CHECK_EQ(recover(l), 3);
    check_head(l);
    rdg_ledger_close(l);
}

TEST(a_recovery_cut_off_at_any_call_goes_on_and_ends_with_the_same_ledger) {
    chain_t c;
    rdg_snapshot_pin_t *pin = NULL;
    rdg_archive_manifest_t m;
    begin(&c);
    chain_grow(&c, 6, 2);
    chain_fill(&c, 2);
    CHECK_OK(rdg_snapshot_pin_at(c.l, 8, &pin));
    rdg_archive_export_options_t o = {.from = 5, .to = 8, .signer = support_key(1), .state = pin};
    rdg_archive_sink_t sink = memory_sink(&segments[1]);
    CHECK_OK(rdg_archive_export(c.l, &o, &sink, &m));
    rdg_snapshot_unpin(pin);
    chain_grow(&c, HEAD, 2);
    rdg_ledger_head(c.l, &truth);
    archive_of(&c, 1, 4, NULL, &segments[0]);
    archive_of(&c, 9, HEAD, NULL, &segments[2]);
    rdg_test_faults_walk(&(rdg_test_faults_plan_t){.first = RDG_FAULT_FAIL,
                                                   .last = RDG_FAULT_CUT_LOST,
                                                   .act = recover_in,
                                                   .check = check_recovered,
                                                   .sample = SAMPLE,
                                                   .may_abort = true});
    end(&c);
}
