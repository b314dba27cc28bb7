/* The stream over a socket of the kernel, TCP or local, and the two ways to get one: connect.c and
 * listener.c. */
#ifndef RIDGE_NET_TCP_H
#define RIDGE_NET_TCP_H
#include "loop_internal.h"
#include "stream_impl.h"

typedef union tcp_handle {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t local;
} tcp_handle_t;

typedef struct tcp_stream {
    loop_item_t item;
    rdg_stream_t stream;
    rdg_loop_t *loop;
    tcp_handle_t uv;
    uv_connect_t connect; /* here, because libuv ends a cancelled one only when uv closes */
    int why;              /* the libuv error that ended it, 0 for a plain end */
    bool closing, paused;
    bool waiting; /* something has been queued since the last drained */
} tcp_stream_t;

void tcp_handle_init(rdg_loop_t *l, bool local, tcp_handle_t *h, void *data);
/* Not connected yet; dropped with tcp_drop until it is handed out. */
rdg_err_t tcp_new(rdg_loop_t *l, bool local, tcp_stream_t **out);
/* Closes without calling back. */
void tcp_drop(tcp_stream_t *t);
void tcp_tune(tcp_stream_t *t);
void tcp_format_address(const struct sockaddr *address, char *out, size_t size);
/* True if host is an IPv4 or IPv6 address, which is then in *out. NULL means 127.0.0.1. */
bool tcp_literal(const char *host, uint16_t port, struct sockaddr_storage *out);

#endif
