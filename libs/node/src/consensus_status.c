/* What ridge_consensus tells: who decides, who voted, who lags, what has happened. */
#include "internal.h"
#include "ridge/codec/json.h"
#include <string.h>

#define VOTED_BLOCKS 16

static json_t *validators_json(rdg_node_t *n, const rdg_epoch_t *e, uint64_t height) {
    json_t *list = json_array();
    for (uint32_t v = 0; v < e->validators.count; ++v) {
        size_t peer = n->peer_of[v];
        bool self = v == n->self;
        uint64_t seen = self ? height : n->seen.consensus.seen_height[v];
        if (!self && peer != SIZE_MAX && n->seen.peer_height[peer] > seen) seen = n->seen.peer_height[peer];
        json_t *o =
            json_pack("{s:s, s:I, s:b, s:I, s:I, s:b}", "name", e->names[v], "weight",
                      (json_int_t)rdg_validators_weight(&e->validators, v), "connected",
                      (int)(self || (peer != SIZE_MAX && n->seen.linked[peer])), "height", (json_int_t)seen,
                      "lag", (json_int_t)(height > seen ? height - seen : 0), "self", (int)self);
        json_object_set_new(o, "key", rdg_json_hex(e->validators.keys[v].b, sizeof e->validators.keys[v].b));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *views_json(const history_t *h) {
    json_t *list = json_array();
    uint64_t first = h->view_count > HISTORY_VIEWS ? h->view_count - HISTORY_VIEWS : 0;
    for (uint64_t i = h->view_count; i > first; --i) {
        size_t at = (size_t)((i - 1) % HISTORY_VIEWS);
        json_array_append_new(
            list, json_pack("{s:I, s:I, s:I, s:I, s:s, s:s}", "time_ms", (json_int_t)h->views[at].time_ms,
                            "epoch", (json_int_t)h->views[at].epoch, "view", (json_int_t)h->views[at].view,
                            "height", (json_int_t)h->views[at].height, "leader", h->views[at].leader, "why",
                            h->views[at].why));
    }
    return list;
}

static json_t *evidence_json(const history_t *h) {
    json_t *list = json_array();
    uint64_t first = h->evidence_next > HISTORY_EVIDENCE ? h->evidence_next - HISTORY_EVIDENCE : 0;
    for (uint64_t i = h->evidence_next; i > first; --i) {
        size_t at = (size_t)((i - 1) % HISTORY_EVIDENCE);
        json_array_append_new(
            list,
            json_pack("{s:I, s:I, s:I, s:I, s:s}", "time_ms", (json_int_t)h->evidence[at].time_ms, "epoch",
                      (json_int_t)h->evidence[at].epoch, "height", (json_int_t)h->evidence[at].height, "view",
                      (json_int_t)h->evidence[at].view, "validator", h->evidence[at].validator));
    }
    return list;
}

/* Whose votes seal the block. */
static json_t *block_json(rdg_node_t *n, uint64_t height) {
    rdg_epoch_t epoch;
    rdg_header_t header;
    rdg_certificate_t c;
    rdg_buf_t seal;
    rdg_buf_init(&seal, 1u << 20);
    rdg_err_t err = rdg_ledger_epoch(n->ledger, height, &epoch);
    if (err == RDG_OK) err = rdg_ledger_header(n->ledger, height, &header, NULL, NULL);
    if (err == RDG_OK) err = rdg_ledger_seal(n->ledger, height, &seal, NULL);
    if (err == RDG_OK) err = rdg_certificate_decode(rdg_buf_view(&seal), &c);
    rdg_buf_fini(&seal);
    if (err != RDG_OK) return NULL;
    json_t *voted = json_array();
    for (uint32_t i = 0; i < c.count; ++i)
        if (c.votes[i].index < epoch.validators.count)
            json_array_append_new(voted, json_string(epoch.names[c.votes[i].index]));
    return json_pack("{s:I, s:I, s:I, s:s, s:I, s:o}", "height", (json_int_t)height, "epoch",
                     (json_int_t)c.statement.epoch, "view", (json_int_t)c.statement.view, "proposer",
                     header.proposer < epoch.validators.count ? epoch.names[header.proposer] : "", "time_ms",
                     (json_int_t)header.time_ms, "voted", voted);
}

static json_t *blocks_json(rdg_node_t *n, uint64_t head) {
    json_t *list = json_array();
    for (uint64_t h = head; h > 0 && head - h < VOTED_BLOCKS; --h) {
        json_t *block = block_json(n, h);
        if (block) json_array_append_new(list, block);
    }
    return list;
}

static json_t *pending_json(rdg_node_t *n, uint64_t last) {
    rdg_epoch_t next;
    json_t *names = json_array();
    if (last == 0 || rdg_ledger_epoch(n->ledger, last + 1, &next) != RDG_OK) {
        json_decref(names);
        return json_null();
    }
    for (uint32_t v = 0; v < next.validators.count; ++v)
        json_array_append_new(names, json_string(next.names[v]));
    return json_pack("{s:I, s:I, s:o}", "epoch", (json_int_t)next.validators.epoch, "first_height",
                     (json_int_t)next.first_height, "validators", names);
}

rdg_err_t consensus_status_json(void *node, json_t **out) {
    rdg_node_t *n = node;
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    json_t *s = json_object(), *blocks = blocks_json(n, head.height);
    pthread_mutex_lock(&n->lock);
    const rdg_consensus_status_t *c = &n->seen.consensus;
    const rdg_epoch_t *e = &n->epoch;
    uint64_t last = e->last_height;
    json_object_update_new(
        s,
        json_pack("{s:s, s:I, s:I, s:s, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "protocol",
                  n->genesis.consensus, "epoch", (json_int_t)e->validators.epoch, "view", (json_int_t)c->view,
                  "leader", c->leader < e->validators.count ? e->names[c->leader] : "", "changing_view",
                  (int)c->changing, "voting", (int)c->voting, "diverged", (int)c->diverged, "height",
                  (json_int_t)head.height, "checkpoint_height", (json_int_t)head.checkpoint_height, "quorum",
                  (json_int_t)c->quorum, "total_weight", (json_int_t)rdg_validators_total(&e->validators),
                  "view_timeout_ms", (json_int_t)e->view_timeout_ms, "rotate_every",
                  (json_int_t)e->rotate_every));
    json_object_set_new(s, "validators", validators_json(n, e, head.height));
    json_object_set_new(s, "sync", sync_json(n, &head));
    json_object_set_new(s, "view_changes", views_json(&n->history));
    json_object_set_new(s, "evidence", evidence_json(&n->history));
    json_object_set_new(s, "evidence_count", json_integer((json_int_t)n->history.evidence_next));
    pthread_mutex_unlock(&n->lock);
    json_object_set_new(s, "pending", pending_json(n, last));
    json_object_set_new(s, "blocks", blocks);
    *out = s;
    return RDG_OK;
}
