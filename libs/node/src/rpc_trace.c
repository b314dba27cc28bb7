/* debug_traceTransaction and debug_traceCall: an execution once more, with a watch on it. */
#include "rpc_trace.h"
#include "ridge/base/alloc.h"
#include <string.h>

#define OUTPUT_MAX (1u << 20)

rdg_err_t tracer_charge(tracer_t *t, size_t bytes) {
    if (bytes <= TRACE_BYTES_MAX && t->bytes <= TRACE_BYTES_MAX - bytes) return t->bytes += bytes, RDG_OK;
    return rdg_fail(
        RDG_E_TOO_LARGE,
        "the trace is larger than %u MiB: ask with disableStack, disableStorage, a limit of steps, "
        "or the tracer callTracer",
        TRACE_BYTES_MAX >> 20);
}

static rdg_err_t read_flags(const json_t *o, tracer_t *t) {
    bool memory = false, no_memory = true;
    RDG_TRY(rdg_json_opt_bool(o, "disableStack", &t->no_stack));
    RDG_TRY(rdg_json_opt_bool(o, "disableStorage", &t->no_storage));
    RDG_TRY(rdg_json_opt_bool(o, "enableMemory", &memory));
    RDG_TRY(rdg_json_opt_bool(o, "disableMemory", &no_memory));
    RDG_TRY(rdg_json_opt_bool(o, "enableReturnData", &t->return_data));
    t->memory = memory || !no_memory;
    return rdg_json_opt_u64(o, "limit", &t->limit);
}

static rdg_err_t read_options(const json_t *o, tracer_t *t) {
    const char *name = NULL;
    if (!o || json_is_null(o)) return struct_tracer_init(t), RDG_OK;
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "options of a trace: want an object");
    RDG_TRY(rdg_json_opt_str(o, "tracer", &name));
    if (name && strcmp(name, "callTracer") == 0) {
        const json_t *config = json_object_get(o, "tracerConfig");
        if (config) RDG_TRY(rdg_json_opt_bool(config, "onlyTopCall", &t->only_top));
        return call_tracer_init(t), RDG_OK;
    }
    if (name && *name)
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "no tracer \"%.40s\": leave it out for the struct log, or callTracer", name);
    RDG_TRY(read_flags(o, t));
    return struct_tracer_init(t), RDG_OK;
}

/* Takes the tracer. */
static rdg_err_t answer(tracer_t *t, rdg_err_t err, const rdg_call_result_t *r, const rdg_buf_t *output,
                        json_t **result) {
    if (err == RDG_OK)
        *result = t->steps ? struct_tracer_result(t, r, rdg_buf_view(output)) : call_tracer_result(t);
    tracer_fini(t);
    rdg_free(t);
    return err;
}

static rdg_err_t tracer_new(const json_t *options, tracer_t **out) {
    tracer_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a trace");
    rdg_err_t err = read_options(options, t);
    if (err == RDG_OK)
        *out = t;
    else
        rdg_free(t);
    return err;
}

static rdg_err_t trace_transaction(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rdg_hash_t id;
    rdg_tx_location_t where;
    rdg_call_result_t r;
    rdg_buf_t output;
    tracer_t *t = NULL;
    RDG_TRY(param_hash(params, 0, "transaction hash", &id));
    RDG_TRY(rdg_ledger_find_tx(rpc->options.ledger, &id, &where));
    RDG_TRY(tracer_new(json_array_get(params, 1), &t));
    rdg_buf_init(&output, OUTPUT_MAX);
    rdg_err_t err = rdg_ledger_trace(rpc->options.ledger, where.height, where.index, &t->watch,
                                     2 * rpc->options.call_ms, &output, &r);
    err = answer(t, err, &r, &output, result);
    rdg_buf_fini(&output);
    return err;
}

static rdg_err_t call(rdg_node_rpc_t *rpc, const json_t *params, rpc_call_t *c, rpc_overrides_t *o,
                      tracer_t *t, rdg_buf_t *output, rdg_call_result_t *r) {
    const json_t *options = json_array_get(params, 2);
    RDG_TRY(rpc_call_read(json_array_get(params, 0), c));
    RDG_TRY(rpc_call_place(rpc, json_array_get(params, 1), &c->call));
    RDG_TRY(rpc_overrides_read(json_object_get(options, "stateOverrides"), o));
    c->call.overrides = o->list;
    c->call.override_count = o->count;
    c->call.watch = &t->watch;
    c->call.time_ms = 2 * rpc->options.call_ms;
    return rdg_ledger_call(rpc->options.ledger, &c->call, output, r);
}

static rdg_err_t trace_call(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rpc_call_t c = {.to = {{0}}};
    rpc_overrides_t o = {.list = NULL};
    rdg_call_result_t r;
    rdg_buf_t output;
    tracer_t *t = NULL;
    RDG_TRY(tracer_new(json_array_get(params, 2), &t));
    rdg_buf_init(&output, OUTPUT_MAX);
    rdg_err_t err = call(rpc, params, &c, &o, t, &output, &r);
    err = answer(t, err, &r, &output, result);
    rpc_overrides_fini(&o);
    rdg_buf_fini(&c.data);
    rdg_buf_fini(&output);
    return err;
}

const rpc_method_t rpc_trace_methods[] = {{"debug_traceTransaction", trace_transaction, NULL},
                                          {"debug_traceCall", trace_call, NULL},
                                          {NULL, NULL, NULL}};
