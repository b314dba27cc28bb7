#include "http_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include <pthread.h>
#include <time.h>

struct http_workers {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    rdg_http_request_t *first, *last;
    rdg_http_request_t *deferred; /* at most one of each connection */
    uint64_t wakes;
    bool stopping;
    void (*run)(void *ctx, rdg_http_request_t *req);
    void *ctx;
    unsigned count;
    pthread_t threads[];
};

static void append(http_workers_t *w, rdg_http_request_t *req) {
    req->next = NULL;
    if (w->last)
        w->last->next = req;
    else
        w->first = req;
    w->last = req;
}

/* Queues those of the deferred that are due, and gives the time of the next one. */
static uint64_t queue_due(http_workers_t *w, uint64_t now_ms) {
    uint64_t next = UINT64_MAX;
    for (rdg_http_request_t **at = &w->deferred; *at;) {
        rdg_http_request_t *req = *at;
        if (req->deferred_until <= now_ms) {
            *at = req->next;
            append(w, req);
        } else {
            if (req->deferred_until < next) next = req->deferred_until;
            at = &req->next;
        }
    }
    return next;
}

static void wait_until(http_workers_t *w, uint64_t until_ms) {
    struct timespec t = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
    if (until_ms == UINT64_MAX)
        pthread_cond_wait(&w->changed, &w->mutex);
    else
        pthread_cond_timedwait(&w->changed, &w->mutex, &t);
}

static rdg_http_request_t *pop(http_workers_t *w) {
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        uint64_t next = w->deferred ? queue_due(w, rdg_mono_ms(rdg_clock_system())) : UINT64_MAX;
        if (w->first || w->stopping) break;
        wait_until(w, next);
    }
    rdg_http_request_t *req = w->first;
    if (req) {
        w->first = req->next;
        req->wakes = w->wakes;
    }
    if (!w->first) w->last = NULL;
    pthread_mutex_unlock(&w->mutex);
    return req;
}

static void *work(void *arg) {
    http_workers_t *w = arg;
    rdg_http_request_t *req;
    while ((req = pop(w)) != NULL) w->run(w->ctx, req);
    return NULL;
}

bool http_workers_push(http_workers_t *w, rdg_http_request_t *req) {
    pthread_mutex_lock(&w->mutex);
    bool taken = !w->stopping;
    if (taken) {
        append(w, req);
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return taken;
}

static void queue_deferred(http_workers_t *w, bool for_the_last_time) {
    while (w->deferred) {
        rdg_http_request_t *req = w->deferred;
        w->deferred = req->next;
        if (for_the_last_time) req->deferred_until = UINT64_MAX;
        append(w, req);
    }
}

void http_workers_defer(http_workers_t *w, rdg_http_request_t *req) {
    pthread_mutex_lock(&w->mutex);
    if (w->stopping) req->deferred_until = UINT64_MAX;
    if (w->stopping || req->wakes != w->wakes) {
        append(w, req);
    } else {
        req->next = w->deferred;
        w->deferred = req;
    }
    /* Who waits without a time learns of it, since this thread may soon be busy. */
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

void http_workers_wake(http_workers_t *w) {
    pthread_mutex_lock(&w->mutex);
    ++w->wakes;
    if (w->deferred) pthread_cond_broadcast(&w->changed);
    queue_deferred(w, false);
    pthread_mutex_unlock(&w->mutex);
}

void http_workers_stop(http_workers_t *w) {
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
    queue_deferred(w, true);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    for (unsigned i = 0; i < w->count; ++i) pthread_join(w->threads[i], NULL);
    w->count = 0;
}

void http_workers_free(http_workers_t *w) {
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    rdg_free(w);
}

rdg_err_t http_workers_start(unsigned threads, void (*run)(void *ctx, rdg_http_request_t *req), void *ctx,
                             http_workers_t **out) {
    http_workers_t *w = rdg_calloc(1, sizeof *w + threads * sizeof w->threads[0]);
    if (!w) return rdg_fail(RDG_E_NO_MEMORY, "no memory for %u threads", threads);
    pthread_condattr_t monotonic;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->run = run;
    w->ctx = ctx;
    for (; w->count < threads; ++w->count) {
        int why = pthread_create(&w->threads[w->count], NULL, work, w);
        if (why == 0) continue;
        http_workers_stop(w);
        http_workers_free(w);
        return rdg_fail_errno(why, "cannot start thread %u of %u of an HTTP server", w->count, threads);
    }
    *out = w;
    return RDG_OK;
}
