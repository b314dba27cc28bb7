/* The published view of readers, and the few blocks that are kept decoded. */
#include <string.h>
#include "ledger_internal.h"
#include "ridge/base/alloc.h"

view_t *view_get(rdg_ledger_t *l) {
    pthread_mutex_lock(&l->view_lock);
    view_t *v = l->view;
    rdg_ref_get(&v->ref);
    pthread_mutex_unlock(&l->view_lock);
    return v;
}

void view_put(view_t *v) {
    if (!v || !rdg_ref_put(&v->ref)) return;
    rdg_kv_snapshot_release(v->kv, v->snap);
    rules_put(v->rules);
    rdg_free(v);
}

rdg_err_t view_new(rdg_ledger_t *l, const block_entry_t *e, uint64_t checkpoint_height, rules_t *rules,
                   view_t **out) {
    view_t *v = *out = rdg_calloc(1, sizeof *v);
    if (!v) return RDG_E_NO_MEMORY;
    rdg_ref_init(&v->ref);
    v->kv = l->kv;
    v->bank = l->bank;
    rdg_ref_get(&rules->ref);
    v->rules = rules;
    v->header = e->header;
    v->head = (rdg_ledger_head_t){.height = e->header.height,
                                  .time_ms = e->header.time_ms,
                                  .tx_total = e->tx_total,
                                  .hash = e->hash,
                                  .state_root = e->executed.state_root,
                                  .checkpoint_height = checkpoint_height,
                                  .base_height = l->base,
                                  .tail_height = l->tail};
    return rdg_executed_hash(&e->executed, &v->head.executed);
}

enum { PAST_COUNT = RDG_LEDGER_STATES_KEPT - 1 };

static view_t **past_place(rdg_ledger_t *l, uint64_t height) {
    return &l->past[height % PAST_COUNT];
}

rdg_err_t view_publish(rdg_ledger_t *l, view_t *v) {
    v->snap = rdg_kv_snapshot(l->kv);
    if (!v->snap) return RDG_E_NO_MEMORY;
    rdg_ref_get(&v->ref);
    pthread_mutex_lock(&l->view_lock);
    view_t *old = l->view;
    l->view = v;
    /* A view of the same height has only learnt of a checkpoint. */
    if (old && old->head.height < v->head.height) {
        view_t **place = past_place(l, old->head.height), *kept = old;
        old = *place;
        *place = kept;
    }
    rdg_block_t **place = &l->pending[v->head.height % RDG_CONSENSUS_WINDOW], *executed = *place;
    if (executed && executed->header.height <= v->head.height)
        *place = NULL;
    else
        executed = NULL;
    pthread_mutex_unlock(&l->view_lock);
    view_put(old);
    rdg_block_unref(executed);
    return RDG_OK;
}

/* With view_lock held. */
static view_t *past_find(rdg_ledger_t *l, uint64_t height) {
    uint64_t head = l->view->head.height;
    if (height == head) return l->view;
    view_t *v = height < head && head - height < RDG_LEDGER_STATES_KEPT ? *past_place(l, height) : NULL;
    return v && v->head.height == height ? v : NULL;
}

rdg_err_t view_at(rdg_ledger_t *l, uint64_t height, view_t **out) {
    pthread_mutex_lock(&l->view_lock);
    uint64_t head = l->view->head.height, first = head;
    view_t *v = *out = past_find(l, height);
    if (v) rdg_ref_get(&v->ref);
    while (!v && first > 0 && past_find(l, first - 1)) --first;
    pthread_mutex_unlock(&l->view_lock);
    if (v) return RDG_OK;
    return rdg_fail(
        RDG_E_UNSUPPORTED,
        "the state of block %llu is not kept: this node has those of blocks %llu to %llu (the last "
        "%d since its start); ask for one of them, or for 'latest'",
        (unsigned long long)height, (unsigned long long)first, (unsigned long long)head,
        RDG_LEDGER_STATES_KEPT);
}

void views_close(rdg_ledger_t *l) {
    view_put(l->view);
    for (size_t i = 0; i < PAST_COUNT; ++i) view_put(l->past[i]);
}

rdg_err_t view_replace(rdg_ledger_t *l, const block_entry_t *e, uint64_t checkpoint_height, rules_t *rules) {
    view_t *v = NULL;
    rdg_err_t err = view_new(l, e, checkpoint_height, rules, &v);
    if (err == RDG_OK) err = view_publish(l, v);
    view_put(v);
    return err;
}

/* proposal.data may be NULL: then the hash alone decides. */
rdg_block_t *recent_find(rdg_ledger_t *l, const rdg_hash_t *hash, rdg_bytes_t proposal) {
    rdg_block_t *found = NULL;
    pthread_mutex_lock(&l->view_lock);
    for (size_t i = 0; i < RECENT_BLOCKS + RDG_CONSENSUS_WINDOW && !found; ++i) {
        rdg_block_t *b = i < RECENT_BLOCKS ? l->recent[i] : l->pending[i - RECENT_BLOCKS];
        if (b && rdg_hash_equal(&b->hash, hash) && (!proposal.data || rdg_bytes_equal(b->proposal, proposal)))
            found = rdg_block_ref(b);
    }
    pthread_mutex_unlock(&l->view_lock);
    return found;
}

void pending_add(rdg_ledger_t *l, rdg_block_t *b) {
    rdg_block_t **place = &l->pending[b->header.height % RDG_CONSENSUS_WINDOW], *former;
    rdg_block_ref(b);
    pthread_mutex_lock(&l->view_lock);
    former = *place;
    *place = b;
    pthread_mutex_unlock(&l->view_lock);
    rdg_block_unref(former);
}

static rdg_block_t *pending_find(const rdg_ledger_t *l, const rdg_hash_t *hash) {
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i)
        if (l->pending[i] && rdg_hash_equal(&l->pending[i]->hash, hash)) return l->pending[i];
    return NULL;
}

view_t *pending_chain(rdg_ledger_t *l, const rdg_hash_t *top, rdg_block_t *chain[RDG_CONSENSUS_WINDOW],
                      size_t *count) {
    const rdg_hash_t *at = top;
    view_t *v = NULL;
    rdg_block_t *b = NULL;
    size_t n = 0;
    pthread_mutex_lock(&l->view_lock);
    while (n < RDG_CONSENSUS_WINDOW && !rdg_hash_equal(at, &l->view->head.hash) && (b = pending_find(l, at)))
        chain[n++] = b, at = &b->header.parent;
    if (rdg_hash_equal(at, &l->view->head.hash)) {
        v = l->view;
        rdg_ref_get(&v->ref);
        *count = n;
        for (size_t i = 0; i < n; ++i) rdg_block_ref(chain[i]);
        for (size_t i = 0; i < n / 2; ++i) {
            b = chain[i];
            chain[i] = chain[n - 1 - i], chain[n - 1 - i] = b;
        }
    }
    pthread_mutex_unlock(&l->view_lock);
    return v;
}

void recent_add(rdg_ledger_t *l, rdg_block_t *b) {
    rdg_block_ref(b);
    pthread_mutex_lock(&l->view_lock);
    size_t at = 0;
    while (at < RECENT_BLOCKS - 1 && l->recent[at] && !rdg_hash_equal(&l->recent[at]->hash, &b->hash)) ++at;
    rdg_block_t *dropped = l->recent[at];
    memmove(l->recent + 1, l->recent, at * sizeof(rdg_block_t *));
    l->recent[0] = b;
    pthread_mutex_unlock(&l->view_lock);
    rdg_block_unref(dropped);
}

void rdg_ledger_head(rdg_ledger_t *l, rdg_ledger_head_t *out) {
    pthread_mutex_lock(&l->view_lock);
    *out = l->view->head;
    pthread_mutex_unlock(&l->view_lock);
}
