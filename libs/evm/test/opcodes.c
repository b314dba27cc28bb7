/* What single operations do and cost, and the ways in which code ends. */
#include <stdio.h>
#include "ridge/crypto/hash.h"
#include "world.h"

/* Leaves the top of the stack as the output. */
#define RETURN_TOP " PUSH0 MSTORE PUSH1 32 PUSH0 RETURN"

static uint64_t value_of(const char *assembly) {
    world_t *w = world_new();
    CHECK_EQ(world_run(w, assembly), RDG_EVM_SUCCESS);
    uint64_t v = world_output_u64(w);
    world_free(w);
    return v;
}

static rdg_evm_status_t status_of(const char *assembly, uint64_t gas) {
    world_t *w = world_new();
    rdg_evm_status_t s = world_run_gas(w, assembly, gas);
    if (s != RDG_EVM_SUCCESS && s != RDG_EVM_REVERT) CHECK_EQ(w->result.gas_left, 0);
    world_free(w);
    return s;
}

static uint64_t gas_of(const char *assembly) {
    world_t *w = world_new();
    CHECK_EQ(world_run(w, assembly), RDG_EVM_SUCCESS);
    uint64_t gas = world_gas_used(w, WORLD_GAS);
    world_free(w);
    return gas;
}

TEST(operations_take_their_operands_in_order) {
    static const struct {
        const char *code;
        uint64_t want;
    } cases[] = {
        {"PUSH1 3 PUSH1 10 SUB", 7},
        {"PUSH1 3 PUSH1 10 DIV", 3},
        {"PUSH1 3 PUSH1 10 MOD", 1},
        {"PUSH1 8 PUSH1 10 PUSH1 10 ADDMOD", 4},
        {"PUSH1 8 PUSH1 10 PUSH1 10 MULMOD", 4},
        {"PUSH1 3 PUSH1 2 EXP", 8},
        {"PUSH1 2 PUSH1 1 LT", 1},
        {"PUSH1 2 PUSH1 1 GT", 0},
        {"PUSH1 1 PUSH0 NOT SLT", 1},
        {"PUSH1 1 PUSH0 NOT SGT", 0},
        {"PUSH1 0xff PUSH0 SIGNEXTEND NOT", 0},
        {"PUSH2 0x1234 PUSH1 30 BYTE", 0x12},
        {"PUSH1 1 PUSH1 4 SHL", 16},
        {"PUSH1 16 PUSH1 4 SHR", 1},
        {"PUSH0 NOT PUSH1 4 SAR NOT", 0},
        {"PUSH1 5 PUSH1 6 PUSH1 7 DUP3", 5},
        {"PUSH1 5 PUSH1 6 PUSH1 7 SWAP2", 5},
        {"PUSH1 7 POP PC", 3},
        {"PUSH32 0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20 PUSH1 192 SHR",
         0x0102030405060708},
        {"PUSH9 0x112233445566778899 PUSH1 8 SHR", 0x1122334455667788},
        {"ADDRESS", 0xC0DE},
        {"CALLER", 0xA11CE},
        {"ORIGIN", 0xA11CE},
        {"COINBASE", 0xc01},
        {"TIMESTAMP", 1700000000},
        {"NUMBER", 1000},
        {"PREVRANDAO", 0x4a2d},
        {"GASLIMIT", 30000000},
        {"CHAINID", 20261},
        {"BASEFEE", 8},
        {"BLOBBASEFEE", 9},
        {"GASPRICE", 7},
        {"PUSH0 BLOBHASH", 0},
        {"PUSH2 999 BLOCKHASH", 1999},
        {"PUSH2 744 BLOCKHASH", 1744},
        {"PUSH2 743 BLOCKHASH", 0},
        {"PUSH2 1000 BLOCKHASH", 0},
        {"PUSH0 PUSH1 64 MSTORE8 MSIZE", 96},
        {"PUSH1 1 PUSH1 31 MSTORE8 PUSH0 MLOAD", 1},
        {"PUSH1 42 PUSH0 MSTORE PUSH1 32 PUSH0 PUSH1 32 MCOPY PUSH1 32 MLOAD", 42},
        {"PUSH1 42 PUSH1 9 TSTORE PUSH1 9 TLOAD", 42},
        {"PUSH1 42 PUSH1 9 SSTORE PUSH1 9 SLOAD", 42},
        {"PUSH1 1 PUSH1 8 JUMPI PUSH1 9 STOP JUMPDEST PUSH1 3", 3},
        {"CODESIZE", 7},
        {"PUSH0 CALLDATALOAD", 0},
        {"PUSH3 0xA11CE BALANCE", 1000000000000000000u},
        {"PUSH2 0xC0DE EXTCODESIZE", 10},
        {"PUSH1 0x77 EXTCODEHASH", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char code[512];
        snprintf(code, sizeof code, "%s" RETURN_TOP, cases[i].code);
        uint64_t got = value_of(code);
        if (got != cases[i].want)
            rdg_test_fail(__FILE__, __LINE__, "%s: %llu, want %llu", cases[i].code, (unsigned long long)got,
                          (unsigned long long)cases[i].want);
    }
}

TEST(operations_cost_what_the_yellow_paper_says) {
    static const struct {
        const char *code;
        uint64_t want;
    } cases[] = {
        {"PUSH1 1 PUSH1 1 ADD", 9},
        {"PUSH1 1 PUSH1 1 MUL", 11},
        {"PUSH2 0x0100 PUSH1 2 EXP", 6 + 10 + 2 * 50},
        {"PUSH1 32 PUSH0 KECCAK256", 5 + 30 + 6 + 3},
        {"PUSH0 PUSH2 1023 MSTORE8", 5 + 3 + 32 * 3 + 2},
        {"PUSH0 PUSH3 0x01ffff MSTORE8", 5 + 3 + 4096 * 3 + 4096u * 4096 / 512},
        {"PUSH1 65 PUSH0 PUSH0 CODECOPY", 7 + 3 + 3 * 3 + 3 * 3},
        {"PUSH1 33 PUSH0 PUSH0 MCOPY", 7 + 3 + 2 * 3 + 2 * 3},
        {"PUSH1 0x77 BALANCE", 3 + 2600},
        {"PUSH1 0x77 BALANCE PUSH1 0x77 EXTCODEHASH", 6 + 2600 + 100},
        {"PUSH1 2 BALANCE", 3 + 100},
        {"ADDRESS EXTCODESIZE COINBASE BALANCE ORIGIN BALANCE", 6 + 300},
        {"SELFBALANCE", 5},
        {"PUSH1 9 SLOAD PUSH1 9 SLOAD", 6 + 2100 + 100},
        {"PUSH1 9 TLOAD PUSH1 1 PUSH1 9 TSTORE", 9 + 200},
        {"PUSH1 1 PUSH1 9 SSTORE", 6 + 2100 + 20000},
        {"PUSH0 PUSH1 9 SSTORE", 5 + 2100 + 100},
        {"PUSH1 1 PUSH1 9 SSTORE PUSH1 2 PUSH1 9 SSTORE", 12 + 2100 + 20000 + 100},
        {"PUSH1 4 PUSH0 LOG0", 5 + 375 + 8 * 4 + 3},
        {"PUSH1 1 PUSH1 2 PUSH1 3 PUSH1 4 PUSH0 PUSH0 LOG4", 16 + 5 * 375},
        {"PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 0x77 GAS CALL", 5 * 2 + 3 + 2 + 2600},
        {"PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 2 GAS STATICCALL", 4 * 2 + 3 + 2 + 100 + 60},
        {"PUSH0 PUSH0 PUSH0 CREATE", 3 * 2 + 32000},
        {"PUSH0 PUSH1 64 PUSH0 PUSH0 CREATE2", 3 * 2 + 3 + 32000 + 2 * (2 + 6) + 2 * 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        uint64_t got = gas_of(cases[i].code);
        if (got != cases[i].want)
            rdg_test_fail(__FILE__, __LINE__, "%s: %llu gas, want %llu", cases[i].code,
                          (unsigned long long)got, (unsigned long long)cases[i].want);
    }
}

/* The table of EIP-3529: original value, then the values stored one after another, gas and refund. */
TEST(storing_costs_and_refunds_by_eip_3529) {
    static const struct {
        uint64_t original;
        const char *code;
        uint64_t gas;
        int64_t refund;
    } cases[] = {
        {0, "PUSH0 PUSH0 SSTORE PUSH0 PUSH0 SSTORE", 8 + 2100 + 200, 0},
        {0, "PUSH1 1 PUSH0 SSTORE PUSH0 PUSH0 SSTORE", 9 + 2100 + 20100, 19900},
        {0, "PUSH1 1 PUSH0 SSTORE PUSH1 2 PUSH0 SSTORE", 10 + 2100 + 20100, 0},
        {0, "PUSH1 1 PUSH0 SSTORE PUSH1 1 PUSH0 SSTORE", 10 + 2100 + 20100, 0},
        {1, "PUSH0 PUSH0 SSTORE PUSH0 PUSH0 SSTORE", 8 + 2100 + 3000, 4800},
        {1, "PUSH0 PUSH0 SSTORE PUSH1 1 PUSH0 SSTORE", 9 + 2100 + 3000, 2800},
        {1, "PUSH0 PUSH0 SSTORE PUSH1 2 PUSH0 SSTORE", 9 + 2100 + 3000, 0},
        {1, "PUSH1 2 PUSH0 SSTORE PUSH0 PUSH0 SSTORE", 9 + 2100 + 3000, 4800},
        {1, "PUSH1 2 PUSH0 SSTORE PUSH1 3 PUSH0 SSTORE", 10 + 2100 + 3000, 0},
        {1, "PUSH1 2 PUSH0 SSTORE PUSH1 1 PUSH0 SSTORE", 10 + 2100 + 3000, 2800},
        {1, "PUSH1 1 PUSH0 SSTORE PUSH0 PUSH0 SSTORE", 9 + 2100 + 3000, 4800},
        {0, "PUSH1 1 PUSH0 SSTORE PUSH0 PUSH0 SSTORE PUSH1 1 PUSH0 SSTORE", 14 + 2100 + 40100, 19900},
        {1, "PUSH0 PUSH0 SSTORE PUSH1 1 PUSH0 SSTORE PUSH0 PUSH0 SSTORE", 13 + 2100 + 5900, 7600},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        world_t *w = world_new();
        rdg_address_t contract = world_contract();
        rdg_word_t key = word_of(0);
        host_slot(&w->host, &contract, &key)->value = word_of(cases[i].original);
        CHECK_EQ(world_run(w, cases[i].code), RDG_EVM_SUCCESS);
        if (world_gas_used(w, WORLD_GAS) != cases[i].gas || w->result.gas_refund != cases[i].refund)
            rdg_test_fail(__FILE__, __LINE__, "%s from %llu: gas %llu refund %lld, want %llu %lld",
                          cases[i].code, (unsigned long long)cases[i].original,
                          (unsigned long long)world_gas_used(w, WORLD_GAS), (long long)w->result.gas_refund,
                          (unsigned long long)cases[i].gas, (long long)cases[i].refund);
        world_free(w);
    }
}

TEST(storing_needs_more_than_the_stipend) {
    CHECK_EQ(status_of("PUSH0 PUSH0 SSTORE", 4 + 2300), RDG_EVM_OUT_OF_GAS);
    CHECK_EQ(status_of("PUSH0 PUSH0 SSTORE", 4 + 2301), RDG_EVM_SUCCESS);
}

TEST(bad_code_ends_with_its_own_status_and_no_gas) {
    CHECK_EQ(status_of("ADD", 100), RDG_EVM_STACK_UNDERFLOW);
    CHECK_EQ(status_of("PUSH1 1 SWAP1", 100), RDG_EVM_STACK_UNDERFLOW);
    CHECK_EQ(status_of("DUP16", 100), RDG_EVM_STACK_UNDERFLOW);
    CHECK_EQ(status_of("0xfe", 100), RDG_EVM_INVALID_OPCODE);
    CHECK_EQ(status_of("0x0c", 100), RDG_EVM_INVALID_OPCODE);
    CHECK_EQ(status_of("PUSH1 0 JUMP", 100), RDG_EVM_BAD_JUMP);
    CHECK_EQ(status_of("PUSH1 4 JUMP PUSH1 0x5b", 100), RDG_EVM_BAD_JUMP); /* data of a PUSH */
    CHECK_EQ(status_of("PUSH9 0x10000000000000000a JUMP JUMPDEST", 100), RDG_EVM_BAD_JUMP);
    CHECK_EQ(status_of("PUSH2 0xffff JUMP", 100), RDG_EVM_BAD_JUMP);
    CHECK_EQ(status_of("PUSH1 1 PUSH1 1 ADD", 8), RDG_EVM_OUT_OF_GAS);
    CHECK_EQ(status_of("PUSH1 1 PUSH1 1 ADD", 9), RDG_EVM_SUCCESS);
    CHECK_EQ(status_of("PUSH1 1 PUSH0 PUSH0 RETURNDATACOPY", 1000), RDG_EVM_RETURN_DATA_BOUNDS);
    CHECK_EQ(status_of("PUSH0 PUSH0 REVERT", 1000), RDG_EVM_REVERT);
    CHECK_EQ(status_of("0x7f", 100), RDG_EVM_SUCCESS); /* PUSH32 at the very end reads zeros */
}

TEST(the_stack_holds_1024_words) {
    world_t *w = world_new();
    rdg_buf_t code;
    rdg_buf_init(&code, 4096);
    rdg_address_t contract = world_contract();
    for (int i = 0; i < 1024; ++i) rdg_buf_u8(&code, 0x5f);
    host_set_code(&w->host, &contract, code.data, code.len);
    CHECK_EQ(world_call(w, world_sender(), contract, rdg_bytes(NULL, 0), WORLD_GAS), RDG_EVM_SUCCESS);
    rdg_buf_u8(&code, 0x5f);
    host_set_code(&w->host, &contract, code.data, code.len);
    CHECK_EQ(world_call(w, world_sender(), contract, rdg_bytes(NULL, 0), WORLD_GAS), RDG_EVM_STACK_OVERFLOW);
    rdg_buf_fini(&code);
    world_free(w);
}

TEST(an_endless_loop_ends_with_its_gas) {
    CHECK_EQ(status_of("JUMPDEST PUSH0 JUMP", 5000000), RDG_EVM_OUT_OF_GAS);
}

TEST(memory_bombs_run_out_of_gas_and_take_no_memory) {
    static const char *const bombs[] = {
        "PUSH0 PUSH32 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff MSTORE",
        "PUSH0 PUSH8 0xffffffffffffffff MSTORE",
        "PUSH0 PUSH8 0xffffffffffffffe1 MSTORE8",
        "PUSH8 0xffffffffffffffff PUSH1 32 KECCAK256",
        "PUSH5 0xffffffffff PUSH0 PUSH0 CODECOPY",
        "PUSH9 0x010000000000000000 PUSH0 PUSH0 CALLDATACOPY",
        "PUSH8 0xffffffffffffffff PUSH0 PUSH8 0xffffffffffffffff MCOPY",
        "PUSH1 32 PUSH8 0xffffffffffffffff RETURN",
        "PUSH4 0xffffffff PUSH0 PUSH0 CREATE",
        "PUSH8 0xffffffffffffffff PUSH0 PUSH0 PUSH0 PUSH0 ADDRESS GAS CALL",
        "PUSH0 PUSH4 0x04000001 MSTORE8", /* beyond RDG_EVM_MEMORY_MAX, whatever the gas */
        "PUSH4 0xfffffff0 PUSH0 LOG0",
    };
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; ++i)
        CHECK_EQ(status_of(bombs[i], UINT64_MAX), RDG_EVM_OUT_OF_GAS);
}

TEST(a_length_of_zero_needs_no_memory_at_any_offset) {
    CHECK_EQ(status_of("PUSH0 PUSH0 NOT KECCAK256 PUSH0 PUSH0 NOT LOG0 PUSH0 PUSH0 NOT RETURN", 10000),
             RDG_EVM_SUCCESS);
    CHECK_EQ(status_of("PUSH0 PUSH0 NOT PUSH0 NOT MCOPY PUSH0 PUSH0 NOT PUSH0 NOT CALLDATACOPY", 10000),
             RDG_EVM_SUCCESS);
}

TEST(shanghai_knows_no_cancun_opcode) {
    static const char *const later[] = {"PUSH0 TLOAD", "PUSH0 PUSH0 TSTORE", "PUSH0 PUSH0 PUSH0 MCOPY",
                                        "PUSH0 BLOBHASH", "BLOBBASEFEE"};
    world_t *w = world_new();
    for (size_t i = 0; i < sizeof later / sizeof *later; ++i) {
        w->context.revision = RDG_EVM_SHANGHAI;
        CHECK_EQ(world_run(w, later[i]), RDG_EVM_INVALID_OPCODE);
        w->context.revision = RDG_EVM_CANCUN;
        CHECK_EQ(world_run(w, later[i]), RDG_EVM_SUCCESS);
    }
    world_free(w);
}

TEST(keccak_of_a_word_is_keccak) {
    world_t *w = world_new();
    uint8_t word[32] = {0}, want[32];
    word[31] = 42;
    rdg_keccak256(word, sizeof word, want);
    CHECK_EQ(world_run(w, "PUSH1 42 PUSH0 MSTORE PUSH1 32 PUSH0 KECCAK256" RETURN_TOP), RDG_EVM_SUCCESS);
    CHECK_MEM(w->result.output.data, want, 32);
    world_free(w);
}

TEST(copies_read_zeros_beyond_the_source) {
    world_t *w = world_new();
    const uint8_t input[3] = {1, 2, 3};
    static const uint8_t want[32] = {2, 3};
    world_set_code(w, world_contract(),
                   "PUSH0 NOT PUSH0 MSTORE PUSH1 32 PUSH1 1 PUSH0 CALLDATACOPY PUSH1 32 PUSH0 RETURN");
    CHECK_EQ(world_call(w, world_sender(), world_contract(), rdg_bytes(input, 3), WORLD_GAS),
             RDG_EVM_SUCCESS);
    CHECK_MEM(w->result.output.data, want, 32);
    world_free(w);
}

TEST(logs_carry_topics_and_data_in_order) {
    world_t *w = world_new();
    CHECK_EQ(world_run(w, "PUSH1 0xab PUSH0 MSTORE8 PUSH1 2 PUSH1 1 PUSH1 1 PUSH0 LOG2"), RDG_EVM_SUCCESS);
    CHECK_EQ(w->host.log_count, 1);
    const rdg_evm_log_t *log = &w->host.logs[0];
    rdg_address_t contract = world_contract();
    CHECK(rdg_address_equal(&log->address, &contract));
    CHECK_EQ(log->topic_count, 2);
    CHECK_EQ(word_u64(&log->topics[0]), 1);
    CHECK_EQ(word_u64(&log->topics[1]), 2);
    CHECK(log->data.len == 1 && log->data.data[0] == 0xab);
    world_free(w);
}
