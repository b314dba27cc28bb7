#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "tunnel_internal.h"
#include <stdio.h>
#include <string.h>

static tunnel_stream_t *stream_of(const rdg_stream_t *s) {
    return RDG_LIST_ENTRY((uintptr_t)s, tunnel_stream_t, stream);
}

static size_t out_len(const tunnel_stream_t *s) {
    return s->out.len - s->out_done;
}

/* --- what nghttp2 asks for --------------------------------------------------------------------------- */

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *into, size_t size, uint32_t *flags,
                        nghttp2_data_source *source, void *ctx) {
    tunnel_stream_t *s = source->ptr;
    (void)session, (void)id, (void)ctx;
    size_t n = out_len(s) < size ? out_len(s) : size;
    if (n == 0 && !s->finishing) return NGHTTP2_ERR_DEFERRED;
    if (n > 0) memcpy(into, s->out.data + s->out_done, n);
    s->out_done += n;
    if (out_len(s) == 0) {
        rdg_buf_clear(&s->out);
        s->out_done = 0;
        if (s->finishing) *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->waiting) tunnel_reap_soon(s->tunnel);
    }
    return (ssize_t)n;
}

nghttp2_data_provider stream_provider(tunnel_stream_t *s) {
    return (nghttp2_data_provider){.source.ptr = s, .read_callback = read_out};
}

/* --- from the peer -------------------------------------------------------------------------------------- */

static void deliver_held(tunnel_stream_t *s) {
    if (s->delivering) return;
    s->delivering = true;
    while (s->state == STREAM_OPEN && !s->paused && s->held.len > 0) {
        size_t len = s->held.len < 65536 ? s->held.len : 65536;
        s->stream.events->data(s->stream.ctx, &s->stream, rdg_bytes(s->held.data, len));
        rdg_buf_consume(&s->held, len);
        if (!s->gone) nghttp2_session_consume_stream(s->tunnel->session, s->id, len);
    }
    s->delivering = false;
    if (s->peer_ended && s->held.len == 0) stream_over(s, RDG_OK);
}

void stream_take(tunnel_stream_t *s, rdg_bytes_t bytes) {
    if (s->state != STREAM_OPEN) {
        nghttp2_session_consume_stream(s->tunnel->session, s->id, bytes.len);
    } else if (s->paused || s->held.len > 0 || s->delivering) {
        if (rdg_buf_append(&s->held, bytes.data, bytes.len) != RDG_OK)
            stream_over(s, rdg_fail(RDG_E_NO_MEMORY, "no memory for what the tunnel's peer sent"));
    } else {
        s->delivering = true;
        s->stream.events->data(s->stream.ctx, &s->stream, bytes);
        s->delivering = false;
        nghttp2_session_consume_stream(s->tunnel->session, s->id, bytes.len);
    }
}

void stream_over(tunnel_stream_t *s, rdg_err_t why) {
    if (s->state == STREAM_OVER) return;
    s->why = why;
    snprintf(s->why_text, sizeof s->why_text, "%s", why == RDG_OK ? "" : rdg_err_message(why));
    s->state = STREAM_OVER;
    tunnel_reap_soon(s->tunnel);
    if (s->gone) return;
    if (why == RDG_OK && out_len(s) == 0) {
        s->finishing = true;
        nghttp2_session_resume_data(s->tunnel->session, s->id);
    } else {
        s->reset = true;
        nghttp2_submit_rst_stream(s->tunnel->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
    }
}

void stream_answered(tunnel_stream_t *s) {
    rdg_connected_fn fn = s->fn;
    s->fn = NULL;
    s->state = STREAM_OPEN;
    fn(s->ctx, &s->stream, RDG_OK);
    RDG_ASSERT(s->stream.events || s->state == STREAM_OVER);
}

bool stream_reap(tunnel_stream_t *s) {
    if (s->state == STREAM_OPEN && s->waiting && out_len(s) == 0) {
        s->waiting = false;
        const rdg_stream_events_t *events = s->stream.events;
        if (events && events->drained) events->drained(s->stream.ctx, &s->stream);
    }
    if (s->state != STREAM_OVER) return false;
    if (!s->told) {
        rdg_connected_fn fn = s->fn;
        rdg_err_t why = s->why == RDG_OK ? RDG_OK : rdg_fail(s->why, "%s", s->why_text);
        s->told = true;
        s->fn = NULL;
        if (fn)
            fn(s->ctx, NULL, why == RDG_OK ? rdg_fail(RDG_E_CLOSED, "the tunnel's peer ended it") : why);
        else if (s->stream.events)
            s->stream.events->closed(s->stream.ctx, &s->stream, why);
    }
    return s->gone;
}

/* --- what a stream does ------------------------------------------------------------------------------------ */

static void ts_start(rdg_stream_t *s) {
    (void)s; /* nothing can have come before the user had it */
}

static rdg_err_t ts_write(rdg_stream_t *stream, rdg_bytes_t bytes) {
    tunnel_stream_t *s = stream_of(stream);
    if (s->state != STREAM_OPEN || s->gone) return rdg_fail(RDG_E_CLOSED, "the stream is closed");
    if (bytes.len == 0) return RDG_OK;
    if (bytes.len > RDG_TUNNEL_QUEUE_MAX || out_len(s) > RDG_TUNNEL_QUEUE_MAX - bytes.len)
        return rdg_fail(RDG_E_FULL, "%zu bytes wait for the tunnel's peer already, at most %u may",
                        out_len(s), RDG_TUNNEL_QUEUE_MAX);
    if (s->out_done > 0) {
        rdg_buf_consume(&s->out, s->out_done);
        s->out_done = 0;
    }
    RDG_TRY(rdg_buf_append(&s->out, bytes.data, bytes.len));
    nghttp2_session_resume_data(s->tunnel->session, s->id);
    tunnel_flush(s->tunnel);
    if (out_len(s) > 0) s->waiting = true;
    return RDG_OK;
}

static size_t ts_queued(const rdg_stream_t *s) {
    return out_len(stream_of(s));
}

static void ts_close(rdg_stream_t *stream) {
    tunnel_stream_t *s = stream_of(stream);
    if (s->state == STREAM_OVER) return;
    stream_over(s, RDG_OK);
    tunnel_flush(s->tunnel);
}

static void ts_peer(const rdg_stream_t *stream, char *out, size_t size) {
    const tunnel_stream_t *s = stream_of(stream);
    snprintf(out, size, "%s of %s", s->service, s->tunnel->peer);
}

static void ts_pause(rdg_stream_t *stream, bool paused) {
    tunnel_stream_t *s = stream_of(stream);
    s->paused = paused;
    if (paused || s->state != STREAM_OPEN) return;
    deliver_held(s);
    tunnel_flush(s->tunnel);
}

static const stream_vtable_t tunnel_vtable = {ts_start, ts_write, ts_queued, ts_close, ts_peer, ts_pause};

rdg_err_t stream_make(rdg_tunnel_t *t, const char *service, tunnel_stream_t **out) {
    tunnel_stream_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a stream to %s", service);
    s->stream.vtable = &tunnel_vtable;
    s->tunnel = t;
    snprintf(s->service, sizeof s->service, "%s", service);
    rdg_buf_init(&s->held, RDG_TUNNEL_WINDOW + 65536);
    rdg_buf_init(&s->out, 2u * RDG_TUNNEL_QUEUE_MAX);
    rdg_list_append(&t->streams, &s->node);
    ++t->count;
    *out = s;
    return RDG_OK;
}

void stream_free(tunnel_stream_t *s) {
    rdg_list_remove(&s->node);
    --s->tunnel->count;
    rdg_buf_fini(&s->held);
    rdg_buf_fini(&s->out);
    rdg_free(s);
}
