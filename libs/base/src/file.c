#include "ridge/base/file.h"
#include "ridge/base/alloc.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static rdg_err_t read_all(int fd, const char *path, rdg_buf_t *out) {
    for (;;) {
        uint8_t chunk[16384];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got == 0) return RDG_OK;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return rdg_fail_errno(errno, "cannot read %s", path);
        RDG_TRY(rdg_fail_in(rdg_buf_append(out, chunk, (size_t)got), "%s", path));
    }
}

rdg_err_t rdg_file_read(const char *path, rdg_buf_t *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    rdg_err_t err = read_all(fd, path, out);
    close(fd);
    return err;
}

rdg_err_t rdg_write_all(int fd, rdg_bytes_t data) {
    while (data.len > 0) {
        ssize_t put = write(fd, data.data, data.len);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return rdg_fail_errno(errno, "write");
        data.data += put, data.len -= (size_t)put;
    }
    return RDG_OK;
}

static void parent_of(const char *path, char out[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(out, PATH_MAX, ".");
    else
        snprintf(out, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

rdg_err_t rdg_dir_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open directory %s", path);
    int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    return failed ? rdg_fail_errno(failed, "cannot sync directory %s", path) : RDG_OK;
}

static rdg_err_t write_synced(int fd, const char *path, rdg_bytes_t content, mode_t mode) {
    if (fchmod(fd, mode) != 0) return rdg_fail_errno(errno, "cannot set the mode of %s", path);
    RDG_TRY(rdg_fail_in(rdg_write_all(fd, content), "%s", path));
    return fsync(fd) == 0 ? RDG_OK : rdg_fail_errno(errno, "cannot sync %s", path);
}

rdg_err_t rdg_file_replace(const char *path, rdg_bytes_t content, mode_t mode) {
    char temp[PATH_MAX], dir[PATH_MAX];
    if (snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= (int)sizeof temp)
        return rdg_fail(RDG_E_TOO_LARGE, "the path %.64s… is too long", path);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "cannot create a file beside %s", path);
    rdg_err_t err = write_synced(fd, temp, content, mode);
    if (close(fd) != 0 && err == RDG_OK) err = rdg_fail_errno(errno, "cannot close %s", temp);
    if (err == RDG_OK && rename(temp, path) != 0) err = rdg_fail_errno(errno, "cannot replace %s", path);
    if (err != RDG_OK) {
        unlink(temp);
        return err;
    }
    parent_of(path, dir);
    return rdg_dir_sync(dir);
}

bool rdg_file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

rdg_err_t rdg_dir_make(const char *path, mode_t mode) {
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return rdg_fail(RDG_E_TOO_LARGE, "the path %.64s… is too long", path);
    for (char *p = part + 1;; ++p) {
        if (*p != '/' && *p != '\0') continue;
        char end = *p;
        *p = '\0';
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return rdg_fail_errno(errno, "cannot make directory %s", part);
        *p = end;
        if (end == '\0') break;
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return rdg_fail(RDG_E_EXISTS, "%s is no directory", path);
    return RDG_OK;
}

/* nftw has no context argument; a tree walk stays on one thread. */
static _Thread_local uint64_t walked_bytes;

static int count_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)path, (void)kind, (void)ftw;
    walked_bytes += (uint64_t)st->st_blocks * 512;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)count_one(path, st, kind, ftw);
    return remove(path) != 0 && errno != ENOENT ? errno : 0;
}

static rdg_err_t walk(const char *path, int (*fn)(const char *, const struct stat *, int, struct FTW *),
                      uint64_t *bytes) {
    walked_bytes = 0;
    int status = nftw(path, fn, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (bytes) *bytes += walked_bytes;
    if (status == 0 || (status < 0 && errno == ENOENT)) return RDG_OK;
    return rdg_fail_errno(status > 0 ? status : errno, "%s", path);
}

rdg_err_t rdg_tree_remove(const char *path, uint64_t *freed) {
    return rdg_fail_in(walk(path, remove_one, freed), "cannot remove");
}

rdg_err_t rdg_tree_size(const char *path, uint64_t *bytes) {
    *bytes = 0;
    return walk(path, count_one, bytes);
}

rdg_err_t rdg_path_join(char *out, size_t size, const char *dir, const char *name) {
    size_t len = strlen(dir);
    const char *slash = len > 0 && dir[len - 1] == '/' ? "" : "/";
    if (snprintf(out, size, "%s%s%s", dir, slash, name) < (int)size) return RDG_OK;
    return rdg_fail(RDG_E_TOO_LARGE, "the path %.64s…/%.64s is longer than %zu bytes", dir, name, size - 1);
}

bool rdg_name_valid(const char *name) {
    size_t len = name ? strnlen(name, 65) : 0;
    if (len == 0 || len > 64) return false;
    for (size_t i = 0; i < len; ++i) {
        char c = name[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && (i == 0 || !strchr("._-", c))) return false;
    }
    return true;
}
