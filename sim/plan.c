#include "plan.h"
#include "protocol.h"
#include "scenario.h"
#include <string.h>

static const char *const fault_names[FAULT_KINDS] = {
    "crash", "tear", "all-crash", "rot",       "full",      "stall", "cut",   "mute",   "deaf", "clog",
    "slow",  "loss", "clock",     "slow-disk", "slow-exec", "liar",  "ahead", "leader", "hold", "change",
};
static const char *const lie_names[LIE_KINDS] = {
    "silent", "equivocate", "yes",      "mutate", "garble", "replay", "views",
    "deny",   "relabel",    "new-view", "seals",  "epoch",  "future", "header",
};
static const char *const without_names[WITHOUT_KINDS] = {"loss", "duplicates", "reorder", "evil", "skew"};

const char *fault_name(fault_kind_t kind) {
    return fault_names[kind];
}
const char *lie_name(uint32_t bit) {
    return lie_names[bit];
}
const char *without_name(uint32_t bit) {
    return without_names[bit];
}

fault_t *plan_add(plan_t *p, fault_kind_t kind, uint64_t at_ms, uint64_t span_ms, uint32_t a) {
    static fault_t spill;
    fault_t *f = p->fault_count < SIM_FAULTS_MAX ? &p->faults[p->fault_count++] : &spill;
    *f = (fault_t){.kind = kind, .at_ms = at_ms, .span_ms = span_ms, .a = a};
    return f;
}

void plan_make(plan_t *p, const scenario_t *scenario, uint64_t seed) {
    const protocol_t *protocol = p->protocol;
    dice_t d = dice_of(seed, 0x914a);
    memset(p, 0, sizeof *p);
    p->protocol = protocol;
    p->scenario = scenario;
    p->seed = seed;
    p->validators = 4;
    p->delay_min_ms = 1, p->delay_max_ms = 10;
    p->block_interval_ms = 100, p->block_tx_max = 16;
    p->retransmit_ms = 500, p->view_timeout_ms = 2000, p->checkpoint_interval = 1;
    p->clients = 2, p->think_ms = 400;
    p->storm_ms = 15000;
    scenario->plan(p, &d);
    if (p->members == 0) p->members = (1u << p->validators) - 1;
}
