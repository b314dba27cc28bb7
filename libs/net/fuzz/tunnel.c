/* Frames of a hostile device reach the server's end of a tunnel. The first byte cuts the rest into pieces and
 * says how the user of a stream behaves. Every stream that was opened is closed once, nothing leaks (the
 * sanitizer), and no queue grows beyond its limit. */
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/list.h"
#include "ridge/net/tunnel.h"
#include "stream_impl.h"
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";

typedef struct fake {
    rdg_stream_t stream;
    rdg_loop_t *loop;
    bool closed;
    int open, opened;
    uint8_t mood;
    bool ended;
} fake_t;

static fake_t *fake_of(const rdg_stream_t *s) {
    return RDG_LIST_ENTRY((uintptr_t)s, fake_t, stream);
}
static void f_start(rdg_stream_t *s) {
    (void)s;
}
static rdg_err_t f_write(rdg_stream_t *s, rdg_bytes_t bytes) {
    (void)bytes;
    return fake_of(s)->closed ? RDG_E_CLOSED : RDG_OK;
}
static size_t f_queued(const rdg_stream_t *s) {
    return fake_of(s)->mood & 0x40 ? 1u << 20 : 0;
}
static void f_close(rdg_stream_t *s) {
    fake_of(s)->closed = true;
}
static void f_peer(const rdg_stream_t *s, char *out, size_t len) {
    (void)s;
    snprintf(out, len, "fuzz");
}
static void f_pause(rdg_stream_t *s, bool paused) {
    (void)s, (void)paused;
}
static const stream_vtable_t fake_vtable = {f_start, f_write, f_queued, f_close, f_peer, f_pause};

static void on_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    fake_t *f = ctx;
    RDG_ASSERT(bytes.len > 0);
    if (f->mood & 1) (void)rdg_stream_write(s, bytes);
    if (f->mood & 2) rdg_stream_pause(s, true);
    if (f->mood & 4) rdg_stream_close(s);
    RDG_ASSERT(rdg_stream_queued(s) <= RDG_TUNNEL_QUEUE_MAX);
}
static void on_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    fake_t *f = ctx;
    (void)s, (void)why;
    RDG_ASSERT(--f->open >= 0);
}
static const rdg_stream_events_t stream_events = {on_data, on_closed, NULL};

static rdg_err_t on_open(void *ctx, rdg_tunnel_t *t, const char *service, rdg_stream_t *s) {
    fake_t *f = ctx;
    (void)t;
    if (strcmp(service, "no") == 0) return rdg_fail(RDG_E_NOT_FOUND, "no\nsuch service");
    RDG_ASSERT(++f->open <= RDG_TUNNEL_STREAMS_MAX);
    ++f->opened;
    rdg_stream_set_events(s, &stream_events, f);
    if (f->mood & 8) rdg_stream_close(s);
    return RDG_OK;
}
static void on_end(void *ctx, rdg_tunnel_t *t, rdg_err_t why) {
    fake_t *f = ctx;
    (void)t, (void)why;
    RDG_ASSERT(f->open == 0);
    f->ended = true;
}

static void stop(void *loop) {
    rdg_loop_stop(loop);
}

static void turn(fake_t *f) {
    RDG_ASSERT(rdg_loop_post(f->loop, stop, f->loop) == RDG_OK && rdg_loop_run(f->loop) == RDG_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    fake_t f = {.stream.vtable = &fake_vtable, .mood = data[0]};
    rdg_tunnel_t *t = NULL;
    RDG_ASSERT(rdg_loop_new(&f.loop) == RDG_OK);
    rdg_tunnel_options_t o = {.loop = f.loop, .server = true, .open = on_open, .closed = on_end, .ctx = &f};
    RDG_ASSERT(rdg_tunnel_new(&o, &f.stream, &t) == RDG_OK);
    const rdg_stream_events_t *below = f.stream.events;
    below->data(f.stream.ctx, &f.stream, rdg_bytes((const uint8_t *)hello, sizeof hello));
    size_t piece = 1 + (data[0] >> 3) * 16u;
    for (size_t at = 1; at < size && !f.closed; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        below->data(f.stream.ctx, &f.stream, rdg_bytes(data + at, n));
        if (data[0] & 0x20) turn(&f);
    }
    turn(&f);
    below->closed(f.stream.ctx, &f.stream, RDG_OK);
    RDG_ASSERT(f.ended);
    rdg_loop_free(f.loop);
    return 0;
}
