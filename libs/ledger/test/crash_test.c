/* Kills, torn tails, damaged files, full disks: the ledger comes back whole or says what is wrong. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ridge/base/file.h"
#include "support.h"

static void path_of(const char *name, char out[600]) {
    CHECK_OK(rdg_path_join(out, 600, rdg_test_dir(), name));
}

static void apply_one(rdg_ledger_t *l, uint64_t nonce) {
    rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.nonce = nonce, .value = 1})};
    CHECK_OK(support_apply(l, txs, 1, NULL));
}

static rdg_err_t open_dir(const rdg_genesis_t *g, rdg_kv_t *store, rdg_ledger_t **out) {
    char path[600];
    path_of("a", path);
    rdg_ledger_options_t options = {.store = store};
    return rdg_ledger_open(path, g, &options, out);
}

/* A RocksDB of the ledger's whose n-th write from now fails. */
static rdg_kv_t *failing_store(uint64_t n, rdg_err_t err) {
    char path[600];
    rdg_kv_t *kv = NULL, *faulty = NULL;
    path_of("a/db", path);
    CHECK_OK(rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){.create = true}, &kv));
    CHECK_OK(rdg_kv_open_faulty(kv, &faulty));
    rdg_kv_faulty_fail_at(faulty, n, err);
    return faulty;
}

static off_t size_of(const char *name) {
    char path[600];
    struct stat st;
    path_of(name, path);
    CHECK(stat(path, &st) == 0);
    return st.st_size;
}

TEST(ledger_full_disk_stops_it_at_the_old_head_until_reopened) {
    rdg_genesis_t g;
    rdg_ledger_t *l = NULL;
    rdg_ledger_head_t head, after;
    support_genesis(&g);
    CHECK_OK(open_dir(&g, failing_store(3, RDG_E_DISK_FULL), &l));
    apply_one(l, 1);
    rdg_ledger_head(l, &head);
    for (uint64_t i = 2; i <= 3; ++i) {
        rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.nonce = i})};
        CHECK_ERR(support_apply(l, txs, 1, NULL), RDG_E_DISK_FULL);
        rdg_ledger_head(l, &after);
        CHECK_MEM(&head, &after, sizeof head);
    }
    rdg_word_t balance;
    rdg_address_t rich = support_address(9);
    CHECK_OK(rdg_ledger_account(l, &rich, NULL, &balance, NULL));
    rdg_ledger_close(l);
    off_t with_tail = size_of("a/blocks/000001.blk");
    l = support_open("a", &g);
    CHECK(size_of("a/blocks/000001.blk") < with_tail);
    rdg_ledger_head(l, &after);
    CHECK_MEM(&head, &after, sizeof head);
    apply_one(l, 2);
    rdg_ledger_close(l);
}

TEST(ledger_block_file_that_cannot_grow_is_a_full_disk) {
    rdg_genesis_t g;
    rdg_ledger_t *l = NULL;
    support_genesis(&g);
    rdg_kv_t *memory = NULL;
    CHECK_OK(rdg_kv_open_memory(&memory));
    CHECK_OK(open_dir(&g, memory, &l));
    apply_one(l, 1);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {(rlim_t)size_of("a/blocks/000001.blk") + 100, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.nonce = 2})};
    CHECK_ERR(support_apply(l, txs, 1, NULL), RDG_E_DISK_FULL);
    rdg_tx_t *more[1] = {support_tx((tx_spec_t){.nonce = 3})};
    CHECK_ERR(support_apply(l, more, 1, NULL), RDG_E_DISK_FULL);
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    CHECK_EQ(head.height, 1);
    rdg_ledger_close(l);
}

/* The body is appended, the batch is not: killed exactly between the two. */
TEST(ledger_killed_between_body_and_batch_comes_back_at_the_old_head) {
    rdg_genesis_t g;
    support_genesis(&g);
    pid_t child = fork();
    if (child == 0) {
        rdg_ledger_t *l = NULL;
        if (open_dir(&g, failing_store(3, RDG_E_IO), &l) != RDG_OK) _exit(1);
        apply_one(l, 1);
        rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.nonce = 2})};
        if (support_apply(l, txs, 1, NULL) != RDG_E_IO) _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    rdg_ledger_t *l = support_open("a", &g);
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    CHECK_EQ(head.height, 1);
    apply_one(l, 2);
    rdg_ledger_close(l);
}

/* In a process of its own: tells the height it found, then each height that it was told is durable. */
static void run_until_killed(const rdg_genesis_t *g, int out) {
    rdg_ledger_head_t head;
    rdg_ledger_t *l = support_open("a", g);
    rdg_ledger_head(l, &head);
    for (uint64_t height = head.height;; ++height) {
        if (write(out, &height, sizeof height) != sizeof height) _exit(1);
        apply_one(l, height + 1);
    }
}

/* What was acknowledged is there, however the process ended; at most one block more, whose word was lost. */
TEST(ledger_killed_at_any_moment_keeps_what_it_acknowledged) {
    rdg_genesis_t g;
    uint64_t acknowledged = 0;
    support_genesis(&g);
    for (int round = 0; round < 8; ++round) {
        int pipes[2];
        uint64_t found, height;
        CHECK(pipe(pipes) == 0);
        pid_t child = fork();
        if (child == 0) run_until_killed(&g, pipes[1]);
        close(pipes[1]);
        CHECK(read(pipes[0], &found, sizeof found) == sizeof found);
        CHECK(found >= acknowledged && found <= acknowledged + 1);
        uint64_t wanted = found + 1 + rdg_random_below(rdg_test_random(), 6);
        for (acknowledged = found; acknowledged < wanted; acknowledged = height)
            CHECK(read(pipes[0], &height, sizeof height) == sizeof height);
        kill(child, SIGKILL);
        CHECK(waitpid(child, NULL, 0) == child);
        while (read(pipes[0], &height, sizeof height) == sizeof height) acknowledged = height;
        close(pipes[0]);
    }
}

TEST(ledger_torn_tail_is_cut_off) {
    rdg_genesis_t g;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("a", &g);
    apply_one(l, 1);
    rdg_ledger_close(l);
    char path[600];
    path_of("a/blocks/000001.blk", path);
    off_t whole = size_of("a/blocks/000001.blk");
    int fd = open(path, O_WRONLY | O_APPEND);
    CHECK(write(fd, "half a record", 13) == 13);
    close(fd);
    path_of("a/blocks/000002.blk", path);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("a later file"), 0600));
    l = support_open("a", &g);
    CHECK_EQ(size_of("a/blocks/000001.blk"), whole);
    CHECK(!rdg_file_exists(path));
    apply_one(l, 2);
    rdg_ledger_close(l);
}

static void damage(const char *name, off_t at) {
    char path[600];
    uint8_t byte;
    path_of(name, path);
    int fd = open(path, O_RDWR);
    CHECK(pread(fd, &byte, 1, at) == 1);
    byte ^= 0x40;
    CHECK(pwrite(fd, &byte, 1, at) == 1);
    close(fd);
}

TEST(ledger_damaged_block_is_named_with_file_and_offset) {
    rdg_genesis_t g;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("a", &g);
    apply_one(l, 1);
    off_t second = size_of("a/blocks/000001.blk");
    apply_one(l, 2);
    apply_one(l, 3);
    rdg_ledger_close(l);
    l = support_open("a", &g);
    rdg_block_t *b = NULL;
    char offset[64];
    damage("a/blocks/000001.blk", second + 100);
    CHECK_ERR(rdg_ledger_block(l, 2, &b), RDG_E_CORRUPT);
    snprintf(offset, sizeof offset, "offset %lld", (long long)second);
    CHECK(strstr(rdg_err_message(RDG_E_CORRUPT), "000001.blk") &&
          strstr(rdg_err_message(RDG_E_CORRUPT), offset));
    CHECK_OK(rdg_ledger_block(l, 1, &b));
    rdg_block_unref(b);
    CHECK_OK(rdg_ledger_block(l, 3, &b));
    rdg_block_unref(b);
    rdg_ledger_close(l);
}

TEST(ledger_does_not_open_on_a_damaged_or_short_last_block) {
    rdg_genesis_t g;
    rdg_ledger_t *l = NULL;
    char path[600];
    support_genesis(&g);
    l = support_open("a", &g);
    apply_one(l, 1);
    rdg_ledger_close(l);
    damage("a/blocks/000001.blk", 100);
    CHECK_ERR(open_dir(&g, NULL, &l), RDG_E_CORRUPT);
    damage("a/blocks/000001.blk", 100);
    CHECK_OK(open_dir(&g, NULL, &l));
    rdg_ledger_close(l);
    path_of("a/blocks/000001.blk", path);
    CHECK(truncate(path, size_of("a/blocks/000001.blk") - 1) == 0);
    CHECK_ERR(open_dir(&g, NULL, &l), RDG_E_CORRUPT);
    CHECK(strstr(rdg_err_message(RDG_E_CORRUPT), "000001.blk"));
    CHECK(unlink(path) == 0);
    CHECK_ERR(open_dir(&g, NULL, &l), RDG_E_CORRUPT);
    CHECK(strstr(rdg_err_message(RDG_E_CORRUPT), "missing"));
}

TEST(ledger_does_not_open_when_state_and_head_disagree) {
    rdg_genesis_t g;
    rdg_kv_t *kv = NULL;
    char path[600];
    support_genesis(&g);
    rdg_ledger_t *l = support_open("a", &g);
    apply_one(l, 1);
    rdg_ledger_close(l);
    path_of("a/db", path);
    CHECK_OK(rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){0}, &kv));
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    CHECK_OK(rdg_kv_iter_open(kv, NULL, rdg_bytes_str("N"), rdg_bytes_str(""), &it));
    CHECK(rdg_kv_iter_next(it, &key, &value));
    rdg_kv_batch_delete(batch, key);
    rdg_kv_iter_close(it);
    CHECK_OK(rdg_kv_write(kv, batch, true));
    rdg_kv_batch_free(batch);
    rdg_kv_close(kv);
    CHECK_ERR(open_dir(&g, NULL, &l), RDG_E_CORRUPT);
    CHECK(strstr(rdg_err_message(RDG_E_CORRUPT), "root of block 1"));
}
