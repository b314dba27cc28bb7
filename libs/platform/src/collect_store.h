/* Where collected files are kept, by digest: objects that are written once.
 *
 * 1. put is durable when it returns, and an object appears whole or not at all. Putting one that is there is fine.
 * 2. An object is only ever read back through open, so that who verifies it verifies what is stored.
 * Thread-safe for different digests. */
#ifndef RIDGE_PLATFORM_COLLECT_STORE_H
#define RIDGE_PLATFORM_COLLECT_STORE_H
#include "ridge/crypto/hash.h"

/* A part of an object: `len` bytes from byte `at` of fd, which the caller closes. */
typedef struct collect_piece {
    int fd;
    uint64_t at, len;
    uint64_t size; /* of the whole object */
} collect_piece_t;

typedef struct collect_store {
    /* May be NULL. The same file is put right afterwards: what of that takes long is done here, without locks, and what
     * was put has been read back from where it is and has its digest. CORRUPT: it has another. */
    rdg_err_t (*offer)(void *ctx, const char *path, const rdg_hash_t *digest);
    /* The file at path becomes the object; path is gone afterwards. */
    rdg_err_t (*put)(void *ctx, const char *path, const rdg_hash_t *digest);
    /* Up to `most` bytes from `offset` on. NOT_FOUND; INVALID: offset is beyond the object's end. */
    rdg_err_t (*open)(void *ctx, const rdg_hash_t *digest, uint64_t offset, uint64_t most,
                      collect_piece_t *out);
    rdg_err_t (*remove)(void *ctx, const rdg_hash_t *digest); /* absent is fine */
    /* Calls fn for each object there is, of a place that is this cloud's alone. */
    rdg_err_t (*each)(void *ctx, rdg_err_t (*fn)(void *arg, const rdg_hash_t *digest), void *arg);
    rdg_err_t (*free_bytes)(void *ctx, uint64_t *out); /* UINT64_MAX: not known */
    void (*close)(void *ctx);
    void *ctx;
} collect_store_t;

/* Files below dir: <first two digits>/<digest>, made read-only. */
rdg_err_t collect_store_files(const char *dir, collect_store_t **out);
/* Objects below an address as s3.h has it; credentials NULL: a systemd credential; ca: a PEM file, read once, with the CAs
 * by which the store is believed, NULL: the system's. What dir has in files is read still, and what is read is passed on
 * through unlinked files there. */
rdg_err_t collect_store_s3(const char *url, const char *credentials, const char *ca, const char *dir,
                           collect_store_t **out);
/* Of an object of out->size bytes, what was asked for. INVALID. */
rdg_err_t collect_piece_cut(collect_piece_t *out, uint64_t offset, uint64_t most);
void collect_store_close(collect_store_t *s); /* NULL is fine */

#endif
