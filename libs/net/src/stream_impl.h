/* What a kind of stream implements: TCP (tcp.c), TLCP over another stream (tlcp_stream.c), a stream inside a
 * tunnel (tunnel_stream.c). */
#ifndef RIDGE_NET_STREAM_IMPL_H
#define RIDGE_NET_STREAM_IMPL_H
#include "ridge/net/stream.h"

typedef struct stream_vtable {
    void (*start)(rdg_stream_t *s); /* events are set: begin to deliver */
    rdg_err_t (*write)(rdg_stream_t *s, rdg_bytes_t bytes);
    size_t (*queued)(const rdg_stream_t *s);
    void (*close)(rdg_stream_t *s);
    void (*peer)(const rdg_stream_t *s, char *out, size_t size);
    void (*pause)(rdg_stream_t *s, bool paused);
} stream_vtable_t;

struct rdg_stream {
    const stream_vtable_t *vtable;
    const rdg_stream_events_t *events;
    void *ctx;
};

/* Closes a stream and tells nobody, whoever had set events before. */
void stream_discard(rdg_stream_t *s);

#endif
