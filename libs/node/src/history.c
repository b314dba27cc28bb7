/* What consensus leaves for the operator: view changes in memory, evidence of equivocation on disk. */
#include "internal.h"
#include "ridge/base/log.h"
#include "ridge/codec/rlp.h"
#include <stdio.h>
#include <string.h>

#define RECORD_EPOCH UINT64_MAX /* of no epoch: it outlives them */
#define EVIDENCE_BYTES_MAX 4096

static const char *name_of(const rdg_node_t *n, uint32_t validator) {
    return validator < n->epoch.validators.count ? n->epoch.names[validator] : "";
}

void history_view(rdg_node_t *n, const rdg_consensus_action_t *a) {
    char why[16];
    snprintf(why, sizeof why, "%.*s", (int)a->bytes.len, (const char *)a->bytes.data);
    rdg_log(RDG_LOG_INFO, "consensus.view", RDG_U64("epoch", n->epoch.validators.epoch),
            RDG_U64("view", a->view), RDG_U64("height", a->height), RDG_STR("leader", name_of(n, a->to)),
            RDG_STR("why", why));
    rdg_metric_add(n->m_view_changes, 1);
    pthread_mutex_lock(&n->lock);
    size_t i = (size_t)(n->history.view_count++ % HISTORY_VIEWS);
    n->history.views[i].time_ms = rdg_wall_ms(rdg_clock_system());
    n->history.views[i].epoch = n->epoch.validators.epoch;
    n->history.views[i].view = a->view;
    n->history.views[i].height = a->height;
    snprintf(n->history.views[i].leader, sizeof n->history.views[i].leader, "%s", name_of(n, a->to));
    snprintf(n->history.views[i].why, sizeof n->history.views[i].why, "%s", why);
    pthread_mutex_unlock(&n->lock);
}

/* --- evidence: 'e', place in the ring -> RLP [number, time, epoch, height, view, validator, statements] --------- */

static rdg_bytes_t evidence_key(record_key_t *out, uint64_t number) {
    uint8_t key[9] = {'e'};
    rdg_store_be64(key + 1, number % HISTORY_EVIDENCE);
    return record_key(out, RECORD_EPOCH, rdg_bytes(key, sizeof key));
}

static void remember(rdg_node_t *n, uint64_t number, uint64_t time_ms, uint64_t epoch, uint64_t height,
                     uint64_t view, const char *validator) {
    size_t i = (size_t)(number % HISTORY_EVIDENCE);
    pthread_mutex_lock(&n->lock);
    n->history.evidence[i].time_ms = time_ms;
    n->history.evidence[i].epoch = epoch;
    n->history.evidence[i].height = height;
    n->history.evidence[i].view = view;
    snprintf(n->history.evidence[i].validator, sizeof n->history.evidence[i].validator, "%s", validator);
    if (number >= n->history.evidence_next) n->history.evidence_next = number + 1;
    pthread_mutex_unlock(&n->lock);
}

static rdg_err_t store_evidence(rdg_node_t *n, const rdg_consensus_action_t *a, uint64_t time_ms) {
    record_key_t key;
    rdg_buf_t value;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    rdg_buf_init(&value, EVIDENCE_BYTES_MAX);
    size_t list = rdg_rlp_list_begin(&value);
    rdg_rlp_put_u64(&value, n->history.evidence_next);
    rdg_rlp_put_u64(&value, time_ms);
    rdg_rlp_put_u64(&value, n->epoch.validators.epoch);
    rdg_rlp_put_u64(&value, a->height);
    rdg_rlp_put_u64(&value, a->view);
    rdg_rlp_put_str(&value, name_of(n, a->to));
    rdg_rlp_put_bytes(&value, rdg_bytes(a->bytes.data, a->bytes.len < 2048 ? a->bytes.len : 2048));
    rdg_err_t err = rdg_rlp_list_end(&value, list);
    if (err == RDG_OK) {
        rdg_kv_batch_put(batch, evidence_key(&key, n->history.evidence_next), rdg_buf_view(&value));
        err = rdg_kv_write(rdg_ledger_kv(n->ledger), batch, true);
    }
    rdg_kv_batch_free(batch);
    rdg_buf_fini(&value);
    return err;
}

void history_evidence(rdg_node_t *n, const rdg_consensus_action_t *a) {
    uint64_t now = rdg_wall_ms(rdg_clock_system());
    rdg_log(RDG_LOG_ERROR, "consensus.equivocation", RDG_STR("validator", name_of(n, a->to)),
            RDG_U64("epoch", n->epoch.validators.epoch), RDG_U64("height", a->height),
            RDG_U64("view", a->view),
            RDG_HEX("evidence", a->bytes.data, a->bytes.len < 256 ? a->bytes.len : 256));
    rdg_metric_add(n->m_evidence, 1);
    rdg_err_t err = store_evidence(n, a, now);
    if (err != RDG_OK) rdg_log(RDG_LOG_ERROR, "consensus.evidence_lost", RDG_STR("code", rdg_err_name(err)));
    remember(n, n->history.evidence_next, now, n->epoch.validators.epoch, a->height, a->view,
             name_of(n, a->to));
}

static void read_one(rdg_node_t *n, rdg_bytes_t value) {
    char validator[RDG_NAME_MAX + 1];
    rdg_rlp_t outer, c;
    rdg_rlp_init(&outer, value);
    if (rdg_rlp_list(&outer, &c) != RDG_OK) return;
    uint64_t number = rdg_rlp_u64(&c), time_ms = rdg_rlp_u64(&c), epoch = rdg_rlp_u64(&c),
             height = rdg_rlp_u64(&c), view = rdg_rlp_u64(&c);
    rdg_bytes_t name = rdg_rlp_bytes_max(&c, RDG_NAME_MAX);
    (void)rdg_rlp_bytes(&c);
    if (rdg_rlp_done(&c) != RDG_OK) return;
    snprintf(validator, sizeof validator, "%.*s", (int)name.len, (const char *)name.data);
    remember(n, number, time_ms, epoch, height, view, validator);
}

rdg_err_t history_open(rdg_node_t *n) {
    record_key_t head;
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value, prefix = record_key(&head, RECORD_EPOCH, rdg_bytes("e", 1));
    RDG_TRY(rdg_kv_iter_open(rdg_ledger_kv(n->ledger), NULL, prefix, prefix, &it));
    while (rdg_kv_iter_next(it, &key, &value)) read_one(n, value);
    rdg_err_t err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}
