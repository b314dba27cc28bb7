/* Certificates and configurations of a client and a server, made once for each run of a fuzz target. */
#ifndef RIDGE_TLCP_FUZZ_PEERS_H
#define RIDGE_TLCP_FUZZ_PEERS_H
#include <stdlib.h>
#include <string.h>

#include "ridge/crypto/cert_issue.h"
#include "ridge/tlcp/tlcp.h"

#define NOW 1800000000

typedef struct peers {
    rdg_cert_t *root;
    const rdg_cert_t *roots[1];
    rdg_tlcp_config_t client, server;
} peers_t;

static inline rdg_cert_t *peers_issue(rdg_cert_kind_t kind, const rdg_sm2_key_t *subject,
                                      const rdg_cert_t *issuer, const rdg_sm2_key_t *issuer_key) {
    rdg_sm2_public_t pub;
    rdg_cert_t *cert = NULL;
    rdg_sm2_key_public(subject, &pub);
    rdg_cert_order_t order = {kind, "peer", &pub, issuer, issuer_key, NOW - 1000, NOW + 1000};
    if (rdg_cert_issue(&order, &cert) != RDG_OK) abort();
    return cert;
}

/* Fixed scalars: what a corpus holds stays meaningful from run to run. */
static inline rdg_sm2_key_t *peers_key(uint8_t number) {
    uint8_t scalar[32];
    rdg_sm2_key_t *key = NULL;
    memset(scalar, number, sizeof scalar);
    if (rdg_sm2_key_from_scalar(scalar, &key) != RDG_OK) abort();
    return key;
}

static inline rdg_tlcp_config_t peers_config(const peers_t *p, uint8_t number,
                                             const rdg_sm2_key_t *root_key) {
    rdg_sm2_key_t *sign = peers_key(number), *enc = peers_key((uint8_t)(number + 1));
    rdg_tlcp_config_t c = {.sign_key = sign,
                           .enc_key = enc,
                           .sign_cert = peers_issue(RDG_CERT_KIND_SIGN, sign, p->root, root_key),
                           .enc_cert = peers_issue(RDG_CERT_KIND_ENCRYPT, enc, p->root, root_key),
                           .roots = p->roots,
                           .root_count = 1};
    return c;
}

static inline const peers_t *peers(void) {
    static peers_t p;
    if (p.root) return &p;
    rdg_sm2_key_t *root_key = peers_key(1);
    p.root = peers_issue(RDG_CERT_KIND_ROOT, root_key, NULL, root_key);
    p.roots[0] = p.root;
    p.client = peers_config(&p, 2, root_key);
    p.server = peers_config(&p, 4, root_key);
    rdg_sm2_key_free(root_key);
    return &p;
}

/* False if it would not take all. Read data is thrown away. */
static inline bool peers_feed(rdg_tlcp_t *t, const uint8_t *data, size_t len) {
    while (len > 0) {
        rdg_tlcp_room_t room = rdg_tlcp_receive_room(t);
        size_t n = room.len < len ? room.len : len;
        if (n == 0) return false;
        memcpy(room.data, data, n);
        rdg_tlcp_receive_done(t, n);
        data += n, len -= n;
        for (rdg_bytes_t view; (view = rdg_tlcp_read_view(t)).len > 0;) rdg_tlcp_read_done(t, view.len);
    }
    return true;
}

#endif
