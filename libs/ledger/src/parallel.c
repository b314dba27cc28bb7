#include "parallel.h"
#include "ridge/base/alloc.h"

#define PAUSE_MAX 32 /* blocks */

/* One transaction executed apart. */
typedef struct attempt {
    state_t state;
    rdg_receipt_t receipt;
    bool ok, governance_changed;
} attempt_t;

struct parallel {
    unsigned threads;
    workers_t *workers;
    rdg_evm_t *machines[WORKERS_MAX]; /* but 0, whose thread uses the block's */
    attempt_t *attempts;
    unsigned pause, paused; /* blocks to be executed serially; how many at the last time */
    uint64_t taken, repeated;
    /* The running window. */
    executor_t *x;
    rdg_tx_t *const *txs;
};

parallel_t *parallel_new(unsigned threads) {
    parallel_t *p = rdg_calloc(1, sizeof *p);
    if (p) p->threads = threads < WORKERS_MAX ? threads : WORKERS_MAX;
    return p;
}

void parallel_free(parallel_t *p) {
    if (!p) return;
    workers_free(p->workers);
    for (unsigned i = 0; i < WORKERS_MAX; ++i) rdg_evm_free(p->machines[i]);
    rdg_free(p->attempts);
    rdg_free(p);
}

void parallel_counts(const parallel_t *p, uint64_t *taken, uint64_t *repeated) {
    *taken = p->taken;
    *repeated = p->repeated;
}

/* False: no memory or threads; the block is executed serially. */
static bool start(parallel_t *p) {
    if (p->workers) return true;
    if (!p->attempts) p->attempts = rdg_calloc(PARALLEL_WINDOW_MAX, sizeof *p->attempts);
    if (!p->attempts) return false;
    for (unsigned i = 1; i < p->threads; ++i)
        if (!p->machines[i] && !(p->machines[i] = rdg_evm_new())) return false;
    p->workers = workers_new(p->threads);
    return p->workers != NULL;
}

void parallel_each(parallel_t *p, workers_job_t job, void *ctx, uint32_t numbers) {
    if (p && p->threads > 1 && numbers > 1 && start(p))
        workers_run(p->workers, job, ctx, numbers);
    else
        for (uint32_t i = 0; i < numbers; ++i) job(ctx, 0, i);
}

/* The output of a revert stands in the machine, which goes on to the next transaction. */
static rdg_err_t keep_output(attempt_t *a) {
    rdg_bytes_t *output = &a->receipt.output;
    if (output->len == 0) return RDG_OK;
    const void *copy = rdg_arena_copy(&a->state.tx_arena, output->data, output->len);
    if (!copy) return RDG_E_NO_MEMORY;
    *output = rdg_bytes(copy, output->len);
    return RDG_OK;
}

static void attempt(void *ctx, unsigned worker, uint32_t number) {
    parallel_t *p = ctx;
    attempt_t *a = &p->attempts[number];
    executor_t x = *p->x;
    if (worker > 0) x.evm = p->machines[worker];
    x.state = x.host.state = &a->state;
    x.host.context = &x.context;
    x.host.governance_changed = false;
    state_restart(&a->state, p->x->state);
    a->ok = executor_run(&x, p->txs[number], 0, &a->receipt) == RDG_OK && keep_output(a) == RDG_OK;
    a->governance_changed = x.host.governance_changed;
}

static rdg_err_t in_place(executor_t *x, const rdg_tx_t *tx, uint32_t index, parallel_receipt_t done,
                          void *ctx) {
    rdg_receipt_t receipt;
    RDG_TRY(executor_run(x, tx, 0, &receipt));
    return done(ctx, index, &receipt);
}

static rdg_err_t settle(parallel_t *p, uint32_t first, uint32_t count, parallel_receipt_t done, void *ctx,
                        uint32_t *conflicts) {
    *conflicts = 0;
    for (uint32_t i = 0; i < count; ++i) {
        attempt_t *a = &p->attempts[i];
        if (a->ok && state_still_holds(p->x->state, &a->state)) {
            RDG_TRY(state_adopt(p->x->state, &a->state));
            if (a->governance_changed) p->x->host.governance_changed = true;
            RDG_TRY(done(ctx, first + i, &a->receipt));
        } else {
            ++*conflicts;
            RDG_TRY(in_place(p->x, p->txs[i], first + i, done, ctx));
        }
    }
    p->taken += count - *conflicts;
    p->repeated += *conflicts;
    return RDG_OK;
}

static void pause_parallel(parallel_t *p) {
    p->paused = p->paused ? p->paused * 2 : 1;
    if (p->paused > PAUSE_MAX) p->paused = PAUSE_MAX;
    p->pause = p->paused;
}

/* Runs windows until one conflicts too much; *at is the first transaction that is left. */
static rdg_err_t run_windows(parallel_t *p, rdg_tx_t *const *txs, uint32_t count, uint32_t *at,
                             parallel_receipt_t done, void *ctx) {
    uint32_t window = PARALLEL_WINDOW_FIRST, conflicts;
    while (count - *at >= PARALLEL_WINDOW_FIRST) {
        uint32_t n = count - *at < window ? count - *at : window;
        p->txs = txs + *at;
        workers_run(p->workers, attempt, p, n);
        RDG_TRY(settle(p, *at, n, done, ctx, &conflicts));
        *at += n;
        if (3 * conflicts > n) {
            pause_parallel(p);
            return RDG_OK;
        }
        if (window < PARALLEL_WINDOW_MAX) window *= 2;
    }
    p->paused = 0;
    return RDG_OK;
}

static bool worth_it(parallel_t *p, uint32_t count) {
    if (!p || p->threads < 2 || count < PARALLEL_WINDOW_FIRST) return false;
    if (p->pause == 0) return start(p);
    --p->pause;
    return false;
}

rdg_err_t parallel_run(parallel_t *p, executor_t *x, rdg_tx_t *const *txs, uint32_t count,
                       parallel_receipt_t done, void *ctx) {
    uint32_t at = 0;
    rdg_err_t err = RDG_OK;
    if (worth_it(p, count)) {
        p->x = x;
        for (uint32_t i = 0; i < PARALLEL_WINDOW_MAX; ++i)
            state_init(&p->attempts[i].state, x->state->kv, x->state->snap, x->state->bank);
        err = run_windows(p, txs, count, &at, done, ctx);
        for (uint32_t i = 0; i < PARALLEL_WINDOW_MAX; ++i) state_fini(&p->attempts[i].state);
    }
    for (; err == RDG_OK && at < count; ++at) err = in_place(x, txs[at], at, done, ctx);
    return err;
}
