#include "world.h"
#include "planted.h"
#include "ridge/base/assert.h"
#include <string.h>

/* The driver of a replica: what libs/node/src/driver.c is to the node. */

uint64_t host_now(const world_t *w, const replica_t *r) {
    uint64_t skew = w->plan.without & WITHOUT_SKEW ? 0 : w->plan.skew_ms;
    return w->now_ms + skew * (r->id + 1);
}

uint64_t host_wall(const world_t *w, const replica_t *r) {
    int64_t offset = w->plan.without & WITHOUT_SKEW || w->healed ? 0 : r->wall_offset_ms;
    return (uint64_t)((int64_t)(w->now_ms + 7200000u) + offset);
}

void host_halt(world_t *w, replica_t *r, rdg_err_t err) {
    if (r->halted == RDG_OK) world_say(w, "replica %u halts: %s", r->id, rdg_err_name(err));
    if (r->halted == RDG_OK) r->halted = err;
    bool expected = err == RDG_E_DISK_FULL || r->evil;
    if (!expected)
        world_violate(w, "halt", "replica %u: %s (%s)", r->id, rdg_err_name(err), rdg_err_message(err));
}

static bool is_refusal(rdg_err_t err) {
    return err == RDG_E_STALE || err == RDG_E_PROTOCOL || err == RDG_E_INVALID || err == RDG_E_MALFORMED ||
           err == RDG_E_TOO_LARGE;
}

/* --- actions ---------------------------------------------------------------------------------------------- */

/* Records are kept by epoch: a core gets those of its own only. */
static rdg_bytes_t key_of(const replica_t *r, rdg_bytes_t key, uint8_t out[64]) {
    RDG_ASSERT(key.len <= 56);
    rdg_store_be64(out, r->epoch);
    memcpy(out + 8, key.data, key.len);
    return rdg_bytes(out, key.len + 8);
}

static rdg_err_t write_records(world_t *w, replica_t *r, bool torn) {
    rdg_buf_t batch;
    bool any = false, sync = false;
    uint8_t key[64];
    disk_batch_begin(&batch);
    for (size_t i = 0; i < rdg_consensus_output_count(r->out); ++i) {
        const rdg_consensus_action_t *a = rdg_consensus_output_at(r->out, i);
        if (a->kind != RDG_ACTION_WRITE && a->kind != RDG_ACTION_DELETE) continue;
        bool put = a->kind == RDG_ACTION_WRITE;
        disk_batch_put(&batch, put ? DISK_PUT : DISK_DELETE, key_of(r, a->key, key),
                       put ? a->bytes : rdg_bytes(NULL, 0));
        any = true, sync = sync || put;
    }
    rdg_err_t err = any ? disk_write(&r->disk, &batch, sync && !torn && !PLANTED("write-unsynced")) : RDG_OK;
    rdg_buf_fini(&batch);
    if (err != RDG_OK || torn) return err;
    for (size_t i = 0; i < rdg_consensus_output_count(r->out); ++i) {
        const rdg_consensus_action_t *a = rdg_consensus_output_at(r->out, i);
        if (a->kind == RDG_ACTION_WRITE) ledger_put_record(&r->ledger, key_of(r, a->key, key), a->bytes);
        if (a->kind == RDG_ACTION_DELETE) ledger_delete_record(&r->ledger, key_of(r, a->key, key));
    }
    if (sync && w->disk_ms[r->id] > 0) r->busy_until_ms = w->now_ms + w->disk_ms[r->id];
    return RDG_OK;
}

static void send_to_validator(world_t *w, replica_t *r, uint32_t validator, blob_t *bytes) {
    for (uint32_t i = 0; i < w->count; ++i) {
        if (w->replicas[i].validator != validator || i == r->id) continue;
        if (r->evil)
            evil_send(w, r, i, bytes);
        else
            net_send(w, r, i, PACKET_CONSENSUS, bytes);
    }
}

static void act_send(world_t *w, replica_t *r, const rdg_consensus_action_t *a) {
    if (!r->evil) w->plan.protocol->check_send(w, r, a->bytes);
    blob_t *bytes = blob_new(a->bytes);
    for (uint32_t v = 0; v < w->validators; ++v)
        if (v != r->validator && (r->members >> v & 1) &&
            (a->to == RDG_CONSENSUS_ALL || a->to == set_index(r->members, v)))
            send_to_validator(w, r, v, bytes);
    blob_unref(bytes);
}

static void push(world_t *w, replica_t *r, job_kind_t kind, const rdg_consensus_action_t *a) {
    lane_push(w, r,
              (job_t){.kind = kind,
                      .height = a->height,
                      .view = a->view,
                      .digest = a->digest,
                      .bytes = blob_new(a->bytes),
                      .seal = blob_new(a->certificate)});
}

static void act(world_t *w, replica_t *r, const rdg_consensus_action_t *a) {
    switch (a->kind) {
    case RDG_ACTION_WRITE:
    case RDG_ACTION_DELETE: break;
    case RDG_ACTION_SEND: act_send(w, r, a); break;
    case RDG_ACTION_WANT_PROPOSAL:
        r->proposing.wanted = true;
        r->proposing.height = a->height;
        r->proposing.view = a->view;
        r->proposing.parent = a->digest;
        break;
    case RDG_ACTION_VALIDATE: push(w, r, JOB_VALIDATE, a); break;
    case RDG_ACTION_COMMIT:
        world_say(w, "replica %u commits %llu in view %llu", r->id, (unsigned long long)a->height,
                  (unsigned long long)a->view);
        if (!r->evil) check_commit(w, r, a);
        r->committed = a->height;
        push(w, r, JOB_APPLY, a);
        if (!r->evil && a->height > w->highest) faults_decided(w, r, a->height);
        break;
    case RDG_ACTION_CHECKPOINT:
        if (!r->evil) check_checkpoint(w, r, a);
        break;
    case RDG_ACTION_TIMER: {
        uint64_t now = host_now(w, r);
        item_t *it = world_add(w, ITEM_CORE_TIMER, r->id, a->at_ms > now ? a->at_ms - now : 0);
        it->number = ++r->core_timer;
        break;
    }
    case RDG_ACTION_BEHIND: {
        uint32_t peer = 0;
        while (peer < w->count && w->replicas[peer].validator != set_member(r->members, a->to)) ++peer;
        sync_behind(w, r, peer, a->height);
        break;
    }
    case RDG_ACTION_DIVERGED:
        if (!r->evil)
            world_violate(w, "result", "replica %u executed height %llu to another result", r->id,
                          (unsigned long long)a->height);
        break;
    case RDG_ACTION_EVIDENCE:
        ++w->evidence;
        check_evidence(w, r, a);
        break;
    case RDG_ACTION_READ: break;
    case RDG_ACTION_VIEW:
        world_say(w, "replica %u enters view %llu of %u (%.*s)", r->id, (unsigned long long)a->view, a->to,
                  (int)a->bytes.len, (const char *)a->bytes.data);
        break;
    }
}

/* A power cut in the middle: before the sync of the WRITEs, or after it and some of the other actions. */
static bool tears(world_t *w, replica_t *r) {
    bool any = rdg_consensus_output_count(r->out) > 1;
    return r->tear_after != UINT32_MAX && any && !w->healed;
}

static void carry_out(world_t *w, replica_t *r) {
    bool tear = tears(w, r), unsynced = tear && r->tear_after == 0;
    uint32_t left = tear ? r->tear_after : UINT32_MAX;
    uint32_t life = r->life;
    bool late = PLANTED("send-before-write");
    rdg_err_t err = late ? RDG_OK : write_records(w, r, unsynced);
    if (err != RDG_OK) host_halt(w, r, err);
    for (size_t i = 0; r->halted == RDG_OK && i < rdg_consensus_output_count(r->out) && !world_failed(w);
         ++i) {
        const rdg_consensus_action_t *a = rdg_consensus_output_at(r->out, i);
        if (a->kind == RDG_ACTION_WRITE || a->kind == RDG_ACTION_DELETE) continue;
        if (unsynced || left-- == 0) break;
        act(w, r, a);
        RDG_ASSERT(r->life == life);
    }
    if (late) (void)write_records(w, r, unsynced);
    if (!tear) return;
    uint64_t span = r->tear_span_ms;
    r->tear_after = UINT32_MAX;
    replica_stop(w, r, true);
    world_add(w, ITEM_RESTART, r->id, span);
}

rdg_err_t host_step(world_t *w, replica_t *r, const rdg_consensus_event_t *e) {
    if (!r->up || r->halted != RDG_OK || world_failed(w)) return RDG_OK;
    RDG_ASSERT(!r->stepping);
    r->stepping = true;
    rdg_consensus_output_clear(r->out);
    rdg_err_t err = rdg_consensus_step(r->core, host_now(w, r), e, r->out);
    world_trace(w, ((uint64_t)r->id << 40) + ((uint64_t)e->kind << 32) + (uint64_t)err,
                rdg_consensus_output_count(r->out));
    if (err != RDG_OK && !is_refusal(err))
        host_halt(w, r, err);
    else if (err == RDG_OK)
        carry_out(w, r);
    r->stepping = false;
    if (!r->up) return err;
    check_step(w, r);
    host_try_propose(w, r);
    return err;
}

void host_message(world_t *w, replica_t *r, uint32_t from, blob_t *bytes) {
    if (r->halted != RDG_OK) return;
    if (r->evil) evil_hears(w, r, bytes);
    rdg_err_t err = rdg_consensus_check(r->core, blob_view(bytes));
    if (err == RDG_OK)
        (void)host_step(w, r,
                        &(rdg_consensus_event_t){.kind = RDG_EVENT_MESSAGE,
                                                 .from = set_index(r->members, w->replicas[from].validator),
                                                 .bytes = blob_view(bytes)});
}

/* --- proposing -------------------------------------------------------------------------------------------- */

static bool may_build(world_t *w, replica_t *r, uint64_t *wait_ms) {
    uint64_t now = host_now(w, r), since = now - r->proposing.last_ms, due;
    *wait_ms = 0;
    if (r->proposing.height == 1 || r->pool_count >= w->plan.block_tx_max) return true;
    if (r->pool_count > 0)
        due = w->plan.block_interval_ms;
    else if (r->ledger.last_height > 0)
        due = w->plan.block_interval_ms; /* the change that is decided takes effect some blocks on */
    else if (w->plan.empty_block_ms > 0)
        due = w->plan.empty_block_ms;
    else
        return false;
    if (since >= due) return true;
    *wait_ms = due - since;
    return false;
}

void host_try_propose(world_t *w, replica_t *r) {
    uint64_t wait_ms;
    if (!r->up || r->halted != RDG_OK || !r->proposing.wanted || r->proposing.building || r->stepping) return;
    if (!lane_may_follow(w, r)) return; /* when the block before is executed */
    if (!may_build(w, r, &wait_ms)) {
        if (wait_ms == 0) return;
        item_t *it = world_add(w, ITEM_PROPOSE_TIMER, r->id, wait_ms);
        it->number = ++r->proposing.timer;
        return;
    }
    r->proposing.building = true;
    lane_push(w, r, (job_t){.kind = JOB_PROPOSE, .height = r->proposing.height, .view = r->proposing.view});
}

void host_tick(world_t *w, replica_t *r) {
    (void)world_add(w, ITEM_NODE_TICK, r->id, w->plan.retransmit_ms);
    if (r->halted != RDG_OK) return;
    pool_tick(w, r);
    sync_tick(w, r);
    sync_announce(w, r, UINT32_MAX);
    if (r->pool_count > 0 || r->ledger.last_height > 0 || r->ledger.height == 0)
        (void)host_step(w, r, &(rdg_consensus_event_t){.kind = RDG_EVENT_WORK});
    if (r->up) host_try_propose(w, r);
}
