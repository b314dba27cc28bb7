#include "member.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

#define POLL_MS 200
#define RELAY_MS 3000
#define PEERS_DEADLINE_MS (29ull * 86400000) /* a device that is away learns of its peers when it is back */
#define ATTEMPTS 100                         /* the commands of each change have numbers of their own */

/* --- the store ------------------------------------------------------------------------------------------------ */

static rdg_err_t member_row(void *ctx, const rdg_sql_row_t *r) {
    member_t *m = ctx;
    m->number = rdg_sql_row_int(r, 0);
    snprintf(m->device, sizeof m->device, "%s", rdg_sql_row_text(r, 1));
    snprintf(m->action, sizeof m->action, "%s", rdg_sql_row_text(r, 2));
    snprintf(m->step, sizeof m->step, "%s", rdg_sql_row_text(r, 3));
    snprintf(m->state, sizeof m->state, "%s", rdg_sql_row_text(r, 4));
    m->weight = (uint64_t)rdg_sql_row_int(r, 5);
    m->created_ms = (uint64_t)rdg_sql_row_int(r, 6);
    m->updated_ms = (uint64_t)rdg_sql_row_int(r, 7);
    rdg_free(m->error);
    m->error = rdg_strdup(rdg_sql_row_text(r, 8));
    return RDG_OK;
}

rdg_err_t member_load(rdg_baas_t *b, const chain_t *c, member_t *out) {
    memset(out, 0, sizeof *out);
    return rdg_sql_query(b->db,
                         "SELECT number, device, action, step, state, weight, created_ms, updated_ms, error"
                         " FROM chain_members WHERE chain = ? ORDER BY number DESC LIMIT 1",
                         RDG_SQL_PARAMS(rdg_sql_int(c->number)), member_row, out);
}

void member_fini(member_t *m) {
    rdg_free(m->error);
    m->error = NULL;
}

json_t *member_describe(const member_t *m) {
    if (m->number == 0) return json_null();
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s?}", "action", m->action, "device", m->device, "step",
                     m->step, "state", m->state, "created_ms", (json_int_t)m->created_ms, "updated_ms",
                     (json_int_t)m->updated_ms, "error", m->error);
}

rdg_err_t member_set(rdg_baas_t *b, const chain_t *c, member_t *m, const char *step, const char *state,
                     const char *error) {
    bool news = strcmp(m->step, step) != 0 || strcmp(m->state, state) != 0;
    char why[RDG_ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "%s", error ? error : "");
    RDG_TRY(rdg_sql_exec(
        b->db, "UPDATE chain_members SET step = ?, state = ?, error = ?, updated_ms = ? WHERE number = ?",
        RDG_SQL_PARAMS(rdg_sql_text(step), rdg_sql_text(state), rdg_sql_text(error ? why : NULL),
                       rdg_sql_int((int64_t)baas_now()), rdg_sql_int(m->number)),
        NULL));
    snprintf(m->step, sizeof m->step, "%s", step);
    snprintf(m->state, sizeof m->state, "%s", state);
    if (!news) return RDG_OK;
    char name[48];
    snprintf(name, sizeof name, "validator.%s.%s", m->action, step);
    rdg_log(RDG_LOG_INFO, "chain.validator", RDG_STR("chain", c->name), RDG_STR("device", m->device),
            RDG_STR("action", m->action), RDG_STR("step", step), RDG_STR("state", state),
            RDG_STR("why", why));
    rdg_err_t err = event_add(b, c->number, m->device, name, state, why);
    event_wake(b);
    return err;
}

/* --- beginning ------------------------------------------------------------------------------------------------- */

static bool is_running(const member_t *m) {
    return m->number != 0 && strcmp(m->state, "running") == 0;
}

static rdg_err_t insert(rdg_baas_t *b, const chain_t *c, const char *device, const char *action,
                        uint64_t weight) {
    const char *first = strcmp(action, "add") == 0 ? "prepare" : "govern";
    return rdg_sql_exec(
        b->db,
        "INSERT INTO chain_members (chain, device, action, step, state, weight, created_ms, updated_ms)"
        " VALUES (?, ?, ?, ?, 'running', ?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(device), rdg_sql_text(action),
                       rdg_sql_text(first), rdg_sql_int((int64_t)weight), rdg_sql_int((int64_t)baas_now()),
                       rdg_sql_int((int64_t)baas_now())),
        NULL);
}

rdg_err_t member_begin(rdg_baas_t *b, chain_t *c, const char *device, const char *action, uint64_t weight) {
    member_t last;
    RDG_TRY(member_load(b, c, &last));
    bool same = strcmp(last.device, device) == 0 && strcmp(last.action, action) == 0;
    rdg_err_t err = RDG_OK;
    if (is_running(&last) && !same)
        err = rdg_fail(RDG_E_CONFLICT,
                       "chain '%s' is changing its validators already (%s '%s', step %s): wait for its end",
                       c->name, last.action, last.device, last.step);
    else if (!is_running(&last))
        err = insert(b, c, device, action, weight);
    member_fini(&last);
    return err;
}

/* --- steps ------------------------------------------------------------------------------------------------------ */

static rdg_err_t forget_removed(rdg_baas_t *b, const chain_t *c, const steps_t *steps, bool *any) {
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind != STEP_REMOVE || !(step_done(s) || strcmp(s->state, "cancelled") == 0)) continue;
        *any = true;
        RDG_TRY(rdg_sql_exec(b->db, "DELETE FROM chain_steps WHERE chain = ? AND device = ?",
                             RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(s->device)), NULL));
    }
    return RDG_OK;
}

static int64_t next_position(const steps_t *steps) {
    int64_t position = 0;
    for (size_t i = 0; i < steps->count; ++i)
        if (steps->list[i].position >= position) position = steps->list[i].position + 1;
    return position;
}

static rdg_err_t fail(rdg_baas_t *b, const chain_t *c, member_t *m, const char *why) {
    return member_set(b, c, m, m->step, "failed", why);
}

/* A device's command of this kind: sent, repeated after a failure of an earlier change, or ended. */
static rdg_err_t command_step(rdg_baas_t *b, chain_t *c, const steps_t *steps, member_t *m, step_kind_t kind,
                              const char *next, uint64_t *after_ms) {
    const step_t *s = steps_find(steps, m->device, kind),
                 *prepared = steps_find(steps, m->device, STEP_PREPARE);
    int64_t attempt = m->number * ATTEMPTS;
    if (!s) {
        *after_ms = 1;
        return step_insert_attempt(b, c, m->device, prepared ? prepared->position : next_position(steps),
                                   kind, attempt);
    }
    if (step_failed(s) && s->attempt < attempt) {
        *after_ms = 1;
        return rdg_sql_exec(b->db, "DELETE FROM chain_steps WHERE command = ?",
                            RDG_SQL_PARAMS(rdg_sql_text(s->command)), NULL);
    }
    if (step_failed(s)) return fail(b, c, m, s->error ? s->error : s->state);
    if (s->rank == RANK_PENDING)
        return kind == STEP_PREPARE ? flow_send_prepare(b, c, steps) : flow_send_start(b, c, steps);
    if (!step_done(s)) return RDG_OK;
    *after_ms = 1;
    return member_set(b, c, m, next, "running", NULL);
}

/* Every other device gets the list that holds, or holds no more, this one. */
static rdg_err_t send_peers(rdg_baas_t *b, const chain_t *c, const steps_t *steps, const member_t *m) {
    json_t *peers = NULL;
    rdg_err_t err = genesis_peers(steps, &peers);
    for (size_t i = 0; err == RDG_OK && i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        char id[96];
        if (s->kind != STEP_START || strcmp(s->device, m->device) == 0 ||
            steps_find(steps, s->device, STEP_REMOVE))
            continue;
        snprintf(id, sizeof id, "peers-%lld-%lld-%lld", (long long)c->number, (long long)m->number,
                 (long long)s->position);
        json_t *body =
            json_pack("{s:s, s:s, s:{s:s, s:O}, s:I}", "id", id, "type", "chain.peers", "params", "chain",
                      c->name, "peers", peers, "deadline_ms", (json_int_t)(baas_now() + PEERS_DEADLINE_MS));
        err = body ? remote_order(b, s->device, body, NULL) : rdg_fail(RDG_E_NO_MEMORY, "no memory");
        if (err == RDG_E_NOT_FOUND) err = RDG_OK; /* a device that was deleted needs no peers */
    }
    json_decref(peers);
    return err;
}

static const char *key_of(const steps_t *steps, const chain_t *c, const char *device) {
    const step_t *s = steps_find(steps, device, STEP_PREPARE);
    (void)c;
    return s ? json_string_value(json_object_get(s->result, "public_key")) : NULL;
}

/* What passes by itself is tried again; the rest is the end of this change. */
static rdg_err_t govern_outcome(rdg_baas_t *b, const chain_t *c, member_t *m, rdg_err_t err,
                                uint64_t *after_ms) {
    bool passes = err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT || err == RDG_E_BUSY ||
                  err == RDG_E_FULL || err == RDG_E_NOT_FOUND || err == RDG_E_EXPIRED;
    const char *text = rdg_err_message(err);
    *after_ms = POLL_MS;
    if (err == RDG_OK) return member_set(b, c, m, "effective", "running", NULL);
    if (err == RDG_E_REVERTED && strstr(text, "pending")) return RDG_OK;
    if (err == RDG_E_REVERTED && strstr(text, "not in sync"))
        return member_set(b, c, m, "sync", "running", NULL);
    return passes ? RDG_OK : fail(b, c, m, text);
}

static rdg_err_t govern(rdg_baas_t *b, relay_t *r, chain_t *c, const steps_t *steps, member_t *m,
                        uint64_t *after_ms) {
    standing_t st;
    const char *key = key_of(steps, c, m->device);
    bool adds = strcmp(m->action, "add") == 0;
    if (!key) return fail(b, c, m, "the device has no node of this chain");
    *after_ms = POLL_MS;
    if (member_standing(r, m->device, &st) != RDG_OK) return RDG_OK;
    if (adds ? st.decides || st.scheduled_in : !st.decides || st.scheduled_out)
        return member_set(b, c, m, "effective", "running", NULL);
    if (st.pending) return RDG_OK;
    if (!adds) return govern_outcome(b, c, m, member_vote_out(r, c, key), after_ms);
    uint64_t height;
    json_t *hash = NULL;
    if (member_synced(r, m->device, &height, &hash) != RDG_OK) return RDG_OK;
    rdg_err_t err = member_vote_in(r, c, m, key, height, hash);
    json_decref(hash);
    return govern_outcome(b, c, m, err, after_ms);
}

static rdg_err_t await_sync(rdg_baas_t *b, relay_t *r, chain_t *c, member_t *m, uint64_t *after_ms) {
    uint64_t height;
    json_t *hash = NULL;
    *after_ms = POLL_MS;
    rdg_err_t err = member_synced(r, m->device, &height, &hash);
    json_decref(hash);
    if (err != RDG_OK) return RDG_OK;
    *after_ms = 1;
    return member_set(b, c, m, "govern", "running", NULL);
}

static rdg_err_t await_effect(rdg_baas_t *b, relay_t *r, chain_t *c, member_t *m, uint64_t *after_ms) {
    standing_t st;
    bool adds = strcmp(m->action, "add") == 0;
    *after_ms = POLL_MS;
    if (member_standing(r, m->device, &st) != RDG_OK || st.decides != adds) return RDG_OK;
    *after_ms = 1;
    if (adds) return member_set(b, c, m, "done", "done", NULL);
    return member_set(b, c, m, "remove", "running", NULL);
}

static rdg_err_t remove_node(rdg_baas_t *b, chain_t *c, const steps_t *steps, member_t *m,
                             uint64_t *after_ms) {
    const step_t *s = steps_find(steps, m->device, STEP_REMOVE),
                 *p = steps_find(steps, m->device, STEP_PREPARE);
    *after_ms = 1;
    if (!s && p) return step_insert_attempt(b, c, m->device, p->position, STEP_REMOVE, m->number * ATTEMPTS);
    if (s && s->rank == RANK_PENDING) {
        json_t *params = json_pack("{s:s, s:b}", "chain", c->name, "discard", 1);
        RDG_TRY(flow_send(b, c, s, "chain.remove", params, PEERS_DEADLINE_MS));
    }
    RDG_TRY(send_peers(b, c, steps, m));
    return member_set(b, c, m, "done", "done", NULL); /* the device clears up when it is there */
}

static rdg_err_t with_relay(rdg_baas_t *b, chain_t *c, const steps_t *steps, member_t *m,
                            uint64_t *after_ms) {
    relay_t r;
    RDG_TRY(relay_init(&r, b, c, RELAY_MS));
    rdg_err_t err;
    if (strcmp(m->step, "sync") == 0)
        err = await_sync(b, &r, c, m, after_ms);
    else if (strcmp(m->step, "govern") == 0)
        err = govern(b, &r, c, steps, m, after_ms);
    else
        err = await_effect(b, &r, c, m, after_ms);
    relay_fini(&r);
    return err;
}

static rdg_err_t advance(rdg_baas_t *b, chain_t *c, const steps_t *steps, member_t *m, uint64_t *after_ms) {
    if (strcmp(m->step, "prepare") == 0) return command_step(b, c, steps, m, STEP_PREPARE, "start", after_ms);
    if (strcmp(m->step, "start") == 0) return command_step(b, c, steps, m, STEP_START, "peers", after_ms);
    if (strcmp(m->step, "peers") == 0) {
        RDG_TRY(send_peers(b, c, steps, m));
        *after_ms = 1;
        return member_set(b, c, m, "sync", "running", NULL);
    }
    if (strcmp(m->step, "remove") == 0) return remove_node(b, c, steps, m, after_ms);
    return with_relay(b, c, steps, m, after_ms);
}

rdg_err_t flow_member(rdg_baas_t *b, chain_t *c, const steps_t *steps, uint64_t *after_ms) {
    member_t m;
    bool any = false;
    RDG_TRY(forget_removed(b, c, steps, &any));
    if (any) {
        *after_ms = 1;
        return RDG_OK;
    }
    RDG_TRY(member_load(b, c, &m));
    rdg_err_t err = is_running(&m) ? advance(b, c, steps, &m, after_ms) : RDG_OK;
    member_fini(&m);
    return err;
}
