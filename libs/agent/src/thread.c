#include "thread.h"
#include <time.h>

static rdg_err_t start(pthread_t *t, void *(*fn)(void *), void *arg, int state) {
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, THREAD_STACK_BYTES);
    pthread_attr_setdetachstate(&a, state);
    int e = pthread_create(t, &a, fn, arg);
    pthread_attr_destroy(&a);
    return e == 0 ? RDG_OK : rdg_fail_errno(e, "cannot start a thread");
}

rdg_err_t thread_start(pthread_t *t, void *(*fn)(void *), void *arg) {
    return start(t, fn, arg, PTHREAD_CREATE_JOINABLE);
}

rdg_err_t thread_start_detached(void *(*fn)(void *), void *arg) {
    pthread_t t;
    return start(&t, fn, arg, PTHREAD_CREATE_DETACHED);
}

void thread_cond_init(pthread_cond_t *c) {
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(c, &a);
    pthread_condattr_destroy(&a);
}

int thread_cond_wait_ms(pthread_cond_t *c, pthread_mutex_t *m, uint64_t ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, ++t.tv_sec;
    return pthread_cond_timedwait(c, m, &t);
}
