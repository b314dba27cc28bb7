#include "fake_gateway.h"
#include "ridge/base/alloc.h"
#include "ridge/net/forward.h"
#include "ridge/net/tlcp_credentials.h"
#include "ridge/net/tlcp_stream.h"
#include "ridge/net/tunnel.h"
#include "ridge/test.h"
#include <pthread.h>

#define TUNNELS_MAX 16

struct fake_gateway {
    rdg_loop_t *loop;
    rdg_listener_t *listener;
    rdg_tlcp_identity_t *identity;
    uint16_t enrol, mqtt;
    rdg_tunnel_t *tunnels[TUNNELS_MAX];
    unsigned devices, strangers, resumed;
    pthread_t thread;
};

static rdg_err_t on_open(void *ctx, rdg_tunnel_t *t, const char *service, rdg_stream_t *s) {
    fake_gateway_t *g = ctx;
    (void)t;
    bool enrol = strcmp(service, "enrol") == 0;
    if (!enrol && strcmp(service, "mqtt") != 0) return rdg_fail(RDG_E_NOT_FOUND, "no such service");
    return rdg_forward_to(g->loop, s, "127.0.0.1", enrol ? g->enrol : g->mqtt, service);
}

static void on_closed(void *ctx, rdg_tunnel_t *t, rdg_err_t why) {
    fake_gateway_t *g = ctx;
    (void)why;
    for (int i = 0; i < TUNNELS_MAX; ++i)
        if (g->tunnels[i] == t) g->tunnels[i] = NULL;
}

static void on_secured(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    fake_gateway_t *g = ctx;
    rdg_tunnel_options_t o = {
        .loop = g->loop, .server = true, .open = on_open, .closed = on_closed, .ctx = g};
    int free = 0;
    if (err != RDG_OK) return;
    if (rdg_tlcp_stream_resumed(s)) __atomic_add_fetch(&g->resumed, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(rdg_tlcp_stream_peer(s) ? &g->devices : &g->strangers, 1, __ATOMIC_RELAXED);
    while (free < TUNNELS_MAX - 1 && g->tunnels[free]) ++free;
    CHECK_OK(rdg_tunnel_new(&o, s, &g->tunnels[free]));
}

static void on_accept(void *ctx, rdg_stream_t *s) {
    fake_gateway_t *g = ctx;
    rdg_tlcp_end_t end = {
        .role = RDG_TLCP_SERVER, .identity = g->identity, .client_auth = RDG_TLCP_CLIENT_OPTIONAL};
    CHECK_OK(rdg_tlcp_stream_open(g->loop, s, &end, on_secured, g, NULL));
}

static void *run(void *arg) {
    CHECK_OK(rdg_loop_run(((fake_gateway_t *)arg)->loop));
    return NULL;
}

fake_gateway_t *fake_gateway_start(const rdg_test_ca_t *ca, uint16_t enrol, uint16_t mqtt) {
    fake_gateway_t *g = rdg_calloc(1, sizeof *g);
    rdg_credentials_t *c = rdg_test_ca_credentials(ca, "cloud", NULL);
    c->chain[c->chain_count++] = rdg_cert_ref(ca->root);
    CHECK_OK(rdg_tlcp_identity_of(c, 0, &g->identity));
    g->enrol = enrol, g->mqtt = mqtt;
    CHECK_OK(rdg_loop_new(&g->loop));
    CHECK_OK(rdg_listen(g->loop, NULL, 0, on_accept, g, &g->listener));
    CHECK_EQ(pthread_create(&g->thread, NULL, run, g), 0);
    return g;
}

uint16_t fake_gateway_port(const fake_gateway_t *g) {
    return rdg_listener_port(g->listener);
}

unsigned fake_gateway_devices(const fake_gateway_t *g) {
    return __atomic_load_n(&g->devices, __ATOMIC_RELAXED);
}

unsigned fake_gateway_strangers(const fake_gateway_t *g) {
    return __atomic_load_n(&g->strangers, __ATOMIC_RELAXED);
}

unsigned fake_gateway_resumed(const fake_gateway_t *g) {
    return __atomic_load_n(&g->resumed, __ATOMIC_RELAXED);
}

static void cut(void *arg) {
    fake_gateway_t *g = arg;
    for (int i = 0; i < TUNNELS_MAX; ++i)
        if (g->tunnels[i]) rdg_tunnel_close(g->tunnels[i]);
}

void fake_gateway_cut(fake_gateway_t *g) {
    CHECK_OK(rdg_loop_post(g->loop, cut, g));
}

void fake_gateway_stop(fake_gateway_t *g) {
    rdg_loop_stop(g->loop);
    pthread_join(g->thread, NULL);
    rdg_loop_free(g->loop);
    rdg_tlcp_identity_unref(g->identity);
    rdg_free(g);
}
