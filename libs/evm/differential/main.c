/* Runs programs and prints what a second implementation must agree on: see compare.mjs.
 * A line in: gas, code of A, code of B, input, in hexadecimal ("-": none). A line out: success, revert or failure; gas used;
 * refund; output; each log as address, topics and data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host.h"
#include "ridge/base/assert.h"
#include "ridge/codec/hex.h"

#define LINE_MAX_BYTES (1u << 20)

static void decode(const char *text, rdg_buf_t *out) {
    rdg_buf_init(out, LINE_MAX_BYTES);
    if (text && strcmp(text, "-") != 0) RDG_ASSERT(rdg_hex_decode_buf(text, strlen(text), out) == RDG_OK);
}

static void print_hex(const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; ++i) printf("%02x", data[i]);
}

static void print_log(const rdg_evm_log_t *log) {
    printf(" ");
    print_hex(log->address.b, sizeof log->address.b);
    for (uint32_t t = 0; t < log->topic_count; ++t) {
        printf(",");
        print_hex(log->topics[t].b, sizeof log->topics[t].b);
    }
    printf(":");
    print_hex(log->data.data, log->data.len);
}

static void run(rdg_evm_t *vm, uint64_t gas, const rdg_buf_t *a, const rdg_buf_t *b, const rdg_buf_t *input) {
    static host_t host;
    rdg_address_t at_a = address_of(0xaaaa), at_b = address_of(0xbbbb), sender = address_of(0xf00d);
    rdg_evm_context_t context = {.revision = RDG_EVM_CANCUN, .origin = sender, .chain_id = word_of(1)};
    host_init(&host);
    host_set_code(&host, &at_a, a->data, a->len);
    host_set_code(&host, &at_b, b->data, b->len);
    host_set_balance(&host, &at_a, 1000);
    host_set_balance(&host, &sender, 1); /* it exists: a transaction has counted its nonce */
    host_begin_tx(&host);
    rdg_evm_message_t msg = {.kind = RDG_EVM_CALL,
                             .sender = sender,
                             .recipient = at_a,
                             .code_address = at_a,
                             .gas = gas,
                             .input = rdg_buf_view(input)};
    rdg_evm_result_t r;
    RDG_ASSERT(rdg_evm_execute(vm, &host.vtable, &host, &context, &msg, &r) == RDG_OK);
    bool ok = r.status == RDG_EVM_SUCCESS;
    printf("%s %llu %lld ",
           ok                           ? "success"
           : r.status == RDG_EVM_REVERT ? "revert"
                                        : "failure",
           (unsigned long long)(gas - r.gas_left), ok ? (long long)r.gas_refund : 0);
    print_hex(r.output.data, r.output.len);
    for (size_t i = 0; ok && i < host.log_count; ++i) print_log(&host.logs[i]);
    printf("\n");
    host_fini(&host);
}

int main(void) {
    static char line[LINE_MAX_BYTES];
    rdg_evm_t *vm = rdg_evm_new();
    RDG_ASSERT(vm);
    while (fgets(line, sizeof line, stdin)) {
        rdg_buf_t code_a, code_b, input;
        char *rest = NULL, *gas = strtok_r(line, " \n", &rest);
        decode(strtok_r(NULL, " \n", &rest), &code_a);
        decode(strtok_r(NULL, " \n", &rest), &code_b);
        decode(strtok_r(NULL, " \n", &rest), &input);
        run(vm, gas ? strtoull(gas, NULL, 10) : 0, &code_a, &code_b, &input);
        rdg_buf_fini(&code_a);
        rdg_buf_fini(&code_b);
        rdg_buf_fini(&input);
        fflush(stdout);
    }
    rdg_evm_free(vm);
    return 0;
}
