/* Executes commands: those of one chain in order, those of different chains side by side, so that a stuck one
 * blocks only its own chain. Commands that name no chain form a queue of their own.
 *
 * Invariants
 * 1. Every command accepted by the journal ends with exactly one final result in the journal: done, failed,
 * expired.
 * 2. A command that was cut short by a crash is executed again from its start: what run does must bear that.
 * 3. At most EXECUTOR_WORKERS_MAX threads; they end when nothing waits. */
#ifndef RIDGE_AGENT_EXECUTOR_H
#define RIDGE_AGENT_EXECUTOR_H
#include "journal.h"

#define EXECUTOR_WORKERS_MAX 16

typedef struct executor executor_t;
typedef struct executor_run executor_run_t; /* one command being executed */

typedef struct executor_options {
    journal_t *journal;
    const rdg_clock_t *clock;
    /* Performs the command; *result may be set (owned by the executor then). */
    rdg_err_t (*run)(void *ctx, const command_t *c, executor_run_t *at, json_t **result);
    void (*progress)(void *ctx, rdg_bytes_t result); /* a "running" result, not kept; may be NULL */
    void (*ended)(void *ctx);                        /* a final result is in the journal */
    void *ctx;
} executor_options_t;

/* Takes up what the journal holds unfinished. */
rdg_err_t executor_start(const executor_options_t *options, executor_t **out);
/* Lets running commands end and starts no further ones; deliveries are still taken into the journal. */
void executor_halt(executor_t *x);
void executor_free(executor_t *x); /* takes; halts; NULL is fine */
/* A delivery: journals the command and queues it if it is new. *answer gets the stored result of an ended
 * one. When this fails the delivery must not be acknowledged. */
rdg_err_t executor_deliver(executor_t *x, rdg_bytes_t text, rdg_buf_t *answer);
/* Reports a step of the running command. */
void executor_progress(executor_run_t *at, const char *step, unsigned percent);
/* True when the agent stops: a long wait should end with CANCELLED, which leaves the command unfinished. */
bool executor_stopping(const executor_run_t *at);

#endif
