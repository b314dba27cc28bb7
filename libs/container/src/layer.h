/* A layer of an image, unpacked once into <root>/layers/<32 hex of its digest>, in overlayfs's own form
 * (whiteouts are 0/0 devices, opaque directories carry trusted.overlay.opaque).
 *
 * A layer directory that exists is whole: it is unpacked beside and renamed. Refused: absolute paths, "..",
 * entries or hard links that pass through a symbolic link, symbolic links that climb out of the root, and
 * sizes beyond the limits. Device files, FIFOs and extended attributes are left out: a container gets its devices from
 * the runtime, and an attribute of overlayfs could lead out of the root. */
#ifndef RIDGE_CONTAINER_LAYER_H
#define RIDGE_CONTAINER_LAYER_H
#include "blob_store.h"

/* What one layer may do to the disk. A layer that is a bomb is stopped where it passes one of them, and what it left
 * is removed. */
typedef struct layer_limits {
    uint64_t entries;
    uint64_t bytes;       /* unpacked; holes of sparse files count */
    uint64_t ratio;       /* unpacked bytes for each byte of the blob … */
    uint64_t ratio_above; /* … beyond so many unpacked bytes */
} layer_limits_t;
extern const layer_limits_t layer_limits_default; /* 500,000; 8 GiB; 200 beyond 64 MiB */

rdg_err_t layer_path(const char *root, const char *digest, char out[PATH_MAX]);
/* The blob must be present. MALFORMED names the entry; TOO_LARGE the limit. unpacker: see container.h. *bytes is set to
 * what it unpacked to, 0 when it was there already. */
rdg_err_t layer_unpack(const char *root, const char *digest, const char *unpacker,
                       const layer_limits_t *limits, uint64_t *bytes);
/* The same for any tar (compressed or not) and an existing, empty directory. */
rdg_err_t layer_unpack_file(const char *tar, const char *dir, const layer_limits_t *limits, uint64_t *bytes);

#endif
