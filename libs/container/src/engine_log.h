/* What a container wrote, copied from its engine to the workload's log file.
 *
 * An engine keeps the output itself; the agent's log is what its user reads. <state_dir>/log-seen holds the second of the last
 * line that was copied, and how many lines of that second were (Podman tells no fractions): lines are asked for from that
 * second on and so many left out, so that each is copied once (after a crash in between, some twice). */
#ifndef RIDGE_CONTAINER_ENGINE_LOG_H
#define RIDGE_CONTAINER_ENGINE_LOG_H
#include "engine.h"
#include "ridge/container/container.h"

rdg_err_t engine_log_copy(const engine_t *e, const char *id, const rdg_container_spec_t *spec);

/* A container that is made anew has a log that begins anew. */
void engine_log_reset(const rdg_container_spec_t *spec);

/* A time as engines write it (RFC 3339, any fraction and zone), in seconds since 1970; 0: it is none. */
uint64_t engine_log_time(const char *text, size_t len);

#endif
