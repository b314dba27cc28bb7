#include "ridge/base/arena.h"
#include "ridge/codec/rlp.h"
#include "rpc_internal.h"

static json_t *format_receipt(const rdg_receipt_t *r, const rdg_tx_t *tx, const rdg_bloom_t *bloom,
                              const rdg_hash_t *block_hash, const rdg_tx_location_t *where,
                              uint32_t first_log) {
    json_t *o = json_object(), *logs = json_array();
    for (size_t i = 0; i < r->log_count; ++i)
        json_array_append_new(logs, format_log(&r->logs[i], block_hash, &tx->id, where->height, where->index,
                                               first_log + (uint32_t)i));
    json_object_set_new(o, "transactionHash", format_hash(&tx->id));
    json_object_set_new(o, "transactionIndex", rdg_json_quantity(where->index));
    json_object_set_new(o, "blockHash", format_hash(block_hash));
    json_object_set_new(o, "blockNumber", rdg_json_quantity(where->height));
    json_object_set_new(o, "from", format_address(&tx->from));
    json_object_set_new(o, "to", tx->is_create ? json_null() : format_address(&tx->to));
    json_object_set_new(o, "contractAddress", r->has_contract ? format_address(&r->contract) : json_null());
    json_object_set_new(o, "gasUsed", rdg_json_quantity(r->gas_used));
    json_object_set_new(o, "cumulativeGasUsed", rdg_json_quantity(r->cumulative_gas));
    json_object_set_new(o, "effectiveGasPrice", json_string("0x0"));
    json_object_set_new(o, "type", json_string("0x0"));
    json_object_set_new(o, "status", json_string(r->success ? "0x1" : "0x0"));
    json_object_set_new(o, "logs", logs);
    json_object_set_new(o, "logsBloom", rdg_json_hex(bloom->b, sizeof bloom->b));
    if (r->output.len > 0) json_object_set_new(o, "output", rdg_json_hex(r->output.data, r->output.len));
    return o;
}

/* Receipts of a block, encoded, one after another. */
typedef struct reading {
    rdg_block_t *block;
    rdg_buf_t encoded;
    rdg_arena_t arena;
    rdg_rlp_t list;
    rdg_tx_location_t at; /* of the receipt that next() gave */
    uint32_t first_log, logs;
    rdg_receipt_t receipt;
} reading_t;

static rdg_err_t reading_init(reading_t *r, rdg_ledger_t *l, uint64_t height) {
    rdg_rlp_t outer;
    *r = (reading_t){.at = {.height = height}};
    rdg_buf_init(&r->encoded, RDG_RECEIPTS_BYTES_MAX);
    rdg_arena_init(&r->arena, RDG_RECEIPTS_BYTES_MAX);
    RDG_TRY(rdg_ledger_block(l, height, &r->block));
    RDG_TRY(rdg_ledger_receipts(l, height, &r->encoded));
    rdg_rlp_init(&outer, rdg_buf_view(&r->encoded));
    return rdg_rlp_list(&outer, &r->list);
}

static void reading_fini(reading_t *r) {
    rdg_arena_fini(&r->arena);
    rdg_buf_fini(&r->encoded);
    rdg_block_unref(r->block);
}

static rdg_err_t next(reading_t *r, uint32_t index) {
    if (!rdg_rlp_more(&r->list) || index >= r->block->header.tx_count)
        return rdg_fail(RDG_E_CORRUPT, "a block holds other numbers of receipts and transactions");
    rdg_arena_reset(&r->arena);
    RDG_TRY(rdg_receipt_decode(rdg_rlp_raw(&r->list), &r->arena, &r->receipt));
    r->at.index = index;
    r->first_log = r->logs;
    r->logs += (uint32_t)r->receipt.log_count;
    return RDG_OK;
}

static json_t *as_json(const reading_t *r) {
    rdg_bloom_t bloom = {{0}};
    rdg_bloom_add_receipt(&bloom, &r->receipt);
    return format_receipt(&r->receipt, r->block->txs[r->at.index], &bloom, &r->block->hash, &r->at,
                          r->first_log);
}

rdg_err_t rpc_receipt(rdg_node_rpc_t *rpc, const rdg_hash_t *id, json_t **out) {
    rdg_tx_location_t where;
    reading_t r;
    RDG_TRY(rdg_ledger_find_tx(rpc->options.ledger, id, &where));
    rdg_err_t err = reading_init(&r, rpc->options.ledger, where.height);
    for (uint32_t i = 0; err == RDG_OK && i <= where.index; ++i) err = next(&r, i);
    if (err == RDG_OK) *out = as_json(&r);
    reading_fini(&r);
    return err;
}

rdg_err_t rpc_block_receipts(rdg_node_rpc_t *rpc, uint64_t height, json_t **out) {
    reading_t r;
    json_t *list = json_array();
    rdg_err_t err = reading_init(&r, rpc->options.ledger, height);
    for (uint32_t i = 0; err == RDG_OK && i < r.block->header.tx_count; ++i) {
        err = next(&r, i);
        if (err == RDG_OK) json_array_append_new(list, as_json(&r));
    }
    reading_fini(&r);
    if (err == RDG_OK)
        *out = list;
    else
        json_decref(list);
    return err;
}
