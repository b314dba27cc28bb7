#include "internal.h"
#include "ridge/codec/json.h"
#include <stdio.h>
#include <string.h>

static void refresh_metrics(rdg_node_t *n) {
    const rdg_consensus_status_t *c = &n->seen.consensus;
    rdg_ledger_head_t head;
    uint64_t highest = 0;
    rdg_ledger_head(n->ledger, &head);
    for (size_t i = 0; i < n->peer_count; ++i)
        if (n->sync.peer_height[i] > highest) highest = n->sync.peer_height[i];
    rdg_metric_set(n->m_epoch, (int64_t)c->epoch);
    rdg_metric_set(n->m_view, (int64_t)c->view);
    rdg_metric_set(n->m_voting, c->voting);
    rdg_metric_set(n->m_validators, c->count);
    rdg_metric_set(n->m_pending, (int64_t)n->epoch.last_height);
    rdg_metric_set(n->m_lag, highest > head.height ? (int64_t)(highest - head.height) : 0);
}

static void follow(rdg_metric_t *metric, uint64_t *told, uint64_t now) {
    rdg_metric_add(metric, now - *told);
    *told = now;
}

void status_refresh(rdg_node_t *n) {
    pthread_mutex_lock(&n->lock);
    rdg_consensus_status(n->core, &n->seen.consensus);
    for (size_t i = 0; i < n->peer_count; ++i) {
        n->seen.linked[i] = rdg_p2p_connected(n->p2p, i);
        n->seen.peer_height[i] = n->sync.peer_height[i];
    }
    n->seen.sync.phase = n->sync.phase;
    n->seen.sync.started = n->sync.started;
    n->seen.sync.target = n->sync.target;
    n->seen.sync.snapshot_height = n->sync.snapshot_height;
    n->seen.sync.chunk_next = n->sync.chunk_next;
    n->seen.sync.chunk_count = n->sync.chunk_count;
    pthread_mutex_unlock(&n->lock);
    refresh_metrics(n);
    rdg_metric_set(n->m_pool, (int64_t)rdg_pool_count(n->pool));
    rdg_metric_set(n->m_links, (int64_t)rdg_p2p_link_count(n->p2p));
    follow(n->m_links_refused, &n->links_refused, rdg_p2p_refused(n->p2p));
    follow(n->m_links_total, &n->links_total, rdg_p2p_linked(n->p2p));
    follow(n->m_links_resumed, &n->links_resumed, rdg_p2p_resumed(n->p2p));
}

static uint64_t resident_kib(void) {
    unsigned long long kib = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %llu kB", &kib) == 1) break;
    if (f) fclose(f);
    return kib;
}

static json_t *peers_json(rdg_node_t *n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n->peer_count; ++i) {
        if (i == n->self_peer || peer_is_empty(&n->peers[i])) continue;
        json_array_append_new(list, json_pack("{s:s, s:b, s:I}", "name", n->peers[i].name, "connected",
                                              (int)n->seen.linked[i], "height",
                                              (json_int_t)n->seen.peer_height[i]));
    }
    return list;
}

static json_t *consensus_json(const rdg_node_t *n) {
    const rdg_consensus_status_t *c = &n->seen.consensus;
    const char *leader = c->leader < n->epoch.validators.count ? n->epoch.names[c->leader] : "";
    json_t *o = json_pack(
        "{s:s, s:I, s:I, s:s, s:b, s:I, s:I, s:b, s:I, s:I, s:I, s:I}", "protocol", n->genesis.consensus,
        "view", (json_int_t)c->view, "epoch", (json_int_t)c->epoch, "leader", leader, "changing_view",
        (int)c->changing, "validators", (json_int_t)c->count, "quorum", (json_int_t)c->quorum, "voting",
        (int)c->voting, "committed_height", (json_int_t)c->committed_height, "self", (json_int_t)c->self,
        "last_height", (json_int_t)n->epoch.last_height, "evidence", (json_int_t)n->history.evidence_next);
    if (o && rdg_genesis_is_raft(&n->genesis))
        json_object_set_new(o, "term", json_integer((json_int_t)c->view));
    return o;
}

/* With the node's lock held. */
json_t *sync_json(rdg_node_t *n, const rdg_ledger_head_t *head) {
    bool runs = n->seen.sync.phase != SYNC_IDLE, chunks = n->seen.sync.phase == SYNC_SNAPSHOT;
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "phase", sync_phase_name(n->seen.sync.phase), "from",
        (json_int_t)(runs ? n->seen.sync.started : head->height), "height", (json_int_t)head->height,
        "headers", (json_int_t)rdg_headers_known(n->ledger), "target",
        (json_int_t)(runs ? n->seen.sync.target : head->height), "snapshot",
        (json_int_t)(chunks ? n->seen.sync.snapshot_height : 0), "chunks",
        (json_int_t)(chunks ? n->seen.sync.chunk_next : 0), "chunks_total",
        (json_int_t)(chunks ? n->seen.sync.chunk_count : 0), "base_height", (json_int_t)head->base_height);
}

rdg_err_t status_json(void *node, json_t **out) {
    rdg_node_t *n = node;
    rdg_ledger_head_t head;
    rdg_header_t pruned;
    rdg_ledger_head(n->ledger, &head);
    json_t *s = json_pack("{s:s, s:I, s:s, s:I}", "chain", n->genesis.name, "chain_id",
                          (json_int_t)n->genesis.validators.chain_id, "version", RIDGE_VERSION, "height",
                          (json_int_t)head.height);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the status");
    json_object_set_new(s, "hash", rdg_json_hex(head.hash.b, 32));
    json_object_set_new(s, "genesis", rdg_json_hex(n->genesis.hash.b, 32));
    json_object_set_new(s, "state_root", rdg_json_hex(head.state_root.b, 32));
    json_object_set_new(s, "time_ms", json_integer((json_int_t)head.time_ms));
    json_object_set_new(s, "tx_total", json_integer((json_int_t)head.tx_total));
    json_object_set_new(s, "checkpoint_height", json_integer((json_int_t)head.checkpoint_height));
    if (rdg_ledger_pruned(n->ledger) > 0 &&
        rdg_ledger_header(n->ledger, rdg_ledger_pruned(n->ledger), &pruned, NULL, NULL) == RDG_OK) {
        json_object_set_new(s, "pruned_height", json_integer((json_int_t)pruned.height));
        json_object_set_new(s, "archive_mark_ms", json_integer((json_int_t)pruned.time_ms));
    }
    json_object_set_new(s, "pool", json_integer((json_int_t)rdg_pool_count(n->pool)));
    json_object_set_new(s, "uptime_ms",
                        json_integer((json_int_t)(rdg_mono_ms(rdg_clock_system()) - n->started_ms)));
    json_object_set_new(s, "rss_kib", json_integer((json_int_t)resident_kib()));
    pthread_mutex_lock(&n->lock);
    json_object_set_new(s, "consensus", consensus_json(n));
    json_object_set_new(s, "peers", peers_json(n));
    json_object_set_new(s, "syncing", json_boolean(n->seen.sync.phase != SYNC_IDLE));
    json_object_set_new(s, "sync", sync_json(n, &head));
    json_object_set_new(s, "checked_ms", json_integer((json_int_t)n->scrub.good_ms));
    json_object_set_new(s, "halted", n->seen.halted ? json_string(n->seen.halted_why) : json_null());
    pthread_mutex_unlock(&n->lock);
    json_object_set_new(s, "closed", json_boolean(__atomic_load_n(&n->closed, __ATOMIC_ACQUIRE)));
    *out = s;
    return RDG_OK;
}
