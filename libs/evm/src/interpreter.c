/* The dispatch loop. One label an operation, each jumping to the next by itself: the branch predictor then
 * sees one indirect jump per operation. Everything that calls the host or is long stands in ops_*.c. */
#include "gas.h"
#include "machine.h"
#include "opcodes.h"

/* Designated ranges give every unassigned opcode its label before the table names the assigned ones. */
#pragma GCC diagnostic ignored "-Woverride-init"
static inline __attribute__((always_inline)) u256_t pushed(const uint8_t *p, unsigned n) {
    u256_t r = {{0}};
    for (unsigned i = 0; i < n / 8; ++i) r.w[i] = rdg_load_be64(p + n - 8 * (i + 1));
    if (n % 8) r.w[n / 8] = rdg_load_be64(p) >> (64 - 8 * (n % 8));
    return r;
}

static u256_t call_data_word(const evm_frame_t *f, const u256_t *offset) {
    uint64_t at = u256_clamp_u64(offset);
    if (at >= f->input.len) return (u256_t){{0}};
    size_t len = f->input.len - at < 32 ? f->input.len - at : 32;
    uint8_t word[32] = {0};
    memcpy(word, f->input.data + at, len);
    return u256_load(word);
}

static u256_t blob_hash(const rdg_evm_context_t *c, const u256_t *index) {
    uint64_t i = u256_clamp_u64(index);
    return i < c->blob_hash_count ? u256_load(c->blob_hashes[i].b) : (u256_t){{0}};
}

/* Gas and stack of all operations up to the block's end. */
#define ENTER_BLOCK(index)                                                                                   \
    do {                                                                                                     \
        const evm_block_t *block = &blocks[index];                                                           \
        if (gas < block->gas) goto out_of_gas;                                                               \
        gas -= block->gas;                                                                                   \
        if ((size_t)(sp - stack) - block->need > block->spare) {                                             \
            wrong = block;                                                                                   \
            goto wrong_height;                                                                               \
        }                                                                                                    \
    } while (0)
#define NEXT() goto *labels[*ip++]
/* Behind an operation that ends a block. A JUMPDEST enters its block itself when it is fallen into, so it is
 * skipped here. */
#define NEXT_BLOCK()                                                                                         \
    do {                                                                                                     \
        ENTER_BLOCK(block_of[ip - code]);                                                                    \
        ip += *ip == EVM_JUMPDEST;                                                                           \
        NEXT();                                                                                              \
    } while (0)
#define JUMP_TO(at)                                                                                          \
    do {                                                                                                     \
        size_t to_ = (at);                                                                                   \
        if (block_of[to_] == 0 || code[to_] != EVM_JUMPDEST) goto bad_jump;                                  \
        ip = code + to_ + 1;                                                                                 \
        ENTER_BLOCK(block_of[to_]);                                                                          \
        NEXT();                                                                                              \
    } while (0)
#define OP(name) op_##name:
/* Words from the top: A is the top one. RESULT replaces all that were taken. */
#define A sp[-1]
#define B sp[-2]
#define C sp[-3]
#define BINARY(name, expr)                                                                                   \
    OP(name) {                                                                                               \
        const u256_t result = (expr);                                                                        \
        u256_copy(&B, &result);                                                                              \
        --sp;                                                                                                \
        NEXT();                                                                                              \
    }
#define TEST_OF(name, cond) BINARY(name, u256_from_u64(cond))
#define TERNARY(name, expr)                                                                                  \
    OP(name) {                                                                                               \
        const u256_t result = (expr);                                                                        \
        u256_copy(&C, &result);                                                                              \
        sp -= 2;                                                                                             \
        NEXT();                                                                                              \
    }
#define GIVES(name, expr)                                                                                    \
    OP(name) {                                                                                               \
        const u256_t result = (expr);                                                                        \
        u256_copy(sp++, &result);                                                                            \
        NEXT();                                                                                              \
    }
#define SAVE() (f->ip = ip, f->sp = sp, f->gas = gas)
#define STEP(call)                                                                                           \
    do {                                                                                                     \
        SAVE();                                                                                              \
        step = (call);                                                                                       \
        if (step != EVM_GO_ON) return step;                                                                  \
        sp = f->sp, gas = f->gas;                                                                            \
        memory = f->memory, memory_size = f->memory_size;                                                    \
    } while (0)
#define OUTLINE(name, function)                                                                              \
    OP(name) {                                                                                               \
        STEP(function(vm, f));                                                                               \
        NEXT();                                                                                              \
    }
/* Each ends its block. */
#define MESSAGE(name, function, arg)                                                                         \
    OP(name) {                                                                                               \
        STEP(function(vm, f, arg));                                                                          \
        NEXT_BLOCK();                                                                                        \
    }
#define NEED(offset, size)                                                                                   \
    do {                                                                                                     \
        if ((offset)->w[1] | (offset)->w[2] | (offset)->w[3]) goto out_of_gas;                               \
        if ((offset)->w[0] > memory_size || memory_size - (offset)->w[0] < (size))                           \
            STEP(evm_memory_expand(vm, f, (offset)->w[0], (size)));                                          \
    } while (0)

evm_step_t evm_interpret(rdg_evm_t *vm, evm_frame_t *f) {
#define SINCE_SHANGHAI(code, name) [code] = &&op_##name,
#define SINCE_CANCUN(code, name)
#define X(code, name, cost, in, out, since) SINCE_##since(code, name)
#define XPUSH(n) [0x5f + (n)] = &&op_PUSH##n,
#define XDUP(n) [0x7f + (n)] = &&op_DUP##n,
#define XSWAP(n) [0x8f + (n)] = &&op_SWAP##n,
#define XLOG(n) [0xa0 + (n)] = &&op_LOG##n,
#define FUSED                                                                                                \
    [EVM_FUSED_JUMP] = &&op_fused_jump, [EVM_FUSED_JUMPI_1] = &&op_fused_jumpi_1,                            \
    [EVM_FUSED_JUMPI_2] = &&op_fused_jumpi_2,
#define FAMILIES                                                                                             \
    EVM_NUMBERS_1_TO_32(XPUSH) EVM_NUMBERS_1_TO_16(XDUP) EVM_NUMBERS_1_TO_16(XSWAP) EVM_NUMBERS_0_TO_4(XLOG)
    static const void *const shanghai[256] = {[0 ... 255] = &&op_invalid, EVM_OPCODES(X) FAMILIES FUSED};
/* With a watch, what can repeat or begin a frame, or everything, goes by way of it. */
#define GUARDED                                                                                              \
    [EVM_JUMP] = &&op_guard, [EVM_JUMPI] = &&op_guard, [EVM_FUSED_JUMP] = &&op_guard,                        \
    [EVM_FUSED_JUMPI_1] = &&op_guard, [EVM_FUSED_JUMPI_2] = &&op_guard, [0xf0 ... 0xf2] = &&op_guard,        \
    [0xf4 ... 0xf5] = &&op_guard, [0xfa] = &&op_guard
    static const void *const guarded_shanghai[256] = {[0 ... 255] = &&op_invalid,
                                                      EVM_OPCODES(X) FAMILIES GUARDED};
#undef SINCE_CANCUN
#define SINCE_CANCUN(code, name) [code] = &&op_##name,
    static const void *const cancun[256] = {[0 ... 255] = &&op_invalid, EVM_OPCODES(X) FAMILIES FUSED};

    static const void *const guarded_cancun[256] = {[0 ... 255] = &&op_invalid,
                                                    EVM_OPCODES(X) FAMILIES GUARDED};
    static const void *const traced[256] = {[0 ... 255] = &&op_trace};

    const bool is_cancun = vm->context->revision >= RDG_EVM_CANCUN;
    const void *const *labels = is_cancun ? cancun : shanghai;
    if (vm->watch) labels = vm->watch->step ? traced : is_cancun ? guarded_cancun : guarded_shanghai;
    const rdg_evm_context_t *context = vm->context;
    const uint8_t *const code = f->code->ops, *ip = f->ip;
    const uint16_t *const block_of = f->code->block_of;
    const evm_block_t *const blocks = f->code->blocks, *wrong;
    const size_t code_len = f->code->len;
    const u256_t *const stack = f->stack;
    u256_t *sp = f->sp;
    uint64_t gas = f->gas, memory_size = f->memory_size;
    uint8_t *memory = f->memory;
    evm_step_t step;
    NEXT_BLOCK();

/* Only here can these parts see the labels and the loop's variables; apart they can be read. */
#include "loop_arithmetic.inc"
#include "loop_context.inc"
#include "loop_stack.inc"
#include "loop_message.inc"

op_guard:
    if (--vm->poll_left == 0 && (vm->err = evm_poll(vm)) != RDG_OK) return RDG_EVM_HOST_ERROR;
    goto *(is_cancun ? cancun : shanghai)[ip[-1]];
op_trace:
    SAVE();
    if ((vm->err = evm_trace(vm, f)) != RDG_OK) return RDG_EVM_HOST_ERROR;
    if (--vm->poll_left == 0 && (vm->err = evm_poll(vm)) != RDG_OK) return RDG_EVM_HOST_ERROR;
    goto *(is_cancun ? cancun : shanghai)[ip[-1]];
op_invalid:
    return RDG_EVM_INVALID_OPCODE;
out_of_gas:
    return RDG_EVM_OUT_OF_GAS;
wrong_height:
    if (wrong->need == EVM_BLOCK_OVERFLOWS || sp - stack >= wrong->need) return RDG_EVM_STACK_OVERFLOW;
    return RDG_EVM_STACK_UNDERFLOW;
bad_jump:
    return RDG_EVM_BAD_JUMP;
}
