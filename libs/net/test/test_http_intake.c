#include "http_test.h"
#include "ridge/net/loop.h"
#include "ridge/net/stream.h"
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* A body that is counted and never kept. */
typedef struct counted {
    uint64_t bytes, sum, refuse_after;
    size_t largest;
} counted_t;

typedef struct counter {
    atomic_int ended;
    atomic_ullong ended_bytes;
    uint64_t refuse_after; /* 0: never */
} counter_t;

static bool wants(void *ctx, const rdg_http_request_t *req) {
    (void)ctx;
    return strncmp(rdg_http_path(req), "/stream", 7) == 0;
}

static void add(counted_t *c, rdg_bytes_t bytes) {
    if (bytes.len > c->largest) c->largest = bytes.len;
    c->bytes += bytes.len;
    for (size_t i = 0; i < bytes.len; ++i) c->sum = c->sum * 31 + bytes.data[i];
}

static bool take(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res, rdg_bytes_t piece) {
    counter_t *k = ctx;
    counted_t *c = rdg_http_state(req);
    if (!c) rdg_http_set_state(req, c = rdg_calloc(1, sizeof *c));
    add(c, piece);
    if (k->refuse_after == 0 || c->bytes <= k->refuse_after) return true;
    rdg_http_status(res, 403);
    (void)rdg_http_write(res, "text/plain", rdg_bytes_str("enough"));
    return false;
}

static void ended(void *ctx, void *state) {
    counter_t *k = ctx;
    counted_t *c = state;
    k->ended_bytes += c->bytes;
    ++k->ended;
    rdg_free(c);
}

static void handle(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    char text[120];
    counted_t none = {0}, *c = rdg_http_state(req);
    (void)ctx;
    if (!c) c = &none;
    add(c, rdg_http_body(req));
    snprintf(text, sizeof text, "%llu %llu %d", (unsigned long long)c->bytes, (unsigned long long)c->sum,
             c->largest <= RDG_HTTP_PIECE + (64u << 10));
    (void)rdg_http_write(res, "text/plain", rdg_bytes_str(text));
}

static const rdg_http_intake_t intake = {wants, take, ended};

static void start(http_fixture_t *f, counter_t *k) {
    const rdg_http_server_options_t o = {.threads = 4, .max_body = 1000, .intake = &intake};
    memset(k, 0, sizeof *k);
    http_open(f, &o, handle, k);
}

TEST(http_bodies_of_any_length_are_taken_in_pieces) {
    static const size_t sizes[] = {0,      1, 1000, RDG_HTTP_PIECE - 1, RDG_HTTP_PIECE, RDG_HTTP_PIECE + 1,
                                   5000000};
    http_fixture_t f;
    counter_t k;
    uint8_t *body = rdg_alloc(5000000);
    start(&f, &k);
    rdg_random_fill(rdg_test_random(), body, 5000000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        char want[120];
        rdg_http_answer_t got;
        counted_t c = {0};
        add(&c, rdg_bytes(body, sizes[i]));
        snprintf(want, sizeof want, "%zu %llu 1", sizes[i], (unsigned long long)c.sum);
        rdg_http_call_t call = {
            .method = "PUT", .url = http_url(&f, "/stream"), .body = rdg_bytes(body, sizes[i])};
        CHECK_OK(rdg_http_call(f.client, &call, &got));
        CHECK_EQ(got.status, 200);
        CHECK_STR(rdg_buf_cstr(&got.body), want);
        rdg_http_answer_fini(&got);
    }
    /* Others have the limit still. */
    rdg_http_answer_t got;
    rdg_http_call_t call = {.method = "PUT", .url = http_url(&f, "/other"), .body = rdg_bytes(body, 2000)};
    CHECK_OK(rdg_http_call(f.client, &call, &got));
    CHECK_EQ(got.status, 413);
    rdg_http_answer_fini(&got);
    rdg_free(body);
    http_close(&f);
    CHECK(k.ended >= 3);
}

TEST(http_body_that_is_refused_in_the_middle_gets_its_answer_and_then_its_end) {
    http_fixture_t f;
    counter_t k;
    rdg_http_answer_t got;
    uint8_t *body = rdg_calloc(1, 3000000);
    start(&f, &k);
    k.refuse_after = 500000;
    rdg_http_call_t call = {
        .method = "PUT", .url = http_url(&f, "/stream"), .body = rdg_bytes(body, 3000000)};
    CHECK_OK(rdg_http_call(f.client, &call, &got));
    CHECK_EQ(got.status, 403);
    CHECK_STR(rdg_buf_cstr(&got.body), "enough");
    rdg_http_answer_fini(&got);
    rdg_free(body);
    http_close(&f);
    CHECK_EQ(k.ended, 1);
}

TEST(http_chunked_body_is_taken_in_pieces_and_one_that_breaks_off_is_noticed) {
    http_fixture_t f;
    counter_t k;
    char answer[1000];
    rdg_buf_t text;
    start(&f, &k);
    rdg_buf_init(&text, 4u << 20);
    rdg_buf_str(
        &text,
        "PATCH /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 600; ++i) {
        rdg_buf_printf(&text, "400\r\n");
        for (int b = 0; b < 1024; ++b) rdg_buf_u8(&text, 'x');
        rdg_buf_printf(&text, "\r\n");
    }
    size_t cut = text.len;
    rdg_buf_str(&text, "0\r\n\r\n");
    http_raw(&f, rdg_buf_view(&text), false, answer, sizeof answer);
    CHECK(strstr(answer, "\r\n\r\n614400 ") != NULL);
    /* The end of the connection comes together with the last bytes. */
    for (int i = 0; i < 60000 && k.ended == 0; ++i) usleep(1000);
    CHECK_EQ(k.ended, 1);
    http_raw(&f, rdg_bytes(text.data, cut), true, answer, sizeof answer);
    CHECK(strstr(answer, "614400") == NULL);
    for (int i = 0; i < 60000 && k.ended == 1; ++i) usleep(1000);
    CHECK_EQ(k.ended, 2);
    rdg_buf_fini(&text);
    http_close(&f);
}

/* --- whose end it is -------------------------------------------------------------------------------------------- */

static void tell_peer(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const char *name = rdg_http_peer(req);
    (void)ctx;
    (void)rdg_http_write(res, "text/plain", rdg_bytes_str(name[0] ? name : "nobody"));
}

typedef struct caller {
    rdg_loop_t *loop;
    rdg_buf_t got;
} caller_t;

static void on_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    caller_t *c = ctx;
    (void)s;
    CHECK_OK(rdg_buf_append(&c->got, bytes.data, bytes.len));
}
static void on_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    caller_t *c = ctx;
    (void)s, (void)why;
    rdg_loop_stop(c->loop);
}
static const rdg_stream_events_t events = {on_data, on_closed, NULL};

static void on_connected(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    CHECK_OK(err);
    rdg_stream_set_events(s, &events, ctx);
    CHECK_OK(rdg_stream_write(s, rdg_bytes_str("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")));
}

static void check_peer(const char *socket, const char *name, const char *want) {
    caller_t c = {0};
    rdg_buf_init(&c.got, 65536);
    CHECK_OK(rdg_loop_new(&c.loop));
    CHECK_OK(rdg_stream_connect_as(c.loop, socket, 0, name, 5000, on_connected, &c));
    CHECK_OK(rdg_loop_run(c.loop));
    const char *text = rdg_buf_cstr(&c.got), *body = text ? strstr(text, "\r\n\r\n") : NULL;
    CHECK(body != NULL);
    CHECK_STR(body + 4, want);
    rdg_loop_free(c.loop);
    rdg_buf_fini(&c.got);
}

TEST(a_server_learns_the_name_of_a_local_sockets_other_end) {
    char socket[256], mine[64];
    rdg_http_server_t *server;
    snprintf(socket, sizeof socket, "%s/s", rdg_test_dir());
    snprintf(mine, sizeof mine, "ridge/test/pump-1/%d", (int)getpid());
    const rdg_http_server_options_t o = {.host = socket};
    CHECK_OK(rdg_http_server_start(&o, tell_peer, NULL, &server));
    check_peer(socket, mine, mine);
    check_peer(socket, NULL, "nobody");
    check_peer(socket, mine, mine); /* the name is free again */
    rdg_loop_t *loop;
    CHECK_OK(rdg_loop_new(&loop));
    CHECK_ERR(rdg_stream_connect_as(loop, "127.0.0.1", 1, "x", 100, on_connected, NULL), RDG_E_INVALID);
    CHECK_ERR(rdg_stream_connect_as(loop, socket, 1, "", 100, on_connected, NULL), RDG_E_INVALID);
    rdg_loop_free(loop);
    rdg_http_server_stop(server);
    CHECK_EQ(rdg_alloc_live(), 0);
}
