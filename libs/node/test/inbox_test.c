/* Messages of many validators on their way to the core: checked elsewhere, in order, and nobody starves the others. */
#include "../src/inbox.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/codec/rlp.h"
#include "ridge/test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN 77
#define DELIVERED_MAX 100000

typedef struct delivered {
    size_t peer;
    uint64_t number; /* height of the vote */
    rdg_err_t err;
} delivered_t;

typedef struct world {
    rdg_loop_t *loop;
    inbox_t *inbox;
    rdg_validator_set_t set;
    rdg_sm2_key_t *keys[RDG_VALIDATORS_MAX];
    rdg_timer_t *beat;
    uint64_t beat_us, longest_us; /* the longest time that the loop was at something else */
    delivered_t *delivered;
    size_t count, wanted;
} world_t;

static uint64_t now_us(void) {
    return rdg_mono_us(rdg_clock_system());
}

static void verify(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx;
    rdg_sm2_verify_batch(checks, count, results);
}

static rdg_err_t digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out) {
    (void)ctx;
    rdg_sm3(proposal.data, proposal.len, out);
    return RDG_OK;
}

static rdg_err_t sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out) {
    return rdg_sm2_sign(((world_t *)ctx)->keys[0], hash->b, sizeof hash->b, out);
}

static uint64_t height_of(rdg_bytes_t bytes) {
    rdg_rlp_t outer, list;
    rdg_rlp_init(&outer, bytes);
    if (rdg_rlp_list(&outer, &list) != RDG_OK) return 0;
    for (int skipped = 0; skipped < 3; ++skipped) (void)rdg_rlp_u64(&list);
    return rdg_rlp_u64(&list);
}

static void on_delivered(void *ctx, size_t peer, rdg_bytes_t bytes, rdg_err_t err, const char *why) {
    world_t *w = ctx;
    CHECK_EQ(err == RDG_OK, why[0] == '\0');
    CHECK(w->count < DELIVERED_MAX);
    w->delivered[w->count++] = (delivered_t){peer, height_of(bytes), err};
    if (w->count == w->wanted) rdg_loop_stop(w->loop);
}

static void on_beat(void *arg) {
    world_t *w = arg;
    uint64_t now = now_us();
    if (w->beat_us > 0 && now - w->beat_us > w->longest_us) w->longest_us = now - w->beat_us;
    w->beat_us = now;
}

static rdg_consensus_t *new_core(world_t *w, uint64_t epoch) {
    rdg_consensus_t *core = NULL;
    rdg_consensus_config_t config = {.validators = w->set,
                                     .retransmit_ms = 500,
                                     .view_timeout_ms = 2000,
                                     .checkpoint_interval = 1,
                                     .host = {sign, verify, digest, w}};
    config.validators.epoch = epoch;
    CHECK_OK(rdg_pbft_new(&config, &core));
    return core;
}

static void open_world(world_t *w, uint32_t validators) {
    memset(w, 0, sizeof *w);
    w->set.chain_id = CHAIN, w->set.count = validators;
    for (uint32_t i = 0; i < validators; ++i) {
        CHECK_OK(rdg_sm2_key_generate(&w->keys[i]));
        rdg_sm2_key_public(w->keys[i], &w->set.keys[i]);
    }
    w->delivered = rdg_calloc(DELIVERED_MAX, sizeof *w->delivered);
    CHECK_OK(rdg_loop_new(&w->loop));
    CHECK_OK(inbox_new(w->loop, on_delivered, w, &w->inbox));
    inbox_set_core(w->inbox, new_core(w, 0));
    CHECK_OK(rdg_timer_new(w->loop, on_beat, w, &w->beat));
    rdg_timer_start(w->beat, 1, 1);
}

static void close_world(world_t *w) {
    inbox_close(w->inbox);
    rdg_timer_free(w->beat);
    rdg_loop_free(w->loop);
    for (uint32_t i = 0; i < w->set.count; ++i) rdg_sm2_key_free(w->keys[i]);
    rdg_free(w->delivered);
}

static void run_until(world_t *w, size_t count) {
    w->wanted = count;
    w->beat_us = w->longest_us = 0;
    while (w->count < count) CHECK_OK(rdg_loop_run(w->loop));
}

/* --- messages --------------------------------------------------------------------------------------------- */

static void sign_statement(world_t *w, uint32_t index, const rdg_statement_t *s, rdg_sm2_signature_t *out) {
    rdg_hash_t hash;
    rdg_statement_hash(CHAIN, s, &hash);
    CHECK_OK(rdg_sm2_sign(w->keys[index], hash.b, sizeof hash.b, out));
}

/* proof: NULL for a vote. */
static void put_message(world_t *w, uint32_t index, rdg_statement_t s, const rdg_buf_t *proof,
                        rdg_buf_t *out) {
    rdg_sm2_signature_t sig;
    if (proof) rdg_sm3(proof->data, proof->len, &s.digest);
    sign_statement(w, index, &s, &sig);
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, (uint64_t)s.phase);
    rdg_rlp_put_u64(out, s.epoch);
    rdg_rlp_put_u64(out, s.view);
    rdg_rlp_put_u64(out, s.height);
    rdg_rlp_put_bytes(out, rdg_bytes(s.digest.b, sizeof s.digest.b));
    rdg_rlp_put_u64(out, index);
    rdg_rlp_put_bytes(out, rdg_bytes(sig.b, sizeof sig.b));
    if (proof) rdg_rlp_put_raw(out, rdg_buf_view(proof));
    if (proof) rdg_rlp_put_bytes(out, rdg_bytes(NULL, 0));
    CHECK_OK(rdg_rlp_list_end(out, list));
}

static void put_vote(world_t *w, uint32_t index, uint64_t height, bool good, rdg_buf_t *out) {
    rdg_buf_clear(out);
    put_message(w, index, (rdg_statement_t){.phase = RDG_PHASE_PREPARE, .height = height}, NULL, out);
    if (!good) out->data[out->len - 3] ^= 1;
}

/* A quorum's changes to view 1, each with the certificate that height 1 was prepared in view 0. */
static void put_new_view(world_t *w, rdg_buf_t *out) {
    uint32_t quorum = rdg_validators_quorum(w->set.count);
    rdg_certificate_t c = {.statement = {.phase = RDG_PHASE_PREPARE, .height = 1, .digest = {{5}}},
                           .count = quorum};
    rdg_buf_t prepared, changes;
    rdg_buf_init(&prepared, 1u << 20), rdg_buf_init(&changes, 8u << 20);
    for (uint32_t i = 0; i < quorum; ++i) {
        c.votes[i].index = i;
        sign_statement(w, i, &c.statement, &c.votes[i].signature);
    }
    size_t list = rdg_rlp_list_begin(&prepared);
    CHECK_OK(rdg_certificate_encode(&c, &prepared));
    CHECK_OK(rdg_rlp_list_end(&prepared, list));
    list = rdg_rlp_list_begin(&changes);
    for (uint32_t i = 0; i < quorum; ++i)
        put_message(w, i, (rdg_statement_t){.phase = RDG_PHASE_VIEW_CHANGE, .view = 1, .height = 1},
                    &prepared, &changes);
    CHECK_OK(rdg_rlp_list_end(&changes, list));
    put_message(w, 1, (rdg_statement_t){.phase = RDG_PHASE_NEW_VIEW, .view = 1, .height = 1}, &changes, out);
    rdg_buf_fini(&prepared), rdg_buf_fini(&changes);
}

/* --- what must hold --------------------------------------------------------------------------------------- */

TEST(a_vote_of_a_quiet_chain_is_checked_at_once) {
    world_t w;
    rdg_buf_t b;
    rdg_buf_init(&b, 1u << 16);
    open_world(&w, 4);
    put_vote(&w, 2, 1, true, &b);
    CHECK_OK(inbox_put(w.inbox, 2, rdg_buf_view(&b)));
    CHECK_EQ(w.count, 1);
    CHECK_EQ(w.delivered[0].err, RDG_OK);
    put_vote(&w, 3, 1, false, &b);
    CHECK_OK(inbox_put(w.inbox, 3, rdg_buf_view(&b)));
    CHECK_EQ(w.delivered[1].err, RDG_E_BAD_SIGNATURE);
    put_vote(&w, 3, 2, true, &b);
    CHECK_OK(inbox_put(w.inbox, 3, rdg_buf_view(&b))); /* not trusted for a while: elsewhere */
    CHECK_EQ(w.count, 2);
    run_until(&w, 3);
    CHECK_EQ(w.delivered[2].err, RDG_OK);
    rdg_buf_fini(&b);
    close_world(&w);
}

/* Into the file that RIDGE_TEST_FIGURES names; what passes is silent otherwise. */
static void note_figures(uint32_t validators, size_t bytes, uint64_t on_loop_us, uint64_t put_us,
                         uint64_t longest_us) {
    const char *path = getenv("RIDGE_TEST_FIGURES");
    FILE *f = path ? fopen(path, "ae") : NULL;
    if (!f) return;
    fprintf(f,
            "%u validators: new view of %zu bytes; checked on the loop %llu us; put %llu us, longest pause "
            "%llu us\n",
            validators, bytes, (unsigned long long)on_loop_us, (unsigned long long)put_us,
            (unsigned long long)longest_us);
    fclose(f);
}

TEST(a_view_change_of_many_validators_does_not_hold_the_loop) {
    static const uint32_t sizes[] = {4, 16, 64};
    for (size_t k = 0; k < 3; ++k) {
        world_t w;
        rdg_buf_t view, vote;
        rdg_buf_init(&view, RDG_CONSENSUS_MESSAGE_MAX), rdg_buf_init(&vote, 1u << 16);
        open_world(&w, sizes[k]);
        put_new_view(&w, &view);
        put_vote(&w, 1, 7, true, &vote);
        rdg_consensus_t *core = new_core(&w, 0);
        CHECK_OK(rdg_consensus_check(core, rdg_buf_view(&view))); /* so that keys are known, as in a chain */
        uint64_t begin = now_us();
        CHECK_OK(rdg_consensus_check(core, rdg_buf_view(&view)));
        uint64_t on_loop_us = now_us() - begin;
        begin = now_us();
        CHECK_OK(inbox_put(w.inbox, 1, rdg_buf_view(&view)));
        CHECK_OK(inbox_put(w.inbox, 1, rdg_buf_view(&vote)));
        uint64_t put_us = now_us() - begin;
        CHECK_EQ(w.count, 0); /* also the vote, which is light, waits for what came before it */
        run_until(&w, 2);
        CHECK_EQ(w.delivered[0].number, 1);
        CHECK_EQ(w.delivered[1].number, 7);
        CHECK(w.delivered[0].err == RDG_OK && w.delivered[1].err == RDG_OK);
        note_figures(sizes[k], view.len, on_loop_us, put_us, w.longest_us);
        rdg_consensus_free(core);
        rdg_buf_fini(&view), rdg_buf_fini(&vote);
        close_world(&w);
    }
}

TEST(a_storm_of_one_peer_is_bounded_and_the_others_are_heard) {
    world_t w;
    rdg_buf_t bad, good;
    size_t full = 0, after = 0;
    rdg_buf_init(&bad, 1u << 16), rdg_buf_init(&good, 1u << 16);
    open_world(&w, 4);
    put_vote(&w, 3, 1, false, &bad);
    for (size_t k = 0; k < 4 * INBOX_PEER_COUNT; ++k) {
        rdg_err_t err = inbox_put(w.inbox, 3, rdg_buf_view(&bad));
        CHECK(err == RDG_OK || err == RDG_E_FULL);
        full += err == RDG_E_FULL;
    }
    CHECK(full > 2 * INBOX_PEER_COUNT);
    CHECK(w.count <= INBOX_AT_ONCE);
    CHECK(inbox_count(w.inbox) <= INBOX_PEER_COUNT);
    size_t before = w.count;
    /* More than are checked at once, so that some of them go the same way as the bad ones. */
    for (uint64_t h = 1; h <= 2 * INBOX_AT_ONCE; ++h) {
        put_vote(&w, 2, h, true, &good);
        CHECK_OK(inbox_put(w.inbox, 2, rdg_buf_view(&good)));
    }
    size_t all = before + inbox_count(w.inbox) + (w.count - before);
    run_until(&w, all);
    uint64_t next = 1;
    for (size_t k = 0; k < w.count; ++k) {
        CHECK_EQ(w.delivered[k].err == RDG_OK, w.delivered[k].peer == 2);
        if (w.delivered[k].peer == 2) CHECK_EQ(w.delivered[k].number, next++); /* in order */
        if (w.delivered[k].peer == 3 && next <= 2 * INBOX_AT_ONCE && k > before) ++after;
    }
    CHECK_EQ(next, 2 * INBOX_AT_ONCE + 1);
    CHECK(after <= 2 * INBOX_BATCH); /* one job under way, and half of the next */
    CHECK_EQ(inbox_count(w.inbox), 0);
    rdg_buf_fini(&bad), rdg_buf_fini(&good);
    close_world(&w);
}

TEST(bytes_that_wait_are_bounded) {
    world_t w;
    open_world(&w, 4);
    uint8_t *large = rdg_calloc(1, RDG_CONSENSUS_MESSAGE_MAX);
    size_t taken = 0;
    /* What cannot be read is light; after the first ones the peer is not trusted and they wait. */
    for (size_t peer = 0; peer < 32; ++peer)
        for (int k = 0; k < 3; ++k)
            taken += inbox_put(w.inbox, peer, rdg_bytes(large, RDG_CONSENSUS_MESSAGE_MAX)) == RDG_OK;
    CHECK((inbox_count(w.inbox)) * RDG_CONSENSUS_MESSAGE_MAX <= INBOX_BYTES);
    run_until(&w, taken);
    for (size_t k = 0; k < w.count; ++k) CHECK(w.delivered[k].err != RDG_OK);
    rdg_free(large);
    close_world(&w);
}

TEST(what_another_core_has_checked_is_checked_again) {
    world_t w;
    rdg_buf_t view, vote;
    rdg_buf_init(&view, RDG_CONSENSUS_MESSAGE_MAX), rdg_buf_init(&vote, 1u << 16);
    open_world(&w, 16);
    put_new_view(&w, &view);
    put_vote(&w, 1, 7, true, &vote);
    CHECK_OK(inbox_put(w.inbox, 1, rdg_buf_view(&view)));
    CHECK_OK(inbox_put(w.inbox, 1, rdg_buf_view(&vote)));
    inbox_set_core(w.inbox, new_core(&w, 1)); /* the worker reads the former one still */
    inbox_set_core(w.inbox, new_core(&w, 2));
    run_until(&w, 2);
    CHECK_EQ(w.delivered[0].err, RDG_E_STALE);
    CHECK_EQ(w.delivered[1].err, RDG_E_STALE);
    rdg_buf_fini(&view), rdg_buf_fini(&vote);
    close_world(&w);
}

TEST(what_waits_of_a_peer_goes_when_another_takes_its_place) {
    world_t w;
    rdg_buf_t view, vote;
    rdg_buf_init(&view, RDG_CONSENSUS_MESSAGE_MAX), rdg_buf_init(&vote, 1u << 16);
    open_world(&w, 16);
    put_new_view(&w, &view);
    put_vote(&w, 1, 7, true, &vote);
    CHECK_OK(inbox_put(w.inbox, 1, rdg_buf_view(&view)));
    CHECK_OK(inbox_put(w.inbox, 1, rdg_buf_view(&vote)));
    inbox_forget(w.inbox, 1);
    put_vote(&w, 1, 9, true, &vote);
    CHECK_OK(inbox_put(w.inbox, 1, rdg_buf_view(&vote)));
    run_until(&w, 1);
    CHECK_EQ(w.delivered[0].number, 9);
    while (inbox_count(w.inbox) > 0) { /* the worker ends with what was forgotten */
        put_vote(&w, 2, 3, true, &vote);
        CHECK_OK(inbox_put(w.inbox, 2, rdg_buf_view(&view)));
        run_until(&w, w.count + 1);
    }
    for (size_t k = 1; k < w.count; ++k) CHECK_EQ(w.delivered[k].peer, 2);
    rdg_buf_fini(&view), rdg_buf_fini(&vote);
    close_world(&w);
}

TEST(an_inbox_may_be_closed_while_the_worker_is_at_it) {
    world_t w;
    rdg_buf_t view;
    rdg_buf_init(&view, RDG_CONSENSUS_MESSAGE_MAX);
    open_world(&w, 16);
    put_new_view(&w, &view);
    CHECK_OK(inbox_put(w.inbox, 1, rdg_buf_view(&view)));
    CHECK_OK(inbox_put(w.inbox, 1, rdg_buf_view(&view)));
    rdg_buf_fini(&view);
    close_world(&w);
    CHECK_EQ(w.count, 0);
}
