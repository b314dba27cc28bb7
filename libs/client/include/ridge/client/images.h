/* A registry as those who push to it see it (OCI distribution specification 1.1): the cloud's own, or any other that
 * takes the same bearer token.
 *
 * 1. Content goes under the digest that the caller names; the registry compares. What it has already is not sent again.
 * 2. A digest that an answer claims is compared with the bytes that came.
 * Errors of the registry become codes: 404 NOT_FOUND, 401 UNAUTHENTICATED, 403 FORBIDDEN, 405 UNSUPPORTED,
 * 413 TOO_LARGE, 416 CONFLICT, 429 and 5xx UNAVAILABLE, the rest INVALID, with the registry's own words. A client
 * belongs to one thread. */
#ifndef RIDGE_CLIENT_IMAGES_H
#define RIDGE_CLIENT_IMAGES_H
#include <stdbool.h>
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_IMAGES_MANIFEST_MAX (4u << 20)
#define RDG_IMAGES_DIGEST_MAX 136

typedef struct rdg_images_client rdg_images_client_t;

/* url: "http://127.0.0.1:7780"; token: bearer token or NULL. Copies. */
rdg_err_t rdg_images_client_new(const char *url, const char *token, rdg_images_client_t **out);
void rdg_images_client_free(rdg_images_client_t *c); /* NULL is fine */

/* Appends the bytes; digest (sha256) is computed from them, and compared when reference is one. CORRUPT. */
rdg_err_t rdg_images_get_manifest(rdg_images_client_t *c, const char *name, const char *reference,
                                  rdg_buf_t *out, char digest[RDG_IMAGES_DIGEST_MAX]);
/* reference: tag or digest. */
rdg_err_t rdg_images_put_manifest(rdg_images_client_t *c, const char *name, const char *reference,
                                  const char *media_type, rdg_bytes_t bytes);
rdg_err_t rdg_images_has_blob(rdg_images_client_t *c, const char *name, const char *digest, bool *has);
/* Small ones, of RDG_IMAGES_MANIFEST_MAX; compared. */
rdg_err_t rdg_images_get_blob(rdg_images_client_t *c, const char *name, const char *digest, rdg_buf_t *out);
/* Small ones, in one request. */
rdg_err_t rdg_images_put_blob(rdg_images_client_t *c, const char *name, const char *digest,
                              rdg_bytes_t bytes);

/* A blob that lies in a file. */
typedef struct rdg_images_blob {
    const char *name, *digest;
    int fd;
    uint64_t offset, size; /* of the blob within the file */
    /* Called with the bytes that the registry has acknowledged; false ends the push with CANCELLED. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done);
    void *ctx;
} rdg_images_blob_t;
typedef enum rdg_images_pushed { RDG_IMAGES_THERE, RDG_IMAGES_MOUNTED, RDG_IMAGES_SENT } rdg_images_pushed_t;
/* Not sent when the repository has it; mounted when another repository that the caller may read has it; else sent in
 * pieces of 4 MiB. After a broken connection, a 5xx or 429 it asks how far the upload came and goes on from there:
 * RDG_IMAGES_ATTEMPTS times without progress, half a minute in all. CORRUPT: the file holds other bytes. */
#define RDG_IMAGES_ATTEMPTS 8
rdg_err_t rdg_images_push_blob(rdg_images_client_t *c, const rdg_images_blob_t *blob,
                               rdg_images_pushed_t *how);

#ifdef __cplusplus
}
#endif
#endif
