/* Who calls, and whether they may: the one place where that is decided, for every route (service.h, invariants 2, 2a). */
#ifndef RIDGE_SERVICE_GUARD_H
#define RIDGE_SERVICE_GUARD_H
#include "tokens.h"

typedef struct rdg_guard {
    rdg_tokens_t tokens;
    rdg_access_t *access; /* borrowed; may be NULL */
    size_t owner_count;
    struct {
        const char *things;
        rdg_service_owner_t own;
        void *ctx;
    } owners[RDG_SERVICE_OWNERS_MAX];
} rdg_guard_t;

/* authorization: the header, may be NULL. metrics: whoever may gather metrics alone counts, too. UNAUTHENTICATED. */
rdg_err_t rdg_guard_identify(const rdg_guard_t *g, const char *authorization, bool metrics,
                             rdg_caller_t *out);
rdg_err_t rdg_guard_identify_token(const rdg_guard_t *g, const char *token, bool metrics, rdg_caller_t *out);
/* The token of a header, which may be NULL; NULL: there is none. */
const char *rdg_guard_token(const char *authorization);
/* call: with caller, tenant, role and parameters. FORBIDDEN names who may; NOT_FOUND: another tenant's. */
rdg_err_t rdg_guard_admit(const rdg_guard_t *g, const rdg_service_route_t *route,
                          const rdg_service_call_t *call);

#endif
