/* Executes the transactions of a block, several at a time where that helps, with the result of executing them
 * one after another.
 *
 * A window of transactions is executed apart, each on a state of its own that stands on the block's, which does not
 * change meanwhile (threads only read it). Then, in the block's order: if every value that a transaction read
 * is still the same, what it changed is taken over; if not, it is executed again, on the block's state.
 *
 * Invariants
 * 1. Execution is a function of the values read, so a transaction whose reads still hold has done what it would
 *    have done in its place: states, receipts and logs are those of serial execution, whatever the number of
 *    threads, their timing, and the decisions on when to execute in parallel.
 * 2. An error in execution apart (memory, storage) counts as a conflict: only the execution in place can fail.
 * 3. Windows grow while few transactions conflict. A window in which more than a third did ends the parallel
 *    execution of its block, and of the next blocks, twice as many each time: what fully conflicting blocks
 *    lose is one first window, seldom.
 * 4. Memory: at most PARALLEL_WINDOW_MAX states of one transaction, released with the block, and a machine for
 *    each thread. Threads start with the first block that is large enough. */
#ifndef RIDGE_LEDGER_PARALLEL_H
#define RIDGE_LEDGER_PARALLEL_H
#include "executor.h"
#include "workers.h"

#define PARALLEL_WINDOW_FIRST 16 /* smaller blocks are executed serially */
#define PARALLEL_WINDOW_MAX 128

typedef struct parallel parallel_t;

/* threads: 1 executes serially. NULL: no memory. */
parallel_t *parallel_new(unsigned threads);
void parallel_free(parallel_t *p);

/* Called in the block's order; the receipt borrows until it returns. Its cumulative gas is not set. */
typedef rdg_err_t (*parallel_receipt_t)(void *ctx, uint32_t index, rdg_receipt_t *receipt);

/* x is the executor of the block's state; p may be NULL. The transactions have passed rdg_tx_check. */
rdg_err_t parallel_run(parallel_t *p, executor_t *x, rdg_tx_t *const *txs, uint32_t count,
                       parallel_receipt_t done, void *ctx);

/* job(ctx, worker, number) for each number, on the threads that execute blocks, or on the caller's where there is one thread
 * or no memory. Not beside parallel_run. p may be NULL. */
void parallel_each(parallel_t *p, workers_job_t job, void *ctx, uint32_t numbers);

/* Transactions executed apart that were taken over, and that had to be executed again, since parallel_new. */
void parallel_counts(const parallel_t *p, uint64_t *taken, uint64_t *repeated);

#endif
