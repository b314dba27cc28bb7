/* What the parts of access control share. `lock` guards the lists in memory, which are the database's; `changing` lets one
 * change at a time through to both, the database first. Order: changing, the database, lock. */
#ifndef RIDGE_SERVICE_ACCESS_INTERNAL_H
#define RIDGE_SERVICE_ACCESS_INTERNAL_H
#include "ridge/service/access.h"
#include "ridge/sql/sql.h"
#include <pthread.h>

#define ACCESS_USERS_MAX 4
#define ACCESS_SHOWN_MAX 64

typedef struct access_token {
    char id[17], name[RDG_ACCESS_NAME_MAX + 1], tenant[RDG_TENANT_MAX + 1]; /* tenant "": the cloud's own */
    rdg_hash_t digest;
    rdg_role_t role;
    int64_t created_ms, expires_ms, revoked_ms, used_ms, saved_ms; /* 0: never; saved: the stored used_ms */
    char by[RDG_CALLER_MAX + 1];
} access_token_t;

/* Of a tenant with limits; below 0: none. */
#define ACCESS_NO_LIMIT (-1)
typedef struct access_limits {
    char tenant[RDG_TENANT_MAX + 1];
    int64_t max[RDG_SHARES];
} access_limits_t;

struct rdg_access {
    rdg_sql_t *db;
    const rdg_clock_t *clock;
    pthread_mutex_t lock, changing;
    size_t user_count;
    struct {
        rdg_err_t (*fn)(void *ctx, const char *tenant);
        void *ctx;
    } users[ACCESS_USERS_MAX];
    struct {
        rdg_share_count_t fn;
        void *ctx;
    } counts[RDG_SHARES];
    size_t limit_count;
    access_limits_t limits[RDG_ACCESS_TENANTS_MAX];
    size_t count;
    access_token_t list[RDG_ACCESS_TOKENS_MAX];
};

int64_t access_now(const rdg_access_t *a);
bool access_in_force(const access_token_t *t, int64_t now);
const char *access_state(const access_token_t *t, int64_t now); /* "valid", "expired", "revoked" */
/* Fills id and digest; the rest is the caller's. shown: the token. NOT_FOUND, EXISTS, FULL. */
rdg_err_t access_make(rdg_access_t *a, access_token_t *t, char shown[ACCESS_SHOWN_MAX]);
/* tenant NULL: all. fn is called with the lock held. */
void access_each(rdg_access_t *a, const char *tenant, void (*fn)(void *ctx, const access_token_t *t),
                 void *ctx);
bool access_find(rdg_access_t *a, const char *tenant, const char *id, access_token_t *out);
rdg_err_t access_revoke(rdg_access_t *a, const char *id, const char *by);
rdg_err_t access_add_tenant(rdg_access_t *a, const char *name, const char *by);
rdg_err_t access_remove_tenant(rdg_access_t *a, const char *name, const char *by);
/* Columns: name, created_ms, created_by. name NULL: all. */
rdg_err_t access_tenants(rdg_access_t *a, const char *name,
                         rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *r), void *ctx);

/* access_limits.c */
rdg_err_t access_limits_load(rdg_access_t *a);
/* The routes' GET and PATCH: adds "limits" and "used" to a tenant's description. Not while a query runs: others count by queries
 * of their own, and may be in a transaction that waits for ours. */
rdg_err_t access_limits_describe(rdg_access_t *a, json_t *tenant);
/* body: of PATCH. INVALID, NOT_FOUND. */
rdg_err_t access_limits_change(rdg_access_t *a, const char *tenant, const json_t *body);

#endif
