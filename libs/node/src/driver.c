#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define RECORD_PREFIX 'C'
#define RECORD_KEY_MAX 64
#define RECORDS_MAX 4096
#define REFUSALS_LOGGED 8 /* of a tick: a peer must not fill the disk with what it gets wrong */
#define WORK_LOOK 8

static rdg_err_t host_sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out) {
    const rdg_node_t *n = ctx;
    return rdg_sm2_sign(n->key, hash->b, sizeof hash->b, out);
}

static rdg_err_t host_verify(void *ctx, const rdg_sm2_public_t *key, const rdg_hash_t *hash,
                             const rdg_sm2_signature_t *sig) {
    (void)ctx;
    return rdg_sm2_verify(key, hash->b, sizeof hash->b, sig);
}

static rdg_err_t host_digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out) {
    rdg_header_t header;
    (void)ctx;
    RDG_TRY(rdg_proposal_header(proposal, &header));
    return rdg_header_hash(&header, out);
}

/* --- actions
 * ------------------------------------------------------------------------------------------------------ */

static rdg_bytes_t record_key(uint8_t *out, rdg_bytes_t key) {
    RDG_ASSERT(key.len <= RECORD_KEY_MAX);
    out[0] = RECORD_PREFIX;
    memcpy(out + 1, key.data, key.len);
    return rdg_bytes(out, key.len + 1);
}

/* Invariant 1 of node.h: everything that is to be written is durable before anything else of this output
 * happens. */
static rdg_err_t write_records(rdg_node_t *n) {
    bool any = false, sync = false;
    rdg_kv_batch_t *batch = NULL;
    uint8_t key[RECORD_KEY_MAX + 1];
    for (size_t i = 0; i < rdg_consensus_output_count(n->output); ++i) {
        const rdg_consensus_action_t *a = rdg_consensus_output_at(n->output, i);
        if (a->kind != RDG_ACTION_WRITE && a->kind != RDG_ACTION_DELETE) continue;
        if (!batch && !(batch = rdg_kv_batch_new())) return RDG_E_NO_MEMORY;
        any = true;
        if (a->kind == RDG_ACTION_WRITE) {
            rdg_kv_batch_put(batch, record_key(key, a->key), a->bytes);
            sync = true;
        } else {
            rdg_kv_batch_delete(batch, record_key(key, a->key));
        }
    }
    rdg_err_t err = any ? rdg_kv_write(rdg_ledger_kv(n->ledger), batch, sync) : RDG_OK;
    rdg_kv_batch_free(batch);
    return err;
}

static void act_send(rdg_node_t *n, const rdg_consensus_action_t *a) {
    for (uint32_t v = 0; v < n->genesis.validators.count; ++v) {
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

static void log_view(rdg_node_t *n, const rdg_consensus_action_t *a) {
    char why[16];
    snprintf(why, sizeof why, "%.*s", (int)a->bytes.len, (const char *)a->bytes.data);
    rdg_log(RDG_LOG_INFO, "consensus.view", RDG_U64("view", a->view), RDG_U64("height", a->height),
            RDG_STR("leader", a->to < n->genesis.validators.count ? n->genesis.validator_names[a->to] : ""),
            RDG_STR("why", why));
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
        sync_behind(n, a->to < n->genesis.validators.count ? n->peer_of[a->to] : SIZE_MAX, a->height);
        break;
    case RDG_ACTION_DIVERGED:
        rdg_log(RDG_LOG_ERROR, "node.diverged", RDG_U64("height", a->height),
                RDG_HEX("quorum", a->digest.b, 32));
        node_halt(n, RDG_E_DIVERGED, "a quorum executed this height to another result: recover this node");
        break;
    case RDG_ACTION_EVIDENCE:
        rdg_log(RDG_LOG_ERROR, "pbft.equivocation", RDG_U64("validator", a->to), RDG_U64("height", a->height),
                RDG_HEX("evidence", a->bytes.data, a->bytes.len < 256 ? a->bytes.len : 256));
        break;
    case RDG_ACTION_VIEW: log_view(n, a); break;
    case RDG_ACTION_READ: break;
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
    }
    n->stepping = false;
    driver_try_propose(n);
    return err;
}

void driver_message(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    rdg_err_t err = rdg_consensus_check(n->core, bytes);
    if (err != RDG_OK) {
        rdg_metric_add(n->m_refused, 1);
        if (n->refusals++ < REFUSALS_LOGGED)
            rdg_log(RDG_LOG_WARN, "pbft.message_refused", RDG_STR("peer", n->peers[peer].name),
                    RDG_STR("code", rdg_err_name(err)), RDG_STR("why", rdg_err_message(err)));
        return;
    }
    uint32_t from = rdg_validators_find(&n->genesis.validators, &n->peers[peer].key);
    (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_MESSAGE, .from = from, .bytes = bytes});
    status_refresh(n);
}

/* --- proposing
 * ---------------------------------------------------------------------------------------------------- */

/* When a wanted proposal may be built: at once for the first block (it shows that the chain lives) and for a
 * full pool, else block_interval after the last one; without transactions only if empty blocks are
 * configured. */
static bool may_build(rdg_node_t *n, uint64_t *wait_ms) {
    const rdg_chain_params_t *params = &n->genesis.params;
    uint64_t now = rdg_loop_now_ms(n->loop), since = now - n->proposing.last_ms, due;
    size_t pooled = rdg_pool_count(n->pool);
    *wait_ms = 0;
    if (n->proposing.height == 1 || pooled >= params->block_tx_max) return true;
    if (pooled > 0)
        due = params->block_interval_ms;
    else if (params->empty_block_ms > 0)
        due = params->empty_block_ms;
    else
        return false;
    if (since >= due) return true;
    *wait_ms = due - since;
    return false;
}

void driver_try_propose(rdg_node_t *n) {
    if (!n->proposing.wanted || n->proposing.building || halted(n) || n->closing) return;
    uint64_t wait_ms;
    if (!may_build(n, &wait_ms)) {
        if (wait_ms > 0) rdg_timer_start(n->proposing.timer, wait_ms, 0);
        return;
    }
    job_t *job = lane_job(n, JOB_PROPOSE, rdg_bytes(NULL, 0), rdg_bytes(NULL, 0));
    if (!job) return;
    job->height = n->proposing.height, job->view = n->proposing.view;
    job->allow_empty = job->height == 1 || n->genesis.params.empty_block_ms > 0;
    n->proposing.building = true;
    if (lane_push(n, job) != RDG_OK) n->proposing.building = false;
}

/* What was committed while it was on its way into the pool would be asked of the leader for ever. */
static bool has_work(rdg_node_t *n) {
    rdg_tx_t *txs[WORK_LOOK];
    size_t waiting = 0, count = rdg_pool_take(n->pool, 0, WORK_LOOK, SIZE_MAX, UINT64_MAX, txs);
    for (size_t i = 0; i < count; ++i) {
        rdg_tx_location_t where;
        if (rdg_ledger_find_tx(n->ledger, &txs[i]->id, &where) == RDG_OK)
            rdg_pool_committed(n->pool, &txs[i]->id, 1, 0);
        else
            ++waiting;
        rdg_tx_unref(txs[i]);
    }
    return waiting > 0;
}

void driver_tick(rdg_node_t *n) {
    if (!halted(n) && has_work(n)) (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_WORK});
    driver_try_propose(n);
}

static void on_propose_timer(void *arg) {
    driver_try_propose(arg);
}

static void on_core_timer(void *arg) {
    (void)driver_step(arg, &(rdg_consensus_event_t){.kind = RDG_EVENT_TICK});
}

/* --- start
 * -------------------------------------------------------------------------------------------------------- */

rdg_err_t driver_open(rdg_node_t *n) {
    rdg_consensus_config_t config = {
        .validators = n->genesis.validators,
        .self = n->self,
        .retransmit_ms = 500,
        .view_timeout_ms = 2000,
        .checkpoint_interval = 1,
        .host = {host_sign, host_verify, host_digest, n},
    };
    if (strcmp(n->genesis.consensus, "pbft") != 0)
        return rdg_fail(RDG_E_UNSUPPORTED, "consensus '%s' is not supported by this version: use pbft",
                        n->genesis.consensus);
    if (!(n->output = rdg_consensus_output_new()))
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for consensus");
    RDG_TRY(rdg_pbft_new(&config, &n->core));
    RDG_TRY(rdg_timer_new(n->loop, on_core_timer, n, &n->core_timer));
    return rdg_timer_new(n->loop, on_propose_timer, n, &n->proposing.timer);
}

typedef struct records {
    rdg_arena_t arena;
    rdg_consensus_record_t *list;
    size_t count;
} records_t;

static rdg_err_t load_records(rdg_node_t *n, records_t *r) {
    static const uint8_t prefix[] = {RECORD_PREFIX};
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    r->list = rdg_arena_calloc(&r->arena, RECORDS_MAX, sizeof *r->list);
    if (!r->list) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the consensus records");
    RDG_TRY(
        rdg_kv_iter_open(rdg_ledger_kv(n->ledger), NULL, rdg_bytes(prefix, 1), rdg_bytes(prefix, 1), &it));
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && rdg_kv_iter_next(it, &key, &value)) {
        if (r->count == RECORDS_MAX)
            err = rdg_fail(RDG_E_CORRUPT, "more than %d consensus records", RECORDS_MAX);
        void *k = rdg_arena_copy(&r->arena, key.data + 1, key.len - 1);
        void *v = rdg_arena_copy(&r->arena, value.data, value.len);
        if (err == RDG_OK && (!k || (!v && value.len > 0))) err = rdg_fail(RDG_E_NO_MEMORY, "no memory");
        if (err != RDG_OK) break;
        r->list[r->count++] = (rdg_consensus_record_t){rdg_bytes(k, key.len - 1), rdg_bytes(v, value.len)};
    }
    if (err == RDG_OK) err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}

/* --- having voted before ------------------------------------------------------------------------------------------
 * A validator whose ledger was lost must not vote as if it were new: it might contradict what it signed. A mark beside
 * the ledger tells the one from the other; it is set with the first block, when others can bring this node up again. */

static rdg_err_t mark_path(const rdg_node_t *n, char path[PATH_MAX]) {
    return rdg_path_join(path, PATH_MAX, n->dir, "voted");
}

void driver_mark_voted(rdg_node_t *n) {
    char path[PATH_MAX];
    if (n->marked || n->self >= n->genesis.validators.count) return;
    rdg_err_t err = mark_path(n, path);
    if (err == RDG_OK && !rdg_file_exists(path)) err = rdg_file_replace(path, rdg_bytes_str("1\n"), 0600);
    n->marked = err == RDG_OK;
    if (err != RDG_OK) node_halt(n, err, rdg_err_message(err));
}

static bool has_lost_its_votes(const rdg_node_t *n, const rdg_ledger_head_t *head, const records_t *records) {
    char path[PATH_MAX];
    return head->height == 0 && records->count == 0 && mark_path(n, path) == RDG_OK && rdg_file_exists(path);
}

static rdg_err_t start_core(rdg_node_t *n, const rdg_ledger_head_t *head) {
    records_t records = {.count = 0};
    rdg_buf_t seal;
    rdg_buf_init(&seal, 1u << 20);
    rdg_arena_init(&records.arena, 256u << 20);
    rdg_err_t err = load_records(n, &records);
    if (err == RDG_OK && head->height > 0) err = rdg_ledger_seal(n->ledger, head->height, &seal, NULL);
    bool amnesia = err == RDG_OK && has_lost_its_votes(n, head, &records);
    if (amnesia) rdg_log0(RDG_LOG_WARN, "node.lost_ledger");
    if (err == RDG_OK)
        err = driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_START,
                                                      .height = head->height,
                                                      .digest = head->hash,
                                                      .bytes = rdg_buf_view(&seal),
                                                      .amnesia = amnesia,
                                                      .records = records.list,
                                                      .record_count = records.count});
    rdg_arena_fini(&records.arena);
    rdg_buf_fini(&seal);
    return err;
}

void driver_start(rdg_node_t *n) {
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    rdg_err_t err = start_core(n, &head);
    if (err != RDG_OK) node_halt(n, err, rdg_err_message(err));
    if (head.height > 0) driver_mark_voted(n);
    /* The checkpoint vote of the last block may not have left before the stop. */
    if (err == RDG_OK && head.height > head.checkpoint_height)
        (void)driver_step(n, &(rdg_consensus_event_t){
                                 .kind = RDG_EVENT_EXECUTED, .height = head.height, .digest = head.executed});
}

void driver_close(rdg_node_t *n) {
    if (n->core_timer) rdg_timer_free(n->core_timer);
    if (n->proposing.timer) rdg_timer_free(n->proposing.timer);
    rdg_consensus_free(n->core);
    rdg_consensus_output_free(n->output);
}
