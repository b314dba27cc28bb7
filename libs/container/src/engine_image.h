/* Images that a container engine keeps by itself: what image.h pulled and judged, handed to the engine as one archive.
 *
 * An engine names an image by the digest of its configuration, which names the digests of its unpacked layers: what runs is
 * what was judged, whoever else uses the engine. Containers are made from that name, never from a tag. A tag of our own
 * (ENGINE_IMAGE_NAME:digest) keeps it from being pruned and tells which images are ours. */
#ifndef RIDGE_CONTAINER_ENGINE_IMAGE_H
#define RIDGE_CONTAINER_ENGINE_IMAGE_H
#include "engine.h"
#include "image.h"

#define ENGINE_IMAGE_NAME "localhost/ridge-image"

/* False also when the engine does not answer. */
bool engine_image_present(const engine_t *e, const char *config);
/* From the blobs of root, which go when the engine has the image. CORRUPT: the engine made something else of it. */
rdg_err_t engine_image_load(const engine_t *e, const char *root, const image_t *image);
/* Ours that are not in keep (digests of configurations) go, the oldest first, while all have more than budget_bytes. */
rdg_err_t engine_image_collect(const engine_t *e, const char (*keep)[IMAGE_DIGEST_TEXT], size_t count,
                               uint64_t budget_bytes, uint64_t *freed);

#endif
