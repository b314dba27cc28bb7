/* How much may wait before a node takes no more. What comes faster than the chain executes only makes all of it wait
 * longer: verifying and spreading it takes the processor from executing what waits already, and once pools are full each
 * node has other transactions than its leader. So a node refuses what users send, before it verifies a signature, as soon
 * as more waits than the chain executes in BACKLOG_MS; the pool's own limits stay for what peers bring, who have
 * answered for it already.
 *
 * The rate is the highest of the last seconds, forgotten by an eighth a second: while there is little to do it says
 * nothing of what the chain could do. Two full blocks may always wait. */
#include "internal.h"

#define BACKLOG_MS 2000
#define WINDOW_MS 1000
#define BLOCKS_LEAST 2
#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 5000

static size_t max_of(size_t a, size_t b) {
    return a > b ? a : b;
}

static void set_limit(rdg_node_t *n) {
    backlog_t *b = &n->backlog;
    size_t executed = (size_t)(b->rate * BACKLOG_MS / 1000);
    atomic_store(&b->per_second, b->rate);
    atomic_store(&b->limit, max_of(executed, BLOCKS_LEAST * (size_t)n->params.block_tx_max));
}

void backlog_open(rdg_node_t *n) {
    n->backlog.since_ms = rdg_loop_now_ms(n->loop);
    set_limit(n);
}

void backlog_count(rdg_node_t *n, size_t txs) {
    backlog_t *b = &n->backlog;
    uint64_t now = rdg_loop_now_ms(n->loop), span = now - b->since_ms;
    b->txs += txs;
    if (span < WINDOW_MS) return;
    uint64_t rate = b->txs * 1000 / span, kept = b->rate;
    for (uint64_t s = 0; s < span / WINDOW_MS && kept > 0; ++s) kept = kept * 7 / 8;
    b->rate = max_of(rate, kept);
    b->txs = 0;
    b->since_ms = now;
    set_limit(n);
}

bool backlog_is_full(rdg_node_t *n, size_t more) {
    size_t waiting = rdg_pool_count(n->pool) + atomic_load(&n->backlog.unverified);
    return waiting + more >= atomic_load(&n->backlog.limit);
}

uint64_t backlog_retry_ms(void *node) {
    rdg_node_t *n = node;
    size_t waiting = rdg_pool_count(n->pool), half = atomic_load(&n->backlog.limit) / 2;
    uint64_t rate = max_of(atomic_load(&n->backlog.per_second), 100);
    uint64_t ms = waiting > half ? (waiting - half) * 1000 / rate : 0;
    return ms < RETRY_MIN_MS ? RETRY_MIN_MS : ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
}

rdg_err_t backlog_refuse(rdg_node_t *n, const rdg_tx_t *tx) {
    if (!backlog_is_full(n, 0)) return RDG_OK;
    RDG_TRY(rdg_pool_precheck(n->pool, tx)); /* who only asks again learns that it is here */
    rdg_metric_add(n->m_overload, 1);
    return rdg_fail(
        RDG_E_FULL,
        "%zu transactions wait already, as many as this chain executes in some %d s: send it again in "
        "%llu ms, and less at once",
        rdg_pool_count(n->pool), BACKLOG_MS / 1000, (unsigned long long)backlog_retry_ms(n));
}
