/* Segments as files: a source, and an export that goes on where it was cut off. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "archive_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

enum { PATH_SIZE = 1024 };

static rdg_err_t read_all(int fd, uint64_t offset, uint8_t *dst, size_t len, size_t *got) {
    for (*got = 0; *got < len;) {
        ssize_t n = pread(fd, dst + *got, len - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "read at byte %" PRIu64, offset + *got);
        if (n == 0) return RDG_OK;
        *got += (size_t)n;
    }
    return RDG_OK;
}

static rdg_err_t read_file(void *ctx, uint64_t offset, void *dst, size_t len) {
    const int *fd = ctx;
    size_t got;
    RDG_TRY(read_all(*fd, offset, dst, len, &got));
    return got == len ? RDG_OK : rdg_fail(RDG_E_IO, "the file became shorter while it was read");
}

rdg_err_t rdg_archive_open_file(const char *path, const rdg_archive_options_t *o, rdg_archive_t **out) {
    struct stat st;
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "archive %s", path);
    rdg_archive_source_t source = {.read_at = read_file, .ctx = &fd};
    rdg_err_t err = fstat(fd, &st) == 0 ? RDG_OK : rdg_fail_errno(errno, "stat");
    if (err == RDG_OK && !S_ISREG(st.st_mode)) err = rdg_fail(RDG_E_INVALID, "not a file");
    if (err == RDG_OK) {
        source.size = (uint64_t)st.st_size;
        err = rdg_archive_open(&source, o, out);
    }
    if (err != RDG_OK) {
        close(fd);
        return rdg_fail_in(err, "archive %s", path);
    }
    (*out)->fd = fd;
    (*out)->source.ctx = &(*out)->fd;
    return RDG_OK;
}

/* --- export -------------------------------------------------------------------------------------- */

typedef struct part_file {
    int fd;
    uint64_t at, kept; /* kept: bytes of before that are the same so far */
    bool appending;
    rdg_buf_t old;
} part_file_t;

static rdg_err_t write_new(part_file_t *p, rdg_bytes_t bytes) {
    if (!p->appending) {
        p->appending = true;
        if (ftruncate(p->fd, (off_t)p->at) != 0) return rdg_fail_errno(errno, "cut off what is not the same");
        if (lseek(p->fd, (off_t)p->at, SEEK_SET) < 0) return rdg_fail_errno(errno, "seek");
    }
    RDG_TRY(rdg_write_all(p->fd, bytes));
    p->at += bytes.len;
    return RDG_OK;
}

static rdg_err_t write_part(void *ctx, rdg_bytes_t bytes) {
    part_file_t *p = ctx;
    size_t got = 0;
    if (p->appending) return write_new(p, bytes);
    rdg_buf_clear(&p->old);
    RDG_TRY(rdg_buf_reserve(&p->old, bytes.len ? bytes.len : 1));
    RDG_TRY(read_all(p->fd, p->at, p->old.data, bytes.len, &got));
    size_t same = 0;
    while (same < got && p->old.data[same] == bytes.data[same]) ++same;
    p->at += same;
    p->kept = p->at;
    return same == bytes.len ? RDG_OK : write_new(p, rdg_bytes(bytes.data + same, bytes.len - same));
}

static rdg_err_t finish_part(part_file_t *p, const char *part, const char *path) {
    char dir[PATH_SIZE];
    if (!p->appending) RDG_TRY(write_new(p, rdg_bytes(NULL, 0)));
    if (fsync(p->fd) != 0) return rdg_fail_errno(errno, "sync");
    /* link, not rename: a file that came there meanwhile is not replaced */
    if (link(part, path) != 0) return rdg_fail_errno(errno, "name it %s", path);
    unlink(part);
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash) *(slash == dir ? slash + 1 : slash) = 0;
    return rdg_dir_sync(slash ? dir : ".");
}

rdg_err_t rdg_archive_export_file(rdg_ledger_t *l, const rdg_archive_export_options_t *o, const char *path,
                                  rdg_archive_manifest_t *out) {
    char part[PATH_SIZE];
    part_file_t p = {.fd = -1};
    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part)
        return rdg_fail(RDG_E_TOO_LARGE, "the path %.100s… is too long", path);
    if (rdg_file_exists(path))
        return rdg_fail(RDG_E_EXISTS, "%s exists: give another name, or remove it", path);
    p.fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p.fd < 0) return rdg_fail_errno(errno, "%s", part);
    rdg_buf_init(&p.old, RDG_ARCHIVE_FRAME_RAW_MAX + (1u << 20));
    rdg_archive_sink_t sink = {write_part, &p};
    rdg_err_t err = rdg_archive_export(l, o, &sink, out);
    if (err == RDG_OK) err = finish_part(&p, part, path);
    rdg_buf_fini(&p.old);
    close(p.fd);
    return err == RDG_OK ? RDG_OK : rdg_fail_in(err, "%s", part);
}
