#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include <string.h>

#define FLUSH_MS 4
#define FLUSH_BYTES (64u << 10)
#define VERIFY_BATCH 256
#define RESEND_MAX 256
#define RESEND_TICKS 4

/* --- out: one message carries what a few milliseconds brought
 * -------------------------------------------------------- */

static void flush(rdg_node_t *n) {
    n->gossip.flush_armed = false;
    if (n->gossip.out.len > 0) rdg_p2p_broadcast(n->p2p, MSG_TXS, rdg_buf_view(&n->gossip.out));
    rdg_buf_clear(&n->gossip.out);
}

static void on_flush(void *arg) {
    flush(arg);
}

static void spread(rdg_node_t *n, const rdg_tx_t *tx) {
    rdg_buf_u32(&n->gossip.out, (uint32_t)tx->raw.len);
    rdg_buf_append(&n->gossip.out, tx->raw.data, tx->raw.len);
    if (n->gossip.out.len >= FLUSH_BYTES) {
        flush(n);
    } else if (!n->gossip.flush_armed) {
        n->gossip.flush_armed = true;
        rdg_timer_start(n->gossip.flush, FLUSH_MS, 0);
    }
}

/* --- submit
 * ----------------------------------------------------------------------------------------------------------
 */

typedef struct submitted {
    rdg_node_t *n;
    rdg_tx_t *tx;
} submitted_t;

static void on_submitted(void *arg) {
    submitted_t *s = arg;
    if (!s->n->closing) {
        spread(s->n, s->tx);
        driver_try_propose(s->n);
    }
    rdg_tx_unref(s->tx);
    rdg_free(s);
}

static rdg_err_t refuse_known(rdg_node_t *n, const rdg_tx_t *tx) {
    rdg_tx_location_t where;
    rdg_err_t err = rdg_ledger_find_tx(n->ledger, &tx->id, &where);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    if (err != RDG_OK) return err;
    char id[65];
    rdg_hex_encode(tx->id.b, sizeof tx->id.b, id);
    return rdg_fail(RDG_E_DUPLICATE, "transaction 0x%s is already in block %llu: ask for its receipt", id,
                    (unsigned long long)where.height);
}

static rdg_err_t admit(rdg_node_t *n, rdg_tx_t *tx) {
    RDG_TRY(rdg_pool_precheck(n->pool, tx));
    RDG_TRY(refuse_known(n, tx));
    RDG_TRY(rdg_tx_verify(tx));
    return rdg_pool_add(n->pool, tx);
}

rdg_err_t gossip_submit(rdg_node_t *n, rdg_bytes_t wire, rdg_hash_t *id) {
    rdg_tx_t *tx = NULL;
    RDG_TRY(rdg_tx_decode(wire, &tx));
    *id = tx->id;
    rdg_err_t err = admit(n, tx);
    submitted_t *s = err == RDG_OK ? rdg_alloc(sizeof *s) : NULL;
    if (s) {
        *s = (submitted_t){n, rdg_tx_ref(tx)};
        /* It is pooled either way: if the loop is too busy to spread it now, the resend tick does. */
        if (rdg_loop_post(n->loop, on_submitted, s) != RDG_OK) {
            rdg_tx_unref(s->tx);
            rdg_free(s);
        }
    }
    rdg_tx_unref(tx);
    return err;
}

/* --- in
 * ---------------------------------------------------------------------------------------------------------------
 */

typedef struct verify_batch {
    rdg_node_t *n;
    size_t count;
    rdg_tx_t *txs[VERIFY_BATCH];
    rdg_sm2_check_t checks[VERIFY_BATCH];
    rdg_err_t results[VERIFY_BATCH];
} verify_batch_t;

static void on_verify(void *arg) {
    verify_batch_t *b = arg;
    size_t kept = 0;
    for (size_t i = 0; i < b->count; ++i) {
        rdg_tx_location_t where;
        if (rdg_ledger_find_tx(b->n->ledger, &b->txs[i]->id, &where) != RDG_E_NOT_FOUND)
            rdg_tx_unref(b->txs[i]);
        else
            b->txs[kept++] = b->txs[i];
    }
    b->count = kept;
    for (size_t i = 0; i < kept; ++i)
        b->checks[i] =
            (rdg_sm2_check_t){&b->txs[i]->key, rdg_bytes(b->txs[i]->id.b, 32), &b->txs[i]->signature};
    rdg_sm2_verify_batch(b->checks, kept, b->results);
    for (size_t i = 0; i < kept; ++i) {
        if (b->results[i] == RDG_OK)
            (void)rdg_pool_add(b->n->pool, b->txs[i]);
        else
            rdg_metric_add(b->n->m_refused, 1);
        rdg_tx_unref(b->txs[i]);
    }
}

static void verify_next(rdg_node_t *n);

static void on_verified(void *arg) {
    verify_batch_t *b = arg;
    rdg_node_t *n = b->n;
    rdg_free(b);
    n->gossip.verifying = false;
    if (n->closing) return;
    verify_next(n);
    driver_try_propose(n);
}

static void verify_next(rdg_node_t *n) {
    if (n->gossip.verifying || n->gossip.count == 0) return;
    verify_batch_t *b = rdg_alloc(sizeof *b);
    if (!b) return;
    b->n = n, b->count = 0;
    while (b->count < VERIFY_BATCH && n->gossip.count > 0) {
        b->txs[b->count++] = n->gossip.unverified[n->gossip.head];
        n->gossip.head = (n->gossip.head + 1) % RDG_NODE_VERIFY_MAX;
        --n->gossip.count;
    }
    n->gossip.verifying = rdg_loop_work(n->loop, on_verify, on_verified, b) == RDG_OK;
    if (n->gossip.verifying) return;
    for (size_t i = 0; i < b->count; ++i) rdg_tx_unref(b->txs[i]);
    rdg_metric_add(n->m_dropped, b->count);
    rdg_free(b);
}

static void receive_one(rdg_node_t *n, rdg_bytes_t wire) {
    rdg_tx_t *tx = NULL;
    if (rdg_tx_decode(wire, &tx) != RDG_OK) {
        rdg_metric_add(n->m_refused, 1);
        return;
    }
    if (n->gossip.count == RDG_NODE_VERIFY_MAX || rdg_pool_precheck(n->pool, tx) != RDG_OK) {
        if (n->gossip.count == RDG_NODE_VERIFY_MAX) rdg_metric_add(n->m_dropped, 1);
        rdg_tx_unref(tx);
        return;
    }
    n->gossip.unverified[(n->gossip.head + n->gossip.count++) % RDG_NODE_VERIFY_MAX] = tx;
}

void gossip_receive(rdg_node_t *n, rdg_bytes_t bytes) {
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    while (rdg_reader_left(&r) > 0) {
        uint32_t len = rdg_read_u32(&r);
        rdg_bytes_t wire = rdg_read_bytes(&r, len);
        if (!rdg_reader_ok(&r)) break;
        receive_one(n, wire);
    }
    if (!rdg_reader_ok(&r)) rdg_metric_add(n->m_refused, 1);
    verify_next(n);
}

/* A message may have been dropped, or the leader restarted: what stays oldest in the pool is sent again. */
void gossip_tick(rdg_node_t *n) {
    rdg_tx_t *txs[RESEND_MAX];
    size_t count = rdg_pool_take(n->pool, 0, RESEND_MAX, FLUSH_BYTES * 4, UINT64_MAX, txs);
    if (count > 0 && rdg_hash_equal(&txs[0]->id, &n->gossip.oldest))
        ++n->gossip.oldest_ticks;
    else
        n->gossip.oldest_ticks = 0;
    if (count > 0) n->gossip.oldest = txs[0]->id;
    if (n->gossip.oldest_ticks >= RESEND_TICKS) {
        for (size_t i = 0; i < count; ++i) spread(n, txs[i]);
        n->gossip.oldest_ticks = 0;
    }
    for (size_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
}

rdg_err_t gossip_open(rdg_node_t *n) {
    rdg_buf_init(&n->gossip.out, FLUSH_BYTES * 8);
    n->gossip.unverified = rdg_calloc(RDG_NODE_VERIFY_MAX, sizeof *n->gossip.unverified);
    if (!n->gossip.unverified) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the gossip queue");
    return rdg_timer_new(n->loop, on_flush, n, &n->gossip.flush);
}

void gossip_close(rdg_node_t *n) {
    if (n->gossip.flush) rdg_timer_free(n->gossip.flush);
    for (; n->gossip.count > 0; --n->gossip.count) {
        rdg_tx_unref(n->gossip.unverified[n->gossip.head]);
        n->gossip.head = (n->gossip.head + 1) % RDG_NODE_VERIFY_MAX;
    }
    rdg_free(n->gossip.unverified);
    rdg_buf_fini(&n->gossip.out);
}
