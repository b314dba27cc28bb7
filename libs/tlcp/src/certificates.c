#include <string.h>

#include "handshake.h"
#include "ridge/crypto/cert_cache.h"

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
        if (c->enc_cert && c->order == RDG_TLCP_SIGN_ENC_CHAIN) certificate_put(&h->out, c->enc_cert);
        for (size_t i = 0; i < c->chain_count; i++) certificate_put(&h->out, c->chain[i]);
        if (c->enc_cert && c->order == RDG_TLCP_SIGN_CHAIN_ENC) certificate_put(&h->out, c->enc_cert);
    }
    rdg_writer_t size;
    rdg_writer_init(&size, h->flight + list, 3);
    rdg_write_u24(&size, (uint32_t)(rdg_writer_len(&h->out) - list - 3));
    rdg_tlcp_message_end(h, begun);
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
    size_t list_len = rdg_read_u24(&r);
    if (!rdg_reader_ok(&r) || list_len != rdg_reader_left(&r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the list of certificates has a wrong length");
    while (rdg_reader_left(&r) > 0) {
        rdg_bytes_t der = rdg_read_bytes(&r, rdg_read_u24(&r));
        if (!rdg_reader_ok(&r)) break;
        if (h->cert_count == RDG_TLCP_CERTS_MAX)
            return REFUSE(t, bad_certificate, RDG_E_PROTOCOL, "TLCP: more than %d certificates",
                          RDG_TLCP_CERTS_MAX);
        rdg_cert_t **cert = &h->certs[h->cert_count];
        rdg_err_t err =
            t->config->certs ? rdg_cert_cache_parse(t->config->certs, der, cert) : rdg_cert_parse(der, cert);
        if (err != RDG_OK) return refuse_certificate(t, err);
        h->cert_count++;
    }
    if (!rdg_reader_ok(&r) || h->cert_count == 0)
        return REFUSE(t, bad_certificate, RDG_E_UNAUTHENTICATED,
                      "TLCP: the peer sent no list of certificates that can be read");
    return RDG_OK;
}

/* sign, enc, chain as the standard says, or sign, chain, enc; 0 if there is no encryption certificate. */
static size_t find_enc(const handshake_t *h) {
    size_t last = h->cert_count - 1;
    if (last >= 1 && !rdg_cert_is_ca(h->certs[1])) return 1;
    return last >= 2 && !rdg_cert_is_ca(h->certs[last]) ? last : 0;
}

/* A client shows who it is by its sign certificate; the other one is for the key exchange. */
static bool enc_needed(const rdg_tlcp_t *t) {
    return t->role == RDG_TLCP_CLIENT || rdg_tlcp_suite_is_ecdhe(t->suite);
}

rdg_err_t rdg_tlcp_peer_welcome(const rdg_tlcp_config_t *c, const rdg_cert_t *sign_cert,
                                const rdg_cert_t *enc_cert) {
    return c->accept_peer ? c->accept_peer(c->accept_ctx, sign_cert, enc_cert) : RDG_OK;
}

static rdg_err_t check_peer(rdg_tlcp_t *t, const rdg_cert_t *sign, const rdg_cert_t *enc) {
    const rdg_tlcp_config_t *c = t->config;
    if (c->peer_name && !rdg_cert_has_name(sign, c->peer_name))
        return REFUSE(t, certificate_unknown, RDG_E_UNAUTHENTICATED,
                      "TLCP: the peer's certificate is not that of '%.64s'", c->peer_name);
    rdg_err_t err = rdg_tlcp_peer_welcome(c, sign, enc);
    if (err == RDG_OK) return RDG_OK;
    bool revoked = err == RDG_E_FORBIDDEN;
    err = rdg_fail(RDG_E_UNAUTHENTICATED, "TLCP: the peer is not welcome: %s", rdg_err_message(err));
    return rdg_tlcp_fail(t, revoked ? RDG_TLCP_ALERT_certificate_revoked : RDG_TLCP_ALERT_access_denied, err);
}

/* A session lasts no longer than what it rests on. */
static int64_t first_expiry(const handshake_t *h) {
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < h->cert_count; i++) {
        int64_t until = rdg_cert_not_after_s(h->certs[i]);
        if (until < first) first = until;
    }
    return first;
}

static const rdg_cert_t *find_pinned(const rdg_tlcp_config_t *c, const handshake_t *h) {
    for (size_t i = 1; i < h->cert_count; i++) {
        rdg_hash_t fingerprint;
        rdg_cert_fingerprint(h->certs[i], &fingerprint);
        if (rdg_hash_equal(&fingerprint, c->root_pin)) return h->certs[i];
    }
    return NULL;
}

/* Under the pinned root if there is one. */
static rdg_err_t verify_under(const rdg_tlcp_config_t *c, const rdg_cert_t *pinned, const rdg_cert_t *leaf,
                              rdg_cert_use_t use, const rdg_cert_t *const *others, size_t other_count,
                              int64_t now_s) {
    if (pinned) return rdg_cert_verify(leaf, use, others, other_count, &pinned, 1, now_s);
    if (c->certs && c->root_count > 0)
        return rdg_cert_cache_verify(c->certs, leaf, use, others, other_count, now_s);
    return rdg_cert_verify(leaf, use, others, other_count, c->roots, c->root_count, now_s);
}

rdg_err_t rdg_tlcp_certificates_take(rdg_tlcp_t *t, rdg_bytes_t body) {
    handshake_t *h = t->handshake;
    const rdg_tlcp_config_t *c = t->config;
    RDG_TRY(certificates_parse(t, body));
    size_t enc_at = find_enc(h), other_count = 0;
    const rdg_cert_t *sign = h->certs[0], *enc = enc_at ? h->certs[enc_at] : NULL;
    const rdg_cert_t *others[RDG_TLCP_CERTS_MAX];
    if (!enc && enc_needed(t))
        return REFUSE(t, bad_certificate, RDG_E_UNAUTHENTICATED,
                      "TLCP: the peer did not send an encryption certificate");
    for (size_t i = 1; i < h->cert_count; i++)
        if (i != enc_at) others[other_count++] = h->certs[i];
    const rdg_cert_t *pinned = c->root_pin ? find_pinned(c, h) : NULL;
    if (c->root_pin && !pinned)
        return REFUSE(t, unknown_ca, RDG_E_UNAUTHENTICATED,
                      "TLCP: the peer's root is not the one with the fingerprint that we were given");
    rdg_err_t err = verify_under(c, pinned, sign, RDG_CERT_SIGN, others, other_count, t->now_s);
    if (err == RDG_OK && enc)
        err = verify_under(c, pinned, enc, RDG_CERT_ENCRYPT, others, other_count, t->now_s);
    if (err != RDG_OK) return refuse_certificate(t, err);
    RDG_TRY(check_peer(t, sign, enc));
    if (pinned) t->pinned = rdg_cert_ref((rdg_cert_t *)(uintptr_t)pinned);
    h->peer_sign = sign, h->peer_enc = enc;
    h->session.until_s = first_expiry(h);
    return RDG_OK;
}
