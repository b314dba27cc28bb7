/* A node whose disk is full: it halts and says so, the chain goes on, and with room again it catches up. */
#include "chain_build.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/node/node.h"
#include "ridge/test.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define VICTIM 3
#define NEWCOMER 1
#define WAIT_MS 90000

/* In a mount namespace of its own, so that nothing is left however the test ends. */
static void mount_small_disk(cluster_t *c, size_t i, const char *size, char path[600]) {
    snprintf(path, 600, "%s/data", c->dirs[i]);
    CHECK_EQ(mkdir(path, 0700), 0);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("small", path, "tmpfs", 0, size) != 0)
        rdg_test_skip("a file system of its own needs root");
}

static void fill(const char *dir, char filler[700]) {
    static const char zeros[65536];
    snprintf(filler, 700, "%.600s/filler", dir);
    int fd = open(filler, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    for (size_t chunk = sizeof zeros; chunk > 0;)
        if (write(fd, zeros, chunk) < 0) {
            CHECK_EQ(errno, ENOSPC);
            chunk /= 2;
        }
    close(fd);
}

static void send_and_wait(cluster_t *c, size_t through, size_t seen_at) {
    char code[32];
    rdg_tx_t *tx = cluster_tx(c);
    cluster_send(c, through, tx->raw, code);
    CHECK_STR(code, "");
    json_decref(cluster_receipt(c, seen_at, &tx->id));
    rdg_tx_unref(tx);
}

TEST(a_node_with_a_full_disk_halts_by_name_and_catches_up_when_there_is_room) {
    cluster_t c;
    char disk[600], filler[700], halted[600] = "", code[32];
    cluster_init(&c, 4);
    mount_small_disk(&c, VICTIM, "size=16m", disk);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(&c, i, 1);
    send_and_wait(&c, VICTIM, VICTIM);
    fill(disk, filler);
    for (int i = 0; i < 300 && *halted == '\0'; ++i) {
        send_and_wait(&c, 0, 1);
        cluster_halted(&c, VICTIM, halted);
    }
    if (strncmp(halted, "DISK_FULL: ", 11) != 0)
        rdg_test_fail(__FILE__, __LINE__, "the node with the full disk says '%s'", halted);
    rdg_tx_t *tx = cluster_tx(&c);
    cluster_send(&c, VICTIM, tx->raw, code);
    CHECK_STR(code, "UNAVAILABLE");
    rdg_tx_unref(tx);
    uint64_t height = cluster_height(&c, VICTIM);
    for (int i = 0; i < 3; ++i) send_and_wait(&c, 1, 2);
    CHECK_EQ(cluster_height(&c, VICTIM), height);
    CHECK_EQ(unlink(filler), 0);
    CHECK_EQ(cluster_exit(&c, VICTIM), RDG_NODE_EXIT_RESTART);
    cluster_start(&c, VICTIM);
    cluster_wait_rpc(&c, VICTIM);
    cluster_check_agreement(&c, 1);
    send_and_wait(&c, VICTIM, VICTIM);
    cluster_fini(&c);
}

/* A line of the newcomer's log holds both. */
static bool logged(const cluster_t *c, const char *event, const char *with) {
    char path[600];
    rdg_buf_t log;
    bool found = false;
    rdg_buf_init(&log, 64u << 20);
    snprintf(path, sizeof path, "%s/node.log", c->dirs[NEWCOMER]);
    CHECK_OK(rdg_file_read(path, &log));
    CHECK_OK(rdg_buf_append(&log, "", 1));
    for (char *rest = (char *)log.data, *line; !found && (line = strsep(&rest, "\n"));)
        found = strstr(line, event) && strstr(line, with);
    rdg_buf_fini(&log);
    return found;
}

/* What it was that failed is logged after the node has halted. */
static void await_logged(const cluster_t *c, const char *event, const char *with) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    while (!logged(c, event, with) && rdg_mono_ms(rdg_clock_system()) < end) cluster_pause(20);
    CHECK(logged(c, event, with));
}

static void await_halted(cluster_t *c, size_t i, char halted[600]) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    *halted = '\0';
    while (*halted == '\0' && rdg_mono_ms(rdg_clock_system()) < end) {
        cluster_pause(20);
        cluster_halted(c, i, halted);
    }
}

/* What it cannot store was given by an honest peer: it is its own disk that is named. */
TEST(a_disk_that_gets_full_while_a_node_catches_up_is_named_and_no_peer) {
    cluster_t c;
    chain_build_t b;
    char disk[600], halted[600];
    cluster_init_observers(&c, 2, 1);
    chain_build_open(&b, &c, 0);
    chain_build_slots(&b, 0, 20000);
    uint64_t height = chain_build_close(&b);
    mount_small_disk(&c, NEWCOMER, "size=3m", disk);
    for (size_t i = 0; i < 2; ++i) cluster_start(&c, i);
    for (size_t i = 0; i < 2; ++i) cluster_wait_rpc(&c, i);
    await_halted(&c, NEWCOMER, halted);
    if (strncmp(halted, "DISK_FULL: ", 11) != 0)
        rdg_test_fail(__FILE__, __LINE__, "the node with the full disk says '%s'", halted);
    CHECK(cluster_height(&c, NEWCOMER) < height);
    await_logged(&c, "\"sync.failed\"", "\"code\":\"DISK_FULL\"");
    await_logged(&c, "\"sync.failed\"", c.dirs[NEWCOMER]);
    CHECK(!logged(&c, "\"sync.refused\"", "DISK_FULL"));
    CHECK_EQ(mount("small", disk, "tmpfs", MS_REMOUNT, "size=96m"), 0);
    CHECK_EQ(cluster_exit(&c, NEWCOMER), RDG_NODE_EXIT_RESTART);
    cluster_start(&c, NEWCOMER);
    cluster_wait_rpc(&c, NEWCOMER);
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    while (cluster_height(&c, NEWCOMER) < height && rdg_mono_ms(rdg_clock_system()) < end) cluster_pause(20);
    cluster_wait_height(&c, NEWCOMER, height);
    cluster_fini(&c);
}
