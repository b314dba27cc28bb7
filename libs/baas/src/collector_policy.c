/* What a chain's archives are to be: here, what of them stays on the devices all the same. */
#include "collector_prune.h"
#include <string.h>

const char policy_migration[] =
    "CREATE TABLE archive_policies (chain INTEGER PRIMARY KEY, keep_blocks BIGINT NOT NULL, keep_ms BIGINT "
    "NOT "
    "NULL,"
    " updated_ms BIGINT NOT NULL);"
    "CREATE TABLE archive_prunes (chain INTEGER NOT NULL, device TEXT NOT NULL, attempt INTEGER NOT NULL,"
    " command TEXT NOT NULL, state TEXT NOT NULL, wanted BIGINT NOT NULL, height BIGINT NOT NULL,"
    " mark_ms BIGINT NOT NULL, freed_bytes BIGINT NOT NULL, compacted_bytes BIGINT NOT NULL,"
    " ledger_bytes BIGINT NOT NULL, keep_blocks BIGINT NOT NULL, keep_ms BIGINT NOT NULL, error TEXT,"
    " updated_ms BIGINT NOT NULL, PRIMARY KEY (chain, device));"
    "CREATE INDEX archive_prunes_command ON archive_prunes (command);";

static rdg_err_t policy_row(void *ctx, const rdg_sql_row_t *r) {
    archive_policy_t *p = ctx;
    p->keep_blocks = (uint64_t)rdg_sql_row_int(r, 0);
    p->keep_ms = (uint64_t)rdg_sql_row_int(r, 1);
    p->updated_ms = (uint64_t)rdg_sql_row_int(r, 2);
    return RDG_OK;
}

rdg_err_t policy_load(rdg_baas_t *b, int64_t chain, archive_policy_t *out) {
    *out = (archive_policy_t){.keep_blocks = POLICY_KEEP_BLOCKS, .keep_ms = POLICY_KEEP_MS};
    return rdg_sql_query(b->db,
                         "SELECT keep_blocks, keep_ms, updated_ms FROM archive_policies WHERE chain = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(chain)), policy_row, out);
}

static rdg_err_t policy_save(rdg_baas_t *b, int64_t chain, const archive_policy_t *p) {
    return rdg_sql_exec(
        b->db,
        "INSERT INTO archive_policies (chain, keep_blocks, keep_ms, updated_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (chain) DO UPDATE SET keep_blocks = excluded.keep_blocks, keep_ms = excluded.keep_ms,"
        " updated_ms = excluded.updated_ms",
        RDG_SQL_PARAMS(rdg_sql_int(chain), rdg_sql_int((int64_t)p->keep_blocks),
                       rdg_sql_int((int64_t)p->keep_ms), rdg_sql_int((int64_t)baas_now())),
        NULL);
}

static rdg_err_t reply(rdg_baas_t *b, const chain_t *c, rdg_service_answer_t *answer) {
    archive_policy_t p;
    RDG_TRY(policy_load(b, c->number, &p));
    return rdg_service_reply(answer, 200,
                             json_pack("{s:s, s:I, s:I, s:I}", "chain", c->name, "keep_blocks",
                                       (json_int_t)p.keep_blocks, "keep_ms", (json_int_t)p.keep_ms,
                                       "updated_ms", (json_int_t)p.updated_ms));
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    RDG_TRY(chain_load(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = reply(ctx, &c, answer);
    chain_fini(&c);
    return err;
}

static rdg_err_t change(rdg_baas_t *b, const chain_t *c, const json_t *body) {
    archive_policy_t p;
    RDG_TRY(policy_load(b, c->number, &p));
    RDG_TRY(rdg_json_opt_u64(body, "keep_blocks", &p.keep_blocks));
    RDG_TRY(rdg_json_opt_u64(body, "keep_ms", &p.keep_ms));
    if (p.keep_blocks > INT64_MAX || p.keep_ms > INT64_MAX)
        return rdg_fail(RDG_E_INVALID, "keep_blocks, keep_ms: too large");
    return policy_save(b, c->number, &p);
}

/* What is not said stays as it is. */
static rdg_err_t set(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    const json_t *body;
    chain_t c;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(chain_load(b, rdg_service_arg(call, "name"), &c));
    rdg_err_t err =
        chain_gone(&c) ? rdg_fail(RDG_E_CONFLICT, "chain '%s' is gone", c.name) : change(b, &c, body);
    if (err == RDG_OK) err = reply(b, &c, answer);
    chain_fini(&c);
    prunes_kick(b);
    return err;
}

const rdg_service_route_t policy_routes[] = {
    {"GET", "/api/v1/chains/{name}/archive-policy", 0, show},
    {"PUT", "/api/v1/chains/{name}/archive-policy", 0, set},
};
const size_t policy_route_count = sizeof policy_routes / sizeof policy_routes[0];
