#include "protocol.h"
#include "scenario.h"
#include "ridge/consensus/validators.h"

/* Scenarios with a name: each is one thing that stopped or split a chain of others (docs/simulator.md says whose). The
 * seed varies sizes, times and weather around it. */

static uint32_t bit(uint32_t validator) {
    return 1u << validator;
}

static void chain_of(plan_t *p, dice_t *d, uint32_t validators) {
    p->validators = validators;
    p->storm_ms = 15000;
    p->think_ms = 200;
    p->block_interval_ms = 50 + dice_below(d, 200);
    p->delay_max_ms = 1 + dice_below(d, 40);
    p->execute_ms = dice_below(d, 20);
}

/* The first `f` validators from some place on are liars. */
static void liars(plan_t *p, dice_t *d, uint32_t lies) {
    uint32_t first = (uint32_t)dice_below(d, p->validators), faults = p->protocol->faults(p->validators);
    for (uint32_t i = 0; i < faults; ++i) p->evil |= bit((first + i) % p->validators);
    p->lies = lies;
    p->evil_after_healing = dice_percent(d, 70);
}

static uint32_t four_or_seven(dice_t *d) {
    return dice_percent(d, 70) ? 4 : 7;
}

static void lossy(plan_t *p, dice_t *d) {
    p->loss_percent = (uint32_t)dice_between(d, 5, 30);
    p->delay_max_ms = 5 + dice_below(d, 60);
}

/* One replica alone knows of a decision and is gone; again and again, under changing leaders. */
static void ahead_again_and_again(plan_t *p, dice_t *d, int times) {
    for (int i = 0; i < times; ++i) {
        uint64_t at = 500 + (uint64_t)i * p->storm_ms / (uint64_t)times + dice_below(d, 1000);
        fault_t *f = plan_add(p, FAULT_AHEAD, at, 2000 + dice_below(d, 6000), 0);
        f->amount = dice_below(d, 2);
        if (dice_percent(d, 40))
            (void)plan_add(p, FAULT_LEADER, at + dice_below(d, 4000), 1000 + dice_below(d, 5000), 0);
        if (dice_percent(d, 50)) {
            f = plan_add(p, FAULT_HOLD, at, 100 + dice_below(d, 1500), 0);
            f->amount = dice_percent(d, 60) ? RDG_PHASE_COMMIT : RDG_PHASE_PREPARE;
        }
    }
}

/* --- stuck consensus -------------------------------------------------------------------------------------- */

static void one_restarts(plan_t *p, dice_t *d) {
    chain_of(p, d, 4 + (uint32_t)dice_below(d, 4));
    p->clients = 4, p->think_ms = 60;
    uint32_t who = (uint32_t)dice_below(d, p->validators);
    for (uint64_t at = 500; at < p->storm_ms; at += 1000 + dice_below(d, 1500))
        (void)plan_add(p, dice_percent(d, 50) ? FAULT_CRASH : FAULT_STALL, at, 100 + dice_below(d, 900), who);
    p->stall_ms = 3 * p->view_timeout_ms;
}

static void huge_view(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    liars(p, d, LIE_VIEWS);
    p->stall_ms = 4 * p->view_timeout_ms * (1 + p->protocol->faults(p->validators));
}

static void forged_header(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    liars(p, d, LIE_HEADER | LIE_MUTATE | (dice_percent(d, 50) ? LIE_YES : 0));
}

/* To the very end, so that everybody has backed off as far as they do; then the leader of that view may be away. */
static void no_proposals(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    p->storm_ms = 700000;
    p->clients = 1, p->think_ms = 20000;
    fault_t *f = plan_add(p, FAULT_HOLD, 1000 + dice_below(d, 3000), 700000, 0);
    f->amount = RDG_PHASE_PRE_PREPARE;
    if (dice_percent(d, 70)) p->down_after_healing = bit((uint32_t)dice_below(d, p->validators));
}

/* --- what must be bound and checked ----------------------------------------------------------------------- */

static void bound_votes(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    lossy(p, d);
    liars(p, d, LIE_EPOCH | LIE_MUTATE | LIE_REPLAY | LIE_FUTURE);
}

static void signers_twice(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    lossy(p, d);
    liars(p, d, LIE_RELABEL | LIE_SEALS | LIE_NEW_VIEW | LIE_VIEWS);
    ahead_again_and_again(p, d, 4);
}

static void new_view_recomputed(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    lossy(p, d);
    liars(p, d, LIE_NEW_VIEW | LIE_VIEWS | LIE_YES);
    ahead_again_and_again(p, d, 4);
}

static void prepared_relabelled(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    lossy(p, d);
    p->view_timeout_ms = 1000;
    liars(p, d, LIE_RELABEL | LIE_YES | (dice_percent(d, 50) ? LIE_EQUIVOCATE : 0));
    ahead_again_and_again(p, d, 6);
}

static void amnesia(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    lossy(p, d);
    uint32_t who = (uint32_t)dice_below(d, p->validators);
    (void)plan_add(p, FAULT_ROT, 1500 + dice_below(d, 4000), 50 + dice_below(d, 3000), who);
    plan_add(p, FAULT_TEAR, 2000 + dice_below(d, 9000), 500, who)->amount = dice_below(d, 4);
    (void)plan_add(p, FAULT_ALL_CRASH, 3000 + dice_below(d, 9000), dice_below(d, 500), 0);
}

static void same_key_twice(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    liars(p, d, 0);
    p->twins = p->protocol->faults(p->validators);
    uint32_t count = p->validators + p->twins;
    for (uint64_t at = 100; at < p->storm_ms; at += 1500 + dice_below(d, 3000)) {
        fault_t *f = plan_add(p, FAULT_CUT, at, 1000 + dice_below(d, 4000), 0);
        f->mask = (uint32_t)dice_next(d) & (bit(count) - 1);
    }
}

static void conflicting_evidence(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    lossy(p, d);
    p->view_timeout_ms = 1000;
    liars(p, d, LIE_EQUIVOCATE | LIE_DENY | LIE_YES);
    ahead_again_and_again(p, d, 8);
}

static void locks_and_rounds(plan_t *p, dice_t *d) {
    chain_of(p, d, 4 + (uint32_t)dice_below(d, 4));
    lossy(p, d);
    p->view_timeout_ms = 700;
    p->retransmit_ms = 200;
    ahead_again_and_again(p, d, 10);
}

static void equivocation(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    liars(p, d, LIE_EQUIVOCATE | LIE_YES | (dice_percent(d, 50) ? LIE_SILENT : 0));
}

static void byzzfuzz(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    lossy(p, d);
    liars(p, d, LIE_MUTATE | LIE_REPLAY | LIE_GARBLE);
    ahead_again_and_again(p, d, 2);
}

/* --- the world -------------------------------------------------------------------------------------------- */

static void asymmetric(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    for (uint64_t at = 500; at < p->storm_ms; at += 500 + dice_below(d, 2500)) {
        fault_t *f =
            plan_add(p, dice_percent(d, 50) ? FAULT_MUTE : FAULT_DEAF, at, 1000 + dice_below(d, 5000), 0);
        f->mask = bit((uint32_t)dice_below(d, p->validators));
        f = plan_add(p, FAULT_CLOG, at, 500 + dice_below(d, 3000), (uint32_t)dice_below(d, p->validators));
        f->b = (uint32_t)dice_below(d, p->validators);
    }
}

static void bad_disks(plan_t *p, dice_t *d) {
    static const fault_kind_t kinds[] = {FAULT_TEAR, FAULT_TEAR, FAULT_FULL, FAULT_SLOW_DISK,
                                         FAULT_ALL_CRASH};
    chain_of(p, d, 1 + (uint32_t)dice_below(d, 7));
    for (uint64_t at = 200; at < p->storm_ms; at += 200 + dice_below(d, 1000)) {
        fault_t *f = plan_add(p, kinds[dice_below(d, 5)], at, 50 + dice_below(d, 1500),
                              (uint32_t)dice_below(d, p->validators));
        f->amount = f->kind == FAULT_SLOW_DISK ? dice_below(d, 300) : dice_below(d, 6);
    }
}

static void bad_clocks(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    for (uint64_t at = 0; at < p->storm_ms; at += 200 + dice_below(d, 2000)) {
        fault_t *f = plan_add(p, FAULT_CLOCK, at, 1, (uint32_t)dice_below(d, p->validators));
        f->amount = FAULT_CLOCK_ZERO + dice_below(d, 80000) - 40000;
    }
}

static void lying_sources(plan_t *p, dice_t *d) {
    chain_of(p, d, four_or_seven(d));
    liars(p, d, LIE_SEALS);
    for (uint64_t at = 500; at < p->storm_ms; at += 1000 + dice_below(d, 1000))
        (void)plan_add(p, FAULT_CRASH, at, 500 + dice_below(d, 4000), (uint32_t)dice_below(d, p->validators));
}

/* --- the validators change -------------------------------------------------------------------------------- */

static void ask_for_change(plan_t *p, uint64_t at, bool add, uint32_t validator) {
    plan_add(p, FAULT_CHANGE, at, 1, 0)->amount = (add ? 32 : 0) + validator;
}

/* Leaders stop and replicas restart while validators come and go. */
static void validators_change(plan_t *p, dice_t *d) {
    chain_of(p, d, 7);
    lossy(p, d);
    p->loss_percent /= 2;
    p->members = dice_percent(d, 50) ? 0x0f : 0x7f;
    p->view_timeout_ms = 1000;
    p->storm_ms = 20000;
    for (uint64_t at = 500; at < p->storm_ms; at += 500 + dice_below(d, 4000)) {
        uint32_t who = (uint32_t)dice_below(d, 7);
        ask_for_change(p, at, dice_percent(d, 60), who);
        if (dice_percent(d, 40))
            (void)plan_add(p, FAULT_LEADER, at + dice_below(d, 3000), 200 + dice_below(d, 3000), 0);
        if (dice_percent(d, 40))
            (void)plan_add(p, FAULT_CRASH, at + dice_below(d, 3000), 200 + dice_below(d, 3000),
                           (who + 1) % 7);
        if (dice_percent(d, 30)) plan_add(p, FAULT_TEAR, at, 800, who)->amount = dice_below(d, 4);
        if (dice_percent(d, 30)) (void)plan_add(p, FAULT_AHEAD, at + dice_below(d, 3000), 2000, 0);
    }
}

static void one_two_four(plan_t *p, dice_t *d) {
    chain_of(p, d, 4);
    p->members = 1;
    for (uint32_t v = 1; v < 4; ++v) ask_for_change(p, 1000 + v * 4000 + dice_below(d, 2000), true, v);
    if (dice_percent(d, 50)) ask_for_change(p, 18000, false, 0);
    if (dice_percent(d, 60))
        (void)plan_add(p, FAULT_CRASH, 3000 + dice_below(d, 12000), 100 + dice_below(d, 2000),
                       (uint32_t)dice_below(d, 4));
    if (dice_percent(d, 60))
        (void)plan_add(p, FAULT_ALL_CRASH, 3000 + dice_below(d, 12000), 100 + dice_below(d, 1000), 0);
    p->storm_ms = 22000;
}

/* --- Raft ------------------------------------------------------------------------------------------------- */

/* Leaders stop or are cut off in quick succession, each with entries that others lack (Raft, figure 8). */
static void leaders_come_and_go(plan_t *p, dice_t *d) {
    chain_of(p, d, 3 + 2 * (uint32_t)dice_below(d, 2));
    lossy(p, d);
    p->view_timeout_ms = 400;
    p->retransmit_ms = 100;
    p->storm_ms = 20000;
    p->think_ms = 50;
    ahead_again_and_again(p, d, 4);
    for (uint64_t at = 300; at < p->storm_ms; at += 200 + dice_below(d, 1500)) {
        (void)plan_add(p, FAULT_LEADER, at, 200 + dice_below(d, 3000), 0);
        fault_t *f = plan_add(p, FAULT_CUT, at, 200 + dice_below(d, 2000), 0);
        f->mask = (uint32_t)dice_next(d) & (bit(p->validators) - 1);
    }
}

const scenario_t scenarios_pbft[] = {
    {"restart-under-load", "one node restarts again and again; the others must go on", "pbft", one_restarts,
     0},
    {"huge-view", "liars wish for and change to views near and huge; nobody follows one of them", "pbft",
     huge_view, 0},
    {"forged-header", "blocks with a wrong parent, time, height or root, signed rightly", "pbft",
     forged_header, 0},
    {"no-proposals", "ten minutes without a proposal: time-outs must not grow without bound", "pbft",
     no_proposals, 0},
    {"bound-votes", "votes of another chain, epoch, view, height; replays", "pbft", bound_votes, 0},
    {"signers-twice", "certificates in which one signer stands for a quorum", "pbft", signers_twice, 0},
    {"new-view-recomputed", "new views on chosen, old, repeated or too few changes", "pbft",
     new_view_recomputed, 0},
    {"prepared-relabelled", "prepared certificates in the dress of a later view, and invented ones", "pbft",
     prepared_relabelled, 0},
    {"amnesia", "a disk forgets; its replica restarts, and so does everybody", "pbft", amnesia, 0},
    {"same-key-twice", "f keys are used by two instances each, in changing partitions", "pbft",
     same_key_twice, 0},
    {"conflicting-evidence", "two blocks of a height, each with votes, over several view changes", "pbft",
     conflicting_evidence, 0},
    {"locks-and-rounds", "who decided first is gone, many times, with short time-outs", "pbft",
     locks_and_rounds, 0},
    {"equivocation", "leaders with two blocks of a height, and votes for both", "pbft", equivocation, 0},
    {"byzzfuzz", "fields off by one, old values, cut bytes", "pbft", byzzfuzz, 0},
    {"asymmetric", "links that work one way, links that hold back", 0, asymmetric, 0},
    {"bad-disks", "power cuts between any two actions, full and slow disks", 0, bad_disks, 0},
    {"bad-clocks", "wall clocks that jump by up to 40 s", "pbft", bad_clocks, 0},
    {"lying-sources", "blocks with bad seals for those who catch up", "pbft", lying_sources, 0},
    {"validators-change", "leaders stop and replicas restart while validators come and go", 0,
     validators_change, 0},
    {"one-two-four", "a chain of one grows to two and four, and its first leaves", 0, one_two_four, 0},
    {"leaders-come-and-go", "leaders stop in quick succession, each with entries that others lack", 0,
     leaders_come_and_go, 0},
    {0},
};
