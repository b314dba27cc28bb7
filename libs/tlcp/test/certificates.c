#include "kit.h"

/* Runs a handshake and wants `refuser` to refuse the other with this alert and code. */
static void refused(pair_t *p, bool by_client, rdg_tlcp_alert_t alert, rdg_err_t code) {
    pair_start(p);
    pair_run(p, 100000);
    rdg_tlcp_t *refuser = by_client ? p->client : p->server, *other = by_client ? p->server : p->client;
    CHECK_EQ(rdg_tlcp_state(refuser), RDG_TLCP_FAILED);
    CHECK_ERR(rdg_tlcp_error(refuser), code);
    CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(refuser)), rdg_tlcp_alert_name(alert));
    CHECK_EQ(rdg_tlcp_alert_received(other), alert);
    CHECK_EQ(rdg_tlcp_state(other), RDG_TLCP_FAILED);
    CHECK(!rdg_tlcp_peer(refuser) && rdg_tlcp_write_room(refuser).len == 0);
    pair_stop(p);
}

static void exchange(party_t *a, bool sign, rdg_cert_t *with) {
    rdg_cert_t **place = sign ? &a->sign : &a->enc;
    rdg_cert_free(*place);
    *place = with;
}

static rdg_cert_t *reissue(const pki_t *pki, const party_t *who, const char *name, bool sign,
                           int64_t until_s) {
    return kit_issue(sign ? RDG_CERT_KIND_SIGN : RDG_CERT_KIND_ENCRYPT, name,
                     sign ? who->sign_key : who->enc_key, pki->ca, pki->ca_key, until_s);
}

TEST(tlcp_refuses_an_expired_certificate_of_either_kind) {
    for (int sign = 0; sign < 2; sign++) {
        pki_t pki;
        pair_t p;
        pki_make(&pki);
        exchange(&pki.server, sign, reissue(&pki, &pki.server, "server", sign, NOW - 1));
        pair_make(&p, &pki);
        refused(&p, true, RDG_TLCP_ALERT_certificate_expired, RDG_E_EXPIRED);
        exchange(&pki.server, sign, reissue(&pki, &pki.server, "server", sign, NOW + 1));
        exchange(&pki.client, sign, reissue(&pki, &pki.client, "client", sign, NOW - 1));
        pair_make(&p, &pki);
        refused(&p, false, RDG_TLCP_ALERT_certificate_expired, RDG_E_EXPIRED);
        pki_free(&pki);
    }
}

TEST(tlcp_refuses_a_foreign_ca_on_both_sides) {
    pki_t pki, foreign;
    pair_t p;
    pki_make(&pki), pki_make(&foreign);
    pair_make(&p, &pki);
    p.client_config.roots = foreign.roots;
    pair_start(&p);
    pair_run(&p, 100000);
    CHECK_EQ(rdg_tlcp_state(p.client), RDG_TLCP_FAILED);
    CHECK_ERR(rdg_tlcp_error(p.client), RDG_E_UNAUTHENTICATED);
    pair_stop(&p);
    pair_make(&p, &pki);
    p.server_config.chain_count = 0; /* the issuing CA is missing */
    refused(&p, true, RDG_TLCP_ALERT_unknown_ca, RDG_E_UNAUTHENTICATED);
    pair_make(&p, &pki);
    p.client_config.chain_count = 0;
    refused(&p, false, RDG_TLCP_ALERT_unknown_ca, RDG_E_UNAUTHENTICATED);
    pki_free(&pki), pki_free(&foreign);
}

TEST(tlcp_refuses_another_name_and_an_unwelcome_peer) {
    pki_t pki;
    pair_t p;
    pki_make(&pki);
    pair_make(&p, &pki);
    p.client_config.peer_name = "another";
    refused(&p, true, RDG_TLCP_ALERT_certificate_unknown, RDG_E_UNAUTHENTICATED);
    pki_free(&pki);
}

static rdg_err_t nobody_is_welcome(void *ctx, const rdg_cert_t *sign_cert, const rdg_cert_t *enc_cert) {
    CHECK(rdg_cert_has_name(sign_cert, "client") && rdg_cert_allows(sign_cert, RDG_CERT_SIGN));
    CHECK(rdg_cert_has_name(enc_cert, "client") && rdg_cert_allows(enc_cert, RDG_CERT_ENCRYPT));
    return *(rdg_err_t *)ctx;
}

TEST(tlcp_asks_its_caller_for_the_last_word) {
    pki_t pki;
    pair_t p;
    pki_make(&pki);
    pair_make(&p, &pki);
    rdg_err_t answer = RDG_E_FORBIDDEN;
    p.server_config.accept_peer = nobody_is_welcome;
    p.server_config.accept_ctx = &answer;
    refused(&p, false, RDG_TLCP_ALERT_certificate_revoked, RDG_E_UNAUTHENTICATED);
    answer = RDG_E_NOT_FOUND;
    refused(&p, false, RDG_TLCP_ALERT_access_denied, RDG_E_UNAUTHENTICATED);
    pki_free(&pki);
}

/* Replaces the list in the server's Certificate message by these certificates. */
static void forge_certificates(wire_t *flight, const rdg_cert_t *const *certs, size_t count) {
    uint8_t message[32768], list[3];
    rdg_writer_t w, head;
    rdg_writer_init(&w, message, sizeof message);
    rdg_write_u24(&w, 0);
    for (size_t i = 0; i < count; i++) {
        rdg_bytes_t der = rdg_cert_der(certs[i]);
        rdg_write_u24(&w, (uint32_t)der.len);
        rdg_write_bytes(&w, der.data, der.len);
    }
    rdg_writer_init(&head, list, sizeof list);
    rdg_write_u24(&head, (uint32_t)(rdg_writer_len(&w) - 3));
    memcpy(message, list, sizeof list);
    wire_replace(flight, 11, rdg_bytes(message, rdg_writer_len(&w)));
}

static void forged(const pki_t *pki, const rdg_cert_t *const *certs, size_t count, rdg_tlcp_alert_t alert) {
    pair_t p;
    wire_t hello = {0}, flight = {0};
    pair_make(&p, pki);
    pair_start(&p);
    kit_drain(p.client, &hello);
    CHECK(kit_feed(p.server, hello.data, hello.len, 100000));
    kit_drain(p.server, &flight);
    forge_certificates(&flight, certs, count);
    kit_feed(p.client, flight.data, flight.len, 100000);
    CHECK_EQ(rdg_tlcp_state(p.client), RDG_TLCP_FAILED);
    CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(p.client)), rdg_tlcp_alert_name(alert));
    wire_free(&hello), wire_free(&flight);
    pair_stop(&p);
}

TEST(tlcp_refuses_wrong_lists_of_certificates) {
    pki_t pki;
    pki_make(&pki);
    const party_t *s = &pki.server;
    const rdg_cert_t *swapped[] = {s->enc, s->sign, pki.ca}, *twice[] = {s->sign, s->sign, pki.ca};
    const rdg_cert_t *ca_first[] = {pki.ca, s->enc, s->sign}, *no_enc[] = {s->sign, pki.ca};
    const rdg_cert_t *other_enc[] = {s->sign, pki.client.enc, pki.ca};
    const rdg_cert_t *many[] = {s->sign, s->enc, pki.ca, pki.ca, pki.ca, pki.ca, pki.ca, pki.ca, pki.ca};
    forged(&pki, swapped, 3, RDG_TLCP_ALERT_unsupported_certificate);
    forged(&pki, twice, 3, RDG_TLCP_ALERT_unsupported_certificate);
    forged(&pki, ca_first, 3, RDG_TLCP_ALERT_unsupported_certificate);
    forged(&pki, no_enc, 2, RDG_TLCP_ALERT_bad_certificate);
    forged(&pki, swapped, 1, RDG_TLCP_ALERT_bad_certificate);
    forged(&pki, swapped, 0, RDG_TLCP_ALERT_bad_certificate);
    forged(&pki, many, 9, RDG_TLCP_ALERT_bad_certificate);
    /* Valid both, but the server's signature names another encryption certificate. */
    forged(&pki, other_enc, 3, RDG_TLCP_ALERT_decrypt_error);
    pki_free(&pki);
}

TEST(tlcp_trusts_a_root_by_its_fingerprint_only_if_it_is_sent_and_leads_there) {
    pki_t pki, foreign;
    pair_t p;
    rdg_hash_t pin;
    pki_make(&pki), pki_make(&foreign);
    rdg_cert_fingerprint(pki.root, &pin);
    const rdg_cert_t *whole[2] = {pki.ca, pki.root};
    pair_make(&p, &pki);
    p.client_config.roots = NULL, p.client_config.root_count = 0;
    p.client_config.root_pin = &pin;
    p.server_config.chain = whole, p.server_config.chain_count = 2;
    pair_start(&p);
    pair_run(&p, 100000);
    CHECK_EQ(rdg_tlcp_state(p.client), RDG_TLCP_OPEN);
    const rdg_cert_t *found = rdg_tlcp_pinned_root(p.client);
    CHECK(found && rdg_bytes_equal(rdg_cert_der(found), rdg_cert_der(pki.root)));
    pair_stop(&p);
    p.server_config.chain_count = 1; /* the root is not sent */
    refused(&p, true, RDG_TLCP_ALERT_unknown_ca, RDG_E_UNAUTHENTICATED);
    whole[1] = foreign.root; /* another is */
    p.server_config.chain_count = 2;
    refused(&p, true, RDG_TLCP_ALERT_unknown_ca, RDG_E_UNAUTHENTICATED);
    /* The right root beside certificates that do not lead to it. */
    const rdg_cert_t *borrowed[2] = {foreign.ca, pki.root};
    pair_make(&p, &foreign);
    p.client_config = kit_config(&pki, &pki.client);
    p.client_config.roots = NULL, p.client_config.root_count = 0;
    p.client_config.root_pin = &pin;
    p.server_config.chain = borrowed, p.server_config.chain_count = 2;
    refused(&p, true, RDG_TLCP_ALERT_unknown_ca, RDG_E_UNAUTHENTICATED);
    rdg_tlcp_t *t = NULL;
    p.client_config.roots = pki.roots, p.client_config.root_count = 1;
    CHECK_ERR(rdg_tlcp_new(&p.client_config, RDG_TLCP_CLIENT, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    pki_free(&pki), pki_free(&foreign);
}
