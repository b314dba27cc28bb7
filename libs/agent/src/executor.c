#include "executor.h"
#include "ridge/base/alloc.h"
#include "ridge/base/list.h"
#include "ridge/base/log.h"
#include "thread.h"
#include <stdio.h>
#include <string.h>

#define RESULT_AGAIN_MS 500

typedef struct job {
    rdg_list_t link;
    char id[COMMAND_ID_MAX + 1];
} job_t;

typedef struct lane {
    rdg_list_t link, jobs;
    bool busy;
    char chain[COMMAND_CHAIN_MAX + 1];
} lane_t;

struct executor {
    executor_options_t options;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    rdg_list_t lanes; /* those with jobs or busy */
    unsigned workers;
    bool stopping;
};

struct executor_run {
    executor_t *x;
    const command_t *command;
};

static bool go_on_after(executor_t *x, uint64_t ms) {
    uint64_t now = rdg_mono_ms(x->options.clock), end = now + ms;
    pthread_mutex_lock(&x->lock);
    while (!x->stopping && (now = rdg_mono_ms(x->options.clock)) < end)
        (void)thread_cond_wait_ms(&x->idle, &x->lock, end - now);
    bool go = !x->stopping;
    pthread_mutex_unlock(&x->lock);
    return go;
}

/* A journal that takes nothing just now, on a full disk, takes the result later: nobody else would tell it before the
 * agent starts again, and the command would be executed once more then. */
static rdg_err_t end_with(executor_t *x, const command_t *c, const char *state, const json_t *result,
                          rdg_err_t err, bool patient) {
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_ERROR_TEXT_MAX * 8 + (256u << 10));
    rdg_err_t e = command_result(c, state, "", 100, result, err, &text);
    if (e != RDG_OK) patient = false;
    if (e == RDG_OK) e = journal_finish(x->options.journal, c->id, rdg_buf_view(&text));
    if (e != RDG_OK) rdg_log_err("command.result_not_kept", e);
    while (e != RDG_OK && patient && go_on_after(x, RESULT_AGAIN_MS))
        e = journal_finish(x->options.journal, c->id, rdg_buf_view(&text));
    rdg_buf_fini(&text);
    x->options.ended(x->options.ctx);
    return e;
}

static void execute(executor_t *x, const command_t *c) {
    json_t *result = NULL;
    executor_run_t at = {x, c};
    rdg_trace_t trace;
    rdg_trace_set_current(rdg_trace_parse(c->traceparent, &trace) == RDG_OK ? &trace : NULL);
    uint64_t started = rdg_mono_ms(x->options.clock);
    rdg_err_t err = x->options.run(x->options.ctx, c, &at, &result);
    rdg_log(err == RDG_OK ? RDG_LOG_INFO : RDG_LOG_WARN, "command.ended", RDG_STR("id", c->id),
            RDG_STR("type", c->type), RDG_STR("chain", c->chain), RDG_STR("code", rdg_err_name(err)),
            RDG_STR("error", err == RDG_OK ? "" : rdg_err_message(err)),
            RDG_U64("ms", rdg_mono_ms(x->options.clock) - started));
    /* Said by anybody but who is stopped, it is an end like another: nobody would take the command up again. */
    bool unfinished = err == RDG_E_CANCELLED && executor_stopping(&at);
    if (!unfinished) (void)end_with(x, c, err == RDG_OK ? "done" : "failed", result, err, true);
    json_decref(result);
    rdg_trace_set_current(NULL);
}

static void take_up(executor_t *x, const char *id) {
    rdg_buf_t text;
    command_t c;
    rdg_buf_init(&text, RDG_ERROR_TEXT_MAX + (2u << 20));
    rdg_err_t err = journal_command(x->options.journal, id, &text);
    if (err == RDG_OK) {
        err = command_parse(rdg_buf_view(&text), &c);
        rdg_buf_fini(&text);
        if (err != RDG_OK) {
            (void)end_with(x, &c, "failed", NULL, err, true);
        } else if (c.deadline_ms != 0 && rdg_wall_ms(x->options.clock) > c.deadline_ms) {
            err =
                rdg_fail(RDG_E_EXPIRED, "the deadline of command %s had passed before it was started", c.id);
            (void)end_with(x, &c, "expired", NULL, err, true);
        } else {
            execute(x, &c);
        }
        command_fini(&c);
    } else {
        rdg_buf_fini(&text);
        rdg_log_err("command.unreadable", err);
    }
}

static lane_t *next_lane(executor_t *x) {
    RDG_LIST_EACH(it, &x->lanes) {
        lane_t *l = RDG_LIST_ENTRY(it, lane_t, link);
        if (!l->busy && !rdg_list_empty(&l->jobs)) return l;
    }
    return NULL;
}

static void *work(void *arg) {
    executor_t *x = arg;
    lane_t *l;
    pthread_mutex_lock(&x->lock);
    while (!x->stopping && (l = next_lane(x))) {
        job_t *job = RDG_LIST_ENTRY(l->jobs.next, job_t, link);
        rdg_list_remove(&job->link);
        l->busy = true;
        pthread_mutex_unlock(&x->lock);
        take_up(x, job->id);
        rdg_free(job);
        pthread_mutex_lock(&x->lock);
        l->busy = false;
        if (rdg_list_empty(&l->jobs)) {
            rdg_list_remove(&l->link);
            rdg_free(l);
        }
    }
    --x->workers;
    pthread_cond_broadcast(&x->idle);
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

static lane_t *lane_of(executor_t *x, const char *chain) {
    RDG_LIST_EACH(it, &x->lanes) {
        lane_t *l = RDG_LIST_ENTRY(it, lane_t, link);
        if (strcmp(l->chain, chain) == 0) return l;
    }
    lane_t *l = rdg_calloc(1, sizeof *l);
    if (!l) return NULL;
    snprintf(l->chain, sizeof l->chain, "%s", chain);
    rdg_list_init(&l->jobs);
    rdg_list_append(&x->lanes, &l->link);
    return l;
}

static rdg_err_t enqueue(executor_t *x, const char *id, const char *chain) {
    rdg_err_t err = RDG_OK;
    job_t *job = rdg_calloc(1, sizeof *job);
    if (!job) return rdg_fail(RDG_E_NO_MEMORY, "no memory to queue command %s", id);
    snprintf(job->id, sizeof job->id, "%s", id);
    pthread_mutex_lock(&x->lock);
    lane_t *l = lane_of(x, chain);
    if (!l) {
        rdg_free(job);
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory to queue command %s", id);
    } else {
        rdg_list_append(&l->jobs, &job->link);
        if (!l->busy && x->workers < EXECUTOR_WORKERS_MAX && !x->stopping) {
            ++x->workers;
            err = thread_start_detached(work, x);
            if (err != RDG_OK) --x->workers;
            /* With other workers at it, the job only waits longer. */
            if (err != RDG_OK && x->workers > 0) err = RDG_OK;
        }
    }
    pthread_mutex_unlock(&x->lock);
    return err;
}

static int enqueue_unfinished(void *ctx, const char *id, rdg_bytes_t text) {
    command_t c;
    (void)command_parse(text, &c); /* a broken one fails when it is taken up */
    rdg_err_t err = enqueue(ctx, id, c.chain);
    command_fini(&c);
    if (err != RDG_OK) rdg_log_err("command.not_queued", err);
    return 0;
}

rdg_err_t executor_start(const executor_options_t *options, executor_t **out) {
    executor_t *x = rdg_calloc(1, sizeof *x);
    if (!x) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the executor");
    x->options = *options;
    pthread_mutex_init(&x->lock, NULL);
    thread_cond_init(&x->idle);
    rdg_list_init(&x->lanes);
    rdg_err_t err = journal_each_waiting(options->journal, enqueue_unfinished, x);
    if (err != RDG_OK) {
        executor_free(x);
        return err;
    }
    *out = x;
    return RDG_OK;
}

void executor_halt(executor_t *x) {
    pthread_mutex_lock(&x->lock);
    x->stopping = true;
    pthread_cond_broadcast(&x->idle);
    while (x->workers > 0) pthread_cond_wait(&x->idle, &x->lock);
    pthread_mutex_unlock(&x->lock);
}

void executor_free(executor_t *x) {
    if (!x) return;
    executor_halt(x);
    RDG_LIST_EACH_SAFE(it, &x->lanes) {
        lane_t *l = RDG_LIST_ENTRY(it, lane_t, link);
        RDG_LIST_EACH_SAFE(j, &l->jobs) rdg_free(RDG_LIST_ENTRY(j, job_t, link));
        rdg_free(l);
    }
    pthread_cond_destroy(&x->idle);
    pthread_mutex_destroy(&x->lock);
    rdg_free(x);
}

/* A command that cannot be understood ends at once, if at least its id can be. */
static rdg_err_t refuse(executor_t *x, const command_t *c, rdg_bytes_t text, rdg_err_t why,
                        rdg_buf_t *answer) {
    journal_verdict_t verdict;
    char reason[RDG_ERROR_TEXT_MAX];
    if (!c->id[0]) {
        rdg_log_err("command.refused", why);
        return RDG_OK;
    }
    snprintf(reason, sizeof reason, "%s", rdg_err_message(why));
    RDG_TRY(journal_accept(x->options.journal, c, text, &verdict, answer));
    if (verdict == JOURNAL_ENDED) return RDG_OK;
    return end_with(x, c, "failed", NULL, rdg_fail(why, "%s", reason), false); /* who delivers comes again */
}

rdg_err_t executor_deliver(executor_t *x, rdg_bytes_t text, rdg_buf_t *answer) {
    command_t c;
    journal_verdict_t verdict;
    rdg_err_t err = command_parse(text, &c);
    if (err == RDG_E_NO_MEMORY) {
        command_fini(&c);
        return err;
    }
    if (err != RDG_OK) {
        err = refuse(x, &c, text, err, answer);
    } else {
        err = journal_accept(x->options.journal, &c, text, &verdict, answer);
        if (err == RDG_OK && verdict == JOURNAL_NEW) err = enqueue(x, c.id, c.chain);
    }
    command_fini(&c);
    return err;
}

void executor_progress(executor_run_t *at, const char *step, unsigned percent) {
    rdg_buf_t text;
    if (!at->x->options.progress) return;
    rdg_buf_init(&text, 4096);
    if (command_result(at->command, "running", step, percent, NULL, RDG_OK, &text) == RDG_OK)
        at->x->options.progress(at->x->options.ctx, rdg_buf_view(&text));
    rdg_buf_fini(&text);
}

bool executor_stopping(const executor_run_t *at) {
    pthread_mutex_lock(&at->x->lock);
    bool stopping = at->x->stopping;
    pthread_mutex_unlock(&at->x->lock);
    return stopping;
}
