/* Which acts of administrators a proof of the main chain lets stand. The proofs are as rdg_anchor_proof_verify leaves them; that
 * one verifies against the right validators only is tested on a main chain (suites mainchain, recovery). */
#include "ridge/client/anchors.h"
#include "ridge/base/alloc.h"
#include "ridge/test.h"
#include <string.h>

enum { CHAIN = 77, LAST = 40, EPOCH = 2 };

static const rdg_hash_t GENESIS = {{1, 2, 3}}, OTHER = {{4}}, DIGEST = {{5, 6}};

static void says(rdg_err_t err, rdg_err_t want, const char *text) {
    CHECK_EQ(err, want);
    if (!strstr(rdg_err_message(err), text))
        rdg_test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", rdg_err_message(err), text);
}

static rdg_anchor_proof_t proof_of_archive(void) {
    rdg_anchor_proof_t p = {.entry = {.chain = CHAIN, .kind = RDG_ANCHOR_ARCHIVE},
                            .chain = {.archived_to = LAST, .epoch = EPOCH - 1}};
    memcpy(p.chain.genesis, GENESIS.b, sizeof p.chain.genesis);
    return p;
}

TEST(anchors_an_act_is_signed_behind_the_last_archived_block_of_its_chain_only) {
    rdg_succession_report_t *act = rdg_calloc(1, sizeof *act);
    rdg_anchor_proof_t p = proof_of_archive();
    act->chain_id = CHAIN;
    act->genesis = GENESIS;
    act->succession.height = LAST;
    act->succession.epoch.validators.epoch = EPOCH;
    CHECK_OK(rdg_anchor_check_act(&p, act));
    p.entry.chain = CHAIN + 1;
    says(rdg_anchor_check_act(&p, act), RDG_E_WRONG_CHAIN, "another chain");
    p = proof_of_archive();
    memcpy(p.chain.genesis, OTHER.b, sizeof p.chain.genesis); /* of the same number */
    says(rdg_anchor_check_act(&p, act), RDG_E_WRONG_CHAIN, "another chain");
    p = proof_of_archive();
    p.chain.archived_to = LAST + 1; /* an older block: its threshold was another one */
    says(rdg_anchor_check_act(&p, act), RDG_E_CONFLICT,
         "for block 40, and the main chain has archives up to block 41");
    p.chain.archived_to = LAST - 1; /* one that nobody has an archive of */
    says(rdg_anchor_check_act(&p, act), RDG_E_CONFLICT, "up to block 39");
    p = proof_of_archive();
    p.chain.epoch = EPOCH; /* another change has this number */
    says(rdg_anchor_check_act(&p, act), RDG_E_CONFLICT, "begins epoch 2");
    p.chain.epoch = EPOCH + 1;
    says(rdg_anchor_check_act(&p, act), RDG_E_CONFLICT, "begins epoch 2");
    rdg_free(act);
}

static rdg_anchor_proof_t proof_of_change(uint64_t epoch, rdg_buf_t *data) {
    rdg_anchor_proof_t p = {.entry = {.chain = CHAIN, .kind = RDG_ANCHOR_VALIDATORS}};
    json_t *values = json_pack("[I, I, o]", (json_int_t)epoch, (json_int_t)LAST + 1,
                               rdg_json_hex(DIGEST.b, sizeof DIGEST.b));
    rdg_buf_clear(data);
    CHECK_OK(rdg_anchor_encode_data(p.entry.kind, values, data));
    json_decref(values);
    p.entry.data = rdg_buf_view(data);
    memcpy(p.chain.genesis, GENESIS.b, sizeof p.chain.genesis);
    return p;
}

TEST(anchors_a_genesis_with_an_act_is_used_only_if_the_main_chain_has_that_act) {
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    rdg_buf_t data;
    rdg_buf_init(&data, RDG_ANCHOR_DATA_MAX);
    rdg_anchor_proof_t p = proof_of_change(EPOCH, &data);
    g->validators.chain_id = CHAIN;
    g->hash = GENESIS;
    says(rdg_anchor_check_extended(&p, g), RDG_E_CONFLICT, "no act by which epoch 2 began");
    g->succession_count = 1;
    g->successions[0].epoch.validators.epoch = EPOCH;
    g->successions[0].epoch_digest = DIGEST;
    CHECK_OK(rdg_anchor_check_extended(&p, g));
    g->successions[0].epoch_digest = OTHER;
    says(rdg_anchor_check_extended(&p, g), RDG_E_CONFLICT, "do not use this genesis");
    g->successions[0].epoch_digest = DIGEST;
    g->validators.chain_id = CHAIN + 1;
    says(rdg_anchor_check_extended(&p, g), RDG_E_WRONG_CHAIN, "another chain");
    g->validators.chain_id = CHAIN;
    g->hash = OTHER;
    says(rdg_anchor_check_extended(&p, g), RDG_E_WRONG_CHAIN, "another chain");
    g->hash = GENESIS;
    p = proof_of_change(EPOCH + 1, &data);
    says(rdg_anchor_check_extended(&p, g), RDG_E_CONFLICT, "no act by which epoch 3 began");
    p = proof_of_change(EPOCH, &data);
    p.entry.kind = RDG_ANCHOR_CHECKPOINT;
    says(rdg_anchor_check_extended(&p, g), RDG_E_CONFLICT, "no change of validators");
    rdg_buf_fini(&data);
    rdg_free(g);
}
