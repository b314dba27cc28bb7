#include "enrolment.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ridge/base/log.h"

#define REASON_MAX 256

static const char columns[] =
    "SELECT e.number, e.device, e.public_key, e.state, e.arch, e.agent_version, e.remote, e.asked_ms, "
    "e.last_ms,"
    " e.decided_ms, e.decided_by, e.reason, t.id, t.about, t.replaces, e.token FROM enrolments e"
    " JOIN device_tokens t ON t.digest = e.token ";

static rdg_err_t shown_row(void *ctx, const rdg_sql_row_t *r) {
    char fingerprint[17];
    json_t *about = NULL;
    const char *text = rdg_sql_row_text(r, 13);
    enrolment_fingerprint(rdg_sql_row_text(r, 2), fingerprint);
    if (text) (void)rdg_json_parse(rdg_bytes_str(text), &about);
    json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s?, s:s?, s:s?, s:I, s:I, s:s?, s:s?, s:s?, s:b}",
                          "number", (json_int_t)rdg_sql_row_int(r, 0), "device", rdg_sql_row_text(r, 1),
                          "key", fingerprint, "public_key", rdg_sql_row_text(r, 2), "state",
                          rdg_sql_row_text(r, 3), "arch", rdg_sql_row_text(r, 4), "agent_version",
                          rdg_sql_row_text(r, 5), "from", rdg_sql_row_text(r, 6), "asked_ms",
                          (json_int_t)rdg_sql_row_int(r, 7), "last_ms", (json_int_t)rdg_sql_row_int(r, 8),
                          "decided_by", rdg_sql_row_text(r, 10), "reason", rdg_sql_row_text(r, 11), "token",
                          rdg_sql_row_text(r, 12), "replaces", rdg_sql_row_int(r, 14) != 0);
    const char *group = json_string_value(json_object_get(about, "group"));
    if (o && group) json_object_set_new(o, "group", json_string(group));
    json_decref(about);
    return o && json_array_append_new(ctx, o) == 0 ? RDG_OK
                                                   : rdg_fail(RDG_E_NO_MEMORY, "no memory for requests");
}

static rdg_err_t list_requests(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    uint64_t limit = 1000, after = 0;
    char sql[1024];
    const char *state = rdg_http_query(call->http, "state");
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, 1000, &limit));
    RDG_TRY(rdg_service_query_u64(call, "after", 0, INT64_MAX, &after));
    if (!state) state = "pending";
    snprintf(sql, sizeof sql, "%sWHERE e.state = ? AND e.number > ?%s ORDER BY e.number LIMIT ?", columns,
             call->tenant ? " AND t.tenant = ?" : "");
    rdg_sql_value_t params[4] = {rdg_sql_text(state), rdg_sql_int((int64_t)after)};
    size_t count = 2;
    if (call->tenant) params[count++] = rdg_sql_text(call->tenant);
    params[count++] = rdg_sql_int((int64_t)limit);
    json_t *list = json_array();
    rdg_err_t err = rdg_sql_query(p->db, sql, params, count, shown_row, list);
    if (err != RDG_OK) {
        json_decref(list);
        return err;
    }
    size_t n = json_array_size(list);
    json_t *next =
        n == limit ? json_incref(json_object_get(json_array_get(list, n - 1), "number")) : json_null();
    return rdg_service_reply(answer, 200, json_pack("{s:o, s:o}", "requests", list, "more_after", next));
}

/* --- what an operator says ------------------------------------------------------------------------ */

static rdg_err_t absent(const char *number) {
    return rdg_fail(RDG_E_NOT_FOUND, "request '%.20s' does not exist: see ridge device pending", number);
}

static rdg_err_t load(rdg_platform_t *p, const char *number, json_t **out) {
    char sql[1024], *end;
    long long n = strtoll(number, &end, 10);
    json_t *list = json_array();
    snprintf(sql, sizeof sql, "%sWHERE e.number = ?", columns);
    rdg_err_t err =
        *end || n <= 0 ? RDG_OK : rdg_sql_query(p->db, sql, RDG_SQL_PARAMS(rdg_sql_int(n)), shown_row, list);
    *out = json_incref(json_array_get(list, 0));
    json_decref(list);
    return err == RDG_OK && !*out ? absent(number) : err;
}

static rdg_err_t found_row(void *ctx, const rdg_sql_row_t *r) {
    *(bool *)ctx = rdg_sql_row_int(r, 0) > 0;
    return RDG_OK;
}

rdg_err_t pending_check(void *platform, const char *tenant, const char *number) {
    rdg_platform_t *p = platform;
    json_t *request = NULL;
    bool found = false;
    RDG_TRY(load(p, number, &request));
    rdg_err_t err = rdg_sql_query(
        p->db,
        "SELECT COUNT(*) FROM enrolments e JOIN device_tokens t ON t.digest = e.token WHERE e.number = ? AND "
        "t.tenant = ?",
        RDG_SQL_PARAMS(rdg_sql_int(json_integer_value(json_object_get(request, "number"))),
                       rdg_sql_text(tenant)),
        found_row, &found);
    json_decref(request);
    return err != RDG_OK || found ? err : absent(number);
}

static const char *text_of(const json_t *o, const char *field) {
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "";
}

static rdg_err_t check_name(rdg_platform_t *p, const json_t *request) {
    bool taken = false;
    if (json_is_true(json_object_get(request, "replaces"))) return RDG_OK;
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM devices WHERE name = ? AND public_key <> ?",
                          RDG_SQL_PARAMS(rdg_sql_text(text_of(request, "device")),
                                         rdg_sql_text(text_of(request, "public_key"))),
                          found_row, &taken));
    return taken ? rdg_fail(RDG_E_EXISTS, "device '%s' is enrolled with another key: refuse this one",
                            text_of(request, "device"))
                 : RDG_OK;
}

static rdg_err_t settle(rdg_platform_t *p, const json_t *request, const char *state, const char *by,
                        const char *reason) {
    rdg_sql_value_t number = rdg_sql_int(json_integer_value(json_object_get(request, "number")));
    size_t changed = 0;
    RDG_TRY(rdg_sql_exec(p->db,
                         "UPDATE enrolments SET state = ?, decided_ms = ?, decided_by = ?, reason = ?"
                         " WHERE number = ? AND state = 'pending'",
                         RDG_SQL_PARAMS(rdg_sql_text(state), rdg_sql_int((int64_t)platform_now()),
                                        rdg_sql_text(by), rdg_sql_text(reason), number),
                         &changed));
    if (changed == 0)
        return rdg_fail(RDG_E_CONFLICT, "the request of device '%s' does not wait any more: it is %s",
                        text_of(request, "device"), text_of(request, "state"));
    if (strcmp(state, "refused") != 0) return RDG_OK;
    return rdg_sql_exec(p->db,
                        "UPDATE device_tokens SET used = used - 1 WHERE used > 0 AND digest ="
                        " (SELECT token FROM enrolments WHERE number = ?)",
                        &number, 1, NULL);
}

static rdg_err_t decide(rdg_platform_t *p, const rdg_service_call_t *call, const char *state,
                        rdg_service_answer_t *answer) {
    const char *reason = NULL, *number = rdg_service_arg(call, "number");
    bool grants = strcmp(state, "granted") == 0;
    json_t *request = NULL;
    if (call->body) RDG_TRY(rdg_json_opt_str(call->body, "reason", &reason));
    if (reason && strlen(reason) > REASON_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "reason has more than %d bytes", REASON_MAX);
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = load(p, number, &request);
    if (err == RDG_OK && grants) err = check_name(p, request);
    if (err == RDG_OK) err = settle(p, request, state, call->caller, reason);
    if (err == RDG_OK) err = rdg_sql_commit(p->db);
    if (err != RDG_OK) rdg_sql_rollback(p->db);
    if (err == RDG_OK) {
        rdg_log(RDG_LOG_INFO, grants ? "device.approved" : "device.refused",
                RDG_STR("device", text_of(request, "device")), RDG_STR("key", text_of(request, "key")),
                RDG_STR("by", call->caller ? call->caller : ""));
        json_decref(request);
        RDG_TRY(load(p, number, &request));
        return rdg_service_reply(answer, 200, request);
    }
    json_decref(request);
    return err;
}

static rdg_err_t approve(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return decide(ctx, call, "granted", answer);
}

static rdg_err_t refuse(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return decide(ctx, call, "refused", answer);
}

const rdg_service_route_t pending_routes[] = {
    {"GET", "/api/v1/device-requests", RDG_ROUTE_TENANT, list_requests},
    {"POST", "/api/v1/device-requests/{number}/approve", RDG_ROUTE_OWNED, approve},
    {"POST", "/api/v1/device-requests/{number}/refuse", RDG_ROUTE_OWNED, refuse},
};
const size_t pending_route_count = sizeof pending_routes / sizeof pending_routes[0];
