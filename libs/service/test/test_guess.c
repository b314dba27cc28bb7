/* Guessed tokens: slowed by their address, and nobody else's business. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "guess.h"
#include "kit.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

static bool guess(rdg_guesses_t *g, const char *remote, uint64_t now_ms) {
    bool burst;
    return rdg_guesses_judge(g, remote, NULL, now_ms, &burst);
}

static bool present(rdg_guesses_t *g, const char *remote, const char *who, uint64_t now_ms) {
    bool burst;
    return rdg_guesses_judge(g, remote, who, now_ms, &burst);
}

static void bar(rdg_guesses_t *g, const char *remote, uint64_t now_ms) {
    for (int i = 0; i < GUESS_BURST; ++i) CHECK(guess(g, remote, now_ms));
    CHECK(!guess(g, remote, now_ms));
}

TEST(guess_an_address_is_barred_alone_and_lets_in_who_was_there_before) {
    rdg_guesses_t *g = rdg_calloc(1, sizeof *g);
    rdg_guesses_init(g, 7);
    CHECK(present(g, "10.0.0.1", "alice", 1000));
    bar(g, "10.0.0.1", 1000);
    CHECK(present(g, "10.0.0.1", "alice", 1000));
    CHECK(!present(g, "10.0.0.1", "bob", 1000)); /* a right one tells nothing there */
    CHECK(present(g, "10.0.0.2", "bob", 1000));
    CHECK(guess(g, "10.0.0.2", 1000));
    /* One comes back every GUESS_REFILL_MS. */
    CHECK(!guess(g, "10.0.0.1", 1000 + GUESS_REFILL_MS - 1));
    CHECK(guess(g, "10.0.0.1", 1000 + GUESS_REFILL_MS));
    CHECK(!guess(g, "10.0.0.1", 1000 + GUESS_REFILL_MS));
    CHECK(present(g, "10.0.0.1", "bob", 1000 + 2 * GUESS_REFILL_MS));
    rdg_guesses_fini(g);
    rdg_free(g);
}

TEST(guess_a_network_of_ipv6_is_one_address_and_an_ipv4_one_is_itself) {
    rdg_guesses_t *g = rdg_calloc(1, sizeof *g);
    rdg_guesses_init(g, 7);
    bar(g, "2001:db8:0:1::5", 1000);
    CHECK(!guess(g, "2001:db8:0:1:ffff:1:2:3", 1000));
    CHECK(guess(g, "2001:db8:0:2::5", 1000));
    bar(g, "::ffff:10.0.0.1", 1000);
    CHECK(!guess(g, "10.0.0.1", 1000));
    CHECK(guess(g, "::ffff:10.0.0.2", 1000));
    rdg_guesses_fini(g);
    rdg_free(g);
}

TEST(guess_a_burst_is_told_of_once_and_the_table_never_grows) {
    rdg_guesses_t *g = rdg_calloc(1, sizeof *g);
    bool burst;
    unsigned told = 0;
    char from[32];
    uint64_t now = 1000;
    rdg_guesses_init(g, 7);
    for (int i = 0; i < 1000; ++i) {
        (void)rdg_guesses_judge(g, "10.0.0.1", NULL, now += 100, &burst);
        told += burst;
    }
    CHECK_EQ(told, 1);
    now += (uint64_t)GUESS_BURST * GUESS_REFILL_MS;
    for (int i = 0; i < 100; ++i) {
        (void)rdg_guesses_judge(g, "10.0.0.1", NULL, now, &burst);
        told += burst;
    }
    CHECK_EQ(told, 2);
    for (int i = 0; i < 100000; ++i) {
        snprintf(from, sizeof from, "11.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        CHECK(guess(g, from, now += 1));
    }
    rdg_guesses_fini(g);
    rdg_free(g);
}

/* A request from an address of the loopback network that is not that of others. */
static unsigned ask_from(const kit_t *k, const char *from, const char *token) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(rdg_service_port(k->service))},
                       own = {.sin_family = AF_INET};
    char text[400] = "";
    unsigned status = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(inet_pton(AF_INET, from, &own.sin_addr), 1);
    CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&own, sizeof own) == 0);
    CHECK_EQ(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    int n = snprintf(text, sizeof text,
                     "GET /api/v1/things/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                     "Authorization: Bearer %s\r\n\r\n",
                     token);
    CHECK_EQ(send(fd, text, (size_t)n, 0), n);
    ssize_t got = recv(fd, text, sizeof text - 1, MSG_WAITALL);
    CHECK(got > 12);
    CHECK_EQ(sscanf(text, "HTTP/1.1 %u", &status), 1);
    close(fd);
    return status;
}

static uint64_t counted(rdg_metrics_t *m, const char *name) {
    rdg_buf_t text;
    char line[100];
    unsigned long long v = 0;
    rdg_buf_init(&text, 1u << 20);
    CHECK_OK(rdg_metrics_expose(m, &text));
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(rdg_buf_cstr(&text), line);
    CHECK(at && sscanf(at + strlen(line), "%llu", &v) == 1);
    rdg_buf_fini(&text);
    return v;
}

TEST(guess_over_http_is_429_from_its_address_only_and_counted) {
    kit_t k;
    char token[32];
    rdg_clock_manual_t clock;
    rdg_metrics_t *m = rdg_metrics_new();
    const rdg_service_options_t o = {.metrics = m, .clock = &clock.clock};
    json_t *a = NULL;
    rdg_clock_manual_init(&clock, 1000000);
    kit_open(&k, &o);
    for (int i = 0; i < GUESS_BURST; ++i) {
        snprintf(token, sizeof token, "guess-%d", i);
        CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", token, NULL, NULL), 401);
    }
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", "guess", NULL, &a), 429);
    CHECK_STR(kit_error(a, "code"), "BUSY");
    CHECK(strstr(kit_error(a, "message"), "came from 127.0.0.1"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", "secret", NULL, NULL), 429);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", NULL, NULL, NULL), 401); /* nothing is no guess */
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/open", "guess", NULL, NULL), 204);
    CHECK_EQ(ask_from(&k, "127.0.0.2", "secret"), 201);
    CHECK_EQ(ask_from(&k, "127.0.0.2", "guess"), 401);
    CHECK_EQ(counted(m, "ridge_http_wrong_tokens_total"), GUESS_BURST + 1);
    CHECK_EQ(counted(m, "ridge_http_wrong_tokens_barred_total"), 2);
    rdg_clock_manual_advance(&clock, GUESS_REFILL_MS);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", "secret", NULL, NULL), 201);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", "guess", NULL, NULL), 401);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", "guess", NULL, NULL), 429);
    CHECK_EQ(kit_call(&k, "GET", "/api/v1/things/x", "secret", NULL, NULL), 201); /* was there before */
    kit_close(&k);
    rdg_metrics_free(m);
}
