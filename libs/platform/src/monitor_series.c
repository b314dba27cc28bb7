/* What of a record is followed over time, and how spans of it are summed up: count, minimum, maximum, sum and last. */
#include "monitor.h"
#include <stdio.h>
#include <string.h>

typedef enum of_what { OF_HOST, OF_CHAIN, OF_QUEUE } of_what_t;

/* Append only: the position is what rolled-up rows hold. */
static const struct {
    const char *name;
    of_what_t of;
    unsigned number;
} metrics[] = {
    {"cpu_permille", OF_HOST, RDG_HOST_CPU_PERMILLE},
    {"load_centi", OF_HOST, RDG_HOST_LOAD_CENTI},
    {"memory_used_kib", OF_HOST, RDG_HOST_MEMORY_USED_KIB},
    {"disk_used_kib", OF_HOST, RDG_HOST_DISK_USED_KIB},
    {"net_received_bytes", OF_HOST, RDG_HOST_NET_RECEIVED_BYTES},
    {"net_sent_bytes", OF_HOST, RDG_HOST_NET_SENT_BYTES},
    {"temperature_dk", OF_HOST, RDG_HOST_TEMPERATURE_DK},
    {"agent_rss_kib", OF_HOST, RDG_HOST_AGENT_RSS_KIB},
    {"containers", OF_HOST, RDG_HOST_CONTAINERS},
    {"chain_height", OF_CHAIN, RDG_CHAIN_HEIGHT},
    {"chain_view", OF_CHAIN, RDG_CHAIN_VIEW},
    {"chain_peers", OF_CHAIN, RDG_CHAIN_PEERS},
    {"chain_pool", OF_CHAIN, RDG_CHAIN_POOL},
    {"chain_rss_kib", OF_CHAIN, RDG_CHAIN_RSS_KIB},
    {"chain_archive_mark_ms", OF_CHAIN, RDG_CHAIN_ARCHIVE_MARK_MS},
    {"chain_restarts", OF_CHAIN, RDG_CHAIN_RESTARTS},
    {"queue_bytes", OF_QUEUE, RDG_QUEUE_BYTES},
    {"memory_total_kib", OF_HOST, RDG_HOST_MEMORY_TOTAL_KIB},
    {"disk_total_kib", OF_HOST, RDG_HOST_DISK_TOTAL_KIB},
};
#define METRICS (sizeof metrics / sizeof metrics[0])
#define SET_MAX (sizeof((series_set_t *)0)->of / sizeof((series_set_t *)0)->of[0])

const char *series_metric_name(uint16_t metric) {
    return metric < METRICS ? metrics[metric].name : NULL;
}

bool series_metric_find(const char *name, size_t len, uint16_t *out) {
    for (size_t i = 0; i < METRICS; ++i)
        if (strlen(metrics[i].name) == len && memcmp(metrics[i].name, name, len) == 0) {
            *out = (uint16_t)i;
            return true;
        }
    return false;
}

static uint64_t add(uint64_t a, uint64_t b) {
    return a > (uint64_t)INT64_MAX - 1 - (b < (uint64_t)INT64_MAX - 1 ? b : (uint64_t)INT64_MAX - 1)
               ? (uint64_t)INT64_MAX - 1
               : a + b;
}

/* p is the later of the two. */
void series_point_merge(series_point_t *into, const series_point_t *p) {
    if (p->count == 0) return;
    if (into->count == 0) {
        *into = *p;
        return;
    }
    into->count = add(into->count, p->count);
    into->sum = add(into->sum, p->sum);
    if (p->min < into->min) into->min = p->min;
    if (p->max > into->max) into->max = p->max;
    into->last = p->last;
}

static void put(series_set_t *s, uint16_t metric, const char *subject, const series_point_t *p) {
    for (size_t i = 0; i < s->count; ++i)
        if (s->of[i].key.metric == metric && strcmp(s->of[i].key.subject, subject) == 0) {
            series_point_merge(&s->of[i].point, p);
            return;
        }
    if (s->count == SET_MAX) return;
    s->of[s->count].key.metric = metric;
    snprintf(s->of[s->count].key.subject, sizeof s->of[s->count].key.subject, "%s", subject);
    s->of[s->count++].point = *p;
}

static void put_number(series_set_t *s, uint16_t metric, const char *subject, uint64_t v) {
    if (v == RDG_TELEMETRY_ABSENT) return;
    const series_point_t p = {1, v, v, v, v};
    put(s, metric, subject, &p);
}

void series_add(series_set_t *s, const rdg_telemetry_t *t) {
    for (uint16_t m = 0; m < METRICS; ++m) {
        unsigned n = metrics[m].number;
        if (metrics[m].of == OF_HOST) put_number(s, m, "", t->host[n]);
        for (size_t i = 0; metrics[m].of == OF_CHAIN && i < t->chain_count; ++i)
            put_number(s, m, t->chains[i].name, t->chains[i].numbers[n]);
        for (size_t i = 0; metrics[m].of == OF_QUEUE && i < t->queue_count; ++i)
            put_number(s, m, t->queues[i].name, t->queues[i].numbers[n]);
    }
}

void series_merge(series_set_t *s, const series_set_t *other) {
    for (size_t i = 0; i < other->count; ++i)
        put(s, other->of[i].key.metric, other->of[i].key.subject, &other->of[i].point);
}

/* [[metric, subject, count, min, max, sum, last]…] */
rdg_err_t series_encode(const series_set_t *s, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    for (size_t i = 0; i < s->count; ++i) {
        const series_point_t *p = &s->of[i].point;
        size_t one = rdg_rlp_list_begin(out);
        rdg_rlp_put_u64(out, s->of[i].key.metric);
        rdg_rlp_put_str(out, s->of[i].key.subject);
        rdg_rlp_put_u64(out, p->count);
        rdg_rlp_put_u64(out, p->min);
        rdg_rlp_put_u64(out, p->max);
        rdg_rlp_put_u64(out, p->sum);
        rdg_rlp_put_u64(out, p->last);
        rdg_rlp_list_end(out, one);
    }
    return rdg_rlp_list_end(out, list);
}

rdg_err_t series_decode(rdg_bytes_t bytes, series_set_t *out) {
    rdg_rlp_t top, list, c;
    rdg_rlp_init(&top, bytes);
    out->count = 0;
    rdg_rlp_list(&top, &list);
    while (rdg_rlp_more(&list) && out->count < SET_MAX) {
        series_key_t *k = &out->of[out->count].key;
        series_point_t *p = &out->of[out->count].point;
        rdg_rlp_list(&list, &c);
        k->metric = (uint16_t)rdg_rlp_u64(&c);
        rdg_bytes_t subject = rdg_rlp_bytes_max(&c, sizeof k->subject - 1);
        if (subject.len > 0) memcpy(k->subject, subject.data, subject.len);
        k->subject[subject.len] = '\0';
        p->count = rdg_rlp_u64(&c);
        p->min = rdg_rlp_u64(&c);
        p->max = rdg_rlp_u64(&c);
        p->sum = rdg_rlp_u64(&c);
        p->last = rdg_rlp_u64(&c);
        if (c.err != RDG_OK) return rdg_fail(RDG_E_CORRUPT, "monitor.db: a span of telemetry is damaged");
        ++out->count;
    }
    return list.err == RDG_OK && top.err == RDG_OK
               ? RDG_OK
               : rdg_fail(RDG_E_CORRUPT, "monitor.db: a span of telemetry is damaged");
}
