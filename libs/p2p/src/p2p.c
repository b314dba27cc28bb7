#include "ridge/p2p/p2p.h"
#include "mesh.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/log.h"
#include "ridge/net/tlcp_stream.h"
#include <string.h>

#define DIAL_LAST_MS 1000
#define TICK_MS 50
#define TICK_IDLE_MS 500
#define FAILURES_LOGGED 10 /* a second: a stranger must not fill the disk with what it gets wrong */

/* A dial outlives its mesh: the connection's answer finds p2p NULL then. */
typedef struct dial {
    rdg_p2p_t *p2p;
    size_t peer;
    rdg_list_t node;
} dial_t;

uint64_t mesh_now_ms(const rdg_p2p_t *p) {
    return rdg_loop_now_ms(p->options.loop);
}

void mesh_retry_later(rdg_p2p_t *p, size_t index) {
    peer_t *peer = &p->peers[index];
    uint64_t base = peer->backoff_ms ? peer->backoff_ms : DIAL_FIRST_MS;
    peer->dial_at_ms = mesh_now_ms(p) + base / 2 + rdg_random_below(p->options.random, base);
    peer->backoff_ms = base * 2 > DIAL_LAST_MS ? DIAL_LAST_MS : base * 2;
}

void mesh_refused(rdg_p2p_t *p, const char *from, rdg_err_t err) {
    uint64_t now = mesh_now_ms(p);
    ++p->refused;
    if (now - p->logged_since_ms >= 1000) p->logged_since_ms = now, p->logged = 0;
    if (p->logged++ < FAILURES_LOGGED)
        rdg_log(RDG_LOG_WARN, "p2p.refused", RDG_STR("from", from), RDG_STR("code", rdg_err_name(err)),
                RDG_STR("why", rdg_err_message(err)));
}

rdg_err_t mesh_find(const rdg_p2p_t *p, const rdg_sm2_public_t *key, size_t *out) {
    for (size_t i = 0; i < p->options.peer_count; ++i) {
        const peer_t *peer = &p->peers[i];
        if (peer->self || peer->absent || memcmp(peer->config.key.b, key->b, sizeof key->b) != 0) continue;
        *out = i;
        return RDG_OK;
    }
    return rdg_fail(RDG_E_FORBIDDEN, "the connecting node's key is not among this chain's peers");
}

/* --- who is let in: the peers' keys, as they were when the rule was made, read by handshakes on other threads -- */

typedef struct allowed {
    size_t count;
    rdg_sm2_public_t keys[];
} allowed_t;

static rdg_err_t accept_key(void *ctx, const rdg_cert_t *peer_sign, const rdg_cert_t *peer_enc) {
    (void)peer_enc;
    const allowed_t *a = ctx;
    const rdg_sm2_public_t *key = rdg_cert_public(peer_sign);
    for (size_t i = 0; i < a->count; ++i)
        if (memcmp(a->keys[i].b, key->b, sizeof key->b) == 0) return RDG_OK;
    char name[RDG_CERT_NAME_MAX];
    rdg_cert_common_name(peer_sign, name, sizeof name);
    return rdg_fail(RDG_E_UNAUTHENTICATED,
                    "%s is no peer of this chain: its key is in no entry of peers.json", name);
}

static void free_allowed(void *ctx) {
    rdg_free(ctx);
}

static rdg_err_t make_rule(rdg_p2p_t *p) {
    allowed_t *a = rdg_calloc(1, sizeof *a + p->options.peer_count * sizeof a->keys[0]);
    if (!a) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the peers");
    for (size_t i = 0; i < p->options.peer_count; ++i)
        if (!p->peers[i].self && !p->peers[i].absent) a->keys[a->count++] = p->peers[i].config.key;
    const rdg_tlcp_rule_t rule = {accept_key, a, free_allowed};
    rdg_tlcp_identity_t *next = NULL;
    RDG_TRY(rdg_tlcp_identity_with_rule(p->base, &rule, &next));
    rdg_tlcp_identity_unref(p->identity);
    p->identity = next;
    return RDG_OK;
}

/* --- dialling ------------------------------------------------------------------------------------------------ */

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
    mesh_retry_later(p, index);
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
    mesh_retry_later(p, index);
}

static void on_tick(void *ctx) {
    rdg_p2p_t *p = ctx;
    uint64_t now = mesh_now_ms(p);
    bool all_up = true;
    RDG_LIST_EACH_SAFE(it, &p->links) link_watch(RDG_LIST_ENTRY(it, link_t, node), now);
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
        if (l->peer != index || (!l->dialled && l->state == LINK_SECURING)) continue;
        link_drop(l);
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
    return make_rule(p);
}

rdg_err_t rdg_p2p_set_identity(rdg_p2p_t *p, rdg_tlcp_identity_t *identity) {
    rdg_sm2_public_t key;
    rdg_sm2_key_public(rdg_tlcp_identity_config(identity)->sign_key, &key);
    if (memcmp(key.b, p->key.b, sizeof key.b) != 0)
        return rdg_fail(RDG_E_CONFLICT, "the certificates are of another key than this node's");
    rdg_tlcp_identity_t *before = p->base;
    p->base = rdg_tlcp_identity_ref(identity);
    rdg_err_t err = make_rule(p);
    if (err != RDG_OK) {
        p->base = before;
        rdg_tlcp_identity_unref(identity);
        return err;
    }
    rdg_tlcp_identity_unref(before);
    RDG_LIST_EACH_SAFE(it, &p->links) {
        link_t *l = RDG_LIST_ENTRY(it, link_t, node);
        if (l->state == LINK_SECURING) continue;
        err = rdg_tlcp_identity_accept(p->identity, rdg_tlcp_stream_peer(l->stream),
                                       rdg_tlcp_stream_peer_enc(l->stream));
        if (err != RDG_OK) link_fail(l, err);
    }
    return RDG_OK;
}

rdg_err_t rdg_p2p_start(const rdg_p2p_options_t *options, rdg_p2p_t **out) {
    rdg_p2p_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the peer mesh");
    p->options = *options;
    rdg_list_init(&p->links);
    rdg_list_init(&p->dials);
    p->base = rdg_tlcp_identity_ref(options->identity);
    p->options.identity = NULL;
    rdg_sm2_key_public(rdg_tlcp_identity_config(p->base)->sign_key, &p->key);
    rdg_err_t err = copy_peers(p);
    if (err == RDG_OK) err = make_rule(p);
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
    RDG_LIST_EACH_SAFE(it, &p->links) link_forget(RDG_LIST_ENTRY(it, link_t, node));
    RDG_LIST_EACH_SAFE(dial_it, &p->dials) {
        RDG_LIST_ENTRY(dial_it, dial_t, node)->p2p = NULL;
        rdg_list_remove(dial_it);
    }
    rdg_tlcp_identity_unref(p->identity);
    rdg_tlcp_identity_unref(p->base);
    rdg_free(p->peers);
    rdg_free(p);
}

uint64_t rdg_p2p_refused(const rdg_p2p_t *p) {
    return p->refused;
}

uint64_t rdg_p2p_linked(const rdg_p2p_t *p) {
    return p->linked;
}

uint64_t rdg_p2p_resumed(const rdg_p2p_t *p) {
    return p->resumed;
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

size_t rdg_p2p_queued(const rdg_p2p_t *p, size_t peer) {
    return rdg_p2p_connected(p, peer) ? rdg_stream_queued(p->peers[peer].link->stream) : 0;
}

size_t rdg_p2p_link_count(const rdg_p2p_t *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->options.peer_count; ++i) n += p->peers[i].link != NULL;
    return n;
}
