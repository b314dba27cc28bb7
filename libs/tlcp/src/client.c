#include <string.h>

#include "handshake.h"

static bool offered(const rdg_tlcp_config_t *c, rdg_tlcp_suite_t suite) {
    rdg_tlcp_suite_t mine[RDG_TLCP_SUITES_MAX];
    size_t count = rdg_tlcp_suites_of(c, RDG_TLCP_CLIENT, mine);
    for (size_t i = 0; i < count; i++)
        if (mine[i] == suite) return true;
    return false;
}

static void server_name_put(rdg_writer_t *w, const char *name) {
    rdg_bytes_t text = rdg_bytes_str(name);
    uint16_t len = (uint16_t)text.len;
    rdg_write_u16(w, (uint16_t)(len + 9)); /* all extensions */
    rdg_write_u16(w, EXTENSION_SERVER_NAME);
    rdg_write_u16(w, (uint16_t)(len + 5));
    rdg_write_u16(w, (uint16_t)(len + 3)); /* the list of names */
    rdg_write_u8(w, SERVER_NAME_HOST);
    rdg_write_u16(w, len);
    rdg_write_bytes(w, text.data, text.len);
}

rdg_err_t rdg_tlcp_client_hello_put(rdg_tlcp_t *t) {
    rdg_tlcp_suite_t mine[RDG_TLCP_SUITES_MAX];
    size_t count = rdg_tlcp_suites_of(t->config, RDG_TLCP_CLIENT, mine);
    handshake_t *h = t->handshake;
    bool resumes = rdg_tlcp_session_offer(t);
    rdg_random_fill(t->random, h->client_random, RANDOM_BYTES);
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_CLIENT_HELLO);
    rdg_write_u16(&h->out, RDG_TLCP_VERSION);
    rdg_write_bytes(&h->out, h->client_random, RANDOM_BYTES);
    rdg_write_u8(&h->out, resumes ? (uint8_t)h->session.id_len : 0);
    if (resumes) rdg_write_bytes(&h->out, h->session.id, h->session.id_len);
    rdg_write_u16(&h->out, (uint16_t)(2 * count));
    for (size_t i = 0; i < count; i++) rdg_write_u16(&h->out, (uint16_t)mine[i]);
    rdg_write_u8(&h->out, 1);
    rdg_write_u8(&h->out, 0);
    if (t->config->server_name) server_name_put(&h->out, t->config->server_name);
    rdg_tlcp_message_end(h, begun);
    return RDG_OK;
}

/* Nothing but the empty answer to our server name may come back. */
static bool extensions_take(const rdg_tlcp_t *t, rdg_reader_t *r) {
    if (rdg_reader_left(r) == 0) return true;
    if (rdg_read_u16(r) != rdg_reader_left(r)) return false;
    if (rdg_reader_left(r) == 0) return true;
    return rdg_read_u16(r) == EXTENSION_SERVER_NAME && rdg_read_u16(r) == 0 && rdg_reader_done(r) &&
           t->config->server_name;
}

/* The server goes on with our session, or begins another. */
static rdg_err_t session_take(rdg_tlcp_t *t, rdg_bytes_t id, wait_t *next) {
    handshake_t *h = t->handshake;
    session_t *s = &h->session;
    h->resumed = s->id_len > 0 && rdg_bytes_equal(id, rdg_bytes(s->id, s->id_len));
    if (h->resumed) {
        if (t->suite != s->suite)
            return REFUSE(t, illegal_parameter, RDG_E_PROTOCOL,
                          "TLCP: the server resumed under another suite");
        rdg_tlcp_keys_make(t);
        *next = WAIT_CHANGE_CIPHER;
        return RDG_OK;
    }
    rdg_tlcp_session_anew(h);
    s->id_len = id.len;
    if (id.len) memcpy(s->id, id.data, id.len);
    *next = WAIT_SERVER_CERTIFICATE;
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
    if (!rdg_reader_ok(&r) || session.len > SESSION_ID_BYTES || !extensions_take(t, &r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the ServerHello cannot be read");
    if (version != RDG_TLCP_VERSION)
        return REFUSE(t, protocol_version, RDG_E_PROTOCOL, "TLCP: the server wants version %04x", version);
    if (compression != 0 || !offered(t->config, (rdg_tlcp_suite_t)suite))
        return REFUSE(t, illegal_parameter, RDG_E_PROTOCOL, "TLCP: the server chose what was not offered");
    t->suite = (rdg_tlcp_suite_t)suite;
    return session_take(t, session, next);
}

rdg_err_t rdg_tlcp_on_server_certificate(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    *next = WAIT_SERVER_KEY;
    return rdg_tlcp_certificates_take(t, body);
}

rdg_err_t rdg_tlcp_on_server_key(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    *next = WAIT_REQUEST_OR_DONE;
    return rdg_tlcp_server_key_take(t, body);
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
    if (!h->certificate_asked && rdg_tlcp_suite_is_ecdhe(t->suite))
        return REFUSE(
            t, handshake_failure, RDG_E_PROTOCOL,
            "TLCP: the server chose a suite that needs our certificates, but does not ask for them");
    bool proves = h->certificate_asked && t->config->sign_cert;
    if (h->certificate_asked) rdg_tlcp_certificates_put(t, !proves);
    RDG_TRY(rdg_tlcp_client_key_put(t));
    if (proves) RDG_TRY(verify_put(t));
    RDG_TRY(rdg_tlcp_finished_put(t));
    *next = WAIT_CHANGE_CIPHER;
    return RDG_OK;
}
