/* Telemetry over REST: what a device is like now, and what its numbers were (docs/rest-api.md). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"
#include "monitor.h"
#include "ridge/base/alloc.h"

#define RANGE_DEFAULT_MS 3600000ull
#define POINTS_DEFAULT 200
#define METRICS_ASKED_MAX 16
#define LIST_MAX 1000

static rdg_err_t latest(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const char *name = rdg_service_arg(call, "name");
    rdg_buf_t record;
    uint64_t received_ms = 0;
    if (!devices_known(p, name)) return devices_absent(name);
    rdg_buf_init(&record, RDG_TELEMETRY_RECORD_MAX);
    rdg_telemetry_t *t = rdg_calloc(1, sizeof *t);
    rdg_err_t err = t ? monitor_store_latest(monitor_db(p->monitor), name, &record, &received_ms)
                      : rdg_fail(RDG_E_NO_MEMORY, "no memory for telemetry");
    if (err == RDG_OK) err = rdg_telemetry_decode(rdg_buf_view(&record), t);
    json_t *o = err == RDG_OK ? rdg_telemetry_json(t) : NULL;
    if (o) {
        json_object_set_new(o, "device", json_string(name));
        json_object_set_new(o, "received_ms", json_integer((json_int_t)received_ms));
    }
    rdg_buf_fini(&record);
    rdg_free(t);
    return err == RDG_OK ? rdg_service_reply(answer, 200, o) : err;
}

static rdg_err_t all_latest(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t limit = LIST_MAX;
    const char *after = rdg_http_query(call->http, "after");
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, LIST_MAX, &limit));
    json_t *list = devices_latest(ctx, call->tenant, after ? after : "", limit);
    return rdg_service_reply(answer, 200, list ? json_pack("{s:o}", "devices", list) : NULL);
}

/* --- ranges ---------------------------------------------------------------------------------------------------- */

typedef struct range {
    uint64_t from_ms, to_ms, step_ms;
    int level; /* -1: raw */
    uint16_t metrics[METRICS_ASKED_MAX];
    size_t metric_count; /* 0: all */
    size_t rows;
    bool truncated; /* more series than fit */
    rdg_err_t err;
    rdg_telemetry_t *one;
    series_set_t *numbers;
    size_t point_count, series_count;
    struct {
        series_key_t key;
        series_point_t *points; /* point_count; owned */
    } series[MONITOR_SERIES_MAX];
} range_t;

static bool wanted(const range_t *r, uint16_t metric) {
    for (size_t i = 0; i < r->metric_count; ++i)
        if (r->metrics[i] == metric) return true;
    return r->metric_count == 0;
}

static series_point_t *points_of(range_t *r, const series_key_t *k) {
    for (size_t i = 0; i < r->series_count; ++i)
        if (r->series[i].key.metric == k->metric && strcmp(r->series[i].key.subject, k->subject) == 0)
            return r->series[i].points;
    if (r->series_count == MONITOR_SERIES_MAX) {
        r->truncated = true;
        return NULL;
    }
    series_point_t *points = rdg_calloc(r->point_count, sizeof *points);
    if (!points) r->err = rdg_fail(RDG_E_NO_MEMORY, "no memory for the range");
    if (!points) return NULL;
    r->series[r->series_count].key = *k;
    r->series[r->series_count++].points = points;
    return points;
}

static rdg_err_t range_row(void *ctx, const rdg_sql_row_t *row) {
    range_t *r = ctx;
    uint64_t time_ms = (uint64_t)rdg_sql_row_int(row, 0);
    rdg_bytes_t bytes = rdg_sql_row_blob(row, 1);
    if (++r->rows > MONITOR_SCAN_ROWS)
        return rdg_fail(RDG_E_TOO_LARGE,
                        "more than %d records are in this range: ask for a shorter one, or for steps of "
                        "300000 ms and more",
                        MONITOR_SCAN_ROWS);
    r->numbers->count = 0;
    if (r->level < 0) {
        RDG_TRY(rdg_telemetry_decode(bytes, r->one));
        series_add(r->numbers, r->one);
    } else {
        RDG_TRY(series_decode(bytes, r->numbers));
    }
    size_t at = (size_t)((time_ms - r->from_ms) / r->step_ms);
    for (size_t i = 0; i < r->numbers->count && at < r->point_count; ++i) {
        if (!wanted(r, r->numbers->of[i].key.metric)) continue;
        series_point_t *points = points_of(r, &r->numbers->of[i].key);
        if (points) series_point_merge(&points[at], &r->numbers->of[i].point);
        RDG_TRY(r->err);
    }
    return RDG_OK;
}

static rdg_err_t scan(monitor_t *m, const char *device, range_t *r) {
    rdg_sql_value_t d = rdg_sql_text(device), from = rdg_sql_int((int64_t)r->from_ms),
                    to = rdg_sql_int((int64_t)r->to_ms);
    if (r->level < 0)
        return rdg_sql_query(monitor_db(m),
                             "SELECT time_ms, record FROM telemetry WHERE device = ? AND time_ms >= ? AND "
                             "time_ms < ? ORDER BY time_ms, seq",
                             RDG_SQL_PARAMS(d, from, to), range_row, r);
    return rdg_sql_query(
        monitor_db(m),
        "SELECT start_ms, series FROM spans WHERE level = ? AND device = ? AND start_ms >= ? "
        "AND start_ms < ? ORDER BY start_ms",
        RDG_SQL_PARAMS(rdg_sql_int(r->level), d, from, to), range_row, r);
}

static rdg_err_t read_metrics(const rdg_service_call_t *call, range_t *r) {
    const char *text = rdg_http_query(call->http, "metric");
    while (text && *text) {
        size_t len = strcspn(text, ",");
        if (r->metric_count == METRICS_ASKED_MAX)
            return rdg_fail(RDG_E_INVALID, "metric: at most %d at once", METRICS_ASKED_MAX);
        if (!series_metric_find(text, len, &r->metrics[r->metric_count++]))
            return rdg_fail(RDG_E_INVALID, "metric '%.*s' does not exist: see docs/rest-api.md",
                            len < 40 ? (int)len : 40, text);
        text += len + (text[len] == ',');
    }
    return RDG_OK;
}

static rdg_err_t read_range(monitor_t *m, const rdg_service_call_t *call, range_t *r) {
    uint64_t now = monitor_now(m), span;
    r->to_ms = now + 1;
    RDG_TRY(rdg_service_query_u64(call, "to", 1, INT64_MAX, &r->to_ms));
    r->from_ms = r->to_ms > RANGE_DEFAULT_MS ? r->to_ms - RANGE_DEFAULT_MS : 0;
    RDG_TRY(rdg_service_query_u64(call, "from", 0, INT64_MAX, &r->from_ms));
    if (r->from_ms >= r->to_ms) return rdg_fail(RDG_E_INVALID, "from: want a time before 'to'");
    span = r->to_ms - r->from_ms;
    r->step_ms = span / POINTS_DEFAULT + 1;
    if (r->step_ms > MONITOR_FINE_STEP_MS / 2)
        r->step_ms = (r->step_ms / MONITOR_FINE_STEP_MS + 1) * MONITOR_FINE_STEP_MS;
    RDG_TRY(rdg_service_query_u64(call, "step", 1, MONITOR_COARSE_MS, &r->step_ms));
    if ((span - 1) / r->step_ms >= MONITOR_POINTS_MAX)
        return rdg_fail(RDG_E_INVALID,
                        "step: %" PRIu64 " ms give more than %d points: want %" PRIu64 " or more", r->step_ms,
                        MONITOR_POINTS_MAX, span / MONITOR_POINTS_MAX + 1);
    /* The coarsest that still tells every step apart; older than it is kept, the next. */
    r->level = r->step_ms >= MONITOR_COARSE_STEP_MS ? 1 : r->step_ms >= MONITOR_FINE_STEP_MS ? 0 : -1;
    if (r->level == 0 && now > MONITOR_FINE_MS && r->from_ms < now - MONITOR_FINE_MS) r->level = 1;
    uint64_t grid = r->level == 1 ? MONITOR_COARSE_STEP_MS : r->level == 0 ? MONITOR_FINE_STEP_MS : 1;
    r->from_ms = r->from_ms / grid * grid;
    r->point_count = (size_t)((r->to_ms - r->from_ms - 1) / r->step_ms + 1);
    return read_metrics(call, r);
}

static json_t *points_json(const range_t *r, const series_point_t *points) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->point_count; ++i) {
        const series_point_t *p = &points[i];
        if (p->count == 0) continue;
        json_array_append_new(list, json_pack("[I, I, f, I, I]", (json_int_t)(r->from_ms + i * r->step_ms),
                                              (json_int_t)p->min, (double)p->sum / (double)p->count,
                                              (json_int_t)p->max, (json_int_t)p->last));
    }
    return list;
}

static json_t *range_json(const char *device, const range_t *r) {
    static const char *const sources[] = {"raw", "5min", "hour"};
    json_t *list = json_array();
    for (size_t i = 0; i < r->series_count; ++i)
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "metric",
                                              series_metric_name(r->series[i].key.metric), "subject",
                                              r->series[i].key.subject, "points",
                                              points_json(r, r->series[i].points)));
    return json_pack("{s:s, s:I, s:I, s:I, s:s, s:b, s:o}", "device", device, "from", (json_int_t)r->from_ms,
                     "to", (json_int_t)r->to_ms, "step", (json_int_t)r->step_ms, "source",
                     sources[r->level + 1], "truncated", (int)r->truncated, "series", list);
}

static rdg_err_t range(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const char *name = rdg_service_arg(call, "name");
    if (!devices_known(p, name)) return devices_absent(name);
    range_t *r = rdg_calloc(1, sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the range");
    r->one = rdg_calloc(1, sizeof *r->one);
    r->numbers = rdg_calloc(1, sizeof *r->numbers);
    rdg_err_t err = r->one && r->numbers ? read_range(p->monitor, call, r)
                                         : rdg_fail(RDG_E_NO_MEMORY, "no memory for the range");
    if (err == RDG_OK) err = scan(p->monitor, name, r);
    if (err == RDG_OK) err = rdg_service_reply(answer, 200, range_json(name, r));
    for (size_t i = 0; i < r->series_count; ++i) rdg_free(r->series[i].points);
    rdg_free(r->one);
    rdg_free(r->numbers);
    rdg_free(r);
    return err;
}

const rdg_service_route_t monitor_routes[] = {
    {"GET", "/api/v1/telemetry", RDG_ROUTE_TENANT, all_latest},
    {"GET", "/api/v1/devices/{name}/telemetry", RDG_ROUTE_OWNED, latest},
    {"GET", "/api/v1/devices/{name}/telemetry/range", RDG_ROUTE_OWNED, range},
};
const size_t monitor_route_count = sizeof monitor_routes / sizeof monitor_routes[0];
