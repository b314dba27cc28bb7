/* What waits on disk for the cloud: order, budget, restarts, damage; and what the host tells of itself. */
#include "host_stats.h"
#include "spool.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ridge/base/file.h"
#include "ridge/test.h"

static spool_t *open_spool(uint64_t max_bytes, bool drops) {
    char dir[PATH_MAX];
    spool_t *s = NULL;
    snprintf(dir, sizeof dir, "%s/spool", rdg_test_dir());
    spool_options_t o = {.dir = dir, .max_bytes = max_bytes, .drops = drops};
    CHECK_OK(spool_open(&o, &s));
    return s;
}

static rdg_err_t put(spool_t *s, unsigned n, size_t len) {
    char text[4096];
    memset(text, 'x', sizeof text);
    snprintf(text, sizeof text, "%08u", n);
    text[8] = 'x';
    rdg_bytes_t one = rdg_bytes(text, len);
    return spool_put(s, &one, 1);
}

/* Takes up to max, checks that they go up by one from *next, and drops them. */
static size_t take(spool_t *s, unsigned *next, size_t max, bool drop) {
    rdg_bytes_t got[SPOOL_PEEK_MAX];
    rdg_buf_t bytes;
    size_t n;
    rdg_buf_init(&bytes, 4u << 20);
    CHECK_OK(spool_peek(s, 1u << 20, max, &bytes, got, &n));
    for (size_t i = 0; i < n; ++i) {
        unsigned value = 0;
        CHECK(sscanf((const char *)got[i].data, "%8u", &value) == 1);
        CHECK_EQ(value, *next + i);
    }
    if (drop) {
        spool_drop(s);
        *next += (unsigned)n;
    }
    rdg_buf_fini(&bytes);
    return n;
}

TEST(spool_gives_back_in_order_what_it_took_also_after_a_restart) {
    spool_t *s = open_spool(8u << 20, false);
    spool_stats_t st;
    unsigned next = 0;
    for (unsigned i = 0; i < 500; ++i) CHECK_OK(put(s, i, 1000));
    CHECK_EQ(take(s, &next, 50, true), 50);
    CHECK_EQ(take(s, &next, 50, false), 50); /* looked at and not dropped: they stay */
    spool_stats(s, &st);
    CHECK_EQ(st.items, 450);
    spool_close(s);
    s = open_spool(8u << 20, false);
    next = 0; /* of the segment that was half done, all come again */
    size_t total = 0, n;
    while ((n = take(s, &next, 100, true)) > 0) total += n;
    CHECK_EQ(total, 500);
    spool_stats(s, &st);
    CHECK(st.items == 0 && st.bytes == 0);
    spool_close(s);
}

TEST(spool_that_is_full_refuses_and_takes_again_when_something_went) {
    spool_t *s = open_spool(64u << 10, false);
    unsigned n = 0, next = 0;
    rdg_err_t err;
    while ((err = put(s, n, 1000)) == RDG_OK) ++n;
    CHECK_EQ(err, RDG_E_FULL);
    CHECK(n >= 60 && n < 66);
    while (take(s, &next, 20, true) > 0) {
    }
    CHECK_EQ(next, n);
    CHECK_OK(put(s, n, 1000));
    spool_close(s);
}

TEST(spool_that_drops_keeps_the_newest) {
    spool_t *s = open_spool(64u << 10, true);
    spool_stats_t st;
    for (unsigned i = 0; i < 1000; ++i) CHECK_OK(put(s, i, 1000));
    spool_stats(s, &st);
    CHECK(st.bytes <= 64u << 10);
    CHECK_EQ(st.lost + st.items, 1000);
    unsigned next = (unsigned)st.lost;
    while (take(s, &next, 20, true) > 0) {
    }
    CHECK_EQ(next, 1000);
    spool_close(s);
}

/* What is looked at goes away under the reader when room is needed: the drop must not take newer ones. */
TEST(spool_drop_after_its_messages_were_given_up_takes_nothing_else) {
    spool_t *s = open_spool(64u << 10, true);
    rdg_bytes_t got[8];
    rdg_buf_t bytes;
    size_t n;
    spool_stats_t before, after;
    for (unsigned i = 0; i < 40; ++i) CHECK_OK(put(s, i, 1000));
    rdg_buf_init(&bytes, 1u << 20);
    CHECK_OK(spool_peek(s, 1u << 20, 8, &bytes, got, &n));
    CHECK_EQ(n, 8);
    for (unsigned i = 40; i < 200; ++i) CHECK_OK(put(s, i, 1000));
    spool_stats(s, &before);
    CHECK(before.lost > 8);
    spool_drop(s);
    spool_stats(s, &after);
    CHECK_EQ(after.items, before.items);
    rdg_buf_fini(&bytes);
    spool_close(s);
}

TEST(spool_steps_over_damage_and_a_torn_end) {
    char path[PATH_MAX];
    spool_t *s = open_spool(1u << 20, false);
    for (unsigned i = 0; i < 10; ++i) CHECK_OK(put(s, i, 100));
    spool_close(s);
    snprintf(path, sizeof path, "%s/spool/0000000000000001.log", rdg_test_dir());
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, "!", 1, 20) == 1);
    CHECK(ftruncate(fd, 113 * 10 - 5) == 0);
    close(fd);
    s = open_spool(1u << 20, false);
    unsigned next = 1;
    while (take(s, &next, 20, true) > 0) {
    }
    CHECK_EQ(next, 9);
    spool_close(s);
}

static void write_file(const char *root, const char *path, const char *text) {
    char full[PATH_MAX], *slash;
    snprintf(full, sizeof full, "%s%s", root, path);
    slash = strrchr(full, '/');
    *slash = '\0';
    CHECK_OK(rdg_dir_make(full, 0700));
    *slash = '/';
    CHECK_OK(rdg_file_replace(full, rdg_bytes_str(text), 0600));
}

TEST(host_stats_read_what_the_kernel_tells) {
    char root[PATH_MAX];
    uint64_t host[RDG_HOST_COUNT];
    host_stats_t s = {0};
    snprintf(root, sizeof root, "%s/root", rdg_test_dir());
    for (size_t i = 0; i < RDG_HOST_COUNT; ++i) host[i] = RDG_TELEMETRY_ABSENT;
    host_stats_read_at(&s, root, "/nowhere-at-all", host); /* nothing can be read: nothing is told */
    for (size_t i = 0; i < RDG_HOST_COUNT; ++i) CHECK_EQ(host[i], RDG_TELEMETRY_ABSENT);
    write_file(root, "/proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\n");
    write_file(root, "/proc/meminfo", "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 250 kB\n");
    write_file(root, "/proc/net/dev",
               "Inter-| Receive\n face |bytes\n    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n"
               "  eth0:1000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0\n wlan0: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n");
    write_file(root, "/proc/uptime", "1234.56 1.0\n");
    write_file(root, "/proc/loadavg", "0.42 0.1 0.1 1/1 1\n");
    write_file(root, "/sys/class/thermal/thermal_zone0/temp", "-274000\n");
    write_file(root, "/sys/class/thermal/thermal_zone1/temp", "56700\n");
    host_stats_read_at(&s, root, rdg_test_dir(), host);
    CHECK_EQ(host[RDG_HOST_CPU_PERMILLE], RDG_TELEMETRY_ABSENT); /* it takes two readings */
    CHECK_EQ(host[RDG_HOST_CPUS], 2);
    CHECK_EQ(host[RDG_HOST_MEMORY_USED_KIB], 750);
    CHECK_EQ(host[RDG_HOST_NET_RECEIVED_BYTES], 1001);
    CHECK_EQ(host[RDG_HOST_NET_SENT_BYTES], 2002);
    CHECK_EQ(host[RDG_HOST_UPTIME_S], 1234);
    CHECK_EQ(host[RDG_HOST_LOAD_CENTI], 42);
    CHECK(rdg_telemetry_celsius(host[RDG_HOST_TEMPERATURE_DK]) == 56.7);
    CHECK(host[RDG_HOST_DISK_TOTAL_KIB] != RDG_TELEMETRY_ABSENT);
    write_file(root, "/proc/stat", "cpu  200 0 200 800 200 0 0 0 0 0\nintr 5\n");
    host_stats_read_at(&s, root, rdg_test_dir(), host);
    CHECK_EQ(host[RDG_HOST_CPU_PERMILLE], 500);
}
