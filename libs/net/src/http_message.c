#include "http_internal.h"
#include "ws_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

const char *rdg_http_method(const rdg_http_request_t *r) {
    return r->method;
}
const char *rdg_http_path(const rdg_http_request_t *r) {
    return r->path;
}
rdg_bytes_t rdg_http_body(const rdg_http_request_t *r) {
    return rdg_buf_view(&r->body);
}
const char *rdg_http_remote(const rdg_http_request_t *r) {
    return r->remote;
}

const char *rdg_http_header(const rdg_http_request_t *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *rdg_http_query(const rdg_http_request_t *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *rdg_http_peer(const rdg_http_request_t *r) {
    return r->peer;
}

typedef struct nth {
    const char *name, *value;
    size_t left;
} nth_t;

static enum MHD_Result pick(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value) {
    nth_t *n = ctx;
    (void)kind;
    if (!name || strcmp(name, n->name) != 0 || n->left-- > 0) return MHD_YES;
    n->value = value;
    return MHD_NO;
}

const char *rdg_http_query_at(const rdg_http_request_t *r, const char *name, size_t number) {
    nth_t n = {name, NULL, number};
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, pick, &n);
    return n.value;
}

void *rdg_http_state(const rdg_http_request_t *r) {
    return r->state;
}

/* A handler may keep something with the request, and change nothing else of it. */
void rdg_http_set_state(const rdg_http_request_t *r, void *state) {
    ((rdg_http_request_t *)(uintptr_t)r)->state = state;
}
bool rdg_http_defer(const rdg_http_request_t *r, unsigned max_ms) {
    rdg_http_request_t *req = (rdg_http_request_t *)(uintptr_t)r;
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    if (req->deferred_until == 0) req->deferred_until = now + max_ms;
    req->deferring = now < req->deferred_until && req->deferred_until != UINT64_MAX;
    return req->deferring;
}

/* Of a client on a local socket: a name in the abstract namespace. */
static void take_local_name(rdg_http_request_t *r) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr_un address;
    socklen_t len = sizeof address;
    if (!info || getpeername(info->connect_fd, (struct sockaddr *)&address, &len) != 0) return;
    size_t start = offsetof(struct sockaddr_un, sun_path) + 1;
    if (address.sun_family != AF_UNIX || len <= start || address.sun_path[0] != '\0') return;
    if (len - start < sizeof r->peer && !memchr(address.sun_path + 1, '\0', len - start))
        memcpy(r->peer, address.sun_path + 1, len - start);
}

void http_request_address(rdg_http_request_t *r, bool named) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    if (address && named && address->sa_family == AF_UNIX)
        snprintf(r->peer, sizeof r->peer, "%.*s", HTTP_PEER_MAX,
                 ((const struct sockaddr_un *)(const void *)address)->sun_path);
    else if (!named && (!address || address->sa_family == AF_UNIX))
        take_local_name(r);
    else if (address && address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, r->remote,
                  sizeof r->remote);
    else if (address && address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, r->remote,
                  sizeof r->remote);
}

void http_response_init(rdg_http_response_t *r) {
    memset(r, 0, sizeof *r);
    r->status = 200;
    r->fd = -1;
    rdg_buf_init(&r->body, HTTP_RESPONSE_MAX);
}

void http_response_fini(rdg_http_response_t *r) {
    for (size_t i = 0; i < r->header_count; ++i) {
        rdg_free(r->headers[i].name);
        rdg_free(r->headers[i].value);
    }
    r->header_count = 0;
    rdg_free(r->content_type);
    r->content_type = NULL;
    rdg_buf_fini(&r->body);
    if (r->fd >= 0) close(r->fd);
    r->fd = -1;
    http_source_drop(r);
}

void rdg_http_status(rdg_http_response_t *r, unsigned status) {
    r->status = status;
}

static bool header_name_ok(const char *name) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    if (!*name) return false;
    for (; *name; ++name) {
        bool alnum = (*name >= '0' && *name <= '9') || ((*name | 32) >= 'a' && (*name | 32) <= 'z');
        if (!alnum && !strchr(others, *name)) return false;
    }
    return true;
}

static bool header_value_ok(const char *value) {
    for (; *value; ++value)
        if ((unsigned char)*value < 0x20 && *value != '\t') return false;
    return true;
}

rdg_err_t rdg_http_set_header(rdg_http_response_t *r, const char *name, const char *value) {
    if (!header_name_ok(name) || !header_value_ok(value))
        return rdg_fail(RDG_E_INVALID, "no valid HTTP header: %.64s", name);
    if (r->header_count == RDG_HTTP_RESPONSE_HEADERS_MAX)
        return rdg_fail(RDG_E_FULL, "a response has at most %d headers", RDG_HTTP_RESPONSE_HEADERS_MAX);
    char *n = rdg_strdup(name), *v = rdg_strdup(value);
    if (!n || !v) {
        rdg_free(n);
        rdg_free(v);
        return r->err = rdg_fail(RDG_E_NO_MEMORY, "no memory for header %s", name);
    }
    r->headers[r->header_count].name = n;
    r->headers[r->header_count++].value = v;
    return RDG_OK;
}

rdg_err_t http_response_type(rdg_http_response_t *r, const char *content_type) {
    if (!content_type) return RDG_OK;
    if (!header_value_ok(content_type)) return rdg_fail(RDG_E_INVALID, "no valid content type");
    if (r->content_type && strcmp(r->content_type, content_type) == 0) return RDG_OK;
    rdg_free(r->content_type);
    r->content_type = rdg_strdup(content_type);
    return r->content_type ? RDG_OK : (r->err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a response"));
}

rdg_err_t rdg_http_write(rdg_http_response_t *r, const char *content_type, rdg_bytes_t body) {
    RDG_TRY(http_response_type(r, content_type));
    rdg_err_t err = rdg_buf_append(&r->body, body.data, body.len);
    if (err != RDG_OK) r->err = err;
    return err;
}

rdg_err_t rdg_http_send_file(rdg_http_response_t *r, const char *content_type, int fd, uint64_t offset,
                             uint64_t size) {
    if (r->fd >= 0) close(r->fd);
    r->fd = fd;
    r->offset = offset;
    r->size = size;
    return http_response_type(r, content_type);
}

/* Messages are ours and hold no character that JSON would escape. */
void http_response_error(rdg_http_response_t *r, unsigned status, rdg_err_t code, const char *message) {
    http_response_fini(r);
    http_response_init(r);
    r->status = status;
    (void)http_response_type(r, "application/json");
    rdg_buf_printf(&r->body, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", rdg_err_name(code), message);
}

static struct MHD_Response *build_upgrade(rdg_http_response_t *r) {
    struct MHD_Response *built = MHD_create_response_for_upgrade(ws_on_upgrade, r->upgrade);
    if (!built) return NULL;
    if (MHD_add_response_header(built, "Upgrade", "websocket") == MHD_YES &&
        MHD_add_response_header(built, "Sec-WebSocket-Accept", r->accept) == MHD_YES)
        return built;
    MHD_destroy_response(built);
    return NULL;
}

struct MHD_Response *http_response_build(rdg_http_request_t *req) {
    rdg_http_response_t *r = &req->response;
    struct MHD_Response *built;
    if (r->upgrade) return build_upgrade(r);
    if (r->source) {
        built = http_source_build(r, req->connection, req->rests);
    } else if (r->fd >= 0) {
        built = MHD_create_response_from_fd_at_offset64(r->size, r->fd, r->offset);
        if (built) r->fd = -1;
    } else {
        size_t len;
        uint8_t *body = rdg_buf_take(&r->body, &len);
        built = MHD_create_response_from_buffer_with_free_callback(len, body, rdg_free);
        if (!built) rdg_free(body);
    }
    if (!built) return NULL;
    bool ok = !r->content_type || MHD_add_response_header(built, "Content-Type", r->content_type) == MHD_YES;
    for (size_t i = 0; ok && i < r->header_count; ++i)
        ok = MHD_add_response_header(built, r->headers[i].name, r->headers[i].value) == MHD_YES;
    if (ok) return built;
    MHD_destroy_response(built);
    return NULL;
}
