#include "command.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"

static const char *const priorities[] = {"urgent", "normal", "bulk"};

rdg_err_t command_read_priority(const json_t *body, unsigned *out) {
    const char *text = NULL;
    *out = COMMAND_NORMAL;
    RDG_TRY(rdg_json_opt_str(body, "priority", &text));
    if (!text) return RDG_OK;
    for (unsigned i = 0; i < sizeof priorities / sizeof priorities[0]; ++i)
        if (strcmp(text, priorities[i]) == 0) return *out = i, RDG_OK;
    return rdg_fail(RDG_E_INVALID, "priority is '%.32s': want urgent, normal or bulk", text);
}

const char *command_priority_name(int64_t priority) {
    return priority >= COMMAND_URGENT && priority <= COMMAND_BULK ? priorities[priority] : "normal";
}

bool command_state_final(const char *state) {
    return strcmp(state, "queued") != 0 && strcmp(state, "sent") != 0 && strcmp(state, "running") != 0;
}

json_t *command_parse_column(const rdg_sql_row_t *r, unsigned column) {
    json_t *v = NULL;
    const char *text = rdg_sql_row_text(r, column);
    if (text) (void)rdg_json_parse(rdg_bytes_str(text), &v);
    return v ? v : json_null();
}

/* When something happened; null when it has not. `handed` of a row of an older program is 1. */
static json_t *time_column(const rdg_sql_row_t *r, unsigned column) {
    int64_t ms = rdg_sql_row_int(r, column);
    return ms > 1 ? json_integer(ms) : json_null();
}

#define COLUMNS                                                                                              \
    "id, device, type, state, step, progress, result, error, created_ms, updated_ms, deadline_ms, change, "  \
    "priority, ordered_by, cancelled_by, handed, sent_ms, started_ms, ended_ms, deliveries, rollout, "       \
    "number, "                                                                                               \
    "tenant"

static json_t *row_json(const rdg_sql_row_t *r) {
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s?, s:I, s:o, s:o, s:I, s:I, s:I, s:I}", "id", rdg_sql_row_text(r, 0),
        "device", rdg_sql_row_text(r, 1), "type", rdg_sql_row_text(r, 2), "state", rdg_sql_row_text(r, 3),
        "step", rdg_sql_row_text(r, 4), "progress", (json_int_t)rdg_sql_row_int(r, 5), "result",
        command_parse_column(r, 6), "error", command_parse_column(r, 7), "created_ms",
        (json_int_t)rdg_sql_row_int(r, 8), "updated_ms", (json_int_t)rdg_sql_row_int(r, 9), "deadline_ms",
        (json_int_t)rdg_sql_row_int(r, 10), "change", (json_int_t)rdg_sql_row_int(r, 11));
    json_t *history =
        json_pack("{s:s, s:s?, s:s?, s:o, s:o, s:o, s:o, s:I, s:s?, s:I, s:s}", "priority",
                  command_priority_name(rdg_sql_row_int(r, 12)), "ordered_by", rdg_sql_row_text(r, 13),
                  "cancelled_by", rdg_sql_row_text(r, 14), "handed_ms", time_column(r, 15), "sent_ms",
                  time_column(r, 16), "started_ms", time_column(r, 17), "ended_ms", time_column(r, 18),
                  "deliveries", (json_int_t)rdg_sql_row_int(r, 19), "rollout", rdg_sql_row_text(r, 20),
                  "number", (json_int_t)rdg_sql_row_int(r, 21), "tenant", rdg_sql_row_text(r, 22));
    if (!o || !history || json_object_update(o, history) != 0) json_decref(o), o = NULL;
    json_decref(history);
    return o;
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

static rdg_err_t absent(const char *id) {
    return rdg_fail(RDG_E_NOT_FOUND, "command '%.64s' does not exist", id);
}

rdg_err_t command_get(rdg_platform_t *p, const char *id, json_t **out) {
    *out = NULL;
    RDG_TRY(rdg_sql_query(p->db, "SELECT " COLUMNS " FROM commands WHERE id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(id)), one_row, out));
    return *out ? RDG_OK : absent(id);
}

rdg_err_t command_check(void *platform, const char *tenant, const char *id) {
    rdg_platform_t *p = platform;
    int64_t found = 0;
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM commands WHERE id = ? AND tenant = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(id), rdg_sql_text(tenant)), int_row, &found));
    return found ? RDG_OK : absent(id);
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

/* Only the conditions that are asked for stand in the statement, so that an index of theirs is used. */
rdg_err_t command_list(rdg_platform_t *p, const command_filter_t *f, uint64_t limit, json_t **out) {
    const struct {
        const char *text, *value;
        uint64_t number;
    } conditions[] = {{" AND tenant = ?", f->tenant, 0},
                      {" AND device = ?", f->device, 0},
                      {" AND state = ?", f->state, 0},
                      {" AND type = ?", f->type, 0},
                      {" AND ordered_by = ?", f->by, 0},
                      {" AND rollout = ?", f->rollout, 0},
                      {" AND created_ms >= ?", NULL, f->since_ms},
                      {" AND created_ms < ?", NULL, f->until_ms},
                      {" AND number < ?", NULL, f->before}};
    char sql[1024];
    rdg_sql_value_t params[sizeof conditions / sizeof conditions[0] + 1];
    size_t count = 0;
    int n = snprintf(sql, sizeof sql, "SELECT %s FROM commands WHERE 1 = 1", COLUMNS);
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; ++i) {
        if (!conditions[i].value && conditions[i].number == 0) continue;
        params[count++] = conditions[i].value ? rdg_sql_text(conditions[i].value)
                                              : rdg_sql_int((int64_t)conditions[i].number);
        n += snprintf(sql + n, sizeof sql - (size_t)n, "%s", conditions[i].text);
    }
    snprintf(sql + n, sizeof sql - (size_t)n, " ORDER BY number DESC LIMIT ?");
    params[count++] = rdg_sql_int((int64_t)limit);
    return query_list(p, sql, params, count, out);
}

rdg_err_t command_last_change(rdg_platform_t *p, const char *tenant, uint64_t *out) {
    const rdg_sql_value_t t = rdg_sql_text(tenant);
    int64_t v = 0;
    RDG_TRY(rdg_sql_query(p->db,
                          tenant ? "SELECT COALESCE(MAX(change), 0) FROM commands WHERE tenant = ?"
                                 : "SELECT COALESCE(MAX(change), 0) FROM commands",
                          &t, tenant ? 1 : 0, int_row, &v));
    *out = (uint64_t)v;
    return RDG_OK;
}

rdg_err_t command_changes(rdg_platform_t *p, const char *tenant, uint64_t after, uint64_t limit, json_t **out,
                          uint64_t *next) {
    const rdg_sql_value_t from = rdg_sql_int((int64_t)after), most = rdg_sql_int((int64_t)limit);
    if (tenant)
        RDG_TRY(query_list(
            p, "SELECT " COLUMNS " FROM commands WHERE change > ? AND tenant = ? ORDER BY change LIMIT ?",
            RDG_SQL_PARAMS(from, rdg_sql_text(tenant), most), out));
    else
        RDG_TRY(query_list(p, "SELECT " COLUMNS " FROM commands WHERE change > ? ORDER BY change LIMIT ?",
                           RDG_SQL_PARAMS(from, most), out));
    *next = after;
    size_t n = json_array_size(*out);
    return n ? rdg_json_get_u64(json_array_get(*out, n - 1), "change", next) : RDG_OK;
}
