/* How a message begins, becomes a frame, and ends: what it leaves goes to the frame below, or out. */
#include <string.h>
#include "gas.h"
#include "machine.h"
#include "ridge/base/alloc.h"

static bool is_create(rdg_evm_kind_t kind) {
    return kind == RDG_EVM_CREATE || kind == RDG_EVM_CREATE2;
}

/* Hands a message's outcome to the frame that sent it, which is on top (or to the caller of the machine).
 * The output stands in vm->return_data. */
static evm_step_t deliver(rdg_evm_t *vm, rdg_evm_kind_t kind, const evm_outcome_t *outcome) {
    bool ok = outcome->status == RDG_EVM_SUCCESS;
    if (vm->watch) EVM_TRY(evm_watch_leave(vm, kind, outcome));
    if (vm->frame_count == 0) {
        vm->outcome = *outcome;
        return EVM_ENTER;
    }
    evm_frame_t *f = evm_top(vm);
    f->gas += outcome->gas_left;
    if (ok) f->refund += outcome->refund;
    if (is_create(kind)) {
        *f->sp++ = ok ? evm_address_word(&outcome->created) : (u256_t){{0}};
        if (ok) rdg_buf_clear(&vm->return_data);
        return EVM_GO_ON;
    }
    *f->sp++ = u256_from_u64(ok);
    size_t len = f->output_len < vm->return_data.len ? f->output_len : vm->return_data.len;
    if (len > 0) memcpy(f->memory + f->output_offset, vm->return_data.data, len);
    return EVM_GO_ON;
}

evm_step_t evm_deliver_failure(rdg_evm_t *vm, const evm_call_t *call, rdg_evm_status_t status,
                               uint64_t gas_left) {
    rdg_buf_clear(&vm->return_data);
    evm_outcome_t outcome = {.status = status, .gas_left = gas_left, .created = call->recipient};
    return deliver(vm, call->kind, &outcome);
}

static evm_step_t no_memory(rdg_evm_t *vm) {
    vm->err = rdg_fail(RDG_E_NO_MEMORY, "no memory to run a contract");
    return RDG_EVM_HOST_ERROR;
}

/* At least `need` items of `size` bytes; grows by half so that depth costs no quadratic copying. */
static bool reserve(void **block, size_t *have, size_t need, size_t size) {
    if (need <= *have) return true;
    size_t count = need > *have + *have / 2 ? need : *have + *have / 2;
    void *p = rdg_realloc_array(*block, count, size);
    if (!p) return false;
    *block = p;
    *have = count;
    return true;
}

/* Takes code. */
static evm_step_t push_frame(rdg_evm_t *vm, const evm_call_t *call, evm_code_t *code, size_t snapshot) {
    size_t stack_base = 0, memory_base = 0;
    if (vm->frame_count > 0) {
        evm_frame_t *below = evm_top(vm);
        below->height = (size_t)(below->sp - below->stack);
        stack_base = below->stack_base + below->height;
        memory_base = below->memory_base + below->memory_size;
    }
    void *frames = vm->frames, *stack = vm->stack;
    bool ok = reserve(&frames, &vm->frame_size, vm->frame_count + 1, sizeof *vm->frames);
    vm->frames = frames;
    ok = ok && reserve(&stack, &vm->stack_size, stack_base + RDG_EVM_STACK_MAX, sizeof *vm->stack);
    vm->stack = stack;
    if (!ok) {
        evm_code_unref(code);
        return no_memory(vm);
    }
    evm_frame_t *f = &vm->frames[vm->frame_count++];
    *f = (evm_frame_t){.kind = call->kind,
                       .is_static = call->is_static,
                       .sender = call->sender,
                       .recipient = call->recipient,
                       .code_address = call->code_address,
                       .value = call->value,
                       .gas = call->gas,
                       .code = code,
                       .ip = code->ops,
                       .stack_base = stack_base,
                       .memory_base = memory_base,
                       .snapshot = snapshot};
    /* In init code, the "input" is the code itself. */
    f->input_offset = SIZE_MAX;
    if (!is_create(call->kind)) f->input = call->input, f->input_offset = call->input_offset;
    evm_frame_bind(vm, f);
    return EVM_ENTER;
}

static evm_step_t transfer(rdg_evm_t *vm, const evm_call_t *call) {
    if (u256_is_zero(&call->value)) return EVM_GO_ON;
    rdg_word_t value;
    u256_store(value.b, &call->value);
    EVM_HOST(vm, vm->host->transfer(vm->host_ctx, &call->sender, &call->recipient, &value));
    return EVM_GO_ON;
}

static evm_step_t can_pay(rdg_evm_t *vm, const evm_call_t *call, bool *ok) {
    *ok = true;
    if (u256_is_zero(&call->value) || (call->kind != RDG_EVM_CALL && call->kind != RDG_EVM_CALLCODE))
        return EVM_GO_ON;
    rdg_word_t balance;
    EVM_HOST(vm, vm->host->balance(vm->host_ctx, &call->sender, &balance));
    u256_t have = u256_load(balance.b);
    *ok = !u256_less(&have, &call->value);
    return EVM_GO_ON;
}

static evm_step_t host_precompile(rdg_evm_t *vm, const evm_call_t *call, uint64_t *gas, bool *found,
                                  bool *ok) {
    *found = false;
    if (!vm->host->precompile) return EVM_GO_ON;
    rdg_evm_message_t msg = {.kind = call->kind,
                             .is_static = call->is_static,
                             .sender = call->sender,
                             .recipient = call->recipient,
                             .code_address = call->code_address,
                             .gas = call->gas,
                             .input = call->input};
    u256_store(msg.value.b, &call->value);
    EVM_HOST(vm, vm->host->precompile(vm->host_ctx, &msg, gas, &vm->return_data, found, ok));
    return EVM_GO_ON;
}

/* *done: the callee was a precompile, and its outcome is delivered. */
static evm_step_t try_precompile(rdg_evm_t *vm, const evm_call_t *call, size_t snapshot, bool *done) {
    evm_outcome_t outcome = {.gas_left = call->gas};
    *done = evm_precompile(vm, call, &outcome.gas_left, &vm->return_data, &outcome.status);
    if (*done && vm->watch) evm_watch_worked(vm, call->gas - outcome.gas_left);
    if (!*done) {
        bool ok = false;
        EVM_TRY(host_precompile(vm, call, &outcome.gas_left, done, &ok));
        if (!*done) return EVM_GO_ON;
        if (!ok) outcome.status = vm->return_data.len > 0 ? RDG_EVM_REVERT : RDG_EVM_PRECOMPILE_FAILED;
    }
    if (rdg_buf_err(&vm->return_data) != RDG_OK) return no_memory(vm);
    if (outcome.status != RDG_EVM_SUCCESS) {
        vm->host->revert_to(vm->host_ctx, snapshot);
        if (outcome.status != RDG_EVM_REVERT) outcome.gas_left = 0, rdg_buf_clear(&vm->return_data);
    }
    return deliver(vm, call->kind, &outcome);
}

/* The host's words stand in vm->return_data. */
static evm_step_t refuse(rdg_evm_t *vm, const evm_call_t *call, size_t snapshot) {
    bool told = vm->return_data.len > 0;
    evm_outcome_t outcome = {.status = told ? RDG_EVM_REVERT : RDG_EVM_REFUSED, .gas_left = call->gas};
    vm->host->revert_to(vm->host_ctx, snapshot);
    return deliver(vm, call->kind, &outcome);
}

evm_step_t evm_call_begin(rdg_evm_t *vm, const evm_call_t *call) {
    rdg_buf_clear(&vm->return_data);
    if (vm->watch) EVM_TRY(evm_watch_enter(vm, call));
    if (vm->frame_count > RDG_EVM_CALL_DEPTH_MAX)
        return evm_deliver_failure(vm, call, RDG_EVM_CALL_DEPTH, call->gas);
    bool ok, done;
    EVM_TRY(can_pay(vm, call, &ok));
    if (!ok) return evm_deliver_failure(vm, call, RDG_EVM_BALANCE, call->gas);
    size_t snapshot = vm->host->snapshot(vm->host_ctx);
    if (call->kind == RDG_EVM_CALL) EVM_TRY(transfer(vm, call));
    EVM_TRY(try_precompile(vm, call, snapshot, &done));
    if (done) return EVM_GO_ON;
    rdg_bytes_t code;
    rdg_word_t hash;
    EVM_HOST(vm, vm->host->code(vm->host_ctx, &call->code_address, &code, &hash));
    if (code.len > EVM_CODE_LEN_MAX) return evm_deliver_failure(vm, call, RDG_EVM_CODE_TOO_LARGE, 0);
    if (code.len == 0) {
        evm_outcome_t outcome = {.status = RDG_EVM_SUCCESS, .gas_left = call->gas};
        return deliver(vm, call->kind, &outcome);
    }
    ok = true;
    if (vm->host->may_call)
        EVM_HOST(vm, vm->host->may_call(vm->host_ctx, &call->code_address, call->kind, call->is_static,
                                        &vm->return_data, &ok));
    if (!ok) return refuse(vm, call, snapshot);
    bool traced = vm->watch && vm->watch->step;
    evm_code_t *analysed =
        traced ? evm_code_analyse_plain(code) : evm_code_cache_get(&vm->codes, code, &hash);
    return analysed ? push_frame(vm, call, analysed, snapshot) : no_memory(vm);
}

evm_step_t evm_create_begin(rdg_evm_t *vm, const evm_call_t *call) {
    rdg_buf_clear(&vm->return_data);
    if (vm->watch) EVM_TRY(evm_watch_enter(vm, call));
    rdg_evm_access_t was;
    bool free_address;
    EVM_HOST(vm, vm->host->access_account(vm->host_ctx, &call->recipient, &was));
    EVM_HOST(vm, vm->host->can_create(vm->host_ctx, &call->recipient, &free_address));
    if (!free_address) return evm_deliver_failure(vm, call, RDG_EVM_CREATE_COLLISION, 0);
    size_t snapshot = vm->host->snapshot(vm->host_ctx);
    EVM_HOST(vm, vm->host->create(vm->host_ctx, &call->recipient));
    EVM_TRY(transfer(vm, call));
    bool traced = vm->watch && vm->watch->step;
    evm_code_t *code = traced ? evm_code_analyse_plain(call->input) : evm_code_analyse(call->input);
    return code ? push_frame(vm, call, code, snapshot) : no_memory(vm);
}

/* The output of init code becomes the contract's code, if it may. */
static evm_step_t deposit_code(rdg_evm_t *vm, evm_frame_t *f, rdg_evm_status_t *status) {
    rdg_bytes_t code = vm->output;
    if (code.len > RDG_EVM_CODE_MAX) {
        *status = RDG_EVM_CODE_TOO_LARGE;
    } else if (code.len > 0 && code.data[0] == 0xef) {
        *status = RDG_EVM_CODE_INVALID;
    } else if (evm_charge(f, GAS_CODE_DEPOSIT_BYTE * code.len) != EVM_GO_ON) {
        *status = RDG_EVM_OUT_OF_GAS;
    } else if (code.len > 0) {
        EVM_HOST(vm, vm->host->set_code(vm->host_ctx, &f->recipient, code));
    }
    return EVM_GO_ON;
}

static evm_step_t finish(rdg_evm_t *vm, rdg_evm_status_t status) {
    evm_frame_t *f = evm_top(vm);
    if (status == RDG_EVM_SUCCESS && is_create(f->kind)) EVM_TRY(deposit_code(vm, f, &status));
    rdg_buf_clear(&vm->return_data);
    if (status == RDG_EVM_SUCCESS || status == RDG_EVM_REVERT)
        EVM_HOST(vm, rdg_buf_append(&vm->return_data, vm->output.data, vm->output.len));
    else
        f->gas = 0;
    if (status != RDG_EVM_SUCCESS) vm->host->revert_to(vm->host_ctx, f->snapshot);
    evm_outcome_t outcome = {.status = status,
                             .gas_left = f->gas,
                             .refund = status == RDG_EVM_SUCCESS ? f->refund : 0,
                             .created = f->recipient};
    rdg_evm_kind_t kind = f->kind;
    evm_code_unref(f->code);
    --vm->frame_count;
    if (vm->frame_count > 0) evm_frame_bind(vm, evm_top(vm));
    return deliver(vm, kind, &outcome);
}

bool evm_run(rdg_evm_t *vm) {
    while (vm->frame_count > 0) {
        evm_step_t step = evm_interpret(vm, evm_top(vm));
        if (step >= 0 && step != RDG_EVM_HOST_ERROR) step = finish(vm, (rdg_evm_status_t)step);
        if (step == RDG_EVM_HOST_ERROR) return false;
    }
    return true;
}
