/* Raft: elections, replication, what follows from crashes and cuts. */
#include "fixture.h"

#define ELECTION_MS 2000 /* twice the base */

TEST(raft_one_to_seven_validators_decide_the_same_blocks) {
    for (uint32_t n = 1; n <= 7; ++n) {
        sim_t *s = sim_new_raft(n, 0, n);
        if (!sim_run_to(s, 20, 20000)) rdg_test_fail(__FILE__, __LINE__, "%u validators", n);
        sim_run(s, 1000);
        for (uint32_t i = 0; i < n; ++i) {
            CHECK_EQ(s->nodes[i].committed, 20);
            CHECK_EQ(s->nodes[i].checkpointed, 20);
            CHECK_EQ(s->nodes[i].behind, 0);
        }
        sim_free(s);
    }
}

TEST(raft_decides_with_sm2_signatures) {
    sim_t *s = sim_new_raft(3, 0, 2);
    sim_use_sm2(s);
    s->propose_to = 5;
    CHECK(sim_run_to(s, 5, 10000));
    rdg_certificate_t c;
    sim_block_t *b = &s->nodes[2].blocks[5];
    CHECK_OK(rdg_certificate_decode(rdg_bytes(b->seal.data, b->seal.len), &c));
    CHECK_OK(rdg_certificate_verify_raft(&c, &s->config.validators, RDG_PHASE_RAFT_LEADER, 5, &b->digest));
    sim_free(s);
}

TEST(raft_goes_on_after_the_leader_died_and_takes_it_back) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        sim_t *s = sim_new_raft(3, 0, seed);
        s->propose_to = 200;
        CHECK(sim_run_to(s, 5, 20000));
        uint32_t leader = sim_leader(s);
        sim_crash(s, leader);
        uint64_t died = s->now_ms, height = s->nodes[(leader + 1) % 3].committed;
        CHECK(sim_run_to(s, height + 2, ELECTION_MS));
        CHECK(s->now_ms - died <= ELECTION_MS);
        sim_restart(s, leader, false);
        CHECK(sim_run_to(s, height + 10, 20000));
        sim_free(s);
    }
}

TEST(raft_a_majority_that_is_gone_stops_the_chain_until_it_is_back) {
    sim_t *s = sim_new_raft(5, 0, 3);
    s->propose_to = 250;
    CHECK(sim_run_to(s, 5, 20000));
    for (uint32_t i = 0; i < 3; ++i) sim_crash(s, i);
    sim_run(s, 500);
    uint64_t height =
        s->nodes[3].committed > s->nodes[4].committed ? s->nodes[3].committed : s->nodes[4].committed;
    sim_run(s, 10000);
    CHECK(s->nodes[3].committed <= height && s->nodes[4].committed <= height);
    for (uint32_t i = 0; i < 3; ++i) sim_restart(s, i, false);
    CHECK(sim_run_to(s, height + 10, 20000));
    sim_free(s);
}

/* --- cuts and returns ------------------------------------------------------------------------------------
 */

static rdg_consensus_status_t status_of(sim_t *s, uint32_t i) {
    rdg_consensus_status_t status;
    rdg_consensus_status(s->nodes[i].core, &status);
    return status;
}

TEST(raft_a_leader_that_is_cut_off_steps_down) {
    sim_t *s = sim_new_raft(3, 0, 5);
    s->propose_to = 200;
    CHECK(sim_run_to(s, 5, 20000));
    uint32_t old = sim_leader(s);
    sim_cut(s, old, true);
    sim_run(s, 1300); /* longer than the base, shorter than an election may take */
    CHECK(status_of(s, old).leader != old);
    sim_run(s, 1500);
    uint32_t now = sim_leader(s);
    CHECK(now != old && now < 3);
    uint64_t term = status_of(s, now).view;
    sim_cut(s, old, false);
    sim_run(s, 3000);
    CHECK_EQ(status_of(s, now).view, term); /* pre-vote: it comes back without disturbing */
    CHECK_EQ(status_of(s, old).leader, now);
    s->propose_to = 220;
    CHECK(sim_run_to(s, 220, 5000));
    sim_free(s);
}

TEST(raft_a_follower_that_comes_back_disturbs_nobody) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        sim_t *s = sim_new_raft(5, 0, seed);
        s->propose_to = 250;
        CHECK(sim_run_to(s, 5, 20000));
        uint32_t leader = sim_leader(s), away = (leader + 1) % 5;
        uint64_t term = status_of(s, leader).view;
        sim_cut(s, away, true);
        sim_run(s, 20000);
        sim_cut(s, away, false);
        sim_run(s, 3000);
        CHECK_EQ(status_of(s, leader).view, term);
        CHECK_EQ(status_of(s, away).leader, leader);
        CHECK_EQ(s->nodes[away].executed, s->nodes[leader].executed);
        sim_free(s);
    }
}

/* It hears its followers, they do not hear it: nobody learns of anything, so another must lead. */
TEST(raft_a_leader_that_nobody_hears_is_replaced) {
    sim_t *s = sim_new_raft(3, 0, 8);
    s->propose_to = 200;
    CHECK(sim_run_to(s, 5, 20000));
    uint32_t old = sim_leader(s);
    for (uint32_t i = 0; i < 3; ++i) s->blocked[old][i] = true;
    sim_run(s, 2 * ELECTION_MS);
    uint32_t now = sim_leader(s);
    CHECK(now != old && now < 3);
    uint64_t height = s->nodes[now].committed;
    sim_run(s, 1000);
    CHECK(s->nodes[now].committed > height || height >= 200);
    sim_free(s);
}

TEST(raft_an_idle_chain_keeps_its_leader) {
    sim_t *s = sim_new_raft(5, 0, 9);
    s->propose_to = 3;
    CHECK(sim_run_to(s, 3, 20000));
    uint64_t term = status_of(s, 0).view;
    sim_run(s, 120000);
    for (uint32_t i = 0; i < 5; ++i) CHECK_EQ(status_of(s, i).view, term);
    sim_free(s);
}

TEST(raft_a_follower_far_behind_fetches_sealed_blocks) {
    sim_t *s = sim_new_raft(3, 0, 10);
    s->propose_to = 100;
    CHECK(sim_run_to(s, 2, 20000));
    uint32_t away = (sim_leader(s) + 1) % 3;
    sim_crash(s, away);
    CHECK(sim_run_to(s, 100, 60000));
    sim_restart(s, away, false);
    s->propose_to = 120;
    CHECK(sim_run_to(s, 120, 20000));
    CHECK(s->nodes[away].behind > 0);
    sim_free(s);
}

TEST(raft_execution_that_lags_holds_the_leader_back_at_the_window) {
    sim_t *s = sim_new_raft(3, 0, 11);
    s->propose_to = 60;
    s->execute_ms = 5000;
    sim_run(s, 5500);
    for (uint32_t i = 0; i < 3; ++i) {
        CHECK(s->nodes[i].committed <= s->nodes[i].executed + RDG_CONSENSUS_WINDOW);
        CHECK_EQ(s->nodes[i].behind, 0);
    }
    s->execute_ms = 0;
    CHECK(sim_run_to(s, 60, 60000));
    sim_free(s);
}

TEST(raft_a_slow_follower_does_not_hold_the_others_back) {
    sim_t *s = sim_new_raft(3, 0, 12);
    CHECK(sim_run_to(s, 2, 20000));
    s->slow = (sim_leader(s) + 1) % 3;
    s->propose_to = 60;
    sim_run(s, 4000);
    CHECK_EQ(s->nodes[sim_leader(s)].executed, 60);
    s->slow = SIM_NODES_MAX;
    CHECK(sim_run_to(s, 60, 120000));
    sim_free(s);
}

/* --- transfer and reads ----------------------------------------------------------------------------------
 */

TEST(raft_the_lead_is_handed_over_without_an_election_time_out) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        sim_t *s = sim_new_raft(3, 0, seed);
        s->propose_to = 200;
        CHECK(sim_run_to(s, 5, 20000));
        uint32_t old = sim_leader(s), to = (old + 1) % 3;
        CHECK_ERR(sim_transfer(s, to, old), RDG_E_INVALID);
        CHECK_ERR(sim_transfer(s, old, old), RDG_E_INVALID);
        CHECK_OK(sim_transfer(s, old, seed % 2 ? to : RDG_CONSENSUS_ALL));
        sim_run(s, 100);
        CHECK(seed % 2 ? sim_leader(s) == to : sim_leader(s) != old);
        uint64_t height = s->nodes[old].committed;
        sim_run(s, 200);
        CHECK(s->nodes[old].committed > height || height == 200);
        sim_free(s);
    }
}

TEST(raft_a_transfer_to_one_that_is_away_is_given_up) {
    sim_t *s = sim_new_raft(3, 0, 4);
    s->propose_to = 200;
    CHECK(sim_run_to(s, 5, 20000));
    uint32_t leader = sim_leader(s), away = (leader + 1) % 3;
    sim_crash(s, away);
    CHECK_OK(sim_transfer(s, leader, away));
    sim_run(s, 500);
    uint64_t height = s->nodes[leader].committed;
    sim_run(s, 1000);
    CHECK_EQ(sim_leader(s), leader);
    CHECK(s->nodes[leader].committed > height);
    sim_free(s);
}

TEST(raft_any_replica_gets_a_read_index_while_there_is_a_leader) {
    sim_t *s = sim_new_raft(3, 0, 6);
    s->propose_to = 200;
    CHECK(sim_run_to(s, 5, 20000));
    for (uint32_t i = 0; i < 3; ++i) sim_read(s, i);
    sim_run(s, 100);
    for (uint32_t i = 0; i < 3; ++i) CHECK_EQ(s->nodes[i].reads, 1);
    uint32_t old = sim_leader(s);
    sim_cut(s, old, true);
    sim_read(s, old); /* it still thinks that it leads */
    sim_run(s, ELECTION_MS + 500);
    CHECK_EQ(s->nodes[old].reads, 1);
    CHECK_EQ(s->nodes[old].reads_failed, 1);
    sim_free(s);
}

/* --- weights and epochs ----------------------------------------------------------------------------------
 */

TEST(raft_more_than_half_of_the_weight_decides) {
    sim_t *s = sim_new_raft(4, 0, 14);
    s->config.validators.weights[0] = 4; /* of 7: it needs nobody, and nobody can do without it */
    s->propose_to = 10;
    sim_restart_all(s);
    CHECK(sim_run_to(s, 10, 20000));
    for (uint32_t i = 1; i < 4; ++i) sim_crash(s, i);
    s->propose_to = 20;
    CHECK(sim_run_to(s, 20, 20000));
    for (uint32_t i = 1; i < 4; ++i) sim_restart(s, i, false);
    CHECK(sim_run_to(s, 20, 20000));
    sim_crash(s, 0);
    s->propose_to = 30;
    sim_run(s, 10000);
    for (uint32_t i = 1; i < 4; ++i) CHECK_EQ(s->nodes[i].committed, 20);
    sim_free(s);
}

TEST(raft_nothing_is_decided_above_the_last_height_of_an_epoch) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
        sim_t *s = sim_new_raft(3, 0, seed);
        s->propose_to = 100;
        s->ends_at = 3 + seed;
        s->last_height = s->ends_at + RDG_CONSENSUS_WINDOW;
        s->loss_percent = 5;
        s->slow = seed % 2 ? 2 : SIM_NODES_MAX;
        sim_run(s, 4000);
        sim_crash(s, 1), sim_run(s, 1000), sim_restart(s, 1, false);
        s->loss_percent = 0, s->slow = SIM_NODES_MAX;
        CHECK(sim_run_to(s, s->last_height, 120000));
        sim_run(s, 20000);
        for (uint32_t i = 0; i < 3; ++i) {
            CHECK_EQ(s->nodes[i].committed, s->last_height);
            CHECK_EQ(status_of(s, i).last_height, s->last_height);
        }
        sim_free(s);
    }
}

static uint64_t settled[SIM_NODES_MAX];

static void count_settled(sim_t *s, uint32_t i) {
    for (size_t k = 0; k < rdg_consensus_output_count(s->nodes[i].out); ++k)
        settled[i] += rdg_consensus_output_at(s->nodes[i].out, k)->kind == RDG_ACTION_CHECKPOINT;
}

TEST(raft_no_checkpoint_is_skipped_because_a_later_one_was_faster) {
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        sim_t *s = sim_new_raft(3, 0, seed);
        s->propose_to = 40;
        s->loss_percent = 10;
        s->delay_max_ms = 60;
        s->after_step = count_settled;
        for (uint32_t i = 0; i < 3; ++i) settled[i] = 0;
        CHECK(sim_run_to(s, 40, 600000));
        s->loss_percent = 0;
        sim_run(s, 20000);
        /* A replica that imported a block takes no part in what was before it. */
        for (uint32_t i = 0; i < 3; ++i)
            if (s->nodes[i].behind == 0) CHECK_EQ(settled[i], 40);
        CHECK(settled[0] == 40 || settled[1] == 40 || settled[2] == 40);
        sim_free(s);
    }
}

/* --- storms ----------------------------------------------------------------------------------------------
 */

static void wake(sim_t *s) {
    for (uint32_t i = 0; i < s->validators; ++i)
        if (!s->nodes[i].up) sim_restart(s, i, false);
}

static void trouble(sim_t *s, uint32_t i) {
    switch (sim_below(s, 7)) {
    case 0: sim_crash(s, i), sim_run(s, sim_below(s, 3000)), sim_restart(s, i, false); break;
    case 1: sim_cut(s, i, true), sim_run(s, sim_below(s, 4000)), sim_cut(s, i, false); break;
    case 2:
        for (uint32_t k = 0; k < s->validators; ++k) sim_crash(s, k);
        for (uint32_t k = 0; k < s->validators; ++k) sim_restart(s, k, false);
        break;
    case 3:
        for (uint32_t k = 0; k < s->validators; ++k) s->blocked[i][k] = sim_below(s, 2);
        sim_run(s, sim_below(s, 4000));
        for (uint32_t k = 0; k < s->validators; ++k) s->blocked[i][k] = false;
        break;
    case 4:
        if (s->nodes[i].up) (void)sim_transfer(s, i, RDG_CONSENSUS_ALL);
        break;
    case 5:
        for (uint32_t k = 0; k < s->validators; ++k) sim_read(s, k);
        break;
    default: sim_run(s, sim_below(s, 2500));
    }
    sim_run(s, sim_below(s, 1000));
    wake(s);
}

static void heal(sim_t *s) {
    s->loss_percent = s->duplicate_percent = s->torn = 0;
    s->delay_max_ms = 20;
    wake(s);
}

static void storm(uint64_t seed, uint32_t validators, uint32_t torn) {
    sim_t *s = sim_new_raft(validators, 0, seed);
    s->loss_percent = (uint32_t)sim_below(s, 30);
    s->duplicate_percent = (uint32_t)sim_below(s, 30);
    s->delay_max_ms = 1 + sim_below(s, 200);
    s->execute_ms = sim_below(s, 40);
    s->torn = torn;
    for (uint64_t round = 1; round <= 15; ++round) {
        s->propose_to = 8 * round; /* there is always something under way */
        trouble(s, (uint32_t)sim_below(s, validators));
    }
    heal(s);
    s->propose_to = 140;
    if (!sim_run_to(s, 140, 120000))
        rdg_test_fail(__FILE__, __LINE__, "seed %llu, %u validators: stuck at %llu", (unsigned long long)seed,
                      validators, (unsigned long long)s->nodes[0].executed);
    sim_free(s);
}

TEST(raft_survives_storms_of_loss_crashes_and_partitions) {
    for (uint64_t seed = 1; seed <= 30; ++seed) storm(seed, 3, 0);
}

TEST(raft_survives_storms_with_other_sizes) {
    for (uint64_t seed = 1; seed <= 5; ++seed)
        storm(seed, 1, 0), storm(seed, 2, 0), storm(seed, 4, 0), storm(seed, 5, 0), storm(seed, 7, 0);
}

/* A node dies in a step: before its disk, or after it with some of the rest done. */
TEST(raft_survives_crashes_in_the_middle_of_any_step) {
    for (uint64_t seed = 100; seed <= 125; ++seed) storm(seed, 3 + 2 * (uint32_t)(seed % 2), 1 + seed % 4);
}
