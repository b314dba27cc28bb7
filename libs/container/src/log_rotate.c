#include "ridge/base/file.h"
#include "ridge/container/container.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static rdg_err_t numbered(const char *path, unsigned n, char out[PATH_MAX]) {
    int len = snprintf(out, PATH_MAX, "%s.%u", path, n);
    return len < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%.100s… is too long for a path", path);
}

static rdg_err_t copy(int from, uint64_t size, const char *to) {
    /* A container may write here: what it puts in this place is gone, or in the way, but never followed. */
    (void)unlink(to);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    rdg_err_t err = fd < 0 ? rdg_fail_errno(errno, "cannot make %s", to) : RDG_OK;
    for (off_t at = 0; err == RDG_OK && (uint64_t)at < size;) {
        ssize_t n = sendfile(fd, from, &at, (size_t)(size - (uint64_t)at));
        if (n < 0 && errno != EINTR) err = rdg_fail_errno(errno, "cannot write %s", to);
        if (n == 0) break;
    }
    if (fd >= 0) close(fd);
    return err;
}

static rdg_err_t shift(const char *path, unsigned keep) {
    char from[PATH_MAX], to[PATH_MAX];
    for (unsigned n = keep; n > 1; --n) {
        RDG_TRY(numbered(path, n - 1, from));
        RDG_TRY(numbered(path, n, to));
        if (rename(from, to) != 0 && errno != ENOENT) return rdg_fail_errno(errno, "cannot rename %s", from);
    }
    return RDG_OK;
}

static void forget_all(const char *path, unsigned keep) {
    char name[PATH_MAX];
    for (unsigned n = keep; n > 0; --n)
        if (numbered(path, n, name) == RDG_OK) (void)unlink(name);
}

rdg_err_t rdg_container_log_rotate(const char *path, uint64_t max_bytes, unsigned keep) {
    char first[PATH_MAX];
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? RDG_OK : rdg_fail_errno(errno, "cannot open %s", path);
    rdg_err_t err = fstat(fd, &st) == 0 ? RDG_OK : rdg_fail_errno(errno, "cannot look at %s", path);
    if (err == RDG_OK && S_ISREG(st.st_mode) && (uint64_t)st.st_size > max_bytes) {
        if (keep > 0) err = shift(path, keep);
        if (err == RDG_OK && keep > 0) err = numbered(path, 1, first);
        if (err == RDG_OK && keep > 0) err = copy(fd, (uint64_t)st.st_size, first);
        /* A log is worth less than the room for what a ledger has to write. */
        if (err == RDG_E_DISK_FULL) {
            forget_all(path, keep);
            err = RDG_OK;
        }
        if (err == RDG_OK && ftruncate(fd, 0) != 0) err = rdg_fail_errno(errno, "cannot empty %s", path);
    }
    close(fd);
    return err;
}
