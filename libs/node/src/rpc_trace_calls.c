/* The call tracer: one object a message, inner ones under "calls". */
#include "rpc_trace.h"
#include <string.h>

enum { CALL_BYTES = 300 };

static rdg_err_t on_enter(void *ctx, const rdg_evm_message_t *m) {
    static const char *const kinds[] = {"CALL",       "CALLCODE", "DELEGATECALL",
                                        "STATICCALL", "CREATE",   "CREATE2"};
    tracer_t *t = ctx;
    size_t at = t->depth++;
    if (at >= sizeof t->open / sizeof t->open[0])
        return rdg_fail(RDG_E_INTERNAL, "calls deeper than the limit");
    t->open[at] = NULL;
    if (at > 0 && (t->only_top || !t->open[at - 1])) return RDG_OK;
    RDG_TRY(tracer_charge(t, CALL_BYTES + 2 * m->input.len));
    bool create = m->kind == RDG_EVM_CREATE || m->kind == RDG_EVM_CREATE2;
    json_t *o = json_object();
    json_object_set_new(o, "type", json_string(kinds[m->kind]));
    json_object_set_new(o, "from",
                        rdg_eth_address_json(m->kind == RDG_EVM_DELEGATECALL ? &m->recipient : &m->sender));
    json_object_set_new(o, "to", rdg_eth_address_json(create ? &m->recipient : &m->code_address));
    if (m->kind != RDG_EVM_STATICCALL) json_object_set_new(o, "value", rdg_eth_quantity_json(&m->value));
    json_object_set_new(o, "gas", rdg_json_quantity(m->gas));
    json_object_set_new(o, "input", rdg_json_hex(m->input.data, m->input.len));
    t->open[at] = o;
    t->open_gas[at] = m->gas;
    if (at == 0) return t->top = o, RDG_OK;
    json_t *calls = json_object_get(t->open[at - 1], "calls");
    if (!calls) {
        calls = json_array();
        json_object_set_new(t->open[at - 1], "calls", calls);
    }
    return json_array_append_new(calls, o) == 0 ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a trace");
}

static rdg_err_t on_leave(void *ctx, rdg_evm_status_t status, uint64_t gas_left, rdg_bytes_t output,
                          const rdg_address_t *created) {
    tracer_t *t = ctx;
    if (t->depth == 0) return RDG_OK;
    size_t at = --t->depth;
    json_t *o = t->open[at];
    if (!o) return RDG_OK;
    uint64_t gas = t->open_gas[at];
    json_object_set_new(o, "gasUsed", rdg_json_quantity(gas > gas_left ? gas - gas_left : 0));
    if (created) json_object_set_new(o, "to", rdg_eth_address_json(created));
    RDG_TRY(tracer_charge(t, 2 * output.len));
    if (output.len > 0) json_object_set_new(o, "output", rdg_json_hex(output.data, output.len));
    if (status == RDG_EVM_SUCCESS) return RDG_OK;
    json_t *data = NULL;
    (void)rpc_call_refused(status, output, &data);
    json_decref(data);
    static const char prefix[] = "execution reverted: ";
    const char *why = rdg_err_message(RDG_E_REVERTED);
    json_object_set_new(
        o, "error",
        json_string(status == RDG_EVM_REVERT ? "execution reverted" : rdg_evm_status_name(status)));
    if (status == RDG_EVM_REVERT && strncmp(why, prefix, sizeof prefix - 1) == 0) {
        json_t *reason = json_string(why + sizeof prefix - 1);
        if (reason) json_object_set_new(o, "revertReason", reason);
    }
    return RDG_OK;
}

void call_tracer_init(tracer_t *t) {
    t->watch = (rdg_evm_watch_t){.enter = on_enter, .leave = on_leave, .ctx = t};
}

json_t *call_tracer_result(tracer_t *t) {
    return t->top ? json_incref(t->top) : json_null();
}

void tracer_fini(tracer_t *t) {
    json_decref(t->steps);
    json_decref(t->top);
}
