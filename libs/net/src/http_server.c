#include "http_internal.h"
#include "ws_internal.h"
#include "socket.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_MAX_BODY (1u << 20)
#define DROPPED_MIN (64u << 10)
#define CONNECTION_MEMORY (32u << 10) /* headers and read buffer of one connection */

struct rdg_http_server {
    struct MHD_Daemon *daemon;
    http_workers_t *workers;
    ws_hub_t *hub;
    int listener;
    rdg_http_handler_t handler;
    void *ctx;
    rdg_http_intake_t intake;
    http_rests_t rests;
    size_t max_body;
    uint16_t port;
};

static enum MHD_Result respond(rdg_http_request_t *req) {
    rdg_http_response_t *res = &req->response;
    if (res->err != RDG_OK) http_response_error(res, 500, res->err, "the response could not be made");
    unsigned status = res->status;
    struct MHD_Response *built = http_response_build(req);
    http_response_fini(res);
    if (!built) return MHD_NO;
    enum MHD_Result result = MHD_queue_response(req->connection, status, built);
    MHD_destroy_response(built);
    return result;
}

static enum MHD_Result respond_too_large(const rdg_http_server_t *s, rdg_http_request_t *req) {
    char message[96];
    snprintf(message, sizeof message, "the request body is larger than the limit of %zu bytes", s->max_body);
    http_response_error(&req->response, 413, RDG_E_TOO_LARGE, message);
    (void)rdg_http_set_header(&req->response, "Connection", "close");
    return respond(req);
}

static enum MHD_Result count_length(void *count, enum MHD_ValueKind kind, const char *name,
                                    const char *value) {
    (void)kind, (void)value;
    if (strcasecmp(name, "Content-Length") == 0) ++*(unsigned *)count;
    return MHD_YES;
}

/* A body whose length is said twice, or said and chunked, ends elsewhere for the next reader of the connection than for
 * this one: RFC 9112, section 6.3, asks for a refusal. */
static bool has_one_length(rdg_http_request_t *req) {
    unsigned lengths = 0;
    MHD_get_connection_values(req->connection, MHD_HEADER_KIND, count_length, &lengths);
    return lengths + (rdg_http_header(req, "Transfer-Encoding") != NULL) <= 1;
}

static enum MHD_Result respond_two_lengths(rdg_http_request_t *req) {
    http_response_error(&req->response, 400, RDG_E_MALFORMED,
                        "the length of the request body is given twice");
    (void)rdg_http_set_header(&req->response, "Connection", "close");
    return respond(req);
}

static enum MHD_Result begin(rdg_http_server_t *s, struct MHD_Connection *connection, const char *url,
                             const char *method, void **request) {
    rdg_http_request_t *req = rdg_calloc(1, sizeof *req);
    if (!req) return MHD_NO;
    *request = req;
    req->connection = connection;
    req->path = url;
    req->method = method;
    req->hub = s->hub;
    req->rests = &s->rests;
    rdg_buf_init(&req->body, s->max_body);
    http_response_init(&req->response);
    http_request_address(req, s->listener < 0);
    if (!has_one_length(req)) return respond_two_lengths(req);
    req->streamed = s->intake.wants && s->intake.wants(s->ctx, req);
    if (req->streamed) {
        rdg_buf_fini(&req->body);
        rdg_buf_init(&req->body, RDG_HTTP_PIECE + CONNECTION_MEMORY);
        return MHD_YES;
    }
    /* A client that says how much it will send is refused before it does. */
    uint64_t length;
    const char *text = rdg_http_header(req, "Content-Length");
    if (text && rdg_parse_u64(text, &length) == RDG_OK && length > s->max_body)
        return respond_too_large(s, req);
    return MHD_YES;
}

/* A response can only be queued at the end of the body: a chunked body that is too large is read on for as
 * much again, so that an honest client gets its 413; the connection of one that sends more is cut. */
static enum MHD_Result upload(rdg_http_server_t *s, rdg_http_request_t *req, const char *data, size_t len) {
    if (!req->too_large && rdg_buf_append(&req->body, data, len) == RDG_OK) return MHD_YES;
    if (!req->too_large && rdg_buf_err(&req->body) != RDG_E_TOO_LARGE) return MHD_NO;
    req->too_large = true;
    rdg_buf_fini(&req->body);
    req->dropped += len;
    return req->dropped > s->max_body && req->dropped > DROPPED_MIN ? MHD_NO : MHD_YES;
}

static bool is_suspended(const rdg_http_request_t *req) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);
    return info && info->suspended;
}

/* MHD calls again after the worker has resumed the connection. */
static bool hand_over(rdg_http_server_t *s, rdg_http_request_t *req) {
    MHD_suspend_connection(req->connection);
    if (http_workers_push(s->workers, req)) return true;
    MHD_resume_connection(req->connection);
    return false;
}

/* MHD takes a short read for the end of what is to be read, and with edge-triggered epoll never learns that the
 * client's end of the connection came with it: whoever broke off would keep what the request holds until the time-out.
 * A resumed connection is read again. */
static void notice_end(rdg_http_request_t *req) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd p = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};
    int unread = 1;
    if (p.fd < 0 || poll(&p, 1, 0) <= 0 || ioctl(p.fd, FIONREAD, &unread) != 0 || unread > 0) return;
    MHD_suspend_connection(req->connection);
    MHD_resume_connection(req->connection);
}

static enum MHD_Result stream_upload(rdg_http_server_t *s, rdg_http_request_t *req, const char *data,
                                     size_t len) {
    if (req->refused) {
        req->dropped += len;
        return req->dropped > RDG_HTTP_REFUSED_MAX ? MHD_NO : MHD_YES;
    }
    if (rdg_buf_append(&req->body, data, len) != RDG_OK) return MHD_NO;
    if (req->body.len < RDG_HTTP_PIECE) {
        notice_end(req);
        return MHD_YES;
    }
    req->piece = true;
    return hand_over(s, req) ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data, size_t *len,
                                 void **request) {
    rdg_http_server_t *s = ctx;
    (void)version;
    if (!*request) return begin(s, connection, url, method, request);
    rdg_http_request_t *req = *request;
    if (*len > 0) {
        size_t count = *len;
        /* Of what it has read already, MHD offers chunk after chunk, suspended or not: they are offered again. */
        if (req->streamed && is_suspended(req)) return MHD_YES;
        *len = 0;
        return req->streamed ? stream_upload(s, req, data, count) : upload(s, req, data, count);
    }
    if (req->too_large) return respond_too_large(s, req);
    if (req->handled || req->refused) return respond(req);
    if (hand_over(s, req)) return MHD_YES;
    http_response_error(&req->response, 503, RDG_E_UNAVAILABLE, "the server is stopping");
    req->handled = true;
    return MHD_YES;
}

static void end_request(rdg_http_server_t *s, rdg_http_request_t *req) {
    if (req->state) s->intake.ended(s->ctx, req->state);
    rdg_free(req);
}

static void forget_response(rdg_http_request_t *req) {
    http_response_fini(&req->response);
    http_response_init(&req->response);
}

static void run_handler(void *ctx, rdg_http_request_t *req) {
    rdg_http_server_t *s = ctx;
    if (req->over) {
        end_request(s, req);
        return;
    }
    if (req->piece) {
        req->piece = false;
        req->refused = !s->intake.take(s->ctx, req, &req->response, rdg_buf_view(&req->body));
        rdg_buf_clear(&req->body);
        if (req->refused) {
            rdg_buf_fini(&req->body);
        } else {
            forget_response(req); /* what a piece wrote is no part of the answer */
        }
    } else {
        req->deferring = false;
        s->handler(s->ctx, req, &req->response);
        if (req->deferring) {
            forget_response(req);
            http_workers_defer(s->workers, req);
            return;
        }
        req->handled = true;
    }
    MHD_resume_connection(req->connection);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code) {
    (void)connection, (void)code;
    rdg_http_server_t *s = ctx;
    rdg_http_request_t *req = *request;
    if (!req) return;
    *request = NULL;
    if (req->response.upgrade && !req->upgraded) ws_hub_unreserve(req->response.upgrade);
    rdg_buf_fini(&req->body);
    http_response_fini(&req->response);
    /* What its end has to do may block: a worker does it, while there are any. */
    req->over = true;
    if (!req->state || !http_workers_push(s->workers, req)) end_request(s, req);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f') return (c | 32) - 'a' + 10;
    return -1;
}

/* Decodes in place, as MHD asks. %00 stays encoded: decoded, it would cut the string that a handler compares.
 */
static size_t unescape(void *ctx, struct MHD_Connection *connection, char *s) {
    (void)ctx, (void)connection;
    char *to = s;
    for (const char *from = s; *from;) {
        int high = *from == '%' ? hex_digit(from[1]) : -1;
        int low = high >= 0 ? hex_digit(from[2]) : -1;
        if (low >= 0 && high + low > 0) {
            *to++ = (char)(high * 16 + low);
            from += 3;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    return (size_t)(to - s);
}

__attribute__((format(printf, 2, 0))) static void on_log(void *ctx, const char *fmt, va_list args) {
    (void)ctx;
    if (!rdg_log_enabled(RDG_LOG_DEBUG)) return;
    char text[256];
    vsnprintf(text, sizeof text, fmt, args);
    text[strcspn(text, "\n")] = '\0';
    rdg_log(RDG_LOG_DEBUG, "http.server", RDG_STR("why", text));
}

static struct MHD_Daemon *start_daemon(rdg_http_server_t *s, const rdg_http_server_options_t *o) {
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG | (s->hub ? MHD_ALLOW_UPGRADE : 0u) |
                     (s->listener < 0 ? MHD_USE_NO_LISTEN_SOCKET : 0u);
    const struct MHD_OptionItem pool[] = {
        {o->io_threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)o->io_threads, NULL},
        {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(flags, 0, NULL, NULL, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT,
                            o->max_connections ? o->max_connections : 256u, MHD_OPTION_CONNECTION_TIMEOUT,
                            o->idle_s ? o->idle_s : 60u, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
                            MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_ARRAY, pool,
                            s->listener < 0 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, s->listener,
                            MHD_OPTION_END);
}

static rdg_err_t start(rdg_http_server_t *s, const rdg_http_server_options_t *o) {
    if (!o->adopted_only) RDG_TRY(socket_listen(o->host, o->port, &s->listener, &s->port));
    if (o->websocket) RDG_TRY(ws_hub_start(o->websocket, &s->hub));
    RDG_TRY(http_workers_start(o->threads ? o->threads : 2, run_handler, s, &s->workers));
    s->daemon = start_daemon(s, o);
    if (s->daemon) return RDG_OK;
    return rdg_fail(RDG_E_IO, "cannot start an HTTP server on %s:%u: out of threads or file descriptors",
                    o->host ? o->host : "127.0.0.1", s->port);
}

rdg_err_t rdg_http_server_start(const rdg_http_server_options_t *options, rdg_http_handler_t handler,
                                void *ctx, rdg_http_server_t **out) {
    rdg_http_server_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an HTTP server");
    s->handler = handler;
    s->ctx = ctx;
    s->listener = -1;
    http_rests_init(&s->rests);
    s->max_body = options->max_body ? options->max_body : DEFAULT_MAX_BODY;
    if (options->intake) s->intake = *options->intake;
    rdg_err_t err = start(s, options);
    if (err == RDG_OK)
        *out = s;
    else
        rdg_http_server_stop(s);
    return err;
}

uint16_t rdg_http_server_port(const rdg_http_server_t *s) {
    return s->port;
}

void rdg_http_server_wake(rdg_http_server_t *s) {
    http_workers_wake(s->workers);
}

rdg_err_t rdg_http_server_adopt(rdg_http_server_t *s, int fd, const char *peer) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t len = strlen(peer);
    if (s->listener >= 0 || len == 0 || len > HTTP_PEER_MAX) {
        close(fd);
        return rdg_fail(RDG_E_INVALID, "this HTTP server adopts no connection of '%.64s'", peer);
    }
    memcpy(name.sun_path, peer, len + 1);
    if (MHD_add_connection(s->daemon, fd, (const struct sockaddr *)&name, sizeof name) == MHD_YES)
        return RDG_OK;
    return rdg_fail(RDG_E_FULL, "no room for another connection of '%s'", peer);
}

void rdg_http_server_stop(rdg_http_server_t *s) {
    if (!s) return;
    if (s->daemon) (void)MHD_quiesce_daemon(s->daemon);
    /* Before MHD_stop_daemon, which may meet no suspended connection. */
    if (s->workers) http_workers_stop(s->workers);
    http_rests_stop(&s->rests);
    ws_hub_stop(s->hub);
    if (s->daemon) MHD_stop_daemon(s->daemon);
    ws_hub_free(s->hub);
    if (s->workers) http_workers_free(s->workers);
    if (s->listener >= 0) close(s->listener);
    http_rests_fini(&s->rests);
    rdg_free(s);
}
