/* Where a URL that somebody else has given may lead. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "address_guard.h"
#include "ridge/base/random.h"
#include "ridge/test.h"

static bool guarded(const char *text, address_guard_t guard) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return address_guarded((const struct sockaddr *)&v4, guard);
    CHECK_EQ(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_guarded((const struct sockaddr *)&v6, guard);
}

/* Which of the three levels refuse it: "", "local" (GUARD_LOCAL alone), "link" (both). */
static const struct {
    const char *address, *by;
} kinds[] = {{"8.8.8.8", ""},
             {"11.0.0.1", ""},
             {"100.63.255.255", ""},
             {"100.128.0.0", ""},
             {"172.15.255.255", ""},
             {"172.32.0.0", ""},
             {"192.169.0.1", ""},
             {"2001:db8::1", ""},
             {"64:ff9b::808:808", ""},
             {"::ffff:8.8.8.8", ""},
             {"10.0.0.1", "local"},
             {"10.255.255.255", "local"},
             {"100.64.0.1", "local"},
             {"100.127.255.255", "local"},
             {"127.0.0.1", "local"},
             {"127.255.0.1", "local"},
             {"172.16.0.1", "local"},
             {"172.31.255.255", "local"},
             {"192.0.0.1", "local"},
             {"192.168.255.1", "local"},
             {"198.18.0.1", "local"},
             {"198.19.255.255", "local"},
             {"::1", "local"},
             {"fc00::1", "local"},
             {"fdff::1", "local"},
             {"fec0::1", "local"},
             {"::ffff:10.0.0.1", "local"},
             {"64:ff9b::a00:1", "local"},
             {"64:ff9b:1::1", "local"},
             {"::ffff:127.0.0.1", "local"},
             {"0.0.0.0", "link"},
             {"169.254.169.254", "link"},
             {"224.0.0.1", "link"},
             {"240.0.0.1", "link"},
             {"255.255.255.255", "link"},
             {"100.100.100.200", "link"},
             {"::", "link"},
             {"::2", "link"},
             {"::127.0.0.1", "link"},
             {"fe80::1", "link"},
             {"ff02::1", "link"},
             {"fd00:ec2::254", "link"},
             {"::ffff:169.254.1.1", "link"},
             {"64:ff9b::a9fe:101", "link"}};

TEST(address_of_each_kind_is_guarded_at_its_level) {
    rdg_address_ranges_t all;
    CHECK_OK(rdg_address_ranges_parse("--all", "0.0.0.0/0,::/0", &all));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
        const char *a = kinds[i].address;
        const bool link = strcmp(kinds[i].by, "link") == 0, local = link || kinds[i].by[0];
        if (guarded(a, (address_guard_t){GUARD_LINK, NULL}) != link ||
            guarded(a, (address_guard_t){GUARD_LOCAL, NULL}) != local ||
            guarded(a, (address_guard_t){GUARD_LOCAL, &all}) != link ||
            guarded(a, (address_guard_t){GUARD_NONE, NULL}))
            rdg_test_fail(__FILE__, __LINE__, "%s: not of kind \"%s\"", a, kinds[i].by);
    }
}

TEST(address_outside_the_allowed_ranges_stays_guarded) {
    rdg_address_ranges_t r;
    CHECK_OK(rdg_address_ranges_parse("--x", "10.20.0.0/16,127.0.0.1/32,fd12:3456::/33,172.16.0.0/15", &r));
    CHECK_EQ(r.count, 4);
    static const char *const in[] = {"10.20.0.0",         "10.20.255.255",   "127.0.0.1",
                                     "fd12:3456::9",      "172.17.0.1",      "::ffff:10.20.1.1",
                                     "fd12:3456:7fff::1", "64:ff9b::a14:101"};
    static const char *const out[] = {"10.19.255.255", "10.21.0.0",        "127.0.0.2",   "fd12:3456:8000::1",
                                      "172.18.0.0",    "::ffff:10.21.1.1", "192.168.0.1", "::1"};
    for (size_t i = 0; i < sizeof in / sizeof in[0]; ++i)
        CHECK(!guarded(in[i], (address_guard_t){GUARD_LOCAL, &r}));
    for (size_t i = 0; i < sizeof out / sizeof out[0]; ++i)
        CHECK(guarded(out[i], (address_guard_t){GUARD_LOCAL, &r}));
    const struct sockaddr local = {.sa_family = AF_UNIX};
    CHECK(address_guarded(&local, (address_guard_t){GUARD_LOCAL, &r}));
}

TEST(address_ranges_that_are_none_are_refused_by_name) {
    static const char *const bad[] = {"10.0.0.0",
                                      "10.0.0.0/",
                                      "/8",
                                      "10.0.0.1/8",
                                      "10.0.0.0/33",
                                      "10.0.0.0/08",
                                      "10.0.0.0/+8",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/8 ",
                                      " 10.0.0.0/8",
                                      "10.0.0.0/8,",
                                      ",10.0.0.0/8",
                                      "10.0.0.0/8,,::/0",
                                      "10.0.0/8",
                                      "010.0.0.0/8",
                                      "0x0a.0.0.0/8",
                                      "10.0.0.0/4294967304",
                                      "10.0.0.0/8/8",
                                      "::ffff:10.0.0.0/104",
                                      "fd00::1/8",
                                      "fd00::/129",
                                      "fe80::1%lo/64",
                                      "localhost/8",
                                      "10.0.0.0/8;::/0",
                                      "1111:2222:3333:4444:5555:6666:7777:8888:9999/64",
                                      ",",
                                      "*"};
    rdg_address_ranges_t r;
    char text[1400] = "";
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        if (rdg_address_ranges_parse("--allow", bad[i], &r) != RDG_E_INVALID || r.count != 0)
            rdg_test_fail(__FILE__, __LINE__, "'%s' was taken", bad[i]);
        CHECK(strstr(rdg_err_message(RDG_E_INVALID), "--allow"));
    }
    CHECK_OK(rdg_address_ranges_parse("--allow", NULL, &r));
    CHECK_OK(rdg_address_ranges_parse("--allow", "", &r));
    CHECK_EQ(r.count, 0);
    CHECK(!rdg_address_ranges_have(&r, rdg_bytes("\x7f\0\0\x01", 4)));
    for (int i = 0; i < RDG_ADDRESS_RANGES_MAX; ++i)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s10.%d.0.0/16", i ? "," : "", i);
    CHECK_OK(rdg_address_ranges_parse("--allow", text, &r));
    CHECK_EQ(r.count, RDG_ADDRESS_RANGES_MAX);
    snprintf(text + strlen(text), sizeof text - strlen(text), ",::/0");
    CHECK_ERR(rdg_address_ranges_parse("--allow", text, &r), RDG_E_FULL);
    CHECK_EQ(r.count, 0);
}

/* Whatever is written, it is taken as it says or refused: a prefix that is taken is written out and read again the same. */
TEST(address_ranges_of_random_text_are_what_they_say_or_refused) {
    static const char alphabet[] = "0123456789abcdef:./,%x -\xff";
    const rdg_random_t *random = rdg_test_random();
    char text[200], again[100], shown[INET6_ADDRSTRLEN];
    rdg_address_ranges_t r, second;
    size_t taken = 0;
    for (int round = 0; round < 20000; ++round) {
        size_t len = rdg_random_below(random, 60);
        snprintf(text, sizeof text, "%s", round % 2 ? "10.20.0.0/16,fd00::/8,127.0.0.0/8" : "");
        if (round % 2)
            text[rdg_random_below(random, strlen(text))] =
                alphabet[rdg_random_below(random, sizeof alphabet)];
        for (size_t i = 0; round % 2 == 0 && i <= len; ++i)
            text[i] = i < len ? alphabet[rdg_random_below(random, sizeof alphabet - 1)] : '\0';
        if (rdg_address_ranges_parse("--x", text, &r) != RDG_OK) continue;
        for (size_t i = 0; i < r.count; ++i) {
            CHECK(inet_ntop(r.list[i].len == 4 ? AF_INET : AF_INET6, r.list[i].bytes, shown, sizeof shown));
            snprintf(again, sizeof again, "%s/%u", shown, r.list[i].bits);
            CHECK_OK(rdg_address_ranges_parse("--x", again, &second));
            CHECK(memcmp(&second.list[0], &r.list[i], sizeof r.list[i]) == 0);
        }
        taken += r.count > 0;
    }
    CHECK(taken > 100);
}
