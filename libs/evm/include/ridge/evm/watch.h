/* Eyes on one execution: a guard of time, and what tracers are told.
 *
 * A watch is given to a machine before rdg_evm_execute and serves that execution only. It cannot change anything;
 * an error that one of its functions returns ends the execution as an error of the host does (evm.h, invariant 6).
 * Machines without a watch do not pay for it: the operations that look at it stand in other dispatch tables.
 *
 * poll  is called at the execution's begin and then about every RDG_EVM_POLL_EVERY jumps, calls and creates: code
 *       that runs for long does one of these. A precompile counts by its gas, so that some hundred pairings do not
 *       pass for some hundred jumps.
 * step  before each operation, with the gas as Ethereum's rules have it there. With step, code is analysed anew at
 *       each call and runs many times slower.
 * enter, leave  around each message, also those that fail before they begin and those to precompiles. */
#ifndef RIDGE_EVM_WATCH_H
#define RIDGE_EVM_WATCH_H
#include "ridge/evm/evm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_EVM_POLL_EVERY 4096u

typedef struct rdg_evm_step {
    uint64_t pc, gas;
    uint64_t cost; /* the part that does not depend on arguments and state */
    uint8_t op;
    unsigned depth;               /* 1: the outermost frame */
    const rdg_address_t *address; /* whose storage it is */
    size_t stack_count;
    const void *stack;               /* for rdg_evm_step_word */
    rdg_bytes_t memory, return_data; /* borrowed during the call */
    int64_t refund;                  /* of the frame so far */
} rdg_evm_step_t;

typedef struct rdg_evm_watch {
    rdg_err_t (*poll)(void *ctx); /* each may be NULL */
    rdg_err_t (*step)(void *ctx, const rdg_evm_step_t *step);
    rdg_err_t (*enter)(void *ctx, const rdg_evm_message_t *msg);
    /* created: of a create that succeeded, else NULL. */
    rdg_err_t (*leave)(void *ctx, rdg_evm_status_t status, uint64_t gas_left, rdg_bytes_t output,
                       const rdg_address_t *created);
    void *ctx;
} rdg_evm_watch_t;

/* Borrowed until the next execution has ended; NULL: none. */
void rdg_evm_watch(rdg_evm_t *vm, const rdg_evm_watch_t *watch);
/* i counts from the bottom; i < step->stack_count. */
void rdg_evm_step_word(const rdg_evm_step_t *step, size_t i, rdg_word_t *out);
const char *rdg_evm_op_name(uint8_t op); /* "PUSH1"; "INVALID" for what is none */

#ifdef __cplusplus
}
#endif
#endif
