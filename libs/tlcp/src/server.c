#include <string.h>

#include "handshake.h"
#include "ridge/base/alloc.h"
#include "ridge/crypto/sm2_cipher.h"

/* Our preference decides among what the client offers; 0 if there is nothing in common. */
static rdg_tlcp_suite_t choose(const rdg_tlcp_config_t *c, rdg_bytes_t offered) {
    static const rdg_tlcp_suite_t both[] = {RDG_TLCP_ECC_SM4_GCM_SM3, RDG_TLCP_ECC_SM4_CBC_SM3};
    const rdg_tlcp_suite_t *mine = c->suite_count ? c->suites : both;
    size_t count = c->suite_count ? c->suite_count : 2;
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0; at + 1 < offered.len; at += 2)
            if ((offered.data[at] << 8 | offered.data[at + 1]) == (int)mine[i]) return mine[i];
    return (rdg_tlcp_suite_t)0;
}

/* Unknown extensions are passed over, but their framing must be right. */
static bool extensions_readable(rdg_reader_t *r) {
    if (rdg_reader_left(r) == 0) return true;
    if (rdg_read_u16(r) != rdg_reader_left(r)) return false;
    while (rdg_reader_left(r) > 0) {
        rdg_read_u16(r);
        rdg_read_bytes(r, rdg_read_u16(r));
    }
    return rdg_reader_ok(r);
}

static void hello_put(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_SERVER_HELLO);
    rdg_random_fill(t->random, h->server_random, RANDOM_BYTES);
    rdg_write_u16(&h->out, RDG_TLCP_VERSION);
    rdg_write_bytes(&h->out, h->server_random, RANDOM_BYTES);
    rdg_write_u8(&h->out, 0); /* no session id: nothing is resumed */
    rdg_write_u16(&h->out, (uint16_t)t->suite);
    rdg_write_u8(&h->out, 0);
    rdg_tlcp_message_end(h, begun);
}

static rdg_err_t key_put(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    uint8_t statement[2 * RANDOM_BYTES + 3 + RDG_CERT_DER_MAX];
    size_t len = rdg_tlcp_key_statement(h, t->config->enc_cert, statement);
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_SERVER_KEY_EXCHANGE);
    RDG_TRY(rdg_tlcp_signature_put(t, statement, len));
    rdg_tlcp_message_end(h, begun);
    return RDG_OK;
}

/* The names of our roots help a client with several certificates; those that do not fit are left out. */
static void request_put(rdg_tlcp_t *t) {
    const rdg_tlcp_config_t *c = t->config;
    handshake_t *h = t->handshake;
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_CERTIFICATE_REQUEST), total = 0, fitting = 0;
    size_t left = RDG_TLCP_HANDSHAKE_MAX - rdg_writer_len(&h->out);
    for (; fitting < c->root_count; fitting++) {
        size_t len = 2 + rdg_cert_subject_der(c->roots[fitting]).len;
        if (left < 64 || total + len > left - 64) break;
        total += len;
    }
    rdg_write_u8(&h->out, 2);
    rdg_write_u8(&h->out, CERTIFICATE_TYPE_RSA);
    rdg_write_u8(&h->out, CERTIFICATE_TYPE_ECDSA);
    rdg_write_u16(&h->out, (uint16_t)total);
    for (size_t i = 0; i < fitting; i++) {
        rdg_bytes_t name = rdg_cert_subject_der(c->roots[i]);
        rdg_write_u16(&h->out, (uint16_t)name.len);
        rdg_write_bytes(&h->out, name.data, name.len);
    }
    rdg_tlcp_message_end(h, begun);
}

rdg_err_t rdg_tlcp_on_client_hello(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    handshake_t *h = t->handshake;
    rdg_reader_t r;
    rdg_reader_init(&r, body);
    uint16_t version = rdg_read_u16(&r);
    rdg_read_copy(&r, h->client_random, RANDOM_BYTES);
    rdg_bytes_t session = rdg_read_bytes(&r, rdg_read_u8(&r));
    rdg_bytes_t suites = rdg_read_bytes(&r, rdg_read_u16(&r));
    rdg_bytes_t compressions = rdg_read_bytes(&r, rdg_read_u8(&r));
    if (!rdg_reader_ok(&r) || session.len > 32 || suites.len == 0 || suites.len % 2 != 0 ||
        compressions.len == 0 || !extensions_readable(&r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the ClientHello cannot be read");
    if (version != RDG_TLCP_VERSION)
        return REFUSE(t, protocol_version, RDG_E_PROTOCOL, "TLCP: the client wants version %04x", version);
    if (!memchr(compressions.data, 0, compressions.len))
        return REFUSE(t, illegal_parameter, RDG_E_PROTOCOL, "TLCP: the client wants compression");
    t->suite = choose(t->config, suites);
    if (!t->suite)
        return REFUSE(t, handshake_failure, RDG_E_PROTOCOL,
                      "TLCP: no cipher suite in common with the client");
    hello_put(t);
    rdg_tlcp_certificates_put(t, false);
    RDG_TRY(key_put(t));
    h->certificate_asked = t->config->client_auth != RDG_TLCP_CLIENT_NONE;
    if (h->certificate_asked) request_put(t);
    rdg_tlcp_message_end(h, rdg_tlcp_message_begin(h, MESSAGE_SERVER_HELLO_DONE));
    *next = h->certificate_asked ? WAIT_CLIENT_CERTIFICATE : WAIT_CLIENT_KEY;
    return RDG_OK;
}

rdg_err_t rdg_tlcp_on_client_certificate(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    static const uint8_t none[3];
    *next = WAIT_CLIENT_KEY;
    if (!rdg_bytes_equal(body, rdg_bytes(none, sizeof none))) return rdg_tlcp_certificates_take(t, body);
    if (t->config->client_auth == RDG_TLCP_CLIENT_OPTIONAL) return RDG_OK;
    return REFUSE(t, handshake_failure, RDG_E_UNAUTHENTICATED, "TLCP: the client has no certificate");
}

rdg_err_t rdg_tlcp_on_client_key(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    handshake_t *h = t->handshake;
    rdg_reader_t r;
    rdg_reader_init(&r, body);
    rdg_bytes_t sealed = rdg_read_bytes(&r, rdg_read_u16(&r));
    if (!rdg_reader_done(&r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the ClientKeyExchange cannot be read");
    /* A wrong secret must show nowhere but in the Finished: a random one takes its place (Bleichenbacher,
     * and RFC 5246 7.4.7.1). */
    uint8_t secret[SECRET_BYTES], plain[RDG_SM2_PLAINTEXT_MAX] = {0};
    size_t len;
    rdg_random_fill(t->random, secret, sizeof secret);
    unsigned wrong = rdg_sm2_decrypt(t->config->enc_key, plain, &len, sealed) != RDG_OK;
    wrong |= (unsigned)(len ^ SECRET_BYTES);
    wrong |=
        (unsigned)(plain[0] ^ (RDG_TLCP_VERSION >> 8)) | (unsigned)(plain[1] ^ (RDG_TLCP_VERSION & 0xff));
    uint8_t keep = (uint8_t)(0u - ((wrong | (0u - wrong)) >> 31)); /* all ones: the random one */
    for (size_t i = 0; i < SECRET_BYTES; i++) secret[i] = (uint8_t)((secret[i] & keep) | (plain[i] & ~keep));
    rdg_secure_zero(plain, sizeof plain);
    rdg_tlcp_keys_make(t, secret);
    *next = h->peer_sign ? WAIT_CERTIFICATE_VERIFY : WAIT_CHANGE_CIPHER;
    return RDG_OK;
}

rdg_err_t rdg_tlcp_on_certificate_verify(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    *next = WAIT_CHANGE_CIPHER;
    return rdg_tlcp_signature_check(t, body, t->handshake->hash.b, sizeof t->handshake->hash.b);
}
