#include "image_trust.h"
#include "images_internal.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include <stdio.h>
#include <string.h>

/* What --image brings in is signed by the platform's own key: whoever may start the cloud stands for it. */

typedef struct taken {
    rdg_images_t *images;
    rdg_platform_t *platform;
    char *first;
    size_t first_size;
} taken_t;

typedef struct image_bytes {
    rdg_buf_t manifest;
    char digest[RDG_IMAGE_DIGEST_MAX], type[128];
} image_bytes_t;

static rdg_err_t read_image(rdg_registry_t *r, const char *name, const char *tag, image_bytes_t *out) {
    json_t *m = NULL;
    RDG_TRY(rdg_registry_get_manifest(r, name, tag, &out->manifest, out->digest));
    RDG_TRY(rdg_json_parse(rdg_buf_view(&out->manifest), &m));
    const char *type = json_string_value(json_object_get(m, "mediaType"));
    snprintf(out->type, sizeof out->type, "%s", type ? type : "application/vnd.oci.image.manifest.v1+json");
    json_decref(m);
    return RDG_OK;
}

static bool signed_already(rdg_registry_t *r, const char *name, const rdg_image_signature_t *s) {
    json_t *list = NULL, *entry;
    size_t i;
    char key[129];
    bool found = false;
    rdg_hex_encode(s->key.b, sizeof s->key.b, key);
    if (rdg_registry_referrers(r, name, s->digest, RDG_IMAGE_SIGNATURE_TYPE, &list) != RDG_OK) return false;
    json_array_foreach(list, i, entry) {
        const json_t *notes = json_object_get(entry, "annotations");
        const char *by = json_string_value(json_object_get(notes, RDG_IMAGE_SIGNATURE_KEY));
        const char *tag = json_string_value(json_object_get(notes, RDG_IMAGE_SIGNATURE_TAG));
        found = found || (by && tag && strcmp(by, key) == 0 && strcmp(tag, s->tag) == 0);
    }
    json_decref(list);
    return found;
}

static rdg_err_t store(rdg_registry_t *r, const char *name, const rdg_image_signature_t *s,
                       const image_bytes_t *image) {
    rdg_buf_t text, artifact;
    char digest[RDG_IMAGE_DIGEST_MAX];
    const rdg_image_subject_t subject = {image->type, image->manifest.len};
    rdg_buf_init(&text, RDG_IMAGE_SIGNATURE_MAX);
    rdg_buf_init(&artifact, RDG_REGISTRY_MANIFEST_MAX);
    rdg_err_t err = rdg_image_signature_dump(s, &text);
    if (err == RDG_OK) err = rdg_image_signature_manifest(s, rdg_buf_view(&text), &subject, &artifact);
    if (err == RDG_OK) err = rdg_registry_put_blob(r, name, rdg_bytes_str(RDG_IMAGE_EMPTY), digest);
    if (err == RDG_OK) err = rdg_registry_put_blob(r, name, rdg_buf_view(&text), digest);
    if (err == RDG_OK) err = rdg_registry_put_manifest(r, name, NULL, rdg_buf_view(&artifact), digest);
    rdg_buf_fini(&text);
    rdg_buf_fini(&artifact);
    return err;
}

static rdg_err_t sign_image(const taken_t *t, const char *name, const char *tag, const image_bytes_t *image) {
    rdg_image_signature_t s;
    RDG_TRY(rdg_image_signature_make(t->platform->image_key, image->digest, name, tag, platform_now(), &s));
    if (signed_already(t->images->registry, name, &s)) return RDG_OK;
    RDG_TRY(store(t->images->registry, name, &s, image));
    rdg_log(RDG_LOG_INFO, "image.signed", RDG_STR("repository", name), RDG_STR("tag", tag),
            RDG_STR("digest", image->digest));
    return RDG_OK;
}

static rdg_err_t taken(void *ctx, const char *name, const char *tag) {
    taken_t *t = ctx;
    image_bytes_t image;
    if (!t->first[0]) snprintf(t->first, t->first_size, "%s:%s", name, tag);
    rdg_buf_init(&image.manifest, RDG_REGISTRY_MANIFEST_MAX);
    rdg_err_t err = read_image(t->images->registry, name, tag, &image);
    if (err == RDG_OK) err = sign_image(t, name, tag, &image);
    rdg_buf_fini(&image.manifest);
    return rdg_fail_in(err, "signing image %s:%s", name, tag);
}

rdg_err_t rdg_images_import(rdg_images_t *i, rdg_platform_t *p, const char *layout, char *first,
                            size_t first_size) {
    taken_t t = {i, p, first, first_size};
    first[0] = '\0';
    return rdg_registry_import(i->registry, layout, taken, &t);
}
