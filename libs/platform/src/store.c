#include "internal.h"
#include "collect.h"
#include <stdio.h>
#include "ridge/base/file.h"

/* Times are Unix milliseconds. `change` numbers every change of a command, so that a reader can follow them.
 */
const char *const platform_migrations[] = {
    "CREATE TABLE device_tokens (digest BLOB PRIMARY KEY, created_ms INTEGER NOT NULL, expires_ms INTEGER "
    "NOT NULL,"
    " used_ms INTEGER, device TEXT, public_key TEXT);"
    "CREATE TABLE devices (name TEXT PRIMARY KEY, public_key TEXT NOT NULL, arch TEXT, agent_version TEXT,"
    " drivers TEXT, enrolled_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL);"
    "CREATE TABLE commands (id TEXT PRIMARY KEY, device TEXT NOT NULL, type TEXT NOT NULL, params TEXT NOT "
    "NULL,"
    " state TEXT NOT NULL, handed INTEGER NOT NULL DEFAULT 0, step TEXT, progress INTEGER NOT NULL DEFAULT 0,"
    " result TEXT, error TEXT, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
    " deadline_ms INTEGER NOT NULL, traceparent TEXT, number INTEGER NOT NULL, change INTEGER NOT NULL);"
    "CREATE INDEX commands_state ON commands (state, number);"
    "CREATE INDEX commands_device ON commands (device, number);"
    "CREATE UNIQUE INDEX commands_change ON commands (change);"
    "CREATE UNIQUE INDEX commands_number ON commands (number);",
    /* The CA. `issuer` is the SM3 of the issuing key: a certificate of another one is not answered again. */
    "CREATE TABLE certificates (number INTEGER PRIMARY KEY, serial TEXT NOT NULL UNIQUE, subject TEXT NOT "
    "NULL,"
    " device TEXT NOT NULL, chain TEXT NOT NULL, use TEXT NOT NULL, public_key TEXT NOT NULL,"
    " issuer TEXT NOT NULL, not_before_ms BIGINT NOT NULL, not_after_ms BIGINT NOT NULL, issued_ms BIGINT "
    "NOT "
    "NULL,"
    " state TEXT NOT NULL, reason TEXT, revoked_ms BIGINT, pem TEXT NOT NULL);"
    "CREATE INDEX certificates_holder ON certificates (device, chain, use, number);"
    "CREATE INDEX certificates_key ON certificates (public_key);"
    "CREATE INDEX certificates_state ON certificates (state, not_after_ms);"
    "CREATE TABLE ca_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE ca_lists (number BIGINT PRIMARY KEY, pem TEXT NOT NULL);",
    /* Collected files: `bytes` of an upload are durable in its part file; an object may be several files. */
    "CREATE TABLE uploads (id TEXT PRIMARY KEY, device TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,"
    " size BIGINT NOT NULL, digest BLOB NOT NULL, meta TEXT NOT NULL, bytes BIGINT NOT NULL,"
    " corrupt INTEGER NOT NULL, touched_ms BIGINT NOT NULL, UNIQUE (device, kind, name));"
    "CREATE TABLE objects (digest BLOB PRIMARY KEY, size BIGINT NOT NULL);"
    "CREATE TABLE files (number INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, kind TEXT NOT NULL,"
    " name TEXT NOT NULL, size BIGINT NOT NULL, digest BLOB NOT NULL, meta TEXT NOT NULL,"
    " stored_ms BIGINT NOT NULL, UNIQUE (device, kind, name));"
    "CREATE INDEX files_digest ON files (digest);",
    /* Commands with a priority and a history. `handed`: when it was handed over, 0 before. A device's queue is read
     * by commands_open, and what expires by commands_due: neither grows with what other devices have waiting. */
    "ALTER TABLE commands ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE commands ADD COLUMN ordered_by TEXT;"
    "ALTER TABLE commands ADD COLUMN cancelled_by TEXT;"
    "ALTER TABLE commands ADD COLUMN sent_ms BIGINT;"
    "ALTER TABLE commands ADD COLUMN started_ms BIGINT;"
    "ALTER TABLE commands ADD COLUMN ended_ms BIGINT;"
    "ALTER TABLE commands ADD COLUMN deliveries INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE commands ADD COLUMN rollout TEXT;"
    "DROP INDEX commands_state;"
    "CREATE INDEX commands_open ON commands (device, priority, number)"
    " WHERE state IN ('queued', 'sent', 'running');"
    "CREATE INDEX commands_due ON commands (deadline_ms) WHERE state = 'queued' AND handed = 0;"
    "CREATE INDEX commands_rollout ON commands (rollout, number) WHERE rollout IS NOT NULL;",
    collect_readers_migration,
    /* Whose images devices run. image_policy: "number" of the list, "unsigned" patterns. */
    "CREATE TABLE image_signers (name TEXT PRIMARY KEY, public_key TEXT NOT NULL UNIQUE,"
    " repositories TEXT NOT NULL, revoked INTEGER NOT NULL, changed_ms BIGINT NOT NULL);"
    "CREATE TABLE image_policy (name TEXT PRIMARY KEY, value TEXT NOT NULL);",
    "ALTER TABLE devices ADD COLUMN group_name TEXT;"
    "ALTER TABLE devices ADD COLUMN site TEXT;"
    "ALTER TABLE devices ADD COLUMN location TEXT;"
    "CREATE INDEX devices_group ON devices (group_name, name);"
    "CREATE INDEX devices_site ON devices (site, name);"
    "CREATE TABLE device_labels (device TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (device, key));"
    "CREATE INDEX device_labels_value ON device_labels (key, value, device);"
    /* `open`: 1 while the dispatcher has to look at it. next_ms: when the next batch may go; 0: one is on its way. */
    "CREATE TABLE rollouts (id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, type TEXT NOT NULL,"
    " params TEXT NOT NULL, priority INTEGER NOT NULL, valid_ms BIGINT NOT NULL, batch_size INTEGER NOT NULL,"
    " pause_ms BIGINT NOT NULL, stop_percent INTEGER NOT NULL, selector TEXT NOT NULL, state TEXT NOT NULL,"
    " open INTEGER NOT NULL, reason TEXT, ordered_by TEXT, traceparent TEXT, total INTEGER NOT NULL,"
    " batches INTEGER NOT NULL DEFAULT 0, next_ms BIGINT NOT NULL, errors_before INTEGER NOT NULL DEFAULT 0,"
    " reached_before INTEGER NOT NULL DEFAULT 0, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL,"
    " ended_ms BIGINT);"
    "CREATE TABLE rollout_devices (rollout TEXT NOT NULL, position INTEGER NOT NULL, device TEXT NOT NULL,"
    " batch INTEGER, attempt INTEGER NOT NULL DEFAULT 0, command TEXT, state TEXT NOT NULL, message TEXT,"
    " PRIMARY KEY (rollout, position));"
    "CREATE INDEX rollout_devices_state ON rollout_devices (rollout, state, position);",
    /* Enrolment: enrolment.h. used: requests that wait, or have become a device. */
    "ALTER TABLE device_tokens ADD COLUMN id TEXT;"
    "ALTER TABLE device_tokens ADD COLUMN uses INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE device_tokens ADD COLUMN used INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE device_tokens ADD COLUMN about TEXT;"
    "ALTER TABLE device_tokens ADD COLUMN bound TEXT;"
    "ALTER TABLE device_tokens ADD COLUMN approve INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE device_tokens ADD COLUMN replaces INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE device_tokens ADD COLUMN made_by TEXT;"
    "ALTER TABLE device_tokens ADD COLUMN revoked_ms BIGINT;"
    "CREATE UNIQUE INDEX device_tokens_id ON device_tokens (id);"
    "CREATE TABLE enrolments (number INTEGER PRIMARY KEY AUTOINCREMENT, token BLOB NOT NULL, device TEXT NOT "
    "NULL,"
    " public_key TEXT NOT NULL, state TEXT NOT NULL, arch TEXT, agent_version TEXT, drivers TEXT, remote "
    "TEXT,"
    " asked_ms BIGINT NOT NULL, last_ms BIGINT NOT NULL, decided_ms BIGINT, decided_by TEXT, reason TEXT,"
    " UNIQUE (token, public_key));"
    "CREATE INDEX enrolments_state ON enrolments (state, number);"
    "INSERT INTO enrolments (token, device, public_key, state, asked_ms, last_ms, decided_ms)"
    " SELECT digest, device, public_key, 'done', used_ms, used_ms, used_ms FROM device_tokens"
    " WHERE used_ms IS NOT NULL;"
    "UPDATE device_tokens SET used = 1 WHERE used_ms IS NOT NULL;"
    "ALTER TABLE devices ADD COLUMN revoked_ms BIGINT;"
    "CREATE TABLE retired_keys (public_key TEXT PRIMARY KEY, device TEXT NOT NULL, retired_ms BIGINT NOT "
    "NULL);",
    "CREATE INDEX certificates_subject ON certificates (subject, state);",
    /* Whose things are. device_tenants: whose a device's name is, for ever, also when the device is removed: what has
     * its name is never told to another tenant. A rollout of tenant '' is the cloud's own, over devices of any. */
    "CREATE TABLE device_tenants (device TEXT PRIMARY KEY, tenant TEXT NOT NULL);"
    "INSERT INTO device_tenants (device, tenant) SELECT name, 'default' FROM devices;"
    "ALTER TABLE devices ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';"
    "CREATE INDEX devices_tenant ON devices (tenant, name);"
    "ALTER TABLE device_tokens ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';"
    "CREATE INDEX device_tokens_tenant ON device_tokens (tenant, id);"
    "ALTER TABLE commands ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';"
    "CREATE INDEX commands_tenant ON commands (tenant, number);"
    "CREATE INDEX commands_tenant_change ON commands (tenant, change);"
    "ALTER TABLE rollouts ADD COLUMN tenant TEXT NOT NULL DEFAULT '';"
    "UPDATE rollouts SET tenant = 'default';"
    "ALTER TABLE files ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';"
    "CREATE INDEX files_tenant ON files (tenant, number);"
    "CREATE INDEX rollouts_tenant ON rollouts (tenant, number);",
};
const size_t platform_migration_count = sizeof platform_migrations / sizeof platform_migrations[0];

rdg_err_t platform_store_open(rdg_platform_t *p, const char *data_dir) {
    char url[4200];
    RDG_TRY(rdg_dir_make(data_dir, 0700));
    if (snprintf(url, sizeof url, "sqlite:%s/platform.db", data_dir) >= (int)sizeof url)
        return rdg_fail(RDG_E_TOO_LARGE, "the data directory's path is too long");
    RDG_TRY(rdg_sql_open(url, &p->db));
    return rdg_sql_migrate(p->db, "platform", platform_migrations, platform_migration_count);
}
