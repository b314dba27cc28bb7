#include "kit.h"
#include "prf.h"
#include "ridge/crypto/cert_cache.h"

static const rdg_tlcp_suite_t suites[] = {RDG_TLCP_ECC_SM4_GCM_SM3, RDG_TLCP_ECC_SM4_CBC_SM3,
                                          RDG_TLCP_ECDHE_SM4_GCM_SM3, RDG_TLCP_ECDHE_SM4_CBC_SM3};

/* Each suite, order and fragmentation of the transport; then data both ways in the same pieces. */
TEST(tlcp_opens_and_carries_data_in_pieces_of_any_size) {
    static const size_t steps[] = {1, 2, 5, 6, 100, 1000000, 1, 1000000};
    pki_t pki;
    pair_t p;
    pki_make(&pki);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        pair_make(&p, &pki);
        p.client_config.suites[0] = suites[i % 4];
        p.client_config.suite_count = 1;
        memcpy(p.server_config.suites, suites, sizeof suites);
        p.server_config.suite_count = 4;
        p.client_config.order = (rdg_tlcp_order_t)(i / 2 % 2);
        p.server_config.order = (rdg_tlcp_order_t)(i / 3 % 2);
        pair_start(&p);
        CHECK(!rdg_tlcp_peer(p.client) && rdg_tlcp_write_room(p.client).len == 0);
        pair_run(&p, steps[i]);
        pair_open(&p);
        CHECK_EQ(rdg_tlcp_suite(p.client), suites[i % 4]);
        CHECK(rdg_cert_has_name(rdg_tlcp_peer(p.client), "server"));
        CHECK(rdg_cert_has_name(rdg_tlcp_peer(p.server), "client"));
        kit_talk(p.client, p.server, 1, steps[i]);
        kit_talk(p.client, p.server, 40000, steps[i]);
        kit_talk(p.server, p.client, 16384, steps[i]);
        kit_talk(p.server, p.client, 17, steps[i]);
        pair_stop(&p);
    }
    pki_free(&pki);
}

/* Copies one flight, its handshake records cut or joined to `size` bytes of content each, up to the change
 * of keys. */
static void reframe(const wire_t *in, wire_t *out, size_t size) {
    static uint8_t text[65536];
    size_t at = 0, text_len = 0;
    out->size = in->len * 6 + 64;
    out->data = rdg_alloc(out->size);
    while (at < in->len && in->data[at] == 22) {
        size_t len = (size_t)in->data[at + 3] << 8 | in->data[at + 4];
        memcpy(text + text_len, in->data + at + 5, len);
        text_len += len, at += 5 + len;
    }
    for (size_t from = 0; from < text_len; from += size) {
        size_t n = text_len - from < size ? text_len - from : size;
        const uint8_t head[] = {22, 1, 1, (uint8_t)(n >> 8), (uint8_t)n};
        memcpy(out->data + out->len, head, 5);
        memcpy(out->data + out->len + 5, text + from, n);
        out->len += 5 + n;
    }
    memcpy(out->data + out->len, in->data + at, in->len - at);
    out->len += in->len - at;
}

TEST(tlcp_reads_messages_cut_and_joined_at_will) {
    static const size_t sizes[] = {1, 3, 4, 5, 250, 16384};
    pki_t pki;
    pair_t p;
    pki_make(&pki);
    pair_make(&p, &pki);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        pair_start(&p);
        for (int turn = 0; turn < 4; turn++) {
            wire_t flight = {0}, cut = {0};
            kit_drain(turn % 2 ? p.server : p.client, &flight);
            reframe(&flight, &cut, sizes[i]);
            CHECK(kit_feed(turn % 2 ? p.client : p.server, cut.data, cut.len, 100000));
            wire_free(&flight), wire_free(&cut);
        }
        pair_open(&p);
        kit_talk(p.client, p.server, 100, 100);
        pair_stop(&p);
    }
    pki_free(&pki);
}

TEST(tlcp_client_authentication_is_as_configured) {
    pki_t pki;
    pair_t p;
    pki_make(&pki);
    static const party_t nobody;
    for (int auth = RDG_TLCP_CLIENT_REQUIRED; auth <= RDG_TLCP_CLIENT_NONE; auth++) {
        for (int bare = 0; bare < 2; bare++) {
            pair_make(&p, &pki);
            p.server_config.client_auth = (rdg_tlcp_client_auth_t)auth;
            if (bare) {
                p.client_config = kit_config(&pki, &nobody);
                p.client_config.chain_count = 0;
            }
            pair_start(&p);
            pair_run(&p, 1000);
            if (auth == RDG_TLCP_CLIENT_REQUIRED && bare) {
                CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_FAILED);
                CHECK_ERR(rdg_tlcp_error(p.server), RDG_E_UNAUTHENTICATED);
                CHECK_EQ(rdg_tlcp_state(p.client), RDG_TLCP_FAILED);
                CHECK_EQ(rdg_tlcp_alert_received(p.client), RDG_TLCP_ALERT_handshake_failure);
            } else {
                pair_open(&p);
                CHECK_EQ(rdg_tlcp_peer(p.server) != NULL, !bare && auth != RDG_TLCP_CLIENT_NONE);
            }
            pair_stop(&p);
        }
    }
    pki_free(&pki);
}

/* The second handshake knows both peers' certificates already; who is refused then, is refused still. */
TEST(tlcp_opens_with_certificates_that_are_known) {
    pki_t pki, foreign;
    pair_t p;
    rdg_cert_cache_t *cache = NULL;
    pki_make(&pki), pki_make(&foreign);
    CHECK_OK(rdg_cert_cache_new(pki.roots, 1, 100, &cache));
    for (int i = 0; i < 3; i++) {
        pair_make(&p, &pki);
        p.client_config.certs = p.server_config.certs = cache;
        pair_suite(&p, suites[i]);
        pair_start(&p);
        pair_run(&p, 1000);
        pair_open(&p);
        CHECK(rdg_cert_has_name(rdg_tlcp_peer(p.server), "client"));
        pair_stop(&p);
    }
    p.client_config.peer_name = "another";
    pair_start(&p);
    pair_run(&p, 1000);
    CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(p.client)), "certificate_unknown");
    pair_stop(&p);
    rdg_tlcp_t *t;
    p.client_config.roots = foreign.roots;
    CHECK_ERR(rdg_tlcp_new(&p.client_config, RDG_TLCP_CLIENT, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    rdg_cert_cache_free(cache);
    pki_free(&pki), pki_free(&foreign);
}

TEST(tlcp_server_prefers_and_nothing_in_common_is_refused) {
    pki_t pki;
    pair_t p;
    pki_make(&pki);
    pair_make(&p, &pki);
    p.server_config.suites[0] = RDG_TLCP_ECC_SM4_CBC_SM3,
    p.server_config.suites[1] = RDG_TLCP_ECC_SM4_GCM_SM3;
    p.server_config.suite_count = 2;
    pair_start(&p);
    pair_run(&p, 1000);
    pair_open(&p);
    CHECK_EQ(rdg_tlcp_suite(p.client), RDG_TLCP_ECC_SM4_CBC_SM3);
    pair_stop(&p);
    p.server_config.suite_count = 1;
    p.client_config.suites[0] = RDG_TLCP_ECC_SM4_GCM_SM3, p.client_config.suite_count = 1;
    pair_start(&p);
    pair_run(&p, 1000);
    CHECK_EQ(rdg_tlcp_alert_sent(p.server), RDG_TLCP_ALERT_handshake_failure);
    CHECK_EQ(rdg_tlcp_alert_received(p.client), RDG_TLCP_ALERT_handshake_failure);
    pair_stop(&p);
    pki_free(&pki);
}

TEST(tlcp_refuses_configurations_that_contradict_themselves) {
    pki_t pki;
    pki_make(&pki);
    rdg_tlcp_t *t;
    rdg_tlcp_config_t good = kit_config(&pki, &pki.server), c = good;
    c.sign_key = pki.server.enc_key;
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_SERVER, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    c = good, c.root_count = 0;
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_SERVER, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_CLIENT, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    c = good, c.sign_cert = good.enc_cert, c.sign_key = good.enc_key;
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_SERVER, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    c = good, c.suites[0] = (rdg_tlcp_suite_t)0xE015, c.suite_count = 1;
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_SERVER, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    /* ECDHE alone, where the client's encryption certificate cannot come. */
    c = good, c.suites[0] = RDG_TLCP_ECDHE_SM4_GCM_SM3, c.suite_count = 1;
    c.client_auth = RDG_TLCP_CLIENT_NONE;
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_SERVER, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    c.client_auth = RDG_TLCP_CLIENT_REQUIRED, c.enc_cert = NULL, c.enc_key = NULL;
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_CLIENT, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    c = good, c.server_name = "two words";
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_CLIENT, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    c.server_name = "";
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_CLIENT, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    c = good, c.enc_cert = NULL, c.enc_key = NULL;
    CHECK_ERR(rdg_tlcp_new(&c, RDG_TLCP_SERVER, NOW, rdg_test_random(), &t), RDG_E_INVALID);
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        err = rdg_tlcp_new(&good, RDG_TLCP_CLIENT, NOW, rdg_test_random(), &t);
        rdg_tlcp_free(t);
    }
    pki_free(&pki);
}

/* openssl kdf -kdfopt digest:SM3 … TLS1-PRF, with 48 times 0b as secret and 64 times 0c as seed. */
TEST(tlcp_prf_known_answer) {
    static const uint8_t want[100] = {
        0x54, 0xe3, 0x83, 0xfa, 0x0b, 0x0c, 0x50, 0xb6, 0x1f, 0x34, 0x25, 0xe0, 0x51, 0x60, 0xba, 0x3d, 0x1f,
        0xe2, 0x22, 0xf1, 0x13, 0xcf, 0x20, 0x5c, 0x92, 0xc8, 0x1c, 0xc3, 0x27, 0xb7, 0xb4, 0xd5, 0xd7, 0x45,
        0x15, 0xb4, 0xc4, 0xd9, 0x4d, 0x36, 0x31, 0x35, 0x47, 0x93, 0x7d, 0x83, 0xcd, 0x37, 0xc4, 0x0e, 0xf6,
        0xaf, 0x16, 0x1e, 0xb5, 0x2c, 0x97, 0x3c, 0x80, 0x7e, 0x00, 0x2e, 0x24, 0xa8, 0xbe, 0x94, 0x06, 0xcf,
        0x21, 0x73, 0x52, 0x22, 0xad, 0xd2, 0x6c, 0x11, 0x9c, 0x86, 0x7a, 0xee, 0x42, 0x20, 0x83, 0xc3, 0x8d,
        0xfe, 0xf7, 0x40, 0x67, 0x7b, 0x0c, 0x21, 0xac, 0xdd, 0xde, 0x86, 0x6e, 0x34, 0x09, 0xbf};
    uint8_t secret[48], seed[64], got[100];
    memset(secret, 0x0b, sizeof secret);
    memset(seed, 0x0c, sizeof seed);
    rdg_tlcp_prf(got, sizeof got, rdg_bytes(secret, 48), "key expansion", rdg_bytes(seed, 10),
                 rdg_bytes(seed + 10, 54));
    CHECK_MEM(got, want, sizeof got);
}
