/* A layer of an image, unpacked once into <root>/layers/<32 hex of its digest>, in overlayfs's own form
 * (whiteouts are 0/0 devices, opaque directories carry trusted.overlay.opaque).
 *
 * A layer directory that exists is whole: it is unpacked beside and renamed. Refused: absolute paths, "..",
 * entries or hard links that pass through a symbolic link, symbolic links that climb out of the root, and
 * sizes beyond the limits. Device files and FIFOs are left out: a container gets its devices from the
 * runtime. */
#ifndef RIDGE_CONTAINER_LAYER_H
#define RIDGE_CONTAINER_LAYER_H
#include "blob_store.h"

#define LAYER_ENTRIES_MAX 500000u
#define LAYER_BYTES_MAX (8ull << 30)

rdg_err_t layer_path(const char *root, const char *digest, char out[PATH_MAX]);
/* The blob must be present. MALFORMED names the entry. unpacker: see container.h. */
rdg_err_t layer_unpack(const char *root, const char *digest, const char *unpacker);
/* The same for any tar (compressed or not) and an existing, empty directory. */
rdg_err_t layer_unpack_file(const char *tar, const char *dir);

#endif
