#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "http_test.h"
#include "ridge/base/clock.h"
#include "ridge/net/websocket.h"
#include "ws_kit.h"

#define HANDSHAKE                                                                                            \
    "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"                 \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

typedef struct world {
    rdg_http_server_t *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int opened, closed;
    bool holding;   /* messages "hold" wait for it to end */
    rdg_err_t sent; /* what rdg_ws_send answered last */
    bool refuse_open;
} world_t;

static rdg_err_t on_opened(void *ctx, rdg_ws_t *ws, void **user) {
    world_t *w = ctx;
    *user = ws;
    pthread_mutex_lock(&w->lock);
    bool refuse = w->refuse_open;
    if (!refuse) ++w->opened;
    pthread_mutex_unlock(&w->lock);
    return refuse ? rdg_fail(RDG_E_UNAVAILABLE, "closed on Sundays") : RDG_OK;
}

/* "hold": waits; "flood": sends until it is refused; else an echo. */
static void on_message(void *ctx, void *user, rdg_ws_t *ws, rdg_bytes_t bytes) {
    world_t *w = ctx;
    CHECK(user == ws);
    if (rdg_bytes_equal(bytes, rdg_bytes_str("hold"))) {
        pthread_mutex_lock(&w->lock);
        while (w->holding) pthread_cond_wait(&w->changed, &w->lock);
        pthread_mutex_unlock(&w->lock);
    }
    rdg_err_t err = RDG_OK;
    if (rdg_bytes_equal(bytes, rdg_bytes_str("flood"))) {
        static char block[65536];
        memset(block, 'x', sizeof block);
        while (err == RDG_OK) err = rdg_ws_send(ws, rdg_bytes(block, sizeof block));
        CHECK_EQ(err, RDG_E_FULL);
        CHECK_EQ(rdg_ws_send(ws, bytes), RDG_E_CLOSED);
    } else {
        err = rdg_ws_send(ws, bytes);
    }
    pthread_mutex_lock(&w->lock);
    w->sent = err;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void on_closed(void *ctx, void *user) {
    world_t *w = ctx;
    CHECK(user);
    pthread_mutex_lock(&w->lock);
    ++w->closed;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void on_request(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    (void)ctx;
    if (rdg_ws_is_upgrade(req))
        rdg_ws_accept(req, res);
    else
        (void)rdg_http_write(res, "text/plain", rdg_bytes_str("plain"));
}

static void world_init(world_t *w, rdg_ws_options_t o) {
    *w = (world_t){0};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    o.opened = on_opened;
    o.message = on_message;
    o.closed = on_closed;
    o.ctx = w;
    rdg_http_server_options_t options = {.websocket = &o};
    CHECK_OK(rdg_http_server_start(&options, on_request, w, &w->server));
}

static void world_fini(world_t *w) {
    rdg_http_server_stop(w->server);
    CHECK_EQ(w->opened, w->closed);
    CHECK_EQ(rdg_alloc_live(), 0);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
}

static void open_client(world_t *w, ws_client_t *c) {
    CHECK_EQ(ws_connect(c, rdg_http_server_port(w->server), HANDSHAKE), 101);
}

static void wait_closed(world_t *w, int count) {
    pthread_mutex_lock(&w->lock);
    while (w->closed < count) pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

TEST(websocket_messages_pings_and_the_closing_handshake) {
    world_t w;
    ws_client_t c;
    ws_frame_t f;
    world_init(&w, (rdg_ws_options_t){0});
    open_client(&w, &c);
    ws_send_text(&c, "hello");
    ws_expect_text(&c, "hello");
    /* A message in fragments with a ping between them; three messages in one packet. */
    ws_send_frame(&c, 0x01, rdg_bytes_str("\xe4\xba")); /* half a character */
    ws_send_frame(&c, 0x89, rdg_bytes_str("?"));
    ws_send_frame(&c, 0x80, rdg_bytes_str("\x91!"));
    CHECK(ws_receive(&c, &f));
    CHECK_EQ(f.opcode, 10);
    CHECK_STR(rdg_buf_cstr(&f.payload), "?");
    rdg_buf_fini(&f.payload);
    ws_expect_text(&c, "\xe4\xba\x91!");
    static const uint8_t three[] = {0x81, 0x81, 0,   0,    0,    0, 'a', 0x81, 0x81, 0,  0,
                                    0,    0,    'b', 0x81, 0x81, 0, 0,   0,    0,    'c'};
    ws_send_raw(&c, three, sizeof three);
    ws_expect_text(&c, "a");
    ws_expect_text(&c, "b");
    ws_expect_text(&c, "c");
    ws_send_frame(&c, 0x88, rdg_bytes_str("\x03\xe8 bye"));
    ws_expect_close(&c, 1000, "");
    CHECK(!ws_receive(&c, &f)); /* the server ends the connection */
    ws_disconnect(&c);
    wait_closed(&w, 1);
    world_fini(&w);
}

TEST(websocket_handshakes_that_are_none_are_refused) {
    static const struct {
        const char *headers;
        unsigned status;
    } cases[] = {
        {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 400},
        {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: c2hvcnQ=\r\n",
         400},
        {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: \xff\xffhlIHNhbXBsZSBub25jZQ==\r\n",
         400},
        {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
         426},
        {"Upgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
         400},
        {HANDSHAKE "Origin: http://evil.example\r\n", 403},
        {"Upgrade: h2c\r\nConnection: Upgrade\r\n", 200},
    };
    world_t w;
    world_init(&w, (rdg_ws_options_t){0});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        ws_client_t c;
        CHECK_EQ(ws_connect(&c, rdg_http_server_port(w.server), cases[i].headers), cases[i].status);
        ws_disconnect(&c);
    }
    CHECK_EQ(w.opened, 0);
    world_fini(&w);
}

TEST(websocket_frames_that_break_the_rules_close_the_connection_with_its_code) {
    static const struct {
        const char *bytes;
        size_t len;
        unsigned code;
    } cases[] = {
        {"\x81\x01x", 3, 1002},                                  /* not masked */
        {"\xc1\x81\0\0\0\0x", 7, 1002},                          /* a reserved bit */
        {"\x83\x80\0\0\0\0", 6, 1002},                           /* an opcode that is none */
        {"\x80\x81\0\0\0\0x", 7, 1002},                          /* continues nothing */
        {"\x89\xfe\0\x7e\0\0\0\0", 8, 1002},                     /* a ping of 126 bytes */
        {"\x09\x80\0\0\0\0", 6, 1002},                           /* a ping in fragments */
        {"\x88\x81\0\0\0\0x", 7, 1002},                          /* half a close code */
        {"\x81\x82\0\0\0\0\xc0\x80", 8, 1007},                   /* no UTF-8 */
        {"\x81\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0x", 15, 1009}, /* 2 GiB are announced */
        {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x", 15, 1002},
    };
    world_t w;
    world_init(&w, (rdg_ws_options_t){.max_message = 1000});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        ws_client_t c;
        open_client(&w, &c);
        ws_send_raw(&c, cases[i].bytes, cases[i].len);
        /* Broken framing may be answered by a close frame without a code. */
        unsigned code = ws_close_code(&c);
        CHECK(code == cases[i].code || (code == 0 && cases[i].code == 1002));
        ws_disconnect(&c);
    }
    wait_closed(&w, (int)(sizeof cases / sizeof cases[0]));
    /* Also the sum of fragments is bounded. */
    ws_client_t c;
    char block[600];
    memset(block, 'x', sizeof block);
    open_client(&w, &c);
    ws_send_frame(&c, 0x01, rdg_bytes(block, sizeof block));
    ws_send_frame(&c, 0x80, rdg_bytes(block, sizeof block));
    ws_expect_close(&c, 1009, "");
    ws_disconnect(&c);
    wait_closed(&w, 11);
    world_fini(&w);
}

TEST(websocket_peer_that_does_not_read_is_closed_and_its_memory_given_back) {
    world_t w;
    ws_client_t slow, other;
    ws_frame_t f;
    world_init(&w, (rdg_ws_options_t){.queue_bytes = 1u << 20});
    open_client(&w, &slow);
    open_client(&w, &other);
    ws_send_text(&slow, "flood");
    pthread_mutex_lock(&w.lock);
    while (w.sent != RDG_E_FULL) pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    ws_send_text(&other, "still served?");
    ws_expect_text(&other, "still served?");
    wait_closed(&w, 1); /* without a byte read */
    while (ws_receive(&slow, &f)) rdg_buf_fini(&f.payload);
    ws_disconnect(&slow);
    ws_disconnect(&other);
    world_fini(&w);
}

TEST(websocket_peer_that_reads_late_is_told_why_it_was_closed) {
    world_t w;
    ws_client_t c;
    world_init(&w, (rdg_ws_options_t){.queue_bytes = 1u << 20});
    open_client(&w, &c);
    ws_send_text(&c, "flood");
    pthread_mutex_lock(&w.lock);
    while (w.sent != RDG_E_FULL) pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    ws_expect_close(&c, 1008, "too slow");
    ws_disconnect(&c);
    world_fini(&w);
}

TEST(websocket_connections_are_counted_and_what_they_hold_is_bounded) {
    world_t w;
    ws_client_t c[3];
    world_init(&w, (rdg_ws_options_t){.max_connections = 2, .max_message = 100000, .total_bytes = 100000});
    open_client(&w, &c[0]);
    open_client(&w, &c[1]);
    CHECK_EQ(ws_connect(&c[2], rdg_http_server_port(w.server), HANDSHAKE), 503);
    ws_disconnect(&c[2]);
    char *block = calloc(1, 60000);
    CHECK(block);
    memset(block, 'x', 60000);
    ws_send_frame(&c[0], 0x01, rdg_bytes(block, 60000)); /* never ended */
    ws_send_text(&c[0], ""); /* breaks the rules: by its answer the first has arrived */
    ws_expect_close(&c[0], 1002, "");
    ws_disconnect(&c[0]);
    wait_closed(&w, 1);
    open_client(&w, &c[0]);
    ws_send_frame(&c[0], 0x01, rdg_bytes(block, 60000));
    ws_send_frame(&c[0], 0x89, rdg_bytes_str("there?"));
    ws_frame_t f;
    CHECK(ws_receive(&c[0], &f));
    CHECK_EQ(f.opcode, 10);
    rdg_buf_fini(&f.payload);
    ws_send_frame(&c[1], 0x81, rdg_bytes(block, 60000));
    ws_expect_close(&c[1], 1013, "too many messages");
    ws_disconnect(&c[0]);
    ws_disconnect(&c[1]);
    free(block);
    world_fini(&w);
}

TEST(websocket_message_in_tiny_fragments_costs_no_more_than_its_bytes) {
    world_t w;
    ws_client_t c;
    enum { COUNT = 200000 };
    world_init(&w, (rdg_ws_options_t){.max_message = COUNT});
    open_client(&w, &c);
    rdg_buf_t all;
    rdg_buf_init(&all, 8u * COUNT);
    for (int i = 0; i < COUNT; ++i) {
        static const uint8_t frame[] = {0x00, 0x81, 0, 0, 0, 0, 'y'};
        rdg_buf_append(&all, frame, sizeof frame);
    }
    all.data[0] = 0x01;
    long before = rdg_alloc_live();
    ws_send_raw(&c, all.data, all.len);
    ws_send_frame(&c, 0x89, rdg_bytes_str("there?"));
    ws_frame_t f;
    CHECK(ws_receive(&c, &f));
    CHECK_EQ(f.opcode, 10);
    rdg_buf_fini(&f.payload);
    CHECK(rdg_alloc_live() <= before + 16);
    ws_send_frame(&c, 0x80, rdg_bytes(NULL, 0));
    CHECK(ws_receive(&c, &f));
    CHECK_EQ(f.payload.len, COUNT);
    rdg_buf_fini(&f.payload);
    rdg_buf_fini(&all);
    ws_disconnect(&c);
    world_fini(&w);
}

TEST(websocket_peer_that_falls_silent_is_pinged_and_closed) {
    world_t w;
    ws_client_t c;
    ws_frame_t f;
    world_init(&w, (rdg_ws_options_t){.ping_s = 1, .idle_s = 4});
    open_client(&w, &c);
    CHECK(ws_receive(&c, &f));
    CHECK_EQ(f.opcode, 9);
    rdg_buf_fini(&f.payload);
    ws_expect_close(&c, 1001, "nothing was heard");
    ws_disconnect(&c);
    world_fini(&w);
}

TEST(websocket_that_leaves_while_it_is_served_is_closed_after_that) {
    world_t w;
    ws_client_t c, other;
    world_init(&w, (rdg_ws_options_t){0});
    w.holding = true;
    open_client(&w, &c);
    open_client(&w, &other);
    ws_send_text(&c, "hold");
    ws_send_text(&c, "never handled");
    ws_send_text(&other, "meanwhile");
    ws_expect_text(&other, "meanwhile");
    ws_disconnect(&c);
    pthread_mutex_lock(&w.lock);
    CHECK_EQ(w.closed, 0);
    w.holding = false;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    wait_closed(&w, 1);
    /* The server's end closes who is left. */
    rdg_http_server_stop(w.server);
    w.server = NULL;
    ws_expect_close(&other, 1001, "the server is stopping");
    ws_disconnect(&other);
    world_fini(&w);
}

TEST(websocket_that_the_user_refuses_hears_why) {
    world_t w;
    ws_client_t c;
    world_init(&w, (rdg_ws_options_t){0});
    w.refuse_open = true;
    open_client(&w, &c);
    ws_send_text(&c, "hello");
    ws_expect_close(&c, 1013, "closed on Sundays");
    ws_disconnect(&c);
    world_fini(&w);
}
