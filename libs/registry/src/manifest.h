/* What a manifest says: taken apart once, when it comes. Hostile text: sizes, counts and digests are checked. */
#ifndef RIDGE_REGISTRY_MANIFEST_H
#define RIDGE_REGISTRY_MANIFEST_H
#include "digest.h"
#include "ridge/codec/json.h"

#define MANIFEST_TYPE_MAX 255
#define MANIFEST_VALUES_MAX 100000 /* JSON values in one manifest: they are larger in memory than as text */
#define MANIFEST_PARTS_MAX 4096

#define MANIFEST_OCI "application/vnd.oci.image.manifest.v1+json"
#define MANIFEST_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MANIFEST_DOCKER "application/vnd.docker.distribution.manifest.v2+json"
#define MANIFEST_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"

typedef struct manifest {
    json_t *root; /* owned; the texts below are borrowed from it */
    char media_type[MANIFEST_TYPE_MAX + 1];
    bool index;
    const char *artifact_type, *subject;   /* NULL if absent; artifact_type as referrers list it */
    char *annotations;                     /* JSON object as text, owned; NULL if absent */
    const char *parts[MANIFEST_PARTS_MAX]; /* digests of config and layers, or of an index's manifests */
    size_t part_count;
} manifest_t;

/* content_type: what the client called it, or NULL. MALFORMED, UNSUPPORTED (another kind of manifest), TOO_LARGE.
 * *out is to be finished only after RDG_OK. */
rdg_err_t manifest_parse(rdg_bytes_t text, const char *content_type, manifest_t *out);
void manifest_fini(manifest_t *m);

#endif
