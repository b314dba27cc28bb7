/* What a watch is told. */
#include "ridge/evm/watch.h"
#include "machine.h"
#include "opcodes.h"

void rdg_evm_watch(rdg_evm_t *vm, const rdg_evm_watch_t *watch) {
    vm->watch = watch;
}

void rdg_evm_step_word(const rdg_evm_step_t *step, size_t i, rdg_word_t *out) {
    u256_store(out->b, (const u256_t *)step->stack + i);
}

const char *rdg_evm_op_name(uint8_t op) {
    static const char *const names[256] = {
#define X(code, name, base, taken, given, since) [code] = #name,
        EVM_OPCODES(X)
#undef X
#define X(n) [0x5f + (n)] = "PUSH" #n,
            EVM_NUMBERS_1_TO_32(X)
#undef X
#define X(n) [0x7f + (n)] = "DUP" #n,
                EVM_NUMBERS_1_TO_16(X)
#undef X
#define X(n) [0x8f + (n)] = "SWAP" #n,
                    EVM_NUMBERS_1_TO_16(X)
#undef X
#define X(n) [0xa0 + (n)] = "LOG" #n,
                        EVM_NUMBERS_0_TO_4(X)
#undef X
    };
    return names[op] ? names[op] : "INVALID";
}

rdg_err_t evm_poll(rdg_evm_t *vm) {
    vm->poll_left = RDG_EVM_POLL_EVERY;
    return vm->watch->poll ? vm->watch->poll(vm->watch->ctx) : RDG_OK;
}

/* A loop of the cheapest operations takes some 16 gas. */
void evm_watch_worked(rdg_evm_t *vm, uint64_t gas) {
    uint64_t jumps = gas / 16;
    vm->poll_left = jumps < vm->poll_left ? vm->poll_left - (unsigned)jumps : 1;
}

static rdg_err_t tell(rdg_evm_t *vm, evm_frame_t *f, size_t pc) {
    uint8_t op = pc < f->code->len ? f->code->bytes[pc] : 0;
    unsigned cost = evm_static_gas(op);
    rdg_evm_step_t step = {.pc = pc,
                           .gas = f->gas + f->block_left,
                           .cost = cost,
                           .op = op,
                           .depth = (unsigned)vm->frame_count,
                           .address = &f->recipient,
                           .stack_count = (size_t)(f->sp - f->stack),
                           .stack = f->stack,
                           .memory = rdg_bytes(f->memory, f->memory_size),
                           .return_data = rdg_buf_view(&vm->return_data),
                           .refund = f->refund};
    f->block_left -= f->block_left < cost ? f->block_left : cost;
    f->traced = pc + 1;
    return vm->watch->step(vm->watch->ctx, &step);
}

/* A block's gas is charged at its entrance; block_left is the part of it that the operations still to come have
 * paid in advance. A JUMPDEST that was jumped to, or that follows the end of a block, is not dispatched: it is told
 * of here, with the operation behind it. One that is dispatched enters its block after this. */
rdg_err_t evm_trace(rdg_evm_t *vm, evm_frame_t *f) {
    size_t pc = (size_t)(f->ip - f->code->ops) - 1;
    const uint16_t *block_of = f->code->block_of;
    const evm_block_t *blocks = f->code->blocks;
    bool behind = pc > 0 && block_of[pc - 1] != 0 && f->code->ops[pc - 1] == EVM_JUMPDEST;
    if (behind && f->traced != pc) {
        f->block_left = blocks[block_of[pc - 1]].gas;
        RDG_TRY(tell(vm, f, pc - 1));
    }
    if (f->code->ops[pc] == EVM_JUMPDEST && pc < f->code->len) {
        f->block_left = 1; /* it shows its own gas, which its block has still to be charged for */
        f->gas -= 1;
        rdg_err_t err = tell(vm, f, pc);
        f->gas += 1;
        f->block_left = blocks[block_of[pc]].gas - 1;
        return err;
    }
    if (block_of[pc] != 0) f->block_left = blocks[block_of[pc]].gas;
    return tell(vm, f, pc);
}

evm_step_t evm_watch_enter(rdg_evm_t *vm, const evm_call_t *call) {
    vm->entered = vm->frame_count + 1;
    if (!vm->watch->enter) return EVM_GO_ON;
    rdg_evm_message_t msg = {.kind = call->kind,
                             .is_static = call->is_static,
                             .sender = call->sender,
                             .recipient = call->recipient,
                             .code_address = call->code_address,
                             .gas = call->gas,
                             .input = call->input};
    u256_store(msg.value.b, &call->value);
    EVM_HOST(vm, vm->watch->enter(vm->watch->ctx, &msg));
    return EVM_GO_ON;
}

/* The stack of what was entered is the stack of frames and at most one message above it. */
evm_step_t evm_watch_leave(rdg_evm_t *vm, rdg_evm_kind_t kind, const evm_outcome_t *outcome) {
    bool created = outcome->status == RDG_EVM_SUCCESS && (kind == RDG_EVM_CREATE || kind == RDG_EVM_CREATE2);
    if (vm->entered != vm->frame_count + 1) return EVM_GO_ON;
    vm->entered = vm->frame_count;
    if (vm->watch->leave)
        EVM_HOST(vm, vm->watch->leave(vm->watch->ctx, outcome->status, outcome->gas_left,
                                      rdg_buf_view(&vm->return_data), created ? &outcome->created : NULL));
    return EVM_GO_ON;
}
