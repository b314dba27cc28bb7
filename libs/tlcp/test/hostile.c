#include "kit.h"

/* A handshake in which byte `at` of everything that goes one way is changed, or the way ends there.
 * False once `at` is past all that is said. The receiver must never open. */
static bool bent(pair_t *p, bool to_server, size_t at, uint8_t change, bool cut) {
    bool reached = false;
    size_t passed = 0;
    pair_start(p);
    for (int turn = 0; turn < 4 && !(cut && reached); turn++) {
        rdg_tlcp_t *from = turn % 2 ? p->server : p->client, *to = turn % 2 ? p->client : p->server;
        wire_t flight = {0};
        kit_drain(from, &flight);
        if ((turn % 2 == 0) == to_server) {
            if (at >= passed && at < passed + flight.len) {
                reached = true;
                if (cut)
                    flight.len = at - passed;
                else
                    flight.data[at - passed] ^= change;
            }
            passed += flight.len;
        }
        kit_feed(to, flight.data, flight.len, 100000);
        wire_free(&flight);
    }
    rdg_tlcp_t *receiver = to_server ? p->server : p->client;
    if (reached) {
        CHECK(rdg_tlcp_state(receiver) != RDG_TLCP_OPEN);
        CHECK(rdg_tlcp_write_room(receiver).len == 0);
        rdg_tlcp_transport_ended(receiver);
        CHECK_EQ(rdg_tlcp_state(receiver), RDG_TLCP_FAILED);
    }
    pair_stop(p);
    return reached;
}

static void bend_all(bool to_server, size_t first, size_t step) {
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    size_t at = first, count = 0;
    while (bent(&p, to_server, at, (uint8_t)(1u << (at % 8)), false)) at += step, count++;
    CHECK(count > 200); /* it was a whole transcript */
    pki_free(&pki);
}

static void bend_ecdhe(bool to_server) {
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    pair_suite(&p, RDG_TLCP_ECDHE_SM4_GCM_SM3);
    size_t at = 0;
    while (bent(&p, to_server, at, (uint8_t)(1u << (at % 8)), false)) at += 7;
    CHECK(at > 1000);
    pki_free(&pki);
}

TEST(tlcp_server_never_opens_after_a_changed_byte_of_ecdhe) {
    bend_ecdhe(true);
}
TEST(tlcp_client_never_opens_after_a_changed_byte_of_ecdhe) {
    bend_ecdhe(false);
}

/* DER of signatures and ciphertexts differs in length by a few bytes from run to run, so the ends may be
 * met twice or not at all; each byte in between is met. */
TEST(tlcp_server_never_opens_after_a_changed_byte_1_of_4) {
    bend_all(true, 0, 4);
}
TEST(tlcp_server_never_opens_after_a_changed_byte_2_of_4) {
    bend_all(true, 1, 4);
}
TEST(tlcp_server_never_opens_after_a_changed_byte_3_of_4) {
    bend_all(true, 2, 4);
}
TEST(tlcp_server_never_opens_after_a_changed_byte_4_of_4) {
    bend_all(true, 3, 4);
}
TEST(tlcp_client_never_opens_after_a_changed_byte_1_of_4) {
    bend_all(false, 0, 4);
}
TEST(tlcp_client_never_opens_after_a_changed_byte_2_of_4) {
    bend_all(false, 1, 4);
}
TEST(tlcp_client_never_opens_after_a_changed_byte_3_of_4) {
    bend_all(false, 2, 4);
}
TEST(tlcp_client_never_opens_after_a_changed_byte_4_of_4) {
    bend_all(false, 3, 4);
}

TEST(tlcp_never_opens_when_the_stream_ends_early) {
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    for (int to_server = 0; to_server < 2; to_server++)
        for (size_t at = 0; bent(&p, to_server, at, 0, true); at += 7) continue;
    pki_free(&pki);
}

/* Whatever byte of the sealed pre-master secret is changed, the server says the same. */
TEST(tlcp_failed_decryption_looks_like_any_wrong_finished) {
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    p.server_config.client_auth = RDG_TLCP_CLIENT_NONE; /* else its CertificateVerify tells first */
    for (size_t at = 0; at < 150; at++) {
        wire_t hello = {0}, flight = {0}, answer = {0};
        pair_start(&p);
        kit_drain(p.client, &hello);
        CHECK(kit_feed(p.server, hello.data, hello.len, 100000));
        kit_drain(p.server, &flight);
        CHECK(kit_feed(p.client, flight.data, flight.len, 100000));
        kit_drain(p.client, &answer);
        CHECK_EQ(answer.data[5], 16);
        answer.data[5 + 4 + 2 + at] ^= 0x20; /* behind record head, message head and length */
        kit_feed(p.server, answer.data, answer.len, 100000);
        CHECK_EQ(rdg_tlcp_alert_sent(p.server), RDG_TLCP_ALERT_bad_record_mac);
        CHECK_ERR(rdg_tlcp_error(p.server), RDG_E_BAD_SIGNATURE);
        CHECK_STR(rdg_tlcp_error_text(p.server), "TLCP: a record is not authentic");
        wire_free(&hello), wire_free(&flight), wire_free(&answer);
        pair_stop(&p);
    }
    pki_free(&pki);
}

/* First bytes that are no TLCP. */
TEST(tlcp_server_refuses_strangers_at_once) {
    static const struct {
        const char *bytes;
        size_t len;
        rdg_tlcp_alert_t alert;
    } rows[] = {
        {"GET / HTTP/1.1\r\n", 16, RDG_TLCP_ALERT_unexpected_message},
        {"\x16\x03\x01\x00\x05", 5, RDG_TLCP_ALERT_protocol_version},
        {"\x16\x01\x01\x40\x01", 5, RDG_TLCP_ALERT_record_overflow},
        {"\x16\x01\x01\x00\x00", 5, RDG_TLCP_ALERT_unexpected_message},
        {"\x17\x01\x01\x00\x01x", 6, RDG_TLCP_ALERT_unexpected_message},
        {"\x14\x01\x01\x00\x01\x01", 6, RDG_TLCP_ALERT_unexpected_message},
        {"\x15\x01\x01\x00\x02\x01\x5a", 7, RDG_TLCP_ALERT_unexpected_message},
        {"\x16\x01\x01\x00\x04\x14\x00\x00\x00", 9, RDG_TLCP_ALERT_unexpected_message},
        {"\x16\x01\x01\x00\x04\x01\xff\xff\xff", 9, RDG_TLCP_ALERT_handshake_failure},
        {"\x16\x01\x01\x00\x04\x01\x00\x00\x00", 9, RDG_TLCP_ALERT_decode_error},
        {"\x16\x01\x01\x00\x02\x01\x00\x14\x01\x01\x00\x01\x01", 13, RDG_TLCP_ALERT_unexpected_message},
    };
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pair_start(&p);
        kit_feed(p.server, (const uint8_t *)rows[i].bytes, rows[i].len, 1000);
        CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_FAILED);
        CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(p.server)), rdg_tlcp_alert_name(rows[i].alert));
        CHECK(rdg_tlcp_send_view(p.server).len == 7);
        pair_stop(&p);
    }
    pki_free(&pki);
}

/* A hello by hand: version, session id of 32, suites around ours, extensions that nobody knows. */
static rdg_tlcp_state_t greet(pair_t *p, uint8_t minor, uint8_t compression, uint8_t extensions) {
    uint8_t hello[128] = {22, 1, 1};
    rdg_writer_t w;
    rdg_writer_init(&w, hello + 3, sizeof hello - 3);
    static const uint8_t zeros[32];
    static const uint8_t suites[] = {0xc0, 0x2f, 0xe0, 0x53, 0x00, 0xff};
    rdg_write_u16(&w, 4 + 2 + 32 + 33 + 8 + 2 + 2 + 8);
    rdg_write_u8(&w, 1);
    rdg_write_u24(&w, 2 + 32 + 33 + 8 + 2 + 2 + 8);
    rdg_write_u8(&w, 1), rdg_write_u8(&w, minor);
    rdg_write_bytes(&w, zeros, 32);
    rdg_write_u8(&w, 32), rdg_write_bytes(&w, zeros, 32);
    rdg_write_u16(&w, 6), rdg_write_bytes(&w, suites, 6);
    rdg_write_u8(&w, 1), rdg_write_u8(&w, compression);
    rdg_write_u16(&w, extensions);
    rdg_write_u16(&w, 0x7777), rdg_write_u16(&w, 4), rdg_write_u32(&w, 1);
    CHECK(rdg_writer_ok(&w));
    pair_start(p);
    kit_feed(p->server, hello, 3 + rdg_writer_len(&w), 1000);
    rdg_tlcp_state_t state = rdg_tlcp_state(p->server);
    pair_stop(p);
    return state;
}

TEST(tlcp_server_passes_over_unknown_extensions_and_refuses_other_versions) {
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    CHECK_EQ(greet(&p, 1, 0, 8), RDG_TLCP_HANDSHAKE);
    CHECK_EQ(greet(&p, 2, 0, 8), RDG_TLCP_FAILED);
    CHECK_EQ(greet(&p, 1, 1, 8), RDG_TLCP_FAILED);
    CHECK_EQ(greet(&p, 1, 0, 7), RDG_TLCP_FAILED);
    pki_free(&pki);
}
