/* What the two tracers share: each fills a JSON value within a budget. */
#ifndef RIDGE_NODE_RPC_TRACE_H
#define RIDGE_NODE_RPC_TRACE_H
#include "rpc_internal.h"

#define TRACE_BYTES_MAX (4u << 20) /* of JSON text, roughly; in memory it is some ten times that */

typedef struct tracer {
    rdg_evm_watch_t watch;
    size_t bytes; /* used of the budget */
    bool no_stack, no_storage, memory, return_data, only_top, logs;
    uint64_t limit; /* of steps; 0: none */
    json_t *steps;  /* struct logs */
    json_t *step;   /* the last one, whose cost and loaded slot are not known yet */
    uint64_t step_gas;
    unsigned step_depth;
    char slot[67]; /* of an SLOAD whose value the next step shows; empty: none */
    json_t *top;   /* calls */
    json_t *open[RDG_EVM_CALL_DEPTH_MAX + 2];
    uint64_t open_gas[RDG_EVM_CALL_DEPTH_MAX + 2];
    size_t depth;
} tracer_t;

rdg_err_t tracer_charge(tracer_t *t, size_t bytes); /* TOO_LARGE */
void struct_tracer_init(tracer_t *t);
/* Returns owned. */
json_t *struct_tracer_result(tracer_t *t, const rdg_call_result_t *r, rdg_bytes_t output);
void call_tracer_init(tracer_t *t);
json_t *call_tracer_result(tracer_t *t);
void tracer_fini(tracer_t *t);

#endif
