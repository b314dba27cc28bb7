/* Safety and liveness of PBFT's normal case: whatever the network and the disks do while the leader lives. */
#include "fixture.h"

TEST(four_replicas_decide_the_same_blocks_in_order) {
    sim_t *s = sim_new(4, 0, 1);
    CHECK(sim_run_to(s, 20, 10000));
    sim_run(s, 2000);
    for (uint32_t i = 0; i < 4; ++i) {
        CHECK_EQ(s->nodes[i].committed, 20);
        CHECK_EQ(s->nodes[i].checkpointed, 20);
        CHECK_EQ(s->nodes[i].evidence, 0);
        CHECK_EQ(s->nodes[i].behind, 0);
    }
    sim_free(s);
}

TEST(decides_with_sm2_signatures) {
    sim_t *s = sim_new(4, 0, 2);
    sim_use_sm2(s);
    s->propose_to = 5;
    CHECK(sim_run_to(s, 5, 10000));
    rdg_certificate_t c;
    sim_block_t *b = &s->nodes[3].blocks[5];
    CHECK_OK(rdg_certificate_decode(rdg_bytes(b->seal.data, b->seal.len), &c));
    CHECK_OK(rdg_certificate_verify(&c, &s->config.validators, RDG_PHASE_COMMIT, 5, &b->digest));
    sim_free(s);
}

TEST(one_to_seven_validators_decide) {
    for (uint32_t n = 1; n <= 7; ++n) {
        sim_t *s = sim_new(n, 0, n);
        if (!sim_run_to(s, 20, 20000)) rdg_test_fail(__FILE__, __LINE__, "%u validators", n);
        sim_free(s);
    }
}

TEST(tolerates_one_dead_follower_and_catches_it_up) {
    sim_t *s = sim_new(4, 0, 3);
    sim_crash(s, 2);
    CHECK(sim_run_to(s, 20, 20000));
    sim_restart(s, 2, false);
    CHECK_EQ(s->nodes[2].executed, 0);
    CHECK(sim_run_to(s, 20, 20000)); /* though the chain is idle */
    CHECK(s->nodes[2].behind > 0);
    s->propose_to = 40;
    CHECK(sim_run_to(s, 40, 20000));
    sim_free(s);
}

static void storm(uint64_t seed, uint32_t validators) {
    sim_t *s = sim_new(validators, 0, seed);
    s->loss_percent = (uint32_t)sim_below(s, 30);
    s->duplicate_percent = (uint32_t)sim_below(s, 30);
    s->delay_max_ms = 1 + sim_below(s, 300);
    s->execute_ms = sim_below(s, 40);
    s->propose_to = 60;
    for (int round = 0; round < 12; ++round) {
        uint32_t i = (uint32_t)sim_below(s, validators);
        switch (sim_below(s, 4)) {
        case 0: sim_crash(s, i), sim_run(s, sim_below(s, 2000)), sim_restart(s, i, false); break;
        case 1: sim_cut(s, i, true), sim_run(s, sim_below(s, 3000)), sim_cut(s, i, false); break;
        case 2:
            for (uint32_t k = 0; k < validators; ++k) sim_crash(s, k);
            for (uint32_t k = 0; k < validators; ++k) sim_restart(s, k, false);
            break;
        default: sim_run(s, sim_below(s, 1500));
        }
    }
    s->loss_percent = s->duplicate_percent = 0;
    s->delay_max_ms = 20;
    s->propose_to = 80;
    if (!sim_run_to(s, 80, 600000)) {
        for (uint32_t i = 0; i < validators; ++i)
            rdg_test_fail(__FILE__, __LINE__, "seed %llu: stuck at %llu %llu %llu %llu",
                          (unsigned long long)seed, (unsigned long long)s->nodes[0].executed,
                          (unsigned long long)s->nodes[1].executed, (unsigned long long)s->nodes[2].executed,
                          (unsigned long long)s->nodes[3].executed);
    }
    sim_free(s);
}

TEST(survives_storms_of_loss_crashes_and_partitions) {
    for (uint64_t seed = 1; seed <= 60; ++seed) storm(seed, 4);
}

TEST(survives_storms_with_other_sizes) {
    for (uint64_t seed = 1; seed <= 15; ++seed)
        storm(seed, 1), storm(seed, 2), storm(seed, 3), storm(seed, 7);
}

TEST(execution_that_lags_holds_decisions_back_at_the_window) {
    sim_t *s = sim_new(4, 0, 8);
    s->propose_to = 40;
    s->execute_ms = 5000;
    sim_run(s, 4000);
    for (uint32_t i = 0; i < 4; ++i) {
        CHECK_EQ(s->nodes[i].committed, RDG_CONSENSUS_WINDOW);
        CHECK_EQ(s->nodes[i].behind, 0);
    }
    s->execute_ms = 0;
    CHECK(sim_run_to(s, 40, 60000));
    sim_free(s);
}

TEST(a_slow_replica_does_not_hold_the_others_back) {
    sim_t *s = sim_new(4, 0, 11);
    s->slow = 2;
    s->propose_to = 40;
    sim_run(s, 3000);
    CHECK_EQ(s->nodes[1].executed, 40);
    CHECK_EQ(s->nodes[2].committed, RDG_CONSENSUS_WINDOW);
    s->slow = SIM_NODES_MAX;
    CHECK(sim_run_to(s, 40, 60000));
    sim_free(s);
}

TEST(a_fetch_that_failed_is_asked_for_again) {
    sim_t *s = sim_new(4, 0, 9);
    rdg_buf_t bytes;
    sim_crash(s, 2);
    CHECK(sim_run_to(s, 20, 20000));
    sim_restart(s, 2, false);
    sim_crash(s, 3);
    sim_block_t *b = &s->nodes[3].blocks[20];
    message_t m = {.kind = MESSAGE_STATUS, .certificate = rdg_bytes(b->seal.data, b->seal.len)};
    rdg_buf_init(&bytes, 16384);
    CHECK_OK(message_encode(&m, &bytes));
    CHECK_OK(sim_deliver(s, 3, 2, rdg_buf_view(&bytes))); /* its sender is gone when asked for the blocks */
    CHECK_EQ(s->nodes[2].behind, 1);
    sim_run(s, 100);
    CHECK_EQ(s->nodes[2].executed, 0);
    CHECK(sim_run_to(s, 20, 20000));
    rdg_buf_fini(&bytes);
    sim_free(s);
}

TEST(a_vote_on_record_binds_over_a_restart) {
    sim_t *s = sim_new(4, 0, 10);
    rdg_hash_t parent = {{0}};
    rdg_consensus_t *core;
    rdg_consensus_output_t *out = rdg_consensus_output_new();
    rdg_consensus_config_t config = s->config;
    message_t vote = {.index = 2, .statement = {.phase = RDG_PHASE_PREPARE, .height = 1, .digest = {{9}}}};
    message_t proposal = {.index = 0, .statement = {.phase = RDG_PHASE_PRE_PREPARE, .height = 1}};
    rdg_buf_t record, block, bytes;
    const uint8_t key[] = {'v', 0, 0, 0, 0, 0, 0, 0, 1, RDG_PHASE_PREPARE};
    rdg_buf_init(&record, 4096), rdg_buf_init(&block, 4096), rdg_buf_init(&bytes, 8192);
    sim_forge(s, &vote, &record);
    sim_build(s, &parent, 1, 1, &block);
    proposal.proposal = rdg_buf_view(&block);
    CHECK_OK(sim_digest(NULL, proposal.proposal, &proposal.statement.digest));
    sim_forge(s, &proposal, &bytes);
    config.self = 2, config.host.ctx = (void *)(uintptr_t)3;
    CHECK_OK(rdg_pbft_new(&config, &core));
    rdg_consensus_record_t r = {rdg_bytes(key, sizeof key), rdg_buf_view(&record)};
    rdg_consensus_event_t start = {.kind = RDG_EVENT_START, .records = &r, .record_count = 1};
    CHECK_OK(rdg_consensus_step(core, 1, &start, out));
    rdg_consensus_event_t e = {.kind = RDG_EVENT_MESSAGE, .bytes = rdg_buf_view(&bytes)};
    CHECK_OK(rdg_consensus_step(core, 2, &e, out));
    e = (rdg_consensus_event_t){
        .kind = RDG_EVENT_VALIDATED, .height = 1, .digest = proposal.statement.digest, .ok = true};
    CHECK_OK(rdg_consensus_step(core, 3, &e, out));
    for (size_t i = 0; i < rdg_consensus_output_count(out); ++i) {
        rdg_consensus_action_kind_t kind = rdg_consensus_output_at(out, i)->kind;
        CHECK(kind != RDG_ACTION_WRITE && kind != RDG_ACTION_SEND);
    }
    rdg_buf_fini(&record), rdg_buf_fini(&block), rdg_buf_fini(&bytes);
    rdg_consensus_output_free(out);
    rdg_consensus_free(core);
    sim_free(s);
}
