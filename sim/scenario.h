/* Named scenarios: what the storm of a run is made of. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H
#include "plan.h"

struct world;

typedef struct scenario {
    const char *name, *says;
    const char *protocol; /* NULL: any that can */
    /* Fills in the plan; the dice are the plan's own. */
    void (*plan)(plan_t *p, dice_t *d);
    void (*begin)(struct world *w); /* may be NULL */
} scenario_t;

extern const scenario_t scenarios_pbft[]; /* ends with a name of NULL */

const scenario_t *scenario_find(const char *name); /* NULL: there is none */
const scenario_t *scenario_at(size_t i);           /* NULL past the last */

#endif
