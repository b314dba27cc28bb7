#include "ridge/codec/hex.h"
#include "rpc_internal.h"

#define OUTPUT_MAX (1u << 20)

typedef struct call_params {
    rdg_call_t call;
    rdg_address_t to;
    rdg_buf_t data;
} call_params_t;

/* c->data is to be freed also after a failure. */
static rdg_err_t read_call(const json_t *o, call_params_t *c) {
    *c = (call_params_t){.call = {.gas = 0}};
    rdg_buf_init(&c->data, RDG_TX_BYTES_MAX);
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "parameter 1: want a call object");
    const json_t *v;
    if ((v = json_object_get(o, "from")) && !json_is_null(v))
        RDG_TRY(param_address(v, "from", &c->call.from));
    if ((v = json_object_get(o, "to")) && !json_is_null(v)) {
        RDG_TRY(param_address(v, "to", &c->to));
        c->call.to = &c->to;
    }
    if ((v = json_object_get(o, "value")) && !json_is_null(v))
        RDG_TRY(param_word(v, "value", &c->call.value));
    if ((v = json_object_get(o, "gas")) && !json_is_null(v))
        RDG_TRY(rdg_fail_in(rdg_json_quantity_parse(v, &c->call.gas), "gas"));
    RDG_TRY(rdg_json_opt_bool(o, "audit", &c->call.audit));
    v = json_object_get(o, "input");
    if (!v || json_is_null(v)) v = json_object_get(o, "data");
    if (v && !json_is_null(v)) RDG_TRY(param_bytes(v, "data", &c->data));
    c->call.data = rdg_buf_view(&c->data);
    return RDG_OK;
}

/* The revert data travels as error.data.output, where the caller's ABI can read it. */
static rdg_err_t refuse(const rdg_call_result_t *r, const rdg_buf_t *output, json_t **data) {
    *data = rdg_json_hex(output->data, output->len);
    if (r->status == RDG_EVM_REVERT) return rdg_fail(RDG_E_REVERTED, "execution reverted");
    return rdg_fail(r->status == RDG_EVM_OUT_OF_GAS ? RDG_E_GAS_LIMIT : RDG_E_REVERTED,
                    "execution failed: %s", rdg_evm_status_name(r->status));
}

static rdg_err_t run(rdg_node_rpc_t *rpc, const rdg_call_t *call, rdg_buf_t *output, rdg_call_result_t *r) {
    rdg_buf_clear(output);
    return rdg_ledger_call(rpc->options.ledger, call, output, r);
}

static rdg_err_t eth_call(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    call_params_t c;
    rdg_call_result_t r;
    rdg_buf_t output;
    rdg_buf_init(&output, OUTPUT_MAX);
    rdg_err_t err = read_call(json_array_get(params, 0), &c);
    if (err == RDG_OK) err = param_head(rpc, json_array_get(params, 1));
    if (err == RDG_OK) err = run(rpc, &c.call, &output, &r);
    if (err == RDG_OK) {
        if (r.status == RDG_EVM_SUCCESS)
            *result = rdg_json_hex(output.data, output.len);
        else
            err = refuse(&r, &output, result);
    }
    rdg_buf_fini(&c.data);
    rdg_buf_fini(&output);
    return err;
}

/* The least gas limit that succeeds lies between what was used and the limit (63/64 and refunds make it more
 * than the former): bisection to 1/64 of it. */
static rdg_err_t bisect(rdg_node_rpc_t *rpc, call_params_t *c, rdg_buf_t *output, uint64_t *gas) {
    uint64_t low = *gas, high = c->call.gas;
    rdg_call_result_t r;
    c->call.gas = low;
    RDG_TRY(run(rpc, &c->call, output, &r));
    if (r.status == RDG_EVM_SUCCESS) return RDG_OK;
    while (high - low > low / 64) {
        c->call.gas = low + (high - low) / 2;
        RDG_TRY(run(rpc, &c->call, output, &r));
        if (r.status == RDG_EVM_SUCCESS)
            high = c->call.gas;
        else
            low = c->call.gas;
    }
    *gas = high;
    return RDG_OK;
}

static rdg_err_t estimate_gas(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    call_params_t c;
    rdg_call_result_t r;
    rdg_buf_t output;
    rdg_buf_init(&output, OUTPUT_MAX);
    uint64_t limit = rdg_ledger_genesis(rpc->options.ledger)->params.tx_gas_limit, gas = 0;
    rdg_err_t err = read_call(json_array_get(params, 0), &c);
    if (c.call.gas == 0 || c.call.gas > limit) c.call.gas = limit;
    if (err == RDG_OK) err = run(rpc, &c.call, &output, &r);
    if (err == RDG_OK && r.status != RDG_EVM_SUCCESS)
        err = refuse(&r, &output, result);
    else if (err == RDG_OK) {
        gas = r.gas_used;
        err = bisect(rpc, &c, &output, &gas);
        if (err == RDG_OK) *result = rdg_json_quantity(gas);
    }
    rdg_buf_fini(&c.data);
    rdg_buf_fini(&output);
    return err;
}

const rpc_method_t rpc_call_methods[] = {
    {"eth_call", eth_call}, {"eth_estimateGas", estimate_gas}, {NULL, NULL}};
