/* Certificates and configurations of a client and a server, made once for each run of a fuzz target. */
#ifndef RIDGE_TLCP_FUZZ_PEERS_H
#define RIDGE_TLCP_FUZZ_PEERS_H
#include <stdlib.h>
#include <string.h>

#include "ridge/crypto/cert_issue.h"
#include "ridge/tlcp/sessions.h"
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

/* Two engines as a byte says: bits 2 and 3 the suite, bit 4 whether they resume a session, bit 5 whether the
 * server asks for no certificate. Bits 0 and 1 are the target's. */
typedef struct scene {
    rdg_tlcp_config_t config[2];
    rdg_tlcp_sessions_t *sessions[2];
    rdg_tlcp_t *engine[2]; /* client, server */
} scene_t;

#define SCENE_FLIGHT_MAX 40000

static inline size_t scene_drain(rdg_tlcp_t *t, uint8_t out[SCENE_FLIGHT_MAX]) {
    size_t len = 0;
    for (rdg_bytes_t view; (view = rdg_tlcp_send_view(t)).len > 0; rdg_tlcp_send_done(t, view.len)) {
        if (len + view.len > SCENE_FLIGHT_MAX) abort();
        memcpy(out + len, view.data, view.len);
        len += view.len;
    }
    return len;
}

static inline void scene_start(scene_t *s) {
    for (int role = 0; role < 2; role++)
        if (rdg_tlcp_new(&s->config[role], (rdg_tlcp_role_t)role, NOW, rdg_random_system(),
                         &s->engine[role]) != RDG_OK)
            abort();
}

static inline void scene_stop(scene_t *s) {
    for (int role = 0; role < 2; role++) rdg_tlcp_free(s->engine[role]);
}

static inline void scene_make(scene_t *s, uint8_t byte) {
    static const rdg_tlcp_suite_t suites[] = {RDG_TLCP_ECC_SM4_GCM_SM3, RDG_TLCP_ECC_SM4_CBC_SM3,
                                              RDG_TLCP_ECDHE_SM4_GCM_SM3, RDG_TLCP_ECDHE_SM4_CBC_SM3};
    static uint8_t flight[SCENE_FLIGHT_MAX];
    bool resumes = byte & 16, nobody = (byte & 32) && !(byte & 8);
    memset(s, 0, sizeof *s);
    s->config[0] = peers()->client, s->config[1] = peers()->server;
    if (nobody) s->config[1].client_auth = RDG_TLCP_CLIENT_NONE;
    for (int role = 0; role < 2; role++) {
        s->config[role].suites[0] = suites[byte >> 2 & 3];
        s->config[role].suite_count = 1;
        if (resumes && rdg_tlcp_sessions_new(2, 60, &s->sessions[role]) != RDG_OK) abort();
        s->config[role].sessions = s->sessions[role];
    }
    scene_start(s);
    if (!resumes) return;
    for (int turn = 0; turn < 4; turn++) {
        size_t len = scene_drain(s->engine[turn % 2], flight);
        if (!peers_feed(s->engine[1 - turn % 2], flight, len)) abort();
    }
    if (rdg_tlcp_state(s->engine[0]) != RDG_TLCP_OPEN) abort();
    scene_stop(s);
    scene_start(s);
}

static inline void scene_free(scene_t *s) {
    scene_stop(s);
    for (int role = 0; role < 2; role++) rdg_tlcp_sessions_free(s->sessions[role]);
}

#endif
