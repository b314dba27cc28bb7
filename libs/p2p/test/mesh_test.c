#include "ridge/base/alloc.h"
#include "ridge/p2p/p2p.h"
#include "ridge/base/clock.h"
#include "ridge/net/stream.h"
#include "ridge/net/tlcp_credentials.h"
#include "ridge/test.h"
#include "ridge/test_ca.h"
#include <stdio.h>

#define NODES 3
#define HELLO_TYPE 16

typedef struct world world_t;

typedef struct member {
    world_t *world;
    size_t index;
    rdg_p2p_t *p2p;
    size_t links, received;
    uint8_t last[32];
} member_t;

struct world {
    rdg_loop_t *loop;
    rdg_timer_t *guard;
    rdg_test_ca_t ca;
    rdg_tlcp_identity_t *identities[NODES];
    rdg_p2p_peer_t peers[NODES];
    member_t members[NODES];
    bool (*done)(world_t *w);
    bool timed_out;
};

static void on_guard(void *arg) {
    world_t *w = arg;
    w->timed_out = true;
    rdg_loop_stop(w->loop);
}

static void poll_done(world_t *w) {
    if (w->done && w->done(w)) rdg_loop_stop(w->loop);
}

static void on_message(void *ctx, size_t peer, uint8_t type, rdg_bytes_t bytes) {
    member_t *m = ctx;
    (void)peer;
    CHECK_EQ(type, HELLO_TYPE);
    ++m->received;
    memcpy(m->last, bytes.data, bytes.len < sizeof m->last ? bytes.len : sizeof m->last);
    poll_done(m->world);
}

static void on_link(void *ctx, size_t peer, bool up) {
    member_t *m = ctx;
    (void)peer;
    if (up)
        ++m->links;
    else
        --m->links;
    poll_done(m->world);
}

/* crl is taken. */
static rdg_tlcp_identity_t *identity_of(world_t *w, rdg_sm2_public_t *key, rdg_crl_t *crl) {
    rdg_credentials_t *c = rdg_test_ca_credentials(&w->ca, "node", NULL);
    rdg_tlcp_identity_t *identity = NULL;
    rdg_crl_free(c->crl);
    c->crl = crl;
    *key = *rdg_cert_public(c->sign_cert);
    CHECK_OK(rdg_tlcp_identity_of(c, 0, &identity));
    return identity;
}

static void world_init(world_t *w) {
    memset(w, 0, sizeof *w);
    CHECK_OK(rdg_loop_new(&w->loop));
    CHECK_OK(rdg_timer_new(w->loop, on_guard, w, &w->guard));
    rdg_test_ca_init(&w->ca, (int64_t)(rdg_wall_ms(rdg_clock_system()) / 1000));
    for (size_t i = 0; i < NODES; ++i) {
        w->identities[i] = identity_of(w, &w->peers[i].key, NULL);
        snprintf(w->peers[i].name, sizeof w->peers[i].name, "node-%zu", i);
        snprintf(w->peers[i].host, sizeof w->peers[i].host, "127.0.0.1");
        w->members[i] = (member_t){.world = w, .index = i};
    }
}

static rdg_p2p_options_t options_of(world_t *w, size_t i) {
    return (rdg_p2p_options_t){.loop = w->loop,
                               .random = rdg_random_system(),
                               .chain_id = 9,
                               .identity = w->identities[i],
                               .host = "127.0.0.1",
                               .port = w->peers[i].port,
                               .peers = w->peers,
                               .peer_count = NODES,
                               .max_frame = 1u << 20,
                               .message = on_message,
                               .link = on_link,
                               .ctx = &w->members[i]};
}

static void reserve_port(world_t *w, size_t i) {
    w->peers[i].port = rdg_test_port();
}

static void run_until(world_t *w, bool (*done)(world_t *w), uint64_t limit_ms) {
    w->done = done;
    w->timed_out = false;
    rdg_timer_start(w->guard, limit_ms, 0);
    CHECK_OK(rdg_loop_run(w->loop));
    rdg_timer_stop(w->guard);
}

static void world_fini(world_t *w) {
    for (size_t i = 0; i < NODES; ++i) rdg_p2p_stop(w->members[i].p2p);
    rdg_timer_free(w->guard);
    rdg_loop_free(w->loop);
    for (size_t i = 0; i < NODES; ++i) rdg_tlcp_identity_unref(w->identities[i]);
    rdg_test_ca_fini(&w->ca);
}

static bool all_linked(world_t *w) {
    for (size_t i = 0; i < NODES; ++i)
        if (w->members[i].p2p && w->members[i].links != NODES - 1) return false;
    return true;
}

static bool others_received(world_t *w) {
    return w->members[1].received == 1 && w->members[2].received == 1;
}

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static bool never(world_t *w) {
    (void)w;
    return false;
}

static void start_all(world_t *w) {
    for (size_t i = 0; i < NODES; ++i) reserve_port(w, i);
    for (size_t i = 0; i < NODES; ++i) {
        rdg_p2p_options_t o = options_of(w, i);
        CHECK_OK(rdg_p2p_start(&o, &w->members[i].p2p));
    }
    run_until(w, all_linked, 60000);
    CHECK(!w->timed_out);
}

TEST(every_pair_is_linked_once_and_messages_arrive) {
    world_t w;
    world_init(&w);
    start_all(&w);
    rdg_p2p_broadcast(w.members[0].p2p, HELLO_TYPE, rdg_bytes("reading", 7));
    run_until(&w, others_received, 60000);
    CHECK(!w.timed_out);
    CHECK_MEM(w.members[1].last, "reading", 7);
    CHECK_EQ(rdg_p2p_link_count(w.members[0].p2p), 2);
    world_fini(&w);
}

TEST(a_restarted_peer_is_linked_again) {
    world_t w;
    world_init(&w);
    start_all(&w);
    rdg_p2p_stop(w.members[1].p2p);
    w.members[1].p2p = NULL;
    w.members[1].links = 0;
    rdg_p2p_options_t o = options_of(&w, 1);
    CHECK_OK(rdg_p2p_start(&o, &w.members[1].p2p));
    run_until(&w, all_linked, 60000);
    CHECK(!w.timed_out);
    /* With each of the two by the session of the link before, whoever dials. */
    CHECK_EQ(rdg_p2p_resumed(w.members[1].p2p), 2);
    CHECK_EQ(rdg_p2p_resumed(w.members[0].p2p) + rdg_p2p_resumed(w.members[2].p2p), 2);
    CHECK_EQ(rdg_p2p_linked(w.members[1].p2p), 2);
    world_fini(&w);
}

static bool two_are_linked(world_t *w) {
    return w->members[0].links == 1 && w->members[1].links == 1 && w->members[2].links == 0;
}

TEST(peers_come_and_go_while_the_mesh_runs) {
    world_t w;
    world_init(&w);
    for (size_t i = 0; i < NODES; ++i) reserve_port(&w, i);
    for (size_t i = 0; i < NODES; ++i) {
        rdg_p2p_options_t o = options_of(&w, i);
        if (i < 2) o.peer_count = 2; /* they do not know the third */
        CHECK_OK(rdg_p2p_start(&o, &w.members[i].p2p));
    }
    run_until(&w, two_are_linked, 60000);
    CHECK(!w.timed_out);
    CHECK(rdg_p2p_send(w.members[0].p2p, 1, HELLO_TYPE, rdg_bytes("one", 3)) == RDG_OK);
    for (size_t i = 0; i < 2; ++i) CHECK_OK(rdg_p2p_set_peers(w.members[i].p2p, w.peers, NODES));
    run_until(&w, all_linked, 60000);
    CHECK(!w.timed_out);
    rdg_p2p_peer_t without[NODES];
    memcpy(without, w.peers, sizeof without);
    memset(&without[2], 0, sizeof without[2]);
    CHECK_OK(rdg_p2p_set_peers(w.members[0].p2p, without, NODES));
    CHECK_OK(rdg_p2p_set_peers(w.members[1].p2p, without, 2));
    run_until(&w, two_are_linked, 60000);
    CHECK(!w.timed_out);
    run_until(&w, never, 700); /* it goes on dialling, and is refused */
    CHECK(two_are_linked(&w));
    CHECK(!rdg_p2p_connected(w.members[0].p2p, 2) && !rdg_p2p_connected(w.members[1].p2p, 2));
    CHECK_OK(rdg_p2p_set_peers(w.members[0].p2p, w.peers, NODES));
    CHECK_OK(rdg_p2p_set_peers(w.members[1].p2p, w.peers, NODES));
    run_until(&w, all_linked, 60000);
    CHECK(!w.timed_out);
    world_fini(&w);
}

TEST(a_node_of_another_chain_and_a_stranger_are_refused) {
    world_t w;
    world_init(&w);
    for (size_t i = 0; i < NODES; ++i) reserve_port(&w, i);
    rdg_sm2_public_t unknown;
    rdg_tlcp_identity_t *stranger = identity_of(&w, &unknown, NULL);
    for (size_t i = 0; i < NODES; ++i) {
        rdg_p2p_options_t o = options_of(&w, i);
        if (i == 1) o.genesis.b[0] = 1;
        if (i == 2) o.identity = stranger;
        CHECK_OK(rdg_p2p_start(&o, &w.members[i].p2p));
    }
    for (uint64_t end = now_ms() + 30000; rdg_p2p_refused(w.members[0].p2p) < 2 && now_ms() < end;)
        run_until(&w, never, 50);
    for (size_t i = 0; i < NODES; ++i) CHECK_EQ(rdg_p2p_link_count(w.members[i].p2p), 0);
    CHECK(rdg_p2p_refused(w.members[0].p2p) >= 2);
    rdg_tlcp_identity_unref(stranger);
    world_fini(&w);
}

TEST(a_mesh_that_stops_while_it_dials_is_gone_at_once) {
    world_t w;
    world_init(&w);
    start_all(&w);
    for (size_t i = 1; i < NODES; ++i) {
        rdg_p2p_stop(w.members[i].p2p);
        w.members[i].p2p = NULL;
    }
    /* A name is resolved by another thread: a dial that cannot have ended when the mesh stops. */
    for (size_t i = 0; i < NODES; ++i) snprintf(w.peers[i].host, sizeof w.peers[i].host, "localhost");
    for (size_t round = 0; round < 20; ++round) {
        for (size_t i = 1; i < NODES; ++i) {
            rdg_p2p_options_t o = options_of(&w, i);
            CHECK_OK(rdg_p2p_start(&o, &w.members[i].p2p));
        }
        run_until(&w, never, round % 7);
        for (size_t i = 1; i < NODES; ++i) {
            rdg_p2p_stop(w.members[i].p2p);
            w.members[i].p2p = NULL;
        }
    }
    run_until(&w, never, 200);
    world_fini(&w);
}

static rdg_err_t not_on_list(void *ctx, const rdg_cert_t *peer, const rdg_cert_t *enc) {
    bool listed = rdg_crl_contains(ctx, peer) || (enc && rdg_crl_contains(ctx, enc));
    return listed ? rdg_fail(RDG_E_FORBIDDEN, "revoked") : RDG_OK;
}
static void free_list(void *ctx) {
    rdg_crl_free(ctx);
}

/* The same keys and certificates with a newer list, which is taken. */
static rdg_tlcp_identity_t *with_list(world_t *w, size_t i, rdg_crl_t *crl) {
    const rdg_tlcp_rule_t rule = {not_on_list, crl, free_list};
    rdg_tlcp_identity_t *next = NULL;
    CHECK_OK(rdg_tlcp_identity_with_rule(w->identities[i], &rule, &next));
    return next;
}

static bool third_is_out(world_t *w) {
    return w->members[0].links == 1 && w->members[1].links == 1 && w->members[2].links == 0;
}

static uint64_t refused_by_two(const world_t *w) {
    return rdg_p2p_refused(w->members[0].p2p) + rdg_p2p_refused(w->members[1].p2p);
}

/* The list reaches two nodes while all are linked: the third, one of whose certificates it holds, loses its links and
 * gets none again. */
static void third_is_revoked(bool by_sign_cert) {
    world_t w;
    world_init(&w);
    start_all(&w);
    const rdg_tlcp_config_t *of_third = rdg_tlcp_identity_config(w.identities[2]);
    const rdg_cert_t *third = by_sign_cert ? of_third->sign_cert : of_third->enc_cert;
    for (size_t i = 0; i < 2; ++i) {
        rdg_sm2_public_t other;
        rdg_tlcp_identity_t *wrong = identity_of(&w, &other, NULL);
        CHECK_ERR(rdg_p2p_set_identity(w.members[i].p2p, wrong), RDG_E_CONFLICT);
        rdg_tlcp_identity_unref(wrong);
        rdg_tlcp_identity_t *next = with_list(&w, i, rdg_test_ca_crl(&w.ca, 2, &third, 1));
        CHECK_OK(rdg_p2p_set_identity(w.members[i].p2p, next));
        rdg_tlcp_identity_unref(next);
    }
    run_until(&w, third_is_out, 60000);
    CHECK(!w.timed_out);
    /* It goes on dialling, or being dialled, and is refused each time. */
    for (uint64_t end = now_ms() + 60000; refused_by_two(&w) <= 2 && now_ms() < end;)
        run_until(&w, never, 50);
    CHECK(refused_by_two(&w) > 2);
    CHECK(third_is_out(&w));
    CHECK_EQ(rdg_p2p_resumed(w.members[2].p2p), 0);
    world_fini(&w);
}

TEST(a_revoked_peer_loses_its_links_and_gets_none_again) {
    third_is_revoked(true);
}

TEST(a_peer_whose_encryption_certificate_is_revoked_loses_its_links_too) {
    third_is_revoked(false);
}

static void idle_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    (void)ctx, (void)s, (void)bytes;
}

static void idle_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    (void)s, (void)why;
    ++*(size_t *)ctx;
}

static void idle_connected(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    static const rdg_stream_events_t events = {idle_data, idle_closed, NULL};
    if (err == RDG_OK) rdg_stream_set_events(s, &events, ctx);
}

/* Whether all were linked in less time than a stranger is given. */
static bool linked_among_strangers(void) {
    enum { STRANGERS = 150 };
    world_t w;
    size_t closed = 0;
    world_init(&w);
    for (size_t i = 0; i < NODES; ++i) reserve_port(&w, i);
    for (size_t i = 0; i < NODES; ++i) {
        rdg_p2p_options_t o = options_of(&w, i);
        CHECK_OK(rdg_p2p_start(&o, &w.members[i].p2p));
        for (size_t j = 0; j < STRANGERS; ++j)
            CHECK_OK(
                rdg_stream_connect(w.loop, "127.0.0.1", w.peers[i].port, 20000, idle_connected, &closed));
    }
    run_until(&w, all_linked, 4000);
    bool linked = !w.timed_out;
    for (uint64_t end = now_ms() + 30000; closed < NODES * (STRANGERS - 64) && now_ms() < end;)
        run_until(&w, never, 50);
    CHECK(closed >= NODES * (STRANGERS - 64));
    world_fini(&w);
    return linked;
}

/* A machine may be too busy for them to be linked that soon, but not again and again. */
TEST(strangers_that_hold_connections_open_keep_no_peer_out) {
    int tries = 0;
    while (!linked_among_strangers()) CHECK(++tries < 5);
}

static void raw_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    (void)s, (void)why;
    rdg_loop_stop(((world_t *)ctx)->loop);
}

static void raw_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    (void)ctx, (void)s, (void)bytes;
}

static const uint8_t huge_frame[] = {0xff, 0xff, 0xff, 0xff, 16};

static void raw_connected(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    static const rdg_stream_events_t events = {raw_data, raw_closed, NULL};
    CHECK_OK(err);
    rdg_stream_set_events(s, &events, ctx);
    CHECK_OK(rdg_stream_write(s, rdg_bytes(huge_frame, sizeof huge_frame)));
}

TEST(what_is_no_tlcp_ends_the_connection) {
    world_t w;
    world_init(&w);
    reserve_port(&w, 0);
    rdg_p2p_options_t o = options_of(&w, 0);
    CHECK_OK(rdg_p2p_start(&o, &w.members[0].p2p));
    CHECK_OK(
        rdg_stream_connect(w.loop, "127.0.0.1", rdg_p2p_port(w.members[0].p2p), 30000, raw_connected, &w));
    run_until(&w, NULL, 30000);
    CHECK(!w.timed_out);
    world_fini(&w);
}
