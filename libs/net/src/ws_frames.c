/* One connection's bytes, through wslay. wslay keeps no message of ours: fragments are put together in ws->in, so
 * that a message in a million fragments costs no more than one in a single frame. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ws_internal.h"

/* Answers to pings that the peer does not fetch; beyond, it is not read any more. */
#define QUEUED_FRAMES_MAX 64
#define CLOSE_TRY_AGAIN 1013

static void note(rdg_ws_t *ws, unsigned code, const char *reason) {
    if (ws->wrong.code) return;
    ws->wrong.code = code;
    snprintf(ws->wrong.reason, sizeof ws->wrong.reason, "%s", reason);
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *data, size_t len, int flags, void *user) {
    rdg_ws_t *ws = user;
    (void)flags;
    size_t extra = ws->extra_len - ws->extra_at;
    if (extra > 0 && !ws->paused) {
        if (extra < len) len = extra;
        memcpy(data, ws->extra + ws->extra_at, len);
        ws->extra_at += len;
        return (ssize_t)len;
    }
    /* Behind a message that waits for a worker nothing more is read. */
    if (ws->paused) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    ssize_t got = recv(ws->fd, data, len, MSG_DONTWAIT);
    if (got > 0) return got;
    bool again = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    if (!again) ws->dead = true;
    wslay_event_set_error(ctx, again ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *user) {
    rdg_ws_t *ws = user;
    int more = flags & WSLAY_MSG_MORE ? MSG_MORE : 0;
    ssize_t sent = send(ws->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL | more);
    if (sent >= 0) return sent;
    bool again = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (again)
        ws->blocked = true;
    else
        ws->dead = true;
    wslay_event_set_error(ctx, again ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_frame(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *arg,
                     void *user) {
    (void)ctx;
    ((rdg_ws_t *)user)->in_control = wslay_is_ctrl_frame(arg->opcode);
}

static void on_chunk(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_chunk_arg *arg,
                     void *user) {
    rdg_ws_t *ws = user;
    if (ws->in_control || ws->wrong.code) return;
    pthread_mutex_lock(&ws->hub->lock);
    bool room = ws_hub_hold(ws->hub, arg->data_length);
    pthread_mutex_unlock(&ws->hub->lock);
    if (!room)
        note(ws, CLOSE_TRY_AGAIN, "too many messages under way on this server: try again later");
    else if (rdg_buf_append(&ws->in, arg->data, arg->data_length) != RDG_OK)
        note(ws, WSLAY_CODE_MESSAGE_TOO_BIG, "the message is too large");
    else
        return;
    if (room) {
        pthread_mutex_lock(&ws->hub->lock);
        ws->hub->held -= arg->data_length;
        pthread_mutex_unlock(&ws->hub->lock);
    }
    wslay_event_shutdown_read(ctx);
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg,
                       void *user) {
    rdg_ws_t *ws = user;
    if (wslay_is_ctrl_frame(arg->opcode) || ws->wrong.code) return;
    ws_message_t *m = ws_message_new(ws->hub->options.max_message);
    if (!m) {
        note(ws, WSLAY_CODE_INTERNAL_SERVER_ERROR, "no memory for the message");
        wslay_event_shutdown_read(ctx);
        return;
    }
    m->bytes = ws->in;
    rdg_buf_init(&ws->in, ws->hub->options.max_message);
    ws->paused = true;
    pthread_mutex_lock(&ws->hub->lock);
    rdg_list_append(&ws->inbox, &m->node);
    if (!ws->busy) ws_workers_push(ws->hub, ws);
    pthread_mutex_unlock(&ws->hub->lock);
}

rdg_err_t ws_frames_init(rdg_ws_t *ws) {
    static const struct wslay_event_callbacks callbacks = {.recv_callback = on_recv,
                                                           .send_callback = on_send,
                                                           .on_frame_recv_start_callback = on_frame,
                                                           .on_frame_recv_chunk_callback = on_chunk,
                                                           .on_msg_recv_callback = on_message};
    rdg_buf_init(&ws->in, ws->hub->options.max_message);
    if (wslay_event_context_server_init(&ws->wslay, &callbacks, ws) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a WebSocket connection");
    wslay_event_config_set_no_buffering(ws->wslay, 1);
    wslay_event_config_set_max_recv_msg_length(ws->wslay, ws->hub->options.max_message);
    return RDG_OK;
}

void ws_frames_fini(rdg_ws_t *ws) {
    if (ws->wslay) wslay_event_context_free(ws->wslay);
    ws->wslay = NULL;
    rdg_buf_fini(&ws->in);
}

/* What rdg_ws_send left, into wslay's queue. */
static rdg_err_t fetch_outbox(rdg_ws_t *ws) {
    rdg_list_t outbox;
    rdg_err_t err = RDG_OK;
    rdg_list_init(&outbox);
    pthread_mutex_lock(&ws->hub->lock);
    RDG_LIST_EACH_SAFE(it, &ws->outbox) {
        rdg_list_remove(it);
        rdg_list_append(&outbox, it);
    }
    ws->sending_bytes += ws->outbox_bytes;
    ws->outbox_bytes = 0;
    pthread_mutex_unlock(&ws->hub->lock);
    RDG_LIST_EACH_SAFE(it, &outbox) {
        ws_message_t *m = RDG_LIST_ENTRY(it, ws_message_t, node);
        struct wslay_event_msg msg = {WSLAY_TEXT_FRAME, m->bytes.data, m->bytes.len};
        int status = err == RDG_OK ? wslay_event_queue_msg(ws->wslay, &msg) : 0;
        if (status == WSLAY_ERR_NOMEM) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a message");
        rdg_list_remove(it);
        ws_message_free(m);
    }
    return err;
}

static void count_sent(rdg_ws_t *ws) {
    size_t left = wslay_event_get_queued_msg_length(ws->wslay);
    pthread_mutex_lock(&ws->hub->lock);
    if (left < ws->sending_bytes) {
        ws->hub->held -= ws->sending_bytes - left;
        ws->sending_bytes = left;
    }
    pthread_mutex_unlock(&ws->hub->lock);
}

static void queue_close(rdg_ws_t *ws, uint64_t now_ms) {
    pthread_mutex_lock(&ws->hub->lock);
    ws_close_t close = ws->wrong.code ? ws->wrong : ws->close;
    pthread_mutex_unlock(&ws->hub->lock);
    if (!close.code || ws->closing_ms) return;
    ws->closing_ms = now_ms;
    rdg_log(RDG_LOG_INFO, "websocket.closing", RDG_U64("code", close.code), RDG_STR("why", close.reason),
            RDG_U64("unsent", ws->sending_bytes));
    (void)wslay_event_queue_close(ws->wslay, (uint16_t)close.code, (const uint8_t *)close.reason,
                                  strlen(close.reason));
}

static bool may_receive(rdg_ws_t *ws) {
    pthread_mutex_lock(&ws->hub->lock);
    ws->paused = ws->busy || wslay_event_get_queued_msg_count(ws->wslay) > QUEUED_FRAMES_MAX;
    pthread_mutex_unlock(&ws->hub->lock);
    return !ws->paused && wslay_event_want_read(ws->wslay);
}

/* A socket closed over bytes that nobody read tells the peer of a reset and not of our close frame. */
static bool linger(rdg_ws_t *ws, uint64_t now_ms) {
    uint8_t away[4096];
    if (!ws->linger_ms) {
        ws->linger_ms = now_ms;
        (void)shutdown(ws->fd, SHUT_WR);
    }
    for (;;) {
        ssize_t got = recv(ws->fd, away, sizeof away, MSG_DONTWAIT);
        if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    }
}

bool ws_frames_pump(rdg_ws_t *ws, uint64_t now_ms) {
    if (ws->linger_ms) return linger(ws, now_ms);
    if (fetch_outbox(ws) != RDG_OK) return false;
    /* What is no frame at all makes wslay queue a close frame of its own, without a code. */
    if (may_receive(ws) && wslay_event_recv(ws->wslay) != 0 && ws->dead) return false;
    queue_close(ws, now_ms);
    ws->blocked = false;
    if (wslay_event_want_write(ws->wslay) && wslay_event_send(ws->wslay) != 0) return false;
    count_sent(ws);
    if (ws->dead) return false;
    if (wslay_event_want_read(ws->wslay) || wslay_event_want_write(ws->wslay)) return true;
    return linger(ws, now_ms);
}
