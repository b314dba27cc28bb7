/* Many streams inside one: HTTP/2 (RFC 9113, libnghttp2) over a TLCP stream, each stream a CONNECT to a service
 * that the other end knows by name. A device dials out one connection; what it needs of the cloud (MQTT,
 * images, archives) are streams in it, with flow control each, so that a long download never delays a command.
 *
 * 1. Streams of a tunnel are those of ridge/net/stream.h, with all that is promised there. A stream that open
 *    has handed out or rdg_tunnel_open answers must have its events set, or be closed, before that call returns.
 * 2. closed is the tunnel's last callback and comes once, never from inside a function of this header; before
 *    it every stream's closed has come. After it the tunnel is gone.
 * 3. A stream that is closed with nothing queued ends cleanly for its peer (RDG_OK); with bytes still queued
 *    it is reset, and the peer is told CLOSED.
 * 4. A tunnel that has heard nothing for RDG_TUNNEL_SILENCE_MS ends with TIMEOUT; pings see to it that a
 *    living peer is heard.
 * Limits: RDG_TUNNEL_STREAMS_MAX at a time for each side (beyond: FULL); RDG_TUNNEL_WINDOW bytes on the way for
 * each stream, which is also what a paused one holds; RDG_TUNNEL_QUEUE_MAX bytes queued for each (beyond: FULL).
 * One tunnel costs some 30 KiB and 1 KiB a stream, and what waits in them. */
#ifndef RIDGE_NET_TUNNEL_H
#define RIDGE_NET_TUNNEL_H
#include "ridge/net/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_TUNNEL_STREAMS_MAX 64
#define RDG_TUNNEL_WINDOW (1u << 20)
#define RDG_TUNNEL_QUEUE_MAX (8u << 20)
#define RDG_TUNNEL_PING_MS 15000
#define RDG_TUNNEL_SILENCE_MS 45000
#define RDG_TUNNEL_SERVICE_MAX 64

typedef struct rdg_tunnel rdg_tunnel_t;

typedef struct rdg_tunnel_options {
    rdg_loop_t *loop;
    bool server;
    /* Servers: the peer asks for a service (a name by rdg_name_valid). RDG_OK takes the stream; an error
     * refuses it, and its code and text reach the peer. NULL: nothing is served. */
    rdg_err_t (*open)(void *ctx, rdg_tunnel_t *t, const char *service, rdg_stream_t *s);
    void (*closed)(void *ctx, rdg_tunnel_t *t,
                   rdg_err_t why); /* RDG_OK: ended by us or in order by the peer */
    void *ctx;
} rdg_tunnel_options_t;

/* Takes below (an open stream without events), also on failure. */
rdg_err_t rdg_tunnel_new(const rdg_tunnel_options_t *options, rdg_stream_t *below, rdg_tunnel_t **out);
/* Clients. fn gets the stream, or NULL and what the server said: NOT_FOUND (no such service), FORBIDDEN,
 * UNAVAILABLE, FULL; or CLOSED. Not called if the loop is freed first. */
rdg_err_t rdg_tunnel_open(rdg_tunnel_t *t, const char *service, rdg_connected_fn fn, void *ctx);
void rdg_tunnel_close(rdg_tunnel_t *t); /* tells the peer; closed follows; again: nothing */
size_t rdg_tunnel_stream_count(const rdg_tunnel_t *t);

#ifdef __cplusplus
}
#endif
#endif
