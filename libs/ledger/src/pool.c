#include "ridge/ledger/pool.h"
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/list.h"
#include "table.h"

typedef struct sender {
    rdg_address_t address;
    size_t count;
} sender_t;

typedef struct entry {
    rdg_list_t link; /* first in, first out */
    rdg_tx_t *tx;
    sender_t *sender;
    size_t heap_at;
} entry_t;

struct rdg_pool {
    pthread_mutex_t lock;
    rdg_pool_limits_t limits;
    uint64_t chain_id, tx_gas_limit, height; /* of the last committed block */
    rdg_list_t fifo;
    table_t by_id, senders;
    entry_t **heap; /* by valid_until, the first to expire on top; room for max_count */
    size_t count, bytes;
};

rdg_err_t rdg_pool_new(const rdg_pool_limits_t *limits, uint64_t chain_id, uint64_t tx_gas_limit,
                       rdg_pool_t **out) {
    *out = NULL;
    if (limits->max_count == 0 || limits->max_bytes == 0 || limits->max_per_sender == 0)
        return rdg_fail(RDG_E_INVALID, "the limits of a transaction pool are positive");
    rdg_pool_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return RDG_E_NO_MEMORY;
    p->heap = rdg_calloc(limits->max_count, sizeof *p->heap);
    if (!p->heap) {
        rdg_free(p);
        return RDG_E_NO_MEMORY;
    }
    pthread_mutex_init(&p->lock, NULL);
    rdg_list_init(&p->fifo);
    p->limits = *limits;
    p->chain_id = chain_id;
    p->tx_gas_limit = tx_gas_limit;
    *out = p;
    return RDG_OK;
}

/* --- the heap of expiries ------------------------------------------------------------------------ */

static void heap_set(rdg_pool_t *p, size_t at, entry_t *e) {
    p->heap[at] = e;
    e->heap_at = at;
}

static void heap_settle(rdg_pool_t *p, size_t at, size_t size) {
    entry_t *e = p->heap[at];
    uint64_t key = e->tx->valid_until;
    for (size_t up = (at - 1) / 2; at > 0 && p->heap[up]->tx->valid_until > key; up = (at - 1) / 2) {
        heap_set(p, at, p->heap[up]);
        at = up;
    }
    for (size_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
        if (child + 1 < size && p->heap[child + 1]->tx->valid_until < p->heap[child]->tx->valid_until)
            ++child;
        if (p->heap[child]->tx->valid_until >= key) break;
        heap_set(p, at, p->heap[child]);
        at = child;
    }
    heap_set(p, at, e);
}

/* --- entries ------------------------------------------------------------------------------------- */

static uint64_t id_hash(const rdg_hash_t *id) {
    return table_hash(id->b, sizeof id->b);
}

static entry_t *find_entry(const rdg_pool_t *p, const rdg_hash_t *id) {
    uint64_t hash = id_hash(id);
    size_t pos = hash;
    for (entry_t *e; (e = table_probe(&p->by_id, hash, &pos));)
        if (rdg_hash_equal(&e->tx->id, id)) return e;
    return NULL;
}

static sender_t *find_sender(const rdg_pool_t *p, const rdg_address_t *a) {
    uint64_t hash = table_hash(a->b, sizeof a->b);
    size_t pos = hash;
    for (sender_t *s; (s = table_probe(&p->senders, hash, &pos));)
        if (rdg_address_equal(&s->address, a)) return s;
    return NULL;
}

static sender_t *find_or_add_sender(rdg_pool_t *p, const rdg_address_t *a) {
    sender_t *s = find_sender(p, a);
    if (s) return s;
    if (!table_reserve(&p->senders) || !(s = rdg_calloc(1, sizeof *s))) return NULL;
    s->address = *a;
    table_insert(&p->senders, table_hash(a->b, sizeof a->b), s);
    return s;
}

static void drop_sender_if_idle(rdg_pool_t *p, sender_t *s) {
    if (s->count > 0) return;
    table_remove(&p->senders, table_hash(s->address.b, sizeof s->address.b), s);
    rdg_free(s);
}

static void remove_entry(rdg_pool_t *p, entry_t *e) {
    rdg_list_remove(&e->link);
    table_remove(&p->by_id, id_hash(&e->tx->id), e);
    entry_t *last = p->heap[--p->count];
    if (last != e) {
        heap_set(p, e->heap_at, last);
        heap_settle(p, e->heap_at, p->count);
    }
    p->bytes -= e->tx->raw.len;
    e->sender->count--;
    drop_sender_if_idle(p, e->sender);
    rdg_tx_unref(e->tx);
    rdg_free(e);
}

static rdg_err_t check_limits(const rdg_pool_t *p, const rdg_tx_t *tx) {
    if (p->count >= p->limits.max_count || p->bytes + tx->raw.len > p->limits.max_bytes)
        return rdg_fail(RDG_E_FULL,
                        "the transaction pool is full (%zu transactions, %zu bytes): try again after the "
                        "next block",
                        p->count, p->bytes);
    const sender_t *s = find_sender(p, &tx->from);
    if (s && s->count >= p->limits.max_per_sender)
        return rdg_fail(RDG_E_FULL,
                        "%zu transactions of this sender wait already, the limit of one sender: try again "
                        "after the next block",
                        s->count);
    return RDG_OK;
}

static rdg_err_t precheck(const rdg_pool_t *p, const rdg_tx_t *tx) {
    RDG_TRY(rdg_tx_check(tx, p->chain_id, p->tx_gas_limit, p->height + 1));
    if (find_entry(p, &tx->id))
        return rdg_fail(RDG_E_DUPLICATE, "the transaction is in the pool already: wait for its receipt");
    return check_limits(p, tx);
}

rdg_err_t rdg_pool_precheck(rdg_pool_t *p, const rdg_tx_t *tx) {
    pthread_mutex_lock(&p->lock);
    rdg_err_t err = precheck(p, tx);
    pthread_mutex_unlock(&p->lock);
    return err;
}

static rdg_err_t add(rdg_pool_t *p, rdg_tx_t *tx) {
    RDG_TRY(precheck(p, tx));
    entry_t *e = rdg_calloc(1, sizeof *e);
    if (!e || !table_reserve(&p->by_id) || !(e->sender = find_or_add_sender(p, &tx->from))) {
        rdg_free(e);
        return RDG_E_NO_MEMORY;
    }
    e->tx = rdg_tx_ref(tx);
    e->sender->count++;
    rdg_list_append(&p->fifo, &e->link);
    table_insert(&p->by_id, id_hash(&tx->id), e);
    heap_set(p, p->count, e);
    heap_settle(p, p->count, p->count + 1);
    p->count++;
    p->bytes += tx->raw.len;
    return RDG_OK;
}

rdg_err_t rdg_pool_add(rdg_pool_t *p, rdg_tx_t *tx) {
    pthread_mutex_lock(&p->lock);
    rdg_err_t err = add(p, tx);
    pthread_mutex_unlock(&p->lock);
    return err;
}

rdg_tx_t *rdg_pool_find(rdg_pool_t *p, const rdg_hash_t *id) {
    pthread_mutex_lock(&p->lock);
    entry_t *e = find_entry(p, id);
    rdg_tx_t *tx = e ? rdg_tx_ref(e->tx) : NULL;
    pthread_mutex_unlock(&p->lock);
    return tx;
}

static bool skip_none(void *ctx, const rdg_tx_t *tx) {
    (void)ctx, (void)tx;
    return false;
}

size_t rdg_pool_take(rdg_pool_t *p, uint64_t height, size_t max_count, size_t max_bytes, uint64_t max_gas,
                     rdg_tx_t **out) {
    return rdg_pool_take_without(p, height, max_count, max_bytes, max_gas, skip_none, NULL, out);
}

size_t rdg_pool_take_without(rdg_pool_t *p, uint64_t height, size_t max_count, size_t max_bytes,
                             uint64_t max_gas, bool (*skip)(void *ctx, const rdg_tx_t *tx), void *ctx,
                             rdg_tx_t **out) {
    size_t count = 0;
    pthread_mutex_lock(&p->lock);
    RDG_LIST_EACH(it, &p->fifo) {
        rdg_tx_t *tx = RDG_LIST_ENTRY(it, entry_t, link)->tx;
        if (tx->valid_until < height || skip(ctx, tx)) continue;
        if (count == max_count || tx->raw.len > max_bytes || tx->gas_limit > max_gas) break;
        max_bytes -= tx->raw.len;
        max_gas -= tx->gas_limit;
        out[count++] = rdg_tx_ref(tx);
    }
    pthread_mutex_unlock(&p->lock);
    return count;
}

void rdg_pool_committed(rdg_pool_t *p, const rdg_hash_t *ids, size_t count, uint64_t height) {
    pthread_mutex_lock(&p->lock);
    if (height > p->height) p->height = height;
    for (size_t i = 0; i < count; ++i) {
        entry_t *e = find_entry(p, &ids[i]);
        if (e) remove_entry(p, e);
    }
    while (p->count > 0 && p->heap[0]->tx->valid_until <= p->height) remove_entry(p, p->heap[0]);
    pthread_mutex_unlock(&p->lock);
}

size_t rdg_pool_count(rdg_pool_t *p) {
    pthread_mutex_lock(&p->lock);
    size_t count = p->count;
    pthread_mutex_unlock(&p->lock);
    return count;
}

size_t rdg_pool_bytes(rdg_pool_t *p) {
    pthread_mutex_lock(&p->lock);
    size_t bytes = p->bytes;
    pthread_mutex_unlock(&p->lock);
    return bytes;
}

void rdg_pool_free(rdg_pool_t *p) {
    if (!p) return;
    while (p->count > 0) remove_entry(p, p->heap[p->count - 1]);
    table_fini(&p->by_id);
    table_fini(&p->senders);
    rdg_free(p->heap);
    pthread_mutex_destroy(&p->lock);
    rdg_free(p);
}
