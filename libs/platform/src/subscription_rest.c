/* Subscriptions over REST (docs/rest-api.md). */
#include "subscription.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

#define DEAD_SHOWN 100
#define SECRET_MIN 16
#define GIVE_UP_MIN_MS 1000ull
#define GIVE_UP_MAX_MS (30ull * 86400000)

static json_t *filter_json(const subscription_spec_t *s) {
    json_t *o = json_pack("{s:[]}", "types");
    json_t *types = json_object_get(o, "types");
    const struct {
        const char *name, *value;
    } parts[] = {{"kind", s->kind}, {"device", s->device}, {"group", s->group}, {"site", s->site}};
    if (s->wants[SUBSCRIPTION_RECORDS]) json_array_append_new(types, json_string("record"));
    if (s->wants[SUBSCRIPTION_ALARMS]) json_array_append_new(types, json_string("alarm"));
    for (size_t i = 0; o && i < sizeof parts / sizeof parts[0]; ++i)
        if (parts[i].value[0]) json_object_set_new(o, parts[i].name, json_string(parts[i].value));
    return o;
}

static json_t *spec_json(const subscription_spec_t *s, const subscription_state_t *state) {
    const char *how = s->paused ? "paused" : state->tries > 0 ? "failing" : "active";
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", s->name, "target",
                  s->url[0] ? "webhook" : "mqtt", "state", how, "filter", filter_json(s), "give_up_ms",
                  (json_int_t)s->give_up_ms, "created_ms", (json_int_t)s->created_ms, "delivered",
                  (json_int_t)state->delivered, "dead", (json_int_t)state->dead, "tries",
                  (json_int_t)state->tries, "records_after", (json_int_t)state->marks[SUBSCRIPTION_RECORDS],
                  "alarms_after", (json_int_t)state->marks[SUBSCRIPTION_ALARMS]);
    char topic[PLATFORM_TOPIC_MAX];
    snprintf(topic, sizeof topic, "subscriptions/" SUBSCRIPTION_USER "%s", s->name);
    if (o) json_object_set_new(o, s->url[0] ? "url" : "topic", json_string(s->url[0] ? s->url : topic));
    if (o && strncmp(s->url, "https://", 8) == 0)
        json_object_set_new(o, "roots", json_string(s->ca[0] ? "own" : "system"));
    if (o && s->tenant[0]) json_object_set_new(o, "tenant", json_string(s->tenant));
    if (o && s->ca[0]) json_object_set_new(o, "ca", json_string(s->ca));
    if (o && state->last_ms > 0) json_object_set_new(o, "last_ms", json_integer(state->last_ms));
    if (o && state->error[0]) json_object_set_new(o, "error", json_string(state->error));
    return o;
}

static rdg_err_t describe(subscriptions_t *h, const char *name, json_t **out) {
    subscription_spec_t spec;
    subscription_state_t state;
    RDG_TRY(subscriptions_get(h, name, &spec, &state));
    *out = spec_json(&spec, &state);
    rdg_secure_zero(spec.secret, sizeof spec.secret);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a subscription");
}

/* --- what is asked for ----------------------------------------------------------------------------------------- */

static rdg_err_t read_name(const json_t *o, const char *field, char out[65]) {
    const char *text = NULL;
    RDG_TRY(rdg_json_opt_str(o, field, &text));
    if (!text) return RDG_OK;
    if (!rdg_name_valid(text))
        return rdg_fail(RDG_E_INVALID, "%s: want 1 to 64 of [a-z0-9._-], first a letter or digit", field);
    snprintf(out, 65, "%s", text);
    return RDG_OK;
}

static rdg_err_t read_types(const json_t *filter, subscription_spec_t *s) {
    const json_t *types = json_object_get(filter, "types"), *one;
    size_t i;
    s->wants[SUBSCRIPTION_RECORDS] = s->wants[SUBSCRIPTION_ALARMS] = !types;
    if (types && (!json_is_array(types) || json_array_size(types) == 0))
        return rdg_fail(RDG_E_INVALID, "types: want an array of record and alarm");
    json_array_foreach(types, i, one) {
        const char *type = json_string_value(one);
        if (!type || (strcmp(type, "record") != 0 && strcmp(type, "alarm") != 0))
            return rdg_fail(RDG_E_INVALID, "types: want an array of record and alarm");
        s->wants[strcmp(type, "alarm") == 0 ? SUBSCRIPTION_ALARMS : SUBSCRIPTION_RECORDS] = true;
    }
    return RDG_OK;
}

static rdg_err_t read_filter(const json_t *body, subscription_spec_t *s) {
    const json_t *filter = json_object_get(body, "filter");
    const char *key;
    const json_t *value;
    s->wants[SUBSCRIPTION_RECORDS] = s->wants[SUBSCRIPTION_ALARMS] = true;
    if (!filter) return RDG_OK;
    if (!json_is_object(filter)) return rdg_fail(RDG_E_INVALID, "filter: want an object");
    json_object_foreach((json_t *)(uintptr_t)filter, key, value) {
        static const char *const known[] = {"types", "kind", "device", "group", "site"};
        bool ok = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i) ok = ok || strcmp(key, known[i]) == 0;
        /* One that is not understood must not widen what is sent. */
        if (!ok)
            return rdg_fail(RDG_E_INVALID, "filter: '%.40s' is none of types, kind, device, group and site",
                            key);
    }
    RDG_TRY(read_types(filter, s));
    RDG_TRY(read_name(filter, "kind", s->kind));
    RDG_TRY(read_name(filter, "device", s->device));
    RDG_TRY(read_name(filter, "group", s->group));
    return read_name(filter, "site", s->site);
}

static bool plain(const char *text) {
    for (; *text; ++text)
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 127) return false;
    return true;
}

static rdg_err_t read_ca(const json_t *body, subscription_spec_t *s) {
    const char *ca = NULL;
    RDG_TRY(rdg_json_opt_str(body, "ca", &ca));
    if (!ca) return RDG_OK;
    if (strncmp(s->url, "https://", 8) != 0)
        return rdg_fail(RDG_E_INVALID, "ca: only an https:// webhook has a certificate to verify");
    if (strlen(ca) > SUBSCRIPTION_CA_MAX)
        return rdg_fail(RDG_E_INVALID, "ca: want at most %d bytes", SUBSCRIPTION_CA_MAX);
    RDG_TRY(rdg_fail_in(rdg_http_roots_check(rdg_bytes_str(ca)), "ca"));
    snprintf(s->ca, sizeof s->ca, "%s", ca);
    return RDG_OK;
}

static rdg_err_t read_target(const json_t *body, subscription_spec_t *s) {
    const char *url = NULL, *secret = NULL;
    bool mqtt = false;
    RDG_TRY(rdg_json_opt_str(body, "webhook", &url));
    RDG_TRY(rdg_json_opt_bool(body, "mqtt", &mqtt));
    RDG_TRY(rdg_json_opt_str(body, "secret", &secret));
    if (mqtt == (url != NULL)) return rdg_fail(RDG_E_INVALID, "want either webhook, a URL, or mqtt, true");
    if (url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return rdg_fail(RDG_E_INVALID, "webhook: want a URL that begins with https:// or http://");
    if (url && (strlen(url) > SUBSCRIPTION_URL_MAX || !plain(url)))
        return rdg_fail(RDG_E_INVALID, "webhook: want a URL of at most %d plain characters",
                        SUBSCRIPTION_URL_MAX);
    if (secret && (strlen(secret) < SECRET_MIN || strlen(secret) > SUBSCRIPTION_SECRET_MAX || !plain(secret)))
        return rdg_fail(RDG_E_INVALID, "secret: want %d to %d plain characters", SECRET_MIN,
                        SUBSCRIPTION_SECRET_MAX);
    snprintf(s->url, sizeof s->url, "%s", url ? url : "");
    if (secret)
        snprintf(s->secret, sizeof s->secret, "%s", secret);
    else
        rdg_random_hex(rdg_random_system(), s->secret, 32);
    return RDG_OK;
}

static rdg_err_t read_spec(const json_t *body, subscription_spec_t *s, bool *from_start) {
    const char *from = NULL;
    RDG_TRY(read_name(body, "name", s->name));
    if (!s->name[0])
        return rdg_fail(RDG_E_INVALID, "name: want 1 to 50 of [a-z0-9._-], first a letter or digit");
    if (strlen(s->name) > 50) return rdg_fail(RDG_E_INVALID, "name: want at most 50 characters");
    RDG_TRY(read_target(body, s));
    RDG_TRY(read_ca(body, s));
    RDG_TRY(read_filter(body, s));
    s->give_up_ms = SUBSCRIPTION_GIVE_UP_MS;
    RDG_TRY(rdg_json_opt_u64(body, "give_up_ms", &s->give_up_ms));
    if (s->give_up_ms < GIVE_UP_MIN_MS || s->give_up_ms > GIVE_UP_MAX_MS)
        return rdg_fail(RDG_E_INVALID, "give_up_ms: want %llu to %llu", GIVE_UP_MIN_MS, GIVE_UP_MAX_MS);
    RDG_TRY(rdg_json_opt_str(body, "from", &from));
    *from_start = from && strcmp(from, "start") == 0;
    return !from || *from_start || strcmp(from, "now") == 0
               ? RDG_OK
               : rdg_fail(RDG_E_INVALID, "from: want now or start");
}

static rdg_err_t create(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    subscriptions_t *h = ctx;
    subscription_spec_t s = {0};
    subscription_state_t none = {0};
    const json_t *body;
    bool from_start, own = false;
    RDG_TRY(rdg_service_body(call, &body));
    /* Without a tenant it is of the cloud, if its maker is. */
    if (call->tenant || json_object_get(body, "tenant")) RDG_TRY(rdg_service_new_tenant(call, s.tenant));
    rdg_err_t err = read_spec(body, &s, &from_start);
    if (err == RDG_OK) err = subscriptions_add(h, &s, from_start);
    /* After it exists: a name that is taken must not change the password of who has it. */
    if (err == RDG_OK && !s.url[0]) err = subscriptions_user(h, s.name, s.secret, &own);
    if (err != RDG_OK && s.number > 0) (void)subscriptions_remove(h, s.name);
    json_t *o = err == RDG_OK ? spec_json(&s, &none) : NULL;
    if (o && s.url[0]) json_object_set_new(o, "secret", json_string(s.secret));
    if (o && own) {
        char user[80];
        snprintf(user, sizeof user, SUBSCRIPTION_USER "%s", s.name);
        json_object_set_new(o, "user", json_string(user));
        json_object_set_new(o, "password", json_string(s.secret));
    }
    rdg_secure_zero(s.secret, sizeof s.secret);
    RDG_TRY(err);
    rdg_log(RDG_LOG_INFO, "subscription.created", RDG_STR("subscription", s.name),
            RDG_STR("caller", call->caller));
    return rdg_service_reply(answer, 201, o);
}

/* --- the rest ------------------------------------------------------------------------------------------------------ */

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    char names[SUBSCRIPTIONS_MAX][65];
    size_t n = subscriptions_names(ctx, call->tenant, names);
    json_t *all = json_array(), *one;
    for (size_t i = 0; i < n; ++i)
        if (describe(ctx, names[i], &one) == RDG_OK) json_array_append_new(all, one);
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "subscriptions", all));
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    subscription_spec_t spec;
    subscription_state_t state;
    json_t *dead = NULL;
    RDG_TRY(subscriptions_get(ctx, rdg_service_arg(call, "name"), &spec, &state));
    rdg_secure_zero(spec.secret, sizeof spec.secret);
    RDG_TRY(subscription_store_dead(subscriptions_db(ctx), spec.number, DEAD_SHOWN, &dead));
    json_t *o = spec_json(&spec, &state);
    if (o)
        json_object_set_new(o, "dead_letters", dead);
    else
        json_decref(dead);
    return rdg_service_reply(answer, 200, o);
}

static rdg_err_t drop(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *name = rdg_service_arg(call, "name");
    bool own;
    (void)answer;
    RDG_TRY(subscriptions_remove(ctx, name));
    rdg_log(RDG_LOG_INFO, "subscription.removed", RDG_STR("subscription", name),
            RDG_STR("caller", call->caller));
    return subscriptions_user(ctx, name, NULL, &own);
}

static rdg_err_t test(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    unsigned status;
    uint64_t start = rdg_mono_ms(rdg_clock_system());
    RDG_TRY(subscriptions_test(ctx, rdg_service_arg(call, "name"), &status));
    return rdg_service_reply(answer, 200,
                             json_pack("{s:i, s:b, s:I}", "status", (int)status, "taken",
                                       status == 0 || (status >= 200 && status <= 299), "ms",
                                       (json_int_t)(rdg_mono_ms(rdg_clock_system()) - start)));
}

static rdg_err_t pause(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    json_t *o;
    RDG_TRY(subscriptions_pause(ctx, rdg_service_arg(call, "name"), true, NULL));
    RDG_TRY(describe(ctx, rdg_service_arg(call, "name"), &o));
    return rdg_service_reply(answer, 200, o);
}

static rdg_err_t read_mark(const json_t *body, const char *field, int64_t *out) {
    uint64_t v = UINT64_MAX;
    RDG_TRY(rdg_json_opt_u64(body, field, &v));
    *out = v == UINT64_MAX ? -1 : (int64_t)(v & INT64_MAX);
    return RDG_OK;
}

static rdg_err_t resume(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    int64_t marks[SUBSCRIPTION_SOURCES] = {-1, -1};
    json_t *o;
    if (call->body) {
        RDG_TRY(read_mark(call->body, "alarms_after", &marks[SUBSCRIPTION_ALARMS]));
        RDG_TRY(read_mark(call->body, "records_after", &marks[SUBSCRIPTION_RECORDS]));
    }
    RDG_TRY(subscriptions_pause(ctx, rdg_service_arg(call, "name"), false, marks));
    RDG_TRY(describe(ctx, rdg_service_arg(call, "name"), &o));
    return rdg_service_reply(answer, 200, o);
}

const rdg_service_route_t subscription_routes[] = {
    {"POST", "/api/v1/subscriptions", RDG_ROUTE_TENANT, create},
    {"GET", "/api/v1/subscriptions", RDG_ROUTE_TENANT, list},
    {"GET", "/api/v1/subscriptions/{name}", RDG_ROUTE_OWNED, show},
    {"DELETE", "/api/v1/subscriptions/{name}", RDG_ROUTE_OWNED, drop},
    {"POST", "/api/v1/subscriptions/{name}/test", RDG_ROUTE_OWNED, test},
    {"POST", "/api/v1/subscriptions/{name}/pause", RDG_ROUTE_OWNED, pause},
    {"POST", "/api/v1/subscriptions/{name}/resume", RDG_ROUTE_OWNED, resume},
};
const size_t subscription_route_count = sizeof subscription_routes / sizeof subscription_routes[0];
