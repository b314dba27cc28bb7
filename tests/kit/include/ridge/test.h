/* Ridge's test runner.
 *
 *   TEST(buf_refuses_to_grow_past_its_maximum) { ... CHECK(cond); CHECK_OK(call); CHECK_EQ(a, b); }
 *
 * Tests register themselves; the library holds main(). Each test runs in a process of its own (so a crash
 * or a leak is that test's), several at a time. A program's options:
 *   --list            names, one a line          --filter SUBSTRING  run only those (repeatable)
 *   --seed N          seed of rdg_test_random (printed on failure; default: fixed 1)
 *   --jobs N          processes at a time (default: number of CPUs)
 *   --tap             TAP version 13 output      --timeout SECONDS   per test (default 180)
 * The last line is `N passed, N failed` (`, N skipped` when some were). Exit status 1 if any failed or if
 * a filter selected nothing. */
#ifndef RIDGE_TEST_H
#define RIDGE_TEST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/error.h"
#include "ridge/base/random.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_test {
    const char *name, *file;
    int line;
    void (*run)(void);
    struct rdg_test *next;
} rdg_test_t;

void rdg_test_register(rdg_test_t *t);
/* Ends the running test: prints the place and the message, exit status of its process says failed. */
__attribute__((noreturn, format(printf, 3, 4))) void rdg_test_fail(const char *file, int line,
                                                                   const char *fmt, ...);
/* Ends the running test as skipped, with a reason that is printed. */
__attribute__((noreturn)) void rdg_test_skip(const char *reason);
const rdg_random_t *rdg_test_random(void); /* seeded by --seed and the test's name */
/* A fresh directory for this test, removed when it ends. Borrowed. */
const char *rdg_test_dir(void);
/* A port of 127.0.0.1 for this test alone, until its process ends: a socket that does not listen holds it, so that the
 * system gives it to nobody who asks for any port. Whoever binds it with SO_REUSEADDR, as our listeners do, may listen on
 * it, also a process of the test's, and again after its end. */
uint16_t rdg_test_port(void);
bool rdg_test_mem_equal(const void *a, const void *b, size_t len);

#define TEST(test_name)                                                                                      \
    static void test_name(void);                                                                             \
    __attribute__((constructor)) static void register_##test_name(void) {                                    \
        static rdg_test_t t = {#test_name, __FILE__, __LINE__, test_name, NULL};                             \
        rdg_test_register(&t);                                                                               \
    }                                                                                                        \
    static void test_name(void)

#define CHECK(cond) ((cond) ? (void)0 : rdg_test_fail(__FILE__, __LINE__, "%s", #cond))
#define CHECK_OK(expr) CHECK_ERR(expr, RDG_OK)
#define CHECK_ERR(expr, want)                                                                                \
    do {                                                                                                     \
        rdg_err_t got_ = (expr), want_ = (want);                                                             \
        if (got_ != want_)                                                                                   \
            rdg_test_fail(__FILE__, __LINE__, "%s: got %s (%s), want %s", #expr, rdg_err_name(got_),         \
                          rdg_err_message(got_), rdg_err_name(want_));                                       \
    } while (0)
#define CHECK_EQ(a, b)                                                                                       \
    do {                                                                                                     \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                  \
        if (a_ != b_) rdg_test_fail(__FILE__, __LINE__, "%s == %s: %lld, %lld", #a, #b, a_, b_);             \
    } while (0)
#define CHECK_STR(a, b)                                                                                      \
    do {                                                                                                     \
        const char *a_ = (a), *b_ = (b);                                                                     \
        if (!a_ || !b_ || strcmp(a_, b_) != 0)                                                               \
            rdg_test_fail(__FILE__, __LINE__, "%s == %s: \"%s\", \"%s\"", #a, #b, a_ ? a_ : "(null)",        \
                          b_ ? b_ : "(null)");                                                               \
    } while (0)
#define CHECK_MEM(a, b, len) CHECK(rdg_test_mem_equal(a, b, len))

/* Runs the block again and again, failing the 1st, 2nd, 3rd … allocation in turn, until a run meets no
 * failure. The block sets `err` (a variable of the test) and frees what it got. Every run with a failed
 * allocation must end with NO_MEMORY, the last one with OK, and none may leak.
 *
 *   rdg_err_t err;
 *   RDG_TEST_ALLOC_LOOP(err) {
 *       thing_t *t = NULL;
 *       err = thing_new(&t);
 *       thing_free(t);
 *   }
 *
 * Do not CHECK that something succeeded inside the block, and do not leave it with break. */
#define RDG_TEST_ALLOC_LOOP(err)                                                                             \
    for (rdg_test_alloc_t alloc_ = {0, 0}; rdg_test_alloc_step(&alloc_, &(err), __FILE__, __LINE__);)
typedef struct rdg_test_alloc {
    long n, live;
} rdg_test_alloc_t;
bool rdg_test_alloc_step(rdg_test_alloc_t *a, rdg_err_t *err, const char *file, int line);

#ifdef __cplusplus
}
#endif
#endif
