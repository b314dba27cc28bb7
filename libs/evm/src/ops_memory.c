/* Operations over memory, call data, code and return data. */
#include "gas.h"
#include "machine.h"
#include "ridge/crypto/hash.h"

/* Charges for and makes room for len bytes at offset, and charges per_word for each word of them. */
static evm_step_t range(rdg_evm_t *vm, evm_frame_t *f, const u256_t *offset, const u256_t *len,
                        uint64_t per_word) {
    EVM_TRY(evm_memory_need(vm, f, offset, len));
    return evm_charge(f, per_word * evm_words(len->w[0]));
}

/* Copies from source at offset; what lies beyond its end reads as zero. */
static void copy_padded(uint8_t *to, size_t len, rdg_bytes_t source, const u256_t *offset) {
    uint64_t from = u256_clamp_u64(offset);
    size_t have = from < source.len ? source.len - (size_t)from : 0;
    size_t n = have < len ? have : len;
    if (n > 0) memcpy(to, source.data + from, n);
    if (len > n) memset(to + n, 0, len - n);
}

static evm_step_t copy_from(rdg_evm_t *vm, evm_frame_t *f, rdg_bytes_t source) {
    const u256_t to = f->sp[-1], from = f->sp[-2], len = f->sp[-3];
    f->sp -= 3;
    EVM_TRY(range(vm, f, &to, &len, GAS_COPY_WORD));
    if (!u256_is_zero(&len)) copy_padded(f->memory + to.w[0], len.w[0], source, &from);
    return EVM_GO_ON;
}

evm_step_t evm_op_keccak256(rdg_evm_t *vm, evm_frame_t *f) {
    const u256_t offset = f->sp[-1], len = f->sp[-2];
    EVM_TRY(range(vm, f, &offset, &len, GAS_KECCAK_WORD));
    uint8_t hash[32];
    rdg_keccak256(len.w[0] ? f->memory + offset.w[0] : (const uint8_t *)"", len.w[0], hash);
    --f->sp;
    f->sp[-1] = u256_load(hash);
    return EVM_GO_ON;
}

evm_step_t evm_op_calldatacopy(rdg_evm_t *vm, evm_frame_t *f) {
    /* The input may lie in the machine's memory, which moves when it grows: grow first. */
    EVM_TRY(evm_memory_need(vm, f, &f->sp[-1], &f->sp[-3]));
    return copy_from(vm, f, f->input);
}

evm_step_t evm_op_codecopy(rdg_evm_t *vm, evm_frame_t *f) {
    return copy_from(vm, f, rdg_bytes(f->code->bytes, f->code->len));
}

evm_step_t evm_op_extcodecopy(rdg_evm_t *vm, evm_frame_t *f) {
    rdg_address_t a = evm_address(--f->sp);
    EVM_TRY(evm_access_account(vm, f, &a));
    rdg_bytes_t code;
    rdg_word_t hash;
    EVM_HOST(vm, vm->host->code(vm->host_ctx, &a, &code, &hash));
    return copy_from(vm, f, code);
}

evm_step_t evm_op_returndatacopy(rdg_evm_t *vm, evm_frame_t *f) {
    uint64_t from = u256_clamp_u64(&f->sp[-2]), len = u256_clamp_u64(&f->sp[-3]);
    if (from > vm->return_data.len || len > vm->return_data.len - from) return RDG_EVM_RETURN_DATA_BOUNDS;
    return copy_from(vm, f, rdg_buf_view(&vm->return_data));
}

evm_step_t evm_op_mcopy(rdg_evm_t *vm, evm_frame_t *f) {
    const u256_t to = f->sp[-1], from = f->sp[-2], len = f->sp[-3];
    f->sp -= 3;
    EVM_TRY(range(vm, f, &to, &len, GAS_COPY_WORD));
    EVM_TRY(evm_memory_need(vm, f, &from, &len));
    if (!u256_is_zero(&len)) memmove(f->memory + to.w[0], f->memory + from.w[0], len.w[0]);
    return EVM_GO_ON;
}

evm_step_t evm_op_log(rdg_evm_t *vm, evm_frame_t *f, unsigned topics) {
    if (f->is_static) return RDG_EVM_STATIC_VIOLATION;
    const u256_t offset = f->sp[-1], len = f->sp[-2];
    f->sp -= 2;
    EVM_TRY(evm_memory_need(vm, f, &offset, &len));
    EVM_TRY(evm_charge(f, GAS_LOG_BYTE * len.w[0]));
    rdg_evm_log_t log = {.address = f->recipient, .topic_count = topics};
    for (unsigned i = 0; i < topics; ++i) u256_store(log.topics[i].b, --f->sp);
    if (len.w[0]) log.data = rdg_bytes(f->memory + offset.w[0], len.w[0]);
    EVM_HOST(vm, vm->host->log(vm->host_ctx, &log));
    return EVM_GO_ON;
}

evm_step_t evm_op_halt(rdg_evm_t *vm, evm_frame_t *f, rdg_evm_status_t verdict) {
    const u256_t offset = f->sp[-1], len = f->sp[-2];
    EVM_TRY(evm_memory_need(vm, f, &offset, &len));
    vm->output = len.w[0] ? rdg_bytes(f->memory + offset.w[0], len.w[0]) : rdg_bytes(NULL, 0);
    return (evm_step_t)verdict;
}
