/* Blockchain as a service: chains over devices, contracts on chains (docs/rest-api.md: /chains).
 *
 * It reaches devices only through the platform's REST interface, also when both are in one process. It owns
 * `<data_dir>/baas.db` and `<data_dir>/keys/`.
 *
 * The life of a chain is a workflow with one row per device and step; the row holds the id of the step's
 * command before the command is sent, so that after a crash the same command is sent again and has one
 * effect:
 *
 *   creating --all prepared: genesis composed--> (creating) --all started, first block sealed--> running
 *   creating --a device fails--> failed --retry--> creating
 *   creating, failed --cancel--> cancelling --all removed--> cancelled
 *   running, failed --destroy, discard=NAME--> destroying --all removed--> destroyed
 *
 * Invariants
 * 1. Every step that has been sent on any device is followed by a remove of that device before a chain is
 * destroyed.
 * 2. One worker, or one request that changes a chain, works on a chain at a time.
 * 3. Progress is an event with a growing number; events are stored with the change that they tell of.
 * 4. The chain's administrator key never leaves `keys/` (0600) and is deleted when the chain is destroyed.
 *
 * Limits: RDG_BAAS_CHAINS_MAX chains, 64 devices a chain, 1,000 events kept a chain, the last 1,000 chains that are gone, 48 KiB of initcode.
 * Threads: functions from one thread; routes run on the service's threads. */
#ifndef RIDGE_BAAS_BAAS_H
#define RIDGE_BAAS_BAAS_H
#include "ridge/service/access.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_BAAS_CHAINS_MAX 1000
#define RDG_BAAS_DEVICES_MAX 64

typedef struct rdg_baas rdg_baas_t;

rdg_err_t rdg_baas_open(const char *data_dir, rdg_baas_t **out);
/* The node's image for chains that name none and may run in containers. Before start; copies; NULL: none. */
rdg_err_t rdg_baas_set_image(rdg_baas_t *b, const char *reference);
rdg_err_t rdg_baas_routes(rdg_baas_t *b, rdg_service_t *service);
/* CONFLICT: a tenant still has chains; baas: an rdg_baas_t *, as rdg_access_in_use wants it. */
rdg_err_t rdg_baas_in_use(void *baas, const char *tenant);
/* Of RDG_SHARE_CHAINS; baas: as rdg_share_count_t wants it. */
rdg_err_t rdg_baas_count(void *baas, rdg_share_t share, const char *tenant, uint64_t *used);
/* The platform can be reached from now on, at a URL or a local socket's path: unfinished workflows go on. */
rdg_err_t rdg_baas_start(rdg_baas_t *b, const char *platform_url, const char *platform_token);
/* Wakes every handler that waits, and asks the workers to end. Call before the service stops. */
void rdg_baas_stop(rdg_baas_t *b);
void rdg_baas_close(rdg_baas_t *b); /* after the service has stopped; joins; frees */

#ifdef __cplusplus
}
#endif
#endif
