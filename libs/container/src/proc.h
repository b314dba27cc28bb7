/* Processes that need not be our children: identity by (boot, pid, start time), waiting by pidfd. */
#ifndef RIDGE_CONTAINER_PROC_H
#define RIDGE_CONTAINER_PROC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "ridge/base/error.h"

typedef struct container_proc {
    pid_t pid;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat */
} container_proc_t;

/* NOT_FOUND: no such process, or a zombie. */
rdg_err_t container_proc_identify(pid_t pid, container_proc_t *out);
bool container_proc_alive(const container_proc_t *p);
/* A pidfd of exactly this process; -1 when it is gone. */
int container_proc_open(const container_proc_t *p);
/* True when the process behind the pidfd has ended within timeout_ms. */
bool container_proc_ended(int pidfd, uint64_t timeout_ms);
uint64_t container_proc_rss_kib(pid_t pid);
/* Reaps if it is a child of ours; the waitpid status, or -1. */
int container_proc_reap(pid_t pid);
/* SIGTERM, SIGKILL after grace_ms; waits. TIMEOUT if even that does not end it within 10 s. */
rdg_err_t container_proc_stop(const container_proc_t *p, uint64_t grace_ms);
/* A session leader whose environment holds `mark` ("NAME=value"). NOT_FOUND. */
rdg_err_t container_proc_find_marked(const char *mark, container_proc_t *out);
void container_boot_id(char out[40]);

#endif
