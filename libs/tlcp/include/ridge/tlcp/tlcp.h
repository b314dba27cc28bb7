/* TLCP (GB/T 38636-2020), client and server, as a machine that only moves bytes: no socket, no clock, no
 * thread, no global. The caller asks what is possible and moves bytes through four ports.
 *
 *      network ──► RECEIVE ──┐            ┌──► READ ──► application
 *                            │   engine   │
 *      network ◄── SEND ◄────┘            └── WRITE ◄── application
 *
 *   for (;;) {
 *       view = rdg_tlcp_send_view(t);      written to the network: rdg_tlcp_send_done(t, n)
 *       view = rdg_tlcp_read_view(t);      taken by the application: rdg_tlcp_read_done(t, n)
 *       room = rdg_tlcp_receive_room(t);   filled from the network: rdg_tlcp_receive_done(t, n)
 *       room = rdg_tlcp_write_room(t);     filled by the application: rdg_tlcp_write_done(t, n),
 *                                          and rdg_tlcp_flush(t) when no more comes for now
 *   }
 *
 * A port with length 0 has nothing to do now. Nothing is possible any more when rdg_tlcp_state is CLOSED
 * or FAILED and SEND and READ are empty.
 *
 * Offered: the suites of rdg_tlcp_suite_t, double certificates on both sides, resumption by session id
 * (sessions.h), null compression, version 0x0101 and nothing else. Of extensions, a client's server name is
 * sent and read (and checked by nobody); unknown ones of a peer are passed over.
 *
 * The ECDHE suites are SM2 key exchange, the server as its initiator: who later gets hold of an encryption
 * key cannot read what was recorded, as he can with the ECC suites. They need both certificates on both
 * sides, and one or two scalar multiplications more on each.
 *
 * Invariants
 * 1. No application byte leaves or arrives before both Finished messages were verified: until then READ
 *    and WRITE have length 0.
 * 2. A client always verifies the server's two certificates, a server the client's when it asks for them
 *    (RDG_TLCP_CLIENT_REQUIRED unless configured otherwise). OPEN therefore means: the peer has proven
 *    to hold the key of rdg_tlcp_peer's certificate, or there is none to hold. A resumed session stands
 *    for such a proof, made under the same configuration; accept_peer is asked anew.
 * 3. A fatal error, ours or the peer's, is for ever: one alert at most is sent, READ is emptied, every
 *    secret is wiped. What kind of decryption failed is told to nobody (always bad_record_mac).
 * 4. A wrong pre-master secret, of whatever kind, shows only as a Finished that does not verify.
 * 5. Renegotiation is refused: a handshake message after the handshake is fatal (no_renegotiation).
 * 6. The end of the stream counts as the end of the data only after close_notify: READ empty and state
 *    CLOSED. A transport that ends earlier is told by rdg_tlcp_transport_ended, and fails as truncated.
 * 7. Before the keys are in use nothing is passed over: each byte of a peer is part of the transcript that
 *    Finished proves, or has one permitted value. A warning during the handshake is fatal.
 * 8. Records and messages are limited (below); more is fatal, never buffered.
 *
 * Memory: some 35 KiB an engine, and some 34 KiB more while the handshake runs; all of it allocated by new,
 * apart from certificates and hash states in the handshake. No allocation in the data phase.
 * An engine belongs to one thread at a time; configurations are immutable and may be shared. */
#ifndef RIDGE_TLCP_TLCP_H
#define RIDGE_TLCP_TLCP_H
#include "ridge/base/random.h"
#include "ridge/crypto/cert.h"
#include "ridge/tlcp/alert.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_TLCP_VERSION 0x0101
#define RDG_TLCP_PLAIN_MAX 16384     /* plaintext of a record */
#define RDG_TLCP_CIPHER_MAX 18432    /* body of a protected record */
#define RDG_TLCP_HANDSHAKE_MAX 16384 /* a handshake message, and all those of a flight of ours */
#define RDG_TLCP_CERTS_MAX 8         /* certificates in a Certificate message */
#define RDG_TLCP_EMPTY_MAX 32        /* empty application records, or warnings, one after the other */
#define RDG_TLCP_RECORDS_MAX (UINT64_C(1) << 32) /* protected with one key; then EXHAUSTED */

typedef enum rdg_tlcp_suite {
    RDG_TLCP_ECDHE_SM4_CBC_SM3 = 0xE011,
    RDG_TLCP_ECC_SM4_CBC_SM3 = 0xE013,
    RDG_TLCP_ECDHE_SM4_GCM_SM3 = 0xE051,
    RDG_TLCP_ECC_SM4_GCM_SM3 = 0xE053
} rdg_tlcp_suite_t;
#define RDG_TLCP_SUITES_MAX 4
#define RDG_TLCP_SERVER_NAME_MAX 253

typedef enum rdg_tlcp_role { RDG_TLCP_CLIENT, RDG_TLCP_SERVER } rdg_tlcp_role_t;
typedef enum rdg_tlcp_client_auth {
    RDG_TLCP_CLIENT_REQUIRED,
    RDG_TLCP_CLIENT_OPTIONAL, /* asked for; an empty answer is accepted, a bad one is not */
    RDG_TLCP_CLIENT_NONE
} rdg_tlcp_client_auth_t;
typedef enum rdg_tlcp_order {
    RDG_TLCP_SIGN_ENC_CHAIN, /* what the standard says */
    RDG_TLCP_SIGN_CHAIN_ENC  /* what some stacks send; both are read */
} rdg_tlcp_order_t;

struct rdg_tlcp_sessions; /* sessions.h */
struct rdg_cert_cache;    /* ridge/crypto/cert_cache.h */

/* Everything is borrowed and must outlive the engines that use it. */
typedef struct rdg_tlcp_config {
    /* A client may have no certificate, or the sign certificate alone; what is not there is NULL. */
    const rdg_sm2_key_t *sign_key, *enc_key;
    const rdg_cert_t *sign_cert, *enc_cert;
    const rdg_cert_t *const *chain; /* what leads from them to a root, without the root */
    size_t chain_count;
    const rdg_cert_t *const *roots; /* whom we trust */
    size_t root_count;
    /* Clients without a root: the SM3 of the root that the server's certificates must lead to, and that it
     * sends along. For the first contact, when a fingerprint is all that is known. */
    const rdg_hash_t *root_pin;
    /* By preference (the server's decides); none: ECC with GCM, then ECC with CBC. ECDHE ones are passed
     * over where a certificate that they need cannot come. */
    rdg_tlcp_suite_t suites[RDG_TLCP_SUITES_MAX];
    size_t suite_count;
    rdg_tlcp_order_t order;
    rdg_tlcp_client_auth_t client_auth; /* servers */
    const char *peer_name;              /* the peer's sign certificate must have this name; NULL: any */
    /* Last word on a verified peer (revocation of either certificate, validator set); NULL: all are welcome.
     * enc_cert is NULL where a client sent none. Anything but RDG_OK refuses with the alert certificate_revoked
     * (FORBIDDEN) or access_denied. */
    rdg_err_t (*accept_peer)(void *ctx, const rdg_cert_t *sign_cert, const rdg_cert_t *enc_cert);
    void *accept_ctx;
    struct rdg_tlcp_sessions *sessions; /* to resume from and to keep in; NULL: every handshake is whole */
    struct rdg_cert_cache *certs;       /* of peers, made with `roots`; NULL: each is verified anew */
    /* Clients: which of several peers, all reached under this configuration, the session is with; nothing of it is
     * sent. Empty: one session for all of them. */
    rdg_bytes_t session_scope;
    const char *server_name; /* clients: sent as the extension server_name; NULL: none */
    /* Clients: sends the client's ephemeral key without the outer length that the standard asks for, as
     * some servers want it. Both forms are read. */
    bool bare_client_params;
} rdg_tlcp_config_t;

typedef enum rdg_tlcp_state {
    RDG_TLCP_HANDSHAKE,
    RDG_TLCP_OPEN,
    RDG_TLCP_CLOSED, /* close_notify was received or sent */
    RDG_TLCP_FAILED
} rdg_tlcp_state_t;

typedef struct rdg_tlcp rdg_tlcp_t;
typedef struct rdg_tlcp_room {
    uint8_t *data;
    size_t len;
} rdg_tlcp_room_t;

/* now_s judges certificates and sessions. random gives hellos, secrets, ephemeral keys and IVs:
 * rdg_random_system() but in tests. A client with a session to resume asks accept_peer here.
 * INVALID names what the configuration lacks or contradicts; TOO_LARGE: a flight that cannot be sent. */
rdg_err_t rdg_tlcp_new(const rdg_tlcp_config_t *config, rdg_tlcp_role_t role, int64_t now_s,
                       const rdg_random_t *random, rdg_tlcp_t **out);
void rdg_tlcp_free(rdg_tlcp_t *t); /* wipes; NULL is fine */

rdg_tlcp_room_t rdg_tlcp_receive_room(rdg_tlcp_t *t);
void rdg_tlcp_receive_done(rdg_tlcp_t *t, size_t len); /* len at most the room's (asserted), as below */
rdg_bytes_t rdg_tlcp_send_view(rdg_tlcp_t *t);
void rdg_tlcp_send_done(rdg_tlcp_t *t, size_t len);
rdg_bytes_t rdg_tlcp_read_view(rdg_tlcp_t *t);
void rdg_tlcp_read_done(rdg_tlcp_t *t, size_t len);
rdg_tlcp_room_t rdg_tlcp_write_room(rdg_tlcp_t *t);
void rdg_tlcp_write_done(rdg_tlcp_t *t, size_t len);
/* Makes a record of what was written: a full one goes out by itself, others wait for this. */
void rdg_tlcp_flush(rdg_tlcp_t *t);
/* Flushes and sends close_notify; WRITE is over, what arrives is thrown away. Idempotent. */
void rdg_tlcp_close(rdg_tlcp_t *t);
void rdg_tlcp_transport_ended(rdg_tlcp_t *t);

rdg_tlcp_state_t rdg_tlcp_state(const rdg_tlcp_t *t);
/* The root that root_pin found, borrowed from t until it is freed; NULL before OPEN and without a pin. */
const rdg_cert_t *rdg_tlcp_pinned_root(const rdg_tlcp_t *t);
/* Why it failed, RDG_OK before: PROTOCOL, UNAUTHENTICATED (certificates, signatures), EXPIRED (a
 * certificate), BAD_SIGNATURE (a record, a Finished), CLOSED (truncated), NO_MEMORY, EXHAUSTED …. */
rdg_err_t rdg_tlcp_error(const rdg_tlcp_t *t);
const char *rdg_tlcp_error_text(const rdg_tlcp_t *t); /* for the log; borrowed from t */
/* The fatal alert that we sent or received; RDG_TLCP_ALERT_NONE otherwise. */
rdg_tlcp_alert_t rdg_tlcp_alert_sent(const rdg_tlcp_t *t);
rdg_tlcp_alert_t rdg_tlcp_alert_received(const rdg_tlcp_t *t);
/* The peer's verified sign certificate, borrowed from t; NULL before OPEN and for a client without. */
const rdg_cert_t *rdg_tlcp_peer(const rdg_tlcp_t *t);
const rdg_cert_t *rdg_tlcp_peer_enc(const rdg_tlcp_t *t); /* its encryption certificate, likewise */
rdg_tlcp_suite_t rdg_tlcp_suite(const rdg_tlcp_t *t);     /* 0 before it is agreed */
bool rdg_tlcp_resumed(const rdg_tlcp_t *t);               /* whether OPEN was reached by resumption */
/* Servers: the name that the client asked for, printable ASCII; "" without one. Nothing has checked it. */
const char *rdg_tlcp_server_name(const rdg_tlcp_t *t);

#ifdef __cplusplus
}
#endif
#endif
