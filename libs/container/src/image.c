#include "image.h"
#include "distribution.h"
#include "image_trust.h"
#include "manifest.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include <stdio.h>
#include <string.h>

void image_record_name(const char *reference, char out[IMAGE_RECORD_TEXT]) {
    uint8_t sum[32];
    rdg_sha256(reference, strlen(reference), sum);
    rdg_hex_encode(sum, sizeof sum, out);
}

static rdg_err_t record_path(const char *root, const char *reference, char out[PATH_MAX]) {
    char hex[IMAGE_RECORD_TEXT];
    image_record_name(reference, hex);
    int n = snprintf(out, PATH_MAX, "%s/images/%s", root, hex);
    return n < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", root);
}

/* --- manifests ------------------------------------------------------------------------------------ */

static rdg_err_t get_manifest(rdg_http_client_t *http, const image_ref_t *ref, const char *reference,
                              rdg_buf_t *body, char digest[IMAGE_DIGEST_TEXT]) {
    char path[160 + 16];
    uint8_t sum[32];
    rdg_http_answer_t got;
    snprintf(path, sizeof path, "manifests/%s", reference);
    rdg_err_t err = distribution_get(http, ref, path, manifest_accept, IMAGE_MANIFEST_MAX, &got);
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(err, "%s has no image %s:%s", ref->base, ref->name, reference);
    RDG_TRY(err);
    rdg_sha256(got.body.data, got.body.len, sum);
    memcpy(digest, "sha256:", 7);
    rdg_hex_encode(sum, sizeof sum, digest + 7);
    const char *want = image_digest_valid(reference) ? reference : got.digest;
    if (want[0] && image_digest_valid(want) && strcmp(want, digest) != 0)
        err = rdg_fail(RDG_E_CORRUPT, "the manifest of %s was announced as %s and is %s", ref->name, want,
                       digest);
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
        if (depth == 0) memcpy(out->subject, out->digest, sizeof out->subject);
        bool index = err == RDG_OK && manifest_is_index(m);
        manifest_needs(json_object_get(m, "annotations"), &out->needs);
        if (index && depth > 0) err = rdg_fail(RDG_E_UNSUPPORTED, "an index within an index");
        if (err == RDG_OK) err = index ? manifest_choose(m, reference) : manifest_parse(m, out);
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
    uint64_t before, total, unpacked;
    const char *unpacker;
    layer_limits_t limits;
    image_judge_t judge;
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

/* What is not here yet has to find room; what is here already, if in part, has it. */
static uint64_t missing_bytes(const char *root, const image_t *image) {
    char dir[PATH_MAX];
    uint64_t bytes = 0;
    for (size_t i = 0; i < image->layer_count; ++i) {
        if (layer_path(root, image->layers[i], dir) != RDG_OK || rdg_file_exists(dir)) continue;
        uint64_t here = blob_fetched(root, image->layers[i]);
        if (here < image->sizes[i]) bytes += image->sizes[i] - here;
    }
    return bytes;
}

/* Before a layer is fetched: is it for this machine, and will it fit? */
static rdg_err_t check_machine(const char *root, image_t *image) {
    json_t *config = NULL;
    RDG_TRY(image_config(root, image, &config));
    rdg_err_t err = manifest_check_config(config);
    manifest_needs(json_object_get(json_object_get(config, "config"), "Labels"), &image->needs);
    json_decref(config);
    return err == RDG_OK ? manifest_check_needs(&image->needs, root, missing_bytes(root, image)) : err;
}

/* The limit is on what the whole image adds to the disk. */
static rdg_err_t unpack(const char *root, const char *digest, pull_t *p) {
    layer_limits_t limits = p->limits;
    uint64_t bytes = 0;
    if (p->unpacked >= limits.bytes)
        limits.bytes = 0;
    else
        limits.bytes -= p->unpacked;
    RDG_TRY(layer_unpack(root, digest, p->unpacker, &limits, &bytes));
    p->unpacked += bytes;
    return RDG_OK;
}

/* For an engine, which unpacks by itself. */
static rdg_err_t fetch_packed(const image_pull_t *how, rdg_http_client_t *http, image_t *image, pull_t *p) {
    RDG_TRY(fetch(how->root, http, p->judge.ref, image->config, image->config_size, p));
    if (how->engine_has(how->engine_ctx, image->config)) return RDG_OK;
    RDG_TRY(check_machine(how->root, image));
    for (size_t i = 0; i < image->layer_count; ++i)
        RDG_TRY(fetch(how->root, http, p->judge.ref, image->layers[i], image->sizes[i], p));
    return RDG_OK;
}

static rdg_err_t fetch_all(const char *root, rdg_http_client_t *http, const image_ref_t *ref, image_t *image,
                           pull_t *p) {
    RDG_TRY(fetch(root, http, ref, image->config, image->config_size, p));
    RDG_TRY(check_machine(root, image));
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
        RDG_TRY(unpack(root, image->layers[i], p));
        /* Small devices: what is unpacked is not kept a second time. */
        RDG_TRY(blob_path(root, image->layers[i], blob));
        RDG_TRY(rdg_tree_remove(blob, NULL));
    }
    return RDG_OK;
}

/* The digest of the manifest, and in a second line the ceilings of the index above it, which is not kept. */
static rdg_err_t record(const char *root, const char *reference, const image_t *image) {
    char path[PATH_MAX], dir[PATH_MAX], text[IMAGE_DIGEST_TEXT + 64];
    snprintf(text, sizeof text, "%s\n%llu %llu\n", image->digest,
             (unsigned long long)image->needs.memory_max_bytes,
             (unsigned long long)image->needs.cpu_max_thousandths);
    RDG_TRY(rdg_path_join(dir, sizeof dir, root, "images"));
    RDG_TRY(rdg_dir_make(dir, 0700));
    RDG_TRY(record_path(root, reference, path));
    return rdg_file_replace(path, rdg_bytes_str(text), 0600);
}

static rdg_err_t pull_image(const image_pull_t *how, rdg_http_client_t *http, pull_t *p, image_t *image) {
    RDG_TRY(resolve(how->root, http, p->judge.ref, image));
    if (image->total > how->bytes_max || image->config_size > IMAGE_CONFIG_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "the image has %llu bytes, at most %llu are taken",
                        (unsigned long long)image->total, (unsigned long long)how->bytes_max);
    /* Before anything of it is fetched, let alone unpacked. */
    if (p->judge.trust) RDG_TRY(image_admit(&p->judge, image, http));
    p->total = image->total;
    if (how->engine_has)
        RDG_TRY(fetch_packed(how, http, image, p));
    else
        RDG_TRY(fetch_all(how->root, http, p->judge.ref, image, p));
    return record(how->root, p->judge.reference, image);
}

/* before: the manifest that the reference had, or "". */
static rdg_err_t pull_from(const image_pull_t *how, rdg_http_client_t *http, pull_t *p, const char *before) {
    image_t *image = rdg_calloc(1, sizeof *image);
    if (!image) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an image");
    rdg_err_t err = pull_image(how, http, p, image);
    if (err == RDG_OK && before[0] && strcmp(before, image->digest) != 0)
        image_signature_drop(how->root, p->judge.reference, before);
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

/* What is here already, and why it may not be run if so. */
typedef struct known {
    bool present;
    rdg_err_t refused;
    char digest[IMAGE_DIGEST_TEXT], why[RDG_ERROR_TEXT_MAX];
} known_t;

static bool is_present(const image_pull_t *how, const char *reference, image_t *image) {
    if (!how->engine_has) return image_find(how->root, reference, image) == RDG_OK;
    return image_find_packed(how->root, reference, image) == RDG_OK &&
           how->engine_has(how->engine_ctx, image->config);
}

static rdg_err_t look(const image_pull_t *how, const image_judge_t *j, known_t *out) {
    memset(out, 0, sizeof *out);
    image_t *image = rdg_calloc(1, sizeof *image);
    if (!image) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an image");
    out->present = is_present(how, j->reference, image);
    if (out->present) {
        memcpy(out->digest, image->digest, sizeof out->digest);
        out->refused = image_admit_stored(j, image);
        if (out->refused != RDG_OK) snprintf(out->why, sizeof out->why, "%s", rdg_err_message(out->refused));
    }
    rdg_free(image);
    return RDG_OK;
}

static rdg_err_t pull(const image_pull_t *how, pull_t *p) {
    rdg_http_client_t *http = NULL;
    known_t known;
    RDG_TRY(look(how, &p->judge, &known));
    if (known.present && known.refused == RDG_OK && p->judge.ref->by_digest) return RDG_OK;
    rdg_err_t err = open_client(how, p->judge.ref, &http);
    if (err == RDG_OK) err = pull_from(how, http, p, known.digest);
    rdg_http_client_free(http);
    if (!known.present || (err != RDG_E_UNAVAILABLE && err != RDG_E_TIMEOUT)) return err;
    rdg_log(RDG_LOG_WARN, "image.registry_away", RDG_STR("image", p->judge.reference),
            RDG_STR("why", rdg_err_message(err)));
    return known.refused == RDG_OK ? RDG_OK : rdg_fail(known.refused, "%s", known.why);
}

rdg_err_t image_pull(const image_pull_t *how, const char *reference) {
    image_ref_t ref;
    rdg_image_trust_t *trust = NULL;
    pull_t p = {.fn = how->progress, .ctx = how->progress_ctx, .unpacker = how->unpacker};
    RDG_TRY(image_ref_parse(reference, &ref));
    rdg_err_t err = image_trust_load(how->trust_file, &trust);
    p.judge = (image_judge_t){how->root, reference, &ref, trust};
    p.limits = layer_limits_default;
    if (how->unpacked_max) p.limits.bytes = how->unpacked_max;
    if (err == RDG_OK) err = pull(how, &p);
    rdg_free(trust);
    return rdg_fail_in(err, "cannot pull %s", reference);
}

rdg_err_t image_may_run(const char *root, const char *trust_file, const char *reference,
                        const image_t *image) {
    image_ref_t ref;
    rdg_image_trust_t *trust = NULL;
    RDG_TRY(image_ref_parse(reference, &ref));
    RDG_TRY(image_trust_load(trust_file, &trust));
    const image_judge_t j = {root, reference, &ref, trust};
    rdg_err_t err = image_admit_stored(&j, image);
    rdg_free(trust);
    return rdg_fail_in(err, "cannot start %s", reference);
}

rdg_err_t rdg_container_image_check(const rdg_container_oci_options_t *o, const char *reference) {
    image_t *image = rdg_calloc(1, sizeof *image);
    if (!image) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an image");
    rdg_err_t err = image_recorded(o->root, reference, image);
    if (err == RDG_OK) err = image_may_run(o->root, o->trust_file, reference, image);
    rdg_free(image);
    return err == RDG_E_NOT_FOUND ? rdg_fail(err, "image %s is not on this device", reference) : err;
}

rdg_err_t image_recorded(const char *root, const char *reference, image_t *out) {
    char path[PATH_MAX];
    rdg_buf_t text;
    memset(out, 0, sizeof *out);
    RDG_TRY(record_path(root, reference, path));
    rdg_buf_init(&text, 4096);
    rdg_err_t err = rdg_file_read(path, &text);
    const char *record = err == RDG_OK ? rdg_buf_cstr(&text) : NULL;
    if (err == RDG_OK && !record) err = RDG_E_NO_MEMORY;
    if (err == RDG_OK) {
        size_t n = strcspn(record, "\n");
        unsigned long long memory = 0, cpu = 0;
        snprintf(out->digest, sizeof out->digest, "%.*s", n < IMAGE_DIGEST_TEXT ? (int)n : 0, record);
        /* Records of earlier builds end here. */
        if (record[n] && sscanf(record + n, "%llu %llu", &memory, &cpu) == 2) {
            out->needs.memory_max_bytes = memory;
            out->needs.cpu_max_thousandths = cpu;
        }
        if (!image_digest_valid(out->digest)) err = rdg_fail(RDG_E_CORRUPT, "%s names no manifest", path);
    }
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t find(const char *root, const char *reference, bool unpacked, image_t *out) {
    char dir[PATH_MAX];
    rdg_buf_t text;
    json_t *m = NULL;
    rdg_buf_init(&text, IMAGE_MANIFEST_MAX);
    rdg_err_t err = image_recorded(root, reference, out);
    if (err == RDG_OK) err = blob_read(root, out->digest, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &m);
    if (err == RDG_OK) err = manifest_parse(m, out);
    if (err == RDG_OK) manifest_needs(json_object_get(m, "annotations"), &out->needs);
    for (size_t i = 0; unpacked && err == RDG_OK && i < out->layer_count; ++i) {
        err = layer_path(root, out->layers[i], dir);
        if (err == RDG_OK && !rdg_file_exists(dir)) err = RDG_E_NOT_FOUND;
    }
    json_decref(m);
    rdg_buf_fini(&text);
    if (err == RDG_OK) return RDG_OK;
    if (err == RDG_E_CORRUPT) return rdg_fail_in(RDG_E_CORRUPT, "image %s", reference);
    return rdg_fail(RDG_E_NOT_FOUND, "image %s is not on this device: prepare it first", reference);
}

rdg_err_t image_find(const char *root, const char *reference, image_t *out) {
    return find(root, reference, true, out);
}

rdg_err_t image_find_packed(const char *root, const char *reference, image_t *out) {
    return find(root, reference, false, out);
}

/* The smaller of both; 0 is none. */
static uint64_t ceiling(uint64_t ordered, uint64_t of_image) {
    return ordered > 0 && (of_image == 0 || ordered < of_image) ? ordered : of_image;
}

rdg_container_spec_t image_limited(const rdg_container_spec_t *spec, image_t *image, const json_t *config) {
    rdg_container_spec_t s = *spec;
    manifest_needs(json_object_get(json_object_get(config, "config"), "Labels"), &image->needs);
    s.memory_bytes = ceiling(spec->memory_bytes, image->needs.memory_max_bytes);
    s.cpu_millis = ceiling(spec->cpu_millis, image->needs.cpu_max_thousandths);
    return s;
}

rdg_err_t image_config(const char *root, const image_t *image, json_t **out) {
    rdg_buf_t text;
    rdg_buf_init(&text, IMAGE_CONFIG_MAX);
    rdg_err_t err = blob_read(root, image->config, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    return rdg_fail_in(err, "cannot read the configuration of image %s", image->digest);
}
