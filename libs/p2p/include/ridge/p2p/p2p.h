/* A mesh of TLCP links between the nodes of one chain.
 *
 * Who may talk: the configured peers, each known by its public key. Both ends of a link show certificates
 * (mutual TLCP, ridge/net/tlcp_stream.h); the key of the peer's sign certificate must be that of a peer, and
 * of the peer that was dialled. Anybody else is refused with the alert access_denied, a revoked certificate
 * with certificate_revoked. A reconnection resumes the TLCP session of the last link, if the peer is still welcome.
 * Of two peers the one with the lower key dials, so that there is one link between
 * them; a new link replaces an old one (the peer was restarted).
 *
 * Frame: u32 length (of what follows), u8 type, payload. First frame of each side:
 *   HELLO = version u16 (2), chain id u64, genesis hash 32
 * so that nodes of two chains that share certificates and keys tell each other apart.
 *
 * Limits: RDG_TLCP_STREAM_HANDSHAKE_MAX bytes before authentication, 256 for HELLO, which must be there within
 * 5 s of the connection; 64 links that others opened and that are not ready (then the oldest goes); frames of
 * at most max_frame; RDG_P2P_QUEUE_MAX bytes wait for a slow peer, then send answers FULL and the message is
 * dropped (all users of it retransmit). A link silent for 20 s is closed (pings every 5 s). Dialling backs off
 * from 50 ms to 1 s with jitter. Everything runs on the loop's thread but the arithmetic of handshakes, which
 * the loop's workers do. */
#ifndef RIDGE_P2P_P2P_H
#define RIDGE_P2P_P2P_H
#include "ridge/base/clock.h"
#include "ridge/base/random.h"
#include "ridge/crypto/sm2.h"
#include "ridge/net/tlcp_identity.h"
#include "ridge/net/loop.h"

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
    rdg_tlcp_identity_t *identity; /* referenced; its sign key is this node's key */
    const char *host;              /* listening address */
    uint16_t port;                 /* 0: the system chooses */
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
/* Renewed certificates, a newer revocation list: for links from now on; links whose peer it refuses are closed.
 * CONFLICT: the sign key is another one. */
rdg_err_t rdg_p2p_set_identity(rdg_p2p_t *p, rdg_tlcp_identity_t *identity);
/* Links that were refused since the start: certificates, unknown keys, another chain, broken protocol, too slow. */
uint64_t rdg_p2p_refused(const rdg_p2p_t *p);
/* Links that came up since the start, and those of them whose TLCP session went on from an earlier link. */
uint64_t rdg_p2p_linked(const rdg_p2p_t *p);
uint64_t rdg_p2p_resumed(const rdg_p2p_t *p);
uint16_t rdg_p2p_port(const rdg_p2p_t *p);
/* UNAVAILABLE: no link now. FULL. */
rdg_err_t rdg_p2p_send(rdg_p2p_t *p, size_t peer, uint8_t type, rdg_bytes_t bytes);
void rdg_p2p_broadcast(rdg_p2p_t *p, uint8_t type, rdg_bytes_t bytes); /* to every peer with a link */
bool rdg_p2p_connected(const rdg_p2p_t *p, size_t peer);
size_t rdg_p2p_queued(const rdg_p2p_t *p, size_t peer); /* bytes that wait for it to take them */
size_t rdg_p2p_link_count(const rdg_p2p_t *p);

#ifdef __cplusplus
}
#endif
#endif
