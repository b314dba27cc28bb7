/* An OCI registry over an OCI image layout directory: the pull half of the OCI Distribution
 * Specification 1.1.
 *
 * The directory holds oci-layout, index.json and blobs/<algorithm>/<hex> (OCI Image Specification 1.1, image
 * layout). An entry of index.json whose annotation org.opencontainers.image.ref.name is "name:tag" is tag
 * `tag` of repository `name`. index.json is read for each request that needs it, so that a new image is there
 * as soon as its layout is.
 *
 *   GET|HEAD /v2/                              200: the registry is there
 *   GET|HEAD /v2/<name>/manifests/<reference>  tag or digest; bytes exactly as stored, checked against their
 * digest GET|HEAD /v2/<name>/blobs/<digest>         with one Range: 206, 416 GET      /v2/<name>/tags/list
 * sorted, with n and last
 *
 * 1. A path reaches the file system only after it has been taken apart by the grammars of the specification:
 * a blob's file name is an algorithm known here and lower-case hex digits of the right number, nothing else.
 * 2. A manifest or blob is served under a name that the layout knows.
 * 3. Errors have the specification's JSON form and codes.
 * Limits: manifests and index.json of RDG_REGISTRY_MANIFEST_MAX, names of 255 bytes, 1,000 tags an answer.
 * Not done: push, delete, referrers, tokens (whoever mounts it decides who may ask). Thread-safe. */
#ifndef RIDGE_REGISTRY_REGISTRY_H
#define RIDGE_REGISTRY_REGISTRY_H
#include "ridge/net/http_server.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_REGISTRY_MANIFEST_MAX (4u << 20)

typedef struct rdg_registry rdg_registry_t;

/* The directory may be empty or absent still: the registry then knows no name. Copies dir. */
rdg_err_t rdg_registry_new(const char *dir, rdg_registry_t **out);
void rdg_registry_free(rdg_registry_t *r); /* NULL is fine */
/* Answers a request whose path is /v2 or begins with /v2/; registry is an rdg_registry_t *, as
 * rdg_http_handler_t wants it. */
void rdg_registry_handle(void *registry, const rdg_http_request_t *req, rdg_http_response_t *res);

#ifdef __cplusplus
}
#endif
#endif
