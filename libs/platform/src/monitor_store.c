#include "monitor.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/map.h"

#define ROLL_ROWS 2000
#define PRUNE_ROWS 5000
/* A device whose clock runs ahead must not fill the disk for years. */
#define AHEAD_MAX_MS (2ull * 86400000)

/* Times are Unix milliseconds of the device, `received_ms` of the cloud. `number` is the order of arrival; `record` as
 * the device sent it; `series` of a span as series_encode makes it; level 0: 5 minutes, 1: an hour. `change` numbers
 * every change of an alarm, so that a reader can follow them. */
static const char *const migrations[] = {
    "CREATE TABLE telemetry (number INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, time_ms BIGINT "
    "NOT NULL,"
    " seq BIGINT NOT NULL, received_ms BIGINT NOT NULL, record BLOB NOT NULL, UNIQUE (device, time_ms, seq));"
    "CREATE TABLE spans (level INTEGER NOT NULL, device TEXT NOT NULL, start_ms BIGINT NOT NULL, series BLOB "
    "NOT NULL,"
    " PRIMARY KEY (level, device, start_ms));"
    "CREATE INDEX spans_age ON spans (level, start_ms);"
    "CREATE TABLE monitor_meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL);"
    "INSERT INTO monitor_meta (name, value) VALUES ('rolled', 0);",
};

rdg_err_t monitor_store_open(const char *data_dir, rdg_sql_t **out) {
    char url[4200];
    if (snprintf(url, sizeof url, "sqlite:%s/monitor.db", data_dir) >= (int)sizeof url)
        return rdg_fail(RDG_E_TOO_LARGE, "the data directory's path is too long");
    RDG_TRY(rdg_sql_open(url, out));
    return rdg_sql_migrate(*out, "monitor", migrations, sizeof migrations / sizeof migrations[0]);
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t monitor_store_add(rdg_sql_t *db, const monitor_row_t *row, int64_t *number) {
    *number = 0;
    return rdg_sql_query(
        db,
        "INSERT INTO telemetry (device, time_ms, seq, received_ms, record) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING number",
        RDG_SQL_PARAMS(rdg_sql_text(row->device), rdg_sql_int((int64_t)row->name.time_ms),
                       rdg_sql_int((int64_t)row->name.seq), rdg_sql_int((int64_t)row->received_ms),
                       rdg_sql_blob(row->record)),
        int_row, number);
}

/* --- rolling up ---------------------------------------------------------------------------------------------- */

typedef struct span {
    char device[65];
    uint64_t start_ms;
    int level;
    series_set_t set;
} span_t;

typedef struct rolling {
    rdg_map_t *spans; /* key: level, start, device → span_t, owned */
    rdg_telemetry_t *one;
    series_set_t *numbers;
    int64_t last;
    uint64_t rows;
} rolling_t;

static rdg_err_t into_span(rolling_t *r, const char *device, int level, uint64_t start_ms) {
    char key[100];
    int len = snprintf(key, sizeof key, "%d %llu %.64s", level, (unsigned long long)start_ms, device);
    span_t *s = rdg_map_get(r->spans, rdg_bytes(key, (size_t)len));
    if (!s) {
        s = rdg_calloc(1, sizeof *s);
        if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory to roll telemetry up");
        snprintf(s->device, sizeof s->device, "%s", device);
        s->level = level;
        s->start_ms = start_ms;
        rdg_err_t err = rdg_map_put(r->spans, rdg_bytes(key, (size_t)len), s, NULL);
        if (err != RDG_OK) {
            rdg_free(s);
            return err;
        }
    }
    series_merge(&s->set, r->numbers);
    return RDG_OK;
}

static rdg_err_t roll_row(void *ctx, const rdg_sql_row_t *row) {
    rolling_t *r = ctx;
    char device[65];
    snprintf(device, sizeof device, "%s", rdg_sql_row_text(row, 1));
    uint64_t time_ms = (uint64_t)rdg_sql_row_int(row, 2);
    r->last = rdg_sql_row_int(row, 0);
    ++r->rows;
    /* It was decoded before it was stored; damage of the file is no reason to stop here for ever. */
    if (rdg_telemetry_decode(rdg_sql_row_blob(row, 3), r->one) != RDG_OK) return RDG_OK;
    r->numbers->count = 0;
    series_add(r->numbers, r->one);
    RDG_TRY(into_span(r, device, 0, time_ms / MONITOR_FINE_STEP_MS * MONITOR_FINE_STEP_MS));
    return into_span(r, device, 1, time_ms / MONITOR_COARSE_STEP_MS * MONITOR_COARSE_STEP_MS);
}

typedef struct merging {
    series_set_t *set;
    rdg_err_t err;
} merging_t;

static rdg_err_t read_span(void *ctx, const rdg_sql_row_t *r) {
    merging_t *m = ctx;
    m->err = series_decode(rdg_sql_row_blob(r, 0), m->set);
    return RDG_OK;
}

static rdg_err_t write_span(rdg_sql_t *db, const span_t *s, series_set_t *scratch) {
    merging_t m = {scratch, RDG_OK};
    rdg_buf_t bytes;
    rdg_sql_value_t level = rdg_sql_int(s->level), device = rdg_sql_text(s->device),
                    start = rdg_sql_int((int64_t)s->start_ms);
    scratch->count = 0;
    RDG_TRY(rdg_sql_query(db, "SELECT series FROM spans WHERE level = ? AND device = ? AND start_ms = ?",
                          RDG_SQL_PARAMS(level, device, start), read_span, &m));
    if (m.err != RDG_OK) scratch->count = 0;
    series_merge(scratch, &s->set);
    rdg_buf_init(&bytes, 1u << 20);
    rdg_err_t err = series_encode(scratch, &bytes);
    if (err == RDG_OK)
        err = rdg_sql_exec(db,
                           "INSERT INTO spans (level, device, start_ms, series) VALUES (?, ?, ?, ?)"
                           " ON CONFLICT (level, device, start_ms) DO UPDATE SET series = excluded.series",
                           RDG_SQL_PARAMS(level, device, start, rdg_sql_blob(rdg_buf_view(&bytes))), NULL);
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t write_spans(rdg_sql_t *db, rolling_t *r) {
    size_t pos = 0;
    void *span;
    while (rdg_map_next(r->spans, &pos, NULL, &span)) RDG_TRY(write_span(db, span, r->numbers));
    return rdg_sql_exec(db, "UPDATE monitor_meta SET value = ? WHERE name = 'rolled'",
                        RDG_SQL_PARAMS(rdg_sql_int(r->last)), NULL);
}

static rdg_err_t roll(rdg_sql_t *db, rolling_t *r) {
    int64_t rolled = 0;
    RDG_TRY(
        rdg_sql_query(db, "SELECT value FROM monitor_meta WHERE name = 'rolled'", NULL, 0, int_row, &rolled));
    RDG_TRY(rdg_sql_query(
        db, "SELECT number, device, time_ms, record FROM telemetry WHERE number > ? ORDER BY number LIMIT ?",
        RDG_SQL_PARAMS(rdg_sql_int(rolled), rdg_sql_int(ROLL_ROWS)), roll_row, r));
    if (r->rows == 0) return RDG_OK;
    RDG_TRY(rdg_sql_begin(db));
    rdg_err_t err = write_spans(db, r);
    if (err == RDG_OK) err = rdg_sql_commit(db);
    if (err != RDG_OK) rdg_sql_rollback(db);
    return err;
}

rdg_err_t monitor_store_roll_up(rdg_sql_t *db, uint64_t *rows) {
    rolling_t r = {.spans = rdg_map_new(2 * ROLL_ROWS),
                   .one = rdg_calloc(1, sizeof *r.one),
                   .numbers = rdg_calloc(1, sizeof *r.numbers)};
    rdg_err_t err = r.spans && r.one && r.numbers
                        ? roll(db, &r)
                        : rdg_fail(RDG_E_NO_MEMORY, "no memory to roll telemetry up");
    size_t pos = 0;
    void *span;
    while (r.spans && rdg_map_next(r.spans, &pos, NULL, &span)) rdg_free(span);
    rdg_map_free(r.spans);
    rdg_free(r.one);
    rdg_free(r.numbers);
    *rows = r.rows;
    return err;
}

/* --- what is old goes ---------------------------------------------------------------------------------------- */

typedef struct oldest {
    int64_t number, received_ms;
} oldest_t;

static rdg_err_t oldest_row(void *ctx, const rdg_sql_row_t *r) {
    oldest_t *o = ctx;
    o->number = rdg_sql_row_int(r, 0);
    o->received_ms = rdg_sql_row_int(r, 1);
    return RDG_OK;
}

/* A piece at a time, so that what arrives never waits long. What is not rolled up yet stays. */
static rdg_err_t prune_raw(rdg_sql_t *db, uint64_t now_ms, uint64_t raw_ms) {
    int64_t rolled = 0, newest = 0;
    uint64_t until = now_ms > raw_ms ? now_ms - raw_ms : 0;
    RDG_TRY(
        rdg_sql_query(db, "SELECT value FROM monitor_meta WHERE name = 'rolled'", NULL, 0, int_row, &rolled));
    RDG_TRY(rdg_sql_query(db, "SELECT MAX(number) FROM telemetry", NULL, 0, int_row, &newest));
    for (int64_t step = PRUNE_ROWS; step >= 1; step = step > 1 ? step / 8 : 0) {
        for (;;) {
            oldest_t o = {0, 0};
            RDG_TRY(rdg_sql_query(
                db, "SELECT number, received_ms FROM telemetry ORDER BY number LIMIT 1 OFFSET ?",
                RDG_SQL_PARAMS(rdg_sql_int(step - 1)), oldest_row, &o));
            bool old = (uint64_t)o.received_ms < until || newest - o.number >= (int64_t)MONITOR_RAW_ROWS;
            if (o.number == 0 || o.number > rolled || !old) break;
            RDG_TRY(rdg_sql_exec(db, "DELETE FROM telemetry WHERE number <= ?",
                                 RDG_SQL_PARAMS(rdg_sql_int(o.number)), NULL));
        }
    }
    return RDG_OK;
}

rdg_err_t monitor_store_prune(rdg_sql_t *db, uint64_t now_ms, uint64_t raw_ms) {
    static const uint64_t kept[] = {MONITOR_FINE_MS, MONITOR_COARSE_MS};
    RDG_TRY(prune_raw(db, now_ms, raw_ms));
    for (int level = 0; level < 2; ++level)
        RDG_TRY(rdg_sql_exec(db, "DELETE FROM spans WHERE level = ? AND (start_ms < ? OR start_ms > ?)",
                             RDG_SQL_PARAMS(rdg_sql_int(level), rdg_sql_int((int64_t)(now_ms - kept[level])),
                                            rdg_sql_int((int64_t)(now_ms + AHEAD_MAX_MS))),
                             NULL));
    return RDG_OK;
}

typedef struct latest {
    rdg_buf_t *out;
    uint64_t received_ms;
    rdg_err_t err;
    bool found;
} latest_t;

static rdg_err_t latest_row(void *ctx, const rdg_sql_row_t *r) {
    latest_t *l = ctx;
    rdg_bytes_t record = rdg_sql_row_blob(r, 0);
    l->err = rdg_buf_append(l->out, record.data, record.len);
    l->received_ms = (uint64_t)rdg_sql_row_int(r, 1);
    l->found = true;
    return RDG_OK;
}

rdg_err_t monitor_store_latest(rdg_sql_t *db, const char *device, rdg_buf_t *out, uint64_t *received_ms) {
    latest_t l = {.out = out};
    RDG_TRY(rdg_sql_query(db,
                          "SELECT record, received_ms FROM telemetry WHERE device = ?"
                          " ORDER BY time_ms DESC, seq DESC LIMIT 1",
                          RDG_SQL_PARAMS(rdg_sql_text(device)), latest_row, &l));
    if (!l.found) return rdg_fail(RDG_E_NOT_FOUND, "device '%s' has sent no telemetry yet", device);
    *received_ms = l.received_ms;
    return l.err;
}
