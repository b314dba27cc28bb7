#include "enrolment.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

/* --- old hardware -------------------------------------------------------------------------------------- */

static rdg_err_t retire_key(rdg_platform_t *p, const char *device) {
    rdg_sql_value_t now = rdg_sql_int((int64_t)platform_now()), name = rdg_sql_text(device);
    RDG_TRY(rdg_sql_exec(p->db,
                         "INSERT INTO retired_keys (public_key, device, retired_ms)"
                         " SELECT public_key, name, ? FROM devices WHERE name = ?"
                         " ON CONFLICT (public_key) DO NOTHING",
                         RDG_SQL_PARAMS(now, name), NULL));
    return rdg_sql_exec(p->db, "UPDATE devices SET revoked_ms = COALESCE(revoked_ms, ?) WHERE name = ?",
                        RDG_SQL_PARAMS(now, name), NULL);
}

/* What is stored is stored: certificates follow, again at the next start if a crash comes in between. */
static rdg_err_t shut_out(rdg_platform_t *p, const char *device, rdg_crl_reason_t reason) {
    RDG_TRY(ca_revoke_device(p->ca, device, reason));
    identity_revoked(p, device);
    platform_kick(p); /* the list goes out at once */
    return RDG_OK;
}

rdg_err_t replace_retire(rdg_platform_t *p, const char *device) {
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = retire_key(p, device);
    if (err == RDG_OK) err = rdg_sql_commit(p->db);
    if (err != RDG_OK) {
        rdg_sql_rollback(p->db);
        return err;
    }
    return shut_out(p, device, RDG_CRL_SUPERSEDED);
}

static rdg_err_t name_row(void *ctx, const rdg_sql_row_t *r) {
    return json_array_append_new(ctx, json_string(rdg_sql_row_text(r, 0))) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
}

rdg_err_t replace_finish(rdg_platform_t *p) {
    json_t *names = json_array(), *name;
    size_t i;
    rdg_err_t err = rdg_sql_query(p->db, "SELECT name FROM devices WHERE revoked_ms IS NOT NULL", NULL, 0,
                                  name_row, names);
    json_array_foreach(names, i, name) {
        if (err == RDG_OK) err = ca_revoke_device(p->ca, json_string_value(name), RDG_CRL_SUPERSEDED);
    }
    json_decref(names);
    return err;
}

/* --- REST -------------------------------------------------------------------------------------------------- */

static rdg_err_t store_replacement(rdg_platform_t *p, const token_order_t *order, bool at_once,
                                   char shown[ENROLMENT_TOKEN_MAX], char id[17]) {
    RDG_TRY(token_end_replacements(p, order->bound));
    RDG_TRY(token_make(p, order, shown, id));
    return at_once ? retire_key(p, order->bound) : RDG_OK;
}

/* Chains that the old hardware last said it runs. Owned. */
static json_t *chains_of(rdg_platform_t *p, const char *device) {
    json_t *names = json_array(), *about = devices_describe(p, device), *chain;
    size_t i;
    json_array_foreach(json_object_get(about, "chains"), i, chain) {
        json_t *name = json_object_get(chain, "chain");
        if (name) json_array_append(names, name);
    }
    json_decref(about);
    return names;
}

static rdg_err_t read_order(const rdg_service_call_t *call, token_order_t *order, bool *at_once) {
    uint64_t ttl_s = 7 * 86400;
    *at_once = true;
    if (call->body) {
        RDG_TRY(rdg_json_opt_u64(call->body, "ttl_s", &ttl_s));
        RDG_TRY(rdg_json_opt_bool(call->body, "at_once", at_once));
        RDG_TRY(rdg_json_opt_bool(call->body, "approve", &order->approve));
    }
    if (ttl_s < 1 || ttl_s > ENROLMENT_TTL_MAX_S)
        return rdg_fail(RDG_E_INVALID, "ttl_s is %llu: want 1 to %llu seconds", (unsigned long long)ttl_s,
                        ENROLMENT_TTL_MAX_S);
    order->expires_ms = platform_now() + ttl_s * 1000;
    return RDG_OK;
}

static rdg_err_t tenant_row(void *ctx, const rdg_sql_row_t *r) {
    snprintf(ctx, RDG_TENANT_MAX + 1, "%s", rdg_sql_row_text(r, 0));
    return RDG_OK;
}

static rdg_err_t replace(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const char *name = rdg_service_arg(call, "name");
    char tenant[RDG_TENANT_MAX + 1] = "";
    token_order_t order = {.uses = 1, .bound = name, .by = call->caller, .tenant = tenant, .replaces = true};
    char shown[ENROLMENT_TOKEN_MAX], id[17];
    bool at_once;
    RDG_TRY(read_order(call, &order, &at_once));
    if (!devices_known(p, name)) return devices_absent(name);
    RDG_TRY(rdg_sql_query(p->db, "SELECT tenant FROM devices WHERE name = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(name)), tenant_row, tenant));
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = store_replacement(p, &order, at_once, shown, id);
    if (err == RDG_OK) err = rdg_sql_commit(p->db);
    if (err != RDG_OK) {
        rdg_sql_rollback(p->db);
        return err;
    }
    json_t *chains = chains_of(p, name);
    if (at_once) err = shut_out(p, name, RDG_CRL_SUPERSEDED);
    rdg_log(RDG_LOG_WARN, "device.replaced", RDG_STR("device", name), RDG_BOOL("at_once", at_once),
            RDG_STR("by", call->caller ? call->caller : ""));
    if (err != RDG_OK) {
        json_decref(chains);
        return err;
    }
    err = rdg_service_reply(answer, 201,
                            json_pack("{s:s, s:s, s:s, s:I, s:b, s:o}", "device", name, "token", shown, "id",
                                      id, "expires_ms", (json_int_t)order.expires_ms, "at_once", at_once,
                                      "chains", chains));
    rdg_secure_zero(shown, sizeof shown);
    return err;
}

static rdg_err_t revoke(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const char *name = rdg_service_arg(call, "name"), *why = "unspecified";
    rdg_crl_reason_t reason;
    if (call->body) RDG_TRY(rdg_json_opt_str(call->body, "reason", &why));
    RDG_TRY(rdg_crl_reason_parse(why, &reason));
    if (!devices_known(p, name)) return devices_absent(name);
    RDG_TRY(rdg_sql_exec(p->db, "UPDATE devices SET revoked_ms = COALESCE(revoked_ms, ?) WHERE name = ?",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now()), rdg_sql_text(name)), NULL));
    RDG_TRY(shut_out(p, name, reason));
    rdg_log(RDG_LOG_WARN, "device.revoked", RDG_STR("device", name), RDG_STR("reason", why),
            RDG_STR("by", call->caller ? call->caller : ""));
    json_t *device = devices_describe(p, name);
    return device ? rdg_service_reply(answer, 200, device) : devices_absent(name);
}

const rdg_service_route_t replace_routes[] = {
    {"POST", "/api/v1/devices/{name}/replace", RDG_ROUTE_OWNED, replace},
    {"POST", "/api/v1/devices/{name}/revoke", RDG_ROUTE_OWNED, revoke},
};
const size_t replace_route_count = sizeof replace_routes / sizeof replace_routes[0];
