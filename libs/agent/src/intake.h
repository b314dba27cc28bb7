/* The intake: readings go into a durable queue, and from there in signed transactions to the Metering
 * contract.
 *
 *   take → queue (segments on disk) → window in memory → transaction, signed and stored → node → receipt →
 * done
 *
 * Invariants
 * 1. A reading that intake_take accepted is on disk. It leaves the queue only when the receipt of the
 * transaction that carries it says success, or, when the contract refuses it by itself, when it is in
 * refused.log with the reason.
 * 2. A transaction is stored before it is sent; after a crash the same one is sent again. It is signed anew
 * only when the chain has passed its valid_until without a receipt.
 * 3. Per meter one transaction is on the way at a time, so that its readings arrive in the order of their
 * time.
 * 4. Queue bytes on disk never pass queue_bytes (FULL, and nothing of the call is taken).
 * 5. A batch that the contract refuses is split until the one reading is found that it refuses; the others go
 * on. */
#ifndef RIDGE_AGENT_INTAKE_H
#define RIDGE_AGENT_INTAKE_H
#include "ridge/base/metrics.h"
#include "ridge/crypto/sm2.h"
#include "reading.h"

typedef struct intake intake_t;

typedef struct intake_options {
    const char *dir; /* the agent's; the intake's files are in <dir>/intake */
    uint64_t queue_bytes;
    /* URL of the node of a chain on this device; NOT_FOUND. */
    rdg_err_t (*node_url)(void *ctx, const char *chain, char out[64]);
    void (*room)(void *ctx); /* the queue was full and has room again; may be NULL */
    void *ctx;
    rdg_metrics_t *metrics;
} intake_options_t;

typedef struct intake_stats {
    uint64_t queued, queued_bytes, submitted, confirmed, refused;
    double p50_ms, p99_ms;        /* from submit to receipt, of the last 1,024 transactions */
    char chain[65], contract[43]; /* "" when not bound */
} intake_stats_t;

rdg_err_t intake_start(const intake_options_t *options, intake_t **out);
void intake_stop(intake_t *i);
void intake_account(const intake_t *i, rdg_address_t *out);
/* Durable. Binding to what it is bound to has no effect. */
rdg_err_t intake_bind(intake_t *i, const char *chain, const rdg_address_t *contract);
/* chain NULL: whatever it is bound to. Not bound to it: no effect. Readings stay queued. */
rdg_err_t intake_unbind(intake_t *i, const char *chain);
/* Takes readings; refused[k] is set for those that are not newer than their meter's last (STALE). All others
 * are durable on return. FULL, IO, DISK_FULL: nothing was taken. */
rdg_err_t intake_take(intake_t *i, const reading_t *readings, size_t count, rdg_err_t *refused);
void intake_stats(intake_t *i, intake_stats_t *out);

#endif
