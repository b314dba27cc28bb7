#include "image_trust.h"
#include "rollout.h"
#include "collect.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/log.h"

#define ASK_EVERY_MS 20000
#define PRUNE_EVERY_MS 3600000
/* Deadlines of commands that wait for their device are looked at that often. */
#define LOOK_EVERY_MS 1000
/* And devices whose window is full: commands that are stuck leave it by time. */
#define RETRY_EVERY_MS 5000
#define HEADS 64

static const int windows[] = {[COMMAND_URGENT] = 64, [COMMAND_NORMAL] = 8, [COMMAND_BULK] = 2};

/* What goes out in one round: rows {"id","device","message"}, in the order in which they go. */
typedef struct dispatch_round {
    rdg_platform_t *p;
    json_t *rows;
    size_t free; /* places in the table of what is in flight */
    /* of the device that is being looked at */
    const char *device;
    int window; /* commands it holds; -1: it waits for one to end */
    unsigned seen;
    bool more; /* there was no place for all that could go */
} dispatch_round_t;

/* Call with the lock held. */
static int find_flight(const rdg_platform_t *p, const char *id) {
    for (int i = 0; i < PLATFORM_IN_FLIGHT; ++i)
        if (p->in_flight[i].message_id != 0 && strcmp(p->in_flight[i].command, id) == 0) return i;
    return -1;
}

static size_t free_places(rdg_platform_t *p) {
    size_t n = 0;
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i < PLATFORM_IN_FLIGHT; ++i) n += p->in_flight[i].message_id == 0;
    pthread_mutex_unlock(&p->lock);
    return n;
}

static bool flying(rdg_platform_t *p, const char *id) {
    pthread_mutex_lock(&p->lock);
    bool is = find_flight(p, id) >= 0;
    pthread_mutex_unlock(&p->lock);
    return is;
}

static json_t *row_of(const char *device, const rdg_sql_row_t *r) {
    json_t *message =
        json_pack("{s:s, s:s, s:s, s:I, s:s?, s:o}", "id", rdg_sql_row_text(r, 0), "type",
                  rdg_sql_row_text(r, 1), "priority", command_priority_name(rdg_sql_row_int(r, 2)),
                  "deadline_ms", (json_int_t)rdg_sql_row_int(r, 3), "traceparent", rdg_sql_row_text(r, 4),
                  "params", command_parse_column(r, 5));
    return message ? json_pack("{s:s, s:s, s:o}", "id", rdg_sql_row_text(r, 0), "device", device, "message",
                               message)
                   : NULL;
}

/* A device gets ready again while the round goes on, and is looked at again. */
static bool gathered(const dispatch_round_t *round, const char *id) {
    const json_t *row;
    size_t i;
    json_array_foreach(round->rows, i, row) {
        if (strcmp(json_string_value(json_object_get(row, "id")), id) == 0) return true;
    }
    return false;
}

static rdg_err_t head_row(void *ctx, const rdg_sql_row_t *r) {
    dispatch_round_t *round = ctx;
    ++round->seen;
    int64_t priority = rdg_sql_row_int(r, 2);
    const char *id = rdg_sql_row_text(r, 0);
    if (flying(round->p, id) || gathered(round, id)) return ++round->window, RDG_OK;
    if (round->window >= windows[priority >= 0 && priority <= COMMAND_BULK ? priority : COMMAND_NORMAL])
        return round->window = -1, RDG_E_CANCELLED;
    if (json_array_size(round->rows) >= round->free) return round->more = true, RDG_E_CANCELLED;
    json_t *row = row_of(round->device, r);
    if (!row || json_array_append_new(round->rows, row) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    ++round->window;
    return RDG_OK;
}

static rdg_err_t window_row(void *ctx, const rdg_sql_row_t *r) {
    *(int *)ctx = (int)rdg_sql_row_int(r, 0);
    return RDG_OK;
}

/* What of one device's queue may go now. */
static rdg_err_t look_at(dispatch_round_t *round, const char *device) {
    round->device = device;
    round->more = false;
    round->seen = 0;
    RDG_TRY(rdg_sql_query(
        round->p->db,
        "SELECT COUNT(*) FROM commands WHERE device = ? AND " COMMAND_UNFINISHED
        " AND state <> 'queued' AND handed > ?",
        RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_int((int64_t)platform_now() - COMMAND_WINDOW_MS)),
        window_row, &round->window));
    return rdg_sql_query(round->p->db,
                         "SELECT id, type, priority, deadline_ms, traceparent, params FROM commands WHERE "
                         "device = ? AND " COMMAND_UNFINISHED
                         " AND state = 'queued' ORDER BY priority, number LIMIT ?",
                         RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_int(HEADS)), head_row, round);
}

static rdg_err_t gather(dispatch_round_t *round) {
    char device[65];
    while (json_array_size(round->rows) < round->free && turns_next(round->p, device)) {
        rdg_err_t err = look_at(round, device);
        if (round->more) turns_ready(round->p, device);
        if (err != RDG_OK || round->window < 0 || round->seen == HEADS) turns_stall(round->p, device);
        RDG_TRY(err);
    }
    return RDG_OK;
}

/* The message id is known only once publish returns, and its acknowledgement may come on the client's thread
 * before that: the lock makes the acknowledgement wait. */
static rdg_err_t publish(rdg_platform_t *p, const char *id, const char *device, rdg_bytes_t payload) {
    char topic[PLATFORM_TOPIC_MAX];
    snprintf(topic, sizeof topic, "devices/%s/command", device);
    pthread_mutex_lock(&p->lock);
    rdg_err_t err = RDG_E_FULL;
    for (int i = 0; i < PLATFORM_IN_FLIGHT; ++i) {
        if (p->in_flight[i].message_id != 0) continue;
        err = rdg_mqtt_publish(p->mqtt, topic, payload, false, &p->in_flight[i].message_id);
        if (err != RDG_OK) p->in_flight[i].message_id = 0;
        p->in_flight[i].acknowledged = p->in_flight[i].lost = false;
        snprintf(p->in_flight[i].command, sizeof p->in_flight[i].command, "%s", id);
        snprintf(p->in_flight[i].device, sizeof p->in_flight[i].device, "%s", device);
        break;
    }
    pthread_mutex_unlock(&p->lock);
    return err;
}

static rdg_err_t send_one(rdg_platform_t *p, const json_t *row) {
    const char *id, *device;
    RDG_TRY(rdg_json_get_str(row, "id", &id));
    RDG_TRY(rdg_json_get_str(row, "device", &device));
    rdg_buf_t payload;
    rdg_buf_init(&payload, RDG_MQTT_PAYLOAD_MAX);
    rdg_err_t err = rdg_json_dump(json_object_get(row, "message"), &payload);
    if (err == RDG_OK) err = publish(p, id, device, rdg_buf_view(&payload));
    rdg_buf_fini(&payload);
    return err;
}

static rdg_err_t send_round(dispatch_round_t *round) {
    const char *ids[PLATFORM_IN_FLIGHT];
    bool ok[PLATFORM_IN_FLIGHT] = {false};
    size_t count = json_array_size(round->rows), sent = 0;
    rdg_err_t err;
    if (count == 0) return RDG_OK;
    for (size_t i = 0; i < count; ++i)
        ids[i] = json_string_value(json_object_get(json_array_get(round->rows, i), "id"));
    err = command_hand_over(round->p, ids, count, ok);
    for (; err == RDG_OK && sent < count; ++sent)
        if (ok[sent]) {
            err = send_one(round->p, json_array_get(round->rows, sent));
            if (err != RDG_OK) break;
        }
    /* What could not go now goes with the next acknowledgement or connection, in the same order. */
    for (; sent < count; ++sent)
        turns_ready(round->p,
                    json_string_value(json_object_get(json_array_get(round->rows, sent), "device")));
    return err;
}

static void send_queued(rdg_platform_t *p) {
    dispatch_round_t round = {.p = p, .rows = json_array(), .free = free_places(p)};
    rdg_err_t err = round.rows ? gather(&round) : rdg_fail(RDG_E_NO_MEMORY, "no memory for the commands");
    rdg_err_t sent = round.rows ? send_round(&round) : RDG_OK;
    json_decref(round.rows);
    if (err == RDG_OK) err = sent;
    if (err != RDG_OK && err != RDG_E_FULL && err != RDG_E_UNAVAILABLE) rdg_log_err("dispatch.failed", err);
}

/* The flights that the broker has acknowledged, and of which of these it has the commands: not of those that were requeued
 * meanwhile. */
typedef struct landing {
    int flights[PLATFORM_IN_FLIGHT];
    char ids[PLATFORM_IN_FLIGHT][PLATFORM_ID_MAX + 1];
    size_t count, taken;
} landing_t;

static void look_who_landed(rdg_platform_t *p, landing_t *l) {
    l->count = l->taken = 0;
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i < PLATFORM_IN_FLIGHT; ++i) {
        if (p->in_flight[i].message_id == 0 || !p->in_flight[i].acknowledged) continue;
        l->flights[l->count++] = i;
        if (!p->in_flight[i].lost) memcpy(l->ids[l->taken++], p->in_flight[i].command, sizeof l->ids[0]);
    }
    pthread_mutex_unlock(&p->lock);
}

static rdg_err_t store_landed(rdg_platform_t *p, landing_t *l) {
    RDG_TRY(rdg_sql_begin(p->db));
    look_who_landed(p, l); /* again: command_requeue says why here */
    rdg_err_t err = command_taken(p, (const char(*)[PLATFORM_ID_MAX + 1]) l->ids, l->taken);
    if (err == RDG_OK) return rdg_sql_commit(p->db);
    rdg_sql_rollback(p->db);
    return err;
}

/* Call with the lock held. */
static void look_again_at(rdg_platform_t *p, const char *device) {
    device_t *d = devices_find(p, device);
    if (d) turns_put(p, d);
}

/* What the broker has acknowledged since the last round; until it is stored the dispatcher does not take it for
 * unsent. */
static void settle(rdg_platform_t *p) {
    landing_t l;
    look_who_landed(p, &l);
    if (l.count == 0) return;
    rdg_err_t err = store_landed(p, &l);
    if (err != RDG_OK) {
        rdg_log_err("dispatch.failed", err);
        return; /* tried again with the next round */
    }
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < l.count; ++i) {
        int at = l.flights[i];
        if (p->in_flight[at].lost) look_again_at(p, p->in_flight[at].device);
        p->in_flight[at].message_id = 0;
    }
    pthread_mutex_unlock(&p->lock);
    if (l.taken > 0) platform_changed(p);
}

typedef struct dispatch_state {
    uint64_t look_at, ask_at, retry_at, prune_at, rollouts_at; /* monotonic */
} dispatch_state_t;

static void work(rdg_platform_t *p, dispatch_state_t *s, bool up, bool lost, bool rollouts) {
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    settle(p);
    /* The broker may have died with what it had taken and not passed on; devices know repetitions. */
    if (lost && up && command_requeue(p, NULL) == RDG_OK) turns_all_ready(p);
    if (now >= s->look_at) {
        (void)command_expire(p);
        s->look_at = now + LOOK_EVERY_MS;
    }
    if (now >= s->ask_at) {
        size_t count;
        if (command_ask_again(p, &count) == RDG_OK && count > 0) turns_all_ready(p);
        s->ask_at = now + ASK_EVERY_MS;
    }
    if (now >= s->retry_at) {
        turns_retry(p);
        s->retry_at = now + RETRY_EVERY_MS;
    }
    if (rollouts || now >= s->rollouts_at) s->rollouts_at = rollout_tick(p, now);
    if (up) send_queued(p);
    ca_link_tick(p, up, lost);
    image_trust_tick(p, up, lost);
    if (now >= s->prune_at) {
        (void)command_prune(p);
        (void)rollout_prune(p);
        collect_tick(p->collect);
        s->prune_at = now + PRUNE_EVERY_MS;
    }
}

static void *dispatch_main(void *arg) {
    rdg_platform_t *p = arg;
    dispatch_state_t s = {0};
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        uint64_t until = rdg_mono_ms(rdg_clock_system()) + LOOK_EVERY_MS;
        if (s.rollouts_at < until) until = s.rollouts_at;
        if (!p->kicked) (void)platform_wait(p, &p->kick, until);
        bool up = p->connected, lost = p->lost, rollouts = p->rollouts_changed;
        p->rollouts_changed = false;
        p->kicked = false;
        if (up) p->lost = false;
        pthread_mutex_unlock(&p->lock);
        work(p, &s, up, lost, rollouts);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

rdg_err_t dispatch_start(rdg_platform_t *p) {
    int e = pthread_create(&p->dispatcher, NULL, dispatch_main, p);
    if (e != 0) return rdg_fail_errno(e, "cannot start the command dispatcher's thread");
    p->dispatching = true;
    return RDG_OK;
}

void dispatch_join(rdg_platform_t *p) {
    if (p->dispatching) pthread_join(p->dispatcher, NULL);
    p->dispatching = false;
}

void dispatch_published(rdg_platform_t *p, int message_id) {
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i < PLATFORM_IN_FLIGHT && message_id != 0; ++i) {
        if (p->in_flight[i].message_id != message_id) continue;
        p->in_flight[i].acknowledged = true;
        p->kicked = true;
        pthread_cond_signal(&p->kick);
    }
    pthread_mutex_unlock(&p->lock);
}

void dispatch_lost(rdg_platform_t *p, const char *device) {
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i < PLATFORM_IN_FLIGHT; ++i)
        if (strcmp(p->in_flight[i].device, device) == 0) p->in_flight[i].lost = true;
    pthread_mutex_unlock(&p->lock);
}

void dispatch_connection(rdg_platform_t *p, bool up) {
    pthread_mutex_lock(&p->lock);
    p->connected = up;
    if (!up) p->lost = true;
    if (!up) memset(p->in_flight, 0, sizeof p->in_flight);
    p->kicked = true;
    pthread_cond_signal(&p->kick);
    pthread_mutex_unlock(&p->lock);
}
