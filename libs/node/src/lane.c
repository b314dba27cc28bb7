#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include <stdio.h>
#include <string.h>

job_t *lane_job(rdg_node_t *n, job_kind_t kind, rdg_bytes_t bytes, rdg_bytes_t seal) {
    job_t *job = rdg_calloc(1, sizeof *job);
    if (!job) return NULL;
    job->owner = n;
    job->kind = kind;
    rdg_list_init(&job->node);
    rdg_buf_init(&job->bytes, NODE_FRAME_MAX);
    rdg_buf_init(&job->seal, 1u << 20);
    (void)rdg_buf_append(&job->bytes, bytes.data, bytes.len);
    (void)rdg_buf_append(&job->seal, seal.data, seal.len);
    return job;
}

static void job_free(job_t *job) {
    rdg_buf_fini(&job->bytes);
    rdg_buf_fini(&job->seal);
    rdg_free(job);
}

/* A block may reach the lane twice, by agreement and by sync: the second time it only reports the result. */
static rdg_err_t run_apply(job_t *job) {
    rdg_node_t *n = job->owner;
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_ledger_head(n->ledger, &head);
    if (job->height <= head.height) {
        RDG_TRY(rdg_ledger_header(n->ledger, job->height, NULL, NULL, &executed));
        return rdg_executed_hash(&executed, &job->executed);
    }
    uint64_t start = rdg_mono_us(rdg_clock_system());
    /* Under Raft nobody has judged the leader's block before. What waits in the pool has its signature verified. */
    if (!job->verified && rdg_genesis_is_raft(&n->genesis)) {
        RDG_TRY(rdg_ledger_validate(n->ledger, n->pool, rdg_buf_view(&job->bytes), UINT64_MAX / 2));
        job->verified = true;
    }
    RDG_TRY(rdg_ledger_apply(n->ledger, rdg_buf_view(&job->bytes), rdg_buf_view(&job->seal), job->verified,
                             &executed));
    job->txs = lane_forget(n, job->height);
    rdg_metric_observe(n->m_apply_ms, (double)(rdg_mono_us(rdg_clock_system()) - start) / 1000.0);
    return rdg_executed_hash(&executed, &job->executed);
}

static rdg_err_t run_job(job_t *job) {
    rdg_node_t *n = job->owner;
    uint64_t wall = rdg_wall_ms(rdg_clock_system());
    if (rdg_buf_err(&job->bytes) != RDG_OK) return rdg_buf_err(&job->bytes);
    if (rdg_buf_err(&job->seal) != RDG_OK) return rdg_buf_err(&job->seal);
    switch (job->kind) {
    case JOB_VALIDATE: return rdg_ledger_validate(n->ledger, n->pool, rdg_buf_view(&job->bytes), wall);
    case JOB_APPLY: return run_apply(job);
    case JOB_CHECKPOINT: return rdg_ledger_checkpoint(n->ledger, job->height, rdg_buf_view(&job->seal));
    case JOB_IMPORT: return bodies_import(n, job);
    case JOB_HEADERS: return rdg_headers_import(n->ledger, rdg_buf_view(&job->bytes), &job->height);
    case JOB_MANIFEST:
    case JOB_CHUNK:
    case JOB_FINISH:
    case JOB_SWEEP: return snapshot_run(n, job);
    }
    return RDG_E_INTERNAL;
}

static void on_work(void *arg) {
    job_t *job = arg;
    job->err = run_job(job);
    if (job->err != RDG_OK) snprintf(job->why, sizeof job->why, "%s", rdg_err_message(job->err));
}

static bool is_fatal(rdg_err_t err) {
    return err == RDG_E_IO || err == RDG_E_DISK_FULL || err == RDG_E_CORRUPT || err == RDG_E_DIVERGED;
}

void node_halt(rdg_node_t *n, rdg_err_t err, const char *why) {
    pthread_mutex_lock(&n->lock);
    bool first = !n->seen.halted;
    n->seen.halted = true;
    if (first) snprintf(n->seen.halted_why, sizeof n->seen.halted_why, "%s: %s", rdg_err_name(err), why);
    pthread_mutex_unlock(&n->lock);
    if (first && is_damage(err)) damage_record(n->dir, err, why, false);
    if (first) rdg_log(RDG_LOG_ERROR, "node.halted", RDG_STR("code", rdg_err_name(err)), RDG_STR("why", why));
}

static void done_validate(rdg_node_t *n, job_t *job) {
    if (job->err == RDG_OK)
        driver_note_validated(n, &job->digest);
    else
        rdg_log(RDG_LOG_WARN, "node.proposal_refused", RDG_U64("height", job->height),
                RDG_U64("view", job->view), RDG_STR("code", rdg_err_name(job->err)),
                RDG_STR("why", job->why));
    (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_VALIDATED,
                                                  .height = job->height,
                                                  .view = job->view,
                                                  .digest = job->digest,
                                                  .ok = job->err == RDG_OK});
}

size_t lane_forget(rdg_node_t *n, uint64_t height) {
    rdg_block_t *block = NULL;
    if (rdg_ledger_block(n->ledger, height, &block) != RDG_OK) return 0;
    size_t count = block->header.tx_count;
    rdg_hash_t *ids = rdg_alloc((block->header.tx_count + 1) * sizeof *ids);
    if (ids) {
        for (uint32_t i = 0; i < block->header.tx_count; ++i) ids[i] = block->txs[i]->id;
        rdg_pool_committed(n->pool, ids, block->header.tx_count, block->header.height);
        rdg_metric_add(n->m_txs, block->header.tx_count);
    }
    rdg_free(ids);
    rdg_block_unref(block);
    return count;
}

static void done_apply(rdg_node_t *n, job_t *job) {
    if (job->err != RDG_OK) {
        rdg_log(RDG_LOG_ERROR, "node.apply_failed", RDG_U64("height", job->height),
                RDG_STR("code", rdg_err_name(job->err)), RDG_STR("why", job->why));
        node_halt(n, job->err, job->why);
        return;
    }
    driver_mark_voted(n);
    rdg_metric_add(n->m_blocks, 1);
    rdg_metric_set(n->m_height, (int64_t)job->height);
    rdg_log(RDG_LOG_DEBUG, "node.block", RDG_U64("height", job->height), RDG_HEX("hash", job->digest.b, 32));
    proposing_count(n, job->height, job->txs);
    backlog_count(n, job->txs);
    giver_pin(n, false);
    (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_EXECUTED,
                                                  .height = job->height,
                                                  .last_height = epoch_last_height(n),
                                                  .digest = job->executed});
    (void)epoch_advance(n);
}

static void lane_next(rdg_node_t *n);

static void on_done(void *arg) {
    job_t *job = arg;
    rdg_node_t *n = job->owner;
    n->lane.running = false;
    if (!n->closing) {
        if (job->err != RDG_OK && is_fatal(job->err)) node_halt(n, job->err, job->why);
        switch (job->kind) {
        case JOB_VALIDATE: done_validate(n, job); break;
        case JOB_APPLY: done_apply(n, job); break;
        case JOB_CHECKPOINT:
            if (job->err != RDG_OK)
                rdg_log(RDG_LOG_ERROR, "node.checkpoint_refused", RDG_U64("height", job->height),
                        RDG_STR("why", job->why));
            break;
        case JOB_IMPORT: bodies_imported(n, job); break;
        case JOB_HEADERS: headers_taken(n, job); break;
        case JOB_MANIFEST:
        case JOB_CHUNK:
        case JOB_FINISH:
        case JOB_SWEEP: snapshot_job_done(n, job); break;
        }
        if (job->kind == JOB_APPLY || job->kind == JOB_IMPORT) {
            rdg_node_rpc_wake(n->rpc);
            if (n->http) rdg_http_server_wake(n->http);
        }
        status_refresh(n);
        driver_try_propose(n);
    }
    job_free(job);
    if (n->seen.halted)
        lane_close(n); /* nothing may be applied on top of a failure */
    else
        lane_next(n);
}

static void lane_next(rdg_node_t *n) {
    if (n->lane.running || n->closing || rdg_list_empty(&n->lane.jobs)) return;
    job_t *job = RDG_LIST_ENTRY(n->lane.jobs.next, job_t, node);
    rdg_list_remove(&job->node);
    --n->lane.count;
    n->lane.running = true;
    if (rdg_loop_work(n->loop, on_work, on_done, job) == RDG_OK) return;
    n->lane.running = false;
    node_halt(n, RDG_E_NO_MEMORY, "the worker pool takes no job");
    job_free(job);
}

rdg_err_t lane_push(rdg_node_t *n, job_t *job) {
    if (!job) return RDG_E_NO_MEMORY;
    if (n->closing || n->lane.count >= RDG_NODE_LANE_MAX) {
        rdg_metric_add(n->m_dropped, 1);
        job_free(job);
        return RDG_E_FULL;
    }
    rdg_list_append(&n->lane.jobs, &job->node);
    ++n->lane.count;
    lane_next(n);
    return RDG_OK;
}

void lane_close(rdg_node_t *n) {
    RDG_LIST_EACH_SAFE(it, &n->lane.jobs) {
        rdg_list_remove(it);
        job_free(RDG_LIST_ENTRY(it, job_t, node));
    }
    n->lane.count = 0;
}
