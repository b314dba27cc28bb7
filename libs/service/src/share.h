/* How many handlers one tenant has at once: a share, so that its requests leave threads for those of others. */
#ifndef RIDGE_SERVICE_SHARE_H
#define RIDGE_SERVICE_SHARE_H
#include "ridge/service/service.h"
#include <pthread.h>

#define SHARE_TENANTS_MAX 128 /* with a handler at once; no service has so many threads */

typedef struct rdg_shares {
    pthread_mutex_t lock;
    unsigned max;
    struct {
        char tenant[RDG_TENANT_MAX + 1];
        unsigned running; /* 0: a free place */
    } of[SHARE_TENANTS_MAX];
} rdg_shares_t;

void rdg_shares_init(rdg_shares_t *s, unsigned max);
void rdg_shares_fini(rdg_shares_t *s);
/* tenant NULL: the cloud's own, without a share. BUSY. */
rdg_err_t rdg_shares_enter(rdg_shares_t *s, const char *tenant);
void rdg_shares_leave(rdg_shares_t *s, const char *tenant);

#endif
