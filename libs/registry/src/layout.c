#include "layout.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "ridge/registry/registry.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REF_NAME "org.opencontainers.image.ref.name"
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE "application/vnd.oci.image.index.v1+json"

static rdg_err_t parse_index(const layout_t *l, rdg_bytes_t text, json_t **out) {
    json_t *index = NULL;
    rdg_err_t err = rdg_json_parse(text, &index);
    json_t *entries = json_object_get(index, "manifests");
    if (err != RDG_OK || !json_is_array(entries)) {
        json_decref(index);
        return rdg_fail(RDG_E_CORRUPT, "%s/index.json is no OCI image index", l->dir);
    }
    *out = json_incref(entries);
    json_decref(index);
    return RDG_OK;
}

rdg_err_t layout_entries(const layout_t *l, json_t **out) {
    char path[PATH_MAX];
    rdg_buf_t text;
    RDG_TRY(rdg_path_join(path, sizeof path, l->dir, "index.json"));
    rdg_buf_init(&text, RDG_REGISTRY_MANIFEST_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) {
        err = parse_index(l, rdg_buf_view(&text), out);
    } else if (err == RDG_E_NOT_FOUND) {
        *out = json_array();
        err = *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory to read %s", path);
    }
    rdg_buf_fini(&text);
    return err;
}

const char *layout_entry_tag(const json_t *entry, const char *name) {
    const char *ref = json_string_value(json_object_get(json_object_get(entry, "annotations"), REF_NAME));
    size_t len = strlen(name);
    if (!ref || strncmp(ref, name, len) != 0 || ref[len] != ':') return NULL;
    return ref + len + 1;
}

bool layout_has_name(const json_t *entries, const char *name) {
    size_t i;
    const json_t *entry;
    json_array_foreach(entries, i, entry) if (layout_entry_tag(entry, name)) return true;
    return false;
}

rdg_err_t layout_blob(const layout_t *l, const char *digest, int *fd, uint64_t *size) {
    char path[PATH_MAX];
    struct stat st;
    RDG_ASSERT(target_digest_valid(digest));
    if (snprintf(path, sizeof path, "%s/blobs/%.6s/%s", l->dir, digest, digest + 7) >= (int)sizeof path)
        return rdg_fail(RDG_E_TOO_LARGE, "the path of the registry is too long");
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (opened < 0) return rdg_fail_errno(errno, "blob %s", digest);
    if (fstat(opened, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(opened);
        return rdg_fail(RDG_E_NOT_FOUND, "blob %s is no file", digest);
    }
    *fd = opened;
    *size = (uint64_t)st.st_size;
    return RDG_OK;
}

static rdg_err_t read_all(int fd, uint64_t size, rdg_buf_t *out) {
    uint8_t bytes[16384];
    ssize_t n;
    if (size > RDG_REGISTRY_MANIFEST_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a manifest has at most %u bytes", RDG_REGISTRY_MANIFEST_MAX);
    while ((n = read(fd, bytes, sizeof bytes)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "cannot read a manifest");
        RDG_TRY(rdg_buf_append(out, bytes, (size_t)n));
    }
    return RDG_OK;
}

/* sha512 is not checked: nothing here makes such digests, and the client checks what it gets. */
static rdg_err_t check_digest(const char *digest, rdg_bytes_t bytes) {
    uint8_t sum[32];
    char hex[2 * sizeof sum + 1];
    if (strncmp(digest, "sha256:", 7) != 0) return RDG_OK;
    rdg_sha256(bytes.data, bytes.len, sum);
    rdg_hex_encode(sum, sizeof sum, hex);
    if (strcmp(hex, digest + 7) == 0) return RDG_OK;
    return rdg_fail(RDG_E_CORRUPT, "the bytes of manifest %s are those of sha256:%s", digest, hex);
}

/* What is no JSON object with the fields of a manifest or an index is a blob and not served as a manifest. */
static rdg_err_t find_media_type(layout_manifest_t *m) {
    json_t *v = NULL;
    rdg_err_t err = rdg_json_parse(rdg_buf_view(&m->bytes), &v);
    const char *type = json_string_value(json_object_get(v, "mediaType"));
    bool index = json_is_array(json_object_get(v, "manifests"));
    bool manifest =
        json_is_array(json_object_get(v, "layers")) && json_is_object(json_object_get(v, "config"));
    if (!type) type = index ? INDEX_TYPE : MANIFEST_TYPE;
    if (err != RDG_OK || (!index && !manifest) || strlen(type) >= sizeof m->media_type)
        err = rdg_fail(RDG_E_NOT_FOUND, "%s is no manifest", m->digest);
    else
        memcpy(m->media_type, type, strlen(type) + 1);
    json_decref(v);
    return err;
}

static const char *find_digest(const json_t *entries, const target_t *t) {
    size_t i;
    const json_t *entry;
    if (t->is_digest) return t->reference;
    json_array_foreach(entries, i, entry) {
        const char *tag = layout_entry_tag(entry, t->name);
        const char *digest = json_string_value(json_object_get(entry, "digest"));
        if (tag && strcmp(tag, t->reference) == 0 && digest && target_digest_valid(digest)) return digest;
    }
    return NULL;
}

rdg_err_t layout_manifest(const layout_t *l, const json_t *entries, const target_t *t,
                          layout_manifest_t *out) {
    uint64_t size;
    int fd;
    const char *digest = find_digest(entries, t);
    if (!digest) return rdg_fail(RDG_E_NOT_FOUND, "%s has no tag %s", t->name, t->reference);
    memset(out, 0, sizeof *out);
    memcpy(out->digest, digest, strlen(digest) + 1);
    RDG_TRY(layout_blob(l, digest, &fd, &size));
    rdg_buf_init(&out->bytes, RDG_REGISTRY_MANIFEST_MAX);
    rdg_err_t err = read_all(fd, size, &out->bytes);
    close(fd);
    if (err == RDG_OK) err = find_media_type(out);
    if (err == RDG_OK) err = check_digest(digest, rdg_buf_view(&out->bytes));
    if (err != RDG_OK) rdg_buf_fini(&out->bytes);
    return err;
}
