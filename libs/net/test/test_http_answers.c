#include "http_test.h"
#include "http_parse.h"
#include "http_url.h"
#include "socket.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Feeds text in pieces of every size: a parser must not care where the network cuts. */
static rdg_err_t parse_in_pieces(const char *method, const char *text, size_t piece, bool end,
                                 rdg_http_answer_t *a) {
    rdg_http_call_t call = {.method = method, .url = "http://test/", .max_body = 100000};
    http_parser_t p;
    rdg_bytes_t rest = rdg_bytes_str(text);
    rdg_err_t err = RDG_OK;
    http_answer_init(a, &call);
    http_parser_init(&p, &call, a);
    while (rest.len > 0 && err == RDG_OK && p.state != HTTP_DONE) {
        size_t used, len = rest.len < piece ? rest.len : piece;
        err = http_parser_feed(&p, rdg_bytes(rest.data, len), &used);
        if (err == RDG_OK && used < len) CHECK(p.state == HTTP_DONE);
        rest = rdg_bytes(rest.data + used, rest.len - used);
    }
    if (err == RDG_OK && p.state != HTTP_DONE) err = end ? http_parser_end(&p) : RDG_E_BUSY;
    http_parser_fini(&p);
    return err;
}

TEST(http_answers_of_every_framing_are_read_however_they_are_cut) {
    static const struct {
        const char *method, *text, *body;
        unsigned status;
        bool end;
    } good[] = {{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, false},
                {"GET", "HTTP/1.1 200\r\nContent-Length:5\r\n\r\nhello", "hello", 200, false},
                {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "hello",
                 200, false},
                {"GET",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-T: "
                 "1\r\n\r\n",
                 "hello", 200, false},
                {"GET", "HTTP/1.0 200 OK\r\n\r\nhello", "hello", 200, true},
                {"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "", 204, false},
                {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", 304, false},
                {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", 200, false},
                {"GET", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "", 500, false}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; ++i)
        for (size_t piece = 1; piece < 40; ++piece) {
            rdg_http_answer_t a;
            CHECK_OK(parse_in_pieces(good[i].method, good[i].text, piece, good[i].end, &a));
            CHECK_EQ(a.status, good[i].status);
            CHECK_STR(rdg_buf_cstr(&a.body), good[i].body);
            rdg_http_answer_fini(&a);
        }
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(http_answers_that_break_the_rules_are_refused) {
    static const struct {
        const char *text;
        rdg_err_t err;
    } bad[] = {{"HTTP/2 200 OK\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 2x0 OK\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 999 OK\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\n\n", RDG_E_PROTOCOL},
               {"SSH-2.0-OpenSSH_9.2\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 101 Switching\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n", RDG_E_TOO_LARGE},
               {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\n: a\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nX: a\x01\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", RDG_E_PROTOCOL},
               {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", RDG_E_CLOSED},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", RDG_E_CLOSED},
               {"HTTP/1.1 200", RDG_E_CLOSED},
               {"", RDG_E_CLOSED}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        rdg_http_answer_t a;
        rdg_err_t err = parse_in_pieces("GET", bad[i].text, 7, true, &a);
        if (err != bad[i].err)
            rdg_test_fail(__FILE__, __LINE__, "answer %zu: got %s, want %s", i, rdg_err_name(err),
                          rdg_err_name(bad[i].err));
        rdg_http_answer_fini(&a);
    }
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(http_answer_with_endless_headers_is_cut_off) {
    rdg_http_call_t call = {.method = "GET", .url = "http://test/"};
    rdg_http_answer_t a;
    http_parser_t p;
    size_t used;
    rdg_err_t err;
    http_answer_init(&a, &call);
    http_parser_init(&p, &call, &a);
    CHECK_OK(http_parser_feed(&p, rdg_bytes_str("HTTP/1.1 200 OK\r\n"), &used));
    do err = http_parser_feed(&p, rdg_bytes_str("X-More: and more and more\r\n"), &used);
    while (err == RDG_OK);
    CHECK_ERR(err, RDG_E_TOO_LARGE);
    http_parser_fini(&p);
    rdg_http_answer_fini(&a);
}

TEST(http_client_reports_servers_that_break_off) {
    static const char *const answers[] = {"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                                          "what is this\r\n"};
    static const rdg_err_t want[] = {RDG_E_CLOSED, RDG_E_CLOSED, RDG_E_PROTOCOL};
    canned_t *server = canned_start(answers, 3);
    rdg_http_client_t *client;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", canned_port(server));
    CHECK_OK(rdg_http_client_new(&client));
    for (int i = 0; i < 3; ++i) {
        rdg_http_answer_t a;
        rdg_http_call_t call = {.method = "GET", .url = url, .timeout_ms = 10000};
        rdg_err_t err = rdg_http_call(client, &call, &a);
        CHECK_ERR(err, want[i]);
        CHECK(strstr(rdg_err_message(err), "127.0.0.1:") != NULL);
        rdg_http_answer_fini(&a);
    }
    rdg_http_client_free(client);
    canned_stop(server);
}

/* The answers promise keep-alive, yet the server closes: the second request meets a dead connection. */
TEST(http_client_sends_again_when_a_kept_connection_was_closed) {
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"};
    canned_t *server = canned_start(answers, 2);
    rdg_http_client_t *client;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", canned_port(server));
    CHECK_OK(rdg_http_client_new(&client));
    for (int i = 0; i < 2; ++i) {
        rdg_http_answer_t a;
        rdg_http_call_t call = {
            .method = "POST", .url = url, .body = rdg_bytes_str("x"), .timeout_ms = 10000};
        CHECK_OK(rdg_http_call(client, &call, &a));
        CHECK_STR(rdg_buf_cstr(&a.body), i == 0 ? "a" : "b");
        rdg_http_answer_fini(&a);
    }
    rdg_http_client_free(client);
    canned_stop(server);
}

/* Takes the beginning of a request, says its text, ends its side (or not), and reads no more. */
typedef struct early {
    int listener, fd;
    const char *text;
    bool ends;
} early_t;

static void *answer_early(void *arg) {
    early_t *e = arg;
    char some[256];
    struct pollfd p = {e->listener, POLLIN, 0};
    CHECK(poll(&p, 1, 10000) == 1);
    e->fd = accept(e->listener, NULL, NULL);
    CHECK(e->fd >= 0 && read(e->fd, some, sizeof some) > 0);
    CHECK(write(e->fd, e->text, strlen(e->text)) == (ssize_t)strlen(e->text));
    if (e->ends) CHECK_EQ(shutdown(e->fd, SHUT_WR), 0);
    return NULL;
}

/* More than both sockets hold: who only writes would wait until its deadline. */
TEST(http_client_hears_a_server_that_answers_or_ends_before_it_took_the_body) {
    static const struct {
        const char *text;
        bool ends;
        rdg_err_t err;
    } cases[] = {
        {"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", false, RDG_OK},
        {"HTTP/1.1 413 No\r\n\r\n", true, RDG_OK},
        {"", true, RDG_E_CLOSED},
        {"HTTP/1.1 100 Continue\r\n\r\n", false, RDG_E_TIMEOUT},
    };
    size_t len = 32u << 20;
    uint8_t *body = rdg_calloc(1, len);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        early_t e = {.text = cases[i].text, .ends = cases[i].ends};
        uint16_t port;
        char url[64];
        pthread_t thread;
        rdg_http_client_t *client;
        rdg_http_answer_t a;
        CHECK_OK(socket_listen(NULL, 0, &e.listener, &port));
        snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
        CHECK_OK(rdg_http_client_new(&client));
        CHECK_EQ(pthread_create(&thread, NULL, answer_early, &e), 0);
        bool waits = cases[i].err == RDG_E_TIMEOUT;
        rdg_http_call_t call = {
            .method = "PUT", .url = url, .body = rdg_bytes(body, len), .timeout_ms = waits ? 200 : 60000};
        rdg_err_t err = rdg_http_call(client, &call, &a);
        CHECK_ERR(err, cases[i].err);
        if (err == RDG_OK) CHECK_EQ(a.status, 413);
        rdg_http_answer_fini(&a);
        pthread_join(thread, NULL);
        close(e.fd);
        close(e.listener);
        rdg_http_client_free(client);
    }
    rdg_free(body);
}

TEST(http_client_times_out_on_a_silent_server) {
    int fd;
    uint16_t port;
    char url[64];
    rdg_http_client_t *client;
    rdg_http_answer_t a;
    CHECK_OK(socket_listen(NULL, 0, &fd, &port));
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    CHECK_OK(rdg_http_client_new(&client));
    rdg_http_call_t call = {.method = "GET", .url = url, .timeout_ms = 100};
    rdg_err_t err = rdg_http_call(client, &call, &a);
    CHECK_ERR(err, RDG_E_TIMEOUT);
    CHECK(strstr(rdg_err_message(err), "127.0.0.1:") != NULL);
    rdg_http_client_free(client);
}

TEST(http_client_refuses_bad_urls_methods_and_headers) {
    static const char *const urls[] = {"",
                                       "ftp://x/",
                                       "http://",
                                       "http://:80/",
                                       "http://x:0/",
                                       "http://x:65536/",
                                       "http://x:8a/",
                                       "http://u:p@x/",
                                       "http://x/a b",
                                       "http://x/\r\nX: y",
                                       "http://[::1/",
                                       "http://x/#f"};
    rdg_http_client_t *client;
    rdg_http_answer_t a;
    CHECK_OK(rdg_http_client_new(&client));
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; ++i) {
        rdg_http_call_t call = {.method = "GET", .url = urls[i], .timeout_ms = 100};
        CHECK_ERR(rdg_http_call(client, &call, &a), RDG_E_INVALID);
    }
    const char *headers[] = {"X: a\r\nY: b"};
    rdg_http_call_t call = {
        .method = "GET", .url = "http://127.0.0.1:1/", .headers = headers, .header_count = 1};
    CHECK_ERR(rdg_http_call(client, &call, &a), RDG_E_INVALID);
    call.method = "GET / HTTP/1.1";
    CHECK_ERR(rdg_http_call(client, &call, &a), RDG_E_INVALID);
    rdg_http_client_free(client);
}

TEST(http_url_parts) {
    http_url_t u;
    CHECK_OK(http_url_parse("http://[::1]:8080?x=1", &u));
    CHECK_STR(u.host, "::1");
    CHECK_EQ(u.port, 8080);
    CHECK_STR(u.target, "?x=1");
    CHECK_OK(http_url_parse("HTTPS://example.org/a", &u));
    CHECK(u.tls);
    CHECK_EQ(u.port, 443);
}

TEST(https_call_to_a_closed_port_is_unavailable) {
    rdg_http_client_t *client;
    rdg_http_answer_t a;
    CHECK_OK(rdg_http_client_new(&client));
    rdg_http_call_t call = {.method = "GET", .url = "https://127.0.0.1:1/", .timeout_ms = 5000};
    rdg_err_t err = rdg_http_call(client, &call, &a);
    if (err == RDG_E_UNSUPPORTED) rdg_test_skip("libcurl.so.4 is not installed");
    CHECK_ERR(err, RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(err), "127.0.0.1:1") != NULL);
    rdg_http_client_free(client);
}
