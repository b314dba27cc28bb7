/* Bodies that are written while they are sent: a buffer between who writes and the server's I/O thread, as a source. */
#include <pthread.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/net/http_server.h"

struct rdg_http_stream {
    unsigned refs; /* atomic */
    pthread_mutex_t lock;
    rdg_buf_t waiting;
    size_t limit;
    rdg_http_waiter_t *waiter; /* that has asked for bytes since the answer began */
    bool ended, gone;          /* gone: the client, or the answer was never sent */
};

rdg_err_t rdg_http_stream_new(size_t buffer_bytes, rdg_http_stream_t **out) {
    rdg_http_stream_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a stream");
    s->refs = 1;
    s->limit = buffer_bytes;
    rdg_buf_init(&s->waiting, buffer_bytes + RDG_HTTP_STREAM_LAST);
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return RDG_OK;
}

rdg_http_stream_t *rdg_http_stream_ref(rdg_http_stream_t *s) {
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void rdg_http_stream_unref(rdg_http_stream_t *s) {
    if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    rdg_buf_fini(&s->waiting);
    pthread_mutex_destroy(&s->lock);
    rdg_free(s);
}

rdg_err_t rdg_http_stream_write(rdg_http_stream_t *s, rdg_bytes_t bytes) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&s->lock);
    if (s->gone || s->ended)
        err = RDG_E_CLOSED;
    else if (bytes.len > s->limit || s->waiting.len > s->limit - bytes.len)
        err = RDG_E_FULL;
    else
        err = rdg_buf_append(&s->waiting, bytes.data, bytes.len);
    if (err == RDG_OK && s->waiter) rdg_http_wake(s->waiter);
    pthread_mutex_unlock(&s->lock);
    return err;
}

void rdg_http_stream_end(rdg_http_stream_t *s, rdg_bytes_t last) {
    pthread_mutex_lock(&s->lock);
    if (!s->gone && !s->ended && last.len <= RDG_HTTP_STREAM_LAST)
        (void)rdg_buf_append(&s->waiting, last.data, last.len);
    s->ended = true;
    if (s->waiter) rdg_http_wake(s->waiter);
    pthread_mutex_unlock(&s->lock);
}

static ptrdiff_t read_stream(void *ctx, uint64_t at, uint8_t *out, size_t size, rdg_http_waiter_t *waiter) {
    rdg_http_stream_t *s = ctx;
    (void)at;
    pthread_mutex_lock(&s->lock);
    size_t n = s->waiting.len < size ? s->waiting.len : size;
    s->waiter = waiter;
    if (n > 0) {
        memcpy(out, s->waiting.data, n);
        memmove(s->waiting.data, s->waiting.data + n, s->waiting.len - n);
        s->waiting.len -= n;
    } else if (!s->ended) {
        rdg_http_rest(waiter);
    }
    bool ended = n == 0 && s->ended;
    pthread_mutex_unlock(&s->lock);
    return ended ? RDG_HTTP_END : (ptrdiff_t)n;
}

static void end_stream(void *ctx) {
    rdg_http_stream_t *s = ctx;
    pthread_mutex_lock(&s->lock);
    s->gone = true;
    s->waiter = NULL;
    pthread_mutex_unlock(&s->lock);
    rdg_http_stream_unref(s);
}

rdg_err_t rdg_http_send_stream(rdg_http_response_t *r, const char *content_type, rdg_http_stream_t *s) {
    const rdg_http_source_t source = {read_stream, end_stream, s};
    return rdg_http_send_source(r, content_type, &source, RDG_HTTP_SIZE_UNKNOWN);
}
