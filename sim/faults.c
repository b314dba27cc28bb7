#include "world.h"
#include "planted.h"
#include "ridge/base/assert.h"
#include <string.h>

/* --- stopping and starting -------------------------------------------------------------------------------- */

void replica_stop(world_t *w, replica_t *r, bool power_cut) {
    if (!r->up) return;
    world_say(w, "replica %u stops%s", r->id, power_cut ? " without power" : "");
    if (power_cut) disk_power_cut(&r->disk, &w->dice);
    rdg_consensus_free(r->core);
    r->core = NULL;
    r->up = false;
    ++r->life;
    lane_clear(r);
}

static void restore(void *ctx, uint8_t kind, rdg_bytes_t key, rdg_bytes_t value) {
    ledger_t *l = ctx;
    switch (kind) {
    case DISK_PUT: ledger_put_record(l, key, value); break;
    case DISK_DELETE: ledger_delete_record(l, key); break;
    default: {
        blob_t *proposal = blob_new(value), *seal = blob_new(key);
        ledger_append(l, proposal, seal);
        blob_unref(proposal), blob_unref(seal);
    }
    }
}

static void forget_memory(replica_t *r) {
    memset(&r->sync, 0, sizeof r->sync);
    memset(&r->proposing, 0, sizeof r->proposing);
    memset(r->proposed, 0, sizeof r->proposed);
    memset(r->pooled, 0, sizeof r->pooled);
    r->pool_count = 0;
    r->halted = RDG_OK;
    r->stalled_until_ms = r->busy_until_ms = 0;
}

/* The disk is read; what is damaged is wiped, as the operator does who is told to recover the node. Only the mark
 * beside the ledger remains, by which the node knows that it has lost its memory (libs/node/src/epoch.c). */
static void read_disk(world_t *w, replica_t *r) {
    ledger_t *l = &r->ledger;
    ledger_clear(l, w->plan.members);
    if (disk_read(&r->disk, restore, l) != RDG_OK) {
        world_say(w, "replica %u finds its disk damaged and is wiped", r->id);
        ledger_clear(l, w->plan.members);
        disk_wipe(&r->disk);
        r->wiped = true;
    }
    if (PLANTED("forget-records"))
        while (l->record_count > 0) ledger_delete_record(l, blob_view(l->records[0].key));
    bool knows = !PLANTED("amnesia-unnoticed");
    if (r->marked && l->height == 0 && l->record_count == 0 && knows) r->lost = true;
}

/* Those of the core's epoch, as the core named them. */
static size_t records_of(const replica_t *r, rdg_consensus_record_t *out) {
    size_t count = 0;
    for (size_t i = 0; i < r->ledger.record_count; ++i) {
        rdg_bytes_t key = blob_view(r->ledger.records[i].key);
        if (rdg_load_be64(key.data) != r->epoch) continue;
        out[count++] = (rdg_consensus_record_t){rdg_bytes(key.data + 8, key.len - 8),
                                                blob_view(r->ledger.records[i].value)};
    }
    return count;
}

static void make_core(world_t *w, replica_t *r) {
    rdg_consensus_config_t config = w->config;
    ledger_t *l = &r->ledger;
    if (r->epoch != l->epoch) r->promised = 0; /* of another epoch */
    r->epoch = l->epoch;
    r->members = l->members;
    config.validators.epoch = l->epoch;
    config.validators.count = set_count(l->members);
    for (uint32_t i = 0; i < config.validators.count; ++i)
        config.validators.keys[i] = w->config.validators.keys[set_member(l->members, i)];
    config.first_height = l->first_height;
    config.self = set_index(l->members, r->validator);
    config.seed = dice_next(&w->dice);
    config.host.ctx = (char *)config.host.ctx + r->validator * w->signer_bytes;
    RDG_ASSERT(w->plan.protocol->create(&config, &r->core) == RDG_OK);
}

/* False if it stopped meanwhile. */
static bool start_core(world_t *w, replica_t *r) {
    rdg_consensus_record_t records[RECORDS_MAX];
    ledger_t *l = &r->ledger;
    make_core(w, r);
    bool has_seal = l->height > 0 && l->height >= l->first_height;
    rdg_consensus_event_t e = {.kind = RDG_EVENT_START,
                               .height = l->height,
                               .last_height = l->last_height,
                               .digest = *ledger_hash(l),
                               .bytes = has_seal ? blob_view(l->blocks[l->height].seal) : rdg_bytes(NULL, 0),
                               .amnesia = r->lost,
                               .records = records,
                               .record_count = records_of(r, records)};
    uint32_t life = r->life;
    (void)host_step(w, r, &e);
    if (r->life != life || r->halted != RDG_OK || world_failed(w)) return false;
    if (l->height == 0) return true;
    e = (rdg_consensus_event_t){
        .kind = RDG_EVENT_EXECUTED, .height = l->height, .last_height = l->last_height};
    ledger_executed_digest(l, l->height, &e.digest);
    (void)host_step(w, r, &e);
    return r->life == life && r->halted == RDG_OK && !world_failed(w);
}

void replica_next_epoch(world_t *w, replica_t *r) {
    world_say(w, "replica %u begins epoch %llu of %#x at height %llu", r->id,
              (unsigned long long)r->ledger.epoch, r->ledger.members,
              (unsigned long long)r->ledger.first_height);
    rdg_consensus_free(r->core);
    r->core = NULL;
    r->committed = r->ledger.height;
    r->proposing.wanted = false;
    if (start_core(w, r)) sync_announce(w, r, UINT32_MAX);
}

void replica_start(world_t *w, replica_t *r) {
    ledger_t *l = &r->ledger;
    RDG_ASSERT(!r->up);
    forget_memory(r);
    read_disk(w, r);
    r->block_end = 0; /* what was read is there */
    world_say(w, "replica %u starts at height %llu with %zu records%s", r->id, (unsigned long long)l->height,
              l->record_count, r->lost ? ", amnesiac" : "");
    r->up = true;
    r->committed = l->height;
    if (!start_core(w, r)) return;
    (void)world_add(w, ITEM_NODE_TICK, r->id, 1 + dice_below(&w->dice, 500));
    if (r->evil) (void)world_add(w, ITEM_EVIL_TICK, r->id, 1 + dice_below(&w->dice, 300));
    for (uint32_t i = 0; i < w->count; ++i) {
        world_add(w, ITEM_LINK, r->id, 1 + dice_below(&w->dice, 1000))->from = i;
        world_add(w, ITEM_LINK, i, 1 + dice_below(&w->dice, 1000))->from = r->id;
    }
}

/* --- faults ------------------------------------------------------------------------------------------------ */

static bool is_dropped(const world_t *w, size_t i) {
    return w->plan.dropped >> i & 1;
}

void faults_schedule(world_t *w) {
    for (size_t i = 0; i < w->plan.fault_count; ++i) {
        const fault_t *f = &w->plan.faults[i];
        if (is_dropped(w, i)) continue;
        RDG_ASSERT(f->a < w->count && f->b < w->count);
        world_add(w, ITEM_FAULT, 0, f->at_ms)->number = i;
        world_add(w, ITEM_FAULT_END, 0, f->at_ms + f->span_ms)->number = i;
    }
}

static uint32_t everybody(const world_t *w) {
    return (uint32_t)((1ull << w->count) - 1);
}

static void stop_for(world_t *w, replica_t *r, uint64_t span_ms) {
    if (!r->up) return;
    replica_stop(w, r, true);
    (void)world_add(w, ITEM_RESTART, r->id, span_ms);
}

static void block(world_t *w, const fault_t *f, bool on) {
    uint32_t rest = everybody(w) & ~f->mask;
    if (f->kind == FAULT_CUT || f->kind == FAULT_MUTE) net_block(w, f->mask, rest, on);
    if (f->kind == FAULT_CUT || f->kind == FAULT_DEAF) net_block(w, rest, f->mask, on);
}

static replica_t *current_leader(world_t *w) {
    uint64_t view = 0;
    uint32_t leader = 0;
    for (uint32_t i = 0; i < w->count; ++i) {
        rdg_consensus_status_t s;
        if (!w->replicas[i].up || w->replicas[i].evil) continue;
        rdg_consensus_status(w->replicas[i].core, &s);
        if (s.view >= view) view = s.view, leader = set_member(w->replicas[i].members, s.leader);
    }
    for (uint32_t i = 0; i < w->count; ++i)
        if (w->replicas[i].validator == leader && w->replicas[i].up) return &w->replicas[i];
    return NULL;
}

/* The dangerous moment: one replica knows that a height is decided, and nobody else can ask it. What it was about to
 * send after this is lost with the link; a stop is left to an item of its own, since it is in the middle of a step. */
void faults_decided(world_t *w, replica_t *r, uint64_t height) {
    const fault_t *f = w->ahead;
    w->highest = height;
    w->decided_ms = w->now_ms;
    if (!f || w->healed) return;
    w->ahead = NULL;
    world_say(w, "replica %u is ahead with height %llu and is %s", r->id, (unsigned long long)height,
              f->amount ? "stopped" : "cut off");
    if (f->amount) {
        r->tear_after = 0;
        r->tear_span_ms = f->span_ms;
        return;
    }
    for (uint32_t i = 0; i < w->count; ++i) {
        w->away_until_ms[r->id] = w->now_ms + f->span_ms;
        if (i == r->id) continue;
        world_add(w, ITEM_LINK, i, f->span_ms + 1 + dice_below(&w->dice, 500))->from = r->id;
        world_add(w, ITEM_LINK, r->id, f->span_ms + 1 + dice_below(&w->dice, 500))->from = i;
    }
}

void faults_begin(world_t *w, const fault_t *f) {
    replica_t *r = &w->replicas[f->a];
    world_say(w, "fault %d: %s of %u for %llu ms, %llu", (int)(f - w->plan.faults), fault_name(f->kind), f->a,
              (unsigned long long)f->span_ms, (unsigned long long)f->amount);
    switch (f->kind) {
    case FAULT_CRASH: stop_for(w, r, f->span_ms); break;
    case FAULT_TEAR:
        r->tear_after = (uint32_t)f->amount;
        r->tear_span_ms = f->span_ms;
        break;
    case FAULT_ALL_CRASH:
        for (uint32_t i = 0; i < w->count; ++i)
            stop_for(w, &w->replicas[i], dice_below(&w->dice, f->span_ms + 1));
        break;
    case FAULT_ROT:
        if (!r->marked) break; /* whoever loses a ledger without a block starts as a new node */
        stop_for(w, r, f->span_ms);
        disk_rot(&r->disk, &w->dice);
        break;
    case FAULT_FULL: r->disk.full = true; break;
    case FAULT_STALL: r->stalled_until_ms = w->now_ms + f->span_ms; break;
    case FAULT_CUT:
    case FAULT_MUTE:
    case FAULT_DEAF: block(w, f, true); break;
    case FAULT_CLOG: w->links[f->a][f->b].clog_ms = w->now_ms + f->span_ms; break;
    case FAULT_SLOW: w->slow_ms[f->a] += f->amount; break;
    case FAULT_LOSS: w->loss_percent += (uint32_t)f->amount; break;
    case FAULT_CLOCK: r->wall_offset_ms += (int64_t)f->amount - FAULT_CLOCK_ZERO; break;
    case FAULT_SLOW_DISK: w->disk_ms[f->a] += f->amount; break;
    case FAULT_SLOW_EXEC: w->exec_ms[f->a] += f->amount; break;
    case FAULT_LIAR: w->liars |= 1u << f->a; break;
    case FAULT_AHEAD: w->ahead = f; break;
    case FAULT_LEADER: {
        replica_t *leader = current_leader(w);
        if (leader) stop_for(w, leader, f->span_ms);
        break;
    }
    case FAULT_HOLD: w->held |= 1u << f->amount; break;
    case FAULT_CHANGE: client_ask(w, (uint16_t)(TX_CHANGE + f->amount)); break;
    case FAULT_KINDS: break;
    }
}

void faults_end(world_t *w, const fault_t *f) {
    replica_t *r = &w->replicas[f->a];
    switch (f->kind) {
    case FAULT_TEAR: r->tear_after = UINT32_MAX; break;
    case FAULT_FULL:
        r->disk.full = false;
        if (r->halted != RDG_OK) {
            replica_stop(w, r, false);
            replica_start(w, r);
        }
        break;
    case FAULT_CUT:
    case FAULT_MUTE:
    case FAULT_DEAF: block(w, f, false); break;
    case FAULT_SLOW: w->slow_ms[f->a] -= f->amount; break;
    case FAULT_LOSS: w->loss_percent -= (uint32_t)f->amount; break;
    case FAULT_SLOW_DISK: w->disk_ms[f->a] -= f->amount; break;
    case FAULT_SLOW_EXEC: w->exec_ms[f->a] -= f->amount; break;
    case FAULT_AHEAD:
        if (w->ahead == f) w->ahead = NULL;
        break;
    case FAULT_HOLD: w->held &= ~(1u << f->amount); break;
    case FAULT_LIAR: w->liars &= ~(1u << f->a); break;
    default: break;
    }
}

/* Links, disks and clocks are well from now on; who is down comes back, but for those whom no quorum needs. */
void faults_heal(world_t *w) {
    world_say(w, "healed");
    w->healed = true;
    w->loss_percent = w->held = 0;
    w->ahead = NULL;
    w->liars = 0;
    if (!w->plan.evil_after_healing) w->plan.lies = 0;
    for (uint32_t a = 0; a < w->count; ++a) {
        bool away = w->away_until_ms[a] > w->now_ms;
        w->away_until_ms[a] = 0;
        w->slow_ms[a] = w->disk_ms[a] = w->exec_ms[a] = 0;
        w->replicas[a].tear_after = UINT32_MAX;
        w->replicas[a].disk.full = false;
        w->replicas[a].stalled_until_ms = w->replicas[a].busy_until_ms = 0;
        for (uint32_t b = 0; b < w->count; ++b) {
            w->links[a][b].clog_ms = 0;
            if (w->links[a][b].blocked == 0 && !away) continue;
            w->links[a][b].blocked = 0;
            world_add(w, ITEM_LINK, a, 1 + dice_below(&w->dice, 1000))->from = b;
        }
    }
    for (uint32_t i = 0; i < w->count && !world_failed(w); ++i) {
        replica_t *r = &w->replicas[i];
        bool stays_away = r->validator < w->validators && (w->plan.down_after_healing >> r->validator & 1);
        if (stays_away || r->halted != RDG_OK) replica_stop(w, r, true);
        if (!stays_away && !r->up) replica_start(w, r);
        if (stays_away) ++r->life; /* no restart that is under way */
    }
}
