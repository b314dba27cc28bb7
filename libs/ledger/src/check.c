/* May a block follow the head? */
#include <inttypes.h>
#include "ledger_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"

rdg_err_t check_header(const rdg_ledger_t *l, const rdg_header_t *h) {
    const rdg_ledger_head_t *head = &l->view->head;
    const rdg_validator_set_t *set = &governance_epoch(&l->view->rules->g, h->height)->validators;
    const rdg_chain_params_t *params = &l->view->rules->g.params;
    if (h->chain_id != set->chain_id)
        return rdg_fail(RDG_E_WRONG_CHAIN, "block is of chain %" PRIu64 ", this is chain %" PRIu64,
                        h->chain_id, set->chain_id);
    if (h->height <= head->height)
        return rdg_fail(RDG_E_STALE, "block %" PRIu64 ": the ledger is at %" PRIu64, h->height, head->height);
    if (h->height != head->height + 1)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "block %" PRIu64 ": the ledger is at %" PRIu64 " and needs the ones between",
                        h->height, head->height);
    if (!rdg_hash_equal(&h->parent, &head->hash))
        return rdg_fail(RDG_E_CONFLICT, "block %" PRIu64 " names another parent than this ledger's head",
                        h->height);
    if (h->epoch != set->epoch)
        return rdg_fail(RDG_E_INVALID, "block %" PRIu64 " is of epoch %" PRIu64 ", now is %" PRIu64,
                        h->height, h->epoch, set->epoch);
    if (h->proposer >= set->count)
        return rdg_fail(RDG_E_INVALID, "block %" PRIu64 ": proposer %" PRIu32 " of %" PRIu32, h->height,
                        h->proposer, set->count);
    if (h->time_ms <= head->time_ms)
        return rdg_fail(RDG_E_INVALID, "block %" PRIu64 " is not later than its parent", h->height);
    /* Raft's leader proposes before its parent is executed: it cannot know yet what that changes. */
    bool raft = rdg_genesis_is_raft(&l->genesis);
    uint64_t tx_max = raft ? RDG_BLOCK_TXS_MAX : params->block_tx_max;
    if (h->gas_limit != params->block_gas_limit && !(raft && h->gas_limit == l->view->header.gas_limit))
        return rdg_fail(RDG_E_GAS_LIMIT,
                        "block %" PRIu64 " has gas limit %" PRIu64 ", the chain's is %" PRIu64, h->height,
                        h->gas_limit, params->block_gas_limit);
    if (h->tx_count > tx_max)
        return rdg_fail(RDG_E_TOO_LARGE,
                        "block %" PRIu64 " has %" PRIu32 " transactions, the limit is %" PRIu64, h->height,
                        h->tx_count, tx_max);
    return RDG_OK;
}

static rdg_err_t name_tx(rdg_err_t err, const rdg_tx_t *tx, uint32_t index) {
    char id[2 * RDG_HASH_BYTES + 1];
    rdg_hex_encode(tx->id.b, sizeof tx->id.b, id);
    return rdg_fail_in(err, "transaction %" PRIu32 " (0x%s)", index, id);
}

/* What has expired is no duplicate, only half an id alike: a ledger that stands on a snapshot does not have it. */
static rdg_err_t check_unseen(rdg_ledger_t *l, const rdg_tx_t *tx, uint64_t height, table_t *seen) {
    uint64_t hash = table_hash(tx->id.b, sizeof tx->id.b);
    size_t pos = hash;
    for (const rdg_tx_t *other; (other = table_probe(seen, hash, &pos));)
        if (rdg_hash_equal(&other->id, &tx->id))
            return rdg_fail(RDG_E_DUPLICATE, "it stands twice in the block");
    if (!table_reserve(seen)) return RDG_E_NO_MEMORY;
    table_insert(seen, hash, (void *)(uintptr_t)tx);
    rdg_tx_location_t where;
    rdg_err_t err = find_tx(l->kv, l->view->snap, l->view->head.height, &tx->id, &where);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    if (err != RDG_OK) return err;
    if (!in_replay_window(where.height, height)) return RDG_OK;
    return rdg_fail(RDG_E_DUPLICATE, "it is in block %" PRIu64 " already", where.height);
}

rdg_err_t check_transactions(rdg_ledger_t *l, const rdg_block_t *b) {
    const rdg_header_t *h = &b->header;
    table_t seen = {0};
    uint64_t gas = 0;
    rdg_err_t err = RDG_OK;
    for (uint32_t i = 0; err == RDG_OK && i < h->tx_count; ++i) {
        const rdg_tx_t *tx = b->txs[i];
        err = rdg_tx_check(tx, h->chain_id, l->genesis.params.tx_gas_limit, h->height);
        if (err == RDG_OK) err = check_unseen(l, tx, h->height, &seen);
        gas += tx->gas_limit; /* cannot overflow: each has passed the limit of one, and there are at most
                                 4,096 */
        if (err == RDG_OK && gas > h->gas_limit)
            err = rdg_fail(RDG_E_GAS_LIMIT, "with it the gas limits pass the block's %" PRIu64, h->gas_limit);
        if (err != RDG_OK) name_tx(err, tx, i);
    }
    table_fini(&seen);
    return err;
}

static bool is_pooled(rdg_pool_t *pool, const rdg_tx_t *tx) {
    rdg_tx_t *pooled = pool ? rdg_pool_find(pool, &tx->id) : NULL;
    bool same = pooled && rdg_bytes_equal(pooled->raw, tx->raw);
    rdg_tx_unref(pooled);
    return same;
}

/* What a thread takes at once: whole batches of the widest lanes, and short enough for all threads to end together. */
#define SIGNATURES_A_JOB 32u

typedef struct signatures {
    rdg_sm2_check_t *checks;
    rdg_err_t *results;
    uint32_t count;
} signatures_t;

static void verify_some(void *ctx, unsigned worker, uint32_t number) {
    const signatures_t *s = ctx;
    uint32_t from = number * SIGNATURES_A_JOB, left = s->count - from;
    (void)worker;
    rdg_sm2_verify_batch(s->checks + from, left < SIGNATURES_A_JOB ? left : SIGNATURES_A_JOB,
                         s->results + from);
}

rdg_err_t check_signatures(rdg_ledger_t *l, const rdg_block_t *b, rdg_pool_t *pool) {
    uint32_t count = b->header.tx_count, unknown = 0;
    if (count == 0) return RDG_OK;
    rdg_sm2_check_t *checks = rdg_calloc(count, sizeof *checks);
    rdg_err_t *results = rdg_calloc(count, sizeof *results);
    uint32_t *indexes = rdg_calloc(count, sizeof *indexes);
    rdg_err_t err = checks && results && indexes ? RDG_OK : RDG_E_NO_MEMORY;
    for (uint32_t i = 0; err == RDG_OK && i < count; ++i) {
        const rdg_tx_t *tx = b->txs[i];
        if (is_pooled(pool, tx)) continue;
        checks[unknown] =
            (rdg_sm2_check_t){&tx->key, rdg_bytes(tx->id.b, sizeof tx->id.b), &tx->signature, false};
        indexes[unknown++] = i;
    }
    signatures_t all = {checks, results, unknown};
    if (err == RDG_OK)
        parallel_each(l->parallel, verify_some, &all, (unknown + SIGNATURES_A_JOB - 1) / SIGNATURES_A_JOB);
    for (uint32_t i = 0; err == RDG_OK && i < unknown; ++i) {
        if (results[i] == RDG_OK) continue;
        rdg_fail(RDG_E_BAD_SIGNATURE, "its signature does not verify");
        err = name_tx(RDG_E_BAD_SIGNATURE, b->txs[indexes[i]], indexes[i]);
    }
    rdg_free(checks);
    rdg_free(results);
    rdg_free(indexes);
    return err;
}

rdg_err_t obtain_block(rdg_ledger_t *l, rdg_bytes_t proposal, rdg_block_t **out) {
    rdg_header_t header;
    rdg_hash_t hash;
    *out = NULL;
    RDG_TRY(rdg_proposal_header(proposal, &header));
    RDG_TRY(check_header(l, &header));
    RDG_TRY(rdg_header_hash(&header, &hash));
    *out = recent_find(l, &hash, proposal);
    return *out ? RDG_OK : rdg_block_decode(proposal, out);
}

rdg_err_t rdg_ledger_validate(rdg_ledger_t *l, rdg_pool_t *pool, rdg_bytes_t proposal, uint64_t now_ms) {
    rdg_block_t *b = NULL;
    pthread_mutex_lock(&l->write_lock);
    rdg_err_t err = obtain_block(l, proposal, &b);
    /* The least time that the parent allows is always good: once blocks are ahead of every clock (those who made
     * them were set back), nobody could follow them otherwise. */
    if (err == RDG_OK && b->header.time_ms > now_ms + RDG_BLOCK_CLOCK_SKEW_MS &&
        b->header.time_ms > l->view->head.time_ms + 1)
        err = rdg_fail(RDG_E_INVALID,
                       "block %" PRIu64 " is %" PRIu64 " ms ahead of this node's clock: check both clocks",
                       b->header.height, b->header.time_ms - now_ms);
    if (err == RDG_OK) err = check_transactions(l, b);
    if (err == RDG_OK) err = check_signatures(l, b, pool);
    if (err == RDG_OK) recent_add(l, b);
    pthread_mutex_unlock(&l->write_lock);
    rdg_block_unref(b);
    return err;
}

static rdg_err_t in_block(const rdg_tx_location_t *where) {
    return rdg_fail(RDG_E_DUPLICATE, "the transaction is in block %" PRIu64 " already: ask for its receipt",
                    where->height);
}

rdg_err_t rdg_ledger_admit(rdg_ledger_t *l, rdg_pool_t *pool, rdg_tx_t *tx) {
    rdg_tx_location_t where;
    rdg_ledger_head_t head;
    RDG_TRY(rdg_pool_precheck(pool, tx));
    rdg_ledger_head(l, &head);
    rdg_err_t err = rdg_ledger_find_tx(l, &tx->id, &where);
    if (err == RDG_OK) return in_block(&where);
    if (err != RDG_E_NOT_FOUND) return err;
    RDG_TRY(rdg_tx_verify(tx));
    return rdg_ledger_admit_unseen(l, pool, tx, head.height);
}

rdg_err_t rdg_ledger_admit_unseen(rdg_ledger_t *l, rdg_pool_t *pool, rdg_tx_t *tx, uint64_t height) {
    rdg_tx_location_t where;
    rdg_ledger_head_t head;
    RDG_TRY(rdg_pool_add(pool, tx));
    rdg_ledger_head(l, &head);
    if (head.height == height) return RDG_OK;
    rdg_err_t err = rdg_ledger_find_tx(l, &tx->id, &where);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    rdg_pool_committed(pool, &tx->id, 1, 0);
    return err == RDG_OK ? in_block(&where) : err;
}
