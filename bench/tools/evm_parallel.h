/* Blocks executed by one thread and by several, at rates of conflicts from none to all. */
#ifndef RIDGE_BENCH_EVM_PARALLEL_H
#define RIDGE_BENCH_EVM_PARALLEL_H
#include "ridge/codec/json.h"

json_t *evm_parallel_figures(unsigned threads);

#endif
