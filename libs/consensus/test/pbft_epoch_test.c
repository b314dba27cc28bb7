#include "certificate.h"
#include "fixture.h"

static void set_weights(sim_t *s, const uint32_t *weights) {
    for (uint32_t i = 0; i < s->validators; ++i) s->config.validators.weights[i] = weights[i];
    sim_restart_all(s);
}

TEST(quorums_are_of_weight_not_of_heads) {
    rdg_validator_set_t set = {.count = 4, .weights = {0, 5, 1, 1}};
    CHECK_EQ(rdg_validators_weight(&set, 0), 1);
    CHECK_EQ(rdg_validators_weight(&set, 4), 0);
    CHECK_EQ(rdg_validators_total(&set), 8);
    CHECK_EQ(rdg_validators_quorum(rdg_validators_total(&set)), 6);
    for (uint32_t total = 1; total < 300; ++total) {
        uint32_t f = rdg_validators_faults(total), q = rdg_validators_quorum(total);
        CHECK(2 * q - total >= f + 1); /* two quorums share more than f */
        CHECK(q <= total - f);         /* and one is there without the faulty */
    }
    for (uint32_t i = 0; i < RDG_VALIDATORS_MAX; ++i) {
        set.keys[i].b[0] = (uint8_t)(i + 1);
        set.weights[i] = RDG_VALIDATOR_WEIGHT_MAX;
    }
    set.count = RDG_VALIDATORS_MAX;
    CHECK_OK(rdg_validators_check(&set));
    CHECK_EQ(rdg_validators_total(&set), 64000000);
    set.weights[3] = RDG_VALIDATOR_WEIGHT_MAX + 1;
    CHECK_ERR(rdg_validators_check(&set), RDG_E_INVALID);
}

TEST(the_heavy_decide_and_the_light_do_not) {
    static const uint32_t weights[] = {3, 3, 1};
    sim_t *s = sim_new(3, 0, 11);
    set_weights(s, weights); /* 7: a quorum is 5, two may be faulty together */
    sim_crash(s, 2);
    CHECK(sim_run_to(s, 10, 60000));
    sim_restart(s, 2, false);
    CHECK(sim_run_to(s, 15, 60000));
    sim_crash(s, 0);
    uint64_t before = s->nodes[1].executed;
    sim_run(s, 20000);
    CHECK(s->nodes[1].executed <= before + 1); /* what was under way may still end */
    sim_free(s);
}

TEST(a_certificate_of_many_light_signers_is_none) {
    sim_t *s = sim_new(4, 0, 12);
    s->config.validators.weights[3] = 6; /* 9: a quorum is 7 */
    rdg_certificate_t c = {.statement = {RDG_PHASE_COMMIT, 0, 0, 5, {{1}}}, .count = 3};
    for (uint32_t i = 0; i < 3; ++i) {
        c.votes[i].index = i;
        sim_sign(s, i, &c.statement, &c.votes[i].signature);
    }
    CHECK_ERR(certificate_verify_with(&c, &s->config.validators, RDG_PHASE_COMMIT, &s->config.host),
              RDG_E_BAD_SIGNATURE);
    c.votes[2].index = 3;
    sim_sign(s, 3, &c.statement, &c.votes[2].signature);
    CHECK_OK(certificate_verify_with(&c, &s->config.validators, RDG_PHASE_COMMIT, &s->config.host));
    c.votes[0].index = 3; /* the heavy one twice */
    c.votes[0].signature = c.votes[2].signature;
    c.count = 2;
    CHECK_ERR(certificate_verify_with(&c, &s->config.validators, RDG_PHASE_COMMIT, &s->config.host),
              RDG_E_BAD_SIGNATURE);
    sim_free(s);
}

TEST(nothing_is_decided_above_the_last_height_of_an_epoch) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
        sim_t *s = sim_new(4, 0, seed);
        s->propose_to = 100;
        s->ends_at = 3 + seed;
        s->last_height = s->ends_at + RDG_CONSENSUS_WINDOW;
        s->loss_percent = 5;
        s->slow = seed % 2 ? 3 : SIM_NODES_MAX;
        sim_run(s, 4000);
        sim_crash(s, 1);
        sim_run(s, 1000);
        sim_restart(s, 1, false);
        s->loss_percent = 0, s->slow = SIM_NODES_MAX;
        CHECK(sim_run_to(s, s->last_height, 120000));
        sim_run(s, 20000);
        for (uint32_t i = 0; i < s->count; ++i) {
            rdg_consensus_status_t status;
            rdg_consensus_status(s->nodes[i].core, &status);
            CHECK_EQ(s->nodes[i].committed, s->last_height);
            CHECK_EQ(status.last_height, s->last_height);
        }
        sim_free(s);
    }
}

TEST(the_end_of_an_epoch_does_not_move) {
    sim_t *s = sim_new(1, 0, 3);
    s->last_height = 30, s->ends_at = 5;
    CHECK(sim_run_to(s, 6, 10000));
    rdg_consensus_event_t e = {
        .kind = RDG_EVENT_EXECUTED, .height = s->nodes[0].committed, .last_height = 31};
    CHECK_ERR(rdg_consensus_step(s->nodes[0].core, s->now_ms, &e, s->nodes[0].out), RDG_E_INVALID);
    sim_free(s);
}

static uint64_t settled[SIM_NODES_MAX];

static void count_settled(sim_t *s, uint32_t i) {
    for (size_t k = 0; k < rdg_consensus_output_count(s->nodes[i].out); ++k)
        settled[i] += rdg_consensus_output_at(s->nodes[i].out, k)->kind == RDG_ACTION_CHECKPOINT;
}

TEST(no_checkpoint_is_skipped_because_a_later_one_was_faster) {
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        sim_t *s = sim_new(4, 0, seed);
        s->propose_to = 40;
        s->loss_percent = 10;
        s->delay_max_ms = 60;
        s->after_step = count_settled;
        for (uint32_t i = 0; i < 4; ++i) settled[i] = 0;
        CHECK(sim_run_to(s, 40, 600000));
        s->loss_percent = 0;
        sim_run(s, 20000);
        /* A replica that imported a block takes no part in what was before it. */
        uint64_t most = 0;
        for (uint32_t i = 0; i < 4; ++i) {
            if (s->nodes[i].behind == 0) CHECK_EQ(settled[i], 40);
            if (settled[i] > most) most = settled[i];
        }
        CHECK(most >= 38);
        sim_free(s);
    }
}

TEST(leaders_take_turns_without_a_time_out) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
        sim_t *s = sim_new(4, 0, seed);
        rdg_consensus_status_t status;
        s->config.rotate_every = 5;
        sim_restart_all(s);
        s->propose_to = 60;
        uint64_t start = s->now_ms;
        CHECK(sim_run_to(s, 60, 60000));
        CHECK(s->now_ms - start < 2000 + 60 * 60); /* less than one time-out beside the blocks themselves */
        for (uint32_t i = 0; i < 4; ++i) {
            rdg_consensus_status(s->nodes[i].core, &status);
            CHECK(status.view >= 10 && status.view <= 13);
        }
        sim_free(s);
    }
}

TEST(a_turn_that_falls_to_a_dead_leader_passes_on) {
    sim_t *s = sim_new(4, 0, 5);
    s->config.rotate_every = 4;
    sim_restart_all(s);
    s->propose_to = 200;
    CHECK(sim_run_to(s, 2, 10000));
    sim_crash(s, 1);
    CHECK(sim_run_to(s, 60, 200000));
    sim_restart(s, 1, false);
    s->loss_percent = 10;
    CHECK(sim_run_to(s, 120, 400000));
    s->loss_percent = 0;
    CHECK(sim_run_to(s, 160, 200000));
    sim_free(s);
}

/* Whoever decides first changes the view at once; the other has the block and lacks only the votes, which come with the
 * view change. */
TEST(turns_between_two_leave_nobody_behind) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
        sim_t *s = sim_new(2, 0, seed);
        s->config.rotate_every = 1;
        sim_restart_all(s);
        s->propose_to = 60;
        s->execute_ms = 260;
        s->delay_max_ms = 18;
        uint64_t start = s->now_ms;
        CHECK(sim_run_to(s, 60, 60000));
        CHECK(s->now_ms - start < 60 * 400);
        CHECK_EQ(s->nodes[0].behind + s->nodes[1].behind, 0);
        sim_free(s);
    }
}

static sim_t *changing_chain(uint64_t seed) {
    static const uint32_t counts[] = {2, 3, 4, 3, 1};
    sim_t *s = sim_new(1, 3, seed);
    s->changes = sizeof counts / sizeof counts[0];
    for (uint64_t k = 0; k < s->changes; ++k) {
        s->at[k] = 4 + 22 * k;
        s->counts[k] = counts[k];
    }
    s->propose_to = 130;
    return s;
}

static void check_last_epoch(sim_t *s, uint64_t height) {
    CHECK(sim_run_to(s, height, 600000));
    for (uint32_t i = 0; i < s->count; ++i) {
        rdg_consensus_status_t status;
        rdg_consensus_status(s->nodes[i].core, &status);
        CHECK_EQ(status.epoch, 5);
        CHECK_EQ(status.count, 1);
        CHECK_EQ(status.voting, i == 0);
    }
    sim_free(s);
}

TEST(validators_change_from_one_to_four_and_back_to_one) {
    for (uint64_t seed = 1; seed <= 5; ++seed) check_last_epoch(changing_chain(seed), 125);
}

TEST(validators_change_amid_crashes_loss_and_cuts) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        sim_t *s = changing_chain(seed);
        s->loss_percent = 5, s->duplicate_percent = 5;
        s->delay_max_ms = 40;
        for (int round = 0; round < 60; ++round) {
            uint32_t victim = (uint32_t)sim_below(s, 4);
            sim_run(s, 100 + sim_below(s, 1200));
            if (sim_below(s, 2) == 0 && s->nodes[victim].up) {
                sim_crash(s, victim);
                sim_run(s, sim_below(s, 3000));
                sim_restart(s, victim, false);
            } else {
                sim_cut(s, victim, true);
                sim_run(s, sim_below(s, 3000));
                sim_cut(s, victim, false);
            }
        }
        s->loss_percent = s->duplicate_percent = 0;
        check_last_epoch(s, 125);
    }
}
