/* The two engines behind rdg_http_call. */
#ifndef RIDGE_NET_HTTP_ENGINE_H
#define RIDGE_NET_HTTP_ENGINE_H
#include "address_guard.h"
#include "http_parse.h"
#include "http_url.h"
#include "ridge/net/stream.h"

typedef struct http_plain {
    int fd; /* -1: none */
    char host[256];
    uint16_t port;
    address_guard_t guard;            /* rdg_http_client_guard */
    char via[RDG_LOCAL_PATH_MAX + 1]; /* a local socket in place of host and port; empty: none */
} http_plain_t;

void http_plain_close(http_plain_t *c);
rdg_err_t http_plain_call(http_plain_t *c, const rdg_http_call_t *call, const http_url_t *url,
                          uint64_t timeout_ms, rdg_http_answer_t *out);

typedef struct http_tls {
    void *curl; /* libcurl's handle, made at the first call */
    address_guard_t guard;
    rdg_bytes_t roots; /* rdg_http_client_roots; empty: the system's */
} http_tls_t;

rdg_err_t http_tls_call(http_tls_t *c, const rdg_http_call_t *call, uint64_t timeout_ms,
                        rdg_http_answer_t *out);
void http_tls_close(http_tls_t *c);

#endif
