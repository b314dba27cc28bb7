#include "ridge/base/metrics.h"
#include "ridge/base/alloc.h"
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define BOUNDS_MAX 24

typedef enum kind { COUNTER, GAUGE, HISTOGRAM } kind_t;
static const char *const kind_names[] = {"counter", "gauge", "histogram"};

struct rdg_metric {
    char *name, *help, *labels;
    kind_t kind;
    uint64_t value; /* counter; gauge as two's complement; histogram: number of samples */
    uint64_t sum_micro;
    size_t bound_count;
    double bounds[BOUNDS_MAX];
    uint64_t buckets[BOUNDS_MAX + 1]; /* not cumulative; the last is +Inf */
};

struct rdg_metrics {
    pthread_mutex_t lock; /* registration only */
    size_t count;
    rdg_metric_t *all[RDG_METRICS_MAX];
};

static uint64_t load(const uint64_t *p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

rdg_metrics_t *rdg_metrics_new(void) {
    rdg_metrics_t *m = rdg_calloc(1, sizeof *m);
    if (m) pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void metric_free(rdg_metric_t *m) {
    if (!m) return;
    rdg_free(m->name);
    rdg_free(m->help);
    rdg_free(m->labels);
    rdg_free(m);
}

void rdg_metrics_free(rdg_metrics_t *m) {
    if (!m) return;
    for (size_t i = 0; i < m->count; ++i) metric_free(m->all[i]);
    pthread_mutex_destroy(&m->lock);
    rdg_free(m);
}

static rdg_metric_t *add(rdg_metrics_t *m, kind_t kind, const char *name, const char *help,
                         const char *labels) {
    if (!m) return NULL;
    rdg_metric_t *metric = rdg_calloc(1, sizeof *metric);
    if (!metric) return NULL;
    metric->kind = kind;
    metric->name = rdg_strdup(name);
    metric->help = rdg_strdup(help);
    metric->labels = rdg_strdup(labels);
    bool ok = metric->name && metric->help && (metric->labels || !labels);
    pthread_mutex_lock(&m->lock);
    ok = ok && m->count < RDG_METRICS_MAX;
    if (ok) m->all[m->count] = metric, __atomic_store_n(&m->count, m->count + 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&m->lock);
    if (ok) return metric;
    metric_free(metric);
    return NULL;
}

rdg_metric_t *rdg_metrics_counter(rdg_metrics_t *m, const char *name, const char *help, const char *labels) {
    return add(m, COUNTER, name, help, labels);
}

rdg_metric_t *rdg_metrics_gauge(rdg_metrics_t *m, const char *name, const char *help, const char *labels) {
    return add(m, GAUGE, name, help, labels);
}

rdg_metric_t *rdg_metrics_histogram(rdg_metrics_t *m, const char *name, const char *help, const char *labels,
                                    const double *bounds, size_t bound_count) {
    if (bound_count == 0 || bound_count > BOUNDS_MAX) return NULL;
    rdg_metric_t *h = add(m, HISTOGRAM, name, help, labels);
    if (!h) return NULL;
    memcpy(h->bounds, bounds, bound_count * sizeof *bounds);
    h->bound_count = bound_count;
    return h;
}

void rdg_metric_add(rdg_metric_t *c, uint64_t n) {
    if (c) __atomic_fetch_add(&c->value, n, __ATOMIC_RELAXED);
}

void rdg_metric_set(rdg_metric_t *g, int64_t value) {
    if (g) __atomic_store_n(&g->value, (uint64_t)value, __ATOMIC_RELAXED);
}

void rdg_metric_observe(rdg_metric_t *h, double value) {
    if (!h || !(value >= 0)) return;
    size_t i = 0;
    while (i < h->bound_count && value > h->bounds[i]) ++i;
    __atomic_fetch_add(&h->buckets[i], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&h->sum_micro, (uint64_t)(value * 1e6), __ATOMIC_RELAXED);
    __atomic_fetch_add(&h->value, 1, __ATOMIC_RELAXED);
}

uint64_t rdg_metric_value(const rdg_metric_t *m) {
    return m ? load(&m->value) : 0;
}

double rdg_metric_quantile(const rdg_metric_t *h, double q) {
    uint64_t total = 0, below = 0;
    if (!h) return 0;
    for (size_t i = 0; i <= h->bound_count; ++i) total += load(&h->buckets[i]);
    if (total == 0) return 0;
    double rank = q * (double)total;
    for (size_t i = 0; i < h->bound_count; ++i) {
        uint64_t here = load(&h->buckets[i]);
        if (here > 0 && (double)(below + here) >= rank) {
            double low = i > 0 ? h->bounds[i - 1] : 0, part = (rank - (double)below) / (double)here;
            return low + (h->bounds[i] - low) * (part < 0 ? 0 : part);
        }
        below += here;
    }
    return h->bounds[h->bound_count - 1];
}

static void expose_histogram(const rdg_metric_t *h, rdg_buf_t *out) {
    const char *labels = h->labels ? h->labels : "", *comma = h->labels ? "," : "";
    uint64_t below = 0;
    for (size_t i = 0; i < h->bound_count; ++i) {
        below += load(&h->buckets[i]);
        rdg_buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", h->name, labels, comma, h->bounds[i],
                       (unsigned long long)below);
    }
    below += load(&h->buckets[h->bound_count]);
    rdg_buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", h->name, labels, comma,
                   (unsigned long long)below);
    const char *open = h->labels ? "{" : "", *close = h->labels ? "}" : "";
    rdg_buf_printf(out, "%s_sum%s%s%s %.6f\n", h->name, open, labels, close,
                   (double)load(&h->sum_micro) / 1e6);
    rdg_buf_printf(out, "%s_count%s%s%s %llu\n", h->name, open, labels, close, (unsigned long long)below);
}

static bool seen_before(const rdg_metrics_t *m, size_t at) {
    for (size_t i = 0; i < at; ++i)
        if (strcmp(m->all[i]->name, m->all[at]->name) == 0) return true;
    return false;
}

static void expose_one(const rdg_metric_t *x, rdg_buf_t *out) {
    const char *open = x->labels ? "{" : "", *close = x->labels ? "}" : "",
               *labels = x->labels ? x->labels : "";
    if (x->kind == HISTOGRAM)
        expose_histogram(x, out);
    else if (x->kind == GAUGE)
        rdg_buf_printf(out, "%s%s%s%s %lld\n", x->name, open, labels, close,
                       (long long)(int64_t)load(&x->value));
    else
        rdg_buf_printf(out, "%s%s%s%s %llu\n", x->name, open, labels, close,
                       (unsigned long long)load(&x->value));
}

rdg_err_t rdg_metrics_expose(const rdg_metrics_t *m, rdg_buf_t *out) {
    size_t count = __atomic_load_n(&m->count, __ATOMIC_ACQUIRE);
    /* The format wants all series of one name together, under one header. */
    for (size_t i = 0; i < count; ++i) {
        if (seen_before(m, i)) continue;
        rdg_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->all[i]->name, m->all[i]->help, m->all[i]->name,
                       kind_names[m->all[i]->kind]);
        for (size_t j = i; j < count; ++j)
            if (strcmp(m->all[i]->name, m->all[j]->name) == 0) expose_one(m->all[j], out);
    }
    return rdg_buf_err(out);
}
