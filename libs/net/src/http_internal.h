/* Inside the HTTP server: http_message.c fills and reads requests and responses, http_server.c moves them
 * between libmicrohttpd's one I/O thread and the handlers' threads of http_workers.c. */
#ifndef RIDGE_NET_HTTP_INTERNAL_H
#define RIDGE_NET_HTTP_INTERNAL_H
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include "ridge/base/list.h"
#include "ridge/net/http_server.h"
#include "ridge/net/stream.h"

#define HTTP_RESPONSE_MAX (256u << 20)
#define WS_ACCEPT_MAX 32
#define HTTP_PEER_MAX 96

typedef struct ws_hub ws_hub_t;

/* The connections of a server that wait for a source. Lock order: the source's own, then this. */
typedef struct http_rests {
    pthread_mutex_t lock;
    rdg_list_t list;
    bool stopping; /* nobody rests any more */
} http_rests_t;
void http_rests_init(http_rests_t *r);
void http_rests_stop(http_rests_t *r); /* wakes all */
void http_rests_fini(http_rests_t *r);

struct rdg_http_response {
    unsigned status;
    rdg_buf_t body;
    char *content_type;
    struct {
        char *name, *value;
    } headers[RDG_HTTP_RESPONSE_HEADERS_MAX];
    size_t header_count;
    int fd; /* -1: the body is in memory */
    uint64_t offset, size;
    rdg_http_waiter_t *source; /* NULL: none */
    rdg_err_t err;             /* NO_MEMORY or TOO_LARGE while it was filled */
    ws_hub_t *upgrade;         /* takes the connection; NULL: it goes on as HTTP */
    char accept[WS_ACCEPT_MAX];
};

struct rdg_http_request {
    struct MHD_Connection *connection;
    const char *method, *path;
    rdg_buf_t body;
    rdg_http_response_t response;
    struct rdg_http_request *next; /* in the workers' queue */
    bool handled;
    bool deferring; /* the handler wants to be called again */
    uint64_t
        deferred_until; /* in monotonic ms; 0: it has not been deferred; UINT64_MAX: it may not be any more */
    uint64_t wakes;     /* how often the server had been woken when the handler began */
    bool too_large;
    bool streamed; /* its body goes to the intake in pieces */
    bool piece;    /* the workers have one of them */
    bool refused;  /* the response is there; the rest of the body is dropped */
    bool over;     /* its connection is gone: the workers end and free it */
    void *state;
    bool upgraded;
    http_rests_t *rests; /* of the server */
    ws_hub_t *hub;       /* of the server; NULL: no WebSocket */
    size_t dropped;      /* body bytes read and thrown away after too_large or refused */
    char remote[INET6_ADDRSTRLEN], peer[RDG_LOCAL_PATH_MAX + 1];
};

typedef struct http_workers http_workers_t;

/* run is called for each request on one of the threads. */
rdg_err_t http_workers_start(unsigned threads, void (*run)(void *ctx, rdg_http_request_t *req), void *ctx,
                             http_workers_t **out);
/* False once the workers are stopping. No limit of its own: a connection has one request at a time. */
bool http_workers_push(http_workers_t *w, rdg_http_request_t *req);
/* Of a request that is being run: run is called again for it after the next http_workers_wake, that is after any that came
 * since it was taken from the queue, or at its deferred_until, or when the workers stop. */
void http_workers_defer(http_workers_t *w, rdg_http_request_t *req);
void http_workers_wake(http_workers_t *w);
void http_workers_stop(http_workers_t *w); /* after what is queued has run; push then answers false */
void http_workers_free(http_workers_t *w);

/* named: the address is a name that http_server.c has given to an adopted connection. */
void http_request_address(rdg_http_request_t *r, bool named);
void http_response_init(rdg_http_response_t *r);
void http_response_fini(rdg_http_response_t *r);
void http_response_error(rdg_http_response_t *r, unsigned status, rdg_err_t code, const char *message);
rdg_err_t http_response_type(rdg_http_response_t *r, const char *content_type);
/* Returns owned; NULL: no memory. Takes the response's body, file or source. */
struct MHD_Response *http_response_build(rdg_http_request_t *req);

/* http_source.c */
void http_source_drop(rdg_http_response_t *r);
struct MHD_Response *http_source_build(rdg_http_response_t *r, struct MHD_Connection *connection,
                                       http_rests_t *rests);

#endif
