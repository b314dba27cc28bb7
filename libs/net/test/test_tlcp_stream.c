#include "ridge/base/buf.h"
#include "ridge/net/tlcp_stream.h"
#include "tlcp_kit.h"
#include <stdio.h>
#include <string.h>

#define DAY 86400

/* A server that echoes inside TLCP, a client that collects. */
typedef struct both {
    tlcp_kit_t kit;
    rdg_loop_t *loop;
    rdg_listener_t *listener;
    rdg_tlcp_end_t client_end, server_end;
    rdg_stream_t *client, *server;
    rdg_buf_t got;
    size_t want;
    int client_closed, server_closed, server_failures;
    rdg_err_t connect_err, server_err, why, server_why;
    char server_text[RDG_ERROR_TEXT_MAX];
    bool swallow, pause_server;
} both_t;

static void stop_when_over(both_t *b) {
    bool client = b->client_closed || b->connect_err != RDG_OK;
    bool server = b->server_closed || b->server_failures;
    if (client && server) rdg_loop_stop(b->loop);
}

static void server_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    both_t *b = ctx;
    if (!b->swallow) CHECK_OK(rdg_stream_write(s, bytes));
    if (b->pause_server) rdg_stream_pause(s, true);
}
static void server_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    both_t *b = ctx;
    (void)s;
    ++b->server_closed;
    b->server = NULL;
    b->server_why = why;
    stop_when_over(b);
}
static const rdg_stream_events_t server_events = {server_data, server_closed, NULL};

static void server_open(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    both_t *b = ctx;
    b->server = s;
    b->server_err = err;
    if (s) {
        rdg_stream_set_events(s, &server_events, b);
        return;
    }
    ++b->server_failures;
    snprintf(b->server_text, sizeof b->server_text, "%s", rdg_err_message(err));
    stop_when_over(b);
}

static void on_accept(void *ctx, rdg_stream_t *s) {
    both_t *b = ctx;
    CHECK_OK(rdg_tlcp_stream_open(b->loop, s, &b->server_end, server_open, b, NULL));
}

static void client_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    both_t *b = ctx;
    CHECK_OK(rdg_buf_append(&b->got, bytes.data, bytes.len));
    if (b->got.len == b->want) rdg_stream_close(s);
}
static void client_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    both_t *b = ctx;
    (void)s;
    ++b->client_closed;
    b->client = NULL;
    b->why = why;
    stop_when_over(b);
}
static const rdg_stream_events_t client_events = {client_data, client_closed, NULL};

static void client_open(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    both_t *b = ctx;
    b->client = s;
    b->connect_err = err;
    if (s) {
        rdg_stream_set_events(s, &client_events, b);
        rdg_loop_stop(b->loop);
    } else {
        stop_when_over(b);
    }
}

static void both_make(both_t *b, int64_t client_life_s) {
    tlcp_kit_make(&b->kit);
    rdg_buf_init(&b->got, 64u << 20);
    b->client_end = (rdg_tlcp_end_t){.role = RDG_TLCP_CLIENT, .peer_name = "server"};
    b->server_end = (rdg_tlcp_end_t){.role = RDG_TLCP_SERVER};
    b->client_end.identity = tlcp_kit_identity(&b->kit, "client", client_life_s);
    b->server_end.identity = tlcp_kit_identity(&b->kit, "server", DAY);
    CHECK_OK(rdg_loop_new(&b->loop));
    CHECK_OK(rdg_listen(b->loop, NULL, 0, on_accept, b, &b->listener));
}

static void both_dial(both_t *b) {
    CHECK_OK(rdg_tlcp_stream_connect(b->loop, "127.0.0.1", rdg_listener_port(b->listener), 5000,
                                     &b->client_end, client_open, b));
    CHECK_OK(rdg_loop_run(b->loop));
}

static void both_free(both_t *b) {
    rdg_loop_free(b->loop);
    rdg_tlcp_identity_unref(b->client_end.identity);
    rdg_tlcp_identity_unref(b->server_end.identity);
    rdg_buf_fini(&b->got);
    tlcp_kit_free(&b->kit);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(tlcp_stream_echoes_megabytes_and_both_ends_know_each_other) {
    both_t b = {.want = 4u << 20};
    both_make(&b, DAY);
    both_dial(&b);
    CHECK_OK(b.connect_err);
    CHECK(rdg_cert_has_name(rdg_tlcp_stream_peer(b.client), "server"));
    uint8_t *sent = rdg_alloc(b.want);
    for (size_t i = 0; i < b.want; ++i) sent[i] = (uint8_t)(i * 7 + (i >> 8));
    CHECK_OK(rdg_stream_write(b.client, rdg_bytes(sent, b.want)));
    CHECK_OK(rdg_loop_run(b.loop));
    CHECK_EQ(b.got.len, b.want);
    CHECK_MEM(b.got.data, sent, b.want);
    CHECK_OK(b.why);
    CHECK_OK(b.server_why);
    rdg_free(sent);
    both_free(&b);
}

TEST(tlcp_stream_paused_holds_back_and_loses_nothing) {
    both_t b = {.want = 1u << 20, .pause_server = true};
    both_make(&b, DAY);
    both_dial(&b);
    uint8_t *sent = rdg_alloc(b.want);
    for (size_t i = 0; i < b.want; ++i) sent[i] = (uint8_t)(i * 31);
    CHECK_OK(rdg_stream_write(b.client, rdg_bytes(sent, b.want)));
    /* The server pauses after each piece; each turn lets it go on. */
    rdg_timer_t *timer = NULL;
    CHECK_OK(rdg_timer_new(b.loop, (void (*)(void *))rdg_loop_stop, b.loop, &timer));
    while (!b.client_closed || !b.server_closed) {
        rdg_timer_start(timer, 1, 0);
        CHECK_OK(rdg_loop_run(b.loop));
        if (b.server) rdg_stream_pause(b.server, false);
    }
    CHECK_EQ(b.got.len, b.want);
    CHECK_MEM(b.got.data, sent, b.want);
    rdg_free(sent);
    both_free(&b);
}

TEST(tlcp_stream_refuses_an_expired_client_and_both_ends_say_why) {
    both_t b = {0};
    both_make(&b, 60);
    both_dial(&b);
    if (b.client) CHECK_OK(rdg_loop_run(b.loop)); /* a client is open before the server has judged it */
    CHECK_ERR(b.server_err, RDG_E_EXPIRED);
    CHECK(strstr(b.server_text, "alert 45 sent") != NULL);
    CHECK(b.connect_err != RDG_OK || b.why != RDG_OK);
    both_free(&b);
}

TEST(tlcp_stream_refuses_a_server_of_another_name) {
    both_t b = {0};
    both_make(&b, DAY);
    b.client_end.peer_name = "another";
    both_dial(&b);
    CHECK_ERR(b.connect_err, RDG_E_UNAUTHENTICATED);
    CHECK(b.server_failures == 1);
    both_free(&b);
}

static rdg_err_t nobody(void *ctx, const rdg_cert_t *peer, const rdg_cert_t *enc) {
    (void)peer, (void)enc;
    ++*(int *)ctx;
    return rdg_fail(RDG_E_FORBIDDEN, "this certificate is revoked");
}

static int freed;
static void count_free(void *ctx) {
    (void)ctx;
    ++freed;
}

TEST(tlcp_stream_asks_the_rule_and_frees_it_with_the_identity) {
    both_t b = {0};
    int asked = 0;
    both_make(&b, DAY);
    rdg_tlcp_identity_t *strict = NULL;
    rdg_tlcp_rule_t rule = {nobody, &asked, count_free};
    freed = 0;
    CHECK_OK(rdg_tlcp_identity_with_rule(b.server_end.identity, &rule, &strict));
    rdg_tlcp_identity_unref(b.server_end.identity);
    b.server_end.identity = strict;
    both_dial(&b);
    if (b.client) CHECK_OK(rdg_loop_run(b.loop));
    CHECK_EQ(asked, 1);
    CHECK_ERR(b.server_err, RDG_E_UNAUTHENTICATED);
    CHECK(strstr(b.server_text, "alert 44 sent") != NULL);
    both_free(&b);
    CHECK_EQ(freed, 1);
}

TEST(tlcp_stream_without_a_certificate_is_let_in_where_that_is_allowed) {
    both_t b = {.want = 5};
    both_make(&b, DAY);
    rdg_tlcp_identity_unref(b.client_end.identity);
    b.client_end.identity = tlcp_kit_bare(&b.kit);
    b.server_end.client_auth = RDG_TLCP_CLIENT_OPTIONAL;
    both_dial(&b);
    CHECK_OK(b.connect_err);
    CHECK_OK(rdg_stream_write(b.client, rdg_bytes_str("hello")));
    CHECK_OK(rdg_loop_run(b.loop));
    CHECK_MEM(b.got.data, "hello", 5);
    both_free(&b);
}

/* A peer that connects and says nothing, or nonsense, or too much. */
typedef struct stranger {
    both_t *b;
    const char *say;
    size_t times;
} stranger_t;

static void stranger_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    (void)ctx, (void)s, (void)bytes;
}
static void stranger_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    stranger_t *x = ctx;
    (void)s, (void)why;
    ++x->b->client_closed;
    stop_when_over(x->b);
}
static const rdg_stream_events_t stranger_events = {stranger_data, stranger_closed, NULL};

static void stranger_open(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    stranger_t *x = ctx;
    CHECK_OK(err);
    rdg_stream_set_events(s, &stranger_events, x);
    for (size_t i = 0; i < x->times; ++i)
        (void)rdg_stream_write(s, rdg_bytes((const uint8_t *)x->say, strlen(x->say)));
}

static void meet_stranger(both_t *b, const char *say, size_t times, uint64_t timeout_ms) {
    stranger_t x = {b, say, times};
    both_make(b, DAY);
    b->server_end.timeout_ms = timeout_ms;
    CHECK_OK(
        rdg_stream_connect(b->loop, "127.0.0.1", rdg_listener_port(b->listener), 60000, stranger_open, &x));
    CHECK_OK(rdg_loop_run(b->loop));
    CHECK_EQ(b->client_closed, 1);
    CHECK_EQ(b->server_failures, 1);
}

TEST(tlcp_stream_gives_a_silent_peer_its_time_and_no_more) {
    both_t b = {0};
    meet_stranger(&b, "", 0, 100);
    CHECK_ERR(b.server_err, RDG_E_TIMEOUT);
    both_free(&b);
}

TEST(tlcp_stream_refuses_what_is_no_tlcp) {
    both_t b = {0};
    meet_stranger(&b, "GET / HTTP/1.1\r\nHost: node\r\n\r\n", 1, 60000);
    CHECK_ERR(b.server_err, RDG_E_PROTOCOL);
    both_free(&b);
}

TEST(tlcp_stream_refuses_a_peer_that_never_comes_to_the_end_of_its_handshake) {
    both_t b = {0};
    /* Records of one byte of a handshake message that would be allowed to be 16 KiB long. */
    static const char drip[] = "\x16\x01\x01\x01\x01\x01";
    meet_stranger(&b, drip, 20000, 60000);
    CHECK(b.server_err == RDG_E_TOO_LARGE || b.server_err == RDG_E_PROTOCOL);
    both_free(&b);
}

TEST(tlcp_stream_freed_with_its_loop_in_the_middle_of_a_handshake_leaks_nothing) {
    for (int turns = 0; turns < 20; ++turns) {
        both_t b = {0};
        both_make(&b, DAY);
        CHECK_OK(rdg_tlcp_stream_connect(b.loop, "127.0.0.1", rdg_listener_port(b.listener), 5000,
                                         &b.client_end, client_open, &b));
        for (int i = 0; i < turns; ++i) tlcp_kit_turn(b.loop);
        both_free(&b);
    }
}
