/* The platform's services — devices, commands, rollouts — as C functions over its REST interface (docs/rest-api.md).
 *
 * Everything that orders something of devices, Ridge's own chain service too, does it through this interface.
 * Paths are built here and nowhere else: a name that cannot stand in one is INVALID before anything is sent. Answers are
 * the documented JSON objects, owned by the caller; errors are those of rdg_cloud_call. A client belongs to one thread. */
#ifndef RIDGE_CLIENT_PLATFORM_H
#define RIDGE_CLIENT_PLATFORM_H
#include "ridge/client/cloud.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_device_filter { /* NULL: any */
    const char *group, *site, *state;
    const char *labels; /* "key=value,key2=value2" */
} rdg_device_filter_t;

/* All devices that fit (filter NULL: all), sorted by name, fetched page by page. */
rdg_err_t rdg_platform_devices(rdg_cloud_client_t *c, const rdg_device_filter_t *filter, json_t **list);
rdg_err_t rdg_platform_device(rdg_cloud_client_t *c, const char *name, json_t **device);
/* change: {"labels", "group", "site", "location"}; taken. device may be NULL. */
rdg_err_t rdg_platform_describe(rdg_cloud_client_t *c, const char *name, json_t *change, json_t **device);

/* order: {"type", "params"?, "id"?, "deadline_ms"?, "priority"?}; taken. With an id a lost answer may be asked for again:
 * it stays one command. It is on the platform's disk when this returns. command may be NULL. */
rdg_err_t rdg_platform_command(rdg_cloud_client_t *c, const char *device, json_t *order, json_t **command);
/* orders: an array of {"device", …}, taken; results: for each the command or {"error"}. At most 1,000. */
rdg_err_t rdg_platform_commands(rdg_cloud_client_t *c, json_t *orders, json_t **results);
/* wait_ms (at most 25,000): until it has ended, or so long. */
rdg_err_t rdg_platform_command_get(rdg_cloud_client_t *c, const char *id, uint64_t wait_ms, json_t **command);
rdg_err_t rdg_platform_command_cancel(rdg_cloud_client_t *c,
                                      const char *id); /* CONFLICT: its device has it */
/* Every change of a command after number `after`, waited for up to wait_ms; UINT64_MAX: none, only *next to begin with. */
rdg_err_t rdg_platform_changes(rdg_cloud_client_t *c, uint64_t after, uint64_t wait_ms, json_t **commands,
                               uint64_t *next);

/* order: {"type", "params"?, "selector", "batch_size"?, "pause_ms"?, "stop_percent"?, "valid_ms"?, "id"?}; taken. */
rdg_err_t rdg_platform_rollout(rdg_cloud_client_t *c, json_t *order, json_t **rollout);
/* seen: devices that had ended when the caller looked last; waits up to wait_ms for another number or the end. */
rdg_err_t rdg_platform_rollout_get(rdg_cloud_client_t *c, const char *id, uint64_t seen, uint64_t wait_ms,
                                   json_t **rollout);
/* verb: "pause", "resume" or "cancel". */
rdg_err_t rdg_platform_rollout_turn(rdg_cloud_client_t *c, const char *id, const char *verb);

#ifdef __cplusplus
}
#endif
#endif
