/* Images: pulled by the OCI distribution protocol, kept as blobs and unpacked layers, found again by
 * reference. */
#ifndef RIDGE_CONTAINER_IMAGE_H
#define RIDGE_CONTAINER_IMAGE_H
#include "layer.h"
#include "ridge/codec/json.h"

#define IMAGE_LAYERS_MAX 64
#define IMAGE_MANIFEST_MAX (4u << 20)
#define IMAGE_CONFIG_MAX (4u << 20)

typedef struct image {
    char digest[IMAGE_DIGEST_TEXT]; /* of the manifest */
    char config[IMAGE_DIGEST_TEXT];
    char layers[IMAGE_LAYERS_MAX][IMAGE_DIGEST_TEXT]; /* lowest first */
    uint64_t sizes[IMAGE_LAYERS_MAX];
    size_t layer_count;
    uint64_t config_size, total;
} image_t;

typedef struct image_pull {
    const char *root;
    uint64_t bytes_max;
    const char *unpacker;     /* NULL: unpack in this process */
    const char *cloud_socket; /* by which RDG_CONTAINER_CLOUD is reached; NULL: it is not */
    rdg_container_progress_fn progress;
    void *progress_ctx;
} image_pull_t;

/* Pulls what is missing, unpacks, and records the reference. When the registry cannot be reached, an image
 * that was pulled before under this reference will do. */
rdg_err_t image_pull(const image_pull_t *how, const char *reference);
/* NOT_FOUND: pull it first. */
rdg_err_t image_find(const char *root, const char *reference, image_t *out);
/* The image's configuration; returns owned. */
rdg_err_t image_config(const char *root, const image_t *image, json_t **out);

#endif
