#include "stream_impl.h"
#include "ridge/base/assert.h"

void rdg_stream_set_events(rdg_stream_t *s, const rdg_stream_events_t *events, void *ctx) {
    bool first = s->events == NULL;
    RDG_ASSERT(events && events->data && events->closed);
    s->events = events;
    s->ctx = ctx;
    if (first) s->vtable->start(s);
}

rdg_err_t rdg_stream_write(rdg_stream_t *s, rdg_bytes_t bytes) {
    return s->vtable->write(s, bytes);
}

size_t rdg_stream_queued(const rdg_stream_t *s) {
    return s->vtable->queued(s);
}

void rdg_stream_close(rdg_stream_t *s) {
    s->vtable->close(s);
}

void rdg_stream_peer(const rdg_stream_t *s, char *out, size_t size) {
    s->vtable->peer(s, out, size);
}

void rdg_stream_pause(rdg_stream_t *s, bool paused) {
    s->vtable->pause(s, paused);
}

static void ignore_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    (void)ctx, (void)s, (void)bytes;
}

static void ignore_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    (void)ctx, (void)s, (void)why;
}

void stream_discard(rdg_stream_t *s) {
    static const rdg_stream_events_t ignored = {ignore_data, ignore_closed, NULL};
    rdg_stream_set_events(s, &ignored, NULL);
    rdg_stream_close(s);
}
