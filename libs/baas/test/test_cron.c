/* Times in the form of cron: which come next, and what is no such form. */
#include "collector_cron.h"
#include "ridge/test.h"

#define MINUTE 60000ull
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define THURSDAY 0ull /* 1970-01-01 */

static uint64_t next(const char *text, uint64_t after) {
    cron_t c;
    CHECK_OK(cron_parse(text, &c));
    return cron_next(&c, after);
}

TEST(cron_finds_the_next_time) {
    CHECK_EQ(next("* * * * *", THURSDAY), MINUTE);
    CHECK_EQ(next("* * * * *", MINUTE + 1), 2 * MINUTE);
    CHECK_EQ(next("30 2 * * *", THURSDAY), 2 * HOUR + 30 * MINUTE);
    CHECK_EQ(next("30 2 * * *", 2 * HOUR + 30 * MINUTE), DAY + 2 * HOUR + 30 * MINUTE);
    CHECK_EQ(next("*/15 * * * *", 16 * MINUTE), 30 * MINUTE);
    CHECK_EQ(next("5-59/20 8-9 * * *", 8 * HOUR + 46 * MINUTE), 9 * HOUR + 5 * MINUTE);
    CHECK_EQ(next("0 0 * * 0", THURSDAY), 3 * DAY);
    CHECK_EQ(next("0 0 * * 7", THURSDAY), 3 * DAY);
    CHECK_EQ(next("0 0 1,15 * *", THURSDAY), 14 * DAY);
    CHECK_EQ(next("0 0 15 * 5", THURSDAY), DAY);                          /* either day */
    CHECK_EQ(next("0 0 29 2 *", THURSDAY), (365ull * 2 + 31 + 28) * DAY); /* 1972 */
    CHECK_EQ(next("0 12 31 12 *", THURSDAY), 364 * DAY + 12 * HOUR);
    CHECK_EQ(next("0 0 31 2 *", THURSDAY), 0);
}

TEST(cron_refuses_what_is_no_time) {
    static const char *const wrong[] = {
        "",           "* * * *",     "* * * * * *",  "60 * * * *",   "* 24 * * *",
        "* * 0 * *",  "* * 32 * *",  "* * * 13 *",   "* * * * 8",    "-1 * * * *",
        "1- * * * *", "5-2 * * * *", "*/0 * * * *",  "*/61 * * * *", "1,, * * * *",
        "a * * * *",  "1/ * * * *",  "1-2-3 * * * *"};
    cron_t c;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i)
        CHECK_ERR(cron_parse(wrong[i], &c), RDG_E_INVALID);
}
