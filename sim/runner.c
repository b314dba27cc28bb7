#include "runner.h"
#include "ridge/base/assert.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 64

static void write_all(int fd, const void *data, size_t len) {
    /* Shorter than PIPE_BUF, so whole. */
    if (write(fd, data, len) != (ssize_t)len) _exit(3);
}

static void stopped_by(int status, run_result_t *out) {
    memset(out, 0, sizeof *out);
    out->law = "abort";
    if (WIFSIGNALED(status))
        snprintf(out->violation, sizeof out->violation,
                 "abort: the program was ended by signal %d: an assertion, see above", WTERMSIG(status));
    else
        snprintf(out->violation, sizeof out->violation, "abort: the program ended with exit status %d",
                 WEXITSTATUS(status));
}

/* --- a campaign ------------------------------------------------------------------------------------------- */

static void run_seed(const campaign_t *c, uint64_t seed, run_result_t *out) {
    plan_t plan = {.protocol = c->protocol};
    run_result_t again;
    plan_make(&plan, c->scenario, seed);
    plan.sm2 = c->sm2;
    world_run(&plan, false, out);
    if (!c->twice || !out->ok) return;
    world_run(&plan, false, &again);
    if (again.trace == out->trace) return;
    out->ok = false;
    out->law = "repeatable";
    snprintf(out->violation, sizeof out->violation, "repeatable: the same seed gave two different runs");
}

static pid_t start_worker(const campaign_t *c, uint64_t from, int fd, volatile uint64_t *current) {
    fflush(NULL);
    pid_t pid = fork();
    RDG_ASSERT(pid >= 0);
    if (pid > 0) return pid;
    for (uint64_t seed = from; seed <= c->last; seed += c->jobs) {
        report_t report = {.seed = seed};
        *current = seed;
        run_seed(c, seed, &report.result);
        write_all(fd, &report, sizeof report);
        if (c->last - seed < c->jobs) break;
    }
    _exit(0);
}

/* The worker that ended, and the seed it was at if it did not mean to; -1 while all are at work. */
static bool reap(const campaign_t *c, pid_t *pids, volatile uint64_t *current, int fd, report_t *report) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    for (uint32_t k = 0; pid > 0 && k < c->jobs; ++k) {
        if (pids[k] != pid) continue;
        pids[k] = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return false;
        report->seed = current[k];
        stopped_by(status, &report->result);
        if (c->last - current[k] >= c->jobs) pids[k] = start_worker(c, current[k] + c->jobs, fd, &current[k]);
        return true;
    }
    return false;
}

static bool any_left(const campaign_t *c, const pid_t *pids) {
    for (uint32_t k = 0; k < c->jobs; ++k)
        if (pids[k] > 0) return true;
    return false;
}

static void stop_all(const campaign_t *c, const pid_t *pids) {
    for (uint32_t k = 0; k < c->jobs; ++k)
        if (pids[k] > 0) kill(pids[k], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0) {
    }
}

static void sleep_ms(int fd, int ms) {
    struct timeval t = {.tv_sec = 0, .tv_usec = ms * 1000};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    (void)select(fd + 1, &set, NULL, NULL, &t);
}

void runner_campaign(const campaign_t *given, bool (*each)(void *ctx, const report_t *report), void *ctx) {
    campaign_t c = *given;
    pid_t pids[JOBS_MAX] = {0};
    int fds[2];
    bool go_on = true;
    if (c.jobs == 0 || c.jobs > JOBS_MAX) c.jobs = 1;
    volatile uint64_t *current = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    RDG_ASSERT(current != MAP_FAILED && pipe(fds) == 0);
    for (uint32_t k = 0; k < c.jobs && c.first + k <= c.last; ++k)
        pids[k] = start_worker(&c, c.first + k, fds[1], &current[k]);
    /* The write end stays open for workers to come, so the end is when all are gone and the pipe is empty. */
    while (go_on) {
        fd_set set;
        struct timeval none = {0};
        report_t report;
        bool left = any_left(&c, pids);
        FD_ZERO(&set);
        FD_SET(fds[0], &set);
        if (select(fds[0] + 1, &set, NULL, NULL, &none) > 0) {
            if (read(fds[0], &report, sizeof report) != (ssize_t)sizeof report) break;
            go_on = each(ctx, &report);
        } else if (!left) {
            break;
        } else if (reap(&c, pids, current, fds[1], &report)) {
            go_on = each(ctx, &report);
        } else {
            sleep_ms(fds[0], 20);
        }
    }
    stop_all(&c, pids);
    munmap((void *)current, 4096);
    close(fds[0]);
    close(fds[1]);
}

void runner_one(const plan_t *plan, bool verbose, run_result_t *out) {
    int fds[2], status = 0;
    RDG_ASSERT(pipe(fds) == 0);
    fflush(NULL);
    pid_t pid = fork();
    RDG_ASSERT(pid >= 0);
    if (pid == 0) {
        run_result_t result;
        world_run(plan, verbose, &result);
        fflush(NULL);
        write_all(fds[1], &result, sizeof result);
        _exit(0);
    }
    close(fds[1]);
    bool whole = read(fds[0], out, sizeof *out) == (ssize_t)sizeof *out;
    close(fds[0]);
    (void)waitpid(pid, &status, 0);
    if (!whole) stopped_by(status, out);
}

/* --- shrinking -------------------------------------------------------------------------------------------- */

static bool fails(const plan_t *plan, const char *law, uint32_t *runs) {
    run_result_t result;
    if (*runs == 0) return false;
    --*runs;
    runner_one(plan, false, &result);
    return !result.ok && strcmp(result.law, law) == 0;
}

static void try(plan_t *plan, const plan_t *less, const char *law, uint32_t *runs) {
    if (fails(less, law, runs)) *plan = *less;
}

static void shrink_faults(plan_t *plan, const char *law, uint32_t *runs) {
    size_t chunk = plan->fault_count;
    for (; chunk > 0; chunk = chunk == 1 ? 0 : (chunk + 1) / 2)
        for (size_t at = 0; at < plan->fault_count; at += chunk) {
            plan_t less = *plan;
            for (size_t i = at; i < at + chunk && i < plan->fault_count; ++i) less.dropped |= 1ull << i;
            if (less.dropped != plan->dropped) try(plan, &less, law, runs);
        }
}

void runner_shrink(plan_t *plan, const char *law, uint32_t runs) {
    for (int round = 0; round < 2; ++round) {
        shrink_faults(plan, law, &runs);
        for (uint32_t i = 0; i < WITHOUT_KINDS; ++i) {
            plan_t less = *plan;
            less.without |= 1u << i;
            if (less.without != plan->without) try(plan, &less, law, &runs);
        }
        for (uint32_t i = 0; i < LIE_KINDS; ++i) {
            plan_t less = *plan;
            less.lies &= ~(1u << i);
            if (less.lies != plan->lies) try(plan, &less, law, &runs);
        }
    }
}
