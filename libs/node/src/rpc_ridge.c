#include "rpc_internal.h"

static rdg_err_t send_transaction(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_buf_t wire;
    rdg_hash_t id;
    rdg_buf_init(&wire, RDG_TX_BYTES_MAX);
    rdg_err_t err = param_bytes(json_array_get(params, 0), "transaction", &wire);
    if (err == RDG_OK) err = rpc->options.submit(rpc->options.ctx, rdg_buf_view(&wire), &id);
    if (err == RDG_OK) *result = rdg_json_hex(id.b, sizeof id.b);
    rdg_buf_fini(&wire);
    return err;
}

static rdg_err_t status(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)params;
    return rpc->options.status(rpc->options.ctx, result);
}

static rdg_err_t consensus(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)params;
    if (!rpc->options.consensus) return rdg_fail(RDG_E_UNSUPPORTED, "this server has no consensus");
    return rpc->options.consensus(rpc->options.ctx, result);
}

static rdg_err_t read_index(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    uint64_t height;
    (void)params;
    if (!rpc->options.read_index) return rdg_fail(RDG_E_UNSUPPORTED, "this node knows no read index");
    RDG_TRY(rpc->options.read_index(rpc->options.ctx, &height));
    *result = rdg_json_quantity(height);
    return RDG_OK;
}

static rdg_err_t transfer_leader(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_buf_t wire;
    if (!rpc->options.transfer) return rdg_fail(RDG_E_UNSUPPORTED, "this server leads nothing");
    rdg_buf_init(&wire, RDG_TX_BYTES_MAX);
    rdg_err_t err = param_bytes(json_array_get(params, 0), "order", &wire);
    if (err == RDG_OK) err = rpc->options.transfer(rpc->options.ctx, rdg_buf_view(&wire), result);
    rdg_buf_fini(&wire);
    return err;
}

/* Seal and checkpoint certificate of a block, with the headers that they sign: enough to prove the block to
 * anyone who knows the validator set. */
static rdg_err_t get_seal(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_ledger_t *l = rpc->options.ledger;
    rdg_header_t header;
    rdg_executed_t executed;
    rdg_buf_t parts[4];
    uint64_t height;
    RDG_TRY(param_height(rpc, json_array_get(params, 0), "block number", &height));
    RDG_TRY(rdg_ledger_header(l, height, &header, NULL, &executed));
    for (size_t i = 0; i < 4; ++i) rdg_buf_init(&parts[i], 1u << 20);
    rdg_err_t err = rdg_header_encode(&header, &parts[0]);
    /* Of a block that came as a header without certificate the result is not known. */
    if (err == RDG_OK && executed.height == height) err = rdg_executed_encode(&executed, &parts[1]);
    if (err == RDG_OK) err = rdg_ledger_seal(l, height, &parts[2], &parts[3]);
    static const char *const names[] = {"header", "executed", "seal", "checkpoint"};
    json_t *o = err == RDG_OK ? json_object() : NULL;
    for (size_t i = 0; i < 4; ++i) {
        if (o)
            json_object_set_new(o, names[i],
                                parts[i].len > 0 ? rdg_json_hex(parts[i].data, parts[i].len) : json_null());
        rdg_buf_fini(&parts[i]);
    }
    *result = o;
    return err;
}

const rpc_method_t rpc_ridge_methods[] = {
    {"ridge_sendTransaction", send_transaction, NULL},
    {"ridge_status", status, NULL},
    {"ridge_consensus", consensus, NULL},
    {"ridge_getSeal", get_seal, NULL},
    {"ridge_readIndex", read_index, NULL},
    {"ridge_transferLeader", transfer_leader, NULL},
    {NULL, NULL, NULL},
};
