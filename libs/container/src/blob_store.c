#include "blob_store.h"
#include "ridge/image/signature.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FETCH_TIMEOUT_MS 600000u
#define ATTEMPTS 5

rdg_err_t blob_path(const char *root, const char *digest, char out[PATH_MAX]) {
    if (!image_digest_valid(digest)) return rdg_fail(RDG_E_MALFORMED, "'%.80s' is no sha256 digest", digest);
    int n = snprintf(out, PATH_MAX, "%s/blobs/sha256/%s", root, digest + 7);
    return n < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", root);
}

bool blob_present(const char *root, const char *digest) {
    char path[PATH_MAX];
    return blob_path(root, digest, path) == RDG_OK && rdg_file_exists(path);
}

static rdg_err_t make_dirs(const char *root) {
    char dir[PATH_MAX];
    RDG_TRY(rdg_path_join(dir, sizeof dir, root, "blobs/sha256"));
    return rdg_dir_make(dir, 0700);
}

typedef struct fetch {
    int fd;
    uint64_t have, size;
    bool (*progress)(void *ctx, uint64_t bytes);
    void *ctx;
} fetch_t;

static rdg_err_t sink(void *ctx, rdg_bytes_t chunk) {
    fetch_t *f = ctx;
    if (chunk.len > f->size - f->have)
        return rdg_fail(RDG_E_TOO_LARGE, "the blob is larger than the %llu bytes its manifest says",
                        (unsigned long long)f->size);
    RDG_TRY(rdg_write_all(f->fd, chunk));
    f->have += chunk.len;
    if (f->progress && !f->progress(f->ctx, f->have))
        return rdg_fail(RDG_E_CANCELLED, "the preparation was cancelled");
    return RDG_OK;
}

static rdg_err_t fetch_once(fetch_t *f, rdg_http_client_t *http, const char *url) {
    char range[64];
    const char *const headers[] = {range};
    rdg_http_answer_t got;
    snprintf(range, sizeof range, "Range: bytes=%llu-", (unsigned long long)f->have);
    rdg_http_call_t call = {.method = "GET",
                            .url = url,
                            .headers = headers,
                            .header_count = f->have > 0,
                            .timeout_ms = FETCH_TIMEOUT_MS,
                            .sink = sink,
                            .sink_ctx = f};
    uint64_t before = f->have;
    unsigned status = 0;
    rdg_err_t err = rdg_http_call(http, &call, &got);
    if (err == RDG_OK) {
        status = got.status;
        rdg_http_answer_fini(&got);
    } else if (err != RDG_E_TOO_LARGE || before == 0) {
        return err;
    }
    if (status == 206 || (status == 200 && before == 0)) return RDG_OK;
    /* A server without ranges (it sent the whole again, behind what we had), or one that refuses ours: from
     * the start, next time. */
    if (status == 0 || status == 200 || status == 416) {
        if (ftruncate(f->fd, 0) != 0 || lseek(f->fd, 0, SEEK_SET) != 0)
            return rdg_fail_errno(errno, "cannot start a blob anew");
        f->have = 0;
        return RDG_OK;
    }
    return rdg_fail(status == 404 ? RDG_E_NOT_FOUND : RDG_E_UNAVAILABLE, "%s answered HTTP status %u", url,
                    status);
}

static rdg_err_t digest_of(int fd, char out[IMAGE_DIGEST_TEXT]) {
    uint8_t block[8192], sum[32];
    ssize_t n = 0;
    rdg_sha256_stream_t *s = rdg_sha256_stream_new();
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a digest");
    if (lseek(fd, 0, SEEK_SET) == 0)
        while ((n = read(fd, block, sizeof block)) > 0) rdg_sha256_stream_update(s, block, (size_t)n);
    rdg_sha256_stream_final(s, sum);
    rdg_sha256_stream_free(s);
    if (n < 0) return rdg_fail_errno(errno, "cannot read a blob back");
    memcpy(out, "sha256:", 7);
    rdg_hex_encode(sum, sizeof sum, out + 7);
    return RDG_OK;
}

/* Verified from the disk, not from the stream: what counts is what was stored. */
static rdg_err_t settle(const char *root, int fd, const char *part, const char *path, const char *digest) {
    char actual[IMAGE_DIGEST_TEXT], dir[PATH_MAX];
    RDG_TRY(digest_of(fd, actual));
    if (strcmp(actual, digest) != 0) {
        (void)unlink(part);
        return rdg_fail(RDG_E_CORRUPT,
                        "a blob was asked for as %s and is %s: the registry or the way to it is damaged",
                        digest, actual);
    }
    if (fsync(fd) != 0 || rename(part, path) != 0) return rdg_fail_errno(errno, "cannot keep %s", path);
    RDG_TRY(rdg_path_join(dir, sizeof dir, root, "blobs/sha256"));
    return rdg_dir_sync(dir);
}

static rdg_err_t fetch_whole(const char *root, rdg_http_client_t *http, const char *url, const char *digest,
                             uint64_t size, bool (*progress)(void *ctx, uint64_t bytes), void *ctx,
                             bool *resumed) {
    char path[PATH_MAX], part[PATH_MAX + 8];
    struct stat st;
    RDG_TRY(blob_path(root, digest, path));
    if (rdg_file_exists(path)) return RDG_OK;
    RDG_TRY(make_dirs(root));
    snprintf(part, sizeof part, "%s.part", path);
    fetch_t f = {
        .fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0600), .size = size, .progress = progress, .ctx = ctx};
    if (f.fd < 0 || fstat(f.fd, &st) != 0) return rdg_fail_errno(errno, "cannot open %s", part);
    rdg_err_t err = RDG_OK;
    if ((uint64_t)st.st_size > size && ftruncate(f.fd, 0) != 0)
        err = rdg_fail_errno(errno, "cannot truncate %s", part);
    off_t end = lseek(f.fd, 0, SEEK_END);
    f.have = end > 0 ? (uint64_t)end : 0;
    *resumed = f.have > 0;
    for (int attempt = 0; err == RDG_OK && f.have < size && attempt < ATTEMPTS; ++attempt) {
        uint64_t before = f.have;
        err = fetch_once(&f, http, url);
        /* A connection that broke after some progress is gone on with. */
        if (err != RDG_OK && err != RDG_E_TOO_LARGE && err != RDG_E_NOT_FOUND && err != RDG_E_CANCELLED &&
            f.have > before)
            err = RDG_OK;
    }
    if (err == RDG_OK && f.have < size)
        err = rdg_fail(RDG_E_UNAVAILABLE, "%s gave %llu of %llu bytes: the next attempt goes on from there",
                       url, (unsigned long long)f.have, (unsigned long long)size);
    if (err == RDG_OK) err = settle(root, f.fd, part, path, digest);
    /* A full disk has better uses for half a blob than to wait for its other half. */
    if (err == RDG_E_TOO_LARGE || err == RDG_E_DISK_FULL) (void)unlink(part);
    close(f.fd);
    return err;
}

rdg_err_t blob_fetch(const char *root, rdg_http_client_t *http, const char *url, const char *digest,
                     uint64_t size, bool (*progress)(void *ctx, uint64_t bytes), void *ctx) {
    bool resumed = false;
    rdg_err_t err = fetch_whole(root, http, url, digest, size, progress, ctx, &resumed);
    /* What an earlier attempt left may have lost bytes to a power cut: that is no fault of the registry. */
    if (err == RDG_E_CORRUPT && resumed)
        err = fetch_whole(root, http, url, digest, size, progress, ctx, &resumed);
    return err;
}

uint64_t blob_fetched(const char *root, const char *digest) {
    char path[PATH_MAX], part[PATH_MAX + 8];
    struct stat st;
    if (blob_path(root, digest, path) != RDG_OK) return 0;
    snprintf(part, sizeof part, "%s.part", path);
    return stat(path, &st) == 0 || stat(part, &st) == 0 ? (uint64_t)st.st_size : 0;
}

rdg_err_t blob_put(const char *root, const char *digest, rdg_bytes_t content) {
    char path[PATH_MAX], actual[IMAGE_DIGEST_TEXT] = "sha256:";
    uint8_t sum[32];
    RDG_TRY(blob_path(root, digest, path));
    rdg_sha256(content.data, content.len, sum);
    rdg_hex_encode(sum, sizeof sum, actual + 7);
    if (strcmp(actual, digest) != 0)
        return rdg_fail(RDG_E_CORRUPT, "a manifest was asked for as %s and is %s", digest, actual);
    RDG_TRY(make_dirs(root));
    return rdg_file_replace(path, content, 0600);
}

rdg_err_t blob_read(const char *root, const char *digest, rdg_buf_t *out) {
    char path[PATH_MAX], actual[RDG_IMAGE_DIGEST_MAX];
    size_t before = out->len;
    RDG_TRY(blob_path(root, digest, path));
    RDG_TRY(rdg_file_read(path, out));
    rdg_image_digest(rdg_bytes(out->data + before, out->len - before), actual);
    if (strcmp(actual, digest) == 0) return RDG_OK;
    (void)unlink(path);
    return rdg_fail(RDG_E_CORRUPT,
                    "%s had other bytes than its name says and is removed: prepare the image again", path);
}
