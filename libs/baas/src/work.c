#include "internal.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

#define NEVER UINT64_MAX
#define RETRY_AFTER_MS 500 /* after a failure of our own: the platform away, the disk full */

/* A chain that is due, worked on, or both. It leaves the list when it is neither. */
typedef struct work {
    rdg_list_t node;
    char chain[BAAS_NAME_MAX + 1];
    uint64_t due_ms; /* monotonic */
    bool busy;
} work_t;

/* The four below with the lock held. */
static work_t *find(const rdg_baas_t *b, const char *chain) {
    RDG_LIST_EACH(it, &b->queue) {
        work_t *w = RDG_LIST_ENTRY(it, work_t, node);
        if (strcmp(w->chain, chain) == 0) return w;
    }
    return NULL;
}

static work_t *find_or_add(rdg_baas_t *b, const char *chain) {
    work_t *w = find(b, chain);
    if (w) return w;
    w = rdg_calloc(1, sizeof *w);
    if (!w) return NULL;
    snprintf(w->chain, sizeof w->chain, "%s", chain);
    w->due_ms = NEVER;
    rdg_list_append(&b->queue, &w->node);
    return w;
}

static void drop_if_idle(work_t *w) {
    if (w->busy || w->due_ms != NEVER) return;
    rdg_list_remove(&w->node);
    rdg_free(w);
}

static work_t *next_due(rdg_baas_t *b, uint64_t *earliest) {
    work_t *best = NULL;
    *earliest = NEVER;
    RDG_LIST_EACH(it, &b->queue) {
        work_t *w = RDG_LIST_ENTRY(it, work_t, node);
        if (w->busy || w->due_ms >= *earliest) continue;
        best = w;
        *earliest = w->due_ms;
    }
    return best && *earliest <= baas_mono() ? best : NULL;
}

void work_kick(rdg_baas_t *b, const char *chain) {
    pthread_mutex_lock(&b->lock);
    work_t *w = find_or_add(b, chain);
    if (w) w->due_ms = 0;
    pthread_cond_broadcast(&b->work);
    pthread_mutex_unlock(&b->lock);
}

void work_enter(rdg_baas_t *b, const char *chain) {
    pthread_mutex_lock(&b->lock);
    work_t *w = find_or_add(b, chain);
    while (w && w->busy && !b->stopping) {
        pthread_cond_wait(&b->work, &b->lock);
        w = find_or_add(b, chain);
    }
    if (w) w->busy = true;
    pthread_mutex_unlock(&b->lock);
}

void work_leave(rdg_baas_t *b, const char *chain) {
    pthread_mutex_lock(&b->lock);
    work_t *w = find(b, chain);
    if (w) {
        w->busy = false;
        w->due_ms = 0;
    }
    pthread_cond_broadcast(&b->work);
    pthread_mutex_unlock(&b->lock);
}

static void run_one(rdg_baas_t *b, work_t *w) {
    uint64_t after_ms = 0;
    w->busy = true;
    w->due_ms = NEVER;
    pthread_mutex_unlock(&b->lock);
    rdg_err_t err = flow_advance(b, w->chain, &after_ms);
    if (err != RDG_OK && !baas_stopping(b)) {
        rdg_log(RDG_LOG_WARN, "chain.work_failed", RDG_STR("chain", w->chain),
                RDG_STR("code", rdg_err_name(err)), RDG_STR("error", rdg_err_message(err)));
        after_ms = RETRY_AFTER_MS;
    }
    pthread_mutex_lock(&b->lock);
    w->busy = false;
    uint64_t due = after_ms ? baas_mono() + after_ms : NEVER;
    if (due < w->due_ms) w->due_ms = due;
    drop_if_idle(w);
    pthread_cond_broadcast(&b->work);
}

static void *worker_main(void *arg) {
    rdg_baas_t *b = arg;
    pthread_mutex_lock(&b->lock);
    while (!b->stopping) {
        uint64_t earliest;
        work_t *w = next_due(b, &earliest);
        if (w)
            run_one(b, w);
        else if (earliest == NEVER)
            pthread_cond_wait(&b->work, &b->lock);
        else
            (void)baas_wait(b, &b->work, earliest);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

rdg_err_t work_start(rdg_baas_t *b) {
    while (b->worker_count < BAAS_WORKERS) {
        int e = pthread_create(&b->workers[b->worker_count], NULL, worker_main, b);
        if (e != 0) return rdg_fail_errno(e, "cannot start a thread of the chain service");
        ++b->worker_count;
    }
    return RDG_OK;
}

void work_join(rdg_baas_t *b) {
    while (b->worker_count > 0) pthread_join(b->workers[--b->worker_count], NULL);
    RDG_LIST_EACH_SAFE(it, &b->queue) rdg_free(RDG_LIST_ENTRY(it, work_t, node));
    rdg_list_init(&b->queue);
}
