#include "image_collect.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* An image as its record and manifest tell: digests[0] is the manifest, [1] the configuration, then the layers. */
typedef struct kept_image {
    char record[IMAGE_RECORD_TEXT];
    char (*digests)[IMAGE_DIGEST_TEXT];
    size_t count;
    time_t pulled;
    bool needed, gone;
} kept_image_t;

#define SIGNATURE_NAME_TEXT (IMAGE_RECORD_TEXT + 65)

typedef struct collection {
    const char *root;
    kept_image_t images[IMAGE_RECORDS_MAX];
    size_t count;
    uint64_t used, *freed;
} collection_t;

static rdg_err_t sub_path(const collection_t *c, const char *dir, const char *name, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/%s%s%s", c->root, dir, name[0] ? "/" : "", name);
    return n < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", c->root);
}

/* --- what there is ------------------------------------------------------------------------------------- */

static rdg_err_t read_manifest(const collection_t *c, const char *digest, kept_image_t *out) {
    rdg_buf_t text;
    json_t *m = NULL;
    rdg_buf_init(&text, IMAGE_MANIFEST_MAX);
    rdg_err_t err = blob_read(c->root, digest, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &m);
    rdg_buf_fini(&text);
    const json_t *layers = json_object_get(m, "layers"), *layer;
    size_t i, count = json_array_size(layers);
    if (err == RDG_OK && count > IMAGE_LAYERS_MAX)
        err = rdg_fail(RDG_E_CORRUPT, "a manifest has too many layers");
    if (err == RDG_OK && !(out->digests = rdg_calloc(count + 2, sizeof *out->digests))) err = RDG_E_NO_MEMORY;
    if (err == RDG_OK) {
        const char *config = json_string_value(json_object_get(json_object_get(m, "config"), "digest"));
        snprintf(out->digests[0], IMAGE_DIGEST_TEXT, "%s", digest);
        snprintf(out->digests[1], IMAGE_DIGEST_TEXT, "%s", config ? config : "");
        out->count = 2;
        json_array_foreach(layers, i, layer) {
            const char *d = json_string_value(json_object_get(layer, "digest"));
            snprintf(out->digests[out->count++], IMAGE_DIGEST_TEXT, "%s", d ? d : "");
        }
    }
    json_decref(m);
    return err;
}

static rdg_err_t read_record(const collection_t *c, const char *name, kept_image_t *out) {
    char path[PATH_MAX], digest[IMAGE_DIGEST_TEXT];
    struct stat st;
    rdg_buf_t text;
    RDG_TRY(sub_path(c, "images", name, path));
    if (stat(path, &st) != 0) return RDG_E_NOT_FOUND;
    rdg_buf_init(&text, 4096);
    rdg_err_t err = rdg_file_read(path, &text);
    snprintf(digest, sizeof digest, "%.*s", (int)text.len, text.data ? (const char *)text.data : "");
    rdg_buf_fini(&text);
    RDG_TRY(err);
    snprintf(out->record, sizeof out->record, "%.64s", name);
    out->pulled = st.st_mtime;
    return read_manifest(c, digest, out);
}

static bool is_needed(const char *record, const char *const *needed, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        char hex[IMAGE_RECORD_TEXT];
        image_record_name(needed[i], hex);
        if (strcmp(hex, record) == 0) return true;
    }
    return false;
}

static rdg_err_t load(collection_t *c, const char *const *needed, size_t needed_count) {
    char path[PATH_MAX];
    RDG_TRY(sub_path(c, "images", "", path));
    DIR *d = opendir(path);
    rdg_err_t err = RDG_OK;
    for (struct dirent *e; d && err == RDG_OK && c->count < IMAGE_RECORDS_MAX && (e = readdir(d));) {
        if (strlen(e->d_name) != 64) continue;
        kept_image_t *k = &c->images[c->count];
        memset(k, 0, sizeof *k);
        rdg_err_t one = read_record(c, e->d_name, k);
        if (one == RDG_E_NO_MEMORY) err = one;
        if (one != RDG_OK) {
            rdg_free(k->digests);
            continue;
        }
        k->needed = is_needed(k->record, needed, needed_count);
        ++c->count;
    }
    if (d) closedir(d);
    static const char *const dirs[] = {"layers", "blobs"};
    for (size_t i = 0; err == RDG_OK && i < 2; ++i) {
        uint64_t bytes = 0;
        err = sub_path(c, dirs[i], "", path);
        if (err == RDG_OK && rdg_file_exists(path)) err = rdg_tree_size(path, &bytes);
        c->used += bytes;
    }
    return err;
}

/* --- what goes ------------------------------------------------------------------------------------------- */

/* A layer's directory carries the first half of its digest. */
static bool used_by_others(const collection_t *c, const char *digest, size_t compared) {
    for (size_t i = 0; i < c->count; ++i)
        for (size_t k = 0; !c->images[i].gone && k < c->images[i].count; ++k)
            if (strncmp(c->images[i].digests[k], digest, compared) == 0) return true;
    return false;
}

static rdg_err_t drop(collection_t *c, const char *path) {
    uint64_t freed = 0;
    rdg_err_t err = rdg_tree_remove(path, &freed);
    c->used -= freed < c->used ? freed : c->used;
    *c->freed += freed;
    return err;
}

/* As image_trust.c keeps it. */
static void signature_name(const kept_image_t *k, char out[SIGNATURE_NAME_TEXT]) {
    snprintf(out, SIGNATURE_NAME_TEXT, "%s-%.64s", k->record, k->digests[0] + strlen("sha256:"));
}

static bool is_a_signature(const collection_t *c, const char *file) {
    char name[SIGNATURE_NAME_TEXT];
    for (size_t i = 0; i < c->count; ++i) {
        signature_name(&c->images[i], name);
        if (!c->images[i].gone && strcmp(name, file) == 0) return true;
    }
    return false;
}

static rdg_err_t drop_image(collection_t *c, kept_image_t *k) {
    char path[PATH_MAX], name[SIGNATURE_NAME_TEXT];
    RDG_TRY(sub_path(c, "images", k->record, path));
    RDG_TRY(drop(c, path));
    k->gone = true;
    signature_name(k, name);
    RDG_TRY(sub_path(c, "signatures", name, path));
    RDG_TRY(drop(c, path));
    rdg_log(RDG_LOG_INFO, "image.dropped", RDG_STR("manifest", k->digests[0]));
    for (size_t i = k->count; i-- > 0;) {
        if (!image_digest_valid(k->digests[i]) || used_by_others(c, k->digests[i], IMAGE_DIGEST_TEXT))
            continue;
        RDG_TRY(blob_path(c->root, k->digests[i], path));
        RDG_TRY(drop(c, path));
        RDG_TRY(layer_path(c->root, k->digests[i], path));
        if (i >= 2) RDG_TRY(drop(c, path));
    }
    return RDG_OK;
}

static kept_image_t *oldest_unneeded(collection_t *c) {
    kept_image_t *found = NULL;
    for (size_t i = 0; i < c->count; ++i) {
        kept_image_t *k = &c->images[i];
        if (!k->needed && !k->gone && (!found || k->pulled < found->pulled)) found = k;
    }
    return found;
}

static bool has_suffix(const char *name, const char *suffix) {
    size_t len = strlen(name), want = strlen(suffix);
    return len > want && strcmp(name + len - want, suffix) == 0;
}

static bool is_a_part(const collection_t *c, const char *name) {
    (void)c;
    return has_suffix(name, ".part");
}

static bool is_nobodys_layer(const collection_t *c, const char *name) {
    char digest[96];
    snprintf(digest, sizeof digest, "sha256:%.80s", name);
    return !used_by_others(c, digest, strlen(digest));
}

static bool is_nobodys_signature(const collection_t *c, const char *name) {
    return !is_a_signature(c, name);
}

/* Parts of blobs, layers and signatures that no image has: the remains of pulls. */
static rdg_err_t sweep(collection_t *c, const char *dir, bool (*litter)(const collection_t *, const char *)) {
    char path[PATH_MAX];
    rdg_err_t err = RDG_OK;
    time_t now = time(NULL);
    RDG_TRY(sub_path(c, dir, "", path));
    DIR *d = opendir(path);
    for (struct dirent *e; d && err == RDG_OK && (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.') continue;
        err = sub_path(c, dir, e->d_name, path);
        if (err != RDG_OK || lstat(path, &st) != 0 || st.st_ctime > now - IMAGE_LITTER_S) continue;
        if (litter(c, e->d_name)) err = drop(c, path);
    }
    if (d) closedir(d);
    return err;
}

rdg_err_t image_collect(const char *root, const char *const *needed, size_t needed_count,
                        uint64_t budget_bytes, uint64_t *freed) {
    collection_t *c = rdg_calloc(1, sizeof *c);
    if (!c) return rdg_fail(RDG_E_NO_MEMORY, "no memory to look through the images");
    c->root = root;
    c->freed = freed;
    rdg_err_t err = load(c, needed, needed_count);
    for (kept_image_t *k; err == RDG_OK && c->used > budget_bytes && (k = oldest_unneeded(c));)
        err = drop_image(c, k);
    /* An image beyond IMAGE_RECORDS_MAX was not looked at: what seems to be nobody's may be its. */
    if (err == RDG_OK && c->count < IMAGE_RECORDS_MAX) err = sweep(c, "layers", is_nobodys_layer);
    if (err == RDG_OK && c->count < IMAGE_RECORDS_MAX) err = sweep(c, "signatures", is_nobodys_signature);
    if (err == RDG_OK) err = sweep(c, "blobs/sha256", is_a_part);
    for (size_t i = 0; i < c->count; ++i) rdg_free(c->images[i].digests);
    rdg_free(c);
    return rdg_fail_in(err, "cannot make room among the images");
}
