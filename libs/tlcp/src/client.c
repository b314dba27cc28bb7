#include <string.h>

#include "handshake.h"
#include "ridge/base/alloc.h"
#include "ridge/crypto/sm2_cipher.h"

static bool offered(const rdg_tlcp_config_t *c, rdg_tlcp_suite_t suite) {
    if (c->suite_count == 0) return suite == RDG_TLCP_ECC_SM4_GCM_SM3 || suite == RDG_TLCP_ECC_SM4_CBC_SM3;
    for (size_t i = 0; i < c->suite_count; i++)
        if (c->suites[i] == suite) return true;
    return false;
}

rdg_err_t rdg_tlcp_client_hello_put(rdg_tlcp_t *t) {
    static const rdg_tlcp_suite_t both[] = {RDG_TLCP_ECC_SM4_GCM_SM3, RDG_TLCP_ECC_SM4_CBC_SM3};
    const rdg_tlcp_config_t *c = t->config;
    const rdg_tlcp_suite_t *mine = c->suite_count ? c->suites : both;
    size_t count = c->suite_count ? c->suite_count : 2;
    handshake_t *h = t->handshake;
    rdg_random_fill(t->random, h->client_random, RANDOM_BYTES);
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_CLIENT_HELLO);
    rdg_write_u16(&h->out, RDG_TLCP_VERSION);
    rdg_write_bytes(&h->out, h->client_random, RANDOM_BYTES);
    rdg_write_u8(&h->out, 0);
    rdg_write_u16(&h->out, (uint16_t)(2 * count));
    for (size_t i = 0; i < count; i++) rdg_write_u16(&h->out, (uint16_t)mine[i]);
    rdg_write_u8(&h->out, 1);
    rdg_write_u8(&h->out, 0);
    rdg_tlcp_message_end(h, begun);
    return RDG_OK;
}

rdg_err_t rdg_tlcp_on_server_hello(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    handshake_t *h = t->handshake;
    rdg_reader_t r;
    rdg_reader_init(&r, body);
    uint16_t version = rdg_read_u16(&r);
    rdg_read_copy(&r, h->server_random, RANDOM_BYTES);
    rdg_bytes_t session = rdg_read_bytes(&r, rdg_read_u8(&r));
    uint16_t suite = rdg_read_u16(&r);
    uint8_t compression = rdg_read_u8(&r);
    /* We sent no extension, so none may come back. */
    if (!rdg_reader_ok(&r) || session.len > 32 ||
        (rdg_reader_left(&r) > 0 && (rdg_read_u16(&r) != 0 || !rdg_reader_done(&r))))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the ServerHello cannot be read");
    if (version != RDG_TLCP_VERSION)
        return REFUSE(t, protocol_version, RDG_E_PROTOCOL, "TLCP: the server wants version %04x", version);
    if (compression != 0 || !offered(t->config, (rdg_tlcp_suite_t)suite))
        return REFUSE(t, illegal_parameter, RDG_E_PROTOCOL, "TLCP: the server chose what was not offered");
    t->suite = (rdg_tlcp_suite_t)suite;
    *next = WAIT_SERVER_CERTIFICATE;
    return RDG_OK;
}

rdg_err_t rdg_tlcp_on_server_certificate(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    *next = WAIT_SERVER_KEY;
    return rdg_tlcp_certificates_take(t, body);
}

rdg_err_t rdg_tlcp_on_server_key(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    uint8_t statement[2 * RANDOM_BYTES + 3 + RDG_CERT_DER_MAX];
    size_t len = rdg_tlcp_key_statement(t->handshake, t->handshake->peer_enc, statement);
    *next = WAIT_REQUEST_OR_DONE;
    return rdg_tlcp_signature_check(t, body, statement, len);
}

rdg_err_t rdg_tlcp_on_certificate_request(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    rdg_reader_t r;
    rdg_reader_init(&r, body);
    rdg_bytes_t types = rdg_read_bytes(&r, rdg_read_u8(&r));
    bool ok = rdg_read_u16(&r) == rdg_reader_left(&r);
    while (rdg_reader_left(&r) > 0) rdg_read_bytes(&r, rdg_read_u16(&r));
    if (!ok || !rdg_reader_done(&r) || types.len == 0)
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the CertificateRequest cannot be read");
    if (!memchr(types.data, CERTIFICATE_TYPE_ECDSA, types.len))
        return REFUSE(t, unsupported_certificate, RDG_E_PROTOCOL,
                      "TLCP: the server wants no SM2 certificate");
    t->handshake->certificate_asked = true;
    *next = WAIT_HELLO_DONE;
    return RDG_OK;
}

static rdg_err_t key_put(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    uint8_t secret[SECRET_BYTES], sealed[RDG_SM2_CIPHERTEXT_MAX];
    size_t len;
    rdg_random_fill(t->random, secret, sizeof secret);
    secret[0] = RDG_TLCP_VERSION >> 8;
    secret[1] = RDG_TLCP_VERSION & 0xff;
    rdg_err_t err = rdg_sm2_encrypt(rdg_cert_public(h->peer_enc), sealed, &len, secret, sizeof secret);
    if (err == RDG_OK) rdg_tlcp_keys_make(t, secret);
    rdg_secure_zero(secret, sizeof secret);
    if (err != RDG_OK) return err;
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_CLIENT_KEY_EXCHANGE);
    rdg_write_u16(&h->out, (uint16_t)len);
    rdg_write_bytes(&h->out, sealed, len);
    rdg_tlcp_message_end(h, begun);
    return RDG_OK;
}

static rdg_err_t verify_put(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    rdg_hash_t hash;
    RDG_TRY(rdg_sm3_stream_peek(h->transcript, &hash));
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_CERTIFICATE_VERIFY);
    RDG_TRY(rdg_tlcp_signature_put(t, hash.b, sizeof hash.b));
    rdg_tlcp_message_end(h, begun);
    return RDG_OK;
}

rdg_err_t rdg_tlcp_on_hello_done(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    handshake_t *h = t->handshake;
    if (body.len != 0)
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the ServerHelloDone is not empty");
    bool proves = h->certificate_asked && t->config->sign_cert;
    if (h->certificate_asked) rdg_tlcp_certificates_put(t, !proves);
    RDG_TRY(key_put(t));
    if (proves) RDG_TRY(verify_put(t));
    RDG_TRY(rdg_tlcp_finished_put(t));
    *next = WAIT_CHANGE_CIPHER;
    return RDG_OK;
}
