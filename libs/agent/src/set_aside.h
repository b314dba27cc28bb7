/* The first step of a recovery: the node stands, and its ledger lies in node/data.damaged, out of the way of a new one.
 *
 *   <node>/recovering   "<id of the command> <stage>": 1 begun, 2 done; higher ones are the caller's (chain_recover.c)
 *   <node>/recovered    id of the last command that came to its end
 *
 * Invariants, whatever write fails or is the last one before power is cut
 * 1. The ledger is whole in one of the two places. Only what an earlier recovery has set aside is deleted.
 * 2. Where node/data is gone, node/voted is there: the node that is started next knows that it may have voted. Not so
 *    with fresh: a node that takes over from lost ones has the mark only if it has sealed blocks since.
 * 3. Done again for the same command, it ends what was cut short; once it was done it touches nothing, also when the
 *    command had come to its end and only its result was lost: the ledger is then the new one, with votes of its own. */
#ifndef RIDGE_AGENT_SET_ASIDE_H
#define RIDGE_AGENT_SET_ASIDE_H
#include "workloads.h"

#define SET_ASIDE_DONE 2
#define SET_ASIDE_ENDED 100 /* a stage that is in no file */

typedef struct set_aside {
    const char *dir; /* the agent's; this and the next borrowed */
    workloads_t *workloads;
    const char *command; /* id of the one that recovers */
    chain_t *chain;      /* desired becomes CHAIN_STOPPED */
    bool fresh;
} set_aside_t;

rdg_err_t set_aside(const set_aside_t *s);
/* 0: not begun by this command. */
int set_aside_stage(const set_aside_t *s);
rdg_err_t set_aside_note(const set_aside_t *s, int stage);
/* The new ledger is good: removes what was set aside, and the stage; ENDED from now on. Adds the bytes freed. */
rdg_err_t set_aside_end(const set_aside_t *s, uint64_t *freed);

#endif
