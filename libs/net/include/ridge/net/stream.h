/* Byte streams behind a vtable: TCP now, TLCP over TCP later with no change to the users.
 *
 * All functions and callbacks run on the loop's thread. Writes are queued up to RDG_STREAM_QUEUE_MAX bytes; beyond
 * it write answers FULL and the stream goes on. The closed callback is the last one, is called exactly once, and
 * after it the stream is gone. */
#ifndef RIDGE_NET_STREAM_H
#define RIDGE_NET_STREAM_H
#include "ridge/base/bytes.h"
#include "ridge/net/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_STREAM_QUEUE_MAX (32u << 20)

typedef struct rdg_stream rdg_stream_t;
typedef struct rdg_listener rdg_listener_t;

typedef struct rdg_stream_events {
    void (*data)(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes);   /* bytes borrowed during the call */
    void (*closed)(void *ctx, rdg_stream_t *s, rdg_err_t why);     /* RDG_OK: the peer ended it, or we did */
    void (*drained)(void *ctx, rdg_stream_t *s);                   /* the write queue is empty again; may be NULL */
} rdg_stream_events_t;

/* host: name or address. The connected callback gets the stream or the error; then events take over. */
typedef void (*rdg_connected_fn)(void *ctx, rdg_stream_t *s, rdg_err_t err);
rdg_err_t rdg_stream_connect(rdg_loop_t *l, const char *host, uint16_t port, uint64_t timeout_ms, rdg_connected_fn fn,
                             void *ctx);
void rdg_stream_set_events(rdg_stream_t *s, const rdg_stream_events_t *events, void *ctx); /* borrows events; starts reading */
rdg_err_t rdg_stream_write(rdg_stream_t *s, rdg_bytes_t bytes); /* copies */
size_t rdg_stream_queued(const rdg_stream_t *s);
void rdg_stream_close(rdg_stream_t *s); /* flushes nothing; closed follows */
void rdg_stream_peer(const rdg_stream_t *s, char *out, size_t size); /* "10.0.0.1:7000" */

/* port 0: the system chooses; rdg_listener_port tells. PORT_IN_USE names the address. */
typedef void (*rdg_accept_fn)(void *ctx, rdg_stream_t *s);
rdg_err_t rdg_listen(rdg_loop_t *l, const char *host, uint16_t port, rdg_accept_fn fn, void *ctx, rdg_listener_t **out);
uint16_t rdg_listener_port(const rdg_listener_t *l);
void rdg_listener_close(rdg_listener_t *l);

#ifdef __cplusplus
}
#endif
#endif
