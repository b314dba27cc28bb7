/* Alarms over REST (docs/rest-api.md). */
#include "alarm.h"
#include <string.h>
#include "ridge/base/config.h"

#define LIST_DEFAULT 1000

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t after = 0, limit = LIST_DEFAULT;
    const char *state = rdg_http_query(call->http, "state");
    json_t *alarms = NULL;
    if (state && strcmp(state, "open") != 0 && strcmp(state, "all") != 0)
        return rdg_fail(RDG_E_INVALID, "state: want open or all");
    RDG_TRY(rdg_service_query_u64(call, "after", 0, INT64_MAX, &after));
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, LIST_DEFAULT, &limit));
    const alarm_filter_t f = {.all = state && strcmp(state, "all") == 0,
                              .tenant = call->tenant,
                              .device = rdg_http_query(call->http, "device"),
                              .kind = rdg_http_query(call->http, "kind")};
    RDG_TRY(alarm_store_list(alarms_db(ctx), &f, after, limit, &alarms));
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "alarms", alarms));
}

static rdg_err_t read_number(const char *text, int64_t *out) {
    uint64_t number;
    RDG_TRY(rdg_fail_in(rdg_parse_u64(text, &number), "the number of an alarm"));
    if (number > INT64_MAX) return rdg_fail(RDG_E_INVALID, "the number of an alarm is too large");
    *out = (int64_t)number;
    return RDG_OK;
}

rdg_err_t alarms_check(void *alarms, const char *tenant, const char *text) {
    int64_t number;
    RDG_TRY(read_number(text, &number));
    return alarm_store_check(alarms_db(alarms), tenant, number);
}

static rdg_err_t ack(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    alarms_t *a = ctx;
    int64_t number;
    const char *note = NULL;
    json_t *alarm = NULL;
    RDG_TRY(read_number(rdg_service_arg(call, "number"), &number));
    if (call->body) RDG_TRY(rdg_json_opt_str(call->body, "note", &note));
    if (note && strlen(note) > ALARM_NOTE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "note: %zu bytes, at most %d", strlen(note), ALARM_NOTE_MAX);
    RDG_TRY(alarm_store_ack(alarms_db(a), number, alarms_now(a), call->caller, note));
    RDG_TRY(alarm_store_get(alarms_db(a), number, &alarm));
    return rdg_service_reply(answer, 200, alarm);
}

static json_t *rule_json(alarm_kind_t k, const alarm_rule_t *r) {
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:b, s:s}", "kind", alarm_kind_name(k), "unit",
                     alarm_kind_unit(k), "raise", (json_int_t)r->raise, "clear", (json_int_t)r->clear,
                     "for_ms", (json_int_t)r->for_ms, "enabled", (int)r->enabled, "severity",
                     r->critical ? "critical" : "warning");
}

static rdg_err_t rules(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    json_t *list_of = json_array();
    alarm_rule_t r;
    (void)call;
    for (int k = 0; k < ALARM_KINDS; ++k) {
        alarms_rule(ctx, (alarm_kind_t)k, &r);
        json_array_append_new(list_of, rule_json((alarm_kind_t)k, &r));
    }
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "rules", list_of));
}

static rdg_err_t number_of(const json_t *body, const char *name, uint64_t max, uint64_t *out) {
    RDG_TRY(rdg_json_opt_u64(body, name, out));
    return *out <= max ? RDG_OK : rdg_fail(RDG_E_INVALID, "%s: at most %llu", name, (unsigned long long)max);
}

static rdg_err_t put_rule(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    alarm_kind_t k;
    alarm_rule_t r;
    const json_t *body;
    const char *severity = NULL;
    if (!alarm_kind_find(rdg_service_arg(call, "kind"), &k))
        return rdg_fail(RDG_E_NOT_FOUND, "there is no kind of alarm '%.40s': see ridge alarm rules",
                        rdg_service_arg(call, "kind"));
    RDG_TRY(rdg_service_body(call, &body));
    alarms_rule(ctx, k, &r);
    uint64_t raise = (uint64_t)r.raise, clear = (uint64_t)r.clear;
    RDG_TRY(number_of(body, "raise", 1000000000, &raise));
    RDG_TRY(number_of(body, "clear", 1000000000, &clear));
    RDG_TRY(number_of(body, "for_ms", 86400000, &r.for_ms));
    RDG_TRY(rdg_json_opt_bool(body, "enabled", &r.enabled));
    RDG_TRY(rdg_json_opt_str(body, "severity", &severity));
    if (severity && strcmp(severity, "critical") != 0 && strcmp(severity, "warning") != 0)
        return rdg_fail(RDG_E_INVALID, "severity: want critical or warning");
    if (severity) r.critical = strcmp(severity, "critical") == 0;
    r.raise = (int64_t)raise;
    r.clear = (int64_t)clear;
    RDG_TRY(alarms_set_rule(ctx, k, &r));
    return rdg_service_reply(answer, 200, rule_json(k, &r));
}

const rdg_service_route_t alarm_routes[] = {
    {"GET", "/api/v1/alarms", RDG_ROUTE_TENANT, list},
    {"POST", "/api/v1/alarms/{number}/ack", RDG_ROUTE_OWNED, ack},
    {"GET", "/api/v1/alarm-rules", RDG_ROUTE_TENANT, rules},
    {"PUT", "/api/v1/alarm-rules/{kind}", RDG_ROUTE_CLOUD, put_rule},
};
const size_t alarm_route_count = sizeof alarm_routes / sizeof alarm_routes[0];
