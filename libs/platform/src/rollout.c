#include "rollout.h"
#include "groups.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/random.h"

#define VALID_DEFAULT_MS 86400000
#define PAUSE_MAX_MS (7ull * 86400000)
#define BATCH_DEFAULT_PERCENT 10
#define STOP_DEFAULT_PERCENT 10

/* --- as JSON --------------------------------------------------------------------------------------------- */

#define COLUMNS                                                                                              \
    "id, type, priority, state, reason, ordered_by, selector, batch_size, pause_ms, stop_percent, "          \
    "valid_ms, "                                                                                             \
    "total, batches, next_ms, created_ms, updated_ms, ended_ms, number"

static json_t *row_json(const rdg_sql_row_t *r) {
    int64_t next = rdg_sql_row_int(r, 13), ended = rdg_sql_row_int(r, 16);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s?, s:s?, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:o, s:I}", "id",
        rdg_sql_row_text(r, 0), "type", rdg_sql_row_text(r, 1), "priority",
        command_priority_name(rdg_sql_row_int(r, 2)), "state", rdg_sql_row_text(r, 3), "reason",
        rdg_sql_row_text(r, 4), "ordered_by", rdg_sql_row_text(r, 5), "selector", command_parse_column(r, 6),
        "batch_size", (json_int_t)rdg_sql_row_int(r, 7), "pause_ms", (json_int_t)rdg_sql_row_int(r, 8),
        "stop_percent", (json_int_t)rdg_sql_row_int(r, 9), "valid_ms", (json_int_t)rdg_sql_row_int(r, 10),
        "total", (json_int_t)rdg_sql_row_int(r, 11), "batches", (json_int_t)rdg_sql_row_int(r, 12),
        "next_batch_ms", next > 0 ? json_integer(next) : json_null(), "created_ms",
        (json_int_t)rdg_sql_row_int(r, 14), "updated_ms", (json_int_t)rdg_sql_row_int(r, 15), "ended_ms",
        ended > 0 ? json_integer(ended) : json_null(), "number", (json_int_t)rdg_sql_row_int(r, 17));
}

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *row = row_json(r);
    return row && json_array_append_new(ctx, row) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the rollouts");
}

static rdg_err_t add_counts(rdg_platform_t *p, json_t *rollout) {
    rollout_counts_t c;
    RDG_TRY(rollout_count(p, json_string_value(json_object_get(rollout, "id")), &c));
    json_int_t total = json_integer_value(json_object_get(rollout, "total"));
    json_t *counts = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "waiting", (json_int_t)c.waiting, "ordered",
        (json_int_t)c.ordered, "done", (json_int_t)c.done, "failed", (json_int_t)c.failed, "expired",
        (json_int_t)c.expired, "unanswered", (json_int_t)c.unanswered, "cancelled", (json_int_t)c.cancelled,
        "refused", (json_int_t)c.refused, "ended", total - c.waiting - c.ordered);
    return counts && json_object_set_new(rollout, "counts", counts) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the rollouts");
}

static rdg_err_t query(rdg_platform_t *p, const char *sql, const rdg_sql_value_t *params, size_t count,
                       json_t **out) {
    size_t i;
    json_t *row, *list = json_array();
    rdg_err_t err = list ? rdg_sql_query(p->db, sql, params, count, list_row, list)
                         : rdg_fail(RDG_E_NO_MEMORY, "no memory for the rollouts");
    json_array_foreach(list, i, row) {
        if (err == RDG_OK) err = add_counts(p, row);
    }
    if (err != RDG_OK) json_decref(list), list = NULL;
    *out = list;
    return err;
}

static rdg_err_t absent(const char *id) {
    return rdg_fail(RDG_E_NOT_FOUND, "rollout '%.64s' does not exist: see ridge rollout list", id);
}

rdg_err_t rollout_get(rdg_platform_t *p, const char *id, json_t **out) {
    json_t *list;
    RDG_TRY(
        query(p, "SELECT " COLUMNS " FROM rollouts WHERE id = ?", RDG_SQL_PARAMS(rdg_sql_text(id)), &list));
    *out = json_incref(json_array_get(list, 0));
    json_decref(list);
    return *out ? RDG_OK : absent(id);
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t rollout_check(void *platform, const char *tenant, const char *id) {
    rdg_platform_t *p = platform;
    int64_t found = 0;
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM rollouts WHERE id = ? AND tenant = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(id), rdg_sql_text(tenant)), int_row, &found));
    return found ? RDG_OK : absent(id);
}

rdg_err_t rollout_list(rdg_platform_t *p, const char *tenant, uint64_t limit, json_t **out) {
    const rdg_sql_value_t most = rdg_sql_int((int64_t)limit);
    if (!tenant)
        return query(p, "SELECT " COLUMNS " FROM rollouts ORDER BY number DESC LIMIT ?", &most, 1, out);
    return query(p, "SELECT " COLUMNS " FROM rollouts WHERE tenant = ? ORDER BY number DESC LIMIT ?",
                 RDG_SQL_PARAMS(rdg_sql_text(tenant), most), out);
}

/* What went wrong, as a text: of a command its error's message. */
static json_t *message_of(const rdg_sql_row_t *r, unsigned column) {
    json_t *error = command_parse_column(r, column), *text = json_incref(json_object_get(error, "message"));
    json_decref(error);
    const char *plain = rdg_sql_row_text(r, column);
    return text ? text : plain ? json_string(plain) : json_null();
}

static rdg_err_t device_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *row = json_pack("{s:I, s:s, s:s, s:I, s:s?, s:o}", "position", (json_int_t)rdg_sql_row_int(r, 0),
                            "device", rdg_sql_row_text(r, 1), "state", rdg_sql_row_text(r, 2), "batch",
                            (json_int_t)rdg_sql_row_int(r, 3), "command", rdg_sql_row_text(r, 4), "message",
                            message_of(r, 5));
    return row && json_array_append_new(ctx, row) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the rollouts");
}

rdg_err_t rollout_devices(rdg_platform_t *p, const char *id, const char *state, uint64_t after,
                          uint64_t limit, json_t **out) {
    rdg_sql_value_t s = rdg_sql_text(state);
    json_t *list = json_array();
    rdg_err_t err = rdg_sql_query(
        p->db,
        "SELECT position, device, state, batch, command, message FROM rollout_devices"
        " WHERE rollout = ? AND (? IS NULL OR state = ?) AND position > ? ORDER BY position"
        " LIMIT ?",
        RDG_SQL_PARAMS(rdg_sql_text(id), s, s, rdg_sql_int((int64_t)after), rdg_sql_int((int64_t)limit)),
        device_row, list);
    if (err != RDG_OK) json_decref(list), list = NULL;
    *out = list;
    return err;
}

/* --- creation ------------------------------------------------------------------------------------------------ */

typedef struct rollout_order {
    char id[PLATFORM_ID_MAX + 1], traceparent[RDG_TRACEPARENT_LEN + 1];
    const char *type, *by, *tenant; /* tenant NULL: the cloud's */
    rdg_access_t *access;
    char *params, *selector; /* owned */
    json_t *names;           /* owned */
    unsigned priority;
    uint64_t valid_ms, batch_size, pause_ms, stop_percent;
} rollout_order_t;

static rdg_err_t read_number(const json_t *body, const char *field, uint64_t min, uint64_t max,
                             uint64_t *out) {
    RDG_TRY(rdg_json_opt_u64(body, field, out));
    if (*out >= min && *out <= max) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "%s is %llu: want %llu to %llu", field, (unsigned long long)*out,
                    (unsigned long long)min, (unsigned long long)max);
}

static rdg_err_t read_policy(const json_t *body, rollout_order_t *o) {
    uint64_t total = json_array_size(o->names), percent = BATCH_DEFAULT_PERCENT;
    o->valid_ms = VALID_DEFAULT_MS;
    o->stop_percent = STOP_DEFAULT_PERCENT;
    RDG_TRY(read_number(body, "batch_percent", 1, 100, &percent));
    o->batch_size = (total * percent + 99) / 100;
    if (o->batch_size > ROLLOUT_BATCH_MAX) o->batch_size = ROLLOUT_BATCH_MAX;
    RDG_TRY(read_number(body, "batch_size", 1, ROLLOUT_BATCH_MAX, &o->batch_size));
    RDG_TRY(read_number(body, "pause_ms", 0, PAUSE_MAX_MS, &o->pause_ms));
    RDG_TRY(read_number(body, "stop_percent", 0, 100, &o->stop_percent));
    return read_number(body, "valid_ms", 1000, COMMAND_DEADLINE_MAX_MS, &o->valid_ms);
}

static rdg_err_t read_order(rdg_platform_t *p, const json_t *body, rollout_order_t *o) {
    const char *id = NULL;
    const json_t *params = json_object_get(body, "params"), *selector = json_object_get(body, "selector");
    RDG_TRY(rdg_json_get_str(body, "type", &o->type));
    if (!command_type_valid(o->type))
        return rdg_fail(RDG_E_INVALID, "type '%.64s' is no command: see docs/device-protocol.md", o->type);
    RDG_TRY(rdg_json_opt_str(body, "id", &id));
    if (id && (!rdg_name_valid(id) || strlen(id) > ROLLOUT_ID_MAX))
        return rdg_fail(RDG_E_INVALID, "id: want 1 to %d of [a-z0-9._-], first a letter or digit",
                        ROLLOUT_ID_MAX);
    if (id)
        snprintf(o->id, sizeof o->id, "%s", id);
    else
        rdg_random_hex(rdg_random_system(), o->id, 8);
    RDG_TRY(command_read_priority(body, &o->priority));
    if (params && !json_is_object(params)) return rdg_fail(RDG_E_INVALID, "params: want an object");
    if (!json_is_object(selector))
        return rdg_fail(RDG_E_INVALID, "selector: want an object that says which devices");
    o->params = params ? rdg_json_text(params) : rdg_strdup("{}");
    o->selector = json_array_size(json_object_get(selector, "devices")) > 100
                      ? rdg_strdup("{\"devices\":\"listed\"}")
                      : rdg_json_text(selector);
    o->names = json_array();
    if (!o->params || !o->selector || !o->names) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a rollout");
    if (strlen(o->params) > PLATFORM_JSON_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "params have more than %u KiB", PLATFORM_JSON_MAX >> 10);
    RDG_TRY(groups_resolve(p, o->tenant, selector, o->names));
    if (json_array_size(o->names) == 0) return rdg_fail(RDG_E_NOT_FOUND, "no device fits the selector");
    if (rdg_trace_current()) rdg_trace_format(rdg_trace_current(), o->traceparent);
    return read_policy(body, o);
}

static rdg_err_t check_room(rdg_platform_t *p, const rollout_order_t *o) {
    int64_t there = 0, open = 0;
    /* Who asks again for one that took the last place gets that one. */
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM rollouts WHERE id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(o->id)), int_row, &there));
    if (there) return rdg_fail(RDG_E_EXISTS, "rollout '%s' exists already", o->id);
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM rollouts WHERE open = 1", NULL, 0, int_row, &open));
    if (open >= ROLLOUTS_OPEN_MAX)
        return rdg_fail(RDG_E_FULL, "%lld rollouts are open: wait for some, or cancel them", (long long)open);
    return o->tenant ? rdg_access_room(o->access, RDG_SHARE_ROLLOUTS, o->tenant) : RDG_OK;
}

static rdg_err_t insert(rdg_platform_t *p, const rollout_order_t *o) {
    size_t i;
    const json_t *name;
    int64_t now = (int64_t)platform_now();
    RDG_TRY(check_room(p, o));
    RDG_TRY(rdg_sql_exec(
        p->db,
        "INSERT INTO rollouts (id, number, type, params, priority, valid_ms, batch_size, pause_ms, "
        "stop_percent,"
        " selector, state, open, ordered_by, traceparent, total, next_ms, created_ms, updated_ms, tenant)"
        " VALUES (?, (SELECT COALESCE(MAX(number), 0) + 1 FROM rollouts), ?, ?, ?, ?, ?, ?, ?, ?, 'running', "
        "1, ?, ?, ?,"
        " ?, ?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_text(o->id), rdg_sql_text(o->type), rdg_sql_text(o->params),
                       rdg_sql_int((int64_t)o->priority), rdg_sql_int((int64_t)o->valid_ms),
                       rdg_sql_int((int64_t)o->batch_size), rdg_sql_int((int64_t)o->pause_ms),
                       rdg_sql_int((int64_t)o->stop_percent), rdg_sql_text(o->selector), rdg_sql_text(o->by),
                       rdg_sql_text(o->traceparent[0] ? o->traceparent : NULL),
                       rdg_sql_int((int64_t)json_array_size(o->names)), rdg_sql_int(now), rdg_sql_int(now),
                       rdg_sql_int(now), rdg_sql_text(o->tenant ? o->tenant : "")),
        NULL));
    json_array_foreach(o->names, i, name) RDG_TRY(rdg_sql_exec(
        p->db, "INSERT INTO rollout_devices (rollout, position, device, state) VALUES (?, ?, ?, 'waiting')",
        RDG_SQL_PARAMS(rdg_sql_text(o->id), rdg_sql_int((int64_t)i + 1),
                       rdg_sql_text(json_string_value(name))),
        NULL));
    return RDG_OK;
}

static rdg_err_t end_transaction(rdg_platform_t *p, rdg_err_t err) {
    if (err == RDG_OK) err = rdg_sql_commit(p->db);
    if (err != RDG_OK) rdg_sql_rollback(p->db);
    return err;
}

static void look_at_rollouts(rdg_platform_t *p) {
    pthread_mutex_lock(&p->lock);
    p->rollouts_changed = p->kicked = true;
    pthread_cond_signal(&p->kick);
    pthread_mutex_unlock(&p->lock);
    platform_changed(p);
}

/* The same id again is the same rollout, when it is of the same command. */
static rdg_err_t same_rollout(rdg_platform_t *p, const rollout_order_t *o, json_t **out) {
    if (o->tenant && rollout_check(p, o->tenant, o->id) != RDG_OK)
        return rdg_fail(RDG_E_CONFLICT, "rollout '%s' exists and is another one", o->id);
    RDG_TRY(rollout_get(p, o->id, out));
    if (strcmp(json_string_value(json_object_get(*out, "type")), o->type) == 0) return RDG_OK;
    json_decref(*out);
    *out = NULL;
    return rdg_fail(RDG_E_CONFLICT, "rollout '%s' exists and is another one", o->id);
}

rdg_err_t rollout_create(rdg_platform_t *p, rdg_access_t *access, const char *tenant, const char *by,
                         const json_t *body, json_t **out, bool *created) {
    rollout_order_t o = {.by = by, .tenant = tenant, .access = access};
    rdg_err_t err = read_order(p, body, &o);
    if (err == RDG_OK) err = rdg_sql_begin(p->db);
    if (err == RDG_OK) err = end_transaction(p, insert(p, &o));
    *created = err == RDG_OK;
    if (err == RDG_E_EXISTS && json_object_get(body, "id"))
        err = same_rollout(p, &o, out);
    else if (err == RDG_OK)
        err = rollout_get(p, o.id, out);
    if (*created) look_at_rollouts(p);
    rdg_free(o.params);
    rdg_free(o.selector);
    json_decref(o.names);
    return err;
}

/* --- pausing, resuming, cancelling ------------------------------------------------------------------------------ */

static rdg_err_t state_row(void *ctx, const rdg_sql_row_t *r) {
    snprintf(ctx, 16, "%s", rdg_sql_row_text(r, 0));
    return RDG_OK;
}

/* Its state, when that is one of `from` (comma-separated); CONFLICT otherwise. */
static rdg_err_t expect(rdg_platform_t *p, const char *id, const char *from, const char *verb,
                        char state[16]) {
    state[0] = '\0';
    RDG_TRY(rdg_sql_query(p->db, "SELECT state FROM rollouts WHERE id = ?", RDG_SQL_PARAMS(rdg_sql_text(id)),
                          state_row, state));
    if (!state[0]) return absent(id);
    return strstr(from, state)
               ? RDG_OK
               : rdg_fail(RDG_E_CONFLICT, "rollout '%s' cannot be %s: it is %s", id, verb, state);
}

static rdg_err_t set(rdg_platform_t *p, const char *id, const char *state, const char *by) {
    char reason[192];
    rdg_sql_value_t now = rdg_sql_int((int64_t)platform_now());
    snprintf(reason, sizeof reason, "%s by %.128s", state, by ? by : "somebody");
    return rdg_sql_exec(p->db,
                        "UPDATE rollouts SET state = ?, reason = ?, updated_ms = ?,"
                        " ended_ms = CASE WHEN ? = 'cancelled' THEN ? ELSE NULL END WHERE id = ?",
                        RDG_SQL_PARAMS(rdg_sql_text(state), rdg_sql_text(reason), now, rdg_sql_text(state),
                                       now, rdg_sql_text(id)),
                        NULL);
}

rdg_err_t rollout_pause(rdg_platform_t *p, const char *id, const char *by) {
    char state[16];
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = expect(p, id, "running,paused", "paused", state);
    if (err == RDG_OK && strcmp(state, "running") == 0) {
        err = rollout_take_back(p, id, by, "waiting");
        if (err == RDG_OK) err = set(p, id, "paused", by);
    }
    err = end_transaction(p, err);
    if (err == RDG_OK) look_at_rollouts(p);
    return err;
}

static rdg_err_t resume(rdg_platform_t *p, const char *id, const json_t *body) {
    rollout_counts_t c;
    uint64_t stop = UINT64_MAX, batch = UINT64_MAX;
    rdg_sql_value_t now = rdg_sql_int((int64_t)platform_now());
    if (json_object_get(body, "stop_percent")) RDG_TRY(read_number(body, "stop_percent", 0, 100, &stop));
    if (json_object_get(body, "batch_size"))
        RDG_TRY(read_number(body, "batch_size", 1, ROLLOUT_BATCH_MAX, &batch));
    RDG_TRY(rollout_count(p, id, &c));
    return rdg_sql_exec(p->db,
                        "UPDATE rollouts SET state = 'running', reason = NULL, updated_ms = ?, next_ms = ?, "
                        "errors_before = ?,"
                        " reached_before = ?, stop_percent = COALESCE(?, stop_percent), batch_size = "
                        "COALESCE(?, batch_size) WHERE id = ?",
                        RDG_SQL_PARAMS(now, now, rdg_sql_int(rollout_errors(&c)),
                                       rdg_sql_int(c.done + rollout_errors(&c)),
                                       stop == UINT64_MAX ? rdg_sql_text(NULL) : rdg_sql_int((int64_t)stop),
                                       batch == UINT64_MAX ? rdg_sql_text(NULL) : rdg_sql_int((int64_t)batch),
                                       rdg_sql_text(id)),
                        NULL);
}

rdg_err_t rollout_resume(rdg_platform_t *p, const char *id, const json_t *body) {
    char state[16];
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = expect(p, id, "running,paused,stopped", "resumed", state);
    if (err == RDG_OK && strcmp(state, "running") != 0) err = resume(p, id, body);
    err = end_transaction(p, err);
    if (err == RDG_OK) look_at_rollouts(p);
    return err;
}

static rdg_err_t cancel(rdg_platform_t *p, const char *id, const char *by) {
    RDG_TRY(rollout_take_back(p, id, by, "cancelled"));
    RDG_TRY(rdg_sql_exec(
        p->db, "UPDATE rollout_devices SET state = 'cancelled' WHERE rollout = ? AND state = 'waiting'",
        RDG_SQL_PARAMS(rdg_sql_text(id)), NULL));
    return set(p, id, "cancelled", by);
}

rdg_err_t rollout_cancel(rdg_platform_t *p, const char *id, const char *by) {
    char state[16];
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = expect(p, id, "running,paused,stopped,cancelled", "cancelled", state);
    if (err == RDG_OK && strcmp(state, "cancelled") != 0) err = cancel(p, id, by);
    err = end_transaction(p, err);
    if (err == RDG_OK) look_at_rollouts(p);
    return err;
}
