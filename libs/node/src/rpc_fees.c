/* What tools ask before they send: gas costs nothing here. */
#include "rpc_internal.h"

static rdg_err_t zero(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)rpc, (void)params;
    *result = json_string("0x0");
    return RDG_OK;
}

static json_t *zeros(size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i) json_array_append_new(list, json_string("0x0"));
    return list;
}

/* As in Ethereum, fewer blocks than asked for are answered when there are no more. */
static rdg_err_t fee_history(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    enum { BLOCKS_MAX = 1024, PERCENTILES_MAX = 100 };
    uint64_t count = 0, newest;
    const json_t *wanted = json_array_get(params, 0), *percentiles = json_array_get(params, 2);
    if (json_is_integer(wanted) && json_integer_value(wanted) >= 0)
        count = (uint64_t)json_integer_value(wanted);
    else
        RDG_TRY(rdg_fail_in(rdg_json_quantity_parse(wanted, &count), "blockCount"));
    RDG_TRY(param_height(rpc, json_array_get(params, 1), "newestBlock", &newest));
    if (newest > rpc_head(rpc)) newest = rpc_head(rpc);
    if (json_array_size(percentiles) > PERCENTILES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "at most %d percentiles", PERCENTILES_MAX);
    if (count > BLOCKS_MAX) count = BLOCKS_MAX;
    if (count > newest + 1) count = newest + 1;
    json_t *ratios = json_array(), *rewards = json_array();
    rdg_err_t err = RDG_OK;
    for (uint64_t h = newest + 1 - count; h <= newest && count > 0 && err == RDG_OK; ++h) {
        rdg_header_t header;
        rdg_executed_t executed;
        err = rdg_ledger_header(rpc->options.ledger, h, &header, NULL, &executed);
        double limit = header.gas_limit ? (double)header.gas_limit : 1.0;
        if (err == RDG_OK) json_array_append_new(ratios, json_real((double)executed.gas_used / limit));
        json_array_append_new(rewards, zeros(json_array_size(percentiles)));
    }
    if (err == RDG_OK) {
        *result = json_object();
        json_object_set_new(*result, "oldestBlock", rdg_json_quantity(newest + 1 - count));
        json_object_set_new(*result, "baseFeePerGas", zeros((size_t)count + 1));
        json_object_set(*result, "gasUsedRatio", ratios);
        if (json_array_size(percentiles) > 0) json_object_set(*result, "reward", rewards);
    }
    json_decref(ratios);
    json_decref(rewards);
    return err;
}

static rdg_err_t syncing(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    uint64_t highest = 0, head = rpc_head(rpc);
    (void)params;
    *result = json_false();
    if (!rpc->options.syncing || !rpc->options.syncing(rpc->options.ctx, &highest)) return RDG_OK;
    *result = json_object();
    json_object_set_new(*result, "startingBlock", json_string("0x0"));
    json_object_set_new(*result, "currentBlock", rdg_json_quantity(head));
    json_object_set_new(*result, "highestBlock", rdg_json_quantity(highest > head ? highest : head));
    return RDG_OK;
}

static rdg_err_t listening(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)rpc, (void)params;
    *result = json_true();
    return RDG_OK;
}

const rpc_method_t rpc_fee_methods[] = {
    {"eth_gasPrice", zero, NULL},
    {"eth_maxPriorityFeePerGas", zero, NULL},
    {"eth_blobBaseFee", zero, NULL},
    {"eth_feeHistory", fee_history, NULL},
    {"eth_syncing", syncing, NULL},
    {"net_listening", listening, NULL},
    {NULL, NULL, NULL},
};
