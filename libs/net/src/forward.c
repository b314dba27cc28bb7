#include "ridge/net/forward.h"
#include "loop_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "stream_impl.h"
#include <stdio.h>

/* Each end writes to the other. 1. An end is NULL when its stream is gone. 2. When one is gone, the other is
 * closed as soon as nothing waits for it, or the time for that is over. */
typedef struct forward forward_t;
typedef struct forward_end {
    forward_t *forward;
    rdg_stream_t *stream;
    struct forward_end *other;
} forward_end_t;

struct forward {
    loop_item_t item;
    rdg_loop_t *loop;
    rdg_timer_t *timer;
    forward_end_t ends[2];
    void (*done)(void *ctx);
    void *ctx;
    char host[256], what[64]; /* while it is being connected */
};

static void drop_item(loop_item_t *item) {
    forward_t *f = RDG_LIST_ENTRY(item, forward_t, item);
    for (int i = 0; i < 2; ++i)
        if (f->ends[i].stream) f->ends[i].stream->events = NULL;
    rdg_free(f);
}

static void forward_free(forward_t *f) {
    loop_remove(&f->item);
    rdg_timer_free(f->timer);
    rdg_free(f);
}

static void on_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    forward_end_t *e = ctx;
    rdg_stream_t *to = e->other->stream;
    if (!to) return;
    if (rdg_stream_write(to, bytes) != RDG_OK) {
        /* Bytes are lost: neither end may go on as if they were not. */
        rdg_stream_close(s);
        rdg_stream_close(to);
    } else if (rdg_stream_queued(to) > RDG_FORWARD_HIGH) {
        rdg_stream_pause(s, true);
    }
}

static void on_drained(void *ctx, rdg_stream_t *s) {
    forward_end_t *e = ctx;
    if (e->other->stream)
        rdg_stream_pause(e->other->stream, false);
    else
        rdg_stream_close(s);
}

static void on_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    forward_end_t *e = ctx;
    forward_t *f = e->forward;
    rdg_stream_t *other = e->other->stream;
    (void)s;
    e->stream = NULL;
    if (!other) {
        if (f->done) f->done(f->ctx);
        forward_free(f);
    } else if (why != RDG_OK || rdg_stream_queued(other) == 0) {
        rdg_stream_close(other);
    } else {
        rdg_stream_pause(other, false);
        rdg_timer_start(f->timer, RDG_FORWARD_FLUSH_MS, 0);
    }
}

static const rdg_stream_events_t events = {on_data, on_closed, on_drained};

static void on_timer(void *arg) {
    forward_t *f = arg;
    for (int i = 0; i < 2; ++i)
        if (f->ends[i].stream) rdg_stream_close(f->ends[i].stream);
}

static rdg_err_t forward_make(rdg_loop_t *l, rdg_stream_t *a, forward_t **out) {
    forward_t *f = rdg_calloc(1, sizeof *f);
    if (!f) return rdg_fail(RDG_E_NO_MEMORY, "no memory to join two streams");
    rdg_err_t err = rdg_timer_new(l, on_timer, f, &f->timer);
    if (err != RDG_OK) {
        rdg_free(f);
        return err;
    }
    f->loop = l;
    f->ends[0] = (forward_end_t){f, a, &f->ends[1]};
    f->ends[1] = (forward_end_t){f, NULL, &f->ends[0]};
    loop_add(l, &f->item, drop_item);
    *out = f;
    return RDG_OK;
}

rdg_err_t rdg_forward(rdg_loop_t *l, rdg_stream_t *a, rdg_stream_t *b, void (*done)(void *ctx), void *ctx) {
    forward_t *f = NULL;
    rdg_err_t err = forward_make(l, a, &f);
    if (err != RDG_OK) {
        stream_discard(a);
        stream_discard(b);
        return err;
    }
    f->ends[1].stream = b;
    f->done = done;
    f->ctx = ctx;
    rdg_stream_set_events(a, &events, &f->ends[0]);
    rdg_stream_set_events(b, &events, &f->ends[1]);
    return RDG_OK;
}

static void on_connected(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    forward_t *f = ctx;
    forward_end_t *first = &f->ends[0], *second = &f->ends[1];
    if (err != RDG_OK)
        rdg_log(RDG_LOG_WARN, "forward.unreachable", RDG_STR("what", f->what),
                RDG_STR("why", rdg_err_message(err)));
    if (!first->stream) {
        if (s) stream_discard(s);
        forward_free(f);
        return;
    }
    rdg_stream_set_events(first->stream, &events, first);
    if (s) {
        second->stream = s;
        rdg_stream_set_events(s, &events, second);
        rdg_stream_pause(first->stream, false);
    } else {
        rdg_stream_close(first->stream);
    }
}

/* Until the connection answers, the first end's closed callback must leave the memory to on_connected. */
static void early_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    forward_end_t *e = ctx;
    (void)s, (void)why;
    e->stream = NULL;
}
static const rdg_stream_events_t early_events = {on_data, early_closed, NULL};

rdg_err_t rdg_forward_to(rdg_loop_t *l, rdg_stream_t *s, const char *host, uint16_t port, const char *what) {
    return rdg_forward_as(l, s, host, port, NULL, what);
}

rdg_err_t rdg_forward_as(rdg_loop_t *l, rdg_stream_t *s, const char *host, uint16_t port, const char *name,
                         const char *what) {
    forward_t *f = NULL;
    rdg_err_t err = forward_make(l, s, &f);
    if (err != RDG_OK) {
        stream_discard(s);
        return err;
    }
    snprintf(f->host, sizeof f->host, "%s", host);
    snprintf(f->what, sizeof f->what, "%s", what);
    rdg_stream_set_events(s, &early_events, &f->ends[0]);
    rdg_stream_pause(s, true);
    err = rdg_stream_connect_as(l, f->host, port, name, 10000, on_connected, f);
    if (err == RDG_OK) return RDG_OK;
    forward_free(f);
    stream_discard(s);
    return err;
}
