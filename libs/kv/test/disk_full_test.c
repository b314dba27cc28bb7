/* A disk without room: the store says so however full it is, at any moment, and has all that it acknowledged when there
 * is room again. It never ends the process. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "ridge/kv/kv.h"
#include "ridge/test.h"

enum { VALUE = 4000, ROUNDS = 15, WRITES_MAX = 4000 };

/* In a mount namespace of its own, so that nothing is left however the test ends. */
static void mount_small_disk(char path[600]) {
    snprintf(path, 600, "%.500s/disk", rdg_test_dir());
    CHECK_EQ(mkdir(path, 0700), 0);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("small", path, "tmpfs", 0, "size=12m") != 0)
        rdg_test_skip("a file system of its own needs root");
}

static void leave_free(const char *disk, uint64_t wanted) {
    static const char zeros[4096];
    char filler[700];
    struct statvfs fs;
    snprintf(filler, sizeof filler, "%.600s/filler", disk);
    (void)unlink(filler);
    int fd = open(filler, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) return; /* no room for as much as its name */
    CHECK_EQ(statvfs(disk, &fs), 0);
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    for (; room > wanted && write(fd, zeros, sizeof zeros) > 0; room -= sizeof zeros) {
    }
    close(fd);
}

static void value_of(unsigned number, uint8_t out[VALUE]) {
    uint32_t x = number * 2654435761u + 1;
    for (size_t i = 0; i < VALUE; ++i) {
        x = x * 1664525u + 1013904223u;
        out[i] = (uint8_t)(x >> 24);
    }
}

static void key_of(unsigned number, uint8_t out[4]) {
    const uint8_t key[4] = {(uint8_t)(number * 37), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                            (uint8_t)number};
    memcpy(out, key, sizeof key);
}

/* `count` rows from number on; many as tables. */
static rdg_err_t put(rdg_kv_t *kv, unsigned number, unsigned count) {
    uint8_t key[4], value[VALUE];
    rdg_kv_batch_t *b = rdg_kv_batch_new();
    for (unsigned i = number; i < number + count; ++i) {
        key_of(i, key);
        value_of(i, value);
        rdg_kv_batch_put(b, rdg_bytes(key, sizeof key), rdg_bytes(value, sizeof value));
    }
    rdg_err_t err = count > 1 ? rdg_kv_write_tables(kv, b, 0) : rdg_kv_write(kv, b, true);
    rdg_kv_batch_free(b);
    return err;
}

static void check_value(rdg_kv_t *kv, unsigned number) {
    uint8_t key[4], want[VALUE];
    rdg_buf_t out;
    key_of(number, key);
    rdg_buf_init(&out, 2 * VALUE);
    value_of(number, want);
    CHECK_OK(rdg_kv_get(kv, NULL, rdg_bytes(key, sizeof key), &out));
    CHECK_EQ(out.len, VALUE);
    CHECK_MEM(out.data, want, VALUE);
    rdg_buf_fini(&out);
}

static void fill_disk(unsigned rows) {
    char disk[600], path[700];
    const rdg_kv_options_t options = {.memory_bytes = 2u << 20, .create = true};
    rdg_kv_t *kv = NULL;
    unsigned acknowledged = 0, refused = 0, stopped = 0;
    mount_small_disk(disk);
    snprintf(path, sizeof path, "%.600s/db", disk);
    for (unsigned round = 0; round < ROUNDS; ++round) {
        rdg_err_t err = rdg_kv_open_rocksdb(path, &options, &kv);
        if (err != RDG_OK) {
            CHECK_EQ(err, RDG_E_DISK_FULL);
            ++refused;
        } else {
            for (unsigned i = 0; i < WRITES_MAX && (err = put(kv, acknowledged + 1, rows)) == RDG_OK; ++i)
                acknowledged += rows;
            CHECK_EQ(err, RDG_E_DISK_FULL);
            CHECK_ERR(put(kv, acknowledged + 1, rows), RDG_E_DISK_FULL);
            ++stopped;
            rdg_kv_close(kv);
        }
        leave_free(disk, round % 3 == 0 ? round * 4096 : (1u << 20) + round * 20000);
    }
    CHECK(refused > 0 && stopped > 1 && acknowledged > 100);
    CHECK_EQ(mount("small", disk, "tmpfs", MS_REMOUNT, "size=64m"), 0);
    CHECK_OK(rdg_kv_open_rocksdb(path, &options, &kv));
    for (unsigned i = 1; i <= acknowledged; ++i) check_value(kv, i);
    CHECK_OK(put(kv, acknowledged + 1, rows));
    rdg_kv_close(kv);
}

TEST(kv_with_a_full_disk_says_so_and_keeps_what_it_acknowledged) {
    fill_disk(1);
}

TEST(kv_with_a_full_disk_says_so_of_tables_too) {
    fill_disk(50);
}
