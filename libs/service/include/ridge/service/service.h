/* The kit of a REST service: routes, bearer tokens, rate limit, errors, traces, access log, metrics, health.
 *
 * What it does: one HTTP listener whose requests reach handlers by method and pattern. A handler gets decoded
 * path parameters and a parsed JSON body, and gives a JSON answer, a range of a file, or an error code.
 * What it does not: it keeps no user or session; who a token belongs to is told by rdg_service_allow.
 *
 * Invariants
 * 1. An error answer is always {"error":{"code","message","trace"}}, with the status of rdg_service_status.
 * 2. A route without RDG_ROUTE_PUBLIC runs only for a known bearer token. Of a token only its SM3 is kept,
 * and digests are compared in constant time. Missing, unknown, expired and revoked ones are each told as that (401).
 * 2a. What a route belongs to is declared in its flags, and enforced here, before its handler: a route that declares
 * nothing is for the cloud's administrators alone. A caller of a tenant gets 403 where nothing is a tenant's, and what
 * is another's it is told of exactly as of what does not exist (404).
 * 3. Every request has a trace: the caller's traceparent continued, or a new one. It is the thread's current
 *    trace while the handler runs and goes back in the `traceparent` header.
 * 4. The served text of a failure is that thread's error text (base/error.h), so it holds no secret.
 * 5. Who tries tokens that nobody has is let try slowly (20, then one in 3 s), by address: beyond it everything from
 *    there is 429, but for callers who were let in from there before.
 * 6. A handler that waits gives up when its caller's token ends (rdg_service_ended), and what a GET has found by then is
 *    not told (401).
 *
 * Limits: body max_body (TOO_LARGE), RDG_SERVICE_PARAMS_MAX parameters of at most 255 bytes,
 * RDG_SERVICE_TOKENS_MAX tokens, RDG_SERVICE_ROUTES_MAX routes; a caller (token, or address on a public
 * route) beyond its rate gets BUSY (429), and so does a tenant whose callers together are beyond twice that rate, or
 * have half of all handlers already. The tables of rates and guesses have a fixed size.
 *
 * Threads: routes, mounts and tokens before start; handlers run on several threads at once and may block for
 * a bounded time. */
#ifndef RIDGE_SERVICE_SERVICE_H
#define RIDGE_SERVICE_SERVICE_H
#include "ridge/base/clock.h"
#include "ridge/base/metrics.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/hash.h"
#include "ridge/net/http_server.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_SERVICE_PARAMS_MAX 4
#define RDG_SERVICE_PARAM_BYTES 256
#define RDG_SERVICE_TOKENS_MAX 16
#define RDG_SERVICE_ROUTES_MAX 256
#define RDG_SERVICE_OWNERS_MAX 24
#define RDG_SERVICE_LOOK_MS 1000u
#define RDG_SERVICE_TENANT_WAITS 4
#define RDG_CALLER_MAX 63 /* bytes of a caller's name: "admin", or "TENANT/NAME" of a tenant's token */
#define RDG_TENANT_MAX 32
/* Whose everything is that nobody has given to another tenant. */
#define RDG_TENANT_DEFAULT "default"

typedef struct rdg_service rdg_service_t;
typedef struct rdg_access rdg_access_t; /* access.h */

/* Each may do what those before it may. */
typedef enum rdg_role {
    RDG_ROLE_NONE,
    RDG_ROLE_METRICS,  /* routes with RDG_ROUTE_METRICS, no others */
    RDG_ROLE_READER,   /* looks */
    RDG_ROLE_OPERATOR, /* and changes */
    RDG_ROLE_ADMIN,    /* and says who may */
} rdg_role_t;

typedef struct rdg_caller {
    char name[RDG_CALLER_MAX + 1];
    char tenant[RDG_TENANT_MAX + 1]; /* "": the cloud's own, which sees all */
    rdg_role_t role;
    bool ends; /* by a token that expires and can be revoked */
} rdg_caller_t;

typedef struct rdg_service_options {
    const char *host;         /* NULL: 127.0.0.1 */
    uint16_t port;            /* 0: the system chooses */
    size_t max_body;          /* 0: 1 MiB */
    unsigned max_connections; /* 0: 256 */
    unsigned threads;       /* handlers at once; 0: 32. A handler that calls its own service can starve it */
    unsigned io_threads;    /* 0: 1 */
    unsigned rate_per_s;    /* per caller; 0: 500 */
    unsigned rate_burst;    /* 0: 1,000 */
    rdg_metrics_t *metrics; /* borrowed; served at /metrics; NULL: no /metrics */
    const rdg_clock_t *clock; /* NULL: the system's */
} rdg_service_options_t;

typedef struct rdg_service_param {
    const char *name;
    char value[RDG_SERVICE_PARAM_BYTES];
} rdg_service_param_t;

typedef struct rdg_service_call {
    const char *caller; /* whose token it is; NULL on a public route */
    const char
        *tenant; /* what the caller may see is this tenant's; NULL: the cloud's own caller, who sees all */
    rdg_role_t role;
    rdg_caller_t who;       /* what these point into */
    rdg_access_t *access;   /* borrowed; NULL: there are no tenants here */
    rdg_service_t *service; /* borrowed; for rdg_service_wait_begin */
    const char *remote;     /* address of the client */
    const json_t *body;     /* the parsed object; NULL when there was no body */
    const rdg_http_request_t *http;
    size_t param_count;
    rdg_service_param_t params[RDG_SERVICE_PARAMS_MAX];
} rdg_service_call_t;

typedef struct rdg_service_answer {
    unsigned status; /* 200 unless the handler says otherwise */
    bool quiet;      /* a refusal that the log tells of once (rdg_service_judge), and not each time */
    json_t *body;    /* owned by the answer; NULL: no content */
    bool has_file;   /* rdg_service_reply_file: bytes in place of body */
    int fd;          /* owned by the answer */
    uint64_t offset, size;
    const char *content_type;
    rdg_http_stream_t *stream; /* rdg_service_reply_stream: a reference, owned by the answer */
} rdg_service_answer_t;

/* An error return makes the error answer; what was put into answer->body is then dropped. */
typedef rdg_err_t (*rdg_service_handler_t)(void *ctx, const rdg_service_call_t *call,
                                           rdg_service_answer_t *answer);

/* What a route belongs to. Without one of the first five it is for the cloud's administrators alone. */
#define RDG_ROUTE_PUBLIC 1u  /* no token needed */
#define RDG_ROUTE_METRICS 2u /* RDG_SERVICE_METRICS may ask, and the cloud's callers */
#define RDG_ROUTE_CLOUD 4u   /* the cloud's: its own callers, by their roles */
#define RDG_ROUTE_TENANT 8u  /* callers of a tenant, too: the handler keeps to call->tenant */
#define RDG_ROUTE_OWNED                                                                                      \
    16u /* the same, and the first parameter names what rdg_service_owner tells the tenant of */
/* Who may: readers GET, operators all else, unless one of these says otherwise. */
#define RDG_ROUTE_READ 32u  /* readers, though it is no GET: it changes nothing */
#define RDG_ROUTE_ADMIN 64u /* administrators alone */
/* A caller of this name may do nothing else: its token goes to where metrics are gathered. */
#define RDG_SERVICE_METRICS "metrics"

typedef struct rdg_service_route {
    const char *method;  /* "GET" */
    const char *pattern; /* "/api/v1/devices/{name}": a parameter is one whole path segment */
    unsigned flags;
    rdg_service_handler_t handler;
} rdg_service_route_t;

/* options: its strings are copied. Adds GET /api/v1/health and, with metrics, GET /metrics (both public). */
rdg_err_t rdg_service_new(const rdg_service_options_t *options, rdg_service_t **out);
void rdg_service_free(rdg_service_t *s); /* stops it when running */
/* routes and ctx are borrowed for the life of the service. FULL. */
rdg_err_t rdg_service_add(rdg_service_t *s, const rdg_service_route_t *routes, size_t count, void *ctx);
/* Every path that is prefix or starts with prefix and '/' goes to the handler as it is, without
 * authentication and JSON: for protocols with rules of their own (/v2 of OCI). At most 4. prefix is borrowed.
 */
rdg_err_t rdg_service_mount(rdg_service_t *s, const char *prefix, rdg_http_handler_t handler, void *ctx);
/* The same, and the handler takes bodies in pieces (rdg_http_intake_t); for one mount. intake is borrowed. */
rdg_err_t rdg_service_mount_intake(rdg_service_t *s, const char *prefix, rdg_http_handler_t handler,
                                   const rdg_http_intake_t *intake, void *ctx);
/* Administrators of the cloud, without an expiry (RDG_SERVICE_METRICS: role METRICS). Keeps the token's SM3 only. */
rdg_err_t rdg_service_allow(rdg_service_t *s, const char *caller, const char *token);
rdg_err_t rdg_service_allow_digest(rdg_service_t *s, const char *caller, const rdg_hash_t *token_digest);
/* Tokens that expire, and tenants; before start. Borrowed for the life of the service. */
void rdg_service_set_access(rdg_service_t *s, rdg_access_t *access);
rdg_access_t *rdg_service_access(const rdg_service_t *s); /* may be NULL */
/* RDG_OK: `id` is this tenant's. Else the error that tells that there is no such thing, the same for both cases. */
typedef rdg_err_t (*rdg_service_owner_t)(void *ctx, const char *tenant, const char *id);
/* Who tells the owners of things, for routes with RDG_ROUTE_OWNED whose pattern begins "/api/v1/<things>/{". Without one
 * they are closed to tenants. things and ctx are borrowed. FULL. */
rdg_err_t rdg_service_owner(rdg_service_t *s, const char *things, rdg_service_owner_t own, void *ctx);
/* Whose token it is that came by another way than the Authorization header: for mounts. UNAUTHENTICATED tells why not;
 * out->name is then "", or whose it was that has ended. */
rdg_err_t rdg_service_caller_of(const rdg_service_t *s, const char *token, rdg_caller_t *out);
/* The same by a name that was let in before: whether it still may, and what. */
bool rdg_service_caller_named(const rdg_service_t *s, const char *name, rdg_caller_t *out);
/* For mounts and public routes, after each credential from `remote` was looked at. who: whose it is; NULL: nobody's (not for
 * one that has ended). BUSY: that address has guessed too much, and is told nothing else. */
rdg_err_t rdg_service_judge(rdg_service_t *s, const char *remote, const char *who);
/* Whether the caller's token has ended since the request came: handlers that wait ask every RDG_SERVICE_LOOK_MS. */
bool rdg_service_ended(const rdg_service_call_t *call);
/* Around waiting for news. False: RDG_SERVICE_TENANT_WAITS requests of the caller's tenant wait already, so this one should
 * not for long. */
bool rdg_service_wait_begin(const rdg_service_call_t *call);
void rdg_service_wait_end(const rdg_service_call_t *call, bool begun);
/* Whose a new thing is: the caller's tenant; for the cloud's callers that of the body's field "tenant", or else
 * RDG_TENANT_DEFAULT. FORBIDDEN: another tenant's; NOT_FOUND: there is none of this name. */
rdg_err_t rdg_service_new_tenant(const rdg_service_call_t *call, char out[RDG_TENANT_MAX + 1]);
rdg_err_t rdg_service_start(rdg_service_t *s); /* PORT_IN_USE */
uint16_t rdg_service_port(const rdg_service_t *s);
void rdg_service_stop(rdg_service_t *s); /* waits for running handlers: wake those that wait first */

/* Route number i, or NULL past the last: for the check against the OpenAPI file. */
const rdg_service_route_t *rdg_service_route(const rdg_service_t *s, size_t i);

const char *rdg_service_arg(const rdg_service_call_t *call,
                            const char *name); /* path parameter; "" if absent */
/* A number in the query; *out stays when absent. INVALID names the parameter and the bounds. */
rdg_err_t rdg_service_query_u64(const rdg_service_call_t *call, const char *name, uint64_t min, uint64_t max,
                                uint64_t *out);
/* The body, which must be there. INVALID says that a JSON object is wanted. */
rdg_err_t rdg_service_body(const rdg_service_call_t *call, const json_t **out);
/* status and body in one; NO_MEMORY when body is NULL. Takes body. */
rdg_err_t rdg_service_reply(rdg_service_answer_t *answer, unsigned status, json_t *body);
/* 200 with a range of a file as it is. Takes fd; content_type is borrowed for good. */
rdg_err_t rdg_service_reply_file(rdg_service_answer_t *answer, const char *content_type, int fd,
                                 uint64_t offset, uint64_t size);
/* 200 with what is written to the stream (http_server.h). Takes a reference; content_type is borrowed for good. */
rdg_err_t rdg_service_reply_stream(rdg_service_answer_t *answer, const char *content_type,
                                   rdg_http_stream_t *s);
unsigned rdg_service_status(rdg_err_t code);

#ifdef __cplusplus
}
#endif
#endif
