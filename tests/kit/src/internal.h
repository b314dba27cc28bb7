/* Between the two halves of the kit: what a test sees (test.c) and what runs it (runner.c). */
#ifndef RIDGE_TEST_INTERNAL_H
#define RIDGE_TEST_INTERNAL_H
#include "ridge/test.h"

enum { RDG_TEST_EXIT_FAILED = 1, RDG_TEST_EXIT_SKIPPED = 77 };

extern rdg_test_t *rdg_test_first;
/* Runs t in this process and ends it. dir: borrowed; made when the test asks for it. */
__attribute__((noreturn)) void rdg_test_run_here(const rdg_test_t *t, uint64_t seed, const char *dir);

/* After a test that failed: kills what names its directory on its command line or has its root in it, and unmounts what is
 * mounted below it, so that nothing of a container or a daemon outlives the test. dir ends with two parts of which one is
 * random. */
void rdg_test_clear(const char *dir);

#endif
