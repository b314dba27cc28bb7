#include "world.h"
#include "planted.h"
#include "ridge/base/assert.h"
#include <string.h>

/* Work on the ledger, one job at a time and in order, as libs/node/src/lane.c does it. What a job does, it does when
 * its time is over; a power cut before loses it. */

static void job_clear(job_t *j) {
    blob_unref(j->bytes);
    blob_unref(j->seal);
    memset(j, 0, sizeof *j);
}

void lane_clear(replica_t *r) {
    for (; r->lane_count > 0; --r->lane_count) {
        job_clear(&r->lane[r->lane_head]);
        r->lane_head = (r->lane_head + 1) % LANE_MAX;
    }
    r->lane_running = false;
}

static uint64_t duration(world_t *w, const replica_t *r, const job_t *j) {
    uint64_t slow = w->exec_ms[r->id];
    switch (j->kind) {
    case JOB_PROPOSE: return 1 + dice_below(&w->dice, 4);
    case JOB_VALIDATE: return dice_below(&w->dice, 4);
    case JOB_APPLY: return w->plan.execute_ms + dice_below(&w->dice, 4) + slow;
    case JOB_IMPORT: return 2 + w->plan.execute_ms + slow;
    }
    return 0;
}

static void lane_next(world_t *w, replica_t *r) {
    if (r->lane_running || r->lane_count == 0) return;
    r->lane_running = true;
    (void)world_add(w, ITEM_JOB, r->id, duration(w, r, &r->lane[r->lane_head]));
}

void lane_push(world_t *w, replica_t *r, job_t job) {
    if (r->lane_count == LANE_MAX) {
        world_violate(w, "bounds", "the lane of replica %u is full", r->id);
        job_clear(&job);
        return;
    }
    r->lane[(r->lane_head + r->lane_count++) % LANE_MAX] = job;
    lane_next(w, r);
}

/* --- proposing -------------------------------------------------------------------------------------------- */

static const proposed_t *find_proposed(const replica_t *r, const rdg_hash_t *digest) {
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i)
        if (r->proposed[i].height > r->ledger.height && rdg_hash_equal(&r->proposed[i].digest, digest))
            return &r->proposed[i];
    return NULL;
}

/* Whether only own blocks lie between the ledger's head and the one to follow; if so and marks are given, theirs are set
 * for each transaction in them. PBFT follows the head alone. */
static bool stands_on_head(const world_t *w, const replica_t *r, uint8_t *marks) {
    const rdg_hash_t *at = &r->proposing.parent;
    while (!rdg_hash_equal(at, ledger_hash(&r->ledger))) {
        const proposed_t *p = w->plan.protocol->byzantine ? NULL : find_proposed(r, at);
        if (!p) return false;
        for (uint32_t i = 0; i < p->count && marks; ++i) marks[p->txs[i]] = 1;
        at = &p->parent;
    }
    return true;
}

bool lane_may_follow(const world_t *w, const replica_t *r) {
    return stands_on_head(w, r, NULL);
}

static void remember(replica_t *r, const block_t *b, const uint16_t *txs, rdg_bytes_t bytes) {
    proposed_t *p = &r->proposed[b->height % RDG_CONSENSUS_WINDOW];
    *p = (proposed_t){.parent = b->parent, .height = b->height, .time_ms = b->time_ms, .count = b->count};
    memcpy(p->txs, txs, b->count * sizeof *txs);
    (void)block_digest(NULL, bytes, &p->digest);
}

static void propose(world_t *w, replica_t *r, const job_t *j) {
    const ledger_t *l = &r->ledger;
    bool allow_empty = j->height == 1 || l->last_height > 0 || w->plan.empty_block_ms > 0;
    uint16_t txs[SIM_BLOCK_TXS_MAX];
    static uint8_t taken[SIM_TXS_MAX];
    block_t b = {.height = j->height, .parent = r->proposing.parent, .proposer = r->validator};
    r->proposing.building = false;
    if (!r->proposing.wanted || r->proposing.height != j->height || r->proposing.view != j->view) return;
    memset(taken, 0, sizeof taken);
    if (!stands_on_head(w, r, taken)) return;
    for (size_t i = 0; i < r->pool_count && b.count < w->plan.block_tx_max && b.count < SIM_BLOCK_TXS_MAX;
         ++i)
        if (l->tx_height[r->pool[i]] == 0 && !taken[r->pool[i]]) txs[b.count++] = r->pool[i];
    if (b.count == 0) r->proposing.last_ms = host_now(w, r); /* what waits is in none: not at once again */
    if (b.count == 0 && !allow_empty) return;
    const proposed_t *before = find_proposed(r, &b.parent);
    uint64_t now = host_wall(w, r), parent = before          ? before->time_ms
                                             : l->height > 0 ? l->blocks[l->height].time_ms
                                                             : 0;
    b.time_ms = now > parent ? now : parent + 1;
    b.nonce = dice_next(&w->dice);
    rdg_buf_t out;
    rdg_buf_init(&out, 1u << 20);
    block_make(&b, txs, &out);
    remember(r, &b, txs, rdg_buf_view(&out));
    r->proposing.wanted = false;
    r->proposing.last_ms = host_now(w, r);
    (void)host_step(
        w, r,
        &(rdg_consensus_event_t){
            .kind = RDG_EVENT_PAYLOAD, .height = j->height, .view = j->view, .bytes = rdg_buf_view(&out)});
    rdg_buf_fini(&out);
}

/* --- judging and executing -------------------------------------------------------------------------------- */

static void validate(world_t *w, replica_t *r, const job_t *j) {
    rdg_err_t err = ledger_judge(&r->ledger, blob_view(j->bytes), host_wall(w, r));
    if (PLANTED("validate-nothing") && err != RDG_E_STALE) err = RDG_OK;
    if (err != RDG_OK)
        world_say(w, "replica %u refuses the block of %llu: %s", r->id, (unsigned long long)j->height,
                  rdg_err_name(err));
    (void)host_step(w, r,
                    &(rdg_consensus_event_t){.kind = RDG_EVENT_VALIDATED,
                                             .height = j->height,
                                             .view = j->view,
                                             .digest = j->digest,
                                             .ok = err == RDG_OK});
}

rdg_err_t apply_block(world_t *w, replica_t *r, rdg_bytes_t proposal, rdg_bytes_t seal) {
    ledger_t *l = &r->ledger;
    rdg_hash_t digest;
    rdg_buf_t batch;
    RDG_TRY(ledger_judge(l, proposal, 0));
    RDG_TRY(block_digest(NULL, proposal, &digest));
    if (!PLANTED("sync-unsealed") &&
        !keys_certificate_holds(w, seal, w->plan.protocol->seal, l->height + 1, &digest))
        return rdg_fail(RDG_E_BAD_SIGNATURE, "a block whose seal does not hold");
    disk_batch_begin(&batch);
    disk_batch_put(&batch, DISK_BLOCK, seal, proposal);
    rdg_err_t err =
        disk_write(&r->disk, &batch, !(PLANTED("block-unsynced") || PLANTED("raft-block-unsynced")));
    rdg_buf_fini(&batch);
    if (err != RDG_OK) return err;
    r->block_end = r->disk.log.len;
    blob_t *p = blob_new(proposal), *s = blob_new(seal);
    ledger_append(l, p, s);
    r->marked = true;
    blob_unref(p), blob_unref(s);
    for (uint32_t i = 0; i < (proposal.len - BLOCK_HEAD) / TX_BYTES; ++i)
        pool_remove(r, block_tx(proposal, i));
    check_applied(w, r, l->height);
    return RDG_OK;
}

static void report_executed(world_t *w, replica_t *r, uint64_t height) {
    rdg_consensus_event_t e = {
        .kind = RDG_EVENT_EXECUTED, .height = height, .last_height = r->ledger.last_height};
    ledger_executed_digest(&r->ledger, height, &e.digest);
    (void)host_step(w, r, &e);
}

static void apply(world_t *w, replica_t *r, const job_t *j) {
    if (j->height > r->ledger.height) {
        rdg_err_t err = apply_block(w, r, blob_view(j->bytes), blob_view(j->seal));
        if (err != RDG_OK) {
            host_halt(w, r, err);
            return;
        }
    }
    if (r->epoch != r->ledger.epoch)
        replica_next_epoch(w, r);
    else if (j->height >= r->ledger.first_height)
        report_executed(w, r, j->height);
}

static rdg_bytes_t read_part(rdg_reader_t *r) {
    return rdg_read_bytes(r, rdg_read_u32(r));
}

static void import(world_t *w, replica_t *r, const job_t *j) {
    rdg_reader_t in;
    rdg_err_t err = RDG_OK;
    rdg_reader_init(&in, blob_view(j->bytes));
    while (err == RDG_OK && rdg_reader_left(&in) > 0) {
        block_t b;
        rdg_bytes_t proposal = read_part(&in), seal = read_part(&in);
        if (!rdg_reader_ok(&in) || proposal.len < BLOCK_HEAD || !block_read(proposal, &b))
            err = RDG_E_MALFORMED;
        else if (b.height > r->ledger.height)
            err = apply_block(w, r, proposal, seal);
    }
    if (err == RDG_E_DISK_FULL)
        host_halt(w, r, err);
    else
        sync_imported(w, r, j, err);
}

void lane_done(world_t *w, replica_t *r) {
    job_t j = r->lane[r->lane_head];
    uint32_t life = r->life;
    RDG_ASSERT(r->lane_count > 0 && r->lane_running);
    memset(&r->lane[r->lane_head], 0, sizeof j);
    r->lane_head = (r->lane_head + 1) % LANE_MAX;
    --r->lane_count;
    r->lane_running = false;
    if (r->halted == RDG_OK) {
        switch (j.kind) {
        case JOB_PROPOSE: propose(w, r, &j); break;
        case JOB_VALIDATE: validate(w, r, &j); break;
        case JOB_APPLY: apply(w, r, &j); break;
        case JOB_IMPORT: import(w, r, &j); break;
        }
    }
    job_clear(&j);
    if (r->life != life) return;
    if (r->halted != RDG_OK)
        lane_clear(r);
    else
        lane_next(w, r);
    host_try_propose(w, r);
}
