#include "campaign.h"
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"
#include "ridge/consensus/validators.h"
#include "ridge/crypto/hash.h"

typedef struct work {
    rdg_ledger_t *l;
    uint64_t height;
    rdg_block_t *block;
    rdg_hash_t hash, executed_digest;
    rdg_executed_t executed;
    rdg_buf_t seal, checkpoint, receipts;
    json_t *out, *wrong;
} work_t;

static void wrong(work_t *w, const char *what, rdg_err_t err) {
    json_array_append_new(w->wrong, json_sprintf("%s: %s", what, rdg_err_message(err)));
}

static void put_hex(json_t *o, const char *name, const rdg_hash_t *h) {
    char hex[65];
    rdg_hex_encode(h->b, sizeof h->b, hex);
    json_object_set_new(o, name, json_string(hex));
}

static rdg_err_t check_certificate(const work_t *w, rdg_bytes_t encoded, rdg_phase_t phase,
                                   const rdg_hash_t *digest, rdg_certificate_t *c) {
    rdg_epoch_t epoch;
    bool raft = rdg_genesis_is_raft(rdg_ledger_genesis(w->l));
    RDG_TRY(rdg_ledger_epoch(w->l, w->height, &epoch));
    RDG_TRY(rdg_certificate_decode(encoded, c));
    return (raft ? rdg_certificate_verify_raft : rdg_certificate_verify)(c, &epoch.validators, phase,
                                                                         w->height, digest);
}

static void check_seals(work_t *w) {
    rdg_certificate_t c;
    bool raft = rdg_genesis_is_raft(rdg_ledger_genesis(w->l));
    rdg_err_t err = check_certificate(w, rdg_buf_view(&w->seal),
                                      raft ? RDG_PHASE_RAFT_LEADER : RDG_PHASE_COMMIT, &w->hash, &c);
    if (err != RDG_OK)
        wrong(w, "seal", err);
    else
        json_object_set_new(w->out, "view", json_integer((json_int_t)c.statement.view));
    json_object_set_new(w->out, "checkpoint", json_boolean(w->checkpoint.len > 0));
    if (w->checkpoint.len == 0) return; /* it may come later than the block */
    err = check_certificate(w, rdg_buf_view(&w->checkpoint), RDG_PHASE_CHECKPOINT, &w->executed_digest, &c);
    if (err != RDG_OK) wrong(w, "checkpoint", err);
}

static rdg_err_t one_receipt(json_t *list, rdg_bytes_t encoded, rdg_arena_t *arena) {
    rdg_receipt_t r;
    rdg_hash_t logs;
    char logs_hex[65];
    RDG_TRY(rdg_receipt_decode(encoded, arena, &r));
    RDG_TRY(journal_logs(&r, &logs));
    rdg_hex_encode(logs.b, 32, logs_hex);
    json_array_append_new(list, json_sprintf("%d %llu %llu %s", r.success, (unsigned long long)r.gas_used,
                                             (unsigned long long)r.cumulative_gas, logs_hex));
    return RDG_OK;
}

static rdg_err_t check_receipts(work_t *w, json_t *list) {
    rdg_rlp_t outer, c;
    rdg_arena_t arena;
    rdg_hash_t root;
    size_t count = 0;
    rdg_hash_t *leaves = rdg_calloc(w->block->header.tx_count + 1, sizeof *leaves);
    rdg_err_t err = leaves ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for receipts");
    rdg_arena_init(&arena, RDG_RECEIPT_BYTES_MAX);
    rdg_rlp_init(&outer, rdg_buf_view(&w->receipts));
    if (err == RDG_OK) err = rdg_rlp_list(&outer, &c);
    while (err == RDG_OK && rdg_rlp_more(&c)) {
        rdg_bytes_t encoded = rdg_rlp_raw(&c);
        if (count == w->block->header.tx_count)
            err = rdg_fail(RDG_E_CORRUPT, "more receipts than transactions");
        if (err == RDG_OK) rdg_merkle_leaf(encoded, &leaves[count++]);
        if (err == RDG_OK) err = one_receipt(list, encoded, &arena);
        rdg_arena_reset(&arena);
    }
    if (err == RDG_OK && count != w->block->header.tx_count)
        err = rdg_fail(RDG_E_CORRUPT, "fewer receipts than transactions");
    if (err == RDG_OK) rdg_merkle_root(leaves, count, &root);
    if (err == RDG_OK && !rdg_hash_equal(&root, &w->executed.receipts_root))
        err = rdg_fail(RDG_E_CORRUPT, "they do not give the root that was signed");
    rdg_arena_fini(&arena);
    rdg_free(leaves);
    return err;
}

static void check_replica(work_t *w, rdg_ledger_t *replica) {
    rdg_executed_t again;
    rdg_hash_t digest;
    rdg_err_t err = rdg_ledger_apply(replica, w->block->proposal, rdg_buf_view(&w->seal), false, &again);
    if (err == RDG_OK) err = rdg_executed_hash(&again, &digest);
    if (err == RDG_OK && !rdg_hash_equal(&digest, &w->executed_digest))
        err = rdg_fail(RDG_E_DIVERGED, "executed again from genesis the block has another result");
    if (err != RDG_OK) wrong(w, "execution", err);
}

static rdg_err_t read_block(work_t *w) {
    rdg_header_t header;
    RDG_TRY(rdg_ledger_header(w->l, w->height, &header, &w->hash, &w->executed));
    put_hex(w->out, "hash", &w->hash);
    put_hex(w->out, "parent", &header.parent);
    put_hex(w->out, "state", &w->executed.state_root);
    RDG_TRY(rdg_executed_hash(&w->executed, &w->executed_digest));
    put_hex(w->out, "executed", &w->executed_digest);
    RDG_TRY(rdg_ledger_block(w->l, w->height, &w->block));
    if (!rdg_hash_equal(&w->block->hash, &w->hash) || !rdg_hash_equal(&w->executed.block_hash, &w->hash) ||
        w->block->header.height != w->height)
        return rdg_fail(RDG_E_CORRUPT, "body, header and executed header are of different blocks");
    RDG_TRY(rdg_ledger_seal(w->l, w->height, &w->seal, &w->checkpoint));
    return rdg_ledger_receipts(w->l, w->height, &w->receipts);
}

void campaign_block(rdg_ledger_t *l, uint64_t height, rdg_ledger_t *replica, uint64_t spoil, json_t **out) {
    work_t w = {.l = l, .height = height, .out = json_object(), .wrong = json_array()};
    json_t *txs = json_array(), *receipts = json_array();
    rdg_buf_init(&w.seal, 1u << 20);
    rdg_buf_init(&w.checkpoint, 1u << 20);
    rdg_buf_init(&w.receipts, RDG_RECEIPTS_BYTES_MAX);
    json_object_set_new(w.out, "height", json_integer((json_int_t)height));
    rdg_err_t err = read_block(&w);
    if (err != RDG_OK) wrong(&w, "block", err);
    if (err == RDG_OK && height == spoil) w.seal.data[w.seal.len - 1] ^= 1;
    if (err == RDG_OK) check_seals(&w);
    for (uint32_t i = 0; err == RDG_OK && i < w.block->header.tx_count; ++i) {
        char hex[65];
        rdg_hex_encode(w.block->txs[i]->id.b, 32, hex);
        json_array_append_new(txs, json_string(hex));
    }
    if (err == RDG_OK && (err = check_receipts(&w, receipts)) != RDG_OK) wrong(&w, "receipts", err);
    if (replica && w.block) check_replica(&w, replica);
    json_object_set_new(w.out, "txs", txs);
    json_object_set_new(w.out, "receipts", receipts);
    json_object_set_new(w.out, "wrong", w.wrong);
    rdg_block_unref(w.block);
    rdg_buf_fini(&w.seal);
    rdg_buf_fini(&w.checkpoint);
    rdg_buf_fini(&w.receipts);
    *out = w.out;
}
