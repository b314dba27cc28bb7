/* Transactions as they come into the pool: the ids of the last ones, numbered, for subscriptions and filters. */
#include "ridge/base/alloc.h"
#include "rpc_internal.h"
#include <pthread.h>

enum { KEPT = 4096 };

struct pending {
    pthread_mutex_t lock;
    rdg_hash_t *ids; /* a ring of KEPT; NULL until somebody wants to be told */
    uint64_t next;   /* number of the next one */
};

rdg_err_t pending_new(pending_t **out) {
    pending_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for pending transactions");
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return RDG_OK;
}

void pending_free(pending_t *p) {
    if (!p) return;
    pthread_mutex_destroy(&p->lock);
    rdg_free(p->ids);
    rdg_free(p);
}

rdg_err_t pending_watch(pending_t *p, uint64_t *next) {
    pthread_mutex_lock(&p->lock);
    if (!p->ids) p->ids = rdg_calloc(KEPT, sizeof *p->ids);
    bool ready = p->ids != NULL;
    *next = p->next;
    pthread_mutex_unlock(&p->lock);
    return ready ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for pending transactions");
}

bool pending_note(pending_t *p, const rdg_hash_t *id) {
    pthread_mutex_lock(&p->lock);
    bool watched = p->ids != NULL;
    if (watched) p->ids[p->next++ % KEPT] = *id;
    pthread_mutex_unlock(&p->lock);
    return watched;
}

size_t pending_since(pending_t *p, uint64_t *from, rdg_hash_t *out, size_t max) {
    size_t count = 0;
    pthread_mutex_lock(&p->lock);
    if (p->next > KEPT && *from < p->next - KEPT) *from = p->next - KEPT;
    while (count < max && *from < p->next) out[count++] = p->ids[(*from)++ % KEPT];
    pthread_mutex_unlock(&p->lock);
    return count;
}
