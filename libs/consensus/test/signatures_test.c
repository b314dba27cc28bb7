/* Signatures that come together reach the host together, and each of them counts. */
#include <stdio.h>
#include "certificate.h"
#include "fixture.h"
#include "signatures.h"

static void (*verify_below)(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results);
static size_t calls, largest;

static void counting(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    CHECK(count <= RDG_CONSENSUS_CHECKS);
    ++calls;
    if (count > largest) largest = count;
    verify_below(ctx, checks, count, results);
}

static void silent(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx, (void)checks, (void)count, (void)results;
}

static void count_calls(sim_t *s) {
    verify_below = s->config.host.verify;
    s->config.host.verify = counting;
    calls = largest = 0;
}

static rdg_statement_t statement(uint64_t height) {
    return (rdg_statement_t){.phase = RDG_PHASE_COMMIT, .height = height, .digest = {{7}}};
}

/* `count` signatures, each by another of the four and over another statement; number `bad` is broken. */
static rdg_err_t gather(sim_t *s, size_t count, size_t bad) {
    const rdg_validator_set_t *set = &s->config.validators;
    signatures_t g;
    signatures_init(&g, &s->config.host);
    for (size_t i = 0; i < count; ++i) {
        rdg_statement_t what = statement(i + 1);
        rdg_hash_t hash;
        rdg_sm2_signature_t sig;
        uint32_t signer = (uint32_t)(i % 4);
        sim_sign(s, signer, &what, &sig);
        rdg_statement_hash(set->chain_id, &what, &hash);
        sig.b[5] ^= i == bad;
        RDG_TRY(signatures_add(&g, set, signer, &hash, &sig));
    }
    return signatures_done(&g);
}

TEST(signatures_a_certificate_is_verified_in_one_call) {
    for (int sm2 = 0; sm2 < 2; ++sm2) {
        sim_t *s = sim_new(7, 0, 1);
        if (sm2) sim_use_sm2(s);
        rdg_certificate_t c = {.statement = statement(3), .count = 7};
        for (uint32_t i = 0; i < 7; ++i) {
            c.votes[i].index = i;
            sim_sign(s, i, &c.statement, &c.votes[i].signature);
        }
        count_calls(s);
        CHECK_OK(certificate_verify_with(&c, &s->config.validators, RDG_PHASE_COMMIT, &s->config.host));
        CHECK_EQ(calls, 1);
        CHECK_EQ(largest, 7);
        for (uint32_t i = 0; i < 7; ++i) {
            rdg_certificate_t broken = c;
            char want[80];
            broken.votes[i].signature.b[9] ^= 1;
            CHECK_ERR(
                certificate_verify_with(&broken, &s->config.validators, RDG_PHASE_COMMIT, &s->config.host),
                RDG_E_BAD_SIGNATURE);
            snprintf(want, sizeof want, "certificate: the signature of validator %u does not verify", i);
            CHECK_STR(rdg_err_message(RDG_E_BAD_SIGNATURE), want);
        }
        sim_free(s);
    }
}

TEST(signatures_beyond_a_call_s_limit_are_all_verified) {
    sim_t *s = sim_new(4, 0, 1);
    count_calls(s);
    CHECK_OK(gather(s, 2 * RDG_CONSENSUS_CHECKS + 2, SIZE_MAX));
    CHECK_EQ(calls, 3);
    CHECK_OK(gather(s, 0, SIZE_MAX));
    CHECK_EQ(calls, 3);
    static const size_t bad[] = {0, 1, 62, 63, 64, 65, 127, 128, 129};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        char want[80];
        CHECK_ERR(gather(s, 130, bad[i]), RDG_E_BAD_SIGNATURE);
        snprintf(want, sizeof want, "the signature of validator %zu does not verify", bad[i] % 4);
        CHECK_STR(rdg_err_message(RDG_E_BAD_SIGNATURE), want);
    }
    sim_free(s);
}

TEST(signatures_that_the_host_says_nothing_about_are_refused) {
    sim_t *s = sim_new(4, 0, 1);
    s->config.host.verify = silent;
    CHECK_ERR(gather(s, 3, SIZE_MAX), RDG_E_BAD_SIGNATURE);
    sim_free(s);
}

/* Five changes with their votes and the seal of the block before: ten signatures at least. */
TEST(signatures_of_a_new_view_are_verified_together) {
    sim_t *s = sim_new(7, 0, 1);
    count_calls(s);
    sim_restart_all(s);
    CHECK(sim_run_to(s, 5, 5000));
    CHECK(largest <= 7);
    sim_crash(s, 0);
    CHECK(sim_run_to(s, 20, 20000));
    CHECK(largest >= 10);
    sim_free(s);
}

/* --- many messages ---------------------------------------------------------------------------------------- */

#define MANY 150

/* Votes of three validators for one height after another; every seventh has a bad signature, every eleventh is cut. */
static size_t votes_of_many(sim_t *s, rdg_buf_t *bytes, rdg_bytes_t *messages) {
    for (size_t i = 0; i < MANY; ++i) {
        message_t m = {.index = 1 + (uint32_t)(i % 3)};
        m.statement = (rdg_statement_t){.phase = RDG_PHASE_PREPARE, .height = 1 + i / 3, .digest = {{9}}};
        m.kind = RDG_PHASE_PREPARE;
        sim_sign(s, m.index, &m.statement, &m.signature);
        if (i % 7 == 3) m.signature.b[4] ^= 1;
        rdg_buf_init(&bytes[i], 4096);
        CHECK_OK(message_encode(&m, &bytes[i]));
        messages[i] = rdg_buf_view(&bytes[i]);
        if (i % 11 == 5) --messages[i].len;
    }
    return MANY;
}

TEST(signatures_many_messages_are_judged_as_each_alone) {
    static rdg_buf_t bytes[MANY];
    static rdg_bytes_t messages[MANY];
    static rdg_consensus_verdict_t verdicts[MANY];
    for (int sm2 = 0; sm2 < 2; ++sm2) {
        sim_t *s = sim_new(4, 0, 1);
        if (sm2) sim_use_sm2(s);
        count_calls(s);
        sim_restart_all(s); /* with the host that counts */
        const rdg_consensus_t *core = s->nodes[0].core;
        size_t count = votes_of_many(s, bytes, messages);
        calls = 0;
        rdg_consensus_check_many(core, messages, count, verdicts);
        CHECK(calls <= 3); /* of RDG_CONSENSUS_CHECKS at most */
        for (size_t i = 0; i < count; ++i) {
            CHECK_EQ(verdicts[i].err, rdg_consensus_check(core, messages[i]));
            CHECK_EQ(verdicts[i].err == RDG_OK, verdicts[i].why[0] == '\0');
            CHECK_EQ(verdicts[i].err == RDG_OK, i % 7 != 3 && i % 11 != 5);
            rdg_buf_fini(&bytes[i]);
        }
        sim_free(s);
    }
}

TEST(signatures_of_a_host_that_says_nothing_count_for_no_message) {
    static rdg_buf_t bytes[MANY];
    static rdg_bytes_t messages[MANY];
    static rdg_consensus_verdict_t verdicts[MANY];
    sim_t *s = sim_new(4, 0, 1);
    size_t count = votes_of_many(s, bytes, messages);
    s->config.host.verify = silent;
    sim_restart_all(s);
    rdg_consensus_check_many(s->nodes[0].core, messages, count, verdicts);
    for (size_t i = 0; i < count; ++i) CHECK(verdicts[i].err != RDG_OK);
    rdg_consensus_check_many(s->nodes[0].core, messages, 1, verdicts);
    CHECK_ERR(verdicts[0].err, RDG_E_BAD_SIGNATURE);
    for (size_t i = 0; i < count; ++i) rdg_buf_fini(&bytes[i]);
    sim_free(s);
}

TEST(signatures_what_is_light_has_one) {
    static const rdg_phase_t light[] = {RDG_PHASE_PREPARE, RDG_PHASE_COMMIT, RDG_PHASE_CHECKPOINT,
                                        RDG_PHASE_SUSPECT};
    sim_t *s = sim_new(4, 0, 1);
    rdg_buf_t b;
    rdg_buf_init(&b, 4096);
    for (size_t i = 0; i < sizeof light / sizeof light[0]; ++i) {
        message_t m = {.index = 1, .statement = {.phase = light[i], .height = 1}};
        rdg_buf_clear(&b);
        sim_forge(s, &m, &b);
        CHECK(rdg_consensus_is_light(s->nodes[0].core, rdg_buf_view(&b)));
    }
    static const uint8_t list[] = {0xc0};
    message_t m = {.index = 1, .statement = {.phase = RDG_PHASE_VIEW_CHANGE, .view = 1, .height = 1}};
    m.proof = rdg_bytes(list, 1);
    rdg_buf_clear(&b);
    sim_forge(s, &m, &b);
    CHECK(!rdg_consensus_is_light(s->nodes[0].core, rdg_buf_view(&b)));
    rdg_buf_fini(&b);
    sim_free(s);
}
