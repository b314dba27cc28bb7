/* What manifests, indexes and configurations of images say. Parsing alone: nothing is fetched.
 *
 * Refused, each with UNSUPPORTED or MALFORMED and a text that names it: unknown media types of manifest, configuration
 * and layers; an index without this machine's platform; a configuration for another one; more layers than
 * IMAGE_LAYERS_MAX; sizes that overflow; digests other than sha256. (OCI image specification 1.1; Docker's image
 * manifest version 2, schema 2.) */
#ifndef RIDGE_CONTAINER_MANIFEST_H
#define RIDGE_CONTAINER_MANIFEST_H
#include "image.h"

/* An Accept header for all of them. */
extern const char manifest_accept[];
bool manifest_is_index(const json_t *m);
/* Fills what the manifest tells; digest and subject stay. */
rdg_err_t manifest_parse(const json_t *m, image_t *out);
/* The digest of the manifest for this machine in an index. */
rdg_err_t manifest_choose(const json_t *index, char out[IMAGE_DIGEST_TEXT]);
/* Whether an image with this configuration is for this machine. */
rdg_err_t manifest_check_config(const json_t *config);
/* Takes from annotations (or labels) what was not said before. A value that is no size counts as not said. */
void manifest_needs(const json_t *annotations, image_needs_t *out);
/* TOO_LARGE: this machine has not what the image needs; DISK_FULL: the file system of root has not. The text says what.
 * total: bytes that are to be fetched. */
rdg_err_t manifest_check_needs(const image_needs_t *needs, const char *root, uint64_t total);
/* As images name it: "amd64". */
const char *manifest_architecture(void);
/* "digest" and "size" of a descriptor. */
rdg_err_t manifest_descriptor(const json_t *d, char digest[IMAGE_DIGEST_TEXT], uint64_t *size);

#endif
