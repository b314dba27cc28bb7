#include "share.h"
#include <stdio.h>
#include <string.h>

void rdg_shares_init(rdg_shares_t *s, unsigned max) {
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->max = max;
}

void rdg_shares_fini(rdg_shares_t *s) {
    pthread_mutex_destroy(&s->lock);
}

/* Call with the lock held. Its place, else a free one; SHARE_TENANTS_MAX: neither. */
static size_t find(const rdg_shares_t *s, const char *tenant) {
    size_t at = SHARE_TENANTS_MAX;
    for (size_t i = 0; i < SHARE_TENANTS_MAX; ++i) {
        if (s->of[i].running == 0 && at == SHARE_TENANTS_MAX) at = i;
        if (s->of[i].running > 0 && strcmp(s->of[i].tenant, tenant) == 0) return i;
    }
    return at;
}

rdg_err_t rdg_shares_enter(rdg_shares_t *s, const char *tenant) {
    if (!tenant) return RDG_OK;
    pthread_mutex_lock(&s->lock);
    size_t i = find(s, tenant);
    bool room = i < SHARE_TENANTS_MAX && s->of[i].running < s->max;
    if (room && s->of[i].running++ == 0) snprintf(s->of[i].tenant, sizeof s->of[i].tenant, "%s", tenant);
    pthread_mutex_unlock(&s->lock);
    return room ? RDG_OK
                : rdg_fail(RDG_E_BUSY, "%u requests of tenant %s are being answered: try again in a second",
                           s->max, tenant);
}

void rdg_shares_leave(rdg_shares_t *s, const char *tenant) {
    if (!tenant) return;
    pthread_mutex_lock(&s->lock);
    size_t i = find(s, tenant);
    if (i < SHARE_TENANTS_MAX && s->of[i].running > 0) --s->of[i].running;
    pthread_mutex_unlock(&s->lock);
}
