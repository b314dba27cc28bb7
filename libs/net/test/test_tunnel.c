#include "ridge/base/buf.h"
#include "ridge/net/forward.h"
#include "ridge/net/tlcp_stream.h"
#include "ridge/net/tunnel.h"
#include "tlcp_kit.h"
#include <stdio.h>
#include <string.h>

/* device ── tunnel in TLCP ── cloud ── forwarded ── an echo server on a port of its own. */
typedef struct site {
    tlcp_kit_t kit;
    rdg_loop_t *loop;
    rdg_listener_t *cloud, *echo;
    rdg_tlcp_end_t device_end, cloud_end;
    rdg_tunnel_t *device, *server;
    int device_closed, server_closed, echo_closed;
    rdg_err_t device_why;
    bool echo_silent;
} site_t;

static void maybe_stop(site_t *s) {
    if (s->device_closed && s->server_closed) rdg_loop_stop(s->loop);
}

static void echo_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    site_t *x = ctx;
    if (x->echo_silent) return;
    rdg_err_t err = rdg_stream_write(s, bytes);
    if (err != RDG_OK) rdg_stream_close(s);
}
static void echo_ended(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    (void)s, (void)why;
    ++((site_t *)ctx)->echo_closed;
}
static const rdg_stream_events_t echo_events = {echo_data, echo_ended, NULL};
static void echo_accept(void *ctx, rdg_stream_t *s) {
    rdg_stream_set_events(s, &echo_events, ctx);
}

static rdg_err_t serve(void *ctx, rdg_tunnel_t *t, const char *service, rdg_stream_t *s) {
    site_t *x = ctx;
    (void)t;
    if (strcmp(service, "secret") == 0) return rdg_fail(RDG_E_FORBIDDEN, "not for you");
    if (strcmp(service, "away") == 0) return rdg_forward_to(x->loop, s, "127.0.0.1", 1, "away");
    if (strcmp(service, "echo") != 0) return rdg_fail(RDG_E_NOT_FOUND, "there is no service '%s'", service);
    return rdg_forward_to(x->loop, s, "127.0.0.1", rdg_listener_port(x->echo), "echo");
}

static void device_ended(void *ctx, rdg_tunnel_t *t, rdg_err_t why) {
    site_t *x = ctx;
    (void)t;
    x->device = NULL;
    x->device_why = why;
    ++x->device_closed;
    maybe_stop(x);
}
static void server_ended(void *ctx, rdg_tunnel_t *t, rdg_err_t why) {
    site_t *x = ctx;
    (void)t, (void)why;
    x->server = NULL;
    ++x->server_closed;
    maybe_stop(x);
}

static void cloud_open(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    site_t *x = ctx;
    CHECK_OK(err);
    rdg_tunnel_options_t o = {
        .loop = x->loop, .server = true, .open = serve, .closed = server_ended, .ctx = x};
    CHECK_OK(rdg_tunnel_new(&o, s, &x->server));
}
static void cloud_accept(void *ctx, rdg_stream_t *s) {
    site_t *x = ctx;
    CHECK_OK(rdg_tlcp_stream_open(x->loop, s, &x->cloud_end, cloud_open, x, NULL));
}
static void device_open(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    site_t *x = ctx;
    CHECK_OK(err);
    rdg_tunnel_options_t o = {.loop = x->loop, .closed = device_ended, .ctx = x};
    CHECK_OK(rdg_tunnel_new(&o, s, &x->device));
    rdg_loop_stop(x->loop);
}

static void site_make(site_t *x) {
    tlcp_kit_make(&x->kit);
    x->device_end = (rdg_tlcp_end_t){.role = RDG_TLCP_CLIENT, .peer_name = "cloud"};
    x->cloud_end = (rdg_tlcp_end_t){.role = RDG_TLCP_SERVER};
    x->device_end.identity = tlcp_kit_identity(&x->kit, "device", 86400);
    x->cloud_end.identity = tlcp_kit_identity(&x->kit, "cloud", 86400);
    CHECK_OK(rdg_loop_new(&x->loop));
    CHECK_OK(rdg_listen(x->loop, NULL, 0, cloud_accept, x, &x->cloud));
    CHECK_OK(rdg_listen(x->loop, NULL, 0, echo_accept, x, &x->echo));
    CHECK_OK(rdg_tlcp_stream_connect(x->loop, "127.0.0.1", rdg_listener_port(x->cloud), 5000, &x->device_end,
                                     device_open, x));
    CHECK_OK(rdg_loop_run(x->loop));
    CHECK(x->device != NULL);
}

static void site_free(site_t *x) {
    rdg_loop_free(x->loop);
    rdg_tlcp_identity_unref(x->device_end.identity);
    rdg_tlcp_identity_unref(x->cloud_end.identity);
    tlcp_kit_free(&x->kit);
    CHECK_EQ(rdg_alloc_live(), 0);
}

/* One user of a stream: writes `size` bytes and wants them back. */
typedef struct user {
    site_t *site;
    rdg_stream_t *stream;
    size_t size, sent, got, wrong;
    int closed, failed;
    rdg_err_t why;
    bool leave; /* close when all is back */
    bool hold;  /* never reads */
    uint8_t salt;
    char text[RDG_ERROR_TEXT_MAX];
} user_t;

static uint8_t byte_at(const user_t *u, size_t i) {
    return (uint8_t)(i * 7 + (i >> 9) + u->salt);
}

static void user_fill(user_t *u) {
    uint8_t block[8192];
    while (u->sent < u->size && rdg_stream_queued(u->stream) < 65536) {
        size_t n = u->size - u->sent < sizeof block ? u->size - u->sent : sizeof block;
        for (size_t i = 0; i < n; ++i) block[i] = byte_at(u, u->sent + i);
        rdg_err_t err = rdg_stream_write(u->stream, rdg_bytes(block, n));
        CHECK_OK(err);
        if (err != RDG_OK) return;
        u->sent += n;
    }
}
static void user_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    user_t *u = ctx;
    for (size_t i = 0; i < bytes.len; ++i) u->wrong += bytes.data[i] != byte_at(u, u->got + i);
    u->got += bytes.len;
    if (u->leave && u->got == u->size) rdg_stream_close(s);
}
static void user_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    user_t *u = ctx;
    (void)s;
    ++u->closed;
    u->why = why;
    u->stream = NULL;
    rdg_loop_stop(u->site->loop);
}
static void user_drained(void *ctx, rdg_stream_t *s) {
    (void)s;
    user_fill(ctx);
}
static const rdg_stream_events_t user_events = {user_data, user_closed, user_drained};

static void user_open(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    user_t *u = ctx;
    if (!s) {
        ++u->failed;
        u->why = err;
        snprintf(u->text, sizeof u->text, "%s", rdg_err_message(err));
        rdg_loop_stop(u->site->loop);
        return;
    }
    u->stream = s;
    rdg_stream_set_events(s, &user_events, u);
    if (u->hold) rdg_stream_pause(s, true);
    user_fill(u);
}

static void until_closed(site_t *x, const int *flag) {
    while (!*flag) CHECK_OK(rdg_loop_run(x->loop));
}

TEST(tunnel_carries_megabytes_in_order_through_a_forwarded_service) {
    site_t x = {0};
    site_make(&x);
    user_t u = {.site = &x, .size = 4u << 20, .leave = true};
    CHECK_OK(rdg_tunnel_open(x.device, "echo", user_open, &u));
    until_closed(&x, &u.closed);
    CHECK_EQ(u.got, u.size);
    CHECK_EQ(u.wrong, 0);
    CHECK_OK(u.why);
    site_free(&x);
}

TEST(tunnel_streams_do_not_wait_for_one_that_nobody_reads) {
    site_t x = {0};
    site_make(&x);
    user_t stuck = {.site = &x, .size = 64u << 20, .hold = true};
    user_t quick[5];
    CHECK_OK(rdg_tunnel_open(x.device, "echo", user_open, &stuck));
    for (int i = 0; i < 5; ++i) {
        quick[i] = (user_t){.site = &x, .size = 300000, .leave = true, .salt = (uint8_t)i};
        CHECK_OK(rdg_tunnel_open(x.device, "echo", user_open, &quick[i]));
    }
    for (int i = 0; i < 5; ++i) {
        until_closed(&x, &quick[i].closed);
        CHECK_EQ(quick[i].got, quick[i].size);
        CHECK_EQ(quick[i].wrong, 0);
    }
    /* The stuck one was held back: its bytes are not piled up somewhere. */
    CHECK(stuck.got == 0 && stuck.sent < stuck.size);
    site_free(&x);
}

TEST(tunnel_refusals_carry_code_and_text) {
    site_t x = {0};
    site_make(&x);
    user_t u = {.site = &x};
    CHECK_OK(rdg_tunnel_open(x.device, "secret", user_open, &u));
    until_closed(&x, &u.failed);
    CHECK_ERR(u.why, RDG_E_FORBIDDEN);
    CHECK_STR(u.text, "not for you");
    user_t v = {.site = &x};
    CHECK_OK(rdg_tunnel_open(x.device, "nosuch", user_open, &v));
    until_closed(&x, &v.failed);
    CHECK_ERR(v.why, RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_tunnel_open(x.device, "No Service", user_open, &v), RDG_E_INVALID);
    /* A refused stream leaves nothing behind, and the tunnel goes on. */
    user_t w = {.site = &x, .size = 10, .leave = true};
    CHECK_OK(rdg_tunnel_open(x.device, "echo", user_open, &w));
    until_closed(&x, &w.closed);
    CHECK_EQ(w.got, 10);
    site_free(&x);
}

TEST(tunnel_stream_to_a_service_that_is_away_ends) {
    site_t x = {0};
    site_make(&x);
    user_t u = {.site = &x, .size = 10};
    CHECK_OK(rdg_tunnel_open(x.device, "away", user_open, &u));
    until_closed(&x, &u.closed);
    CHECK_EQ(u.got, 0);
    site_free(&x);
}

TEST(tunnel_beyond_its_streams_is_full_and_recovers) {
    site_t x = {0};
    site_make(&x);
    user_t u[RDG_TUNNEL_STREAMS_MAX + 1];
    for (int i = 0; i <= RDG_TUNNEL_STREAMS_MAX; ++i) {
        u[i] = (user_t){.site = &x, .size = 1000, .leave = true, .salt = (uint8_t)i};
        rdg_err_t err = rdg_tunnel_open(x.device, "echo", user_open, &u[i]);
        CHECK_ERR(err, i < RDG_TUNNEL_STREAMS_MAX ? RDG_OK : RDG_E_FULL);
    }
    for (int i = 0; i < RDG_TUNNEL_STREAMS_MAX; ++i) until_closed(&x, &u[i].closed);
    while (rdg_tunnel_stream_count(x.device) > 0) tlcp_kit_turn(x.loop);
    CHECK_OK(rdg_tunnel_open(x.device, "echo", user_open, &u[RDG_TUNNEL_STREAMS_MAX]));
    until_closed(&x, &u[RDG_TUNNEL_STREAMS_MAX].closed);
    CHECK_EQ(u[RDG_TUNNEL_STREAMS_MAX].got, 1000);
    site_free(&x);
}

TEST(tunnel_closed_by_one_end_tells_every_stream_and_the_other_end) {
    site_t x = {0};
    site_make(&x);
    user_t u = {.site = &x, .size = 100};
    CHECK_OK(rdg_tunnel_open(x.device, "echo", user_open, &u));
    while (u.got < 100) {
        tlcp_kit_turn(x.loop);
    }
    rdg_tunnel_close(x.server);
    CHECK_EQ(x.server_closed, 0);
    while (!x.device_closed || !x.server_closed) CHECK_OK(rdg_loop_run(x.loop));
    CHECK_EQ(u.closed, 1);
    CHECK_ERR(u.why, RDG_E_CLOSED);
    CHECK_OK(x.device_why);
    while (!x.echo_closed) {
        tlcp_kit_turn(x.loop);
    }
    site_free(&x);
}

TEST(tunnel_stream_closed_with_bytes_waiting_is_told_to_the_service) {
    site_t x = {.echo_silent = true};
    site_make(&x);
    user_t u = {.site = &x, .size = 32u << 20};
    CHECK_OK(rdg_tunnel_open(x.device, "echo", user_open, &u));
    while (!u.stream) {
        tlcp_kit_turn(x.loop);
    }
    rdg_stream_close(u.stream);
    until_closed(&x, &u.closed);
    while (!x.echo_closed) {
        tlcp_kit_turn(x.loop);
    }
    while (rdg_tunnel_stream_count(x.device) > 0) tlcp_kit_turn(x.loop);
    site_free(&x);
}

TEST(tunnel_freed_with_its_loop_leaks_nothing) {
    site_t x = {0};
    site_make(&x);
    user_t u = {.site = &x, .size = 1u << 20}, v = {.site = &x, .size = 1u << 20, .hold = true};
    CHECK_OK(rdg_tunnel_open(x.device, "echo", user_open, &u));
    CHECK_OK(rdg_tunnel_open(x.device, "echo", user_open, &v));
    for (int i = 0; i < 20; ++i) {
        tlcp_kit_turn(x.loop);
    }
    site_free(&x);
}
