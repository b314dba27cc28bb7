/* Receipts on their way to the devices, and what became of them there (collector_prune.c); who may have them signed
 * (collector_key.c); what stays on devices, and when archives are made by themselves (collector_policy.c,
 * collector_schedule.c). */
#ifndef RIDGE_BAAS_SRC_COLLECTOR_PRUNE_H
#define RIDGE_BAAS_SRC_COLLECTOR_PRUNE_H
#include "collector.h"
#include "collector_cron.h"

/* --- collector_policy.c ---------------------------------------------------------------------------- */

#define POLICY_KEEP_BLOCKS 1000
#define POLICY_KEEP_MS 86400000ull

/* Of a chain; what no row says is the default. */
typedef struct archive_policy {
    uint64_t keep_blocks, keep_ms; /* of what is archived: these stay on each device */
    uint64_t updated_ms;           /* since when the times are these; 0: never set */
    /* An archive is ordered: after that time; at these times (empty: none); when the largest ledger of a device has grown
     * by so much since the last order; when the oldest record that is not archived is so old; when a device's ledger takes
     * more than its budget. 0: not for that. */
    uint64_t every_ms, size_bytes, age_ms, budget_bytes;
    char cron[CRON_TEXT_MAX];
    uint64_t ordered_ms, ordered_bytes; /* when that was last done, and how large the ledger was; 0: never */
    char ordered_why[16];
    bool encrypt;        /* archives that are made from now on */
    uint64_t pressed_ms; /* since when the budget is used up: age keeps nothing then; 0: it is not */
} archive_policy_t;

extern const char policy_migration[], schedule_migration[];
rdg_err_t policy_load(rdg_baas_t *b, int64_t chain, archive_policy_t *out);
/* Of a new chain, in its transaction. */
rdg_err_t policy_encrypt(rdg_baas_t *b, int64_t chain);
rdg_err_t policy_note(rdg_baas_t *b, int64_t chain, const archive_policy_t *p); /* ordered_…, pressed_ms */
/* What was noted ahead of now was noted before the clock was put back: it is now, or nothing would be ordered until then. */
rdg_err_t policy_mend_times(rdg_baas_t *b, int64_t chain, archive_policy_t *p, uint64_t now);
extern const rdg_service_route_t policy_routes[];
extern const size_t policy_route_count;

/* --- collector_schedule.c -------------------------------------------------------------------------- */

typedef struct schedule {
    uint64_t next_ms; /* when it is due next by time alone; 0: not */
    const char *why;
} schedule_t;
rdg_err_t schedule_of(rdg_baas_t *b, const chain_t *c, const archive_policy_t *p, schedule_t *out);
/* Orders what is due; on the collector's thread, as prunes_advance. */
rdg_err_t schedule_advance(rdg_baas_t *b, uint64_t *after_ms);

/* --- collector_key.c ------------------------------------------------------------------------------- */

/* The collector's certificate with its chain, PEM; returned owned (rdg_free). A key that the CA has revoked as compromised
 * is put aside, and another made. On the collector's thread, as the next. */
rdg_err_t collector_certificate(rdg_baas_t *b, char **pem);
/* The receipt of an archived row by the key that is certified now: signed anew and stored if another had signed it. */
rdg_err_t collector_receipt_now(rdg_baas_t *b, archive_row_t *r);
/* Signs what r says into r's receipt. */
rdg_err_t collector_sign(rdg_baas_t *b, archive_row_t *r);
void collector_public(rdg_baas_t *b, rdg_sm2_public_t *out); /* any thread */

/* --- collector_prune.c ------------------------------------------------------------------------------ */

/* A device's part of a chain: what it was told, and what it has said. One command at a time. */
typedef struct prune_row {
    int64_t chain, attempt; /* attempt 0: nothing was sent yet */
    char device[BAAS_NAME_MAX + 1], command[33], state[16];
    uint64_t wanted;          /* last height of the receipts that were sent */
    uint64_t height, mark_ms; /* the mark, and the time of its block, as the device said; 0: none */
    uint64_t freed_bytes, compacted_bytes, ledger_bytes; /* all in all; left */
    uint64_t keep_blocks, keep_ms;                       /* as they were sent */
    uint64_t updated_ms;
    unsigned
        passing; /* how often in a row by what may be over soon: a node that is starting, an agent that stopped */
} prune_row_t;

/* Before the next, at each start: what was sent is asked for at once, since news of it may have come meanwhile. */
rdg_err_t prunes_begin(rdg_baas_t *b);
/* Sends what is due; *after_ms becomes less if something is due before. */
rdg_err_t prunes_advance(rdg_baas_t *b, uint64_t *after_ms);
/* The platform says something of a command that is no step's. Any thread. */
rdg_err_t prunes_apply(rdg_baas_t *b, const json_t *command);
/* Something changed that may make prunings due. Any thread. */
void prunes_kick(rdg_baas_t *b);
/* All devices of a chain are told again, whatever the time. */
rdg_err_t prunes_order(rdg_baas_t *b, int64_t chain);
/* One object a device of running chains, by chain and device; chain NULL: of all. Returned owned. */
rdg_err_t prunes_list(rdg_baas_t *b, const char *tenant, const char *chain, json_t **out);

#endif
