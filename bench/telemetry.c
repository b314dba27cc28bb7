/* What the cloud takes of telemetry: messages of many devices, decoded, stored in synced transactions and acknowledged, by
 * the one thread that does it. The broker is left out. Beside it, in the same run, the same rows written one transaction
 * each, as the plain way. Bound to one processor unless the system forbids it. */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "monitor.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"

enum { DEVICES = 1000, ROUNDS = 60, PLAIN = 500 };

static uint64_t acknowledged;

static void answer(void *ctx, const char *device, rdg_bytes_t ack) {
    (void)ctx, (void)device, (void)ack;
    __atomic_add_fetch(&acknowledged, 1, __ATOMIC_SEQ_CST);
}

static void fill(rdg_telemetry_t *t, uint64_t n) {
    rdg_telemetry_init(t);
    t->seq = n;
    t->time_ms = 1700000000000 + n * 5000;
    t->interval_ms = 5000;
    snprintf(t->agent_version, sizeof t->agent_version, "0.1.0");
    for (size_t i = 0; i < RDG_HOST_COUNT; ++i) t->host[i] = 1000 + n % 100 + i;
    t->chain_count = 1;
    snprintf(t->chains[0].name, sizeof t->chains[0].name, "chain-1");
    snprintf(t->chains[0].driver, sizeof t->chains[0].driver, "oci");
    t->chains[0].state = RDG_CHAIN_RUNNING;
    t->chains[0].has_hash = true;
    for (size_t i = 0; i < RDG_CHAIN_COUNT; ++i) t->chains[0].numbers[i] = n + i;
    t->queue_count = 3;
    for (size_t q = 0; q < 3; ++q) {
        snprintf(t->queues[q].name, sizeof t->queues[q].name, "queue-%zu", q);
        for (size_t i = 0; i < RDG_QUEUE_COUNT; ++i) t->queues[q].numbers[i] = i * 100;
    }
}

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double now_s(void) {
    return (double)rdg_mono_us(rdg_clock_system()) / 1e6;
}

static void encode(uint64_t n, rdg_telemetry_t *t, rdg_buf_t *record, rdg_buf_t *message) {
    rdg_buf_clear(record);
    rdg_buf_clear(message);
    fill(t, n);
    RDG_ASSERT(rdg_telemetry_encode(t, record) == RDG_OK);
    rdg_telemetry_message_t m = {
        .sent_ms = t->time_ms, .live = true, .count = 1, .records = {rdg_buf_view(record)}};
    RDG_ASSERT(rdg_telemetry_message_encode(&m, message) == RDG_OK);
}

static void feed(monitor_t *m, rdg_telemetry_t *t, rdg_buf_t *record, rdg_buf_t *message) {
    char device[32];
    for (uint64_t round = 0; round < ROUNDS; ++round) {
        encode(round, t, record, message);
        for (unsigned d = 0; d < DEVICES; ++d) {
            snprintf(device, sizeof device, "device-%04u", d);
            while (monitor_take(m, device, rdg_buf_view(message)) == RDG_E_BUSY) usleep(1000);
        }
    }
    while (__atomic_load_n(&acknowledged, __ATOMIC_SEQ_CST) < (uint64_t)DEVICES * ROUNDS) usleep(1000);
}

/* Records a second with a synced transaction for each. */
static double plain(monitor_t *m, const rdg_buf_t *record) {
    double start = now_s();
    for (uint64_t i = 0; i < PLAIN; ++i) {
        int64_t number;
        const monitor_row_t row = {"plain", {i, i}, i, rdg_buf_view(record)};
        RDG_ASSERT(monitor_store_add(monitor_db(m), &row, &number) == RDG_OK);
    }
    return PLAIN / (now_s() - start);
}

int main(void) {
    char dir[] = "/var/tmp/ridge-telemetry-XXXXXX", command[PATH_MAX];
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
    RDG_ASSERT(mkdtemp(dir) != NULL);
    const monitor_options_t o = {.data_dir = dir, .answer = answer};
    monitor_t *m = NULL;
    rdg_buf_t record, message;
    rdg_buf_init(&record, RDG_TELEMETRY_RECORD_MAX);
    rdg_buf_init(&message, RDG_TELEMETRY_MESSAGE_MAX);
    rdg_telemetry_t *t = rdg_calloc(1, sizeof *t);
    RDG_ASSERT(t && monitor_open(&o, &m) == RDG_OK);
    double wall = now_s(), cpu = cpu_s();
    feed(m, t, &record, &message);
    wall = now_s() - wall;
    cpu = cpu_s() - cpu;
    double total = (double)DEVICES * ROUNDS, single = plain(m, &record), up = cpu_s();
    RDG_ASSERT(monitor_upkeep(m) == RDG_OK);
    up = cpu_s() - up;
    fprintf(stderr,
            "%.0f messages of %zu bytes: %.0f/s by the clock, %.0f/s of processor time; one by one %.0f/s; "
            "rolling up %.0f/s\n",
            total, message.len, total / wall, total / cpu, single, total / up);
    printf("{\"messages\": %.0f, \"message_bytes\": %zu, \"messages_per_s\": %.0f, \"messages_per_cpu_s\": "
           "%.0f, "
           "\"one_transaction_each_per_s\": %.0f, \"rolled_up_per_cpu_s\": %.0f}\n",
           total, message.len, total / wall, total / cpu, single, total / up);
    monitor_close(m);
    rdg_buf_fini(&record);
    rdg_buf_fini(&message);
    rdg_free(t);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) == 0 ? 0 : 1;
}
