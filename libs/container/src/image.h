/* Images: pulled by the OCI distribution protocol, kept as blobs and unpacked layers, found again by
 * reference. */
#ifndef RIDGE_CONTAINER_IMAGE_H
#define RIDGE_CONTAINER_IMAGE_H
#include "layer.h"
#include "ridge/codec/json.h"

#define IMAGE_LAYERS_MAX 64
#define IMAGE_MANIFEST_MAX (4u << 20)
#define IMAGE_CONFIG_MAX (4u << 20)

/* What an image says that it cannot do without, and what it is never to take more of (docs/registry.md, "The form of
 * an image"); 0: nothing said. */
typedef struct image_needs {
    uint64_t memory_bytes, disk_bytes, cpu_thousandths;
    uint64_t memory_max_bytes, cpu_max_thousandths;
} image_needs_t;

typedef struct image {
    char digest[IMAGE_DIGEST_TEXT];  /* of the manifest */
    char subject[IMAGE_DIGEST_TEXT]; /* while it is pulled: of the index that led to it, or the same */
    char config[IMAGE_DIGEST_TEXT];
    char layers[IMAGE_LAYERS_MAX][IMAGE_DIGEST_TEXT]; /* lowest first */
    uint64_t sizes[IMAGE_LAYERS_MAX];
    size_t layer_count;
    uint64_t config_size, total;
    image_needs_t needs; /* of index and manifest; of one that was found, the ceilings alone count */
} image_t;

typedef struct image_pull {
    const char *root;
    uint64_t bytes_max;
    const char *unpacker;     /* NULL: unpack in this process */
    const char *cloud_socket; /* by which RDG_CONTAINER_CLOUD is reached; NULL: it is not */
    rdg_container_progress_fn progress;
    void *progress_ctx;
    const char *trust_file; /* see container.h; NULL: signatures are not asked for */
    uint64_t unpacked_max;  /* 0: as in layer_limits_default */
    /* Of a container engine that keeps images by itself: has it the one with this configuration (a digest)? Its layers are
     * then not fetched; else they are, and stay as blobs. NULL: layers are unpacked here. */
    bool (*engine_has)(void *ctx, const char *config);
    void *engine_ctx;
} image_pull_t;

/* What stands for a reference in names of files. */
#define IMAGE_RECORD_TEXT 65
void image_record_name(const char *reference, char out[IMAGE_RECORD_TEXT]);

/* Pulls what is missing, unpacks, and records the reference. When the registry cannot be reached, an image
 * that was pulled before under this reference will do. With a trust_file nothing is unpacked, and nothing that is
 * here already is answered with RDG_OK, before a good signature was found (image_trust.h). */
rdg_err_t image_pull(const image_pull_t *how, const char *reference);
/* The same question each time it is started. FORBIDDEN, BAD_SIGNATURE. */
rdg_err_t image_may_run(const char *root, const char *trust_file, const char *reference,
                        const image_t *image);
/* What the record of a reference says, and no more: digest and ceilings. */
rdg_err_t image_recorded(const char *root, const char *reference, image_t *out);
/* NOT_FOUND: pull it first. CORRUPT: its manifest was damaged, and is gone now. */
rdg_err_t image_find(const char *root, const char *reference, image_t *out);
/* The same of one whose layers need not be here: an engine has them. */
rdg_err_t image_find_packed(const char *root, const char *reference, image_t *out);
/* The spec with the image's ceilings, where they are lower; config: the image's. */
rdg_container_spec_t image_limited(const rdg_container_spec_t *spec, image_t *image, const json_t *config);
/* The image's configuration; returns owned. */
rdg_err_t image_config(const char *root, const image_t *image, json_t **out);

#endif
