/* Two engines, their certificates, and a wire between them that tests can bend. */
#ifndef RIDGE_TLCP_TEST_KIT_H
#define RIDGE_TLCP_TEST_KIT_H
#include "ridge/crypto/cert_issue.h"
#include "ridge/test.h"
#include "ridge/tlcp/tlcp.h"

#define NOW 1800000000
#define YEAR (365 * 86400)

typedef struct party {
    rdg_sm2_key_t *sign_key, *enc_key;
    rdg_cert_t *sign, *enc;
} party_t;

typedef struct pki {
    rdg_sm2_key_t *root_key, *ca_key;
    rdg_cert_t *root, *ca;
    const rdg_cert_t *roots[1], *chain[1];
    party_t client, server;
} pki_t;

void pki_make(pki_t *p);
void pki_make_flat(pki_t *p); /* no issuing CA in between */
void pki_free(pki_t *p);
rdg_cert_t *kit_issue(rdg_cert_kind_t kind, const char *name, const rdg_sm2_key_t *subject,
                      const rdg_cert_t *issuer, const rdg_sm2_key_t *issuer_key, int64_t until_s);
void party_make(party_t *p, const char *name, const rdg_cert_t *issuer, const rdg_sm2_key_t *issuer_key);
void party_free(party_t *p);
rdg_tlcp_config_t kit_config(const pki_t *p, const party_t *who);

typedef struct wire {
    uint8_t *data;
    size_t len, size;
} wire_t;

typedef struct pair {
    rdg_tlcp_config_t client_config, server_config;
    rdg_tlcp_t *client, *server;
} pair_t;

void pair_make(pair_t *p, const pki_t *pki); /* configurations only */
void pair_make_flat(pair_t *p, const pki_t *pki);
void pair_suite(pair_t *p, rdg_tlcp_suite_t suite); /* this one alone, on both sides */
void pair_start(pair_t *p);                         /* engines */
void pair_stop(pair_t *p);
/* Moves at most step bytes at a time both ways until nothing moves. */
void pair_run(pair_t *p, size_t step);
void pair_open(const pair_t *p); /* checks that both sides are */
/* All that `from` has to send, appended; what `to` takes of data, false if it did not take all. */
void kit_drain(rdg_tlcp_t *from, wire_t *out);
bool kit_feed(rdg_tlcp_t *to, const uint8_t *data, size_t len, size_t step);
void wire_free(wire_t *w);
/* Of a flight of ours: the body of the message of a type, borrowed; and another body in its place. */
rdg_bytes_t wire_message(const wire_t *w, uint8_t type);
void wire_replace(wire_t *w, uint8_t type, rdg_bytes_t body);
/* Writes all of data as application data, passing records on to `to`, which must read the same. */
void kit_talk(rdg_tlcp_t *from, rdg_tlcp_t *to, size_t len, size_t step);
size_t kit_write(rdg_tlcp_t *t, const void *data, size_t len); /* and flushes */

#endif
