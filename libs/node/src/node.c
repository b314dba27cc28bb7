#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define TICK_MS 500
#define SPACE_TO_RESTART (64ull << 20) /* or a tenth of a smaller file system */

static void on_message(void *ctx, size_t peer, uint8_t type, rdg_bytes_t bytes) {
    rdg_node_t *n = ctx;
    switch (type) {
    case MSG_CONSENSUS:
        if (!n->seen.halted) driver_message(n, peer, bytes);
        break;
    case MSG_TXS:
        if (!n->seen.halted && !n->closed) gossip_receive(n, bytes);
        break;
    case MSG_STATUS: sync_status(n, peer, bytes); break;
    case MSG_BLOCKS_GET: giver_blocks(n, peer, bytes); break;
    case MSG_BLOCKS: bodies_receive(n, peer, bytes); break;
    case MSG_HEADERS_GET: giver_headers(n, peer, bytes); break;
    case MSG_HEADERS: headers_receive(n, peer, bytes); break;
    case MSG_SNAPSHOT_GET: giver_snapshot(n, peer, bytes); break;
    case MSG_SNAPSHOT: snapshot_manifest(n, peer, bytes); break;
    case MSG_CHUNK_GET: giver_chunk(n, peer, bytes); break;
    case MSG_CHUNK: snapshot_chunk(n, peer, bytes); break;
    default: rdg_metric_add(n->m_refused, 1);
    }
}

static void on_link(void *ctx, size_t peer, bool up) {
    rdg_node_t *n = ctx;
    if (up) {
        sync_link_up(n, peer);
        gossip_link_up(n, peer);
        uint32_t validator = rdg_validators_find(&n->epoch.validators, &n->peers[peer].key);
        (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_LINKED, .from = validator});
    } else {
        sync_link_down(n, peer);
    }
    status_refresh(n);
}

/* <dir>/closed: the chain is to be archived and destroyed; what waits in the pool is still sealed. */
static void watch_closed(rdg_node_t *n) {
    char path[4096];
    if (n->closed || rdg_path_join(path, sizeof path, n->dir, "closed") != RDG_OK || !rdg_file_exists(path))
        return;
    __atomic_store_n(&n->closed, true, __ATOMIC_RELEASE);
    rdg_log0(RDG_LOG_INFO, "node.closed");
}

/* A full disk is the one halt that mends itself: with room again, a restart resumes where the ledger stands.
 */
static void watch_halt(rdg_node_t *n) {
    struct statvfs fs;
    char data[4096];
    if (!n->seen.halted || strncmp(n->seen.halted_why, "DISK_FULL", 9) != 0) return;
    if (rdg_path_join(data, sizeof data, n->dir, "data") != RDG_OK || statvfs(data, &fs) != 0) return;
    uint64_t tenth = (uint64_t)fs.f_blocks * fs.f_frsize / 10;
    uint64_t wanted = tenth < SPACE_TO_RESTART ? tenth : SPACE_TO_RESTART;
    if ((uint64_t)fs.f_bavail * fs.f_frsize < wanted) return;
    rdg_log(RDG_LOG_WARN, "node.restart", RDG_STR("why", "there is room on the disk again"));
    n->exit_status = RDG_NODE_EXIT_RESTART;
    rdg_loop_stop(n->loop);
}

static void on_tick(void *arg) {
    rdg_node_t *n = arg;
    if (n->restorer.wanted) {
        status_refresh(n);
        return;
    }
    n->refusals = 0;
    peers_refresh(n);
    gossip_tick(n);
    sync_tick(n);
    sync_announce(n, SIZE_MAX);
    watch_halt(n);
    watch_closed(n);
    damage_tick(n);
    credentials_tick(n);
    status_refresh(n);
    driver_tick(n);
}

static rdg_err_t takes_transactions(const rdg_node_t *n) {
    if (n->restorer.wanted)
        return rdg_fail(RDG_E_UNAVAILABLE, "this node is being restored from archives: ask another one");
    if (__atomic_load_n(&n->closed, __ATOMIC_ACQUIRE))
        return rdg_fail(RDG_E_CONFLICT, "this chain is being destroyed and takes no more transactions");
    return RDG_OK;
}

static rdg_err_t submit(void *ctx, rdg_bytes_t wire, rdg_hash_t *id) {
    RDG_TRY(takes_transactions(ctx));
    return gossip_submit(ctx, wire, id);
}

static rdg_err_t submit_expected(void *ctx, rdg_node_rpc_expected_t *e, size_t at, rdg_bytes_t wire,
                                 rdg_hash_t *id) {
    RDG_TRY(takes_transactions(ctx));
    const expected_tx_t one = expect_at(e, at);
    return one.tx ? gossip_submit_tx(ctx, &one, id)
                  : gossip_submit(ctx, wire, id); /* which says what is wrong with it */
}

static bool refuses_all(void *ctx) {
    rdg_node_t *n = ctx;
    bool full = backlog_is_full(n, 0);
    if (full) rdg_metric_add(n->m_overload, 1);
    return full;
}

static rdg_node_rpc_expected_t *expect(void *ctx, const rdg_bytes_t *wires, size_t count) {
    return expect_transactions(ctx, wires, count);
}

static rdg_err_t open_metrics(rdg_node_t *n) {
    static const double ms[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000};
    if (!(n->metrics = rdg_metrics_new())) return rdg_fail(RDG_E_NO_MEMORY, "no memory for metrics");
    n->m_blocks =
        rdg_metrics_counter(n->metrics, "ridge_node_blocks_total", "blocks applied since the start", NULL);
    n->m_txs = rdg_metrics_counter(n->metrics, "ridge_node_transactions_total", "transactions applied", NULL);
    n->m_height =
        rdg_metrics_gauge(n->metrics, "ridge_node_height", "height of the last durable block", NULL);
    n->m_pool = rdg_metrics_gauge(n->metrics, "ridge_node_pool_transactions", "transactions waiting", NULL);
    n->m_dropped = rdg_metrics_counter(n->metrics, "ridge_node_dropped_total",
                                       "messages dropped because a queue was full", NULL);
    n->m_links = rdg_metrics_gauge(n->metrics, "ridge_node_links", "TLCP links to peers that are up", NULL);
    n->m_links_refused = rdg_metrics_counter(n->metrics, "ridge_node_links_refused_total",
                                             "links refused: certificates, unknown keys, broken TLCP", NULL);
    n->m_batched = rdg_metrics_counter(n->metrics, "ridge_node_signatures_batched_total",
                                       "signatures of transactions verified several at a time", NULL);
    n->m_overload = rdg_metrics_counter(
        n->metrics, "ridge_node_overload_refused_total",
        "transactions of users, or requests of nothing else, refused because more wait than is soon executed",
        NULL);
    n->m_links_total = rdg_metrics_counter(n->metrics, "ridge_node_links_total",
                                           "links to peers that came up since the start", NULL);
    n->m_links_resumed = rdg_metrics_counter(n->metrics, "ridge_node_links_resumed_total",
                                             "of these, links that resumed a TLCP session", NULL);
    n->m_refused =
        rdg_metrics_counter(n->metrics, "ridge_node_refused_total", "messages of peers refused", NULL);
    n->m_apply_ms =
        rdg_metrics_histogram(n->metrics, "ridge_node_apply_milliseconds",
                              "execution and storage of one block", NULL, ms, sizeof ms / sizeof ms[0]);
    n->m_epoch = rdg_metrics_gauge(n->metrics, "ridge_consensus_epoch", "number of the validator set", NULL);
    n->m_view = rdg_metrics_gauge(n->metrics, "ridge_consensus_view", "view (or term) of the epoch", NULL);
    n->m_view_changes = rdg_metrics_counter(n->metrics, "ridge_consensus_view_changes_total",
                                            "changes of the view since the start", NULL);
    n->m_evidence =
        rdg_metrics_counter(n->metrics, "ridge_consensus_equivocations_total",
                            "contradicting statements of a validator found since the start", NULL);
    n->m_voting = rdg_metrics_gauge(n->metrics, "ridge_consensus_voting", "1 while this node votes", NULL);
    n->m_validators =
        rdg_metrics_gauge(n->metrics, "ridge_consensus_validators", "validators of the epoch", NULL);
    n->m_lag = rdg_metrics_gauge(n->metrics, "ridge_consensus_lag_blocks",
                                 "blocks from this ledger's head to the highest that a peer tells of", NULL);
    n->m_sync_headers = rdg_metrics_counter(n->metrics, "ridge_sync_headers_total",
                                            "headers verified ahead of their blocks", NULL);
    n->m_sync_blocks = rdg_metrics_counter(n->metrics, "ridge_sync_blocks_total",
                                           "blocks fetched from peers and applied", NULL);
    n->m_sync_chunks =
        rdg_metrics_counter(n->metrics, "ridge_sync_chunks_total", "chunks of snapshots imported", NULL);
    n->m_sync_snapshots = rdg_metrics_counter(n->metrics, "ridge_sync_snapshots_total",
                                              "snapshots that became the state", NULL);
    n->m_sync_blamed = rdg_metrics_counter(n->metrics, "ridge_sync_blamed_total",
                                           "answers of peers that were wrong or came too late", NULL);
    n->m_sync_given = rdg_metrics_counter(n->metrics, "ridge_sync_given_total",
                                          "answers given to peers that catch up", NULL);
    n->m_pending = rdg_metrics_gauge(n->metrics, "ridge_consensus_epoch_last_height",
                                     "last height of the epoch; 0 while no change is pending", NULL);
    return RDG_OK;
}

rdg_err_t node_file(rdg_node_t *n, const char *name, char *path, size_t size) {
    RDG_TRY(rdg_path_join(path, size, n->dir, name));
    if (rdg_file_exists(path)) return RDG_OK;
    return rdg_fail(RDG_E_NOT_FOUND,
                    "%s is missing: is this the directory of a node? If it was lost, create the node anew",
                    path);
}

static rdg_err_t open_ledger(rdg_node_t *n) {
    char path[4096];
    rdg_ledger_options_t options = {.memory_bytes = n->options.memory_bytes,
                                    .execution_threads = n->options.execution_threads};
    n->reading = READING_FILES;
    RDG_TRY(node_file(n, "genesis.json", path, sizeof path));
    RDG_TRY(rdg_genesis_load(path, &n->genesis));
    n->reading = READING_LEDGER;
    RDG_TRY(node_file(n, "node.key", path, sizeof path));
    RDG_TRY(rdg_sm2_key_load(path, &n->key));
    RDG_TRY(rdg_path_join(path, sizeof path, n->dir, "data"));
    RDG_TRY(rdg_ledger_open(path, &n->genesis, &options, &n->ledger));
    rdg_pool_limits_t limits = {n->options.pool_count, n->options.pool_bytes, n->options.pool_per_sender};
    RDG_TRY(rdg_pool_new(&limits, n->genesis.validators.chain_id, n->genesis.params.tx_gas_limit, &n->pool));
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    rdg_pool_committed(n->pool, NULL, 0, head.height);
    rdg_metric_set(n->m_height, (int64_t)head.height);
    return RDG_OK;
}

static rdg_err_t open_mesh(rdg_node_t *n) {
    rdg_p2p_options_t options = {
        .loop = n->loop,
        .random = rdg_random_system(),
        .chain_id = n->genesis.validators.chain_id,
        .genesis = n->genesis.hash,
        .identity = n->credentials.identity,
        .host = n->options.p2p_host,
        .port = n->options.p2p_port,
        .peers = n->peers,
        .peer_count = n->restorer.wanted ? 0 : n->peer_count,
        .max_frame = NODE_FRAME_MAX,
        .message = on_message,
        .link = on_link,
        .ctx = n,
    };
    return rdg_fail_in(rdg_p2p_start(&options, &n->p2p), "peer mesh");
}

/* Names of key files, separated by commas. */
static rdg_err_t load_rpc_keys(rdg_node_t *n) {
    const char *at = n->options.rpc_keys ? n->options.rpc_keys : "";
    while (*at) {
        char path[4096];
        size_t len = strcspn(at, ",");
        if (n->rpc_key_count == RDG_RPC_KEYS_MAX)
            return rdg_fail(RDG_E_TOO_LARGE, "rpc-keys: at most %d files", RDG_RPC_KEYS_MAX);
        if (len == 0 || len >= sizeof path)
            return rdg_fail(RDG_E_INVALID, "rpc-keys: want names of key files, separated by commas");
        memcpy(path, at, len);
        path[len] = '\0';
        RDG_TRY(rdg_fail_in(rdg_sm2_key_load(path, &n->rpc_keys[n->rpc_key_count]), "rpc-keys"));
        ++n->rpc_key_count;
        at += len + (at[len] == ',');
    }
    return RDG_OK;
}

static bool is_syncing(void *node, uint64_t *highest) {
    rdg_node_t *n = node;
    pthread_mutex_lock(&n->lock);
    bool syncing = n->seen.sync.phase != SYNC_IDLE;
    *highest = 0;
    for (size_t i = 0; i < RDG_P2P_PEERS_MAX; ++i)
        if (n->seen.peer_height[i] > *highest) *highest = n->seen.peer_height[i];
    pthread_mutex_unlock(&n->lock);
    return syncing;
}

/* Whoever may read the node's keys may speak to it as its agent. New with each start. */
static rdg_err_t make_agent_token(rdg_node_t *n) {
    char path[4096];
    RDG_TRY(rdg_path_join(path, sizeof path, n->dir, "agent.token"));
    rdg_random_hex(rdg_random_system(), n->agent_token, sizeof n->agent_token / 2);
    return rdg_file_replace(path, rdg_bytes_str(n->agent_token), 0600);
}

static rdg_err_t open_all(rdg_node_t *n) {
    if (!(n->dir = rdg_strdup(n->options.dir))) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the node");
    RDG_TRY(open_metrics(n));
    RDG_TRY(rdg_loop_new(&n->loop));
    RDG_TRY(open_ledger(n));
    n->reading = READING_FILES;
    RDG_TRY(peers_load(n));
    RDG_TRY(credentials_load(n));
    n->reading = READING_NOTHING;
    RDG_TRY(gossip_open(n));
    RDG_TRY(history_open(n));
    RDG_TRY(sync_open(n));
    RDG_TRY(epoch_open(n));
    backlog_open(n);
    RDG_TRY(rdg_timer_new(n->loop, on_tick, n, &n->tick));
    RDG_TRY(open_mesh(n));
    RDG_TRY(make_agent_token(n));
    rdg_node_rpc_options_t rpc = {.ledger = n->ledger,
                                  .pool = n->pool,
                                  .submit = submit,
                                  .expect = expect,
                                  .submit_expected = submit_expected,
                                  .expect_end = expect_end,
                                  .retry_ms = backlog_retry_ms,
                                  .full = refuses_all,
                                  .status = status_json,
                                  .consensus = consensus_status_json,
                                  .read_index = raft_read_index,
                                  .transfer = transfer_lead,
                                  .syncing = is_syncing,
                                  .damaged = damage_found,
                                  .archive = archive_ask,
                                  .restore = restore_ask,
                                  .prune = prune_ask,
                                  .agent_token = n->agent_token,
                                  .ctx = n,
                                  .keys = n->rpc_keys,
                                  .key_count = n->rpc_key_count,
                                  .call_ms = n->options.rpc_call_ms,
                                  .log_blocks = n->options.rpc_log_blocks};
    RDG_TRY(load_rpc_keys(n));
    rpc.key_count = n->rpc_key_count;
    RDG_TRY(rdg_node_rpc_new(&rpc, &n->rpc));
    status_refresh(n);
    /* Before anything is imported: a ledger that has blocks looks like one that was never lost. */
    if (n->restorer.wanted) RDG_TRY(epoch_note_lost(n));
    watch_closed(n);
    RDG_TRY(rdg_loop_handle_signals(n->loop)); /* who hears it answer may end it */
    return http_open(n);
}

rdg_err_t rdg_node_open(const rdg_node_options_t *options, rdg_node_t **out) {
    rdg_node_t *n = rdg_calloc(1, sizeof *n);
    if (!n) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the node");
    /* libuv reads it when the first work is queued; more threads than the lane, the verifier and the check of
     * consensus messages only cost memory. */
    (void)setenv("UV_THREADPOOL_SIZE", "3", 0);
    n->options = *options;
    if (n->options.scrub_ms == 0) n->options.scrub_ms = RDG_NODE_SCRUB_MS;
    n->giver.fd = -1;
    n->started_ms = rdg_mono_ms(rdg_clock_system());
    rdg_list_init(&n->lane.jobs);
    pthread_mutex_init(&n->lock, NULL);
    raft_open(n);
    archive_open(n);
    restore_open(n);
    prune_open(n);
    rdg_err_t err = open_all(n);
    if (err == RDG_OK) err = damage_load(n);
    if (err != RDG_OK) {
        char why[RDG_ERROR_TEXT_MAX];
        snprintf(why, sizeof why, "%s", rdg_err_message(err));
        damage_at_start(options->dir, err, why, n->reading);
        rdg_node_close(n);
        return rdg_fail(err, "%s", why);
    }
    *out = n;
    return RDG_OK;
}

rdg_err_t rdg_node_run(rdg_node_t *n, int *exit_status) {
    rdg_ledger_head_t head;
    const char *refused, *batches = rdg_sm2_batch_path(&refused);
    rdg_ledger_head(n->ledger, &head);
    rdg_log(RDG_LOG_INFO, "node.start", RDG_STR("chain", n->genesis.name), RDG_U64("height", head.height),
            RDG_HEX("hash", head.hash.b, 32), RDG_U64("p2p_port", rdg_p2p_port(n->p2p)),
            RDG_U64("rpc_port", rdg_node_rpc_port(n)),
            RDG_BOOL("validator", n->self < n->epoch.validators.count), RDG_STR("sm2_batches", batches),
            RDG_STR("sm2_batches_why", refused ? refused : ""));
    rdg_timer_start(n->tick, TICK_MS, TICK_MS);
    if (!n->restorer.wanted) epoch_start(n);
    rdg_err_t err = rdg_loop_run(n->loop);
    if (n->exit_status == 0 && !n->restorer.wanted) raft_hand_over(n);
    rdg_ledger_head(n->ledger, &head);
    rdg_log(RDG_LOG_INFO, "node.stop", RDG_U64("height", head.height), RDG_HEX("hash", head.hash.b, 32));
    *exit_status = n->exit_status;
    return err;
}

void rdg_node_stop(rdg_node_t *n) {
    rdg_loop_stop(n->loop);
}
uint16_t rdg_node_rpc_port(const rdg_node_t *n) {
    return rdg_http_server_port(n->http);
}
uint16_t rdg_node_p2p_port(const rdg_node_t *n) {
    return rdg_p2p_port(n->p2p);
}

void rdg_node_close(rdg_node_t *n) {
    if (!n) return;
    n->closing = true;
    raft_close(n);
    if (n->http) rdg_http_server_stop(n->http);
    rdg_node_rpc_free(n->rpc);
    archive_close(n);
    restore_close(n);
    prune_close(n);
    lane_close(n);
    rdg_p2p_stop(n->p2p);
    gossip_close(n);
    if (n->tick) rdg_timer_free(n->tick);
    epoch_close(n);
    rdg_loop_free(n->loop); /* waits for the workers' jobs */
    sync_close(n);
    damage_close(n);
    rdg_pool_free(n->pool);
    rdg_ledger_close(n->ledger);
    rdg_tlcp_identity_unref(n->credentials.identity);
    rdg_sm2_key_free(n->key);
    for (size_t i = 0; i < n->rpc_key_count; ++i) rdg_sm2_key_free(n->rpc_keys[i]);
    rdg_metrics_free(n->metrics);
    rdg_free(n->peers);
    rdg_free(n->dir);
    pthread_mutex_destroy(&n->lock);
    pthread_mutex_destroy(&n->reads.lock);
    pthread_cond_destroy(&n->reads.changed);
    rdg_free(n);
}
