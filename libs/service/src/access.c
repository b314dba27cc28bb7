#include "access_internal.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"

#define TOKEN_PREFIX "rat_"
#define TOKEN_RANDOM_BYTES 24
#define ID_BYTES 8
#define TOKEN_BYTES_MAX 512
#define ACCESS_KEEP_MS (30ll * 86400000)
#define SAVE_USED_MS 60000

/* Times are Unix milliseconds; tenant '': the cloud's own. A removed tenant's row stays, so that its name does. */
static const char *const migrations[] = {
    "CREATE TABLE tenants (name TEXT PRIMARY KEY, created_ms BIGINT NOT NULL, created_by TEXT,"
    " removed_ms BIGINT, removed_by TEXT);"
    "INSERT INTO tenants (name, created_ms) VALUES ('default', 0);"
    "CREATE TABLE access_tokens (id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, name TEXT NOT NULL,"
    " tenant TEXT NOT NULL, role INTEGER NOT NULL, created_ms BIGINT NOT NULL, created_by TEXT NOT NULL,"
    " expires_ms BIGINT NOT NULL, revoked_ms BIGINT, revoked_by TEXT, used_ms BIGINT);",
    /* What a tenant may have at most; below 0: any number. */
    "ALTER TABLE tenants ADD COLUMN max_devices BIGINT NOT NULL DEFAULT -1;"
    "ALTER TABLE tenants ADD COLUMN max_chains BIGINT NOT NULL DEFAULT -1;"
    "ALTER TABLE tenants ADD COLUMN max_rollouts BIGINT NOT NULL DEFAULT -1;",
};

int64_t access_now(const rdg_access_t *a) {
    return (int64_t)rdg_wall_ms(a->clock);
}

const char *access_state(const access_token_t *t, int64_t now) {
    return t->revoked_ms ? "revoked" : t->expires_ms <= now ? "expired" : "valid";
}

bool access_in_force(const access_token_t *t, int64_t now) {
    return !t->revoked_ms && t->expires_ms > now;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static void copy_text(char *out, size_t size, const char *text) {
    snprintf(out, size, "%s", text ? text : "");
}

static rdg_err_t load_row(void *ctx, const rdg_sql_row_t *r) {
    rdg_access_t *a = ctx;
    access_token_t *t = &a->list[a->count];
    rdg_bytes_t digest = rdg_sql_row_blob(r, 1);
    if (a->count == RDG_ACCESS_TOKENS_MAX) return RDG_E_CANCELLED;
    if (digest.len != sizeof t->digest.b)
        return rdg_fail(RDG_E_CORRUPT, "access token %.20s is damaged in the database",
                        rdg_sql_row_text(r, 0));
    memset(t, 0, sizeof *t);
    copy_text(t->id, sizeof t->id, rdg_sql_row_text(r, 0));
    memcpy(t->digest.b, digest.data, sizeof t->digest.b);
    copy_text(t->name, sizeof t->name, rdg_sql_row_text(r, 2));
    copy_text(t->tenant, sizeof t->tenant, rdg_sql_row_text(r, 3));
    t->role = (rdg_role_t)rdg_sql_row_int(r, 4);
    t->created_ms = rdg_sql_row_int(r, 5);
    copy_text(t->by, sizeof t->by, rdg_sql_row_text(r, 6));
    t->expires_ms = rdg_sql_row_int(r, 7);
    t->revoked_ms = rdg_sql_row_int(r, 8);
    t->used_ms = t->saved_ms = rdg_sql_row_int(r, 9);
    ++a->count;
    return RDG_OK;
}

static rdg_err_t open_store(rdg_access_t *a, const char *data_dir) {
    char url[4200];
    RDG_TRY(rdg_dir_make(data_dir, 0700));
    if (snprintf(url, sizeof url, "sqlite:%s/access.db", data_dir) >= (int)sizeof url)
        return rdg_fail(RDG_E_TOO_LARGE, "the data directory's path is too long");
    RDG_TRY(rdg_sql_open(url, &a->db));
    RDG_TRY(rdg_sql_migrate(a->db, "access", migrations, sizeof migrations / sizeof migrations[0]));
    return rdg_sql_query(a->db,
                         "SELECT id, digest, name, tenant, role, created_ms, created_by, expires_ms, "
                         "revoked_ms, used_ms FROM access_tokens ORDER BY created_ms",
                         NULL, 0, load_row, a);
}

rdg_err_t rdg_access_open(const char *data_dir, const rdg_clock_t *clock, rdg_access_t **out) {
    rdg_access_t *a = rdg_calloc(1, sizeof *a);
    if (!a) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the access tokens");
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->changing, NULL);
    a->clock = clock ? clock : rdg_clock_system();
    rdg_err_t err = open_store(a, data_dir);
    if (err == RDG_OK) err = access_limits_load(a);
    if (err == RDG_OK)
        *out = a;
    else
        rdg_access_close(a);
    return err;
}

void rdg_access_close(rdg_access_t *a) {
    if (!a) return;
    if (a->db) rdg_sql_close(a->db);
    pthread_mutex_destroy(&a->lock);
    pthread_mutex_destroy(&a->changing);
    rdg_secure_zero(a->list, sizeof a->list);
    rdg_free(a);
}

rdg_err_t rdg_access_in_use(rdg_access_t *a, rdg_err_t (*fn)(void *ctx, const char *tenant), void *ctx) {
    if (a->user_count == ACCESS_USERS_MAX)
        return rdg_fail(RDG_E_FULL, "%d parts that know tenants at most", ACCESS_USERS_MAX);
    a->users[a->user_count].fn = fn;
    a->users[a->user_count++].ctx = ctx;
    return RDG_OK;
}

/* --- who it is ---------------------------------------------------------------------------------------------------- */

static void tell(const access_token_t *t, rdg_caller_t *out) {
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s%s%s", t->tenant, t->tenant[0] ? "/" : "", t->name);
    memcpy(out->tenant, t->tenant, sizeof out->tenant);
    out->role = t->role;
    out->ends = true;
}

static bool is_named(const access_token_t *t, const char *caller) {
    size_t len = strlen(t->tenant);
    if (len == 0) return strcmp(caller, t->name) == 0;
    return strncmp(caller, t->tenant, len) == 0 && caller[len] == '/' &&
           strcmp(caller + len + 1, t->name) == 0;
}

static rdg_err_t refuse(const access_token_t *t) {
    char when[25];
    rdg_time_format((uint64_t)(t->revoked_ms ? t->revoked_ms : t->expires_ms), when);
    return rdg_fail(RDG_E_UNAUTHENTICATED, "access token '%s' (%s) %s %s: ask an administrator for another",
                    t->name, t->id, t->revoked_ms ? "was revoked" : "has expired", when);
}

rdg_err_t rdg_access_check(rdg_access_t *a, const char *token, rdg_caller_t *out) {
    size_t len = strnlen(token, TOKEN_BYTES_MAX + 1);
    const int64_t now = access_now(a);
    access_token_t *found = NULL, copy;
    bool save = false;
    rdg_hash_t digest;
    rdg_sm3(token, len > TOKEN_BYTES_MAX ? 0 : len, &digest);
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; ++i)
        if (rdg_ct_equal(digest.b, a->list[i].digest.b, sizeof digest.b)) found = &a->list[i];
    bool good = found && access_in_force(found, now);
    if (good) {
        found->used_ms = now;
        save = now - found->saved_ms >= SAVE_USED_MS;
        if (save) found->saved_ms = now;
    }
    if (found) copy = *found;
    pthread_mutex_unlock(&a->lock);
    if (!found)
        return rdg_fail(RDG_E_UNAUTHENTICATED,
                        "this access token is not known here: 'ridge token new' makes one, and the "
                        "administrator's is in admin.token in the cloud's data directory");
    if (!good) {
        tell(&copy, out);
        out->role = RDG_ROLE_NONE;
        return refuse(&copy);
    }
    if (save)
        (void)rdg_sql_exec(a->db, "UPDATE access_tokens SET used_ms = ? WHERE id = ?",
                           RDG_SQL_PARAMS(rdg_sql_int(now), rdg_sql_text(copy.id)), NULL);
    tell(&copy, out);
    return RDG_OK;
}

bool rdg_access_named(rdg_access_t *a, const char *caller, rdg_caller_t *out) {
    const int64_t now = access_now(a);
    bool found = false;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; !found && i < a->count; ++i) {
        found = is_named(&a->list[i], caller) && access_in_force(&a->list[i], now);
        if (found) tell(&a->list[i], out);
    }
    pthread_mutex_unlock(&a->lock);
    return found;
}

static rdg_err_t found_row(void *ctx, const rdg_sql_row_t *r) {
    (void)r;
    *(bool *)ctx = true;
    return RDG_OK;
}

rdg_err_t rdg_access_tenant(rdg_access_t *a, const char *name) {
    bool found = false;
    RDG_TRY(rdg_sql_query(a->db, "SELECT 1 FROM tenants WHERE name = ? AND removed_ms IS NULL",
                          RDG_SQL_PARAMS(rdg_sql_text(name)), found_row, &found));
    return found ? RDG_OK
                 : rdg_fail(RDG_E_NOT_FOUND, "tenant '%.32s' does not exist: see ridge tenant list", name);
}

/* --- changes: one at a time, the database first --------------------------------------------------------------------- */

/* Call with `changing` held. What nobody needs to be told of any more goes. */
static rdg_err_t forget_old(rdg_access_t *a, int64_t now) {
    RDG_TRY(rdg_sql_exec(a->db, "DELETE FROM access_tokens WHERE expires_ms < ? OR revoked_ms < ?",
                         RDG_SQL_PARAMS(rdg_sql_int(now - ACCESS_KEEP_MS), rdg_sql_int(now - ACCESS_KEEP_MS)),
                         NULL));
    pthread_mutex_lock(&a->lock);
    size_t kept = 0;
    for (size_t i = 0; i < a->count; ++i) {
        const access_token_t *t = &a->list[i];
        if (t->expires_ms < now - ACCESS_KEEP_MS || (t->revoked_ms && t->revoked_ms < now - ACCESS_KEEP_MS))
            continue;
        if (kept != i) a->list[kept] = *t;
        ++kept;
    }
    a->count = kept;
    pthread_mutex_unlock(&a->lock);
    return RDG_OK;
}

/* Call with `changing` held. */
static rdg_err_t check_room(rdg_access_t *a, const access_token_t *t, int64_t now) {
    size_t of_tenant = 0;
    bool taken = false;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; ++i) {
        if (strcmp(a->list[i].tenant, t->tenant) != 0) continue;
        ++of_tenant;
        taken = taken || (access_in_force(&a->list[i], now) && strcmp(a->list[i].name, t->name) == 0);
    }
    size_t count = a->count;
    pthread_mutex_unlock(&a->lock);
    if (taken)
        return rdg_fail(RDG_E_EXISTS,
                        "there is an access token '%s' already: revoke it first, or choose another name",
                        t->name);
    if (count == RDG_ACCESS_TOKENS_MAX)
        return rdg_fail(RDG_E_FULL, "there are %d access tokens: no more are possible",
                        RDG_ACCESS_TOKENS_MAX);
    if (t->tenant[0] && of_tenant >= RDG_ACCESS_TENANT_TOKENS_MAX)
        return rdg_fail(
            RDG_E_FULL,
            "tenant %s has %d access tokens, with those that ended in the last 30 days: no more are "
            "possible",
            t->tenant, RDG_ACCESS_TENANT_TOKENS_MAX);
    return RDG_OK;
}

static rdg_err_t insert(rdg_access_t *a, const access_token_t *t) {
    return rdg_sql_exec(
        a->db,
        "INSERT INTO access_tokens (id, digest, name, tenant, role, created_ms, created_by, expires_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_text(t->id), rdg_sql_blob(rdg_bytes(t->digest.b, sizeof t->digest.b)),
                       rdg_sql_text(t->name), rdg_sql_text(t->tenant), rdg_sql_int(t->role),
                       rdg_sql_int(t->created_ms), rdg_sql_text(t->by), rdg_sql_int(t->expires_ms)),
        NULL);
}

rdg_err_t access_make(rdg_access_t *a, access_token_t *t, char shown[ACCESS_SHOWN_MAX]) {
    const int64_t now = access_now(a);
    snprintf(shown, ACCESS_SHOWN_MAX, TOKEN_PREFIX);
    rdg_random_hex(rdg_random_system(), shown + sizeof TOKEN_PREFIX - 1, TOKEN_RANDOM_BYTES);
    rdg_sm3(shown, strlen(shown), &t->digest);
    rdg_random_hex(rdg_random_system(), t->id, ID_BYTES);
    pthread_mutex_lock(&a->changing);
    /* Looked for with the lock that removal holds: no token of a tenant that is just going. */
    rdg_err_t err = t->tenant[0] ? rdg_access_tenant(a, t->tenant) : RDG_OK;
    if (err == RDG_OK) err = forget_old(a, now);
    if (err == RDG_OK) err = check_room(a, t, now);
    if (err == RDG_OK) err = insert(a, t);
    if (err == RDG_OK) {
        pthread_mutex_lock(&a->lock);
        a->list[a->count++] = *t;
        pthread_mutex_unlock(&a->lock);
    }
    pthread_mutex_unlock(&a->changing);
    if (err != RDG_OK) rdg_secure_zero(shown, ACCESS_SHOWN_MAX);
    return err;
}

void access_each(rdg_access_t *a, const char *tenant, void (*fn)(void *ctx, const access_token_t *t),
                 void *ctx) {
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; ++i)
        if (!tenant || strcmp(tenant, a->list[i].tenant) == 0) fn(ctx, &a->list[i]);
    pthread_mutex_unlock(&a->lock);
}

bool access_find(rdg_access_t *a, const char *tenant, const char *id, access_token_t *out) {
    bool found = false;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; !found && i < a->count; ++i) {
        found = strcmp(id, a->list[i].id) == 0 && (!tenant || strcmp(tenant, a->list[i].tenant) == 0);
        if (found) *out = a->list[i];
    }
    pthread_mutex_unlock(&a->lock);
    return found;
}

/* id NULL: all of the tenant. Call with `changing` held. */
static rdg_err_t revoke(rdg_access_t *a, const char *id, const char *tenant, const char *by) {
    const int64_t now = access_now(a);
    RDG_TRY(rdg_sql_exec(a->db,
                         "UPDATE access_tokens SET revoked_ms = ?, revoked_by = ? WHERE revoked_ms IS NULL"
                         " AND (id = ? OR (? IS NULL AND tenant = ?))",
                         RDG_SQL_PARAMS(rdg_sql_int(now), rdg_sql_text(by), rdg_sql_text(id),
                                        rdg_sql_text(id), rdg_sql_text(tenant)),
                         NULL));
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; ++i) {
        access_token_t *t = &a->list[i];
        if (t->revoked_ms || strcmp(id ? id : tenant, id ? t->id : t->tenant) != 0) continue;
        t->revoked_ms = now;
    }
    pthread_mutex_unlock(&a->lock);
    return RDG_OK;
}

rdg_err_t access_revoke(rdg_access_t *a, const char *id, const char *by) {
    pthread_mutex_lock(&a->changing);
    rdg_err_t err = revoke(a, id, NULL, by);
    pthread_mutex_unlock(&a->changing);
    return err;
}

/* --- tenants --------------------------------------------------------------------------------------------------------- */

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

static rdg_err_t add_tenant(rdg_access_t *a, const char *name, const char *by) {
    int64_t count = 0;
    RDG_TRY(rdg_sql_query(a->db, "SELECT COUNT(*) FROM tenants", NULL, 0, int_row, &count));
    if (count >= RDG_ACCESS_TENANTS_MAX)
        return rdg_fail(RDG_E_FULL, "there are %d tenants, with removed ones: no more are possible",
                        RDG_ACCESS_TENANTS_MAX);
    rdg_err_t err =
        rdg_sql_exec(a->db, "INSERT INTO tenants (name, created_ms, created_by) VALUES (?, ?, ?)",
                     RDG_SQL_PARAMS(rdg_sql_text(name), rdg_sql_int(access_now(a)), rdg_sql_text(by)), NULL);
    if (err != RDG_E_EXISTS) return err;
    return rdg_access_tenant(a, name) == RDG_OK
               ? rdg_fail(RDG_E_EXISTS, "tenant '%s' exists already", name)
               : rdg_fail(RDG_E_EXISTS,
                          "tenant '%s' was removed, and its name does not come back: choose another", name);
}

rdg_err_t access_add_tenant(rdg_access_t *a, const char *name, const char *by) {
    pthread_mutex_lock(&a->changing);
    rdg_err_t err = add_tenant(a, name, by);
    pthread_mutex_unlock(&a->changing);
    return err;
}

static rdg_err_t remove_tenant(rdg_access_t *a, const char *name, const char *by) {
    RDG_TRY(rdg_access_tenant(a, name));
    if (strcmp(name, RDG_TENANT_DEFAULT) == 0)
        return rdg_fail(RDG_E_CONFLICT, "tenant '%s' is what belongs to no other: it stays", name);
    for (size_t i = 0; i < a->user_count; ++i) RDG_TRY(a->users[i].fn(a->users[i].ctx, name));
    RDG_TRY(rdg_sql_exec(a->db, "UPDATE tenants SET removed_ms = ?, removed_by = ? WHERE name = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(access_now(a)), rdg_sql_text(by), rdg_sql_text(name)),
                         NULL));
    return revoke(a, NULL, name, by);
}

rdg_err_t access_remove_tenant(rdg_access_t *a, const char *name, const char *by) {
    pthread_mutex_lock(&a->changing);
    rdg_err_t err = remove_tenant(a, name, by);
    pthread_mutex_unlock(&a->changing);
    return err;
}

rdg_err_t access_tenants(rdg_access_t *a, const char *name,
                         rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *r), void *ctx) {
    const rdg_sql_value_t which = rdg_sql_text(name);
    return rdg_sql_query(
        a->db,
        "SELECT name, created_ms, created_by FROM tenants WHERE removed_ms IS NULL AND (? IS "
        "NULL OR name = ?) ORDER BY name",
        RDG_SQL_PARAMS(which, which), row, ctx);
}
