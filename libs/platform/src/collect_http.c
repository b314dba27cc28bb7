#include <stdio.h>
#include <string.h>
#include "collect.h"
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

#define ANSWER_MAX (64u << 10)
#define UPLOADS "/v1/uploads"

void collect_answer(rdg_http_response_t *res, unsigned status, json_t *body) {
    rdg_buf_t text;
    rdg_buf_init(&text, ANSWER_MAX);
    bool whole = body && rdg_json_dump(body, &text) == RDG_OK;
    rdg_http_status(res, whole ? status : 500);
    (void)rdg_http_write(res, "application/json", whole ? rdg_buf_view(&text) : rdg_bytes(NULL, 0));
    rdg_buf_fini(&text);
    json_decref(body);
}

/* more: fields beside "error"; taken; may be NULL. */
void collect_refuse(rdg_http_response_t *res, rdg_err_t err, json_t *more, unsigned retry_after_s) {
    char seconds[16];
    unsigned status = err == RDG_E_CORRUPT ? 422 : rdg_service_status(err);
    json_t *message = json_string(rdg_err_message(err));
    if (!message) message = json_string(rdg_err_text(err)); /* it quotes bytes that are no UTF-8 */
    json_t *o = more ? more : json_object();
    if (o)
        json_object_set_new(o, "error",
                            json_pack("{s:s, s:o}", "code", rdg_err_name(err), "message", message));
    snprintf(seconds, sizeof seconds, "%u", retry_after_s ? retry_after_s : 5);
    if (retry_after_s || status == 429 || status >= 500)
        (void)rdg_http_set_header(res, "Retry-After", seconds);
    collect_answer(res, status, o);
}

/* --- reading what a device says ---------------------------------------------------------------------------- */

static rdg_err_t read_meta(const json_t *body, collect_offer_t *out) {
    const json_t *meta = json_object_get(body, "meta");
    if (meta && !json_is_null(meta) && !json_is_object(meta))
        return rdg_fail(RDG_E_INVALID, "meta: want an object");
    out->meta = json_is_object(meta) ? rdg_json_text(meta) : rdg_strdup("{}");
    if (!out->meta) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an upload");
    if (strlen(out->meta) <= COLLECT_META_MAX) return RDG_OK;
    return rdg_fail(RDG_E_TOO_LARGE, "meta has %zu bytes, at most %u", strlen(out->meta), COLLECT_META_MAX);
}

static rdg_err_t read_offer(const json_t *body, collect_offer_t *out) {
    if (!json_is_object(body)) return rdg_fail(RDG_E_INVALID, "the body is no JSON object");
    RDG_TRY(rdg_json_get_str(body, "kind", &out->kind));
    RDG_TRY(rdg_json_get_str(body, "name", &out->name));
    RDG_TRY(rdg_json_get_u64(body, "size", &out->size));
    RDG_TRY(rdg_json_get_hex(body, "sm3", out->digest.b, sizeof out->digest.b));
    if (!rdg_name_valid(out->kind) || !rdg_name_valid(out->name))
        return rdg_fail(RDG_E_INVALID, "kind and name: want 1 to 64 of [a-z0-9._-], first a letter or digit");
    if (out->size == 0) return rdg_fail(RDG_E_INVALID, "size: an empty file is no file to keep");
    if (out->size > COLLECT_FILE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "size: %llu bytes, at most %llu", (unsigned long long)out->size,
                        COLLECT_FILE_MAX);
    return read_meta(body, out);
}

static json_t *state_json(const collect_state_t *s) {
    return s->file ? json_pack("{s:s, s:I, s:I}", "state", "stored", "file", (json_int_t)s->file, "size",
                               (json_int_t)s->size)
                   : json_pack("{s:s, s:s, s:I, s:I, s:I}", "state", "open", "upload", s->upload, "offset",
                               (json_int_t)s->offset, "size", (json_int_t)s->size, "chunk_max",
                               (json_int_t)COLLECT_CHUNK_MAX);
}

/* --- requests ---------------------------------------------------------------------------------------------- */

static void post_upload(collect_t *c, const char *device, const rdg_http_request_t *req,
                        rdg_http_response_t *res) {
    collect_offer_t offer = {.device = device};
    collect_state_t state;
    json_t *body = NULL;
    unsigned retry_after_s = 0;
    rdg_err_t err = rdg_fail_in(rdg_json_parse(rdg_http_body(req), &body), "the body");
    if (err == RDG_OK) err = read_offer(body, &offer);
    if (err == RDG_OK) err = collect_create(c, &offer, &state, &retry_after_s);
    if (err == RDG_OK)
        collect_answer(res, state.file ? 200 : 201, state_json(&state));
    else
        collect_refuse(res, err, NULL, retry_after_s);
    rdg_free(offer.meta);
    json_decref(body);
}

static void put_bytes(collect_t *c, const char *device, const char *upload, const rdg_http_request_t *req,
                      rdg_http_response_t *res) {
    collect_state_t state = {0};
    uint64_t offset = 0;
    const char *text = rdg_http_query(req, "offset");
    rdg_err_t err = text ? rdg_parse_u64(text, &offset) : RDG_E_INVALID;
    if (err != RDG_OK)
        err = rdg_fail(RDG_E_INVALID, "offset: want the number of bytes that the upload has");
    else
        err = collect_append(c, device, upload, offset, rdg_http_body(req), &state);
    if (err == RDG_OK)
        collect_answer(res, 200, state_json(&state));
    else
        collect_refuse(res, err, state.upload[0] ? state_json(&state) : NULL, 0);
}

typedef rdg_err_t (*upload_fn)(collect_t *c, const char *device, const char *upload, collect_state_t *out);

static void on_upload(collect_t *c, const char *device, const char *upload, upload_fn fn,
                      rdg_http_response_t *res) {
    collect_state_t state = {0};
    rdg_err_t err = fn(c, device, upload, &state);
    if (err == RDG_OK)
        collect_answer(res, 200, state_json(&state));
    else
        collect_refuse(res, err, state.upload[0] ? state_json(&state) : NULL, 0);
}

static void delete_upload(collect_t *c, const char *device, const char *upload, rdg_http_response_t *res) {
    rdg_err_t err = collect_drop(c, device, upload);
    if (err == RDG_OK)
        rdg_http_status(res, 204);
    else
        collect_refuse(res, err, NULL, 0);
}

/* "/v1/uploads/ID" or "/v1/uploads/ID/finish". */
static bool split(const char *path, char id[COLLECT_ID_MAX + 1], bool *finish) {
    static const char prefix[] = UPLOADS "/";
    if (strncmp(path, prefix, sizeof prefix - 1) != 0) return false;
    path += sizeof prefix - 1;
    size_t len = strspn(path, "0123456789abcdef");
    if (len != COLLECT_ID_MAX) return false;
    memcpy(id, path, len);
    id[len] = '\0';
    *finish = strcmp(path + len, "/finish") == 0;
    return *finish || path[len] == '\0';
}

void collect_handle(void *collect, const rdg_http_request_t *req, rdg_http_response_t *res) {
    collect_t *c = collect;
    const char *path = rdg_http_path(req), *method = rdg_http_method(req);
    char id[COLLECT_ID_MAX + 1], device[65];
    bool finish = false;
    if (!peer_device(req, device)) {
        collect_refuse(res, rdg_fail(RDG_E_FORBIDDEN, "this is for devices, behind the gateway"), NULL, 0);
        return;
    }
    if (strcmp(path, UPLOADS) == 0 && strcmp(method, "POST") == 0)
        post_upload(c, device, req, res);
    else if (strcmp(path, "/v1/records") == 0 && strcmp(method, "POST") == 0)
        collect_take_records(c, device, req, res);
    else if (collect_gives(path) && strcmp(method, "GET") == 0)
        collect_give(c, device, req, res);
    else if (!split(path, id, &finish))
        collect_refuse(
            res, rdg_fail(RDG_E_NOT_FOUND, "there is no %.100s here: see docs/device-protocol.md", path),
            NULL, 0);
    else if (finish && strcmp(method, "POST") == 0)
        on_upload(c, device, id, collect_finish, res);
    else if (!finish && strcmp(method, "GET") == 0)
        on_upload(c, device, id, collect_status, res);
    else if (!finish && strcmp(method, "PUT") == 0)
        put_bytes(c, device, id, req, res);
    else if (!finish && strcmp(method, "DELETE") == 0)
        delete_upload(c, device, id, res);
    else
        collect_refuse(res, rdg_fail(RDG_E_UNSUPPORTED, "%s is not possible on %.100s", method, path), NULL,
                       0);
}
