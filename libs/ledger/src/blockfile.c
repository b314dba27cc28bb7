#include "blockfile.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "crc32c.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"

enum { HEAD_BYTES = 28, TRAILER_BYTES = 4, PATH_SIZE = 1024 };
#define RECORD_MAGIC 0x52424c4bu /* "RBLK" */

struct blockfile {
    char dir[PATH_SIZE - 32];
    int fd; /* of the file that is appended to; -1: none yet */
    uint32_t file;
    uint64_t end;
    bool failed;
};

size_t block_record_size(const block_place_t *p) {
    return HEAD_BYTES + (size_t)p->proposal_len + p->seal_len + p->receipts_len + TRAILER_BYTES;
}

static void file_path(const blockfile_t *b, uint32_t file, char out[PATH_SIZE]) {
    snprintf(out, PATH_SIZE, "%s/%06" PRIu32 ".blk", b->dir, file);
}

/* A file system's limit on a file's size is a full disk to us. */
static rdg_err_t io_failed(const blockfile_t *b, uint32_t file, int errnum, const char *doing) {
    char path[PATH_SIZE];
    file_path(b, file, path);
    if (errnum == EFBIG) return rdg_fail(RDG_E_DISK_FULL, "%s: %s: %s", path, doing, strerror(errnum));
    return rdg_fail_errno(errnum, "%s: %s", path, doing);
}

static rdg_err_t corrupt(const blockfile_t *b, const block_place_t *p, uint64_t height, const char *what) {
    char path[PATH_SIZE];
    file_path(b, p->file, path);
    return rdg_fail(RDG_E_CORRUPT,
                    "%s: block %" PRIu64 " at offset %" PRIu64 ": %s: restore this node from its peers", path,
                    height, p->offset, what);
}

static void encode_head(const block_place_t *p, uint64_t height, uint8_t head[HEAD_BYTES]) {
    rdg_store_be32(head, RECORD_MAGIC);
    rdg_store_be64(head + 4, height);
    rdg_store_be32(head + 12, p->proposal_len);
    rdg_store_be32(head + 16, p->seal_len);
    rdg_store_be32(head + 20, p->receipts_len);
    rdg_store_be32(head + 24, crc32c(0, rdg_bytes(head, 24)));
}

static rdg_err_t read_whole(int fd, uint8_t *dst, size_t len, uint64_t offset, bool *short_read) {
    *short_read = false;
    while (len > 0) {
        ssize_t n = pread(fd, dst, len, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "read a block file");
        if (n == 0) {
            *short_read = true;
            return RDG_OK;
        }
        dst += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return RDG_OK;
}

static rdg_err_t check_record(const blockfile_t *b, const block_place_t *place, uint64_t height,
                              rdg_bytes_t record) {
    uint8_t head[HEAD_BYTES];
    encode_head(place, height, head);
    if (memcmp(head, record.data, sizeof head) != 0)
        return corrupt(b, place, height, "its head is not what it was");
    rdg_bytes_t parts = rdg_bytes(record.data + HEAD_BYTES, record.len - HEAD_BYTES - TRAILER_BYTES);
    if (crc32c(0, parts) != rdg_load_be32(parts.data + parts.len))
        return corrupt(b, place, height, "its checksum does not match");
    return RDG_OK;
}

rdg_err_t blockfile_read(const blockfile_t *b, const block_place_t *place, uint64_t height, rdg_buf_t *buf,
                         block_parts_t *out) {
    char path[PATH_SIZE];
    bool cut = false;
    size_t size = block_record_size(place);
    rdg_buf_clear(buf);
    RDG_TRY(rdg_buf_reserve(buf, size));
    file_path(b, place->file, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return corrupt(b, place, height, "the file is missing");
    if (fd < 0) return io_failed(b, place->file, errno, "open");
    rdg_err_t err = read_whole(fd, buf->data, size, place->offset, &cut);
    close(fd);
    if (err != RDG_OK) return rdg_fail_in(err, "%s", path);
    if (cut) return corrupt(b, place, height, "the file ends inside it");
    buf->len = size;
    RDG_TRY(check_record(b, place, height, rdg_buf_view(buf)));
    const uint8_t *p = buf->data + HEAD_BYTES;
    out->proposal = rdg_bytes(p, place->proposal_len);
    out->seal = rdg_bytes(p + place->proposal_len, place->seal_len);
    out->receipts = rdg_bytes(p + place->proposal_len + place->seal_len, place->receipts_len);
    return RDG_OK;
}

static rdg_err_t open_file(blockfile_t *b, uint32_t file, bool fresh) {
    char path[PATH_SIZE];
    file_path(b, file, path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (fresh ? O_TRUNC : 0), 0600);
    if (fd < 0) return io_failed(b, file, errno, "open");
    if (b->fd >= 0) close(b->fd);
    b->fd = fd;
    b->file = file;
    b->end = 0;
    return fresh ? rdg_dir_sync(b->dir) : RDG_OK;
}

/* The number in "NNNNNN.blk", or 0. */
static uint64_t file_number(const char *name) {
    char digits[16];
    uint64_t number = 0;
    size_t len = strlen(name);
    if (len < 5 || len - 4 >= sizeof digits || strcmp(name + len - 4, ".blk") != 0) return 0;
    memcpy(digits, name, len - 4);
    digits[len - 4] = 0;
    return rdg_parse_u64(digits, &number) == RDG_OK ? number : 0;
}

/* Files behind the last one that counts hold only the tail of a crash. */
static rdg_err_t remove_later_files(const blockfile_t *b) {
    DIR *d = opendir(b->dir);
    if (!d) return rdg_fail_errno(errno, "%s", b->dir);
    for (struct dirent *e; (e = readdir(d));) {
        if (file_number(e->d_name) <= b->file) continue;
        char path[PATH_SIZE + 256];
        snprintf(path, sizeof path, "%s/%s", b->dir, e->d_name);
        unlink(path);
    }
    closedir(d);
    return rdg_dir_sync(b->dir);
}

static rdg_err_t resume(blockfile_t *b, const block_place_t *last, uint64_t height) {
    rdg_buf_t record;
    block_parts_t parts;
    struct stat st;
    rdg_buf_init(&record, block_record_size(last));
    rdg_err_t err = blockfile_read(b, last, height, &record, &parts);
    rdg_buf_fini(&record);
    RDG_TRY(err);
    RDG_TRY(open_file(b, last->file, false));
    b->end = last->offset + block_record_size(last);
    if (fstat(b->fd, &st) != 0) return io_failed(b, b->file, errno, "stat");
    if ((uint64_t)st.st_size == b->end) return RDG_OK;
    if (ftruncate(b->fd, (off_t)b->end) != 0 || fsync(b->fd) != 0)
        return io_failed(b, b->file, errno, "cut the tail");
    return RDG_OK;
}

rdg_err_t blockfile_open(const char *dir, const block_place_t *last, uint64_t height, blockfile_t **out) {
    *out = NULL;
    RDG_TRY(rdg_dir_make(dir, 0700));
    blockfile_t *b = rdg_calloc(1, sizeof *b);
    if (!b) return RDG_E_NO_MEMORY;
    b->fd = -1;
    rdg_err_t err = RDG_OK;
    if ((size_t)snprintf(b->dir, sizeof b->dir, "%s", dir) >= sizeof b->dir)
        err = rdg_fail(RDG_E_TOO_LARGE, "the path %.100s… is too long", dir);
    if (err == RDG_OK && last->file) err = resume(b, last, height);
    if (err == RDG_OK) err = remove_later_files(b);
    if (err != RDG_OK) {
        blockfile_close(b);
        return err;
    }
    *out = b;
    return RDG_OK;
}

void blockfile_close(blockfile_t *b) {
    if (!b) return;
    if (b->fd >= 0) close(b->fd);
    rdg_free(b);
}

static rdg_err_t write_record(const blockfile_t *b, struct iovec *iov, int count) {
    uint64_t offset = b->end;
    while (count > 0) {
        ssize_t n = pwritev(b->fd, iov, count, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_failed(b, b->file, errno, "write");
        offset += (uint64_t)n;
        for (size_t left = (size_t)n; count > 0; ++iov, --count) {
            if (left < iov->iov_len) {
                iov->iov_base = (uint8_t *)iov->iov_base + left;
                iov->iov_len -= left;
                break;
            }
            left -= iov->iov_len;
        }
    }
    return fdatasync(b->fd) == 0 ? RDG_OK : io_failed(b, b->file, errno, "sync");
}

static struct iovec part(rdg_bytes_t v) {
    return (struct iovec){(void *)(uintptr_t)v.data, v.len};
}

rdg_err_t blockfile_plan(blockfile_t *b, rdg_bytes_t proposal, rdg_bytes_t seal, rdg_bytes_t receipts,
                         block_place_t *place) {
    if (b->failed)
        return rdg_fail(RDG_E_IO, "the block files refuse appends since one failed: reopen the ledger");
    if (proposal.len > UINT32_MAX || seal.len > UINT32_MAX || receipts.len > UINT32_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a part of a block has 4 GiB or more");
    if (b->fd < 0 || b->end >= BLOCKFILE_ROLL) RDG_TRY(open_file(b, b->file + 1, true));
    *place =
        (block_place_t){b->file, b->end, (uint32_t)proposal.len, (uint32_t)seal.len, (uint32_t)receipts.len};
    return RDG_OK;
}

rdg_err_t blockfile_append(blockfile_t *b, const block_place_t *place, uint64_t height, rdg_bytes_t proposal,
                           rdg_bytes_t seal, rdg_bytes_t receipts) {
    uint8_t head[HEAD_BYTES], trailer[TRAILER_BYTES];
    RDG_ASSERT(!b->failed && place->file == b->file && place->offset == b->end);
    encode_head(place, height, head);
    rdg_store_be32(trailer, crc32c(crc32c(crc32c(0, proposal), seal), receipts));
    struct iovec iov[5] = {
        {head, sizeof head}, part(proposal), part(seal), part(receipts), {trailer, sizeof trailer}};
    rdg_err_t err = write_record(b, iov, 5);
    if (err == RDG_OK) {
        b->end += block_record_size(place);
        return RDG_OK;
    }
    b->failed = true;
    if (ftruncate(b->fd, (off_t)b->end) != 0) return err; /* open() cuts it */
    return err;
}

static uint64_t allocated(const struct stat *st) {
    return (uint64_t)st->st_blocks * 512;
}

static rdg_err_t remove_file(const blockfile_t *b, uint32_t file, uint64_t *freed, uint64_t *files) {
    char path[PATH_SIZE];
    struct stat st;
    file_path(b, file, path);
    if (stat(path, &st) != 0) return errno == ENOENT ? RDG_OK : io_failed(b, file, errno, "stat");
    if (unlink(path) != 0) return io_failed(b, file, errno, "remove");
    *freed += allocated(&st);
    ++*files;
    return RDG_OK;
}

/* Where the file system has no holes, the file goes when all of it may. */
static rdg_err_t punch(const blockfile_t *b, const block_place_t *keep, uint64_t *freed) {
    char path[PATH_SIZE];
    struct stat before, after;
    if (keep->offset == 0) return RDG_OK;
    file_path(b, keep->file, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return io_failed(b, keep->file, errno, "open");
    rdg_err_t err = fstat(fd, &before) == 0 ? RDG_OK : io_failed(b, keep->file, errno, "stat");
    int done =
        err == RDG_OK ? fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)keep->offset) : 0;
    if (done != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        err = io_failed(b, keep->file, errno, "free a part");
    if (err == RDG_OK && done == 0 && fsync(fd) != 0) err = io_failed(b, keep->file, errno, "sync");
    if (err == RDG_OK && fstat(fd, &after) == 0 && allocated(&after) < allocated(&before))
        *freed += allocated(&before) - allocated(&after);
    close(fd);
    return err;
}

rdg_err_t blockfile_release(const blockfile_t *b, const block_place_t *keep, uint64_t *freed,
                            uint64_t *files) {
    DIR *d = opendir(b->dir);
    rdg_err_t err = RDG_OK;
    if (!d) return rdg_fail_errno(errno, "%s", b->dir);
    for (struct dirent *e; err == RDG_OK && (e = readdir(d));) {
        uint64_t number = file_number(e->d_name);
        if (number > 0 && number < keep->file) err = remove_file(b, (uint32_t)number, freed, files);
    }
    closedir(d);
    RDG_TRY(err);
    RDG_TRY(rdg_dir_sync(b->dir));
    return punch(b, keep, freed);
}
