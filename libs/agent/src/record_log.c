#include "record_log.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_MAGIC 0x52444752u

struct record_log {
    char *path;
    int fd;
    uint64_t size, damaged;
    bool renamed; /* into its place, and the directory does not hold it durably yet */
};

uint32_t rdg_crc32c(uint32_t crc, const void *data, size_t len) {
    /* Castagnoli, reflected, a nibble at a time: small enough for a small device. */
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                                       0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const uint8_t *p = data;
    crc = ~crc;
    for (size_t i = 0; i < len; ++i) {
        crc ^= p[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

static rdg_err_t read_at(const record_log_t *l, uint64_t offset, void *dst, size_t len) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(l->fd, (uint8_t *)dst + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "cannot read %s", l->path);
        if (n == 0) return rdg_fail(RDG_E_CORRUPT, "%s ends within a record", l->path);
        done += (size_t)n;
    }
    return RDG_OK;
}

/* RDG_OK when a whole record starts at offset; CORRUPT when not; its payload replaces out's content. */
static rdg_err_t read_record(const record_log_t *l, uint64_t offset, uint8_t *type, rdg_buf_t *out) {
    uint8_t head[RECORD_HEAD_BYTES];
    if (offset > l->size || l->size - offset < sizeof head)
        return rdg_fail(RDG_E_CORRUPT, "%s has no record at %llu", l->path, (unsigned long long)offset);
    RDG_TRY(read_at(l, offset, head, sizeof head));
    uint32_t len = rdg_load_be32(head + 4);
    if (rdg_load_be32(head) != RECORD_MAGIC || len > RECORD_MAX || l->size - offset - sizeof head < len)
        return rdg_fail(RDG_E_CORRUPT, "%s has no whole record at %llu", l->path, (unsigned long long)offset);
    size_t start = out->len;
    RDG_TRY(rdg_buf_reserve(out, len));
    RDG_TRY(len > 0 ? read_at(l, offset + sizeof head, out->data + start, len) : RDG_OK);
    uint32_t crc = rdg_crc32c(0, head + 12, 1);
    if (rdg_crc32c(crc, len > 0 ? out->data + start : head, len) != rdg_load_be32(head + 8))
        return rdg_fail(RDG_E_CORRUPT, "the record at %llu of %s fails its checksum",
                        (unsigned long long)offset, l->path);
    out->len = start + len;
    *type = head[12];
    return RDG_OK;
}

/* The next offset at or after `from` where a whole record starts; l->size when there is none. */
static uint64_t resync(const record_log_t *l, uint64_t from, rdg_buf_t *scratch) {
    uint8_t block[512];
    for (uint64_t at = from; at + RECORD_HEAD_BYTES <= l->size;) {
        size_t n = l->size - at < sizeof block ? (size_t)(l->size - at) : sizeof block;
        if (read_at(l, at, block, n) != RDG_OK) break;
        for (size_t i = 0; i + 4 <= n; ++i) {
            uint8_t type;
            if (rdg_load_be32(block + i) != RECORD_MAGIC) continue;
            rdg_buf_clear(scratch);
            if (read_record(l, at + i, &type, scratch) == RDG_OK) return at + i;
        }
        if (n < sizeof block) break;
        at += n - 3;
    }
    return l->size;
}

static rdg_err_t replay(record_log_t *l, record_visit_fn visit, void *ctx) {
    rdg_buf_t payload;
    rdg_err_t err = RDG_OK;
    uint64_t at = 0, whole = 0;
    rdg_buf_init(&payload, RECORD_MAX + 16);
    while (err == RDG_OK && at < l->size) {
        uint8_t type = 0;
        rdg_buf_clear(&payload);
        rdg_err_t got = read_record(l, at, &type, &payload);
        if (got == RDG_E_CORRUPT) {
            uint64_t next = resync(l, at + 1, &payload);
            if (next >= l->size) break;
            l->damaged += next - at;
            at = next;
            continue;
        }
        err = got;
        if (err == RDG_OK && visit) err = visit(ctx, type, rdg_buf_view(&payload), at);
        at += RECORD_HEAD_BYTES + payload.len;
        whole = at;
    }
    rdg_buf_fini(&payload);
    RDG_TRY(err);
    if (l->damaged > 0)
        rdg_log(RDG_LOG_ERROR, "record_log.damaged", RDG_STR("file", l->path), RDG_U64("bytes", l->damaged));
    if (whole == l->size) return RDG_OK;
    rdg_log(RDG_LOG_WARN, "record_log.torn", RDG_STR("file", l->path), RDG_U64("bytes", l->size - whole));
    if (ftruncate(l->fd, (off_t)whole) != 0)
        return rdg_fail_errno(errno, "cannot cut the torn end of %s", l->path);
    l->size = whole;
    return record_log_sync(l);
}

static rdg_err_t sync_parent(const char *path) {
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash) *slash = '\0';
    return rdg_dir_sync(slash ? dir : ".");
}

rdg_err_t record_log_open(const char *path, record_visit_fn visit, void *ctx, record_log_t **out) {
    record_log_t *l = rdg_calloc(1, sizeof *l);
    if (!l || !(l->path = rdg_strdup(path))) {
        rdg_free(l);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory to open %s", path);
    }
    bool fresh = !rdg_file_exists(path);
    struct stat st;
    rdg_err_t err = RDG_OK;
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->fd < 0 || fstat(l->fd, &st) != 0)
        err = rdg_fail_errno(errno, "cannot open %s", path);
    else
        l->size = (uint64_t)st.st_size;
    if (err == RDG_OK && fresh) err = sync_parent(path);
    if (err == RDG_OK) err = replay(l, visit, ctx);
    if (err != RDG_OK) {
        record_log_close(l);
        return err;
    }
    *out = l;
    return RDG_OK;
}

void record_log_close(record_log_t *l) {
    if (!l) return;
    if (l->fd >= 0) close(l->fd);
    rdg_free(l->path);
    rdg_free(l);
}

rdg_err_t record_log_append(record_log_t *l, uint8_t type, rdg_bytes_t payload, uint64_t *offset) {
    if (payload.len > RECORD_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a record of %zu bytes for %s is larger than %u", payload.len,
                        l->path, RECORD_MAX);
    rdg_buf_t b;
    rdg_buf_init(&b, RECORD_MAX + RECORD_HEAD_BYTES);
    rdg_buf_u32(&b, RECORD_MAGIC);
    rdg_buf_u32(&b, (uint32_t)payload.len);
    rdg_buf_u32(&b, rdg_crc32c(rdg_crc32c(0, &type, 1), payload.data, payload.len));
    rdg_buf_u8(&b, type);
    rdg_buf_append(&b, payload.data, payload.len);
    rdg_err_t err = rdg_buf_err(&b);
    if (err == RDG_OK && lseek(l->fd, (off_t)l->size, SEEK_SET) < 0)
        err = rdg_fail_errno(errno, "cannot seek in %s", l->path);
    if (err == RDG_OK) err = rdg_write_all(l->fd, rdg_buf_view(&b));
    if (err == RDG_OK) {
        if (offset) *offset = l->size;
        l->size += b.len;
    } else {
        /* Without this a half-written record would stand between this one and the next. */
        if (ftruncate(l->fd, (off_t)l->size) != 0)
            rdg_log(RDG_LOG_ERROR, "record_log.truncate_failed", RDG_STR("file", l->path));
        err = rdg_fail_in(err, "cannot append to %s", l->path);
    }
    rdg_buf_fini(&b);
    return err;
}

rdg_err_t record_log_sync(record_log_t *l) {
    if (fdatasync(l->fd) != 0) return rdg_fail_errno(errno, "cannot make %s durable", l->path);
    if (l->renamed) RDG_TRY(sync_parent(l->path));
    l->renamed = false;
    return RDG_OK;
}

rdg_err_t record_log_read(record_log_t *l, uint64_t offset, uint8_t *type, rdg_buf_t *out) {
    return read_record(l, offset, type, out);
}

uint64_t record_log_size(const record_log_t *l) {
    return l->size;
}

uint64_t record_log_damaged(const record_log_t *l) {
    return l->damaged;
}

rdg_err_t record_log_replace(record_log_t *l, record_log_t *from) {
    rdg_err_t err = record_log_sync(from);
    if (err == RDG_OK && rename(from->path, l->path) != 0)
        err = rdg_fail_errno(errno, "cannot replace %s", l->path);
    if (err == RDG_OK) {
        /* The file before has no name any more: nothing may be written to it, whatever comes of the next line. */
        close(l->fd);
        l->fd = from->fd;
        l->size = from->size;
        from->fd = -1;
        l->renamed = sync_parent(l->path) != RDG_OK;
    }
    record_log_close(from);
    return err;
}
