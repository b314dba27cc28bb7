/* The connections of one server and the thread that moves their bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ws_internal.h"

enum {
    EVENTS_MAX = 64,
    TURN_MS = 500,     /* how often time-outs are looked at */
    CLOSING_MS = 5000, /* for the peer's own close frame */
    LINGER_MS = 2000,
    STOPPING_MS = 1000,
    CLOSE_SLOW = WSLAY_CODE_POLICY_VIOLATION,
    CLOSE_TRY_AGAIN = 1013
};

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

/* --- from any thread ------------------------------------------------------------------------------ */

void ws_hub_wake(ws_hub_t *h) {
    uint64_t one = 1;
    if (h->woken) return;
    h->woken = true;
    /* A counter at its limit has woken the thread already. */
    if (write(h->event, &one, sizeof one) < 0) return;
}

bool ws_hub_hold(ws_hub_t *h, size_t bytes) {
    if (bytes > h->options.total_bytes || h->held > h->options.total_bytes - bytes) return false;
    h->held += bytes;
    return true;
}

bool ws_hub_reserve(ws_hub_t *h) {
    pthread_mutex_lock(&h->lock);
    bool ok = !h->stopping && h->count < h->options.max_connections;
    if (ok) ++h->count;
    pthread_mutex_unlock(&h->lock);
    return ok;
}

void ws_hub_unreserve(ws_hub_t *h) {
    pthread_mutex_lock(&h->lock);
    --h->count;
    pthread_mutex_unlock(&h->lock);
}

ws_message_t *ws_message_new(size_t max_bytes) {
    ws_message_t *m = rdg_calloc(1, sizeof *m);
    if (!m) return NULL;
    rdg_list_init(&m->node);
    rdg_buf_init(&m->bytes, max_bytes);
    return m;
}

void ws_message_free(ws_message_t *m) {
    rdg_buf_fini(&m->bytes);
    rdg_free(m);
}

void ws_messages_free(rdg_list_t *list) {
    RDG_LIST_EACH_SAFE(it, list) {
        rdg_list_remove(it);
        ws_message_free(RDG_LIST_ENTRY(it, ws_message_t, node));
    }
}

static void ask_close(rdg_ws_t *ws, unsigned code, const char *reason) {
    if (ws->close.code) return;
    ws->close.code = code;
    snprintf(ws->close.reason, sizeof ws->close.reason, "%s", reason);
    ws_hub_wake(ws->hub);
}

void rdg_ws_close(rdg_ws_t *ws, unsigned code, const char *reason) {
    pthread_mutex_lock(&ws->hub->lock);
    if (!ws->gone) ask_close(ws, code, reason);
    pthread_mutex_unlock(&ws->hub->lock);
}

static rdg_err_t enqueue(rdg_ws_t *ws, ws_message_t *m) {
    ws_hub_t *h = ws->hub;
    size_t waiting = ws->outbox_bytes + ws->sending_bytes;
    if (ws->gone || ws->close.code) return rdg_fail(RDG_E_CLOSED, "the WebSocket connection is closed");
    if (m->bytes.len > h->options.queue_bytes || waiting > h->options.queue_bytes - m->bytes.len ||
        !ws_hub_hold(h, m->bytes.len)) {
        ask_close(ws, CLOSE_SLOW, "too slow: more waits to be read than this server keeps");
        return rdg_fail(RDG_E_FULL, "%zu bytes wait for a WebSocket peer that does not read", waiting);
    }
    ws->outbox_bytes += m->bytes.len;
    rdg_list_append(&ws->outbox, &m->node);
    ws_hub_wake(h);
    return RDG_OK;
}

rdg_err_t rdg_ws_send(rdg_ws_t *ws, rdg_bytes_t text) {
    ws_message_t *m = ws_message_new(SIZE_MAX);
    if (!m || rdg_buf_append(&m->bytes, text.data, text.len) != RDG_OK) {
        if (m) ws_message_free(m);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a message of %zu bytes", text.len);
    }
    pthread_mutex_lock(&ws->hub->lock);
    rdg_err_t err = enqueue(ws, m);
    pthread_mutex_unlock(&ws->hub->lock);
    if (err != RDG_OK) ws_message_free(m);
    return err;
}

rdg_ws_t *rdg_ws_ref(rdg_ws_t *ws) {
    rdg_ref_get(&ws->ref);
    return ws;
}

void rdg_ws_unref(rdg_ws_t *ws) {
    if (!ws || !rdg_ref_put(&ws->ref)) return;
    ws_messages_free(&ws->inbox);
    ws_messages_free(&ws->outbox);
    rdg_free(ws->extra);
    rdg_free(ws);
}

/* --- coming: on the HTTP server's thread ---------------------------------------------------------- */

static rdg_ws_t *new_connection(ws_hub_t *h, int fd, const char *extra, size_t extra_len) {
    rdg_ws_t *ws = rdg_calloc(1, sizeof *ws);
    if (!ws) return NULL;
    rdg_ref_init(&ws->ref);
    rdg_list_init(&ws->node);
    rdg_list_init(&ws->inbox);
    rdg_list_init(&ws->outbox);
    ws->hub = h;
    ws->fd = fd;
    if (extra_len > 0 && !(ws->extra = rdg_alloc(extra_len))) {
        rdg_ws_unref(ws);
        return NULL;
    }
    if (extra_len > 0) memcpy(ws->extra, extra, extra_len);
    ws->extra_len = extra_len;
    return ws;
}

void ws_on_upgrade(void *hub, struct MHD_Connection *connection, void *request, const char *extra,
                   size_t extra_len, int fd, struct MHD_UpgradeResponseHandle *urh) {
    ws_hub_t *h = hub;
    (void)connection;
    ((rdg_http_request_t *)request)->upgraded = true;
    int flags = fcntl(fd, F_GETFL);
    rdg_ws_t *ws = new_connection(h, fd, extra, extra_len);
    if (ws) ws->urh = urh;
    pthread_mutex_lock(&h->lock);
    bool taken = ws && flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && !h->stopping;
    if (taken) {
        rdg_list_append(&h->fresh, &ws->node);
        ws_hub_wake(h);
    } else {
        --h->count;
    }
    pthread_mutex_unlock(&h->lock);
    if (taken) return;
    rdg_ws_unref(ws);
    (void)MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
}

/* --- the I/O thread ------------------------------------------------------------------------------- */

/* The memory of what was under way is given back; a worker calls closed after its last message. */
static void end(ws_hub_t *h, rdg_ws_t *ws) {
    size_t in = ws->in.len;
    (void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, ws->fd, NULL);
    rdg_list_remove(&ws->node);
    ws_frames_fini(ws);
    (void)MHD_upgrade_action(ws->urh, MHD_UPGRADE_ACTION_CLOSE);
    pthread_mutex_lock(&h->lock);
    ws->gone = true;
    h->held -= in + ws->outbox_bytes + ws->sending_bytes;
    ws->outbox_bytes = ws->sending_bytes = 0;
    --h->count;
    if (!ws->busy) ws_workers_push(h, ws);
    pthread_mutex_unlock(&h->lock);
}

static void greet(ws_hub_t *h, rdg_ws_t *ws) {
    rdg_err_t err = h->options.opened(h->options.ctx, ws, &ws->user);
    if (err != RDG_OK) {
        rdg_ws_close(ws, CLOSE_TRY_AGAIN, rdg_err_message(err));
        return;
    }
    pthread_mutex_lock(&h->lock);
    ws->opened = true;
    pthread_mutex_unlock(&h->lock);
}

/* A connection is counted as heard from now on: the time of its making may be later than this turn's. */
static void take_fresh(ws_hub_t *h, uint64_t now) {
    for (;;) {
        pthread_mutex_lock(&h->lock);
        rdg_ws_t *ws = rdg_list_empty(&h->fresh) ? NULL : RDG_LIST_ENTRY(h->fresh.next, rdg_ws_t, node);
        if (ws) rdg_list_remove(&ws->node);
        pthread_mutex_unlock(&h->lock);
        if (!ws) return;
        ws->heard_ms = now;
        rdg_list_append(&h->open, &ws->node);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = ws};
        ws->interest = EPOLLIN;
        if (ws_frames_init(ws) != RDG_OK || epoll_ctl(h->epoll, EPOLL_CTL_ADD, ws->fd, &e) != 0)
            end(h, ws);
        else
            greet(h, ws);
    }
}

static void watch(ws_hub_t *h, rdg_ws_t *ws) {
    bool reads = ws->linger_ms || (!ws->paused && wslay_event_want_read(ws->wslay));
    uint32_t wanted = (reads ? EPOLLIN : 0u) | (ws->blocked ? EPOLLOUT : 0u);
    if (wanted == ws->interest) return;
    struct epoll_event e = {.events = wanted, .data.ptr = ws};
    ws->interest = wanted;
    if (epoll_ctl(h->epoll, EPOLL_CTL_MOD, ws->fd, &e) != 0) end(h, ws);
}

static bool timed_out(rdg_ws_t *ws, uint64_t now) {
    const rdg_ws_options_t *o = &ws->hub->options;
    if (ws->linger_ms) return now - ws->linger_ms > LINGER_MS;
    if (ws->closing_ms) return now - ws->closing_ms > CLOSING_MS;
    if (ws->paused) ws->heard_ms = now;
    if (now - ws->heard_ms > o->idle_s * 1000ull) {
        rdg_ws_close(ws, WSLAY_CODE_GOING_AWAY, "nothing was heard, no answer to a ping either");
    } else if (now - ws->heard_ms > o->ping_s * 1000ull && ws->pinged_ms < ws->heard_ms) {
        struct wslay_event_msg ping = {WSLAY_PING, NULL, 0};
        ws->pinged_ms = now;
        (void)wslay_event_queue_msg(ws->wslay, &ping);
    }
    return false;
}

static void serve(ws_hub_t *h, rdg_ws_t *ws, uint64_t now) {
    if (timed_out(ws, now) || !ws_frames_pump(ws, now))
        end(h, ws);
    else
        watch(h, ws);
}

static bool begin_turn(ws_hub_t *h, int timeout_ms, uint64_t *now) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(h->epoll, events, EVENTS_MAX, timeout_ms);
    *now = now_ms();
    for (int i = 0; i < count; ++i) {
        rdg_ws_t *ws = events[i].data.ptr;
        if (!ws) {
            uint64_t wakes;
            if (read(h->event, &wakes, sizeof wakes) < 0) continue;
        } else {
            if (events[i].events & EPOLLIN) ws->heard_ms = *now;
            if (events[i].events & (EPOLLHUP | EPOLLERR)) ws->dead = true;
        }
    }
    pthread_mutex_lock(&h->lock);
    h->woken = false;
    bool stopping = h->stopping;
    pthread_mutex_unlock(&h->lock);
    return !stopping;
}

/* There are at most max_connections of them: to look at each costs less than to keep lists of which to look at. */
static void serve_all(ws_hub_t *h, uint64_t now) {
    take_fresh(h, now);
    RDG_LIST_EACH_SAFE(it, &h->open) {
        rdg_ws_t *ws = RDG_LIST_ENTRY(it, rdg_ws_t, node);
        if (ws->dead)
            end(h, ws);
        else
            serve(h, ws, now);
    }
}

static void *run(void *arg) {
    ws_hub_t *h = arg;
    uint64_t now;
    while (begin_turn(h, rdg_list_empty(&h->open) ? -1 : TURN_MS, &now)) serve_all(h, now);
    take_fresh(h, now);
    RDG_LIST_EACH(it, &h->open)
    rdg_ws_close(RDG_LIST_ENTRY(it, rdg_ws_t, node), WSLAY_CODE_GOING_AWAY, "the server is stopping");
    for (uint64_t until = now + STOPPING_MS; !rdg_list_empty(&h->open) && now < until;) {
        serve_all(h, now);
        if (!rdg_list_empty(&h->open)) (void)begin_turn(h, 20, &now);
    }
    RDG_LIST_EACH_SAFE(it, &h->open) end(h, RDG_LIST_ENTRY(it, rdg_ws_t, node));
    return NULL;
}

/* --- start and stop ------------------------------------------------------------------------------- */

static void set_defaults(rdg_ws_options_t *o) {
    if (!o->threads) o->threads = 2;
    if (!o->max_connections) o->max_connections = 64;
    if (!o->ping_s) o->ping_s = 30;
    if (!o->idle_s) o->idle_s = 60;
    if (!o->max_message) o->max_message = 1u << 20;
    if (!o->queue_bytes) o->queue_bytes = 8u << 20;
    if (!o->total_bytes) o->total_bytes = 64u << 20;
}

static rdg_err_t start(ws_hub_t *h) {
    struct epoll_event e = {.events = EPOLLIN};
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->epoll < 0 || h->event < 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->event, &e) != 0)
        return rdg_fail_errno(errno, "cannot watch WebSocket connections");
    RDG_TRY(ws_workers_start(h));
    int why = pthread_create(&h->io, NULL, run, h);
    if (why != 0) return rdg_fail_errno(why, "cannot start the thread of WebSocket connections");
    h->io_started = true;
    return RDG_OK;
}

rdg_err_t ws_hub_start(const rdg_ws_options_t *options, ws_hub_t **out) {
    ws_hub_t *h = rdg_calloc(1, sizeof *h);
    if (!h) return rdg_fail(RDG_E_NO_MEMORY, "no memory for WebSocket connections");
    h->options = *options;
    set_defaults(&h->options);
    h->epoll = h->event = -1;
    rdg_list_init(&h->fresh);
    rdg_list_init(&h->open);
    rdg_list_init(&h->jobs);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->work, NULL);
    rdg_err_t err = start(h);
    if (err == RDG_OK)
        *out = h;
    else
        ws_hub_stop(h), ws_hub_free(h);
    return err;
}

void ws_hub_stop(ws_hub_t *h) {
    if (!h) return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    if (h->event >= 0) ws_hub_wake(h);
    pthread_mutex_unlock(&h->lock);
    if (h->io_started) pthread_join(h->io, NULL);
    h->io_started = false;
    ws_workers_stop(h);
}

void ws_hub_free(ws_hub_t *h) {
    if (!h) return;
    if (h->epoll >= 0) close(h->epoll);
    if (h->event >= 0) close(h->event);
    pthread_cond_destroy(&h->work);
    pthread_mutex_destroy(&h->lock);
    rdg_free(h);
}
