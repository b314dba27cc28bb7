#include "collect_store.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"

typedef struct files {
    collect_store_t store;
    char dir[PATH_MAX];
} files_t;

static rdg_err_t folder_of(const files_t *f, const rdg_hash_t *digest, char out[PATH_MAX]) {
    char name[3];
    rdg_hex_encode(digest->b, 1, name);
    return rdg_path_join(out, PATH_MAX, f->dir, name);
}

static rdg_err_t path_of(const files_t *f, const rdg_hash_t *digest, char out[PATH_MAX]) {
    char folder[PATH_MAX], name[65];
    RDG_TRY(folder_of(f, digest, folder));
    rdg_hex_encode(digest->b, sizeof digest->b, name);
    return rdg_path_join(out, PATH_MAX, folder, name);
}

static rdg_err_t sync_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    rdg_err_t err = fchmod(fd, 0400) == 0 && fsync(fd) == 0
                        ? RDG_OK
                        : rdg_fail_errno(errno, "cannot make %s durable", path);
    close(fd);
    return err;
}

static rdg_err_t files_put(void *ctx, const char *path, const rdg_hash_t *digest) {
    files_t *f = ctx;
    char folder[PATH_MAX], object[PATH_MAX];
    RDG_TRY(folder_of(f, digest, folder));
    RDG_TRY(path_of(f, digest, object));
    RDG_TRY(rdg_dir_make(folder, 0700));
    RDG_TRY(sync_file(path));
    if (rename(path, object) != 0) return rdg_fail_errno(errno, "cannot store %s", object);
    RDG_TRY(rdg_dir_sync(folder));
    return rdg_dir_sync(f->dir);
}

rdg_err_t collect_piece_cut(collect_piece_t *out, uint64_t offset, uint64_t most) {
    if (offset > out->size)
        return rdg_fail(RDG_E_INVALID, "offset %" PRIu64 " is beyond the file's %" PRIu64 " bytes", offset,
                        out->size);
    out->at = offset;
    out->len = most < out->size - offset ? most : out->size - offset;
    return RDG_OK;
}

static rdg_err_t files_open(void *ctx, const rdg_hash_t *digest, uint64_t offset, uint64_t most,
                            collect_piece_t *out) {
    char object[PATH_MAX];
    struct stat st;
    RDG_TRY(path_of(ctx, digest, object));
    out->fd = open(object, O_RDONLY | O_CLOEXEC);
    if (out->fd < 0) return rdg_fail_errno(errno, "cannot open stored object %s", object);
    rdg_err_t err = fstat(out->fd, &st) == 0 ? RDG_OK : rdg_fail_errno(errno, "cannot read %s", object);
    if (err == RDG_OK) {
        out->size = (uint64_t)st.st_size;
        err = collect_piece_cut(out, offset, most);
    }
    if (err != RDG_OK) close(out->fd);
    return err;
}

static rdg_err_t files_remove(void *ctx, const rdg_hash_t *digest) {
    char object[PATH_MAX];
    RDG_TRY(path_of(ctx, digest, object));
    if (unlink(object) == 0 || errno == ENOENT) return RDG_OK;
    return rdg_fail_errno(errno, "cannot remove %s", object);
}

static rdg_err_t each_in(const char *folder, rdg_err_t (*fn)(void *arg, const rdg_hash_t *digest),
                         void *arg) {
    DIR *d = opendir(folder);
    rdg_hash_t digest;
    rdg_err_t err = RDG_OK;
    if (!d) return rdg_fail_errno(errno, "cannot list %s", folder);
    for (struct dirent *e; err == RDG_OK && (e = readdir(d));)
        if (strlen(e->d_name) == 64 && rdg_hex_decode(e->d_name, 64, digest.b, sizeof digest.b) == RDG_OK)
            err = fn(arg, &digest);
    closedir(d);
    return err;
}

static rdg_err_t files_each(void *ctx, rdg_err_t (*fn)(void *arg, const rdg_hash_t *digest), void *arg) {
    files_t *f = ctx;
    char folder[PATH_MAX];
    for (unsigned i = 0; i < 256; ++i) {
        rdg_hash_t first = {{(uint8_t)i}};
        RDG_TRY(folder_of(f, &first, folder));
        if (rdg_file_exists(folder)) RDG_TRY(each_in(folder, fn, arg));
    }
    return RDG_OK;
}

static rdg_err_t files_free_bytes(void *ctx, uint64_t *out) {
    files_t *f = ctx;
    struct statvfs disk;
    if (statvfs(f->dir, &disk) != 0) return rdg_fail_errno(errno, "cannot look at the disk of %s", f->dir);
    *out = (uint64_t)disk.f_bavail * disk.f_frsize;
    return RDG_OK;
}

static void files_close(void *ctx) {
    rdg_free(ctx);
}

rdg_err_t collect_store_files(const char *dir, collect_store_t **out) {
    files_t *f = rdg_calloc(1, sizeof *f);
    if (!f) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the store of files");
    f->store = (collect_store_t){NULL,       files_put,        files_open,  files_remove,
                                 files_each, files_free_bytes, files_close, f};
    bool fits = snprintf(f->dir, sizeof f->dir, "%s", dir) < (int)sizeof f->dir - 80;
    rdg_err_t err = fits ? rdg_dir_make(dir, 0700) : rdg_fail(RDG_E_TOO_LARGE, "%s is too long a path", dir);
    if (err != RDG_OK) {
        rdg_free(f);
        return err;
    }
    *out = &f->store;
    return RDG_OK;
}

void collect_store_close(collect_store_t *s) {
    if (s) s->close(s->ctx);
}
