#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"

enum { JOBS_MAX = 64, FILTERS_MAX = 64, OUTPUT_SHOWN_BYTES = 64 * 1024 };

typedef struct options {
    const char *filters[FILTERS_MAX];
    size_t filter_count;
    uint64_t seed, jobs, timeout_s;
    bool list, tap;
} options_t;

typedef struct job {
    const rdg_test_t *test;
    size_t number;
    pid_t pid; /* 0: free */
    int output;
    uint64_t start_ms;
    bool timed_out;
    char dir[PATH_MAX];
} job_t;

typedef struct runner {
    options_t opt;
    char root[PATH_MAX]; /* holds the tests' directories */
    job_t jobs[JOBS_MAX];
    size_t running, planned, passed, failed, skipped;
} runner_t;

static volatile sig_atomic_t interrupted;
static void on_interrupt(int sig) {
    interrupted = sig;
}

static __attribute__((noreturn)) void usage(const char *what) {
    fprintf(stderr, "%s\noptions: --list --filter SUBSTRING --seed N --jobs N --tap --timeout SECONDS\n",
            what);
    exit(2);
}

static uint64_t number(const char *flag, const char *text) {
    uint64_t v;
    if (!text || rdg_parse_u64(text, &v)) {
        char what[128];
        snprintf(what, sizeof what, "%s wants a number", flag);
        usage(what);
    }
    return v;
}

static void parse(options_t *o, char **argv) {
    for (char **arg = argv + 1; *arg; ++arg) {
        if (strcmp(*arg, "--list") == 0) {
            o->list = true;
        } else if (strcmp(*arg, "--tap") == 0) {
            o->tap = true;
        } else if (strcmp(*arg, "--seed") == 0) {
            o->seed = number("--seed", arg[1]), ++arg;
        } else if (strcmp(*arg, "--jobs") == 0) {
            o->jobs = number("--jobs", arg[1]), ++arg;
        } else if (strcmp(*arg, "--timeout") == 0) {
            o->timeout_s = number("--timeout", arg[1]), ++arg;
        } else if (strcmp(*arg, "--filter") == 0 && arg[1] && o->filter_count < FILTERS_MAX) {
            o->filters[o->filter_count++] = *++arg;
        } else {
            usage(*arg);
        }
    }
    if (o->jobs < 1) o->jobs = 1;
    if (o->jobs > JOBS_MAX) o->jobs = JOBS_MAX;
}

static bool selected(const options_t *o, const rdg_test_t *t) {
    for (size_t i = 0; i < o->filter_count; ++i)
        if (strstr(t->name, o->filters[i])) return true;
    return o->filter_count == 0;
}

/* ---- a test's process */

static __attribute__((noreturn)) void run_child(const runner_t *r, const job_t *j, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    signal(SIGINT, SIG_DFL), signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(RDG_TEST_EXIT_FAILED);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in >= 0) dup2(in, STDIN_FILENO);
    dup2(j->output, STDOUT_FILENO);
    dup2(j->output, STDERR_FILENO);
    rdg_test_run_here(j->test, r->opt.seed, j->dir);
}

static void start(runner_t *r, const rdg_test_t *t, size_t number_) {
    job_t *j = r->jobs;
    while (j->pid) ++j;
    j->test = t, j->number = number_, j->timed_out = false, j->start_ms = rdg_mono_ms(rdg_clock_system());
    char name[32];
    snprintf(name, sizeof name, "%zu", number_);
    j->output = memfd_create("test-output", MFD_CLOEXEC);
    if (rdg_path_join(j->dir, sizeof j->dir, r->root, name) || j->output < 0) usage("cannot prepare a test");
    fflush(NULL);
    pid_t parent = getpid();
    j->pid = fork();
    if (j->pid == 0) run_child(r, j, parent);
    if (j->pid < 0) usage("fork failed: too many processes?");
    setpgid(j->pid, j->pid);
    ++r->running;
}

static void print_output(const job_t *j, const char *prefix) {
    off_t size = lseek(j->output, 0, SEEK_END);
    off_t from = size > OUTPUT_SHOWN_BYTES ? size - OUTPUT_SHOWN_BYTES : 0;
    char chunk[4096];
    bool line_start = true;
    for (ssize_t n; (n = pread(j->output, chunk, sizeof chunk, from)) > 0; from += n) {
        for (ssize_t i = 0; i < n; ++i) {
            if (line_start) fputs(prefix, stdout);
            fputc(chunk[i], stdout);
            line_start = chunk[i] == '\n';
        }
    }
    if (!line_start) fputc('\n', stdout);
}

static void describe_failure(const runner_t *r, const job_t *j, int status, const char *prefix) {
    print_output(j, prefix);
    if (j->timed_out) {
        printf("%sno end after %llu s: killed\n", prefix, (unsigned long long)r->opt.timeout_s);
    } else if (WIFSIGNALED(status)) {
        printf("%sended by signal %d (%s)\n", prefix, WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != RDG_TEST_EXIT_FAILED) {
        printf("%sended with exit status %d\n", prefix, WEXITSTATUS(status));
    }
    printf("%sseed %llu; again: --filter %s --seed %llu\n", prefix, (unsigned long long)r->opt.seed,
           j->test->name, (unsigned long long)r->opt.seed);
}

static void report(runner_t *r, const job_t *j, int status) {
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0 && !j->timed_out;
    bool skip = WIFEXITED(status) && WEXITSTATUS(status) == RDG_TEST_EXIT_SKIPPED && !j->timed_out;
    uint64_t ms = rdg_mono_ms(rdg_clock_system()) - j->start_ms;
    if (r->opt.tap) {
        printf("%s %zu - %s%s\n", ok || skip ? "ok" : "not ok", j->number, j->test->name,
               skip ? " # SKIP" : "");
    } else {
        printf("%s %s (%llu ms)\n",
               ok     ? "ok  "
               : skip ? "skip"
                      : "FAIL",
               j->test->name, (unsigned long long)ms);
    }
    const char *prefix = r->opt.tap ? "# " : "     ";
    if (skip) print_output(j, prefix);
    if (!ok && !skip) describe_failure(r, j, status, prefix);
    r->passed += ok, r->skipped += skip, r->failed += !ok && !skip;
    fflush(stdout);
}

static void finish(runner_t *r, job_t *j, int status) {
    bool ended_well =
        WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == RDG_TEST_EXIT_SKIPPED);
    kill(-j->pid, SIGKILL); /* whatever the test left running */
    if (!ended_well) rdg_test_clear(j->dir);
    report(r, j, status);
    close(j->output);
    if (rdg_tree_remove(j->dir, NULL)) printf("     %s\n", rdg_err_message(RDG_E_IO));
    j->pid = 0;
    --r->running;
}

/* ---- waiting */

static uint64_t kill_the_late(runner_t *r) {
    uint64_t now = rdg_mono_ms(rdg_clock_system()), next = 1000, limit = r->opt.timeout_s * 1000;
    for (size_t i = 0; i < JOBS_MAX; ++i) {
        job_t *j = &r->jobs[i];
        if (!j->pid) continue;
        uint64_t used = now - j->start_ms;
        if (used >= limit || interrupted) {
            j->timed_out = !interrupted;
            kill(-j->pid, SIGKILL);
        } else if (limit - used < next) {
            next = limit - used;
        }
    }
    return next;
}

static bool reap(runner_t *r) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return false;
    for (size_t i = 0; i < JOBS_MAX; ++i)
        if (r->jobs[i].pid == pid) finish(r, &r->jobs[i], status);
    return true;
}

/* SIGCHLD is blocked, so one that arrives between waitpid and sigtimedwait is not lost. */
static void wait_for_one(runner_t *r) {
    while (!reap(r)) {
        uint64_t ms = kill_the_late(r);
        struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
        sigset_t child;
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        sigtimedwait(&child, NULL, &t);
    }
}

static void run_all(runner_t *r) {
    size_t number_ = 0;
    for (const rdg_test_t *t = rdg_test_first; t && !interrupted; t = t->next) {
        if (!selected(&r->opt, t)) continue;
        while (r->running >= r->opt.jobs && !interrupted) wait_for_one(r);
        start(r, t, ++number_);
    }
    while (r->running > 0) wait_for_one(r);
}

static void make_root(runner_t *r) {
    const char *base = getenv("TMPDIR");
    if (!base || base[0] != '/') base = "/tmp";
    int n = snprintf(r->root, sizeof r->root - 32, "%s/rt-XXXXXX", base);
    if (n < 0 || (size_t)n >= sizeof r->root - 32 || !mkdtemp(r->root))
        usage("cannot make a directory for the tests");
}

static void prepare_signals(void) {
    struct sigaction stop = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
}

int main(int argc, char **argv) {
    (void)argc;
    static runner_t r;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    r.opt = (options_t){.seed = 1, .jobs = cpus > 0 ? (uint64_t)cpus : 1, .timeout_s = 180};
    parse(&r.opt, argv);
    for (const rdg_test_t *t = rdg_test_first; t; t = t->next) {
        if (!selected(&r.opt, t)) continue;
        if (r.opt.list) puts(t->name);
        ++r.planned;
    }
    if (r.opt.list) return r.planned > 0 ? 0 : 1;
    if (r.opt.tap) printf("TAP version 13\n1..%zu\n", r.planned);
    make_root(&r);
    prepare_signals();
    run_all(&r);
    rdg_err_t err = rdg_tree_remove(r.root, NULL);
    if (err) fprintf(stderr, "%s\n", rdg_err_message(err));
    if (interrupted) fprintf(stderr, "stopped by signal %d\n", (int)interrupted);
    if (r.planned == 0) fprintf(stderr, "no test selected\n");
    printf("%s%zu passed, %zu failed", r.opt.tap ? "# " : "", r.passed, r.failed);
    if (r.skipped > 0) printf(", %zu skipped", r.skipped);
    putchar('\n');
    return r.failed > 0 || r.planned == 0 || interrupted ? 1 : 0;
}
