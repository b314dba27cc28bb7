/* A node whose disk is full: it halts and says so, the chain goes on, and with room again it catches up. */
#include "cluster.h"
#include "ridge/node/node.h"
#include "ridge/test.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define VICTIM 3

/* In a mount namespace of its own, so that nothing is left however the test ends. */
static void mount_small_disk(cluster_t *c, char path[600]) {
    snprintf(path, 600, "%s/data", c->dirs[VICTIM]);
    CHECK_EQ(mkdir(path, 0700), 0);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("small", path, "tmpfs", 0, "size=16m") != 0)
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
    mount_small_disk(&c, disk);
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
