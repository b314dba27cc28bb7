#include "ridge/base/clock.h"
#include "ridge/codec/hex.h"
#include "rpc_internal.h"
#include <string.h>

#define OUTPUT_MAX (1u << 20)
#define REASON_MAX 300

rdg_err_t rpc_call_read(const json_t *o, rpc_call_t *c) {
    *c = (rpc_call_t){.call = {.gas = 0}};
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

static uint64_t low_u64(const uint8_t word[32]) {
    for (size_t i = 0; i < 24; ++i)
        if (word[i]) return UINT64_MAX;
    return rdg_load_be64(word + 24);
}

/* Solidity's Error(string) and Panic(uint256), for whoever reads the message without an ABI. */
static rdg_err_t fail_reverted(rdg_bytes_t output) {
    static const uint8_t error[4] = {0x08, 0xc3, 0x79, 0xa0}, panic[4] = {0x4e, 0x48, 0x7b, 0x71};
    if (output.len >= 4 + 64 && memcmp(output.data, error, 4) == 0 && low_u64(output.data + 4) == 32) {
        uint64_t len = low_u64(output.data + 36);
        if (len <= output.len - 68)
            return rdg_fail(RDG_E_REVERTED, "execution reverted: %.*s",
                            (int)(len < REASON_MAX ? len : REASON_MAX), (const char *)output.data + 68);
    }
    if (output.len == 4 + 32 && memcmp(output.data, panic, 4) == 0)
        return rdg_fail(RDG_E_REVERTED, "execution reverted: panic code 0x%02llx",
                        (unsigned long long)low_u64(output.data + 4));
    return rdg_fail(RDG_E_REVERTED, "execution reverted");
}

rdg_err_t rpc_call_refused(rdg_evm_status_t status, rdg_bytes_t output, json_t **data) {
    *data = rdg_json_hex(output.data, output.len);
    if (status == RDG_EVM_REVERT) return fail_reverted(output);
    return rdg_fail(status == RDG_EVM_OUT_OF_GAS ? RDG_E_GAS_LIMIT : RDG_E_REVERTED, "execution failed: %s",
                    rdg_evm_status_name(status));
}

static rdg_err_t run(rdg_node_rpc_t *rpc, const rdg_call_t *call, rdg_buf_t *output, rdg_call_result_t *r) {
    rdg_buf_clear(output);
    return rdg_ledger_call(rpc->options.ledger, call, output, r);
}

rdg_err_t rpc_call_place(rdg_node_rpc_t *rpc, const json_t *v, rdg_call_t *call) {
    RDG_TRY(param_height(rpc, v, "block", &call->height));
    uint64_t head = rpc_head(rpc);
    call->at_height = call->height < head;
    if (call->height <= head) return RDG_OK;
    return rdg_fail(RDG_E_NOT_FOUND, "block %llu is not here yet: the newest is %llu",
                    (unsigned long long)call->height, (unsigned long long)head);
}

static rdg_err_t read_all(rdg_node_rpc_t *rpc, const json_t *params, rpc_call_t *c, rpc_overrides_t *o) {
    RDG_TRY(rpc_call_read(json_array_get(params, 0), c));
    c->call.time_ms = rpc->options.call_ms;
    RDG_TRY(rpc_call_place(rpc, json_array_get(params, 1), &c->call));
    RDG_TRY(rpc_overrides_read(json_array_get(params, 2), o));
    c->call.overrides = o->list;
    c->call.override_count = o->count;
    return RDG_OK;
}

static rdg_err_t eth_call(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rpc_call_t c = {.to = {{0}}};
    rpc_overrides_t o = {.list = NULL};
    rdg_call_result_t r;
    rdg_buf_t output;
    rdg_buf_init(&output, OUTPUT_MAX);
    rdg_err_t err = read_all(rpc, params, &c, &o);
    if (err == RDG_OK) err = run(rpc, &c.call, &output, &r);
    if (err == RDG_OK) {
        if (r.status == RDG_EVM_SUCCESS)
            *result = rdg_json_hex(output.data, output.len);
        else
            err = rpc_call_refused(r.status, rdg_buf_view(&output), result);
    }
    rpc_overrides_fini(&o);
    rdg_buf_fini(&c.data);
    rdg_buf_fini(&output);
    return err;
}

/* All runs of an estimate together have the time of one call. */
static rdg_err_t run_in_time(rdg_node_rpc_t *rpc, rdg_call_t *call, uint64_t end_ms, rdg_buf_t *output,
                             rdg_call_result_t *r) {
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    if (now >= end_ms)
        return rdg_fail(RDG_E_TIMEOUT, "the estimate took longer than %u ms: give gas yourself",
                        rpc->options.call_ms);
    call->time_ms = end_ms - now;
    return run(rpc, call, output, r);
}

/* The least gas limit that succeeds lies between what was used and the limit (63/64 and refunds make it more
 * than the former): bisection to 1/64 of it. */
static rdg_err_t bisect(rdg_node_rpc_t *rpc, rdg_call_t *call, uint64_t end_ms, rdg_buf_t *output,
                        uint64_t *gas) {
    uint64_t low = *gas, high = call->gas;
    rdg_call_result_t r;
    call->gas = low;
    RDG_TRY(run_in_time(rpc, call, end_ms, output, &r));
    if (r.status == RDG_EVM_SUCCESS) return RDG_OK;
    while (high - low > low / 64) {
        call->gas = low + (high - low) / 2;
        RDG_TRY(run_in_time(rpc, call, end_ms, output, &r));
        if (r.status == RDG_EVM_SUCCESS)
            high = call->gas;
        else
            low = call->gas;
    }
    *gas = high;
    return RDG_OK;
}

rdg_err_t rpc_estimate(rdg_node_rpc_t *rpc, rdg_call_t *call, uint64_t *gas, json_t **data) {
    rdg_call_result_t r;
    rdg_buf_t output;
    rdg_buf_init(&output, OUTPUT_MAX);
    uint64_t limit = rdg_ledger_genesis(rpc->options.ledger)->params.tx_gas_limit;
    uint64_t end_ms = rdg_mono_ms(rdg_clock_system()) + rpc->options.call_ms;
    if (call->gas == 0 || call->gas > limit) call->gas = limit;
    rdg_err_t err = run_in_time(rpc, call, end_ms, &output, &r);
    if (err == RDG_OK && r.status != RDG_EVM_SUCCESS)
        err = rpc_call_refused(r.status, rdg_buf_view(&output), data);
    if (err == RDG_OK) {
        *gas = r.gas_used;
        err = bisect(rpc, call, end_ms, &output, gas);
    }
    rdg_buf_fini(&output);
    return err;
}

static rdg_err_t estimate_gas(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rpc_call_t c = {.to = {{0}}};
    rpc_overrides_t o = {.list = NULL};
    uint64_t gas = 0;
    rdg_err_t err = read_all(rpc, params, &c, &o);
    if (err == RDG_OK) err = rpc_estimate(rpc, &c.call, &gas, result);
    if (err == RDG_OK) *result = rdg_json_quantity(gas);
    rpc_overrides_fini(&o);
    rdg_buf_fini(&c.data);
    return err;
}

const rpc_method_t rpc_call_methods[] = {
    {"eth_call", eth_call, NULL}, {"eth_estimateGas", estimate_gas, NULL}, {NULL, NULL, NULL}};
