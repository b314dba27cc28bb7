/* The contract of the registry: which method, who may, gas, and the way to the administrators and back. */
#include "registry_call.h"
#include <string.h>
#include "ridge/codec/hex.h"
#include "word.h"

static const char ORDER_NAME[] = "callRegistry", ORDER_INPUTS[] = "bytes data";

void registry_put(registry_run_t *r, json_t *value) {
    if (json_array_append_new(r->results, value) != 0) r->err = RDG_E_NO_MEMORY;
}

void registry_put_u64(registry_run_t *r, uint64_t value) {
    registry_put(r, json_integer((json_int_t)value));
}

void registry_emit(registry_run_t *r, native_event_t *event, json_t *args) {
    uint64_t gas = 0;
    if (registry_stopped(r)) {
        json_decref(args);
        return;
    }
    event->from = &RDG_REGISTRY_ADDRESS;
    r->err = native_emit(r->host->state, event, args, &gas);
    registry_charge(r, gas);
}

static const char *decode(registry_run_t *r, const registry_method_t *m, json_t **args) {
    rdg_err_t err = native_decode(m->inputs, rdg_bytes(r->data.data + 4, r->data.len - 4), args);
    if (err == RDG_E_NO_MEMORY) r->err = err;
    return err == RDG_OK ? NULL : "the arguments cannot be read";
}

/* --- the administrators -------------------------------------------------------------------------------------------- */

static bool may_be_ordered(const registry_method_t *m) {
    return m && (m->kind == REGISTRY_OWNERS || m->kind == REGISTRY_ADMINS);
}

bool registry_is_order(rdg_bytes_t data) {
    json_t *args = NULL;
    const registry_method_t *m = registry_method(data);
    if (!may_be_ordered(m)) return false;
    rdg_err_t err = native_decode(m->inputs, rdg_bytes(data.data + 4, data.len - 4), &args);
    json_decref(args);
    return err == RDG_OK;
}

rdg_err_t registry_run_order(const registry_order_t *o, uint64_t *gas, char text[REGISTRY_TEXT_MAX],
                             const char **why) {
    registry_run_t r = {
        .host = o->host, .sender = o->by, .data = o->data, .by_admins = true, .gas_left = o->gas_limit};
    const registry_method_t *m = registry_method(o->data);
    json_t *args = NULL;
    *why = may_be_ordered(m) ? decode(&r, m, &args) : "the registry has no such method for administrators";
    if (!*why && r.err == RDG_OK) *why = m->run(&r, args);
    if (*why == r.why) {
        memcpy(text, r.why, sizeof r.why);
        *why = text;
    }
    json_decref(args);
    *gas = r.out_of_gas ? UINT64_MAX : o->gas_limit - r.gas_left;
    return r.err;
}

/* As if the sender had called governance's callRegistry: who is an administrator, and how many must approve, is known
 * there. The answer, a proposal's number or 0, is this call's. */
static rdg_err_t ask_admins(registry_run_t *r, const rdg_evm_message_t *msg, uint64_t *gas, rdg_buf_t *output,
                            bool *ok) {
    bool found;
    rdg_buf_t call;
    rdg_buf_init(&call, RDG_EVM_INITCODE_MAX * 2);
    json_t *args = json_pack("[o]", rdg_json_hex(msg->input.data, msg->input.len));
    rdg_err_t err = native_selector(ORDER_NAME, ORDER_INPUTS, &call);
    if (err == RDG_OK) err = native_encode(ORDER_INPUTS, args, &call);
    rdg_evm_message_t asked = *msg;
    asked.code_address = asked.recipient = RDG_GOVERNANCE_ADDRESS;
    asked.input = rdg_buf_view(&call);
    *gas = r->gas_left;
    if (err == RDG_OK) err = governance_call(r->host, &asked, gas, output, &found, ok);
    json_decref(args);
    rdg_buf_fini(&call);
    return err;
}

/* --- the call ------------------------------------------------------------------------------------------------------ */

static const char *check_sender(const registry_run_t *r, const rdg_evm_message_t *msg,
                                const registry_method_t *m) {
    if (!word_is_zero(&msg->value)) return "the registry takes value only for what it deploys";
    if (m->kind == REGISTRY_VIEW) return NULL;
    if (msg->is_static || msg->kind == RDG_EVM_STATICCALL) return "a static call changes nothing";
    if (!rdg_address_equal(&msg->sender, &r->host->context->origin))
        return "only a transaction sent to the registry itself may change it";
    return NULL;
}

static const char *dispatch(registry_run_t *r, const rdg_evm_message_t *msg, const registry_method_t *m) {
    json_t *args = NULL;
    const char *why = m ? check_sender(r, msg, m) : "no such method";
    if (!why) why = decode(r, m, &args);
    if (!why && m->kind == REGISTRY_ADMINS) {
        registry_refuse(r, "only an administrator may do this");
        why = REGISTRY_ASK_ADMINS;
    } else if (!why) {
        why = m->run(r, args);
    }
    if (!why && m->kind == REGISTRY_OWNERS) registry_put_u64(r, 0);
    json_decref(args);
    if (why != REGISTRY_ASK_ADMINS || registry_is_admin(r, &r->sender)) return why;
    return r->why;
}

/* *ok=false without output: out of gas. */
static rdg_err_t run(registry_run_t *r, const rdg_evm_message_t *msg, uint64_t *gas, rdg_buf_t *output,
                     bool *ok) {
    const registry_method_t *m = registry_method(r->data);
    *ok = false;
    if (!registry_charge(r, REGISTRY_GAS_BASE)) return RDG_OK;
    const char *why = dispatch(r, msg, m);
    RDG_TRY(r->err);
    if (r->out_of_gas) return RDG_OK;
    if (why == REGISTRY_ASK_ADMINS) return ask_admins(r, msg, gas, output, ok);
    *gas = r->gas_left;
    *ok = why == NULL;
    return why ? native_reason(why, output) : native_encode(m->outputs, r->results, output);
}

rdg_err_t registry_call(void *ctx, const rdg_evm_message_t *msg, uint64_t *gas, rdg_buf_t *output,
                        bool *found, bool *ok) {
    state_host_t *host = ctx;
    *found = rdg_address_equal(&msg->code_address, &RDG_REGISTRY_ADDRESS) &&
             (msg->kind == RDG_EVM_CALL || msg->kind == RDG_EVM_STATICCALL);
    if (!*found) return RDG_OK;
    registry_run_t r = {.host = host, .sender = msg->sender, .data = msg->input, .gas_left = *gas};
    r.results = json_array();
    rdg_err_t err = r.results ? run(&r, msg, gas, output, ok)
                              : rdg_fail(RDG_E_NO_MEMORY, "no memory for a call of the registry");
    json_decref(r.results);
    return err;
}
