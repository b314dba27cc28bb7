/* Bodies that are still being made: libmicrohttpd's thread asks for the next bytes, and the connection rests (is
 * suspended) while there are none. */
#include "http_internal.h"
#include "ridge/base/alloc.h"

#define BLOCK_BYTES (64u << 10)

struct rdg_http_waiter {
    rdg_list_t node; /* in rests->list while it rests */
    http_rests_t *rests;
    struct MHD_Connection *connection;
    rdg_http_source_t source;
    bool resting; /* under rests->lock */
    bool asked;   /* by this call of read; the I/O thread's */
};

void http_rests_init(http_rests_t *r) {
    pthread_mutex_init(&r->lock, NULL);
    rdg_list_init(&r->list);
    r->stopping = false;
}

void http_rests_fini(http_rests_t *r) {
    pthread_mutex_destroy(&r->lock);
}

static void wake_locked(rdg_http_waiter_t *w) {
    if (!w->resting) return;
    w->resting = false;
    rdg_list_remove(&w->node);
    MHD_resume_connection(w->connection);
}

void http_rests_stop(http_rests_t *r) {
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    RDG_LIST_EACH_SAFE(it, &r->list) wake_locked(RDG_LIST_ENTRY(it, rdg_http_waiter_t, node));
    pthread_mutex_unlock(&r->lock);
}

void rdg_http_rest(rdg_http_waiter_t *w) {
    pthread_mutex_lock(&w->rests->lock);
    if (!w->rests->stopping && !w->resting) {
        w->asked = w->resting = true;
        rdg_list_append(&w->rests->list, &w->node);
        MHD_suspend_connection(w->connection);
    }
    pthread_mutex_unlock(&w->rests->lock);
}

void rdg_http_wake(rdg_http_waiter_t *w) {
    pthread_mutex_lock(&w->rests->lock);
    wake_locked(w);
    pthread_mutex_unlock(&w->rests->lock);
}

static ssize_t next_bytes(void *ctx, uint64_t at, char *out, size_t size) {
    rdg_http_waiter_t *w = ctx;
    w->asked = false;
    ptrdiff_t n = w->source.read(w->source.ctx, at, (uint8_t *)out, size, w);
    if (n > 0) return n;
    if (n == RDG_HTTP_END) return MHD_CONTENT_READER_END_OF_STREAM;
    return n == 0 && w->asked ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void drop(void *ctx) {
    rdg_http_waiter_t *w = ctx;
    w->source.free(w->source.ctx);
    rdg_free(w);
}

rdg_err_t rdg_http_send_source(rdg_http_response_t *r, const char *content_type,
                               const rdg_http_source_t *source, uint64_t size) {
    if (r->source) drop(r->source);
    r->source = rdg_calloc(1, sizeof *r->source);
    if (!r->source) {
        source->free(source->ctx);
        return r->err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a response");
    }
    r->source->source = *source;
    r->size = size;
    return http_response_type(r, content_type);
}

void http_source_drop(rdg_http_response_t *r) {
    if (r->source) drop(r->source);
    r->source = NULL;
}

struct MHD_Response *http_source_build(rdg_http_response_t *r, struct MHD_Connection *connection,
                                       http_rests_t *rests) {
    r->source->connection = connection;
    r->source->rests = rests;
    struct MHD_Response *built =
        MHD_create_response_from_callback(r->size == RDG_HTTP_SIZE_UNKNOWN ? MHD_SIZE_UNKNOWN : r->size,
                                          BLOCK_BYTES, next_bytes, r->source, drop);
    if (built) r->source = NULL;
    return built;
}
