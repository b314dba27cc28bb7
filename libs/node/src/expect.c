/* Transactions that one request of JSON-RPC brings are verified together before they are submitted one by one, in
 * their order, each with its own answer. What was found good is remembered by the digest of its whole wire form,
 * signature and key included, until it is submitted or others have taken its place; nobody relies on it being
 * there. */
#include "internal.h"
#include "ridge/base/alloc.h"
#include <string.h>

typedef struct batch {
    size_t count;
    rdg_tx_t *txs[RDG_RPC_CALLS_MAX];
    rdg_sm2_check_t checks[RDG_RPC_CALLS_MAX];
    rdg_err_t results[RDG_RPC_CALLS_MAX];
} batch_t;

static void remember(expected_t *e, const rdg_tx_t *tx) {
    rdg_hash_t digest;
    rdg_sm3(tx->raw.data, tx->raw.len, &digest);
    pthread_mutex_lock(&e->lock);
    e->good[e->next++ % NODE_EXPECTED_MAX] = digest;
    pthread_mutex_unlock(&e->lock);
}

bool expect_take(expected_t *e, const rdg_tx_t *tx) {
    static const rdg_hash_t none;
    rdg_hash_t digest;
    bool found = false;
    rdg_sm3(tx->raw.data, tx->raw.len, &digest);
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < NODE_EXPECTED_MAX && !found; ++i) {
        if (!rdg_hash_equal(&e->good[i], &digest)) continue;
        e->good[i] = none;
        found = true;
    }
    pthread_mutex_unlock(&e->lock);
    return found;
}

/* Those alone that submitting would verify: what the pool or the ledger refuses, or has no room for, costs no signature
 * here either. */
static void gather(rdg_node_t *n, rdg_bytes_t wire, batch_t *b) {
    rdg_tx_location_t where;
    rdg_tx_t *tx = NULL;
    if (backlog_is_full(n, b->count) || rdg_tx_decode(wire, &tx) != RDG_OK) return;
    if (rdg_pool_precheck(n->pool, tx) != RDG_OK ||
        rdg_ledger_find_tx(n->ledger, &tx->id, &where) != RDG_E_NOT_FOUND) {
        rdg_tx_unref(tx);
        return;
    }
    b->txs[b->count] = tx;
    b->checks[b->count++] =
        (rdg_sm2_check_t){&tx->key, rdg_bytes(tx->id.b, sizeof tx->id.b), &tx->signature, false};
}

void expect_transactions(rdg_node_t *n, const rdg_bytes_t *wires, size_t count) {
    batch_t *b = rdg_alloc(sizeof *b);
    if (!b) return;
    b->count = 0;
    for (size_t i = 0; i < count && b->count < RDG_RPC_CALLS_MAX; ++i) gather(n, wires[i], b);
    if (b->count > 1) {
        rdg_sm2_verify_batch(b->checks, b->count, b->results);
        rdg_metric_add(n->m_batched, b->count);
    }
    for (size_t i = 0; i < b->count; ++i) {
        if (b->count > 1 && b->results[i] == RDG_OK) remember(&n->expected, b->txs[i]);
        rdg_tx_unref(b->txs[i]);
    }
    rdg_free(b);
}

void expect_open(expected_t *e) {
    pthread_mutex_init(&e->lock, NULL);
}

void expect_close(expected_t *e) {
    pthread_mutex_destroy(&e->lock);
}
