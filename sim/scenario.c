#include "scenario.h"
#include "protocol.h"
#include <string.h>

/* --- storms: everything at once --------------------------------------------------------------------------- */

static const uint32_t sizes[] = {4, 4, 4, 4, 4, 5, 6, 7, 7, 10, 1, 2, 3, 3, 13, 16};

static uint32_t some_mask(plan_t *p, dice_t *d) {
    uint32_t count = p->validators + p->observers + p->twins, mask;
    mask = (uint32_t)dice_next(d) & ((1u << count) - 1);
    if (dice_percent(d, 50)) mask = 1u << dice_below(d, count);
    return mask;
}

static uint64_t when(plan_t *p, dice_t *d) {
    return dice_below(d, p->storm_ms);
}

/* One fault of any kind that the chain is to survive whoever it hits. */
static void any_fault(plan_t *p, dice_t *d) {
    static const fault_kind_t kinds[] = {
        FAULT_CRASH,  FAULT_CRASH, FAULT_TEAR,  FAULT_TEAR, FAULT_TEAR,      FAULT_ALL_CRASH,
        FAULT_FULL,   FAULT_STALL, FAULT_CUT,   FAULT_CUT,  FAULT_CUT,       FAULT_MUTE,
        FAULT_DEAF,   FAULT_CLOG,  FAULT_SLOW,  FAULT_LOSS, FAULT_AHEAD,     FAULT_AHEAD,
        FAULT_LEADER, FAULT_HOLD,  FAULT_CLOCK, FAULT_LIAR, FAULT_SLOW_DISK, FAULT_SLOW_EXEC,
    };
    uint32_t count = p->validators + p->observers + p->twins;
    fault_kind_t kind = kinds[dice_below(d, sizeof kinds / sizeof kinds[0])];
    fault_t *f = plan_add(p, kind, when(p, d), 50 + dice_below(d, dice_percent(d, 70) ? 3000 : 10000),
                          (uint32_t)dice_below(d, count));
    f->b = (uint32_t)dice_below(d, count);
    f->mask = some_mask(p, d);
    switch (kind) {
    case FAULT_TEAR: f->amount = dice_below(d, 6); break;
    case FAULT_SLOW: f->amount = dice_below(d, 1500); break;
    case FAULT_LOSS: f->amount = dice_below(d, 60); break;
    case FAULT_CLOCK: f->amount = FAULT_CLOCK_ZERO + dice_below(d, 60000) - 30000; break;
    case FAULT_SLOW_DISK: f->amount = dice_below(d, 400); break;
    case FAULT_SLOW_EXEC: f->amount = dice_below(d, 2000); break;
    case FAULT_AHEAD: f->amount = dice_below(d, 2); break;
    case FAULT_HOLD: f->amount = 1 + dice_below(d, 8); break;
    default: break;
    }
}

static void weather(plan_t *p, dice_t *d) {
    p->loss_percent = dice_percent(d, 60) ? (uint32_t)dice_below(d, 25) : 0;
    p->duplicate_percent = dice_percent(d, 60) ? (uint32_t)dice_below(d, 20) : 0;
    p->delay_max_ms = 1 + dice_below(d, dice_percent(d, 60) ? 50 : 400);
    p->execute_ms = dice_percent(d, 70) ? dice_below(d, 20) : dice_below(d, 400);
    p->skew_ms = dice_below(d, 100000);
    p->block_interval_ms = 50 + dice_below(d, 800);
    p->empty_block_ms = dice_percent(d, 20) ? 1000 + dice_below(d, 4000) : 0;
    p->checkpoint_interval = dice_percent(d, 80) ? 1 : 1 + dice_below(d, 8);
    p->rotate_every = dice_percent(d, 30) ? 1 + dice_below(d, 6) : 0;
    p->view_timeout_ms = dice_percent(d, 70) ? 2000 : 1000 + dice_below(d, 4000);
    p->think_ms = 100 + dice_below(d, 1500);
    p->clients = 1 + (uint32_t)dice_below(d, 3);
    p->block_tx_max = 1 + (uint32_t)dice_below(d, 32);
}

/* Liars, disks that forget and validators that stay away: together at most f. */
static void villains(plan_t *p, dice_t *d) {
    uint32_t f = p->protocol->faults(p->validators), evil, rotten, away;
    if (f == 0) return;
    evil = p->protocol->byzantine && dice_percent(d, 70) ? 1 + (uint32_t)dice_below(d, f) : 0;
    uint32_t first = (uint32_t)dice_below(d, p->validators);
    for (uint32_t i = 0; i < evil; ++i) p->evil |= 1u << (first + i) % p->validators;
    rotten = f > evil && dice_percent(d, 40) ? 1 : 0;
    away = f - evil - rotten;
    if (rotten)
        (void)plan_add(p, FAULT_ROT, when(p, d), 100 + dice_below(d, 4000), (first + evil) % p->validators);
    for (uint32_t i = 0; i < away && dice_percent(d, 50); ++i)
        p->down_after_healing |= 1u << (first + evil + rotten + i) % p->validators;
    p->evil_after_healing = dice_percent(d, 50);
    if (evil == 0) return;
    if (dice_percent(d, 20)) p->twins = 1 + (uint32_t)dice_below(d, evil);
    for (uint32_t i = 0; i < LIE_KINDS; ++i)
        if (dice_percent(d, 30)) p->lies |= 1u << i;
    if (p->twins > 0 && dice_percent(d, 60)) p->lies = 0;
}

static void plan_storm(plan_t *p, dice_t *d) {
    p->validators = sizes[dice_below(d, sizeof sizes / sizeof sizes[0])];
    if (p->protocol->byzantine == false) p->validators = 1 + p->validators % 7;
    p->observers = dice_percent(d, 20) ? 1 : 0;
    p->storm_ms = 4000 + dice_below(d, 16000);
    if (p->validators > 7) p->storm_ms /= 2;
    weather(p, d);
    villains(p, d);
    uint64_t faults = dice_below(d, dice_percent(d, 70) ? 12 : 40);
    for (uint64_t i = 0; i < faults; ++i) any_fault(p, d);
}

static void plan_calm(plan_t *p, dice_t *d) {
    p->validators = sizes[dice_below(d, sizeof sizes / sizeof sizes[0])];
    p->observers = 1;
    p->storm_ms = 5000;
    p->delay_max_ms = 1 + dice_below(d, 30);
}

static const scenario_t all[] = {
    {.name = "storm", .says = "every kind of fault and lie at once", .plan = plan_storm},
    {.name = "calm", .says = "no fault", .plan = plan_calm},
};

const scenario_t *scenario_at(size_t i) {
    size_t own = sizeof all / sizeof all[0], at = 0;
    if (i < own) return &all[i];
    while (at < i - own && scenarios_pbft[at].name) ++at;
    return scenarios_pbft[at].name ? &scenarios_pbft[at] : NULL;
}

const scenario_t *scenario_find(const char *name) {
    const scenario_t *s;
    for (size_t i = 0; (s = scenario_at(i)) != NULL; ++i)
        if (strcmp(s->name, name) == 0) return s;
    return NULL;
}
