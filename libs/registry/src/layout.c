#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Taking in an OCI image layout (OCI Image Specification 1.1): oci-layout, index.json, blobs/<algorithm>/<hex>. Its
 * files may come from anywhere: what they are called is compared with what they are. */

#define REF_NAME "org.opencontainers.image.ref.name"

static rdg_err_t layout_path(const char *layout, const char *digest, char out[STORE_PATH_MAX]) {
    if (!target_digest_valid(digest)) return rdg_fail(RDG_E_MALFORMED, "'%.80s' is no digest", digest);
    if (snprintf(out, STORE_PATH_MAX, "%s/blobs/%.6s/%s", layout, digest, digest + 7) < STORE_PATH_MAX)
        return RDG_OK;
    return rdg_fail(RDG_E_TOO_LARGE, "the path of the layout is too long");
}

static rdg_err_t read_manifest(const char *layout, const char *digest, rdg_buf_t *out) {
    char path[STORE_PATH_MAX], actual[DIGEST_TEXT];
    RDG_TRY(layout_path(layout, digest, path));
    RDG_TRY(rdg_file_read(path, out));
    RDG_TRY(digest_of_bytes(digest, rdg_buf_view(out), actual));
    return strcmp(actual, digest) == 0 ? RDG_OK
                                       : rdg_fail(RDG_E_CORRUPT, "%s holds the bytes of %s", path, actual);
}

static rdg_err_t copy_bytes(rdg_registry_t *r, int fd, upload_t *up) {
    static const size_t block = 128u << 10;
    uint8_t *bytes = rdg_alloc(block);
    rdg_err_t err = bytes ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory to copy a blob");
    while (err == RDG_OK) {
        ssize_t n = read(fd, bytes, block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = rdg_fail_errno(errno, "cannot read a blob");
        if (n <= 0) break;
        err = upload_write(&r->uploads, up, rdg_bytes(bytes, (size_t)n));
    }
    rdg_free(bytes);
    return err;
}

static rdg_err_t import_blob(rdg_registry_t *r, const char *layout, const char *repo, const char *digest) {
    char path[STORE_PATH_MAX];
    upload_t *up = NULL;
    uint64_t size;
    bool gone = false;
    if (store_find(&r->store, repo, digest, &size) == RDG_OK) return RDG_OK;
    RDG_TRY(layout_path(layout, digest, path));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return rdg_fail_errno(errno, "cannot read %s", path);
    rdg_err_t err = uploads_begin(&r->uploads, repo, digest, true, &up);
    if (err == RDG_OK) {
        err = copy_bytes(r, fd, up);
        if (err == RDG_OK) err = upload_finish(&r->uploads, up, digest, &gone);
        if (!gone) uploads_give_back(&r->uploads, up);
    }
    close(fd);
    return err == RDG_E_MALFORMED ? rdg_fail(RDG_E_CORRUPT, "%s is damaged", path) : err;
}

static rdg_err_t import_manifest(rdg_registry_t *r, const char *layout, const char *repo, const char *tag,
                                 const char *digest, bool nested);

static rdg_err_t import_parts(rdg_registry_t *r, const char *layout, const char *repo, const manifest_t *m,
                              bool nested) {
    if (m->index && nested) return rdg_fail(RDG_E_UNSUPPORTED, "an index within an index");
    for (size_t i = 0; i < m->part_count; ++i)
        RDG_TRY(m->index ? import_manifest(r, layout, repo, NULL, m->parts[i], true)
                         : import_blob(r, layout, repo, m->parts[i]));
    return RDG_OK;
}

static rdg_err_t import_manifest(rdg_registry_t *r, const char *layout, const char *repo, const char *tag,
                                 const char *digest, bool nested) {
    rdg_buf_t bytes;
    manifest_t *m = rdg_calloc(1, sizeof *m);
    if (!m) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a manifest");
    rdg_buf_init(&bytes, RDG_REGISTRY_MANIFEST_MAX);
    rdg_err_t err = read_manifest(layout, digest, &bytes);
    if (err == RDG_OK) err = manifest_parse(rdg_buf_view(&bytes), NULL, m);
    if (err == RDG_OK) {
        err = import_parts(r, layout, repo, m, nested);
        const catalog_put_t put = {.repo = repo,
                                   .digest = digest,
                                   .bytes = rdg_buf_view(&bytes),
                                   .manifest = m,
                                   .tags = &tag,
                                   .tag_count = tag != NULL};
        if (err == RDG_OK) err = catalog_put(&r->store, &put);
        manifest_fini(m);
    }
    rdg_free(m);
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t import_entry(rdg_registry_t *r, const char *layout, const json_t *entry,
                              char name[TARGET_NAME_MAX + 1], char tag[TARGET_TAG_MAX + 1]) {
    const char *ref = json_string_value(json_object_get(json_object_get(entry, "annotations"), REF_NAME));
    const char *digest = json_string_value(json_object_get(entry, "digest"));
    const char *colon = ref ? strrchr(ref, ':') : NULL;
    char held[DIGEST_TEXT];
    name[0] = tag[0] = '\0';
    if (!colon || !digest) return RDG_OK; /* unnamed images are nobody's */
    if ((size_t)(colon - ref) > TARGET_NAME_MAX || strlen(colon + 1) > TARGET_TAG_MAX)
        return rdg_fail(RDG_E_MALFORMED, "'%.80s' is no name of an image", ref);
    snprintf(name, TARGET_NAME_MAX + 1, "%.*s", (int)(colon - ref), ref);
    snprintf(tag, TARGET_TAG_MAX + 1, "%s", colon + 1);
    if (!target_name_valid(name) || !target_tag_valid(tag))
        return rdg_fail(RDG_E_MALFORMED, "'%.80s' is no name of an image", ref);
    if (catalog_resolve(&r->store, name, tag, held) == RDG_OK && strcmp(held, digest) == 0) return RDG_OK;
    RDG_TRY(rdg_fail_in(import_manifest(r, layout, name, tag, digest, false), "image %s", ref));
    rdg_log(RDG_LOG_INFO, "registry.imported", RDG_STR("repository", name), RDG_STR("tag", tag),
            RDG_STR("digest", digest));
    return RDG_OK;
}

rdg_err_t rdg_registry_import(rdg_registry_t *r, const char *layout,
                              rdg_err_t (*each)(void *ctx, const char *name, const char *tag), void *ctx) {
    char path[STORE_PATH_MAX], name[TARGET_NAME_MAX + 1], tag[TARGET_TAG_MAX + 1];
    rdg_buf_t text;
    json_t *index = NULL;
    const json_t *entry;
    size_t i;
    RDG_TRY(rdg_path_join(path, sizeof path, layout, "index.json"));
    rdg_buf_init(&text, RDG_REGISTRY_MANIFEST_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &index);
    if (err == RDG_OK && !json_is_array(json_object_get(index, "manifests")))
        err = rdg_fail(RDG_E_INVALID, "%s is no OCI image index", path);
    json_array_foreach(json_object_get(index, "manifests"), i, entry) {
        if (err != RDG_OK) break;
        err = import_entry(r, layout, entry, name, tag);
        if (err == RDG_OK && each && name[0]) err = each(ctx, name, tag);
    }
    json_decref(index);
    rdg_buf_fini(&text);
    return rdg_fail_in(err, "the image layout %s", layout);
}
