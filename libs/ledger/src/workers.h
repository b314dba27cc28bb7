/* Threads that share one job: each takes the next number until none is left. The thread that calls workers_run
 * works too and returns when all numbers are done. One job at a time. */
#ifndef RIDGE_LEDGER_WORKERS_H
#define RIDGE_LEDGER_WORKERS_H
#include <stdint.h>

#define WORKERS_MAX 16

typedef struct workers workers_t;
typedef void (*workers_job_t)(void *ctx, unsigned worker, uint32_t number);

/* count includes the caller's thread, 1 to WORKERS_MAX; fewer start where the system has no more threads. NULL: no
 * memory. */
workers_t *workers_new(unsigned count);
void workers_free(workers_t *w);
/* job(ctx, 0 <= worker < count, 0 <= number < numbers), each number once. The caller is worker 0. */
void workers_run(workers_t *w, workers_job_t job, void *ctx, uint32_t numbers);
/* The same in two steps, between which the caller does something else while the others work. */
void workers_begin(workers_t *w, workers_job_t job, void *ctx, uint32_t numbers);
void workers_end(workers_t *w);

#endif
