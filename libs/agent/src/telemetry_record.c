/* One record of telemetry: what this device is like now. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "agent_internal.h"
#include "host_stats.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/client/rpc.h"
#include "telemetry.h"

#define NODE_TIMEOUT_MS 1000u

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

/* --- chains ------------------------------------------------------------------------------------------------ */

static uint64_t number(const json_t *o, const char *field) {
    const json_t *v = json_object_get(o, field);
    return json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v)
                                                            : RDG_TELEMETRY_ABSENT;
}

static void take_status(const json_t *status, rdg_telemetry_chain_t *out) {
    const json_t *peers = json_object_get(status, "peers"), *peer;
    size_t i;
    uint64_t connected = 0;
    out->has_hash = rdg_json_get_hex(status, "hash", out->hash, sizeof out->hash) == RDG_OK;
    json_array_foreach(peers, i, peer) connected += json_is_true(json_object_get(peer, "connected"));
    out->numbers[RDG_CHAIN_HEIGHT] = number(status, "height");
    out->numbers[RDG_CHAIN_POOL] = number(status, "pool");
    out->numbers[RDG_CHAIN_PEERS] = json_is_array(peers) ? connected : RDG_TELEMETRY_ABSENT;
    out->numbers[RDG_CHAIN_VIEW] = number(json_object_get(status, "consensus"), "view");
    out->numbers[RDG_CHAIN_ARCHIVE_MARK_MS] = number(status, "archive_mark_ms");
}

static void ask_node(const chain_t *c, rdg_telemetry_chain_t *out) {
    char url[64];
    rdg_rpc_t *rpc = NULL;
    json_t *status = NULL;
    agent_rpc_url(c, url);
    if (rdg_rpc_http_new(url, NODE_TIMEOUT_MS, &rpc) != RDG_OK) return;
    if (rdg_rpc_call(rpc, "ridge_status", json_array(), &status) == RDG_OK)
        take_status(status, out);
    else
        out->state = RDG_CHAIN_STARTING;
    json_decref(status);
    rdg_rpc_http_free(rpc);
}

/* What the node has found damaged in itself (docs/device-protocol.md), for who orders its recovery. */
static void add_damage(const rdg_agent_t *a, const chain_t *c, rdg_telemetry_chain_t *out) {
    char path[CHAIN_PATH_MAX];
    rdg_buf_t text;
    json_t *record = NULL;
    if (chain_path(a->dir, c->name, "node/damaged", path) != RDG_OK || !rdg_file_exists(path)) return;
    rdg_buf_init(&text, 16384);
    const char *why = NULL;
    if (rdg_file_read_plain(path, false, &text) == RDG_OK &&
        rdg_json_parse(rdg_buf_view(&text), &record) == RDG_OK)
        why = json_string_value(json_object_get(record, "why"));
    snprintf(out->damaged, sizeof out->damaged, "%s",
             why && *why ? why : "the record of the damage can not be read");
    json_decref(record);
    rdg_buf_fini(&text);
}

/* So that the cloud archives before the device is full. */
static void add_ledger_size(const rdg_agent_t *a, const chain_t *c, rdg_telemetry_chain_t *out) {
    char path[CHAIN_PATH_MAX];
    uint64_t bytes = 0;
    if (chain_path(a->dir, c->name, "node/data", path) == RDG_OK && rdg_tree_size(path, &bytes) == RDG_OK)
        out->numbers[RDG_CHAIN_LEDGER_BYTES] = bytes;
}

static rdg_telemetry_state_t state_of(const workload_view_t *v) {
    if (v->status.state == RDG_CONTAINER_RUNNING)
        return v->chain.desired == CHAIN_RUNNING ? RDG_CHAIN_RUNNING : RDG_CHAIN_STOPPING;
    if (v->chain.desired == CHAIN_RUNNING) return RDG_CHAIN_FAILED;
    if (v->chain.desired == CHAIN_REMOVED) return RDG_CHAIN_REMOVING;
    return v->status.state == RDG_CONTAINER_ABSENT ? RDG_CHAIN_PREPARED : RDG_CHAIN_STOPPED;
}

static void add_chains(rdg_agent_t *a, rdg_telemetry_t *t) {
    workload_view_t *views = rdg_calloc(WORKLOADS_MAX, sizeof *views);
    size_t n = views ? workloads_list(a->workloads, views, WORKLOADS_MAX) : 0;
    uint64_t running = 0;
    for (size_t i = 0; i < n && i < RDG_TELEMETRY_CHAINS_MAX; ++i) {
        rdg_telemetry_chain_t *c = &t->chains[t->chain_count++];
        snprintf(c->name, sizeof c->name, "%s", views[i].chain.name);
        snprintf(c->driver, sizeof c->driver, "%s", views[i].chain.driver);
        c->rpc_port = views[i].chain.rpc_port;
        c->state = (uint8_t)state_of(&views[i]);
        c->numbers[RDG_CHAIN_RSS_KIB] = views[i].status.rss_kib;
        c->numbers[RDG_CHAIN_RESTARTS] = views[i].restarts;
        if (views[i].status.state == RDG_CONTAINER_RUNNING) {
            ++running;
            ask_node(&views[i].chain, c);
        }
        add_damage(a, &views[i].chain, c);
        add_ledger_size(a, &views[i].chain, c);
    }
    if (views) t->host[RDG_HOST_CONTAINERS] = running;
    rdg_free(views);
}

/* --- the rest ---------------------------------------------------------------------------------------------- */

static void add_certificates(rdg_agent_t *a, rdg_telemetry_t *t) {
    json_t *list = certificates_status(a->certificates), *one;
    size_t i;
    json_array_foreach(list, i, one) {
        if (t->certificate_count == RDG_TELEMETRY_CERTIFICATES_MAX) break;
        rdg_telemetry_certificate_t *c = &t->certificates[t->certificate_count++];
        const char *chain = json_string_value(json_object_get(one, "chain"));
        snprintf(c->chain, sizeof c->chain, "%s", chain ? chain : "");
        c->not_after_ms = number(one, "not_after_ms");
        if (c->not_after_ms == RDG_TELEMETRY_ABSENT) c->not_after_ms = 0;
        c->alarm = json_is_true(json_object_get(one, "alarm"));
    }
    json_decref(list);
}

static rdg_telemetry_queue_t *add_queue(rdg_telemetry_t *t, const char *name) {
    rdg_telemetry_queue_t *q = &t->queues[t->queue_count++];
    snprintf(q->name, sizeof q->name, "%s", name);
    return q;
}

static uint64_t micros(double ms) {
    return ms > 0 && ms < 1e12 ? (uint64_t)(ms * 1000) : 0;
}

static void add_queues(rdg_agent_t *a, const spool_stats_t *own, rdg_telemetry_t *t) {
    intake_stats_t intake;
    outbox_stats_t files;
    intake_stats(a->intake, &intake);
    outbox_stats(a->outbox, &files);
    rdg_telemetry_queue_t *q = add_queue(t, "intake");
    q->numbers[RDG_QUEUE_ITEMS] = intake.queued;
    q->numbers[RDG_QUEUE_BYTES] = intake.queued_bytes;
    q->numbers[RDG_QUEUE_BUDGET_BYTES] = a->queue_bytes;
    q->numbers[RDG_QUEUE_DONE] = intake.confirmed;
    q->numbers[RDG_QUEUE_FAILED] = intake.refused;
    q->numbers[RDG_QUEUE_P50_US] = micros(intake.p50_ms);
    q->numbers[RDG_QUEUE_P99_US] = micros(intake.p99_ms);
    q = add_queue(t, "outbox");
    q->numbers[RDG_QUEUE_ITEMS] = files.queued;
    q->numbers[RDG_QUEUE_BYTES] = files.bytes;
    q->numbers[RDG_QUEUE_BUDGET_BYTES] = a->outbox_bytes;
    q->numbers[RDG_QUEUE_DONE] = files.sent;
    q->numbers[RDG_QUEUE_FAILED] = files.failed;
    spool_stats_t urgent;
    records_stats(__atomic_load_n(&a->records, __ATOMIC_ACQUIRE), &urgent);
    q = add_queue(t, "records");
    q->numbers[RDG_QUEUE_ITEMS] = urgent.items;
    q->numbers[RDG_QUEUE_BYTES] = urgent.bytes;
    q->numbers[RDG_QUEUE_BUDGET_BYTES] = a->records_bytes;
    q = add_queue(t, "telemetry");
    q->numbers[RDG_QUEUE_ITEMS] = own->items;
    q->numbers[RDG_QUEUE_BYTES] = own->bytes;
    q->numbers[RDG_QUEUE_BUDGET_BYTES] = own->max_bytes;
    q->numbers[RDG_QUEUE_FAILED] = own->lost;
}

void telemetry_gather(rdg_agent_t *a, host_stats_t *host, const spool_stats_t *own, rdg_telemetry_t *t) {
    rdg_telemetry_init(t);
    t->time_ms = rdg_wall_ms(rdg_clock_system());
    t->interval_ms = a->telemetry_interval_ms;
    snprintf(t->agent_version, sizeof t->agent_version, "%s", RIDGE_VERSION);
    t->host[RDG_HOST_AGENT_UPTIME_S] = (rdg_mono_ms(rdg_clock_system()) - a->started_ms) / 1000;
    t->host[RDG_HOST_AGENT_RSS_KIB] = agent_rss_kib();
    host_stats_read(host, a->dir, t->host);
    add_chains(a, t);
    add_certificates(a, t);
    add_queues(a, own, t);
}
