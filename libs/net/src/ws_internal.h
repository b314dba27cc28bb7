/* Inside WebSocket: ws_handshake.c makes the upgrade's answer, ws_hub.c owns the connections and their one I/O
 * thread, ws_frames.c speaks with wslay for one connection, ws_workers.c calls the user. */
#ifndef RIDGE_NET_WS_INTERNAL_H
#define RIDGE_NET_WS_INTERNAL_H
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <wslay/wslay.h>
#include "ridge/base/list.h"
#include "ridge/base/ref.h"
#include "http_internal.h"
#include "ridge/net/websocket.h"

#define WS_REASON_MAX 120

/* A message on its way, in or out. */
typedef struct ws_message {
    rdg_list_t node;
    rdg_buf_t bytes;
} ws_message_t;

typedef struct ws_close {
    unsigned code; /* 0: none is asked for */
    char reason[WS_REASON_MAX + 1];
} ws_close_t;

struct rdg_ws {
    rdg_ref_t ref;
    ws_hub_t *hub;
    void *user;

    /* The hub's thread alone. */
    rdg_list_t node;
    int fd;
    struct MHD_UpgradeResponseHandle *urh;
    wslay_event_context_ptr wslay;
    uint8_t *extra; /* what the HTTP server had read already */
    size_t extra_len, extra_at;
    rdg_buf_t in; /* the message being received */
    bool in_control, paused;
    ws_close_t wrong; /* noted by a callback of wslay's */
    uint64_t heard_ms, pinged_ms, closing_ms;
    bool blocked; /* the socket takes no more at present */
    bool dead;    /* the socket is broken or at its end */
    uint64_t
        linger_ms; /* all is said: since when what still comes is read away, so that our last word arrives */
    uint32_t interest;

    /* Under the hub's lock. */
    rdg_list_t inbox, outbox;           /* of ws_message_t */
    size_t outbox_bytes, sending_bytes; /* waiting for wslay; within it */
    ws_close_t close;
    bool opened, gone; /* gone: closed for the hub; rdg_ws_send answers CLOSED */
    bool busy;         /* a worker has it */
    rdg_list_t job;
};

struct ws_hub {
    rdg_ws_options_t options;
    pthread_mutex_t lock;
    rdg_list_t fresh; /* connections that the I/O thread has not seen yet */
    unsigned count;   /* of connections and of handshakes under way */
    size_t held;      /* bytes of messages in and out, all connections */
    bool stopping, woken;
    int epoll, event; /* file descriptors */
    pthread_t io;
    bool io_started;
    rdg_list_t open; /* the I/O thread's own */

    pthread_cond_t work;
    rdg_list_t jobs;
    bool workers_stopping;
    unsigned worker_count;
    pthread_t workers[16];
};

/* ws_hub.c */
rdg_err_t ws_hub_start(const rdg_ws_options_t *options, ws_hub_t **out);
void ws_hub_stop(ws_hub_t *h); /* closes all connections with 1001; takes no more; NULL is fine */
void ws_hub_free(ws_hub_t *h); /* stopped, and no upgrade can come any more; NULL is fine */
bool ws_hub_reserve(ws_hub_t *h);
void ws_hub_unreserve(ws_hub_t *h);
void ws_hub_wake(ws_hub_t *h); /* with the lock held */
void ws_on_upgrade(void *hub, struct MHD_Connection *connection, void *request, const char *extra,
                   size_t extra_len, int fd, struct MHD_UpgradeResponseHandle *urh);
/* With the lock held: counts bytes against total_bytes. */
bool ws_hub_hold(ws_hub_t *h, size_t bytes);
ws_message_t *ws_message_new(size_t max_bytes); /* NULL: no memory */
void ws_message_free(ws_message_t *m);
void ws_messages_free(rdg_list_t *list); /* returns nothing to the hub's count */

/* ws_frames.c, on the I/O thread */
rdg_err_t ws_frames_init(rdg_ws_t *ws);
void ws_frames_fini(rdg_ws_t *ws);
/* Receives and sends what is possible now. False: the connection is at its end. */
bool ws_frames_pump(rdg_ws_t *ws, uint64_t now_ms);

/* ws_workers.c */
rdg_err_t ws_workers_start(ws_hub_t *h);
void ws_workers_stop(ws_hub_t *h);
/* With the lock held: the inbox is to be handled, or the connection has gone. */
void ws_workers_push(ws_hub_t *h, rdg_ws_t *ws);

/* ws_handshake.c: base64(SHA-1(key and the GUID of RFC 6455)). False if the key is none. */
bool ws_accept_key(const char *key, char out[WS_ACCEPT_MAX]);

#endif
