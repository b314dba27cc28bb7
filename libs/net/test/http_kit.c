#include "http_test.h"
#include "socket.h"
#include "ridge/base/clock.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

void http_open(http_fixture_t *f, const rdg_http_server_options_t *options, rdg_http_handler_t handler,
               void *ctx) {
    CHECK_OK(rdg_http_server_start(options, handler, ctx, &f->server));
    CHECK_OK(rdg_http_client_new(&f->client));
}

void http_close(http_fixture_t *f) {
    rdg_http_client_free(f->client);
    rdg_http_server_stop(f->server);
    CHECK_EQ(rdg_alloc_live(), 0);
}

const char *http_url(http_fixture_t *f, const char *path) {
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u%s", rdg_http_server_port(f->server), path);
    return f->url;
}

void http_raw(http_fixture_t *f, rdg_bytes_t request, bool end, char *answer, size_t size) {
    uint64_t deadline = rdg_mono_ms(rdg_clock_system()) + 30000;
    size_t len = 0, got = 1;
    int fd;
    CHECK_OK(socket_connect("127.0.0.1", rdg_http_server_port(f->server), deadline, &fd));
    (void)socket_send(fd, request, deadline);
    if (end) (void)shutdown(fd, SHUT_WR);
    while (got > 0 && len + 1 < size &&
           socket_recv(fd, answer + len, size - 1 - len, deadline, &got) == RDG_OK)
        len += got;
    answer[len] = '\0';
    close(fd);
}

void check_headers(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    (void)ctx, (void)req;
    CHECK_ERR(rdg_http_set_header(res, "X-Split", "a\r\nSet-Cookie: b"), RDG_E_INVALID);
    CHECK_ERR(rdg_http_set_header(res, "X Space", "a"), RDG_E_INVALID);
    CHECK_ERR(rdg_http_set_header(res, "", "a"), RDG_E_INVALID);
    for (int i = 0; i < RDG_HTTP_RESPONSE_HEADERS_MAX; ++i) CHECK_OK(rdg_http_set_header(res, "X-Many", "a"));
    CHECK_ERR(rdg_http_set_header(res, "X-Many", "a"), RDG_E_FULL);
    CHECK_OK(rdg_http_write(res, "text/plain", rdg_bytes_str("ok")));
}

struct canned {
    int fd;
    uint16_t port;
    const char *const *answers;
    size_t count;
    pthread_t thread;
};

static void read_request(int fd) {
    char request[4096];
    size_t len = 0;
    while (len < sizeof request - 1) {
        ssize_t n = read(fd, request + len, sizeof request - 1 - len);
        if (n <= 0) return;
        len += (size_t)n;
        request[len] = '\0';
        if (strstr(request, "\r\n\r\n")) return;
    }
}

static void *canned_run(void *arg) {
    canned_t *c = arg;
    for (size_t i = 0; i < c->count; ++i) {
        struct pollfd p = {c->fd, POLLIN, 0};
        poll(&p, 1, 10000);
        int fd = accept(c->fd, NULL, NULL);
        if (fd < 0) continue;
        read_request(fd);
        (void)!write(fd, c->answers[i], strlen(c->answers[i]));
        close(fd);
    }
    return NULL;
}

canned_t *canned_start(const char *const *answers, size_t count) {
    canned_t *c = rdg_calloc(1, sizeof *c);
    c->answers = answers;
    c->count = count;
    CHECK_OK(socket_listen(NULL, 0, &c->fd, &c->port));
    CHECK_EQ(pthread_create(&c->thread, NULL, canned_run, c), 0);
    return c;
}

uint16_t canned_port(const canned_t *c) {
    return c->port;
}

void canned_stop(canned_t *c) {
    pthread_join(c->thread, NULL);
    close(c->fd);
    rdg_free(c);
}
