/* Reconnections resume the session of the last link; nobody gets in by it who would not get in without it. */
#include "ridge/net/tlcp_stream.h"
#include "tlcp_kit.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HOUR 3600 /* certificates of the kit begin an hour ago */
#define DAY 86400

typedef struct pair {
    tlcp_kit_t kit;
    rdg_loop_t *loop;
    rdg_listener_t *listener;
    rdg_tlcp_end_t client, server;
    int open, over; /* of two */
    bool client_resumed, server_resumed, knows_peer;
    rdg_err_t client_err, server_err;
    char server_text[RDG_ERROR_TEXT_MAX];
} pair_t;

static void count(pair_t *p, int *counter) {
    ++*counter;
    if (p->open == 2 || p->over == 2) rdg_loop_stop(p->loop);
}

static void on_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    (void)ctx, (void)s, (void)bytes;
}
static void on_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    pair_t *p = ctx;
    (void)s;
    if (why != RDG_OK && p->client_err == RDG_OK) p->client_err = why;
    count(p, &p->over);
}
static const rdg_stream_events_t events = {on_data, on_closed, NULL};

static rdg_stream_t *ends[2];

static void server_open(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    pair_t *p = ctx;
    p->server_err = err;
    if (!s) {
        snprintf(p->server_text, sizeof p->server_text, "%s", rdg_err_message(err));
        count(p, &p->over);
        return;
    }
    p->server_resumed = rdg_tlcp_stream_resumed(s);
    p->knows_peer = rdg_tlcp_stream_peer(s) && rdg_cert_has_name(rdg_tlcp_stream_peer(s), "client");
    rdg_stream_set_events(s, &events, p);
    ends[0] = s;
    count(p, &p->open);
}

static void client_open(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    pair_t *p = ctx;
    p->client_err = err;
    if (!s) {
        count(p, &p->over);
        return;
    }
    p->client_resumed = rdg_tlcp_stream_resumed(s);
    CHECK(rdg_cert_has_name(rdg_tlcp_stream_peer(s), "server"));
    rdg_stream_set_events(s, &events, p);
    ends[1] = s;
    count(p, &p->open);
}

static void on_accept(void *ctx, rdg_stream_t *s) {
    pair_t *p = ctx;
    CHECK_OK(rdg_tlcp_stream_open(p->loop, s, &p->server, server_open, p, NULL));
}

static void pair_make(pair_t *p) {
    memset(p, 0, sizeof *p);
    tlcp_kit_make(&p->kit);
    p->client = (rdg_tlcp_end_t){.role = RDG_TLCP_CLIENT, .peer_name = "server", .timeout_ms = 60000};
    p->server = (rdg_tlcp_end_t){.role = RDG_TLCP_SERVER, .timeout_ms = 60000};
    p->client.identity = tlcp_kit_identity(&p->kit, "client", DAY);
    p->server.identity = tlcp_kit_identity(&p->kit, "server", DAY);
    CHECK_OK(rdg_loop_new(&p->loop));
    CHECK_OK(rdg_listen(p->loop, NULL, 0, on_accept, p, &p->listener));
}

static void pair_free(pair_t *p) {
    rdg_loop_free(p->loop);
    rdg_tlcp_identity_unref(p->client.identity);
    rdg_tlcp_identity_unref(p->server.identity);
    tlcp_kit_free(&p->kit);
    CHECK_EQ(rdg_alloc_live(), 0);
}

/* Both ends open and close again, or one refuses. */
static bool link_up(pair_t *p) {
    p->open = p->over = 0;
    p->client_err = p->server_err = RDG_OK;
    CHECK_OK(rdg_tlcp_stream_connect(p->loop, "127.0.0.1", rdg_listener_port(p->listener), 60000, &p->client,
                                     client_open, p));
    CHECK_OK(rdg_loop_run(p->loop));
    if (p->open < 2) return false;
    rdg_stream_close(ends[1]);
    CHECK_OK(rdg_loop_run(p->loop));
    CHECK_EQ(p->client_resumed, p->server_resumed);
    return true;
}

static bool resumes(pair_t *p) {
    CHECK(link_up(p));
    return p->client_resumed;
}

static void replace(rdg_tlcp_identity_t **identity, rdg_tlcp_identity_t *next) {
    rdg_tlcp_identity_unref(*identity);
    *identity = next;
}

TEST(tlcp_links_resume_and_still_know_their_peers) {
    pair_t p;
    pair_make(&p);
    CHECK(!resumes(&p));
    for (int i = 0; i < 3; ++i) {
        p.knows_peer = false;
        CHECK(resumes(&p));
        CHECK(p.knows_peer);
    }
    CHECK_EQ(rdg_tlcp_identity_sessions(p.client.identity), 1);
    CHECK_EQ(rdg_tlcp_identity_sessions(p.server.identity), 1);
    pair_free(&p);
}

static rdg_err_t ask(void *ctx, const rdg_cert_t *peer, const rdg_cert_t *enc) {
    int *asked = ctx;
    CHECK(peer != NULL && enc != NULL);
    return *asked += 1, *asked < 100 ? RDG_OK : rdg_fail(RDG_E_FORBIDDEN, "this certificate is revoked");
}

/* The answer of a rule changes, as that of a cloud which looks into its register. */
TEST(tlcp_links_refuse_a_peer_that_was_revoked_since_its_session_began) {
    pair_t p;
    int asked = 0;
    rdg_tlcp_identity_t *next = NULL;
    pair_make(&p);
    const rdg_tlcp_rule_t rule = {ask, &asked, NULL};
    CHECK_OK(rdg_tlcp_identity_with_rule(p.server.identity, &rule, &next));
    replace(&p.server.identity, next);
    CHECK(!resumes(&p));
    CHECK(resumes(&p));
    CHECK_EQ(asked, 2);
    asked = 100;
    CHECK(!link_up(&p));
    CHECK_EQ(asked, 102); /* for the session, then in the whole handshake */
    CHECK_ERR(p.server_err, RDG_E_UNAUTHENTICATED);
    CHECK(strstr(p.server_text, "alert 44 sent") && strstr(p.server_text, "is revoked"));
    CHECK_EQ(rdg_tlcp_identity_sessions(p.server.identity), 0);
    asked = 0;
    CHECK(!resumes(&p));
    pair_free(&p);
}

/* Another rule over the same certificates, as a mesh makes when its peers change. */
TEST(tlcp_links_ask_the_new_rule_about_sessions_of_the_old_one) {
    for (int client_side = 0; client_side < 2; ++client_side) {
        pair_t p;
        int asked = 100;
        rdg_tlcp_identity_t *strict = NULL;
        pair_make(&p);
        rdg_tlcp_identity_t **end = client_side ? &p.client.identity : &p.server.identity;
        CHECK(!resumes(&p));
        CHECK(resumes(&p));
        const rdg_tlcp_rule_t rule = {ask, &asked, NULL};
        CHECK_OK(rdg_tlcp_identity_with_rule(*end, &rule, &strict));
        replace(end, strict);
        CHECK(!link_up(&p));
        CHECK_EQ(asked, 102);
        CHECK_ERR(client_side ? p.client_err : p.server_err, RDG_E_UNAUTHENTICATED);
        CHECK_EQ(rdg_tlcp_identity_sessions(*end), 0);
        pair_free(&p);
    }
}

/* A renewed certificate or a newer list is another identity: whoever comes back proves itself anew. */
TEST(tlcp_links_under_another_identity_resume_nothing) {
    for (int client_side = 0; client_side < 2; ++client_side) {
        pair_t p;
        pair_make(&p);
        CHECK(!resumes(&p));
        CHECK(resumes(&p));
        if (client_side)
            replace(&p.client.identity, tlcp_kit_identity(&p.kit, "client", DAY));
        else
            replace(&p.server.identity, tlcp_kit_identity(&p.kit, "server", DAY));
        CHECK(!resumes(&p));
        CHECK(resumes(&p));
        pair_free(&p);
    }
}

TEST(tlcp_links_resume_no_longer_than_the_certificates_of_either_side) {
    for (int64_t life_s = 4;; life_s *= 2) {
        pair_t p;
        pair_make(&p);
        replace(&p.client.identity, tlcp_kit_identity(&p.kit, "client", HOUR + life_s));
        int64_t expires = (int64_t)time(NULL) + life_s;
        bool first = link_up(&p), second = first && link_up(&p);
        /* On a slow machine the certificate may have expired already: then again, with more time. */
        if (!second || !p.client_resumed) {
            CHECK(life_s < 300 && (int64_t)time(NULL) >= expires);
            pair_free(&p);
            continue;
        }
        while ((int64_t)time(NULL) <= expires)
            tlcp_kit_turn(p.loop), nanosleep(&(struct timespec){0, 50000000}, NULL);
        CHECK(!link_up(&p));
        CHECK_ERR(p.server_err, RDG_E_EXPIRED);
        CHECK(strstr(p.server_text, "alert 45 sent") != NULL);
        CHECK_EQ(rdg_tlcp_identity_sessions(p.server.identity), 0);
        pair_free(&p);
        return;
    }
}

TEST(tlcp_links_keep_no_more_sessions_than_their_parts_say) {
    pair_t p;
    rdg_tlcp_identity_t *clients[4];
    pair_make(&p);
    replace(&p.server.identity, tlcp_kit_identity_keeping(&p.kit, "server", DAY, 3));
    rdg_tlcp_identity_t *first = p.client.identity;
    for (int i = 0; i < 4; ++i) {
        clients[i] = tlcp_kit_identity(&p.kit, "client", DAY);
        p.client.identity = clients[i];
        CHECK(!resumes(&p));
        CHECK(rdg_tlcp_identity_sessions(p.server.identity) <= 3);
    }
    for (int i = 3; i >= 0; --i) {
        p.client.identity = clients[i];
        CHECK_EQ(resumes(&p), i > 0); /* the oldest has made room */
    }
    p.client.identity = first;
    for (int i = 0; i < 4; ++i) rdg_tlcp_identity_unref(clients[i]);
    pair_free(&p);
}

TEST(tlcp_links_to_several_peers_resume_each) {
    pair_t p;
    pair_make(&p);
    rdg_tlcp_identity_t *servers[2] = {p.server.identity, tlcp_kit_identity(&p.kit, "server", DAY)};
    for (int scoped = 0; scoped < 2; ++scoped)
        for (int round = 0; round < 3; ++round)
            for (int i = 0; i < 2; ++i) {
                p.server.identity = servers[i];
                if (scoped) p.client.session_scope = rdg_bytes_str(i ? "one" : "two");
                CHECK_EQ(resumes(&p), scoped && round > 0); /* without: the one's takes the other's place */
            }
    rdg_tlcp_identity_unref(servers[1]);
    p.server.identity = servers[0];
    pair_free(&p);
}

TEST(tlcp_links_by_a_pinned_root_are_never_resumed) {
    pair_t p;
    rdg_hash_t pin;
    rdg_tlcp_identity_t *pinned = NULL;
    pair_make(&p);
    replace(&p.server.identity, tlcp_kit_identity_with_root(&p.kit, "server", DAY));
    p.server.client_auth = RDG_TLCP_CLIENT_OPTIONAL;
    rdg_cert_fingerprint(p.kit.root, &pin);
    CHECK_OK(rdg_tlcp_identity_pinned(&pin, &pinned));
    replace(&p.client.identity, pinned);
    for (int i = 0; i < 2; ++i) CHECK(!resumes(&p));
    CHECK_EQ(rdg_tlcp_identity_sessions(pinned), 0);
    pair_free(&p);
}
