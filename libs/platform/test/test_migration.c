/* A cloud of the version before tenants and access tokens: its databases are taken over, and all it has goes on. */
#include <stdio.h>
#include <string.h>
#include "alarm.h"
#include "enrolment.h"
#include "kit.h"
#include "ridge/base/file.h"

/* How many migrations there were before the one that brought tenants. */
static size_t before_tenants(const char *const *migrations, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (strstr(migrations[i], "tenant TEXT NOT NULL")) return i;
    rdg_test_fail(__FILE__, __LINE__, "no migration brings tenants");
    return 0;
}

static void put(rdg_sql_t *db, const char *sql) {
    CHECK_OK(rdg_sql_exec(db, sql, NULL, 0, NULL));
}

static rdg_sql_t *open_db(const char *name) {
    char url[600];
    rdg_sql_t *db;
    snprintf(url, sizeof url, "sqlite:%s/%s", rdg_test_dir(), name);
    CHECK_OK(rdg_sql_open(url, &db));
    return db;
}

/* As the version before wrote them. */
static void make_old(const char *token) {
    rdg_hash_t digest;
    rdg_sql_t *db = open_db("platform.db");
    size_t count = before_tenants(platform_migrations, platform_migration_count);
    CHECK_OK(rdg_sql_migrate(db, "platform", platform_migrations, count));
    token_digest(token, &digest);
    put(db, "INSERT INTO devices (name, public_key, arch, agent_version, drivers, enrolled_ms, last_seen_ms)"
            " VALUES ('old-1', '00', 'amd64', '0.1.0', '[]', 1, 1)");
    CHECK_OK(rdg_sql_exec(db,
                          "INSERT INTO device_tokens (digest, created_ms, expires_ms, id, uses)"
                          " VALUES (?, 1, 9000000000000, 'old-token', 5)",
                          RDG_SQL_PARAMS(rdg_sql_blob(rdg_bytes(digest.b, sizeof digest.b))), NULL));
    put(db,
        "INSERT INTO commands (id, device, type, params, state, created_ms, updated_ms, deadline_ms, number,"
        " change) VALUES ('old-command', 'old-1', 'agent.none', '{}', 'queued', 1, 1, 9000000000000, 1, 1)");
    put(db,
        "INSERT INTO rollouts (id, number, type, params, priority, valid_ms, batch_size, pause_ms,"
        " stop_percent, selector, state, open, total, next_ms, created_ms, updated_ms) VALUES"
        " ('old-rollout', 1, 'agent.none', '{}', 1, 1000, 1, 0, 0, '{\"all\":true}', 'done', 0, 0, 0, 1, 1)");
    put(db, "INSERT INTO files (device, kind, name, size, digest, meta, stored_ms)"
            " VALUES ('old-1', 'log', 'old-file', 1, x'00', '{}', 1)");
    rdg_sql_close(db);
    db = open_db("monitor.db");
    count = before_tenants(alarm_migrations, alarm_migration_count);
    CHECK_OK(rdg_sql_migrate(db, "alarms", alarm_migrations, count));
    put(db, "INSERT INTO alarms (device, kind, subject, critical, value, threshold, raised_ms)"
            " VALUES ('old-1', 'disk', '', 1, 95, 90, 1)");
    rdg_sql_close(db);
}

static void make_access(kit_t *k, const char *tenant, char token[100]) {
    char body[120];
    json_t *a;
    snprintf(body, sizeof body, "{\"name\":\"boss\",\"role\":\"admin\",\"tenant\":\"%s\"}", tenant);
    CHECK_EQ(kit_call(k, "POST", "/tokens", body, &a), 201);
    snprintf(token, 100, "%s", kit_text(a, "token"));
    json_decref(a);
}

static size_t listed(kit_t *k, const char *as, const char *path, const char *field) {
    json_t *a;
    CHECK_EQ(kit_call_as(k, as, "GET", path, NULL, &a), 200);
    size_t n = json_array_size(json_object_get(a, field));
    json_decref(a);
    return n;
}

static const char *const lists[][2] = {{"/devices", "devices"},   {"/commands", "commands"},
                                       {"/rollouts", "rollouts"}, {"/files", "files"},
                                       {"/alarms", "alarms"},     {"/device-tokens", "tokens"}};

TEST(migration_of_a_cloud_without_tenants_gives_all_to_tenant_default) {
    kit_t k;
    fake_t f;
    char own[100], other[100], full[200];
    json_t *a;
    make_old("rtk-of-old");
    kit_open(&k);
    CHECK_EQ(kit_call(&k, "POST", "/tenants", "{\"name\":\"other\"}", NULL), 201);
    make_access(&k, RDG_TENANT_DEFAULT, own);
    make_access(&k, "other", other);
    for (int again = 0; again < 2; ++again) {
        for (size_t i = 0; i < sizeof lists / sizeof lists[0]; ++i) {
            if (listed(&k, own, lists[i][0], lists[i][1]) == 0)
                rdg_test_fail(__FILE__, __LINE__, "%s has nothing of before", lists[i][0]);
            CHECK_EQ(listed(&k, other, lists[i][0], lists[i][1]), 0);
            CHECK(listed(&k, "secret", lists[i][0], lists[i][1]) > 0);
        }
        kit_close(&k); /* and the version after it finds them */
        kit_open(&k);
    }
    CHECK_EQ(kit_call(&k, "GET", "/devices/old-1", NULL, &a), 200);
    CHECK_STR(kit_text(a, "tenant"), RDG_TENANT_DEFAULT);
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, other, "GET", "/devices/old-1", NULL, NULL), 404);
    CHECK_EQ(kit_call_as(&k, other, "GET", "/commands/old-command", NULL, NULL), 404);
    CHECK_EQ(kit_call_as(&k, own, "POST", "/commands/old-command/cancel", NULL, &a), 200);
    CHECK_STR(kit_text(a, "state"), "cancelled");
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, own, "POST", "/devices/old-1/commands", "{\"type\":\"agent.none\"}", NULL), 202);
    /* What was given out before still lets devices in, and its name is nobody else's. */
    fake_init(&f, "new-1");
    snprintf(full, sizeof full, "rtk-of-old");
    CHECK_EQ(fake_enrol(&k, &f, full, NULL), 201);
    fake_fini(&f);
    CHECK_EQ(kit_call_as(&k, own, "GET", "/devices/new-1", NULL, NULL), 200);
    CHECK_EQ(kit_call_as(&k, other, "GET", "/devices/new-1", NULL, NULL), 404);
    CHECK_EQ(kit_call_as(&k, other, "POST", "/device-tokens", NULL, &a), 201);
    snprintf(full, sizeof full, "%s", kit_text(json_array_get(json_object_get(a, "tokens"), 0), "token"));
    json_decref(a);
    fake_init(&f, "old-1");
    CHECK_EQ(fake_enrol(&k, &f, full, NULL), 409);
    fake_fini(&f);
    kit_close(&k);
}
