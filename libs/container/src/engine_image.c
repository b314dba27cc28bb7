#include "engine_image.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAR_BLOCK 512u
#define LOAD_TIMEOUT_MS 600000u
#define ASK_TIMEOUT_MS 30000u
#define COPY_BYTES 65536u

bool engine_image_present(const engine_t *e, const char *config) {
    char path[160];
    json_t *o = NULL;
    snprintf(path, sizeof path, "/images/%s/json", config);
    bool present =
        image_digest_valid(config) && engine_call(e, "GET", path, NULL, ASK_TIMEOUT_MS, &o) == RDG_OK;
    const char *id = json_string_value(json_object_get(o, "Id"));
    /* Podman leaves the name of the algorithm out where it lists, and has it here. */
    present = present && id && strcmp(strncmp(id, "sha256:", 7) == 0 ? id + 7 : id, config + 7) == 0;
    json_decref(o);
    return present;
}

/* --- the archive: manifest.json, the configuration, the layers as they came -------------------------------------- */

static void octal(uint8_t *field, size_t size, uint64_t v) {
    for (size_t i = size - 1; i-- > 0; v >>= 3) field[i] = (uint8_t)('0' + (v & 7));
}

/* A file of an ustar archive (POSIX.1-1988). */
static rdg_err_t put_head(int fd, const char *name, uint64_t size) {
    uint8_t h[TAR_BLOCK] = {0};
    uint64_t sum = 0;
    snprintf((char *)h, 100, "%s", name);
    octal(h + 100, 8, 0644), octal(h + 108, 8, 0), octal(h + 116, 8, 0);
    octal(h + 124, 12, size), octal(h + 136, 12, 0);
    h[156] = '0';
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < sizeof h; ++i) sum += h[i];
    octal(h + 148, 7, sum);
    return rdg_write_all(fd, rdg_bytes(h, sizeof h));
}

static rdg_err_t put_padding(int fd, uint64_t size) {
    static const uint8_t zeros[TAR_BLOCK];
    return rdg_write_all(fd, rdg_bytes(zeros, (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK));
}

static rdg_err_t put_bytes(int fd, const char *name, rdg_bytes_t content) {
    RDG_TRY(put_head(fd, name, content.len));
    RDG_TRY(rdg_write_all(fd, content));
    return put_padding(fd, content.len);
}

static rdg_err_t put_blob(int fd, const char *root, const char *digest, const char *name) {
    char path[PATH_MAX];
    struct stat st;
    RDG_TRY(blob_path(root, digest, path));
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) != 0) {
        rdg_err_t err = rdg_fail_errno(errno, "cannot read %s", path);
        if (from >= 0) close(from);
        return err;
    }
    uint64_t left = (uint64_t)st.st_size;
    rdg_err_t err = put_head(fd, name, left);
    while (err == RDG_OK && left > 0) {
        uint8_t chunk[COPY_BYTES];
        ssize_t n = read(from, chunk, left < sizeof chunk ? (size_t)left : sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            err = n < 0 ? rdg_fail_errno(errno, "cannot read %s", path)
                        : rdg_fail(RDG_E_CORRUPT, "%s became shorter", path);
        if (err == RDG_OK) err = rdg_write_all(fd, rdg_bytes(chunk, (size_t)n));
        if (err == RDG_OK) left -= (uint64_t)n;
    }
    close(from);
    return err == RDG_OK ? put_padding(fd, (uint64_t)st.st_size) : err;
}

static void layer_name(const char *digest, char out[80]) {
    snprintf(out, 80, "%.64s.tar", digest + 7);
}

static bool is_first(const image_t *image, size_t at) {
    for (size_t i = 0; i < at; ++i)
        if (strcmp(image->layers[i], image->layers[at]) == 0) return false;
    return true;
}

static rdg_err_t put_manifest(int fd, const image_t *image) {
    char name[80], tag[128];
    rdg_buf_t text;
    json_t *layers = json_array();
    for (size_t i = 0; i < image->layer_count; ++i) {
        layer_name(image->layers[i], name);
        json_array_append_new(layers, json_string(name));
    }
    snprintf(name, sizeof name, "%.64s.json", image->config + 7);
    snprintf(tag, sizeof tag, ENGINE_IMAGE_NAME ":%.64s", image->config + 7);
    json_t *o = json_pack("[{s:s, s:[s], s:o}]", "Config", name, "RepoTags", tag, "Layers", layers);
    rdg_buf_init(&text, 1u << 16);
    rdg_err_t err =
        o ? rdg_json_dump(o, &text) : rdg_fail(RDG_E_NO_MEMORY, "no memory for an image's archive");
    if (err == RDG_OK) err = put_bytes(fd, "manifest.json", rdg_buf_view(&text));
    rdg_buf_fini(&text);
    json_decref(o);
    return err;
}

static rdg_err_t put_archive(int fd, const char *root, const image_t *image) {
    static const uint8_t end[2 * TAR_BLOCK];
    char name[80];
    RDG_TRY(put_manifest(fd, image));
    snprintf(name, sizeof name, "%.64s.json", image->config + 7);
    RDG_TRY(put_blob(fd, root, image->config, name));
    for (size_t i = 0; i < image->layer_count; ++i) {
        if (!is_first(image, i)) continue;
        layer_name(image->layers[i], name);
        RDG_TRY(put_blob(fd, root, image->layers[i], name));
    }
    return rdg_write_all(fd, rdg_bytes(end, sizeof end));
}

rdg_err_t engine_image_load(const engine_t *e, const char *root, const image_t *image) {
    char path[PATH_MAX], blob[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/load-%.16s.tar", root, image->config + 7);
    if (n < 0 || n >= (int)sizeof path)
        return rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", root);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return rdg_fail_errno(errno, "cannot create %s", path);
    rdg_err_t err = put_archive(fd, root, image);
    if (close(fd) != 0 && err == RDG_OK) err = rdg_fail_errno(errno, "cannot write %s", path);
    if (err == RDG_OK) err = engine_send_tar(e, "/images/load?quiet=1", path, LOAD_TIMEOUT_MS);
    (void)unlink(path);
    if (err == RDG_OK && !engine_image_present(e, image->config))
        err = rdg_fail(
            RDG_E_CORRUPT,
            "the container engine does not know the image as %s after it was loaded: its layers are not what "
            "its configuration says, or the engine keeps images by other names (containerd's store): use "
            "driver oci",
            image->config);
    /* The engine has them now; on a small device once is enough. */
    for (size_t i = 0; err == RDG_OK && i < image->layer_count; ++i)
        if (blob_path(root, image->layers[i], blob) == RDG_OK) (void)unlink(blob);
    return err;
}

/* --- room --------------------------------------------------------------------------------------------------------- */

static int older_first(const void *a, const void *b) {
    json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "Created"));
    json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "Created"));
    return x < y ? -1 : x > y;
}

static bool is_kept(const char *id, const char (*keep)[IMAGE_DIGEST_TEXT], size_t count) {
    const char *hex = strncmp(id, "sha256:", 7) == 0 ? id + 7 : id;
    for (size_t i = 0; i < count; ++i)
        if (strcmp(keep[i] + 7, hex) == 0) return true;
    return false;
}

rdg_err_t engine_image_collect(const engine_t *e, const char (*keep)[IMAGE_DIGEST_TEXT], size_t count,
                               uint64_t budget_bytes, uint64_t *freed) {
    /* {"reference":["localhost/ridge-image"]} */
    static const char list_path[] =
        "/images/json?filters=%7B%22reference%22%3A%5B%22localhost%2Fridge-image%22%5D%7D";
    enum { IMAGES_MAX = 256 };
    json_t *list = NULL, *ours[IMAGES_MAX], *o;
    size_t i, n = 0;
    uint64_t total = 0;
    RDG_TRY(engine_call(e, "GET", list_path, NULL, ASK_TIMEOUT_MS, &list));
    json_array_foreach(list, i, o) {
        if (n == IMAGES_MAX) break;
        ours[n++] = o;
        total += (uint64_t)json_integer_value(json_object_get(o, "Size"));
    }
    qsort(ours, n, sizeof ours[0], older_first);
    for (i = 0; i < n && total > budget_bytes; ++i) {
        char path[200];
        const char *id = json_string_value(json_object_get(ours[i], "Id"));
        uint64_t size = (uint64_t)json_integer_value(json_object_get(ours[i], "Size"));
        if (!id || strlen(id) > 80 || is_kept(id, keep, count)) continue;
        snprintf(path, sizeof path, "/images/%s?force=0", id);
        if (engine_call(e, "DELETE", path, NULL, ASK_TIMEOUT_MS, NULL) != RDG_OK)
            continue; /* a container has it */
        total -= size < total ? size : total;
        *freed += size;
    }
    json_decref(list);
    return RDG_OK;
}
