/* A ledger of a Raft chain takes blocks with their leader's seal, and checkpoints of a majority. */
#include "support.h"
#include <stdio.h>
#include "genesis_hash.h"

/* Signed by the first `count` validators; appended to nothing else. */
static void certify(rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest, uint32_t count,
                    rdg_buf_t *out) {
    rdg_certificate_t c = {.statement = {.phase = phase, .height = height, .digest = *digest},
                           .count = count};
    rdg_hash_t hash;
    c.statement.view = phase == RDG_PHASE_CHECKPOINT ? 0 : 3;
    rdg_statement_hash(SUPPORT_CHAIN_ID, &c.statement, &hash);
    for (uint32_t i = 0; i < count; ++i) {
        c.votes[i].index = i;
        CHECK_OK(rdg_sm2_sign(support_key((uint8_t)(i + 1)), hash.b, sizeof hash.b, &c.votes[i].signature));
    }
    rdg_buf_clear(out);
    CHECK_OK(rdg_certificate_encode(&c, out));
}

static rdg_err_t apply(rdg_ledger_t *l, rdg_bytes_t proposal, const rdg_buf_t *seal, rdg_executed_t *out) {
    return rdg_ledger_apply(l, proposal, rdg_buf_view(seal), false, out);
}

TEST(a_block_of_raft_needs_its_leaders_seal_and_a_checkpoint_a_majority) {
    rdg_genesis_t g;
    rdg_buf_t proposal, seal;
    rdg_header_t header;
    rdg_hash_t hash;
    rdg_executed_t executed;
    support_genesis(&g);
    snprintf(g.consensus, sizeof g.consensus, "raft");
    rdg_ledger_t *l = support_open("raft", &g);
    rdg_buf_init(&proposal, 65536), rdg_buf_init(&seal, 65536);
    support_proposal(l, NULL, 0, &proposal);
    CHECK_OK(rdg_proposal_header(rdg_buf_view(&proposal), &header));
    CHECK_OK(rdg_header_hash(&header, &hash));
    certify(RDG_PHASE_COMMIT, 1, &hash, 3, &seal); /* a quorum of PBFT is none here */
    CHECK_ERR(apply(l, rdg_buf_view(&proposal), &seal, &executed), RDG_E_BAD_SIGNATURE);
    certify(RDG_PHASE_RAFT_LEADER, 1, &hash, 2, &seal);
    CHECK_ERR(apply(l, rdg_buf_view(&proposal), &seal, &executed), RDG_E_BAD_SIGNATURE);
    certify(RDG_PHASE_RAFT_LEADER, 2, &hash, 1, &seal);
    CHECK_ERR(apply(l, rdg_buf_view(&proposal), &seal, &executed), RDG_E_BAD_SIGNATURE);
    certify(RDG_PHASE_RAFT_LEADER, 1, &hash, 1, &seal);
    seal.data[seal.len - 1] ^= 1;
    CHECK_ERR(apply(l, rdg_buf_view(&proposal), &seal, &executed), RDG_E_BAD_SIGNATURE);
    seal.data[seal.len - 1] ^= 1;
    CHECK_OK(apply(l, rdg_buf_view(&proposal), &seal, &executed));
    CHECK_OK(rdg_executed_hash(&executed, &hash));
    certify(RDG_PHASE_CHECKPOINT, 1, &hash, 2, &seal); /* of 4 */
    CHECK_ERR(rdg_ledger_checkpoint(l, 1, rdg_buf_view(&seal)), RDG_E_BAD_SIGNATURE);
    certify(RDG_PHASE_CHECKPOINT, 1, &hash, 3, &seal);
    CHECK_OK(rdg_ledger_checkpoint(l, 1, rdg_buf_view(&seal)));
    rdg_buf_fini(&proposal), rdg_buf_fini(&seal);
    rdg_ledger_close(l);
}

TEST(a_block_of_pbft_is_not_sealed_by_one) {
    rdg_genesis_t g;
    rdg_buf_t proposal, seal;
    rdg_header_t header;
    rdg_hash_t hash;
    rdg_executed_t executed;
    support_genesis(&g);
    rdg_ledger_t *l = support_open("pbft", &g);
    rdg_buf_init(&proposal, 65536), rdg_buf_init(&seal, 65536);
    support_proposal(l, NULL, 0, &proposal);
    CHECK_OK(rdg_proposal_header(rdg_buf_view(&proposal), &header));
    CHECK_OK(rdg_header_hash(&header, &hash));
    certify(RDG_PHASE_RAFT_LEADER, 1, &hash, 1, &seal);
    CHECK_ERR(apply(l, rdg_buf_view(&proposal), &seal, &executed), RDG_E_BAD_SIGNATURE);
    rdg_buf_fini(&proposal), rdg_buf_fini(&seal);
    rdg_ledger_close(l);
}

TEST(the_genesis_hash_covers_the_consensus) {
    rdg_genesis_t g;
    support_genesis(&g);
    rdg_hash_t pbft = g.hash;
    snprintf(g.consensus, sizeof g.consensus, "raft");
    CHECK_OK(rdg_genesis_rehash(&g));
    CHECK(!rdg_hash_equal(&g.hash, &pbft));
}
