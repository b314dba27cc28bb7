/* Child processes: start, watch, stop.
 *
 * The child gets no file descriptor but 0 (null), 1 and 2 (a log file or inherited); dies with its parent if
 * die_with_parent (PR_SET_PDEATHSIG). Secrets go through the environment or files, never through argv.
 * Thread-safe per object; not for programs that reap children otherwise. */
#ifndef RIDGE_NET_PROCESS_H
#define RIDGE_NET_PROCESS_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_process rdg_process_t;
typedef struct rdg_process_options {
    const char *const *argv; /* NULL-terminated; argv[0] is found through PATH */
    const char *const *env;  /* NULL: inherited */
    const char *cwd;
    const char *log_path;    /* stdout and stderr appended; NULL: inherited */
    bool die_with_parent;
    bool new_session;        /* setsid, so that a signal to the terminal's group does not reach it */
} rdg_process_options_t;

rdg_err_t rdg_process_start(const rdg_process_options_t *options, rdg_process_t **out); /* NOT_FOUND: no such program */
pid_t rdg_process_pid(const rdg_process_t *p);
bool rdg_process_alive(rdg_process_t *p, int *exit_status); /* reaps; status as of waitpid */
rdg_err_t rdg_process_wait(rdg_process_t *p, uint64_t timeout_ms, int *exit_status); /* TIMEOUT */
/* SIGTERM, then SIGKILL after grace_ms; waits. */
rdg_err_t rdg_process_stop(rdg_process_t *p, uint64_t grace_ms);
void rdg_process_free(rdg_process_t *p); /* does not stop it */
/* Runs to the end, output captured up to max bytes. IO with the exit status and the last output line on failure. */
rdg_err_t rdg_process_run(const char *const *argv, uint64_t timeout_ms, char *output, size_t max);

#ifdef __cplusplus
}
#endif
#endif
