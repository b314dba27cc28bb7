/* ridge-fleet: many devices in one process, for tests and benchmarks. Each is the agent's own link to the cloud — TLCP,
 * enrolment, MQTT, journal, executor — with commands that do nothing but write down that they were carried out, and small
 * telemetry records; no workloads, no local interface.
 *
 * Usage: RIDGE_AGENT_TOKEN=TOKEN ridge-fleet DIR CLOUD-URL PREFIX COUNT TELEMETRY-MS
 * Devices are PREFIX0, PREFIX1, …, each with its directory below DIR. What they did is in DIR, one line each, written before
 * anything about it is sent:
 *   PREFIX.effects   DEVICE COMMAND          carried out
 *   PREFIX.acks      DEVICE SEQ TIME_MS      telemetry records that the cloud says are stored
 * Ends at SIGTERM, as by a power cut. */
#include "ridge/agent/agent.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/telemetry.h"
#include "executor.h"
#include "identity.h"
#include "link.h"
#include "thread.h"
#include "uplink.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WINDOW 16
#define RESEND_MS 10000
#define LOOK_MS 100

static const char *const drivers[] = {"process", NULL};

typedef struct unacked {
    rdg_telemetry_name_t name;
    uint64_t sent_ms; /* monotonic; 0: not yet */
    rdg_buf_t record;
} unacked_t;

typedef struct device {
    char name[65], dir[PATH_MAX];
    identity_t identity;
    uplink_t *uplink;
    journal_t *journal;
    executor_t *executor;
    link_t *link;
    pthread_mutex_t lock;
    unacked_t window[WINDOW];
    size_t count;
    uint64_t seq, due_ms;
} device_t;

static struct {
    const char *dir, *cloud, *prefix, *token;
    size_t count;
    uint64_t interval_ms;
    int effects, acks;
    device_t *devices;
} fleet;

static void must(rdg_err_t err, const char *what) {
    if (err == RDG_OK) return;
    fprintf(stderr, "ridge-fleet: %s: %s\n", what, rdg_err_message(err));
    exit(1);
}

/* --- commands ------------------------------------------------------------------------------------------------- */

static rdg_err_t carry_out(void *ctx, const command_t *c, executor_run_t *at, json_t **result) {
    const device_t *d = ctx;
    char line[256];
    (void)at;
    int n = snprintf(line, sizeof line, "%s %s\n", d->name, c->id);
    if (write(fleet.effects, line, (size_t)n) != n) must(RDG_E_IO, "effects");
    *result = json_pack("{s:i}", "freed_bytes", 0);
    return RDG_OK;
}

static void on_ended(void *ctx) {
    device_t *d = ctx;
    link_flush(d->link);
}

/* --- telemetry -------------------------------------------------------------------------------------------------- */

static void forget(device_t *d, const rdg_telemetry_name_t *name) {
    for (size_t i = 0; i < d->count; ++i) {
        if (d->window[i].name.seq != name->seq || d->window[i].name.time_ms != name->time_ms) continue;
        rdg_buf_fini(&d->window[i].record);
        memmove(&d->window[i], &d->window[i + 1], (--d->count - i) * sizeof d->window[0]);
        return;
    }
}

static void on_ack(void *ctx, rdg_bytes_t bytes) {
    device_t *d = ctx;
    rdg_telemetry_ack_t ack;
    char line[160];
    if (rdg_telemetry_ack_decode(bytes, &ack) != RDG_OK) return;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < ack.count; ++i) {
        int n = snprintf(line, sizeof line, "%s %llu %llu\n", d->name, (unsigned long long)ack.names[i].seq,
                         (unsigned long long)ack.names[i].time_ms);
        if (write(fleet.acks, line, (size_t)n) != n) must(RDG_E_IO, "acks");
        forget(d, &ack.names[i]);
    }
    pthread_mutex_unlock(&d->lock);
}

static void make_record(device_t *d, rdg_telemetry_t *t) {
    unacked_t *u;
    if (d->count == WINDOW)
        forget(d, &(rdg_telemetry_name_t){d->window[0].name.seq, d->window[0].name.time_ms});
    rdg_telemetry_init(t);
    t->seq = ++d->seq;
    t->time_ms = rdg_wall_ms(rdg_clock_system());
    t->interval_ms = fleet.interval_ms;
    snprintf(t->agent_version, sizeof t->agent_version, "%s", RIDGE_VERSION);
    t->host[RDG_HOST_UPTIME_S] = d->seq;
    t->host[RDG_HOST_CPU_PERMILLE] = 7;
    u = &d->window[d->count++];
    memset(u, 0, sizeof *u);
    u->name = (rdg_telemetry_name_t){t->seq, t->time_ms};
    rdg_buf_init(&u->record, RDG_TELEMETRY_RECORD_MAX);
    must(rdg_telemetry_encode(t, &u->record), "telemetry");
}

static void send_records(device_t *d, uint64_t now) {
    rdg_telemetry_message_t m = {.sent_ms = rdg_wall_ms(rdg_clock_system())};
    rdg_buf_t bytes;
    for (size_t i = 0; i < d->count; ++i) {
        unacked_t *u = &d->window[i];
        if (u->sent_ms && now - u->sent_ms < RESEND_MS) continue;
        u->sent_ms = now;
        m.records[m.count++] = rdg_buf_view(&u->record);
    }
    if (m.count == 0) return;
    rdg_buf_init(&bytes, RDG_TELEMETRY_MESSAGE_MAX);
    if (rdg_telemetry_message_encode(&m, &bytes) == RDG_OK)
        (void)link_publish(d->link, "telemetry", rdg_buf_view(&bytes));
    rdg_buf_fini(&bytes);
}

static void *tell(void *arg) {
    rdg_telemetry_t *t = rdg_calloc(1, sizeof *t);
    (void)arg;
    if (!t) must(RDG_E_NO_MEMORY, "telemetry");
    for (;;) {
        for (size_t i = 0; i < fleet.count; ++i) {
            device_t *d = &fleet.devices[i];
            uint64_t now = rdg_mono_ms(rdg_clock_system());
            if (now < d->due_ms || !link_connected(d->link)) continue;
            pthread_mutex_lock(&d->lock);
            d->due_ms = now + fleet.interval_ms;
            make_record(d, t);
            send_records(d, now);
            pthread_mutex_unlock(&d->lock);
        }
        usleep(LOOK_MS * 1000);
    }
    return NULL;
}

/* --- devices -------------------------------------------------------------------------------------------------- */

static void ignore(void *ctx, rdg_bytes_t text) {
    (void)ctx, (void)text;
}

static void on_up(void *ctx) {
    (void)ctx;
}

static void on_refused(void *ctx, rdg_err_t why) {
    const device_t *d = ctx;
    must(why, d->name);
}

static void start_device(device_t *d) {
    char path[PATH_MAX];
    must(rdg_dir_make(d->dir, 0700), d->dir);
    must(identity_load(d->dir, &d->identity), d->dir);
    must(uplink_new(d->dir, &d->uplink), d->name);
    must(rdg_path_join(path, sizeof path, d->dir, "commands.log"), d->dir);
    must(journal_open(path, rdg_clock_system(), &d->journal), path);
    link_options_t l = {.dir = d->dir,
                        .cloud_url = fleet.cloud,
                        .token = fleet.token,
                        .name = d->name,
                        .drivers = drivers,
                        .identity = &d->identity,
                        .uplink = d->uplink,
                        .journal = d->journal,
                        .request = ignore,
                        .certificates = ignore,
                        .list = ignore,
                        .telemetry = on_ack,
                        .trust = ignore,
                        .up = on_up,
                        .refused = on_refused,
                        .ctx = d};
    executor_options_t x = {
        .journal = d->journal, .clock = rdg_clock_system(), .run = carry_out, .ended = on_ended, .ctx = d};
    must(link_start(&l, &d->link), d->name);
    must(executor_start(&x, &d->executor), d->name);
    link_set_executor(d->link, d->executor);
    must(uplink_start(d->uplink, fleet.cloud, d->identity.enrolled ? NULL : fleet.token), d->name);
    must(link_go(d->link), d->name);
}

static int open_file(const char *suffix) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s.%s", fleet.dir, fleet.prefix, suffix);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) must(RDG_E_IO, path);
    return fd;
}

static void start_all(void) {
    fleet.devices = rdg_calloc(fleet.count, sizeof *fleet.devices);
    if (!fleet.devices) must(RDG_E_NO_MEMORY, "devices");
    for (size_t i = 0; i < fleet.count; ++i) {
        device_t *d = &fleet.devices[i];
        snprintf(d->name, sizeof d->name, "%s%zu", fleet.prefix, i);
        snprintf(d->dir, sizeof d->dir, "%s/%s", fleet.dir, d->name);
        pthread_mutex_init(&d->lock, NULL);
        d->due_ms =
            rdg_mono_ms(rdg_clock_system()) + rdg_random_below(rdg_random_system(), fleet.interval_ms);
        start_device(d);
    }
}

int main(int argc, char **argv) {
    struct rlimit files;
    sigset_t signals;
    pthread_t thread;
    int got;
    fleet.token = getenv("RIDGE_AGENT_TOKEN");
    if (argc != 6 || (fleet.count = strtoul(argv[4], NULL, 10)) == 0 ||
        (fleet.interval_ms = strtoul(argv[5], NULL, 10)) == 0) {
        fprintf(stderr,
                "usage: RIDGE_AGENT_TOKEN=TOKEN ridge-fleet DIR CLOUD-URL PREFIX COUNT TELEMETRY-MS\n");
        return 2;
    }
    fleet.dir = argv[1], fleet.cloud = argv[2], fleet.prefix = argv[3];
    rdg_log_set_level(RDG_LOG_ERROR);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    must(rdg_dir_make(fleet.dir, 0700), fleet.dir);
    fleet.effects = open_file("effects");
    fleet.acks = open_file("acks");
    start_all();
    must(thread_start(&thread, tell, NULL), "telemetry");
    sigwait(&signals, &got);
    _exit(0);
}
