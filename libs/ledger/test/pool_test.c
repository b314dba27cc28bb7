#include "support.h"

static rdg_pool_t *pool_of(size_t count, size_t bytes, size_t per_sender) {
    rdg_pool_t *p = NULL;
    rdg_pool_limits_t limits = {count, bytes, per_sender};
    CHECK_OK(rdg_pool_new(&limits, SUPPORT_CHAIN_ID, 30000000, &p));
    return p;
}

static rdg_err_t add(rdg_pool_t *p, tx_spec_t spec, rdg_hash_t *id) {
    rdg_tx_t *tx = support_tx(spec);
    if (id) *id = tx->id;
    rdg_err_t err = rdg_pool_precheck(p, tx);
    rdg_err_t added = rdg_pool_add(p, tx);
    CHECK_EQ(err, added);
    rdg_tx_unref(tx);
    return added;
}

TEST(pool_refuses_with_the_right_code) {
    rdg_pool_t *p = pool_of(100, 1 << 20, 100);
    CHECK_OK(add(p, (tx_spec_t){.nonce = 1}, NULL));
    CHECK_ERR(add(p, (tx_spec_t){.nonce = 1}, NULL), RDG_E_DUPLICATE);
    CHECK_ERR(add(p, (tx_spec_t){.chain_id = 3}, NULL), RDG_E_WRONG_CHAIN);
    CHECK_ERR(add(p, (tx_spec_t){.gas = 30000001}, NULL), RDG_E_GAS_LIMIT);
    CHECK_ERR(add(p, (tx_spec_t){.valid_until = RDG_TX_VALID_MAX + 2}, NULL), RDG_E_INVALID_TX);
    rdg_pool_committed(p, NULL, 0, 50);
    CHECK_ERR(add(p, (tx_spec_t){.valid_until = 50}, NULL), RDG_E_EXPIRED);
    CHECK_OK(add(p, (tx_spec_t){.valid_until = 51}, NULL));
    CHECK_EQ(rdg_pool_count(p), 2);
    rdg_pool_free(p);
}

TEST(pool_keeps_its_limits_and_evicts_nobody) {
    rdg_pool_t *p = pool_of(3, 1 << 20, 2);
    CHECK_OK(add(p, (tx_spec_t){.from = 5, .nonce = 1}, NULL));
    CHECK_OK(add(p, (tx_spec_t){.from = 5, .nonce = 2}, NULL));
    CHECK_ERR(add(p, (tx_spec_t){.from = 5, .nonce = 3}, NULL), RDG_E_FULL);
    CHECK_OK(add(p, (tx_spec_t){.from = 6, .nonce = 1}, NULL));
    CHECK_ERR(add(p, (tx_spec_t){.from = 7, .nonce = 1}, NULL), RDG_E_FULL);
    CHECK_EQ(rdg_pool_count(p), 3);
    rdg_pool_free(p);
    rdg_tx_t *tx = support_tx((tx_spec_t){.nonce = 1});
    p = pool_of(100, tx->raw.len * 2 + 20, 100);
    CHECK_OK(rdg_pool_add(p, tx));
    CHECK_OK(add(p, (tx_spec_t){.nonce = 2}, NULL));
    CHECK_ERR(add(p, (tx_spec_t){.nonce = 3}, NULL), RDG_E_FULL);
    CHECK(rdg_pool_bytes(p) >= 2 * tx->raw.len);
    rdg_pool_committed(p, &tx->id, 1, 1);
    CHECK_OK(add(p, (tx_spec_t){.nonce = 3}, NULL));
    rdg_tx_unref(tx);
    rdg_pool_free(p);
    CHECK_ERR(rdg_pool_new(&(rdg_pool_limits_t){0, 1, 1}, 1, 1, &p), RDG_E_INVALID);
}

static size_t take(rdg_pool_t *p, size_t count, size_t bytes, uint64_t gas, uint64_t *nonces) {
    rdg_tx_t *txs[64];
    size_t n = rdg_pool_take(p, 1, count, bytes, gas, txs);
    for (size_t i = 0; i < n; ++i) {
        nonces[i] = txs[i]->nonce;
        rdg_tx_unref(txs[i]);
    }
    return n;
}

TEST(pool_takes_the_oldest_within_the_limits_and_keeps_them) {
    rdg_pool_t *p = pool_of(100, 1 << 20, 100);
    uint64_t nonces[64];
    for (uint64_t i = 1; i <= 10; ++i) CHECK_OK(add(p, (tx_spec_t){.nonce = i, .gas = 100000}, NULL));
    CHECK_EQ(take(p, 4, 1 << 20, UINT64_MAX, nonces), 4);
    CHECK_EQ(nonces[0], 1);
    CHECK_EQ(nonces[3], 4);
    CHECK_EQ(take(p, 64, 1 << 20, 350000, nonces), 3);
    CHECK_EQ(take(p, 64, 500, UINT64_MAX, nonces), 2);
    CHECK_EQ(take(p, 64, 1 << 20, UINT64_MAX, nonces), 10);
    CHECK_EQ(rdg_pool_count(p), 10);
    rdg_pool_free(p);
}

TEST(pool_drops_what_is_committed_and_what_has_expired) {
    rdg_pool_t *p = pool_of(1000, 1 << 20, 1000);
    rdg_hash_t ids[200];
    const rdg_random_t *random = rdg_test_random();
    uint64_t until[200];
    for (uint64_t i = 0; i < 200; ++i) {
        until[i] = 1 + rdg_random_below(random, 100);
        CHECK_OK(add(p, (tx_spec_t){.nonce = i, .valid_until = until[i]}, &ids[i]));
    }
    bool gone[200] = {false};
    for (uint64_t height = 1; height <= 100; ++height) {
        rdg_hash_t committed[3];
        for (size_t k = 0; k < 3; ++k) {
            size_t i = (size_t)rdg_random_below(random, 200);
            committed[k] = ids[i];
            gone[i] = true;
        }
        rdg_pool_committed(p, committed, 3, height);
        size_t want = 0;
        for (size_t i = 0; i < 200; ++i) {
            if (until[i] <= height) gone[i] = true;
            want += !gone[i];
            rdg_tx_t *found = rdg_pool_find(p, &ids[i]);
            CHECK_EQ(found == NULL, gone[i]);
            rdg_tx_unref(found);
        }
        CHECK_EQ(rdg_pool_count(p), want);
    }
    CHECK_EQ(rdg_pool_bytes(p), 0);
    rdg_pool_free(p);
}
