/* The inside of an engine: what the record side (engine.c, ports.c) and the handshake side share. */
#ifndef RIDGE_TLCP_SRC_ENGINE_H
#define RIDGE_TLCP_SRC_ENGINE_H
#include "protect.h"
#include "ridge/crypto/hash.h"
#include "ridge/tlcp/tlcp.h"
#include "sessions.h"

#define RECORD_CHANGE_CIPHER 20
#define RECORD_ALERT 21
#define RECORD_HANDSHAKE 22
#define RECORD_APPLICATION 23

#define MESSAGE_HEAD 4
#define ALERT_ROOM 80
#define IN_CAP (RDG_TLCP_HEAD_BYTES + RDG_TLCP_CIPHER_MAX)
#define OUT_CAP                                                                                              \
    (RDG_TLCP_HEAD_BYTES + RDG_TLCP_IV_ROOM + RDG_TLCP_PLAIN_MAX + RDG_TLCP_TAIL_ROOM + 2 * ALERT_ROOM)
#define FLIGHT_CAP (RDG_TLCP_HANDSHAKE_MAX + 1024)
#define RANDOM_BYTES 32
#define SECRET_BYTES SESSION_SECRET_BYTES
#define FINISHED_BYTES 12
#define NO_CHANGE SIZE_MAX

/* What a side waits for. */
typedef enum wait {
    WAIT_CLIENT_HELLO,
    WAIT_CLIENT_CERTIFICATE,
    WAIT_CLIENT_KEY,
    WAIT_CERTIFICATE_VERIFY,
    WAIT_SERVER_HELLO,
    WAIT_SERVER_CERTIFICATE,
    WAIT_SERVER_KEY,
    WAIT_REQUEST_OR_DONE,
    WAIT_HELLO_DONE,
    WAIT_CHANGE_CIPHER,
    WAIT_FINISHED,
    WAIT_NOTHING
} wait_t;

/* Lives from new until the last byte of the handshake is sent, then is wiped and freed. */
typedef struct handshake {
    wait_t wait;
    uint8_t client_random[RANDOM_BYTES], server_random[RANDOM_BYTES];
    uint8_t key_block[RDG_TLCP_KEY_BLOCK];
    rdg_sm3_stream_t *transcript;
    rdg_hash_t hash; /* of the transcript before the message at hand, where the table asks for it */
    rdg_cert_t *certs[RDG_TLCP_CERTS_MAX];
    size_t cert_count;
    const rdg_cert_t *peer_sign, *peer_enc; /* of certs; verified */
    bool proven;                            /* a signature of peer_sign's key over this handshake verified */
    bool certificate_asked;
    bool resumed;                /* `session` is what both sides mean */
    session_t session;           /* a client offers it, or this handshake resumes it, or comes to be it */
    rdg_sm2_key_t *fresh;        /* our ephemeral key */
    rdg_sm2_public_t peer_fresh; /* a client's: the server's ephemeral key */
    size_t in_len;
    uint8_t in[MESSAGE_HEAD + RDG_TLCP_HANDSHAKE_MAX]; /* the message that is coming */
    rdg_writer_t out;                                  /* writes flight */
    size_t sent, message_left, change_at;              /* change_at: where the new keys start, or NO_CHANGE */
    uint8_t flight[FLIGHT_CAP];
} handshake_t;

struct rdg_tlcp {
    const rdg_tlcp_config_t *config;
    const rdg_random_t *random;
    rdg_tlcp_role_t role;
    int64_t now_s;
    rdg_tlcp_state_t state;
    rdg_err_t err;
    char text[RDG_ERROR_TEXT_MAX];
    rdg_tlcp_alert_t alert_sent, alert_received;
    rdg_tlcp_suite_t suite;
    rdg_cert_t *peer, *peer_enc;
    rdg_cert_t *pinned;         /* the root that the configuration's fingerprint names */
    bool resumed, session_kept; /* session_kept: under session_key in the configuration's sessions */
    session_key_t session_key;
    char server_name[RDG_TLCP_SERVER_NAME_MAX + 1];
    handshake_t *handshake; /* NULL once OPEN and all of it sent */
    rdg_tlcp_protect_t rx, tx;
    unsigned idle_records; /* warnings and empty records since the last that said something */

    /* in[start, end) was received; in it, the application's bytes are [app, app + app_len), and the
     * record that they are of ends at start. */
    size_t in_start, in_end, app, app_len;
    uint8_t in[IN_CAP];
    /* out[start, end) are records to send. Only while there are none, `written` bytes of the application
     * stand where the next record's content will be. */
    size_t out_start, out_end, written;
    uint8_t out[OUT_CAP];
};

/* Ends the connection: keeps err's text, sends the alert unless NONE, gives err back. */
rdg_err_t rdg_tlcp_fail(rdg_tlcp_t *t, rdg_tlcp_alert_t alert, rdg_err_t err);
#define REFUSE(t, alert, ...) rdg_tlcp_fail(t, RDG_TLCP_ALERT_##alert, rdg_fail(__VA_ARGS__))

void rdg_tlcp_records_take(rdg_tlcp_t *t); /* all whole records that can be taken now */
void rdg_tlcp_alert_put(rdg_tlcp_t *t, uint8_t level, rdg_tlcp_alert_t alert);
void rdg_tlcp_flight_pump(rdg_tlcp_t *t); /* handshake messages into records, as room allows */

/* --- config.c --- */
/* INVALID or TOO_LARGE, as rdg_tlcp_new. */
rdg_err_t rdg_tlcp_config_check(const rdg_tlcp_config_t *c, rdg_tlcp_role_t role);
/* What can be spoken, by preference; how many. */
size_t rdg_tlcp_suites_of(const rdg_tlcp_config_t *c, rdg_tlcp_role_t role,
                          rdg_tlcp_suite_t out[RDG_TLCP_SUITES_MAX]);

/* --- resume.c --- */
void rdg_tlcp_session_forget(rdg_tlcp_t *t); /* nobody resumes this connection's session any more */

/* --- handshake.c: the table --- */
rdg_err_t rdg_tlcp_handshake_new(rdg_tlcp_t *t);
void rdg_tlcp_handshake_free(rdg_tlcp_t *t);
rdg_err_t rdg_tlcp_handshake_take(rdg_tlcp_t *t, rdg_bytes_t content);
rdg_err_t rdg_tlcp_change_cipher_take(rdg_tlcp_t *t, rdg_bytes_t content);

#endif
