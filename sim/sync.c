#include "world.h"
#include <string.h>

/* Sealed blocks from peers, as libs/node/src/sync.c fetches them. STATUS = height; GET = from; BLOCKS = (proposal,
 * seal)* with lengths; an empty one says that the peer has none. */
#define BLOCKS_MAX 64
#define ANSWER_MS 5000
#define AVOID_MS 10000
#define STALL_MS 400

static uint32_t best_peer(const world_t *w, const replica_t *r, uint64_t above) {
    uint64_t now = host_now(w, r);
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < w->count; ++i) {
        if (i == r->id || r->sync.avoid_until_ms[i] > now || r->sync.peer_height[i] <= above) continue;
        if (w->links[r->id][i].blocked || w->links[i][r->id].blocked || !w->replicas[i].up) continue;
        if (best == UINT32_MAX || r->sync.peer_height[i] > r->sync.peer_height[best]) best = i;
    }
    return best;
}

static void send(world_t *w, replica_t *r, uint32_t to, packet_kind_t kind, const rdg_buf_t *bytes) {
    blob_t *b = blob_new(rdg_buf_view(bytes));
    net_send(w, r, to, kind, b);
    blob_unref(b);
}

static void send_u64(world_t *w, replica_t *r, uint32_t to, packet_kind_t kind, uint64_t value) {
    rdg_buf_t b;
    rdg_buf_init(&b, 64);
    rdg_buf_u64(&b, value);
    send(w, r, to, kind, &b);
    rdg_buf_fini(&b);
}

static void ask(world_t *w, replica_t *r, uint32_t peer, uint64_t from) {
    sync_state_t *s = &r->sync;
    s->active = true;
    s->importing = false;
    s->from = from;
    s->peer = peer;
    s->asked_ms = host_now(w, r);
    send_u64(w, r, peer, PACKET_GET, from);
}

static void start(world_t *w, replica_t *r) {
    if (r->sync.active || r->halted != RDG_OK) return;
    uint32_t peer = best_peer(w, r, r->ledger.height);
    if (peer == UINT32_MAX) return;
    r->sync.target = r->sync.peer_height[peer];
    ask(w, r, peer, r->ledger.height + 1);
}

void sync_behind(world_t *w, replica_t *r, uint32_t peer, uint64_t height) {
    if (peer < w->count && peer != r->id && r->sync.peer_height[peer] < height)
        r->sync.peer_height[peer] = height;
    start(w, r);
}

void sync_status(world_t *w, replica_t *r, uint32_t from, rdg_bytes_t bytes) {
    rdg_reader_t in;
    rdg_reader_init(&in, bytes);
    uint64_t height = rdg_read_u64(&in);
    if (!rdg_reader_done(&in) || r->halted != RDG_OK) return;
    r->sync.peer_height[from] = height;
    bool first = !r->sync.greeted[from];
    r->sync.greeted[from] = true;
    if (first && height > r->ledger.height + 1) start(w, r);
}

void sync_link_up(world_t *w, replica_t *r, uint32_t peer) {
    r->sync.greeted[peer] = false;
    sync_announce(w, r, peer);
}

void sync_announce(world_t *w, replica_t *r, uint32_t to) {
    uint64_t height = r->ledger.height;
    if (r->evil && w->plan.lies & LIE_SEALS && dice_percent(&w->dice, 20))
        height += 1 + dice_below(&w->dice, 1000);
    for (uint32_t i = 0; i < w->count; ++i)
        if (i != r->id && (to == UINT32_MAX || to == i)) send_u64(w, r, i, PACKET_STATUS, height);
}

/* --- serving ---------------------------------------------------------------------------------------------- */

/* Another block under the seal of the true one, or with the seal of another height. */
static void put_forged(world_t *w, const ledger_t *l, uint64_t height, rdg_buf_t *out) {
    const stored_block_t *b = &l->blocks[height];
    rdg_bytes_t seal = blob_view(b->seal), proposal = blob_view(b->proposal);
    size_t at = out->len + 4 + dice_below(&w->dice, proposal.len);
    if (height > 1 && dice_percent(&w->dice, 30)) seal = blob_view(l->blocks[height - 1].seal);
    rdg_buf_u32(out, (uint32_t)proposal.len);
    rdg_buf_append(out, proposal.data, proposal.len);
    if (dice_percent(&w->dice, 70)) out->data[at] ^= 1;
    rdg_buf_u32(out, (uint32_t)seal.len);
    rdg_buf_append(out, seal.data, seal.len);
}

static void put_block(const stored_block_t *b, rdg_buf_t *out) {
    rdg_bytes_t proposal = blob_view(b->proposal), seal = blob_view(b->seal);
    rdg_buf_u32(out, (uint32_t)proposal.len);
    rdg_buf_append(out, proposal.data, proposal.len);
    rdg_buf_u32(out, (uint32_t)seal.len);
    rdg_buf_append(out, seal.data, seal.len);
}

void sync_get(world_t *w, replica_t *r, uint32_t from, rdg_bytes_t bytes) {
    rdg_reader_t in;
    rdg_buf_t out;
    rdg_reader_init(&in, bytes);
    uint64_t height = rdg_read_u64(&in);
    bool lies = w->liars >> r->id & 1 || (r->evil && w->plan.lies & LIE_SEALS && dice_percent(&w->dice, 50));
    if (!rdg_reader_done(&in) || height == 0) return;
    rdg_buf_init(&out, 8u << 20);
    for (uint32_t i = 0; i < BLOCKS_MAX && height + i <= r->ledger.height; ++i) {
        if (lies && dice_percent(&w->dice, 30))
            put_forged(w, &r->ledger, height + i, &out);
        else
            put_block(&r->ledger.blocks[height + i], &out);
    }
    send(w, r, from, PACKET_BLOCKS, &out);
    rdg_buf_fini(&out);
}

/* --- importing -------------------------------------------------------------------------------------------- */

void sync_blocks(world_t *w, replica_t *r, uint32_t from, blob_t *bytes) {
    if (!r->sync.active || r->sync.importing || from != r->sync.peer || r->halted != RDG_OK) return;
    r->sync.importing = true;
    lane_push(w, r, (job_t){.kind = JOB_IMPORT, .peer = from, .bytes = blob_ref(bytes)});
}

static void tell_core(world_t *w, replica_t *r) {
    const stored_block_t *b = &r->ledger.blocks[r->ledger.height];
    if (r->epoch != r->ledger.epoch) {
        replica_next_epoch(w, r);
        return;
    }
    rdg_consensus_event_t e = {.kind = RDG_EVENT_SYNCED,
                               .height = r->ledger.height,
                               .last_height = r->ledger.last_height,
                               .digest = b->digest,
                               .bytes = blob_view(b->seal)};
    uint32_t life = r->life;
    (void)host_step(w, r, &e);
    if (r->life != life || r->halted != RDG_OK) return;
    if (r->committed < e.height) r->committed = e.height;
    e = (rdg_consensus_event_t){
        .kind = RDG_EVENT_EXECUTED, .height = e.height, .last_height = r->ledger.last_height};
    ledger_executed_digest(&r->ledger, e.height, &e.digest);
    (void)host_step(w, r, &e);
}

void sync_imported(world_t *w, replica_t *r, const job_t *job, rdg_err_t err) {
    sync_state_t *s = &r->sync;
    bool advanced = r->ledger.height >= s->from;
    uint32_t life = r->life;
    s->active = false;
    if (err != RDG_OK || !advanced) {
        s->avoid_until_ms[job->peer] = host_now(w, r) + AVOID_MS;
        if (!advanced) s->peer_height[job->peer] = 0;
    }
    if (advanced) tell_core(w, r);
    if (r->life != life || r->halted != RDG_OK) return;
    if (r->ledger.height < s->target) {
        if (err == RDG_OK && advanced)
            ask(w, r, job->peer, r->ledger.height + 1);
        else
            start(w, r);
        return;
    }
    sync_announce(w, r, UINT32_MAX);
}

void sync_tick(world_t *w, replica_t *r) {
    sync_state_t *s = &r->sync;
    uint64_t now = host_now(w, r), height = r->ledger.height;
    if (s->active && !s->importing && now - s->asked_ms > ANSWER_MS) {
        s->avoid_until_ms[s->peer] = now + AVOID_MS;
        s->active = false;
    }
    bool ahead = best_peer(w, r, height) != UINT32_MAX;
    if (!ahead || height != s->last_height) s->behind_since_ms = now;
    s->last_height = height;
    if (ahead && now - s->behind_since_ms >= STALL_MS) start(w, r);
}
