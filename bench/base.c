/* What layer 0 costs, against the plain C way of doing the same in the same run. */
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ridge/base/assert.h"
#include "ridge/base/buf.h"
#include "ridge/base/clock.h"
#include "ridge/base/log.h"
#include "ridge/base/map.h"

enum { BATCH = 2000, KEYS = 10000, ROUNDS = 3 };
static const uint64_t ROUND_US = 200000;

static char keys[KEYS][24];
static int sink_fd;

static void log_ours(void) {
    for (uint64_t i = 0; i < BATCH; ++i)
        rdg_log(RDG_LOG_INFO, "ledger.commit", RDG_U64("height", i), RDG_STR("chain", "grid-7"),
                RDG_U64("txs", 512));
}

static void log_plain(void) {
    char line[512], when[32];
    for (unsigned i = 0; i < BATCH; ++i) {
        struct timespec t;
        struct tm tm;
        clock_gettime(CLOCK_REALTIME, &t);
        gmtime_r(&t.tv_sec, &tm);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
        int n = snprintf(line, sizeof line,
                         "{\"ts\":\"%s.%03dZ\",\"level\":\"%s\",\"event\":\"%s\",\"height\":%u,\"chain\":\"%"
                         "s\",\"txs\":%d}\n",
                         when, (int)(t.tv_nsec / 1000000), "info", "ledger.commit", i, "grid-7", 512);
        RDG_ASSERT(write(sink_fd, line, (size_t)n) == n);
    }
}

static void map_ours(void) {
    rdg_map_t *m = rdg_map_new(KEYS);
    for (int i = 0; i < KEYS; ++i)
        RDG_ASSERT(rdg_map_put(m, rdg_bytes_str(keys[i]), keys[i], NULL) == RDG_OK);
    for (int i = 0; i < KEYS; ++i) RDG_ASSERT(rdg_map_get(m, rdg_bytes_str(keys[i])) == keys[i]);
    rdg_map_free(m);
}

static int compare(const void *a, const void *b) {
    return strcmp(a, b);
}
static void keep(void *key) {
    (void)key;
}

static void map_plain(void) {
    void *root = NULL;
    for (int i = 0; i < KEYS; ++i) RDG_ASSERT(tsearch(keys[i], &root, compare) != NULL);
    for (int i = 0; i < KEYS; ++i) RDG_ASSERT(tfind(keys[i], &root, compare) != NULL);
    tdestroy(root, keep);
}

static void buf_ours(void) {
    rdg_buf_t b;
    rdg_buf_init(&b, 1 << 20);
    for (int i = 0; i < BATCH; ++i) rdg_buf_printf(&b, "%d,%s;", i, "reading");
    RDG_ASSERT(rdg_buf_err(&b) == RDG_OK);
    rdg_buf_fini(&b);
}

static void buf_plain(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    for (int i = 0; i < BATCH; ++i) fprintf(f, "%d,%s;", i, "reading");
    fclose(f);
    free(text);
}

/* The best of some rounds: the others had neighbours. */
static double per_second(void (*work)(void), double operations) {
    const rdg_clock_t *clock = rdg_clock_system();
    double best = 0;
    for (int round = 0; round < ROUNDS; ++round) {
        uint64_t start = rdg_mono_us(clock), now = start;
        double done = 0;
        for (; now - start < ROUND_US; now = rdg_mono_us(clock)) work(), done += operations;
        double rate = done * 1e6 / (double)(now - start);
        if (rate > best) best = rate;
    }
    return best;
}

int main(void) {
    static const struct {
        const char *what, *name, *baseline;
        void (*ours)(void), (*plain)(void);
        double operations;
    } cases[] = {
        {"log lines", "log_lines_per_s", "snprintf_write_lines_per_s", log_ours, log_plain, BATCH},
        {"map operations", "map_ops_per_s", "tsearch_ops_per_s", map_ours, map_plain, 2 * KEYS},
        {"formatted appends", "buf_printf_per_s", "memstream_fprintf_per_s", buf_ours, buf_plain, BATCH},
    };
    sink_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    rdg_log_set_fd(sink_fd);
    for (int i = 0; i < KEYS; ++i) snprintf(keys[i], sizeof keys[i], "meter-%08x", (unsigned)i * 2654435761u);
    char json[1024] = "{";
    size_t len = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        double ours = per_second(cases[i].ours, cases[i].operations);
        double plain = per_second(cases[i].plain, cases[i].operations);
        printf("%-18s %12.0f/s; the plain way %12.0f/s\n", cases[i].what, ours, plain);
        len += (size_t)snprintf(json + len, sizeof json - len, "%s\"%s\":%.0f,\"%s\":%.0f", i ? "," : "",
                                cases[i].name, ours, cases[i].baseline, plain);
    }
    printf("%s}\n", json);
    return 0;
}
