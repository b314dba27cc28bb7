#include "ridge/base/metrics.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include "ridge/test.h"

TEST(metrics_are_exposed_in_prometheus_text_format) {
    static const double bounds[] = {0.5, 10};
    rdg_metrics_t *m = rdg_metrics_new();
    rdg_metric_t *c =
        rdg_metrics_counter(m, "ridge_tx_accepted_total", "accepted\ntransactions \\o/", "chain=\"a\"");
    rdg_metric_t *h = rdg_metrics_histogram(m, "ridge_commit_ms", "time", NULL, bounds, 2);
    rdg_metric_t *g = rdg_metrics_gauge(m, "ridge_pool_size", "entries", NULL);
    rdg_metric_t *d = rdg_metrics_counter(m, "ridge_tx_accepted_total", "ignored", "chain=\"b\"");
    rdg_metric_add(c, 2), rdg_metric_add(d, 1), rdg_metric_set(g, -3);
    rdg_metric_observe(h, 0.5), rdg_metric_observe(h, 2), rdg_metric_observe(h, 99);
    rdg_buf_t out;
    rdg_buf_init(&out, 4096);
    CHECK_OK(rdg_metrics_expose(m, &out));
    CHECK_STR(rdg_buf_cstr(&out), "# HELP ridge_tx_accepted_total accepted\\ntransactions \\\\o/\n"
                                  "# TYPE ridge_tx_accepted_total counter\n"
                                  "ridge_tx_accepted_total{chain=\"a\"} 2\n"
                                  "ridge_tx_accepted_total{chain=\"b\"} 1\n"
                                  "# HELP ridge_commit_ms time\n"
                                  "# TYPE ridge_commit_ms histogram\n"
                                  "ridge_commit_ms_bucket{le=\"0.5\"} 1\n"
                                  "ridge_commit_ms_bucket{le=\"10\"} 2\n"
                                  "ridge_commit_ms_bucket{le=\"+Inf\"} 3\n"
                                  "ridge_commit_ms_sum 101.5\n"
                                  "ridge_commit_ms_count 3\n"
                                  "# HELP ridge_pool_size entries\n"
                                  "# TYPE ridge_pool_size gauge\n"
                                  "ridge_pool_size -3\n");
    rdg_buf_fini(&out);
    rdg_metrics_free(m);
}

TEST(metrics_report_a_page_that_does_not_fit) {
    rdg_metrics_t *m = rdg_metrics_new();
    rdg_metrics_gauge(m, "ridge_pool_size", "entries", NULL);
    rdg_buf_t out;
    rdg_buf_init(&out, 20);
    CHECK_ERR(rdg_metrics_expose(m, &out), RDG_E_TOO_LARGE);
    rdg_buf_fini(&out);
    rdg_metrics_free(m);
}

TEST(metrics_registered_twice_are_one) {
    rdg_metrics_t *m = rdg_metrics_new();
    static const double bounds[] = {1};
    CHECK(rdg_metrics_counter(m, "a", "", NULL) == rdg_metrics_counter(m, "a", "", NULL));
    CHECK(rdg_metrics_counter(m, "a", "", "x=\"1\"") != rdg_metrics_counter(m, "a", "", NULL));
    CHECK(rdg_metrics_histogram(m, "h", "", NULL, bounds, 1) ==
          rdg_metrics_histogram(m, "h", "", NULL, bounds, 1));
    rdg_metrics_free(m);
}

TEST(metrics_past_the_limit_are_null_and_do_nothing) {
    rdg_metrics_t *m = rdg_metrics_new();
    char name[32];
    for (int i = 0; i < RDG_METRICS_MAX; ++i) {
        snprintf(name, sizeof name, "m%d", i);
        CHECK(rdg_metrics_counter(m, name, "", NULL) != NULL);
    }
    rdg_metric_t *none = rdg_metrics_counter(m, "one_more", "", NULL);
    CHECK(none == NULL);
    rdg_metric_add(none, 1), rdg_metric_set(none, 1), rdg_metric_observe(none, 1);
    CHECK_EQ(rdg_metric_value(none), 0);
    CHECK(rdg_metric_quantile(none, 0.5) == 0);
    rdg_metrics_free(m);
}

TEST(metric_quantile_is_interpolated_in_its_bucket) {
    static const double bounds[] = {10, 20, 40};
    rdg_metrics_t *m = rdg_metrics_new();
    rdg_metric_t *h = rdg_metrics_histogram(m, "h", "", NULL, bounds, 3);
    CHECK(rdg_metric_quantile(h, 0.5) == 0);
    for (int i = 0; i < 10; ++i) rdg_metric_observe(h, 5), rdg_metric_observe(h, 15);
    CHECK(fabs(rdg_metric_quantile(h, 0.25) - 5) < 1e-9);
    CHECK(fabs(rdg_metric_quantile(h, 0.5) - 10) < 1e-9);
    CHECK(fabs(rdg_metric_quantile(h, 0.75) - 15) < 1e-9);
    rdg_metric_observe(h, 1e9);
    CHECK(rdg_metric_quantile(h, 1) == 40); /* beyond the last bound nothing is known */
    rdg_metric_observe(h, NAN);
    CHECK_EQ(rdg_metric_value(h), 21);
    rdg_metrics_free(m);
}

static void *add_many(void *metric) {
    for (int i = 0; i < 10000; ++i) rdg_metric_add(metric, 1);
    return NULL;
}

static void *observe_many(void *metric) {
    for (int i = 0; i < 10000; ++i) rdg_metric_observe(metric, 0.25);
    return NULL;
}

TEST(metrics_lose_nothing_between_threads) {
    static const double bounds[] = {1};
    rdg_metrics_t *m = rdg_metrics_new();
    rdg_metric_t *c = rdg_metrics_counter(m, "c", "", NULL),
                 *h = rdg_metrics_histogram(m, "h", "", NULL, bounds, 1);
    pthread_t threads[4];
    for (int i = 0; i < 4; ++i)
        CHECK(pthread_create(&threads[i], NULL, i % 2 ? add_many : observe_many, i % 2 ? c : h) == 0);
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    CHECK_EQ(rdg_metric_value(c), 20000);
    rdg_buf_t out;
    rdg_buf_init(&out, 4096);
    CHECK_OK(rdg_metrics_expose(m, &out));
    CHECK(strstr(rdg_buf_cstr(&out), "h_sum 5000\nh_count 20000\n") != NULL);
    rdg_buf_fini(&out);
    rdg_metrics_free(m);
}

TEST(metrics_without_memory_are_null) {
    rdg_err_t err;
    static const double bounds[] = {1};
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_metrics_t *m = rdg_metrics_new();
        bool ok = m && rdg_metrics_counter(m, "c", "help", "l=\"1\"") &&
                  rdg_metrics_histogram(m, "h", "", NULL, bounds, 1);
        err = ok ? RDG_OK : RDG_E_NO_MEMORY;
        rdg_metrics_free(m);
    }
}
