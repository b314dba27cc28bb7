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
void rdg_tlcp_certificates_put(rdg_tlcp_t *t, bool none);
/* A 2-byte length and the DER of the signature by our sign key. */
rdg_err_t rdg_tlcp_signature_put(rdg_tlcp_t *t, const void *msg, size_t len);
rdg_err_t rdg_tlcp_signature_check(rdg_tlcp_t *t, rdg_bytes_t body, const void *msg, size_t len);
/* Parses and verifies a Certificate message with at least one certificate; tells the two apart. */
rdg_err_t rdg_tlcp_certificates_take(rdg_tlcp_t *t, rdg_bytes_t body);
/* What the server signs: both randoms, a 3-byte length and the encryption certificate. */
size_t rdg_tlcp_key_statement(const handshake_t *h, const rdg_cert_t *enc_cert,
                              uint8_t out[2 * RANDOM_BYTES + 3 + RDG_CERT_DER_MAX]);
/* Master secret and key block; wipes the pre-master secret. */
void rdg_tlcp_keys_make(rdg_tlcp_t *t, uint8_t pre_master[SECRET_BYTES]);
/* Marks the change of keys and writes our Finished behind it. */
rdg_err_t rdg_tlcp_finished_put(rdg_tlcp_t *t);

#endif
