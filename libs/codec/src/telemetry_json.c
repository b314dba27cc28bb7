#include "ridge/codec/telemetry.h"
#include <stdio.h>

static const char *const states[RDG_CHAIN_STATES] = {"prepared", "starting", "running", "stopping",
                                                     "stopped",  "failed",   "removing"};
static const char *const host_names[RDG_HOST_COUNT] = {
    "uptime_s",           "agent_uptime_s",   "agent_rss_kib",   "cpu_permille",   "cpus",
    "load_centi",         "memory_total_kib", "memory_used_kib", "disk_total_kib", "disk_used_kib",
    "net_received_bytes", "net_sent_bytes",   "temperature_dk",  "containers"};
static const char *const chain_names[RDG_CHAIN_COUNT] = {
    "height", "view", "peers", "pool", "rss_kib", "archive_mark_ms", "restarts", "ledger_bytes"};
static const char *const queue_names[RDG_QUEUE_COUNT] = {"items",  "bytes",  "budget_bytes", "done",
                                                         "failed", "p50_us", "p99_us"};

const char *rdg_telemetry_state_name(unsigned state) {
    return state < RDG_CHAIN_STATES ? states[state] : "unknown";
}

double rdg_telemetry_celsius(uint64_t dk) {
    return ((double)dk - RDG_TELEMETRY_ZERO_C_DK) / 10;
}

static void set_numbers(json_t *o, const char *const *names, const uint64_t *numbers, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (numbers[i] != RDG_TELEMETRY_ABSENT)
            json_object_set_new(o, names[i], json_integer((json_int_t)numbers[i]));
}

static json_t *host_json(const rdg_telemetry_t *t) {
    json_t *o = json_object();
    uint64_t dk = t->host[RDG_HOST_TEMPERATURE_DK];
    set_numbers(o, host_names, t->host, RDG_HOST_COUNT);
    if (dk == RDG_TELEMETRY_ABSENT) return o;
    json_object_del(o, host_names[RDG_HOST_TEMPERATURE_DK]);
    json_object_set_new(o, "temperature_c", json_real(rdg_telemetry_celsius(dk)));
    return o;
}

static json_t *chain_json(const rdg_telemetry_chain_t *c) {
    char url[40];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", c->rpc_port);
    json_t *o = json_pack("{s:s, s:s, s:s}", "chain", c->name, "state", rdg_telemetry_state_name(c->state),
                          "driver", c->driver);
    if (!o) return NULL;
    if (c->rpc_port) json_object_set_new(o, "rpc_url", json_string(url));
    if (c->has_hash) json_object_set_new(o, "hash", rdg_json_hex(c->hash, sizeof c->hash));
    if (c->damaged[0]) json_object_set_new(o, "damaged", json_string(c->damaged));
    set_numbers(o, chain_names, c->numbers, RDG_CHAIN_COUNT);
    return o;
}

static json_t *certificates_json(const rdg_telemetry_t *t) {
    json_t *list = json_array();
    for (size_t i = 0; i < t->certificate_count; ++i)
        json_array_append_new(list, json_pack("{s:s, s:I, s:b}", "chain", t->certificates[i].chain,
                                              "not_after_ms", (json_int_t)t->certificates[i].not_after_ms,
                                              "alarm", (int)t->certificates[i].alarm));
    return list;
}

json_t *rdg_telemetry_json(const rdg_telemetry_t *t) {
    json_t *chains = json_array(), *queues = json_object();
    for (size_t i = 0; i < t->chain_count; ++i) json_array_append_new(chains, chain_json(&t->chains[i]));
    for (size_t i = 0; i < t->queue_count; ++i) {
        json_t *q = json_object();
        set_numbers(q, queue_names, t->queues[i].numbers, RDG_QUEUE_COUNT);
        json_object_set_new(queues, t->queues[i].name, q);
    }
    return json_pack("{s:I, s:I, s:I, s:{s:s}, s:o, s:o, s:o, s:o}", "seq", (json_int_t)t->seq, "time_ms",
                     (json_int_t)t->time_ms, "interval_ms", (json_int_t)t->interval_ms, "agent", "version",
                     t->agent_version, "host", host_json(t), "chains", chains, "certificates",
                     certificates_json(t), "queues", queues);
}
