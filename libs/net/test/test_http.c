#include "http_test.h"
#include "ridge/base/clock.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void echo(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    char text[256];
    const char *q = rdg_http_query(req, "q"), *header = rdg_http_header(req, "x-test");
    (void)ctx;
    if (strcmp(rdg_http_path(req), "/echo") == 0) {
        rdg_http_write(res, "application/octet-stream", rdg_http_body(req));
        return;
    }
    if (strcmp(rdg_http_path(req), "/missing") == 0) rdg_http_status(res, 404);
    CHECK_OK(rdg_http_set_header(res, "Docker-Content-Digest", "sha256:00"));
    CHECK_OK(rdg_http_set_header(res, "Location", "/elsewhere"));
    snprintf(text, sizeof text, "%s %s q=%s x=%s from %s", rdg_http_method(req), rdg_http_path(req),
             q ? q : "-", header ? header : "-", rdg_http_remote(req));
    rdg_http_write(res, "text/plain", rdg_bytes_str(text));
}

TEST(http_request_parts_reach_the_handler_and_the_answer_comes_back) {
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){0}, echo, NULL);
    rdg_http_answer_t a;
    const char *headers[] = {"X-Test: yes"};
    rdg_http_call_t call = {
        .method = "GET", .url = http_url(&f, "/a%20b?q=c%26d"), .headers = headers, .header_count = 1};
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK_EQ(a.status, 200);
    CHECK_STR(rdg_buf_cstr(&a.body), "GET /a b q=c&d x=yes from 127.0.0.1");
    CHECK_STR(a.content_type, "text/plain");
    CHECK_STR(a.digest, "sha256:00");
    CHECK_STR(a.location, "/elsewhere");
    rdg_http_answer_fini(&a);
    call.url = http_url(&f, "/missing");
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK_EQ(a.status, 404);
    rdg_http_answer_fini(&a);
    call.method = "HEAD";
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK_EQ(a.status, 404);
    CHECK_EQ(a.body.len, 0);
    rdg_http_answer_fini(&a);
    http_close(&f);
}

TEST(http_goes_through_a_local_socket_whatever_host_the_url_names) {
    http_fixture_t f;
    char path[108];
    snprintf(path, sizeof path, "%s/s", rdg_test_dir());
    http_open(&f, &(rdg_http_server_options_t){.host = path}, echo, NULL);
    rdg_http_answer_t a;
    rdg_http_call_t call = {.method = "GET", .url = "http://cloud.ridge/v2/?q=x"};
    CHECK_ERR(rdg_http_client_via(f.client, "relative"), RDG_E_TOO_LARGE);
    CHECK_OK(rdg_http_client_via(f.client, path));
    for (int i = 0; i < 2; ++i) {
        CHECK_OK(rdg_http_call(f.client, &call, &a));
        CHECK_STR(rdg_buf_cstr(&a.body), "GET /v2/ q=x x=- from ");
        rdg_http_answer_fini(&a);
    }
    call.url = "https://cloud.ridge/";
    CHECK_ERR(rdg_http_call(f.client, &call, &a), RDG_E_UNSUPPORTED);
    http_close(&f);
}

TEST(http_path_keeps_an_encoded_zero_and_broken_escapes) {
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){0}, echo, NULL);
    rdg_http_answer_t a;
    rdg_http_call_t call = {.method = "GET", .url = http_url(&f, "/a%00b%zz%4")};
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK(strncmp(rdg_buf_cstr(&a.body), "GET /a%00b%zz%4 ", 16) == 0);
    rdg_http_answer_fini(&a);
    http_close(&f);
}

TEST(http_bodies_of_megabytes_come_back_whole_over_one_connection) {
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){.max_body = 16u << 20}, echo, NULL);
    size_t sizes[] = {0, 1, 16383, 16384, 16385, 100000, 8u << 20};
    uint8_t *body = rdg_alloc(8u << 20);
    for (size_t i = 0; i < 8u << 20; ++i) body[i] = (uint8_t)(i * 31 + (i >> 9));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        rdg_http_answer_t a;
        rdg_http_call_t call = {
            .method = "POST", .url = http_url(&f, "/echo"), .body = rdg_bytes(body, sizes[i])};
        CHECK_OK(rdg_http_call(f.client, &call, &a));
        CHECK_EQ(a.status, 200);
        CHECK_EQ(a.body.len, sizes[i]);
        CHECK_MEM(a.body.data, body, sizes[i]);
        rdg_http_answer_fini(&a);
    }
    rdg_free(body);
    http_close(&f);
}

TEST(http_body_at_the_limit_passes_and_one_byte_more_is_413) {
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){.max_body = 1000}, echo, NULL);
    uint8_t *body = rdg_calloc(1, 5u << 20);
    rdg_http_answer_t a;
    rdg_http_call_t call = {.method = "POST", .url = http_url(&f, "/echo"), .body = rdg_bytes(body, 1000)};
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK_EQ(a.status, 200);
    rdg_http_answer_fini(&a);
    call.body.len = 1001;
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK_EQ(a.status, 413);
    CHECK(strstr(rdg_buf_cstr(&a.body), "TOO_LARGE") && strstr(rdg_buf_cstr(&a.body), "1000 bytes"));
    rdg_http_answer_fini(&a);
    rdg_free(body);
    http_close(&f);
}

TEST(http_chunked_body_beyond_the_limit_is_413) {
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){.max_body = 1000}, echo, NULL);
    char request[4096], answer[4096];
    int head = snprintf(request, sizeof request,
                        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5dc\r\n");
    memset(request + head, 'x', 1500);
    memcpy(request + head + 1500, "\r\n0\r\n\r\n", 7);
    http_raw(&f, rdg_bytes(request, (size_t)head + 1507), true, answer, sizeof answer);
    CHECK(strncmp(answer, "HTTP/1.1 413 ", 13) == 0);
    http_close(&f);
}

TEST(http_answer_beyond_the_client_limit_is_too_large) {
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){0}, echo, NULL);
    uint8_t body[2000] = {0};
    rdg_http_answer_t a;
    rdg_http_call_t call = {
        .method = "POST", .url = http_url(&f, "/echo"), .body = rdg_bytes(body, 2000), .max_body = 1999};
    rdg_err_t err = rdg_http_call(f.client, &call, &a);
    CHECK_ERR(err, RDG_E_TOO_LARGE);
    CHECK(strstr(rdg_err_message(err), "/echo") != NULL);
    rdg_http_answer_fini(&a);
    call.max_body = 2000;
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    rdg_http_answer_fini(&a);
    http_close(&f);
}

TEST(http_headers_beyond_the_limit_are_refused) {
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){0}, echo, NULL);
    char *request = rdg_alloc(70000), answer[512];
    int n = snprintf(request, 70000, "GET / HTTP/1.1\r\nHost: x\r\nX-Big: ");
    memset(request + n, 'a', 60000);
    memcpy(request + n + 60000, "\r\n\r\n", 4);
    http_raw(&f, rdg_bytes(request, (size_t)n + 60004), true, answer, sizeof answer);
    CHECK(answer[0] == '\0' || strncmp(answer, "HTTP/1.1 431 ", 13) == 0 ||
          strncmp(answer, "HTTP/1.1 413 ", 13) == 0);
    rdg_free(request);
    http_close(&f);
}

TEST(http_server_refuses_what_is_no_http_and_serves_on) {
    static const char *const bad[] = {
        "\x16\x03\x01\x02\x00\x01",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "\r\n\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){.idle_s = 1}, echo, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        char answer[1024];
        http_raw(&f, rdg_bytes_str(bad[i]), true, answer, sizeof answer);
        if (answer[0] != '\0' && strncmp(answer, "HTTP/1.1 4", 10) != 0)
            rdg_test_fail(__FILE__, __LINE__, "request %zu was answered %.40s", i, answer);
    }
    rdg_http_answer_t a;
    rdg_http_call_t call = {.method = "GET", .url = http_url(&f, "/")};
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK_EQ(a.status, 200);
    rdg_http_answer_fini(&a);
    http_close(&f);
}

#define POST_HEAD "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"

TEST(http_body_with_two_lengths_is_refused) {
    static const char different[] = POST_HEAD "Content-Length: 5\r\n\r\nhello";
    static const char same[] = POST_HEAD "content-length: 2\r\n\r\nhe";
    static const char chunked[] = POST_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n";
    static const char *const bad[] = {different, same, chunked};
    http_fixture_t f;
    char answer[4096];
    http_open(&f, &(rdg_http_server_options_t){.idle_s = 20}, echo, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        http_raw(&f, rdg_bytes_str(bad[i]), true, answer, sizeof answer);
        CHECK(strncmp(answer, "HTTP/1.1 400", 12) == 0);
    }
    http_close(&f);
}

TEST(http_server_closes_an_idle_connection_and_the_client_comes_back) {
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){.idle_s = 1}, echo, NULL);
    char answer[256];
    uint64_t start = rdg_mono_ms(rdg_clock_system());
    http_raw(&f, rdg_bytes_str("GET / HT"), false, answer, sizeof answer);
    uint64_t waited = rdg_mono_ms(rdg_clock_system()) - start;
    CHECK(waited >= 900 && waited < 30000);
    http_close(&f);
}

TEST(http_port_in_use_names_the_address) {
    http_fixture_t f;
    rdg_http_server_t *second;
    char where[64];
    http_open(&f, &(rdg_http_server_options_t){0}, echo, NULL);
    rdg_http_server_options_t same = {.port = rdg_http_server_port(f.server)};
    rdg_err_t err = rdg_http_server_start(&same, echo, NULL, &second);
    CHECK_ERR(err, RDG_E_PORT_IN_USE);
    snprintf(where, sizeof where, "127.0.0.1:%u", same.port);
    CHECK(strstr(rdg_err_message(err), where) != NULL);
    http_close(&f);
}

TEST(http_connect_refused_names_the_address) {
    http_fixture_t f;
    char where[64];
    http_open(&f, &(rdg_http_server_options_t){0}, echo, NULL);
    rdg_http_answer_t a;
    rdg_http_call_t call = {.method = "GET", .url = http_url(&f, "/")};
    snprintf(where, sizeof where, "127.0.0.1:%u", rdg_http_server_port(f.server));
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    rdg_http_answer_fini(&a);
    rdg_http_server_stop(f.server);
    f.server = NULL;
    rdg_err_t err = rdg_http_call(f.client, &call, &a);
    CHECK_ERR(err, RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(err), where) != NULL);
    rdg_http_answer_fini(&a);
    http_close(&f);
}

static void send_part_of_file(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    (void)req;
    int fd = open(ctx, O_RDONLY | O_CLOEXEC);
    rdg_http_status(res, 206);
    CHECK_OK(rdg_http_set_header(res, "Content-Range", "bytes 100000-299999/1000000"));
    CHECK_OK(rdg_http_send_file(res, "application/octet-stream", fd, 100000, 200000));
}

typedef struct sum {
    size_t bytes, stop_after;
    uint8_t next;
} sum_t;

static rdg_err_t add_up(void *ctx, rdg_bytes_t chunk) {
    sum_t *s = ctx;
    for (size_t i = 0; i < chunk.len; ++i) CHECK_EQ(chunk.data[i], s->next++);
    s->bytes += chunk.len;
    return s->bytes > s->stop_after ? rdg_fail(RDG_E_DISK_FULL, "enough") : RDG_OK;
}

TEST(http_file_range_reaches_a_sink_which_may_stop_it) {
    http_fixture_t f;
    char path[256];
    snprintf(path, sizeof path, "%s/file", rdg_test_dir());
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 1000000; ++i) fputc(i & 255, file);
    fclose(file);
    http_open(&f, &(rdg_http_server_options_t){0}, send_part_of_file, path);
    sum_t sum = {.stop_after = 1000000, .next = 100000 & 255};
    rdg_http_answer_t a;
    rdg_http_call_t call = {.method = "GET", .url = http_url(&f, "/"), .sink = add_up, .sink_ctx = &sum};
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK_EQ(a.status, 206);
    CHECK_EQ(sum.bytes, 200000);
    CHECK_EQ(a.body.len, 0);
    CHECK_STR(a.content_range, "bytes 100000-299999/1000000");
    rdg_http_answer_fini(&a);
    sum = (sum_t){.stop_after = 50000, .next = 100000 & 255};
    CHECK_ERR(rdg_http_call(f.client, &call, &a), RDG_E_DISK_FULL);
    rdg_http_answer_fini(&a);
    http_close(&f);
}

typedef struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int inside;
} gate_t;

/* Returns only when two handlers are inside at once. */
static void meet(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    gate_t *g = ctx;
    (void)req, (void)res;
    pthread_mutex_lock(&g->mutex);
    ++g->inside;
    pthread_cond_broadcast(&g->changed);
    while (g->inside < 2) pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}

static void *one_call(void *arg) {
    http_fixture_t *f = arg;
    rdg_http_client_t *client;
    rdg_http_answer_t a;
    rdg_http_call_t call = {.method = "GET", .url = f->url, .timeout_ms = 20000};
    CHECK_OK(rdg_http_client_new(&client));
    CHECK_OK(rdg_http_call(client, &call, &a));
    rdg_http_answer_fini(&a);
    rdg_http_client_free(client);
    return NULL;
}

TEST(http_handlers_run_on_several_threads_at_once) {
    http_fixture_t f;
    gate_t gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t threads[2];
    http_open(&f, &(rdg_http_server_options_t){.threads = 4}, meet, &gate);
    http_url(&f, "/");
    for (int i = 0; i < 2; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, one_call, &f), 0);
    for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
    http_close(&f);
}

TEST(http_response_headers_are_checked_and_bounded) {
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){0}, check_headers, NULL);
    rdg_http_answer_t a;
    rdg_http_call_t call = {.method = "GET", .url = http_url(&f, "/")};
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK_STR(rdg_buf_cstr(&a.body), "ok");
    rdg_http_answer_fini(&a);
    http_close(&f);
}

static void *call_until_refused(void *arg) {
    http_fixture_t *f = arg;
    rdg_http_client_t *client;
    CHECK_OK(rdg_http_client_new(&client));
    for (rdg_err_t err = RDG_OK; err == RDG_OK;) {
        rdg_http_answer_t a;
        rdg_http_call_t call = {.method = "GET", .url = f->url, .timeout_ms = 10000};
        err = rdg_http_call(client, &call, &a);
        CHECK(err == RDG_OK || err == RDG_E_UNAVAILABLE || err == RDG_E_CLOSED);
        rdg_http_answer_fini(&a);
    }
    rdg_http_client_free(client);
    return NULL;
}

static void count_calls(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    (void)req, (void)res;
    gate_t *g = ctx;
    pthread_mutex_lock(&g->mutex);
    ++g->inside;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

TEST(http_server_stops_in_the_middle_of_traffic) {
    http_fixture_t f;
    gate_t gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t threads[4];
    http_open(&f, &(rdg_http_server_options_t){0}, count_calls, &gate);
    http_url(&f, "/");
    for (int i = 0; i < 4; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, call_until_refused, &f), 0);
    pthread_mutex_lock(&gate.mutex);
    while (gate.inside < 500) pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
    rdg_http_server_stop(f.server);
    f.server = NULL;
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    http_close(&f);
}

static void tell_peer(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    (void)ctx;
    CHECK_OK(rdg_http_set_header(res, "Retry-After", "17"));
    (void)rdg_http_write(res, "text/plain", rdg_bytes_str(rdg_http_peer(req)));
}

/* What a client says of itself in headers does not matter: the name is the adopter's. */
TEST(http_adopted_connections_carry_the_name_that_they_were_given) {
    static const char request[] =
        "GET /?peer=other HTTP/1.1\r\nHost: other\r\nPeer: other\r\nConnection: close\r\n\r\n";
    rdg_http_server_t *s = NULL;
    rdg_http_server_options_t o = {.adopted_only = true};
    CHECK_OK(rdg_http_server_start(&o, tell_peer, NULL, &s));
    for (int i = 0; i < 3; ++i) {
        char name[16], answer[1024];
        int pair[2];
        size_t got = 0;
        snprintf(name, sizeof name, "dev-%d", i);
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        CHECK_EQ(fcntl(pair[1], F_SETFL, 0), 0);
        CHECK_OK(rdg_http_server_adopt(s, pair[0], name));
        CHECK_EQ(write(pair[1], request, sizeof request - 1), sizeof request - 1);
        for (ssize_t n; (n = read(pair[1], answer + got, sizeof answer - 1 - got)) > 0;) got += (size_t)n;
        answer[got] = '\0';
        close(pair[1]);
        CHECK_STR(strstr(answer, "\r\n\r\n") + 4, name);
    }
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_ERR(rdg_http_server_adopt(s, pair[0], ""), RDG_E_INVALID);
    CHECK_EQ(fcntl(pair[0], F_GETFD), -1); /* taken all the same */
    close(pair[1]);
    rdg_http_server_stop(s);
    http_fixture_t f;
    http_open(&f, &(rdg_http_server_options_t){0}, tell_peer, NULL);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_ERR(rdg_http_server_adopt(f.server, pair[0], "dev-1"), RDG_E_INVALID); /* it has a listener */
    close(pair[1]);
    rdg_http_answer_t a;
    rdg_http_call_t call = {.method = "GET", .url = http_url(&f, "/")};
    CHECK_OK(rdg_http_call(f.client, &call, &a));
    CHECK_EQ(a.body.len, 0);
    CHECK_EQ(a.retry_after_s, 17);
    rdg_http_answer_fini(&a);
    http_close(&f);
}
