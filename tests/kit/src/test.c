#include "ridge/test.h"
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "internal.h"

rdg_test_t *rdg_test_first;

static rdg_random_seeded_t seeded;
static const char *directory;

void rdg_test_register(rdg_test_t *t) {
    /* Constructors of a file run in order, so appending keeps the order in which tests are written. */
    rdg_test_t **end = &rdg_test_first;
    while (*end) end = &(*end)->next;
    *end = t;
}

static __attribute__((noreturn)) void end_test(int status) {
    fflush(NULL);
    _exit(status);
}

void rdg_test_fail(const char *file, int line, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    end_test(RDG_TEST_EXIT_FAILED);
}

void rdg_test_skip(const char *reason) {
    fprintf(stderr, "%s\n", reason);
    end_test(RDG_TEST_EXIT_SKIPPED);
}

const rdg_random_t *rdg_test_random(void) {
    return &seeded.random;
}

const char *rdg_test_dir(void) {
    if (mkdir(directory, 0700) != 0 && access(directory, W_OK) != 0)
        rdg_test_fail(__FILE__, __LINE__, "cannot make the test's directory %s", directory);
    return directory;
}

uint16_t rdg_test_port(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&a, len) != 0 || getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        rdg_test_fail(__FILE__, __LINE__, "no port for this test");
    return ntohs(a.sin_port); /* the socket stays as long as the process */
}

bool rdg_test_mem_equal(const void *a, const void *b, size_t len) {
    if (len == 0 || memcmp(a, b, len) == 0) return true;
    const uint8_t *x = a, *y = b;
    size_t at = 0;
    while (x[at] == y[at]) ++at;
    fprintf(stderr, "first difference at byte %zu of %zu: %02x, %02x\n", at, len, x[at], y[at]);
    return false;
}

static void check_failed_run(long n, long live, rdg_err_t err, const char *file, int line) {
    if (err != RDG_E_NO_MEMORY)
        rdg_test_fail(file, line, "allocation %ld failed, but the block ended with %s (%s), want NO_MEMORY",
                      n, rdg_err_name(err), rdg_err_message(err));
    if (rdg_alloc_live() != live)
        rdg_test_fail(file, line, "allocation %ld failed, and %ld blocks leaked", n, rdg_alloc_live() - live);
}

bool rdg_test_alloc_step(rdg_test_alloc_t *a, rdg_err_t *err, const char *file, int line) {
    enum { TOO_MANY = 100000 };
    bool failed = rdg_alloc_did_fail();
    rdg_alloc_fail_at(0);
    if (a->n == 0) {
        a->live = rdg_alloc_live();
    } else if (failed) {
        check_failed_run(a->n, a->live, *err, file, line);
    } else {
        if (*err) rdg_test_fail(file, line, "no allocation failed, yet: %s", rdg_err_message(*err));
        if (rdg_alloc_live() != a->live)
            rdg_test_fail(file, line, "the run with no failure leaked %ld blocks",
                          rdg_alloc_live() - a->live);
#ifdef RIDGE_TRACK_ALLOC
        if (a->n == 1) rdg_test_fail(file, line, "the block allocates nothing: this loop proves nothing");
#endif
        return false;
    }
    if (++a->n > TOO_MANY)
        rdg_test_fail(file, line, "more than %d allocations: make the block smaller", TOO_MANY);
    *err = RDG_E_INTERNAL; /* so that a block that never sets it is noticed */
    rdg_alloc_fail_at(a->n);
    return true;
}

void rdg_test_run_here(const rdg_test_t *t, uint64_t seed, const char *dir) {
    for (const char *p = t->name; *p; ++p) seed = (seed ^ (unsigned char)*p) * 0x100000001b3u;
    rdg_random_seeded_init(&seeded, seed);
    directory = dir;
    long before = rdg_alloc_live();
    t->run();
    long leaked = rdg_alloc_live() - before;
    if (leaked != 0)
        rdg_test_fail(t->file, t->line, "%ld blocks allocated in this test were not freed", leaked);
    exit(EXIT_SUCCESS); /* and not _exit: a sanitizer looks for leaks on the way out */
}
