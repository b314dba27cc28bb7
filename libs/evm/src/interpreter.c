/* The dispatch loop. One label an operation, each jumping to the next by itself: the branch predictor then
 * sees one indirect jump per operation. Everything that calls the host or is long stands in ops_*.c. */
#include "gas.h"
#include "machine.h"
#include "opcodes.h"

/* Designated ranges give every unassigned opcode its label before the table names the assigned ones. */
#pragma GCC diagnostic ignored "-Woverride-init"
/* The checks below are written for all operations, those without gas or arguments included. */
#pragma GCC diagnostic ignored "-Wtype-limits"

#define X(code, name, gas, in, out, since) GAS_##name = (gas), IN_##name = (in), OUT_##name = (out),
enum { EVM_OPCODES(X) };
#undef X

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

/* Gas and stack room of an operation that takes `in` words and gives `out`. */
#define CHECK(cost, in, out)                                                                                 \
    do {                                                                                                     \
        if (gas < (cost)) goto out_of_gas;                                                                   \
        gas -= (cost);                                                                                       \
        if ((in) > 0 && sp - stack < (in)) goto underflow;                                                   \
        if ((out) > (in) && limit - sp < (out) - (in)) goto overflow;                                        \
    } while (0)
#define NEXT() goto *labels[*ip++]
#define OP(name) op_##name : CHECK(GAS_##name, IN_##name, OUT_##name);
/* Words from the top: A is the top one. RESULT replaces all that were taken. */
#define A sp[-1]
#define B sp[-2]
#define C sp[-3]
#define BINARY(name, expr)                                                                                   \
    OP(name) {                                                                                               \
        B = (expr);                                                                                          \
        --sp;                                                                                                \
        NEXT();                                                                                              \
    }
#define TEST_OF(name, cond) BINARY(name, u256_from_u64(cond))
#define TERNARY(name, expr)                                                                                  \
    OP(name) {                                                                                               \
        C = (expr);                                                                                          \
        sp -= 2;                                                                                             \
        NEXT();                                                                                              \
    }
#define GIVES(name, expr)                                                                                    \
    OP(name) {                                                                                               \
        *sp++ = (expr);                                                                                      \
        NEXT();                                                                                              \
    }
#define SAVE() (f->ip = ip, f->sp = sp, f->gas = gas)
#define STEP(call)                                                                                           \
    do {                                                                                                     \
        SAVE();                                                                                              \
        step = (call);                                                                                       \
        if (step != EVM_GO_ON) return step;                                                                  \
        sp = f->sp, gas = f->gas;                                                                            \
    } while (0)
#define OUTLINE(name, function)                                                                              \
    OP(name) {                                                                                               \
        STEP(function(vm, f));                                                                               \
        NEXT();                                                                                              \
    }
#define OUTLINE_OF(name, function, arg)                                                                      \
    OP(name) {                                                                                               \
        STEP(function(vm, f, arg));                                                                          \
        NEXT();                                                                                              \
    }
#define NEED(offset, size)                                                                                   \
    do {                                                                                                     \
        if ((offset)->w[1] | (offset)->w[2] | (offset)->w[3]) goto out_of_gas;                               \
        if ((offset)->w[0] > f->memory_size || f->memory_size - (offset)->w[0] < (size))                     \
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
#define FAMILIES                                                                                             \
    EVM_NUMBERS_1_TO_32(XPUSH) EVM_NUMBERS_1_TO_16(XDUP) EVM_NUMBERS_1_TO_16(XSWAP) EVM_NUMBERS_0_TO_4(XLOG)
    static const void *const shanghai[256] = {[0 ... 255] = &&op_invalid, EVM_OPCODES(X) FAMILIES};
#undef SINCE_CANCUN
#define SINCE_CANCUN(code, name) [code] = &&op_##name,
    static const void *const cancun[256] = {[0 ... 255] = &&op_invalid, EVM_OPCODES(X) FAMILIES};

    const void *const *labels = vm->context->revision >= RDG_EVM_CANCUN ? cancun : shanghai;
    const rdg_evm_context_t *context = vm->context;
    const uint8_t *const code = f->code->bytes, *ip = f->ip;
    const u256_t *const stack = f->stack, *const limit = stack + RDG_EVM_STACK_MAX;
    u256_t *sp = f->sp;
    uint64_t gas = f->gas;
    evm_step_t step;
    NEXT();

/* Only here can these parts see the labels and the loop's variables; apart they can be read. */
#include "loop_arithmetic.inc"
#include "loop_context.inc"
#include "loop_stack.inc"
    OUTLINE_OF(CREATE, evm_op_create, RDG_EVM_CREATE)
    OUTLINE_OF(CREATE2, evm_op_create, RDG_EVM_CREATE2)
    OUTLINE_OF(CALL, evm_op_call, RDG_EVM_CALL)
    OUTLINE_OF(CALLCODE, evm_op_call, RDG_EVM_CALLCODE)
    OUTLINE_OF(DELEGATECALL, evm_op_call, RDG_EVM_DELEGATECALL)
    OUTLINE_OF(STATICCALL, evm_op_call, RDG_EVM_STATICCALL)
    OUTLINE_OF(RETURN, evm_op_halt, RDG_EVM_SUCCESS)
    OUTLINE_OF(REVERT, evm_op_halt, RDG_EVM_REVERT)
    OUTLINE(SELFDESTRUCT, evm_op_selfdestruct)

op_STOP:
    SAVE();
    vm->output = rdg_bytes(NULL, 0);
    return RDG_EVM_SUCCESS;
op_invalid:
    return RDG_EVM_INVALID_OPCODE;
out_of_gas:
    return RDG_EVM_OUT_OF_GAS;
underflow:
    return RDG_EVM_STACK_UNDERFLOW;
overflow:
    return RDG_EVM_STACK_OVERFLOW;
bad_jump:
    return RDG_EVM_BAD_JUMP;
}
