/* Access tokens that expire, with roles, and tenants: who may call a service, as what, and whose things they see.
 *
 * A token is "rat_" and 48 hex digits of 192 random bits. It is of one tenant, or of the cloud (no tenant: it sees all);
 * its role is reader, operator or admin. A tenant is an organisation that shares the cloud; what nobody gave to one is
 * of RDG_TENANT_DEFAULT, which is always there.
 *
 *   POST   /api/v1/tokens              {"name", "tenant"?, "role"?, "expires_s"?}: the token, this once
 *   GET    /api/v1/tokens              without secrets
 *   POST   /api/v1/tokens/{id}/revoke
 *   POST   /api/v1/tenants             {"name"}
 *   GET    /api/v1/tenants
 *   GET    /api/v1/tenants/{name}      with its limits, and what it has of what they limit
 *   PATCH  /api/v1/tenants/{name}      {"limits": {"devices"?, "chains"?, "rollouts"?}}: numbers, or null for none
 *   DELETE /api/v1/tenants/{name}      CONFLICT while it has anything (rdg_access_in_use)
 *
 * Invariants
 * 1. Of a token only its SM3 is kept; it is compared with every one in constant time.
 * 2. A token is stored, synced, before it is told, and its revocation before that is answered; from then on it is
 *    refused. Expired and revoked ones are remembered for 30 days to say so, then they are unknown.
 * 3. Names of tokens in force are unique in their tenant, so that a name says who may what.
 * 4. A tenant's administrator sees, makes and revokes tokens of its tenant only.
 * 5. A removed tenant's tokens are refused at once, and its name never comes back: what a later one of the same name would
 *    see is the former's.
 * 6. A limit is stored, synced, before it is answered, and holds from then on for what is new: whatever a tenant has beyond a
 *    limit that was lowered stays, and it gets nothing more of that kind. Whoever adds for a tenant is bound by it.
 *
 * Limits: RDG_ACCESS_TOKENS_MAX tokens, RDG_ACCESS_TENANT_TOKENS_MAX of a tenant, RDG_ACCESS_TENANTS_MAX tenants (FULL). The
 * time of the last use is stored to the minute.
 * Threads: all but open, in_use and close. Errors: those of sql.h; and as said. */
#ifndef RIDGE_SERVICE_ACCESS_H
#define RIDGE_SERVICE_ACCESS_H
#include "ridge/service/service.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_ACCESS_TOKENS_MAX 2000
#define RDG_ACCESS_TENANT_TOKENS_MAX 100
#define RDG_ACCESS_TENANTS_MAX 1000
#define RDG_ACCESS_NAME_MAX 30
#define RDG_ACCESS_LIFE_S (30ull * 86400) /* unless said otherwise */
#define RDG_ACCESS_LIFE_MAX_S (366ull * 86400)

/* <data_dir>/access.db. clock NULL: the system's. */
rdg_err_t rdg_access_open(const char *data_dir, const rdg_clock_t *clock, rdg_access_t **out);
void rdg_access_close(rdg_access_t *a); /* NULL is fine */
/* Adds the routes above. */
rdg_err_t rdg_access_routes(rdg_access_t *a, rdg_service_t *service);
/* Asked before a tenant is removed: CONFLICT names what it still has. At most 4; ctx is borrowed. */
rdg_err_t rdg_access_in_use(rdg_access_t *a, rdg_err_t (*fn)(void *ctx, const char *tenant), void *ctx);

/* Of what a tenant may have a limited number; none unless somebody sets one. */
typedef enum rdg_share {
    RDG_SHARE_DEVICES,  /* enrolled, until they are removed */
    RDG_SHARE_CHAINS,   /* until they are destroyed */
    RDG_SHARE_ROLLOUTS, /* that have not ended */
    RDG_SHARES
} rdg_share_t;
#define RDG_SHARE_LIMIT_MAX 1000000
typedef rdg_err_t (*rdg_share_count_t)(void *ctx, rdg_share_t share, const char *tenant, uint64_t *used);
/* Who counts it; ctx is borrowed. What nobody counts here has no limits here. */
void rdg_access_count(rdg_access_t *a, rdg_share_t share, rdg_share_count_t count, void *ctx);
/* Whether the tenant may have one more; in the transaction that makes it, so that two at once are not both the last. FULL says
 * how many there are, and who raises the limit. a NULL: no tenants here. */
rdg_err_t rdg_access_room(rdg_access_t *a, rdg_share_t share, const char *tenant);

/* UNAUTHENTICATED tells whether the token is unknown (*out stays), has expired, or was revoked: then out->name says whose
 * it was, of role NONE. */
rdg_err_t rdg_access_check(rdg_access_t *a, const char *token, rdg_caller_t *out);
/* By the name of a token in force, as rdg_caller_t has it. */
bool rdg_access_named(rdg_access_t *a, const char *caller, rdg_caller_t *out);
rdg_err_t rdg_access_tenant(rdg_access_t *a, const char *name); /* NOT_FOUND */

#ifdef __cplusplus
}
#endif
#endif
