#include "block_build.h"
#include "ridge/base/alloc.h"
#include "support.h"

static void make(rdg_header_t *h, rdg_buf_t *out, uint32_t count) {
    rdg_tx_t *txs[4];
    for (uint32_t i = 0; i < count; ++i)
        txs[i] = support_tx((tx_spec_t){.nonce = i, .data = rdg_bytes_str("abc")});
    *h = (rdg_header_t){.chain_id = 5,
                        .epoch = 0,
                        .height = 3,
                        .time_ms = 12345,
                        .parent = {{9}},
                        .proposer = 2,
                        .gas_limit = 1000000};
    rdg_buf_init(out, RDG_BLOCK_BYTES_MAX);
    support_encode(h, txs, count, out);
    for (uint32_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
}

TEST(block_round_trip) {
    rdg_header_t h;
    rdg_buf_t wire;
    rdg_block_t *b = NULL;
    rdg_hash_t hash;
    make(&h, &wire, 3);
    CHECK_OK(rdg_block_decode(rdg_buf_view(&wire), &b));
    CHECK(rdg_bytes_equal(b->proposal, rdg_buf_view(&wire)));
    CHECK_EQ(b->header.tx_count, 3);
    CHECK_EQ(b->header.height, 3);
    CHECK_EQ(b->header.time_ms, 12345);
    CHECK_EQ(b->txs[2]->nonce, 2);
    CHECK_OK(rdg_header_hash(&h, &hash));
    CHECK(rdg_hash_equal(&hash, &b->hash));
    rdg_header_t only;
    CHECK_OK(rdg_proposal_header(rdg_buf_view(&wire), &only));
    CHECK(rdg_hash_equal(&only.tx_root, &h.tx_root));
    rdg_block_unref(b);
    rdg_buf_fini(&wire);
}

TEST(block_ids_are_those_of_the_transactions_or_it_is_refused) {
    rdg_tx_t *txs[130];
    rdg_header_t h = {.chain_id = 5, .height = 3, .time_ms = 1, .gas_limit = 1};
    rdg_hash_t signatures;
    block_ids_t got;
    rdg_block_t *b = NULL;
    rdg_buf_t wire;
    for (uint32_t i = 0; i < 130; ++i) txs[i] = support_tx((tx_spec_t){.nonce = i});
    for (uint32_t count = 0; count <= 130; count += 65) {
        rdg_buf_init(&wire, RDG_BLOCK_BYTES_MAX);
        support_encode(&h, txs, count, &wire);
        CHECK_OK(rdg_block_decode(rdg_buf_view(&wire), &b));
        CHECK_OK(block_ids(rdg_buf_view(&wire), &got));
        CHECK_EQ(got.header.tx_count, count);
        CHECK(rdg_hash_equal(&got.hash, &b->hash));
        CHECK_OK(rdg_block_signatures_digest(txs, count, &signatures));
        CHECK(rdg_hash_equal(&got.signatures, &signatures));
        for (uint32_t i = 0; i < count; ++i) {
            CHECK(rdg_hash_equal(&got.ids[i], &b->txs[i]->id) && rdg_hash_equal(&got.ids[i], &txs[i]->id));
            CHECK(rdg_address_equal(&b->txs[i]->from, &txs[i]->from));
        }
        rdg_block_unref(b);
        rdg_free(got.ids);
        for (size_t at = 0; at < wire.len; at += 1 + wire.len / 40) {
            wire.data[at] ^= 1;
            rdg_err_t err = rdg_block_decode(rdg_buf_view(&wire), &b);
            CHECK_EQ(block_ids(rdg_buf_view(&wire), &got) == RDG_OK, err == RDG_OK);
            CHECK(err == RDG_OK ? rdg_hash_equal(&got.hash, &b->hash) : !got.ids);
            rdg_block_unref(b);
            rdg_free(got.ids);
            wire.data[at] ^= 1;
        }
        CHECK_ERR(block_ids(rdg_bytes(wire.data, wire.len - 1), &got), RDG_E_MALFORMED);
        rdg_buf_fini(&wire);
    }
    for (uint32_t i = 0; i < 130; ++i) rdg_tx_unref(txs[i]);
}

TEST(block_tx_root_is_proved_by_ids_and_a_digest_of_signatures) {
    rdg_tx_t *txs[70];
    rdg_hash_t ids[70], root, again, signatures, none = {{0}};
    for (uint32_t i = 0; i < 70; ++i) txs[i] = support_tx((tx_spec_t){.nonce = i});
    for (size_t count = 1; count <= 70; count += 23) {
        CHECK_OK(rdg_block_tx_root(txs, count, &root));
        CHECK_OK(rdg_block_signatures_digest(txs, count, &signatures));
        for (size_t i = 0; i < count; ++i) ids[i] = txs[i]->id;
        rdg_block_root_of_ids(ids, count, &signatures, &again);
        CHECK(rdg_hash_equal(&root, &again));
        for (size_t i = 0; i < count; ++i) ids[i] = txs[i]->id;
        ids[count - 1].b[31] ^= 1;
        rdg_block_root_of_ids(ids, count, &signatures, &again);
        CHECK(!rdg_hash_equal(&root, &again));
        for (size_t i = 0; i < count; ++i) ids[i] = txs[i]->id;
        signatures.b[0] ^= 1;
        rdg_block_root_of_ids(ids, count, &signatures, &again);
        CHECK(!rdg_hash_equal(&root, &again));
    }
    CHECK_OK(rdg_block_tx_root(txs, 0, &root));
    CHECK(rdg_hash_equal(&root, &none));
    for (uint32_t i = 0; i < 70; ++i) rdg_tx_unref(txs[i]);
}

TEST(block_decode_refuses_every_truncation_and_every_changed_byte) {
    rdg_header_t h;
    rdg_buf_t wire;
    rdg_block_t *b = NULL, *original = NULL;
    make(&h, &wire, 2);
    CHECK_OK(rdg_block_decode(rdg_buf_view(&wire), &original));
    for (size_t len = 0; len < wire.len; ++len)
        CHECK(rdg_block_decode(rdg_bytes(wire.data, len), &b) != RDG_OK);
    for (size_t i = 0; i < wire.len; ++i)
        for (int delta = -1; delta <= 1; delta += 2) {
            wire.data[i] = (uint8_t)(wire.data[i] + delta);
            if (rdg_block_decode(rdg_buf_view(&wire), &b) == RDG_OK) {
                CHECK(!rdg_hash_equal(&b->hash, &original->hash)); /* another header */
                rdg_block_unref(b);
            }
            wire.data[i] = (uint8_t)(wire.data[i] - delta);
        }
    rdg_block_unref(original);
    rdg_buf_fini(&wire);
}

TEST(block_with_swapped_transactions_is_refused) {
    rdg_tx_t *txs[2] = {support_tx((tx_spec_t){.nonce = 1}), support_tx((tx_spec_t){.nonce = 2})};
    rdg_header_t h = {.height = 1, .tx_count = 2};
    rdg_buf_t wire;
    rdg_block_t *b = NULL;
    CHECK_OK(rdg_block_tx_root(txs, 2, &h.tx_root));
    rdg_tx_t *swapped[2] = {txs[1], txs[0]};
    rdg_buf_init(&wire, RDG_BLOCK_BYTES_MAX);
    CHECK_OK(rdg_proposal_encode(&h, swapped, &wire));
    CHECK_ERR(rdg_block_decode(rdg_buf_view(&wire), &b), RDG_E_MALFORMED);
    rdg_buf_fini(&wire);
    rdg_tx_unref(txs[0]);
    rdg_tx_unref(txs[1]);
}

TEST(block_without_transactions_is_a_block) {
    rdg_header_t h;
    rdg_buf_t wire;
    rdg_block_t *b = NULL;
    make(&h, &wire, 0);
    CHECK_OK(rdg_block_decode(rdg_buf_view(&wire), &b));
    CHECK(rdg_hash_is_zero(&b->header.tx_root));
    rdg_block_unref(b);
    rdg_buf_fini(&wire);
}

TEST(block_decode_survives_want_of_memory) {
    rdg_header_t h;
    rdg_buf_t wire;
    rdg_err_t err = RDG_OK;
    make(&h, &wire, 3);
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_block_t *b = NULL;
        err = rdg_block_decode(rdg_buf_view(&wire), &b);
        rdg_block_unref(b);
    }
    rdg_buf_fini(&wire);
}

static void check_receipt_equal(const rdg_receipt_t *a, const rdg_receipt_t *b) {
    CHECK_EQ(a->success, b->success);
    CHECK_EQ(a->gas_used, b->gas_used);
    CHECK_EQ(a->cumulative_gas, b->cumulative_gas);
    CHECK_EQ(a->has_contract, b->has_contract);
    CHECK(rdg_address_equal(&a->contract, &b->contract));
    CHECK(rdg_bytes_equal(a->output, b->output));
    CHECK_EQ(a->log_count, b->log_count);
    for (size_t i = 0; i < a->log_count; ++i) {
        CHECK(rdg_address_equal(&a->logs[i].address, &b->logs[i].address));
        CHECK_EQ(a->logs[i].topic_count, b->logs[i].topic_count);
        CHECK_MEM(a->logs[i].topics, b->logs[i].topics, a->logs[i].topic_count * sizeof(rdg_word_t));
        CHECK(rdg_bytes_equal(a->logs[i].data, b->logs[i].data));
    }
}

TEST(receipt_round_trip_and_strictness) {
    rdg_log_entry_t logs[2] = {{.address = {{1}}, .topic_count = 4, .data = rdg_bytes_str("data")},
                               {.address = {{2}}, .topic_count = 0}};
    rdg_receipt_t r = {.success = true,
                       .gas_used = 30000,
                       .cumulative_gas = 70000,
                       .has_contract = true,
                       .contract = {{7}},
                       .log_count = 2,
                       .logs = logs},
                  back;
    rdg_buf_t wire, again;
    rdg_arena_t arena;
    rdg_arena_init(&arena, 1 << 20);
    rdg_buf_init(&wire, 4096);
    rdg_buf_init(&again, 4096);
    CHECK_OK(rdg_receipt_encode(&r, &wire));
    CHECK_OK(rdg_receipt_decode(rdg_buf_view(&wire), &arena, &back));
    check_receipt_equal(&r, &back);
    for (size_t len = 0; len < wire.len; ++len)
        CHECK(rdg_receipt_decode(rdg_bytes(wire.data, len), &arena, &back) != RDG_OK);
    for (size_t i = 0; i < wire.len; ++i)
        for (int delta = -1; delta <= 1; delta += 2) {
            wire.data[i] = (uint8_t)(wire.data[i] + delta);
            if (rdg_receipt_decode(rdg_buf_view(&wire), &arena, &back) == RDG_OK) {
                rdg_buf_clear(&again);
                CHECK_OK(rdg_receipt_encode(&back, &again));
                CHECK(rdg_bytes_equal(rdg_buf_view(&again), rdg_buf_view(&wire)));
            }
            wire.data[i] = (uint8_t)(wire.data[i] - delta);
        }
    rdg_buf_fini(&wire);
    rdg_buf_fini(&again);
    rdg_arena_fini(&arena);
}

TEST(executed_header_round_trip_and_strictness) {
    rdg_executed_t e = {.chain_id = 7,
                        .height = 9,
                        .gas_used = 21000,
                        .block_hash = {{1}},
                        .state_root = {{2}},
                        .receipts_root = {{3}},
                        .epoch_digest = {{4}}},
                   back;
    rdg_buf_t wire;
    rdg_hash_t a, b;
    rdg_buf_init(&wire, 512);
    CHECK_OK(rdg_executed_encode(&e, &wire));
    CHECK_OK(rdg_executed_decode(rdg_buf_view(&wire), &back));
    CHECK_OK(rdg_executed_hash(&e, &a));
    CHECK_OK(rdg_executed_hash(&back, &b));
    CHECK(rdg_hash_equal(&a, &b));
    for (size_t len = 0; len < wire.len; ++len)
        CHECK_ERR(rdg_executed_decode(rdg_bytes(wire.data, len), &back), RDG_E_MALFORMED);
    for (size_t i = 0; i < wire.len; ++i) {
        wire.data[i]++;
        if (rdg_executed_decode(rdg_buf_view(&wire), &back) == RDG_OK) {
            CHECK_OK(rdg_executed_hash(&back, &b));
            CHECK(!rdg_hash_equal(&a, &b));
        }
        wire.data[i]--;
    }
    rdg_buf_fini(&wire);
}

TEST(bloom_holds_what_was_added) {
    rdg_bloom_t bloom = {{0}};
    CHECK(!rdg_bloom_may_hold(&bloom, rdg_bytes_str("a")));
    rdg_bloom_add(&bloom, rdg_bytes_str("a"));
    CHECK(rdg_bloom_may_hold(&bloom, rdg_bytes_str("a")));
    CHECK(!rdg_bloom_may_hold(&bloom, rdg_bytes_str("b")));
    int bits = 0;
    for (size_t i = 0; i < sizeof bloom.b; ++i) bits += __builtin_popcount(bloom.b[i]);
    CHECK(bits >= 1 && bits <= 3);
}
