/* An act in its parts, and what it changes. */
#ifndef RIDGE_LEDGER_SUCCESSION_INTERNAL_H
#define RIDGE_LEDGER_SUCCESSION_INTERNAL_H
#include "governance.h"
#include "ledger_internal.h"
#include "ridge/ledger/succession.h"

typedef struct act_parts {
    rdg_bytes_t act, executed, proofs, signatures; /* each whole, with its header */
    uint64_t chain_id, height;
    rdg_hash_t genesis, block, executed_digest;
    rdg_bytes_t epoch;
} act_parts_t;

/* succession.c. Shape only. */
rdg_err_t succession_decode(rdg_bytes_t act, act_parts_t *out);
/* NULL, or why these cannot follow what g says; height: the last block of those before. */
const char *succession_refusal(const governance_t *g, uint64_t height, const rdg_epoch_t *next);

/* succession_ledger.c. Of the block at that height the ledger's own must be the one that the act names: CONFLICT. */
rdg_err_t succession_matches(const rdg_succession_t *s, const block_entry_t *e);
/* A ledger that is opened with acts: they are of its own history. CONFLICT names the height. */
rdg_err_t succession_check_ledger(rdg_ledger_t *l, uint64_t head);
/* The governance behind the block before becomes that of the block that begins now, if an act says so. */
rdg_err_t succession_begin(const rdg_genesis_t *g, uint64_t height, executor_t *x);
/* What the rules behind block `height` are for those that follow. */
void succession_overlay(const rdg_genesis_t *g, uint64_t height, governance_t *rules);
/* Text for whoever meets an epoch that nobody of the former one has signed. */
extern const char SUCCESSION_HINT[];

#endif
