#include "rpc_internal.h"

static rdg_err_t read_receipts(rdg_node_rpc_t *rpc, uint64_t height, const uint32_t *only, json_t *list) {
    rdg_ledger_t *l = rpc->options.ledger;
    rdg_block_t *block = NULL;
    rdg_buf_t encoded;
    rdg_buf_init(&encoded, RDG_RECEIPTS_BYTES_MAX);
    rdg_err_t err = rdg_ledger_block(l, height, &block);
    if (err == RDG_OK) err = rdg_ledger_receipts(l, height, &encoded);
    if (err == RDG_OK)
        err = rdg_eth_receipts_json(block, rdg_buf_view(&encoded), only ? *only : 0,
                                    only ? 1 : block->header.tx_count, list, NULL);
    rdg_buf_fini(&encoded);
    rdg_block_unref(block);
    return err;
}

rdg_err_t rpc_receipt(rdg_node_rpc_t *rpc, const rdg_hash_t *id, json_t **out) {
    rdg_tx_location_t where;
    json_t *list = NULL;
    RDG_TRY(rdg_ledger_find_tx(rpc->options.ledger, id, &where));
    if (!(list = json_array())) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a receipt");
    rdg_err_t err = read_receipts(rpc, where.height, &where.index, list);
    if (err == RDG_OK) *out = json_incref(json_array_get(list, 0));
    json_decref(list);
    return err;
}

rdg_err_t rpc_block_receipts(rdg_node_rpc_t *rpc, uint64_t height, json_t **out) {
    json_t *list = json_array();
    rdg_err_t err = list ? read_receipts(rpc, height, NULL, list)
                         : rdg_fail(RDG_E_NO_MEMORY, "no memory for the receipts");
    if (err == RDG_OK)
        *out = list;
    else
        json_decref(list);
    return err;
}
