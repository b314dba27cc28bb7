#include "machine.h"
#include <string.h>
#include "gas.h"
#include "ridge/base/alloc.h"

/* Blocks that one greedy execution made larger than this are given back after it. */
#define KEEP_BYTES (1u << 20)
#define MEMORY_STEP 4096

const char *rdg_evm_status_name(rdg_evm_status_t s) {
    static const char *const names[] = {
        [RDG_EVM_SUCCESS] = "success",
        [RDG_EVM_REVERT] = "revert",
        [RDG_EVM_OUT_OF_GAS] = "out_of_gas",
        [RDG_EVM_INVALID_OPCODE] = "invalid_opcode",
        [RDG_EVM_STACK_UNDERFLOW] = "stack_underflow",
        [RDG_EVM_STACK_OVERFLOW] = "stack_overflow",
        [RDG_EVM_BAD_JUMP] = "bad_jump",
        [RDG_EVM_STATIC_VIOLATION] = "static_violation",
        [RDG_EVM_RETURN_DATA_BOUNDS] = "return_data_bounds",
        [RDG_EVM_CALL_DEPTH] = "call_depth",
        [RDG_EVM_BALANCE] = "insufficient_balance",
        [RDG_EVM_CREATE_COLLISION] = "create_collision",
        [RDG_EVM_NONCE_OVERFLOW] = "nonce_overflow",
        [RDG_EVM_CODE_TOO_LARGE] = "code_too_large",
        [RDG_EVM_CODE_INVALID] = "code_invalid",
        [RDG_EVM_PRECOMPILE_FAILED] = "precompile_failed",
        [RDG_EVM_PRECOMPILE_ABSENT] = "precompile_absent",
        [RDG_EVM_REFUSED] = "refused",
        [RDG_EVM_HOST_ERROR] = "host_error",
    };
    return (size_t)s < sizeof names / sizeof *names ? names[s] : "unknown";
}

rdg_evm_t *rdg_evm_new(void) {
    rdg_evm_t *vm = rdg_calloc(1, sizeof *vm);
    if (!vm) return NULL;
    rdg_buf_init(&vm->return_data, RDG_EVM_MEMORY_MAX);
    /* Any digest of crypto's initialises libgcrypt, which two precompiles call by themselves. */
    rdg_hash_t digest;
    rdg_sm3("", 0, &digest);
    if (evm_code_cache_init(&vm->codes, RDG_EVM_CODE_CACHE_MAX) == RDG_OK) return vm;
    rdg_free(vm);
    return NULL;
}

static void drop_frames(rdg_evm_t *vm) {
    while (vm->frame_count > 0) evm_code_unref(vm->frames[--vm->frame_count].code);
}

void rdg_evm_free(rdg_evm_t *vm) {
    if (!vm) return;
    drop_frames(vm);
    evm_code_cache_fini(&vm->codes);
    rdg_buf_fini(&vm->return_data);
    rdg_free(vm->frames);
    rdg_free(vm->stack);
    rdg_free(vm->memory);
    rdg_free(vm);
}

void evm_frame_bind(rdg_evm_t *vm, evm_frame_t *f) {
    f->stack = vm->stack + f->stack_base;
    f->sp = f->stack + f->height;
    f->memory = vm->memory ? vm->memory + f->memory_base : NULL;
    if (f->input_offset != SIZE_MAX) f->input.data = vm->memory + f->input_offset;
}

static uint64_t memory_gas(uint64_t words) {
    return GAS_MEMORY_WORD * words + words * words / GAS_MEMORY_QUADRATIC;
}

static bool reserve_memory(rdg_evm_t *vm, size_t need) {
    if (need <= vm->memory_size) return true;
    size_t size = vm->memory_size ? vm->memory_size : MEMORY_STEP;
    while (size < need) size *= 2;
    uint8_t *p = rdg_realloc(vm->memory, size);
    if (!p) return false;
    vm->memory = p;
    vm->memory_size = size;
    return true;
}

evm_step_t evm_memory_expand(rdg_evm_t *vm, evm_frame_t *f, uint64_t offset, uint64_t len) {
    uint64_t end;
    if (__builtin_add_overflow(offset, len, &end) || end > vm->memory_max) return RDG_EVM_OUT_OF_GAS;
    uint64_t words = evm_words(end), size = words * 32;
    if (f->memory_base + size > vm->memory_max) return RDG_EVM_OUT_OF_GAS;
    EVM_TRY(evm_charge(f, memory_gas(words) - memory_gas(f->memory_size / 32)));
    if (!reserve_memory(vm, f->memory_base + size)) {
        vm->err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a contract's memory of %llu bytes",
                           (unsigned long long)size);
        return RDG_EVM_HOST_ERROR;
    }
    f->memory = vm->memory + f->memory_base;
    if (f->input_offset != SIZE_MAX) f->input.data = vm->memory + f->input_offset;
    memset(f->memory + f->memory_size, 0, size - f->memory_size);
    f->memory_size = size;
    return EVM_GO_ON;
}

static void trim(rdg_evm_t *vm) {
    if (vm->memory_size > KEEP_BYTES) {
        uint8_t *p = rdg_realloc(vm->memory, KEEP_BYTES);
        if (p) vm->memory = p, vm->memory_size = KEEP_BYTES;
    }
    size_t words = KEEP_BYTES / sizeof *vm->stack;
    if (vm->stack_size > words) {
        u256_t *p = rdg_realloc_array(vm->stack, words, sizeof *vm->stack);
        if (p) vm->stack = p, vm->stack_size = words;
    }
}

static evm_step_t warm(rdg_evm_t *vm, const rdg_evm_message_t *msg) {
    rdg_evm_access_t was;
    const rdg_evm_host_t *host = vm->host;
    EVM_HOST(vm, host->access_account(vm->host_ctx, &vm->context->origin, &was));
    EVM_HOST(vm, host->access_account(vm->host_ctx, &vm->context->coinbase, &was));
    if (msg->kind == RDG_EVM_CALL) EVM_HOST(vm, host->access_account(vm->host_ctx, &msg->recipient, &was));
    return EVM_GO_ON;
}

static evm_step_t begin_create(rdg_evm_t *vm, const rdg_evm_message_t *msg, evm_call_t *call) {
    if (msg->kind == RDG_EVM_CREATE)
        rdg_evm_create_address(&msg->sender, msg->nonce, &call->recipient);
    else
        rdg_evm_create2_address(&msg->sender, &msg->salt, msg->input, &call->recipient);
    call->code_address = call->recipient;
    if (msg->input.len > RDG_EVM_INITCODE_MAX)
        return evm_deliver_failure(vm, call, RDG_EVM_CODE_TOO_LARGE, 0);
    rdg_word_t balance;
    EVM_HOST(vm, vm->host->balance(vm->host_ctx, &msg->sender, &balance));
    u256_t have = u256_load(balance.b);
    if (u256_less(&have, &call->value)) return evm_deliver_failure(vm, call, RDG_EVM_BALANCE, call->gas);
    return evm_create_begin(vm, call);
}

static evm_step_t begin(rdg_evm_t *vm, const rdg_evm_message_t *msg) {
    EVM_TRY(warm(vm, msg));
    evm_call_t call = {.kind = msg->kind,
                       .is_static = msg->is_static,
                       .sender = msg->sender,
                       .recipient = msg->recipient,
                       .code_address = msg->code_address,
                       .value = u256_load(msg->value.b),
                       .gas = msg->gas,
                       .input = msg->input,
                       .input_offset = SIZE_MAX};
    bool create = msg->kind == RDG_EVM_CREATE || msg->kind == RDG_EVM_CREATE2;
    return create ? begin_create(vm, msg, &call) : evm_call_begin(vm, &call);
}

rdg_err_t rdg_evm_execute(rdg_evm_t *vm, const rdg_evm_host_t *host, void *host_ctx,
                          const rdg_evm_context_t *context, const rdg_evm_message_t *msg,
                          rdg_evm_result_t *result) {
    vm->host = host;
    vm->host_ctx = host_ctx;
    vm->context = context;
    vm->memory_max = context->memory_max ? context->memory_max : RDG_EVM_MEMORY_MAX;
    vm->err = RDG_OK;
    vm->entered = 0;
    if (vm->return_data.size > KEEP_BYTES) rdg_buf_fini(&vm->return_data);
    if (vm->watch) vm->err = evm_poll(vm);
    bool ok = vm->err == RDG_OK && begin(vm, msg) != RDG_EVM_HOST_ERROR && evm_run(vm);
    vm->watch = NULL;
    drop_frames(vm);
    trim(vm);
    if (!ok) {
        rdg_buf_clear(&vm->return_data);
        *result = (rdg_evm_result_t){.status = RDG_EVM_HOST_ERROR};
        return vm->err;
    }
    *result = (rdg_evm_result_t){.status = vm->outcome.status,
                                 .gas_left = vm->outcome.gas_left,
                                 .gas_refund = vm->outcome.refund,
                                 .created = vm->outcome.created,
                                 .output = rdg_buf_view(&vm->return_data)};
    return RDG_OK;
}
