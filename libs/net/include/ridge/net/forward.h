/* Joins two streams: what comes out of one goes into the other, both ways, with back-pressure.
 *
 * 1. Both are taken over; when one ends, what it had sent is still written to the other, which is then closed.
 *    After an error of one the other is closed at once.
 * 2. At most RDG_FORWARD_HIGH bytes and one read wait in either direction: beyond it the source is paused until
 *    they are written. */
#ifndef RIDGE_NET_FORWARD_H
#define RIDGE_NET_FORWARD_H
#include "ridge/net/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_FORWARD_HIGH (256u << 10)
#define RDG_FORWARD_FLUSH_MS 10000 /* what is left of an ended stream must be written by then */

/* On an error (NO_MEMORY) both are closed. done may be NULL; it is called when both are gone. */
rdg_err_t rdg_forward(rdg_loop_t *l, rdg_stream_t *a, rdg_stream_t *b, void (*done)(void *ctx), void *ctx);
/* Takes s at once, connects to host:port and joins the two; s is paused until then, and closed if it fails,
 * which is logged with `what`. */
rdg_err_t rdg_forward_to(rdg_loop_t *l, rdg_stream_t *s, const char *host, uint16_t port, const char *what);
/* The same to a local socket, with a name for our end (rdg_stream_connect_as); NULL: without. */
rdg_err_t rdg_forward_as(rdg_loop_t *l, rdg_stream_t *s, const char *host, uint16_t port, const char *name,
                         const char *what);

#ifdef __cplusplus
}
#endif
#endif
