/* The call and create operations: what they check and charge; message.c then begins the message. */
#include "gas.h"
#include "machine.h"

static bool has_value(rdg_evm_kind_t kind) {
    return kind == RDG_EVM_CALL || kind == RDG_EVM_CALLCODE;
}

/* EIP-150: at most all but a 64th goes to the callee. */
static uint64_t gas_for_callee(const evm_frame_t *f) {
    return f->gas - f->gas / 64;
}

static evm_step_t charge_value(rdg_evm_t *vm, evm_frame_t *f, const evm_call_t *call) {
    if (!has_value(call->kind) || u256_is_zero(&call->value)) return EVM_GO_ON;
    EVM_TRY(evm_charge(f, GAS_CALL_VALUE));
    if (call->kind != RDG_EVM_CALL) return EVM_GO_ON;
    bool exists;
    EVM_HOST(vm, vm->host->exists(vm->host_ctx, &call->recipient, &exists));
    return exists ? EVM_GO_ON : evm_charge(f, GAS_NEW_ACCOUNT);
}

static void set_parties(evm_call_t *call, const evm_frame_t *f, rdg_evm_kind_t kind, rdg_address_t target) {
    bool own = kind == RDG_EVM_CALLCODE || kind == RDG_EVM_DELEGATECALL;
    call->kind = kind;
    call->is_static = f->is_static || kind == RDG_EVM_STATICCALL;
    call->sender = kind == RDG_EVM_DELEGATECALL ? f->sender : f->recipient;
    call->recipient = own ? f->recipient : target;
    call->code_address = target;
}

static void set_input(evm_call_t *call, const evm_frame_t *f, const u256_t *offset, const u256_t *len) {
    call->input = rdg_bytes(NULL, 0);
    call->input_offset = SIZE_MAX;
    if (u256_is_zero(len)) return;
    call->input = rdg_bytes(f->memory + offset->w[0], len->w[0]);
    call->input_offset = f->memory_base + offset->w[0];
}

evm_step_t evm_op_call(rdg_evm_t *vm, evm_frame_t *f, rdg_evm_kind_t kind) {
    const u256_t wanted = f->sp[-1], target = f->sp[-2];
    f->sp -= 2;
    evm_call_t call = {.value = {{0}}};
    set_parties(&call, f, kind, evm_address(&target));
    if (has_value(kind)) call.value = *--f->sp;
    if (kind == RDG_EVM_DELEGATECALL) call.value = f->value;
    const u256_t in = f->sp[-1], in_len = f->sp[-2], out = f->sp[-3], out_len = f->sp[-4];
    f->sp -= 4;
    if (f->is_static && kind == RDG_EVM_CALL && !u256_is_zero(&call.value)) return RDG_EVM_STATIC_VIOLATION;
    EVM_TRY(evm_access_account(vm, f, &call.code_address));
    EVM_TRY(evm_memory_need(vm, f, &in, &in_len));
    EVM_TRY(evm_memory_need(vm, f, &out, &out_len));
    EVM_TRY(charge_value(vm, f, &call));
    call.gas = u256_clamp_u64(&wanted);
    if (call.gas > gas_for_callee(f)) call.gas = gas_for_callee(f);
    f->gas -= call.gas;
    if (has_value(kind) && !u256_is_zero(&call.value)) call.gas += GAS_CALL_STIPEND;
    set_input(&call, f, &in, &in_len);
    f->output_offset = out.w[0];
    f->output_len = out_len.w[0];
    return evm_call_begin(vm, &call);
}

static evm_step_t new_address(rdg_evm_t *vm, const evm_frame_t *f, evm_call_t *call, const u256_t *salt,
                              bool *ok) {
    uint64_t nonce;
    EVM_HOST(vm, vm->host->nonce(vm->host_ctx, &f->recipient, &nonce));
    *ok = nonce != UINT64_MAX;
    if (!*ok) return EVM_GO_ON;
    EVM_HOST(vm, vm->host->set_nonce(vm->host_ctx, &f->recipient, nonce + 1));
    if (call->kind == RDG_EVM_CREATE) {
        rdg_evm_create_address(&f->recipient, nonce, &call->recipient);
    } else {
        rdg_word_t word;
        u256_store(word.b, salt);
        rdg_evm_create2_address(&f->recipient, &word, call->input, &call->recipient);
    }
    return EVM_GO_ON;
}

static evm_step_t can_pay(rdg_evm_t *vm, const evm_frame_t *f, const evm_call_t *call, bool *ok) {
    rdg_word_t balance;
    EVM_HOST(vm, vm->host->balance(vm->host_ctx, &f->recipient, &balance));
    u256_t have = u256_load(balance.b);
    *ok = !u256_less(&have, &call->value);
    return EVM_GO_ON;
}

evm_step_t evm_op_create(rdg_evm_t *vm, evm_frame_t *f, rdg_evm_kind_t kind) {
    if (f->is_static) return RDG_EVM_STATIC_VIOLATION;
    evm_call_t call = {.kind = kind, .sender = f->recipient, .value = f->sp[-1]};
    const u256_t offset = f->sp[-2], len = f->sp[-3];
    u256_t salt = {{0}};
    f->sp -= 3;
    if (kind == RDG_EVM_CREATE2) salt = *--f->sp;
    if (u256_clamp_u64(&len) > RDG_EVM_INITCODE_MAX) return RDG_EVM_OUT_OF_GAS; /* EIP-3860 says so */
    EVM_TRY(evm_memory_need(vm, f, &offset, &len));
    uint64_t per_word = GAS_INITCODE_WORD + (kind == RDG_EVM_CREATE2 ? GAS_KECCAK_WORD : 0);
    EVM_TRY(evm_charge(f, per_word * evm_words(len.w[0])));
    set_input(&call, f, &offset, &len);
    f->output_len = 0;
    if (vm->frame_count > RDG_EVM_CALL_DEPTH_MAX)
        return evm_deliver_failure(vm, &call, RDG_EVM_CALL_DEPTH, 0);
    bool ok;
    EVM_TRY(can_pay(vm, f, &call, &ok));
    if (!ok) return evm_deliver_failure(vm, &call, RDG_EVM_BALANCE, 0);
    EVM_TRY(new_address(vm, f, &call, &salt, &ok));
    if (!ok) return evm_deliver_failure(vm, &call, RDG_EVM_NONCE_OVERFLOW, 0);
    call.code_address = call.recipient;
    call.gas = gas_for_callee(f);
    f->gas -= call.gas;
    return evm_create_begin(vm, &call);
}
