#include "command.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/random.h"

#define DEADLINE_DEFAULT_MS 600000

bool command_type_valid(const char *type) {
    size_t len = strlen(type);
    return len > 0 && len <= 64 && strspn(type, "abcdefghijklmnopqrstuvwxyz.-") == len && strchr(type, '.');
}

/* *params: owned text. */
static rdg_err_t read_params(const json_t *body, char **params) {
    const json_t *given = json_object_get(body, "params");
    if (given && !json_is_object(given)) return rdg_fail(RDG_E_INVALID, "params: want an object");
    *params = given ? rdg_json_text(given) : rdg_strdup("{}");
    if (!*params) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    if (strlen(*params) <= PLATFORM_JSON_MAX) return RDG_OK;
    rdg_free(*params);
    *params = NULL;
    return rdg_fail(RDG_E_TOO_LARGE, "params have more than %u KiB", PLATFORM_JSON_MAX >> 10);
}

static rdg_err_t read_command(const json_t *body, command_order_t *c, char **params) {
    const char *id = NULL;
    uint64_t now = platform_now();
    *params = NULL;
    RDG_TRY(rdg_json_get_str(body, "type", &c->type));
    if (!command_type_valid(c->type))
        return rdg_fail(RDG_E_INVALID, "type '%.64s' is no command: see docs/device-protocol.md", c->type);
    RDG_TRY(rdg_json_opt_str(body, "id", &id));
    if (id && !rdg_name_valid(id))
        return rdg_fail(RDG_E_INVALID, "id: want 1 to 64 of [a-z0-9._-], first a letter or digit");
    if (id)
        snprintf(c->id, sizeof c->id, "%s", id);
    else
        rdg_random_hex(rdg_random_system(), c->id, 16);
    c->deadline_ms = now + DEADLINE_DEFAULT_MS;
    RDG_TRY(rdg_json_opt_u64(body, "deadline_ms", &c->deadline_ms));
    if (c->deadline_ms <= now || c->deadline_ms > now + COMMAND_DEADLINE_MAX_MS)
        return rdg_fail(RDG_E_INVALID, "deadline_ms: want Unix milliseconds within the next 30 days");
    RDG_TRY(command_read_priority(body, &c->priority));
    RDG_TRY(read_params(body, params));
    c->params = *params;
    if (rdg_trace_current()) rdg_trace_format(rdg_trace_current(), c->traceparent);
    return RDG_OK;
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t command_put(rdg_platform_t *p, const command_order_t *c) {
    int64_t now = (int64_t)platform_now(), waiting = 0;
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM commands WHERE device = ? AND " COMMAND_UNFINISHED,
                          RDG_SQL_PARAMS(rdg_sql_text(c->device)), int_row, &waiting));
    if (waiting >= PLATFORM_COMMANDS_PER_DEVICE)
        return rdg_fail(RDG_E_FULL,
                        "device '%s' has %lld unfinished commands: cancel some, or wait for the device",
                        c->device, (long long)waiting);
    return rdg_sql_exec(
        p->db,
        "INSERT INTO commands (id, device, type, params, state, created_ms, updated_ms, deadline_ms,"
        " traceparent, priority, ordered_by, rollout, tenant, number, change)"
        " VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?,"
        " COALESCE((SELECT tenant FROM devices WHERE name = ?), '" RDG_TENANT_DEFAULT "'),"
        " (SELECT COALESCE(MAX(number), 0) + 1 FROM commands), " COMMAND_NEXT_CHANGE ")",
        RDG_SQL_PARAMS(
            rdg_sql_text(c->id), rdg_sql_text(c->device), rdg_sql_text(c->type), rdg_sql_text(c->params),
            rdg_sql_int(now), rdg_sql_int(now), rdg_sql_int((int64_t)c->deadline_ms),
            rdg_sql_text(c->traceparent[0] ? c->traceparent : NULL), rdg_sql_int((int64_t)c->priority),
            rdg_sql_text(c->ordered_by), rdg_sql_text(c->rollout), rdg_sql_text(c->device)),
        NULL);
}

void command_announce(rdg_platform_t *p, const char *device) {
    rdg_metric_add(p->m_commands, 1);
    turns_ready(p, device);
}

/* The same id asked for again is the same command: what a caller needs that lost the answer. */
static rdg_err_t same_command(rdg_platform_t *p, const command_order_t *c, json_t **out) {
    const char *device, *type;
    RDG_TRY(command_get(p, c->id, out));
    rdg_err_t err = rdg_json_get_str(*out, "device", &device);
    if (err == RDG_OK) err = rdg_json_get_str(*out, "type", &type);
    if (err == RDG_OK && (strcmp(device, c->device) != 0 || strcmp(type, c->type) != 0))
        err = rdg_fail(RDG_E_CONFLICT, "command '%s' exists and is another one", c->id);
    if (err != RDG_OK) json_decref(*out), *out = NULL;
    return err;
}

/* Makes it, or finds that it exists; *out is its row. */
static rdg_err_t make(rdg_platform_t *p, const char *device, const char *by, const json_t *body, json_t **out,
                      bool *created) {
    command_order_t c = {.device = device, .ordered_by = by};
    char *params;
    *created = false;
    rdg_err_t err = read_command(body, &c, &params);
    if (err == RDG_OK) err = command_put(p, &c);
    rdg_free(params);
    if (err == RDG_E_EXISTS) return same_command(p, &c, out);
    if (err != RDG_OK) return err;
    *created = true;
    return command_get(p, c.id, out);
}

rdg_err_t command_create(rdg_platform_t *p, const char *device, const char *by, const json_t *body,
                         json_t **out, bool *created) {
    RDG_TRY(make(p, device, by, body, out, created));
    if (!*created) return RDG_OK;
    command_announce(p, device);
    platform_kick(p);
    platform_changed(p);
    return RDG_OK;
}

/* Nothing of a refused one is stored, so the others of the batch stand. */
static json_t *make_one(rdg_platform_t *p, const char *tenant, const char *by, const json_t *body) {
    const char *device;
    json_t *row = NULL;
    bool created;
    rdg_err_t err = json_is_object(body) ? rdg_json_get_str(body, "device", &device)
                                         : rdg_fail(RDG_E_INVALID, "commands: want objects");
    if (err == RDG_OK) err = devices_check(p, tenant, device);
    if (err == RDG_OK) err = make(p, device, by, body, &row, &created);
    if (err == RDG_OK) return row;
    return json_pack("{s:{s:s, s:s}}", "error", "code", rdg_err_name(err), "message", rdg_err_message(err));
}

static rdg_err_t make_each(rdg_platform_t *p, const char *tenant, const char *by, const json_t *list,
                           json_t *out) {
    size_t i;
    const json_t *body;
    json_array_foreach(list, i, body) {
        json_t *row = make_one(p, tenant, by, body);
        if (!row || json_array_append_new(out, row) != 0)
            return rdg_fail(RDG_E_NO_MEMORY, "no memory for the commands");
    }
    return RDG_OK;
}

rdg_err_t command_create_many(rdg_platform_t *p, const char *tenant, const char *by, const json_t *list,
                              json_t **out) {
    size_t i;
    const json_t *row;
    json_t *rows = json_array();
    rdg_err_t err = rows ? rdg_sql_begin(p->db) : rdg_fail(RDG_E_NO_MEMORY, "no memory for the commands");
    if (err == RDG_OK) {
        err = make_each(p, tenant, by, list, rows);
        if (err == RDG_OK) err = rdg_sql_commit(p->db);
        if (err != RDG_OK) rdg_sql_rollback(p->db);
    }
    if (err != RDG_OK) {
        json_decref(rows);
        return err;
    }
    json_array_foreach(rows, i, row) {
        const char *device = json_string_value(json_object_get(row, "device"));
        if (device) command_announce(p, device);
    }
    platform_kick(p);
    platform_changed(p);
    *out = rows;
    return RDG_OK;
}
