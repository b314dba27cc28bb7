#include "kit.h"
#include "ridge/tlcp/sessions.h"

typedef struct two {
    pki_t pki;
    pair_t p;
    rdg_tlcp_sessions_t *client, *server;
} two_t;

static void two_make(two_t *t) {
    pki_make_flat(&t->pki);
    pair_make_flat(&t->p, &t->pki);
    CHECK_OK(rdg_tlcp_sessions_new(4, 3600, &t->client));
    CHECK_OK(rdg_tlcp_sessions_new(100, 3600, &t->server));
    t->p.client_config.sessions = t->client;
    t->p.server_config.sessions = t->server;
}

static void two_free(two_t *t) {
    rdg_tlcp_sessions_free(t->client), rdg_tlcp_sessions_free(t->server);
    pki_free(&t->pki);
}

static void start_at(pair_t *p, int64_t now_s) {
    CHECK_OK(rdg_tlcp_new(&p->client_config, RDG_TLCP_CLIENT, now_s, rdg_test_random(), &p->client));
    CHECK_OK(rdg_tlcp_new(&p->server_config, RDG_TLCP_SERVER, now_s, rdg_test_random(), &p->server));
}

/* A handshake of either kind, with data both ways; whether it was resumed. */
static bool connect_at(two_t *t, int64_t now_s, size_t step) {
    pair_t *p = &t->p;
    start_at(p, now_s);
    pair_run(p, step);
    pair_open(p);
    CHECK_EQ(rdg_tlcp_resumed(p->client), rdg_tlcp_resumed(p->server));
    bool resumed = rdg_tlcp_resumed(p->client);
    CHECK(rdg_cert_has_name(rdg_tlcp_peer(p->client), "server"));
    if (p->server_config.client_auth == RDG_TLCP_CLIENT_REQUIRED)
        CHECK(rdg_cert_has_name(rdg_tlcp_peer(p->server), "client"));
    kit_talk(p->client, p->server, 20000, step);
    kit_talk(p->server, p->client, 100, step);
    pair_stop(p);
    return resumed;
}

TEST(tlcp_resumes_with_every_suite_and_in_pieces) {
    static const rdg_tlcp_suite_t suites[] = {RDG_TLCP_ECC_SM4_GCM_SM3, RDG_TLCP_ECC_SM4_CBC_SM3,
                                              RDG_TLCP_ECDHE_SM4_GCM_SM3, RDG_TLCP_ECDHE_SM4_CBC_SM3};
    static const size_t steps[] = {1, 7, 1000000};
    two_t t;
    two_make(&t);
    for (size_t i = 0; i < 4; i++) {
        pair_suite(&t.p, suites[i]);
        CHECK(!connect_at(&t, NOW, 1000));
        for (size_t s = 0; s < 3; s++) CHECK(connect_at(&t, NOW + 1, steps[s]));
    }
    CHECK_EQ(rdg_tlcp_sessions_count(t.client), 4);
    CHECK_EQ(rdg_tlcp_sessions_count(t.server), 4);
    two_free(&t);
}

TEST(tlcp_resumes_a_client_without_certificates) {
    static const party_t nobody;
    two_t t;
    two_make(&t);
    t.p.client_config = kit_config(&t.pki, &nobody);
    t.p.client_config.chain_count = 0, t.p.client_config.sessions = t.client;
    t.p.server_config.client_auth = RDG_TLCP_CLIENT_OPTIONAL;
    CHECK(!connect_at(&t, NOW, 1000));
    CHECK(connect_at(&t, NOW, 1000));
    two_free(&t);
}

TEST(tlcp_sessions_end_with_their_time_and_with_the_certificates) {
    two_t t;
    two_make(&t);
    CHECK(!connect_at(&t, NOW, 1000));
    CHECK(connect_at(&t, NOW + 3599, 1000));
    CHECK(!connect_at(&t, NOW + 3600, 1000)); /* resuming prolonged nothing */
    CHECK(connect_at(&t, NOW + 3601, 1000));
    CHECK(!connect_at(&t, NOW + 3000, 1000)); /* the clock went back */

    /* The peer's encryption certificate is the first to expire. */
    rdg_cert_free(t.pki.server.enc);
    t.pki.server.enc = kit_issue(RDG_CERT_KIND_ENCRYPT, "server", t.pki.server.enc_key, t.pki.root,
                                 t.pki.root_key, NOW + 100);
    t.p.server_config.enc_cert = t.pki.server.enc;
    rdg_tlcp_sessions_clear(t.client);
    CHECK(!connect_at(&t, NOW, 1000));
    CHECK(connect_at(&t, NOW + 99, 1000));
    start_at(&t.p, NOW + 101);
    pair_run(&t.p, 1000);
    CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(t.p.client)), "certificate_expired");
    pair_stop(&t.p);
    two_free(&t);
}

typedef struct last_word {
    rdg_err_t answer;
    int asked;
    const rdg_cert_t *enc; /* that the peer shows; the same one at a resumption */
} last_word_t;

static rdg_err_t last_word(void *ctx, const rdg_cert_t *cert, const rdg_cert_t *enc) {
    last_word_t *w = ctx;
    CHECK(cert != NULL && enc != NULL && enc != cert);
    if (w->enc) CHECK(rdg_bytes_equal(rdg_cert_der(enc), rdg_cert_der(w->enc)));
    w->asked++;
    return w->answer;
}

/* Revocation between two connections: asked at the resumption, refused in the whole handshake after it. */
TEST(tlcp_does_not_resume_whom_accept_peer_refuses_now) {
    for (int client_asks = 0; client_asks < 2; client_asks++) {
        two_t t;
        two_make(&t);
        const rdg_tlcp_config_t *shows = client_asks ? &t.p.server_config : &t.p.client_config;
        last_word_t word = {RDG_OK, 0, shows->enc_cert};
        rdg_tlcp_config_t *asker = client_asks ? &t.p.client_config : &t.p.server_config;
        asker->accept_peer = last_word, asker->accept_ctx = &word;
        CHECK(!connect_at(&t, NOW, 1000));
        CHECK(connect_at(&t, NOW, 1000));
        CHECK_EQ(word.asked, 2);
        word.answer = RDG_E_FORBIDDEN;
        start_at(&t.p, NOW);
        pair_run(&t.p, 1000);
        rdg_tlcp_t *refuser = client_asks ? t.p.client : t.p.server;
        CHECK_EQ(word.asked, 4);
        CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(refuser)), "certificate_revoked");
        CHECK(!rdg_tlcp_peer(refuser));
        pair_stop(&t.p);
        CHECK_EQ(rdg_tlcp_sessions_count(client_asks ? t.client : t.server), 0);
        word.answer = RDG_OK;
        CHECK(!connect_at(&t, NOW, 1000));
        two_free(&t);
    }
}

/* Each change makes the next handshake whole, on the side that it belongs to. */
TEST(tlcp_never_resumes_across_a_change_of_configuration) {
    for (int change = 0; change < 10; change++) {
        two_t t;
        pki_t other;
        two_make(&t);
        pki_make_flat(&other);
        const rdg_cert_t *more[] = {t.pki.root, other.root};
        rdg_tlcp_config_t *c = &t.p.client_config, *s = &t.p.server_config;
        CHECK(!connect_at(&t, NOW, 1000));
        CHECK(connect_at(&t, NOW, 1000));
        if (change == 0) c->roots = more, c->root_count = 2;
        if (change == 1) s->roots = more, s->root_count = 2;
        if (change == 2) c->peer_name = NULL;
        if (change == 3) s->peer_name = NULL;
        if (change == 4) s->client_auth = RDG_TLCP_CLIENT_OPTIONAL;
        if (change == 5) c->server_name = "another";
        if (change == 6) c->enc_cert = NULL, c->enc_key = NULL;
        if (change == 7) s->suites[0] = RDG_TLCP_ECC_SM4_CBC_SM3, s->suite_count = 1;
        if (change == 9) c->session_scope = rdg_bytes_str("another peer");
        if (change == 8) c->suites[0] = RDG_TLCP_ECC_SM4_CBC_SM3, c->suite_count = 1;
        CHECK(!connect_at(&t, NOW, 1000));
        CHECK(connect_at(&t, NOW, 1000));
        pki_free(&other);
        two_free(&t);
    }
}

TEST(tlcp_a_server_that_forgot_makes_a_whole_handshake) {
    two_t t;
    two_make(&t);
    CHECK(!connect_at(&t, NOW, 1000));
    rdg_tlcp_sessions_clear(t.server);
    CHECK(!connect_at(&t, NOW, 1000));
    CHECK(connect_at(&t, NOW, 1000));
    t.p.server_config.sessions = NULL; /* the server's id is empty from now on */
    CHECK(!connect_at(&t, NOW, 1000));
    CHECK_EQ(rdg_tlcp_sessions_count(t.client), 0);
    two_free(&t);
}

TEST(tlcp_sessions_are_bounded_and_the_oldest_goes_first) {
    two_t t;
    two_make(&t);
    rdg_tlcp_sessions_free(t.server);
    CHECK_OK(rdg_tlcp_sessions_new(2, 100, &t.server));
    t.p.server_config.sessions = t.server;
    rdg_tlcp_sessions_t *kept[3];
    for (int i = 0; i < 3; i++) {
        CHECK_OK(rdg_tlcp_sessions_new(1, 100, &kept[i]));
        t.p.client_config.sessions = kept[i];
        CHECK(!connect_at(&t, NOW, 1000));
    }
    CHECK_EQ(rdg_tlcp_sessions_count(t.server), 2);
    for (int i = 2; i >= 0; i--) {
        t.p.client_config.sessions = kept[i];
        CHECK_EQ(connect_at(&t, NOW, 1000), i != 0);
        rdg_tlcp_sessions_free(kept[i]);
    }
    two_free(&t);
    rdg_tlcp_sessions_t *s;
    CHECK_ERR(rdg_tlcp_sessions_new(0, 100, &s), RDG_E_INVALID);
    CHECK_ERR(rdg_tlcp_sessions_new(1, 0, &s), RDG_E_INVALID);
    CHECK_ERR(rdg_tlcp_sessions_new(1, RDG_TLCP_SESSION_SECONDS_MAX + 1, &s), RDG_E_INVALID);
    CHECK_ERR(rdg_tlcp_sessions_new(RDG_TLCP_SESSIONS_MAX + 1, 1, &s), RDG_E_INVALID);
}

/* Clients of one configuration that reach several peers keep a session of each, and no peer gets another's. */
TEST(tlcp_a_client_keeps_a_session_of_each_scope) {
    two_t t;
    rdg_tlcp_sessions_t *servers[2];
    two_make(&t);
    for (int i = 0; i < 2; i++) CHECK_OK(rdg_tlcp_sessions_new(4, 3600, &servers[i]));
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 2; i++) {
            t.p.server_config.sessions = servers[i];
            t.p.client_config.session_scope = rdg_bytes_str(i ? "one" : "two");
            CHECK_EQ(connect_at(&t, NOW, 1000), round > 0);
        }
    CHECK_EQ(rdg_tlcp_sessions_count(t.client), 2);
    for (int i = 0; i < 2; i++) rdg_tlcp_sessions_free(servers[i]);
    two_free(&t);
}

/* Whoever wants to can have sessions without a certificate, any number of them. */
TEST(tlcp_clients_without_certificates_cost_no_other_its_session) {
    static const party_t nobody;
    two_t t;
    two_make(&t);
    rdg_tlcp_sessions_free(t.server);
    CHECK_OK(rdg_tlcp_sessions_new(3, 100, &t.server));
    t.p.server_config.sessions = t.server;
    t.p.server_config.client_auth = RDG_TLCP_CLIENT_OPTIONAL;
    rdg_tlcp_config_t known = t.p.client_config, nameless = kit_config(&t.pki, &nobody);
    nameless.chain_count = 0;
    rdg_tlcp_sessions_t *kept[4];
    for (int i = 0; i < 4; i++) CHECK_OK(rdg_tlcp_sessions_new(1, 100, &kept[i]));
    known.sessions = kept[0];
    t.p.client_config = known;
    CHECK(!connect_at(&t, NOW, 1000));
    for (int i = 1; i < 4; i++) {
        t.p.client_config = nameless, t.p.client_config.sessions = kept[i];
        CHECK(!connect_at(&t, NOW, 1000));
    }
    CHECK_EQ(rdg_tlcp_sessions_count(t.server), 3);
    for (int i = 3; i >= 1; i--) {
        t.p.client_config = nameless, t.p.client_config.sessions = kept[i];
        CHECK_EQ(connect_at(&t, NOW, 1000), i != 1); /* the oldest without a certificate has gone */
    }
    t.p.client_config = known;
    CHECK(connect_at(&t, NOW, 1000));
    /* Three with certificates leave no place for one without. */
    for (int i = 1; i < 3; i++) {
        t.p.client_config = known, t.p.client_config.sessions = kept[i];
        rdg_tlcp_sessions_clear(kept[i]);
        CHECK(!connect_at(&t, NOW, 1000));
    }
    rdg_tlcp_sessions_clear(kept[3]);
    for (int i = 0; i < 2; i++) {
        t.p.client_config = nameless, t.p.client_config.sessions = kept[3];
        CHECK(!connect_at(&t, NOW, 1000));
    }
    t.p.client_config = known;
    CHECK(connect_at(&t, NOW, 1000));
    CHECK_EQ(rdg_tlcp_sessions_count(t.server), 3);
    for (int i = 0; i < 4; i++) rdg_tlcp_sessions_free(kept[i]);
    two_free(&t);
}

/* A connection that was cut may be resumed; one that ended with a fatal alert may not. */
TEST(tlcp_a_fatal_alert_ends_the_session_and_a_cut_does_not) {
    two_t t;
    two_make(&t);
    start_at(&t.p, NOW);
    pair_run(&t.p, 1000);
    pair_open(&t.p);
    rdg_tlcp_transport_ended(t.p.client), rdg_tlcp_transport_ended(t.p.server);
    pair_stop(&t.p);
    CHECK_EQ(rdg_tlcp_sessions_count(t.client) + rdg_tlcp_sessions_count(t.server), 2);
    start_at(&t.p, NOW);
    pair_run(&t.p, 1000);
    CHECK(rdg_tlcp_resumed(t.p.server));
    static const uint8_t rubbish[5 + 30] = {23, 1, 1, 0, 30};
    CHECK(kit_feed(t.p.server, rubbish, sizeof rubbish, 100));
    CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(t.p.server)), "bad_record_mac");
    pair_run(&t.p, 1000);
    CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_received(t.p.client)), "bad_record_mac");
    CHECK_EQ(rdg_tlcp_sessions_count(t.client) + rdg_tlcp_sessions_count(t.server), 0);
    pair_stop(&t.p);
    two_free(&t);
}

/* Byte `at` of what goes one way in a resumption is changed, or the way ends there: the receiver never opens,
 * and a client does not try the same session again. False once `at` is past all that is said. */
static bool bent(two_t *t, bool to_server, size_t at, bool cut) {
    bool reached = false;
    size_t passed = 0;
    CHECK(!connect_at(t, NOW, 100000));
    start_at(&t->p, NOW);
    for (int turn = 0; turn < 3 && !(cut && reached); turn++) {
        rdg_tlcp_t *from = turn % 2 ? t->p.server : t->p.client, *to = turn % 2 ? t->p.client : t->p.server;
        wire_t flight = {0};
        kit_drain(from, &flight);
        if ((turn % 2 == 0) == to_server) {
            if (at >= passed && at < passed + flight.len) {
                reached = true;
                if (cut)
                    flight.len = at - passed;
                else
                    flight.data[at - passed] ^= (uint8_t)(1u << (at % 8));
            }
            passed += flight.len;
        }
        kit_feed(to, flight.data, flight.len, 100000);
        wire_free(&flight);
    }
    rdg_tlcp_t *receiver = to_server ? t->p.server : t->p.client;
    if (reached) {
        CHECK(rdg_tlcp_state(receiver) != RDG_TLCP_OPEN && !rdg_tlcp_peer(receiver));
        rdg_tlcp_transport_ended(receiver);
        CHECK_EQ(rdg_tlcp_state(receiver), RDG_TLCP_FAILED);
        if (!to_server) CHECK_EQ(rdg_tlcp_sessions_count(t->client), 0);
    }
    pair_stop(&t->p);
    rdg_tlcp_sessions_clear(t->client);
    return reached;
}

static void bend_all(bool to_server, bool cut) {
    two_t t;
    two_make(&t);
    size_t at = 0;
    while (bent(&t, to_server, at, cut)) at++;
    CHECK(at >= 130); /* hello and Finished */
    two_free(&t);
}

TEST(tlcp_server_never_resumes_after_a_changed_byte) {
    bend_all(true, false);
}
TEST(tlcp_client_never_resumes_after_a_changed_byte) {
    bend_all(false, false);
}
TEST(tlcp_server_never_resumes_when_the_stream_ends_early) {
    bend_all(true, true);
}
TEST(tlcp_client_never_resumes_when_the_stream_ends_early) {
    bend_all(false, true);
}

TEST(tlcp_sessions_survive_a_lack_of_memory) {
    two_t t;
    rdg_err_t err;
    two_make(&t);
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_tlcp_sessions_t *s = NULL;
        err = rdg_tlcp_sessions_new(3, 60, &s);
        rdg_tlcp_sessions_free(s);
    }
    two_free(&t);
}
