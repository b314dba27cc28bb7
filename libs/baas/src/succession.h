/* A chain whose devices are all lost goes on on others: as a resumable workflow, one a chain at a time.
 *
 *   prepare   the new devices make their keys (chain.prepare); one that an earlier attempt had is cleared of it first
 *   verify    the cloud builds the ledger up to the last archived block H, each archive proven by the main chain and every
 *             hash, root and seal verified: whom the state at H names administrators, nobody else can say
 *   act       these follow from H + 1 on (ridge/ledger/succession.h), signed with the chain's key in this cloud's custody if
 *             that is an administrator's. While more must sign it is `waiting`, until their signatures are handed in
 *             (succession_rest.c); each is verified and stored before it is acknowledged
 *   anchor    the main chain has the change of validators; there is one for each number, so as soon as it is told there is no
 *             way back. What it has refused it does not have: then there is, and the same order goes on with `act`
 *   restore   the act stands beside the chain's genesis; new devices are built from the archives; old ones are told to
 *             remove what they have, whenever they come back
 *   start     as of a new chain: what is already so costs nothing
 *   first-block   until block H + 1 is sealed
 *
 * States: running, waiting (for people), failed, cancelled, done. Each step may be repeated. What has failed up to `anchor`
 * changed nothing of the chain: until then it may be cancelled, and other devices be named. */
#ifndef RIDGE_BAAS_SUCCESSION_H
#define RIDGE_BAAS_SUCCESSION_H
#include "archive_states.h"
#include "mainchain.h"
#include "ridge/ledger/succession.h"

typedef struct succession {
    int64_t number; /* 0: none */
    char step[16], state[16];
    json_t *devices; /* names; owned */
    uint64_t height, epoch, done,
        archives; /* H; number of the new epoch, 0 before; archives verified, of all */
    uint64_t created_ms, updated_ms;
    rdg_buf_t act; /* with the signatures that are there; empty before */
    char *error;   /* owned; NULL: none */
} succession_t;

extern const char succession_migration[];

/* succession.c: the last one of the chain */
rdg_err_t succession_load(rdg_baas_t *b, const chain_t *c, succession_t *out);
void succession_fini(succession_t *s);
json_t *succession_describe(const succession_t *s); /* JSON null for none */
/* Stores all of it. */
rdg_err_t succession_set(rdg_baas_t *b, const chain_t *c, succession_t *s, const char *step,
                         const char *state, const char *error);
bool succession_names(const succession_t *s, const char *device);
bool succession_is(const succession_t *s, const char *state);
/* The numbers of this one's commands begin here. */
int64_t succession_attempt(const succession_t *s);
/* body: {"devices": [name, …], "discard": chain's name or nothing, "allow_no_fault_tolerance"}. */
rdg_err_t succession_order(rdg_baas_t *b, chain_t *c, const json_t *body);
/* Its devices are cleared, and what was signed is of no use any more. CONFLICT: there is none, or no way back. */
rdg_err_t succession_cancel(rdg_baas_t *b, const chain_t *c);
/* Of a device that has no row yet, within a transaction. */
rdg_err_t succession_add_prepare(rdg_baas_t *b, const chain_t *c, const steps_t *steps,
                                 const succession_t *s);

/* succession_check.c: may the chain be given to others? CONFLICT names who lives, or what would be lost. */
rdg_err_t succession_check_lost(rdg_baas_t *b, const chain_t *c, uint64_t reach);
/* The last block that is archived without a gap from the first on. UNAVAILABLE: none, there are archives
 * behind a gap, or the main chain knows of later ones. */
rdg_err_t succession_reach(rdg_baas_t *b, const chain_t *c, uint64_t *reach, uint64_t *archives);

/* Whether blocks up to `to` may be taken for the chain's: UNAVAILABLE while the main chain is being told that others go on
 * behind a block below. Within a transaction, as what is done then. */
rdg_err_t succession_check_open(rdg_baas_t *b, uint64_t chain_id, uint64_t to);
/* The same, and that the archive of that manifest is not to be proven once more because of it. */
rdg_err_t succession_check_archive(rdg_baas_t *b, uint64_t chain_id, uint64_t to, const rdg_hash_t *manifest);

/* succession_act.c */
rdg_err_t succession_verify_next(rdg_baas_t *b, const chain_t *c, succession_t *s); /* one archive */
/* Makes the act, or goes on with the one that is there if it is still the one that follows; signed by enough it moves to
 * `anchor` with what is to stand on the main chain, else it waits. */
rdg_err_t succession_act(rdg_baas_t *b, const chain_t *c, const steps_t *steps, succession_t *s);
/* One more signature, stored. INVALID (a field), CONFLICT (none is waited for; it is over another act), FORBIDDEN (no
 * administrator), BAD_SIGNATURE, EXISTS (has signed). by: who hands it in. */
rdg_err_t succession_sign(rdg_baas_t *b, const chain_t *c, succession_t *s, const json_t *body,
                          const char *by);
/* Of the chain, with the act. Returns owned. */
rdg_err_t succession_genesis(const chain_t *c, const succession_t *s, json_t **out);
/* The ledger that is built to verify; without it all begins anew. */
bool succession_has_ledger(rdg_baas_t *b, const chain_t *c);
void succession_clear(rdg_baas_t *b, const chain_t *c);

/* succession_rest.c: what is to be signed, signatures, and giving it up */
extern const rdg_service_route_t succession_routes[];
extern const size_t succession_route_count;

/* succession_flow.c */
rdg_err_t flow_succession(rdg_baas_t *b, chain_t *c, const steps_t *steps, uint64_t *after_ms);
#endif
