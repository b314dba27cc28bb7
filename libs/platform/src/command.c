#include "command.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

#define PROGRESS_EVERY_MS 200
#define EXPIRE_AT_ONCE 1000

static rdg_err_t changed_if(rdg_platform_t *p, rdg_err_t err, size_t rows) {
    if (err == RDG_OK && rows > 0) platform_changed(p);
    return err;
}

static rdg_err_t end_transaction(rdg_platform_t *p, rdg_err_t err) {
    if (err == RDG_OK) return rdg_sql_commit(p->db);
    rdg_sql_rollback(p->db);
    return err;
}

rdg_err_t command_cancel(rdg_platform_t *p, const char *id, const char *by, json_t **out) {
    size_t rows = 0;
    rdg_sql_value_t now = rdg_sql_int((int64_t)platform_now());
    RDG_TRY(rdg_sql_exec(
        p->db,
        "UPDATE commands SET state = 'cancelled', cancelled_by = ?, updated_ms = ?, ended_ms = ?,"
        " change = " COMMAND_NEXT_CHANGE " WHERE id = ? AND " COMMAND_UNSENT,
        RDG_SQL_PARAMS(rdg_sql_text(by), now, now, rdg_sql_text(id)), &rows));
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

rdg_err_t command_taken(rdg_platform_t *p, const char (*ids)[PLATFORM_ID_MAX + 1], size_t count) {
    rdg_sql_value_t now = rdg_sql_int((int64_t)platform_now());
    for (size_t i = 0; i < count; ++i)
        RDG_TRY(rdg_sql_exec(p->db,
                             "UPDATE commands SET state = 'sent', updated_ms = ?, sent_ms = ?,"
                             " change = " COMMAND_NEXT_CHANGE " WHERE id = ? AND state = 'queued'",
                             RDG_SQL_PARAMS(now, now, rdg_sql_text(ids[i])), NULL));
    return RDG_OK;
}

/* Running ones too: the broker may have taken a result from the device and lost it. Those that are on their way are
 * noted first: the dispatcher looks at that note in the transaction in which it stores what the broker has, so either its
 * transaction is before ours, and what it stores is changed here, or it sees the note. */
rdg_err_t command_requeue(rdg_platform_t *p, const char *device) {
    if (!device)
        return rdg_sql_exec(
            p->db, "UPDATE commands SET state = 'queued' WHERE " COMMAND_UNFINISHED " AND state <> 'queued'",
            NULL, 0, NULL);
    dispatch_lost(p, device);
    return rdg_sql_exec(p->db,
                        "UPDATE commands SET state = 'queued' WHERE device = ? AND " COMMAND_UNFINISHED
                        " AND state <> 'queued'",
                        RDG_SQL_PARAMS(rdg_sql_text(device)), NULL);
}

static rdg_err_t mark_handed(rdg_platform_t *p, const char *const *ids, size_t count, bool *ok) {
    rdg_sql_value_t now = rdg_sql_int((int64_t)platform_now());
    for (size_t i = 0; i < count; ++i) {
        size_t rows = 0;
        RDG_TRY(rdg_sql_exec(p->db,
                             "UPDATE commands SET handed = ?, deliveries = deliveries + 1"
                             " WHERE id = ? AND state = 'queued'",
                             RDG_SQL_PARAMS(now, rdg_sql_text(ids[i])), &rows));
        ok[i] = rows > 0;
    }
    return RDG_OK;
}

rdg_err_t command_hand_over(rdg_platform_t *p, const char *const *ids, size_t count, bool *ok) {
    RDG_TRY(rdg_sql_begin(p->db));
    return end_transaction(p, mark_handed(p, ids, count, ok));
}

rdg_err_t command_ask_again(rdg_platform_t *p, size_t *count) {
    int64_t now = (int64_t)platform_now();
    *count = 0;
    return rdg_sql_exec(p->db,
                        "UPDATE commands SET state = 'queued' WHERE " COMMAND_UNFINISHED
                        " AND state <> 'queued' AND handed < ?"
                        " AND updated_ms < CASE state WHEN 'running' THEN ? ELSE ? END",
                        RDG_SQL_PARAMS(rdg_sql_int(now - COMMAND_SILENT_MS),
                                       rdg_sql_int(now - COMMAND_RUNNING_SILENT_MS),
                                       rdg_sql_int(now - COMMAND_SILENT_MS)),
                        count);
}

/* Statements change one row at a time where a change number is given out: each row needs its own. */
static rdg_err_t id_row(void *ctx, const rdg_sql_row_t *r) {
    return json_array_append_new(ctx, json_string(rdg_sql_row_text(r, 0))) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

typedef struct ending {
    const char *select, *state, *error;
    rdg_sql_value_t arg;
} ending_t;

static rdg_err_t end_each(rdg_platform_t *p, const ending_t *e, size_t *total) {
    json_t *ids = json_array(), *id;
    size_t i;
    rdg_err_t err = rdg_sql_query(p->db, e->select, &e->arg, 1, id_row, ids);
    json_array_foreach(ids, i, id) {
        size_t rows = 0;
        rdg_sql_value_t now = rdg_sql_int((int64_t)platform_now());
        if (err != RDG_OK) break;
        err = rdg_sql_exec(p->db,
                           "UPDATE commands SET state = ?, error = ?, updated_ms = ?, ended_ms = ?,"
                           " change = " COMMAND_NEXT_CHANGE " WHERE id = ? AND " COMMAND_UNFINISHED,
                           RDG_SQL_PARAMS(rdg_sql_text(e->state), rdg_sql_text(e->error), now, now,
                                          rdg_sql_text(json_string_value(id))),
                           &rows);
        *total += rows;
    }
    json_decref(ids);
    return err;
}

static rdg_err_t end_all(rdg_platform_t *p, const ending_t *e) {
    size_t total = 0;
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = end_transaction(p, end_each(p, e, &total));
    return changed_if(p, err, total);
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t command_expire(rdg_platform_t *p) {
    int64_t due = 0;
    const ending_t e = {.select =
                            "SELECT id FROM commands WHERE " COMMAND_UNSENT " AND deadline_ms < ? LIMIT 1000",
                        .arg = rdg_sql_int((int64_t)platform_now()),
                        .state = "expired",
                        .error = "{\"code\":\"EXPIRED\",\"message\":\"the device was not online before the "
                                 "command's deadline\"}"};
    /* Most of the time there is none: no transaction for that. */
    RDG_TRY(rdg_sql_query(
        p->db, "SELECT EXISTS (SELECT 1 FROM commands WHERE " COMMAND_UNSENT " AND deadline_ms < ?)", &e.arg,
        1, int_row, &due));
    return due ? end_all(p, &e) : RDG_OK;
}

rdg_err_t command_take_back(rdg_platform_t *p, const char *rollout, const char *by) {
    size_t total = 0;
    char error[256];
    snprintf(error, sizeof error, "{\"code\":\"CANCELLED\",\"message\":\"its rollout was held by %.128s\"}",
             by ? by : "");
    const ending_t e = {.select = "SELECT id FROM commands WHERE rollout = ? AND " COMMAND_UNSENT,
                        .arg = rdg_sql_text(rollout),
                        .state = "cancelled",
                        .error = error};
    return end_each(p, &e, &total);
}

rdg_err_t command_drop_device(rdg_platform_t *p, const char *device) {
    const ending_t e = {.select = "SELECT id FROM commands WHERE device = ? AND " COMMAND_UNFINISHED,
                        .arg = rdg_sql_text(device),
                        .state = "cancelled",
                        .error = "{\"code\":\"CANCELLED\",\"message\":\"the device was deleted\"}"};
    return end_all(p, &e);
}

/* The newest change stays, so that change numbers only grow. */
rdg_err_t command_prune(rdg_platform_t *p) {
    RDG_TRY(rdg_sql_exec(p->db,
                         "DELETE FROM commands WHERE NOT " COMMAND_UNFINISHED " AND updated_ms < ?"
                         " AND change < (SELECT MAX(change) FROM commands)"
                         " AND number < (SELECT MAX(number) FROM commands)",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)(platform_now() - p->command_keep_ms))), NULL));
    return rdg_sql_exec(p->db,
                        "DELETE FROM commands WHERE NOT " COMMAND_UNFINISHED
                        " AND number < (SELECT MAX(number) FROM commands) - ?"
                        " AND change < (SELECT MAX(change) FROM commands)",
                        RDG_SQL_PARAMS(rdg_sql_int((int64_t)p->command_keep)), NULL);
}

/* --- what a device reports ---------------------------------------------------------------------- */

typedef struct report {
    const char *id, *state, *step;
    uint64_t progress;
    char *result, *error;   /* owned JSON texts */
    const char *code, *why; /* what error says, for the log; NULL without one */
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
    r->code = rdg_err_name(rdg_err_from_name(code));
    r->why = text;
    json_t *o = json_pack("{s:s, s:s}", "code", r->code, "message", text);
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
    bool final = command_state_final(r->state), running = strcmp(r->state, "running") == 0;
    RDG_TRY(rdg_sql_exec(
        p->db,
        "UPDATE commands SET state = ?, step = COALESCE(?, step), progress = ?, result = ?, error = ?,"
        " updated_ms = ?, started_ms = COALESCE(started_ms, ?), ended_ms = ?,"
        " change = " COMMAND_NEXT_CHANGE " WHERE id = ? AND device = ? AND " COMMAND_UNFINISHED
        " AND NOT (state = 'running' AND ? = 'running' AND step IS ? AND updated_ms > ? AND updated_ms <= ?)",
        RDG_SQL_PARAMS(rdg_sql_text(r->state), rdg_sql_text(r->step),
                       rdg_sql_int(strcmp(r->state, "done") == 0 ? 100 : (int64_t)r->progress),
                       rdg_sql_text(r->result), rdg_sql_text(r->error), rdg_sql_int(now),
                       running ? rdg_sql_int(now) : rdg_sql_text(NULL),
                       final ? rdg_sql_int(now) : rdg_sql_text(NULL), rdg_sql_text(r->id),
                       rdg_sql_text(device), rdg_sql_text(r->state), rdg_sql_text(r->step),
                       rdg_sql_int(now - PROGRESS_EVERY_MS), rdg_sql_int(now)),
        &rows));
    if (rows > 0 && final) turns_ended_one(p, device);
    rdg_log(rows > 0 && final ? RDG_LOG_INFO : RDG_LOG_DEBUG,
            rows > 0 ? "command.result" : "command.result_ignored", RDG_STR("device", device),
            RDG_STR("command", r->id), RDG_STR("state", r->state), RDG_STR("step", r->step ? r->step : ""),
            RDG_STR("code", r->code ? r->code : "OK"), RDG_STR("error", r->why ? r->why : ""));
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
