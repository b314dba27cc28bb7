#include "agent_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/client/rpc.h"
#include "thread.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NODE_TIMEOUT_MS 1000u
#define BURST_MS 100u /* changes within it are told together */

struct telemetry {
    rdg_agent_t *agent;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool running, stopping, kicked;
};

uint64_t agent_rss_kib(void) {
    char line[128];
    uint64_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    const char *got = f ? fgets(line, sizeof line, f) : NULL;
    if (f) fclose(f);
    char *save = NULL;
    const char *resident = got && strtok_r(line, " ", &save) ? strtok_r(NULL, " ", &save) : NULL;
    if (!resident || rdg_parse_u64(resident, &pages) != RDG_OK) return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void add_node_status(const chain_t *c, json_t *o) {
    static const char *const fields[] = {"height", "hash", "peers", "pool"};
    char url[64];
    rdg_rpc_t *rpc = NULL;
    json_t *status = NULL;
    agent_rpc_url(c, url);
    if (rdg_rpc_http_new(url, NODE_TIMEOUT_MS, &rpc) != RDG_OK) return;
    if (rdg_rpc_call(rpc, "ridge_status", json_array(), &status) == RDG_OK)
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; ++i) {
            json_t *v = json_object_get(status, fields[i]);
            if (v) json_object_set(o, fields[i], v);
        }
    else
        json_object_set_new(o, "state", json_string("starting"));
    json_decref(status);
    rdg_rpc_http_free(rpc);
}

/* What the node has found damaged in itself (docs/device-protocol.md), for who orders its recovery. */
static void add_damage(const rdg_agent_t *a, const chain_t *c, json_t *o) {
    char path[CHAIN_PATH_MAX];
    rdg_buf_t text;
    json_t *record = NULL;
    if (chain_path(a->dir, c->name, "node/damaged", path) != RDG_OK || !rdg_file_exists(path)) return;
    rdg_buf_init(&text, 16384);
    const char *why = NULL;
    if (rdg_file_read(path, &text) == RDG_OK && rdg_json_parse(rdg_buf_view(&text), &record) == RDG_OK)
        why = json_string_value(json_object_get(record, "why"));
    json_object_set_new(o, "damaged", json_string(why ? why : "the record of the damage can not be read"));
    json_decref(record);
    rdg_buf_fini(&text);
}

static const char *state_name(const workload_view_t *v) {
    if (v->status.state == RDG_CONTAINER_RUNNING)
        return v->chain.desired == CHAIN_RUNNING ? "running" : "stopping";
    if (v->chain.desired == CHAIN_RUNNING) return "failed";
    if (v->chain.desired == CHAIN_REMOVED) return "removing";
    return v->status.state == RDG_CONTAINER_ABSENT ? "prepared" : "stopped";
}

static json_t *chains_json(rdg_agent_t *a) {
    json_t *list = json_array();
    workload_view_t *views = rdg_calloc(WORKLOADS_MAX, sizeof *views);
    size_t n = views && list ? workloads_list(a->workloads, views, WORKLOADS_MAX) : 0;
    for (size_t i = 0; i < n; ++i) {
        char url[64];
        agent_rpc_url(&views[i].chain, url);
        json_t *o =
            json_pack("{s:s, s:s, s:I, s:s, s:i, s:s}", "chain", views[i].chain.name, "state",
                      state_name(&views[i]), "rss_kib", (json_int_t)views[i].status.rss_kib, "rpc_url", url,
                      "restarts", (int)views[i].restarts, "driver", views[i].chain.driver);
        if (o && views[i].status.state == RDG_CONTAINER_RUNNING) add_node_status(&views[i].chain, o);
        if (o) add_damage(a, &views[i].chain, o);
        if (o) json_array_append_new(list, o);
    }
    rdg_free(views);
    return list;
}

static void send(rdg_agent_t *a) {
    intake_stats_t s;
    outbox_stats_t files;
    rdg_buf_t text;
    if (!link_connected(a->link)) return;
    intake_stats(a->intake, &s);
    outbox_stats(a->outbox, &files);
    uint64_t uptime = rdg_mono_ms(rdg_clock_system()) - a->started_ms;
    json_t *o = json_pack(
        "{s:I, s:{s:s, s:I, s:I}, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:f, s:f}, s:{s:I, s:I, s:I, s:I}}",
        "time_ms", (json_int_t)rdg_wall_ms(rdg_clock_system()), "agent", "version", RIDGE_VERSION,
        "uptime_ms", (json_int_t)uptime, "rss_kib", (json_int_t)agent_rss_kib(), "chains", chains_json(a),
        "certificates", certificates_status(a->certificates), "intake", "queued", (json_int_t)s.queued,
        "queued_bytes", (json_int_t)s.queued_bytes, "confirmed", (json_int_t)s.confirmed, "refused",
        (json_int_t)s.refused, "p50_ms", s.p50_ms, "p99_ms", s.p99_ms, "outbox", "queued",
        (json_int_t)files.queued, "bytes", (json_int_t)files.bytes, "failed", (json_int_t)files.failed,
        "sent", (json_int_t)files.sent);
    rdg_buf_init(&text, 512u << 10);
    if (o && rdg_json_dump(o, &text) == RDG_OK) (void)link_publish(a->link, "telemetry", rdg_buf_view(&text));
    rdg_buf_fini(&text);
    json_decref(o);
}

static void *run(void *arg) {
    telemetry_t *t = arg;
    pthread_mutex_lock(&t->lock);
    while (!t->stopping) {
        if (!t->kicked) (void)thread_cond_wait_ms(&t->wake, &t->lock, t->agent->telemetry_interval_ms);
        if (t->kicked && !t->stopping) {
            uint64_t end = rdg_mono_ms(rdg_clock_system()) + BURST_MS, now;
            while (!t->stopping && (now = rdg_mono_ms(rdg_clock_system())) < end)
                (void)thread_cond_wait_ms(&t->wake, &t->lock, end - now);
        }
        t->kicked = false;
        if (t->stopping) break;
        pthread_mutex_unlock(&t->lock);
        send(t->agent);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

rdg_err_t telemetry_start(rdg_agent_t *a, telemetry_t **out) {
    telemetry_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for telemetry");
    t->agent = a;
    pthread_mutex_init(&t->lock, NULL);
    thread_cond_init(&t->wake);
    *out = t;
    rdg_err_t err = thread_start(&t->thread, run, t);
    t->running = err == RDG_OK;
    return err;
}

void telemetry_halt(telemetry_t *t) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    if (t->running) pthread_join(t->thread, NULL);
    t->running = false;
}

void telemetry_free(telemetry_t *t) {
    if (!t) return;
    telemetry_halt(t);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    rdg_free(t);
}

void telemetry_kick(telemetry_t *t) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->kicked = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}
