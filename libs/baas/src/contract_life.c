/* freeze, unfreeze, revoke; migrate. */
#include <string.h>
#include "contract.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define MIGRATE_MS 15000 /* of one request */
#define MIGRATE_LIMIT 100
#define CURSOR_MAX 80

/* --- freeze, unfreeze, revoke -------------------------------------------------------------------------------------------- */

/* 0: it happened; else the number of the proposal that waits for other administrators. */
static uint64_t proposal_of(const json_t *events) {
    const json_t *e;
    size_t i;
    json_array_foreach(events, i, e) {
        const char *name = json_string_value(json_object_get(e, "event"));
        if (name && strcmp(name, "Proposed") == 0)
            return (uint64_t)json_integer_value(json_object_get(json_object_get(e, "args"), "id"));
    }
    return 0;
}

static rdg_err_t order_life(open_chain_t *o, const char *method, const char *name, uint64_t version,
                            const char *key, sent_tx_t *sent) {
    rdg_buf_t data;
    rdg_buf_init(&data, 1024);
    rdg_err_t err = registry_encode(method, "string name,uint32 version",
                                    json_pack("[s, I]", name, (json_int_t)version), &data);
    order_t order = {.key = key, .to = &RDG_REGISTRY_ADDRESS, .data = rdg_buf_view(&data)};
    if (err == RDG_OK) err = contract_order(&o->relay, &o->chain, &order, sent);
    rdg_buf_fini(&data);
    return err;
}

rdg_err_t contract_reply_change(open_chain_t *o, const sent_tx_t *sent, rdg_service_answer_t *answer) {
    json_t *events = NULL, *abi = registry_events();
    rdg_err_t err = abi ? contract_events(sent->receipt, abi, &events) : RDG_E_NO_MEMORY;
    json_decref(abi);
    if (err != RDG_OK) return err;
    uint64_t proposal = proposal_of(events);
    (void)contract_sync(&o->relay, &o->chain, true);
    json_t *more = json_pack("{s:o}", "events", events);
    if (proposal > 0) json_object_set_new(more, "proposal", json_integer((json_int_t)proposal));
    return contract_reply_sent(answer, proposal > 0 ? 202 : 200, sent, more);
}

static rdg_err_t change_life(rdg_baas_t *b, const rdg_service_call_t *call, rdg_service_answer_t *answer,
                             const char *method) {
    open_chain_t o;
    sent_tx_t sent = {.receipt = NULL};
    const json_t *body;
    const char *key, *name = rdg_service_arg(call, "contract");
    uint64_t version = 0;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(contract_key(body, &key));
    RDG_TRY(rdg_json_opt_u64(body, "version", &version));
    if (version > UINT32_MAX)
        return rdg_fail(RDG_E_INVALID, "version: want a number, or 0 for all of the name");
    RDG_TRY(contract_open(b, call, &o));
    contract_t k = {.abi = NULL};
    rdg_err_t err = contract_find(b, &o.chain, name, (uint32_t)version, &k);
    contract_fini(&k);
    if (err == RDG_OK) err = order_life(&o, method, name, version, key, &sent);
    rdg_fail_in(err, "%s of contract '%s'", method, name);
    if (err == RDG_OK) {
        rdg_log(RDG_LOG_INFO, "contract.status", RDG_STR("chain", o.chain.name), RDG_STR("contract", name),
                RDG_STR("what", method));
        err = contract_reply_change(&o, &sent, answer);
    }
    sent_tx_fini(&sent);
    contract_close(&o);
    return err;
}

static rdg_err_t freeze(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return change_life(ctx, call, answer, "freeze");
}
static rdg_err_t unfreeze(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return change_life(ctx, call, answer, "unfreeze");
}
static rdg_err_t revoke(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return change_life(ctx, call, answer, "revoke");
}

/* --- migrate: migrate(address old, uint256 cursor, uint256 limit) returns (uint256 next), 0 at the end ------------------------ */

typedef struct migration {
    contract_t source, target;
    const json_t *entry;
    const char *method;
    uint64_t limit, steps;
    char cursor[CURSOR_MAX + 1];
    bool done;
} migration_t;

static rdg_err_t migration_row(void *ctx, const rdg_sql_row_t *r) {
    migration_t *m = ctx;
    const char *cursor = rdg_sql_row_text(r, 0);
    snprintf(m->cursor, sizeof m->cursor, "%s", cursor ? cursor : "0");
    m->steps = (uint64_t)rdg_sql_row_int(r, 1);
    m->done = rdg_sql_row_int(r, 2) != 0;
    return RDG_OK;
}

static rdg_err_t load_migration(rdg_baas_t *b, const chain_t *c, migration_t *m) {
    snprintf(m->cursor, sizeof m->cursor, "0");
    return rdg_sql_query(
        b->db,
        "SELECT cursor, steps, done FROM contract_migrations WHERE chain = ? AND name = ? AND source = ?"
        " AND target = ?",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(m->target.name), rdg_sql_int(m->source.version),
                       rdg_sql_int(m->target.version)),
        migration_row, m);
}

static rdg_err_t store_migration(rdg_baas_t *b, const chain_t *c, const migration_t *m) {
    return rdg_sql_exec(
        b->db,
        "INSERT OR REPLACE INTO contract_migrations (chain, name, source, target, cursor, steps, done,"
        " updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(m->target.name), rdg_sql_int(m->source.version),
                       rdg_sql_int(m->target.version), rdg_sql_text(m->cursor),
                       rdg_sql_int((int64_t)m->steps), rdg_sql_int(m->done),
                       rdg_sql_int((int64_t)baas_now())),
        NULL);
}

static rdg_err_t next_cursor(const json_t *result, char out[CURSOR_MAX + 1]) {
    const json_t *v = json_is_object(result)
                          ? json_object_iter_value(json_object_iter((json_t *)(uintptr_t)result))
                          : json_array_get(result, 0);
    if (json_is_integer(v))
        snprintf(out, CURSOR_MAX + 1, "%lld", (long long)json_integer_value(v));
    else if (json_is_string(v))
        snprintf(out, CURSOR_MAX + 1, "%s", json_string_value(v));
    else
        return rdg_fail(
            RDG_E_INVALID,
            "the method for a migration is method(address old, uint256 cursor, uint256 limit) returns "
            "(uint256 next)");
    return RDG_OK;
}

/* One step. What it will answer is asked for first: the old version does not change any more, so the transaction does
 * the same. Its key names the step, so that a step whose answer was lost is not done twice. */
static rdg_err_t migrate_step(open_chain_t *o, migration_t *m) {
    rdg_buf_t data;
    json_t *result = NULL;
    sent_tx_t sent = {.receipt = NULL};
    char next[CURSOR_MAX + 1], key[IDEMPOTENCY_MAX + 1];
    json_t *args = json_pack("[o, s, I]", rdg_json_hex(m->source.address.b, sizeof m->source.address.b),
                             m->cursor, (json_int_t)m->limit);
    snprintf(key, sizeof key, "migrate:%02x%02x%02x%02x:%u:%s", m->target.address.b[0],
             m->target.address.b[1], m->target.address.b[2], m->target.address.b[3], m->source.version,
             m->cursor);
    rdg_buf_init(&data, 1024);
    rdg_err_t err = rdg_abi_encode_call(m->entry, args, rdg_keccak256, &data);
    json_decref(args);
    if (err == RDG_OK)
        err = contract_read(&o->relay, &o->chain, &m->target, m->entry, rdg_buf_view(&data), false, &result);
    if (err == RDG_OK) err = next_cursor(result, next);
    json_decref(result);
    if (err == RDG_OK && strcmp(next, m->cursor) == 0 && strcmp(next, "0") != 0)
        err = rdg_fail(RDG_E_INVALID, "the method does not move on from cursor %s", next);
    order_t order = {.key = key, .to = &m->target.address, .data = rdg_buf_view(&data), .abi = m->target.abi};
    if (err == RDG_OK) err = contract_order(&o->relay, &o->chain, &order, &sent);
    rdg_buf_fini(&data);
    sent_tx_fini(&sent);
    if (err != RDG_OK) return rdg_fail_in(err, "at cursor %s", m->cursor);
    m->done = strcmp(next, "0") == 0;
    memcpy(m->cursor, next, sizeof next);
    m->steps++;
    return store_migration(o->relay.b, &o->chain, m);
}

static rdg_err_t prepare_migration(open_chain_t *o, const json_t *body, const char *name, migration_t *m) {
    uint64_t from = 0, to = 0;
    m->method = "migrate";
    m->limit = MIGRATE_LIMIT;
    RDG_TRY(rdg_json_opt_str(body, "method", &m->method));
    RDG_TRY(rdg_json_opt_u64(body, "limit", &m->limit));
    RDG_TRY(rdg_json_opt_u64(body, "from", &from));
    RDG_TRY(rdg_json_opt_u64(body, "version", &to));
    if (m->limit == 0 || m->limit > 1000000) return rdg_fail(RDG_E_INVALID, "limit: want 1 to 1000000");
    RDG_TRY(contract_find_abi(o->relay.b, &o->chain, name, (uint32_t)to, &m->target));
    if (from == 0) from = m->target.version - 1;
    if (from == 0 || from >= m->target.version)
        return rdg_fail(RDG_E_INVALID, "contract '%s' has no version before %u to migrate from", name,
                        m->target.version);
    RDG_TRY(contract_find(o->relay.b, &o->chain, name, (uint32_t)from, &m->source));
    return rdg_abi_find(m->target.abi, "function", m->method, 3, &m->entry);
}

static rdg_err_t migrate_on(open_chain_t *o, const json_t *body, const char *name, migration_t *m) {
    uint64_t end = baas_mono() + MIGRATE_MS, before;
    RDG_TRY(prepare_migration(o, body, name, m));
    RDG_TRY(load_migration(o->relay.b, &o->chain, m));
    before = m->steps;
    while (!m->done && (m->steps == before || baas_mono() < end)) RDG_TRY(migrate_step(o, m));
    return RDG_OK;
}

static rdg_err_t migrate(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    open_chain_t o;
    const json_t *body;
    migration_t m = {.steps = 0};
    const char *name = rdg_service_arg(call, "contract");
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(contract_open(ctx, call, &o));
    rdg_err_t err = rdg_fail_in(migrate_on(&o, body, name, &m), "migration of contract '%s'", name);
    if (err == RDG_OK)
        err = rdg_service_reply(answer, 200,
                                json_pack("{s:s, s:I, s:I, s:s, s:I, s:b}", "name", name, "from",
                                          (json_int_t)m.source.version, "version",
                                          (json_int_t)m.target.version, "cursor", m.cursor, "steps",
                                          (json_int_t)m.steps, "done", (int)m.done));
    contract_fini(&m.source);
    contract_fini(&m.target);
    contract_close(&o);
    return err;
}

const rdg_service_route_t contract_life_routes[] = {
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/freeze", RDG_ROUTE_OWNED, freeze},
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/unfreeze", RDG_ROUTE_OWNED, unfreeze},
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/revoke", RDG_ROUTE_OWNED, revoke},
    {"POST", "/api/v1/chains/{name}/contracts/{contract}/migrate", RDG_ROUTE_OWNED, migrate},
};
const size_t contract_life_route_count = sizeof contract_life_routes / sizeof contract_life_routes[0];
