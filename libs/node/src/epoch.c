/* One consensus core an epoch: starting it, changing to the next, its records and what it must not forget. */
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define RECORD_PREFIX 'C'
#define RECORD_HEAD (1 + 8) /* prefix, epoch */
#define RECORDS_MAX 4096

/* Of no epoch: this node's own, see epoch_watch_lost. */
static const uint8_t lost_key[] = {RECORD_PREFIX, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'l'};

rdg_bytes_t record_key(record_key_t *out, uint64_t epoch, rdg_bytes_t key) {
    RDG_ASSERT(key.len <= sizeof out->b - RECORD_HEAD);
    out->b[0] = RECORD_PREFIX;
    rdg_store_be64(out->b + 1, epoch);
    if (key.len > 0) memcpy(out->b + RECORD_HEAD, key.data, key.len);
    return rdg_bytes(out->b, RECORD_HEAD + key.len);
}

typedef struct records {
    rdg_arena_t arena;
    rdg_consensus_record_t *list;
    size_t count;
} records_t;

static rdg_err_t load_records(rdg_node_t *n, records_t *r) {
    record_key_t head;
    rdg_bytes_t key, value, prefix = record_key(&head, n->epoch.validators.epoch, rdg_bytes(NULL, 0));
    rdg_kv_iter_t *it = NULL;
    r->list = rdg_arena_calloc(&r->arena, RECORDS_MAX, sizeof *r->list);
    if (!r->list) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the consensus records");
    RDG_TRY(rdg_kv_iter_open(rdg_ledger_kv(n->ledger), NULL, prefix, prefix, &it));
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && rdg_kv_iter_next(it, &key, &value)) {
        if (r->count == RECORDS_MAX)
            err = rdg_fail(RDG_E_CORRUPT, "more than %d consensus records", RECORDS_MAX);
        size_t len = key.len - RECORD_HEAD;
        void *k = rdg_arena_copy(&r->arena, key.data + RECORD_HEAD, len);
        void *v = rdg_arena_copy(&r->arena, value.data, value.len);
        if (err == RDG_OK && (!k || (!v && value.len > 0))) err = rdg_fail(RDG_E_NO_MEMORY, "no memory");
        if (err != RDG_OK) break;
        r->list[r->count++] = (rdg_consensus_record_t){rdg_bytes(k, len), rdg_bytes(v, value.len)};
    }
    if (err == RDG_OK) err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}

/* Records of epochs that have ended: the sealed blocks speak for themselves. Losing this deletion costs nothing. */
static rdg_err_t drop_old_records(rdg_node_t *n) {
    static const uint8_t all[] = {RECORD_PREFIX};
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    rdg_err_t err =
        rdg_kv_iter_open(rdg_ledger_kv(n->ledger), NULL, rdg_bytes(all, 1), rdg_bytes(all, 1), &it);
    while (err == RDG_OK && rdg_kv_iter_next(it, &key, &value))
        if (key.len >= RECORD_HEAD && rdg_load_be64(key.data + 1) < n->epoch.validators.epoch)
            rdg_kv_batch_delete(batch, key);
    if (it) rdg_kv_iter_close(it);
    if (err == RDG_OK) err = rdg_kv_write(rdg_ledger_kv(n->ledger), batch, false);
    rdg_kv_batch_free(batch);
    return err;
}

/* --- having voted before ------------------------------------------------------------------------------------------
 * A validator whose ledger was lost must not vote as if it were new: it might contradict what it signed. A mark beside
 * the ledger tells the one from the other; it is set with the first block, when others can bring this node up again.
 * That it is lost stays on record, over epochs and restarts, until a core has caught up and votes. */

static rdg_err_t mark_path(const rdg_node_t *n, char path[PATH_MAX]) {
    return rdg_path_join(path, PATH_MAX, n->dir, "voted");
}

void driver_mark_voted(rdg_node_t *n) {
    char path[PATH_MAX];
    if (n->marked || n->self >= n->epoch.validators.count) return;
    rdg_err_t err = mark_path(n, path);
    if (err == RDG_OK && !rdg_file_exists(path)) err = rdg_file_replace(path, rdg_bytes_str("1\n"), 0600);
    n->marked = err == RDG_OK;
    if (err != RDG_OK) node_halt(n, err, rdg_err_message(err));
}

static rdg_err_t write_lost(rdg_node_t *n, bool lost) {
    rdg_bytes_t key = rdg_bytes(lost_key, sizeof lost_key);
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    if (lost)
        rdg_kv_batch_put(batch, key, key);
    else
        rdg_kv_batch_delete(batch, key);
    rdg_err_t err = rdg_kv_write(rdg_ledger_kv(n->ledger), batch, true);
    rdg_kv_batch_free(batch);
    return err;
}

/* <dir>/vote-again holds the height at which a validator of a chain that lost every ledger may vote again; at any other the
 * mark stays. Whoever writes into this directory could as well take the key: it is the device's owner who says so. */
static rdg_err_t be_forgiven(rdg_node_t *n, uint64_t height) {
    char path[PATH_MAX];
    rdg_buf_t text;
    unsigned long long at = 0;
    RDG_TRY(rdg_path_join(path, sizeof path, n->dir, "vote-again"));
    rdg_buf_init(&text, 64);
    bool there = rdg_file_read(path, &text) == RDG_OK && sscanf(rdg_buf_cstr(&text), "%llu", &at) == 1;
    rdg_buf_fini(&text);
    if (!there || height == 0) return RDG_OK;
    if (n->lost && at == height) {
        RDG_TRY(write_lost(n, false));
        n->lost = false;
        rdg_log(RDG_LOG_WARN, "node.votes_again", RDG_U64("height", height));
    }
    if (unlink(path) != 0) rdg_log(RDG_LOG_WARN, "node.file_stays", RDG_STR("path", path));
    return RDG_OK;
}

static rdg_err_t find_lost(rdg_node_t *n, const records_t *records) {
    char path[PATH_MAX];
    rdg_buf_t value;
    rdg_ledger_head_t head;
    rdg_buf_init(&value, 64);
    rdg_ledger_head(n->ledger, &head);
    rdg_err_t err = rdg_kv_get(rdg_ledger_kv(n->ledger), NULL, rdg_bytes(lost_key, sizeof lost_key), &value);
    rdg_buf_fini(&value);
    n->lost = err == RDG_OK;
    if (err == RDG_OK) return be_forgiven(n, head.height);
    if (err != RDG_E_NOT_FOUND) return err;
    n->lost =
        head.height == 0 && records->count == 0 && mark_path(n, path) == RDG_OK && rdg_file_exists(path);
    if (!n->lost) return RDG_OK;
    rdg_log0(RDG_LOG_WARN, "node.lost_ledger");
    return write_lost(n, true);
}

rdg_err_t epoch_note_lost(rdg_node_t *n) {
    const records_t none = {.count = 0};
    return find_lost(n, &none);
}

void epoch_watch_lost(rdg_node_t *n) {
    rdg_consensus_status_t status;
    if (!n->lost) return;
    rdg_consensus_status(n->core, &status);
    if (status.voting && write_lost(n, false) == RDG_OK) n->lost = false;
}

/* --- the core ----------------------------------------------------------------------------------------------------- */

static rdg_err_t new_core(rdg_node_t *n, rdg_consensus_t **out) {
    rdg_consensus_config_t config = {
        .validators = n->epoch.validators,
        .first_height = n->epoch.first_height,
        .self = n->self,
        .retransmit_ms = 500,
        .view_timeout_ms = n->epoch.view_timeout_ms,
        .checkpoint_interval = 1,
        .rotate_every = n->epoch.rotate_every,
        .host = {host_sign, host_verify, host_digest, n},
    };
    return raft_core_new(n, &config, out);
}

/* The epoch of the height after the head, and who this node and its peers are in it. */
static rdg_err_t take_epoch(rdg_node_t *n) {
    rdg_ledger_head_t head;
    rdg_sm2_public_t key;
    rdg_epoch_t next;
    rdg_ledger_head(n->ledger, &head);
    RDG_TRY(rdg_ledger_epoch(n->ledger, head.height + 1, &next));
    rdg_sm2_key_public(n->key, &key);
    pthread_mutex_lock(&n->lock);
    n->epoch = next;
    n->self = rdg_validators_find(&next.validators, &key);
    pthread_mutex_unlock(&n->lock);
    rdg_ledger_params(n->ledger, &n->params);
    peers_map(n);
    return RDG_OK;
}

static void on_core_timer(void *arg) {
    (void)driver_step(arg, &(rdg_consensus_event_t){.kind = RDG_EVENT_TICK});
}

static void on_propose_timer(void *arg) {
    driver_try_propose(arg);
}

rdg_err_t epoch_open(rdg_node_t *n) {
    if (!(n->output = rdg_consensus_output_new()))
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for consensus");
    RDG_TRY(take_epoch(n));
    RDG_TRY(inbox_new(n->loop, driver_deliver, n, &n->inbox));
    RDG_TRY(new_core(n, &n->core));
    inbox_set_core(n->inbox, n->core);
    RDG_TRY(rdg_timer_new(n->loop, on_core_timer, n, &n->core_timer));
    return rdg_timer_new(n->loop, on_propose_timer, n, &n->proposing.timer);
}

static rdg_err_t start_core(rdg_node_t *n, const rdg_ledger_head_t *head, bool first) {
    records_t records = {.count = 0};
    rdg_buf_t seal;
    rdg_buf_init(&seal, 1u << 20);
    rdg_arena_init(&records.arena, 256u << 20);
    rdg_err_t err = load_records(n, &records);
    if (err == RDG_OK && first) err = find_lost(n, &records);
    /* The seal proves the head to laggards of the same epoch only. */
    if (err == RDG_OK && head->height >= n->epoch.first_height)
        err = rdg_ledger_seal(n->ledger, head->height, &seal, NULL);
    if (err == RDG_OK)
        err = driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_START,
                                                      .height = head->height,
                                                      .last_height = n->epoch.last_height,
                                                      .digest = head->hash,
                                                      .bytes = rdg_buf_view(&seal),
                                                      .amnesia = n->lost,
                                                      .records = records.list,
                                                      .record_count = records.count});
    rdg_arena_fini(&records.arena);
    rdg_buf_fini(&seal);
    return err;
}

static void start_epoch(rdg_node_t *n, bool first) {
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    rdg_err_t err = start_core(n, &head, first);
    if (err == RDG_OK) err = drop_old_records(n);
    if (err != RDG_OK) node_halt(n, err, rdg_err_message(err));
    if (head.height > 0) driver_mark_voted(n);
    /* The checkpoint vote of the last block may not have left before the stop. */
    if (err == RDG_OK && head.height > head.checkpoint_height)
        (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_EXECUTED,
                                                      .height = head.height,
                                                      .last_height = n->epoch.last_height,
                                                      .digest = head.executed});
}

void epoch_start(rdg_node_t *n) {
    start_epoch(n, true);
}

uint64_t epoch_last_height(rdg_node_t *n) {
    rdg_epoch_t now;
    rdg_ledger_params(n->ledger, &n->params);
    if (n->epoch.last_height > 0) return n->epoch.last_height;
    rdg_err_t err = rdg_ledger_epoch(n->ledger, n->epoch.first_height, &now);
    if (err != RDG_OK) {
        node_halt(n, err, rdg_err_message(err));
        return 0;
    }
    if (now.last_height > 0)
        rdg_log(RDG_LOG_INFO, "epoch.ends", RDG_U64("epoch", now.validators.epoch),
                RDG_U64("last_height", now.last_height));
    pthread_mutex_lock(&n->lock);
    n->epoch.last_height = now.last_height;
    pthread_mutex_unlock(&n->lock);
    return now.last_height;
}

bool epoch_advance(rdg_node_t *n) {
    rdg_ledger_head_t head;
    rdg_consensus_t *next = NULL;
    rdg_ledger_head(n->ledger, &head);
    uint64_t last = epoch_last_height(n);
    if (last == 0 || head.height < last || n->seen.halted) return false;
    rdg_err_t err = take_epoch(n);
    if (err == RDG_OK) err = new_core(n, &next);
    if (err != RDG_OK) {
        node_halt(n, err, rdg_err_message(err));
        return false;
    }
    n->core = next;
    inbox_set_core(n->inbox, next); /* frees the former one */
    n->proposing.wanted = false;
    rdg_log(RDG_LOG_INFO, "epoch.start", RDG_U64("epoch", n->epoch.validators.epoch),
            RDG_U64("first_height", n->epoch.first_height), RDG_U64("validators", n->epoch.validators.count),
            RDG_BOOL("validator", n->self < n->epoch.validators.count));
    start_epoch(n, false);
    sync_announce(n, SIZE_MAX); /* who is in this epoch already says again what went past this node */
    return true;
}

void epoch_close(rdg_node_t *n) {
    if (n->core_timer) rdg_timer_free(n->core_timer);
    if (n->proposing.timer) rdg_timer_free(n->proposing.timer);
    inbox_close(n->inbox);
    n->inbox = NULL, n->core = NULL;
    rdg_consensus_output_free(n->output);
}
