/* The transaction pool: verified transactions that wait for a block.
 *
 * Limits (all configurable): count, total bytes, count per sender; a transaction leaves when it is committed,
 * when its valid_until has passed, or never otherwise (nothing is evicted for a newcomer: a full pool answers
 * FULL, so that what was accepted stays accepted). In memory only: an accepted transaction is durable when
 * its receipt exists, and submitters keep theirs until then. Thread-safe. Order: first in, first out. */
#ifndef RIDGE_LEDGER_POOL_H
#define RIDGE_LEDGER_POOL_H
#include "ridge/ledger/tx.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_pool rdg_pool_t;
typedef struct rdg_pool_limits {
    size_t max_count, max_bytes, max_per_sender; /* each at least 1 */
} rdg_pool_limits_t;

rdg_err_t rdg_pool_new(const rdg_pool_limits_t *limits, uint64_t chain_id, uint64_t tx_gas_limit,
                       rdg_pool_t **out);
void rdg_pool_free(rdg_pool_t *p);
/* Everything but the signature and the ledger's index: WRONG_CHAIN, EXPIRED, INVALID_TX (valid_until too
 * far), GAS_LIMIT, DUPLICATE, FULL. Call it before the costly signature check; add repeats it. */
rdg_err_t rdg_pool_precheck(rdg_pool_t *p, const rdg_tx_t *tx);
rdg_err_t rdg_pool_add(rdg_pool_t *p, rdg_tx_t *tx); /* the caller has verified it; takes a reference */
/* The pool's own object for an id with an identical wire form: its signature needs no second check. NULL if
 * absent; returns a reference. */
rdg_tx_t *rdg_pool_find(rdg_pool_t *p, const rdg_hash_t *id);
/* Oldest first, up to the limits; the transactions stay until rdg_pool_committed. Fills out[] with
 * references. */
size_t rdg_pool_take(rdg_pool_t *p, uint64_t height, size_t max_count, size_t max_bytes, uint64_t max_gas,
                     rdg_tx_t **out);
/* The same without those that skip() says true of; it is called with the pool locked. */
size_t rdg_pool_take_without(rdg_pool_t *p, uint64_t height, size_t max_count, size_t max_bytes,
                             uint64_t max_gas, bool (*skip)(void *ctx, const rdg_tx_t *tx), void *ctx,
                             rdg_tx_t **out);
/* A block of that height is in the ledger: removes its ids, and what no later block may hold. Also called
 * once after start (no ids) to tell the pool where the ledger stands. */
void rdg_pool_committed(rdg_pool_t *p, const rdg_hash_t *ids, size_t count, uint64_t height);
size_t rdg_pool_count(rdg_pool_t *p);
size_t rdg_pool_bytes(rdg_pool_t *p);

#ifdef __cplusplus
}
#endif
#endif
