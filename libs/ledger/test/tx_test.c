#include "ridge/base/alloc.h"
#include "support.h"

TEST(tx_round_trip_keeps_every_field) {
    rdg_address_t to = {{1, 2, 3}};
    rdg_tx_t *tx = support_tx((tx_spec_t){.to = &to,
                                          .nonce = RDG_TX_NONCE_LIMIT - 1,
                                          .value = 77,
                                          .gas = 50000,
                                          .data = rdg_bytes_str("hello")});
    rdg_tx_t *again = NULL;
    CHECK_OK(rdg_tx_decode(tx->raw, &again));
    CHECK(rdg_bytes_equal(again->raw, tx->raw));
    CHECK(rdg_hash_equal(&again->id, &tx->id));
    CHECK(rdg_address_equal(&again->to, &to));
    CHECK_EQ(again->nonce, RDG_TX_NONCE_LIMIT - 1);
    CHECK_EQ(again->value.b[31], 77);
    CHECK_EQ(again->gas_limit, 50000);
    CHECK_EQ(again->valid_until, 1000);
    CHECK_EQ(again->chain_id, SUPPORT_CHAIN_ID);
    CHECK(rdg_bytes_equal(again->data, rdg_bytes_str("hello")));
    CHECK(!again->is_create);
    rdg_address_t from = support_address(9);
    CHECK(rdg_address_equal(&again->from, &from));
    CHECK_OK(rdg_tx_verify(again));
    rdg_tx_unref(again);
    rdg_tx_unref(tx);
}

TEST(tx_id_leaves_the_signature_out) {
    rdg_tx_t *a = support_tx((tx_spec_t){.nonce = 5}), *b = support_tx((tx_spec_t){.nonce = 5});
    CHECK(rdg_hash_equal(&a->id, &b->id));
    CHECK(!rdg_bytes_equal(a->raw, b->raw));
    rdg_tx_unref(a);
    rdg_tx_unref(b);
}

TEST(tx_decode_refuses_every_truncation_and_extension) {
    rdg_tx_t *tx = support_tx((tx_spec_t){.data = rdg_bytes_str("some data")}), *out = NULL;
    uint8_t longer[1024];
    for (size_t len = 0; len < tx->raw.len; ++len)
        CHECK_ERR(rdg_tx_decode(rdg_bytes(tx->raw.data, len), &out), RDG_E_MALFORMED);
    memcpy(longer, tx->raw.data, tx->raw.len);
    longer[tx->raw.len] = 0;
    CHECK_ERR(rdg_tx_decode(rdg_bytes(longer, tx->raw.len + 1), &out), RDG_E_MALFORMED);
    rdg_tx_unref(tx);
}

TEST(many_transactions_are_decoded_as_each_alone) {
    enum { COUNT = 131 }; /* more than two groups that are hashed together */
    rdg_tx_t *signed_txs[COUNT], *many[COUNT], *alone;
    rdg_bytes_t wires[COUNT];
    for (size_t i = 0; i < COUNT; ++i) {
        signed_txs[i] = support_tx((tx_spec_t){.nonce = i});
        wires[i] = signed_txs[i]->raw;
        if (i % 5 == 3 || i == COUNT - 1) wires[i].len -= 1 + i % 7;
    }
    rdg_txs_decode(wires, COUNT, many);
    for (size_t i = 0; i < COUNT; ++i) {
        CHECK_EQ(rdg_tx_decode(wires[i], &alone) == RDG_OK, many[i] != NULL);
        CHECK_EQ(alone == NULL, i % 5 == 3 || i == COUNT - 1);
        if (alone) {
            CHECK(rdg_bytes_equal(alone->raw, many[i]->raw));
            CHECK(rdg_hash_equal(&alone->id, &many[i]->id));
            CHECK(rdg_address_equal(&alone->from, &many[i]->from));
        }
        rdg_tx_unref(alone);
        rdg_tx_unref(many[i]);
        rdg_tx_unref(signed_txs[i]);
    }
    rdg_txs_decode(wires, 0, many);
}

/* Whatever one byte is changed to: refused, or another transaction (another id or signature) that encodes to
 * exactly these bytes and whose signature does not verify. */
TEST(tx_decode_of_a_changed_byte_is_refused_or_another_transaction) {
    rdg_tx_t *tx = support_tx((tx_spec_t){.data = rdg_bytes_str("xy"), .value = 3});
    uint8_t wire[1024];
    for (size_t i = 0; i < tx->raw.len; ++i)
        for (int delta = -1; delta <= 1; delta += 2) {
            rdg_tx_t *out = NULL;
            memcpy(wire, tx->raw.data, tx->raw.len);
            wire[i] = (uint8_t)(wire[i] + delta);
            if (rdg_tx_decode(rdg_bytes(wire, tx->raw.len), &out) != RDG_OK) continue;
            CHECK(!rdg_hash_equal(&out->id, &tx->id) ||
                  memcmp(&out->signature, &tx->signature, sizeof tx->signature) != 0);
            CHECK_ERR(rdg_tx_verify(out), RDG_E_BAD_SIGNATURE);
            rdg_tx_unref(out);
        }
    rdg_tx_unref(tx);
}

TEST(tx_too_large_is_refused_when_signed_and_when_decoded) {
    static uint8_t data[RDG_TX_BYTES_MAX + 1];
    rdg_tx_t *out = NULL;
    rdg_tx_fields_t f = {.chain_id = 1, .data = rdg_bytes(data, RDG_TX_BYTES_MAX)};
    CHECK_ERR(rdg_tx_sign(&f, support_key(1), &out), RDG_E_TOO_LARGE);
    CHECK_ERR(rdg_tx_decode(rdg_bytes(data, sizeof data), &out), RDG_E_TOO_LARGE);
    f.data.len = RDG_TX_BYTES_MAX - 300;
    CHECK_OK(rdg_tx_sign(&f, support_key(1), &out));
    rdg_tx_unref(out);
}

TEST(tx_nonce_of_2_to_the_53_is_refused) {
    rdg_tx_t *out = NULL;
    rdg_tx_fields_t f = {.chain_id = 1, .nonce = RDG_TX_NONCE_LIMIT};
    CHECK_ERR(rdg_tx_sign(&f, support_key(1), &out), RDG_E_MALFORMED);
    for (int i = 0; i < 100; ++i) CHECK(rdg_tx_random_nonce(rdg_test_random()) < RDG_TX_NONCE_LIMIT);
}

static void expect(tx_spec_t spec, uint64_t height, rdg_err_t want) {
    rdg_tx_t *tx = support_tx(spec);
    CHECK_ERR(rdg_tx_check(tx, SUPPORT_CHAIN_ID, 30000000, height), want);
    rdg_tx_unref(tx);
}

TEST(tx_check_gives_each_breach_its_code) {
    static uint8_t big[RDG_EVM_INITCODE_MAX + 1];
    expect((tx_spec_t){0}, 1, RDG_OK);
    expect((tx_spec_t){.chain_id = 1}, 1, RDG_E_WRONG_CHAIN);
    expect((tx_spec_t){.valid_until = 10}, 10, RDG_OK);
    expect((tx_spec_t){.valid_until = 10}, 11, RDG_E_EXPIRED);
    expect((tx_spec_t){.valid_until = 1 + RDG_TX_VALID_MAX}, 1, RDG_OK);
    expect((tx_spec_t){.valid_until = 2 + RDG_TX_VALID_MAX}, 1, RDG_E_INVALID_TX);
    expect((tx_spec_t){.gas = 30000000}, 1, RDG_OK);
    expect((tx_spec_t){.gas = 30000001}, 1, RDG_E_GAS_LIMIT);
    expect((tx_spec_t){.gas = 21000}, 1, RDG_OK);
    expect((tx_spec_t){.gas = 20999}, 1, RDG_E_GAS_LIMIT);
    expect((tx_spec_t){.gas = 21000, .data = rdg_bytes_str("x")}, 1, RDG_E_GAS_LIMIT);
    expect((tx_spec_t){.create = true, .gas = 10000000, .data = rdg_bytes(big, RDG_EVM_INITCODE_MAX)}, 1,
           RDG_OK);
    expect((tx_spec_t){.create = true, .gas = 10000000, .data = rdg_bytes(big, sizeof big)}, 1,
           RDG_E_INVALID_TX);
}

TEST(tx_sign_and_decode_survive_want_of_memory) {
    rdg_sm2_key_t *key = support_key(9);
    rdg_err_t err = RDG_OK;
    rdg_tx_t *warm = support_tx((tx_spec_t){0});
    rdg_tx_unref(warm);
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_tx_t *tx = NULL;
        rdg_tx_fields_t f = {.chain_id = 1, .data = rdg_bytes_str("data")};
        err = rdg_tx_sign(&f, key, &tx);
        rdg_tx_unref(tx);
    }
}
