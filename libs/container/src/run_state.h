/* What a driver remembers of a container's instance, in <state_dir>/run: one line,
 * "running <pid> <start ticks> <boot id>" or "exited <wait status>". Replaced atomically. */
#ifndef RIDGE_CONTAINER_RUN_STATE_H
#define RIDGE_CONTAINER_RUN_STATE_H
#include "proc.h"
#include "ridge/container/container.h"

rdg_err_t container_run_save(const char *state_dir, const container_proc_t *p);
rdg_err_t container_run_save_exit(const char *state_dir, int status);
rdg_err_t container_run_forget(const char *state_dir); /* what was recorded; none is fine */
/* Tells what is so now: a process recorded as running that has ended is reaped and recorded as exited.
 * *proc is set when the state is RUNNING. */
rdg_err_t container_run_load(const char *state_dir, rdg_container_status_t *out, container_proc_t *proc);

/* A name that is unique on the machine, which several agents may share. */
#define CONTAINER_ID_MAX 96
void container_id(const rdg_container_spec_t *spec, char out[CONTAINER_ID_MAX]);

#endif
