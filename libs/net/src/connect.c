#include "tcp.h"
#include "ridge/base/alloc.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define AGAIN_MS 20 /* for room in the queue of a local socket */

/* One attempt to reach host:port: resolve, then try the addresses in turn until one answers or time is up.
 * Its memory lives until its timer is closed and the resolver is done with it. */
typedef struct attempt {
    loop_item_t item;
    rdg_loop_t *loop;
    uv_timer_t timer;
    uv_getaddrinfo_t resolve;
    struct addrinfo *addresses, *next;
    struct sockaddr_storage literal;
    tcp_stream_t *tcp; /* the one being connected */
    bool resolving, timer_closed, finished, again;
    int last_error;
    char host[256], name[RDG_LOCAL_PATH_MAX + 1]; /* name: of our end of a local socket */
    uint16_t port;
    uint64_t timeout_ms, end_ms; /* end_ms: of the loop's clock */
    rdg_connected_fn fn;
    void *ctx;
} attempt_t;

static void attempt_free_if_idle(attempt_t *a) {
    if (!a->timer_closed || a->resolving) return;
    if (a->addresses) uv_freeaddrinfo(a->addresses);
    rdg_free(a);
}

static void on_timer_closed(uv_handle_t *handle) {
    attempt_t *a = handle->data;
    a->timer_closed = true;
    attempt_free_if_idle(a);
}

/* Takes the stream out of the attempt; whatever is left is closed. */
static void attempt_finish(attempt_t *a) {
    if (a->finished) return;
    a->finished = true;
    loop_remove(&a->item);
    if (a->tcp) tcp_drop(a->tcp);
    a->tcp = NULL;
    if (a->resolving) uv_cancel((uv_req_t *)&a->resolve);
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

static void drop_item(loop_item_t *item) {
    attempt_finish(RDG_LIST_ENTRY(item, attempt_t, item));
}

static void attempt_fail(attempt_t *a, int status) {
    rdg_connected_fn fn = a->fn;
    void *ctx = a->ctx;
    rdg_err_t err;
    if (status == UV_ETIMEDOUT)
        err = rdg_fail(RDG_E_TIMEOUT, "cannot connect to %s:%u: no answer within %llu ms", a->host, a->port,
                       (unsigned long long)a->timeout_ms);
    else
        err = rdg_fail(status == UV_ENOMEM ? RDG_E_NO_MEMORY : RDG_E_UNAVAILABLE,
                       "cannot connect to %s:%u: %s", a->host, a->port, uv_strerror(status));
    attempt_finish(a);
    fn(ctx, NULL, err);
}

static void try_next(attempt_t *a);

/* The kernel says so at once, instead of waiting as it does for TCP, when more wait than the listener lets. */
static bool queue_is_full(const attempt_t *a, int status) {
    return a->host[0] == '/' && status == UV_EAGAIN;
}

static void on_timer(uv_timer_t *timer);

static void on_connect(uv_connect_t *req, int status) {
    /* The closing of the stream is what cancels: the attempt may be gone by now. */
    if (status == UV_ECANCELED) return;
    attempt_t *a = req->data;
    if (status < 0) {
        a->last_error = status;
        tcp_drop(a->tcp);
        a->tcp = NULL;
        a->again = queue_is_full(a, status);
        if (a->again)
            uv_timer_start(&a->timer, on_timer, AGAIN_MS, 0);
        else
            try_next(a);
        return;
    }
    tcp_stream_t *t = a->tcp;
    rdg_connected_fn fn = a->fn;
    void *ctx = a->ctx;
    a->tcp = NULL;
    attempt_finish(a);
    tcp_tune(t);
    fn(ctx, &t->stream, RDG_OK);
}

static int start_connect(attempt_t *a, const struct sockaddr *address) {
    if (tcp_new(a->loop, false, &a->tcp) != RDG_OK) return UV_ENOMEM;
    a->tcp->connect.data = a;
    int status = uv_tcp_connect(&a->tcp->connect, &a->tcp->uv.tcp, address, on_connect);
    if (status < 0) {
        tcp_drop(a->tcp);
        a->tcp = NULL;
    }
    return status;
}

static void try_next(attempt_t *a) {
    while (a->next) {
        struct sockaddr *address = a->next->ai_addr;
        a->next = a->next->ai_next;
        int status = start_connect(a, address);
        if (status == 0) return;
        a->last_error = status;
    }
    attempt_fail(a, a->last_error);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *addresses) {
    attempt_t *a = req->data;
    a->resolving = false;
    a->addresses = addresses;
    if (a->finished) {
        attempt_free_if_idle(a);
        return;
    }
    if (status < 0) {
        attempt_fail(a, status);
        return;
    }
    a->next = addresses;
    a->last_error = UV_EADDRNOTAVAIL;
    try_next(a);
}

/* In the abstract namespace, which leaves no file behind. */
static int bind_name(attempt_t *a) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(a->name);
    memcpy(address.sun_path + 1, a->name, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return UV_EMFILE;
    int status = bind(fd, (const struct sockaddr *)&address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) == 0
                     ? uv_pipe_open(&a->tcp->uv.local, fd)
                     : UV_EADDRINUSE;
    if (status < 0) close(fd);
    return status;
}

static int start_local(attempt_t *a) {
    if (tcp_new(a->loop, true, &a->tcp) != RDG_OK) return UV_ENOMEM;
    a->tcp->connect.data = a;
    int status = a->name[0] ? bind_name(a) : 0;
    if (status < 0) {
        tcp_drop(a->tcp);
        a->tcp = NULL;
        return status;
    }
    uv_pipe_connect(&a->tcp->connect, &a->tcp->uv.local, a->host, on_connect);
    return 0;
}

static void await_end(attempt_t *a) {
    uint64_t now = uv_now(loop_uv(a->loop));
    uv_timer_start(&a->timer, on_timer, a->end_ms > now ? a->end_ms - now : 0, 0);
}

static void on_timer(uv_timer_t *timer) {
    attempt_t *a = timer->data;
    bool again = a->again && uv_now(loop_uv(a->loop)) < a->end_ms;
    a->again = false;
    if (!again) {
        attempt_fail(a, UV_ETIMEDOUT);
        return;
    }
    int status = start_local(a);
    if (status < 0)
        attempt_fail(a, status);
    else
        await_end(a);
}

static int attempt_start(attempt_t *a) {
    if (a->host[0] == '/') return start_local(a);
    if (tcp_literal(a->host, a->port, &a->literal))
        return start_connect(a, (const struct sockaddr *)&a->literal);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[8];
    snprintf(port, sizeof port, "%u", a->port);
    a->resolve.data = a;
    int status = uv_getaddrinfo(loop_uv(a->loop), &a->resolve, on_resolved, a->host, port, &hints);
    a->resolving = status == 0;
    return status;
}

rdg_err_t rdg_stream_connect(rdg_loop_t *l, const char *host, uint16_t port, uint64_t timeout_ms,
                             rdg_connected_fn fn, void *ctx) {
    return rdg_stream_connect_as(l, host, port, NULL, timeout_ms, fn, ctx);
}

rdg_err_t rdg_stream_connect_as(rdg_loop_t *l, const char *host, uint16_t port, const char *name,
                                uint64_t timeout_ms, rdg_connected_fn fn, void *ctx) {
    if (!host || strlen(host) >= sizeof((attempt_t *)NULL)->host)
        return rdg_fail(RDG_E_INVALID, "a host name is 1 to 255 bytes long");
    if (host[0] == '/' && strlen(host) > RDG_LOCAL_PATH_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a local socket: at most %d bytes", host,
                        RDG_LOCAL_PATH_MAX);
    if (name && (host[0] != '/' || !*name || strlen(name) >= RDG_LOCAL_PATH_MAX))
        return rdg_fail(RDG_E_INVALID, "the name of an end is for local sockets, 1 to %d bytes",
                        RDG_LOCAL_PATH_MAX - 1);
    attempt_t *a = rdg_calloc(1, sizeof *a);
    if (!a) return rdg_fail(RDG_E_NO_MEMORY, "no memory to connect to %s:%u", host, port);
    a->loop = l;
    a->port = port;
    a->timeout_ms = timeout_ms;
    a->fn = fn;
    a->ctx = ctx;
    memcpy(a->host, host, strlen(host) + 1);
    if (name) memcpy(a->name, name, strlen(name) + 1);
    uv_timer_init(loop_uv(l), &a->timer);
    a->timer.data = a;
    loop_add(l, &a->item, drop_item);
    int status = attempt_start(a);
    if (status < 0) {
        attempt_finish(a);
        return rdg_fail(RDG_E_UNAVAILABLE, "cannot connect to %s:%u: %s", host, port, uv_strerror(status));
    }
    uv_update_time(loop_uv(l));
    a->end_ms = uv_now(loop_uv(l)) + timeout_ms;
    await_end(a);
    return RDG_OK;
}
