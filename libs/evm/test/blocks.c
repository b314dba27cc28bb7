/* What checking gas and stack once a block must not change. */
#include "analysis.h"
#include "world.h"

static rdg_evm_status_t status_of(world_t *w, const char *assembly, uint64_t gas) {
    return world_run_gas(w, assembly, gas);
}

TEST(a_contract_sees_its_exact_gas) {
    world_t *w = world_new();
    /* 2 for GAS itself, also in the middle of a run of operations and before a JUMPDEST. */
    CHECK_EQ(status_of(w, "GAS PUSH0 MSTORE PUSH1 32 PUSH0 RETURN", 1000), RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 998);
    CHECK_EQ(world_gas_used(w, 1000), 2 + 2 + 6 + 3 + 2);
    CHECK_EQ(status_of(w, "PUSH1 1 POP GAS JUMPDEST GAS POP PUSH0 MSTORE PUSH1 32 PUSH0 RETURN", 1000),
             RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 1000 - 3 - 2 - 2);
    CHECK_EQ(world_gas_used(w, 1000), 3 + 2 + 2 + 1 + 2 + 2 + 2 + 6 + 3 + 2);
    world_free(w);
}

TEST(each_operation_of_a_block_can_be_the_one_that_gas_does_not_reach) {
    world_t *w = world_new();
    const char *code = "PUSH1 7 PUSH1 3 ADD JUMPDEST PUSH1 2 MUL PUSH1 13 JUMP STOP JUMPDEST POP";
    CHECK_EQ(status_of(w, code, 1000), RDG_EVM_SUCCESS);
    uint64_t used = world_gas_used(w, 1000);
    CHECK_EQ(used, 3 + 3 + 3 + 1 + 3 + 5 + 3 + 8 + 1 + 2);
    CHECK_EQ(status_of(w, code, used), RDG_EVM_SUCCESS);
    for (uint64_t gas = 0; gas < used; ++gas) CHECK_EQ(status_of(w, code, gas), RDG_EVM_OUT_OF_GAS);
    world_free(w);
}

TEST(jumps_lead_to_jumpdests_alone) {
    static const char *const bad[] = {
        "PUSH1 4 JUMP 0x605b",                      /* into the data of a PUSH */
        "PUSH1 200 JUMP",                           /* past the end */
        "PUSH2 0xffff JUMP JUMPDEST",               /* the last position there can be */
        "PUSH1 1 PUSH1 200 JUMPI",                  /* the same for jumps on a condition */
        "PUSH1 1 PUSH2 0x0004 JUMPI STOP",          /* an operation that is no JUMPDEST */
        "PUSH9 0x010000000000000004 JUMP JUMPDEST", /* right but for the upper bits */
        "PUSH1 1 PUSH9 0x010000000000000004 JUMPI JUMPDEST",
        "PUSH1 0 MLOAD PUSH1 1 ADD JUMP JUMPDEST", /* computed */
        "PUSH3 0x000004 JUMP 0x615b",
    };
    world_t *w = world_new();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i)
        CHECK_EQ(status_of(w, bad[i], 100000), RDG_EVM_BAD_JUMP);
    CHECK_EQ(status_of(w, "PUSH2 0x0004 JUMP JUMPDEST", 100000), RDG_EVM_SUCCESS);
    CHECK_EQ(status_of(w, "PUSH0 PUSH2 0xffff JUMPI", 100000), RDG_EVM_SUCCESS); /* not taken, then the end */
    CHECK_EQ(status_of(w, "PUSH1 1 PUSH1 5 JUMPI JUMPDEST", 100000), RDG_EVM_SUCCESS);
    world_free(w);
}

TEST(the_stack_of_a_block_is_that_of_its_operations) {
    world_t *w = world_new();
    CHECK_EQ(status_of(w, "PUSH0 JUMPDEST POP POP", 1000), RDG_EVM_STACK_UNDERFLOW);
    CHECK_EQ(status_of(w, "PUSH0 GAS SWAP2 STOP", 1000), RDG_EVM_STACK_UNDERFLOW);
    /* 1,023 words and one more fit; within one block a word too many is found as well. */
    rdg_buf_t code;
    rdg_buf_init(&code, 8192);
    rdg_address_t at = world_contract();
    for (int extra = 0; extra < 3; ++extra) {
        rdg_buf_clear(&code);
        for (int i = 0; i < 1022; ++i) rdg_buf_u8(&code, 0x5f);
        rdg_buf_u8(&code, 0x5b);
        for (int i = 0; i <= extra; ++i) rdg_buf_u8(&code, 0x5f);
        for (int i = 0; i <= extra; ++i) rdg_buf_u8(&code, 0x50);
        host_set_code(&w->host, &at, code.data, code.len);
        CHECK_EQ(world_call(w, world_sender(), at, rdg_bytes(NULL, 0), 100000),
                 extra < 2 ? RDG_EVM_SUCCESS : RDG_EVM_STACK_OVERFLOW);
    }
    rdg_buf_clear(&code); /* no height is right for a block that needs more than there can be */
    for (int i = 0; i < 1025; ++i) rdg_buf_u8(&code, 0x5f);
    host_set_code(&w->host, &at, code.data, code.len);
    CHECK_EQ(world_call(w, world_sender(), at, rdg_bytes(NULL, 0), 100000), RDG_EVM_STACK_OVERFLOW);
    rdg_buf_fini(&code);
    world_free(w);
}

TEST(code_of_any_length_is_run_or_refused) {
    world_t *w = world_new();
    rdg_address_t at = world_contract();
    uint8_t *code = rdg_alloc(EVM_CODE_LEN_MAX + 1);
    CHECK(code);
    memset(code, 0x5b, EVM_CODE_LEN_MAX + 1); /* as many blocks as bytes */
    host_set_code(&w->host, &at, code, EVM_CODE_LEN_MAX);
    CHECK_EQ(world_call(w, world_sender(), at, rdg_bytes(NULL, 0), 100000), RDG_EVM_SUCCESS);
    CHECK_EQ(world_gas_used(w, 100000), EVM_CODE_LEN_MAX);
    host_set_code(&w->host, &at, code, EVM_CODE_LEN_MAX + 1);
    CHECK_EQ(world_call(w, world_sender(), at, rdg_bytes(NULL, 0), 100000), RDG_EVM_CODE_TOO_LARGE);
    rdg_free(code);
    world_free(w);
}
