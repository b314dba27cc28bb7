/* Two contracts of any bytes, that can call each other, and any call data. The input: two lengths of 16 bits,
 * the codes, the call data. Run twice, the machine must come to the same end; it may neither make gas nor
 * balance. */
#include <stdlib.h>
#include "host.c"

#define GAS 400000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct ending {
    rdg_evm_result_t result;
    uint8_t output_hash[32], balance[32];
    size_t logs;
} ending_t;

static rdg_bytes_t take(rdg_bytes_t *rest, size_t len) {
    if (len > rest->len) len = rest->len;
    rdg_bytes_t head = rdg_bytes(rest->data, len);
    *rest = rdg_bytes(rest->data + len, rest->len - len);
    return head;
}

static void run(rdg_evm_t *vm, rdg_bytes_t input, ending_t *out) {
    static host_t host;
    const rdg_evm_context_t context = {
        .revision = RDG_EVM_CANCUN, .block_number = 300, .block_gas_limit = GAS};
    rdg_address_t a = address_of(0xA), b = address_of(0xB);
    rdg_bytes_t head = take(&input, 4);
    uint8_t lengths[4] = {0};
    memcpy(lengths, head.data, head.len);
    rdg_bytes_t code_a = take(&input, (size_t)(lengths[0] << 8 | lengths[1]));
    rdg_bytes_t code_b = take(&input, (size_t)(lengths[2] << 8 | lengths[3]));
    host_init(&host);
    host_set_code(&host, &a, code_a.data, code_a.len);
    host_set_code(&host, &b, code_b.data, code_b.len);
    host_set_balance(&host, &a, 1000);
    host_begin_tx(&host);
    rdg_evm_message_t msg = {
        .kind = RDG_EVM_CALL, .recipient = a, .code_address = a, .gas = GAS, .input = input};
    memset(out, 0, sizeof *out);
    RDG_ASSERT(rdg_evm_execute(vm, &host.vtable, &host, &context, &msg, &out->result) == RDG_OK);
    rdg_keccak256(out->result.output.len ? out->result.output.data : lengths, out->result.output.len,
                  out->output_hash);
    out->result.output.data = NULL;
    out->logs = host.log_count;
    u256_t sum = {{0}};
    for (size_t i = 0; i < host.account_count; ++i) {
        u256_t balance = u256_load(host.account_list[i]->balance.b);
        sum = u256_add(&sum, &balance);
    }
    u256_store(out->balance, &sum);
    host_fini(&host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4) return 0;
    ending_t first, second;
    rdg_evm_t *vm = rdg_evm_new();
    RDG_ASSERT(vm);
    run(vm, rdg_bytes(data, size), &first);
    run(vm, rdg_bytes(data, size), &second);
    rdg_evm_free(vm);
    RDG_ASSERT(first.result.gas_left <= GAS);
    RDG_ASSERT(first.result.status < RDG_EVM_HOST_ERROR);
    RDG_ASSERT(rdg_load_be64(first.balance + 24) <= 1000); /* less if a contract burnt some with itself */
    RDG_ASSERT(first.result.status == second.result.status &&
               first.result.gas_left == second.result.gas_left);
    RDG_ASSERT(first.result.gas_refund == second.result.gas_refund && first.logs == second.logs);
    RDG_ASSERT(memcmp(first.output_hash, second.output_hash, 32) == 0);
    RDG_ASSERT(memcmp(first.balance, second.balance, 32) == 0);
    return 0;
}
