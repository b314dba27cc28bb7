#include "kit.h"

/* Who a server or a client refuses, with which alert and in which words: the certificates below stand where
 * its peer's Certificate message should. */

/* openssl req -x509, P-256 with SHA-256 and RSA-1024 with SHA-256. */
static const uint8_t p256_der[] = {
    0x30, 0x82, 0x01, 0x77, 0x30, 0x82, 0x01, 0x1d, 0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x14, 0x7c, 0xc0,
    0x7e, 0x35, 0xa7, 0xf8, 0x34, 0xbb, 0x6d, 0x88, 0x52, 0xde, 0xc9, 0x25, 0xca, 0xb4, 0x09, 0x21, 0xb4,
    0x27, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02, 0x30, 0x11, 0x31, 0x0f,
    0x30, 0x0d, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x06, 0x73, 0x65, 0x72, 0x76, 0x65, 0x72, 0x30, 0x1e,
    0x17, 0x0d, 0x32, 0x36, 0x31, 0x31, 0x32, 0x31, 0x31, 0x31, 0x35, 0x31, 0x34, 0x39, 0x5a, 0x17, 0x0d,
    0x33, 0x36, 0x31, 0x31, 0x31, 0x38, 0x31, 0x31, 0x35, 0x31, 0x34, 0x39, 0x5a, 0x30, 0x11, 0x31, 0x0f,
    0x30, 0x0d, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x06, 0x73, 0x65, 0x72, 0x76, 0x65, 0x72, 0x30, 0x59,
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0xf1, 0x11, 0x62, 0x98, 0xcc, 0x4c, 0xb5, 0x78, 0x21,
    0xec, 0x8c, 0x21, 0xe7, 0xcd, 0x84, 0xc5, 0x07, 0xbd, 0xca, 0x27, 0x9a, 0xec, 0xea, 0xe7, 0x4c, 0x28,
    0xa4, 0x8a, 0x57, 0xea, 0xe8, 0xca, 0xbb, 0xa6, 0xad, 0xc9, 0x9d, 0x36, 0x9c, 0xe8, 0x9f, 0xf1, 0x74,
    0x59, 0xdc, 0xe0, 0x22, 0x28, 0x41, 0x75, 0x5e, 0x34, 0xd5, 0xe6, 0xad, 0x35, 0x00, 0x1f, 0x3a, 0x55,
    0x40, 0x2d, 0xcb, 0xed, 0xa3, 0x53, 0x30, 0x51, 0x30, 0x1d, 0x06, 0x03, 0x55, 0x1d, 0x0e, 0x04, 0x16,
    0x04, 0x14, 0x14, 0x4e, 0xdb, 0x8e, 0xe2, 0xbe, 0x55, 0xa9, 0x18, 0x23, 0x29, 0x99, 0x6a, 0x7d, 0x1f,
    0x6c, 0x9c, 0xf5, 0xb4, 0xae, 0x30, 0x1f, 0x06, 0x03, 0x55, 0x1d, 0x23, 0x04, 0x18, 0x30, 0x16, 0x80,
    0x14, 0x14, 0x4e, 0xdb, 0x8e, 0xe2, 0xbe, 0x55, 0xa9, 0x18, 0x23, 0x29, 0x99, 0x6a, 0x7d, 0x1f, 0x6c,
    0x9c, 0xf5, 0xb4, 0xae, 0x30, 0x0f, 0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff, 0x04, 0x05, 0x30,
    0x03, 0x01, 0x01, 0xff, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02, 0x03,
    0x48, 0x00, 0x30, 0x45, 0x02, 0x20, 0x18, 0xc4, 0x8c, 0x0e, 0xa7, 0x61, 0xaa, 0x27, 0x4c, 0x85, 0x34,
    0x86, 0x8d, 0xd1, 0x88, 0x92, 0x01, 0xbc, 0x33, 0x49, 0xc8, 0x4a, 0x37, 0x4b, 0x33, 0x4f, 0xe4, 0x8c,
    0x8c, 0xda, 0x96, 0x9a, 0x02, 0x21, 0x00, 0xa7, 0xaf, 0x0d, 0xd6, 0xe3, 0x6e, 0x6c, 0xf1, 0xd1, 0xe0,
    0x39, 0x96, 0x44, 0xb0, 0x44, 0x54, 0x05, 0x4a, 0xac, 0xff, 0xad, 0x10, 0x95, 0xc3, 0xa2, 0xc6, 0x16,
    0xfc, 0x75, 0x94, 0xfa, 0xde};
static const uint8_t rsa_der[] = {
    0x30, 0x82, 0x01, 0xfe, 0x30, 0x82, 0x01, 0x67, 0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x14, 0x23, 0x47,
    0x3a, 0x72, 0xfb, 0xee, 0xd3, 0x9c, 0xd1, 0xed, 0x3d, 0xf1, 0xaa, 0x1a, 0xa3, 0x20, 0x78, 0x55, 0xbf,
    0x39, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00, 0x30,
    0x11, 0x31, 0x0f, 0x30, 0x0d, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x06, 0x73, 0x65, 0x72, 0x76, 0x65,
    0x72, 0x30, 0x1e, 0x17, 0x0d, 0x32, 0x36, 0x31, 0x31, 0x32, 0x31, 0x31, 0x31, 0x35, 0x31, 0x34, 0x39,
    0x5a, 0x17, 0x0d, 0x33, 0x36, 0x31, 0x31, 0x31, 0x38, 0x31, 0x31, 0x35, 0x31, 0x34, 0x39, 0x5a, 0x30,
    0x11, 0x31, 0x0f, 0x30, 0x0d, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x06, 0x73, 0x65, 0x72, 0x76, 0x65,
    0x72, 0x30, 0x81, 0x9f, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    0x05, 0x00, 0x03, 0x81, 0x8d, 0x00, 0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0x00, 0xd8, 0x2f, 0x86, 0xc9,
    0xad, 0xcd, 0x7e, 0x4a, 0x94, 0xae, 0x54, 0x41, 0xb9, 0x1e, 0x28, 0xc6, 0xab, 0xc0, 0x66, 0xe4, 0x52,
    0x17, 0x34, 0x97, 0x80, 0x5e, 0x45, 0x91, 0x5b, 0xea, 0x68, 0xea, 0x03, 0x1e, 0x6d, 0x45, 0x10, 0x89,
    0xc5, 0xe6, 0xd0, 0xb7, 0x3c, 0x50, 0x3d, 0xc1, 0x94, 0x70, 0x21, 0x95, 0xab, 0x05, 0xf0, 0xc4, 0x4a,
    0xe4, 0x53, 0xdd, 0x9e, 0xf8, 0xd6, 0xb9, 0x63, 0x56, 0x0e, 0x78, 0x75, 0xec, 0x7c, 0x24, 0xc0, 0xe9,
    0x3c, 0x17, 0x00, 0x91, 0xb6, 0x74, 0xae, 0xcf, 0xfa, 0xf7, 0x0a, 0xcf, 0x29, 0x86, 0x53, 0xa1, 0xb7,
    0x31, 0x63, 0xa3, 0x7d, 0x95, 0xed, 0x0a, 0x33, 0x55, 0x84, 0x1c, 0xfa, 0x23, 0xe7, 0x9b, 0x54, 0xa0,
    0xe0, 0x66, 0x49, 0x87, 0xe0, 0xe3, 0x27, 0x8b, 0x00, 0xed, 0x56, 0xff, 0xcc, 0x62, 0x45, 0x8c, 0x3f,
    0xd7, 0x31, 0xf4, 0x72, 0xe3, 0x02, 0x03, 0x01, 0x00, 0x01, 0xa3, 0x53, 0x30, 0x51, 0x30, 0x1d, 0x06,
    0x03, 0x55, 0x1d, 0x0e, 0x04, 0x16, 0x04, 0x14, 0x48, 0xee, 0xbb, 0x1f, 0x6c, 0x4a, 0xf7, 0x62, 0x7a,
    0x4e, 0x7f, 0x28, 0xed, 0x44, 0x10, 0xd5, 0x10, 0x8e, 0x3a, 0x89, 0x30, 0x1f, 0x06, 0x03, 0x55, 0x1d,
    0x23, 0x04, 0x18, 0x30, 0x16, 0x80, 0x14, 0x48, 0xee, 0xbb, 0x1f, 0x6c, 0x4a, 0xf7, 0x62, 0x7a, 0x4e,
    0x7f, 0x28, 0xed, 0x44, 0x10, 0xd5, 0x10, 0x8e, 0x3a, 0x89, 0x30, 0x0f, 0x06, 0x03, 0x55, 0x1d, 0x13,
    0x01, 0x01, 0xff, 0x04, 0x05, 0x30, 0x03, 0x01, 0x01, 0xff, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48,
    0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00, 0x03, 0x81, 0x81, 0x00, 0xc0, 0x6e, 0x56, 0x9a, 0x96,
    0xf3, 0x22, 0x7a, 0x59, 0x87, 0x1f, 0xc5, 0x57, 0x09, 0x0e, 0x5e, 0xee, 0x03, 0xe9, 0xf1, 0x21, 0xb9,
    0xbf, 0xf3, 0x55, 0x51, 0x0b, 0x4c, 0x62, 0x58, 0x41, 0x71, 0x15, 0xf3, 0x49, 0x26, 0x16, 0xe4, 0xe6,
    0xfe, 0x96, 0xc3, 0x7c, 0x61, 0xbb, 0x15, 0x34, 0x55, 0xae, 0xe3, 0x5e, 0x91, 0xfd, 0xd5, 0x13, 0x9d,
    0xf3, 0xfd, 0x62, 0x43, 0x62, 0xbb, 0xd9, 0x56, 0x2c, 0xf1, 0x75, 0xcb, 0x81, 0x20, 0xca, 0x69, 0x1f,
    0xcb, 0x51, 0x46, 0xe9, 0x29, 0xa7, 0x10, 0xa9, 0x09, 0x4b, 0xcc, 0x34, 0x3d, 0x71, 0x96, 0x23, 0xf9,
    0xd8, 0xab, 0x11, 0xfe, 0x51, 0xe9, 0x11, 0x09, 0xab, 0x1c, 0x4b, 0x3e, 0x08, 0x38, 0xf3, 0x09, 0x16,
    0x21, 0x2d, 0x12, 0x1b, 0xab, 0x3e, 0x23, 0x42, 0x14, 0x70, 0x61, 0x4c, 0x71, 0x16, 0xa1, 0x99, 0x1b,
    0x2c, 0x93, 0xce, 0xab};

typedef struct scene {
    pki_t pki, foreign;
    const party_t *peer; /* of the pki: whose Certificate message is replaced */
    rdg_cert_t *made[4]; /* freed with the scene */
    rdg_bytes_t list[RDG_TLCP_CERTS_MAX + 1];
    size_t count;
    const char *peer_name;
    rdg_err_t welcome;
} scene_t;

typedef void arrange_t(scene_t *s);

static void put(scene_t *s, const rdg_cert_t *cert) {
    s->list[s->count++] = rdg_cert_der(cert);
}

static rdg_cert_t *made(scene_t *s, int at, rdg_cert_kind_t kind, const rdg_sm2_key_t *key, const char *name,
                        int64_t from_s, int64_t until_s) {
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    rdg_cert_order_t order = {kind, name, &pub, s->pki.ca, s->pki.ca_key, from_s, until_s};
    CHECK_OK(rdg_cert_issue(&order, &s->made[at]));
    return s->made[at];
}

static void as_it_should_be(scene_t *s) {
    put(s, s->peer->sign), put(s, s->peer->enc), put(s, s->pki.ca);
}

static void expired_sign(scene_t *s) {
    put(s, made(s, 0, RDG_CERT_KIND_SIGN, s->peer->sign_key, "x", NOW - YEAR, NOW - 1));
    put(s, s->peer->enc), put(s, s->pki.ca);
}

static void expired_enc(scene_t *s) {
    put(s, s->peer->sign);
    put(s, made(s, 0, RDG_CERT_KIND_ENCRYPT, s->peer->enc_key, "x", NOW - YEAR, NOW - 1));
    put(s, s->pki.ca);
}

static void future_sign(scene_t *s) {
    put(s, made(s, 0, RDG_CERT_KIND_SIGN, s->peer->sign_key, "x", NOW + 60, NOW + YEAR));
    put(s, s->peer->enc), put(s, s->pki.ca);
}

static void future_enc(scene_t *s) {
    put(s, s->peer->sign);
    put(s, made(s, 0, RDG_CERT_KIND_ENCRYPT, s->peer->enc_key, "x", NOW + 60, NOW + YEAR));
    put(s, s->pki.ca);
}

static void swapped(scene_t *s) {
    put(s, s->peer->enc), put(s, s->peer->sign), put(s, s->pki.ca);
}

static void two_sign(scene_t *s) {
    put(s, s->peer->sign), put(s, s->peer->sign), put(s, s->pki.ca);
}

static void ca_as_leaf(scene_t *s) {
    put(s, s->pki.ca), put(s, s->peer->enc), put(s, s->pki.ca);
}

static void without_issuer(scene_t *s) {
    put(s, s->peer->sign), put(s, s->peer->enc);
}

static void foreign_issuer(scene_t *s) {
    const party_t *other = s->peer == &s->pki.server ? &s->foreign.server : &s->foreign.client;
    put(s, other->sign), put(s, other->enc), put(s, s->foreign.ca);
}

static void foreign_with_root(scene_t *s) {
    foreign_issuer(s);
    put(s, s->foreign.root);
}

/* The same name and key for subject and issuer. */
static void self_signed(scene_t *s) {
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(s->peer->sign_key, &pub);
    rdg_cert_order_t root = {RDG_CERT_KIND_ROOT, "x", &pub, NULL, s->peer->sign_key, NOW - 1, NOW + YEAR};
    CHECK_OK(rdg_cert_issue(&root, &s->made[0]));
    rdg_cert_order_t leaf = {RDG_CERT_KIND_SIGN, "x",     &pub,      s->made[0],
                             s->peer->sign_key,  NOW - 1, NOW + YEAR};
    CHECK_OK(rdg_cert_issue(&leaf, &s->made[1]));
    put(s, s->made[1]), put(s, s->peer->enc), put(s, s->pki.ca);
}

/* Signed by somebody who only bears the CA's name. */
static void forged_signature(scene_t *s) {
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(s->peer->sign_key, &pub);
    rdg_cert_order_t ca = {RDG_CERT_KIND_CA,    "ca",    &pub,   s->foreign.root,
                           s->foreign.root_key, NOW - 1, NOW + 9};
    CHECK_OK(rdg_cert_issue(&ca, &s->made[0]));
    rdg_cert_order_t leaf = {RDG_CERT_KIND_SIGN, "x", &pub, s->made[0], s->peer->sign_key, NOW - 1, NOW + 9};
    CHECK_OK(rdg_cert_issue(&leaf, &s->made[1]));
    put(s, s->made[1]), put(s, s->peer->enc), put(s, s->pki.ca), put(s, s->made[0]);
}

static void p256_sign(scene_t *s) {
    s->list[s->count++] = rdg_bytes(p256_der, sizeof p256_der);
    put(s, s->peer->enc), put(s, s->pki.ca);
}

static void rsa_enc(scene_t *s) {
    put(s, s->peer->sign);
    s->list[s->count++] = rdg_bytes(rsa_der, sizeof rsa_der);
    put(s, s->pki.ca);
}

static void rsa_ca(scene_t *s) {
    put(s, s->peer->sign), put(s, s->peer->enc);
    s->list[s->count++] = rdg_bytes(rsa_der, sizeof rsa_der);
}

static void another_name(scene_t *s) {
    as_it_should_be(s);
    s->peer_name = "another";
}

static void revoked(scene_t *s) {
    as_it_should_be(s);
    s->welcome = RDG_E_FORBIDDEN;
}

static void unknown_peer(scene_t *s) {
    as_it_should_be(s);
    s->welcome = RDG_E_NOT_FOUND;
}

static void too_many(scene_t *s) {
    as_it_should_be(s);
    while (s->count <= RDG_TLCP_CERTS_MAX) put(s, s->pki.ca);
}

static const struct refusal {
    arrange_t *arrange;
    const char *alert;
    rdg_err_t code;
    const char *words;
} refusals[] = {
    {expired_sign, "certificate_expired", RDG_E_EXPIRED, "certificate 'x': certificate has expired"},
    {expired_enc, "certificate_expired", RDG_E_EXPIRED, "certificate 'x': certificate has expired"},
    {future_sign, "certificate_expired", RDG_E_EXPIRED, "certificate 'x': certificate is not yet valid"},
    {future_enc, "certificate_expired", RDG_E_EXPIRED, "certificate 'x': certificate is not yet valid"},
    {swapped, "unsupported_certificate", RDG_E_UNAUTHENTICATED, "its key usage does not allow signing"},
    {two_sign, "unsupported_certificate", RDG_E_UNAUTHENTICATED, "its key usage does not allow encryption"},
    {ca_as_leaf, "unsupported_certificate", RDG_E_UNAUTHENTICATED,
     "'ca': its key usage does not allow signing"},
    {without_issuer, "unknown_ca", RDG_E_UNAUTHENTICATED, "unable to get local issuer certificate"},
    {foreign_issuer, "unknown_ca", RDG_E_UNAUTHENTICATED, "unable to get local issuer certificate"},
    {foreign_with_root, "unknown_ca", RDG_E_UNAUTHENTICATED, "self-signed certificate in certificate chain"},
    {self_signed, "unknown_ca", RDG_E_UNAUTHENTICATED, "certificate 'x': self-signed certificate"},
    {forged_signature, "unknown_ca", RDG_E_UNAUTHENTICATED, "unable to get local issuer certificate"},
    {p256_sign, "unsupported_certificate", RDG_E_UNAUTHENTICATED, "not of an SM2 key signed by SM2 with SM3"},
    {rsa_enc, "unsupported_certificate", RDG_E_UNAUTHENTICATED, "not of an SM2 key signed by SM2 with SM3"},
    {rsa_ca, "unsupported_certificate", RDG_E_UNAUTHENTICATED, "not of an SM2 key signed by SM2 with SM3"},
    {another_name, "certificate_unknown", RDG_E_UNAUTHENTICATED,
     "the peer's certificate is not that of 'another'"},
    {revoked, "certificate_revoked", RDG_E_UNAUTHENTICATED, "the peer is not welcome: revoked in March"},
    {unknown_peer, "access_denied", RDG_E_UNAUTHENTICATED, "the peer is not welcome: no such peer"},
    {too_many, "bad_certificate", RDG_E_PROTOCOL, "more than 8 certificates"},
};

static rdg_err_t welcome(void *ctx, const rdg_cert_t *cert, const rdg_cert_t *enc) {
    const scene_t *s = ctx;
    (void)enc;
    CHECK(cert != NULL);
    if (s->welcome == RDG_E_FORBIDDEN) return rdg_fail(RDG_E_FORBIDDEN, "revoked in March");
    return s->welcome == RDG_OK ? RDG_OK : rdg_fail(s->welcome, "no such peer");
}

static void message_of(scene_t *s, uint8_t *out, size_t size, size_t *len) {
    rdg_writer_t w;
    size_t total = 0;
    for (size_t i = 0; i < s->count; i++) total += 3 + s->list[i].len;
    rdg_writer_init(&w, out, size);
    rdg_write_u24(&w, (uint32_t)total);
    for (size_t i = 0; i < s->count; i++) {
        rdg_write_u24(&w, (uint32_t)s->list[i].len);
        rdg_write_bytes(&w, s->list[i].data, s->list[i].len);
    }
    CHECK(rdg_writer_ok(&w));
    *len = rdg_writer_len(&w);
}

/* The handshake up to the flight that carries the Certificate of `to`'s peer, with it replaced. */
static void present(pair_t *p, bool by_server, rdg_bytes_t message) {
    for (int turn = 0; turn < (by_server ? 2 : 3); turn++) {
        wire_t flight = {0};
        kit_drain(turn % 2 ? p->server : p->client, &flight);
        if (turn == (by_server ? 1 : 2)) wire_replace(&flight, 11, message);
        kit_feed(turn % 2 ? p->client : p->server, flight.data, flight.len, 100000);
        wire_free(&flight);
    }
}

static void refuse_all(bool by_client) {
    static uint8_t message[32768];
    scene_t s;
    memset(&s, 0, sizeof s);
    pki_make(&s.pki), pki_make(&s.foreign);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *r = &refusals[i];
        pair_t p;
        size_t len;
        s.peer = by_client ? &s.pki.server : &s.pki.client;
        s.count = 0, s.peer_name = NULL, s.welcome = RDG_OK;
        r->arrange(&s);
        message_of(&s, message, sizeof message, &len);
        pair_make(&p, &s.pki);
        rdg_tlcp_config_t *c = by_client ? &p.client_config : &p.server_config;
        c->peer_name = s.peer_name, c->accept_peer = welcome, c->accept_ctx = &s;
        pair_start(&p);
        present(&p, by_client, rdg_bytes(message, len));
        rdg_tlcp_t *refuser = by_client ? p.client : p.server;
        CHECK_EQ(rdg_tlcp_state(refuser), RDG_TLCP_FAILED);
        CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(refuser)), r->alert);
        CHECK_ERR(rdg_tlcp_error(refuser), r->code);
        if (!strstr(rdg_tlcp_error_text(refuser), r->words))
            CHECK_STR(rdg_tlcp_error_text(refuser), r->words);
        CHECK(!rdg_tlcp_peer(refuser));
        pair_stop(&p);
        for (size_t m = 0; m < 4; m++) rdg_cert_free(s.made[m]), s.made[m] = NULL;
    }
    pki_free(&s.pki), pki_free(&s.foreign);
}

TEST(tlcp_client_says_why_it_refuses_a_server) {
    refuse_all(true);
}
TEST(tlcp_server_says_why_it_refuses_a_client) {
    refuse_all(false);
}

/* Each message cut at each byte, its lengths as if it were whole there: nothing but its own form can tell. */
static void cut_all(uint8_t type, bool by_server, size_t step, rdg_tlcp_suite_t suite) {
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    pair_suite(&p, suite);
    int turn_of = type == 1 ? 0 : by_server ? 1 : 2;
    size_t whole = 1;
    for (size_t at = 0; at < whole; at += step) {
        pair_start(&p);
        for (int turn = 0; turn <= turn_of; turn++) {
            wire_t flight = {0};
            kit_drain(turn % 2 ? p.server : p.client, &flight);
            if (turn == turn_of) {
                rdg_bytes_t body = wire_message(&flight, type);
                whole = body.len;
                uint8_t *copy = rdg_memdup(body.data, body.len);
                /* The DER of a signature is a byte or two longer or shorter each time. */
                CHECK(copy != NULL);
                wire_replace(&flight, type, rdg_bytes(copy, at < whole ? at : whole - 1));
                rdg_free(copy);
            }
            kit_feed(turn % 2 ? p.client : p.server, flight.data, flight.len, 100000);
            wire_free(&flight);
        }
        rdg_tlcp_t *refuser = turn_of == 1 ? p.client : p.server;
        CHECK_EQ(rdg_tlcp_state(refuser), RDG_TLCP_FAILED);
        CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(refuser)), "decode_error");
        CHECK_ERR(rdg_tlcp_error(refuser), RDG_E_PROTOCOL);
        CHECK(strstr(rdg_tlcp_error_text(refuser), "TLCP: ") == rdg_tlcp_error_text(refuser));
        pair_stop(&p);
    }
    CHECK(whole > 8);
    pki_free(&pki);
}

TEST(tlcp_refuses_a_client_hello_cut_anywhere) {
    cut_all(1, false, 1, RDG_TLCP_ECC_SM4_GCM_SM3);
}
TEST(tlcp_refuses_a_server_hello_cut_anywhere) {
    cut_all(2, true, 1, RDG_TLCP_ECC_SM4_GCM_SM3);
}
TEST(tlcp_refuses_certificates_cut_anywhere) {
    cut_all(11, true, 7, RDG_TLCP_ECC_SM4_GCM_SM3);
    cut_all(11, false, 11, RDG_TLCP_ECC_SM4_GCM_SM3);
}
TEST(tlcp_refuses_a_server_key_cut_anywhere) {
    cut_all(12, true, 1, RDG_TLCP_ECC_SM4_GCM_SM3);
    cut_all(12, true, 3, RDG_TLCP_ECDHE_SM4_GCM_SM3);
}
TEST(tlcp_refuses_a_request_cut_anywhere) {
    cut_all(13, true, 1, RDG_TLCP_ECC_SM4_GCM_SM3);
}
TEST(tlcp_refuses_a_client_key_cut_anywhere) {
    cut_all(16, false, 2, RDG_TLCP_ECC_SM4_GCM_SM3);
    cut_all(16, false, 3, RDG_TLCP_ECDHE_SM4_GCM_SM3);
}
TEST(tlcp_refuses_a_certificate_verify_cut_anywhere) {
    cut_all(15, false, 2, RDG_TLCP_ECC_SM4_GCM_SM3);
}

TEST(tlcp_refuses_oversized_messages_and_records_in_words) {
    static const struct {
        const char *bytes;
        size_t len;
        const char *alert, *words;
    } rows[] = {
        {"\x16\x01\x01\x00\x04\x01\x00\x40\x01", 9, "handshake_failure",
         "a handshake message of 16385 bytes"},
        {"\x16\x01\x01\x00\x04\x01\xff\xff\xff", 9, "handshake_failure",
         "a handshake message of 16777215 bytes"},
        {"\x16\x01\x01\x40\x01", 5, "record_overflow", "a record of 16385 bytes"},
        {"\x16\x01\x01\xff\xff", 5, "record_overflow", "a record of 65535 bytes"},
    };
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pair_start(&p);
        kit_feed(p.server, (const uint8_t *)rows[i].bytes, rows[i].len, 1000);
        CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(p.server)), rows[i].alert);
        if (!strstr(rdg_tlcp_error_text(p.server), rows[i].words))
            CHECK_STR(rdg_tlcp_error_text(p.server), rows[i].words);
        pair_stop(&p);
    }
    pki_free(&pki);
}
