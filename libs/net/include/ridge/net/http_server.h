/* HTTP/1.1 server (libmicrohttpd: an epoll thread for all connections or several with some each, a pool of threads for handlers); RFC
 * 9110, 9112.
 *
 * The handler fills the response and returns; it may block for a bounded time. Up to `threads` handlers run
 * at once; further requests wait for one of them to return, connections and keep-alive go on meanwhile.
 * Request and response belong to the handler's call and are gone after it.
 *
 * 1. The body, up to max_body bytes, has been read whole before the handler runs.
 * 2. A handler that sets nothing answers 200 with an empty body; one that runs out of memory while it fills
 * the response answers 500.
 * 3. A handler that waits for something may leave without an answer and is called again later (rdg_http_defer): no thread
 * is held meanwhile.
 * 4. HEAD is passed to the handler like GET; what it writes is measured and not sent.
 * Limits, and what the server answers by itself: body beyond max_body: 413 and the connection is closed;
 * request line and headers beyond some 30 KiB: 414 or 431; no HTTP: 400 or the connection is closed; idle_s
 * without a byte: closed; beyond max_connections: not accepted until one ends. Its own 413 and 500 have the
 * JSON error body of docs/rest-api.md. With options for it, a connection can become a
 * WebSocket (websocket.h); it still counts among max_connections, and bodies of any length can be taken in pieces
 * (rdg_http_intake_t), with back-pressure and at most RDG_HTTP_PIECE and one read of them in memory. A server without
 * a listener gets its connections from who has accepted and recognised them elsewhere (rdg_http_server_adopt). Not
 * done: TLS, HTTP/2. */
#ifndef RIDGE_NET_HTTP_SERVER_H
#define RIDGE_NET_HTTP_SERVER_H
#include <stdbool.h>
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_HTTP_RESPONSE_HEADERS_MAX 32

typedef struct rdg_http_server rdg_http_server_t;
typedef struct rdg_http_request rdg_http_request_t;
typedef struct rdg_http_response rdg_http_response_t;

typedef struct rdg_ws_options rdg_ws_options_t; /* websocket.h */

#define RDG_HTTP_PIECE (256u << 10)
#define RDG_HTTP_REFUSED_MAX                                                                                 \
    (64u << 20) /* of a refused body is read on, so that the client gets its answer */

/* For requests whose bodies are not to be kept whole. ctx is the handler's. */
typedef struct rdg_http_intake {
    /* Asked once the head of a request is there, on the I/O thread: it looks at the head and does not block. True:
     * invariant 1 and max_body are not for this request. */
    bool (*wants)(void *ctx, const rdg_http_request_t *req);
    /* The next piece of the body, of RDG_HTTP_PIECE bytes or a read more, on a handler's thread; it may block for a
     * bounded time, and the client is not read from meanwhile. What is left at the end, perhaps nothing, is the
     * rdg_http_body of the handler. True: what was written to res is forgotten. False: the answer is in res, the
     * handler is not called, and what still comes is thrown away; after RDG_HTTP_REFUSED_MAX bytes of that the
     * connection is cut. */
    bool (*take)(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res, rdg_bytes_t piece);
    /* The request is over, answered or broken off, and its state has not been taken back; on a handler's thread. */
    void (*ended)(void *ctx, void *state);
} rdg_http_intake_t;

typedef struct rdg_http_server_options {
    const char *host;                  /* NULL: 127.0.0.1; an absolute path: a local socket for this user */
    uint16_t port;                     /* 0: the system chooses */
    unsigned threads;                  /* that run handlers; 0: 2 */
    unsigned io_threads;               /* that move bytes: one sends some GB/s; 0: 1 */
    size_t max_body;                   /* 0: 1 MiB */
    unsigned max_connections;          /* 0: 256 */
    unsigned idle_s;                   /* 0: 60 */
    const rdg_ws_options_t *websocket; /* borrowed during start; NULL: none */
    bool adopted_only;                 /* no listener: host and port do not matter */
    const rdg_http_intake_t *intake;   /* copied; NULL: every body is read whole */
} rdg_http_server_options_t;

typedef void (*rdg_http_handler_t)(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res);

/* PORT_IN_USE names the address and how to choose another. */
rdg_err_t rdg_http_server_start(const rdg_http_server_options_t *options, rdg_http_handler_t handler,
                                void *ctx, rdg_http_server_t **out);
uint16_t rdg_http_server_port(const rdg_http_server_t *s);
/* Of a server with adopted_only: serves a connected socket, whose requests carry the peer's name (1 to 96 bytes).
 * Takes fd, also on failure. FULL: no room for another connection; INVALID. Thread-safe. */
rdg_err_t rdg_http_server_adopt(rdg_http_server_t *s, int fd, const char *peer);
/* What deferred requests may wait for has happened. Any thread; cheap. */
void rdg_http_server_wake(rdg_http_server_t *s);
void rdg_http_server_stop(rdg_http_server_t *s); /* waits for running handlers; frees; NULL is fine */

const char *rdg_http_method(const rdg_http_request_t *r);
/* Decoded, without the query; not normalised ("..", "//" stay). A %00 or broken escape stays as it was sent.
 */
const char *rdg_http_path(const rdg_http_request_t *r);
const char *rdg_http_header(const rdg_http_request_t *r, const char *name); /* NULL if absent; any case */
const char *rdg_http_query(const rdg_http_request_t *r, const char *name);  /* decoded; NULL if absent */
/* The number-th parameter of this name, from 0; NULL past the last. */
const char *rdg_http_query_at(const rdg_http_request_t *r, const char *name, size_t number);
rdg_bytes_t rdg_http_body(const rdg_http_request_t *r);
/* What the handler and its intake keep for one request; NULL at first. */
void *rdg_http_state(const rdg_http_request_t *r);
void rdg_http_set_state(const rdg_http_request_t *r, void *state);
/* For a handler that has no answer yet. True: it returns now, what it wrote is forgotten, and it is called again with the
 * same request after rdg_http_server_wake (also after one that came since this call of it began), or when max_ms have
 * passed since it was deferred for the first time. False: they have passed, or the server stops: it answers now. */
bool rdg_http_defer(const rdg_http_request_t *r, unsigned max_ms);
const char *rdg_http_remote(const rdg_http_request_t *r); /* address of the client, without port */
/* Who adopted the connection named so; on a local socket, the name to which the client bound its end
 * (rdg_stream_connect_as), which only who may open that socket can do; "" else. */
const char *rdg_http_peer(const rdg_http_request_t *r);

void rdg_http_status(rdg_http_response_t *r, unsigned status); /* default 200 */
/* Copies. INVALID: a byte that may not stand in a header; FULL beyond RDG_HTTP_RESPONSE_HEADERS_MAX. */
rdg_err_t rdg_http_set_header(rdg_http_response_t *r, const char *name, const char *value);
rdg_err_t rdg_http_write(rdg_http_response_t *r, const char *content_type,
                         rdg_bytes_t body); /* appends; copies */
/* The body is a range of a file, sent with sendfile in place of what was written; takes fd, also on failure.
 */
rdg_err_t rdg_http_send_file(rdg_http_response_t *r, const char *content_type, int fd, uint64_t offset,
                             uint64_t size);

#define RDG_HTTP_END (-2)
#define RDG_HTTP_SIZE_UNKNOWN UINT64_MAX /* the answer is chunked */

/* A body that is still being made when its answer begins. */
typedef struct rdg_http_waiter rdg_http_waiter_t;
typedef struct rdg_http_source {
    /* Up to size bytes from byte `at` on, on the server's I/O thread: does not block. 0: there are none yet, and
     * rdg_http_rest was called for the waiter, under whatever lock rdg_http_wake will be called under; RDG_HTTP_END: of a
     * size that is not known, this was all; else below 0: there will be none, and the connection is cut. */
    ptrdiff_t (*read)(void *ctx, uint64_t at, uint8_t *out, size_t size, rdg_http_waiter_t *waiter);
    /* The last call; the waiter is gone after it. On any thread of the server. */
    void (*free)(void *ctx);
    void *ctx;
} rdg_http_source_t;
/* In place of what was written: a body of exactly `size` bytes, or of RDG_HTTP_SIZE_UNKNOWN. Takes the source, also on failure. */
rdg_err_t rdg_http_send_source(rdg_http_response_t *r, const char *content_type,
                               const rdg_http_source_t *source, uint64_t size);
void rdg_http_rest(rdg_http_waiter_t *w);
/* Read is called again. From any thread, also when it does not rest. A server that stops wakes all by itself. */
void rdg_http_wake(rdg_http_waiter_t *w);

/* --- a body that is written while it is sent, also after the handler has returned: a source of that kind ---- */

#define RDG_HTTP_STREAM_LAST 512u

typedef struct rdg_http_stream rdg_http_stream_t; /* referenced; thread-safe */

/* One reference for the caller. buffer_bytes: how much may wait for a client that reads slowly. */
rdg_err_t rdg_http_stream_new(size_t buffer_bytes, rdg_http_stream_t **out);
rdg_http_stream_t *rdg_http_stream_ref(rdg_http_stream_t *s);
void rdg_http_stream_unref(rdg_http_stream_t *s); /* NULL is fine */
/* Takes a reference; the answer goes on (chunked) until the stream is ended or the client is gone. */
rdg_err_t rdg_http_send_stream(rdg_http_response_t *r, const char *content_type, rdg_http_stream_t *s);
/* Copies all or nothing, and does not wait. FULL: more than the buffer would wait; CLOSED: ended, or the client is gone,
 * which is noticed by what is written to it. */
rdg_err_t rdg_http_stream_write(rdg_http_stream_t *s, rdg_bytes_t bytes);
/* Nothing more; what waits is still sent, and then last, of at most RDG_HTTP_STREAM_LAST bytes, also to a full buffer. */
void rdg_http_stream_end(rdg_http_stream_t *s, rdg_bytes_t last);

#ifdef __cplusplus
}
#endif
#endif
