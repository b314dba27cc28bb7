#include "workers.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "ridge/base/alloc.h"

typedef struct worker {
    workers_t *pool;
    pthread_t thread;
    unsigned number;
} worker_t;

struct workers {
    worker_t threads[WORKERS_MAX];
    unsigned started;
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    uint64_t job_number; /* of the running or the last job */
    unsigned busy;       /* threads that have not finished it */
    bool stop;
    workers_job_t job;
    void *ctx;
    uint32_t numbers;
    atomic_uint next;
};

static void work(workers_t *w, unsigned worker) {
    for (uint32_t n; (n = atomic_fetch_add(&w->next, 1)) < w->numbers;) w->job(w->ctx, worker, n);
}

static void *thread_main(void *arg) {
    const worker_t *self = arg;
    workers_t *w = self->pool;
    uint64_t done = 0;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->stop && w->job_number == done) pthread_cond_wait(&w->begin, &w->lock);
        if (w->stop) break;
        done = w->job_number;
        pthread_mutex_unlock(&w->lock);
        work(w, self->number);
        pthread_mutex_lock(&w->lock);
        if (--w->busy == 0) pthread_cond_signal(&w->end);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

workers_t *workers_new(unsigned count) {
    workers_t *w = rdg_calloc(1, sizeof *w);
    if (!w) return NULL;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->begin, NULL);
    pthread_cond_init(&w->end, NULL);
    for (unsigned i = 1; i < count && i < WORKERS_MAX; ++i) {
        worker_t *t = &w->threads[w->started];
        *t = (worker_t){.pool = w, .number = i};
        if (pthread_create(&t->thread, NULL, thread_main, t) != 0) break;
        ++w->started;
    }
    return w;
}

void workers_free(workers_t *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->begin);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->started; ++i) pthread_join(w->threads[i].thread, NULL);
    pthread_cond_destroy(&w->begin);
    pthread_cond_destroy(&w->end);
    pthread_mutex_destroy(&w->lock);
    rdg_free(w);
}

void workers_begin(workers_t *w, workers_job_t job, void *ctx, uint32_t numbers) {
    pthread_mutex_lock(&w->lock);
    w->job = job;
    w->ctx = ctx;
    w->numbers = numbers;
    atomic_store(&w->next, 0);
    w->busy = w->started;
    w->job_number++;
    pthread_cond_broadcast(&w->begin);
    pthread_mutex_unlock(&w->lock);
}

void workers_end(workers_t *w) {
    work(w, 0);
    pthread_mutex_lock(&w->lock);
    while (w->busy > 0) pthread_cond_wait(&w->end, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void workers_run(workers_t *w, workers_job_t job, void *ctx, uint32_t numbers) {
    workers_begin(w, job, ctx, numbers);
    workers_end(w);
}
