#include "ridge/p2p/p2p.h"
#include "frame.h"
#include "handshake.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/list.h"
#include "ridge/base/log.h"
#include <string.h>

#define UNAUTHENTICATED_MAX 64
#define UNAUTHENTICATED_FRAME_MAX 256
#define SMALL_FRAME 4096 /* up to this size head and payload leave in one write */
#define HANDSHAKE_MS 5000
#define PING_MS 5000
#define SILENCE_MS 20000
#define DIAL_FIRST_MS 50
#define DIAL_LAST_MS 1000
#define TICK_MS 50
#define TICK_IDLE_MS 500
#define FAILURES_LOGGED 10 /* a second: a stranger must not fill the disk with what it gets wrong */

enum { TYPE_HELLO = 1, TYPE_AUTH = 2, TYPE_PING = 3 };

/* A link's life: OPENED (our HELLO is sent) → GREETED (theirs is accepted, our AUTH is sent) → READY. */
typedef enum link_state { LINK_OPENED, LINK_GREETED, LINK_READY } link_state_t;

typedef struct link {
    rdg_list_t node;
    rdg_p2p_t *p2p;
    rdg_stream_t *stream;
    link_state_t state;
    bool dialled, dropped;
    size_t peer; /* known from GREETED on, or from the start if we dialled */
    hello_t own, theirs;
    rdg_buf_t in;
    uint64_t opened_ms, heard_ms, pinged_ms;
} link_t;

typedef struct peer {
    rdg_p2p_peer_t config;
    bool absent, self, we_dial, dialling;
    link_t *link; /* READY, or NULL */
    uint64_t dial_at_ms, backoff_ms;
} peer_t;

struct rdg_p2p {
    rdg_p2p_options_t options;
    rdg_sm2_public_t key;
    rdg_listener_t *listener;
    rdg_timer_t *timer;
    peer_t *peers;
    rdg_list_t links, dials;
    size_t strangers; /* accepted links that are not authenticated yet */
    uint64_t logged_since_ms;
    unsigned logged; /* refusals since then */
};

/* A dial outlives its mesh: the connection's answer finds p2p NULL then. */
typedef struct dial {
    rdg_p2p_t *p2p;
    size_t peer;
    rdg_list_t node;
} dial_t;

static uint64_t now_ms(const rdg_p2p_t *p) {
    return rdg_loop_now_ms(p->options.loop);
}

static rdg_err_t link_write(link_t *l, uint8_t type, rdg_bytes_t payload) {
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

static void peer_retry_later(rdg_p2p_t *p, peer_t *peer) {
    uint64_t base = peer->backoff_ms ? peer->backoff_ms : DIAL_FIRST_MS;
    peer->dial_at_ms = now_ms(p) + base / 2 + rdg_random_below(p->options.random, base);
    peer->backoff_ms = base * 2 > DIAL_LAST_MS ? DIAL_LAST_MS : base * 2;
}

static bool may_log(rdg_p2p_t *p) {
    uint64_t now = now_ms(p);
    if (now - p->logged_since_ms >= 1000) p->logged_since_ms = now, p->logged = 0;
    return p->logged++ < FAILURES_LOGGED;
}

static void link_fail(link_t *l, rdg_err_t err) {
    char name[64] = "";
    rdg_p2p_t *p = l->p2p;
    if (may_log(p)) {
        rdg_stream_peer(l->stream, name, sizeof name);
        rdg_log(RDG_LOG_WARN, "p2p.refused", RDG_STR("from", name), RDG_STR("code", rdg_err_name(err)),
                RDG_STR("why", rdg_err_message(err)));
    }
    rdg_stream_close(l->stream);
}

static rdg_err_t find_peer(const rdg_p2p_t *p, const rdg_sm2_public_t *key, size_t *out) {
    for (size_t i = 0; i < p->options.peer_count; ++i) {
        if (p->peers[i].absent || p->peers[i].self ||
            memcmp(p->peers[i].config.key.b, key->b, sizeof key->b) != 0)
            continue;
        *out = i;
        return RDG_OK;
    }
    return rdg_fail(RDG_E_FORBIDDEN, "the connecting node's key is not among this chain's peers");
}

static rdg_err_t on_hello(link_t *l, rdg_bytes_t bytes) {
    rdg_p2p_t *p = l->p2p;
    size_t peer = 0;
    if (l->state != LINK_OPENED) return rdg_fail(RDG_E_PROTOCOL, "a second hello");
    RDG_TRY(hello_decode(bytes, &l->theirs));
    RDG_TRY(hello_match(&l->own, &l->theirs));
    RDG_TRY(find_peer(p, &l->theirs.key, &peer));
    if (l->dialled && peer != l->peer)
        return rdg_fail(RDG_E_FORBIDDEN, "another node answers at the address of %s",
                        p->peers[l->peer].config.name);
    if (!l->dialled && p->peers[peer].we_dial)
        return rdg_fail(RDG_E_PROTOCOL, "the peer with the higher key dialled");
    l->peer = peer;
    rdg_hash_t hash;
    rdg_sm2_signature_t signature;
    auth_hash(&l->own, &l->theirs, l->dialled, &hash);
    RDG_TRY(rdg_sm2_sign(p->options.key, hash.b, sizeof hash.b, &signature));
    l->state = LINK_GREETED;
    return link_write(l, TYPE_AUTH, rdg_bytes(signature.b, sizeof signature.b));
}

static rdg_err_t on_auth(link_t *l, rdg_bytes_t bytes) {
    rdg_p2p_t *p = l->p2p;
    if (l->state != LINK_GREETED) return rdg_fail(RDG_E_PROTOCOL, "authentication out of turn");
    rdg_sm2_signature_t signature;
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    rdg_read_copy(&r, signature.b, sizeof signature.b);
    if (!rdg_reader_done(&r)) return rdg_fail(RDG_E_MALFORMED, "an authentication of %zu bytes", bytes.len);
    rdg_hash_t hash;
    auth_hash(&l->theirs, &l->own, !l->dialled, &hash);
    rdg_err_t err = rdg_sm2_verify(&l->theirs.key, hash.b, sizeof hash.b, &signature);
    if (err != RDG_OK) return rdg_fail_in(err, "handshake of %s", p->peers[l->peer].config.name);
    peer_t *peer = &p->peers[l->peer];
    l->state = LINK_READY;
    if (!l->dialled) --p->strangers;
    link_t *old = peer->link;
    peer->link = l;
    peer->backoff_ms = 0;
    if (old) {
        rdg_stream_close(old->stream);
        p->options.link(p->options.ctx, l->peer, false);
    }
    rdg_log(RDG_LOG_INFO, "p2p.link_up", RDG_STR("peer", peer->config.name));
    p->options.link(p->options.ctx, l->peer, true);
    return RDG_OK;
}

static rdg_err_t on_frame(link_t *l, uint8_t type, rdg_bytes_t payload) {
    rdg_p2p_t *p = l->p2p;
    if (l->dropped) return RDG_OK;
    if (type == TYPE_HELLO) return on_hello(l, payload);
    if (type == TYPE_AUTH) return on_auth(l, payload);
    if (l->state != LINK_READY) return rdg_fail(RDG_E_PROTOCOL, "a message before authentication");
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
    l->heard_ms = now_ms(p);
    rdg_err_t err = rdg_buf_append(&l->in, bytes.data, bytes.len);
    size_t done = 0;
    while (err == RDG_OK) {
        uint8_t type;
        rdg_bytes_t payload;
        size_t used, max = l->state == LINK_READY ? p->options.max_frame : UNAUTHENTICATED_FRAME_MAX;
        err = frame_next(rdg_bytes(l->in.data + done, l->in.len - done), max, &type, &payload, &used);
        if (err != RDG_OK || used == 0) break;
        done += used;
        err = on_frame(l, type, payload);
    }
    rdg_buf_consume(&l->in, done);
    if (err != RDG_OK) link_fail(l, err);
}

static void link_free(link_t *l) {
    rdg_list_remove(&l->node);
    rdg_buf_fini(&l->in);
    rdg_free(l);
}

static void on_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    link_t *l = ctx;
    rdg_p2p_t *p = l->p2p;
    (void)s;
    if (p && !l->dialled && l->state != LINK_READY) --p->strangers;
    if (p && l->dialled && p->peers[l->peer].link != l) peer_retry_later(p, &p->peers[l->peer]);
    if (p && l->state == LINK_READY && p->peers[l->peer].link == l) {
        peer_t *peer = &p->peers[l->peer];
        peer->link = NULL;
        peer->dial_at_ms = now_ms(p) + DIAL_FIRST_MS;
        rdg_log(RDG_LOG_INFO, "p2p.link_down", RDG_STR("peer", peer->config.name),
                RDG_STR("why", rdg_err_name(why)));
        p->options.link(p->options.ctx, l->peer, false);
    }
    link_free(l);
}

static const rdg_stream_events_t link_events = {on_data, on_closed, NULL};

/* Of too many strangers the one goes that has had the most time: a peer needs milliseconds, and whoever holds
 * connections open keeps no peer out. */
static void drop_oldest_stranger(rdg_p2p_t *p) {
    RDG_LIST_EACH(it, &p->links) {
        link_t *l = RDG_LIST_ENTRY(it, link_t, node);
        if (l->dialled || l->state == LINK_READY || l->dropped) continue;
        l->dropped = true;
        link_fail(l, rdg_fail(RDG_E_FULL, "%zu connections have not authenticated yet", p->strangers));
        return;
    }
}

static void link_open(rdg_p2p_t *p, rdg_stream_t *s, bool dialled, size_t peer) {
    if (!dialled && p->strangers >= UNAUTHENTICATED_MAX) drop_oldest_stranger(p);
    bool room =
        dialled || p->strangers < 2 * UNAUTHENTICATED_MAX; /* those that were dropped are still closing */
    link_t *l = room ? rdg_calloc(1, sizeof *l) : NULL;
    if (!l) {
        if (may_log(p)) rdg_log(RDG_LOG_WARN, "p2p.link_dropped", RDG_U64("unauthenticated", p->strangers));
        rdg_stream_close(s);
        if (dialled) peer_retry_later(p, &p->peers[peer]);
        return;
    }
    l->p2p = p, l->stream = s, l->dialled = dialled, l->peer = peer;
    l->opened_ms = l->heard_ms = l->pinged_ms = now_ms(p);
    rdg_buf_init(&l->in, p->options.max_frame + (1u << 20));
    l->own = (hello_t){.chain_id = p->options.chain_id, .genesis = p->options.genesis, .key = p->key};
    rdg_random_fill(p->options.random, l->own.nonce, sizeof l->own.nonce);
    rdg_list_append(&p->links, &l->node);
    if (!dialled) ++p->strangers;
    rdg_stream_set_events(s, &link_events, l);
    uint8_t hello[HELLO_BYTES];
    hello_encode(&l->own, hello);
    rdg_err_t err = link_write(l, TYPE_HELLO, rdg_bytes(hello, sizeof hello));
    if (err != RDG_OK) link_fail(l, err);
}

static void on_accept(void *ctx, rdg_stream_t *s) {
    link_open(ctx, s, false, 0);
}

static void on_connected(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    dial_t *d = ctx;
    rdg_p2p_t *p = d->p2p;
    size_t index = d->peer;
    rdg_list_remove(&d->node);
    rdg_free(d);
    if (!p) {
        if (s) rdg_stream_close(s);
        return;
    }
    peer_t *peer = &p->peers[index];
    peer->dialling = false;
    if (err == RDG_OK) {
        link_open(p, s, true, index);
        return;
    }
    rdg_log(RDG_LOG_DEBUG, "p2p.dial_failed", RDG_STR("peer", peer->config.name),
            RDG_STR("why", rdg_err_message(err)));
    peer_retry_later(p, peer);
}

static bool has_pending_link(const rdg_p2p_t *p, size_t index) {
    RDG_LIST_EACH(it, &p->links) {
        const link_t *l = RDG_LIST_ENTRY(it, link_t, node);
        if (l->dialled && l->peer == index) return true;
    }
    return false;
}

static void dial(rdg_p2p_t *p, size_t index) {
    peer_t *peer = &p->peers[index];
    dial_t *d = rdg_calloc(1, sizeof *d);
    if (!d) return;
    d->p2p = p, d->peer = index;
    peer->dialling = true;
    rdg_err_t err = rdg_stream_connect(p->options.loop, peer->config.host, peer->config.port, HANDSHAKE_MS,
                                       on_connected, d);
    if (err == RDG_OK) {
        rdg_list_append(&p->dials, &d->node);
        return;
    }
    rdg_free(d);
    peer->dialling = false;
    peer_retry_later(p, peer);
}

static void watch_link(rdg_p2p_t *p, link_t *l, uint64_t now) {
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

static void on_tick(void *ctx) {
    rdg_p2p_t *p = ctx;
    uint64_t now = now_ms(p);
    bool all_up = true;
    RDG_LIST_EACH_SAFE(it, &p->links) watch_link(p, RDG_LIST_ENTRY(it, link_t, node), now);
    for (size_t i = 0; i < p->options.peer_count; ++i) {
        peer_t *peer = &p->peers[i];
        if (!peer->we_dial || peer->link) continue;
        all_up = false;
        if (!peer->dialling && now >= peer->dial_at_ms && !has_pending_link(p, i)) dial(p, i);
    }
    rdg_timer_start(p->timer, all_up ? TICK_IDLE_MS : TICK_MS, 0);
}

static void set_peer(const rdg_p2p_t *p, peer_t *peer, const rdg_p2p_peer_t *config) {
    static const rdg_sm2_public_t nobody;
    int order = memcmp(p->key.b, config->key.b, sizeof p->key.b);
    bool dialling = peer->dialling; /* its answer is still to come */
    *peer = (peer_t){.config = *config, .dialling = dialling};
    peer->absent = memcmp(config->key.b, nobody.b, sizeof nobody.b) == 0;
    peer->self = order == 0;
    peer->we_dial = order < 0 && !peer->absent;
}

static rdg_err_t copy_peers(rdg_p2p_t *p) {
    if (p->options.peer_count > RDG_P2P_PEERS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu peers, at most %d", p->options.peer_count, RDG_P2P_PEERS_MAX);
    p->peers = rdg_calloc(RDG_P2P_PEERS_MAX, sizeof *p->peers);
    if (!p->peers) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the peers");
    for (size_t i = 0; i < p->options.peer_count; ++i) set_peer(p, &p->peers[i], &p->options.peers[i]);
    p->options.peers = NULL;
    return RDG_OK;
}

/* Also links that are not authenticated yet: they were opened for the one who stood there. */
static void close_links(rdg_p2p_t *p, size_t index) {
    RDG_LIST_EACH_SAFE(it, &p->links) {
        link_t *l = RDG_LIST_ENTRY(it, link_t, node);
        if (l->peer != index || (!l->dialled && l->state == LINK_OPENED)) continue;
        l->dropped = true;
        rdg_stream_close(l->stream);
    }
    if (!p->peers[index].link) return;
    p->peers[index].link = NULL;
    p->options.link(p->options.ctx, index, false);
}

rdg_err_t rdg_p2p_set_peers(rdg_p2p_t *p, const rdg_p2p_peer_t *peers, size_t count) {
    static const rdg_p2p_peer_t nobody;
    if (count > RDG_P2P_PEERS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu peers, at most %d", count, RDG_P2P_PEERS_MAX);
    size_t before = p->options.peer_count;
    for (size_t i = 0; i < before || i < count; ++i) {
        const rdg_p2p_peer_t *next = i < count ? &peers[i] : &nobody;
        peer_t *peer = &p->peers[i];
        if (i < before && memcmp(peer->config.key.b, next->key.b, sizeof next->key.b) == 0) {
            peer->config = *next;
            continue;
        }
        if (i < before) close_links(p, i);
        set_peer(p, peer, next);
    }
    /* Indexes of links that close later stay valid: the list never shrinks. */
    if (count > before) p->options.peer_count = count;
    rdg_timer_start(p->timer, 1, 0);
    return RDG_OK;
}

rdg_err_t rdg_p2p_start(const rdg_p2p_options_t *options, rdg_p2p_t **out) {
    rdg_p2p_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the peer mesh");
    p->options = *options;
    rdg_list_init(&p->links);
    rdg_list_init(&p->dials);
    rdg_sm2_key_public(options->key, &p->key);
    rdg_err_t err = copy_peers(p);
    if (err == RDG_OK)
        err = rdg_listen(options->loop, options->host, options->port, on_accept, p, &p->listener);
    if (err == RDG_OK) err = rdg_timer_new(options->loop, on_tick, p, &p->timer);
    if (err != RDG_OK) {
        rdg_p2p_stop(p);
        return err;
    }
    rdg_timer_start(p->timer, 1, 0);
    *out = p;
    return RDG_OK;
}

void rdg_p2p_stop(rdg_p2p_t *p) {
    if (!p) return;
    if (p->timer) rdg_timer_free(p->timer);
    if (p->listener) rdg_listener_close(p->listener);
    RDG_LIST_EACH_SAFE(it, &p->links) {
        link_t *l = RDG_LIST_ENTRY(it, link_t, node);
        l->p2p = NULL;
        rdg_list_remove(&l->node);
        rdg_stream_close(l->stream);
    }
    RDG_LIST_EACH_SAFE(dial_it, &p->dials) {
        RDG_LIST_ENTRY(dial_it, dial_t, node)->p2p = NULL;
        rdg_list_remove(dial_it);
    }
    rdg_free(p->peers);
    rdg_free(p);
}

uint16_t rdg_p2p_port(const rdg_p2p_t *p) {
    return rdg_listener_port(p->listener);
}

rdg_err_t rdg_p2p_send(rdg_p2p_t *p, size_t peer, uint8_t type, rdg_bytes_t bytes) {
    RDG_ASSERT(peer < p->options.peer_count && type >= RDG_P2P_TYPE_FIRST);
    RDG_ASSERT(bytes.len < p->options.max_frame);
    if (!p->peers[peer].link) return RDG_E_UNAVAILABLE;
    return link_write(p->peers[peer].link, type, bytes);
}

void rdg_p2p_broadcast(rdg_p2p_t *p, uint8_t type, rdg_bytes_t bytes) {
    for (size_t i = 0; i < p->options.peer_count; ++i)
        if (p->peers[i].link) (void)rdg_p2p_send(p, i, type, bytes);
}

bool rdg_p2p_connected(const rdg_p2p_t *p, size_t peer) {
    return peer < p->options.peer_count && p->peers[peer].link != NULL;
}

size_t rdg_p2p_link_count(const rdg_p2p_t *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->options.peer_count; ++i) n += p->peers[i].link != NULL;
    return n;
}
