#include "host_stats.h"
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512
#define ZONES_MAX 64
/* Sensors that are broken tell such numbers. */
#define MILLI_C_MIN (-60000)
#define MILLI_C_MAX 200000

static FILE *open_at(const char *root, const char *path) {
    char full[PATH_MAX];
    int n = snprintf(full, sizeof full, "%s%s", root, path);
    return n > 0 && n < (int)sizeof full ? fopen(full, "re") : NULL;
}

static void read_cpu(host_stats_t *s, const char *root, uint64_t *host) {
    char line[LINE_MAX_BYTES];
    uint64_t v[8] = {0}, all = 0;
    FILE *f = open_at(root, "/proc/stat");
    if (!f) return;
    /* user nice system idle iowait irq softirq steal: guest time is in user already */
    bool got =
        fgets(line, sizeof line, f) && sscanf(line,
                                              "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                                              " %" SCNu64 " %" SCNu64 " %" SCNu64,
                                              &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) >= 4;
    uint64_t cpus = 0;
    while (got && fgets(line, sizeof line, f)) {
        if (strncmp(line, "cpu", 3) == 0) ++cpus;
        if (strncmp(line, "intr", 4) == 0) break; /* long, and all cpus came before */
    }
    fclose(f);
    if (!got) return;
    for (size_t i = 0; i < 8; ++i) all += v[i];
    uint64_t busy = all - v[3] - v[4];
    if (s->cpu_all > 0 && all > s->cpu_all && busy >= s->cpu_busy)
        host[RDG_HOST_CPU_PERMILLE] = (busy - s->cpu_busy) * 1000 / (all - s->cpu_all);
    s->cpu_all = all;
    s->cpu_busy = busy;
    host[RDG_HOST_CPUS] = cpus;
}

static void read_memory(const char *root, uint64_t *host) {
    char line[LINE_MAX_BYTES];
    uint64_t total = 0, available = UINT64_MAX;
    FILE *f = open_at(root, "/proc/meminfo");
    if (!f) return;
    while (fgets(line, sizeof line, f)) {
        (void)sscanf(line, "MemTotal: %" SCNu64, &total);
        if (sscanf(line, "MemAvailable: %" SCNu64, &available) == 1) break;
    }
    fclose(f);
    if (total == 0 || available > total) return;
    host[RDG_HOST_MEMORY_TOTAL_KIB] = total;
    host[RDG_HOST_MEMORY_USED_KIB] = total - available;
}

static void read_network(const char *root, uint64_t *host) {
    char line[LINE_MAX_BYTES];
    uint64_t received = 0, sent = 0, r, t;
    FILE *f = open_at(root, "/proc/net/dev");
    if (!f) return;
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':'), *name = line + strspn(line, " ");
        if (!colon || strncmp(name, "lo:", 3) == 0) continue;
        if (sscanf(colon + 1, "%" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &r, &t) != 2) continue;
        received += r;
        sent += t;
    }
    fclose(f);
    host[RDG_HOST_NET_RECEIVED_BYTES] = received;
    host[RDG_HOST_NET_SENT_BYTES] = sent;
}

/* The hottest of the thermal zones. */
static void read_temperature(const char *root, uint64_t *host) {
    long hottest = LONG_MIN, milli;
    for (int i = 0; i < ZONES_MAX; ++i) {
        char path[64];
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", i);
        FILE *f = open_at(root, path);
        if (!f) break;
        if (fscanf(f, "%ld", &milli) == 1 && milli > MILLI_C_MIN && milli < MILLI_C_MAX && milli > hottest)
            hottest = milli;
        fclose(f);
    }
    if (hottest != LONG_MIN)
        host[RDG_HOST_TEMPERATURE_DK] = (uint64_t)(RDG_TELEMETRY_ZERO_C_DK + hottest / 100);
}

static void read_uptime_and_load(const char *root, uint64_t *host) {
    double uptime, load;
    FILE *f = open_at(root, "/proc/uptime");
    if (f) {
        if (fscanf(f, "%lf", &uptime) == 1 && uptime >= 0) host[RDG_HOST_UPTIME_S] = (uint64_t)uptime;
        fclose(f);
    }
    f = open_at(root, "/proc/loadavg");
    if (!f) return;
    if (fscanf(f, "%lf", &load) == 1 && load >= 0 && load < 1e9)
        host[RDG_HOST_LOAD_CENTI] = (uint64_t)(load * 100 + 0.5);
    fclose(f);
}

/* What root alone may still write counts as used: nobody else has it. */
static void read_disk(const char *dir, uint64_t *host) {
    struct statvfs fs;
    if (statvfs(dir, &fs) != 0 || fs.f_blocks == 0) return;
    uint64_t total = (uint64_t)fs.f_blocks * fs.f_frsize / 1024;
    uint64_t free_kib = (uint64_t)fs.f_bavail * fs.f_frsize / 1024;
    host[RDG_HOST_DISK_TOTAL_KIB] = total;
    host[RDG_HOST_DISK_USED_KIB] = free_kib < total ? total - free_kib : 0;
}

void host_stats_read_at(host_stats_t *s, const char *root, const char *dir, uint64_t host[RDG_HOST_COUNT]) {
    read_cpu(s, root, host);
    read_memory(root, host);
    read_network(root, host);
    read_temperature(root, host);
    read_uptime_and_load(root, host);
    read_disk(dir, host);
}

void host_stats_read(host_stats_t *s, const char *dir, uint64_t host[RDG_HOST_COUNT]) {
    host_stats_read_at(s, "", dir, host);
}
