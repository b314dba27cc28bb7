#include "rate.h"
#include <stdio.h>
#include "ridge/test.h"

TEST(rate_table_forgets_the_longest_unused_and_never_grows) {
    static rdg_rate_t r;
    char who[32];
    rdg_rate_init(&r, 1, 1, 42);
    for (int i = 0; i < 100000; ++i) {
        snprintf(who, sizeof who, "10.0.%d.%d", i >> 8, i & 255);
        CHECK(rdg_rate_take(&r, who, 1000 + (uint64_t)i));
    }
    CHECK(!rdg_rate_take(&r, who, 100999));
    CHECK(rdg_rate_take(&r, who, 102999));
    rdg_rate_fini(&r);
}

TEST(rate_survives_a_long_silence_and_a_clock_that_stands) {
    static rdg_rate_t r;
    rdg_rate_init(&r, 1000000, 5, 1);
    for (int i = 0; i < 5; ++i) CHECK(rdg_rate_take(&r, "a", 10));
    CHECK(!rdg_rate_take(&r, "a", 10));
    CHECK(!rdg_rate_take(&r, "a", 5));
    CHECK(rdg_rate_take(&r, "a", UINT64_MAX / 2));
    rdg_rate_fini(&r);
}
