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

    BINARY(ADD, u256_add(&A, &B))
    BINARY(MUL, u256_mul(&A, &B))
    BINARY(SUB, u256_sub(&A, &B))
    BINARY(DIV, u256_div(&A, &B))
    BINARY(SDIV, u256_sdiv(&A, &B))
    BINARY(MOD, u256_mod(&A, &B))
    BINARY(SMOD, u256_smod(&A, &B))
    TERNARY(ADDMOD, u256_addmod(&A, &B, &C))
    TERNARY(MULMOD, u256_mulmod(&A, &B, &C))
    OP(EXP) {
        uint64_t cost = GAS_EXP_BYTE * (uint64_t)u256_byte_length(&B);
        if (gas < cost) goto out_of_gas;
        gas -= cost;
        B = u256_exp(&A, &B);
        --sp;
        NEXT();
    }
    BINARY(SIGNEXTEND, u256_sign_extend(&B, &A))
    TEST_OF(LT, u256_less(&A, &B))
    TEST_OF(GT, u256_less(&B, &A))
    TEST_OF(SLT, u256_signed_less(&A, &B))
    TEST_OF(SGT, u256_signed_less(&B, &A))
    TEST_OF(EQ, u256_equal(&A, &B))
    OP(ISZERO) {
        A = u256_from_u64(u256_is_zero(&A));
        NEXT();
    }
    BINARY(AND, ((u256_t){{A.w[0] & B.w[0], A.w[1] & B.w[1], A.w[2] & B.w[2], A.w[3] & B.w[3]}}))
    BINARY(OR, ((u256_t){{A.w[0] | B.w[0], A.w[1] | B.w[1], A.w[2] | B.w[2], A.w[3] | B.w[3]}}))
    BINARY(XOR, ((u256_t){{A.w[0] ^ B.w[0], A.w[1] ^ B.w[1], A.w[2] ^ B.w[2], A.w[3] ^ B.w[3]}}))
    OP(NOT) {
        A = (u256_t){{~A.w[0], ~A.w[1], ~A.w[2], ~A.w[3]}};
        NEXT();
    }
    BINARY(BYTE, u256_byte(&B, &A))
    BINARY(SHL, u256_shl(&B, &A))
    BINARY(SHR, u256_shr(&B, &A))
    BINARY(SAR, u256_sar(&B, &A))

    OUTLINE(KECCAK256, evm_op_keccak256)
    GIVES(ADDRESS, evm_address_word(&f->recipient))
    OUTLINE(BALANCE, evm_op_balance)
    GIVES(ORIGIN, evm_address_word(&context->origin))
    GIVES(CALLER, evm_address_word(&f->sender))
    GIVES(CALLVALUE, f->value)
    OP(CALLDATALOAD) {
        A = call_data_word(f, &A);
        NEXT();
    }
    GIVES(CALLDATASIZE, u256_from_u64(f->input.len))
    OUTLINE(CALLDATACOPY, evm_op_calldatacopy)
    GIVES(CODESIZE, u256_from_u64(f->code->len))
    OUTLINE(CODECOPY, evm_op_codecopy)
    GIVES(GASPRICE, u256_load(context->gas_price.b))
    OUTLINE(EXTCODESIZE, evm_op_extcodesize)
    OUTLINE(EXTCODECOPY, evm_op_extcodecopy)
    GIVES(RETURNDATASIZE, u256_from_u64(vm->return_data.len))
    OUTLINE(RETURNDATACOPY, evm_op_returndatacopy)
    OUTLINE(EXTCODEHASH, evm_op_extcodehash)
    OUTLINE(BLOCKHASH, evm_op_blockhash)
    GIVES(COINBASE, evm_address_word(&context->coinbase))
    GIVES(TIMESTAMP, u256_from_u64(context->block_time_s))
    GIVES(NUMBER, u256_from_u64(context->block_number))
    GIVES(PREVRANDAO, u256_load(context->prevrandao.b))
    GIVES(GASLIMIT, u256_from_u64(context->block_gas_limit))
    GIVES(CHAINID, u256_load(context->chain_id.b))
    OUTLINE(SELFBALANCE, evm_op_selfbalance)
    GIVES(BASEFEE, u256_load(context->base_fee.b))
    OP(BLOBHASH) {
        A = blob_hash(context, &A);
        NEXT();
    }
    GIVES(BLOBBASEFEE, u256_load(context->blob_base_fee.b))

    OP(POP) {
        --sp;
        NEXT();
    }
    OP(MLOAD) {
        NEED(&A, 32);
        A = u256_load(f->memory + A.w[0]);
        NEXT();
    }
    OP(MSTORE) {
        NEED(&A, 32);
        u256_store(f->memory + A.w[0], &B);
        sp -= 2;
        NEXT();
    }
    OP(MSTORE8) {
        NEED(&A, 1);
        f->memory[A.w[0]] = (uint8_t)B.w[0];
        sp -= 2;
        NEXT();
    }
    OUTLINE(SLOAD, evm_op_sload)
    OUTLINE(SSTORE, evm_op_sstore)
    OP(JUMP) {
        --sp;
        if (!u256_fits_u64(sp) || !evm_code_is_jumpdest(f->code, sp->w[0])) goto bad_jump;
        ip = code + sp->w[0];
        NEXT();
    }
    OP(JUMPI) {
        sp -= 2;
        if (u256_is_zero(sp)) NEXT();
        if (!u256_fits_u64(sp + 1) || !evm_code_is_jumpdest(f->code, sp[1].w[0])) goto bad_jump;
        ip = code + sp[1].w[0];
        NEXT();
    }
    GIVES(PC, u256_from_u64((uint64_t)(ip - code - 1)))
    GIVES(MSIZE, u256_from_u64(f->memory_size))
    GIVES(GAS, u256_from_u64(gas))
    OP(JUMPDEST) NEXT();
    OUTLINE(TLOAD, evm_op_tload)
    OUTLINE(TSTORE, evm_op_tstore)
    OUTLINE(MCOPY, evm_op_mcopy)
    GIVES(PUSH0, (u256_t){{0}})

#define X_PUSH(n)                                                                                            \
    op_PUSH##n : CHECK(3, 0, 1);                                                                             \
    *sp++ = pushed(ip, n);                                                                                   \
    ip += (n);                                                                                               \
    NEXT();
    EVM_NUMBERS_1_TO_32(X_PUSH)
#define X_DUP(n)                                                                                             \
    op_DUP##n : CHECK(3, n, (n) + 1);                                                                        \
    *sp = sp[-(n)];                                                                                          \
    ++sp;                                                                                                    \
    NEXT();
    EVM_NUMBERS_1_TO_16(X_DUP)
#define X_SWAP(n)                                                                                            \
    op_SWAP##n : CHECK(3, (n) + 1, (n) + 1);                                                                 \
    {                                                                                                        \
        u256_t word = A;                                                                                     \
        A = sp[-(n)-1];                                                                                      \
        sp[-(n)-1] = word;                                                                                   \
        NEXT();                                                                                              \
    }
    EVM_NUMBERS_1_TO_16(X_SWAP)
#define X_LOG(n)                                                                                             \
    op_LOG##n : CHECK(GAS_LOG_TOPIC *((n) + 1), (n) + 2, 0);                                                 \
    STEP(evm_op_log(vm, f, n));                                                                              \
    NEXT();
    EVM_NUMBERS_0_TO_4(X_LOG)

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
