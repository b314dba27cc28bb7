/* Metrics: counters, gauges and histograms, exposed in Prometheus text format 0.0.4.
 *
 * Metrics are registered once at start (name, help, optional constant labels as text: `chain="a"`), live
 * until the registry is freed, and are updated with atomic operations from any thread. At most
 * RDG_METRICS_MAX a registry. Histograms have fixed buckets in milliseconds-like powers given at
 * registration (at most 24). Names follow Prometheus: ridge_<area>_<what>_<unit>[_total]. */
#ifndef RIDGE_BASE_METRICS_H
#define RIDGE_BASE_METRICS_H
#include <stdint.h>
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_METRICS_MAX 256
typedef struct rdg_metrics rdg_metrics_t;
typedef struct rdg_metric rdg_metric_t;

rdg_metrics_t *rdg_metrics_new(void); /* NULL: no memory */
void rdg_metrics_free(rdg_metrics_t *m);
/* Return a metric borrowed from the registry, or NULL when full or out of memory; every update function
 * accepts NULL and then does nothing. labels may be NULL. */
rdg_metric_t *rdg_metrics_counter(rdg_metrics_t *m, const char *name, const char *help, const char *labels);
rdg_metric_t *rdg_metrics_gauge(rdg_metrics_t *m, const char *name, const char *help, const char *labels);
rdg_metric_t *rdg_metrics_histogram(rdg_metrics_t *m, const char *name, const char *help, const char *labels,
                                    const double *bounds, size_t bound_count);
void rdg_metric_add(rdg_metric_t *c, uint64_t n);
void rdg_metric_set(rdg_metric_t *g, int64_t value);
void rdg_metric_observe(rdg_metric_t *h, double value);
uint64_t rdg_metric_value(const rdg_metric_t *m); /* counter or gauge value, histogram count */
/* Upper bound of the bucket in which quantile q (0..1) falls, linearly interpolated; 0 with no samples. */
double rdg_metric_quantile(const rdg_metric_t *h, double q);
rdg_err_t rdg_metrics_expose(const rdg_metrics_t *m, rdg_buf_t *out);

#ifdef __cplusplus
}
#endif
#endif
