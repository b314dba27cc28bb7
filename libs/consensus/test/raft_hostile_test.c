/* Raft: lost records, messages that are forged, changed or played back, and planted bugs that must be found. */
#include "certificate.h"
#include "fixture.h"
#include "raft.h"
#include "ridge/codec/rlp.h"

/* --- lost records ----------------------------------------------------------------------------------------
 */

static raft_t *core(sim_t *s, uint32_t i) {
    return (raft_t *)s->nodes[i].core;
}

static void lose_all(sim_t *s, uint32_t i) {
    sim_node_t *n = &s->nodes[i];
    sim_crash(s, i);
    for (size_t h = 1; h < SIM_HEIGHTS; ++h) {
        rdg_free(n->blocks[h].payload.data), rdg_free(n->blocks[h].seal.data);
        n->blocks[h] = (sim_block_t){.seal.len = 0};
    }
    n->executed = n->committed = n->checkpointed = 0;
}

TEST(raft_a_replica_without_its_records_votes_only_after_it_has_asked_the_others) {
    for (uint32_t count = 2; count <= 5; ++count) {
        sim_t *s = sim_new_raft(count, 0, count);
        s->propose_to = 40;
        CHECK(sim_run_to(s, 10, 20000));
        lose_all(s, 1);
        sim_restart(s, 1, true);
        CHECK(!raft_may_vote(core(s, 1)));
        sim_run(s, 3000);
        CHECK(raft_may_vote(core(s, 1)));
        s->propose_to = 60;
        if (!sim_run_to(s, 60, 20000)) rdg_test_fail(__FILE__, __LINE__, "%u validators", count);
        sim_free(s);
    }
}

/* What 0 and 1 have decided, 1 has lost and 2 never had: 1 and 2 must not go on without it. */
static sim_t *decided_by_one_that_forgot(bool told) {
    sim_t *s = sim_new_raft(3, 0, 21);
    s->propose_to = 5;
    s->expect_violation = !told;
    CHECK(sim_run_to(s, 5, 20000));
    uint32_t leader = sim_leader(s), forgets = (leader + 1) % 3, absent = (leader + 2) % 3;
    sim_cut(s, absent, true);
    s->propose_to = 10;
    sim_run(s, 1000);
    CHECK_EQ(s->nodes[leader].committed, 10);
    sim_crash(s, leader);
    lose_all(s, forgets);
    sim_cut(s, absent, false);
    s->propose_to = 15;
    sim_restart(s, forgets, told);
    sim_run(s, 20000);
    CHECK(!told || s->nodes[absent].committed == 5);
    sim_restart(s, leader, false);
    CHECK(sim_run_to(s, 15, 20000) || !told);
    return s;
}

TEST(raft_what_a_replica_that_forgot_has_helped_to_decide_stays_decided) {
    sim_free(decided_by_one_that_forgot(true));
}

/* It votes, and has what others told of: until then the next must not forget, who may be the only one to know. */
static bool has_recovered(const raft_t *p) {
    return raft_may_vote(p) && raft_reaches(raft_end(p), p->floor);
}

TEST(raft_storms_in_which_one_replica_loses_its_records) {
    for (uint64_t seed = 1; seed <= 16; ++seed) {
        sim_t *s = sim_new_raft(3 + 2 * (uint32_t)(seed % 2), 0, seed);
        s->loss_percent = (uint32_t)sim_below(s, 20);
        s->duplicate_percent = 20;
        for (uint64_t round = 1; round <= 12; ++round) {
            uint32_t i = (uint32_t)sim_below(s, s->validators), k = (uint32_t)sim_below(s, s->validators);
            s->propose_to = 8 * round;
            sim_run(s, sim_below(s, 2000));
            lose_all(s, i);
            sim_cut(s, k, true);
            sim_run(s, sim_below(s, 3000));
            sim_restart(s, i, true);
            sim_run(s, sim_below(s, 3000));
            sim_cut(s, k, false);
            for (int wait = 0; wait < 100 && !has_recovered(core(s, i)); ++wait) sim_run(s, 500);
            CHECK(has_recovered(core(s, i)));
        }
        s->propose_to = 120;
        if (!sim_run_to(s, 120, 60000))
            rdg_test_fail(__FILE__, __LINE__, "seed %llu", (unsigned long long)seed);
        sim_free(s);
    }
}

/* --- messages --------------------------------------------------------------------------------------------
 */

static void entry_of(sim_t *s, uint64_t height, rdg_buf_t *block, raft_message_t *m) {
    sim_build(s, &s->agreed[height - 1], height, 77, block);
    m->entries[0] = (raft_message_entry_t){.term = m->term, .proposal = rdg_buf_view(block)};
    CHECK_OK(sim_digest(NULL, rdg_buf_view(block), &m->entries[0].digest));
    m->entry_count = 1;
}

typedef struct scene {
    sim_t *s;
    uint32_t leader, follower;
    rdg_buf_t block, bytes;
    raft_message_t m; /* an append of the leader's that the follower would take */
} scene_t;

static void scene(scene_t *c) {
    c->s = sim_new_raft(3, 0, 31);
    c->s->propose_to = 5;
    CHECK(sim_run_to(c->s, 5, 20000));
    sim_run(c->s, 500);
    c->leader = sim_leader(c->s), c->follower = (c->leader + 1) % 3;
    rdg_buf_init(&c->block, 4096), rdg_buf_init(&c->bytes, 65536);
    uint64_t term = core(c->s, c->leader)->term;
    c->m = (raft_message_t){.kind = RAFT_APPEND,
                            .from = c->leader,
                            .to = c->follower,
                            .term = term,
                            .seq = 1000000,
                            .height = 5,
                            .entry_term = term,
                            .first = 1,
                            .commit = 5};
    entry_of(c->s, 6, &c->block, &c->m);
}

static void scene_end(scene_t *c) {
    rdg_buf_fini(&c->block), rdg_buf_fini(&c->bytes);
    sim_free(c->s);
}

static rdg_err_t forged(scene_t *c, const raft_message_t *m) {
    raft_message_t copy = *m;
    rdg_buf_clear(&c->bytes);
    sim_forge_raft(c->s, &copy, &c->bytes);
    return rdg_consensus_check(c->s->nodes[c->follower].core, rdg_buf_view(&c->bytes));
}

/* The link says who speaks: whoever else hands a message over, another validator, a node without a vote or the receiver
 * itself, is refused, and nothing changes. */
TEST(raft_a_message_is_taken_from_its_senders_link_only) {
    scene_t c;
    scene(&c);
    const uint32_t links[] = {c.follower, 3 - c.leader - c.follower, 3, RDG_CONSENSUS_ALL};
    for (int kind = RAFT_PRE_VOTE; kind <= RAFT_CHECKPOINT; ++kind) {
        raft_message_t m = {
            .kind = (raft_kind_t)kind, .from = c.leader, .to = c.follower, .term = c.m.term + 5};
        if (kind == RAFT_APPEND) m = c.m;
        if (kind == RAFT_APPEND_REPLY || kind >= RAFT_READ) m.seq = 1;
        if (kind == RAFT_CHECKPOINT) m.to = 0, m.term = m.seq = 0, m.height = 6;
        CHECK_OK(forged(&c, &m));
        const raft_t before = *core(c.s, c.follower);
        for (size_t i = 0; i < sizeof links / sizeof links[0]; ++i)
            CHECK_ERR(sim_deliver(c.s, links[i], c.follower, rdg_buf_view(&c.bytes)), RDG_E_PROTOCOL);
        const raft_t *after = core(c.s, c.follower);
        CHECK_EQ(after->term, before.term);
        CHECK_EQ(after->voted, before.voted);
        CHECK_EQ(after->last, before.last);
        CHECK_EQ(after->role, before.role);
        CHECK_EQ(after->heard_seq, before.heard_seq);
        CHECK(!after->checkpoints[6 % RAFT_CHECKPOINTS].votes[c.leader].present);
    }
    CHECK_OK(forged(&c, &c.m));
    CHECK_OK(sim_deliver(c.s, c.leader, c.follower, rdg_buf_view(&c.bytes)));
    CHECK_EQ(core(c.s, c.follower)->last, 6);
    scene_end(&c);
}

TEST(raft_a_checkpoint_vote_is_refused_when_any_bit_of_it_was_changed) {
    scene_t c;
    scene(&c);
    const rdg_consensus_t *follower = c.s->nodes[c.follower].core;
    raft_message_t m = {.kind = RAFT_CHECKPOINT, .from = c.leader, .height = 5, .digest = {{9}}};
    CHECK_OK(forged(&c, &m));
    for (size_t i = 0; i + 31 < c.bytes.len; ++i) /* the fast signatures leave their last 31 bytes unused */
        for (int bit = 0; bit < 8; ++bit) {
            c.bytes.data[i] ^= (uint8_t)(1 << bit);
            if (rdg_consensus_check(follower, rdg_buf_view(&c.bytes)) == RDG_OK)
                rdg_test_fail(__FILE__, __LINE__, "byte %zu, bit %d", i, bit);
            c.bytes.data[i] ^= (uint8_t)(1 << bit);
        }
    c.s->config.validators.chain_id = 8; /* signs for another chain now */
    CHECK_ERR(forged(&c, &m), RDG_E_BAD_SIGNATURE);
    scene_end(&c);
}

TEST(raft_a_message_is_of_use_only_to_its_receiver_and_epoch) {
    scene_t c;
    scene(&c);
    raft_message_t m = c.m;
    m.to = 3 - c.leader - c.follower;
    CHECK_ERR(forged(&c, &m), RDG_E_PROTOCOL);
    m = c.m, m.epoch = 1;
    CHECK_ERR(forged(&c, &m), RDG_E_STALE);
    m = c.m, m.from = 3;
    CHECK_ERR(forged(&c, &m), RDG_E_PROTOCOL);
    m = c.m, m.from = c.follower;
    CHECK_ERR(forged(&c, &m), RDG_E_PROTOCOL);
    m = c.m, m.entries[0].digest.b[0] ^= 1; /* not that of its bytes */
    CHECK_ERR(forged(&c, &m), RDG_E_PROTOCOL);
    m = c.m, m.entries[0].term += 1;
    CHECK_ERR(forged(&c, &m), RDG_E_PROTOCOL);
    scene_end(&c);
}

/* One encoding a message: what its kind does not have is not there, the signature included. */
TEST(raft_a_field_that_a_kind_does_not_have_is_refused) {
    scene_t c;
    scene(&c);
    CHECK_OK(forged(&c, &c.m));
    rdg_buf_t other;
    rdg_buf_init(&other, 65536);
    size_t list = rdg_rlp_list_begin(&other);
    rdg_rlp_t outer, fields;
    rdg_rlp_init(&outer, rdg_buf_view(&c.bytes));
    CHECK_OK(rdg_rlp_list(&outer, &fields));
    for (int i = 0; i < 15; ++i) rdg_rlp_put_raw(&other, rdg_rlp_raw(&fields));
    CHECK_EQ(rdg_rlp_bytes(&fields).len, 0);
    const uint8_t signature[64] = {1};
    rdg_rlp_put_bytes(&other, rdg_bytes(signature, sizeof signature));
    CHECK_OK(rdg_rlp_list_end(&other, list));
    CHECK_ERR(rdg_consensus_check(c.s->nodes[c.follower].core, rdg_buf_view(&other)), RDG_E_MALFORMED);
    rdg_buf_fini(&other);
    scene_end(&c);
}

TEST(raft_a_seal_is_one_valid_signature_over_the_block_and_its_height) {
    scene_t c;
    scene(&c);
    rdg_hash_t digest = {{4}};
    rdg_certificate_t seal = {.count = 1, .statement = {RDG_PHASE_RAFT_LEADER, 0, 1, 6, digest}};
    const rdg_validator_set_t *set = &c.s->config.validators;
    const rdg_consensus_host_t *host = &c.s->config.host;
    sim_sign(c.s, 0, &seal.statement, &seal.votes[0].signature);
    CHECK_OK(certificate_verify_raft_with(&seal, set, RDG_PHASE_RAFT_LEADER, host));
    CHECK_ERR(certificate_verify_raft_with(&seal, set, RDG_PHASE_CHECKPOINT, host), RDG_E_BAD_SIGNATURE);
    CHECK_ERR(certificate_verify_with(&seal, set, RDG_PHASE_RAFT_LEADER, host), RDG_E_BAD_SIGNATURE);
    seal.votes[0].index = 1; /* another's signature */
    CHECK_ERR(certificate_verify_raft_with(&seal, set, RDG_PHASE_RAFT_LEADER, host), RDG_E_BAD_SIGNATURE);
    sim_sign(c.s, 1, &seal.statement, &seal.votes[1].signature);
    seal.votes[0].index = 0, seal.votes[1].index = 1, seal.count = 2; /* one too many: two say nothing more */
    CHECK_ERR(certificate_verify_raft_with(&seal, set, RDG_PHASE_RAFT_LEADER, host), RDG_E_BAD_SIGNATURE);
    seal.count = 0;
    CHECK_ERR(certificate_verify_raft_with(&seal, set, RDG_PHASE_RAFT_LEADER, host), RDG_E_BAD_SIGNATURE);
    for (uint64_t field = 0; field < 4; ++field) {
        seal = (rdg_certificate_t){.count = 1, .statement = {RDG_PHASE_RAFT_LEADER, 0, 1, 6, digest}};
        sim_sign(c.s, 0, &seal.statement, &seal.votes[0].signature);
        seal.statement.view += field == 0;
        seal.statement.height += field == 1;
        seal.statement.digest.b[0] ^= field == 2;
        seal.statement.epoch += field == 3;
        CHECK_ERR(certificate_verify_raft_with(&seal, set, RDG_PHASE_RAFT_LEADER, host), RDG_E_BAD_SIGNATURE);
    }
    scene_end(&c);
}

TEST(raft_a_second_leader_of_a_term_or_another_block_for_a_term_and_height_is_refused) {
    scene_t c;
    scene(&c);
    raft_message_t m = c.m;
    CHECK_OK(forged(&c, &m));
    CHECK_OK(sim_deliver(c.s, c.leader, c.follower, rdg_buf_view(&c.bytes)));
    rdg_buf_t other;
    rdg_buf_init(&other, 4096);
    sim_build(c.s, &c.s->agreed[5], 6, 78, &other);
    m.entries[0].proposal = rdg_buf_view(&other), m.seq += 1;
    CHECK_OK(sim_digest(NULL, rdg_buf_view(&other), &m.entries[0].digest));
    CHECK_OK(forged(&c, &m));
    CHECK_ERR(sim_deliver(c.s, c.leader, c.follower, rdg_buf_view(&c.bytes)), RDG_E_PROTOCOL);
    m = c.m, m.from = 3 - c.leader - c.follower;
    CHECK_OK(forged(&c, &m));
    CHECK_ERR(sim_deliver(c.s, m.from, c.follower, rdg_buf_view(&c.bytes)), RDG_E_PROTOCOL);
    rdg_buf_fini(&other);
    scene_end(&c);
}

/* Else it would ask for votes in a term in which it never voted for itself, and count those of the term before. */
TEST(raft_a_candidate_that_takes_over_a_block_of_a_later_term_stands_no_more) {
    scene_t c;
    scene(&c);
    raft_t *p = core(c.s, c.follower);
    rdg_consensus_output_t *out = rdg_consensus_output_new();
    CHECK_OK(raft_campaign(p, false, out));
    CHECK_EQ(p->role, RAFT_CANDIDATE);
    CHECK_OK(raft_save(p, out));
    rdg_certificate_t seal = {.count = 1};
    seal.votes[0].index = c.leader;
    seal.statement =
        (rdg_statement_t){.phase = RDG_PHASE_RAFT_LEADER, .view = p->term + 1, .height = 6, .digest = {{4}}};
    sim_sign(c.s, c.leader, &seal.statement, &seal.votes[0].signature);
    CHECK_OK(rdg_certificate_encode(&seal, &c.bytes));
    CHECK_OK(raft_log_adopt(p, 6, &seal.statement.digest, rdg_buf_view(&c.bytes), out));
    CHECK_EQ(p->term, seal.statement.view);
    CHECK_EQ(p->role, RAFT_FOLLOWER);
    CHECK_EQ(p->voted, RAFT_NOBODY);
    rdg_consensus_output_free(out);
    scene_end(&c);
}

TEST(raft_messages_played_back_keep_no_dead_leader_alive) {
    scene_t c;
    scene(&c);
    c.m.seq = core(c.s, c.leader)->seq + 1, c.m.entry_count = 0;
    CHECK_OK(forged(&c, &c.m));
    sim_crash(c.s, c.leader);
    uint64_t term = core(c.s, c.follower)->term, end = c.s->now_ms + 3000;
    while (c.s->now_ms < end) {
        (void)sim_deliver(c.s, c.leader, c.follower, rdg_buf_view(&c.bytes));
        sim_run(c.s, 50);
    }
    CHECK(core(c.s, c.follower)->term > term);
    CHECK(sim_leader(c.s) < 3);
    scene_end(&c);
}

TEST(raft_an_answer_to_what_was_not_sent_is_refused) {
    scene_t c;
    scene(&c);
    raft_message_t m = {.kind = RAFT_APPEND_REPLY,
                        .from = c.follower,
                        .to = c.leader,
                        .term = c.m.term,
                        .seq = 1u << 30,
                        .height = 5,
                        .flags = RAFT_FLAG_OK};
    sim_forge_raft(c.s, &m, &c.bytes);
    CHECK_ERR(sim_deliver(c.s, c.follower, c.leader, rdg_buf_view(&c.bytes)), RDG_E_PROTOCOL);
    m.seq = 1, m.height = 600;
    rdg_buf_clear(&c.bytes);
    sim_forge_raft(c.s, &m, &c.bytes);
    CHECK_ERR(sim_deliver(c.s, c.follower, c.leader, rdg_buf_view(&c.bytes)), RDG_E_PROTOCOL);
    scene_end(&c);
}

/* Raft does not protect from a validator that lies, but a liar must not crash the others either. */
static bool lie(sim_t *s, sim_work_t *packet) {
    raft_message_t m;
    rdg_buf_t bytes;
    if (sim_below(s, 3) > 0 ||
        raft_message_decode(rdg_bytes(packet->bytes.data, packet->bytes.len), &m) != RDG_OK)
        return true;
    uint64_t *const numbers[] = {&m.term, &m.height, &m.entry_term, &m.start, &m.first, &m.commit, &m.seq};
    *numbers[sim_below(s, 7)] += sim_below(s, 2) ? 1 : UINT64_MAX;
    if (sim_below(s, 4) == 0) m.flags ^= RAFT_FLAG_OK;
    rdg_buf_init(&bytes, 1u << 20);
    sim_forge_raft(s, &m, &bytes);
    rdg_free(packet->bytes.data);
    packet->bytes = (sim_blob_t){rdg_memdup(bytes.data, bytes.len), bytes.len};
    rdg_buf_fini(&bytes);
    return true;
}

TEST(raft_a_liar_crashes_nobody) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        sim_t *s = sim_new_raft(3 + 2 * (uint32_t)(seed % 2), 0, seed);
        s->expect_violation = true;
        s->nodes[0].evil = true;
        s->tamper = lie;
        s->propose_to = 100;
        for (int round = 0; round < 20; ++round) {
            s->violation = NULL;
            sim_run(s, 1000);
        }
        sim_free(s);
    }
}

/* --- what execution gave ---------------------------------------------------------------------------------
 */

TEST(raft_who_differs_from_the_majority_stops_and_the_others_go_on) {
    for (uint32_t wrong = 0; wrong < 3; ++wrong) {
        sim_t *s = sim_new_raft(3, 0, 5);
        s->wrong_result = wrong;
        s->propose_to = 40;
        sim_run(s, 10000);
        for (uint32_t i = 0; i < 3; ++i) CHECK_EQ(s->nodes[i].diverged, i == wrong);
        CHECK(s->nodes[(wrong + 1) % 3].checkpointed == 40);
        sim_free(s);
    }
}

TEST(raft_of_two_that_differ_the_follower_stops) {
    sim_t *s = sim_new_raft(2, 0, 5);
    s->wrong_result = 0;
    s->propose_to = 4;
    sim_run(s, 1600);
    uint32_t leader = sim_leader(s);
    CHECK(leader < 2 && s->nodes[1 - leader].diverged && !s->nodes[leader].diverged);
    sim_free(s);
}

/* --- planted bugs ----------------------------------------------------------------------------------------
 */

static void majority_of_one(sim_t *s, uint32_t i) {
    core(s, i)->majority = 1;
}
/* The bug of several implementations: a candidate that steps down in its term votes again. */
static void forget_vote(sim_t *s, uint32_t i) {
    if (core(s, i)->role == RAFT_FOLLOWER) core(s, i)->voted = RAFT_NOBODY;
}
/* Entries of earlier terms are committed as soon as they are counted. */
static void no_opening(sim_t *s, uint32_t i) {
    core(s, i)->start = 0;
}
static void count_what_was_sent(sim_t *s, uint32_t i) {
    for (uint32_t k = 0; k < s->validators; ++k) core(s, i)->peers[k].match = core(s, i)->last;
}
static void trust_own_lead(sim_t *s, uint32_t i) {
    for (uint32_t k = 0; k < s->validators; ++k)
        core(s, i)->peers[k].acked = UINT64_MAX, core(s, i)->peers[k].heard_ms = s->now_ms;
}

static bool finds(sim_t *s) {
    s->expect_violation = true;
    s->loss_percent = 20, s->duplicate_percent = 20, s->delay_max_ms = 400;
    for (uint64_t round = 1; round <= 15 && !s->violation; ++round) {
        uint32_t i = (uint32_t)sim_below(s, s->validators);
        s->propose_to = 8 * round;
        if (sim_below(s, 2)) {
            sim_crash(s, i), sim_run(s, sim_below(s, 2000)), sim_restart(s, i, false);
        } else {
            sim_cut(s, i, true);
            sim_run(s, 500 + sim_below(s, 4000));
            for (uint32_t k = 0; k < s->validators; ++k) sim_read(s, k);
            sim_run(s, sim_below(s, 1000));
            sim_cut(s, i, false);
        }
        sim_run(s, sim_below(s, 3000));
    }
    bool found = s->violation != NULL;
    sim_free(s);
    return found;
}

static void must_find(void (*bug)(sim_t *s, uint32_t i), const char *name) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        sim_t *s = sim_new_raft(3 + 2 * (uint32_t)(seed % 2), 0, seed);
        s->after_step = bug;
        if (finds(s)) return;
    }
    rdg_test_fail(__FILE__, __LINE__, "not found: %s", name);
}

TEST(raft_planted_a_majority_that_is_none_is_found) {
    must_find(majority_of_one, "majority_of_one");
}
TEST(raft_planted_a_vote_that_is_forgotten_in_its_term_is_found) {
    must_find(forget_vote, "forget_vote");
}
TEST(raft_planted_commits_of_an_earlier_term_are_found) {
    must_find(no_opening, "no_opening");
}
TEST(raft_planted_entries_counted_before_they_are_acknowledged_are_found) {
    must_find(count_what_was_sent, "count_what_was_sent");
}
TEST(raft_planted_reads_without_a_majority_are_found) {
    must_find(trust_own_lead, "trust_own_lead");
}

TEST(raft_planted_a_host_that_forgets_and_does_not_say_so_is_found) {
    sim_t *s = decided_by_one_that_forgot(false);
    CHECK(s->violation != NULL);
    sim_free(s);
}

TEST(raft_planted_a_host_that_skips_persisting_is_found) {
    sim_t *s = sim_new_raft(3, 0, 3);
    s->bug_skip_persist = s->expect_violation = true;
    sim_run(s, 5000);
    CHECK(s->violation && strstr(s->violation, "durable"));
    sim_free(s);
}

/* --- trouble of its own ----------------------------------------------------------------------------------
 */

static rdg_err_t one_block(sim_t *s, rdg_consensus_output_t **out) {
    rdg_hash_t parent = {{0}};
    rdg_consensus_t *c = NULL;
    rdg_consensus_config_t config = s->config;
    rdg_buf_t block;
    size_t before = 0;
    config.host.ctx = (void *)(uintptr_t)1;
    *out = rdg_consensus_output_new();
    rdg_err_t err = *out ? rdg_raft_new(&config, &c) : RDG_E_NO_MEMORY;
    rdg_buf_init(&block, 4096);
    sim_build(s, &parent, 1, 1, &block);
    rdg_consensus_event_t events[] = {
        {.kind = RDG_EVENT_START},
        {.kind = RDG_EVENT_PAYLOAD, .height = 1, .view = 1, .bytes = rdg_buf_view(&block)},
        {.kind = RDG_EVENT_EXECUTED, .height = 1}};
    if (err == RDG_OK) err = rdg_buf_err(&block);
    for (size_t i = 0; err == RDG_OK && i < 3; ++i) {
        before = rdg_consensus_output_count(*out);
        err = rdg_consensus_step(c, 1000, &events[i], *out);
        if (err == RDG_OK) continue;
        CHECK_EQ(rdg_consensus_output_count(*out), before);
        CHECK_ERR(rdg_consensus_step(c, 1000, &events[i], *out), RDG_E_NO_MEMORY);
    }
    rdg_buf_fini(&block);
    rdg_consensus_free(c);
    rdg_consensus_output_free(*out);
    return err;
}

TEST(raft_out_of_memory_puts_nothing_out_and_stops_the_core) {
    sim_t *s = sim_new_raft(1, 0, 1);
    rdg_consensus_output_t *out;
    rdg_err_t err = RDG_OK;
    RDG_TEST_ALLOC_LOOP(err) {
        err = one_block(s, &out);
    }
    sim_free(s);
}
