#include "rollout.h"
#include <string.h>

static rdg_err_t create(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const json_t *body;
    json_t *rollout;
    bool created;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rollout_create(ctx, call->access, call->tenant, call->caller, body, &rollout, &created));
    return rdg_service_reply(answer, created ? 202 : 200, rollout);
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t limit = 50;
    json_t *rollouts;
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, 500, &limit));
    RDG_TRY(rollout_list(ctx, call->tenant, limit, &rollouts));
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "rollouts", rollouts));
}

/* With wait_ms: once its state or its counts are others than what the caller has seen last (`seen`: ended devices). */
static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    uint64_t wait_ms = 0, seen = 0;
    json_t *rollout;
    RDG_TRY(rdg_service_query_u64(call, "wait_ms", 0, PLATFORM_WAIT_MAX_MS, &wait_ms));
    RDG_TRY(rdg_service_query_u64(call, "seen", 0, PLATFORM_DEVICES_MAX, &seen));
    uint64_t deadline = rdg_mono_ms(rdg_clock_system()) + wait_ms;
    for (;;) {
        uint64_t generation = platform_generation(p);
        RDG_TRY(rollout_get(p, rdg_service_arg(call, "id"), &rollout));
        const char *state = json_string_value(json_object_get(rollout, "state"));
        json_int_t ended = json_integer_value(json_object_get(json_object_get(rollout, "counts"), "ended"));
        if (wait_ms == 0 || strcmp(state, "running") != 0 || ended != (json_int_t)seen ||
            !platform_wait_change(p, call, &generation, deadline))
            break;
        json_decref(rollout);
    }
    return rdg_service_reply(answer, 200, rollout);
}

static rdg_err_t devices(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t limit = 100, after = 0;
    json_t *rollout, *list;
    const char *id = rdg_service_arg(call, "id");
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, 1000, &limit));
    RDG_TRY(rdg_service_query_u64(call, "after", 0, PLATFORM_DEVICES_MAX, &after));
    RDG_TRY(rollout_get(ctx, id, &rollout));
    json_decref(rollout);
    RDG_TRY(rollout_devices(ctx, id, rdg_http_query(call->http, "state"), after, limit, &list));
    size_t n = json_array_size(list);
    json_t *more =
        n == limit ? json_incref(json_object_get(json_array_get(list, n - 1), "position")) : json_null();
    return rdg_service_reply(answer, 200, json_pack("{s:o, s:o}", "devices", list, "more_after", more));
}

static rdg_err_t answer_with(rdg_platform_t *p, const char *id, rdg_service_answer_t *answer) {
    json_t *rollout;
    RDG_TRY(rollout_get(p, id, &rollout));
    return rdg_service_reply(answer, 200, rollout);
}

static rdg_err_t pause_it(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *id = rdg_service_arg(call, "id");
    RDG_TRY(rollout_pause(ctx, id, call->caller));
    return answer_with(ctx, id, answer);
}

static rdg_err_t resume(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *id = rdg_service_arg(call, "id");
    RDG_TRY(rollout_resume(ctx, id, call->body));
    return answer_with(ctx, id, answer);
}

static rdg_err_t cancel(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *id = rdg_service_arg(call, "id");
    RDG_TRY(rollout_cancel(ctx, id, call->caller));
    return answer_with(ctx, id, answer);
}

const rdg_service_route_t rollout_routes[] = {
    {"POST", "/api/v1/rollouts", RDG_ROUTE_TENANT, create},
    {"GET", "/api/v1/rollouts", RDG_ROUTE_TENANT, list},
    {"GET", "/api/v1/rollouts/{id}", RDG_ROUTE_OWNED, show},
    {"GET", "/api/v1/rollouts/{id}/devices", RDG_ROUTE_OWNED, devices},
    {"POST", "/api/v1/rollouts/{id}/pause", RDG_ROUTE_OWNED, pause_it},
    {"POST", "/api/v1/rollouts/{id}/resume", RDG_ROUTE_OWNED, resume},
    {"POST", "/api/v1/rollouts/{id}/cancel", RDG_ROUTE_OWNED, cancel},
};
const size_t rollout_route_count = sizeof rollout_routes / sizeof rollout_routes[0];
