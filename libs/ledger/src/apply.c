/* Executing a sealed block and making it durable. */
#include <inttypes.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "succession.h"

/* The work of one apply. */
typedef struct work {
    rdg_ledger_t *l;
    rdg_block_t *block;
    rdg_bytes_t seal;
    state_t state;
    hash_source_t hashes;
    executor_t executor;
    rdg_buf_t receipts; /* RLP list of them */
    rdg_hash_t *leaves; /* of the receipts' tree */
    rdg_bloom_t bloom;
    log_items_t items; /* that the block's logs are found by */
    log_open_t logs;   /* the index with this block */
    rdg_kv_batch_t *batch;
    rules_t *rules; /* after this block, when it changed them */
    block_entry_t entry;
    view_t *view;
} work_t;

static rdg_err_t verify_seal(const rdg_ledger_t *l, const rdg_header_t *h, const rdg_hash_t *hash,
                             rdg_bytes_t seal) {
    rdg_certificate_t c;
    const rdg_validator_set_t *set = &governance_epoch(&l->view->rules->g, h->height)->validators;
    rdg_err_t err = rdg_certificate_decode(seal, &c);
    if (err == RDG_OK)
        err = rdg_genesis_is_raft(&l->genesis)
                  ? rdg_certificate_verify_raft(&c, set, RDG_PHASE_RAFT_LEADER, h->height, hash)
                  : rdg_certificate_verify(&c, set, RDG_PHASE_COMMIT, h->height, hash);
    return err == RDG_OK ? RDG_OK : rdg_fail_in(err, "seal of block %" PRIu64, h->height);
}

static rdg_err_t take_receipt(void *ctx, uint32_t index, rdg_receipt_t *receipt) {
    work_t *w = ctx;
    receipt->cumulative_gas = w->entry.executed.gas_used += receipt->gas_used;
    size_t start = w->receipts.len;
    RDG_TRY(rdg_receipt_encode(receipt, &w->receipts));
    rdg_merkle_leaf(rdg_bytes(w->receipts.data + start, w->receipts.len - start), &w->leaves[index]);
    if (receipt->log_count == 0) return RDG_OK;
    rdg_bloom_add_receipt(&w->bloom, receipt);
    return log_items_add(&w->items, receipt);
}

static rdg_err_t run_transactions(work_t *w) {
    uint32_t count = w->block->header.tx_count;
    size_t list = rdg_rlp_list_begin(&w->receipts);
    RDG_TRY(parallel_run(w->l->parallel, &w->executor, w->block->txs, count, take_receipt, w));
    rdg_merkle_root(w->leaves, count, &w->entry.executed.receipts_root);
    return rdg_rlp_list_end(&w->receipts, list);
}

/* A new epoch is stored beside the block that scheduled it. */
static rdg_err_t take_rules(work_t *w) {
    RDG_TRY(rules_load(w->l, &w->state, w->entry.header.height, &w->rules));
    const rdg_epoch_t *latest = &w->rules->g.latest;
    bool is_new = latest->validators.epoch != w->l->view->rules->g.latest.validators.epoch ||
                  latest->first_height == w->entry.header.height; /* by an act: it may not be there yet */
    return is_new ? put_epoch(w->batch, latest) : RDG_OK;
}

/* The last block before an act must be the one that it names. */
static rdg_err_t check_succession(const work_t *w) {
    const rdg_succession_t *s = rdg_genesis_succession_at(&w->l->genesis, w->entry.header.height);
    return s ? succession_matches(s, &w->entry) : RDG_OK;
}

static rdg_err_t execute(work_t *w) {
    rdg_ledger_t *l = w->l;
    const rdg_header_t *h = &w->block->header;
    w->entry.header = *h;
    w->entry.hash = w->block->hash;
    w->entry.tx_total = l->view->head.tx_total + h->tx_count;
    w->entry.executed =
        (rdg_executed_t){.chain_id = h->chain_id, .height = h->height, .block_hash = w->block->hash};
    w->hashes = (hash_source_t){l->kv, l->view->snap, h->height};
    w->executor =
        (executor_t){.evm = l->evm,
                     .state = &w->state,
                     .host = {.state = &w->state, .block_hash = ledger_block_hash, .ctx = &w->hashes}};
    executor_context(&w->executor, &l->genesis, governance_epoch(&l->view->rules->g, h->height), h);
    w->batch = rdg_kv_batch_new();
    w->leaves = rdg_calloc(h->tx_count + (size_t)1, sizeof *w->leaves);
    if (!w->batch || !w->leaves) return RDG_E_NO_MEMORY;
    RDG_TRY(succession_begin(&l->genesis, h->height, &w->executor));
    RDG_TRY(run_transactions(w));
    if (w->executor.host.governance_changed || rdg_genesis_succession_at(&l->genesis, h->height))
        RDG_TRY(take_rules(w));
    RDG_TRY(state_commit(&w->state, l->tree, w->batch));
    tree_root(l->tree, &w->entry.executed.state_root);
    w->entry.executed.epoch_digest = (w->rules ? w->rules : l->view->rules)->epoch_digest;
    return check_succession(w);
}

static rdg_err_t fill_batch(work_t *w) {
    uint64_t height = w->entry.header.height;
    for (uint32_t i = 0; i < w->block->header.tx_count; ++i)
        put_tx_index(w->batch, &w->block->txs[i]->id, height, i);
    ledger_key_t key = key_of_height(KEY_SEAL, height);
    rdg_kv_batch_put(w->batch, key_view(&key), w->seal);
    key = key_of_height(KEY_BLOOM, height);
    if (w->items.count > 0)
        rdg_kv_batch_put(w->batch, key_view(&key), rdg_bytes(w->bloom.b, sizeof w->bloom.b));
    RDG_TRY(log_index_put(w->l->kv, &w->l->logs, height, &w->items, w->batch, &w->logs));
    return put_entry(w->batch, &w->entry);
}

/* All that needs memory comes before the first byte is written. */
static rdg_err_t prepare(work_t *w) {
    rdg_ledger_t *l = w->l;
    RDG_TRY(
        blockfile_plan(l->files, w->block->proposal, w->seal, rdg_buf_view(&w->receipts), &w->entry.place));
    RDG_TRY(fill_batch(w));
    return view_new(l, &w->entry, l->view->head.checkpoint_height, w->rules ? w->rules : l->view->rules,
                    &w->view);
}

static rdg_err_t store(work_t *w) {
    rdg_ledger_t *l = w->l;
    RDG_TRY(blockfile_append(l->files, &w->entry.place, w->entry.header.height, w->block->proposal, w->seal,
                             rdg_buf_view(&w->receipts)));
    RDG_TRY(rdg_kv_write(l->kv, w->batch, true));
    return view_publish(l, w->view);
}

static void work_free(work_t *w) {
    state_fini(&w->state);
    rdg_buf_fini(&w->receipts);
    rdg_free(w->leaves);
    log_items_fini(&w->items);
    rdg_kv_batch_free(w->batch);
    view_put(w->view);
    rules_put(w->rules);
}

/* The tree in memory is ahead of the store after a failure: put it back, or let nothing further be applied.
 */
static void give_up(rdg_ledger_t *l, rdg_err_t err, bool writing) {
    bool of_storage = err == RDG_E_IO || err == RDG_E_DISK_FULL || err == RDG_E_CORRUPT;
    if (!of_storage && !writing && tree_reload(l->tree) == RDG_OK) return;
    l->failed = err;
}

static rdg_err_t apply_block(rdg_ledger_t *l, rdg_block_t *b, rdg_bytes_t seal, rdg_executed_t *out) {
    work_t w = {.l = l, .block = b, .seal = seal};
    state_init(&w.state, l->kv, l->view->snap, l->bank);
    rdg_buf_init(&w.receipts, RDG_RECEIPTS_BYTES_MAX);
    rdg_err_t err = execute(&w);
    if (err == RDG_OK) err = prepare(&w);
    bool writing = err == RDG_OK;
    if (err == RDG_OK) err = store(&w);
    if (err == RDG_OK) {
        *out = w.entry.executed;
        l->logs = w.logs;
        recent_add(l, b);
    } else {
        give_up(l, err, writing);
    }
    work_free(&w);
    return err;
}

static rdg_err_t check_and_apply(rdg_ledger_t *l, rdg_bytes_t proposal, rdg_bytes_t seal, bool verified,
                                 rdg_executed_t *out) {
    rdg_block_t *b = NULL;
    if (l->failed != RDG_OK)
        return rdg_fail(l->failed,
                        "the ledger applies nothing since it failed (%s): remove the cause and restart",
                        rdg_err_text(l->failed));
    rdg_err_t err = obtain_block(l, proposal, &b);
    if (err == RDG_OK) err = verify_seal(l, &b->header, &b->hash, seal);
    if (err == RDG_OK && !verified) err = check_transactions(l, b);
    if (err == RDG_OK && !verified) err = check_signatures(l, b, NULL);
    if (err == RDG_OK) err = apply_block(l, b, seal, out);
    rdg_block_unref(b);
    return err;
}

rdg_err_t rdg_ledger_apply(rdg_ledger_t *l, rdg_bytes_t proposal, rdg_bytes_t seal, bool verified,
                           rdg_executed_t *out) {
    pthread_mutex_lock(&l->write_lock);
    rdg_err_t err = check_and_apply(l, proposal, seal, verified, out);
    pthread_mutex_unlock(&l->write_lock);
    return err;
}

/* The last block of an epoch is the first that the next one's validators vote on: either may have certified it. */
static rdg_err_t checkpoint_set(rdg_ledger_t *l, uint64_t height, uint64_t epoch, rdg_epoch_t *out) {
    RDG_TRY(epoch_at(l, l->view->rules, height, out));
    if (out->validators.epoch == epoch || out->last_height != height) return RDG_OK;
    return epoch_at(l, l->view->rules, height + 1, out);
}

/* A certificate that verifies for another digest than ours is the quorum's word against us. */
static rdg_err_t check_checkpoint(rdg_ledger_t *l, const block_entry_t *e, rdg_bytes_t certificate) {
    rdg_certificate_t c;
    rdg_epoch_t epoch;
    rdg_hash_t ours;
    uint64_t height = e->header.height;
    RDG_TRY(rdg_executed_hash(&e->executed, &ours));
    RDG_TRY(rdg_certificate_decode(certificate, &c));
    RDG_TRY(checkpoint_set(l, height, c.statement.epoch, &epoch));
    RDG_TRY((rdg_genesis_is_raft(&l->genesis) ? rdg_certificate_verify_raft : rdg_certificate_verify)(
        &c, &epoch.validators, RDG_PHASE_CHECKPOINT, height, &c.statement.digest));
    if (rdg_hash_equal(&c.statement.digest, &ours)) return RDG_OK;
    return rdg_fail(RDG_E_DIVERGED,
                    "block %" PRIu64 ": a quorum executed it to another result than this node: restore "
                    "this node from its peers",
                    height);
}

static rdg_err_t store_checkpoint(rdg_ledger_t *l, uint64_t height, rdg_bytes_t certificate) {
    block_entry_t at, head;
    if (height > l->view->head.height)
        return rdg_fail(RDG_E_NOT_FOUND, "block %" PRIu64 " is not in the ledger", height);
    RDG_TRY(entry_load(l->kv, NULL, height, &at));
    rdg_err_t err = check_checkpoint(l, &at, certificate);
    if (err != RDG_OK) return rdg_fail_in(err, "checkpoint of block %" PRIu64, height);
    uint64_t highest = l->view->head.checkpoint_height;
    if (height > highest) highest = height;
    RDG_TRY(entry_load(l->kv, NULL, l->view->head.height, &head));
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    ledger_key_t key = key_of_height(KEY_CHECKPOINT, height);
    rdg_kv_batch_put(batch, key_view(&key), certificate);
    put_u64(batch, META_CHECKPOINT, highest);
    /* Not synced: a certificate that a power cut takes is made or fetched again. */
    err = rdg_kv_write(l->kv, batch, false);
    rdg_kv_batch_free(batch);
    return err == RDG_OK ? view_replace(l, &head, highest, l->view->rules) : err;
}

rdg_err_t rdg_ledger_checkpoint(rdg_ledger_t *l, uint64_t height, rdg_bytes_t certificate) {
    pthread_mutex_lock(&l->write_lock);
    rdg_err_t err = height == 0 ? rdg_fail(RDG_E_INVALID, "genesis has no checkpoint")
                                : store_checkpoint(l, height, certificate);
    pthread_mutex_unlock(&l->write_lock);
    return err;
}
