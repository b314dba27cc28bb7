/* WebSocket connections of an HTTP server (RFC 6455, server side; frames by wslay).
 *
 * A server whose options name a rdg_ws_options_t takes upgrades: its handler calls rdg_ws_accept for a request
 * that may become a connection. From then on one thread moves the bytes of all connections, and `threads`
 * others call the user back.
 *
 * 1. opened is called before anything else of a connection, closed after everything else, each exactly once.
 *    Of one connection one callback runs at a time; messages come in their order, whole.
 * 2. While a connection's message is being handled nothing more of it is read: a peer that sends faster than it
 *    is served is held back by TCP.
 * 3. rdg_ws_send never waits. A peer that does not read is closed with 1008 once more than queue_bytes wait for
 *    it, or total_bytes for all connections together; what it had not read is gone.
 * 4. Pings are answered; a peer that sends nothing for ping_s is pinged, and closed with 1001 after idle_s.
 * Limits, and the close code that says so: a message beyond max_message 1009 (a frame's length is judged at
 * its first byte); text that is not UTF-8 1007; fragments, reserved bits, control frames against
 * the rules 1002, or a close frame without code where the framing itself is broken; messages under way beyond total_bytes 1013. More than max_connections: the upgrade is refused
 * with 503. A refused handshake is answered with 400, 403 (an Origin: only browsers send one, and a page of
 * anybody's could speak through its visitor) or 426. Not done: compression, subprotocols, TLS.
 * rdg_ws_send, rdg_ws_ref and rdg_ws_unref may be called on any thread. */
#ifndef RIDGE_NET_WEBSOCKET_H
#define RIDGE_NET_WEBSOCKET_H
#include "ridge/net/http_server.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_ws rdg_ws_t;

struct rdg_ws_options {
    /* *user is handed to the others; a failure closes the connection with 1013 and the error's text. */
    rdg_err_t (*opened)(void *ctx, rdg_ws_t *ws, void **user);
    void (*message)(void *ctx, void *user, rdg_ws_t *ws, rdg_bytes_t bytes);
    /* Only after an opened that succeeded; references to the connection are given back here at the latest. */
    void (*closed)(void *ctx, void *user);
    void *ctx;
    unsigned threads;         /* that run message; 0: 2 */
    unsigned max_connections; /* 0: 64 */
    unsigned ping_s, idle_s;  /* 0: 30 and 60 */
    size_t max_message;       /* 0: 1 MiB */
    size_t queue_bytes;       /* 0: 8 MiB */
    size_t total_bytes;       /* 0: 64 MiB */
};

/* In an HTTP handler: makes the response the upgrade of this request, or its refusal. */
void rdg_ws_accept(const rdg_http_request_t *req, rdg_http_response_t *res);
/* Does the request ask for an upgrade to WebSocket? */
bool rdg_ws_is_upgrade(const rdg_http_request_t *req);

/* One text message; copies. FULL: the connection is being closed for it (invariant 3); CLOSED; NO_MEMORY. */
rdg_err_t rdg_ws_send(rdg_ws_t *ws, rdg_bytes_t text);
rdg_ws_t *rdg_ws_ref(rdg_ws_t *ws);
void rdg_ws_unref(rdg_ws_t *ws); /* NULL is fine */
/* Closes it with a code (RFC 6455, section 7.4) and a reason of at most 120 bytes, after what waits. */
void rdg_ws_close(rdg_ws_t *ws, unsigned code, const char *reason);

#ifdef __cplusplus
}
#endif
#endif
