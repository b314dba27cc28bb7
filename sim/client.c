#include "world.h"
#include "ridge/base/assert.h"
#include <string.h>

/* Clients and the pool. A transaction counts as acknowledged when a correct replica could give its receipt: its block
 * is executed and stable there. From then on nobody may ever lack it. */
#define POLL_MS 150
#define SUBMIT_AGAIN 6 /* looks without a receipt, then it goes to another replica too */
#define RESEND_TICKS 4
#define GOSSIP_MAX 256

/* --- the pool --------------------------------------------------------------------------------------------- */

void pool_add(replica_t *r, uint16_t tx) {
    if (tx >= SIM_TXS_MAX || r->pooled[tx] || r->ledger.tx_height[tx] != 0) return;
    r->pooled[tx] = 1;
    r->pool[r->pool_count++] = tx;
}

void pool_remove(replica_t *r, uint16_t tx) {
    size_t i = 0;
    if (tx >= SIM_TXS_MAX || !r->pooled[tx]) return;
    r->pooled[tx] = 0;
    while (r->pool[i] != tx) ++i;
    memmove(&r->pool[i], &r->pool[i + 1], (--r->pool_count - i) * sizeof r->pool[0]);
}

static void gossip(world_t *w, replica_t *r, const uint16_t *txs, size_t count, uint32_t to) {
    uint8_t bytes[GOSSIP_MAX * TX_BYTES];
    if (count > GOSSIP_MAX) count = GOSSIP_MAX;
    for (size_t i = 0; i < count; ++i) tx_write(txs[i], bytes + i * TX_BYTES);
    blob_t *b = blob_new(rdg_bytes(bytes, count * TX_BYTES));
    for (uint32_t i = 0; i < w->count; ++i)
        if (to == UINT32_MAX || to == i) net_send(w, r, i, PACKET_TXS, b);
    blob_unref(b);
}

void pool_receive(world_t *w, replica_t *r, rdg_bytes_t bytes) {
    for (size_t i = 0; i + TX_BYTES <= bytes.len; i += TX_BYTES) pool_add(r, tx_read(bytes.data + i));
    host_try_propose(w, r);
}

void pool_tick(world_t *w, replica_t *r) {
    if (r->pool_count > 0 && r->pool[0] == r->oldest)
        ++r->oldest_ticks;
    else
        r->oldest_ticks = 0;
    if (r->pool_count > 0) r->oldest = r->pool[0];
    if (r->oldest_ticks < RESEND_TICKS) return;
    gossip(w, r, r->pool, r->pool_count, UINT32_MAX);
    r->oldest_ticks = 0;
}

void pool_link_up(world_t *w, replica_t *r, uint32_t peer) {
    if (r->pool_count > 0) gossip(w, r, r->pool, r->pool_count, peer);
}

/* --- clients ---------------------------------------------------------------------------------------------- */

static replica_t *any_replica(world_t *w) {
    uint32_t start = (uint32_t)dice_below(&w->dice, w->count);
    for (uint32_t i = 0; i < w->count; ++i) {
        replica_t *r = &w->replicas[(start + i) % w->count];
        if (r->up && !r->evil && r->halted == RDG_OK && r->stalled_until_ms <= w->now_ms) return r;
    }
    return NULL;
}

static void submit(world_t *w, uint16_t tx) {
    replica_t *r = any_replica(w);
    if (!r) return;
    w->txs[tx].at = r->id;
    pool_add(r, tx);
    gossip(w, r, &tx, 1, UINT32_MAX);
    host_try_propose(w, r);
}

static void look(world_t *w, uint16_t number) {
    tx_t *tx = &w->txs[number];
    replica_t *r = any_replica(w);
    if (r && r->ledger.tx_height[number] != 0) {
        tx->acked = true;
        tx->acked_height = r->ledger.tx_height[number];
        w->acked_count += number < TX_CHANGE;
        return;
    }
    if (++tx->asked % SUBMIT_AGAIN == 0) submit(w, number);
    item_t *it =
        world_add(w, ITEM_CLIENT, 0, POLL_MS + (w->healed ? 0 : 20u * (tx->asked > 50 ? 50 : tx->asked)));
    it->number = (uint64_t)number + 1;
}

void client_ask(world_t *w, uint16_t number) {
    w->txs[number] = (tx_t){.used = true, .submitted_ms = w->now_ms};
    submit(w, number);
    world_add(w, ITEM_CLIENT, 0, POLL_MS)->number = (uint64_t)number + 1;
}

static void submit_new(world_t *w) {
    RDG_ASSERT(w->tx_count < SIM_TXS_MAX);
    uint16_t number = (uint16_t)w->tx_count++;
    w->txs[number] = (tx_t){.used = true, .submitted_ms = w->now_ms};
    submit(w, number);
    item_t *look_later = world_add(w, ITEM_CLIENT, 0, POLL_MS);
    look_later->number = (uint64_t)number + 1;
}

/* number 0: a client's next transaction; else the transaction before it is looked for. */
void client_event(world_t *w, item_t *it) {
    if (it->number > 0) {
        look(w, (uint16_t)(it->number - 1));
        return;
    }
    if (w->healed || w->tx_count >= TX_CHANGE - 64) return;
    submit_new(w);
    (void)world_add(w, ITEM_CLIENT, 0, 1 + dice_below(&w->dice, 2 * w->plan.think_ms));
}

/* In the storm each client goes on by itself; after it one more transaction must come through. */
void client_start(world_t *w) {
    if (w->healed) {
        submit_new(w);
        return;
    }
    for (uint32_t i = 0; i < w->plan.clients; ++i)
        (void)world_add(w, ITEM_CLIENT, 0, 1 + dice_below(&w->dice, w->plan.think_ms));
}
