#include "guard.h"
#include "ridge/service/access.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ROOT "/api/v1/"

rdg_err_t rdg_guard_identify_token(const rdg_guard_t *g, const char *token, bool metrics, rdg_caller_t *out) {
    const char *name = rdg_tokens_find(&g->tokens, token);
    memset(out, 0, sizeof *out);
    if (name) {
        snprintf(out->name, sizeof out->name, "%s", name);
        out->role = strcmp(name, RDG_SERVICE_METRICS) == 0 ? RDG_ROLE_METRICS : RDG_ROLE_ADMIN;
    } else if (g->access) {
        RDG_TRY(rdg_access_check(g->access, token, out));
    } else {
        return rdg_fail(RDG_E_UNAUTHENTICATED,
                        "this access token is not known here: the administrator's is in admin.token in the "
                        "cloud's data directory");
    }
    if (out->role > RDG_ROLE_METRICS || metrics) return RDG_OK;
    return rdg_fail(RDG_E_UNAUTHENTICATED, "this access token is for GET " ROOT "metrics alone");
}

const char *rdg_guard_token(const char *authorization) {
    static const char scheme[] = "Bearer ";
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) return NULL;
    return authorization[sizeof scheme - 1] ? authorization + sizeof scheme - 1 : NULL;
}

rdg_err_t rdg_guard_identify(const rdg_guard_t *g, const char *authorization, bool metrics,
                             rdg_caller_t *out) {
    const char *token = rdg_guard_token(authorization);
    memset(out, 0, sizeof *out);
    if (token) return rdg_guard_identify_token(g, token, metrics, out);
    return rdg_fail(
        RDG_E_UNAUTHENTICATED,
        "no access token: send 'Authorization: Bearer <token>'; 'ridge token new' makes one, and the "
        "administrator's is in admin.token in the cloud's data directory");
}

/* A tenant's caller and what the first parameter names. */
static rdg_err_t check_owner(const rdg_guard_t *g, const rdg_service_route_t *route,
                             const rdg_service_call_t *call) {
    const char *things = route->pattern + sizeof ROOT - 1;
    size_t len = strcspn(things, "/");
    for (size_t i = 0; call->param_count > 0 && i < g->owner_count; ++i)
        if (strlen(g->owners[i].things) == len && memcmp(g->owners[i].things, things, len) == 0)
            return g->owners[i].own(g->owners[i].ctx, call->tenant, call->params[0].value);
    return rdg_fail(RDG_E_FORBIDDEN, "%s %s is not for tenants", route->method, route->pattern);
}

static rdg_role_t wanted_role(const rdg_service_route_t *route) {
    const unsigned declared = RDG_ROUTE_METRICS | RDG_ROUTE_CLOUD | RDG_ROUTE_TENANT | RDG_ROUTE_OWNED;
    if (!(route->flags & declared) || (route->flags & RDG_ROUTE_ADMIN)) return RDG_ROLE_ADMIN;
    if (route->flags & RDG_ROUTE_METRICS) return RDG_ROLE_METRICS;
    bool reads = strcmp(route->method, "GET") == 0 || (route->flags & RDG_ROUTE_READ);
    return reads ? RDG_ROLE_READER : RDG_ROLE_OPERATOR;
}

rdg_err_t rdg_guard_admit(const rdg_guard_t *g, const rdg_service_route_t *route,
                          const rdg_service_call_t *call) {
    const bool tenants = (route->flags & (RDG_ROUTE_TENANT | RDG_ROUTE_OWNED)) != 0;
    const rdg_role_t wanted = wanted_role(route);
    if (call->tenant && !tenants)
        return rdg_fail(RDG_E_FORBIDDEN,
                        "%s %s is the cloud's: it takes a token of the cloud, and '%s' is of tenant %s",
                        route->method, route->pattern, call->caller, call->tenant);
    if (call->role < wanted)
        return rdg_fail(RDG_E_FORBIDDEN, "%s %s takes a token of role %s, and '%s' is %s", route->method,
                        route->pattern, wanted == RDG_ROLE_ADMIN ? "admin" : "operator or admin",
                        call->caller, call->role == RDG_ROLE_OPERATOR ? "an operator's" : "a reader's");
    return call->tenant && (route->flags & RDG_ROUTE_OWNED) ? check_owner(g, route, call) : RDG_OK;
}
