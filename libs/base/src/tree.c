#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ridge/base/file.h"

/* A walk keeps one open directory per level, so its depth bounds its descriptors. */
enum { DEPTH_MAX = 128 };

typedef struct walk {
    DIR *open[DEPTH_MAX];
    char name[DEPTH_MAX][NAME_MAX + 1]; /* of each open directory in its parent */
    int depth;
    dev_t device;
    bool remove;
    const char *root;
    uint64_t bytes;
} walk_t;

/* Opens a directory without following a link and without crossing into another mount: deleting through a
 * bind mount would delete what somebody else owns. */
static int open_dir(const walk_t *w, int at, const char *name) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_NO_XDEV};
    if (w->depth == 0) how.resolve = 0;
    long fd = syscall(SYS_openat2, at, name, &how, sizeof how);
    if (fd >= 0 || errno != ENOSYS) return (int)fd;
    int plain = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (plain >= 0 && w->depth > 0 && (fstat(plain, &st) != 0 || st.st_dev != w->device)) {
        close(plain);
        errno = EXDEV;
        return -1;
    }
    return plain;
}

static rdg_err_t enter(walk_t *w, int at, const char *name) {
    if (w->depth == DEPTH_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%s is nested deeper than %d directories", w->root, DEPTH_MAX);
    int fd = open_dir(w, at, name);
    if (fd < 0 && errno == EXDEV)
        return rdg_fail(RDG_E_BUSY, "%s: \"%s\" is a mount point: unmount it first", w->root, name);
    if (fd < 0) return rdg_fail_errno(errno, "open %s in %s", name, w->root);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int errnum = errno;
        close(fd);
        return rdg_fail_errno(errnum, "read %s in %s", name, w->root);
    }
    strncpy(w->name[w->depth], name, NAME_MAX);
    w->name[w->depth][NAME_MAX] = 0;
    w->open[w->depth++] = dir;
    return RDG_OK;
}

static rdg_err_t count_entry(walk_t *w, int at, const char *name, bool *is_dir) {
    struct stat st;
    *is_dir = false;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? RDG_OK : rdg_fail_errno(errno, "stat %s in %s", name, w->root);
    }
    *is_dir = S_ISDIR(st.st_mode);
    w->bytes += (uint64_t)st.st_blocks * 512;
    return RDG_OK;
}

static rdg_err_t drop(walk_t *w, int at, const char *name, int flags) {
    if (!w->remove || unlinkat(at, name, flags) == 0 || errno == ENOENT) return RDG_OK;
    return rdg_fail_errno(errno, "remove %s in %s", name, w->root);
}

static rdg_err_t visit(walk_t *w, const char *name) {
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return RDG_OK;
    int at = dirfd(w->open[w->depth - 1]);
    bool is_dir;
    RDG_TRY(count_entry(w, at, name, &is_dir));
    return is_dir ? enter(w, at, name) : drop(w, at, name, 0);
}

static rdg_err_t leave(walk_t *w) {
    closedir(w->open[--w->depth]);
    if (w->depth == 0) return RDG_OK;
    return drop(w, dirfd(w->open[w->depth - 1]), w->name[w->depth], AT_REMOVEDIR);
}

static rdg_err_t run(walk_t *w) {
    rdg_err_t err = RDG_OK;
    while (w->depth > 0 && !err) {
        errno = 0;
        const struct dirent *e = readdir(w->open[w->depth - 1]);
        if (!e && errno != 0) {
            err = rdg_fail_errno(errno, "read %s", w->root);
        } else {
            err = e ? visit(w, e->d_name) : leave(w);
        }
    }
    while (w->depth > 0) closedir(w->open[--w->depth]);
    return err;
}

static rdg_err_t walk_path(const char *path, bool remove, uint64_t *bytes) {
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT) return RDG_OK;
        return rdg_fail_errno(errno, "stat %s", path);
    }
    walk_t w = {.depth = 0};
    w.device = st.st_dev, w.remove = remove, w.root = path;
    w.bytes = (uint64_t)st.st_blocks * 512;
    rdg_err_t err = RDG_OK;
    if (S_ISDIR(st.st_mode)) {
        err = enter(&w, AT_FDCWD, path);
        if (!err) err = run(&w);
    }
    if (!err) err = drop(&w, AT_FDCWD, path, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
    if (bytes && !err) *bytes += w.bytes;
    return err;
}

rdg_err_t rdg_tree_remove(const char *path, uint64_t *freed) {
    return walk_path(path, true, freed);
}

rdg_err_t rdg_tree_size(const char *path, uint64_t *bytes) {
    *bytes = 0;
    if (!rdg_file_exists(path)) return rdg_fail(RDG_E_NOT_FOUND, "%s does not exist", path);
    return walk_path(path, false, bytes);
}
