#include "internal.h"
#include "collect.h"
#include "command.h"
#include "groups.h"
#include "monitor.h"
#include "alarm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

/* last_seen is written to disk that often at most: it is a courtesy, not a promise. */
#define SAVE_SEEN_MS 60000

device_t *devices_find(const rdg_platform_t *p, const char *name) {
    return rdg_map_get(p->devices, rdg_bytes_str(name));
}

rdg_err_t devices_absent(const char *name) {
    return rdg_fail(RDG_E_NOT_FOUND, "device '%.64s' does not exist: see ridge device list", name);
}

/* Call with the lock held. */
static rdg_err_t put_locked(rdg_platform_t *p, const char *name, json_t *identity, uint64_t last_seen_ms) {
    device_t *d = devices_find(p, name);
    if (d) {
        json_decref(d->identity);
        d->identity = identity;
        d->barred = false;
        return RDG_OK;
    }
    d = rdg_calloc(1, sizeof *d);
    rdg_err_t err = d ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a device");
    if (d) {
        snprintf(d->name, sizeof d->name, "%s", name);
        d->identity = identity;
        rdg_list_init(&d->turns);
        rdg_buf_init(&d->record, RDG_TELEMETRY_RECORD_MAX);
        d->last_seen_ms = d->saved_ms = last_seen_ms;
        err = rdg_map_put(p->devices, rdg_bytes_str(name), d, NULL);
    }
    if (err != RDG_OK) {
        json_decref(identity);
        rdg_free(d);
        return rdg_fail_in(err, "device '%s'", name);
    }
    rdg_metric_set(p->m_devices, (int64_t)rdg_map_count(p->devices));
    return RDG_OK;
}

rdg_err_t devices_put(rdg_platform_t *p, const char *name, json_t *identity) {
    if (!identity) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a device");
    pthread_mutex_lock(&p->lock);
    rdg_err_t err = put_locked(p, name, identity, platform_now());
    pthread_mutex_unlock(&p->lock);
    return err;
}

static rdg_err_t load_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *drivers = NULL;
    const char *text = rdg_sql_row_text(r, 4);
    if (text) (void)rdg_json_parse(rdg_bytes_str(text), &drivers);
    json_t *identity =
        json_pack("{s:s, s:s?, s:s?, s:o, s:I}", "public_key", rdg_sql_row_text(r, 1), "arch",
                  rdg_sql_row_text(r, 2), "agent_version", rdg_sql_row_text(r, 3), "drivers",
                  drivers ? drivers : json_array(), "enrolled_ms", (json_int_t)rdg_sql_row_int(r, 5));
    if (!identity) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
    RDG_TRY(put_locked(ctx, rdg_sql_row_text(r, 0), identity, (uint64_t)rdg_sql_row_int(r, 6)));
    device_t *d = devices_find(ctx, rdg_sql_row_text(r, 0));
    d->barred = rdg_sql_row_int(r, 7) != 0;
    snprintf(d->tenant, sizeof d->tenant, "%s", rdg_sql_row_text(r, 8));
    return RDG_OK;
}

rdg_err_t devices_load(rdg_platform_t *p) {
    p->devices = rdg_map_new(PLATFORM_DEVICES_MAX);
    if (!p->devices) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
    return rdg_sql_query(p->db,
                         "SELECT name, public_key, arch, agent_version, drivers, enrolled_ms, last_seen_ms, "
                         "revoked_ms, tenant FROM devices",
                         NULL, 0, load_row, p);
}

static void device_free(device_t *d) {
    if (!d) return;
    json_decref(d->identity);
    json_decref(d->telemetry);
    rdg_buf_fini(&d->record);
    json_decref(d->about);
    rdg_free(d);
}

void devices_free(rdg_platform_t *p) {
    size_t pos = 0;
    void *d;
    if (!p->devices) return;
    while (rdg_map_next(p->devices, &pos, NULL, &d)) device_free(d);
    rdg_map_free(p->devices);
}

bool devices_known(rdg_platform_t *p, const char *name) {
    pthread_mutex_lock(&p->lock);
    bool known = devices_find(p, name) != NULL;
    pthread_mutex_unlock(&p->lock);
    return known;
}

void devices_tenant(rdg_platform_t *p, const char *name, char out[RDG_TENANT_MAX + 1]) {
    pthread_mutex_lock(&p->lock);
    const device_t *d = devices_find(p, name);
    snprintf(out, RDG_TENANT_MAX + 1, "%s", d ? d->tenant : "");
    pthread_mutex_unlock(&p->lock);
}

void devices_set_tenant(rdg_platform_t *p, const char *name, const char *tenant) {
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, name);
    if (d) snprintf(d->tenant, sizeof d->tenant, "%s", tenant);
    pthread_mutex_unlock(&p->lock);
}

/* Call with the lock held. */
static bool is_of(const device_t *d, const char *tenant) {
    return !tenant || strcmp(d->tenant, tenant) == 0;
}

bool devices_of(rdg_platform_t *p, const char *tenant, const char *name) {
    pthread_mutex_lock(&p->lock);
    const device_t *d = devices_find(p, name);
    bool found = d && is_of(d, tenant);
    pthread_mutex_unlock(&p->lock);
    return found;
}

rdg_err_t devices_check(void *platform, const char *tenant, const char *name) {
    return devices_of(platform, tenant, name) ? RDG_OK : devices_absent(name);
}

static rdg_err_t count_row(void *ctx, const rdg_sql_row_t *r) {
    int64_t *counts = ctx;
    counts[0] = rdg_sql_row_int(r, 0);
    counts[1] = rdg_sql_row_int(r, 1);
    return RDG_OK;
}

rdg_err_t devices_in_use(void *platform, const char *tenant) {
    rdg_platform_t *p = platform;
    rdg_sql_value_t t = rdg_sql_text(tenant);
    int64_t counts[2] = {0};
    RDG_TRY(rdg_sql_query(p->db,
                          "SELECT (SELECT COUNT(*) FROM devices WHERE tenant = ?),"
                          " (SELECT COUNT(*) FROM device_tokens WHERE tenant = ? AND revoked_ms IS NULL"
                          " AND expires_ms >= ? AND used < uses)",
                          RDG_SQL_PARAMS(t, t, rdg_sql_int((int64_t)platform_now())), count_row, counts));
    if (counts[0] + counts[1] == 0) return RDG_OK;
    return rdg_fail(
        RDG_E_CONFLICT,
        "tenant '%s' has %lld devices, and %lld enrolment tokens that could bring more: remove the ones, "
        "revoke the others",
        tenant, (long long)counts[0], (long long)counts[1]);
}

bool devices_online(rdg_platform_t *p, const char *name) {
    pthread_mutex_lock(&p->lock);
    const device_t *d = devices_find(p, name);
    bool online = d && d->online;
    pthread_mutex_unlock(&p->lock);
    return online;
}

rdg_err_t devices_key(rdg_platform_t *p, const char *name, rdg_sm2_public_t *out) {
    pthread_mutex_lock(&p->lock);
    const device_t *d = devices_find(p, name);
    rdg_err_t err =
        d ? rdg_json_get_hex(d->identity, "public_key", out->b, sizeof out->b) : devices_absent(name);
    pthread_mutex_unlock(&p->lock);
    return err;
}

static void save_seen(rdg_platform_t *p, const char *name, uint64_t ms) {
    (void)rdg_sql_exec(p->db, "UPDATE devices SET last_seen_ms = ? WHERE name = ?",
                       RDG_SQL_PARAMS(rdg_sql_int((int64_t)ms), rdg_sql_text(name)), NULL);
}

/* Marks a sign of life and takes the last telemetry, if given. */
static void touch(rdg_platform_t *p, const char *name, bool online, json_t *telemetry) {
    uint64_t now = platform_now();
    bool came = false, save = false;
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, name);
    if (d) {
        online = online && !d->barred;
        came = online && !d->online;
        bool went = !online && d->online;
        d->online = online;
        d->last_seen_ms = now;
        save = went || now - d->saved_ms > SAVE_SEEN_MS;
        if (save) d->saved_ms = now;
        if (telemetry) {
            json_t *old = d->telemetry;
            d->telemetry = telemetry;
            telemetry = old;
            rdg_buf_clear(&d->record);
        }
        if (came || went) {
            rdg_metric_set(p->m_online, (int64_t)rdg_metric_value(p->m_online) + (came ? 1 : -1));
            rdg_log(RDG_LOG_INFO, came ? "device.online" : "device.offline", RDG_STR("device", name));
        }
        if (came) turns_put(p, d), p->kicked = true, pthread_cond_signal(&p->kick);
    }
    pthread_mutex_unlock(&p->lock);
    json_decref(telemetry);
    if (save) save_seen(p, name, now);
}

void devices_bar(rdg_platform_t *p, const char *name) {
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, name);
    if (d) d->barred = true;
    pthread_mutex_unlock(&p->lock);
    (void)rdg_sql_exec(p->db, "UPDATE devices SET revoked_ms = COALESCE(revoked_ms, ?) WHERE name = ?",
                       RDG_SQL_PARAMS(rdg_sql_int((int64_t)platform_now()), rdg_sql_text(name)), NULL);
    touch(p, name, false, NULL);
}

void devices_seen(rdg_platform_t *p, const char *name) {
    touch(p, name, true, NULL);
}

void devices_status(rdg_platform_t *p, const char *name, bool online) {
    touch(p, name, online, NULL);
}

void devices_telemetry(rdg_platform_t *p, const char *name, json_t *telemetry) {
    touch(p, name, true, telemetry);
}

void devices_record(rdg_platform_t *p, const char *name, rdg_bytes_t record, uint64_t interval_ms) {
    json_t *old = NULL;
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, name);
    if (d) {
        rdg_buf_clear(&d->record);
        (void)rdg_buf_append(&d->record, record.data, record.len);
        d->record_ms = platform_now();
        d->interval_ms = interval_ms;
        old = d->telemetry;
        d->telemetry = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    json_decref(old);
}

/* The queue of readings, as it was told before there were others. */
static json_t *intake_json(const json_t *queue) {
    static const char *const names[][2] = {
        {"queued", "items"}, {"queued_bytes", "bytes"}, {"confirmed", "done"}, {"refused", "failed"}};
    json_t *o = json_object(), *v;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i)
        if ((v = json_object_get(queue, names[i][1]))) json_object_set(o, names[i][0], v);
    for (int i = 0; i < 2; ++i)
        if ((v = json_object_get(queue, i ? "p99_us" : "p50_us")))
            json_object_set_new(o, i ? "p99_ms" : "p50_ms", json_real((double)json_integer_value(v) / 1000));
    return o;
}

/* Call with the lock held. The last telemetry as JSON, made when it is asked for. Borrowed; NULL: none. */
static const json_t *telemetry_of(device_t *d) {
    if (d->telemetry || d->record.len == 0) return d->telemetry;
    rdg_telemetry_t *t = rdg_calloc(1, sizeof *t);
    if (t && rdg_telemetry_decode(rdg_buf_view(&d->record), t) == RDG_OK)
        d->telemetry = rdg_telemetry_json(t);
    if (d->telemetry) {
        uint64_t rss = t->host[RDG_HOST_AGENT_RSS_KIB];
        json_t *agent = json_object_get(d->telemetry, "agent");
        if (rss != RDG_TELEMETRY_ABSENT) json_object_set_new(agent, "rss_kib", json_integer((json_int_t)rss));
        const json_t *queue = json_object_get(json_object_get(d->telemetry, "queues"), "intake");
        if (queue) json_object_set_new(d->telemetry, "intake", intake_json(queue));
    }
    rdg_free(t);
    return d->telemetry;
}

/* --- REST -------------------------------------------------------------------------------------- */

static const char *state_name(const device_t *d) {
    return d->barred ? "revoked" : d->online ? "online" : "offline";
}

/* Call with the lock held. Copies what is shared. */
static json_t *describe(device_t *d) {
    json_t *o = json_deep_copy(d->identity);
    const json_t *t = telemetry_of(d), *agent = json_object_get(t, "agent");
    const json_t *chains = json_object_get(t, "chains"), *intake = json_object_get(t, "intake"),
                 *certificates = json_object_get(t, "certificates");
    json_t *about = json_deep_copy(d->about);
    if (about) json_object_update(o, about);
    json_decref(about);
    json_object_set_new(o, "name", json_string(d->name));
    json_object_set_new(o, "tenant", json_string(d->tenant));
    json_object_set_new(o, "state", json_string(state_name(d)));
    json_object_set_new(o, "last_seen_ms", json_integer((json_int_t)d->last_seen_ms));
    const json_t *rss = json_object_get(agent, "rss_kib"), *version = json_object_get(agent, "version");
    json_object_set_new(o, "agent_rss_kib", json_is_integer(rss) ? json_deep_copy(rss) : json_integer(0));
    if (json_is_string(version)) json_object_set_new(o, "agent_version", json_deep_copy(version));
    json_object_set_new(o, "chains", json_is_array(chains) ? json_deep_copy(chains) : json_array());
    if (json_is_object(intake)) json_object_set_new(o, "intake", json_deep_copy(intake));
    if (json_is_array(certificates)) json_object_set_new(o, "certificates", json_deep_copy(certificates));
    return o;
}

static int by_name(const void *a, const void *b) {
    const device_t *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Call with the lock held. Devices of a tenant (NULL: all) by name; count of them in *n; rdg_free. NULL: no memory. */
static device_t **sorted_devices(rdg_platform_t *p, const char *tenant, size_t *n) {
    size_t count = rdg_map_count(p->devices), pos = 0;
    device_t **sorted = rdg_calloc(count ? count : 1, sizeof *sorted);
    *n = 0;
    for (void *d; sorted && *n < count && rdg_map_next(p->devices, &pos, NULL, &d);)
        if (is_of(d, tenant)) sorted[(*n)++] = d;
    if (sorted) qsort(sorted, *n, sizeof *sorted, by_name);
    return sorted;
}

json_t *devices_latest(rdg_platform_t *p, const char *tenant, const char *after, size_t limit) {
    size_t n;
    pthread_mutex_lock(&p->lock);
    device_t **sorted = sorted_devices(p, tenant, &n);
    json_t *list = sorted ? json_array() : NULL;
    for (size_t i = 0; i < n && json_array_size(list) < limit; ++i) {
        if (strcmp(sorted[i]->name, after) <= 0) continue;
        const json_t *t = telemetry_of(sorted[i]);
        json_t *o = json_pack("{s:s, s:s, s:I}", "device", sorted[i]->name, "state", state_name(sorted[i]),
                              "last_seen_ms", (json_int_t)sorted[i]->last_seen_ms);
        if (t) json_object_set_new(o, "telemetry", json_deep_copy(t));
        json_array_append_new(list, o);
    }
    pthread_mutex_unlock(&p->lock);
    rdg_free(sorted);
    return list;
}

/* Silent is who is away, and who is there and has told nothing for two intervals and more. */
static uint64_t silence(const device_t *d, uint64_t since_ms, uint64_t now) {
    uint64_t heard = d->online ? d->record_ms + 2 * d->interval_ms : d->last_seen_ms;
    if (d->online && d->record_ms == 0) return 0;
    if (heard < since_ms) heard = since_ms;
    return now > heard ? now - heard : 0;
}

typedef struct silent {
    char name[65], tenant[RDG_TENANT_MAX + 1];
    uint64_t ms;
    bool heard;
} silent_t;

void devices_each_silence(rdg_platform_t *p, uint64_t since_ms,
                          void (*fn)(void *ctx, const char *device, const char *tenant, uint64_t silent_ms,
                                     bool heard),
                          void *ctx) {
    size_t n = 0, pos = 0;
    uint64_t now = platform_now();
    void *d;
    pthread_mutex_lock(&p->lock);
    size_t count = rdg_map_count(p->devices);
    silent_t *all = rdg_calloc(count ? count : 1, sizeof *all);
    while (all && n < count && rdg_map_next(p->devices, &pos, NULL, &d)) {
        const device_t *one = d;
        if (one->barred) continue;
        memcpy(all[n].name, one->name, sizeof all[n].name);
        memcpy(all[n].tenant, one->tenant, sizeof all[n].tenant);
        all[n].heard = one->last_seen_ms >= since_ms;
        all[n++].ms = silence(one, since_ms, now);
    }
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < n; ++i) fn(ctx, all[i].name, all[i].tenant, all[i].ms, all[i].heard);
    rdg_free(all);
}

json_t *devices_describe(rdg_platform_t *p, const char *name) {
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, name);
    json_t *o = d ? describe(d) : NULL;
    pthread_mutex_unlock(&p->lock);
    return o;
}

static rdg_err_t show_device(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *name = rdg_service_arg(call, "name");
    json_t *o = devices_describe(ctx, name);
    return o ? rdg_service_reply(answer, 200, o) : devices_absent(name);
}

static rdg_err_t refuse_busy(rdg_platform_t *p, const char *name) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, name);
    const json_t *first = d ? json_array_get(json_object_get(telemetry_of(d), "chains"), 0) : NULL;
    if (!d) err = devices_absent(name);
    if (first && json_string_value(json_object_get(first, "chain")))
        err = rdg_fail(RDG_E_CONFLICT, "device '%s' still runs chain '%.64s': destroy the chain first", name,
                       json_string_value(json_object_get(first, "chain")));
    pthread_mutex_unlock(&p->lock);
    return err;
}

static rdg_err_t delete_device(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const char *name = rdg_service_arg(call, "name");
    (void)answer;
    if (!rdg_http_query(call->http, "force")) RDG_TRY(refuse_busy(p, name));
    if (!devices_known(p, name)) return devices_absent(name);
    RDG_TRY(command_drop_device(p, name));
    RDG_TRY(groups_forget(p, name));
    RDG_TRY(ca_revoke_device(p->ca, name, RDG_CRL_CESSATION));
    collect_forget(p->collect, name);
    RDG_TRY(monitor_forget(p->monitor, name));
    alarms_forget(p->alarms, name);
    RDG_TRY(
        rdg_sql_exec(p->db, "DELETE FROM devices WHERE name = ?", RDG_SQL_PARAMS(rdg_sql_text(name)), NULL));
    char topic[PLATFORM_TOPIC_MAX];
    snprintf(topic, sizeof topic, "devices/%s/status", name);
    (void)rdg_mqtt_publish(p->mqtt, topic, rdg_bytes(NULL, 0), true, NULL);
    pthread_mutex_lock(&p->lock);
    device_t *d = rdg_map_remove(p->devices, rdg_bytes_str(name));
    if (d && d->online) rdg_metric_set(p->m_online, (int64_t)rdg_metric_value(p->m_online) - 1);
    if (d) turns_drop(d);
    rdg_metric_set(p->m_devices, (int64_t)rdg_map_count(p->devices));
    pthread_mutex_unlock(&p->lock);
    device_free(d);
    identity_revoked(p, name);
    platform_kick(p);
    rdg_log(RDG_LOG_INFO, "device.deleted", RDG_STR("device", name));
    return RDG_OK;
}

const rdg_service_route_t devices_routes[] = {
    {"GET", "/api/v1/devices/{name}", RDG_ROUTE_OWNED, show_device},
    {"DELETE", "/api/v1/devices/{name}", RDG_ROUTE_OWNED, delete_device},
};
const size_t devices_route_count = sizeof devices_routes / sizeof devices_routes[0];
