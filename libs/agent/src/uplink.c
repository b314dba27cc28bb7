#include "uplink.h"
#include "credentials.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/list.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"
#include "ridge/net/forward.h"
#include "ridge/net/local_dir.h"
#include "ridge/net/tlcp_stream.h"
#include "ridge/net/tunnel.h"
#include "ridge/net/url.h"
#include "thread.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define CLOUD_NAME "cloud"
#define DEFAULT_PORT 7781
#define CONNECT_MS 10000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_LAST_MS 5000
#define LASTED_MS 5000

static const char *const names[UPLINK_SERVICES] = {"enrol", "mqtt", "images", "collect"};

/* A local connection on its way: waiting for the link, then for the cloud's answer. */
typedef struct visitor {
    rdg_list_t node;
    uplink_t *uplink;
    rdg_stream_t *stream; /* NULL: it has gone */
    uplink_service_t service;
    uint64_t since_ms;
    bool asked;
} visitor_t;

typedef struct door {
    uplink_t *uplink;
    uplink_service_t service;
    rdg_listener_t *listener;
    char path[RDG_LOCAL_PATH_MAX + 1];
} door_t;

struct uplink {
    const char *dir;
    char host[256];
    uint16_t port;
    rdg_hash_t pin;
    bool pinned;   /* there is a token */
    bool unproven; /* and it has not been used: old credentials do not count */
    rdg_local_dir_t sockets;
    door_t doors[UPLINK_SERVICES];
    rdg_loop_t *loop;
    pthread_t thread;
    bool running;
    /* The loop's own. */
    rdg_tlcp_identity_t
        *identity; /* of the credentials, as they were at the stamp; holds the session to resume */
    uint64_t stamp;
    rdg_tunnel_t *tunnel;
    rdg_timer_t *timer;
    rdg_list_t visitors;
    size_t waiting;
    bool dialling, fresh; /* fresh: the credentials changed while a link was being made */
    uint64_t up_since_ms, backoff_ms, dial_at_ms, rest_until_ms;
    uint64_t rest_ms; /* under the lock: asked for by another thread */
    /* Read by other threads; the text under the lock. */
    bool connected;
    pthread_mutex_t lock;
    rdg_err_t failure;
    char failure_text[RDG_ERROR_TEXT_MAX];
};

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

/* --- local connections --------------------------------------------------------------------------------------- */

static void visitor_free(visitor_t *v) {
    rdg_list_remove(&v->node);
    --v->uplink->waiting;
    rdg_free(v);
}

static void visitor_data(void *ctx, rdg_stream_t *s, rdg_bytes_t bytes) {
    (void)ctx, (void)s, (void)bytes; /* paused until it is joined */
}

static void visitor_closed(void *ctx, rdg_stream_t *s, rdg_err_t why) {
    visitor_t *v = ctx;
    (void)s, (void)why;
    v->stream = NULL;
    if (!v->asked) visitor_free(v);
}

static const rdg_stream_events_t visitor_events = {visitor_data, visitor_closed, NULL};

static void visitor_refuse(visitor_t *v, rdg_err_t why) {
    rdg_log(RDG_LOG_WARN, "uplink.refused", RDG_STR("service", names[v->service]),
            RDG_STR("why", rdg_err_message(why)));
    if (v->stream) rdg_stream_close(v->stream); /* its closed callback frees */
}

static void on_stream(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    visitor_t *v = ctx;
    rdg_loop_t *loop = v->uplink->loop;
    rdg_stream_t *local = v->stream;
    v->asked = false;
    if (s && local) {
        visitor_free(v);
        (void)rdg_forward(loop, local, s, NULL, NULL);
        rdg_stream_pause(local, false);
        return;
    }
    if (s) {
        rdg_stream_set_events(s, &visitor_events, v);
        v->stream = s;
        rdg_stream_close(s);
    } else if (local) {
        visitor_refuse(v, err);
    } else {
        visitor_free(v);
    }
}

static void visitor_ask(visitor_t *v) {
    uplink_t *u = v->uplink;
    v->asked = true;
    rdg_err_t err = rdg_tunnel_open(u->tunnel, names[v->service], on_stream, v);
    if (err == RDG_OK) return;
    v->asked = false;
    visitor_refuse(v, err);
}

static void on_accept(void *ctx, rdg_stream_t *s) {
    door_t *d = ctx;
    uplink_t *u = d->uplink;
    visitor_t *v = u->waiting < UPLINK_WAITING_MAX ? rdg_calloc(1, sizeof *v) : NULL;
    if (!v) {
        rdg_stream_close(s);
        return;
    }
    *v = (visitor_t){.uplink = u, .stream = s, .service = d->service, .since_ms = now_ms()};
    rdg_list_append(&u->visitors, &v->node);
    ++u->waiting;
    /* Its end would go unnoticed while it is paused; what it sent is not read before there is somebody to read it. */
    rdg_stream_set_events(s, &visitor_events, v);
    rdg_stream_pause(s, true);
    if (u->tunnel) visitor_ask(v);
}

static void visitors_ask(uplink_t *u) {
    RDG_LIST_EACH_SAFE(it, &u->visitors) {
        visitor_t *v = RDG_LIST_ENTRY(it, visitor_t, node);
        if (!v->asked && v->stream) visitor_ask(v);
    }
}

static void visitors_expire(uplink_t *u, uint64_t now) {
    RDG_LIST_EACH_SAFE(it, &u->visitors) {
        visitor_t *v = RDG_LIST_ENTRY(it, visitor_t, node);
        if (v->asked || !v->stream || now - v->since_ms < UPLINK_WAIT_MS) continue;
        visitor_refuse(
            v, rdg_fail(RDG_E_UNAVAILABLE, "no link to the cloud within %d s", UPLINK_WAIT_MS / 1000));
    }
}

/* --- the link ------------------------------------------------------------------------------------------------- */

static void note_failure(uplink_t *u, rdg_err_t err) {
    pthread_mutex_lock(&u->lock);
    u->failure = err;
    snprintf(u->failure_text, sizeof u->failure_text, "%s", err == RDG_OK ? "" : rdg_err_message(err));
    pthread_mutex_unlock(&u->lock);
}

rdg_err_t uplink_failure(uplink_t *u) {
    pthread_mutex_lock(&u->lock);
    rdg_err_t err = u->failure == RDG_OK ? RDG_OK : rdg_fail(u->failure, "%s", u->failure_text);
    pthread_mutex_unlock(&u->lock);
    return err;
}

static void retry_later(uplink_t *u) {
    uint64_t base = u->backoff_ms ? u->backoff_ms : BACKOFF_FIRST_MS;
    u->dial_at_ms = now_ms() + base / 2 + rdg_random_below(rdg_random_system(), base);
    if (u->dial_at_ms < u->rest_until_ms) u->dial_at_ms = u->rest_until_ms;
    u->backoff_ms = base * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : base * 2;
}

static void on_tunnel_closed(void *ctx, rdg_tunnel_t *t, rdg_err_t why) {
    uplink_t *u = ctx;
    (void)t;
    u->tunnel = NULL;
    __atomic_store_n(&u->connected, false, __ATOMIC_RELAXED);
    rdg_log(RDG_LOG_INFO, "uplink.down", RDG_STR("why", why == RDG_OK ? "closed" : rdg_err_message(why)));
    if (now_ms() - u->up_since_ms >= LASTED_MS) u->backoff_ms = 0;
    retry_later(u);
}

static void on_secured(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    uplink_t *u = ctx;
    bool resumed = s && rdg_tlcp_stream_resumed(s);
    u->dialling = false;
    if (s && u->fresh) {
        rdg_stream_close(s);
        s = NULL;
        err = rdg_fail(RDG_E_CANCELLED, "the credentials have changed");
    }
    if (s) {
        rdg_tunnel_options_t o = {.loop = u->loop, .closed = on_tunnel_closed, .ctx = u};
        err = rdg_tunnel_new(&o, s, &u->tunnel);
    }
    if (err != RDG_OK) {
        rdg_log(RDG_LOG_WARN, "uplink.failed", RDG_STR("code", rdg_err_name(err)),
                RDG_STR("why", rdg_err_message(err)));
        note_failure(u, err);
        retry_later(u);
        return;
    }
    note_failure(u, RDG_OK);
    u->up_since_ms = now_ms();
    __atomic_store_n(&u->connected, true, __ATOMIC_RELAXED);
    rdg_log(RDG_LOG_INFO, "uplink.up", RDG_BOOL("resumed", resumed));
    visitors_ask(u);
}

/* Loaded when the files have changed, so that a reconnection can resume its session. */
static rdg_err_t own_identity(uplink_t *u, rdg_tlcp_identity_t **out) {
    uint64_t stamp = credentials_stamp(u->dir);
    if (!u->identity || stamp != u->stamp) {
        rdg_tlcp_identity_unref(u->identity);
        u->identity = NULL;
        RDG_TRY(credentials_identity(u->dir, &u->identity));
        u->stamp = stamp;
    }
    *out = rdg_tlcp_identity_ref(u->identity);
    return RDG_OK;
}

/* Certificates if there are, else the token's pin. */
static rdg_err_t choose_identity(uplink_t *u, rdg_tlcp_identity_t **out) {
    rdg_err_t err = u->pinned && u->unproven ? RDG_E_NOT_FOUND : own_identity(u, out);
    return err == RDG_E_NOT_FOUND && u->pinned ? rdg_tlcp_identity_pinned(&u->pin, out) : err;
}

static void dial(uplink_t *u) {
    rdg_tlcp_end_t end = {.role = RDG_TLCP_CLIENT, .peer_name = CLOUD_NAME};
    rdg_err_t err = choose_identity(u, &end.identity);
    u->fresh = false;
    if (err == RDG_OK) {
        err = rdg_tlcp_stream_connect(u->loop, u->host, u->port, CONNECT_MS, &end, on_secured, u);
        rdg_tlcp_identity_unref(end.identity);
    }
    u->dialling = err == RDG_OK;
    if (u->dialling) return;
    rdg_log_err("uplink.failed", err);
    note_failure(u, err);
    retry_later(u);
}

static void on_tick(void *arg) {
    uplink_t *u = arg;
    uint64_t now = now_ms();
    visitors_expire(u, now);
    if (!u->tunnel && !u->dialling && now >= u->dial_at_ms) dial(u);
    uint64_t next = u->tunnel || u->dialling ? 1000 : u->dial_at_ms > now ? u->dial_at_ms - now : 1;
    rdg_timer_start(u->timer, next > 1000 ? 1000 : next, 0);
}

static void reload(void *arg) {
    uplink_t *u = arg;
    u->fresh = true;
    u->unproven = false;
    u->backoff_ms = 0;
    u->dial_at_ms = 0;
    if (u->tunnel) rdg_tunnel_close(u->tunnel);
    rdg_timer_start(u->timer, 1, 0);
}

void uplink_reload(uplink_t *u) {
    (void)rdg_loop_post(u->loop, reload, u);
}

static void rest(void *arg) {
    uplink_t *u = arg;
    pthread_mutex_lock(&u->lock);
    u->rest_until_ms = u->dial_at_ms = now_ms() + u->rest_ms;
    pthread_mutex_unlock(&u->lock);
    __atomic_store_n(&u->connected, false, __ATOMIC_RELAXED);
    if (u->tunnel) rdg_tunnel_close(u->tunnel);
}

void uplink_rest(uplink_t *u, uint64_t ms) {
    pthread_mutex_lock(&u->lock);
    u->rest_ms = ms;
    pthread_mutex_unlock(&u->lock);
    (void)rdg_loop_post(u->loop, rest, u);
}

bool uplink_connected(const uplink_t *u) {
    return __atomic_load_n(&u->connected, __ATOMIC_RELAXED);
}

const char *uplink_socket(const uplink_t *u, uplink_service_t service) {
    return u->doors[service].path;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static void *run(void *arg) {
    uplink_t *u = arg;
    (void)rdg_loop_run(u->loop);
    return NULL;
}

static rdg_err_t take_token(uplink_t *u, const char *token) {
    char secret[CREDENTIALS_SECRET_MAX], fingerprint[65];
    RDG_TRY(credentials_split_token(token, secret, fingerprint));
    rdg_secure_zero(secret, sizeof secret);
    RDG_TRY(rdg_hex_decode(fingerprint, strlen(fingerprint), u->pin.b, sizeof u->pin.b));
    u->pinned = u->unproven = true;
    return RDG_OK;
}

static rdg_err_t open_doors(uplink_t *u) {
    char wanted[PATH_MAX];
    RDG_TRY(rdg_path_join(wanted, sizeof wanted, u->dir, "run"));
    RDG_TRY(rdg_local_dir_open(wanted, &u->sockets));
    for (int i = 0; i < UPLINK_SERVICES; ++i) {
        door_t *d = &u->doors[i];
        d->uplink = u;
        d->service = (uplink_service_t)i;
        rdg_local_dir_socket(&u->sockets, names[i], d->path);
        RDG_TRY(rdg_listen(u->loop, d->path, 0, on_accept, d, &d->listener));
    }
    return RDG_OK;
}

static rdg_err_t make(uplink_t *u) {
    RDG_TRY(rdg_loop_new(&u->loop));
    RDG_TRY(open_doors(u));
    return rdg_timer_new(u->loop, on_tick, u, &u->timer);
}

rdg_err_t uplink_new(const char *dir, uplink_t **out) {
    uplink_t *u = rdg_calloc(1, sizeof *u);
    if (!u) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the link to the cloud");
    u->dir = dir;
    pthread_mutex_init(&u->lock, NULL);
    rdg_list_init(&u->visitors);
    rdg_err_t err = make(u);
    if (err != RDG_OK)
        uplink_stop(u);
    else
        *out = u;
    return err;
}

rdg_err_t uplink_start(uplink_t *u, const char *url, const char *token) {
    RDG_TRY(rdg_url_host_port(url, "tlcp", DEFAULT_PORT, u->host, sizeof u->host, &u->port));
    if (token) RDG_TRY(take_token(u, token));
    rdg_timer_start(u->timer, 1, 0);
    RDG_TRY(thread_start(&u->thread, run, u));
    u->running = true;
    return RDG_OK;
}

void uplink_stop(uplink_t *u) {
    if (!u) return;
    if (u->running) {
        rdg_loop_stop(u->loop);
        pthread_join(u->thread, NULL);
    }
    rdg_loop_free(u->loop);
    rdg_tlcp_identity_unref(u->identity);
    RDG_LIST_EACH_SAFE(it, &u->visitors) visitor_free(RDG_LIST_ENTRY(it, visitor_t, node));
    rdg_local_dir_close(&u->sockets);
    pthread_mutex_destroy(&u->lock);
    rdg_free(u);
}
