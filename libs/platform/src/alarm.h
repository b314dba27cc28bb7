/* Alarms: what of the devices' telemetry wants somebody's attention.
 *
 *   quiet ──value ≥ raise for for_ms──► raised ──value < clear for for_ms──► cleared (history)
 *                                         └─ acknowledged by a person: still raised, but somebody knows
 *
 * Invariants
 * 1. One alarm a device, kind and subject is open at a time. Between `clear` and `raise` nothing changes (hysteresis).
 * 2. An alarm is in SQL before anybody is shown it; open ones outlive a restart of the cloud. How long a value has been
 *    beyond its limit is known in memory only: a restart begins to count anew.
 * 3. Only what a device is like now raises: a backlog that comes late does not. A subject that is gone (a chain removed) is
 *    cleared, and so is everything of a removed device, or of a rule that is switched off.
 * 4. A device counts as gone from when this cloud runs, so a cloud that was away itself raises no false alarm.
 *
 * Limits: ALARM_KEEP_ROWS in the history, and ALARM_KEEP_MS; ALARM_OF_DEVICE watched values a device. Thread-safe. */
#ifndef RIDGE_PLATFORM_ALARM_H
#define RIDGE_PLATFORM_ALARM_H
#include "monitor.h"
#include "ridge/base/metrics.h"

#define ALARM_KEEP_MS (90ull * 86400000)
#define ALARM_KEEP_ROWS 100000
#define ALARM_OF_DEVICE 256
#define ALARM_NOTE_MAX 200

/* Append only in name; the number is of this process. */
typedef enum alarm_kind {
    ALARM_OFFLINE,
    ALARM_DISK,
    ALARM_MEMORY,
    ALARM_TEMPERATURE,
    ALARM_STALLED,
    ALARM_DAMAGED,
    ALARM_CERTIFICATE,
    ALARM_CLOCK,
    ALARM_QUEUE,
    ALARM_KINDS
} alarm_kind_t;

typedef struct alarm_rule {
    int64_t raise, clear; /* in the kind's unit */
    uint64_t for_ms;
    bool enabled, critical;
} alarm_rule_t;

typedef struct alarms alarms_t;

/* db: borrowed, that of the monitor. metrics may be NULL. */
rdg_err_t alarms_open(rdg_sql_t *db, const rdg_clock_t *clock, rdg_metrics_t *metrics, alarms_t **out);
void alarms_close(alarms_t *a); /* NULL is fine */
/* Whose the alarms are that a device raises from now on; RDG_TENANT_DEFAULT until it is said. */
void alarms_tenant(alarms_t *a, const char *device, const char *tenant);
void alarms_take(alarms_t *a, const monitor_arrival_t *arrival);
/* How long a device has been silent: 0 when it is heard. Not heard at all since this cloud runs: that clears nothing. */
void alarms_silence(alarms_t *a, const char *device, uint64_t silent_ms, bool heard);
void alarms_forget(alarms_t *a, const char *device);
void alarms_prune(alarms_t *a);
uint64_t alarms_started_ms(const alarms_t *a);

/* alarm_store.c */
typedef struct alarm_row {
    const char *device, *subject;
    alarm_kind_t kind;
    bool critical;
    int64_t value, threshold;
    uint64_t at_ms;
} alarm_row_t;
const char *alarm_kind_name(alarm_kind_t k);
const char *alarm_kind_unit(alarm_kind_t k);
bool alarm_kind_find(const char *name, alarm_kind_t *out);
void alarm_rule_default(alarm_kind_t k, alarm_rule_t *out);
rdg_err_t alarm_store_open(rdg_sql_t *db);
extern const char *const alarm_migrations[]; /* as platform_migrations */
extern const size_t alarm_migration_count;
/* tenant: the device's. */
rdg_err_t alarm_store_raise(rdg_sql_t *db, const alarm_row_t *row, const char *tenant, int64_t *number);
rdg_err_t alarm_store_clear(rdg_sql_t *db, int64_t number, uint64_t at_ms, const char *why);
rdg_err_t alarm_store_each_open(rdg_sql_t *db,
                                void (*fn)(void *ctx, int64_t number, const char *device, alarm_kind_t kind,
                                           const char *subject),
                                void *ctx);
rdg_err_t alarm_store_rules(rdg_sql_t *db, alarm_rule_t rules[ALARM_KINDS]); /* over what is there */
rdg_err_t alarm_store_set_rule(rdg_sql_t *db, alarm_kind_t k, const alarm_rule_t *r);
rdg_err_t alarm_store_ack(rdg_sql_t *db, int64_t number, uint64_t at_ms, const char *who, const char *note);
rdg_err_t alarm_store_prune(rdg_sql_t *db, uint64_t now_ms);
typedef struct alarm_filter {
    bool all;                           /* also what is cleared */
    const char *tenant, *device, *kind; /* NULL: any */
} alarm_filter_t;
/* Owned. */
rdg_err_t alarm_store_list(rdg_sql_t *db, const alarm_filter_t *f, uint64_t after, uint64_t limit,
                           json_t **out);
rdg_err_t alarm_store_check(rdg_sql_t *db, const char *tenant, int64_t number); /* NOT_FOUND: it is not its */
rdg_err_t alarm_store_get(rdg_sql_t *db, int64_t number, json_t **out);         /* NOT_FOUND */

/* What has happened to alarms, in order: an array of {"change","what":"raised"|"cleared"|"acknowledged","at_ms","alarm"}. A
 * change is stored with what it tells of, and goes with it. Owned. */
rdg_err_t alarm_store_changes(rdg_sql_t *db, int64_t after, uint64_t limit, json_t **out);
rdg_err_t alarm_store_last_change(rdg_sql_t *db, int64_t *out);

rdg_err_t alarms_check(void *alarms, const char *tenant, const char *number); /* as rdg_service_owner_t */
/* For alarm_rest.c. */
rdg_sql_t *alarms_db(alarms_t *a);
uint64_t alarms_now(const alarms_t *a);
void alarms_rule(alarms_t *a, alarm_kind_t k, alarm_rule_t *out);
rdg_err_t alarms_set_rule(alarms_t *a, alarm_kind_t k, const alarm_rule_t *r);
extern const rdg_service_route_t alarm_routes[]; /* the context is the alarms_t */
extern const size_t alarm_route_count;

#endif
