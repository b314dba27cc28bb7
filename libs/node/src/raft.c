#include "internal.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include <time.h>

#define HEARTBEATS 8 /* in a base time-out */
#define HAND_OVER_MS 1000
#define READ_MS 5000

static bool is_raft(const rdg_node_t *n) {
    return rdg_genesis_is_raft(&n->genesis);
}

/* The core of the epoch before will not answer any more. */
static void forget_question(rdg_node_t *n) {
    if (!n->reads.asking) return;
    pthread_mutex_lock(&n->reads.lock);
    n->reads.refused = n->reads.asked;
    pthread_cond_broadcast(&n->reads.changed);
    pthread_mutex_unlock(&n->reads.lock);
    n->reads.asking = false;
}

rdg_err_t raft_core_new(rdg_node_t *n, rdg_consensus_config_t *config, rdg_consensus_t **out) {
    if (!is_raft(n)) return rdg_pbft_new(config, out);
    forget_question(n);
    config->retransmit_ms = config->view_timeout_ms / HEARTBEATS;
    config->seed = rdg_random_u64(rdg_random_system());
    return rdg_raft_new(config, out);
}

/* --- reads ---------------------------------------------------------------------------------------------------
 */

void raft_open(rdg_node_t *n) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&n->reads.lock, NULL);
    pthread_cond_init(&n->reads.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void raft_close(rdg_node_t *n) {
    pthread_mutex_lock(&n->reads.lock);
    n->reads.closing = true;
    pthread_cond_broadcast(&n->reads.changed);
    pthread_mutex_unlock(&n->reads.lock);
}

/* Tickets drawn while the core works on a question wait for the next one: an answer holds only for what was
 * asked before it was looked for. */
static void ask(rdg_node_t *n) {
    pthread_mutex_lock(&n->reads.lock);
    uint64_t drawn = n->reads.drawn;
    pthread_mutex_unlock(&n->reads.lock);
    if (n->reads.asking || n->reads.asked == drawn || n->closing || n->seen.halted) return;
    n->reads.asking = true;
    n->reads.asked = drawn;
    (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_READ, .request = drawn});
}

static void on_ask(void *arg) {
    ask(arg);
}

void raft_read_answered(rdg_node_t *n, const rdg_consensus_action_t *a) {
    pthread_mutex_lock(&n->reads.lock);
    if (a->ok)
        n->reads.confirmed = a->request, n->reads.height = a->height;
    else
        n->reads.refused = a->request;
    pthread_cond_broadcast(&n->reads.changed);
    pthread_mutex_unlock(&n->reads.lock);
    n->reads.asking = false;
    (void)rdg_loop_post(n->loop, on_ask, n); /* not from within a step */
}

void raft_wait(reads_t *r, uint64_t end_ms, uint64_t at_most_ms) {
    uint64_t now = rdg_mono_ms(rdg_clock_system()),
             until = now + at_most_ms < end_ms ? now + at_most_ms : end_ms;
    struct timespec at = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
    (void)pthread_cond_timedwait(&r->changed, &r->lock, &at);
}

/* With the lock held. */
static rdg_err_t await_index(rdg_node_t *n, uint64_t *height) {
    reads_t *r = &n->reads;
    uint64_t ticket = ++r->drawn, end = rdg_mono_ms(rdg_clock_system()) + READ_MS;
    RDG_TRY(rdg_loop_post(n->loop, on_ask, n));
    while (r->confirmed < ticket && r->refused < ticket && !r->closing &&
           rdg_mono_ms(rdg_clock_system()) < end)
        raft_wait(r, end, READ_MS);
    if (r->confirmed < ticket)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "no leader has confirmed a read index: ask again, or another node");
    *height = r->height;
    for (;;) {
        rdg_ledger_head_t head;
        rdg_ledger_head(n->ledger, &head);
        if (head.height >= *height) return RDG_OK;
        if (r->closing || rdg_mono_ms(rdg_clock_system()) >= end)
            return rdg_fail(RDG_E_UNAVAILABLE, "this node is behind the read index %llu: ask again",
                            (unsigned long long)*height);
        raft_wait(r, end, 2);
    }
}

rdg_err_t raft_read_index(void *node, uint64_t *height) {
    rdg_node_t *n = node;
    if (!is_raft(n))
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "this chain runs pbft: compare the answers of a quorum of its nodes at one height");
    pthread_mutex_lock(&n->lock);
    bool no_leader = n->seen.consensus.changing || !n->seen.consensus.voting || n->seen.halted;
    pthread_mutex_unlock(&n->lock);
    if (no_leader) return rdg_fail(RDG_E_UNAVAILABLE, "this node knows no leader at present: ask again");
    pthread_mutex_lock(&n->reads.lock);
    rdg_err_t err = await_index(n, height);
    pthread_mutex_unlock(&n->reads.lock);
    return err;
}

/* --- stopping ------------------------------------------------------------------------------------------------
 */

static bool leads(const rdg_node_t *n) {
    rdg_consensus_status_t status;
    rdg_consensus_status(n->core, &status);
    return status.leader == status.self;
}

static void on_leaving(void *arg) {
    rdg_node_t *n = arg;
    if (!leads(n) || rdg_loop_now_ms(n->loop) >= n->leaving_ms + HAND_OVER_MS) rdg_loop_stop(n->loop);
}

void raft_hand_over(rdg_node_t *n) {
    rdg_timer_t *poll = NULL;
    if (!is_raft(n) || n->seen.halted || !leads(n)) return;
    rdg_err_t err =
        driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_TRANSFER, .from = RDG_CONSENSUS_ALL});
    if (err != RDG_OK || rdg_timer_new(n->loop, on_leaving, n, &poll) != RDG_OK) return; /* nobody is there */
    n->leaving_ms = rdg_loop_now_ms(n->loop);
    rdg_timer_start(poll, 5, 5);
    (void)rdg_loop_run(n->loop);
    rdg_timer_free(poll);
    rdg_log(RDG_LOG_INFO, "node.lead_handed_over", RDG_BOOL("taken", !leads(n)));
}
