/* How much a tenant may have of what is counted elsewhere. */
#include "access_internal.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *field, *thing;
} shares[RDG_SHARES] = {[RDG_SHARE_DEVICES] = {"devices", "devices"},
                        [RDG_SHARE_CHAINS] = {"chains", "chains"},
                        [RDG_SHARE_ROLLOUTS] = {"rollouts", "rollouts that have not ended"}};

/* --- the list in memory ------------------------------------------------------------------------------------------- */

/* Call with the lock held. NULL: it has none. */
static access_limits_t *find(rdg_access_t *a, const char *tenant) {
    for (size_t i = 0; i < a->limit_count; ++i)
        if (strcmp(a->limits[i].tenant, tenant) == 0) return &a->limits[i];
    return NULL;
}

/* Call with the lock held, or before anybody else is there. There is room for each tenant there may be. */
static void keep(rdg_access_t *a, const access_limits_t *l) {
    access_limits_t *place = find(a, l->tenant);
    if (!place && a->limit_count < RDG_ACCESS_TENANTS_MAX) place = &a->limits[a->limit_count++];
    if (place) *place = *l;
}

static access_limits_t limits_of(rdg_access_t *a, const char *tenant) {
    access_limits_t l = {.max = {ACCESS_NO_LIMIT, ACCESS_NO_LIMIT, ACCESS_NO_LIMIT}};
    pthread_mutex_lock(&a->lock);
    const access_limits_t *found = find(a, tenant);
    if (found) l = *found;
    pthread_mutex_unlock(&a->lock);
    snprintf(l.tenant, sizeof l.tenant, "%s", tenant);
    return l;
}

static rdg_err_t load_row(void *ctx, const rdg_sql_row_t *r) {
    access_limits_t l;
    snprintf(l.tenant, sizeof l.tenant, "%s", rdg_sql_row_text(r, 0));
    for (unsigned i = 0; i < RDG_SHARES; ++i) l.max[i] = rdg_sql_row_int(r, i + 1);
    keep(ctx, &l);
    return RDG_OK;
}

rdg_err_t access_limits_load(rdg_access_t *a) {
    return rdg_sql_query(
        a->db,
        "SELECT name, max_devices, max_chains, max_rollouts FROM tenants WHERE removed_ms IS "
        "NULL AND (max_devices >= 0 OR max_chains >= 0 OR max_rollouts >= 0)",
        NULL, 0, load_row, a);
}

/* --- whether there is room ------------------------------------------------------------------------------------------ */

void rdg_access_count(rdg_access_t *a, rdg_share_t share, rdg_share_count_t count, void *ctx) {
    a->counts[share].fn = count;
    a->counts[share].ctx = ctx;
}

rdg_err_t rdg_access_room(rdg_access_t *a, rdg_share_t share, const char *tenant) {
    uint64_t used = 0;
    if (!a || !a->counts[share].fn) return RDG_OK;
    const int64_t max = limits_of(a, tenant).max[share];
    if (max < 0) return RDG_OK;
    RDG_TRY(a->counts[share].fn(a->counts[share].ctx, share, tenant, &used));
    if (used < (uint64_t)max) return RDG_OK;
    return rdg_fail(RDG_E_FULL,
                    "tenant %s has %llu %s, and its limit is %lld: an administrator of the cloud raises it "
                    "with 'ridge tenant limit %s --%s NUMBER'",
                    tenant, (unsigned long long)used, shares[share].thing, (long long)max, tenant,
                    shares[share].field);
}

/* --- REST --------------------------------------------------------------------------------------------------------- */

rdg_err_t access_limits_describe(rdg_access_t *a, json_t *tenant) {
    const char *name = json_string_value(json_object_get(tenant, "name"));
    const access_limits_t l = limits_of(a, name);
    json_t *limits = json_object(), *used = json_object();
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; i < RDG_SHARES && err == RDG_OK; ++i) {
        uint64_t n = 0;
        json_object_set_new(limits, shares[i].field,
                            l.max[i] < 0 ? json_null() : json_integer((json_int_t)l.max[i]));
        if (!a->counts[i].fn) continue;
        err = a->counts[i].fn(a->counts[i].ctx, (rdg_share_t)i, name, &n);
        json_object_set_new(used, shares[i].field, json_integer((json_int_t)n));
    }
    const bool first = json_object_set_new(tenant, "limits", limits) == 0,
               second = json_object_set_new(tenant, "used", used) == 0;
    return first && second ? err : rdg_fail(RDG_E_NO_MEMORY, "no memory for tenants");
}

static rdg_err_t read_limit(const rdg_access_t *a, size_t share, const json_t *value, int64_t *out) {
    const json_int_t n = json_integer_value(value);
    if (!json_is_null(value) && (!json_is_integer(value) || n < 0 || n > RDG_SHARE_LIMIT_MAX))
        return rdg_fail(RDG_E_INVALID, "limits.%s: want 0 to %d, or null for none", shares[share].field,
                        RDG_SHARE_LIMIT_MAX);
    if (!json_is_null(value) && !a->counts[share].fn)
        return rdg_fail(
            RDG_E_INVALID,
            "limits.%s: this process has none of a tenant's %s: set it where they are (--services)",
            shares[share].field, shares[share].field);
    *out = json_is_null(value) ? ACCESS_NO_LIMIT : (int64_t)n;
    return RDG_OK;
}

static rdg_err_t read_change(const rdg_access_t *a, const json_t *body, access_limits_t *l) {
    const json_t *limits = json_object_get(body, "limits"), *value;
    size_t known = 0;
    if (!json_is_object(limits)) return rdg_fail(RDG_E_INVALID, "limits: want an object");
    for (size_t i = 0; i < RDG_SHARES; ++i) {
        if (!(value = json_object_get(limits, shares[i].field))) continue;
        RDG_TRY(read_limit(a, i, value, &l->max[i]));
        ++known;
    }
    if (known > 0 && known == json_object_size(limits)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID,
                    "limits: want one or more of devices, chains and rollouts, and nothing else");
}

/* Call with `changing` held. */
static rdg_err_t change(rdg_access_t *a, const char *tenant, const json_t *body) {
    RDG_TRY(rdg_access_tenant(a, tenant));
    access_limits_t l = limits_of(a, tenant);
    RDG_TRY(read_change(a, body, &l));
    RDG_TRY(rdg_sql_exec(
        a->db, "UPDATE tenants SET max_devices = ?, max_chains = ?, max_rollouts = ? WHERE name = ?",
        RDG_SQL_PARAMS(rdg_sql_int(l.max[RDG_SHARE_DEVICES]), rdg_sql_int(l.max[RDG_SHARE_CHAINS]),
                       rdg_sql_int(l.max[RDG_SHARE_ROLLOUTS]), rdg_sql_text(tenant)),
        NULL));
    pthread_mutex_lock(&a->lock);
    keep(a, &l);
    pthread_mutex_unlock(&a->lock);
    return RDG_OK;
}

rdg_err_t access_limits_change(rdg_access_t *a, const char *tenant, const json_t *body) {
    pthread_mutex_lock(&a->changing);
    rdg_err_t err = change(a, tenant, body);
    pthread_mutex_unlock(&a->changing);
    return err;
}
