/* Messages of the handshake: their handlers (one per row of the table in handshake.c) and what the
 * handlers of both roles share (handshake_parts.c). A handler reads the body of one whole message, may
 * write a flight, and gives what to wait for next; the table says what it may give. */
#ifndef RIDGE_TLCP_SRC_HANDSHAKE_H
#define RIDGE_TLCP_SRC_HANDSHAKE_H
#include "engine.h"

#define MESSAGE_CLIENT_HELLO 1
#define MESSAGE_SERVER_HELLO 2
#define MESSAGE_CERTIFICATE 11
#define MESSAGE_SERVER_KEY_EXCHANGE 12
#define MESSAGE_CERTIFICATE_REQUEST 13
#define MESSAGE_SERVER_HELLO_DONE 14
#define MESSAGE_CERTIFICATE_VERIFY 15
#define MESSAGE_CLIENT_KEY_EXCHANGE 16
#define MESSAGE_FINISHED 20
#define MESSAGE_CHANGE_CIPHER 0x100 /* not a message, but a row of the table */

#define CERTIFICATE_TYPE_RSA 1
#define CERTIFICATE_TYPE_ECDSA 64
#define EXTENSION_SERVER_NAME 0
#define SERVER_NAME_HOST 0

typedef rdg_err_t handler_t(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next);

handler_t rdg_tlcp_on_client_hello, rdg_tlcp_on_client_certificate, rdg_tlcp_on_client_key,
    rdg_tlcp_on_certificate_verify;
handler_t rdg_tlcp_on_server_hello, rdg_tlcp_on_server_certificate, rdg_tlcp_on_server_key,
    rdg_tlcp_on_certificate_request, rdg_tlcp_on_hello_done;
handler_t rdg_tlcp_on_change_cipher, rdg_tlcp_on_finished;

rdg_err_t rdg_tlcp_client_hello_put(rdg_tlcp_t *t);

/* A message of the flight: begin, write to handshake->out, end (which adds it to the transcript). */
size_t rdg_tlcp_message_begin(handshake_t *h, uint8_t type);
void rdg_tlcp_message_end(handshake_t *h, size_t begun);
/* A 2-byte length and the DER of the signature by our sign key. */
rdg_err_t rdg_tlcp_signature_put(rdg_tlcp_t *t, const void *msg, size_t len);
rdg_err_t rdg_tlcp_signature_check(rdg_tlcp_t *t, rdg_bytes_t body, const void *msg, size_t len);
/* Master secret and key block; wipes the pre-master secret. */
void rdg_tlcp_master_make(rdg_tlcp_t *t, uint8_t pre_master[SECRET_BYTES]);
/* The key block alone, from the session's master secret and the randoms. */
void rdg_tlcp_keys_make(rdg_tlcp_t *t);
/* Marks the change of keys and writes our Finished behind it. */
rdg_err_t rdg_tlcp_finished_put(rdg_tlcp_t *t);

/* --- certificates.c --- */
void rdg_tlcp_certificates_put(rdg_tlcp_t *t, bool none);
/* Parses and verifies a Certificate message with at least one certificate; tells the two apart. */
rdg_err_t rdg_tlcp_certificates_take(rdg_tlcp_t *t, rdg_bytes_t body);
rdg_err_t rdg_tlcp_peer_welcome(const rdg_tlcp_config_t *c, const rdg_cert_t *sign_cert,
                                const rdg_cert_t *enc_cert);

/* --- key_exchange.c: what the suites differ in --- */
/* ServerKeyExchange: a signature over both randoms and what the suite adds. */
rdg_err_t rdg_tlcp_server_key_put(rdg_tlcp_t *t);
rdg_err_t rdg_tlcp_server_key_take(rdg_tlcp_t *t, rdg_bytes_t body);
/* ClientKeyExchange; makes the keys. */
rdg_err_t rdg_tlcp_client_key_put(rdg_tlcp_t *t);
rdg_err_t rdg_tlcp_client_key_take(rdg_tlcp_t *t, rdg_bytes_t body);

/* --- resume.c --- */
/* A client: takes the session that it may offer into handshake->session; false if there is none. */
bool rdg_tlcp_session_offer(rdg_tlcp_t *t);
/* A server: whether the client's session can go on; offered are the suites of its hello. If not, a whole
 * handshake follows, under an id of its own if sessions are kept. */
bool rdg_tlcp_session_find(rdg_tlcp_t *t, rdg_bytes_t id, rdg_bytes_t offered);
/* No session goes on: what there was is wiped, and a new one begins under the same binding. */
void rdg_tlcp_session_anew(handshake_t *h);
/* A whole handshake is over: its session may be resumed from now on. */
void rdg_tlcp_session_keep(rdg_tlcp_t *t);

#endif
