/* Urgent records of devices: durable before they are acknowledged, once however often they come, in the order in which
 * they came. Readers follow them by number. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "internal.h"
#include "collect.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

#define LIST_DEFAULT 100
#define LIST_MAX 1000
#define RETRY_FULL_S 30
#define COLUMNS "number, device, id, kind, time_ms, received_ms, data"

#define ANSWER_BYTES (4u << 20) /* of data; then the answer ends early */
#define ROOM_ROWS 500
#define ROOM_SLACK 16
#define DEVICE_SHARE 8

/* record_totals: of each device, and of all by the name ''. `bytes` are those of data. */
static const char *const migrations[] = {
    "CREATE TABLE records (number INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, id TEXT NOT NULL,"
    " kind TEXT NOT NULL, time_ms BIGINT NOT NULL, received_ms BIGINT NOT NULL, bytes INTEGER NOT NULL,"
    " data TEXT NOT NULL, UNIQUE (device, id));"
    "CREATE INDEX records_device ON records (device, number);"
    "CREATE INDEX records_kind ON records (kind, number);"
    "CREATE TABLE record_totals (device TEXT PRIMARY KEY, count BIGINT NOT NULL, bytes BIGINT NOT NULL);",
    ("ALTER TABLE records ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';"
     "CREATE INDEX records_tenant ON records (tenant, number);"),
};

rdg_err_t collect_records_open(collect_t *c, const collect_options_t *o) {
    char url[4200];
    c->records_bytes = o->records_bytes ? o->records_bytes : COLLECT_RECORDS_BYTES;
    c->records_needed = INT64_MAX;
    if (snprintf(url, sizeof url, "sqlite:%s/records.db", o->data_dir) >= (int)sizeof url)
        return rdg_fail(RDG_E_TOO_LARGE, "the data directory's path is too long");
    RDG_TRY(rdg_sql_open(url, &c->records));
    return rdg_sql_migrate(c->records, "records", migrations, sizeof migrations / sizeof migrations[0]);
}

/* --- room --------------------------------------------------------------------------------------------------- */

typedef struct totals {
    int64_t count, bytes;
} totals_t;

static rdg_err_t totals_row(void *ctx, const rdg_sql_row_t *r) {
    *(totals_t *)ctx = (totals_t){rdg_sql_row_int(r, 0), rdg_sql_row_int(r, 1)};
    return RDG_OK;
}

static rdg_err_t totals_of(collect_t *c, const char *device, totals_t *out) {
    *out = (totals_t){0, 0};
    return rdg_sql_query(c->records, "SELECT count, bytes FROM record_totals WHERE device = ?",
                         RDG_SQL_PARAMS(rdg_sql_text(device)), totals_row, out);
}

static rdg_err_t count_in(collect_t *c, const char *device, int64_t count, int64_t bytes) {
    return rdg_sql_exec(
        c->records,
        "INSERT INTO record_totals (device, count, bytes) VALUES (?, ?, ?) ON CONFLICT (device) DO UPDATE"
        " SET count = count + excluded.count, bytes = bytes + excluded.bytes",
        RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_int(count), rdg_sql_int(bytes)), NULL);
}

typedef struct gone {
    collect_t *c;
    totals_t sum, want;
    int64_t before_ms, last;
} gone_t;

static rdg_err_t gone_row(void *ctx, const rdg_sql_row_t *r) {
    gone_t *g = ctx;
    int64_t bytes = rdg_sql_row_int(r, 2);
    bool enough = g->sum.count >= g->want.count && g->sum.bytes >= g->want.bytes;
    if (enough || rdg_sql_row_int(r, 3) >= g->before_ms) return RDG_E_CANCELLED;
    g->last = rdg_sql_row_int(r, 0);
    ++g->sum.count;
    g->sum.bytes += bytes;
    return count_in(g->c, rdg_sql_row_text(r, 1), -1, -bytes);
}

/* Within a transaction: the oldest of a device (NULL: of all) that nobody waits for go, as many as are wanted and
 * ROOM_ROWS at most. */
static rdg_err_t drop_oldest(collect_t *c, const char *device, gone_t *g) {
    int64_t needed = __atomic_load_n(&c->records_needed, __ATOMIC_ACQUIRE);
    rdg_sql_value_t d = rdg_sql_text(device);
    g->c = c;
    RDG_TRY(rdg_sql_query(c->records,
                          device ? "SELECT number, device, bytes, received_ms FROM records WHERE device = ?"
                                   " AND number < ? ORDER BY number LIMIT ?"
                                 : "SELECT number, device, bytes, received_ms FROM records WHERE ? IS NULL"
                                   " AND number < ? ORDER BY number LIMIT ?",
                          RDG_SQL_PARAMS(d, rdg_sql_int(needed), rdg_sql_int(ROOM_ROWS)), gone_row, g));
    if (g->sum.count == 0) return RDG_OK;
    RDG_TRY(rdg_sql_exec(c->records,
                         device ? "DELETE FROM records WHERE device = ? AND number <= ?"
                                : "DELETE FROM records WHERE ? IS NULL AND number <= ?",
                         RDG_SQL_PARAMS(d, rdg_sql_int(g->last)), NULL));
    return count_in(c, "", -g->sum.count, -g->sum.bytes);
}

/* Within the transaction that has brought them. device: "" for all. DISK_FULL. */
static rdg_err_t make_room(collect_t *c, const char *device, totals_t most) {
    totals_t have;
    for (;;) {
        RDG_TRY(totals_of(c, device, &have));
        if (have.count <= most.count && have.bytes <= most.bytes) return RDG_OK;
        /* A little more than what is wanted, so that it is not looked for at each record. */
        gone_t g = {.want = {have.count - most.count + (most.count / ROOM_SLACK),
                             have.bytes - most.bytes + (most.bytes / ROOM_SLACK)},
                    .before_ms = INT64_MAX};
        RDG_TRY(drop_oldest(c, device[0] ? device : NULL, &g));
        if (g.sum.count == 0)
            return rdg_fail(
                RDG_E_DISK_FULL,
                "%" PRId64 " records of %" PRId64 " bytes%s%s wait for their subscribers, at most %" PRId64
                " of %" PRId64 ": see ridge subscription list",
                have.count, have.bytes, device[0] ? " of device " : "", device, most.count, most.bytes);
    }
}

/* --- taking ------------------------------------------------------------------------------------------------- */

typedef struct record {
    const char *id, *kind;
    uint64_t time_ms;
    char *data; /* JSON text; owned */
} record_t;

static rdg_err_t read_record(const json_t *o, record_t *out) {
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "a record is a JSON object");
    RDG_TRY(rdg_json_get_str(o, "id", &out->id));
    RDG_TRY(rdg_json_get_str(o, "kind", &out->kind));
    RDG_TRY(rdg_json_get_u64(o, "time_ms", &out->time_ms));
    const json_t *data = json_object_get(o, "data");
    if (!rdg_name_valid(out->id) || !rdg_name_valid(out->kind))
        return rdg_fail(RDG_E_INVALID, "id and kind: want 1 to 64 of [a-z0-9._-], first a letter or digit");
    if (!data) return rdg_fail(RDG_E_INVALID, "record '%s' has no data", out->id);
    out->data = rdg_json_text(data);
    if (!out->data) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a record");
    if (strlen(out->data) <= COLLECT_RECORD_MAX) return RDG_OK;
    return rdg_fail(RDG_E_TOO_LARGE, "record '%s' has %zu bytes of data, at most %u", out->id,
                    strlen(out->data), COLLECT_RECORD_MAX);
}

static rdg_err_t same_row(void *ctx, const rdg_sql_row_t *r) {
    *(bool *)ctx = rdg_sql_row_int(r, 0) != 0;
    return RDG_OK;
}

/* *news: it was not here yet. CONFLICT: another one has its id. */
static rdg_err_t store(collect_t *c, const char *device, const char *tenant, const record_t *r, bool *news) {
    size_t rows = 0;
    bool same = true;
    RDG_TRY(rdg_sql_exec(
        c->records,
        "INSERT INTO records (device, id, kind, time_ms, received_ms, bytes, data, tenant)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(r->id), rdg_sql_text(r->kind),
                       rdg_sql_int((int64_t)r->time_ms), rdg_sql_int((int64_t)platform_now()),
                       rdg_sql_int((int64_t)strlen(r->data)), rdg_sql_text(r->data), rdg_sql_text(tenant)),
        &rows));
    *news = rows > 0;
    if (*news) return RDG_OK;
    RDG_TRY(rdg_sql_query(c->records, "SELECT kind = ? AND data = ? FROM records WHERE device = ? AND id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(r->kind), rdg_sql_text(r->data), rdg_sql_text(device),
                                         rdg_sql_text(r->id)),
                          same_row, &same));
    return same ? RDG_OK
                : rdg_fail(RDG_E_CONFLICT,
                           "record '%s' is here already with another kind or other data: give "
                           "each record an id of its own",
                           r->id);
}

typedef struct batch {
    char tenant[RDG_TENANT_MAX + 1]; /* of the device */
    size_t taken, known;
    int64_t bytes; /* of those that were taken */
    json_t *refused;
} batch_t;

/* A record that is no record is refused by itself; trouble of our own is the whole batch's. */
static rdg_err_t store_one(collect_t *c, const char *device, const json_t *o, size_t index, batch_t *b) {
    record_t r = {NULL, NULL, 0, NULL};
    bool news = false;
    rdg_err_t err = read_record(o, &r);
    if (err == RDG_OK) err = store(c, device, b->tenant, &r, &news);
    if (err == RDG_E_INVALID || err == RDG_E_TOO_LARGE || err == RDG_E_CONFLICT) {
        json_array_append_new(b->refused, json_pack("{s:I, s:s, s:s}", "index", (json_int_t)index, "code",
                                                    rdg_err_name(err), "message", rdg_err_message(err)));
        err = RDG_OK;
    } else if (err == RDG_OK) {
        b->taken += news;
        b->known += !news;
        b->bytes += news ? (int64_t)strlen(r.data) : 0;
    }
    rdg_free(r.data);
    return err;
}

static rdg_err_t store_within(collect_t *c, const char *device, const json_t *list, batch_t *b) {
    size_t i;
    json_t *o;
    const totals_t all = {COLLECT_RECORDS_MAX, c->records_bytes},
                   own = {COLLECT_RECORDS_DEVICE, c->records_bytes / DEVICE_SHARE};
    json_array_foreach(list, i, o) RDG_TRY(store_one(c, device, o, i, b));
    if (b->taken == 0) return RDG_OK;
    RDG_TRY(count_in(c, device, (int64_t)b->taken, b->bytes));
    RDG_TRY(count_in(c, "", (int64_t)b->taken, b->bytes));
    RDG_TRY(make_room(c, device, own));
    return make_room(c, "", all);
}

static rdg_err_t tenant_row(void *ctx, const rdg_sql_row_t *r) {
    snprintf(ctx, RDG_TENANT_MAX + 1, "%s", rdg_sql_row_text(r, 0));
    return RDG_OK;
}

static rdg_err_t store_all(collect_t *c, const char *device, const json_t *list, batch_t *b) {
    RDG_TRY(rdg_sql_query(c->db, "SELECT tenant FROM devices WHERE name = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(device)), tenant_row, b->tenant));
    RDG_TRY(rdg_sql_begin(c->records));
    rdg_err_t err = store_within(c, device, list, b);
    COLLECT_STEP("record written");
    if (err == RDG_OK) err = rdg_sql_commit(c->records);
    if (err != RDG_OK) rdg_sql_rollback(c->records);
    if (err == RDG_OK) COLLECT_STEP("record durable");
    return err;
}

void collect_take_records(collect_t *c, const char *device, const rdg_http_request_t *req,
                          rdg_http_response_t *res) {
    json_t *body = NULL, *list = NULL;
    batch_t b = {.tenant = RDG_TENANT_DEFAULT, .refused = json_array()};
    rdg_err_t err = b.refused ? rdg_json_parse(rdg_http_body(req), &body)
                              : rdg_fail(RDG_E_NO_MEMORY, "no memory for records");
    if (err == RDG_OK) err = rdg_json_get_array(body, "records", &list);
    if (err == RDG_OK && json_array_size(list) > COLLECT_RECORDS_BATCH)
        err = rdg_fail(RDG_E_TOO_LARGE, "%zu records at once, at most %d", json_array_size(list),
                       COLLECT_RECORDS_BATCH);
    if (err == RDG_OK) err = store_all(c, device, list, &b);
    if (err == RDG_OK) {
        rdg_metric_add(c->m_records, b.taken);
        pthread_mutex_lock(&c->admission);
        c->generation += b.taken > 0;
        pthread_cond_broadcast(&c->arrived);
        if (c->news && b.taken > 0) c->news(c->news_ctx);
        pthread_mutex_unlock(&c->admission);
        collect_answer(res, 200,
                       json_pack("{s:I, s:I, s:O}", "accepted", (json_int_t)b.taken, "known",
                                 (json_int_t)b.known, "refused", b.refused));
    } else {
        collect_refuse(res, err, NULL, err == RDG_E_DISK_FULL ? RETRY_FULL_S : 0);
    }
    json_decref(b.refused);
    json_decref(body);
}

static rdg_err_t drop_batch(collect_t *c, int64_t *count) {
    RDG_TRY(rdg_sql_begin(c->records));
    gone_t g = {.want = {INT64_MAX, INT64_MAX},
                .before_ms = (int64_t)platform_now() - COLLECT_RECORDS_KEEP_MS};
    rdg_err_t err = drop_oldest(c, NULL, &g);
    *count = g.sum.count;
    if (err == RDG_OK) err = rdg_sql_commit(c->records);
    if (err != RDG_OK) rdg_sql_rollback(c->records);
    return err;
}

void collect_listen(collect_t *c, void (*news)(void *ctx), void *ctx) {
    pthread_mutex_lock(&c->admission);
    c->news = news;
    c->news_ctx = ctx;
    pthread_mutex_unlock(&c->admission);
}

/* A batch at a time: devices get their turns in between. */
void collect_records_tick(collect_t *c) {
    int64_t dropped = 0;
    rdg_err_t err;
    do err = drop_batch(c, &dropped);
    while (err == RDG_OK && dropped > 0);
    if (err != RDG_OK) rdg_log_err("collect.upkeep_failed", err);
}

/* --- for who reads them -------------------------------------------------------------------------------------- */

json_t *collect_record_json(const rdg_sql_row_t *r) {
    json_t *data = NULL;
    const char *text = rdg_sql_row_text(r, 6);
    if (text) (void)rdg_json_parse(rdg_bytes_str(text), &data);
    return json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:o}", "number", (json_int_t)rdg_sql_row_int(r, 0),
                     "device", rdg_sql_row_text(r, 1), "id", rdg_sql_row_text(r, 2), "kind",
                     rdg_sql_row_text(r, 3), "time_ms", (json_int_t)rdg_sql_row_int(r, 4), "received_ms",
                     (json_int_t)rdg_sql_row_int(r, 5), "data", data ? data : json_null());
}

/* Only the conditions that are asked for stand in the statement, so that an index of theirs is used. */
rdg_err_t collect_records_each(collect_t *c, const record_filter_t *f, int64_t after, uint64_t limit,
                               rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *r), void *ctx) {
    char sql[300];
    rdg_sql_value_t params[5];
    size_t count = 0;
    params[count++] = rdg_sql_int(after);
    if (f->tenant) params[count++] = rdg_sql_text(f->tenant);
    if (f->device) params[count++] = rdg_sql_text(f->device);
    if (f->kind) params[count++] = rdg_sql_text(f->kind);
    params[count++] = rdg_sql_int((int64_t)limit);
    snprintf(sql, sizeof sql, "SELECT %s FROM records WHERE number > ?%s%s%s ORDER BY number LIMIT ?",
             COLUMNS, f->tenant ? " AND tenant = ?" : "", f->device ? " AND device = ?" : "",
             f->kind ? " AND kind = ?" : "");
    return rdg_sql_query(c->records, sql, params, count, row, ctx);
}

typedef struct listing {
    json_t *records;
    size_t bytes;
} listing_t;

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    listing_t *l = ctx;
    const char *text = rdg_sql_row_text(r, 6);
    l->bytes += text ? strlen(text) : 0;
    if (l->bytes > ANSWER_BYTES && json_array_size(l->records) > 0) return RDG_E_CANCELLED;
    json_t *o = collect_record_json(r);
    return o && json_array_append_new(l->records, o) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the records");
}

static rdg_err_t query(collect_t *c, const rdg_service_call_t *call, uint64_t after, uint64_t limit,
                       json_t **out) {
    listing_t l = {json_array(), 0};
    if (!l.records) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the records");
    const record_filter_t f = {call->tenant, rdg_http_query(call->http, "device"),
                               rdg_http_query(call->http, "kind")};
    rdg_err_t err = collect_records_each(c, &f, (int64_t)after, limit, list_row, &l);
    if (err == RDG_OK)
        *out = l.records;
    else
        json_decref(l.records);
    return err;
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    collect_t *c = ctx;
    uint64_t after = 0, limit = LIST_DEFAULT, wait_ms = 0, start = rdg_mono_ms(rdg_clock_system()), next;
    json_t *records = NULL;
    RDG_TRY(rdg_service_query_u64(call, "after", 0, INT64_MAX, &after));
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, LIST_MAX, &limit));
    RDG_TRY(rdg_service_query_u64(call, "wait_ms", 0, PLATFORM_WAIT_MAX_MS, &wait_ms));
    for (;;) {
        uint64_t seen = collect_generation(c);
        RDG_TRY(query(c, call, after, limit, &records));
        if (json_array_size(records) > 0 || wait_ms == 0 || !collect_await(c, call, seen, start + wait_ms))
            break;
        json_decref(records);
    }
    next = after;
    size_t n = json_array_size(records);
    if (n > 0) (void)rdg_json_get_u64(json_array_get(records, n - 1), "number", &next);
    return rdg_service_reply(answer, 200,
                             json_pack("{s:o, s:I}", "records", records, "next", (json_int_t)next));
}

const rdg_service_route_t record_routes[] = {
    {"GET", "/api/v1/records", RDG_ROUTE_TENANT, list},
};
const size_t record_route_count = sizeof record_routes / sizeof record_routes[0];
