/* A file of the cloud, through the device's link, in pieces.
 *
 * <path>.part grows by whole pieces, each synced before the next is asked for; so after any interruption it goes on there.
 * Only what has the digest becomes <path>; a part that is whole and has another one begins anew, DOWNLOAD_TRIES times. */
#include "download.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/net/http_client.h"

#define PIECE_BYTES (256u << 10)
#define CALL_MS 120000 /* of a piece: 2 KiB a second */
#define AGAIN_FIRST_MS 500u
#define AGAIN_LAST_MS 30000u
#define DOWNLOAD_TRIES 3

typedef struct part {
    const download_t *d;
    char path[4096];
    int fd;
    uint64_t at;
} part_t;

static rdg_err_t take(void *ctx, rdg_bytes_t bytes) {
    part_t *p = ctx;
    if (bytes.len > p->d->size - p->at)
        return rdg_fail(RDG_E_PROTOCOL, "the cloud sends more of file %" PRIu64 " than there is", p->d->file);
    RDG_TRY(rdg_write_all(p->fd, bytes));
    p->at += bytes.len;
    return RDG_OK;
}

/* Cuts back to where this piece began: a half one is not told from a whole one later. */
static rdg_err_t back_to(part_t *p, uint64_t at) {
    p->at = at;
    if (ftruncate(p->fd, (off_t)at) != 0 || lseek(p->fd, (off_t)at, SEEK_SET) < 0)
        return rdg_fail_errno(errno, "%s", p->path);
    return RDG_OK;
}

static rdg_err_t next_piece(part_t *p, rdg_http_client_t *http) {
    char url[160];
    rdg_http_answer_t got;
    uint64_t begin = p->at;
    snprintf(url, sizeof url, "http://cloud.ridge/v1/files/%" PRIu64 "?offset=%" PRIu64 "&length=%u",
             p->d->file, begin, PIECE_BYTES);
    rdg_http_call_t c = {.method = "GET",
                         .url = url,
                         .timeout_ms = CALL_MS,
                         .max_body = 2 * PIECE_BYTES,
                         .sink = take,
                         .sink_ctx = p};
    rdg_err_t err = rdg_http_call(http, &c, &got);
    if (err == RDG_OK && got.status != 200) {
        err = got.status == 404 || got.status == 400
                  ? rdg_fail(RDG_E_NOT_FOUND, "the cloud gives this device no file %" PRIu64, p->d->file)
                  : rdg_fail(RDG_E_UNAVAILABLE, "the cloud answered HTTP status %u", got.status);
    }
    if (err == RDG_OK) rdg_http_answer_fini(&got);
    if (err == RDG_OK && p->at == begin) err = rdg_fail(RDG_E_UNAVAILABLE, "the cloud sent an empty piece");
    if (err == RDG_OK && fdatasync(p->fd) != 0) err = rdg_fail_errno(errno, "%s", p->path);
    if (err != RDG_OK) {
        char why[RDG_ERROR_TEXT_MAX];
        snprintf(why, sizeof why, "%s", rdg_err_message(err));
        RDG_TRY(back_to(p, begin));
        return rdg_fail(err, "%s", why);
    }
    return RDG_OK;
}

static bool passes(rdg_err_t err) {
    return err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT || err == RDG_E_CLOSED || err == RDG_E_PROTOCOL ||
           err == RDG_E_BUSY || err == RDG_E_FULL;
}

static rdg_err_t fetch(part_t *p, rdg_http_client_t *http) {
    unsigned wait = AGAIN_FIRST_MS;
    while (p->at < p->d->size) {
        if (!p->d->go_on(p->d->ctx, p->at)) return rdg_fail(RDG_E_CANCELLED, "the download was stopped");
        rdg_err_t err = next_piece(p, http);
        if (err == RDG_OK) {
            wait = AGAIN_FIRST_MS;
            continue;
        }
        if (!passes(err)) return err;
        rdg_log(RDG_LOG_INFO, "download.interrupted", RDG_U64("file", p->d->file), RDG_U64("offset", p->at),
                RDG_STR("code", rdg_err_name(err)), RDG_STR("why", rdg_err_message(err)));
        for (unsigned waited = 0; waited < wait && p->d->go_on(p->d->ctx, p->at); waited += 100)
            (void)poll(NULL, 0, 100);
        wait = wait * 2 < AGAIN_LAST_MS ? wait * 2 : AGAIN_LAST_MS;
    }
    return RDG_OK;
}

static rdg_err_t digest_of(int fd, rdg_hash_t *out) {
    uint8_t piece[16384];
    rdg_sm3_stream_t *s = rdg_sm3_stream_new();
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a digest");
    rdg_err_t err = lseek(fd, 0, SEEK_SET) == 0 ? RDG_OK : rdg_fail_errno(errno, "seek");
    while (err == RDG_OK) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = rdg_fail_errno(errno, "read");
        if (n <= 0) break;
        rdg_sm3_stream_update(s, piece, (size_t)n);
    }
    rdg_sm3_stream_final(s, out);
    rdg_sm3_stream_free(s);
    return err;
}

static rdg_err_t fetch_whole(part_t *p, rdg_http_client_t *http) {
    rdg_hash_t digest;
    for (int i = 0; i < DOWNLOAD_TRIES; ++i) {
        RDG_TRY(fetch(p, http));
        RDG_TRY(digest_of(p->fd, &digest));
        if (rdg_hash_equal(&digest, &p->d->digest)) return RDG_OK;
        rdg_log(RDG_LOG_WARN, "download.corrupt", RDG_U64("file", p->d->file));
        RDG_TRY(back_to(p, 0));
    }
    return rdg_fail(RDG_E_CORRUPT, "file %" PRIu64 " of the cloud does not have its digest", p->d->file);
}

static rdg_err_t open_part(part_t *p) {
    struct stat st;
    p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (p->fd < 0 || fstat(p->fd, &st) != 0) return rdg_fail_errno(errno, "%s", p->path);
    uint64_t size = (uint64_t)st.st_size;
    return back_to(p, size > p->d->size ? 0 : size);
}

static rdg_err_t finish(const part_t *p) {
    char dir[4096];
    if (fsync(p->fd) != 0) return rdg_fail_errno(errno, "%s", p->path);
    if (rename(p->path, p->d->path) != 0) return rdg_fail_errno(errno, "cannot name it %s", p->d->path);
    snprintf(dir, sizeof dir, "%s", p->d->path);
    char *slash = strrchr(dir, '/');
    if (slash) *slash = '\0';
    return rdg_dir_sync(slash ? dir : ".");
}

rdg_err_t download(const download_t *d, const char *socket) {
    part_t p = {.d = d, .fd = -1};
    rdg_http_client_t *http = NULL;
    if (rdg_file_exists(d->path)) return RDG_OK;
    if (snprintf(p.path, sizeof p.path, "%s.part", d->path) >= (int)sizeof p.path)
        return rdg_fail(RDG_E_TOO_LARGE, "the path %.100s… is too long", d->path);
    rdg_err_t err = open_part(&p);
    if (err == RDG_OK) err = rdg_http_client_new(&http);
    if (err == RDG_OK) err = rdg_http_client_via(http, socket);
    if (err == RDG_OK) err = fetch_whole(&p, http);
    if (err == RDG_OK) err = finish(&p);
    rdg_http_client_free(http);
    if (p.fd >= 0) close(p.fd);
    return err;
}
