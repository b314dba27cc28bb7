/* What a chain's archives are to be: when they are made by themselves, and what of them stays on the devices all the same. */
#include "archive_keys.h"
#include "collector_prune.h"
#include <stdio.h>
#include <string.h>

#define EVERY_MIN_MS 1000u

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

const char schedule_migration[] =
    "ALTER TABLE archive_policies ADD COLUMN every_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE archive_policies ADD COLUMN cron TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE archive_policies ADD COLUMN size_bytes BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE archive_policies ADD COLUMN age_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE archive_policies ADD COLUMN budget_bytes BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE archive_policies ADD COLUMN ordered_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE archive_policies ADD COLUMN ordered_bytes BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE archive_policies ADD COLUMN ordered_why TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE archive_policies ADD COLUMN pressed_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE archive_prunes ADD COLUMN passing INTEGER NOT NULL DEFAULT 0;";

#define COLUMNS                                                                                              \
    "keep_blocks, keep_ms, updated_ms, every_ms, cron, size_bytes, age_ms, budget_bytes, ordered_ms, "       \
    "ordered_bytes, ordered_why, pressed_ms, encrypt"

static rdg_err_t policy_row(void *ctx, const rdg_sql_row_t *r) {
    archive_policy_t *p = ctx;
    p->keep_blocks = (uint64_t)rdg_sql_row_int(r, 0);
    p->keep_ms = (uint64_t)rdg_sql_row_int(r, 1);
    p->updated_ms = (uint64_t)rdg_sql_row_int(r, 2);
    p->every_ms = (uint64_t)rdg_sql_row_int(r, 3);
    snprintf(p->cron, sizeof p->cron, "%s", rdg_sql_row_text(r, 4));
    p->size_bytes = (uint64_t)rdg_sql_row_int(r, 5);
    p->age_ms = (uint64_t)rdg_sql_row_int(r, 6);
    p->budget_bytes = (uint64_t)rdg_sql_row_int(r, 7);
    p->ordered_ms = (uint64_t)rdg_sql_row_int(r, 8);
    p->ordered_bytes = (uint64_t)rdg_sql_row_int(r, 9);
    snprintf(p->ordered_why, sizeof p->ordered_why, "%s", rdg_sql_row_text(r, 10));
    p->pressed_ms = (uint64_t)rdg_sql_row_int(r, 11);
    p->encrypt = rdg_sql_row_int(r, 12) != 0;
    return RDG_OK;
}

rdg_err_t policy_load(rdg_baas_t *b, int64_t chain, archive_policy_t *out) {
    *out = (archive_policy_t){.keep_blocks = POLICY_KEEP_BLOCKS, .keep_ms = POLICY_KEEP_MS};
    return rdg_sql_query(b->db, "SELECT " COLUMNS " FROM archive_policies WHERE chain = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(chain)), policy_row, out);
}

static rdg_sql_value_t u64(uint64_t v) {
    return rdg_sql_int((int64_t)v);
}

static rdg_err_t policy_save(rdg_baas_t *b, int64_t chain, const archive_policy_t *p) {
    return rdg_sql_exec(
        b->db,
        "INSERT INTO archive_policies (chain, keep_blocks, keep_ms, updated_ms, every_ms, cron, size_bytes, "
        "age_ms,"
        " budget_bytes, encrypt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (chain) DO UPDATE SET keep_blocks = excluded.keep_blocks, keep_ms = excluded.keep_ms,"
        " updated_ms = excluded.updated_ms, every_ms = excluded.every_ms, cron = excluded.cron,"
        " size_bytes = excluded.size_bytes, age_ms = excluded.age_ms, budget_bytes = excluded.budget_bytes,"
        " encrypt = excluded.encrypt",
        RDG_SQL_PARAMS(rdg_sql_int(chain), u64(p->keep_blocks), u64(p->keep_ms), u64(p->updated_ms),
                       u64(p->every_ms), rdg_sql_text(p->cron), u64(p->size_bytes), u64(p->age_ms),
                       u64(p->budget_bytes), rdg_sql_int(p->encrypt)),
        NULL);
}

rdg_err_t policy_encrypt(rdg_baas_t *b, int64_t chain) {
    archive_policy_t p;
    RDG_TRY(policy_load(b, chain, &p));
    p.encrypt = true;
    if (p.updated_ms == 0) p.updated_ms = baas_now();
    return policy_save(b, chain, &p);
}

rdg_err_t policy_mend_times(rdg_baas_t *b, int64_t chain, archive_policy_t *p, uint64_t now) {
    if (p->updated_ms <= now && p->ordered_ms <= now) return RDG_OK;
    if (p->updated_ms > now) p->updated_ms = now;
    if (p->ordered_ms > now) p->ordered_ms = now;
    return rdg_sql_exec(b->db, "UPDATE archive_policies SET updated_ms = ?, ordered_ms = ? WHERE chain = ?",
                        RDG_SQL_PARAMS(u64(p->updated_ms), u64(p->ordered_ms), rdg_sql_int(chain)), NULL);
}

rdg_err_t policy_note(rdg_baas_t *b, int64_t chain, const archive_policy_t *p) {
    return rdg_sql_exec(b->db,
                        "UPDATE archive_policies SET ordered_ms = ?, ordered_bytes = ?, ordered_why = ?, "
                        "pressed_ms = ? WHERE chain = ?",
                        RDG_SQL_PARAMS(u64(p->ordered_ms), u64(p->ordered_bytes),
                                       rdg_sql_text(p->ordered_why), u64(p->pressed_ms), rdg_sql_int(chain)),
                        NULL);
}

static rdg_err_t reply(rdg_baas_t *b, const chain_t *c, rdg_service_answer_t *answer) {
    archive_policy_t p;
    schedule_t next;
    RDG_TRY(policy_load(b, c->number, &p));
    RDG_TRY(schedule_of(b, c, &p, &next));
    json_t *o =
        json_pack("{s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:b, s:b, s:I}", "chain", c->name, "keep_blocks",
                  (json_int_t)p.keep_blocks, "keep_ms", (json_int_t)p.keep_ms, "every_ms",
                  (json_int_t)p.every_ms, "cron", p.cron, "size_bytes", (json_int_t)p.size_bytes, "age_ms",
                  (json_int_t)p.age_ms, "budget_bytes", (json_int_t)p.budget_bytes, "pressure",
                  p.pressed_ms > 0, "encrypt", (int)p.encrypt, "updated_ms", (json_int_t)p.updated_ms);
    json_t *times =
        json_pack("{s:o, s:s?, s:o, s:s?}", "next_ms",
                  next.next_ms ? json_integer((json_int_t)next.next_ms) : json_null(), "next_why", next.why,
                  "last_ms", p.ordered_ms ? json_integer((json_int_t)p.ordered_ms) : json_null(), "last_why",
                  p.ordered_ms ? p.ordered_why : NULL);
    if (o && times) json_object_update(o, times);
    json_decref(times);
    return rdg_service_reply(answer, 200, o);
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    RDG_TRY(chain_load(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = reply(ctx, &c, answer);
    chain_fini(&c);
    return err;
}

static rdg_err_t read_policy(const json_t *body, archive_policy_t *p) {
    const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {{"keep_blocks", &p->keep_blocks}, {"keep_ms", &p->keep_ms},
                   {"every_ms", &p->every_ms},       {"size_bytes", &p->size_bytes},
                   {"age_ms", &p->age_ms},           {"budget_bytes", &p->budget_bytes}};
    const char *cron = NULL;
    cron_t parsed;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
        RDG_TRY(rdg_json_opt_u64(body, numbers[i].name, numbers[i].value));
        if (*numbers[i].value > INT64_MAX / 2)
            return rdg_fail(RDG_E_INVALID, "%s: too large", numbers[i].name);
    }
    if (p->every_ms && p->every_ms < EVERY_MIN_MS)
        return rdg_fail(RDG_E_INVALID, "every_ms: at least %u, or 0 for never", EVERY_MIN_MS);
    RDG_TRY(rdg_json_opt_bool(body, "encrypt", &p->encrypt));
    RDG_TRY(rdg_json_opt_str(body, "cron", &cron));
    if (!cron) return RDG_OK;
    if (cron[0]) RDG_TRY(cron_parse(cron, &parsed));
    if (cron[0] && cron_next(&parsed, baas_now()) == 0)
        return rdg_fail(RDG_E_INVALID, "cron: '%.40s' does not come within five years", cron);
    snprintf(p->cron, sizeof p->cron, "%s", cron);
    return RDG_OK;
}

static rdg_err_t change(rdg_baas_t *b, const chain_t *c, const json_t *body) {
    archive_policy_t p, before;
    char id[RDG_ARCHIVE_KEY_ID_MAX + 1];
    RDG_TRY(policy_load(b, c->number, &p));
    before = p;
    RDG_TRY(read_policy(body, &p));
    /* Times count from when they were set: to say the same again, as programs do every hour, puts nothing off. */
    if (p.updated_ms == 0 || p.every_ms != before.every_ms || strcmp(p.cron, before.cron) != 0)
        p.updated_ms = baas_now();
    /* The key first: it is there to be backed up before anything is encrypted with it. */
    if (p.encrypt) RDG_TRY(archive_keys_current(b, c, id));
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
    {"GET", "/api/v1/chains/{name}/archive-policy", RDG_ROUTE_OWNED, show},
    {"PUT", "/api/v1/chains/{name}/archive-policy", RDG_ROUTE_OWNED, set},
};
const size_t policy_route_count = sizeof policy_routes / sizeof policy_routes[0];
