#include "archive_keys.h"
#include "archive_states.h"
#include "collector_prune.h"
#include "succession.h"
#include <stdio.h>
#include "ridge/base/file.h"

#define GONE "(state IN ('destroyed', 'cancelled'))"

/* Times are Unix milliseconds. A chain's number is never used again, so that what belonged to a destroyed
 * chain of the same name cannot be taken for the new one's. */
static const char *const migrations[] = {
    "CREATE TABLE chains (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, state TEXT NOT NULL,"
    " consensus TEXT NOT NULL, driver TEXT NOT NULL, image TEXT, chain_id INTEGER NOT NULL, params TEXT NOT "
    "NULL,"
    " genesis TEXT, memory_bytes INTEGER NOT NULL, pids INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL DEFAULT 0, running_ms INTEGER NOT NULL DEFAULT 0,"
    " freed_bytes INTEGER NOT NULL DEFAULT 0, error TEXT);"
    "CREATE UNIQUE INDEX chains_name ON chains (name) WHERE state NOT IN ('destroyed', 'cancelled');"
    "CREATE TABLE chain_steps (chain INTEGER NOT NULL, device TEXT NOT NULL, kind INTEGER NOT NULL,"
    " position INTEGER NOT NULL, command TEXT NOT NULL UNIQUE, attempt INTEGER NOT NULL, state TEXT NOT NULL,"
    " rank INTEGER NOT NULL, result TEXT, error TEXT, updated_ms INTEGER NOT NULL,"
    " PRIMARY KEY (chain, device, kind));"
    "CREATE TABLE chain_events (seq INTEGER PRIMARY KEY AUTOINCREMENT, chain INTEGER NOT NULL, time_ms "
    "INTEGER NOT NULL,"
    " device TEXT, step TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL);"
    "CREATE INDEX chain_events_chain ON chain_events (chain, seq);"
    "CREATE TABLE contracts (chain INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, address "
    "BLOB NOT NULL,"
    " abi TEXT NOT NULL, tx BLOB NOT NULL, height INTEGER NOT NULL, deployed_ms INTEGER NOT NULL,"
    " PRIMARY KEY (chain, name, version));",
    "CREATE TABLE chain_members (number INTEGER PRIMARY KEY AUTOINCREMENT, chain INTEGER NOT NULL, device "
    "TEXT NOT "
    "NULL,"
    " action TEXT NOT NULL, step TEXT NOT NULL, state TEXT NOT NULL, weight INTEGER NOT NULL, created_ms "
    "INTEGER NOT "
    "NULL,"
    " updated_ms INTEGER NOT NULL, error TEXT);"
    "CREATE INDEX chain_members_chain ON chain_members (chain, number);",
    /* What the registry of a chain says, up to a height; ABIs by their digest; what was signed, until it is settled. */
    "DROP TABLE contracts;"
    "CREATE TABLE contract_versions (chain INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,"
    " address BLOB NOT NULL, abi_digest BLOB NOT NULL, owner BLOB NOT NULL, life INTEGER NOT NULL, tx BLOB "
    "NOT NULL,"
    " height INTEGER NOT NULL, seen_ms INTEGER NOT NULL, PRIMARY KEY (chain, name, version));"
    "CREATE TABLE contract_syncs (chain INTEGER PRIMARY KEY, height INTEGER NOT NULL, time_ms INTEGER NOT "
    "NULL);"
    "CREATE TABLE contract_abis (chain INTEGER NOT NULL, digest BLOB NOT NULL, abi TEXT NOT NULL,"
    " PRIMARY KEY (chain, digest));"
    "CREATE TABLE contract_orders (number INTEGER PRIMARY KEY AUTOINCREMENT, chain INTEGER NOT NULL, idem "
    "TEXT,"
    " digest BLOB NOT NULL, wire BLOB NOT NULL, state INTEGER NOT NULL, error TEXT, created_ms INTEGER NOT "
    "NULL,"
    " UNIQUE (chain, idem));"
    "CREATE INDEX contract_orders_state ON contract_orders (chain, state, number);"
    "CREATE TABLE contract_migrations (chain INTEGER NOT NULL, name TEXT NOT NULL, source INTEGER NOT NULL,"
    " target INTEGER NOT NULL, cursor TEXT NOT NULL, steps INTEGER NOT NULL, done INTEGER NOT NULL,"
    " updated_ms INTEGER NOT NULL, PRIMARY KEY (chain, name, source, target));",
    /* What is to stand, and stands, on the main chain. chain is the chain id. */
    "CREATE TABLE main_intents (number INTEGER PRIMARY KEY AUTOINCREMENT, chain INTEGER NOT NULL, name TEXT "
    "NOT "
    "NULL,"
    " kind INTEGER NOT NULL, idem TEXT NOT NULL, args TEXT NOT NULL, state INTEGER NOT NULL, wire BLOB, tx "
    "BLOB,"
    " entry INTEGER, block INTEGER, time_s INTEGER, previous BLOB, error TEXT, created_ms INTEGER NOT NULL,"
    " done_ms INTEGER, UNIQUE (chain, idem));"
    "CREATE INDEX main_intents_state ON main_intents (state, number);"
    "CREATE INDEX main_intents_name ON main_intents (name, number);",
    collector_migration,
    archive_states_migration,
    policy_migration,
    schedule_migration,
    closing_migration,
    rebuild_migration,
    archive_keys_migration,
    /* Whose chains are: that of their devices. A name is its first tenant's for ever, so that nobody is shown the
     * archives of another's chain that once had it. */
    "CREATE TABLE chain_tenants (name TEXT PRIMARY KEY, tenant TEXT NOT NULL);"
    "CREATE INDEX chain_tenants_tenant ON chain_tenants (tenant, name);"
    "INSERT INTO chain_tenants (name, tenant) SELECT DISTINCT name, 'default' FROM chains;"
    "INSERT INTO chain_tenants (name, tenant) SELECT DISTINCT name, 'default' FROM archives WHERE true"
    " ON CONFLICT (name) DO NOTHING;"
    "ALTER TABLE chains ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';"
    "CREATE INDEX chains_tenant ON chains (tenant, name, number);"
    "CREATE INDEX archives_name ON archives (name, number);",
    succession_migration,
};

rdg_err_t baas_store_open(rdg_baas_t *b, const char *data_dir) {
    char url[4200];
    b->opened_ms = baas_now();
    RDG_TRY(rdg_dir_make(data_dir, 0700));
    if (snprintf(url, sizeof url, "sqlite:%s/baas.db", data_dir) >= (int)sizeof url)
        return rdg_fail(RDG_E_TOO_LARGE, "the data directory's path is too long");
    RDG_TRY(rdg_sql_open(url, &b->db));
    return rdg_sql_migrate(b->db, "baas", migrations, sizeof migrations / sizeof migrations[0]);
}

rdg_err_t baas_store_prune(rdg_baas_t *b) {
    static const char *const statements[] = {
        /* Its genesis is what archives of a chain are proven against: as long as there are some, it stays. */
        "DELETE FROM chains WHERE " GONE " AND number NOT IN (SELECT number FROM chains WHERE " GONE
        " ORDER BY number DESC LIMIT 1000) AND NOT EXISTS (SELECT 1 FROM archives a WHERE a.chain = "
        "chains.number AND a.state IN ('verified', 'archived'))",
        "DELETE FROM chain_steps WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM chain_events WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM contract_versions WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM contract_syncs WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM contract_abis WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM contract_orders WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM contract_migrations WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM chain_members WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM chain_rebuilds WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM chain_successions WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM chain_closings WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM recovery_wishes WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM archive_policies WHERE chain NOT IN (SELECT number FROM chains)",
        "DELETE FROM archive_prunes WHERE chain NOT IN (SELECT number FROM chains)",
    };
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; ++i)
        RDG_TRY(rdg_sql_exec(b->db, statements[i], NULL, 0, NULL));
    return RDG_OK;
}

rdg_err_t baas_int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}
