#include "image_source.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 512u
#define PAX_MAX (64u << 10)

typedef struct entry {
    char *name;
    uint64_t offset, size;
} entry_t;

struct image_source {
    char *path;
    int fd; /* directory or tar */
    bool tar, layout;
    entry_t *entries;
    size_t count, room;
};

/* --- tar (POSIX.1-2001 pax interchange, and GNU's long names) --------------------------------------------- */

typedef struct reader {
    image_source_t *s;
    uint64_t at, end;
    char name[IMAGE_SOURCE_NAME_MAX]; /* for the next entry, from an extension; empty: none */
    uint64_t size;
    bool sized;
} reader_t;

static rdg_err_t read_at(int fd, void *out, size_t len, uint64_t offset) {
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(fd, (char *)out + got, len - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "cannot read the archive");
        if (n == 0) return rdg_fail(RDG_E_MALFORMED, "the archive ends in the middle of a file");
        got += (size_t)n;
    }
    return RDG_OK;
}

/* Octal digits, or base 256 when the first bit is set. */
static rdg_err_t read_number(const uint8_t *field, size_t len, uint64_t *out) {
    uint64_t v = 0;
    if (field[0] & 0x80) {
        for (size_t i = 0; i < len; ++i) {
            if (v >> 55) return rdg_fail(RDG_E_MALFORMED, "the archive has a file of an absurd size");
            v = v << 8 | (i ? field[i] : field[i] & 0x7fu);
        }
    } else {
        size_t i = 0;
        while (i < len && field[i] == ' ') ++i;
        for (; i < len && field[i] >= '0' && field[i] <= '7'; ++i) v = v << 3 | (uint64_t)(field[i] - '0');
    }
    *out = v;
    return RDG_OK;
}

static bool checksum_fits(const uint8_t h[BLOCK]) {
    uint64_t want = 0, sum = 0;
    if (read_number(h + 148, 8, &want) != RDG_OK) return false;
    for (size_t i = 0; i < BLOCK; ++i) sum += i >= 148 && i < 156 ? ' ' : h[i];
    return sum == want;
}

/* "LENGTH KEY=VALUE\n" records; path and size count. */
static void read_pax(reader_t *r, char *text, size_t len) {
    for (size_t at = 0; at < len;) {
        char *end, *line = text + at;
        unsigned long size = strtoul(line, &end, 10);
        if (*end != ' ' || size == 0 || size > len - at || line[size - 1] != '\n') return;
        line[size - 1] = '\0';
        if (strncmp(end + 1, "path=", 5) == 0) snprintf(r->name, sizeof r->name, "%s", end + 6);
        if (strncmp(end + 1, "size=", 5) == 0) {
            r->size = strtoull(end + 6, NULL, 10);
            r->sized = true;
        }
        at += size;
    }
}

static rdg_err_t read_extension(reader_t *r, uint8_t type, uint64_t size) {
    if (size > PAX_MAX)
        return rdg_fail(RDG_E_MALFORMED, "the archive has a header of %llu bytes", (unsigned long long)size);
    char *text = rdg_calloc(1, (size_t)size + 1);
    if (!text) return rdg_fail(RDG_E_NO_MEMORY, "no memory to read an archive");
    rdg_err_t err = read_at(r->s->fd, text, (size_t)size, r->at);
    if (err == RDG_OK && type == 'L') snprintf(r->name, sizeof r->name, "%s", text);
    if (err == RDG_OK && type == 'x') read_pax(r, text, (size_t)size);
    rdg_free(text);
    return err;
}

static rdg_err_t add(image_source_t *s, const char *name, uint64_t offset, uint64_t size) {
    if (s->count == IMAGE_SOURCE_ENTRIES)
        return rdg_fail(RDG_E_TOO_LARGE, "the archive has more than %d files", IMAGE_SOURCE_ENTRIES);
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 64;
        entry_t *more = rdg_realloc(s->entries, room * sizeof *more);
        if (!more) return rdg_fail(RDG_E_NO_MEMORY, "no memory to read an archive");
        s->entries = more;
        s->room = room;
    }
    char *copy = rdg_strdup(strncmp(name, "./", 2) == 0 ? name + 2 : name);
    if (!copy) return rdg_fail(RDG_E_NO_MEMORY, "no memory to read an archive");
    s->entries[s->count++] = (entry_t){copy, offset, size};
    return RDG_OK;
}

static rdg_err_t take_entry(reader_t *r, const uint8_t h[BLOCK], uint8_t type, uint64_t size) {
    char name[IMAGE_SOURCE_NAME_MAX];
    if (r->name[0])
        snprintf(name, sizeof name, "%s", r->name);
    else if (memcmp(h + 257, "ustar", 5) == 0 && h[345] && h[262] == 0)
        snprintf(name, sizeof name, "%.155s/%.100s", (const char *)h + 345, (const char *)h);
    else
        snprintf(name, sizeof name, "%.100s", (const char *)h);
    r->name[0] = '\0';
    r->sized = false;
    return type == '0' || type == '\0' ? add(r->s, name, r->at, size) : RDG_OK;
}

static rdg_err_t read_tar(image_source_t *s, uint64_t end) {
    reader_t r = {.s = s, .end = end};
    uint8_t h[BLOCK];
    while (r.at + BLOCK <= r.end) {
        uint64_t size;
        RDG_TRY(read_at(s->fd, h, sizeof h, r.at));
        if (h[0] == '\0') return RDG_OK; /* the end */
        if (!checksum_fits(h)) return rdg_fail(RDG_E_MALFORMED, "it is no tar archive, or damaged");
        r.at += BLOCK;
        uint8_t type = h[156];
        bool extension = type == 'L' || type == 'K' || type == 'x' || type == 'g';
        RDG_TRY(read_number(h + 124, 12, &size));
        if (r.sized && !extension) size = r.size;
        if (size > r.end - r.at) return rdg_fail(RDG_E_MALFORMED, "the archive ends in the middle of a file");
        RDG_TRY(extension ? read_extension(&r, type, size) : take_entry(&r, h, type, size));
        r.at += (size + BLOCK - 1) / BLOCK * BLOCK;
    }
    return RDG_OK;
}

/* --- the source --------------------------------------------------------------------------------------- */

static rdg_err_t look_inside(image_source_t *s) {
    static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd}, xz[] = {0xfd, '7', 'z'};
    struct stat st;
    uint8_t magic[4] = {0};
    image_file_t f;
    if (fstat(s->fd, &st) != 0) return rdg_fail_errno(errno, "%s", s->path);
    s->tar = S_ISREG(st.st_mode);
    if (s->tar) {
        if (st.st_size >= 4) RDG_TRY(read_at(s->fd, magic, sizeof magic, 0));
        if (memcmp(magic, gzip, 2) == 0 || memcmp(magic, zstd, 4) == 0 || memcmp(magic, xz, 3) == 0)
            return rdg_fail(RDG_E_UNSUPPORTED, "it is compressed: unpack it first (gunzip, zstd -d, unxz)");
        RDG_TRY(read_tar(s, (uint64_t)st.st_size));
    }
    s->layout = image_source_find(s, "index.json", &f) == RDG_OK;
    if (!s->layout && image_source_find(s, "manifest.json", &f) != RDG_OK)
        return rdg_fail(RDG_E_INVALID,
                        "it is neither an OCI layout (index.json) nor a docker-archive (manifest.json)");
    close(f.fd);
    return RDG_OK;
}

rdg_err_t image_source_open(const char *path, image_source_t **out) {
    image_source_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory to read an image");
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    s->path = rdg_strdup(path);
    rdg_err_t err = s->fd < 0 ? rdg_fail_errno(errno, "cannot open it")
                    : s->path ? look_inside(s)
                              : RDG_E_NO_MEMORY;
    if (err == RDG_OK)
        *out = s;
    else
        image_source_close(s);
    return rdg_fail_in(err, "%s", path);
}

void image_source_close(image_source_t *s) {
    if (!s) return;
    for (size_t i = 0; i < s->count; ++i) rdg_free(s->entries[i].name);
    rdg_free(s->entries);
    rdg_free(s->path);
    if (s->fd >= 0) close(s->fd);
    rdg_free(s);
}

bool image_source_is_layout(const image_source_t *s) {
    return s->layout;
}

static rdg_err_t find_in_dir(const image_source_t *s, const char *name, image_file_t *out) {
    struct stat st;
    if (name[0] == '/' || strstr(name, ".."))
        return rdg_fail(RDG_E_MALFORMED, "'%.100s' is no file of it", name);
    out->fd = openat(s->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (out->fd < 0) return rdg_fail_errno(errno, "%s/%.200s", s->path, name);
    if (fstat(out->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        out->offset = 0;
        out->size = (uint64_t)st.st_size;
        return RDG_OK;
    }
    close(out->fd);
    return rdg_fail(RDG_E_MALFORMED, "%s/%.200s is no file", s->path, name);
}

rdg_err_t image_source_find(const image_source_t *s, const char *name, image_file_t *out) {
    if (!s->tar) return find_in_dir(s, name, out);
    for (size_t i = s->count; i-- > 0;) { /* of two, the later one counts */
        if (strcmp(s->entries[i].name, name) != 0) continue;
        *out = (image_file_t){fcntl(s->fd, F_DUPFD_CLOEXEC, 0), s->entries[i].offset, s->entries[i].size};
        return out->fd >= 0 ? RDG_OK : rdg_fail_errno(errno, "%s", s->path);
    }
    return rdg_fail(RDG_E_NOT_FOUND, "%s holds no file %.200s", s->path, name);
}

rdg_err_t image_source_read(const image_source_t *s, const char *name, size_t max, rdg_buf_t *out) {
    image_file_t f;
    RDG_TRY(image_source_find(s, name, &f));
    rdg_err_t err = f.size > max ? rdg_fail(RDG_E_TOO_LARGE, "%.200s has %llu bytes: at most %zu", name,
                                            (unsigned long long)f.size, max)
                                 : rdg_buf_reserve(out, (size_t)f.size);
    if (err == RDG_OK) err = read_at(f.fd, out->data + out->len, (size_t)f.size, f.offset);
    if (err == RDG_OK) out->len += (size_t)f.size;
    close(f.fd);
    return err;
}

rdg_err_t image_source_digest(const image_file_t *file, char out[136]) {
    static const size_t block = 256u << 10;
    uint8_t sum[32], *bytes = rdg_alloc(block);
    rdg_sha256_stream_t *s = rdg_sha256_stream_new();
    rdg_err_t err = bytes && s ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a digest");
    for (uint64_t at = 0; err == RDG_OK && at < file->size;) {
        size_t len = file->size - at < block ? (size_t)(file->size - at) : block;
        err = read_at(file->fd, bytes, len, file->offset + at);
        if (err == RDG_OK) rdg_sha256_stream_update(s, bytes, len);
        at += len;
    }
    if (s) rdg_sha256_stream_final(s, sum);
    rdg_sha256_stream_free(s);
    rdg_free(bytes);
    memcpy(out, "sha256:", 7);
    rdg_hex_encode(sum, sizeof sum, out + 7);
    return err;
}
