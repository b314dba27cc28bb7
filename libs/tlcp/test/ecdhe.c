#include "kit.h"

static const rdg_tlcp_suite_t suites[] = {RDG_TLCP_ECDHE_SM4_GCM_SM3, RDG_TLCP_ECDHE_SM4_CBC_SM3};

TEST(tlcp_ecdhe_reads_the_client_key_with_and_without_its_length) {
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    for (int i = 0; i < 4; i++) {
        pair_make_flat(&p, &pki);
        pair_suite(&p, suites[i / 2]);
        p.client_config.bare_client_params = i % 2;
        pair_start(&p);
        pair_run(&p, 1000);
        pair_open(&p);
        kit_talk(p.client, p.server, 30000, 1000);
        kit_talk(p.server, p.client, 30000, 1000);
        pair_stop(&p);
    }
    pki_free(&pki);
}

/* Two runs with one random stream share hellos and pre-master secrets under ECC; nothing else. */
static void recorded_secret(rdg_tlcp_suite_t suite, uint8_t out[32]) {
    rdg_random_seeded_t random;
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    pair_suite(&p, suite);
    rdg_random_seeded_init(&random, 7);
    CHECK_OK(rdg_tlcp_new(&p.client_config, RDG_TLCP_CLIENT, NOW, &random.random, &p.client));
    CHECK_OK(rdg_tlcp_new(&p.server_config, RDG_TLCP_SERVER, NOW, &random.random, &p.server));
    pair_run(&p, 100000);
    pair_open(&p);
    memset(out, 0, 32);
    kit_write(p.client, "the same words in both of them", 31);
    rdg_bytes_t sealed = rdg_tlcp_send_view(p.client);
    memcpy(out, sealed.data + sealed.len - 32, 32);
    pair_stop(&p);
    pki_free(&pki);
}

TEST(tlcp_ecdhe_keys_come_from_the_static_keys_too) {
    uint8_t first[32], second[32];
    recorded_secret(RDG_TLCP_ECC_SM4_GCM_SM3, first);
    recorded_secret(RDG_TLCP_ECC_SM4_GCM_SM3, second);
    CHECK_MEM(first, second, 32);
    recorded_secret(RDG_TLCP_ECDHE_SM4_GCM_SM3, first);
    recorded_secret(RDG_TLCP_ECDHE_SM4_GCM_SM3, second);
    CHECK(memcmp(first, second, 32) != 0);
}

TEST(tlcp_ecdhe_is_passed_over_where_a_certificate_is_missing) {
    static const party_t nobody;
    pki_t pki;
    pair_t p;
    pki_make_flat(&pki);
    for (int missing = 0; missing < 3; missing++) {
        pair_make_flat(&p, &pki);
        if (missing == 0) p.client_config.enc_cert = NULL, p.client_config.enc_key = NULL;
        if (missing == 1) p.server_config.client_auth = RDG_TLCP_CLIENT_NONE;
        if (missing == 2) {
            p.client_config = kit_config(&pki, &nobody);
            p.client_config.chain_count = 0;
            p.server_config.client_auth = RDG_TLCP_CLIENT_OPTIONAL;
        }
        rdg_tlcp_config_t *both[] = {&p.client_config, &p.server_config};
        for (int i = 0; i < 2; i++) {
            both[i]->suites[0] = RDG_TLCP_ECDHE_SM4_GCM_SM3;
            both[i]->suites[1] = RDG_TLCP_ECC_SM4_CBC_SM3;
            both[i]->suite_count = 2;
        }
        pair_start(&p);
        pair_run(&p, 1000);
        pair_open(&p);
        CHECK_EQ(rdg_tlcp_suite(p.client), RDG_TLCP_ECC_SM4_CBC_SM3);
        CHECK_EQ(rdg_tlcp_peer(p.server) != NULL, missing == 0);
        pair_stop(&p);
    }
    pki_free(&pki);
}

TEST(tlcp_takes_a_client_with_a_sign_certificate_alone) {
    pki_t pki;
    pair_t p;
    pki_make(&pki);
    for (int order = 0; order < 2; order++) {
        pair_make(&p, &pki);
        p.client_config.enc_cert = NULL, p.client_config.enc_key = NULL;
        p.client_config.order = (rdg_tlcp_order_t)order;
        pair_start(&p);
        pair_run(&p, 1000);
        pair_open(&p);
        CHECK(rdg_cert_has_name(rdg_tlcp_peer(p.server), "client"));
        pair_stop(&p);
    }
    pki_free(&pki);
}

TEST(tlcp_tells_a_server_which_name_the_client_asked_for) {
    pki_t pki;
    pair_t p;
    char longest[RDG_TLCP_SERVER_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[RDG_TLCP_SERVER_NAME_MAX] = 0;
    const char *names[] = {NULL, "x", "cloud.example.cn", longest};
    pki_make_flat(&pki);
    pair_make_flat(&p, &pki);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        p.client_config.server_name = names[i];
        pair_start(&p);
        CHECK_STR(rdg_tlcp_server_name(p.server), "");
        pair_run(&p, 1000);
        pair_open(&p);
        CHECK_STR(rdg_tlcp_server_name(p.server), names[i] ? names[i] : "");
        pair_stop(&p);
    }
    pki_free(&pki);
}

/* The ServerKeyExchange or the ClientKeyExchange (type) with byte `at` of its body set to value. */
static void altered(const pki_t *pki, uint8_t type, size_t at, uint8_t value, rdg_tlcp_alert_t alert) {
    bool by_server = type == 12;
    pair_t p;
    pair_make_flat(&p, pki);
    pair_suite(&p, RDG_TLCP_ECDHE_SM4_GCM_SM3);
    pair_start(&p);
    for (int turn = 0; turn < 3; turn++) {
        rdg_tlcp_t *from = turn == 1 ? p.server : p.client, *to = turn == 1 ? p.client : p.server;
        wire_t flight = {0};
        kit_drain(from, &flight);
        if (turn == (by_server ? 1 : 2)) {
            size_t head = 0;
            while (flight.data[head + 5] != type)
                head += 5 + ((size_t)flight.data[head + 3] << 8 | flight.data[head + 4]);
            flight.data[head + 9 + at] = value;
        }
        kit_feed(to, flight.data, flight.len, 100000);
        wire_free(&flight);
    }
    rdg_tlcp_t *refuser = by_server ? p.client : p.server;
    CHECK_EQ(rdg_tlcp_state(refuser), RDG_TLCP_FAILED);
    CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(refuser)), rdg_tlcp_alert_name(alert));
    pair_stop(&p);
}

TEST(tlcp_ecdhe_refuses_wrong_ephemeral_keys) {
    pki_t pki;
    pki_make_flat(&pki);
    for (int server = 0; server < 2; server++) {
        uint8_t type = server ? 12 : 16;
        size_t params = server ? 0 : 2; /* behind the client's outer length */
        if (server) altered(&pki, type, params, 1, RDG_TLCP_ALERT_illegal_parameter);
        altered(&pki, type, params + 2, 23, RDG_TLCP_ALERT_illegal_parameter); /* the curve */
        altered(&pki, type, params + 3, 33, RDG_TLCP_ALERT_illegal_parameter); /* the point's length */
        altered(&pki, type, params + 3, 255, RDG_TLCP_ALERT_decode_error);
        altered(&pki, type, params + 4, 2, RDG_TLCP_ALERT_illegal_parameter);  /* compressed */
        altered(&pki, type, params + 68, 0, RDG_TLCP_ALERT_illegal_parameter); /* off the curve, or */
        altered(&pki, type, params + 68, 1, RDG_TLCP_ALERT_illegal_parameter); /* not: y's parity differs */
    }
    altered(&pki, 16, 1, 70, RDG_TLCP_ALERT_decode_error); /* the outer length */
    altered(&pki, 16, 0, 1, RDG_TLCP_ALERT_decode_error);
    pki_free(&pki);
}
