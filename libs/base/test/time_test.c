#include "ridge/base/clock.h"
#include "ridge/base/random.h"
#include "ridge/base/trace.h"
#include "ridge/test.h"

TEST(time_is_formatted_as_rfc_3339) {
    char text[25];
    rdg_time_format(0, text);
    CHECK_STR(text, "1970-01-01T00:00:00.000Z");
    rdg_time_format(1795248000123u, text);
    CHECK_STR(text, "2026-11-21T08:00:00.123Z");
    rdg_time_format(951782399999u, text);
    CHECK_STR(text, "2000-02-28T23:59:59.999Z");
    rdg_time_format(UINT64_MAX, text);
    CHECK_STR(text, "9999-12-31T23:59:59.999Z");
}

TEST(manual_clock_moves_only_when_told) {
    rdg_clock_manual_t c;
    rdg_clock_manual_init(&c, 5000);
    CHECK_EQ(rdg_wall_ms(&c.clock), 5000);
    CHECK_EQ(rdg_mono_ms(&c.clock), 0);
    rdg_clock_manual_advance(&c, 250);
    CHECK_EQ(rdg_wall_ms(&c.clock), 5250);
    CHECK_EQ(rdg_mono_us(&c.clock), 250000);
}

TEST(system_clock_never_goes_back) {
    const rdg_clock_t *c = rdg_clock_system();
    uint64_t before = rdg_mono_us(c);
    CHECK(rdg_mono_us(c) >= before);
    CHECK(rdg_wall_ms(c) > 1700000000000u);
}

TEST(seeded_random_is_xoshiro256starstar) {
    /* From the authors' own code (prng.di.unimi.it) with the state 1, 2, 3, 4. */
    rdg_random_seeded_t r;
    rdg_random_seeded_init(&r, 0);
    r.s[0] = 1, r.s[1] = 2, r.s[2] = 3, r.s[3] = 4;
    CHECK(rdg_random_u64(&r.random) == 11520u);
    CHECK(rdg_random_u64(&r.random) == 0u);
    CHECK(rdg_random_u64(&r.random) == 1509978240u);
    CHECK(rdg_random_u64(&r.random) == 1215971899390074240u);
}

TEST(seeded_random_repeats_and_differs_by_seed) {
    rdg_random_seeded_t a, b, c;
    rdg_random_seeded_init(&a, 7), rdg_random_seeded_init(&b, 7), rdg_random_seeded_init(&c, 8);
    uint64_t first = rdg_random_u64(&a.random);
    CHECK(first == rdg_random_u64(&b.random));
    CHECK(first != rdg_random_u64(&c.random));
}

TEST(random_below_reaches_all_and_only_the_range) {
    bool seen[5] = {false};
    for (int i = 0; i < 1000; ++i) {
        uint64_t v = rdg_random_below(rdg_test_random(), 5);
        CHECK(v < 5);
        seen[v] = true;
    }
    for (int i = 0; i < 5; ++i) CHECK(seen[i]);
    CHECK_EQ(rdg_random_below(rdg_test_random(), 1), 0);
}

TEST(system_random_fills_and_prints) {
    char a[33], b[33];
    rdg_random_hex(rdg_random_system(), a, 16);
    rdg_random_hex(rdg_random_system(), b, 16);
    CHECK_EQ(strlen(a), 32);
    CHECK_EQ(strspn(a, "0123456789abcdef"), 32);
    CHECK(strcmp(a, b) != 0);
}

#define VALID "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

TEST(trace_parses_and_formats_the_standards_example) {
    rdg_trace_t t;
    char text[RDG_TRACEPARENT_LEN + 1];
    CHECK_OK(rdg_trace_parse(VALID, &t));
    rdg_trace_format(&t, text);
    CHECK_STR(text, VALID);
    /* A later version may add fields behind a dash; they are not kept. */
    CHECK_OK(rdg_trace_parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", &t));
}

TEST(trace_refuses_what_the_standard_forbids) {
    static const char *const bad[] = {
        NULL,
        "",
        "00",
        (VALID "-more"),
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        rdg_trace_t t = {.flags = 0x55};
        CHECK_ERR(rdg_trace_parse(bad[i], &t), RDG_E_MALFORMED);
        CHECK_EQ(t.flags, 0x55);
    }
}

TEST(trace_child_keeps_the_trace_and_changes_the_span) {
    rdg_trace_t parent, child;
    rdg_trace_new(&parent, rdg_test_random());
    rdg_trace_child(&parent, &child, rdg_test_random());
    CHECK_MEM(parent.trace_id, child.trace_id, 16);
    CHECK(memcmp(parent.span_id, child.span_id, 8) != 0);
    CHECK(rdg_trace_current() == NULL);
    rdg_trace_set_current(&child);
    CHECK_MEM(rdg_trace_current()->span_id, child.span_id, 8);
    rdg_trace_set_current(NULL);
    CHECK(rdg_trace_current() == NULL);
}
