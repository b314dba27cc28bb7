/* GET /events (docs/rest-api.md). */
#include <stdio.h>
#include <string.h>
#include "event.h"
#include "ridge/base/file.h"
#include "ridge/service/access.h"

static rdg_err_t read_name(const rdg_service_call_t *call, const char *name, char out[65]) {
    const char *text = rdg_http_query(call->http, name);
    out[0] = '\0';
    if (!text || !*text) return RDG_OK;
    /* kind is also a type of command, of chain.start's form */
    if (!rdg_name_valid(text))
        return rdg_fail(RDG_E_INVALID, "%s: want 1 to 64 of [a-z0-9._-], first a letter or digit", name);
    snprintf(out, 65, "%s", text);
    return RDG_OK;
}

static rdg_err_t read_types(const rdg_service_call_t *call, bool types[EVENT_TYPES]) {
    const char *text = rdg_http_query(call->http, "type");
    for (int t = 0; t < EVENT_TYPES; ++t) types[t] = !text || !*text;
    while (text && *text) {
        size_t len = strcspn(text, ",");
        bool known = false;
        for (int t = 0; t < EVENT_TYPES; ++t) {
            const char *name = event_type_name((event_type_t)t);
            if (strlen(name) != len || strncmp(name, text, len) != 0) continue;
            types[t] = known = true;
        }
        if (!known)
            return rdg_fail(RDG_E_INVALID, "type '%.*s': want telemetry, chain, record, alarm or command",
                            len < 40 ? (int)len : 40, text);
        text += len + (text[len] == ',');
    }
    return RDG_OK;
}

static rdg_err_t stream(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    event_filter_t f;
    const char *last = rdg_http_header(call->http, "Last-Event-ID");
    rdg_http_stream_t *s;
    RDG_TRY(read_types(call, f.types));
    RDG_TRY(read_name(call, "device", f.device));
    RDG_TRY(read_name(call, "kind", f.kind));
    RDG_TRY(read_name(call, "group", f.group));
    RDG_TRY(read_name(call, "site", f.site));
    snprintf(f.tenant, sizeof f.tenant, "%s", call->tenant ? call->tenant : "");
    f.access = call->who.ends ? call->access : NULL;
    snprintf(f.caller, sizeof f.caller, "%s", call->caller);
    if (!last) last = rdg_http_query(call->http, "last_event_id");
    RDG_TRY(events_join(ctx, &f, last, &s));
    rdg_err_t err = rdg_service_reply_stream(answer, "text/event-stream", s);
    rdg_http_stream_unref(s);
    return err;
}

const rdg_service_route_t live_event_routes[] = {{"GET", "/api/v1/events", RDG_ROUTE_TENANT, stream}};
const size_t live_event_route_count = sizeof live_event_routes / sizeof live_event_routes[0];
