/* Assertions that stay on in every build.
 *
 * RDG_ASSERT states what only a programmer's mistake can break: it prints one log line and aborts.
 * Never assert on bytes that came from outside the process: those get an error code (error.h). */
#ifndef RIDGE_BASE_ASSERT_H
#define RIDGE_BASE_ASSERT_H

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_ASSERT(cond) ((cond) ? (void)0 : rdg_assert_fail(#cond, __FILE__, __LINE__))

/* Does not return. Async-signal-safe output to standard error, then abort(). */
__attribute__((noreturn, cold)) void rdg_assert_fail(const char *cond, const char *file, int line);

#ifdef __cplusplus
}
#endif
#endif
