/* The workloads of a device: desired state on disk, reality through the drivers, and a thread that brings the
 * second to the first. It knows nothing of the cloud, so that nodes run whether it can be reached or not.
 *
 * Invariants
 * 1. What desired state says is done within two seconds of start, and again whenever a workload ends that
 * should run: at once the first time, then with a back-off from 1 s to 60 s that a run of a minute resets.
 * 2. At most WORKLOADS_MAX chains.
 * 3. Calls for one chain are serialised by its own lock; chains do not wait for each other: what the supervisor has to
 * start or remove is done by up to WORKLOAD_STARTERS threads of their own, so that a runtime that hangs, or a large
 * ledger that is being deleted, holds up nobody else.
 * 4. What already is as it should be is left alone: nothing is restarted or made anew because an agent was. */
#ifndef RIDGE_AGENT_WORKLOADS_H
#define RIDGE_AGENT_WORKLOADS_H
#include "chain.h"

#define WORKLOADS_MAX 64
#define WORKLOAD_STOP_GRACE_MS 15000
#define WORKLOAD_HUNG_GRACE_MS 5000
#define WORKLOAD_STARTERS 4

typedef struct workloads workloads_t;

typedef struct workloads_options {
    const char *dir;                        /* the agent's */
    rdg_container_driver_t *const *drivers; /* borrowed for life */
    size_t driver_count;
    void (*changed)(void *ctx); /* a workload started or ended; any thread */
    /* NULL, or called before each start, any thread; an error puts the start off. */
    rdg_err_t (*before_start)(void *ctx, const chain_t *chain, const rdg_container_driver_t *driver);
    void *ctx;
} workloads_options_t;

/* Reads what is on disk and starts the thread, which reconciles at once. */
rdg_err_t workloads_start(const workloads_options_t *options, workloads_t **out);
void workloads_stop(workloads_t *w); /* workloads go on */
/* Waits, at most timeout_ms, until everything that should run has been started, or has failed to at least once. For
 * who must end although the agent can do nothing else: its workloads run all the same. */
bool workloads_settled(workloads_t *w, uint64_t timeout_ms);

/* The driver of this name; "auto": the first. NOT_FOUND lists what there is. */
rdg_err_t workloads_driver(const workloads_t *w, const char *name, rdg_container_driver_t **out);

rdg_err_t workloads_get(workloads_t *w, const char *chain, chain_t *out); /* NOT_FOUND */
/* Saves the record, without acting on it. FULL. */
rdg_err_t workloads_put(workloads_t *w, const chain_t *c);
/* Starts the instance (a running one is left alone), stops it, or removes the driver's part. The desired
 * state is the caller's to have set before. */
rdg_err_t workloads_run(workloads_t *w, const char *chain);
rdg_err_t workloads_halt(workloads_t *w, const char *chain);
/* Stops an instance that hangs, with WORKLOAD_HUNG_GRACE_MS; the supervisor starts another. */
rdg_err_t workloads_restart(workloads_t *w, const char *chain);
typedef enum workload_health {
    WORKLOAD_HEALTH_UNKNOWN,
    WORKLOAD_HEALTHY,
    WORKLOAD_UNHEALTHY
} workload_health_t;
/* What health.h has found, for who lists workloads. */
void workloads_set_health(workloads_t *w, const char *chain, workload_health_t health);
/* Removes container, directory and record; absent is fine. */
rdg_err_t workloads_remove(workloads_t *w, const char *chain, uint64_t *freed);
/* A descriptor that becomes readable when the instance ends; NOT_FOUND when none runs. The caller closes it.
 */
rdg_err_t workloads_watch(workloads_t *w, const char *chain, int *pidfd);

typedef struct workload_view {
    chain_t chain;
    rdg_container_status_t status;
    unsigned restarts;
    int last_exit; /* of the instance before, as of waitpid; -1: unknown or none */
    workload_health_t health;
} workload_view_t;
/* Fills up to max; the count. */
size_t workloads_list(workloads_t *w, workload_view_t *out, size_t max);
/* The same without asking a driver: the desired state of every chain, also of one that is busy. */
size_t workloads_records(workloads_t *w, workload_view_t *out, size_t max);
rdg_err_t workloads_status(workloads_t *w, const char *chain, workload_view_t *out);

#endif
