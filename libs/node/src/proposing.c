/* When a block is built, and building it: at once under light load, in batches under a heavy one, empty when somebody waits
 * for it. */
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include <stdio.h>

#define WORK_LOOK 8
#define LOAD_SPAN_MS 1000
#define LIGHT_LOAD 64 /* transactions a second that blocks of their own do not harm */
#define LIGHT_PART 10 /* the interval is that much shorter then, at the least */
#define COST_TIMES 2  /* a block is due that many times after the last as that took to be durable */

static void count_load(proposing_t *p, uint64_t now, size_t txs) {
    if (now - p->load_ms >= LOAD_SPAN_MS) {
        bool recent = now - p->load_ms < 2 * LOAD_SPAN_MS;
        p->load_before = recent ? p->load : 0;
        p->load = 0;
        p->load_ms = now;
    }
    p->load += (uint32_t)txs;
}

/* What a block costs all of them, agreement and execution: up at once, down in steps of an eighth. */
static void count_cost(proposing_t *p, uint64_t now, uint64_t height) {
    size_t at = height % RDG_CONSENSUS_WINDOW;
    if (p->sent[at].height != height) return;
    uint64_t us = (now - p->sent[at].at_ms) * 1000;
    p->cost_us = us > p->cost_us ? us : (7 * p->cost_us + us) / 8;
}

void proposing_count(rdg_node_t *n, uint64_t height, size_t txs) {
    uint64_t now = rdg_loop_now_ms(n->loop);
    count_load(&n->proposing, now, txs);
    count_cost(&n->proposing, now, height);
}

static bool is_light(const proposing_t *p) {
    return (p->load > p->load_before ? p->load : p->load_before) <= LIGHT_LOAD;
}

bool proposing_is_light(const rdg_node_t *n) {
    const proposing_t *p = &n->proposing;
    return is_light(p) || rdg_loop_now_ms(n->loop) - p->load_ms >= 2 * LOAD_SPAN_MS;
}

/* A lone transaction need not wait for company that does not come; many share a block's cost, and where that is small
 * beside the interval, a shorter one only takes from the time that they wait. */
static uint64_t interval(const rdg_node_t *n) {
    uint64_t full = n->params.block_interval_ms, least = (full + LIGHT_PART - 1) / LIGHT_PART;
    const proposing_t *p = &n->proposing;
    if (is_light(p)) return least;
    uint64_t paced = COST_TIMES * p->cost_us / 1000;
    if (p->cost_us == 0 || paced > full) return full;
    return paced > least ? paced : least;
}

/* The first block shows that the chain lives; a change that is decided takes effect some blocks on. */
static bool wants_empty(const rdg_node_t *n) {
    return n->proposing.height == 1 || n->epoch.last_height > 0;
}

/* When a wanted proposal may be built: at once for the first block and for a full pool, else some time after the
 * last one; without transactions only if empty blocks are wanted. */
static bool may_build(rdg_node_t *n, size_t waiting, uint64_t *wait_ms) {
    uint64_t now = rdg_loop_now_ms(n->loop), since = now - n->proposing.last_ms, due;
    size_t pooled = rdg_pool_count(n->pool);
    pooled -= pooled < waiting ? pooled : waiting; /* those stand in a block already */
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

typedef struct build {
    rdg_node_t *n;
    uint64_t height, view;
    rdg_hash_t parent;
    uint32_t proposer;
    bool allow_empty;
    rdg_buf_t bytes;
    rdg_err_t err;
    char why[RDG_ERROR_TEXT_MAX];
} build_t;

static void on_build(void *arg) {
    build_t *b = arg;
    uint64_t wall = rdg_wall_ms(rdg_clock_system());
    b->err = rdg_ledger_propose_after(b->n->ledger, b->n->pool, &b->parent, b->proposer, wall, b->allow_empty,
                                      &b->bytes);
    if (b->err != RDG_OK) snprintf(b->why, sizeof b->why, "%s", rdg_err_message(b->err));
}

/* The core may want another one by now. */
static bool is_wanted(const rdg_node_t *n, const build_t *b) {
    const proposing_t *p = &n->proposing;
    return p->wanted && p->height == b->height && p->view == b->view &&
           rdg_hash_equal(&p->parent, &b->parent);
}

static void hand_over(rdg_node_t *n, const build_t *b) {
    proposing_t *p = &n->proposing;
    rdg_hash_t digest;
    if (host_digest(n, rdg_buf_view(&b->bytes), &digest) != RDG_OK) return;
    driver_note_validated(n, &digest);
    p->wanted = false;
    p->last_ms = rdg_loop_now_ms(n->loop);
    p->sent[b->height % RDG_CONSENSUS_WINDOW].height = b->height;
    p->sent[b->height % RDG_CONSENSUS_WINDOW].at_ms = p->last_ms;
    (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_PAYLOAD,
                                                  .height = b->height,
                                                  .view = b->view,
                                                  .bytes = rdg_buf_view(&b->bytes)});
}

static void on_built(void *arg) {
    build_t *b = arg;
    rdg_node_t *n = b->n;
    n->proposing.building = false;
    if (!n->closing) {
        if (b->err == RDG_OK && is_wanted(n, b))
            hand_over(n, b);
        else if (b->err == RDG_E_NOT_FOUND)
            n->proposing.last_ms = rdg_loop_now_ms(n->loop); /* what waits is in none: not at once again */
        else if (b->err != RDG_OK && b->err != RDG_E_UNAVAILABLE)
            rdg_log(RDG_LOG_ERROR, "node.propose_failed", RDG_U64("height", b->height),
                    RDG_STR("why", b->why));
        status_refresh(n);
        driver_try_propose(n);
    }
    rdg_buf_fini(&b->bytes);
    rdg_free(b);
}

void driver_try_propose(rdg_node_t *n) {
    uint64_t wait_ms;
    size_t waiting;
    if (!n->proposing.wanted || n->proposing.building || n->seen.halted || n->closing) return;
    if (!rdg_ledger_may_follow(n->ledger, &n->proposing.parent, &waiting)) return; /* when that is executed */
    if (!may_build(n, waiting, &wait_ms)) {
        if (wait_ms > 0) rdg_timer_start(n->proposing.timer, wait_ms, 0);
        return;
    }
    build_t *b = rdg_calloc(1, sizeof *b);
    if (!b) return; /* with the next tick */
    b->n = n, b->proposer = n->self;
    b->height = n->proposing.height, b->view = n->proposing.view, b->parent = n->proposing.parent;
    b->allow_empty = wants_empty(n) || n->params.empty_block_ms > 0;
    rdg_buf_init(&b->bytes, NODE_FRAME_MAX);
    n->proposing.building = rdg_loop_work(n->loop, on_build, on_built, b) == RDG_OK;
    if (n->proposing.building) return;
    rdg_buf_fini(&b->bytes);
    rdg_free(b);
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
