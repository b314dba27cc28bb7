/* One file out of an image: for what is not to run in a container. */
#include "image.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_BYTES_DEFAULT (4ull << 30)
#define FILE_BYTES_MAX (512ull << 20)

/* Below dir, no link followed. -1: there is none. */
static int open_below(int dir, const char *file) {
    char part[PATH_MAX];
    int at = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    snprintf(part, sizeof part, "%s", file);
    char *save = NULL, *name = strtok_r(part, "/", &save);
    while (at >= 0 && name) {
        char *next = strtok_r(NULL, "/", &save);
        int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (next ? O_DIRECTORY : 0));
        close(at);
        at = fd;
        name = next;
    }
    return at;
}

static rdg_err_t copy(int from, const char *to) {
    uint8_t block[16384];
    struct stat st;
    ssize_t n = 0;
    if (fstat(from, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_BYTES_MAX)
        return rdg_fail(RDG_E_UNSUPPORTED, "what the image has there is no file of at most 512 MiB");
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0700);
    if (fd < 0) return rdg_fail_errno(errno, "cannot make %s", to);
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && (n = read(from, block, sizeof block)) > 0)
        err = rdg_write_all(fd, rdg_bytes(block, (size_t)n));
    if (err == RDG_OK && n < 0) err = rdg_fail_errno(errno, "cannot read a layer");
    if (err == RDG_OK && fsync(fd) != 0) err = rdg_fail_errno(errno, "cannot make %s durable", to);
    close(fd);
    return err;
}

static rdg_err_t take_out(const char *root, const image_t *image, const char *file, const char *to) {
    char dir[PATH_MAX];
    for (size_t i = image->layer_count; i-- > 0;) {
        RDG_TRY(layer_path(root, image->layers[i], dir));
        int layer = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int fd = layer >= 0 ? open_below(layer, file) : -1;
        if (layer >= 0) close(layer);
        if (fd < 0) continue;
        rdg_err_t err = copy(fd, to);
        close(fd);
        return err;
    }
    return rdg_fail(RDG_E_NOT_FOUND, "the image has no file /%s", file);
}

rdg_err_t rdg_container_image_file(const rdg_container_oci_options_t *o, const char *image, const char *file,
                                   const char *to, rdg_container_progress_fn progress, void *progress_ctx) {
    image_pull_t how = {.root = o->root,
                        .bytes_max = o->image_bytes_max ? o->image_bytes_max : IMAGE_BYTES_DEFAULT,
                        .unpacker = o->unpacker,
                        .cloud_socket = o->cloud_socket,
                        .progress = progress,
                        .progress_ctx = progress_ctx,
                        .trust_file = o->trust_file};
    image_t *found = rdg_calloc(1, sizeof *found);
    if (!found) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an image");
    rdg_err_t err = image_pull(&how, image);
    if (err == RDG_OK) err = image_find(o->root, image, found);
    if (err == RDG_OK) err = rdg_fail_in(take_out(o->root, found, file, to), "image %s", image);
    rdg_free(found);
    return err;
}
