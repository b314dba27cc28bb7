/* Where collected files are kept, by digest: objects that are written once.
 *
 * 1. put is durable when it returns, and an object appears whole or not at all. Putting one that is there is fine.
 * 2. An object is only ever read back through open, so that who verifies it verifies what is stored.
 * Thread-safe for different digests. */
#ifndef RIDGE_PLATFORM_COLLECT_STORE_H
#define RIDGE_PLATFORM_COLLECT_STORE_H
#include "ridge/crypto/hash.h"

typedef struct collect_store {
    /* The file at path becomes the object; path is gone afterwards. */
    rdg_err_t (*put)(void *ctx, const char *path, const rdg_hash_t *digest);
    /* A descriptor to read from, which the caller closes; *size is the object's. NOT_FOUND. */
    rdg_err_t (*open)(void *ctx, const rdg_hash_t *digest, int *fd, uint64_t *size);
    rdg_err_t (*remove)(void *ctx, const rdg_hash_t *digest); /* absent is fine */
    /* Calls fn for each object there is. */
    rdg_err_t (*each)(void *ctx, rdg_err_t (*fn)(void *arg, const rdg_hash_t *digest), void *arg);
    rdg_err_t (*free_bytes)(void *ctx, uint64_t *out); /* UINT64_MAX: not known */
    void (*close)(void *ctx);
    void *ctx;
} collect_store_t;

/* Files below dir: <first two digits>/<digest>, made read-only. */
rdg_err_t collect_store_files(const char *dir, collect_store_t **out);
void collect_store_close(collect_store_t *s); /* NULL is fine */

#endif
