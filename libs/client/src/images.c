#include "images_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/hash.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char accept[] =
    "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

rdg_err_t rdg_images_client_new(const char *url, const char *token, rdg_images_client_t **out) {
    rdg_images_client_t *c = rdg_calloc(1, sizeof *c);
    rdg_err_t err = RDG_E_NO_MEMORY;
    if (!c || !(c->url = rdg_strdup(url))) goto fail;
    size_t len = strlen(c->url);
    if (len > 0 && c->url[len - 1] == '/') c->url[len - 1] = '\0';
    if (token) {
        size_t size = strlen(token) + sizeof "Authorization: Bearer ";
        if (!(c->authorization = rdg_alloc(size))) goto fail;
        snprintf(c->authorization, size, "Authorization: Bearer %s", token);
    }
    if ((err = rdg_http_client_new(&c->http)) != RDG_OK) goto fail;
    *out = c;
    return RDG_OK;
fail:
    rdg_images_client_free(c);
    return rdg_fail_in(err, "cannot make a client of %s", url);
}

void rdg_images_client_free(rdg_images_client_t *c) {
    if (!c) return;
    rdg_http_client_free(c->http);
    if (c->authorization) rdg_secure_zero(c->authorization, strlen(c->authorization));
    rdg_free(c->authorization);
    rdg_free(c->url);
    rdg_free(c);
}

rdg_err_t images_url(const rdg_images_client_t *c, char out[IMAGES_URL_MAX], const char *fmt, ...) {
    va_list args;
    int n = snprintf(out, IMAGES_URL_MAX, "%s", c->url);
    if (n < 0 || n >= IMAGES_URL_MAX) return rdg_fail(RDG_E_TOO_LARGE, "the registry's URL is too long");
    va_start(args, fmt);
    int m = vsnprintf(out + n, IMAGES_URL_MAX - (size_t)n, fmt, args);
    va_end(args);
    return m >= 0 && n + m < IMAGES_URL_MAX ? RDG_OK
                                            : rdg_fail(RDG_E_TOO_LARGE, "the image's name is too long");
}

static rdg_err_t code_of(unsigned status) {
    switch (status) {
    case 401: return RDG_E_UNAUTHENTICATED;
    case 403: return RDG_E_FORBIDDEN;
    case 404: return RDG_E_NOT_FOUND;
    case 405: return RDG_E_UNSUPPORTED;
    case 413: return RDG_E_TOO_LARGE;
    case 416: return RDG_E_CONFLICT;
    case 429: return RDG_E_UNAVAILABLE;
    default: return status >= 500 ? RDG_E_UNAVAILABLE : RDG_E_INVALID;
    }
}

/* The specification's {"errors":[{"code","message"}]}. */
static rdg_err_t refusal(const rdg_http_answer_t *got, const char *url) {
    json_t *o = NULL;
    const char *code = NULL, *message = NULL;
    if (rdg_json_parse(rdg_buf_view(&got->body), &o) == RDG_OK) {
        const json_t *first = json_array_get(json_object_get(o, "errors"), 0);
        code = json_string_value(json_object_get(first, "code"));
        message = json_string_value(json_object_get(first, "message"));
    }
    rdg_err_t err =
        code ? rdg_fail(code_of(got->status), "the registry says %.40s: %.300s", code, message ? message : "")
             : rdg_fail(code_of(got->status), "%.200s answered HTTP status %u", url, got->status);
    json_decref(o);
    return err;
}

rdg_err_t images_exchange(rdg_images_client_t *c, const images_call_t *call, rdg_http_answer_t *got) {
    const char *headers[3];
    size_t count = 0;
    if (call->header) headers[count++] = call->header;
    if (call->header2) headers[count++] = call->header2;
    if (c->authorization) headers[count++] = c->authorization;
    rdg_http_call_t http = {.method = call->method,
                            .url = call->url,
                            .headers = headers,
                            .header_count = count,
                            .body = call->body,
                            .timeout_ms = call->timeout_ms ? call->timeout_ms : 60000,
                            .max_body = call->max_body ? call->max_body : 1u << 20};
    RDG_TRY(rdg_http_call(c->http, &http, got));
    if (got->status >= 200 && got->status <= 299) return RDG_OK;
    rdg_err_t err = refusal(got, call->url);
    rdg_http_answer_fini(got);
    return err;
}

static rdg_err_t run(rdg_images_client_t *c, const images_call_t *call) {
    rdg_http_answer_t got;
    RDG_TRY(images_exchange(c, call, &got));
    rdg_http_answer_fini(&got);
    return RDG_OK;
}

/* digest: of the bytes; compared with the reference when that is a sha256 digest. */
static rdg_err_t get(rdg_images_client_t *c, const char *kind, const char *name, const char *reference,
                     rdg_buf_t *out, char digest[RDG_IMAGES_DIGEST_MAX]) {
    char url[IMAGES_URL_MAX];
    uint8_t sum[32];
    rdg_http_answer_t got;
    RDG_TRY(images_url(c, url, "/v2/%s/%s/%s", name, kind, reference));
    const images_call_t call = {
        .method = "GET", .url = url, .header = accept, .max_body = RDG_IMAGES_MANIFEST_MAX};
    RDG_TRY(images_exchange(c, &call, &got));
    rdg_sha256(got.body.data, got.body.len, sum);
    memcpy(digest, "sha256:", 7);
    rdg_hex_encode(sum, sizeof sum, digest + 7);
    rdg_err_t err = rdg_buf_append(out, got.body.data, got.body.len);
    rdg_http_answer_fini(&got);
    if (err == RDG_OK && strncmp(reference, "sha256:", 7) == 0 && strcmp(reference, digest) != 0)
        err = rdg_fail(RDG_E_CORRUPT, "a part of %s was asked for as %s and is %s", name, reference, digest);
    return err;
}

rdg_err_t rdg_images_get_manifest(rdg_images_client_t *c, const char *name, const char *reference,
                                  rdg_buf_t *out, char digest[RDG_IMAGES_DIGEST_MAX]) {
    return get(c, "manifests", name, reference, out, digest);
}

rdg_err_t rdg_images_get_blob(rdg_images_client_t *c, const char *name, const char *digest, rdg_buf_t *out) {
    char actual[RDG_IMAGES_DIGEST_MAX];
    return get(c, "blobs", name, digest, out, actual);
}

rdg_err_t rdg_images_put_manifest(rdg_images_client_t *c, const char *name, const char *reference,
                                  const char *media_type, rdg_bytes_t bytes) {
    char url[IMAGES_URL_MAX], type[160];
    RDG_TRY(images_url(c, url, "/v2/%s/manifests/%s", name, reference));
    snprintf(type, sizeof type, "Content-Type: %s", media_type);
    return run(c, &(images_call_t){.method = "PUT", .url = url, .header = type, .body = bytes});
}

rdg_err_t rdg_images_has_blob(rdg_images_client_t *c, const char *name, const char *digest, bool *has) {
    char url[IMAGES_URL_MAX];
    RDG_TRY(images_url(c, url, "/v2/%s/blobs/%s", name, digest));
    rdg_err_t err = run(c, &(images_call_t){.method = "HEAD", .url = url});
    *has = err == RDG_OK;
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

rdg_err_t rdg_images_put_blob(rdg_images_client_t *c, const char *name, const char *digest,
                              rdg_bytes_t bytes) {
    char url[IMAGES_URL_MAX];
    bool has;
    RDG_TRY(rdg_images_has_blob(c, name, digest, &has));
    if (has) return RDG_OK;
    RDG_TRY(images_url(c, url, "/v2/%s/blobs/uploads/?digest=%s", name, digest));
    return run(c, &(images_call_t){.method = "POST",
                                   .url = url,
                                   .header = "Content-Type: application/octet-stream",
                                   .body = bytes});
}
