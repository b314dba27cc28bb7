#include "internal.h"
#include "ridge/base/assert.h"
#include "ridge/base/log.h"
#include <string.h>

#define REFUSALS_LOGGED 8 /* of a tick: a peer must not fill the disk with what it gets wrong */

rdg_err_t host_sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out) {
    const rdg_node_t *n = ctx;
    return rdg_sm2_sign_standard(n->key, hash->b, sizeof hash->b, out);
}

void host_verify(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx;
    rdg_sm2_verify_batch(checks, count, results);
}

rdg_err_t host_digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out) {
    rdg_header_t header;
    (void)ctx;
    RDG_TRY(rdg_proposal_header(proposal, &header));
    return rdg_header_hash(&header, out);
}

/* --- actions
 * ------------------------------------------------------------------------------------------------------ */

/* Invariant 1 of node.h: everything that is to be written is durable before anything else of this output
 * happens. */
static rdg_err_t write_records(rdg_node_t *n) {
    bool any = false, sync = false;
    rdg_kv_batch_t *batch = NULL;
    record_key_t key;
    for (size_t i = 0; i < rdg_consensus_output_count(n->output); ++i) {
        const rdg_consensus_action_t *a = rdg_consensus_output_at(n->output, i);
        if (a->kind != RDG_ACTION_WRITE && a->kind != RDG_ACTION_DELETE) continue;
        if (!batch && !(batch = rdg_kv_batch_new())) return RDG_E_NO_MEMORY;
        any = true;
        if (a->kind == RDG_ACTION_WRITE) {
            rdg_kv_batch_put(batch, record_key(&key, n->epoch.validators.epoch, a->key), a->bytes);
            sync = true;
        } else {
            rdg_kv_batch_delete(batch, record_key(&key, n->epoch.validators.epoch, a->key));
        }
    }
    rdg_err_t err = any ? rdg_kv_write(rdg_ledger_kv(n->ledger), batch, sync) : RDG_OK;
    rdg_kv_batch_free(batch);
    return err;
}

static void act_send(rdg_node_t *n, const rdg_consensus_action_t *a) {
    for (uint32_t v = 0; v < n->epoch.validators.count; ++v) {
        if (v == n->self || (a->to != RDG_CONSENSUS_ALL && a->to != v) || n->peer_of[v] == SIZE_MAX) continue;
        rdg_err_t err = rdg_p2p_send(n->p2p, n->peer_of[v], MSG_CONSENSUS, a->bytes);
        if (err == RDG_E_FULL) rdg_metric_add(n->m_dropped, 1);
    }
}

static bool was_validated(const rdg_node_t *n, const rdg_hash_t *digest) {
    for (size_t i = 0; i < NODE_VALIDATED_MAX; ++i)
        if (rdg_hash_equal(&n->validated[i], digest)) return true;
    return false;
}

void driver_note_validated(rdg_node_t *n, const rdg_hash_t *digest) {
    n->validated[n->validated_next++ % NODE_VALIDATED_MAX] = *digest;
}

static void push(rdg_node_t *n, job_kind_t kind, const rdg_consensus_action_t *a, rdg_bytes_t bytes,
                 rdg_bytes_t seal) {
    job_t *job = lane_job(n, kind, bytes, seal);
    if (job) {
        job->height = a->height, job->view = a->view, job->digest = a->digest;
        job->verified = kind == JOB_APPLY && was_validated(n, &a->digest);
    }
    rdg_err_t err = lane_push(n, job);
    if (err == RDG_OK) return;
    rdg_log(RDG_LOG_ERROR, "node.lane_refused", RDG_U64("height", a->height),
            RDG_STR("code", rdg_err_name(err)));
    /* The core gives a decided block once: without it no later one can be applied. */
    if (kind == JOB_APPLY) node_halt(n, err, "a decided block could not be queued: restart this node");
}

static void act(rdg_node_t *n, const rdg_consensus_action_t *a) {
    const rdg_bytes_t none = {NULL, 0};
    switch (a->kind) {
    case RDG_ACTION_WRITE:
    case RDG_ACTION_DELETE: break;
    case RDG_ACTION_SEND: act_send(n, a); break;
    case RDG_ACTION_WANT_PROPOSAL:
        n->proposing.wanted = true;
        n->proposing.height = a->height;
        n->proposing.view = a->view;
        n->proposing.parent = a->digest;
        break;
    case RDG_ACTION_VALIDATE: push(n, JOB_VALIDATE, a, a->bytes, none); break;
    case RDG_ACTION_COMMIT: push(n, JOB_APPLY, a, a->bytes, a->certificate); break;
    case RDG_ACTION_CHECKPOINT: push(n, JOB_CHECKPOINT, a, none, a->certificate); break;
    case RDG_ACTION_TIMER: {
        uint64_t now = rdg_loop_now_ms(n->loop);
        rdg_timer_start(n->core_timer, a->at_ms > now ? a->at_ms - now : 0, 0);
        break;
    }
    case RDG_ACTION_BEHIND:
        sync_behind(n, a->to < n->epoch.validators.count ? n->peer_of[a->to] : SIZE_MAX, a->height);
        break;
    case RDG_ACTION_DIVERGED:
        rdg_log(RDG_LOG_ERROR, "node.diverged", RDG_U64("height", a->height),
                RDG_HEX("quorum", a->digest.b, 32));
        node_halt(n, RDG_E_DIVERGED, "a quorum executed this height to another result: recover this node");
        break;
    case RDG_ACTION_EVIDENCE: history_evidence(n, a); break;
    case RDG_ACTION_VIEW: history_view(n, a); break;
    case RDG_ACTION_READ: raft_read_answered(n, a); break;
    }
}

static bool halted(const rdg_node_t *n) {
    return n->seen.halted;
}

/* Of these the core says that nothing changed; after any other error it has stopped (consensus.h). */
static bool is_refusal(rdg_err_t err) {
    return err == RDG_E_STALE || err == RDG_E_PROTOCOL || err == RDG_E_INVALID || err == RDG_E_MALFORMED ||
           err == RDG_E_TOO_LARGE;
}

rdg_err_t driver_step(rdg_node_t *n, const rdg_consensus_event_t *event) {
    if (halted(n) || n->closing) return RDG_OK;
    RDG_ASSERT(!n->stepping);
    n->stepping = true;
    rdg_consensus_output_clear(n->output);
    rdg_err_t err = rdg_consensus_step(n->core, rdg_loop_now_ms(n->loop), event, n->output);
    if (err != RDG_OK && !is_refusal(err)) {
        node_halt(n, err, rdg_err_message(err));
    } else if (err != RDG_OK) {
        rdg_metric_add(n->m_refused, 1);
        rdg_log(RDG_LOG_DEBUG, "node.event_refused", RDG_U64("kind", event->kind),
                RDG_U64("height", event->height), RDG_STR("why", rdg_err_message(err)));
    } else {
        rdg_err_t failed = write_records(n);
        if (failed != RDG_OK) node_halt(n, failed, rdg_err_message(failed));
        for (size_t i = 0; !halted(n) && i < rdg_consensus_output_count(n->output); ++i)
            act(n, rdg_consensus_output_at(n->output, i));
        epoch_watch_lost(n);
    }
    n->stepping = false;
    driver_try_propose(n);
    return err;
}

void driver_message(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    if (inbox_put(n->inbox, peer, bytes) != RDG_OK) rdg_metric_add(n->m_dropped, 1);
}

void driver_deliver(void *node, size_t peer, rdg_bytes_t bytes, rdg_err_t err, const char *why) {
    rdg_node_t *n = node;
    if (err != RDG_OK) {
        rdg_metric_add(n->m_refused, 1);
        /* Another epoch: one of the two is a moment ahead, and says it again when both are there. */
        if (err != RDG_E_STALE && n->refusals++ < REFUSALS_LOGGED)
            rdg_log(RDG_LOG_WARN, "pbft.message_refused", RDG_STR("peer", n->peers[peer].name),
                    RDG_STR("code", rdg_err_name(err)), RDG_STR("why", why));
        return;
    }
    uint32_t from = rdg_validators_find(&n->epoch.validators, &n->peers[peer].key);
    (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_MESSAGE, .from = from, .bytes = bytes});
    status_refresh(n);
}
