/* Building the block that follows the head, or a block that waits for its execution. */
#include <string.h>
#include "ledger_internal.h"
#include "ridge/base/alloc.h"
#include "table.h"

/* RLP headers of the lists and of each transaction, and the block header. */
enum { PROPOSAL_OVERHEAD = 512, TX_OVERHEAD = 4 };

/* What a proposal stands on. */
typedef struct base {
    view_t *view;                             /* of the head */
    rdg_block_t *chain[RDG_CONSENSUS_WINDOW]; /* unexecuted, upwards */
    size_t count;
    rdg_header_t parent;
    rdg_hash_t parent_hash;
    table_t ids; /* of the chain's transactions */
} base_t;

static void base_close(base_t *b) {
    for (size_t i = 0; i < b->count; ++i) rdg_block_unref(b->chain[i]);
    view_put(b->view);
    table_fini(&b->ids);
}

/* A chain whose parameters have changed goes on when the change can be seen: all that was proposed before is executed. */
static bool base_open(rdg_ledger_t *l, const rdg_hash_t *parent, base_t *b) {
    memset(b, 0, sizeof *b);
    if (!(b->view = pending_chain(l, parent, b->chain, &b->count))) return false;
    b->parent = b->count > 0 ? b->chain[b->count - 1]->header : b->view->header;
    b->parent_hash = *parent;
    if (b->count == 0) return true;
    if (rdg_genesis_is_raft(&l->genesis) && b->parent.gas_limit == b->view->rules->g.params.block_gas_limit)
        return true;
    base_close(b);
    return false;
}

bool rdg_ledger_may_follow(rdg_ledger_t *l, const rdg_hash_t *parent, size_t *waiting) {
    base_t b;
    if (!base_open(l, parent, &b)) return false;
    if (waiting) *waiting = 0;
    for (size_t i = 0; i < b.count && waiting; ++i) *waiting += b.chain[i]->header.tx_count;
    base_close(&b);
    return true;
}

static bool note_ids(base_t *b) {
    for (size_t i = 0; i < b->count; ++i)
        for (uint32_t k = 0; k < b->chain[i]->header.tx_count; ++k) {
            rdg_tx_t *tx = b->chain[i]->txs[k];
            if (!table_reserve(&b->ids)) return false;
            table_insert(&b->ids, table_hash(tx->id.b, sizeof tx->id.b), tx);
        }
    return true;
}

static bool is_proposed(void *ctx, const rdg_tx_t *tx) {
    const base_t *b = ctx;
    uint64_t hash = table_hash(tx->id.b, sizeof tx->id.b);
    size_t pos = hash;
    if (b->count == 0) return false;
    for (const rdg_tx_t *other; (other = table_probe(&b->ids, hash, &pos));)
        if (rdg_hash_equal(&other->id, &tx->id)) return true;
    return false;
}

/* What was committed while it was on its way into the pool must not come again. */
static size_t drop_committed(rdg_ledger_t *l, const base_t *b, rdg_pool_t *pool, rdg_tx_t **txs, size_t count,
                             rdg_err_t *err) {
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
        rdg_tx_location_t where;
        rdg_err_t found = *err == RDG_OK
                              ? find_tx(l->kv, b->view->snap, b->view->head.height, &txs[i]->id, &where)
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
    pending_add(l, b);
    rdg_block_unref(b);
    return RDG_OK;
}

static rdg_err_t propose(rdg_ledger_t *l, base_t *b, rdg_pool_t *pool, rdg_header_t *h, bool allow_empty,
                         rdg_tx_t **txs, rdg_buf_t *out) {
    size_t max = (size_t)b->view->rules->g.params.block_tx_max;
    size_t bytes = RDG_BLOCK_BYTES_MAX - PROPOSAL_OVERHEAD - max * TX_OVERHEAD;
    if (!note_ids(b)) return RDG_E_NO_MEMORY;
    rdg_err_t err = RDG_OK;
    size_t count = rdg_pool_take_without(pool, h->height, max, bytes, h->gas_limit, is_proposed, b, txs);
    count = drop_committed(l, b, pool, txs, count, &err);
    h->tx_count = (uint32_t)count;
    if (err == RDG_OK && count == 0 && !allow_empty)
        err = rdg_fail(RDG_E_NOT_FOUND, "no transaction waits for a block");
    if (err == RDG_OK) err = build(l, h, txs, out);
    for (size_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
    return err;
}

rdg_err_t rdg_ledger_propose_after(rdg_ledger_t *l, rdg_pool_t *pool, const rdg_hash_t *parent,
                                   uint32_t proposer, uint64_t now_ms, bool allow_empty, rdg_buf_t *out) {
    base_t b;
    if (!base_open(l, parent, &b))
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "the block to follow is not the head, and may not be followed yet");
    rdg_tx_t **txs = rdg_calloc(RDG_BLOCK_TXS_MAX, sizeof(rdg_tx_t *));
    const governance_t *g = &b.view->rules->g;
    uint64_t height = b.parent.height + 1;
    rdg_header_t h = {.chain_id = l->genesis.validators.chain_id,
                      .epoch = governance_epoch(g, height)->validators.epoch,
                      .height = height,
                      .time_ms = now_ms > b.parent.time_ms ? now_ms : b.parent.time_ms + 1,
                      .parent = b.parent_hash,
                      .proposer = proposer,
                      .gas_limit = g->params.block_gas_limit};
    rdg_err_t err = txs ? propose(l, &b, pool, &h, allow_empty, txs, out) : RDG_E_NO_MEMORY;
    base_close(&b);
    rdg_free(txs);
    return err;
}

rdg_err_t rdg_ledger_propose(rdg_ledger_t *l, rdg_pool_t *pool, uint32_t proposer, uint64_t now_ms,
                             bool allow_empty, rdg_buf_t *out) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    return rdg_ledger_propose_after(l, pool, &head.hash, proposer, now_ms, allow_empty, out);
}
