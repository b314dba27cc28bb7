/* What the main chain is told of archives, and when again: intents of a main chain that nobody reaches, which end as the test
 * says. What a registry says to them is tested on a real one (apps/cloud). */
#include "lost_chain.h"
#include "mainchain.h"
#include "succession.h"
#include <stdio.h>
#include <string.h>

static rdg_baas_archive_t archive(uint64_t from, uint64_t to) {
    rdg_baas_archive_t a = {.chain_id = LOST_CHAIN_ID, .from = from, .to = to, .mark_ms = to};
    rdg_sm3(&from, sizeof from, &a.manifest);
    return a;
}

static rdg_baas_anchor_t anchor(kit_t *k, rdg_baas_archive_t a) {
    rdg_baas_anchor_t got;
    CHECK_OK(rdg_baas_mainchain_anchor(k->baas, &a, 0, &got));
    return got;
}

static int64_t count_of(kit_t *k, const char *query) {
    int64_t n = 0;
    CHECK_OK(rdg_sql_query(k->baas->db, query, NULL, 0, baas_int_row, &n));
    return n;
}

/* The intents of archives that wait end like that, at a time. */
static void end(kit_t *k, int state, uint64_t when) {
    char statement[200];
    snprintf(
        statement, sizeof statement,
        "UPDATE main_intents SET state = %d, error = 'a gap', done_ms = %llu WHERE kind = 4 AND state = 0",
        state, (unsigned long long)when);
    lost_sql(k, statement);
}

static void begin(kit_t *k) {
    static const rdg_hash_t genesis = {{1}};
    lost_open(k);
    CHECK_OK(rdg_baas_mainchain_genesis(k->baas, LOST_CHAIN_ID, "c", &genesis));
}

#define TOLD "SELECT COUNT(*) FROM main_intents WHERE kind = 4"

TEST(anchor_of_what_was_refused_is_told_again_when_it_follows) {
    kit_t k;
    begin(&k);
    CHECK_EQ(anchor(&k, archive(11, 20)).state, RDG_BAAS_ANCHOR_PENDING);
    end(&k, INTENT_REFUSED, baas_now());
    CHECK_EQ(anchor(&k, archive(11, 20)).state, RDG_BAAS_ANCHOR_REFUSED);
    end(&k, INTENT_REFUSED, 1); /* none waits: however long ago, a gap is a gap */
    CHECK_EQ(anchor(&k, archive(11, 20)).state, RDG_BAAS_ANCHOR_REFUSED);
    CHECK_EQ(count_of(&k, TOLD), 1);
    CHECK_EQ(anchor(&k, archive(1, 10)).state, RDG_BAAS_ANCHOR_PENDING);
    CHECK_EQ(anchor(&k, archive(11, 20)).state, RDG_BAAS_ANCHOR_REFUSED); /* it waits itself */
    end(&k, INTENT_WRITTEN, baas_now());
    CHECK_EQ(anchor(&k, archive(11, 20)).state, RDG_BAAS_ANCHOR_PENDING);
    CHECK_EQ(count_of(&k, TOLD), 3);
    kit_close(&k);
}

/* It follows, and was refused all the same: that the cloud is a writer again nobody tells it, so it asks, now and then. */
TEST(anchor_of_what_was_refused_for_another_reason_is_told_now_and_then) {
    kit_t k;
    begin(&k);
    (void)anchor(&k, archive(1, 10));
    end(&k, INTENT_REFUSED, baas_now());
    rdg_baas_anchor_t got = anchor(&k, archive(1, 10));
    CHECK(got.state == RDG_BAAS_ANCHOR_REFUSED && !got.never);
    lost_sql(&k, "UPDATE main_intents SET done_ms = done_ms - 600001 WHERE kind = 4");
    CHECK_EQ(anchor(&k, archive(1, 10)).state, RDG_BAAS_ANCHOR_PENDING);
    CHECK_EQ(count_of(&k, TOLD), 2);
    kit_close(&k);
}

TEST(anchor_of_what_others_have_anchored_is_never_told_again) {
    kit_t k;
    begin(&k);
    (void)anchor(&k, archive(1, 10));
    end(&k, INTENT_WRITTEN, 1);
    (void)anchor(&k, archive(5, 20));
    end(&k, INTENT_REFUSED, 1);
    rdg_baas_anchor_t got = anchor(&k, archive(5, 20));
    CHECK(got.state == RDG_BAAS_ANCHOR_REFUSED && got.never);
    (void)anchor(&k, archive(30, 40));
    end(&k, INTENT_REFUSED, 1);
    CHECK(!anchor(&k, archive(30, 40)).never);
    CHECK_OK(rdg_baas_mainchain_destroyed(k.baas, LOST_CHAIN_ID, 10, false));
    lost_sql(&k, "UPDATE main_intents SET state = 1 WHERE kind = 7");
    CHECK(anchor(&k, archive(30, 40)).never);
    CHECK_EQ(count_of(&k, TOLD), 3);
    kit_close(&k);
}
