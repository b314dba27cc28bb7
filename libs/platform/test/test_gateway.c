/* Who comes in by the gateway, to which service, and who is sent away. */
#include "kit.h"
#include "ridge/base/buf.h"
#include "ridge/net/tlcp_identity.h"
#include "ridge/net/tlcp_stream.h"
#include "ridge/net/tunnel.h"
#include "ridge/platform/gateway.h"
#include "ridge/codec/hex.h"
#include <stdio.h>

typedef struct visitor {
    kit_t kit;
    rdg_gateway_t *gateway;
    rdg_http_server_t *services;
    rdg_metrics_t *metrics;
    char socket[108];
    rdg_loop_t *loop;
    rdg_tunnel_t *tunnel;
    rdg_err_t link_err, stream_err, stream_why, tunnel_why;
    rdg_stream_t *stream;
    int linked, opened, stream_closed, tunnel_closed;
    char text[RDG_ERROR_TEXT_MAX];
    rdg_buf_t got;
} visitor_t;

static void service(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    char text[160];
    (void)ctx;
    snprintf(text, sizeof text, "served %s", rdg_http_peer(req));
    (void)rdg_http_write(res, "text/plain", rdg_bytes_str(text));
}

static void open_for(visitor_t *v, unsigned strangers) {
    memset(v, 0, sizeof *v);
    kit_open(&v->kit);
    CHECK((v->metrics = rdg_metrics_new()) != NULL);
    snprintf(v->socket, sizeof v->socket, "%s/s", rdg_test_dir());
    rdg_http_server_options_t h = {.host = v->socket};
    CHECK_OK(rdg_http_server_start(&h, service, NULL, &v->services));
    rdg_gateway_options_t g = {.platform = v->kit.platform,
                               .metrics = v->metrics,
                               .host = "127.0.0.1",
                               .strangers = strangers,
                               .enrol = v->socket,
                               .images = v->socket};
    CHECK_OK(rdg_gateway_start(&g, &v->gateway));
    CHECK_OK(rdg_loop_new(&v->loop));
    rdg_buf_init(&v->got, 65536);
}

static void open_all(visitor_t *v) {
    open_for(v, 0);
}

static void close_all(visitor_t *v) {
    rdg_loop_free(v->loop);
    rdg_gateway_stop(v->gateway);
    rdg_http_server_stop(v->services);
    rdg_metrics_free(v->metrics);
    rdg_buf_fini(&v->got);
    kit_close(&v->kit);
}

static void on_tunnel_closed(void *ctx, rdg_tunnel_t *t, rdg_err_t why) {
    visitor_t *v = ctx;
    (void)t;
    v->tunnel = NULL;
    v->tunnel_why = why;
    ++v->tunnel_closed;
    rdg_loop_stop(v->loop);
}

static void on_link(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    visitor_t *v = ctx;
    rdg_tunnel_options_t o = {.loop = v->loop, .closed = on_tunnel_closed, .ctx = v};
    ++v->linked;
    v->link_err = err;
    if (s) CHECK_OK(rdg_tunnel_new(&o, s, &v->tunnel));
    rdg_loop_stop(v->loop);
}

static void until(visitor_t *v, const int *flag) {
    while (!*flag) CHECK_OK(rdg_loop_run(v->loop));
}

/* Takes identity. */
static void visit(visitor_t *v, rdg_tlcp_identity_t *identity) {
    rdg_tlcp_end_t end = {.role = RDG_TLCP_CLIENT, .identity = identity, .peer_name = "cloud"};
    v->linked = v->tunnel_closed = 0;
    CHECK_OK(
        rdg_tlcp_stream_connect(v->loop, "127.0.0.1", rdg_gateway_port(v->gateway), 60000, &end, on_link, v));
    rdg_tlcp_identity_unref(identity);
    until(v, &v->linked);
}

static void on_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    visitor_t *v = ctx;
    (void)s;
    CHECK_OK(rdg_buf_append(&v->got, bytes.data, bytes.len));
}
static void on_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    visitor_t *v = ctx;
    (void)s;
    v->stream_why = why;
    ++v->stream_closed;
    rdg_loop_stop(v->loop);
}
static const rdg_stream_events_t events = {on_data, on_closed, NULL};

static void on_stream(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    visitor_t *v = ctx;
    ++v->opened;
    v->stream = s;
    v->stream_err = err;
    snprintf(v->text, sizeof v->text, "%s", s ? "" : rdg_err_message(err));
    if (s) rdg_stream_set_events(s, &events, v);
    rdg_loop_stop(v->loop);
}

static rdg_err_t ask(visitor_t *v, const char *name) {
    v->opened = v->stream_closed = 0;
    rdg_buf_clear(&v->got);
    CHECK_OK(rdg_tunnel_open(v->tunnel, name, on_stream, v));
    until(v, &v->opened);
    return v->stream_err;
}

static void check_served(visitor_t *v, const char *name) {
    CHECK_OK(ask(v, name));
    CHECK_OK(
        rdg_stream_write(v->stream, rdg_bytes_str("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")));
    until(v, &v->stream_closed);
    CHECK(strstr(rdg_buf_cstr(&v->got), "served") != NULL);
}

static rdg_cert_t *cert_of(const json_t *o, const char *field) {
    rdg_cert_t *cert = NULL;
    size_t count;
    CHECK_OK(rdg_cert_parse_pem(rdg_bytes_str(kit_text(o, field)), &cert, 1, &count));
    return cert;
}

static rdg_sm2_key_t *copy_key(const rdg_sm2_key_t *key) {
    char path[200];
    rdg_sm2_key_t *copy = NULL;
    snprintf(path, sizeof path, "%s/copy.key", rdg_test_dir());
    (void)remove(path);
    CHECK_OK(rdg_sm2_key_save(key, path));
    CHECK_OK(rdg_sm2_key_load(path, &copy));
    return copy;
}

/* What an enrolled device shows; or a node of it, with its certificates. */
static rdg_tlcp_identity_t *identity_of(const fake_t *f, const json_t *certificates) {
    rdg_tlcp_parts_t parts = {.sign_key = copy_key(f->key),
                              .enc_key = copy_key(f->enc_key),
                              .sign_cert = cert_of(certificates, "sign"),
                              .enc_cert = cert_of(certificates, "enc"),
                              .chain = {cert_of(certificates, "chain")},
                              .chain_count = 1,
                              .roots = {cert_of(certificates, "root")},
                              .root_count = 1};
    rdg_tlcp_identity_t *identity = NULL;
    CHECK_OK(rdg_tlcp_identity_new(&parts, &identity));
    return identity;
}

static void enrol(visitor_t *v, fake_t *f) {
    char token[128];
    kit_token(&v->kit, token);
    CHECK_EQ(fake_enrol(&v->kit, f, token, NULL), 201);
}

/* Of nobody who has a certificate, by the fingerprint of a token. */
static rdg_tlcp_identity_t *pinned_by(const char *token, uint8_t change) {
    rdg_hash_t pin;
    rdg_tlcp_identity_t *stranger = NULL;
    CHECK_OK(rdg_hex_decode(strchr(token, '.') + 1, 64, pin.b, sizeof pin.b));
    pin.b[3] ^= change;
    CHECK_OK(rdg_tlcp_identity_pinned(&pin, &stranger));
    return stranger;
}

TEST(gateway_lets_a_stranger_enrol_and_nothing_else) {
    visitor_t v;
    char token[128];
    open_all(&v);
    kit_token(&v.kit, token);
    visit(&v, pinned_by(token, 0));
    CHECK_OK(v.link_err);
    CHECK_ERR(ask(&v, "mqtt"), RDG_E_FORBIDDEN);
    CHECK(strstr(v.text, "enrol first") != NULL);
    CHECK_ERR(ask(&v, "images"), RDG_E_FORBIDDEN);
    check_served(&v, "enrol");
    CHECK(strstr(rdg_buf_cstr(&v.got), "served ridge/from/127.0.0.1/") != NULL);
    visit(&v, pinned_by(token, 1));
    CHECK_ERR(v.link_err, RDG_E_UNAUTHENTICATED);
    close_all(&v);
}

TEST(gateway_gives_a_device_its_services_and_takes_a_newer_connection_for_an_older) {
    visitor_t v;
    fake_t f;
    open_all(&v);
    fake_init(&f, "dev-1");
    enrol(&v, &f);
    visit(&v, identity_of(&f, f.certificates));
    CHECK_OK(v.link_err);
    check_served(&v, "images");
    CHECK(strstr(rdg_buf_cstr(&v.got), "served ridge/device/dev-1/") != NULL);
    CHECK_ERR(ask(&v, "admin"), RDG_E_NOT_FOUND);
    /* The broker answers to MQTT: a CONNECT without a password is refused by it, not by the gateway. */
    CHECK_OK(ask(&v, "mqtt"));
    static const uint8_t connect[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 30, 0, 1, 'x'};
    CHECK_OK(rdg_stream_write(v.stream, rdg_bytes(connect, sizeof connect)));
    until(&v, &v.stream_closed);
    CHECK_EQ(v.got.len, 4);
    CHECK(v.got.data[0] == 0x20 && v.got.data[3] == 5);
    rdg_tunnel_t *older = v.tunnel;
    v.tunnel_closed = 0;
    rdg_tlcp_end_t end = {.role = RDG_TLCP_CLIENT, .identity = identity_of(&f, f.certificates)};
    v.linked = 0;
    CHECK_OK(
        rdg_tlcp_stream_connect(v.loop, "127.0.0.1", rdg_gateway_port(v.gateway), 60000, &end, on_link, &v));
    rdg_tlcp_identity_unref(end.identity);
    until(&v, &v.linked);
    until(&v, &v.tunnel_closed);
    (void)older;
    fake_fini(&f);
    close_all(&v);
}

TEST(gateway_sends_a_revoked_device_away_at_once_and_for_good) {
    visitor_t v;
    fake_t f;
    char path[200], serial[RDG_CERT_SERIAL_MAX];
    open_all(&v);
    fake_init(&f, "dev-1");
    enrol(&v, &f);
    visit(&v, identity_of(&f, f.certificates));
    CHECK_OK(v.link_err);
    rdg_cert_t *cert = cert_of(f.certificates, "sign");
    rdg_cert_serial(cert, serial);
    snprintf(path, sizeof path, "/certificates/%s/revoke", serial);
    CHECK_EQ(kit_call(&v.kit, "POST", path, "{\"reason\":\"key-compromise\"}", NULL) / 100, 2);
    until(&v, &v.tunnel_closed);
    visit(&v, identity_of(&f, f.certificates));
    CHECK(v.link_err != RDG_OK);
    CHECK(strstr(rdg_err_message(v.link_err), "alert 44 received") != NULL);
    rdg_cert_free(cert);
    fake_fini(&f);
    close_all(&v);
}

static uint64_t metric(const visitor_t *v, const char *name) {
    return rdg_metric_value(rdg_metrics_counter(v->metrics, name, "", NULL));
}

/* A device that comes back resumes, and once it is revoked its session opens nothing. */
TEST(gateway_resumes_a_device_and_no_revoked_one) {
    visitor_t v;
    fake_t f;
    char path[200], serial[RDG_CERT_SERIAL_MAX];
    open_all(&v);
    fake_init(&f, "dev-1");
    enrol(&v, &f);
    rdg_tlcp_identity_t *device = identity_of(&f, f.certificates);
    for (int i = 0; i < 3; ++i) {
        visit(&v, rdg_tlcp_identity_ref(device));
        CHECK_OK(v.link_err);
        check_served(&v, "images");
        rdg_tunnel_close(v.tunnel);
        until(&v, &v.tunnel_closed);
    }
    CHECK_EQ(metric(&v, "ridge_gateway_links_total"), 3);
    CHECK_EQ(metric(&v, "ridge_gateway_resumed_total"), 2);
    rdg_cert_t *cert = cert_of(f.certificates, "sign");
    rdg_cert_serial(cert, serial);
    snprintf(path, sizeof path, "/certificates/%s/revoke", serial);
    CHECK_EQ(kit_call(&v.kit, "POST", path, "{\"reason\":\"key-compromise\"}", NULL) / 100, 2);
    for (int i = 0; i < 2; ++i) {
        visit(&v, rdg_tlcp_identity_ref(device));
        CHECK(v.link_err != RDG_OK);
        CHECK(strstr(rdg_err_message(v.link_err), "alert 44 received") != NULL);
    }
    CHECK_EQ(metric(&v, "ridge_gateway_resumed_total"), 2);
    rdg_tlcp_identity_unref(device);
    rdg_cert_free(cert);
    fake_fini(&f);
    close_all(&v);
}

static void silent(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    (void)ctx, (void)s, (void)bytes;
}
static void gone(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    (void)s, (void)why;
    ++*(int *)ctx;
}
static const rdg_stream_events_t silent_events = {silent, gone, NULL};
static void silent_open(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    CHECK_OK(err);
    rdg_stream_set_events(s, &silent_events, ctx);
}

static void stop(void *loop) {
    rdg_loop_stop(loop);
}

static void until_at_least(visitor_t *v, const int *count, int want) {
    while (*count < want) {
        CHECK_OK(rdg_loop_post(v->loop, stop, v->loop));
        CHECK_OK(rdg_loop_run(v->loop));
    }
}

/* Whether it was served while the gateway held strangers still, whose time was not over. */
static bool served_among_strangers(int try) {
    enum { STRANGERS = 700 };
    visitor_t v;
    fake_t f;
    char name[16];
    int left = 0;
    open_all(&v);
    for (int i = 0; i < STRANGERS; ++i)
        CHECK_OK(
            rdg_stream_connect(v.loop, "127.0.0.1", rdg_gateway_port(v.gateway), 60000, silent_open, &left));
    snprintf(name, sizeof name, "dev-%d", try);
    fake_init(&f, name);
    enrol(&v, &f);
    visit(&v, identity_of(&f, f.certificates));
    /* Until its handshake is over it is a stranger too, and the next ones may push it out: it comes again. */
    bool served = v.link_err != RDG_E_CLOSED;
    if (served) CHECK_OK(v.link_err);
    if (served) check_served(&v, "images");
    bool among = served && left < STRANGERS - 100;
    until_at_least(&v, &left, STRANGERS - 2 * RDG_GATEWAY_STRANGERS_MAX);
    fake_fini(&f);
    close_all(&v);
    return among;
}

/* A machine may be too busy for that, but not again and again. */
TEST(gateway_serves_devices_while_strangers_hold_connections_open) {
    int tries = 0;
    while (!served_among_strangers(tries)) CHECK(++tries < 5);
}

enum { CROWD = 3 };

typedef struct crowd {
    rdg_stream_t *streams[CROWD];
    int secured, left;
} crowd_t;

static void crowd_secured(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    crowd_t *c = ctx;
    CHECK_OK(err);
    rdg_stream_set_events(s, &silent_events, &c->left);
    c->streams[c->secured++] = s;
}

TEST(gateway_serves_who_came_first_when_many_enrol_and_devices_all_the_same) {
    visitor_t v;
    fake_t f;
    char token[128];
    crowd_t crowd = {.secured = 0};
    rdg_tlcp_end_t end = {.role = RDG_TLCP_CLIENT, .peer_name = "cloud"};
    open_for(&v, CROWD);
    fake_init(&f, "dev-1");
    enrol(&v, &f);
    kit_token(&v.kit, token);
    end.identity = pinned_by(token, 0);
    for (int i = 0; i < CROWD; ++i) {
        CHECK_OK(rdg_tlcp_stream_connect(v.loop, "127.0.0.1", rdg_gateway_port(v.gateway), 60000, &end,
                                         crowd_secured, &crowd));
        until_at_least(&v, &crowd.secured, i + 1);
    }
    /* Sent away at the end of its handshake, or right after. */
    visit(&v, rdg_tlcp_identity_ref(end.identity));
    if (v.link_err == RDG_OK) until(&v, &v.tunnel_closed);
    CHECK_EQ(crowd.left, 0);
    visit(&v, identity_of(&f, f.certificates));
    CHECK_OK(v.link_err);
    check_served(&v, "images");
    CHECK_EQ(crowd.left, 0);
    rdg_tlcp_identity_unref(end.identity);
    fake_fini(&f);
    close_all(&v);
}
