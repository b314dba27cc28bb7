/* Rollouts: one command to many devices, batch after batch.
 *
 * Which devices is decided once, when it is created; each gets the command "<rollout>.<position>.<attempt>", so a crash
 * between any two steps repeats nothing. A batch is over when no device that could have answered still owes one: devices
 * that are away and were never given their command do not hold it up. They get it when they return while it is valid
 * (valid_ms from when their batch was ordered), whatever the rollout does meanwhile. pause_ms after a batch the next is
 * ordered.
 *
 * Errors are: failed; unanswered (given to the device, and half a minute after the deadline nothing final was heard);
 * refused (could not be ordered). Expired unsent is none. When errors are more than stop_percent of the devices reached
 * (ordered, less those that are away), the rollout stops. Pausing and stopping take back what no device was given; these
 * devices come first when it is resumed, and errors are counted anew from there. Cancelling takes them back for good.
 *
 *   running → paused | stopped → running; any of them → cancelled; running → done (all devices have ended)
 *
 * Everything is in the database; the dispatcher's thread moves it. Limits: ROLLOUTS_OPEN_MAX open ones, 100,000 devices
 * each, batches of 1 to ROLLOUT_BATCH_MAX. Kept as long as ended commands are. */
#ifndef RIDGE_PLATFORM_ROLLOUT_H
#define RIDGE_PLATFORM_ROLLOUT_H
#include "command.h"

#define ROLLOUTS_OPEN_MAX 100
#define ROLLOUT_BATCH_MAX 5000
#define ROLLOUT_ID_MAX 40
#define ROLLOUT_GRACE_MS 30000

/* tenant: over its devices alone, and its own, within its limit; NULL: over any, and the cloud's. access may be NULL. */
rdg_err_t rollout_create(rdg_platform_t *p, rdg_access_t *access, const char *tenant, const char *by,
                         const json_t *body, json_t **out, bool *created);
rdg_err_t rollout_get(rdg_platform_t *p, const char *id, json_t **out);
rdg_err_t rollout_list(rdg_platform_t *p, const char *tenant, uint64_t limit, json_t **out);
rdg_err_t rollout_check(void *platform, const char *tenant, const char *id); /* as devices_check */
/* state may be NULL; after: a position. */
rdg_err_t rollout_devices(rdg_platform_t *p, const char *id, const char *state, uint64_t after,
                          uint64_t limit, json_t **out);
rdg_err_t rollout_pause(rdg_platform_t *p, const char *id, const char *by);
rdg_err_t rollout_resume(rdg_platform_t *p, const char *id, const json_t *body); /* body: may be NULL */
rdg_err_t rollout_cancel(rdg_platform_t *p, const char *id, const char *by);

/* rollout_tick.c: moves what is open; the dispatcher's. Returns the monotonic time at which it wants to be called again. */
uint64_t rollout_tick(rdg_platform_t *p, uint64_t now_mono_ms);
rdg_err_t rollout_prune(rdg_platform_t *p);
/* Takes back what no device was given: back to `state` ("waiting", "cancelled"). In a transaction of the caller. */
rdg_err_t rollout_take_back(rdg_platform_t *p, const char *id, const char *by, const char *state);
typedef struct rollout_counts {
    int64_t waiting, ordered, done, failed, expired, unanswered, cancelled, refused;
} rollout_counts_t;
rdg_err_t rollout_count(rdg_platform_t *p, const char *id, rollout_counts_t *out);
int64_t rollout_errors(const rollout_counts_t *c);

extern const rdg_service_route_t rollout_routes[];
extern const size_t rollout_route_count;

#endif
