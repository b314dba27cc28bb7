#include "access_internal.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

static const char *const roles[] = {
    [RDG_ROLE_READER] = "reader", [RDG_ROLE_OPERATOR] = "operator", [RDG_ROLE_ADMIN] = "admin"};

/* --- tokens -------------------------------------------------------------------------------------------------------- */

static json_t *describe(const access_token_t *t, int64_t now) {
    json_t *o = json_pack("{s:s, s:s, s:s?, s:s, s:s, s:I, s:I, s:s}", "id", t->id, "name", t->name, "tenant",
                          t->tenant[0] ? t->tenant : NULL, "role", roles[t->role], "state",
                          access_state(t, now), "created_ms", (json_int_t)t->created_ms, "expires_ms",
                          (json_int_t)t->expires_ms, "by", t->by);
    if (o && t->revoked_ms) json_object_set_new(o, "revoked_ms", json_integer((json_int_t)t->revoked_ms));
    if (o && t->used_ms) json_object_set_new(o, "used_ms", json_integer((json_int_t)t->used_ms));
    return o;
}

static rdg_err_t read_role(const char *text, rdg_role_t *out) {
    for (rdg_role_t r = RDG_ROLE_READER; r <= RDG_ROLE_ADMIN; ++r)
        if (strcmp(text, roles[r]) == 0) {
            *out = r;
            return RDG_OK;
        }
    return rdg_fail(RDG_E_INVALID, "role is '%.20s': want reader, operator or admin", text);
}

/* A name says who did something: none that the cloud's own callers have. */
static rdg_err_t read_name(const char *name, bool of_cloud, access_token_t *t) {
    static const char *const ours[] = {"admin", RDG_SERVICE_METRICS, "baas"};
    if (!rdg_name_valid(name) || strlen(name) > RDG_ACCESS_NAME_MAX)
        return rdg_fail(
            RDG_E_INVALID,
            "'%.40s' cannot be an access token's name: want 1 to %d of a-z, 0-9, '.', '_', '-', the "
            "first a letter or digit",
            name, RDG_ACCESS_NAME_MAX);
    for (size_t i = 0; of_cloud && i < sizeof ours / sizeof ours[0]; ++i)
        if (strcmp(name, ours[i]) == 0)
            return rdg_fail(RDG_E_EXISTS, "'%s' is a name of the cloud's own: choose another", name);
    snprintf(t->name, sizeof t->name, "%s", name);
    return RDG_OK;
}

static rdg_err_t read_wish(const rdg_access_t *a, const rdg_service_call_t *call, access_token_t *t) {
    const json_t *body;
    const char *name = NULL, *role = "operator", *tenant = NULL;
    uint64_t life_s = RDG_ACCESS_LIFE_S;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "name", &name));
    RDG_TRY(rdg_json_opt_str(body, "role", &role));
    RDG_TRY(rdg_json_opt_str(body, "tenant", &tenant));
    RDG_TRY(rdg_json_opt_u64(body, "expires_s", &life_s));
    if (life_s < 1 || life_s > RDG_ACCESS_LIFE_MAX_S)
        return rdg_fail(RDG_E_INVALID, "expires_s is %llu: want 1 to %llu seconds",
                        (unsigned long long)life_s, RDG_ACCESS_LIFE_MAX_S);
    RDG_TRY(read_role(role, &t->role));
    /* Without a tenant it is of the cloud, if its maker is. */
    if (tenant || call->tenant) RDG_TRY(rdg_service_new_tenant(call, t->tenant));
    RDG_TRY(read_name(name, !t->tenant[0], t));
    snprintf(t->by, sizeof t->by, "%s", call->caller);
    t->created_ms = access_now(a);
    t->expires_ms = t->created_ms + (int64_t)life_s * 1000;
    return RDG_OK;
}

static rdg_err_t create(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_access_t *a = ctx;
    access_token_t t = {0};
    char shown[ACCESS_SHOWN_MAX];
    RDG_TRY(read_wish(a, call, &t));
    RDG_TRY(access_make(a, &t, shown));
    rdg_log(RDG_LOG_WARN, "access.token_made", RDG_STR("token", t.id), RDG_STR("name", t.name),
            RDG_STR("tenant", t.tenant), RDG_STR("role", roles[t.role]), RDG_STR("by", t.by));
    json_t *o = describe(&t, t.created_ms);
    if (o) json_object_set_new(o, "token", json_string(shown));
    rdg_secure_zero(shown, sizeof shown);
    return rdg_service_reply(answer, 201, o);
}

typedef struct listing {
    json_t *list;
    int64_t now;
} listing_t;

static void list_one(void *ctx, const access_token_t *t) {
    listing_t *l = ctx;
    json_array_append_new(l->list, describe(t, l->now));
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    listing_t l = {json_array(), access_now(ctx)};
    access_each(ctx, call->tenant, list_one, &l);
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "tokens", l.list));
}

static rdg_err_t absent(const char *id) {
    return rdg_fail(RDG_E_NOT_FOUND, "access token '%.32s' does not exist: see ridge token list", id);
}

static rdg_err_t own_token(void *ctx, const char *tenant, const char *id) {
    access_token_t t;
    return access_find(ctx, tenant, id, &t) ? RDG_OK : absent(id);
}

static rdg_err_t revoke(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_access_t *a = ctx;
    const char *id = rdg_service_arg(call, "id");
    access_token_t t;
    if (!access_find(a, call->tenant, id, &t)) return absent(id);
    RDG_TRY(access_revoke(a, id, call->caller));
    rdg_log(RDG_LOG_WARN, "access.token_revoked", RDG_STR("token", id), RDG_STR("name", t.name),
            RDG_STR("tenant", t.tenant), RDG_STR("by", call->caller));
    return access_find(a, call->tenant, id, &t) ? rdg_service_reply(answer, 200, describe(&t, access_now(a)))
                                                : absent(id);
}

/* --- tenants ------------------------------------------------------------------------------------------------------- */

/* Also the first part of the names of its image repositories. */
static bool tenant_name_valid(const char *name) {
    size_t len = strlen(name);
    return len >= 1 && len <= RDG_TENANT_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && name[0] != '-' &&
           name[len - 1] != '-';
}

static rdg_err_t create_tenant(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const json_t *body;
    const char *name;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "name", &name));
    if (!tenant_name_valid(name))
        return rdg_fail(
            RDG_E_INVALID,
            "'%.40s' cannot be a tenant's name: want 1 to %d of a-z, 0-9 and '-', which is neither "
            "first nor last",
            name, RDG_TENANT_MAX);
    RDG_TRY(access_add_tenant(ctx, name, call->caller));
    rdg_log(RDG_LOG_WARN, "access.tenant_made", RDG_STR("tenant", name), RDG_STR("by", call->caller));
    return rdg_service_reply(answer, 201, json_pack("{s:s}", "name", name));
}

static rdg_err_t tenant_row(void *ctx, const rdg_sql_row_t *r) {
    return json_array_append_new(ctx, json_pack("{s:s, s:I, s:s?}", "name", rdg_sql_row_text(r, 0),
                                                "created_ms", (json_int_t)rdg_sql_row_int(r, 1), "by",
                                                rdg_sql_row_text(r, 2))) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for tenants");
}

/* Of another the same is told as of one that is not there. */
static rdg_err_t own_tenant(void *ctx, const char *tenant, const char *name) {
    (void)ctx;
    return strcmp(tenant, name) == 0 ? RDG_OK
                                     : rdg_fail(RDG_E_NOT_FOUND, "tenant '%.32s' does not exist", name);
}

/* name NULL: all. *out is owned. */
static rdg_err_t describe_tenants(rdg_access_t *a, const char *name, json_t **out) {
    json_t *all = json_array(), *one;
    size_t i;
    rdg_err_t err = access_tenants(a, name, tenant_row, all);
    json_array_foreach(all, i, one) if (err == RDG_OK) err = access_limits_describe(a, one);
    if (err != RDG_OK) json_decref(all), all = NULL;
    *out = all;
    return err;
}

static rdg_err_t list_tenants(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    json_t *all;
    (void)call;
    RDG_TRY(describe_tenants(ctx, NULL, &all));
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "tenants", all));
}

static rdg_err_t show_tenant(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *name = rdg_service_arg(call, "name");
    json_t *all;
    RDG_TRY(rdg_access_tenant(ctx, name));
    RDG_TRY(describe_tenants(ctx, name, &all));
    json_t *one = json_incref(json_array_get(all, 0));
    json_decref(all);
    /* Who runs the cloud is nothing to its tenants. */
    if (call->tenant) json_object_set_new(one, "by", json_null());
    return rdg_service_reply(answer, 200, one);
}

static rdg_err_t change_tenant(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *name = rdg_service_arg(call, "name");
    const json_t *body;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(access_limits_change(ctx, name, body));
    rdg_log(RDG_LOG_WARN, "access.tenant_limited", RDG_STR("tenant", name), RDG_STR("by", call->caller));
    return show_tenant(ctx, call, answer);
}

static rdg_err_t drop_tenant(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *name = rdg_service_arg(call, "name");
    (void)answer;
    RDG_TRY(access_remove_tenant(ctx, name, call->caller));
    rdg_log(RDG_LOG_WARN, "access.tenant_removed", RDG_STR("tenant", name), RDG_STR("by", call->caller));
    return RDG_OK;
}

static const rdg_service_route_t routes[] = {
    {"POST", "/api/v1/tokens", RDG_ROUTE_TENANT | RDG_ROUTE_ADMIN, create},
    {"GET", "/api/v1/tokens", RDG_ROUTE_TENANT | RDG_ROUTE_ADMIN, list},
    {"POST", "/api/v1/tokens/{id}/revoke", RDG_ROUTE_OWNED | RDG_ROUTE_ADMIN, revoke},
    {"POST", "/api/v1/tenants", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, create_tenant},
    {"GET", "/api/v1/tenants", RDG_ROUTE_CLOUD, list_tenants},
    {"GET", "/api/v1/tenants/{name}", RDG_ROUTE_OWNED, show_tenant},
    {"PATCH", "/api/v1/tenants/{name}", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, change_tenant},
    {"DELETE", "/api/v1/tenants/{name}", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, drop_tenant},
};

rdg_err_t rdg_access_routes(rdg_access_t *a, rdg_service_t *service) {
    rdg_service_set_access(service, a);
    RDG_TRY(rdg_service_owner(service, "tokens", own_token, a));
    RDG_TRY(rdg_service_owner(service, "tenants", own_tenant, a));
    return rdg_service_add(service, routes, sizeof routes / sizeof routes[0], a);
}
