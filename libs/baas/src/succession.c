#include "succession.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

const char succession_migration[] =
    "CREATE TABLE chain_successions (number INTEGER PRIMARY KEY AUTOINCREMENT, chain INTEGER NOT NULL, step "
    "TEXT NOT "
    "NULL, state TEXT NOT NULL, devices TEXT NOT NULL, height INTEGER NOT NULL, epoch INTEGER NOT NULL, done "
    "INTEGER "
    "NOT NULL, archives INTEGER NOT NULL, act BLOB, error TEXT, created_ms INTEGER NOT NULL, updated_ms "
    "INTEGER NOT "
    "NULL);"
    "CREATE INDEX chain_successions_chain ON chain_successions (chain, number);";

/* Above those of every other kind of order (member.c). */
#define ATTEMPTS 1000
#define ATTEMPTS_FIRST (1ll << 40)

int64_t succession_attempt(const succession_t *s) {
    return ATTEMPTS_FIRST + s->number * ATTEMPTS;
}

static rdg_err_t row(void *ctx, const rdg_sql_row_t *r) {
    succession_t *s = ctx;
    rdg_bytes_t act = rdg_sql_row_blob(r, 8);
    const char *error = rdg_sql_row_text(r, 9);
    s->number = rdg_sql_row_int(r, 0);
    snprintf(s->step, sizeof s->step, "%s", rdg_sql_row_text(r, 1));
    snprintf(s->state, sizeof s->state, "%s", rdg_sql_row_text(r, 2));
    s->height = (uint64_t)rdg_sql_row_int(r, 4);
    s->epoch = (uint64_t)rdg_sql_row_int(r, 5);
    s->done = (uint64_t)rdg_sql_row_int(r, 6);
    s->archives = (uint64_t)rdg_sql_row_int(r, 7);
    s->created_ms = (uint64_t)rdg_sql_row_int(r, 10);
    s->updated_ms = (uint64_t)rdg_sql_row_int(r, 11);
    s->error = error ? rdg_strdup(error) : NULL;
    RDG_TRY(rdg_buf_append(&s->act, act.data, act.len));
    return rdg_json_parse(rdg_bytes_str(rdg_sql_row_text(r, 3)), &s->devices);
}

rdg_err_t succession_load(rdg_baas_t *b, const chain_t *c, succession_t *out) {
    memset(out, 0, sizeof *out);
    rdg_buf_init(&out->act, RDG_SUCCESSION_BYTES_MAX);
    rdg_err_t err =
        rdg_sql_query(b->db,
                      "SELECT number, step, state, devices, height, epoch, done, archives, act, error,"
                      " created_ms, updated_ms FROM chain_successions WHERE chain = ?"
                      " ORDER BY number DESC LIMIT 1",
                      RDG_SQL_PARAMS(rdg_sql_int(c->number)), row, out);
    if (err != RDG_OK) succession_fini(out);
    return err;
}

void succession_fini(succession_t *s) {
    rdg_buf_fini(&s->act);
    json_decref(s->devices);
    rdg_free(s->error);
    s->devices = NULL;
    s->error = NULL;
}

typedef struct signers {
    uint32_t given, wanted; /* 0, 0: there is no act yet */
} signers_t;

static signers_t count_signers(const succession_t *s) {
    signers_t n = {0};
    rdg_succession_report_t *r = s->act.len > 0 ? rdg_alloc(sizeof *r) : NULL;
    if (r && rdg_succession_check(rdg_buf_view(&s->act), NULL, r) == RDG_OK)
        n = (signers_t){r->signer_count, r->threshold};
    rdg_free(r);
    return n;
}

json_t *succession_describe(const succession_t *s) {
    if (s->number == 0) return json_null();
    signers_t n = count_signers(s);
    return json_pack("{s:s, s:s, s:O, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s?}", "step", s->step,
                     "state", s->state, "devices", s->devices, "height", (json_int_t)s->height, "epoch",
                     (json_int_t)s->epoch, "archives_verified", (json_int_t)s->done, "archives",
                     (json_int_t)s->archives, "signed", (json_int_t)n.given, "threshold",
                     (json_int_t)n.wanted, "created_ms", (json_int_t)s->created_ms, "updated_ms",
                     (json_int_t)s->updated_ms, "error", s->error);
}

bool succession_is(const succession_t *s, const char *state) {
    return strcmp(s->state, state) == 0;
}

bool succession_names(const succession_t *s, const char *device) {
    size_t i;
    json_t *name;
    json_array_foreach(s->devices, i, name) if (strcmp(json_string_value(name), device) == 0) return true;
    return false;
}

/* What a person wants to know of a step that has not failed. */
static void progress(const chain_t *c, const succession_t *s, char out[RDG_ERROR_TEXT_MAX]) {
    signers_t n = strcmp(s->step, "act") == 0 ? count_signers(s) : (signers_t){0};
    *out = '\0';
    if (strcmp(s->step, "verify") == 0)
        snprintf(out, RDG_ERROR_TEXT_MAX, "archive %" PRIu64 " of %" PRIu64, s->done, s->archives);
    if (n.wanted > 0)
        snprintf(out, RDG_ERROR_TEXT_MAX,
                 "signatures: %" PRIu32 " of %" PRIu32
                 "; see ridge chain act %s, then ridge chain approve %s",
                 n.given, n.wanted, c->name, c->name);
}

rdg_err_t succession_set(rdg_baas_t *b, const chain_t *c, succession_t *s, const char *step,
                         const char *state, const char *error) {
    char why[RDG_ERROR_TEXT_MAX], name[40];
    snprintf(why, sizeof why, "%s", error ? error : "");
    if (step != s->step) snprintf(s->step, sizeof s->step, "%s", step);
    snprintf(s->state, sizeof s->state, "%s", state);
    RDG_TRY(rdg_sql_exec(
        b->db,
        "UPDATE chain_successions SET step = ?, state = ?, error = ?, epoch = ?, done = ?, act = ?,"
        " updated_ms = ? WHERE number = ?",
        RDG_SQL_PARAMS(rdg_sql_text(s->step), rdg_sql_text(s->state), rdg_sql_text(error ? why : NULL),
                       rdg_sql_int((int64_t)s->epoch), rdg_sql_int((int64_t)s->done),
                       rdg_sql_blob(rdg_buf_view(&s->act)), rdg_sql_int((int64_t)baas_now()),
                       rdg_sql_int(s->number)),
        NULL));
    snprintf(name, sizeof name, "rebuild.%s", s->step);
    if (!error) progress(c, s, why);
    rdg_log(error ? RDG_LOG_WARN : RDG_LOG_INFO, "chain.succession", RDG_STR("chain", c->name),
            RDG_STR("step", s->step), RDG_STR("state", s->state), RDG_U64("height", s->height),
            RDG_STR("why", why));
    rdg_err_t err = event_add(b, c->number, NULL, name, s->state, why);
    event_wake(b);
    return err;
}

/* --- ordering ------------------------------------------------------------------------------------------------ */

static int64_t next_position(const steps_t *steps) {
    int64_t position = 0;
    for (size_t i = 0; i < steps->count; ++i)
        if (steps->list[i].position >= position) position = steps->list[i].position + 1;
    return position;
}

/* Rows of devices that have one are of an earlier attempt: they are cleared first (advance_prepare). */
rdg_err_t succession_add_prepare(rdg_baas_t *b, const chain_t *c, const steps_t *steps,
                                 const succession_t *s) {
    int64_t position = next_position(steps);
    for (size_t i = 0; i < json_array_size(s->devices); ++i) {
        const char *device = json_string_value(json_array_get(s->devices, i));
        if (!steps_find(steps, device, STEP_PREPARE))
            RDG_TRY(step_insert_attempt(b, c, device, position + (int64_t)i, STEP_PREPARE,
                                        succession_attempt(s)));
    }
    return RDG_OK;
}

static rdg_err_t insert(rdg_baas_t *b, const chain_t *c, const steps_t *steps, const json_t *devices,
                        uint64_t reach, uint64_t archives) {
    succession_t s = {0};
    char *text = rdg_json_text(devices);
    if (!text) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices of a chain");
    rdg_err_t err =
        rdg_sql_exec(b->db,
                     "INSERT INTO chain_successions (chain, step, state, devices, height, epoch, done, "
                     "archives, created_ms,"
                     " updated_ms) VALUES (?, 'prepare', 'running', ?, ?, 0, 0, ?, ?, ?)",
                     RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(text), rdg_sql_int((int64_t)reach),
                                    rdg_sql_int((int64_t)archives), rdg_sql_int((int64_t)baas_now()),
                                    rdg_sql_int((int64_t)baas_now())),
                     NULL);
    rdg_free(text);
    if (err == RDG_OK) err = succession_load(b, c, &s);
    if (err == RDG_OK) err = succession_add_prepare(b, c, steps, &s);
    if (err == RDG_OK) err = succession_set(b, c, &s, "prepare", "running", NULL);
    succession_fini(&s);
    return err;
}

/* The same order once more: what has failed is tried again. */
static rdg_err_t go_on(rdg_baas_t *b, const chain_t *c, const steps_t *steps, succession_t *s) {
    bool clears = strcmp(s->step, "prepare") == 0, refused = strcmp(s->step, "anchor") == 0;
    if (succession_is(s, "running")) return RDG_OK;
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; err == RDG_OK && i < steps->count; ++i) {
        const step_t *step = &steps->list[i];
        if ((step->kind != STEP_REMOVE || clears) && step_failed(step) && succession_names(s, step->device))
            err = step_again(b, c, step);
    }
    /* The main chain is told by `act`, with the signatures that are there. */
    if (err == RDG_OK) err = succession_set(b, c, s, refused ? "act" : s->step, "running", NULL);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    return err;
}

/* It can be given up: the main chain neither has it nor is being told of it. What it has refused it will never have: that
 * transaction is in a block, and was undone. */
static rdg_err_t is_revocable(rdg_baas_t *b, const chain_t *c, const succession_t *s, bool *out) {
    intent_t i;
    *out = strcmp(s->step, "prepare") == 0 || strcmp(s->step, "verify") == 0 || strcmp(s->step, "act") == 0;
    if (strcmp(s->step, "anchor") != 0 || !succession_is(s, "failed")) return RDG_OK;
    RDG_TRY(mainchain_find_epoch(b, c, s->epoch, &i));
    *out = i.number == 0 || i.state == INTENT_REFUSED;
    intent_fini(&i);
    return RDG_OK;
}

/* Within a transaction. What it had prepared is removed again, also of a device that the next attempt names. */
static rdg_err_t give_up(rdg_baas_t *b, const chain_t *c, const steps_t *steps, succession_t *s) {
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *p = &steps->list[i];
        if (p->kind == STEP_PREPARE && succession_names(s, p->device) &&
            !steps_find(steps, p->device, STEP_REMOVE))
            RDG_TRY(step_insert_attempt(b, c, p->device, p->position, STEP_REMOVE, succession_attempt(s)));
    }
    rdg_buf_clear(&s->act);
    return succession_set(b, c, s, s->step, "cancelled", NULL);
}

static bool is_open(const succession_t *s) {
    return s->number != 0 &&
           (succession_is(s, "running") || succession_is(s, "waiting") || succession_is(s, "failed"));
}

/* Before the main chain has it, nothing of the chain has changed: what has failed makes room for other devices. */
static rdg_err_t check_replaced(rdg_baas_t *b, const chain_t *c, const succession_t *s) {
    bool revocable;
    RDG_TRY(is_revocable(b, c, s, &revocable));
    if (!is_open(s) || (revocable && succession_is(s, "failed"))) return RDG_OK;
    if (revocable)
        return rdg_fail(
            RDG_E_CONFLICT,
            "chain '%s' is being rebuilt on other devices (step %s, %s): give the same ones to go "
            "on, or give it up first: ridge chain rebuild %s --cancel",
            c->name, s->step, s->state, c->name);
    return rdg_fail(
        RDG_E_CONFLICT,
        "chain '%s' is being rebuilt on other devices (step %s), for which the administrators' act "
        "is made: give the same ones to go on",
        c->name, s->step);
}

rdg_err_t succession_cancel(rdg_baas_t *b, const chain_t *c) {
    succession_t s;
    steps_t steps;
    bool revocable = false;
    RDG_TRY(succession_load(b, c, &s));
    rdg_err_t err = steps_load(b, c, &steps);
    if (err == RDG_OK) err = is_revocable(b, c, &s, &revocable);
    if (err == RDG_OK && !is_open(&s))
        err = rdg_fail(RDG_E_CONFLICT, "chain '%s' is not being rebuilt on other devices", c->name);
    else if (err == RDG_OK && !revocable)
        err = rdg_fail(
            RDG_E_CONFLICT,
            "the rebuild of chain '%s' is at step %s: the main chain has the change of validators, or "
            "is being told of it, and there is one for each number; give the same order again to go on",
            c->name, s.step);
    if (err == RDG_OK) {
        err = rdg_sql_begin(b->db);
        if (err == RDG_OK) err = give_up(b, c, &steps, &s);
        if (err == RDG_OK) err = rdg_sql_commit(b->db);
        if (err != RDG_OK) rdg_sql_rollback(b->db);
        if (err == RDG_OK) succession_clear(b, c);
    }
    steps_fini(&steps);
    succession_fini(&s);
    event_wake(b);
    return err;
}

/* One that is being cleared, or will be with the attempt that this one replaces, is prepared behind that. */
static rdg_err_t check_new(const chain_t *c, const steps_t *steps, const succession_t *replaced,
                           const json_t *devices) {
    size_t i;
    json_t *name;
    json_array_foreach(devices, i, name) {
        const char *device = json_string_value(name);
        bool goes = steps_find(steps, device, STEP_REMOVE) ||
                    (is_open(replaced) && succession_names(replaced, device));
        if (goes || !steps_find(steps, device, STEP_PREPARE)) continue;
        return rdg_fail(
            RDG_E_CONFLICT,
            "device '%s' has a node of chain '%s': a rebuild on devices is for others; if it is there "
            "with its keys, see ridge chain rebuild %s without --devices, and ridge node recover",
            device, c->name, c->name);
    }
    return RDG_OK;
}

static rdg_err_t replace(rdg_baas_t *b, const chain_t *c, const steps_t *steps, succession_t *old,
                         const json_t *devices, uint64_t reach, uint64_t archives) {
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = is_open(old) ? give_up(b, c, steps, old) : RDG_OK;
    if (err == RDG_OK) err = insert(b, c, steps, devices, reach, archives);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    return err;
}

static rdg_err_t begin(rdg_baas_t *b, const chain_t *c, const steps_t *steps, succession_t *old,
                       const json_t *devices, const json_t *body) {
    const char *discard = NULL;
    char tenant[RDG_TENANT_MAX + 1];
    bool weak = false;
    uint64_t reach, archives;
    RDG_TRY(rdg_json_opt_str(body, "discard", &discard));
    RDG_TRY(rdg_json_opt_bool(body, "allow_no_fault_tolerance", &weak));
    if (discard && strcmp(discard, c->name) != 0)
        return rdg_fail(RDG_E_INVALID, "discard: want the chain's name, '%s'", c->name);
    RDG_TRY(mainchain_needed(b));
    RDG_TRY(check_replaced(b, c, old));
    RDG_TRY(chain_check_devices(devices, c->consensus, weak));
    RDG_TRY(check_new(c, steps, old, devices));
    RDG_TRY(chain_devices_online(b, devices, c->tenant, tenant));
    RDG_TRY(succession_reach(b, c, &reach, &archives));
    if (!discard) RDG_TRY(succession_check_lost(b, c, reach));
    return replace(b, c, steps, old, devices, reach, archives);
}

rdg_err_t succession_order(rdg_baas_t *b, chain_t *c, const json_t *body) {
    succession_t s;
    steps_t steps;
    json_t *devices = NULL;
    RDG_TRY(rdg_json_get_array(body, "devices", &devices));
    RDG_TRY(succession_load(b, c, &s));
    rdg_err_t err = steps_load(b, c, &steps);
    if (err == RDG_OK) {
        bool same = s.number != 0 && !succession_is(&s, "cancelled") && json_equal(s.devices, devices);
        if (!same)
            err = begin(b, c, &steps, &s, devices, body);
        else if (is_open(&s))
            err = go_on(b, c, &steps, &s);
        steps_fini(&steps);
    }
    succession_fini(&s);
    event_wake(b);
    return err;
}
