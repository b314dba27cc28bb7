#include "http_internal.h"
#include "ridge/base/alloc.h"
#include <pthread.h>

struct http_workers {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    rdg_http_request_t *first, *last;
    bool stopping;
    void (*run)(void *ctx, rdg_http_request_t *req);
    void *ctx;
    unsigned count;
    pthread_t threads[];
};

static rdg_http_request_t *pop(http_workers_t *w) {
    pthread_mutex_lock(&w->mutex);
    while (!w->first && !w->stopping) pthread_cond_wait(&w->changed, &w->mutex);
    rdg_http_request_t *req = w->first;
    if (req) w->first = req->next;
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
        req->next = NULL;
        if (w->last)
            w->last->next = req;
        else
            w->first = req;
        w->last = req;
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return taken;
}

void http_workers_stop(http_workers_t *w) {
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
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
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
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
