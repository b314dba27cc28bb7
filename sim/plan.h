/* What one run is made of: the chain, the weather, and a list of faults with their times.
 *
 * A plan follows from a seed and a scenario alone. `./sim/run` shrinks a failing plan by leaving faults and whole
 * kinds of trouble out; what it then prints (--faults, --without) makes the same plan again. */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H
#include "dice.h"
#include <stddef.h>

#define SIM_VALIDATORS_MAX 16
#define SIM_REPLICAS_MAX 24 /* with observers and second instances of a twin */
#define SIM_FAULTS_MAX 64

typedef enum fault_kind {
    FAULT_CRASH,     /* `a` stops; what it had not synced is lost in part; back after span_ms */
    FAULT_TEAR,      /* `a` stops in the middle of its next output, after `amount` of its actions */
    FAULT_ALL_CRASH, /* everybody stops at once */
    FAULT_ROT,       /* `a` stops, a byte of its disk turns; found at the start; the operator wipes it */
    FAULT_FULL,      /* the disk of `a` takes no more: it halts at the next write; restarted with room */
    FAULT_STALL,     /* `a` is stopped and goes on after span_ms, as by SIGSTOP and SIGCONT */
    FAULT_CUT,       /* no packet between the replicas in `mask` and the others */
    FAULT_MUTE,      /* none from the replicas in `mask` to the others */
    FAULT_DEAF,      /* none from the others to the replicas in `mask` */
    FAULT_CLOG,      /* what `a` sends to `b` arrives when the fault ends */
    FAULT_SLOW,      /* every link of `a` takes `amount` ms more */
    FAULT_LOSS,      /* `amount` per cent more packets are lost */
    FAULT_CLOCK,     /* the wall clock of `a` jumps by amount - FAULT_CLOCK_ZERO ms */
    FAULT_SLOW_DISK, /* each synced write of `a` takes `amount` ms */
    FAULT_SLOW_EXEC, /* each block takes `a` `amount` ms to execute */
    FAULT_LIAR,      /* blocks that `a` serves are forged */
    FAULT_AHEAD, /* whoever decides the next height first is cut off (amount 0) or stops (1) at that instant */
    FAULT_LEADER, /* whoever leads stops */
    FAULT_HOLD,   /* consensus messages of kind `amount` are lost */
    FAULT_CHANGE, /* somebody asks for transaction TX_CHANGE + `amount`: a change of the validators */
    FAULT_KINDS
} fault_kind_t;
#define FAULT_CLOCK_ZERO 3600000u

typedef struct fault {
    fault_kind_t kind;
    uint64_t at_ms, span_ms, amount;
    uint32_t a, b;
    uint32_t mask;
} fault_t;

/* What an evil replica does; bits of plan.lies. */
enum {
    LIE_SILENT = 1 << 0,     /* leaves messages out, of some kinds or to some */
    LIE_EQUIVOCATE = 1 << 1, /* as leader, another block for some */
    LIE_YES = 1 << 2,        /* votes at once for every digest that it sees */
    LIE_MUTATE = 1 << 3,     /* one field by one, or an old value, signed anew */
    LIE_GARBLE = 1 << 4,     /* cut and flipped bytes */
    LIE_REPLAY = 1 << 5,     /* what anybody said before */
    LIE_VIEWS = 1 << 6,      /* wishes for and changes to views near and huge */
    LIE_DENY = 1 << 7,       /* view changes without what it prepared */
    LIE_RELABEL = 1 << 8,    /* prepared certificates with a higher view, or signers twice */
    LIE_NEW_VIEW = 1 << 9,   /* new views on old, repeated, chosen or too few changes */
    LIE_SEALS = 1 << 10,     /* seals and checkpoints that no quorum signed; blocks with these */
    LIE_EPOCH = 1 << 11,     /* its messages for another epoch or chain */
    LIE_FUTURE = 1 << 12,    /* votes for heights far ahead */
    LIE_HEADER = 1 << 13,    /* as leader, blocks with a wrong parent, time, height or root */
    LIE_KINDS = 14
};

/* Whole kinds of trouble that shrinking may leave out; bits of plan.without. */
enum {
    WITHOUT_LOSS = 1 << 0,
    WITHOUT_DUPLICATES = 1 << 1,
    WITHOUT_REORDER = 1 << 2,
    WITHOUT_EVIL = 1 << 3,
    WITHOUT_SKEW = 1 << 4,
    WITHOUT_KINDS = 5
};

typedef struct plan {
    uint64_t seed;
    const struct scenario *scenario;
    const struct protocol *protocol;
    uint32_t validators, observers, twins; /* twins: second instances of the first evil validators */
    uint32_t members;                      /* mask of validators in the first epoch */
    uint32_t evil;                         /* mask of validators */
    uint32_t lies;
    bool evil_after_healing;
    uint32_t down_after_healing; /* mask of correct validators that stay away: no quorum needs them */
    uint32_t loss_percent, duplicate_percent;
    uint64_t delay_min_ms, delay_max_ms, execute_ms, skew_ms;
    uint64_t block_interval_ms, empty_block_ms, retransmit_ms, view_timeout_ms, checkpoint_interval;
    uint64_t rotate_every; /* heights that a leader leads without a fault; 0: for good */
    uint32_t block_tx_max, clients;
    uint64_t think_ms; /* of a client between its transactions */
    uint64_t storm_ms; /* the safety phase */
    uint64_t stall_ms; /* the longest time without a decision while transactions wait, in the storm; 0: any */
    bool sm2;          /* real signatures */
    fault_t faults[SIM_FAULTS_MAX];
    size_t fault_count;
    uint64_t dropped; /* mask of faults that are left out */
    uint32_t without;
} plan_t;

/* The plan of a seed under a scenario, for its protocol. */
void plan_make(plan_t *p, const struct scenario *scenario, uint64_t seed);
/* Appends; ignored when the list is full. Returns what was added, for the caller to fill in the rest. Never from the
 * run itself: a plan is made once. */
fault_t *plan_add(plan_t *p, fault_kind_t kind, uint64_t at_ms, uint64_t span_ms, uint32_t a);
const char *fault_name(fault_kind_t kind);
const char *lie_name(uint32_t bit); /* 0..LIE_KINDS-1 */
const char *without_name(uint32_t bit);

#endif
