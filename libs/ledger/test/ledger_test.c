/* Which blocks the ledger takes, and what it then holds. Value transfers only; contracts: execution_test.c.
 */
#include <stdio.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "support.h"

typedef struct fixture {
    rdg_genesis_t genesis;
    rdg_ledger_t *l;
    rdg_buf_t proposal, seal;
} fixture_t;

static void setup(fixture_t *f) {
    support_genesis(&f->genesis);
    f->l = support_open("a", &f->genesis);
    rdg_buf_init(&f->proposal, RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&f->seal, 65536);
}

static void teardown(fixture_t *f) {
    rdg_ledger_close(f->l);
    rdg_buf_fini(&f->proposal);
    rdg_buf_fini(&f->seal);
}

static uint64_t balance_of(rdg_ledger_t *l, const rdg_address_t *a) {
    rdg_word_t w;
    CHECK_OK(rdg_ledger_account(l, a, NULL, &w, NULL));
    return rdg_load_be64(w.b + 24);
}

TEST(ledger_starts_at_genesis) {
    fixture_t f;
    rdg_ledger_head_t head;
    rdg_header_t h;
    rdg_hash_t hash;
    rdg_block_t *b = NULL;
    uint64_t height = 9;
    setup(&f);
    rdg_ledger_head(f.l, &head);
    CHECK_EQ(head.height, 0);
    CHECK(rdg_hash_equal(&head.hash, &f.genesis.hash));
    CHECK(!rdg_hash_is_zero(&head.state_root));
    CHECK_OK(rdg_ledger_header(f.l, 0, &h, &hash, NULL));
    CHECK_EQ(h.time_ms, f.genesis.time_ms);
    CHECK_OK(rdg_ledger_height_of(f.l, &f.genesis.hash, &height));
    CHECK_EQ(height, 0);
    CHECK_ERR(rdg_ledger_block(f.l, 0, &b), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_ledger_header(f.l, 1, &h, NULL, NULL), RDG_E_NOT_FOUND);
    rdg_address_t rich = support_address(9);
    CHECK_EQ(balance_of(f.l, &rich), 1000000000000000000);
    teardown(&f);
}

TEST(ledger_refuses_the_genesis_of_another_chain) {
    fixture_t f;
    char path[600];
    rdg_ledger_t *l = NULL;
    setup(&f);
    rdg_ledger_close(f.l);
    f.l = NULL;
    f.genesis.validators.chain_id++;
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    CHECK_OK(rdg_genesis_format(&f.genesis, &text));
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "a"));
    CHECK_ERR(rdg_ledger_open(path, &f.genesis, NULL, &l), RDG_E_CONFLICT);
    rdg_buf_fini(&text);
    teardown(&f);
}

TEST(ledger_applies_and_finds_everything_again_after_reopening) {
    fixture_t f;
    rdg_address_t to = support_address(8), rich = support_address(9);
    rdg_hash_t ids[3];
    rdg_executed_t executed[4];
    rdg_ledger_head_t before, after;
    setup(&f);
    for (uint32_t i = 1; i <= 3; ++i) {
        rdg_tx_t *txs[2] = {support_tx((tx_spec_t){.nonce = i, .to = &to, .value = 100}),
                            support_tx((tx_spec_t){.nonce = i, .from = 8, .value = UINT64_MAX})};
        ids[i - 1] = txs[0]->id;
        CHECK_OK(support_apply(f.l, txs, 2, &executed[i]));
    }
    rdg_ledger_head(f.l, &before);
    rdg_ledger_close(f.l);
    f.l = support_open("a", &f.genesis);
    rdg_ledger_head(f.l, &after);
    CHECK_EQ(after.height, 3);
    CHECK_EQ(after.tx_total, 6);
    CHECK_MEM(&before, &after, sizeof before);
    CHECK_EQ(balance_of(f.l, &to), 300);
    CHECK_EQ(balance_of(f.l, &rich), 1000000000000000000 - 300);
    for (uint32_t i = 1; i <= 3; ++i) {
        rdg_tx_location_t where;
        rdg_block_t *b = NULL;
        rdg_executed_t again;
        CHECK_OK(rdg_ledger_find_tx(f.l, &ids[i - 1], &where));
        CHECK_EQ(where.height, i);
        CHECK_EQ(where.index, 0);
        CHECK_OK(rdg_ledger_block(f.l, i, &b));
        CHECK(rdg_hash_equal(&b->txs[0]->id, &ids[i - 1]));
        CHECK_OK(rdg_ledger_header(f.l, i, NULL, NULL, &again));
        CHECK_MEM(&again, &executed[i], sizeof again);
        rdg_buf_clear(&f.proposal);
        CHECK_OK(rdg_ledger_receipts(f.l, i, &f.proposal));
        CHECK(f.proposal.len > 10);
        CHECK_OK(rdg_ledger_seal(f.l, i, &f.seal, &f.proposal));
        CHECK(f.seal.len > 200 && f.proposal.len == 0);
        rdg_block_unref(b);
    }
    teardown(&f);
}

TEST(ledger_two_of_them_come_to_the_same_roots) {
    fixture_t f;
    rdg_executed_t a, b;
    setup(&f);
    rdg_ledger_t *other = support_open("b", &f.genesis);
    for (uint64_t i = 1; i <= 5; ++i) {
        rdg_address_t to = support_address((uint8_t)(1 + i % 8));
        rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.nonce = i, .to = &to, .value = i})};
        support_proposal(f.l, txs, 1, &f.proposal);
        support_seal(rdg_buf_view(&f.proposal), &f.seal);
        CHECK_OK(rdg_ledger_validate(f.l, NULL, rdg_buf_view(&f.proposal), 1800000000000));
        CHECK_OK(rdg_ledger_apply(f.l, rdg_buf_view(&f.proposal), rdg_buf_view(&f.seal), true, &a));
        CHECK_OK(rdg_ledger_apply(other, rdg_buf_view(&f.proposal), rdg_buf_view(&f.seal), false, &b));
        CHECK_MEM(&a, &b, sizeof a);
        rdg_tx_unref(txs[0]);
    }
    rdg_ledger_close(other);
    teardown(&f);
}

/* --- rules --------------------------------------------------------------------------------------- */

static rdg_header_t next_header(rdg_ledger_t *l) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    return (rdg_header_t){.chain_id = SUPPORT_CHAIN_ID,
                          .height = head.height + 1,
                          .time_ms = head.time_ms + 100,
                          .parent = head.hash,
                          .gas_limit = rdg_ledger_genesis(l)->params.block_gas_limit};
}

static void refuses_header(fixture_t *f, rdg_header_t h, rdg_err_t want) {
    rdg_executed_t executed;
    rdg_ledger_head_t before, after;
    rdg_ledger_head(f->l, &before);
    support_encode(&h, NULL, 0, &f->proposal);
    support_seal(rdg_buf_view(&f->proposal), &f->seal);
    CHECK_ERR(rdg_ledger_validate(f->l, NULL, rdg_buf_view(&f->proposal), before.time_ms + 1000), want);
    /* A clock that is wrong does not keep a node from what a quorum has sealed. */
    if (h.time_ms <= before.time_ms + 1000 + RDG_BLOCK_CLOCK_SKEW_MS)
        CHECK_ERR(rdg_ledger_apply(f->l, rdg_buf_view(&f->proposal), rdg_buf_view(&f->seal), true, &executed),
                  want);
    rdg_ledger_head(f->l, &after);
    CHECK_MEM(&before, &after, sizeof before);
}

TEST(ledger_refuses_headers_that_do_not_follow) {
    fixture_t f;
    setup(&f);
    CHECK_OK(support_apply(f.l, NULL, 0, NULL));
    rdg_header_t good = next_header(f.l), h = good;
    h.chain_id++;
    refuses_header(&f, h, RDG_E_WRONG_CHAIN);
    h = good, h.height = 1;
    refuses_header(&f, h, RDG_E_STALE);
    h = good, h.height = 3;
    refuses_header(&f, h, RDG_E_UNAVAILABLE);
    h = good, h.parent.b[0] ^= 1;
    refuses_header(&f, h, RDG_E_CONFLICT);
    h = good, h.epoch = 1;
    refuses_header(&f, h, RDG_E_INVALID);
    h = good, h.proposer = SUPPORT_VALIDATORS;
    refuses_header(&f, h, RDG_E_INVALID);
    h = good, h.time_ms -= 100;
    refuses_header(&f, h, RDG_E_INVALID);
    h = good, h.time_ms += 1000 + RDG_BLOCK_CLOCK_SKEW_MS;
    refuses_header(&f, h, RDG_E_INVALID);
    h = good, h.gas_limit++;
    refuses_header(&f, h, RDG_E_GAS_LIMIT);
    CHECK_OK(support_apply(f.l, NULL, 0, NULL));
    teardown(&f);
}

static void refuses_txs(fixture_t *f, rdg_tx_t **txs, uint32_t count, rdg_err_t want) {
    rdg_executed_t executed;
    support_proposal(f->l, txs, count, &f->proposal);
    support_seal(rdg_buf_view(&f->proposal), &f->seal);
    CHECK_ERR(rdg_ledger_validate(f->l, NULL, rdg_buf_view(&f->proposal), 1800000000000), want);
    CHECK_ERR(rdg_ledger_apply(f->l, rdg_buf_view(&f->proposal), rdg_buf_view(&f->seal), false, &executed),
              want);
    for (uint32_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
}

static rdg_tx_t *forged(void) {
    rdg_tx_t *good = support_tx((tx_spec_t){.nonce = 5}), *bad = NULL;
    uint8_t wire[1024];
    memcpy(wire, good->raw.data, good->raw.len);
    wire[good->raw.len - 1] ^= 1;
    CHECK_OK(rdg_tx_decode(rdg_bytes(wire, good->raw.len), &bad));
    rdg_tx_unref(good);
    return bad;
}

TEST(ledger_refuses_proposals_with_an_invalid_transaction) {
    fixture_t f;
    setup(&f);
    rdg_tx_t *once[1] = {support_tx((tx_spec_t){.nonce = 1})}, *kept = rdg_tx_ref(once[0]);
    CHECK_OK(support_apply(f.l, once, 1, NULL));
    refuses_txs(&f, (rdg_tx_t *[]){rdg_tx_ref(kept)}, 1, RDG_E_DUPLICATE);
    rdg_tx_t *twice = support_tx((tx_spec_t){.nonce = 2});
    refuses_txs(&f, (rdg_tx_t *[]){twice, rdg_tx_ref(twice)}, 2, RDG_E_DUPLICATE);
    refuses_txs(&f, (rdg_tx_t *[]){support_tx((tx_spec_t){.chain_id = 1})}, 1, RDG_E_WRONG_CHAIN);
    refuses_txs(&f, (rdg_tx_t *[]){support_tx((tx_spec_t){.valid_until = 1})}, 1, RDG_E_EXPIRED);
    refuses_txs(&f, (rdg_tx_t *[]){support_tx((tx_spec_t){.valid_until = 200000})}, 1, RDG_E_INVALID_TX);
    refuses_txs(&f, (rdg_tx_t *[]){support_tx((tx_spec_t){.gas = 30000001})}, 1, RDG_E_GAS_LIMIT);
    refuses_txs(&f, (rdg_tx_t *[]){forged()}, 1, RDG_E_BAD_SIGNATURE);
    refuses_txs(&f, (rdg_tx_t *[]){support_tx((tx_spec_t){.nonce = 3}), forged()}, 2, RDG_E_BAD_SIGNATURE);
    CHECK(strstr(rdg_err_message(RDG_E_BAD_SIGNATURE), "transaction 1"));
    rdg_tx_t *greedy[34];
    for (uint64_t i = 0; i < 34; ++i) greedy[i] = support_tx((tx_spec_t){.nonce = i + 10, .gas = 30000000});
    refuses_txs(&f, greedy, 34, RDG_E_GAS_LIMIT);
    rdg_tx_unref(kept);
    teardown(&f);
}

/* However many threads verify them, the one that is wrong is named. */
TEST(ledger_verifies_the_signatures_of_a_large_block_on_all_threads) {
    enum { COUNT = 70 };
    static const uint32_t wrong[] = {0, 32, 69};
    fixture_t f;
    char path[600], name[40];
    setup(&f);
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        rdg_ledger_options_t options = {.execution_threads = threads};
        fixture_t g = f;
        snprintf(name, sizeof name, "t%u", threads);
        CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
        CHECK_OK(rdg_ledger_open(path, &f.genesis, &options, &g.l));
        for (size_t w = 0; w < sizeof wrong / sizeof wrong[0]; ++w) {
            rdg_tx_t *txs[COUNT];
            for (uint32_t i = 0; i < COUNT; ++i)
                txs[i] = i == wrong[w] ? forged() : support_tx((tx_spec_t){.nonce = 1000 + i});
            refuses_txs(&g, txs, COUNT, RDG_E_BAD_SIGNATURE);
            snprintf(name, sizeof name, "transaction %u ", wrong[w]);
            CHECK(strstr(rdg_err_message(RDG_E_BAD_SIGNATURE), name));
        }
        f.proposal = g.proposal, f.seal = g.seal;
        rdg_ledger_close(g.l);
    }
    teardown(&f);
}

TEST(ledger_refuses_a_seal_that_is_not_a_quorums) {
    fixture_t f;
    rdg_executed_t executed;
    rdg_header_t h;
    rdg_hash_t hash, other = {{1}};
    setup(&f);
    support_proposal(f.l, NULL, 0, &f.proposal);
    rdg_bytes_t proposal = rdg_buf_view(&f.proposal);
    CHECK_OK(rdg_proposal_header(proposal, &h));
    CHECK_OK(rdg_header_hash(&h, &hash));
    CHECK_ERR(rdg_ledger_apply(f.l, proposal, rdg_bytes_str(""), true, &executed), RDG_E_MALFORMED);
    support_certificate(RDG_PHASE_COMMIT, 1, &other, &f.seal);
    CHECK(rdg_ledger_apply(f.l, proposal, rdg_buf_view(&f.seal), true, &executed) != RDG_OK);
    support_certificate(RDG_PHASE_PREPARE, 1, &hash, &f.seal);
    CHECK(rdg_ledger_apply(f.l, proposal, rdg_buf_view(&f.seal), true, &executed) != RDG_OK);
    support_certificate(RDG_PHASE_COMMIT, 1, &hash, &f.seal);
    f.seal.data[f.seal.len - 1] ^= 1;
    CHECK(rdg_ledger_apply(f.l, proposal, rdg_buf_view(&f.seal), true, &executed) != RDG_OK);
    f.seal.data[f.seal.len - 1] ^= 1;
    CHECK_OK(rdg_ledger_apply(f.l, proposal, rdg_buf_view(&f.seal), true, &executed));
    teardown(&f);
}

TEST(ledger_transfer_beyond_the_balance_fails_in_the_block) {
    fixture_t f;
    rdg_receipt_t receipt;
    rdg_arena_t arena;
    setup(&f);
    rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.from = 7, .value = 1})};
    CHECK_OK(support_apply(f.l, txs, 1, NULL));
    CHECK_OK(rdg_ledger_receipts(f.l, 1, &f.proposal));
    rdg_arena_init(&arena, 4096);
    CHECK_OK(rdg_receipt_decode(rdg_bytes(f.proposal.data + 1, f.proposal.len - 1), &arena, &receipt));
    CHECK(!receipt.success && !receipt.has_contract);
    rdg_arena_fini(&arena);
    teardown(&f);
}

TEST(ledger_proposes_what_validates_and_applies) {
    fixture_t f;
    rdg_executed_t executed;
    rdg_hash_t ids[20];
    rdg_block_t *b = NULL;
    setup(&f);
    rdg_pool_t *pool = support_pool(), *other_pool = support_pool();
    rdg_ledger_t *other = support_open("b", &f.genesis);
    CHECK_ERR(rdg_ledger_propose(f.l, pool, 0, 5, false, &f.proposal), RDG_E_NOT_FOUND);
    for (uint64_t i = 0; i < 20; ++i) {
        rdg_tx_t *tx = support_tx((tx_spec_t){.nonce = i});
        ids[i] = tx->id;
        CHECK_OK(rdg_ledger_admit(f.l, pool, tx));
        if (i % 2) CHECK_OK(rdg_ledger_admit(other, other_pool, tx));
        rdg_tx_unref(tx);
    }
    CHECK_OK(rdg_ledger_propose(f.l, pool, 2, 5, false, &f.proposal));
    CHECK_OK(rdg_ledger_validate(other, other_pool, rdg_buf_view(&f.proposal), 1800000000000));
    support_seal(rdg_buf_view(&f.proposal), &f.seal);
    CHECK_OK(rdg_ledger_apply(f.l, rdg_buf_view(&f.proposal), rdg_buf_view(&f.seal), true, &executed));
    CHECK_OK(rdg_ledger_apply(other, rdg_buf_view(&f.proposal), rdg_buf_view(&f.seal), true, &executed));
    CHECK_OK(rdg_ledger_block(other, 1, &b));
    CHECK_EQ(b->header.tx_count, 20);
    CHECK_EQ(b->header.proposer, 2);
    CHECK_EQ(b->header.time_ms, f.genesis.time_ms + 1);
    for (size_t i = 0; i < 20; ++i) CHECK(rdg_hash_equal(&b->txs[i]->id, &ids[i]));
    /* The pool still holds them: what is in the ledger is not proposed again, nor taken again. */
    rdg_buf_clear(&f.proposal);
    CHECK_ERR(rdg_ledger_propose(f.l, pool, 2, 5, false, &f.proposal), RDG_E_NOT_FOUND);
    rdg_pool_committed(pool, ids, 20, 1);
    CHECK_ERR(rdg_ledger_admit(f.l, pool, b->txs[0]), RDG_E_DUPLICATE);
    CHECK_OK(rdg_ledger_propose(f.l, pool, 2, 5, true, &f.proposal));
    rdg_block_unref(b);
    rdg_pool_free(pool);
    rdg_pool_free(other_pool);
    rdg_ledger_close(other);
    teardown(&f);
}

TEST(ledger_keeps_checkpoints_and_knows_when_it_diverged) {
    fixture_t f;
    rdg_executed_t executed;
    rdg_hash_t digest, other = {{1}};
    rdg_ledger_head_t head;
    setup(&f);
    CHECK_OK(support_apply(f.l, NULL, 0, &executed));
    CHECK_OK(rdg_executed_hash(&executed, &digest));
    support_certificate(RDG_PHASE_CHECKPOINT, 1, &other, &f.seal);
    CHECK_ERR(rdg_ledger_checkpoint(f.l, 1, rdg_buf_view(&f.seal)), RDG_E_DIVERGED);
    support_certificate(RDG_PHASE_COMMIT, 1, &digest, &f.seal);
    CHECK(rdg_ledger_checkpoint(f.l, 1, rdg_buf_view(&f.seal)) != RDG_OK);
    support_certificate(RDG_PHASE_CHECKPOINT, 1, &digest, &f.seal);
    CHECK_ERR(rdg_ledger_checkpoint(f.l, 2, rdg_buf_view(&f.seal)), RDG_E_NOT_FOUND);
    CHECK_OK(rdg_ledger_checkpoint(f.l, 1, rdg_buf_view(&f.seal)));
    rdg_ledger_close(f.l);
    f.l = support_open("a", &f.genesis);
    rdg_ledger_head(f.l, &head);
    CHECK_EQ(head.checkpoint_height, 1);
    CHECK(rdg_hash_equal(&head.executed, &digest));
    CHECK_OK(rdg_ledger_seal(f.l, 1, NULL, &f.proposal));
    CHECK(rdg_bytes_equal(rdg_buf_view(&f.proposal), rdg_buf_view(&f.seal)));
    teardown(&f);
}

TEST(ledger_proves_balances_under_the_state_root) {
    fixture_t f;
    rdg_hash_t path;
    rdg_ledger_head_t head;
    bool present;
    rdg_bytes_t value;
    uint64_t height;
    rdg_address_t rich = support_address(9), nobody = support_address(3);
    setup(&f);
    rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.value = 5})};
    CHECK_OK(support_apply(f.l, txs, 1, NULL));
    rdg_ledger_head(f.l, &head);
    CHECK_OK(rdg_ledger_prove(f.l, &rich, NULL, &f.proposal, &height));
    CHECK_EQ(height, 1);
    rdg_state_account_path(&rich, &path);
    CHECK_OK(rdg_proof_verify(rdg_buf_view(&f.proposal), &head.state_root, &path, &present, &value));
    CHECK(present && value.len > 8);
    rdg_buf_clear(&f.proposal);
    CHECK_OK(rdg_ledger_prove(f.l, &nobody, NULL, &f.proposal, &height));
    rdg_state_account_path(&nobody, &path);
    CHECK_OK(rdg_proof_verify(rdg_buf_view(&f.proposal), &head.state_root, &path, &present, &value));
    CHECK(!present);
    teardown(&f);
}

/* Whichever allocation fails: the head stays, nothing leaks, and the block applies once memory is back,
 * unless it was the store's own write that failed: then nothing is applied until reopened. */
TEST(ledger_apply_without_memory_leaves_it_as_it_was) {
    rdg_genesis_t g;
    rdg_executed_t executed;
    rdg_address_t to = support_address(3);
    rdg_buf_t proposal, seal;
    long n = 0, retried = 0;
    support_genesis(&g);
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&seal, 65536);
    rdg_tx_t *txs[2] = {
        support_tx((tx_spec_t){.nonce = 1, .to = &to, .value = 7}),
        support_tx((tx_spec_t){.nonce = 2, .create = true, .data = rdg_bytes_str("\x5f\x5f\xf3")})};
    for (rdg_err_t err = RDG_E_NO_MEMORY; err != RDG_OK;) {
        rdg_ledger_t *l = NULL;
        rdg_ledger_head_t before, after;
        long live = rdg_alloc_live();
        CHECK_OK(rdg_ledger_open(rdg_test_dir(), &g, &(rdg_ledger_options_t){.memory_store = true}, &l));
        if (n == 0) support_proposal(l, txs, 2, &proposal), support_seal(rdg_buf_view(&proposal), &seal);
        if (n++ == 0) live = -1;
        rdg_ledger_head(l, &before);
        rdg_alloc_fail_at(n);
        err = rdg_ledger_apply(l, rdg_buf_view(&proposal), rdg_buf_view(&seal), false, &executed);
        rdg_alloc_fail_at(0);
        rdg_ledger_head(l, &after);
        CHECK(err == RDG_OK || err == RDG_E_NO_MEMORY);
        CHECK_EQ(after.height, err == RDG_OK ? 1 : 0);
        if (err != RDG_OK) {
            CHECK_MEM(&before, &after, sizeof before);
            rdg_err_t again =
                rdg_ledger_apply(l, rdg_buf_view(&proposal), rdg_buf_view(&seal), false, &executed);
            CHECK(again == RDG_OK || again == RDG_E_NO_MEMORY);
            retried += again == RDG_OK;
        }
        rdg_ledger_close(l);
        if (live >= 0) CHECK_EQ(rdg_alloc_live(), live);
    }
    CHECK(n > 20 && retried > 15);
    for (size_t i = 0; i < 2; ++i) rdg_tx_unref(txs[i]);
    rdg_buf_fini(&proposal);
    rdg_buf_fini(&seal);
}

TEST(ledger_leaves_nothing_in_the_pool_that_a_block_took_meanwhile) {
    rdg_genesis_t g;
    rdg_executed_t executed;
    rdg_buf_t proposal;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("l", &g);
    rdg_pool_t *pool = support_pool();
    rdg_tx_t *tx = support_tx((tx_spec_t){0}), *given = rdg_tx_ref(tx);
    CHECK_OK(support_apply(l, &given, 1, &executed));
    CHECK_ERR(rdg_ledger_admit(l, pool, tx), RDG_E_DUPLICATE);
    CHECK_EQ(rdg_pool_count(pool), 0);
    /* It was looked for before the block came. */
    CHECK_ERR(rdg_ledger_admit_unseen(l, pool, tx, 0), RDG_E_DUPLICATE);
    CHECK_EQ(rdg_pool_count(pool), 0);
    rdg_tx_t *fresh = support_tx((tx_spec_t){.nonce = 99});
    CHECK_OK(rdg_ledger_admit_unseen(l, pool, fresh, 1));
    CHECK_EQ(rdg_pool_count(pool), 1);
    rdg_pool_committed(pool, &fresh->id, 1, 1);
    rdg_tx_unref(fresh);
    CHECK_OK(rdg_pool_add(pool, tx));
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    CHECK_ERR(rdg_ledger_propose(l, pool, 0, 1, false, &proposal), RDG_E_NOT_FOUND);
    CHECK_EQ(rdg_pool_count(pool), 0);
    rdg_buf_fini(&proposal);
    rdg_tx_unref(tx);
    rdg_pool_free(pool);
    rdg_ledger_close(l);
}
