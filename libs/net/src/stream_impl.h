/* What a kind of stream implements. A TLCP stream will embed rdg_stream_t as the TCP stream does, own the
 * stream below it and set events of its own there. */
#ifndef RIDGE_NET_STREAM_IMPL_H
#define RIDGE_NET_STREAM_IMPL_H
#include "ridge/net/stream.h"

typedef struct stream_vtable {
    void (*start)(rdg_stream_t *s); /* events are set: begin to deliver */
    rdg_err_t (*write)(rdg_stream_t *s, rdg_bytes_t bytes);
    size_t (*queued)(const rdg_stream_t *s);
    void (*close)(rdg_stream_t *s);
    void (*peer)(const rdg_stream_t *s, char *out, size_t size);
} stream_vtable_t;

struct rdg_stream {
    const stream_vtable_t *vtable;
    const rdg_stream_events_t *events;
    void *ctx;
};

#endif
