/* Operations that read or change the state through the host. */
#include "gas.h"
#include "machine.h"

evm_step_t evm_access_account(rdg_evm_t *vm, evm_frame_t *f, const rdg_address_t *a) {
    rdg_evm_access_t was = RDG_EVM_WARM;
    if (!evm_is_precompile(vm, a)) EVM_HOST(vm, vm->host->access_account(vm->host_ctx, a, &was));
    return evm_charge(f, was == RDG_EVM_COLD ? GAS_COLD_ACCOUNT : GAS_WARM);
}

evm_step_t evm_op_balance(rdg_evm_t *vm, evm_frame_t *f) {
    rdg_address_t a = evm_address(&f->sp[-1]);
    EVM_TRY(evm_access_account(vm, f, &a));
    rdg_word_t balance;
    EVM_HOST(vm, vm->host->balance(vm->host_ctx, &a, &balance));
    f->sp[-1] = u256_load(balance.b);
    return EVM_GO_ON;
}

evm_step_t evm_op_selfbalance(rdg_evm_t *vm, evm_frame_t *f) {
    rdg_word_t balance;
    EVM_HOST(vm, vm->host->balance(vm->host_ctx, &f->recipient, &balance));
    *f->sp++ = u256_load(balance.b);
    return EVM_GO_ON;
}

evm_step_t evm_op_extcodesize(rdg_evm_t *vm, evm_frame_t *f) {
    rdg_address_t a = evm_address(&f->sp[-1]);
    EVM_TRY(evm_access_account(vm, f, &a));
    rdg_bytes_t code;
    rdg_word_t hash;
    EVM_HOST(vm, vm->host->code(vm->host_ctx, &a, &code, &hash));
    f->sp[-1] = u256_from_u64(code.len);
    return EVM_GO_ON;
}

evm_step_t evm_op_extcodehash(rdg_evm_t *vm, evm_frame_t *f) {
    rdg_address_t a = evm_address(&f->sp[-1]);
    EVM_TRY(evm_access_account(vm, f, &a));
    bool exists;
    rdg_bytes_t code;
    rdg_word_t hash = {{0}};
    EVM_HOST(vm, vm->host->exists(vm->host_ctx, &a, &exists));
    if (exists) EVM_HOST(vm, vm->host->code(vm->host_ctx, &a, &code, &hash));
    f->sp[-1] = u256_load(hash.b);
    return EVM_GO_ON;
}

evm_step_t evm_op_blockhash(rdg_evm_t *vm, evm_frame_t *f) {
    uint64_t current = vm->context->block_number, number = u256_clamp_u64(&f->sp[-1]);
    rdg_word_t hash = {{0}};
    if (number < current && current - number <= 256)
        EVM_HOST(vm, vm->host->block_hash(vm->host_ctx, number, &hash));
    f->sp[-1] = u256_load(hash.b);
    return EVM_GO_ON;
}

static rdg_word_t word(const u256_t *v) {
    rdg_word_t w;
    u256_store(w.b, v);
    return w;
}

evm_step_t evm_op_sload(rdg_evm_t *vm, evm_frame_t *f) {
    rdg_word_t key = word(&f->sp[-1]), value;
    rdg_evm_access_t was;
    EVM_HOST(vm, vm->host->access_storage(vm->host_ctx, &f->recipient, &key, &was));
    EVM_TRY(evm_charge(f, was == RDG_EVM_COLD ? GAS_COLD_STORAGE : GAS_WARM));
    EVM_HOST(vm, vm->host->storage(vm->host_ctx, &f->recipient, &key, &value));
    f->sp[-1] = u256_load(value.b);
    return EVM_GO_ON;
}

/* EIP-2200 with the figures of EIP-2929 and EIP-3529. */
static uint64_t sstore_gas(const u256_t *original, const u256_t *current, const u256_t *next,
                           int64_t *refund) {
    if (u256_equal(current, next)) return GAS_WARM;
    if (u256_equal(original, current)) {
        if (u256_is_zero(original)) return GAS_SSTORE_SET;
        if (u256_is_zero(next)) *refund += REFUND_SSTORE_CLEAR;
        return GAS_SSTORE_RESET;
    }
    if (!u256_is_zero(original)) {
        if (u256_is_zero(current)) *refund -= REFUND_SSTORE_CLEAR;
        if (u256_is_zero(next)) *refund += REFUND_SSTORE_CLEAR;
    }
    if (u256_equal(original, next))
        *refund += u256_is_zero(original) ? REFUND_SSTORE_UNSET : REFUND_SSTORE_UNDO;
    return GAS_WARM;
}

evm_step_t evm_op_sstore(rdg_evm_t *vm, evm_frame_t *f) {
    if (f->is_static) return RDG_EVM_STATIC_VIOLATION;
    if (f->gas <= GAS_SSTORE_SENTRY) return RDG_EVM_OUT_OF_GAS;
    rdg_word_t key = word(&f->sp[-1]), value = word(&f->sp[-2]), current, original;
    rdg_evm_access_t was;
    EVM_HOST(vm, vm->host->access_storage(vm->host_ctx, &f->recipient, &key, &was));
    if (was == RDG_EVM_COLD) EVM_TRY(evm_charge(f, GAS_COLD_STORAGE));
    EVM_HOST(vm, vm->host->storage(vm->host_ctx, &f->recipient, &key, &current));
    EVM_HOST(vm, vm->host->storage_original(vm->host_ctx, &f->recipient, &key, &original));
    u256_t o = u256_load(original.b), c = u256_load(current.b);
    EVM_TRY(evm_charge(f, sstore_gas(&o, &c, &f->sp[-2], &f->refund)));
    if (!u256_equal(&c, &f->sp[-2]))
        EVM_HOST(vm, vm->host->set_storage(vm->host_ctx, &f->recipient, &key, &value));
    f->sp -= 2;
    return EVM_GO_ON;
}

evm_step_t evm_op_tload(rdg_evm_t *vm, evm_frame_t *f) {
    rdg_word_t key = word(&f->sp[-1]), value;
    EVM_HOST(vm, vm->host->transient(vm->host_ctx, &f->recipient, &key, &value));
    f->sp[-1] = u256_load(value.b);
    return EVM_GO_ON;
}

evm_step_t evm_op_tstore(rdg_evm_t *vm, evm_frame_t *f) {
    if (f->is_static) return RDG_EVM_STATIC_VIOLATION;
    rdg_word_t key = word(&f->sp[-1]), value = word(&f->sp[-2]);
    EVM_HOST(vm, vm->host->set_transient(vm->host_ctx, &f->recipient, &key, &value));
    f->sp -= 2;
    return EVM_GO_ON;
}

evm_step_t evm_op_selfdestruct(rdg_evm_t *vm, evm_frame_t *f) {
    if (f->is_static) return RDG_EVM_STATIC_VIOLATION;
    rdg_address_t beneficiary = evm_address(&f->sp[-1]);
    rdg_evm_access_t was = RDG_EVM_WARM;
    if (!evm_is_precompile(vm, &beneficiary))
        EVM_HOST(vm, vm->host->access_account(vm->host_ctx, &beneficiary, &was));
    if (was == RDG_EVM_COLD) EVM_TRY(evm_charge(f, GAS_COLD_ACCOUNT));
    rdg_word_t balance;
    bool exists;
    EVM_HOST(vm, vm->host->balance(vm->host_ctx, &f->recipient, &balance));
    u256_t amount = u256_load(balance.b);
    if (!u256_is_zero(&amount)) {
        EVM_HOST(vm, vm->host->exists(vm->host_ctx, &beneficiary, &exists));
        if (!exists) EVM_TRY(evm_charge(f, GAS_NEW_ACCOUNT));
    }
    EVM_HOST(vm, vm->host->selfdestruct(vm->host_ctx, &f->recipient, &beneficiary));
    vm->output = rdg_bytes(NULL, 0);
    return RDG_EVM_SUCCESS;
}
