/* Changes of a chain's validators as resumable workflows, one a chain at a time.
 *
 *   add:    prepare → start (as observer) → peers → sync → govern → effective → done
 *   remove: govern → effective → peers → remove → done
 *
 * Each step may be repeated: commands have fixed ids, and before a transaction is sent the chain is asked whether it is
 * there already. */
#ifndef RIDGE_BAAS_MEMBER_H
#define RIDGE_BAAS_MEMBER_H
#include "contract.h"

typedef struct member {
    int64_t number; /* of the change; 0: none */
    char device[BAAS_NAME_MAX + 1], action[8], step[16], state[8];
    uint64_t weight, created_ms, updated_ms;
    char *error; /* owned */
} member_t;

/* The last change of the chain; number 0 if there was none. */
rdg_err_t member_load(rdg_baas_t *b, const chain_t *c, member_t *out);
void member_fini(member_t *m);
rdg_err_t member_begin(rdg_baas_t *b, chain_t *c, const char *device, const char *action, uint64_t weight);
json_t *member_describe(const member_t *m); /* JSON null for none */
rdg_err_t member_set(rdg_baas_t *b, const chain_t *c, member_t *m, const char *step, const char *state,
                     const char *error);

/* member_chain.c: what the chain says and is told */
typedef struct standing {
    bool decides, scheduled_in, scheduled_out; /* is a validator; will be; will not be */
    bool pending;                              /* any change is */
    uint64_t height;
} standing_t;
rdg_err_t member_standing(relay_t *r, const char *device, standing_t *out);
/* NOT_FOUND: not yet in sync. The block is the newcomer's own. */
rdg_err_t member_synced(relay_t *r, const char *device, uint64_t *height, json_t **hash);
rdg_err_t member_vote_in(relay_t *r, const chain_t *c, const member_t *m, const char *key, uint64_t height,
                         const json_t *hash);
rdg_err_t member_vote_out(relay_t *r, const chain_t *c, const char *key);
/* Orders the leader of a Raft chain to hand over to this device, or with "" to whoever is furthest. *out: what it
 * answers, with the former leader as "from". */
rdg_err_t member_transfer_lead(relay_t *r, const chain_t *c, const char *to, json_t **out);

#endif
