#include "kit.h"

rdg_cert_t *kit_issue(rdg_cert_kind_t kind, const char *name, const rdg_sm2_key_t *subject,
                      const rdg_cert_t *issuer, const rdg_sm2_key_t *issuer_key, int64_t until_s) {
    rdg_sm2_public_t pub;
    rdg_cert_t *cert = NULL;
    rdg_sm2_key_public(subject, &pub);
    rdg_cert_order_t order = {kind, name, &pub, issuer, issuer_key, NOW - YEAR, until_s};
    CHECK_OK(rdg_cert_issue(&order, &cert));
    return cert;
}

void party_make(party_t *p, const char *name, const rdg_cert_t *issuer, const rdg_sm2_key_t *issuer_key) {
    CHECK_OK(rdg_sm2_key_generate(&p->sign_key));
    CHECK_OK(rdg_sm2_key_generate(&p->enc_key));
    p->sign = kit_issue(RDG_CERT_KIND_SIGN, name, p->sign_key, issuer, issuer_key, NOW + YEAR);
    p->enc = kit_issue(RDG_CERT_KIND_ENCRYPT, name, p->enc_key, issuer, issuer_key, NOW + YEAR);
}

void party_free(party_t *p) {
    rdg_cert_free(p->sign), rdg_cert_free(p->enc);
    rdg_sm2_key_free(p->sign_key), rdg_sm2_key_free(p->enc_key);
}

void pki_make(pki_t *p) {
    CHECK_OK(rdg_sm2_key_generate(&p->root_key));
    CHECK_OK(rdg_sm2_key_generate(&p->ca_key));
    p->root = kit_issue(RDG_CERT_KIND_ROOT, "root", p->root_key, NULL, p->root_key, NOW + 9 * YEAR);
    p->ca = kit_issue(RDG_CERT_KIND_CA, "ca", p->ca_key, p->root, p->root_key, NOW + 5 * YEAR);
    p->roots[0] = p->root;
    p->chain[0] = p->ca;
    party_make(&p->client, "client", p->ca, p->ca_key);
    party_make(&p->server, "server", p->ca, p->ca_key);
}

void pki_free(pki_t *p) {
    party_free(&p->client), party_free(&p->server);
    rdg_cert_free(p->root), rdg_cert_free(p->ca);
    rdg_sm2_key_free(p->root_key), rdg_sm2_key_free(p->ca_key);
}

rdg_tlcp_config_t kit_config(const pki_t *p, const party_t *who) {
    rdg_tlcp_config_t c = {.sign_key = who->sign_key,
                           .enc_key = who->enc_key,
                           .sign_cert = who->sign,
                           .enc_cert = who->enc,
                           .chain = p->chain,
                           .chain_count = 1,
                           .roots = p->roots,
                           .root_count = 1};
    return c;
}

void pair_make(pair_t *p, const pki_t *pki) {
    memset(p, 0, sizeof *p);
    p->client_config = kit_config(pki, &pki->client);
    p->server_config = kit_config(pki, &pki->server);
    p->client_config.peer_name = "server";
    p->server_config.peer_name = "client";
}

/* Leaves right below the root: half the signatures of a chain, for tests with thousands of handshakes. */
void pki_make_flat(pki_t *p) {
    memset(p, 0, sizeof *p);
    CHECK_OK(rdg_sm2_key_generate(&p->root_key));
    p->root = kit_issue(RDG_CERT_KIND_ROOT, "root", p->root_key, NULL, p->root_key, NOW + 9 * YEAR);
    p->roots[0] = p->root;
    party_make(&p->client, "client", p->root, p->root_key);
    party_make(&p->server, "server", p->root, p->root_key);
}

void pair_make_flat(pair_t *p, const pki_t *pki) {
    pair_make(p, pki);
    p->client_config.chain_count = p->server_config.chain_count = 0;
}

void pair_start(pair_t *p) {
    CHECK_OK(rdg_tlcp_new(&p->client_config, RDG_TLCP_CLIENT, NOW, rdg_test_random(), &p->client));
    CHECK_OK(rdg_tlcp_new(&p->server_config, RDG_TLCP_SERVER, NOW, rdg_test_random(), &p->server));
}

void pair_stop(pair_t *p) {
    rdg_tlcp_free(p->client), rdg_tlcp_free(p->server);
    p->client = p->server = NULL;
}

static bool move(rdg_tlcp_t *from, rdg_tlcp_t *to, size_t step) {
    rdg_bytes_t view = rdg_tlcp_send_view(from);
    rdg_tlcp_room_t room = rdg_tlcp_receive_room(to);
    size_t n = view.len < room.len ? view.len : room.len;
    if (n > step) n = step;
    if (n == 0) return false;
    memcpy(room.data, view.data, n);
    rdg_tlcp_receive_done(to, n);
    rdg_tlcp_send_done(from, n);
    return true;
}

void pair_run(pair_t *p, size_t step) {
    bool moved = true;
    while (moved) {
        moved = move(p->client, p->server, step);
        moved = move(p->server, p->client, step) || moved;
    }
}

void pair_open(const pair_t *p) {
    if (rdg_tlcp_state(p->client) == RDG_TLCP_FAILED) CHECK_STR(rdg_tlcp_error_text(p->client), "");
    if (rdg_tlcp_state(p->server) == RDG_TLCP_FAILED) CHECK_STR(rdg_tlcp_error_text(p->server), "");
    CHECK_EQ(rdg_tlcp_state(p->client), RDG_TLCP_OPEN);
    CHECK_EQ(rdg_tlcp_state(p->server), RDG_TLCP_OPEN);
    CHECK_EQ(rdg_tlcp_suite(p->client), rdg_tlcp_suite(p->server));
}

void pair_suite(pair_t *p, rdg_tlcp_suite_t suite) {
    p->client_config.suites[0] = p->server_config.suites[0] = suite;
    p->client_config.suite_count = p->server_config.suite_count = 1;
}

void kit_drain(rdg_tlcp_t *from, wire_t *out) {
    for (;;) {
        rdg_bytes_t view = rdg_tlcp_send_view(from);
        if (view.len == 0) return;
        if (out->size < out->len + view.len) {
            out->size = 2 * (out->len + view.len);
            out->data = rdg_realloc(out->data, out->size);
            CHECK(out->data);
        }
        memcpy(out->data + out->len, view.data, view.len);
        out->len += view.len;
        rdg_tlcp_send_done(from, view.len);
    }
}

bool kit_feed(rdg_tlcp_t *to, const uint8_t *data, size_t len, size_t step) {
    while (len > 0) {
        rdg_tlcp_room_t room = rdg_tlcp_receive_room(to);
        size_t n = room.len < len ? room.len : len;
        if (n > step) n = step;
        if (n == 0) return false;
        memcpy(room.data, data, n);
        rdg_tlcp_receive_done(to, n);
        data += n, len -= n;
    }
    return true;
}

void wire_free(wire_t *w) {
    rdg_free(w->data);
    memset(w, 0, sizeof *w);
}

size_t kit_write(rdg_tlcp_t *t, const void *data, size_t len) {
    rdg_tlcp_room_t room = rdg_tlcp_write_room(t);
    size_t n = room.len < len ? room.len : len;
    if (n) memcpy(room.data, data, n);
    rdg_tlcp_write_done(t, n);
    rdg_tlcp_flush(t);
    return n;
}

void kit_talk(rdg_tlcp_t *from, rdg_tlcp_t *to, size_t len, size_t step) {
    size_t written = 0, read = 0;
    while (read < len) {
        rdg_tlcp_room_t room = rdg_tlcp_write_room(from);
        size_t n = room.len < len - written ? room.len : len - written;
        for (size_t i = 0; i < n; i++) room.data[i] = (uint8_t)((written + i) * 7);
        rdg_tlcp_write_done(from, n);
        written += n;
        rdg_tlcp_flush(from);
        bool moved = move(from, to, step);
        rdg_bytes_t view = rdg_tlcp_read_view(to);
        if (view.len > step) view.len = step;
        for (size_t i = 0; i < view.len; i++) CHECK_EQ(view.data[i], (uint8_t)((read + i) * 7));
        read += view.len;
        rdg_tlcp_read_done(to, view.len);
        CHECK(n || moved || view.len);
    }
    CHECK_EQ(rdg_tlcp_read_view(to).len, 0);
}

/* Where the record of a flight's message of this type starts; our engines send one message a record. */
static size_t find_message(const wire_t *w, uint8_t type) {
    size_t at = 0;
    while (at + 9 <= w->len && (w->data[at] != 22 || w->data[at + 5] != type))
        at += 5 + ((size_t)w->data[at + 3] << 8 | w->data[at + 4]);
    CHECK(at + 9 <= w->len);
    return at;
}

rdg_bytes_t wire_message(const wire_t *w, uint8_t type) {
    size_t at = find_message(w, type);
    return rdg_bytes(w->data + at + 9, ((size_t)w->data[at + 3] << 8 | w->data[at + 4]) - 4);
}

void wire_replace(wire_t *w, uint8_t type, rdg_bytes_t body) {
    size_t at = find_message(w, type), after = at + 9 + wire_message(w, type).len;
    wire_t out = {rdg_alloc(w->len + body.len + 16), 0, w->len + body.len + 16};
    CHECK(out.data != NULL);
    rdg_writer_t o;
    rdg_writer_init(&o, out.data, out.size);
    rdg_write_bytes(&o, w->data, at);
    rdg_write_u8(&o, 22);
    rdg_write_u16(&o, 0x0101);
    rdg_write_u16(&o, (uint16_t)(body.len + 4));
    rdg_write_u8(&o, type);
    rdg_write_u24(&o, (uint32_t)body.len);
    rdg_write_bytes(&o, body.data, body.len);
    rdg_write_bytes(&o, w->data + after, w->len - after);
    CHECK(rdg_writer_ok(&o));
    out.len = rdg_writer_len(&o);
    wire_free(w);
    *w = out;
}
