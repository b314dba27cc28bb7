#include "alarm.h"
#include <stdio.h>
#include <string.h>

#define COLUMNS                                                                                              \
    "number, device, kind, subject, critical, value, threshold, raised_ms, cleared_ms, cleared_why, "        \
    "acked_ms, "                                                                                             \
    "acked_by, note"

static const struct {
    const char *name, *unit;
    alarm_rule_t rule;
} kinds[ALARM_KINDS] = {
    [ALARM_OFFLINE] = {"device-offline", "s", {60, 5, 0, true, true}},
    [ALARM_DISK] = {"disk", "%", {90, 85, 60000, true, true}},
    [ALARM_MEMORY] = {"memory", "%", {92, 85, 120000, true, false}},
    [ALARM_TEMPERATURE] = {"temperature", "C", {85, 80, 60000, true, false}},
    [ALARM_STALLED] = {"chain-stalled", "s", {120, 1, 0, true, true}},
    [ALARM_DAMAGED] = {"node-damaged", "", {1, 1, 0, true, true}},
    [ALARM_CERTIFICATE] = {"certificate", "", {1, 1, 0, true, true}},
    [ALARM_CLOCK] = {"clock-skew", "s", {30, 10, 60000, true, false}},
    [ALARM_QUEUE] = {"queue", "%", {80, 60, 60000, true, false}},
};

const char *const alarm_migrations[] = {
    "CREATE TABLE alarms (number INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, kind TEXT NOT NULL,"
    " subject TEXT NOT NULL, critical INTEGER NOT NULL, value BIGINT NOT NULL, threshold BIGINT NOT NULL,"
    " raised_ms BIGINT NOT NULL, cleared_ms BIGINT, cleared_why TEXT, acked_ms BIGINT, acked_by TEXT, note "
    "TEXT);"
    "CREATE INDEX alarms_cleared ON alarms (cleared_ms, number);"
    "CREATE INDEX alarms_device ON alarms (device, number);"
    "CREATE TABLE alarm_rules (kind TEXT PRIMARY KEY, raise_at BIGINT NOT NULL, clear_below BIGINT NOT NULL,"
    " for_ms BIGINT NOT NULL, enabled INTEGER NOT NULL, critical INTEGER NOT NULL);",
    "CREATE TABLE alarm_changes (change INTEGER PRIMARY KEY AUTOINCREMENT, alarm BIGINT NOT NULL,"
    " what TEXT NOT NULL, at_ms BIGINT NOT NULL);"
    "CREATE INDEX alarm_changes_alarm ON alarm_changes (alarm);",
    ("ALTER TABLE alarms ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';"
     "CREATE INDEX alarms_tenant ON alarms (tenant, number);"),
};
const size_t alarm_migration_count = sizeof alarm_migrations / sizeof alarm_migrations[0];

const char *alarm_kind_name(alarm_kind_t k) {
    return kinds[k].name;
}

const char *alarm_kind_unit(alarm_kind_t k) {
    return kinds[k].unit;
}

bool alarm_kind_find(const char *name, alarm_kind_t *out) {
    for (int k = 0; k < ALARM_KINDS; ++k)
        if (strcmp(kinds[k].name, name) == 0) {
            *out = (alarm_kind_t)k;
            return true;
        }
    return false;
}

void alarm_rule_default(alarm_kind_t k, alarm_rule_t *out) {
    *out = kinds[k].rule;
}

rdg_err_t alarm_store_open(rdg_sql_t *db) {
    return rdg_sql_migrate(db, "alarms", alarm_migrations, alarm_migration_count);
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

/* Within a transaction. */
static rdg_err_t note_change(rdg_sql_t *db, int64_t number, const char *what, uint64_t at_ms) {
    return rdg_sql_exec(db, "INSERT INTO alarm_changes (alarm, what, at_ms) VALUES (?, ?, ?)",
                        RDG_SQL_PARAMS(rdg_sql_int(number), rdg_sql_text(what), rdg_sql_int((int64_t)at_ms)),
                        NULL);
}

static rdg_err_t end_change(rdg_sql_t *db, rdg_err_t err) {
    if (err == RDG_OK) err = rdg_sql_commit(db);
    if (err != RDG_OK) rdg_sql_rollback(db);
    return err;
}

/* The statement's rows, and that they have changed, together. */
static rdg_err_t change(rdg_sql_t *db, int64_t number, const char *what, uint64_t at_ms, const char *sql,
                        const rdg_sql_value_t *params, size_t count) {
    size_t rows = 0;
    RDG_TRY(rdg_sql_begin(db));
    rdg_err_t err = rdg_sql_exec(db, sql, params, count, &rows);
    if (err == RDG_OK && rows > 0) err = note_change(db, number, what, at_ms);
    return end_change(db, err);
}

rdg_err_t alarm_store_raise(rdg_sql_t *db, const alarm_row_t *r, const char *tenant, int64_t *number) {
    RDG_TRY(rdg_sql_begin(db));
    rdg_err_t err = rdg_sql_query(
        db,
        "INSERT INTO alarms (device, kind, subject, critical, value, threshold, raised_ms, tenant)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
        RDG_SQL_PARAMS(rdg_sql_text(r->device), rdg_sql_text(kinds[r->kind].name), rdg_sql_text(r->subject),
                       rdg_sql_int(r->critical), rdg_sql_int(r->value), rdg_sql_int(r->threshold),
                       rdg_sql_int((int64_t)r->at_ms), rdg_sql_text(tenant)),
        int_row, number);
    if (err == RDG_OK) err = note_change(db, *number, "raised", r->at_ms);
    return end_change(db, err);
}

rdg_err_t alarm_store_clear(rdg_sql_t *db, int64_t number, uint64_t at_ms, const char *why) {
    const rdg_sql_value_t params[] = {rdg_sql_int((int64_t)at_ms), rdg_sql_text(why), rdg_sql_int(number)};
    return change(db, number, "cleared", at_ms,
                  "UPDATE alarms SET cleared_ms = ?, cleared_why = ? WHERE number = ? AND cleared_ms IS NULL",
                  params, sizeof params / sizeof params[0]);
}

typedef struct each {
    void (*fn)(void *ctx, int64_t number, const char *device, alarm_kind_t kind, const char *subject);
    void *ctx;
} each_t;

static rdg_err_t open_row(void *ctx, const rdg_sql_row_t *r) {
    each_t *e = ctx;
    alarm_kind_t kind;
    if (alarm_kind_find(rdg_sql_row_text(r, 2), &kind))
        e->fn(e->ctx, rdg_sql_row_int(r, 0), rdg_sql_row_text(r, 1), kind, rdg_sql_row_text(r, 3));
    return RDG_OK;
}

rdg_err_t alarm_store_each_open(rdg_sql_t *db,
                                void (*fn)(void *ctx, int64_t number, const char *device, alarm_kind_t kind,
                                           const char *subject),
                                void *ctx) {
    each_t e = {fn, ctx};
    return rdg_sql_query(db, "SELECT number, device, kind, subject FROM alarms WHERE cleared_ms IS NULL",
                         NULL, 0, open_row, &e);
}

static rdg_err_t rule_row(void *ctx, const rdg_sql_row_t *r) {
    alarm_rule_t *rules = ctx;
    alarm_kind_t k;
    if (alarm_kind_find(rdg_sql_row_text(r, 0), &k))
        rules[k] =
            (alarm_rule_t){rdg_sql_row_int(r, 1), rdg_sql_row_int(r, 2), (uint64_t)rdg_sql_row_int(r, 3),
                           rdg_sql_row_int(r, 4) != 0, rdg_sql_row_int(r, 5) != 0};
    return RDG_OK;
}

rdg_err_t alarm_store_rules(rdg_sql_t *db, alarm_rule_t rules[ALARM_KINDS]) {
    return rdg_sql_query(db, "SELECT kind, raise_at, clear_below, for_ms, enabled, critical FROM alarm_rules",
                         NULL, 0, rule_row, rules);
}

rdg_err_t alarm_store_set_rule(rdg_sql_t *db, alarm_kind_t k, const alarm_rule_t *r) {
    return rdg_sql_exec(
        db,
        "INSERT INTO alarm_rules (kind, raise_at, clear_below, for_ms, enabled, critical)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind) DO UPDATE SET raise_at = excluded.raise_at,"
        " clear_below = excluded.clear_below, for_ms = excluded.for_ms,"
        " enabled = excluded.enabled, critical = excluded.critical",
        RDG_SQL_PARAMS(rdg_sql_text(kinds[k].name), rdg_sql_int(r->raise), rdg_sql_int(r->clear),
                       rdg_sql_int((int64_t)r->for_ms), rdg_sql_int(r->enabled), rdg_sql_int(r->critical)),
        NULL);
}

rdg_err_t alarm_store_ack(rdg_sql_t *db, int64_t number, uint64_t at_ms, const char *who, const char *note) {
    const rdg_sql_value_t params[] = {rdg_sql_int((int64_t)at_ms), rdg_sql_text(who), rdg_sql_text(note),
                                      rdg_sql_int(number)};
    return change(
        db, number, "acknowledged", at_ms,
        "UPDATE alarms SET acked_ms = ?, acked_by = ?, note = ? WHERE number = ? AND acked_ms IS NULL",
        params, sizeof params / sizeof params[0]);
}

/* Open ones stay, however old. */
rdg_err_t alarm_store_prune(rdg_sql_t *db, uint64_t now_ms) {
    RDG_TRY(rdg_sql_exec(db, "DELETE FROM alarms WHERE cleared_ms < ?",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)(now_ms - ALARM_KEEP_MS))), NULL));
    RDG_TRY(rdg_sql_exec(db,
                         "DELETE FROM alarms WHERE cleared_ms IS NOT NULL AND number <="
                         " (SELECT MAX(number) FROM alarms) - ?",
                         RDG_SQL_PARAMS(rdg_sql_int(ALARM_KEEP_ROWS)), NULL));
    return rdg_sql_exec(db, "DELETE FROM alarm_changes WHERE alarm NOT IN (SELECT number FROM alarms)", NULL,
                        0, NULL);
}

/* --- for who looks ---------------------------------------------------------------------------------------------- */

static void set_time(json_t *o, const char *name, const rdg_sql_row_t *r, unsigned column) {
    int64_t v = rdg_sql_row_int(r, column);
    if (v > 0) json_object_set_new(o, name, json_integer(v));
}

static void set_text(json_t *o, const char *name, const rdg_sql_row_t *r, unsigned column) {
    const char *v = rdg_sql_row_text(r, column);
    if (v) json_object_set_new(o, name, json_string(v));
}

static json_t *row_json(const rdg_sql_row_t *r) {
    const char *kind = rdg_sql_row_text(r, 2);
    alarm_kind_t k;
    json_t *o = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "number", (json_int_t)rdg_sql_row_int(r, 0),
        "device", rdg_sql_row_text(r, 1), "kind", kind, "subject", rdg_sql_row_text(r, 3), "severity",
        rdg_sql_row_int(r, 4) ? "critical" : "warning", "state",
        rdg_sql_row_int(r, 8)    ? "cleared"
        : rdg_sql_row_int(r, 10) ? "acknowledged"
                                 : "raised",
        "value", (json_int_t)rdg_sql_row_int(r, 5), "threshold", (json_int_t)rdg_sql_row_int(r, 6), "unit",
        alarm_kind_find(kind, &k) ? kinds[k].unit : "");
    if (!o) return NULL;
    set_time(o, "raised_ms", r, 7);
    set_time(o, "cleared_ms", r, 8);
    set_text(o, "cleared_why", r, 9);
    set_time(o, "acked_ms", r, 10);
    set_text(o, "acked_by", r, 11);
    set_text(o, "note", r, 12);
    return o;
}

static rdg_err_t add_row(json_t *list, json_t *o) {
    return o && json_array_append_new(list, o) == 0 ? RDG_OK
                                                    : rdg_fail(RDG_E_NO_MEMORY, "no memory for the alarms");
}

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    return add_row(ctx, row_json(r));
}

static rdg_err_t change_row(void *ctx, const rdg_sql_row_t *r) {
    return add_row(ctx, json_pack("{s:I, s:s, s:I, s:o}", "change", (json_int_t)rdg_sql_row_int(r, 13),
                                  "what", rdg_sql_row_text(r, 14), "at_ms",
                                  (json_int_t)rdg_sql_row_int(r, 15), "alarm", row_json(r)));
}

rdg_err_t alarm_store_changes(rdg_sql_t *db, int64_t after, uint64_t limit, json_t **out) {
    *out = json_array();
    if (!*out) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the alarms");
    rdg_err_t err = rdg_sql_query(
        db,
        "SELECT " COLUMNS ", change, what, at_ms FROM alarm_changes JOIN alarms ON number = alarm"
        " WHERE change > ? ORDER BY change LIMIT ?",
        RDG_SQL_PARAMS(rdg_sql_int(after), rdg_sql_int((int64_t)limit)), change_row, *out);
    if (err != RDG_OK) json_decref(*out), *out = NULL;
    return err;
}

rdg_err_t alarm_store_last_change(rdg_sql_t *db, int64_t *out) {
    return rdg_sql_query(db, "SELECT COALESCE(MAX(change), 0) FROM alarm_changes", NULL, 0, int_row, out);
}

/* Only the conditions that are asked for stand in the statement, so that an index of theirs is used. */
rdg_err_t alarm_store_list(rdg_sql_t *db, const alarm_filter_t *f, uint64_t after, uint64_t limit,
                           json_t **out) {
    char sql[500];
    rdg_sql_value_t params[5];
    size_t count = 0;
    params[count++] = rdg_sql_int((int64_t)after);
    if (f->tenant) params[count++] = rdg_sql_text(f->tenant);
    if (f->device) params[count++] = rdg_sql_text(f->device);
    if (f->kind) params[count++] = rdg_sql_text(f->kind);
    params[count++] = rdg_sql_int((int64_t)limit);
    snprintf(sql, sizeof sql, "SELECT %s FROM alarms WHERE number > ?%s%s%s%s ORDER BY number LIMIT ?",
             COLUMNS, f->tenant ? " AND tenant = ?" : "", f->device ? " AND device = ?" : "",
             f->kind ? " AND kind = ?" : "", f->all ? "" : " AND cleared_ms IS NULL");
    *out = json_array();
    if (!*out) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the alarms");
    rdg_err_t err = rdg_sql_query(db, sql, params, count, list_row, *out);
    if (err != RDG_OK) json_decref(*out), *out = NULL;
    return err;
}

static rdg_err_t absent(int64_t number) {
    return rdg_fail(RDG_E_NOT_FOUND, "alarm %lld does not exist: see ridge alarm list --all",
                    (long long)number);
}

rdg_err_t alarm_store_check(rdg_sql_t *db, const char *tenant, int64_t number) {
    int64_t found = 0;
    RDG_TRY(rdg_sql_query(db, "SELECT COUNT(*) FROM alarms WHERE number = ? AND tenant = ?",
                          RDG_SQL_PARAMS(rdg_sql_int(number), rdg_sql_text(tenant)), int_row, &found));
    return found ? RDG_OK : absent(number);
}

rdg_err_t alarm_store_get(rdg_sql_t *db, int64_t number, json_t **out) {
    json_t *list = json_array();
    if (!list) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an alarm");
    rdg_err_t err = rdg_sql_query(db, "SELECT " COLUMNS " FROM alarms WHERE number = ?",
                                  RDG_SQL_PARAMS(rdg_sql_int(number)), list_row, list);
    if (err == RDG_OK && json_array_size(list) == 0) err = absent(number);
    *out = err == RDG_OK ? json_incref(json_array_get(list, 0)) : NULL;
    json_decref(list);
    return err;
}
