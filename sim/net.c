#include "world.h"
#include "ridge/base/assert.h"
#include "wire.h"

/* --- what a link does to a packet ------------------------------------------------------------------------- */

static void put(world_t *w, uint32_t from, uint32_t to, packet_kind_t kind, blob_t *bytes,
                uint64_t after_ms) {
    item_t *it = world_add(w, ITEM_PACKET, to, after_ms);
    it->from = from;
    it->packet = kind;
    it->bytes = blob_ref(bytes);
    ++w->packets;
}

static bool is_away(const world_t *w, uint32_t from, uint32_t to) {
    return w->away_until_ms[from] > w->now_ms || w->away_until_ms[to] > w->now_ms;
}

static bool is_held(const world_t *w, packet_kind_t kind, const blob_t *bytes) {
    wire_t m;
    if (w->held == 0 || kind != PACKET_CONSENSUS || !wire_read(blob_view(bytes), &m)) return false;
    return w->held >> (m.kind % 32) & 1;
}

static void send_one(world_t *w, uint32_t from, uint32_t to, packet_kind_t kind, blob_t *bytes) {
    const plan_t *p = &w->plan;
    link_t *l = &w->links[from][to];
    dice_t dice = dice_of(p->seed, ((uint64_t)from << 56) + ((uint64_t)to << 48) + ++l->sent);
    bool calm = w->healed;
    uint64_t loss = calm ? 0 : (p->without & WITHOUT_LOSS ? 0 : p->loss_percent) + w->loss_percent;
    if (is_away(w, from, to)) return;
    if (l->blocked > 0 || dice_percent(&dice, loss) || is_held(w, kind, bytes)) return;
    uint64_t low = calm ? 1 : p->delay_min_ms, high = calm ? 20 : p->delay_max_ms;
    uint64_t delay = dice_between(&dice, low, high > low ? high : low) + w->slow_ms[from] + w->slow_ms[to];
    if (l->clog_ms > w->now_ms + delay) delay = l->clog_ms - w->now_ms + dice_below(&dice, 5);
    /* Unlike the node's links these may overtake one another; without it they keep the order. */
    if (p->without & WITHOUT_REORDER && w->now_ms + delay < l->latest_ms) delay = l->latest_ms - w->now_ms;
    if (w->now_ms + delay > l->latest_ms) l->latest_ms = w->now_ms + delay;
    put(w, from, to, kind, bytes, delay);
    if (calm || p->without & WITHOUT_DUPLICATES || !dice_percent(&dice, p->duplicate_percent)) return;
    put(w, from, to, kind, bytes, delay + dice_below(&dice, 10 * high + 1));
}

void net_send(world_t *w, replica_t *from, uint32_t to, packet_kind_t kind, blob_t *bytes) {
    if (to != from->id && to < w->count) send_one(w, from->id, to, kind, bytes);
}

void net_deliver(world_t *w, item_t *it) {
    replica_t *r = &w->replicas[it->to];
    rdg_bytes_t bytes = blob_view(it->bytes);
    if (!r->up || w->links[it->from][it->to].blocked > 0 || is_away(w, it->from, it->to)) return;
    switch (it->packet) {
    case PACKET_CONSENSUS: host_message(w, r, it->from, it->bytes); break;
    case PACKET_TXS: pool_receive(w, r, bytes); break;
    case PACKET_STATUS: sync_status(w, r, it->from, bytes); break;
    case PACKET_GET: sync_get(w, r, it->from, bytes); break;
    case PACKET_BLOCKS: sync_blocks(w, r, it->from, it->bytes); break;
    }
}

/* --- partitions ------------------------------------------------------------------------------------------- */

void net_link_up(world_t *w, uint32_t a, uint32_t b) {
    replica_t *r = &w->replicas[a];
    if (is_away(w, a, b)) return;
    if (a == b || !r->up || !w->replicas[b].up || w->links[a][b].blocked || w->links[b][a].blocked) return;
    sync_link_up(w, r, b);
    pool_link_up(w, r, b);
    uint32_t from = set_index(r->members, w->replicas[b].validator);
    if (r->up && from < set_count(r->members))
        (void)host_step(w, r, &(rdg_consensus_event_t){.kind = RDG_EVENT_LINKED, .from = from});
}

void net_block(world_t *w, uint32_t from_mask, uint32_t to_mask, bool block) {
    for (uint32_t a = 0; a < w->count; ++a)
        for (uint32_t b = 0; b < w->count; ++b) {
            link_t *l = &w->links[a][b];
            if (a == b || !(from_mask >> a & 1) || !(to_mask >> b & 1)) continue;
            if (!block) RDG_ASSERT(l->blocked > 0);
            l->blocked += block ? 1u : UINT32_MAX;
            if (block || l->blocked > 0) continue;
            item_t *it = world_add(w, ITEM_LINK, a, 1 + dice_below(&w->dice, 1000));
            it->from = b;
        }
}
