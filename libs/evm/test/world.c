#include "world.h"
#include <ctype.h>
#include <stdlib.h>
#include "opcodes.h"

world_t *world_new(void) {
    world_t *w = rdg_calloc(1, sizeof *w);
    CHECK(w);
    host_init(&w->host);
    w->vm = rdg_evm_new();
    CHECK(w->vm);
    w->context = (rdg_evm_context_t){.revision = RDG_EVM_CANCUN,
                                     .origin = world_sender(),
                                     .coinbase = address_of(0xc01),
                                     .gas_price = word_of(7),
                                     .base_fee = word_of(8),
                                     .blob_base_fee = word_of(9),
                                     .prevrandao = word_of(0x4a2d),
                                     .chain_id = word_of(20261),
                                     .block_number = 1000,
                                     .block_time_s = 1700000000,
                                     .block_gas_limit = 30000000};
    rdg_address_t sender = world_sender();
    host_set_balance(&w->host, &sender, 1000000000000000000u);
    return w;
}

void world_free(world_t *w) {
    rdg_evm_free(w->vm);
    host_fini(&w->host);
    rdg_free(w);
}

rdg_address_t world_sender(void) {
    return address_of(0xA11CE);
}

rdg_address_t world_contract(void) {
    return address_of(0xC0DE);
}

static rdg_evm_status_t run(world_t *w, const rdg_evm_message_t *msg) {
    host_begin_tx(&w->host);
    CHECK_OK(rdg_evm_execute(w->vm, &w->host.vtable, &w->host, &w->context, msg, &w->result));
    return w->result.status;
}

rdg_evm_status_t world_call(world_t *w, rdg_address_t from, rdg_address_t to, rdg_bytes_t input,
                            uint64_t gas) {
    rdg_evm_message_t msg = {.kind = RDG_EVM_CALL,
                             .sender = from,
                             .recipient = to,
                             .code_address = to,
                             .gas = gas,
                             .input = input};
    return run(w, &msg);
}

rdg_evm_status_t world_create(world_t *w, rdg_address_t from, uint64_t nonce, rdg_bytes_t init_code,
                              uint64_t gas) {
    rdg_evm_message_t msg = {
        .kind = RDG_EVM_CREATE, .sender = from, .nonce = nonce, .gas = gas, .input = init_code};
    return run(w, &msg);
}

void world_set_code(world_t *w, rdg_address_t a, const char *assembly) {
    rdg_buf_t code;
    rdg_buf_init(&code, 1u << 20);
    assemble(assembly, &code);
    host_set_code(&w->host, &a, code.data, code.len);
    rdg_buf_fini(&code);
}

rdg_evm_status_t world_run_gas(world_t *w, const char *assembly, uint64_t gas) {
    world_set_code(w, world_contract(), assembly);
    return world_call(w, world_sender(), world_contract(), rdg_bytes(NULL, 0), gas);
}

rdg_evm_status_t world_run(world_t *w, const char *assembly) {
    return world_run_gas(w, assembly, WORLD_GAS);
}

uint64_t world_gas_used(const world_t *w, uint64_t gas) {
    return gas - w->result.gas_left;
}

uint64_t world_output_u64(const world_t *w) {
    CHECK_EQ(w->result.output.len, 32);
    for (size_t i = 0; i < 24; ++i) CHECK_EQ(w->result.output.data[i], 0);
    return rdg_load_be64(w->result.output.data + 24);
}

static int opcode(const char *name, size_t len) {
#define X(code, op, gas, in, out, since)                                                                     \
    if (len == sizeof #op - 1 && memcmp(name, #op, len) == 0) return code;
    EVM_OPCODES(X)
#undef X
    static const struct {
        const char *name;
        int base, first, last;
    } families[] = {{"PUSH", 0x5f, 1, 32}, {"DUP", 0x7f, 1, 16}, {"SWAP", 0x8f, 1, 16}, {"LOG", 0xa0, 0, 4}};
    for (size_t i = 0; i < sizeof families / sizeof *families; ++i) {
        size_t n = strlen(families[i].name);
        if (len <= n || memcmp(name, families[i].name, n) != 0) continue;
        int number = atoi(name + n);
        if (number >= families[i].first && number <= families[i].last) return families[i].base + number;
    }
    return -1;
}

static void literal(const char *word, size_t len, size_t width, rdg_buf_t *out) {
    uint8_t bytes[64] = {0};
    size_t count = width;
    if (len > 2 && word[0] == '0' && word[1] == 'x') {
        size_t digits = len - 2;
        CHECK(digits <= 128 && (width != 0 || digits % 2 == 0));
        if (width == 0) count = digits / 2;
        CHECK((digits + 1) / 2 <= count);
        for (size_t i = 0; i < digits; ++i) {
            char c = word[len - 1 - i];
            int v = isdigit((unsigned char)c) ? c - '0' : (tolower((unsigned char)c) - 'a') + 10;
            bytes[count - 1 - i / 2] |= (uint8_t)(v << (4 * (i % 2)));
        }
    } else {
        CHECK(width != 0);
        unsigned long long v = strtoull(word, NULL, 10);
        for (size_t i = 0; i < 8 && i < width; ++i) bytes[width - 1 - i] = (uint8_t)(v >> (8 * i));
    }
    CHECK_OK(rdg_buf_append(out, bytes, count));
}

void assemble(const char *text, rdg_buf_t *out) {
    size_t width = 0;
    for (const char *p = text; *p;) {
        size_t blank = strspn(p, " \n"), len = strcspn(p + blank, " \n");
        const char *word = p + blank;
        p = word + len;
        if (len == 0) continue;
        int op = opcode(word, len);
        if (width == 0 && op >= 0) {
            CHECK_OK(rdg_buf_u8(out, (uint8_t)op));
            if (op >= EVM_PUSH1 && op <= EVM_PUSH32) width = (size_t)op - EVM_PUSH1 + 1;
            continue;
        }
        if (!isdigit((unsigned char)word[0]))
            rdg_test_fail(__FILE__, __LINE__, "no opcode '%.*s'", (int)len, word);
        literal(word, len, width, out);
        width = 0;
    }
}
