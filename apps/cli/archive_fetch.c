/* ridge archive fetch: the file of an archive from the cloud, to be kept or proven elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "archive.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/client/monitoring.h"

#define BLOCK_BYTES (256u << 10)
#define PROGRESS_MS 200

typedef struct fetch {
    int fd;
    uint64_t have, size, told_ms;
} fetch_t;

static rdg_err_t take(void *ctx, rdg_bytes_t bytes) {
    fetch_t *f = ctx;
    if (bytes.len > f->size - f->have)
        return rdg_fail(RDG_E_PROTOCOL, "the cloud sends more than the %" PRIu64 " bytes of the file",
                        f->size);
    RDG_TRY(rdg_write_all(f->fd, bytes));
    f->have += bytes.len;
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    if (!isatty(STDERR_FILENO) || now < f->told_ms + PROGRESS_MS) return RDG_OK;
    f->told_ms = now;
    fprintf(stderr, "\r%.1f of %.1f MiB ", (double)f->have / 1048576.0, (double)f->size / 1048576.0);
    return RDG_OK;
}

/* What is there of it is kept; more than there is belongs to something else. */
static rdg_err_t open_part(const char *part, fetch_t *f) {
    struct stat st;
    f->fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (f->fd < 0) return rdg_fail_errno(errno, "cannot make %s", part);
    if (fstat(f->fd, &st) != 0) return rdg_fail_errno(errno, "cannot look at %s", part);
    f->have = (uint64_t)st.st_size;
    if (f->have > f->size && ftruncate(f->fd, 0) != 0) return rdg_fail_errno(errno, "cannot empty %s", part);
    if (f->have > f->size) f->have = 0;
    if (lseek(f->fd, 0, SEEK_END) < 0) return rdg_fail_errno(errno, "cannot write %s", part);
    return RDG_OK;
}

static rdg_err_t digest_of(int fd, const char *part, rdg_hash_t *out) {
    rdg_sm3_stream_t *s = rdg_sm3_stream_new();
    uint8_t *block = rdg_alloc(BLOCK_BYTES);
    rdg_err_t err = s && block ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory to read %s", part);
    off_t at = 0;
    for (ssize_t n = 1; err == RDG_OK && n > 0; at += n) {
        do n = pread(fd, block, BLOCK_BYTES, at);
        while (n < 0 && errno == EINTR);
        if (n < 0) err = rdg_fail_errno(errno, "cannot read %s", part);
        if (n > 0) rdg_sm3_stream_update(s, block, (size_t)n);
    }
    if (err == RDG_OK) rdg_sm3_stream_final(s, out);
    rdg_sm3_stream_free(s);
    rdg_free(block);
    return err;
}

/* The bytes are those that the device sent and the cloud has proven; that they prove themselves says `archive verify`. */
static rdg_err_t finish(const fetch_t *f, const char *part, const char *path, const rdg_hash_t *wanted) {
    rdg_hash_t digest;
    RDG_TRY(digest_of(f->fd, part, &digest));
    if (f->have != f->size || !rdg_hash_equal(&digest, wanted)) {
        (void)unlink(part);
        return rdg_fail(
            RDG_E_CORRUPT,
            "%s came with another SM3 than the cloud noted, and is removed: try again; if it stays so, "
            "the stored file is damaged (docs/operator.md, Archives)",
            part);
    }
    if (fsync(f->fd) != 0) return rdg_fail_errno(errno, "cannot make %s durable", part);
    /* Not over what somebody has put there meanwhile. */
    if (link(part, path) != 0)
        return errno == EEXIST ? rdg_fail(RDG_E_EXISTS, "%s exists already: give another name", path)
                               : rdg_fail_errno(errno, "cannot make %s", path);
    (void)unlink(part);
    return RDG_OK;
}

static rdg_err_t fetch_file(cli_t *cli, uint64_t number, const json_t *file, const char *path) {
    char part[PATH_MAX];
    rdg_hash_t wanted;
    fetch_t f = {.fd = -1};
    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part)
        return rdg_fail(RDG_E_TOO_LARGE, "%s: too long a path", path);
    RDG_TRY(rdg_json_get_u64(file, "size", &f.size));
    RDG_TRY(rdg_json_get_hex(file, "sm3", wanted.b, sizeof wanted.b));
    rdg_err_t err = open_part(part, &f);
    if (err == RDG_OK && f.have < f.size) {
        err = rdg_platform_file(cli->cloud, number, f.have, take, &f);
        err = rdg_fail_in(
            err, "%" PRIu64 " of %" PRIu64 " bytes are in %s, and the same command goes on with them", f.have,
            f.size, part);
    }
    if (f.told_ms) fprintf(stderr, "\r%40s\r", "");
    if (err == RDG_OK) err = finish(&f, part, path, &wanted);
    if (f.fd >= 0) close(f.fd);
    return err;
}

static rdg_err_t fetch(cli_t *cli) {
    const char *path = cli->args[1];
    uint64_t archive, number = 0;
    json_t *about = NULL, *file = NULL;
    RDG_TRY(
        rdg_fail_in(rdg_parse_u64(cli->args[0], &archive), "the number of an archive (ridge archive list)"));
    if (rdg_file_exists(path)) return rdg_fail(RDG_E_EXISTS, "%s exists already: give another name", path);
    RDG_TRY(cli_call(cli, "GET", NULL, &about, "/archives/%" PRIu64, archive));
    rdg_err_t err = rdg_json_get_u64(about, "file", &number);
    if (err == RDG_OK && number == 0)
        err = rdg_fail(RDG_E_CONFLICT, "archive %" PRIu64 " is %s: the cloud has no file of it", archive,
                       out_text(about, "state"));
    if (err == RDG_OK) err = cli_call(cli, "GET", NULL, &file, "/files/%" PRIu64, number);
    if (err == RDG_OK) err = fetch_file(cli, number, file, path);
    if (err == RDG_OK) {
        json_object_set_new(about, "path", json_string(path));
        if (cli->json)
            out_json(about);
        else
            out_fields(about, COLUMNS("File=path", "Chain=chain", "Chain id=chain_id", "State=state",
                                      "From block=from", "To block=to", "Bytes=bytes", "Key=key_id",
                                      "Manifest=manifest"));
    }
    json_decref(file);
    json_decref(about);
    return err;
}

const command_t archive_fetch_commands[] = {
    {"archive",
     "fetch",
     "NUMBER FILE",
     "get the file of an archive from the cloud; goes on where it was cut off",
     2,
     2,
     fetch,
     {{0}}},
    {0},
};
