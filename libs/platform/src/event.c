#include "event.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "alarm.h"
#include "collect.h"
#include "command.h"
#include "groups.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include "ridge/service/access.h"

#define LOOK_MS 500u
#define PUMP_ROWS 200
#define STATES_MAX 200000
#define RUN_MAX 16

static const char *const names[EVENT_TYPES] = {"telemetry", "chain", "record", "alarm", "command"};

typedef struct event {
    uint64_t number;
    event_type_t type;
    char device[65], kind[65];
    size_t len;
    char *text; /* as it is sent; owned */
} event_t;

typedef struct client {
    rdg_http_stream_t *stream; /* NULL: a free place */
    event_filter_t filter;
} client_t;

struct events {
    rdg_platform_t *p;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, stopping, kicked;
    char run[RUN_MAX + 1];
    uint64_t next, wanted_ms; /* number of the next event; until when somebody may come back */
    event_t ring[EVENT_RING];
    uint64_t first; /* the oldest that the ring holds */
    size_t ring_bytes;
    client_t clients[EVENT_CLIENTS_MAX];
    size_t client_count;
    rdg_map_t *states;       /* "device/chain" -> its state + 1; the monitor's thread's own */
    pthread_mutex_t pumping; /* of what follows; taken before the lock */
    bool primed;
    int64_t record_mark, alarm_mark;
    uint64_t command_mark;
    rdg_metric_t *m_clients, *m_dropped, *m_events;
};

const char *event_type_name(event_type_t t) {
    return names[t];
}

static uint64_t mono_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

/* --- clients (with the lock held) ------------------------------------------------------------------------------ */

static void let_go(events_t *e, client_t *c) {
    rdg_http_stream_unref(c->stream);
    c->stream = NULL;
    --e->client_count;
    e->wanted_ms = mono_ms() + EVENT_LINGER_MS;
    rdg_metric_set(e->m_clients, (int64_t)e->client_count);
}

static void drop(events_t *e, client_t *c, const char *reason) {
    char last[160];
    snprintf(last, sizeof last, "event: dropped\ndata: {\"reason\":\"%s\"}\n\n", reason);
    rdg_http_stream_end(c->stream, rdg_bytes_str(last));
    rdg_metric_add(e->m_dropped, 1);
    rdg_log(RDG_LOG_WARN, "events.client_dropped", RDG_STR("why", reason));
    let_go(e, c);
}

static void write_to(events_t *e, client_t *c, rdg_bytes_t text) {
    rdg_err_t err = rdg_http_stream_write(c->stream, text);
    if (err == RDG_E_FULL)
        drop(e, c, "too slow: connect again with the id of the last event");
    else if (err != RDG_OK)
        let_go(e, c);
}

static bool fits(events_t *e, const event_filter_t *f, const event_t *one) {
    if (!f->types[one->type]) return false;
    if (f->device[0] && strcmp(f->device, one->device) != 0) return false;
    if (f->kind[0] && strcmp(f->kind, one->kind) != 0) return false;
    if (f->tenant[0] && !devices_of(e->p, f->tenant, one->device)) return false;
    return !(f->group[0] || f->site[0]) || groups_fit(e->p, one->device, f->group, f->site);
}

static void forget_oldest(events_t *e) {
    event_t *old = &e->ring[e->first++ % EVENT_RING];
    e->ring_bytes -= old->len;
    rdg_free(old->text);
    old->text = NULL;
}

static bool wanted(events_t *e) {
    return !e->stopping && (e->client_count > 0 || mono_ms() < e->wanted_ms);
}

/* --- an event ------------------------------------------------------------------------------------------------------ */

static rdg_err_t make_text(const events_t *e, event_type_t type, const char *device, const json_t *data,
                           rdg_buf_t *out) {
    rdg_buf_printf(out, "id: %s-%" PRIu64 "\nevent: %s\ndata: ", e->run, e->next, names[type]);
    size_t head = out->len;
    if (rdg_json_dump(data, out) != RDG_OK || rdg_buf_str(out, "\n\n") != RDG_OK) {
        out->len = head;
        rdg_buf_fini(out);
        rdg_buf_init(out, EVENT_MAX);
        rdg_buf_printf(out, "id: %s-%" PRIu64 "\nevent: %s\ndata: {\"device\":\"%s\",\"truncated\":true}\n\n",
                       e->run, e->next, names[type], device);
    }
    return rdg_buf_err(out);
}

/* Call with the lock held. */
static void put(events_t *e, event_type_t type, const char *device, const char *kind, const json_t *data) {
    rdg_buf_t text;
    rdg_buf_init(&text, EVENT_MAX);
    event_t *one = &e->ring[e->next % EVENT_RING];
    if (e->next - e->first == EVENT_RING) forget_oldest(e);
    if (make_text(e, type, device, data, &text) == RDG_OK) {
        one->number = e->next++;
        one->type = type;
        snprintf(one->device, sizeof one->device, "%s", device);
        snprintf(one->kind, sizeof one->kind, "%s", kind);
        one->text = (char *)rdg_buf_take(&text, &one->len);
        e->ring_bytes += one->len;
        for (size_t i = 0; i < EVENT_CLIENTS_MAX; ++i)
            if (e->clients[i].stream && fits(e, &e->clients[i].filter, one))
                write_to(e, &e->clients[i], rdg_bytes(one->text, one->len));
        while (e->ring_bytes > EVENT_RING_BYTES && e->first + 1 < e->next) forget_oldest(e);
        rdg_metric_add(e->m_events, 1);
    }
    rdg_buf_fini(&text);
}

/* Takes data, which may be NULL for want of memory. */
static void publish(events_t *e, event_type_t type, const char *device, const char *kind, json_t *data) {
    if (!data) return;
    pthread_mutex_lock(&e->lock);
    if (wanted(e)) put(e, type, device, kind, data);
    pthread_mutex_unlock(&e->lock);
    json_decref(data);
}

/* --- telemetry, on the monitor's thread ------------------------------------------------------------------------------ */

static void chain_states(events_t *e, const monitor_arrival_t *a, bool tell) {
    for (size_t i = 0; i < a->telemetry->chain_count; ++i) {
        const rdg_telemetry_chain_t *c = &a->telemetry->chains[i];
        char key[140];
        void *old = NULL, *now = (void *)((uintptr_t)c->state + 1);
        snprintf(key, sizeof key, "%s/%s", a->device, c->name);
        if (rdg_map_put(e->states, rdg_bytes_str(key), now, &old) != RDG_OK || old == now || !tell) continue;
        uint64_t height = c->numbers[RDG_CHAIN_HEIGHT];
        json_t *data = json_pack("{s:s, s:s, s:s, s:I}", "device", a->device, "chain", c->name, "state",
                                 rdg_telemetry_state_name(c->state), "at_ms", (json_int_t)a->received_ms);
        if (data && height != RDG_TELEMETRY_ABSENT)
            json_object_set_new(data, "height", json_integer((json_int_t)height));
        publish(e, EVENT_CHAIN, a->device, c->name, data);
    }
}

void events_arrived(events_t *e, const monitor_arrival_t *a) {
    if (!e) return;
    pthread_mutex_lock(&e->lock);
    bool tell = wanted(e);
    pthread_mutex_unlock(&e->lock);
    if (a->live) chain_states(e, a, tell);
    if (!tell) return;
    json_t *data = rdg_telemetry_json(a->telemetry);
    if (data) json_object_set_new(data, "device", json_string(a->device));
    if (data) json_object_set_new(data, "live", json_boolean(a->live));
    if (data) json_object_set_new(data, "received_ms", json_integer((json_int_t)a->received_ms));
    publish(e, EVENT_TELEMETRY, a->device, "", data);
}

/* --- what is read from where it is stored -------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *field) {
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "";
}

static rdg_err_t record_row(void *ctx, const rdg_sql_row_t *r) {
    events_t *e = ctx;
    e->record_mark = rdg_sql_row_int(r, 0);
    publish(e, EVENT_RECORD, rdg_sql_row_text(r, 1), rdg_sql_row_text(r, 3), collect_record_json(r));
    return RDG_OK;
}

static rdg_err_t pump_alarms(events_t *e) {
    json_t *changes, *one;
    size_t i;
    RDG_TRY(alarm_store_changes(monitor_db(e->p->monitor), e->alarm_mark, PUMP_ROWS, &changes));
    json_array_foreach(changes, i, one) {
        const json_t *alarm = json_object_get(one, "alarm");
        e->alarm_mark = json_integer_value(json_object_get(one, "change"));
        publish(e, EVENT_ALARM, text_of(alarm, "device"), text_of(alarm, "kind"), json_incref(one));
    }
    json_decref(changes);
    return RDG_OK;
}

static rdg_err_t pump_commands(events_t *e) {
    json_t *commands, *one;
    size_t i;
    RDG_TRY(command_changes(e->p, NULL, e->command_mark, PUMP_ROWS, &commands, &e->command_mark));
    json_array_foreach(commands, i, one)
        publish(e, EVENT_COMMAND, text_of(one, "device"), text_of(one, "type"), json_incref(one));
    json_decref(commands);
    return RDG_OK;
}

/* With pumping held: from now on, where nobody has listened. */
static rdg_err_t prime(events_t *e) {
    if (e->primed) return RDG_OK;
    RDG_TRY(rdg_sql_query(e->p->collect->records, "SELECT COALESCE(MAX(number), 0) FROM records", NULL, 0,
                          collect_int_row, &e->record_mark));
    RDG_TRY(alarm_store_last_change(monitor_db(e->p->monitor), &e->alarm_mark));
    RDG_TRY(command_last_change(e->p, NULL, &e->command_mark));
    e->primed = true;
    return RDG_OK;
}

static rdg_err_t pump(events_t *e) {
    RDG_TRY(prime(e));
    const record_filter_t all = {NULL, NULL, NULL};
    RDG_TRY(collect_records_each(e->p->collect, &all, e->record_mark, PUMP_ROWS, record_row, e));
    RDG_TRY(pump_alarms(e));
    return pump_commands(e);
}

/* Call with the lock held. */
static void end_those_without_token(events_t *e) {
    rdg_caller_t who;
    for (size_t i = 0; i < EVENT_CLIENTS_MAX; ++i) {
        client_t *c = &e->clients[i];
        if (c->stream && c->filter.access && !rdg_access_named(c->filter.access, c->filter.caller, &who))
            drop(e, c, "the access token has expired or was revoked");
    }
}

/* Call with the lock held. */
static void beat(events_t *e) {
    for (size_t i = 0; i < EVENT_CLIENTS_MAX; ++i)
        if (e->clients[i].stream) write_to(e, &e->clients[i], rdg_bytes_str(": still here\n\n"));
}

/* Who joins does so with all marks set: what happens from then on is told. */
static void pump_if_wanted(events_t *e) {
    pthread_mutex_lock(&e->pumping);
    pthread_mutex_lock(&e->lock);
    bool listening = wanted(e);
    pthread_mutex_unlock(&e->lock);
    if (!listening) e->primed = false;
    rdg_err_t err = listening ? pump(e) : RDG_OK;
    pthread_mutex_unlock(&e->pumping);
    if (err != RDG_OK) rdg_log_err("events.failed", err);
}

static void *run(void *arg) {
    events_t *e = arg;
    uint64_t beat_at = mono_ms() + EVENT_HEARTBEAT_MS, look_at = 0;
    pthread_mutex_lock(&e->lock);
    while (!e->stopping) {
        e->kicked = false;
        pthread_mutex_unlock(&e->lock);
        pump_if_wanted(e);
        pthread_mutex_lock(&e->lock);
        uint64_t now = mono_ms(), end = now + LOOK_MS;
        if (now >= look_at) {
            end_those_without_token(e);
            look_at = now + LOOK_MS;
        }
        if (now >= beat_at) {
            beat(e);
            beat_at = now + EVENT_HEARTBEAT_MS;
        }
        struct timespec t = {(time_t)(end / 1000), (long)(end % 1000) * 1000000};
        if (!e->stopping && !e->kicked) (void)pthread_cond_timedwait(&e->wake, &e->lock, &t);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

void events_kick(events_t *e) {
    if (!e) return;
    pthread_mutex_lock(&e->lock);
    e->kicked = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
}

/* --- coming and coming back -------------------------------------------------------------------------------------------- */

/* "<run>-<number>": the number, if the run is this one; 0: what is before cannot be told. */
static rdg_err_t read_id(const events_t *e, const char *id, uint64_t *after) {
    const char *dash = strchr(id, '-');
    *after = UINT64_MAX;
    if (!dash || dash - id > RUN_MAX || rdg_parse_u64(dash + 1, after) != RDG_OK)
        return rdg_fail(RDG_E_INVALID, "'%.40s' is no id of an event", id);
    if (strncmp(id, e->run, (size_t)(dash - id)) != 0 || strlen(e->run) != (size_t)(dash - id))
        *after = UINT64_MAX;
    return RDG_OK;
}

/* Call with the lock held. */
static void catch_up(events_t *e, client_t *c, uint64_t after) {
    bool whole = after < e->next && after + 1 >= e->first;
    if (!whole)
        write_to(e, c,
                 rdg_bytes_str("event: reset\ndata: {\"reason\":\"events between the last id and now are not"
                               " here any more: ask for lists\"}\n\n"));
    for (uint64_t n = whole ? after + 1 : e->next; c->stream && n < e->next; ++n) {
        const event_t *one = &e->ring[n % EVENT_RING];
        if (fits(e, &c->filter, one)) write_to(e, c, rdg_bytes(one->text, one->len));
    }
}

/* Call with the lock held. */
static rdg_err_t admit(events_t *e, const event_filter_t *f, rdg_http_stream_t *s, client_t **out) {
    size_t own = 0;
    if (e->stopping) return rdg_fail(RDG_E_UNAVAILABLE, "the cloud is stopping");
    for (size_t i = 0; f->tenant[0] && i < EVENT_CLIENTS_MAX; ++i)
        own += e->clients[i].stream && strcmp(e->clients[i].filter.tenant, f->tenant) == 0;
    if (own >= EVENT_TENANT_CLIENTS_MAX)
        return rdg_fail(RDG_E_BUSY, "%d clients of tenant %s listen already", EVENT_TENANT_CLIENTS_MAX,
                        f->tenant);
    for (size_t i = 0; i < EVENT_CLIENTS_MAX; ++i) {
        if (e->clients[i].stream) continue;
        *out = &e->clients[i];
        **out = (client_t){.stream = rdg_http_stream_ref(s), .filter = *f};
        rdg_metric_set(e->m_clients, (int64_t)++e->client_count);
        return RDG_OK;
    }
    return rdg_fail(RDG_E_BUSY, "%d clients listen already", EVENT_CLIENTS_MAX);
}

/* So that also a stream on which nothing has happened yet can be gone on with. */
static void say_hello(events_t *e, client_t *c) {
    char hello[96];
    snprintf(hello, sizeof hello, "retry: 2000\nid: %s-%" PRIu64 "\nevent: hello\ndata: {}\n\n", e->run,
             e->next - 1);
    write_to(e, c, rdg_bytes_str(hello));
}

rdg_err_t events_join(events_t *e, const event_filter_t *f, const char *last, rdg_http_stream_t **out) {
    uint64_t after = 0;
    client_t *c;
    rdg_http_stream_t *s;
    if (last) RDG_TRY(read_id(e, last, &after));
    RDG_TRY(rdg_http_stream_new(EVENT_BUFFER_BYTES, &s));
    pthread_mutex_lock(&e->pumping);
    rdg_err_t err = prime(e);
    pthread_mutex_lock(&e->lock);
    if (err == RDG_OK) err = admit(e, f, s, &c);
    if (err == RDG_OK && last) catch_up(e, c, after);
    if (err == RDG_OK && !last) say_hello(e, c);
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    pthread_mutex_unlock(&e->pumping);
    if (err == RDG_OK)
        *out = s;
    else
        rdg_http_stream_unref(s);
    return err;
}

/* --- life ------------------------------------------------------------------------------------------------------------------ */

rdg_err_t events_open(rdg_platform_t *p, rdg_metrics_t *m, events_t **out) {
    events_t *e = rdg_calloc(1, sizeof *e);
    pthread_condattr_t attr;
    if (!e) return rdg_fail(RDG_E_NO_MEMORY, "no memory for events");
    e->p = p;
    e->first = e->next = 1;
    rdg_random_hex(rdg_random_system(), e->run, RUN_MAX / 2);
    pthread_mutex_init(&e->lock, NULL);
    pthread_mutex_init(&e->pumping, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (m) {
        e->m_clients = rdg_metrics_gauge(m, "ridge_events_clients", "clients that listen to events", NULL);
        e->m_dropped =
            rdg_metrics_counter(m, "ridge_events_dropped_total", "clients that were too slow", NULL);
        e->m_events = rdg_metrics_counter(m, "ridge_events_total", "events that clients could get", NULL);
    }
    e->states = rdg_map_new(STATES_MAX);
    e->running = e->states && pthread_create(&e->thread, NULL, run, e) == 0;
    if (!e->running) {
        events_close(e);
        return rdg_fail(RDG_E_NO_MEMORY, "cannot start the thread of events");
    }
    *out = e;
    return RDG_OK;
}

void events_stop(events_t *e) {
    if (!e) return;
    pthread_mutex_lock(&e->lock);
    e->stopping = true;
    for (size_t i = 0; i < EVENT_CLIENTS_MAX; ++i) {
        if (!e->clients[i].stream) continue;
        rdg_http_stream_end(e->clients[i].stream, rdg_bytes(NULL, 0));
        let_go(e, &e->clients[i]);
    }
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    if (e->running) pthread_join(e->thread, NULL);
    e->running = false;
}

void events_close(events_t *e) {
    if (!e) return;
    events_stop(e);
    while (e->first < e->next) forget_oldest(e);
    if (e->states) rdg_map_free(e->states);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->pumping);
    pthread_mutex_destroy(&e->lock);
    rdg_free(e);
}
