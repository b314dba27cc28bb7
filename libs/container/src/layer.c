#include "layer.h"
#include "archive_api.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/net/process.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define COMPONENTS_MAX 128

typedef struct unpack {
    archive_api_t api;
    struct archive *a;
    struct archive_entry *e; /* the present one */
    int root;
    uint64_t bytes, bytes_max;
    const layer_limits_t *limits;
} unpack_t;

const layer_limits_t layer_limits_default = {
    .entries = 500000, .bytes = 8ull << 30, .ratio = 200, .ratio_above = 64ull << 20};

rdg_err_t layer_path(const char *root, const char *digest, char out[PATH_MAX]) {
    if (!image_digest_valid(digest)) return rdg_fail(RDG_E_MALFORMED, "'%.80s' is no sha256 digest", digest);
    int n = snprintf(out, PATH_MAX, "%s/layers/%.32s", root, digest + 7);
    return n < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", root);
}

/* A path of the archive, cut into components within buf. */
typedef struct entry_path {
    char buf[PATH_MAX];
    char *parts[COMPONENTS_MAX];
    size_t count;
} entry_path_t;

static rdg_err_t split(const char *path, entry_path_t *out) {
    out->count = 0;
    if (!path || path[0] == '/' || strlen(path) >= sizeof out->buf)
        return rdg_fail(RDG_E_MALFORMED, "the layer has an absolute or too long path '%.100s'",
                        path ? path : "");
    memcpy(out->buf, path, strlen(path) + 1);
    char *save = NULL;
    for (char *p = strtok_r(out->buf, "/", &save); p; p = strtok_r(NULL, "/", &save)) {
        if (strcmp(p, ".") == 0) continue;
        if (strcmp(p, "..") == 0)
            return rdg_fail(RDG_E_MALFORMED, "the layer's path '%.100s' climbs with '..'", path);
        if (out->count == COMPONENTS_MAX)
            return rdg_fail(RDG_E_MALFORMED, "the layer's path '%.100s' is deeper than %d", path,
                            COMPONENTS_MAX);
        out->parts[out->count++] = p;
    }
    return RDG_OK;
}

/* The directory that holds the last component, made where it is missing; symbolic links are not followed. */
static rdg_err_t open_parent(int root, const entry_path_t *p, int *out) {
    int dir = fcntl(root, F_DUPFD_CLOEXEC, 0);
    for (size_t i = 0; dir >= 0 && i + 1 < p->count; ++i) {
        int next = openat(dir, p->parts[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && mkdirat(dir, p->parts[i], 0755) == 0)
            next = openat(dir, p->parts[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && (errno == ELOOP || errno == ENOTDIR)) {
            close(dir);
            return rdg_fail(RDG_E_MALFORMED,
                            "the layer has an entry below '%.100s', which is no directory of it",
                            p->parts[i]);
        }
        int e = errno;
        close(dir);
        errno = e;
        dir = next;
    }
    if (dir < 0)
        return rdg_fail_errno(errno, "cannot unpack '%.100s'", p->count ? p->parts[p->count - 1] : ".");
    *out = dir;
    return RDG_OK;
}

/* A later entry of the same name replaces an earlier one, except a directory. */
static void make_way(int dir, const char *name) {
    (void)unlinkat(dir, name, 0);
}

static rdg_err_t whiteout(int dir, const char *name) {
    static const char opaque[] = ".wh..opq";
    if (strcmp(name, opaque) == 0) {
        if (fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) != 0)
            return rdg_fail_errno(errno, "cannot mark a directory opaque");
        return RDG_OK;
    }
    if (strncmp(name, ".wh.", 4) == 0) return RDG_OK; /* aufs's own book-keeping */
    if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return rdg_fail(RDG_E_MALFORMED, "the layer has a whiteout of nothing");
    make_way(dir, name);
    if (mknodat(dir, name, S_IFCHR, makedev(0, 0)) != 0)
        return rdg_fail_errno(errno, "cannot make a whiteout");
    return RDG_OK;
}

/* Takes bytes from what the layer may still use. */
static rdg_err_t spend(unpack_t *u, uint64_t bytes) {
    if (bytes <= u->bytes_max - u->bytes) {
        u->bytes += bytes;
        return RDG_OK;
    }
    return rdg_fail(
        RDG_E_TOO_LARGE,
        "the layer unpacks to more than %llu bytes: it is a decompression bomb, or larger than this "
        "device takes",
        (unsigned long long)u->bytes_max);
}

/* A sparse file's size is paid in advance, holes and all; without a size each block is. */
static rdg_err_t write_file(unpack_t *u, int dir, const char *name) {
    bool sized = u->api.archive_entry_size_is_set(u->e);
    la_int64_t size = sized ? u->api.archive_entry_size(u->e) : 0;
    if (size < 0) return rdg_fail(RDG_E_MALFORMED, "the layer's file '%.100s' has no size", name);
    RDG_TRY(spend(u, (uint64_t)size));
    make_way(dir, name);
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return rdg_fail_errno(errno, "cannot unpack '%.100s'", name);
    const void *block;
    size_t len;
    la_int64_t offset;
    rdg_err_t err = RDG_OK;
    int r;
    while (err == RDG_OK && (r = u->api.archive_read_data_block(u->a, &block, &len, &offset)) == ARCHIVE_OK) {
        uint64_t end;
        if (offset < 0 || __builtin_add_overflow((uint64_t)offset, len, &end) ||
            (sized && end > (uint64_t)size))
            err = rdg_fail(RDG_E_MALFORMED, "the layer's file '%.100s' is longer than it says", name);
        else if (!sized && (err = spend(u, len)) != RDG_OK)
            break;
        else if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
            err = rdg_fail_errno(errno, "cannot unpack '%.100s'", name);
        else
            err = rdg_write_all(fd, rdg_bytes(block, len));
    }
    if (err == RDG_OK && r != ARCHIVE_EOF)
        err = rdg_fail(RDG_E_MALFORMED, "the layer is damaged at '%.100s': %s", name,
                       u->api.archive_error_string(u->a));
    if (err == RDG_OK && sized && ftruncate(fd, (off_t)size) != 0)
        err = rdg_fail_errno(errno, "cannot unpack '%.100s'", name);
    close(fd);
    return err;
}

/* How deep the directory of the link is decides how often its target may go up. */
static rdg_err_t check_symlink(const entry_path_t *p, const char *target) {
    size_t depth = target[0] == '/' ? 0 : p->count - 1;
    for (const char *c = target; *c;) {
        size_t len = strcspn(c, "/");
        if (len == 2 && c[0] == '.' && c[1] == '.') {
            if (depth-- == 0)
                return rdg_fail(RDG_E_MALFORMED, "the layer's link '%.100s' points out of the root: '%.100s'",
                                p->parts[p->count - 1], target);
        } else if (len > 0 && !(len == 1 && c[0] == '.')) {
            ++depth;
        }
        c += len;
        c += *c == '/';
    }
    return RDG_OK;
}

static rdg_err_t hard_link(int root, int dir, const char *name, const char *target) {
    entry_path_t path, *t = &path;
    int from = -1;
    struct stat st;
    RDG_TRY(split(target, t));
    if (t->count == 0) return rdg_fail(RDG_E_MALFORMED, "the layer links '%.100s' to its root", name);
    RDG_TRY(open_parent(root, t, &from));
    rdg_err_t err = RDG_OK;
    if (fstatat(from, t->parts[t->count - 1], &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
        err = rdg_fail(RDG_E_MALFORMED, "the layer links '%.100s' to '%.100s', which is no file of it", name,
                       target);
    if (err == RDG_OK) {
        make_way(dir, name);
        if (linkat(from, t->parts[t->count - 1], dir, name, 0) != 0)
            err = rdg_fail_errno(errno, "cannot unpack the link '%.100s'", name);
    }
    close(from);
    return err;
}

static rdg_err_t set_owner_and_mode(const unpack_t *u, int dir, const char *name, bool is_link) {
    uid_t uid = (uid_t)u->api.archive_entry_uid(u->e);
    gid_t gid = (gid_t)u->api.archive_entry_gid(u->e);
    if (geteuid() == 0 && fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return rdg_fail_errno(errno, "cannot give '%.100s' its owner", name);
    if (!is_link && fchmodat(dir, name, u->api.archive_entry_perm(u->e) & 07777, 0) != 0)
        return rdg_fail_errno(errno, "cannot give '%.100s' its mode", name);
    return RDG_OK;
}

static rdg_err_t unpack_into(unpack_t *u, int dir, const entry_path_t *p) {
    const char *name = p->parts[p->count - 1], *link = u->api.archive_entry_hardlink(u->e);
    if (strncmp(name, ".wh.", 4) == 0) return whiteout(dir, name + 4);
    if (link) return hard_link(u->root, dir, name, link);
    switch (u->api.archive_entry_filetype(u->e)) {
    case AE_IFREG: RDG_TRY(write_file(u, dir, name)); break;
    case AE_IFDIR:
        if (mkdirat(dir, name, 0755) != 0) {
            struct stat st;
            if (errno != EEXIST || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
                return rdg_fail_errno(errno, "cannot unpack '%.100s'", name);
            if (!S_ISDIR(st.st_mode)) {
                make_way(dir, name);
                if (mkdirat(dir, name, 0755) != 0)
                    return rdg_fail_errno(errno, "cannot unpack '%.100s'", name);
            }
        }
        break;
    case AE_IFLNK: {
        const char *target = u->api.archive_entry_symlink(u->e);
        if (!target || !target[0])
            return rdg_fail(RDG_E_MALFORMED, "the layer's link '%.100s' points nowhere", name);
        RDG_TRY(check_symlink(p, target));
        make_way(dir, name);
        if (symlinkat(target, dir, name) != 0) return rdg_fail_errno(errno, "cannot unpack '%.100s'", name);
        break;
    }
    default: return RDG_OK;
    }
    return set_owner_and_mode(u, dir, name, u->api.archive_entry_filetype(u->e) == AE_IFLNK);
}

static rdg_err_t unpack_entry(unpack_t *u) {
    entry_path_t p;
    int dir = -1;
    RDG_TRY(split(u->api.archive_entry_pathname(u->e), &p));
    if (p.count == 0) return RDG_OK;
    RDG_TRY(open_parent(u->root, &p, &dir));
    rdg_err_t err = unpack_into(u, dir, &p);
    close(dir);
    return err;
}

static rdg_err_t unpack_all(unpack_t *u) {
    int r;
    for (uint64_t n = 0;
         (r = u->api.archive_read_next_header(u->a, &u->e)) == ARCHIVE_OK || r == ARCHIVE_WARN; ++n) {
        if (n == u->limits->entries)
            return rdg_fail(RDG_E_TOO_LARGE, "the layer has more than %llu entries",
                            (unsigned long long)u->limits->entries);
        RDG_TRY(unpack_entry(u));
    }
    if (r == ARCHIVE_EOF) return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "the layer is no tar archive, or damaged: %s",
                    u->api.archive_error_string(u->a));
}

static rdg_err_t unpack_opened(unpack_t *u, const char *tar) {
    u->a = u->api.archive_read_new();
    if (!u->a) return rdg_fail(RDG_E_NO_MEMORY, "no memory to unpack a layer");
    u->api.archive_read_support_filter_gzip(u->a);
    u->api.archive_read_support_filter_zstd(u->a);
    u->api.archive_read_support_format_tar(u->a);
    rdg_err_t err = RDG_OK;
    if (u->api.archive_read_open_filename(u->a, tar, 65536) != ARCHIVE_OK)
        err = rdg_fail(RDG_E_MALFORMED, "%s is no tar archive: %s", tar, u->api.archive_error_string(u->a));
    if (err == RDG_OK) err = unpack_all(u);
    u->api.archive_read_free(u->a);
    return err;
}

/* The smaller of what the layer may have at all and what its compressed size allows. */
static rdg_err_t set_budget(unpack_t *u, const char *tar) {
    struct stat st;
    uint64_t allowed;
    if (stat(tar, &st) != 0) return rdg_fail_errno(errno, "cannot look at %s", tar);
    if (__builtin_mul_overflow((uint64_t)st.st_size, u->limits->ratio, &allowed)) allowed = UINT64_MAX;
    if (allowed < u->limits->ratio_above) allowed = u->limits->ratio_above;
    u->bytes_max = allowed < u->limits->bytes ? allowed : u->limits->bytes;
    return RDG_OK;
}

rdg_err_t layer_unpack_file(const char *tar, const char *dir, const layer_limits_t *limits, uint64_t *bytes) {
    unpack_t u = {.root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .limits = limits};
    if (u.root < 0) return rdg_fail_errno(errno, "cannot open %s", dir);
    rdg_err_t err = set_budget(&u, tar);
    if (err == RDG_OK) err = archive_api_open(&u.api);
    if (err == RDG_OK) err = unpack_opened(&u, tar);
    /* Whole and on the disk before its name says so. */
    if (err == RDG_OK && syncfs(u.root) != 0) err = rdg_fail_errno(errno, "cannot make %s durable", dir);
    archive_api_close(&u.api);
    close(u.root);
    *bytes = u.bytes;
    return err;
}

#define UNPACK_WORD "--unpack-layer"
#define UNPACK_TIMEOUT_MS 1800000u

/* argv: program, word, tar, directory, and the four limits. */
static bool read_limits(char *const *text, layer_limits_t *out) {
    return rdg_parse_u64(text[0], &out->entries) == RDG_OK && rdg_parse_u64(text[1], &out->bytes) == RDG_OK &&
           rdg_parse_u64(text[2], &out->ratio) == RDG_OK &&
           rdg_parse_u64(text[3], &out->ratio_above) == RDG_OK;
}

bool rdg_container_unpack_main(int argc, char **argv, int *status) {
    layer_limits_t limits;
    uint64_t bytes = 0;
    if (argc != 8 || strcmp(argv[1], UNPACK_WORD) != 0 || !read_limits(argv + 4, &limits)) return false;
    rdg_err_t err = layer_unpack_file(argv[2], argv[3], &limits, &bytes);
    if (err == RDG_OK)
        printf("%llu\n", (unsigned long long)bytes);
    else
        printf("%s %s\n", rdg_err_name(err), rdg_err_message(err));
    *status = err == RDG_OK ? 0 : 1;
    return true;
}

/* The child's one line is the number of bytes, or the error's name and its text. */
static rdg_err_t unpack_in_child(const char *unpacker, const char *tar, const char *dir,
                                 const layer_limits_t *limits, uint64_t *bytes) {
    char line[RDG_ERROR_TEXT_MAX + 64] = "", text[4][24];
    const uint64_t values[4] = {limits->entries, limits->bytes, limits->ratio, limits->ratio_above};
    for (size_t i = 0; i < 4; ++i) snprintf(text[i], sizeof text[i], "%llu", (unsigned long long)values[i]);
    const char *const argv[] = {unpacker, UNPACK_WORD, tar, dir, text[0], text[1], text[2], text[3], NULL};
    rdg_err_t err = rdg_process_run(argv, UNPACK_TIMEOUT_MS, line, sizeof line);
    line[strcspn(line, "\n")] = '\0';
    if (err == RDG_OK) return rdg_fail_in(rdg_parse_u64(line, bytes), "the unpacker's answer");
    char *why = strchr(line, ' ');
    if (!why) return rdg_fail_in(err, "cannot unpack");
    *why++ = '\0';
    return rdg_fail(rdg_err_from_name(line), "%s", why);
}

rdg_err_t layer_unpack(const char *root, const char *digest, const char *unpacker,
                       const layer_limits_t *limits, uint64_t *bytes) {
    char blob[PATH_MAX], dir[PATH_MAX], tmp[PATH_MAX + 8];
    *bytes = 0;
    RDG_TRY(blob_path(root, digest, blob));
    RDG_TRY(layer_path(root, digest, dir));
    if (rdg_file_exists(dir)) return RDG_OK;
    snprintf(tmp, sizeof tmp, "%s.tmp", dir);
    RDG_TRY(rdg_tree_remove(tmp, NULL));
    RDG_TRY(rdg_dir_make(tmp, 0755));
    rdg_err_t err = unpacker ? unpack_in_child(unpacker, blob, tmp, limits, bytes)
                             : layer_unpack_file(blob, tmp, limits, bytes);
    err = rdg_fail_in(err, "layer %s", digest);
    if (err == RDG_OK && rename(tmp, dir) != 0) err = rdg_fail_errno(errno, "cannot keep %s", dir);
    if (err != RDG_OK) (void)rdg_tree_remove(tmp, NULL);
    return err;
}
