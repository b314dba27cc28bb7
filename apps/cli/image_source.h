/* Where an image to be pushed lies: an OCI image layout (a directory, or a tar of one: oci-archive), or a docker-archive
 * (`docker save`, `podman save`). Tar files are read in place: nothing is unpacked.
 *
 * What they hold may come from anywhere: sizes and offsets are checked, names are compared and never opened outside of
 * the directory, links in tars are not followed. Limits: IMAGE_SOURCE_ENTRIES files in a tar. */
#ifndef RIDGE_CLI_IMAGE_SOURCE_H
#define RIDGE_CLI_IMAGE_SOURCE_H
#include "cli.h"

#define IMAGE_SOURCE_ENTRIES 65536
#define IMAGE_SOURCE_NAME_MAX 512

typedef struct image_source image_source_t;

typedef struct image_file {
    int fd; /* owned by whoever asked */
    uint64_t offset, size;
} image_file_t;

/* NOT_FOUND, MALFORMED, UNSUPPORTED (compressed archives, with the remedy). Returns owned. */
rdg_err_t image_source_open(const char *path, image_source_t **out);
void image_source_close(image_source_t *s); /* NULL is fine */
/* True: it has index.json; false: manifest.json, as docker writes it. */
bool image_source_is_layout(const image_source_t *s);
/* NOT_FOUND names the file. */
rdg_err_t image_source_find(const image_source_t *s, const char *name, image_file_t *out);
rdg_err_t image_source_read(const image_source_t *s, const char *name, size_t max, rdg_buf_t *out);
/* sha256 of a file. */
rdg_err_t image_source_digest(const image_file_t *file, char out[136]);

#endif
