#include "ridge/test.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SKIPPED 77
#define OUTPUT_MAX (64u << 10)

static rdg_test_t *all;
static size_t all_count;
static const rdg_test_t *running;
static rdg_random_seeded_t seeded;
static char dir[PATH_MAX];

static struct {
    bool list, tap;
    uint64_t seed, jobs, timeout_s;
    const char **filters;
    size_t filter_count;
} options = {.seed = 1, .timeout_s = 60};

void rdg_test_register(rdg_test_t *t) {
    t->next = all;
    all = t;
    ++all_count;
}

/* --- inside a test's process ------------------------------------------------------------------- */

void rdg_test_fail(const char *file, int line, const char *fmt, ...) {
    va_list args;
    printf("%s:%d: ", file, line);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf(" (seed %llu)\n", (unsigned long long)options.seed);
    fflush(stdout);
    _exit(1);
}

void rdg_test_skip(const char *reason) {
    printf("%s\n", reason);
    fflush(stdout);
    _exit(EXIT_SKIPPED);
}

const rdg_random_t *rdg_test_random(void) {
    return &seeded.random;
}
const char *rdg_test_dir(void) {
    return dir;
}
bool rdg_test_mem_equal(const void *a, const void *b, size_t len) {
    return len == 0 || memcmp(a, b, len) == 0;
}

bool rdg_test_alloc_step(rdg_alloc_loop_t *loop, const rdg_err_t *err, const char *file, int line) {
    if (loop->n > 0) {
        bool failed = rdg_alloc_did_fail();
        rdg_alloc_fail_at(0);
        if (rdg_alloc_live() != loop->live)
            rdg_test_fail(file, line, "allocation %ld failed and %ld blocks leaked", loop->n,
                          rdg_alloc_live() - loop->live);
        if (!failed && *err != RDG_OK)
            rdg_test_fail(file, line, "failed without an allocation failing: %s", rdg_err_message(*err));
        if (!failed) return false;
        if (*err != RDG_E_NO_MEMORY)
            rdg_test_fail(file, line, "allocation %ld failed and the result is %s", loop->n,
                          rdg_err_name(*err));
    }
    loop->live = rdg_alloc_live();
    rdg_alloc_fail_at(++loop->n);
    return true;
}

static uint64_t seed_of(const rdg_test_t *t) {
    uint64_t h = options.seed * 0x9e3779b97f4a7c15ull;
    for (const char *p = t->name; *p; ++p) h = (h ^ (uint64_t)(unsigned char)*p) * 0x100000001b3ull;
    return h;
}

static void run_child(const rdg_test_t *t, int out) {
    running = t;
    dup2(out, 1);
    dup2(out, 2);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    setvbuf(stdout, NULL, _IONBF, 0);
    alarm((unsigned)options.timeout_s);
    rdg_random_seeded_init(&seeded, seed_of(t));
    t->run();
    fflush(stdout);
    exit(0); /* runs the leak checker of sanitizer builds */
}

/* --- the runner -------------------------------------------------------------------------------- */

typedef struct child {
    const rdg_test_t *test;
    pid_t pid;
    FILE *out;
    char dir[PATH_MAX];
    size_t number;
} child_t;

static size_t passed, failed, skipped;

static void start(child_t *c, const rdg_test_t *t, size_t number) {
    const char *tmp = getenv("TMPDIR");
    c->test = t;
    c->number = number;
    c->out = tmpfile();
    snprintf(c->dir, sizeof c->dir, "%s/ridge-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!c->out || !mkdtemp(c->dir)) {
        perror("cannot make a temporary file or directory");
        exit(2);
    }
    fflush(stdout);
    c->pid = fork();
    if (c->pid == 0) {
        snprintf(dir, sizeof dir, "%s", c->dir);
        setpgid(0, 0); /* so that what the test leaves running can be ended with it */
        run_child(t, fileno(c->out));
    }
    if (c->pid < 0) {
        perror("fork");
        exit(2);
    }
}

static void print_output(const child_t *c) {
    char chunk[4096];
    size_t total = 0, got;
    rewind(c->out);
    while (total < OUTPUT_MAX && (got = fread(chunk, 1, sizeof chunk, c->out)) > 0) {
        for (size_t i = 0, from = 0; i < got; ++i) {
            if (chunk[i] != '\n' && i + 1 < got) continue;
            printf("%s%.*s", options.tap ? "# " : "    ", (int)(i + 1 - from), chunk + from);
            if (chunk[i] != '\n') printf("\n");
            from = i + 1;
        }
        total += got;
    }
}

static void finish(child_t *c, int status) {
    kill(-c->pid, SIGKILL);
    bool skip = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED;
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    passed += ok, skipped += skip, failed += !ok && !skip;
    if (options.tap)
        printf("%s %zu - %s%s\n", ok || skip ? "ok" : "not ok", c->number, c->test->name,
               skip ? " # SKIP" : "");
    else if (skip)
        printf("skipped %s\n", c->test->name);
    else if (!ok)
        printf("FAILED %s (%s:%d)\n", c->test->name, c->test->file, c->test->line);
    if (!ok) print_output(c);
    if (WIFSIGNALED(status))
        printf("%s%s\n", options.tap ? "# " : "    ",
               WTERMSIG(status) == SIGALRM ? "timed out: see --timeout" : strsignal(WTERMSIG(status)));
    fclose(c->out);
    (void)rdg_tree_remove(c->dir, NULL);
    c->pid = 0;
}

static void reap(child_t *children, size_t count) {
    int status;
    pid_t pid;
    do pid = waitpid(-1, &status, 0);
    while (pid < 0 && errno == EINTR);
    for (size_t i = 0; i < count; ++i)
        if (children[i].pid == pid) finish(&children[i], status);
}

static bool selected(const rdg_test_t *t) {
    for (size_t i = 0; i < options.filter_count; ++i)
        if (strstr(t->name, options.filters[i])) return true;
    return options.filter_count == 0;
}

static int run_all(rdg_test_t *const *tests, size_t count) {
    child_t *children = calloc(options.jobs, sizeof *children);
    size_t busy = 0, number = 0;
    if (!children) return 2;
    if (options.tap) printf("TAP version 13\n1..%zu\n", count);
    for (size_t i = 0; i < count || busy > 0;) {
        if (i < count && busy < options.jobs) {
            child_t *c = children;
            while (c->pid != 0) ++c;
            start(c, tests[i++], ++number);
            ++busy;
            continue;
        }
        reap(children, options.jobs);
        busy = 0;
        for (size_t k = 0; k < options.jobs; ++k) busy += children[k].pid != 0;
    }
    free(children);
    printf("%s%zu passed, %zu failed", options.tap ? "# " : "", passed, failed);
    if (skipped > 0) printf(", %zu skipped", skipped);
    printf("\n");
    return failed > 0;
}

static int compare(const void *a, const void *b) {
    const rdg_test_t *x = *(rdg_test_t *const *)a, *y = *(rdg_test_t *const *)b;
    int order = strcmp(x->file, y->file);
    return order != 0 ? order : x->line - y->line;
}

static bool number_option(int argc, char **argv, int *i, const char *name, uint64_t *out) {
    if (strcmp(argv[*i], name) != 0) return false;
    if (*i + 1 >= argc || rdg_parse_u64(argv[*i + 1], out) != RDG_OK) {
        fprintf(stderr, "%s wants a number\n", name);
        exit(2);
    }
    ++*i;
    return true;
}

static void parse(int argc, char **argv) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    options.jobs = cpus > 0 ? (uint64_t)cpus : 1;
    options.filters = calloc((size_t)argc, sizeof *options.filters);
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--list") == 0)
            options.list = true;
        else if (strcmp(argv[i], "--tap") == 0)
            options.tap = true;
        else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
            options.filters[options.filter_count++] = argv[++i];
        else if (number_option(argc, argv, &i, "--seed", &options.seed))
            continue;
        else if (number_option(argc, argv, &i, "--jobs", &options.jobs))
            continue;
        else if (number_option(argc, argv, &i, "--timeout", &options.timeout_s))
            continue;
        else {
            fprintf(stderr,
                    "usage: %s [--list] [--filter S]... [--seed N] [--jobs N] [--timeout S] [--tap]\n",
                    argv[0]);
            exit(2);
        }
    }
    if (options.jobs == 0) options.jobs = 1;
}

int main(int argc, char **argv) {
    parse(argc, argv);
    rdg_test_t **tests = calloc(all_count + 1, sizeof *tests);
    size_t count = 0;
    for (rdg_test_t *t = all; tests && t; t = t->next)
        if (selected(t)) tests[count++] = t;
    if (!tests) return 2;
    qsort(tests, count, sizeof *tests, compare);
    for (size_t i = 0; options.list && i < count; ++i) printf("%s\n", tests[i]->name);
    int status = options.list ? 0 : run_all(tests, count);
    if (count == 0) {
        fprintf(stderr, "no test is selected\n");
        status = 1;
    }
    free(tests);
    free(options.filters);
    return status;
}
