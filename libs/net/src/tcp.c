#include "tcp.h"
#include "ridge/base/alloc.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEEPALIVE_SECONDS 30

typedef struct tcp_write {
    uv_write_t uv;
    tcp_stream_t *tcp;
    char bytes[];
} tcp_write_t;

static tcp_stream_t *tcp_of(const rdg_stream_t *s) {
    return RDG_LIST_ENTRY((uintptr_t)s, tcp_stream_t, stream);
}

static void on_closed(uv_handle_t *handle) {
    tcp_stream_t *t = handle->data;
    const rdg_stream_events_t *events = t->stream.events;
    if (events) {
        rdg_err_t why = RDG_OK;
        if (t->why < 0) {
            char peer[64];
            rdg_stream_peer(&t->stream, peer, sizeof peer);
            why = uv_fail(t->why, "connection with %s", peer);
        }
        events->closed(t->stream.ctx, &t->stream, why);
    }
    rdg_free(t);
}

static void tcp_end(tcp_stream_t *t, int why) {
    if (t->closing) return;
    t->closing = true;
    t->why = why;
    loop_remove(&t->item);
    uv_close(&t->uv.any, on_closed);
}

void tcp_drop(tcp_stream_t *t) {
    t->stream.events = NULL;
    tcp_end(t, 0);
}

static void drop_item(loop_item_t *item) {
    tcp_drop(RDG_LIST_ENTRY(item, tcp_stream_t, item));
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    tcp_stream_t *t = handle->data;
    *buf = loop_read_buffer(t->loop);
}

static void on_read(uv_stream_t *uv, ssize_t count, const uv_buf_t *buf) {
    tcp_stream_t *t = uv->data;
    if (count > 0)
        t->stream.events->data(t->stream.ctx, &t->stream, rdg_bytes(buf->base, (size_t)count));
    else if (count < 0)
        tcp_end(t, count == UV_EOF ? 0 : (int)count);
}

static void tcp_start(rdg_stream_t *s) {
    tcp_stream_t *t = tcp_of(s);
    if (t->closing || t->paused) return;
    int status = uv_read_start(&t->uv.stream, on_alloc, on_read);
    if (status < 0) tcp_end(t, status);
}

static size_t tcp_queued(const rdg_stream_t *s) {
    return uv_stream_get_write_queue_size(&tcp_of(s)->uv.stream);
}

static void on_write(uv_write_t *req, int status) {
    tcp_write_t *w = RDG_LIST_ENTRY(req, tcp_write_t, uv);
    tcp_stream_t *t = w->tcp;
    rdg_free(w);
    if (t->closing) return;
    if (status < 0) {
        tcp_end(t, status);
        return;
    }
    if (!t->waiting || tcp_queued(&t->stream) > 0) return;
    t->waiting = false;
    const rdg_stream_events_t *events = t->stream.events;
    if (events && events->drained) events->drained(t->stream.ctx, &t->stream);
}

static rdg_err_t queue_rest(tcp_stream_t *t, rdg_bytes_t rest) {
    tcp_write_t *w = rdg_alloc(sizeof *w + rest.len);
    /* Part of the bytes may be on the wire: the stream cannot go on without the rest. */
    if (!w) {
        tcp_end(t, UV_ENOMEM);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory to queue %zu bytes", rest.len);
    }
    w->tcp = t;
    memcpy(w->bytes, rest.data, rest.len);
    uv_buf_t buf = uv_buf_init(w->bytes, (unsigned)rest.len);
    int status = uv_write(&w->uv, &t->uv.stream, &buf, 1, on_write);
    if (status < 0) {
        rdg_free(w);
        tcp_end(t, status);
        return rdg_fail(RDG_E_CLOSED, "the connection is broken");
    }
    t->waiting = true;
    return RDG_OK;
}

static rdg_err_t tcp_write(rdg_stream_t *s, rdg_bytes_t bytes) {
    tcp_stream_t *t = tcp_of(s);
    if (t->closing) return rdg_fail(RDG_E_CLOSED, "the connection is closed");
    if (bytes.len == 0) return RDG_OK;
    size_t queued = tcp_queued(s);
    if (bytes.len > RDG_STREAM_QUEUE_MAX || queued > RDG_STREAM_QUEUE_MAX - bytes.len) {
        char peer[64];
        rdg_stream_peer(s, peer, sizeof peer);
        return rdg_fail(RDG_E_FULL, "%zu bytes wait for %s already, at most %u may", queued, peer,
                        RDG_STREAM_QUEUE_MAX);
    }
    if (queued == 0) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes.data, (unsigned)bytes.len);
        int sent = uv_try_write(&t->uv.stream, &buf, 1);
        if (sent < 0 && sent != UV_EAGAIN) {
            tcp_end(t, sent);
            return rdg_fail(RDG_E_CLOSED, "the connection is broken");
        }
        if (sent > 0) bytes = rdg_bytes(bytes.data + sent, bytes.len - (size_t)sent);
    }
    return bytes.len == 0 ? RDG_OK : queue_rest(t, bytes);
}

static void tcp_close(rdg_stream_t *s) {
    tcp_end(tcp_of(s), 0);
}

void tcp_format_address(const struct sockaddr *address, char *out, size_t size) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)address;
        uv_ip6_name(a, text, sizeof text);
        snprintf(out, size, "[%s]:%u", text, ntohs(a->sin6_port));
    } else if (address->sa_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)address;
        uv_ip4_name(a, text, sizeof text);
        snprintf(out, size, "%s:%u", text, ntohs(a->sin_port));
    } else {
        snprintf(out, size, "unknown");
    }
}

static void tcp_peer(const rdg_stream_t *s, char *out, size_t size) {
    struct sockaddr_storage address = {0};
    int len = sizeof address;
    if (tcp_of(s)->uv.any.type == UV_NAMED_PIPE) {
        snprintf(out, size, "local");
        return;
    }
    /* A failure leaves the family unset, which prints as unknown. */
    (void)uv_tcp_getpeername(&tcp_of(s)->uv.tcp, (struct sockaddr *)&address, &len);
    tcp_format_address((const struct sockaddr *)&address, out, size);
}

static void tcp_pause(rdg_stream_t *s, bool paused) {
    tcp_stream_t *t = tcp_of(s);
    if (t->paused == paused) return;
    t->paused = paused;
    if (t->closing) return;
    if (paused)
        uv_read_stop(&t->uv.stream);
    else if (s->events)
        tcp_start(s);
}

static const stream_vtable_t tcp_vtable = {tcp_start, tcp_write, tcp_queued, tcp_close, tcp_peer, tcp_pause};

void tcp_handle_init(rdg_loop_t *l, bool local, tcp_handle_t *h, void *data) {
    if (local)
        uv_pipe_init(loop_uv(l), &h->local, 0);
    else
        uv_tcp_init(loop_uv(l), &h->tcp);
    h->any.data = data;
}

rdg_err_t tcp_new(rdg_loop_t *l, bool local, tcp_stream_t **out) {
    tcp_stream_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a connection");
    t->stream.vtable = &tcp_vtable;
    t->loop = l;
    tcp_handle_init(l, local, &t->uv, t);
    loop_add(l, &t->item, drop_item);
    *out = t;
    return RDG_OK;
}

void tcp_tune(tcp_stream_t *t) {
    if (t->uv.any.type != UV_TCP) return;
    uv_tcp_nodelay(&t->uv.tcp, 1);
    uv_tcp_keepalive(&t->uv.tcp, 1, KEEPALIVE_SECONDS);
}

bool tcp_literal(const char *host, uint16_t port, struct sockaddr_storage *out) {
    if (!host) host = "127.0.0.1";
    memset(out, 0, sizeof *out);
    return uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0 ||
           uv_ip6_addr(host, port, (struct sockaddr_in6 *)out) == 0;
}

rdg_err_t rdg_stream_adopt(rdg_loop_t *l, int fd, rdg_stream_t **out) {
    tcp_stream_t *t = NULL;
    rdg_err_t err = tcp_new(l, true, &t);
    int status = err == RDG_OK ? uv_pipe_open(&t->uv.local, fd) : 0;
    if (err == RDG_OK && status == 0) {
        *out = &t->stream;
        return RDG_OK;
    }
    close(fd);
    if (err != RDG_OK) return err;
    tcp_drop(t);
    return uv_fail(status, "cannot use a socket");
}
