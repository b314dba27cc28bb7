/* Threads with the small stack that a small device affords. */
#ifndef RIDGE_AGENT_THREAD_H
#define RIDGE_AGENT_THREAD_H
#include <pthread.h>
#include <stdint.h>
#include "ridge/base/error.h"

#define THREAD_STACK_BYTES (256u << 10)

rdg_err_t thread_start(pthread_t *t, void *(*fn)(void *), void *arg);
rdg_err_t thread_start_detached(void *(*fn)(void *), void *arg);
/* A condition variable on the monotonic clock, and a wait on it; false when the time is over. */
void thread_cond_init(pthread_cond_t *c);
int thread_cond_wait_ms(pthread_cond_t *c, pthread_mutex_t *m, uint64_t ms);

#endif
