#include "ridge/base/metrics.h"
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"

enum { BOUNDS_MAX = 24 };
typedef enum kind { COUNTER, GAUGE, HISTOGRAM } kind_t;
static const char *const kind_names[] = {"counter", "gauge", "histogram"};

struct rdg_metric {
    kind_t kind;
    const char *name, *help, *labels; /* into text */
    uint64_t value;                   /* counter; gauge as two's complement; histogram: number of samples */
    struct histogram *histogram;      /* behind the metric, histograms only */
    char text[];
};

typedef struct histogram {
    size_t bound_count;
    double bounds[BOUNDS_MAX];
    uint64_t buckets[BOUNDS_MAX + 1];
    uint64_t sum_bits; /* a double */
} histogram_t;

struct rdg_metrics {
    size_t count;
    rdg_metric_t *items[RDG_METRICS_MAX];
};

rdg_metrics_t *rdg_metrics_new(void) {
    return rdg_calloc(1, sizeof(rdg_metrics_t));
}

void rdg_metrics_free(rdg_metrics_t *m) {
    if (!m) return;
    for (size_t i = 0; i < m->count; ++i) {
        rdg_free(m->items[i]->histogram);
        rdg_free(m->items[i]);
    }
    rdg_free(m);
}

static bool name_valid(const char *name) {
    if (!name || !*name || (*name >= '0' && *name <= '9')) return false;
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:";
    return name[strspn(name, allowed)] == 0;
}

static char *keep(char **at, const char *s) {
    size_t len = strlen(s) + 1;
    char *copy = memcpy(*at, s, len);
    *at += len;
    return copy;
}

static rdg_metric_t *register_metric(rdg_metrics_t *m, kind_t kind, const char *name, const char *help,
                                     const char *labels) {
    if (!m) return NULL;
    RDG_ASSERT(name_valid(name));
    if (!help) help = "";
    if (!labels) labels = "";
    for (size_t i = 0; i < m->count; ++i) {
        rdg_metric_t *old = m->items[i];
        if (strcmp(old->name, name) != 0) continue;
        RDG_ASSERT(old->kind == kind);
        if (strcmp(old->labels, labels) == 0) return old;
    }
    if (m->count == RDG_METRICS_MAX) return NULL;
    rdg_metric_t *metric = rdg_calloc(1, sizeof *metric + strlen(name) + strlen(help) + strlen(labels) + 3);
    if (!metric) return NULL;
    char *at = metric->text;
    metric->kind = kind;
    metric->name = keep(&at, name), metric->help = keep(&at, help), metric->labels = keep(&at, labels);
    m->items[m->count++] = metric;
    return metric;
}

rdg_metric_t *rdg_metrics_counter(rdg_metrics_t *m, const char *name, const char *help, const char *labels) {
    return register_metric(m, COUNTER, name, help, labels);
}

rdg_metric_t *rdg_metrics_gauge(rdg_metrics_t *m, const char *name, const char *help, const char *labels) {
    return register_metric(m, GAUGE, name, help, labels);
}

rdg_metric_t *rdg_metrics_histogram(rdg_metrics_t *m, const char *name, const char *help, const char *labels,
                                    const double *bounds, size_t bound_count) {
    RDG_ASSERT(bound_count > 0 && bound_count <= BOUNDS_MAX);
    for (size_t i = 1; i < bound_count; ++i) RDG_ASSERT(bounds[i - 1] < bounds[i]);
    if (!m) return NULL;
    histogram_t *h = rdg_calloc(1, sizeof *h);
    if (!h) return NULL;
    h->bound_count = bound_count;
    memcpy(h->bounds, bounds, bound_count * sizeof *bounds);
    rdg_metric_t *metric = register_metric(m, HISTOGRAM, name, help, labels);
    if (!metric || metric->histogram) {
        rdg_free(h);
        return metric;
    }
    metric->histogram = h;
    return metric;
}

void rdg_metric_add(rdg_metric_t *c, uint64_t n) {
    if (c) __atomic_fetch_add(&c->value, n, __ATOMIC_RELAXED);
}

void rdg_metric_set(rdg_metric_t *g, int64_t value) {
    if (g) __atomic_store_n(&g->value, (uint64_t)value, __ATOMIC_RELAXED);
}

static double bits_to_double(uint64_t bits) {
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void add_double(uint64_t *bits, double by) {
    uint64_t old = __atomic_load_n(bits, __ATOMIC_RELAXED), sum_bits;
    do {
        double sum = bits_to_double(old) + by;
        memcpy(&sum_bits, &sum, sizeof sum);
    } while (!__atomic_compare_exchange_n(bits, &old, sum_bits, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

void rdg_metric_observe(rdg_metric_t *metric, double value) {
    if (!metric || value != value) return; /* one NaN would spoil the sum for ever */
    RDG_ASSERT(metric->kind == HISTOGRAM);
    histogram_t *h = metric->histogram;
    size_t i = 0;
    while (i < h->bound_count && value > h->bounds[i]) ++i;
    __atomic_fetch_add(&h->buckets[i], 1, __ATOMIC_RELAXED);
    add_double(&h->sum_bits, value);
    __atomic_fetch_add(&metric->value, 1, __ATOMIC_RELAXED);
}

uint64_t rdg_metric_value(const rdg_metric_t *m) {
    return m ? __atomic_load_n(&m->value, __ATOMIC_RELAXED) : 0;
}

double rdg_metric_quantile(const rdg_metric_t *metric, double q) {
    if (!metric || !metric->histogram) return 0;
    const histogram_t *h = metric->histogram;
    uint64_t buckets[BOUNDS_MAX + 1], total = 0;
    for (size_t i = 0; i <= h->bound_count; ++i)
        total += buckets[i] = __atomic_load_n(&h->buckets[i], __ATOMIC_RELAXED);
    if (total == 0) return 0;
    double rank = q * (double)total, below = 0;
    for (size_t i = 0; i < h->bound_count; ++i) {
        double in = (double)buckets[i];
        if (in > 0 && below + in >= rank) {
            double low = i > 0 ? h->bounds[i - 1] : h->bounds[0] < 0 ? h->bounds[0] : 0;
            double part = rank > below ? (rank - below) / in : 0;
            return low + (h->bounds[i] - low) * part;
        }
        below += in;
    }
    return h->bounds[h->bound_count - 1];
}

static void put_help(rdg_buf_t *out, const char *help) {
    for (; *help; ++help) {
        if (*help == '\\') {
            rdg_buf_str(out, "\\\\");
        } else if (*help == '\n') {
            rdg_buf_str(out, "\\n");
        } else {
            rdg_buf_u8(out, (uint8_t)*help);
        }
    }
}

static void put_histogram(const rdg_metric_t *m, rdg_buf_t *out) {
    const histogram_t *h = m->histogram;
    const char *comma = *m->labels ? "," : "", *open = *m->labels ? "{" : "", *close = *m->labels ? "}" : "";
    uint64_t total = 0;
    for (size_t i = 0; i <= h->bound_count; ++i) {
        total += __atomic_load_n(&h->buckets[i], __ATOMIC_RELAXED);
        if (i < h->bound_count) {
            rdg_buf_printf(out, "%s_bucket{%s%sle=\"%.15g\"} %llu\n", m->name, m->labels, comma, h->bounds[i],
                           (unsigned long long)total);
        } else {
            rdg_buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", m->name, m->labels, comma,
                           (unsigned long long)total);
        }
    }
    rdg_buf_printf(out, "%s_sum%s%s%s %.15g\n", m->name, open, m->labels, close,
                   bits_to_double(__atomic_load_n(&h->sum_bits, __ATOMIC_RELAXED)));
    rdg_buf_printf(out, "%s_count%s%s%s %llu\n", m->name, open, m->labels, close, (unsigned long long)total);
}

static void put_sample(const rdg_metric_t *m, rdg_buf_t *out) {
    if (m->kind == HISTOGRAM) {
        put_histogram(m, out);
        return;
    }
    rdg_buf_str(out, m->name);
    if (*m->labels) rdg_buf_printf(out, "{%s}", m->labels);
    uint64_t value = rdg_metric_value(m);
    if (m->kind == GAUGE) {
        rdg_buf_printf(out, " %lld\n", (long long)value);
    } else {
        rdg_buf_printf(out, " %llu\n", (unsigned long long)value);
    }
}

/* The format wants all samples of one name together, under one HELP and TYPE. */
static bool seen_before(const rdg_metrics_t *m, size_t index) {
    for (size_t i = 0; i < index; ++i)
        if (strcmp(m->items[i]->name, m->items[index]->name) == 0) return true;
    return false;
}

rdg_err_t rdg_metrics_expose(const rdg_metrics_t *m, rdg_buf_t *out) {
    for (size_t i = 0; i < m->count; ++i) {
        const rdg_metric_t *first = m->items[i];
        if (seen_before(m, i)) continue;
        rdg_buf_printf(out, "# HELP %s ", first->name);
        put_help(out, first->help);
        rdg_buf_printf(out, "\n# TYPE %s %s\n", first->name, kind_names[first->kind]);
        for (size_t j = i; j < m->count; ++j)
            if (strcmp(m->items[j]->name, first->name) == 0) put_sample(m->items[j], out);
    }
    return rdg_buf_err(out);
}
