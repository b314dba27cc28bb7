#include "internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"

#define CHAIN_COLUMNS                                                                                        \
    "number, name, state, consensus, driver, image, chain_id, params, genesis, memory_bytes, pids, "         \
    "created_ms,"                                                                                            \
    " started_ms, running_ms, freed_bytes, error, tenant"

#define GONE "(state IN ('destroyed', 'cancelled'))"

bool chain_gone(const chain_t *c) {
    return chain_is(c, "destroyed") || chain_is(c, "cancelled");
}

bool chain_is(const chain_t *c, const char *state) {
    return strcmp(c->state, state) == 0;
}

void chain_fini(chain_t *c) {
    rdg_free(c->image);
    rdg_free(c->error);
    json_decref(c->params);
    json_decref(c->genesis);
    memset(c, 0, sizeof *c);
}

static rdg_err_t read_row(const rdg_sql_row_t *r, chain_t *c) {
    memset(c, 0, sizeof *c);
    c->number = rdg_sql_row_int(r, 0);
    snprintf(c->name, sizeof c->name, "%s", rdg_sql_row_text(r, 1));
    snprintf(c->state, sizeof c->state, "%s", rdg_sql_row_text(r, 2));
    snprintf(c->consensus, sizeof c->consensus, "%s", rdg_sql_row_text(r, 3));
    snprintf(c->driver, sizeof c->driver, "%s", rdg_sql_row_text(r, 4));
    snprintf(c->tenant, sizeof c->tenant, "%s", rdg_sql_row_text(r, 16));
    c->chain_id = (uint64_t)rdg_sql_row_int(r, 6);
    c->memory_bytes = (uint64_t)rdg_sql_row_int(r, 9);
    c->pids = (uint64_t)rdg_sql_row_int(r, 10);
    c->created_ms = (uint64_t)rdg_sql_row_int(r, 11);
    c->started_ms = (uint64_t)rdg_sql_row_int(r, 12);
    c->running_ms = (uint64_t)rdg_sql_row_int(r, 13);
    c->freed_bytes = (uint64_t)rdg_sql_row_int(r, 14);
    c->image = rdg_strdup(rdg_sql_row_text(r, 5));
    c->error = rdg_strdup(rdg_sql_row_text(r, 15));
    rdg_err_t err = rdg_json_parse(rdg_bytes_str(rdg_sql_row_text(r, 7)), &c->params);
    const char *genesis = rdg_sql_row_text(r, 8);
    if (err == RDG_OK && genesis) err = rdg_json_parse(rdg_bytes_str(genesis), &c->genesis);
    if (err != RDG_OK) chain_fini(c);
    return rdg_fail_in(err, "the stored chain");
}

static rdg_err_t load_row(void *ctx, const rdg_sql_row_t *r) {
    chain_t *c = ctx;
    if (c->number != 0) chain_fini(c);
    return read_row(r, c);
}

static rdg_err_t absent(const char *name) {
    return rdg_fail(RDG_E_NOT_FOUND, "chain '%.64s' does not exist: see ridge chain list", name);
}

rdg_err_t chain_check(void *baas, const char *tenant, const char *name) {
    rdg_baas_t *b = baas;
    int64_t found = 0;
    RDG_TRY(rdg_sql_query(b->db, "SELECT COUNT(*) FROM chain_tenants WHERE name = ? AND tenant = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(name), rdg_sql_text(tenant)), baas_int_row, &found));
    return found ? RDG_OK : absent(name);
}

rdg_err_t chain_load(rdg_baas_t *b, const char *name, chain_t *out) {
    memset(out, 0, sizeof *out);
    /* The living one, else the one that went last. */
    rdg_err_t err = rdg_sql_query(b->db,
                                  "SELECT " CHAIN_COLUMNS " FROM chains WHERE name = ?"
                                  " ORDER BY " GONE ", number DESC LIMIT 1",
                                  RDG_SQL_PARAMS(rdg_sql_text(name)), load_row, out);
    if (err != RDG_OK) return err;
    return out->number ? RDG_OK : absent(name);
}

rdg_err_t chain_load_id(rdg_baas_t *b, const char *name, uint64_t chain_id, chain_t *out) {
    if (chain_id == 0) return chain_load(b, name, out);
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_sql_query(b->db, "SELECT " CHAIN_COLUMNS " FROM chains WHERE name = ? AND chain_id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(name), rdg_sql_int((int64_t)chain_id)), load_row, out));
    return out->number ? RDG_OK
                       : rdg_fail(RDG_E_NOT_FOUND,
                                  "chain '%.64s' never had the id %" PRIu64
                                  ": see ridge archive list --chain %.64s --json",
                                  name, chain_id, name);
}

rdg_err_t chain_load_running(rdg_baas_t *b, const char *name, chain_t *out) {
    RDG_TRY(chain_load(b, name, out));
    if (chain_is(out, "running")) return RDG_OK;
    rdg_err_t err =
        chain_is(out, "destroyed")
            ? rdg_fail(RDG_E_CONFLICT,
                       "chain '%s' is destroyed: what is left of it is in its archives, see ridge archive "
                       "list --chain %s, ridge archive fetch",
                       name, name)
            : rdg_fail(RDG_E_CONFLICT, "chain '%s' is %s, not running: see ridge chain status %s", name,
                       out->state, name);
    chain_fini(out);
    return err;
}

typedef struct each {
    rdg_err_t (*fn)(void *ctx, chain_t *c);
    void *ctx;
} each_t;

static rdg_err_t each_row(void *ctx, const rdg_sql_row_t *r) {
    each_t *e = ctx;
    chain_t c;
    RDG_TRY(read_row(r, &c));
    rdg_err_t err = e->fn(e->ctx, &c);
    chain_fini(&c);
    return err;
}

rdg_err_t chain_each(rdg_baas_t *b, const char *tenant, bool all, rdg_err_t (*fn)(void *ctx, chain_t *c),
                     void *ctx) {
    each_t e = {fn, ctx};
    const rdg_sql_value_t which = rdg_sql_int(all);
    if (!tenant)
        return rdg_sql_query(
            b->db, "SELECT " CHAIN_COLUMNS " FROM chains WHERE ? OR NOT " GONE " ORDER BY name, number",
            &which, 1, each_row, &e);
    return rdg_sql_query(b->db,
                         "SELECT " CHAIN_COLUMNS " FROM chains WHERE tenant = ? AND (? OR NOT " GONE
                         ") ORDER BY name, number",
                         RDG_SQL_PARAMS(rdg_sql_text(tenant), which), each_row, &e);
}

rdg_err_t rdg_baas_count(void *baas, rdg_share_t share, const char *tenant, uint64_t *used) {
    rdg_baas_t *b = baas;
    int64_t count = 0;
    (void)share;
    RDG_TRY(rdg_sql_query(b->db, "SELECT COUNT(*) FROM chains WHERE tenant = ? AND NOT " GONE,
                          RDG_SQL_PARAMS(rdg_sql_text(tenant)), baas_int_row, &count));
    *used = (uint64_t)count;
    return RDG_OK;
}

rdg_err_t rdg_baas_in_use(void *baas, const char *tenant) {
    uint64_t count = 0;
    RDG_TRY(rdg_baas_count(baas, RDG_SHARE_CHAINS, tenant, &count));
    return count == 0 ? RDG_OK
                      : rdg_fail(RDG_E_CONFLICT, "tenant '%s' has %llu chains: destroy them first", tenant,
                                 (unsigned long long)count);
}

rdg_err_t chain_set_state(rdg_baas_t *b, chain_t *c, const char *state, const char *error) {
    RDG_TRY(
        rdg_sql_exec(b->db,
                     "UPDATE chains SET state = ?, error = ?, started_ms = ?, running_ms = ?, freed_bytes = ?"
                     " WHERE number = ?",
                     RDG_SQL_PARAMS(rdg_sql_text(state), rdg_sql_text(error),
                                    rdg_sql_int((int64_t)c->started_ms), rdg_sql_int((int64_t)c->running_ms),
                                    rdg_sql_int((int64_t)c->freed_bytes), rdg_sql_int(c->number)),
                     NULL));
    snprintf(c->state, sizeof c->state, "%s", state);
    return event_add(b, c->number, NULL, "chain", state, error ? error : "");
}

rdg_err_t chain_set_genesis(rdg_baas_t *b, chain_t *c, json_t *genesis) {
    char *text = rdg_json_text(genesis);
    rdg_err_t err = text ? rdg_sql_exec(b->db, "UPDATE chains SET genesis = ? WHERE number = ?",
                                        RDG_SQL_PARAMS(rdg_sql_text(text), rdg_sql_int(c->number)), NULL)
                         : rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    rdg_free(text);
    json_decref(c->genesis);
    c->genesis = genesis;
    return err;
}

/* --- steps -------------------------------------------------------------------------------------- */

const char *step_name(step_kind_t kind) {
    static const char *const names[] = {"prepare", "start", "remove", "recover", "close"};
    return names[kind];
}

bool step_done(const step_t *s) {
    return strcmp(s->state, "done") == 0;
}

bool step_failed(const step_t *s) {
    return s->rank == RANK_FINAL && !step_done(s);
}

static rdg_err_t step_row(void *ctx, const rdg_sql_row_t *r) {
    steps_t *all = ctx;
    if (all->count == all->size) {
        size_t size = all->size ? 2 * all->size : 16;
        step_t *grown = rdg_realloc_array(all->list, size, sizeof *grown);
        if (!grown) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the steps of a chain");
        all->list = grown;
        all->size = size;
    }
    step_t *s = &all->list[all->count];
    memset(s, 0, sizeof *s);
    snprintf(s->device, sizeof s->device, "%s", rdg_sql_row_text(r, 0));
    s->kind = (step_kind_t)rdg_sql_row_int(r, 1);
    s->position = rdg_sql_row_int(r, 2);
    snprintf(s->command, sizeof s->command, "%s", rdg_sql_row_text(r, 3));
    s->attempt = rdg_sql_row_int(r, 4);
    snprintf(s->state, sizeof s->state, "%s", rdg_sql_row_text(r, 5));
    s->rank = (int)rdg_sql_row_int(r, 6);
    s->error = rdg_strdup(rdg_sql_row_text(r, 8));
    ++all->count;
    const char *result = rdg_sql_row_text(r, 7);
    return result ? rdg_json_parse(rdg_bytes_str(result), &s->result) : RDG_OK;
}

rdg_err_t steps_load(rdg_baas_t *b, const chain_t *c, steps_t *out) {
    memset(out, 0, sizeof *out);
    rdg_err_t err =
        rdg_sql_query(b->db,
                      "SELECT device, kind, position, command, attempt, state, rank, result, error"
                      " FROM chain_steps WHERE chain = ? ORDER BY kind, position",
                      RDG_SQL_PARAMS(rdg_sql_int(c->number)), step_row, out);
    if (err != RDG_OK) steps_fini(out);
    return err;
}

void steps_fini(steps_t *s) {
    for (size_t i = 0; i < s->count; ++i) {
        json_decref(s->list[i].result);
        rdg_free(s->list[i].error);
    }
    rdg_free(s->list);
    memset(s, 0, sizeof *s);
}

const step_t *steps_find(const steps_t *s, const char *device, step_kind_t kind) {
    for (size_t i = 0; i < s->count; ++i)
        if (s->list[i].kind == kind && strcmp(s->list[i].device, device) == 0) return &s->list[i];
    return NULL;
}

/* Known before anything is sent, and the same whenever the step is sent again. */
static void command_id(const chain_t *c, const char *device, step_kind_t kind, int64_t attempt,
                       char out[33]) {
    char text[256];
    rdg_hash_t digest;
    int n = snprintf(text, sizeof text, "%lld/%llu/%s/%s/%lld", (long long)c->number,
                     (unsigned long long)c->chain_id, device, step_name(kind), (long long)attempt);
    rdg_sm3(text, (size_t)n, &digest);
    rdg_hex_encode(digest.b, 16, out);
}

rdg_err_t step_insert(rdg_baas_t *b, const chain_t *c, const char *device, int64_t position,
                      step_kind_t kind) {
    return step_insert_attempt(b, c, device, position, kind, 1);
}

rdg_err_t step_insert_attempt(rdg_baas_t *b, const chain_t *c, const char *device, int64_t position,
                              step_kind_t kind, int64_t attempt) {
    char id[33];
    command_id(c, device, kind, attempt, id);
    return rdg_sql_exec(
        b->db,
        "INSERT INTO chain_steps (chain, device, kind, position, command, attempt, state, rank,"
        " updated_ms) VALUES (?, ?, ?, ?, ?, ?, 'pending', 0, ?)",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(device), rdg_sql_int(kind), rdg_sql_int(position),
                       rdg_sql_text(id), rdg_sql_int(attempt), rdg_sql_int((int64_t)baas_now())),
        NULL);
}

rdg_err_t step_again(rdg_baas_t *b, const chain_t *c, const step_t *s) {
    char id[33];
    command_id(c, s->device, s->kind, s->attempt + 1, id);
    return rdg_sql_exec(
        b->db,
        "UPDATE chain_steps SET command = ?, attempt = attempt + 1, state = 'pending', rank = 0,"
        " result = NULL, error = NULL, updated_ms = ? WHERE chain = ? AND device = ? AND kind = ?",
        RDG_SQL_PARAMS(rdg_sql_text(id), rdg_sql_int((int64_t)baas_now()), rdg_sql_int(c->number),
                       rdg_sql_text(s->device), rdg_sql_int(s->kind)),
        NULL);
}
