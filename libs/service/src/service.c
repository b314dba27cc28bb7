#include "ridge/service/service.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "guard.h"
#include "guess.h"
#include "rate.h"
#include "route.h"
#include "share.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/base/trace.h"
#include "ridge/codec/hex.h"
#include "ridge/service/access.h"

#define MOUNTS_MAX 4
#define ANSWER_MAX (64u << 20)

struct rdg_service {
    rdg_service_options_t options;
    char host[256];
    rdg_http_server_t *server;
    const rdg_clock_t *clock;
    rdg_guard_t guard;
    rdg_rate_t rate, tenant_rate;
    rdg_shares_t shares, waits;
    rdg_guesses_t guesses;
    rdg_metric_t *by_class[6], *refused, *latency, *guessed, *barred;
    size_t route_count, mount_count;
    struct {
        const rdg_service_route_t *route;
        void *ctx;
    } routes[RDG_SERVICE_ROUTES_MAX];
    struct {
        const char *prefix;
        rdg_http_handler_t handler;
        void *ctx;
    } mounts[MOUNTS_MAX];
    const rdg_http_intake_t *intake; /* of the mount whose context follows; NULL: none */
    void *intake_ctx;
    const char *intake_prefix;
};

static unsigned threads_of(const rdg_service_t *s) {
    return s->options.threads ? s->options.threads : 32;
}

static rdg_err_t serve_health(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    (void)ctx, (void)call;
    return rdg_service_reply(answer, 200, json_pack("{s:s, s:s}", "status", "ok", "version", RIDGE_VERSION));
}

static const rdg_service_route_t health_route[] = {
    {"GET", "/api/v1/health", RDG_ROUTE_PUBLIC, serve_health},
};

static void serve_metrics(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    rdg_service_t *s = ctx;
    rdg_buf_t text;
    (void)req;
    rdg_buf_init(&text, ANSWER_MAX);
    if (rdg_metrics_expose(s->options.metrics, &text) != RDG_OK ||
        rdg_http_write(res, "text/plain; version=0.0.4", rdg_buf_view(&text)) != RDG_OK)
        rdg_http_status(res, 500);
    rdg_buf_fini(&text);
}

static void register_metrics(rdg_service_t *s) {
    static const double bounds[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 30000};
    static const char *const labels[6] = {
        NULL, "class=\"1xx\"", "class=\"2xx\"", "class=\"3xx\"", "class=\"4xx\"", "class=\"5xx\""};
    rdg_metrics_t *m = s->options.metrics;
    if (!m) return;
    for (int i = 2; i < 6; ++i)
        s->by_class[i] = rdg_metrics_counter(m, "ridge_http_requests_total", "requests answered", labels[i]);
    s->refused =
        rdg_metrics_counter(m, "ridge_http_rate_refused_total", "requests over their caller's rate", NULL);
    s->guessed =
        rdg_metrics_counter(m, "ridge_http_wrong_tokens_total",
                            "access tokens that nobody has, in the interface and the registry", NULL);
    s->barred = rdg_metrics_counter(m, "ridge_http_wrong_tokens_barred_total",
                                    "requests refused because their address has tried too many tokens", NULL);
    s->latency = rdg_metrics_histogram(m, "ridge_http_request_ms", "time to answer", NULL, bounds,
                                       sizeof bounds / sizeof bounds[0]);
}

static void init_limits(rdg_service_t *s) {
    const rdg_service_options_t *o = &s->options;
    uint64_t per_s = o->rate_per_s ? o->rate_per_s : 500, burst = o->rate_burst ? o->rate_burst : 1000;
    rdg_rate_init(&s->rate, per_s, burst, rdg_random_u64(rdg_random_system()));
    rdg_rate_init(&s->tenant_rate, 2 * per_s, 2 * burst, rdg_random_u64(rdg_random_system()));
    rdg_shares_init(&s->shares, (threads_of(s) + 1) / 2);
    rdg_shares_init(&s->waits, RDG_SERVICE_TENANT_WAITS);
    rdg_guesses_init(&s->guesses, rdg_random_u64(rdg_random_system()));
}

rdg_err_t rdg_service_new(const rdg_service_options_t *options, rdg_service_t **out) {
    rdg_service_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a service");
    s->options = *options;
    snprintf(s->host, sizeof s->host, "%s", options->host ? options->host : "127.0.0.1");
    s->options.host = s->host;
    s->clock = options->clock ? options->clock : rdg_clock_system();
    init_limits(s);
    register_metrics(s);
    rdg_err_t err = rdg_service_add(s, health_route, 1, s);
    if (err == RDG_OK && options->metrics) err = rdg_service_mount(s, "/metrics", serve_metrics, s);
    if (err != RDG_OK) {
        rdg_service_free(s);
        return err;
    }
    *out = s;
    return RDG_OK;
}

void rdg_service_free(rdg_service_t *s) {
    if (!s) return;
    rdg_service_stop(s);
    rdg_rate_fini(&s->rate);
    rdg_rate_fini(&s->tenant_rate);
    rdg_shares_fini(&s->shares);
    rdg_shares_fini(&s->waits);
    rdg_guesses_fini(&s->guesses);
    rdg_secure_zero(&s->guard, sizeof s->guard);
    rdg_free(s);
}

rdg_err_t rdg_service_add(rdg_service_t *s, const rdg_service_route_t *routes, size_t count, void *ctx) {
    if (count > RDG_SERVICE_ROUTES_MAX - s->route_count)
        return rdg_fail(RDG_E_FULL, "%d routes at most", RDG_SERVICE_ROUTES_MAX);
    for (size_t i = 0; i < count; ++i) {
        s->routes[s->route_count].route = &routes[i];
        s->routes[s->route_count++].ctx = ctx;
    }
    return RDG_OK;
}

rdg_err_t rdg_service_mount(rdg_service_t *s, const char *prefix, rdg_http_handler_t handler, void *ctx) {
    if (s->mount_count == MOUNTS_MAX) return rdg_fail(RDG_E_FULL, "%d mounts at most", MOUNTS_MAX);
    s->mounts[s->mount_count].prefix = prefix;
    s->mounts[s->mount_count].handler = handler;
    s->mounts[s->mount_count++].ctx = ctx;
    return RDG_OK;
}

rdg_err_t rdg_service_mount_intake(rdg_service_t *s, const char *prefix, rdg_http_handler_t handler,
                                   const rdg_http_intake_t *intake, void *ctx) {
    if (s->intake) return rdg_fail(RDG_E_FULL, "one mount that takes bodies in pieces at most");
    RDG_TRY(rdg_service_mount(s, prefix, handler, ctx));
    s->intake = intake;
    s->intake_ctx = ctx;
    s->intake_prefix = prefix;
    return RDG_OK;
}

rdg_err_t rdg_service_allow_digest(rdg_service_t *s, const char *caller, const rdg_hash_t *token_digest) {
    return rdg_tokens_add(&s->guard.tokens, caller, token_digest);
}

rdg_err_t rdg_service_allow(rdg_service_t *s, const char *caller, const char *token) {
    rdg_hash_t digest;
    rdg_sm3(token, strlen(token), &digest);
    return rdg_service_allow_digest(s, caller, &digest);
}

void rdg_service_set_access(rdg_service_t *s, rdg_access_t *access) {
    s->guard.access = access;
}

rdg_access_t *rdg_service_access(const rdg_service_t *s) {
    return s->guard.access;
}

rdg_err_t rdg_service_owner(rdg_service_t *s, const char *things, rdg_service_owner_t own, void *ctx) {
    rdg_guard_t *g = &s->guard;
    if (g->owner_count == RDG_SERVICE_OWNERS_MAX)
        return rdg_fail(RDG_E_FULL, "%d kinds of things with owners at most", RDG_SERVICE_OWNERS_MAX);
    g->owners[g->owner_count].things = things;
    g->owners[g->owner_count].own = own;
    g->owners[g->owner_count++].ctx = ctx;
    return RDG_OK;
}

rdg_err_t rdg_service_caller_of(const rdg_service_t *s, const char *token, rdg_caller_t *out) {
    return rdg_guard_identify_token(&s->guard, token, false, out);
}

bool rdg_service_caller_named(const rdg_service_t *s, const char *name, rdg_caller_t *out) {
    const rdg_tokens_t *t = &s->guard.tokens;
    for (size_t i = 0; i < t->count; ++i) {
        if (strcmp(t->list[i].caller, name) != 0 || strcmp(name, RDG_SERVICE_METRICS) == 0) continue;
        memset(out, 0, sizeof *out);
        snprintf(out->name, sizeof out->name, "%s", name);
        out->role = RDG_ROLE_ADMIN;
        return true;
    }
    return s->guard.access && rdg_access_named(s->guard.access, name, out);
}

rdg_err_t rdg_service_judge(rdg_service_t *s, const char *remote, const char *who) {
    bool burst, pass = rdg_guesses_judge(&s->guesses, remote, who, rdg_mono_ms(s->clock), &burst);
    if (pass && !who) rdg_metric_add(s->guessed, 1);
    if (burst) rdg_log(RDG_LOG_WARN, "access.guessing", RDG_STR("remote", remote));
    if (pass) return RDG_OK;
    rdg_metric_add(s->barred, 1);
    return rdg_fail(RDG_E_BUSY,
                    "too many tokens that nobody has came from %s: until that ends, whoever was not let "
                    "in from there before is refused; try again in a minute, or from another address",
                    remote);
}

bool rdg_service_ended(const rdg_service_call_t *call) {
    rdg_caller_t who;
    return call->who.ends && call->caller && call->access &&
           !rdg_access_named(call->access, call->caller, &who);
}

bool rdg_service_wait_begin(const rdg_service_call_t *call) {
    return !call->service || rdg_shares_enter(&call->service->waits, call->tenant) == RDG_OK;
}

void rdg_service_wait_end(const rdg_service_call_t *call, bool begun) {
    if (call->service && begun) rdg_shares_leave(&call->service->waits, call->tenant);
}

rdg_err_t rdg_service_new_tenant(const rdg_service_call_t *call, char out[RDG_TENANT_MAX + 1]) {
    const char *wanted = NULL;
    if (call->body) RDG_TRY(rdg_json_opt_str(call->body, "tenant", &wanted));
    if (call->tenant && wanted && strcmp(call->tenant, wanted) != 0)
        return rdg_fail(RDG_E_FORBIDDEN, "tenant: '%s' is of tenant %s, and acts for no other", call->caller,
                        call->tenant);
    if (!call->tenant && wanted && strcmp(wanted, RDG_TENANT_DEFAULT) != 0) {
        if (!call->access)
            return rdg_fail(RDG_E_NOT_FOUND, "tenant '%.32s' does not exist: there are none here", wanted);
        RDG_TRY(rdg_access_tenant(call->access, wanted));
    }
    const char *tenant = call->tenant ? call->tenant : wanted ? wanted : RDG_TENANT_DEFAULT;
    snprintf(out, RDG_TENANT_MAX + 1, "%s", tenant);
    return RDG_OK;
}

const rdg_service_route_t *rdg_service_route(const rdg_service_t *s, size_t i) {
    return i < s->route_count ? s->routes[i].route : NULL;
}

/* --- one request ------------------------------------------------------------------------------- */

static void begin_trace(const rdg_http_request_t *req, rdg_trace_t *trace) {
    rdg_trace_t parent;
    const char *header = rdg_http_header(req, "traceparent");
    if (header && rdg_trace_parse(header, &parent) == RDG_OK)
        rdg_trace_child(&parent, trace, rdg_random_system());
    else
        rdg_trace_new(trace, rdg_random_system());
    rdg_trace_set_current(trace);
}

/* The route for this request; *known tells whether the path exists with another method. */
static size_t find_route(const rdg_service_t *s, const char *method, const char *path,
                         rdg_service_call_t *call, bool *known) {
    *known = false;
    for (size_t i = 0; i < s->route_count; ++i) {
        if (!rdg_route_match(s->routes[i].route->pattern, path, call)) continue;
        *known = true;
        if (strcmp(s->routes[i].route->method, method) == 0) return i;
    }
    return s->route_count;
}

static rdg_err_t parse_body(const rdg_http_request_t *req, json_t **out) {
    rdg_bytes_t body = rdg_http_body(req);
    if (body.len == 0) return RDG_OK;
    RDG_TRY(rdg_fail_in(rdg_json_parse(body, out), "the body"));
    if (json_is_object(*out)) return RDG_OK;
    json_decref(*out);
    *out = NULL;
    return rdg_fail(RDG_E_INVALID, "the body is no JSON object");
}

static rdg_err_t check_rate(rdg_service_t *s, const rdg_service_call_t *call) {
    const char *who = call->caller ? call->caller : call->remote;
    bool alone = rdg_rate_take(&s->rate, who, rdg_mono_ms(s->clock));
    if (alone && (!call->tenant || rdg_rate_take(&s->tenant_rate, call->tenant, rdg_mono_ms(s->clock))))
        return RDG_OK;
    rdg_metric_add(s->refused, 1);
    return rdg_fail(RDG_E_BUSY, "more requests a second than one %s may send: try again in a second",
                    alone ? "tenant" : "caller");
}

/* err: what the credentials are worth. */
static rdg_err_t judge(rdg_service_t *s, const rdg_service_call_t *call, rdg_err_t err,
                       rdg_service_answer_t *answer) {
    if (err != RDG_OK &&
        (call->who.name[0] || !rdg_guard_token(rdg_http_header(call->http, "authorization"))))
        return err;
    rdg_err_t barred = rdg_service_judge(s, call->remote, err == RDG_OK ? call->who.name : NULL);
    answer->quiet = barred != RDG_OK;
    return barred == RDG_OK ? err : barred;
}

static rdg_err_t handle_route(rdg_service_t *s, size_t i, rdg_service_call_t *call,
                              rdg_service_answer_t *answer) {
    const rdg_service_route_t *route = s->routes[i].route;
    json_t *body = NULL;
    RDG_TRY(parse_body(call->http, &body));
    call->body = body;
    rdg_err_t err = route->handler(s->routes[i].ctx, call, answer);
    call->body = NULL;
    json_decref(body);
    /* What has changed something tells so. */
    if (err == RDG_OK && strcmp(route->method, "GET") == 0 && rdg_service_ended(call))
        err = rdg_fail(RDG_E_UNAUTHENTICATED, "the access token of '%s' has ended while this was waited for",
                       call->caller);
    return err;
}

static rdg_err_t run(rdg_service_t *s, const rdg_http_request_t *req, rdg_service_call_t *call,
                     rdg_service_answer_t *answer) {
    const char *method = rdg_http_method(req), *path = rdg_http_path(req);
    bool known;
    size_t i = find_route(s, method, path, call, &known);
    bool metrics = i < s->route_count && (s->routes[i].route->flags & RDG_ROUTE_METRICS);
    rdg_err_t unknown =
        rdg_guard_identify(&s->guard, rdg_http_header(req, "authorization"), metrics, &call->who);
    if (unknown == RDG_OK) {
        call->caller = call->who.name;
        call->tenant = call->who.tenant[0] ? call->who.tenant : NULL;
        call->role = call->who.role;
    }
    call->access = s->guard.access;
    RDG_TRY(check_rate(s, call));
    if (i == s->route_count && known) {
        answer->status = 405;
        return rdg_fail(RDG_E_UNSUPPORTED, "%s is not possible on %.200s", method, path);
    }
    if (i == s->route_count)
        return rdg_fail(RDG_E_NOT_FOUND, "there is no %.200s: the interface is described in docs/rest-api.md",
                        path);
    if (!(s->routes[i].route->flags & RDG_ROUTE_PUBLIC)) {
        RDG_TRY(judge(s, call, unknown, answer));
        RDG_TRY(rdg_guard_admit(&s->guard, s->routes[i].route, call));
    }
    RDG_TRY(rdg_shares_enter(&s->shares, call->tenant));
    rdg_err_t err = handle_route(s, i, call, answer);
    rdg_shares_leave(&s->shares, call->tenant);
    return err;
}

static json_t *error_body(rdg_err_t err, const rdg_trace_t *trace) {
    char id[33];
    rdg_hex_encode(trace->trace_id, sizeof trace->trace_id, id);
    /* A text may quote bytes of a hostile request: what is no UTF-8 is left out and the code's own text
     * stands. */
    json_t *message = json_string(rdg_err_message(err));
    if (!message) message = json_string(rdg_err_text(err));
    return json_pack("{s:{s:s, s:o, s:s}}", "error", "code", rdg_err_name(err), "message", message, "trace",
                     id);
}

static void write_answer(rdg_http_response_t *res, unsigned status, json_t *body) {
    rdg_buf_t text;
    rdg_buf_init(&text, ANSWER_MAX);
    if (body && (rdg_json_dump(body, &text) != RDG_OK || rdg_buf_u8(&text, '\n') != RDG_OK)) {
        rdg_buf_clear(&text);
        status = 500;
    }
    rdg_http_status(res, status);
    (void)rdg_http_write(res, "application/json", rdg_buf_view(&text));
    rdg_buf_fini(&text);
}

static void log_access(const rdg_http_request_t *req, const rdg_service_call_t *call,
                       const rdg_service_answer_t *answer, rdg_err_t err, uint64_t us) {
    const unsigned status = answer->status;
    bool reading = strcmp(rdg_http_method(req), "GET") == 0;
    rdg_log_level_t level = status >= 500                                ? RDG_LOG_WARN
                            : answer->quiet || (reading && status < 400) ? RDG_LOG_DEBUG
                                                                         : RDG_LOG_INFO;
    rdg_log(level, "http.request", RDG_STR("method", rdg_http_method(req)),
            RDG_STR("path", rdg_http_path(req)), RDG_U64("status", status),
            RDG_STR("code", rdg_err_name(err)), RDG_F64("ms", (double)us / 1000),
            RDG_STR("caller", call->caller ? call->caller : ""), RDG_STR("remote", call->remote));
}

static bool under(const char *path, const char *prefix) {
    size_t len = strlen(prefix);
    return strncmp(path, prefix, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool intake_wants(void *ctx, const rdg_http_request_t *req) {
    rdg_service_t *s = ctx;
    return under(rdg_http_path(req), s->intake_prefix) && s->intake->wants(s->intake_ctx, req);
}

static bool intake_take(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res,
                        rdg_bytes_t piece) {
    rdg_service_t *s = ctx;
    return s->intake->take(s->intake_ctx, req, res, piece);
}

static void intake_ended(void *ctx, void *state) {
    rdg_service_t *s = ctx;
    s->intake->ended(s->intake_ctx, state);
}

static const rdg_http_intake_t mounted_intake = {intake_wants, intake_take, intake_ended};

static bool serve_mount(rdg_service_t *s, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const char *path = rdg_http_path(req);
    for (size_t i = 0; i < s->mount_count; ++i) {
        if (!under(path, s->mounts[i].prefix)) continue;
        s->mounts[i].handler(s->mounts[i].ctx, req, res);
        return true;
    }
    return false;
}

static void handle(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    rdg_service_t *s = ctx;
    rdg_trace_t trace;
    char parent[RDG_TRACEPARENT_LEN + 1];
    uint64_t start_us = rdg_mono_us(s->clock);
    begin_trace(req, &trace);
    rdg_trace_format(&trace, parent);
    (void)rdg_http_set_header(res, "traceparent", parent);
    if (!serve_mount(s, req, res)) {
        rdg_service_call_t call = {.service = s, .http = req, .remote = rdg_http_remote(req)};
        rdg_service_answer_t answer = {.status = 200};
        rdg_err_t err = run(s, req, &call, &answer);
        if (err != RDG_OK) {
            if (answer.has_file) close(answer.fd);
            answer.has_file = false;
            if (answer.stream) rdg_http_stream_end(answer.stream, rdg_bytes(NULL, 0));
            rdg_http_stream_unref(answer.stream);
            answer.stream = NULL;
            json_decref(answer.body);
            answer.status = answer.status == 405 ? 405 : rdg_service_status(err);
            answer.body = error_body(err, &trace);
            if (answer.status == 401) (void)rdg_http_set_header(res, "WWW-Authenticate", "Bearer");
            if (answer.status == 429) (void)rdg_http_set_header(res, "Retry-After", "1");
        } else if (!answer.body && !answer.has_file && !answer.stream && answer.status == 200) {
            answer.status = 204;
        }
        if (answer.stream)
            (void)rdg_http_send_stream(res, answer.content_type, answer.stream);
        else if (answer.has_file)
            (void)rdg_http_send_file(res, answer.content_type, answer.fd, answer.offset, answer.size);
        else
            write_answer(res, answer.status, answer.body);
        json_decref(answer.body);
        uint64_t us = rdg_mono_us(s->clock) - start_us;
        log_access(req, &call, &answer, err, us);
        rdg_metric_add(s->by_class[answer.status / 100 < 6 ? answer.status / 100 : 5], 1);
        rdg_metric_observe(s->latency, (double)us / 1000);
    }
    rdg_trace_set_current(NULL);
}

rdg_err_t rdg_service_start(rdg_service_t *s) {
    rdg_http_server_options_t o = {.host = s->host,
                                   .port = s->options.port,
                                   .max_body = s->options.max_body,
                                   .threads = threads_of(s),
                                   .io_threads = s->options.io_threads,
                                   .max_connections = s->options.max_connections,
                                   .intake = s->intake ? &mounted_intake : NULL};
    return rdg_http_server_start(&o, handle, s, &s->server);
}

uint16_t rdg_service_port(const rdg_service_t *s) {
    return s->server ? rdg_http_server_port(s->server) : 0;
}

void rdg_service_stop(rdg_service_t *s) {
    if (s->server) rdg_http_server_stop(s->server);
    s->server = NULL;
}
