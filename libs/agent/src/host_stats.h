/* What the kernel tells of this device: /proc, /sys and statvfs. What cannot be read is absent. One thread. */
#ifndef RIDGE_AGENT_HOST_STATS_H
#define RIDGE_AGENT_HOST_STATS_H
#include "ridge/codec/telemetry.h"

/* The counters of the last reading, from which rates are made. Zeroed before the first. */
typedef struct host_stats {
    uint64_t cpu_busy, cpu_all;
} host_stats_t;

/* Fills what the host tells; the agent's own numbers are the caller's. dir: on the file system that counts. */
void host_stats_read(host_stats_t *s, const char *dir, uint64_t host[RDG_HOST_COUNT]);
/* The same of files below another root than "/": for tests. */
void host_stats_read_at(host_stats_t *s, const char *root, const char *dir, uint64_t host[RDG_HOST_COUNT]);

#endif
