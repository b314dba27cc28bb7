/* Objects in an S3-style store (s3.h), before those that an earlier setting left in files. */
#include "collect_store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "s3.h"

#define SPARE_BYTES (64ull << 20)

typedef struct objects {
    collect_store_t store;
    collect_store_t *files; /* owned */
    char dir[PATH_MAX - 100];
    s3_t s3;
    rdg_buf_t roots; /* empty: the system's */
} objects_t;

static void key_of(const rdg_hash_t *digest, char out[80]) {
    char hex[65];
    rdg_hex_encode(digest->b, sizeof digest->b, hex);
    snprintf(out, 80, "objects/%.2s/%s", hex, hex);
}

/* What the store says of us is no word to the device or user who asked us: they may come again. */
static rdg_err_t trouble(rdg_err_t err, const rdg_hash_t *digest) {
    if (err == RDG_OK || err == RDG_E_INVALID) return err;
    rdg_log(RDG_LOG_ERROR, "collect.object_store_failed", RDG_HEX("digest", digest->b, sizeof digest->b),
            RDG_STR("code", rdg_err_name(err)), RDG_STR("why", rdg_err_message(err)));
    bool theirs = err == RDG_E_FORBIDDEN || err == RDG_E_PROTOCOL || err == RDG_E_CORRUPT ||
                  err == RDG_E_CLOSED || err == RDG_E_TIMEOUT;
    return theirs ? rdg_fail(RDG_E_UNAVAILABLE, "%s", rdg_err_message(err)) : err;
}

static rdg_err_t client(const objects_t *o, rdg_http_client_t **out) {
    RDG_TRY(rdg_http_client_new(out));
    rdg_http_client_roots(*out, rdg_buf_view(&o->roots));
    return RDG_OK;
}

/* --- putting, and reading back ----------------------------------------------------------------------------------- */

static rdg_err_t add(void *ctx, rdg_bytes_t chunk) {
    rdg_sm3_stream_update(ctx, chunk.data, chunk.len);
    return RDG_OK;
}

static rdg_err_t verify(const objects_t *o, rdg_http_client_t *http, const char *key, uint64_t size,
                        const rdg_hash_t *digest) {
    rdg_hash_t got;
    rdg_sm3_stream_t *sum = rdg_sm3_stream_new();
    if (!sum) return rdg_fail(RDG_E_NO_MEMORY, "no memory to read an object back");
    rdg_err_t err = s3_get(&o->s3, http, key, 0, size, add, sum);
    if (err == RDG_OK) rdg_sm3_stream_final(sum, &got);
    rdg_sm3_stream_free(sum);
    RDG_TRY(rdg_fail_in(err, "reading back"));
    if (rdg_hash_equal(&got, digest)) return RDG_OK;
    return rdg_fail(RDG_E_CORRUPT, "object store %s gave other bytes back for %s than it was given",
                    o->s3.base, key);
}

static rdg_err_t offer_open(const objects_t *o, rdg_http_client_t *http, int fd, const rdg_hash_t *digest) {
    char key[80];
    struct stat st;
    uint64_t there = 0;
    if (fstat(fd, &st) != 0) return rdg_fail_errno(errno, "cannot look at what is to be stored");
    uint64_t size = (uint64_t)st.st_size;
    key_of(digest, key);
    rdg_err_t err = s3_size(&o->s3, http, key, &there);
    bool whole = err == RDG_OK && there == size && verify(o, http, key, size, digest) == RDG_OK;
    if (err != RDG_OK && err != RDG_E_NOT_FOUND) return err;
    if (!whole) {
        RDG_TRY(s3_put(&o->s3, http, key, fd, size));
        err = verify(o, http, key, size, digest);
        if (err == RDG_E_CORRUPT) (void)s3_delete(&o->s3, http, key);
        RDG_TRY(err);
    }
    rdg_log(RDG_LOG_INFO, "collect.object_stored", RDG_STR("key", key), RDG_U64("bytes", size));
    return RDG_OK;
}

static rdg_err_t objects_offer(void *ctx, const char *path, const rdg_hash_t *digest) {
    const objects_t *o = ctx;
    rdg_http_client_t *http = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    rdg_err_t err = client(o, &http);
    if (err == RDG_OK) err = offer_open(o, http, fd, digest);
    rdg_http_client_free(http);
    close(fd);
    return trouble(err, digest);
}

/* What was offered a moment ago may have been removed as another file's since. */
static rdg_err_t objects_put(void *ctx, const char *path, const rdg_hash_t *digest) {
    const objects_t *o = ctx;
    rdg_http_client_t *http = NULL;
    char key[80];
    uint64_t size;
    key_of(digest, key);
    RDG_TRY(client(o, &http));
    rdg_err_t err = s3_size(&o->s3, http, key, &size);
    rdg_http_client_free(http);
    err = err == RDG_E_NOT_FOUND ? objects_offer(ctx, path, digest) : trouble(err, digest);
    if (err == RDG_OK && unlink(path) != 0 && errno != ENOENT)
        err = rdg_fail_errno(errno, "cannot remove %s", path);
    return err;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static rdg_err_t append(void *ctx, rdg_bytes_t chunk) {
    return rdg_write_all(*(int *)ctx, chunk);
}

static rdg_err_t new_file(const objects_t *o, uint64_t len, int *fd) {
    char path[PATH_MAX];
    uint64_t room = 0;
    RDG_TRY(o->files->free_bytes(o->files->ctx, &room));
    if (room < SPARE_BYTES || room - SPARE_BYTES < len)
        return rdg_fail(RDG_E_DISK_FULL, "no room in %s for %llu bytes out of the object store", o->dir,
                        (unsigned long long)len);
    snprintf(path, sizeof path, "%s/.out.XXXXXX", o->dir);
    *fd = mkostemp(path, O_CLOEXEC);
    if (*fd < 0) return rdg_fail_errno(errno, "cannot make a file in %s", o->dir);
    (void)unlink(path);
    return RDG_OK;
}

static rdg_err_t fetch(const objects_t *o, rdg_http_client_t *http, const rdg_hash_t *digest, uint64_t offset,
                       uint64_t most, collect_piece_t *out) {
    char key[80];
    key_of(digest, key);
    RDG_TRY(s3_size(&o->s3, http, key, &out->size));
    RDG_TRY(collect_piece_cut(out, offset, most));
    RDG_TRY(new_file(o, out->len, &out->fd));
    out->at = 0;
    rdg_err_t err = s3_get(&o->s3, http, key, offset, out->len, append, &out->fd);
    if (err != RDG_OK) close(out->fd);
    return err;
}

static rdg_err_t objects_open(void *ctx, const rdg_hash_t *digest, uint64_t offset, uint64_t most,
                              collect_piece_t *out) {
    objects_t *o = ctx;
    rdg_http_client_t *http = NULL;
    rdg_err_t err = o->files->open(o->files->ctx, digest, offset, most, out);
    if (err != RDG_E_NOT_FOUND) return err;
    RDG_TRY(client(o, &http));
    err = fetch(o, http, digest, offset, most, out);
    rdg_http_client_free(http);
    return trouble(err, digest);
}

/* --- the rest -------------------------------------------------------------------------------------------------------- */

static rdg_err_t objects_remove(void *ctx, const rdg_hash_t *digest) {
    objects_t *o = ctx;
    rdg_http_client_t *http = NULL;
    char key[80];
    RDG_TRY(o->files->remove(o->files->ctx, digest));
    RDG_TRY(client(o, &http));
    key_of(digest, key);
    rdg_err_t err = s3_delete(&o->s3, http, key);
    rdg_http_client_free(http);
    return trouble(err, digest);
}

/* Of what nobody knows nothing is removed: another cloud may share the bucket, or this one's database be a new one. */
static rdg_err_t objects_each(void *ctx, rdg_err_t (*fn)(void *arg, const rdg_hash_t *digest), void *arg) {
    (void)ctx, (void)fn, (void)arg;
    return RDG_OK;
}

static rdg_err_t objects_free_bytes(void *ctx, uint64_t *out) {
    objects_t *o = ctx;
    return o->files->free_bytes(o->files->ctx, out);
}

static void objects_close(void *ctx) {
    objects_t *o = ctx;
    collect_store_close(o->files);
    rdg_buf_fini(&o->roots);
    rdg_free(o);
}

static rdg_err_t open_store(objects_t *o, const char *url, const char *credentials, const char *ca,
                            const char *dir) {
    s3_keys_t keys;
    if (snprintf(o->dir, sizeof o->dir, "%s", dir) >= (int)sizeof o->dir)
        return rdg_fail(RDG_E_TOO_LARGE, "%s is too long a path", dir);
    RDG_TRY(s3_init(&o->s3, url, credentials, rdg_clock_system()));
    if (ca && strncmp(o->s3.base, "https://", 8) != 0)
        return rdg_fail(RDG_E_INVALID, "%s: nobody is believed by a CA without TLS: want s3+https://", url);
    if (ca) RDG_TRY(rdg_fail_in(rdg_http_roots_read(ca, &o->roots), "by whom the object store is believed"));
    rdg_err_t err = s3_keys(o->s3.credentials, &keys);
    rdg_secure_zero(&keys, sizeof keys);
    return err == RDG_OK ? collect_store_files(dir, &o->files) : err;
}

rdg_err_t collect_store_s3(const char *url, const char *credentials, const char *ca, const char *dir,
                           collect_store_t **out) {
    objects_t *o = rdg_calloc(1, sizeof *o);
    if (!o) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the object store");
    o->store = (collect_store_t){.put = objects_put,
                                 .offer = objects_offer,
                                 .open = objects_open,
                                 .remove = objects_remove,
                                 .each = objects_each,
                                 .free_bytes = objects_free_bytes,
                                 .close = objects_close,
                                 .ctx = o};
    rdg_buf_init(&o->roots, RDG_HTTP_ROOTS_MAX);
    rdg_err_t err = open_store(o, url, credentials, ca, dir);
    if (err != RDG_OK) {
        rdg_buf_fini(&o->roots);
        rdg_free(o);
        return err;
    }
    *out = &o->store;
    return RDG_OK;
}
