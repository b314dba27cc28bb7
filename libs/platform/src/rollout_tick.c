#include "rollout.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

/* While commands end one after the other, they are looked at that often at most. */
#define TICK_MIN_MS 100
#define TICK_IDLE_MS 1000
#define TICK_SHARE 10 /* and for at most a tenth of the time */

typedef struct moving {
    rdg_platform_t *p;
    char id[ROLLOUT_ID_MAX + 1], state[16], type[65], by[129], traceparent[RDG_TRACEPARENT_LEN + 1];
    char *params; /* owned */
    unsigned priority;
    int64_t valid_ms, batch_size, pause_ms, stop_percent, batches, next_ms, errors_before, reached_before,
        now;
    int64_t held;    /* ordered, and could have answered */
    json_t *changed; /* [position, state, message] of what has ended */
    json_t *orders;  /* [position, device, attempt] of the next batch */
    json_t *devices; /* that have a new command */
    bool moved;
} moving_t;

/* --- counting ------------------------------------------------------------------------------------------ */

static rdg_err_t count_row(void *ctx, const rdg_sql_row_t *r) {
    rollout_counts_t *c = ctx;
    const struct {
        const char *name;
        int64_t *to;
    } states[] = {{"waiting", &c->waiting},     {"ordered", &c->ordered}, {"done", &c->done},
                  {"failed", &c->failed},       {"expired", &c->expired}, {"unanswered", &c->unanswered},
                  {"cancelled", &c->cancelled}, {"refused", &c->refused}};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; ++i)
        if (strcmp(states[i].name, rdg_sql_row_text(r, 0)) == 0) *states[i].to = rdg_sql_row_int(r, 1);
    return RDG_OK;
}

rdg_err_t rollout_count(rdg_platform_t *p, const char *id, rollout_counts_t *out) {
    memset(out, 0, sizeof *out);
    return rdg_sql_query(p->db,
                         "SELECT state, COUNT(*) FROM rollout_devices WHERE rollout = ? GROUP BY state",
                         RDG_SQL_PARAMS(rdg_sql_text(id)), count_row, out);
}

int64_t rollout_errors(const rollout_counts_t *c) {
    return c->failed + c->unanswered + c->refused;
}

/* --- what has come back ---------------------------------------------------------------------------------- */

static rdg_err_t mark(moving_t *m, int64_t position, const char *state, const char *message) {
    json_t *row = json_pack("[I, s, s?]", (json_int_t)position, state, message);
    return row && json_array_append_new(m->changed, row) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for a rollout");
}

/* Columns: position, device, state of the command (NULL: it is gone), handed, deadline, error. */
static rdg_err_t ordered_row(void *ctx, const rdg_sql_row_t *r) {
    moving_t *m = ctx;
    int64_t position = rdg_sql_row_int(r, 0);
    const char *state = rdg_sql_row_text(r, 2);
    if (!state) return mark(m, position, "cancelled", "its command is gone");
    if (command_state_final(state)) return mark(m, position, state, rdg_sql_row_text(r, 5));
    bool handed = rdg_sql_row_int(r, 3) != 0;
    if (handed && rdg_sql_row_int(r, 4) + ROLLOUT_GRACE_MS < m->now)
        return mark(m, position, "unanswered", NULL);
    if (handed || devices_online(m->p, rdg_sql_row_text(r, 1))) ++m->held;
    return RDG_OK;
}

static rdg_err_t absorb(moving_t *m) {
    size_t i;
    const json_t *row;
    RDG_TRY(rdg_sql_query(
        m->p->db,
        "SELECT d.position, d.device, c.state, c.handed, c.deadline_ms, c.error FROM rollout_devices d"
        " LEFT JOIN commands c ON c.id = d.command WHERE d.rollout = ? AND d.state = 'ordered'",
        RDG_SQL_PARAMS(rdg_sql_text(m->id)), ordered_row, m));
    json_array_foreach(m->changed, i, row) {
        RDG_TRY(rdg_sql_exec(
            m->p->db, "UPDATE rollout_devices SET state = ?, message = ? WHERE rollout = ? AND position = ?",
            RDG_SQL_PARAMS(rdg_sql_text(json_string_value(json_array_get(row, 1))),
                           rdg_sql_text(json_string_value(json_array_get(row, 2))), rdg_sql_text(m->id),
                           rdg_sql_int(json_integer_value(json_array_get(row, 0)))),
            NULL));
        m->moved = true;
    }
    return RDG_OK;
}

/* --- moving on --------------------------------------------------------------------------------------------- */

static rdg_err_t set_state(moving_t *m, const char *state, const char *reason, bool open) {
    rdg_sql_value_t now = rdg_sql_int(m->now);
    m->moved = true;
    snprintf(m->state, sizeof m->state, "%s", state);
    rdg_log(RDG_LOG_INFO, "rollout.state", RDG_STR("rollout", m->id), RDG_STR("state", state),
            RDG_STR("why", reason ? reason : ""));
    return rdg_sql_exec(
        m->p->db,
        "UPDATE rollouts SET state = ?, reason = ?, open = ?, updated_ms = ?, ended_ms = ? WHERE id = ?",
        RDG_SQL_PARAMS(rdg_sql_text(state), rdg_sql_text(reason), rdg_sql_int(open), now,
                       open ? rdg_sql_text(NULL) : now, rdg_sql_text(m->id)),
        NULL);
}

static rdg_err_t order_row(void *ctx, const rdg_sql_row_t *r) {
    moving_t *m = ctx;
    json_t *row = json_pack("[I, s, I]", (json_int_t)rdg_sql_row_int(r, 0), rdg_sql_row_text(r, 1),
                            (json_int_t)rdg_sql_row_int(r, 2));
    return row && json_array_append_new(m->orders, row) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for a rollout");
}

static rdg_err_t order_one(moving_t *m, const json_t *row) {
    int64_t position = json_integer_value(json_array_get(row, 0)),
            attempt = json_integer_value(json_array_get(row, 2));
    const char *device = json_string_value(json_array_get(row, 1));
    command_order_t c = {.device = device,
                         .type = m->type,
                         .ordered_by = m->by,
                         .rollout = m->id,
                         .params = m->params,
                         .priority = m->priority,
                         .deadline_ms = (uint64_t)(m->now + m->valid_ms)};
    snprintf(c.id, sizeof c.id, "%s.%lld.%lld", m->id, (long long)position, (long long)attempt);
    snprintf(c.traceparent, sizeof c.traceparent, "%s", m->traceparent);
    rdg_err_t err = devices_known(m->p, device) ? command_put(m->p, &c) : devices_absent(device);
    bool refused = err == RDG_E_FULL || err == RDG_E_NOT_FOUND;
    if (err != RDG_OK && err != RDG_E_EXISTS && !refused) return err;
    RDG_TRY(rdg_sql_exec(m->p->db,
                         "UPDATE rollout_devices SET state = ?, message = ?, command = ?, batch = ?"
                         " WHERE rollout = ? AND position = ?",
                         RDG_SQL_PARAMS(rdg_sql_text(refused ? "refused" : "ordered"),
                                        rdg_sql_text(refused ? rdg_err_message(err) : NULL),
                                        rdg_sql_text(refused ? NULL : c.id), rdg_sql_int(m->batches + 1),
                                        rdg_sql_text(m->id), rdg_sql_int(position)),
                         NULL));
    if (!refused) json_array_append_new(m->devices, json_string(device));
    return RDG_OK;
}

static rdg_err_t order_batch(moving_t *m) {
    size_t i;
    const json_t *row;
    RDG_TRY(rdg_sql_query(
        m->p->db,
        "SELECT position, device, attempt FROM rollout_devices WHERE rollout = ? AND state = 'waiting'"
        " ORDER BY position LIMIT ?",
        RDG_SQL_PARAMS(rdg_sql_text(m->id), rdg_sql_int(m->batch_size)), order_row, m));
    json_array_foreach(m->orders, i, row) RDG_TRY(order_one(m, row));
    m->moved = true;
    return rdg_sql_exec(m->p->db,
                        "UPDATE rollouts SET batches = batches + 1, next_ms = 0, updated_ms = ? WHERE id = ?",
                        RDG_SQL_PARAMS(rdg_sql_int(m->now), rdg_sql_text(m->id)), NULL);
}

static rdg_err_t stop_if_bad(moving_t *m, const rollout_counts_t *c, bool *stopped) {
    char reason[160];
    int64_t errors = rollout_errors(c) - m->errors_before;
    int64_t reached = c->done + rollout_errors(c) + m->held - m->reached_before;
    *stopped = errors > 0 && errors * 100 > m->stop_percent * reached;
    if (!*stopped) return RDG_OK;
    snprintf(reason, sizeof reason, "%lld of %lld devices reached ended with an error, more than %lld %%",
             (long long)errors, (long long)reached, (long long)m->stop_percent);
    RDG_TRY(rollout_take_back(m->p, m->id, "rollout", "waiting"));
    return set_state(m, "stopped", reason, true);
}

static rdg_err_t move_running(moving_t *m) {
    rollout_counts_t c;
    bool stopped;
    RDG_TRY(rollout_count(m->p, m->id, &c));
    RDG_TRY(stop_if_bad(m, &c, &stopped));
    if (stopped) return RDG_OK;
    if (c.waiting == 0) return c.ordered == 0 ? set_state(m, "done", NULL, false) : RDG_OK;
    if (m->held > 0) return RDG_OK;
    if (m->next_ms == 0) {
        m->next_ms = m->now + m->pause_ms;
        RDG_TRY(rdg_sql_exec(m->p->db, "UPDATE rollouts SET next_ms = ? WHERE id = ?",
                             RDG_SQL_PARAMS(rdg_sql_int(m->next_ms), rdg_sql_text(m->id)), NULL));
    }
    return m->now >= m->next_ms ? order_batch(m) : RDG_OK;
}

static rdg_err_t move_one(moving_t *m) {
    RDG_TRY(absorb(m));
    if (strcmp(m->state, "running") == 0) return move_running(m);
    if (strcmp(m->state, "cancelled") != 0) return RDG_OK;
    rollout_counts_t c;
    RDG_TRY(rollout_count(m->p, m->id, &c));
    return c.ordered == 0 ? rdg_sql_exec(m->p->db, "UPDATE rollouts SET open = 0 WHERE id = ?",
                                         RDG_SQL_PARAMS(rdg_sql_text(m->id)), NULL)
                          : RDG_OK;
}

static rdg_err_t read_row(void *ctx, const rdg_sql_row_t *r) {
    moving_t *m = ctx;
    const char *by = rdg_sql_row_text(r, 4), *trace = rdg_sql_row_text(r, 5);
    snprintf(m->state, sizeof m->state, "%s", rdg_sql_row_text(r, 0));
    snprintf(m->type, sizeof m->type, "%s", rdg_sql_row_text(r, 1));
    m->params = rdg_strdup(rdg_sql_row_text(r, 2));
    m->priority = (unsigned)rdg_sql_row_int(r, 3);
    snprintf(m->by, sizeof m->by, "%s", by ? by : "");
    snprintf(m->traceparent, sizeof m->traceparent, "%s", trace ? trace : "");
    int64_t *const numbers[] = {&m->valid_ms, &m->batch_size, &m->pause_ms,      &m->stop_percent,
                                &m->batches,  &m->next_ms,    &m->errors_before, &m->reached_before};
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) *numbers[i] = rdg_sql_row_int(r, 6 + i);
    return m->params ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a rollout");
}

static rdg_err_t move_in_transaction(moving_t *m) {
    RDG_TRY(rdg_sql_begin(m->p->db));
    rdg_err_t err =
        rdg_sql_query(m->p->db,
                      "SELECT state, type, params, priority, ordered_by, traceparent, valid_ms, batch_size,"
                      " pause_ms, stop_percent, batches, next_ms, errors_before, reached_before"
                      " FROM rollouts WHERE id = ?",
                      RDG_SQL_PARAMS(rdg_sql_text(m->id)), read_row, m);
    if (err == RDG_OK) err = move_one(m);
    if (err == RDG_OK) err = rdg_sql_commit(m->p->db);
    if (err != RDG_OK) rdg_sql_rollback(m->p->db);
    return err;
}

/* True: something has changed. */
static bool move(rdg_platform_t *p, const char *id) {
    size_t i;
    const json_t *device;
    moving_t m = {.p = p,
                  .now = (int64_t)platform_now(),
                  .changed = json_array(),
                  .orders = json_array(),
                  .devices = json_array()};
    snprintf(m.id, sizeof m.id, "%s", id);
    rdg_err_t err = m.changed && m.orders && m.devices ? move_in_transaction(&m)
                                                       : rdg_fail(RDG_E_NO_MEMORY, "no memory for a rollout");
    if (err != RDG_OK) rdg_log_err("rollout.failed", err);
    if (err == RDG_OK)
        json_array_foreach(m.devices, i, device) command_announce(p, json_string_value(device));
    rdg_free(m.params);
    json_decref(m.changed);
    json_decref(m.orders);
    json_decref(m.devices);
    return err == RDG_OK && m.moved;
}

static rdg_err_t id_row(void *ctx, const rdg_sql_row_t *r) {
    return json_array_append_new(ctx, json_string(rdg_sql_row_text(r, 0))) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

uint64_t rollout_tick(rdg_platform_t *p, uint64_t now) {
    size_t i;
    const json_t *id;
    json_t *ids = json_array();
    bool moved = false;
    rdg_err_t err =
        rdg_sql_query(p->db, "SELECT id FROM rollouts WHERE open = 1 ORDER BY number", NULL, 0, id_row, ids);
    if (err != RDG_OK) rdg_log_err("rollout.failed", err);
    json_array_foreach(ids, i, id) moved |= move(p, json_string_value(id));
    bool any = json_array_size(ids) > 0;
    json_decref(ids);
    if (moved) platform_changed(p);
    uint64_t took = rdg_mono_ms(rdg_clock_system()) - now;
    uint64_t wait = took * TICK_SHARE > TICK_MIN_MS ? took * TICK_SHARE : TICK_MIN_MS;
    return now + took + (any ? wait : TICK_IDLE_MS);
}

rdg_err_t rollout_take_back(rdg_platform_t *p, const char *id, const char *by, const char *state) {
    RDG_TRY(command_take_back(p, id, by));
    return rdg_sql_exec(
        p->db,
        "UPDATE rollout_devices SET state = ?, attempt = attempt + 1 WHERE rollout = ? AND state = 'ordered'"
        " AND (SELECT state FROM commands c WHERE c.id = command) = 'cancelled'",
        RDG_SQL_PARAMS(rdg_sql_text(state), rdg_sql_text(id)), NULL);
}

rdg_err_t rollout_prune(rdg_platform_t *p) {
    rdg_sql_value_t before = rdg_sql_int((int64_t)(platform_now() - p->command_keep_ms));
    RDG_TRY(rdg_sql_exec(p->db,
                         "DELETE FROM rollout_devices WHERE rollout IN"
                         " (SELECT id FROM rollouts WHERE open = 0 AND updated_ms < ?)",
                         &before, 1, NULL));
    return rdg_sql_exec(p->db,
                        "DELETE FROM rollouts WHERE open = 0 AND updated_ms < ?"
                        " AND number < (SELECT MAX(number) FROM rollouts)",
                        &before, 1, NULL);
}
