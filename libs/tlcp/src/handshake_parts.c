#include <string.h>

#include "handshake.h"
#include "prf.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/crypto/sm2_cipher.h"

size_t rdg_tlcp_message_begin(handshake_t *h, uint8_t type) {
    size_t begun = rdg_writer_len(&h->out);
    rdg_write_u8(&h->out, type);
    rdg_write_u24(&h->out, 0);
    return begun;
}

void rdg_tlcp_message_end(handshake_t *h, size_t begun) {
    /* rdg_tlcp_new measured what we send; a flight that does not fit is our mistake. */
    RDG_ASSERT(rdg_writer_ok(&h->out));
    size_t len = rdg_writer_len(&h->out) - begun;
    uint8_t *head = h->flight + begun;
    rdg_store_be32(head, (uint32_t)head[0] << 24 | (uint32_t)(len - MESSAGE_HEAD));
    rdg_sm3_stream_update(h->transcript, head, len);
}

static void certificate_put(rdg_writer_t *w, const rdg_cert_t *cert) {
    rdg_bytes_t der = rdg_cert_der(cert);
    rdg_write_u24(w, (uint32_t)der.len);
    rdg_write_bytes(w, der.data, der.len);
}

void rdg_tlcp_certificates_put(rdg_tlcp_t *t, bool none) {
    const rdg_tlcp_config_t *c = t->config;
    handshake_t *h = t->handshake;
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_CERTIFICATE), list = rdg_writer_len(&h->out);
    rdg_write_u24(&h->out, 0);
    if (!none) {
        certificate_put(&h->out, c->sign_cert);
        if (c->order == RDG_TLCP_SIGN_ENC_CHAIN) certificate_put(&h->out, c->enc_cert);
        for (size_t i = 0; i < c->chain_count; i++) certificate_put(&h->out, c->chain[i]);
        if (c->order == RDG_TLCP_SIGN_CHAIN_ENC) certificate_put(&h->out, c->enc_cert);
    }
    rdg_writer_t size;
    rdg_writer_init(&size, h->flight + list, 3);
    rdg_write_u24(&size, (uint32_t)(rdg_writer_len(&h->out) - list - 3));
    rdg_tlcp_message_end(h, begun);
}

rdg_err_t rdg_tlcp_signature_put(rdg_tlcp_t *t, const void *msg, size_t len) {
    rdg_sm2_signature_t sig;
    uint8_t der[RDG_SM2_DER_MAX];
    RDG_TRY(rdg_sm2_sign_standard(t->config->sign_key, msg, len, &sig));
    size_t der_len = rdg_sm2_signature_to_der(&sig, der);
    rdg_write_u16(&t->handshake->out, (uint16_t)der_len);
    rdg_write_bytes(&t->handshake->out, der, der_len);
    return RDG_OK;
}

rdg_err_t rdg_tlcp_signature_check(rdg_tlcp_t *t, rdg_bytes_t body, const void *msg, size_t len) {
    rdg_reader_t r;
    rdg_sm2_signature_t sig;
    rdg_reader_init(&r, body);
    rdg_bytes_t der = rdg_read_bytes(&r, rdg_read_u16(&r));
    if (!rdg_reader_done(&r) || rdg_sm2_signature_from_der(der, &sig) != RDG_OK)
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: a signature's message cannot be read");
    if (rdg_sm2_verify_standard(rdg_cert_public(t->handshake->peer_sign), msg, len, &sig) != RDG_OK)
        return REFUSE(t, decrypt_error, RDG_E_UNAUTHENTICATED, "TLCP: the peer's signature does not verify");
    return RDG_OK;
}

static rdg_tlcp_alert_t alert_of(rdg_err_t err) {
    switch (err) {
    case RDG_E_EXPIRED: return RDG_TLCP_ALERT_certificate_expired;
    case RDG_E_NOT_FOUND: return RDG_TLCP_ALERT_unknown_ca;
    case RDG_E_FORBIDDEN:
    case RDG_E_UNSUPPORTED: return RDG_TLCP_ALERT_unsupported_certificate;
    case RDG_E_NO_MEMORY: return RDG_TLCP_ALERT_internal_error;
    default: return RDG_TLCP_ALERT_bad_certificate;
    }
}

static rdg_err_t refuse_certificate(rdg_tlcp_t *t, rdg_err_t err) {
    bool own = err == RDG_E_EXPIRED || err == RDG_E_NO_MEMORY; /* codes that a caller acts on as they are */
    rdg_tlcp_alert_t alert = alert_of(err);
    if (!own) err = rdg_fail(RDG_E_UNAUTHENTICATED, "TLCP: %s", rdg_err_message(err));
    return rdg_tlcp_fail(t, alert, err);
}

static rdg_err_t certificates_parse(rdg_tlcp_t *t, rdg_bytes_t body) {
    handshake_t *h = t->handshake;
    rdg_reader_t r;
    rdg_reader_init(&r, body);
    if (rdg_read_u24(&r) != rdg_reader_left(&r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the list of certificates has a wrong length");
    while (rdg_reader_left(&r) > 0) {
        rdg_bytes_t der = rdg_read_bytes(&r, rdg_read_u24(&r));
        if (!rdg_reader_ok(&r)) break;
        if (h->cert_count == RDG_TLCP_CERTS_MAX)
            return REFUSE(t, bad_certificate, RDG_E_PROTOCOL, "TLCP: more than %d certificates",
                          RDG_TLCP_CERTS_MAX);
        rdg_err_t err = rdg_cert_parse(der, &h->certs[h->cert_count]);
        if (err != RDG_OK) return refuse_certificate(t, err);
        h->cert_count++;
    }
    if (!rdg_reader_ok(&r) || h->cert_count < 2)
        return REFUSE(t, bad_certificate, RDG_E_UNAUTHENTICATED,
                      "TLCP: the peer did not send a sign and an encryption certificate");
    return RDG_OK;
}

rdg_err_t rdg_tlcp_certificates_take(rdg_tlcp_t *t, rdg_bytes_t body) {
    handshake_t *h = t->handshake;
    const rdg_tlcp_config_t *c = t->config;
    RDG_TRY(certificates_parse(t, body));
    /* sign, enc, chain as the standard says, or sign, chain, enc. */
    size_t enc_at = rdg_cert_is_ca(h->certs[1]) ? h->cert_count - 1 : 1;
    const rdg_cert_t *sign = h->certs[0], *enc = h->certs[enc_at];
    const rdg_cert_t *others[RDG_TLCP_CERTS_MAX];
    size_t other_count = 0;
    for (size_t i = 1; i < h->cert_count; i++)
        if (i != enc_at) others[other_count++] = h->certs[i];
    rdg_err_t err =
        rdg_cert_verify(sign, RDG_CERT_SIGN, others, other_count, c->roots, c->root_count, t->now_s);
    if (err == RDG_OK)
        err = rdg_cert_verify(enc, RDG_CERT_ENCRYPT, others, other_count, c->roots, c->root_count, t->now_s);
    if (err != RDG_OK) return refuse_certificate(t, err);
    if (c->peer_name && !rdg_cert_has_name(sign, c->peer_name))
        return REFUSE(t, certificate_unknown, RDG_E_UNAUTHENTICATED,
                      "TLCP: the peer's certificate is not that of '%.64s'", c->peer_name);
    err = c->accept_peer ? c->accept_peer(c->accept_ctx, sign) : RDG_OK;
    if (err != RDG_OK) {
        bool revoked = err == RDG_E_FORBIDDEN;
        err = rdg_fail(RDG_E_UNAUTHENTICATED, "TLCP: the peer is not welcome: %s", rdg_err_message(err));
        return rdg_tlcp_fail(t, revoked ? RDG_TLCP_ALERT_certificate_revoked : RDG_TLCP_ALERT_access_denied,
                             err);
    }
    h->peer_sign = sign, h->peer_enc = enc;
    return RDG_OK;
}

size_t rdg_tlcp_key_statement(const handshake_t *h, const rdg_cert_t *enc_cert,
                              uint8_t out[2 * RANDOM_BYTES + 3 + RDG_CERT_DER_MAX]) {
    rdg_writer_t w;
    rdg_bytes_t der = rdg_cert_der(enc_cert);
    rdg_writer_init(&w, out, 2 * RANDOM_BYTES + 3 + RDG_CERT_DER_MAX);
    rdg_write_bytes(&w, h->client_random, RANDOM_BYTES);
    rdg_write_bytes(&w, h->server_random, RANDOM_BYTES);
    rdg_write_u24(&w, (uint32_t)der.len);
    rdg_write_bytes(&w, der.data, der.len);
    RDG_ASSERT(rdg_writer_ok(&w));
    return rdg_writer_len(&w);
}

void rdg_tlcp_keys_make(rdg_tlcp_t *t, uint8_t pre_master[SECRET_BYTES]) {
    handshake_t *h = t->handshake;
    rdg_bytes_t client = rdg_bytes(h->client_random, RANDOM_BYTES);
    rdg_bytes_t server = rdg_bytes(h->server_random, RANDOM_BYTES);
    rdg_tlcp_prf(h->master, SECRET_BYTES, rdg_bytes(pre_master, SECRET_BYTES), "master secret", client,
                 server);
    rdg_secure_zero(pre_master, SECRET_BYTES);
    rdg_tlcp_prf(h->key_block, RDG_TLCP_KEY_BLOCK, rdg_bytes(h->master, SECRET_BYTES), "key expansion",
                 server, client);
}

static void finished_of(const handshake_t *h, bool client, const rdg_hash_t *hash,
                        uint8_t out[FINISHED_BYTES]) {
    rdg_tlcp_prf(out, FINISHED_BYTES, rdg_bytes(h->master, SECRET_BYTES),
                 client ? "client finished" : "server finished", rdg_bytes(hash->b, sizeof hash->b),
                 rdg_bytes(NULL, 0));
}

rdg_err_t rdg_tlcp_finished_put(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    rdg_hash_t hash;
    uint8_t verify[FINISHED_BYTES];
    RDG_TRY(rdg_sm3_stream_peek(h->transcript, &hash));
    finished_of(h, t->role == RDG_TLCP_CLIENT, &hash, verify);
    h->change_at = rdg_writer_len(&h->out);
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_FINISHED);
    rdg_write_bytes(&h->out, verify, sizeof verify);
    rdg_tlcp_message_end(h, begun);
    return RDG_OK;
}

rdg_err_t rdg_tlcp_on_change_cipher(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    (void)body;
    *next = WAIT_FINISHED;
    return rdg_tlcp_protect_init(&t->rx, t->suite, t->role == RDG_TLCP_SERVER, t->handshake->key_block);
}

rdg_err_t rdg_tlcp_on_finished(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    handshake_t *h = t->handshake;
    uint8_t want[FINISHED_BYTES];
    finished_of(h, t->role == RDG_TLCP_SERVER, &h->hash, want);
    if (body.len != FINISHED_BYTES)
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: a Finished of %zu bytes", body.len);
    if (!rdg_ct_equal(want, body.data, FINISHED_BYTES))
        return REFUSE(t, decrypt_error, RDG_E_BAD_SIGNATURE, "TLCP: the peer's Finished does not verify");
    if (t->role == RDG_TLCP_SERVER) RDG_TRY(rdg_tlcp_finished_put(t));
    if (h->peer_sign) t->peer = rdg_cert_ref(h->certs[0]);
    t->state = RDG_TLCP_OPEN;
    *next = WAIT_NOTHING;
    return RDG_OK;
}
