#include "collector_prune.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

#define RETRY_MS 200

static int rank_of(const char *state) {
    static const char *const names[] = {"pending", "queued", "sent", "running"};
    for (int i = 0; i < RANK_FINAL; ++i)
        if (strcmp(state, names[i]) == 0) return i;
    return RANK_FINAL;
}

typedef struct owner {
    int64_t chain;
    char name[BAAS_NAME_MAX + 1], device[BAAS_NAME_MAX + 1];
    step_kind_t kind;
} owner_t;

static rdg_err_t owner_row(void *ctx, const rdg_sql_row_t *r) {
    owner_t *o = ctx;
    o->chain = rdg_sql_row_int(r, 0);
    snprintf(o->name, sizeof o->name, "%s", rdg_sql_row_text(r, 1));
    snprintf(o->device, sizeof o->device, "%s", rdg_sql_row_text(r, 2));
    o->kind = (step_kind_t)rdg_sql_row_int(r, 3);
    return RDG_OK;
}

typedef struct news {
    const char *id, *state, *step, *message;
    char *result; /* owned */
    int rank;
} news_t;

static rdg_err_t read_news(const json_t *command, news_t *n) {
    RDG_TRY(rdg_json_get_str(command, "id", &n->id));
    RDG_TRY(rdg_json_get_str(command, "state", &n->state));
    RDG_TRY(rdg_json_opt_str(command, "step", &n->step));
    const json_t *error = json_object_get(command, "error"), *result = json_object_get(command, "result");
    if (json_is_object(error)) RDG_TRY(rdg_json_opt_str(error, "message", &n->message));
    if (json_is_object(result)) {
        n->result = rdg_json_text(result);
        if (!n->result) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a result");
    }
    n->rank = rank_of(n->state);
    return RDG_OK;
}

static rdg_err_t count_row(void *ctx, const rdg_sql_row_t *r) {
    *(bool *)ctx = rdg_sql_row_int(r, 0) != 0;
    return RDG_OK;
}

/* Is `step` what the device's last event told already? Progress within a part of a step is no news. */
static rdg_err_t is_told(rdg_baas_t *b, const owner_t *o, const char *step, bool *told) {
    *told = false;
    return rdg_sql_query(
        b->db,
        "SELECT step = ? AND state = 'running' FROM chain_events WHERE chain = ? AND device = ?"
        " ORDER BY seq DESC LIMIT 1",
        RDG_SQL_PARAMS(rdg_sql_text(step), rdg_sql_int(o->chain), rdg_sql_text(o->device)), count_row, told);
}

/* A step only moves up, so news in any order and any number end in the same state. */
static rdg_err_t store_news(rdg_baas_t *b, const owner_t *o, const news_t *n, bool *moved) {
    size_t rows = 0;
    RDG_TRY(rdg_sql_exec(b->db,
                         "UPDATE chain_steps SET state = ?, rank = ?, result = ?, error = ?, updated_ms = ?"
                         " WHERE command = ? AND rank < ?",
                         RDG_SQL_PARAMS(rdg_sql_text(n->state), rdg_sql_int(n->rank), rdg_sql_text(n->result),
                                        rdg_sql_text(n->message), rdg_sql_int((int64_t)baas_now()),
                                        rdg_sql_text(n->id), rdg_sql_int(n->rank)),
                         &rows));
    *moved = rows > 0;
    if (!*moved && n->rank != RANK_RUNNING) return RDG_OK;
    char step[160];
    bool told;
    bool part = n->rank == RANK_RUNNING && n->step;
    snprintf(step, sizeof step, "%s%s%s", step_name(o->kind), part ? "." : "", part ? n->step : "");
    RDG_TRY(is_told(b, o, step, &told));
    if (told && !*moved) return RDG_OK;
    return event_add(b, o->chain, o->device, step, n->state, n->message ? n->message : "");
}

rdg_err_t follow_apply(rdg_baas_t *b, const json_t *command) {
    news_t n = {0};
    owner_t o = {0};
    bool moved = false;
    rdg_err_t err = read_news(command, &n);
    if (err == RDG_OK)
        err = rdg_sql_query(b->db,
                            "SELECT c.number, c.name, s.device, s.kind FROM chain_steps s JOIN chains c"
                            " ON c.number = s.chain WHERE s.command = ?",
                            RDG_SQL_PARAMS(rdg_sql_text(n.id)), owner_row, &o);
    if (err == RDG_OK && o.chain) {
        err = rdg_sql_begin(b->db);
        if (err == RDG_OK) {
            err = store_news(b, &o, &n, &moved);
            if (err == RDG_OK) err = rdg_sql_commit(b->db);
            if (err != RDG_OK) rdg_sql_rollback(b->db);
        }
        event_wake(b);
    }
    if (err == RDG_OK && !o.chain && n.rank == RANK_FINAL) err = prunes_apply(b, command);
    if (err == RDG_OK && moved && n.rank == RANK_FINAL) work_kick(b, o.name);
    rdg_free(n.result);
    return err;
}

/* The feed moves on only when everything of it is in our store. */
static rdg_err_t take_changes(rdg_baas_t *b) {
    json_t *commands = NULL, *command;
    size_t i;
    uint64_t after = b->follow_after;
    rdg_err_t err = remote_changes(b, &after, BAAS_WAIT_MAX_MS, &commands);
    json_array_foreach(commands, i, command) {
        if (err == RDG_OK) err = follow_apply(b, command);
    }
    json_decref(commands);
    if (err == RDG_OK) b->follow_after = after;
    return err;
}

/* The start of the feed is fixed before any step is sent again, so nothing falls between. */
static void *follow_main(void *arg) {
    rdg_baas_t *b = arg;
    while (!baas_stopping(b)) {
        rdg_err_t err = take_changes(b);
        if (err == RDG_OK || baas_stopping(b)) continue;
        rdg_log(RDG_LOG_WARN, "chain.platform_away", RDG_STR("code", rdg_err_name(err)),
                RDG_STR("error", rdg_err_message(err)));
        pthread_mutex_lock(&b->lock);
        if (!b->stopping) (void)baas_wait(b, &b->events, baas_mono() + RETRY_MS);
        pthread_mutex_unlock(&b->lock);
    }
    return NULL;
}

rdg_err_t follow_start(rdg_baas_t *b) {
    json_t *none = NULL;
    b->follow_after = UINT64_MAX;
    RDG_TRY(rdg_fail_in(remote_changes(b, &b->follow_after, 0, &none), "the platform"));
    json_decref(none);
    int e = pthread_create(&b->follower, NULL, follow_main, b);
    if (e != 0) return rdg_fail_errno(e, "cannot start a thread of the chain service");
    b->following = true;
    return RDG_OK;
}

void follow_join(rdg_baas_t *b) {
    if (b->following) pthread_join(b->follower, NULL);
    b->following = false;
}
