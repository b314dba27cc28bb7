#include "http_engine.h"
#include "ridge/base/alloc.h"
#include <string.h>

#define DEFAULT_TIMEOUT_MS 30000
#define TIMEOUT_MAX_MS (24u * 3600 * 1000)

struct rdg_http_client {
    http_plain_t plain;
    http_tls_t tls;
};

rdg_err_t rdg_http_client_new(rdg_http_client_t **out) {
    rdg_http_client_t *c = rdg_calloc(1, sizeof *c);
    if (!c) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an HTTP client");
    c->plain.fd = -1;
    *out = c;
    return RDG_OK;
}

void rdg_http_client_free(rdg_http_client_t *c) {
    if (!c) return;
    http_plain_close(&c->plain);
    http_tls_close(&c->tls);
    rdg_free(c);
}

rdg_err_t rdg_http_client_via(rdg_http_client_t *c, const char *path) {
    if (path[0] != '/' || strlen(path) > RDG_LOCAL_PATH_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%s is no path of a local socket: absolute, at most %d bytes", path,
                        RDG_LOCAL_PATH_MAX);
    http_plain_close(&c->plain);
    memcpy(c->plain.via, path, strlen(path) + 1);
    return RDG_OK;
}

void rdg_http_client_guard(rdg_http_client_t *c) {
    http_plain_close(&c->plain);
    c->tls.guard = c->plain.guard = (address_guard_t){.level = GUARD_LINK};
}

void rdg_http_client_guard_local(rdg_http_client_t *c, const rdg_address_ranges_t *allowed) {
    http_plain_close(&c->plain);
    c->tls.guard = c->plain.guard = (address_guard_t){.level = GUARD_LOCAL, .allowed = allowed};
}

void rdg_http_client_roots(rdg_http_client_t *c, rdg_bytes_t pem) {
    c->tls.roots = pem;
}

/* Bytes that would begin a header or a request of somebody else's making. */
static rdg_err_t check_call(const rdg_http_call_t *call) {
    if (!call->method || !*call->method) return rdg_fail(RDG_E_INVALID, "an HTTP request needs a method");
    for (const char *c = call->method; *c; ++c)
        if (*c < 'A' || *c > 'Z') return rdg_fail(RDG_E_INVALID, "no HTTP method: \"%.32s\"", call->method);
    for (size_t i = 0; i < call->header_count; ++i) {
        const char *colon = strchr(call->headers[i], ':');
        bool bad = !colon || colon == call->headers[i];
        for (const char *c = call->headers[i]; *c && !bad; ++c) bad = (unsigned char)*c < 0x20 && *c != '\t';
        if (bad) return rdg_fail(RDG_E_INVALID, "header %zu is not of the form \"Name: value\"", i);
    }
    return RDG_OK;
}

rdg_err_t rdg_http_call(rdg_http_client_t *c, const rdg_http_call_t *call, rdg_http_answer_t *out) {
    http_url_t url;
    http_answer_init(out, call);
    RDG_TRY(check_call(call));
    RDG_TRY(http_url_parse(call->url, &url));
    if (url.tls && c->plain.via[0])
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "%s is asked for through a local socket, which carries http:// only", call->url);
    uint64_t timeout_ms = call->timeout_ms ? call->timeout_ms : DEFAULT_TIMEOUT_MS;
    if (timeout_ms > TIMEOUT_MAX_MS) timeout_ms = TIMEOUT_MAX_MS;
    rdg_err_t err = url.tls ? http_tls_call(&c->tls, call, timeout_ms, out)
                            : http_plain_call(&c->plain, call, &url, timeout_ms, out);
    if (err != RDG_OK) rdg_http_answer_fini(out);
    return err;
}
