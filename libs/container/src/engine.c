#include "engine.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static rdg_err_t refused(unsigned status, const json_t *answer) {
    const char *said = json_string_value(json_object_get(answer, "message"));
    rdg_err_t code = status == 404   ? RDG_E_NOT_FOUND
                     : status == 409 ? RDG_E_CONFLICT
                     : status == 400 ? RDG_E_INVALID
                                     : RDG_E_INTERNAL;
    return rdg_fail(code, "the container engine says: %.400s (HTTP %u)", said ? said : "nothing", status);
}

/* Also a failed call leaves nothing to be freed. */
static rdg_err_t exchange(const engine_t *e, rdg_http_call_t *call, const char *path,
                          rdg_http_answer_t *answer) {
    char url[1024];
    rdg_http_client_t *http = NULL;
    if (snprintf(url, sizeof url, "http://localhost%s", path) >= (int)sizeof url)
        return rdg_fail(RDG_E_TOO_LARGE, "a request to the container engine is too long");
    call->url = url;
    if (!call->sink) call->max_body = ENGINE_ANSWER_MAX;
    RDG_TRY(rdg_http_client_new(&http));
    rdg_err_t err = rdg_http_client_via(http, e->socket);
    if (err == RDG_OK) err = rdg_http_call(http, call, answer);
    rdg_http_client_free(http);
    if (err == RDG_E_UNAVAILABLE)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "no container engine answers at %.200s: start it (systemctl start docker.socket, or "
                        "podman.socket), or name its socket with --docker-socket",
                        e->socket);
    return rdg_fail_in(err, "the container engine at %.200s", e->socket);
}

static rdg_err_t take_answer(rdg_http_answer_t *answer, json_t **out) {
    json_t *o = NULL;
    if (answer->body.len > 0 && rdg_json_parse(rdg_buf_view(&answer->body), &o) != RDG_OK) o = NULL;
    rdg_err_t err = answer->status >= 400 ? refused(answer->status, o) : RDG_OK;
    rdg_http_answer_fini(answer);
    if (err == RDG_OK && out)
        *out = o;
    else
        json_decref(o);
    return err;
}

rdg_err_t engine_call(const engine_t *e, const char *method, const char *path, json_t *body,
                      uint64_t timeout_ms, json_t **out) {
    static const char *const json_type[] = {"Content-Type: application/json"};
    rdg_http_answer_t answer;
    rdg_buf_t text;
    if (out) *out = NULL;
    rdg_buf_init(&text, ENGINE_ANSWER_MAX);
    rdg_err_t err = body ? rdg_json_dump(body, &text) : RDG_OK;
    json_decref(body);
    rdg_http_call_t call = {.method = method,
                            .headers = json_type,
                            .header_count = text.len > 0 ? 1 : 0,
                            .body = rdg_buf_view(&text),
                            .timeout_ms = timeout_ms};
    if (err == RDG_OK) err = exchange(e, &call, path, &answer);
    rdg_buf_fini(&text);
    return err == RDG_OK ? take_answer(&answer, out) : err;
}

rdg_err_t engine_send_tar(const engine_t *e, const char *path, const char *file, uint64_t timeout_ms) {
    static const char *const tar_type[] = {"Content-Type: application/x-tar"};
    struct stat st;
    rdg_http_answer_t answer;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size <= 0) {
        rdg_err_t err = rdg_fail_errno(errno, "cannot read %s", file);
        if (fd >= 0) close(fd);
        return err;
    }
    size_t size = (size_t)st.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED) return rdg_fail_errno(errno, "cannot map %s", file);
    rdg_http_call_t call = {.method = "POST",
                            .headers = tar_type,
                            .header_count = 1,
                            .body = rdg_bytes(bytes, size),
                            .timeout_ms = timeout_ms};
    rdg_err_t err = exchange(e, &call, path, &answer);
    munmap(bytes, size);
    return err == RDG_OK ? take_answer(&answer, NULL) : err;
}

rdg_err_t engine_stream(const engine_t *e, const char *path, uint64_t timeout_ms,
                        rdg_err_t (*sink)(void *ctx, rdg_bytes_t chunk), void *ctx) {
    rdg_http_answer_t answer;
    rdg_http_call_t call = {.method = "GET", .timeout_ms = timeout_ms, .sink = sink, .sink_ctx = ctx};
    RDG_TRY(exchange(e, &call, path, &answer));
    return take_answer(&answer, NULL);
}
