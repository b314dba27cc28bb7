#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ridge/base/assert.h"

static rdg_err_t read_all(int fd, const char *path, rdg_buf_t *out) {
    enum { CHUNK = 16384 };
    for (;;) {
        size_t room = out->max - out->len;
        uint8_t beyond;
        uint8_t *dst = &beyond;
        if (room > 0) {
            room = room < CHUNK ? room : CHUNK;
            RDG_TRY(rdg_buf_reserve(out, room));
            dst = out->data + out->len;
        }
        ssize_t n = read(fd, dst, room > 0 ? room : 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "read %s", path);
        if (n == 0) return RDG_OK;
        if (room == 0)
            return rdg_fail(RDG_E_TOO_LARGE, "%s is larger than the limit of %zu bytes", path, out->max);
        out->len += (size_t)n;
    }
}

rdg_err_t rdg_file_read(const char *path, rdg_buf_t *out) {
    if (out->err) return out->err;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return rdg_fail_errno(errno, "open %s", path);
    size_t before = out->len;
    rdg_err_t err = read_all(fd, path, out);
    close(fd);
    if (err) out->len = before;
    return err;
}

rdg_err_t rdg_file_read_plain(const char *path, bool links, rdg_buf_t *out) {
    struct stat st;
    if (out->err) return out->err;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (links ? 0 : O_NOFOLLOW));
    if (fd < 0 && errno == ELOOP && !links) return rdg_fail(RDG_E_INVALID, "%s is a link", path);
    if (fd < 0) return rdg_fail_errno(errno, "open %s", path);
    size_t before = out->len;
    rdg_err_t err = RDG_OK;
    if (fstat(fd, &st) != 0)
        err = rdg_fail_errno(errno, "look at %s", path);
    else if (!S_ISREG(st.st_mode))
        err = rdg_fail(RDG_E_INVALID, "%s is no plain file", path);
    else
        err = read_all(fd, path, out);
    close(fd);
    if (err) out->len = before;
    return err;
}

rdg_err_t rdg_write_all(int fd, rdg_bytes_t data) {
    while (data.len > 0) {
        ssize_t n = write(fd, data.data, data.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "write %zu bytes", data.len);
        data.data += n, data.len -= (size_t)n;
    }
    return RDG_OK;
}

/* The folder that holds path, into dir: "." for a bare name. */
static rdg_err_t parent_of(const char *path, char *dir, size_t size) {
    const char *slash = strrchr(path, '/');
    size_t len = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (len >= size) return rdg_fail(RDG_E_TOO_LARGE, "path of more than %zu bytes: %.64s…", size - 1, path);
    memcpy(dir, slash ? path : ".", len);
    dir[len] = 0;
    return RDG_OK;
}

rdg_err_t rdg_dir_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "open %s", path);
    int result = fsync(fd), errnum = errno;
    close(fd);
    /* Some network and overlay file systems know no fsync of a directory; they order renames by themselves.
     */
    if (result != 0 && errnum != EINVAL) return rdg_fail_errno(errnum, "fsync %s", path);
    return RDG_OK;
}

static rdg_err_t fill_and_sync(int fd, const char *path, rdg_bytes_t content, mode_t mode) {
    if (fchmod(fd, mode) != 0) return rdg_fail_errno(errno, "chmod %s", path);
    rdg_err_t err = rdg_write_all(fd, content);
    if (err) return rdg_fail_in(err, "%s", path);
    if (fsync(fd) != 0) return rdg_fail_errno(errno, "fsync %s", path);
    return RDG_OK;
}

rdg_err_t rdg_file_replace(const char *path, rdg_bytes_t content, mode_t mode) {
    return rdg_file_replace_as(path, content, mode, (uid_t)-1, (gid_t)-1);
}

rdg_err_t rdg_file_replace_as(const char *path, rdg_bytes_t content, mode_t mode, uid_t uid, gid_t gid) {
    char temp[PATH_MAX], dir[PATH_MAX];
    RDG_TRY(parent_of(path, dir, sizeof dir));
    int len = snprintf(temp, sizeof temp, "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof temp)
        return rdg_fail(RDG_E_TOO_LARGE, "path of more than %zu bytes: %.64s…", sizeof temp - 8, path);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "create a file beside %s", path);
    rdg_err_t err = (uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) != 0
                        ? rdg_fail_errno(errno, "give %s to user %u", temp, (unsigned)uid)
                        : fill_and_sync(fd, temp, content, mode);
    if (close(fd) != 0 && !err) err = rdg_fail_errno(errno, "close %s", temp);
    if (!err && rename(temp, path) != 0) err = rdg_fail_errno(errno, "rename %s to %s", temp, path);
    if (err) {
        unlink(temp);
        return err;
    }
    return rdg_dir_sync(dir);
}

bool rdg_file_exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

static rdg_err_t make_one(const char *path, mode_t mode) {
    if (mkdir(path, mode) == 0) return RDG_OK;
    int errnum = errno;
    struct stat st;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return RDG_OK;
        return rdg_fail(RDG_E_EXISTS, "%s exists and is no directory", path);
    }
    return rdg_fail_errno(errnum, "make directory %s", path);
}

rdg_err_t rdg_dir_make(const char *path, mode_t mode) {
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0) return rdg_fail(RDG_E_INVALID, "make directory: the path is empty");
    if (len >= sizeof part)
        return rdg_fail(RDG_E_TOO_LARGE, "path of more than %zu bytes: %.64s…", sizeof part - 1, path);
    for (size_t i = 1; i <= len; ++i) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        RDG_TRY(make_one(part, mode));
    }
    return RDG_OK;
}

rdg_err_t rdg_path_join(char *out, size_t size, const char *dir, const char *name) {
    size_t len = strlen(dir);
    const char *between = len > 0 && dir[len - 1] != '/' ? "/" : "";
    int n = snprintf(out, size, "%s%s%s", dir, between, name);
    if (n < 0 || (size_t)n >= size)
        return rdg_fail(RDG_E_TOO_LARGE, "path of more than %zu bytes: %.64s/%.64s", size - 1, dir, name);
    return RDG_OK;
}

bool rdg_name_valid(const char *name) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = name ? strnlen(name, 65) : 0;
    return len >= 1 && len <= 64 && strspn(name, allowed) == len && !strchr("._-", name[0]);
}
