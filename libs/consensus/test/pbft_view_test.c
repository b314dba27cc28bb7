/* The leader dies, lies, or is slow: the others go on without it, and never contradict what was decided. */
#include "certificate.h"
#include "fixture.h"
#include "pbft.h"

static uint64_t view_of(const sim_t *s, uint32_t i) {
    rdg_consensus_status_t status;
    rdg_consensus_status(s->nodes[i].core, &status);
    return status.view;
}

static void must_reach(sim_t *s, uint64_t height, uint64_t ms, uint64_t seed) {
    if (sim_run_to(s, height, ms)) return;
    for (uint32_t i = 0; i < s->count; ++i)
        if (s->nodes[i].up && s->nodes[i].executed < height)
            rdg_test_fail(__FILE__, __LINE__, "seed %llu: node %u of %u is at %llu in view %llu",
                          (unsigned long long)seed, i, s->count, (unsigned long long)s->nodes[i].executed,
                          (unsigned long long)view_of(s, i));
}

/* --- leaders that are gone
 * ------------------------------------------------------------------------------- */

TEST(a_leader_that_is_dead_from_the_start_is_replaced) {
    for (uint32_t n = 4; n <= 7; ++n) {
        sim_t *s = sim_new(n, 0, n);
        sim_crash(s, 0);
        must_reach(s, 20, 6000, n);
        CHECK_EQ(view_of(s, 1), 1);
        sim_restart(s, 0, false);
        must_reach(s, 20, 10000, n);
        s->propose_to = 30;
        must_reach(s, 30, 5000, n);
        sim_run(s, 8000); /* on the idle chain it learns of the view */
        CHECK_EQ(view_of(s, 0), 1);
        sim_free(s);
    }
}

TEST(two_dead_leaders_of_seven_are_replaced) {
    sim_t *s = sim_new(7, 0, 1);
    sim_crash(s, 0), sim_crash(s, 1);
    must_reach(s, 20, 15000, 1);
    CHECK_EQ(view_of(s, 3), 2);
    sim_free(s);
}

TEST(a_leader_may_crash_at_any_moment_and_come_back) {
    for (uint64_t ms = 0; ms < 150; ++ms) {
        sim_t *s = sim_new(4, 0, ms);
        s->delay_max_ms = 10, s->execute_ms = ms % 3 ? 2 : 60;
        sim_run(s, ms);
        sim_crash(s, 0);
        must_reach(s, 20, 20000, ms);
        sim_restart(s, 0, false);
        s->propose_to = 30;
        must_reach(s, 30, 20000, ms);
        sim_crash(s, 1); /* the next leader */
        s->propose_to = 40;
        must_reach(s, 40, 20000, ms);
        sim_free(s);
    }
}

TEST(all_replicas_may_restart_while_they_change_the_view) {
    for (uint64_t ms = 0; ms < 60; ++ms) {
        sim_t *s = sim_new(4, 0, ms);
        s->delay_max_ms = 10;
        sim_run(s, 20 + ms % 7);
        sim_crash(s, 0);
        sim_run(s, 2000 + 10 * ms);
        for (uint32_t k = 1; k < 4; ++k) sim_crash(s, k);
        for (uint32_t k = 1; k < 4; ++k) sim_restart(s, k, false);
        must_reach(s, 20, 30000, ms);
        sim_free(s);
    }
}

TEST(a_leader_that_is_silent_to_most_is_replaced) {
    sim_t *s = sim_new(4, 0, 3);
    sim_run(s, 30);
    s->blocked[0][2] = s->blocked[0][3] = true;
    must_reach(s, 20, 20000, 3);
    CHECK(view_of(s, 2) > 0);
    sim_free(s);
}

/* Every replica gets another block: no quorum comes together in its view. */
static bool three_faced(sim_t *s, sim_work_t *packet) {
    message_t m;
    rdg_buf_t block, b;
    CHECK_OK(message_decode(rdg_bytes(packet->bytes.data, packet->bytes.len), &m));
    if (m.kind != RDG_PHASE_PRE_PREPARE || m.index != packet->from) return true;
    rdg_hash_t parent = s->agreed[m.statement.height - 1];
    rdg_buf_init(&block, 4096), rdg_buf_init(&b, 8192);
    sim_build(s, &parent, m.statement.height, 1000 + packet->to, &block);
    CHECK_OK(sim_digest(NULL, rdg_buf_view(&block), &m.statement.digest));
    m.proposal = rdg_buf_view(&block);
    sim_forge(s, &m, &b);
    rdg_free(packet->bytes.data);
    packet->bytes.data = rdg_buf_take(&b, &packet->bytes.len);
    rdg_buf_fini(&block);
    return true;
}

TEST(a_leader_with_a_block_for_each_is_replaced) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        sim_t *s = sim_new(4, 0, seed);
        s->nodes[0].evil = true;
        s->tamper = three_faced;
        s->delay_max_ms = 40;
        must_reach(s, 20, 20000, seed);
        CHECK_EQ(view_of(s, 1), 1);
        sim_free(s);
    }
}

TEST(two_liars_in_a_row_that_lead_are_replaced) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        sim_t *s = sim_new(7, 0, seed);
        s->nodes[0].evil = s->nodes[1].evil = true;
        s->tamper = three_faced;
        must_reach(s, 20, 30000, seed);
        CHECK_EQ(view_of(s, 3), 2);
        sim_free(s);
    }
}

TEST(sizes_without_a_fault_to_spare_go_on_when_the_leader_is_back) {
    for (uint32_t n = 2; n <= 3; ++n) {
        sim_t *s = sim_new(n, 0, n);
        sim_run(s, 30);
        sim_crash(s, 0);
        sim_run(s, 20000);
        sim_restart(s, 0, false);
        must_reach(s, 20, 20000, n);
        sim_free(s);
    }
}

/* --- nobody is dragged
 * ----------------------------------------------------------------------------------- */

TEST(an_idle_chain_stays_in_its_view) {
    sim_t *s = sim_new(4, 0, 4);
    CHECK(sim_run_to(s, 20, 10000));
    sim_crash(s, 0);
    sim_run(s, 120000);
    for (uint32_t i = 1; i < 4; ++i) CHECK_EQ(view_of(s, i), 0);
    sim_free(s);
}

TEST(a_replica_that_is_cut_off_keeps_its_view_and_votes_at_once_when_it_is_back) {
    sim_t *s = sim_new(4, 0, 5);
    sim_run(s, 30);
    sim_cut(s, 3, true);
    sim_run(s, 60000);
    CHECK_EQ(view_of(s, 3), 0);
    sim_cut(s, 3, false);
    CHECK(sim_run_to(s, 20, 10000));
    sim_crash(s, 2); /* so that its votes are needed */
    s->propose_to = 30;
    CHECK(sim_run_to(s, 30, 2000));
    CHECK_EQ(view_of(s, 3), 0);
    sim_free(s);
}

static message_t change(sim_t *s, uint32_t index, uint64_t view, uint64_t height, rdg_bytes_t proof) {
    message_t m = {.kind = RDG_PHASE_VIEW_CHANGE, .index = index, .proof = proof};
    m.statement = (rdg_statement_t){.phase = RDG_PHASE_VIEW_CHANGE, .view = view, .height = height};
    rdg_sm3(proof.data, proof.len, &m.statement.digest);
    sim_sign(s, index, &m.statement, &m.signature);
    return m;
}

static rdg_err_t deliver(sim_t *s, uint32_t to, const message_t *m) {
    rdg_buf_t b;
    rdg_buf_init(&b, 1u << 20);
    CHECK_OK(message_encode(m, &b));
    rdg_err_t err = sim_deliver(s, m->index, to, rdg_buf_view(&b));
    rdg_buf_fini(&b);
    return err;
}

static const uint8_t empty_list[] = {0xc0};

TEST(one_replica_drags_nobody_to_its_view_but_two_do) {
    sim_t *s = sim_new(4, 0, 6);
    rdg_bytes_t none = rdg_bytes(empty_list, 1);
    message_t m = change(s, 1, 1u << 30, 1, none);
    CHECK_OK(deliver(s, 2, &m));
    CHECK_EQ(view_of(s, 2), 0);
    m = change(s, 3, 5, 1, none);
    CHECK_OK(deliver(s, 2, &m));
    CHECK_EQ(view_of(s, 2), 5); /* what an honest one may want, not what one claims */
    m = change(s, 3, UINT64_MAX, 1, none);
    CHECK_ERR(deliver(s, 2, &m), RDG_E_PROTOCOL);
    sim_free(s);
}

/* --- forged evidence
 * ------------------------------------------------------------------------------------- */

static void put_certificate(sim_t *s, rdg_phase_t phase, uint64_t view, uint64_t height, uint8_t digest,
                            const uint32_t *signers, uint32_t count, uint64_t relabel, rdg_buf_t *list) {
    rdg_certificate_t c = {.statement = {.phase = phase, .view = view, .height = height}, .count = count};
    memset(c.statement.digest.b, digest, 32);
    for (uint32_t i = 0; i < count; ++i) {
        c.votes[i].index = signers[i];
        sim_sign(s, signers[i], &c.statement, &c.votes[i].signature);
    }
    c.statement.view += relabel;
    rdg_buf_t inner;
    rdg_buf_init(&inner, 65536);
    CHECK_OK(rdg_certificate_encode(&c, &inner));
    size_t len = inner.len;
    CHECK(len > 55 && len < 65536);
    uint8_t head[3] = {0xf9, (uint8_t)((len) >> 8), (uint8_t)len};
    if (len < 256)
        rdg_buf_append(list, (uint8_t[]){0xf8, (uint8_t)len}, 2);
    else
        rdg_buf_append(list, head, 3);
    rdg_buf_append(list, inner.data, inner.len);
    rdg_buf_fini(&inner);
}

static rdg_err_t deliver_with(sim_t *s, rdg_phase_t phase, uint64_t view, uint64_t height,
                              const uint32_t *signers, uint32_t count, uint64_t relabel) {
    rdg_buf_t list;
    rdg_buf_init(&list, 65536);
    put_certificate(s, phase, view, height, 7, signers, count, relabel, &list);
    message_t m = change(s, 1, 4, 1, rdg_buf_view(&list));
    rdg_err_t err = deliver(s, 2, &m);
    rdg_buf_fini(&list);
    return err;
}

TEST(a_view_change_with_a_bad_prepared_certificate_is_refused) {
    sim_t *s = sim_new(4, 0, 7);
    const uint32_t good[] = {0, 1, 3}, twice[] = {0, 1, 1};
    CHECK_ERR(deliver_with(s, RDG_PHASE_PREPARE, 1, 1, good, 3, 1), RDG_E_BAD_SIGNATURE); /* relabelled */
    CHECK_ERR(deliver_with(s, RDG_PHASE_PREPARE, 1, 1, twice, 3, 0), RDG_E_BAD_SIGNATURE);
    CHECK_ERR(deliver_with(s, RDG_PHASE_PREPARE, 1, 1, good, 2, 0), RDG_E_BAD_SIGNATURE);
    CHECK_ERR(deliver_with(s, RDG_PHASE_COMMIT, 1, 1, good, 3, 0), RDG_E_BAD_SIGNATURE);
    CHECK_ERR(deliver_with(s, RDG_PHASE_PREPARE, 4, 1, good, 3, 0),
              RDG_E_PROTOCOL); /* not of an earlier view */
    CHECK_ERR(deliver_with(s, RDG_PHASE_PREPARE, 1, 17, good, 3, 0), RDG_E_PROTOCOL);
    message_t m = change(s, 1, 4, 1, rdg_bytes(empty_list, 1));
    m.statement.view = 5; /* its signature is for view 4 */
    CHECK_ERR(deliver(s, 2, &m), RDG_E_BAD_SIGNATURE);
    m = change(s, 1, 4, 3, rdg_bytes(empty_list, 1)); /* height 3 without the seal of 2 */
    CHECK(deliver(s, 2, &m) != RDG_OK);
    CHECK_EQ(s->nodes[2].record_count, 0);
    CHECK_OK(deliver_with(s, RDG_PHASE_PREPARE, 1, 1, good, 3, 0));
    sim_free(s);
}

TEST(two_view_changes_of_one_validator_that_differ_are_evidence) {
    sim_t *s = sim_new(4, 0, 8);
    const uint32_t good[] = {0, 1, 3};
    message_t m = change(s, 1, 4, 1, rdg_bytes(empty_list, 1));
    CHECK_OK(deliver(s, 2, &m));
    CHECK_OK(deliver_with(s, RDG_PHASE_PREPARE, 1, 1, good, 3, 0));
    CHECK_EQ(s->nodes[2].evidence, 1);
    sim_free(s);
}

/* A new view of `view` by its leader on the changes of these validators; the first has prepared digest 7 in view 0 if
 * so said. */
static message_t new_view(sim_t *s, uint64_t view, const uint32_t *from, uint32_t count, bool prepared,
                          rdg_buf_t *list) {
    const uint32_t good[] = {0, 1, 3};
    rdg_buf_t certificate, items;
    rdg_buf_init(&certificate, 65536), rdg_buf_init(&items, 65536);
    put_certificate(s, RDG_PHASE_PREPARE, 0, 1, 7, good, 3, 0, &certificate);
    for (uint32_t i = 0; i < count; ++i) {
        bool with = prepared && i == 0;
        message_t c =
            change(s, from[i], view, 1, with ? rdg_buf_view(&certificate) : rdg_bytes(empty_list, 1));
        CHECK_OK(message_encode(&c, &items));
    }
    CHECK(items.len > 255);
    rdg_buf_append(list, (uint8_t[]){0xf9, (uint8_t)(items.len >> 8), (uint8_t)items.len}, 3);
    rdg_buf_append(list, items.data, items.len);
    rdg_buf_fini(&certificate), rdg_buf_fini(&items);
    message_t m = {.kind = RDG_PHASE_NEW_VIEW, .index = (uint32_t)(view % 4), .proof = rdg_buf_view(list)};
    m.statement = (rdg_statement_t){.phase = RDG_PHASE_NEW_VIEW, .view = view, .height = 1};
    rdg_sm3(m.proof.data, m.proof.len, &m.statement.digest);
    sim_sign(s, m.index, &m.statement, &m.signature);
    return m;
}

static rdg_err_t deliver_new_view(sim_t *s, uint64_t view, const uint32_t *from, uint32_t count) {
    rdg_buf_t list;
    rdg_buf_init(&list, 65536);
    message_t m = new_view(s, view, from, count, true, &list);
    rdg_err_t err = deliver(s, 2, &m);
    rdg_buf_fini(&list);
    return err;
}

TEST(a_new_view_needs_a_quorum_of_distinct_changes_and_its_leader) {
    sim_t *s = sim_new(4, 0, 9);
    const uint32_t good[] = {0, 1, 3}, twice[] = {0, 1, 1}, descending[] = {1, 0, 3};
    rdg_buf_t list;
    rdg_buf_init(&list, 65536);
    CHECK_ERR(deliver_new_view(s, 1, twice, 3), RDG_E_PROTOCOL);
    CHECK_ERR(deliver_new_view(s, 1, descending, 3), RDG_E_PROTOCOL);
    CHECK_ERR(deliver_new_view(s, 1, good, 2), RDG_E_PROTOCOL);
    message_t m = new_view(s, 1, good, 3, true, &list);
    m.index = 3; /* signed by one who does not lead view 1 */
    sim_sign(s, 3, &m.statement, &m.signature);
    CHECK_ERR(deliver(s, 2, &m), RDG_E_PROTOCOL);
    m.statement.view = 5, m.index = 1; /* replayed for the next view that it leads */
    sim_sign(s, 1, &m.statement, &m.signature);
    CHECK_ERR(deliver(s, 2, &m), RDG_E_PROTOCOL);
    CHECK_EQ(view_of(s, 2), 0);
    CHECK_OK(deliver_new_view(s, 1, good, 3));
    CHECK_EQ(view_of(s, 2), 1);
    rdg_buf_fini(&list);
    sim_free(s);
}

TEST(a_new_leader_must_propose_what_was_prepared) {
    sim_t *s = sim_new(4, 0, 10);
    const uint32_t good[] = {0, 1, 3};
    rdg_hash_t parent = {{0}};
    rdg_buf_t block;
    message_t m = {.kind = RDG_PHASE_PRE_PREPARE, .index = 1};
    CHECK_OK(deliver_new_view(s, 1, good, 3));
    rdg_buf_init(&block, 4096);
    sim_build(s, &parent, 1, 1, &block);
    m.proposal = rdg_buf_view(&block);
    m.statement = (rdg_statement_t){.phase = RDG_PHASE_PRE_PREPARE, .view = 1, .height = 1};
    CHECK_OK(sim_digest(NULL, m.proposal, &m.statement.digest));
    sim_sign(s, 1, &m.statement, &m.signature);
    CHECK_ERR(deliver(s, 2, &m), RDG_E_PROTOCOL);
    rdg_buf_fini(&block);
    sim_free(s);
}

/* Nobody's commits of view 0 arrive; the leader of view 1 sends other bytes under the digest that is prepared. */
static bool other_bytes_under_it(sim_t *s, sim_work_t *packet) {
    message_t m;
    (void)s;
    CHECK_OK(message_decode(rdg_bytes(packet->bytes.data, packet->bytes.len), &m));
    if (m.kind == RDG_PHASE_COMMIT && m.statement.view == 0) return false;
    if (m.kind == RDG_PHASE_PRE_PREPARE && packet->from == 1 && m.index == 1)
        packet->bytes.data[packet->bytes.len - 1] ^= 1; /* the last byte of the body */
    return true;
}

TEST(bytes_that_were_refused_do_not_replace_what_was_prepared) {
    sim_t *s = sim_new(4, 0, 11);
    s->tamper = other_bytes_under_it;
    for (uint32_t i = 0; i < 4; ++i) s->nodes[i].evil = true; /* nobody commits in view 0 */
    sim_run(s, 1000);
    for (uint32_t i = 0; i < 4; ++i) CHECK(((pbft_t *)s->nodes[i].core)->slots[1].prepared.len > 0);
    while (view_of(s, 2) == 0 || view_of(s, 3) == 0) sim_run(s, 1);
    s->nodes[2].evil = s->nodes[3].evil = false; /* of 0 the checker has not seen what it signed */
    must_reach(s, 20, 30000, 11);
    CHECK(view_of(s, 2) > 1);
    sim_free(s);
}

/* Validator 0 alone comes to hold the certificate of view 0: it gets everybody's prepare and passes on none. It shows
 * the certificate when the view changes, and the bytes to nobody. */
static bool keeps_it_to_itself(sim_t *s, sim_work_t *packet) {
    message_t m;
    (void)s;
    CHECK_OK(message_decode(rdg_bytes(packet->bytes.data, packet->bytes.len), &m));
    if (m.kind == RDG_PHASE_PRE_PREPARE && packet->from == 0)
        return m.statement.view == 0 && s->now_ms < 1200;
    if (m.statement.view > 0 || m.kind == RDG_PHASE_PRE_PREPARE) return true;
    return m.kind == RDG_PHASE_PREPARE && packet->to == 0;
}

TEST(a_certificate_whose_block_is_withheld_stops_nobody) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        sim_t *s = sim_new(4, 0, seed);
        s->tamper = keeps_it_to_itself;
        for (uint32_t i = 0; i < 4; ++i)
            s->nodes[i].evil = true; /* nobody's votes of view 0 arrive but at 0 */
        sim_run(s, 1000);
        CHECK(((pbft_t *)s->nodes[0].core)->slots[1].prepared.len > 0);
        for (uint32_t i = 1; i < 4; ++i) CHECK(((pbft_t *)s->nodes[i].core)->slots[1].prepared.len == 0);
        while (view_of(s, 1) == 0 || view_of(s, 2) == 0 || view_of(s, 3) == 0) sim_run(s, 1);
        for (uint32_t i = 1; i < 4; ++i) s->nodes[i].evil = false;
        must_reach(s, 20, 10000, seed);
        CHECK(view_of(s, 1) <= 2);
        sim_free(s);
    }
}

/* --- storms
 * ---------------------------------------------------------------------------------------------- */

static bool lie(sim_t *s, sim_work_t *packet) {
    message_t m;
    rdg_buf_t b;
    uint64_t choice = sim_below(s, 8);
    if (choice == 0) return false;
    if (choice > 4 || message_decode(rdg_bytes(packet->bytes.data, packet->bytes.len), &m) != RDG_OK)
        return true;
    if (m.kind == MESSAGE_STATUS || m.index != packet->from) return true;
    if (choice == 1) m.statement.view += 1;
    if (choice == 2 && m.statement.view > 0) m.statement.view -= 1;
    if (choice == 3) m.statement.height += 1;
    if (choice == 4 && m.kind == RDG_PHASE_VIEW_CHANGE) { /* denies what it has prepared */
        m.proof = rdg_bytes(empty_list, 1);
        rdg_sm3(m.proof.data, 1, &m.statement.digest);
    }
    rdg_buf_init(&b, RDG_CONSENSUS_MESSAGE_MAX);
    sim_forge(s, &m, &b);
    rdg_free(packet->bytes.data);
    packet->bytes.data = rdg_buf_take(&b, &packet->bytes.len);
    return true;
}

/* Faults with up to f liars; then the network heals and everybody honest must get on. */
static void storm(uint64_t seed, uint32_t n, uint32_t liars) {
    sim_t *s = sim_new(n, 0, seed * 7919 + n);
    s->tamper = lie;
    for (uint32_t i = 0; i < liars; ++i) s->nodes[(seed + i) % n].evil = true;
    s->loss_percent = (uint32_t)sim_below(s, 25), s->duplicate_percent = (uint32_t)sim_below(s, 20);
    s->delay_max_ms = 1 + sim_below(s, 400), s->execute_ms = sim_below(s, 300);
    s->propose_to = 60;
    for (int round = 0; round < 15; ++round) {
        uint32_t i = (uint32_t)sim_below(s, n);
        switch (sim_below(s, 5)) {
        case 0: sim_crash(s, i), sim_run(s, sim_below(s, 6000)), sim_restart(s, i, false); break;
        case 1: sim_cut(s, i, true), sim_run(s, sim_below(s, 6000)), sim_cut(s, i, false); break;
        case 2:
            i = (uint32_t)(view_of(s, i) % n), sim_crash(s, i), sim_run(s, 4000), sim_restart(s, i, false);
            break;
        case 3:
            for (uint32_t k = 0; k < n; ++k) sim_crash(s, k);
            for (uint32_t k = 0; k < n; ++k) sim_restart(s, k, false);
            break;
        default: sim_run(s, sim_below(s, 3000));
        }
    }
    s->loss_percent = s->duplicate_percent = 0;
    s->delay_max_ms = 20, s->execute_ms = 0;
    s->propose_to = 80;
    must_reach(s, 80, 300000, seed);
    sim_free(s);
}

TEST(storms_that_change_views_break_nothing_and_end) {
    for (uint64_t seed = 1; seed <= 60; ++seed) storm(seed, 4, 0);
    for (uint64_t seed = 1; seed <= 60; ++seed) storm(seed, 4, 1);
    for (uint64_t seed = 1; seed <= 15; ++seed) storm(seed, 7, 2), storm(seed, 3, 0), storm(seed, 2, 0);
}

/* --- planted bugs must be found
 * -------------------------------------------------------------------------- */

static void forget_prepared(sim_t *s, uint32_t i) {
    pbft_t *p = (pbft_t *)s->nodes[i].core;
    for (size_t k = 0; p && k < RDG_CONSENSUS_WINDOW; ++k) pbft_proof_clear(&p->slots[k].prepared);
}

/* The leader alone has decided a height when it is cut off. */
static bool cut_leader_ahead(sim_t *s) {
    for (int ms = 0; ms < 3000; ++ms) {
        sim_run(s, 1);
        uint64_t first = s->nodes[0].committed;
        bool ahead = true;
        for (uint32_t i = 1; i < 4; ++i) ahead = ahead && s->nodes[i].committed < first;
        if (!ahead) continue;
        sim_cut(s, 0, true);
        return true;
    }
    return false;
}

static const char *violation_without_leader(void (*bug)(sim_t *s, uint32_t i), uint64_t seed) {
    sim_t *s = sim_new(4, 0, seed);
    s->expect_violation = true, s->after_step = bug;
    s->delay_max_ms = 60, s->loss_percent = 20;
    if (cut_leader_ahead(s)) sim_run(s, 20000);
    const char *violation = s->violation;
    sim_free(s);
    return violation;
}

TEST(planted_view_changes_without_their_certificates_are_found) {
    const char *found = NULL;
    for (uint64_t seed = 1; seed <= 50; ++seed) {
        CHECK(violation_without_leader(NULL, seed) == NULL);
        const char *v = violation_without_leader(forget_prepared, seed);
        if (v) found = v;
    }
    CHECK_STR(found, "agreement: two blocks at one height");
}

/* The leader of view 1 opens it on its own word, three times; without the check its block replaces one that was
 * decided. */
TEST(planted_new_views_with_a_signer_twice_are_found) {
    bool found = false;
    const uint32_t twice[] = {1, 1, 1};
    for (uint64_t seed = 1; seed <= 400 && !found; ++seed) {
        sim_t *s = sim_new(4, 0, seed);
        rdg_buf_t list;
        s->expect_violation = s->bug_accept_unchecked = true;
        s->nodes[1].evil = true;
        s->delay_max_ms = 60, s->loss_percent = 20, s->propose_to = 1;
        rdg_buf_init(&list, 65536);
        sim_run(s, 50 + seed);
        sim_cut(s, 0, true);
        message_t m = new_view(s, 1, twice, 3, false, &list);
        for (uint32_t to = 1; to < 4; ++to) (void)deliver(s, to, &m);
        sim_run(s, 8000);
        found = s->violation && strcmp(s->violation, "agreement: two blocks at one height") == 0;
        rdg_buf_fini(&list);
        sim_free(s);
    }
    CHECK(found);
}
