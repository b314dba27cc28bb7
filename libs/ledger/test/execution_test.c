/* Contracts in blocks: a hand-assembled one, and the metering contract as solc made it. */
#include <stdio.h>
#include <stdlib.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/codec/rlp.h"
#include "support.h"

/* Without call data: returns slot 0. With: stores its first word in slot 0 and logs it with topic 0x42. */
static const uint8_t REGISTER_CODE[] = {
    0x60, 0x22, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3,                         /* deploys: */
    0x36, 0x60, 0x0f, 0x57, 0x60, 0x00, 0x54, 0x60, 0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xf3, /* read */
    0x5b, 0x60, 0x00, 0x35, 0x80, 0x60, 0x00, 0x55, 0x60, 0x00, 0x52, 0x60, 0x42, 0x60, 0x20,
    0x60, 0x00, 0xa1, 0x00};

static rdg_bytes_t code_bytes(void) {
    return rdg_bytes(REGISTER_CODE, sizeof REGISTER_CODE);
}

typedef struct receipts {
    rdg_buf_t raw;
    rdg_arena_t arena;
    rdg_receipt_t at[8];
    uint32_t count;
} receipts_t;

static void receipts_load(receipts_t *r, rdg_ledger_t *l, uint64_t height) {
    rdg_rlp_t outer, list;
    memset(r, 0, sizeof *r);
    rdg_buf_init(&r->raw, 1 << 20);
    rdg_arena_init(&r->arena, 1 << 20);
    CHECK_OK(rdg_ledger_receipts(l, height, &r->raw));
    rdg_rlp_init(&outer, rdg_buf_view(&r->raw));
    CHECK_OK(rdg_rlp_list(&outer, &list));
    while (rdg_rlp_more(&list) && r->count < 8)
        CHECK_OK(rdg_receipt_decode(rdg_rlp_raw(&list), &r->arena, &r->at[r->count++]));
    CHECK_OK(rdg_rlp_done(&list));
}

static void receipts_free(receipts_t *r) {
    rdg_buf_fini(&r->raw);
    rdg_arena_fini(&r->arena);
}

static rdg_address_t deploy(rdg_ledger_t *l, rdg_bytes_t code, uint64_t nonce) {
    receipts_t r;
    rdg_ledger_head_t head;
    rdg_tx_t *txs[1] = {
        support_tx((tx_spec_t){.create = true, .nonce = nonce, .gas = 10000000, .data = code})};
    CHECK_OK(support_apply(l, txs, 1, NULL));
    rdg_ledger_head(l, &head);
    receipts_load(&r, l, head.height);
    CHECK(r.count == 1 && r.at[0].success && r.at[0].has_contract);
    rdg_address_t contract = r.at[0].contract, from = support_address(9), expected;
    rdg_evm_create_address(&from, nonce, &expected);
    CHECK(rdg_address_equal(&contract, &expected));
    receipts_free(&r);
    return contract;
}

static rdg_word_t word_of(uint64_t v) {
    rdg_word_t w = {{0}};
    rdg_store_be64(w.b + 24, v);
    return w;
}

static uint64_t call_u64(rdg_ledger_t *l, const rdg_address_t *to, rdg_bytes_t data, size_t word) {
    rdg_buf_t out;
    rdg_call_result_t result;
    rdg_call_t call = {.from = support_address(9), .to = to, .data = data};
    rdg_buf_init(&out, 1 << 20);
    CHECK_OK(rdg_ledger_call(l, &call, &out, &result));
    CHECK_EQ(result.status, RDG_EVM_SUCCESS);
    CHECK(out.len >= 32 * (word + 1));
    uint64_t v = rdg_load_be64(out.data + 32 * word + 24);
    rdg_buf_fini(&out);
    return v;
}

typedef struct hits {
    rdg_log_hit_t at[8];
    uint8_t last_byte[8];
    size_t count;
} hits_t;

static rdg_err_t on_hit(void *ctx, const rdg_log_hit_t *found) {
    hits_t *h = ctx;
    h->at[h->count] = *found;
    h->last_byte[h->count++] = found->log->data.len ? found->log->data.data[found->log->data.len - 1] : 0;
    return RDG_OK;
}

TEST(execution_contract_stores_logs_and_is_read_back) {
    rdg_genesis_t g;
    receipts_t r;
    hits_t hits = {.count = 0};
    support_genesis(&g);
    rdg_ledger_t *l = support_open("a", &g);
    rdg_address_t c = deploy(l, code_bytes(), 77);
    rdg_word_t seven = word_of(7), eight = word_of(8), zero = word_of(0), topic = word_of(0x42), value;
    rdg_tx_t *txs[4] = {
        support_tx((tx_spec_t){.nonce = 1, .to = &c, .data = rdg_bytes(seven.b, 32)}),
        support_tx((tx_spec_t){.nonce = 2, .to = &c, .gas = 22500, .data = rdg_bytes(zero.b, 32)}),
        support_tx((tx_spec_t){.nonce = 3, .to = &c, .data = rdg_bytes(eight.b, 32)}),
        support_tx((tx_spec_t){.nonce = 4})};
    rdg_hash_t third = txs[2]->id;
    CHECK_OK(support_apply(l, txs, 4, NULL));
    receipts_load(&r, l, 2);
    CHECK(r.at[0].success && r.at[0].log_count == 1 && r.at[0].logs[0].topics[0].b[31] == 0x42);
    CHECK(!r.at[1].success && r.at[1].log_count == 0 && r.at[1].gas_used == 22500); /* out of gas takes all */
    CHECK(r.at[2].success && r.at[2].gas_used < r.at[0].gas_used); /* the slot was set already */
    CHECK_EQ(r.at[3].gas_used, 21000);
    CHECK_EQ(r.at[3].cumulative_gas, r.at[0].gas_used + r.at[1].gas_used + r.at[2].gas_used + 21000);
    receipts_free(&r);
    CHECK_EQ(call_u64(l, &c, rdg_bytes(NULL, 0), 0), 8);
    CHECK_OK(rdg_ledger_storage(l, &c, &zero, &value));
    CHECK_EQ(value.b[31], 8);
    rdg_log_filter_t filter = {.from = 0, .to = 100, .addresses = &c, .address_count = 1};
    filter.topics[0].any = &topic;
    filter.topics[0].count = 1;
    CHECK_OK(rdg_ledger_logs(l, &filter, 10, on_hit, &hits));
    CHECK_EQ(hits.count, 2);
    CHECK_EQ(hits.last_byte[0], 7);
    CHECK_EQ(hits.last_byte[1], 8);
    CHECK(hits.at[1].height == 2 && hits.at[1].tx_index == 2 && hits.at[1].log_index == 1);
    CHECK(rdg_hash_equal(&hits.at[1].tx_id, &third));
    CHECK_ERR(rdg_ledger_logs(l, &filter, 1, on_hit, &hits), RDG_E_TOO_LARGE);
    hits.count = 0;
    filter.topics[0].any = &seven;
    CHECK_OK(rdg_ledger_logs(l, &filter, 10, on_hit, &hits));
    filter.topics[0].any = &topic;
    filter.to = 1;
    CHECK_OK(rdg_ledger_logs(l, &filter, 10, on_hit, &hits));
    rdg_address_t other = support_address(1);
    filter.to = 2;
    filter.addresses = &other;
    CHECK_OK(rdg_ledger_logs(l, &filter, 10, on_hit, &hits));
    CHECK_EQ(hits.count, 0);
    rdg_ledger_close(l);
}

TEST(execution_call_changes_nothing_and_costs_as_the_transaction) {
    rdg_genesis_t g;
    rdg_buf_t out;
    rdg_call_result_t result;
    receipts_t r;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("a", &g);
    rdg_address_t c = deploy(l, code_bytes(), 1);
    rdg_word_t nine = word_of(9);
    rdg_call_t call = {.from = support_address(9), .to = &c, .data = rdg_bytes(nine.b, 32)};
    rdg_ledger_head_t before, after;
    rdg_ledger_head(l, &before);
    rdg_buf_init(&out, 1024);
    CHECK_OK(rdg_ledger_call(l, &call, &out, &result));
    CHECK_EQ(result.status, RDG_EVM_SUCCESS);
    CHECK_EQ(call_u64(l, &c, rdg_bytes(NULL, 0), 0), 0);
    rdg_ledger_head(l, &after);
    CHECK_MEM(&before, &after, sizeof before);
    rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.nonce = 2, .to = &c, .data = rdg_bytes(nine.b, 32)})};
    CHECK_OK(support_apply(l, txs, 1, NULL));
    receipts_load(&r, l, 2);
    CHECK_EQ(r.at[0].gas_used, result.gas_used);
    receipts_free(&r);
    call.gas = 21000;
    CHECK_OK(rdg_ledger_call(l, &call, &out, &result));
    CHECK_EQ(result.status, RDG_EVM_OUT_OF_GAS);
    rdg_buf_fini(&out);
    rdg_ledger_close(l);
}

/* PUSH a word, MSTORE, REVERT with it. */
TEST(execution_revert_keeps_its_data_in_the_receipt_and_nothing_in_the_state) {
    static const uint8_t reverts[] = {0x60, 0x01, 0x60, 0x05, 0x55, 0x60, 0xee, 0x60,
                                      0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xfd};
    rdg_genesis_t g;
    receipts_t r;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("a", &g);
    rdg_ledger_head_t before, after;
    rdg_ledger_head(l, &before);
    rdg_tx_t *txs[1] = {
        support_tx((tx_spec_t){.create = true, .value = 5, .data = rdg_bytes(reverts, sizeof reverts)})};
    CHECK_OK(support_apply(l, txs, 1, NULL));
    receipts_load(&r, l, 1);
    CHECK(!r.at[0].success && !r.at[0].has_contract);
    CHECK(r.at[0].output.len == 32 && r.at[0].output.data[31] == 0xee);
    receipts_free(&r);
    rdg_ledger_head(l, &after);
    CHECK(rdg_hash_equal(&before.state_root, &after.state_root));
    rdg_ledger_close(l);
}

/* --- the metering contract ----------------------------------------------------------------------- */

typedef struct abi_call {
    uint8_t data[4 + 32 * 64];
    size_t len;
} abi_call_t;

static void abi_start(abi_call_t *c, const char *signature) {
    uint8_t h[32];
    rdg_keccak256(signature, strlen(signature), h);
    memcpy(c->data, h, 4);
    c->len = 4;
}

static void abi_word(abi_call_t *c, uint64_t v) {
    rdg_word_t w = word_of(v);
    CHECK(c->len + 32 <= sizeof c->data);
    memcpy(c->data + c->len, w.b, 32);
    c->len += 32;
}

static void abi_name(abi_call_t *c, const char *name) {
    abi_word(c, 0);
    memcpy(c->data + c->len - 32, name, strlen(name));
}

static void load_metering(rdg_buf_t *code) {
    char path[1024];
    rdg_buf_t text;
    json_t *root = NULL;
    const char *hex = NULL;
    snprintf(path, sizeof path, "%.*s/../../../contracts/artifacts/Metering.json",
             (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__);
    rdg_buf_init(&text, 4u << 20);
    CHECK_OK(rdg_file_read(path, &text));
    CHECK_OK(rdg_json_parse(rdg_buf_view(&text), &root));
    CHECK_OK(rdg_json_get_str(root, "bytecode", &hex));
    rdg_buf_init(code, RDG_EVM_INITCODE_MAX);
    CHECK_OK(rdg_hex_decode_buf(hex, strlen(hex), code));
    json_decref(root);
    rdg_buf_fini(&text);
}

TEST(execution_metering_counts_readings) {
    rdg_genesis_t g;
    rdg_buf_t code;
    abi_call_t reg, submit, totals;
    receipts_t r;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("a", &g);
    load_metering(&code);
    rdg_address_t c = deploy(l, rdg_buf_view(&code), 123456);
    rdg_buf_clear(&code);
    CHECK_OK(rdg_ledger_account(l, &c, NULL, NULL, &code));
    CHECK(code.len > 500);
    rdg_buf_fini(&code);
    abi_start(&reg, "registerMeter(bytes32,int64,int64)");
    abi_name(&reg, "dev/t1-oil");
    abi_word(&reg, 0);
    abi_word(&reg, 1000);
    abi_start(&submit, "submit(bytes32,uint64[],int64[])");
    abi_name(&submit, "dev/t1-oil");
    abi_word(&submit, 96);
    abi_word(&submit, 96 + 32 * 4);
    abi_word(&submit, 3);
    for (uint64_t i = 0; i < 3; ++i) abi_word(&submit, 100 + i);
    abi_word(&submit, 3);
    for (uint64_t i = 0; i < 3; ++i) abi_word(&submit, 10 * (i + 1));
    rdg_tx_t *txs[3] = {
        support_tx((tx_spec_t){.nonce = 1, .to = &c, .data = rdg_bytes(reg.data, reg.len)}),
        support_tx((tx_spec_t){.nonce = 2, .to = &c, .data = rdg_bytes(submit.data, submit.len)}),
        support_tx((tx_spec_t){.nonce = 3, .to = &c, .data = rdg_bytes(submit.data, submit.len)})};
    CHECK_OK(support_apply(l, txs, 3, NULL));
    receipts_load(&r, l, 2);
    CHECK(r.at[0].success && r.at[1].success);
    CHECK(!r.at[2].success && r.at[2].output.len > 4); /* NotNewer: no reading is counted twice */
    receipts_free(&r);
    abi_start(&totals, "totals(bytes32)");
    abi_name(&totals, "dev/t1-oil");
    rdg_bytes_t ask = rdg_bytes(totals.data, totals.len);
    CHECK_EQ(call_u64(l, &c, ask, 0), 3);
    CHECK_EQ(call_u64(l, &c, ask, 1), 60);
    CHECK_EQ(call_u64(l, &c, ask, 4), 102);
    rdg_ledger_close(l);
    l = support_open("a", &g);
    CHECK_EQ(call_u64(l, &c, ask, 1), 60);
    rdg_ledger_close(l);
}
