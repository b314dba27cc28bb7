/* The machine's inside: frames, their stacks and memories, and the way from one frame to the next.
 *
 * Invariants
 * 1. The stacks of all frames lie in one block of words, the memories in one block of bytes, each frame's
 *    behind its caller's. Both blocks may move when they grow, so a frame keeps positions; the pointers in it
 *    are valid only while it is the top frame (evm_frame_bind).
 * 2. The top frame has room for RDG_EVM_STACK_MAX words.
 * 3. Bytes of a frame's memory beyond memory_size are undefined; growing zeroes what it adds. */
#ifndef RIDGE_EVM_MACHINE_H
#define RIDGE_EVM_MACHINE_H
#include "analysis.h"
#include "ridge/evm/watch.h"
#include "u256.h"

/* What an operation answers: a verdict (an rdg_evm_status_t, never negative) or one of these. */
typedef int evm_step_t;
#define EVM_GO_ON (-1)
#define EVM_ENTER (-2) /* another frame is on top now */

typedef struct evm_frame {
    u256_t *sp;        /* past the top word */
    u256_t *stack;     /* the bottom word */
    uint8_t *memory;   /* bound, as sp and stack */
    const uint8_t *ip; /* the next operation */
    uint64_t gas, memory_size;
    evm_code_t *code;
    rdg_bytes_t input;
    rdg_evm_kind_t kind;
    bool is_static;
    rdg_address_t sender, recipient, code_address;
    u256_t value;
    int64_t refund;
    size_t stack_base, height, memory_base;
    size_t input_offset; /* in the machine's memory; SIZE_MAX: input is the host's */
    size_t snapshot;
    uint64_t output_offset, output_len; /* where the callee's output goes, while one runs */
    uint64_t block_left;                /* traced: gas that is charged for operations of the block to come */
    size_t traced;                      /* the position behind the operation that was traced last */
} evm_frame_t;

/* A message about to begin. */
typedef struct evm_call {
    rdg_evm_kind_t kind;
    bool is_static;
    rdg_address_t sender, recipient, code_address;
    u256_t value;
    uint64_t gas;
    rdg_bytes_t input;
    size_t input_offset;
} evm_call_t;

typedef struct evm_outcome {
    rdg_evm_status_t status;
    uint64_t gas_left;
    int64_t refund;
    rdg_address_t created;
} evm_outcome_t;

struct rdg_evm {
    const rdg_evm_host_t *host;
    void *host_ctx;
    const rdg_evm_context_t *context;
    rdg_err_t err; /* why the status is HOST_ERROR */
    evm_frame_t *frames;
    size_t frame_count, frame_size;
    u256_t *stack;
    size_t stack_size; /* words */
    uint8_t *memory;
    size_t memory_size;    /* bytes */
    uint64_t memory_max;   /* of all frames */
    rdg_buf_t return_data; /* of the last call; at the end the result's output */
    rdg_bytes_t output;    /* what the frame that just halted leaves; a view into its memory */
    evm_outcome_t outcome; /* of the outermost message, once no frame is left */
    evm_code_cache_t codes;
    const rdg_evm_watch_t *watch; /* of this execution, or NULL */
    unsigned poll_left;
    size_t entered; /* messages that the watch was told of and that have not ended */
};

#define EVM_HOST(vm, call)                                                                                   \
    do {                                                                                                     \
        if (((vm)->err = (call)) != RDG_OK) return RDG_EVM_HOST_ERROR;                                       \
    } while (0)
#define EVM_TRY(step)                                                                                        \
    do {                                                                                                     \
        evm_step_t evm_try_step_ = (step);                                                                   \
        if (evm_try_step_ != EVM_GO_ON) return evm_try_step_;                                                \
    } while (0)

static inline evm_frame_t *evm_top(rdg_evm_t *vm) {
    return &vm->frames[vm->frame_count - 1];
}

static inline evm_step_t evm_charge(evm_frame_t *f, uint64_t gas) {
    if (f->gas < gas) return RDG_EVM_OUT_OF_GAS;
    f->gas -= gas;
    return EVM_GO_ON;
}

static inline uint64_t evm_words(uint64_t bytes) {
    return bytes / 32 + (bytes % 32 != 0);
}

static inline rdg_address_t evm_address(const u256_t *word) {
    uint8_t b[32];
    rdg_address_t a;
    u256_store(b, word);
    memcpy(a.b, b + 12, sizeof a.b);
    return a;
}

static inline u256_t evm_address_word(const rdg_address_t *a) {
    return u256_load_short(a->b, sizeof a->b);
}

/* machine.c */
void evm_frame_bind(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_memory_expand(rdg_evm_t *vm, evm_frame_t *f, uint64_t offset, uint64_t len);
/* Makes [offset, offset+len) of the frame's memory usable and charges for it; nothing if len is 0. */
static inline evm_step_t evm_memory_need(rdg_evm_t *vm, evm_frame_t *f, const u256_t *offset,
                                         const u256_t *len) {
    if (u256_is_zero(len)) return EVM_GO_ON;
    uint64_t o = u256_clamp_u64(offset), n = u256_clamp_u64(len);
    if (o <= f->memory_size && n <= f->memory_size - o) return EVM_GO_ON;
    return evm_memory_expand(vm, f, o, n);
}

/* message.c */
evm_step_t evm_call_begin(rdg_evm_t *vm, const evm_call_t *call);
/* call->recipient is the new address. */
evm_step_t evm_create_begin(rdg_evm_t *vm, const evm_call_t *call);
/* Ends a message that did not get as far as a frame: gas goes back to the caller. */
evm_step_t evm_deliver_failure(rdg_evm_t *vm, const evm_call_t *call, rdg_evm_status_t status,
                               uint64_t gas_left);
/* Runs the frames until none is left; the verdict is in vm->outcome. False: vm->err. */
bool evm_run(rdg_evm_t *vm);

/* precompiles.c: the machine's own. */
bool evm_is_precompile(const rdg_evm_t *vm, const rdg_address_t *a);
/* False if there is none at this address. Output is appended to out. */
bool evm_precompile(const rdg_evm_t *vm, const evm_call_t *call, uint64_t *gas, rdg_buf_t *out,
                    rdg_evm_status_t *status);

/* watch.c; only while vm->watch is set */
rdg_err_t evm_poll(rdg_evm_t *vm);
void evm_watch_worked(rdg_evm_t *vm,
                      uint64_t gas); /* a precompile did, for so much gas: poll as soon as after jumps */
rdg_err_t evm_trace(rdg_evm_t *vm, evm_frame_t *f); /* before the operation behind which f->ip stands */
evm_step_t evm_watch_enter(rdg_evm_t *vm, const evm_call_t *call);
evm_step_t evm_watch_leave(rdg_evm_t *vm, rdg_evm_kind_t kind, const evm_outcome_t *outcome);

/* interpreter.c */
evm_step_t evm_interpret(rdg_evm_t *vm, evm_frame_t *f);

/* Operations too large for the dispatch loop. Stack bounds and base gas are checked before.
 * ops_memory.c */
evm_step_t evm_op_keccak256(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_calldatacopy(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_codecopy(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_extcodecopy(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_returndatacopy(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_mcopy(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_log(rdg_evm_t *vm, evm_frame_t *f, unsigned topics);
evm_step_t evm_op_halt(rdg_evm_t *vm, evm_frame_t *f, rdg_evm_status_t verdict); /* RETURN, REVERT */
/* ops_state.c */
evm_step_t evm_op_balance(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_selfbalance(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_extcodesize(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_extcodehash(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_blockhash(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_sload(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_sstore(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_tload(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_tstore(rdg_evm_t *vm, evm_frame_t *f);
evm_step_t evm_op_selfdestruct(rdg_evm_t *vm, evm_frame_t *f);
/* Charges for touching an account and warms it (EIP-2929). */
evm_step_t evm_access_account(rdg_evm_t *vm, evm_frame_t *f, const rdg_address_t *a);
/* ops_call.c */
evm_step_t evm_op_call(rdg_evm_t *vm, evm_frame_t *f, rdg_evm_kind_t kind);
evm_step_t evm_op_create(rdg_evm_t *vm, evm_frame_t *f, rdg_evm_kind_t kind);

#endif
