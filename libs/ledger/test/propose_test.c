/* Proposals behind blocks that are not executed yet, as the leader of a Raft chain makes them. */
#include <stdio.h>
#include "ridge/base/file.h"
#include "ridge/codec/abi.h"
#include "ridge/consensus/consensus.h"
#include "ridge/crypto/hash.h"
#include "support.h"

#define CHAIN 3

typedef struct scene {
    rdg_genesis_t genesis;
    rdg_ledger_t *l, *follower;
    rdg_pool_t *pool;
    rdg_buf_t blocks[RDG_CONSENSUS_WINDOW + 1], seal;
    rdg_hash_t hashes[RDG_CONSENSUS_WINDOW + 2]; /* hashes[h]: of block h; [0]: genesis */
} scene_t;

static void scene(scene_t *s, const char *consensus) {
    rdg_ledger_head_t head;
    support_genesis(&s->genesis);
    s->genesis.admin_count = 1;
    s->genesis.admins[0] = support_address(9);
    snprintf(s->genesis.consensus, sizeof s->genesis.consensus, "%s", consensus);
    s->l = support_open("leader", &s->genesis);
    s->follower = support_open("follower", &s->genesis);
    s->pool = support_pool();
    for (size_t i = 0; i <= RDG_CONSENSUS_WINDOW; ++i) rdg_buf_init(&s->blocks[i], RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&s->seal, 65536);
    rdg_ledger_head(s->l, &head);
    s->hashes[0] = head.hash;
}

static void scene_end(scene_t *s) {
    for (size_t i = 0; i <= RDG_CONSENSUS_WINDOW; ++i) rdg_buf_fini(&s->blocks[i]);
    rdg_buf_fini(&s->seal);
    rdg_pool_free(s->pool);
    rdg_ledger_close(s->l);
    rdg_ledger_close(s->follower);
}

static void wait_in_pool(scene_t *s, tx_spec_t spec) {
    rdg_tx_t *tx = support_tx(spec);
    CHECK_OK(rdg_ledger_admit(s->l, s->pool, tx));
    rdg_tx_unref(tx);
}

/* Block `height` behind the one before, which need not be executed. */
static rdg_err_t propose(scene_t *s, uint64_t height, bool allow_empty) {
    rdg_buf_t *b = &s->blocks[height];
    rdg_header_t header;
    rdg_buf_clear(b);
    RDG_TRY(rdg_ledger_propose_after(s->l, s->pool, &s->hashes[height - 1], 0, 1, allow_empty, b));
    CHECK_OK(rdg_proposal_header(rdg_buf_view(b), &header));
    CHECK_EQ(header.height, height);
    CHECK(rdg_hash_equal(&header.parent, &s->hashes[height - 1]));
    CHECK_OK(rdg_header_hash(&header, &s->hashes[height]));
    return RDG_OK;
}

static rdg_err_t apply(scene_t *s, rdg_ledger_t *l, uint64_t height) {
    rdg_certificate_t c = {.count = 1};
    rdg_executed_t executed;
    rdg_hash_t hash;
    c.statement = (rdg_statement_t){
        .phase = RDG_PHASE_RAFT_LEADER, .view = 3, .height = height, .digest = s->hashes[height]};
    rdg_statement_hash(SUPPORT_CHAIN_ID, &c.statement, &hash);
    CHECK_OK(rdg_sm2_sign(support_key(1), hash.b, sizeof hash.b, &c.votes[0].signature));
    rdg_buf_clear(&s->seal);
    CHECK_OK(rdg_certificate_encode(&c, &s->seal));
    return rdg_ledger_apply(l, rdg_buf_view(&s->blocks[height]), rdg_buf_view(&s->seal), false, &executed);
}

static uint32_t tx_count(scene_t *s, uint64_t height) {
    rdg_header_t header;
    CHECK_OK(rdg_proposal_header(rdg_buf_view(&s->blocks[height]), &header));
    return header.tx_count;
}

TEST(proposals_of_raft_follow_blocks_that_wait_for_their_execution) {
    scene_t s;
    size_t waiting = 9;
    scene(&s, "raft");
    for (uint64_t h = 1; h <= CHAIN; ++h) {
        for (uint64_t i = 0; i < 5; ++i) wait_in_pool(&s, (tx_spec_t){.nonce = 10 * h + i});
        CHECK_OK(propose(&s, h, false));
        CHECK_EQ(tx_count(&s, h), 5); /* those of the blocks before are still in the pool */
        CHECK_ERR(rdg_ledger_propose_after(s.l, s.pool, &s.hashes[h], 0, 1, false, &s.blocks[h + 1]),
                  RDG_E_NOT_FOUND);
    }
    CHECK(rdg_ledger_may_follow(s.l, &s.hashes[CHAIN], &waiting));
    CHECK_EQ(waiting, 5 * CHAIN);
    for (uint64_t h = 1; h <= CHAIN; ++h) {
        CHECK_OK(apply(&s, s.l, h));
        CHECK_OK(apply(&s, s.follower, h)); /* every rule, by one that has not made them */
    }
    CHECK(rdg_ledger_may_follow(s.l, &s.hashes[CHAIN], &waiting));
    CHECK_EQ(waiting, 0);
    CHECK_ERR(propose(&s, CHAIN + 1, false), RDG_E_NOT_FOUND); /* none of them again */
    scene_end(&s);
}

TEST(a_proposal_follows_the_head_or_an_own_block_on_it_and_nothing_else) {
    scene_t s;
    rdg_hash_t none = {{7}};
    scene(&s, "raft");
    CHECK(!rdg_ledger_may_follow(s.l, &none, NULL));
    CHECK_ERR(rdg_ledger_propose_after(s.l, s.pool, &none, 0, 1, true, &s.blocks[1]), RDG_E_UNAVAILABLE);
    CHECK_OK(propose(&s, 1, true));
    CHECK_OK(propose(&s, 2, true));
    rdg_hash_t lost = s.hashes[2];
    wait_in_pool(&s, (tx_spec_t){.nonce = 1});
    CHECK_OK(propose(&s, 1, true)); /* another first block: the second does not stand on it */
    CHECK(rdg_ledger_may_follow(s.l, &s.hashes[1], NULL));
    CHECK(!rdg_ledger_may_follow(s.l, &lost, NULL));
    CHECK(!rdg_ledger_may_follow(s.follower, &s.hashes[1], NULL)); /* made elsewhere */
    CHECK_OK(apply(&s, s.l, 1));
    CHECK(rdg_ledger_may_follow(s.l, &s.hashes[1], NULL));
    CHECK(!rdg_ledger_may_follow(s.l, &s.hashes[0], NULL)); /* has its successor */
    scene_end(&s);
}

TEST(no_more_than_a_window_of_blocks_waits) {
    scene_t s;
    scene(&s, "raft");
    for (uint64_t h = 1; h <= RDG_CONSENSUS_WINDOW; ++h) CHECK_OK(propose(&s, h, true));
    for (uint64_t h = 1; h <= RDG_CONSENSUS_WINDOW; ++h) CHECK_OK(apply(&s, s.l, h));
    CHECK(rdg_ledger_may_follow(s.l, &s.hashes[RDG_CONSENSUS_WINDOW], NULL));
    scene_end(&s);
}

TEST(a_proposal_of_pbft_waits_until_its_parent_is_executed) {
    scene_t s;
    scene(&s, "pbft");
    CHECK_OK(propose(&s, 1, true));
    CHECK(!rdg_ledger_may_follow(s.l, &s.hashes[1], NULL));
    CHECK_ERR(propose(&s, 2, true), RDG_E_UNAVAILABLE);
    scene_end(&s);
}

static void set_gas_limit(scene_t *s, uint64_t nonce, json_int_t limit) {
    rdg_buf_t text, data;
    json_t *artefact = NULL, *args = json_pack("[s, I]", "block_gas_limit", limit);
    const json_t *entry = NULL;
    rdg_buf_init(&text, 1 << 20), rdg_buf_init(&data, 1 << 20);
    CHECK_OK(rdg_file_read(RIDGE_CONTRACT_ARTIFACTS "/Governance.json", &text));
    CHECK_OK(rdg_json_parse(rdg_buf_view(&text), &artefact));
    CHECK_OK(rdg_abi_find(json_object_get(artefact, "abi"), "function", "setParameter", 2, &entry));
    CHECK_OK(rdg_abi_encode_call(entry, args, rdg_keccak256, &data));
    wait_in_pool(s, (tx_spec_t){.from = 9,
                                .to = &RDG_GOVERNANCE_ADDRESS,
                                .nonce = nonce,
                                .gas = 20000000,
                                .data = rdg_buf_view(&data)});
    json_decref(args), json_decref(artefact);
    rdg_buf_fini(&text), rdg_buf_fini(&data);
}

static uint64_t gas_limit(scene_t *s, uint64_t height) {
    rdg_header_t header;
    CHECK_OK(rdg_proposal_header(rdg_buf_view(&s->blocks[height]), &header));
    return header.gas_limit;
}

/* Block 1 changes the gas limit, 2 and 3 were proposed before anybody knew: they are good; then the pipeline drains, and
 * the next block has the new limit. */
TEST(a_change_of_the_gas_limit_spoils_no_block_that_was_proposed_before) {
    scene_t s;
    scene(&s, "raft");
    uint64_t before = s.genesis.params.block_gas_limit, after = 40000000;
    set_gas_limit(&s, 1, (json_int_t)after);
    for (uint64_t h = 1; h <= 3; ++h) CHECK_OK(propose(&s, h, true));
    for (uint64_t h = 1; h <= 3; ++h) {
        CHECK_EQ(gas_limit(&s, h), before);
        CHECK_EQ(rdg_ledger_may_follow(s.l, &s.hashes[3], NULL), h == 1);
        CHECK_OK(apply(&s, s.l, h));
        CHECK_OK(apply(&s, s.follower, h));
    }
    CHECK_OK(propose(&s, 4, true));
    CHECK_EQ(gas_limit(&s, 4), after);
    CHECK_OK(apply(&s, s.follower, 4));
    CHECK_OK(apply(&s, s.l, 4));
    CHECK_OK(propose(&s, 5, true)); /* the old limit does not come back */
    rdg_header_t header;
    CHECK_OK(rdg_proposal_header(rdg_buf_view(&s.blocks[5]), &header));
    header.gas_limit = before;
    support_encode(&header, NULL, 0, &s.blocks[5]);
    CHECK_ERR(rdg_ledger_validate(s.follower, NULL, rdg_buf_view(&s.blocks[5]), UINT64_MAX / 2),
              RDG_E_GAS_LIMIT);
    scene_end(&s);
}

TEST(under_pbft_a_block_has_the_gas_limit_of_its_own_height) {
    scene_t s;
    rdg_header_t header;
    rdg_block_t *b = NULL;
    scene(&s, "pbft");
    set_gas_limit(&s, 1, 40000000);
    CHECK_OK(propose(&s, 1, false));
    CHECK_OK(rdg_block_decode(rdg_buf_view(&s.blocks[1]), &b));
    rdg_tx_t *txs[1] = {rdg_tx_ref(b->txs[0])};
    CHECK_OK(support_apply(s.l, txs, 1, NULL));
    rdg_block_unref(b);
    rdg_ledger_head_t head;
    rdg_ledger_head(s.l, &head);
    s.hashes[1] = head.hash;
    CHECK_OK(propose(&s, 2, true));
    CHECK_OK(rdg_proposal_header(rdg_buf_view(&s.blocks[2]), &header));
    CHECK_EQ(header.gas_limit, 40000000);
    header.gas_limit = s.genesis.params.block_gas_limit;
    support_encode(&header, NULL, 0, &s.blocks[2]);
    CHECK_ERR(rdg_ledger_validate(s.l, NULL, rdg_buf_view(&s.blocks[2]), UINT64_MAX / 2), RDG_E_GAS_LIMIT);
    scene_end(&s);
}
