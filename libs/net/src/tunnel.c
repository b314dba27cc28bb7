#include "ridge/net/tunnel.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "tunnel_internal.h"
#include <stdio.h>
#include <string.h>

#define CONNECTION_WINDOW (16 << 20)
#define HEADER_LIST_MAX 4096
#define TICK_MS 5000

static uint64_t now_ms(const rdg_tunnel_t *t) {
    return rdg_loop_now_ms(t->options.loop);
}

static tunnel_stream_t *find(const rdg_tunnel_t *t, int32_t id) {
    return id == 0 ? NULL : nghttp2_session_get_stream_user_data(t->session, id);
}

/* --- sending ------------------------------------------------------------------------------------------------ */

void tunnel_flush(rdg_tunnel_t *t) {
    if (t->inside) return;
    while (!t->closing && t->below && rdg_stream_queued(t->below) < TUNNEL_BELOW_HIGH) {
        const uint8_t *data = NULL;
        t->inside = true;
        ssize_t len = nghttp2_session_mem_send(t->session, &data);
        t->inside = false;
        if (len < 0)
            tunnel_end(t, rdg_fail(RDG_E_PROTOCOL, "tunnel to %s: %s", t->peer, nghttp2_strerror((int)len)));
        if (len <= 0) break;
        rdg_err_t err = rdg_stream_write(t->below, rdg_bytes(data, (size_t)len));
        if (err != RDG_OK) tunnel_end(t, err);
    }
    if (!t->closing && !nghttp2_session_want_read(t->session) && !nghttp2_session_want_write(t->session))
        tunnel_end(t, RDG_OK);
}

static void add(nghttp2_nv *nv, const char *name, const char *value) {
    *nv = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                       .value = (uint8_t *)(uintptr_t)value,
                       .namelen = strlen(name),
                       .valuelen = strlen(value)};
}

/* --- the answer to a CONNECT: status and reason ---------------------------------------------------------------- */

static const struct {
    rdg_err_t err;
    int status;
} statuses[] = {{RDG_E_NOT_FOUND, 404}, {RDG_E_FORBIDDEN, 403}, {RDG_E_UNAVAILABLE, 503}, {RDG_E_FULL, 429}};

static int status_of(rdg_err_t err) {
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; ++i)
        if (statuses[i].err == err) return statuses[i].status;
    return 500;
}

static rdg_err_t err_of(int status) {
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; ++i)
        if (statuses[i].status == status) return statuses[i].err;
    return RDG_E_UNAVAILABLE;
}

/* A header value is visible ASCII; anything else in the text would end the connection. */
static void clean(char *text) {
    for (; *text; ++text)
        if (*text < ' ' || *text > '~') *text = '?';
}

static void refuse(rdg_tunnel_t *t, tunnel_stream_t *s, rdg_err_t err) {
    nghttp2_nv nv[2];
    char status[8];
    snprintf(status, sizeof status, "%d", status_of(err));
    snprintf(s->reason, sizeof s->reason, "%s", rdg_err_message(err));
    clean(s->reason);
    add(&nv[0], ":status", status);
    add(&nv[1], "ridge-reason", s->reason);
    nghttp2_submit_response(t->session, s->id, nv, 2, NULL);
    s->state = STREAM_OVER;
    s->told = true;
}

/* --- a server hears of a stream ----------------------------------------------------------------------------------- */

static void serve(rdg_tunnel_t *t, tunnel_stream_t *s) {
    nghttp2_nv nv;
    rdg_err_t err = RDG_OK;
    if (!s->service[0] || !rdg_name_valid(s->service))
        err = rdg_fail(RDG_E_NOT_FOUND, "want CONNECT to the name of a service");
    else if (t->count > RDG_TUNNEL_STREAMS_MAX)
        err = rdg_fail(RDG_E_FULL, "%d streams are open already", RDG_TUNNEL_STREAMS_MAX);
    else if (!t->options.open)
        err = rdg_fail(RDG_E_NOT_FOUND, "nothing is served here");
    if (err == RDG_OK) {
        s->state = STREAM_OPEN;
        err = t->options.open(t->options.ctx, t, s->service, &s->stream);
    }
    if (err != RDG_OK) {
        refuse(t, s, err);
        return;
    }
    add(&nv, ":status", "200");
    nghttp2_data_provider provider = stream_provider(s);
    if (nghttp2_submit_response(t->session, s->id, &nv, 1, &provider) != 0)
        stream_over(s, rdg_fail(RDG_E_NO_MEMORY, "no memory to open a stream to %s", s->service));
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx) {
    rdg_tunnel_t *t = ctx;
    tunnel_stream_t *s = NULL;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    if (stream_make(t, "", &s) != RDG_OK) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    s->id = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

/* libnghttp2 lets three digits pass only. */
static int status_from(const uint8_t *digits) {
    return 100 * (digits[0] - '0') + 10 * (digits[1] - '0') + digits[2] - '0';
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *ctx) {
    tunnel_stream_t *s = find(ctx, frame->hd.stream_id);
    (void)session, (void)flags;
    if (!s) return 0;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0 && len == 3)
        s->status = status_from(value);
    else if (name_len == 12 && memcmp(name, "ridge-reason", 12) == 0)
        snprintf(s->reason, sizeof s->reason, "%.*s", (int)(len < 250 ? len : 250), (const char *)value);
    else if (name_len == 10 && memcmp(name, ":authority", 10) == 0 && len <= RDG_TUNNEL_SERVICE_MAX)
        snprintf(s->service, sizeof s->service, "%.*s", (int)len, (const char *)value);
    else if (name_len == 7 && memcmp(name, ":method", 7) == 0)
        s->status = len == 7 && memcmp(value, "CONNECT", 7) == 0 ? 0 : -1;
    return 0;
}

static void on_answer(tunnel_stream_t *s) {
    if (s->state != STREAM_ASKING) return;
    if (s->status == 200)
        stream_answered(s);
    else
        stream_over(s, rdg_fail(err_of(s->status), "%s", s->reason[0] ? s->reason : "refused by the cloud"));
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx) {
    rdg_tunnel_t *t = ctx;
    tunnel_stream_t *s = find(t, frame->hd.stream_id);
    (void)session;
    if (!s) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        if (s->status != 0) s->service[0] = '\0';
        serve(t, s);
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
        on_answer(s);
    }
    bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (may_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && s->state == STREAM_OPEN) {
        s->peer_ended = true;
        if (s->held.len == 0) stream_over(s, RDG_OK);
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *ctx) {
    tunnel_stream_t *s = find(ctx, id);
    (void)flags;
    /* Each stream's window bounds what is held: the connection's is only there to be refilled. */
    nghttp2_session_consume_connection(session, len);
    if (s)
        stream_take(s, rdg_bytes(data, len));
    else
        nghttp2_session_consume_stream(session, id, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx) {
    rdg_tunnel_t *t = ctx;
    tunnel_stream_t *s = find(t, id);
    (void)session;
    if (!s) return 0;
    s->gone = true;
    bool in_order = code == NGHTTP2_NO_ERROR;
    if (s->state == STREAM_OPEN && in_order && s->held.len > 0) {
        s->peer_ended = true;
        return 0;
    }
    stream_over(s, in_order ? RDG_OK
                            : rdg_fail(RDG_E_CLOSED, "the other end of the tunnel broke off %s: %s",
                                       s->service, nghttp2_http2_strerror(code)));
    tunnel_reap_soon(t);
    return 0;
}

/* --- the stream below ------------------------------------------------------------------------------------------------ */

void tunnel_reap_soon(rdg_tunnel_t *t) {
    rdg_timer_start(t->reaper, 0, 0);
}

static void on_reap(void *arg) {
    rdg_tunnel_t *t = arg;
    RDG_LIST_EACH_SAFE(it, &t->streams) {
        tunnel_stream_t *s = RDG_LIST_ENTRY(it, tunnel_stream_t, node);
        if (stream_reap(s)) stream_free(s);
    }
    tunnel_flush(t);
}

void tunnel_end(rdg_tunnel_t *t, rdg_err_t why) {
    if (t->closing) return;
    t->closing = true;
    t->why = why;
    snprintf(t->why_text, sizeof t->why_text, "%s", why == RDG_OK ? "" : rdg_err_message(why));
    rdg_timer_stop(t->timer);
    if (t->below) rdg_stream_close(t->below);
}

static void on_data(void *ctx, rdg_stream_t *below, rdg_bytes_t bytes) {
    rdg_tunnel_t *t = ctx;
    (void)below;
    if (t->closing) return;
    t->heard_ms = now_ms(t);
    t->inside = true;
    ssize_t used = nghttp2_session_mem_recv(t->session, bytes.data, bytes.len);
    t->inside = false;
    if (used < 0)
        tunnel_end(t, rdg_fail(RDG_E_PROTOCOL, "tunnel to %s: %s", t->peer, nghttp2_strerror((int)used)));
    tunnel_flush(t);
}

static void on_drained(void *ctx, rdg_stream_t *below) {
    (void)below;
    tunnel_flush(ctx);
}

static void tunnel_free(rdg_tunnel_t *t) {
    RDG_LIST_EACH_SAFE(it, &t->streams) stream_free(RDG_LIST_ENTRY(it, tunnel_stream_t, node));
    nghttp2_session_del(t->session);
    rdg_free(t);
}

/* The timers of a loop that is freed drop themselves. */
static void drop_item(loop_item_t *item) {
    rdg_tunnel_t *t = RDG_LIST_ENTRY(item, rdg_tunnel_t, item);
    if (t->below) t->below->events = NULL;
    tunnel_free(t);
}

static void on_closed(void *ctx, rdg_stream_t *below, rdg_err_t why) {
    rdg_tunnel_t *t = ctx;
    (void)below;
    t->below = NULL;
    tunnel_end(t, why);
    RDG_LIST_EACH_SAFE(it, &t->streams) {
        tunnel_stream_t *s = RDG_LIST_ENTRY(it, tunnel_stream_t, node);
        s->gone = true;
        stream_over(s, rdg_fail(RDG_E_CLOSED, "the connection with %s was lost", t->peer));
        (void)stream_reap(s);
    }
    loop_remove(&t->item);
    rdg_timer_free(t->timer);
    rdg_timer_free(t->reaper);
    rdg_err_t final = t->why == RDG_OK ? RDG_OK : rdg_fail(t->why, "%s", t->why_text);
    t->options.closed(t->options.ctx, t, final);
    tunnel_free(t);
}

static const rdg_stream_events_t below_events = {on_data, on_closed, on_drained};

static void on_tick(void *arg) {
    rdg_tunnel_t *t = arg;
    uint64_t silent = now_ms(t) - t->heard_ms;
    if (silent > RDG_TUNNEL_SILENCE_MS) {
        tunnel_end(t, rdg_fail(RDG_E_TIMEOUT, "nothing was heard of %s for %d s", t->peer,
                               RDG_TUNNEL_SILENCE_MS / 1000));
        return;
    }
    if (silent > RDG_TUNNEL_PING_MS) nghttp2_submit_ping(t->session, NGHTTP2_FLAG_NONE, NULL);
    tunnel_flush(t);
}

/* --- making ------------------------------------------------------------------------------------------------------------- */

static rdg_err_t make_session(rdg_tunnel_t *t) {
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int bad = nghttp2_session_callbacks_new(&callbacks) || nghttp2_option_new(&option);
    if (!bad) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_max_send_header_block_length(option, HEADER_LIST_MAX);
        bad = t->options.server ? nghttp2_session_server_new2(&t->session, callbacks, t, option)
                                : nghttp2_session_client_new2(&t->session, callbacks, t, option);
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    if (bad) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a tunnel");
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, t->options.server ? RDG_TUNNEL_STREAMS_MAX : 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, RDG_TUNNEL_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    bad = nghttp2_submit_settings(t->session, NGHTTP2_FLAG_NONE, settings, t->options.server ? 3 : 4) ||
          nghttp2_session_set_local_window_size(t->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
    return bad ? rdg_fail(RDG_E_NO_MEMORY, "no memory for a tunnel") : RDG_OK;
}

rdg_err_t rdg_tunnel_new(const rdg_tunnel_options_t *options, rdg_stream_t *below, rdg_tunnel_t **out) {
    rdg_tunnel_t *t = rdg_calloc(1, sizeof *t);
    rdg_err_t err = t ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a tunnel");
    if (t) {
        t->options = *options;
        rdg_list_init(&t->streams);
        err = make_session(t);
    }
    if (err == RDG_OK) err = rdg_timer_new(options->loop, on_tick, t, &t->timer);
    if (err == RDG_OK) err = rdg_timer_new(options->loop, on_reap, t, &t->reaper);
    if (err != RDG_OK) {
        stream_discard(below);
        if (t) rdg_timer_free(t->timer);
        if (t) tunnel_free(t);
        return err;
    }
    t->below = below;
    t->heard_ms = now_ms(t);
    rdg_stream_peer(below, t->peer, sizeof t->peer);
    loop_add(options->loop, &t->item, drop_item);
    rdg_timer_start(t->timer, TICK_MS, TICK_MS);
    rdg_stream_set_events(below, &below_events, t);
    tunnel_flush(t);
    *out = t;
    return RDG_OK;
}

rdg_err_t rdg_tunnel_open(rdg_tunnel_t *t, const char *service, rdg_connected_fn fn, void *ctx) {
    nghttp2_nv nv[2];
    tunnel_stream_t *s = NULL;
    if (t->closing) return rdg_fail(RDG_E_CLOSED, "the connection with %s is closed", t->peer);
    if (!rdg_name_valid(service)) return rdg_fail(RDG_E_INVALID, "'%.64s' is no service's name", service);
    if (t->count >= RDG_TUNNEL_STREAMS_MAX)
        return rdg_fail(RDG_E_FULL, "%zu streams are open already", t->count);
    RDG_TRY(stream_make(t, service, &s));
    s->fn = fn;
    s->ctx = ctx;
    add(&nv[0], ":method", "CONNECT");
    add(&nv[1], ":authority", s->service);
    nghttp2_data_provider provider = stream_provider(s);
    s->id = nghttp2_submit_request(t->session, NULL, nv, 2, &provider, s);
    if (s->id < 0) {
        int code = s->id;
        stream_free(s);
        return rdg_fail(RDG_E_UNAVAILABLE, "cannot open a stream to %s: %s", service, nghttp2_strerror(code));
    }
    tunnel_flush(t);
    return RDG_OK;
}

void rdg_tunnel_close(rdg_tunnel_t *t) {
    if (t->closing) return;
    nghttp2_session_terminate_session(t->session, NGHTTP2_NO_ERROR);
    tunnel_flush(t);
    tunnel_end(t, RDG_OK);
}

size_t rdg_tunnel_stream_count(const rdg_tunnel_t *t) {
    return t->count;
}
