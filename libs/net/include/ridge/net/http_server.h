/* HTTP/1.1 server (libmicrohttpd, epoll, thread pool).
 *
 * The handler runs on a pool thread and may block for a bounded time; it fills the response and returns. Bodies up to
 * max_body bytes are read whole before it runs (413 beyond it). Limits: connections, 60 s idle. The server answers
 * 400 by itself to what is no HTTP. */
#ifndef RIDGE_NET_HTTP_SERVER_H
#define RIDGE_NET_HTTP_SERVER_H
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_http_server rdg_http_server_t;
typedef struct rdg_http_request rdg_http_request_t;
typedef struct rdg_http_response rdg_http_response_t;

typedef struct rdg_http_server_options {
    const char *host;  /* NULL: 127.0.0.1 */
    uint16_t port;     /* 0: the system chooses */
    unsigned threads;  /* 0: 2 */
    size_t max_body;   /* 0: 1 MiB */
    unsigned max_connections; /* 0: 256 */
} rdg_http_server_options_t;

typedef void (*rdg_http_handler_t)(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res);

/* PORT_IN_USE names the address and how to choose another. */
rdg_err_t rdg_http_server_start(const rdg_http_server_options_t *options, rdg_http_handler_t handler, void *ctx,
                                rdg_http_server_t **out);
uint16_t rdg_http_server_port(const rdg_http_server_t *s);
void rdg_http_server_stop(rdg_http_server_t *s); /* waits for running handlers; frees */

const char *rdg_http_method(const rdg_http_request_t *r);
const char *rdg_http_path(const rdg_http_request_t *r); /* decoded, without the query */
const char *rdg_http_header(const rdg_http_request_t *r, const char *name); /* NULL if absent */
const char *rdg_http_query(const rdg_http_request_t *r, const char *name);
rdg_bytes_t rdg_http_body(const rdg_http_request_t *r);
const char *rdg_http_remote(const rdg_http_request_t *r); /* address of the client */

void rdg_http_status(rdg_http_response_t *r, unsigned status); /* default 200 */
rdg_err_t rdg_http_set_header(rdg_http_response_t *r, const char *name, const char *value);
rdg_err_t rdg_http_write(rdg_http_response_t *r, const char *content_type, rdg_bytes_t body); /* appends; copies */
/* The body is a range of a file, sent with sendfile; takes fd. */
rdg_err_t rdg_http_send_file(rdg_http_response_t *r, const char *content_type, int fd, uint64_t offset, uint64_t size);

#ifdef __cplusplus
}
#endif
#endif
