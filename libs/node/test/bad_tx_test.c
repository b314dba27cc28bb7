/* Transactions that a node must refuse: each by its code, with a text that names thing, reason and remedy. */
#include "cluster.h"
#include "ridge/test.h"
#include <stdio.h>
#include <stdlib.h>

static const rdg_address_t to = {{0x11}};

static void check_refusal(const json_t *answer, const char *code, const char *reason) {
    const json_t *error = json_object_get(answer, "error");
    CHECK_STR(json_string_value(json_object_get(json_object_get(error, "data"), "code")), code);
    const char *message = json_string_value(json_object_get(error, "message"));
    if (!message || !strstr(message, reason))
        rdg_test_fail(__FILE__, __LINE__, "%s: '%s' does not say '%s'", code, message, reason);
}

static void refused_param(cluster_t *c, json_t *params, const char *code, const char *reason) {
    json_t *answer = cluster_call(c, 0, "ridge_sendTransaction", params);
    check_refusal(answer, code, reason);
    json_decref(answer);
}

static void refused(cluster_t *c, rdg_bytes_t wire, const char *code, const char *reason) {
    refused_param(c, json_pack("[o]", rdg_json_hex(wire.data, wire.len)), code, reason);
}

/* Takes tx. */
static void refused_tx(cluster_t *c, rdg_tx_t *tx, const char *code, const char *reason) {
    refused(c, tx->raw, code, reason);
    rdg_tx_unref(tx);
}

static void start_one(cluster_t *c) {
    cluster_init(c, 1);
    cluster_start_all(c);
    cluster_wait_height(c, 0, 1);
}

TEST(a_transaction_that_breaks_a_rule_is_refused_with_thing_reason_and_remedy) {
    cluster_t c;
    rdg_tx_fields_t f = {.to = &to};
    start_one(&c);
    f.chain_id = 12;
    refused_tx(&c, cluster_sign(&c, f), "WRONG_CHAIN", "for chain 12, this is chain 4711: sign it for");
    f = (rdg_tx_fields_t){.to = &to, .valid_until = 1};
    refused_tx(&c, cluster_sign(&c, f), "EXPIRED", "valid until block 1, the next is 2: sign it anew");
    f.valid_until = 1000000;
    refused_tx(&c, cluster_sign(&c, f), "INVALID_TX", "valid_until 1000000 is more than 100000 blocks");
    f = (rdg_tx_fields_t){.to = &to, .gas_limit = c.genesis.params.tx_gas_limit + 1};
    refused_tx(&c, cluster_sign(&c, f), "GAS_LIMIT", "for one transaction: sign it with less");
    f.gas_limit = 20999;
    refused_tx(&c, cluster_sign(&c, f), "GAS_LIMIT", "below the 21000 that its data alone costs: sign it");
    static uint8_t init_code[50000];
    f = (rdg_tx_fields_t){.gas_limit = 20000000, .data = rdg_bytes(init_code, sizeof init_code)};
    refused_tx(&c, cluster_sign(&c, f), "INVALID_TX", "50000 bytes of init code: the limit is 49152");
    CHECK_EQ(cluster_height(&c, 0), 1);
    CHECK_EQ(cluster_stop(&c, 0), 0);
    cluster_start(&c, 0);
    cluster_wait_rpc(&c, 0);
    f = (rdg_tx_fields_t){.to = &to, .valid_until = 1};
    refused_tx(&c, cluster_sign(&c, f), "EXPIRED",
               "the next is 2"); /* the pool knows the height from the start */
    cluster_fini(&c);
}

TEST(a_changed_byte_of_a_signature_or_payload_is_refused) {
    cluster_t c;
    start_one(&c);
    rdg_tx_t *tx = cluster_tx(&c);
    uint8_t wire[512];
    CHECK(tx->raw.len <= sizeof wire);
    memcpy(wire, tx->raw.data, tx->raw.len);
    wire[tx->raw.len - 40] ^= 1;
    refused(&c, rdg_bytes(wire, tx->raw.len), "BAD_SIGNATURE", "does not verify under its key: sign its id");
    wire[tx->raw.len - 40] ^= 1;
    size_t amount = (size_t)(tx->payload.data - tx->raw.data) + tx->payload.len - 70;
    wire[amount] ^= 1; /* of the gas limit */
    json_t *answer =
        cluster_call(&c, 0, "ridge_sendTransaction", json_pack("[o]", rdg_json_hex(wire, tx->raw.len)));
    CHECK(json_object_get(answer, "error") && !json_object_get(answer, "result"));
    json_decref(answer);
    rdg_tx_unref(tx);
    cluster_fini(&c);
}

TEST(a_transaction_is_taken_once_in_the_pool_and_in_the_ledger) {
    cluster_t c;
    char code[32];
    cluster_init(&c, 4);
    c.pool_count = 3;
    cluster_start(&c, 0); /* alone it has no quorum: what it takes stays in its pool */
    rdg_tx_t *txs[4];
    for (size_t i = 0; i < 4; ++i) txs[i] = cluster_tx(&c);
    cluster_wait_rpc(&c, 0);
    cluster_send(&c, 0, txs[0]->raw, code);
    CHECK_STR(code, "");
    refused(&c, txs[0]->raw, "DUPLICATE", "in the pool already: wait for its receipt");
    for (size_t i = 1; i < 3; ++i) {
        cluster_send(&c, 0, txs[i]->raw, code);
        CHECK_STR(code, "");
    }
    refused(&c, txs[3]->raw, "FULL", "pool is full (3 transactions, ");
    for (size_t i = 1; i < 4; ++i) cluster_start(&c, i);
    for (size_t i = 0; i < 3; ++i) json_decref(cluster_receipt(&c, 0, &txs[i]->id));
    refused(&c, txs[0]->raw, "DUPLICATE", "already: ask for its receipt");
    CHECK_EQ(cluster_stop(&c, 0), 0);
    cluster_start(&c, 0);
    cluster_wait_rpc(&c, 0);
    refused(&c, txs[2]->raw, "DUPLICATE", "already: ask for its receipt");
    for (size_t i = 0; i < 4; ++i) rdg_tx_unref(txs[i]);
    cluster_fini(&c);
}

TEST(every_truncation_and_an_extension_of_a_transaction_is_refused) {
    cluster_t c;
    start_one(&c);
    rdg_tx_t *tx = cluster_tx(&c);
    for (size_t len = 0; len < tx->raw.len;) {
        json_t *batch = json_array(), *answer, *answers = NULL;
        for (; len < tx->raw.len && json_array_size(batch) < 100; ++len)
            json_array_append_new(batch,
                                  json_pack("{s:i, s:s, s:[o]}", "id", 1, "method", "ridge_sendTransaction",
                                            "params", rdg_json_hex(tx->raw.data, len)));
        char *text = json_dumps(batch, 0);
        rdg_buf_t out;
        rdg_buf_init(&out, 1u << 20);
        CHECK_EQ(cluster_post(&c, 0, text, &out), 200);
        CHECK_OK(rdg_json_parse(rdg_buf_view(&out), &answers));
        CHECK_EQ(json_array_size(answers), json_array_size(batch));
        size_t i;
        json_array_foreach(answers, i, answer) check_refusal(answer, "MALFORMED", "transaction");
        free(text);
        rdg_buf_fini(&out);
        json_decref(answers);
        json_decref(batch);
    }
    uint8_t longer[512] = {0};
    memcpy(longer, tx->raw.data, tx->raw.len);
    refused(&c, rdg_bytes(longer, tx->raw.len + 1), "MALFORMED", "transaction is not the RLP list");
    rdg_tx_unref(tx);
    cluster_fini(&c);
}

TEST(what_is_no_transaction_at_all_is_refused) {
    cluster_t c;
    start_one(&c);
    static const struct {
        const char *params, *code, *reason;
    } cases[] = {
        {"[]", "INVALID", "transaction: want hexadecimal digits after 0x"},
        {"[null]", "INVALID", "transaction: want hexadecimal digits after 0x"},
        {"[17]", "INVALID", "transaction: want hexadecimal digits after 0x"},
        {"[{\"from\":\"0x00\"}]", "INVALID", "transaction: want hexadecimal digits after 0x"},
        {"[\"f86b\"]", "INVALID", "transaction: want hexadecimal digits after 0x"},
        {"[\"0xf8zz\"]", "MALFORMED", "transaction"},
        {"[\"0xf86\"]", "MALFORMED", "transaction"},
        {"[\"0x\"]", "MALFORMED", "transaction"},
        {"[\"0xc0\"]", "MALFORMED", "transaction"},
        {"[\"0xffffffffffffffffff\"]", "MALFORMED", "transaction"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        json_t *params = NULL;
        CHECK_OK(rdg_json_parse(rdg_bytes_str(cases[i].params), &params));
        refused_param(&c, params, cases[i].code, cases[i].reason);
    }
    uint8_t *big = calloc(1, RDG_TX_BYTES_MAX + 1);
    refused(&c, rdg_bytes(big, RDG_TX_BYTES_MAX + 1), "TOO_LARGE", "131072");
    free(big);
    cluster_fini(&c);
}
