#include <inttypes.h>
#include "ledger_internal.h"
#include "ridge/base/alloc.h"

/* RLP headers of the lists and of each transaction, and the block header. */
enum { PROPOSAL_OVERHEAD = 512, TX_OVERHEAD = 4 };

/* What was committed while it was on its way into the pool must not come again. */
static size_t drop_committed(rdg_ledger_t *l, rdg_pool_t *pool, rdg_tx_t **txs, size_t count,
                             rdg_err_t *err) {
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
        rdg_tx_location_t where;
        rdg_err_t found = *err == RDG_OK
                              ? find_tx(l->kv, l->view->snap, l->view->head.height, &txs[i]->id, &where)
                              : RDG_OK;
        if (found == RDG_E_NOT_FOUND) {
            txs[kept++] = txs[i];
        } else {
            if (found == RDG_OK && *err == RDG_OK) rdg_pool_committed(pool, &txs[i]->id, 1, 0);
            rdg_tx_unref(txs[i]);
        }
        if (found != RDG_OK && found != RDG_E_NOT_FOUND) *err = found;
    }
    return kept;
}

static rdg_err_t build(rdg_ledger_t *l, rdg_header_t *h, rdg_tx_t **txs, rdg_buf_t *out) {
    rdg_block_t *b = NULL;
    size_t start = out->len;
    RDG_TRY(rdg_block_tx_root(txs, h->tx_count, &h->tx_root));
    RDG_TRY(rdg_proposal_encode(h, txs, out));
    RDG_TRY(block_build(h, txs, rdg_bytes(out->data + start, out->len - start), &b));
    recent_add(l, b);
    rdg_block_unref(b);
    return RDG_OK;
}

static rdg_err_t propose(rdg_ledger_t *l, rdg_pool_t *pool, rdg_header_t *h, bool allow_empty, rdg_tx_t **txs,
                         rdg_buf_t *out) {
    size_t max = (size_t)l->view->rules->g.params.block_tx_max;
    size_t bytes = RDG_BLOCK_BYTES_MAX - PROPOSAL_OVERHEAD - max * TX_OVERHEAD;
    rdg_err_t err = RDG_OK;
    size_t count = rdg_pool_take(pool, h->height, max, bytes, h->gas_limit, txs);
    count = drop_committed(l, pool, txs, count, &err);
    h->tx_count = (uint32_t)count;
    if (err == RDG_OK && count == 0 && !allow_empty)
        err = rdg_fail(RDG_E_NOT_FOUND, "no transaction waits for a block");
    if (err == RDG_OK) err = build(l, h, txs, out);
    for (size_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
    return err;
}

rdg_err_t rdg_ledger_propose(rdg_ledger_t *l, rdg_pool_t *pool, uint32_t proposer, uint64_t now_ms,
                             bool allow_empty, rdg_buf_t *out) {
    rdg_tx_t **txs = rdg_calloc(RDG_BLOCK_TXS_MAX, sizeof(rdg_tx_t *));
    if (!txs) return RDG_E_NO_MEMORY;
    pthread_mutex_lock(&l->write_lock);
    const rdg_ledger_head_t *head = &l->view->head;
    const governance_t *g = &l->view->rules->g;
    rdg_header_t h = {.chain_id = l->genesis.validators.chain_id,
                      .epoch = governance_epoch(g, head->height + 1)->validators.epoch,
                      .height = head->height + 1,
                      .time_ms = now_ms > head->time_ms ? now_ms : head->time_ms + 1,
                      .parent = head->hash,
                      .proposer = proposer,
                      .gas_limit = g->params.block_gas_limit};
    rdg_err_t err = propose(l, pool, &h, allow_empty, txs, out);
    pthread_mutex_unlock(&l->write_lock);
    rdg_free(txs);
    return err;
}
