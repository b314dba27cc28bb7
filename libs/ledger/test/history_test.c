/* Calls on states that are kept, under a limit of time, and transactions executed again. */
#include <string.h>
#include "support.h"

/* Stores the first word of its input in slot 0; without input, returns it. */
static const uint8_t CODE[] = {
    0x60, 0x17, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3, /* deploys: */
    0x36, 0x60, 0x0f, 0x57, 0x60, 0x00, 0x54, 0x60, 0x00, 0x52, 0x60, 0x20,
    0x60, 0x00, 0xf3, 0x5b, 0x60, 0x00, 0x35, 0x60, 0x00, 0x55, 0x00};

static rdg_address_t deploy(rdg_ledger_t *l) {
    rdg_address_t from = support_address(9), contract;
    rdg_tx_t *tx = support_tx(
        (tx_spec_t){.create = true, .nonce = 5, .gas = 1000000, .data = rdg_bytes(CODE, sizeof CODE)});
    CHECK_OK(support_apply(l, &tx, 1, NULL));
    rdg_evm_create_address(&from, 5, &contract);
    return contract;
}

static void store(rdg_ledger_t *l, const rdg_address_t *c, uint8_t value) {
    rdg_word_t word = {{0}};
    word.b[31] = value;
    rdg_tx_t *tx =
        support_tx((tx_spec_t){.nonce = 100u + value, .to = c, .data = rdg_bytes(word.b, sizeof word.b)});
    CHECK_OK(support_apply(l, &tx, 1, NULL));
}

static uint8_t read_at(rdg_ledger_t *l, const rdg_address_t *c, uint64_t height) {
    rdg_buf_t out;
    rdg_call_result_t r;
    rdg_word_t key = {{0}}, value;
    rdg_call_t call = {.to = c, .at_height = true, .height = height};
    rdg_buf_init(&out, 1024);
    CHECK_OK(rdg_ledger_call(l, &call, &out, &r));
    CHECK_EQ(r.status, RDG_EVM_SUCCESS);
    CHECK_EQ(out.len, 32);
    CHECK_OK(rdg_ledger_storage_at(l, height, c, &key, &value));
    CHECK_MEM(value.b, out.data, 32);
    uint8_t last = out.data[31];
    rdg_buf_fini(&out);
    return last;
}

TEST(history_of_the_last_blocks_is_read_and_older_state_is_refused) {
    rdg_genesis_t g;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("history", &g);
    rdg_address_t c = deploy(l);
    for (uint8_t i = 1; i <= 200; ++i) store(l, &c, i); /* block 1 + i */
    for (uint64_t h = 201; h > 201 - RDG_LEDGER_STATES_KEPT; --h) CHECK_EQ(read_at(l, &c, h), h - 1);
    rdg_buf_t out;
    rdg_call_result_t r;
    rdg_call_t call = {.to = &c, .at_height = true, .height = 201 - RDG_LEDGER_STATES_KEPT};
    rdg_buf_init(&out, 1024);
    CHECK_ERR(rdg_ledger_call(l, &call, &out, &r), RDG_E_UNSUPPORTED);
    CHECK(strstr(rdg_err_message(RDG_E_UNSUPPORTED), "blocks 74 to 201"));
    CHECK_ERR(rdg_ledger_account_at(l, 202, &c, NULL, NULL, NULL), RDG_E_UNSUPPORTED);
    rdg_buf_fini(&out);
    rdg_ledger_close(l);
}

TEST(history_calls_that_never_stop_end_with_their_time) {
    static const uint8_t loop[] = {0x5b, 0x60, 0x00, 0x56};
    rdg_genesis_t g;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("guard", &g);
    rdg_address_t a = support_address(3);
    rdg_account_override_t code = {.address = a, .has_code = true, .code = rdg_bytes(loop, sizeof loop)};
    rdg_call_t call = {.to = &a, .overrides = &code, .override_count = 1, .time_ms = 1};
    rdg_buf_t out;
    rdg_call_result_t r;
    rdg_buf_init(&out, 1024);
    CHECK_ERR(rdg_ledger_call(l, &call, &out, &r), RDG_E_TIMEOUT);
    CHECK(strstr(rdg_err_message(RDG_E_TIMEOUT), "longer than the limit of 1 ms"));
    call.time_ms = 60000; /* then its gas ends it */
    CHECK_OK(rdg_ledger_call(l, &call, &out, &r));
    CHECK_EQ(r.status, RDG_EVM_OUT_OF_GAS);
    rdg_buf_fini(&out);
    rdg_ledger_close(l);
}

static rdg_err_t on_step(void *ctx, const rdg_evm_step_t *step) {
    (void)step;
    ++*(size_t *)ctx;
    return RDG_OK;
}

TEST(history_transactions_are_executed_again_as_they_were) {
    rdg_genesis_t g;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("trace", &g);
    rdg_address_t c = deploy(l);
    rdg_word_t one = {{0}}, two = {{0}};
    one.b[31] = 1, two.b[31] = 2;
    /* The second finds what the first has set in the same block: that costs less. */
    rdg_tx_t *txs[2] = {support_tx((tx_spec_t){.nonce = 1, .to = &c, .data = rdg_bytes(one.b, 32)}),
                        support_tx((tx_spec_t){.nonce = 2, .to = &c, .data = rdg_bytes(two.b, 32)})};
    CHECK_OK(support_apply(l, txs, 2, NULL));
    store(l, &c, 9);
    size_t steps = 0;
    rdg_evm_watch_t watch = {.step = on_step, .ctx = &steps};
    rdg_call_result_t first, second;
    rdg_buf_t out;
    rdg_buf_init(&out, 1024);
    CHECK_OK(rdg_ledger_trace(l, 2, 0, &watch, 10000, &out, &first));
    CHECK_EQ(steps, 9);
    CHECK_OK(rdg_ledger_trace(l, 2, 1, &watch, 10000, &out, &second));
    CHECK_EQ(steps, 18);
    CHECK_EQ(first.gas_used - second.gas_used, 17100);
    CHECK_ERR(rdg_ledger_trace(l, 2, 2, &watch, 10000, &out, &second), RDG_E_NOT_FOUND);
    rdg_buf_fini(&out);
    rdg_ledger_close(l);
}
