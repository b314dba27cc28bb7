#include "tcp.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTEN_BACKLOG 256

struct rdg_listener {
    loop_item_t item;
    tcp_handle_t uv;
    rdg_loop_t *loop;
    rdg_accept_fn fn;
    void *ctx;
};

static void on_closed(uv_handle_t *handle) {
    rdg_free(handle->data);
}

static void drop_item(loop_item_t *item) {
    rdg_listener_t *l = RDG_LIST_ENTRY(item, rdg_listener_t, item);
    uv_close(&l->uv.any, on_closed);
}

static void on_connection(uv_stream_t *server, int status) {
    rdg_listener_t *l = server->data;
    tcp_stream_t *t = NULL;
    if (status < 0) {
        rdg_log(RDG_LOG_WARN, "net.accept_failed", RDG_STR("why", uv_strerror(status)));
        return;
    }
    if (tcp_new(l->loop, l->uv.any.type == UV_NAMED_PIPE, &t) != RDG_OK) {
        rdg_log_err("net.accept_failed", RDG_E_NO_MEMORY);
        return;
    }
    if (uv_accept(server, &t->uv.stream) < 0) {
        tcp_drop(t);
        return;
    }
    tcp_tune(t);
    l->fn(l->ctx, &t->stream);
}

static int resolve(rdg_loop_t *l, const char *host, uint16_t port, struct sockaddr_storage *out) {
    if (tcp_literal(host, port, out)) return 0;
    uv_getaddrinfo_t req;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char text[8];
    snprintf(text, sizeof text, "%u", port);
    int status = uv_getaddrinfo(loop_uv(l), &req, NULL, host, text, &hints);
    if (status < 0) return status;
    memcpy(out, req.addrinfo->ai_addr, req.addrinfo->ai_addrlen);
    uv_freeaddrinfo(req.addrinfo);
    return 0;
}

/* A socket's file that a killed program left behind would be in the way for ever. */
static int bind_local(rdg_listener_t *l, const char *path) {
    (void)unlink(path);
    int status = uv_pipe_bind(&l->uv.local, path);
    if (status == 0 && chmod(path, 0600) != 0) status = uv_translate_sys_error(errno);
    return status;
}

rdg_err_t rdg_listen(rdg_loop_t *loop, const char *host, uint16_t port, rdg_accept_fn fn, void *ctx,
                     rdg_listener_t **out) {
    struct sockaddr_storage address;
    if (!host) host = "127.0.0.1";
    bool local = host[0] == '/';
    if (local && strlen(host) > RDG_LOCAL_PATH_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a local socket: at most %d bytes", host,
                        RDG_LOCAL_PATH_MAX);
    int status = local ? 0 : resolve(loop, host, port, &address);
    if (status < 0) return rdg_fail(RDG_E_INVALID, "cannot listen on %s: %s", host, uv_strerror(status));
    rdg_listener_t *l = rdg_calloc(1, sizeof *l);
    if (!l) return rdg_fail(RDG_E_NO_MEMORY, "no memory to listen on %s:%u", host, port);
    l->loop = loop;
    l->fn = fn;
    l->ctx = ctx;
    tcp_handle_init(loop, local, &l->uv, l);
    loop_add(loop, &l->item, drop_item);
    status = local ? bind_local(l, host) : uv_tcp_bind(&l->uv.tcp, (const struct sockaddr *)&address, 0);
    if (status == 0) status = uv_listen(&l->uv.stream, LISTEN_BACKLOG, on_connection);
    if (status == 0) {
        *out = l;
        return RDG_OK;
    }
    rdg_listener_close(l);
    if (status == UV_EADDRINUSE)
        return rdg_fail(RDG_E_PORT_IN_USE,
                        "cannot listen on %s:%u: another program uses this port; choose another", host, port);
    return uv_fail(status, "cannot listen on %s:%u", host, port);
}

uint16_t rdg_listener_port(const rdg_listener_t *l) {
    struct sockaddr_storage address = {0};
    int len = sizeof address;
    if (l->uv.any.type != UV_TCP) return 0;
    (void)uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&address, &len);
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

void rdg_listener_close(rdg_listener_t *l) {
    if (!l) return;
    loop_remove(&l->item);
    drop_item(&l->item);
}
