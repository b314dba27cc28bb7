#include "internal.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/base/trace.h"

#define KEEP_FINISHED_MS (30ll * 86400000)
#define KEEP_FINISHED 100000
#define DEADLINE_DEFAULT_MS 600000
#define PROGRESS_EVERY_MS 200
#define DEADLINE_MAX_MS (30ull * 86400000)
#define UNFINISHED "state IN ('queued', 'sent', 'running')"
#define NEXT_CHANGE "(SELECT COALESCE(MAX(change), 0) + 1 FROM commands)"
#define COLUMNS                                                                                              \
    "id, device, type, state, step, progress, result, error, created_ms, updated_ms, deadline_ms, change, "  \
    "handed"

bool command_state_final(const char *state) {
    return strcmp(state, "queued") != 0 && strcmp(state, "sent") != 0 && strcmp(state, "running") != 0;
}

/* --- rows as JSON ------------------------------------------------------------------------------- */

static json_t *parse_column(const rdg_sql_row_t *r, unsigned column) {
    json_t *v = NULL;
    const char *text = rdg_sql_row_text(r, column);
    if (text) (void)rdg_json_parse(rdg_bytes_str(text), &v);
    return v ? v : json_null();
}

static json_t *row_json(const rdg_sql_row_t *r) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:I, s:o, s:o, s:I, s:I, s:I, s:I}", "id",
                     rdg_sql_row_text(r, 0), "device", rdg_sql_row_text(r, 1), "type", rdg_sql_row_text(r, 2),
                     "state", rdg_sql_row_text(r, 3), "step", rdg_sql_row_text(r, 4), "progress",
                     (json_int_t)rdg_sql_row_int(r, 5), "result", parse_column(r, 6), "error",
                     parse_column(r, 7), "created_ms", (json_int_t)rdg_sql_row_int(r, 8), "updated_ms",
                     (json_int_t)rdg_sql_row_int(r, 9), "deadline_ms", (json_int_t)rdg_sql_row_int(r, 10),
                     "change", (json_int_t)rdg_sql_row_int(r, 11));
}

static rdg_err_t one_row(void *ctx, const rdg_sql_row_t *r) {
    json_t **out = ctx;
    *out = row_json(r);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
}

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *row = row_json(r);
    if (!row || json_array_append_new(ctx, row) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the commands");
    return RDG_OK;
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t command_get(rdg_platform_t *p, const char *id, json_t **out) {
    *out = NULL;
    RDG_TRY(rdg_sql_query(p->db, "SELECT " COLUMNS " FROM commands WHERE id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(id)), one_row, out));
    return *out ? RDG_OK : rdg_fail(RDG_E_NOT_FOUND, "command '%.64s' does not exist", id);
}

static rdg_err_t query_list(rdg_platform_t *p, const char *sql, const rdg_sql_value_t *params, size_t count,
                            json_t **out) {
    json_t *list = json_array();
    rdg_err_t err = list ? rdg_sql_query(p->db, sql, params, count, list_row, list)
                         : rdg_fail(RDG_E_NO_MEMORY, "no memory for the commands");
    if (err != RDG_OK) {
        json_decref(list);
        return err;
    }
    *out = list;
    return RDG_OK;
}

rdg_err_t command_list(rdg_platform_t *p, const char *device, const char *state, uint64_t limit,
                       json_t **out) {
    rdg_sql_value_t d = rdg_sql_text(device), s = rdg_sql_text(state);
    return query_list(p,
                      "SELECT " COLUMNS
                      " FROM commands WHERE (? IS NULL OR device = ?) AND (? IS NULL OR state = ?)"
                      " ORDER BY number DESC LIMIT ?",
                      RDG_SQL_PARAMS(d, d, s, s, rdg_sql_int((int64_t)limit)), out);
}

rdg_err_t command_last_change(rdg_platform_t *p, uint64_t *out) {
    int64_t v = 0;
    RDG_TRY(rdg_sql_query(p->db, "SELECT COALESCE(MAX(change), 0) FROM commands", NULL, 0, int_row, &v));
    *out = (uint64_t)v;
    return RDG_OK;
}

rdg_err_t command_changes(rdg_platform_t *p, uint64_t after, uint64_t limit, json_t **out, uint64_t *next) {
    RDG_TRY(query_list(p, "SELECT " COLUMNS " FROM commands WHERE change > ? ORDER BY change LIMIT ?",
                       RDG_SQL_PARAMS(rdg_sql_int((int64_t)after), rdg_sql_int((int64_t)limit)), out));
    *next = after;
    size_t n = json_array_size(*out);
    return n ? rdg_json_get_u64(json_array_get(*out, n - 1), "change", next) : RDG_OK;
}

/* --- creation ----------------------------------------------------------------------------------- */

typedef struct new_command {
    char id[PLATFORM_ID_MAX + 1], traceparent[RDG_TRACEPARENT_LEN + 1];
    const char *device, *type;
    char *params; /* owned */
    uint64_t deadline_ms;
    bool given_id;
} new_command_t;

static bool type_valid(const char *type) {
    size_t len = strlen(type);
    return len > 0 && len <= 64 && strspn(type, "abcdefghijklmnopqrstuvwxyz.-") == len && strchr(type, '.');
}

static rdg_err_t read_command(const json_t *body, new_command_t *c) {
    const char *id = NULL;
    uint64_t now = platform_now();
    RDG_TRY(rdg_json_get_str(body, "type", &c->type));
    if (!type_valid(c->type))
        return rdg_fail(RDG_E_INVALID, "type '%.64s' is no command: see docs/device-protocol.md", c->type);
    RDG_TRY(rdg_json_opt_str(body, "id", &id));
    c->given_id = id != NULL;
    if (id && !rdg_name_valid(id))
        return rdg_fail(RDG_E_INVALID, "id: want 1 to 64 of [a-z0-9._-], first a letter or digit");
    if (id)
        snprintf(c->id, sizeof c->id, "%s", id);
    else
        rdg_random_hex(rdg_random_system(), c->id, 16);
    c->deadline_ms = now + DEADLINE_DEFAULT_MS;
    RDG_TRY(rdg_json_opt_u64(body, "deadline_ms", &c->deadline_ms));
    if (c->deadline_ms <= now || c->deadline_ms > now + DEADLINE_MAX_MS)
        return rdg_fail(RDG_E_INVALID, "deadline_ms: want Unix milliseconds within the next 30 days");
    const json_t *params = json_object_get(body, "params");
    if (params && !json_is_object(params)) return rdg_fail(RDG_E_INVALID, "params: want an object");
    c->params = params ? rdg_json_text(params) : rdg_strdup("{}");
    if (!c->params) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    if (strlen(c->params) > PLATFORM_JSON_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "params have more than %u KiB", PLATFORM_JSON_MAX >> 10);
    if (rdg_trace_current()) rdg_trace_format(rdg_trace_current(), c->traceparent);
    return RDG_OK;
}

static rdg_err_t insert(rdg_platform_t *p, const new_command_t *c) {
    int64_t now = (int64_t)platform_now(), waiting = 0;
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM commands WHERE device = ? AND " UNFINISHED,
                          RDG_SQL_PARAMS(rdg_sql_text(c->device)), int_row, &waiting));
    if (waiting >= PLATFORM_COMMANDS_PER_DEVICE)
        return rdg_fail(RDG_E_FULL,
                        "device '%s' has %lld unfinished commands: cancel some, or wait for the device",
                        c->device, (long long)waiting);
    return rdg_sql_exec(
        p->db,
        "INSERT INTO commands (id, device, type, params, state, created_ms, updated_ms, deadline_ms,"
        " traceparent, number, change) VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?,"
        " (SELECT COALESCE(MAX(number), 0) + 1 FROM commands), " NEXT_CHANGE ")",
        RDG_SQL_PARAMS(rdg_sql_text(c->id), rdg_sql_text(c->device), rdg_sql_text(c->type),
                       rdg_sql_text(c->params), rdg_sql_int(now), rdg_sql_int(now),
                       rdg_sql_int((int64_t)c->deadline_ms),
                       rdg_sql_text(c->traceparent[0] ? c->traceparent : NULL)),
        NULL);
}

/* The same id asked for again is the same command: what a caller needs that lost the answer. */
static rdg_err_t same_command(rdg_platform_t *p, const new_command_t *c, json_t **out) {
    const char *device, *type;
    RDG_TRY(command_get(p, c->id, out));
    rdg_err_t err = rdg_json_get_str(*out, "device", &device);
    if (err == RDG_OK) err = rdg_json_get_str(*out, "type", &type);
    if (err == RDG_OK && (strcmp(device, c->device) != 0 || strcmp(type, c->type) != 0))
        err = rdg_fail(RDG_E_CONFLICT, "command '%s' exists and is another one: %s for device '%s'", c->id,
                       type, device);
    if (err != RDG_OK) json_decref(*out), *out = NULL;
    return err;
}

rdg_err_t command_create(rdg_platform_t *p, const char *device, const json_t *body, json_t **out,
                         bool *created) {
    new_command_t c = {.device = device};
    *created = false;
    rdg_err_t err = read_command(body, &c);
    if (err == RDG_OK) err = insert(p, &c);
    rdg_free(c.params);
    if (err == RDG_E_EXISTS && c.given_id) return same_command(p, &c, out);
    if (err != RDG_OK) return err;
    *created = true;
    rdg_metric_add(p->m_commands, 1);
    platform_kick(p);
    platform_changed(p);
    return command_get(p, c.id, out);
}

/* --- changes of state --------------------------------------------------------------------------- */

static rdg_err_t changed_if(rdg_platform_t *p, rdg_err_t err, size_t rows) {
    if (err == RDG_OK && rows > 0) platform_changed(p);
    return err;
}

rdg_err_t command_cancel(rdg_platform_t *p, const char *id, json_t **out) {
    size_t rows = 0;
    RDG_TRY(rdg_sql_exec(p->db,
                         "UPDATE commands SET state = 'cancelled', updated_ms = ?, change = " NEXT_CHANGE
                         " WHERE id = ? AND state = 'queued' AND handed = 0",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now()), rdg_sql_text(id)), &rows));
    RDG_TRY(command_get(p, id, out));
    if (rows > 0) return changed_if(p, RDG_OK, rows);
    const char *state = "";
    (void)rdg_json_get_str(*out, "state", &state);
    rdg_err_t err = RDG_OK;
    if (strcmp(state, "cancelled") != 0)
        err = rdg_fail(RDG_E_CONFLICT, "command '%s' cannot be cancelled: %s", id,
                       command_state_final(state) ? "it has ended" : "it has been handed to the device");
    if (err != RDG_OK) json_decref(*out), *out = NULL;
    return err;
}

rdg_err_t command_taken(rdg_platform_t *p, const char *id) {
    size_t rows = 0;
    rdg_err_t err =
        rdg_sql_exec(p->db,
                     "UPDATE commands SET state = 'sent', updated_ms = ?, change = " NEXT_CHANGE
                     " WHERE id = ? AND state = 'queued'",
                     RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now()), rdg_sql_text(id)), &rows);
    return changed_if(p, err, rows);
}

/* Running ones too: the broker may have taken a result from the device and lost it. */
rdg_err_t command_requeue(rdg_platform_t *p, const char *device) {
    rdg_sql_value_t d = rdg_sql_text(device);
    return rdg_sql_exec(p->db,
                        "UPDATE commands SET state = 'queued' WHERE state IN ('sent', 'running')"
                        " AND (? IS NULL OR device = ?)",
                        RDG_SQL_PARAMS(d, d), NULL);
}

rdg_err_t command_hand_over(rdg_platform_t *p, const char *id, bool *ok) {
    size_t rows = 0;
    RDG_TRY(rdg_sql_exec(p->db, "UPDATE commands SET handed = 1 WHERE id = ? AND state = 'queued'",
                         RDG_SQL_PARAMS(rdg_sql_text(id)), &rows));
    *ok = rows > 0;
    return RDG_OK;
}

/* Statements change one row at a time where a change number is given out: each row needs its own. */
static rdg_err_t id_row(void *ctx, const rdg_sql_row_t *r) {
    return json_array_append_new(ctx, json_string(rdg_sql_row_text(r, 0))) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

static rdg_err_t end_all(rdg_platform_t *p, const char *select, rdg_sql_value_t arg, const char *state,
                         const char *error) {
    json_t *ids = json_array(), *id;
    size_t i, rows, total = 0;
    rdg_err_t err = rdg_sql_query(p->db, select, &arg, 1, id_row, ids);
    json_array_foreach(ids, i, id) {
        if (err != RDG_OK) break;
        rows = 0;
        err = rdg_sql_exec(p->db,
                           "UPDATE commands SET state = ?, error = ?, updated_ms = ?, change = " NEXT_CHANGE
                           " WHERE id = ? AND " UNFINISHED,
                           RDG_SQL_PARAMS(rdg_sql_text(state), rdg_sql_text(error),
                                          rdg_sql_int((int64_t)platform_now()),
                                          rdg_sql_text(json_string_value(id))),
                           &rows);
        total += rows;
    }
    json_decref(ids);
    return changed_if(p, err, total);
}

rdg_err_t command_expire(rdg_platform_t *p) {
    return end_all(
        p, "SELECT id FROM commands WHERE state = 'queued' AND handed = 0 AND deadline_ms < ? LIMIT 1000",
        rdg_sql_int((int64_t)platform_now()), "expired",
        "{\"code\":\"EXPIRED\",\"message\":\"the device was not online before the command's deadline\"}");
}

rdg_err_t command_drop_device(rdg_platform_t *p, const char *device) {
    return end_all(p, "SELECT id FROM commands WHERE device = ? AND " UNFINISHED, rdg_sql_text(device),
                   "cancelled", "{\"code\":\"CANCELLED\",\"message\":\"the device was deleted\"}");
}

/* The newest change stays, so that change numbers only grow. */
rdg_err_t command_prune(rdg_platform_t *p) {
    RDG_TRY(rdg_sql_exec(p->db,
                         "DELETE FROM commands WHERE NOT " UNFINISHED " AND updated_ms < ?"
                         " AND change < (SELECT MAX(change) FROM commands)"
                         " AND number < (SELECT MAX(number) FROM commands)",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now() - KEEP_FINISHED_MS)), NULL));
    return rdg_sql_exec(p->db,
                        "DELETE FROM commands WHERE NOT " UNFINISHED
                        " AND number < (SELECT MAX(number) FROM commands) - ?"
                        " AND change < (SELECT MAX(change) FROM commands)",
                        RDG_SQL_PARAMS(rdg_sql_int(KEEP_FINISHED)), NULL);
}

/* --- what a device reports ---------------------------------------------------------------------- */

typedef struct report {
    const char *id, *state, *step;
    uint64_t progress;
    char *result, *error; /* owned JSON texts */
} report_t;

static bool state_reportable(const char *state) {
    static const char *const known[] = {"running", "done", "failed", "expired"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
        if (strcmp(state, known[i]) == 0) return true;
    return false;
}

static rdg_err_t read_error(const json_t *message, report_t *r) {
    const json_t *error = json_object_get(message, "error");
    const char *code = "INTERNAL", *text = "the device gave no reason";
    if (strcmp(r->state, "failed") != 0 && !json_is_object(error)) return RDG_OK;
    if (strcmp(r->state, "expired") == 0) code = "EXPIRED", text = "the command's deadline has passed";
    if (json_is_object(error)) {
        RDG_TRY(rdg_json_opt_str(error, "code", &code));
        RDG_TRY(rdg_json_opt_str(error, "message", &text));
    }
    json_t *o = json_pack("{s:s, s:s}", "code", rdg_err_name(rdg_err_from_name(code)), "message", text);
    r->error = o ? rdg_json_text(o) : NULL;
    json_decref(o);
    return r->error ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a result");
}

static rdg_err_t read_report(const json_t *message, report_t *r) {
    RDG_TRY(rdg_json_get_str(message, "id", &r->id));
    RDG_TRY(rdg_json_get_str(message, "state", &r->state));
    RDG_TRY(rdg_json_opt_str(message, "step", &r->step));
    RDG_TRY(rdg_json_opt_u64(message, "progress", &r->progress));
    if (!state_reportable(r->state))
        return rdg_fail(RDG_E_INVALID, "state '%.32s' is none that a device reports", r->state);
    if (r->step && strlen(r->step) > 64) return rdg_fail(RDG_E_TOO_LARGE, "step has more than 64 bytes");
    if (r->progress > 100) r->progress = 100;
    const json_t *result = json_object_get(message, "result");
    if (result && !json_is_null(result)) {
        r->result = rdg_json_text(result);
        if (!r->result) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a result");
        if (strlen(r->result) > PLATFORM_JSON_MAX)
            return rdg_fail(RDG_E_TOO_LARGE, "the result has more than %u KiB", PLATFORM_JSON_MAX >> 10);
    }
    return read_error(message, r);
}

/* Progress within a step is for people: it is stored five times a second at most, what else happens always. */
static rdg_err_t store_report(rdg_platform_t *p, const char *device, const report_t *r) {
    size_t rows = 0;
    int64_t now = (int64_t)platform_now();
    RDG_TRY(rdg_sql_exec(
        p->db,
        "UPDATE commands SET state = ?, step = COALESCE(?, step), progress = ?, result = ?, error = ?,"
        " updated_ms = ?, change = " NEXT_CHANGE " WHERE id = ? AND device = ? AND " UNFINISHED
        " AND NOT (state = 'running' AND ? = 'running' AND step IS ? AND updated_ms > ? AND updated_ms <= ?)",
        RDG_SQL_PARAMS(rdg_sql_text(r->state), rdg_sql_text(r->step),
                       rdg_sql_int(strcmp(r->state, "done") == 0 ? 100 : (int64_t)r->progress),
                       rdg_sql_text(r->result), rdg_sql_text(r->error), rdg_sql_int(now), rdg_sql_text(r->id),
                       rdg_sql_text(device), rdg_sql_text(r->state), rdg_sql_text(r->step),
                       rdg_sql_int(now - PROGRESS_EVERY_MS), rdg_sql_int(now)),
        &rows));
    bool final = command_state_final(r->state);
    rdg_log(rows > 0 && final ? RDG_LOG_INFO : RDG_LOG_DEBUG,
            rows > 0 ? "command.result" : "command.result_ignored", RDG_STR("device", device),
            RDG_STR("command", r->id), RDG_STR("state", r->state), RDG_STR("step", r->step ? r->step : ""));
    return changed_if(p, RDG_OK, rows);
}

/* A repeated result, one of another device's command or of a command that is unknown changes nothing. */
rdg_err_t command_result(rdg_platform_t *p, const char *device, const json_t *message) {
    report_t r = {0};
    rdg_err_t err = read_report(message, &r);
    if (err == RDG_OK) err = store_report(p, device, &r);
    rdg_free(r.result);
    rdg_free(r.error);
    return err;
}

/* --- for the dispatcher -------------------------------------------------------------------------- */

typedef struct queued {
    rdg_platform_t *p;
    bool (*wanted)(rdg_platform_t *p, const char *id, const char *device);
    json_t *list;
    size_t max;
} queued_t;

static rdg_err_t queued_row(void *ctx, const rdg_sql_row_t *r) {
    queued_t *q = ctx;
    if (!q->wanted(q->p, rdg_sql_row_text(r, 0), rdg_sql_row_text(r, 1))) return RDG_OK;
    if (json_array_size(q->list) == q->max) return RDG_E_CANCELLED;
    json_t *message = json_pack("{s:s, s:s, s:I, s:s?, s:o}", "id", rdg_sql_row_text(r, 0), "type",
                                rdg_sql_row_text(r, 2), "deadline_ms", (json_int_t)rdg_sql_row_int(r, 3),
                                "traceparent", rdg_sql_row_text(r, 4), "params", parse_column(r, 5));
    json_t *row = message ? json_pack("{s:s, s:s, s:o}", "id", rdg_sql_row_text(r, 0), "device",
                                      rdg_sql_row_text(r, 1), "message", message)
                          : NULL;
    return row && json_array_append_new(q->list, row) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
}

rdg_err_t command_queued(rdg_platform_t *p, bool (*wanted)(rdg_platform_t *, const char *, const char *),
                         size_t max, json_t **rows) {
    queued_t q = {.p = p, .wanted = wanted, .list = json_array(), .max = max};
    rdg_err_t err = rdg_sql_query(p->db,
                                  "SELECT id, device, type, deadline_ms, traceparent, params FROM commands"
                                  " WHERE state = 'queued' ORDER BY number",
                                  NULL, 0, queued_row, &q);
    if (err != RDG_OK) {
        json_decref(q.list);
        return err;
    }
    *rows = q.list;
    return RDG_OK;
}
