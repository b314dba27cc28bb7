/* When a block is built: at once under light load, in batches under a heavy one, empty when somebody waits for it. */
#include "internal.h"
#include "ridge/base/log.h"

#define WORK_LOOK 8
#define LOAD_SPAN_MS 1000
#define LIGHT_LOAD 64 /* transactions a second that blocks of their own do not harm */
#define LIGHT_PART 10 /* the interval is that much shorter then */

void proposing_count(rdg_node_t *n, size_t txs) {
    uint64_t now = rdg_loop_now_ms(n->loop);
    if (now - n->proposing.load_ms >= LOAD_SPAN_MS) {
        bool recent = now - n->proposing.load_ms < 2 * LOAD_SPAN_MS;
        n->proposing.load_before = recent ? n->proposing.load : 0;
        n->proposing.load = 0;
        n->proposing.load_ms = now;
    }
    n->proposing.load += (uint32_t)txs;
}

/* A lone transaction need not wait for company that does not come; many share a block's cost. */
static uint64_t interval(const rdg_node_t *n) {
    uint64_t full = n->params.block_interval_ms;
    uint32_t load =
        n->proposing.load > n->proposing.load_before ? n->proposing.load : n->proposing.load_before;
    return load <= LIGHT_LOAD ? (full + LIGHT_PART - 1) / LIGHT_PART : full;
}

/* The first block shows that the chain lives; a change that is decided takes effect some blocks on. */
static bool wants_empty(const rdg_node_t *n) {
    return n->proposing.height == 1 || n->epoch.last_height > 0;
}

/* When a wanted proposal may be built: at once for the first block and for a full pool, else some time after the
 * last one; without transactions only if empty blocks are wanted. */
static bool may_build(rdg_node_t *n, uint64_t *wait_ms) {
    uint64_t now = rdg_loop_now_ms(n->loop), since = now - n->proposing.last_ms, due;
    size_t pooled = rdg_pool_count(n->pool);
    *wait_ms = 0;
    if (n->proposing.height == 1 || pooled >= n->params.block_tx_max) return true;
    if (pooled > 0)
        due = interval(n);
    else if (wants_empty(n))
        due = n->params.block_interval_ms < 100 ? n->params.block_interval_ms : 100;
    else if (n->params.empty_block_ms > 0)
        due = n->params.empty_block_ms;
    else
        return false;
    if (since >= due) return true;
    *wait_ms = due - since;
    return false;
}

void driver_try_propose(rdg_node_t *n) {
    if (!n->proposing.wanted || n->proposing.building || n->seen.halted || n->closing) return;
    if (!raft_may_build(n)) return;
    uint64_t wait_ms;
    if (!may_build(n, &wait_ms)) {
        if (wait_ms > 0) rdg_timer_start(n->proposing.timer, wait_ms, 0);
        return;
    }
    job_t *job = lane_job(n, JOB_PROPOSE, rdg_bytes(NULL, 0), rdg_bytes(NULL, 0));
    if (!job) return;
    job->height = n->proposing.height, job->view = n->proposing.view;
    job->proposer = n->self;
    job->allow_empty = wants_empty(n) || n->params.empty_block_ms > 0;
    n->proposing.building = true;
    if (lane_push(n, job) != RDG_OK) n->proposing.building = false;
}

/* What was committed while it was on its way into the pool would be asked of the leader for ever. */
static bool has_transactions(rdg_node_t *n) {
    rdg_tx_t *txs[WORK_LOOK];
    size_t waiting = 0, count = rdg_pool_take(n->pool, 0, WORK_LOOK, SIZE_MAX, UINT64_MAX, txs);
    for (size_t i = 0; i < count; ++i) {
        rdg_tx_location_t where;
        if (rdg_ledger_find_tx(n->ledger, &txs[i]->id, &where) == RDG_OK)
            rdg_pool_committed(n->pool, &txs[i]->id, 1, 0);
        else
            ++waiting;
        rdg_tx_unref(txs[i]);
    }
    return waiting > 0;
}

/* Also a first block and the blocks up to a new epoch are awaited: their leader is replaced when it is away. */
static bool has_work(rdg_node_t *n) {
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    return head.height == 0 || n->epoch.last_height > 0 || has_transactions(n);
}

void driver_tick(rdg_node_t *n) {
    if (!n->seen.halted && has_work(n))
        (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_WORK});
    driver_try_propose(n);
}
