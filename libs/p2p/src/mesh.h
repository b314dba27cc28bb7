/* The mesh and its links: p2p.c keeps the peers and dials, link.c is the life of one link. */
#ifndef RIDGE_P2P_MESH_H
#define RIDGE_P2P_MESH_H
#include "handshake.h"
#include "ridge/base/buf.h"
#include "ridge/base/list.h"
#include "ridge/net/stream.h"
#include "ridge/p2p/p2p.h"

#define UNAUTHENTICATED_MAX 64
#define HANDSHAKE_MS 5000
#define DIAL_FIRST_MS 50

/*  SECURING ──TLCP──► GREETING (our HELLO is sent) ──their HELLO──► READY
 *  A stranger is a link that another opened and that is not READY. */
typedef enum link_state { LINK_SECURING, LINK_GREETING, LINK_READY } link_state_t;

typedef struct link {
    rdg_list_t node;
    rdg_p2p_t *p2p; /* NULL: the mesh is gone */
    rdg_stream_t *stream;
    link_state_t state;
    bool dialled, dropped;
    size_t peer; /* known from GREETING on, or from the start if we dialled */
    rdg_buf_t in;
    uint64_t opened_ms, heard_ms, pinged_ms;
    char from[64];
} link_t;

typedef struct peer {
    rdg_p2p_peer_t config;
    bool self, we_dial, dialling, absent;
    link_t *link; /* READY, or NULL */
    uint64_t dial_at_ms, backoff_ms;
} peer_t;

struct rdg_p2p {
    rdg_p2p_options_t options;
    rdg_tlcp_identity_t *base, *identity; /* as given; with the peers as its rule */
    rdg_sm2_public_t key;
    rdg_listener_t *listener;
    rdg_timer_t *timer;
    peer_t *peers;
    rdg_list_t links, dials;
    size_t strangers;
    uint64_t logged_since_ms, refused, linked, resumed;
    unsigned logged; /* refusals since then */
};

uint64_t mesh_now_ms(const rdg_p2p_t *p);
void mesh_retry_later(rdg_p2p_t *p, size_t peer);
/* Counts and logs why a link was refused; may be told of a link that is gone. */
void mesh_refused(rdg_p2p_t *p, const char *from, rdg_err_t err);
/* The index of a peer's key; FORBIDDEN. */
rdg_err_t mesh_find(const rdg_p2p_t *p, const rdg_sm2_public_t *key, size_t *out);

/* s is a new connection, which is taken. */
void link_open(rdg_p2p_t *p, rdg_stream_t *s, bool dialled, size_t peer);
rdg_err_t link_write(link_t *l, uint8_t type, rdg_bytes_t payload);
void link_fail(link_t *l, rdg_err_t err);
/* Closes it for a reason that is not its peer's. */
void link_drop(link_t *l);
/* Time-outs and pings. */
void link_watch(link_t *l, uint64_t now);
/* The mesh ends: the link tells nobody any more. */
void link_forget(link_t *l);

#endif
