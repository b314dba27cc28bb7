#include <string.h>

#include "handshake.h"

/* Our preference decides among what the client offers; 0 if there is nothing in common. */
static rdg_tlcp_suite_t choose(const rdg_tlcp_config_t *c, rdg_bytes_t offered) {
    rdg_tlcp_suite_t mine[RDG_TLCP_SUITES_MAX];
    size_t count = rdg_tlcp_suites_of(c, RDG_TLCP_SERVER, mine);
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0; at + 1 < offered.len; at += 2)
            if ((offered.data[at] << 8 | offered.data[at + 1]) == (int)mine[i]) return mine[i];
    return (rdg_tlcp_suite_t)0;
}

/* RFC 6066, 3: a list of one name, of type 0. Only printable ASCII is let into a log. */
static bool server_name_take(rdg_tlcp_t *t, rdg_bytes_t extension) {
    rdg_reader_t r;
    rdg_reader_init(&r, extension);
    bool framed = rdg_read_u16(&r) == rdg_reader_left(&r);
    framed = rdg_read_u8(&r) == SERVER_NAME_HOST && framed;
    rdg_bytes_t name = rdg_read_bytes(&r, rdg_read_u16(&r));
    if (!framed || !rdg_reader_done(&r) || name.len == 0 || name.len > RDG_TLCP_SERVER_NAME_MAX) return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] > '~') return false;
    memcpy(t->server_name, name.data, name.len);
    return true;
}

/* Unknown extensions are passed over, but their framing must be right. */
static bool extensions_take(rdg_tlcp_t *t, rdg_reader_t *r) {
    if (rdg_reader_left(r) == 0) return true;
    if (rdg_read_u16(r) != rdg_reader_left(r)) return false;
    while (rdg_reader_left(r) > 0) {
        uint16_t type = rdg_read_u16(r);
        rdg_bytes_t body = rdg_read_bytes(r, rdg_read_u16(r));
        if (!rdg_reader_ok(r)) return false;
        if (type == EXTENSION_SERVER_NAME && (t->server_name[0] || !server_name_take(t, body))) return false;
    }
    return true;
}

static void hello_put(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_SERVER_HELLO);
    rdg_random_fill(t->random, h->server_random, RANDOM_BYTES);
    rdg_write_u16(&h->out, RDG_TLCP_VERSION);
    rdg_write_bytes(&h->out, h->server_random, RANDOM_BYTES);
    rdg_write_u8(&h->out, (uint8_t)h->session.id_len);
    rdg_write_bytes(&h->out, h->session.id, h->session.id_len);
    rdg_write_u16(&h->out, (uint16_t)t->suite);
    rdg_write_u8(&h->out, 0);
    rdg_tlcp_message_end(h, begun);
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

static rdg_err_t whole_flight_put(rdg_tlcp_t *t, wait_t *next) {
    handshake_t *h = t->handshake;
    hello_put(t);
    rdg_tlcp_certificates_put(t, false);
    RDG_TRY(rdg_tlcp_server_key_put(t));
    h->certificate_asked = t->config->client_auth != RDG_TLCP_CLIENT_NONE;
    if (h->certificate_asked) request_put(t);
    rdg_tlcp_message_end(h, rdg_tlcp_message_begin(h, MESSAGE_SERVER_HELLO_DONE));
    *next = h->certificate_asked ? WAIT_CLIENT_CERTIFICATE : WAIT_CLIENT_KEY;
    return RDG_OK;
}

static rdg_err_t resumed_flight_put(rdg_tlcp_t *t, wait_t *next) {
    t->handshake->resumed = true;
    t->suite = t->handshake->session.suite;
    hello_put(t);
    rdg_tlcp_keys_make(t);
    *next = WAIT_CHANGE_CIPHER;
    return rdg_tlcp_finished_put(t);
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
    if (!rdg_reader_ok(&r) || session.len > SESSION_ID_BYTES || suites.len == 0 || suites.len % 2 != 0 ||
        compressions.len == 0 || !extensions_take(t, &r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the ClientHello cannot be read");
    if (version != RDG_TLCP_VERSION)
        return REFUSE(t, protocol_version, RDG_E_PROTOCOL, "TLCP: the client wants version %04x", version);
    if (!memchr(compressions.data, 0, compressions.len))
        return REFUSE(t, illegal_parameter, RDG_E_PROTOCOL, "TLCP: the client wants compression");
    if (rdg_tlcp_session_find(t, session, suites)) return resumed_flight_put(t, next);
    t->suite = choose(t->config, suites);
    if (!t->suite)
        return REFUSE(t, handshake_failure, RDG_E_PROTOCOL,
                      "TLCP: no cipher suite in common with the client");
    return whole_flight_put(t, next);
}

rdg_err_t rdg_tlcp_on_client_certificate(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    static const uint8_t none[3];
    *next = WAIT_CLIENT_KEY;
    if (!rdg_bytes_equal(body, rdg_bytes(none, sizeof none))) return rdg_tlcp_certificates_take(t, body);
    if (t->config->client_auth == RDG_TLCP_CLIENT_OPTIONAL && !rdg_tlcp_suite_is_ecdhe(t->suite))
        return RDG_OK;
    return REFUSE(t, handshake_failure, RDG_E_UNAUTHENTICATED, "TLCP: the client has no certificate");
}

rdg_err_t rdg_tlcp_on_client_key(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    *next = t->handshake->peer_sign ? WAIT_CERTIFICATE_VERIFY : WAIT_CHANGE_CIPHER;
    return rdg_tlcp_client_key_take(t, body);
}

rdg_err_t rdg_tlcp_on_certificate_verify(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    *next = WAIT_CHANGE_CIPHER;
    return rdg_tlcp_signature_check(t, body, t->handshake->hash.b, sizeof t->handshake->hash.b);
}
