/* HTTP client (libcurl, synchronous). A client keeps its connection alive between requests and belongs to one thread.
 * http:// and https:// only, no redirects across hosts, answers bounded by max_body (TOO_LARGE). */
#ifndef RIDGE_NET_HTTP_CLIENT_H
#define RIDGE_NET_HTTP_CLIENT_H
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_http_client rdg_http_client_t;

typedef struct rdg_http_call {
    const char *method, *url;
    const char *const *headers; /* "Name: value" strings */
    size_t header_count;
    rdg_bytes_t body;
    uint64_t timeout_ms;        /* whole request; 0: 30 s */
    size_t max_body;            /* 0: 16 MiB */
    /* If set, body bytes of a 2xx answer go here instead of into the answer; an error stops the transfer. */
    rdg_err_t (*sink)(void *ctx, rdg_bytes_t chunk);
    void *sink_ctx;
} rdg_http_call_t;

typedef struct rdg_http_answer {
    unsigned status;
    rdg_buf_t body; /* initialised by the call; rdg_http_answer_fini frees */
    char content_type[96], digest[160], location[256];
} rdg_http_answer_t;

rdg_err_t rdg_http_client_new(rdg_http_client_t **out);
void rdg_http_client_free(rdg_http_client_t *c);
/* RDG_OK for any HTTP status; UNAVAILABLE (cannot connect: names the address), TIMEOUT, TOO_LARGE, PROTOCOL. */
rdg_err_t rdg_http_call(rdg_http_client_t *c, const rdg_http_call_t *call, rdg_http_answer_t *out);
void rdg_http_answer_fini(rdg_http_answer_t *a);

#ifdef __cplusplus
}
#endif
#endif
