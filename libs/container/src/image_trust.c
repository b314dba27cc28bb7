#include "image_trust.h"
#include "distribution.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include <stdio.h>
#include <string.h>

#define TYPE_ESCAPED "application%2Fvnd.ridge.image.signature.v1%2Bjson"
#define LIST_MAX (1u << 20)
#define ENTRIES_MAX 1000

rdg_err_t image_trust_load(const char *file, rdg_image_trust_t **out) {
    rdg_buf_t text;
    *out = NULL;
    if (!file) return RDG_OK;
    rdg_buf_init(&text, RDG_IMAGE_TRUST_MAX);
    rdg_err_t err = rdg_file_read(file, &text);
    if (err == RDG_OK) err = rdg_image_trust_parse(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(RDG_E_FORBIDDEN,
                        "this device has not been told whose images it may run: it learns that when it "
                        "reaches its cloud (%s)",
                        file);
    return rdg_fail_in(err, "%s", file);
}

/* --- what was kept ------------------------------------------------------------------------------------ */

static rdg_err_t kept_path(const char *root, const char *reference, const char *digest, char out[PATH_MAX]) {
    char record[IMAGE_RECORD_TEXT];
    image_record_name(reference, record);
    int n = snprintf(out, PATH_MAX, "%s/signatures/%s-%s", root, record, digest + strlen("sha256:"));
    return n < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", root);
}

static rdg_err_t keep(const image_judge_t *j, const image_t *image, rdg_bytes_t text) {
    char path[PATH_MAX], dir[PATH_MAX];
    RDG_TRY(rdg_path_join(dir, sizeof dir, j->root, "signatures"));
    RDG_TRY(rdg_dir_make(dir, 0700));
    RDG_TRY(kept_path(j->root, j->reference, image->digest, path));
    return rdg_file_replace(path, text, 0600);
}

void image_signature_drop(const char *root, const char *reference, const char *digest) {
    char path[PATH_MAX];
    if (kept_path(root, reference, digest, path) == RDG_OK) (void)rdg_tree_remove(path, NULL);
}

static bool may_be_unsigned(const image_judge_t *j) {
    char name[600];
    snprintf(name, sizeof name, "%s/%s", strstr(j->ref->base, "://") + 3, j->ref->name);
    return rdg_image_patterns_fit(j->trust->unsigned_ok, name);
}

static rdg_err_t not_signed(const image_judge_t *j) {
    return rdg_fail(RDG_E_FORBIDDEN,
                    "image %s is not signed: sign it with 'ridge image sign', or let devices run it unsigned "
                    "with 'ridge image unsigned'",
                    j->reference);
}

/* A good one names the manifest, or the index that was asked for and led to it. */
static rdg_err_t judge(const image_judge_t *j, const rdg_image_signature_t *s, const char *digest) {
    const rdg_image_wanted_t wanted = {digest, j->ref->name, j->ref->by_digest ? NULL : j->ref->reference};
    return rdg_image_trust_judge(j->trust, s, &wanted);
}

rdg_err_t image_admit_stored(const image_judge_t *j, const image_t *image) {
    char path[PATH_MAX];
    rdg_buf_t text;
    rdg_image_signature_t s;
    if (!j->trust || may_be_unsigned(j)) return RDG_OK;
    RDG_TRY(kept_path(j->root, j->reference, image->digest, path));
    rdg_buf_init(&text, RDG_IMAGE_SIGNATURE_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_image_signature_parse(rdg_buf_view(&text), &s);
    rdg_buf_fini(&text);
    if (err == RDG_E_NOT_FOUND) return not_signed(j);
    RDG_TRY(rdg_fail_in(err, "%s", path));
    /* The file's name says which manifest it is for, also when the index above that was signed. */
    return judge(j, &s, s.digest);
}

/* --- what the registry has ------------------------------------------------------------------------------ */

typedef struct finding {
    const image_judge_t *j;
    const image_t *image;
    rdg_http_client_t *http;
    const char *digest; /* whose signatures are looked at */
    unsigned fetched;
    bool admitted;
    rdg_err_t why; /* of the first that was no good */
    char text[RDG_ERROR_TEXT_MAX];
} finding_t;

static void remember(finding_t *f, rdg_err_t err) {
    if (f->why != RDG_OK) return;
    f->why = err;
    snprintf(f->text, sizeof f->text, "%s", rdg_err_message(err));
}

/* NOT_FOUND for 404. Body of a GET below /v2/NAME. */
static rdg_err_t get(const finding_t *f, const char *path, size_t max, rdg_buf_t *out) {
    static const char accept[] = "Accept: application/vnd.oci.image.index.v1+json, "
                                 "application/vnd.oci.image.manifest.v1+json, */*";
    rdg_http_answer_t got;
    rdg_err_t err = distribution_get(f->http, f->j->ref, path, accept, max, &got);
    if (err == RDG_E_FORBIDDEN)
        err = RDG_E_UNAVAILABLE; /* the way is shut: that says nothing of a signature */
    RDG_TRY(err);
    err = rdg_buf_append(out, got.body.data, got.body.len);
    rdg_http_answer_fini(&got);
    return err;
}

/* The bytes of a digest, compared. */
static rdg_err_t get_content(const finding_t *f, const char *kind, const char *digest, size_t max,
                             rdg_buf_t *out) {
    char path[128], actual[RDG_IMAGE_DIGEST_MAX];
    if (!image_digest_valid(digest))
        return rdg_fail(RDG_E_MALFORMED, "a signature has the digest '%.80s'", digest);
    snprintf(path, sizeof path, "%s/%s", kind, digest);
    RDG_TRY(get(f, path, max, out));
    rdg_image_digest(rdg_buf_view(out), actual);
    if (strcmp(actual, digest) == 0) return RDG_OK;
    return rdg_fail(RDG_E_CORRUPT, "a part of a signature was asked for as %.80s and is %.80s", digest,
                    actual);
}

static rdg_err_t layer_of(const json_t *manifest, const char **digest) {
    const json_t *layer = json_array_get(json_object_get(manifest, "layers"), 0);
    const char *type = json_string_value(json_object_get(layer, "mediaType"));
    *digest = json_string_value(json_object_get(layer, "digest"));
    if (type && *digest && strcmp(type, RDG_IMAGE_SIGNATURE_TYPE) == 0) return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "an image's signature has no layer of type " RDG_IMAGE_SIGNATURE_TYPE);
}

static rdg_err_t fetch_signature(const finding_t *f, const char *digest, rdg_buf_t *text,
                                 rdg_image_signature_t *out) {
    json_t *manifest = NULL;
    const char *layer = NULL;
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, LIST_MAX);
    rdg_err_t err = get_content(f, "manifests", digest, LIST_MAX, &bytes);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&bytes), &manifest);
    if (err == RDG_OK) err = layer_of(manifest, &layer);
    if (err == RDG_OK) err = get_content(f, "blobs", layer, RDG_IMAGE_SIGNATURE_MAX, text);
    if (err == RDG_OK) err = rdg_image_signature_parse(rdg_buf_view(text), out);
    json_decref(manifest);
    rdg_buf_fini(&bytes);
    return err;
}

/* Its annotation may say at once that nobody here trusts its key. */
static bool by_a_stranger(finding_t *f, const json_t *entry) {
    rdg_image_signature_t s = {0};
    const json_t *notes = json_object_get(entry, "annotations");
    if (!json_object_get(notes, RDG_IMAGE_SIGNATURE_KEY) ||
        rdg_json_get_hex(notes, RDG_IMAGE_SIGNATURE_KEY, s.key.b, sizeof s.key.b) != RDG_OK ||
        rdg_image_trust_find(f->j->trust, &s.key))
        return false;
    snprintf(s.digest, sizeof s.digest, "%s", f->digest);
    snprintf(s.name, sizeof s.name, "%s", f->j->ref->name);
    remember(f, judge(f->j, &s, f->digest));
    return true;
}

/* An error that is not the signature's own ends the search. */
static rdg_err_t look_at(finding_t *f, const json_t *entry) {
    const char *type = json_string_value(json_object_get(entry, "artifactType"));
    const char *digest = json_string_value(json_object_get(entry, "digest"));
    rdg_image_signature_t s;
    rdg_buf_t text;
    if (!type || !digest || strcmp(type, RDG_IMAGE_SIGNATURE_TYPE) != 0 || by_a_stranger(f, entry) ||
        f->fetched++ >= IMAGE_SIGNATURES_MAX)
        return RDG_OK;
    rdg_buf_init(&text, RDG_IMAGE_SIGNATURE_MAX);
    rdg_err_t err = fetch_signature(f, digest, &text, &s);
    bool reached = err != RDG_E_UNAVAILABLE && err != RDG_E_TIMEOUT && err != RDG_E_CLOSED;
    if (err == RDG_OK) err = judge(f->j, &s, f->digest);
    if (err == RDG_OK) {
        f->admitted = true;
        err = keep(f->j, f->image, rdg_buf_view(&text));
    } else if (reached) {
        remember(f, err);
        err = RDG_OK;
    }
    rdg_buf_fini(&text);
    return err;
}

/* Registries without the referrers API have an index under a tag instead (OCI distribution 1.1, "Referrers Tag
 * Schema"). */
static rdg_err_t get_list(const finding_t *f, json_t **out) {
    char path[256];
    rdg_buf_t text;
    rdg_buf_init(&text, LIST_MAX);
    snprintf(path, sizeof path, "referrers/%s?artifactType=%s", f->digest, TYPE_ESCAPED);
    rdg_err_t err = get(f, path, LIST_MAX, &text);
    if (err == RDG_E_NOT_FOUND) {
        snprintf(path, sizeof path, "manifests/sha256-%s", f->digest + strlen("sha256:"));
        err = get(f, path, LIST_MAX, &text);
    }
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

static rdg_err_t search(finding_t *f, const char *digest) {
    json_t *list = NULL, *entry;
    size_t i;
    f->digest = digest;
    rdg_err_t err = get_list(f, &list);
    json_array_foreach(json_object_get(list, "manifests"), i, entry) {
        if (err != RDG_OK || f->admitted || i == ENTRIES_MAX) break;
        err = look_at(f, entry);
    }
    json_decref(list);
    return rdg_fail_in(err, "the signatures of %s", f->j->ref->name);
}

rdg_err_t image_admit(const image_judge_t *j, const image_t *image, rdg_http_client_t *http) {
    finding_t f = {.j = j, .image = image, .http = http};
    if (image_admit_stored(j, image) == RDG_OK) return RDG_OK;
    RDG_TRY(search(&f, image->subject));
    if (!f.admitted && strcmp(image->subject, image->digest) != 0) RDG_TRY(search(&f, image->digest));
    if (f.admitted) return RDG_OK;
    if (f.why == RDG_OK) return not_signed(j);
    rdg_log(RDG_LOG_WARN, "image.refused", RDG_STR("image", j->reference), RDG_STR("why", f.text));
    return rdg_fail(f.why, "%s", f.text);
}
