/* Child processes: start, watch, stop.
 *
 * 1. The child has no file descriptor but 0 (/dev/null), 1 and 2; no signal is blocked or ignored in it.
 * 2. With die_with_parent the kernel kills it (SIGKILL) when this program dies, however that happens. Linux
 * binds this to the thread that forks; children are therefore started by one thread of their own, which lives
 * as long as the program.
 * 3. Secrets go through the environment or files, never through argv: every user of the machine can read
 * that.
 * 4. A child that has ended is reaped by the next alive, wait or stop; free does not wait and does not stop
 * it, but one that ends later is reaped by a later call of this header for another child (no zombie stays for
 * long). Thread-safe per object, except free. Not for programs that reap children otherwise (SIGCHLD ignored,
 * waitpid(-1)). */
#ifndef RIDGE_NET_PROCESS_H
#define RIDGE_NET_PROCESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_process rdg_process_t;
typedef struct rdg_process_options {
    const char *const *argv; /* NULL-terminated; argv[0] is found through PATH, /usr/sbin and /sbin */
    const char *const *env;  /* NULL-terminated; NULL: inherited */
    const char *cwd;         /* NULL: inherited */
    const char *log_path;    /* stdout and stderr appended, mode 0640; NULL: inherited */
    bool
        log_no_link; /* somebody else may write beside the log: a link in its place is not followed (FORBIDDEN),
                                and nobody waits for who would read from a pipe there */
    const char *user; /* run as this user with its groups; needs root; NULL: as we do */
    bool die_with_parent;
    bool new_session; /* setsid, so that a signal to the terminal's group does not reach it */
} rdg_process_options_t;

/* NOT_FOUND: no such program, cwd or user; FORBIDDEN: not executable. Returns after exec has succeeded. */
rdg_err_t rdg_process_start(const rdg_process_options_t *options, rdg_process_t **out);
pid_t rdg_process_pid(const rdg_process_t *p);
bool rdg_process_alive(rdg_process_t *p, int *exit_status); /* status as of waitpid, may be NULL */
rdg_err_t rdg_process_wait(rdg_process_t *p, uint64_t timeout_ms, int *exit_status); /* TIMEOUT */
/* SIGTERM, then SIGKILL after grace_ms; waits for the end. Ended already: nothing. */
rdg_err_t rdg_process_stop(rdg_process_t *p, uint64_t grace_ms);
void rdg_process_free(rdg_process_t *p); /* NULL is fine */
/* Takes p and gives its pid: nothing here reaps the child any more, the caller does with waitpid. For a child
 * that must outlive its object and whose exit status must not be lost. Not after alive, wait or stop. */
pid_t rdg_process_detach(rdg_process_t *p);
/* Runs to the end; stdout and stderr together, up to max - 1 bytes and a NUL, go to output (the rest is read
 * and dropped; output may be NULL with max 0). IO names the exit status and the last line of output; TIMEOUT:
 * killed. */
rdg_err_t rdg_process_run(const char *const *argv, uint64_t timeout_ms, char *output, size_t max);
/* "exit status 3", "signal 9 (Killed)": for messages. */
void rdg_process_describe(int exit_status, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif
