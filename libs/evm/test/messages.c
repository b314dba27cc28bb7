/* Calls, creates, and what is left of them when they fail. */
#include "world.h"

#define RETURN_TOP " PUSH0 MSTORE PUSH1 32 PUSH0 RETURN"
#define CALLEE "PUSH2 0xCA11 "
/* CALL of the callee with all gas, no value, no input, no output. */
#define CALL_IT "PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 " CALLEE "GAS CALL "
#define STATIC_CALL_IT "PUSH0 PUSH0 PUSH0 PUSH0 " CALLEE "GAS STATICCALL "
#define DELEGATE_TO_IT "PUSH0 PUSH0 PUSH0 PUSH0 " CALLEE "GAS DELEGATECALL "
#define CALLCODE_IT "PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 " CALLEE "GAS CALLCODE "
/* Returns the first word of the last call's return data. */
#define RETURN_DATA "PUSH1 32 PUSH0 PUSH0 RETURNDATACOPY PUSH1 32 PUSH0 RETURN"

static rdg_address_t callee(void) {
    return address_of(0xCA11);
}

static world_t *world_with_callee(const char *code) {
    world_t *w = world_new();
    world_set_code(w, callee(), code);
    return w;
}

static uint64_t stored(world_t *w, rdg_address_t a, uint64_t key) {
    rdg_word_t k = word_of(key);
    return word_u64(&host_slot(&w->host, &a, &k)->value);
}

static uint64_t balance_of(world_t *w, rdg_address_t a) {
    return word_u64(&host_account(&w->host, &a)->balance);
}

TEST(each_call_kind_has_its_own_caller_and_storage) {
    world_t *w = world_with_callee("CALLER PUSH1 1 SSTORE ADDRESS PUSH1 2 SSTORE");
    rdg_address_t self = world_contract();
    CHECK_EQ(world_run(w, CALL_IT RETURN_TOP), RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 1);
    CHECK_EQ(stored(w, callee(), 1), 0xC0DE);
    CHECK_EQ(stored(w, callee(), 2), 0xCA11);
    CHECK_EQ(stored(w, self, 1), 0);
    CHECK_EQ(world_run(w, DELEGATE_TO_IT RETURN_TOP), RDG_EVM_SUCCESS);
    CHECK_EQ(stored(w, self, 1), 0xA11CE);
    CHECK_EQ(stored(w, self, 2), 0xC0DE);
    CHECK_EQ(world_run(w, CALLCODE_IT RETURN_TOP), RDG_EVM_SUCCESS);
    CHECK_EQ(stored(w, self, 1), 0xC0DE);
    CHECK_EQ(stored(w, self, 2), 0xC0DE);
    world_free(w);
}

TEST(delegated_code_sees_the_value_of_its_caller) {
    world_t *w = world_with_callee("CALLVALUE" RETURN_TOP);
    rdg_evm_message_t msg = {.kind = RDG_EVM_CALL,
                             .sender = world_sender(),
                             .recipient = world_contract(),
                             .code_address = world_contract(),
                             .gas = WORLD_GAS,
                             .value = word_of(77)};
    world_set_code(w, world_contract(), DELEGATE_TO_IT RETURN_DATA);
    host_begin_tx(&w->host);
    CHECK_OK(rdg_evm_execute(w->vm, &w->host.vtable, &w->host, &w->context, &msg, &w->result));
    CHECK_EQ(world_output_u64(w), 77);
    CHECK_EQ(balance_of(w, world_contract()), 77);
    world_free(w);
}

TEST(a_static_call_may_change_nothing) {
    static const char *const changes[] = {
        "PUSH1 1 PUSH1 1 SSTORE",
        "PUSH1 1 PUSH1 1 TSTORE",
        "PUSH0 PUSH0 LOG0",
        "PUSH0 PUSH0 PUSH0 CREATE",
        "PUSH0 PUSH0 PUSH0 PUSH0 CREATE2",
        "PUSH0 SELFDESTRUCT",
        "PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 1 PUSH1 5 GAS CALL",
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; ++i) {
        world_t *w = world_with_callee(changes[i]);
        CHECK_EQ(world_run(w, STATIC_CALL_IT RETURN_TOP), RDG_EVM_SUCCESS);
        CHECK_EQ(world_output_u64(w), 0);
        /* The ban is inherited through a further, ordinary call. */
        rdg_address_t middle = address_of(0x1111);
        world_set_code(w, middle, CALL_IT RETURN_TOP);
        CHECK_EQ(
            world_run(w, "PUSH1 32 PUSH0 PUSH0 PUSH0 PUSH2 0x1111 GAS STATICCALL PUSH0 MLOAD" RETURN_TOP),
            RDG_EVM_SUCCESS);
        CHECK_EQ(world_output_u64(w), 0);
        world_free(w);
    }
}

TEST(a_revert_undoes_the_callee_and_hands_its_data_up) {
    world_t *w = world_with_callee(
        "PUSH1 7 PUSH1 1 SSTORE PUSH0 PUSH0 LOG0 PUSH1 42 PUSH0 MSTORE PUSH1 32 PUSH0 REVERT");
    CHECK_EQ(world_run(w, "PUSH1 9 PUSH1 1 SSTORE " CALL_IT "PUSH1 2 SSTORE " RETURN_DATA), RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 42);
    CHECK_EQ(stored(w, callee(), 1), 0);
    CHECK_EQ(stored(w, world_contract(), 1), 9);
    CHECK_EQ(w->host.log_count, 0);
    /* The slot was warmed in the frame that was undone: it is cold again. */
    rdg_word_t key = word_of(1);
    rdg_address_t a = callee();
    CHECK(!host_slot(&w->host, &a, &key)->warm);
    world_free(w);
}

TEST(a_revert_drops_the_refund_of_its_frame) {
    world_t *w = world_with_callee("PUSH0 PUSH1 1 SSTORE PUSH0 PUSH0 REVERT");
    rdg_address_t a = callee(), self = world_contract();
    rdg_word_t key = word_of(1);
    host_slot(&w->host, &a, &key)->value = word_of(5);
    host_slot(&w->host, &self, &key)->value = word_of(5);
    CHECK_EQ(world_run(w, CALL_IT), RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.gas_refund, 0);
    CHECK_EQ(world_run(w, "PUSH0 PUSH1 1 SSTORE " CALL_IT), RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.gas_refund, 4800);
    world_free(w);
}

TEST(failure_at_the_top_undoes_everything) {
    world_t *w = world_with_callee("PUSH1 7 PUSH1 1 SSTORE");
    CHECK_EQ(world_run(w, CALL_IT "PUSH1 1 PUSH1 1 SSTORE 0xfe"), RDG_EVM_INVALID_OPCODE);
    CHECK_EQ(stored(w, callee(), 1), 0);
    CHECK_EQ(stored(w, world_contract(), 1), 0);
    CHECK_EQ(w->result.gas_left, 0);
    CHECK_EQ(w->result.output.len, 0);
    world_free(w);
}

TEST(a_callee_gets_all_but_a_64th_and_its_failure_takes_that) {
    world_t *w = world_with_callee("0xfe");
    CHECK_EQ(world_run_gas(w, CALL_IT, 64 * 1000 + 15 + 2600), RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.gas_left, 1000);
    world_free(w);
}

TEST(a_call_with_value_pays_and_gives_the_stipend) {
    world_t *w = world_with_callee("GAS" RETURN_TOP);
    rdg_address_t self = world_contract();
    host_set_balance(&w->host, &self, 100);
    host_set_balance(&w->host, &(rdg_address_t){{0}}, 0);
    /* No gas asked for: the callee runs on the stipend. */
    CHECK_EQ(
        world_run(w, "PUSH1 32 PUSH0 PUSH0 PUSH0 PUSH1 30 " CALLEE "PUSH0 CALL POP PUSH0 MLOAD" RETURN_TOP),
        RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 2300 - 2);
    CHECK_EQ(balance_of(w, self), 70);
    CHECK_EQ(balance_of(w, callee()), 30);
    /* To an account that is not there: 25,000 more. */
    CHECK_EQ(world_run(w, "PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 30 PUSH1 0x77 PUSH0 CALL"), RDG_EVM_SUCCESS);
    CHECK_EQ(world_gas_used(w, WORLD_GAS), 5 * 2 + 2 * 3 + 2600 + 9000 + 25000 - 2300);
    world_free(w);
}

TEST(a_call_that_cannot_pay_fails_and_keeps_the_gas) {
    world_t *w = world_with_callee("STOP");
    CHECK_EQ(world_run(w, "PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 1 " CALLEE "GAS CALL" RETURN_TOP), RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 0);
    CHECK(w->result.gas_left > WORLD_GAS - 20000);
    world_free(w);
}

TEST(frames_nest_1024_deep_without_c_stack) {
    world_t *w = world_new();
    /* Counts its runs in slot 0, then calls itself with all gas. */
    const char *code = "PUSH0 SLOAD PUSH1 1 ADD PUSH0 SSTORE "
                       "PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 ADDRESS GAS CALL" RETURN_TOP;
    const uint64_t plenty = UINT64_C(1) << 62;
    CHECK_EQ(world_run_gas(w, code, plenty), RDG_EVM_SUCCESS);
    CHECK_EQ(stored(w, world_contract(), 0), 1025);
    CHECK_EQ(world_output_u64(w), 1);
    world_free(w);
}

TEST(deep_frames_with_full_stacks_and_memories_stay_apart) {
    world_t *w = world_new();
    /* Each frame writes its depth (from call data) into its stack and memory, calls itself with depth + 1
     * while the depth is below 100, and then checks that both are as it left them. */
    const char *code =
        "PUSH0 CALLDATALOAD DUP1 PUSH2 0x1000 MSTORE "          /* depth */
        "PUSH1 100 DUP2 LT PUSH1 17 JUMPI "                     /* below 100: recurse */
        "PUSH1 35 JUMP JUMPDEST "                               /* at 17 */
        "DUP1 PUSH1 1 ADD PUSH0 MSTORE "                        /* 18.. */
        "PUSH1 32 PUSH0 PUSH1 32 PUSH0 PUSH0 ADDRESS GAS CALL " /* output = word of the callee */
        "POP JUMPDEST PUSH2 0x1000 MLOAD EQ "
        "PUSH0 MLOAD " /* callee's verdict, or 0 at the bottom */
        "ADD" RETURN_TOP;
    CHECK_EQ(world_run(w, code), RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 101);
    world_free(w);
}

/* Init code that returns a runtime of one byte, `op`. */
#define INIT_OF(op) "PUSH1 " op " PUSH0 MSTORE8 PUSH1 1 PUSH0 RETURN"

static rdg_evm_status_t create(world_t *w, const char *init) {
    rdg_buf_t code;
    rdg_buf_init(&code, 65536);
    assemble(init, &code);
    rdg_evm_status_t s = world_create(w, world_sender(), 9, rdg_buf_view(&code), WORLD_GAS);
    rdg_buf_fini(&code);
    return s;
}

TEST(a_create_stores_the_code_and_charges_for_it) {
    world_t *w = world_new();
    CHECK_EQ(create(w, INIT_OF("0x00")), RDG_EVM_SUCCESS);
    host_account_t *made = host_account(&w->host, &w->result.created);
    CHECK(made->nonce == 1 && made->code.len == 1 && made->code.data[0] == 0);
    CHECK_EQ(world_gas_used(w, WORLD_GAS), 3 + 2 + 6 + 3 + 2 + 200);
    /* The same nonce again meets the contract. */
    CHECK_EQ(create(w, INIT_OF("0x00")), RDG_EVM_CREATE_COLLISION);
    CHECK_EQ(w->result.gas_left, 0);
    world_free(w);
}

TEST(a_create_refuses_forbidden_code) {
    world_t *w = world_new();
    CHECK_EQ(create(w, INIT_OF("0xef")), RDG_EVM_CODE_INVALID);
    CHECK_EQ(create(w, "PUSH2 24577 PUSH0 RETURN"), RDG_EVM_CODE_TOO_LARGE);
    CHECK_EQ(host_account(&w->host, &w->result.created)->nonce, 0);
    CHECK_EQ(create(w, "PUSH1 42 PUSH0 MSTORE PUSH1 32 PUSH0 REVERT"), RDG_EVM_REVERT);
    CHECK_EQ(world_output_u64(w), 42);
    CHECK_EQ(create(w, "PUSH2 24576 PUSH0 RETURN"), RDG_EVM_SUCCESS);
    world_free(w);
}

TEST(create_addresses_are_ethereums) {
    rdg_address_t sender, got;
    static const uint8_t from[20] = {0x6a, 0xc7, 0xea, 0x33, 0xf8, 0x83, 0x1e, 0xa9, 0xdc, 0xc5,
                                     0x33, 0x93, 0xaa, 0xa8, 0x8b, 0x25, 0xa7, 0x85, 0xdb, 0xf0};
    static const uint8_t at_0[20] = {0xcd, 0x23, 0x4a, 0x47, 0x1b, 0x72, 0xba, 0x2f, 0x1c, 0xcf,
                                     0x0a, 0x70, 0xfc, 0xab, 0xa6, 0x48, 0xa5, 0xee, 0xcd, 0x8d};
    static const uint8_t at_1[20] = {0x34, 0x3c, 0x43, 0xa3, 0x7d, 0x37, 0xdf, 0xf0, 0x8a, 0xe8,
                                     0xc4, 0xa1, 0x15, 0x44, 0xc7, 0x18, 0xab, 0xb4, 0xfc, 0xf8};
    memcpy(sender.b, from, 20);
    rdg_evm_create_address(&sender, 0, &got);
    CHECK_MEM(got.b, at_0, 20);
    rdg_evm_create_address(&sender, 1, &got);
    CHECK_MEM(got.b, at_1, 20);
    /* EIP-1014, examples 1 and 3. */
    static const uint8_t example_1[20] = {0x4d, 0x1a, 0x2e, 0x2b, 0xb4, 0xf8, 0x8f, 0x02, 0x50, 0xf2,
                                          0x6f, 0xff, 0xf0, 0x98, 0xb0, 0xb3, 0x0b, 0x26, 0xbf, 0x38};
    static const uint8_t beef[4] = {0xde, 0xad, 0xbe, 0xef};
    static const uint8_t example_5[20] = {0x60, 0xf3, 0xf6, 0x40, 0xa8, 0x50, 0x8f, 0xc6, 0xa8, 0x6d,
                                          0x45, 0xdf, 0x05, 0x19, 0x62, 0x66, 0x8e, 0x1e, 0x8a, 0xc7};
    static const uint8_t dead[20] = {[16] = 0xde, 0xad, 0xbe, 0xef};
    rdg_word_t salt = word_of(0);
    uint8_t zero = 0;
    memset(sender.b, 0, 20);
    rdg_evm_create2_address(&sender, &salt, rdg_bytes(&zero, 1), &got);
    CHECK_MEM(got.b, example_1, 20);
    memcpy(sender.b, dead, 20);
    salt = word_of(0xcafebabe);
    rdg_evm_create2_address(&sender, &salt, rdg_bytes(beef, 4), &got);
    CHECK_MEM(got.b, example_5, 20);
}

TEST(a_contract_that_creates_counts_its_nonce_even_when_the_child_fails) {
    world_t *w = world_new();
    rdg_address_t self = world_contract();
    host_account(&w->host, &self)->nonce = 1;
    /* Init code fe (invalid): MSTORE8 0xfe at 0, CREATE of 1 byte. */
    CHECK_EQ(world_run(w, "PUSH1 0xfe PUSH0 MSTORE8 PUSH1 1 PUSH0 PUSH0 CREATE" RETURN_TOP), RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 0);
    CHECK_EQ(host_account(&w->host, &self)->nonce, 2);
    /* Empty init code makes an account without code, at the address that the nonce says. */
    CHECK_EQ(world_run(w, "PUSH0 PUSH0 PUSH0 CREATE" RETURN_TOP), RDG_EVM_SUCCESS);
    rdg_address_t want;
    rdg_evm_create_address(&self, 2, &want);
    CHECK_MEM(w->result.output.data + 12, want.b, 20);
    CHECK_EQ(host_account(&w->host, &want)->nonce, 1);
    host_account(&w->host, &self)->nonce = UINT64_MAX;
    CHECK_EQ(world_run(w, "PUSH0 PUSH0 PUSH0 CREATE" RETURN_TOP), RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 0);
    world_free(w);
}

TEST(init_code_may_call_and_create) {
    world_t *w = world_with_callee("PUSH1 0xfe" RETURN_TOP);
    /* The callee's word becomes the new contract's code. */
    CHECK_EQ(create(w, "PUSH1 32 PUSH0 PUSH0 PUSH0 PUSH0 " CALLEE "GAS CALL PUSH1 32 PUSH0 RETURN"),
             RDG_EVM_SUCCESS);
    host_account_t *made = host_account(&w->host, &w->result.created);
    CHECK(made->code.len == 32 && made->code.data[31] == 0xfe);
    world_free(w);
}

TEST(selfdestruct_moves_the_balance_and_ends_the_frame) {
    world_t *w = world_new();
    rdg_address_t self = world_contract();
    host_set_balance(&w->host, &self, 55);
    CHECK_EQ(world_run(w, "PUSH1 0x77 SELFDESTRUCT PUSH1 1 PUSH1 1 SSTORE"), RDG_EVM_SUCCESS);
    CHECK_EQ(balance_of(w, self), 0);
    CHECK_EQ(balance_of(w, address_of(0x77)), 55);
    CHECK_EQ(stored(w, self, 1), 0);
    CHECK_EQ(world_gas_used(w, WORLD_GAS), 3 + 5000 + 2600 + 25000);
    CHECK(!host_account(&w->host, &self)->destroyed); /* EIP-6780: not made in this transaction */
    world_free(w);
}

TEST(a_refused_contract_cannot_be_called) {
    world_t *w = world_with_callee("PUSH1 1 PUSH1 1 SSTORE");
    w->host.refused = callee();
    CHECK_EQ(world_call(w, world_sender(), callee(), rdg_bytes(NULL, 0), WORLD_GAS), RDG_EVM_REFUSED);
    CHECK_EQ(w->result.gas_left, WORLD_GAS);
    CHECK_EQ(world_run(w, DELEGATE_TO_IT RETURN_TOP), RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 0);
    w->host.refusal = rdg_bytes("no", 2);
    CHECK_EQ(world_call(w, world_sender(), callee(), rdg_bytes(NULL, 0), WORLD_GAS), RDG_EVM_REVERT);
    CHECK_EQ(w->result.gas_left, WORLD_GAS);
    CHECK_EQ(w->result.output.len, 2);
    CHECK_MEM(w->result.output.data, "no", 2);
    world_free(w);
}

TEST(trouble_of_the_host_stops_the_whole_execution) {
    world_t *w = world_with_callee("PUSH0 SLOAD");
    world_set_code(w, world_contract(), CALL_IT);
    w->host.fail_with = RDG_E_CORRUPT;
    rdg_evm_message_t msg = {.kind = RDG_EVM_CALL,
                             .sender = world_sender(),
                             .recipient = world_contract(),
                             .code_address = world_contract(),
                             .gas = WORLD_GAS};
    host_begin_tx(&w->host);
    CHECK_ERR(rdg_evm_execute(w->vm, &w->host.vtable, &w->host, &w->context, &msg, &w->result),
              RDG_E_CORRUPT);
    CHECK_EQ(w->result.status, RDG_EVM_HOST_ERROR);
    /* The machine is fit for the next one. */
    w->host.fail_with = RDG_OK;
    CHECK_EQ(world_run(w, CALL_IT RETURN_TOP), RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 1);
    world_free(w);
}

static rdg_err_t system_contract(void *ctx, const rdg_evm_message_t *msg, uint64_t *gas, rdg_buf_t *out,
                                 bool *found, bool *ok) {
    (void)ctx;
    rdg_address_t at = address_of(0x9999);
    *found = rdg_address_equal(&msg->code_address, &at);
    if (!*found) return RDG_OK;
    *gas -= 10;
    *ok = msg->input.len == 0;
    if (msg->input.len < 2) rdg_buf_append(out, "hello", 5); /* else fails without a word */
    return RDG_OK;
}

TEST(a_system_contract_answers_reverts_or_fails) {
    world_t *w = world_new();
    w->host.vtable.precompile = system_contract;
    rdg_address_t at = address_of(0x9999);
    const uint8_t input[2] = {0};
    CHECK_EQ(world_call(w, world_sender(), at, rdg_bytes(input, 0), 100), RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.gas_left, 90);
    CHECK_MEM(w->result.output.data, "hello", 5);
    CHECK_EQ(world_call(w, world_sender(), at, rdg_bytes(input, 1), 100), RDG_EVM_REVERT);
    CHECK_EQ(w->result.gas_left, 90);
    CHECK_EQ(w->result.output.len, 5);
    CHECK_EQ(world_call(w, world_sender(), at, rdg_bytes(input, 2), 100), RDG_EVM_PRECOMPILE_FAILED);
    CHECK_EQ(w->result.gas_left, 0);
    CHECK_EQ(w->result.output.len, 0);
    world_free(w);
}

TEST(every_failed_allocation_is_reported_and_leaks_nothing) {
    world_t *w = world_with_callee("PUSH1 1 PUSH3 0x010000 MSTORE PUSH1 32 PUSH0 RETURN");
    world_set_code(w, world_contract(), CALL_IT "PUSH0 PUSH0 PUSH0 CREATE" RETURN_TOP);
    CHECK_EQ(world_call(w, world_sender(), world_contract(), rdg_bytes(NULL, 0), WORLD_GAS), RDG_EVM_SUCCESS);
    rdg_address_t made;
    rdg_address_t self = world_contract();
    rdg_evm_create_address(&self, 0, &made);
    rdg_evm_message_t msg = {.kind = RDG_EVM_CALL,
                             .sender = world_sender(),
                             .recipient = self,
                             .code_address = self,
                             .gas = WORLD_GAS};
    /* The host of the tests keeps its accounts and journal from the run above, so that only the machine
     * allocates here. */
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        host_account(&w->host, &self)->nonce = 0;
        host_account(&w->host, &made)->nonce = 0;
        host_begin_tx(&w->host);
        rdg_evm_t *vm = rdg_evm_new();
        err = vm ? rdg_evm_execute(vm, &w->host.vtable, &w->host, &w->context, &msg, &w->result)
                 : RDG_E_NO_MEMORY;
        rdg_evm_free(vm);
    }
    world_free(w);
}

TEST(intrinsic_gas_counts_data_and_init_code) {
    const uint8_t data[5] = {0, 1, 0, 2, 3};
    CHECK_EQ(rdg_evm_intrinsic_gas(false, rdg_bytes(data, 0)), 21000);
    CHECK_EQ(rdg_evm_intrinsic_gas(false, rdg_bytes(data, 5)), 21000 + 2 * 4 + 3 * 16);
    CHECK_EQ(rdg_evm_intrinsic_gas(true, rdg_bytes(data, 5)), 53000 + 2 * 4 + 3 * 16 + 2);
}
