/* A mesh of mutually authenticated links between the nodes of one chain.
 *
 * Who may talk: the configured peers, each known by its public key; anybody else is refused. Of two peers the
 * one with the lower key dials, so that there is one link between them; a new authenticated link replaces an
 * old one (the peer was restarted).
 *
 * Frame: u32 length (of what follows), u8 type, payload. Handshake, each side at once:
 *   HELLO = version u16, chain id u64, genesis hash 32, public key 64, nonce 32
 *   AUTH  = SM2 signature over SM3(tag P2P_HELLO ‖ role ‖ chain id ‖ genesis ‖ own key ‖ peer's key ‖ own
 * nonce ‖ peer's nonce), role 1 for the side that dialled, 2 for the other It authenticates the ends, not the
 * bytes after it: the stream under it becomes TLCP in its issue.
 *
 * Limits: 256 bytes before authentication, which must be complete within 5 s; 64 unauthenticated
 * links that others opened (then the oldest goes);
 * frames of at most max_frame; RDG_P2P_QUEUE_MAX bytes wait for a slow peer, then send answers FULL and the
 * message is dropped (all users of it retransmit). A link silent for 20 s is closed (pings every 5 s).
 * Dialling backs off from 50 ms to 1 s with jitter. Everything runs on the loop's thread. */
#ifndef RIDGE_P2P_P2P_H
#define RIDGE_P2P_P2P_H
#include "ridge/base/clock.h"
#include "ridge/base/random.h"
#include "ridge/crypto/sm2.h"
#include "ridge/net/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_P2P_PEERS_MAX 128
#define RDG_P2P_QUEUE_MAX (24u << 20)
#define RDG_P2P_TYPE_FIRST 16 /* lower types belong to the mesh itself */

typedef struct rdg_p2p rdg_p2p_t;

typedef struct rdg_p2p_peer {
    char name[65];
    char host[256];
    uint16_t port;
    rdg_sm2_public_t key;
} rdg_p2p_peer_t;

typedef struct rdg_p2p_options {
    rdg_loop_t *loop;
    const rdg_random_t *random;
    uint64_t chain_id;
    rdg_hash_t genesis;
    const rdg_sm2_key_t *key; /* borrowed for the life of the mesh */
    const char *host;         /* listening address */
    uint16_t port;            /* 0: the system chooses */
    const rdg_p2p_peer_t
        *peers; /* copied; an entry with our own key is left out of the mesh but keeps its index */
    size_t peer_count;
    size_t max_frame;
    /* bytes are borrowed during the call; peer is an index into peers */
    void (*message)(void *ctx, size_t peer, uint8_t type, rdg_bytes_t bytes);
    void (*link)(void *ctx, size_t peer, bool up);
    void *ctx;
} rdg_p2p_options_t;

rdg_err_t rdg_p2p_start(const rdg_p2p_options_t *options, rdg_p2p_t **out);
/* Closes all links without a callback; frees. Not from inside a callback; NULL is fine. */
void rdg_p2p_stop(rdg_p2p_t *p);
/* Another list of peers from now on (copied), at most RDG_P2P_PEERS_MAX. An index stands for a key: where the key
 * stays, the link stays and the next dial goes to the new address; where it differs, or the list ends before it, the
 * link is closed, with its callback. An entry whose key is all zero is an empty place, which nobody can link to.
 * TOO_LARGE. */
rdg_err_t rdg_p2p_set_peers(rdg_p2p_t *p, const rdg_p2p_peer_t *peers, size_t count);
uint16_t rdg_p2p_port(const rdg_p2p_t *p);
/* UNAVAILABLE: no link now. FULL. */
rdg_err_t rdg_p2p_send(rdg_p2p_t *p, size_t peer, uint8_t type, rdg_bytes_t bytes);
void rdg_p2p_broadcast(rdg_p2p_t *p, uint8_t type, rdg_bytes_t bytes); /* to every peer with a link */
bool rdg_p2p_connected(const rdg_p2p_t *p, size_t peer);
size_t rdg_p2p_link_count(const rdg_p2p_t *p);

#ifdef __cplusplus
}
#endif
#endif
