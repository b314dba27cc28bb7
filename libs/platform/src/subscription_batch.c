#include "subscription.h"
#include <stdio.h>
#include <string.h>
#include "alarm.h"
#include "collect.h"
#include "groups.h"

#define SCAN_ROWS 500

typedef struct reading {
    rdg_platform_t *p;
    const subscription_spec_t *spec;
    subscription_batch_t *batch;
    size_t max, bytes;
    int64_t seen; /* the last that was looked at */
    bool full;
} reading_t;

static bool fits(const reading_t *r, const char *device) {
    const subscription_spec_t *s = r->spec;
    return !(s->group[0] || s->site[0]) || groups_fit(r->p, device, s->group, s->site);
}

/* Takes event. False: the batch is full, and the event is left for the next. */
static rdg_err_t add(reading_t *r, int64_t number, int64_t at_ms, json_t *event) {
    subscription_batch_t *b = r->batch;
    if (!event || json_array_append_new(b->events, event) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a delivery");
    if (b->first == 0) b->first = number;
    b->last = number;
    b->newest_ms = at_ms;
    return RDG_OK;
}

static bool has_room(reading_t *r, size_t bytes) {
    size_t n = json_array_size(r->batch->events);
    r->full = n >= r->max || (n > 0 && r->bytes + bytes > SUBSCRIPTION_BATCH_BYTES);
    r->bytes += bytes;
    return !r->full;
}

static rdg_err_t record_row(void *ctx, const rdg_sql_row_t *row) {
    reading_t *r = ctx;
    int64_t number = rdg_sql_row_int(row, 0);
    const char *data = rdg_sql_row_text(row, 6);
    char id[32];
    if (fits(r, rdg_sql_row_text(row, 1))) {
        if (!has_room(r, data ? strlen(data) : 0)) return RDG_E_CANCELLED;
        snprintf(id, sizeof id, "record-%lld", (long long)number);
        RDG_TRY(add(
            r, number, rdg_sql_row_int(row, 5),
            json_pack("{s:s, s:s, s:o}", "id", id, "type", "record", "record", collect_record_json(row))));
    }
    r->seen = number;
    return RDG_OK;
}

static const char *any(const char *text) {
    return text[0] ? text : NULL;
}

/* Everything up to `newest` has been looked at when the rows have come to an end before their limit. */
static rdg_err_t read_records(reading_t *r, int64_t *mark) {
    collect_t *c = r->p->collect;
    int64_t newest = 0;
    RDG_TRY(rdg_sql_query(c->records, "SELECT COALESCE(MAX(number), 0) FROM records", NULL, 0,
                          collect_int_row, &newest));
    if (newest <= *mark) return RDG_OK;
    r->seen = *mark;
    const record_filter_t f = {any(r->spec->tenant), any(r->spec->device), any(r->spec->kind)};
    RDG_TRY(collect_records_each(c, &f, *mark, SCAN_ROWS, record_row, r));
    if (json_array_size(r->batch->events) == 0) *mark = r->seen > *mark ? r->seen : newest;
    return RDG_OK;
}

static rdg_err_t found_row(void *ctx, const rdg_sql_row_t *row) {
    *(bool *)ctx = rdg_sql_row_int(row, 0) > 0;
    return RDG_OK;
}

/* Also of a device that is gone. */
static bool of_tenant(const reading_t *r, const char *device) {
    bool found = false;
    if (!r->spec->tenant[0]) return true;
    return rdg_sql_query(r->p->db, "SELECT COUNT(*) FROM device_tenants WHERE device = ? AND tenant = ?",
                         RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(r->spec->tenant)), found_row,
                         &found) == RDG_OK &&
           found;
}

static bool alarm_fits(const reading_t *r, const json_t *alarm) {
    const char *device = json_string_value(json_object_get(alarm, "device")),
               *kind = json_string_value(json_object_get(alarm, "kind"));
    if (!device || !kind) return false;
    if (r->spec->device[0] && strcmp(device, r->spec->device) != 0) return false;
    if (r->spec->kind[0] && strcmp(kind, r->spec->kind) != 0) return false;
    return fits(r, device) && of_tenant(r, device);
}

static rdg_err_t add_alarm(reading_t *r, const json_t *change) {
    const json_t *alarm = json_object_get(change, "alarm");
    int64_t number = json_integer_value(json_object_get(change, "change"));
    char id[32];
    if (alarm_fits(r, alarm)) {
        if (!has_room(r, 500)) return RDG_OK;
        snprintf(id, sizeof id, "alarm-%lld", (long long)number);
        RDG_TRY(add(r, number, json_integer_value(json_object_get(change, "at_ms")),
                    json_pack("{s:s, s:s, s:O, s:O, s:O}", "id", id, "type", "alarm", "what",
                              json_object_get(change, "what"), "at_ms", json_object_get(change, "at_ms"),
                              "alarm", alarm)));
    }
    r->seen = number;
    return RDG_OK;
}

static rdg_err_t read_alarms(reading_t *r, int64_t *mark) {
    json_t *changes, *one;
    size_t i;
    rdg_err_t err = RDG_OK;
    RDG_TRY(alarm_store_changes(monitor_db(r->p->monitor), *mark, SCAN_ROWS, &changes));
    r->seen = *mark;
    json_array_foreach(changes, i, one) {
        if (err == RDG_OK && !r->full) err = add_alarm(r, one);
    }
    json_decref(changes);
    if (err == RDG_OK && json_array_size(r->batch->events) == 0) *mark = r->seen;
    return err;
}

rdg_err_t subscription_batch_read(rdg_platform_t *p, const subscription_spec_t *spec,
                                  subscription_source_t start, int64_t marks[SUBSCRIPTION_SOURCES],
                                  size_t max, subscription_batch_t *out) {
    memset(out, 0, sizeof *out);
    out->events = json_array();
    if (!out->events) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a delivery");
    rdg_err_t err = RDG_OK;
    for (int i = 0; err == RDG_OK && i < SUBSCRIPTION_SOURCES && json_array_size(out->events) == 0; ++i) {
        int s = ((int)start + i) % SUBSCRIPTION_SOURCES;
        reading_t r = {.p = p, .spec = spec, .batch = out, .max = max};
        out->source = (subscription_source_t)s;
        if (!spec->wants[s]) continue;
        err = s == SUBSCRIPTION_ALARMS ? read_alarms(&r, &marks[s]) : read_records(&r, &marks[s]);
    }
    if (err != RDG_OK) subscription_batch_fini(out);
    return err;
}

void subscription_batch_fini(subscription_batch_t *b) {
    json_decref(b->events);
    b->events = NULL;
}

rdg_err_t subscription_batch_marks(rdg_platform_t *p, bool from_start, int64_t marks[SUBSCRIPTION_SOURCES]) {
    marks[SUBSCRIPTION_ALARMS] = marks[SUBSCRIPTION_RECORDS] = 0;
    if (from_start) return RDG_OK;
    RDG_TRY(alarm_store_last_change(monitor_db(p->monitor), &marks[SUBSCRIPTION_ALARMS]));
    return rdg_sql_query(p->collect->records, "SELECT COALESCE(MAX(number), 0) FROM records", NULL, 0,
                         collect_int_row, &marks[SUBSCRIPTION_RECORDS]);
}
