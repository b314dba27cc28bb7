/* Health of the chain nodes on this device: each is asked for GET /health every interval. One that has answered in its
 * present run, and then does not answer HEALTH_FAILURES times in a row, hangs: it is stopped and started again. Any
 * answer of HTTP counts; one that still starts (a large ledger takes its time) is not judged. */
#ifndef RIDGE_AGENT_HEALTH_H
#define RIDGE_AGENT_HEALTH_H
#include "workloads.h"

#define HEALTH_INTERVAL_MS 10000u
#define HEALTH_ANSWER_MS 5000u /* or half of the interval, when that is less */
#define HEALTH_FAILURES 6

typedef struct health health_t;

/* interval_ms 0: HEALTH_INTERVAL_MS. workloads: borrowed. */
rdg_err_t health_start(workloads_t *workloads, uint64_t interval_ms, health_t **out);
void health_stop(health_t *h); /* NULL is fine */

#endif
