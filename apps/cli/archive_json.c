#include "archive.h"
#include <stdio.h>
#include <string.h>
#include "ridge/codec/rlp.h"

enum { RECEIPT_ARENA_MAX = 16 << 20 };

rdg_err_t archive_hash(const char *what, const char *text, rdg_hash_t *out) {
    const char *digits = strncmp(text, "0x", 2) == 0 ? text + 2 : text;
    if (rdg_hex_decode(digits, strlen(digits), out->b, sizeof out->b) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "%s: 64 hex digits are wanted, not '%.80s'", what, text);
}

static void put_hash(json_t *o, const char *field, const rdg_hash_t *h) {
    json_object_set_new(o, field, rdg_json_hex(h->b, sizeof h->b));
}

static void put_u64(json_t *o, const char *field, uint64_t v) {
    json_object_set_new(o, field, json_integer((json_int_t)v));
}

json_t *archive_fields_json(const rdg_archive_manifest_t *m, const rdg_hash_t *digest) {
    json_t *o = json_object();
    rdg_hash_t content;
    put_u64(o, "chain_id", m->chain_id);
    put_hash(o, "genesis", &m->genesis);
    json_object_set_new(o, "consensus", json_string(m->raft ? "raft" : "pbft"));
    put_u64(o, "from", m->from);
    put_u64(o, "to", m->to);
    put_u64(o, "first_time_ms", m->first_time_ms);
    put_u64(o, "last_time_ms", m->last_time_ms);
    put_u64(o, "transactions", m->tx_count);
    put_u64(o, "first_epoch", m->first_epoch);
    put_u64(o, "last_epoch", m->last_epoch);
    put_hash(o, "parent", &m->parent);
    put_hash(o, "last_block", &m->last_block);
    put_u64(o, "raw_bytes", m->raw_bytes);
    put_u64(o, "stored_bytes", m->stored_bytes);
    put_u64(o, "frames", m->frame_count);
    if (m->state_frames) {
        put_u64(o, "state_height", m->to);
        put_u64(o, "state_bytes", m->state_bytes);
    }
    if (*m->key_id) json_object_set_new(o, "key_id", json_string(m->key_id));
    if (rdg_archive_content_digest(m, &content) == RDG_OK) put_hash(o, "content", &content);
    put_hash(o, "manifest", digest);
    return o;
}

json_t *archive_manifest_json(const rdg_archive_t *a) {
    rdg_hash_t digest;
    rdg_address_t address;
    const rdg_sm2_public_t *signer = rdg_archive_signer(a);
    rdg_archive_digest(a, &digest);
    json_t *o = archive_fields_json(rdg_archive_manifest(a), &digest);
    rdg_sm2_address(signer, &address);
    json_object_set_new(o, "signer", rdg_json_hex(address.b, sizeof address.b));
    json_object_set_new(o, "signer_key", rdg_json_hex(signer->b, sizeof signer->b));
    return o;
}

static json_t *logs_json(const rdg_receipt_t *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->log_count; ++i) {
        const rdg_log_entry_t *log = &r->logs[i];
        json_t *o = json_object(), *topics = json_array();
        json_object_set_new(o, "address", rdg_json_hex(log->address.b, sizeof log->address.b));
        for (uint32_t t = 0; t < log->topic_count; ++t)
            json_array_append_new(topics, rdg_json_hex(log->topics[t].b, sizeof log->topics[t].b));
        json_object_set_new(o, "topics", topics);
        json_object_set_new(o, "data", rdg_json_hex(log->data.data, log->data.len));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *receipt_json(const rdg_receipt_t *r) {
    json_t *o = json_object();
    json_object_set_new(o, "success", json_boolean(r->success));
    put_u64(o, "gas_used", r->gas_used);
    if (r->has_contract)
        json_object_set_new(o, "contract", rdg_json_hex(r->contract.b, sizeof r->contract.b));
    if (r->output.len) json_object_set_new(o, "output", rdg_json_hex(r->output.data, r->output.len));
    json_object_set_new(o, "logs", logs_json(r));
    return o;
}

static json_t *tx_json(const rdg_tx_t *tx, const rdg_receipt_t *r) {
    json_t *o = json_object();
    put_hash(o, "id", &tx->id);
    json_object_set_new(o, "from", rdg_json_hex(tx->from.b, sizeof tx->from.b));
    json_object_set_new(o, "to", tx->is_create ? json_null() : rdg_json_hex(tx->to.b, sizeof tx->to.b));
    put_u64(o, "nonce", tx->nonce);
    put_u64(o, "valid_until", tx->valid_until);
    put_u64(o, "gas_limit", tx->gas_limit);
    json_object_set_new(o, "value", rdg_json_hex(tx->value.b, sizeof tx->value.b));
    json_object_set_new(o, "data", rdg_json_hex(tx->data.data, tx->data.len));
    json_object_set_new(o, "raw", rdg_json_hex(tx->raw.data, tx->raw.len));
    json_object_set_new(o, "receipt", receipt_json(r));
    return o;
}

static rdg_err_t txs_json(const rdg_archive_block_t *b, json_t *list) {
    rdg_rlp_t outer, receipts;
    rdg_arena_t arena;
    rdg_err_t err = RDG_OK;
    rdg_rlp_init(&outer, b->receipts);
    rdg_rlp_list(&outer, &receipts);
    rdg_arena_init(&arena, RECEIPT_ARENA_MAX);
    for (uint32_t i = 0; err == RDG_OK && i < b->block->header.tx_count; ++i) {
        rdg_receipt_t r;
        rdg_arena_reset(&arena);
        err = rdg_receipt_decode(rdg_rlp_raw(&receipts), &arena, &r);
        if (err == RDG_OK) json_array_append_new(list, tx_json(b->block->txs[i], &r));
    }
    rdg_arena_fini(&arena);
    return err;
}

rdg_err_t archive_block_json(const rdg_archive_block_t *b, json_t **out) {
    const rdg_header_t *h = &b->block->header;
    json_t *o = json_object(), *txs = json_array();
    put_u64(o, "height", h->height);
    put_hash(o, "hash", &b->block->hash);
    put_hash(o, "parent", &h->parent);
    put_u64(o, "time_ms", h->time_ms);
    put_u64(o, "epoch", h->epoch);
    put_u64(o, "proposer", h->proposer);
    put_hash(o, "tx_root", &h->tx_root);
    put_hash(o, "state_root", &b->executed.state_root);
    put_hash(o, "receipts_root", &b->executed.receipts_root);
    put_u64(o, "gas_used", b->executed.gas_used);
    json_object_set_new(o, "seal", rdg_json_hex(b->seal.data, b->seal.len));
    json_object_set_new(o, "checkpoint", rdg_json_hex(b->checkpoint.data, b->checkpoint.len));
    json_object_set_new(o, "proven", json_boolean(b->proven));
    json_object_set_new(o, "transactions", txs);
    rdg_err_t err = txs_json(b, txs);
    if (err != RDG_OK) {
        json_decref(o);
        return err;
    }
    *out = o;
    return RDG_OK;
}
