/* The lead of a Raft chain handed over at an administrator's order (ledger/order.h). */
#include "internal.h"
#include "ridge/base/log.h"
#include "ridge/ledger/order.h"
#include <stdio.h>
#include <string.h>

#define POLL_MS 2

/* What the loop is asked to do, by one HTTP thread at a time; guarded by the reads' lock, whose condition tells when it
 * is done. */
static rdg_err_t refuse(rdg_node_t *n, const rdg_lead_order_t *o, uint32_t *to) {
    rdg_consensus_status_t s;
    rdg_consensus_status(n->core, &s);
    const rdg_epoch_t *e = &n->epoch;
    if (s.leader >= s.count || s.changing)
        return rdg_fail(RDG_E_UNAVAILABLE, "this node knows no leader at present: ask again");
    if (s.epoch != o->epoch || s.view != o->view)
        return rdg_fail(
            RDG_E_STALE,
            "the order is about term %llu of epoch %llu, the chain is in term %llu of epoch %llu: "
            "look who leads and order again",
            (unsigned long long)o->view, (unsigned long long)o->epoch, (unsigned long long)s.view,
            (unsigned long long)s.epoch);
    if (s.leader != s.self)
        return rdg_fail(RDG_E_CONFLICT, "this node does not lead, %s does: send the order there",
                        e->names[s.leader]);
    *to = RDG_CONSENSUS_ALL;
    if (o->to[0] == '\0') return RDG_OK;
    for (*to = 0; *to < s.count && strcmp(e->names[*to], o->to) != 0;) ++*to;
    if (*to == s.count) return rdg_fail(RDG_E_NOT_FOUND, "'%s' is no validator of this chain", o->to);
    if (*to == s.self) return rdg_fail(RDG_E_EXISTS, "'%s' leads already", o->to);
    if (n->peer_of[*to] == SIZE_MAX || !rdg_p2p_connected(n->p2p, n->peer_of[*to]))
        return rdg_fail(RDG_E_UNAVAILABLE, "'%s' is not linked to the leader now: name another, or none",
                        o->to);
    return RDG_OK;
}

static void on_transfer(void *arg) {
    rdg_node_t *n = arg;
    transfer_t *t = &n->transfer;
    uint32_t to = 0;
    rdg_err_t err = n->closing || n->seen.halted
                        ? rdg_fail(RDG_E_UNAVAILABLE, "this node is stopping or halted")
                        : refuse(n, &t->order, &to);
    if (err == RDG_OK) {
        err = driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_TRANSFER, .from = to});
        rdg_log(RDG_LOG_INFO, "node.lead_ordered_away", RDG_STR("to", t->order.to),
                RDG_U64("term", t->order.view), RDG_STR("code", rdg_err_name(err)));
    }
    pthread_mutex_lock(&n->reads.lock);
    t->err = err;
    snprintf(t->why, sizeof t->why, "%s", err == RDG_OK ? "" : rdg_err_message(err));
    t->done = true;
    pthread_cond_broadcast(&n->reads.changed);
    pthread_mutex_unlock(&n->reads.lock);
}

/* With the lock held. */
static rdg_err_t ask_loop(rdg_node_t *n, const rdg_lead_order_t *o) {
    transfer_t *t = &n->transfer;
    t->order = *o;
    t->done = false;
    RDG_TRY(rdg_loop_post(n->loop, on_transfer, n));
    while (!t->done && !n->reads.closing) pthread_cond_wait(&n->reads.changed, &n->reads.lock);
    if (!t->done) return rdg_fail(RDG_E_UNAVAILABLE, "this node is stopping");
    return t->err == RDG_OK ? RDG_OK : rdg_fail(t->err, "%s", t->why);
}

/* Until somebody else leads a later term. */
static bool is_handed_over(rdg_node_t *n, const rdg_lead_order_t *o, char name[RDG_NAME_MAX + 1],
                           uint64_t *term) {
    pthread_mutex_lock(&n->lock);
    const rdg_consensus_status_t *s = &n->seen.consensus;
    bool later = s->epoch > o->epoch || (s->epoch == o->epoch && s->view > o->view);
    bool there = later && s->leader < n->epoch.validators.count;
    if (there) snprintf(name, RDG_NAME_MAX + 1, "%s", n->epoch.names[s->leader]);
    *term = s->view;
    pthread_mutex_unlock(&n->lock);
    return there;
}

/* With the lock of the reads held. */
static rdg_err_t await_leader(rdg_node_t *n, const rdg_lead_order_t *o, json_t **out) {
    char name[RDG_NAME_MAX + 1];
    pthread_mutex_lock(&n->lock);
    uint64_t term = 0, end = rdg_mono_ms(rdg_clock_system()) + 2 * n->epoch.view_timeout_ms;
    pthread_mutex_unlock(&n->lock);
    while (!is_handed_over(n, o, name, &term)) {
        if (rdg_mono_ms(rdg_clock_system()) > end)
            return rdg_fail(RDG_E_TIMEOUT,
                            "nobody has taken the lead: the other is behind or cannot be reached; this node "
                            "leads on");
        if (n->reads.closing) return rdg_fail(RDG_E_UNAVAILABLE, "this node is stopping");
        raft_wait(&n->reads, end, POLL_MS);
    }
    *out = json_pack("{s:s, s:I}", "leader", name, "term", (json_int_t)term);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for an answer");
}

static rdg_err_t carry_out(rdg_node_t *n, const rdg_lead_order_t *o, json_t **out) {
    n->transfer.busy = true;
    rdg_err_t err = ask_loop(n, o);
    if (err == RDG_OK) err = await_leader(n, o, out);
    n->transfer.busy = false;
    return err;
}

rdg_err_t transfer_lead(void *node, rdg_bytes_t wire, json_t **out) {
    rdg_node_t *n = node;
    rdg_lead_order_t order;
    if (!rdg_genesis_is_raft(&n->genesis))
        return rdg_fail(
            RDG_E_UNSUPPORTED,
            "this chain runs pbft: its leaders take turns when the parameter rotate_every is set, "
            "and the validators replace one that is stopped");
    RDG_TRY(rdg_lead_order_check(n->ledger, wire, &order));
    pthread_mutex_lock(&n->reads.lock);
    rdg_err_t err = n->transfer.busy
                        ? rdg_fail(RDG_E_BUSY, "another transfer of the lead is under way: ask again")
                        : carry_out(n, &order, out);
    pthread_mutex_unlock(&n->reads.lock);
    return err;
}
