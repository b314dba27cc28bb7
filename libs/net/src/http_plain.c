#include "http_engine.h"
#include "socket.h"
#include "ridge/base/clock.h"
#include <string.h>
#include <unistd.h>

#define REQUEST_HEAD_MAX (64u << 10)
#define JOIN_BODY_BYTES (16u << 10) /* a body up to this size leaves in one packet with its head */

void http_plain_close(http_plain_t *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static rdg_err_t request_head(const rdg_http_call_t *call, const http_url_t *url, rdg_buf_t *out) {
    rdg_buf_printf(
        out, "%s %s%s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: ridge/" RIDGE_VERSION "\r\nAccept: */*\r\n",
        call->method, url->target[0] == '/' ? "" : "/", url->target, url->authority_len, url->authority);
    for (size_t i = 0; i < call->header_count; ++i) rdg_buf_printf(out, "%s\r\n", call->headers[i]);
    if (call->body.len > 0 || call->method[0] == 'P')
        rdg_buf_printf(out, "Content-Length: %zu\r\n", call->body.len);
    rdg_buf_str(out, "\r\n");
    return rdg_buf_err(out);
}

static rdg_err_t send_request(int fd, const rdg_http_call_t *call, const http_url_t *url,
                              uint64_t deadline_ms) {
    rdg_buf_t head;
    rdg_buf_init(&head, REQUEST_HEAD_MAX + JOIN_BODY_BYTES);
    rdg_err_t err = request_head(call, url, &head);
    rdg_bytes_t rest = call->body;
    if (err == RDG_OK && rest.len > 0 && rest.len <= JOIN_BODY_BYTES) {
        err = rdg_buf_append(&head, rest.data, rest.len);
        rest.len = 0;
    }
    if (err == RDG_OK) err = socket_send(fd, rdg_buf_view(&head), deadline_ms);
    if (err == RDG_OK) err = socket_send_until_answered(fd, rest, deadline_ms);
    rdg_buf_fini(&head);
    return err;
}

static rdg_err_t read_answer(http_plain_t *c, http_parser_t *p, uint64_t deadline_ms, bool *silent) {
    uint8_t bytes[16384];
    size_t got, used;
    while (p->state != HTTP_DONE) {
        RDG_TRY(socket_recv(c->fd, bytes, sizeof bytes, deadline_ms, &got));
        if (got == 0) return http_parser_end(p);
        *silent = false;
        RDG_TRY(http_parser_feed(p, rdg_bytes(bytes, got), &used));
        /* Bytes after the end belong to no request of ours. */
        if (used < got) p->keep_alive = false;
    }
    return RDG_OK;
}

/* *silent: the connection ended before the first byte of an answer. */
static rdg_err_t exchange(http_plain_t *c, const rdg_http_call_t *call, const http_url_t *url,
                          uint64_t deadline_ms, rdg_http_answer_t *out, bool *silent) {
    http_parser_t parser;
    *silent = true;
    rdg_err_t sent = send_request(c->fd, call, url, deadline_ms), err = sent;
    http_parser_init(&parser, call, out);
    /* A server that refuses a body answers before it has taken all of it. */
    if (sent == RDG_OK || sent == RDG_E_CLOSED) err = read_answer(c, &parser, deadline_ms, silent);
    if (err != RDG_OK || sent != RDG_OK || !parser.keep_alive) http_plain_close(c);
    http_parser_fini(&parser);
    *silent = *silent && err == RDG_E_CLOSED;
    return err;
}

rdg_err_t http_plain_call(http_plain_t *c, const rdg_http_call_t *call, const http_url_t *url,
                          uint64_t timeout_ms, rdg_http_answer_t *out) {
    uint64_t deadline_ms = rdg_mono_ms(rdg_clock_system()) + timeout_ms;
    bool same = c->fd >= 0 && c->port == url->port && strcmp(c->host, url->host) == 0;
    if (!same || !socket_quiet(c->fd)) http_plain_close(c);
    bool kept = c->fd >= 0, silent;
    for (;;) {
        if (c->fd < 0) {
            RDG_TRY(socket_connect_guarded(c->via[0] ? c->via : url->host, url->port, c->guard, deadline_ms,
                                           &c->fd));
            c->port = url->port;
            memcpy(c->host, url->host, sizeof c->host);
        }
        rdg_err_t err = exchange(c, call, url, deadline_ms, out, &silent);
        if (err == RDG_OK || !kept || !silent)
            return err == RDG_E_CLOSED || err == RDG_E_TIMEOUT
                       ? rdg_fail_in(err, "%s:%u", url->host, url->port)
                       : err;
        kept = false;
    }
}
