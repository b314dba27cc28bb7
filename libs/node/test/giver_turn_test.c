/* One snapshot is given at a time: nobody keeps it from others for longer than it takes to fetch it. */
#include "giver_turn.h"
#include "ridge/test.h"

enum { HOSTILE = 3, HONEST = 5, OTHER = 6, CHUNKS = 100 };

/* A peer that has had its snapshot made asks for it again and again; another asks every 5 s for another height. */
TEST(a_peer_that_asks_and_asks_holds_a_snapshot_for_a_bounded_time) {
    turn_t t;
    uint64_t now = 1000, made = now;
    turn_init(&t);
    CHECK(turn_ask(&t, HOSTILE, 0, false, now));
    turn_made(&t, now);
    for (;; now += 100) {
        CHECK(turn_is_over(&t, CHUNKS, now) == (now - made >= turn_hold_ms(CHUNKS)));
        turn_used(&t, now); /* a chunk, or the manifest */
        if (now % 5000 == 0 && turn_ask(&t, HONEST, CHUNKS, false, now)) break;
        CHECK(now - made <= turn_hold_ms(CHUNKS) + 5000);
    }
    CHECK(now - made >= turn_hold_ms(CHUNKS)); /* an honest one has its time */
    CHECK_EQ(t.maker, HONEST);
}

/* It asks for a third height all the time, so that it would be first whenever there is room. */
TEST(who_had_the_last_snapshot_waits_for_those_who_wait) {
    turn_t t;
    uint64_t now = 1000;
    size_t turns[2] = {0, 0};
    turn_init(&t);
    for (; now < 3600000; now += 100) {
        bool hostile = turn_ask(&t, HOSTILE, CHUNKS, false, now);
        bool honest = now % 5000 == 0 && turn_ask(&t, HONEST, CHUNKS, hostile, now);
        CHECK(!(hostile && honest));
        turns[0] += hostile, turns[1] += honest;
        if (hostile || honest) turn_made(&t, now);
        turn_used(&t, now);
    }
    CHECK(turns[1] >= 3600000 / (2 * (turn_hold_ms(CHUNKS) + 10000)));
    CHECK(turns[0] <= turns[1] + 1);
}

TEST(what_nobody_asks_for_is_replaced_at_once) {
    turn_t t;
    turn_init(&t);
    CHECK(turn_ask(&t, HOSTILE, 0, false, 10));
    turn_made(&t, 20);
    CHECK(!turn_ask(&t, HONEST, CHUNKS, false, 30));
    CHECK(turn_ask(&t, HONEST, CHUNKS, false, 20 + TURN_IDLE_MS));
}

TEST(nothing_is_made_while_one_is_being_made_or_read) {
    turn_t t;
    turn_init(&t);
    CHECK(!turn_ask(&t, HONEST, 0, true, 10));
    CHECK(turn_ask(&t, HONEST, 0, false, 20));
}

/* Who waited and went away keeps nobody back. */
TEST(a_peer_that_waits_no_more_is_not_waited_for) {
    turn_t t;
    turn_init(&t);
    CHECK(turn_ask(&t, HOSTILE, 0, false, 1));
    turn_made(&t, 1);
    CHECK(!turn_ask(&t, HONEST, CHUNKS, false, 2));
    uint64_t later = turn_hold_ms(CHUNKS) + 40000;
    CHECK(turn_ask(&t, HOSTILE, CHUNKS, false, later));
    turn_made(&t, later);
    CHECK(!turn_ask(&t, OTHER, CHUNKS, false, later + 1));
    CHECK(!turn_ask(&t, HOSTILE, CHUNKS, false, later + 2));
}
