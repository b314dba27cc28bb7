/* A registry as those who push to it see it (OCI distribution specification 1.1): the cloud's own, or any other that
 * takes the same bearer token.
 *
 * 1. Content goes under the digest that the caller names; the registry compares. What it has already is not sent again.
 * 2. A digest that an answer claims is compared with the bytes that came.
 * Errors of the registry become codes: 404 NOT_FOUND, 401 UNAUTHENTICATED, 403 FORBIDDEN, 405 UNSUPPORTED, 413 TOO_LARGE,
 * 429 and 5xx UNAVAILABLE, the rest INVALID, with the registry's own words. A client belongs to one thread. */
#ifndef RIDGE_CLIENT_IMAGES_H
#define RIDGE_CLIENT_IMAGES_H
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
/* Small ones, in one request. */
rdg_err_t rdg_images_put_blob(rdg_images_client_t *c, const char *name, const char *digest,
                              rdg_bytes_t bytes);

#ifdef __cplusplus
}
#endif
#endif
