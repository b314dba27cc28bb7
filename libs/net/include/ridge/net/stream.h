/* Byte streams behind a vtable (src/stream_impl.h): TCP, TLCP over another stream
 * (ridge/net/tlcp_stream.h), and streams inside a tunnel (ridge/net/tunnel.h).
 *
 * 1. All functions and callbacks run on the loop's thread.
 * 2. A stream that accept or connected has handed out is silent until rdg_stream_set_events; whoever gets one
 * either sets events or closes it.
 * 3. The closed callback is the last one, is called exactly once if events are set, never from inside a
 * function of this header, and after it the stream is gone. The error's text is recorded when it is called.
 * 4. No data callback follows rdg_stream_close.
 * Limits: RDG_STREAM_QUEUE_MAX bytes wait to be written; beyond it write answers FULL, takes nothing, and the
 * stream goes on. Data callbacks carry at most 64 KiB. */
#ifndef RIDGE_NET_STREAM_H
#define RIDGE_NET_STREAM_H
#include <stdbool.h>
#include "ridge/base/bytes.h"
#include "ridge/net/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_STREAM_QUEUE_MAX (32u << 20)
#define RDG_LOCAL_PATH_MAX 107 /* bytes of a local socket's path, Linux */

typedef struct rdg_stream rdg_stream_t;
typedef struct rdg_listener rdg_listener_t;

typedef struct rdg_stream_events {
    void (*data)(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes); /* bytes borrowed during the call */
    void (*closed)(void *ctx, rdg_stream_t *s, rdg_err_t why);   /* RDG_OK: the peer ended it, or we did */
    void (*drained)(void *ctx, rdg_stream_t *s); /* what had to wait has been written; may be NULL */
} rdg_stream_events_t;

/* host: name or address, or the absolute path of a local (Unix) socket, whose port does not matter. fn gets the stream (err RDG_OK), or NULL and the error: UNAVAILABLE (refused,
 * unreachable, unknown name) or TIMEOUT, whose text names host and port. Several addresses of a name are
 * tried in turn within timeout_ms. Not called if the loop is freed first. */
typedef void (*rdg_connected_fn)(void *ctx, rdg_stream_t *s, rdg_err_t err);
rdg_err_t rdg_stream_connect(rdg_loop_t *l, const char *host, uint16_t port, uint64_t timeout_ms,
                             rdg_connected_fn fn, void *ctx);
/* A stream over a connected local socket, for instance one end of a pair. Takes fd, also on failure. */
rdg_err_t rdg_stream_adopt(rdg_loop_t *l, int fd, rdg_stream_t **out);
/* name: to which our end of a local socket is bound, in Linux's abstract namespace, so that the server can tell for
 * whom we come (rdg_http_peer); unique among the open ones, 1 to RDG_LOCAL_PATH_MAX - 1 bytes. NULL: none. */
rdg_err_t rdg_stream_connect_as(rdg_loop_t *l, const char *host, uint16_t port, const char *name,
                                uint64_t timeout_ms, rdg_connected_fn fn, void *ctx);
void rdg_stream_set_events(rdg_stream_t *s, const rdg_stream_events_t *events,
                           void *ctx); /* borrows events; starts reading */
/* Copies. FULL: the queue; CLOSED: closed or broken, the closed callback follows or was called; NO_MEMORY. */
rdg_err_t rdg_stream_write(rdg_stream_t *s, rdg_bytes_t bytes);
size_t rdg_stream_queued(const rdg_stream_t *s);
void rdg_stream_close(rdg_stream_t *s); /* flushes nothing; closed follows; again: nothing */
/* Paused: no data callback, and the peer is held back by the transport. While nothing is read, the end of the
 * stream may not be noticed. A new stream is not paused. */
void rdg_stream_pause(rdg_stream_t *s, bool paused);
void rdg_stream_peer(const rdg_stream_t *s, char *out, size_t size); /* "10.0.0.1:7000", "[::1]:7000" */

/* host: an address or a name; NULL: 127.0.0.1. port 0: the system chooses; rdg_listener_port tells. An absolute
 * path: a local socket that this user alone may open; one that is there already is replaced.
 * PORT_IN_USE names the address. accept is called for each connection. */
typedef void (*rdg_accept_fn)(void *ctx, rdg_stream_t *s);
rdg_err_t rdg_listen(rdg_loop_t *l, const char *host, uint16_t port, rdg_accept_fn fn, void *ctx,
                     rdg_listener_t **out);
uint16_t rdg_listener_port(const rdg_listener_t *l);
void rdg_listener_close(rdg_listener_t *l); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
