/* A tunnel and its streams: tunnel.c moves frames, tunnel_stream.c is what a user sees of a stream. */
#ifndef RIDGE_NET_TUNNEL_INTERNAL_H
#define RIDGE_NET_TUNNEL_INTERNAL_H
#include <nghttp2/nghttp2.h>
#include "loop_internal.h"
#include "ridge/base/buf.h"
#include "ridge/net/tunnel.h"
#include "stream_impl.h"

#define TUNNEL_BELOW_HIGH (256u << 10) /* frames are made only while less than this waits below */

/*  ASKING ──200──► OPEN ──► OVER ──reap()──► freed when nghttp2 has let go of it, too
 *     └──────────────────────►┘                */
typedef enum tunnel_stream_state { STREAM_ASKING, STREAM_OPEN, STREAM_OVER } tunnel_stream_state_t;

typedef struct tunnel_stream {
    rdg_list_t node;
    rdg_stream_t stream;
    rdg_tunnel_t *tunnel;
    int32_t id;
    tunnel_stream_state_t state;
    bool paused, delivering, waiting;
    bool finishing;  /* our side ends when `out` is empty */
    bool gone;       /* nghttp2 has closed it */
    bool told;       /* closed was called, or is owed to nobody */
    bool reset;      /* RST_STREAM is on its way */
    bool peer_ended; /* END_STREAM has come; told when `held` is empty */
    rdg_buf_t held;  /* received while paused */
    rdg_buf_t out;
    size_t out_done; /* of out, given to nghttp2 */
    int status;      /* of the answer, clients */
    char service[RDG_TUNNEL_SERVICE_MAX + 1], reason[256];
    rdg_connected_fn fn;
    void *ctx;
    rdg_err_t why;
    char why_text[RDG_ERROR_TEXT_MAX];
} tunnel_stream_t;

struct rdg_tunnel {
    loop_item_t item;
    rdg_tunnel_options_t options;
    rdg_stream_t *below; /* NULL: gone */
    nghttp2_session *session;
    rdg_timer_t *timer, *reaper;
    rdg_list_t streams;
    size_t count;
    uint64_t heard_ms;
    bool inside;  /* in nghttp2: nothing may be sent or received */
    bool closing; /* below is being closed */
    rdg_err_t why;
    char why_text[RDG_ERROR_TEXT_MAX], peer[64];
};

/* Makes frames of what is queued and writes them below. */
void tunnel_flush(rdg_tunnel_t *t);
void tunnel_end(rdg_tunnel_t *t, rdg_err_t why);
/* Streams that are over are told so, and freed, on the next turn of the loop. */
void tunnel_reap_soon(rdg_tunnel_t *t);

rdg_err_t stream_make(rdg_tunnel_t *t, const char *service, tunnel_stream_t **out);
void stream_free(tunnel_stream_t *s);
void stream_take(tunnel_stream_t *s, rdg_bytes_t bytes); /* DATA has come */
void stream_over(tunnel_stream_t *s, rdg_err_t why);
/* Hands a stream to its user for the first time. */
void stream_answered(tunnel_stream_t *s);
/* True when it can be freed. */
bool stream_reap(tunnel_stream_t *s);
nghttp2_data_provider stream_provider(tunnel_stream_t *s);

#endif
