/* A stream inside TLCP over another stream: the users of ridge/net/stream.h notice nothing.
 *
 * 1. The stream below is taken over at once and closed with this one, or when the handshake fails.
 * 2. The handshake's arithmetic runs on the loop's workers, so that a flood of handshakes delays no other
 *    link; everything else and every callback runs on the loop's thread.
 * 3. fn is called once: with the open stream, for which it must set events or close before it returns, or with
 *    NULL and the reason: TIMEOUT (the handshake took too long), TOO_LARGE (more than
 *    RDG_TLCP_STREAM_HANDSHAKE_MAX bytes before its end), UNAUTHENTICATED, EXPIRED, FORBIDDEN, PROTOCOL,
 *    BAD_SIGNATURE, CLOSED …; the text names the peer's address, the alert and the certificate's trouble. It
 *    is not called if the loop is freed first.
 * 4. A peer that ends the connection without close_notify has cut it: closed says CLOSED and "truncated".
 * 5. Before an end caused by an error the peer is given RDG_TLCP_STREAM_LINGER_MS to read the alert.
 * A write is encrypted at once; what waits, waits in the stream below, whose limit holds. */
#ifndef RIDGE_NET_TLCP_STREAM_H
#define RIDGE_NET_TLCP_STREAM_H
#include "ridge/net/stream.h"
#include "ridge/net/tlcp_identity.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_TLCP_STREAM_HANDSHAKE_MAX (48u << 10)
#define RDG_TLCP_STREAM_LINGER_MS 200
#define RDG_TLCP_STREAM_SCOPE_MAX 64

typedef struct rdg_tlcp_end {
    rdg_tlcp_role_t role;
    rdg_tlcp_identity_t *identity;      /* referenced */
    const char *peer_name;              /* copied; the name the peer's certificate must have; NULL: any */
    rdg_tlcp_client_auth_t client_auth; /* servers */
    uint64_t timeout_ms;                /* for the handshake; 0: 5,000 */
    /* Clients that reach several peers under one identity: what tells this one from the others (its key), so that
     * each has a session of its own to be resumed. Borrowed for the call; at most RDG_TLCP_STREAM_SCOPE_MAX. */
    rdg_bytes_t session_scope;
} rdg_tlcp_end_t;

/* On an error nothing is called and below is closed. *out (may be NULL) is the stream to be, which may only be
 * closed before fn is called: then fn is not called at all. */
rdg_err_t rdg_tlcp_stream_open(rdg_loop_t *l, rdg_stream_t *below, const rdg_tlcp_end_t *end,
                               rdg_connected_fn fn, void *ctx, rdg_stream_t **out);
/* rdg_stream_connect, then rdg_tlcp_stream_open as a client. timeout_ms covers the connection alone. */
rdg_err_t rdg_tlcp_stream_connect(rdg_loop_t *l, const char *host, uint16_t port, uint64_t timeout_ms,
                                  const rdg_tlcp_end_t *end, rdg_connected_fn fn, void *ctx);
/* s must be a stream of this header. The peer's verified sign certificate, borrowed from s; NULL: a client
 * without one. */
const rdg_cert_t *rdg_tlcp_stream_peer(const rdg_stream_t *s);
const rdg_cert_t *rdg_tlcp_stream_peer_enc(const rdg_stream_t *s); /* its encryption certificate, likewise */
/* Whether the handshake was that of a session which went on: the peer's certificate is the one that verified then,
 * and the identity's rule has welcomed it again. */
bool rdg_tlcp_stream_resumed(const rdg_stream_t *s);

#ifdef __cplusplus
}
#endif
#endif
