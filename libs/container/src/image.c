#include "image.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define MANIFEST_TIMEOUT_MS 30000u

static const char *const accept_headers[] = {
    "Accept: application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"};

static rdg_err_t record_path(const char *root, const char *reference, char out[PATH_MAX]) {
    uint8_t sum[32];
    char hex[65];
    rdg_sha256(reference, strlen(reference), sum);
    rdg_hex_encode(sum, sizeof sum, hex);
    int n = snprintf(out, PATH_MAX, "%s/images/%s", root, hex);
    return n < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", root);
}

/* --- manifests ------------------------------------------------------------------------------------ */

static rdg_err_t take_descriptor(const json_t *d, char digest[IMAGE_DIGEST_TEXT], uint64_t *size) {
    const char *text = NULL;
    RDG_TRY(rdg_json_get_str(d, "digest", &text));
    RDG_TRY(rdg_json_get_u64(d, "size", size));
    if (!image_digest_valid(text)) return rdg_fail(RDG_E_UNSUPPORTED, "'%.80s' is no sha256 digest", text);
    memcpy(digest, text, strlen(text) + 1);
    return RDG_OK;
}

static rdg_err_t parse_manifest(const json_t *m, image_t *out) {
    json_t *config = NULL, *layers = NULL;
    RDG_TRY(rdg_json_get_object(m, "config", &config));
    RDG_TRY(rdg_json_get_array(m, "layers", &layers));
    RDG_TRY(take_descriptor(config, out->config, &out->config_size));
    out->layer_count = json_array_size(layers);
    if (out->layer_count == 0 || out->layer_count > IMAGE_LAYERS_MAX)
        return rdg_fail(RDG_E_UNSUPPORTED, "the image has %zu layers: 1 to %d are supported",
                        out->layer_count, IMAGE_LAYERS_MAX);
    out->total = out->config_size;
    for (size_t i = 0; i < out->layer_count; ++i) {
        RDG_TRY(rdg_fail_in(take_descriptor(json_array_get(layers, i), out->layers[i], &out->sizes[i]),
                            "layer %zu", i));
        if (__builtin_add_overflow(out->total, out->sizes[i], &out->total))
            return rdg_fail(RDG_E_MALFORMED, "the sizes of the image's layers overflow");
    }
    return RDG_OK;
}

static const char *architecture(void) {
    static struct utsname host;
    uname(&host);
    if (strcmp(host.machine, "x86_64") == 0) return "amd64";
    if (strcmp(host.machine, "aarch64") == 0) return "arm64";
    if (strncmp(host.machine, "armv7", 5) == 0) return "arm";
    return host.machine;
}

/* The manifest for this machine in an index; its digest goes to out. */
static rdg_err_t choose_platform(const json_t *index, char out[IMAGE_DIGEST_TEXT]) {
    json_t *list = NULL, *entry;
    size_t i;
    uint64_t size;
    RDG_TRY(rdg_json_get_array(index, "manifests", &list));
    json_array_foreach(list, i, entry) {
        const json_t *platform = json_object_get(entry, "platform");
        const char *os = json_string_value(json_object_get(platform, "os"));
        const char *arch = json_string_value(json_object_get(platform, "architecture"));
        if (os && arch && strcmp(os, "linux") == 0 && strcmp(arch, architecture()) == 0)
            return take_descriptor(entry, out, &size);
    }
    return rdg_fail(RDG_E_UNSUPPORTED, "the image has no variant for linux/%s", architecture());
}

static rdg_err_t get_manifest(rdg_http_client_t *http, const image_ref_t *ref, const char *reference,
                              rdg_buf_t *body, char digest[IMAGE_DIGEST_TEXT]) {
    char url[1024];
    uint8_t sum[32];
    rdg_http_answer_t got;
    snprintf(url, sizeof url, "%s/v2/%s/manifests/%s", ref->base, ref->name, reference);
    rdg_http_call_t call = {.method = "GET",
                            .url = url,
                            .headers = accept_headers,
                            .header_count = 1,
                            .timeout_ms = MANIFEST_TIMEOUT_MS,
                            .max_body = IMAGE_MANIFEST_MAX};
    RDG_TRY(rdg_http_call(http, &call, &got));
    rdg_err_t err = RDG_OK;
    if (got.status == 404)
        err = rdg_fail(RDG_E_NOT_FOUND, "%s has no image %s:%s", ref->base, ref->name, reference);
    else if (got.status == 401 || got.status == 403)
        err = rdg_fail(RDG_E_FORBIDDEN, "%s does not let this device read %s", ref->base, ref->name);
    else if (got.status != 200)
        err = rdg_fail(RDG_E_UNAVAILABLE, "%s answered HTTP status %u", url, got.status);
    if (err == RDG_OK) {
        rdg_sha256(got.body.data, got.body.len, sum);
        memcpy(digest, "sha256:", 7);
        rdg_hex_encode(sum, sizeof sum, digest + 7);
        const char *want = image_digest_valid(reference) ? reference : got.digest;
        if (want[0] && image_digest_valid(want) && strcmp(want, digest) != 0)
            err = rdg_fail(RDG_E_CORRUPT, "the manifest of %s was announced as %s and is %s", ref->name, want,
                           digest);
    }
    if (err == RDG_OK) err = rdg_buf_append(body, got.body.data, got.body.len);
    rdg_http_answer_fini(&got);
    return err;
}

static rdg_err_t resolve(const char *root, rdg_http_client_t *http, const image_ref_t *ref, image_t *out) {
    rdg_buf_t body;
    char reference[160];
    snprintf(reference, sizeof reference, "%s", ref->reference);
    rdg_buf_init(&body, IMAGE_MANIFEST_MAX);
    rdg_err_t err = RDG_OK;
    /* An index names manifests; nothing deeper is followed. */
    for (int depth = 0; err == RDG_OK; ++depth) {
        json_t *m = NULL;
        rdg_buf_clear(&body);
        err = get_manifest(http, ref, reference, &body, out->digest);
        if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&body), &m);
        bool index = err == RDG_OK && json_object_get(m, "manifests") != NULL;
        if (index && depth > 0) err = rdg_fail(RDG_E_UNSUPPORTED, "an index within an index");
        if (err == RDG_OK) err = index ? choose_platform(m, reference) : parse_manifest(m, out);
        json_decref(m);
        if (err == RDG_OK && !index) {
            err = blob_put(root, out->digest, rdg_buf_view(&body));
            break;
        }
    }
    rdg_buf_fini(&body);
    return err;
}

/* --- pulling ---------------------------------------------------------------------------------------- */

typedef struct pull {
    rdg_container_progress_fn fn;
    void *ctx;
    uint64_t before, total;
    const char *unpacker;
} pull_t;

static bool pulled(void *ctx, uint64_t bytes) {
    pull_t *p = ctx;
    return !p->fn || p->fn(p->ctx, "pull", p->before + bytes, p->total);
}

static rdg_err_t fetch(const char *root, rdg_http_client_t *http, const image_ref_t *ref, const char *digest,
                       uint64_t size, pull_t *p) {
    char url[1024];
    snprintf(url, sizeof url, "%s/v2/%s/blobs/%s", ref->base, ref->name, digest);
    RDG_TRY(blob_fetch(root, http, url, digest, size, pulled, p));
    p->before += size;
    return RDG_OK;
}

static rdg_err_t fetch_all(const char *root, rdg_http_client_t *http, const image_ref_t *ref,
                           const image_t *image, pull_t *p) {
    RDG_TRY(fetch(root, http, ref, image->config, image->config_size, p));
    for (size_t i = 0; i < image->layer_count; ++i) {
        char dir[PATH_MAX], blob[PATH_MAX];
        RDG_TRY(layer_path(root, image->layers[i], dir));
        if (rdg_file_exists(dir)) {
            p->before += image->sizes[i];
            continue;
        }
        RDG_TRY(fetch(root, http, ref, image->layers[i], image->sizes[i], p));
        if (p->fn && !p->fn(p->ctx, "unpack", p->before, p->total))
            return rdg_fail(RDG_E_CANCELLED, "the preparation was cancelled");
        RDG_TRY(layer_unpack(root, image->layers[i], p->unpacker));
        /* Small devices: what is unpacked is not kept a second time. */
        RDG_TRY(blob_path(root, image->layers[i], blob));
        RDG_TRY(rdg_tree_remove(blob, NULL));
    }
    return RDG_OK;
}

static rdg_err_t record(const char *root, const char *reference, const image_t *image) {
    char path[PATH_MAX], dir[PATH_MAX];
    RDG_TRY(rdg_path_join(dir, sizeof dir, root, "images"));
    RDG_TRY(rdg_dir_make(dir, 0700));
    RDG_TRY(record_path(root, reference, path));
    return rdg_file_replace(path, rdg_bytes_str(image->digest), 0600);
}

static rdg_err_t pull_from(const char *root, const char *reference, const image_ref_t *ref,
                           uint64_t bytes_max, rdg_http_client_t *http, pull_t *p) {
    image_t *image = rdg_calloc(1, sizeof *image);
    if (!image) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an image");
    rdg_err_t err = resolve(root, http, ref, image);
    if (err == RDG_OK && (image->total > bytes_max || image->config_size > IMAGE_CONFIG_MAX))
        err = rdg_fail(RDG_E_TOO_LARGE, "the image has %llu bytes, at most %llu are taken",
                       (unsigned long long)image->total, (unsigned long long)bytes_max);
    p->total = image->total;
    if (err == RDG_OK) err = fetch_all(root, http, ref, image, p);
    if (err == RDG_OK) err = record(root, reference, image);
    rdg_free(image);
    return err;
}

static rdg_err_t open_client(const image_pull_t *how, const image_ref_t *ref, rdg_http_client_t **out) {
    if (!ref->cloud) return rdg_http_client_new(out);
    if (!how->cloud_socket)
        return rdg_fail(RDG_E_UNAVAILABLE, "the registry " RDG_CONTAINER_CLOUD
                                           " is reached by a device's link to the cloud, and there is none");
    RDG_TRY(rdg_http_client_new(out));
    return rdg_http_client_via(*out, how->cloud_socket);
}

rdg_err_t image_pull(const image_pull_t *how, const char *reference) {
    image_ref_t ref;
    rdg_http_client_t *http = NULL;
    pull_t p = {how->progress, how->progress_ctx, 0, 0, how->unpacker};
    RDG_TRY(image_ref_parse(reference, &ref));
    image_t *known = rdg_calloc(1, sizeof *known);
    if (!known) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an image");
    bool have = image_find(how->root, reference, known) == RDG_OK;
    rdg_free(known);
    if (have && ref.by_digest) return RDG_OK;
    rdg_err_t err = open_client(how, &ref, &http);
    if (err == RDG_OK) err = pull_from(how->root, reference, &ref, how->bytes_max, http, &p);
    rdg_http_client_free(http);
    if (have && (err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT)) {
        rdg_log(RDG_LOG_WARN, "image.registry_away", RDG_STR("image", reference),
                RDG_STR("why", rdg_err_message(err)));
        return RDG_OK;
    }
    return rdg_fail_in(err, "cannot pull %s", reference);
}

rdg_err_t image_find(const char *root, const char *reference, image_t *out) {
    char path[PATH_MAX], dir[PATH_MAX];
    rdg_buf_t text;
    json_t *m = NULL;
    memset(out, 0, sizeof *out);
    RDG_TRY(record_path(root, reference, path));
    rdg_buf_init(&text, IMAGE_MANIFEST_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) {
        snprintf(out->digest, sizeof out->digest, "%.*s", (int)text.len, (const char *)text.data);
        rdg_buf_clear(&text);
        err = blob_read(root, out->digest, &text);
    }
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &m);
    if (err == RDG_OK) err = parse_manifest(m, out);
    for (size_t i = 0; err == RDG_OK && i < out->layer_count; ++i) {
        err = layer_path(root, out->layers[i], dir);
        if (err == RDG_OK && !rdg_file_exists(dir)) err = RDG_E_NOT_FOUND;
    }
    json_decref(m);
    rdg_buf_fini(&text);
    if (err == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_NOT_FOUND, "image %s is not on this device: prepare it first", reference);
}

rdg_err_t image_config(const char *root, const image_t *image, json_t **out) {
    rdg_buf_t text;
    rdg_buf_init(&text, IMAGE_CONFIG_MAX);
    rdg_err_t err = blob_read(root, image->config, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    return rdg_fail_in(err, "cannot read the configuration of image %s", image->digest);
}
