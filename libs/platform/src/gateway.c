#include "ridge/platform/gateway.h"
#include "internal.h"
#include "collect.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/net/forward.h"
#include "ridge/net/tlcp_stream.h"
#include "ridge/net/tunnel.h"
#include "ridge/net/url.h"
#include "ridge/platform/identity.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANDSHAKE_MS 10000
#define TICK_MS 1000
#define FAILURES_LOGGED 20 /* a second */
#define COLLECTING_MAX 4
#define ENROLMENT_MS 15000 /* as long as a device waits for an answer */

/*  SECURING ──► STRANGER, who may enrol, or DEVICE ──► gone */
typedef enum guest_state { SECURING, STRANGER, DEVICE } guest_state_t;

typedef struct guest {
    rdg_list_t node;
    rdg_gateway_t *gateway;
    rdg_stream_t *stream; /* while SECURING */
    rdg_tunnel_t *tunnel;
    guest_state_t state;
    bool leaving;
    uint64_t since_ms;
    rdg_cert_t *sign_cert, *enc_cert; /* of a device */
    char device[65], from[64];
} guest_t;

struct rdg_gateway {
    rdg_platform_t *platform;
    rdg_loop_t *loop;
    rdg_listener_t *listener;
    rdg_timer_t *timer;
    pthread_t thread;
    bool running;
    char *enrol, *images;
    char mqtt_host[256];
    uint16_t mqtt_port;
    rdg_list_t guests; /* oldest first */
    rdg_list_t collecting;
    size_t strangers, enrolling, devices; /* strangers: SECURING, or enrolling */
    size_t most;                          /* of each kind of stranger */
    uint64_t logged_since_ms;
    unsigned logged;
    rdg_metric_t *m_devices, *m_strangers, *m_refused, *m_streams, *m_links, *m_resumed;
};

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static void refused(rdg_gateway_t *g, const char *from, rdg_err_t why) {
    uint64_t now = now_ms();
    if (g->m_refused) rdg_metric_add(g->m_refused, 1);
    if (now - g->logged_since_ms >= 1000) g->logged_since_ms = now, g->logged = 0;
    if (g->logged++ < FAILURES_LOGGED)
        rdg_log(RDG_LOG_WARN, "gateway.refused", RDG_STR("from", from), RDG_STR("code", rdg_err_name(why)),
                RDG_STR("why", rdg_err_message(why)));
}

static void count(rdg_gateway_t *g) {
    if (g->m_devices) rdg_metric_set(g->m_devices, (int64_t)g->devices);
    if (g->m_strangers) rdg_metric_set(g->m_strangers, (int64_t)g->strangers);
}

static void guest_free(guest_t *guest) {
    rdg_gateway_t *g = guest->gateway;
    if (guest->state == DEVICE)
        --g->devices;
    else
        --g->strangers;
    if (guest->state == STRANGER) --g->enrolling;
    count(g);
    rdg_list_remove(&guest->node);
    rdg_cert_free(guest->sign_cert);
    rdg_cert_free(guest->enc_cert);
    rdg_free(guest);
}

/* Sends a guest away; its memory goes when the tunnel has closed. */
static void guest_leave(guest_t *guest) {
    if (guest->state == SECURING) {
        rdg_stream_close(guest->stream);
        guest_free(guest);
    } else if (!guest->leaving) {
        guest->leaving = true;
        rdg_tunnel_close(guest->tunnel);
    }
}

/* --- services ------------------------------------------------------------------------------------------------- */

/* A connection with the collection gateway; it may outlive the link that it came by. */
typedef struct collecting {
    rdg_list_t node;
    rdg_gateway_t *gateway;
    char device[65];
} collecting_t;

static unsigned collecting_of(rdg_gateway_t *g, const char *device) {
    unsigned n = 0;
    RDG_LIST_EACH(it, &g->collecting)
    n += strcmp(RDG_LIST_ENTRY(it, collecting_t, node)->device, device) == 0;
    return n;
}

static void on_collected(void *ctx) {
    collecting_t *k = ctx;
    rdg_list_remove(&k->node);
    rdg_free(k);
}

static rdg_err_t open_collect(guest_t *guest, rdg_stream_t *s) {
    rdg_gateway_t *g = guest->gateway;
    rdg_stream_t *local = NULL;
    int pair[2];
    if (collecting_of(g, guest->device) >= COLLECTING_MAX)
        return rdg_fail(RDG_E_FULL, "this device has %d connections with 'collect' already", COLLECTING_MAX);
    collecting_t *k = rdg_calloc(1, sizeof *k);
    if (!k) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a connection");
    k->gateway = g;
    snprintf(k->device, sizeof k->device, "%s", guest->device);
    rdg_err_t err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0
                        ? RDG_OK
                        : rdg_fail_errno(errno, "no connection with 'collect'");
    if (err == RDG_OK) {
        err = collect_adopt(g->platform->collect, pair[0], guest->device);
        if (err == RDG_OK)
            err = rdg_stream_adopt(g->loop, pair[1], &local);
        else
            close(pair[1]);
    }
    if (err != RDG_OK) {
        rdg_free(k);
        return err;
    }
    rdg_list_append(&g->collecting, &k->node);
    err = rdg_forward(g->loop, s, local, on_collected, k);
    if (err != RDG_OK) on_collected(k);
    return err;
}

/* The registry learns whose stream it is from the name of our end (rdg_images_t asks for it). */
static rdg_err_t forward_images(guest_t *guest, rdg_stream_t *s) {
    char name[PEER_NAME_MAX], unique[17];
    rdg_random_hex(rdg_random_system(), unique, 8);
    peer_name(guest->device, unique, name);
    return rdg_forward_as(guest->gateway->loop, s, guest->gateway->images, 0, name, "the registry");
}

/* And enrolment, where from: who tries tokens is slowed down by address. */
static rdg_err_t forward_enrol(guest_t *guest, rdg_stream_t *s) {
    char name[PEER_NAME_MAX], unique[17];
    rdg_random_hex(rdg_random_system(), unique, 8);
    peer_name_from(guest->from, unique, name);
    return rdg_forward_as(guest->gateway->loop, s, guest->gateway->enrol, 0, name, "enrol");
}

static rdg_err_t on_open(void *ctx, rdg_tunnel_t *t, const char *service, rdg_stream_t *s) {
    guest_t *guest = ctx;
    rdg_gateway_t *g = guest->gateway;
    (void)t;
    bool device = guest->state == DEVICE;
    if (g->m_streams) rdg_metric_add(g->m_streams, 1);
    if (strcmp(service, "enrol") == 0 && g->enrol) return forward_enrol(guest, s);
    if (!device)
        return rdg_fail(RDG_E_FORBIDDEN,
                        "'%s' is for devices: enrol first with a token of 'ridge device token'", service);
    if (strcmp(service, "mqtt") == 0)
        return rdg_forward_to(g->loop, s, g->mqtt_host, g->mqtt_port, "the broker");
    if (strcmp(service, "images") == 0 && g->images) return forward_images(guest, s);
    if (strcmp(service, "collect") == 0) return open_collect(guest, s);
    return rdg_fail(RDG_E_NOT_FOUND, "this cloud has no service '%s'", service);
}

static void on_tunnel_closed(void *ctx, rdg_tunnel_t *t, rdg_err_t why) {
    guest_t *guest = ctx;
    (void)t;
    if (guest->state == DEVICE)
        rdg_log(RDG_LOG_INFO, "gateway.device_left", RDG_STR("device", guest->device),
                RDG_STR("why", why == RDG_OK ? "closed" : rdg_err_message(why)));
    guest_free(guest);
}

/* --- guests ------------------------------------------------------------------------------------------------------- */

static void replace_older(guest_t *guest) {
    RDG_LIST_EACH_SAFE(it, &guest->gateway->guests) {
        guest_t *other = RDG_LIST_ENTRY(it, guest_t, node);
        if (other != guest && other->state == DEVICE && strcmp(other->device, guest->device) == 0)
            guest_leave(other);
    }
}

static rdg_cert_t *share(const rdg_cert_t *cert) {
    return cert ? rdg_cert_ref((rdg_cert_t *)(uintptr_t)cert) : NULL;
}

/* Sends the oldest in this state away that has been here for so long; false: there is none. */
static bool drop_oldest(rdg_gateway_t *g, guest_state_t state, uint64_t since_ms) {
    RDG_LIST_EACH(it, &g->guests) {
        guest_t *guest = RDG_LIST_ENTRY(it, guest_t, node);
        if (guest->state != state || guest->leaving) continue;
        if (now_ms() - guest->since_ms < since_ms) return false;
        refused(g, guest->from, rdg_fail(RDG_E_FULL, "%zu connections are not a device's", g->strangers));
        guest_leave(guest);
        return true;
    }
    return false;
}

/* Who came first is served, or a crowd of new devices keeps each other from ever being. */
static rdg_err_t let_enrol(guest_t *guest) {
    rdg_gateway_t *g = guest->gateway;
    if (g->enrolling >= g->most && !drop_oldest(g, STRANGER, ENROLMENT_MS))
        return rdg_fail(RDG_E_FULL, "%zu devices enrol already", g->enrolling);
    guest->state = STRANGER;
    ++g->enrolling;
    return RDG_OK;
}

static rdg_err_t recognise(guest_t *guest, const rdg_stream_t *s) {
    rdg_gateway_t *g = guest->gateway;
    const rdg_cert_t *sign = rdg_tlcp_stream_peer(s), *enc = rdg_tlcp_stream_peer_enc(s);
    bool resumed = rdg_tlcp_stream_resumed(s);
    if (!sign) return let_enrol(guest);
    RDG_TRY(rdg_platform_accept_peer(g->platform, sign, enc, guest->device));
    guest->sign_cert = share(sign);
    guest->enc_cert = share(enc);
    guest->state = DEVICE;
    --g->strangers;
    ++g->devices;
    count(g);
    replace_older(guest);
    rdg_log(RDG_LOG_INFO, "gateway.device_came", RDG_STR("device", guest->device),
            RDG_STR("from", guest->from), RDG_BOOL("resumed", resumed));
    if (g->m_links) rdg_metric_add(g->m_links, 1);
    if (g->m_resumed && resumed) rdg_metric_add(g->m_resumed, 1);
    return RDG_OK;
}

static void on_secured(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    guest_t *guest = ctx;
    rdg_gateway_t *g = guest->gateway;
    if (err == RDG_OK) {
        err = recognise(guest, s);
        rdg_tunnel_options_t o = {
            .loop = g->loop, .server = true, .open = on_open, .closed = on_tunnel_closed, .ctx = guest};
        if (err != RDG_OK)
            rdg_stream_close(s);
        else
            err = rdg_tunnel_new(&o, s, &guest->tunnel);
    }
    if (err == RDG_OK) return;
    refused(g, guest->from, err);
    guest_free(guest);
}

static rdg_err_t welcome(rdg_gateway_t *g, guest_t *guest, rdg_stream_t *s) {
    rdg_tlcp_end_t end = {
        .role = RDG_TLCP_SERVER, .client_auth = RDG_TLCP_CLIENT_OPTIONAL, .timeout_ms = HANDSHAKE_MS};
    rdg_err_t err = rdg_platform_tlcp_identity(g->platform, &end.identity);
    if (err != RDG_OK) {
        rdg_stream_close(s);
        return err;
    }
    err = rdg_tlcp_stream_open(g->loop, s, &end, on_secured, guest, &guest->stream);
    rdg_tlcp_identity_unref(end.identity);
    return err;
}

static void on_accept(void *ctx, rdg_stream_t *s) {
    rdg_gateway_t *g = ctx;
    if (g->strangers - g->enrolling >= g->most) (void)drop_oldest(g, SECURING, 0);
    guest_t *guest = g->strangers < 3 * g->most ? rdg_calloc(1, sizeof *guest) : NULL;
    if (!guest) {
        refused(g, "", rdg_fail(RDG_E_FULL, "no room for another connection"));
        rdg_stream_close(s);
        return;
    }
    guest->gateway = g;
    guest->since_ms = now_ms();
    rdg_stream_peer(s, guest->from, sizeof guest->from);
    rdg_list_append(&g->guests, &guest->node);
    ++g->strangers;
    rdg_err_t err = welcome(g, guest, s);
    if (err == RDG_OK) return;
    refused(g, guest->from, err);
    guest_free(guest);
}

static void on_tick(void *arg) {
    rdg_gateway_t *g = arg;
    uint64_t now = now_ms();
    RDG_LIST_EACH_SAFE(it, &g->guests) {
        guest_t *guest = RDG_LIST_ENTRY(it, guest_t, node);
        if (guest->state == STRANGER && now - guest->since_ms > RDG_GATEWAY_STRANGER_MS) guest_leave(guest);
    }
    count(g);
}

/* --- revocation: told on any thread ----------------------------------------------------------------------------------- */

/* All devices are looked at: it is rare, and nothing has to be carried to the loop's thread. */
static void send_away(void *arg) {
    rdg_gateway_t *g = arg;
    RDG_LIST_EACH_SAFE(it, &g->guests) {
        guest_t *guest = RDG_LIST_ENTRY(it, guest_t, node);
        if (guest->state != DEVICE || guest->leaving) continue;
        rdg_err_t err = rdg_platform_accept_peer(g->platform, guest->sign_cert, guest->enc_cert, NULL);
        if (err == RDG_OK) continue;
        refused(g, guest->from, err);
        guest_leave(guest);
    }
}

static void on_revoked(void *ctx, const char *device) {
    rdg_gateway_t *g = ctx;
    (void)device;
    (void)rdg_loop_post(g->loop, send_away, g);
}

/* --- life ----------------------------------------------------------------------------------------------------------------- */

static void *run(void *arg) {
    rdg_gateway_t *g = arg;
    (void)rdg_loop_run(g->loop);
    return NULL;
}

static rdg_err_t find_broker(rdg_gateway_t *g) {
    const char *local = g->platform->broker ? rdg_broker_socket(g->platform->broker) : NULL;
    if (!local)
        return rdg_url_host_port(g->platform->broker_url, "mqtt", 1883, g->mqtt_host, sizeof g->mqtt_host,
                                 &g->mqtt_port);
    snprintf(g->mqtt_host, sizeof g->mqtt_host, "%s", local);
    return RDG_OK;
}

static void register_metrics(rdg_gateway_t *g, rdg_metrics_t *m) {
    if (!m) return;
    g->m_devices = rdg_metrics_gauge(m, "ridge_gateway_devices", "TLCP connections of devices", NULL);
    g->m_strangers =
        rdg_metrics_gauge(m, "ridge_gateway_strangers", "connections that are no device's yet", NULL);
    g->m_refused = rdg_metrics_counter(m, "ridge_gateway_refused_total", "connections refused", NULL);
    g->m_links =
        rdg_metrics_counter(m, "ridge_gateway_links_total", "connections of devices that came up", NULL);
    g->m_resumed = rdg_metrics_counter(m, "ridge_gateway_resumed_total",
                                       "of these, connections that resumed a TLCP session", NULL);
    g->m_streams =
        rdg_metrics_counter(m, "ridge_gateway_streams_total", "streams that devices asked for", NULL);
}

static rdg_err_t start(rdg_gateway_t *g, const rdg_gateway_options_t *o) {
    g->most = o->strangers ? o->strangers : RDG_GATEWAY_STRANGERS_MAX;
    g->enrol = rdg_strdup(o->enrol);
    g->images = rdg_strdup(o->images);
    if ((o->enrol && !g->enrol) || (o->images && !g->images)) return RDG_E_NO_MEMORY;
    register_metrics(g, o->metrics);
    RDG_TRY(find_broker(g));
    RDG_TRY(rdg_loop_new(&g->loop));
    RDG_TRY(rdg_timer_new(g->loop, on_tick, g, &g->timer));
    rdg_timer_start(g->timer, TICK_MS, TICK_MS);
    RDG_TRY(
        rdg_fail_in(rdg_listen(g->loop, o->host ? o->host : "0.0.0.0", o->port, on_accept, g, &g->listener),
                    "the devices' gateway"));
    rdg_platform_on_revoked(g->platform, on_revoked, g);
    if (pthread_create(&g->thread, NULL, run, g) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "cannot start the gateway's thread");
    g->running = true;
    return RDG_OK;
}

rdg_err_t rdg_gateway_start(const rdg_gateway_options_t *options, rdg_gateway_t **out) {
    rdg_gateway_t *g = rdg_calloc(1, sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the gateway");
    g->platform = options->platform;
    rdg_list_init(&g->guests);
    rdg_list_init(&g->collecting);
    rdg_err_t err = start(g, options);
    if (err != RDG_OK)
        rdg_gateway_stop(g);
    else
        *out = g;
    return err;
}

uint16_t rdg_gateway_port(const rdg_gateway_t *g) {
    return rdg_listener_port(g->listener);
}

void rdg_gateway_stop(rdg_gateway_t *g) {
    if (!g) return;
    rdg_platform_on_revoked(g->platform, NULL, NULL);
    if (g->running) {
        rdg_loop_stop(g->loop);
        pthread_join(g->thread, NULL);
    }
    rdg_loop_free(g->loop);
    RDG_LIST_EACH_SAFE(it, &g->guests) guest_free(RDG_LIST_ENTRY(it, guest_t, node));
    RDG_LIST_EACH_SAFE(it, &g->collecting) on_collected(RDG_LIST_ENTRY(it, collecting_t, node));
    rdg_free(g->enrol);
    rdg_free(g->images);
    rdg_free(g);
}
