#include "groups.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"
#include "ridge/base/log.h"

#define LOCATION_MAX 256
#define VALUE_MAX 64

/* --- what may be said --------------------------------------------------------------------------------- */

static bool value_valid(const char *v) {
    size_t len = strlen(v);
    return len <= VALUE_MAX &&
           strspn(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-") == len;
}

static rdg_err_t check_label(const char *key, const json_t *value) {
    if (!rdg_name_valid(key))
        return rdg_fail(RDG_E_INVALID, "label '%.64s': want a key of 1 to 64 of [a-z0-9._-]", key);
    if (json_is_null(value)) return RDG_OK;
    if (!json_is_string(value) || !value_valid(json_string_value(value)))
        return rdg_fail(RDG_E_INVALID, "label '%s': want a value of at most %d of [A-Za-z0-9._:/-]", key,
                        VALUE_MAX);
    return RDG_OK;
}

static rdg_err_t check_labels(const json_t *labels, size_t max) {
    const char *key;
    const json_t *value;
    if (!labels) return RDG_OK;
    if (!json_is_object(labels) || json_object_size(labels) > max)
        return rdg_fail(RDG_E_INVALID, "labels: want an object of at most %zu texts", max);
    json_object_foreach((json_t *)(uintptr_t)labels, key, value) RDG_TRY(check_label(key, value));
    return RDG_OK;
}

static rdg_err_t check_name(const json_t *o, const char *field) {
    const json_t *v = json_object_get(o, field);
    if (!v || json_is_null(v) || (json_is_string(v) && rdg_name_valid(json_string_value(v)))) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "%s: want 1 to 64 of [a-z0-9._-], first a letter or digit", field);
}

rdg_err_t groups_check(const json_t *change) {
    const json_t *location = json_object_get(change, "location");
    RDG_TRY(check_labels(json_object_get(change, "labels"), GROUPS_LABELS_MAX));
    RDG_TRY(check_name(change, "group"));
    RDG_TRY(check_name(change, "site"));
    if (location && !json_is_null(location) && !json_is_string(location))
        return rdg_fail(RDG_E_INVALID, "location: want a text");
    if (json_is_string(location) && json_string_length(location) > LOCATION_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "location has more than %d bytes", LOCATION_MAX);
    return RDG_OK;
}

rdg_err_t groups_read_labels(const char *text, json_t **out) {
    json_t *labels = json_object();
    rdg_err_t err = labels ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for labels");
    for (const char *p = text; err == RDG_OK && *p;) {
        char key[65];
        size_t len = strcspn(p, ","), k = strcspn(p, "=,");
        if (p[k] != '=' || k >= sizeof key) {
            err = rdg_fail(RDG_E_INVALID, "label: want key=value, several with commas between");
            break;
        }
        snprintf(key, sizeof key, "%.*s", (int)k, p);
        json_object_set_new(labels, key, json_stringn(p + k + 1, len - k - 1));
        p += len + (p[len] == ',');
    }
    if (err == RDG_OK) err = check_labels(labels, GROUPS_FILTER_LABELS);
    if (err != RDG_OK) {
        json_decref(labels);
        return err;
    }
    *out = labels;
    return RDG_OK;
}

/* --- the store ------------------------------------------------------------------------------------------ */

static rdg_err_t store_text(rdg_platform_t *p, const char *device, const char *column, const json_t *value) {
    char sql[96];
    if (!value) return RDG_OK;
    snprintf(sql, sizeof sql, "UPDATE devices SET %s = ? WHERE name = ?", column);
    return rdg_sql_exec(p->db, sql,
                        RDG_SQL_PARAMS(rdg_sql_text(json_string_value(value)), rdg_sql_text(device)), NULL);
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t groups_store(rdg_platform_t *p, const char *device, const json_t *change) {
    const char *key;
    json_t *value;
    int64_t count = 0;
    RDG_TRY(groups_check(change));
    RDG_TRY(store_text(p, device, "group_name", json_object_get(change, "group")));
    RDG_TRY(store_text(p, device, "site", json_object_get(change, "site")));
    RDG_TRY(store_text(p, device, "location", json_object_get(change, "location")));
    json_object_foreach(json_object_get(change, "labels"), key, value) {
        if (json_is_null(value))
            RDG_TRY(rdg_sql_exec(p->db, "DELETE FROM device_labels WHERE device = ? AND key = ?",
                                 RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(key)), NULL));
        else
            RDG_TRY(rdg_sql_exec(p->db,
                                 "INSERT INTO device_labels (device, key, value) VALUES (?, ?, ?)"
                                 " ON CONFLICT (device, key) DO UPDATE SET value = excluded.value",
                                 RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(key),
                                                rdg_sql_text(json_string_value(value))),
                                 NULL));
    }
    RDG_TRY(rdg_sql_query(p->db, "SELECT COUNT(*) FROM device_labels WHERE device = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(device)), int_row, &count));
    return count <= GROUPS_LABELS_MAX ? RDG_OK
                                      : rdg_fail(RDG_E_FULL, "device '%s' would have %lld labels: at most %d",
                                                 device, (long long)count, GROUPS_LABELS_MAX);
}

rdg_err_t groups_forget(rdg_platform_t *p, const char *device) {
    return rdg_sql_exec(p->db, "DELETE FROM device_labels WHERE device = ?",
                        RDG_SQL_PARAMS(rdg_sql_text(device)), NULL);
}

/* --- memory ----------------------------------------------------------------------------------------------- */

/* Columns: device, group, site, location. */
static rdg_err_t about_row(void *ctx, const rdg_sql_row_t *r) {
    rdg_platform_t *p = ctx;
    json_t *about = json_pack("{s:s?, s:s?, s:s?, s:{}}", "group", rdg_sql_row_text(r, 1), "site",
                              rdg_sql_row_text(r, 2), "location", rdg_sql_row_text(r, 3), "labels");
    if (!about) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, rdg_sql_row_text(r, 0));
    if (d) {
        json_t *old = d->about;
        d->about = about;
        about = old;
    }
    pthread_mutex_unlock(&p->lock);
    json_decref(about);
    return RDG_OK;
}

static rdg_err_t label_row(void *ctx, const rdg_sql_row_t *r) {
    rdg_platform_t *p = ctx;
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, rdg_sql_row_text(r, 0));
    if (d)
        json_object_set_new(json_object_get(d->about, "labels"), rdg_sql_row_text(r, 1),
                            json_string(rdg_sql_row_text(r, 2)));
    pthread_mutex_unlock(&p->lock);
    return RDG_OK;
}

static rdg_err_t show(rdg_platform_t *p, const char *device) {
    rdg_sql_value_t d = rdg_sql_text(device);
    RDG_TRY(rdg_sql_query(p->db,
                          "SELECT name, group_name, site, location FROM devices WHERE ? IS NULL OR name = ?",
                          RDG_SQL_PARAMS(d, d), about_row, p));
    return rdg_sql_query(
        p->db, "SELECT device, key, value FROM device_labels WHERE ? IS NULL OR device = ? ORDER BY key",
        RDG_SQL_PARAMS(d, d), label_row, p);
}

rdg_err_t groups_load(rdg_platform_t *p) {
    return show(p, NULL);
}

static bool is_of(const json_t *about, const char *field, const char *wanted) {
    const char *has = json_string_value(json_object_get(about, field));
    return !wanted[0] || (has && strcmp(has, wanted) == 0);
}

bool groups_fit(rdg_platform_t *p, const char *device, const char *group, const char *site) {
    pthread_mutex_lock(&p->lock);
    const device_t *d = devices_find(p, device);
    bool fit = d && is_of(d->about, "group", group) && is_of(d->about, "site", site);
    pthread_mutex_unlock(&p->lock);
    return fit;
}

rdg_err_t groups_show(rdg_platform_t *p, const char *device) {
    return show(p, device);
}

/* --- who is meant ------------------------------------------------------------------------------------------- */

rdg_err_t groups_select(rdg_platform_t *p, const group_filter_t *f,
                        rdg_err_t (*row)(void *, const rdg_sql_row_t *), void *ctx) {
    char sql[1600];
    const char *key;
    json_t *value;
    rdg_sql_value_t params[2 * GROUPS_FILTER_LABELS + 5];
    size_t count = 0;
    int n = snprintf(sql, sizeof sql, "SELECT name FROM devices d WHERE name > ?");
    params[count++] = rdg_sql_text(f->after ? f->after : "");
    if (f->tenant) {
        n += snprintf(sql + n, sizeof sql - (size_t)n, " AND tenant = ?");
        params[count++] = rdg_sql_text(f->tenant);
    }
    if (f->group) {
        n += snprintf(sql + n, sizeof sql - (size_t)n, " AND group_name = ?");
        params[count++] = rdg_sql_text(f->group);
    }
    if (f->site) {
        n += snprintf(sql + n, sizeof sql - (size_t)n, " AND site = ?");
        params[count++] = rdg_sql_text(f->site);
    }
    RDG_TRY(check_labels(f->labels, GROUPS_FILTER_LABELS));
    json_object_foreach((json_t *)(uintptr_t)f->labels, key, value) {
        n += snprintf(sql + n, sizeof sql - (size_t)n,
                      " AND EXISTS (SELECT 1 FROM device_labels l WHERE l.device = d.name AND l.key = ? AND "
                      "l.value = ?)");
        params[count++] = rdg_sql_text(key);
        params[count++] = rdg_sql_text(json_string_value(value));
    }
    snprintf(sql + n, sizeof sql - (size_t)n, " ORDER BY name LIMIT ?");
    params[count++] = rdg_sql_int((int64_t)f->limit);
    return rdg_sql_query(p->db, sql, params, count, row, ctx);
}

static rdg_err_t add_name(json_t *names, json_t *seen, const char *name) {
    if (json_object_get(seen, name)) return RDG_OK;
    if (json_object_set_new(seen, name, json_true()) != 0 ||
        json_array_append_new(names, json_string(name)) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
    return RDG_OK;
}

static rdg_err_t name_row(void *ctx, const rdg_sql_row_t *r) {
    return json_array_append_new(ctx, json_string(rdg_sql_row_text(r, 0))) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
}

static rdg_err_t resolve_list(rdg_platform_t *p, const char *tenant, const json_t *list, json_t *names) {
    size_t i;
    const json_t *item;
    rdg_err_t err = RDG_OK;
    json_t *seen = json_object();
    if (!json_is_array(list)) err = rdg_fail(RDG_E_INVALID, "selector.devices: want an array of names");
    json_array_foreach(list, i, item) {
        const char *name = json_string_value(item);
        if (err != RDG_OK) break;
        if (!name)
            err = rdg_fail(RDG_E_INVALID, "selector.devices: want an array of names");
        else
            err = devices_check(p, tenant, name);
        if (err == RDG_OK) err = add_name(names, seen, name);
    }
    json_decref(seen);
    return err;
}

rdg_err_t groups_resolve(rdg_platform_t *p, const char *tenant, const json_t *selector, json_t *names) {
    group_filter_t f = {.tenant = tenant, .limit = PLATFORM_DEVICES_MAX};
    if (json_object_get(selector, "devices"))
        return resolve_list(p, tenant, json_object_get(selector, "devices"), names);
    f.labels = json_object_get(selector, "labels");
    RDG_TRY(rdg_json_opt_str(selector, "group", &f.group));
    RDG_TRY(rdg_json_opt_str(selector, "site", &f.site));
    if (!json_is_true(json_object_get(selector, "all")) && !f.group && !f.site &&
        json_object_size(f.labels) == 0)
        return rdg_fail(RDG_E_INVALID, "selector: want devices, labels, group, site, or \"all\": true");
    return groups_select(p, &f, name_row, names);
}

/* --- REST ----------------------------------------------------------------------------------------------------- */

static rdg_err_t change_device(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const json_t *body;
    const char *name = rdg_service_arg(call, "name");
    RDG_TRY(rdg_service_body(call, &body));
    if (!devices_known(p, name)) return devices_absent(name);
    RDG_TRY(rdg_sql_begin(p->db));
    rdg_err_t err = groups_store(p, name, body);
    if (err == RDG_OK) err = rdg_sql_commit(p->db);
    if (err != RDG_OK) {
        rdg_sql_rollback(p->db);
        return err;
    }
    RDG_TRY(groups_show(p, name));
    rdg_log(RDG_LOG_INFO, "device.described", RDG_STR("device", name),
            RDG_STR("by", call->caller ? call->caller : ""));
    json_t *device = devices_describe(p, name);
    return device ? rdg_service_reply(answer, 200, device) : devices_absent(name);
}

typedef struct listing {
    rdg_platform_t *p;
    json_t *list;
    const char *state;
    size_t limit, seen;
    char last[65];
} listing_t;

static rdg_err_t listing_row(void *ctx, const rdg_sql_row_t *r) {
    listing_t *l = ctx;
    ++l->seen;
    snprintf(l->last, sizeof l->last, "%s", rdg_sql_row_text(r, 0));
    json_t *device = devices_describe(l->p, l->last);
    const char *state = json_string_value(json_object_get(device, "state"));
    if (!device || (l->state && state && strcmp(l->state, state) != 0)) {
        json_decref(device);
        return RDG_OK;
    }
    if (json_array_append_new(l->list, device) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
    return json_array_size(l->list) == l->limit ? RDG_E_CANCELLED : RDG_OK;
}

/* A page at a time: nobody waits for the lock while 100,000 are copied. */
static rdg_err_t list_devices(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t limit = 1000;
    json_t *labels = NULL;
    const char *label = rdg_http_query(call->http, "label");
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, 1000, &limit));
    if (label) RDG_TRY(groups_read_labels(label, &labels));
    listing_t l = {
        .p = ctx, .list = json_array(), .state = rdg_http_query(call->http, "state"), .limit = limit};
    group_filter_t f = {.group = rdg_http_query(call->http, "group"),
                        .site = rdg_http_query(call->http, "site"),
                        .after = rdg_http_query(call->http, "after"),
                        .tenant = call->tenant,
                        .labels = labels,
                        .limit = PLATFORM_DEVICES_MAX};
    rdg_err_t err = l.list ? groups_select(ctx, &f, listing_row, &l)
                           : rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
    json_decref(labels);
    if (err != RDG_OK) {
        json_decref(l.list);
        return err;
    }
    bool more = json_array_size(l.list) == limit;
    return rdg_service_reply(answer, 200,
                             json_pack("{s:o, s:s?}", "devices", l.list, "more_after", more ? l.last : NULL));
}

const rdg_service_route_t group_routes[] = {
    {"GET", "/api/v1/devices", RDG_ROUTE_TENANT, list_devices},
    {"PATCH", "/api/v1/devices/{name}", RDG_ROUTE_OWNED, change_device},
};
const size_t group_route_count = sizeof group_routes / sizeof group_routes[0];
