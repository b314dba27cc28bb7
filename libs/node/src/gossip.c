#include "internal.h"
#include "ridge/base/alloc.h"
#include <string.h>

/* Each flush costs every peer a message, a wake-up and a job of the verifier, for which fewer than eight signatures are as
 * dear as eight: who has company waits for more of it, up to a fifth of a block's time, and a lone one hardly. */
#define FLUSH_LIGHT_MS 2
#define FLUSH_PART 5
#define FLUSH_MIN_MS 4
#define FLUSH_MAX_MS 40
#define FLUSH_BYTES (64u << 10)
#define FRESH_BYTES_MAX (512u << 10)
#define TXS_BYTES_MAX (1u << 20) /* of one message */
#define VERIFY_BATCH 256
#define DECODE_BATCH 64
#define RESEND_FIRST 256
#define RESEND_MAX 2048
#define RESEND_BYTES (256u << 10) /* of the first */
#define RESEND_TICKS 4
#define PEER_QUEUE_MAX                                                                                       \
    (2u << 20) /* more than that waits for a slow peer: what it says of blocks goes first */

/* --- out: one message carries what a few milliseconds brought
 * -------------------------------------------------------- */

static void flush(rdg_node_t *n) {
    n->gossip.flush_armed = false;
    for (size_t i = 0; n->gossip.out.len > 0 && i < RDG_P2P_PEERS_MAX; ++i) {
        if (!rdg_p2p_connected(n->p2p, i)) continue;
        if (rdg_p2p_queued(n->p2p, i) > PEER_QUEUE_MAX)
            rdg_metric_add(n->m_dropped, 1);
        else
            (void)rdg_p2p_send(n->p2p, i, MSG_TXS, rdg_buf_view(&n->gossip.out));
    }
    rdg_buf_clear(&n->gossip.out);
}

static void on_flush(void *arg) {
    flush(arg);
}

/* All of it or nothing: half an entry would spoil the whole message. */
static void put_tx(rdg_buf_t *out, const rdg_tx_t *tx) {
    if (rdg_buf_reserve(out, 4 + tx->raw.len) != RDG_OK) return;
    rdg_buf_u32(out, (uint32_t)tx->raw.len);
    rdg_buf_append(out, tx->raw.data, tx->raw.len);
}

static uint64_t flush_after(rdg_node_t *n) {
    uint64_t part = n->params.block_interval_ms / FLUSH_PART;
    if (proposing_is_light(n)) return FLUSH_LIGHT_MS;
    return part < FLUSH_MIN_MS ? FLUSH_MIN_MS : part > FLUSH_MAX_MS ? FLUSH_MAX_MS : part;
}

static void spread(rdg_node_t *n) {
    if (n->gossip.out.len >= FLUSH_BYTES) {
        flush(n);
    } else if (!n->gossip.flush_armed) {
        n->gossip.flush_armed = true;
        rdg_timer_start(n->gossip.flush, flush_after(n), 0);
    }
}

/* --- submit
 * ----------------------------------------------------------------------------------------------------------
 */

static void on_fresh(void *arg) {
    rdg_node_t *n = arg;
    pthread_mutex_lock(&n->gossip.lock);
    rdg_buf_append(&n->gossip.out, n->gossip.fresh.data, n->gossip.fresh.len);
    rdg_buf_clear(&n->gossip.fresh);
    pthread_mutex_unlock(&n->gossip.lock);
    spread(n);
    driver_try_propose(n);
}

/* It is in the pool already: what the loop is too busy to take now, the resend tick spreads. */
static void hand_to_loop(rdg_node_t *n, const rdg_tx_t *tx) {
    pthread_mutex_lock(&n->gossip.lock);
    bool first = n->gossip.fresh.len == 0;
    put_tx(&n->gossip.fresh, tx);
    if (first && rdg_loop_post(n->loop, on_fresh, n) != RDG_OK) rdg_buf_clear(&n->gossip.fresh);
    pthread_mutex_unlock(&n->gossip.lock);
}

static rdg_err_t refuse_halted(rdg_node_t *n) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&n->lock);
    if (n->seen.halted)
        err = rdg_fail(RDG_E_UNAVAILABLE,
                       "this node is halted and takes no transactions (%.300s): mend that and restart it, or "
                       "send to another node of the chain",
                       n->seen.halted_why);
    pthread_mutex_unlock(&n->lock);
    return err;
}

rdg_err_t gossip_submit_tx(rdg_node_t *n, const expected_tx_t *e, rdg_hash_t *id) {
    rdg_tx_t *tx = e->tx;
    RDG_TRY(refuse_halted(n));
    *id = tx->id;
    /* What was verified with others of its request has its place: refusing it now would waste that. */
    rdg_err_t err =
        e->verified ? rdg_ledger_admit_unseen(n->ledger, n->pool, tx, e->unseen_at) : backlog_refuse(n, tx);
    if (err == RDG_OK && !e->verified) err = rdg_ledger_admit(n->ledger, n->pool, tx);
    if (err == RDG_OK) {
        hand_to_loop(n, tx);
        rdg_node_rpc_pending(n->rpc, &tx->id);
    }
    return err;
}

rdg_err_t gossip_submit(rdg_node_t *n, rdg_bytes_t wire, rdg_hash_t *id) {
    rdg_tx_t *tx = NULL;
    RDG_TRY(refuse_halted(n));
    RDG_TRY(rdg_tx_decode(wire, &tx));
    rdg_err_t err = gossip_submit_tx(n, &(expected_tx_t){.tx = tx}, id);
    rdg_tx_unref(tx);
    return err;
}

/* --- in
 * ---------------------------------------------------------------------------------------------------------------
 */

typedef struct verify_batch {
    rdg_node_t *n;
    size_t count, admitted_count;
    rdg_hash_t admitted[VERIFY_BATCH];
    rdg_tx_t *txs[VERIFY_BATCH];
    rdg_sm2_check_t checks[VERIFY_BATCH];
    rdg_err_t results[VERIFY_BATCH];
} verify_batch_t;

static void on_verify(void *arg) {
    verify_batch_t *b = arg;
    rdg_ledger_head_t head;
    size_t kept = 0;
    rdg_ledger_head(b->n->ledger, &head);
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
            (rdg_sm2_check_t){&b->txs[i]->key, rdg_bytes(b->txs[i]->id.b, 32), &b->txs[i]->signature, false};
    rdg_sm2_verify_batch(b->checks, kept, b->results);
    if (kept > 1) rdg_metric_add(b->n->m_batched, kept);
    for (size_t i = 0; i < kept; ++i) {
        if (b->results[i] != RDG_OK)
            rdg_metric_add(b->n->m_refused, 1);
        else if (rdg_ledger_admit_unseen(b->n->ledger, b->n->pool, b->txs[i], head.height) == RDG_OK)
            b->admitted[b->admitted_count++] = b->txs[i]->id;
        rdg_tx_unref(b->txs[i]);
    }
}

static void verify_next(rdg_node_t *n);

static void on_verified(void *arg) {
    verify_batch_t *b = arg;
    rdg_node_t *n = b->n;
    for (size_t i = 0; i < b->admitted_count && !n->closing; ++i)
        rdg_node_rpc_pending(n->rpc, &b->admitted[i]);
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
    b->n = n, b->count = b->admitted_count = 0;
    while (b->count < VERIFY_BATCH && n->gossip.count > 0) {
        rdg_tx_t *tx = n->gossip.unverified[n->gossip.head];
        b->txs[b->count++] = tx;
        n->gossip.bytes -= tx->raw.len;
        n->gossip.head = (n->gossip.head + 1) % RDG_NODE_VERIFY_MAX;
        --n->gossip.count;
    }
    atomic_store(&n->backlog.unverified, n->gossip.count);
    n->gossip.verifying = rdg_loop_work(n->loop, on_verify, on_verified, b) == RDG_OK;
    if (n->gossip.verifying) return;
    for (size_t i = 0; i < b->count; ++i) rdg_tx_unref(b->txs[i]);
    rdg_metric_add(n->m_dropped, b->count);
    rdg_free(b);
}

static bool is_full(const gossip_t *g, size_t bytes) {
    return g->count == RDG_NODE_VERIFY_MAX || g->bytes + bytes > RDG_NODE_VERIFY_BYTES;
}

static void receive_one(rdg_node_t *n, rdg_tx_t *tx) {
    rdg_err_t err = is_full(&n->gossip, tx->raw.len) ? RDG_E_FULL : rdg_pool_precheck(n->pool, tx);
    if (err != RDG_OK) {
        if (err == RDG_E_FULL) rdg_metric_add(n->m_dropped, 1);
        rdg_tx_unref(tx);
        return;
    }
    n->gossip.bytes += tx->raw.len;
    n->gossip.unverified[(n->gossip.head + n->gossip.count++) % RDG_NODE_VERIFY_MAX] = tx;
}

/* The next ones of a message; false: it goes wrong among them. */
static bool receive_some(rdg_node_t *n, rdg_reader_t *r) {
    rdg_bytes_t wires[DECODE_BATCH];
    rdg_tx_t *txs[DECODE_BATCH];
    size_t count = 0;
    while (count < DECODE_BATCH && rdg_reader_left(r) > 0) {
        uint32_t len = rdg_read_u32(r);
        wires[count] = rdg_read_bytes(r, len);
        if (!rdg_reader_ok(r)) break;
        ++count;
    }
    bool good = true;
    rdg_txs_decode(wires, count, txs);
    for (size_t i = 0; i < count; ++i) {
        good = good && txs[i];
        if (good)
            receive_one(n, txs[i]);
        else
            rdg_tx_unref(txs[i]);
    }
    return good && rdg_reader_ok(r);
}

/* An honest peer sends what it has decoded itself and in messages of a bounded size: whatever else comes would
 * only keep the loop busy, so the rest of such a message is not looked at. */
void gossip_receive(rdg_node_t *n, rdg_bytes_t bytes) {
    rdg_reader_t r;
    bool good = bytes.len <= TXS_BYTES_MAX;
    rdg_reader_init(&r, bytes);
    while (good && rdg_reader_left(&r) > 0) good = receive_some(n, &r);
    if (!good) rdg_metric_add(n->m_refused, 1);
    atomic_store(&n->backlog.unverified, n->gossip.count);
    verify_next(n);
}

static void resend(rdg_node_t *n) {
    gossip_t *g = &n->gossip;
    rdg_tx_t *txs[RESEND_MAX];
    size_t most = g->resend * (RESEND_BYTES / RESEND_FIRST);
    size_t count = rdg_pool_take(n->pool, 0, g->resend, most, UINT64_MAX, txs);
    if (count > 0) g->resent = txs[count - 1]->id;
    for (size_t i = 0; i < count; ++i) {
        put_tx(&g->out, txs[i]);
        if (g->out.len >= FLUSH_BYTES) flush(n);
        rdg_tx_unref(txs[i]);
    }
    flush(n);
}

/* A message may have been dropped, or the leader restarted: what stays oldest in the pool is sent again. When all that was
 * sent so is gone from here, there is more of the kind behind it: twice as much then, and sooner. */
static void resend_stuck(rdg_node_t *n) {
    gossip_t *g = &n->gossip;
    rdg_tx_t *oldest = NULL, *last = g->resend > 0 ? rdg_pool_find(n->pool, &g->resent) : NULL;
    bool helped = g->resend > 0 && !last;
    rdg_tx_unref(last);
    if (rdg_pool_take(n->pool, 0, 1, SIZE_MAX, UINT64_MAX, &oldest) == 0) {
        g->resend = 0;
        return;
    }
    g->oldest_ticks = rdg_hash_equal(&oldest->id, &g->oldest) ? g->oldest_ticks + 1 : 0;
    g->oldest = oldest->id;
    rdg_tx_unref(oldest);
    if (g->oldest_ticks < (helped ? 1 : RESEND_TICKS)) return;
    g->resend = !helped ? RESEND_FIRST : g->resend < RESEND_MAX ? 2 * g->resend : RESEND_MAX;
    g->oldest_ticks = 0;
    resend(n);
}

void gossip_tick(rdg_node_t *n) {
    resend_stuck(n);
    verify_next(n);
}

void gossip_link_up(rdg_node_t *n, size_t peer) {
    rdg_tx_t *txs[RESEND_FIRST];
    rdg_buf_t out;
    rdg_buf_init(&out, TXS_BYTES_MAX);
    size_t count = rdg_pool_take(n->pool, 0, RESEND_FIRST, RESEND_BYTES, UINT64_MAX, txs);
    for (size_t i = 0; i < count; ++i) {
        put_tx(&out, txs[i]);
        rdg_tx_unref(txs[i]);
    }
    if (out.len > 0) (void)rdg_p2p_send(n->p2p, peer, MSG_TXS, rdg_buf_view(&out));
    rdg_buf_fini(&out);
}

rdg_err_t gossip_open(rdg_node_t *n) {
    rdg_buf_init(&n->gossip.out, TXS_BYTES_MAX);
    rdg_buf_init(&n->gossip.fresh, FRESH_BYTES_MAX);
    pthread_mutex_init(&n->gossip.lock, NULL);
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
    rdg_buf_fini(&n->gossip.fresh);
    pthread_mutex_destroy(&n->gossip.lock);
}
