#include "ridge/net/stream.h"
#include "ridge/test.h"
#include "ridge/base/buf.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Two ends on one loop: the server echoes (or only swallows), the client collects. */
typedef struct pair {
    rdg_loop_t *loop;
    rdg_listener_t *listener;
    rdg_stream_t *client, *server;
    rdg_buf_t got;
    size_t want;
    int client_closed, server_closed, drained;
    rdg_err_t why, connect_err;
    bool swallow, close_server_on_data;
} pair_t;

static void server_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    pair_t *p = ctx;
    if (p->close_server_on_data)
        rdg_stream_close(s);
    else if (!p->swallow)
        CHECK_OK(rdg_stream_write(s, bytes));
}
static void server_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    pair_t *p = ctx;
    (void)s, (void)why;
    ++p->server_closed;
    p->server = NULL;
    if (p->client_closed) rdg_loop_stop(p->loop);
}
static const rdg_stream_events_t server_events = {server_data, server_closed, NULL};

static void on_accept(void *ctx, rdg_stream_t *s) {
    pair_t *p = ctx;
    p->server = s;
    rdg_stream_set_events(s, &server_events, p);
}

static void client_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    pair_t *p = ctx;
    CHECK_OK(rdg_buf_append(&p->got, bytes.data, bytes.len));
    if (p->got.len == p->want) rdg_stream_close(s);
}
static void client_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    pair_t *p = ctx;
    (void)s;
    ++p->client_closed;
    p->why = why;
    p->client = NULL;
    if (!p->server) rdg_loop_stop(p->loop);
}
static void client_drained(void *ctx, rdg_stream_t *s) {
    pair_t *p = ctx;
    (void)s;
    ++p->drained;
}
static const rdg_stream_events_t client_events = {client_data, client_closed, client_drained};

static void on_connected(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    pair_t *p = ctx;
    p->client = s;
    p->connect_err = err;
    if (s) rdg_stream_set_events(s, &client_events, p);
    rdg_loop_stop(p->loop);
}

static void pair_open(pair_t *p, const char *host) {
    CHECK_OK(rdg_loop_new(&p->loop));
    rdg_buf_init(&p->got, 64u << 20);
    CHECK_OK(rdg_listen(p->loop, NULL, 0, on_accept, p, &p->listener));
    CHECK_OK(rdg_stream_connect(p->loop, host, rdg_listener_port(p->listener), 5000, on_connected, p));
    CHECK_OK(rdg_loop_run(p->loop));
    CHECK_OK(p->connect_err);
}

static void pair_free(pair_t *p) {
    rdg_loop_free(p->loop);
    rdg_buf_fini(&p->got);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(stream_echoes_megabytes_in_order_and_says_when_drained) {
    pair_t p = {.want = 8u << 20};
    pair_open(&p, "127.0.0.1");
    uint8_t *sent = rdg_alloc(p.want);
    for (size_t i = 0; i < p.want; ++i) sent[i] = (uint8_t)(i * 7 + (i >> 8));
    CHECK_OK(rdg_stream_write(p.client, rdg_bytes(sent, p.want)));
    CHECK(rdg_stream_queued(p.client) > 0);
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_EQ(p.got.len, p.want);
    CHECK_MEM(p.got.data, sent, p.want);
    CHECK_EQ(p.client_closed, 1);
    CHECK_EQ(p.server_closed, 1);
    CHECK_EQ(p.drained, 1);
    rdg_free(sent);
    pair_free(&p);
}

TEST(stream_connects_by_name_and_names_its_peer) {
    pair_t p = {0};
    char peer[64], want[64];
    pair_open(&p, "localhost");
    rdg_stream_peer(p.client, peer, sizeof peer);
    snprintf(want, sizeof want, "127.0.0.1:%u", rdg_listener_port(p.listener));
    CHECK_STR(peer, want);
    pair_free(&p);
}

TEST(stream_write_beyond_the_queue_is_full_and_the_stream_goes_on) {
    pair_t p = {.swallow = true};
    pair_open(&p, "127.0.0.1");
    size_t size = 1u << 20, taken = 0;
    uint8_t *bytes = rdg_calloc(1, size);
    /* Nobody reads while the loop stands still. */
    rdg_err_t err;
    while ((err = rdg_stream_write(p.client, rdg_bytes(bytes, size))) == RDG_OK) taken += size;
    CHECK_ERR(err, RDG_E_FULL);
    CHECK(taken >= RDG_STREAM_QUEUE_MAX - size);
    CHECK(rdg_stream_queued(p.client) <= RDG_STREAM_QUEUE_MAX);
    CHECK(strstr(rdg_err_message(err), "127.0.0.1:") != NULL);
    while (rdg_stream_queued(p.client) > 0) {
        CHECK_OK(rdg_loop_post(p.loop, (void (*)(void *))rdg_loop_stop, p.loop));
        CHECK_OK(rdg_loop_run(p.loop));
    }
    CHECK_OK(rdg_stream_write(p.client, rdg_bytes(bytes, size)));
    rdg_free(bytes);
    pair_free(&p);
}

TEST(stream_closed_by_its_peer_closes_once_without_an_error) {
    pair_t p = {.close_server_on_data = true};
    pair_open(&p, "127.0.0.1");
    CHECK_OK(rdg_stream_write(p.client, rdg_bytes_str("x")));
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_EQ(p.client_closed, 1);
    CHECK_OK(p.why);
    pair_free(&p);
}

TEST(stream_reset_by_its_peer_closes_with_an_error_that_names_it) {
    pair_t p = {0};
    CHECK_OK(rdg_loop_new(&p.loop));
    rdg_buf_init(&p.got, 1024);
    int raw = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    CHECK(bind(raw, (struct sockaddr *)&a, len) == 0 && listen(raw, 1) == 0);
    CHECK(getsockname(raw, (struct sockaddr *)&a, &len) == 0);
    CHECK_OK(rdg_stream_connect(p.loop, "127.0.0.1", ntohs(a.sin_port), 5000, on_connected, &p));
    CHECK_OK(rdg_loop_run(p.loop));
    int peer = accept(raw, NULL, NULL);
    struct linger hard = {1, 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(peer);
    close(raw);
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_EQ(p.client_closed, 1);
    CHECK(p.why != RDG_OK);
    pair_free(&p);
}

TEST(stream_write_after_close_is_refused) {
    pair_t p = {0};
    pair_open(&p, "127.0.0.1");
    rdg_stream_close(p.client);
    rdg_stream_close(p.client);
    CHECK_ERR(rdg_stream_write(p.client, rdg_bytes_str("x")), RDG_E_CLOSED);
    CHECK_EQ(p.client_closed, 0);
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_EQ(p.client_closed, 1);
    pair_free(&p);
}

TEST(stream_connect_refused_names_host_and_port) {
    pair_t p = {0};
    char where[64];
    CHECK_OK(rdg_loop_new(&p.loop));
    uint16_t port = rdg_test_port(); /* nobody listens on it */
    CHECK_OK(rdg_stream_connect(p.loop, "127.0.0.1", port, 5000, on_connected, &p));
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_ERR(p.connect_err, RDG_E_UNAVAILABLE);
    snprintf(where, sizeof where, "127.0.0.1:%u", port);
    CHECK(strstr(rdg_err_message(p.connect_err), where) != NULL);
    pair_free(&p);
}

TEST(stream_connect_to_an_unknown_name_fails_and_names_it) {
    pair_t p = {0};
    CHECK_OK(rdg_loop_new(&p.loop));
    CHECK_OK(rdg_stream_connect(p.loop, "no-such-host.invalid", 1, 20000, on_connected, &p));
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK(p.connect_err == RDG_E_UNAVAILABLE || p.connect_err == RDG_E_TIMEOUT);
    CHECK(strstr(rdg_err_message(p.connect_err), "no-such-host.invalid:1") != NULL);
    pair_free(&p);
}

/* A listener whose backlog is full leaves further connects without an answer. */
TEST(stream_connect_times_out_and_names_host_and_port) {
    pair_t p = {0};
    CHECK_OK(rdg_loop_new(&p.loop));
    int raw = socket(AF_INET, SOCK_STREAM, 0), fill[4];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    CHECK(bind(raw, (struct sockaddr *)&a, len) == 0 && listen(raw, 0) == 0);
    CHECK(getsockname(raw, (struct sockaddr *)&a, &len) == 0);
    for (int i = 0; i < 4; ++i) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], (struct sockaddr *)&a, len);
    }
    CHECK_OK(rdg_stream_connect(p.loop, "127.0.0.1", ntohs(a.sin_port), 100, on_connected, &p));
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_ERR(p.connect_err, RDG_E_TIMEOUT);
    CHECK(strstr(rdg_err_message(p.connect_err), "127.0.0.1:") != NULL);
    for (int i = 0; i < 4; ++i) close(fill[i]);
    close(raw);
    pair_free(&p);
}

TEST(listen_on_a_port_in_use_names_the_address) {
    rdg_loop_t *l;
    rdg_listener_t *first, *second;
    char where[64];
    CHECK_OK(rdg_loop_new(&l));
    CHECK_OK(rdg_listen(l, "127.0.0.1", 0, on_accept, NULL, &first));
    rdg_err_t err = rdg_listen(l, "127.0.0.1", rdg_listener_port(first), on_accept, NULL, &second);
    CHECK_ERR(err, RDG_E_PORT_IN_USE);
    snprintf(where, sizeof where, "127.0.0.1:%u", rdg_listener_port(first));
    CHECK(strstr(rdg_err_message(err), where) != NULL);
    rdg_loop_free(l);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(loop_freed_in_the_middle_of_connecting_leaks_nothing) {
    pair_t p = {0};
    CHECK_OK(rdg_loop_new(&p.loop));
    CHECK_OK(rdg_listen(p.loop, NULL, 0, on_accept, &p, &p.listener));
    CHECK_OK(rdg_stream_connect(p.loop, "127.0.0.1", rdg_listener_port(p.listener), 5000, on_connected, &p));
    CHECK_OK(rdg_stream_connect(p.loop, "localhost", rdg_listener_port(p.listener), 5000, on_connected, &p));
    pair_free(&p);
    CHECK(p.client == NULL);
}

TEST(stream_over_a_local_socket_echoes_and_only_its_user_may_open_it) {
    pair_t p = {.want = 5};
    char path[RDG_LOCAL_PATH_MAX + 1], peer[64], too_long[200];
    struct stat st;
    snprintf(path, sizeof path, "%s/s", rdg_test_dir());
    CHECK_OK(rdg_loop_new(&p.loop));
    rdg_buf_init(&p.got, 1000);
    for (int again = 0; again < 2; ++again) { /* the second time over the first one's file */
        CHECK_OK(rdg_listen(p.loop, path, 0, on_accept, &p, &p.listener));
        CHECK_EQ(rdg_listener_port(p.listener), 0);
    }
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK_OK(rdg_stream_connect(p.loop, path, 0, 5000, on_connected, &p));
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_OK(p.connect_err);
    rdg_stream_peer(p.client, peer, sizeof peer);
    CHECK_STR(peer, "local");
    CHECK_OK(rdg_stream_write(p.client, rdg_bytes_str("hello")));
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_MEM(p.got.data, "hello", 5);
    memset(too_long, 'x', sizeof too_long);
    too_long[0] = '/', too_long[sizeof too_long - 1] = '\0';
    CHECK_ERR(rdg_listen(p.loop, too_long, 0, on_accept, &p, &p.listener), RDG_E_TOO_LARGE);
    CHECK_ERR(rdg_stream_connect(p.loop, too_long, 0, 100, on_connected, &p), RDG_E_TOO_LARGE);
    pair_free(&p);
}

/* A local socket whose queue is full, and who makes room in it after a while. */
typedef struct crowd {
    int listener, waiting[8];
    unsigned count;
} crowd_t;

static void crowd_open(crowd_t *c, const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    *c = (crowd_t){.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    CHECK(bind(c->listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(c->listener, 1) == 0);
    for (int status = 0; status == 0; ++c->count) {
        CHECK(c->count < 8);
        c->waiting[c->count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        status = connect(c->waiting[c->count], (struct sockaddr *)&a, sizeof a);
        CHECK(status == 0 || errno == EAGAIN);
    }
}

static void crowd_close(crowd_t *c) {
    for (unsigned i = 0; i < c->count; ++i) close(c->waiting[i]);
    close(c->listener);
}

static void make_room(void *ctx) {
    crowd_t *c = ctx;
    for (int fd = accept(c->listener, NULL, NULL); fd >= 0; fd = accept(c->listener, NULL, NULL)) close(fd);
}

TEST(stream_waits_for_room_in_the_queue_of_a_local_socket) {
    pair_t p = {0};
    crowd_t crowd;
    rdg_timer_t *timer;
    char path[RDG_LOCAL_PATH_MAX + 1];
    snprintf(path, sizeof path, "%s/s", rdg_test_dir());
    crowd_open(&crowd, path);
    CHECK_OK(rdg_loop_new(&p.loop));
    CHECK_OK(rdg_stream_connect(p.loop, path, 0, 100, on_connected, &p));
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_ERR(p.connect_err, RDG_E_TIMEOUT);
    CHECK(strstr(rdg_err_message(p.connect_err), path) != NULL);
    CHECK_OK(rdg_timer_new(p.loop, make_room, &crowd, &timer));
    rdg_timer_start(timer, 50, 0);
    CHECK_OK(rdg_stream_connect(p.loop, path, 0, 20000, on_connected, &p));
    CHECK_OK(rdg_loop_run(p.loop));
    CHECK_OK(p.connect_err);
    CHECK(p.client != NULL);
    rdg_timer_free(timer);
    crowd_close(&crowd);
    pair_free(&p);
}
