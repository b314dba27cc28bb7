/* Many seeds in several processes. A process for each share of the seeds, so that an assertion of the core ends one
 * run and not the campaign, and so that the run itself stays single-threaded. */
#ifndef SIM_RUNNER_H
#define SIM_RUNNER_H
#include "scenario.h"
#include "world.h"

typedef struct report {
    uint64_t seed;
    run_result_t result;
} report_t;

typedef struct campaign {
    const scenario_t *scenario;
    const protocol_t *protocol;
    uint64_t first, last;
    uint32_t jobs;
    bool sm2, twice; /* twice: each seed again, and the trace must be the same */
    uint64_t stop_after_failures;
} campaign_t;

/* Calls `each` for every seed as its result comes in; false from it ends the campaign. */
void runner_campaign(const campaign_t *c, bool (*each)(void *ctx, const report_t *report), void *ctx);
/* One run in a process of its own. */
void runner_one(const plan_t *plan, bool verbose, run_result_t *out);
/* Leaves out of the plan what it fails without, by at most `runs` runs. */
void runner_shrink(plan_t *plan, const char *law, uint32_t runs);

#endif
