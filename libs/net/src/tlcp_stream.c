#include "ridge/net/tlcp_stream.h"
#include "loop_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/buf.h"
#include "ridge/base/clock.h"
#include "stream_impl.h"
#include <stdio.h>
#include <string.h>

#define HANDSHAKE_MS 5000u
#define HELD_MAX (256u << 10) /* a paused stream holds what the one below had read: one buffer, 64 KiB */

/*   SHAKING ──opened()──► OPEN ──end()──► ENDED ──► gone, when the stream below has closed
 *      │                   │                ▲
 *      └──────fail()───────┴──► LINGERING ──┘ on_timer()
 *
 * 1. The engine belongs to the worker while `working`; nothing else touches it then.
 * 2. fn is called once, on leaving SHAKING; the closed event once, at the very end, if events are set.
 * 3. The memory is freed when the stream below is gone and no worker runs. */
typedef enum tlcp_state { SHAKING, OPEN, LINGERING, ENDED } tlcp_state_t;

typedef struct tlcp_stream {
    loop_item_t item;
    rdg_stream_t stream;
    rdg_loop_t *loop;
    rdg_stream_t *below; /* NULL: gone */
    rdg_timer_t *timer;
    rdg_tlcp_identity_t *identity;
    rdg_tlcp_config_t config;
    rdg_tlcp_t *engine;
    tlcp_state_t state;
    bool working, dropped, paused, pumping;
    rdg_buf_t in;   /* received, not given to the engine yet */
    rdg_buf_t work; /* the worker's share of it */
    size_t heard;   /* bytes before the handshake's end */
    rdg_connected_fn fn;
    void *ctx;
    rdg_err_t why;
    char why_text[RDG_ERROR_TEXT_MAX], name[RDG_CERT_NAME_MAX], peer[64];
    uint8_t scope[RDG_TLCP_STREAM_SCOPE_MAX];
} tlcp_stream_t;

static tlcp_stream_t *tlcp_of(const rdg_stream_t *s) {
    return RDG_LIST_ENTRY((uintptr_t)s, tlcp_stream_t, stream);
}

static void tlcp_free(tlcp_stream_t *t) {
    rdg_tlcp_free(t->engine);
    rdg_tlcp_identity_unref(t->identity);
    rdg_buf_fini(&t->in);
    rdg_buf_fini(&t->work);
    rdg_free(t);
}

/* The timers of a loop that is freed drop themselves. */
static void drop_item(loop_item_t *item) {
    tlcp_stream_t *t = RDG_LIST_ENTRY(item, tlcp_stream_t, item);
    t->dropped = true;
    if (t->below) t->below->events = NULL;
    if (!t->working) tlcp_free(t);
}

static void finish(tlcp_stream_t *t) {
    const rdg_stream_events_t *events = t->stream.events;
    rdg_err_t why = t->why == RDG_OK ? RDG_OK : rdg_fail(t->why, "%s", t->why_text);
    if (events) events->closed(t->stream.ctx, &t->stream, why);
    tlcp_free(t);
}

static void remember(tlcp_stream_t *t, rdg_err_t err) {
    t->why = err;
    snprintf(t->why_text, sizeof t->why_text, "%s", rdg_err_message(err));
}

static void tell_failure(tlcp_stream_t *t) {
    rdg_connected_fn fn = t->fn;
    t->fn = NULL;
    if (fn) fn(t->ctx, NULL, t->why);
}

/* From here on the stream below brings the end, also while the loop is being freed. */
static void let_go(tlcp_stream_t *t) {
    t->state = ENDED;
    rdg_timer_free(t->timer);
    t->timer = NULL;
    loop_remove(&t->item);
    if (t->below) rdg_stream_close(t->below);
}

/* Ends without a last word to the peer. */
static void end(tlcp_stream_t *t, rdg_err_t why) {
    if (t->state >= LINGERING) return;
    remember(t, why);
    let_go(t);
    tell_failure(t);
}

static rdg_err_t send_out(tlcp_stream_t *t) {
    for (;;) {
        rdg_bytes_t view = rdg_tlcp_send_view(t->engine);
        if (view.len == 0) return RDG_OK;
        if (!t->below) return rdg_fail(RDG_E_CLOSED, "the connection is closed");
        RDG_TRY(rdg_stream_write(t->below, view));
        rdg_tlcp_send_done(t->engine, view.len);
    }
}

/* Ends after the alert, which the peer gets time to read: a connection closed with bytes unread is reset, and
 * the alert lost with it. */
static void fail(tlcp_stream_t *t, rdg_err_t err) {
    if (t->state >= LINGERING) return;
    remember(t, err);
    t->state = LINGERING;
    rdg_buf_clear(&t->in);
    if (!t->working) (void)send_out(t);
    if (t->below) {
        rdg_stream_pause(t->below, false);
        rdg_timer_start(t->timer, RDG_TLCP_STREAM_LINGER_MS, 0);
    }
    rdg_err_t again = rdg_fail(err, "%s", t->why_text);
    t->why = again;
    tell_failure(t);
}

static void fail_engine(tlcp_stream_t *t) {
    rdg_tlcp_alert_t sent = rdg_tlcp_alert_sent(t->engine), got = rdg_tlcp_alert_received(t->engine);
    char alert[48] = "";
    if (got != RDG_TLCP_ALERT_NONE)
        snprintf(alert, sizeof alert, " (alert %d received)", got);
    else if (sent != RDG_TLCP_ALERT_NONE)
        snprintf(alert, sizeof alert, " (alert %d sent)", sent);
    fail(t, rdg_fail(rdg_tlcp_error(t->engine), "TLCP with %s: %s%s", t->peer, rdg_tlcp_error_text(t->engine),
                     alert));
}

/* What the engine has become by what it was given. */
static void look(tlcp_stream_t *t) {
    rdg_err_t err = send_out(t);
    rdg_tlcp_state_t state = rdg_tlcp_state(t->engine);
    if (state == RDG_TLCP_FAILED)
        fail_engine(t);
    else if (state == RDG_TLCP_CLOSED)
        end(t, t->state == SHAKING ? rdg_fail(RDG_E_CLOSED, "%s ended the TLCP handshake", t->peer) : RDG_OK);
    else if (err != RDG_OK)
        end(t, err);
}

/* The engine takes what it can of the bytes; returns how many. */
static size_t feed(rdg_tlcp_t *engine, rdg_bytes_t bytes) {
    size_t done = 0;
    while (done < bytes.len) {
        rdg_tlcp_room_t room = rdg_tlcp_receive_room(engine);
        size_t n = bytes.len - done < room.len ? bytes.len - done : room.len;
        if (n == 0) break;
        memcpy(room.data, bytes.data + done, n);
        rdg_tlcp_receive_done(engine, n);
        done += n;
    }
    return done;
}

static void deliver(tlcp_stream_t *t) {
    while (t->state == OPEN && !t->paused) {
        rdg_bytes_t view = rdg_tlcp_read_view(t->engine);
        if (view.len == 0) return;
        t->stream.events->data(t->stream.ctx, &t->stream, view);
        if (t->state == OPEN) rdg_tlcp_read_done(t->engine, view.len);
    }
}

/* Moves bytes to the user until there are none, or nobody wants them. Returns how many were used. */
static size_t pump(tlcp_stream_t *t, rdg_bytes_t bytes) {
    size_t done = 0;
    t->pumping = true;
    deliver(t);
    while (t->state == OPEN && !t->paused && done < bytes.len) {
        size_t n = feed(t->engine, rdg_bytes(bytes.data + done, bytes.len - done));
        done += n;
        deliver(t);
        /* An engine that takes nothing and gives nothing is closed or failed. */
        if (n == 0) break;
    }
    t->pumping = false;
    if (t->state == OPEN) look(t);
    return done;
}

static void pump_held(tlcp_stream_t *t) {
    /* A data callback may pause and resume: the outer pump goes on then. */
    if (t->pumping) return;
    size_t done = pump(t, rdg_buf_view(&t->in));
    if (t->state == OPEN)
        rdg_buf_consume(&t->in, done);
    else
        rdg_buf_clear(&t->in);
}

/* --- the handshake --------------------------------------------------------------------------------- */

static void opened(tlcp_stream_t *t) {
    rdg_connected_fn fn = t->fn;
    t->fn = NULL;
    t->state = OPEN;
    rdg_timer_stop(t->timer);
    fn(t->ctx, &t->stream, RDG_OK);
    RDG_ASSERT(t->stream.events || t->state != OPEN);
    if (t->state == OPEN) pump_held(t);
}

static void start_work(tlcp_stream_t *t);

static void after_work(tlcp_stream_t *t) {
    /* What the engine did not take stands before what has come meanwhile. */
    if (rdg_buf_append(&t->work, t->in.data, t->in.len) != RDG_OK) {
        end(t, rdg_fail(RDG_E_NO_MEMORY, "no memory for a TLCP handshake"));
        return;
    }
    rdg_buf_t swap = t->in;
    t->in = t->work;
    t->work = swap;
    rdg_buf_clear(&t->work);
    look(t);
    if (t->state != SHAKING) return;
    if (rdg_tlcp_state(t->engine) == RDG_TLCP_OPEN)
        opened(t);
    else if (t->in.len > 0)
        start_work(t);
}

static void on_work_done(void *arg) {
    tlcp_stream_t *t = arg;
    t->working = false;
    if (t->dropped) {
        tlcp_free(t);
        return;
    }
    if (t->state == SHAKING) after_work(t);
    if (!t->below) {
        if (t->state == SHAKING || t->state == OPEN)
            end(t, rdg_fail(RDG_E_CLOSED, "%s ended the connection during the TLCP handshake", t->peer));
        if (t->state == LINGERING) let_go(t);
        finish(t);
    }
}

static void work(void *arg) {
    tlcp_stream_t *t = arg;
    rdg_buf_consume(&t->work, feed(t->engine, rdg_buf_view(&t->work)));
}

static void start_work(tlcp_stream_t *t) {
    rdg_buf_t swap = t->in;
    t->in = t->work;
    t->work = swap;
    t->working = true;
    if (rdg_loop_work(t->loop, work, on_work_done, t) == RDG_OK) return;
    t->working = false;
    end(t, rdg_fail(RDG_E_FULL, "too much work waits for a TLCP handshake with %s", t->peer));
}

static void on_timer(void *arg) {
    tlcp_stream_t *t = arg;
    if (t->state == SHAKING)
        end(t, rdg_fail(RDG_E_TIMEOUT, "the TLCP handshake with %s was not complete in time", t->peer));
    else if (t->state == LINGERING)
        let_go(t);
}

/* --- the stream below -------------------------------------------------------------------------------- */

static void on_data(void *ctx, rdg_stream_t *below, rdg_bytes_t bytes) {
    tlcp_stream_t *t = ctx;
    (void)below;
    if (t->state >= LINGERING) return;
    if (t->state == OPEN && !t->paused && t->in.len == 0) {
        size_t done = pump(t, bytes);
        if (t->state != OPEN) return;
        bytes = rdg_bytes(bytes.data + done, bytes.len - done);
    }
    if (t->state == SHAKING && (t->heard += bytes.len) > RDG_TLCP_STREAM_HANDSHAKE_MAX) {
        end(t, rdg_fail(RDG_E_TOO_LARGE, "%s sent more than %u bytes before the end of the TLCP handshake",
                        t->peer, RDG_TLCP_STREAM_HANDSHAKE_MAX));
        return;
    }
    if (bytes.len > 0 && rdg_buf_append(&t->in, bytes.data, bytes.len) != RDG_OK)
        end(t, rdg_fail(RDG_E_NO_MEMORY, "no memory for what %s sent", t->peer));
    else if (t->state == SHAKING && !t->working)
        start_work(t);
}

static void on_closed(void *ctx, rdg_stream_t *below, rdg_err_t why) {
    tlcp_stream_t *t = ctx;
    (void)below;
    t->below = NULL;
    if (t->working) return;
    if (t->state == SHAKING || t->state == OPEN) {
        const char *when = t->state == OPEN ? "without close_notify: truncated" : "during the TLCP handshake";
        rdg_tlcp_transport_ended(t->engine);
        end(t, why == RDG_OK ? rdg_fail(RDG_E_CLOSED, "%s ended the connection %s", t->peer, when) : why);
    }
    if (t->state == LINGERING) let_go(t);
    finish(t);
}

static void on_drained(void *ctx, rdg_stream_t *below) {
    tlcp_stream_t *t = ctx;
    (void)below;
    const rdg_stream_events_t *events = t->stream.events;
    if (t->state == OPEN && events && events->drained) events->drained(t->stream.ctx, &t->stream);
}

static const rdg_stream_events_t below_events = {on_data, on_closed, on_drained};

/* --- what a stream does --------------------------------------------------------------------------------- */

static void tlcp_start(rdg_stream_t *s) {
    (void)s; /* opened() delivers what has come when fn returns */
}

static size_t tlcp_queued(const rdg_stream_t *s) {
    const tlcp_stream_t *t = tlcp_of(s);
    return t->below ? rdg_stream_queued(t->below) : 0;
}

/* An upper bound of what records add. */
static size_t sealed_len(size_t len) {
    return len + (len / RDG_TLCP_PLAIN_MAX + 2) * 64;
}

static rdg_err_t tlcp_write(rdg_stream_t *s, rdg_bytes_t bytes) {
    tlcp_stream_t *t = tlcp_of(s);
    if (t->state != OPEN || !t->below) return rdg_fail(RDG_E_CLOSED, "the TLCP connection is closed");
    if (bytes.len > RDG_STREAM_QUEUE_MAX || sealed_len(bytes.len) + tlcp_queued(s) > RDG_STREAM_QUEUE_MAX)
        return rdg_fail(RDG_E_FULL, "%zu bytes wait for %s already, at most %u may", tlcp_queued(s), t->peer,
                        RDG_STREAM_QUEUE_MAX);
    rdg_err_t err = RDG_OK;
    while (bytes.len > 0 && err == RDG_OK) {
        rdg_tlcp_room_t room = rdg_tlcp_write_room(t->engine);
        size_t n = bytes.len < room.len ? bytes.len : room.len;
        if (n > 0) memcpy(room.data, bytes.data, n);
        rdg_tlcp_write_done(t->engine, n);
        bytes = rdg_bytes(bytes.data + n, bytes.len - n);
        if (bytes.len == 0) rdg_tlcp_flush(t->engine);
        err = send_out(t);
        if (n == 0 && rdg_tlcp_write_room(t->engine).len == 0)
            err = rdg_fail(RDG_E_CLOSED, "the TLCP connection with %s takes no more data", t->peer);
    }
    /* Part of the bytes has left: the stream cannot go on without the rest. */
    if (err != RDG_OK) end(t, err);
    return err;
}

static void tlcp_close(rdg_stream_t *s) {
    tlcp_stream_t *t = tlcp_of(s);
    t->fn = NULL;
    if (t->state == OPEN) {
        rdg_tlcp_close(t->engine);
        (void)send_out(t);
    }
    end(t, RDG_OK);
}

static void tlcp_peer(const rdg_stream_t *s, char *out, size_t size) {
    snprintf(out, size, "%s", tlcp_of(s)->peer);
}

static void tlcp_pause(rdg_stream_t *s, bool paused) {
    tlcp_stream_t *t = tlcp_of(s);
    if (t->paused == paused || t->state != OPEN) return;
    t->paused = paused;
    if (!paused) pump_held(t);
    if (t->below && t->state == OPEN) rdg_stream_pause(t->below, t->paused);
}

static const stream_vtable_t tlcp_vtable = {tlcp_start, tlcp_write, tlcp_queued,
                                            tlcp_close, tlcp_peer,  tlcp_pause};

/* --- making ------------------------------------------------------------------------------------------------ */

static rdg_err_t tlcp_make(rdg_loop_t *l, const rdg_tlcp_end_t *e, tlcp_stream_t **out) {
    if (e->peer_name && strlen(e->peer_name) >= RDG_CERT_NAME_MAX)
        return rdg_fail(RDG_E_INVALID, "'%.80s' is too long for a certificate's name", e->peer_name);
    RDG_ASSERT(e->session_scope.len <= RDG_TLCP_STREAM_SCOPE_MAX);
    tlcp_stream_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a TLCP connection");
    t->stream.vtable = &tlcp_vtable;
    t->loop = l;
    t->identity = rdg_tlcp_identity_ref(e->identity);
    t->config = *rdg_tlcp_identity_config(e->identity);
    t->config.client_auth = e->client_auth;
    if (e->peer_name) {
        snprintf(t->name, sizeof t->name, "%s", e->peer_name);
        t->config.peer_name = t->name;
    }
    if (e->session_scope.len > 0) {
        memcpy(t->scope, e->session_scope.data, e->session_scope.len);
        t->config.session_scope = rdg_bytes(t->scope, e->session_scope.len);
    }
    rdg_buf_init(&t->in, HELD_MAX);
    rdg_buf_init(&t->work, HELD_MAX);
    int64_t now_s = (int64_t)(rdg_wall_ms(rdg_clock_system()) / 1000);
    rdg_err_t err = rdg_tlcp_new(&t->config, e->role, now_s, rdg_random_system(), &t->engine);
    if (err == RDG_OK) err = rdg_timer_new(l, on_timer, t, &t->timer);
    if (err != RDG_OK)
        tlcp_free(t);
    else
        *out = t;
    return err;
}

rdg_err_t rdg_tlcp_stream_open(rdg_loop_t *l, rdg_stream_t *below, const rdg_tlcp_end_t *e,
                               rdg_connected_fn fn, void *ctx, rdg_stream_t **out) {
    tlcp_stream_t *t = NULL;
    rdg_err_t err = tlcp_make(l, e, &t);
    if (err != RDG_OK) {
        stream_discard(below);
        return err;
    }
    t->below = below;
    t->fn = fn;
    t->ctx = ctx;
    rdg_stream_peer(below, t->peer, sizeof t->peer);
    loop_add(l, &t->item, drop_item);
    rdg_timer_start(t->timer, e->timeout_ms ? e->timeout_ms : HANDSHAKE_MS, 0);
    rdg_stream_set_events(below, &below_events, t);
    /* A hello that cannot be written is told by the closed callback of the stream below. */
    (void)send_out(t);
    if (out) *out = &t->stream;
    return RDG_OK;
}

const rdg_cert_t *rdg_tlcp_stream_peer(const rdg_stream_t *s) {
    RDG_ASSERT(s->vtable == &tlcp_vtable);
    return rdg_tlcp_peer(tlcp_of(s)->engine);
}

const rdg_cert_t *rdg_tlcp_stream_peer_enc(const rdg_stream_t *s) {
    RDG_ASSERT(s->vtable == &tlcp_vtable);
    return rdg_tlcp_peer_enc(tlcp_of(s)->engine);
}

bool rdg_tlcp_stream_resumed(const rdg_stream_t *s) {
    RDG_ASSERT(s->vtable == &tlcp_vtable);
    return rdg_tlcp_resumed(tlcp_of(s)->engine);
}
