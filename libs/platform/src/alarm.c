#include "alarm.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/base/map.h"

#define DEVICES_MAX 100000

/* One value of one device that is followed. */
typedef struct watched {
    alarm_kind_t kind;
    char subject[65];
    bool present;           /* seen in the record that is being looked at */
    int64_t number;         /* of its open alarm; 0: quiet */
    uint64_t since_ms;      /* the value has been beyond the limit that matters next; 0: it is not */
    uint64_t mark, mark_ms; /* of a chain: its height, and when it last moved */
} watched_t;

typedef struct watch {
    char device[65], tenant[RDG_TENANT_MAX + 1];
    size_t count, size;
    watched_t *of; /* owned */
} watch_t;

struct alarms {
    rdg_sql_t *db;
    const rdg_clock_t *clock;
    uint64_t started_ms;
    pthread_mutex_t lock; /* never held by somebody who waits for a lock of the platform */
    alarm_rule_t rules[ALARM_KINDS];
    rdg_map_t *devices; /* name → watch_t, owned */
    rdg_metric_t *m_open[ALARM_KINDS];
};

uint64_t alarms_now(const alarms_t *a) {
    return rdg_wall_ms(a->clock);
}

uint64_t alarms_started_ms(const alarms_t *a) {
    return a->started_ms;
}

rdg_sql_t *alarms_db(alarms_t *a) {
    return a->db;
}

/* --- what is watched (under the lock) ------------------------------------------------------------------------- */

static watch_t *watch_of(alarms_t *a, const char *device) {
    watch_t *w = rdg_map_get(a->devices, rdg_bytes_str(device));
    if (w) return w;
    w = rdg_calloc(1, sizeof *w);
    if (!w) return NULL;
    snprintf(w->device, sizeof w->device, "%s", device);
    snprintf(w->tenant, sizeof w->tenant, RDG_TENANT_DEFAULT);
    if (rdg_map_put(a->devices, rdg_bytes_str(device), w, NULL) == RDG_OK) return w;
    rdg_free(w);
    return NULL;
}

static watched_t *watched_of(watch_t *w, alarm_kind_t kind, const char *subject) {
    for (size_t i = 0; i < w->count; ++i)
        if (w->of[i].kind == kind && strcmp(w->of[i].subject, subject) == 0) return &w->of[i];
    if (w->count == ALARM_OF_DEVICE) return NULL;
    if (w->count == w->size) {
        size_t size = w->size ? w->size * 2 : 8;
        watched_t *grown = rdg_realloc(w->of, size * sizeof *grown);
        if (!grown) return NULL;
        w->of = grown;
        w->size = size;
    }
    watched_t *one = &w->of[w->count++];
    memset(one, 0, sizeof *one);
    one->kind = kind;
    snprintf(one->subject, sizeof one->subject, "%s", subject);
    return one;
}

static void counted(alarms_t *a, alarm_kind_t kind, int by) {
    rdg_metric_set(a->m_open[kind], (int64_t)rdg_metric_value(a->m_open[kind]) + by);
}

static void raise_it(alarms_t *a, const watch_t *w, watched_t *v, int64_t value, uint64_t now) {
    const char *device = w->device;
    const alarm_rule_t *r = &a->rules[v->kind];
    const alarm_row_t row = {device, v->subject, v->kind, r->critical, value, r->raise, now};
    rdg_err_t err = alarm_store_raise(a->db, &row, w->tenant, &v->number);
    if (err != RDG_OK) { /* the next record tries again */
        v->number = 0;
        rdg_log_err("alarm.failed", err);
        return;
    }
    v->since_ms = 0;
    counted(a, v->kind, 1);
    rdg_log(RDG_LOG_WARN, "alarm.raised", RDG_STR("device", device),
            RDG_STR("kind", alarm_kind_name(v->kind)), RDG_STR("subject", v->subject),
            RDG_I64("value", value));
}

static void clear_it(alarms_t *a, const char *device, watched_t *v, uint64_t now, const char *why) {
    if (!v->number) return;
    rdg_err_t err = alarm_store_clear(a->db, v->number, now, why);
    if (err != RDG_OK) {
        rdg_log_err("alarm.failed", err);
        return;
    }
    v->number = 0;
    v->since_ms = 0;
    counted(a, v->kind, -1);
    rdg_log(RDG_LOG_INFO, "alarm.cleared", RDG_STR("device", device),
            RDG_STR("kind", alarm_kind_name(v->kind)), RDG_STR("subject", v->subject), RDG_STR("why", why));
}

/* The state machine of alarm.h. */
static void judge(alarms_t *a, watch_t *w, alarm_kind_t kind, const char *subject, int64_t value,
                  uint64_t now) {
    const alarm_rule_t *r = &a->rules[kind];
    watched_t *v = watched_of(w, kind, subject);
    if (!v) return;
    v->present = true;
    if (!r->enabled) {
        clear_it(a, w->device, v, now, "the rule is switched off");
        return;
    }
    bool beyond = v->number ? value < r->clear : value >= r->raise;
    if (!beyond) {
        v->since_ms = 0;
        return;
    }
    if (v->since_ms == 0 || v->since_ms > now) v->since_ms = now;
    if (now - v->since_ms < r->for_ms) return;
    if (v->number)
        clear_it(a, w->device, v, now, "back below its limit");
    else
        raise_it(a, w, v, value, now);
}

/* --- what a record says ------------------------------------------------------------------------------------------ */

static void judge_share(alarms_t *a, watch_t *w, alarm_kind_t kind, const char *subject, uint64_t used,
                        uint64_t of, uint64_t now) {
    if (used == RDG_TELEMETRY_ABSENT || of == RDG_TELEMETRY_ABSENT || of == 0) return;
    judge(a, w, kind, subject, (int64_t)((double)used * 100 / (double)of), now);
}

/* A chain stands still when transactions wait and its height does not move. */
static void judge_chain(alarms_t *a, watch_t *w, const rdg_telemetry_chain_t *c, uint64_t now) {
    uint64_t height = c->numbers[RDG_CHAIN_HEIGHT], pool = c->numbers[RDG_CHAIN_POOL];
    judge(a, w, ALARM_DAMAGED, c->name, c->damaged[0] != '\0', now);
    watched_t *v = watched_of(w, ALARM_STALLED, c->name);
    if (!v) return;
    bool works = c->state == RDG_CHAIN_RUNNING && height != RDG_TELEMETRY_ABSENT;
    bool waits = works && pool != RDG_TELEMETRY_ABSENT && pool > 0;
    if (!waits || height != v->mark || v->mark_ms > now) v->mark_ms = now;
    v->mark = height;
    judge(a, w, ALARM_STALLED, c->name, (int64_t)((now - v->mark_ms) / 1000), now);
}

static void judge_record(alarms_t *a, watch_t *w, const monitor_arrival_t *r, uint64_t now) {
    const rdg_telemetry_t *t = r->telemetry;
    uint64_t dk = t->host[RDG_HOST_TEMPERATURE_DK];
    uint64_t skew = r->sent_ms > r->received_ms ? r->sent_ms - r->received_ms : r->received_ms - r->sent_ms;
    judge_share(a, w, ALARM_DISK, "", t->host[RDG_HOST_DISK_USED_KIB], t->host[RDG_HOST_DISK_TOTAL_KIB], now);
    judge_share(a, w, ALARM_MEMORY, "", t->host[RDG_HOST_MEMORY_USED_KIB], t->host[RDG_HOST_MEMORY_TOTAL_KIB],
                now);
    if (dk != RDG_TELEMETRY_ABSENT)
        judge(a, w, ALARM_TEMPERATURE, "", (int64_t)rdg_telemetry_celsius(dk), now);
    judge(a, w, ALARM_CLOCK, "", (int64_t)(skew / 1000), now);
    for (size_t i = 0; i < t->chain_count; ++i) judge_chain(a, w, &t->chains[i], now);
    for (size_t i = 0; i < t->certificate_count; ++i)
        judge(a, w, ALARM_CERTIFICATE, t->certificates[i].chain, t->certificates[i].alarm, now);
    for (size_t i = 0; i < t->queue_count; ++i)
        judge_share(a, w, ALARM_QUEUE, t->queues[i].name, t->queues[i].numbers[RDG_QUEUE_BYTES],
                    t->queues[i].numbers[RDG_QUEUE_BUDGET_BYTES], now);
}

void alarms_tenant(alarms_t *a, const char *device, const char *tenant) {
    pthread_mutex_lock(&a->lock);
    watch_t *w = watch_of(a, device);
    if (w) snprintf(w->tenant, sizeof w->tenant, "%s", tenant);
    pthread_mutex_unlock(&a->lock);
}

void alarms_take(alarms_t *a, const monitor_arrival_t *r) {
    uint64_t now = alarms_now(a);
    if (!r->live) return;
    pthread_mutex_lock(&a->lock);
    watch_t *w = watch_of(a, r->device);
    if (w) {
        for (size_t i = 0; i < w->count; ++i) w->of[i].present = w->of[i].kind == ALARM_OFFLINE;
        judge_record(a, w, r, now);
        for (size_t i = w->count; i-- > 0;) {
            if (w->of[i].present) continue;
            clear_it(a, w->device, &w->of[i], now, "what it was of is gone");
            if (!w->of[i].number) w->of[i] = w->of[--w->count];
        }
    }
    pthread_mutex_unlock(&a->lock);
}

void alarms_silence(alarms_t *a, const char *device, uint64_t silent_ms, bool heard) {
    pthread_mutex_lock(&a->lock);
    watch_t *w = watch_of(a, device);
    const watched_t *v = w ? watched_of(w, ALARM_OFFLINE, "") : NULL;
    if (v && (heard || !v->number))
        judge(a, w, ALARM_OFFLINE, "", (int64_t)(silent_ms / 1000), alarms_now(a));
    pthread_mutex_unlock(&a->lock);
}

void alarms_forget(alarms_t *a, const char *device) {
    uint64_t now = alarms_now(a);
    pthread_mutex_lock(&a->lock);
    watch_t *w = rdg_map_remove(a->devices, rdg_bytes_str(device));
    for (size_t i = 0; w && i < w->count; ++i) clear_it(a, device, &w->of[i], now, "the device is removed");
    pthread_mutex_unlock(&a->lock);
    if (w) rdg_free(w->of);
    rdg_free(w);
}

void alarms_prune(alarms_t *a) {
    rdg_err_t err = alarm_store_prune(a->db, alarms_now(a));
    if (err != RDG_OK) rdg_log_err("alarm.failed", err);
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

void alarms_rule(alarms_t *a, alarm_kind_t k, alarm_rule_t *out) {
    pthread_mutex_lock(&a->lock);
    *out = a->rules[k];
    pthread_mutex_unlock(&a->lock);
}

rdg_err_t alarms_set_rule(alarms_t *a, alarm_kind_t k, const alarm_rule_t *r) {
    if (r->clear > r->raise)
        return rdg_fail(RDG_E_INVALID, "clear: %lld is above raise, %lld: an alarm would never end",
                        (long long)r->clear, (long long)r->raise);
    RDG_TRY(alarm_store_set_rule(a->db, k, r));
    pthread_mutex_lock(&a->lock);
    a->rules[k] = *r;
    pthread_mutex_unlock(&a->lock);
    return RDG_OK;
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static void take_up(void *ctx, int64_t number, const char *device, alarm_kind_t kind, const char *subject) {
    alarms_t *a = ctx;
    watch_t *w = watch_of(a, device);
    watched_t *v = w ? watched_of(w, kind, subject) : NULL;
    if (!v) return;
    v->number = number;
    counted(a, kind, 1);
}

rdg_err_t alarms_open(rdg_sql_t *db, const rdg_clock_t *clock, rdg_metrics_t *metrics, alarms_t **out) {
    alarms_t *a = rdg_calloc(1, sizeof *a);
    if (!a) return rdg_fail(RDG_E_NO_MEMORY, "no memory for alarms");
    a->db = db;
    a->clock = clock ? clock : rdg_clock_system();
    a->started_ms = alarms_now(a);
    pthread_mutex_init(&a->lock, NULL);
    a->devices = rdg_map_new(DEVICES_MAX);
    for (int k = 0; k < ALARM_KINDS; ++k) {
        char label[64];
        alarm_rule_default((alarm_kind_t)k, &a->rules[k]);
        snprintf(label, sizeof label, "kind=\"%s\"", alarm_kind_name((alarm_kind_t)k));
        if (metrics)
            a->m_open[k] = rdg_metrics_gauge(metrics, "ridge_alarms_open", "alarms that are open", label);
    }
    rdg_err_t err = a->devices ? alarm_store_open(db) : rdg_fail(RDG_E_NO_MEMORY, "no memory for alarms");
    if (err == RDG_OK) err = alarm_store_rules(db, a->rules);
    if (err == RDG_OK) err = alarm_store_each_open(db, take_up, a);
    if (err == RDG_OK)
        *out = a;
    else
        alarms_close(a);
    return err;
}

void alarms_close(alarms_t *a) {
    size_t pos = 0;
    void *w;
    if (!a) return;
    while (a->devices && rdg_map_next(a->devices, &pos, NULL, &w)) {
        rdg_free(((watch_t *)w)->of);
        rdg_free(w);
    }
    rdg_map_free(a->devices);
    pthread_mutex_destroy(&a->lock);
    rdg_free(a);
}
