#include "frame.h"
#include "mesh.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/net/tlcp_stream.h"
#include <stdio.h>
#include <string.h>

#define GREETING_FRAME_MAX 256
#define SMALL_FRAME 4096 /* up to this size head and payload leave in one write */
#define PING_MS 5000
#define SILENCE_MS 20000

enum { TYPE_HELLO = 1, TYPE_PING = 3 };

rdg_err_t link_write(link_t *l, uint8_t type, rdg_bytes_t payload) {
    uint8_t small[SMALL_FRAME];
    if (rdg_stream_queued(l->stream) + payload.len + FRAME_HEAD > RDG_P2P_QUEUE_MAX) return RDG_E_FULL;
    frame_head(small, type, payload.len);
    if (payload.len <= sizeof small - FRAME_HEAD) {
        if (payload.len > 0) memcpy(small + FRAME_HEAD, payload.data, payload.len);
        return rdg_stream_write(l->stream, rdg_bytes(small, FRAME_HEAD + payload.len));
    }
    RDG_TRY(rdg_stream_write(l->stream, rdg_bytes(small, FRAME_HEAD)));
    rdg_err_t err = rdg_stream_write(l->stream, payload);
    /* Half a frame must never be followed by another one. */
    if (err != RDG_OK) rdg_stream_close(l->stream);
    return err;
}

static void link_free(link_t *l) {
    rdg_list_remove(&l->node);
    rdg_buf_fini(&l->in);
    rdg_free(l);
}

/* The link is gone, or never came to be. */
static void link_gone(link_t *l) {
    rdg_p2p_t *p = l->p2p;
    if (p && !l->dialled && l->state != LINK_READY) --p->strangers;
    if (p && l->dialled && p->peers[l->peer].link != l) mesh_retry_later(p, l->peer);
    link_free(l);
}

void link_drop(link_t *l) {
    l->dropped = true;
    rdg_stream_close(l->stream);
    /* A stream that is not open yet tells nobody that it was closed. */
    if (l->state == LINK_SECURING) link_gone(l);
}

void link_fail(link_t *l, rdg_err_t err) {
    mesh_refused(l->p2p, l->from, err);
    link_drop(l);
}

static void link_ready(link_t *l) {
    rdg_p2p_t *p = l->p2p;
    peer_t *peer = &p->peers[l->peer];
    link_t *old = peer->link;
    l->state = LINK_READY;
    if (!l->dialled) --p->strangers;
    peer->link = l;
    peer->backoff_ms = 0;
    if (old) {
        rdg_stream_close(old->stream);
        p->options.link(p->options.ctx, l->peer, false);
    }
    bool resumed = rdg_tlcp_stream_resumed(l->stream);
    ++p->linked;
    if (resumed) ++p->resumed;
    rdg_log(RDG_LOG_INFO, "p2p.link_up", RDG_STR("peer", peer->config.name), RDG_BOOL("resumed", resumed));
    p->options.link(p->options.ctx, l->peer, true);
}

static rdg_err_t on_hello(link_t *l, rdg_bytes_t bytes) {
    const rdg_p2p_t *p = l->p2p;
    hello_t own = {p->options.chain_id, p->options.genesis}, theirs;
    if (l->state != LINK_GREETING) return rdg_fail(RDG_E_PROTOCOL, "a second hello");
    RDG_TRY(hello_decode(bytes, &theirs));
    RDG_TRY(hello_match(&own, &theirs));
    link_ready(l);
    return RDG_OK;
}

static rdg_err_t on_frame(link_t *l, uint8_t type, rdg_bytes_t payload) {
    rdg_p2p_t *p = l->p2p;
    if (type == TYPE_HELLO) return on_hello(l, payload);
    if (l->state != LINK_READY) return rdg_fail(RDG_E_PROTOCOL, "a message before the hello");
    if (type == TYPE_PING) return RDG_OK;
    if (type < RDG_P2P_TYPE_FIRST) return rdg_fail(RDG_E_PROTOCOL, "unknown frame type %u", type);
    if (p->peers[l->peer].link == l) p->options.message(p->options.ctx, l->peer, type, payload);
    return RDG_OK;
}

static void on_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    link_t *l = ctx;
    rdg_p2p_t *p = l->p2p;
    (void)s;
    if (!p) return;
    l->heard_ms = mesh_now_ms(p);
    rdg_err_t err = rdg_buf_append(&l->in, bytes.data, bytes.len);
    size_t done = 0;
    while (err == RDG_OK) {
        uint8_t type;
        rdg_bytes_t payload;
        size_t used, max = l->state == LINK_READY ? p->options.max_frame : GREETING_FRAME_MAX;
        err = frame_next(rdg_bytes(l->in.data + done, l->in.len - done), max, &type, &payload, &used);
        if (err != RDG_OK || used == 0) break;
        done += used;
        err = on_frame(l, type, payload);
    }
    rdg_buf_consume(&l->in, done);
    if (err != RDG_OK) link_fail(l, err);
}

static void on_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    link_t *l = ctx;
    rdg_p2p_t *p = l->p2p;
    (void)s;
    if (p && l->state == LINK_READY && p->peers[l->peer].link == l) {
        peer_t *peer = &p->peers[l->peer];
        peer->link = NULL;
        peer->dial_at_ms = mesh_now_ms(p) + DIAL_FIRST_MS;
        rdg_log(RDG_LOG_INFO, "p2p.link_down", RDG_STR("peer", peer->config.name),
                RDG_STR("why", rdg_err_name(why)));
        p->options.link(p->options.ctx, l->peer, false);
        link_free(l);
        return;
    }
    link_gone(l);
}

static const rdg_stream_events_t link_events = {on_data, on_closed, NULL};

/* TLCP has proven that the peer holds this key, and the rule that it is a peer's; the peers may have changed
 * since then. */
static rdg_err_t recognise(link_t *l) {
    const rdg_p2p_t *p = l->p2p;
    size_t peer = 0;
    RDG_TRY(mesh_find(p, rdg_cert_public(rdg_tlcp_stream_peer(l->stream)), &peer));
    if (l->dialled && peer != l->peer)
        return rdg_fail(RDG_E_FORBIDDEN, "another node answers at the address of %s",
                        p->peers[l->peer].config.name);
    if (!l->dialled && p->peers[peer].we_dial)
        return rdg_fail(RDG_E_PROTOCOL, "the peer with the higher key dialled");
    l->peer = peer;
    return RDG_OK;
}

static void on_secured(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    link_t *l = ctx;
    rdg_p2p_t *p = l->p2p;
    if (err != RDG_OK) {
        mesh_refused(p, l->from, err);
        link_gone(l);
        return;
    }
    l->stream = s;
    rdg_stream_set_events(s, &link_events, l);
    l->state = LINK_GREETING;
    err = recognise(l);
    uint8_t bytes[HELLO_BYTES];
    hello_t own = {p->options.chain_id, p->options.genesis};
    hello_encode(&own, bytes);
    if (err == RDG_OK) err = link_write(l, TYPE_HELLO, rdg_bytes(bytes, sizeof bytes));
    if (err != RDG_OK) link_fail(l, err);
}

/* Of too many strangers the one goes that has had the most time: a peer needs milliseconds, and whoever holds
 * connections open keeps no peer out. */
static void drop_oldest_stranger(rdg_p2p_t *p) {
    RDG_LIST_EACH(it, &p->links) {
        link_t *l = RDG_LIST_ENTRY(it, link_t, node);
        if (l->dialled || l->state == LINK_READY || l->dropped) continue;
        link_fail(l, rdg_fail(RDG_E_FULL, "%zu connections have not authenticated yet", p->strangers));
        return;
    }
}

static void link_new(rdg_p2p_t *p, rdg_stream_t *s, bool dialled, size_t peer, link_t *l) {
    l->p2p = p, l->dialled = dialled, l->peer = peer;
    l->opened_ms = l->heard_ms = l->pinged_ms = mesh_now_ms(p);
    rdg_buf_init(&l->in, p->options.max_frame + (1u << 20));
    rdg_stream_peer(s, l->from, sizeof l->from);
    rdg_list_append(&p->links, &l->node);
    if (!dialled) ++p->strangers;
    rdg_tlcp_end_t end = {.role = dialled ? RDG_TLCP_CLIENT : RDG_TLCP_SERVER,
                          .identity = p->identity,
                          .client_auth = RDG_TLCP_CLIENT_REQUIRED,
                          .timeout_ms = HANDSHAKE_MS};
    if (dialled)
        end.session_scope = rdg_bytes(p->peers[peer].config.key.b, sizeof p->peers[peer].config.key.b);
    rdg_err_t err = rdg_tlcp_stream_open(p->options.loop, s, &end, on_secured, l, &l->stream);
    if (err == RDG_OK) return;
    mesh_refused(p, l->from, err);
    link_gone(l);
}

void link_open(rdg_p2p_t *p, rdg_stream_t *s, bool dialled, size_t peer) {
    if (!dialled && p->strangers >= UNAUTHENTICATED_MAX) drop_oldest_stranger(p);
    bool room =
        dialled || p->strangers < 2 * UNAUTHENTICATED_MAX; /* those that were dropped are still closing */
    link_t *l = room ? rdg_calloc(1, sizeof *l) : NULL;
    if (l) {
        link_new(p, s, dialled, peer, l);
        return;
    }
    mesh_refused(p, "", rdg_fail(RDG_E_FULL, "no room for another connection"));
    rdg_stream_close(s);
    if (dialled) mesh_retry_later(p, peer);
}

void link_watch(link_t *l, uint64_t now) {
    const rdg_p2p_t *p = l->p2p;
    if (l->state != LINK_READY) {
        if (now - l->opened_ms > HANDSHAKE_MS)
            link_fail(l, rdg_fail(RDG_E_TIMEOUT, "no handshake within 5 s"));
    } else if (now - l->heard_ms > SILENCE_MS) {
        link_fail(l, rdg_fail(RDG_E_TIMEOUT, "%s was silent for 20 s", p->peers[l->peer].config.name));
    } else if (now - l->pinged_ms > PING_MS) {
        l->pinged_ms = now;
        (void)link_write(l, TYPE_PING, rdg_bytes(NULL, 0));
    }
}

void link_forget(link_t *l) {
    bool secured = l->state != LINK_SECURING;
    l->p2p = NULL;
    rdg_list_remove(&l->node);
    rdg_stream_close(l->stream);
    if (!secured) link_free(l);
}
