/* The struct log: one object an operation, with the fields of Ethereum's nodes. */
#include "ridge/codec/hex.h"
#include "rpc_trace.h"
#include <stdio.h>
#include <string.h>

enum { STEP_BYTES = 120, WORD_BYTES = 70, OP_SLOAD = 0x54, OP_SSTORE = 0x55 };

static void word_text(const rdg_word_t *w, char out[67]) {
    static const char digits[] = "0123456789abcdef";
    out[0] = '0', out[1] = 'x';
    for (size_t i = 0; i < sizeof w->b; ++i) {
        out[2 + 2 * i] = digits[w->b[i] >> 4];
        out[3 + 2 * i] = digits[w->b[i] & 15];
    }
    out[66] = '\0';
}

static json_t *short_word(const rdg_evm_step_t *s, size_t i) {
    rdg_word_t w;
    rdg_evm_step_word(s, i, &w);
    return rdg_eth_quantity_json(&w);
}

static rdg_err_t put_stack(tracer_t *t, const rdg_evm_step_t *s, json_t *o) {
    json_t *list = json_array();
    json_object_set_new(o, "stack", list);
    RDG_TRY(tracer_charge(t, s->stack_count * 24)); /* most words are short */
    for (size_t i = 0; i < s->stack_count; ++i) {
        json_t *word = short_word(s, i);
        RDG_TRY(tracer_charge(t, json_string_length(word)));
        json_array_append_new(list, word);
    }
    return RDG_OK;
}

static rdg_err_t put_memory(tracer_t *t, const rdg_evm_step_t *s, json_t *o) {
    json_t *list = json_array();
    json_object_set_new(o, "memory", list);
    RDG_TRY(tracer_charge(t, s->memory.len / 32 * WORD_BYTES));
    for (size_t at = 0; at + 32 <= s->memory.len; at += 32)
        json_array_append_new(list, rdg_json_hex(s->memory.data + at, 32));
    return RDG_OK;
}

static void put_slot(json_t *o, const char *key, const rdg_word_t *value) {
    char text[67];
    word_text(value, text);
    json_object_set_new(o, "storage", json_pack("{s:s}", key, text));
}

/* The slot that is read is shown once its value stands on the stack. */
static rdg_err_t put_storage(tracer_t *t, const rdg_evm_step_t *s, json_t *o) {
    rdg_word_t key, value;
    bool loads = s->op == OP_SLOAD && s->stack_count > 0, stores = s->op == OP_SSTORE && s->stack_count > 1;
    if (!loads && !stores) return RDG_OK;
    RDG_TRY(tracer_charge(t, 3 * WORD_BYTES));
    rdg_evm_step_word(s, s->stack_count - 1, &key);
    word_text(&key, t->slot);
    if (loads) return RDG_OK;
    rdg_evm_step_word(s, s->stack_count - 2, &value);
    put_slot(o, t->slot, &value);
    t->slot[0] = '\0';
    return RDG_OK;
}

/* What the step before used is known now, unless it began a frame: then only its fixed part is. */
static void finish_last(tracer_t *t, const rdg_evm_step_t *s) {
    if (!t->step || t->step_depth != s->depth) return;
    json_object_set_new(t->step, "gasCost", json_integer((json_int_t)(t->step_gas - s->gas)));
    if (t->slot[0] && s->stack_count > 0) {
        rdg_word_t value;
        rdg_evm_step_word(s, s->stack_count - 1, &value);
        put_slot(t->step, t->slot, &value);
    }
}

static rdg_err_t on_step(void *ctx, const rdg_evm_step_t *s) {
    tracer_t *t = ctx;
    finish_last(t, s);
    t->slot[0] = '\0';
    t->step = NULL;
    if (t->limit && json_array_size(t->steps) >= t->limit) return RDG_OK;
    RDG_TRY(tracer_charge(t, STEP_BYTES));
    json_t *o = json_pack("{s:I, s:s, s:I, s:I, s:i}", "pc", (json_int_t)s->pc, "op", rdg_evm_op_name(s->op),
                          "gas", (json_int_t)s->gas, "gasCost", (json_int_t)s->cost, "depth", (int)s->depth);
    if (!o || json_array_append_new(t->steps, o) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a trace");
    t->step = o;
    t->step_gas = s->gas;
    t->step_depth = s->depth;
    if (!t->no_stack) RDG_TRY(put_stack(t, s, o));
    if (t->memory) RDG_TRY(put_memory(t, s, o));
    if (t->return_data && s->return_data.len > 0) {
        RDG_TRY(tracer_charge(t, 2 * s->return_data.len));
        json_object_set_new(o, "returnData", rdg_json_hex(s->return_data.data, s->return_data.len));
    }
    return t->no_storage ? RDG_OK : put_storage(t, s, o);
}

void struct_tracer_init(tracer_t *t) {
    t->watch = (rdg_evm_watch_t){.step = on_step, .ctx = t};
    t->steps = json_array();
}

json_t *struct_tracer_result(tracer_t *t, const rdg_call_result_t *r, rdg_bytes_t output) {
    json_t *o = json_object();
    json_object_set_new(o, "gas", json_integer((json_int_t)r->gas_used));
    json_object_set_new(o, "failed", json_boolean(r->status != RDG_EVM_SUCCESS));
    json_object_set_new(o, "returnValue", rdg_json_hex(output.data, output.len));
    json_object_set(o, "structLogs", t->steps);
    return o;
}
