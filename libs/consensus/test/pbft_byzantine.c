/* What up to f replicas may send, and what no replica may be made to do by it. */
#include "certificate.h"
#include "fixture.h"
#include "pbft.h"

static rdg_statement_t statement(rdg_phase_t phase, uint64_t height, uint8_t digest) {
    rdg_statement_t s = {.phase = phase, .height = height};
    memset(s.digest.b, digest, sizeof s.digest.b);
    return s;
}

static rdg_err_t deliver(sim_t *s, uint32_t to, message_t *m) {
    rdg_buf_t b;
    rdg_buf_init(&b, 65536);
    m->kind = (uint32_t)m->statement.phase;
    CHECK_OK(message_encode(m, &b));
    rdg_err_t err = sim_deliver(s, m->index, to, rdg_buf_view(&b));
    rdg_buf_fini(&b);
    return err;
}

static message_t signed_message(sim_t *s, uint32_t index, rdg_statement_t st) {
    message_t m = {.index = index, .statement = st};
    sim_sign(s, index, &st, &m.signature);
    return m;
}

/* The same message with a valid signature of the evil node over what it says now. */
static void replace(sim_t *s, sim_work_t *packet, message_t *m) {
    rdg_buf_t b;
    rdg_buf_init(&b, 65536);
    sim_forge(s, m, &b);
    rdg_free(packet->bytes.data);
    packet->bytes.data = rdg_buf_take(&b, &packet->bytes.len);
}

TEST(a_proposal_is_refused_unless_it_is_the_leaders_for_this_epoch_and_digest) {
    sim_t *s = sim_new(4, 0, 1);
    rdg_buf_t block;
    rdg_hash_t parent = {{0}};
    rdg_buf_init(&block, 4096);
    sim_build(s, &parent, 1, 9, &block);
    rdg_statement_t st = {.phase = RDG_PHASE_PRE_PREPARE, .height = 1};
    CHECK_OK(sim_digest(NULL, rdg_buf_view(&block), &st.digest));
    message_t m = signed_message(s, 1, st);
    m.proposal = rdg_buf_view(&block);
    CHECK_ERR(deliver(s, 2, &m), RDG_E_PROTOCOL);
    st.epoch = 1, m = signed_message(s, 0, st), m.proposal = rdg_buf_view(&block);
    CHECK_ERR(deliver(s, 2, &m), RDG_E_STALE);
    st.epoch = 0, st.digest.b[0] ^= 1, m = signed_message(s, 0, st), m.proposal = rdg_buf_view(&block);
    CHECK_ERR(deliver(s, 2, &m), RDG_E_PROTOCOL);
    CHECK_EQ(s->nodes[2].record_count, 0);
    rdg_buf_fini(&block);
    sim_free(s);
}

TEST(a_vote_relabelled_in_any_field_is_refused) {
    sim_t *s = sim_new(4, 0, 1);
    message_t good = signed_message(s, 1, statement(RDG_PHASE_PREPARE, 1, 5)), m;
    CHECK_OK(deliver(s, 2, &good));
    m = good, m.statement.view = 1;
    CHECK_ERR(deliver(s, 2, &m), RDG_E_BAD_SIGNATURE);
    m = good, m.statement.height = 2;
    CHECK_ERR(deliver(s, 2, &m), RDG_E_BAD_SIGNATURE);
    m = good, m.statement.phase = RDG_PHASE_COMMIT;
    CHECK_ERR(deliver(s, 2, &m), RDG_E_BAD_SIGNATURE);
    m = good, m.statement.digest.b[31] ^= 1;
    CHECK_ERR(deliver(s, 2, &m), RDG_E_BAD_SIGNATURE);
    m = good, m.index = 3;
    CHECK_ERR(deliver(s, 2, &m), RDG_E_BAD_SIGNATURE);
    m = good, m.index = 4;
    CHECK_ERR(deliver(s, 2, &m), RDG_E_BAD_SIGNATURE);
    s->config.validators.chain_id = 8; /* signed for another chain */
    m = signed_message(s, 1, good.statement);
    CHECK_ERR(deliver(s, 2, &m), RDG_E_BAD_SIGNATURE);
    sim_free(s);
}

static rdg_certificate_t certificate(sim_t *s, uint32_t count) {
    rdg_certificate_t c = {.statement = statement(RDG_PHASE_COMMIT, 3, 7), .count = count};
    for (uint32_t i = 0; i < count; ++i) {
        c.votes[i].index = i;
        sim_sign(s, i, &c.statement, &c.votes[i].signature);
    }
    return c;
}

TEST(a_certificate_needs_a_quorum_of_distinct_members_over_one_statement) {
    sim_t *s = sim_new(4, 0, 1);
    const rdg_validator_set_t *set = &s->config.validators;
    rdg_certificate_t c = certificate(s, 3);
    CHECK_OK(certificate_verify_with(&c, set, RDG_PHASE_COMMIT, &s->config.host));
    CHECK_ERR(certificate_verify_with(&c, set, RDG_PHASE_PREPARE, &s->config.host), RDG_E_BAD_SIGNATURE);
    c.votes[2] = c.votes[1]; /* one signer twice */
    CHECK_ERR(certificate_verify_with(&c, set, RDG_PHASE_COMMIT, &s->config.host), RDG_E_BAD_SIGNATURE);
    c = certificate(s, 2);
    CHECK_ERR(certificate_verify_with(&c, set, RDG_PHASE_COMMIT, &s->config.host), RDG_E_BAD_SIGNATURE);
    c = certificate(s, 3), c.votes[0].index = 1, c.votes[1].index = 0;
    CHECK_ERR(certificate_verify_with(&c, set, RDG_PHASE_COMMIT, &s->config.host), RDG_E_BAD_SIGNATURE);
    c = certificate(s, 4), c.votes[3].index = 4;
    CHECK_ERR(certificate_verify_with(&c, set, RDG_PHASE_COMMIT, &s->config.host), RDG_E_BAD_SIGNATURE);
    c = certificate(s, 4), c.votes[3].signature.b[0] ^= 1; /* a quorum remains, the whole is refused */
    CHECK_ERR(certificate_verify_with(&c, set, RDG_PHASE_COMMIT, &s->config.host), RDG_E_BAD_SIGNATURE);
    c = certificate(s, 3), c.statement.view = 1;
    CHECK_ERR(certificate_verify_with(&c, set, RDG_PHASE_COMMIT, &s->config.host), RDG_E_BAD_SIGNATURE);
    c = certificate(s, 3), c.statement.epoch = 1;
    CHECK_ERR(certificate_verify_with(&c, set, RDG_PHASE_COMMIT, &s->config.host), RDG_E_BAD_SIGNATURE);
    sim_free(s);
}

TEST(a_contradiction_is_reported_once) {
    sim_t *s = sim_new(4, 0, 1);
    message_t a = signed_message(s, 1, statement(RDG_PHASE_PREPARE, 1, 5));
    message_t b = signed_message(s, 1, statement(RDG_PHASE_PREPARE, 1, 6));
    CHECK_OK(deliver(s, 2, &a));
    for (int i = 0; i < 3; ++i) CHECK_OK(deliver(s, 2, &b));
    CHECK_EQ(s->nodes[2].evidence, 1);
    sim_free(s);
}

TEST(only_more_than_f_replicas_can_claim_that_others_are_far_ahead) {
    sim_t *s = sim_new(4, 0, 1);
    message_t m = signed_message(s, 1, statement(RDG_PHASE_COMMIT, 1000, 5));
    CHECK_OK(deliver(s, 2, &m));
    CHECK_EQ(s->nodes[2].behind, 0);
    m = signed_message(s, 3, statement(RDG_PHASE_COMMIT, 40, 5));
    CHECK_OK(deliver(s, 2, &m));
    CHECK_EQ(s->nodes[2].behind, 1);
    sim_free(s);
}

/* --- a leader that says one thing here and another there
 * ---------------------------------------------------- */

static bool two_faced(sim_t *s, sim_work_t *packet) {
    message_t m;
    rdg_buf_t other;
    if (packet->to != 3) return true;
    CHECK_OK(message_decode(rdg_bytes(packet->bytes.data, packet->bytes.len), &m));
    if (m.kind == MESSAGE_STATUS || m.kind == RDG_PHASE_CHECKPOINT) return true;
    rdg_hash_t parent = s->agreed[m.statement.height - 1];
    rdg_buf_init(&other, 4096);
    sim_build(s, &parent, m.statement.height, 424242, &other);
    CHECK_OK(sim_digest(NULL, rdg_buf_view(&other), &m.statement.digest));
    m.proposal = rdg_buf_view(&other);
    replace(s, packet, &m);
    rdg_buf_fini(&other);
    return true;
}

TEST(an_equivocating_leader_cannot_make_honest_replicas_commit_different_blocks) {
    uint64_t decided = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        sim_t *s = sim_new(4, 0, seed);
        s->nodes[0].evil = true;
        s->tamper = two_faced;
        s->delay_max_ms = 50;
        s->duplicate_percent = 20;
        for (uint32_t k = 1; k < 4; ++k) sim_crash(s, k), sim_restart(s, k, false);
        sim_run(s, 5000);
        sim_crash(s, 1), sim_restart(s, 1, false);
        sim_run(s, 20000);
        decided += s->nodes[1].committed;
        sim_free(s);
    }
    CHECK(decided > 0); /* one of the two faces had its quorum */
}

static bool other_bytes(sim_t *s, sim_work_t *packet) {
    message_t m;
    (void)s;
    if (packet->to == 3 && message_decode(rdg_bytes(packet->bytes.data, packet->bytes.len), &m) == RDG_OK &&
        m.kind == RDG_PHASE_PRE_PREPARE)
        packet->bytes.data[packet->bytes.len - 1] ^= 1; /* the last byte of the body */
    return true;
}

TEST(other_bytes_under_the_same_digest_are_never_committed) {
    sim_t *s = sim_new(4, 0, 5);
    s->nodes[0].evil = true;
    s->tamper = other_bytes;
    CHECK(sim_run_to(s, 20, 60000)); /* replica 3 fetches what it could not accept */
    CHECK(s->nodes[3].behind > 0);
    sim_free(s);
}

/* --- small mutations, as ByzzFuzz makes them
 * ---------------------------------------------------------------- */

static bool mutate(sim_t *s, sim_work_t *packet) {
    message_t m;
    uint64_t choice = sim_below(s, 10);
    if (choice == 0) return false;
    if (choice == 1 && packet->bytes.len > 1) packet->bytes.len -= 1 + sim_below(s, packet->bytes.len - 1);
    if (choice == 2) packet->bytes.data[sim_below(s, packet->bytes.len)] ^= (uint8_t)(1u << sim_below(s, 8));
    if (choice < 3 || message_decode(rdg_bytes(packet->bytes.data, packet->bytes.len), &m) != RDG_OK)
        return true;
    if (m.kind == MESSAGE_STATUS) return true;
    if (choice == 3) m.statement.view += 1;
    if (choice == 4) m.statement.height += 1;
    if (choice == 5 && m.statement.height > 0) m.statement.height -= 1;
    if (choice == 6) m.statement.digest.b[0] ^= 1;
    if (choice == 7 && m.kind != RDG_PHASE_PRE_PREPARE)
        m.statement.phase = (rdg_phase_t)(2 + sim_below(s, 3));
    if (choice == 8) m.statement.height += 100;
    replace(s, packet, &m);
    return true;
}

TEST(a_mutating_follower_neither_breaks_safety_nor_stops_the_rest) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        sim_t *s = sim_new(4, 0, seed);
        uint32_t evil = 1 + (uint32_t)(seed % 3);
        s->nodes[evil].evil = true;
        s->tamper = mutate;
        s->loss_percent = 5, s->duplicate_percent = 10, s->delay_max_ms = 40;
        s->propose_to = 30;
        CHECK(sim_run_to(s, 30, 300000));
        sim_free(s);
    }
}

TEST(a_mutating_leader_never_breaks_safety) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        sim_t *s = sim_new(4, 0, seed);
        s->nodes[0].evil = true;
        s->tamper = mutate;
        s->delay_max_ms = 40;
        for (int i = 0; i < 4; ++i) {
            uint32_t victim = 1 + (uint32_t)sim_below(s, 3);
            sim_run(s, 2000);
            sim_crash(s, victim), sim_restart(s, victim, false);
        }
        sim_free(s);
    }
}

/* --- results, lost records, observers
 * ----------------------------------------------------------------------- */

TEST(a_replica_with_another_result_stops_voting_and_says_so) {
    sim_t *s = sim_new(4, 0, 3);
    rdg_consensus_status_t status;
    s->wrong_result = 3;
    sim_run(s, 3000);
    rdg_consensus_status(s->nodes[3].core, &status);
    CHECK(s->nodes[3].diverged && status.diverged && !status.voting);
    CHECK_EQ(s->nodes[1].checkpointed, 20);
    CHECK(!s->nodes[1].diverged);
    sim_free(s);
}

TEST(a_replica_without_its_records_votes_only_after_it_caught_up) {
    sim_t *s = sim_new(4, 0, 4);
    rdg_consensus_status_t status;
    s->propose_to = 100;
    CHECK(sim_run_to(s, 10, 10000));
    sim_crash(s, 3);
    sim_restart(s, 3, true);
    rdg_consensus_status(s->nodes[3].core, &status);
    CHECK(!status.voting);
    sim_crash(s, 3); /* the second restart knows of the first */
    sim_restart(s, 3, false);
    rdg_consensus_status(s->nodes[3].core, &status);
    CHECK(!status.voting);
    CHECK(sim_run_to(s, 100, 60000));
    rdg_consensus_status(s->nodes[3].core, &status);
    CHECK(status.voting);
    sim_free(s);
}

TEST(an_observer_never_votes_and_fetches_what_is_proved_to_it) {
    sim_t *s = sim_new(4, 1, 6);
    CHECK(!sim_run_to(s, 20, 2000));
    sim_block_t *b = &s->nodes[0].blocks[20];
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 16384);
    message_t m = {.kind = MESSAGE_STATUS, .certificate = rdg_bytes(b->seal.data, b->seal.len)};
    CHECK_OK(message_encode(&m, &bytes));
    CHECK_OK(sim_deliver(s, 0, 4, rdg_buf_view(&bytes)));
    CHECK_EQ(s->nodes[4].behind, 1);
    CHECK(sim_run_to(s, 20, 1000));
    CHECK_EQ(s->nodes[4].sent_count, 0);
    rdg_buf_fini(&bytes);
    sim_free(s);
}

/* --- the checker itself: each planted bug must be found
 * ------------------------------------------------------ */

TEST(planted_a_host_that_skips_persisting_is_found) {
    sim_t *s = sim_new(4, 0, 1);
    s->bug_skip_persist = s->expect_violation = true;
    sim_run(s, 1000);
    CHECK_STR(s->violation, "durable: sent what is not on record");
    sim_free(s);
}

TEST(planted_a_host_that_forgets_records_is_found) {
    sim_t *s = sim_new(4, 0, 1);
    s->bug_forget_on_restart = s->expect_violation = true;
    for (int i = 0; i < 50 && !s->violation; ++i) {
        sim_run(s, 7);
        for (uint32_t k = 0; k < 4; ++k) sim_crash(s, k), sim_restart(s, k, false);
    }
    CHECK_STR(s->violation, "once: signed two digests");
    sim_free(s);
}

TEST(planted_a_core_with_too_small_a_quorum_is_found) {
    sim_t *s = sim_new(4, 0, 1);
    s->expect_violation = true;
    s->nodes[0].evil = true;
    s->tamper = two_faced;
    for (uint32_t i = 0; i < 4; ++i) ((pbft_t *)s->nodes[i].core)->quorum = 2;
    sim_run(s, 3000);
    CHECK_STR(s->violation, "seal: a certificate does not verify");
    sim_free(s);
}

TEST(planted_a_host_that_does_not_check_messages_is_found) {
    sim_t *s = sim_new(4, 0, 1);
    s->bug_accept_unchecked = s->expect_violation = true;
    s->nodes[3].evil = true;
    sim_cut(s, 1, true);
    sim_cut(s, 2, true);
    sim_run(s, 20);
    rdg_statement_t st = {.phase = RDG_PHASE_COMMIT, .height = 1};
    CHECK(s->nodes[0].sent_count > 0);
    st.digest = s->nodes[0].sent[0].digest;
    for (uint32_t i = 1; i < 4; ++i) {
        message_t m = {.index = i, .statement = st}; /* no signature at all */
        (void)deliver(s, 0, &m);
    }
    CHECK_STR(s->violation, "seal: a certificate does not verify");
    sim_free(s);
}

/* --- memory
 * ------------------------------------------------------------------------------------------------- */

static rdg_err_t one_block(sim_t *s, rdg_consensus_output_t **out) {
    rdg_consensus_config_t config = s->config;
    rdg_consensus_t *core = NULL;
    rdg_buf_t block;
    rdg_hash_t parent = {{0}};
    config.validators.count = 1;
    config.host.ctx = (void *)(uintptr_t)1;
    rdg_buf_init(&block, 4096);
    sim_build(s, &parent, 1, 1, &block);
    rdg_err_t err = rdg_buf_err(&block);
    *out = rdg_consensus_output_new();
    if (err == RDG_OK && !*out) err = RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = rdg_pbft_new(&config, &core);
    if (err == RDG_OK)
        err = rdg_consensus_step(core, 1, &(rdg_consensus_event_t){.kind = RDG_EVENT_START}, *out);
    rdg_consensus_event_t payload = {.kind = RDG_EVENT_PAYLOAD, .height = 1, .bytes = rdg_buf_view(&block)};
    if (err == RDG_OK) {
        size_t before = rdg_consensus_output_count(*out);
        err = rdg_consensus_step(core, 1, &payload, *out);
        if (err != RDG_OK) {
            CHECK_EQ(rdg_consensus_output_count(*out), before); /* nothing of it is visible */
            CHECK_ERR(rdg_consensus_step(core, 1, &payload, *out), err);
        }
    }
    rdg_consensus_free(core);
    rdg_consensus_output_free(*out);
    rdg_buf_fini(&block);
    return err;
}

TEST(out_of_memory_puts_nothing_out_and_stops_the_core) {
    sim_t *s = sim_new(1, 0, 1);
    rdg_consensus_output_t *out;
    rdg_err_t err = RDG_OK;
    RDG_TEST_ALLOC_LOOP(err) {
        err = one_block(s, &out);
    }
    sim_free(s);
}
