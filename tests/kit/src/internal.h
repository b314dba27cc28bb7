/* Between the two halves of the kit: what a test sees (test.c) and what runs it (runner.c). */
#ifndef RIDGE_TEST_INTERNAL_H
#define RIDGE_TEST_INTERNAL_H
#include "ridge/test.h"

enum { RDG_TEST_EXIT_FAILED = 1, RDG_TEST_EXIT_SKIPPED = 77 };

extern rdg_test_t *rdg_test_first;
/* Runs t in this process and ends it. dir: borrowed; made when the test asks for it. */
__attribute__((noreturn)) void rdg_test_run_here(const rdg_test_t *t, uint64_t seed, const char *dir);

#endif
