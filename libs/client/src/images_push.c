#include "images_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES (4u << 20)
#define PIECE_TIMEOUT_MS 300000u
#define WAIT_MIN_MS 200u
#define WAIT_MAX_MS 8000u

typedef struct push {
    rdg_images_client_t *c;
    const rdg_images_blob_t *blob;
    uint8_t *piece;
    char location[IMAGES_URL_MAX]; /* of the upload; empty: there is none */
    uint64_t at;                   /* what the registry has of it */
    bool mounted;
} push_t;

static rdg_err_t take_location(push_t *p, const rdg_http_answer_t *got) {
    if (got->location[0] == '/') return images_url(p->c, p->location, "%s", got->location);
    size_t len = strlen(got->location);
    if (strncmp(got->location, "http", 4) == 0 && len < sizeof p->location) {
        memcpy(p->location, got->location, len + 1);
        return RDG_OK;
    }
    return rdg_fail(RDG_E_PROTOCOL, "the registry named no place for an upload");
}

/* 201: it was there in another repository. 202: it is to be sent. */
static rdg_err_t begin(push_t *p) {
    char url[IMAGES_URL_MAX];
    rdg_http_answer_t got;
    RDG_TRY(images_url(p->c, url, "/v2/%s/blobs/uploads/?mount=%s", p->blob->name, p->blob->digest));
    RDG_TRY(images_exchange(p->c, &(images_call_t){.method = "POST", .url = url}, &got));
    rdg_err_t err = RDG_OK;
    p->at = 0;
    p->mounted = got.status == 201;
    if (!p->mounted) err = take_location(p, &got);
    rdg_http_answer_fini(&got);
    return err;
}

/* "0-99": 100 bytes are there. Without the header, or with "0-0" before anything came, none are known to be. */
static uint64_t come_so_far(const char *range) {
    uint64_t last;
    if (strncmp(range, "0-", 2) != 0 || rdg_parse_u64(range + 2, &last) != RDG_OK || last == 0) return 0;
    return last + 1;
}

/* Where the upload stands; NOT_FOUND: it is gone. */
static rdg_err_t ask(push_t *p) {
    rdg_http_answer_t got;
    RDG_TRY(images_exchange(p->c, &(images_call_t){.method = "GET", .url = p->location}, &got));
    p->at = come_so_far(got.range);
    rdg_err_t err = got.location[0] ? take_location(p, &got) : RDG_OK;
    rdg_http_answer_fini(&got);
    if (err == RDG_OK && p->at > p->blob->size)
        err = rdg_fail(RDG_E_PROTOCOL, "the registry has more of %s than there is", p->blob->digest);
    return err;
}

static rdg_err_t read_piece(const push_t *p, size_t *len) {
    uint64_t left = p->blob->size - p->at;
    *len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    for (size_t got = 0; got < *len;) {
        ssize_t n = pread(p->blob->fd, p->piece + got, *len - got, (off_t)(p->blob->offset + p->at + got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "cannot read %s", p->blob->digest);
        if (n == 0) return rdg_fail(RDG_E_CORRUPT, "the file of %s is shorter than it says", p->blob->digest);
        got += (size_t)n;
    }
    return RDG_OK;
}

static rdg_err_t send_piece(push_t *p) {
    char range[80];
    size_t len;
    rdg_http_answer_t got;
    RDG_TRY(read_piece(p, &len));
    snprintf(range, sizeof range, "Content-Range: %" PRIu64 "-%" PRIu64, p->at, p->at + len - 1);
    const images_call_t call = {.method = "PATCH",
                                .url = p->location,
                                .header = "Content-Type: application/octet-stream",
                                .header2 = range,
                                .body = rdg_bytes(p->piece, len),
                                .timeout_ms = PIECE_TIMEOUT_MS};
    RDG_TRY(images_exchange(p->c, &call, &got));
    p->at += len;
    rdg_err_t err = got.location[0] ? take_location(p, &got) : RDG_OK;
    rdg_http_answer_fini(&got);
    if (err == RDG_OK && p->blob->progress && !p->blob->progress(p->blob->ctx, p->at))
        err = rdg_fail(RDG_E_CANCELLED, "the push was cancelled");
    return err;
}

static rdg_err_t finish(push_t *p) {
    char url[IMAGES_URL_MAX + 160];
    rdg_http_answer_t got;
    snprintf(url, sizeof url, "%s%cdigest=%s", p->location, strchr(p->location, '?') ? '&' : '?',
             p->blob->digest);
    RDG_TRY(images_exchange(
        p->c, &(images_call_t){.method = "PUT", .url = url, .timeout_ms = PIECE_TIMEOUT_MS}, &got));
    rdg_http_answer_fini(&got);
    return RDG_OK;
}

/* The whole, or as far as it goes. */
static rdg_err_t attempt(push_t *p) {
    if (!p->location[0]) RDG_TRY(begin(p));
    if (p->mounted) return RDG_OK;
    while (p->at < p->blob->size) RDG_TRY(send_piece(p));
    return finish(p);
}

/* CONFLICT: the registry was still writing what a broken connection had brought when it was asked how far it is. */
static bool worth_another(rdg_err_t err) {
    return err == RDG_E_CONFLICT || err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT || err == RDG_E_CLOSED;
}

/* After trouble: the blob may be whole (the answer was lost), the upload may go on, or be gone. */
static rdg_err_t find_out(push_t *p, bool *done) {
    RDG_TRY(rdg_images_has_blob(p->c, p->blob->name, p->blob->digest, done));
    if (*done || !p->location[0]) return RDG_OK;
    rdg_err_t err = ask(p);
    if (err != RDG_E_NOT_FOUND) return err;
    p->location[0] = '\0';
    p->at = 0;
    return RDG_OK;
}

static void pause_before(unsigned attempts) {
    uint64_t ms = (uint64_t)WAIT_MIN_MS << attempts;
    if (ms > WAIT_MAX_MS) ms = WAIT_MAX_MS;
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static rdg_err_t push(push_t *p) {
    rdg_err_t err = attempt(p);
    for (unsigned tries = 0; worth_another(err) && tries < RDG_IMAGES_ATTEMPTS; ++tries) {
        bool done = false;
        uint64_t before = p->at;
        pause_before(tries);
        err = find_out(p, &done);
        if (err != RDG_OK || done) continue;
        err = attempt(p);
        if (p->at > before) tries = 0;
    }
    return err;
}

rdg_err_t rdg_images_push_blob(rdg_images_client_t *c, const rdg_images_blob_t *blob,
                               rdg_images_pushed_t *how) {
    bool has = false;
    push_t p = {.c = c, .blob = blob};
    RDG_TRY(rdg_images_has_blob(c, blob->name, blob->digest, &has));
    *how = RDG_IMAGES_THERE;
    if (has) return RDG_OK;
    if (!(p.piece = rdg_alloc(PIECE_BYTES))) return rdg_fail(RDG_E_NO_MEMORY, "no memory to push a blob");
    rdg_err_t err = push(&p);
    rdg_free(p.piece);
    *how = p.mounted ? RDG_IMAGES_MOUNTED : RDG_IMAGES_SENT;
    return rdg_fail_in(err, "blob %s", blob->digest);
}
