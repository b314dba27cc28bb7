/* Transactions that one request of JSON-RPC brings are decoded and verified together before they are submitted one by
 * one, in their order, each with its own answer. */
#include "internal.h"
#include "ridge/base/alloc.h"

struct rdg_node_rpc_expected {
    size_t count;
    uint64_t height;                  /* of the ledger before it was asked for them */
    rdg_tx_t *txs[RDG_RPC_CALLS_MAX]; /* NULL: it cannot be decoded */
    bool good[RDG_RPC_CALLS_MAX];     /* its signature verifies */
};

typedef struct checks {
    size_t count, of[RDG_RPC_CALLS_MAX];
    rdg_sm2_check_t checks[RDG_RPC_CALLS_MAX];
    rdg_err_t results[RDG_RPC_CALLS_MAX];
} checks_t;

/* Those alone that submitting would verify: what the pool or the ledger refuses, or has no room for, costs no signature
 * here either. */
static void gather(rdg_node_t *n, const rdg_node_rpc_expected_t *e, checks_t *c) {
    rdg_tx_location_t where;
    for (size_t i = 0; i < e->count; ++i) {
        const rdg_tx_t *tx = e->txs[i];
        if (!tx || backlog_is_full(n, c->count) || rdg_pool_precheck(n->pool, tx) != RDG_OK ||
            rdg_ledger_find_tx(n->ledger, &tx->id, &where) != RDG_E_NOT_FOUND)
            continue;
        c->of[c->count] = i;
        c->checks[c->count++] =
            (rdg_sm2_check_t){&tx->key, rdg_bytes(tx->id.b, sizeof tx->id.b), &tx->signature, false};
    }
}

rdg_node_rpc_expected_t *expect_transactions(rdg_node_t *n, const rdg_bytes_t *wires, size_t count) {
    checks_t c;
    rdg_ledger_head_t head;
    c.count = 0;
    rdg_node_rpc_expected_t *e = rdg_calloc(1, sizeof *e);
    if (!e) return NULL;
    e->count = count < RDG_RPC_CALLS_MAX ? count : RDG_RPC_CALLS_MAX;
    rdg_txs_decode(wires, e->count, e->txs);
    rdg_ledger_head(n->ledger, &head);
    e->height = head.height;
    gather(n, e, &c);
    rdg_sm2_verify_batch(c.checks, c.count, c.results);
    if (c.count > 1) rdg_metric_add(n->m_batched, c.count);
    for (size_t i = 0; i < c.count; ++i) e->good[c.of[i]] = c.results[i] == RDG_OK;
    return e;
}

expected_tx_t expect_at(const rdg_node_rpc_expected_t *e, size_t at) {
    return at < e->count ? (expected_tx_t){e->txs[at], e->good[at], e->height} : (expected_tx_t){.tx = NULL};
}

void expect_end(rdg_node_rpc_expected_t *e) {
    for (size_t i = 0; e && i < e->count; ++i) rdg_tx_unref(e->txs[i]);
    rdg_free(e);
}
