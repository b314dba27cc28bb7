#include "command.h"
#include <string.h>

static rdg_err_t create(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const json_t *body;
    json_t *command;
    bool created;
    const char *device = rdg_service_arg(call, "name");
    RDG_TRY(rdg_service_body(call, &body));
    if (!devices_known(p, device)) return devices_absent(device);
    RDG_TRY(command_create(p, device, call->caller, body, &command, &created));
    return rdg_service_reply(answer, created ? 202 : 200, command);
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t limit = 100;
    json_t *commands;
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, 1000, &limit));
    command_filter_t f = {.device = rdg_http_query(call->http, "device"),
                          .state = rdg_http_query(call->http, "state"),
                          .type = rdg_http_query(call->http, "type"),
                          .by = rdg_http_query(call->http, "by"),
                          .rollout = rdg_http_query(call->http, "rollout"),
                          .tenant = call->tenant};
    RDG_TRY(rdg_service_query_u64(call, "since_ms", 0, INT64_MAX, &f.since_ms));
    RDG_TRY(rdg_service_query_u64(call, "until_ms", 0, INT64_MAX, &f.until_ms));
    RDG_TRY(rdg_service_query_u64(call, "before", 1, INT64_MAX, &f.before));
    RDG_TRY(command_list(ctx, &f, limit, &commands));
    size_t n = json_array_size(commands);
    json_t *more =
        n == limit ? json_incref(json_object_get(json_array_get(commands, n - 1), "number")) : json_null();
    return rdg_service_reply(answer, 200, json_pack("{s:o, s:o}", "commands", commands, "more_before", more));
}

static rdg_err_t create_many(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const json_t *body, *list;
    json_t *commands;
    RDG_TRY(rdg_service_body(call, &body));
    list = json_object_get(body, "commands");
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > COMMAND_BATCH_MAX)
        return rdg_fail(RDG_E_INVALID, "commands: want an array of 1 to %d orders", COMMAND_BATCH_MAX);
    RDG_TRY(command_create_many(ctx, call->tenant, call->caller, list, &commands));
    return rdg_service_reply(answer, 202, json_pack("{s:o}", "commands", commands));
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    uint64_t wait_ms = 0, deadline;
    json_t *command;
    RDG_TRY(rdg_service_query_u64(call, "wait_ms", 0, PLATFORM_WAIT_MAX_MS, &wait_ms));
    deadline = rdg_mono_ms(rdg_clock_system()) + wait_ms;
    for (;;) {
        const char *state;
        uint64_t generation = platform_generation(p);
        RDG_TRY(command_get(p, rdg_service_arg(call, "id"), &command));
        RDG_TRY(rdg_json_get_str(command, "state", &state));
        if (command_state_final(state) || wait_ms == 0 ||
            !platform_wait_change(p, call, &generation, deadline))
            break;
        json_decref(command);
    }
    return rdg_service_reply(answer, 200, command);
}

/* Every change of a command, in order, from `after` on: how another service follows its commands without
 * asking again and again. Without `after`: the number from which to follow. */
static rdg_err_t events(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    uint64_t after = UINT64_MAX, wait_ms = 0, limit = 500, next, deadline;
    json_t *commands;
    RDG_TRY(rdg_service_query_u64(call, "after", 0, INT64_MAX, &after));
    RDG_TRY(rdg_service_query_u64(call, "wait_ms", 0, PLATFORM_WAIT_MAX_MS, &wait_ms));
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, 1000, &limit));
    if (after == UINT64_MAX) {
        RDG_TRY(command_last_change(p, call->tenant, &next));
        return rdg_service_reply(answer, 200, json_pack("{s:[], s:I}", "commands", "next", (json_int_t)next));
    }
    deadline = rdg_mono_ms(rdg_clock_system()) + wait_ms;
    for (;;) {
        uint64_t generation = platform_generation(p);
        RDG_TRY(command_changes(p, call->tenant, after, limit, &commands, &next));
        if (json_array_size(commands) > 0 || wait_ms == 0 ||
            !platform_wait_change(p, call, &generation, deadline))
            break;
        json_decref(commands);
    }
    return rdg_service_reply(answer, 200,
                             json_pack("{s:o, s:I}", "commands", commands, "next", (json_int_t)next));
}

static rdg_err_t cancel(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    json_t *command;
    RDG_TRY(command_cancel(ctx, rdg_service_arg(call, "id"), call->caller, &command));
    return rdg_service_reply(answer, 200, command);
}

const rdg_service_route_t command_routes[] = {
    {"POST", "/api/v1/devices/{name}/commands", RDG_ROUTE_OWNED, create},
    {"POST", "/api/v1/commands", RDG_ROUTE_TENANT, create_many},
    {"GET", "/api/v1/commands", RDG_ROUTE_TENANT, list},
    {"GET", "/api/v1/commands/events", RDG_ROUTE_TENANT, events},
    {"GET", "/api/v1/commands/{id}", RDG_ROUTE_OWNED, show},
    {"POST", "/api/v1/commands/{id}/cancel", RDG_ROUTE_OWNED, cancel},
};
const size_t command_route_count = sizeof command_routes / sizeof command_routes[0];
