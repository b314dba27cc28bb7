#include "internal.h"

#define EVENTS_KEPT 1000

rdg_err_t event_add(rdg_baas_t *b, int64_t chain, const char *device, const char *step, const char *state,
                    const char *message) {
    RDG_TRY(rdg_sql_exec(b->db,
                         "INSERT INTO chain_events (chain, time_ms, device, step, state, message)"
                         " VALUES (?, ?, ?, ?, ?, ?)",
                         RDG_SQL_PARAMS(rdg_sql_int(chain), rdg_sql_int((int64_t)baas_now()),
                                        rdg_sql_text(device), rdg_sql_text(step), rdg_sql_text(state),
                                        rdg_sql_text(message)),
                         NULL));
    return rdg_sql_exec(b->db,
                        "DELETE FROM chain_events WHERE chain = ? AND seq <= (SELECT seq FROM chain_events"
                        " WHERE chain = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                        RDG_SQL_PARAMS(rdg_sql_int(chain), rdg_sql_int(chain), rdg_sql_int(EVENTS_KEPT)),
                        NULL);
}

void event_wake(rdg_baas_t *b) {
    pthread_mutex_lock(&b->lock);
    ++b->event_generation;
    pthread_cond_broadcast(&b->events);
    pthread_mutex_unlock(&b->lock);
}

static rdg_err_t event_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *e =
        json_pack("{s:I, s:I, s:s?, s:s, s:s, s:s}", "seq", (json_int_t)rdg_sql_row_int(r, 0), "time_ms",
                  (json_int_t)rdg_sql_row_int(r, 1), "device", rdg_sql_row_text(r, 2), "step",
                  rdg_sql_row_text(r, 3), "state", rdg_sql_row_text(r, 4), "message", rdg_sql_row_text(r, 5));
    return e && json_array_append_new(ctx, e) == 0 ? RDG_OK
                                                   : rdg_fail(RDG_E_NO_MEMORY, "no memory for the events");
}

static rdg_err_t read_events(rdg_baas_t *b, int64_t chain, uint64_t after, json_t **out) {
    *out = json_array();
    rdg_err_t err =
        rdg_sql_query(b->db,
                      "SELECT seq, time_ms, device, step, state, message FROM chain_events"
                      " WHERE chain = ? AND seq > ? ORDER BY seq LIMIT 1000",
                      RDG_SQL_PARAMS(rdg_sql_int(chain), rdg_sql_int((int64_t)after)), event_row, *out);
    if (err != RDG_OK) json_decref(*out);
    return err;
}

static rdg_err_t events(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    uint64_t after = 0, wait_ms = BAAS_WAIT_MAX_MS;
    chain_t c;
    json_t *list;
    RDG_TRY(rdg_service_query_u64(call, "after", 0, INT64_MAX, &after));
    RDG_TRY(rdg_service_query_u64(call, "wait_ms", 0, BAAS_WAIT_MAX_MS, &wait_ms));
    RDG_TRY(chain_load(b, rdg_service_arg(call, "name"), &c));
    int64_t number = c.number;
    chain_fini(&c);
    uint64_t deadline = baas_mono() + wait_ms;
    for (;;) {
        pthread_mutex_lock(&b->lock);
        uint64_t generation = b->event_generation;
        pthread_mutex_unlock(&b->lock);
        RDG_TRY(read_events(b, number, after, &list));
        if (json_array_size(list) > 0) break;
        const bool fair = rdg_service_wait_begin(call);
        pthread_mutex_lock(&b->lock);
        bool in_time = wait_ms > 0;
        uint64_t until = deadline, soon = baas_mono() + BAAS_IMPATIENT_MS;
        if ((!fair || b->patient >= BAAS_PATIENT) && until > soon) until = soon;
        ++b->patient;
        while (b->event_generation == generation && !b->stopping && in_time && !rdg_service_ended(call)) {
            uint64_t look = baas_mono() + RDG_SERVICE_LOOK_MS;
            in_time = baas_wait(b, &b->events, look < until ? look : until) || baas_mono() < until;
        }
        --b->patient;
        bool more = b->event_generation != generation && !b->stopping;
        pthread_mutex_unlock(&b->lock);
        rdg_service_wait_end(call, fair);
        if (!more) break;
        json_decref(list);
    }
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "events", list));
}

const rdg_service_route_t event_routes[] = {
    {"GET", "/api/v1/chains/{name}/events", RDG_ROUTE_OWNED, events},
};
const size_t event_route_count = sizeof event_routes / sizeof event_routes[0];
