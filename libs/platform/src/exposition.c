/* GET /api/v1/metrics: what devices told last, in Prometheus' text format 0.0.4, for up to EXPOSED_MAX devices a page.
 *
 * A tenant's caller gets those of its devices.
 *
 * Samples of one metric have to stand together, and one decoded record is large: so each metric has a buffer of its own that
 * grows device by device. Names, labels and units are an interface: they do not change (docs/rest-api.md). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"
#include "monitor.h"
#include "ridge/base/alloc.h"

#define EXPOSED_MAX 1000
#define METRIC_BYTES_MAX (8u << 20)
#define TEXT_BYTES_MAX (32u << 20)
#define LABELS_MAX 512

typedef enum scale { PLAIN, PERMILLE, CENTI, KIB, MS, CELSIUS } scale_t;

typedef struct exposed {
    const char *name, *type, *help;
    int number; /* of the telemetry's table */
    scale_t scale;
} exposed_t;

static const exposed_t device_metrics[] = {
    {"ridge_device_up", "gauge", "1 while the device is connected", 0, PLAIN},
    {"ridge_device_last_seen_timestamp_seconds", "gauge", "when the device was heard last", 0, MS},
    {"ridge_device_telemetry_timestamp_seconds", "gauge", "when the record behind these numbers came", 0, MS},
};
static const exposed_t host_metrics[] = {
    {"ridge_device_uptime_seconds", "gauge", "since the device started", RDG_HOST_UPTIME_S, PLAIN},
    {"ridge_device_agent_uptime_seconds", "gauge", "since its agent started", RDG_HOST_AGENT_UPTIME_S, PLAIN},
    {"ridge_device_agent_resident_bytes", "gauge", "memory of its agent", RDG_HOST_AGENT_RSS_KIB, KIB},
    {"ridge_device_cpu_ratio", "gauge", "share of all processors used over the last interval",
     RDG_HOST_CPU_PERMILLE, PERMILLE},
    {"ridge_device_cpus", "gauge", "processors", RDG_HOST_CPUS, PLAIN},
    {"ridge_device_load1", "gauge", "load average of a minute", RDG_HOST_LOAD_CENTI, CENTI},
    {"ridge_device_memory_bytes", "gauge", "memory", RDG_HOST_MEMORY_TOTAL_KIB, KIB},
    {"ridge_device_memory_used_bytes", "gauge", "memory that is not available", RDG_HOST_MEMORY_USED_KIB,
     KIB},
    {"ridge_device_disk_bytes", "gauge", "file system with the agent's directory", RDG_HOST_DISK_TOTAL_KIB,
     KIB},
    {"ridge_device_disk_used_bytes", "gauge", "of it used", RDG_HOST_DISK_USED_KIB, KIB},
    {"ridge_device_network_received_bytes_total", "counter", "since the device started, without loopback",
     RDG_HOST_NET_RECEIVED_BYTES, PLAIN},
    {"ridge_device_network_sent_bytes_total", "counter", "since the device started, without loopback",
     RDG_HOST_NET_SENT_BYTES, PLAIN},
    {"ridge_device_temperature_celsius", "gauge", "of the hottest sensor", RDG_HOST_TEMPERATURE_DK, CELSIUS},
    {"ridge_device_containers", "gauge", "workloads that run", RDG_HOST_CONTAINERS, PLAIN},
};
static const exposed_t node_metrics[] = {
    {"ridge_node_height", "gauge", "height of the chain on this device", RDG_CHAIN_HEIGHT, PLAIN},
    {"ridge_node_view", "gauge", "view or term of its consensus", RDG_CHAIN_VIEW, PLAIN},
    {"ridge_node_peers", "gauge", "connected peers", RDG_CHAIN_PEERS, PLAIN},
    {"ridge_node_pool_transactions", "gauge", "transactions that wait", RDG_CHAIN_POOL, PLAIN},
    {"ridge_node_resident_bytes", "gauge", "memory of the node", RDG_CHAIN_RSS_KIB, KIB},
    {"ridge_node_archive_mark_timestamp_seconds", "gauge", "time of the newest archived block",
     RDG_CHAIN_ARCHIVE_MARK_MS, MS},
    {"ridge_node_restarts_total", "counter", "times that the node was started again", RDG_CHAIN_RESTARTS,
     PLAIN},
    {"ridge_node_ledger_bytes", "gauge", "disk space of its ledger", RDG_CHAIN_LEDGER_BYTES, PLAIN},
};
static const exposed_t node_flags[] = {
    {"ridge_node_running", "gauge", "1 while the node runs", 0, PLAIN},
    {"ridge_node_damaged", "gauge", "1 when the node has found damage in its ledger", 0, PLAIN},
};
static const exposed_t queue_metrics[] = {
    {"ridge_device_queue_items", "gauge", "what waits in a queue of the agent", RDG_QUEUE_ITEMS, PLAIN},
    {"ridge_device_queue_bytes", "gauge", "its bytes on disk", RDG_QUEUE_BYTES, PLAIN},
    {"ridge_device_queue_budget_bytes", "gauge", "how many it may have", RDG_QUEUE_BUDGET_BYTES, PLAIN},
};
static const exposed_t certificate_metrics[] = {
    {"ridge_device_certificate_not_after_timestamp_seconds", "gauge",
     "end of a certificate; chain is empty for the device's", 0, MS},
};

typedef enum family { DEVICE, HOST, NODE, NODE_FLAG, QUEUE, CERTIFICATE, FAMILIES } family_t;
#define TABLE(t)                                                                                             \
    { t, sizeof t / sizeof t[0] }
static const struct {
    const exposed_t *metrics;
    size_t count;
} families[FAMILIES] = {TABLE(device_metrics), TABLE(host_metrics),  TABLE(node_metrics),
                        TABLE(node_flags),     TABLE(queue_metrics), TABLE(certificate_metrics)};
#define COLUMNS_MAX 16

/* A device as it is now, copied, so that nothing is decoded under the platform's lock. */
typedef struct shown {
    char name[65], group[65], site[65];
    bool online;
    uint64_t last_seen_ms, record_ms;
    rdg_buf_t record;
} shown_t;

typedef struct page {
    rdg_telemetry_t *one;
    rdg_buf_t of[FAMILIES][COLUMNS_MAX];
    shown_t *devices;
    size_t count;
    char more_after[65]; /* "": that was all */
} page_t;

/* --- the devices of a page --------------------------------------------------------------------------------------------- */

static void text_of(char out[65], const json_t *about, const char *field) {
    const char *text = json_string_value(json_object_get(about, field));
    snprintf(out, 65, "%s", text ? text : "");
}

static int by_name(const void *a, const void *b) {
    const device_t *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static rdg_err_t copy(shown_t *out, const device_t *d) {
    memcpy(out->name, d->name, sizeof out->name);
    text_of(out->group, d->about, "group");
    text_of(out->site, d->about, "site");
    out->online = d->online;
    out->last_seen_ms = d->last_seen_ms;
    out->record_ms = d->record_ms;
    rdg_buf_init(&out->record, RDG_TELEMETRY_RECORD_MAX);
    return rdg_buf_append(&out->record, d->record.data, d->record.len);
}

static bool meant(const device_t *d, const char *tenant, const char *after, const char *group,
                  const char *site) {
    char text[65];
    if (strcmp(d->name, after) <= 0 || (tenant && strcmp(d->tenant, tenant) != 0)) return false;
    text_of(text, d->about, "group");
    if (group && strcmp(text, group) != 0) return false;
    text_of(text, d->about, "site");
    return !site || strcmp(text, site) == 0;
}

/* Call with the lock held. */
static rdg_err_t choose(rdg_platform_t *p, page_t *page, const rdg_service_call_t *call, uint64_t limit) {
    const char *after = rdg_http_query(call->http, "after"), *group = rdg_http_query(call->http, "group"),
               *site = rdg_http_query(call->http, "site");
    size_t n = 0, pos = 0, count = rdg_map_count(p->devices);
    void *d;
    rdg_err_t err = RDG_OK;
    const device_t **all = rdg_calloc(count ? count : 1, sizeof *all);
    page->devices = rdg_calloc(limit, sizeof *page->devices);
    if (!all || !page->devices) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
    while (err == RDG_OK && n < count && rdg_map_next(p->devices, &pos, NULL, &d))
        if (meant(d, call->tenant, after ? after : "", group, site)) all[n++] = d;
    if (err == RDG_OK) qsort(all, n, sizeof *all, by_name);
    for (; err == RDG_OK && page->count < n && page->count < limit; ++page->count)
        err = copy(&page->devices[page->count], all[page->count]);
    if (err == RDG_OK && page->count < n && page->count > 0)
        snprintf(page->more_after, sizeof page->more_after, "%s", page->devices[page->count - 1].name);
    rdg_free(all);
    return err;
}

/* --- samples --------------------------------------------------------------------------------------------------------------- */

/* Appends name="value", escaped. A device chooses names of chains and queues: what is no plain character is '_'. */
static void label(char out[LABELS_MAX], const char *name, const char *value) {
    size_t n = strlen(out);
    n += (size_t)snprintf(out + n, LABELS_MAX - n, "%s%s=\"", n ? "," : "", name);
    for (; *value && n + 4 < LABELS_MAX; ++value) {
        unsigned char c = (unsigned char)*value;
        if (c == '\\' || c == '"') out[n++] = '\\';
        out[n++] = c < ' ' || c > '~' ? '_' : (char)c;
    }
    out[n++] = '"';
    out[n] = '\0';
}

static void sample(page_t *page, family_t f, size_t column, const char *labels, uint64_t v) {
    const exposed_t *m = &families[f].metrics[column];
    rdg_buf_t *out = &page->of[f][column];
    if (v == RDG_TELEMETRY_ABSENT) return;
    rdg_buf_printf(out, "%s{%s} ", m->name, labels);
    switch (m->scale) {
    case PLAIN: rdg_buf_printf(out, "%" PRIu64 "\n", v); break;
    case KIB: rdg_buf_printf(out, "%" PRIu64 "\n", v > UINT64_MAX / 1024 ? v : v * 1024); break;
    case PERMILLE: rdg_buf_printf(out, "%.3f\n", (double)v / 1000); break;
    case CENTI: rdg_buf_printf(out, "%.2f\n", (double)v / 100); break;
    case MS: rdg_buf_printf(out, "%.3f\n", (double)v / 1000); break;
    case CELSIUS: rdg_buf_printf(out, "%.1f\n", rdg_telemetry_celsius(v)); break;
    }
}

static void samples(page_t *page, family_t f, const char *labels, const uint64_t *numbers) {
    for (size_t i = 0; i < families[f].count; ++i)
        sample(page, f, i, labels, numbers[families[f].metrics[i].number]);
}

static void samples_of_record(page_t *page, const shown_t *d, const char *own) {
    const rdg_telemetry_t *t = page->one;
    char labels[LABELS_MAX];
    samples(page, HOST, own, t->host);
    for (size_t i = 0; i < t->chain_count; ++i) {
        snprintf(labels, sizeof labels, "%s", own);
        label(labels, "chain", t->chains[i].name);
        samples(page, NODE, labels, t->chains[i].numbers);
        sample(page, NODE_FLAG, 0, labels, t->chains[i].state == RDG_CHAIN_RUNNING && d->online);
        sample(page, NODE_FLAG, 1, labels, t->chains[i].damaged[0] != '\0');
    }
    for (size_t i = 0; i < t->queue_count; ++i) {
        snprintf(labels, sizeof labels, "%s", own);
        label(labels, "queue", t->queues[i].name);
        samples(page, QUEUE, labels, t->queues[i].numbers);
    }
    for (size_t i = 0; i < t->certificate_count; ++i) {
        snprintf(labels, sizeof labels, "%s", own);
        label(labels, "chain", t->certificates[i].chain);
        sample(page, CERTIFICATE, 0, labels, t->certificates[i].not_after_ms);
    }
}

static void samples_of(page_t *page, const shown_t *d) {
    char own[LABELS_MAX] = "";
    label(own, "device", d->name);
    label(own, "group", d->group);
    label(own, "site", d->site);
    sample(page, DEVICE, 0, own, d->online);
    sample(page, DEVICE, 1, own, d->last_seen_ms);
    if (d->record.len == 0 || rdg_telemetry_decode(rdg_buf_view(&d->record), page->one) != RDG_OK) return;
    sample(page, DEVICE, 2, own, d->record_ms);
    samples_of_record(page, d, own);
}

static rdg_err_t join(page_t *page, rdg_buf_t *out) {
    for (int f = 0; f < FAMILIES; ++f) {
        for (size_t i = 0; i < families[f].count; ++i) {
            const exposed_t *m = &families[f].metrics[i];
            RDG_TRY(rdg_buf_err(&page->of[f][i]));
            if (page->of[f][i].len == 0) continue;
            rdg_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
            rdg_buf_append(out, page->of[f][i].data, page->of[f][i].len);
        }
    }
    rdg_buf_printf(out,
                   "# HELP ridge_devices_left_out 1 when more devices follow than are on this page\n"
                   "# TYPE ridge_devices_left_out gauge\nridge_devices_left_out %d\n",
                   page->more_after[0] != '\0');
    if (page->more_after[0]) rdg_buf_printf(out, "# more_after %s\n", page->more_after);
    return rdg_buf_err(out);
}

static rdg_err_t too_large(rdg_err_t err) {
    return err == RDG_E_TOO_LARGE
               ? rdg_fail(err, "the metrics of these devices are too many for one page: ask with limit=")
               : err;
}

static rdg_err_t expose(rdg_platform_t *p, page_t *page, const rdg_service_call_t *call, rdg_buf_t *out) {
    uint64_t limit = EXPOSED_MAX;
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, EXPOSED_MAX, &limit));
    page->one = rdg_calloc(1, sizeof *page->one);
    if (!page->one) return rdg_fail(RDG_E_NO_MEMORY, "no memory for telemetry");
    pthread_mutex_lock(&p->lock);
    rdg_err_t err = choose(p, page, call, limit);
    pthread_mutex_unlock(&p->lock);
    RDG_TRY(err);
    for (size_t i = 0; i < page->count; ++i) samples_of(page, &page->devices[i]);
    return too_large(join(page, out));
}

static rdg_err_t metrics(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    page_t *page = rdg_calloc(1, sizeof *page);
    rdg_http_stream_t *s = NULL;
    rdg_buf_t text;
    if (!page) return rdg_fail(RDG_E_NO_MEMORY, "no memory for metrics");
    rdg_buf_init(&text, TEXT_BYTES_MAX);
    for (int f = 0; f < FAMILIES; ++f)
        for (size_t i = 0; i < COLUMNS_MAX; ++i) rdg_buf_init(&page->of[f][i], METRIC_BYTES_MAX);
    rdg_err_t err = expose(ctx, page, call, &text);
    if (err == RDG_OK) err = rdg_http_stream_new(text.len + 1, &s);
    if (err == RDG_OK) err = rdg_http_stream_write(s, rdg_buf_view(&text));
    if (err == RDG_OK) err = rdg_service_reply_stream(answer, "text/plain; version=0.0.4", s);
    if (s) rdg_http_stream_end(s, rdg_bytes(NULL, 0));
    rdg_http_stream_unref(s);
    for (int f = 0; f < FAMILIES; ++f)
        for (size_t i = 0; i < COLUMNS_MAX; ++i) rdg_buf_fini(&page->of[f][i]);
    for (size_t i = 0; i < page->count; ++i) rdg_buf_fini(&page->devices[i].record);
    rdg_free(page->devices);
    rdg_free(page->one);
    rdg_free(page);
    rdg_buf_fini(&text);
    return err;
}

const rdg_service_route_t exposition_routes[] = {
    {"GET", "/api/v1/metrics", RDG_ROUTE_METRICS | RDG_ROUTE_TENANT, metrics}};
const size_t exposition_route_count = sizeof exposition_routes / sizeof exposition_routes[0];
